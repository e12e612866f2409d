# %% [markdown]
# # 11 · Energy and score: densities without their constant
#
# **What can we learn about a density, and how can we sample from it, if we never compute the number that makes it
# integrate to 1?**
#
# After this lecture you can
#
# - turn any function into a density, and say what its normalizing constant costs;
# - derive the gradient of the log-likelihood, data term minus model term, and check it against an exact derivative;
# - write Langevin dynamics, and tell from a density what chains that were too short have taught;
# - learn a score from noisy data alone, and say why one noise level is not enough.
#
# You need: gradients, Gaussians, and the classifier of chapter 6. Time: 55 minutes to read, 30 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "strokes"  # or "mnist": the pictures of 11.8
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import silu, softplus

from gdm_core import colors, data, mcmc, plotting, score_matching, train
from gdm_core.course.claims import claim
from gdm_core.data import ising, toy
from gdm_core.data.targets import Mixture, grid
from gdm_core.models.ebm import EBM
from gdm_core.models.score import NoisyScore
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "mnist"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)
EQUAL = 1e-8  # what "the same to rounding" means here

# %% [markdown]
# ## 11.1 Any function will do, but for one number
#
# A flow keeps the integral of its density at 1 and pays with restricted layers; an autoregressive model keeps it with
# one conditional at a time. What if we drop the demand and allow *any* network? Take any function $e(x)$, call it an
# **energy**, and define the **Boltzmann distribution**
#
# $$ p(x) = \frac{e^{-e(x)}}{Z}, \qquad Z = \int e^{-e(x)}\, dx . $$
#
# Low energy means likely, high energy unlikely. Nothing is asked of $e$ except that $Z$ be finite. Such a model is
# called an **energy-based model**, and $Z$ its **partition function**. In the plane, a sum over small cells is
# accurate enough:

# %%
def energy(x):  # an egg box in a bowl
    return x.square().sum(1) / 3 + 2 * torch.cos(2 * x[:, 0]) * torch.cos(2 * x[:, 1])


def log_Z(energy, cell=0.1):
    points, volumes = grid([-9.0] * 2, [9.0] * 2, cell)
    return (volumes.log() - energy(points)).logsumexp(0)


