# %% [markdown]
# # 12 · Diffusion by hand
#
# **How do we run noise backward?** You write the pieces of [lecture 12](../lectures/12_diffusion.ipynb): the jump to any level of noise,
# the way one step goes back, the best guess that needs no network, the loss that trains one, and a step of the sampler.
# Time: 64 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from gdm_core import colors, data, plotting
from gdm_core.checks import lab12 as check
from gdm_core.data import toy

torch.manual_seed(0)
plotting.use_style()
RING = toy.target("eight_gaussians")


def framed(ax, title, reach=4.0):
    ax.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(title, loc="center")


def exact_noise(x, a):
    """E[noise | x] of the ring of eight at signal rate a."""
    x = torch.as_tensor(x)
    a = float(a)
    return -((1 - a) ** 0.5) * RING.noisy((1 - a) ** 0.5, a**0.5).score(x)

# %% [markdown] exercise={"name": "jump", "difficulty": 1, "importance": 5, "minutes": 8}
# ## Exercise 1 · Any step at once
#
# Training needs $x_k$ for random $k$, and nobody wants to simulate $k$ steps for each example. One step of the chain is
# $x_k = \sqrt{1 - \beta_k}\; x_{k-1} + \sqrt{\beta_k}\; \epsilon_k$. All the steps together are a single one:
#
# $$ x_k = \sqrt{\bar\alpha}\; x + \sqrt{1 - \bar\alpha}\; \epsilon, \qquad \bar\alpha = \prod_j (1 - \beta_j) . $$
#
# <details><summary>Hint 1: what a step keeps</summary>
#
# A step keeps a share $1 - \beta$ of the variance of its input. Shares that are kept multiply.
#
# </details>
# <details><summary>Hint 2: roots</summary>
#
# $\bar\alpha$ is a share of variance; the factor of $x$ is its square root.
#
# </details>

# %%
def jump(x: Tensor, betas: Tensor, noise: Tensor) -> Tensor:
    """x after all steps.  x, noise: (B, d); betas: (K,).  -> (B, d)."""
    ### BEGIN SOLUTION
    kept = (1 - betas).prod()
    return kept.sqrt() * x + (1 - kept).sqrt() * noise
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_digit_fades(jump):
    torch.manual_seed(0)
    x = 3 * data.load("strokes", "test", n=2, seed=4).x - 0.5
    betas, rows = torch.linspace(1e-4, 0.02, 1000), []
    for k in (1, 50, 150, 300, 450, 600, 1000):
        seen = torch.as_tensor(jump(x.flatten(1), betas[:k], torch.randn(2, 784))).float()
        rows.append(seen.reshape(2, 1, 28, 28))
    _, ax = plt.subplots(figsize=(11, 3.4))
    plotting.images((torch.stack(rows, 1).flatten(0, 1) + 0.5) / 3, ax, columns=7)

# %% tags=["check"]
check.jump(jump, show=a_digit_fades)

# %% [markdown] exercise={"name": "posterior", "difficulty": 3, "importance": 5, "minutes": 14}
# ## Exercise 2 · One step back, if the data were known
#
# If the clean $x$ were known, Bayes' rule would say how to go back from $x_t$ to an earlier $x_s$. With
# $x_s = \alpha_s x + \sigma_s \epsilon$ and, for $s < t$, $x_t = a\, x_s + \sqrt v\, \epsilon'$, where
# $a = \alpha_t/\alpha_s$ and $v = \sigma_t^2 - a^2 \sigma_s^2$, find the mean and the variance of
#
# $$ q(x_s \mid x_t, x) \;\propto\; \mathcal N(x_s;\, \alpha_s x,\, \sigma_s^2)\; \mathcal N(x_t;\, a\, x_s,\, v) . $$
#
# <details><summary>Hint 1: precisions add</summary>
#
# The first factor has precision $1/\sigma_s^2$; the second, as a function of $x_s$, has $a^2/v$. Write the sum with one
# denominator: what is $v + a^2 \sigma_s^2$?
#
# </details>
# <details><summary>Hint 2: the mean</summary>
#
# It is the variance times $\alpha_s x/\sigma_s^2 + a\, x_t/v$.
#
# </details>

