"""Strokes: what each factor does is measured on the pixels, by moments, boxes, areas and holes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial import cKDTree
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from gdm_core.data import Dataset, idx, strokes
from gdm_core.data.strokes import chance, render, style
from gdm_core.data.strokes.paths import pens

PLAIN = {"slant": 0.0, "rotation": 0.0, "curl": 0.0, "jitter": 0.0, "thickness": 2.0}
EVERY = [(label, v) for label in range(10) for v in range(len(strokes.VARIANTS[label]))]
LABELS, PENS = (torch.tensor(column) for column in zip(*EVERY))


def moments(x: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Mean (x, y) and variances (xx, xy, yy) of the ink, y upward; (N,) each."""
    p = x[:, 0].double().numpy()
    p = p / p.sum((1, 2), keepdims=True)
    gx, gy = np.arange(28.0)[None, None, :], -np.arange(28.0)[None, :, None]
    mx, my = (p * gx).sum((1, 2)), (p * gy).sum((1, 2))
    dx, dy = gx - mx[:, None, None], gy - my[:, None, None]
    return mx, my, (p * dx * dx).sum((1, 2)), (p * dx * dy).sum((1, 2)), (p * dy * dy).sum((1, 2))


def box(x: torch.Tensor, level: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of the ink in pixels, to a fraction: the outermost crossings of `level`."""

    def extent(profile):  # (28,) maxima of the columns or rows
        on = np.flatnonzero(profile > level)
        low, high = on[0], on[-1]
        left = low - (profile[low] - level) / (profile[low] - profile[low - 1])
        right = high + (profile[high] - level) / (profile[high] - profile[high + 1])
        return right - left

    p = np.pad(x[:, 0].double().numpy(), ((0, 0), (1, 1), (1, 1)))
    return np.array([extent(q.max(0)) for q in p]), np.array([extent(q.max(1)) for q in p])


# The pen


@pytest.mark.parametrize("step", [0.5, 2.5])
def test_ink_is_the_distance_to_the_line_through_a_soft_edge(step):
    """Against the nearest of 22,000 points along the way, found by a k-d tree."""
    g = torch.Generator().manual_seed(1)
    way = 14 + torch.randn(5, 12, 2, generator=g, dtype=torch.float64).cumsum(1) * step  # some of it leaves the picture
    thickness = torch.tensor([0.8, 2.0, 3.3, 5.0, 9.0], dtype=torch.float64)
    down = torch.ones(5, 11, dtype=torch.bool)
    down[:, 6] = False
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28)), -1).reshape(-1, 2)
    together = render.ink(way, thickness, down)
    for i in range(5):
        picture = render.ink(way[i : i + 1], thickness[i : i + 1], down[i : i + 1])  # thin pens have smaller windows
        torch.testing.assert_close(picture[0], together[i], atol=1e-12, rtol=0)
        pieces = [np.linspace(*way[i, k : k + 2].numpy(), 2000) for k in range(11) if down[i, k]]
        d = cKDTree(np.concatenate(pieces)).query(grid)[0]
        t = np.clip((thickness[i].item() / 2 - d) / render.SOFT + 0.5, 0, 1)
        np.testing.assert_allclose(picture.flatten(), t**2 * (3 - 2 * t), atol=2e-3)


@pytest.mark.parametrize("thickness", [1.2, 2.0, 3.5])
def test_thickness_is_the_width_of_the_line_in_pixels(thickness):
    one = strokes.draw(torch.ones(50, dtype=torch.long), **PLAIN | {"thickness": thickness, "slant": 0.1})[:, 0]
    across = one[:, 10:18].sum(2).mean() * np.cos(np.arctan(0.1))  # ink of a row, seen at right angles to the line
    assert across.item() == pytest.approx(thickness, abs=0.02)


def test_frame_is_that_of_mnist():
    data = strokes.sample(2000, seed=3, size=1.0)
    mx, my, *_ = moments(data.x)
    # Where strokes cross, ink that lies twice counts twice for the frame, once for the picture.
    assert abs(mx.mean() - 14) < 0.15 and abs(-my.mean() - 14) < 0.15
    assert mx.std() < 0.35 and my.std() < 0.35 and np.abs([mx - 14, my + 14]).max() < 1.6  # MNIST: 0.29, by rounding
    longer = np.maximum(*box(data.x))
    assert abs(longer.mean() - 20) < 0.15 and np.abs(longer - 20).max() < 0.8  # MNIST: 19.87, largest error 0.8
    assert (data.x[:, :, [0, -1]] > 0.5).float().mean() < 1e-3 and (data.x[..., [0, -1]] > 0.5).float().mean() < 1e-3


def test_pixels_are_256_gray_levels_with_gray_edges():
    data = strokes.load(n=500)
    assert data.levels == 256 and data.x.dtype == torch.float32 and data.x.shape == (500, 1, 28, 28)
    assert data.x.min() == 0 and data.x.max() == 1
    torch.testing.assert_close(data.x, (data.x * 255).round() / 255, atol=0, rtol=0)
    ink = data.x[data.x > 0]
    assert 0.3 < (ink > 0.9).float().mean() < 0.6  # 0.44 in MNIST
    assert data.x.flatten(1).amax(1).min() > 0.85


# The factors


def test_slant_moves_the_moments_by_itself():
    """A shear by s changes the regression of x on y by exactly s, whatever the shape."""
    for slant in (-0.3, 0.25, 0.6):
        before, after = (
            strokes.draw(LABELS, variant=PENS, **PLAIN | {"slant": s, "thickness": 1.2, "width": 0.7})
            for s in (0.0, slant)
        )
        change = np.subtract(*(m[3] / m[4] for m in (moments(after), moments(before))))
        # The round pen is not sheared, and crossings move: a few percent.
        np.testing.assert_allclose(change, slant, rtol=0.15)
        assert change.mean() == pytest.approx(slant, rel=0.05)


@pytest.mark.parametrize("angle", [-0.3, 0.2])
def test_rotation_turns_the_main_axis_counterclockwise(angle):
    _, _, xx, xy, yy = moments(strokes.draw([1], **PLAIN | {"rotation": angle}))
    upright = np.arctan2(2 * xy, xx - yy) / 2 % np.pi  # direction of the longer axis
    assert upright[0] - np.pi / 2 == pytest.approx(angle, abs=0.01)


def test_width_scales_the_box():
    width = torch.tensor([0.6, 0.8, 1.0, 1.3])
    for label in (0, 3, 8):
        w, h = box(strokes.draw([label] * 4, width=width, **PLAIN))
        ratio = (w - 2) / (h - 2)  # without the pen
        np.testing.assert_allclose(ratio / ratio[2], width, rtol=0.05)


def test_size_scales_the_longer_side():
    size = torch.tensor([0.85, 1.0, 1.05])
    for label in range(10):
        longer = np.maximum(*box(strokes.draw([label] * 3, size=size, **PLAIN)))
        np.testing.assert_allclose(longer, 20 * size, atol=0.5)


@pytest.mark.parametrize("curl", [-0.6, 0.3, 0.6])
def test_curl_bends_a_straight_line_as_its_formula_says(curl):
    """Direction curl u^3 along u in [-1, 1]: the row where the line is and its column follow by integration."""
    one = strokes.draw([1], **PLAIN | {"curl": curl})[0, 0].double().numpy()
    rows = np.arange(6, 23)
    column = (one[rows] * np.arange(28)).sum(1) / one[rows].sum(1)
    u = np.linspace(-1, 1, 4001)
    x, y = (np.cumsum(f(curl * u**3)) for f in (np.sin, np.cos))
    scale = (render.BOX - 2.0) / (y[-1] - y[0])
    expected = np.interp(rows, 14 + scale * (y - y.mean()), -scale * x)  # downward, to the left for a turn clockwise
    np.testing.assert_allclose(column - column.mean(), expected - expected.mean(), atol=0.07)


def test_jitter_is_a_standard_deviation_in_digit_heights():
    """The line of the plain 1 begins at its first point: alone it has variance 1, the plane's bending adds the rest."""
    n, pen = 8000, pens()
    path, noise, zero = pen.first[1].expand(n), chance.keys(n, 5), torch.zeros(n)
    start, still = (
        style.pen_way(pen, path, noise, zero, zero + 1, zero, zero, torch.full((n,), jitter))[:, 0]
        for jitter in (0.05, 0.0)
    )
    x, y = 0.0 - 0.3, 0.0 - 0.5
    expected = 0.05 * np.sqrt(1 + 16 * (x**4 + x**2 * y**2 + y**4))
    assert (still == 0).all()
    np.testing.assert_allclose(start.std(0), expected, rtol=4 / np.sqrt(2 * n))
    np.testing.assert_allclose(start.mean(0), 0, atol=4 * expected / np.sqrt(n))


def test_without_jitter_the_noise_has_no_say():
    a, b = (strokes.draw(LABELS, variant=PENS, noise=k, jitter=0.0) for k in (1, 2))
    assert torch.equal(a, b)
    assert (
        strokes.draw(LABELS, variant=PENS, noise=1) - strokes.draw(LABELS, variant=PENS, noise=2)
    ).abs().mean() > 0.02


# Random numbers


def test_factors_are_uniform_and_independent():
    data = strokes.load(n=10_000, seed=4)
    columns = []
    for name, (low, high, default) in strokes.FACTORS.items():
        values = data.factors[name].double().numpy()
        assert low <= default <= high and values.min() >= low and values.max() <= high
        assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-4
        columns.append(values)
    others = [data.labels.double().numpy(), data.factors["variant"].double().numpy()]
    r = np.corrcoef(np.stack(columns + others[:1]))
    assert np.abs(r - np.eye(len(r))).max() < 4.5 / np.sqrt(len(data))
    assert stats.kstest(chance.normal(data.factors["noise"], 0, 3).flatten().double().numpy(), "norm").pvalue > 1e-4


def test_same_seed_same_set_and_the_first_ones_stay_the_first():
    state = torch.get_rng_state()
    a, b, c = strokes.load(n=300, seed=2), strokes.load(n=300, seed=2), strokes.load(n=120, seed=2)
    assert torch.equal(a.x, b.x) and torch.equal(a.labels, b.labels)
    assert torch.equal(a.x[:120], c.x) and all(torch.equal(a.factors[k][:120], v) for k, v in c.factors.items())
    assert not torch.equal(a.x, strokes.load(n=300, seed=3).x)
    assert torch.equal(state, torch.get_rng_state())


def test_splits_and_seeds_share_no_picture():
    sets = [strokes.load(split, 1500, seed) for split in ("train", "validation", "test") for seed in (0, 1)]
    sets.append(strokes.sample(1500))
    for name in ("noise", "slant", "thickness"):
        draws = torch.cat([s.factors[name] for s in sets])
        same = len(draws) - len(draws.unique())
        assert same == 0 if name == "noise" else same < 20  # float32: a few values meet by chance
    codes = torch.cat([s.flat() for s in sets])
    assert len(codes.unique(dim=0)) == len(codes)


def test_one_factor_changes_alone():
    """Common random numbers: a thicker pen goes the same way; another noise goes another."""
    thin = strokes.sample(200, seed=6, thickness=1.5)
    thick = strokes.sample(200, seed=6, thickness=3.0)
    other = strokes.draw(thin.labels, **thin.factors | {"thickness": 3.0, "noise": thin.factors["noise"] + 1000})
    assert torch.equal(thin.labels, thick.labels)
    assert (thin.factors["thickness"] == 1.5).all() and (thick.factors["thickness"] == 3.0).all()
    assert all(torch.equal(thin.factors[k], thick.factors[k]) for k in thin.factors if k != "thickness")
    core = thin.x > 0.7
    assert (thick.x[core] > 0.5).float().mean() > 0.97 > 0.9 > (other[core] > 0.5).float().mean()
    ink = strokes.draw([5] * 9, thickness=torch.linspace(1.2, 4.0, 9)).sum((1, 2, 3))
    assert (ink.diff() > 0).all()


def test_a_small_change_moves_pictures_a_little():
    data = strokes.sample(50, seed=8)
    for name, (low, high, _) in strokes.FACTORS.items():
        start = {k: v for k, v in data.factors.items()} | {name: (low + high) / 2}
        moved = start | {name: (low + high) / 2 + (high - low) * 1e-3}
        change = (strokes.draw(data.labels, **moved) - strokes.draw(data.labels, **start)).abs()
        assert 0 < change.amax() < 0.1


def test_draw_repeats_the_set_alone_and_in_any_batch():
    data = strokes.load("validation", 600)  # more than are drawn at a time
    again = strokes.draw(data.labels, **data.factors)
    assert (again - data.x).abs().max() <= 0.5001 / 255
    for i in (0, 255, 256, 599):
        one = strokes.draw(int(data.labels[i]), **{k: v[i] for k, v in data.factors.items()})
        torch.testing.assert_close(one[0], again[i], atol=2e-6, rtol=0)
    part = torch.tensor([3, 500, 17])
    mixed = strokes.draw(data.labels[part], **{k: v[part] for k, v in data.factors.items()})
    torch.testing.assert_close(mixed, again[part], atol=2e-6, rtol=0)


def test_draw_takes_numbers_lists_and_tensors_of_any_type():
    base = strokes.draw(torch.tensor([3, 4]), slant=torch.tensor([0.2, 0.2]))
    assert base.dtype == torch.float32 and not base.requires_grad
    assert torch.equal(base, strokes.draw([3, 4], slant=0.2, device="cpu"))
    assert torch.equal(base, strokes.draw(np.array([3, 4], np.uint8), slant=np.full(2, 0.2), variant=[0, 0]))
    assert torch.equal(base, strokes.draw(torch.tensor([3, 4]), slant=torch.full((2,), 0.2).requires_grad_()))
    assert torch.equal(base[1:], strokes.draw(4, slant=0.2))
    four = strokes.sample(6, labels=4, variant=2, seed=1)
    assert isinstance(four, Dataset) and (four.labels == 4).all() and (four.factors["variant"] == 2).all()


@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_pictures_are_made_where_asked(place):
    if place == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    data, here = strokes.load(n=300, device=place), strokes.load(n=300)
    tensors = [data.x, data.labels, *data.factors.values()]
    assert all(t.device.type == place for t in tensors)
    assert torch.equal(data.labels.cpu(), here.labels)
    torch.testing.assert_close(data.x.cpu(), here.x, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: strokes.draw([]), "at least 1 label, got 0"),
        (lambda: strokes.draw([3, 10]), "labels from 0 to 9, got 10"),
        (lambda: strokes.draw([-1]), "got -1"),
        (lambda: strokes.draw([1.0]), r"integers labels, got torch.float32; try labels.long\(\)"),
        (lambda: strokes.draw([[1, 2]]), r"labels of shape \(N,\), got \(1, 2\)"),
        (lambda: strokes.draw("four"), "labels as numbers, got str"),
        (lambda: strokes.draw([4], variant=9), "variant from 0 to 3 of the digit 4 .open, closed.*, got 9"),
        (lambda: strokes.draw([4], variant=-1), "got -1; try variant=0"),
        (lambda: strokes.draw([4], slamt=0.1), "'slamt'; try 'slant'"),
        (lambda: strokes.draw([4, 4], slant=torch.zeros(3)), r"slant of shape \(2,\), got \(3,\)"),
        (lambda: strokes.draw([4], width=float("nan")), "positive, finite width, got nan"),
        (lambda: strokes.draw([4], slant=float("inf")), "finite slant, got inf"),
        (lambda: strokes.draw([4], thickness=0.0), "positive, finite thickness, got 0.0; try thickness=2.2"),
        (lambda: strokes.draw([4], jitter=-0.1), "non-negative jitter"),
        (lambda: strokes.draw([4], noise=0.5), "integers noise"),
        (lambda: strokes.draw([4], device="gpu"), "device of this machine"),
        (lambda: strokes.sample(0), "integer n >= 1, got 0"),
        (lambda: strokes.sample(3, labels=[1, 2]), r"labels of shape \(3,\), got \(2,\)"),
        (lambda: strokes.sample(3, tickness=2.0), "try 'thickness'"),
        (lambda: strokes.load("trian"), "try 'train'"),
        (lambda: strokes.load("sample"), "split to be one of 'train', 'validation', 'test'"),
        (lambda: strokes.load(seed=-1), "seed >= 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# Likeness: the digits of people who never saw these paths


def test_neighbors_among_strokes_read_small_scanned_digits():
    """3 nearest neighbors among 4,000 strokes read scikit-learn's 8x8 digits, which are framed otherwise: 62 %."""
    data = strokes.load(n=4000)
    small = torch.nn.functional.adaptive_avg_pool2d(data.x[:, :, 4:24, 4:24], 8).flatten(1)
    pixels, labels = load_digits(return_X_y=True)
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (small.numpy(), pixels)]
    reader = KNeighborsClassifier(3).fit(unit[0], data.labels)
    assert reader.score(unit[1], labels) > 0.5


def real_home():
    """Where MNIST's test set lies on this machine, or None."""
    for home in (os.environ.get("GDM_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if home and (Path(home) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file():
            return str(home)
    return None


@pytest.mark.skipif(not real_home(), reason="no real MNIST under $GDM_DATA/mnist")
def test_neighbors_among_strokes_read_mnist(monkeypatch):
    """3 nearest neighbors among 2,000 strokes: 81 %.  The benchmark trains a network: see there."""
    monkeypatch.setenv("GDM_DATA", real_home())
    real, data = idx.mnist("test", n=1000, mirrors=()), strokes.load(n=2000)
    reader = KNeighborsClassifier(3).fit(data.flat().numpy(), data.labels)
    assert reader.score(real.flat().numpy(), real.labels) > 0.75


def test_the_unsteady_hand_has_the_variance_that_its_parts_say():
    """Neighbors drift together with variance 1, later strokes add 1/4, the bending that of three normals."""
    pen, n = pens(), 6000
    path = int(pen.first[4])  # an open four has two strokes
    count = int((pen.points[path].abs().sum(1) > 0).sum())
    noise = style._unsteadiness(pen, torch.full((n,), path), chance.keys(n, 3))[:, :count].double()
    away = (pen.points[path, :count] - torch.tensor([0.3, 0.5])).double()
    bend = 4 * torch.stack([away[:, 0] ** 2, away[:, 0] * away[:, 1], away[:, 1] ** 2], 1)
    stroke = pen.stroke[path, :count]
    assert stroke[0] == 0 and stroke[-1] == 1
    covariance = bend @ bend.T + 0.25 * torch.outer(stroke, stroke).double() + torch.eye(count)
    near = torch.ones(count, count).double()
    covariance += 2**0.5 / 2 * (near.diagonal(1).diag(1) + near.diagonal(-1).diag(-1))
    covariance += 0.25 * (near.diagonal(2).diag(2) + near.diagonal(-2).diag(-2))
    error = (covariance**2 + torch.outer(covariance.diagonal(), covariance.diagonal())).sqrt() / n**0.5
    for axis in (0, 1):
        assert ((noise[..., axis].T.cov() - covariance).abs() < 5 * error).all()
