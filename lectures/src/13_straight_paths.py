# %% [markdown]
# # 13 · Straight paths
#
# **Between noise and data every path may be a straight line. Why does the flow bend, and what does it cost to unbend it?**
#
# After this lecture you can
#
# - train a flow by regression on straight lines, and say what one large step does;
# - compute the floor of a loss, and read a loss below it as an alarm;
# - choose which noise goes with which example: independent, optimal transport, reflow, Schrödinger's bridge;
# - say what stays the same when a sampler is made noisy.
#
# You need: chapter 12's denoiser, Gaussians, an ordinary differential equation. Time: 40 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "eight_gaussians"  # or "moons", "two_spirals": what the flows of 13.1, 13.2 and 13.6 make
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch.distributions import Normal

from gdm_core import colors, couplings, denoising, explorers, ideal, metrics, plotting, samplers, schedules, train
from gdm_core.course.claims import claim
from gdm_core.data import strokes, toy
from gdm_core.models.diffusion import Diffusion
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["eight_gaussians", "moons", "two_spirals"])
LONGER = 10 if PROFILE == "full" else 1
plotting.use_style()
torch.manual_seed(SEED)
line = schedules.line
settings = dict(batch_size=256, lr=5e-3, rate=train.falling, progress=False, seed=SEED)

# %% [markdown]
# ## 13.1 A regression on straight lines
#
# Chapter 12 ran from data to noise along a curve. The simplest curve is a line (Lipman et al., 2023; Liu et al., 2023):
#
# $$ x_t = (1 - t)\, x + t\, \epsilon, \qquad \frac{dx_t}{dt} = \epsilon - x . $$
#
# If we knew $x$ and $\epsilon$ we would go at the velocity $\epsilon - x$. We only see $x_t$, so we ask a network for its mean:
#
# $$ \min_v\; \mathbb E\, \lVert v(x_t, t) - (\epsilon - x) \rVert^2
# \quad\Longrightarrow\quad v(x_t, t) = \mathbb E[\epsilon - x \mid x_t] . $$
#
# This is **flow matching**. It is chapter 12's model with another schedule, and generating means to walk back along
# $v$ from $t = 1$ to $t = 0$.

# %%
target = toy.target(DATASET).to(DEVICE)
size = target.sample(10_000).std().item()
torch.manual_seed(SEED)
model = Diffusion(2, schedule=line, predicts="velocity", hidden=(64, 64, 64), spread=size).to(DEVICE)


def flow_matching(v, x):
    t = (torch.arange(len(x), device=x.device) + torch.rand_like(x[:, 0])) / len(x)  # spread evenly over [0, 1]
    noise = torch.randn_like(x)
    x_t = (1 - t)[:, None] * x + t[:, None] * noise
    return (v(x_t, t) - (noise - x)).square().sum(1).mean()


x = target.sample(256)
torch.manual_seed(SEED)
bare = flow_matching(model.velocity, x)
torch.manual_seed(SEED)
claim("bare loss and library: difference", (bare - model.loss(x)).detach(), near=0, within=1e-5)
train.fit(model, target.sample, steps=700 * LONGER, **settings);

# %% [markdown]
# The target is a mixture of Gaussians, so the true $v$ has a formula. We can walk with either.
#
# **Predict before you run.** You take the whole way from noise in one step: $x_0 = x_1 - v(x_1, 1)$. Where do you land?

# %%
ideal_mean = ideal.mixture(target.means, target.std, target.weights, line)
exact = lambda x, t: denoising.velocity(ideal_mean(x, t), x, t, line)


def walk(v, z, steps):
    times = torch.linspace(1, 0, steps + 1, device=z.device, dtype=z.dtype)
    states = [z]
    with torch.no_grad():
        for t, r in zip(times, times[1:]):
            states.append(states[-1] - (t - r) * v(states[-1], t))  # Euler
    return torch.stack(states)


