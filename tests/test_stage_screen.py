"""The explorers on a laptop: everything on the first screen, nothing jumps, no read-out is a wall of numbers."""

import io
import re

import numpy as np
import pytest
import stand_ins
from browser import BARE, Trouble, needed, on_stage, patience, still
from PIL import Image
from stage_page import settled

from gdm_core import widgets as w
from gdm_core.course.look import TEMPLATE
from gdm_core.explorers import EXPLORERS
from gdm_core.widgets.view import folded

pytest_plugins = ("browser",)
pytestmark = needed
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer

LOOK = "".join((TEMPLATE / "static" / name).read_text("utf-8") for name in ("look.css", "studio.css"))
STUDIO = f"""<!doctype html><html data-theme="light"><meta charset="utf-8"><style>{LOOK}</style>
<nav class="bar"><a class="home" href="#">All explorers</a><span class="gap"></span><button>Dark</button></nav>
<div class="explorer"><h1>A question that one can answer by playing?</h1><main></main></div>"""
CELL = BARE.replace("body { margin: 12px;", "main { width: 900px } body { margin: 0;")


@pytest.fixture
def shown(chromium_running):
    """`shown(stage, width, height, html, **spec)`: a page that shows it there, painted."""
    profiles = []

    def show(stage, width, height, html=BARE, **spec):
        profile = chromium_running.new_context(viewport={"width": width, "height": height})
        profile.set_default_timeout(patience())
        page = profile.new_page()
        page.trouble = Trouble()
        page.trouble.watch(page)
        profiles.append((profile, page))
        before = dict(stage.spec)
        stage.spec = before | spec
        on_stage(page, stage, html)
        stage.spec = before
        settled(page)
        still(page)
        return page

    yield show
    for profile, page in profiles:
        profile.close()
        page.trouble.none()


LOWEST = """(parts) => Math.max(...[...document.querySelectorAll(parts)].map((e) => e.getBoundingClientRect())
    .filter((box) => box.width * box.height).map((box) => box.bottom))"""


@pytest.mark.parametrize("name", EXPLORERS)
def test_in_the_studio_everything_is_on_the_first_screen(shown, explorer, name):
    page = shown(explorer(name), 1440, 900, STUDIO, whole=True, link=True)
    assert page.evaluate(LOWEST, ".box, .below, .reading, .controls, .tools button") <= 900
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('.box')].map((e) => e.clientWidth))")
    assert widest > 280


@pytest.mark.parametrize("name", EXPLORERS)
def test_in_a_cell_of_a_notebook_what_one_drags_and_what_it_moves_share_a_screen(shown, explorer, name):
    page = shown(explorer(name), 900, 800, CELL)
    assert page.evaluate(LOWEST, ".box, .controls, .said") <= 800
    assert page.evaluate("[...document.querySelectorAll('.held .box')].every((e) => e.clientWidth > 180)")


def test_on_a_low_screen_train_comes_before_what_does_not_fit(shown):
    def order(sliders):
        trainer = w.Trainer(lambda: iter(range(9)))
        controls = [w.Slider(f"s{i}", 0, 1) for i in range(sliders)]
        stage = w.Stage(lambda c: np.zeros((8, 8), np.uint8), controls, title="T", trainer=trainer)
        page = shown(stage, 1200, 800, STUDIO, whole=True)
        tops = page.evaluate("""["[data-control='train start']", "input[type=range]"].map((part) =>
            document.querySelector(part).getBoundingClientRect().top)""")
        return tops, page.evaluate(LOWEST, "[data-control='train start']")

    (train, slider), lowest = order(12)
    assert train < slider and lowest < 800
    (train, slider), lowest = order(3)
    assert slider < train and lowest < 800


@pytest.mark.parametrize("width", [700, 900, 1100, 1300])
def test_results_of_one_kind_have_one_size(shown, explorer, width):
    page = shown(explorer("arithmetic"), width, 800)
    wide = """['codes', 'pixels', 'truth', 'nearest'].map((v) =>
        document.querySelector(`[data-view=${v}] .box`).clientWidth)"""
    assert np.ptp(page.evaluate(wide)) <= 1


PLACES = """() => [...document.querySelectorAll(".plot, .controls, .tools")].map((e) => {
    const box = e.getBoundingClientRect(); return [box.left, box.top, box.width, box.height].map(Math.round) })"""


def spoken(controls):
    """Captions, a warning and a read-out of one or of more lines."""
    long = controls["much"]
    gray = np.full((8, 8), 99, np.uint8)
    few = w.View(
        gray, label="a caption that needs two lines or even three" if long else "one", warning="far " * 9 * long
    )
    text = "gap 1.00 nats, which is a long way to say that it is there, " * (9 if long else 1) + "and it is all"
    return w.Frame({"first": few, "second": w.View(gray, label="two"), "third": w.View(gray, label="three")}, text)


@pytest.mark.parametrize("width", [900, 1440])
def test_nothing_jumps_when_a_warning_a_line_or_a_caption_comes_and_goes(shown, width):
    page = shown(w.Stage(spoken, [w.Toggle("much", True), w.Pad("z", 1.0, on="first")], title="T"), width, 800)
    full = page.evaluate(PLACES)
    for _ in range(2):
        page.click('[data-control="much"]')
        settled(page)
        still(page)
        assert page.evaluate(PLACES) == full
    assert page.evaluate("document.querySelector('.warned') !== null")


