# %% [markdown]
# # 13b · Few steps
#
# **A flow takes fifty small steps from noise to data. Can a network learn to jump?**
#
# After this lecture you can
#
# - say why a network that is asked for data in one step answers with a mean;
# - define the flow map, and derive four identities for it from one picture;
# - turn an identity into a loss that needs no sampling (MeanFlow, consistency, shortcut), and say which side of it must
#   be held fixed;
# - compare one step with fifty at the same training budget, over three seeds.
#
# You need: part a, and what a derivative along a curve is. Time: 45 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "eight_gaussians"  # what the maps of the plane make
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.func import jvp
from torch.special import ndtr

from gdm_core import colors, explorers, ideal, metrics, networks, plotting, samplers, schedules, train
from gdm_core.course.claims import claim
from gdm_core.data import strokes, toy
from gdm_core.models import flow_map
from gdm_core.models.drifting import Drifting
from gdm_core.models.flow_map import FlowMap
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["eight_gaussians"])
LONGER = 10 if PROFILE == "full" else 1
plotting.use_style()
torch.manual_seed(SEED)
line = schedules.line

# %% [markdown]
# ## 13.8 Ask for data, get the mean
#
# A GAN generates in one step, but its training is a game. Why not train a one-step generator by plain regression? Draw
# noise $\epsilon$ and an example $x$, and ask the network $G$ to turn one into the other:
#
# $$ \min_G\; \mathbb E\, \lVert G(\epsilon) - x \rVert^2 . $$
#
# We try it with two kinds of pairs: any noise with any example, and noise with the place where the exact flow takes it.
#
# **Predict before you run.** What will $G$ draw in each case?

# %%
target = toy.target(DATASET).to(DEVICE)
mean_behind = ideal.mixture(target.means, target.std, target.weights, line)
v_exact = lambda z, t: (z - mean_behind(z, t)) / t[:, None]  # on the line


def flow(noise, steps=40):
    """Where the exact flow takes noise."""
    return samplers.last(samplers.heun(mean_behind, line, noise, schedules.times(line, steps, by="angle")))


def regress(pairs, steps=400):
    torch.manual_seed(SEED)
    G = networks.mlp(2, (64, 64, 64), 2, nn.SiLU).to(DEVICE)
    optimizer = torch.optim.Adam(G.parameters(), 5e-3)
    for k in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * train.falling(k / steps)
        x, noise = pairs(256)
        loss = (G(noise) - x).square().sum(1).mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    return G, loss.item()


# %%
kept_noise = torch.randn(4096, 2, device=DEVICE)
kept_ends = flow(kept_noise)
some = lambda n: torch.randint(4096, (n,), device=DEVICE)
asked = {
    "random pairs": lambda n: (target.sample(n), torch.randn(n, 2, device=DEVICE)),
    "the flow's pairs": lambda n: (kept_ends[i := some(n)], kept_noise[i]),
}
answers = {name: regress(pairs) for name, pairs in asked.items()}


# %% jupyter={"source_hidden": true}
# The figure: data, and what two regressions draw
def two_regressions():
    torch.manual_seed(SEED)
    _, axes = plt.subplots(1, 3, figsize=(13, 4.5), sharex=True, sharey=True)
    z = torch.randn(1000, 2, device=DEVICE)
    shown = {"data": target.sample(1000)} | {name: G(z).detach() for name, (G, _) in answers.items()}
    for ax, (title, x), color in zip(axes, shown.items(), (colors.DATA, colors.MODEL, colors.MODEL)):
        plotting.points(x, ax, color=color, size=6)
        ax.set(xlim=(-3.9, 3.9), ylim=(-3.9, 3.9), xticks=[], yticks=[])
        ax.set_title(title, loc="center")


# %%
two_regressions()
(blurred, left), (sharp, _) = answers.values()
z, fresh = torch.randn(3000, 2, device=DEVICE), target.sample(3000)
spread = target.sample(20_000).var(0).sum().sqrt().item()
with torch.no_grad():
    claim(
        "random pairs: spread of the answers, share of the data's",
        blurred(z).var(0).sum().sqrt() / spread,
        below=0.3,
        digits=1,
    )
    claim("the flow's pairs: spread of the answers, share of the data's", sharp(z).var(0).sum().sqrt() / spread, near=1, within=0.15, digits=2)

