"""Lab 04: amortized inference."""

import math

import numpy as np
import torch
from torch.distributions import Independent, Normal, kl_divergence

from answers import right, wrong

# kl


@right("kl")
def by_formula(mean, log_std):
    return 0.5 * (mean**2 + (2 * log_std).exp() - 2 * log_std - 1).sum(1)


@right("kl")
def by_distributions(mean, log_std):
    q = Independent(Normal(mean, log_std.exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    return kl_divergence(q, p)


@right("kl")
def by_loops(mean, log_std):
    out = []
    for m, s in zip(mean.tolist(), log_std.tolist()):
        out.append(sum(a * a / 2 + math.exp(2 * b) / 2 - b - 0.5 for a, b in zip(m, s)))
    return out


@right("kl")
def kl_with_numpy(mean, log_std):
    mean, log_std = np.asarray(mean, dtype=np.float32), np.asarray(log_std, dtype=np.float32)
    return np.sum(mean**2 / 2 + np.expm1(2 * log_std) / 2 - log_std, axis=1)


@wrong("kl", "the sign: a KL is never negative")  # as printed in the equation of a public course
def negative(mean, log_std):
    return -by_formula(mean, log_std)


@wrong("kl", "a sum, not a mean")  # podgorskiy/VAE#1
def mean_over_latents(mean, log_std):
    return by_formula(mean, log_std) / mean.shape[1]


@wrong("kl", "the ½ is missing")
def half_forgotten(mean, log_std):
    return 2 * by_formula(mean, log_std)


@wrong("kl", "-1 is missing")
def one_forgotten(mean, log_std):
    return 0.5 * (mean**2 + (2 * log_std).exp() - 2 * log_std).sum(1)


@wrong("kl", "log of the variance")
def log_std_as_log_variance(mean, log_std):
    return 0.5 * (mean**2 + log_std.exp() - log_std - 1).sum(1)


@wrong("kl", "not to log std")
def half_of_all(mean, log_std):
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - log_std).sum(1)


@wrong("kl", "std enters as its square")
def std_not_squared(mean, log_std):
    return 0.5 * (mean**2 + log_std.exp() - 2 * log_std - 1).sum(1)


@wrong("kl", "the mean is missing")
def mean_forgotten(mean, log_std):
    return 0.5 * ((2 * log_std).exp() - 2 * log_std - 1).sum(1)


@wrong("kl", "the other way round")
def reversed_kl(mean, log_std):
    return kl_divergence(Normal(0.0, 1.0), Normal(mean, log_std.exp())).sum(1)


@wrong("kl", "independent latents is a sum")
def latent_by_latent(mean, log_std):
    return 0.5 * (mean**2 + (2 * log_std).exp() - 2 * log_std - 1)


@wrong("kl", "the mean over a batch comes later")
def batch_mean(mean, log_std):
    return by_formula(mean, log_std).mean()


# loss


def terms(x, encoder, decoder, sigma, noise):
    mean, log_std = encoder(x)
    z = mean + log_std.exp() * noise
    return -Normal(decoder(z), sigma).log_prob(x), kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0))


