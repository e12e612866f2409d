"""Lab 14: guidance and holes."""

import math

import numpy as np
import torch

from answers import right, wrong

EYE = lambda n: torch.eye(n, dtype=torch.float64)


# Right ways


@right("drop_labels")
def by_where(y, classes, p, u):
    return torch.where(u < p, classes, y)


@right("drop_labels")
def in_arrays(y, classes, p, u):
    told = np.asarray(y).copy()
    told[np.asarray(u) < p] = classes
    return told


@right("drop_labels")
def one_by_one(y, classes, p, u):
    return [classes if float(a) < p else int(b) for a, b in zip(u, y)]


@right("guided")
def past_the_label(net, x, t, y, w, low, high):
    wanted = net(x, t, y)
    return wanted if t < low or t > high else net(x, t, None) + w * (wanted - net(x, t, None))


@right("guided")
def weights_of_both(net, x, t, y, w, low, high):
    w = w if low <= t <= high else 1.0
    return w * np.asarray(net(x, t, y)) + (1 - w) * np.asarray(net(x, t, None))


@right("guided")
def from_the_label_less_one(net, x, t, y, w, low, high):
    D = net(x, t, y)
    return D + (w - 1) * (D - net(x, t, None)) * float(low <= t <= high)


@right("paste")
def by_two_choices(net, x_t, y, kept, alpha, sigma, noise):
    return torch.where(kept, y, net(torch.where(kept, alpha * y + sigma * noise, x_t)))


@right("paste")
def in_place(net, x_t, y, kept, alpha, sigma, noise):
    x_t[:, kept] = alpha * y[kept] + sigma * noise[:, kept]
    guess = net(x_t)
    guess[:, kept] = y[kept]
    return guess


@right("paste")
def by_masks_of_numbers(net, x_t, y, kept, alpha, sigma, noise):
    m = np.asarray(kept).astype(float)
    asked = m * (alpha * np.asarray(y) + sigma * np.asarray(noise)) + (1 - m) * np.asarray(x_t)
    return m * np.asarray(y) + (1 - m) * np.asarray(net(asked))


@right("posterior")
def by_blocks(mean, covariance, kept, y, std):
    C = covariance[:, kept]
    noisy = covariance[kept][:, kept] + std**2 * torch.eye(len(y), dtype=mean.dtype)
    gain = torch.linalg.solve(noisy, C.T).T
    return mean + gain @ (y - mean[kept]), covariance - gain @ C.T


@right("posterior")
def by_precisions(mean, covariance, kept, y, std):
    A = np.eye(len(mean))[np.asarray(kept)]
    before = np.linalg.inv(np.asarray(covariance))
    after = np.linalg.inv(before + A.T @ A / std**2)
    return after @ (before @ np.asarray(mean) + A.T @ np.asarray(y) / std**2), after


@right("posterior")
def one_entry_after_the_other(mean, covariance, kept, y, std):
    m, S = mean.clone(), covariance.clone()
    for i, value in zip(kept.nonzero()[:, 0].tolist(), y):
        gain = S[:, i] / (S[i, i] + std**2)
        m, S = m + gain * (value - m[i]), S - torch.outer(gain, S[i])
    return m, S


def through(net, x_t, value, into=1.0):
    """D + into times the slope of value(D)."""
    x = x_t.detach().requires_grad_()
    guess = net(x)
    return (guess + into * torch.autograd.grad(value(guess), x)[0]).detach()


def apart(guess, y, kept):
    return (y - guess[:, kept]).square().sum()


@right("pull")
def by_autograd(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 + std**2)), sigma**2 / alpha)


@right("pull")
def by_densities(net, x_t, y, kept, alpha, sigma, std, r2):
    law = lambda D: torch.distributions.Normal(D[:, kept], (r2 + std**2) ** 0.5).log_prob(y).sum()
    return through(net, x_t, law, sigma**2 / alpha)


