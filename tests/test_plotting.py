"""Figures show the numbers they were given."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
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


def test_curve_writes_its_name_at_the_end(ax):
    plotting.curve([0, 1, 2], torch.tensor([1.0, 4.0, 9.0]), ax, "loss")
    assert ax.texts[0].get_text() == "loss" and ax.texts[0].xy == (2, 9.0)


def test_importing_changes_no_global_setting():
    import subprocess
    import sys

    code = (
        "import matplotlib as m, torch; a = dict(m.rcParams); t = torch.get_num_threads(), torch.get_default_dtype();"
        "import gdm_core.plotting, gdm_core.data, gdm_core.train;"
        "assert a == dict(m.rcParams) and t == (torch.get_num_threads(), torch.get_default_dtype())"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
