"""How a stage lies on its page: themes, sizes, phones; nothing moves under a hand."""

import json

import browser
import numpy as np
import pytest
import stage_page
from browser import BARE, on_stage
from stage_page import padded, place, settled

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_legible_in_both_themes_and_nothing_is_cut_off(live, tab, theme):
    tab.emulate_media(color_scheme="light" if theme == "dark" else "dark")  # the page's word counts more
    html = BARE.replace("<main>", f'<body data-jp-theme-light="{json.dumps(theme == "light")}"><main>')
    controls = [w.Slider("level", 0, 255), w.Choice("digit", range(10)), w.Toggle("exact"), w.Timeline("step", 9)]
    live(padded(controls=controls, caption="Drag the point.", describe=lambda c: "log p = −2 nats"), html)
    contrast = """(selectors) => selectors.map((s) => {
      const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const parts = (c) => c.match(/[\\d.]+/g).map(Number).map(channel);
      const light = (c) => parts(c).slice(0, 3).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const e = document.querySelector(s), text = light(getComputedStyle(e).color);
      let ground = e;
      while (getComputedStyle(ground).backgroundColor.includes(", 0)")) ground = ground.parentElement;
      const below = light(getComputedStyle(ground).backgroundColor);
      return [s, (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05), below] })"""
    places = [".card h3", ".caption", ".said", ".name", ".number", ".quiet", ".segments input:checked + span", ".play"]
    for selector, ratio, _ in tab.evaluate(contrast, places):
        assert ratio >= 4.5, (selector, ratio)
    ground = tab.evaluate(contrast, places[:1])[0][2]
    assert ground < 0.05 if theme == "dark" else ground > 0.9
    for width in (360, 1600):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)
    tab.set_viewport_size({"width": 360, "height": 700})
    pad, picture = (tab.locator(f'[data-view="{v}"] .box').bounding_box() for v in ("z", "picture"))
    assert pad["y"] > picture["y"] + picture["height"] and pad["width"] > 280 and picture["width"] > 130  # on a phone


def wordy(controls):
    """Pictures of all shapes; how much is said, and whether the first warns, as the controls will."""
    rim = lambda high, wide: np.full((high, wide), 200, np.uint8)
    far = "far out: few of the draws from the prior lie here" if controls["far"] else ""
    views = {
        "picture": w.View(rim(28, 28), label="decoded", warning=far),
        "chart": w.View(None, [], (0, 1, 0, 1), axes=("step", "nats")),
        "strip": w.View(rim(10, 40), label="a gallery"),
    }
    return w.Frame(views, "log p(z) = −2.4 nats, radius 1.1. " * controls["length"])


def talkative(**options):
    controls = [w.Slider("length", 1, 40, 3, step=1), w.Toggle("far"), w.Pad("z", on="picture")]
    return w.Stage(wordy, controls, title="Many", caption="Move all of them.", **options)


SEEN = """() => document.querySelector(".said").textContent
    && document.querySelector(".said").getBoundingClientRect().bottom <= innerHeight"""


@pytest.mark.parametrize("size", [(1600, 900), (1280, 720), (1920, 1080)])
def test_pictures_controls_and_read_out_share_the_first_screen(live, tab, size):
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    stage = talkative()
    stage.spec = {**stage.spec, "whole": True}
    live(stage)
    tab.wait_for_function(SEEN)
    widths = tab.evaluate("[...document.querySelectorAll('.box')].map((e) => e.clientWidth)")
    assert min(widths) > 0.2 * size[1], widths
    assert tab.evaluate("document.querySelector('.controls').getBoundingClientRect().bottom") <= size[1]


def test_pictures_that_would_get_tiny_keep_their_size(live, tab):
    tab.set_viewport_size({"width": 1280, "height": 420})
    live(talkative().set(length=40))
    tab.wait_for_function("document.querySelector('.views').style.getPropertyValue('--tall') === '168px'")


def test_on_a_phone_small_pictures_stand_beside_each_other(tab):
    """A pad, three galleries, three results, each of another size: rows of three, the results first, the pad alone."""
    tab.set_viewport_size({"width": 390, "height": 844})
    names = {"a": 0.9, "b": 0.9, "c": 0.9, "picture": 1.5, "pixels": 0.8, "truth": 0.8}
    gray = np.full((4, 5), 99, np.uint8)

    def draw(controls):
        views = {"map": w.View(None, [], (-1, 1, -1, 1), aspect=1.0, axes=("z1", "z2"))}
        return views | {name: w.View(gray, label=name, size=size) for name, size in names.items()}

    controls = [w.Pad("z", on="map"), *(w.Tiles(f"of {k}", on=k, rows=2, columns=2) for k in "abc")]
    on_stage(tab, w.Stage(draw, controls))
    settled(tab)
    boxes = [tab.locator(f'[data-view="{name}"] .box').bounding_box() for name in ("map", *names)]
    assert boxes[0]["width"] > 220
    for row in (boxes[1:4], boxes[4:]):
        assert len({round(box["y"]) for box in row}) == 1 and np.ptp([box["width"] for box in row]) < 1.5, row
    assert boxes[4]["y"] < boxes[0]["y"] < boxes[1]["y"] - 200


def test_nothing_moves_under_a_hand_while_more_is_said(live, tab):
    tab.set_viewport_size({"width": 1280, "height": 720})
    stage = talkative()
    live(stage)
    settled(tab)
    tab.wait_for_function(SEEN)
    tall = """document.querySelector('[style*="--tall"]').style.getPropertyValue("--tall")"""
    before = tab.evaluate(tall)
    tab.mouse.move(*place(tab, '[data-view="picture"] .box'))
    tab.mouse.down()
    stage.draw = lambda controls: wordy({**controls, "length": 40})
    tab.mouse.move(*place(tab, '[data-view="picture"] .box', 0.7, 0.6))
    tab.wait_for_function("document.querySelector('.said').textContent.length > 1000")
    frames = (
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
    )
    tab.evaluate(f"{frames}.then(() => 0)")
    assert tab.evaluate(tall) == before
    tab.set_viewport_size({"width": 1280, "height": 560})  # as when the bars of a phone's browser come back
    stage.draw = lambda controls: wordy({**controls, "length": 41})
    tab.mouse.move(*place(tab, '[data-view="picture"] .box', 0.4, 0.5))
    tab.wait_for_function("document.querySelector('.said').textContent.length > 1025")
    tab.evaluate(f"{frames}.then(() => 0)")
    assert tab.evaluate(tall) == before
    tab.mouse.up()


def test_a_warning_stands_below_its_picture_in_a_place_that_was_kept(live):
    tab = live(talkative())
    settled(tab)
    places = """() => ["[data-view=picture] .plot", "[data-view=picture] .warning", ".said"].map((s) =>
        { const b = document.querySelector(s).getBoundingClientRect(); return [b.top, b.bottom] })"""
    (_, plot), _, said = tab.evaluate(places)
    tab.click('[data-control="far"]')
    tab.wait_for_function("document.querySelector('[data-view=picture] .warning').textContent.startsWith('far out')")
    (_, warned), warning, after = tab.evaluate(places)
    assert warned == plot and warning[0] > plot and warning[1] < after[0] and after == said
    assert tab.locator('[data-view="picture"].warned').count() == 1
    assert tab.locator('[data-view="strip"].warns, [data-view="chart"].warns').count() == 0
