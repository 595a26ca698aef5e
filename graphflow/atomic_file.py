"""Replace a file as a whole: whoever reads it, and whenever the power fails, finds the old content or the new.

The new content is written under another name in the same folder, flushed to the disk, renamed over the old file, and
the folder is flushed too, because the rename lives there.

A symbolic link is followed: the file that it points to is replaced and the link stays. The permissions of the replaced
file are kept; a new file gets what the umask leaves.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress

POSIX = os.name == "posix"
# Windows cannot open a folder, and needs to be told that the content is not text.
OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
HOST = os.uname().nodename if POSIX else "local"

# The system calls under names of their own, so that a test can make the n-th one fail.
open_descriptor = os.open
write = os.write
sync = os.fsync
close = os.close
replace = os.replace
remove = os.unlink


def write_atomically(path: str, content: bytes) -> None:
    """Make `content` the content of the file at `path`, wholly or not at all.

    A failure before the rename leaves the old file and nothing else. A failure of the last flush of the folder is
    reported too, though the new file stands in its place by then.

    Raises:
        OSError: what the system says: no space, no permission, no folder, or not a regular file.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    mode = mode_of_regular_file(target)
    remove_abandoned(folder)
    aside = os.path.join(folder, f".graphflow-{HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    descriptor = open_descriptor(aside, OPEN_NEW, 0o666 if mode is None else mode)
    try:
        try:
            if mode is not None:
                os.chmod(aside, mode)  # the umask has no say about a file that was there before
            write_all(descriptor, content)
            sync(descriptor)
        finally:
            close(descriptor)
        replace(aside, target)
    except BaseException:
        with suppress(OSError):
            remove(aside)
        raise
    try:
        sync_folder(folder)
    except OSError as error:
        reason = f"{error.strerror}: the new file is in place, but may not outlive a power failure"
        raise OSError(error.errno, reason, folder) from error


def mode_of_regular_file(target: str) -> int | None:
    """The permission bits of the file, None where there is none yet.

    Raises:
        OSError: something that must not be replaced by a file: a folder, a device, a pipe, a loop of links.
    """
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", target)
    return stat.S_IMODE(status.st_mode) & 0o777


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it."""
    rest = memoryview(content)
    while rest:  # the system may take less than it was given
        rest = rest[write(descriptor, rest) :]


def sync_folder(folder: str) -> None:
    """Flush the names in the folder, where the system can do that."""
    if not POSIX:
        return
    descriptor = open_descriptor(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that have no such thing say so
            raise
    finally:
        close(descriptor)


def remove_abandoned(folder: str) -> None:
    """Remove what processes of this machine left here when they were killed while writing.

    The name says who writes: a file of a living process, or of another machine, is left alone.
    """
    if not POSIX:  # asking whether a process lives would end it
        return
    ours = re.compile(rf"\.graphflow-{re.escape(HOST)}-(\d{{1,9}})-[0-9a-f]{{8}}\.tmp", re.ASCII)
    with suppress(OSError):
        for name in os.listdir(folder):
            found = ours.fullmatch(name)
            if found and not is_alive(int(found[1])):
                remove(os.path.join(folder, name))


def is_alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
