"""The stage in the studio and in JupyterLab, beside PNG, matplotlib and plotly on a slider: headless Chromium.

From the key that moves a control to the pixels in the page (a canvas filled, an image decoded, a plot drawn), medians.
Every transport has the same pictures and a websocket with TCP_NODELAY.  A busy machine makes all of them slower.
"""

import contextlib
import json
import re
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tests import tiny_course
from tests.benchmarks._race import table
from tests.benchmarks._transports import CELLS, cell
from tests.browser import at_home, launched
from tests.servers import TOKEN, lab, notebook, studio, until

TRIALS, FRAMES = 30, 10_000
READY = "import os, pathlib\npathlib.Path({!r}, str(os.getpid())).touch()"  # a cell after that which draws
CLOCK = (Path(__file__).parent / "_clock.js").read_text("utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        home = Path(folder)
        tiny_course.make(home, _01_none="# %%\n1\n")
        for size in (28, 560):
            for i, what in enumerate(CELLS):
                template = "lab" if i else "gdm"  # the peers need Voila's own
                notebook(home / "pages" / f"{i}-{size}.ipynb", cell(what, size), template=template, title=what)
        drawn = home / "drawn"
        drawn.mkdir()
        notebook(home / "ahead" / "pad.ipynb", cell("stage", 28), READY.format(str(drawn)), title="pad")
        with studio(home / "pages", home) as app, lab(home) as jupyter:
            compare(browser, app, jupyter)
            hold(browser, app)
        with studio(home / "ahead", home, ahead=1) as app:
            start(browser, app, drawn)


def compare(browser, app, jupyter) -> None:
    """The same pictures by four transports, in two places, in two sizes."""
    rows = []
    for i, what in enumerate(CELLS):
        row = [what]
        control = ".noUi-handle" if i else ".plain .knob"
        for place, server in ((in_studio, app), (in_lab, jupyter)):
            for size in (28, 560):
                try:
                    row.append(statistics.median(lags(place(browser, server, f"{i}-{size}", control), control)))
                except Exception as error:  # a peer that does not show is no reason to lose the rest
                    row.append(type(error).__name__)
        rows.append(row)
    rows.append(["goal for the stage", 10, 16, 20, 30])
    print("\n  ms from key to pixels, medians (the peers in Voila's own template)")
    table(["", "studio 28²", "studio 560²", "JupyterLab 28²", "JupyterLab 560²"], *rows)


def lags(page, control: str) -> list[float]:
    """Milliseconds from each of many keys to its picture; closes the page."""
    page.locator(control).first.focus()
    found = []
    for i in range(TRIALS + 5):
        before = page.evaluate("clock.drawn.length")
        page.keyboard.down("ArrowRight")
        page.wait_for_function(f"clock.drawn.length > {before}", polling=5, timeout=30_000)
        page.keyboard.up("ArrowRight")  # at once, which no hand can do, it would keep answers out until the next frame
        if i >= 5:
            found.append(page.evaluate(f"clock.drawn[{before}] - clock.heard"))
        page.wait_for_timeout(30)
    page.context.close()
    return found


def hold(browser, app) -> None:
    """A thousand events in three seconds; ten thousand frames; a model that trains."""
    page = in_studio(browser, app, "0-28", ".plain .knob")
    wild = page.evaluate("clock.scribble(1000, 3)")
    page.locator('[data-tool="Link"]').click()
    z = json.loads(re.search(r"z=([^&]+)", page.evaluate("decodeURIComponent(location.hash)"))[1])
    space: dict = {}
    exec(cell("stage", 28), space)
    wanted = space["stage"].frame({"z": z}).encode()["views"][0]["image"]
    right = np.array_equal(page.evaluate("clock.pixels()"), wanted.ravel())
    name = page.evaluate("JSON.parse(document.getElementById('line').textContent).kernel")
    kernel = next(p for p in map(psutil.Process, app.kernels()) if name in " ".join(p.cmdline()))
    page.evaluate(f"clock.run({FRAMES // 10})")
    early, began = kernel.memory_info().rss, time.perf_counter()
    page.evaluate(f"clock.run({FRAMES})")
    rate, grown = FRAMES / (time.perf_counter() - began), (kernel.memory_info().rss - early) / 1e6
    page.locator('[data-control="train start"]').click()
    page.wait_for_function("document.querySelector('.training output').textContent.includes('steps/s')", polling=100)
    busy = page.evaluate("clock.scribble(360, 6)")
    page.context.close()
    print()
    table(
        ["", "measured", "goal"],
        ["1,000 events in 3 s: most in flight", wild["most"], "2"],
        ["  last picture right", "yes" if right else "NO", "yes"],
        ["  ms from letting go to the last picture", wild["settled"], "100"],
        ["  pictures a second", wild["rate"], ""],
        ["pictures a second while a model trains", busy["rate"], "30"],
        [f"MB that the kernel grew over {FRAMES:,} frames", grown, "flat"],
        ["  pictures a second, as fast as it goes", rate, ""],
    )


def start(browser, app, drawn: Path) -> None:
    """A page whose kernel stands ready: how long to its first picture, and until that picture follows the hand.

    Args:
        drawn: where each kernel leaves a file of its process id as soon as it has drawn its picture.
    """
    still, live, size, received = [], [], [], []
    for i in range(5):
        until(lambda count=i: len(list(drawn.iterdir())) > count, what="a kernel ahead")
        received.clear()
        page = tab(browser)
        page.on("response", lambda response: received.append(response))
        page.goto(f"{app.url}voila/render/pad.ipynb")
        page.wait_for_function("clock.drawn.length > 1", polling=20)
        first, alive = page.evaluate("clock.drawn.slice(0, 2)")
        still.append(first)
        live.append(alive)
        loaded = 0.0
        for response in received:
            with contextlib.suppress(Exception):  # a redirection has no body
                loaded += len(response.body()) / 1e3
        size.append(loaded)
        page.context.close()
    print()
    table(
        ["", "measured", "goal"],
        ["ms to the first picture, kernel ahead", statistics.median(still), "1500"],
        ["ms until it follows the hand", statistics.median(live), "1500"],
        ["kB that the page loads", statistics.median(size), ""],
    )


def tab(browser):
    """A page with a clock in it, to which the world outside is closed."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, bypass_csp=True)
    context.set_default_timeout(90_000)
    context.add_init_script(CLOCK)
    context.route(lambda url: not at_home(url), lambda route: route.abort())
    return context.new_page()


def in_studio(browser, server, name: str, control: str):
    page = tab(browser)
    page.goto(f"{server.url}voila/render/{name}.ipynb")
    return ready(page, control)


def in_lab(browser, server, name: str, control: str):
    page = tab(browser)
    page.goto(f"{server.url}lab/workspaces/w{name}/tree/pages/{name}.ipynb?token={TOKEN}")
    page.locator(".jp-CodeCell .cm-content").first.click()
    idle = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
    page.wait_for_function(idle, polling=100)
    page.keyboard.press("Shift+Enter")
    return ready(page, control)


def ready(page, control: str):
    page.locator(control).first.wait_for()
    page.locator("canvas.picture, .js-plotly-plot, .widget-image, .jp-OutputArea img").first.wait_for(state="attached")
    page.wait_for_timeout(1500)  # what a page does after its first picture
    return page
