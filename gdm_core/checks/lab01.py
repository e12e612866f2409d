r"""Lab 01, mixtures of Gaussians (Bishop, 2006, section 9.2): x examples, pi weights, gamma responsibilities.

Truths come from scipy, numpy's weighted covariance and scikit-learn's EM, which share no code with what students write.
"""

import warnings

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, same, tensor
from gdm_core.checks.exercise import Exercise, Wrong


@Exercise.worth(form=1, values=3, far_away=1)
def log_joint(answer: Answer, numbers: Generator) -> None:
    """log p(x, z = k) = log pi_k + log N(x; mu_k, sigma_k^2)."""
    for n, k in ((5, 3), (4, 2), (1, 1)):
        x = 3 * torch.randn(n, generator=numbers, dtype=torch.float64)
        weights, means, stds = _bumps(k, numbers)
        normal = torch.as_tensor(norm.logpdf(x[:, None], means, stds)).reshape(n, k)
        wanted = normal + weights.log()
        answer.part("form")
        result = answer(x, weights, means, stds)
        if isinstance(result, Tensor) and tuple(result.shape) == (n,):
            raise Wrong("one number an example is log p(x): keep the components apart, (N, K)")
        got = tensor(result, (n, k), "(N, K)")
        answer.part("values")
        square = ((x[:, None] - means) / stds) ** 2
        mistakes = {
            "the weights are missing: log π_k belongs to the sum": normal,
            "the logarithm of a product: log π_k, not π_k, is added": normal + weights,
            "this is p(x, z = k) itself: its logarithm is wanted": wanted.exp(),
            "½ log 2π is missing: every Gaussian has it": wanted + 0.5 * np.log(2 * np.pi),
            "-log σ is missing: a wide Gaussian is a low one": wanted + stds.log(),
            "the sign of log σ: a wide Gaussian is a low one": wanted + 2 * stds.log(),
            "the ½ before the square is missing": wanted - 0.5 * square,
            "the sign of the square: far away the density must be small": wanted + square,
            "stds are standard deviations, and were used as variances":
                torch.as_tensor(norm.logpdf(x[:, None], means, stds.sqrt())).reshape(n, k) + weights.log(),
            "stds are standard deviations: where one wants σ, it got σ²":
                torch.as_tensor(norm.logpdf(x[:, None], means, stds**2)).reshape(n, k) + weights.log(),
            "each row was normalized: that is log p(z | x), not log p(x, z)":
                torch.as_tensor(log_softmax(wanted, 1)).reshape(n, k),
        }  # fmt: skip
        equal(got, wanted, mistakes, "log p(x, z)", f"for x = {_told(x)}, stds = {_told(stds)}")
    answer.part("far away")
    weights, means, stds = _bumps(2, numbers)
    far = torch.tensor([90.0, 0.0], dtype=torch.float64)
    got = tensor(answer(far, weights, means, stds), (2, 2), "(N, K)")
    hint = "at x = 90 the density underflows to 0 and its logarithm is lost: write the logarithm itself"
    require(bool(torch.isfinite(got).all()) and bool((got[0] < -500).all()), hint)


@Exercise.worth(form=1, γ=2, log_p=2, far_below_zero=2)
def e_step(answer: Answer, numbers: Generator) -> None:
    """gamma = p(z = k | x) and log p(x), from log p(x, z = k)."""
    for n, k in ((6, 3), (3, 4)):
        joint = 2 * torch.randn(n, k, generator=numbers, dtype=torch.float64) - 3
        answer.part("form")
        gamma, log_p = _e_parts(answer(joint), n, k)
        answer.part("γ")
        truth = torch.as_tensor(np.exp(log_softmax(joint, 1)))
        require(not same(gamma, torch.as_tensor(log_softmax(joint, 1))), "these are log γ: take exp at the end")
        mistakes = {
            "γ must sum to one over the components of an example: you normalized over the examples": joint.softmax(0),
            "γ was divided by the sum over all examples: each row has a sum of its own": joint.flatten()
            .softmax(0)
            .reshape(n, k),
            "γ does not sum to one: Bayes' rule divides by p(x)": joint.exp(),
            "γ are probabilities, not a choice: keep what the others may be": _one_hot(joint),
            "the logarithms themselves were divided by their sum: exp comes first": joint / joint.sum(1, True),
        }
        equal(gamma, truth, mistakes, "γ", f"for log p(x, z) = {_told(joint[0])} in the first row")
        answer.part("log p")
        total = torch.as_tensor(logsumexp(joint, 1))
        top = joint.max(1).values
        mistakes = {
            "log p(x) lacks the maximum that was taken out before exp: add it again": total - top,
            "p(x) is the sum over components, not their mean": total - np.log(k),
            "p(x) is the sum over components, not the largest": top,
            "this is p(x): its logarithm is wanted": total.exp(),
            "the sum of logarithms is not the logarithm of the sum": joint.sum(1),
            "the sign: log p(x), not -log p(x)": -total,
        }
        equal(log_p, total, mistakes, "log p(x)", f"for log p(x, z) = {_told(joint[0])} in the first row")
    answer.part("far below zero")
    small = torch.tensor([[-1000.0, -1001.0], [-1002.0, -1000.0]], dtype=torch.float64)
    apart = torch.tensor([[-1.0, -2.0], [-2000.0, -2001.0]], dtype=torch.float64)
    hints = (
        "at log p(x, z) = -1000 exp underflows to 0, and γ becomes 0/0: take out the largest of each row first",
        "two examples far from each other: each row needs its own maximum, not that of all",
    )
    for joint, hint in zip((small, apart), hints):
        gamma, log_p = _e_parts(answer(joint), 2, 2)
        fine = same(gamma, torch.as_tensor(np.exp(log_softmax(joint, 1))))
        require(fine and same(log_p, torch.as_tensor(logsumexp(joint, 1))), hint)


