"""Lab 06: two-sample tests."""

import numpy as np
import torch

from answers import right, wrong


def k(s, t, h):
    return torch.exp(-(torch.cdist(s, t) ** 2) / (2 * h**2))


def apart(K):
    return (K.sum() - K.trace()) / (len(K) * (len(K) - 1))


# mmd


@right("mmd")
def with_cdist(x, y, h):
    return apart(k(x, x, h)) + apart(k(y, y, h)) - 2 * k(x, y, h).mean()


@right("mmd")
def pair_by_pair(x, y, h):
    kernel = lambda a, b: np.exp(-np.sum((np.asarray(a) - np.asarray(b)) ** 2) / (2 * h**2))
    within = lambda s: np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
    return within(x) + within(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])


@right("mmd")
def with_ones_taken_off(x, y, h):
    within = lambda s: (k(s, s, h).sum() - len(s)) / (len(s) * (len(s) - 1))
    return within(x) + within(y) - 2 * k(x, y, h).mean()


@wrong("mmd", "leave the diagonals out")
def biased(x, y, h):
    return k(x, x, h).mean() + k(y, y, h).mean() - 2 * k(x, y, h).mean()


@wrong("mmd", r"N (N - 1) pairs")
def over_all_pairs(x, y, h):
    outside = lambda K: (K.sum() - K.trace()) / K.numel()
    return outside(k(x, x, h)) + outside(k(y, y, h)) - 2 * k(x, y, h).mean()


@wrong("mmd", "in the sum, though not in the count")
def diagonal_kept(x, y, h):
    n, m = len(x), len(y)
    return k(x, x, h).sum() / (n * (n - 1)) + k(y, y, h).sum() / (m * (m - 1)) - 2 * k(x, y, h).mean()


@wrong("mmd", "across count twice")
def once_across(x, y, h):
    return apart(k(x, x, h)) + apart(k(y, y, h)) - k(x, y, h).mean()


@wrong("mmd", "the sign")
def upside_down(x, y, h):
    return 2 * k(x, y, h).mean() - apart(k(x, x, h)) - apart(k(y, y, h))


@wrong("mmd", "have a diagonal that counts")
def diagonal_across(x, y, h):
    K = k(x, y, h)
    return apart(k(x, x, h)) + apart(k(y, y, h)) - 2 * (K.sum() - K.diagonal().sum()) / K.numel()


@wrong("mmd", "h is squared")
def width_not_squared(x, y, h):
    kernel = lambda s, t: torch.exp(-(torch.cdist(s, t) ** 2) / h)
    return apart(kernel(x, x)) + apart(kernel(y, y)) - 2 * kernel(x, y).mean()


@wrong("mmd", "the 2 of 2 h")
def no_two(x, y, h):
    kernel = lambda s, t: torch.exp(-(torch.cdist(s, t) ** 2) / h**2)
    return apart(kernel(x, x)) + apart(kernel(y, y)) - 2 * kernel(x, y).mean()


# p_value


def null(x, y, statistic, deals):
    z = torch.cat([x, y])
    return torch.stack([statistic(z[d], z[~d]) for d in deals])


@right("p_value")
def by_table(x, y, statistic, deals):
    return (1 + (null(x, y, statistic, deals) >= statistic(x, y) - 1e-12).sum()) / (1 + len(deals))


@right("p_value")
def by_counting(x, y, statistic, deals):
    z, T, count = np.concatenate([x, y]), float(statistic(x, y)), 1
    for deal in np.asarray(deals):
        count += float(statistic(z[deal], z[~deal])) >= T - 1e-9
    return count / (1 + len(deals))


@right("p_value")
def with_the_deal_that_came(x, y, statistic, deals):
    came = torch.arange(len(x) + len(y)) < len(x)
    values = null(x, y, statistic, torch.cat([came[None], deals]))
    return (values >= values[0] - 1e-12).double().mean()


@wrong("p_value", "0 would be possible")
def plain_share(x, y, statistic, deals):
    return (null(x, y, statistic, deals) >= statistic(x, y)).double().mean()


@wrong("p_value", "counts above as well")
def only_below(x, y, statistic, deals):
    return (null(x, y, statistic, deals) >= statistic(x, y)).sum() / (1 + len(deals))


@wrong("p_value", "counts below as well")
def only_above(x, y, statistic, deals):
    return (1 + (null(x, y, statistic, deals) >= statistic(x, y)).sum()) / len(deals)


@wrong("p_value", ">=, not >")
def strictly(x, y, statistic, deals):
    return (1 + (null(x, y, statistic, deals) > statistic(x, y) + 1e-12).sum()) / (1 + len(deals))


@wrong("p_value", "large values speak against")
def small_ones(x, y, statistic, deals):
    return (1 + (null(x, y, statistic, deals) <= statistic(x, y)).sum()) / (1 + len(deals))


@wrong("p_value", "the heap begins with x")
def y_first(x, y, statistic, deals):
    return (1 + (null(y, x, statistic, deals) >= statistic(x, y) - 1e-12).sum()) / (1 + len(deals))


# witness


