# %% [markdown]
# # 4 · An encoder by hand
#
# **What does a network that answers at once cost, and how do we notice that it has stopped listening?** You write the loss of the
# variational autoencoder of [lecture 4](../lectures/04_amortization.ipynb) in nats, and the tools of
# [lecture 4b](../lectures/04b_nats_and_collapse.ipynb) that detect a latent that has collapsed. Time: 75 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.
#
# An encoder gives $q(z \mid x) = \mathcal N\big(\mu(x), \operatorname{diag}(s(x)^2)\big)$. It returns $\mu$ and $\log s$, the logarithm of the
# *standard deviation*. The prior is $\mathcal N(0, I_L)$.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from gdm_core import colors, data, plotting
from gdm_core.checks import lab04 as check

torch.manual_seed(0)
plotting.use_style()

# %% [markdown] exercise={"name": "kl", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 1 · The price of an answer
#
# In the bound every answer of the encoder has a price: the KL divergence from its $q$ to the prior. The more $q$ says about $x$, the
# more it costs. For Gaussians there is a formula, so nothing has to be drawn:
#
# $$ \mathrm{KL}\big(q(z\mid x) \,\|\, p(z)\big) = \sum_{j=1}^{L} \tfrac12 \big(\mu_j^2 + s_j^2 - 1\big) - \log s_j . $$
#
# Return it in nats, one number for each example.
#
# <details><summary>Hint 1: a test by hand</summary>
#
# At $\mu = 0$, $s = 1$ it must be zero. At $\mu = 1$, $s = 1$ it is one half.
#
# </details>
# <details><summary>Hint 2: squares of exp</summary>
#
# $s_j^2 = e^{2 \log s_j}$, which is `(2 * log_std).exp()`. The sum goes over the latents, `.sum(1)`.
#
# </details>