@Exercise.worth(weights=1, means=2, covariances=3)
def m_step(answer: Answer, numbers: Generator) -> None:
    """pi, mu and Sigma from examples that count for component k with weight gamma_nk."""
    for n, d, k in ((11, 2, 3), (9, 3, 2)):  # N is no multiple of K: the likeliest components are not even
        x = torch.randn(n, d, generator=numbers, dtype=torch.float64) + 1
        sharp = 2 * torch.randn(n, k, generator=numbers, dtype=torch.float64)
        _m_check(answer, x, sharp.softmax(1))


def _m_check(answer: Answer, x: Tensor, gamma: Tensor) -> None:
    (n, d), k = x.shape, gamma.shape[1]
    weights, means, covariances = parts(answer(x, gamma), "weights", "means", "covariances")
    counts, hard = gamma.sum(0), _one_hot(gamma)
    answer.part("weights")
    weights = tensor(weights, (k,), "(K,)", "weights")
    mistakes = {
        "the weights must sum to one: divide the counts by N": counts,
        "all weights are 1/K: a component that explains more examples weighs more": torch.full((k,), 1 / k),
        "the weights count whole examples: let each count with its γ": hard.mean(0),
        "the counts were divided by K: there are N examples": counts / k,
    }
    equal(weights, gamma.mean(0), mistakes, "weights")

    answer.part("means")
    means = tensor(means, (k, d), "(K, d)", "means")
    truth = torch.stack([torch.as_tensor(np.average(x, axis=0, weights=g)) for g in gamma.T])
    mistakes = {
        "the means were divided by N: divide each by its own count N_k": gamma.T @ x / n,
        "the means are sums: divide each by its count N_k": gamma.T @ x,
        "each mean is that of all examples: weight them with γ": x.mean(0).expand(k, d),
        "the means take the likeliest component alone: let each example count with its γ":
            hard.T @ x / hard.sum(0)[:, None],
    }  # fmt: skip
    equal(means, truth, mistakes, "means")

    answer.part("covariances")
    if isinstance(covariances, Tensor) and tuple(covariances.shape) in ((k, d), (k,)):
        raise Wrong("variances are not enough: a covariance is the average of outer products, (K, d, d)")
    covariances = tensor(covariances, (k, d, d), "(K, d, d)", "covariances")
    about = lambda center, w: torch.einsum("nk,nki,nkj->kij", w, x[:, None] - center, x[:, None] - center)
    by = counts[:, None, None]
    truth = torch.stack([torch.as_tensor(np.cov(x.T, aweights=g, ddof=0)) for g in gamma.T])
    mistakes = {
        "a covariance is taken around the component's own mean, not around that of all": about(x.mean(0), gamma) / by,
        "the mean was not subtracted: this is the average of x xᵀ": about(torch.zeros(d), gamma) / by,
        "the covariances were divided by N: divide each by its own count N_k": truth * by / n,
        "the covariances are sums: divide each by its count N_k": truth * by,
        "N_k - 1 is for an unbiased estimate: maximum likelihood divides by N_k": truth * by / (by - 1),
        "what lies off the diagonal is lost: a blob may be tilted": torch.diag_embed(truth.diagonal(dim1=1, dim2=2)),
        "torch.cov corrects for a small sample unless it is told not to: maximum likelihood divides by N_k":
            truth * by / (by - (gamma**2).sum(0)[:, None, None] / by),
        "γ enters twice: weight the outer product once": about(means, gamma**2) / by,
        "γ is missing in the covariances: each example counts with its γ": about(means, torch.ones_like(gamma)) / n,
        "the covariances take the likeliest component alone: let each example count with its γ":
            about(means, hard) / hard.sum(0)[:, None, None],
        "one covariance for all: each component has its own": (truth * by).sum(0).expand(k, d, d) / n,
    }  # fmt: skip
    equal(covariances, truth, mistakes, "covariances")


