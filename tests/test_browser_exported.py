"""An exported chapter in headless Chromium: it moves from disk as the callback of its explorer says."""

import pytest
import tiny_course
from browser import needed
from pad_page import CHAPTER, drag, seen, shows
from servers import until

from gdm_core.course.export import export

pytest_plugins = ("browser", "pad_page")  # the fixtures `tab` and `twin`
pytestmark = needed


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    home = tmp_path_factory.mktemp("course")
    assert export(tiny_course.make(home, _01_pads=CHAPTER), home / "exported") == 0
    return home / "exported" / "01_pads.html"


def test_an_exported_chapter_moves_from_disk_with_the_network_off(tab, exported, twin):
    tab.context.set_offline(True)
    tab.goto(exported.as_uri())
    until(lambda: seen(tab) is not None, what="a picture")
    drag(tab, (0, 0), (1.9, -2.1))  # the nearest of -3, -2 … 3 shows
    shows(tab, twin, (2, -2))
    tab.locator("[data-code-button]").click()
    assert tab.locator(".code:visible").count() == 0
    assert tab.locator(".claim").inner_text() == "✓ two and two: 4"


def test_formulas_are_laid_out(tab, exported):
    """Geometry: the relations of aligned lines stand below each other, a numerator stands over its denominator."""
    tab.goto(exported.as_uri())
    box = lambda selector, i=0: tab.locator(selector).nth(i).bounding_box()
    rows = tab.locator(".display mtr")
    assert rows.count() == 2
    left = [rows.nth(i).locator("mtd >> nth=1").locator("mo").first.bounding_box() for i in range(2)]
    assert abs(left[0]["x"] - left[1]["x"]) < 1.5 and left[1]["y"] > left[0]["y"] + 10
    over, under = (box(f".display mfrac > :nth-child({i})") for i in (1, 2))
    assert over["y"] + over["height"] <= under["y"] + 3
    integral = next(m for m in tab.locator(".display mo").all() if m.text_content() == "∫").bounding_box()
    assert integral["height"] > 1.4 * box(".display mi")["height"]  # the font of the page grows it
