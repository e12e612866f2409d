# %% [markdown]
# # 13 · Straight paths by hand
#
# **How do we get from noise to data along lines, and at last in one jump?** You write the pieces of [lecture
# 13](../lectures/13_straight_paths.ipynb) and [its second part](../lectures/13b_few_steps.ipynb): a line and its
# velocity, pairs that belong together, a step of a solver, jumps of a flow map, and the target that such a map learns
# from. Time: 65 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one
# line. No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.
# Everywhere $t = 0$ is data and $t = 1$ is noise.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.func import jvp

from gdm_core import colors, ideal, plotting, samplers, schedules
from gdm_core.checks import lab13 as check
from gdm_core.data import toy

torch.manual_seed(0)
plotting.use_style()
RING = toy.target("eight_gaussians")
MEAN = ideal.mixture(RING.means, RING.std, RING.weights, schedules.line)


def framed(ax, title, reach=4.0):
    ax.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(title, loc="center")


def exact_velocity(x, t):
    """Of the flow from noise to the ring of eight, at one time t > 0."""
    x = torch.as_tensor(x).float()
    return (x - MEAN(x, torch.tensor(float(t)))) / float(t)

# %% [markdown] exercise={"name": "on_the_line", "difficulty": 1, "importance": 5, "minutes": 8}
# ## Exercise 1 · A point on a line, and what to learn there
#
# In flow matching each pair of an example $x$ and noise $\epsilon$ is joined by a straight line. Each pair $b$ of a
# batch has a time $t_b$ of its own:
#
# $$ x_t = (1 - t)\, x + t\, \epsilon, \qquad \frac{dx_t}{dt} = \; ? $$
#
# The network is shown the first and learns the second. Return both.
#
# <details><summary>Hint 1: shapes</summary>
#
# `t[:, None]` is `(B, 1)` and multiplies `(B, d)`.
#
# </details>
# <details><summary>Hint 2: a line has one slope</summary>
#
# Differentiate with respect to $t$. What is left does not depend on $t$.
#
# </details>

