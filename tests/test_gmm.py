"""The mixture against scipy; bound, gradient and start; what it refuses."""

import numpy as np
import pytest
import torch
from mixtures import mixture
from oracles import errors_off, ill_conditioned, long_log_normal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from gdm_core.models.gmm import GMM

BAD = "needed .* got .* try"


def by_scipy(x, weights, means, covariances):
    parts = [np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covariances)]
    return np.stack(parts, -1)


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


# EM and its bound


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
        (weights * 1.001, means, covariances),
        (weights, means[:, :3], covariances),
        (weights, means * float("nan"), covariances),
        (weights, means, -covariances),
    ):
        with pytest.raises(ValueError, match=BAD):
            model.set(*wrong)


# What goes wrong


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