@pytest.mark.parametrize("width", [900, 1440])
def test_a_second_line_of_a_read_out_and_a_warning_have_their_place_before_they_come(shown, width):
    def draw(controls):
        far = controls["far"]
        view = w.View(np.full((8, 8), 99, np.uint8), label="one", warning="far from all that was seen" if far else "")
        return w.Frame(view, "short" if not far else "a read-out of more than a line, by a long way, " * 3)

    page = shown(w.Stage(draw, [w.Toggle("far")], title="T"), width, 800)
    calm = page.evaluate(PLACES)
    page.click('[data-control="far"]')
    settled(page)
    still(page)
    assert page.evaluate(PLACES) == calm and page.locator(".warned").count() == 1


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_read_out_shows_three_numbers_and_keeps_the_rest(explorer, name):
    whole = explorer(name).frame().text
    text, more = folded(whole)
    assert " · ".join(filter(None, (text, more))) == whole
    assert len(re.findall(r"(?<![\w.,])\d", text)) <= 3, text


def talk(controls):
    return w.Frame(np.full((4, 4), controls["level"], np.uint8), f"a 1.0 · b {controls['level']} · c 3 · d 4 · e 5")


def test_the_rest_of_a_read_out_is_asked_for_by_key_and_stays(shown):
    page = shown(w.Stage(talk, [w.Slider("level", 0, 9, 2, step=1)], title="T", name="talk"), 900, 800)
    button = page.get_by_role("button", name="more")
    assert (
        page.locator(".said").inner_text() == "a 1.0 · b 2 · c 3" and button.get_attribute("aria-expanded") == "false"
    )
    rest = page.locator(f"#{button.get_attribute('aria-controls')}")
    assert not rest.is_visible()
    button.focus()
    page.keyboard.press("Enter")
    assert (
        rest.inner_text() == "d 4 · e 5"
        and page.get_by_role("button", name="less").get_attribute("aria-expanded") == "true"
    )
    page.focus(".slider input")
    page.keyboard.press("ArrowRight")
    settled(page)
    assert page.locator(".said").inner_text() == "a 1.0 · b 3 · c 3" and rest.is_visible()
    page.wait_for_function("document.querySelector('.unseen').textContent.includes('e 5')")  # read aloud, as it is seen


def test_a_short_read_out_has_nothing_to_unfold_and_still_and_export_split_it_too(shown):
    stage = w.Stage(talk, [w.Slider("level", 0, 9, 2, step=1)], title="T", sampled={"level": 3})
    page = shown(w.Stage(lambda c: w.Frame(np.zeros((4, 4)), "a 1"), [w.Pad("z", 1.0)]), 900, 800)
    assert not page.locator(".more").is_visible()
    page.set_content(f"<!doctype html>{stage.to_html()}")
    page.wait_for_function("document.querySelector('.said')?.textContent.includes('c 3')")
    assert "d 4" not in page.locator(".said").inner_text()
    page.click(".more")
    assert page.locator(".rest").inner_text() == "d 4 · e 5"
    assert stage.words().endswith("d 4 · e 5")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_white_paper_does_not_glare_in_the_dark(shown, theme):
    """What one sees of it; a picture that is dark or colored stays as it is."""

    def draw(controls):
        flat = lambda *color: np.full((8, 8, 3), color, np.uint8)
        board, lit = flat(20, 20, 20), flat(200, 90, 30)
        board[:, 2:6], lit[:, :1] = 255, 255  # half of a board is white; a light in a room
        pictures = {"paper": flat(255, 255, 255), "room": lit, "night": flat(20, 20, 20), "board": board}
        return pictures | {"energy": w.View(np.full((8, 8), 1.0), colormap="cividis", limits=(0, 1))}

    page = shown(w.Stage(draw, title="T"), 900, 800, BARE.replace("<html", f'<html data-theme="{theme}"'))
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_timeout(200)

    def middle(view):
        shot = Image.open(io.BytesIO(page.locator(f'[data-view="{view}"] .plot').screenshot())).convert("RGB")
        return shot.getpixel((shot.width // 2, shot.height // 2))

    assert middle("room") == (200, 90, 30) and middle("night") == (20, 20, 20)
    for name, before in {"paper": (255, 255, 255), "board": (255, 255, 255), "energy": (254, 232, 56)}.items():
        assert middle(name) == pytest.approx(before, abs=2) if theme == "light" else 140 < middle(name)[1] < 200, name


def test_a_dark_color_of_a_mark_is_lighter_on_a_dark_ground_alone(shown):
    slate = np.array([[60, 70, 84]]) / 255
    views = {"chart": w.View(None, [w.Points([[0.0, 0.0]], slate, size=60)], (-1, 1, -1, 1))}
    page = shown(w.Stage(lambda c: views, title="T"), 700, 700)
    read = """() => { const c = document.querySelector("canvas.marks");
        return [...c.getContext("2d").getImageData(c.width / 2, c.height / 2, 1, 1).data].slice(0, 3) }"""
    assert page.evaluate(read) == [60, 70, 84]
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(200)
    r, g, b = page.evaluate(read)
    assert 0.3 * r + 0.59 * g + 0.11 * b > 120 and r < g < b
