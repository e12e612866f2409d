"""Toy targets against quadrature, scipy, autograd and their own samples."""

import functools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from gdm_core.data import shapes, targets, toy

SMOOTH = [name for name in toy.NAMES if name != "checkerboard"]


@functools.cache
def integration(name):
    """Points, weights and log density on a grid of the test's own."""
    target = toy.target(name)
    if target.event_shape == (1,):
        x = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
        weights = torch.full((4001,), 24 / 4000, dtype=torch.float64)
    elif name == "funnel":  # the vertical axis is stretched: necks of 0.01 and tails of 100
        u = torch.arange(-8, 8, 0.02, dtype=torch.float64)
        v = torch.arange(-9, 9, 0.1, dtype=torch.float64)
        v, u = (t.flatten() for t in torch.meshgrid(v, u, indexing="ij"))
        x, weights = torch.stack([v, u.sinh()], 1), 0.1 * 0.02 * u.cosh()
    else:
        side, cells = {"gaussian": (12.0, 250), "banana": (20.0, 400)}.get(name, (5.0, 250))
        axis = side * ((2 * torch.arange(cells, dtype=torch.float64) + 1) / cells - 1)
        x = torch.cartesian_prod(axis, axis)
        weights = torch.full((len(x),), (2 * side / cells) ** 2, dtype=torch.float64)
    return x, weights, target.log_prob(x)


def expectation(name, f):
    x, weights, log_prob = integration(name)
    return torch.einsum("m,m...->...", weights * log_prob.exp(), f(x, log_prob))


def information(log_prob):
    return torch.where(log_prob > -math.inf, -log_prob, 0.0)


@pytest.mark.parametrize("name", toy.NAMES)
def test_density_integrates_to_one(name):
    assert expectation(name, lambda x, _: torch.ones_like(x[:, 0])).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", toy.NAMES)
def test_entropy(name):
    wanted = expectation(name, lambda _, log_prob: information(log_prob))
    assert toy.target(name).entropy() == pytest.approx(wanted.item(), abs=1e-5)


@pytest.mark.parametrize("name", toy.NAMES)
def test_quadrature_covers_the_target(name):
    target = toy.target(name)
    points, weights = target.quadrature()
    density = weights * target.log_prob(points).exp()
    assert density.sum().item() == pytest.approx(1, abs=1e-6)
    assert density @ points == pytest.approx(expectation(name, lambda x, _: x), abs=1e-5)


@pytest.mark.parametrize("name", toy.NAMES)
def test_samples_have_the_moments_and_the_entropy(name):
    torch.manual_seed(1)
    target, n = toy.target(name), 20_000
    x = target.sample(n).double()
    assert x.shape == (n, *target.event_shape)

    def statistics(x, log_prob):
        return torch.cat([x, (x[:, :, None] * x[:, None]).flatten(1), information(log_prob)[:, None]], 1)

    measured = statistics(x, target.log_prob(x))
    error = measured.std(0) / math.sqrt(n)
    gap = (measured.mean(0) - expectation(name, statistics)).abs()
    assert (gap < 5 * error + 1e-6).all(), (gap / error).tolist()


@pytest.mark.parametrize("name", toy.NAMES)
def test_samples_fill_the_cells_as_the_density_says(name):
    torch.manual_seed(2)
    n, edges = 20_000, np.linspace(-5, 5, 26)
    x, weights, log_prob = integration(name)
    d = x.shape[1]
    if name in ("gaussian", "banana", "funnel"):  # their grids do not respect these cells
        axis = torch.arange(-5, 5, 0.02, dtype=torch.float64) + 0.01
        x = torch.cartesian_prod(axis, axis)
        weights, log_prob = torch.full((len(x),), 0.02**2, dtype=torch.float64), toy.target(name).log_prob(x)
    mass = np.histogramdd(x.numpy(), [edges] * d, weights=(weights * log_prob.exp()).numpy())[0].ravel()
    counts = np.histogramdd(toy.target(name).sample(n).numpy(), [edges] * d)[0].ravel()
    often = mass * n >= 5
    observed = np.append(counts[often], n - counts[often].sum())
    expected = np.append(mass[often], 1 - mass[often].sum()) * n
    if expected[-1] < 5:  # too few elsewhere for a class of their own
        observed, expected = observed[:-1], expected[:-1] * observed[:-1].sum() / expected[:-1].sum()
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-5


