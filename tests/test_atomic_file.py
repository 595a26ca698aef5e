"""A file is replaced as a whole or not at all, and what stands around it is respected."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from graphflow import atomic_file
from graphflow.atomic_file import write_atomically


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_and_a_replaced_one(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"", b"x" * 100_000):
        write_atomically(str(path), content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_relative_path_lies_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask):
    write_atomically(str(tmp_path / "file"), b"new")
    assert mode(tmp_path / "file") == 0o640


@pytest.mark.parametrize("permissions", [0o600, 0o666, 0o644, 0o400])
def test_a_replaced_file_keeps_its_permissions(file, umask, permissions):
    file.chmod(permissions)
    write_atomically(str(file), b"new")
    assert mode(file) == permissions
    assert file.read_bytes() == b"new"


def test_a_private_file_is_never_readable_for_others_while_it_is_written(file, monkeypatch):
    file.chmod(0o600)
    seen = []

    def look(place, flags, *mode):
        descriptor = os.open(place, flags, *mode)
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(atomic_file, "open_descriptor", look)
    write_atomically(str(file), b"new")
    assert seen[0] == 0o600


def test_a_symbolic_link_stays_and_the_file_it_points_to_is_replaced(tmp_path):
    (tmp_path / "runs").mkdir()
    target = tmp_path / "runs" / "target"
    link = tmp_path / "latest"
    link.symlink_to("runs/target")
    for content in (b"one", b"two"):  # the first time it points to nothing
        write_atomically(str(link), content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert list(tmp_path.glob("*/.*")) == []


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Not a regular file"):
        write_atomically(str(tmp_path / "a"), b"new")
    assert (tmp_path / "a").is_symlink()


def test_folders_pipes_and_sockets_are_never_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, number in (("folder", errno.EISDIR), ("pipe", errno.EINVAL), ("socket", errno.EINVAL)):
            with pytest.raises(OSError, match=".") as caught:
                write_atomically(str(tmp_path / name), b"new")
            assert caught.value.errno == number
    with pytest.raises(OSError, match="Not a regular file"):
        write_atomically("/dev/null", b"new")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe", "socket"]


def test_a_write_that_takes_less_than_it_was_given_is_continued(file, monkeypatch):
    monkeypatch.setattr(atomic_file, "write", lambda descriptor, content: os.write(descriptor, content[:7]))
    write_atomically(str(file), bytes(range(256)))
    assert file.read_bytes() == bytes(range(256))


def test_a_limit_of_the_system_on_the_size_leaves_the_old_file(file):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match=".") as caught:
            write_atomically(str(file), b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


def test_an_interrupt_while_writing_leaves_the_old_file(file, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_file, "sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(str(file), b"new")
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


def test_the_order_is_write_flush_rename_flush_the_folder(file, monkeypatch):
    calls = []

    def recorded(name):
        real = getattr(atomic_file, name)

        def call(*arguments):
            result = real(*arguments)
            calls.append((name, result if name == "open_descriptor" else arguments[0]))
            return result

        monkeypatch.setattr(atomic_file, name, call)

    for name in ("open_descriptor", "write", "sync", "close", "replace"):
        recorded(name)
    write_atomically(str(file), b"new")
    assert [name for name, _ in calls] == [
        "open_descriptor", "write", "sync", "close", "replace", "open_descriptor", "sync", "close",
    ]  # fmt: skip
    aside, folder = calls[0][1], calls[5][1]
    assert [what for name, what in calls if name in ("sync", "close")] == [aside, aside, folder, folder]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_folders_is_accepted(file, monkeypatch, number):
    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        os.fsync(descriptor)

    monkeypatch.setattr(atomic_file, "sync", only_files)
    write_atomically(str(file), b"new")
    assert file.read_bytes() == b"new"


def test_a_failing_flush_of_the_folder_says_that_the_new_file_is_in_place(file, monkeypatch):
    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)

    monkeypatch.setattr(atomic_file, "sync", only_files)
    with pytest.raises(OSError, match="the new file is in place") as caught:
        write_atomically(str(file), b"new")
    assert caught.value.errno == errno.EIO
    assert file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


def test_what_a_killed_process_left_is_removed_and_nothing_else(file):
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True
    )
    host, dead, alive = atomic_file.HOST, int(ended.stdout), os.getpid()
    stays = [
        f".graphflow-{host}-{alive}-01234567.tmp",
        f".graphflow-{host}-1-01234567.tmp",
        f".graphflow-other.{host}-{dead}-01234567.tmp",
        f".graphflow-{host}-{dead}-0123456.tmp",
        f".graphflow-{host}-{dead}-01234567.tmp.json",
        f"graphflow-{host}-{dead}-01234567.tmp",
        "file",
    ]
    goes = [f".graphflow-{host}-{dead}-{token}.tmp" for token in ("01234567", "89abcdef")]
    for name in stays + goes:
        (file.parent / name).write_bytes(b"half")
    write_atomically(str(file), b"new")
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(stays)
    assert file.read_bytes() == b"new"


def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def not_allowed(process, number):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", not_allowed)
    assert atomic_file.is_alive(1)


def test_without_posix_neither_processes_are_asked_nor_folders_flushed(file, monkeypatch):
    def fail(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr(atomic_file, "POSIX", False)
    monkeypatch.setattr(os, "kill", fail)
    monkeypatch.setattr(os, "listdir", fail)
    write_atomically(str(file), b"new")
    assert file.read_bytes() == b"new"


def test_a_folder_that_cannot_be_listed_can_be_written_to(file, monkeypatch):
    def not_allowed(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", not_allowed)
    write_atomically(str(file), b"new")
    assert file.read_bytes() == b"new"


def test_readers_and_several_writers_never_meet_a_part(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([65 + number]) * 50_000 for number in range(4)]
    write_atomically(str(path), contents[0])
    seen, failures = set(), []

    def save(content):
        try:
            for _ in range(10):
                write_atomically(str(path), content)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.add(path.read_bytes())
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]