# %%
def on_the_line(x: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t and its velocity.  x, noise: (B, d); t: (B,).  -> (B, d) each."""
    ### BEGIN SOLUTION
    t = t[:, None]
    return (1 - t) * x + t * noise, noise - x
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_ring_from_noise(on_the_line):
    torch.manual_seed(0)
    x, noise = RING.sample(600), torch.randn(600, 2)
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    for ax, t in zip(axes, (1.0, 0.6, 0.3, 0.0)):
        x_t, v = (torch.as_tensor(part).float() for part in on_the_line(x, noise, torch.full((600,), t)))
        plotting.points(x_t, ax, color=colors.DATA, size=5)
        ax.quiver(*x_t[:60].T, *-v[:60].T, color=colors.LATENT, width=0.005, angles="xy", scale_units="xy", scale=5)
        framed(ax, f"t = {t:g}")

# %% tags=["check"]
check.on_the_line(on_the_line, show=a_ring_from_noise)

# %% [markdown] exercise={"name": "optimal_pairs", "difficulty": 3, "importance": 4, "minutes": 12}
# ## Exercise 2 · Which noise goes with which example?
#
# Lines cross less if noise is paired with a near example (minibatch optimal transport). A batch has $B$ numbers $x_b$
# and $B$ noises. Put the *noise* in another order $\pi$, so that
#
# $$ \sum_b \big( x_b - \epsilon_{\pi(b)} \big)^2 $$
#
# is as small as possible. Each noise is used exactly once, and $x$ keeps its order, because its labels are stored
# beside it.
#
# <details><summary>Hint 1: lines that cross</summary>
#
# If $x_1 < x_2$ but $\epsilon_{\pi(1)} > \epsilon_{\pi(2)}$, exchange the two noises: the sum falls. So the $k$-th
# smallest $x$ gets the $k$-th smallest noise.
#
# </details>
# <details><summary>Hint 2: the rank of each x</summary>
#
# `x.argsort()` says *who* is the $k$-th smallest. `x.argsort().argsort()` says *which* rank each one has.
#
# </details>

# %%
def optimal_pairs(x: Tensor, noise: Tensor) -> Tensor:
    """The noise in the order of its partners.  x, noise: (B,).  -> (B,)."""
    ### BEGIN SOLUTION
    return noise.sort().values[x.argsort().argsort()]
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def lines_that_cross(optimal_pairs):
    torch.manual_seed(0)
    x, noise = 2 * torch.randn(40), torch.randn(40)
    _, axes = plt.subplots(1, 2, figsize=(12, 3.6), sharey=True)
    for ax, e, title in zip(axes, (noise, torch.as_tensor(optimal_pairs(x, noise)).float()), ("as they came", "in your order")):
        ax.plot([1, 0], torch.stack([e, x]), color=colors.DATA, lw=1)
        ax.plot([1] * 40, e, "o", color=colors.NOISE, ms=5)
        ax.plot([0] * 40, x, "o", color=colors.DATA, ms=5)
        ax.set(xlim=(1.03, -0.03), xlabel="t", title=f"{title}: mean squared distance {(x - e).square().mean():.2f}")

# %% tags=["check"]
check.optimal_pairs(optimal_pairs, show=lines_that_cross)

# %% [markdown] exercise={"name": "heun_step", "difficulty": 2, "importance": 4, "minutes": 12}
# ## Exercise 3 · A better step
#
# A sampler follows the flow $dx/dt = v(x, t)$ from $t$ *down* to $r < t$. Euler's step is
# $\tilde x = x - (t - r)\, v(x, t)$. Heun's method evaluates $v$ once more where that step lands, and uses the mean of
# the two:
#
# $$ x' = x - (t - r)\, \tfrac12 \big( v(x, t) + v(\tilde x, r) \big) . $$
#
# <details><summary>Hint 1: the sign</summary>
#
# Time falls. With $v = \epsilon - x$ you walk *against* $v$.
#
# </details>
# <details><summary>Hint 2: one landing, two slopes</summary>
#
# $\tilde x$ is used only to evaluate $v$; the step itself starts again at $x$.
#
# </details>

# %%
def heun_step(v, x: Tensor, t: float, r: float) -> Tensor:
    """One step from t to r.  v: (B, d), t -> (B, d); x: (B, d).  -> (B, d)."""
    ### BEGIN SOLUTION
    here = v(x, t)
    there = v(x - (t - r) * here, r)
    return x - (t - r) * (here + there) / 2
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def euler_and_heun(heun_step, end=0.02):
    torch.manual_seed(0)
    noise = torch.randn(600, 2)
    _, axes = plt.subplots(2, 4, figsize=(14, 7.2))
    for row, name in zip(axes, ("Euler", "yours")):
        for ax, steps in zip(row, (1, 2, 4, 8)):
            x, times = noise, torch.linspace(1, end, steps + 1).tolist()
            for t, r in zip(times, times[1:]):
                x = x - (t - r) * exact_velocity(x, t) if name == "Euler" else torch.as_tensor(heun_step(exact_velocity, x, t, r)).float()
            plotting.points(x, ax, color=colors.MODEL, size=5)
            framed(ax, f"{name}, {steps} step{'s' * (steps > 1)}")

# %% tags=["check"]
check.heun_step(heun_step, show=euler_and_heun)

# %% [markdown] exercise={"name": "jumps", "difficulty": 1, "importance": 4, "minutes": 8}
# ## Exercise 4 · Jumps of a flow map
#
# A flow map knows the average velocity $u(z, t, r)$ between two times, and jumps from one to the other:
#
# $$ \mathrm{jump}(z, t, r) = z - (t - r)\, u(z, t, r) . $$
#
# Take $K$ jumps of equal length from $t = 1$ to $t = 0$.
#
# Predict before you run: what changes with $K$, if $u$ is exact?
#
# <details><summary>Hint 1: times</summary>
#
# Jump $k = 0, 1, \dots$ goes from $1 - k/K$ to $1 - (k + 1)/K$.
#
# </details>
# <details><summary>Hint 2: both times</summary>
#
# $u$ is given the two times of its own jump, where that jump starts and where it ends, not the end of the whole way.
#
# </details>

# %%
def jumps(u, z: Tensor, K: int) -> Tensor:
    """From noise z to data.  u: (B, d), t, r -> (B, d); z: (B, d).  -> (B, d)."""
    ### BEGIN SOLUTION
    for k in range(K):
        t, r = 1 - k / K, 1 - (k + 1) / K
        z = z - (t - r) * u(z, t, r)
    return z
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def any_number_of_jumps(jumps):
    def average(z, t, r):
        z, times = torch.as_tensor(z).float(), torch.linspace(float(t), float(r), 31).clamp(min=0)
        return (z - samplers.last(samplers.heun(MEAN, schedules.line, z, times))) / (t - r)

    torch.manual_seed(0)
    noise = torch.randn(600, 2)
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    plotting.points(noise, axes[0], color=colors.NOISE, size=5)
    framed(axes[0], "noise")
    for ax, K in zip(axes[1:], (1, 2, 5)):
        plotting.points(torch.as_tensor(jumps(average, noise, K)).float(), ax, color=colors.EXACT, size=5)
        framed(ax, f"{K} jump{'s' * (K > 1)}")

# %% tags=["check"]
check.jumps(jumps, show=any_number_of_jumps)

# %% [markdown] exercise={"name": "goal", "difficulty": 3, "importance": 5, "minutes": 15}
# ## Exercise 5 · The target of MeanFlow
#
# The average velocity is right if it equals its **goal**
#
# $$ v - (t - r)\, \big( v\, \partial_z u + \partial_t u \big) . $$
#
# The derivative is taken along the flow: $z$ moves with velocity $v$ while $t$ moves with 1, and $r$ stays. Since the
# goal is computed from the network itself, it must be **held fixed**: no gradient may flow through it to the weights.
#
# <details><summary>Hint 1: a derivative along a direction</summary>
#
# `jvp(f, (z, t), (v, torch.ones_like(t)))` gives $f(z, t)$ and its derivative along $(v, 1)$ in one pass.
#
# </details>
# <details><summary>Hint 2: a function of z and t alone</summary>
#
# `lambda z, t: u(z, t, r)` keeps $r$ fixed; `.detach()` stops the gradient.
#
# </details>

# %%
def goal(u, z: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
    """What u(z, t, r) should be.  u: (B, d), (B,), (B,) -> (B, d); z, v: (B, d); t, r: (B,).  -> (B, d)."""
    ### BEGIN SOLUTION
    slope = jvp(lambda z, t: u(z, t, r), (z, t), (v, torch.ones_like(t)))[1]
    return (v - (t - r)[:, None] * slope).detach()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def one_learned_jump(goal):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
    u = lambda z, t, r: layers(torch.cat([z, t[:, None], r[:, None]], 1))
    optimizer = torch.optim.Adam(layers.parameters(), 5e-3)
    for _ in range(600):
        x, noise, (a, b, toss) = RING.sample(256), torch.randn(256, 2), torch.rand(3, 256)
        t, r = torch.maximum(a, b), torch.where(toss < 0.5, torch.maximum(a, b), torch.minimum(a, b))
        z = (1 - t)[:, None] * x + t[:, None] * noise
        loss = (u(z, t, r) - goal.with_gradients(u, z, t, r, noise - x)).square().sum(1).mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    _, axes = plt.subplots(1, 2, figsize=(9, 4.5))
    z, one = torch.randn(800, 2), torch.ones(800)
    with torch.no_grad():
        for ax, r, title in zip(axes, (one, 0 * one), ("Euler's step: z − u(z, 1, 1)", "one jump: z − u(z, 1, 0)")):
            plotting.points(z - u(z, one, r), ax, color=colors.MODEL, size=5)
            framed(ax, title)

# %% tags=["check"]
check.goal(goal, show=one_learned_jump)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A colleague trains a flow map on pictures. In fifty jumps it draws well. In one jump every picture is the same gray
# mean. The loss fell and stays low. What would you look at first, and how would you find out?
#
# Answer in three to six sentences in the cell below. A good answer names a **cause** that spares the fifty jumps; a
# **test** that is cheap; and one **other cause**, with what you would see if that were the reason instead.

# %% [markdown]
# ### BEGIN SOLUTION
# The mean is Euler's step from pure noise, $z - v(z, 1)$, so I would suspect that the network answers $v$ whatever $r$ it is told: $r$ does not
# reach it, or all of the batch has $r = t$, which is flow matching and needs fifty steps. Test: compare $u(z, 1, 0)$ with $u(z, 1, 1)$ for a few $z$;
# if they are equal, look at how $r$ is drawn and passed on. Another cause is a goal without its derivative, $v$ alone in place of
# $v - (t - r)\, D u$. Then $r$ is told and long jumps are trained, yet they are trained towards $v$; the residual of the identity at $r = 0$ is large,
# while with $r = t$ for all there is nothing wrong that the loss could show.
#
# *Rubric, one point each:* the network has learned $v$ alone, and one Euler step is the mean · a comparison of $u$ at two $r$, or a look at the $r$ drawn
# · another cause, and what would be seen.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A line and its velocity, pairs that do not cross, a second-order solver, and a map that needs no solver, with the
# target it learns from.
#
# **References.** Y. Lipman et al., *Flow matching for generative modeling*, 2023. X. Liu, C. Gong, Q. Liu, *Flow
# straight and fast*, 2023. A. Tong et al., *Improving and generalizing flow-based generative models with minibatch
# optimal transport*, 2024. Z. Geng et al., *Mean flows for one-step generative modeling*, 2025.