claim("log Z of the egg box, cells of 0.1", log_Z(energy), near=log_Z(energy, 0.05), within=EQUAL, digits=4, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: the energy as a surface to turn
def egg_box(reach=4.0):
    import plotly.graph_objects as go

    side = np.linspace(-reach, reach, 71)
    X, Y = np.meshgrid(side, side)
    E = energy(torch.tensor(np.stack([X, Y], -1).reshape(-1, 2))).reshape(X.shape).numpy().round(3)
    shown = go.Figure(go.Surface(x=side, y=side, z=E, colorscale="Cividis", showscale=False))
    shown.update_layout(height=480, margin={"l": 0, "r": 0, "t": 10, "b": 0})
    shown.update_scenes(xaxis_title="x₁", yaxis_title="x₂", zaxis_title="e", aspectratio={"x": 1, "y": 1, "z": 0.6})
    twin = plt.figure(figsize=(12, 5))
    ax = twin.add_subplot(1, 2, 1, projection="3d")
    ax.plot_surface(X, Y, E, cmap=colors.FIELD, rcount=71, ccount=71, linewidth=0)
    ax.set(xlabel="x₁", ylabel="x₂", title="Energy: valleys are likely")
    ax.view_init(38, -60)
    ax.set_box_aspect((1, 1, 0.6), zoom=1.1)
    flat = twin.add_subplot(1, 2, 2)
    plotting.field(lambda x: (-energy(x.double()) - log_Z(energy)).exp(), flat, (-reach, reach, -reach, reach))
    flat.set(xlabel="x₁", ylabel="x₂", title="Density: exp(−e) / Z")
    plotting.turn(shown, twin)


# %%
egg_box()

# %% [markdown]
# The plane took $180^2$ cells. A picture of 64 pixels, with as many values for each, would take $180^{64}$: for
# pictures $Z$ is out of reach. We therefore keep one world of pictures that is small enough to be listed: boards of
# $4 \times 4$ pixels, black or white. In the **Ising model** (Ising, 1925) each pair of equal neighbors has the
# energy $-J$, and each pair of different neighbors $+J$. There are $2^{16}$ boards.

# %%
boards = 2.0 * ((torch.arange(2**16)[:, None] >> torch.arange(16)) & 1).double().reshape(-1, 4, 4) - 1  # -1 or 1
pairs = (boards[:, 1:] * boards[:, :-1]).sum((1, 2)) + (boards[:, :, 1:] * boards[:, :, :-1]).sum((1, 2))
J = torch.tensor(0.44, dtype=torch.float64)
log_Z_board = (J * pairs).logsumexp(0)  # e = -J pairs
claim("log Z of the board, J = 0.44", log_Z_board, near=13.6675523842, within=1e-9, digits=4, unit="nats")
claim("bare sum and library: difference", log_Z_board - ising.Ising(4, 0.44).log_z, near=0, within=EQUAL)

# %% [markdown]
# ## 11.2 Data term minus model term
#
# How can we maximize a likelihood that we cannot compute? Learning lowers the mean of $-\log p = e + \log Z$ over the
# data. Both terms depend on the parameters $\theta$. For the derivative of the second, something surprising happens:
#
# $$ \frac{\partial \log Z}{\partial\theta} = \frac1Z \int \frac{\partial e^{-e}}{\partial\theta}\, dx
#  = -\,\mathbb E_p\!\left[\frac{\partial e}{\partial\theta}\right]
# \quad\Longrightarrow\quad
# \nabla_\theta\, \mathbb E[-\log p] = \mathbb E_{\text{data}}[\nabla_\theta\, e] - \mathbb E_{p}[\nabla_\theta\, e] . $$
#
# **Lower the energy where the data are, and raise it where the model's own samples are.** $Z$ is gone; what is needed
# in its place are samples from the model. On the board everything can be computed exactly. Take 1,000 boards drawn at
# $J = 0.44$, and pretend that we do not know $J$.
#
# **Predict before you run.** At which $J$ will data term and model term cancel?

# %%
seen = (2 * ising.Ising(4, 0.44).sample(1000, torch.Generator().manual_seed(SEED)) - 1)[:, 0].double()
data_term = -((seen[:, 1:] * seen[:, :-1]).sum((1, 2)) + (seen[:, :, 1:] * seen[:, :, :-1]).sum((1, 2))).mean()


def slopes(J):
    J = torch.tensor(J, dtype=torch.float64, requires_grad=True)
    loss = J * data_term + (J * pairs).logsumexp(0)  # -log p, exactly
    model_term = -((J * pairs).softmax(0) * pairs).sum()  # E_p[de/dJ]
    return torch.autograd.grad(loss, J)[0].item(), (data_term - model_term).item()


exact, identity = slopes(0.2)
claim("derivative of −log p by J at 0.2, by autograd", exact, below=0, digits=3)
claim("data term minus model term: difference from it", identity - exact, near=0, within=EQUAL)
low, high = 0.0, 1.0
for _ in range(40):  # halve the interval in which both terms cross
    middle = (low + high) / 2
    low, high = (middle, high) if slopes(middle)[1] < 0 else (low, middle)
claim("J at which both terms cancel", low, near=0.44, within=0.06, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: boards of three couplings, and both terms over J
def boards_and_terms():
    fig = plt.figure(figsize=(13, 4.2))
    left, right = fig.subfigures(1, 2, width_ratios=[1.25, 1])
    for ax, coupling in zip(left.subplots(1, 3), (0.0, 0.44, 1.0)):
        x = ising.Ising(4, coupling).sample(16, torch.Generator().manual_seed(SEED))
        plotting.images(x, ax, columns=4)
        ax.set_title(f"J = {coupling:g}", loc="center")
    ax = right.subplots()
    Js = np.linspace(0, 1, 60)
    model = [-((j * pairs).softmax(0) * pairs).sum().item() for j in Js]
    ax.axhline(data_term, color=colors.DATA)
    ax.text(1, data_term + 0.5, "data term", color=colors.DATA, ha="right", fontweight="bold")
    plotting.curve(Js, model, ax, color=colors.EXACT)
    ax.text(0.3, -5, "model term", color=colors.EXACT, fontweight="bold")
    ax.plot(low, data_term, "o", color=colors.ACCENT, ms=11)
    ax.set(xlabel="J of the model", ylabel="mean of ∂e / ∂J", title="They meet at the best J")


# %%
boards_and_terms()

# %% [markdown]
# They cancel at $J = 0.44$, the value that made the data. In general, where both terms agree, the model's samples
# have the same mean slope of the energy as the data, and the likelihood is at a stationary point. For larger pictures
# the model term is no longer a sum that we can carry out. We need samples from $p$, without $Z$.
#
# **Play.** Flip pixels. The probability of one pixel given all others needs no $Z$. Drawing each pixel anew from this
# probability, one after the other, again and again, turns any boards into samples (**Gibbs sampling**; Geman & Geman,
# 1984). *Before you drag:* for which couplings are three sweeps too few?
#
# <details><summary>Answer</summary>
#
# For strong ones. In a block of one color each pixel is held by its neighbors, and with a large $J$ it takes many
# sweeps to turn the block over.

# %%
from gdm_core import explorers

explorers.ising_board(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 11.3 Sampling by a noisy walk downhill
#
# For continuous $x$ there is a sampler that uses the slope of the energy. **Langevin dynamics** takes a step downhill
# and adds noise:
#
# $$ x' = x - h\, \nabla e(x) + \sqrt{2h}\; \epsilon, \qquad \epsilon \sim \mathcal N(0, I) . $$
#
# The gradient of $\log p$ is $-\nabla e$, because a constant has no slope. So a walker that follows it never needs
# $Z$.
#
# **Predict.** Two thousand walkers start at one point of the egg box (we will plot 200). Where will they be after 5,
# 50 and 500 steps?

# %%
def walk(energy, x, h, steps):
    states = [x]
    for _ in range(steps):
        x = x.detach().requires_grad_()
        slope = torch.autograd.grad(energy(x).sum(), x)[0]
        x = (x - h * slope + math.sqrt(2 * h) * torch.randn_like(x)).detach()
        states.append(x)
    return torch.stack(states)


start = torch.full((2000, 2), 3.0).double()
torch.manual_seed(SEED)
states = walk(energy, start, 0.02, 500)
torch.manual_seed(SEED)
ours = torch.stack(list(mcmc.langevin(mcmc.score_of(energy), start, 0.02, 500)))
claim("bare loop and library: largest difference", (states - ours).abs().max(), below=EQUAL)

# %% jupyter={"source_hidden": true}
# The figure: walkers over the density, four times
def walkers(reach=4.0):
    fig, axes = plt.subplots(1, 4, figsize=(15, 4.1), sharey=True)
    for ax, step in zip(axes, (0, 5, 50, 500)):
        plotting.field(lambda x: (-energy(x.double()) - log_Z(energy)).exp(), ax, (-reach, reach, -reach, reach), cmap="Greys")
        plotting.points(states[step, :200], ax, color=colors.MODEL, size=12, alpha=0.8)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        ax.set_title(f"step {step}", loc="center")


# %%
walkers()
points, volumes = grid([-9.0] * 2, [9.0] * 2, 0.1)
exact_energy = ((volumes.log() - energy(points)).softmax(0) * energy(points)).sum()
claim("mean energy under p, by quadrature", exact_energy, above=-2, digits=2, unit="nats")
claim("mean energy of 2,000 walkers after 500 steps", energy(states[-1]).mean(), near=exact_energy, within=0.25, digits=2, unit="nats")

# %% [markdown]
# They forget where they started and fill the valleys, and their mean energy nears the exact one. Two things can go
# wrong. The first is the **step size**. On a unit Gaussian $x' = (1 - h)\,x + \sqrt{2h}\,\epsilon$. A variance that
# stays the same solves $v = (1 - h)^2 v + 2h$, so $v = 1/(1 - h/2)$, which is too large. The remedy is to refuse some
# steps. With the **Metropolis correction** the walker moves to $x'$ with probability
#
# $$ \min\Big(1,\; \frac{p(x')\; q(x \mid x')}{p(x)\; q(x' \mid x)}\Big), \qquad q(b \mid a) = \mathcal N\big(b;\; a - h\nabla e(a),\; 2h I\big), $$
#
# and stays otherwise. $Z$ cancels in the ratio. This is the *Metropolis-adjusted Langevin algorithm* (MALA; Roberts &
# Tweedie, 1996). **Predict:** how will the variance of plain and corrected chains depend on the step size?

# %%
bowl = lambda x: x.square().sum(1) / 2
sizes = torch.tensor([0.05, 0.2, 0.5, 0.8, 1.2])
begin = torch.randn(10_000, 1, dtype=torch.float64)
plain = [mcmc.last(mcmc.langevin(lambda x: -x, begin, h, 40)).var().item() for h in sizes.tolist()]
mended = [mcmc.last(mcmc.corrected(bowl, begin, h, 40)).var().item() for h in sizes.tolist()]
claim("variance of plain chains, h = 0.8", plain[3], near=1 / 0.6, within=0.15, digits=2)
claim("variance of corrected chains, h = 0.8", mended[3], near=1, within=0.08, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: the variance at which chains end
def too_wide():
    _, ax = plt.subplots(figsize=(9, 3.8))
    h = np.linspace(0.01, 1.3, 80)
    ax.plot(h, 1 / (1 - h / 2), color=colors.EXACT, lw=6, alpha=0.35)
    ax.axhline(1, color=colors.EXACT, lw=6, alpha=0.35)
    ax.plot(sizes, plain, "o", color=colors.MODEL, ms=9)
    ax.plot(sizes, mended, "s", color=colors.LATENT, ms=9)
    ax.text(0.75, 2.0, "plain", color=colors.MODEL, fontweight="bold")
    ax.text(1.05, 1.08, "corrected", color=colors.LATENT, fontweight="bold")
    ax.set(xlabel="step size h", ylabel="variance", title="A step too large spreads the walkers")


# %%
too_wide()

# %% [markdown]
# Dots and squares are measured, green lines exact. Plain chains end too wide, and the more so the larger the step;
# corrected chains end at the right variance with any step size shown. The second thing that can go wrong is **time**.
# A walker that has to cross a mountain needs patience. What does a model learn from chains that have none?
#
# ## 11.4 What short chains teach
#
# The data are three bumps with shares 0.5, 0.3 and 0.2. The energy is a network plus a wide bowl, which keeps $Z$
# finite. The loss of one training step, data term minus model term, with a chain in place of exact samples:

# %%
SHARES = [0.5, 0.3, 0.2]
bumps = Mixture([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], std=0.5, weights=SHARES).to(DEVICE)


def bare_loss(model, x, steps, h):
    fake = x  # contrastive divergence: the chain begins at the data (Hinton, 2002)
    for _ in range(steps):
        fake = (fake + h * model.score(fake) + math.sqrt(2 * h) * torch.randn_like(fake)).detach()
    return model.energy(x).mean() - model.energy(fake).mean()


model, x = EBM(2, start="data", steps=3, size=0.02).to(DEVICE), bumps.sample(128)
torch.manual_seed(SEED)
bare = bare_loss(model, x, 3, 0.02)
torch.manual_seed(SEED)
claim("bare loss and library: difference", (bare - model.loss(x)).detach(), near=0, within=1e-5)

# %% [markdown]
# Methods differ in where the chains begin: at **noise**, with 20 steps here; at the **data**, with 1 step
# (*contrastive divergence*); or where the last training step left them, so that they are **kept** (*persistent
# contrastive divergence*; Tieleman, 2008). In the plane we can add a control that uses no chain at all: $\log Z$ by
# quadrature.
#
# **Predict.** Which of them learns the shares of the bumps?

# %%
points, volumes = grid([-6.0] * 2, [6.0] * 2, 0.15)
points, volumes = points.float().to(DEVICE), volumes.float().to(DEVICE)


class ByQuadrature(EBM):
    def loss(self, x):
        return self.energy(x).mean() + (volumes.log() - self.energy(points)).logsumexp(0)


WAYS = {
    "noise, 20 steps": (EBM, {"start": "noise", "steps": 20, "size": 0.02}),
    "data, 1 step": (EBM, {"start": "data", "steps": 1, "size": 0.02}),
    "kept, 20 steps": (EBM, {"start": "kept", "steps": 20, "size": 0.05, "reborn": 0.0}),
    "no chain: quadrature": (ByQuadrature, {}),
}


def learn(kind, options, seed=SEED):
    torch.manual_seed(seed)
    model = kind(2, width=2.5, **options).to(DEVICE)
    steps = 2000 if FULL else 400
    train.fit(model, bumps.sample, steps=steps, batch_size=128, lr=1e-2, rate=train.falling, progress=False)
    return model


learned = {name: learn(*way) for name, way in WAYS.items()}

# %% jupyter={"source_hidden": true}
# Helpers: a learned energy's density by quadrature, its KL from the truth, shares of bumps
true_log_p = bumps.log_prob(points).double()
bump_of = lambda x: torch.cdist(x.double(), bumps.means.double()).argmin(1)


@torch.no_grad()
def log_density(model):
    e = model.energy(points).double()
    return -e - (volumes.double().log() - e).logsumexp(0)


def kl(log_p):
    return (volumes.double() * true_log_p.exp() * (true_log_p - log_p)).sum().item()


def mass(log_p):
    zero = torch.zeros(3, dtype=torch.float64, device=points.device)
    return zero.index_add_(0, bump_of(points), volumes.double() * log_p.exp())


torch.manual_seed(SEED)
densities = {name: log_density(model) for name, model in learned.items()}
walked = {name: model.sample(2000, steps=20) for name, model in learned.items()}
shares = lambda x: bump_of(x).bincount(minlength=3).double() / len(x)


# The figure: data, then for each way 20-step samples from noise above, the density that the energy means below
def four_ways():
    fig, axes = plt.subplots(2, 5, figsize=(15, 6.6))
    extent, side = (-4.5, 4.5, -4.5, 4.5), round(len(points) ** 0.5)
    plotting.points(bumps.sample(600), axes[0, 0], size=6)
    axes[1, 0].imshow(true_log_p.exp().reshape(side, side).T.cpu(), origin="lower", extent=(-6, 6, -6, 6), cmap=colors.FIELD)
    axes[0, 0].set_title("data", loc="center", fontsize=14)
    axes[0, 0].set_ylabel("20 steps from noise")
    axes[1, 0].set_ylabel("density")
    for (above, below), name in zip(axes.T[1:], learned):
        plotting.points(walked[name][:600], above, color=colors.MODEL, size=6)
        p = densities[name].exp().reshape(side, side).T.cpu()
        below.imshow(p, origin="lower", extent=(-6, 6, -6, 6), cmap=colors.FIELD)
        above.set_title(name, loc="center", fontsize=14)
        below.set_title(f"KL {kl(densities[name]):.2f} nats", loc="center", fontsize=13, fontweight="normal")
    for ax in axes.flat:
        ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])


# %%
four_ways()
claim("from noise: share of the largest bump among 20-step samples", shares(walked["noise, 20 steps"])[0], near=0.5, within=0.12, digits=1)
claim("from noise: its share under the density that was learned", mass(densities["noise, 20 steps"])[0], above=0.9, digits=1)
claim("kept: KL of data and model", kl(densities["kept, 20 steps"]), below=1.2, digits=1, unit="nats")
claim("quadrature: KL of data and model", kl(densities["no chain: quadrature"]), below=0.08, digits=1, unit="nats")

# %% [markdown]
# Top: samples after 20 steps from noise. Bottom: the density $e^{-e}/Z$, by quadrature, with its KL divergence from
# the data. Look at the first method, "noise". Its 20-step samples are right, yet its density is wrong: nearly all
# mass sits on one bump. The loss only ever saw where 20 steps lead. So the network has learned a *map* that carries
# noise to data in 20 steps, and not an energy (*short-run MCMC*; Nijkamp et al., 2019). The number of steps is part
# of such a model.
#
# With chains that start at the data, the failure is another. A chain that starts in a bump stays there. So both terms
# count each bump with its share in the data, whatever the model believes, and nothing pulls the model's shares toward
# the right ones. To test this, we train from four seeds and ask each model for its share of the first bump.

# %%
ways_to_half = [mass(log_density(learn(*WAYS["data, 1 step"], seed=SEED + k)))[0].item() for k in range(4)]
claim("data, 1 step: spread of the share of the first bump over four seeds", max(ways_to_half) - min(ways_to_half), above=0.1, digits=1)
claim("and its largest distance from a half", max(abs(share - 0.5) for share in ways_to_half), above=0.1, digits=1)
claim("no chain: that share", mass(densities["no chain: quadrature"])[0], near=0.5, within=0.1, digits=1)

# %% [markdown]
# The shares of the four models differ by up to 0.7, and one of them is 0.4 away from the truth. The control without a
# chain gets 0.5. Of the methods with chains, the kept ones come closest to the data here, with a KL divergence of
# 0.03 nats.
#
# **Play.** Drop walkers on energies that we know. *Before you drag:* above which step size do walkers on the moons
# run off to infinity, and what does the correction do there?
#
# <details><summary>Answer</summary>
#
# When $h$ exceeds about twice the squared width of a valley, a step downhill overshoots and ends higher than it
# began. The correction refuses such steps: nobody runs off, but hardly anybody moves.

# %%
explorers.energy_landscape(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 11.5 A classifier is an energy
#
# Chains are slow. Can we train an energy without any? By 6.6 the best classifier between data and draws of a known
# density $q$ has the logit $\log p(x) - \log q(x)$. Turn this around, as **noise-contrastive estimation** does
# (Gutmann & Hyvärinen, 2010): define the logit as $-e(x) - c - \log q(x)$ with a learnable number $c$, and train it
# as a classifier. At the optimum $e + c = -\log p$. **Predict:** which number has $c$ become?

# %%
torch.manual_seed(SEED)
model, c = EBM(2, width=2.5).to(DEVICE), nn.Parameter(torch.zeros((), device=DEVICE))
q = torch.distributions.MultivariateNormal(torch.zeros(2, device=DEVICE), 6.25 * torch.eye(2, device=DEVICE))
optimizer = torch.optim.Adam([*model.network.parameters(), c], 1e-2)
steps = 4000 if FULL else 800
for i in range(steps):
    optimizer.param_groups[0]["lr"] = 1e-2 * train.falling(i / steps)
    real, fake = bumps.sample(256), q.sample((256,))
    logit = lambda x: -model.energy(x) - c - q.log_prob(x)
    loss = softplus(-logit(real)).mean() + softplus(logit(fake)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
with torch.no_grad():
    truth = (volumes.log() - model.energy(points)).logsumexp(0)
claim("log Z by quadrature, less the c that the classifier learned", (truth - c).detach(), near=0, within=0.15, digits=1, unit="nats")
claim("KL of data and the classifier's density", kl(log_density(model)), below=0.08, digits=1, unit="nats")

# %% [markdown]
# It has become $\log Z$, within 0.04 nats, without a chain and without an integral. The price is a $q$ that must
# cover the data, which is hard for pictures.
#
# What about an ordinary classifier with classes $y$? Its logits $f_y(x)$ define $p(y \mid x)$ by a softmax. If we add
# any function $g(x)$ to all logits, $p(y \mid x)$ stays the same, but $\log \sum_y e^{f_y(x)}$ grows by $g(x)$. So
# training as a classifier leaves one function of $x$ free. It can serve as minus an energy of $x$, learned beside the
# classes (Grathwohl et al., 2020).

# %%
f, g = torch.randn(5, 3).double(), torch.randn(5, 1).double()
claim("softmax of f + g and of f: largest difference", ((f + g).softmax(1) - f.softmax(1)).abs().max(), below=EQUAL)
claim("log-sum of f + g less that of f less g: largest", ((f + g).logsumexp(1) - f.logsumexp(1) - g[:, 0]).abs().max(), below=EQUAL)

# %% [markdown]
# ## 11.6 The score
#
# Langevin dynamics never used $e$ itself, only its slope. So let us learn the slope directly. The **score**
# $s(x) = \nabla \log p(x)$ is a vector at each place that points uphill, and no constant appears in it. The loss that
# we would like to minimize needs the unknown $p$:
#
# $$ \tfrac12\, \mathbb E\, \lVert s(x) - \nabla \log p(x) \rVert^2 . $$
#
# There are two ways around this. **Implicit score matching** (Hyvärinen, 2005) integrates by parts, which leaves
# $\mathbb E\big[\tfrac12 \lVert s \rVert^2 + \operatorname{tr} \nabla s\big]$ and a constant. **Denoising score
# matching** (Vincent, 2011) adds noise to the data, $\tilde x = x + \sigma\epsilon$, and learns the score of the
# noisy density $p_\sigma$. That unknown score may be replaced by a target that we know, computed from the noise of
# one example:
#
# $$ \nabla \log p_\sigma(\tilde x) = \mathbb E\Big[{-\frac{\epsilon}{\sigma}} \;\Big|\; \tilde x\Big]
# \quad\Longrightarrow\quad \tfrac12\, \mathbb E\, \Big\lVert s(\tilde x) + \frac{\epsilon}{\sigma} \Big\rVert^2
# = \tfrac12\, \mathbb E\, \lVert s(\tilde x) - \nabla \log p_\sigma(\tilde x) \rVert^2 + \text{constant} . $$
#
# The second step is an old fact about regression: with a noisy target, least squares finds the target's mean. Two
# losses that are equal up to a constant have equal gradients, and this we can check exactly. Let the data be four
# points, so that $p_\sigma$ is a mixture of four Gaussians with a known score, and replace means by integrals.

# %%
four = torch.tensor([[0.0, 1.0], [1.5, -0.5], [-1.0, -1.0], [0.2, 0.3]]).double()
blurred = Mixture(four, std=0.6).double()
where, cells = blurred.quadrature()
p = cells * blurred.log_prob(where).exp()
torch.manual_seed(SEED)
net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2)).double()


def gradient(loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [net[0].weight, net[0].bias, net[2].weight])])


