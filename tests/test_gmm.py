"""The mixture against scipy, scikit-learn and extended precision; EM as ascent; what goes wrong and what it says."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from oracles import errors_off, ill_conditioned, long_log_normal, off_init
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from gdm_core import gaussian_em
from gdm_core.models.gmm import GMM

BAD = "needed .* got .* try"


def mixture(k=3, d=4, seed=0):
    """Tilted components of different sizes, far from any initial value, and what they are in numpy."""
    torch.manual_seed(seed)
    model = off_init(GMM(k, d).double(), 0.7, seed)
    with torch.no_grad():
        model.means.mul_(2)
    return model, *(p.detach().numpy() for p in (model.weights, model.means, model.covariances))


def by_scipy(x, weights, means, covariances):
    parts = [np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covariances)]
    return np.stack(parts, -1)


def twin(model, **options):
    """scikit-learn's mixture at the parameters of `model`."""
    weights, means, covariances = (p.detach().numpy() for p in (model.weights, model.means, model.covariances))
    return GaussianMixture(
        model.components,
        tol=0,
        weights_init=weights,
        means_init=means,
        precisions_init=np.linalg.inv(covariances),
        **{"reg_covar": 0} | options,
    )


def long_em(x, weights, means, trils):
    """One EM iteration in extended precision, as the textbook writes it."""
    x, weights, means, trils = (np.asarray(a, np.longdouble) for a in (x, weights, means, trils))
    joint = np.stack([np.log(w) + long_log_normal(x, m, L) for w, m, L in zip(weights, means, trils)], 1)
    top = joint.max(1, keepdims=True)
    log_prob = top[:, 0] + np.log(np.exp(joint - top).sum(1))
    r = np.exp(joint - log_prob[:, None])
    counts = r.sum(0)
    new = np.einsum("nk,nd->kd", r, x) / counts[:, None]
    away = x[:, None] - new
    return log_prob.mean(), counts / len(x), new, np.einsum("nk,nki,nkj->kij", r, away, away) / counts[:, None, None]


def relative(covariances, truth):
    """Largest error in any direction, in units of the truth in that direction: spectrum of L^-1 (C - T) L^-T."""
    off = 0.0
    for c, t in zip(np.asarray(covariances, float), np.asarray(truth, float)):
        inverse = np.linalg.inv(np.linalg.cholesky(t))
        off = max(off, np.abs(inverse @ (c - t) @ inverse.T).max())
    return off


# Density


def test_log_prob_is_scipys():
    model, *parameters = mixture()
    x = model.sample(200)
    torch.testing.assert_close(
        model.log_prob(x).detach(), torch.from_numpy(logsumexp(by_scipy(x, *parameters), 1)), rtol=0, atol=1e-10
    )


def test_posterior_is_bayes_rule():
    model, *parameters = mixture()
    x = model.sample(50)
    joint = by_scipy(x, *parameters)
    posterior = torch.from_numpy(np.exp(joint - logsumexp(joint, 1, keepdims=True)))
    torch.testing.assert_close(model.responsibilities(x).detach(), posterior, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.encode(x).probs.detach(), posterior, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.prior().probs.detach(), torch.from_numpy(parameters[0]))


def test_decode_is_the_component():
    model, _, means, covariances = mixture()
    z = torch.tensor([[2, 0], [1, 1]])
    p = model.decode(z)
    assert p.batch_shape == (2, 2) and p.event_shape == (4,)
    assert np.allclose(p.mean.detach(), means[z]) and np.allclose(p.covariance_matrix.detach(), covariances[z])
    for wrong in (torch.tensor([3]), torch.tensor([-1]), torch.tensor([0.0]), 1):
        with pytest.raises(ValueError, match=BAD):
            model.decode(wrong)


def test_samples_have_the_moments_of_the_mixture():
    model, weights, means, covariances = mixture(3, 2, seed=1)
    x = model.sample(40_000)
    mean = weights @ means
    second = np.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None, :])
    assert (errors_off(x, torch.from_numpy(mean)) < 5).all()
    assert (errors_off(x[:, :, None] * x[:, None, :], torch.from_numpy(second)) < 5).all()


