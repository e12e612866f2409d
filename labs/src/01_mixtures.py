# %% [markdown]
# # 1 · Mixtures by hand
#
# **Can five short functions find the kinds of things in a heap of unlabeled examples?** You write EM, the algorithm of
# [lecture 1](../lectures/01_mixtures.ipynb), and let it loose on handwriting. Time: 80 minutes.
#
# How a lab works:
#
# - Each exercise has a gap, `raise NotImplementedError()`. Put your code there and run the cell.
# - The cell after it asks the checks. They call your function and print one line: what is wrong, or ✓ and a picture.
#   They never read your code, so any way of writing it will do: loops or none, torch or numpy.
# - Stuck? Two hints unfold; the first is small. No exercise needs the ones before it.
# - In a terminal, `gdm labs check labs/01_mixtures.ipynb` asks all checks at once.
#
# A check that finds no mistake is no proof: look at your picture too.

# %% tags=["own-data"]
SEED = 0  # of the digits below; in a class everyone has others

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gdm_core import colors, data, plotting
from gdm_core.checks import lab01 as check
from gdm_core.models.gmm import GMM

torch.manual_seed(0)
plotting.use_style()

# %% [markdown] exercise={"name": "log_joint", "difficulty": 1, "importance": 4, "minutes": 10}
# ## Exercise 1 · The log of the joint
#
# A mixture draws a number $x$ in two steps: first a component $z$, which is $k$ with probability $\pi_k$, then $x$ from the
# Gaussian of that component. All that EM does starts from the joint $p(x, z=k)$ of the two. Write its logarithm for every
# example and every component, an `(N, K)` table in nats:
#
# $$ \log p(x_n, z = k) = \log \pi_k + \log \mathcal N(x_n;\, \mu_k, \sigma_k^2). $$
#
# $\mathcal N$ is the Gaussian density. `stds` holds $\sigma_k$, the standard deviations. The checks also ask about an $x$ far
# from every component, where the density itself underflows to 0 but its logarithm does not.
#
# <details><summary>Hint 1: shapes</summary>
#
# You need every example against every component. `x[:, None]` has shape `(N, 1)`, and `(N, 1)` against `(K,)` gives
# `(N, K)`.
#
# </details>
# <details><summary>Hint 2: the density</summary>
#
# $\log \mathcal N(x; \mu, \sigma^2) = -\tfrac12 \big(\tfrac{x-\mu}{\sigma}\big)^2 - \log \sigma - \tfrac12 \log 2\pi$.
# `torch.distributions.Normal` knows it as well: its second argument is a standard deviation.
#
# </details>

# %%
def log_joint(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor) -> Tensor:
    """log p(x, z = k).  x: (N,); weights, means, stds: (K,) -> (N, K) nats."""
    ### BEGIN SOLUTION
    square = ((x[:, None] - means) / stds) ** 2  # (N, K)
    return weights.log() - 0.5 * square - stds.log() - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def three_parts(log_joint):
    weights, means, stds = torch.tensor([[0.3, 0.5, 0.2], [-3.0, 0.5, 3.2], [0.7, 0.5, 0.6]], dtype=torch.float64)
    x = torch.linspace(-8, 8, 801, dtype=torch.float64)
    joint = log_joint(x, weights, means, stds)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    below = torch.zeros_like(x)
    for k, p in enumerate(joint.exp().T):
        left.fill_between(x, below, below + p, color=colors.COMPONENTS[k], alpha=0.55, lw=0)
        below = below + p
        plotting.curve(x, joint[:, k], right, color=colors.COMPONENTS[k])
        right.text(means[k], 4, f"z = {k + 1}", color=colors.COMPONENTS[k], ha="center", fontweight="bold")
    plotting.curve(x, below, left, color=colors.EXACT)
    left.set(title="Three parts make one density", xlabel="x", yticks=[])
    right.set(title="Their logarithms never reach zero", xlabel="x", ylabel="log p(x, z)", ylim=(-60, 12))

# %% tags=["check"]
check.log_joint(log_joint, show=three_parts)

