# %% [markdown]
# # 12 · Diffusion: learn to undo noise
#
# **Anyone can turn data into noise. How do we run that backward?**
#
# After this lecture you can
#
# - corrupt data step by step, and jump to any step at once;
# - derive what one step back needs, and see that it is a single conditional mean;
# - write the training step and the sampling loop, and say where each of them uses noise;
# - sample with DDPM, DDIM and higher-order solvers, and compute an exact likelihood.
#
# You need: Gaussians, the lower bound of chapter 3, and chapter 11's score. Time: 55 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "eight_gaussians"  # or "moons", "two_spirals": what the network of 12.4 learns
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.distributions import Normal

from gdm_core import colors, data, ideal, metrics, ode, plotting, samplers, schedules, train
from gdm_core.course.claims import claim
from gdm_core.data import toy
from gdm_core.data.targets import Mixture
from gdm_core.models.diffusion import Diffusion
from gdm_core.networks import TimedMLP
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["eight_gaussians", "moons", "two_spirals"])
LONGER = 5 if PROFILE == "full" else 1
plotting.use_style()
torch.manual_seed(SEED)
EQUAL = 1e-8  # what "the same to rounding" means here


def of_mixture(target, schedule):
    """The exact E[x | x_t] of a toy target."""
    return ideal.mixture(target.means.double(), target.std.double(), target.weights.double(), schedule)

# %% [markdown]
# ## 12.1 Destroying is easy
#
# Earlier chapters learned a map from noise to data in one go. Diffusion models (Sohl-Dickstein et al., 2015) first
# destroy the data slowly, which needs no learning, and then learn to undo one small piece of the damage at a time.
#
# Take a picture. Shrink it a little, add a little Gaussian noise, and repeat a thousand times:
#
# $$ q(x_k \mid x_{k-1}) = \mathcal N\big(\sqrt{1 - \beta_k}\; x_{k-1},\; \beta_k I\big), \qquad k = 1, \dots, 1000 . $$
#
# The $\beta_k$ rise from 0.0001 to 0.02 (Ho et al., 2020). At the end practically nothing of the picture is left.
#
# Why not go back in a single leap? If we see $x_k$ and know 2,000 other digits, the guess with the smallest squared
# error is the conditional mean $\mathbb E[x \mid x_k]$: an average of the known digits, each weighted by how likely it
# is to have produced $x_k$.
#
# **Predict before you run.** What does this best guess look like when nothing but noise is left?

# %%
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
known = 3 * data.load("strokes", n=2000, seed=SEED).x.double() - 0.5  # about unit size
x = chain = 3 * data.load("strokes", "test", n=3, seed=SEED).x.double() - 0.5
states = [x]
for beta in betas:
    chain = (1 - beta).sqrt() * chain + beta.sqrt() * torch.randn_like(chain)
    states.append(chain)

# %% jupyter={"source_hidden": true}
# The figure: a digit on its way to noise, and the best guess at each moment
table = schedules.linear(1000)
guess = ideal.training_set(known, table)
MOMENTS = (0, 50, 150, 250, 350, 450, 550, 700, 1000)


def fading():
    fig, axes = plt.subplots(2, 1, figsize=(12, 5.3))
    for row, ax in enumerate(axes):
        seen = torch.cat([states[k][:2] if row == 0 else guess(states[k][:2], torch.tensor(max(k, 1) / 1000)) for k in MOMENTS])
        seen = seen.reshape(-1, 2, 1, 28, 28).transpose(0, 1).flatten(0, 1)
        plotting.images((seen + 0.5) / 3, ax, columns=len(MOMENTS), titles=[f"k = {k}" for k in MOMENTS] if row == 0 else ())
    axes[0].set_title("Two new digits fade into noise\n")
    axes[1].set_title("The best guess at each moment: a copy, then a blur")


# %%
fading()

# %% [markdown]
# Read the lower rows from left to right. With little noise one known digit fits far better than all others, and the
# guess is a copy of it. (It is not the digit itself, which is not among the 2,000.) With more noise several fit,
# perhaps of a wrong class. From pure noise the guess is the mean of all digits, a gray blur: right on average, but not
# a digit. A single leap asks too much. A *small* step back does not, as 12.3 shows.
#
# ## 12.2 Any step at once
#
# Training will need $x_k$ for random $k$, and there is a shortcut. A Gaussian, shrunk and with Gaussian noise added, is
# again a Gaussian, so a thousand steps collapse into one:
#
# $$ x_k = \sqrt{\bar\alpha_k}\; x + \sqrt{1 - \bar\alpha_k}\; \epsilon, \qquad \bar\alpha_k = \prod_{j \le k} (1 - \beta_j) . $$
#
# From here on time runs from 0 to 1, $t = k/1000$, and we write $x_t = \alpha_t x + \sigma_t \epsilon$ with
# $\alpha_t = \sqrt{\bar\alpha_k}$ and $\sigma_t = \sqrt{1 - \bar\alpha_k}$. Any pair of functions that goes from
# $(1, 0)$, all signal, to almost no signal is a **noise schedule**. (Some texts write $\alpha_t$ for our
# $\bar\alpha_k$, the **signal rate**.)
#
# We check it with 20,000 chains of 300 steps.

# %%
one = torch.ones(20_000).double()  # 20,000 chains from the number 1
for beta in betas[:300]:
    one = (1 - beta).sqrt() * one + beta.sqrt() * torch.randn_like(one)
rate = (1 - betas[:300]).prod()
alpha, sigma = table(torch.tensor(0.3, dtype=torch.float64))
claim("300 steps from x = 1: mean of 20,000 chains", one.mean(), near=rate.sqrt(), within=0.03, digits=2)
claim("300 steps from x = 1: their standard deviation", one.std(), near=(1 - rate).sqrt(), within=0.03, digits=2)
claim("bare product and library: difference", (alpha - rate.sqrt()).abs() + (sigma - (1 - rate).sqrt()).abs(), below=EQUAL)

# %% jupyter={"source_hidden": true}
# The figure: the density of x_t at every t, with chains
two = Mixture([[-1.5], [1.5]], std=0.25, weights=[0.4, 0.6])