@pytest.mark.parametrize("condition", [1e2, 1e8])
def test_log_prob_keeps_its_digits_on_narrow_components(condition):
    covariances = torch.stack([ill_conditioned(5, condition, s) for s in (1, 2)])
    model = GMM(2, 5).double()
    means = torch.randn(2, 5, dtype=torch.float64)
    model.set(torch.tensor([0.3, 0.7], dtype=torch.float64), means, covariances)
    x = model.sample(200)
    trils = model.scale_tril.detach().numpy()
    truth = np.stack(
        [np.log(np.longdouble(w)) + long_log_normal(x, m, L) for w, m, L in zip((0.3, 0.7), means, trils)], 1
    )
    truth = truth.max(1) + np.log(np.exp(truth - truth.max(1, keepdims=True)).sum(1))
    assert np.abs(model.log_prob(x).detach().numpy() - truth).max() < 1e-9 * max(1, np.abs(truth).max())
    scipys = logsumexp(by_scipy(x, np.array([0.3, 0.7]), means.numpy(), covariances.numpy()), 1)
    assert np.abs(model.log_prob(x).detach().numpy() - scipys).max() < 1e-8 * max(1, condition / 1e7)


def test_float32_keeps_six_digits():
    model, *_ = mixture()
    x = model.sample(50)
    exact = model.log_prob(x).detach()
    torch.testing.assert_close(model.float().log_prob(x.float()).detach().double(), exact, rtol=1e-5, atol=1e-4)


# EM


@pytest.mark.parametrize("floor", [0.0, 1e-2])
def test_em_is_scikit_learns(floor):
    truth, *_ = mixture(3, 4)
    x = truth.sample(600)
    model = GMM(3, 4).double().start(x)
    peer = twin(model, reg_covar=floor, max_iter=12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and need not
        peer.fit(x.numpy())
    values = list(model.em(x, 12, floor=floor))
    assert values[-1] == pytest.approx(peer.lower_bounds_[-1], abs=1e-10)
    assert np.allclose(model.weights.detach(), peer.weights_, atol=1e-8, rtol=0)
    assert np.allclose(model.means.detach(), peer.means_, atol=1e-8, rtol=0)
    assert np.allclose(model.covariances.detach(), peer.covariances_, atol=1e-8, rtol=0)
    assert model.log_prob(x).mean().item() == pytest.approx(peer.score(x.numpy()), abs=1e-8)


@pytest.mark.parametrize("narrow", [None, 0.0], ids=["products", "own-coordinates"])
@pytest.mark.parametrize("shift, scale", [(0.0, 1.0), (1e4, 1e-3)])
def test_one_iteration_is_the_textbooks(monkeypatch, narrow, shift, scale):
    """Both ways of taking the sums, on data in awkward units, and more of them than fit one tile."""
    if narrow is not None:
        monkeypatch.setattr(gaussian_em, "NARROW", narrow)
    monkeypatch.setattr(gaussian_em, "TILE", 64)
    truth, *_ = mixture(3, 4)
    x = truth.sample(500) * scale + shift
    model = off_init(GMM(3, 4).double().start(x), 0.0)
    with torch.no_grad():
        # Not where the start put them: with one covariance for all, many an error cancels.
        model.log_scales.add_(0.3 * torch.randn(3, 4))
        model.lower.mul_(1 + torch.randn(3, 6))
        model.logits.copy_(torch.tensor([0.2, 1.0, -0.5]))
    value, weights, means, covariances = long_em(
        x, model.weights.detach(), model.means.detach(), model.scale_tril.detach()
    )
    assert next(model.em(x, 1)) == pytest.approx(float(value), abs=1e-9)
    assert np.allclose(model.weights.detach(), weights.astype(float), atol=1e-11)
    assert np.allclose((model.means.detach() - shift) / scale, ((means - shift) / scale).astype(float), atol=1e-8)
    assert relative(model.covariances.detach(), covariances) < 1e-8


def test_em_keeps_its_digits_on_narrow_components():
    """Condition 1e8, twice: textbook sums of x x^T would lose half of all digits."""
    covariances = torch.stack([ill_conditioned(3, 1e8, s) for s in (1, 2)])
    means = torch.tensor([[0.0, 0.0, 0.0], [3.0, 1.0, -2.0]]).double()
    truth = GMM(2, 3).double().set(torch.tensor([0.4, 0.6]).double(), means, covariances)
    x = truth.sample(400)
    value, weights, new, cov = long_em(x, truth.weights.detach(), truth.means.detach(), truth.scale_tril.detach())
    assert next(truth.em(x, 1)) == pytest.approx(float(value), abs=1e-9)
    assert np.allclose(truth.weights.detach(), weights.astype(float), atol=1e-10)
    assert relative(truth.covariances.detach(), cov) < 1e-6  # what float64 can hold of such a matrix
    step = (
        (truth.means.detach().numpy() - new.astype(float))[:, None]
        @ np.linalg.inv(cov.astype(float))
        @ (truth.means.detach().numpy() - new.astype(float))[:, :, None]
    )
    assert np.abs(step).max() < 1e-14  # squared distance in units of the component


def test_narrow_and_wide_components_side_by_side():
    """Some take the sums in their own coordinates, others do not, and each gets its own back."""
    truth, weights, means, covariances = mixture(4, 3)
    covariances = covariances * np.array([1e-7, 1, 1, 1e-8])[:, None, None]
    truth.set(weights, means, covariances)
    x = truth.sample(500)
    value, weights, means, covariances = long_em(x, weights, means, np.linalg.cholesky(covariances))
    assert next(truth.em(x, 1)) == pytest.approx(float(value), abs=1e-9)
    assert np.allclose(truth.weights.detach(), weights.astype(float), atol=1e-11)
    assert np.allclose(truth.means.detach(), means.astype(float), atol=1e-11)
    assert relative(truth.covariances.detach(), covariances) < 1e-8


def test_em_climbs_to_a_stationary_point():
    truth, *_ = mixture(3, 2, seed=2)
    x = truth.sample(400)
    model = GMM(3, 2).double().start(x)
    values = list(model.em(x, 300))
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values)) and values[-1] - values[0] > 0.01
    model.loss(x).backward()
    assert max(p.grad.abs().max().item() for p in model.parameters()) < 1e-5


