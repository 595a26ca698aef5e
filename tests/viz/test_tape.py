"""Plans and programs drawn: what flows where, what is fused and joined, and who takes turns in memory."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.passes import PIPELINE, plan_of, run_passes
from graphflow.testing import random_graph, random_network
from graphflow.viz.style import STYLES
from graphflow.viz.tape import ALONE, PLACE_COLOURS
from tests.viz import svg


def recurrent(steps=4):
    g = gf.ExprGraph()
    h = x = gf.vector(g, 3, name="x")
    w = gf.matrix(g, (3, 3), name="w")
    for t in range(steps):
        with g.step(t):
            h = gf.tanh(w @ h)
    cost = gf.sum(h) * 2.0
    cost.name = "cost"
    (dw,) = gf.grad(cost, w)
    return g, x, w, cost, dw


def placed_plan(g, cost, dw, w):
    return run_passes(plan_of([cost, dw], kept=[cost, dw], gradients={dw.id: (w.id,)}))


def sources(picture):
    """Key of a box -> keys of what it reads."""
    found = {}
    for edge in picture.edges:
        found.setdefault(edge.head, []).append(edge.tail)
    return found


def test_each_instruction_is_a_box_with_its_loop_and_place():
    g, *_ = recurrent()
    program = gf.compile_graph(g)
    picture = gf.viz.tape_picture(program)
    assert [box.key for box in picture.boxes] == [
        *(f"input[{node.id}]" for node in program.inputs),
        *(f"i{number}" for number in range(len(program))),
    ]
    for number, instruction in enumerate(program):
        box = picture.box_by_key[f"i{number}"]
        assert box.nodes == (instruction.node.id,)
        assert box.lines[0].startswith(f"{number}: ")
        assert str(instruction.loop)[:20] == box.lines[1][:20]
        place = instruction.output.place
        assert box.lines[2] == f"{instruction.output.type} in {place.kind}[{place.key}]"
        assert box.role == ("forward" if instruction.node.gradient_of is None else "gradient")


def test_arrows_follow_the_values_through_reused_memory():
    """A chain: each instruction reads the one before, though many write to the same place."""
    g = gf.ExprGraph()
    h = gf.matrix(g, (3, 3), name="x")
    for _ in range(6):
        h = gf.softmax(h @ h)
    picture = gf.viz.tape_picture(gf.compile_graph(g))
    assert sources(picture) == {"i0": ["input[0]"], **{f"i{number}": [f"i{number - 1}"] for number in range(1, 12)}}


@pytest.mark.parametrize("seed", range(12))
def test_arrows_of_a_program_are_those_of_its_plan(seed):
    """What memory says is what the plan says, where no value is a view and none lies in another."""
    case = random_network(seed, 3) if seed % 2 else random_graph(seed, 10)
    program = gf.compile_graph(case.graph, keep="all")
    reads = sources(gf.viz.tape_picture(program))
    writers = {}
    for number, instruction in enumerate(program):
        for operand in instruction.inputs:
            home = (operand.place.kind, operand.place.key)
            if home in writers:
                assert f"i{writers[home]}" in reads[f"i{number}"]
        writers[instruction.output.place.kind, instruction.output.place.key] = number
    for head, tails in reads.items():
        assert all(int(tail[1:]) < int(head[1:]) for tail in tails if tail.startswith("i") and tail[1:].isdigit())


def test_places_that_are_shared_have_a_colour():
    g, *_ = recurrent()
    program = gf.compile_graph(g)
    picture = gf.viz.tape_picture(program)
    fills = {}
    for number, instruction in enumerate(program):
        place = instruction.output.place
        fills.setdefault((place.kind, place.key), set()).add(picture.box_by_key[f"i{number}"].fill)
    counts = {home: sum((each.output.place.kind, each.output.place.key) == home for each in program) for home in fills}
    for home, colours in fills.items():
        (colour,) = colours
        assert (colour == ALONE) == (counts[home] == 1 or home[0] != "arena")
    most = max(count for (kind, _), count in counts.items() if kind == "arena")
    assert any(f"{most} values take turns" in line for entry in picture.legend for line in entry.lines)
    assert gf.viz.tape_picture(program, legend=False).legend == ()
    apart = gf.viz.tape_picture(gf.compile_graph(g, keep="all"))
    assert not any("take turns" in line for entry in apart.legend for line in entry.lines)


def test_what_is_fused_joined_and_read_is_told():
    g, _, _, cost, dw = recurrent()
    picture = gf.viz.tape_picture(gf.compile_graph(g))
    lines = [line for box in picture.boxes for line in box.lines]
    assert "3 operations fused" in lines
    assert "reads 4 that lie side by side" in lines
    assert "with 2" in lines
    bold = {box.nodes[0] for box in picture.boxes if box.is_bold}
    assert bold == {cost.id, dw.id}


def test_a_plan_is_drawn_at_every_stage():
    g, _, w, cost, dw = recurrent()
    plan = plan_of([cost, dw], kept=[cost, dw], gradients={dw.id: (w.id,)})
    for compiler_pass in PIPELINE:
        picture = gf.viz.tape_picture(plan)
        drawn = [number for number, value in enumerate(plan.values) if value.constant is None]
        assert [box.key for box in picture.boxes] == [f"v{number}" for number in drawn]
        reads = sources(picture)
        for number in drawn:
            wanted = [f"v{each}" for each in plan.values[number].inputs if plan.values[each].constant is None]
            assert reads.get(f"v{number}", []) == wanted
        plan = compiler_pass(plan)
    lines = [line for box in gf.viz.tape_picture(placed_plan(g, cost, dw, w)).boxes for line in box.lines]
    assert any(line.startswith("inside ") for line in lines)
    assert "costs nothing: it lies there already" in lines


def test_the_same_program_gives_the_same_text():
    texts = {gf.compile_graph(recurrent()[0]).to_dot() for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("form", ["svg", "png"])
def test_programs_and_plans_are_rendered(tmp_path, form):
    g, _, w, cost, dw = recurrent()
    for number, shown in enumerate((gf.compile_graph(g), placed_plan(g, cost, dw, w))):
        path = shown.render(tmp_path / f"{number}.{form}")
        content = path.read_bytes()
        assert len(content) > 1000
        if form == "svg":
            assert svg.dangers(svg.parse(content)) == []


def test_too_many_are_refused():
    g, *_ = recurrent()
    program = gf.compile_graph(g)
    with pytest.raises(gf.RenderError, match="too many instructions"):
        program.to_dot(limit=3)
    with pytest.raises(gf.RenderError, match="too many values"):
        plan_of(g.nodes, kept=g.roots).to_dot(limit=3)
    with pytest.raises(gf.OptionError, match="limit is not usable"):
        program.to_dot(limit=0)
    with pytest.raises(gf.RenderError, match="cannot draw this kind of file"):
        program.render("program.txt")


def test_names_mean_nothing_to_graphviz(tmp_path):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="<b>&\\n\x02")
    (x * 2.0).name = "</svg>"
    gf.compile_graph(g).render(tmp_path / "names.svg")
    root = svg.parse((tmp_path / "names.svg").read_bytes())
    assert svg.dangers(root) == []


def test_colours_are_pale_enough_for_black_text():
    """As pale as those of the roles."""

    def lightness(colour):
        channels = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darkest = min(lightness(style.fill) for style in STYLES.values())
    assert all(lightness(colour) >= darkest for colour in PLACE_COLOURS)
    assert len(set(PLACE_COLOURS)) == len(PLACE_COLOURS)
