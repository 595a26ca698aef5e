"""to_html in a browser: what a reader does with mouse and keys, and that the page asks for nothing from outside."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.viz.labels import LONGEST_NAME, visible
from tests.viz.browser import Browser, find_browser
from tests.viz.graphs import HOSTILE_NAMES, hostile, steps, two_layers, unrolled
from tests.viz.test_hostile_names import BATCHES, names

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium is installed: apt-get install chromium, or another Chrome on the PATH"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file."""
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a graph; at the end of the test it must have complained of nothing and asked for nothing."""
    pages = []

    def open_page(g, **options):
        path = tmp_path / "page.html"
        g.to_html(path)
        pages.append(browser.open(path, **options))
        return pages[-1]

    yield open_page
    assert [page.complaints() for page in pages] == [[]] * len(pages)
    assert [page.requests() for page in pages] == [[]] * len(pages)


def node(number):
    """The selector of a node's box."""
    return f'.node[data-key="n{number}"]'


def classes(page, name):
    """The keys of the boxes of a class."""
    return page.ask(f"[...document.querySelectorAll('#canvas .node.{name}')].map(e => e.dataset.key)")


def ran():
    """Two layers whose values are known, and numbers that are none."""
    g = gf.ExprGraph("ran")
    x = gf.vector(g, 6, name="x", value=[-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    y = gf.log(x)
    y.name = "logarithm"
    gf.grad(gf.sum(gf.tanh(x)), x)
    with gf.TapeMachine(g, keep="all") as vm:
        vm.run_all()
    return g, y


def test_the_picture_is_shown(opened):
    g = two_layers()
    page = opened(g)
    drawn = page.ask("[...document.querySelectorAll('#canvas .node')].map(e => e.dataset.key)")
    assert {f"n{each.id}" for each in g if not each.is_constant} <= set(drawn)
    assert page.texts("title") == ["two layers"]
    assert page.texts("#panel h2") == ["The graph"]
    width, height = page.ask(
        "(r => [r.width, r.height])(document.querySelector('#canvas .graph').getBoundingClientRect())"
    )
    assert width > 400
    assert height > 200


def test_search_finds_a_node(opened):
    g = two_layers()
    page = opened(g)
    page.press("/", *"sigmoid")
    assert page.texts("#results li.note") == ["1 node"]
    (found,) = [each for each in g if each.op is not None and each.op.symbol == "sigmoid"]
    assert classes(page, "found") == [f"n{found.id}"]
    page.press("Enter")
    assert page.texts("#panel h2") == ["sigmoid"]
    assert classes(page, "chosen") == [f"n{found.id}"]
    assert page.ask("document.querySelector('#results').hidden")


@pytest.mark.parametrize(
    ("words", "count"),
    [("matmul hidden", 2), ("%0", 1), ("gradient float32[5, 2]", 1), ("graphs.py", 33), ("nothing at all", 0)],
)
def test_search_looks_everywhere(opened, words, count):
    page = opened(two_layers())
    page.press("/", *words)
    assert len(page.texts("#results li[role=option]")) == min(count, 60)


def test_the_arrows_go_through_what_was_found(opened):
    page = opened(two_layers())
    page.press("/", *"matmul", "ArrowDown", "ArrowDown", "ArrowUp", "Enter")
    assert page.texts("#panel .type") == ["float32[4, 2]"]
    page.press("/", "Escape")
    assert page.ask("document.querySelector('#search').value") == ""
    assert classes(page, "found") == []


def test_a_click_shows_everything_about_a_node(opened):
    g, y = ran()
    page = opened(g)
    page.click(node(y.id))
    facts = dict(zip(page.texts("#panel dt"), page.texts("#panel dd"), strict=True))
    assert page.texts("#panel h2") == ["logarithm = log"]
    assert page.texts("#panel .type") == ["float32[6]"]
    assert facts["op"] == "log"
    assert facts["role"] == "forward"
    assert facts["made at"].startswith("test_page_in_browser.py:")
    assert (facts["least"], facts["largest"], facts["NaN"], facts["infinite"]) == ("0", "1.386", "1", "1")
    assert page.texts("#panel li button") == ["x %0"]
    page.click("#panel li button")
    assert page.texts("#panel h2") == ["x"]
    page.press("Escape")
    assert page.texts("#panel h2") == ["The graph"]


def test_hovering_pairs_a_node_with_its_gradient(opened):
    g = two_layers()
    page = opened(g)
    (tanh,) = [each for each in g if each.op is not None and each.op.symbol == "tanh"]
    wanted = {f"n{each.id}" for each in g if each.gradient_of is tanh and not each.is_constant}
    page.hover(node(tanh.id))
    assert classes(page, "hot") == [f"n{tanh.id}"]
    assert set(classes(page, "pair")) == wanted
    assert page.ask("document.querySelectorAll('#canvas .links path').length") == len(wanted)
    gradient = min(wanted)
    page.hover(f'.node[data-key="{gradient}"]')
    assert classes(page, "pair") == [f"n{tanh.id}"]
    page.hover("h1")
    assert classes(page, "hot") == classes(page, "pair") == []


def test_a_parameter_is_paired_with_its_gradient(opened):
    g = two_layers()
    page = opened(g)
    (w,) = g.by_name("w")
    page.hover(node(w.id))
    assert f"n{g.gradients[w.id].id}" in classes(page, "pair")


def test_wheel_and_drag_and_keys_move_the_picture(opened):
    page = opened(two_layers())

    def window():
        return [
            float(each) for each in page.ask("document.querySelector('#canvas svg').getAttribute('viewBox')").split()
        ]

    home = window()
    x, y = page.middle("#canvas")
    before = page.middle(node(0))
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.wait(f"document.querySelector('#canvas svg').viewBox.baseVal.width < {home[2] * 0.9}")
    page.press("0")
    assert window() == home
    empty = page.ask("(r => [r.x + 5, r.y + 5])(document.querySelector('#canvas').getBoundingClientRect())")
    page.mouse("mousePressed", *empty, button="left", buttons=1, clickCount=1)
    page.mouse("mouseMoved", empty[0] + 30, empty[1] + 20, button="left", buttons=1)
    page.mouse("mouseMoved", empty[0] + 60, empty[1] + 40, button="left", buttons=1)
    page.mouse("mouseReleased", empty[0] + 60, empty[1] + 40, button="left", clickCount=1)
    after = page.middle(node(0))
    assert after == pytest.approx((before[0] + 60, before[1] + 40), abs=1.0)
    page.click("#fit")
    page.ask("document.querySelector('#canvas').focus()")
    page.press("ArrowRight", "+")
    assert window()[0] > home[0]
    assert window()[2] < home[2]


def test_two_fingers_zoom(opened):
    page = opened(two_layers())
    before = page.ask("document.querySelector('#canvas svg').viewBox.baseVal.width")
    x, y = page.middle("#canvas")
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    page.touch("touchMove", (x - 30, y), (x + 30, y))
    page.touch("touchMove", (x - 40, y), (x + 40, y))
    page.touch("touchEnd")
    after = page.ask("document.querySelector('#canvas svg').viewBox.baseVal.width")
    assert after == pytest.approx(before / 2, rel=0.1)


def test_everything_can_be_reached_by_keys(opened):
    page = opened(two_layers())
    page.ask("document.querySelector('#canvas').focus()")
    page.press("Enter")
    first = page.ask("document.activeElement.dataset.key")
    page.press("ArrowDown")
    second = page.ask("document.activeElement.dataset.key")
    assert second not in {None, first}
    page.press("Enter")
    assert classes(page, "chosen") == [second]
    page.press("ArrowUp")
    assert page.ask("document.activeElement.dataset.key") != second
    page.press("?")
    assert page.ask("document.querySelector('#keys').open")
    page.press("Escape")
    assert not page.ask("document.querySelector('#keys').open")
    labels = page.ask("[...document.querySelectorAll('#canvas .node')].map(e => e.getAttribute('aria-label'))")
    assert all(labels)


def test_the_view_is_switched_and_the_node_stays_chosen(opened):
    g = unrolled(5)
    page = opened(g)
    assert page.texts("#views button")[:2] == ["ports", "collapsed"]
    assert page.ask("document.querySelector('#views [aria-checked=true]').textContent") == "ports"
    page.press("/", *"tanh step 2", "Enter")
    chosen = page.texts("#panel dd")
    assert "2" in chosen
    boxes = page.ask("document.querySelectorAll('#canvas .node').length")
    page.click("#views button:nth-child(2)")
    assert page.ask("document.querySelector('#views [aria-checked=true]').textContent") == "collapsed"
    assert page.ask("document.querySelectorAll('#canvas .node').length") > boxes
    assert page.texts("#panel dd") == chosen
    assert len(classes(page, "chosen")) == 1
    page.press("Escape")
    page.ask("document.querySelector('#canvas').focus()")
    page.press("1")
    assert page.ask("document.querySelectorAll('#canvas .node').length") == boxes


def test_a_box_of_many_nodes_shows_each_of_them(opened):
    g = unrolled(5)
    page = opened(g)
    tanh = [node for node in g if node.op is not None and node.op.symbol == "tanh"][::2]  # the first one of each step
    page.press("/", *f"%{tanh[3].id}", "Enter")
    assert page.texts("#panel .several") != []
    options = page.texts("#panel option")
    assert f"step 3: %{tanh[3].id} tanh" in options
    script = (
        "(s => { s.value = VALUE; s.dispatchEvent(new Event('change')); })(document.querySelector('#panel select'))"
    )
    page.ask(script.replace("VALUE", f"'{tanh[1].id}'"))
    assert f"%{tanh[1].id}" in page.texts("#panel dd")
    page.hover("#canvas .node.chosen")
    pairs = classes(page, "pair")
    gradients = {number for each in g if each.gradient_of is tanh[1] and not each.is_constant for number in [each.id]}
    shown = page.ask("JSON.parse(document.querySelector('#data').textContent).views[0].boxes")
    assert gradients <= {number for key in pairs for number in shown.get(key, [int(key[1:])])}


def test_hostile_names_are_text(opened):
    g = hostile()
    page = opened(g)
    assert page.ask("document.querySelectorAll('b, i, a, iframe').length") == 0
    for number in range(1, len(HOSTILE_NAMES) * 2, 5):
        page.ask(f"document.querySelector('{node(number)}')?.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
        assert page.ask("document.querySelectorAll('#panel b, #panel i, #panel a, #panel script').length") == 0
    page.press("/", *"<script>alert")
    page.press("Enter")
    assert page.texts("#panel h2") == ["<script>alert(1)</script>"]
    assert page.texts("title") == ['<i>"]; \\G &lt;']


CLICK_ALL = """[...document.querySelectorAll('#canvas .node')].map(box => {
    box.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    return [box.dataset.key, document.querySelector('#panel h2').textContent];
})"""


@pytest.mark.parametrize("batch", range(0, BATCHES, 4))
def test_each_hostile_name_is_shown_and_does_nothing(opened, batch):
    chosen = names(batch)
    g = gf.ExprGraph(chosen[-1])
    inputs = []
    for name in chosen:
        with g.scope(chosen[-2]):
            inputs.append(gf.scalar(g, name=name))
    page = opened(g)
    shown = dict(page.ask(CLICK_ALL))
    assert shown == {f"n{each.id}": visible(each.name, LONGEST_NAME) or each.label for each in inputs}
    assert page.ask("document.querySelectorAll('script').length") == 2
    assert page.ask("document.querySelectorAll('a, b, img, iframe, table').length") == 0
    is_acting = "[...e.attributes].some(a => /^on|href|^src/.test(a.name))"
    assert page.ask(f"[...document.querySelectorAll('*')].some(e => {is_acting})") is False


@pytest.mark.parametrize("is_dark", [False, True])
def test_light_and_dark(opened, is_dark):
    page = opened(steps(), is_dark=is_dark)
    shade = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert (page.ask(shade) < 100) == is_dark
    page.click("#theme")
    assert (page.ask(shade) < 100) != is_dark


def test_a_narrow_screen(opened):
    page = opened(two_layers(), width=380, height=700)
    assert page.ask("getComputedStyle(document.querySelector('#panel')).display") == "none"
    page.click(node(0))
    assert page.texts("#panel h2") == ["x"]
    assert page.ask("document.documentElement.scrollWidth") <= 380


def test_an_injected_script_does_not_run(opened):
    page = opened(two_layers())
    page.ask("document.addEventListener('securitypolicyviolation', () => { document.body.dataset.kept = 'kept' })")
    page.ask(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))"
    )
    page.wait("document.body.dataset.kept !== undefined")
    assert page.texts("title") == ["two layers"]
    assert len(page.complaints()) == 1
    page._browser._events.clear()