def river():
    fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=[2.4, 1], sharey=True)
    t, y = torch.linspace(0, 1, 200), torch.linspace(-3, 3, 200)[:, None]
    levels = [two.noisy(s.item(), a.item()).log_prob(y).exp() for a, s in zip(*table(t))]
    axes[0].imshow(torch.stack(levels, 1).sqrt(), origin="lower", extent=(0, 1, -3, 3), aspect="auto", cmap=colors.FIELD)
    torch.manual_seed(SEED)
    walks = [two.sample(8)[:, 0].double()]
    for beta in betas:
        walks.append((1 - beta).sqrt() * walks[-1] + beta.sqrt() * torch.randn(8))
    axes[0].plot(torch.linspace(0, 1, 1001)[::4], torch.stack(walks)[::4], color="white", lw=0.7)
    axes[0].set(xlabel="t", ylabel="x", ylim=(-3, 3), title="Two modes run together into one Gaussian")
    for at, shade in ((0.0, colors.DATA), (0.3, colors.EXACT), (1.0, colors.NOISE)):
        a, s = (v.item() for v in table(torch.tensor(at)))
        axes[1].plot(two.noisy(s, a).log_prob(y).exp(), y, color=shade, label=f"t = {at:g}")
    axes[1].legend(loc="lower right", handlelength=1)
    axes[1].set(xticks=[], xlim=(-0.05, 1.4), title="Three moments")


# %%
river()

# %% [markdown]
# In the figure time runs to the right, brightness is the density of $x_t$, and each white line is one chain. Toward the
# right no chain shows which mode it came from.
#
# ## 12.3 One step back
#
# How does one go from $x_t$ to a slightly cleaner $x_s$, where $s < t$? If the clean $x$ were known, Bayes' rule would
# answer exactly. The density of $x_s$ given both is proportional to the product of two Gaussians, $q(x_s \mid x)$ and
# $q(x_t \mid x_s) = \mathcal N(a x_s, v)$, with $a = \alpha_t/\alpha_s$ and $v = \sigma_t^2 - a^2 \sigma_s^2$. Their
# precisions add:
#
# $$ q(x_s \mid x_t, x) = \mathcal N\Big( \frac{\alpha_s v\, x + a \sigma_s^2\, x_t}{\sigma_t^2},\; \frac{v\, \sigma_s^2}{\sigma_t^2} \Big) . $$
#
# **Check it without the formula:** simulate a million chains from $x = 1$, keep those whose $x_t$ happens to land near
# 0.5, and look at where their $x_s$ had been.

# %%
def posterior(x, x_t, t, s):
    (alpha_s, sigma_s), (alpha_t, sigma_t) = table(s), table(t)
    a, v = alpha_t / alpha_s, sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    return (alpha_s * v * x + a * sigma_s**2 * x_t) / sigma_t**2, (v * sigma_s**2).sqrt() / sigma_t


s, t = torch.tensor([0.2, 0.3], dtype=torch.float64)
(alpha_s, sigma_s), (alpha_t, sigma_t) = table(s), table(t)
a = alpha_t / alpha_s
earlier = alpha_s + sigma_s * torch.randn(1_000_000).double()  # x = 1
later = a * earlier + (sigma_t**2 - (a * sigma_s) ** 2).sqrt() * torch.randn_like(earlier)
kept = earlier[(later - 0.5).abs() < 0.02]
mean, std = posterior(1.0, 0.5, t, s)
claim("mean of x_s among chains with x_t near 0.5", kept.mean(), near=mean, within=0.02, digits=2)
claim("their standard deviation", kept.std(), near=std, within=0.02, digits=2)
claim("standard deviation of all chains", earlier.std(), near=sigma_s, within=0.02, digits=2)

# %% [markdown]
# Knowing $x_t$ narrows $x_s$ from a standard deviation of 0.58 to 0.47, as the formula says.
#
# The only unknown in this formula is $x$. A model that has to go back without $x$ must put a guess $\hat x(x_t)$ in its
# place. Call the result $p(x_s \mid x_t)$, with the same variance. Two Gaussians with equal variance differ in their
# means alone, and after some algebra a wrong guess costs
#
# $$ \mathrm{KL}\big(q(x_s \mid x_t, x)\,\big\|\, p(x_s \mid x_t)\big) = \tfrac12 \Big( \frac{\alpha_s^2}{\sigma_s^2} -
# \frac{\alpha_t^2}{\sigma_t^2} \Big)\, \lVert x - \hat x(x_t) \rVert^2 . $$
#
# This is **a squared error**, weighted by how much the signal-to-noise ratio $\alpha^2/\sigma^2$ rises in that step. So
# the best guess is the conditional mean $\mathbb E[x \mid x_t]$, at every noise level, and a network can learn it by
# plain regression.
#
# Is this maximum likelihood? It is chapter 3's bound: the chain is a hierarchy of latents, and its "encoder" $q$ is
# fixed. With times $0 < t_1 < \dots < t_n = 1$ the ELBO becomes a sum over steps (Sohl-Dickstein et al., 2015; Ho et
# al., 2020),
#
# $$ \begin{aligned}
# -\log p(x) \;\le\; {} & \mathrm{KL}\big(q(x_{t_n} \mid x)\,\|\,\mathcal N(0, I)\big) - \mathbb E_q \log p(x \mid x_{t_1}) \\
# & + \sum_{i=2}^{n} \mathbb E_q\, \mathrm{KL}\big(q(x_{t_{i-1}} \mid x_{t_i}, x)\,\big\|\,p(x_{t_{i-1}} \mid x_{t_i})\big) ,
# \end{aligned} $$
#
# and each KL in the sum is the squared error above.

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# The algebra, with numbers
off = Normal(posterior(0.3, 0.5, t, s)[0], std)
by_kl = torch.distributions.kl_divergence(Normal(mean, std), off)
by_snr = 0.5 * ((alpha_s / sigma_s) ** 2 - (alpha_t / sigma_t) ** 2) * (1 - 0.3) ** 2
claim("KL of a wrong guess by both formulas: difference", by_kl - by_snr, near=0, within=EQUAL, unit="nats")

