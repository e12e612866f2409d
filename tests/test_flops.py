"""Operations counted by hand."""

import torch
from torch.nn.functional import conv2d

from gdm_core.flops import Flops
from gdm_core.networks import mlp


def test_products_forward_and_backward_are_counted_by_hand():
    """Each layer a x b of a batch B costs 2 B a b, twice more backward; nobody asks for the gradient of the input."""
    net, x = mlp(5, (7,), 3), torch.ones(11, 5)
    with Flops() as count:
        loss = net(x).sum()
    assert count.total == 2 * 11 * (5 * 7 + 7 * 3)
    with Flops() as back:
        loss.backward()
    assert back.total == 2 * 11 * (5 * 7 + 2 * 7 * 3)


def test_convolutions_slopes_and_nothing_else_are_counted():
    with Flops() as count:
        conv2d(torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3), padding=1)
    assert count.total == 2 * 2 * 8 * 8 * 4 * 3 * 3 * 3
    x, W = torch.ones(6, 5, requires_grad=True), torch.ones(5, 4, requires_grad=True)
    with Flops() as count:
        (slope,) = torch.autograd.grad((x @ W).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    assert count.total == 2 * 6 * 5 * 4 * (1 + 1 + 2 + 2)
    with Flops() as count:
        torch.ones(9).cumsum(0).exp()
    assert count.total == 0
