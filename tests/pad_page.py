"""A page with one pad and one picture, wherever it stands: what it shows, and hands on it."""

import contextlib

import numpy as np
import pytest
from browser import TEXT, rgba
from servers import until

PAD = """\
import numpy as np
from gdm_core.widgets import Pad, Stage

def draw(controls):
    x, y = controls["z"]
    return np.add.outer(np.arange(28) * (y + 3) * 0.7, np.arange(28) * (x + 3) * 0.7).astype(np.uint8)

stage = Stage(draw, [Pad("z", limit=3.0, step=0.05)], title="Pad", sampled={"z": 7})
stage"""
CHAPTER = f"""\
# %% [markdown]
# ## 1.1 Play
# The density $p_\\theta(x)$ and the bound
#
# $$\\begin{{aligned}} \\log p_\\theta(x) &\\ge \\mathcal L(q, \\theta) \\\\
# &= \\int q(z) \\log\\frac{{p(x, z)}}{{q(z)}}\\,dz \\end{{aligned}}$$

# %%
{PAD}

# %%
from gdm_core.course.claims import claim
claim("two and two", 2 + 2, near=4, within=0);
"""
PICTURE = ".view:not(.plain) canvas.picture"
PIXELS = f"""() => {{ const c = document.querySelector("{PICTURE}");
    if (!c || c.width < 2) return null;
    return [c.height, c.width, {TEXT}(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)]; }}"""


@pytest.fixture(scope="module")
def twin():
    """The stage of `PAD` in this process."""
    space = {}
    exec(PAD, space)
    return space["stage"]


def seen(tab):
    """Red channel on the screen, or None while there is no picture."""
    found = tab.evaluate(PIXELS)
    return found and rgba(*found)[..., 0]


def shows(tab, stage, z):
    """Wait until the screen shows what the callback gives for z."""
    wanted = stage.frame({"z": z}).encode()["views"][0]["image"]
    with contextlib.suppress(TimeoutError):
        return until(lambda: np.array_equal(seen(tab), wanted))
    np.testing.assert_array_equal(seen(tab), wanted)


def spot(tab, x, y, limit=3.0):
    """Where (x, y) of the pad lies on the screen."""
    tab.locator(".plain .layer").scroll_into_view_if_needed()
    box = tab.locator(".plain .layer").bounding_box()
    return box["x"] + (x / limit + 1) / 2 * box["width"], box["y"] + (1 - y / limit) / 2 * box["height"]


def drag(tab, *points):
    tab.mouse.move(*spot(tab, *points[0]))
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*spot(tab, *point), steps=12)
    tab.mouse.up()


def touch(tab, *points):
    session = tab.context.new_cdp_session(tab)
    send = lambda kind, at: session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    for i, (x, y) in enumerate(spot(tab, *point) for point in points):
        send("touchMove" if i else "touchStart", [{"x": x, "y": y}])
    send("touchEnd", [])