# %% [markdown] exercise={"name": "e_step", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 2 · The E step
#
# Which component made $x_n$? Bayes' rule answers with the *responsibilities* $\gamma_{nk}$. They are the joint, divided
# by its sum over the components, and that sum is $p(x_n)$:
#
# $$ \gamma_{nk} = p(z = k \mid x_n) = \frac{p(x_n, z = k)}{p(x_n)}, \qquad p(x_n) = \sum_j p(x_n, z = j). $$
#
# Return both: $\gamma$, whose rows sum to 1, and $\log p(x_n)$, one number for each example. You are given the *logarithms*
# $\log p(x_n, z=k)$, which may be as low as -2000. `exp` of that is zero, and $0/0$ is no probability: think before you
# write `exp`.
#
# <details><summary>Hint 1: what may be taken out</summary>
#
# For any number $m$ we have $\log \sum_j e^{a_j} = m + \log \sum_j e^{a_j - m}$. With the largest $a_j$ as $m$, at least one
# term of the sum is 1. Each example needs its own $m$.
#
# </details>
# <details><summary>Hint 2: torch has it</summary>
#
# `logsumexp(dim)` does just that. Then $\gamma_{nk} = \exp\big(\log p(x_n, z=k) - \log p(x_n)\big)$, which torch calls
# `softmax`. Which dimension are the components?
#
# </details>

