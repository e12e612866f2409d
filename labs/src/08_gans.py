# %% [markdown]
# # 8 · GANs by hand
#
# **What do the two networks of a GAN minimize, which of them gets which information, and how many modes did we really
# get?** You write the moving parts of [lecture 8](../lectures/08_gans.ipynb): both losses, the pull on the generator,
# the penalties of WGAN-GP and of R3GAN, a turn of training, the conditional GAN of [lecture
# 8b](../lectures/08b_gans_on_pictures.ipynb), and an honest count of modes. Time: 90 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import to_hex
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from gdm_core import colors, data, plotting
from gdm_core.checks import lab08 as check
from gdm_core.networks import mlp

torch.manual_seed(0)
plotting.use_style()
ring = data.load("eight_gaussians", n=2).density
EXTENT = (-4.5, 4.5, -4.5, 4.5)


class Told(nn.Module):
    """A small network of (B, inputs) and one-hot labels (B, classes)."""

    def __init__(self, inputs, classes, out):
        super().__init__()
        self.net = mlp(inputs + classes, (48, 48), out, activation=nn.SiLU)

    def forward(self, x, label):
        return self.net(torch.cat([x, label.to(x)], 1)).squeeze(1)


def critic_of_two_clouds(penalty, steps=150):
    """A critic that learned to tell two clouds apart, and what it paid for its slopes."""
    torch.manual_seed(1)
    real, fake = 0.5 * torch.randn(128, 2) + 1.2, 0.5 * torch.randn(128, 2) - 1.2
    critic = nn.Sequential(mlp(2, (32, 32), 1, activation=nn.SiLU), nn.Flatten(0))
    adam = torch.optim.Adam(critic.parameters(), 0.01)
    for _ in range(steps):
        adam.zero_grad()
        penalty(critic, real, fake).backward()
        adam.step()
    return critic, real, fake


def fields(penalties):
    _, axes = plt.subplots(1, len(penalties), figsize=(5 * len(penalties), 4.2))
    for ax, (name, penalty) in zip(axes, penalties.items()):
        critic, real, fake = critic_of_two_clouds(penalty)
        plotting.field(critic, ax, EXTENT, cmap=colors.DIVERGING, vmin=-6, vmax=6)
        plotting.points(real, ax, color=colors.DATA, size=4)
        plotting.points(fake, ax, color=colors.MODEL, size=4)
        ax.set(xlim=EXTENT[:2], ylim=EXTENT[2:], xticks=[], yticks=[])
        ax.set_title(name, loc="center")

# %% [markdown] exercise={"name": "pays", "difficulty": 1, "importance": 5, "minutes": 10}
# ## Exercise 1 · What both pay
#
# The critic answers with a logit $D$; $\sigma(D)$, with $\sigma(a) = 1/(1 + e^{-a})$, is its probability that an example is
# data. Both players **minimize** their loss (Goodfellow et al., 2014), averaged over the examples:
#
# $$ \text{critic: } -\log \sigma(D(x)) - \log\big(1 - \sigma(D(G(z)))\big), \qquad
# \text{generator: } \underbrace{\log\big(1 - \sigma(D(G(z)))\big)}_{\text{minimax}} \text{ or }
# \underbrace{-\log \sigma(D(G(z)))}_{\text{non-saturating}} . $$
#
# Logits may be as large as 300.
#
# <details><summary>Hint 1: one function for all</summary>
#
# $-\log \sigma(a) = \log(1 + e^{-a})$ is `softplus(-a)`.
#
# </details>
# <details><summary>Hint 2: the other logarithm</summary>
#
# $1 - \sigma(a) = \sigma(-a)$, so $-\log(1 - \sigma(a))$ is `softplus(a)`.
#
# </details>

