"""Imported before numpy: its linear algebra runs in one thread.

Products as small as a model's gain nothing from threads there; and with one, a run is the same on any number of cores.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
