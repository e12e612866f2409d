# %% [markdown]
# # 13 · Straight paths
#
# **Between noise and data every path may be a straight line. Why does the flow bend, and what does it cost to unbend
# it?**
#
# After this lecture you can
#
# - train a flow by regression on straight lines (flow matching), and say what one large step does;
# - compute the floor of a loss, and read a loss below it as an alarm;
# - choose which noise is paired with which example: independently, by optimal transport, by reflow, by a Schrödinger
#   bridge;
# - say what stays the same when a sampler is made noisy.
#
# You need: chapter 12's denoiser, Gaussians, an ordinary differential equation. Time: 45 minutes to read, 10 more to play.

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
# Chapter 12 mixed data and noise so that the total variance stays 1, and the path from $x$ to $\epsilon$ is part of an
# ellipse. Nothing forces that choice. The simplest path is a straight line (Lipman et al., 2023; Liu et al., 2023;
# Albergo & Vanden-Eijnden, 2023):
#
# $$ x_t = (1 - t)\, x + t\, \epsilon, \qquad \frac{dx_t}{dt} = \epsilon - x . $$
#
# If we knew $x$ and $\epsilon$, we would travel at the constant velocity $\epsilon - x$. But a sampler sees only $x_t$,
# and many pairs may lie behind it. So we train a network by regression, and it learns their mean velocity:
#
# $$ \min_v\; \mathbb E\, \lVert v(x_t, t) - (\epsilon - x) \rVert^2
# \quad\Longrightarrow\quad v(x_t, t) = \mathbb E[\epsilon - x \mid x_t] . $$
#
# This is **flow matching**. It is chapter 12's model with another schedule, $\alpha_t = 1 - t$ and $\sigma_t = t$. To
# generate, follow the ODE $dx/dt = v(x, t)$ back from noise at $t = 1$ to data at $t = 0$.

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
# Our target is a mixture of Gaussians, so the exact $v$ has a formula too, and we can walk with either.
#
# **Predict before you run.** Suppose that you take the whole way from noise in a single Euler step:
# $x_0 = x_1 - v(x_1, 1)$. Where do you land?

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
# The upper row answers: in one step every sample lands on the same point, the mean of the data. At $t = 1$ all that you
# see is noise, which says nothing about $x$. So $v(x_1, 1) = x_1 - \mathbb E[x]$, and the step leads to $\mathbb E[x]$.
# Better training cannot cure this, since it is the *exact* velocity that lands there. With more steps the ring appears.
# The number under each picture is the sliced Wasserstein distance to fresh data: project both samples onto a line, sort
# them, compare, and average over many lines.
#
# ## 13.2 The paths are straight, the flow is not
#
# But were the paths not straight? Then a single step should do. The answer is that there are two kinds of path. The
# **conditional paths** of the regression are straight, each from one $\epsilon$ to one $x$. No sampler follows them.
# Where conditional paths come close to one another, many of them lie behind $x_t$, and the flow takes their mean
# direction. Two lines of the *flow*, on the other hand, **never meet**: at one point and time there is only one $v$. So
# flow lines have to turn away from each other where conditional paths would cross.

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
# Both panels start from the same noise (gray). On the right the lines are a fifth longer than the distance from start
# to end, although the regression saw only straight lines. "Straight conditional paths make the flow straight" is a
# frequent mistake. A straight flow could be walked in one step; this one cannot.
#
# The same happens with pictures. Our data are 2,000 drawn digits, and here too the exact velocity is known: the mean of
# the data behind $x_t$ is a weighted average of the 2,000, where each digit counts by how well it explains $x_t$.

# %%
digits = strokes.load(n=2000, seed=SEED, device=DEVICE).x * 2 - 1  # (2000, 1, 28, 28)
mean_behind = ideal.training_set(digits, line)
torch.manual_seed(SEED)
z = torch.randn(4, 1, 28, 28, device=DEVICE)
at = torch.linspace(1, 0, 61, device=DEVICE)
film = list(samplers.ddim(mean_behind, line, z, at))  # on the line, ddim is Euler's method

