"""Lab 12: diffusion."""

import math

import numpy as np
import torch

from answers import right, wrong


@right("jump")
def by_product(x, betas, noise):
    kept = (1 - betas).prod()
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


@right("jump")
def by_running_product(x, betas, noise):
    kept = np.cumprod(1 - np.asarray(betas))[-1]
    return np.sqrt(kept) * np.asarray(x) + np.sqrt(1 - kept) * np.asarray(noise)


@right("jump")
def variances_step_by_step(x, betas, noise):
    signal, variance = 1.0, 0.0
    for beta in betas:
        signal, variance = signal * math.sqrt(1 - beta), (1 - beta) * variance + beta
    return signal * x + variance**0.5 * noise


@right("posterior")
def by_one_denominator(x, x_t, a_s, s_s, a_t, s_t):
    a = a_t / a_s
    v = s_t**2 - a**2 * s_s**2
    return (a_s * v * x + a * s_s**2 * x_t) / s_t**2, v * s_s**2 / s_t**2


@right("posterior")
def by_precisions(x, x_t, a_s, s_s, a_t, s_t):
    a = a_t / a_s
    v = s_t**2 - a**2 * s_s**2
    precision = 1 / s_s**2 + a**2 / v
    return (a_s * x / s_s**2 + a * x_t / v) / precision, torch.full_like(x, 1 / precision)


@right("posterior")
def by_regression(x, x_t, a_s, s_s, a_t, s_t):
    gain = a_t / a_s * s_s**2 / s_t**2  # covariance of x_s and x_t given x, over the variance of x_t
    return a_s * x + gain * (x_t - a_t * x), s_s**2 - gain**2 * s_t**2


@right("best_guess")
def by_softmax(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, alpha * points) ** 2) / (2 * sigma**2)).softmax(1) @ points


@right("best_guess")
def expanded(x_t, points, alpha, sigma):
    logits = (alpha * x_t @ points.T - alpha**2 * points.square().sum(1) / 2) / sigma**2
    return torch.softmax(logits, dim=1) @ points


@right("best_guess")
def one_at_a_time(x_t, points, alpha, sigma):
    rows = []
    for x in np.asarray(x_t):
        level = ((x - alpha * np.asarray(points)) ** 2).sum(1) / (2 * sigma**2)
        w = np.exp(level.min() - level)
        rows.append((w[:, None] * np.asarray(points)).sum(0) / w.sum())
    return np.stack(rows)


@right("training_loss")
def as_told(net, x, a, noise):
    x_t = a.sqrt()[:, None] * x + (1 - a).sqrt()[:, None] * noise
    return (noise - net(x_t, a)).square().sum(1).mean()


@right("training_loss")
def with_reshaped_rates(net, x, a, noise):
    rate = a.reshape(-1, 1)
    return ((net(rate**0.5 * x + (1 - rate) ** 0.5 * noise, a) - noise) ** 2).sum() / len(x)


@right("training_loss")
def with_numpy(net, x, a, noise):
    x, noise, a = np.asarray(x), np.asarray(noise), np.asarray(a)
    x_t = np.sqrt(a)[:, None] * x + np.sqrt(1 - a)[:, None] * noise
    return ((noise - np.asarray(net(x_t, a))) ** 2).sum(1).mean()


@right("step")
def guess_and_put_back(net, x, a, b):
    told = net(x, a)
    return math.sqrt(b) * (x - math.sqrt(1 - a) * told) / math.sqrt(a) + math.sqrt(1 - b) * told


@right("step")
def two_coefficients(net, x, a, b):
    kept = (b / a) ** 0.5
    return kept * x + ((1 - b) ** 0.5 - kept * (1 - a) ** 0.5) * net(x, a)


@right("step")
def in_arrays(net, x, a, b):
    told = np.asarray(net(x, a))
    guess = (np.asarray(x) - np.sqrt(1 - a) * told) / np.sqrt(a)
    return np.sqrt(b) * guess + np.sqrt(1 - b) * told


def mixed(x, noise, low, high):
    return low * x + high * noise


@wrong("jump", "the last step alone")
def last_step(x, betas, noise):
    return mixed(x, noise, (1 - betas[-1]).sqrt(), betas[-1].sqrt())


@wrong("jump", "signal rate stands for its root")
def no_root_of_rate(x, betas, noise):
    kept = (1 - betas).prod()
    return mixed(x, noise, kept, (1 - kept).sqrt())


@wrong("jump", "variance of the noise stands for its root")
def no_root_of_noise(x, betas, noise):
    kept = (1 - betas).prod()
    return mixed(x, noise, kept.sqrt(), 1 - kept)


@wrong("jump", "both roots are missing")
def no_roots(x, betas, noise):
    kept = (1 - betas).prod()
    return mixed(x, noise, kept, 1 - kept)


@wrong("jump", "is not √(1 - ā)")
def one_less_root(x, betas, noise):
    root = (1 - betas).prod().sqrt()
    return mixed(x, noise, root, 1 - root)


@wrong("jump", "exchanged")
def exchanged(x, betas, noise):
    kept = (1 - betas).prod()
    return mixed(x, noise, (1 - kept).sqrt(), kept.sqrt())


