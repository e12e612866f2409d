"""Options of the inference gap: the family of q*, the reference, labels, common noise."""

import pytest
import torch
from linear import Drawn, Linear, MeanField

from gdm_core import inference
from gdm_core.inference import inference_gap
from gdm_core.models.vae import VAE

torch.set_num_threads(1)


def test_gap_takes_the_family_that_it_is_told():
    model = MeanField()
    with torch.no_grad():
        model.W[:, 1] += 2 * model.W[:, 0]  # a posterior that no factorized q can be
    x = model.data(20)
    gap = inference_gap(model, x, log_px=model.log_prob(x), steps=300, samples=300, lr=0.05, full=True)
    assert abs(gap.approximation.value) < 5e-3 < gap.amortization.value
    with pytest.raises(ValueError, match=r"log_px \(20,\)"):
        inference_gap(model, x, log_px=model.log_prob(x)[:, None])


def test_reference_of_the_gap_is_wider_than_the_posterior(monkeypatch):
    seen = []
    monkeypatch.setattr(inference.gap, "iwae_bound", lambda model, x, s, q, y: seen.append(q) or model.log_prob(x))
    model = Linear()
    with torch.no_grad():
        model.W[:, 1] += 2 * model.W[:, 0]  # correlated: what lies below the diagonal is widened too
    x = model.data(5)
    inference_gap(model, x, steps=200, samples=20, lr=0.02)
    wanted = 1.21 * model.encode(x).covariance_matrix.detach()
    torch.testing.assert_close(seen[0].covariance_matrix, wanted, rtol=0.05, atol=5e-3)


def test_gap_of_a_conditional_model_and_its_random_numbers():
    model = VAE(2, 1, hidden=(4,), labels=2).double()
    x, y = torch.randn(4, 2).double(), torch.tensor([0, 1, 1, 0])
    gap = inference_gap(model, x, steps=2, samples=3, y=y)
    assert gap.log_px.shape == (4,)
    wide = Linear(skew=0.4)  # not the posterior: the bound has noise
    x = wide.data(8)
    gap = inference_gap(wide, x, log_px=wide.log_prob(x), steps=1, lr=1e-9, samples=5)
    assert gap.amortization.error < 1e-6  # q* is q_phi: the same noise leaves no difference


def test_bound_of_many_draws_weighs_pieces_by_their_size():
    """100,000 draws for 5 examples are taken 69,905 at a time: the second piece is smaller."""
    model = Linear(skew=0.4)
    x = model.data(5)
    with torch.no_grad():
        q = Drawn(model.encode(x), 100_000)
        whole = inference.log_weights(model, x, q.z, q).mean(0)
        torch.testing.assert_close(inference.gap._mean_elbo(model, x, q, 100_000, None), whole)
    assert q.used == 100_000
