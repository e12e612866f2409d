# %% [markdown]
# # 3 · The bound by hand
#
# **How do we search for the latents of one example when the posterior has no formula, and what does the answer miss?** You
# write the bound of [lecture 3](../lectures/03_vae.ipynb), climb it, and measure what is lost. Time: 80 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.
#
# One model for the whole lab: $z \sim \mathcal N(0, I_L)$, then $x \mid z \sim \mathcal N\big(f(z),\, \sigma^2 I_d\big)$ with a nonlinear
# decoder $f$. `sigma` is a standard deviation.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.distributions import Normal

from gdm_core import colors, plotting
from gdm_core.checks import lab03 as check

torch.manual_seed(0)
plotting.use_style()
SIGMA = 0.35


def bend(z):
    """(S, 1) -> (S, 2): a curve in the plane."""
    return torch.cat([1.4 * z, 0.7 * z**2 - 0.7], 1)


GRID = torch.linspace(-5, 5, 1001, dtype=torch.float64)
STEP = float(GRID[1] - GRID[0])
X = torch.tensor([0.7, 0.3], dtype=torch.float64)  # one example
JOINT = Normal(bend(GRID[:, None]), SIGMA).log_prob(X).sum(1) + Normal(0.0, 1.0).log_prob(GRID)  # log p(x, z)
EVIDENCE = JOINT.logsumexp(0) + torch.log(torch.tensor(STEP))

# %% [markdown] exercise={"name": "elbo_terms", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 1 · Three distributions
#
# With a nonlinear decoder neither $p(x)$ nor the posterior $p(z \mid x)$ has a formula. But any $q(z)$ gives a lower bound on
# $\log p(x)$, often called the ELBO, and it needs only densities that we can write down, averaged over draws from $q$:
#
# $$ \mathcal L = \mathbb E_q\big[\log p(x \mid z) + \log p(z) - \log q(z)\big] \;\le\; \log p(x) . $$
#
# Write what is inside the brackets, in nats, one number for each draw. The average comes later. Here $q(z) = \mathcal N\big(\mu, \operatorname{diag}(s^2)\big)$.
#
# Predict before you run: for which $q$ does this number *not depend on the draw*?
#
# <details><summary>Hint 1: sums</summary>
#
# The features of $x$ are independent given $z$, and so are the latents. Independent log-densities add up: `.sum(1)`.
#
# </details>
# <details><summary>Hint 2: three lines</summary>
#
# `Normal(decoder(z), sigma).log_prob(x)` has shape `(S, d)`, `Normal(0.0, 1.0).log_prob(z)` and `Normal(mean, std).log_prob(z)` have
# `(S, L)`.
#
# </details>

