"""Walks, directions, maps between spaces, and scores on codes whose score is known."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import mutual_info_score

from gdm_core.disentanglement import active_units, dci, mig, mutual_information
from gdm_core.latent import _left_out, arithmetic, attribute_direction, fit_map, interpolate, remove, traverse

torch.set_num_threads(1)


def codes(n=1000, latents=4, seed=0):
    return torch.randn(n, latents, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Walks


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ends_are_met_exactly(spherical, dtype):
    a, b = codes(50).to(dtype), codes(50, seed=1).to(dtype)
    path = interpolate(a, b, 7, spherical=spherical)
    assert path.shape == (7, 50, 4)
    assert torch.equal(path[0], a) and torch.equal(path[-1], b)


def test_linear_path_is_straight_and_even():
    a, b = codes(2)
    path = interpolate(a, b, torch.tensor([0.0, 0.25, 0.5, 1.0]))
    torch.testing.assert_close(path, a + torch.tensor([0.0, 0.25, 0.5, 1.0])[:, None] * (b - a))


def test_spherical_path_keeps_the_radius_and_the_angular_speed():
    a, b = torch.nn.functional.normalize(codes(2), dim=1) * 3
    path = interpolate(a, b, 11, spherical=True)
    torch.testing.assert_close(path.norm(dim=1), torch.full((11,), 3.0).double())
    turns = torch.arccos((path[1:] * path[:-1]).sum(1) / 9)
    torch.testing.assert_close(turns, torch.full((10,), torch.arccos(a @ b / 9).item() / 10).double())
    plane = torch.linalg.qr(torch.stack([a, b], 1))[0]
    torch.testing.assert_close(path @ plane @ plane.T, path)


def test_spherical_path_between_near_and_opposite_codes():
    a = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(interpolate(a, a, 5, spherical=True), a.expand(5, 3))
    near = a + 1e-9
    torch.testing.assert_close(interpolate(a, near, 3, spherical=True)[1], a, rtol=0, atol=2e-9)
    with pytest.raises(ValueError, match="opposite"):
        interpolate(a, -2 * a, 5, spherical=True)
    with pytest.raises(ValueError, match="non-zero"):
        interpolate(torch.stack([a, a]), torch.stack([a + 1, 0 * a]), 5, spherical=True)
    with pytest.raises(ValueError, match="non-zero"):
        interpolate(torch.stack([0 * a, a]), torch.stack([a + 1, a]), 5, spherical=True)
    side, up = torch.eye(3).double()[:2]  # a number that is 0 in all codes makes none of them zero
    half = interpolate(torch.stack([side, up]), torch.stack([up, side]), 3, spherical=True)[1]
    torch.testing.assert_close(half, ((side + up) / 2**0.5).expand(2, 3))
    turned = torch.tensor([5 * math.sin(0.03), 0.0, 5 * math.cos(0.03)]).double()  # a small arc is an arc still
    lifted = torch.tensor([0.0, 0.0, 5.0]).double()
    torch.testing.assert_close(
        interpolate(lifted, turned, 5, spherical=True).norm(dim=1), torch.full((5,), 5.0).double()
    )


def test_arithmetic_carries_the_difference():
    a, b, c = codes(3)
    torch.testing.assert_close(arithmetic(a, b, c) - c, a - b)


def test_traversal_moves_two_latents_and_no_other():
    z, values = codes(1)[0], torch.tensor([-1.0, 0.0, 2.0])
    board = traverse(z, 2, 0, values)
    for i in range(3):
        for j in range(3):
            expected = z.clone()
            expected[2], expected[0] = values[i], values[j]
            torch.testing.assert_close(board[i, j], expected)
    with pytest.raises(ValueError, match="different"):
        traverse(z, 1, 1, values)
    with pytest.raises(ValueError, match="second"):
        traverse(z, 1, 4, values)


# Directions


def test_direction_is_the_discriminant_of_two_gaussians():
    """Equal covariances S, means m0 and m1: the exact log odds are linear with normal S^-1 (m1 - m0)."""
    z, label = codes(20_000, 2), torch.arange(20_000) % 2
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.5]]).double()
    shift = torch.tensor([1.0, 0.5]).double()
    found = attribute_direction(z @ mix.T + label[:, None] * shift, label == 1)
    normal = torch.linalg.solve(mix @ mix.T, shift)
    assert found.vector @ normal / normal.norm() > 0.999
    assert found.offset == pytest.approx((shift / 2 @ normal / normal.norm()).item(), abs=0.03)
    best = torch.distributions.Normal(0.0, 1.0).cdf((shift @ normal).sqrt() / 2).item()
    assert found.accuracy == pytest.approx(best, abs=0.015)
    assert found.vector.norm().item() == pytest.approx(1.0)


def test_moving_along_a_direction_changes_the_distance_by_as_much():
    z = codes()
    found = attribute_direction(z, z[:, 1] > 0.3)
    torch.testing.assert_close(found.distance(found.move(z, 1.7)), found.distance(z) + 1.7)
    assert (found.distance(z) > 0).eq(z[:, 1] > 0.3).double().mean() > 0.98
    by = torch.linspace(-1, 1, len(z)).double()
    torch.testing.assert_close(found.distance(found.move(z, by)), found.distance(z) + by)


def test_removal_leaves_the_other_attribute_unmoved():
    a, b, c = codes(3, 6)
    freed = remove(a, b, c)
    assert abs(freed @ b) < 1e-12 and abs(freed @ c) < 1e-12 and freed.norm().item() == pytest.approx(1.0)
    coefficients, *_ = np.linalg.lstsq(np.stack([b, c], 1), a.numpy(), rcond=None)
    rest = a.numpy() - np.stack([b, c], 1) @ coefficients
    np.testing.assert_allclose(freed, rest / np.linalg.norm(rest))
    with pytest.raises(ValueError, match="span"):
        remove(b + 2 * c, b, c)


def test_attributes_must_come_in_two_kinds():
    z = codes(30)
    for few in (0, 4, 26):
        with pytest.raises(ValueError, match="5 without"):
            attribute_direction(z, torch.arange(30) < few)
    with pytest.raises(ValueError, match="0 or 1"):
        attribute_direction(z, torch.arange(30))
    assert 0 <= attribute_direction(codes(10), torch.arange(10) < 5).accuracy <= 1  # one of each in each of five folds


# Two spaces


def test_ridge_is_scikit_learns():
    source, target = codes(30, 5), codes(30, 3, seed=1)
    for penalty, peer in ((0.0, LinearRegression()), (2.5, Ridge(2.5))):
        peer.fit(source.numpy(), target.numpy())
        found = fit_map(source, target, penalty=penalty)
        np.testing.assert_allclose(found.weight, peer.coef_, atol=1e-10)
        np.testing.assert_allclose(found(source), peer.predict(source.numpy()), atol=1e-10)
    twice = torch.cat([source, source[:, :1]], 1)  # least squares of a column that comes twice
    found = fit_map(twice, target, penalty=0.0)
    np.testing.assert_allclose(found(twice), LinearRegression().fit(source, target).predict(source), atol=1e-10)
    torch.testing.assert_close(found.weight[:, 0], found.weight[:, 5])


def test_penalty_minimizes_the_left_out_error():
    """The shortcut against refitting without each point in turn."""
    source = codes(20, 8)
    target = source[:, :2] + 1.5 * codes(20, 2, seed=1)

    def left_out(penalty):
        total = 0.0
        for i in range(20):
            keep = torch.arange(20) != i
            total += (fit_map(source[keep], target[keep], penalty=penalty)(source[i]) - target[i]).square().sum().item()
        return total

    scale = torch.linalg.svdvals(source - source.mean(0)).square().mean().item()
    penalties = [10.0**k * scale for k in range(-8, 3)]
    best = min(penalties, key=left_out)
    assert penalties[0] < best < penalties[-1]
    torch.testing.assert_close(fit_map(source, target).weight, fit_map(source, target, penalty=best).weight)
    U, size, _ = torch.linalg.svd(source - source.mean(0), full_matrices=False)
    for penalty in (0.01, scale, 100.0):
        assert _left_out(U, size, target - target.mean(0), penalty) == pytest.approx(left_out(penalty))


def test_procrustes_finds_rotation_scale_and_shift():
    source = codes(10, 4)
    rotation = torch.linalg.qr(codes(4, 4, seed=3))[0]
    target = 1.7 * source @ rotation.T + torch.tensor([1.0, 2, 3, 4])
    found = fit_map(source, target, "procrustes")
    torch.testing.assert_close(found.weight, 1.7 * rotation)
    torch.testing.assert_close(found(source), target)
    noisy = fit_map(source, target + 0.1 * codes(10, 4, seed=4), "procrustes").weight
    gram = noisy @ noisy.T
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(4).double(), atol=1e-10, rtol=0)


def test_error_is_the_unexplained_share():
    source = codes(500, 3)
    target = source @ codes(3, 2, seed=1) + 0.5 * codes(500, 2, seed=2)
    found = fit_map(source, target, penalty=0.0)
    residual, spread = (found(source) - target).var(0, correction=0).sum(), target.var(0, correction=0).sum()
    error = found.error(source, target)
    assert error.value == pytest.approx((residual / spread).item()) and 0 < error.error < error.value
    constant = fit_map(0 * source, target, penalty=1.0)
    assert constant.error(source, target).value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="matched"):
        fit_map(source[:3], target)


# Scores


def world(n=4000, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {
        "hue": torch.randint(0, 10, (n,), generator=g),
        "shape": torch.randint(0, 4, (n,), generator=g),
        "scale": torch.rand(n, generator=g, dtype=torch.float64),
    }


def aligned(factors, noise=0.02):
    z = torch.stack([factors["scale"], -factors["hue"] / 10.0, factors["shape"] / 4.0], 1)
    return torch.cat([z, torch.zeros(len(z), 1)], 1) + noise * codes(len(z), 4)


def test_mutual_information_is_scikit_learns_on_discrete_codes():
    factors = world()
    z = torch.stack([factors["hue"] // 2, (factors["hue"] + factors["shape"]) % 7], 1).double()
    found, entropy = mutual_information(z, {"hue": factors["hue"], "shape": factors["shape"]})
    for j in range(2):
        for k, name in enumerate(("hue", "shape")):
            assert found[j, k].item() == pytest.approx(mutual_info_score(z[:, j], factors[name]))
    assert entropy[1].item() == pytest.approx(mutual_info_score(factors["shape"], factors["shape"]))
    assert entropy[0].item() == pytest.approx(math.log(10), abs=0.01)
    few = torch.arange(200).clamp(max=102).clamp(min=100)  # as many values as bins, so each is its own
    counts = torch.unique(few, return_counts=True)[1]
    assert len(counts) == 3
    entropy = mutual_information(codes(200), {"few": few}, bins=3)[1]
    assert entropy.item() == pytest.approx(scipy.stats.entropy(counts))
    even = codes(1000, 1)  # a real factor is cut into as many bins of equal counts
    found, entropy = mutual_information(even, {"even": even[:, 0]}, bins=20)
    assert found.item() == pytest.approx(entropy.item()) == pytest.approx(math.log(20), abs=1e-3)
    rare = (torch.arange(4000) < 80).long() + (torch.arange(4000) < 40)  # two values that a cut by counts would merge
    _, (spread,) = mutual_information(z, {"rare": rare})
    assert spread.item() == pytest.approx(scipy.stats.entropy([3920, 40, 40]))


def test_scores_of_aligned_rotated_and_independent_codes():
    factors = world()
    z = aligned(factors)
    spread = z / z.std(0)
    rotated = spread @ torch.linalg.qr(codes(4, 4, seed=5))[0]
    independent = codes(4000, 4, seed=6)
    good, mixed, blind = (dci(c, factors) for c in (z, rotated, independent))
    assert mig(z, factors) > 0.8 and good.disentanglement > 0.9 and good.completeness > 0.9
    assert good.informativeness > 0.9
    assert mig(rotated, factors) < 0.25 and mixed.disentanglement < 0.5 and mixed.completeness < 0.5
    assert abs(mig(independent, factors)) < 0.02 and blind.disentanglement < 0.1 and blind.informativeness < 0.05
    torch.testing.assert_close(good.importance.sum(0), torch.ones(3).double())
    assert good.importance.argmax(0).tolist() == [1, 2, 0]


def test_mig_is_blind_to_monotone_change_and_feels_a_copy():
    factors = world()
    z = aligned(factors)
    assert mig(z.exp() ** 3, factors) == pytest.approx(mig(z, factors), abs=1e-6)
    assert mig(torch.cat([z, z], 1), factors) == pytest.approx(0.0, abs=1e-9)


def test_dci_of_one_latent_that_holds_two_factors():
    """Latent 0 knows a and b, latent 1 nothing: D is that of an even split over 2 factors, 0; C is 1."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 2, (2, 2000), generator=g)
    z = torch.stack([a + 2 * b + 0.1 * torch.rand(2000, generator=g), torch.rand(2000, generator=g)], 1)
    score = dci(z, {"a": a, "b": b})
    assert score.disentanglement < 0.02 and score.completeness > 0.95 and score.informativeness > 0.95