wanted = score_matching.explicit(net, where, blurred.score(where)) @ p
by_parts = score_matching.implicit(net, where) @ p
by_noise = 0.0
for x in four:  # each data point with its own noise, weighed with N(tilde x; x, sigma^2) / 4
    weight = cells * torch.distributions.Normal(x, 0.6).log_prob(where).sum(1).exp() / 4
    by_noise = by_noise + (net(where) + (where - x) / 0.6**2).square().sum(1) @ weight / 2

# %%
wanted, by_parts, by_noise = (gradient(loss) for loss in (wanted, by_parts, by_noise))
claim("largest entry of the gradient of the loss that knows the truth", wanted.abs().max(), above=0.01, digits=2)
claim("by parts: largest difference from that gradient", (by_parts - wanted).abs().max(), below=1e-6)
claim("by noise: largest difference from that gradient", (by_noise - wanted).abs().max(), below=1e-6)

# %% [markdown]
# All three losses have the same gradient. Integration by parts costs a backward pass for each dimension. Noise costs
# nothing, but teaches $p_\sigma$ in place of $p$. As a gift, the score also denoises: the mean of the clean example
# is $\mathbb E[x \mid \tilde x] = \tilde x + \sigma^2\, \nabla \log p_\sigma(\tilde x)$, which is known as
# **Tweedie's formula** (Robbins, 1956).
#
# ## 11.7 Every noise level at once
#
# Which $\sigma$ should we take? It will turn out that we need many (the end of this section shows why), so one
# network $s(x, \sigma)$ learns them all (Song & Ermon, 2019). Noise turns a mixture of Gaussians into another
# mixture, whose variances are larger by $\sigma^2$. So on our three bumps the exact score is known at *every* level,
# and we can hold the network against it. Its loss, bare and from the library:

