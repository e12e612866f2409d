"""Pages without a kernel: samples, and decoders that run in the page."""

import browser
import numpy as np
import stage_page
import torch
from stage_page import PAD, PICTURE, drag, field, padded, pixels, place
from torch import nn

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


def opened(tab, path, fragments):
    path.write_text("<!doctype html><meta charset='utf-8'><body>" + "\n".join(fragments), "utf-8")
    tab.context.set_offline(True)
    try:
        tab.goto(path.as_uri())
        tab.wait_for_function(f"document.querySelector('{PICTURE}')?.width > 1")
    finally:
        tab.context.set_offline(False)


def test_sampled_page_moves_from_disk_with_the_network_off(tab, tmp_path):
    def draw(controls):
        x, y = controls["z"]
        overlay = [w.Points([[x, y]], "model")]
        view = w.View(field(controls) // (1 + controls["exact"]), overlay, (-3, 3, -3, 3))
        return w.Frame({"picture": view}, f"z is {x:.1f}, {y:.1f}")

    controls = [w.Toggle("exact"), w.Slider("unsampled", 0, 1), w.Button("halve", press=lambda c: {"h": c["h"] / 2})]
    controls += [w.Handles("h", [(2.0, 2.0)], on="picture"), w.Brush("mask", 2, 2, np.eye(2), on="picture")]
    stage = padded(draw=draw, controls=controls, sampled={"z": (7, 4), "exact": True, "halve": 3})
    opened(tab, tmp_path / "page.html", [stage.to_html(), stage.to_html(script=False)])
    assert tab.locator(".card").count() == 2
    drag(tab, [place(tab, ".plain .layer >> nth=0"), place(tab, ".plain .layer >> nth=0", 0.66, 0.95)], steps=5)
    tab.locator('[data-control="exact"]').first.click()
    tab.wait_for_function("document.querySelector('.said').textContent === 'z is 1.0, −3.0'")  # nearest of -3, -2 … 3
    np.testing.assert_array_equal(pixels(tab), field({"z": (1, -3)}) // 2)
    tab.locator('[data-control="halve"]').first.click()
    tab.wait_for_function(
        "document.querySelector('[data-control=\"h 1\"]').getAttribute('aria-valuetext') === 'x 1.00, y 1.00'"
    )
    assert tab.locator('[data-control="unsampled"]').count() == 0
    assert tab.locator('[data-control="mask"]').count() == 2 and tab.get_by_role("button", name="Clear").count() == 0
    said, picture = tab.locator(".note").first, tab.locator(PICTURE).first
    assert "you can move: z, exact, halve (168 sampled pictures)" in said.inner_text()
    assert said.bounding_box()["y"] < picture.bounding_box()["y"] - 40  # where one reads it, before one tries the rest


def test_in_a_sampled_page_each_control_stands_where_its_picture_is(tab, tmp_path):
    """Opened between samples, moved by keys, dragged between samples: words, knob and slider always agree."""

    def draw(controls):
        x, y = controls["z"]
        said = f"{x:.1f} {y:.1f} {controls['level']:.1f} {controls['step']} {controls['tile']} {controls['digit']}"
        return w.Frame({"picture": field(controls)}, said)

    controls = [w.Slider("level", 0.0, 2.0, 0.7), w.Timeline("step", 101, value=20), w.Button("go", lambda c: None)]
    controls += [w.Tiles("tile", on="picture", rows=2, columns=2, value=1), w.Choice("digit", range(4), 2)]
    stage = padded(draw=draw, controls=controls, caption="Press Train.", exported="Drag z.")
    stage.sampled = {"z": (4, 3), "level": 3, "step": 5, "go": 2, "tile": 2, "digit": 2}
    stage.set(z=(0.4, -0.5))
    opened(tab, tmp_path / "page.html", [stage.to_html()])
    says = lambda words: tab.wait_for_function(f"document.querySelector('.said').textContent === '{words}'")
    assert tab.locator(".caption").inner_text() == "Drag z."  # what one can do here
    says("1.0 0.0 1.0 25 0 2")  # the nearest samples: z1 of -3, -1, 1, 3; levels 0, 1, 2; steps 0, 25, ...
    assert tab.locator(PAD).get_attribute("aria-valuetext") == "z1 1.00, z2 0.00"
    assert tab.locator(".slider .number").inner_text() == "1"
    assert tab.locator(".timeline .number").inner_text() == "25 / 100"
    assert tab.locator(".segments label").all_inner_texts() == ["0", "2"]  # the options that were sampled
    tab.locator(PAD).press("ArrowLeft")
    tab.locator(PAD).press("ArrowUp")
    tab.locator('[data-control="level"]').press("ArrowRight")
    tab.locator('[data-control="step"]').press("ArrowRight")
    tab.locator('[data-control="tile"]').press("ArrowRight")
    says("−1.0 3.0 2.0 50 3 2")
    drag(tab, [place(tab, ".plain .layer"), place(tab, ".plain .layer", 0.62, 0.4)], steps=7)
    says("1.0 0.0 2.0 50 3 2")
    assert tab.locator(PAD).get_attribute("aria-valuetext") == "z1 1.00, z2 0.00"
    tab.locator('[data-control="go"]').click()
    assert tab.locator('[data-control="go"]').is_disabled()  # two states of it were sampled


def test_decoder_runs_in_the_page_as_torch_runs_it(tab, tmp_path):
    torch.manual_seed(0)
    parts = [nn.Linear(5, 24), nn.SiLU(), nn.Linear(24, 24), nn.GELU(), nn.Linear(24, 24), nn.ELU(), nn.Linear(24, 24)]
    net = nn.Sequential(*parts, nn.Softplus(), nn.Linear(24, 24), nn.LeakyReLU(), nn.Linear(24, 35))

    def draw(controls):
        z = torch.tensor([*controls["z"], *(float(controls["digit"] == d) for d in range(3))])
        return w.Frame(torch.sigmoid(net(z)).reshape(5, 7), w.where_is(controls["z"]))

    decoder = w.BrowserDecoder.of(net, ["z", "digit"], (5, 7), final="sigmoid", latent="z")
    stage = padded(draw=draw, controls=[w.Choice("digit", range(3))], decoder=decoder)
    opened(tab, tmp_path / "page.html", [stage.to_html()])
    tab.locator(".segments label").nth(2).click()
    tab.focus(PAD)
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "ArrowUp", "End"):
        tab.keyboard.press(key)
    here = {"z": (3.0, 0.05), "digit": 2}
    tab.wait_for_function("document.querySelector('.said').textContent.includes('radius 3.00')")
    wanted = np.rint(255 * draw(here).views.detach().numpy())
    np.testing.assert_allclose(pixels(tab).astype(int), wanted, atol=2)  # half precision
    assert np.ptp(wanted) > 20
    read = " · ".join(tab.locator(part).text_content() for part in (".said", ".rest"))
    assert read.replace("\xa0", " ") == w.where_is(here["z"]).replace("\xa0", " ")
    assert "" == tab.locator(".warning").first.inner_text()


def test_blended_samples_are_the_mean_of_the_neighbors(tab, tmp_path):
    stage = w.Stage(
        lambda c: w.Frame(np.full((2, 2), c["level"], np.uint8), f"level {c['level']}"),
        [w.Slider("level", 0, 240, step=1)],
        sampled={"level": 3},
    )
    opened(tab, tmp_path / "page.html", [stage.to_html(blend=True)])
    for value in (30, 120, 239):
        tab.locator('[data-control="level"]').fill(str(value))
        tab.wait_for_function(
            f"document.querySelector('{PICTURE}').getContext('2d').getImageData(0, 0, 1, 1).data[0] === {value}"
        )
        nearest = 120 * round(value / 120)
        assert tab.locator(".said").inner_text().endswith(f"level {nearest}")
        assert ("mean of the samples" in tab.locator(".said").inner_text()) == (value != nearest)


def test_a_caption_asks_only_for_what_a_hand_can_do_here(tab, tmp_path):
    def draw(controls):
        board, row = (w.View(np.zeros((2, 2)), label=name, asks=f"press {name}") for name in ("the board", "the row"))
        return {"board": board, "row": row}

    controls = [w.Tiles(name, on=name, rows=2, columns=2) for name in ("board", "row")]
    stage = w.Stage(draw, controls, title="T", sampled={"row": 4})
    captions = lambda: tab.locator("figcaption").all_inner_texts()
    browser.on_stage(tab, stage)
    tab.wait_for_function("document.querySelectorAll('figcaption').length === 2")
    assert captions() == ["press the board", "press the row"]
    opened(tab, tmp_path / "page.html", [stage.to_html()])
    assert captions() == ["the board", "press the row"]
