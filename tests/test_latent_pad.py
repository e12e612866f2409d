"""The latent pad: what lies under it, the surplus of its codes, noise, boards and the model behind it."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import explorers, kept
from gdm_core.explorers import ch04_latent_pad as pad
from gdm_core.widgets import plane

hardly_trained = stand_ins.hardly_trained


@pytest.fixture(scope="module")
def padding():
    return explorers.latent_pad("digits")


@pytest.fixture(scope="module")
def behind():
    """The model behind the pad, its pictures and where they lie."""
    model = kept.trained(pad.picture_vae, seed=0, dataset="digits", steps=1500)
    x = pad.pictures("digits").x
    with torch.no_grad():
        q = model.encode(x)
    return model, x, pad.Map(model, q.mean, q.stddev)


@torch.no_grad()
def test_the_pad_decodes_what_lies_under_it_here_and_in_the_page(padding, behind):
    model, x, chart = behind
    stage = padding
    for z in ((0.0, 0.0), (-1.3, 0.7), (2.5, -2.5)):
        views = stage.frame({"z": z, "beside": pad.NEAREST}).views
        mean = model.decode(torch.tensor(z)).mean[0]
        np.testing.assert_allclose(views["picture"].image, 1 - mean, atol=1e-6)
        assert np.abs(stage.decoder(z).astype(int) - np.rint(255 * (1 - mean).numpy())).max() <= 1
        nearest = (chart.mean - torch.tensor(z)).norm(dim=1).argmin()
        np.testing.assert_allclose(views["nearest"].image, 1 - x[nearest, 0], atol=1e-6)
    assert "decoded in this page" in stage.to_html()


@torch.no_grad()
def test_noise_stays_until_it_is_asked_to_change(padding, behind):
    stage = padding
    look = lambda z, press: stage.frame({"z": z, "beside": pad.DRAW, "new noise": press}).views["draw"].image
    here, there = look((0.2, 0.1), 0), look((0.2, 0.1), 1)
    assert torch.equal(here, look((0.2, 0.1), 0)) and not torch.equal(here, there)
    std = behind[0].likelihood.log_std.exp().item()
    mean = 1 - behind[0].decode(torch.tensor([0.2, 0.1])).mean[0]
    kept = (here > 0) & (here < 1)  # not cut off by paper or ink: the density of a Gaussian between the two ends
    low, high = (torch.special.ndtr((end - mean[kept]) / std) for end in (0.0, 1.0))
    rank = (torch.special.ndtr((here - mean)[kept] / std) - low) / (high - low)  # uniform, if the noise is right
    assert rank.mean().item() == pytest.approx(0.5, abs=4 / (12 * kept.sum().item()) ** 0.5)
    assert rank.var().item() == pytest.approx(1 / 12, rel=0.4)


def test_all_codes_together_are_a_mixture_and_holes_are_said(padding, behind):
    chart = behind[2]
    mixture_of_all = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(len(chart.mean))),
        torch.distributions.Independent(torch.distributions.Normal(chart.mean, chart.std), 1),
    )
    z = 1.5 * torch.randn(200, 2)
    torch.testing.assert_close(chart.log_marginal(z), mixture_of_all.log_prob(z), rtol=1e-4, atol=1e-3)
    draws = mixture_of_all.sample((4000,))
    assert (chart.log_marginal(draws) < chart.thin).float().mean().item() == pytest.approx(0.01, abs=0.008)
    stage = padding
    warning = lambda z: stage.frame({"z": tuple(z)}).views["picture"].warning
    inside = torch.cartesian_prod(*[torch.linspace(-2, 2, 81)] * 2)
    inside = inside[inside.norm(dim=1) < 2.2]
    log_q = chart.log_marginal(inside)
    assert warning(inside[log_q.argmin()].tolist()).startswith("a hole") and log_q.min() < chart.thin
    assert warning(inside[log_q.argmax()].tolist()) == ""
    assert warning((3.9, 3.9)).startswith("far out")
    told = stage.frame({"z": tuple(inside[7].tolist())}).text
    assert numbers(told, "log q(z) =")[0] == pytest.approx(log_q[7].item(), abs=0.006)
    assert numbers(told, "log p(z) =")[0] == pytest.approx(
        torch.distributions.Normal(0, 1).log_prob(inside[7]).sum().item(), abs=0.006
    )


def test_pressing_a_picture_moves_the_pad_to_its_code(padding, behind):
    stage, (_, x, chart) = padding, behind
    for press in (1, 8):
        moved = stage.controls["real"].press({**stage.values(), "real": press})["z"]
        np.testing.assert_allclose(moved, chart.mean[press], atol=1e-6)
    frame = stage.frame({"z": chart.mean[5].tolist(), "beside": pad.NEAREST})
    assert ", 0.00 away" in frame.text
    np.testing.assert_allclose(frame.views["nearest"].image, 1 - x[5, 0], atol=1e-6)


def test_the_board_and_the_surplus_lie_where_they_are_drawn(behind):
    model, _, chart = behind
    places = plane(pad.LIMIT, pad.BOARD)
    for row, column in ((0, 0), (2, 13), (14, 7)):
        there = chart.board[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
        expected = 1 - model.decode(torch.from_numpy(places[row, column]).float()).mean[0].detach()
        np.testing.assert_allclose(there, expected, atol=1e-5)
    z = torch.from_numpy(plane(pad.LIMIT, 80)[10, 33]).float()
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum()
    assert chart.surplus[10, 33] == pytest.approx((chart.log_marginal(z) - prior).clamp(-4, 4).item(), abs=1e-4)


def test_the_colors_of_the_surplus_are_what_the_label_says(padding, behind):
    """More codes than the prior expects in purple, holes in brown, as the page paints them."""
    z = torch.from_numpy(plane(pad.LIMIT, 80)).float()
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum(-1)
    more = behind[2].log_marginal(z) - prior
    view = padding.frame({"ground": pad.GROUNDS[2]}).views["codes"]
    said, inside = view.encode("codes"), z.norm(dim=-1) < 2.4
    red, _, blue = said["palette"][said["image"]].astype(int).transpose(2, 0, 1)
    bluer = torch.from_numpy(blue > red)
    assert view.label.startswith("purple: more") and "brown: fewer" in view.label
    assert bluer[(more > 0.5) & inside].float().mean() > 0.99 and bluer[(more < -0.5) & inside].float().mean() < 0.01
    assert said["scale"]["label"] == "nats, log q(z) − log p(z)"


def test_the_prior_lies_between_the_two_circles(padding):
    (rings,) = (m for m in padding.frame().views["codes"].overlay if "circles" in getattr(m, "label", ""))
    inner, outer = np.linalg.norm(rings.xy, axis=2).mean(1)
    np.testing.assert_allclose(rings.xy[:, 0], rings.xy[:, -1], atol=1e-6)  # they close
    draws = torch.randn(20000, 2, generator=torch.Generator().manual_seed(0)).norm(dim=1)
    assert ((draws > inner) & (draws < outer)).float().mean().item() == pytest.approx(0.9, abs=0.0085)  # 4 errors


def test_the_pad_answers_while_the_model_trains_anew():
    stage = explorers.latent_pad("digits")
    try:
        kept = stage.frame().views["picture"].image
        assert stage.frame().text.endswith("trained 1,500 steps")
        stage.trainer.step(3).wait()
        young = stage.frame()
        assert young.text.endswith("step 3 of 1,500")
        assert not np.array_equal(young.views["picture"].image, kept)
        stage.trainer.step(60).wait()
        assert stage.frame().text.endswith("step 63 of 1,500")
        assert not np.array_equal(stage.frame().views["picture"].image, young.views["picture"].image)
        assert stage.frame({"checkpoint": 0}).text.endswith("step 0 of 1,500")
        stage.trainer.reset().wait()
        assert np.array_equal(stage.frame().views["picture"].image, kept)
    finally:
        stage.trainer.stop()
    with pytest.raises(ValueError, match="try 'strokes'"):
        explorers.latent_pad("stroke")
