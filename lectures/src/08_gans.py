# %% [markdown]
# # 8 · Generative adversarial networks
#
# **Can a network learn to draw samples if nobody gives it a density, and its only teacher is another network that
# tries to tell its samples from data?**
#
# After this lecture you can
#
# - read a generator as a map that contracts and expands, and compute the density that it makes;
# - write the adversarial loop with $k$ inner steps, and say what the best critic would answer;
# - tell the minimax from the non-saturating loss, and explain why neither says how good the samples are;
# - produce mode collapse, measure it, and compare cures, each with a control for its parts;
# - compute the loss landscape of the smallest GAN exactly, and say what it explains and what it does not.
#
# You need: chapter 6 (a classifier as a test) and chapter 7 (why two players circle). Time: 45 minutes to read, 10
# more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "eight_gaussians"  # or "grid_gaussians": where modes are lost
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import copy
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import relu, softplus

from gdm_core import adversarial, colors, metrics, plotting, train, two_sample
from gdm_core.course.claims import claim
from gdm_core.data import toy
from gdm_core.models.gan import GAN
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["eight_gaussians", "grid_gaussians"])
FULL = PROFILE == "full"
torch.manual_seed(SEED)
plotting.use_style()

# %% [markdown]
# ## 8.1 A generator is a map
#
# The models of chapters 1 to 5 had a density, and sampling came from it. We now start at the other end, with the
# sampler. A **generator** $G$ turns noise $z \sim \mathcal N(0, 1)$ into an example $x = G(z)$: draw $z$, apply $G$,
# done. But which density do such samples have? A small interval of length $dz$ carries the mass $p(z)\,dz$, and $G$
# lays that mass onto an interval of length $|G'(z)|\,dz$. So where $G$ is increasing,
#
# $$ p(x) = \frac{p(z)}{|G'(z)|}, \qquad x = G(z) . $$
#
# Where $|G'| < 1$ the map **contracts** and samples pile up; where $|G'| > 1$ it **expands** and they thin out. In
# one dimension there is always a map from the noise to a given density $p$: with $\Phi$ the distribution function of
# the noise and $F$ that of $p$, it is the quantile map $G(z) = F^{-1}(\Phi(z))$.
#
# **Predict before you run.** The data have two bumps. Where is the slope of this map largest?

# %%
target = toy.target("bimodal")
x = torch.linspace(-5, 6, 20_001, dtype=torch.float64)
p = target.log_prob(x[:, None].float()).exp().double()
F = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(p, x)])
z = torch.linspace(-2.5, 2.5, 1001, dtype=torch.float64)
G = torch.from_numpy(np.interp(Normal(0, 1).cdf(z), F / F[-1], x))  # the quantile map
slope = torch.gradient(G, spacing=(z,))[0]

# %% jupyter={"source_hidden": true}
# The figure: noise below, data above, and where each piece of noise goes
def contract_and_expand():
    _, (up, ax, down) = plt.subplots(3, 1, figsize=(10, 5.4), sharex=True, height_ratios=[1.3, 1, 1])
    up.fill_between(x, p, color=colors.EXACT, alpha=0.25, lw=0)
    up.plot(x, p, color=colors.EXACT)
    up.text(3.1, 0.2, "data x", color=colors.EXACT, fontweight="bold")
    down.fill_between(x, -Normal(0.0, 1.0).log_prob(x).exp(), color=colors.LATENT, alpha=0.25, lw=0)
    down.plot(x, -Normal(0.0, 1.0).log_prob(x).exp(), color=colors.LATENT)
    down.text(2.1, -0.22, "noise z", color=colors.LATENT, fontweight="bold")
    for i in range(0, 1001, 20):
        wide = slope[i] > 1.6
        ax.plot([z[i], G[i]], [0, 1], color=colors.ACCENT if wide else colors.NOISE, lw=2 if wide else 1)
    ax.text(3.1, 0.5, "G expands", color=colors.ACCENT, fontweight="bold", va="center")
    ax.set(ylim=(0, 1), xlim=(-3.5, 4.5))
    for a in (up, ax, down):
        a.set(yticks=[])
        a.spines[:].set_visible(False)
        a.tick_params(bottom=False, labelbottom=False)
    up.set_title("Steep where data are rare, flat where they are many")