torch.manual_seed(SEED)
noise, fresh = torch.randn(4000, 2, device=DEVICE), target.sample(4000)
COUNTS = (1, 2, 4, 50)
walked = {name: {k: walk(v, noise, k)[-1] for k in COUNTS} for name, v in {"exact": exact, "learned": model.velocity}.items()}

# %% jupyter={"source_hidden": true}
# The figure: samples by the exact and the learned velocity, in 1, 2, 4 and 50 steps
def samples_in_steps():
    _, axes = plt.subplots(2, 4, figsize=(13, 6.6), sharex=True, sharey=True)
    for row, (name, color) in zip(axes, (("exact", colors.EXACT), ("learned", colors.MODEL))):
        for ax, k in zip(row, COUNTS):
            x = walked[name][k]
            plotting.points(x[:1000], ax, color=color, size=5)
            ax.set(xlim=(-4.4, 4.4), ylim=(-4.4, 4.4), xticks=[], yticks=[])
            off = metrics.sliced(x, fresh)
            ax.text(0.5, 0.02, f"distance {off:.2f}", transform=ax.transAxes, ha="center", fontsize=12)
            ax.set_title(f"{k} step{'s' * (k > 1)}" if name == "exact" else "", loc="center")
        row[0].set_ylabel(f"{name} velocity")


# %%
samples_in_steps()
center = (target.weights[:, None] * target.means).sum(0)
claim("one exact step: largest distance of a sample from the mean of the data", (walked["exact"][1] - center).norm(dim=1).max(), below=1e-4)
claim("50 exact steps: sliced Wasserstein distance to the data", metrics.sliced(walked["exact"][50], fresh), below=0.2, digits=1)

# %% [markdown]
# Onto the mean of the data, all of them. At $t = 1$ you see noise, which says nothing about $x$, so
# $v(x_1, 1) = x_1 - \mathbb E[x]$. No training cures this: the *exact* velocity lands there. The number under each picture is the
# sliced Wasserstein distance: project both samples onto a line, sort, compare, and average over lines.
#
# ## 13.2 The path is straight, the flow is not
#
# The lines of the regression are straight, each from one $\epsilon$ to one $x$. Nobody walks them. Where two of them cross, $x_t$
# belongs to both, and the flow takes the mean direction. **Two flow lines never meet**, since at one point and time there is
# one $v$. So they turn away from each other.

# %%
torch.manual_seed(SEED)
few, theirs = torch.randn(40, 2, device=DEVICE), target.sample(40)
times = torch.linspace(1, 0, 201, device=DEVICE)
lines = torch.stack([(1 - t) * theirs + t * few for t in times])  # conditional paths
flows = walk(exact, few, 200)
length = lambda path: path.diff(dim=0).norm(dim=2).sum(0)
detour = lambda path: (length(path) / (path[-1] - path[0]).norm(dim=1)).mean() - 1
claim("conditional paths: detour, share of the distance", detour(lines), near=0, within=1e-4)
claim("paths of the exact flow: mean detour, share of the distance", detour(flows), above=0.02, digits=1)

# %% jupyter={"source_hidden": true}
# The figure: the same noise along conditional paths and along the flow
def two_bundles():
    _, axes = plt.subplots(1, 2, figsize=(12, 5.4), sharex=True, sharey=True)
    for ax, paths, color, title in zip(axes, (lines, flows), (colors.DATA, colors.EXACT), ("Conditional paths are straight", "Flow lines are bent")):
        ax.plot(paths[..., 0].cpu(), paths[..., 1].cpu(), color=color, lw=1.3, alpha=0.7)
        plotting.points(paths[0], ax, color=colors.NOISE, size=26, alpha=1)
        plotting.points(paths[-1], ax, color=color, size=26, alpha=1)
        ax.set(xticks=[], yticks=[], title=title)


# %%
two_bundles()

# %% [markdown]
# That "straight paths" make the flow straight is a frequent error. A straight flow needs one step, and this one is bent.
#
# The same in a world of pictures. The data are 2,000 drawn digits, and the exact velocity is known there too: the mean
# of the data behind $x_t$ is an average over the 2,000, weighed by how well each explains $x_t$.