def test_dci_knows_each_factor_as_far_as_the_codes_tell():
    """A code that is the factor plus noise of the same variance explains half of it, one that is the factor all."""
    half, whole, none, noise = codes(6000, 4, seed=7).T
    score = dci(torch.stack([half + noise, whole**3], 1), {"half": half, "whole": whole, "none": none})
    assert score.known[0].item() == pytest.approx(0.5, abs=0.12) and score.known[1] > 0.98
    assert score.known[2] == 0  # worse than the mean, which is no less than nothing
    assert score.informativeness == pytest.approx(score.known.mean().item())


def test_guessing_the_commonest_class_is_no_knowledge():
    """Nine of ten are of one class: a forest that always says so is right in nine of ten and knows nothing."""
    z = codes(1200, 2, seed=3)
    uneven, even = (torch.arange(1200) % 10 == 0).long(), torch.arange(1200) % 2
    assert dci(z, {"uneven": uneven, "even": even}).known.max() < 0.1


def test_dci_is_its_definition_with_idle_latents_and_unequal_ones():
    """Two latents tell of the factors, one is noise, one constant: both scores from `importance`, by scipy."""
    a, b = torch.randint(0, 3, (2, 1500), generator=torch.Generator().manual_seed(0))
    z = codes(1500, 4, seed=8)
    z[:, 0] = a + b + 0.1 * z[:, 0]
    z[:, 1] = b + 0.3 * z[:, 1]
    z[:, 3] = 0.0
    score = dci(z, {"a": a, "b": b})
    R = score.importance.numpy()
    np.testing.assert_allclose(R.sum(0), 1)
    assert (R[3] == 0).all() and 0 < R[2].sum() < 0.2 < R[0].sum() < R[1].sum()
    each = 1 - scipy.stats.entropy(R[:3], base=2, axis=1)  # of the latents that are used; axis 1 is over factors
    assert score.disentanglement == pytest.approx((R[:3].sum(1) * each).sum() / 2)
    assert score.completeness == pytest.approx((1 - scipy.stats.entropy(R, base=4, axis=0)).mean())