# %% [markdown]
# ## 12.4 Learn the noise
#
# Since $x_t = \alpha_t x + \sigma_t \epsilon$, whoever knows $\mathbb E[x \mid x_t]$ also knows
# $\mathbb E[\epsilon \mid x_t]$. Ho et al. (2020) let the network predict the noise $\epsilon$, which has the same size
# at every level. They also dropped the weight in front of the squared error (their "simple" loss). That changes how
# much each level counts, but not the best answer at any level, which is still the conditional mean.
#
# One training step draws a random time and noise for each example, corrupts the example in a single jump, and asks the
# network for the noise. Here `a` is the signal rate $\bar\alpha$:

# %%
target = toy.target(DATASET).to(DEVICE)
net = TimedMLP((2,), (128, 128, 128))


def training_loss(x, t, noise):
    a = table(t)[0][:, None] ** 2
    x_t = a.sqrt() * x + (1 - a).sqrt() * noise
    return (noise - net(x_t, t)).square().sum(1).mean()


model = Diffusion(2, schedule=table, predicts="noise", network=net).to(DEVICE)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Twin: the library's loss with the same draws
x = target.sample(64)
torch.manual_seed(SEED)
ours = model.loss(x).item()
torch.manual_seed(SEED)
t = (torch.arange(64, device=DEVICE) + torch.rand(64, device=DEVICE)) / 64  # one time in each of 64 parts
claim("bare loss and library: difference", training_loss(x, t, torch.randn_like(x)).item() - ours, near=0, within=1e-4)

# %%
torch.manual_seed(SEED)
history = train.fit(model, target.sample, steps=1200 * LONGER, batch_size=512, lr=1e-2, rate=train.falling, average=0.995, progress=False)

# %% [markdown]
# That is all: no adversary (chapter 8), no chain (chapter 11), no determinant (chapter 9). What has the network
# learned? Our data are a mixture of Gaussians. With noise added they remain one, so the *exact* mean
# $\mathbb E[x \mid x_t]$ has a formula, and we can compare.
#
# **Predict before you run.** At which noise level is the network's guess of $x$ furthest from the exact one?

# %% jupyter={"source_hidden": true}
# The figure: where each noisy point is sent, exactly and by the network
exact = of_mixture(target, table)
asked = lambda x, t: model.denoise(x.float(), t.float()).to(x)