# %%
torch.manual_seed(SEED)
scores = NoisyScore(2, largest=3.0).to(DEVICE)
x = bumps.sample(256)


def bare_score_loss(x):
    t = 0.05 + 0.95 * torch.rand(len(x), device=x.device)
    sigma, noise = (3.0 * t**3)[:, None], torch.randn_like(x)
    missed = scores.score_at(x + sigma * noise, sigma[:, 0]) + noise / sigma
    return (sigma**2 * (1 + sigma**2) * missed.square() / 2).sum(1).mean()  # else small levels drown the rest


torch.manual_seed(SEED)
bare = bare_score_loss(x)
torch.manual_seed(SEED)
claim("bare loss and library: difference", (bare - scores.loss(x)).detach(), near=0, within=1e-4)
train.fit(scores, bumps.sample, steps=5000 if FULL else 1200, batch_size=256, lr=5e-3, rate=train.falling, progress=False);

# %% jupyter={"source_hidden": true}
# The figure: exact and learned arrows at three levels, and the error over all
@torch.no_grad()
def share_missed(sigma, n=4000):
    noisy = bumps.noisy(sigma)
    x = noisy.sample(n)
    exact = noisy.score(x)
    return ((scores.score_at(x, sigma) - exact).square().sum() / exact.square().sum()).sqrt().item()


