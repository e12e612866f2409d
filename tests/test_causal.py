"""Pieces of causal networks: blocks, reach, symbols, dropout, and the measure of who hears whom."""

import pytest
import torch
from oracles import off_init
from torch import nn

from gdm_core import causal
from gdm_core.causal.attention import Block
from gdm_core.causal.inputs import Inputs
from gdm_core.causal.pixels import Head


def test_a_block_whose_layers_say_nothing_changes_nothing():
    block, h = off_init(Block(8, 2)), torch.randn(3, 5, 8)
    assert not torch.equal(block(h), h)
    for last in (block.join, block.dense[-1]):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    assert torch.equal(block(h), h)


@pytest.mark.parametrize("kind", [causal.Attention, causal.PixelCNN, causal.Convolution])
def test_each_layer_has_weights_of_its_own(kind):
    event = (7,) if kind is causal.Convolution else (1, 3, 3)
    one, two, three = (sum(p.numel() for p in kind(event, 2, width=8, layers=n).parameters()) for n in (1, 2, 3))
    assert three - two == two - one > 8 * 8


@pytest.mark.parametrize("layers", [1, 3, 4])
def test_a_convolution_doubles_its_reach_with_each_layer(layers):
    network = off_init(causal.Convolution((20,), 1, width=6, layers=layers)).double()
    heard = causal.sees(network, (20,), 18).nonzero().flatten().tolist()
    assert heard == list(range(18 - 2**layers, 18))


def test_every_name_keeps_its_place():
    """k / (K - 1) times K - 1 may lie a little below k."""
    for K in range(2, 80):
        k = torch.arange(K)
        assert torch.equal(Inputs(1, symbols=K)((k / (K - 1))[:, None])[:, :-1].argmax(1), k)


@pytest.mark.parametrize("symbols", [0, 4])
def test_a_color_hears_the_colors_before_it(symbols):
    head, h = off_init(Head(5, 3, 2, Inputs(3, symbols))).double(), torch.randn(1, 5).double()
    x = torch.tensor([[0.0, 1 / 3, 1.0]]).double()
    for color in range(3):
        other = x.clone()
        other[:, color] = 2 / 3
        changed = (head(h, other) != head(h, x)).any(-1)[0].tolist()
        assert changed == [False] * (color + 1) + [True] * (2 - color)


def test_each_color_has_a_bias_of_its_own():
    head = Head(5, 3, 2, Inputs(3))
    nn.init.normal_(head.bias)
    nn.init.zeros_(head.out)  # what else tells the colors apart
    assert len(head(torch.randn(1, 5), torch.rand(1, 3)).unique()) == 3 * 2


def test_each_layer_is_told_of_the_label_by_numbers_of_its_own():
    network = off_init(causal.PixelCNN((1, 3, 3), 2, width=4, layers=3, labels=2))
    network(torch.rand(2, 1, 3, 3), torch.tensor([1, 1])).sum().backward()
    assert (network.of_label.weight.grad != 0).all(1).tolist() == [False, True]


def test_a_wide_kernel_keeps_all_the_rows_that_it_reaches():
    """Outside of any `no_grad` too."""
    torch.manual_seed(0)
    network = off_init(causal.PixelCNN((1, 6, 6), 2, kernel=5, layers=2, width=4)).double()
    x = torch.rand(3, 1, 6, 6).double()
    for kept, anew in zip(network.walk(x), causal.naive_walk(network, x), strict=True):
        torch.testing.assert_close(kept, anew)


def test_dropout_is_for_training():
    network, x = off_init(causal.PixelCNN((1, 4, 4), 2, width=8, layers=2, dropout=0.5)), torch.rand(2, 1, 4, 4)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_what_pulls_both_ways_is_heard():
    """Slopes of one and minus one, as often; and a label that says how steep."""

    class Fold(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x, y=None):
            return (self.scale * (1 if y is None else y[:, None]) * (x - 0.5).abs())[:, None]

    torch.manual_seed(0)
    assert causal.sees(Fold(), (2,), 1).tolist() == [0.0, 1.0]
    assert causal.sees(Fold(), (2,), 0, y=3).tolist() == [3.0, 0.0]
