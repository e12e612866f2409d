"""Lab 01: mixtures of Gaussians."""

import math

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch.distributions import Categorical, MixtureSameFamily, Normal

from answers import right, wrong

# log_joint


@right("log_joint")
def by_distributions(x, weights, means, stds):
    return weights.log() + Normal(means, stds).log_prob(x[:, None])


@right("log_joint")
def one_by_one(x, weights, means, stds):
    out = torch.zeros(len(x), len(weights))  # float32, whatever came in
    for n in range(len(x)):
        for k in range(len(weights)):
            square = ((x[n] - means[k]) / stds[k]) ** 2
            out[n, k] = math.log(weights[k]) - 0.5 * square - math.log(stds[k]) - 0.5 * math.log(2 * math.pi)
    return out


@right("log_joint")
def with_scipy(x, weights, means, stds):
    x, weights, means, stds = map(np.asarray, (x, weights, means, stds))
    return np.log(weights)[None] + norm.logpdf(x[:, None], means[None], stds[None])


@right("log_joint")
def in_place(x, weights, means, stds):
    weights.log_()
    stds.pow_(2)
    x = x.unsqueeze(1)
    x = (x - means).pow_(2).div_(-2 * stds)
    return x.add_(weights).sub_(0.5 * torch.log(2 * torch.pi * stds))


@wrong("log_joint", "the weights are missing")
def prior_forgotten(x, weights, means, stds):
    return Normal(means, stds).log_prob(x[:, None])


@wrong("log_joint", "log π_k, not π_k, is added")
def weights_added(x, weights, means, stds):
    return weights + Normal(means, stds).log_prob(x[:, None])


@wrong("log_joint", "its logarithm is wanted")
def density_itself(x, weights, means, stds):
    return weights * Normal(means, stds).log_prob(x[:, None]).exp()


@wrong("log_joint", "½ log 2π is missing")
def constant_forgotten(x, weights, means, stds):
    return weights.log() - 0.5 * ((x[:, None] - means) / stds) ** 2 - stds.log()


@wrong("log_joint", "-log σ is missing")
def width_forgotten(x, weights, means, stds):
    return weights.log() - 0.5 * ((x[:, None] - means) / stds) ** 2 - 0.5 * math.log(2 * math.pi)


@wrong("log_joint", "the sign of log σ")
def width_added(x, weights, means, stds):
    return weights.log() - 0.5 * ((x[:, None] - means) / stds) ** 2 + stds.log() - 0.5 * math.log(2 * math.pi)


@wrong("log_joint", "the ½ before the square is missing")
def half_forgotten(x, weights, means, stds):
    return weights.log() - ((x[:, None] - means) / stds) ** 2 - stds.log() - 0.5 * math.log(2 * math.pi)


@wrong("log_joint", "the sign of the square")
def far_is_likely(x, weights, means, stds):
    return weights.log() + 0.5 * ((x[:, None] - means) / stds) ** 2 - stds.log() - 0.5 * math.log(2 * math.pi)


@wrong("log_joint", "were used as variances")
def std_taken_for_variance(x, weights, means, stds):
    square = (x[:, None] - means) ** 2 / stds
    return weights.log() - 0.5 * (square + torch.log(2 * torch.pi * stds))


@wrong("log_joint", "where one wants σ, it got σ²")  # CyberPoint/libpgm#10
def variance_taken_for_std(x, weights, means, stds):
    return weights.log() + Normal(means, stds**2).log_prob(x[:, None])


@wrong("log_joint", "keep the components apart")
def summed_over_components(x, weights, means, stds):
    return MixtureSameFamily(Categorical(weights), Normal(means, stds)).log_prob(x)


@wrong("log_joint", "turned around?")
def components_first(x, weights, means, stds):
    return (weights.log() + Normal(means, stds).log_prob(x[:, None])).T


@wrong("log_joint", "each row was normalized")
def posterior_instead(x, weights, means, stds):
    return (weights.log() + Normal(means, stds).log_prob(x[:, None])).log_softmax(1)


@wrong("log_joint", "at x = 90 the density underflows")
def log_of_density(x, weights, means, stds):
    return (weights * Normal(means, stds).log_prob(x[:, None]).exp()).log()


