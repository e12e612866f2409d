r"""Lab 03, the bound (Kingma & Welling, 2014): z ~ N(0, I_L), x | z ~ N(f(z), sigma^2 I_d), q(z) = N(mean, diag std^2).

Truths come from scipy's densities and quadrature, from finite differences and from moments.  `draw` alone is judged by
chance: 12 moments within five standard errors each, so that about 12 * 5.7e-7, one right answer in 140,000, is refused.
Of 200,000 right ones 3 were (less than one in 20,000 with 95 % confidence); no fourth moment was off by more than 0.83.
"""

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise

DRAWS, ERRORS = 4000, 5.0  # standard errors


@Exercise.worth(form=1, values=4)
def elbo_terms(answer: Answer, numbers: Generator) -> None:
    """log p(x|z) + log p(z) - log q(z) of each draw, three distributions long."""
    for d, latents, n, sigma in ((3, 2, 5, 0.6), (2, 1, 4, 1.6)):
        W, x, mean = (_normal(numbers, *shape) for shape in ((d, latents), (d,), (latents,)))
        std = 0.3 + torch.rand(latents, generator=numbers, dtype=torch.float64)
        z = mean + std * _normal(numbers, n, latents)
        f = lambda z: torch.tanh(z @ W.T)
        answer.part("form")
        result = answer(x, z, mean, std, f, sigma)
        number = isinstance(result, float) or (isinstance(result, Tensor) and not result.ndim)
        require(not number, "one value for each draw, (S,): the mean comes later")
        per_feature = torch.as_tensor(norm.logpdf(x, f(z), sigma))  # (S, d)
        per_prior, per_q = torch.as_tensor(norm.logpdf(z)), torch.as_tensor(norm.logpdf(z, mean, std))
        fit, prior, log_q = per_feature.sum(1), per_prior.sum(1), per_q.sum(1)
        truth = fit + prior - log_q
        square = (x - f(z)).square().sum(1)
        constants = d * np.log(2 * np.pi * sigma**2) / 2
        got = tensor(result, (n,), "(S,)")
        answer.part("values")
        equal(got, truth, {
            "log q(z) is taken away: the bound is log p(x|z) + log p(z) - log q(z)": fit + prior + log_q,
            "log q(z) is missing": fit + prior,
            "log p(z) is missing": fit - log_q,
            "log p(x|z) is missing": prior - log_q,
            "the sign of log p(z)": fit - prior - log_q,
            "features are independent: their log-densities are added, not averaged":
                per_feature.mean(1) + prior - log_q,
            "latents are independent: their log-densities are added, not averaged":
                fit + per_prior.mean(1) - per_q.mean(1),
            "sigma is a standard deviation, and was used as a variance":
                torch.as_tensor(norm.logpdf(x, f(z), sigma**0.5)).sum(1) + prior - log_q,
            "sigma is a standard deviation: where one was wanted, sigma² was given":
                torch.as_tensor(norm.logpdf(x, f(z), sigma**2)).sum(1) + prior - log_q,
            "the constant of log p(x|z) is missing: -½ log 2πσ² for each feature": truth + constants,
            "a squared error is not yet log p(x|z): divide by 2σ², and keep the constant": -square + prior - log_q,
            "log p(x|z) was added up over the draws as well: each draw has one of its own": fit.sum() + prior - log_q,
            "this is the formula of the KL, an average over all draws: take log p(z) - log q(z) at each draw":
                fit - (0.5 * (mean**2 + std**2 - 1) - std.log()).sum(),
            "q(z) has a mean of its own": fit + prior - torch.as_tensor(norm.logpdf(z, 0, std)).sum(1),
            "q(z) has a width of its own: -log std is missing": truth - std.log().sum(),
            "the sign: this is the loss, -log p(x|z) - log p(z) + log q(z)": -truth,
        }, "the bound's terms", f"for sigma = {sigma}")  # fmt: skip


@Exercise.worth(form=1, distribution=2, gradients=3)
def draw(answer: Answer, numbers: Generator) -> None:
    """Draws from q through which gradients flow: moments, independence, and the gradient of a mean."""
    mean, log_std = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([-1.0, 0.7, 0.2]).double()
    mean.requires_grad_(), log_std.requires_grad_()
    answer.part("form")
    result = answer.with_gradients(mean, log_std, DRAWS)
    z = tensor(result.detach() if isinstance(result, Tensor) else result, (DRAWS, 3), "(S, L)", "the draws")
    answer.part("distribution")
    _moments(z, mean.detach(), log_std.detach().exp())
    again = answer.with_gradients(mean, log_std, DRAWS)
    require(not torch.equal(again, result), "two calls gave the same draws: leave the seed to the caller")
    answer.part("gradients")
    hint = (
        "the draws have no gradient: write them as mean + std * noise (sample() cuts the gradient, rsample() does not)"
    )
    require(result.requires_grad, hint)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=result.dtype)
    by_mean, by_std = torch.autograd.grad((result * weights).sum(), (mean, log_std), allow_unused=True)
    require(by_mean is not None, "no gradient reaches the mean: was it detached?")
    require(by_std is not None, "no gradient reaches log_std: was it detached?")
    equal(by_mean.double(), DRAWS * weights.double(), {}, "the gradient of the draws' sum by the mean")
    moved = weights.double() * (z - mean.detach()).sum(0)  # d z / d log_std = z - mean
    equal(by_std.double(), moved, {}, "the gradient by log_std", tolerance=1e-3)


