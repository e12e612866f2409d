"""U-Net and DiT: identities at the start, what reaches what, symmetries, torch's own attention."""

import math

import numpy as np
import pytest
import torch
from oracles import off_init
from torch import nn

from gdm_core import dit, unet
from gdm_core.dit import DiT
from gdm_core.networks import TimeAndLabel, TimedMLP
from gdm_core.unet import UNet

MADE = {
    "unet": lambda shape=(2, 8, 4), labels=3: UNet(shape, widths=(8, 12), labels=labels),
    "dit": lambda shape=(2, 8, 4), labels=3: DiT(shape, width=16, depth=2, heads=2, labels=labels),
}
BOTH = pytest.mark.parametrize("name", MADE)


def net(name, moved=True, **options):
    torch.manual_seed(0)
    made = MADE[name](**options).double()
    return off_init(made) if moved else made


def inputs(n=4, shape=(2, 8, 4), seed=1):
    numbers = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, dtype=torch.float64, generator=numbers)
    return draw(n, *shape) - 0.5, draw(n), torch.arange(n) % 4


def blocks(network):
    kinds = (unet.Block, dit.Block)
    return {key: m for key, m in network.named_modules() if isinstance(m, kinds)}


@BOTH
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 12), (2, 28, 28)])
def test_any_picture_that_divides(name, shape):
    x = torch.rand(2, *shape, dtype=torch.float64)
    assert net(name, shape=shape, labels=0)(x, torch.rand(2).double()).shape == x.shape


@BOTH
def test_before_training_it_answers_zero_and_blocks_pass_on_what_they_get(name):
    network = net(name, moved=False)
    assert network(*inputs()).abs().max() == 0
    c = torch.randn(3, network.told.of_label.embedding_dim, dtype=torch.float64)
    for key, block in blocks(network).items():
        if name == "dit":
            h = torch.randn(3, 5, 16, dtype=torch.float64)
            passed = h
        else:
            h = torch.randn(3, block.conv.in_channels, 4, 4, dtype=torch.float64)
            passed = block.path(h)
            assert block.conv.in_channels != block.conv.out_channels or torch.equal(passed, h), key
        assert torch.equal(block(h, c), passed), key
        assert not torch.equal(off_init(block)(h, c), passed), key


@BOTH
def test_the_gradient_reaches_every_parameter(name):
    network = net(name)
    x, t, y = inputs()
    network(x, t, y).square().sum().backward()
    for key, p in network.named_parameters():
        assert p.grad is not None and p.grad.count_nonzero() > 0, key
    assert (network.told.of_label.weight.grad.abs().sum(1) > 0).all()  # each class, and none


@BOTH
def test_time_and_class_are_told_to_each_block(name):
    network = net(name)
    x, t, y = inputs()
    heard = {}
    for key, block in blocks(network).items():
        block.register_forward_hook(lambda _, into, out, key=key: heard.update({key: (into[1], out, into[0])}))
    network(x, t, y)
    assert len(heard) == len(blocks(network)) > 1
    for key, (c, _, _) in heard.items():
        assert c.shape == (4, network.told.of_label.embedding_dim), key
        assert torch.equal(c, network.told(t, y)), key
    for key, block in blocks(network).items():
        c, _, h = (a.detach() for a in heard[key])
        assert (block(h, c + 0.3) - block(h, c)).abs().amax((1, 2)).min() > 1e-4, key


@BOTH
def test_every_example_has_its_own_time_and_label(name):
    network = net(name)
    x, t, y = inputs()
    together = network(x, t, y)
    for i in range(len(x)):
        torch.testing.assert_close(network(x[i : i + 1], t[i : i + 1], y[i : i + 1])[0], together[i])
    assert (network(x, t.flip(0), y) - together).abs().amax((1, 2, 3)).min() > 1e-6
    assert (network(x, t, (y + 1) % 4) - together).abs().amax((1, 2, 3)).min() > 1e-6


@BOTH
def test_no_label_has_a_number_of_its_own(name):
    network = net(name)
    x, t, _ = inputs()
    none = torch.full((4,), 3)
    assert torch.equal(network(x, t), network(x, t, none))
    for wrong in (none + 1, none - 4, none[:2], none.double()):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            network(x, t, wrong)
    with pytest.raises(ValueError, match="no labels"):
        net(name, labels=0)(x, t, none)


def test_times_are_told_apart_near_both_ends():
    told = off_init(TimeAndLabel(16).double())
    t = torch.tensor([0.0, 0.01, 0.5, 0.99, 1.0]).double()
    off = torch.cdist(told(t), told(t)) + torch.eye(5)
    assert off.min() > 1e-3