def test_each_next_is_one_iteration_and_yields_the_likelihood_before_it():
    x = mixture(3, 2)[0].sample(300)
    model = GMM(3, 2).double().start(x)
    run = model.em(x, 4)
    for _ in range(4):
        before = model.log_prob(x).mean().item()
        assert next(run) == pytest.approx(before, abs=1e-11)
        assert model.log_prob(x).mean().item() > before
    assert next(run, None) is None
    assert list(model.em(x, 0)) == []


def test_em_reads_the_parameters_anew_at_each_step():
    x = mixture(3, 2)[0].sample(300)
    one, other = GMM(3, 2).double().start(x), GMM(3, 2).double()
    run = one.em(x, 2)
    next(run)
    with torch.no_grad():
        one.means.add_(0.5)  # a hand drags them
    other.load_state_dict(one.state_dict())
    assert next(run) == next(other.em(x, 1)) and torch.equal(one.means, other.means)


def test_em_in_float32_is_that_of_float64_rounded():
    x = mixture(3, 2)[0].sample(300).float()
    model = GMM(3, 2).start(x)
    exact = GMM(3, 2).double()
    exact.load_state_dict(model.double().state_dict())
    values, truth = list(model.float().em(x, 20)), list(exact.em(x.double(), 20))
    assert model.means.dtype == torch.float32
    assert values == pytest.approx(truth, abs=1e-5)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(values))


def test_em_with_more_features_than_products_pay_for():
    d = gaussian_em.MANY + 4
    x = torch.randn(300, d, dtype=torch.float64) + 4 * torch.randint(2, (300, 1))
    model = GMM(2, d).double().start(x)
    value, weights, means, covariances = long_em(
        x, model.weights.detach(), model.means.detach(), model.scale_tril.detach()
    )
    assert next(model.em(x, 1)) == pytest.approx(float(value), abs=1e-9)
    assert relative(model.covariances.detach(), covariances) < 1e-10


def test_bound_touches_at_the_posterior_and_stays_below_elsewhere():
    model, *_ = mixture()
    x = model.sample(40)
    log_prob, posterior = model.log_prob(x), model.responsibilities(x)
    torch.testing.assert_close(model.bound(x, posterior), log_prob, rtol=0, atol=1e-10)
    q = torch.randn(40, 3, dtype=torch.float64).softmax(1)
    kl = (q * (q.log() - (model.log_joint(x) - log_prob[:, None]))).sum(1)
    torch.testing.assert_close(log_prob - model.bound(x, q), kl, rtol=0, atol=1e-10)
    certain = torch.nn.functional.one_hot(posterior.argmax(1), 3).double()
    torch.testing.assert_close(model.bound(x, certain), model.log_joint(x).amax(1), rtol=0, atol=1e-12)
    for wrong in (q[:5], 2 * q, torch.stack([q[:, 0] - 1, q[:, 1] + 1, q[:, 2]], 1), q.tolist()):
        with pytest.raises(ValueError, match=BAD):
            model.bound(x, wrong)