# %%
def elbo_terms(
    x: Tensor, z: Tensor, mean: Tensor, std: Tensor, decoder, sigma: float
) -> Tensor:
    """log p(x|z) + log p(z) - log q(z) of each draw.

    x: (d,); z: (S, L) draws; mean, std: (L,) of q; decoder: (S, L) -> (S, d).
    -> (S,) nats.
    """
    ### BEGIN SOLUTION
    fit = Normal(decoder(z), sigma).log_prob(x).sum(1)
    prior = Normal(0.0, 1.0).log_prob(z).sum(1)
    return fit + prior - Normal(mean, std).log_prob(z).sum(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def the_flatter_the_better(elbo_terms):
    post = (JOINT - EVIDENCE).exp()
    center = (post * GRID).sum() * STEP
    width = ((post * (GRID - center) ** 2).sum() * STEP).sqrt()
    fig, axes = plt.subplots(1, 3, figsize=(13, 3.6), sharey=True)
    for ax, title, m, s in zip(axes, ("too wide", "beside it", "close"), (0.0, 1.15, center), (1.0, 0.25, width)):
        z = torch.linspace(float(m - 2 * s), float(m + 2 * s), 200, dtype=torch.float64)
        terms = elbo_terms(X, z[:, None], torch.as_tensor([m]).double(), torch.as_tensor([s]).double(), bend, SIGMA)
        ax.axhline(EVIDENCE, color=colors.EXACT, ls="--", lw=1.6)
        plotting.curve(z, terms, ax, color=colors.FAMILY)
        ax.fill_between(GRID, -14, -14 + 4 * post, color=colors.EXACT, alpha=0.35, lw=0)
        ax.fill_between(GRID, -14, -14 + 4 * Normal(float(m), float(s)).log_prob(GRID).exp(), color=colors.FAMILY, alpha=0.4, lw=0)
        ax.set(title=f"q {title}", xlabel="z", xlim=(-2.2, 2.2), ylim=(-14, 2))
    axes[0].set_ylabel("nats")
    axes[0].text(-2.1, EVIDENCE + 0.3, "log p(x)", color=colors.EXACT, fontweight="bold")
    axes[0].text(-2.1, -12.4, "q", color=colors.FAMILY, fontweight="bold")

# %% tags=["check"]
check.elbo_terms(elbo_terms, show=the_flatter_the_better)

# %% [markdown] exercise={"name": "draw", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 2 · Draws that can be moved
#
# To climb the bound we need its gradient with respect to the parameters of $q$, and these decide where the draws fall. The
# reparameterization trick (Kingma & Welling, 2014) writes a draw as a function of the parameters and of noise that does not depend
# on them:
#
# $$ z = \mu + s \odot \epsilon, \qquad \epsilon \sim \mathcal N(0, I), \qquad s = \exp(\log s) . $$
#
# The parameter is $\log s$, since it may be any number. The checks look at your draws as a statistician would: at their mean, spread,
# shape, and independence. Then they ask for gradients. Two calls must give different draws, so set no seed in the function.
#
# <details><summary>Hint 1: whose noise</summary>
#
# Every draw and every latent needs noise of its own: `torch.randn(n, len(mean))`.
#
# </details>
# <details><summary>Hint 2: where gradients end</summary>
#
# `.detach()`, `.item()`, `torch.no_grad()` and `Normal(...).sample()` cut them. Plain arithmetic does not.
#
# </details>

# %%
def draw(mean: Tensor, log_std: Tensor, n: int) -> Tensor:
    """n draws from q, through which gradients flow.  mean, log_std: (L,) -> (n, L)."""
    ### BEGIN SOLUTION
    return mean + log_std.exp() * torch.randn(n, len(mean))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def same_noise(draw):
    fig, ax = plt.subplots(figsize=(9, 4.2))
    places = []
    for m, log_s in (((-2.0, 0.0), (-1.2, -0.6)), ((0.0, 0.4), (-0.6, -0.6)), ((2.4, 0.0), (-0.2, -0.6))):
        torch.manual_seed(3)
        places.append(draw(torch.tensor(m).double(), torch.tensor(log_s).double(), 40))
    for path in torch.stack(places, 1):
        ax.plot(*path.T, color=colors.NOISE, lw=0.7, alpha=0.6)
    for z, shade in zip(places, colors.COMPONENTS):
        plotting.points(z, ax, color=shade, size=26, alpha=0.9)
    ax.set(title="The same noise, three q: each draw moves with its q", xlabel="z₁", ylabel="z₂")

# %% tags=["check"]
check.draw(draw, show=same_noise)

# %% [markdown] exercise={"name": "ascend", "difficulty": 3, "importance": 5, "minutes": 15}
# ## Exercise 3 · Up the bound
#
# Inference for one example is now a search. Start anywhere and follow the gradient, both parameters at once, $\eta$ being the size of
# a step (`rate`):
#
# $$ \mu \leftarrow \mu + \eta\, \nabla_\mu \mathcal L(\mu, \log s), \qquad \log s \leftarrow \log s + \eta\, \nabla_{\log s} \mathcal L(\mu, \log s) . $$
#
# `bound(mean, log_std)` returns $\mathcal L$, a tensor with a gradient. Take plain steps and no Adam, so that the checks know where
# you must arrive.
#
# <details><summary>Hint 1: asking for a gradient</summary>
#
# `torch.autograd.grad(value, (mean, log_std))` returns both gradients, if both tensors have `requires_grad_()`.
#
# </details>
# <details><summary>Hint 2: a fresh start at each step</summary>
#
# After a step the new values are results of a computation. `mean.detach().requires_grad_()` turns them back into variables. If you
# use `backward()`, set `.grad` to zero before each step, because gradients add up there.
#
# </details>

# %%
def ascend(
    bound, mean: Tensor, log_std: Tensor, steps: int, rate: float
) -> tuple[Tensor, Tensor]:
    """The parameters after `steps` steps of gradient ascent.

    mean, log_std: (L,) -> (L,), (L,).
    """
    ### BEGIN SOLUTION
    for _ in range(steps):
        mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
        by_mean, by_log_std = torch.autograd.grad(bound(mean, log_std), (mean, log_std))
        mean, log_std = mean + rate * by_mean, log_std + rate * by_log_std
    return mean.detach(), log_std.detach()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def climbing(ascend):
    noise = torch.linspace(0.0025, 0.9975, 200, dtype=torch.float64)[:, None]
    noise = Normal(0.0, 1.0).icdf(noise)  # as even as 200 draws can be, so that the map below is smooth

    def bound(mean, log_std):
        z = mean + log_std.exp() * noise
        fit = Normal(bend(z), SIGMA).log_prob(X).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        return (fit - Normal(mean, log_std.exp()).log_prob(z).sum(1)).mean()

    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2))
    means, log_stds = torch.linspace(-1.6, 1.8, 60).double(), torch.linspace(-2.4, 0.6, 50).double()
    height = torch.stack([torch.stack([bound(m[None], s[None]) for m in means]) for s in log_stds])
    left.contourf(means, log_stds, height.clamp(min=-12), levels=24, cmap=colors.FIELD)
    for begin, shade in ((-1.4, colors.ACCENT), (1.6, colors.FAMILY)):
        path = [(torch.tensor([begin]).double(), torch.tensor([0.3]).double())]
        for _ in range(80):
            path.append(tuple(t.detach().double() for t in ascend.with_gradients(bound, *path[-1], 5, 0.003)))
        line = torch.tensor([[float(m), float(s)] for m, s in path])
        left.plot(*line.T, ".-", color=shade, lw=1.5)
        plotting.curve(GRID, Normal(line[-1, 0], line[-1, 1].exp()).log_prob(GRID).exp(), right, color=shade)
    right.fill_between(GRID, 0, (JOINT - EVIDENCE).exp(), color=colors.EXACT, alpha=0.35, lw=0)
    left.set(title="Two searches on the map of the bound", xlabel="mean", ylabel="log std", ylim=(-2.4, 0.6))
    right.set(title="Where they end (green: the posterior)", xlabel="z", xlim=(-2, 2), yticks=[])