def test_a_class_that_is_held_out_or_kept_as_a_whole_leaves_dci_a_number():
    """The one rare example is held out (no tree can split) or kept (guessing makes no mistake): nothing is known."""
    g = torch.Generator().manual_seed(0)
    z, common = codes(60, 3), torch.randint(0, 2, (60,), generator=g)
    z[:, 0] += 5 * common
    rare = (torch.arange(60) == 7).long()
    for seed in range(6):  # 60 examples, 20 held out
        score = dci(z, {"common": common, "rare": rare}, seed=seed)
        assert score.known[0] > 0.8 and score.known[1] == 0 and score.importance.isfinite().all()
        torch.testing.assert_close(score.importance.sum(0), torch.ones(2).double())
        assert 0 <= score.disentanglement <= 1 and 0 <= score.completeness <= 1 and score.informativeness > 0.4


def test_active_units_are_those_whose_mean_moves():
    means = codes(500) * torch.tensor([1.0, 0.2, 0.05, 0.0]).double() + 3.0
    assert active_units(means).tolist() == [True, True, False, False]
    assert active_units(means, 0.5).tolist() == [True, False, False, False]


def test_scores_refuse_what_they_cannot_judge():
    factors = world(100)
    with pytest.raises(ValueError, match="constant 'hue'"):
        mig(codes(100), {"hue": torch.zeros(100)})
    with pytest.raises(ValueError, match="dataset.factors"):
        mig(codes(99), factors)
    with pytest.raises(ValueError, match="mig"):
        dci(codes(100), {"hue": factors["hue"]})