def two_denoisers():
    fig, axes = plt.subplots(1, 4, figsize=(14, 3.7))
    for ax, t in zip(axes, torch.tensor([0.15, 0.35, 0.6])):
        a, s = (v.item() for v in table(t))
        plotting.field(lambda x, a=a, s=s: target.noisy(s, a).log_prob(x.to(DEVICE)).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
        at = plotting.grid((-3.2, 3.2, -3.2, 3.2), 9, device=DEVICE)
        with torch.no_grad():
            for f, color, width in ((exact, colors.EXACT, 0.016), (asked, colors.MODEL, 0.006)):
                way = f(at.double(), t.double()) - at
                ax.quiver(*at.T.cpu(), *way.T.cpu(), color=color, width=width, angles="xy", scale_units="xy", scale=1, headwidth=3)
        ax.set(xticks=[], yticks=[], xlim=(-4, 4), ylim=(-4, 4))
        ax.set_title(f"t = {t:g}", loc="center")
    axes[3].semilogy(grid_t, errors, color=colors.MODEL)
    axes[3].semilogy(grid_t, spreads, color=colors.EXACT)
    axes[3].text(0.35, 0.5, "left to guess", color=colors.EXACT, fontweight="bold")
    axes[3].text(0.2, 0.0006, "network's error", color=colors.MODEL, fontweight="bold")
    axes[3].set(xlabel="t", title="Mean squared errors, by t")


# %%
torch.manual_seed(SEED)
grid_t, errors, spreads = torch.linspace(0.02, 0.98, 25).double(), [], []
with torch.no_grad():
    for t in grid_t:
        x = target.sample(1000).double()
        x_t = table(t)[0] * x + table(t)[1] * torch.randn_like(x)
        errors.append((asked(x_t, t) - exact(x_t, t)).square().sum(1).mean().item())
        spreads.append((x - exact(x_t, t)).square().sum(1).mean().item())
two_denoisers()
share = [e / s for e, s in zip(errors, spreads)]
claim("network's error as a share of what is left to guess, median over t", np.median(share), below=0.1, digits=1)
a, s = table(grid_t[-1])
claim("its mean square error at t = 0.98", errors[-1], above=0.3, digits=1)
claim("the same error in the noise that it predicts", errors[-1] * (a / s) ** 2, below=0.01, digits=1)

# %% [markdown]
# Each arrow starts at a noisy point and ends at a guess of the clean one, exact in green and by the network in
# vermilion; the gray background shows where noisy points are. At high noise the arrows point to the middle of the ring,
# where there are no data: a conditional mean need not look like an example. At $t = 0.6$ the two differ mostly in the
# corners, where the network saw hardly any points.
#
# The right panel answers the question. The network's error is far below what even the exact guess leaves open, except
# near $t = 1$. There the *noise* that it predicts is nearly perfect, with an error of 0.0003, but
# $\hat x = (x_t - \sigma_t \hat\epsilon)/\alpha_t$ divides by a tiny $\alpha_t$, and the error in $x$ is 5.
#
# The predicted noise also gives us chapter 11's **score**, by Tweedie's formula (Robbins, 1956). It is the expected
# noise, negated and rescaled:
#
# $$ \nabla \log p_t(x_t) = -\frac{\mathbb E[\epsilon \mid x_t]}{\sigma_t} . $$

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Tweedie's line on the mixture
t, x_t = torch.tensor(0.35).double(), 2 * torch.randn(50, 2, device=DEVICE).double()
a, s = table(t)
mixed = Mixture(a * target.means.double(), ((a * target.std.double()) ** 2 + s**2).sqrt(), target.weights)
told = (x_t - a * exact(x_t, t)) / s
claim("score of the blurred mixture and its expected noise: largest difference", (mixed.score(x_t) + told / s).abs().max(), below=1e-4)

# %% [markdown]
# ## 12.5 The way back, with and without fresh noise
#
# To generate, start from pure noise and repeat two moves: guess the clean data, then put the *predicted* noise back at
# the next, slightly lower level.

# %%
@torch.no_grad()
def sampling_loop(x, steps):
    times = torch.linspace(1, 0, steps + 1, device=DEVICE)
    for t, s in zip(times, times[1:]):
        (alpha, sigma), (alpha_s, sigma_s) = table(t), table(s)
        told = net(x, t.expand(len(x)))
        guess = (x - sigma * told) / alpha
        x = alpha_s * guess + sigma_s * told
    return x


start = torch.randn(2000, 2, device=DEVICE)
drawn = sampling_loop(start, 100)
times = schedules.times(table, 100)
ddim = samplers.last(samplers.ddim(model.denoise, table, start, times, eta=0.0))
claim("the loop is DDIM with η = 0: largest difference", (drawn - ddim).abs().max(), below=0.01)

# %% [markdown]
# This deterministic sampler is **DDIM** (Song, Meng & Ermon, 2021): after the random start, nothing is left to chance.
# The older sampler, **DDPM** (Ho et al., 2020), draws fresh noise at each step. It samples $x_s$ from the Gaussian
# $q(x_s \mid x_t, \hat x)$ of 12.3. A dial $\eta$ connects the two. Write
# $\hat\epsilon = (x_t - \alpha_t \hat x)/\sigma_t$ for the predicted noise. Part of the noise at the next level is
# drawn anew, and the predicted noise supplies the rest:
#
# $$ x_s = \alpha_s \hat x + \sqrt{\sigma_s^2 - \eta^2 w}\; \hat\epsilon + \eta \sqrt{w}\, \epsilon, \qquad
# w = \sigma_s^2 \Big(1 - \frac{\alpha_t^2 \sigma_s^2}{\alpha_s^2 \sigma_t^2}\Big) . $$
#
# The total noise variance is $\sigma_s^2$ whatever $\eta$ is. At $\eta = 0$ this is the loop above; at $\eta = 1$ it is
# DDPM, for $w$ is the variance of 12.3.

# %% jupyter={"source_hidden": true}
# η = 1 and the posterior of 12.3
s, t = torch.tensor([0.2, 0.3], dtype=torch.float64)
x_t, best, e = torch.randn(3, 1000, 2).double()
*_, back = samplers.ddim(lambda x, t: best, table, x_t, torch.stack([t, s]), eta=1.0, noise=lambda i: e)
mean, std = posterior(best, x_t, t, s)
claim("DDIM with η = 1 draws from the posterior of 12.3: largest difference", (back - mean - std * e).abs().max(), below=EQUAL)

# %% [markdown]
# Does the dial change what is drawn? With the exact denoiser, so that no error of learning interferes, we walk from the
# same 12 starts in 200 steps at both ends of the dial. **Predict:** will a point end at the same mode both times?

# %% jupyter={"source_hidden": true}
# The figure: from noise to the mixture, with and without dice; which modes are reached
def two_ways(eta, n=2000):
    torch.manual_seed(SEED)
    x = torch.randn(n, 2, device=DEVICE).double()
    return torch.stack(list(samplers.ddim(exact, table, x, schedules.times(table, 200), eta=eta)))


ways = {eta: two_ways(eta) for eta in (0.0, 1.0)}
SHADES = {0.0: colors.COMPONENTS[0], 1.0: colors.COMPONENTS[2]}


def same_ends():
    fig, axes = plt.subplots(1, 3, figsize=(12, 4))
    for ax, (eta, states) in zip(axes, ways.items()):
        plotting.field(lambda x: target.log_prob(x.to(DEVICE)).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
        for i in range(12):
            ax.plot(*states[:, i].T.cpu(), color=SHADES[eta], lw=1.2, alpha=0.8)
        plotting.points(states[0, :12], ax, color=colors.NOISE, size=45, alpha=1, zorder=3)
        plotting.points(states[-1, :12], ax, color=colors.ACCENT, size=55, alpha=1, zorder=3)
        ax.set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[])
        ax.set_title("η = 0: a flow" if eta == 0 else "η = 1: a walk", loc="center")
    plotting.points(ways[0.0][-1, :700], axes[2], color=SHADES[0.0], size=9)
    plotting.points(ways[1.0][-1, :700], axes[2], color=SHADES[1.0], size=9)
    axes[2].set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[])
    axes[2].set_title("the same ends, 700 of each", loc="center")


# %%
same_ends()
fresh = target.sample(2000).double()
claim("η = 0: sliced distance of 2,000 ends from 2,000 fresh data", metrics.sliced(ways[0.0][-1], fresh), below=0.25, digits=1)
claim("η = 1: the same distance", metrics.sliced(ways[1.0][-1], fresh), below=0.25, digits=1)
claim("distance of two sets of fresh data", metrics.sliced(target.sample(2000).double(), fresh), below=0.25, digits=1)

# %% [markdown]
# Roads and ends of single points (orange) differ. But the distribution is the same: 2,000 ends lie as far from fresh
# data as two sets of fresh data from each other, about 0.1.
#
# The balance of the formula matters. A frequent bug keeps the full $\sigma_s \hat\epsilon$ *and* adds fresh noise, so
# that there is too much noise at each step:

# %%
torch.manual_seed(SEED)
x, times = torch.randn(1000, 2, device=DEVICE).double(), schedules.times(table, 200)
for t, s in zip(times, times[1:]):
    (alpha, sigma), (alpha_s, sigma_s), best = table(t), table(s), exact(x, t)
    w = sigma_s**2 * (1 - (alpha * sigma_s / (alpha_s * sigma)) ** 2)
    x = alpha_s * best + sigma_s * (x - alpha * best) / sigma + w.sqrt() * torch.randn_like(x)
away = lambda x: torch.cdist(x, target.means.double()).amin(1).square().mean().sqrt()
claim("distance of the ends from the nearest mode, with the bug over without it", away(x) / away(ways[1.0][-1]), above=2, digits=1)

