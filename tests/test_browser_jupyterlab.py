"""Every explorer in a real JupyterLab: made by Run All, off screen and on screen; seen, read and dragged there."""

import nbformat
import pytest
import servers
import tiny_course
from browser import needed
from jupyterlab import close_kernels, open_notebook, run_all, run_cell
from servers import until

from gdm_core.explorers import EXPLORERS

pytest_plugins = ("browser",)  # the fixture `tab`
pytestmark = needed
# All that an explorer shows, as numbers: how dark its canvases are, and its words.
LOOK = """(card) => [card.querySelector(".said").textContent,
    ...[...card.querySelectorAll("figure:not([hidden]) canvas")].map((c) => {
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let sum = 0; for (let i = 0; i < d.length; i++) sum = (31 * sum + d[i]) % 1000003;
        return sum; })]"""
# How many shades each view has: a plot that was never drawn has one.
SHADES = """(card) => [...card.querySelectorAll("figure:not([hidden])")].map((figure) =>
    Math.max(...[...figure.querySelectorAll("canvas")].map((c) => {
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return c.width < 2 ? 0 : new Set(new Uint32Array(d.buffer)).size; })))"""
PAD = """\
import numpy as np
from gdm_core.widgets import Frame, Pad, Stage

def draw(controls):
    x, y = controls["z"]
    return Frame(np.add.outer(np.arange(8) * (y + 4), np.arange(8) * (x + 4)).astype(np.uint8), f"z1 is {x:.2f}")

Stage(draw, [Pad("z", limit=3.0)], title="Pad")"""
DIMMED = """() => { const place = document.body.appendChild(document.createElement("div"));
    place.innerHTML = "<div class='jp-RenderedImage'><img></div>";
    const seen = ["true", "false"].map((light) => {
      place.dataset.jpThemeLight = light;
      return getComputedStyle(place.querySelector("img")).filter;
    });
    place.remove();
    return seen; }"""
SPLIT = """() => { const place = document.body.appendChild(document.createElement("div"));
    place.innerHTML = `<div class="jp-OutputArea"><div class="jp-OutputArea-output"><pre></pre></div></div>
      <div class="jp-RenderedMarkdown"><mjx-container display="true"></mjx-container></div>`;
    const seen = [getComputedStyle(place.querySelector("pre")).wordBreak,
      getComputedStyle(place.querySelector("mjx-container")).overflowX];
    place.remove();
    return seen; }"""
TURNS = """\
import matplotlib.pyplot as plt
import plotly.graph_objects as go
from gdm_core import plotting

plotting.use_style()
fig, ax = plt.subplots(figsize=(4, 3))
ax.plot([0, 1])
plotting.turn(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])), fig)"""
HOLDS = (".knob", ".slider input", ".timeline input")  # the first of these that there is takes the drag


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("course")
    tiny_course.make(home)
    cells = [f"from gdm_core import explorers\n\nexplorers.{name}()" for name in EXPLORERS]
    servers.notebook(home / "all.ipynb", *cells, template=None)
    servers.notebook(home / "busy.ipynb", PAD, "import time\n\ntime.sleep(300)", template=None)
    pattern = nbformat.read(
        servers.notebook(home / "pattern.ipynb", TURNS, f"# {60 * 'long '}\n1 + 1", "print(3)", template=None), 4
    )
    pattern.cells[1].metadata["jupyter"] = {"source_hidden": True}
    pattern.cells[2].metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    pattern.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="3")]
    nbformat.write(pattern, home / "pattern.ipynb")
    with servers.lab(home) as server:
        yield server


@pytest.fixture
def opened(tab, lab):
    """Opens a notebook; errors of the page count, those of JupyterLab's own do not."""
    tab.trouble.errors = Ours()
    yield lambda name: open_notebook(tab, lab, name)
    close_kernels(tab, lab)


class Ours(list):
    """JupyterLab's console is its own affair, but scripts that fail in this page are ours."""

    def append(self, error):
        if any(word in str(error).lower() for word in ("stage", "anywidget", "maximum call stack", "typeerror")):
            super().append(error)


def alive(tab, title):
    """The explorer's card once it shows pictures, a read-out and its tools, scrolled into sight."""
    card = tab.locator(f'.gdm .card[aria-label="{title}"]')
    until(lambda: card.count() == 1, 600, f"the card of {title}")  # its model may have to be trained first
    card.scroll_into_view_if_needed()
    until(lambda: len(card.locator(".said").inner_text()) > 5, what=f"the read-out of {title}")
    until(lambda: min(card.evaluate(SHADES)) > 1, what=f"something in each view of {title}")
    assert card.locator(".tools button").count() >= 4, title
    return card


def answers_a_drag(tab, card):
    hold = next(card.locator(kind).first for kind in HOLDS if card.locator(kind).count())
    hold.scroll_into_view_if_needed()
    before, box = card.evaluate(LOOK), hold.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 25, y + (0 if box["width"] > 3 * box["height"] else 20), steps=8)
    tab.mouse.up()
    until(lambda: card.evaluate(LOOK) != before, what="an answer to the hand")
    assert card.locator(".alert:visible, .status:visible").count() == 0


def test_run_all_makes_every_explorer_on_screen_and_off_and_each_answers_a_drag(opened):
    tab = opened("all.ipynb")
    run_all(tab)
    for explorer in EXPLORERS.values():
        answers_a_drag(tab, alive(tab, explorer.title))


def test_explorers_made_one_by_one_on_screen_are_alive(opened):
    tab = opened("all.ipynb")
    for i, explorer in enumerate(EXPLORERS.values()):
        run_cell(tab, i)
        answers_a_drag(tab, alive(tab, explorer.title))


def test_an_explorer_answers_while_the_next_cell_runs(opened):
    tab = opened("busy.ipynb")
    run_all(tab)
    answers_a_drag(tab, alive(tab, "Pad"))
    assert tab.locator(".jp-InputPrompt").nth(1).inner_text() == "[*]:"


def test_a_figure_turns_without_a_network_and_folds_stay_folded(opened):
    tab = opened("pattern.ipynb")
    cells = tab.locator(".jp-CodeCell")
    assert cells.nth(2).locator(".jp-OutputPlaceholder").count() == 1  # until it is run
    run_all(tab)
    until(lambda: cells.nth(1).locator(".jp-OutputArea-output").count() == 1, what="what the folded cell says")
    until(lambda: cells.nth(0).locator(".js-plotly-plot .scatterlayer .trace").count() == 1, what="plotly's figure")
    assert cells.nth(0).locator(".jp-OutputArea-output").count() == 1  # the twin is for where plotly is not
    assert cells.nth(0).locator("img:visible").count() == 0
    words, cell = cells.nth(1).locator(".jp-PlaceholderText"), cells.nth(0).bounding_box()
    assert words.bounding_box()["width"] < cell["width"]  # however long the line by which a folded cell is named
    assert words.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1")  # and nothing of it is cut off
    assert tab.evaluate(SPLIT) == ["normal", "auto"]  # words of an output stay whole, a wide formula scrolls alone
    assert tab.evaluate(DIMMED) == ["none", "brightness(0.75)"]  # white paper, by day and in the dark
    hidden = [cells.nth(i).locator(".jp-InputPlaceholder").count() for i in range(3)]
    assert hidden == [0, 1, 1]