@Exercise.worth(form=1, history=2, theta=2)
def em(answer: Answer, numbers: Generator) -> None:
    """E and M in turn; the history of mean log p(x), as each E step finds it."""
    x = torch.randn(40, 2, generator=numbers, dtype=torch.float64)
    x[:20] += torch.tensor([2.5, 1.0])
    means = torch.tensor([[1.5, 1.0], [0.5, 0.0]], dtype=torch.float64)
    start = (torch.tensor([0.5, 0.5]).double(), means, torch.eye(2).double().repeat(2, 1, 1))
    for turns in (4, 1):
        wanted, truth = _sklearn_em(x, start, turns)
        answer.part("form")
        theta, history = parts(answer(x, start, _reference_e, _reference_m, turns), "theta", "history")
        theta = parts(theta, "weights", "means", "covariances")
        length = len(history) if isinstance(history, list | tuple | Tensor) and getattr(history, "ndim", 1) else None
        require(length is not None, "the history is one number: keep the mean log p(x) of every turn")
        if turns == 4:
            require(length != 1, "only one turn of four: is there a return inside of the loop?")
            require(length != 5, "one value too many: the history has one a turn, found by its E step")
            require(length != 3, "one turn is missing")
        history = tensor(history, (turns,), "(iterations,)", "the history")
        answer.part("history")
        _history_check(history, truth, len(x))
        answer.part("theta")
        got = [tensor(t, tuple(w.shape), str(tuple(w.shape)), "theta") for t, w in zip(theta, wanted[-1])]
        if not all(map(same, got, wanted[-1])):
            require(not all(map(same, got, start)), "theta is what came in: keep what the M step returns")
            for i, earlier in enumerate(wanted[:-1]):
                require(not all(map(same, got, earlier)), f"theta is that after {i} of {turns} turns: return the last")
            raise Wrong(f"theta is not that of {turns} turns of E, then M")


def _history_check(history: Tensor, truth: Tensor, n: int) -> None:
    """truth: one value a turn and the one after the last."""
    turns = len(history)
    if turns > 1 and same(history, truth[:1].expand(turns)):
        raise Wrong("the history stands still: the E step must see the theta of the last M step")
    mistakes = {
        "the history has sums: log-likelihood per example is a mean over examples": truth[:-1] * n,
        "the sign: the history is of log p(x), which rises": -truth[:-1],
        "the history is one turn late: log p(x) as the E step finds it, before the M step": truth[1:],
        "the responsibilities were taken once: the E step belongs inside of the loop":
            torch.cat([truth[:1], truth[1:2].expand(turns - 1)]),
    }  # fmt: skip
    equal(history, truth[:-1], mistakes, "the history")


@Exercise.worth(fitting=1, scores=2, k=2)
def choose(answer: Answer, numbers: Generator) -> None:
    """The k whose model, fitted to some examples, gives others the highest mean log p(x)."""
    for ks, best in (([1, 2, 4, 8, 16], 8), ([5, 3, 9, 2], 5)):
        train = torch.randn(7, 2, generator=numbers, dtype=torch.float64)
        held_out = torch.randn(5, 2, generator=numbers, dtype=torch.float64)
        train[:, 1], held_out[:, 1] = 0.0, 1.0  # by this the model below knows which examples it is shown
        peak = {k: -3.0 - (2 * np.log(best / k) if k < best else np.log(k / best)) for k in ks}
        told = []

        def fit(x, k, peak=peak, told=told):
            k = int(k)
            told.append(("held-out" if x[:, 1].max() > 0 and x[:, 1].min() > 0 else
                         "both" if x[:, 1].max() > 0 else "train", len(x)))  # fmt: skip
            return lambda y: torch.where(y[:, 1] > 0, peak[k], -2.0 + 0.1 * k) + 0.1 * y[:, 0]

        answer.part("fitting")
        k, scores = parts(answer(fit, train, held_out, ks), "k", "scores")
        seen = {kind for kind, _ in told}
        require("held-out" not in seen, "the models were fitted to the held-out examples: fit to the others")
        require("both" not in seen, "the models saw the held-out examples while they were fitted: hold them out")
        answer.part("scores")
        wanted = torch.tensor([peak[j] for j in ks], dtype=torch.float64) + 0.1 * held_out[:, 0].mean()
        on_train = torch.tensor([-2.0 + 0.1 * j for j in ks], dtype=torch.float64) + 0.1 * train[:, 0].mean()
        number = isinstance(scores, float) or (isinstance(scores, Tensor) and not scores.ndim)
        require(not number, "the scores are one number: return that of every k, in the order of ks")
        scores = tensor(scores, (len(ks),), "(len(ks),)", "scores")
        mistakes = {
            "the scores are of the examples that the models were fitted to: they rise with every k": on_train,
            "the scores are of all examples, those of the fit as well: ask about the held-out ones alone":
                (len(train) * on_train + len(held_out) * wanted) / (len(train) + len(held_out)),
            "the scores are sums: per example is a mean": wanted * len(held_out),
            "the sign: log p(x), where higher is better": -wanted,
            "the scores are in another order than ks": wanted.sort(descending=True).values,
        }  # fmt: skip
        equal(scores, wanted, mistakes, "scores")
        answer.part("k")
        _k_check(k, ks, wanted)