# %% jupyter={"source_hidden": true}
# The figure: a conditional path; below it, along three flows, the mean of the data behind
def films():
    _, ax = plt.subplots(figsize=(13, 5.2))
    shown = range(0, 61, 6)
    rows = [torch.cat([(1 - at[i]) * digits[3:4] + at[i] * z[3:4] for i in shown])]
    rows += [torch.cat([mean_behind(film[i][k : k + 1], at[i]) for i in shown]) for k in range(3)]
    plotting.images(((torch.cat(rows).cpu() + 1) / 2).clamp(0, 1), ax, columns=len(shown))
    for k, name in enumerate(("a conditional path", "flow 1", "flow 2", "flow 3")):
        ax.text(-4, 29 * k + 14, name, ha="right", va="center", fontsize=13)
    ax.set_title("One conditional path, and the mean of the data behind the state along three flows", loc="center")


# %%
films()
ends = torch.cdist(film[-1].flatten(1), digits.flatten(1)).min(1).values
claim("where flows end: largest distance to the nearest of the 2,000", ends.max(), below=0.1, digits=1)

# %% [markdown]
# The top row is one conditional path. Each row below shows, along one flow, the mean of the data behind the current
# state: it starts as the mean of all digits, a gray blur, and becomes more definite on the way. The flow bends
# *because* this mean changes. In the end it is one of the 2,000 digits; part 12b explains why a network does better
# than this exact answer.
#
# ## 13.3 A floor under the loss
#
# How low can the loss of flow matching go? Not to zero. Even the exact $v$ cannot know which line it is on, and what
# remains is $\mathbb E \operatorname{Var}(\epsilon - x \mid x_t)$. In one dimension, with $x \sim \mathcal N(0, s^2)$
# and independent noise, $\epsilon - x$ and $x_t$ are jointly Gaussian, and this floor has a formula:
#
# $$ \operatorname{Var}(\epsilon - x \mid x_t) = 1 + s^2 - \frac{(t - (1-t) s^2)^2}{t^2 + (1-t)^2 s^2} = \frac{s^2}{t^2 + (1-t)^2 s^2}, \qquad
# \int_0^1 \frac{s^2\, dt}{t^2 + (1-t)^2 s^2} = \frac{\pi s}{2} . $$
#
# **Predict before you run.** We train twice. In one of the runs somebody typed `rand` (uniform noise on [0, 1]) instead
# of `randn`. Which loss is lower?

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
claim("uniform noise by mistake: mean loss of the last 200 steps", np.mean(losses["rand"][-200:]), below=0.7 * floor, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: both losses and the floor
def alarm():
    _, ax = plt.subplots(figsize=(9, 3.8))
    smooth = lambda a: np.convolve(a, np.ones(15) / 15, "valid")
    ax.axhline(floor, color=colors.EXACT, lw=6, alpha=0.35)
    ax.text(385, floor + 0.12, "floor", color=colors.EXACT, fontweight="bold", ha="right")
    ax.plot(smooth(losses["randn"]), color=colors.MODEL)
    ax.plot(smooth(losses["rand"]), color=colors.ACCENT)
    ax.text(385, np.mean(losses["rand"][-50:]) + 0.25, "with the bug: uniform noise", color=colors.ACCENT, fontweight="bold", ha="right")
    ax.set(xlabel="step", ylabel="loss", ylim=(0, 6), title="A loss below its floor is an alarm")


# %%
alarm()

# %% [markdown]
# The run with the bug has the lower loss. Uniform noise varies less, so there is less to guess. Without the floor, a
# drop from 3.16 to 0.9 would look like progress; with it, we know that something is wrong. Conversely, a loss far above
# zero is no sign of a bad model: the correct run sits right on its floor.
#
# ## 13.4 Couplings: which noise goes with which example
#
# If crossing lines are the trouble, pair noise and data so that they cross less. We may choose the two ends of a line
# *together*, as long as each alone keeps its distribution. Such a choice is called a **coupling**. An easy one is
# **minibatch optimal transport** (Pooladian et al., 2023; Tong et al., 2024): in each batch of $B$ pairs, permute the
# noise so that the sum of squared distances is smallest.
#
# **Predict before you run.** What happens to the floor of the loss as the batches grow?

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
    for k, (line_of, name, color) in enumerate(((exact_floor, "floor", colors.EXACT), (exact_cost, "cost", colors.ACCENT))):
        ax.plot(BATCHES, line_of, color=color, lw=6, alpha=0.35)
        ax.plot(BATCHES, [m[k] for m in measured], "o", color=color)
        ax.text(4.6, line_of[1] + 0.25, name, color=color, fontweight="bold")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="pairs in a batch", xticks=BATCHES, xticklabels=BATCHES, ylim=(0, 5.3), title="In one dimension, s = 2")


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
# The first three panels show fewer and fewer crossings. The fourth shows what this does in one dimension: dots are
# measured, bands exact. The floor falls toward 0, because with optimal pairs $x_t$ reveals which line it is on. The
# cost, the mean squared length of a line, falls toward the least possible, $(s-1)^2$.
#
# The last two claims warn of a shortcut. **A coupling must keep both distributions.** If each $x$ simply takes its
# nearest noise, some noise is used often and some never: only 45% of it appears, and with a standard deviation of 1.8
# instead of 1. The network is then trained on noise that no sampler starts from.
#
# ## 13.5 Rectified flow
#
# A batch knows only a few examples. There is a coupling that knows all of the data: the flow itself. Walk from
# $\epsilon$ along the flow to its end $T(\epsilon)$, and train a second flow on the pairs $(T(\epsilon), \epsilon)$.
# This is **reflow**, the step that makes a **rectified flow** (Liu et al., 2023). In one dimension we know what to
# expect. Flow lines never cross, so $T$ keeps the order of points; and the only increasing map from noise to data is
# the **quantile map** $F^{-1}(\Phi(\epsilon))$.

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
# The figure: in one dimension, conditional paths, the flow, and the lines of its pairs
def three_bundles():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.2), sharex=True, sharey=True)
    t = np.linspace(1, 1e-9, 120)
    torch.manual_seed(SEED)
    x = bumps.sample(45).double()[:, 0]
    for ax, paths, color, title in zip(
        axes,
        ((1 - t[:, None]) * x.numpy() + t[:, None] * starts.numpy(), way.sol(t).T, (1 - t[:, None]) * landed.numpy() + t[:, None] * starts.numpy()),
        (colors.DATA, colors.EXACT, colors.COMPONENTS[0]),
        ("Independent pairs", "The flow of these pairs", "Pairs after one reflow"),
    ):
        ax.plot(t, paths, color=color, lw=1, alpha=0.75)
        ax.set(xlim=(1, 0), xlabel="t", title=title)
    axes[0].set_ylabel("$x_t$")


