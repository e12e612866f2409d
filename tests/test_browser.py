"""End to end in headless Chromium: the studio and JupyterLab, worked by mouse, keys and touch.

The pictures on the screen are compared with the arrays that the same callback gives in this process.
"""

import contextlib
import json
import os
import re
import signal
import threading
from urllib.parse import parse_qs, urlsplit

import numpy as np
import psutil
import pytest
import servers
import tiny_course
from browser import needed
from jupyterlab import open_notebook, run_cell
from pad_page import CHAPTER, PAD, drag, seen, shows, touch
from playwright.sync_api import Error
from servers import until

pytest_plugins = ("browser", "pad_page")  # the fixtures `tab` and `twin`
pytestmark = needed

TRAINING = """\
import numpy as np, torch
from gdm_core.widgets import Button, Pad, Stage, Trainer

pressed = []

def steps():
    x = torch.randn(200, 200)
    while True:
        x = torch.tanh(x @ x.T / 10)
        yield

def draw(controls):
    x, y = controls["z"]
    return np.full((8, 8), (x + 3) * 20 + (y + 3) * 20 + len(pressed), np.uint8)

controls = [Pad("z", limit=3.0), Button("count", press=pressed.append)]
Stage(draw, controls, title="Training", trainer=Trainer(steps, lambda _: None))"""
SOCKETS = """
globalThis.sockets = [];
globalThis.WebSocket = class extends WebSocket {
  told = [];
  constructor(...address) { super(...address); sockets.push(this); }
  send(data) { this.told.push(new TextDecoder().decode(data)); super.send(data); }
};"""
BROKEN = "raise ValueError('needed a picture, got none; try another')"


def alive(tab, address):
    """Open a page of the studio and wait until its picture is live."""
    tab.goto(address, wait_until="commit")
    until(lambda: live(tab), what="a live picture")


def live(tab):
    """Whether the kernel's picture stands in place of the page's still."""
    return seen(tab) is not None and not tab.evaluate("!!document.querySelector('.waiting, .still')")


def state(tab):
    """The pad's value to its last digit, as the page's own link tells it."""
    tab.locator('[data-tool="Link"]').click()
    fragment = urlsplit(tab.evaluate("location.href")).fragment
    return json.loads(parse_qs(fragment).get("z", ["[0, 0]"])[0])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("course")
    (chapter,) = tiny_course.make(home, _01_pads=CHAPTER)
    served = home / "pages"
    servers.notebook(
        served / "pad.ipynb", PAD, title="Pad", question="Where is it?", chapter=chapter.name, heading="Chapter 1"
    )
    servers.notebook(served / "training.ipynb", TRAINING, title="Training", question="Does it answer?")
    servers.notebook(served / "broken.ipynb", BROKEN, title="Broken")
    return home


@pytest.fixture(scope="module")
def both(home):
    """The studio (a kernel ahead for each page) and JupyterLab, started at the same time."""
    with contextlib.ExitStack() as stack:
        started, failed = {}, []

        def start(name, server):
            try:
                started[name] = stack.enter_context(server)
            except Exception as error:
                failed.append(error)

        wanted = {"lab": servers.lab(home), "studio": servers.studio(home / "pages", home, ahead=1)}
        threads = [threading.Thread(target=start, args=pair) for pair in wanted.items()]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not failed, failed
        yield started


@pytest.fixture(scope="module")
def studio(both):
    return both["studio"]


# The studio


def test_the_picture_follows_mouse_keys_and_touch(tab, studio, twin):
    alive(tab, f"{studio.url}voila/render/pad.ipynb")
    shows(tab, twin, (0, 0))
    drag(tab, (0, 0), (2, 2), (1.5, -1))
    dragged = state(tab)
    assert dragged == pytest.approx([1.5, -1], abs=0.05)
    shows(tab, twin, dragged)
    tab.locator(".plain .knob").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "PageDown"):
        tab.keyboard.press(key)
    pressed = state(tab)
    assert pressed == pytest.approx([dragged[0] + 0.1, dragged[1] + 0.05 - 0.5])
    shows(tab, twin, pressed)
    touch(tab, (-1, 0), (0, 0.5), (-2.5, 2.5))
    touched = state(tab)
    assert touched == pytest.approx([-2.5, 2.5], abs=0.05)
    shows(tab, twin, touched)
    mine = kernel_of(tab, studio)
    tab.goto("about:blank")
    until(lambda: mine not in studio.kernels(), what="the kernel to end with its page")


