"""Lab 03: the bound, and inference by gradient."""

import math

import numpy as np
import torch
from torch.distributions import Independent, Normal, kl_divergence

from answers import right, wrong

# elbo_terms


def three(x, z, mean, std, decoder, sigma):
    fit = Normal(decoder(z), sigma).log_prob(x).sum(-1)
    prior = Normal(0.0, 1.0).log_prob(z).sum(-1)
    return fit, prior, Normal(mean, std).log_prob(z).sum(-1)


@right("elbo_terms")
def by_independent(x, z, mean, std, decoder, sigma):
    p = Independent(Normal(decoder(z), sigma), 1).log_prob(x)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1).log_prob(z)
    return p + prior - Independent(Normal(mean, std), 1).log_prob(z)


@right("elbo_terms")
def by_formula(x, z, mean, std, decoder, sigma):
    log_normal = lambda v, m, s: (-0.5 * ((v - m) / s) ** 2 - math.log(2 * math.pi) / 2 - torch.log(s)).sum(1)
    one = torch.ones_like(std)
    p = log_normal(x, decoder(z), sigma * torch.ones_like(x))
    return p + log_normal(z, 0.0, one) - log_normal(z, mean, std)


@right("elbo_terms")
def draw_by_draw(x, z, mean, std, decoder, sigma):
    out = torch.zeros(len(z))
    for s in range(len(z)):
        fit, prior, q = three(x, z[s : s + 1], mean, std, decoder, sigma)
        out[s] = (fit + prior - q)[0]
    return out


@right("elbo_terms")
def with_numpy(x, z, mean, std, decoder, sigma):
    x, mean, std, f = np.asarray(x), np.asarray(mean), np.asarray(std), np.asarray(decoder(z))
    z = np.asarray(z)
    log_normal = lambda v, m, s: (-0.5 * ((v - m) / s) ** 2 - np.log(2 * np.pi * s**2) / 2).sum(1)
    return log_normal(x, f, sigma) + log_normal(z, 0, 1.0) - log_normal(z, mean, std)


@wrong("elbo_terms", "log q(z) is taken away")
def q_added(*given):
    fit, prior, q = three(*given)
    return fit + prior + q


@wrong("elbo_terms", "log q(z) is missing")
def joint_alone(*given):
    fit, prior, q = three(*given)
    return fit + prior


@wrong("elbo_terms", "log p(z) is missing")
def prior_forgotten(*given):
    fit, prior, q = three(*given)
    return fit - q


@wrong("elbo_terms", "log p(x|z) is missing")
def minus_kl(*given):
    fit, prior, q = three(*given)
    return prior - q


@wrong("elbo_terms", "this is the formula of the KL")
def kl_in_closed_form(x, z, mean, std, decoder, sigma):
    fit = Normal(decoder(z), sigma).log_prob(x).sum(1)
    return fit - kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum()


@wrong("elbo_terms", "added up over the draws as well")
def all_draws_together(x, z, mean, std, decoder, sigma):
    fit = Normal(decoder(z), sigma).log_prob(x).sum()
    return fit + (Normal(0.0, 1.0).log_prob(z) - Normal(mean, std).log_prob(z)).sum(1)


@wrong("elbo_terms", "this is the loss")
def loss(*given):
    fit, prior, q = three(*given)
    return q - fit - prior