# %%
contract_and_expand()
at = lambda place: slope[(G - place).abs().argmin()]
claim("slope of the map at the left bump", at(-1.5), below=1.2, digits=2)
claim("slope of the map in the gap between the bumps", at(-0.3), above=2, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claim: the slope and the densities
q = target.log_prob(G[:, None].float()).exp().double()
claim("slope and p(z)/p(x): largest relative difference", (slope / (Normal(0, 1).log_prob(z).exp() / q) - 1)[5:-5].abs().max(), below=0.03, digits=1)

# %% [markdown]
# Each line joins a piece of noise (below) to its place among the data (above). In the gap, where data are rare, the
# map must be steep, and the lines fan out (orange). A smooth network can be steep, but it cannot jump. It therefore
# always leaves a bridge of rare samples between two bumps, and we will see such bridges in every picture of this
# lecture.
#
# ## 8.2 The algorithm
#
# How can $G$ learn if we cannot evaluate its density? Section 6.6 has the answer: a classifier that tells data from
# samples is a statistic, and the best one answers "data" with the probability $p(x)/(p(x) + q(x))$, where $q$ is the
# density of the samples. In a GAN this classifier is called the **critic** or **discriminator**. From here on $D(x)$
# is its logit, and $\sigma(D(x))$ its probability of "data", with the logistic function $\sigma$. The game of
# Goodfellow et al. (2014) is
#
# $$ \min_G \max_D \; \mathbb E_x \log \sigma(D(x)) + \mathbb E_z \log\big(1 - \sigma(D(G(z)))\big) . $$
#
# The critic makes this score large, the generator makes it small. To find the inner maximum anew for each generator
# would take far too long. So the critic takes $k$ steps of gradient ascent, then the generator takes one step of its
# own:

# %%
def adversarial_loop(generator, critic, data, steps, k, batch=128, lr=1e-3):
    players = {name: torch.optim.Adam(net.parameters(), lr) for name, net in (("D", critic), ("G", generator))}

    def move(name, loss):
        generator.zero_grad()
        critic.zero_grad()
        loss.backward()
        players[name].step()

    for _ in range(steps):
        for _ in range(k):
            real, fake = data(batch), generator(torch.randn(batch, 1))[:, 0].detach()  # samples are given here
            move("D", softplus(-critic(real)).mean() + softplus(critic(fake)).mean())
        data(batch)  # the library draws a batch for each move, used or not
        move("G", softplus(-critic(generator(torch.randn(batch, 1))[:, 0])).mean())

# %% [markdown]
# Here $-\log \sigma(u)$ is written `softplus(-u)`; why the generator's line differs from the formula is the subject
# of 8.3. In the library both networks live in one module, `GAN`, and `train.steps` lets its players move in turn,
# `moves` times each.

# %%
torch.manual_seed(SEED)
gan = GAN(1, 1, hidden=(32, 32))
bare = copy.deepcopy(gan)
torch.manual_seed(SEED + 1)
adversarial_loop(bare.generator, bare.critic, target.sample, steps=20, k=3)
torch.manual_seed(SEED + 1)
train.fit(copy_of := copy.deepcopy(gan), target.sample, steps=20, moves={"critic": 3}, progress=False)
pairs = zip(bare.parameters(), copy_of.parameters())
claim("weights after 20 steps, bare and library: largest difference", max((a - b).abs().max() for a, b in pairs), below=1e-3)

# %% [markdown]
# Now let a GAN learn the two bumps, and stop it four times. In one dimension we know everything: $p$ exactly, the
# generator's density $q$ from its map, and therefore what the best critic would say at that moment. **Predict:** if
# all goes well, what will the critic answer in the end?

# %% jupyter={"source_hidden": true}
# Helper: the density of G(z), from the mass of a fine grid of z
EDGES = torch.linspace(-5, 6, 221)
CENTERS = (EDGES[1:] + EDGES[:-1]) / 2
TRUE = target.log_prob(CENTERS[:, None]).exp()


@torch.no_grad()
def density_of(gan):
    z = torch.linspace(-5, 5, 200_001)
    mass = Normal(0, 1).log_prob(z).exp() * (z[1] - z[0])
    counts, _ = torch.histogram(gan.generate(z[:, None])[:, 0], EDGES, weight=mass)
    return counts / (EDGES[1] - EDGES[0])


def half_gap(q):  # total variation
    return ((TRUE - q).abs().sum() * (EDGES[1] - EDGES[0]) / 2).item()

# %%
moments, stops = {}, (1, 100, 250, 1500 if FULL else 600)
torch.manual_seed(SEED + 1)
adam = torch.optim.Adam(gan.parameters(), lr=2e-3, betas=(0.5, 0.9))  # less momentum than usual: 8.7 says why
for history in train.steps(gan, target.sample, steps=stops[-1], moves={"critic": 3}, optimizer=adam, rate=train.falling):
    if len(history) in stops:
        with torch.no_grad():
            answer = gan.logits(CENTERS[:, None]).sigmoid()
        moments[len(history)] = density_of(gan), answer

# %% jupyter={"source_hidden": true}
# The figure: data, generator, critic and best critic at four moments
def four_moments():
    _, axes = plt.subplots(1, 4, figsize=(15, 3.6), sharey=True)
    for ax, (step, (q, answer)) in zip(axes, moments.items()):
        ax.fill_between(CENTERS, TRUE, color=colors.EXACT, alpha=0.18, lw=0)
        ax.plot(CENTERS, TRUE, color=colors.EXACT, lw=2)
        ax.plot(CENTERS, q, color=colors.MODEL, lw=2)
        seen = TRUE + q > 0.004
        best = TRUE / (TRUE + q)
        ax.plot(CENTERS, torch.where(seen, best, torch.nan), color=colors.EXACT, ls="--", lw=1.8)
        ax.plot(CENTERS, answer, color=colors.ACCENT, lw=2.4)
        ax.axhline(0.5, color=colors.NOISE, lw=0.8)
        ax.set(xlim=(-4, 5), ylim=(0, 1.05), xlabel="x", title=f"step {step}")
    axes[0].text(-3.9, 0.94, "critic", color=colors.ACCENT, fontweight="bold")
    axes[0].text(1.9, 0.38, "data p", color=colors.EXACT, fontweight="bold")
    axes[0].text(0.2, 0.86, "samples q", color=colors.MODEL, fontweight="bold")
    axes[1].text(1.7, 0.94, "best critic", color=colors.EXACT, fontweight="bold")


# %%
four_moments()
first, last = moments[1], moments[stops[-1]]
def doubt(q, answer):  # from the best critic, where there are examples
    weight = (TRUE + q) / (TRUE + q).sum()
    return (weight * (answer - TRUE / (TRUE + q)).abs()).nansum()


claim("total variation between data and samples at the first step", half_gap(first[0]), above=0.6, digits=2)
claim("the same at the last step", half_gap(last[0]), below=0.6, digits=2)
claim("critic's answer and that of the best critic at the last step: mean difference", doubt(*last), below=0.25, digits=1)

# %% [markdown]
# Data in green, samples in vermilion, the critic's probability in orange, that of the best critic dashed. At first
# all samples sit in one place. The critic learns where data are missed, and the generator moves its samples up the
# critic's slope. At an equilibrium $p = q$, and the best answer is $1/2$ everywhere. These two have not arrived
# there. But the total variation distance has dropped from 0.99 to 0.28, and the critic's answer is off that of the
# best critic by 0.1 on average.
#
# Is the rest of that error the critic's fault, or does its target move too fast? Hold the generator still (a player
# without gradients rests) and let the critic learn alone.

# %%
torch.manual_seed(SEED)
still = GAN(1, 1, hidden=(32, 32))
still.generator.requires_grad_(False)
train.fit(still, target.sample, steps=500, batch_size=512, lr=3e-3, rate=train.falling, progress=False)
q = density_of(still)
with torch.no_grad():
    answer = still.logits(CENTERS[:, None]).sigmoid()
claim("critic alone, and the best critic, where there are examples: mean difference", doubt(q, answer), below=0.06, digits=1)

# %% [markdown]
# Given enough time, the critic does find the best answer. The generator, though, moves after every few steps.
#
# ## 8.3 Two generators' losses
#
# According to the game, the generator goes down $\log(1 - \sigma(D(G(z))))$, the **minimax** or *saturating* loss.
# What Goodfellow et al. (2014) recommend for training is another, $-\log \sigma(D(G(z)))$, the **non-saturating**
# loss. Both are small where the critic says "data". They differ in how strongly they pull:
#
# $$ \frac{d}{dD} \log(1 - \sigma(D)) = -\sigma(D), \qquad \frac{d}{dD} \big(-\log \sigma(D)\big) = -(1 - \sigma(D)) . $$
#
# **Predict.** Suppose the critic becomes certain that a sample is fake: $D \to -\infty$. Which of the two generators
# still learns?

# %%
ring = toy.target(DATASET)
K = len(ring.means)
torch.manual_seed(SEED)
sure = GAN(2, 2, hidden=(64, 64))
sure.generator.requires_grad_(False)  # only the critic learns
pulls = {"minimax": [], "non-saturating": []}
for _ in train.steps(sure, ring.sample, steps=250):
    z = torch.randn(256, 2)
    told = sure.logits(sure.generate(z).detach().requires_grad_()).detach().requires_grad_()
    for name, values in pulls.items():
        loss = adversarial.LOSSES[name].generator(None, told)
        values.append(torch.autograd.grad(loss.mean(), told)[0].norm().item() * 256**0.5)

# %% jupyter={"source_hidden": true}
# The figure: what a generator hears, by formula and from a critic that grows sure
def who_still_hears():
    _, axes = plt.subplots(1, 2, figsize=(12.5, 4))
    D = torch.linspace(-6, 6, 200)
    shades = {"minimax": colors.LATENT, "non-saturating": colors.MODEL}
    plotting.curve(D, D.sigmoid(), axes[0], "minimax", color=shades["minimax"], at=0.85, offset=(-60, -26))
    plotting.curve(D, 1 - D.sigmoid(), axes[0], "non-saturating", color=shades["non-saturating"], at=0.05, offset=(-4, -40))
    axes[0].set(xlabel="logit D of a sample", ylabel="pull on the logit", title="The losses differ when D is negative")
    for name, values in pulls.items():
        plotting.curve(range(1, 251), values, axes[1], name, color=shades[name], at=0.6, offset=(0, -24 if name == "non-saturating" else 14))
    axes[1].set(yscale="log", xlabel="steps of the critic alone", ylabel="pull, root mean square", title="The minimax gradient vanishes")


# %%
who_still_hears()
claim("a sure critic: pull of minimax over that of the other loss", pulls["minimax"][-1] / pulls["non-saturating"][-1], below=0.2, digits=1)

# %% [markdown]
# Left: the pull as a function of the logit. Right: the pull while a critic is trained alone, against a generator that
# stands still. As the critic becomes certain, the minimax gradient vanishes: the worse the samples, the less this
# generator is told. The non-saturating loss pulls hardest exactly there. Nearly all code trains it, at a price: what
# one player loses is no longer what the other gains, so the game is not zero-sum.
#
# ## 8.4 Losses that say little
#
# Can we follow progress by the losses, as with every model so far? To judge that, we need data on which success can
# be counted: points in the plane with known modes. We call a mode **covered** if at least a tenth of its fair share
# of the samples lies within three standard deviations of it (after Srivastava et al., 2017).
#
# GANs depend on luck, so from 8.5 on we train five of them from different starts, side by side. `Crowd` holds five
# small networks, and row $i$ of a batch goes through network $i$ modulo 5. The library's `GAN` and `train.steps` need
# not know.

# %% jupyter={"source_hidden": true}
# Helper: S networks of linear layers and ReLU side by side
S, B, STEPS = 5, 64, 1500 if FULL else 500


class Crowd(nn.Module):
    """(n S, in) -> (n S, out), row i through network i mod S; `event` puts the axis that GAN wants of a generator."""

    def __init__(self, *sizes, nets=S, spectral=False, event=False):
        super().__init__()
        uniform = lambda n, *shape: (2 * torch.rand(nets, *shape) - 1) / n**0.5
        self.W = nn.ParameterList([uniform(m, m, n) for m, n in itertools.pairwise(sizes)])
        self.b = nn.ParameterList([uniform(m, 1, n) for m, n in itertools.pairwise(sizes)])
        self.nets, self.spectral, self.event = nets, spectral, event

    def forward(self, x):
        x = x.view(-1, self.nets, x.shape[-1]).transpose(0, 1)  # (S, n, in)
        for k, (W, b) in enumerate(zip(self.W, self.b)):
            W = W / torch.linalg.matrix_norm(W, 2, keepdim=True) if self.spectral else W
            x = torch.baddbmm(b, relu(x) if k else x, W)
        x = x.transpose(0, 1).flatten(0, 1)
        return x[:, None] if self.event else x


def of_each(x, nets=S):
    """(n S, 2) -> (S, n, 2)."""
    return x.view(-1, nets, 2).transpose(0, 1)

# %%
def crowd_of(nets=S, spectral=False, **options):
    torch.manual_seed(SEED)
    generator = Crowd(2, 64, 64, 2, nets=nets, event=True)
    critic = Crowd(2, 64, 64, 1, nets=nets, spectral=spectral)
    return GAN(2, 2, generator=generator, critic=critic, **options).to(DEVICE)


def learn(gan, data, *, nets=S, k=1, momentum=0.9):
    draw = lambda n: data.sample(n).to(DEVICE)
    adam = torch.optim.Adam(gan.parameters(), lr=4e-3, betas=(momentum, 0.99), fused=True)
    options = {"batch_size": B * nets, "moves": {"critic": k}, "average": 0.99, "rate": train.falling}
    return train.steps(gan, draw, steps=STEPS, optimizer=adam, **options)


def count(x, data):
    return metrics.modes(x.cpu(), data.means, float(data.std.flatten()[0]))

# %% [markdown]
# First, one GAN alone, with the non-saturating loss and nothing added. **Predict:** do its losses fall as it learns?

# %%
alone, counts, lands = crowd_of(nets=1), {}, {}
grid = plotting.grid((-4.5, 4.5, -4.5, 4.5), 41).to(DEVICE)
for history in learn(alone, ring, nets=1):
    step = len(history)
    if step % 20 == 0:
        counts[step] = count(alone.sample(1000), ring).covered
    if step % (STEPS // 5) == 0:
        with torch.no_grad():
            lands[step] = alone.logits(grid).view(41, 41).cpu(), alone.sample(300).cpu()

# %% jupyter={"source_hidden": true}
# The figure: losses, gradient norms and covered modes over one training
def one_training():
    _, axes = plt.subplots(1, 3, figsize=(15, 3.9))
    for name, shade in (("critic", colors.ACCENT), ("generator", colors.MODEL)):
        for ax, values in zip(axes, (history.losses[name], history.norms[name])):
            ax.plot(range(1, STEPS + 1), values, color=shade, lw=1.2, label=name)
    axes[0].axhline(2 * math.log(2), color=colors.EXACT, ls="--", lw=1.5, label="critic if p = q")
    axes[0].set(title="Losses", xlabel="step", ylabel="nats")
    axes[1].set(title="Gradient norms", xlabel="step", yscale="log")
    axes[0].legend(loc="upper right")
    axes[2].step(list(counts), list(counts.values()), color=colors.MODEL, where="post")
    axes[2].axhline(K, color=colors.EXACT, ls="--", lw=1.5)
    axes[2].set(title="Modes covered", xlabel="step", ylim=(0, K + 0.6))


# %%
one_training()
swing = torch.tensor(history.losses["generator"])
claim("generator's loss over the training: largest over smallest", swing.max() / swing.min(), above=1.5, digits=1)
claim("mean of its last fifth over its first value", swing[-STEPS // 5 :].mean() / swing[0], above=1, digits=1)

# %% [markdown]
# They swing, like the players of chapter 7. At the end the generator's loss is higher than at the start, and no
# feature of the two curves tells how many modes are covered (right). Judge a GAN by its samples, with a test of
# chapter 6.
#
# ## 8.5 Mode collapse
#
# Five GANs now, from five starts, otherwise as before. **Predict:** how many of the eight modes will each of them
# cover? For each we print the number of covered modes, the share of samples that are near a mode, and a permutation
# p-value of the energy distance between 200 samples and 200 new data points.

# %%
learned = {}


def measure(name, data=ring, k=1, momentum=0.9, **options):
    gan = crowd_of(**options)
    for _ in learn(gan, data, k=k, momentum=momentum):
        pass
    samples = of_each(gan.sample(2000 * S)).cpu()
    modes, near = zip(*(count(x, data) for x in samples))
    fresh = data.sample(200)
    tests = [two_sample.test(x[:200], fresh, two_sample.energy, permutations=99).p for x in samples]
    learned[name] = gan, samples, modes, near, tests


measure("nothing added")

# %% jupyter={"source_hidden": true}
# The figure: samples of five GANs
def five_runs(name="nothing added"):
    _, samples, modes, near, tests = learned[name]
    _, axes = plt.subplots(1, S, figsize=(15, 3.5))
    for ax, x, n, close, p in zip(axes, samples, modes, near, tests):
        ax.plot(*ring.means.T, "o", color=colors.EXACT, ms=16, alpha=0.25, mew=0)
        plotting.points(x[:600], ax, color=colors.MODEL, size=6, alpha=0.5)
        ax.set(xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), xticks=[], yticks=[])
        ax.set_title(f"{n} of {K} modes", loc="center", fontsize=14)
        ax.set_xlabel(f"{close:.2f} near one, p = {p:.2f}")


# %%
five_runs()
plain = torch.tensor(learned["nothing added"][2]).double()
if not FULL:  # with more steps some cover all: 8.7
    claim("nothing added: share of the modes that the median of five GANs covers", plain.median() / K, below=0.76, digits=2)
    claim("nothing added: largest p-value of the five", max(learned["nothing added"][4]), below=0.2, digits=2)

# %% [markdown]
# The modes of the data are green. Each generator misses most of them: the median covers a share of 0.38. This is
# **mode collapse**, and the p-value confirms that the samples are not the data. The generator's loss is an average
# over single samples. Each sample climbs to where the critic is high at the moment, wherever the other samples are;
# nothing in that loss asks them to spread.
#
# ## 8.6 The smallest landscape
#
# Why can a collapsed generator not simply move on? Sun, Fang and Schwing (2020) study the smallest case: two data
# points, two generated points, and a critic that may take any value at each place. The generator then minimizes what
# the best critic achieves,
#
# $$ \sup_D \; \tfrac12 \mathbb E_x \log \sigma(D(x)) + \tfrac12 \mathbb E_{\hat x} \log (1 - \sigma(D(\hat x))) . $$
#
# Only coincidences matter to such a critic: does a generated point lie on a data point or not? That leaves four
# states. If both generated points sit on the same data point, the generator is *collapsed*; to become *perfect*, one
# of them has to travel to the other data point, and on the way it is *one off*. The **relativistic** loss
# (Jolicoeur-Martineau, 2019) instead asks whether a data point looks more real than a generated one,
# $\mathbb E \log \sigma(D(x) - D(\hat x))$. The pairs may be fixed ($x_i$ with $\hat x_i$), or every data point may
# meet every generated one.
#
# **Predict.** For which of these losses does the road from collapsed to perfect first go up?

# %%
losses = {
    "Jensen-Shannon": lambda a, b: (softplus(-a) + softplus(b)) / 2,
    "relativistic, fixed pairs": lambda a, b: softplus(b - a),
    "relativistic, all pairs": lambda a, b: softplus(b[:, None] - a),
}
states = {"both off": (7.0, 8.0), "collapsed": (0.0, 0.0), "one off": (0.0, 7.0), "perfect": (0.0, 1.0)}


def best_value(loss, fake, real=(0.0, 1.0)):
    sites, where = torch.tensor([*real, *fake]).unique(return_inverse=True)
    D = torch.zeros(len(sites), dtype=torch.float64, requires_grad=True)  # any number at each place
    search = torch.optim.LBFGS([D], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def paid():
        search.zero_grad()
        (value := loss(D[where[:2]], D[where[2:]]).mean()).backward()
        return value

    search.step(paid)
    return -paid().item()


values = {name: {state: best_value(loss, fake) for state, fake in states.items()} for name, loss in losses.items()}

# %% jupyter={"source_hidden": true}
# The figure: the road from collapsed to perfect
def the_road():
    _, axes = plt.subplots(1, 3, figsize=(14, 3.9), sharey=True)
    for ax, (name, value) in zip(axes, values.items()):
        road = [value[s] for s in ("collapsed", "one off", "perfect")]
        ax.step(range(4), [*road, road[-1]], where="post", color=colors.MODEL, lw=3)
        for k, (words, v) in enumerate(zip(("collapsed", "one off", "perfect"), road)):
            ax.text(k + 0.5, v + 0.03, f"{words}\n{v:.3f}", ha="center", va="bottom", fontsize=12)
        if road[1] > road[0] + 0.01:
            ax.annotate("", (1, road[1]), (1, road[0]), arrowprops={"arrowstyle": "<->", "color": colors.ACCENT, "lw": 2})
            ax.text(1.06, road[0], "barrier", color=colors.ACCENT, va="center", fontweight="bold")
        ax.set(xticks=[], ylim=(-0.76, 0.02), title=name)
    axes[0].set_ylabel("what the best critic leaves")


# %%
the_road()
barrier = lambda name: values[name]["one off"] - values[name]["collapsed"]
for name, truth in (("Jensen-Shannon", math.log(3) / 4 + math.log(1.5) / 2 - math.log(2) / 2), ("relativistic, fixed pairs", 0), ("relativistic, all pairs", math.log(2) / 4)):
    claim(f"{name}: height of the barrier", barrier(name), near=truth, within=1e-3, digits=3)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: all twelve values in closed form
half, crowded = math.log(2), (math.log(1 / 3) / 2 + math.log(2 / 3)) / 2
exact = {
    "Jensen-Shannon": (0, crowded, -half / 2, -half),
    "relativistic, fixed pairs": (0, -half / 2, -half / 2, -half),
    "relativistic, all pairs": (0, -half / 2, -half / 4, -half),
}
for name, row in exact.items():
    for state, truth in zip(states, row):
        claim(f"{name}, {state}", values[name][state], near=truth, within=1e-3, digits=4)

# %% [markdown]
# With the original loss, whose best value is a Jensen-Shannon divergence (6.6), there is a barrier of 0.131: the
# generator would have to get worse before it can get better. Fixed pairs remove it. But in training, batches are
# drawn anew, so over time each data point meets each sample; and with all pairs the barrier is back. We should not
# expect pairing alone to cure collapse. Let us measure.
#
# ## 8.7 Cures, measured the same way
#
# Three well-known cures:
#
# - **WGAN-GP** (Arjovsky et al., 2017; Gulrajani et al., 2017): losses $D(\hat x) - D(x)$ for the critic and
#   $-D(\hat x)$ for the generator. If the slope of $D$ never exceeds 1, the best critic measures the *Wasserstein
#   distance*. To keep the slope near 1, the critic pays $(\lVert \nabla D \rVert - 1)^2$ on points between data and
#   samples. Here it gets $k = 3$ steps.
# - **Spectral normalization** (Miyato et al., 2018): each weight matrix of the critic is divided by its largest
#   singular value, which bounds the slope too.
# - **R3GAN** (Huang et al., 2024): the relativistic loss on random pairs, plus $\frac12 \lVert \nabla D \rVert^2$ on
#   data (R1) and on samples (R2).
#
# R3GAN changes two things at once, so it needs two controls: pairs without penalties, and penalties without pairs. A
# fourth cure comes from chapter 7: **less momentum**. Adam's usual 0.9 becomes 0.5, once with the plain loss and once
# with R3GAN. All rows share networks, data, step size and number of generator steps. **Predict:** which of the eight
# keep all modes?

# %%
measure("pairs alone", loss="relativistic")
measure("R1 + R2 alone", r1=1.0, r2=1.0)
measure("R3GAN", loss="relativistic", r1=1.0, r2=1.0)
measure("spectral norm", spectral=True)
measure("WGAN-GP", loss="Wasserstein", gp=1.0, k=3)
measure("momentum 0.5", momentum=0.5)
measure("R3GAN, momentum 0.5", loss="relativistic", r1=1.0, r2=1.0, momentum=0.5)

# %% jupyter={"source_hidden": true}
# The figure: each cure's median GAN, the modes of all five, and the share near a mode
def eight_ways():
    _, axes = plt.subplots(2, 4, figsize=(14, 8))
    for ax, (name, (_, samples, modes, near, _)) in zip(axes.flat, learned.items()):
        middle = sorted(range(S), key=lambda i: (modes[i], near[i]))[S // 2]
        ax.plot(*ring.means.T, "o", color=colors.EXACT, ms=15, alpha=0.25, mew=0)
        plotting.points(samples[middle][:600], ax, color=colors.MODEL, size=6, alpha=0.5)
        ax.set(xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), xticks=[], yticks=[])
        ax.set_title(name, loc="center")
        ax.set_xlabel(f"modes {' '.join(map(str, modes))}, near {np.mean(near):.2f}")


# %%
eight_ways()
share = {name: np.median(row[2]) / K for name, row in learned.items()}
near = {name: np.mean(row[3]) for name, row in learned.items()}
claim("R3GAN: share of the modes that the median of five GANs covers", share["R3GAN"], above=0.74, digits=2)
claim("R1 + R2 without pairs: the same", share["R1 + R2 alone"], above=0.74, digits=2)
if not FULL:
    claim("pairs without penalties: the same", share["pairs alone"], below=0.7, digits=2)
claim("R3GAN, share of samples near a mode: momentum 0.5 less 0.9", near["R3GAN, momentum 0.5"] - near["R3GAN"], above=0.1, digits=1)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: WGAN-GP; the critic's slope on data
claim("WGAN-GP: share of the modes that the median of five GANs covers", share["WGAN-GP"], above=0.6, digits=2)
if not FULL:
    claim("spectral norm: the same", share["spectral norm"], below=0.8, digits=2)
mean_slope = {}
for name in ("nothing added", "R3GAN"):
    gan = learned[name][0]
    at = ring.sample(200 * S).to(DEVICE).requires_grad_()
    mean_slope[name] = adversarial.slopes(gan.logits(at), at).mean().item()
claim("slope of the critic on data, nothing added over R3GAN", mean_slope["nothing added"] / mean_slope["R3GAN"], above=2, digits=1)

# %% [markdown]
# Read the line below each panel: the modes of each of the five GANs, and the share of samples near a mode. Pairs
# alone lose modes as the plain loss does, as the landscape with all pairs let us expect. Penalties keep them, with
# pairs or without. They flatten the critic on data, which in chapter 7 acted as damping. WGAN-GP keeps the modes as
# well, with its three critic steps; spectral normalization alone does not.
#
# Patience helps too, but not reliably. We trained three times as long (the full profile, seeds 0 and 1): half of ten
# plain GANs then cover all modes, and all ten R3GANs do.
#
# But now look at the dots. With momentum 0.9 the penalized GANs cover all modes with samples that are spread over the
# whole square: a generator can satisfy a count of modes too, and no more than that (6.7). With momentum 0.5, R3GAN
# draws the ring, and in this run so does the plain loss. In chapter 7, momentum drove two players apart. Here it
# matters more than the name of the loss.
#
# ## 8.8 Twenty-five modes
#
# The same on a grid of 5 x 5 bumps, with momentum 0.5. Two latents must be bent around twenty-five modes.
# **Predict:** what does a square grid of latents look like after it has passed through the generator?

# %%
grid_data = toy.target("grid_gaussians")
measure("grid, nothing added", data=grid_data, momentum=0.5)
measure("grid, R3GAN", data=grid_data, momentum=0.5, loss="relativistic", r1=1.0, r2=1.0)

# %% jupyter={"source_hidden": true}
# The figure: the median GAN of each, and the generator's warped grid
@torch.no_grad()
def warped(gan, i, ax, lines=17, most=2.2):
    """Images of straight lines in z under generator i."""
    t = torch.linspace(-most, most, 160)
    for c in torch.linspace(-most, most, lines):
        for pair in (torch.stack([t, c.expand(160)], 1), torch.stack([c.expand(160), t], 1)):
            image = of_each(gan.generate(pair.repeat_interleave(S, 0).to(DEVICE)))[i].cpu()
            ax.plot(*image.T, color=colors.LATENT, lw=0.7, alpha=0.8)


def twenty_five():
    fig, axes = plt.subplots(1, 4, figsize=(15, 4.1))
    for pair, name in zip((axes[:2], axes[2:]), ("grid, nothing added", "grid, R3GAN")):
        gan, samples, modes, near, _ = learned[name]
        middle = sorted(range(S), key=lambda i: (modes[i], near[i]))[S // 2]
        plotting.points(samples[middle][:1500], pair[0], color=colors.MODEL, size=4, alpha=0.5)
        warped(gan, middle, pair[1])
        for ax in pair:
            ax.plot(*grid_data.means.T, "o", color=colors.EXACT, ms=9, alpha=0.3, mew=0)
            ax.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), xticks=[], yticks=[], aspect="equal")
        pair[0].set_title(f"{name.removeprefix('grid, ')}: {modes[middle]} of 25", fontsize=13)
        pair[1].set_title("its map of the plane", fontsize=13)


# %%
twenty_five()
on_grid = {name: torch.tensor(modes).double().median().item() for name, (_, _, modes, *_) in learned.items()}
claim("grid, R3GAN: modes of the median GAN", on_grid["grid, R3GAN"], above=17, digits=2)

# %% [markdown]
# This is 8.1 in two dimensions. The blue lines are straight lines of the latent plane. Where they crowd together the
# map contracts, and samples pile up; where they spread it expands. Both generators reach most or all of the modes,
# and both put many samples between them, where no data are. (`python -m tests.benchmarks gan` trains longer and
# counts modes for five seeds.)
#
# ## 8.9 The critic's landscape over training
#
# What does the generator actually climb? Here is the GAN of 8.4 once more: the critic's logit as a landscape over the
# plane, with the samples on it. Turn it, and move the slider from moment to moment. **Predict:** does the landscape
# come to rest?

# %% jupyter={"source_hidden": true}
# The figure: the critic's logits over the plane at five moments, with the samples on them
def landscapes():
    import plotly.graph_objects as go

    axis = np.linspace(-4.5, 4.5, 41).round(3)
    shown, twin = go.Figure(), plt.figure(figsize=(15, 4.6))
    some = list(lands)[::2]
    for k, (step, (D, x)) in enumerate(lands.items()):
        D, x = D.numpy().round(2), x[(x.abs() < 4.4).all(1)].numpy()
        i, j = ((x.T + 4.5) / 9 * 40).round().astype(int)
        high = D[j, i] + 0.05 * np.ptp(D)
        shown.add_surface(x=axis, y=axis, z=D, colorscale="Cividis", showscale=False, visible=k == 0, name=f"step {step}")
        dots = {"size": 2.5, "color": colors.MODEL}
        shown.add_scatter3d(x=x[:, 0].round(2), y=x[:, 1].round(2), z=high, mode="markers", marker=dots, visible=k == 0, name="samples")
        if step in some:
            ax = twin.add_subplot(1, len(some), some.index(step) + 1, projection="3d", computed_zorder=False)
            ax.plot_surface(*np.meshgrid(axis, axis), D, cmap="cividis", linewidth=0, alpha=0.9)
            ax.scatter(*x.T, high, color=colors.MODEL, s=6, zorder=3)
            ax.set(title=f"critic's logit, step {step}", xticks=[], yticks=[])
            ax.view_init(38, -60)
            ax.set_box_aspect((1, 1, 0.6), zoom=1.1)
    on = lambda k: [i // 2 == k for i in range(2 * len(lands))]
    steps = [{"method": "restyle", "label": f"{s}", "args": ["visible", on(k)]} for k, s in enumerate(lands)]
    shown.update_layout(height=520, margin={"l": 0, "r": 0, "t": 10, "b": 40}, showlegend=False, sliders=[{"steps": steps, "currentvalue": {"prefix": "step "}}])
    shown.update_scenes(xaxis_title="x₁", yaxis_title="x₂", zaxis_title="D", aspectratio={"x": 1, "y": 1, "z": 0.6})
    plotting.turn(shown, twin)


# %%
landscapes()
(early, _), (later, _) = list(lands.values())[-2:]
change = (early - early.mean() - later + later.mean()).abs().mean() / early.std()
claim("landscape: change over the last fifth of the training, in its standard deviations", change, above=0.02, digits=1)

# %% [markdown]
# High ground is where the critic bets on data. It does not come to rest: over the last fifth of the training the
# hills still move, in this run by about as much as their own standard deviation. A generator climbs hills that give
# way under it.
#
# **Play.** The same game, live. The explorer opens trained on the ring with R3GAN. *Before you move "step G":* it
# lets the generator go on alone while the critic stands still. Where will the samples go now? And where would they go
# early in the training?
#
# <details><summary>Answer</summary>
#
# Up the critic's hills. In a trained GAN these stand on the data, and the samples contract onto their tops. Now press
# Train, pause within the first hundred steps, and move "step G" again: all samples leave the data, because a critic
# is right only where it has seen samples. This is why the critic needs its turns. Finally choose the loss "nothing
# added" with momentum 0.9, train anew, and count the modes on the way.

# %%
from gdm_core import explorers

explorers.gan_studio(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 8.10 What to keep, and what is not settled
#
# - A generator is a map from noise to data. It makes density by contracting and expanding, and cannot jump between
#   modes.
# - The critic is the classifier of chapter 6, trained along with the generator. If it were always the best one, the
#   generator would minimize a Jensen-Shannon divergence.
# - Train the non-saturating loss: it pulls hardest where samples are worst.
# - Losses swing and do not measure quality. Test samples, count modes, and look at pictures, all three.
# - Mode collapse: nothing in the generator's loss asks the samples to spread. In our runs gradient penalties and less
#   momentum helped; pairing alone did not.
#
# Honest limits. We compared eight recipes with one pair of networks, short trainings and two toy data sets. A change
# of momentum alone was enough to reorder them, and none of these runs says what happens on pictures. The landscape of
# 8.6 has two points and a critic without limits, and does not describe how a network moves. Above all, a GAN has no
# likelihood: it cannot tell how probable an example is. What it offers is sampling in one step and a free choice of
# architecture. Chapter 8b takes both to digits.
#
# ## References
#
# - Arjovsky, M., Chintala, S., & Bottou, L. (2017). Wasserstein GAN. ICML.
# - Goodfellow, I., et al. (2014). Generative adversarial nets. NeurIPS, fig. 1 and algorithm 1.
# - Gulrajani, I., et al. (2017). Improved training of Wasserstein GANs. NeurIPS, eq. 3.
# - Huang, N., et al. (2024). The GAN is dead; long live the GAN! A modern baseline GAN. NeurIPS.
# - Jolicoeur-Martineau, A. (2019). The relativistic discriminator. ICLR.
# - Miyato, T., et al. (2018). Spectral normalization for generative adversarial networks. ICLR.
# - Srivastava, A., et al. (2017). VEEGAN: reducing mode collapse in GANs using implicit variational learning.
#   NeurIPS.
# - Sun, R., Fang, T., & Schwing, A. (2020). Towards a better global loss landscape of GANs. NeurIPS.
