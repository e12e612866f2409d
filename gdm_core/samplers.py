r"""From noise to data with a denoiser, denoise(x_t, t) = E[x | x_t]: solvers of one equation, with and without noise.

Between two times t > s, with mean = denoise(x_t, t) and told = (x_t - alpha_t mean) / sigma_t, the noise in x_t:

    ddim        x_s = alpha_s mean + sqrt(sigma_s^2 - eta^2 v) told + eta sqrt(v) noise,
                v = sigma_s^2 (1 - (alpha_t sigma_s / (alpha_s sigma_t))^2)       (Song, Meng & Ermon, 2021, eq. 12, 16)
                eta = 0: the flow, to first order; eta = 1: p(x_s | x_t, x = mean), DDPM       (Ho et al., 2020, eq. 7)
    heun        the mean of the velocities at both ends                                   (Karras et al., 2022, alg. 1)
    multistep   the mean on its way, from the last two             (DPM-Solver++ 2M; Lu et al., 2022, alg. 2)
    sde         x_s = x_t + (t - s) (g^2 score - f x_t) + g sqrt(t - s) noise                (Song et al., 2021, eq. 6)
    predictor_corrector   ddim with eta = 1, then Langevin's steps at the new level          (Song et al., 2021, alg. 1)

On the line schedule `ddim` with eta = 0 is Euler's method of flow matching.  Each is a generator: the start, then every
state, (B, *event), without gradients.  The noise of step i is `noise(i)`, of the shape of x, standard normal; it
follows `torch.manual_seed` unless it is given.  None is drawn for a step that ends at the data.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gdm_core import mcmc
from gdm_core.denoising import Denoise, Schedule
from gdm_core.mcmc import Draw, last
from gdm_core.schedules import drift
from gdm_core.validate import bad, integer, positive


def ddim(
    denoise: Denoise,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    *,
    eta: float = 0.0,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """Put the noise that x_t contains back at the next level, or draw a share of it anew.

    Args:
        denoise: E[x | x_t], (B, *event) and t (), on the CPU wherever x is -> (B, *event).
        schedule: of the denoiser.
        x: the start, of the law of x at times[0], (B, *event).
        times: falling, in [0, 1]; see `schedules.times`.
        eta: in [0, 1].
        noise: see the module.

    Raises:
        ValueError: at the call, eta outside [0, 1], times that do not fall or leave [0, 1].
    """
    if not 0 <= eta <= 1:
        raise bad("eta from 0 (no noise) to 1 (DDPM)", eta, "eta=0.0")
    alpha, sigma, told = _levels(schedule, times, x)
    rows = torch.stack(parts(alpha, sigma, eta), 1).tolist()  # in numbers: a step is three sums
    drawn = lambda i, std: torch.empty_like(x).normal_(0, std) if noise is None else std * noise(i)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for i, (t, (of_mean, of_state, of_noise)) in enumerate(zip(told.unbind(), rows)):
            mean = _quiet(denoise, state, t)
            new = drawn(i, of_noise).add_(state, alpha=of_state) if of_noise > 0 else torch.mul(state, of_state)
            yield (state := new.add_(mean, alpha=of_mean))

    return run()


def parts(alpha: Tensor, sigma: Tensor, eta: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """How much of the mean, of x_t and of new noise is in the x_s of `ddim`: levels (T + 1,) -> (T,) each."""
    new = eta * sigma[1:] * (1 - (alpha[:-1] * sigma[1:] / (alpha[1:] * sigma[:-1])) ** 2).clamp(min=0).sqrt()
    kept = (sigma[1:] ** 2 - new**2).clamp(min=0).sqrt() / sigma[:-1]
    return alpha[1:] - alpha[:-1] * kept, kept, new


def heun(denoise: Denoise, schedule: Schedule, x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Second order, two calls of the denoiser a step and one for a step that ends at the data.

    The velocity is that of x / r by the angle (see `schedules`), which is finite for every schedule at both ends.
    Arguments and errors as for `ddim`.
    """
    alpha, sigma, told = _levels(schedule, times, x)
    r, phi = torch.hypot(alpha, sigma).tolist(), torch.atan2(sigma, alpha).tolist()
    velocity = lambda u, k: (math.cos(phi[k]) * u - _quiet(denoise, r[k] * u, told[k])) / math.sin(phi[k])

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for k in range(len(phi) - 1):
            u, h = state / r[k], phi[k + 1] - phi[k]
            here = velocity(u, k)
            if phi[k + 1] > 0:
                u = u + h / 2 * (here + velocity(u + h * here, k + 1))
            else:  # ddim's step: the mean
                u = math.cos(phi[k]) * u - math.sin(phi[k]) * here
            state = r[k + 1] * u
            yield state

    return run()


