"""Figures show the numbers they were given."""

import base64
import io
import math

import numpy as np
import pytest
import second_device
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch.distributions import MultivariateNormal

from gdm_core import plotting
from gdm_core.data import toy


@pytest.fixture
def ax():
    return Figure(figsize=(4, 4)).subplots()


def test_images_puts_every_pixel_in_its_place(ax):
    x = torch.rand(5, 1, 3, 4)
    plotting.images(x, ax, columns=2, pad=1)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (3 * 4 - 1, 2 * 5 - 1)
    for i in range(5):
        top, left = i // 2 * 4, i % 2 * 5
        np.testing.assert_array_equal(sheet[top : top + 3, left : left + 4], x[i, 0])
    assert (sheet[8:, 5:] == 0).all()  # the sixth place is empty


def test_color_pictures_keep_their_channels(ax):
    x = torch.rand(1, 3, 2, 2)
    plotting.images(x, ax)
    np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), x[0].permute(1, 2, 0))


def test_images_are_ink_on_paper_whatever_their_contrast(ax):
    """Half gray stays half gray in a sheet of half grays, and what lies beyond [0, 1] is cut."""
    for low, high in ((0.4, 0.6), (-0.5, 3.0)):
        plotting.images(torch.tensor([low, 0.5, high]).reshape(3, 1, 1, 1), ax, columns=3)
        sheet = ax.images[-1]
        assert np.asarray(sheet.get_array())[0, ::2].tolist() == pytest.approx([max(low, 0), 0.5, min(high, 1)])
        assert sheet.get_clim() == (0, 1) and sheet.get_interpolation() == "nearest"


def test_sheets_are_about_square_with_titles_and_hairlines_between_pictures(ax):
    plotting.images(torch.zeros(8, 1, 4, 6), ax, titles=["a", "b"], pad=2)  # 3 a row: columns 0-5, 8-13, 16-21
    assert np.asarray(ax.images[0].get_array()).shape == (3 * 6 - 2, 3 * 8 - 2)
    upright = [line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] == line.get_xdata()[1]]
    flat = [line.get_ydata()[0] for line in ax.lines if line.get_ydata()[0] == line.get_ydata()[1]]
    assert upright == [6.5, 14.5] and flat == [4.5, 10.5]  # in the middle of two pixels of paper
    assert [(t.get_text(), t.get_position()[0]) for t in ax.texts] == [("a", 2.5), ("b", 10.5)]
    assert all(t.get_position()[1] < -0.5 and t.get_ha() == "center" for t in ax.texts)
    color = Figure().subplots()
    plotting.images(torch.zeros(3, 3, 2, 2), color, columns=2)
    assert (np.asarray(color.images[0].get_array())[3:, 3:] == 1).all() and not color.lines  # white paper, no lines


@pytest.mark.parametrize("shape", [(5, 28, 28), (0, 1, 8, 8), (2, 4, 8, 8)])
def test_images_refuses_other_shapes(ax, shape):
    with pytest.raises(ValueError, match="needed pictures .*try"):
        plotting.images(torch.rand(shape), ax)


def test_contours_enclose_the_mass_that_they_claim(ax):
    """A Gaussian's contour of mass m is the ellipse of Mahalanobis radius sqrt(-2 log(1 - m))."""
    normal = MultivariateNormal(torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 2.0]]))
    plotting.contours(normal.log_prob, ax, (-7, 8, -9, 7), mass=(0.5, 0.9), side=300)
    lines = [torch.as_tensor(path.vertices, dtype=torch.float32) for path in ax.collections[0].get_paths()]
    inverse = torch.linalg.inv(normal.covariance_matrix)
    distance = lambda v: torch.einsum("bi,ij,bj->b", v - normal.mean, inverse, v - normal.mean).sqrt()
    radii = sorted(float(distance(v).mean()) for v in lines)
    expected = [math.sqrt(-2 * math.log(1 - m)) for m in (0.5, 0.9)]
    assert radii == pytest.approx(expected, abs=0.02)


def test_contours_of_a_mixture_enclose_that_share_of_its_samples(ax):
    target = toy.target("funnel")
    plotting.contours(target.log_prob, ax, (-12, 12, -10, 10), mass=(0.5, 0.8), side=400)
    torch.manual_seed(0)
    density = target.log_prob(target.sample(20_000)).exp()
    inside = sorted(float((density > level).float().mean()) for level in ax.collections[0].levels)
    assert inside == pytest.approx([0.5, 0.8], abs=0.015)