# %%
def pays(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the critic pays, and the generator: minimax, non-saturating; () each.

    real: (B,) logits on data; fake: (B,) logits on samples.
    """
    ### BEGIN SOLUTION
    critic = softplus(-real).mean() + softplus(fake).mean()
    return critic, -softplus(fake).mean(), softplus(-fake).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def over_the_logit(pays):
    a = torch.linspace(-6, 6, 100)
    paid = torch.tensor([[float(v) for v in pays(one, one)[1:]] for one in a[:, None]])
    fig, ax = plt.subplots(figsize=(7, 3.4))
    for k, (name, color) in enumerate((("minimax", colors.MODEL), ("non-saturating", colors.LATENT))):
        plotting.curve(a, paid[:, k], ax, color=color)
        ax.plot([], [], color=color, label=name)
    ax.legend()
    ax.set(xlabel="logit of a sample", ylabel="the generator pays", title="Flat on opposite sides")

# %% tags=["check"]
check.pays(pays, show=over_the_logit)

# %% [markdown] exercise={"name": "pull", "difficulty": 1, "importance": 4, "minutes": 6}
# ## Exercise 2 · How hard the generator is pulled
#
# Early in training the critic is certain that samples are fake, say $D(G(z)) = -8$. How much does the generator still
# learn? It follows the derivative of its loss with respect to the logit $a$,
#
# $$ \frac{d}{da} \log(1 - \sigma(a)) \qquad \text{and} \qquad \frac{d}{da} \big({-\log \sigma(a)}\big) . $$
#
# Predict before you run: which of the two is about zero at $a = -8$?
#
# <details><summary>Hint 1: the slope of s</summary>
#
# $\sigma'(a) = \sigma(a)\,(1 - \sigma(a))$, and one of the two factors cancels.
#
# </details>
# <details><summary>Hint 2: signs</summary>
#
# Both losses fall as $a$ grows: both slopes are negative.
#
# </details>

# %%
def pull(a: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of the minimax and of the non-saturating loss.  a: (B,) logits of samples -> (B,), (B,)."""
    ### BEGIN SOLUTION
    return -torch.sigmoid(a), torch.sigmoid(a) - 1
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def how_hard(pull):
    a = torch.linspace(-10, 10, 200)
    fig, ax = plt.subplots(figsize=(7, 3.4))
    for slope, name, color in zip(pull(a), ("minimax", "non-saturating"), (colors.MODEL, colors.LATENT)):
        plotting.curve(a, -slope, ax, color=color)
        ax.plot([], [], color=color, label=name)
    ax.axvline(-8, color=colors.NOISE, ls="--")
    ax.legend()
    ax.set(xlabel="logit of a sample", ylabel="pull", title="Where the critic is sure, one generator hears nothing")

# %% tags=["check"]
check.pull(pull, show=how_hard)

# %% [markdown] exercise={"name": "gradient_penalty", "difficulty": 3, "importance": 4, "minutes": 14}
# ## Exercise 3 · A penalty between data and samples
#
# A Wasserstein critic must not be steeper than 1 anywhere. WGAN-GP (Gulrajani et al., 2017, eq. 3) makes it pay for
# slopes other than 1 at points $\hat x_b = u_b\, x_b + (1 - u_b)\, G(z_b)$ between a data point and a sample:
#
# $$ \frac1B \sum_b \big( \lVert \nabla_x D(\hat x_b) \rVert - 1 \big)^2 , \qquad \text{each } b \text{ with a } u_b \text{ of its own.} $$
#
# It is part of the critic's loss, so its own gradient must reach the critic's parameters.
#
# <details><summary>Hint 1: shapes</summary>
#
# `u[:, None] * x` scales each row. The points need `requires_grad_()` before the critic sees them.
#
# </details>
# <details><summary>Hint 2: a gradient of a gradient</summary>
#
# `torch.autograd.grad(critic(points).sum(), points, create_graph=True)` has the slope of each example in its row.
#
# </details>

# %%
def gradient_penalty(critic, x: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """The penalty, with a gradient by the critic's parameters.

    critic: (B, d) -> (B,); x, fake: (B, d); u: (B,) in [0, 1].  -> ().
    """
    ### BEGIN SOLUTION
    points = (u[:, None] * x + (1 - u[:, None]) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def as_steep_as_one(gradient_penalty):
    told = lambda critic, x, fake: critic(fake).mean() - critic(x).mean()
    draw = lambda x: torch.rand(len(x))
    held = lambda c, x, f: told(c, x, f) + 10 * gradient_penalty.with_gradients(c, x, f, draw(x))
    fields({"Wasserstein critic, free": told, "with the penalty": held})

# %% tags=["check"]
check.gradient_penalty(gradient_penalty, show=as_steep_as_one)

# %% [markdown] exercise={"name": "paired", "difficulty": 3, "importance": 4, "minutes": 15}
# ## Exercise 4 · In pairs, with two penalties
#
# R3GAN (Huang et al., 2024) compares each data point with *one* sample, and the critic pays for its slope at both:
#
# $$ \text{critic: } \frac1B \sum_b -\log s\big(D(x_b) - D(G(z_b))\big)
# + \frac{\gamma}{2B} \sum_b \lVert \nabla D(x_b) \rVert^2 + \frac{\gamma}{2B} \sum_b \lVert \nabla D(G(z_b)) \rVert^2 , $$
#
# $$ \text{generator: } \frac1B \sum_b -\log s\big(D(G(z_b)) - D(x_b)\big) . $$
#
# The penalty on data is called R1, that on samples R2. All slopes are gradients with respect to the example.
#
# <details><summary>Hint 1: slopes at two places</summary>
#
# Write a small function of one batch that gives the mean squared length of the slope, and call it twice.
#
# </details>
# <details><summary>Hint 2: pairs</summary>
#
# `critic(x) - critic(fake)` has one number for each pair: $-\log \sigma(a)$ is `softplus(-a)`.
#
# </details>

# %%
def paired(critic, x: Tensor, fake: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """What critic and generator pay, () each; the critic's has a gradient by its parameters.

    critic: (B, d) -> (B,); x, fake: (B, d), data and samples.
    """
    ### BEGIN SOLUTION
    def steep(points):
        points = points.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
        return slope.square().sum(1).mean()

    gap = critic(x) - critic(fake)
    return softplus(-gap).mean() + gamma / 2 * (steep(x) + steep(fake)), softplus(gap).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def calm_in_pairs(paired):
    pay = lambda gamma: lambda c, x, f: paired.with_gradients(c, x, f, gamma)[0]
    fields({f"relativistic critic, γ = {gamma:g}": pay(gamma) for gamma in (0.0, 0.1, 1.0)})

# %% tags=["check"]
check.paired(paired, show=calm_in_pairs)

# %% [markdown] exercise={"name": "turn", "difficulty": 2, "importance": 5, "minutes": 15}
# ## Exercise 5 · A turn of training
#
# In one turn the critic moves $k$ times, each time on a **new** batch of data and of noise; then the generator moves once, on new noise:
#
# $$ k \text{ times: } \psi \leftarrow \psi - \eta\, \nabla_\psi \big[{-\log \sigma(D(x))} - \log(1 - \sigma(D(G(z))))\big], \qquad
# \text{then } \theta \leftarrow \theta + \eta\, \nabla_\theta \log \sigma(D(G(z))) , $$
#
# each a mean over the batch. `down_D` and `down_G` are optimizers: `zero_grad()`, then `backward()` on the loss, then `step()`.
#
# While the critic moves, the generator stands still: nothing of the critic's loss may flow into it.
#
# <details><summary>Hint 1: who stands still</summary>
#
# `G(z).detach()` gives the samples without the way back to the generator. The generator's own loss needs that way.
#
# </details>
# <details><summary>Hint 2: what is left over</summary>
#
# The generator's `backward` also leaves gradients in the critic. Clear them before the critic's next `backward`.
#
# </details>

# %%
def turn(G, D, real, noise, down_D, down_G, k: int) -> None:
    """One turn, in place.

    G: (B, d_z) -> (B, d); D: (B, d) -> (B, 1); real(): a new batch (B, d); noise(): a new (B, d_z).
    """
    ### BEGIN SOLUTION
    for _ in range(k):
        x, fake = real(), G(noise()).detach()
        down_D.zero_grad()
        (softplus(-D(x)).mean() + softplus(D(fake)).mean()).backward()
        down_D.step()
    down_G.zero_grad()
    softplus(-D(G(noise()))).mean().backward()
    down_G.step()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def one_move_or_five(turn, turns=300):
    fig, axes = plt.subplots(1, 3, figsize=(13, 4.2))
    heaps = {"data": ring.sample(1000)}
    for k in (1, 5):
        torch.manual_seed(2)
        G, D = mlp(2, (64, 64), 2, activation=nn.SiLU), mlp(2, (64, 64), 1, activation=nn.SiLU)
        down = [torch.optim.Adam(m.parameters(), 2e-3, betas=(0.5, 0.9)) for m in (D, G)]
        for _ in range(turns):
            turn.with_gradients(G, D, lambda: ring.sample(128), lambda: torch.randn(128, 2), *down, k)
        heaps[f"k = {k}"] = G(torch.randn(1000, 2)).detach()
    for ax, (name, x), color in zip(axes, heaps.items(), (colors.DATA, colors.MODEL, colors.MODEL)):
        plotting.points(x, ax, color=color, size=5)
        ax.set(xlim=EXTENT[:2], ylim=EXTENT[2:], xticks=[], yticks=[])
        ax.set_title(name, loc="center")

# %% tags=["check"]
check.turn(turn, show=one_move_or_five)

# %% [markdown] exercise={"name": "told", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 6 · Both are told
#
# A conditional GAN (Mirza & Osindero, 2014) draws what it is asked for. Each sample is made with the label of one example of the batch,
# and the critic is told **the same** label: of a data point its own, of a sample the one it was asked with.
#
# $$ \text{critic: } -\log \sigma(D(x, y)) - \log\big(1 - \sigma(D(G(z, y), y))\big), \qquad \text{generator: } -\log \sigma(D(G(z, y), y)) . $$
#
# Both networks take the labels one-hot, `(B, classes)`.
#
# <details><summary>Hint 1: one-hot</summary>
#
# `one_hot(y, classes)` makes a row of zeros with a one at place y.
#
# </details>
# <details><summary>Hint 2: four calls, one label</summary>
#
# The generator is asked once, the critic twice (and once more without `detach()` for the generator): always with the same one-hot labels.
#
# </details>

# %%
def told(generator, critic, x: Tensor, y: Tensor, z: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """What critic and generator pay, () each.

    generator: (B, d_z), (B, classes) -> (B, d); critic: (B, d), (B, classes) -> (B,);
    x: (B, d); y: (B,) labels; z: (B, d_z).
    """
    ### BEGIN SOLUTION
    label = one_hot(y, classes)
    fake = generator(z, label)
    of_critic = softplus(-critic(x, label)).mean() + softplus(critic(fake.detach(), label)).mean()
    return of_critic, softplus(-critic(fake, label)).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def asked_for(told, steps=400):
    torch.manual_seed(0)
    G, D = Told(2, 8, 2), Told(2, 8, 1)
    down = [torch.optim.Adam(m.parameters(), 3e-3, betas=(0.5, 0.9)) for m in (D, G)]
    for step in range(2 * steps):
        y = torch.randint(8, (128,))
        x = ring.means[y].float() + 0.3 * torch.randn(128, 2)
        loss = told.with_gradients(G, D, x, y, torch.randn(128, 2), 8)[step % 2]
        down[step % 2].zero_grad()
        loss.backward()
        down[step % 2].step()
    fig, ax = plt.subplots(figsize=(5, 4.6))
    for k, color in enumerate(map(to_hex, colors.CLASSES[:8])):
        drawn = G(torch.randn(80, 2), one_hot(torch.full((80,), k), 8)).detach()
        plotting.points(drawn, ax, color=color, size=7)
        ax.text(*(1.35 * ring.means[k]).tolist(), str(k), color=color, ha="center", va="center", fontweight="bold")
    ax.set(xlim=EXTENT[:2], ylim=EXTENT[2:], xticks=[], yticks=[], title="What it draws when asked for 0 to 7")

# %% tags=["check"]
check.told(told, show=asked_for)

# %% [markdown] exercise={"name": "covered", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 7 · How many modes, honestly
#
# The data have $K$ equal modes with centers $c_k$ and standard deviation $\sigma$. A mode counts as covered if enough
# of the $S$ samples are near it, where a fair share would be $S/K$ and `least` says what fraction of that is enough.
# Beside the count belongs the share of samples that are near any mode at all:
#
# $$ \text{modes} = \#\big\{k : \#\{s : \lVert x_s - c_k \rVert \le 3 \sigma\} \ge \text{least} \cdot S/K\big\}, \qquad
# \text{quality} = \frac1S\, \#\big\{s : \min_k \lVert x_s - c_k \rVert \le 3 \sigma\big\} . $$
#
# Predict before you run: what do samples that are spread evenly over the whole picture get?
#
# <details><summary>Hint 1: all distances</summary>
#
# `torch.cdist(samples, centers)` is `(S, K)`.
#
# </details>
# <details><summary>Hint 2: rows and columns</summary>
#
# With `near = torch.cdist(...) <= 3 * std`, the modes count each column, the quality asks for `any` in each row.
#
# </details>

# %%
def covered(samples: Tensor, centers: Tensor, std: float, least: float) -> tuple[int, float]:
    """How many modes are covered, and the quality in [0, 1].  samples: (S, d), centers: (K, d)."""
    ### BEGIN SOLUTION
    near = torch.cdist(samples, centers) <= 3 * std
    enough = near.sum(0) >= least * len(samples) / len(centers)
    return enough.sum(), near.any(1).double().mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def four_samples(covered, n=800):
    centers, std = ring.means.float(), 0.3
    three = centers[torch.randint(3, (n,))] + 0.2 * torch.randn(n, 2)
    turn = 2 * torch.pi * torch.rand(n)
    heaps = {"data": ring.sample(n), "three modes": three, "a thin ring": 3 * torch.stack([turn.cos(), turn.sin()], 1),
             "noise": 9 * torch.rand(n, 2) - 4.5}
    fig, axes = plt.subplots(1, 4, figsize=(15, 4.2))
    for ax, (name, x) in zip(axes, heaps.items()):
        modes, quality = covered(x, centers, std, 0.2)
        plotting.points(x, ax, color=colors.DATA if name == "data" else colors.MODEL, size=4)
        ax.set(xlim=EXTENT[:2], ylim=EXTENT[2:], xticks=[], yticks=[])
        ax.set_title(f"{name}\n{int(modes)} modes, quality {float(quality):.2f}", loc="center")

# %% tags=["check"]
check.covered(covered, show=four_samples)

# %% [markdown] exercise={"name": "both_losses_fall", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 8 · In your own words
#
# Somebody trains a GAN on eight Gaussians and writes: "The generator's loss fell from 3 to 0.7, so the samples got better. All eight modes
# are covered: for each there is a sample nearest to it. And the critic's loss no longer changes, so training has converged." What is wrong?
#
# Answer in three to six sentences in the cell below. A good answer says what a generator's **loss is measured against**; why **nearest** is
# not covered; and what a critic's loss that **stands still** may mean.

# %% [markdown]
# ### BEGIN SOLUTION
# The generator's loss is the opinion of a critic that changes: it falls when the samples get better, and just as well when the critic gets
# worse, so values of two moments cannot be compared. Every center has some nearest sample, even if all samples lie in one mode or are noise:
# a mode is covered if enough samples lie within a few standard deviations of it, and the share of samples that lie near no mode belongs
# beside the count. A critic's loss stands still at an equilibrium, but also when it is so sure that the generator hears nothing, or when
# both go round in a circle of small radius. Evidence is a measure that does not move with the players: a two-sample test against new data,
# modes and quality, over several seeds.
#
# *Rubric, one point each:* losses are relative to a moving critic · nearest is no coverage, quality beside modes · standing still is no proof.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# All that moves in a GAN, and a way to tell whether it did what it should. [Lecture 8](../lectures/08_gans.ipynb) measures eight recipes
# with it; [lecture 8b](../lectures/08b_gans_on_pictures.ipynb) takes GANs to pictures.
#
# **References.** I. Goodfellow et al., *Generative adversarial nets*, 2014, section 3. M. Mirza, S. Osindero, *Conditional generative
# adversarial nets*, 2014, eq. 2. I. Gulrajani et al., *Improved training of Wasserstein GANs*, 2017, eq. 3. L. Mescheder, A. Geiger,
# S. Nowozin, *Which training methods for GANs do actually converge?*, 2018 (R1, R2). N. Huang et al., *The GAN is dead; long live the
# GAN!*, 2024.