# %%
three_bundles()

# %% [markdown]
# From left to right: lines of independent pairs cross everywhere; the flow that they define does not cross but bends;
# the lines of the flow's own pairs are straight *and* do not cross. After reflow $x_t$ reveals its line. The new floor
# is 0, the new velocity is $\epsilon - T(\epsilon)$ all along the line, and **one Euler step is exact**. In $d$
# dimensions the same is true whenever no two lines of the pairs are at the same place at the same time. We can check it
# for $x \sim \mathcal N(m, \Sigma)$, where the map is $T(\epsilon) = m + \Sigma^{1/2} \epsilon$.

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
# **Predict before you run.** After reflow the lines are straight and do not cross. Is $T$ then optimal transport, the
# map with the smallest mean squared distance?
#
# In one dimension it is. In the plane it need not be. Take this coupling of $\mathcal N(0, I)$ with itself: rotate each
# $\epsilon$ by $120^\circ$, $x = R\,\epsilon$. No two of its lines are ever at the same place at the same time, because
# $x_t = ((1-t) R + t I)\, \epsilon$ can be solved for $\epsilon$. So its flow is straight, one step is exact, and
# reflow changes nothing. Yet the cheapest map would be to stay where one is. Do flows from independent pairs also miss
# the optimum? We try a Gaussian and two moons.