# %%
digits = strokes.load(n=2000, seed=SEED, device=DEVICE).x * 2 - 1  # (2000, 1, 28, 28)
mean_behind = ideal.training_set(digits, line)
torch.manual_seed(SEED)
z = torch.randn(4, 1, 28, 28, device=DEVICE)
at = torch.linspace(1, 0, 61, device=DEVICE)
film = list(samplers.ddim(mean_behind, line, z, at))  # on the line, ddim is Euler's method

# %% jupyter={"source_hidden": true}
# The figure: a conditional path above; below, along three flows, the state and the mean of the data behind it
def films():
    _, ax = plt.subplots(figsize=(13, 5.2))
    shown = range(0, 61, 6)
    rows = [torch.cat([(1 - at[i]) * digits[3:4] + at[i] * z[3:4] for i in shown])]
    rows += [torch.cat([mean_behind(film[i][k : k + 1], at[i]) for i in shown]) for k in range(3)]
    plotting.images(((torch.cat(rows).cpu() + 1) / 2).clamp(0, 1), ax, columns=len(shown))
    for k, name in enumerate(("a conditional path", "flow 1", "flow 2", "flow 3")):
        ax.text(-4, 29 * k + 14, name, ha="right", va="center", fontsize=13)
    ax.set_title("A picture fades; along flows the mean of the data behind the state decides", loc="center")


# %%
films()
ends = torch.cdist(film[-1].flatten(1), digits.flatten(1)).min(1).values
claim("where flows end: largest distance to the nearest of the 2,000", ends.max(), below=0.1, digits=1)

# %% [markdown]
# Each flow starts at the mean of all digits, a gray blur, and decides on the way. It ends at one of the 2,000: chapter
# 12's second part says why networks do better than this exact answer.
#
# ## 13.3 A floor under the loss
#
# Even the exact $v$ has a loss: it cannot know which line it is on. What is left is
# $\mathbb E \operatorname{Var}(\epsilon - x \mid x_t)$. Take numbers, $x \sim \mathcal N(0, s^2)$ and independent noise. Then
# $\epsilon - x$ and $x_t$ are jointly Gaussian, and
#
# $$ \operatorname{Var}(\epsilon - x \mid x_t) = 1 + s^2 - \frac{(t - (1-t) s^2)^2}{t^2 + (1-t)^2 s^2} = \frac{s^2}{t^2 + (1-t)^2 s^2}, \qquad
# \int_0^1 \frac{s^2\, dt}{t^2 + (1-t)^2 s^2} = \frac{\pi s}{2} . $$
#
# **Predict.** We train twice. In one run a student typed `rand` for `randn`. Which loss is lower?

# %%
s = 2.0
floor = math.pi * s / 2
uneven = lambda n: s * torch.randn(n, 1, device=DEVICE)
losses = {}
for name, draw in {"randn": torch.randn_like, "rand": torch.rand_like}.items():
    torch.manual_seed(SEED)
    net = Diffusion(1, schedule=line, predicts="velocity", hidden=(32, 32), spread=s).to(DEVICE)
    optimizer, losses[name] = torch.optim.Adam(net.parameters(), 5e-3), []
    for _ in range(400):
        x, t = uneven(512), torch.rand(512, device=DEVICE)
        noise_1 = draw(x)
        x_t = (1 - t)[:, None] * x + t[:, None] * noise_1
        loss = (net.velocity(x_t, t) - (noise_1 - x)).square().mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses[name].append(loss.item())
