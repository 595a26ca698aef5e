"""What a pass has done to a plan: for each of the user's nodes the values before and after, compared."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from graphflow.passes.plan import Kinds, Plan, Value

MOST_KEPT, MOST_PRINTED = 20, 3
LONGEST_FORM: Final = 60
NAME_WIDTH: Final = 18


@final
@dataclass(frozen=True)
class PassChange:
    """What one pass has done.

    Attributes:
        name: of the pass.
        before, after: how many values the plan had and has.
        removed, added, rewritten: how many values are gone, are new, are computed in another way; a value belongs to a
            user's node, and whoever only reads others now counts as `rewired`.
        rewired: how many read other values than before.
        lines: what was done to the first values of each kind.
        note: on the places of values, from the pass that gives them theirs.
    """

    name: str
    before: int
    after: int
    removed: int
    added: int
    rewritten: int
    rewired: int
    lines: dict[str, tuple[str, ...]]
    note: str = ""

    @property
    def is_nothing(self) -> bool:
        """Whether the pass has changed nothing."""
        return not (self.removed or self.added or self.rewritten or self.rewired or self.note)

    def __str__(self) -> str:
        """A head with the counts, and the first lines of each kind."""
        counts = {kind: getattr(self, kind) for kind in ("removed", "added", "rewritten", "rewired")}
        told = ", ".join([f"{count} {kind}" for kind, count in counts.items() if count] + [self.note] * bool(self.note))
        lines = [f"{self.name:<{NAME_WIDTH}} {self.before:>5} -> {self.after:<5}  {told or 'nothing'}"]
        for kind, texts in self.lines.items():
            lines += [f"    {kind:<9}  {text}" for text in texts[:MOST_PRINTED]]
            rest = counts[kind] - MOST_PRINTED
            lines += [f"    {'':<9}  and {rest} more"] if rest > 0 else []
        return "\n".join(lines)


@final
@dataclass(frozen=True)
class PassChanges:
    """What each pass of the compiler has done to a graph, in their order; `print` lists it.

    Made by `passes_of`.
    """

    passes: tuple[PassChange, ...]

    def __len__(self) -> int:
        return len(self.passes)

    def __iter__(self) -> Iterator[PassChange]:
        return iter(self.passes)

    def __str__(self) -> str:
        """The passes one below the other; those that changed nothing in one line."""
        return "\n".join(str(each) for each in self.passes)


class _Seen(NamedTuple):
    """A value as it is compared: by what computes it, and by the nodes that it reads."""

    form: Hashable
    sources: tuple[int, ...]
    value: Value


def change_of(name: str, before: Plan, after: Plan) -> PassChange:
    """Compare the plans before and after a pass.

    Args:
        name: of the pass.
        before: what it was given.
        after: what it has returned.
    """
    told = _Told()
    if before is not after:
        _tell(before, after, told)
    lines = {kind: tuple(texts) for kind, texts in told.lines.items() if texts}
    return PassChange(
        name, len(before.values), len(after.values), **told.counts, lines=lines, note=_note(before, after)
    )


def _tell(before: Plan, after: Plan, told: _Told) -> None:
    """Compare the values of each of the user's nodes."""
    kinds = Kinds()
    old, new = _by_node(before, kinds), _by_node(after, kinds)
    for node in dict.fromkeys((*old, *new)):
        _, gone, come = _paired(old.get(node, []), new.get(node, []), lambda seen: (seen.form, seen.sources))
        moved, gone, come = _paired(gone, come, lambda seen: seen.form)
        changed = list(zip(gone, come, strict=False))
        for _, two in moved:
            told.add("rewired", (two, after))
        for one, two in changed:
            told.add("rewritten", (one, before), (two, after))
        for one in gone[len(changed) :]:
            told.add("removed", (one, before))
        for two in come[len(changed) :]:
            told.add("added", (two, after))


class _Told:
    """How many changes of each kind there are, and the words for the first of them."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("removed", "added", "rewritten", "rewired"), 0)
        self.lines: dict[str, list[str]] = {kind: [] for kind in self.counts}

    def add(self, kind: str, *forms: tuple[_Seen, Plan]) -> None:
        """Count a change of a value, whose forms before and after are given with their plans."""
        if self.counts[kind] < MOST_KEPT:
            texts = [_form(seen, plan) for seen, plan in forms]
            self.lines[kind].append(f"{_head(forms[0][0])} {'  =>  '.join(texts)}")
        self.counts[kind] += 1


def _by_node(plan: Plan, kinds: Kinds) -> dict[int, list[_Seen]]:
    groups: dict[int, list[_Seen]] = {}
    for value in plan.values:
        # Passes hand constants on as they are, and both plans are alive.
        constant = None if value.constant is None else id(value.constant)
        sources = tuple([plan.values[operand].node.id for operand in value.inputs])
        what = value.op if value.loop is None else value.loop
        form = (None if what is None else kinds.number(what), constant, value.type)
        groups.setdefault(value.node.id, []).append(_Seen(form, sources, value))
    return groups


def _paired(
    old: Sequence[_Seen], new: Sequence[_Seen], key: Callable[[_Seen], Hashable]
) -> tuple[list[tuple[_Seen, _Seen]], list[_Seen], list[_Seen]]:
    """The values before and after that have a key in common, one to one; those before, and those after, without one."""
    waiting: dict[Hashable, list[_Seen]] = {}
    for seen in old:
        waiting.setdefault(key(seen), []).append(seen)
    pairs, come = [], []
    for seen in new:
        same = waiting.get(key(seen))
        if same:
            pairs.append((same.pop(0), seen))
        else:
            come.append(seen)
    return pairs, [seen for group in waiting.values() for seen in group], come


def _head(seen: _Seen) -> str:
    node = seen.value.node
    step = "" if node.step is None else f" t={node.step}"
    return f"{node.label}{step} {node.origin}:"


def _form(seen: _Seen, plan: Plan) -> str:
    """What computes a value, from which nodes."""
    value = seen.value
    if value.is_leaf:
        if value.constant is None:
            return "an input"
        return f"the constant {value.constant.item():g}" if value.constant.size == 1 else "a constant"
    what = str(value.loop) if value.loop is not None else value.op.name if value.op is not None else "?"
    what = what if len(what) <= LONGEST_FORM else f"{what[: LONGEST_FORM - 3]}..."
    names = [plan.values[operand].node.label for operand in value.inputs]
    rest = len(names) - MOST_PRINTED
    return f"{what} ({', '.join(names[:MOST_PRINTED])}{f' and {rest} more' if rest > 0 else ''})"


def _note(before: Plan, after: Plan) -> str:
    """What happened to places: joined values, memory, and what lies in other values."""
    notes = []
    if len(after.together) > len(before.together):
        notes.append(f"{len(after.together)} values are computed inside others")
    if any(value.place is not None for value in after.values) and all(value.place is None for value in before.values):
        homes = [value.place.key for value in after.values if value.place is not None and value.place.kind == "arena"]
        views = sum(value.is_alias for value in after.values)
        notes.append(
            f"{after.arena_bytes} bytes of arena: {len(homes)} values in {len(set(homes))} places, {views} of all are "
            "views that cost nothing"
        )
    return ", ".join(notes)