# %%
angle = math.radians(120)
R = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
least = min(torch.linalg.det((1 - t) * R + t * torch.eye(2).double()).item() for t in np.linspace(0, 1, 101))
claim("least determinant of (1 − t) R + t I on the way", least, above=0.1, digits=2)
turned = e @ R.T
best = couplings.optimal(e[torch.randperm(200)], e)
claim("squared distance of a turned pair, mean", (turned - e).square().sum(1).mean(), above=4, digits=2)
claim("squared distance of a pair by optimal transport, mean", (best[0] - best[1]).square().sum(1).mean(), near=0, within=1e-9)

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
    for ax, x, eps, title in zip(axes, (turned[:60], turned[:60], T_600[:150]), (e[:60], best_e, e_600[:150]), ("A rotation: straight but long", "The same, optimal: short", "Moons: nearly optimal")):
        ends = torch.stack([x, eps])
        ax.plot(ends[..., 0], ends[..., 1], color=colors.DATA, lw=0.9, alpha=0.6)
        plotting.points(eps, ax, color=colors.NOISE, size=18, alpha=1)
        plotting.points(x, ax, color=colors.EXACT, size=18, alpha=1)
        ax.set(xticks=[], yticks=[], title=title, xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))


# %%
straight_is_not_shortest()

# %% [markdown]
# By little, if at all: for the Gaussian the flow's pairs are optimal, and for the moons they cost 0.1% more than
# optimal pairs of the same points. So reflow makes a flow straight, not shortest. It also has a price: its "data" are
# samples of the first model, with all of that model's errors.
#
# **Play.** On a line everything is exact for pairs that are optimal in batches: the fan of straight paths through a
# point, the flow, the floor of the loss and the cost. *Before you drag:* how many straight paths leave one point of
# noise, and which of them does the flow take?
#
# <details><summary>Answer</summary>
#
# From independent pairs, one to every example: a fan. The flow can only take their mean, and it bends as the fan
# becomes narrower on the way. Larger batches close the fan; after a reflow it is a single line.
#
# </details>

