"""Pieces of causal networks: blocks, reach, symbols, dropout, and the measure of who hears whom."""

import itertools
import math

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


def test_what_a_block_adds_does_not_depend_on_the_size_of_what_comes_in():
    """Both parts read what is normed: of 3 h + 1 as of h."""
    torch.manual_seed(0)
    for silenced in ("join", "dense"):
        block, h = off_init(Block(8, 2)).double(), torch.randn(3, 5, 8).double()
        last = block.join if silenced == "join" else block.dense[-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        added = block(h) - h
        assert added.square().mean() > 1e-4
        torch.testing.assert_close(block(3 * h + 1) - (3 * h + 1), added, rtol=1e-3, atol=1e-4)


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


def test_attention_weights_are_those_of_a_softmax_by_hand():
    torch.manual_seed(0)
    block, h = off_init(Block(6, 2)).double(), torch.randn(3, 5, 6).double()
    q, k, v = block.heads_of(h)  # (3, 2, 5, 3) each
    told = block.weights(h).detach()
    for b, head, i in itertools.product(range(3), range(2), range(5)):
        raw = [math.exp((q[b, head, i] @ k[b, head, j]).item() / math.sqrt(3)) for j in range(i + 1)]
        by_hand = torch.tensor([r / sum(raw) for r in raw] + [0.0] * (4 - i)).double()
        torch.testing.assert_close(told[b, head, i], by_hand)
    torch.testing.assert_close(block.after(h, told @ v), block(h))


@pytest.mark.parametrize("element", range(8))
def test_each_element_has_the_weight_of_the_token_that_holds_it(element):
    """One layer with labels: the answer put together anew from weights and from tokens made one by one."""
    torch.manual_seed(0)
    network = off_init(causal.Attention((2, 2, 2), 3, width=8, heads=2, layers=1, labels=2), 0.5).double()
    x, y = torch.rand(4, 2, 2, 2).double(), torch.tensor([0, 1, 1, 0])
    of_x, of_first = network.weights(x, element, y)
    assert of_x.shape == (1, 4, 2, 2, 2, 2) and of_first.shape == (1, 4, 2)
    assert not of_x.requires_grad
    torch.testing.assert_close(of_x.flatten(3).sum(-1) + of_first, torch.ones(1, 4, 2).double())
    order, block = [0, 4, 1, 5, 2, 6, 3, 7], network.blocks[0]
    i = order.index(element)
    assert (of_x.flatten(3)[..., order[:i]] > 0).all() and (of_x.flatten(3)[..., order[i:]] == 0).all()
    tokens = [network.enter.weight.new_zeros(4, 2)]
    tokens += [network.inputs(x.flatten(1)[:, e, None]) for e in order[:i]]
    h = torch.stack([network.enter(t) + network.place[j] + network.of_label(y) for j, t in enumerate(tokens)], 1)
    v = block.heads_of(h)[2]  # (4, 2, i + 1, 4)
    attended = sum(of_x[0].flatten(2)[..., e, None] * v[:, :, j + 1] for j, e in enumerate(order[:i]))
    attended = attended + of_first[0, :, :, None] * v[:, :, 0]
    said = network.out(block.after(h[:, -1:], attended[:, :, None]))[:, 0]
    torch.testing.assert_close(said, network(x, y).flatten(2)[:, :, element])


def test_layers_are_looked_into_in_their_order():
    torch.manual_seed(0)
    network, x = (
        off_init(causal.Attention((6,), 1, width=4, heads=1, layers=3), 0.5).double(),
        torch.rand(2, 6).double(),
    )
    before, _ = network.weights(x, 5)
    with torch.no_grad():
        network.blocks[1].qkv.weight.mul_(-2)
    same = (network.weights(x, 5)[0] == before).flatten(1).all(1)
    assert same.tolist() == [True, False, False]


def test_the_places_of_a_picture_are_at_first_sums_of_row_column_and_color():
    """So that a step to the next row is one vector everywhere; all of them differ."""
    torch.manual_seed(0)
    network = causal.Attention((2, 3, 4), 1, width=8, heads=2)
    place = network.place.detach()[network.back].unflatten(0, (2, 3, 4))  # by color, row, column
    for dim in range(3):
        steps = place.diff(dim=dim)
        for other in {0, 1, 2} - {dim}:
            torch.testing.assert_close(
                steps.diff(dim=other), torch.zeros_like(steps.diff(dim=other)), atol=1e-5, rtol=0
            )
        assert steps.square().mean() > 0.5
    assert torch.pdist(network.place.detach()).min() > 0.5
