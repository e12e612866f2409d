# %% [markdown]
# # 6 · Two-sample tests by hand
#
# **Do these two samples come from one distribution, and how sure may we be?** You write the tools of [lecture
# 6](../lectures/06_two_sample_tests.ipynb): an unbiased estimate of the MMD, a p-value for any statistic, the witness
# that shows where two samples differ, the best classifier, and the Fréchet distance. Time: 75 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from gdm_core import colors, data, plotting
from gdm_core.checks import lab06 as check

torch.manual_seed(0)
plotting.use_style()
EXTENT = (-5.0, 5.0, -5.0, 5.0)

# %% [markdown] exercise={"name": "mmd", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 1 · A distance of two samples
#
# The maximum mean discrepancy compares two samples pair by pair. With the kernel
# $k(s, t) = \exp\big(-\|s - t\|^2 / 2 h^2\big)$, an unbiased estimate of its square from $x_1 \dots x_N$ and
# $y_1 \dots y_M$ is (Gretton et al., 2012, eq. 3)
#
# $$ \frac{1}{N(N-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{M(M-1)} \sum_{i \ne j} k(y_i, y_j)
# - \frac{2}{NM} \sum_{i,j} k(x_i, y_j) . $$
#
# Predict before you run: can it be negative?
#
# <details><summary>Hint 1: all distances at once</summary>
#
# `torch.cdist(x, y)` is `(N, M)`; square it for the kernel.
#
# </details>
# <details><summary>Hint 2: nobody is a pair with oneself</summary>
#
# The diagonal of `k(x, x)` is all ones: subtract `K.trace()` from the sum.
#
# </details>

# %%
def mmd(x: Tensor, y: Tensor, h: float) -> Tensor:
    """Unbiased squared MMD.  x: (N, d), y: (M, d) -> ()."""
    ### BEGIN SOLUTION
    k = lambda s, t: torch.exp(-(torch.cdist(s, t) ** 2) / (2 * h**2))
    apart = lambda K: (K.sum() - K.trace()) / (len(K) * (len(K) - 1))
    return apart(k(x, x)) + apart(k(y, y)) - 2 * k(x, y).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def shifts(mmd):
    steps = torch.linspace(0, 8, 17)
    values = [float(mmd(torch.randn(200, 2), torch.randn(200, 2) + torch.tensor([float(s), 0.0]), 1.0)) for s in steps]
    fig, ax = plt.subplots(figsize=(7, 3))
    plotting.curve(steps, values, ax, marker="o")
    ax.axhline(0, color=colors.NOISE, ls="--")
    ax.set(xlabel="shift of one sample", ylabel="MMD²", title="MMD grows with the shift, and levels off")

# %% tags=["check"]
check.mmd(mmd, show=shifts)

# %% [markdown] exercise={"name": "p_value", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 2 · How large is large?
#
# Is a value of the statistic large? Pool $x$ and $y$, deal the points out again many times, and count. Each row of
# `deals` is one deal of the $N + M$ points ($x$ first): `True` for the points that play $x$. With $T_b$ the statistic
# of the $b$-th deal and $T$ that of the original samples,
#
# $$ p = \frac{1 + \#\{b : T_b \ge T\}}{1 + B} . $$
#
# Predict before you run: what is the smallest p-value that 99 deals can give?
#
# <details><summary>Hint 1: one deal</summary>
#
# With `z = torch.cat([x, y])` and `deal` a row of `deals`, `z[deal]` plays x and `z[~deal]` plays y.
#
# </details>
# <details><summary>Hint 2: counting</summary>
#
# `(null >= T).sum()` counts. The 1 in numerator and denominator stands for the original deal.
#
# </details>

