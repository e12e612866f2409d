r"""Lab 04, amortized inference: q(z|x) = N(mean(x), diag std(x)^2), prior N(0, I_L), beta and what hides it.

Truths come from torch.distributions, from scipy's densities and from sums taken one by one.
"""

import torch
from scipy.stats import norm
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, require, tensor
from gdm_core.checks.exercise import Exercise, Wrong


@Exercise.worth(form=1, values=4)
def kl(answer: Answer, numbers: Generator) -> None:
    """KL(q || N(0, I)) of each example, in nats, summed over latents."""
    for n, latents in ((4, 3), (3, 2)):
        mean, log_std = _normal(numbers, n, latents), 0.7 * _normal(numbers, n, latents) + 0.2
        answer.part("form")
        result = answer(mean, log_std)
        if isinstance(result, Tensor) and tuple(result.shape) == (n, latents):
            raise Wrong("one number an example: the KL of independent latents is a sum over them")
        number = isinstance(result, float) or (isinstance(result, Tensor) and not result.ndim)
        require(not number, "one number an example, (B,): the mean over a batch comes later")
        std = log_std.exp()
        truth = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(1)
        other = lambda a, b, c, d: (a * mean**2 + b * std**2 + c * log_std + d).sum(1)
        got = tensor(result, (n,), "(B,)")
        answer.part("values")
        equal(got, truth, {
            "the sign: a KL is never negative": -truth,
            "over latents a KL is a sum, not a mean": truth / latents,
            "the ½ is missing": 2 * truth,
            "-1 is missing: at mean 0 and std 1 the KL is 0": other(0.5, 0.5, -1, 0),
            "the mean is missing: q may be narrow and still lie elsewhere": other(0, 0.5, -1, -0.5),
            "the ½ belongs to mean² + std² - 1, not to log std": other(0.5, 0.5, -0.5, -0.5),
            "the mean enters as its square": (0.5 * mean + 0.5 * std**2 - log_std - 0.5).sum(1),
            "log_std was taken for log of the variance": (0.5 * (mean**2 + std - log_std - 1)).sum(1),
            "std enters as its square": (0.5 * (mean**2 + std - 2 * log_std - 1)).sum(1),
            "the sign of log std": other(0.5, 0.5, 1, -0.5),
            "log std is missing": other(0.5, 0.5, 0, -0.5),
            "the other way round: q comes first": kl_divergence(Normal(0.0, 1.0), Normal(mean, std)).sum(1),
        }, "KL", "for log_std that is not 0")  # fmt: skip


@Exercise
def loss(answer: Answer, numbers: Generator) -> None:
    """Mean over the batch of -log p(x|z) + beta KL, with z = mean + std noise."""
    for n, d, latents, sigma, beta in ((5, 6, 2, 0.5, 3.0), (4, 3, 2, 1.5, 0.3)):
        x, noise, W = _normal(numbers, n, d), _normal(numbers, n, latents), _normal(numbers, d, latents)
        V, v = _normal(numbers, latents, d), 0.3 * _normal(numbers, latents, d)
        encoder = lambda x: (x @ V.T, 0.3 * torch.tanh(x @ v.T) - 0.5)
        decoder = lambda z: torch.tanh(z @ W.T)
        mean, log_std = encoder(x)
        std = log_std.exp()

        def nll(z, s=sigma):
            return -torch.as_tensor(norm.logpdf(x, decoder(z), s))

        price = kl_divergence(Normal(mean, std), Normal(0.0, 1.0))
        at, z = nll(mean + std * noise), mean + std * noise
        square = (x - decoder(z)).square()
        result = answer(x, encoder, decoder, sigma, noise, beta)
        if isinstance(result, Tensor) and tuple(result.shape) == (n,):
            raise Wrong("a loss is one number: the mean over the batch")
        equal(tensor(result, (), "()", "the loss"), at.sum(1).mean() + beta * price.sum(1).mean(), {
            "the KL is a price: it is added to -log p(x|z)": at.sum(1).mean() - beta * price.sum(1).mean(),
            "the sign: a loss falls as log p(x|z) rises": -(at.sum(1).mean() + beta * price.sum(1).mean()),
            "beta belongs to the KL alone": beta * (at.sum(1) + price.sum(1)).mean(),
            "beta is missing": (at.sum(1) + price.sum(1)).mean(),
            "a mean over features hides beta: -log p(x|z) is a sum over them": at.mean() + beta * price.sum(1).mean(),
            "both terms are sums, over features and over latents: these are means": at.mean() + beta * price.mean(),
            "a mean over latents hides beta: the KL is a sum over them": at.sum(1).mean() + beta * price.mean(),
            "over the batch a mean, not a sum": at.sum() + beta * price.sum(),
            "the KL was added up over the batch, which the other term averages": at.sum(1).mean() + beta * price.sum(),
            "the KL was estimated from the draw, right on average alone: for two Gaussians it has a formula":
                (at.sum(1) + beta * torch.as_tensor(norm.logpdf(z, mean, std) - norm.logpdf(z)).sum(1)).mean(),
            "a mean squared error is not -log p(x|z): it has neither the sum over features nor σ":
                square.mean() + beta * price.sum(1).mean(),
            "the noise is missing: decode a draw, not the mean": nll(mean).sum(1).mean() + beta * price.sum(1).mean(),
            "the second output is log std: exp comes before the noise":
                nll(mean + log_std * noise).sum(1).mean() + beta * price.sum(1).mean(),
            "the second output is log std, not log variance: no half":
                nll(mean + (0.5 * log_std).exp() * noise).sum(1).mean() + beta * price.sum(1).mean(),
            "a squared error is not -log p(x|z): divide by 2σ², and keep the constant":
                square.sum(1).mean() + beta * price.sum(1).mean(),
            "the constant of -log p(x|z) is missing: without it these are no nats":
                (square / (2 * sigma**2)).sum(1).mean() + beta * price.sum(1).mean(),
            "sigma is a standard deviation, and was used as a variance":
                nll(z, sigma**0.5).sum(1).mean() + beta * price.sum(1).mean(),
        }, "the loss", f"for sigma = {sigma}, beta = {beta}")  # fmt: skip