# %%
def e_step(log_joint: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities and log p(x).

    log_joint: (N, K) nats -> gamma (N, K), log_p (N,) nats.
    """
    ### BEGIN SOLUTION
    log_p = log_joint.logsumexp(1)
    return (log_joint - log_p[:, None]).exp(), log_p
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
world = GMM(3, 2).double().set(
    torch.tensor([0.5, 0.3, 0.2]),
    torch.tensor([[-1.0, 0.6], [1.4, 1.2], [0.8, -1.6]]),
    torch.tensor([[[0.7, 0.45], [0.45, 0.5]], [[0.5, -0.35], [-0.35, 0.4]], [[0.9, 0.1], [0.1, 0.12]]]),
)
blobs = world.sample(900)
SHADES = torch.as_tensor(colors.rgb(*colors.COMPONENTS[:3]))


def who_made_it(e_step):
    gamma, log_p = e_step(world.log_joint(blobs))
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharex=True, sharey=True)
    plotting.points(blobs, left, color=(gamma @ SHADES).clamp(0, 1).numpy(), size=16, alpha=0.9)
    left.set(title="γ: who made each example", xticks=[], yticks=[])
    plotting.points(blobs, right, color=log_p.numpy(), size=16, alpha=0.9, cmap=colors.FIELD)
    right.set(title="log p(x): bright ones are usual", xticks=[], yticks=[])

# %% tags=["check"]
check.e_step(e_step, show=who_made_it)

# %% [markdown] exercise={"name": "m_step", "difficulty": 3, "importance": 5, "minutes": 20}
# ## Exercise 3 · The M step
#
# If we knew which component made each example, learning would be counting and averaging. We know only probabilities, so
# we count with fractions: example $n$ counts for component $k$ with weight $\gamma_{nk}$. Component $k$ then has
# $N_k = \sum_n \gamma_{nk}$ examples, and maximum likelihood gives
#
# $$ \pi_k = \frac{N_k}{N}, \qquad \mu_k = \frac1{N_k} \sum_n \gamma_{nk}\, x_n, \qquad
# \Sigma_k = \frac1{N_k} \sum_n \gamma_{nk}\, (x_n - \mu_k)(x_n - \mu_k)^\top . $$
#
# From here on $x_n$ has $d$ features, and $\Sigma_k$ is a covariance matrix, one for each component.
#
# <details><summary>Hint 1: one component first</summary>
#
# Write a loop over $k$ with `g = gamma[:, k]`, shape `(N,)`. The mean is `(g[:, None] * x).sum(0) / g.sum()`. A loop is a
# fine answer; `torch.stack` puts the components together at the end.
#
# </details>
# <details><summary>Hint 2: the outer products</summary>
#
# With `y = x - mean` of shape `(N, d)`, the sum of $\gamma_{nk}\, y_n y_n^\top$ is the matrix product
# `(g[:, None] * y).T @ y`.
#
# </details>

# %%
def m_step(x: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum likelihood given gamma.

    x: (N, d), gamma: (N, K) -> weights (K,), means (K, d), covariances (K, d, d).
    """
    ### BEGIN SOLUTION
    counts = gamma.sum(0)  # (K,)
    means = gamma.T @ x / counts[:, None]
    away = x[:, None] - means  # (N, K, d)
    covariances = torch.einsum("nk,nki,nkj->kij", gamma, away, away) / counts[:, None, None]
    return counts / len(x), means, covariances
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def three_ellipses(m_step):
    gamma = world.responsibilities(blobs).detach()
    weights, means, covariances = m_step(blobs, gamma)
    fig, ax = plt.subplots(figsize=(6.5, 4.6))
    plotting.points(blobs, ax, color=(gamma @ SHADES).clamp(0, 1).numpy(), size=12)
    plotting.ellipses(world.means, world.covariances, ax, color=colors.EXACT, ls="--")
    plotting.ellipses(means, covariances, ax, color=colors.COMPONENTS[:3])
    ax.set(title="Counted and averaged, close to the truth (green)", xticks=[], yticks=[])

# %% tags=["check"]
check.m_step(m_step, show=three_ellipses)

# %% [markdown] exercise={"name": "em", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 4 · The loop
#
# We know neither $\gamma$ nor $\theta = (\pi, \mu, \Sigma)$, but each would give us the other. So EM (Dempster, Laird &
# Rubin, 1977) starts from a guess of $\theta$ and alternates the two steps. On the way it records $\ell_t$, the mean
# log-likelihood that the E step of turn $t$ finds:
#
# $$ \gamma \leftarrow \text{E}(x, \theta), \qquad
# \ell_t = \frac1N \sum_n \log p_\theta(x_n), \qquad \theta \leftarrow \text{M}(x, \gamma). $$
#
# Both steps come as arguments: the checks bring their own, the picture takes yours. The history has one number for each turn. Predict before you
# run: can $\ell_t$ ever fall?
#
# <details><summary>Hint 1: what goes round</summary>
#
# `theta` goes into the E step and comes out of the M step. The next turn must start from the new one.
#
# </details>
# <details><summary>Hint 2: what is kept</summary>
#
# The E step returns `log_p` of shape `(N,)` beside `gamma`. Its mean, taken before the M step, is this turn's entry in
# the history.
#
# </details>

# %%
def em(x: Tensor, theta: tuple, e_step, m_step, iterations: int) -> tuple[tuple, list]:
    """EM from a first guess.

    x: (N, d); theta: weights (K,), means (K, d), covariances (K, d, d).
    e_step(x, theta) -> gamma (N, K), log_p (N,);  m_step(x, gamma) -> theta.
    -> theta after `iterations` turns, and each turn's mean log p(x) before its M step.
    """
    ### BEGIN SOLUTION
    history = []
    for _ in range(iterations):
        gamma, log_p = e_step(x, theta)
        history.append(log_p.mean())
        theta = m_step(x, gamma)
    return theta, history
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def from_a_corner(em):
    """The student's own steps, all three together."""
    own_e, own_m = check.Answer(e_step), check.Answer(m_step)

    def in_the_plane(x, theta):
        return own_e(theta[0].log() + MultivariateNormal(theta[1], theta[2]).log_prob(x[:, None]))

    means = torch.tensor([[-2.0, 2.0], [-1.5, 1.5], [-1.0, 2.0]], dtype=torch.float64)
    theta = (torch.full((3,), 1 / 3, dtype=torch.float64), means, 0.5 * torch.eye(2, dtype=torch.float64).repeat(3, 1, 1))
    fig, axes = plt.subplots(1, 4, figsize=(14, 3.7))
    history, done = [], 0
    for ax, turns in zip(axes, (1, 9, 50)):
        theta, more = em(blobs, theta, in_the_plane, own_m, turns)
        history, done = history + [float(l) for l in more], done + turns
        gamma, _ = in_the_plane(blobs, theta)
        plotting.points(blobs, ax, color=(gamma @ SHADES).clamp(0, 1).numpy(), size=8)
        plotting.ellipses(theta[1], theta[2], ax, color=colors.COMPONENTS[:3])
        ax.set(title=f"after {done} turn{'s' * (done > 1)}", xticks=[], yticks=[])
    plotting.curve(range(len(history)), history, axes[3], color=colors.MODEL)
    truth = world.log_prob(blobs).mean().item()
    axes[3].axhline(truth, color=colors.EXACT, ls="--")
    axes[3].text(60, truth + 0.03, "the truth", color=colors.EXACT, ha="right", fontweight="bold")
    axes[3].set(title="It never falls", xlabel="turn", ylabel="nats per example", ylim=(-3.6, -2.5))

# %% tags=["check"]
check.em(em, show=from_a_corner)

# %% [markdown] exercise={"name": "choose", "difficulty": 2, "importance": 4, "minutes": 15}
# ## Exercise 5 · How many components?
#
# At its best, a mixture with more components fits the examples that it learns from at least as well, so they cannot tell
# us where to stop. Hold some examples out, and choose the $K$ whose model finds *those* most likely. With $M$ held-out
# examples,
#
# $$ K^\star = \arg\max_K \; \frac1M \sum_{m} \log p_{\hat\theta_K(\text{train})}\big(x_m^\text{held out}\big). $$
#
# `fit(x, k)` learns a mixture of `k` components from `x` and returns its log-density, a function from `(B, d)` to
# `(B,)` nats. The list `ks` may be in any order. The picture tries your function on 4,000 handwritten digits, half of them
# held out, in their first 20 principal components.
#
# <details><summary>Hint 1: who sees what</summary>
#
# `fit` must see `train` alone, the log-density `held_out` alone.
#
# </details>
# <details><summary>Hint 2: an index is not a k</summary>
#
# `argmax` returns the index of the best score. You want the `k` that stands at that index in `ks`.
#
# </details>

# %%
def choose(fit, train: Tensor, held_out: Tensor, ks: list[int]) -> tuple[int, Tensor]:
    """The best number of components, and the mean held-out log p(x) of each k.

    -> the best k, and the scores in the order of ks: (len(ks),) nats.
    """
    ### BEGIN SOLUTION
    scores = torch.stack([fit(train, k)(held_out).mean() for k in ks])
    return ks[scores.argmax()], scores
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def how_many(choose):
    pictures = data.load("strokes", n=4000, seed=SEED).flat().double()
    center, axes_of = pictures.mean(0), torch.linalg.svd(pictures - pictures.mean(0), full_matrices=False)[2][:20]
    train, held_out = ((pictures - center) @ axes_of.T).split(2000)
    ks, models = [1, 2, 5, 10, 20, 40, 80], {}

    def fit(x, k):
        torch.manual_seed(0)
        models[k] = GMM(k, 20).double().start(x, floor=0.05)
        list(models[k].em(x, 30, floor=0.05))
        return lambda y: models[k].log_prob(y).detach()

    k, scores = choose(fit, train, held_out, ks)
    best = models[int(k)]
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=[1, 1.25])
    learned = [models[j].log_prob(train).mean().item() for j in ks]
    plotting.curve(ks, learned, left, "examples learned from", color=colors.DATA, at=0.7, offset=(-165, 12), marker=".")
    plotting.curve(ks, scores, left, "held out", color=colors.MODEL, at=0.35, offset=(0, -18), marker="o")
    left.axvline(int(k), color=colors.ACCENT, lw=1.5)
    left.set(xscale="log", xticks=ks, xticklabels=ks, xlabel="K", ylabel="nats per example", title=f"Held-out examples choose K = {int(k)}")
    left.minorticks_off()
    kinds = (best.means[best.weights.argsort(descending=True)] @ axes_of + center).detach()[:40]
    plotting.images(kinds.reshape(-1, 1, 28, 28), right, columns=10)
    right.set(title=f"The mean of each of the {len(kinds)} components")