# e_step


@right("e_step")
def softmax_and_logsumexp(log_joint):
    return log_joint.softmax(1), log_joint.logsumexp(1)


@right("e_step")
def rows_maximum_taken_out_in_place(log_joint):
    top = log_joint.max(1, keepdim=True).values
    log_joint -= top
    log_joint.exp_()
    total = log_joint.sum(1, keepdim=True)
    return log_joint.div_(total), (top + total.log())[:, 0]


@right("e_step")
def numpy_row_by_row(log_joint):
    gamma, log_p = np.zeros(log_joint.shape, dtype=np.float32), []
    for n, row in enumerate(np.asarray(log_joint)):
        log_p.append(logsumexp(row))
        gamma[n] = np.exp(row - log_p[-1])
    return [gamma, np.array(log_p)]


@right("e_step")
def column_of_log_p(log_joint):
    log_p = torch.logsumexp(log_joint, dim=-1, keepdim=True)
    return torch.exp(log_joint - log_p), log_p


@wrong("e_step", "you normalized over the examples")
def softmax_of_columns(log_joint):
    return log_joint.softmax(0), log_joint.logsumexp(1)


@wrong("e_step", "divided by the sum over all examples")
def softmax_of_all(log_joint):
    p = log_joint.exp()
    return p / p.sum(), log_joint.logsumexp(1)


@wrong("e_step", "Bayes' rule divides by p(x)")
def not_normalized(log_joint):
    return log_joint.exp(), log_joint.logsumexp(1)


@wrong("e_step", "take exp at the end")
def logarithms_of_gamma(log_joint):
    return log_joint.log_softmax(1), log_joint.logsumexp(1)


@wrong("e_step", "probabilities, not a choice")
def likeliest_component(log_joint):
    return torch.nn.functional.one_hot(log_joint.argmax(1), log_joint.shape[1]).to(log_joint), log_joint.logsumexp(1)


@wrong("e_step", "exp comes first")
def logarithms_divided(log_joint):
    return log_joint / log_joint.sum(1, keepdim=True), log_joint.logsumexp(1)


@wrong("e_step", "exp underflows to 0")  # microsoft/knossos-ksc#523, koaning/scikit-lego#506
def exp_without_care(log_joint):
    p = log_joint.exp()
    return p / p.sum(1, keepdim=True), p.sum(1).log()


@wrong("e_step", "exp underflows to 0")
def tiny_number_added(log_joint):
    p = log_joint.exp()
    return p / (p.sum(1, keepdim=True) + 1e-12), (p.sum(1) + 1e-12).log()


@wrong("e_step", "its own maximum, not that of all")
def one_maximum_for_all(log_joint):
    p = (log_joint - log_joint.max()).exp()
    return p / p.sum(1, keepdim=True), p.sum(1).log() + log_joint.max()


@wrong("e_step", "add it again")
def maximum_not_added_again(log_joint):
    p = (log_joint - log_joint.max(1, keepdim=True).values).exp()
    return p / p.sum(1, keepdim=True), p.sum(1).log()


@wrong("e_step", "not their mean")
def mean_for_sum(log_joint):
    return log_joint.softmax(1), log_joint.logsumexp(1) - math.log(log_joint.shape[1])


@wrong("e_step", "not the largest")
def best_component_alone(log_joint):
    return log_joint.softmax(1), log_joint.max(1).values


@wrong("e_step", "this is p(x)")
def density_of_x(log_joint):
    return log_joint.softmax(1), log_joint.exp().sum(1)


@wrong("e_step", "not the logarithm of the sum")
def sum_of_logarithms(log_joint):
    return log_joint.softmax(1), log_joint.sum(1)


@wrong("e_step", "the sign: log p(x)")
def negative_log_likelihood(log_joint):
    return log_joint.softmax(1), -log_joint.logsumexp(1)


@wrong("e_step", "one for each example")
def averaged_over_examples(log_joint):
    return log_joint.softmax(1), log_joint.logsumexp(1).mean()