def test_tensors_of_a_card_are_drawn_like_those_of_the_cpu():
    """Wherever a model lives, its draws, curves of numbers and densities go into a figure as they are."""
    torch.manual_seed(0)
    x, cov = torch.randn(4, 2), torch.eye(2).expand(4, 2, 2) * torch.arange(1.0, 5.0)[:, None, None]
    pictures = []
    for device in ("cpu", second_device.NAME):
        there, drawn = x.to(device), Figure(figsize=(12, 4), dpi=40)
        axes = drawn.subplots(2, 3).flat
        mean = there.mean(0).requires_grad_()
        plotting.images(there.reshape(2, 1, 2, 2), axes[0])
        plotting.points(there, axes[1])
        plotting.ellipses(there, cov.to(device), axes[1], weights=there[:, 0].softmax(0))
        log_prob = lambda p: MultivariateNormal(mean, cov[0].to(device)).log_prob(p.to(device))  # noqa: B023
        plotting.field(log_prob, axes[2], (-3, 3, -3, 3), side=9)
        plotting.contours(log_prob, axes[3], (-5, 5, -5, 5), side=40)
        plotting.curve(there[:, 0], [mean[0], *there[1:, 1]], axes[4], "line")
        plotting.histogram(there, axes[5], bins=4)
        drawn.savefig(kept := io.BytesIO(), format="raw")
        pictures.append(kept.getvalue())
    assert pictures[0] == pictures[1]


def test_ellipses_have_the_axes_of_the_covariance(ax):
    angle = 0.4
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    covariance = rotation @ torch.diag(torch.tensor([4.0, 0.25])) @ rotation.T
    plotting.ellipses(torch.zeros(1, 2), covariance[None], ax, radius=2.0)
    patch = ax.patches[0]
    assert (patch.width, patch.height) == pytest.approx((8.0, 2.0), rel=1e-5)
    assert math.degrees(angle) == pytest.approx(patch.angle % 180, abs=1e-3)


def test_field_is_the_right_way_up(ax):
    plotting.field(lambda p: p[:, 1], ax, (0, 1, 0, 10), side=11)
    picture = np.asarray(ax.images[0].get_array())
    assert ax.images[0].origin == "lower" and picture[0, 0] == 0 and picture[-1, 5] == 10
    plotting.field(lambda p: p[:, 0], ax, (0, 1, 0, 10), side=11)
    assert np.asarray(ax.images[1].get_array())[4, -1] == 1


def test_points_keep_their_places_and_colors(ax):
    plotting.points(torch.tensor([[1.0, 5.0], [2.0, 3.0]]), ax, color=["#ff0000", "#0000ff"])
    dots = ax.collections[0]
    np.testing.assert_array_equal(dots.get_offsets(), [[1, 5], [2, 3]])
    assert dots.get_facecolor()[:, :3].tolist() == [[1, 0, 0], [0, 0, 1]] and ax.get_aspect() == 1


def test_each_ellipse_has_its_center_its_color_and_the_weight_of_its_component(ax):
    means, covariances = torch.tensor([[1.0, 5.0], [2.0, -3.0]]), torch.eye(2).repeat(2, 1, 1)
    plotting.ellipses(means, covariances, ax, color=["#ff0000", "#0000ff"], weights=torch.tensor([0.2, 0.8]))
    for k, (patch, cross) in enumerate(zip(ax.patches, ax.lines)):
        assert patch.center == pytest.approx(means[k].tolist()) and cross.get_xydata()[0].tolist() == means[k].tolist()
        assert patch.get_edgecolor()[:3] == ((1, 0, 0), (0, 0, 1))[k] and cross.get_color() == ("#ff0000", "#0000ff")[k]
        assert patch.get_linewidth() == pytest.approx((1.6, 3.4)[k])
    assert ax.get_aspect() == 1


def test_fields_and_contours_share_their_axes(ax):
    """A bump far from the middle of an oblong extent: color and line are highest around the same place."""
    log_prob = MultivariateNormal(torch.tensor([3.0, 0.5]), 0.01 * torch.eye(2)).log_prob
    plotting.field(log_prob, ax, (0, 4, -1, 1), side=81)
    assert ax.get_aspect() == 1
    plotting.contours(log_prob, ax, (0, 4, -1, 1), mass=(0.5,), side=81)
    row, column = np.unravel_index(np.asarray(ax.images[0].get_array()).argmax(), (81, 81))
    assert (column, row) == (60, 60) and ax.images[0].get_extent() == [0, 4, -1, 1] and ax.get_aspect() == 1
    (path,) = ax.collections[0].get_paths()
    assert path.vertices.mean(0) == pytest.approx([3.0, 0.5], abs=0.02)


def test_a_histogram_is_a_density(ax):
    plotting.histogram(torch.tensor([0.0, 0.1, 0.2, 4.0]), ax, bins=4)
    assert sum(bar.get_width() * bar.get_height() for bar in ax.patches) == pytest.approx(1)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.75, 0, 0, 0.25])