claim("floor π s / 2 for s = 2", floor, near=math.pi, within=1e-3)
claim("floor by quadrature over pairs: difference", couplings.floor(s) - floor, near=0, within=1e-6)
claim("normal noise: mean loss of the last 200 steps", np.mean(losses["randn"][-200:]), near=floor, within=0.25, digits=3)
claim("uniform noise by mistake: the same", np.mean(losses["rand"][-200:]), below=0.7 * floor, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: both losses and the floor
def alarm():
    _, ax = plt.subplots(figsize=(9, 3.8))
    smooth = lambda a: np.convolve(a, np.ones(15) / 15, "valid")
    ax.axhline(floor, color=colors.EXACT, lw=6, alpha=0.35)
    ax.text(385, floor + 0.12, "floor", color=colors.EXACT, fontweight="bold", ha="right")
    ax.plot(smooth(losses["randn"]), color=colors.MODEL)
    ax.plot(smooth(losses["rand"]), color=colors.ACCENT)
    ax.text(385, np.mean(losses["rand"][-50:]) + 0.25, "noise by rand: a bug", color=colors.ACCENT, fontweight="bold", ha="right")
    ax.set(xlabel="step", ylabel="loss", ylim=(0, 6), title="A loss below its floor is an alarm")


# %%
alarm()

# %% [markdown]
# The bug has the lower loss. Without the floor it would look like progress. A loss far above zero, on the other hand,
# is no sign of a bad model: it is the price of not knowing the line.
#
# ## 13.4 Couplings: who goes where
#
# Both terms of a pair may be chosen *together*, as long as each alone keeps its law. Such a choice is a **coupling**. Lines
# cross less if noise goes with a near example. In each batch of $B$ pairs, permute the noise so that the squared
# distances are least (Tong et al., 2024; Pooladian et al., 2023): optimal transport, of the batch.

# %%
torch.manual_seed(SEED)
a, b = uneven(64), torch.randn(64, 1, device=DEVICE)
by_rank = b.sort(0).values[a.flatten().argsort().argsort()]  # of numbers: equal ranks
a, paired = couplings.optimal(a, b)
claim("optimal pairs of numbers, by rank and by the library: largest difference", (by_rank - paired).abs().max(), below=1e-9)

BATCHES = (1, 4, 16, 64)
exact_floor = [couplings.floor(s, B) for B in BATCHES]
exact_cost = [couplings.cost(s, B) for B in BATCHES]
measured = []
for B in BATCHES:
    a, b = (scale * torch.randn(40_000 // B, B, dtype=torch.float64).sort(1).values for scale in (s, 1.0))
    v, variance = (b - a).flatten(), []
    for t in (np.arange(10) + 0.5) / 10:  # neighbors in x_t: what varies among them nobody can tell
        order = ((1 - t) * a + t * b).flatten().argsort()
        variance.append(v[order][: len(v) // 100 * 100].reshape(-1, 100).var(1).mean())
    measured.append((torch.stack(variance).mean().item(), v.square().mean().item()))

# %% jupyter={"source_hidden": true}
# The figure: lines of three couplings in the plane, floor and cost of pairs of numbers
def couplings_drawn(n=128):
    fig, axes = plt.subplots(1, 4, figsize=(16, 4.2), width_ratios=[1, 1, 1, 1.25])
    torch.manual_seed(SEED)
    x, e = toy.target("eight_gaussians").sample(n), torch.randn(n, 2)
    for ax, B in zip(axes, (1, 8, n)):
        pairs = [couplings.optimal(x[i : i + B], e[i : i + B])[1] for i in range(0, n, B)]
        ends = torch.stack([x, torch.cat(pairs)])
        ax.plot(ends[..., 0], ends[..., 1], color=colors.DATA, lw=0.8, alpha=0.6)
        plotting.points(ends[0], ax, color=colors.DATA, size=14, alpha=1)
        plotting.points(ends[1], ax, color=colors.NOISE, size=14, alpha=1)
        ax.set(xticks=[], yticks=[])
        ax.set_title("independent" if B == 1 else f"batches of {B}", loc="center")
    ax = axes[3]
    for k, (line_of, name, color) in enumerate(((exact_floor, "floor", colors.EXACT), (exact_cost, "cost", colors.LATENT))):
        ax.plot(BATCHES, line_of, color=color, lw=6, alpha=0.35)
        ax.plot(BATCHES, [m[k] for m in measured], "o", color=color)
        ax.text(4.6, line_of[1] + 0.25, name, color=color, fontweight="bold")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="pairs in a batch", xticks=BATCHES, xticklabels=BATCHES, ylim=(0, 5.3), title="Numbers, s = 2")


# %%
couplings_drawn()
for B, f, m in zip(BATCHES, exact_floor, measured):
    claim(f"B = {B}: floor measured over exact", m[0] / f, near=1, within=0.12, digits=2)
claim("floor, B = 4", exact_floor[1], near=1.54, within=0.02)
claim("floor, B = 16", exact_floor[2], near=0.535, within=0.005)
claim("floor, B = 64", exact_floor[3], near=0.161, within=0.002)
claim("cost of B = 64, mean squared distance of a pair", exact_cost[3], near=1.17, within=0.01)
claim("least cost of all couplings, (s − 1)²", (s - 1) ** 2, near=1, within=1e-9)
a, b = uneven(1000), torch.randn(1000, 1, device=DEVICE)
nearest = (a - b.T).abs().argmin(1)
claim("each x takes its nearest noise: standard deviation of the noise then", b[nearest].std(), above=1.4, digits=2)
claim("share of the noise that is used", 100 * len(nearest.unique()) / 1000, below=70, digits=2, unit="%")

# %% [markdown]
# The floor falls towards 0: with optimal pairs, $x_t$ tells which line it is on. The cost falls to its least, $(s-1)^2$.
# **A coupling must keep both laws.** To give each $x$
# its nearest noise uses some noise often and some never: the network is trained on noise that is too wide, and no sampler
# starts there.
#
# ## 13.5 Rectified flow
#
# There is a coupling that knows all of the data: the flow itself. Walk from $\epsilon$ to $T(\epsilon)$, and train again on the pairs
# $(T(\epsilon), \epsilon)$. That is **reflow** (Liu et al., 2023). In one dimension we know what comes out: flow lines never cross,
# so $T$ keeps the order, and a map that keeps the order is the **quantile map** $F^{-1}(\Phi(\epsilon))$.

# %%
bumps = toy.target("trimodal")
mean_of = ideal.mixture(bumps.means, bumps.std, bumps.weights, line)


def slope(t, z):  # of the exact flow
    t, z = torch.tensor(float(t), dtype=torch.float64), torch.from_numpy(z)[:, None]
    return denoising.velocity(mean_of(z, t), z, t, line)[:, 0].numpy()


starts = torch.linspace(-2.2, 2.2, 45, dtype=torch.float64)
way = solve_ivp(slope, (1, 1e-9), starts.numpy(), rtol=1e-11, atol=1e-12, method="DOP853", dense_output=True)
cdf = lambda x: (bumps.weights.double() * Normal(bumps.means[:, 0].double(), bumps.std.double()).cdf(x[:, None])).sum(1)
landed = torch.from_numpy(way.y[:, -1])
claim("rank of the end less rank of the start, largest", (cdf(landed) - Normal(0.0, 1.0).cdf(starts)).abs().max(), below=1e-6)
again = (1 - 0.5) * landed + 0.5 * starts  # halfway along the lines of the reflow pairs
claim("after reflow lines keep their order: least gap of neighbors halfway", again.diff().min(), above=0, digits=1)

# %% jupyter={"source_hidden": true}
# The figure: in one dimension, conditional paths, the flow, and the lines of the pairs that it makes
def three_bundles():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.2), sharex=True, sharey=True)
    t = np.linspace(1, 1e-9, 120)
    torch.manual_seed(SEED)
    x = bumps.sample(45).double()[:, 0]
    for ax, paths, color, title in zip(
        axes,
        ((1 - t[:, None]) * x.numpy() + t[:, None] * starts.numpy(), way.sol(t).T, (1 - t[:, None]) * landed.numpy() + t[:, None] * starts.numpy()),
        (colors.DATA, colors.EXACT, colors.LATENT),
        ("Independent pairs", "The flow of these pairs", "Pairs after one reflow"),
    ):
        ax.plot(t, paths, color=color, lw=1, alpha=0.75)
        ax.set(xlim=(1, 0), xlabel="t", title=title)
    axes[0].set_ylabel("$x_t$")


# %%
three_bundles()

# %% [markdown]
# On the right $x_t$ tells its line, so the new floor is 0, the new velocity is $\epsilon - T(\epsilon)$ all the way, and **one Euler step is
# exact**. In $d$ dimensions the same holds wherever no two lines of the pairs meet at one time. For $x \sim \mathcal N(m, \Sigma)$ the map
# is $T(\epsilon) = m + \Sigma^{1/2} \epsilon$.

# %%
m, cov = torch.tensor([0.5, -1.0]).double(), torch.tensor([[2.0, 0.8], [0.8, 1.0]]).double()
gaussian_mean = ideal.gaussian(m, cov, line)
e = torch.randn(200, 2, dtype=torch.float64)
heun = samplers.last(samplers.heun(gaussian_mean, line, e, torch.linspace(1, 0, 401, dtype=torch.float64)))
T = m + e @ couplings.root(cov)
claim("end of the flow less m + Σ^½ ε, largest", (heun - T).abs().max(), below=1e-3, digits=1)

half = (T + e) / 2  # x_t at t = 1/2 of the reflow pairs: affine in ε, so ε can be read off
read = torch.linalg.solve((couplings.root(cov) + torch.eye(2).double()) / 2, (half - m / 2).T).T
claim("noise read off halfway, largest error", (read - e).abs().max(), below=1e-10)
claim("one Euler step after reflow, largest error", (e - 1.0 * (read - (m + read @ couplings.root(cov))) - T).abs().max(), below=1e-10)

# %% [markdown]
# **Predict.** After reflow lines are straight and do not cross. Is $T$ then optimal transport, the map of least squared distance?
#
# In one dimension yes. In the plane no. Here is a coupling of $\mathcal N(0, I)$ with itself: turn each $\epsilon$ by $120^\circ$. Its
# lines never meet at one time, for $x_t = ((1-t) R + t I)\, \epsilon$ can be solved for $\epsilon$. So flow, pairs and reflow stay as they
# are, one step is exact, and the best map would be to stay where you are.

# %%
angle = math.radians(120)
R = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
least = min(torch.linalg.det((1 - t) * R + t * torch.eye(2).double()).item() for t in np.linspace(0, 1, 101))
claim("least determinant of (1 − t) R + t I on the way", least, above=0.1, digits=2)
turned = e @ R.T
best = couplings.optimal(e[torch.randperm(200)], e)
claim("squared distance of a turned pair, mean", (turned - e).square().sum(1).mean(), above=4, digits=2)
claim("of a pair by optimal transport", (best[0] - best[1]).square().sum(1).mean(), near=0, within=1e-9)

two_moons = toy.target("moons")
moon_mean = ideal.mixture(two_moons.means, two_moons.std, two_moons.weights, line)
e_600 = torch.randn(600, 2, dtype=torch.float64)
T_600 = samplers.last(samplers.heun(moon_mean, line, e_600, torch.linspace(1, 0, 101, dtype=torch.float64)))
cost = lambda x, e: (x - e).square().sum(1).mean()
gap = cost(T_600, e_600) / cost(*couplings.optimal(T_600, e_600)) - 1
none = cost(T, e) / cost(*couplings.optimal(T, e)) - 1
claim("the Gaussian above: cost of the flow's pairs above that of optimal ones", 100 * none, near=0, within=1e-6, unit="%")
claim("moons: cost of the flow's pairs above that of optimal pairs of the same points", 100 * gap, above=0.02, digits=1, unit="%")

# %% jupyter={"source_hidden": true}
# The figure: a turn is straight and not optimal; pairs of the moons' flow
def straight_is_not_shortest():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.6))
    best_e = couplings.optimal(turned[:60], e[:60])[1]
    for ax, x, eps, title in zip(axes, (turned[:60], turned[:60], T_600[:150]), (e[:60], best_e, e_600[:150]), ("A turn: straight, long", "Optimal: short", "Moons: nearly optimal")):
        ends = torch.stack([x, eps])
        ax.plot(ends[..., 0], ends[..., 1], color=colors.DATA, lw=0.9, alpha=0.6)
        plotting.points(eps, ax, color=colors.NOISE, size=18, alpha=1)
        plotting.points(x, ax, color=colors.EXACT, size=18, alpha=1)
        ax.set(xticks=[], yticks=[], title=title, xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))