# Input that would give a wrong number


def test_what_is_removed_may_depend_on_itself():
    a, b, c = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for others in ((b, 2 * b), (b, 0 * b), (b, b, -b)):
        torch.testing.assert_close(remove(a, *others), remove(a, b))
    torch.testing.assert_close(remove(a, b, c, b + c), remove(a, b, c))
    with pytest.raises(ValueError, match="to be free of"):
        remove(a)


@pytest.mark.parametrize(
    "attribute",
    [0.75 + 0.5 * torch.rand(200), torch.arange(200) % 3, (torch.arange(200) % 2)[:, None], torch.arange(100) % 2],
)
def test_attributes_that_are_not_two_classes_are_refused(attribute):
    with pytest.raises(ValueError, match="of 0 or 1"):
        attribute_direction(codes(200), attribute)


def test_accuracy_is_of_codes_that_were_not_fitted():
    z = torch.randn(60, 40, generator=torch.Generator().manual_seed(0))
    assert attribute_direction(z, torch.arange(60) % 2).accuracy < 0.75  # nothing to find, 40 numbers to remember it by


@pytest.mark.parametrize("sources, targets", [(6, 3), (3, 6), (4, 4)])
def test_no_other_scale_suits_procrustes_better(sources, targets):
    a, b = codes(50, sources), codes(50, targets, seed=1)
    found = fit_map(a, b, "procrustes")
    center, middle = a.mean(0), b.mean(0)
    missed = lambda s: (s * (a - center) @ found.weight.T - (b - middle)).square().sum().item()
    assert missed(1.0) <= min(missed(s) for s in np.linspace(0.5, 2, 301)) + 1e-9
    with pytest.raises(ValueError, match="differ"):
        fit_map(torch.ones(5, 2), codes(5, 2).float(), "procrustes")


