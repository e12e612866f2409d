"""The deterministic autoencoder: its error, and PCA as the optimum of the linear one."""

import numpy as np
import pytest
import torch
from torch import nn

from gdm_core import protocols, train
from gdm_core.models.autoencoder import Autoencoder, demos

torch.set_num_threads(1)
plane = lambda: demos()["plane"]


def test_error_is_the_squared_distance_summed_over_the_event():
    model = Autoencoder((2, 3), 2, hidden=(5,)).double()
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    back = model.decode(model.encode(x)).detach().numpy()
    truth = ((x.numpy() - back) ** 2).sum((1, 2))
    np.testing.assert_allclose(model.error(x).detach(), truth)
    assert model.loss(x).item() == pytest.approx(truth.mean())


def test_linear_autoencoder_reaches_pca_and_no_less():
    """Eckart-Young: the error of the best rank-q map is the sum of the smallest eigenvalues."""
    torch.manual_seed(0)
    x = torch.randn(300, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 1.0
    best = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))[:3].sum().item()
    model = Autoencoder(5, 2, hidden=()).double()
    train.fit(model, x, steps=1500, batch_size=300, lr=0.02, rate=train.falling, progress=False)
    assert best - 1e-9 <= model.loss(x).item() < 1.001 * best


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_shapes_of_both_networks(network):
    model = Autoencoder((3, 12, 20), 4, hidden=(8,), network=network)
    x = torch.rand(2, 3, 12, 20)
    assert model.encode(x).shape == (2, 4) and model.decode(torch.randn(5, 2, 4)).shape == (5, 2, 3, 12, 20)
    model.loss(x).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_it_claims_neither_samples_nor_a_density():
    for protocol in (protocols.HasSamples, protocols.HasDensity, protocols.HasLatent):
        assert not isinstance(plane(), protocol)
    assert isinstance(plane(), protocols.HasLoss)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(B, 2\)"):
        plane().loss(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="2 units"):
        Autoencoder(4, 2, encoder=nn.Linear(4, 3)).encode(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="decoder"):
        Autoencoder(4, 2, decoder=nn.Linear(2, 3)).decode(torch.zeros(3, 2))


def test_hidden_layers_of_the_decoder_mirror_those_of_the_encoder():
    model = Autoencoder(9, 2, hidden=(8, 5))
    parts = model.encoder, model.decoder
    assert [[m.out_features for m in part.modules() if isinstance(m, nn.Linear)] for part in parts] == [
        [8, 5, 2],
        [5, 8, 9],
    ]
