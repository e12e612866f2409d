"""The family race: each family's samples and work by hand, its scores against samples and sums over a grid."""

import functools
import math
import re

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers
from torch.distributions import Independent, Normal

from gdm_core import metrics
from gdm_core.explorers import ch15_family_race as race
from gdm_core.explorers import racers
from gdm_core.flops import Flops
from gdm_core.widgets import Noise

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
TRUTH = racers.target()
NET = 2 * (2 * 64 + 64 * 64)  # operations of all layers but the last


def id_of(family):
    return family.replace(" ", "-")


@functools.cache
def model(family):
    """Fifteen steps: off its start, and no more."""
    torch.manual_seed(1)
    with torch.enable_grad():
        made, steps = racers.race_model(family, 15)
        for _ in steps:
            pass
    return made.eval().requires_grad_(False)


@functools.cache
def noise(n=60):
    torch.manual_seed(2)
    return torch.randn(n, 2), torch.rand(n, 2), torch.randn(racers.WALK, n, 2)


def run(family):
    with torch.no_grad():
        return list(racers.counted(racers.drawn(family, model(family), *noise())))


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def told(frame):
    return f"{frame['text']} · {frame['more']}"


def panels(frame):
    """Name, score, color and dots of each panel, the dots around its center."""
    marks = view(frame, "race")["marks"]
    words = [word for m in marks if m["mark"] == "text" for word in m["text"]]
    points = [m for m in marks if m["mark"] == "points"]
    return {
        name: (score, dots["color"], dots["xy"] - center)
        for name, score, dots, center in zip(words[::2], words[1::2], points, race.CENTERS)
    }


# What each family draws


def by_hand(family, net, e, u, more):
    t = lambda v: torch.full((len(e),), float(v))
    if family == "mixture":
        k = (net.weights.cumsum(0) < u[:, :1]).sum(1)
        roots = torch.linalg.cholesky(net.covariances)
        return torch.stack([net.means[i] + roots[i] @ row for i, row in zip(k, e)])
    if family == "VAE":
        return net.decoder.net(e) + net.likelihood.log_std.exp() * more[0]
    if family == "GAN":
        return net.generator.net(e)
    if family == "energy":
        x = 3.0 * e
        for step in more:
            x = x.detach().requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad((net.network(x)[:, 0] + x.square().sum(1) / 18).sum(), x)
            x = x.detach() - 0.03 * slope + math.sqrt(0.06) * step
        return x
    if family == "diffusion":  # Heun in the angle of w = x / r, r the length of (alpha, sigma)
        size, x = lambda s: math.hypot(s, 1 - s), e
        pull = lambda w, s: ((1 - s) * w - size(s) * net.denoise(size(s) * w, t(s))) / s
        for i in range(16, 1, -1):
            s, r = i / 16, (i - 1) / 16
            turn = math.atan2(r, 1 - r) - math.atan2(s, 1 - s)
            w = x / size(s)
            x = size(r) * (w + turn / 2 * (pull(w, s) + pull(w + turn * pull(w, s), r)))
        return net.denoise(x, t(1 / 16))
    return e - net.average(e, t(1), t(0))


@pytest.mark.parametrize("family", ["mixture", "VAE", "GAN", "energy", "diffusion", "flow map"], ids=id_of)
def test_samples_follow_from_the_noise_by_hand(family):
    e, u, more = noise()
    assert torch.allclose(run(family)[-1][1], by_hand(family, model(family), e, u, more), atol=2e-3)


def test_the_flow_and_the_chain_give_their_noise_back():
    """The flow by its inverse; the chain by its distribution functions, one coordinate after the other."""
    e, u, _ = noise()
    flow = run("flow")
    assert torch.allclose(model("flow").to_latent(flow[-1][1])[0], e, atol=1e-3) and len(flow) == 7
    (_, start), (_, first), (_, last) = run("autoregressive")
    assert torch.equal(first[:, 1], e[:, 1]) and torch.equal(first[:, 0], last[:, 0]) and torch.equal(start, e)
    told = model("autoregressive").likelihood(model("autoregressive").network(last), 1).base_dist
    assert torch.allclose(told.cdf(last), u, atol=1e-3)