@wrong("e_step", "in the other order")
def log_p_first(log_joint):
    return log_joint.logsumexp(1), log_joint.softmax(1)


@wrong("e_step", "needed 2 things")
def gamma_alone(log_joint):
    return log_joint.softmax(1)


# m_step


def pieces(x, gamma):
    counts = gamma.sum(0)
    means = gamma.T @ x / counts[:, None]
    away = x[:, None] - means
    return counts, means, away, torch.einsum("nk,nki,nkj->kij", gamma, away, away) / counts[:, None, None]


@right("m_step")
def einsum(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), means, covariances


@right("m_step")
def component_by_component(x, gamma):
    weights, means, covariances = torch.zeros(gamma.shape[1]), [], []
    for k in range(gamma.shape[1]):
        g = gamma[:, k] / gamma[:, k].sum()
        weights[k] = gamma[:, k].mean()
        means.append((g[:, None] * x).sum(0))
        y = x - means[-1]
        covariances.append((g[:, None] * y).T @ y)
    return weights, torch.stack(means), covariances


@right("m_step")
def with_numpy(x, gamma):
    x, gamma = np.asarray(x), np.asarray(gamma)
    means = (gamma.T @ x) / gamma.sum(0)[:, None]
    second = np.einsum("nk,ni,nj->kij", gamma, x, x) / gamma.sum(0)[:, None, None]
    return [gamma.sum(0) / len(x), means, second - means[:, :, None] * means[:, None]]


@right("m_step")
def centered_in_place(x, gamma):
    weights = gamma.mean(0)
    gamma /= gamma.sum(0)
    means = gamma.T @ x
    covariances = x.new_zeros(len(means), x.shape[1], x.shape[1])
    for k, mean in enumerate(means):
        x -= mean
        covariances[k] = x.T @ torch.diag(gamma[:, k]) @ x
        x += mean
    return weights, means, covariances


