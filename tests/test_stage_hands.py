"""Keys, mouse and touch on the controls of a stage."""

import base64
import time

import browser
import numpy as np
import pytest
import stage_page
from browser import open_stage
from stage_page import PAD, answer, drag, padded, pixels, place, sent, settled

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


def test_keys_move_the_pad_and_are_told_to_a_screen_reader(tab):
    open_stage(tab, padded().spec)
    pad = tab.locator(PAD)
    tab.keyboard.press("Tab")
    assert pad.evaluate("e => e === document.activeElement") and pad.get_attribute("role") == "slider"
    steps = [("ArrowRight", [0.05, 0]), ("ArrowUp", [0.05, 0.05]), ("Shift+ArrowLeft", [-0.45, 0.05])]
    steps += [("ArrowDown", [-0.45, 0]), ("PageUp", [-0.45, 0.5]), ("PageDown", [-0.45, 0]), ("End", [3, 0])]
    steps += [("Home", [-3, 0]), ("Shift+End", [-3, 3]), ("Shift+Home", [-3, -3]), ("ArrowLeft", [-3, -3])]
    for n, (key, wanted) in enumerate([*steps, ("0", [0, 0])], 1):
        tab.keyboard.press(key)
        answer(tab, n)
        assert sent(tab)[-1]["state"]["z"] == pytest.approx(wanted), key
    tab.keyboard.press("ArrowRight")
    assert pad.get_attribute("aria-valuetext") == "z1 0.05, z2 0.00"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    assert pad.get_attribute("aria-valuetext") == "z1 −0.05, z2 0.00"
    assert "arrow keys" in pad.get_attribute("aria-label")


def test_every_control_can_be_worked_by_keys_alone(live):
    controls = [
        w.Slider("level", 0, 255, value=10, step=1),
        w.Slider("rate", 1e-3, 1.0, log=True, value=0.1),
        w.Slider("many", 2, 500, log=True, step=0.05),
        w.Choice("digit", range(10)),
        w.Choice("data", ["moons", "eight gaussians", "checkerboard", "two spirals"]),
        w.Sentence("said", "a red cube"),
        w.Toggle("exact"),
        w.Button("new noise"),
        w.Timeline("step", 30),
        w.Tiles("tile", on="picture", rows=2, columns=2),
        w.Brush("mask", 8, 8),
    ]
    tab = live(padded(controls=controls))
    state = lambda: tab.evaluate("__sent.at(-1).state")

    def press(control, *keys):
        tab.focus(f'[data-control="{control}"]')
        for key in keys:
            tab.keyboard.press(key)
        settled(tab)
        return state()[control]

    assert press("level", "ArrowRight", "Shift+ArrowRight", "PageUp", "ArrowLeft") == 30
    assert press("level", "Home") == 0 and press("level", "End") == 255
    assert press("rate", "End") == 1.0 and press("rate", "Home") == 1e-3
    assert press("many", "Home", "ArrowRight") == 3 and press("many", "End") == 500
    tab.focus('[data-control="digit"] input:checked')
    tab.keyboard.press("ArrowRight")
    settled(tab)
    assert state()["digit"] == 1
    assert press("data", "ArrowDown", "ArrowDown") == "checkerboard"
    assert press("said", "End", "s", "Enter") == "a red cubes"
    assert press("exact", "Space") is True
    assert press("new noise", "Enter", "Space") == 2
    assert press("step", "ArrowRight", "ArrowRight") == 2
    assert press("tile", "ArrowRight", "ArrowDown") == 3 and press("tile", "Home") == 0
    painted = np.frombuffer(base64.b64decode(press("mask", "Home", "PageUp", "Space")), np.uint8).reshape(8, 8)
    assert painted[0, 0] == 255 and painted.sum() < 6 * 255
    assert max(base64.b64decode(press("mask", "Delete"))) == 0
    names = tab.evaluate("""[...document.querySelectorAll('input, select, button, [tabindex="0"]')].map((e) =>
        e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)""")
    assert all(names), names  # whatever can be reached says what it is


def test_touch_drags_the_pad(live):
    tab = live(padded())
    session = tab.context.new_cdp_session(tab)
    x, y = place(tab, ".plain .layer", 0.25, 0.25)
    touch = lambda kind, *points: session.send(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]}
    )
    touch("touchStart", (x, y))
    settled(tab)
    assert tab.evaluate("__sent.at(-1).state.z") == pytest.approx([-1.5, 1.5], abs=0.05)
    touch("touchMove", place(tab, ".plain .layer", 0.75, 0.5))
    touch("touchEnd")
    settled(tab)
    assert tab.evaluate("__sent.at(-1).state.z") == pytest.approx([1.5, 0], abs=0.05)
    assert tab.evaluate("scrollY") == 0