def test_a_unet_moves_its_answer_with_the_picture():
    """By the side of its smallest scale, as long as nothing touches the border."""
    torch.manual_seed(0)
    network = off_init(UNet((1, 80, 80), widths=(4, 6)).double())
    x = torch.zeros(1, 1, 80, 80, dtype=torch.float64)
    x[..., 38:42, 38:42] = torch.randn(4, 4, dtype=torch.float64)
    t, moved = torch.tensor([0.4]).double(), lambda a: a.roll((2, -2), (2, 3))
    inside = (..., slice(36, 44), slice(36, 44))
    torch.testing.assert_close(network(moved(x), t)[inside], moved(network(x, t))[inside])
    odd = lambda a: a.roll((1, 0), (2, 3))
    assert (network(odd(x), t)[inside] - odd(network(x, t))[inside]).abs().max() > 1e-4


def test_a_unet_with_two_scales_hears_further_than_its_convolutions():
    torch.manual_seed(0)
    far = {}
    for widths in ((4,), (4, 6)):
        network = off_init(UNet((1, 32, 32), widths=widths).double())
        for m in network.modules():  # norms hear the whole picture
            if isinstance(m, nn.GroupNorm):
                m.forward = lambda h: h
        x = torch.zeros(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
        network(x, torch.tensor([0.4]).double())[0, 0, 16, 16].backward()
        heard = x.grad[0, 0].nonzero()
        far[len(widths)] = (heard - 16).abs().max().item()
    assert far == {1: 6, 2: 15}  # six convolutions of 3 x 3; below, one step is two pixels


def test_without_places_a_dit_sees_a_set_of_patches():
    network = net("dit", shape=(1, 4, 4))
    x, t, y = inputs(shape=(1, 4, 4))
    order = torch.randperm(4, generator=torch.Generator().manual_seed(0))
    shuffled = lambda a: dit.picture(dit.patches(a, 2)[:, order], a.shape, 2)
    assert (network(shuffled(x), t, y) - shuffled(network(x, t, y))).abs().max() > 1e-3
    network.places.zero_()
    torch.testing.assert_close(network(shuffled(x), t, y), shuffled(network(x, t, y)))


def test_patches_by_hand_and_back():
    x = torch.rand(2, 3, 4, 6)
    cut = dit.patches(x, 2)
    assert cut.shape == (2, 6, 12)
    assert torch.equal(cut[1, 4], x[1, :, 2:4, 2:4].flatten())
    assert torch.equal(dit.picture(cut, x.shape, 2), x)


def test_waves_tell_places_by_their_distance_alone():
    p = dit.places(3, 4, 16).double()
    inner = (p @ p.T).reshape(3, 4, 3, 4)
    torch.testing.assert_close(inner[0, 1, 2, 3], inner[0, 0, 2, 2])
    torch.testing.assert_close(inner[0, 0, 1, 0], inner[1, 3, 2, 3])
    assert torch.cdist(p, p).add(torch.eye(12)).min() > 0.5


def test_attention_is_torchs():
    torch.manual_seed(0)
    block, h = dit.Block(16, 4).double(), torch.randn(3, 5, 16, dtype=torch.float64)
    peer = nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
    peer.in_proj_weight.data, peer.in_proj_bias.data = block.qkv.weight.data, block.qkv.bias.data
    peer.out_proj.weight.data, peer.out_proj.bias.data = block.out.weight.data, block.out.bias.data
    torch.testing.assert_close(block.attention(h), peer(h, h, h)[0])


@BOTH
def test_pictures_that_do_not_divide_are_refused(name):
    for shape in ((1, 7, 8), (1, 8, 9), (8,)):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            MADE[name](shape)
    for options in ({"width": 18}, {"width": 16, "heads": 3}, {"patch": 0}, {"depth": 0}):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            DiT((1, 8, 8), **options)
    with pytest.raises(ValueError, match="needed .* got .* try"):
        UNet((1, 8, 8), widths=())


def test_a_block_of_a_unet_by_hand():
    torch.manual_seed(0)
    block = off_init(unet.Block(4, 6, 5).double())
    h, c = torch.randn(2, 4, 3, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    silu = lambda a: a * a.sigmoid()
    told = silu(c) @ block.modulation.weight.T + block.modulation.bias
    inner = block.norm_told(block.conv(silu(block.norm(h))))
    inner = torch.stack([(1 + told[i, :6, None, None]) * inner[i] + told[i, 6:, None, None] for i in range(2)])
    torch.testing.assert_close(block(h, c), block.path(h) + block.conv_told(silu(inner)))


def test_the_way_up_sees_what_the_way_down_has_seen():
    network, seen = net("unet"), {}
    network.down[0].register_forward_hook(lambda _, into, out: seen.update(down=out))
    network.up[0].register_forward_hook(lambda _, into, out: seen.update(up=into[0]))
    network(*inputs())
    assert torch.equal(seen["up"][:, : seen["down"].shape[1]], seen["down"])


def test_the_answer_of_a_dit_is_scaled_by_time():
    network = net("dit")
    x, t, y = inputs()
    for block in network.blocks:
        block.forward = lambda h, c: h
    assert (network(x, t, y) - network(x, t.flip(0), y)).abs().amax((1, 2, 3)).min() > 1e-4


def test_a_block_of_a_dit_by_hand():
    torch.manual_seed(0)
    block, h, c = off_init(dit.Block(16, 4).double()), torch.randn(3, 5, 16).double(), torch.randn(3, 16).double()
    told = (c * c.sigmoid()) @ block.modulation.weight.T + block.modulation.bias
    a, b, gate, a_alone, b_alone, gate_alone = (part[:, None] for part in told.split(16, 1))
    level = lambda h: (h - h.mean(2, keepdim=True)) / (h.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    wanted = h + gate * block.attention(level(h) * (1 + a) + b)
    wanted = wanted + gate_alone * block.alone(level(wanted) * (1 + a_alone) + b_alone)
    torch.testing.assert_close(block(h, c), wanted)


def test_the_answer_of_a_dit_by_hand():
    network, (x, t, y), seen = net("dit"), inputs(), {}
    network.blocks[-1].register_forward_hook(lambda _, into, out: seen.update(h=out, c=into[1]))
    answer = network(x, t, y)
    h, c = seen["h"], seen["c"]
    told = (c * c.sigmoid()) @ network.modulation.weight.T + network.modulation.bias
    level = (h - h.mean(2, keepdim=True)) / (h.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    moved = level * (1 + told[:, None, :16]) + told[:, None, 16:]
    wanted = moved @ network.last.weight.T + network.last.bias
    torch.testing.assert_close(dit.patches(answer, 2), wanted)


def test_waves_of_time_and_of_places_by_numpy():
    told = TimeAndLabel(8).double()
    t, seen = torch.tensor([0.1, 0.7]).double(), []
    told.of_time.register_forward_hook(lambda _, into, out: seen.append(into[0].numpy()))
    told(t)
    angles = np.pi / 2 * np.outer(t.numpy(), [1, 2, 4, 8, 16, 32])
    np.testing.assert_allclose(seen[0], np.concatenate([np.cos(angles), np.sin(angles)], 1), atol=1e-12)
    rates = 100.0 ** (-np.arange(4) / 4)
    at = np.concatenate([f(k * rates) for k in (2, 1) for f in (np.cos, np.sin)])  # row 2, column 1
    np.testing.assert_allclose(dit.places(3, 2, 16)[5], at, atol=1e-6)


def test_the_perceptron_that_is_told_time_by_hand():
    torch.manual_seed(0)
    network = off_init(TimedMLP((2, 1), (8, 8, 6), classes=3).double())
    x, t, y = torch.randn(5, 2, 1).double(), torch.rand(5).double(), torch.tensor([0, 1, 2, 1, 0])
    silu, linear = lambda a: a * a.sigmoid(), lambda layer, a: a @ layer.weight.T + layer.bias
    waves = [f(math.pi / 2 * k * t) for k in (1, 2, 4, 8) for f in (torch.cos, torch.sin)]
    said = torch.cat([torch.stack([t, *waves], 1), torch.eye(3).double()[y]], 1)
    h = linear(network.enter, x.flatten(1))
    for layer, told in zip(network.layers, network.told):
        scale, shift = linear(told, said).chunk(2, 1)
        moved = linear(layer, silu(h * (1 + scale) + shift))
        h = h + moved if h.shape == moved.shape else moved
    torch.testing.assert_close(network(x, t, y), linear(network.leave, silu(h)).reshape(5, 2, 1))


def test_a_stair_down_sees_the_mean_of_four_pixels():
    network, seen = net("unet"), {}
    network.down[0].register_forward_hook(lambda _, into, out: seen.update(high=out))
    network.down[1].register_forward_hook(lambda _, into, out: seen.update(low=into[0]))
    network(*inputs())
    b, c, h, w = seen["high"].shape
    torch.testing.assert_close(seen["low"], seen["high"].reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5)))
