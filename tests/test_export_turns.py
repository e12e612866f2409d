"""Figures on an exported page: those to turn in its colors and, where it is narrow, below each other; a row of panels
is swiped there, and fades at the edge where it goes on."""

import base64
import io
import re

import nbformat
import pytest
import tiny_course
from browser import needed
from PIL import Image
from servers import until

from gdm_core.course.export import page

pytest_plugins = ("browser",)  # the fixture `tab`
pytestmark = needed
LAYOUT = {
    "xaxis": {"domain": [0.0, 0.48]},
    "xaxis2": {"domain": [0.52, 1.0], "anchor": "y2"},
    "yaxis2": {"anchor": "x2"},
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "sliders": [{"steps": [{"label": name, "method": "skip"} for name in ("100", "200")]}],
    "scene": {  # no trace in it: no need for WebGL
        "bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"color": "#7d8794", "title": "a long name"},
        "camera": {"eye": {"x": 1, "y": 2, "z": 3}},
    },
    "annotations": [
        {"text": name, "x": x, "y": 1.0, "xref": "paper", "yref": "paper", "showarrow": False}
        for name, x in (("left", 0.24), ("right", 0.76))
    ],
}
DATA = [
    {"y": [1, 2], "marker": {"color": "#3c4654"}, "line": {"color": "#e69f00"}},
    {"y": [2, 1], "xaxis": "x2", "yaxis": "y2"},
]
LOOK = """() => { const figure = document.querySelector(".js-plotly-plot"), [trace] = figure._fullData;
    const { layout, _fullLayout: full } = figure;
    return { ground: full.paper_bgcolor, ink: full.font.color, text: getComputedStyle(document.body).color,
        wall: layout.scene.xaxis.color, axis: full.xaxis.color,
        x: [full.xaxis.domain, full.xaxis2.domain], y: [full.yaxis.domain, full.yaxis2.domain],
        titles: full.annotations.map((a) => [a.text, a.x, a.y]), height: full.height,
        cut: [...figure.querySelectorAll(".slider-label")].filter((label) => {
          const [a, b] = [label, figure].map((e) => e.getBoundingClientRect());
          return a.left < b.left || a.right > b.right || a.bottom > b.bottom;
        }).length, words: figure.querySelectorAll(".slider-label").length,
        marker: trace.marker.color, line: trace.line.color,
        name: layout.scene.xaxis.title.font?.size ?? 0,
        eye: Object.values(layout.scene.camera?.eye ?? {}), bar: !!document.querySelector(".modebar") } }"""


def paged(tmp_path, told: dict, metadata: dict | None = None) -> str:
    """The address of a page with one output, a long formula and a short one."""
    chapter = tiny_course.make(tmp_path, _01_first="# %%\n1\n")[0]
    cell = nbformat.v4.new_code_cell(
        "f", outputs=[nbformat.v4.new_output("display_data", data=told, metadata=metadata or {})]
    )
    cells = [
        cell,
        nbformat.v4.new_markdown_cell("$$ " + " + ".join(f"a_{{{i}}}" for i in range(14)) + " $$\n\n$$ b $$"),
    ]
    (tmp_path / "page.html").write_text(page.render(nbformat.v4.new_notebook(cells=cells), chapter), "utf-8")
    return (tmp_path / "page.html").as_uri()


def picture(width: int, height: int, color: str) -> dict:
    """A PNG as an output has it."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return {"image/png": base64.b64encode(file.getvalue()).decode()}


@pytest.mark.parametrize(
    "width, height, drawn, shown",
    [(1600, 400, None, (704, 176)), (400, 400, None, (350, 350)), (2000, 1000, 1000, (620, 310))],
)
def test_a_row_of_panels_is_swiped_on_a_phone(tmp_path, tab, width, height, drawn, shown):
    """A figure of two rows too: what was drawn 1,000 pixels wide keeps the size of its words, not its height."""
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.goto(paged(tmp_path, picture(width, height, "navy"), {"image/png": {"width": drawn}} if drawn else {}))
    box = tab.locator("figure img").bounding_box()
    assert (box["width"], box["height"]) == pytest.approx(shown, abs=12)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390  # the page itself stays where it is
    wide = box["width"] > 358
    assert faded(tab, "figure") == (False, wide)
    assert tab.evaluate(SWIPED, ["figure", 900]) == pytest.approx(max(0, box["width"] - 358), abs=24)
    assert faded(tab, "figure") == (wide, False)


SWIPED = "([what, by]) => { const box = document.querySelector(what); box.scrollLeft = by; return box.scrollLeft }"


def faded(tab, what: str) -> tuple[bool, bool]:
    """Whether what is drawn there is lost in the page's ground at the left edge, and at the right one."""
    tab.evaluate("new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    shot = (
        Image.open(io.BytesIO(tab.locator(what).first.screenshot())).convert("L").resize((100, 1), Image.Resampling.BOX)
    )
    ink = lambda x: 255 - shot.getpixel((x, 0))
    return ink(1) < 0.3 * ink(20), ink(98) < 0.3 * ink(80)