# %% [markdown]
# With the bug the points end more than twice as far from the modes as they should. Now the same correct sampler on
# pictures, with the exact denoiser of 2,000 digits:

# %% jupyter={"source_hidden": true}
# The figure: digits out of noise, and what the denoiser sees in it
def developing(moments=(0, 20, 30, 36, 42, 48, 54, 60)):
    torch.manual_seed(SEED)
    times = schedules.times(table, 60)
    states = list(samplers.ddim(guess, table, torch.randn(2, 1, 28, 28).double(), times))
    sees = [guess(states[k], times[k].clamp(min=1e-3)) for k in moments]
    fig, axes = plt.subplots(2, 1, figsize=(12, 6.2))
    for ax, seen, title in zip(axes, ([states[k] for k in moments], sees), ("Digits come out of noise, x_t", "The denoiser's guess: a blur, then a copy")):
        sheet = torch.stack(seen, 1).flatten(0, 1)
        plotting.images((sheet + 0.5) / 3, ax, columns=len(moments), titles=[f"t = {times[k]:.2g}" for k in moments])
        ax.set_title(title + "\n")


# %%
developing()

# %% [markdown]
# Compare the rows. While $x_t$ still looks like noise, the guess is a blur of many digits; around $t = 0.5$ it settles
# on one, and the rest of the way only removes noise. What comes out are copies of known digits: the exact denoiser of
# 2,000 pictures can produce nothing else. Why a trained network does not copy is the question of part 12b.
#
# ## 12.6 Continuous time
#
# How many steps does one need, and are DDPM and DDIM the only choices? Take the limit of infinitely many steps. The
# noising chain is then a **stochastic differential equation**, and so is its reversal in time (Anderson, 1982; Song,
# Sohl-Dickstein et al., 2021):
#
# $$ dx = f\,x\,dt + g\,dB, \qquad dx = \big(f\,x - g^2\, \nabla \log p_t(x)\big)\, dt + g\, d\bar B \quad\text{backward}, $$
#
# with $f = \alpha'/\alpha$ and $g^2 = (\sigma^2)' - 2f\sigma^2$. Here $B$ is Brownian motion (independent Gaussian
# increments), and in the second equation time runs from 1 to 0. Only the score must be learned. The **probability-flow
# ODE** uses half of it and no noise, and has the same distribution of $x_t$ at every $t$:
#
# $$ \frac{dx}{dt} = f\,x - \tfrac12\, g^2\, \nabla \log p_t(x) . $$
#
# DDIM with small steps follows this ODE, DDPM the SDE. Both are members of one family: noise of variance $\lambda g^2$
# requires $\tfrac12 (1 + \lambda) g^2$ times the score. **Predict before you run.** What happens to the two modes of
# 12.2 if we add the noise of the SDE ($\lambda = 1$) but use only half of the score?

# %%
smooth = schedules.preserving()  # the same chain in continuous time
of_two = of_mixture(two, smooth)
times = torch.linspace(1, 0, 301).double()


def backward(score_share, noise_share, n=10_000):
    x = torch.randn(n, 1).double()
    for t, s in zip(times[:-1], times[1:]):
        (alpha, sigma), (f, g2) = smooth(t), schedules.drift(smooth, t)
        score = (alpha * of_two(x, t) - x) / sigma**2
        dice = (noise_share * g2 * (t - s)).sqrt() * torch.randn_like(x) * (s > 0)
        x = x + (t - s) * (score_share * g2 * score - f * x) + dice
    return x


torch.manual_seed(SEED)
ends = {"SDE": backward(1, 1), "ODE": backward(0.5, 0), "noise, half of the score": backward(0.5, 1)}
inside = lambda x: (x[x > 0] - 1.5).std()  # of the upper mode: 0.25 in truth
claim("width of the upper mode: reverse SDE", inside(ends["SDE"]), near=0.25, within=0.04, digits=2)
claim("width of the upper mode: probability-flow ODE", inside(ends["ODE"]), near=0.25, within=0.04, digits=2)
claim("width of the upper mode: noise with half of the score", inside(ends["noise, half of the score"]), above=0.4, digits=1)

# %% [markdown]
# The balance is needed. The SDE and the ODE both give the upper mode its true width of 0.25. Half of the score cannot
# hold the points together against all of the noise: the mode spreads to a width of 0.7.
#
# ## 12.7 How few steps?
#
# Sampling costs calls of the network, so we compare solvers at equal numbers of calls:
#
# - **SDE**: the reverse equation in plain Euler steps (Euler-Maruyama);
# - **DDPM** and **DDIM** as above; DDIM is a first-order solver of the ODE;
# - **Heun**: second order, with two calls a step (Karras et al., 2022);
# - **multistep**: second order with one call a step, because it reuses the previous one (DPM-Solver++, Lu et al.,
#   2022).
#
# With the exact denoiser of the ring of eight any error is the solver's alone.
#
# **Predict before you run.** Which solver will be the last to get the width of the modes right?

# %% jupyter={"source_hidden": true}
# The contest, with the exact denoiser; the steps shrink toward the data
CALLS = (4, 8, 16, 32, 64, 128)
SOLVERS = {  # solver, its options, calls a step, its color
    "SDE": (samplers.sde, {}, 1, colors.COMPONENTS[3]),
    "DDPM": (samplers.ddim, {"eta": 1.0}, 1, colors.COMPONENTS[2]),
    "DDIM": (samplers.ddim, {}, 1, colors.COMPONENTS[0]),
    "Heun": (samplers.heun, {}, 2, colors.COMPONENTS[1]),
    "multistep": (samplers.multistep, {}, 1, colors.COMPONENTS[5]),
}
ring = toy.target("eight_gaussians")
of_ring = of_mixture(ring, smooth)
torch.manual_seed(SEED)
noise = torch.randn(4000, 2).double()


