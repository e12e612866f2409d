"""The diffusion film: its exact field, the network on other schedules, solutions, distances."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import ideal, metrics, schedules
from gdm_core.data.targets import Mixture
from gdm_core.explorers import ch12_diffusion_film as film
from gdm_core.explorers.rulers import Ruler

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
POINTS = torch.tensor(film.BUMPS, dtype=torch.float64)
LINE, COSINE, VP = film.SCHEDULES
DDIM, HEUN, MULTISTEP, SDE = film.SOLVERS
TRUTH = Mixture(film.BUMPS, film.STD)


class Known:
    """A model that learned the bumps without an error, on the line."""

    exact = staticmethod(ideal.mixture(POINTS, torch.full((6,), film.STD), torch.ones(6), schedules.line))

    def denoise(x_t, t):
        assert 0 <= t.min() and t.max() <= 1  # as a network is asked
        return Known.exact(x_t, t)


def law(schedule=COSINE):
    return film.Law(POINTS, film.SCHEDULES[schedule])


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def marks(frame, name):
    return {mark["label"]: mark for mark in view(frame, name)["marks"]}


# What is exact


def test_density_on_the_way_is_that_of_noisy_bumps():
    x, t = torch.randn(7, 2).double(), torch.tensor(0.4)
    alpha, sigma = (a.item() for a in schedules.cosine(t))
    assert torch.allclose(law().density(x, 0.4), TRUTH.noisy(sigma, alpha).log_prob(x).exp(), rtol=1e-5)


@pytest.mark.parametrize("schedule", film.SCHEDULES)
def test_one_network_serves_every_schedule(schedule):
    """A network without an error on the line is the exact denoiser of each schedule, at one time and at many."""
    x, own = 2 * torch.randn(50, 2).double(), law(schedule)
    told = film.learned(Known, own.schedule)
    for t in (torch.tensor(0.3).double(), torch.rand(50).double(), torch.tensor(1.0).double()):
        assert torch.allclose(told(x, t), own.denoise(x, t), atol=1e-6)
    assert torch.isfinite(told(x.float(), torch.tensor(1.0))).all()


def test_the_share_that_a_field_misses():
    """A denoiser that always says 0 misses all of E[x | x_t]: its score is -x_t / sigma^2."""
    torch.manual_seed(0)
    own, t = law(VP), torch.tensor([0.2, 0.6])
    told = lambda x, t: torch.zeros_like(x)
    found = film.Law(POINTS.float(), own.schedule).missed(told, "score", t, torch.rand(4000), torch.randn(4000, 2))
    for i, (alpha, sigma) in enumerate(zip(*own.schedule(t))):
        noisy = TRUTH.noisy(sigma.item(), alpha.item())
        x = noisy.sample(20_000)
        off = noisy.score(x) + x / sigma**2
        assert found[i].item() == pytest.approx(
            (off.square().sum() / noisy.score(x).square().sum()).sqrt().item(), rel=0.06
        )
    assert film.Law(POINTS.float(), own.schedule).missed(own.denoise, "velocity", t, *film_draws()).max() < 1e-5


def film_draws():
    return torch.rand(50), torch.randn(50, 2)


def solved(schedule=COSINE, solver=DDIM, steps=64, eta=0.0, seed=0, n=400):
    torch.manual_seed(seed)
    e, noise = torch.randn(n, 2).double(), torch.randn(film.TICKS, n, 2).double()
    return film.solve(law(schedule).denoise, schedule, solver, steps, eta, e, noise)


@pytest.mark.parametrize("schedule, solver, eta", [(LINE, DDIM, 0), (VP, HEUN, 0), (COSINE, DDIM, 1), (LINE, SDE, 0)])
def test_dots_in_the_exact_field_end_where_the_bumps_are(schedule, solver, eta):
    times, states = solved(schedule, solver, eta=eta)
    assert times[-1] == 0 and (times.diff() < 0).all() and states.shape == (65, 400, 2)
    assert metrics.sliced(states[-1], TRUTH.sample(400).double()) < 0.45
    assert TRUTH.log_prob(states[-1]).mean().item() == pytest.approx(-TRUTH.entropy(), abs=0.25)


def test_whatever_is_changed_the_start_noise_stays():
    first = solved(LINE, DDIM)[1][0]
    for schedule in film.SCHEDULES:
        for solver in (DDIM, HEUN, MULTISTEP):
            start = solved(schedule, solver, 4, 0.5)[1][0]
            assert torch.allclose(start, first, atol=1e-4), (schedule, solver)
    times, states = solved(LINE, SDE, 4)
    assert times[0] == film.LATE and torch.allclose(states[0], film.LATE * first)
    assert solved(VP, SDE, 4)[0][0] == 1  # its drift is finite from there on


def test_eta_is_that_of_ddim_alone_and_its_noise_is_that_of_the_step():
    ends = {eta: solved(solver=DDIM, steps=8, eta=eta)[1] for eta in (0.0, 1.0)}
    torch.manual_seed(0)
    e, noise = torch.randn(400, 2).double(), torch.randn(film.TICKS, 400, 2).double()
    times = torch.linspace(1, 0, 9).double()
    alpha, sigma = schedules.cosine(times)
    mean = law().denoise(e, times[0])
    v = sigma[1] ** 2 * (1 - (alpha[0] * sigma[1] / (alpha[1] * sigma[0])) ** 2)
    kept = (sigma[1] ** 2 - v).clamp_min(0).sqrt() * (e - alpha[0] * mean) / sigma[0]
    assert torch.allclose(ends[1.0][1], alpha[1] * mean + kept + v.sqrt() * noise[0], atol=1e-6)
    assert not torch.allclose(ends[0.0][1], ends[1.0][1], atol=0.1)
    assert torch.equal(solved(solver=HEUN, steps=8, eta=1.0)[1], solved(solver=HEUN, steps=8)[1])


# The ruler


def test_the_ruler_measures_as_many_true_draws_do():
    """Beside a sample so large that it is the truth, and beside a closed form for one Gaussian."""
    torch.manual_seed(0)
    n, many = 200, 100_000
    ruler = Ruler(TRUTH.means[None], TRUTH.std[None], TRUTH.weights, n)
    x = 1.5 * torch.randn(n, 2) + torch.tensor([1.0, 0.0])
    truth = metrics.sliced(x.repeat_interleave(many // n, 0), TRUTH.sample(many), 16)
    assert ruler.distance(x[None]).item() == pytest.approx(truth.item(), rel=0.02)
    one = Ruler(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[0.5]]), torch.ones(1), 5)
    levels = torch.special.ndtri((torch.arange(5) + 0.5) / 5)
    along = torch.stack([torch.tensor([1.0, 2.0]) + 0.5 * level * one.lines[0] for level in levels])
    assert torch.allclose(one.quantiles[0, 0], along @ one.lines[0], atol=2e-3)


def test_chance_is_what_true_draws_are_away():
    torch.manual_seed(1)
    alpha, sigma = 0.6, 0.8
    noisy = TRUTH.noisy(sigma, alpha)
    ruler = Ruler(torch.stack([TRUTH.means, noisy.means]), torch.stack([TRUTH.std, noisy.std]), TRUTH.weights, 100)
    told = ruler.chance(torch.rand(200, 100), torch.randn(200, 100, 2))
    for i, target in enumerate((TRUTH, noisy)):
        own = Ruler(target.means[None], target.std[None], target.weights, 100)
        direct = torch.cat([own.distance(target.sample(100)[None]) for _ in range(200)])
        assert told[i].median().item() == pytest.approx(direct.median().item(), rel=0.12)


# What is shown


def test_arrows_are_the_two_fields_and_point_toward_the_data(explorer, stand_in):
    model = stand_in(film.film_diffusion, seed=0, points=film.BUMPS, steps=100)
    for score, name in ((False, "velocity"), (True, "score")):
        frame = explorer("diffusion_film").frame({"score": score, "t": 32}).encode()
        arrows = marks(frame, "film")[f"exact {name}"]["xy"]
        at, way = torch.tensor(arrows[:, :2]).float(), arrows[:, 2:]
        if score:
            x = at.clone().requires_grad_()
            (wanted,) = torch.autograd.grad(TRUTH.noisy(0.5, 0.5).log_prob(x).sum(), x)
        else:
            wanted = data_less_noise(law(LINE).denoise, at.double())
        assert along(way, wanted)
        if not score:
            learned = marks(frame, "film")["learned velocity"]["xy"][:, 2:]
            assert along(learned, data_less_noise(model.denoise, at)) and not along(learned, wanted)


def data_less_noise(denoise, x):
    """Half way on the line."""
    mean = denoise(x, torch.tensor(0.5, dtype=x.dtype)).detach()
    return mean - (x - 0.5 * mean) / 0.5


def along(way, wanted):
    cosine = (way * wanted.numpy()).sum(1) / np.linalg.norm(way, axis=1) / wanted.norm(dim=1).numpy()
    return np.allclose(cosine, 1, atol=1e-3)


def test_dots_of_the_network_stay_where_they_are_when_bumps_are_dragged_and_it_is_said(explorer):
    stage = explorer("diffusion_film")
    moved = [[x + 1.0, y] for x, y in film.BUMPS]
    shown = {}
    for exact in (False, True):
        for name, bumps in (("home", film.BUMPS), ("away", moved)):
            shown[exact, name] = stage.frame({"exact": exact, "bumps": bumps, "t": 64}).encode()
    dots = {key: marks(frame, "film")["dots"]["xy"] for key, frame in shown.items()}
    assert np.array_equal(dots[False, "home"], dots[False, "away"])
    assert dots[True, "away"][:, 0].mean() - dots[True, "home"][:, 0].mean() == pytest.approx(1, abs=0.25)
    away = shown[False, "away"]
    assert view(away, "film")["warning"].startswith("The network was trained on other bumps")
    assert "on other bumps" in away["more"] and "on these bumps" in shown[False, "home"]["more"]
    assert view(shown[True, "away"], "film")["warning"] == ""
    assert (
        marks(away, "film")["dots"]["color"] == "model"
        and marks(shown[True, "away"], "film")["dots"]["color"] == "exact"
    )
    near, far = (numbers(shown[True, name]["text"], "dots")[0] for name in ("home", "away"))
    assert max(near, far) < numbers(shown[True, "home"]["text"], "up to")[0] + 0.1
    still = numbers(stage.frame({"exact": True, "t": 0}).encode()["text"], "dots")[0]
    assert still < 0.2


def test_it_stops_where_the_solver_does(explorer):
    stage = explorer("diffusion_film")
    titles = [view(stage.frame({"steps": 4, "t": t}).encode(), "film")["label"] for t in (0, 15, 16, 40, 64)]
    steps = ["t = 1.00: step 0 of 4", "t = 0.75: step 1 of 4", "t = 0.75: step 1 of 4", "t = 0.50: step 2 of 4"]
    assert titles == [*steps, "t = 0.00: step 4 of 4"]
    for solver, t, calls in ((DDIM, 64, 8), (HEUN, 32, 8), (HEUN, 64, 15), (MULTISTEP, 64, 8)):
        text = stage.frame({"solver": solver, "steps": 8, "t": t}).encode()
        assert numbers("of " + text["more"], "of")[0] == calls, solver


def test_the_followed_noise_goes_its_way(explorer):
    stage = explorer("diffusion_film")
    lines = [
        m
        for m in view(stage.frame({"start": [[1.0, -0.5]], "t": 64}).encode(), "film")["marks"]
        if m["mark"] == "lines"
    ]
    way = next(m for m in lines if m["color"] == "accent")["xy"]
    assert np.allclose(way[0], [1.0, -0.5], atol=1e-6) and len(way) == 17


def test_by_chance_up_to_is_said_for_the_time_that_is_shown(explorer):
    """The farthest of 19 clouds of true draws is about the 95th percentile of many."""
    torch.manual_seed(0)
    stage = explorer("diffusion_film")
    for t, target in ((64, TRUTH), (32, TRUTH.noisy(0.5, 0.5))):
        ruler = Ruler(target.means[None], target.std[None], target.weights, film.DOTS)
        direct = torch.cat([ruler.distance(target.sample(film.DOTS)[None]) for _ in range(200)])
        said = numbers(stage.frame({"t": t}).encode()["text"], "up to")[0]
        assert direct.quantile(0.6) < said < 1.3 * direct.max()