@pytest.mark.parametrize("size", [(1600, 900), (1280, 480)])
def test_the_page_of_an_explorer_is_one_screen(tab, studio, size):
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    alive(tab, f"{studio.url}voila/render/pad.ipynb")
    assert tab.locator("h1").inner_text() == "Where is it?" and tab.locator(".bar .title").inner_text() == "Pad"
    assert tab.locator(".card h3").is_hidden()  # the bar says it
    within = """() => Math.max(...[...document.querySelectorAll(".said, .controls:not([hidden])")].map((e) =>
        e.getBoundingClientRect().bottom)) <= innerHeight"""
    tab.wait_for_function(within)
    assert tab.locator(".box").first.bounding_box()["y"] < 200


def test_it_answers_while_a_model_trains(tab, studio):
    alive(tab, f"{studio.url}voila/render/training.ipynb")
    told = lambda: tab.locator(".training output").inner_text()  # no step at first, then "step 1,200 of ..."
    steps = lambda: int((re.findall(r"step ([\d,]+)", told()) or "0")[0].replace(",", ""))
    tab.locator('[data-control="train start"]').click()
    until(lambda: steps() > 3, what="training")
    for x, y in ((1, 1), (-2, 0.5), (2.5, -2)):
        before = steps()
        drag(tab, (0, 0), (x, y))
        z = state(tab)
        level = int((z[0] + 3) * 20 + (z[1] + 3) * 20)
        until(lambda level=level: (seen(tab) == level).all(), what="the picture")
        until(lambda before=before: steps() > before, what="a step while one drags")
    assert tab.locator(".alert:visible").count() == 0


def test_an_explorer_that_cannot_be_built_says_why(tab, studio):
    tab.goto(f"{studio.url}voila/render/broken.ipynb")
    assert "needed a picture, got none; try another" in tab.locator(".failed").inner_text()
    assert tab.locator(".starting").is_hidden()


def kernel_of(tab, server):
    """Process id of the kernel of the page in `tab`."""
    kernel = tab.evaluate("JSON.parse(document.getElementById('line').textContent).kernel")
    (found,) = [pid for pid in server.kernels() if kernel in " ".join(psutil.Process(pid).cmdline())]
    return found


def test_a_kernel_that_dies_is_said_and_the_hand_finds_its_place_again(tab, studio, twin):
    alive(tab, f"{studio.url}voila/render/pad.ipynb")
    drag(tab, (0, 0), (1, 2))
    z = state(tab)
    shows(tab, twin, z)
    tab.evaluate("history.replaceState(null, '', location.pathname)")  # the link would tell as well
    os.kill(kernel_of(tab, studio), signal.SIGKILL)
    tab.locator(".gone").wait_for()
    assert "kernel of this page has ended" in tab.locator(".gone").inner_text()
    shows(tab, twin, z)  # the last picture stays
    tab.evaluate("window.before = true")
    tab.locator(".gone button").click()
    with contextlib.suppress(Error):  # of a page that is just being replaced
        until(lambda: not tab.evaluate("window.before"), what="the page to start again")
    tab.wait_for_load_state("domcontentloaded")
    until(lambda: live(tab), what="a live picture")
    shows(tab, twin, z)


def test_a_lost_connection_comes_back_and_repeats_nothing_that_was_answered(tab, studio):
    tab.add_init_script(SOCKETS)
    alive(tab, f"{studio.url}voila/render/training.ipynb")
    tab.locator('[data-control="count"]').click()
    until(lambda: (seen(tab) == 121).all(), what="the press")
    tab.evaluate("sockets.at(-1).close()")
    draws = lambda: [t for t in tab.evaluate("sockets.length > 1 ? sockets.at(-1).told : []") if '"kind":"draw"' in t]
    (asked,) = until(draws, what="the page to ask what changed meanwhile")
    assert '"presses":{}' in asked
    drag(tab, (0, 0), (1, 2))
    x, y = state(tab)
    until(lambda: (seen(tab) == int((x + 3) * 20 + (y + 3) * 20 + 1)).all(), what="the picture")