@wrong("jump", "betas were multiplied")
def product_of_betas(x, betas, noise):
    return mixed(x, noise, betas.prod().sqrt(), (1 - betas.prod()).sqrt())


@wrong("jump", "betas were added")
def sum_of_betas(x, betas, noise):
    return mixed(x, noise, (1 - betas.sum()).clamp(min=0).sqrt(), betas.sum().sqrt())


@wrong("jump", "do not shrink")
def unshrunk(x, betas, noise):
    return mixed(x, noise, 1.0, (1 - (1 - betas).prod()).sqrt())


def pieces(a_s, s_s, a_t, s_t):
    a = a_t / a_s
    return a, s_t**2 - a**2 * s_s**2


@wrong("posterior", "x and x_t are exchanged")
def other_way(x, x_t, *levels):
    return by_one_denominator(x_t, x, *levels)


@wrong("posterior", "noise of one step is")
def whole_noise(x, x_t, a_s, s_s, a_t, s_t):
    a = a_t / a_s
    precision = 1 / s_s**2 + a**2 / s_t**2
    return (a_s * x / s_s**2 + a * x_t / s_t**2) / precision, 1 / precision


@wrong("posterior", "without x_t")
def prior_mean(x, x_t, a_s, s_s, a_t, s_t):
    return a_s * x, s_s**2


@wrong("posterior", "divide by σ_t²")
def not_divided(x, x_t, a_s, s_s, a_t, s_t):
    a, v = pieces(a_s, s_s, a_t, s_t)
    return a_s * v * x + a * s_s**2 * x_t, v * s_s**2


@wrong("posterior", "σ stands for σ²")
def roots_for_variances(x, x_t, a_s, s_s, a_t, s_t):
    a, v = pieces(a_s, s_s, a_t, s_t)
    return (a_s * v**0.5 * x + a * s_s * x_t) / s_t, v * s_s**2 / s_t**2


@wrong("posterior", "before x_t is missing")
def no_step(x, x_t, a_s, s_s, a_t, s_t):
    a, v = pieces(a_s, s_s, a_t, s_t)
    return (a_s * v * x + s_s**2 * x_t) / s_t**2, v * s_s**2 / s_t**2


@wrong("posterior", "α_s before x is missing")
def no_alpha(x, x_t, a_s, s_s, a_t, s_t):
    a, v = pieces(a_s, s_s, a_t, s_t)
    return (v * x + a * s_s**2 * x_t) / s_t**2, v * s_s**2 / s_t**2


def with_variance(change):
    def answer(x, x_t, a_s, s_s, a_t, s_t):
        v = pieces(a_s, s_s, a_t, s_t)[1]
        return by_one_denominator(x, x_t, a_s, s_s, a_t, s_t)[0], change(v, s_s, s_t)

    return answer


@wrong("posterior", "this is the standard deviation")
def deviation(*inputs):
    return with_variance(lambda v, s, t: (v * s**2 / t**2) ** 0.5)(*inputs)


@wrong("posterior", "noise of the step forward")
def forward(*inputs):
    return with_variance(lambda v, s, t: v)(*inputs)


@wrong("posterior", "x_t says something too")
def deaf(*inputs):
    return with_variance(lambda v, s, t: s**2)(*inputs)


@wrong("posterior", "precisions add")
def added(*inputs):
    return with_variance(lambda v, s, t: v + s**2)(*inputs)


@wrong("posterior", "divide by σ_t², not by σ_t")
def by_deviation(*inputs):
    return with_variance(lambda v, s, t: v * s**2 / t)(*inputs)


@wrong("best_guess", "points shrink too")
def unshrunk_points(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, points) ** 2) / (2 * sigma**2)).softmax(1) @ points


@wrong("best_guess", "near points count more")
def far_points(x_t, points, alpha, sigma):
    return (torch.cdist(x_t, alpha * points) ** 2 / (2 * sigma**2)).softmax(1) @ points


@wrong("best_guess", "not by σ²")
def no_half(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, alpha * points) ** 2) / sigma**2).softmax(1) @ points


@wrong("best_guess", "not by 2 σ")
def sigma_unsquared(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, alpha * points) ** 2) / (2 * sigma)).softmax(1) @ points


@wrong("best_guess", "the distance is squared")
def distance_unsquared(x_t, points, alpha, sigma):
    return (-torch.cdist(x_t, alpha * points) / (2 * sigma**2)).softmax(1) @ points


@wrong("best_guess", "this is the nearest point")
def nearest(x_t, points, alpha, sigma):
    return points[torch.cdist(x_t, alpha * points).argmin(1)]


@wrong("best_guess", "divide by α")
def noisy_mean(x_t, points, alpha, sigma):
    return alpha * by_softmax(x_t, points, alpha, sigma)


@wrong("best_guess", "σ is missing")
def no_sigma(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, alpha * points) ** 2) / 2).softmax(1) @ points


@wrong("best_guess", "not over the batch")
def over_the_batch(x_t, points, alpha, sigma):
    return (-(torch.cdist(x_t, alpha * points) ** 2) / (2 * sigma**2)).softmax(0) @ points