# %% [markdown]
# With random pairs $G$ answers the mean of the data for every noise (middle), and training is not to blame. The noise
# says nothing about $x$, so $\mathbb E[x \mid \epsilon] = \mathbb E[x]$ is the best answer. On the right we see the
# *same* network, loss and budget with the flow's pairs; this is part a's reflow. Now the noise determines the
# destination, and one step is enough to reach the ring. But each of these pairs cost a whole walk along a flow that had
# to be known first. Can we learn the jump without walking?
#
# ## 13.9 The flow map and its average velocity
#
# Follow the flow from a point $z$ at time $t$ until an earlier time $r < t$. The function that tells where you arrive
# is the **flow map**. We write it with the *average* velocity $u$ along the way:
#
# $$ \mathrm{jump}(z, t, r) = z - (t - r)\, u(z, t, r), \qquad u(z, t, t) = v(z, t) . $$
#
# To judge learned maps we need an exact one. In one dimension flow lines keep their order, so the flow map keeps ranks:
# if $F_t$ is the distribution function of $x_t$, it is $F_r^{-1}(F_t(z))$. The code inverts $F_r$ by bisection and ends
# with one Newton step, whose derivatives are exact.

# %%
bumps = toy.target("trimodal")
weights, means, stds = bumps.weights.double(), bumps.means[:, 0].double(), bumps.std.double()


def law(z, t):
    """Distribution function and density of x_t at z."""
    t = t[:, None]
    size = ((1 - t) ** 2 * stds**2 + t**2).sqrt()
    e = (z[:, None] - (1 - t) * means) / size
    return (weights * ndtr(e)).sum(1), (weights * (-(e**2) / 2).exp() / size).sum(1) / (2 * torch.pi) ** 0.5


def exact_jump(z, t, r):
    rank = law(z[:, 0], t)[0]
    with torch.no_grad():
        low, high = torch.full_like(rank, -9), torch.full_like(rank, 9)
        for _ in range(60):
            middle = (low + high) / 2
            below = law(middle, r)[0] < rank
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    F, density = law(middle, r)
    return (middle + (rank - F) / density)[:, None]


# %%
u_exact = lambda z, t, r: (z - exact_jump(z, t, r)) / (t - r)[:, None]
mean_of = ideal.mixture(bumps.means, bumps.std, bumps.weights, line)
v_bumps = lambda z, t: (z - mean_of(z, t)) / t[:, None]


# %% jupyter={"source_hidden": true}
# The figure: flow lines, one chord and two tangents
def chord(t=0.85, r=0.15, z=-0.42):
    _, ax = plt.subplots(figsize=(10, 4.6))
    starts, times = torch.linspace(-2.3, 2.3, 24, dtype=torch.float64)[:, None], np.linspace(0.999, 0, 90)
    all_at = lambda s, like: torch.full((len(like),), float(s), dtype=torch.float64)
    lines = torch.stack([exact_jump(starts, all_at(1, starts), all_at(s, starts))[:, 0] for s in times])
    ax.plot(times, lines, color=colors.EXACT, lw=0.9, alpha=0.4)
    here = torch.tensor([[z]], dtype=torch.float64)
    at = all_at(t, here)
    way = [exact_jump(here, at, all_at(s, here)).item() for s in np.linspace(t - 1e-3, r, 60)]
    ax.plot(np.linspace(t, r, 60), way, color=colors.EXACT, lw=3)
    v, u = v_bumps(here, at).item(), u_exact(here, at, all_at(r, here)).item()
    ax.plot([t, r], [z, z - (t - r) * u], color=colors.MODEL, lw=2.5)
    ax.plot([t, r], [z, z - (t - r) * v], color=colors.ACCENT, lw=2.5)
    ax.plot([t, r, r], [z, z - (t - r) * u, z - (t - r) * v], "o", color=colors.DATA, ms=8)
    ax.text(r - 0.015, z - (t - r) * u, "a jump, slope u", color=colors.MODEL, fontweight="bold", va="center")
    ax.text(r - 0.015, z - (t - r) * v, "Euler, slope v", color=colors.ACCENT, fontweight="bold", va="center")
    ax.set(
        xlim=(1, 0),
        ylim=(-4, 4),
        xlabel="t",
        ylabel="z",
        title="The chord lands on the flow line, the tangent does not",
    )