def _k_check(k, ks: list[int], scores: Tensor) -> None:
    require(not isinstance(k, Tensor) or k.numel() == 1, "k is one number")
    k = float(k) if isinstance(k, Tensor | int | float) else k
    best = ks[int(scores.argmax())]
    if k == best:
        return
    require(k != int(scores.argmax()), f"{k:g} is the place of the best k in ks: return ks at that place")
    require(k != ks[int(scores.argmin())], "this k has the lowest score: look for the highest")
    require(k != max(ks), "this is the largest k: the scores say another")
    raise Wrong(f"needed k = {best}, whose score is the highest, got {k if isinstance(k, str) else f'{k:g}'}")


def _bumps(k: int, numbers: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and stds of k components, none of them close to 1."""
    uniform = lambda: torch.rand(k, generator=numbers, dtype=torch.float64)
    weights = 0.2 + uniform()
    return weights / weights.sum(), 4 * uniform() - 2, 0.3 + 0.5 * uniform()


def _e_parts(result, n: int, k: int) -> tuple[Tensor, Tensor]:
    gamma, log_p = parts(result, "gamma", "log_p")
    if isinstance(gamma, Tensor) and tuple(gamma.shape) == (n,) and getattr(log_p, "shape", ()) == (n, k):
        raise Wrong("the two are in the other order: γ first, then log p(x)")
    number = isinstance(log_p, float) or (isinstance(log_p, Tensor) and not log_p.ndim)
    require(not number, "log p(x) is one number: there is one for each example, (N,)")
    if isinstance(log_p, Tensor) and tuple(log_p.shape) == (n, 1):
        log_p = log_p[:, 0]
    return tensor(gamma, (n, k), "(N, K)", "γ"), tensor(log_p, (n,), "(N,)", "log p(x)")


def _reference_e(x: Tensor, theta: tuple) -> tuple[Tensor, Tensor]:
    normal = [multivariate_normal.logpdf(x, m, c).reshape(len(x)) for m, c in zip(theta[1], theta[2])]
    joint = np.stack(normal, 1) + np.log(np.asarray(theta[0]))
    return torch.as_tensor(np.exp(log_softmax(joint, 1))), torch.as_tensor(logsumexp(joint, 1))


def _reference_m(x: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    means = np.stack([np.average(x, axis=0, weights=g) for g in gamma.T])
    covariances = np.stack([np.cov(x.T, aweights=g, ddof=0) for g in gamma.T])
    return gamma.mean(0), torch.as_tensor(means), torch.as_tensor(covariances)


def _sklearn_em(x: Tensor, start: tuple, turns: int) -> tuple[list[tuple], Tensor]:
    """Parameters after 0, 1, ... turns, and the mean log p(x) of each, (turns + 1,)."""
    weights, means, covariances = start
    thetas = [start]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for i in range(1, turns + 1):
            known = {"weights_init": weights, "means_init": means, "precisions_init": np.linalg.inv(covariances)}
            known = {name: np.asarray(value) for name, value in known.items()}
            peer = GaussianMixture(len(means), **known, init_params="random_from_data", reg_covar=0, tol=0, max_iter=i)
            peer.fit(np.asarray(x))
            found = (peer.weights_, peer.means_, peer.covariances_)
            thetas.append(tuple(map(torch.as_tensor, found)))
    return thetas, torch.stack([_reference_e(x, theta)[1].mean() for theta in thetas])


def _one_hot(scores: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(scores.argmax(1), scores.shape[1]).to(scores)


def _told(x: Tensor) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in x.flatten().tolist()[:5]) + (", …)" if x.numel() > 5 else ")")