# %%
straight_is_not_shortest()

# %% [markdown]
# From independent pairs the gap is small but not zero. Reflow buys straightness, not shortness. It also inherits: its
# "data" are the first model's samples, with all their errors.
#
# **Play.** On a line everything is exact for pairs that are optimal in batches: the fan of straight paths through a point, the
# flow, the floor of the loss and the cost. *Before you drag:* how many straight paths leave one point of noise, and which of them does
# the flow take?
#
# <details><summary>Answer</summary>
#
# From independent pairs, one to every example: a fan. The flow can only take their mean, and bends as the fan thins out on the way.
# Pairs from larger batches close the fan; after a reflow it is one line.
#
# </details>

# %%
explorers.paths(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 13.6 Any noise level, the same marginals
#
# The flow fixes the law of each $x_t$, not how one walks. With the score $\nabla \log p_t$, any $g \ge 0$ gives a walk
# (Albergo et al., 2023), written here for a step of length $h$ from $t$ to $t - h$:
#
# $$ x_{t-h} = x_t - h\, v(x_t, t) + \tfrac12\, h\, g^2\, \nabla \log p_t(x_t) + g \sqrt h\; \epsilon . $$
#
# Noise spreads, the score gathers, and the two cancel in law. **Predict.** What changes for one walker, what for the crowd?

# %%
@torch.no_grad()
def noisy_walk(z, g, steps=250, end=0.002):
    times, states = torch.linspace(1, end, steps + 1, device=z.device), [z]
    for t, r in zip(times, times[1:]):
        x, h = states[-1], t - r
        score = denoising.score(ideal_mean(x, t), x, t, line)
        now = g * t.sqrt()  # less noise where the score is steep
        x = x - h * exact(x, t) + 0.5 * h * now**2 * score + now * h.sqrt() * torch.randn_like(x)
        states.append(x)
    return torch.stack(states)


torch.manual_seed(SEED)
start = torch.randn(3000, 2, device=DEVICE)
start[:12] = torch.tensor([0.4, 0.3])
LEVELS = (0.0, 0.7, 2.0)
walks = {g: noisy_walk(start, g) for g in LEVELS}

# %% jupyter={"source_hidden": true}
# The figure: twelve walkers from one start, and where the crowd ends
def three_levels():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.7), sharex=True, sharey=True)
    for ax, (g, states) in zip(axes, walks.items()):
        plotting.points(states[-1, 12:1500], ax, color=colors.EXACT, size=4, alpha=0.4)
        ax.plot(states[:, :12, 0].cpu(), states[:, :12, 1].cpu(), color=colors.LATENT, lw=0.8, alpha=0.8)
        ax.set(xticks=[], yticks=[], title=f"g = {g:g}")