# %% tags=["check"]
check.choose(choose, show=how_many)

# %% [markdown] exercise={"name": "kinds", "difficulty": 3, "importance": 4, "minutes": 10}
# ## Exercise 6 · In your own words
#
# There are ten digits, but the held-out likelihood chose another number. Is $K^\star$ the number of *kinds* of things in
# the data?
#
# Answer in three to six sentences in the cell below. A good answer says **what** $K^\star$ is the best number *for*; gives a
# **reason** that one can see in the pictures above; and names an **experiment** that could prove you wrong, with the result that
# would.

# %% [markdown]
# ### BEGIN SOLUTION
# No. It is the number of Gaussians that predict unseen examples best, given 2,000 of them. A digit is not a Gaussian blob:
# slant, width and style bend each class, so one digit takes several components (the same digit appears several times among
# the means), and with more data still more components would pay. An experiment: repeat with 500 and with 8,000 training examples. If $K^\star$
# stayed the same, it would be a property of digits and I would be wrong; I expect it to grow.
#
# *Rubric, one point each:* best for prediction (density of unseen examples), not for counting classes · a reason from the
# pictures, such as several styles of one digit, or components that mix two digits · an experiment with a result that would
# contradict the answer.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# Five functions, some thirty lines, are the whole of EM for Gaussian mixtures. `gdm_core.models.gmm` does the same with a
# Cholesky factor in place of $\Sigma$ and all examples in two matrix products; [lecture 1](../lectures/01_mixtures.ipynb) shows
# why the loop never falls. `gdm labs use labs/01_mixtures.ipynb` lets that lecture, and its explorers, run on *your* two steps.
#
# **References.** C. Bishop, *Pattern Recognition and Machine Learning*, 2006, eq. 9.23 to 9.28. A. Dempster, N. Laird, D. Rubin,
# *Maximum likelihood from incomplete data via the EM algorithm*, 1977.