@right("loss")
def by_terms(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return (fit.sum(1) + beta * price.sum(1)).mean()


@right("loss")
def example_by_example(x, encoder, decoder, sigma, noise, beta):
    total = 0.0
    for i in range(len(x)):
        fit, price = terms(x[i : i + 1], encoder, decoder, sigma, noise[i : i + 1])
        total = total + fit.sum() + beta * price.sum()
    return float(total) / len(x)


@right("loss")
def loss_with_numpy(x, encoder, decoder, sigma, noise, beta):
    mean, log_std = (np.asarray(t) for t in encoder(x))
    x, noise = np.asarray(x), np.asarray(noise)
    f = np.asarray(decoder(torch.as_tensor(mean + np.exp(log_std) * noise)))
    fit = ((x - f) ** 2 / (2 * sigma**2) + np.log(sigma * np.sqrt(2 * np.pi))).sum(1)
    price = 0.5 * (mean**2 + np.exp(2 * log_std) - 2 * log_std - 1).sum(1)
    return (fit + beta * price).mean()


@wrong("loss", "it is added")
def kl_taken_away(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return (fit.sum(1) - beta * price.sum(1)).mean()


@wrong("loss", "a loss falls as")
def bound(x, encoder, decoder, sigma, noise, beta):
    return -by_terms(x, encoder, decoder, sigma, noise, beta)


@wrong("loss", "beta is missing")
def beta_forgotten(x, encoder, decoder, sigma, noise, beta):
    return by_terms(x, encoder, decoder, sigma, noise, 1.0)


@wrong("loss", "beta belongs to the KL alone")
def beta_outside(x, encoder, decoder, sigma, noise, beta):
    return beta * by_terms(x, encoder, decoder, sigma, noise, 1.0)


@wrong("loss", "a mean over features hides beta")
def mean_over_pixels(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return fit.mean() + beta * price.sum(1).mean()


@wrong("loss", "these are means")  # orybkin/sigma-vae-tensorflow#2
def means_everywhere(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return fit.mean() + beta * price.mean()


@wrong("loss", "a mean over latents hides beta")
def kl_of_one_latent(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return fit.sum(1).mean() + beta * price.mean()


@wrong("loss", "over the batch a mean")
def sum_over_batch(x, encoder, decoder, sigma, noise, beta):
    return len(x) * by_terms(x, encoder, decoder, sigma, noise, beta)


def _pieces(x, encoder, decoder, sigma, noise):
    mean, log_std = encoder(x)
    q = Normal(mean, log_std.exp())
    z = mean + log_std.exp() * noise
    return q, z, -Normal(decoder(z), sigma).log_prob(x).sum(1), kl_divergence(q, Normal(0.0, 1.0))


@wrong("loss", "added up over the batch")
def kl_of_the_batch(x, encoder, decoder, sigma, noise, beta):
    _, _, fit, price = _pieces(x, encoder, decoder, sigma, noise)
    return fit.mean() + beta * price.sum()


@wrong("loss", "estimated from the draw")
def kl_of_the_draw(x, encoder, decoder, sigma, noise, beta):
    q, z, fit, _ = _pieces(x, encoder, decoder, sigma, noise)
    return (fit + beta * (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)).mean()


@wrong("loss", "neither the sum over features nor σ")
def mse_loss(x, encoder, decoder, sigma, noise, beta):
    _, z, _, price = _pieces(x, encoder, decoder, sigma, noise)
    return torch.nn.functional.mse_loss(decoder(z), x) + beta * price.sum(1).mean()


@wrong("loss", "decode a draw, not the mean")
def autoencoder(x, encoder, decoder, sigma, noise, beta):
    return by_terms(x, encoder, decoder, sigma, 0 * noise, beta)


@wrong("loss", "divide by 2σ²")
def squared_error(x, encoder, decoder, sigma, noise, beta):
    mean, log_std = encoder(x)
    _, price = terms(x, encoder, decoder, sigma, noise)
    z = mean + log_std.exp() * noise
    return ((x - decoder(z)) ** 2).sum(1).mean() + beta * price.sum(1).mean()


@wrong("loss", "exp comes before the noise")
def exp_forgotten(x, encoder, decoder, sigma, noise, beta):
    mean, log_std = encoder(x)
    _, price = terms(x, encoder, decoder, sigma, noise)
    return -Normal(decoder(mean + log_std * noise), sigma).log_prob(x).sum(1).mean() + beta * price.sum(1).mean()


@wrong("loss", "the mean over the batch")
def loss_of_each(x, encoder, decoder, sigma, noise, beta):
    fit, price = terms(x, encoder, decoder, sigma, noise)
    return fit.sum(1) + beta * price.sum(1)


# beta_in_nats


@right("beta_in_nats")
def in_one_line(weight, features, latents, sigma):
    return weight * features / (2 * sigma**2 * latents)


@right("beta_in_nats")
def by_two_factors(weight, features, latents, sigma):
    unit = 2 * sigma**2 / features  # of the mean squared error, in nats
    return torch.tensor(weight / latents) / unit


@right("beta_in_nats")
def by_logarithms(weight, features, latents, sigma):
    return np.exp(np.log(weight) + np.log(features) - np.log(2) - 2 * np.log(sigma) - np.log(latents))


@wrong("beta_in_nats", "that is the weight itself")  # a public course trains with "beta = 0.1", which is 7.8 in nats
def weight_itself(weight, features, latents, sigma):
    return weight


@wrong("beta_in_nats", "the noise is missing")
def noise_forgotten(weight, features, latents, sigma):
    return weight * features / latents


@wrong("beta_in_nats", "multiply by d")  # zdebruine/MMVAE#19
def features_forgotten(weight, features, latents, sigma):
    return weight / (2 * sigma**2 * latents)


@wrong("beta_in_nats", "divide by L")
def latents_forgotten(weight, features, latents, sigma):
    return weight * features / (2 * sigma**2)


@wrong("beta_in_nats", "changed places")
def upside_down(weight, features, latents, sigma):
    return weight * latents / (2 * sigma**2 * features)


@wrong("beta_in_nats", "2σ² multiplies")
def noise_above(weight, features, latents, sigma):
    return weight * features * 2 * sigma**2 / latents


@wrong("beta_in_nats", "the 2 of 2σ² is missing")
def two_forgotten(weight, features, latents, sigma):
    return weight * features / (sigma**2 * latents)


@wrong("beta_in_nats", "this is 1/β")
def one_over(weight, features, latents, sigma):
    return 2 * sigma**2 * latents / (weight * features)


# free_bits


@right("free_bits")
def by_clamp(prices, floor):
    return prices.mean(0).clamp(min=floor).sum()


@right("free_bits")
def by_maximum(prices, floor):
    mean = prices.mean(dim=0)
    return torch.maximum(mean, torch.full_like(mean, floor)).sum()


@right("free_bits")
def by_python(prices, floor):
    return sum(max(floor, sum(column) / len(column)) for column in zip(*prices.tolist()))


@wrong("free_bits", "each of them costs the floor")
def no_floor(prices, floor):
    return prices.mean(0).sum()


@wrong("free_bits", "not to each example")  # weipu-zhang/STORM#12
def floor_for_each_example(prices, floor):
    return prices.clamp(min=floor).sum(1).mean()


@wrong("free_bits", "one floor for each latent")
def floor_under_all(prices, floor):
    return torch.clamp(prices.mean(), min=floor)


@wrong("free_bits", "under single latents")
def floor_of_the_sum(prices, floor):
    return prices.sum(1).mean().clamp(min=floor + 0)


@wrong("free_bits", "max, not min")
def ceiling(prices, floor):
    return prices.mean(0).clamp(max=floor).sum()


@wrong("free_bits", "a sum, not a mean")
def mean_over_latents_too(prices, floor):
    return prices.mean(0).clamp(min=floor).mean()


@wrong("free_bits", "free of gradient")
def taken_off(prices, floor):
    return (prices.mean(0) - floor).relu().sum()


@wrong("free_bits", "was dropped")  # valdersoul/bn-vae#2
def dropped(prices, floor):
    means = prices.mean(0)
    return (means * (means > floor)).sum()


@wrong("free_bits", "over the batch a mean, not a sum")
def sum_over_examples(prices, floor):
    return prices.sum(0).clamp(min=floor).sum()


@wrong("free_bits", "sum over the latents at the end")
def one_a_latent(prices, floor):
    return prices.mean(0).clamp(min=floor)


# active_units


@right("active_units")
def by_var(means, threshold):
    return means.var(0) > threshold


@right("active_units")
def by_numpy(means, threshold):
    return np.var(np.asarray(means), axis=0) > threshold


@right("active_units")
def list_of_bools(means, threshold):
    return [bool(((m - m.mean()) ** 2).mean() > threshold) for m in means.T]


@right("active_units")
def ones_and_zeros(means, threshold):
    return (torch.cov(means.T).diagonal() > threshold).int()


@wrong("active_units", "the rule is about the variance")
def by_std(means, threshold):
    return means.std(0) > threshold


@wrong("active_units", "not how large")
def by_square(means, threshold):
    return (means**2).mean(0) > threshold


@wrong("active_units", "not where the means lie")
def by_mean(means, threshold):
    return means.mean(0).abs() > threshold


@wrong("active_units", "turned around: active")
def passive(means, threshold):
    return means.var(0) <= threshold


@wrong("active_units", "compare them with the threshold")
def variances(means, threshold):
    return means.var(0)


@wrong("active_units", "that is how many")
def count(means, threshold):
    return (means.var(0) > threshold).sum()


@wrong("active_units", "all are called active")
def everything(means, threshold):
    return torch.ones(means.shape[1], dtype=torch.bool)
