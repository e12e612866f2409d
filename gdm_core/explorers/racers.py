"""Eight small models, one a family, of one target in the plane: how they draw, what that costs, what they are worth."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from gdm_core import likelihoods, mcmc, samplers, schedules, train
from gdm_core.data.targets import Mixture
from gdm_core.flops import Flops
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.models.diffusion import Diffusion
from gdm_core.models.ebm import EBM
from gdm_core.models.flow import realnvp
from gdm_core.models.flow_map import FlowMap
from gdm_core.models.gan import GAN
from gdm_core.models.gmm import GMM
from gdm_core.models.vae import VAE
from gdm_core.quantiles import component, quantile

MODES, WALK = 8, 200  # commas of the target; steps of Langevin
SEEN = 4000  # points from which EM learns; all others see new ones in each step
WIDE = (64, 64)
STRAIGHT = {"loss": "relativistic", "r1": 1.0, "r2": 1.0}
# Rounds of EM, or as many steps of Adam as 8 billion operations pay for, of 256 points each
MAKE = {
    "mixture": (lambda: GMM(MODES, 2), 40, {}),
    "VAE": (lambda: VAE(2, 2, hidden=WIDE), 590, {"lr": 6e-3}),
    "GAN": (lambda: GAN(2, 2, hidden=WIDE, **STRAIGHT), 190, {"lr": 5e-3, "average": 0.95}),
    "flow": (lambda: realnvp(2, 6, hidden=WIDE), 200, {"lr": 8e-3, "clip": 10.0}),
    "autoregressive": (
        lambda: Autoregressive(2, likelihood=likelihoods.Gaussians(8), network="chain", hidden=WIDE),
        720,
        {"lr": 6e-3},
    ),
    "energy": (lambda: EBM(2, hidden=WIDE, width=3.0, size=0.03), 80, {"lr": 8e-3}),
    "diffusion": (
        lambda: Diffusion(2, schedule=schedules.line, predicts="edm", hidden=WIDE, spread=2.0),
        520,
        {"lr": 8e-3},
    ),
    "flow map": (lambda: FlowMap(2, learns="meanflow", hidden=WIDE), 670, {"lr": 5e-3}),
}
DENSITIES = ("mixture", "VAE", "flow", "autoregressive", "energy", "diffusion")


def target() -> Mixture:
    """Eight bent and tapered commas on a circle, four round Gaussians each: no family has just this form."""
    turn = torch.arange(MODES)[:, None] * (2 * math.pi / MODES)
    along = torch.linspace(-1, 1, 4)
    r, angle = 2.7 + 0.55 * along, turn + 0.22 * along**2 + 0.1 * along
    means = torch.stack([r * angle.cos(), r * angle.sin()], -1).reshape(-1, 2)
    std = torch.tensor([0.12, 0.16, 0.2, 0.24]).repeat(MODES)
    return Mixture(means, std, modes=torch.arange(MODES).repeat_interleave(4))


def race_model(family: str, steps: int, device="cpu") -> tuple[nn.Module, Iterable]:
    """Recipe: one small model of a family; `steps` of EM for the mixture, of Adam for all others."""
    make, _, options = MAKE[family]
    model, truth = make().to(device), target().to(device)
    if family != "mixture":
        return model, train.steps(model, truth.sample, steps=steps, batch_size=256, rate=train.falling, **options)
    x = truth.sample(SEEN)
    return model.start(x), model.em(x, steps)


def drawn(family: str, model: nn.Module, normal: Tensor, uniform: Tensor, more: Tensor) -> Iterator[Tensor]:
    """What a model makes of noise, state by state, (N, 2) each: the noise itself first, the samples last.

    Args:
        normal, uniform: (N, 2) each.
        more: (WALK, N, 2) normal numbers, for those that shake.
    """
    if family == "energy":  # these two yield the noise themselves
        yield from mcmc.langevin(model.score, model.width * normal, model.size, WALK, noise=lambda i: more[i])
        return
    if family == "diffusion":
        yield from samplers.heun(model.denoise, schedules.line, normal, schedules.times(schedules.line, 16))
        return
    yield normal
    if family == "mixture":
        k = component(model.weights, uniform[:, 0])
        yield model.means[k] + (model.scale_tril[k] @ normal[..., None])[..., 0]
    elif family == "VAE":
        told = model.decode(normal)
        yield told.mean + told.stddev * more[0]
    elif family == "GAN":
        yield model.generate(normal)
    elif family == "flow":
        yield from model.film(normal)
    elif family == "autoregressive":  # one coordinate, then the other, as `sample` does
        x = normal.clone()
        for i, raw in zip(model.network.order, model.network.walk(x)):
            x[:, i] = quantile(model.likelihood(raw, 0), uniform[:, i])
            yield x.clone()
    else:
        one = torch.ones((), device=normal.device)
        yield model.jump(normal, one, 0 * one)


def counted(states: Iterator[Tensor]) -> Iterator[tuple[float, Tensor]]:
    """Each state with the operations a point that it took from the noise on."""
    states, total = iter(states), 0
    while True:
        with Flops() as count:
            state = next(states, None)
        if state is None:
            return
        total += count.total
        yield total / len(state), state


def modes(x: Tensor, truth: Mixture) -> Tensor:
    """Of x (T, N, 2): how many commas have a tenth of their even part near them, and the share near any, (2, T).

    Near is within 3 standard deviations of a Gaussian of the comma.
    """
    away = (torch.cdist(x, truth.means) / truth.std).min(-1)
    of = truth.modes[away.indices].masked_fill(away.values > 3, MODES)
    count = nn.functional.one_hot(of, MODES + 1).sum(-2)[..., :MODES]
    return torch.stack([(count >= 0.1 * x.shape[-2] / MODES).sum(-1), (away.values <= 3).double().mean(-1)])


def log_density(family: str, model: nn.Module, x: Tensor, normal: Tensor) -> Tensor:
    """log p(x) of a model, (N,) nats: exact up to a solver or a grid, for the VAE a bound by `normal` (S, N, 2)."""
    if family == "diffusion":
        return model.log_prob(x, steps=16)
    if family == "energy":  # in the plane a grid adds up what nobody knows elsewhere
        side = torch.linspace(-12, 12, 241, device=x.device)
        whole = torch.logsumexp(-model.energy(torch.cartesian_prod(side, side)), 0) + 2 * math.log(0.1)
        return -model.energy(x) - whole
    if family == "VAE":  # importance weights (Burda et al., 2016)
        q = model.encode(x)
        z = q.mean + q.stddev * normal
        log_w = model.prior().log_prob(z) + model.decode(z).log_prob(x) - q.log_prob(z)
        return torch.logsumexp(log_w, 0) - math.log(len(normal))
    return model.log_prob(x)