# %%
three_levels()
for g, states in walks.items():
    claim(f"g = {g:g}: sliced Wasserstein distance of the crowd to the data", metrics.sliced(states[-1, 12:], fresh[: len(start) - 12]), below=0.35, digits=1)
claim("g = 0: spread of the ends of twelve walkers from one start", walks[0.0][-1, :12].std(0).max(), below=1e-5)
claim("g = 2: the same", walks[2.0][-1, :12].std(0).max(), above=0.5, digits=1)

# %% [markdown]
# The crowd is the same. One walker is told where to go by its start if $g = 0$, and by chance otherwise. Here the score is
# exact; a learned one would add an error of its own.
#
# ## 13.7 Schrödinger's bridge
#
# Between optimal transport and independence lies a family. Ask for the coupling that is cheap *and* random:
#
# $$ \min_{\text{couplings}}\; \mathbb E\,\lVert x - \epsilon \rVert^2 + 2\sigma^2\, \mathrm{KL}\big(\text{pairs} \,\Vert\, \text{independent}\big) . $$
#
# Its pairs are the ends of **Schrödinger's bridge**: the law of Brownian motions with variance $\sigma^2$ that is nearest to
# free ones among all that start at the noise and end at the data. Between fixed ends each is a Brownian bridge. For
# numbers, $x \sim \mathcal N(0, s^2)$, all is Gaussian, and (Janati et al., 2020)
#
# $$ \operatorname{Cov}(x, \epsilon) = \tfrac12 \Big( \sqrt{4 s^2 + \sigma^4} - \sigma^2 \Big) . $$