def test_a_formula_that_goes_on_beyond_the_page_fades_there(tmp_path, tab):
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.goto(paged(tmp_path, {"text/plain": "1"}))
    cut = lambda: tab.evaluate(
        "[...document.querySelectorAll('.display')].map((box) => getComputedStyle(box).maskImage)"
    )
    plain = "none"
    first, short = cut()
    assert first != plain and short == plain
    assert 50 < tab.evaluate(SWIPED, [".display", 60]) <= 60
    until(lambda: cut()[0] not in (first, plain), 5)
    tab.set_viewport_size({"width": 1600, "height": 800})  # a page that has room for all of it
    until(lambda: cut() == [plain, plain], 5)


@pytest.mark.parametrize("chosen", ["", "light", "dark"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_white_figure_does_not_glare_on_a_dark_page(tmp_path, tab, theme, chosen):
    tab.emulate_media(color_scheme=theme)
    tab.goto(paged(tmp_path, picture(200, 200, "white")))
    tab.evaluate("(chosen) => chosen && (document.documentElement.dataset.theme = chosen)", chosen)
    shot = Image.open(io.BytesIO(tab.locator("figure img").screenshot())).convert("L")
    seen = shot.getpixel((shot.width // 2, shot.height // 2))
    assert seen == 255 if (chosen or theme) == "light" else 150 < seen < 210


@pytest.fixture
def turned(tmp_path, tab):
    """The figure on a page of some width and theme."""
    address = paged(tmp_path, {"application/vnd.plotly.v1+json": {"data": DATA, "layout": LAYOUT}})

    def look(width: int, theme: str) -> dict:
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(color_scheme=theme)
        tab.goto(address)
        until(lambda: tab.evaluate("!!document.querySelector('.js-plotly-plot')?._fullLayout?.yaxis2"))
        return tab.evaluate(LOOK)

    return look


def test_a_figure_to_turn_has_the_colors_of_the_page_and_room_on_a_phone(turned):
    wide, narrow = turned(1200, "light"), turned(390, "dark")
    for found in (wide, narrow):
        assert found["ground"] == "rgba(0, 0, 0, 0)" or found["ground"] == "rgba(0,0,0,0)"
        assert found["ink"] == found["wall"] == found["axis"] == found["text"]
        assert found["words"] >= 2 and not found["cut"]  # the slider's words
    assert wide["ink"] != narrow["ink"]
    assert wide["x"] == [[0.0, 0.48], [0.52, 1.0]] and wide["y"][0] == wide["y"][1]
    assert narrow["x"] == [[0, 1], [0, 1]] and narrow["y"][0][0] > narrow["y"][1][1]  # the left one lies above
    assert narrow["height"] > 1.5 * wide["height"]
    assert wide["eye"] == [1, 2, 3] and narrow["eye"] == pytest.approx([1.3, 2.6, 3.9])  # all of it is in sight
    assert wide["marker"] == "#3c4654" and wide["line"] == "#e69f00"
    light = lambda color: sum(w * int(v) for w, v in zip((0.3, 0.59, 0.11), re.findall(r"\d+", color)))
    assert light(narrow["marker"]) > 120 and narrow["line"].startswith("rgba(230,159,0")  # slate is seen in the dark
    assert wide["name"] == 0 and narrow["name"] == 11  # long names would run into each other
    assert wide["bar"] and not narrow["bar"]  # it would cover the title
    (_, x, first), (_, _, second) = narrow["titles"]
    assert x == 0.5 and first == narrow["y"][0][1] and second == narrow["y"][1][1]
