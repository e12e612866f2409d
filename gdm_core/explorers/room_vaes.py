"""VAEs of rooms with four factors, the meter that reads these off a picture, and what latents do to them."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from gdm_core import likelihoods, train
from gdm_core.data import four_factors
from gdm_core.explorers.ink import InkDecoder
from gdm_core.meter import Meter
from gdm_core.models.vae import VAE

LATENTS, SIDE = 6, 24


@functools.lru_cache(maxsize=4)
def rooms(fresh: bool = False, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures to learn from, (N, 3, side, side), and their factors (N, 4); or some that were not."""
    x, factors = four_factors.sample(*((400, 1) if fresh else (2500, 0)), side=SIDE, device=device)
    return x, torch.stack(list(factors.values()), 1)


def room_vae(beta: float, steps: int = 900, device="cpu") -> tuple[VAE, Iterable]:
    """Recipe: six latents, Gaussian pixels of a fixed std of 0.3, the price of z times beta."""
    x, _ = rooms(device=device)
    noise, decoder = likelihoods.Gaussian(0.3, learn=None), InkDecoder(LATENTS, x.shape[1:])
    model = VAE(x.shape[1:], LATENTS, hidden=(256,), likelihood=noise, decoder=decoder, beta=beta)
    model.to(device)
    return model, train.steps(model, x, steps=steps, batch_size=64, lr=3e-3, rate=train.falling)


def room_meter(steps: int = 900, device="cpu") -> tuple[Meter, Iterable]:
    """Recipe: the measuring device, from rendered rooms whose factors are known."""
    x, factors = rooms(device=device)
    model = Meter(x.shape[1:], torch.zeros(4), torch.ones(4), hidden=(128, 64)).to(device)
    return model, train.steps(model, (x, factors), steps=steps, batch_size=64, lr=2e-3, rate=train.falling)


@dataclass(frozen=True, eq=False)
class Trip:
    """A model, what its latents tell, and how well rooms come back from it.

    Attributes:
        told: nats a latent, the mean KL of q(z_j | x) from the prior over new rooms.
        usual: rms of decoded minus rendered that 99 of 100 new rooms stay below.
    """

    model: VAE
    told: list[float]
    usual: float

    @classmethod
    @torch.no_grad()
    def of(cls, model: VAE, meter: nn.Module, fresh: Tensor) -> "Trip":
        q = model.encode(fresh)
        told = kl_divergence(Normal(q.mean, q.stddev), Normal(torch.zeros_like(q.mean), 1.0))
        back = model.decode(q.mean).mean
        return cls(model, told.mean(0).tolist(), apart(back, meter(back)).quantile(0.99).item())


def effects(model: VAE, meter: nn.Module, z: Tensor, step: float = 0.5) -> Tensor:
    """What one unit of each latent does to the measured factors around z: (latents, 4), in standard deviations.

    Central differences of the measured factors of decoded pictures; a uniform factor has std 1 / sqrt(12).
    """
    moves = step * torch.eye(len(z), dtype=z.dtype, device=z.device)
    ahead, behind = (meter(model.decode(z + sign * moves).mean) for sign in (1, -1))
    return (ahead - behind) / (2 * step) * 12**0.5


def apart(x: Tensor, u: Tensor) -> Tensor:
    """Root mean squared difference between pictures and the rooms rendered from factors, (N, ...), (N, 4) -> (N,)."""
    return (x - four_factors.draw(u.clamp(0, 1))).square().mean((1, 2, 3)).sqrt()


def one_each(u: Tensor, found: Tensor, least: float = 0.1) -> tuple[Tensor, list[int]]:
    """What each row would be, if only the factor that moves most along it did.

    Args:
        u: (4,), factors where all rows meet.
        found: (rows, V, 4), measured along the rows.
        least: a factor that moves less, end to end, does not count.

    Returns:
        (rows, V, 4) in [0, 1], and which factor moves in each row, -1 for none.
    """
    spread, main = (found.amax(1) - found.amin(1)).max(1)
    alone = u.expand_as(found).clone()
    for row in (spread >= least).nonzero()[:, 0].tolist():
        alone[row, :, main[row]] = found[row, :, main[row]]
    return alone.clamp(0, 1), main.where(spread >= least, -1).tolist()
