"""A stage without a kernel: a decoder that the page runs, and pages in one piece."""

import numpy as np
import pytest
import torch
from kernel_page import levels, staged
from torch import nn

from gdm_core import widgets as w
from gdm_core.widgets import still
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


@pytest.mark.parametrize("part", [nn.BatchNorm1d(16), nn.LeakyReLU(0.3), nn.Conv1d(1, 1, 1)])
def test_decoder_refuses_what_the_page_cannot_run(part):
    with pytest.raises(ValueError, match=type(part).__name__):
        w.BrowserDecoder.of(nn.Sequential(nn.Linear(2, 16), part, nn.Linear(16, 6)), ["z"], (2, 3))


def test_decoder_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="6 outputs|16 outputs"):
        w.BrowserDecoder.of(nn.Linear(2, 6), ["z"], (4, 4))
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


@pytest.mark.parametrize(
    "sizes, lengths",
    [
        ([1], [1]),
        ([1, 1, 1], [3]),
        ([1] * 4, [2, 2]),
        ([3, 1, 1], [1, 2]),
        ([1.2, 0.7, 0.7, 2.6], [3, 1]),
        ([1, 9], [1, 1]),
    ],
)
def test_static_rows_squeeze_no_view(sizes, lengths):
    assert [len(row) for row in still.rows([{"size": s} for s in sizes])] == lengths