# %%
explorers.paths(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 13.6 Noisy or not, the same marginals
#
# In 12.6 a walk with noise and one without had the same distribution at every time. This freedom has nothing to do with
# diffusion's schedule. A flow determines the distribution $p_t$ of $x_t$, but not how a single point gets there. Given
# the score $\nabla \log p_t$, any noise level $g \ge 0$ gives a valid walk (Albergo et al., 2023). Here is one step of
# length $h$, from $t$ to $t - h$:
#
# $$ x_{t-h} = x_t - h\, v(x_t, t) + \tfrac12\, h\, g^2\, \nabla \log p_t(x_t) + g \sqrt h\; \epsilon . $$
#
# The noise spreads the points, the score pulls them together, and on average over the crowd the two cancel. (In the
# code $g$ is multiplied by $\sqrt t$, because near the data the score is steep.)
#
# **Predict before you run.** What does more noise change for one walker, and what for the crowd?

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
        ax.plot(states[:, :12, 0].cpu(), states[:, :12, 1].cpu(), color=colors.ACCENT, lw=0.8, alpha=0.8)
        ax.set(xticks=[], yticks=[], title=f"g = {g:g}")


# %%
three_levels()
for g, states in walks.items():
    claim(f"g = {g:g}: sliced Wasserstein distance of the crowd to the data", metrics.sliced(states[-1, 12:], fresh[: len(start) - 12]), below=0.35, digits=1)
claim("g = 0: spread of the ends of twelve walkers from one start", walks[0.0][-1, :12].std(0).max(), below=1e-5)
claim("g = 2: spread of the ends of twelve walkers from one start", walks[2.0][-1, :12].std(0).max(), above=0.5, digits=1)

# %% [markdown]
# For the crowd (green) nothing changes: its distance to the data is about the same at all three levels. The twelve
# walkers (orange) leave from one point. Without noise all of them end at the same place, because the start decides; with
# $g = 2$ chance decides, and they reach modes all around the ring. With a learned score in place of the exact one, its
# error would be added.
#
# ## 13.7 Schrödinger bridges
#
# Section 13.4 had two extremes: independent pairs, which know nothing of each other, and optimal pairs, which determine
# each other. Between them lies a family. Ask for a coupling that is cheap *and* still random:
#
# $$ \min_{\text{couplings}}\; \mathbb E\,\lVert x - \epsilon \rVert^2 + 2\sigma^2\, \mathrm{KL}\big(\text{pairs} \,\Vert\, \text{independent}\big) . $$
#
# This is **entropic optimal transport**. Its pairs are the two ends of a **Schrödinger bridge**: of all random
# processes that start at the noise and end at the data, the one closest (in KL) to Brownian motion of variance
# $\sigma^2$. Once both ends are given, the path between them is a Brownian bridge. In one dimension, with
# $x \sim \mathcal N(0, s^2)$, everything is Gaussian, and (Janati et al., 2020)
#
# $$ \operatorname{Cov}(x, \epsilon) = \tfrac12 \Big( \sqrt{4 s^2 + \sigma^4} - \sigma^2 \Big) . $$
#
# **Predict before you run.** What do the paths look like for $\sigma = 0$, and for a large $\sigma$?

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
# Colors show the rank of the noise. For $\sigma = 0$ ranks are kept, the paths are straight, and we are back at optimal
# transport, with covariance 2. The larger $\sigma$ is, the less the start says about the end: at $\sigma = 3$ the
# covariance is down to 0.42. At every $\sigma$ both ends keep their distributions.
#
# ## What to keep, and what is not settled
#
# - Flow matching is regression on $\epsilon - x$; the answer is a mean, $\mathbb E[\epsilon - x \mid x_t]$.
# - Conditional paths are straight, flow lines are not, and one Euler step from noise lands on the mean of the data.
# - The loss has a floor. For Gaussian numbers it is $\pi s/2$; a loss below it means a bug.
# - Minibatch optimal transport lowers the floor. Reflow removes it when lines do not meet: straight, but not always
#   shortest.
# - Noise may be added to the walk if the score balances it; the marginals stay.
#
# Honest limits. Everything here is exact because the targets are small mixtures. Reflow costs a whole sampling run for
# each pair; bridges beyond Gaussians must be learned; and optimal pairs in finite batches still leave a floor above 0.
# Whoever wants a single step can learn the *map* $T$ instead of the velocity. That is part 13b.
#
# ## References
#
# - Albergo, M., & Vanden-Eijnden, E. (2023). Building normalizing flows with stochastic interpolants. ICLR.
# - Albergo, M., Boffi, N., & Vanden-Eijnden, E. (2023). Stochastic interpolants: a unifying framework for flows and
#   diffusions.
# - Janati, H., et al. (2020). Entropic optimal transport between unbalanced Gaussian measures has a closed form.
#   NeurIPS.
# - Lipman, Y., et al. (2023). Flow matching for generative modeling. ICLR, eq. 8.
# - Liu, X., Gong, C., & Liu, Q. (2023). Flow straight and fast: learning to generate and transfer data with rectified
#   flow. ICLR.
# - Pooladian, A., et al. (2023). Multisample flow matching: straightening flows with minibatch couplings. ICML.
# - Tong, A., et al. (2024). Improving and generalizing flow-based generative models with minibatch optimal transport.
#   TMLR.