# The clock

WORK = {
    "mixture": 8,
    "VAE": NET + 2 * 64 * 2,
    "GAN": NET + 2 * 64 * 2,
    "flow": 6 * 2 * (64 + 64 * 64 + 64 * 2),
    "autoregressive": 2 * (NET + 2 * 64 * 48),
    "energy": 200 * 2 * (NET + 2 * 64),
    "flow map": NET + 2 * 6 * 64 + 2 * 64 * 2,
}


@pytest.mark.parametrize("family", WORK, ids=id_of)
def test_work_is_counted_from_the_layers(family):
    works = [work for work, _ in run(family)]
    assert works[0] == 0 and works == sorted(works)
    assert works[-1] == pytest.approx(WORK[family], rel=0.02)


def test_sixteen_steps_of_heun_are_31_calls():
    (first, *_), (_, last) = np.diff([work for work, _ in run("diffusion")])[[0, -1]], (0, run("diffusion")[-1][0])
    assert last == pytest.approx(15.5 * first) and first > 2 * NET


def test_a_tick_shows_the_last_state_that_is_paid_for():
    for family in racers.MAKE:
        states, works = [x for _, x in run(family)], np.array([work for work, _ in run(family)])
        with torch.no_grad():
            shown, which, whole = race.filmed(family, model(family), *noise())
        assert whole == works[-1] < race.clock(race.TICKS - 1)
        for tick in range(race.TICKS):
            paid = np.flatnonzero(works <= 100 * 10 ** (tick / 10))[-1]
            assert torch.equal(shown[which[tick]], states[paid]), (family, tick)


def test_the_clock_in_words():
    assert race._work(0) == "after 100 operations a point"
    assert race._work(24) == "after 25,000 operations a point"  # 10^4.4 = 25,119


def test_one_budget_for_all():
    for family, (_, steps, _) in racers.MAKE.items():
        if family != "mixture":
            training = iter(racers.race_model(family, 2)[1])
            next(training)
            with Flops() as count:
                next(training)
            assert steps * count.total == pytest.approx(8e9, rel=0.04), family


# The scores