torch.manual_seed(SEED)
sigmas = np.geomspace(0.1, 3, 12)
missed = {sigma: share_missed(sigma) for sigma in (0.1, 0.5, 2.0)}
over_levels = [share_missed(s) for s in sigmas]


@torch.no_grad()
def score_fields(reach=4.0):
    fig, axes = plt.subplots(1, 4, figsize=(16, 4.2), width_ratios=[1, 1, 1, 1.15])
    at = plotting.grid((-3.6, 3.6, -3.6, 3.6), 11).to(DEVICE)
    for ax, sigma in zip(axes, missed):
        noisy = bumps.noisy(sigma)
        plotting.field(lambda x: noisy.log_prob(x.to(DEVICE)).exp(), ax, (-reach, reach, -reach, reach), cmap="Greys")
        for score, color, width in ((noisy.score(at), colors.EXACT, 0.014), (scores.score_at(at, sigma), colors.MODEL, 0.006)):
            way = sigma * score.cpu()
            length = way.norm(dim=1, keepdim=True)
            way = way / length * 0.65 * torch.tanh(length)
            ax.quiver(*at.cpu().T, *way.T, color=color, width=width, angles="xy", scale_units="xy", scale=1, headwidth=2.6, headlength=3, headaxislength=3)
        ax.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
        ax.set_title(f"σ = {sigma:g}", loc="center")
    plotting.curve(sigmas, [100 * m for m in over_levels], axes[3])
    axes[3].set(xscale="log", ylim=(0, None), xlabel="noise level σ", ylabel="%", title="error of the learned score")