@wrong("best_guess", "torch.softmax subtracts")
def underflows(x_t, points, alpha, sigma):
    w = (-(torch.cdist(x_t, alpha * points) ** 2) / (2 * sigma**2) - 800).exp()
    return w @ points / w.sum(1, keepdim=True)


def squared(off):
    return off.square().sum(1).mean()


def noisier(x, a, noise, low=0.5, high=0.5):
    return a[:, None] ** low * x + (1 - a[:, None]) ** high * noise


@wrong("training_loss", "the roots are missing")
def rates_for_roots(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise, 1, 1), a))


@wrong("training_loss", "root of the signal rate")
def rate_for_root(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise, 1, 0.5), a))


@wrong("training_loss", "root of 1 - a")
def variance_for_deviation(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise, 0.5, 1), a))


@wrong("training_loss", "the noise is not scaled")
def full_noise(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise, 0.5, 0), a))


@wrong("training_loss", "the data do not shrink")
def full_data(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise, 0, 0.5), a))


@wrong("training_loss", "about the clean x")
def clean(net, x, a, noise):
    return squared(noise - net(x, a))


@wrong("training_loss", "signal and noise are exchanged")
def rates_exchanged(net, x, a, noise):
    return squared(noise - net(noisier(x, 1 - a, noise), a))


@wrong("training_loss", "tells the noise, not x")
def wants_x(net, x, a, noise):
    return squared(x - net(noisier(x, a, noise), a))


@wrong("training_loss", "the wanted noise is not scaled")
def wants_scaled(net, x, a, noise):
    return squared((1 - a).sqrt()[:, None] * noise - net(noisier(x, a, noise), a))


@wrong("training_loss", "sum over the features first")
def entries(net, x, a, noise):
    return (noise - net(noisier(x, a, noise), a)).square().mean()


@wrong("training_loss", "a sum over examples")
def no_mean(net, x, a, noise):
    return (noise - net(noisier(x, a, noise), a)).square().sum()


@wrong("training_loss", "no 1/2")
def halved(net, x, a, noise):
    return squared(noise - net(noisier(x, a, noise), a)) / 2


@wrong("training_loss", "the length is not squared")
def length(net, x, a, noise):
    return (noise - net(noisier(x, a, noise), a)).norm(dim=1).mean()


@wrong("training_loss", "each example has its own")
def one_rate(net, x, a, noise):
    return squared(noise - net(noisier(x, a[:1].expand(len(x)), noise), a))


def of_guess(net, x, a, b):
    told = net(x, a)
    return (x - math.sqrt(1 - a) * told) / math.sqrt(a), told


@wrong("step", "the guess alone")
def guess_alone(net, x, a, b):
    return of_guess(net, x, a, b)[0]


@wrong("step", "put back at the old rate")
def old_noise(net, x, a, b):
    guess, told = of_guess(net, x, a, b)
    return math.sqrt(b) * guess + math.sqrt(1 - a) * told


@wrong("step", "shrunk by the old rate")
def old_signal(net, x, a, b):
    guess, told = of_guess(net, x, a, b)
    return math.sqrt(a) * guess + math.sqrt(1 - b) * told


@wrong("step", "the guess is not shrunk")
def full_guess(net, x, a, b):
    guess, told = of_guess(net, x, a, b)
    return guess + math.sqrt(1 - b) * told


@wrong("step", "no noise was put back")
def quiet(net, x, a, b):
    return math.sqrt(b) * of_guess(net, x, a, b)[0]


@wrong("step", "the roots are missing")
def no_roots_back(net, x, a, b):
    guess, told = of_guess(net, x, a, b)
    return b * guess + (1 - b) * told


@wrong("step", "the old x was mixed in")
def old_x(net, x, a, b):
    return math.sqrt(b) * x + math.sqrt(1 - b) * net(x, a)


@wrong("step", "the guess divides by √a")
def undivided(net, x, a, b):
    told = net(x, a)
    return math.sqrt(b) * (x - math.sqrt(1 - a) * told) + math.sqrt(1 - b) * told


@wrong("step", "not by a")
def divided_by_a(net, x, a, b):
    told = net(x, a)
    return math.sqrt(b) * (x - math.sqrt(1 - a) * told) / a + math.sqrt(1 - b) * told


@wrong("step", "not with 1-a")
def variance_taken_out(net, x, a, b):
    told = net(x, a)
    return math.sqrt(b) * (x - (1 - a) * told) / math.sqrt(a) + math.sqrt(1 - b) * told


@wrong("step", "take it out for the guess")
def noise_added(net, x, a, b):
    told = net(x, a)
    return math.sqrt(b) * (x + math.sqrt(1 - a) * told) / math.sqrt(a) + math.sqrt(1 - b) * told


@wrong("step", "asked at the new rate")
def asked_later(net, x, a, b):
    told = net(x, b)
    return math.sqrt(b) * (x - math.sqrt(1 - a) * told) / math.sqrt(a) + math.sqrt(1 - b) * told
