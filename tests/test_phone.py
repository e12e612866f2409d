"""On a phone, worked by touch: what answers stays in sight, whatever a thumb drags, and nothing lies over anything."""

import base64
import io

import numpy as np
import pytest
import stand_ins
from browser import Trouble, needed, on_stage, patience, still
from PIL import Image

from gdm_core import widgets as w
from gdm_core.explorers import EXPLORERS

pytest_plugins = ("browser",)
pytestmark = needed
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer

HTML = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>stage</title><style>body { margin: 0 8px } h1 { font: 600 18px/1.3 sans-serif }</style>
<h1>A question of two lines, as long as those of the explorers are?</h1><main></main>"""
KEPT = {
    "energy_landscape": ["landscape"],
    "ising_board": ["chance"],
    "score_field": ["field"],  # what one looks at while a thumb is elsewhere
    "mixtures": ["data"],
    "scenes": ["scene", "picture"],
    "ppca": ["pictures"],
    "posterior": ["posterior"],
    "latent_pad": ["picture"],
    "style_board": ["board"],
    "arithmetic": ["codes", "pixels", "truth"],
    "traversal": ["pictures"],
    "bench": ["clouds"],
    "game_bench": ["plane"],
    "gan_studio": ["map"],
    "flow_film": ["film"],
    "planar": ["data"],
    "diffusion_film": ["film"],
    "memorizer": ["drawn"],
    "denoise_by_hand": ["answers"],
    "paths": ["paths"],
    "few_steps": ["samples"],
    "guidance_bench": ["plane"],
    "digit_board": ["board"],
    "text_to_image": ["room", "others"],
    "pixels": ["sees"],
    "hole_in_the_picture": ["completions", "posterior"],
    "family_race": ["race"],
}


@pytest.fixture
def phone(chromium_running):
    """`phone(stage, width, height)`: a page that shows it there, painted."""
    profiles = []

    def show(stage, width=360, height=740):
        size = {"width": width, "height": height}
        profile = chromium_running.new_context(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2)
        profile.set_default_timeout(patience())
        page = profile.new_page()
        page.trouble, page.session = Trouble(), profile.new_cdp_session(page)
        page.trouble.watch(page)
        profiles.append((profile, page))
        on_stage(page, stage, HTML)
        page.wait_for_function("__answered > 0 && __answered === __sent.length")
        still(page)
        return page

    yield show
    for profile, page in profiles:
        profile.close()
        page.trouble.none()


def finger(page, kind, at=None):
    page.session.send(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at[0], "y": at[1]}] if at else []}
    )


def answered(page):
    page.wait_for_function("__answered === __sent.length")


SEEN = """(names) => names.every((name) => {
  const box = document.querySelector(`[data-view="${name}"] .box`).getBoundingClientRect();
  const over = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.top >= 0 && box.bottom <= innerHeight && box.width > 60 && over.closest(`[data-view="${name}"]`) })"""


@pytest.mark.parametrize("name", EXPLORERS)
def test_what_answers_is_in_sight_while_one_drags(phone, explorer, name):
    page = phone(explorer(name), 360, 640)  # a small phone below the bar of its browser
    kept = page.evaluate("[...document.querySelectorAll('.kept > .view')].map((view) => view.dataset.view)")
    assert kept == KEPT[name]
    handles = page.locator(".knob:not(.small), .controls input[type=range]").filter(visible=True)
    for i in range(handles.count()):
        handle = handles.nth(i)
        handle.evaluate("e => e.scrollIntoView({ block: 'end' })")  # as far down as it goes
        page.evaluate("scrollBy(0, 40)")
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        asked = page.evaluate("__sent.length")
        finger(page, "touchStart", (x, y))
        finger(page, "touchMove", (x + 25, y - 3))
        page.wait_for_function("(n) => __sent.length > n", arg=asked)
        answered(page)
        assert page.evaluate(SEEN, kept), (name, handle.get_attribute("data-control"))
        finger(page, "touchEnd")
    pad = page.locator(".layer.pad:has(.knob)")
    if pad.count():
        box = pad.bounding_box()
        assert min(box["width"], box["height"]) > 0.55 * 360  # room for a thumb


OVERLAPS = """() => {
  const parts = [...document.querySelectorAll(
    ".caption, .plot, figcaption, .below, .warning:not(:empty), .said, .control, .tools")];
  const boxes = parts.map((part) => part.getBoundingClientRect());
  const shown = (part, box) => box.width * box.height > 0 && getComputedStyle(part).visibility === "visible";
  return parts.flatMap((a, i) => parts.slice(i + 1).flatMap((b, j) => {
    const [p, q] = [boxes[i], boxes[i + 1 + j]];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    return shown(a, p) && shown(b, q) && wide > 1 && high > 1 ? [[a.className, b.className, wide, high]] : [] })) }"""
FAR = {
    "latent_pad": {"z": (3.9, 3.9)},
    "style_board": {"z": (3.5, 3.5)},
    "arithmetic": {"amount": 2.0, "a": 4, "b": 12},
    "traversal": {f"z{i}": 3.0 for i in range(1, 7)},
    "game_bench": {"lr": 1.2},
    "digit_board": {"z": (2.9, 2.9)},
    "hole_in_the_picture": {"pull": 1.0, "std": 0.1},
}


@pytest.mark.parametrize("width", [360, 430])
@pytest.mark.parametrize("name", EXPLORERS)
def test_nothing_lies_over_anything_and_nothing_is_wider_than_the_phone(phone, explorer, name, width):
    stage = explorer(name)
    page = phone(stage, width)

    def fits():
        still(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERLAPS) == []

    fits()
    if name in FAR:
        page.wait_for_timeout(400)  # a state that a frame set is settled first: until then the page keeps its own
        stage.set(FAR[name])
        page.evaluate("(state) => { __values.state = state; __emit('change:state') }", dict(stage.state))
        answered(page)
        fits()
    warned = page.locator(".warning:not(:empty)")
    page.wait_for_function(f"document.querySelectorAll('.warning:not(:empty)').length === {int(name in FAR)}")
    assert warned.count() == (name in FAR) and all(part.is_visible() for part in warned.all())
    stage.set(stage.spec["initial"])


def test_a_picture_is_saved_as_it_stands_on_the_page_wherever_one_has_scrolled(phone):
    gray = lambda level: np.full((9, 9), level, np.uint8)

    def draw(controls):
        ground = w.View(gray(90), extent=(-1, 1, -1, 1), axes=("a", "b"))
        return {"map": ground, "picture": w.View(gray(200), label="x")}

    controls = [w.Pad("z", 1.0, on="map"), *(w.Slider(f"s{i}", 0, 1) for i in range(9))]
    page = phone(w.Stage(draw, controls, title="Two"))
    page.evaluate("HTMLAnchorElement.prototype.click = function () { globalThis.__saved = this.href }")

    def saved():
        page.evaluate("__saved = null; document.querySelector('[data-tool=PNG]').dispatchEvent(new Event('click'))")
        page.wait_for_function("__saved")
        read = """fetch(__saved).then((answer) => answer.arrayBuffer())
            .then((bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))))"""
        return np.array(Image.open(io.BytesIO(base64.b64decode(page.evaluate(read)))))

    above = saved()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("document.querySelector('.kept').getBoundingClientRect().top") == 0  # it does stick
    np.testing.assert_array_equal(saved(), above)
    assert not page.locator(".card.flat").count()