def test_handles_and_gaussians_are_dragged_in_data_coordinates(live):
    controls = [
        w.Handles("h", [(-2, 1), (2, -1)], on="map", labels=["a", "b"]),
        w.Gaussians("g", [(0.0, 0.0)], [np.diag([0.5, 0.1])], on="map", radius=2.0),
    ]

    def draw(controls):
        return {"map": w.View(np.zeros((8, 16), np.uint8), extent=(-4, 4, -2, 2))}

    tab = live(w.Stage(draw, controls, title="Map"))
    at = lambda x, y: place(tab, '[data-view="map"] .box', (x + 4) / 8, (2 - y) / 4)
    drag(tab, [at(2, -1), at(3, 1.5)], steps=4)
    drag(tab, [at(0, 0), at(-1, -1)], steps=4)
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_allclose(state["h"], [[-2, 1], [3, 1.5]], atol=0.03)
    np.testing.assert_allclose(state["g"][0], [-1, -1, 0.5**0.5, 0.1**0.5, 0], atol=0.03)
    reach = 2 * 0.5**0.5
    drag(tab, [at(-1 + reach, -1), at(-1, 1)], steps=4)  # the long axis, turned upright and stretched
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_allclose(state["g"][0], [-1, -1, 1.0, 0.1**0.5, np.pi / 2], atol=0.03)
    tab.focus('[data-control="h a"]')
    tab.keyboard.press("ArrowUp")
    settled(tab)
    np.testing.assert_allclose(tab.evaluate("__sent.at(-1).state.h[0]"), [-2, 1.08], atol=1e-6)


def test_timeline_plays_every_state_scrubs_and_follows(live):
    length = [4]
    line = w.Timeline("step", lambda: length[0], fps=50, follow=True)

    def draw(controls):
        time.sleep(0.05)  # slower than the timeline plays
        return np.full((2, 2), 10 * controls["step"], np.uint8)

    tab = live(w.Stage(draw, [line]))
    settled(tab)
    assert sent(tab)[-1]["state"]["step"] == 0  # nothing plays by itself
    tab.click('[data-control="step play"]')
    tab.wait_for_function("__sent.at(-1).state.step === -1")
    settled(tab)
    played = [m["state"]["step"] for m in sent(tab)]
    assert played == [0, 1, 2, -1]  # none left out; the last is "the newest"
    length[0] = 9
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    settled(tab)
    assert tab.locator('[data-control="step"]').get_attribute("max") == "8"
    assert pixels(tab)[0, 0] == 80
    assert tab.locator(".timeline .number").inner_text() == "8 / 8"


def test_a_training_says_what_it_would_do_and_its_timeline_counts_steps(live):
    trainer = w.Trainer(lambda: iter(range(1200)), every=0, total=1200, keep=8)
    line = w.Timeline("checkpoint", trainer.count, value=-1, follow=True)
    shown = []

    def draw(controls):
        shown.append(trainer.at(controls["checkpoint"]).step)
        return w.Frame(np.full((2, 2), 7, np.uint8), f"step {shown[-1]}")

    tab = live(w.Stage(draw, [line], title="Live", trainer=trainer, link=True, source="make()"))
    strip, number = tab.locator(".training .number"), tab.locator(".timeline .number")
    tab.wait_for_function("document.querySelector('.training .number').textContent")
    assert strip.inner_text() == "Train starts from scratch: 1,200 steps"
    assert not tab.locator(".timeline").is_visible() and not tab.locator("progress").is_visible()
    assert tab.locator('[data-control="train reset"]').is_disabled()
    trainer.start().wait()
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    tab.wait_for_function("document.querySelector('.training .number').textContent.includes('done')")
    assert strip.inner_text() == "step 1,200 of 1,200 · done" and number.inner_text() == "step 1,200 of 1,200"
    marks = trainer.marks()
    tab.locator('[data-control="checkpoint"]').press("Home")
    tab.locator('[data-control="checkpoint"]').press("ArrowRight")
    settled(tab)
    assert number.inner_text() == f"step {marks[1]} of 1,200" and shown[-1] == marks[1] > 1
    assert sent(tab)[-1]["state"] == {"checkpoint": marks[1]}
    tab.click('[data-tool="Link"]')
    assert tab.evaluate("location.hash") == "#stage=live"  # where it is opened nothing was trained
    assert "training is not in it" in tab.locator(".done").inner_text()


