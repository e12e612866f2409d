"""Networks: shapes, labels that arrive, pictures that are treated locally."""

import pytest
import torch
from torch import nn

from gdm_core.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, mlp

torch.set_num_threads(1)


def test_mlp_without_hidden_layers_is_affine():
    net = mlp(3, (), 2).double()
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(net(0.3 * a + 0.7 * b), 0.3 * net(a) + 0.7 * net(b))


def test_mlp_is_the_composition_it_names():
    net = mlp(3, (4, 5), 2, activation=nn.Tanh).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    (w1, b1), (w2, b2), (w3, b3) = [(m.weight, m.bias) for m in net if isinstance(m, nn.Linear)]
    h = torch.tanh(torch.tanh(x @ w1.T + b1) @ w2.T + b2)
    torch.testing.assert_close(net(x), h @ w3.T + b3)
    assert sum(isinstance(m, nn.Dropout) for m in mlp(3, (4, 5), 2, dropout=0.1)) == 2


@pytest.mark.parametrize("event", [(1, 28, 28), (3, 64, 64), (1, 8, 8), (2, 12, 20)])
@pytest.mark.parametrize("labels", [0, 10])
def test_convolutional_pair_shapes(event, labels):
    y = (torch.eye(10)[torch.tensor([3, 7])],) if labels else ()
    encoder = ConvEncoder(event, 6, width=4, hidden=8, labels=labels)
    decoder = ConvDecoder(5, event, channels=2, width=4, hidden=8, labels=labels)
    assert encoder(torch.rand(2, *event), *y).shape == (2, 6)
    assert decoder(torch.randn(2, 5), *y).shape == (2, 2, *event)


@pytest.mark.parametrize("build", [MLPEncoder, ConvEncoder])
def test_the_label_reaches_an_encoder(build):
    torch.manual_seed(0)
    net, x = build((1, 8, 8), 3, labels=4), torch.rand(1, 1, 8, 8).expand(4, -1, -1, -1)
    out = net(x, torch.eye(4))
    assert torch.pdist(out).min() > 1e-4


@pytest.mark.parametrize("build", [MLPDecoder, ConvDecoder])
def test_the_label_reaches_a_decoder(build):
    torch.manual_seed(0)
    net, z = build(3, (1, 8, 8), labels=4), torch.randn(1, 3).expand(4, -1)
    assert torch.pdist(net(z, torch.eye(4)).flatten(1)).min() > 1e-4


def test_convolutions_look_at_a_neighborhood():
    """One changed pixel moves the first feature map only around it: 4x4 windows with stride 2."""
    net, x = ConvEncoder((1, 28, 28), 2, width=4), torch.rand(1, 1, 28, 28)
    moved = x.clone()
    moved[..., 10, 10] += 1
    change = (net.net[0](moved) - net.net[0](x)).abs().sum((0, 1)).nonzero()
    assert (change >= 4).all() and (change <= 6).all() and len(change) == 4


def test_odd_pictures_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="even sides.*network='mlp'"):
        ConvEncoder((1, 15, 15), 2)
    with pytest.raises(ValueError, match="hidden"):
        mlp(2, (0,), 2)


def test_pictures_of_a_convolutional_decoder_have_both_signs():
    torch.manual_seed(0)
    made = ConvDecoder(3, (1, 8, 8))(torch.randn(64, 3))
    assert made.min() < 0 < made.max()