def test_scores_refuse_what_is_not_finite_or_does_not_vary():
    z, v = codes(60, 2), {"a": torch.arange(60) % 4, "b": torch.rand(60)}
    hole = torch.where(torch.arange(60) < 20, torch.nan, 1.0)
    for score in (mig, dci):
        with pytest.raises(ValueError, match="NaN or infinity in 'codes'"):
            score(z * hole[:, None], v)
        with pytest.raises(ValueError, match="NaN or infinity in 'b'"):
            score(z, v | {"b": hole})
        for constant in (torch.ones(60), torch.ones(60, dtype=torch.long)):
            with pytest.raises(ValueError, match="constant 'c'"):
                score(z, v | {"c": constant})
    with pytest.raises(ValueError, match="held out"):
        dci(z[:14], {"a": torch.arange(14), "b": torch.arange(14.0)})
    assert dci(z[:15], {"a": torch.arange(15), "b": torch.arange(15.0)}).importance.isfinite().all()


def test_counting_adds_what_the_docstring_says():
    """Independent codes and factors: all that is found is the bias of counting."""
    z, values = codes(2000, 30), torch.arange(2000) % 4
    found = mutual_information(z, {"v": values})[0].mean().item()
    assert found == pytest.approx(19 * 3 / 4000, rel=0.1)


def test_held_out_examples_are_drawn_from_all():
    a = torch.arange(600) // 60  # sorted by factor, as files often are
    z = torch.stack([a + 0.1 * torch.randn(600), torch.randn(600)], 1)
    assert dci(z, {"a": a, "b": torch.rand(600)}).known[0] > 0.9
