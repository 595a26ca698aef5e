"""Checkpoints that are killed, cut, flipped, hostile, or written to a failing disk (C1, C3, C4, C6, C7)."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from graphflow import atomic_file, checkpoint, checkpoint_document
from graphflow.checkpoint import load_checkpoint, save_checkpoint
from graphflow.errors import CheckpointError
from graphflow.graph import ExprGraph
from tests.checkpoint_examples import CountingSolver, document, parameter, small_model
from tests.soak.checkpoint_kill import kill_many

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.json"


# --- C1: killed -------------------------------------------------------------------------------------------------------


def test_fault_3_a_kill_never_loses_the_last_checkpoint(tmp_path):
    tally = kill_many(tmp_path, kills=10, seed=1)
    assert tally.problems == []
    assert tally.kills == 10
    assert tally.saves >= 10


# --- C3: failing writes -----------------------------------------------------------------------------------------------


def save_on_a_failing_disk(path, nodes, failing, number):
    """Save while the n-th system call fails; writes take at most 300 bytes. The error, and the calls that were made."""
    calls = []

    def wrap(name):
        real = getattr(atomic_file, name)

        def call(first, *others):
            calls.append(name)
            if name == "write":
                others = (others[0][:300],)
            is_bad = len(calls) == failing
            result = None if is_bad and name != "close" else real(first, *others)  # a failing close closes all the same
            if is_bad:
                raise OSError(number, os.strerror(number))
            return result

        return call

    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("open_descriptor", "write", "sync", "close", "replace"):
            monkeypatch.setattr(atomic_file, name, wrap(name))
        try:
            save_checkpoint(path, nodes)
        except CheckpointError as error:
            return error, calls
    return None, calls


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_fault_3_whichever_call_fails_the_old_checkpoint_still_loads(path, number):
    old, new = small_model(), small_model(2.0)
    failed = []
    open_files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for failing in range(1, 100):
        save_checkpoint(path, old)
        error, calls = save_on_a_failing_disk(path, new, failing, number)
        if error is None:
            break
        failed.append(calls[failing - 1])
        # Once the file is renamed, only the flush of the folder can fail: the new one is there, and that is said.
        is_in_place = "replace" in calls[: failing - 1]
        expected = new if is_in_place else old
        assert load_checkpoint(path).tensors["w"].tobytes() == expected[0].value.tobytes()
        assert list(path.parent.iterdir()) == [path]
        assert f"cannot save the checkpoint {str(path)!r}" in str(error)
        assert os.strerror(number) in error.got
        assert f"({errno.errorcode[number]})" in error.got
        assert ("the new file is in place" in error.got) == is_in_place
        assert (error.hint is None) == (number == errno.EIO)
    assert failed.count("write") >= 3
    assert [name for name in failed if name != "write"] == [
        "open_descriptor", "sync", "close", "replace", "open_descriptor", "sync", "close",
    ]  # fmt: skip
    assert load_checkpoint(path).tensors["w"].tobytes() == new[0].value.tobytes()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == open_files


def test_a_first_save_that_fails_leaves_nothing(path):
    for failing in range(1, 100):
        error, calls = save_on_a_failing_disk(path, small_model(), failing, errno.ENOSPC)
        if "replace" in calls[: failing - 1]:
            break
        assert "No space left on device (ENOSPC)" in str(error)
        assert "free some space" in str(error)
        assert list(path.parent.iterdir()) == []
    assert failing >= 8


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "runs" / "run.json"
    with pytest.raises(CheckpointError, match=r"No such file or directory \(ENOENT\)") as caught:
        save_checkpoint(path, small_model())
    assert caught.value.hint == f"os.makedirs({str(tmp_path / 'runs')!r})"
    with pytest.raises(CheckpointError, match=r"No such file or directory \(ENOENT\)") as caught:
        load_checkpoint(tmp_path / "run.json")
    assert caught.value.hint is None


def test_places_where_no_file_can_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for place, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "file" / "run.json", "Not a directory"),
        ("", "Is a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
        (f"{tmp_path}/a\0b", "embedded null"),
        ("/dev/null", "Not a regular file"),
    ):
        with pytest.raises(CheckpointError, match=reason):
            save_checkpoint(place, small_model())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_places_that_are_no_checkpoint(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"hello")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbf" + document())
    (tmp_path / "wide").write_bytes(document().decode("ascii").encode("utf-16"))
    os.mkfifo(tmp_path / "pipe")
    for place, reason in (
        (tmp_path, "this is not a regular file"),
        (tmp_path / "pipe", "this is not a regular file"),
        ("/dev/zero", "this is not a regular file"),
        (tmp_path / "empty", "the file is empty"),
        (tmp_path / "text", "the file starts with b'hello'; that is no checkpoint"),
        (tmp_path / "bom", "that is no checkpoint"),
        (tmp_path / "wide", "that is no checkpoint"),
        (tmp_path / "missing", "No such file or directory"),
        (f"{tmp_path}/a\0b", "embedded null"),
        ("", "No such file or directory"),
    ):
        with pytest.raises(CheckpointError, match=reason) as caught:
            load_checkpoint(place)
        assert f"cannot load the checkpoint {str(place)!r}" in str(caught.value)


def test_a_read_that_fails_is_reported(path, monkeypatch):
    def fail(place):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(checkpoint, "read_regular_file", fail)
    with pytest.raises(CheckpointError, match=r"Input/output error \(EIO\)"):
        load_checkpoint(path)


def test_too_little_memory_is_reported(path, monkeypatch):
    def fail(data):
        raise MemoryError

    monkeypatch.setattr(checkpoint_document, "read_document", fail)
    save_checkpoint(path, small_model())
    with pytest.raises(CheckpointError, match="not enough memory"):
        load_checkpoint(path)


# --- C4: cut or flipped -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["base64", "lists"])
def small_file(path, request):
    nodes = [parameter(ExprGraph(), "w", [[0.1, 1e20]]), parameter(ExprGraph(), "b", 3, "int64")]
    save_checkpoint(path, nodes, solver=CountingSolver(2), extra={"v": ["a", "é"]}, numbers=request.param)
    assert load_checkpoint(path).tensors["b"] == 3
    return path


def is_refused(path, data):
    path.write_bytes(data)
    try:
        load_checkpoint(path)
    except CheckpointError:
        return True
    return False


def test_every_prefix_is_refused(small_file):
    data = small_file.read_bytes()
    assert [end for end in range(len(data)) if not is_refused(small_file, data[:end])] == []


def test_every_flipped_bit_is_refused(small_file):
    data = bytearray(small_file.read_bytes())
    accepted = []
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        if not is_refused(small_file, data):
            accepted.append(bit)
        data[bit // 8] ^= 1 << bit % 8
    assert accepted == []
    assert not is_refused(small_file, data)


def test_anything_put_in_front_or_behind_is_refused(small_file):
    data = small_file.read_bytes()
    for more in (b"\n", b" ", b"\0", b"{}", data):
        assert is_refused(small_file, data + more)
        assert is_refused(small_file, more + data)
    assert is_refused(small_file, data.replace(b"\n", b"\r\n"))
    assert is_refused(small_file, json.dumps(json.loads(data), indent=1).encode("ascii"))


def test_the_middle_of_a_large_file_is_looked_at(path):
    save_checkpoint(path, [parameter(ExprGraph(), "w", np.zeros(100_000))])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="the file is damaged"):
        load_checkpoint(path)


# --- C6: odd JSON, with the right digest, in bounded time and memory --------------------------------------------------

CLAIM = b'[{"name":"w","dtype":"float64","shape":[%s],"data":%s}]'
ODD = {
    "nan": (lambda: document(extra=b'{"a":NaN}'), "NaN is not JSON"),
    "infinity": (lambda: document(extra=b'{"a":-Infinity}'), "-Infinity is not JSON"),
    "beyond float64": (lambda: document(extra=b'{"a":1e999}'), "the number 1e999 is beyond float64"),
    "beyond float64 in a tensor": (lambda: document(CLAIM % (b"1", b"[1e999]")), "the number 1e999 is beyond float64"),
    "same key twice": (lambda: document(extra=b'{"a":1,"\\u0061":2}'), "the key 'a' stands twice"),
    "byte order mark": (lambda: document(extra=b"\xef\xbb\xbf{}"), "byte 0xef at .* is not ASCII"),
    "nul": (lambda: document(extra=b"{}\0"), "delimiter"),
    "nul in a string": (lambda: document(extra=b'{"a":"\0"}'), "control character"),
    "invalid utf-8": (lambda: document(extra=b'{"a":"\xff\xfe"}'), "byte 0xff at .* is not ASCII"),
    "100,000 levels of lists": (
        lambda: document(extra=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested 100002 levels deep",
    ),
    "100,000 levels of objects": (
        lambda: document(extra=b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested 100001 levels deep",
    ),
    "10,000,000 levels": (lambda: document(extra=b"[" * 10_000_000), "lists and objects; the limit is"),
    "1,000,000 keys": (
        lambda: document(extra=b"{" + b",".join(b'"%d":0' % key for key in range(10**6)) + b"}"),
        r"1\d{6} strings and keys; the limit is 250000",
    ),
    "1,000,000 times the same key": (
        lambda: document(extra=b"{" + b",".join([b'"a":0'] * 10**6) + b"}"), "strings and keys; the limit is 250000",
    ),
    "200,000 times the same key": (
        lambda: document(extra=b"{" + b",".join([b'"a":0'] * 200_000) + b"}"), "the key 'a' stands twice",
    ),
    "5,000,000 empty lists": (lambda: document(extra=b"[" + b"[]," * (5 * 10**6)), "lists and objects; the limit is"),
    "10,000,000 escaped quotes": (lambda: document(extra=b'{"a":"' + b'\\"' * 10**7), "control character"),
    "10,000,000 quotes": (lambda: document(extra=b'"' * 10**7), "strings and keys; the limit is"),
    "an integer of 1,000,000 digits": (lambda: document(extra=b'{"a":' + b"1" * 10**6 + b"}"), "an integer of 1000000"),
    "a float of 1,000,000 digits": (
        lambda: document(CLAIM % (b"2", b"[0." + b"1" * 10**6 + b"]")), "1 numbers; its shape needs 2",
    ),
    "a claim of 10 GB": (lambda: document(CLAIM % (b"1250000000", b'"AAAA"')), "4 characters of data; its shape"),
    "a claim of 10 GB in a list": (lambda: document(CLAIM % (b"1250000000", b"[0.0]")), "1 numbers; its shape needs"),
    "a claim beyond all": (lambda: document(CLAIM % (b"9999999999,9999999999", b'""')), "has an impossible shape"),
    "a claim beyond all, empty": (
        lambda: document(CLAIM % (b"0,9999999999,9999999999", b'""')), "has an impossible shape",
    ),
    "a claim in the user's data": (
        lambda: document(extra=b'{"a":{"$array":{"dtype":"float64","shape":[1250000000],"data":""}}}'),
        "0 characters of data; its shape",
    ),
    "1,000,000 axes": (
        lambda: document(CLAIM % (b",".join([b"1"] * 10**6), b"[0.0]")), "has an impossible shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_json_is_refused_within_a_second_and_64_mib(path, case):
    make, reason = ODD[case]
    path.write_bytes(make())
    start = time.process_time()
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(path)
    assert time.process_time() - start < 1.0
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=reason):
            load_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_huge_files_are_refused_unread(path):
    for size, reason in (
        (2 * 10**9, "that is no checkpoint"),
        (10**10, "the file has 10000000000 bytes; the limit is 2147483648"),
    ):
        path.write_bytes(b"")
        os.truncate(path, size)  # a hole: it takes no space on the disk
        tracemalloc.start()
        try:
            with pytest.raises(CheckpointError, match=reason):
                load_checkpoint(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2**20


# --- C7: nothing is executed ------------------------------------------------------------------------------------------


def test_loading_executes_nothing(path):
    hostile = {
        "pickle": "gASVJgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAt0b3VjaCBvd25lZJSFlFKULg==",
        "expression": "__import__('os').system('touch owned')",
        "py/object": "os.system",
        "__reduce__": ["os.system", "touch owned"],
        "tag": "!!python/object/apply:os.system",
        "array": np.arange(3),
        "tuple": (1, 2**70, float("inf")),
    }
    save_checkpoint(path, small_model(), solver=CountingSolver(1), extra=hostile)
    script = """
        import sys
        from graphflow.checkpoint import load_checkpoint

        events = []
        is_loading = False
        sys.addaudithook(lambda event, arguments: events.append(event) if is_loading else None)
        is_loading = True
        found = load_checkpoint(sys.argv[1])
        is_loading = False
        assert found.extra["tuple"] == (1, 2**70, float("inf"))
        print(sorted(set(events)))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=path.parent,
    )  # fmt: skip
    assert ended.stdout == "['open']\n"
    assert not (path.parent / "owned").exists()