# %%
one = lambda a: torch.tensor([[float(a)]], dtype=torch.float64)
formula = lambda sigma: 0.5 * (math.sqrt(4 * s**2 + sigma**4) - sigma**2)
bridges = {}
for sigma in (0.0, 1.0, 3.0):
    couple = couplings.entropic(torch.zeros(1).double(), one(s**2), sigma)
    x, e_1 = couple(s * torch.randn(4000, 1, dtype=torch.float64), torch.randn(4000, 1, dtype=torch.float64))
    times_1 = torch.linspace(0, 1, 101, dtype=torch.float64)
    W = torch.cat([torch.zeros(1, 4000), 0.1 * torch.randn(100, 4000)]).double().cumsum(0)
    loose = W - times_1[:, None] * W[-1]  # pinned at both ends
    bridges[sigma] = (1 - times_1[:, None]) * x[:, 0] + times_1[:, None] * e_1[:, 0] + sigma * loose
    claim(f"σ = {sigma:g}: covariance of a pair, formula less library", formula(sigma) - couplings.bridge(one(s**2), one(1), sigma)[0, 0], near=0, within=1e-9)
    claim(f"σ = {sigma:g}: standard deviation at the noise end", bridges[sigma][-1].std(), near=1, within=0.06, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: bridges of three levels of noise
def three_bridges():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.2), sharey=True)
    for ax, (sigma, paths) in zip(axes, bridges.items()):
        order = paths[-1].argsort()[20::160]
        shades = plt.cm.viridis(np.linspace(0.05, 0.9, len(order)))
        for k, shade in zip(order, shades):
            ax.plot(times_1, paths[:, k], color=shade, lw=1.1)
        ax.set(xlim=(1, 0), xlabel="t", title=f"σ = {sigma:g}, covariance {formula(sigma):.2f}")
    axes[0].set_ylabel("$x_t$")


