"""What a page draws: pixels, colors, marks, numbers."""

import io

import browser
import numpy as np
import stage_page
from browser import TEXT, on_stage, rgba
from PIL import Image
from stage_page import drag, field, hold_the_clipboard, padded, pixels, place, settled

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


def test_the_page_shows_the_pixels_of_the_kernel(live):
    stage = padded()
    tab = live(stage)
    start, end = place(tab, ".plain .layer", 0.5, 0.5), place(tab, ".plain .layer", 0.85, 0.2)
    drag(tab, [start, end], steps=25)
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_array_equal(pixels(tab), field({"z": state["z"]}))
    tab.wait_for_function("(z) => `${__saved.at(-1)?.z}` === `${z}`", arg=state["z"])  # the kernel's model has it too


def test_colormaps_and_colors_arrive_as_they_were(live):
    levels = np.random.default_rng(0).normal(size=(9, 7))
    color = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)

    def draw(controls):
        return {"field": w.View(levels, colormap="cividis", scale="nats"), "color": color}

    tab = live(padded(draw=draw))
    from gdm_core.widgets.view import palette, picture

    np.testing.assert_array_equal(pixels(tab, "field"), palette("cividis")[picture(levels, "cividis")[0]][..., 0])
    np.testing.assert_array_equal(pixels(tab, "color"), color[..., 0])
    assert "nats" in tab.locator('[data-view="field"] .below').inner_text()


def test_marks_lie_where_their_coordinates_say(live):
    """A red dot at (1, 1) of [-2, 2] x [-2, 2] on black: three quarters across, one quarter down."""

    def draw(controls):
        image = np.zeros((4, 4), np.uint8)
        return w.View(image, [w.Points([[1, 1]], "#ff0000", size=12)], (-2, 2, -2, 2), axes=("a", "b"))

    tab = live(padded(draw=draw))
    box = tab.locator('[data-view="picture"] .box').bounding_box()
    shot = np.asarray(Image.open(io.BytesIO(tab.screenshot(clip=box))).convert("RGB")).astype(int)
    red = np.argwhere((shot[..., 0] > 200) & (shot[..., 1:] < 60).all(-1))
    np.testing.assert_allclose(red.mean(0) / shot.shape[:2], [0.25, 0.75], atol=0.01)


def test_numbers_and_label_of_an_axis_stand_apart(tab):
    def draw(controls):
        top = 10.0 ** controls["digits"]
        return w.View(None, [], extent=(0, 1, -top, top), axes=("step", "nats"), label="")

    on_stage(tab, w.Stage(draw, [w.Slider("digits", 0, 6, step=1, value=0)]))
    ink = """() => { const c = document.querySelector("canvas.marks"), x = -parseFloat(c.style.left);
        const { data, width } = c.getContext("2d").getImageData(0, 0, x - 6, c.height - 60);
        const columns = [...Array(width).keys()];
        return columns.map((i) => data.some((v, j) => j % 4 === 3 && v > 90 && (j >> 2) % width === i)) }"""
    for key, digits in (("Home", 0), ("End", 6)):
        tab.locator('[data-control="digits"]').press(key)
        tab.wait_for_function(f"document.querySelector('.number').textContent === '{digits}'")
        settled(tab)
        tab.wait_for_timeout(100)  # the box follows, then what is drawn on it
        columns = tab.evaluate(ink)
        inked = [i for i, dark in enumerate(columns) if dark]
        gaps = [a for a, b in zip(inked, inked[1:]) if b - a >= 4]
        assert inked[0] >= 1 and gaps and gaps[0] < 20, (digits, inked)  # label, nothing, numbers
    assert len(columns) > 80


def test_numbers_have_the_digits_that_a_hand_can_mean(live):
    controls = [w.Slider("z1", -3.0, 3.0, 0.000198, step=0.05), w.Slider("z2", -3.0, 3.0, -0.00397)]
    controls += [w.Slider("level", -300, 300, -250, step=1), w.Slider("rate", 1e-4, 1.0, 0.000123, log=True)]
    stage = padded(controls=controls, link=True)
    tab = live(stage.set(z=(-1.23456789, 2 / 3), z1=-0.2500001, z2=-0.00497))
    numbers = lambda: tab.locator(".slider .number").all_inner_texts()
    assert numbers() == ["−0.25", "0", "−250", "0.000123"]
    tab.locator('[data-control="z1"]').press("End")
    settled(tab)
    assert numbers()[0] == "3"
    stage.set(z1=3.0)
    hold_the_clipboard(tab)
    tab.click('[data-tool="Code"]')
    assert tab.evaluate("__copied") == stage.code() == "make().set(z=[-1.2346, 0.6667], z1=3, z2=-0.00497)"
    tab.click('[data-tool="Link"]')
    assert tab.evaluate("location.hash") == "#stage=pad&z=[-1.2346,0.6667]&z1=3&z2=-0.00497"


INSIDE = f"""() => {{ const c = document.querySelector("[data-view=picture] canvas.marks"), r = devicePixelRatio;
    const box = c.closest(".plot"), [x, y] = [-parseFloat(c.style.left) * r, -parseFloat(c.style.top) * r];
    const [w, h] = [box.clientWidth * r, box.clientHeight * r];
    return [h, w, {TEXT}(c.getContext("2d").getImageData(x, y, w, h).data)] }}"""


def inside(tab):
    """RGBA of the marks over the picture, without its surroundings."""
    return rgba(*tab.evaluate(INSIDE)).astype(int)


def test_marks_over_a_picture_look_the_same_in_the_dark(live, tab):
    circle = 0.7 * np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 90)), np.sin(a)], 1)

    def draw(controls):
        marks = [w.Lines(circle, "noise", width=4, dash=True, label="ring"), w.Points([[0, 0]], "data", size=20)]
        marks.append(w.Text([[0, 0.5]], ["0.7"], "data", size=20))
        return w.View(np.full((9, 9), 200, np.uint8), marks, (-1, 1, -1, 1), label="")

    tab.emulate_media(color_scheme="light")
    live(padded(draw=draw))
    settled(tab)
    chip = "getComputedStyle(document.querySelector('.chip')).color"
    light, key = inside(tab), tab.evaluate(chip)
    ground = tab.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("(g) => getComputedStyle(document.querySelector('.card')).backgroundColor !== g", arg=ground)
    np.testing.assert_array_equal(inside(tab), light)
    assert tab.evaluate(chip) == key
    ring = [light[round(len(light) * (1 - y) / 2), round(len(light[0]) * (x + 1) / 2), 3] for x, y in circle]
    assert min(ring) == 0 and max(ring) > 200  # between the dashes one sees the picture


def test_numbers_of_a_table_do_not_run_into_each_other(live, tab):
    def draw(controls):
        cells = w.Text([[x + 0.5, 0.5] for x in range(5)], ["−0.88"] * 5, size=30)
        return w.View(np.full((1, 5), 255, np.uint8), [cells], (0, 5, 1, 0), label="", size=0.5)

    tab.set_viewport_size({"width": 420, "height": 700})
    tab = live(padded(draw=draw))
    settled(tab)
    inked = inside(tab)[..., 3].max(0) > 60
    gaps = np.flatnonzero(np.diff(inked.astype(int)) == 1)
    cell = len(inked) / 5
    assert all(not inked[round(k * cell) - 1 : round(k * cell) + 1].any() for k in range(1, 5)), gaps


# Without a kernel
