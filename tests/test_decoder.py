"""A stage without a kernel: a decoder that the page runs, and pages in one piece."""

import numpy as np
import pytest
import torch
from kernel_page import levels, staged
from torch import nn

from gdm_core import widgets as w
from gdm_core.widgets.decoder import ACTIVATIONS, MODULES
from gdm_core.widgets.stage import Stage


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Sequential(nn.Linear(16, 9), nn.Tanh()), nn.Linear(9, 6))


def test_decoder_computes_what_torch_computes():
    net = mlp()
    decoder = w.BrowserDecoder.of(net, ["z", "digit"], (2, 3), final="sigmoid")
    x = torch.randn(5)
    wanted = torch.sigmoid(net(x)).reshape(2, 3) * 255
    np.testing.assert_allclose(decoder(x.numpy()), wanted.detach().numpy(), atol=0.501)
    assert [a for _, _, a in decoder.layers] == ["silu", "tanh", "sigmoid"]
    assert len(decoder.weights()) == 2 * sum(p.numel() for p in net.parameters())


KINDS = [nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.ELU, nn.GELU]


@pytest.mark.parametrize("kind", KINDS)
def test_each_activation_is_torchs(kind):
    """Between two layers that take the range to [0, 1], in steps much finer than a gray level's."""
    v = torch.linspace(-6, 6, 97)
    net = nn.Sequential(nn.Linear(1, 97, bias=False), kind(), nn.Linear(97, 97))
    with torch.no_grad():
        net[0].weight.copy_(v[:, None])
        net[2].weight.copy_(torch.eye(97) / 8), net[2].bias.fill_(0.2)
    decoder = w.BrowserDecoder.of(net, ["z"], (1, 97))
    wanted = 255 * (kind()(v) / 8 + 0.2).clamp(0, 1)
    np.testing.assert_allclose(decoder([1.0])[0], wanted, atol=0.501)
    np.testing.assert_allclose(ACTIVATIONS[decoder.layers[0][2]](v.numpy()), kind()(v), atol=1e-6)
    assert set(ACTIVATIONS) == {k for k, _ in MODULES.values()} | {"identity"} and set(MODULES) == set(KINDS)


@pytest.mark.parametrize("half, kind", [(True, "<f2"), (False, "<f4")])
def test_weights_are_written_row_by_row_each_with_its_biases_after_it(half, kind):
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sigmoid(), nn.Linear(3, 4, bias=False))
    decoder = w.BrowserDecoder.of(net, ["z"], (2, 2), half=half)
    assert [a for _, _, a in decoder.layers] == ["relu", "sigmoid", "identity"]  # two in a row: the second on a layer
    written = np.frombuffer(decoder.weights(), kind)
    parts = [net[0].weight, net[0].bias, torch.eye(3), torch.zeros(3), net[3].weight, torch.zeros(4)]
    np.testing.assert_allclose(written, torch.cat([p.detach().flatten() for p in parts]), rtol=1e-3, atol=1e-4)
    x = torch.tensor([0.3, -0.8])
    np.testing.assert_allclose(decoder(x).ravel(), 255 * net(x).detach().clamp(0, 1), atol=0.501)


@pytest.mark.parametrize("part", [nn.BatchNorm1d(16), nn.LeakyReLU(0.3), nn.Conv1d(1, 1, 1)])
def test_decoder_refuses_what_the_page_cannot_run(part):
    with pytest.raises(ValueError, match=type(part).__name__):
        w.BrowserDecoder.of(nn.Sequential(nn.Linear(2, 16), part, nn.Linear(16, 6)), ["z"], (2, 3))


def test_decoder_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="6 outputs|16 outputs"):
        w.BrowserDecoder.of(nn.Linear(2, 6), ["z"], (4, 4))
    with pytest.raises(ValueError, match="layers that fit, got 3 outputs into 2 inputs"):
        w.BrowserDecoder([(np.ones((3, 2)), np.ones(3), "relu"), (np.ones((4, 2)), np.ones(4), "relu")], ["z"], (2, 2))
    decoder = w.BrowserDecoder.of(nn.Linear(3, 4), ["z"], (2, 2))
    stage = Stage(lambda c: np.zeros((2, 2)), [w.Pad("z")], decoder=decoder)
    with pytest.raises(ValueError, match="3 inputs of the decoder, got 2 from z"):
        stage.to_html()


def test_html_is_one_piece_and_small_enough():
    stage = staged(sampled={"level": 5})
    page = stage.to_html()
    assert "http://" not in page and "https://" not in page and page == stage.to_html()
    assert page.count("<script") == 2 and "<img alt=" in page
    assert len(stage.to_html(script=False)) < len(page) - 20_000
    with pytest.raises(ValueError, match="a page of at most 0.0 MB.*level: 5"):
        stage.to_html(limit=20_000)
    assert levels().to_html().startswith("<img")  # nothing sampled: a picture
    with pytest.raises(ValueError, match="decoder for the browser"):
        stage.to_html("browser")
    for wrong in (0, (3, 3)):
        with pytest.raises(ValueError, match="samples .*level"):
            staged(sampled={"level": wrong}).to_html()
    handles = Stage(lambda c: np.zeros((2, 2)), [w.Handles("h", [(0, 0)], on="picture")], sampled={"h": 3})
    with pytest.raises(ValueError, match="can be sampled"):
        handles.to_html()