@right("pull")
def by_backward(net, x_t, y, kept, alpha, sigma, std, r2):
    x = x_t.clone().requires_grad_(True)
    guess = net(x)
    loss = apart(guess, y, kept) / (2 * (r2 + std**2))
    loss.backward()
    return guess - sigma**2 / alpha * x.grad


@right("wilson")
def by_pieces(k, n, z):
    p = k / n
    center, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt()
    return torch.stack([center - half, center + half], 1) / (1 + z**2 / n)


@right("wilson")
def by_roots(k, n, z):
    """Of n (p - k/n)^2 = z^2 p (1 - p)."""
    return np.stack([np.sort(np.roots([n + z**2, -(2 * one + z**2), one**2 / n]).real) for one in np.asarray(k)])


@right("wilson")
def one_by_one_in_numbers(k, n, z):
    rows = []
    for p in (float(one) / n for one in k):
        half = math.sqrt(p * (1 - p) * z**2 / n + z**4 / (4 * n**2))
        rows.append([(p + z**2 / (2 * n) + s * half) / (1 + z**2 / n) for s in (-1, 1)])
    return rows


# Wrong ones


@wrong("drop_labels", "no label was dropped")
def never(y, classes, p, u):
    return y


@wrong("drop_labels", "all labels were dropped")
def always(y, classes, p, u):
    return torch.full_like(y, classes)


@wrong("drop_labels", "dropped where u ≥ p")
def kept_and_dropped_exchanged(y, classes, p, u):
    return torch.where(u >= p, classes, y)


@wrong("drop_labels", "class 0 is a class")
def zero(y, classes, p, u):
    return torch.where(u < p, 0, y)


@wrong("drop_labels", "-1 is no index")
def minus_one(y, classes, p, u):
    return torch.where(u < p, -1, y)


@wrong("drop_labels", "the last class")
def last_class(y, classes, p, u):
    return torch.where(u < p, classes - 1, y)


def both(net, x, t, y):
    return net(x, t, y), net(x, t, None)


