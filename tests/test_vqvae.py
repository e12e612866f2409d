"""Vector quantization: nearest codes, the three terms of the loss and what each of them moves, the bound."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from gdm_core import likelihoods
from gdm_core.models.vqvae import VQVAE, demos

torch.set_num_threads(1)
plane = lambda: demos()["plane"]


def bare(codes=5, positions=1, std=0.5, **options):
    """Encoder and decoder are the identity on (B, 2, positions): every term can be written down."""
    model = VQVAE(
        (2, positions),
        codes=codes,
        width=2,
        likelihood=likelihoods.Gaussian(std, learn=None),
        encoder=nn.Identity(),
        decoder=nn.Unflatten(1, (1, 2)),
        **options,
    )
    return model.double()


def data(n=7, positions=1):
    torch.manual_seed(2)
    return torch.randn(n, 2, positions, dtype=torch.float64)


def nearest(model, x):
    """Entries of the codebook nearest to each position, by numpy: (B, 2, positions)."""
    book = model.codebook.detach().numpy()
    f = np.moveaxis(x.numpy(), 1, -1)
    index = ((f[..., None, :] - book) ** 2).sum(-1).argmin(-1)
    return index, np.moveaxis(book[index], -1, 1)


@pytest.mark.parametrize("positions", [1, 3])
def test_each_position_takes_its_nearest_code(positions):
    model = bare(positions=positions)
    x = data(positions=positions)
    index, entries = nearest(model, x)
    np.testing.assert_array_equal(model.encode_codes(x), index)
    np.testing.assert_allclose(model.decode_codes(torch.from_numpy(index)).mean.detach(), entries)


@pytest.mark.parametrize("commitment", [0.25, 2.0])
def test_loss_is_equation_3(commitment):
    model = bare(positions=3, commitment=commitment)
    x = data(positions=3)
    entries = nearest(model, x)[1]
    distance = ((x.numpy() - entries) ** 2).sum((1, 2))
    log_prob = scipy.stats.norm.logpdf(x.numpy(), entries, 0.5).sum((1, 2))
    assert model.loss(x).item() == pytest.approx(((1 + commitment) * distance - log_prob).mean())


def test_gradients_go_where_the_paper_sends_them():
    """Encoder: straight-through reconstruction and commitment.  Codebook: its own distance, nothing else."""
    model = bare(commitment=0.3)
    x = data().requires_grad_()
    target = x.detach().clone()
    entries = torch.from_numpy(nearest(model, x.detach())[1])
    features = model._features(x)

    class Fixed(nn.Module):  # log-likelihood of a fixed target, so that x reaches the loss through the encoder alone
        channels = 1

        def forward(self, raw, dims):
            p = likelihoods.Gaussian(0.5, learn=None)(raw, dims)
            p.log_prob = lambda _: type(p).log_prob(p, target)
            return p

    model.likelihood = Fixed()
    model.loss(x).backward()
    n = len(x)
    straight = (entries - target) / 0.5**2 / n  # d(-log p)/dz at z = e, handed to the encoder unchanged
    torch.testing.assert_close(x.grad, straight + 2 * 0.3 * (features.detach() - entries) / n, rtol=1e-6, atol=1e-9)
    pull = torch.zeros_like(model.codebook)
    pull.index_add_(0, model.encode_codes(target)[:, 0], (2 * (entries - target) / n)[..., 0])
    torch.testing.assert_close(model.codebook.grad, pull)


def test_bound_is_below_the_exact_mixture():
    """One position, uniform codes: p(x) is a mixture of K Gaussians."""
    model = bare(codes=6, std=0.4)
    x = data(50)
    book = model.codebook.detach().numpy()
    each = scipy.stats.norm.logpdf(x.numpy()[:, None, :, 0], book, 0.4).sum(-1)  # (B, K)
    exact = scipy.special.logsumexp(each, 1) - math.log(6)
    bound = model.elbo(x).detach().numpy()
    np.testing.assert_allclose(bound, each.max(1) - math.log(6), rtol=1e-6)
    assert (bound <= exact).all() and (exact - bound).max() > 0.01


def test_usage_and_perplexity_count_codes():
    model = bare(codes=4)
    with torch.no_grad():
        model.codebook.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1], [50, 50]]))
    x = torch.tensor([[0.0, 0.1], [0.1, 0], [0.9, 0], [0, 0.9]]).double()[..., None]
    torch.testing.assert_close(model.usage(x), torch.tensor([0.5, 0.25, 0.25, 0.0]))
    assert model.perplexity(x) == pytest.approx(math.exp(1.5 * math.log(2)))
    assert model.perplexity(x[:1]) == pytest.approx(1.0)


def test_usage_is_a_share_of_all_positions():
    """Three positions an example: a picture is three answers, and uneven ones."""
    model, x = bare(codes=5, positions=3), data(n=4, positions=3)
    share = np.bincount(nearest(model, x)[0].ravel(), minlength=5) / 12
    assert len(set(share)) > 2
    np.testing.assert_allclose(model.usage(x), share, rtol=1e-6)
    assert model.perplexity(x) == pytest.approx(math.exp(scipy.stats.entropy(share)), rel=1e-6)


def test_dead_codes_are_revived_on_features_and_live_ones_stay():
    model = bare(codes=4)
    with torch.no_grad():
        model.codebook.copy_(torch.tensor([[0.0, 0], [1, 0], [60, 50], [50, 50]]))
    x = torch.tensor([[0.0, 0.1], [0.9, 0.2]]).double()[..., None]
    assert model.revive(x) == 2
    torch.testing.assert_close(model.codebook[:2].detach(), torch.tensor([[0.0, 0], [1, 0]]).double())
    for row in model.codebook[2:].detach():
        assert any(torch.equal(row, f[:, 0]) for f in x)


def test_a_code_that_answers_once_is_alive_and_features_are_those_of_a_position():
    model, x = bare(codes=4, positions=3), data(n=40, positions=3)
    with torch.no_grad():
        model.codebook.copy_(torch.tensor([[0.0, 0], [0, 0.1], [60, 50], [9, 9]]))
    x[7, :, 2] = 9.0
    assert model.usage(x)[3] == pytest.approx(1 / 120) and model.revive(x) == 1
    assert model.codebook[3].tolist() == [9, 9]
    assert (x.movedim(1, -1).reshape(-1, 2) == model.codebook[2]).all(1).any()


def test_every_code_is_drawn_alike():
    model = bare(codes=3, std=0.01)
    with torch.no_grad():
        model.codebook.copy_(torch.tensor([[0.0, 0], [5, 0], [0, 5]]))
    torch.manual_seed(0)
    share = model.usage(model.sample(3000))
    assert ((share - 1 / 3).abs() < 5 * (2 / 9 / 3000) ** 0.5).all()


@pytest.mark.parametrize("network, event, grid", [("conv", (3, 12, 20), (3, 5)), ("mlp", (9,), (4,))])
def test_grids_of_both_networks(network, event, grid):
    model = VQVAE(event, codes=7, width=3, network=network, hidden=(8,))
    x = torch.rand(2, *event)
    codes = model.encode_codes(x)
    assert codes.shape == (2, *grid) and codes.dtype == torch.long
    assert model.decode_codes(codes).mean.shape == (2, *event) and model.sample(3).shape == (3, *event)
    model.loss(x).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("width", [2, 64])
def test_entries_start_about_as_long_as_one_whatever_their_width(width):
    torch.manual_seed(0)
    book = VQVAE(2, codes=500, width=width, network="mlp", hidden=(3,)).codebook
    assert book.square().sum(1).mean().item() == pytest.approx(1, abs=0.2)


def test_hidden_layers_of_the_decoder_mirror_those_of_the_encoder():
    model = VQVAE(9, codes=7, width=3, network="mlp", hidden=(8, 5))
    layers = [
        [m.out_features for m in part.modules() if isinstance(m, nn.Linear)] for part in (model.encoder, model.decoder)
    ]
    assert layers == [[8, 5, 12], [5, 8, 9]]


def test_gray_levels_have_a_bound_in_nats():
    model = VQVAE((1, 8, 8), codes=8, width=4, halvings=1, likelihood="categorical", levels=17)
    x = model.sample(5)
    log_prob = model.decode_codes(model.encode_codes(x)).log_prob(x)
    assert model.grid == (4, 4)
    torch.testing.assert_close(model.elbo(x), log_prob - 16 * math.log(8))


def test_wrong_codes_are_refused():
    model = plane()
    for wrong in (torch.zeros(3, 2), torch.zeros(3, 5).long(), torch.full((3, 2), 8)):
        with pytest.raises(ValueError, match="integer codes"):
            model.decode_codes(wrong)
    with pytest.raises(ValueError, match="divisible by 4"):
        VQVAE((1, 6, 6))


def test_revived_codes_go_to_different_features():
    torch.manual_seed(0)
    model = VQVAE(2, codes=16, width=2, network="mlp", positions=1, hidden=(8,))
    with torch.no_grad():
        model.codebook += 50
    x = torch.randn(20, 2)
    assert model.revive(x) >= 15 and len(model.codebook.unique(dim=0)) == 16
    assert (model.usage(x) == 0).sum() <= 1  # the one that answered to all before


def test_building_leaves_statistics_and_modes_alone():
    norm = nn.BatchNorm1d(4)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), norm, nn.Dropout().eval(), nn.Unflatten(1, (2, 2)))
    VQVAE(
        3,
        codes=4,
        width=2,
        encoder=encoder,
        decoder=nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Unflatten(1, (1, 3))),
    )
    assert norm.num_batches_tracked == 0 and (norm.running_var == 1).all()
    assert encoder.training and norm.training and not encoder[3].training


def test_codes_of_any_integer_type_and_the_fixed_noise():
    model = VQVAE(2, codes=4, width=2, network="mlp", positions=3)
    k = torch.tensor([[3, 0, 1]])
    torch.testing.assert_close(model.decode_codes(k.to(torch.uint8)).mean, model.decode_codes(k).mean)
    assert model.decode_codes(k).stddev.unique().item() == pytest.approx(0.1)
    assert not list(model.likelihood.parameters())  # it could shrink without limit
    for wrong in (k > 0, k[:0], k.float(), k[:, :2], k + 1, k - 1):
        with pytest.raises(ValueError, match="integer codes"):
            model.decode_codes(wrong)
