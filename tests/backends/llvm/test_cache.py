"""Machine code on disk: found again, never trusted blindly, never an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import graphflow as gf
from graphflow.backends.llvm import cache, host
from graphflow.backends.llvm.cache import cache_folder, key_of, load_object, store_object, trim

ROOT = Path(__file__).resolve().parents[3]
KEY = key_of("some text")
OTHER = key_of("another text")
CONTENT = bytes(range(256)) * 3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache in a folder of its own, which does not exist yet."""
    found = tmp_path / "objects"
    monkeypatch.setenv("GRAPHFLOW_CACHE", str(found))
    return found


def stored(folder):
    return sorted(path.name for path in folder.iterdir())


# --- where ------------------------------------------------------------------------------------------------------------


def test_the_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("GRAPHFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert cache_folder() == Path("/somewhere/cache/graphflow")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/somewhere/me")
    assert cache_folder() == Path("/somewhere/me/.cache/graphflow")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path("/somewhere/me/.cache/graphflow")
    monkeypatch.setenv("GRAPHFLOW_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")
    assert cache_folder() is None


def test_where_folders_have_no_owner_there_is_no_cache(folder, monkeypatch):
    monkeypatch.setattr(cache, "IS_POSSIBLE", False)
    store_object(KEY, CONTENT)
    assert load_object(KEY) is None
    assert not folder.exists()


def test_switched_off_it_writes_and_reads_nothing(folder, monkeypatch):
    store_object(KEY, CONTENT)
    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")
    assert load_object(KEY) is None
    store_object(OTHER, CONTENT)
    assert stored(folder) == [f"{KEY}.object"]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_what_is_stored_is_found(folder):
    assert load_object(KEY) is None
    store_object(KEY, CONTENT)
    assert load_object(KEY) == CONTENT
    assert load_object(OTHER) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert stored(folder) == [f"{KEY}.object"]
    assert (folder / f"{KEY}.object").stat().st_mode & 0o777 == 0o600


def test_keys_tell_parts_apart():
    keys = {key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", ""), key_of("", "abc")}
    assert len(keys) == 5
    assert key_of("ab", "c") == key_of("ab", "c")


def test_the_version_of_the_emitter_is_in_the_key(monkeypatch):
    monkeypatch.setattr(cache, "EMITTER_VERSION", cache.EMITTER_VERSION + 1)
    assert key_of("some text") != KEY


@pytest.mark.parametrize("at", [0, 1, 31, 32, 33, 500, -1])
def test_a_flipped_bit_is_noticed(folder, at):
    store_object(KEY, CONTENT)
    path = folder / f"{KEY}.object"
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    assert load_object(KEY) is None
    store_object(KEY, CONTENT)
    assert load_object(KEY) == CONTENT


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 799])
def test_a_cut_file_is_noticed(folder, size):
    store_object(KEY, CONTENT)
    path = folder / f"{KEY}.object"
    path.write_bytes(path.read_bytes()[:size])
    assert load_object(KEY) is None


def test_an_object_under_another_key_is_noticed(folder):
    store_object(KEY, CONTENT)
    (folder / f"{KEY}.object").rename(folder / f"{OTHER}.object")
    assert load_object(OTHER) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755, 0o777])