@pytest.mark.parametrize("name", SMOOTH)
def test_score_is_the_gradient(name):
    torch.manual_seed(3)
    target = toy.target(name)
    x = torch.cat([target.sample(1500), 2.5 * torch.randn(500, *target.event_shape)]).double().requires_grad_()
    log_prob = target.log_prob(x)
    gradient = torch.autograd.grad(log_prob.sum(), x)[0]
    torch.testing.assert_close(target.score(x), gradient, rtol=1e-9, atol=1e-9)
    near = log_prob > -20
    single = target.score(x.detach().float())
    torch.testing.assert_close(single[near].double(), gradient[near], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(target.log_prob(x.detach().float())[near].double(), log_prob[near], rtol=0, atol=5e-4)


@pytest.mark.parametrize("name", ["rings", "pinwheel"])
def test_score_in_the_center(name):
    score = toy.target(name).score(torch.zeros(1, 2, dtype=torch.float64))
    assert torch.isfinite(score).all()
    assert score.abs().max() < 1e-5  # by symmetry, but for the rounding of the angles


def test_mixtures_against_scipy():
    x = torch.linspace(-4, 4, 50, dtype=torch.float64)
    for name in ("bimodal", "trimodal"):
        target = toy.target(name)
        wanted = sum(
            w * scipy.stats.norm(m.item(), s).pdf(x)
            for w, m, s in zip(target.weights.tolist(), target.means, target.std.tolist())
        )
        np.testing.assert_allclose(target.log_prob(x[:, None]).exp(), wanted, rtol=1e-6)  # weights are rounded
    eight = toy.target("eight_gaussians")
    points = torch.stack([x, 0.3 * x + 1], 1)
    wanted = np.mean([scipy.stats.multivariate_normal(m, 0.3**2).pdf(points) for m in eight.means.double()], 0)
    np.testing.assert_allclose(eight.log_prob(points).exp(), wanted, rtol=1e-5)


def test_gaussian_against_scipy():
    target = toy.target("gaussian")
    covariance = np.array([[2.25, 1.2], [1.2, 1.0]])
    exact = scipy.stats.multivariate_normal([0.5, -0.5], covariance)
    x = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 2
    np.testing.assert_allclose(target.log_prob(x), exact.logpdf(x), atol=1e-6)
    assert target.entropy() == pytest.approx(exact.entropy(), abs=1e-6)
    np.testing.assert_allclose(target.score(x), -(x.numpy() - [0.5, -0.5]) @ np.linalg.inv(covariance), atol=1e-5)


def test_rings_are_circles_blurred_by_noise():
    target = shapes.Rings([1.0, 2.5], 0.25, weights=[3.0, 1.0])

    def ring(x, y, radius):
        def blurred(angle):
            gap = (x - radius * math.cos(angle)) ** 2 + (y - radius * math.sin(angle)) ** 2
            return math.exp(-0.5 * gap / 0.25**2) / (2 * math.pi * 0.25**2) / (2 * math.pi)

        return scipy.integrate.quad(blurred, -math.pi, math.pi, epsabs=1e-13)[0]

    for x, y in ([0.0, 0.0], [0.7, 0.9], [-2.4, 0.6], [3.1, -1.0]):
        wanted = 0.75 * ring(x, y, 1.0) + 0.25 * ring(x, y, 2.5)
        found = target.log_prob(torch.tensor([[x, y]], dtype=torch.float64)).exp().item()
        assert found == pytest.approx(wanted, rel=1e-7)


def test_moons_are_arcs_blurred_by_noise():
    target = toy.target("moons")

    def upper(x, y):
        def blurred(t):
            gap = (x - 2 * (math.cos(t) - 0.5)) ** 2 + (y - 2 * (math.sin(t) - 0.25)) ** 2
            return math.exp(-0.5 * gap / 0.2**2) / (2 * math.pi * 0.2**2) / math.pi

        return scipy.integrate.quad(blurred, 0, math.pi, epsabs=1e-12, limit=200)[0]

    for x, y in ([-1.0, 1.5], [0.9, -0.4], [0.1, 1.3], [-2.0, 0.9], [2.2, -1.0]):
        wanted = 0.5 * (upper(x, y) + upper(-x, -y))
        found = target.log_prob(torch.tensor([[x, y]], dtype=torch.float64)).exp().item()
        assert found == pytest.approx(wanted, rel=5e-3)  # the ends of the arc are where a sum is no integral


def test_rings_are_equally_bright_and_the_upper_moon_comes_first():
    radii = [1.0, 2.2, 3.4]
    log_prob = shapes.Rings(radii, 0.05).log_prob(torch.tensor([[0.0, r] for r in radii], dtype=torch.float64))
    assert log_prob.max() - log_prob.min() < 0.01
    x, labels = toy.target("moons").draw(500)
    assert x[labels == 0, 1].mean() > 0.3 > -0.3 > x[labels == 1, 1].mean()


@pytest.mark.parametrize(("name", "std"), [("moons", 0.2), ("two_spirals", 0.12)])
def test_no_ripple_along_the_curve(name, std):
    target = toy.target(name)
    inner = target.means[target.modes == 0].double()[5:-5]
    gap = torch.linalg.vector_norm(inner.diff(dim=0), dim=1)
    assert gap.max() / gap.min() < 1.01
    ripple = 2 * math.exp(-2 * math.pi**2 * (std / gap.max().item()) ** 2)  # Poisson summation, first harmonic
    assert ripple < 1e-6


@pytest.mark.parametrize("name", ["eight_gaussians", "grid_gaussians", "moons", "two_spirals"])
def test_labels_name_the_nearest_mode(name):
    torch.manual_seed(5)
    target = toy.target(name)
    x, labels = target.draw(5000)
    nearest = target.modes[torch.cdist(x, target.means).argmin(1)]
    assert (nearest == labels).float().mean() > 0.995
    share = labels.bincount() / 5000
    assert (share - 1 / len(share)).abs().max() < 5 * math.sqrt(1 / len(share) / 5000)


def test_labels_of_the_other_shapes():
    torch.manual_seed(6)
    rings = toy.target("rings")
    x, ring = rings.draw(3000)
    assert (x.norm(dim=1) - rings.radii[ring]).abs().max() < 6 * 0.12
    pinwheel = toy.target("pinwheel")
    x, arm = pinwheel.draw(3000)
    along, _, _ = pinwheel._unbend(x)
    assert (along.argmax(1) == arm).float().mean() > 0.98
    board = toy.target("checkerboard")
    x, square = board.draw(3000)
    corners = {tuple(c.tolist()) for c in torch.cat([x.div(2).floor(), square[:, None]], 1).unique(dim=0)}
    assert len(corners) == 8
    for name in ("gaussian", "banana", "funnel"):
        assert toy.target(name).draw(3)[1] is None


def test_checkerboard_is_flat_and_has_no_score():
    board = toy.target("checkerboard")
    assert not hasattr(board, "score")
    assert board.entropy() == pytest.approx(math.log(32))
    x = torch.tensor([[-3.0, -3.0], [-1.0, -3.0], [-1.0, -1.0], [1.0, -1.0], [3.9, 3.9], [4.1, 4.1], [-4.1, -3.0]])
    inside = torch.tensor([True, False, True, False, True, False, False])
    assert torch.equal(board.log_prob(x) > -math.inf, inside)
    assert board.log_prob(x.double())[0].item() == pytest.approx(-math.log(32), abs=1e-14)
    torch.manual_seed(7)
    assert torch.isfinite(board.log_prob(board.sample(100_000))).all()


@pytest.mark.parametrize("name", toy.NAMES)
def test_tiles_change_nothing(name):
    target = toy.target(name)
    x = target.sample(2 * targets.TILE + 7).double()
    pieces = torch.cat([target.log_prob(part) for part in x.split(500)])
    torch.testing.assert_close(target.log_prob(x), pieces, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", toy.NAMES)
def test_dtype_and_random_stream(name):
    target = toy.target(name)
    torch.manual_seed(8)
    first, other = target.sample(4), target.sample(4)
    torch.manual_seed(8)
    assert torch.equal(target.sample(4), first)
    assert not torch.equal(first, other)
    state = torch.get_rng_state()
    private = [target.sample(4, torch.Generator().manual_seed(9)) for _ in range(2)]
    assert torch.equal(*private)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.dtype == target.log_prob(first).dtype == torch.float32
    assert target.log_prob(first.double()).dtype == torch.float64
    assert target.double().sample(2).dtype == torch.float64


@pytest.mark.parametrize("name", toy.NAMES)
def test_load(name):
    data = toy.load(name, n=50, seed=3)
    assert data.name == name and len(data) == 50 and data.x.dtype == torch.float32
    assert data.event_shape == data.density.event_shape
    assert torch.isfinite(data.density.log_prob(data.x)).all()
    assert torch.equal(toy.load(name, n=50, seed=3).x, data.x)
    others = [
        toy.load(name, split, n=50, seed=seed).x for split, seed in (("train", 4), ("validation", 3), ("test", 3))
    ]
    for a, b in zip([data.x, *others], [*others, data.x]):
        assert not torch.isin(a[:, 0], b[:, 0]).any()


def test_load_by_default():
    data = toy.load("moons")
    assert len(data) == 10_000
    assert data.labels.unique().tolist() == [0, 1]
    assert len(toy.NAMES) >= 8 and {toy.target(name).event_shape for name in toy.NAMES} == {(1,), (2,)}


def test_moving_a_set_leaves_the_other_alone():
    data = toy.load("moons", n=5)
    moved = data.to("meta")
    assert moved.density.means.is_meta and moved.x.is_meta
    assert not data.density.means.is_meta


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: toy.target("mons"), "try 'moons'"),
        (lambda: toy.load("moons", "valid"), "try 'validation'"),
        (lambda: toy.load("moons", n=0), "integer n >= 1, got 0"),
        (lambda: toy.load("moons", seed=-1), "integer seed >= 0, got -1"),
        (lambda: toy.target("moons").sample(2.5), "integer n"),
        (lambda: toy.target("funnel").sample(-1), "integer n"),
        (lambda: toy.target("bimodal").log_prob(torch.zeros(3)), r"shape \(B, 1\)"),
        (lambda: toy.target("moons").log_prob(torch.zeros(3, 1)), r"shape \(B, 2\)"),
        (lambda: toy.target("moons").score(torch.zeros(0, 2)), "at least 1 example"),
        (lambda: toy.target("rings").log_prob(torch.full((2, 2), math.nan)), "finite x"),
        (lambda: toy.target("banana").log_prob(torch.zeros(2, 2, dtype=torch.long)), "floating dtype"),
        (lambda: toy.target("checkerboard").log_prob([[0.0, 0.0]]), "torch.Tensor"),
        (lambda: targets.Mixture([0.0, 1.0], 1.0), r"means of shape \(K, d\)"),
        (lambda: targets.Mixture([[0.0], [1.0]], [1.0, 1.0, 1.0]), "positive std for 2 components"),
        (lambda: targets.Mixture([[0.0], [1.0]], 0.0), "positive std"),
        (lambda: targets.Mixture([[0.0], [1.0]], 1.0, weights=[1.0]), "positive weights for 2"),
        (lambda: shapes.Rings([1.0], -1.0), "positive, finite std"),
        (lambda: shapes.Rings([0.0], 1.0), "positive radii"),
        (lambda: shapes.Funnel((0.0, 1.0)), "positive, finite std"),
        (lambda: shapes.Checkerboard(3, 1.0), "even number of squares"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