def test_em_is_coordinate_ascent_on_the_bound():
    x = mixture(3, 2)[0].sample(300)
    model = GMM(3, 2).double().start(x)
    q = model.responsibilities(x).detach()
    before = model.bound(x, q).mean()
    next(model.em(x, 1))
    after = model.bound(x, q).mean()
    assert after > before
    after.backward()  # the M step is the maximum over the parameters at this q
    assert max(p.grad.abs().max().item() for p in model.parameters()) < 1e-10


# By gradient


def test_gradient_and_em_meet_at_the_same_maximum():
    truth, *_ = mixture(3, 2, seed=2)
    x = truth.sample(300)
    by_em = GMM(3, 2).double().start(x)
    by_gradient = GMM(3, 2).double()
    by_gradient.load_state_dict(by_em.state_dict())
    best = list(by_em.em(x, 400))[-1]
    optimizer = torch.optim.LBFGS(
        by_gradient.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def closure():
        optimizer.zero_grad()
        loss = by_gradient.loss(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert -by_gradient.loss(x).item() == pytest.approx(best, abs=1e-7)


# Start


def test_start_is_the_groups_around_seeds_of_the_data():
    centers = torch.tensor([[-20.0, 0.0], [0.0, 20.0], [20.0, -5.0]]).double()
    x = (centers[:, None] + torch.randn(3, 100, 2, dtype=torch.float64)).reshape(-1, 2)
    model = GMM(3, 2).double().start(x)
    order = model.means[:, 0].argsort()
    groups = x.reshape(3, 100, 2)
    torch.testing.assert_close(model.means[order].detach(), groups.mean(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.weights.detach(), torch.full((3,), 1 / 3).double())
    within = groups - groups.mean(1, keepdim=True)
    cov = torch.einsum("kni,knj->ij", within, within) / 300
    torch.testing.assert_close(model.covariances.detach(), cov.expand(3, 2, 2), rtol=0, atol=1e-12)


def test_start_follows_the_seed():
    x = mixture(3, 2)[0].sample(300)
    means = [torch.manual_seed(s) and GMM(5, 2).double().start(x).means.detach() for s in (1, 1, 2)]
    assert torch.equal(means[0], means[1]) and not torch.equal(means[0], means[2])


def test_set_writes_what_it_is_given_and_refuses_what_is_no_mixture():
    _, weights, means, covariances = (torch.as_tensor(p) if isinstance(p, np.ndarray) else p for p in mixture())
    model = GMM(3, 4).double().set(weights, means, covariances)
    torch.testing.assert_close(model.weights.detach(), weights)
    torch.testing.assert_close(model.means.detach(), means)
    torch.testing.assert_close(model.covariances.detach(), covariances)
    for wrong in (
        (weights[:2], means, covariances),
        (weights * 2, means, covariances),
        (weights, means[:, :3], covariances),
        (weights, means * float("nan"), covariances),
        (weights, means, -covariances),
    ):
        with pytest.raises(ValueError, match=BAD):
            model.set(*wrong)


# What goes wrong


def test_a_component_that_collapses_stops_em_and_leaves_the_step_before():
    x = torch.cat([torch.randn(60, 2), torch.tensor([[30.0, 30.0]])]).double()
    model = GMM(2, 2).double()
    eye = torch.eye(2).double()
    model.set(
        torch.tensor([0.9, 0.1]).double(), torch.tensor([[0.0, 0.0], [30.0, 30.0]]).double(), torch.stack([eye, eye])
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"component 1 that has collapsed on 1 examples; try .*start.*fewer.*floor=0\.0\d"
    ):
        list(model.em(x, 50))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    values = list(model.em(x, 50, floor=0.01))  # the remedy works
    assert len(values) == 50 and torch.isfinite(model.log_prob(x)).all()


def test_a_collapse_along_one_direction_is_seen():
    """Three points in a plane of three: volume 0 although no variance is."""
    x = torch.cat([torch.randn(60, 3), 20 + torch.randn(3, 3)]).double()
    model = GMM(2, 3).double()
    covariances = torch.stack([torch.eye(3), 4 * torch.eye(3)]).double()
    model.set(torch.tensor([0.9, 0.1]).double(), torch.tensor([[0.0] * 3, [20.0] * 3]).double(), covariances)
    with pytest.raises(ValueError, match="component 1 that has collapsed on 3 examples"):
        list(model.em(x, 50))


def test_near_duplicates_are_a_collapse_although_each_variance_is_positive():
    x = torch.cat([torch.randn(60, 2).double(), 20 + 1e-7 * torch.randn(5, 2).double()])
    model = GMM(2, 2).double()
    eye = torch.eye(2).double()
    model.set([0.9, 0.1], [[0.0, 0.0], [20.0, 20.0]], torch.stack([eye, 1e-12 * eye]))
    with pytest.raises(ValueError, match="component 1 that has collapsed on 5 examples"):
        list(model.em(x, 50))


def test_a_component_that_nobody_wants_is_named():
    x = torch.randn(60, 2).double()
    model = GMM(2, 2).double()
    eye = 0.01 * torch.eye(2).double()
    model.set(
        torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.0, 0.0], [900.0, 0.0]]).double(), torch.stack([eye, eye])
    )
    with pytest.raises(ValueError, match="component 1 that holds no example; try"):
        list(model.em(x, 5))