def test_brush_paints_where_the_hand_goes(live):
    stage = w.Stage(lambda c: c["mask"], [w.Brush("mask", 16, 16, on="picture", radius=1.0)])
    tab = live(stage)
    at = lambda x, y: place(tab, '[data-view="picture"] .box', x / 16, y / 16)
    drag(tab, [at(2.5, 8.5), at(13.5, 8.5)], steps=3)
    settled(tab)
    painted = pixels(tab)
    assert (painted[8, 2:14] == 255).all() and painted[:6].max() == 0 and painted[11:].max() == 0
    tab.click("text=Erase")
    drag(tab, [at(8.5, 8.5), at(9, 8.5)])
    settled(tab)
    assert pixels(tab)[8, 8] == 0 and pixels(tab)[8, 3] == 255


def test_what_waits_for_a_choice_is_there_while_it_is_made(live):
    """Points on one picture, a sheet that comes when it is chosen, and goes again; nothing of either is lost."""

    def draw(c):
        ground = w.View(np.zeros((4, 4), np.uint8), extent=(0, 4, 0, 4))
        return {"picture": ground} if c["by"] == "points" else {"picture": ground, "sheet": c["mask"]}

    controls = [
        w.Handles("h", [[1.0, 1.0]], on="picture", when=("by", "points")),
        w.Brush("mask", 8, 8, on="sheet", radius=1.0, when=("by", "paint")),
        w.Choice("by", ["points", "paint"]),
    ]
    tab = live(w.Stage(draw, controls))
    points, sheet = tab.locator('[data-control="h 1"]'), tab.locator('[data-view="sheet"]')
    assert points.is_visible() and not sheet.count()
    tab.locator('label:has-text("paint") input').first.check(force=True)
    settled(tab)
    assert not points.is_visible() and sheet.is_visible()
    at = lambda x, y: place(tab, '[data-view="sheet"] .box', x / 8, y / 8)
    drag(tab, [at(1.5, 4.5), at(6.5, 4.5)], steps=3)
    settled(tab)
    assert (pixels(tab, "sheet")[4, 1:7] == 255).all()
    tab.locator('label:has-text("points") input').first.check(force=True)
    settled(tab)
    assert points.is_visible() and not sheet.is_visible()
    tab.locator('label:has-text("paint") input').first.check(force=True)
    settled(tab)
    assert (pixels(tab, "sheet")[4, 1:7] == 255).all() and sheet.locator(".cursor").is_visible()


def test_a_hard_brush_paints_whole_pixels_and_always_the_one_under_the_hand(live):
    tab = live(w.Stage(lambda c: c["mask"], [w.Brush("mask", 8, 8, on="picture", radius=0.75, hard=True)]))
    at = lambda x, y: place(tab, '[data-view="picture"] .box', x / 8, y / 8)
    drag(tab, [at(1.1, 3.9), at(6.1, 3.9)], steps=3)
    settled(tab)
    assert set(np.unique(pixels(tab))) == {0, 255}
    assert (pixels(tab)[3, 1:7] == 255).all() and pixels(tab)[:3].max() == 0 and pixels(tab)[5:].max() == 0


def test_a_tile_that_acts_moves_what_it_should_at_each_press(live):
    """Also when it is chosen already: whoever dragged away comes back."""
    press = lambda controls: {"z": (controls["tile"], -1.0)}
    tiles = w.Tiles("tile", on="gallery", rows=1, columns=3, press=press)
    draw = lambda controls: {"picture": np.zeros((8, 8)), "gallery": np.zeros((4, 12))}
    tab = live(w.Stage(draw, [w.Pad("z", limit=3.0), tiles], title="Acts"))
    box = tab.locator('[data-view="gallery"] .plot').bounding_box()
    middle = lambda k: (box["x"] + (k + 0.5) / 3 * box["width"], box["y"] + box["height"] / 2)
    knob = '[data-control="z"]'
    where = f"document.querySelector('{knob}').getAttribute('aria-valuetext')"
    tab.mouse.click(*middle(2))
    tab.wait_for_function(f"{where} === 'x 2.00, y −1.00'")
    tab.locator(knob).press("ArrowLeft")
    tab.wait_for_function(f"{where} !== 'x 2.00, y −1.00'")
    tab.mouse.click(*middle(2))
    tab.wait_for_function(f"{where} === 'x 2.00, y −1.00'")
    tab.locator(knob).press("Home")
    tab.wait_for_function(f"{where} !== 'x 2.00, y −1.00'")
    tab.locator('[data-control="tile"]').press("Enter")
    tab.wait_for_function(f"{where} === 'x 2.00, y −1.00'")