# %%
chord()

# %% [markdown]
# The figure shows one jump. Euler's step follows the tangent, with slope $v$, and leaves the flow line; the chord, with
# slope $u$, lands on it. On a straight line both would be the same. On a bent one the velocity at the start is not
# enough: a network that jumps has to be told both times.
#
# ## 13.10 One picture, four identities
#
# How can we tell whether a learned $u$ is right *without* walking? Look at one flow line with times $t > q > r$ on it,
# and move along it. Write $D = v\, \partial_z + \partial_t$ for the derivative along the flow.
#
# - **Move the starting point along the line: you land at the same place.** So $D\, \mathrm{jump}(z, t, r) = 0$. For
#   $r = 0$ this is the idea of **consistency models** (Song et al., 2023).
# - **Write this for $u$.** $D\,[z - (t - r) u] = v - u - (t - r)\, D u = 0$, hence $u = v - (t - r)\, D u$, the
#   **MeanFlow** identity (Geng et al., 2025).
# - **Move the end: the landing point moves with the flow.**
#   $\partial_r\, \mathrm{jump}(z, t, r) = v(\mathrm{jump}(z, t, r), r)$, the **Lagrangian** identity (Boffi et al.,
#   2025).
# - **Jump twice.** A jump from $t$ to the midpoint $q$ and one from there to $r$ equal the whole, so $u$ is the mean of
#   the two average velocities. This is the idea of **shortcut models** (Frans et al., 2025).
#
# Each of them holds for the true map and, together with $u(z, t, t) = v(z, t)$, for no other. We check all four on the
# exact map, and on the wrong answer that Euler's method gives, $u = v$:

# %%
torch.manual_seed(SEED)
a, b = torch.rand(2, 500, dtype=torch.float64)
t, r = torch.maximum(a, b) + 0.01, torch.minimum(a, b)
x, noise = bumps.sample(500).double(), torch.randn(500, 1, dtype=torch.float64)
z = (1 - t)[:, None] * x + t[:, None] * noise
euler = lambda z, t, r: v_bumps(z, t)
for name, off in flow_map.residuals(u_exact, z, t, r, v_bumps).items():
    claim(f"exact map, {name}: largest residual", off.abs().max(), below=1e-10)
for name, off in flow_map.residuals(euler, z, t, r, v_bumps).items():
    claim(f"Euler's u = v, {name}: root mean square of the residual", off.square().mean().sqrt(), above=0.1, digits=1)

# %% [markdown]
# ## 13.11 From identity to loss
#
# An identity becomes a loss if one of its sides is used as the target for the other. Take MeanFlow. The left side is
# the network, and the right side says what it should answer:
#
# $$ \min_u\; \mathbb E\, \big\lVert u(z, t, r) - \operatorname{stop}\big[\, v - (t - r)\,(v\, \partial_z u + \partial_t u) \,\big] \big\rVert^2 . $$
#
# Two details make it work. First, the bracket is **linear in $v$**. So we may put $\epsilon - x$ in place of the
# unknown $v$: its conditional mean is $v$, and regression finds conditional means. No teacher and no walk are needed.
# Second, the target is **held fixed** (`stop`, also called stop-gradient): no gradient flows through the bracket. A
# Jacobian-vector product, `jvp`, gives $u$ and its derivative along $(v, 1)$ in a single forward pass.

# %%
def meanflow(u, x, *, along=1.0, held=True):
    noise, (a, b, toss) = torch.randn_like(x), torch.rand(3, len(x), device=x.device)
    t, r = torch.maximum(a, b), torch.minimum(a, b)
    t, r = torch.where(toss < 0.5, a, t), torch.where(toss < 0.5, a, r)  # half of them: r = t, flow matching
    z = (1 - t)[:, None] * x + t[:, None] * noise
    v = noise - x
    average, slope = jvp(lambda z, t: u(z, t, r), (z, t), (along * v, torch.ones_like(t)))
    goal = v - (t - r)[:, None] * slope
    return (average - (goal.detach() if held else goal)).square().sum(1).mean()


