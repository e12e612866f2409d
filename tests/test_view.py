"""Views: images, tiles, marks, and how they are packed."""

import matplotlib
import numpy as np
import pytest
import torch

from gdm_core import widgets as w
from gdm_core.widgets import overlay
from gdm_core.widgets.frames import pack
from gdm_core.widgets.view import folded, palette, picture


def test_picture_takes_what_models_give():
    rng = np.random.default_rng(0)
    field = rng.normal(size=(3, 5))
    np.testing.assert_array_equal(picture(field > 0)[0], 255 * (field > 0))
    np.testing.assert_array_equal(picture(torch.tensor([[0.0, 0.5, 1.0, 2.0]]))[0], [[0, 128, 255, 255]])
    shown, (low, high), lost = picture(field, "cividis")
    assert (low, high, lost) == (pytest.approx(field.min()), pytest.approx(field.max()), 0)
    np.testing.assert_allclose(low + shown / 255 * (high - low), field, atol=(high - low) / 509)
    np.testing.assert_array_equal(picture(np.array([[-1.0, 0, 3]]), "cividis", (0, 2))[0], [[0, 0, 255]])
    color = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(picture(color)[0], color)
    assert picture(np.array([[np.nan, 1.0], [np.inf, 0.0]]))[2] == 2
    assert picture(np.zeros((2, 2)), "cividis")[0].max() == 0  # a flat field divides by nothing
    expected = [[round(255 * c) for c in matplotlib.colormaps["cividis"](i)[:3]] for i in range(256)]
    np.testing.assert_array_equal(palette("cividis"), expected)


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros(4), "an image (H, W)"),
        (np.zeros((3, 8, 8)), "channels last"),
        (np.zeros((2, 4, 4, 3)), "tile"),
        (np.zeros((4, 4), int), "uint8"),
        (np.array([["a"]]), "numbers"),
        (np.zeros((0, 4), np.uint8), "pixels a side"),
        (np.zeros((5000, 4), np.uint8), "pixels a side"),
    ],
)
def test_picture_refuses(image, words):
    with pytest.raises(ValueError) as error:
        picture(image)
    assert words in str(error.value)


def test_tile_puts_every_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    out = w.tile(images, columns=2, gap=2, ground=0.0)
    assert out.shape == (3 * 5, 2 * 6, 3)
    for k, image in enumerate(images):
        row, column = divmod(k, 2)
        np.testing.assert_array_equal(out[5 * row + 1 : 5 * row + 4, 6 * column + 1 : 6 * column + 5], image)
    rest = out.sum() - images.sum(dtype=int)
    assert rest == 0
    beyond = torch.tensor([[[-0.5, 0.0, 0.5, 1.0, 1.5, torch.nan]]])
    np.testing.assert_array_equal(w.tile(beyond, gap=0), [[0, 0, 128, 255, 255, 0]])
    floats = torch.rand(6, 3, 8, 8)
    assert w.tile(floats).shape == (18, 27, 3) and w.tile(floats[:, :1]).shape == (18, 27)


def test_plane_is_the_center_of_each_pixel_with_the_top_first():
    grid = w.plane((-1, 3, 0, 6), 3, 2)
    np.testing.assert_allclose(grid[:, 0, 1], [5, 3, 1])
    np.testing.assert_allclose(grid[0, :, 0], [0, 2])


def test_marks_say_what_is_wrong():
    for wrong, words in (
        (lambda: w.Points([[0, np.nan]]), "finite xy"),
        (lambda: w.Points([0, 1]), "shape (N, 2)"),
        (lambda: w.Points([[0, 1]], color="modle"), "try 'model'"),
        (lambda: w.Points([[0, 1]], color=[1, 2]), "one color, or 1"),
        (lambda: w.Text([[0, 1]], ["a", "b"]), "shape (2, 2)"),
    ):
        with pytest.raises(ValueError) as error:
            w.View(np.zeros((2, 2)), overlay=[wrong()]).encode("v")
        assert words in str(error.value)
    with pytest.raises(ValueError, match="extent for a view without an image"):
        w.View(None).encode("v")
    for wrong in ("step", ("step",)):
        with pytest.raises(ValueError, match="axes as True or"):
            w.View(np.zeros((2, 2)), axes=wrong).encode("v")
    with pytest.raises(ValueError, match=r"limits as \(low, high\)"):
        w.View(np.zeros((2, 2)), limits=(1,)).encode("v")
    with pytest.raises(ValueError, match="marks such as Points"):
        w.View(np.zeros((2, 2)), overlay=[np.zeros(3)]).encode("v")


def test_a_mark_may_be_shown_again_with_other_data():
    mark = w.Ellipses(np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1)))
    assert mark.encode()["cycle"].tolist() == [0, 1, 2]
    mark.means, mark.covs = mark.means[:2], mark.covs[:2]
    assert mark.encode()["cycle"].tolist() == [0, 1]


def test_ellipse_is_the_level_set_of_the_density():
    cov = np.array([[1.3, 0.7], [0.7, 0.9]])
    row = overlay.Ellipses([[1.0, -2.0]], [cov]).encode()["xy"][0]
    for turn in np.linspace(0, 6, 7):
        v = np.cos(turn) * row[2:4] + np.sin(turn) * row[4:6]
        assert v @ np.linalg.solve(cov, v) == pytest.approx(1.0)


def test_an_ellipse_is_the_same_whichever_way_its_axes_are_returned(monkeypatch):
    parts = np.random.default_rng(0).normal(size=(9, 2, 2))
    covs, eigh = parts @ parts.transpose(0, 2, 1), np.linalg.eigh
    rows = overlay.Ellipses(np.zeros((9, 2)), covs).encode()["xy"]
    monkeypatch.setattr(np.linalg, "eigh", lambda covs: (eigh(covs)[0], -eigh(covs)[1]))
    np.testing.assert_array_equal(overlay.Ellipses(np.zeros((9, 2)), covs).encode()["xy"], rows)