def test_commas_are_counted_as_numpy_counts_them():
    torch.manual_seed(0)
    lone = torch.cat([TRUTH.means[:1].repeat(700, 1), 2 * TRUTH.means[12:13].repeat(95, 1), TRUTH.means[20:25]])
    x = torch.stack([TRUTH.sample(800), 3 * torch.randn(800, 2), lone])  # 95 far from the fourth comma, few on two
    found, near = racers.modes(x, TRUTH)
    for i, cloud in enumerate(x.numpy()):
        away = np.linalg.norm(cloud[:, None] - TRUTH.means.numpy(), axis=2) / TRUTH.std.numpy()
        close = away.min(1) <= 3
        commas = np.bincount(away.argmin(1)[close] // 4, minlength=8)
        assert found[i] == (commas >= 10).sum() and near[i] == pytest.approx(close.mean())
    assert found.tolist()[0] == 8 and found.tolist()[2] == 1 and near[2] == 705 / 800


@pytest.mark.parametrize("family", ["mixture", "flow", "autoregressive", "energy"])
def test_densities_add_up_to_one(family):
    side = torch.linspace(-11, 11, 310)
    with torch.no_grad():
        log_p = racers.log_density(family, model(family), torch.cartesian_prod(side, side), None)
    assert log_p.double().exp().sum().item() * (22 / 309) ** 2 == pytest.approx(1, abs=0.02)


def test_the_bound_of_the_vae_is_below_its_density_and_near(monkeypatch):
    """Of four points, by a sum over z, whatever the encoder answers."""
    torch.manual_seed(0)
    vae, x = model("VAE"), TRUTH.sample(4)
    encode = vae.encode
    monkeypatch.setattr(vae, "encode", lambda x: Independent(Normal(encode(x).mean, 1.5 * encode(x).stddev), 1))
    side = torch.linspace(-5, 5, 300)
    z = torch.cartesian_prod(side, side)
    with torch.no_grad():
        bound = racers.log_density("VAE", vae, x, torch.randn(4000, 4, 2))
        std = vae.likelihood.log_std.exp()
        away = ((x[:, None] - vae.decoder.net(z)) / std).square().sum(2) + z.square().sum(1)
    log_p = torch.logsumexp(-away / 2, 1) + 2 * math.log(10 / 299) - 2 * math.log(2 * math.pi) - 2 * std.log().squeeze()
    assert torch.allclose(bound, log_p, atol=0.1)


def test_nats_lost_are_the_divergence(explorer, stand_in):
    """Of the mixture, by a sum over the plane."""
    frame = explorer("family_race").frame({"score": "nats lost"}).encode()
    other = stand_in(racers.race_model, seed=0, family="mixture", steps=100)
    points, weights = TRUTH.quadrature()
    log_p = TRUTH.log_prob(points)
    less = log_p - other.double().log_prob(points)
    divergence, square = ((weights * log_p.exp() * less**k).sum().item() for k in (1, 2))
    error = ((square - divergence**2) / race.JUDGED) ** 0.5
    bar, dot = (m["xy"] for m in view(frame, "score")["marks"] if m["color"] == race.FAMILIES["mixture"])
    assert dot[0, 1] == pytest.approx(divergence, abs=4 * error)
    assert bar[1, 1] - dot[0, 1] == pytest.approx(2 * error, rel=0.3)
    names = panels(frame)
    assert names["GAN"][0] == names["flow map"][0] == "no density" and names["VAE"][0].startswith("≤")


def test_distances_are_those_of_the_samples(explorer):
    """Each of four clouds of 400 beside as many of many true draws; the first 250 of the first cloud are shown."""
    frame = explorer("family_race").frame({"work": race.TICKS - 1}).encode()
    torch.manual_seed(0)
    true = TRUTH.sample(40_000)
    whole = {name: panel for name, panel in panels(frame).items() if len(panel[2]) == race.SHOWN}
    assert len(whole) > 1  # of the others some points lie outside the panel
    for name, (score, _, dots) in whole.items():
        dots = torch.as_tensor(np.asarray(dots)).float()
        direct = metrics.sliced(dots.repeat_interleave(160, 0), true, 16).item()
        assert float(score) == pytest.approx(direct, rel=0.3, abs=0.1), name


def test_the_read_out_names_the_nearest_with_its_error(explorer, stand_in):
    stage = explorer("family_race")
    for tick in (0, 24, race.TICKS - 1):
        frame = stage.frame({"work": tick}).encode()
        shown = panels(frame)
        done = {name: float(score) for name, (score, color, _) in shown.items() if color != "noise"}
        paid = {name for name in racers.MAKE if WORK.get(name, 31 * 2 * NET) <= 100 * 10 ** (tick / 10)}
        assert set(done) == paid and numbers(told(frame), " draws ")[2:4] == [len(done), 8]
        name = re.match(r"nearest: ([a-zA-Z ]+) \d", told(frame))[1]
        value, error = numbers(told(frame), "nearest: ")[:2]
        assert done[name] == min(done.values()) == pytest.approx(value, abs=0.006) and 0 <= error < 0.2 * value + 0.05
    assert list(done) == list(racers.MAKE)
    n, given = race.GROUPS * race.DOTS, Noise(0)
    with torch.no_grad():
        known = given(0, n, 2), given(0, n, 2, uniform=True), given(0, racers.WALK, n, 2)
        *_, x = racers.drawn(name, stand_in(racers.race_model, seed=0, family=name, steps=100), *known)
    torch.manual_seed(0)
    true = TRUTH.sample(400 * race.DOTS)
    far = torch.stack([metrics.sliced(cloud.repeat_interleave(400, 0), true, 16) for cloud in x.split(race.DOTS)])
    assert value == pytest.approx(far.mean().item(), rel=0.05) and error == pytest.approx(far.std().item() / 2, rel=0.3)
    low, high = numbers(told(frame), "draws ")[:2]
    torch.manual_seed(0)
    true = [metrics.sliced(TRUTH.sample(400), TRUTH.sample(40_000)[::100], 16).item() / 2**0.5 for _ in range(9)]
    assert 0 < low < np.median(true) < high < 0.4


def test_an_error_is_that_of_the_mean_of_four_clouds():
    far = {"GAN": np.array([0.3, 0.5, 0.2, 0.6]), "flow": np.array([0.9, 0.9, 0.8, 0.9])}
    text = race._best("distance", {name: (f, None) for name, f in far.items()}, list(far), {}, np.ones(3), 1.0)
    assert numbers(text, "nearest: GAN")[:2] == [0.4, pytest.approx((0.1 / 3) ** 0.5 / 2, abs=6e-4)]


def test_who_has_reached_all_commas_is_counted_among_those_that_are_done():
    found = {"GAN": (7, 0.5), "flow": (8, 0.25), "VAE": (8, 0.4), "diffusion": (8, 1.0)}
    now = {name: (None, np.array(f)) for name, f in found.items()}
    text = race._best("modes", now, ["GAN", "flow", "VAE"], {}, np.ones(3), 0.9)
    assert text.startswith("most points on a comma: GAN 50.0 ± 1.2 %")  # of 1,600
    assert text.endswith("true draws 90.0 % · all 8 commas reached by 2")


@pytest.mark.parametrize("score", ["distance", "modes"])
def test_the_chart_has_the_band_of_true_draws_that_is_told(explorer, score):
    frame = explorer("family_race").frame({"work": race.TICKS - 1, "score": score}).encode()
    (band,) = [m for m in view(frame, "score")["marks"] if m["label"] == "true draws"]
    heights = sorted(set(band["xy"][~np.isnan(band["xy"][:, 1]), 1]))
    heights = 10 ** np.array(heights) if score == "distance" else np.array(heights)
    assert heights == pytest.approx(
        numbers(told(frame), "true draws ")[: len(heights)], abs=0.06 if score == "modes" else 0.006
    )
    assert len(heights) == (2 if score == "distance" else 1)


def test_the_read_out_of_the_commas(explorer):
    frame = explorer("family_race").frame({"score": "modes"}).encode()
    shown = {name: numbers("x" + score, "x") for name, (score, color, _) in panels(frame).items() if color != "noise"}
    name = re.match(r"most points on a comma: ([a-zA-Z ]+) \d", told(frame))[1]
    share, error, true = *numbers(told(frame), "a comma: ")[:2], numbers(told(frame), "true draws ")[0]
    assert shown[name][2] == max(v[2] for v in shown.values()) == pytest.approx(share, abs=0.6)
    assert error == pytest.approx(100 * (share / 100 * (1 - share / 100) / 1600) ** 0.5, abs=0.06)
    assert numbers(told(frame), "reached by ")[0] == sum(v[0] == 8 for v in shown.values())
    torch.manual_seed(0)
    assert true == pytest.approx(100 * racers.modes(TRUTH.sample(20_000)[None], TRUTH)[1].item(), abs=1)


def test_a_press_draws_other_points_and_time_keeps_them(explorer):
    stage = explorer("family_race")
    dots = lambda **state: panels(stage.frame(state).encode())["GAN"][2]
    first, later, other = dots(work=30), dots(work=40), dots(work=30, **{"new noise": 1})
    assert np.array_equal(first, later) and not np.array_equal(first[:9], other[:9])


def test_names_and_scores_lie_inside_their_panels_on_a_phone(explorer):
    """Whole letters: a text of so many screen pixels, and a panel of 78 of them."""
    marks = view(explorer("family_race").frame().encode(), "race")["marks"]
    for text in (m for m in marks if m["mark"] == "text"):
        y = np.abs(text["xy"][:, 1]) / race.LIMIT  # panels of two rows reach from 0 to 2
        assert (np.minimum(y, 2 - y) * 78 / 2 >= 0.5 * text["size"]).all()