# %% tags=["check"]
check.ascend(ascend, show=climbing)

# %% [markdown] exercise={"name": "log_evidence", "difficulty": 2, "importance": 4, "minutes": 15}
# ## Exercise 4 · The truth, for once
#
# How far below $\log p(x)$ does the bound end? To find out we need the truth. With a single latent we can compute the integral on a
# grid $z_1, z_2, \dots$ of equal steps $\Delta$:
#
# $$ \log p(x) = \log \int p(x \mid z)\, p(z)\, dz \;\approx\; \log \sum_g p(x \mid z_g)\, p(z_g)\, \Delta . $$
#
# The picture uses 161 points. With ten latents the same grid would have $161^{10}$ of them, which is why everybody else needs a bound.
#
# <details><summary>Hint 1: logarithms to the end</summary>
#
# `p(x|z)` underflows for an `x` far from the curve. Keep $\log p(x, z_g)$ and use `logsumexp` over the grid.
#
# </details>
# <details><summary>Hint 2: the step</summary>
#
# A factor inside the sum becomes a term outside the logarithm: add $\log \Delta$ with `step = grid[1] - grid[0]`. The decoder wants
# `grid[:, None]`, shape `(G, 1)`.
#
# </details>

# %%
def log_evidence(x: Tensor, decoder, sigma: float, grid: Tensor) -> Tensor:
    """log p(x) with one latent.

    x: (d,); decoder: (G, 1) -> (G, d); grid: (G,) in equal steps -> () nats.
    """
    ### BEGIN SOLUTION
    log_joint = Normal(decoder(grid[:, None]), sigma).log_prob(x).sum(1) + Normal(0.0, 1.0).log_prob(grid)
    return log_joint.logsumexp(0) + (grid[1] - grid[0]).log()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def bent_density(log_evidence):
    side, coarse = 45, torch.linspace(-4, 4, 161, dtype=torch.float64)
    points = plotting.grid((-4, 4, -2, 4), side, dtype=torch.float64)
    density = torch.stack([torch.as_tensor(log_evidence(p, bend, SIGMA, coarse)) for p in points]).exp().reshape(side, side)
    fig, ax = plt.subplots(figsize=(8, 4.4))
    ax.imshow(density, origin="lower", extent=(-4, 4, -2, 4), aspect="auto", cmap=colors.FIELD, interpolation="bilinear")
    ax.plot(*bend(torch.linspace(-2.4, 2.4, 200)[:, None]).T, color="white", lw=1.4)
    ax.plot(*X, "o", color=colors.ACCENT, ms=9)
    ax.set(title="p(x): fog along the decoder's curve", xlabel="x₁", ylabel="x₂")