def multistep(denoise: Denoise, schedule: Schedule, x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Second order, one call of the denoiser a step; first order in the first step and in one that ends at the data.

    Arguments and errors as for `ddim`.
    """
    alpha, sigma, told = _levels(schedule, times, x)
    ahead = (alpha.log() - sigma.log()).diff()  # of log alpha / sigma; infinite at t = 0 and where alpha is 0
    ratio = ahead[1:] / (2 * ahead[:-1])
    ratio = [0.0, *torch.where(torch.isfinite(ratio), ratio, 0.0).tolist()]
    kept = (sigma[1:] / sigma[:-1]).tolist()
    of_mean = (alpha[1:] - alpha[:-1] * sigma[1:] / sigma[:-1]).tolist()

    def run() -> Iterator[Tensor]:
        state, before = x.detach(), None
        yield state
        for i, further in enumerate(ratio):
            mean = _quiet(denoise, state, told[i])
            ahead = mean if before is None or not further else mean + further * (mean - before)
            state, before = kept[i] * state + of_mean[i] * ahead, mean
            yield state

    return run()


def sde(
    denoise: Denoise, schedule: Schedule, x: Tensor, times: Tensor, *, noise: Draw | None = None
) -> Iterator[Tensor]:
    """The process run backward, by Euler & Maruyama.  Arguments and errors as for `ddim`.

    Raises:
        ValueError: times at which the process has no finite drift, as where alpha is 0.
    """
    alpha, sigma, told = _levels(schedule, times, x)
    at = times.double()
    f, g2 = drift(schedule, at[:-1])
    if not torch.isfinite(f + g2).all():
        raise bad("times with a finite drift", f"t = {at[0].item():g}, where alpha is 0", "schedules.preserving()")
    steps, g2 = -at.diff(), g2.clamp(min=0)
    quiet = (sigma[1:] > 0).to(at)
    of_state = 1 - steps * (f + g2 / sigma[:-1] ** 2)
    of_mean = steps * g2 * alpha[:-1] / sigma[:-1] ** 2
    rows = torch.stack([of_state, of_mean, (g2 * steps).sqrt() * quiet], 1).tolist()

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for i, (of_state, of_mean, of_noise) in enumerate(rows):
            state = of_state * state + of_mean * _quiet(denoise, state, told[i])
            if of_noise > 0:
                state = state + of_noise * (torch.randn_like(state) if noise is None else noise(i))
            yield state

    return run()


def predictor_corrector(
    denoise: Denoise,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    *,
    corrections: int = 1,
    size: float = 0.1,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """DDPM's step, then `corrections` of Langevin at the new level, size sigma^2 each; none at the data.

    The noises of a step are noise(i (1 + corrections)) and those that follow.  Arguments and errors as for `ddim`.
    """
    alpha, sigma, told = _levels(schedule, times, x)
    size, each = positive("size", size, 0.1), 1 + integer("corrections", corrections)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for i in range(len(times) - 1):
            own = lambda k, i=i: torch.randn_like(x) if noise is None else noise(i * each + k)
            *_, state = ddim(denoise, schedule, state, times[i : i + 2], eta=1.0, noise=own)
            if sigma[i + 1] > 0:
                a, s2 = alpha[i + 1].item(), sigma[i + 1].item() ** 2
                score = lambda x, i=i, a=a, s2=s2: (a * _quiet(denoise, x, told[i + 1]) - x) / s2
                state = last(mcmc.langevin(score, state, size * s2, corrections, noise=lambda k: own(k + 1)))  # noqa: B023
            yield state

    return run()


def _levels(schedule: Schedule, times: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """alpha and sigma at the times, float64, and the times as the denoiser is told them; all on the CPU.

    There a time is a number: what depends on it alone asks a graphics card for nothing, and nobody waits for the card.
    """
    if not isinstance(times, Tensor) or times.ndim != 1 or len(times) < 2 or not (times.diff() < 0).all():
        got = times.tolist()[:4] if isinstance(times, Tensor) and times.ndim else times
        raise bad("times that fall, two or more", got, "schedules.times(schedule, 50)")
    if times[0] > 1 or times[-1] < 0:
        raise bad("times in [0, 1]", f"{times[0].item():g} to {times[-1].item():g}", "schedules.times(schedule, 50)")
    times = times.detach().cpu()
    return *schedule(times.double()), times.to(x.dtype)


@torch.no_grad()
def _quiet(denoise: Denoise, x: Tensor, t: Tensor) -> Tensor:
    return denoise(x, t)