# %%
three_bridges()
claim("σ = 0: covariance of a pair, that of equal ranks", formula(0.0), near=s, within=1e-9)
claim("σ = 3: covariance of a pair", formula(3.0), below=0.5, digits=2)

# %% [markdown]
# Colors show the rank of the noise. For $\sigma = 0$ ranks stay: optimal transport. The more noise is free, the less the start
# says about the end. At every $\sigma$ both ends keep their law.
#
# **Limits.** Everything here is exact because the targets are small mixtures. Reflow costs a whole sampling for each pair, and bridges beyond Gaussians must be learned. And no
# coupling of a finite batch has a floor of 0. Who wants one step learns the *map*: part b.
#
# ## References
#
# - Albergo, M., Boffi, N., & Vanden-Eijnden, E. (2023). Stochastic interpolants: a unifying framework for flows and diffusions.
# - Janati, H., et al. (2020). Entropic optimal transport between unbalanced Gaussian measures has a closed form. NeurIPS.
# - Lipman, Y., et al. (2023). Flow matching for generative modeling. ICLR, eq. 8.
# - Liu, X., Gong, C., & Liu, Q. (2023). Flow straight and fast: learning to generate and transfer data with rectified flow. ICLR.
# - Pooladian, A., et al. (2023). Multisample flow matching: straightening flows with minibatch couplings. ICML.
# - Tong, A., et al. (2024). Improving and generalizing flow-based generative models with minibatch optimal transport. TMLR.