# %% tags=["check"]
check.log_evidence(log_evidence, show=bent_density)

# %% [markdown] exercise={"name": "gap", "difficulty": 3, "importance": 4, "minutes": 10}
# ## Exercise 5 · What is lost
#
# The bound falls short of $\log p(x)$ by exactly the KL divergence from $q$ to the posterior, so a search ends near the truth
# only if its family contains a $q$ near the posterior:
#
# $$ \log p(x) - \mathcal L = \mathrm{KL}\big(q \,\|\, p(z \mid x)\big) = \int q(z)\, \log \frac{q(z)}{p(z \mid x)}\, dz . $$
#
# You are given $\log q$ and $\log p(x, z)$ on a grid, and the step of the grid. Compute the gap, in nats.
#
# <details><summary>Hint 1: from joint to posterior</summary>
#
# $\log p(z \mid x) = \log p(x, z) - \log p(x)$, and $\log p(x)$ comes from the grid as in exercise 4.
#
# </details>
# <details><summary>Hint 2: the average</summary>
#
# An average under $q$ on a grid is `(log_q.exp() * something).sum() * step`.
#
# </details>

# %%
def gap(log_q: Tensor, log_joint: Tensor, step: float) -> Tensor:
    """KL(q || p(z|x)).

    log_q: (G,) and log_joint = log p(x, z): (G,) on a grid of this step -> () nats.
    """
    ### BEGIN SOLUTION
    log_px = (log_joint + torch.log(torch.tensor(step))).logsumexp(0)
    return (log_q.exp() * (log_q - log_joint + log_px)).sum() * step
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def bound_and_gap(gap):
    candidates = {"too wide": (0.6, 0.6), "beside it": (1.15, 0.25), "narrow": (0.75, 0.08), "close": (0.75, 0.24)}
    fig, ax = plt.subplots(figsize=(9, 3.8))
    for i, (m, s) in enumerate(candidates.values()):
        log_q = Normal(m, s).log_prob(GRID)
        bound = ((log_q.exp() * (JOINT - log_q)).sum() * STEP).item()
        lost = float(gap(log_q, JOINT, STEP))
        ax.barh(i, lost, left=bound, color=colors.ACCENT, alpha=0.6)
        ax.plot(bound, i, "o", color=colors.FAMILY, ms=10)
        ax.text(bound - 0.2, i, f"{lost:.2f} nats lost", ha="right", va="center")
    ax.axvline(EVIDENCE, color=colors.EXACT, lw=2)
    ax.set(yticks=range(len(candidates)), yticklabels=list(candidates), xlabel="nats", title="Bound (dot) plus gap (bar) is log p(x)")
    ax.set_xlim(ax.get_xlim()[0] - 4, EVIDENCE + 0.5)

# %% tags=["check"]
check.gap(gap, show=bound_and_gap)

# %% [markdown] exercise={"name": "half_a_nat", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# You train a decoder on 8x8 digits by climbing the bound, and overnight the bound rises by half a nat per example. A friend concludes
# that the model has become better. What else may have happened?
#
# Answer in three to six sentences in the cell below. A good answer names **both parts** of the bound that may have moved; says **how one
# would tell** them apart for this model; and says which of the two a **fixed decoder** rules out, and why.

# %% [markdown]
# ### BEGIN SOLUTION
# $\mathcal L = \log p(x) - \mathrm{KL}(q \| p(z \mid x))$, so either $\log p(x)$ rose or the gap shrank; the second says something of
# inference and nothing of the model. To tell them apart, estimate $\log p(x)$ itself on held-out digits with a tighter method (a grid for
# one or two latents, importance sampling with many draws for more), before and after. If the decoder does not change, $\log p(x)$
# cannot change either: then the whole half nat is the gap.
#
# *Rubric, one point each:* log-likelihood or gap · an estimate of $\log p(x)$ that does not depend on $q$, before and after · with a
# fixed decoder only the gap can move.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# All that a variational autoencoder does for one example: three log-densities, draws that can be moved, a climb, and the gap that
# remains. [Lecture 3](../lectures/03_vae.ipynb) does the same for digits, and learns the decoder too;
# `gdm labs use labs/03_vae.ipynb` lets its searches run on *your* draws.
#
# **References.** D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2014, eq. 2, 3 and 10. C. Cremer, X. Li, D. Duvenaud,
# *Inference suboptimality in variational autoencoders*, 2018 (the gap).