@right("witness")
def at_once(t, x, y, h):
    return k(t, x, h).mean(1) - k(t, y, h).mean(1)


@right("witness")
def place_by_place(t, x, y, h):
    mean = lambda place, s: np.mean([np.exp(-np.sum((place - a) ** 2) / (2 * h * h)) for a in s])
    return np.array([mean(place, np.asarray(x)) - mean(place, np.asarray(y)) for place in np.asarray(t)])


@right("witness")
def by_one_sum(t, x, y, h):
    weight = torch.cat([torch.ones(len(x)) / len(x), -torch.ones(len(y)) / len(y)]).to(x)
    return k(t, torch.cat([x, y]), h) @ weight


@wrong("witness", "the sign")
def of_y(t, x, y, h):
    return k(t, y, h).mean(1) - k(t, x, h).mean(1)


@wrong("witness", "means, not sums")
def summed(t, x, y, h):
    return k(t, x, h).sum(1) - k(t, y, h).sum(1)


@wrong("witness", "by their own number")
def one_number(t, x, y, h):
    return (k(t, x, h).sum(1) - k(t, y, h).sum(1)) / len(x)


@wrong("witness", "added, not compared")
def added(t, x, y, h):
    return k(t, x, h).mean(1) + k(t, y, h).mean(1)


@wrong("witness", "the 2 of 2 h")
def narrow(t, x, y, h):
    return k(t, x, h / 2**0.5).mean(1) - k(t, y, h / 2**0.5).mean(1)


@wrong("witness", "h is squared")
def not_squared(t, x, y, h):
    kernel = lambda s: torch.exp(-(torch.cdist(t, s) ** 2) / h).mean(1)
    return kernel(x) - kernel(y)


# best_guess


@right("best_guess")
def sigmoid(log_p, log_q):
    return torch.sigmoid(log_p - log_q)


@right("best_guess")
def softmax(log_p, log_q):
    return torch.stack([log_p, log_q]).softmax(0)[0]


@right("best_guess")
def in_numpy(log_p, log_q):
    log_p, log_q = np.asarray(log_p), np.asarray(log_q)
    return np.exp(log_p - np.logaddexp(log_p, log_q))


@wrong("best_guess", "0/0 is NaN")
def exponentials(log_p, log_q):
    return log_p.exp() / (log_p.exp() + log_q.exp())


@wrong("best_guess", "stay with logs")
def with_a_crumb(log_p, log_q):
    return log_p.exp() / (log_p.exp() + log_q.exp() + 1e-100)


@wrong("best_guess", "swap p and q")
def guess_for_q(log_p, log_q):
    return torch.sigmoid(log_q - log_p)


@wrong("best_guess", "this is p/q")
def ratio(log_p, log_q):
    return (log_p - log_q).exp()


@wrong("best_guess", "it wants a sigmoid")
def logit(log_p, log_q):
    return log_p - log_q


@wrong("best_guess", "this is log D")
def log_guess(log_p, log_q):
    return torch.nn.functional.logsigmoid(log_p - log_q)


@wrong("best_guess", "not their logarithms")
def of_logs(log_p, log_q):
    return log_p / (log_p + log_q)


@wrong("best_guess", "this is a decision")
def decided(log_p, log_q):
    return (log_p > log_q).double()


# frechet


@right("frechet")
def squares(x, y):
    return (x.mean(0) - y.mean(0)).square().sum() + (x.std(0, correction=0) - y.std(0, correction=0)).square().sum()


@right("frechet")
def by_matrices(x, y):
    x, y = np.asarray(x), np.asarray(y)
    S, R = np.diag(x.var(0)), np.diag(y.var(0))
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(S + R - 2 * np.sqrt(S @ R))


@right("frechet")
def feature_by_feature(x, y):
    total = 0.0
    for a, b in zip(np.asarray(x).T, np.asarray(y).T):
        total += (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2
    return total


def parts(x, y):
    return (x.mean(0) - y.mean(0)).square().sum(), x.var(0, correction=0), y.var(0, correction=0)


@wrong("frechet", "the cross term is missing")
def no_cross(x, y):
    shift, v, w = parts(x, y)
    return shift + (v + w).sum()


@wrong("frechet", "variances were subtracted")
def of_variances(x, y):
    shift, v, w = parts(x, y)
    return shift + (v - w).square().sum()


@wrong("frechet", "the root of the variances' product")
def no_root(x, y):
    shift, v, w = parts(x, y)
    return shift + (v + w - 2 * v * w).sum()


@wrong("frechet", "correction=0")
def less_one(x, y):
    return parts(x, y)[0] + (x.std(0) - y.std(0)).square().sum()


@wrong("frechet", "the means count")
def no_means(x, y):
    _, v, w = parts(x, y)
    return (v.sqrt() - w.sqrt()).square().sum()


@wrong("frechet", "the spreads count")
def no_spreads(x, y):
    return parts(x, y)[0]


@wrong("frechet", "this is the root")
def rooted(x, y):
    return squares(x, y) ** 0.5


@wrong("frechet", "not their mean")
def averaged(x, y):
    return squares(x, y) / x.shape[1]
