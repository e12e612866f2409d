"""Lab 11: energy and score."""

import math

import numpy as np
import torch

from answers import right, wrong


@right("log_z")
def by_logsumexp(energy, points, volumes):
    return (volumes.log() - energy(points)).logsumexp(0)


@right("log_z")
def by_numpy(energy, points, volumes):
    e = np.asarray(energy(points))
    return -e.min() + np.log((np.asarray(volumes) * np.exp(e.min() - e)).sum())


@right("log_z")
def one_cell_at_a_time(energy, points, volumes):
    total = torch.tensor(-math.inf)
    for point, volume in zip(points, volumes):
        total = torch.logaddexp(total, volume.log() - energy(point[None])[0])
    return total


@right("slope")
def by_softmax(seen, states, energies):
    return seen.mean(0) - (-energies).softmax(0) @ states


@right("slope")
def by_weights(seen, states, energies):
    p = np.exp(-(np.asarray(energies) - np.min(np.asarray(energies))))
    return np.mean(np.asarray(seen), 0) - (p / p.sum()) @ np.asarray(states)


@right("slope")
def by_autograd(seen, states, energies):
    t = torch.zeros(states.shape[1], dtype=states.dtype, requires_grad=True)
    loss = (seen @ t).mean() + (-energies - states @ t).logsumexp(0)
    return torch.autograd.grad(loss, t)[0]


@right("langevin")
def in_one_line(score, x, h, noise):
    return x + h * score(x) + (2 * h) ** 0.5 * noise


@right("langevin")
def by_arrays(score, x, h, noise):
    return np.asarray(x) + h * np.asarray(score(x)) + np.sqrt(2 * h) * np.asarray(noise)


@right("langevin")
def in_place(score, x, h, noise):
    s = score(x)
    x += h * s
    x += math.sqrt(2 * h) * noise
    return x


def log_q(b, a, pull, h):
    return -((b - a - h * pull) ** 2).sum(1) / (4 * h)


def log_ratio(energy, score, x, new, h):
    return energy(x) - energy(new) + log_q(x, new, score(new), h) - log_q(new, x, score(x), h)


@right("accept")
def cut_at_one(energy, score, x, new, h):
    return log_ratio(energy, score, x, new, h).exp().clamp(max=1)


@right("accept")
def by_a_distribution(energy, score, x, new, h):
    q = lambda b, a: torch.distributions.Normal(a + h * score(a), (2 * h) ** 0.5).log_prob(b).sum(1)
    return torch.exp(torch.minimum(torch.zeros(len(x)).to(x), energy(x) - energy(new) + q(x, new) - q(new, x)))


@right("accept")
def with_numpy(energy, score, x, new, h):
    x, new = np.asarray(x), np.asarray(new)
    there = ((new - x - h * np.asarray(score(x))) ** 2).sum(1) / (4 * h)
    back = ((x - new - h * np.asarray(score(new))) ** 2).sum(1) / (4 * h)
    return np.minimum(1, np.exp(np.asarray(energy(x)) - np.asarray(energy(new)) + there - back))


@right("denoising_loss")
def plainly(score, x, sigma, noise):
    return 0.5 * ((score(x + sigma * noise) + noise / sigma) ** 2).sum(1).mean()


@right("denoising_loss")
def from_the_noisy_place(score, x, sigma, noise):
    noisy = x + sigma * noise
    return (score(noisy) - (x - noisy) / sigma**2).square().sum() / (2 * len(x))


@right("denoising_loss")
def in_numpy(score, x, sigma, noise):
    off = np.asarray(score(np.asarray(x) + sigma * np.asarray(noise))) + np.asarray(noise) / sigma
    return (off**2).sum(1).mean() / 2


@wrong("log_z", "the sign of the energy")
def uphill(energy, points, volumes):
    return (volumes.log() + energy(points)).logsumexp(0)


@wrong("log_z", "volumes are missing")
def no_volumes(energy, points, volumes):
    return (-energy(points)).logsumexp(0)


@wrong("log_z", "a mean over cells")
def mean(energy, points, volumes):
    return (volumes.log() - energy(points)).logsumexp(0) - math.log(len(points))


@wrong("log_z", "this is Z, not its logarithm")
def no_log(energy, points, volumes):
    return (volumes * (-energy(points)).exp()).sum()


@wrong("log_z", "the sign of log Z")
def minus(energy, points, volumes):
    return -by_logsumexp(energy, points, volumes)


@wrong("log_z", "add their logarithm")
def plus_volumes(energy, points, volumes):
    return (volumes - energy(points)).logsumexp(0)


@wrong("log_z", "use torch.logsumexp")
def underflows(energy, points, volumes):
    return (volumes * (-energy(points)).exp()).sum().log()


@wrong("slope", "the terms are exchanged")
def exchanged(seen, states, energies):
    return -by_softmax(seen, states, energies)


@wrong("slope", "the data term alone")
def only_data(seen, states, energies):
    return seen.mean(0)


@wrong("slope", "the model term alone")
def only_model(seen, states, energies):
    return -((-energies).softmax(0) @ states)


