"""One rank, or all, end in a way that the command names."""

from __future__ import annotations

import os
import signal
import sys
import time

import graphflow as gf


def leave(how):
    if how == "exception":
        raise ValueError("this one is wrong")
    if how == "exit":
        sys.exit(3)
    if how == "exit 0":
        sys.exit(0)
    if how == "message":
        sys.exit("no more of this")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "interrupt":
        raise KeyboardInterrupt
    return 4


def main(group):
    who, how = sys.argv[1:]
    group.wait()
    if who == "share":
        group.share(lambda: leave(how))
    if who in {"all", str(group.rank)}:
        return leave(how)
    began = time.monotonic()
    while time.monotonic() < began + 30:
        group.sums(1.0)
    return 0


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