# %%
class ByHand(FlowMap):
    how = {}

    def loss(self, x, y=None):
        return meanflow(self.average, x, **self.how)


def made(kind=FlowMap, how=None, **options):
    torch.manual_seed(SEED)
    model = kind(1, hidden=(64, 64, 64), **options)
    model.how = how or {}
    return model


x, losses = bumps.sample(256), []
for kind in (ByHand, FlowMap):
    model = made(kind)
    torch.manual_seed(SEED)
    losses.append(model.loss(x).item())
claim("bare loss and library: difference", abs(losses[0] - losses[1]), below=1e-4)

# %% [markdown]
# Two mistakes in this loss train without complaint: leaving out the term $v\, \partial_z u$, and letting the gradient
# flow through the target. For the first we can compute where it leads. The equation $u = v - (t - r)\, \partial_t u$
# says that $(t - r)\, u$ grows at the rate $v(z, t)$ with $z$ *fixed*. So the network averages the velocity at one
# place instead of along the way:
#
# $$ \mathrm{jump}(z, 1, 0) = z - \int_0^1 v(z, s)\, ds . $$
#
# **Predict before you run.** Which of the two mistakes is easier to notice?

# %%
settings = dict(lr=5e-3, rate=train.falling, clip=1.0, progress=False, seed=SEED)
variants = {
    "right": made(ByHand),
    "without v ∂z u": made(ByHand, {"along": 0.0}),
    "target not held fixed": made(ByHand, {"held": False}),
}
for model in variants.values():
    torch.manual_seed(SEED)
    train.fit(model, bumps.sample, steps=300 * LONGER, batch_size=256, **settings)

z = torch.linspace(-2.5, 2.5, 201, dtype=torch.float64)[:, None]
one = torch.ones(201, dtype=torch.float64)
truth = exact_jump(z, one, 0 * one)
standing = z - torch.stack([v_bumps(z, (k + 0.5) / 400 * one) for k in range(400)]).mean(0)
with torch.no_grad():
    jumped = {name: model.jump(z.float(), one.float(), 0 * one.float()) for name, model in variants.items()}


# %% jupyter={"source_hidden": true}
# The figure: one jump from noise to data, exact and by three losses; how far it is off
share = (-(z**2) / 2).exp() / (-(z**2) / 2).exp().sum()
away = lambda x: (share * (x - truth).square()).sum().sqrt().item()


def three_losses():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.4), sharex=True, sharey=True)
    for ax, (name, x) in zip(axes, jumped.items()):
        ax.plot(z, truth, color=colors.EXACT, lw=6, alpha=0.35)
        if name.startswith("without"):
            ax.plot(z, standing, color=colors.DATA, ls="--", lw=2)
            ax.text(-2.4, 1.6, "dashed: velocity averaged\nat one place", color=colors.DATA)
        ax.plot(z, x, color=colors.MODEL, lw=2.5)
        ax.set(xlabel="noise z", ylim=(-4.5, 4.5))
        ax.set_title(name, loc="center")
    axes[0].set_ylabel("where one jump lands")
    axes[0].text(-2.4, 2.6, "flow", color=colors.EXACT, fontweight="bold")
    axes[0].text(-2.4, 1.6, "network", color=colors.MODEL, fontweight="bold")


# %%
three_losses()
claim("right: distance from where the flow goes, root mean square", away(jumped["right"]), below=0.55, digits=1)
claim("velocity averaged at one place: the same distance", away(standing), above=0.3, digits=2)
claim("target not held fixed: the same distance", away(jumped["target not held fixed"]), above=1, digits=1)

# %% [markdown]
# The target that is not held fixed is noticed at once (right): the network learns to make its own target easy, and its
# map is far too flat. The missing term is not (middle). The curve looks like a reasonable map, and only the truth
# beside it (green) shows that it follows the wrong formula (dashed).
#
# ## 13.12 One step beside fifty
#
# Now we compare methods in the plane: three networks each, 400 steps of training, equally many examples. MeanFlow,
# consistency and shortcut learn from scratch. The Lagrangian identity needs a velocity; it takes it from a **teacher**,
# the flow-matching networks, so it is a form of **distillation**. Beside them stands a method that knows no time at
# all: **drifting** (Deng et al., 2026) from 8b, with two widths $h$ of its kernel.
#
# **Predict before you run.** Which of them comes nearest to the data in one step?