X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FLAT = torch.cat([X[:, :1], torch.ones(50, 1), X[:, 1:2]], 1)
DEPENDENT = torch.cat([X[:, :2], X[:, :1] - 2 * X[:, 1:2]], 1)


@pytest.mark.parametrize(
    "x, components, words",
    [
        (X[:4], 5, "at least as many examples as components, 5, got 4; try fewer components"),
        (FLAT, 2, r"columns that vary, got 1 constant ones \(1\); try .*floor="),
        (DEPENDENT, 2, "linearly independent columns, got column 2 as a combination .*floor="),
        (X[:3], 2, "more than 3 examples.*, got 3; try .*floor="),
        (torch.where(X > 2, float("nan"), X), 2, "finite x, got"),
        (X[:, :2], 2, r"x of shape \(B, 3\)"),
        (X.float(), 2, "model's dtype"),
        (X[:0], 2, "at least 1 example"),
    ],
)
@pytest.mark.parametrize("method", ["start", "em"])
def test_bad_data_are_refused_with_cause_and_remedy(method, x, components, words):
    model = GMM(components, 3).double()
    with pytest.raises(ValueError, match=f"needed .*{words}"):
        model.start(x) if method == "start" else model.em(x, 3)  # at the call, not at the first step


def test_the_remedy_for_flat_columns_works():
    for x in (FLAT, DEPENDENT, X[:3]):
        model = GMM(2, 3).double().start(x, floor=1e-3)
        assert np.isfinite(list(model.em(x, 5, floor=1e-3))).all()


def test_fewer_distinct_examples_than_components():
    x = X[:3].repeat(10, 1)
    with pytest.raises(ValueError, match="at least 4 distinct examples, got 3; try fewer components"):
        GMM(4, 3).double().start(x, floor=1e-3)
    with pytest.raises(ValueError, match="groups of one point each.*try fewer components or floor"):
        GMM(5, 3).double().start(X[:5])


@pytest.mark.parametrize("arguments", [(0, 2), (2, 0), (2.5, 2), ("2", 2), (True, 2)])
def test_sizes_that_make_no_sense(arguments):
    with pytest.raises(ValueError, match=BAD):
        GMM(*arguments)


def test_options_that_make_no_sense():
    model = GMM(2, 3).double()
    for call in (
        lambda: model.em(X, -1),
        lambda: model.em(X, 2.5),
        lambda: model.em(X, 3, floor=-1.0),
        lambda: model.start(X, floor=-1.0),
    ):
        with pytest.raises(ValueError, match=BAD):
            call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("narrow", [1e6, 0.0])
def test_em_on_cuda_is_that_of_the_cpu(monkeypatch, narrow):
    monkeypatch.setattr(gaussian_em, "NARROW", narrow)
    x = mixture(3, 4)[0].sample(600)
    model, other = GMM(3, 4).double().start(x), GMM(3, 4).double().cuda()
    other.load_state_dict(model.state_dict())
    assert list(other.em(x.cuda(), 10)) == pytest.approx(list(model.em(x, 10)), abs=1e-9)
    torch.testing.assert_close(other.covariances.cpu(), model.covariances, rtol=1e-8, atol=1e-8)
