"""A stage with one pad alone in a page of headless Chromium, and what tests do to it."""

import base64

import numpy as np
import pytest
from browser import BARE, TEXT, on_stage, rgba

from gdm_core import widgets as w

PAD, PICTURE = '[data-control="z"]', ".view:not(.plain) canvas.picture"


def field(controls):
    """16 x 16 gray levels that depend on both coordinates of the pad."""
    x, y = controls["z"]
    grid = np.add.outer(np.arange(16) * (y + 3), np.arange(16) * (x + 3))
    return grid.astype(np.uint8)


def padded(**options):
    controls = [w.Pad("z", limit=3.0, labels=("z1", "z2"), step=0.05), *options.pop("controls", [])]
    return w.Stage(options.pop("draw", field), controls, title="Pad", source="make()", **options)


def sent(tab):
    return tab.evaluate("__sent")


def answer(tab, n, ms=20.0, level=0, kind="frame", **rest):
    """A frame of one 2 x 2 gray picture, or an error, as the reply to request n."""
    view = {"name": "picture", "label": "", "extent": [0, 1, 0, 1], "aspect": 1, "axes": False, "marks": []}
    view |= {"warning": "", "size": 1, "smooth": False, "image": {"array": f"k{level}"}}
    arrays = {f"k{level}": {"buffer": 0, "type": "u1", "shape": [2, 2]}}
    reply = {"kind": kind, "view": sent(tab)[0]["view"], "n": n, "ms": ms}
    reply |= {"frame": {"views": [view], "text": "said", "arrays": arrays}} if kind == "frame" else {}
    pixels = base64.b64encode(bytes([level] * 4)).decode()
    tab.evaluate("([reply, pixels]) => __reply(reply, [pixels])", [reply | rest, pixels])


def level(tab):
    return tab.evaluate(f"document.querySelector('{PICTURE}').getContext('2d').getImageData(0, 0, 1, 1).data[0]")


def pixels(tab, view="picture"):
    """Red channel of a view's canvas."""
    script = f"""(view) => {{ const c = document.querySelector(`[data-view="${{view}}"] canvas.picture`);
        return [c.height, c.width, {TEXT}(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)] }}"""
    return rgba(*tab.evaluate(script, view))[..., 0]


def drag(tab, points, steps=1):
    tab.mouse.move(*points[0])
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*point, steps=steps)
    tab.mouse.up()


def place(tab, selector, fx=0.5, fy=0.5):
    box = tab.locator(selector).bounding_box()
    return box["x"] + fx * box["width"], box["y"] + fy * box["height"]


def settled(tab):
    """Nothing asked, nothing in flight: as many answers as requests."""
    tab.wait_for_function("__answered === __sent.length")


def hold_the_clipboard(tab):
    """What the page copies waits in __copied."""
    hold = "navigator.clipboard.writeText = (t) => { globalThis.__copied = t; return Promise.resolve() }"
    tab.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{ value: {{}}, configurable: true }}); {hold}")


def stop_clock(tab):
    """Time stands still in the page until a test runs it: a busy machine is no lost answer."""
    tab.clock.install(time=0)
    tab.clock.pause_at(1000)


@pytest.fixture
def live(tab):
    """Show a stage of this process and wait for its first picture."""

    def show(stage, html=BARE):
        on_stage(tab, stage, html)
        tab.wait_for_function(f"document.querySelector('{PICTURE}')?.width > 1")
        return tab

    return show


# Flow control