# %%
def kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(q || N(0, I)) of each example.  mean, log_std: (B, L) -> (B,) nats."""
    ### BEGIN SOLUTION
    return (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def price_map(kl):
    means, stds = torch.linspace(-3, 3, 121).double(), torch.linspace(0.05, 2.5, 100).double()
    grid = torch.cartesian_prod(stds, means)
    price = kl(grid[:, 1:], grid[:, :1].log()).reshape(100, 121)
    fig, ax = plt.subplots(figsize=(8, 4))
    ax.contourf(means, stds, price.clamp(max=6), levels=24, cmap=colors.FIELD)
    lines = ax.contour(means, stds, price, levels=[0.1, 0.5, 1, 2, 4], colors="white", linewidths=1)
    ax.clabel(lines, fmt="%g nats", fontsize=11)
    ax.plot(0, 1, "+", color=colors.ACCENT, ms=16, mew=3)
    ax.set(title="Free at the prior, dear where q is narrow or far", xlabel="mean", ylabel="std")

# %% tags=["check"]
check.kl(kl, show=price_map)

# %% [markdown] exercise={"name": "loss", "difficulty": 3, "importance": 5, "minutes": 20}
# ## Exercise 2 · The loss
#
# The encoder and the decoder learn together, from one loss. For each example take a single draw, $z = \mu(x) + s(x) \odot \epsilon$,
# whose noise you are given; then
#
# $$ \text{loss} = \frac1B \sum_{x} \Big[ -\log \mathcal N\big(x;\, f(z), \sigma^2 I_d\big)
# + \beta\, \mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big) \Big] . $$
#
# The unit is the nat: both terms are *sums*, over features and over latents; only the batch is averaged; and the Gaussian keeps its
# constant. The picture trains a small network on 8x8 digits with your loss, for three values of $\beta$. Predict before you run: what
# does $\beta = 10$ do to the pictures?
#
# <details><summary>Hint 1: in order</summary>
#
# Encode, compute `z` from the two outputs and the noise, decode. `decoder(z)` has the shape of `x`. `sigma` is a standard deviation.
#
# </details>
# <details><summary>Hint 2: what is summed</summary>
#
# `-Normal(decoder(z), sigma).log_prob(x)` is `(B, d)`: sum over `d`. The KL is the formula of exercise 1. Then `.mean()` over the batch.
#
# </details>

# %%
def loss(x: Tensor, encoder, decoder, sigma: float, noise: Tensor, beta: float) -> Tensor:
    """Mean over the batch of -log p(x|z) + beta KL.

    x: (B, d); encoder: (B, d) -> mean (B, L), log_std (B, L); noise: (B, L);
    decoder: (B, L) -> (B, d).  -> () nats.
    """
    ### BEGIN SOLUTION
    mean, log_std = encoder(x)
    fit = -Normal(decoder(mean + log_std.exp() * noise), sigma).log_prob(x).sum(1)
    price = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)
    return (fit + beta * price).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
digits = data.load("digits").flat()  # (1000, 64)
NETS = {}


def trained(loss, beta, steps=700, latents=6):
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 2 * latents))
    decoder = nn.Sequential(nn.Linear(latents, 96), nn.SiLU(), nn.Linear(96, 64), nn.Sigmoid())
    encoder = lambda x: inner(x).chunk(2, 1)
    optimizer = torch.optim.Adam([*inner.parameters(), *decoder.parameters()], lr=4e-3)
    for _ in range(steps):
        x = digits[torch.randint(len(digits), (128,))]
        optimizer.zero_grad()
        loss(x, encoder, decoder, 0.2, torch.randn(128, latents), beta).backward()
        optimizer.step()
    return encoder, decoder


@torch.no_grad()
def three_betas(loss):
    fig, axes = plt.subplots(4, 1, figsize=(11, 5))
    plotting.images(digits[:14].reshape(-1, 1, 8, 8), axes[0], columns=14)
    axes[0].set(title="Data")
    for ax, beta in zip(axes[1:], (0.1, 1, 10)):
        with torch.enable_grad():
            NETS[beta] = trained(loss.with_gradients, beta)
        torch.manual_seed(1)
        plotting.images(NETS[beta][1](torch.randn(14, 6)).reshape(-1, 1, 8, 8), ax, columns=14)
        ax.set(title=f"New, from the prior: β = {beta:g}")

# %% tags=["check"]
check.loss(loss, show=three_betas)

# %% [markdown] exercise={"name": "beta_in_nats", "difficulty": 3, "importance": 5, "minutes": 15}
# ## Exercise 3 · The β that nobody chose
#
# Much code on the web minimizes another loss. It takes *means* where the bound has sums, and a constant factor $c$ hides in them:
#
# $$ \frac1d \sum_{i=1}^d \big(x_i - f_i(z)\big)^2 + w\, \frac1L \sum_{j=1}^L \mathrm{KL}_j
# \;=\; c\,\Big[ -\log p(x \mid z) + \beta\, \mathrm{KL} \Big] + \text{const.} $$
#
# With $-\log p(x\mid z) = \frac1{2\sigma^2} \sum_i (x_i - f_i)^2 + \text{const}$, which $\beta$ did the author
# choose by choosing the weight $w$? It is often a hundred times the "0.1" in the code. Such code never names $\sigma$, so whoever asks
# for $\beta$ must say which $\sigma$ is meant; here it is an argument.
#
# <details><summary>Hint 1: the factor c</summary>
#
# Compare the first terms: $\frac1d \sum_i (\dots)^2 = c \cdot \frac1{2\sigma^2} \sum_i (\dots)^2$. What is $c$?
#
# </details>
# <details><summary>Hint 2: then β</summary>
#
# Compare the second terms: $\frac wL\, \mathrm{KL} = c\, \beta\, \mathrm{KL}$, so $\beta = \frac{w}{L\,c}$.
#
# </details>

# %%
def beta_in_nats(weight: float, features: int, latents: int, sigma: float) -> float:
    """The beta that a weight w amounts to.

    features: d, latents: L, sigma: of p(x|z) = N(f(z), sigma^2 I) -> ().
    """
    ### BEGIN SOLUTION
    return weight * features / (2 * sigma**2 * latents)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def hidden_beta(beta_in_nats):
    fig, ax = plt.subplots(figsize=(9, 3.8))
    sizes = [8, 16, 28, 64, 128, 256]
    for latents, shade in ((2, colors.COMPONENTS[0]), (10, colors.COMPONENTS[1]), (64, colors.COMPONENTS[2])):
        betas = [float(beta_in_nats(0.1, side**2, latents, 0.3)) for side in sizes]
        plotting.curve(sizes, betas, ax, f"L = {latents}", color=shade, marker="o", at=0.6, offset=(8, -12))
    ax.axhline(1, color=colors.EXACT, ls="--")
    ax.text(100, 1.25, "β = 1: the bound", color=colors.EXACT, fontweight="bold")
    ax.set(xscale="log", yscale="log", xticks=sizes, xticklabels=sizes, xlabel="pixels on a side", ylabel="β", title="One weight, 0.1, and what it means")
    ax.minorticks_off()

# %% tags=["check"]
check.beta_in_nats(beta_in_nats, show=hidden_beta)

# %% [markdown] exercise={"name": "free_bits", "difficulty": 2, "importance": 3, "minutes": 10}
# ## Exercise 4 · Free bits
#
# Early in training the price is easier to lower than the error, so latents may collapse to the prior before the decoder has learned to
# use them. A floor $\tau$ under each latent takes away the temptation (Kingma et al., 2016, eq. 15):
#
# $$ \sum_{j=1}^{L} \max\Big(\tau,\; \frac1B \sum_{x} \mathrm{KL}_j(x)\Big) . $$
#
# Below the floor a latent costs the same whatever it does, so nothing pushes it further down. Return one number, in nats.
#
# <details><summary>Hint 1: the order</summary>
#
# Mean over the batch, then the floor for each latent, then the sum over latents.
#
# </details>
# <details><summary>Hint 2: max with a number</summary>
#
# `tensor.clamp(min=floor)` is the maximum of each entry and the floor.
#
# </details>

# %%
def free_bits(prices: Tensor, floor: float) -> Tensor:
    """The price with a floor for each latent.

    prices: (B, L), the KL of each example and latent -> () nats.
    """
    ### BEGIN SOLUTION
    return prices.mean(0).clamp(min=floor).sum()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def floors(free_bits):
    own = torch.linspace(0, 1.5, 151).double()  # the KL of one latent; a second one stays at 1 nat
    fig, ax = plt.subplots(figsize=(8, 3.6))
    for floor, shade in zip((0.0, 0.3, 0.8), colors.COMPONENTS):
        cost = [float(free_bits(torch.tensor([[k, 1.0]]).double(), floor)) for k in own]
        plotting.curve(own, cost, ax, f"τ = {floor:g}", color=shade, at=0.02, offset=(0, 10 if floor else -12))
    ax.set(title="Below its floor a latent feels no pull", xlabel="KL of one latent", ylabel="nats in all", ylim=(0.85, 2.6))

# %% tags=["check"]
check.free_bits(free_bits, show=floors)

# %% [markdown] exercise={"name": "active_units", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 5 · Who is still listening?
#
# How do we notice a collapse? A collapsed latent has the same mean for every $x$. Burda et al. (2016) call a latent active if its mean
# varies over the data:
#
# $$ \operatorname{Var}_{x}\big(\mu_j(x)\big) > \text{threshold} . $$
#
# <details><summary>Hint 1: over what</summary>
#
# The variance is taken over examples, the first dimension, separately for each latent.
#
# </details>
# <details><summary>Hint 2: which or how many</summary>
#
# The question is *which* latents, so return a mask of shape `(L,)`. Comparing a tensor with a number gives one.
#
# </details>

# %%
def active_units(means: Tensor, threshold: float) -> Tensor:
    """Which latents move with x.  means: (N, L) of q(z|x) -> (L,) bool."""
    ### BEGIN SOLUTION
    return means.var(0) > threshold
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
@torch.no_grad()
def who_listens(active_units):
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), sharey=True)
    own = check.Answer(loss)
    for ax, beta in zip(axes, (0.1, 1, 10)):
        if beta not in NETS:
            with torch.enable_grad():
                NETS[beta] = trained(own.with_gradients, beta)
        means = NETS[beta][0](digits)[0].double()
        active = active_units(means, 0.01).bool()
        shades = [colors.ENCODER if on else colors.NOISE for on in active]
        ax.bar(range(1, 7), means.var(0), color=shades)
        ax.axhline(0.01, color=colors.ACCENT, lw=1.5)
        ax.set(title=f"β = {beta:g}: {int(active.sum())} of 6 active", xlabel="latent", yscale="log", ylim=(1e-6, 30))
    axes[0].set_ylabel("variance of the mean")

# %% tags=["check"]
check.active_units(active_units, show=who_listens)

# %% [markdown] exercise={"name": "collapse", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# With a large $\beta$ some latents fell silent, perhaps all of them. Is a silent latent a *failure of training* or the *best answer* to the
# loss that you wrote?
#
# Answer in three to six sentences in the cell below. A good answer compares what a latent **costs** with what it **saves**; says for which
# $\beta$ silence **is the optimum**; and names an **experiment** that tells an optimum from a failure.

# %% [markdown]
# ### BEGIN SOLUTION
# A latent is worth its price if the squared error that it saves, over $2\sigma^2$, is more than $\beta$ times its KL. For a large $\beta$ no
# latent is, so silence is the optimum of that loss and training did nothing wrong; for $\beta = 1$ the same happens to directions that
# vary less than the noise, as in PPCA. It is a failure if a solution with more active latents has a lower loss. Experiment: start from the
# network that was trained with $\beta = 0.1$ and train it on with $\beta = 1$, or use free bits for a while: if it stays active and ends with a
# lower loss, the silence had been a failure.
#
# *Rubric, one point each:* cost against saving, in the same units · silence may be optimal, for large $\beta$ or for variation below the
# noise · another start (or free bits), compared by the final loss.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A loss in nats, so that $\beta = 1$ means the bound and nothing else, and two ways to see and to stop a collapse.
# [Lecture 4](../lectures/04_amortization.ipynb) measures what the encoder's quick answers cost beside a search;
# [lecture 4b](../lectures/04b_nats_and_collapse.ipynb) has the ledger of units, and predicts collapse exactly.
# `gdm labs use labs/04_amortization.ipynb` lets them run on *your* KL, free bits and active units.
#
# **References.** D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2014, eq. 10 and appendix B. I. Higgins et al.,
# *beta-VAE*, 2017. D. Kingma et al., *Improved variational inference with inverse autoregressive flow*, 2016, eq. 15. Y. Burda, R. Grosse,
# R. Salakhutdinov, *Importance weighted autoencoders*, 2016, section 5.