def test_a_folder_that_others_may_enter_is_not_used(folder, mode):
    store_object(KEY, CONTENT)
    folder.chmod(mode)
    assert load_object(KEY) is None
    store_object(OTHER, CONTENT)
    assert stored(folder) == [f"{KEY}.object"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_used(folder, mode):
    store_object(KEY, CONTENT)
    (folder / f"{KEY}.object").chmod(mode)
    assert load_object(KEY) is None


def test_files_and_folders_of_others_are_not_used(folder, monkeypatch):
    store_object(KEY, CONTENT)
    monkeypatch.setattr(cache.os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert load_object(KEY) is None
    store_object(OTHER, CONTENT)
    assert stored(folder) == [f"{KEY}.object"]


def test_links_and_pipes_are_not_followed(folder):
    store_object(KEY, CONTENT)
    (folder / f"{OTHER}.object").symlink_to(folder / f"{KEY}.object")
    assert load_object(OTHER) is None
    (folder / f"{KEY}.object").unlink()
    os.mkfifo(folder / f"{KEY}.object", 0o600)
    assert load_object(KEY) is None


def test_a_file_in_the_place_of_the_folder_is_no_error(folder):
    folder.write_text("in the way")
    store_object(KEY, CONTENT)
    assert load_object(KEY) is None
    assert folder.read_text() == "in the way"


def test_a_folder_that_cannot_be_made_is_no_error(folder, monkeypatch):
    folder.write_text("in the way")
    monkeypatch.setenv("GRAPHFLOW_CACHE", str(folder / "below" / "it"))
    store_object(KEY, CONTENT)
    assert load_object(KEY) is None


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def fail(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GRAPHFLOW_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", classmethod(fail))
    assert cache_folder() is None
    store_object(KEY, CONTENT)
    assert load_object(KEY) is None


@pytest.mark.parametrize("name", ["open", "fstat", "replace", "fdopen"])
def test_no_failing_call_is_an_error_or_leaves_anything(folder, monkeypatch, name):
    store_object(OTHER, CONTENT)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, name, fail)
        store_object(KEY, CONTENT)
        if name != "replace":
            assert load_object(OTHER) is None
    assert load_object(KEY) is None
    assert stored(folder) == [f"{OTHER}.object"]


# --- size -------------------------------------------------------------------------------------------------------------


def trimmed(folder, largest):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        trim(descriptor, largest)
    finally:
        os.close(descriptor)


def test_what_was_used_longest_ago_goes_first(folder):
    keys = [key_of(str(number)) for number in range(8)]
    for age, key in enumerate(keys):
        store_object(key, CONTENT)
        os.utime(folder / f"{key}.object", (1000 + age, 1000 + age))
    size = (folder / f"{keys[0]}.object").stat().st_size
    trimmed(folder, 8 * size)
    assert len(stored(folder)) == 8
    assert load_object(keys[0]) == CONTENT  # used again, so it stays
    trimmed(folder, 7 * size)
    assert stored(folder) == sorted(f"{key}.object" for key in (keys[0], *keys[4:]))


def test_what_was_left_aside_goes_and_what_is_being_written_stays(folder):
    store_object(KEY, CONTENT)
    (folder / f".{OTHER}.object.1.aa").write_bytes(b"old")
    os.utime(folder / f".{OTHER}.object.1.aa", (1000, 1000))
    (folder / f".{OTHER}.object.2.bb").write_bytes(b"new")
    (folder / "notes").write_text("not ours")
    trimmed(folder, 10**9)
    assert stored(folder) == sorted([f".{OTHER}.object.2.bb", f"{KEY}.object", "notes"])


def test_storing_trims_now_and_then(folder, monkeypatch):
    calls = []
    monkeypatch.setattr(cache, "trim", calls.append)
    keys = [key_of(str(number)) for number in range(200)]
    for key in keys:
        store_object(key, b"small")
    assert len(calls) == sum(key[0] == "0" for key in keys) > 0


def test_a_huge_object_is_not_stored(folder, monkeypatch):
    monkeypatch.setattr(cache, "LARGEST_OBJECT", len(CONTENT) - 1)
    store_object(KEY, CONTENT)
    assert load_object(KEY) is None


# --- machines ---------------------------------------------------------------------------------------------------------


def machine_value():
    """What a small machine computes, freshly compiled."""
    g = gf.ExprGraph()
    x = gf.vector(g, 37, name="x", init=gf.ones())
    y = gf.sum(gf.tanh(x * 0.5) + 3.0)
    with gf.TapeMachine(g, backend="native") as vm:
        vm.run_all()
    return float(y.value)


@pytest.fixture
def generated(monkeypatch):
    """The texts that code was generated for."""
    texts = []
    original = host.generate

    def generate(text, wanted):
        texts.append(text)
        return original(text, wanted)

    monkeypatch.setattr(host, "generate", generate)
    return texts


def test_the_second_machine_generates_no_code(folder, generated):
    first = machine_value()
    count = len(generated)
    assert count >= 1
    assert machine_value() == first
    assert len(generated) == count


def test_without_the_cache_each_machine_generates(folder, generated, monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")
    machine_value()
    count = len(generated)
    machine_value()
    assert len(generated) > count
    assert not folder.exists()


def test_a_spoiled_object_is_generated_again(folder, generated):
    first = machine_value()
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    count = len(generated)
    assert machine_value() == first
    assert len(generated) > count
    assert machine_value() == first


@pytest.mark.parametrize("field", ["cpu", "features"])
def test_code_for_another_host_is_another_object(folder, generated, field):
    here = host.this_host()
    text = "define void @nothing() {\n  ret void\n}\n"
    host.object_of(text, here)
    host.object_of(text, here)
    host.object_of(text, here._replace(**{field: {"cpu": "x86-64", "features": "-avx512f"}[field]}))
    assert len(generated) == 2
    assert len(stored(folder)) == 2


def test_code_at_another_level_is_another_object(folder, generated, monkeypatch):
    text = "define void @nothing() {\n  ret void\n}\n"
    host.object_of(text, host.this_host())
    monkeypatch.setattr(host, "LEVEL", 1)
    host.object_of(text, host.this_host())
    assert len(generated) == 2


def test_threads_at_once(folder):
    """Many threads store and load the same few keys; whatever is found is whole."""
    keys = [key_of(str(number)) for number in range(3)]
    wrong = []

    def work(seed):
        for number in range(60):
            key = keys[(seed + number) % 3]
            store_object(key, key.encode() * 50)
            if load_object(key) != key.encode() * 50:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert stored(folder) == sorted(f"{key}.object" for key in keys)


PROGRAM = """
import sys
from graphflow.backends.llvm.cache import key_of, load_object, store_object
for number in range(200):
    key = key_of(str(number % 3))
    store_object(key, key.encode() * 50)
    if load_object(key) != key.encode() * 50:
        sys.exit(f"object {number % 3} is not whole")
"""


def test_processes_at_once(folder):
    command = [sys.executable, "-c", PROGRAM]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in running] == ["", "", ""]
    assert len(stored(folder)) == 3