# %%
def posterior(
    x: Tensor, x_t: Tensor, alpha_s: float, sigma_s: float, alpha_t: float, sigma_t: float
) -> tuple[Tensor, float]:
    """Mean and variance of x_s given x_t and x.  x, x_t: (B,).  -> (B,) and one number."""
    ### BEGIN SOLUTION
    a = alpha_t / alpha_s
    v = sigma_t**2 - a**2 * sigma_s**2
    mean = (alpha_s * v * x + a * sigma_s**2 * x_t) / sigma_t**2
    return mean, v * sigma_s**2 / sigma_t**2
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def three_bells(posterior):
    mean, variance = posterior(torch.tensor([1.0]), torch.tensor([-0.3]), 0.9, 0.45, 0.6, 0.8)
    mean, std = float(torch.as_tensor(mean).reshape(-1)[0]), float(variance) ** 0.5
    bell = lambda y, m, s: torch.exp(-((y - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
    y = torch.linspace(-2, 3, 300)
    _, ax = plt.subplots(figsize=(8, 3.8))
    plotting.curve(y, bell(y, 0.9, 0.45), ax, color=colors.NOISE)
    plotting.curve(y, bell(y, mean, std), ax, color=colors.MODEL)
    ax.plot([-0.3 / (0.6 / 0.9)], [0], "o", color=colors.ACCENT, ms=10)
    ax.text(1.3, 0.6, "knowing x", color=colors.NOISE, fontweight="bold")
    ax.text(-1.2, 0.9, "knowing x and x_t", color=colors.MODEL, fontweight="bold")
    ax.set(yticks=[], xlabel="x_s", title="What x_t says pulls x_s to the orange point")

# %% tags=["check"]
check.posterior(posterior, show=three_bells)

# %% [markdown] exercise={"name": "best_guess", "difficulty": 2, "importance": 4, "minutes": 12}
# ## Exercise 3 · The best guess without a network
#
# The only thing missing in exercise 2 is $x$. The best guess of it is its conditional mean, and for a finite data set
# this needs no network. Let the data be $M$ points $x_m$, all equally likely, and $x_t = \alpha x + \sigma \epsilon$.
# Then the mean of the data behind $x_t$ is
#
# $$ \mathbb E[x \mid x_t] = \sum_m w_m x_m, \qquad w_m \propto \exp\!\Big( -\frac{\lVert x_t - \alpha x_m \rVert^2}{2 \sigma^2} \Big) . $$
#
# Beware of small $\sigma$: all the exponentials may underflow to 0.
#
# <details><summary>Hint 1: distances</summary>
#
# `torch.cdist(a, b)` computes all distances, `(B, M)`.
#
# </details>
# <details><summary>Hint 2: weights that sum to 1</summary>
#
# They are a softmax over the points.
#
# </details>

# %%
def best_guess(x_t: Tensor, points: Tensor, alpha: float, sigma: float) -> Tensor:
    """E[x | x_t].  x_t: (B, d), points: (M, d).  -> (B, d)."""
    ### BEGIN SOLUTION
    square = torch.cdist(x_t, alpha * points) ** 2
    return (-square / (2 * sigma**2)).softmax(1) @ points
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def from_copy_to_blur(best_guess):
    torch.manual_seed(0)
    known = (3 * data.load("strokes", n=1500, seed=1).x - 0.5).flatten(1)
    x = (3 * data.load("strokes", "test", n=1, seed=4).x - 0.5).flatten(1)
    rows, rates = [], (0.9, 0.6, 0.3, 0.1, 0.03, 0.003)
    for a in rates:
        x_t = a**0.5 * x + (1 - a) ** 0.5 * torch.randn(1, 784)
        rows += [x_t, torch.as_tensor(best_guess(x_t, known, a**0.5, (1 - a) ** 0.5)).float()]
    sheet = torch.cat([*rows[::2], *rows[1::2]]).reshape(-1, 1, 28, 28)
    _, ax = plt.subplots(figsize=(11, 4))
    plotting.images((sheet + 0.5) / 3, ax, columns=6, titles=[f"signal {a:g}" for a in rates])

# %% tags=["check"]
check.best_guess(best_guess, show=from_copy_to_blur)

# %% [markdown] exercise={"name": "training_loss", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 4 · The training step
#
# A network learns the same mean by regression, here in the form of the noise. Each example $b$ has a signal rate $a_b$
# of its own. The network is given the noisy example and its rate, and predicts the noise:
#
# $$ \frac1B \sum_b \big\lVert \epsilon_b - \hat\epsilon\big( \sqrt{a_b}\, x_b + \sqrt{1 - a_b}\, \epsilon_b,\; a_b \big) \big\rVert^2 . $$
#
# <details><summary>Hint 1: shapes</summary>
#
# `a[:, None]` is `(B, 1)` and multiplies `(B, d)`. The network wants `a` itself, `(B,)`.
#
# </details>
# <details><summary>Hint 2: sum, then mean</summary>
#
# A squared length is a sum over features; the mean is over examples.
#
# </details>

# %%
def training_loss(net, x: Tensor, a: Tensor, noise: Tensor) -> Tensor:
    """Mean over the batch.  net: (B, d), (B,) -> (B, d); x, noise: (B, d); a: (B,).  -> ()."""
    ### BEGIN SOLUTION
    x_t = a.sqrt()[:, None] * x + (1 - a).sqrt()[:, None] * noise
    return (noise - net(x_t, a)).square().sum(1).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def learned_guesses(training_loss, rate=0.3):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
    net = lambda x, a: layers(torch.cat([x, a[:, None]], 1))
    optimizer = torch.optim.Adam(layers.parameters(), 5e-3)
    for _ in range(800):
        x, a = RING.sample(256), 0.02 + 0.96 * torch.rand(256)
        optimizer.zero_grad()
        training_loss.with_gradients(net, x, a, torch.randn_like(x)).backward()
        optimizer.step()
    _, ax = plt.subplots(figsize=(5.4, 5.2))
    at = plotting.grid((-3, 3, -3, 3), 11)
    plotting.field(lambda x: RING.noisy((1 - rate) ** 0.5, rate**0.5).log_prob(x).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
    with torch.no_grad():
        for told, shade, wide in ((exact_noise(at, rate), colors.EXACT, 0.014), (net(at, torch.full((121,), rate)), colors.MODEL, 0.006)):
            way = -(0.4 * told).numpy()
            ax.quiver(*at.T.numpy(), *way.T, color=shade, width=wide, angles="xy", scale_units="xy", scale=1, headwidth=3)
    framed(ax, "away from the noise: exact (green), learned")

# %% tags=["check"]
check.training_loss(training_loss, show=learned_guesses)

# %% [markdown] exercise={"name": "step", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 5 · A step of the sampler
#
# One step of DDIM goes from signal rate $a$ to a higher one, $b$: guess the data, then put the *predicted* noise back
# at the new rate.
#
# $$ \hat x = \frac{x - \sqrt{1 - a}\; \hat\epsilon}{\sqrt a}, \qquad x' = \sqrt b\; \hat x + \sqrt{1 - b}\; \hat\epsilon, \qquad
# \hat\epsilon = \hat\epsilon(x, a) . $$
#
# Predict before you run: what does the step to $b = 1$ return?
#
# <details><summary>Hint 1: one call</summary>
#
# The network is called once, at the old rate.
#
# </details>
# <details><summary>Hint 2: no fresh noise</summary>
#
# No new noise is drawn: the same $\hat\epsilon$ stands in both formulas.
#
# </details>

# %%
def step(net, x: Tensor, a: float, b: float) -> Tensor:
    """One step from signal rate a to b.  net: (B, d), a -> (B, d); x: (B, d).  -> (B, d)."""
    ### BEGIN SOLUTION
    told = net(x, a)
    guess = (x - math.sqrt(1 - a) * told) / math.sqrt(a)
    return math.sqrt(b) * guess + math.sqrt(1 - b) * told
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def from_noise_to_ring(step):
    torch.manual_seed(0)
    x = torch.randn(500, 2)
    rates = torch.sin(torch.linspace(0.02, 1, 41) * math.pi / 2).square().tolist()
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    for k, (a, b) in enumerate(zip([*rates, None], [*rates[1:], None, None])):
        if k in (0, 13, 26, 40):
            ax = axes[(0, 13, 26, 40).index(k)]
            plotting.points(x, ax, color=colors.MODEL, size=6)
            framed(ax, f"{k} steps")
        if b is not None:
            x = torch.as_tensor(step(exact_noise, x, a, b)).float()

# %% tags=["check"]
check.step(step, show=from_noise_to_ring)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A colleague's DDPM draws pictures with fine grain all over, as if sand lay on them. With 1,000 steps it is as bad as
# with 50. The training loss is fine. What would you look at first, and how would you find out?
#
# Answer in three to six sentences in the cell below. A good answer names a **cause** that does not depend on the number
# of steps; a **test** that is cheap; and one **other cause**, with what you would see if that were the reason instead.

# %% [markdown]
# ### BEGIN SOLUTION
# Grain that no number of steps removes comes from the end, so I would look at the last step: noise must not be added when it ends at the
# data, and the chain must go down to $\sigma = 0$. Test: look at the guess $\hat x$ of the last step instead of the sample; if it is clean,
# the last noise is the fault. Another cause is noise of the wrong size at every step, such as $\sigma$ for $\sigma^2$ or a direction term
# that keeps all of $\sigma_s$: then the states are too wide all the way, which the standard deviation of $x_t$ beside $\sqrt{\alpha_t^2 s^2
# + \sigma_t^2}$ shows at each $t$. Run it with $\eta = 0$: a sampler without dice has neither fault.
#
# *Rubric, one point each:* noise on the last step, or a chain that stops early · the guess in place of the sample, or $\eta = 0$, as a test
# · another cause, and what would be seen.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A shortcut into noise, the one mean that leads back, a loss that learns it, and a sampler of four lines. These are all
# the parts of a diffusion model; [lecture 14](../lectures/14_guidance.ipynb) asks it for something.
#
# **References.** J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, 2020. J. Song, C. Meng, S.
# Ermon, *Denoising diffusion implicit models*, 2021. T. Karras et al., *Elucidating the design space of diffusion-based
# generative models*, 2022.