def drawn_by(name, calls):
    solver, options, each, _ = SOLVERS[name]
    times = schedules.times(smooth, (calls + each - 1) // each, by="angle")
    return samplers.last(solver(of_ring, smooth, noise, times, **options))


def width(x):  # root mean square distance from the nearest mode, beside the true one
    return (torch.cdist(x, ring.means.double()).amin(1).square().mean() / 2).sqrt().item() / 0.3


def contest():
    fig, axes = plt.subplots(1, 2, figsize=(13, 4.6))
    for name, (*_, shade) in SOLVERS.items():
        axes[0].plot(CALLS, widths[name], "o-", color=shade, label=name)
        if name in off:
            axes[1].loglog(CALLS, off[name], "o-", color=shade)
    axes[0].axhline(1, color=colors.EXACT, lw=6, alpha=0.35, zorder=0)
    axes[0].legend()
    axes[0].set_xscale("log")
    axes[0].set(ylabel="width of the modes, truth = 1", title="Samplers with fresh noise settle last", ylim=(0.7, 1.75))
    axes[1].set(ylabel="distance from the exact end", title="Solvers of the ODE: first and second order")
    for ax in axes:
        ax.set_xticks(CALLS, CALLS)
        ax.minorticks_off()
        ax.set_xlabel("calls of the denoiser")


# %%
ends = {name: [drawn_by(name, calls) for calls in CALLS] for name in SOLVERS}
true_ends = samplers.last(samplers.heun(of_ring, smooth, noise, schedules.times(smooth, 300, by="angle")))
widths = {name: [width(x) for x in drawn] for name, drawn in ends.items()}
flows = ("DDIM", "Heun", "multistep")
off = {name: [(x - true_ends).square().sum(1).mean().sqrt().item() for x in ends[name]] for name in flows}
contest()
claim("DDPM, 16 calls: width of the modes beside the true one", widths["DDPM"][2], below=0.97, digits=2)
claim("SDE, 16 calls: the same width", widths["SDE"][2], above=1.03, digits=2)
claim("Heun, 16 calls: the same width", widths["Heun"][2], near=1, within=0.05, digits=2)
claim("4 calls: least distance from the exact end", min(error[0] for error in off.values()), above=0.15, digits=1)
claim("DDIM: error with 32 calls over that with 128", off["DDIM"][3] / off["DDIM"][5], near=4, within=0.8, digits=1)
claim("Heun: error with 32 calls over that with 128", off["Heun"][3] / off["Heun"][5], above=8, digits=1)

# %% [markdown]
# Left, all five against the true width (green band): from 16 calls on, the two solvers with fresh noise are the last to
# arrive. DDPM makes the modes too narrow (0.94 of their width with 16 calls), Euler steps of the SDE make them too
# wide. Right, the three ODE solvers against the exact end of each path, on logarithmic axes. Four times the calls leave
# a quarter of DDIM's error, as first order promises, and less than an eighth of Heun's. With only 4 calls no solver
# comes closer than 0.3, the standard deviation of a mode; part 13b asks for more. (All solvers use the same times,
# which crowd toward the data: equal steps in the square root of the angle $\arctan \sigma_t/\alpha_t$.)
#
# **Play.** The field that moves the points is exact, learned, or both with the error between them. *Before you drag:*
# pull one of the bumps away. The starting noise stays the same; which points will end elsewhere?
#
# <details><summary>Answer</summary>
#
# Those that ended near that bump follow it, and some near the border between two basins change sides. Distant ones
# hardly move.
# </details>

# %%
from gdm_core import explorers

explorers.diffusion_film(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 12.8 The exact likelihood
#
# The ODE is an invertible map between noise and data, a continuous normalizing flow (Chen et al., 2018), so chapter 9's
# change of variables applies. Where paths spread out on their way to the noise, the data were denser; the integral of
# the divergence along the path says by how much:
#
# $$ \log p(x) = \log \mathcal N(x_1;\, 0, \sigma_1^2 I) + \int_0^1 \nabla \cdot \frac{dx_t}{dt}\, dt . $$
#
# Earlier chapters suggest other ways, and with exact conditional means all must agree. We test five of them at four
# points, for three bumps in the plane:
#
# 1. **the density** itself, which is a mixture;
# 2. **the ODE**, with the divergence by automatic differentiation;
# 3. **the denoising error** compared with a unit Gaussian's, over all noise levels (11.9; Guo, Shamai & Verdú, 2005);
# 4. **the bound** of 12.3 with infinitely many steps, whose sum of KLs becomes an integral (Kingma et al., 2021);
# 5. **one coordinate after the other**, first that of the horizontal axis, then the vertical one given the first, as in
#    chapter 10.

# %%
bumps = Mixture([[-1.0, -0.5], [1.0, -0.5], [0.0, 1.0]], std=0.5, weights=[0.5, 0.3, 0.2]).double()
of_bumps = of_mixture(bumps, schedules.cosine)
xs = torch.tensor([[0.0, 0.0], [-1.0, -0.2], [0.7, 1.0], [1.5, -1.5]]).double()
points, w = np.polynomial.hermite_e.hermegauss(48)
w = torch.tensor(w / w.sum())
noises, w = torch.cartesian_prod(*[torch.tensor(points)] * 2), (w[:, None] * w).flatten()  # means over noise
log_snr = torch.linspace(-24, 24, 241).double()


def missed(x, log_snr):  # E |x - E[x | x_t]|^2 for one x, at each level
    t = schedules.time_at(schedules.cosine, (-log_snr / 2).exp().atan())
    alpha, sigma = schedules.cosine(t)
    x_t = (alpha[:, None, None] * x + sigma[:, None, None] * noises).reshape(-1, 2)
    told = of_bumps(x_t, t.repeat_interleave(len(noises))).reshape(len(t), -1, 2)
    return (x - told).square().sum(2) @ w


error = torch.stack([missed(x, log_snr) for x in xs])  # (4, 241)
snr = log_snr.exp()

# %%
routes = {"density": bumps.log_prob(xs), "ODE": ode.log_prob(of_bumps, schedules.cosine, xs, steps=160)}
saved = torch.trapezoid((2 / (1 + snr) - error) * snr, log_snr)  # d = 2
routes["denoising error"] = saved / 2 - math.log(2 * math.pi * math.e)
ends = 0.5 * snr[0] * xs.square().sum(1) + 0.5 * snr[-1] * error[:, -1] + math.log(2 * math.pi) - log_snr[-1]
routes["bound"] = -(0.5 * torch.trapezoid(error * snr, log_snr) + ends)
first = Mixture(bumps.means[:, :1], bumps.std, bumps.weights).double().log_prob(xs[:, :1])
share = (bumps.weights.log() + Normal(bumps.means[:, 0], bumps.std).log_prob(xs[:, :1])).softmax(1)
second = (share.log() + Normal(bumps.means[:, 1], bumps.std).log_prob(xs[:, 1:])).logsumexp(1)
routes["coordinates"] = first + second
for name, values in routes.items():
    claim(f"log p at four points by {name}: largest difference", (values - routes["density"]).abs().max(), below=1e-6, unit="nats")

# %% [markdown]
# Five routes, one number: with exact means the bound of route 4 is tight.
#
# A trained network has errors, and only routes 2 and 4 remain. What do they say about ours? Beside it we train a second
# network with the same layers, steps and batches, which predicts the **velocity** $\alpha_t' x + \sigma_t' \epsilon$
# (v-prediction; Salimans & Ho, 2022) on the cosine schedule $\alpha_t = \cos \tfrac{\pi}{2} t$,
# $\sigma_t = \sin \tfrac{\pi}{2} t$, where nothing has to be divided by $\alpha_t$.

# %%
torch.manual_seed(SEED)
rival = Diffusion(2, schedule=schedules.cosine, predicts="velocity").to(DEVICE)
train.fit(rival, target.sample, steps=1200 * LONGER, batch_size=512, lr=1e-2, rate=train.falling, average=0.995, progress=False)
x = target.sample(1500)
truth = target.log_prob(x)
kls, gaps = {}, {}
for name, m in {"noise": model, "velocity": rival}.items():
    kls[name], gaps[name] = truth - m.log_prob(x, steps=16), truth - m.elbo(x)
    claim(f"{name}: KL from the data to the network's flow", kls[name].mean(), below=0.3, digits=1, unit="nats")
    claim(f"{name}: gap of the bound", gaps[name].mean(), below=0.5, digits=1, unit="nats")
    claim("its standard error", gaps[name].std() / len(x) ** 0.5, below=0.05, digits=1, unit="nats")
off_exact = ode.log_prob(of_mixture(target, schedules.cosine), schedules.cosine, x[:500].double(), steps=40) - truth[:500]
claim("ODE with the exact mean: largest difference from the exact log density", off_exact.abs().max(), below=0.05, digits=1, unit="nats")

# %% [markdown]
# ## 12.9 What a wrong score costs
#
# Both networks lose a few hundredths of a nat. Where do these go? Each KL of 12.3 is a squared error, and its avoidable
# part is $\lVert \hat x - \mathbb E[x \mid x_t] \rVert^2$, the error of the score in other units. Added up over all
# levels, this bounds the loss of the reverse SDE (Song, Durkan et al., 2021):
#
# $$ \mathrm{KL}(p_0 \,\|\, p_\theta) \;\le\; \frac12 \int_0^1 g^2\, \mathbb E\, \lVert \nabla \log p_t - s_\theta \rVert^2\, dt
# + \mathrm{KL}(p_1 \,\|\, \text{noise}) . $$
#
# With the exact score we can measure the right-hand side, level by level.

# %%
torch.manual_seed(SEED)
edges = torch.linspace(math.log(0.01), math.log(100.0), 61).double()  # of sigma / alpha
centers = (edges[1:] + edges[:-1]) / 2


@torch.no_grad()
def cost_by_level(model):
    cost, exact = [], of_mixture(target, model.schedule)
    for ratio in centers.exp():
        t, x = schedules.time_at(model.schedule, ratio.atan()), target.sample(1000).double()
        x_t = model.schedule(t)[0] * x + model.schedule(t)[1] * torch.randn_like(x)
        wrong = (model.denoise(x_t.float(), t.float()) - exact(x_t, t)).square().sum(1).mean()
        cost.append((wrong / ratio**2 * (edges[1] - edges[0])).item())  # g^2 dt / 2 in these units
    return cost


costs = {"noise": cost_by_level(model), "velocity": cost_by_level(rival)}

# %% jupyter={"source_hidden": true}
# The figure: which levels cost how many nats; the two densities
def bill():
    fig, axes = plt.subplots(1, 3, figsize=(15, 4.4), width_ratios=[1.5, 1, 1])
    for name, shade in (("noise", colors.COMPONENTS[0]), ("velocity", colors.COMPONENTS[2])):
        axes[0].plot(centers / math.log(10), costs[name], color=shade, label=f"{name}: {sum(costs[name]):.2g} nats in all")
    axes[0].legend()
    axes[0].set(xlabel="log₁₀ of noise over signal", ylabel="nats", title="What errors cost at each noise level", ylim=(0, None))
    learned = lambda x: rival.log_prob(x, steps=12)
    top = truth.max().exp().item()
    for ax, log_p, name in ((axes[1], target.log_prob, "exact"), (axes[2], learned, "learned")):
        plotting.field(lambda x, f=log_p: f(x.to(DEVICE)).exp(), ax, (-4, 4, -4, 4), side=64, vmin=0, vmax=top)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"density: {name}", loc="center")


# %%
bill()
for name in costs:
    claim(f"{name}: integrated error of the score", sum(costs[name]), below=0.5, digits=1, unit="nats")
    apart = sum(costs[name]) - gaps[name].mean().item()
    claim("difference from the gap of the bound", apart, near=0, within=0.12, digits=1, unit="nats")
clean = {name: sum(cost[:20]) for name, cost in costs.items()}
claim("noise: cost of the cleanest third of the levels, over that of velocity", clean["noise"] / clean["velocity"], above=1.2, digits=1)

# %% [markdown]
# The integral agrees with the gap of the bound in 12.8, which was computed without the exact score. The figure shows
# where the cost arises, at low noise, most of all where it is as large as a mode is wide; at high noise a wrong score
# costs next to nothing. At the cleanest third of the levels the network that predicts noise pays more. (The two also
# differ in their schedule, so this does not say which target is better.)
#
# ## 12.10 When is it decided?
#
# When does a digit become a 3 rather than a 7? Return to one dimension, with two equal modes at $\pm\mu$, each of
# standard deviation $s$.
#
# Seen backward in time, the density of $x_t$ has one bump until it splits in two. The origin turns from peak to valley
# at the signal rate
#
# $$ \alpha_t^2 = \bar\alpha = \frac{1}{1 + \mu^2 - s^2} . $$
#
# **Predict before you run.** When a walk of DDPM passes this moment, how sure is it already in which mode it will end?

# %%
mu, width = 1.5, 0.25
pair = Mixture([[-mu], [mu]], std=width).double()
splits = 1 / (1 + mu**2 - width**2)


def curvature(rate):  # of the density at 0, by differences of the score
    noisy = pair.noisy((1 - rate) ** 0.5, rate**0.5)
    return (noisy.score(torch.tensor([[1e-3]]).double()) / 1e-3).item()


low, high = 0.01, 0.99
for _ in range(40):
    middle = (low + high) / 2
    low, high = (middle, high) if curvature(middle) < 0 else (low, middle)
claim("signal rate at which the origin stops being the mode", low, near=splits, within=1e-3, digits=3)

# %% jupyter={"source_hidden": true}
# The figure: walks of eta = 1, and how sure their end is
of_pair = of_mixture(pair, smooth)
torch.manual_seed(SEED)
times = schedules.times(smooth, 300)
walks = torch.stack(list(samplers.ddim(of_pair, smooth, torch.randn(2000, 1).double(), times, eta=1.0)))[..., 0]
alpha, sigma = smooth(times)
chance = torch.sigmoid(2 * alpha[:, None] * mu * walks / (alpha**2 * width**2 + sigma**2)[:, None])  # of the upper mode
sure = torch.maximum(chance, 1 - chance).mean(1)
moment = schedules.time_at(smooth, torch.tensor(math.atan(math.sqrt(1 / splits - 1))).double())


def decided():
    fig, axes = plt.subplots(2, 1, figsize=(10, 5.6), height_ratios=[1.6, 1], sharex=True)
    up = walks[-1, :26] > 0
    for color, those in ((colors.COMPONENTS[0], walks[:, :26][:, up]), (colors.COMPONENTS[2], walks[:, :26][:, ~up])):
        axes[0].plot(times[::3], those[::3], color=color, lw=0.9)
    axes[1].plot(times, sure, color=colors.EXACT)
    for ax in axes:
        ax.axvline(moment, color=colors.ACCENT, lw=2.5)
    axes[0].text(moment - 0.01, 2.9, "the density splits", color=colors.ACCENT, fontweight="bold")
    axes[0].set(ylabel="x", xlim=(1, 0), ylim=(-3.4, 3.4), title="Walks, colored by the mode in which they end")
    axes[1].set(xlabel="t, from noise to data", ylabel="how sure", ylim=(0.5, 1.02), title="Mean chance of the likelier mode")


# %%
decided()
at = (times - moment).abs().argmin()
claim("how sure the end is when the density splits, mean over walks", sure[at], near=0.85, within=0.1, digits=2)
claim("how sure it is of the noise", sure[0], below=0.6, digits=2)
claim("how sure it is at twice that signal rate", sure[(smooth(times)[0] ** 2 - 2 * splits).abs().argmin()], above=0.95, digits=2)
claim("how sure it is at half of that signal rate", sure[(smooth(times)[0] ** 2 - splits / 2).abs().argmin()], below=sure[at] - 0.05, digits=2)

# %% [markdown]
# At the split the likelier mode has a chance of 0.84 on average. The choice is not made in an instant: the chance is
# 0.74 at half that signal rate and 0.97 at twice that rate. Before this stretch a walk hardly knows where it will end;
# after it only its place within the mode is left to settle. Biroli et al. (2024) call the transition **speciation**. It
# is a statement about walks with fresh noise: along the ODE the end follows from the start.
#
# ## What to keep, and what is not settled
#
# - One step back needs one unknown, the mean $\mathbb E[x \mid x_t]$, learned by regression. Noise, velocity and score
#   are the same answer in other units.
# - The sum of the squared errors, properly weighted, is the ELBO of a model whose encoder is fixed.
# - DDIM follows an ODE, DDPM an SDE. Both have the same distribution at every $t$, as long as noise and score are
#   balanced.
# - The ODE gives likelihoods. The bound's gap is the error of the score, summed over the levels.
#
# Honest limits. In the plane a formula judges the network; for pictures nobody knows the exact mean of the true
# distribution. Each network was trained once, and 12.7 compares solvers on one target, without errors of learning.
#
# ## References
#
# - Anderson, B. (1982). Reverse-time diffusion equation models. Stoch. Proc. Appl.
# - Biroli, G., et al. (2024). Dynamical regimes of diffusion models. Nature Communications.
# - Chen, R. T. Q., et al. (2018). Neural ordinary differential equations. NeurIPS.
# - Guo, D., Shamai, S., & Verdú, S. (2005). Mutual information and minimum mean-square error in Gaussian channels. IEEE
#   Trans. Inf. Theory.
# - Ho, J., Jain, A., & Abbeel, P. (2020). Denoising diffusion probabilistic models. NeurIPS.
# - Karras, T., et al. (2022). Elucidating the design space of diffusion-based generative models. NeurIPS.
# - Kingma, D., et al. (2021). Variational diffusion models. NeurIPS.
# - Lu, C., et al. (2022). DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models.
# - Robbins, H. (1956). An empirical Bayes approach to statistics. Berkeley Symposium.
# - Salimans, T., & Ho, J. (2022). Progressive distillation for fast sampling of diffusion models. ICLR.
# - Sohl-Dickstein, J., et al. (2015). Deep unsupervised learning using nonequilibrium thermodynamics. ICML.
# - Song, J., Meng, C., & Ermon, S. (2021). Denoising diffusion implicit models. ICLR.
# - Song, Y., Durkan, C., et al. (2021). Maximum likelihood training of score-based diffusion models. NeurIPS.
# - Song, Y., Sohl-Dickstein, J., et al. (2021). Score-based generative modeling through SDEs. ICLR.