# %% jupyter={"source_hidden": true}
# Three networks trained at once, each on its third of the batch, at the price of one
class Three(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        sizes = [8, width, width, width, 2]
        start = lambda a, *shape: nn.Parameter((2 * torch.rand(3, *shape) - 1) / a**0.5)
        self.weights = nn.ParameterList(start(a, a, b) for a, b in zip(sizes, sizes[1:]))
        self.biases = nn.ParameterList(start(a, 1, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, z, t, r, y=None):
        waves = [w(torch.pi * s) for s in (t, t - r) for w in (torch.cos, torch.sin)]
        h = torch.cat([3 * z, torch.stack([t, t - r, *waves], 1)], 1).reshape(3, -1, 8)  # 3: steep maps come sooner
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            h = torch.baddbmm(bias, nn.functional.silu(h) if k else h, weight)
        return h.reshape(z.shape)


# %%
settings |= dict(steps=400 * LONGER, batch_size=3 * 128)


def learned(**options):
    torch.manual_seed(SEED)
    model = FlowMap(2, network=Three(), **options).to(DEVICE)
    train.fit(model, target.sample, **settings)
    return model


maps = {"flow matching": learned(share=1.0), "MeanFlow": learned()}
maps |= {name: learned(learns=name) for name in ("consistency", "shortcut")}
maps["distilled"] = learned(learns="lagrangian", teacher=maps["flow matching"].velocity)


def drifting(h):
    models = []
    for k in range(3):
        torch.manual_seed(SEED + k)
        models.append(Drifting(2, 2, h=h, hidden=(64, 64, 64)).to(DEVICE))
        train.fit(models[k], target.sample, **settings | {"batch_size": 128, "lr": 3e-3})
    return models


drifted = {f"drifting, h = {h:g}": drifting(h) for h in (0.8, 0.15)}

# %%
COUNTS, fresh = (1, 2, 4, 50), target.sample(2000)


def cloud(model, steps):
    torch.manual_seed(SEED)
    return model.sample(3 * 2000, steps=steps).reshape(3, 2000, 2)


clouds = {(name, k): cloud(model, k) for name, model in maps.items() for k in COUNTS}
clouds |= {(name, 1): torch.stack([m.sample(2000) for m in three]) for name, three in drifted.items()}
distance = {key: [metrics.sliced(x, fresh).item() for x in three] for key, three in clouds.items()}
failed = {name: sum(off > 0.5 for off in distance[name, 1]) for name in [*maps, *drifted]}
least = metrics.sliced(target.sample(2000), fresh).item()


# %% jupyter={"source_hidden": true}
# The figures: samples in one step; distances over steps
def in_one_step():
    _, axes = plt.subplots(2, 4, figsize=(14, 7.4), sharex=True, sharey=True)
    shown = {"true draws": fresh} | {name: clouds[name, 1][0] for name in [*maps, *drifted]}
    for ax, (name, x) in zip(axes.flat, shown.items()):
        plotting.points(x[:1000], ax, color=colors.EXACT if name == "true draws" else colors.MODEL, size=5)
        ax.set(xlim=(-3.9, 3.9), ylim=(-3.9, 3.9), xticks=[], yticks=[])
        ax.set_title(name, loc="center")


def distances():
    _, ax = plt.subplots(figsize=(13, 4.4))
    ax.axhline(least, color=colors.EXACT, lw=6, alpha=0.3)
    ax.text(len(maps) + 1.45, least * 1.12, "true draws", color=colors.EXACT, fontweight="bold", ha="right")
    for i, name in enumerate([*maps, *drifted]):
        for j, k in enumerate(COUNTS):
            if (name, k) in distance:
                at = i + (0.18 * j - 0.27 if name in maps else 0)
                ax.plot([at] * 3, distance[name, k], "o", color=colors.MODEL, ms=9, alpha=0.35 + 0.15 * (3 - j))
                ax.text(at, max(distance[name, k]) * 1.12, k, ha="center", fontsize=11)
        ax.text(i, 6.2, f"{failed[name]} of 3 fail", ha="center", fontsize=11, color=colors.DATA)
    names = [name.replace(", ", "\n") for name in [*maps, *drifted]]
    ax.set(
        yscale="log",
        ylim=(0.055, 9),
        yticks=[0.1, 0.3, 1, 3],
        yticklabels=["0.1", "0.3", "1", "3"],
        xticks=range(len(names)),
    )
    ax.minorticks_off()
    ax.set(
        xticklabels=names,
        ylabel="distance to the data",
        xlim=(-0.6, len(names) - 0.5),
        title="Three networks each, in 1, 2, 4 and 50 steps",
    )


# %%
in_one_step()

# %%
distances()
worst = lambda name, k=1: max(distance[name, k])
claim(
    "flow matching: networks of three that fail in one step (distance above 0.5)",
    failed["flow matching"],
    near=3,
    within=0,
)
claim("the same networks in 50 steps: worst distance", worst("flow matching", 50), below=0.35, digits=1)
claim(
    "four flow maps: networks of twelve that fail in one step",
    sum(failed[name] for name in list(maps)[1:]),
    near=0,
    within=0,
)
for name in list(maps)[1:]:
    claim(f"{name}, one step: worst distance of three", worst(name), below=0.5, digits=1)

# %%
claim(
    "MeanFlow: mean distance in one step over that in 50",
    np.mean(distance["MeanFlow", 1]) / np.mean(distance["MeanFlow", 50]),
    below=2,
    digits=1,
)
claim("drifting, h = 0.8: failures", failed["drifting, h = 0.8"], near=0, within=0)
claim("drifting, h = 0.15: failures", failed["drifting, h = 0.15"], near=3, within=1)

# %% [markdown]
# The pictures show one step, the dots below them the distance to the data in 1, 2, 4 and 50 steps, with three networks
# for each method. All four flow maps jump to the ring, and none of their twelve networks fails. The velocity alone,
# trained for as long, stays near the middle in one step and is as close only after fifty.
#
# Two things to notice. First, nobody separates the eight bumps in one jump. A map from one bump of noise to eight must
# be steep in places, and this budget is short. Second, more steps hardly help the flow maps. (For consistency they are
# no more than a guess, since it has learned only jumps to 0.) Drifting is as good with the wide kernel, and collapses
# with the narrow one.
#
# ## 13.13 What have they learned?
#
# Is a network that was trained on one identity also right about the others? Here we know the exact velocity, so each
# identity can be tested on each network.

# %%
torch.manual_seed(SEED)
a, b = torch.rand(2, 999, device=DEVICE)
t, r = torch.maximum(a, b).clamp(min=0.02), torch.minimum(a, b).clamp(min=0.01)
x, noise = target.sample(999), torch.randn(999, 2, device=DEVICE)
z_t = (1 - t)[:, None] * x + t[:, None] * noise
tested = {"Euler, u = v": lambda z, t, r: v_exact(z, t)}
tested |= {name: maps[name].average for name in ("flow matching", "MeanFlow", "shortcut", "distilled")}
size = lambda off: off.norm(dim=1).median().item()
residual = {
    name: {
        identity: size(off.detach()) / size(v_exact(z_t, t))
        for identity, off in flow_map.residuals(u, z_t, t, r, v_exact).items()
    }
    for name, u in tested.items()
}


# %% jupyter={"source_hidden": true}
# The figure: residuals of four identities, share of the velocity
def table_of_residuals():
    _, ax = plt.subplots(figsize=(9, 4.2))
    numbers = np.array([list(row.values()) for row in residual.values()])
    ax.imshow(np.log(numbers), cmap="Oranges", vmin=np.log(0.02), vmax=np.log(8), aspect="auto")
    for (i, j), number in np.ndenumerate(numbers):
        ax.text(
            j, i, f"{number:.2f}", ha="center", va="center", fontsize=14, color="white" if number > 1.5 else "black"
        )
    ax.set(xticks=range(4), xticklabels=flow_map.IDENTITIES, yticks=range(len(residual)), yticklabels=residual)
    ax.tick_params(length=0)
    ax.set_title("Median residual, share of the velocity", loc="center")


# %%
table_of_residuals()
for identity in flow_map.IDENTITIES:
    better = (
        max(residual[name][identity] for name in ("MeanFlow", "shortcut", "distilled"))
        / residual["flow matching"][identity]
    )
    claim(f"{identity}: worst of three maps over flow matching", better, below=0.75, digits=1)

# %% [markdown]
# Read the table row by row; a true map would have zeros. The three flow maps have smaller residuals than flow matching
# in *every* column, not only in that of their own identity. This is as it should be: the identities describe the same
# map. None is close to 0 after so short a training. (Consistency networks have no row, since they know only jumps to
# 0.)
#
# **Predict before you run.** We have three MeanFlow networks and three drifting networks, which differ in their initial
# weights. Do two of a kind send the *same* noise to the same place?

# %%
torch.manual_seed(SEED)
z = torch.randn(1500, 2, device=DEVICE)
with torch.no_grad():
    both = maps["MeanFlow"].jump(z.repeat(3, 1), torch.ones(()), torch.zeros(())).reshape(3, -1, 2)
    drift = torch.stack([model.generate(z) for model in drifted["drifting, h = 0.8"]])
apart = lambda three: max((three[i] - three[j]).norm(dim=1).median().item() for i, j in ((0, 1), (0, 2), (1, 2)))


# %% jupyter={"source_hidden": true}
# The figure: color is the direction of the noise
def whose_noise():
    _, axes = plt.subplots(1, 6, figsize=(16, 3.3), sharex=True, sharey=True)
    shade = torch.atan2(z[:, 1], z[:, 0]).cpu()
    shown = {
        "noise": z,
        "exact flow": flow(z),
        "MeanFlow": both[0],
        "MeanFlow again": both[1],
        "drifting": drift[0],
        "drifting again": drift[1],
    }
    for ax, (name, x) in zip(axes, shown.items()):
        ax.scatter(*x.T.cpu(), c=shade, cmap="twilight_shifted", s=4)
        ax.set(xlim=(-3.9, 3.9), ylim=(-3.9, 3.9), xticks=[], yticks=[], aspect="equal")
        ax.set_title(name, loc="center")


# %%
whose_noise()
claim(
    "MeanFlow: median distance of two networks' samples from the same noise, farthest pair",
    apart(both),
    below=0.8,
    digits=1,
)
claim("drifting: the same distance", apart(drift), above=1, digits=1)

# %% [markdown]
# Color is the direction of the noise. Both MeanFlow networks send each color where the exact flow does: there is one
# right answer, and different runs approach it. Their samples from the same noise are 0.4 apart, those of two drifting
# networks 4. Drifting only asks for the right distribution of samples; which noise goes where is left to chance, as in
# a GAN.
#
# ## 13.14 Digits in one jump
#
# Do jumps also work for something that one likes to look at? A handwritten digit is the path of a pen: a few dozen
# points, which we describe by their first 16 principal components. MeanFlow learns these for all ten classes, and we
# draw what it generates with the same pen. The three methods below get the same noise.

# %% jupyter={"source_hidden": true}
# Ways of pens as 16 numbers, and back to ink
DIRECTIONS, PEN = 16, strokes.paths.pens(DEVICE)
hands = strokes.sample(4000, variant=0, seed=SEED, device=DEVICE)
classes, style = hands.labels, {k: f for k, f in hands.factors.items() if k not in ("variant", "thickness", "size")}
paths = PEN.first[classes]
all_of = lambda number, n: torch.full((n,), number, device=DEVICE)
ways = strokes.render.frame(
    strokes.style.pen_way(PEN, paths, **style), all_of(2.4, 4000), all_of(1.0, 4000), PEN.down[paths]
).flatten(1)
middle = ways.mean(0)
axes_of_ways = torch.linalg.eigh(torch.cov(ways.T)).eigenvectors[:, -DIRECTIONS:]
codes = (ways - middle) @ axes_of_ways
within = lambda x, y: torch.stack([x[y == c].var(0).mean() for c in range(10)]).mean()  # variance in a class
unit = within(codes[:, -6:], classes).sqrt()  # the largest directions vary as the noise does
codes = codes / unit


def ink(x, y):
    way = (x * unit @ axes_of_ways.T + middle).reshape(len(x), -1, 2)
    return strokes.render.ink(way, all_of(2.4, len(x)), PEN.down[PEN.first[y]])


# %%
torch.manual_seed(SEED)
writer = FlowMap(DIRECTIONS, hidden=(128, 128, 128), labels=10).to(DEVICE)
train.fit(writer, (codes, classes), **settings | {"steps": 800 * LONGER, "batch_size": 128})
wanted = torch.arange(500, device=DEVICE) % 10
torch.manual_seed(SEED)
z = torch.randn(500, DIRECTIONS, device=DEVICE)
with torch.no_grad():
    drawn = {"one Euler step: z − v": z - writer.velocity(z, torch.ones(()), wanted)}
    drawn |= {"one jump: z − u": writer.jump(z, torch.ones(()), torch.zeros(()), wanted)}
torch.manual_seed(SEED)
drawn |= {"50 jumps": writer.sample(500, wanted, steps=50)}


# %% jupyter={"source_hidden": true}
# The figure: digits by one Euler step, one jump and fifty
def digits():
    _, axes = plt.subplots(2, 2, figsize=(14, 6.2))
    first = torch.cat([(classes == c).nonzero()[:4, 0] for c in range(10)]).reshape(10, 4).T.flatten()
    shown = {"data": (codes[first], classes[first])} | {name: (x[:40], wanted[:40]) for name, x in drawn.items()}
    for ax, (name, (x, y)) in zip(axes.flat, shown.items()):
        plotting.images(ink(x, y).cpu(), ax, columns=10)
        ax.set_title(name, loc="center")


# %%
digits()
varied = {name: (within(x, wanted) / within(codes, classes)).item() for name, x in drawn.items()}
read = {name: (classes[torch.cdist(x, codes).argmin(1)] == wanted).double().mean() for name, x in drawn.items()}
euler_step, one_jump, fifty = drawn
claim("variance within a class, share of the data's: one Euler step", varied[euler_step], below=0.35, digits=1)
claim("variance within a class: one jump", varied[one_jump], above=0.45, digits=1)
claim("variance within a class: 50 jumps", varied[fifty], above=0.6, digits=1)
claim(
    "one jump: the nearest hand of 4,000 wrote the class asked for", 100 * read[one_jump], above=90, digits=2, unit="%"
)

# %% [markdown]
# One Euler step writes the *average* path of each class, neat and nearly the same every time: its variance within a
# class is a tenth of the data's. One jump of the same network slants, stretches and bends the digits, with a share of
# 0.7. Fifty jumps vary still more, so one step has not learned all there is.
#
# ## 13.15 Play
#
# **Play.** The same noise goes through two solvers of a flow, through part a's reflowed network, and through MeanFlow.
# *Before you drag:* which of the four needs no second step?
#
# <details><summary>Answer</summary>
#
# The reflowed one: in one step it is as near to the data as true draws are to each other. MeanFlow is close behind. The
# solvers of the bent flow start far away, and need several calls of the network.
#
# </details>

# %%
explorers.few_steps(seed=SEED, device=DEVICE)

# %% [markdown]
# ## What to keep, and what is not settled
#
# - Regression on random pairs gives the mean. Few steps need pairs in which the noise determines the example.
# - The flow map takes two times. Its average velocity $u$ becomes $v$ when they coincide.
# - Four identities, one map: consistency, MeanFlow, Lagrangian, shortcut. Any of them can train it and all of them can
#   test it.
# - Hold the target fixed, keep the term $v\, \partial_z u$, and compare with a truth where there is one.
# - Reflow and distillation need a trained flow; MeanFlow, consistency and shortcut do not.
#
# Honest limits. In the plane the flow is exact; for pictures it is not, and residuals can be measured only against the
# network's own velocity. A few hundred steps of small networks give no lasting ranking. They show that each identity
# can teach a jump, not which one is best on large pictures.
#
# ## References
#
# - Boffi, N., Albergo, M., & Vanden-Eijnden, E. (2025). Flow map matching. TMLR.
# - Deng, M., et al. (2026). Generative modeling via drifting. arXiv preprint.
# - Frans, K., Hafner, D., Levine, S., & Abbeel, P. (2025). One step diffusion via shortcut models. ICLR.
# - Geng, Z., et al. (2025). Mean flows for one-step generative modeling. NeurIPS.
# - Song, Y., Dhariwal, P., Chen, M., & Sutskever, I. (2023). Consistency models. ICML.