@wrong("slope", "the sum of both")
def added(seen, states, energies):
    return seen.mean(0) + (-energies).softmax(0) @ states


@wrong("slope", "weigh each with p")
def plain_mean(seen, states, energies):
    return seen.mean(0) - states.mean(0)


@wrong("slope", "high energy counts as likely")
def turned(seen, states, energies):
    return seen.mean(0) - energies.softmax(0) @ states


@wrong("slope", "divide by Z")
def not_normalized(seen, states, energies):
    return seen.mean(0) - (-energies).exp() @ states


@wrong("slope", "a sum over the data")
def summed(seen, states, energies):
    return seen.sum(0) - (-energies).softmax(0) @ states


@wrong("langevin", "in place of its square root")
def no_root(score, x, h, noise):
    return x + h * score(x) + 2 * h * noise


@wrong("langevin", "half of the noise")
def half_noise(score, x, h, noise):
    return x + h * score(x) + h**0.5 * noise


@wrong("langevin", "the root is over both")
def root_of_two(score, x, h, noise):
    return x + h * score(x) + 2**0.5 * h * noise


@wrong("langevin", "the score points up")
def down(score, x, h, noise):
    return x - h * score(x) + (2 * h) ** 0.5 * noise


@wrong("langevin", "no noise")
def climbs(score, x, h, noise):
    return x + h * score(x)


@wrong("langevin", "the step size is missing")
def whole_score(score, x, h, noise):
    return x + score(x) + (2 * h) ** 0.5 * noise


@wrong("langevin", "half of the step")
def half_step(score, x, h, noise):
    return x + h / 2 * score(x) + (2 * h) ** 0.5 * noise


@wrong("langevin", "add the old x")
def from_nowhere(score, x, h, noise):
    return h * score(x) + (2 * h) ** 0.5 * noise


@wrong("langevin", "noise of unit size")
def unit_noise(score, x, h, noise):
    return x + h * score(x) + noise


@wrong("accept", "the proposal is not symmetric")
def symmetric(energy, score, x, new, h):
    return (energy(x) - energy(new)).exp().clamp(max=1)


@wrong("accept", "the ways are exchanged")
def other_ways(energy, score, x, new, h):
    ratio = energy(x) - energy(new) - log_q(x, new, score(new), h) + log_q(new, x, score(x), h)
    return ratio.exp().clamp(max=1)


@wrong("accept", "the sign of the energies")
def takes_the_worse(energy, score, x, new, h):
    ratio = energy(new) - energy(x) + log_q(x, new, score(new), h) - log_q(new, x, score(x), h)
    return ratio.exp().clamp(max=1)


@wrong("accept", "divided by 4h")
def by_two_h(energy, score, x, new, h):
    ratio = energy(x) - energy(new) + 2 * log_q(x, new, score(new), h) - 2 * log_q(new, x, score(x), h)
    return ratio.exp().clamp(max=1)


@wrong("accept", "along the score at x'")
def old_score(energy, score, x, new, h):
    ratio = energy(x) - energy(new) + log_q(x, new, score(x), h) - log_q(new, x, score(x), h)
    return ratio.exp().clamp(max=1)


@wrong("accept", "a probability: at most 1")
def uncut(energy, score, x, new, h):
    return log_ratio(energy, score, x, new, h).exp()


@wrong("accept", "this is its logarithm")
def logarithm(energy, score, x, new, h):
    return log_ratio(energy, score, x, new, h).clamp(max=0)


@wrong("accept", "at most 1, not at least")
def at_least_one(energy, score, x, new, h):
    return log_ratio(energy, score, x, new, h).exp().clamp(min=1)


def half_square(off):
    return off.square().sum(1).mean() / 2


@wrong("denoising_loss", "not divided by σ")
def without_sigma(score, x, sigma, noise):
    return half_square(score(x + sigma * noise) + noise)


@wrong("denoising_loss", "divided by σ²")
def sigma_squared(score, x, sigma, noise):
    return half_square(score(x + sigma * noise) + noise / sigma**2)


@wrong("denoising_loss", "the score points back")
def toward_the_noise(score, x, sigma, noise):
    return half_square(score(x + sigma * noise) - noise / sigma)


@wrong("denoising_loss", "the score was asked at x")
def clean(score, x, sigma, noise):
    return half_square(score(x) + noise / sigma)


@wrong("denoising_loss", "the noise is not scaled")
def unscaled(score, x, sigma, noise):
    return half_square(score(x + noise) + noise / sigma)


@wrong("denoising_loss", "the factor 1/2 is missing")
def whole(score, x, sigma, noise):
    return 2 * plainly(score, x, sigma, noise)


@wrong("denoising_loss", "the mean over all entries")
def entries(score, x, sigma, noise):
    return (score(x + sigma * noise) + noise / sigma).square().mean() / 2


@wrong("denoising_loss", "a sum over examples")
def no_mean(score, x, sigma, noise):
    return (score(x + sigma * noise) + noise / sigma).square().sum() / 2


@wrong("denoising_loss", "the length is not squared")
def length(score, x, sigma, noise):
    return (score(x + sigma * noise) + noise / sigma).norm(dim=1).mean() / 2