# %%
score_fields()
claim("error of the learned score at σ = 2, as a share of the exact one", missed[2.0], below=0.1, digits=1)
claim("error of the learned score at σ = 0.1", missed[0.1], below=0.5, digits=1)

# %% [markdown]
# Exact arrows are green, learned ones vermilion; where data are common they nearly coincide. The panel at the right
# shows the error at each level, as a percentage of the exact score: small for much noise, larger for little. One
# reason may be that with little noise the target $-\epsilon/\sigma$ has a large variance, $1/\sigma^2$; we did not
# test it.
#
# **Play.** Move the noise level and drag $x$. *Before you drag:* from which level on does every arrow in the picture
# feel all three bumps?
#
# <details><summary>Answer</summary>
#
# At about half the distance between them. At $\sigma = 2$ a single valley is left, and all arrows lead into it.

# %%
explorers.score_field(seed=SEED, device=DEVICE)

# %% [markdown]
# ### Why one level is not enough
#
# Take the *exact* score at a low noise level, $\sigma = 0.1$, and let 2,000 walkers start far out. No network is
# involved, so no error of learning can be blamed. **Predict.** Which shares of the bumps will they find?
#
# As a remedy, **annealed Langevin dynamics** (Song & Ermon, 2019) starts at the largest level, where one valley leads
# everywhere, walks some steps, and then lowers the level again and again, with step sizes $h \propto \sigma^2$. The
# walkers settle while the bumps emerge.

# %%
levels = np.geomspace(3, 0.1, 12).tolist()
exact_at = {s: bumps.noisy(s).score for s in levels}
nearest = lambda sigma: min(levels, key=lambda s: abs(s - sigma.item()))
torch.manual_seed(SEED)
far = 3 * torch.randn(2000, 2, device=DEVICE)
with torch.no_grad():
    ends = {
        "one level, exact": mcmc.last(mcmc.langevin(exact_at[levels[-1]], far, 0.02, 240)),
        "annealed, exact": mcmc.last(mcmc.annealed(lambda x, s: exact_at[nearest(s)](x), far, levels, steps=20)),
        "annealed, learned": mcmc.last(mcmc.annealed(scores.score_at, far, levels, steps=20)),
    }

# %% jupyter={"source_hidden": true}
# The figure: where walkers end, with the share of each bump
def three_ends():
    fig, axes = plt.subplots(1, 4, figsize=(15, 4.2))
    for ax, (name, x) in zip(axes, {"data": bumps.sample(2000), **ends}.items()):
        plotting.points(x[:800], ax, size=6, color=colors.DATA if name == "data" else colors.MODEL)
        for place, share in zip(bumps.means.cpu(), shares(x)):
            ax.text(place[0], place[1] - 1.9, f"{share:.2f}", ha="center", fontsize=14, fontweight="bold", color=colors.DATA)
        ax.set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[])
        ax.set_title(name, loc="center", fontsize=14)


# %%
three_ends()
claim("one level: share of the largest bump", shares(ends["one level, exact"])[0], near=1 / 3, within=0.07, digits=2)
claim("annealed, exact: share of the largest bump", shares(ends["annealed, exact"])[0], near=0.5, within=0.08, digits=1)
claim("annealed, learned: share of the largest bump", shares(ends["annealed, learned"])[0], near=0.5, within=0.15, digits=1)