@wrong("m_step", "divide the counts by N")
def counts_for_weights(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts, means, covariances


@wrong("m_step", "all weights are 1/K")
def equal_weights(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return torch.ones_like(counts) / len(counts), means, covariances


@wrong("m_step", "the weights count whole examples")
def weights_of_choices(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return torch.bincount(gamma.argmax(1), minlength=len(counts)) / len(x), means, covariances


@wrong("m_step", "the counts were divided by K")
def mean_over_the_wrong_axis(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(counts), means, covariances


@wrong("m_step", "the means were divided by N")
def means_over_all(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), gamma.T @ x / len(x), covariances


@wrong("m_step", "the means are sums")
def means_not_divided(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), gamma.T @ x, covariances


@wrong("m_step", "the means take the likeliest component alone")
def k_means(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    label = gamma.argmax(1)
    means = torch.stack([x[label == k].mean(0) for k in range(len(counts))])
    return counts / len(x), means, covariances


@wrong("m_step", "each mean is that of all examples")
def one_mean(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), x.mean(0).repeat(len(counts), 1), covariances


@wrong("m_step", "not around that of all")
def around_the_mean_of_all(x, gamma):
    counts, means, _, _ = pieces(x, gamma)
    y = x - x.mean(0)
    return counts / len(x), means, torch.einsum("nk,ni,nj->kij", gamma, y, y) / counts[:, None, None]


@wrong("m_step", "the mean was not subtracted")
def second_moment(x, gamma):
    counts, means, _, _ = pieces(x, gamma)
    return counts / len(x), means, torch.einsum("nk,ni,nj->kij", gamma, x, x) / counts[:, None, None]


@wrong("m_step", "the covariances were divided by N:")
def covariances_over_all(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    return counts / len(x), means, torch.einsum("nk,nki,nkj->kij", gamma, away, away) / len(x)


@wrong("m_step", "the covariances are sums")
def covariances_not_divided(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    return counts / len(x), means, torch.einsum("nk,nki,nkj->kij", gamma, away, away)


@wrong("m_step", "N_k - 1 is for an unbiased estimate")
def unbiased(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    return counts / len(x), means, torch.einsum("nk,nki,nkj->kij", gamma, away, away) / (counts - 1)[:, None, None]


@wrong("m_step", "what lies off the diagonal is lost")
def diagonal(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), means, covariances * torch.eye(x.shape[1]).to(x)


@wrong("m_step", "variances are not enough")
def variances(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    return counts / len(x), means, (gamma[:, :, None] * away**2).sum(0) / counts[:, None]


@wrong("m_step", "corrects for a small sample")
def cov_as_it_comes(x, gamma):
    weights, means, _ = einsum(x, gamma)
    return weights, means, torch.stack([torch.cov(x.T, aweights=g) for g in gamma.T])


@wrong("m_step", "γ enters twice")
def weighted_twice(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    weighted = gamma[:, :, None] * away
    return counts / len(x), means, torch.einsum("nki,nkj->kij", weighted, weighted) / counts[:, None, None]


@wrong("m_step", "γ is missing in the covariances")
def covariances_without_gamma(x, gamma):
    counts, means, away, _ = pieces(x, gamma)
    return counts / len(x), means, torch.einsum("nki,nkj->kij", away, away) / len(x)


@wrong("m_step", "one covariance for all")
def tied(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)
    return counts / len(x), means, ((counts[:, None, None] * covariances).sum(0) / len(x)).expand_as(covariances)


@wrong("m_step", "is there a return?")
def nothing_returned(x, gamma):
    counts, means, _, covariances = pieces(x, gamma)


# em


@right("em")
def plain_loop(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        theta = m_step(x, gamma)
    return theta, history


@right("em")
def array_filled(x, theta, e_step, m_step, iterations):
    history = torch.empty(iterations)
    for i in range(iterations):
        gamma, log_p = e_step(x, theta)
        history[i], theta = log_p.sum() / len(x), m_step(x, gamma)
    return [theta, history]


@right("em")
def by_recursion(x, theta, e_step, m_step, iterations):
    if iterations == 0:
        return theta, []
    gamma, log_p = e_step(x, theta)
    theta, rest = by_recursion(x, m_step(x, gamma), e_step, m_step, iterations - 1)
    return theta, [float(log_p.mean()), *rest]


@right("em")
def own_dtype(x, theta, e_step, m_step, iterations):
    x, theta = np.asarray(x, dtype=np.float32), [np.asarray(t, dtype=np.float32) for t in theta]
    history = np.zeros(iterations)
    for i in range(iterations):
        gamma, log_p = e_step(torch.as_tensor(x), [torch.as_tensor(t) for t in theta])
        history[i] = np.mean(np.asarray(log_p))
        theta = m_step(torch.as_tensor(x), gamma)
    return tuple(theta), history


@wrong("em", "the E step must see the theta of the last M step")
def always_the_first_theta(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        new = m_step(x, gamma)
    return new, history


@wrong("em", "the E step belongs inside of the loop")
def one_e_step(x, theta, e_step, m_step, iterations):
    gamma, log_p = e_step(x, theta)
    history = []
    for _ in range(iterations):
        history.append(e_step(x, theta)[1].mean())
        theta = m_step(x, gamma)
    return theta, history


@wrong("em", "is there a return inside of the loop?")
def return_inside(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        theta = m_step(x, gamma)
        return theta, history


@wrong("em", "a mean over examples")
def summed(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.sum())
        theta = m_step(x, gamma)
    return theta, history


@wrong("em", "the sign: the history is of log p(x)")
def losses(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(-log_p.mean())
        theta = m_step(x, gamma)
    return theta, history


@wrong("em", "one turn late")
def after_the_m_step(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(iterations):
        theta = m_step(x, e_step(x, theta)[0])
        history.append(e_step(x, theta)[1].mean())
    return theta, history


@wrong("em", "one value too many")
def last_one_too(x, theta, e_step, m_step, iterations):
    history = [e_step(x, theta)[1].mean()]
    for _ in range(iterations):
        theta = m_step(x, e_step(x, theta)[0])
        history.append(e_step(x, theta)[1].mean())
    return theta, history


@wrong("em", "one turn is missing")
def from_one(x, theta, e_step, m_step, iterations):
    history = []
    for _ in range(1, iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        theta = m_step(x, gamma)
    return theta, history


@wrong("em", "theta is what came in")
def new_theta_forgotten(x, theta, e_step, m_step, iterations):
    history, now = [], theta
    for _ in range(iterations):
        gamma, log_p = e_step(x, now)
        history.append(log_p.mean())
        now = m_step(x, gamma)
    return theta, history


@wrong("em", "that after 3 of 4 turns")
def theta_before_the_last(x, theta, e_step, m_step, iterations):
    history, best = [], theta
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        best, theta = theta, m_step(x, gamma)
    return best, history


@wrong("em", "the history is one number")
def last_value(x, theta, e_step, m_step, iterations):
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        theta = m_step(x, gamma)
    return theta, log_p.mean()


# choose


@right("choose")
def list_of_means(fit, train, held_out, ks):
    scores = [float(fit(train, k)(held_out).mean()) for k in ks]
    return ks[int(np.argmax(scores))], scores


@right("choose")
def running_best(fit, train, held_out, ks):
    best, scores = None, torch.zeros(len(ks))
    for i, k in enumerate(ks):
        log_prob = fit(train, k)
        scores[i] = torch.stack([log_prob(held_out[n : n + 1])[0] for n in range(len(held_out))]).mean()
        if best is None or scores[i] > scores[ks.index(best)]:
            best = k
    return best, scores


@right("choose")
def tensors(fit, train, held_out, ks):
    scores = torch.stack([fit(train, k)(held_out).mean() for k in ks])
    return torch.tensor(ks)[scores.argmax()], scores


@right("choose")
def dictionary(fit, train, held_out, ks):
    found = {k: fit(train.copy(), k)(held_out).mean() for k in ks}
    return max(found, key=found.get), np.array(list(found.values()))


@wrong("choose", "they rise with every k")
def training_score(fit, train, held_out, ks):
    scores = [fit(train, k)(train).mean() for k in ks]
    return ks[int(np.argmax(scores))], scores


@wrong("choose", "fitted to the held-out examples")
def fitted_to_held_out(fit, train, held_out, ks):
    scores = [fit(held_out, k)(train).mean() for k in ks]
    return ks[int(np.argmax(scores))], scores


@wrong("choose", "while they were fitted: hold them out")
def fitted_to_all(fit, train, held_out, ks):
    scores = [fit(torch.cat([train, held_out]), k)(held_out).mean() for k in ks]
    return ks[int(np.argmax(scores))], scores


@wrong("choose", "of all examples")
def scored_on_all(fit, train, held_out, ks):
    scores = torch.stack([fit(train, k)(torch.cat([train, held_out])).mean() for k in ks])
    return ks[int(scores.argmax())], scores


@wrong("choose", "per example is a mean")
def sum_of_scores(fit, train, held_out, ks):
    scores = [fit(train, k)(held_out).sum() for k in ks]
    return ks[int(np.argmax(scores))], scores


@wrong("choose", "where higher is better")
def lowest_loss(fit, train, held_out, ks):
    scores = [-fit(train, k)(held_out).mean() for k in ks]
    return ks[int(np.argmin(scores))], scores


@wrong("choose", "this k has the lowest score")
def lowest_score(fit, train, held_out, ks):
    scores = [fit(train, k)(held_out).mean() for k in ks]
    return ks[int(np.argmin(scores))], scores


@wrong("choose", "is the place of the best k in ks")
def place_of_k(fit, train, held_out, ks):
    scores = torch.stack([fit(train, k)(held_out).mean() for k in ks])
    return scores.argmax(), scores


@wrong("choose", "this is the largest k")
def largest(fit, train, held_out, ks):
    scores = [fit(train, k)(held_out).mean() for k in ks]
    return max(ks), scores


@wrong("choose", "the scores are one number")
def best_score(fit, train, held_out, ks):
    scores = torch.stack([fit(train, k)(held_out).mean() for k in ks])
    return ks[scores.argmax()], scores.max()


@wrong("choose", "in another order than ks")
def sorted_scores(fit, train, held_out, ks):
    found = sorted(((float(fit(train, k)(held_out).mean()), k) for k in ks), reverse=True)
    return found[0][1], [score for score, _ in found]