@wrong("guided", "V and D are swapped")
def swapped(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return D + w * (V - D) if low <= t <= high else D


@wrong("guided", "w + 1")
def from_the_label(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return D + w * (D - V) if low <= t <= high else D


@wrong("guided", "do not sum to 1")
def added(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return V + w * D if low <= t <= high else D


@wrong("guided", "inside the interval w counts")
def outside_in(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return D if low <= t <= high else V + w * (D - V)


@wrong("guided", "both ends belong")
def open_interval(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return V + w * (D - V) if low < t < high else D


@wrong("guided", "outside of the interval w does not count")
def everywhere(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return V + w * (D - V)


@wrong("guided", "the label is still told")
def unlabeled_outside(net, x, t, y, w, low, high):
    D, V = both(net, x, t, y)
    return V + w * (D - V) if low <= t <= high else V


@wrong("guided", "without its label")
def never_told(net, x, t, y, w, low, high):
    return net(x, t, None)


@wrong("paste", "clean pixels were pasted at a noisy time")
def clean(net, x_t, y, kept, alpha, sigma, noise):
    return torch.where(kept, y, net(torch.where(kept, y, x_t)))


@wrong("paste", "the mask is inverted")
def inverted(net, x_t, y, kept, alpha, sigma, noise):
    return by_two_choices(net, x_t, y, ~kept, alpha, sigma, noise)


@wrong("paste", "mask of the first replacement is inverted")
def inverted_before(net, x_t, y, kept, alpha, sigma, noise):
    return torch.where(kept, y, net(torch.where(kept, x_t, alpha * y + sigma * noise)))


@wrong("paste", "before anything was pasted")
def pasted_after(net, x_t, y, kept, alpha, sigma, noise):
    return torch.where(kept, y, net(x_t))


@wrong("paste", "keeps the network's answer")
def pasted_before(net, x_t, y, kept, alpha, sigma, noise):
    return net(torch.where(kept, alpha * y + sigma * noise, x_t))


@wrong("paste", "after the network y is clean")
def noisy_after(net, x_t, y, kept, alpha, sigma, noise):
    pasted = alpha * y + sigma * noise
    return torch.where(kept, pasted, net(torch.where(kept, pasted, x_t)))


@wrong("paste", "y shrinks by α")
def unshrunk(net, x_t, y, kept, alpha, sigma, noise):
    return _pasted(net, x_t, y, kept, y + sigma * noise)


@wrong("paste", "scaled by σ")
def unscaled(net, x_t, y, kept, alpha, sigma, noise):
    return _pasted(net, x_t, y, kept, alpha * y + noise)


@wrong("paste", "σ, not σ²")
def variance_for_std(net, x_t, y, kept, alpha, sigma, noise):
    return _pasted(net, x_t, y, kept, alpha * y + sigma**2 * noise)


@wrong("paste", "one noise for all rows")
def same_noise(net, x_t, y, kept, alpha, sigma, noise):
    return _pasted(net, x_t, y, kept, alpha * y + sigma * noise[:1])


def _pasted(net, x_t, y, kept, pasted):
    return torch.where(kept, y, net(torch.where(kept, pasted, x_t)))


def gain_of(covariance, kept, extra):
    C = covariance[:, kept]
    return C @ torch.linalg.inv(covariance[kept][:, kept] + extra * EYE(int(kept.sum())))


@wrong("posterior", "τ² is missing in S + τ² I")
def noiseless(mean, covariance, kept, y, std):
    G = gain_of(covariance, kept, 0.0)
    return mean + G @ (y - mean[kept]), covariance - G @ covariance[kept]


@wrong("posterior", "τ stands for τ²")
def std_for_variance(mean, covariance, kept, y, std):
    G = gain_of(covariance, kept, std)
    return mean + G @ (y - mean[kept]), covariance - G @ covariance[kept]


@wrong("posterior", "mean of what is seen is missing")
def not_centered(mean, covariance, kept, y, std):
    G = gain_of(covariance, kept, std**2)
    return mean + G @ y, covariance - G @ covariance[kept]


@wrong("posterior", "mean before y is missing")
def only_the_gain(mean, covariance, kept, y, std):
    G = gain_of(covariance, kept, std**2)
    return G @ (y - mean[kept]), covariance - G @ covariance[kept]


@wrong("posterior", "pulls up")
def minus(mean, covariance, kept, y, std):
    G = gain_of(covariance, kept, std**2)
    return mean - G @ (y - mean[kept]), covariance - G @ covariance[kept]


@wrong("posterior", "y was copied")
def copied(mean, covariance, kept, y, std):
    told = mean.clone()
    told[kept] = y
    return told, covariance


@wrong("posterior", "take all rows of C")
def only_what_is_seen(mean, covariance, kept, y, std):
    told = mean.clone()
    told[kept] = by_blocks(mean, covariance, kept, y, std)[0][kept]
    return told, covariance


@wrong("posterior", "covariance before y")
def as_before(mean, covariance, kept, y, std):
    return by_blocks(mean, covariance, kept, y, std)[0], covariance


@wrong("posterior", "takes uncertainty away")
def grows(mean, covariance, kept, y, std):
    told, after = by_blocks(mean, covariance, kept, y, std)
    return told, 2 * covariance - after


@wrong("posterior", "noise of y is no part of x")
def of_the_next_look(mean, covariance, kept, y, std):
    told, after = by_blocks(mean, covariance, kept, y, std)
    return told, after + std**2 * EYE(len(mean))


@wrong("posterior", "variances alone")
def diagonal(mean, covariance, kept, y, std):
    told, after = by_blocks(mean, covariance, kept, y, std)
    return told, torch.diag(after.diagonal())


@wrong("pull", "must not be detached")
def detached(net, x_t, y, kept, alpha, sigma, std, r2):
    guess = net(x_t).detach().requires_grad_()
    value = -apart(guess, y, kept) / (2 * (r2 + std**2))
    return (guess + sigma**2 / alpha * torch.autograd.grad(value, guess)[0]).detach()


@wrong("pull", "go up the log-density")
def downhill(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: apart(D, y, kept) / (2 * (r2 + std**2)), sigma**2 / alpha)


@wrong("pull", "pulls D, not x_t")
def from_x(net, x_t, y, kept, alpha, sigma, std, r2):
    return x_t + by_autograd(net, x_t, y, kept, alpha, sigma, std, r2) - net(x_t)


@wrong("pull", "has a 1/2")
def without_half(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (r2 + std**2), sigma**2 / alpha)


@wrong("pull", "not by twice of it")
def half_twice(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (4 * (r2 + std**2)), sigma**2 / alpha)


@wrong("pull", "this is DPS for every r")
def always_dps(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * std**2), sigma**2 / alpha)


@wrong("pull", "τ stands for τ²")
def std_of_noise(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 + std)), sigma**2 / alpha)


@wrong("pull", "τ² is missing")
def cloud_alone(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 or std**2)), sigma**2 / alpha)


@wrong("pull", "variances add, not deviations")
def deviations_added(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2**0.5 + std) ** 2), sigma**2 / alpha)