@wrong("elbo_terms", "features are independent")
def mean_over_features(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return fit / len(x) + prior - q


@wrong("elbo_terms", "latents are independent")
def mean_over_latents(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return fit + (prior - q) / len(mean)


@wrong("elbo_terms", "was used as a variance")  # hill-a/stable-baselines#1059
def sigma_taken_for_variance(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return Normal(decoder(z), math.sqrt(sigma)).log_prob(x).sum(-1) + prior - q


@wrong("elbo_terms", "sigma² was given")
def variance_taken_for_sigma(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return Normal(decoder(z), sigma**2).log_prob(x).sum(-1) + prior - q


@wrong("elbo_terms", "the constant of log p(x|z) is missing")
def constant_dropped(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return -(x - decoder(z)).square().sum(-1) / (2 * sigma**2) + prior - q


@wrong("elbo_terms", "a squared error is not yet")
def squared_error(x, z, mean, std, decoder, sigma):
    fit, prior, q = three(x, z, mean, std, decoder, sigma)
    return -(x - decoder(z)).square().sum(-1) + prior - q


@wrong("elbo_terms", "the mean comes later")
def averaged(*given):
    fit, prior, q = three(*given)
    return (fit + prior - q).mean()


# draw


@right("draw")
def by_noise(mean, log_std, n):
    return mean + log_std.exp() * torch.randn(n, len(mean))


@right("draw")
def by_rsample(mean, log_std, n):
    return Normal(mean, log_std.exp()).rsample((n,))


@right("draw")
def one_at_a_time(mean, log_std, n):
    return torch.stack([mean + torch.randn_like(mean) * torch.exp(log_std) for _ in range(n)])


@right("draw")
def float32_alone(mean, log_std, n):
    noise = torch.randn(n, len(mean))
    return torch.addcmul(mean.float(), log_std.float().exp(), noise)


@wrong("draw", "the noise must be normal")
def uniform_noise(mean, log_std, n):
    return mean + log_std.exp() * torch.rand(n, len(mean))


@wrong("draw", "log_std is a logarithm")
def exp_forgotten(mean, log_std, n):
    return mean + log_std * torch.randn(n, len(mean))


@wrong("draw", "not of the variance: no half")
def log_variance(mean, log_std, n):
    return mean + (0.5 * log_std).exp() * torch.randn(n, len(mean))


@wrong("draw", "this has it squared")  # rachtsingh/ibp_vae#3
def variance(mean, log_std, n):
    return mean + (2 * log_std).exp() * torch.randn(n, len(mean))


@wrong("draw", "scale it with std")
def noise_not_scaled(mean, log_std, n):
    return mean + 0 * log_std + torch.randn(n, len(mean))


@wrong("draw", "is the mean added?")
def mean_forgotten(mean, log_std, n):
    return log_std.exp() * torch.randn(n, len(mean))


@wrong("draw", "rsample() does not")
def by_sample(mean, log_std, n):
    return Normal(mean, log_std.exp()).sample((n,))


@wrong("draw", "no gradient reaches log_std")
def std_detached(mean, log_std, n):
    return mean + log_std.detach().exp() * torch.randn(n, len(mean))


@wrong("draw", "no gradient reaches the mean")
def mean_detached(mean, log_std, n):
    return mean.detach() + log_std.exp() * torch.randn(n, len(mean))


@wrong("draw", "each needs noise of its own")
def one_noise_for_all(mean, log_std, n):
    return (mean + log_std.exp() * torch.randn(len(mean))).expand(n, -1)


@wrong("draw", "the latents share their noise")
def one_noise_for_all_latents(mean, log_std, n):
    return mean + log_std.exp() * torch.randn(n, 1)


@wrong("draw", "leave the seed to the caller")
def own_seed(mean, log_std, n):
    torch.manual_seed(0)
    return mean + log_std.exp() * torch.randn(n, len(mean))


@wrong("draw", "the noise is not normal")
def coin_flips(mean, log_std, n):
    return mean + log_std.exp() * (2 * torch.randint(2, (n, len(mean))) - 1)


# ascend


@right("ascend")
def by_autograd_grad(bound, mean, log_std, steps, rate):
    for _ in range(steps):
        mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
        by_mean, by_log_std = torch.autograd.grad(bound(mean, log_std), (mean, log_std))
        mean, log_std = mean + rate * by_mean, log_std + rate * by_log_std
    return mean.detach(), log_std.detach()


@right("ascend")
def by_backward_in_place(bound, mean, log_std, steps, rate):
    mean.requires_grad_(), log_std.requires_grad_()
    for _ in range(steps):
        bound(mean, log_std).backward()
        with torch.no_grad():
            for parameter in (mean, log_std):
                parameter += rate * parameter.grad
                parameter.grad.zero_()
    return mean, log_std


@right("ascend")
def by_sgd(bound, mean, log_std, steps, rate):
    mean, log_std = torch.nn.Parameter(mean), torch.nn.Parameter(log_std)
    optimizer = torch.optim.SGD([mean, log_std], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        (-bound(mean, log_std)).backward()
        optimizer.step()
    return [mean, log_std]


@right("ascend")
def ascend_in_float32(bound, mean, log_std, steps, rate):
    nu = torch.stack([mean, log_std]).float()
    for _ in range(steps):
        nu = nu.detach().requires_grad_()
        (slope,) = torch.autograd.grad(bound(nu[0], nu[1]), nu)
        nu = nu + rate * slope
    return nu[0], nu[1]


def sgd(bound, mean, log_std, steps, rate, *, sign=-1.0, zero=True, which=(0, 1)):
    parameters = [torch.nn.Parameter(mean), torch.nn.Parameter(log_std)]
    optimizer = torch.optim.SGD([parameters[i] for i in which], lr=rate)
    for _ in range(steps):
        if zero:
            optimizer.zero_grad()
        (sign * bound(*parameters)).backward()
        optimizer.step()
    return parameters


@wrong("ascend", "both must climb")
def descent(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps, rate, sign=1.0)


@wrong("ascend", "set them to zero before each step")  # wenet-e2e/wekws#72
def zero_grad_forgotten(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps, rate, zero=False)


@wrong("ascend", "log_std did not move")
def mean_alone(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps, rate, which=(0,))


@wrong("ascend", "the mean did not move")
def log_std_alone(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps, rate, which=(1,))


@wrong("ascend", "nothing moved")
def start_returned(bound, mean, log_std, steps, rate):
    sgd(bound, mean.clone(), log_std.clone(), steps, rate)
    return mean, log_std


@wrong("ascend", "one step is missing")
def from_one(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps - 1, rate)


@wrong("ascend", "one step too many")
def to_steps_included(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps + 1, rate)


@wrong("ascend", "the rate was forgotten")
def full_gradient(bound, mean, log_std, steps, rate):
    return sgd(bound, mean, log_std, steps, 1.0)


@wrong("ascend", "both move at once")
def by_turns(bound, mean, log_std, steps, rate):
    for _ in range(steps):
        mean = sgd(bound, mean.detach(), log_std.detach(), 1, rate, which=(0,))[0]
        log_std = sgd(bound, mean.detach(), log_std.detach(), 1, rate, which=(1,))[1]
    return mean, log_std


@wrong("ascend", "the bound was never asked")
def nothing_done(bound, mean, log_std, steps, rate):
    return mean, log_std


# log_evidence


def joint(x, decoder, sigma, grid):
    fit = Normal(decoder(grid[:, None]), sigma).log_prob(x)
    return fit, Normal(0.0, 1.0).log_prob(grid)


@right("log_evidence")
def by_logsumexp(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.sum(1) + prior).logsumexp(0) + math.log(grid[1] - grid[0])


@right("log_evidence")
def trapezoids(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    log_joint = fit.sum(1) + prior
    return log_joint.max() + torch.trapezoid((log_joint - log_joint.max()).exp(), grid).log()


@right("log_evidence")
def point_by_point(x, decoder, sigma, grid):
    values = []
    for z in grid:
        f = decoder(z.reshape(1, 1))[0]
        value = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        values.append(value - ((x - f) ** 2).sum() / (2 * sigma**2) - len(x) * math.log(sigma * math.sqrt(2 * math.pi)))
    values = np.array([float(v) for v in values])
    return np.logaddexp.reduce(values) + np.log(float(grid[1] - grid[0]))


@wrong("log_evidence", "the width of a cell is missing")
def no_width(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.sum(1) + prior).logsumexp(0)


@wrong("log_evidence", "the mean over the grid is no integral")
def mean_over_grid(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.sum(1) + prior).logsumexp(0) - math.log(len(grid))


@wrong("log_evidence", "the prior is missing")
def no_prior(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return fit.sum(1).logsumexp(0) + (grid[1] - grid[0]).log()


@wrong("log_evidence", "inside the logarithm")
def logarithms_summed(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.sum(1) + prior).sum() * (grid[1] - grid[0])


@wrong("log_evidence", "integrate over z")
def best_z(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.sum(1) + prior).max()


@wrong("log_evidence", "added, not averaged")
def mean_over_pixels(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return (fit.mean(1) + prior).logsumexp(0) + (grid[1] - grid[0]).log()


@wrong("log_evidence", "was used as a variance")
def evidence_sigma_for_variance(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, math.sqrt(sigma), grid)
    return (fit.sum(1) + prior).logsumexp(0) + (grid[1] - grid[0]).log()


@wrong("log_evidence", "this is p(x)")
def evidence_itself(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return ((fit.sum(1) + prior).exp() * (grid[1] - grid[0])).sum()


@wrong("log_evidence", "exp underflows here")  # microsoft/knossos-ksc#523
def exp_then_log(x, decoder, sigma, grid):
    fit, prior = joint(x, decoder, sigma, grid)
    return ((fit.sum(1) + prior).exp().sum() * (grid[1] - grid[0])).log()


# gap


def normalized(log_joint, step):
    return log_joint - log_joint.logsumexp(0) - math.log(step)


@right("gap")
def posterior_first(log_q, log_joint, step):
    return (log_q.exp() * (log_q - normalized(log_joint, step))).sum() * step


@right("gap")
def evidence_minus_bound(log_q, log_joint, step):
    bound = torch.sum(torch.exp(log_q) * (log_joint - log_q)) * step
    return torch.logsumexp(log_joint, 0) + np.log(step) - bound


@right("gap")
def with_numpy_trapezoids(log_q, log_joint, step):
    log_q, log_joint = np.asarray(log_q), np.asarray(log_joint)
    log_p = log_joint - np.log(np.trapezoid(np.exp(log_joint), dx=step))
    return np.trapezoid(np.exp(log_q) * (log_q - log_p), dx=step)


@wrong("gap", "take log p(x) away first")
def joint_for_posterior(log_q, log_joint, step):
    return (log_q.exp() * (log_q - log_joint)).sum() * step


@wrong("gap", "log p(x) was added")
def evidence_added(log_q, log_joint, step):
    log_px = log_joint.logsumexp(0) + math.log(step)
    return (log_q.exp() * (log_q - log_joint)).sum() * step - log_px


@wrong("gap", "the sign: log q - log p(z|x)")
def negative(log_q, log_joint, step):
    return (log_q.exp() * (normalized(log_joint, step) - log_q)).sum() * step


@wrong("gap", "this is the bound itself")
def bound_itself(log_q, log_joint, step):
    return (log_q.exp() * (log_joint - log_q)).sum() * step


@wrong("gap", "taken under q, not under p(z|x)")
def reversed_kl(log_q, log_joint, step):
    log_p = normalized(log_joint, step)
    return (log_p.exp() * (log_p - log_q)).sum() * step


@wrong("gap", "the step of the grid is missing")
def no_step(log_q, log_joint, step):
    return (log_q.exp() * (log_q - normalized(log_joint, step))).sum()


@wrong("gap", "the step is missing in log p(x)")
def step_only_outside(log_q, log_joint, step):
    return (log_q.exp() * (log_q - log_joint + log_joint.logsumexp(0))).sum() * step


@wrong("gap", "no average under q")
def mean_of_grid(log_q, log_joint, step):
    return (log_q.exp() * (log_q - normalized(log_joint, step))).mean()


@wrong("gap", "q is missing")
def not_weighted(log_q, log_joint, step):
    return (log_q - normalized(log_joint, step)).sum() * step


@wrong("gap", "log q is missing")
def cross_entropy(log_q, log_joint, step):
    return -(log_q.exp() * normalized(log_joint, step)).sum() * step