# %% [markdown]
# With one low level each walker ends in the bump whose basin it started in. That gives about a third each, although
# the score was exact. Within one bump, the bump's share is only a constant factor of the density, and a constant
# factor has no slope. The score can show shares only where bumps overlap, and that is at large $\sigma$. Annealed
# walkers get the shares about right, with the exact score and with the learned one.
#
# ## 11.8 Pictures
#
# Does this work for pictures? We run annealed Langevin dynamics on $28 \times 28$ pixels twice, from the same noise.
# Above, the score is a network that was trained on 1,900 threes and sevens. Below, it is the *exact* score of those
# 1,900 pictures plus noise, that is, of a mixture of 1,900 Gaussians.
#
# **Predict.** Which row will look better, and what is wrong with it?

# %% jupyter={"source_hidden": true}
# The network: down, across and up again, told the noise level
class UNet(nn.Module):
    def __init__(self, w=12, middle=256):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(2, w, 4, 2, 1), nn.Conv2d(w + 1, 2 * w, 4, 2, 1)])
        self.across = nn.Sequential(nn.Flatten(), nn.Linear(98 * w, middle), nn.SiLU(), nn.Linear(middle, 98 * w), nn.SiLU())
        self.up = nn.ModuleList([nn.ConvTranspose2d(4 * w + 1, w, 4, 2, 1), nn.ConvTranspose2d(2 * w + 1, 1, 4, 2, 1)])

    def forward(self, x, t):
        told = lambda *h: torch.cat([*h, t[:, None, None, None].expand(-1, 1, *h[0].shape[2:])], 1)
        a = silu(self.down[0](told(x)))
        b = silu(self.down[1](told(a)))
        c = silu(self.up[0](told(self.across(b).reshape(b.shape), b)))
        return self.up[1](told(c, a))


# %%
found = data.load("strokes", n=10_000) if DATASET == "strokes" else data.load("mnist", "test")
pictures = found.x[torch.isin(found.labels, torch.tensor([3, 7]))][:1900].to(DEVICE)
unit = (pictures - 0.15) * 2.5  # about unit size
torch.manual_seed(SEED)
drawn = NoisyScore((1, 28, 28), largest=8.0, network=UNet()).to(DEVICE)
steps = 6000 if FULL else 600
train.fit(drawn, unit, steps=steps, batch_size=64, lr=5e-3, rate=train.falling, progress=False)


def of_the_pictures(x, sigma):  # exact: each picture pulls with p(k | x)
    pull = (-torch.cdist(x.flatten(1), unit.flatten(1)).square() / (2 * sigma**2)).softmax(1)
    return ((pull @ unit.flatten(1)).reshape(x.shape) - x) / sigma**2


picture_levels = np.geomspace(8, 0.1, 16).tolist()
torch.manual_seed(SEED)
noise = torch.randn(16 * 6 + 1, 8, 1, 28, 28, device=DEVICE)
films = {}
with torch.no_grad():
    for name, score in {"learned": drawn.score_at, "exact": of_the_pictures}.items():
        run = mcmc.annealed(score, 8 * noise[-1], picture_levels, steps=6, noise=lambda i: noise[i])
        films[name] = list(run)

# %% jupyter={"source_hidden": true}
# The figure: eight walkers at six moments, learned and exact
def two_films(moments=(0, 36, 54, 66, 78, 96)):
    fig, axes = plt.subplots(2, 1, figsize=(13, 5.4))
    for ax, (name, states) in zip(axes, films.items()):
        score = drawn.score_at if name == "learned" else of_the_pictures
        rows = [states[m] for m in moments[:-1]]
        with torch.no_grad():
            rows.append(states[-1] + 0.01 * score(states[-1], torch.tensor(0.1, device=DEVICE)))  # x + sigma^2 score
        sheet = torch.stack(rows, 1)[:4].flatten(0, 1)
        plotting.images(sheet / 2.5 + 0.15, ax, columns=12)
        ax.set_title(f"{name}: from noise to a digit, four times", loc="left")


@torch.no_grad()
def nearest_picture(x):
    return torch.cdist(x.flatten(1), unit.flatten(1)).amin(1)


# %%
two_films()
apart = {name: nearest_picture(states[-1]) for name, states in films.items()}
noise_alone = 0.1 * 28  # the length of noise of level 0.1 in 784 pixels
claim("exact: largest distance to the nearest of the 1,900 pictures", apart["exact"].max(), near=noise_alone, within=0.6, digits=1)
claim("learned: smallest distance to any of them", apart["learned"].min(), above=2 * noise_alone, digits=1)

# %% [markdown]
# The exact row looks perfect and is useless: every walker ends at a copy of one of the 1,900 pictures, no further
# from it than the last noise is long. The exact score belongs to a finite collection of pictures, so its samples are
# that collection. The network was trained on the same pictures, but *misses* that score, and it draws pictures that
# are not among them. Why such an error generalizes is the question of chapter 12b.
#
# ## 11.9 The likelihood comes back
#
# A score contains no constant, so one might think that log-likelihoods are lost. They are not: they can be recovered
# from how well one denoises at all levels. Write noisy data as $z = \sqrt\gamma\, x + \epsilon$ with the
# **signal-to-noise ratio** $\gamma$, and for one $x$ let
# $\text{mmse}(x, \gamma) = \mathbb E\, \lVert x - \mathbb E[x \mid z] \rVert^2$ be the error of the best denoiser.
# Then the **I-MMSE relation** (Guo, Shamai & Verdú, 2005; Kong et al., 2023) says
#
# $$ -\log p(x) = \frac d2 \log(2\pi e) - \frac12 \int_0^\infty \Big[ \frac{d}{1 + \gamma} - \text{mmse}(x, \gamma) \Big]\, d\gamma . $$
#
# The first term in the bracket is the error of the best denoiser for a unit Gaussian, averaged over its draws, and
# $\frac d2 \log (2\pi e)$ is the mean of $-\log p$ there. An $x$ that is easier to denoise than these draws are is
# also more likely than they are on average. **Predict:** does the formula hold to the last digit on three bumps, or
# only roughly?