def test_start_page_shows_explorers_and_chapters(tab, studio):
    from gdm_core.explorers import EXPLORERS

    tab.goto(studio.url)
    assert tab.locator(".cards li").count() == len(EXPLORERS)
    assert [tab.locator(".cards h3").nth(i).inner_text() for i in range(len(EXPLORERS))] == [
        e.title for e in EXPLORERS.values()
    ]
    tab.locator(".chapters a").first.click()
    tab.locator(".page h1").wait_for()
    assert tab.locator("math").count() >= 2
    tab.locator(".bar .home").click()
    tab.locator(".cards").wait_for()


def test_a_link_opens_where_it_was_copied_and_pages_fit_phones_and_projectors(tab, studio, twin):
    pad = "voila/render/pad.ipynb#stage=pad&z=[1.5,-0.25]"
    for address, there in (("studio/", ".cards"), (pad, ".live .card"), ("studio/chapters/01_pads", ".page")):
        tab.goto(studio.url + address, wait_until="commit")
        tab.locator(there).wait_for()
        if address == pad:
            shows(tab, twin, (1.5, -0.25))
        for theme, ground, ink in (("light", 0.9, 0.2), ("dark", 0.1, 0.8)):
            tab.emulate_media(color_scheme=theme)
            for width in (360, 800, 1920):
                tab.set_viewport_size({"width": width, "height": 900})
                fits = lambda width=width: tab.evaluate("document.documentElement.scrollWidth") <= width
                until(fits, 5, f"{address} to fit {width} pixels")
            look = tab.evaluate(
                "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
            )
            assert abs(luminance(look[0]) - ground) < 0.1 and abs(luminance(look[1]) - ink) < 0.15, (
                address,
                theme,
                look,
            )


def luminance(color):
    return np.dot([0.2126, 0.7152, 0.0722], [int(v) / 255 for v in re.findall(r"\d+", color)[:3]])


def test_the_theme_button_is_remembered(tab, studio):
    tab.emulate_media(color_scheme="light")
    tab.goto(studio.url)
    tab.locator("[data-theme-button]").click()
    tab.goto(f"{studio.url}studio/chapters/01_pads")
    assert luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.1


# JupyterLab


def test_jupyterlab_follows_mouse_keys_and_touch(tab, both, home, twin):
    servers.notebook(home / "pad.ipynb", PAD, "print('z', stage.state['z'])", template=None)
    tab.trouble.errors = Tolerant()
    open_notebook(tab, both["lab"], "pad.ipynb", height=1000)
    run_cell(tab, 0, "Shift+Enter")
    until(lambda: seen(tab) is not None, what="a picture")
    shows(tab, twin, (0, 0))
    drag(tab, (0, 0), (2, 2), (1.5, -1))
    tab.locator(".plain .knob").focus()
    tab.keyboard.press("ArrowRight")
    touch(tab, (-1, 0), (0, 0.5), (-2.5, 2.5))
    tab.locator(".jp-CodeCell .cm-content").nth(1).click()

    def kernel_says():
        tab.keyboard.press("Control+Enter")
        tab.wait_for_timeout(300)
        said = tab.locator(".jp-CodeCell .jp-OutputArea pre").all_inner_texts()
        return [json.loads(line[2:]) for line in said if line.startswith("z ")]

    (z,) = until(
        lambda: (told := kernel_says()) and told[0] == pytest.approx([-2.5, 2.5], abs=0.06) and told, what="the state"
    )
    shows(tab, twin, z)
    tab.trouble.errors = []


def test_the_studio_in_the_server_of_jupyterlab(tab, both, twin):
    address = both["lab"].url
    tab.goto(f"{address}studio/?token={servers.TOKEN}")
    assert tab.locator(".cards li").count() >= 3
    alive(tab, f"{address}voila/render/pages/pad.ipynb")
    drag(tab, (0, 0), (1, 1))
    shows(tab, twin, state(tab))
    mine = kernel_of(tab, both["lab"])
    tab.goto("about:blank")
    until(lambda: mine not in both["lab"].kernels(), what="the kernel to end")


class Tolerant(list):
    """JupyterLab's own console is not ours to judge; errors of the stage are."""

    def append(self, error):
        if "stage" in str(error).lower() or "anywidget" in str(error).lower():
            super().append(error)
