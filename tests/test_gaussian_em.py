"""One EM iteration in both of its ways against the textbook's and scikit-learn's; collapse seen and named."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from mixtures import long_em, mixture, relative
from oracles import ill_conditioned
from sklearn.mixture import GaussianMixture

from gdm_core import gaussian_em
from gdm_core.models.gmm import GMM


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
    model = GMM(3, 4).double().start(x)
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("narrow", [1e6, 0.0])
def test_em_on_cuda_is_that_of_the_cpu(monkeypatch, narrow):
    monkeypatch.setattr(gaussian_em, "NARROW", narrow)
    x = mixture(3, 4)[0].sample(600)
    model, other = GMM(3, 4).double().start(x), GMM(3, 4).double().cuda()
    other.load_state_dict(model.state_dict())
    assert list(other.em(x.cuda(), 10)) == pytest.approx(list(model.em(x, 10)), abs=1e-9)
    torch.testing.assert_close(other.covariances.cpu(), model.covariances, rtol=1e-8, atol=1e-8)
