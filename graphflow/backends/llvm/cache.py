"""Machine code kept on disk, so that the next process need not generate it again.

The files lie in a folder of the user, `graphflow` in $XDG_CACHE_HOME or ~/.cache; GRAPHFLOW_CACHE names another folder,
or switches the cache off with 0. Loading such a file is running code: the folder and the files must belong to the user
and nobody else may write there. A file is [digest of key and object][object], written aside and renamed, so any number
of threads and processes may read and write at once. Whatever is wrong, the caller compiles; nothing here raises.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Counts up when records or kernels change their meaning under the same text.
EMITTER_VERSION = 1
LARGEST_TOTAL = 256 * 2**20
LARGEST_OBJECT = 64 * 2**20
SECONDS_ASIDE = 3600.0
SUFFIX = ".object"
DIGEST_BYTES = 32
# Folders are opened and compared by owner, which only POSIX systems offer in this form.
IS_POSSIBLE = hasattr(os, "geteuid") and os.open in os.supports_dir_fd


def key_of(*parts: str) -> str:
    """The digest that names an object: of everything that the machine code depends on."""
    digest = hashlib.sha256()
    for part in (str(EMITTER_VERSION), *parts):
        content = part.encode()
        # With its length before it, no part can pass for the end of another.
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()


def cache_folder() -> Path | None:
    """Where objects are kept; None where the cache is switched off or impossible."""
    wanted = os.environ.get("GRAPHFLOW_CACHE", "")
    if wanted == "0" or not IS_POSSIBLE:
        return None
    if wanted:
        return Path(wanted).absolute()
    above = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if above.is_absolute():
        return above / "graphflow"
    try:
        return Path.home().absolute() / ".cache" / "graphflow"
    except RuntimeError:  # a user without a home
        return None


def load_object(key: str) -> bytes | None:
    """The object stored under a key; None where there is none that can be trusted."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        directory = _open_folder(folder)
        try:
            content = _read(directory, key + SUFFIX)
        finally:
            os.close(directory)
    except OSError:
        return None
    found = content[DIGEST_BYTES:]
    return found if content[:DIGEST_BYTES] == _checksum(key, found) else None


def store_object(key: str, content: bytes) -> None:
    """Keep an object under a key, if that is possible."""
    folder = cache_folder()
    if folder is None or len(content) > LARGEST_OBJECT:
        return
    with suppress(OSError):
        folder.mkdir(0o700, parents=True, exist_ok=True)
        directory = _open_folder(folder)
        try:
            _write(directory, key + SUFFIX, _checksum(key, content) + content)
            # Counting all files each time would cost more than it saves; keys are spread evenly.
            if int(key[0], 16) == 0:
                trim(directory)
        finally:
            os.close(directory)


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def _open_folder(folder: Path) -> int:
    """A descriptor of the folder.

    Raises:
        OSError: there is no folder, or others than the user may look into it or write to it.
    """
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    status = os.fstat(directory)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        os.close(directory)
        raise PermissionError(str(folder))
    return directory


def _read(directory: int, name: str) -> bytes:
    """The content of a file of the user's; it counts as used now."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        if not is_own or status.st_size > LARGEST_OBJECT + DIGEST_BYTES:
            raise PermissionError(name)
        content = file.read()
        with suppress(OSError):
            os.utime(descriptor)
    return content


def _write(directory: int, name: str, content: bytes) -> None:
    """Write aside, then rename: nobody ever sees a part of a file."""
    aside = f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside, dir_fd=directory)
        raise


class _File(NamedTuple):
    """A file of the folder; the one that was used longest ago sorts first."""

    used: float
    size: int
    name: str


def trim(directory: int, largest: int = LARGEST_TOTAL) -> None:
    """Remove what was used longest ago until three quarters of `largest` bytes are left, if there are more than that.

    What was written aside by a process that ended before the rename goes, too.
    """
    files: list[_File] = []
    for name in os.listdir(directory):
        with suppress(OSError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            found = _File(status.st_mtime, status.st_size, name)
            if name.endswith(SUFFIX):
                files.append(found)
            elif name.startswith(".") and SUFFIX in name and time.time() - found.used > SECONDS_ASIDE:
                os.unlink(name, dir_fd=directory)
    total = sum(file.size for file in files)
    if total <= largest:
        return
    for file in sorted(files):
        if total <= largest * 3 // 4:
            break
        with suppress(OSError):
            os.unlink(file.name, dir_fd=directory)
        total -= file.size