def test_curve_writes_its_name_at_the_end(ax):
    plotting.curve([0, 1, 2], torch.tensor([1.0, 4.0, 9.0]), ax, "loss")
    assert ax.texts[0].get_text() == "loss" and ax.texts[0].xy == (2, 9.0)
    plotting.curve([0, 1, 2], [5.0, 6.0, 7.0], ax, "start", at=0.0)
    assert ax.texts[1].xy == (0, 5.0)


@pytest.mark.slow
def test_importing_changes_no_global_setting():
    import subprocess
    import sys

    code = (
        "import matplotlib as m, torch; a = dict(m.rcParams); t = torch.get_num_threads(), torch.get_default_dtype();"
        "import gdm_core.plotting, gdm_core.data, gdm_core.train;"
        "assert a == dict(m.rcParams) and t == (torch.get_num_threads(), torch.get_default_dtype())"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_figures_of_a_notebook_are_sharp_and_those_of_a_replay_small(monkeypatch):
    import IPython
    from matplotlib import pyplot as plt
    from matplotlib_inline import backend_inline

    asked = []
    monkeypatch.setattr(IPython, "get_ipython", object)
    monkeypatch.setattr(backend_inline, "set_matplotlib_formats", lambda *formats, **how: asked.append((formats, how)))
    with plt.rc_context():
        plotting.use_style()
        monkeypatch.setenv("GDM_DRAFT", "1")
        plotting.use_style()
        assert plt.rcParams["figure.dpi"] == 80  # which the text of an output tells
    assert asked == [(("retina",), {}), (("png",), {"dpi": 40})]


def test_what_plotly_writes_fits_a_narrow_cell(monkeypatch):
    from IPython import display
    from matplotlib import pyplot as plt
    from plotly.subplots import make_subplots

    shown = []
    monkeypatch.setattr(display, "display", lambda data, **options: shown.append(data))
    said = ["The top of each bound is the next dot", "Short"]
    two = make_subplots(1, 2, subplot_titles=said).update_layout(margin_t=30)
    for _ in range(2):  # shown again, it is the same
        plotting.turn(two, plt.subplots()[0])
    plotting.turn(make_subplots(1, 1, subplot_titles=said[:1]), plt.subplots()[0])
    steps = {"steps": [{"label": "100", "method": "skip"}]}
    plotting.turn(make_subplots(1, 1).update_layout(sliders=[steps]), plt.subplots()[0])
    slid = shown[3]["application/vnd.plotly.v1+json"]["layout"]["sliders"][0]["pad"]
    assert min(slid["b"], 20 - slid["t"]) >= 10  # moved up by what plotly is too short for the names of the steps
    both, one = (data["application/vnd.plotly.v1+json"]["layout"] for data in shown[1:3])
    lines = [title["text"].split("<br>") for title in both["annotations"]]
    assert [" ".join(words) for words in lines] == said and max(len(line) for words in lines for line in words) <= 24
    size = both["annotations"][0]["font"]["size"]
    assert both["margin"]["t"] > 1.3 * size * len(lines[0])  # all lines have room above the panels
    assert one["annotations"][0]["text"] == said[0]


def test_a_figure_that_turns_brings_its_picture_and_is_shown_once(monkeypatch):
    import plotly.graph_objects as go
    from IPython import display
    from matplotlib import pyplot as plt

    shown = []
    monkeypatch.setattr(display, "display", lambda data, **options: shown.append((data, options)))
    twin, ax = plt.subplots(figsize=(3, 2), dpi=50)
    ax.plot([1.0, 2.0])
    plotting.turn(go.Figure(go.Scatter3d(x=[1.0], y=[2.0], z=[3.0])), twin)
    ((data, options),) = shown
    assert data["application/vnd.plotly.v1+json"]["data"][0]["type"] == "scatter3d" and options["raw"]
    width, height = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).size
    size = options["metadata"]["image/jpeg"]
    assert abs(width - 2 * size["width"]) < 2 and abs(height - 2 * size["height"]) < 2 and width > 150
    assert not plt.fignum_exists(twin.number)
    layout = data["application/vnd.plotly.v1+json"]["layout"]
    axes = [layout["scene"][f"{axis}axis"] for axis in "xyz"]
    assert {layout["paper_bgcolor"], layout["scene"]["bgcolor"]} == {"rgba(0,0,0,0)"}  # on the page's own ground
    assert not any(axis["showbackground"] for axis in axes)
    ink = np.array([int(layout["font"]["color"][i : i + 2], 16) for i in (1, 3, 5)])
    assert 80 < ink.mean() < 170 and {axis["color"] for axis in axes} == {layout["font"]["color"]}
    assert {axis["nticks"] for axis in axes} == {5}  # more run into each other
    gone = set(layout["modebar"]["remove"])  # ten buttons cover a title; the way back stays
    assert {"zoom3d", "toImage", "sendChartToCloud"} < gone and not gone & {"resetCameraDefault3d", "resetScale"}