# %%
line = toy.target("trimodal").double()
xs = torch.linspace(-4, 4, 81, dtype=torch.float64)
nodes, weights = np.polynomial.hermite_e.hermegauss(120)  # means over epsilon
nodes, weights = torch.tensor(nodes), torch.tensor(weights / weights.sum())


def mmse(gamma):
    z = gamma**0.5 * xs[:, None] + nodes  # (81, 120)
    noisy = line.noisy(1.0, gamma.sqrt().item())
    mean = (z + noisy.score(z.reshape(-1, 1)).reshape(z.shape)) / gamma**0.5  # Robbins' line, solved for E[x | z]
    return (xs[:, None] - mean).square() @ weights


log_gamma = torch.linspace(-18, 18, 700, dtype=torch.float64)
bracket = torch.stack([1 / (1 + g) - mmse(g) for g in log_gamma.exp()])  # (700, 81)
area = torch.trapezoid(bracket * log_gamma.exp()[:, None], log_gamma, dim=0)
from_denoising = 0.5 * math.log(2 * math.pi * math.e) - area / 2
exact_nll = -line.log_prob(xs[:, None])

# %% jupyter={"source_hidden": true}
# The figure: -log p from denoising and exact, and for three x where the nats come from
def nats_from_denoising():
    _, axes = plt.subplots(1, 2, figsize=(13, 4))
    axes[0].plot(xs, exact_nll, color=colors.EXACT, lw=7, alpha=0.35)
    axes[0].plot(xs, from_denoising, color=colors.MODEL, lw=2)
    axes[0].set(xlabel="x", ylabel="−log p(x), nats", title="Exact, and from denoising alone")
    for i, shade in zip((16, 42, 48), colors.COMPONENTS):
        axes[1].plot(log_gamma / math.log(10), bracket[:, i] * log_gamma.exp() / 2, color=shade, label=f"x = {xs[i] + 0.0:.1f}".replace("-", "−"))
    axes[1].axhline(0, color=colors.NOISE, lw=1)
    axes[1].set(xlim=(-3, 4), xlabel="log₁₀ of the signal-to-noise ratio γ", ylabel="nats a unit of log γ", title="Nats from each noise level")
    axes[1].legend()


# %%
nats_from_denoising()
claim("−log p from denoising and exact: largest difference", (from_denoising - exact_nll).abs().max(), below=1e-3, unit="nats")

# %% [markdown]
# Left: the exact $-\log p(x)$, and the one recovered from denoising; they agree to less than a millionth of a nat.
# Right: for three $x$, which noise levels contribute. To denoise at every level *is* to know the density. Chapter 12
# starts here, with noise that is added by a process in time, and pictures that are drawn by running it backward.
#
# ## 11.10 What to keep, and what is not settled
#
# - Any function is an energy, and $e^{-e}/Z$ a density. $Z$ is out of reach, but its gradient is a mean over the
#   model's samples.
# - Learning lowers the energy of data and raises that of the model's samples. Short chains teach something else: a
#   map from noise to data, or bumps with arbitrary shares.
# - Langevin dynamics samples with the slope alone. Large steps bias it (Metropolis corrects this), and mountains slow
#   it down.
# - Noise-contrastive estimation learns $\log Z$ as one more parameter of a classifier.
# - The score $\nabla \log p$ has no constant. Denoising learns it, for a noisy density; many noise levels tell
#   walkers which bump weighs how much.
# - The exact score of a finite data set only copies that set.
#
# Honest limits. Our targets lie in the plane, where quadrature can judge. Energies of pictures are trained with the
# same loss, but with chains of unknown quality and a $Z$ that nobody can look up. Four training runs of one method
# show a spread, not a law. The pictures of 11.8 come from a very short training; what a good network does is the
# subject of chapter 12.
#
# ## References
#
# - Du, Y., & Mordatch, I. (2019). Implicit generation and modeling with energy-based models. NeurIPS.
# - Geman, S., & Geman, D. (1984). Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images.
#   IEEE Transactions on Pattern Analysis and Machine Intelligence.
# - Grathwohl, W., et al. (2020). Your classifier is secretly an energy based model and you should treat it like one.
#   ICLR.
# - Guo, D., Shamai, S., & Verdú, S. (2005). Mutual information and minimum mean-square error in Gaussian channels.
#   IEEE Transactions on Information Theory.
# - Gutmann, M., & Hyvärinen, A. (2010). Noise-contrastive estimation. AISTATS.
# - Hinton, G. (2002). Training products of experts by minimizing contrastive divergence. Neural Computation.
# - Hyvärinen, A. (2005). Estimation of non-normalized statistical models by score matching. JMLR, eq. 4.
# - Kong, X., Brekelmans, R., & Ver Steeg, G. (2023). Information-theoretic diffusion. ICLR.
# - Nijkamp, E., et al. (2019). Learning non-convergent non-persistent short-run MCMC toward energy-based model.
#   NeurIPS.
# - Robbins, H. (1956). An empirical Bayes approach to statistics. Berkeley Symposium.
# - Roberts, G., & Tweedie, R. (1996). Exponential convergence of Langevin distributions and their discrete
#   approximations. Bernoulli.
# - Song, Y., & Ermon, S. (2019). Generative modeling by estimating gradients of the data distribution. NeurIPS,
#   alg. 1.
# - Tieleman, T. (2008). Training restricted Boltzmann machines using approximations to the likelihood gradient. ICML.
# - Vincent, P. (2011). A connection between score matching and denoising autoencoders. Neural Computation.