def _moments(z: Tensor, mean: Tensor, std: Tensor) -> None:
    """Mean, spread, shape and independence, each to five standard errors."""
    n, found = len(z), z.std(0)
    require(bool((found > 1e-9).all()), "all draws are the same: each needs noise of its own")
    within = lambda got, wanted, error: bool(((got - wanted).abs() < ERRORS * error).all())
    width = found / (2 * n) ** 0.5  # standard error of a Gaussian's std
    spreads = {
        "log_std is a logarithm: the spread is its exp": mean.new_tensor([-1.0, 0.7, 0.2]).abs(),
        "log_std is that of the standard deviation, not of the variance: no half": std.sqrt(),
        "exp(log_std) is the standard deviation; this has it squared": std**2,
        "the noise must be normal: rand is uniform, randn is normal": std / 12**0.5,
        "the spread is that of the noise: scale it with std": torch.ones_like(std),
    }
    if not within(found, std, width):
        for hint, wrong in spreads.items():
            require(not within(found, wrong, width), hint)
        require(False, f"needed spreads {_told(std)}, got {_told(found)}")
    hint = f"needed means {_told(mean)}, got {_told(z.mean(0))}: does the noise have mean 0, and is the mean added?"
    require(within(z.mean(0), mean, std / n**0.5), hint)
    white = (z - mean) / std
    fourth = (white**4).mean(0)
    require(bool(((fourth - 3).abs() < 1).all()), "the noise is not normal: use randn")
    together = white.T @ white / n - torch.eye(3)
    require(
        within(together[~torch.eye(3, dtype=torch.bool)], 0.0, n**-0.5), "the latents share their noise: (S, L) of it"
    )
    neighbors = (white[1:] * white[:-1]).mean(0)
    require(within(neighbors, 0.0, n**-0.5), "neighboring draws hang together: each needs noise of its own")


@Exercise.worth(form=1, values=4)
def ascend(answer: Answer, numbers: Generator) -> None:
    """Plain gradient ascent of a bound in mean and log_std, both at once."""
    a, b, c = (_normal(numbers, 2) for _ in range(3))
    start = a + 1, 0.3 * b

    def bound(mean, log_std):
        calls.append((mean, log_std))
        target, level = c.to(mean), b.to(mean)
        return (-0.5 * (mean - target) ** 2 - 0.5 * (log_std - level) ** 2 + 0.3 * mean * log_std).sum()

    def slopes(mean, log_std):
        return c - mean + 0.3 * log_std, b - log_std + 0.3 * mean

    for steps, rate in ((3, 0.2), (5, 0.1)):
        calls: list = []
        answer.part("form")
        result = answer.with_gradients(bound, *(t.clone() for t in start), steps, rate)
        mean, log_std = parts(result, "mean", "log_std")
        got = [tensor(_plain(t), (2,), "(L,)", name) for t, name in ((mean, "mean"), (log_std, "log_std"))]
        answer.part("values")
        require(len(calls) > 0, "the bound was never asked")
        paths = {
            "both must climb: these went down. Add rate times the gradient": _path(slopes, start, steps, -rate),
            "nothing moved": list(start),
            "one step too many": _path(slopes, start, steps + 1, rate),
            "one step is missing": _path(slopes, start, steps - 1, rate),
            "the gradients of earlier steps were added up: set them to zero before each step":
                _path(slopes, start, steps, rate, keep=True),
            "log_std did not move": _path(slopes, start, steps, rate, only=0),
            "the mean did not move": _path(slopes, start, steps, rate, only=1),
            "the rate was forgotten": _path(slopes, start, steps, 1.0),
            "both move at once, along gradients at the same place": _path(slopes, start, steps, rate, turns=True),
        }  # fmt: skip
        wanted = torch.cat(_path(slopes, start, steps, rate))
        mistakes = {hint: torch.cat(path) for hint, path in paths.items()}
        equal(torch.cat(got), wanted, mistakes, "(mean, log_std)", f"after {steps} steps")


