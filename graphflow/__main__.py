"""`python -m graphflow`: see `graphflow.command`."""

from __future__ import annotations

import sys

from graphflow.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
