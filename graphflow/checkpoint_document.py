"""The text of a checkpoint: one strict JSON document that starts with its version and ends with its digest.

    {"format":"graphflow-checkpoint","version":1,
    "tensors":[
    {"name":"w","dtype":"float32","shape":[2,3],"data":"AACAPwAAAEAAAEBAAACAQAAAoEAAAMBA"}],
    "solver":{"kind":"RMSPropSolver","state":{...}},
    "extra":{...},
    "digest":"sha256:..."}

The digest is SHA-256 over the bytes of all lines before the last, so `head -n -1 FILE | sha256sum` checks a file
without this module, and a file that was cut, or in which one bit was flipped, is refused. It finds damage, not malice:
the content is read as if the digest proved nothing.

The functions raise ValueError with what is wrong; `graphflow.checkpoint` adds the path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphflow import json_values, strict_json
from graphflow.json_values import Numbers
from graphflow.values import Array

VERSION: Final = 1
MAX_BYTES: Final = 2**31
HEAD: Final = re.compile(rb'\{"format":"graphflow-checkpoint","version":([1-9][0-9]{0,8}),\n')
LONGEST_HEAD: Final = 64
TAIL: Final = re.compile(rb'"digest":"sha256:([0-9a-f]{64})"\}\n')
TAIL_LENGTH: Final = len(b'"digest":"sha256:"}\n') + 64
MEMBERS: Final = frozenset(("format", "version", "tensors", "solver", "extra", "digest"))


@dataclass(frozen=True, eq=False)
class Content:
    """What a document says: name -> array, the solver's class and state (None if there is none), the user's dict."""

    tensors: Mapping[str, Array]
    solver_kind: str | None
    solver: dict[str, Any] | None
    extra: dict[str, Any]


def write_document(content: Content, numbers: Numbers) -> bytes:
    """The document, within the limits that hold when it is read; equal content gives equal bytes.

    Raises:
        ValueError: naming the value that has no place in it.
    """
    records = [
        {"name": name, **json_values.encode_array(array, repr(name), numbers)}
        for name, array in content.tensors.items()
    ]
    saved = None if content.solver is None else {"kind": content.solver_kind, "state": content.solver}
    lines = (
        f'{{"format":"graphflow-checkpoint","version":{VERSION},',
        '"tensors":[' + ",".join("\n" + strict_json.write(record) for record in records) + "],",
        f'"solver":{strict_json.write(json_values.encode(saved, "solver", numbers))},',
        f'"extra":{strict_json.write(json_values.encode(content.extra, "extra", numbers))},',
        "",
    )
    body = "\n".join(lines).encode("ascii")
    strict_json.check_structure(body)
    if len(body) > MAX_BYTES - TAIL_LENGTH:
        raise ValueError(f"{len(body)} bytes; the limit is {MAX_BYTES}")
    return body + f'"digest":"sha256:{hashlib.sha256(body).hexdigest()}"}}\n'.encode("ascii")


def read_document(data: bytes) -> Content:
    """What the document says, every claim compared with what is there.

    Raises:
        ValueError: naming the place that is wrong.
    """
    check_digest(data, version=check_head(data))
    found = strict_json.parse(data)
    if not isinstance(found, dict) or set(found) != MEMBERS:
        raise ValueError(f"the document does not have exactly the members {', '.join(sorted(MEMBERS))}")
    tensors = read_tensors(found["tensors"])
    kind, state = read_solver(json_values.decode(found["solver"], "solver"))
    extra = json_values.decode(found["extra"], "extra")
    if not isinstance(extra, dict):
        raise ValueError("extra is not an object")
    return Content(tensors, kind, state, extra)


def check_head(data: bytes) -> int:
    """The version that the first line claims.

    Raises:
        ValueError: these are not the first bytes of a checkpoint.
    """
    if not data:
        raise ValueError("the file is empty")
    head = HEAD.match(data)
    if not head:
        raise ValueError(f"the file starts with {data[:24]!r}; that is no checkpoint")
    return int(head[1])


def check_digest(data: bytes, version: int) -> None:
    """Compare version and digest, before anything is made of the content.

    Raises:
        ValueError: a newer version, no digest, or another digest.
    """
    digest = hashlib.sha256(memoryview(data)[:-TAIL_LENGTH]).hexdigest()
    tail = TAIL.fullmatch(data[-TAIL_LENGTH:])
    claimed = tail[1].decode("ascii") if tail else None
    if version != VERSION:
        doubt = "" if claimed == digest else ", and the digest does not fit"
        raise ValueError(f"format version {version}{doubt}; this graphflow knows {VERSION}, so a newer one is needed")
    if claimed is None:
        raise ValueError("the last line is not a digest: the file was cut or changed")
    if claimed != digest:
        raise ValueError(f"the digest is {digest[:16]}..., but {claimed[:16]}... was saved: the file is damaged")


def read_tensors(records: object) -> dict[str, Array]:
    """The arrays under their names.

    Raises:
        ValueError: naming the record that is wrong.
    """
    if not isinstance(records, list):
        raise ValueError("tensors is not a list")
    tensors: dict[str, Array] = {}
    for index, record in enumerate(records):
        name = record.pop("name", None) if isinstance(record, dict) else None
        if not isinstance(name, str) or name in tensors:
            raise ValueError(f"tensors[{index}] has no name of its own: {name!r:.80}")
        tensors[name] = json_values.decode_array(record, f"tensors[{index}] ({name!r:.80})")
    return tensors


def read_solver(saved: object) -> tuple[str | None, dict[str, Any] | None]:
    """The solver's class and state.

    Raises:
        ValueError: it is neither null nor a class with a state.
    """
    if saved is None:
        return None, None
    if isinstance(saved, dict) and set(saved) == {"kind", "state"}:
        kind, state = saved["kind"], saved["state"]
        if isinstance(kind, str) and isinstance(state, dict):
            return kind, state
    raise ValueError("solver is neither null nor a kind with a state")