@wrong("pull", "σ²/α before the slope is missing")
def bare_slope(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 + std**2)))


@wrong("pull", "σ stands for σ²")
def std_of_level(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 + std**2)), sigma / alpha)


@wrong("pull", "divide by α")
def without_alpha(net, x_t, y, kept, alpha, sigma, std, r2):
    return through(net, x_t, lambda D: -apart(D, y, kept) / (2 * (r2 + std**2)), sigma**2)


@wrong("pull", "the guess before the pull")
def no_pull(net, x_t, y, kept, alpha, sigma, std, r2):
    return net(x_t)


@wrong("pull", "summed over what is seen")
def mean_of_seen(net, x_t, y, kept, alpha, sigma, std, r2):
    mean = lambda D: -apart(D, y, kept) / len(y) / (2 * (r2 + std**2))
    return through(net, x_t, mean, sigma**2 / alpha)


@wrong("pull", "each row has its own slope")
def mean_of_rows(net, x_t, y, kept, alpha, sigma, std, r2):
    mean = lambda D: -apart(D, y, kept) / len(D) / (2 * (r2 + std**2))
    return through(net, x_t, mean, sigma**2 / alpha)


def pieces(k, n, z):
    p = k / n
    return p, p + z**2 / (2 * n), p * (1 - p) / n, z**2 / (4 * n**2), 1 + z**2 / n


def ends(center, half, by=1.0):
    return torch.stack([center - half, center + half], 1) / by


@wrong("wilson", "naive interval")
def wald(k, n, z):
    p, _, var, *_ = pieces(k, n, z)
    return ends(p, z * var.sqrt())


@wrong("wilson", "divisor 1 + z²/n is missing")
def undivided(k, n, z):
    _, center, var, extra, _ = pieces(k, n, z)
    return ends(center, z * (var + extra).sqrt())


@wrong("wilson", "under the half width too")
def half_undivided(k, n, z):
    _, center, var, extra, by = pieces(k, n, z)
    return ends(center / by, z * (var + extra).sqrt())


@wrong("wilson", "the center is")
def not_shifted(k, n, z):
    p, _, var, extra, by = pieces(k, n, z)
    return ends(p, z * (var + extra).sqrt(), by)


@wrong("wilson", "under the root is missing")
def naive_root(k, n, z):
    _, center, var, _, by = pieces(k, n, z)
    return ends(center, z * var.sqrt(), by)


@wrong("wilson", "z stands before the root")
def without_z(k, n, z):
    _, center, var, extra, by = pieces(k, n, z)
    return ends(center, (var + extra).sqrt(), by)


@wrong("wilson", "lower end comes first")
def turned(k, n, z):
    return by_pieces(k, n, z).flip(1)


@wrong("wilson", "the root is missing")
def variance(k, n, z):
    _, center, var, extra, by = pieces(k, n, z)
    return ends(center, z * (var + extra), by)


@wrong("wilson", "shares, not counts")
def counts(k, n, z):
    return n * by_pieces(k, n, z)