# %%
def p_value(x: Tensor, y: Tensor, statistic, deals: Tensor) -> float:
    """Permutation p-value.  x: (N, d), y: (M, d); statistic: (N, d), (M, d) -> (); deals: (B, N + M) bool."""
    ### BEGIN SOLUTION
    z, value = torch.cat([x, y]), statistic(x, y)
    null = torch.stack([statistic(z[deal], z[~deal]) for deal in deals])
    return (1 + (null >= value).sum()) / (1 + len(deals))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def equally_frequent(p_value):
    means = lambda x, y: (x.mean(0) - y.mean(0)).norm()
    keys = torch.rand(300, 19, 20)
    deals = keys <= keys.kthvalue(10, dim=2, keepdim=True).values
    fig, ax = plt.subplots(figsize=(7, 3))
    for shift, color, name in ((0.0, colors.NOISE, "p = q"), (0.8, colors.MODEL, "shifted")):
        ps = [float(p_value(torch.randn(10, 1), torch.randn(10, 1) + shift, means, d)) for d in deals]
        ax.hist(ps, bins=torch.linspace(0.025, 1.025, 21).tolist(), color=color, alpha=0.5, label=name)
    ax.set(xlabel="p-value", ylabel="tests", title="Equal samples: all p-values are equally frequent")
    ax.legend()

# %% tags=["check"]
check.p_value(p_value, show=equally_frequent)

# %% [markdown] exercise={"name": "witness", "difficulty": 1, "importance": 4, "minutes": 10}
# ## Exercise 3 · Where do they differ?
#
# MMD says how much two samples differ; its witness says where. At any point $t$, with the kernel of exercise 1,
#
# $$ f(t) = \frac1N \sum_n k(t, x_n) - \frac1M \sum_m k(t, y_m) . $$
#
# <details><summary>Hint 1: shapes</summary>
#
# `torch.cdist(t, x)` is `(B, N)`; the mean over its second axis leaves `(B,)`.
#
# </details>
# <details><summary>Hint 2: the sign</summary>
#
# Positive where x has more points.
#
# </details>

# %%
def witness(t: Tensor, x: Tensor, y: Tensor, h: float) -> Tensor:
    """f(t).  t: (B, d), x: (N, d), y: (M, d) -> (B,)."""
    ### BEGIN SOLUTION
    k = lambda s, t: torch.exp(-(torch.cdist(s, t) ** 2) / (2 * h**2))
    return k(t, x).mean(1) - k(t, y).mean(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def map_of_differences(witness):
    x, y = data.load("eight_gaussians", n=400).x, 2.14 * torch.randn(400, 2)
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.3))
    for ax, h in zip(axes, (0.6, 2.5)):
        f = lambda t, h=h: torch.as_tensor(witness(t, x, y, h))
        size = f(plotting.grid(EXTENT)).abs().max().item()
        plotting.field(f, ax, EXTENT, cmap=colors.DIVERGING, vmin=-size, vmax=size)
        plotting.points(x, ax, size=4)
        ax.set(title=f"h = {h}", xlim=EXTENT[:2], ylim=EXTENT[2:])

# %% tags=["check"]
check.witness(witness, show=map_of_differences)

# %% [markdown] exercise={"name": "best_guess", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 4 · The best guess
#
# A coin decides whether a point comes from $p$ or from $q$. The best possible classifier answers with the probability
#
# $$ D^*(t) = \frac{p(t)}{p(t) + q(t)} . $$
#
# that it came from $p$. You get $\log p(t)$ and $\log q(t)$, which may be as low as $-2000$, as they are for
# pictures.
#
# <details><summary>Hint 1: divide</summary>
#
# Divide numerator and denominator by $p$: only $\log q - \log p$ is left.
#
# </details>
# <details><summary>Hint 2: a function you know</summary>
#
# $1 / (1 + e^{-a})$ is `torch.sigmoid(a)`, which is exact for every $a$.
#
# </details>