@Exercise
def beta_in_nats(answer: Answer, numbers: Generator) -> None:
    """The beta of -log p(x|z) + beta KL that a loss of means amounts to."""
    for d, latents, sigma, weight in ((64, 3, 0.6, 0.1), (784, 10, 0.3, 0.01), (12, 5, 2.0, 0.7)):
        truth = torch.tensor(weight * d / (2 * sigma**2 * latents), dtype=torch.float64)
        got = tensor(answer(weight, d, latents, sigma), (), "()", "beta")
        as_given = lambda value: torch.tensor(value, dtype=torch.float64)
        equal(got, truth, {
            "that is the weight itself: means over d features and L latents change it": as_given(weight),
            "the noise is missing: -log p(x|z) is a squared error over 2σ²": truth * 2 * sigma**2,
            "the mean over features is missing: multiply by d": truth / d,
            "the mean over latents is missing: divide by L": truth * latents,
            "d and L have changed places": as_given(weight * latents / (2 * sigma**2 * d)),
            "2σ² multiplies, where it should divide": truth * 4 * sigma**4,
            "the 2 of 2σ² is missing": truth * 2,
            "the noise enters as a variance: σ², not σ": truth * sigma,
            "this is 1/β": 1 / truth,
        }, "beta", f"for weight = {weight}, d = {d}, L = {latents}, sigma = {sigma}", tolerance=1e-5)  # fmt: skip


@Exercise
def free_bits(answer: Answer, numbers: Generator) -> None:
    """Sum over latents of max(floor, mean over the batch of their KL)."""
    prices = torch.rand(6, 4, generator=numbers, dtype=torch.float64) * torch.tensor([2.0, 0.3, 1.2, 0.05])
    for floor in (0.5, 0.1):
        means = prices.mean(0)
        result = answer(prices, floor)
        if isinstance(result, Tensor) and tuple(result.shape) == (4,):
            raise Wrong("one number: sum over the latents at the end")
        equal(tensor(result, (), "()", "the price"), means.clamp(min=floor).sum(), {
            "no floor was laid under single latents: each of them costs the floor at least": means.sum(),
            "the floor belongs to the mean over the batch, not to each example": prices.clamp(min=floor).sum(1).mean(),
            "there is one floor for each latent: take the mean over the batch alone": prices.mean().clamp(min=floor),
            "the floor belongs to each latent, not to each example's sum": prices.sum(1).clamp(min=floor).mean(),
            "max, not min: below the floor the price stays at the floor": means.clamp(max=floor).sum(),
            "over latents a sum, not a mean": means.clamp(min=floor).mean(),
            "what is below is not free of charge, it is free of gradient: max(floor, KL)":
                (means - floor).clamp(min=0).sum(),
            "a latent below the floor was dropped: it costs the floor": means[means > floor].sum(),
            "over the batch a mean, not a sum": prices.sum(0).clamp(min=floor).sum(),
        }, "the price", f"for floor = {floor}")  # fmt: skip


@Exercise.worth(form=1, values=3)
def active_units(answer: Answer, numbers: Generator) -> None:
    """Which latents move with x: the variance of their posterior means over the data is above a threshold."""
    spreads = torch.tensor([0.004, 1.3, 0.07, 0.6, 0.25])
    centers = torch.tensor([3.0, 0.0, 0.0, -2.0, 0.0])
    white = _normal(numbers, 400, 5)
    means = spreads * (white - white.mean(0)) / white.std(0) + centers
    for threshold in (0.01, 0.1):
        answer.part("form")
        result = answer(means, threshold)
        number = isinstance(result, int | float) or (isinstance(result, Tensor) and not result.ndim)
        require(not number, "that is how many: return which, (L,) of True and False")
        got = tensor(result, (5,), "(L,)", "the mask")
        answer.part("values")
        truth = (means.var(0) > threshold).double()
        equal(got, truth, {
            "that is the standard deviation: the rule is about the variance": (means.std(0) > threshold).double(),
            "not how large the means are, but how they vary": (means.square().mean(0) > threshold).double(),
            "not where the means lie, but how they vary": (means.mean(0).abs() > threshold).double(),
            "turned around: active is above the threshold": 1 - truth,
            "these are the variances: compare them with the threshold": means.var(0),
            "these are the variances, divided by N: compare them with the threshold": means.var(0, correction=0),
            "all are called active": torch.ones(5),
            "the variance is over examples, not over latents": (means.var(1).mean() > threshold).double().expand(5),
        }, "the mask", f"for threshold = {threshold}")  # fmt: skip


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=numbers, dtype=torch.float64)
