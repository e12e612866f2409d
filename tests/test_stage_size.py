"""A stage that is made before it has a size, as in JupyterLab, or loses it: it waits, and looks the same afterwards."""

import io

import browser
import numpy as np
import pytest
from browser import on_stage, still
from PIL import Image

from gdm_core import widgets as w
from gdm_core.widgets import assets

pytestmark = browser.needed
chromium_running, tab = browser.chromium_running, browser.tab  # fixtures

# The element that the stage is rendered into is `main`; each page hides it in another way until `appear` is called.
UNSEEN = {
    "not-in-the-page": (
        "main.remove(); document.querySelector = () => main",
        "delete document.querySelector; document.body.append(main)",
    ),
    "not-displayed": ("main.style.display = 'none'", "main.style.display = ''"),
    "without-width": ("main.style.width = '0px'", "main.style.width = ''"),
    "content-hidden": ("main.style.contentVisibility = 'hidden'", "main.style.contentVisibility = ''"),
}
PAGE = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 12px }}</style><main></main>
<script>const main = document.querySelector("main"); globalThis.appear = () => {{ {after} }}; {before}</script>"""


def everything(controls):
    """All marks, axes with and without names, a picture with a scale, an empty plane: all that depends on a size."""
    square, points = (-2, 2, -1, 3), np.array([[-1.0, 0.0], [1.0, 2.0]])
    marks = [
        w.Points(points, "data", label="points"),
        w.Lines(points, "latent", dash=True, label="line"),
        w.Arrows(points, points[::-1] / 4, "model"),
        w.Ellipses(points, np.stack([np.eye(2)] * 2) / 4, color="exact"),
        w.Bars([0.0], [1.0]),
        w.Text(points, ["a", "b"]),
    ]
    shades = {"colormap": "gray", "limits": (0, 3), "scale": "nats"}
    views = {
        "plot": w.View(None, marks, square, "plot", axes=("x", "a long name of the other axis")),
        "flat": w.View(None, [w.Lines([[0, 5], [1, 5]])], (0, 1, 5, 5 + 1e-12), "one level", axes=True),
        "picture": w.View(np.arange(4.0).reshape(2, 2), marks, square, "picture", **shades),
    }
    return w.Frame(views, f"level {controls['level']}")


def stage():
    controls = [
        w.Pad("z", on="plot", limit=1.0),
        w.Pad("own", limit=1.0),
        w.Handles("handles", [[0.0, 0.0]], on="picture"),
        w.Gaussians("gaussians", [[0.0, 1.0]], [np.eye(2) / 9], on="plot"),
        w.Tiles("tiles", on="picture", rows=2, columns=2),
        w.Brush("brush", on="picture", width=4, height=4, value=np.eye(4)),
        w.Slider("level", 0, 5, step=1),
        w.Choice("choice", ["one", "two", "three"]),
        w.Timeline("time", 5),
    ]
    return w.Stage(everything, controls, title="Everything", name="everything")


def looks(tab):
    return np.asarray(Image.open(io.BytesIO(tab.locator("main").screenshot(animations="disabled"))).convert("RGB"))


def drawn(tab):
    tab.wait_for_function("document.querySelector('.said')?.textContent.startsWith('level')")
    still(tab)


@pytest.fixture(scope="module")
def seen(chromium_running):
    """How the stage looks when it is rendered where it can be seen."""
    with chromium_running.new_context(viewport={"width": 800, "height": 900}) as profile:
        page = profile.new_page()
        on_stage(page, stage())
        drawn(page)
        return looks(page)


@pytest.mark.parametrize("how", UNSEEN)
def test_a_stage_that_could_not_be_seen_at_first_looks_the_same_later(tab, seen, how):
    before, after = UNSEEN[how]
    on_stage(tab, stage(), PAGE.format(before=before, after=after))
    tab.wait_for_function("__answered > 0")
    tab.wait_for_timeout(100)
    tab.evaluate("appear()")
    drawn(tab)
    # A rim that falls between two pixels may round to the neighboring shade.
    np.testing.assert_allclose(looks(tab).astype(int), seen.astype(int), atol=3)


@pytest.mark.parametrize("how", UNSEEN)
def test_a_stage_that_was_out_of_sight_looks_the_same_when_it_is_back(tab, seen, how):
    """As a cell that is scrolled away: its theme and its size are gone for a while, and a new picture may come."""
    before, after = UNSEEN[how]
    on_stage(tab, stage(), PAGE.format(before="", after=after))
    drawn(tab)
    tab.evaluate(f"() => {{ {before} }}")
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    tab.wait_for_timeout(200)
    tab.evaluate("appear()")
    drawn(tab)
    np.testing.assert_allclose(looks(tab).astype(int), seen.astype(int), atol=3)


@pytest.mark.parametrize(
    "low, high, count, expected",
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-1, 2, 3, [-1, 0, 1, 2]),
        (2, -1, 3, [-1, 0, 1, 2]),
        (0.31, 0.39, 1, [0.32, 0.34, 0.36, 0.38]),  # one number is no scale
        (0, 1, 0, [0, 1]),
        (0, 1, float("nan"), [0, 1]),
        (0, 1, float("inf"), [round(0.02 * k, 2) for k in range(51)]),
        (3, 3, 5, []),
        (float("nan"), 1, 5, []),
        (0, float("inf"), 5, []),
        (5, 5 + 1e-12, 5, [5]),
        (-1e300, 1e300, 4, [-1e300, -5e299, 0, 5e299, 1e300]),
    ],
)
def test_ticks_end_whatever_they_are_asked_for(tab, low, high, count, expected):
    told = lambda v: repr(float(v)).replace("nan", "NaN").replace("inf", "Infinity")
    marks = "".join((assets.HERE / "js" / f"{part}.js").read_text("utf-8") for part in ("page", "marks"))
    assert tab.evaluate(f"() => {{ {marks}; return ticks({told(low)}, {told(high)}, {told(count)}) }}") == expected