# %%
def best_guess(log_p: Tensor, log_q: Tensor) -> Tensor:
    """D*.  log_p, log_q: (B,) nats -> (B,) in [0, 1]."""
    ### BEGIN SOLUTION
    return torch.sigmoid(log_p - log_q)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def of_p_or_of_q(best_guess):
    ring = data.load("eight_gaussians", n=2).density
    one = torch.distributions.MultivariateNormal(torch.zeros(2), 4.59 * torch.eye(2))
    fig, ax = plt.subplots(figsize=(5, 4.3))
    guess = lambda t: torch.as_tensor(best_guess(ring.log_prob(t), one.log_prob(t)))
    plotting.field(guess, ax, EXTENT, cmap=colors.DIVERGING, vmin=0, vmax=1)
    ax.set_title("Violet: of the ring")

# %% tags=["check"]
check.best_guess(best_guess, show=of_p_or_of_q)

# %% [markdown] exercise={"name": "frechet", "difficulty": 3, "importance": 3, "minutes": 15}
# ## Exercise 5 · The distance that papers print
#
# The Fréchet distance is that of two Gaussians with the means and covariances of the samples. To keep it simple, let
# the covariances be diagonal, so that square roots of matrices are square roots of numbers. With means $m, m'$ and
# standard deviations $s, s'$ of the $d$ features it is
#
# $$ \|m - m'\|^2 + \sum_{i=1}^d \big(s_i^2 + s_i'^2 - 2\, s_i s_i'\big) . $$
#
# Compute it from two samples, with the mean of squares for the variance (divide by $N$).
#
# <details><summary>Hint 1: the sum is a square</summary>
#
# $s^2 + s'^2 - 2 s s' = (s - s')^2$.
#
# </details>
# <details><summary>Hint 2: dividing by N</summary>
#
# `x.std(0, correction=0)` divides by N; without it torch divides by N - 1.
#
# </details>

# %%
def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Squared Fréchet distance of the diagonal Gaussians with the moments of x (N, d) and y (M, d) -> ()."""
    ### BEGIN SOLUTION
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + (x.std(0, correction=0) - y.std(0, correction=0)).square().sum()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def few_and_many(frechet):
    sizes = [50, 100, 200, 400, 800]
    values = [float(frechet(torch.randn(n, 64), torch.randn(n, 64))) for n in sizes]
    fig, ax = plt.subplots(figsize=(7, 3))
    plotting.curve(sizes, values, ax, marker="o")
    ax.axhline(0, color=colors.EXACT, ls="--")
    ax.set(xlabel="examples", ylabel="distance", title="Of equal distributions: it measures the number of examples")

# %% tags=["check"]
check.frechet(frechet, show=few_and_many)

# %% [markdown] exercise={"name": "p_of_forty_percent", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A colleague writes: "We compared 50 generated pictures with 50 real ones. The test gave p = 0.4, so with a probability of 40 % our
# model is perfect. The classifier test agrees: on the pictures it was trained with it was right in 99 %." What is wrong?
#
# Answer in three to six sentences in the cell below. A good answer says what **p is a probability of**; what a **large p** with 50
# examples shows; and what is wrong with the **classifier's 99 %**, whatever they show.

# %% [markdown]
# ### BEGIN SOLUTION
# p is the probability of a statistic at least this large if the null hypothesis holds, not the probability of the hypothesis. A p of 0.4
# says that this statistic, with 50 examples, did not see a difference: its power may be small, and another statistic or more pictures
# may see one at once. The classifier does not agree at all: were its 99 % honest, it would tell the samples apart nearly always. But they
# were measured on the pictures that it learned from, where a network is right about pure noise as well; only held-out pictures count.
#
# *Rubric, one point each:* p is about data given the hypothesis · not rejecting is no proof, power · training accuracy says nothing,
# and 99 % would contradict.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A statistic, a p-value, a map of the differences, and a standard to hold classifiers against: all that chapter 8
# needs to judge a GAN.
#
# **References.** A. Gretton et al., *A kernel two-sample test*, 2012, eq. 3. B. Phipson, G. Smyth, *Permutation p-values should never
# be zero*, 2010. I. Goodfellow et al., *Generative adversarial nets*, 2014, eq. 2. M. Heusel et al., *GANs trained by a two time-scale
# update rule*, 2017, eq. 6.
