"""The version, for what lies below the package's own `__init__`."""

from __future__ import annotations

VERSION = "0.1.0"
