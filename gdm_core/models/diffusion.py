r"""Diffusion (Sohl-Dickstein et al., 2015; Ho et al., 2020; Song et al., 2021; Lipman et al., 2023), one class for all.

    x_t = alpha_t x + sigma_t noise,     loss = E |network(x_t / c, t, y) - target|^2,     t ~ U(0, 1)

    predicts   target                                                               E[x | x_t] from the network's F
    noise      noise                                                                (x_t - sigma F) / alpha
    data       x                                                                    F
    score      -noise / sigma, weighed with sigma^2                                 (x_t + sigma^2 F) / alpha
    velocity   alpha' x + sigma' noise                                              denoising.mean_of_velocity
    edm        (sigma x - alpha s^2 noise) / (s c)                                  (alpha s^2 x_t + sigma s c F) / c^2

c^2 = alpha^2 s^2 + sigma^2 is the variance of x_t, s the `spread` of the data; "edm" asks for unit size at every level
(Karras et al., 2022, table 1).  DDPM is schedules.linear() and "noise", flow matching schedules.line and "velocity".
The bound, for a chain of steps t > s (Ho et al., 2020, eq. 5; Kingma et al., 2021, eq. 14):

    -log p(x) <= KL(q(x_1 | x) || N(0, sigma_1^2 I)) + sum of KL(q(x_s | x_t, x) || q(x_s | x_t, mean)) - log p(x | x_t)
    KL(q(x_s | x_t, x) || q(x_s | x_t, mean)) = (SNR_s - SNR_t) / 2 |x - mean|^2,     SNR = alpha^2 / sigma^2
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core import denoising, ode, samplers, schedules
from gdm_core.nats import LOG_2PI
from gdm_core.networks import TimedMLP
from gdm_core.validate import bad, batch, captions, choice, integer, positive
from gdm_core.validate import labels as checked

PREDICTS = ("velocity", "noise", "data", "score", "edm")
TILE = 8192  # rows at a time


class Diffusion(nn.Module):
    """A denoiser at all noise levels.

    Args:
        event_shape: shape of one example, or the number of features.
        schedule: t -> (alpha_t, sigma_t); see `schedules`.
        predicts: what the network tells, "velocity", "noise", "data", "score" or "edm".
        network: network(x, t, y) -> like x, with x of about unit size, t (B,), y (B,) integers, captions (B, L) or
            None; perceptron with `hidden` layers unless given.
        hidden: units of the hidden layers.
        labels: number of classes y; 0 for an unconditional model.
        words: number of words that captions y (B, L) are made of, 0 among them, which is no word; needs a network, such
            as `words.Told`.  In place of `labels`.  What that network reads of captions, floating, may stand for them.
        drop: share of labels that training replaces with `labels`, which says "no label", or of captions with rows of 0
            (Ho & Salimans, 2022); where it is above 0, y may be None or that too.
        repeat: noises that each example meets in one step of training: a caption is read once for all of them.
        spread: standard deviation of the data.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        schedule: denoising.Schedule = schedules.cosine,
        predicts: str = "velocity",
        network: Callable | None = None,
        hidden: Sequence[int] = (128, 128, 128),
        labels: int = 0,
        words: int = 0,
        drop: float = 0.0,
        repeat: int = 1,
        spread: float = 1.0,
    ):
        super().__init__()
        self.event_shape = Size([integer("features", event_shape)] if isinstance(event_shape, int) else event_shape)
        self.schedule, self.predicts = schedules.check(schedule), choice("predicts", predicts, PREDICTS)
        self.labels, self.spread = integer("labels", labels, 0), positive("spread", spread)
        self.words, self.repeat = integer("words", words, 0), integer("repeat", repeat)
        if not 0 <= drop < 1 or drop and not (labels or words):
            raise bad("drop from 0 to below 1, and labels to drop", (drop, labels), "labels=10, drop=0.1")
        if words and (labels or network is None):
            raise bad("a network that reads captions, and no labels", (network, labels), "network=words.Told(...)")
        self.drop = drop
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64, device="cpu")
        if predicts in ("noise", "score") and schedule(ends)[0][1] < 1e-6:
            raise bad("data left at t = 1 to tell from the noise", "alpha 0", "predicts='velocity' or another schedule")
        if predicts == "velocity" and not all(
            torch.isfinite(a).all() for a in denoising.slopes(schedule, ends[0], ends)
        ):
            raise bad("a finite velocity at t = 0", "a schedule of infinite slope", "predicts='noise' or 'edm'")
        classes = self.labels + (drop > 0)
        self.network = TimedMLP(self.event_shape, hidden, classes) if network is None else network
        like = next(self.parameters(), torch.zeros(()))
        self.register_buffer("_zero", torch.zeros((), dtype=like.dtype, device=like.device), persistent=False)

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x | x_t] or E[x | x_t, y].  x_t: (B, *event), t in [0, 1]: (B,) or () -> (B, *event)."""
        t, F = self._told(x_t, t, y)
        if self.predicts == "data":
            return F
        if self.predicts == "velocity":
            return denoising.mean_of_velocity(F, x_t, t, self.schedule)
        alpha, sigma, c = self._levels(t, x_t)
        if self.predicts == "edm":
            return (alpha * self.spread**2 * x_t + sigma * self.spread * c * F) / c**2
        return (x_t - sigma * F) / alpha if self.predicts == "noise" else (x_t + sigma**2 * F) / alpha

    def velocity(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[dx_t/dt | x_t].  x_t: (B, *event), t: (B,) or (), above 0 -> (B, *event)."""
        if self.predicts == "velocity":
            return self._told(x_t, t, y)[1]
        return denoising.velocity(self.denoise(x_t, t, y), x_t, t, self.schedule)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The regression above, summed over the event, at a random time for each example.  No likelihood."""
        batch(x, self.event_shape, like=self._zero)
        if self.labels or self.words:
            y = self._asked(y, len(x), free=False)
        if self.repeat > 1:
            x, y = (a if a is None else a.repeat(self.repeat, *[1] * (a.ndim - 1)) for a in (x, y))
        t = (torch.arange(len(x), device=x.device) + torch.rand(len(x), dtype=x.dtype, device=x.device)) / len(x)
        noise = torch.randn_like(x)
        if self.drop:
            dropped = torch.rand(len(x), device=x.device) < self.drop
            y = torch.where(dropped if self.labels else dropped[:, None], self.labels, y)
        return self.regression(x, noise, t, y)

    def regression(self, x: Tensor, noise: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The loss for this noise (B, *event), which may be paired with x, at these times (B,): ()."""
        x_t = denoising.noisy(x, t, self.schedule, noise)
        off = (self._told(x_t, t, y)[1] - self._target(x, noise, t)).square().flatten(1).sum(1)
        if self.predicts == "score":
            off = off * self.schedule(t)[1] ** 2
        return off.mean()

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | int | None = None, *, steps: int = 50) -> Tensor:
        """Down the flow from noise, by Heun's method: (n, *event).  y: one class or caption for all, or n of them.

        Args:
            steps: of the solver; each calls the network twice, the last once.
        """
        like, n = self._zero, integer("n", n)
        y = None if y is None else torch.as_tensor(y, device=like.device)
        y = y if y is None else y.expand(n, *y.shape[-1:]) if self.words else y.expand(n)
        x = self.schedule(torch.ones_like(like))[1] * torch.randn(
            n, *self.event_shape, dtype=like.dtype, device=like.device
        )
        times = schedules.times(self.schedule, steps, by="angle")
        return samplers.last(samplers.heun(lambda x, t: self.denoise(x, t, y), self.schedule, x, times))

    def log_prob(self, x: Tensor, y: Tensor | None = None, *, steps: int = 32, probes: int = 0) -> Tensor:
        """log p(x | y) of what the flow makes of noise, nats: `ode.log_prob`.  (B, *event) -> (B,).

        Args:
            steps: of the solver, four calls of the network each.
            probes: 0 for the exact trace, one backward pass an entry; else how many random signs estimate it.
        """
        batch(x, self.event_shape, like=self._zero)
        v = (
            torch.randn(integer("probes", probes, 0), *x.shape, dtype=x.dtype, device=x.device).sign()
            if probes
            else None
        )
        self._told(x, torch.ones_like(self._zero), y)  # complains of y before the first step
        return ode.log_prob(lambda x, t: self.denoise(x, t, y), self.schedule, x, steps=steps, probes=v)

    @torch.no_grad()
    def elbo(self, x: Tensor, y: Tensor | None = None, *, steps: int = 100) -> Tensor:
        """The bound on log p(x | y) of a chain of infinitely many steps, nats, without bias.  (B, *event) -> (B,).

        Args:
            steps: random levels an example, one in each of as many equal parts of log SNR.
        """
        batch(x, self.event_shape, like=self._zero)
        ends = self._levels_of_chain(2).log()  # of sigma / alpha
        part = (ends[1] - ends[0]).item() / integer("steps", steps)
        place = torch.arange(steps, device=x.device)[:, None] + torch.rand(
            steps, len(x), dtype=x.dtype, device=x.device
        )
        ratio = (ends[0].item() + part * place).exp()
        found = self._missed(x, y, ratio, -2 * part / ratio**2)
        return -(self._at_the_ends(x, y, ends.exp().to(x)) + found.sum(0))

    @torch.no_grad()
    def terms(self, x: Tensor, y: Tensor | None = None, *, steps: int = 1000) -> tuple[Tensor, Tensor]:
        """The bound of a chain of so many steps, from noise to data: a draw of each KL, (steps, B), and the rest, (B,).

        In nats; the sum of all is what the chain's -log p(x | y) is at most.  The rest is the KL where the chain starts
        and -log N(x; mean, (sigma / alpha)^2 I) where it ends.
        """
        batch(x, self.event_shape, like=self._zero)
        ratio = self._levels_of_chain(integer("steps", steps) + 1).to(x)
        gain = (ratio**-2).diff()
        found = self._missed(x, y, ratio[:-1, None].expand(-1, len(x)), gain[:, None])
        return found, self._at_the_ends(x, y, ratio[[0, -1]])

    def _levels_of_chain(self, count: int) -> Tensor:
        """sigma / alpha from at most 300 down to 0.01 of the spread, in equal ratios, float64, on the CPU."""
        one = torch.ones((), dtype=torch.float64, device="cpu")
        last = schedules.angle(self.schedule, one).tan().clamp(max=300.0).log().item()
        ends = last, math.log(0.01 * self.spread)
        return torch.linspace(*ends, count, dtype=torch.float64, device="cpu").exp()

    def _at_the_ends(self, x: Tensor, y: Tensor | None, ratio: Tensor) -> Tensor:
        """KL of the noisiest level from noise alone, and -log p(x | x_t) at the cleanest; (2,) -> (B,)."""
        decoded = self._missed(x, y, ratio[1:, None].expand(1, len(x)), ratio[1:, None] ** -2)[0]
        rest = self.event_shape.numel() * (LOG_2PI / 2 + ratio[1].log())
        return decoded + rest + 0.5 * x.square().flatten(1).sum(1) / ratio[0] ** 2

    def _missed(self, x: Tensor, y: Tensor | None, ratio: Tensor, weight: Tensor) -> Tensor:
        """weight / 2 |x - denoise(x_t)|^2 at levels sigma / alpha = ratio, one draw of x_t each.  (K, B) -> (K, B).

        The part of the noise's square that unit Gaussian data would leave has mean 0 and is taken out: a draw of a KL
        can be negative.
        """
        n, found = len(x), []
        t = schedules.time_at(self.schedule, ratio.atan())
        part = (ratio * self.spread**2 / (self.spread**2 + ratio**2)) ** 2
        for k in torch.arange(len(ratio), device="cpu").split(max(TILE // n, 1)):
            at, many = t[k].flatten(), x.repeat(len(k), *[1] * (x.ndim - 1))
            noise = torch.randn_like(many)
            labels = None if y is None else y.repeat(len(k), *[1] * (y.ndim - 1))
            told = self.denoise(denoising.noisy(many, at, self.schedule, noise), at, labels)
            off, extra = ((a.square().flatten(1).sum(1)).reshape(len(k), n) for a in (many - told, noise))
            found.append(off - part[k] * (extra - self.event_shape.numel()))
        return weight / 2 * torch.cat(found)

    def _target(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network is asked for."""
        if self.predicts == "velocity":
            d_alpha, d_sigma = denoising.slopes(self.schedule, t, x)
            return d_alpha * x + d_sigma * noise
        alpha, sigma, c = self._levels(t, x)
        if self.predicts == "edm":
            return (sigma * x - alpha * self.spread**2 * noise) / (self.spread * c)
        return {"noise": noise, "data": x}[self.predicts] if self.predicts != "score" else -noise / sigma

    def _levels(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """alpha, sigma and the standard deviation of x_t, in the shape that multiplies x."""
        alpha, sigma = denoising.at(self.schedule, t, x)
        return alpha, sigma, ((alpha * self.spread) ** 2 + sigma**2).sqrt()

    def _told(self, x_t: Tensor, t: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """t in the dtype of x_t, and the network's answer.  A single t stays one: its schedule is computed once."""
        batch(x_t, self.event_shape, name="x_t", like=self._zero, finite=False)  # NaN goes in, NaN comes out
        if not ((t >= 0) & (t <= 1)).all():
            raise bad("t from 0 (data) to 1 (noise)", f"{t.min().item():g} to {t.max().item():g}", "t.clamp(0, 1)")
        t = t.to(x_t) if t.ndim else t.to(x_t.dtype)
        each = t if t.ndim else x_t.new_full((len(x_t),), t.item())
        if self.labels or self.words:
            y = self._asked(y, len(x_t), free=self.drop > 0)
        elif y is not None:
            raise bad("no labels for an unconditional model", "y", "Diffusion(..., labels=10)")
        F = self.network(x_t / self._levels(t, x_t)[2], each, y)
        if F.shape != x_t.shape:
            raise bad(f"a network whose output is {tuple(x_t.shape)}", tuple(F.shape), "an output as large as x")
        return t, F

    def _asked(self, y: Tensor | None, n: int, *, free: bool) -> Tensor:
        """Labels (n,) or captions (n, L), checked; `free`: None and what stands for it are taken too."""
        if y is None and free:
            y = torch.full((n,), self.labels, device=self._zero.device)
            y = y[:, None] if self.words else y
        if self.labels:
            return checked(y, n, self.labels + free)
        if isinstance(y, Tensor) and y.is_floating_point() and len(y) == n:
            return y
        y = captions(y, n, self.words)
        if not free and (y == 0).all(1).any():
            raise bad(
                "captions of one word or more", f"{int((y == 0).all(1).sum())} empty ones", "drop=0.1 for a model"
            )
        return y


def demos() -> dict[str, Diffusion]:
    """On the line, by velocity, by noise and with labels; pictures."""
    small = {"hidden": (16,)}
    return {
        "cosine": Diffusion(1, **small),
        "noise": Diffusion(1, schedule=schedules.linear(200), predicts="noise", **small),
        "conditional": Diffusion(1, schedule=schedules.line, predicts="edm", labels=2, **small),
        "pictures": Diffusion((1, 2, 2), schedule=schedules.preserving(most=4.0), predicts="score", **small),
    }
