r"""How data fade into noise: functions t -> (alpha_t, sigma_t) with x_t = alpha_t x + sigma_t noise, t from 0 to 1.

    line         1 - t,                                     t                             Lipman et al. (2023)
    cosine       cos(pi t / 2),                             sin(pi t / 2)                 Salimans & Ho (2022)
    preserving   exp(-(least t + (most - least) t^2 / 2) / 2),   variance 1 in all        Song et al. (2021, eq. 11)
    linear       sqrt(prod_{j <= k} (1 - beta_j)) at t = k / T,  variance 1 in all        Ho et al. (2020, section 4)
    exploding    1,     least ((1 + largest / least)^t - 1)                               Song et al. (2021, eq. 9)
    edm          1,     largest t^rho                                                     Karras et al. (2022, eq. 5)

They differ in pace and scale alone.  With r^2 = alpha^2 + sigma^2 and the **angle** phi = atan(sigma / alpha),

    x_t / r_t = cos(phi) x + sin(phi) noise:

each is the cosine, run through at another speed and drawn r times as large.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gdm_core.denoising import Schedule
from gdm_core.validate import bad, choice, integer, positive

CLEAN = 1e-6  # as near as alpha_0 must be to 1, and sigma_0 to 0


def line(t: Tensor) -> tuple[Tensor, Tensor]:
    """The straight path of flow matching."""
    return 1 - t, t


def cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """A quarter of a circle at constant speed."""
    return torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)


def preserving(least: float = 0.1, most: float = 20.0) -> Schedule:
    """The variance-preserving process dx = -beta x / 2 dt + sqrt(beta) dB; beta rises from `least` to `most`."""
    least, most = positive("least", least, 0.1), positive("most", most, 20.0)

    def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
        return _of_log_alpha2(-(least * t + (most - least) * t**2 / 2))

    return schedule


@dataclass(frozen=True, eq=False)
class Table:
    """A schedule with variance 1 of a finite number of steps, log alpha^2 linear in t between them.

    Attributes:
        betas: (T,), what each step adds: x_k = sqrt(1 - beta_k) x_{k-1} + sqrt(beta_k) noise.
        steps: T.
    """

    betas: Tensor

    @property
    def steps(self) -> int:
        return len(self.betas)

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        kept = torch.nn.functional.pad(torch.log1p(-self.betas.double()).cumsum(0), (1, 0)).to(t)
        place = t * self.steps
        k = place.detach().floor().long().clamp(0, self.steps - 1)
        return _of_log_alpha2(kept[k] + (place - k) * (kept[k + 1] - kept[k]))


def linear(steps: int = 1000, least: float = 1e-4, most: float = 0.02) -> Table:
    """Ho et al.'s table: beta_k rises from `least` to `most` in equal steps."""
    if not 0 < least <= most < 1:
        raise bad("0 < least <= most < 1", (least, most), "linear(1000, 1e-4, 0.02)")
    return Table(torch.linspace(least, most, integer("steps", steps), dtype=torch.float64, device="cpu"))


def exploding(largest: float = 50.0, least: float = 0.01) -> Schedule:
    """Noise on top of data that keep their size; sigma grows by an equal factor in equal times once above `least`."""
    largest, least = positive("largest", largest, 50.0), positive("least", least, 0.01)
    rate = math.log1p(largest / least)
    return lambda t: (torch.ones_like(t), least * torch.expm1(rate * t))


def edm(largest: float = 80.0, rho: float = 7.0) -> Schedule:
    """Noise on top of data; many levels are small ones."""
    largest, rho = positive("largest", largest, 80.0), positive("rho", rho, 7.0)
    return lambda t: (torch.ones_like(t), largest * t**rho)


def check(schedule: Schedule) -> Schedule:
    """The schedule, if it starts at clean data and the share of noise then grows all the way.

    Raises:
        ValueError: alpha_0 != 1 or sigma_0 != 0; numbers that are not finite; noise that does not grow.
    """
    t = torch.linspace(0, 1, 201, dtype=torch.float64, device="cpu")
    alpha, sigma = schedule(t)
    if abs(alpha[0] - 1) > CLEAN or abs(sigma[0]) > CLEAN:
        got = f"alpha {alpha[0].item():.4g} and sigma {sigma[0].item():.4g}"
        raise bad("a schedule that starts clean, alpha 1 and sigma 0 at t = 0", got, "schedules.cosine")
    if not (torch.atan2(sigma, alpha).diff() > 0).all() or not torch.isfinite(alpha + sigma).all():
        raise bad("a schedule whose share of noise grows from t = 0 to 1", "one that stands still", "schedules.cosine")
    return schedule


def angle(schedule: Schedule, t: Tensor) -> Tensor:
    """phi in [0, pi / 2]: 0 for data, pi / 2 for noise alone.

    >>> angle(line, torch.tensor([0.0, 0.5, 1.0])) / torch.pi
    tensor([0.0000, 0.2500, 0.5000])
    """
    alpha, sigma = schedule(t)
    return torch.atan2(sigma, alpha)


def time_at(schedule: Schedule, phi: Tensor) -> Tensor:
    """The t at which a schedule has these angles: `angle` walked backward, by halving an interval."""
    wanted, low = phi.double(), torch.zeros_like(phi, dtype=torch.float64)
    high = torch.ones_like(low)
    for _ in range(60):
        middle = (low + high) / 2
        below = angle(schedule, middle) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(wanted <= 0, 0.0, high).to(phi)


def times(schedule: Schedule, steps: int, *, by: str = "time") -> Tensor:
    """Falling times for a solver, from 1 to 0: (steps + 1,), float64.

    Args:
        schedule: of the denoiser.
        steps: how many; at most those of a table, of whose own times "time" takes the nearest.
        by: "time" for equal steps of t; "angle" for steps of the angle that shrink toward the data, equal in its root.

    Raises:
        ValueError: more steps than the schedule has.
    """
    choice("by", by, ("time", "angle"))
    own = getattr(schedule, "steps", None)
    if own is not None and integer("steps", steps) > own:
        raise bad(f"at most the {own} steps of the schedule", steps, f"steps={own}, or schedules.preserving()")
    t = torch.linspace(1, 0, integer("steps", steps) + 1, dtype=torch.float64, device="cpu")
    if by == "angle":
        last = angle(schedule, torch.ones((), dtype=torch.float64, device="cpu"))
        return torch.cat([t[:1], time_at(schedule, last * t[1:] ** 2)])
    return t if own is None else (t * own).round() / own


def drift(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """f and g^2 of the process dx = f x dt + g dB whose marginals the schedule describes (Song et al., 2021).

    f = alpha' / alpha,     g^2 = (sigma^2)' - 2 f sigma^2
    """
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        alpha, sigma = schedule(t)
        f = torch.autograd.grad((alpha.log() + 0 * t).sum(), t, retain_graph=True)[0]
        grown = torch.autograd.grad((sigma**2 + 0 * t).sum(), t)[0]
    return f, grown - 2 * f * sigma.detach() ** 2


def _of_log_alpha2(log_alpha2: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of a variance 1 in all."""
    return (log_alpha2 / 2).exp(), (-torch.expm1(log_alpha2)).sqrt()
