"""What holds for every test: hypothesis tries the same cases each time and is not timed, and plots open no window."""

from __future__ import annotations

import os

import hypothesis

# Before anyone imports matplotlib.
os.environ["MPLBACKEND"] = "Agg"

# derandomize: a test that passed yesterday passes today; deadline: shared machines stall now and then.
hypothesis.settings.register_profile("graphflow", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("graphflow")