def test_pack_sends_each_array_once():
    field = np.random.default_rng(0).normal(size=(8, 8))
    frame = w.Frame({"a": w.View(field, colormap="cividis"), "b": w.View(field, colormap="cividis")}).encode()
    header, buffers, keys = pack(frame)
    assert len(buffers) == len(keys) == 2  # the same levels and palette in both views
    header2, buffers2, keys2 = pack(frame, keys)
    assert not buffers2 and keys2 == keys and header2["views"] == header["views"]
    moved = w.Frame({"a": w.View(field.T, colormap="cividis")}).encode()
    assert len(pack(moved, keys)[1]) == 1
    told = header["arrays"][header["views"][0]["image"]["array"]]
    sent = np.frombuffer(buffers[told["buffer"]], np.uint8).reshape(told["shape"])
    np.testing.assert_array_equal(sent, picture(field, "cividis")[0])
    numbers = np.array([[1 / 3, 1e-7], [12345.678, -2.5]])
    header, (buffer,), _ = pack({"xy": numbers})
    (told,) = header["arrays"].values()
    assert told["type"] == "f4" and told["shape"] == [2, 2]  # the page knows u1 and f4
    np.testing.assert_array_equal(np.frombuffer(buffer, "<f4").reshape(2, 2), numbers.astype("f4"))
    same_bytes = {"x": np.zeros((2, 3), np.uint8), "y": np.zeros((3, 2), np.uint8)}
    assert len(pack(same_bytes)[1]) == 2  # another shape is another array


def test_a_view_says_the_ends_of_its_colors_in_order():
    field = np.array([[-10.44, -3.0], [-0.0002, -5.0]])
    view = w.View(field, colormap="cividis", scale="nats").encode("v")
    assert view["scale"] == {"low": "−10.4", "high": "0", "label": "nats"}
    assert view["image"].tolist() == [[0, 182], [255, 133]]
    above = w.View(field + 20, colormap="cividis", scale="").encode("v")  # nor does zero belong to the scale
    assert above["scale"]["low"] == "9.6" and above["image"].tolist() == view["image"].tolist()
    given = w.View(field, colormap="PuOr", scale="a", limits=(-20, 20)).encode("v")
    assert (given["scale"]["low"], given["scale"]["high"]) == ("−20", "20") and given["image"][0, 0] == 61
    assert "scale" not in w.View(field, colormap="cividis").encode("v")
    assert picture(np.zeros((2, 2), np.uint8))[1] == (0, 255)


def test_a_view_has_the_extent_and_shape_of_its_picture_unless_told():
    image = np.zeros((2, 6))
    plain, drawn = w.View(image).encode("v"), w.View(image, extent=(0, 1, 0, 4)).encode("v")
    assert plain["extent"] == [0, 6, 2, 0] and plain["aspect"] == 3  # pixels, row 0 at the top
    assert drawn["extent"] == [0, 1, 0, 4] and drawn["aspect"] == 0.25
    assert w.View(image, extent=(0, 1, 0, 4), axes=("a", "b")).encode("v")["aspect"] == 3  # a plot is no map
    assert w.View(None, extent=(0, 1, 0, 4)).encode("v")["aspect"] == 1.5
    assert w.View(image, aspect=2).encode("v")["aspect"] == 2


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a 1 · b 2.5 · c −3 · d 4 · e", ("a 1 · b 2.5 · c −3", "d 4 · e")),
        ("log p(z1) of x2 is 1,500.25 · a 1, 2 · done", ("log p(z1) of x2 is 1,500.25 · a 1, 2 · done", "")),
        ("four 1 2 3 4 · none", ("four 1 2 3 4", "none")),
        ("a 1 · b 1 2 3 · c 5", ("a 1", "b 1 2 3 · c 5")),
        ("", ("", "")),
    ],
)
def test_a_read_out_is_folded_where_a_fourth_number_begins(text, expected):
    assert folded(text) == expected
    assert w.Frame(np.zeros((2, 2)), text).encode()["more"] == expected[1]


def test_lost_pixels_are_counted_once_and_painted_as_the_low_end():
    field = np.array([[0.2, np.nan], [np.inf, 0.8]])
    view = w.View(field, colormap="cividis").encode("v")
    assert view["warning"] == "2 of 4 pixels are NaN or infinite" and view["image"].tolist() == [[0, 0], [0, 255]]
    color = np.full((2, 2, 3), 0.5)
    color[0, 0] = np.nan
    assert picture(color)[2] == 1  # a pixel, not its three channels
    told = w.View(field, colormap="cividis", warning="far out").encode("v")
    assert told["warning"] == "far out" and told["warns"]
    for warning, warns in ((None, False), ("", True)):
        assert w.View(np.zeros((2, 2)), warning=warning).encode("v")["warns"] == warns


def test_tiles_are_about_square_and_keep_rows_and_channels():
    wide = np.zeros((12, 2, 6), np.uint8)
    assert w.tile(wide, gap=0).shape == (12, 12)  # six rows of two, each 2 x 6
    color = torch.rand(2, 3, 4, 5)
    out = w.tile(color, columns=2, gap=0)
    np.testing.assert_array_equal(out[:, :5], picture(color[0].permute(1, 2, 0))[0])
    assert (w.tile(np.zeros((3, 2, 2)), columns=2, gap=0)[2:, 2:] == 255).all()  # an empty place is paper
    assert overlay.Points([[0, 0]], [[0.999, 0, 1]]).encode()["rgb"].tolist() == [[255, 0, 255]]