@Exercise.worth(values=4, underflow=1)
def log_evidence(answer: Answer, numbers: Generator) -> None:
    """log of the integral of p(x|z) p(z) over one latent, by a grid; quad knows the truth."""
    for sigma, far in ((0.7, 0.0), (0.5, 0.0), (0.05, 4.0)):
        x = _normal(numbers, 2) - torch.tensor([0.0, far])
        f = lambda z: torch.cat([z, 0.5 * z**2], 1)
        grid = torch.linspace(-7, 7, 1401, dtype=torch.float64)
        step = float(grid[1] - grid[0])
        answer.part("underflow" if far else "values")
        got = tensor(answer(x, f, sigma, grid), (), "()", "log p(x)")
        fit = torch.as_tensor(norm.logpdf(x, f(grid[:, None]), sigma))  # (G, d)
        joint = fit.sum(1) + torch.as_tensor(norm.logpdf(grid))
        peak = joint.max()
        if far:
            hint = "exp underflows here: take the largest logarithm out first, or use logsumexp"
            require(bool(torch.isfinite(got)), hint)
        top = float(grid[joint.argmax()])
        inner = lambda z: float(np.exp(norm.logpdf(x[0], z, sigma) + norm.logpdf(x[1], 0.5 * z * z, sigma)
                                       + norm.logpdf(z) - float(peak)))  # fmt: skip
        truth = torch.tensor(np.log(quad(inner, -7, 7, points=[top], limit=400)[0])) + peak
        total = lambda values: values.logsumexp(0)
        equal(got, truth, {
            "the width of a cell is missing: an integral is a sum times the step of the grid": total(joint),
            "the mean over the grid is no integral: sum, times the step": total(joint) - np.log(len(grid)),
            "the prior is missing: p(x, z) = p(x|z) p(z)": total(fit.sum(1)) + np.log(step),
            "this is a sum of logarithms: the integral stands inside the logarithm": joint.sum() * step,
            "this is the highest log p(x, z): integrate over z": peak,
            "features are independent: their log-densities are added, not averaged":
                total(fit.mean(1) + torch.as_tensor(norm.logpdf(grid))) + np.log(step),
            "sigma is a standard deviation, and was used as a variance":
                total(torch.as_tensor(norm.logpdf(x, f(grid[:, None]), sigma**0.5)).sum(1)
                      + torch.as_tensor(norm.logpdf(grid))) + np.log(step),
            "this is p(x): its logarithm is wanted": truth.exp(),
            "the step was multiplied with the logarithm: it belongs inside": total(joint) * step,
        }, "log p(x)", f"for x = {_told(x)}, sigma = {sigma}", tolerance=1e-3)  # fmt: skip


@Exercise
def gap(answer: Answer, numbers: Generator) -> None:
    """KL(q || p(z|x)) on a grid, from log q and log p(x, z); of two Gaussians it is known."""
    for mean, std, center, width, level in ((0.3, 0.8, -0.4, 1.1, -3.0), (1.0, 1.2, 0.5, 0.6, 2.0)):
        shift = 0.2 * float(_normal(numbers, 1))
        grid = torch.linspace(-9, 9, 1801, dtype=torch.float64)
        step = float(grid[1] - grid[0])
        log_q = torch.as_tensor(norm.logpdf(grid, mean + shift, std))
        log_post = torch.as_tensor(norm.logpdf(grid, center, width))
        joint = log_post + level  # so log p(x) = level
        kl = lambda m, s, n, t: np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
        truth = torch.tensor(kl(mean + shift, std, center, width), dtype=torch.float64)
        got = tensor(answer(log_q, joint, step), (), "()", "the gap")
        q = log_q.exp()
        equal(got, truth, {
            "log p(x, z) is not log p(z|x): take log p(x) away first": truth - level,
            "log p(x) was added: it is taken away": truth - 2 * level,
            "the sign: log q - log p(z|x), averaged under q": -truth,
            "the sign: this is the bound itself": level - truth,
            "the average is taken under q, not under p(z|x)":
                torch.tensor(kl(center, width, mean + shift, std), dtype=torch.float64),
            "the step of the grid is missing": truth / step,
            "the step is missing in log p(x), which is a sum over the grid as well": truth - np.log(step),
            "a mean over the grid is no average under q": (q * (log_q - log_post)).mean(),
            "q is missing: weight the difference of logarithms with q": (log_q - log_post).sum() * step,
            "log q is missing: this is only half of the KL": -(q * log_post).sum() * step,
        }, "the gap")  # fmt: skip


def _path(slopes, start, steps: int, rate: float, *, keep=False, only=None, turns=False) -> list[Tensor]:
    """Where gradient ascent ends, with the mistakes that it may have."""
    at, kept = [t.clone() for t in start], [torch.zeros(2).double(), torch.zeros(2).double()]
    for _ in range(steps):
        now = slopes(*at)
        for i in (0, 1):
            slope = slopes(*at)[i] if turns else now[i]
            kept[i] = slope + kept[i] * keep
            if only in (None, i):
                at[i] = at[i] + rate * kept[i]
    return at


def _plain(x):
    return x.detach().double() if isinstance(x, Tensor) else x


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=numbers, dtype=torch.float64)


def _told(x: Tensor) -> str:
    return "(" + ", ".join(f"{v:.2f}" for v in x.tolist()) + ")"
