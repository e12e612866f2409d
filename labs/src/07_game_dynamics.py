# %% [markdown]
# # 7 · Game dynamics by hand
#
# **Why do two players circle, and what makes them converge?** You write the steps of [lecture
# 7](../lectures/07_game_dynamics.ipynb): simultaneous, alternating, and with a look ahead; the number that predicts
# where they lead; and the penalty that calms a GAN. Time: 60 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gdm_core import colors, plotting
from gdm_core.checks import lab07 as check

torch.manual_seed(0)
plotting.use_style()


def of_xy(w):
    """(f_x, f_y) of f = xy."""
    return torch.stack([w[1], w[0]])


def path(move, lr, steps=60):
    """States from (1, 0.6) on, (steps + 1, 2)."""
    states = [torch.tensor([1.0, 0.6])]
    for _ in range(steps):
        states.append(torch.as_tensor(move(of_xy, states[-1], lr), dtype=torch.float32))
    return torch.stack(states)


def three_paths(move, title):
    """Sixty moves on f = xy for three step sizes."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 4.2))
    for ax, lr in zip(axes, (0.1, 0.3, 0.6)):
        states = path(move, lr)
        ax.plot(*states.T, color=colors.NOISE, lw=0.8)
        ax.scatter(*states.T, c=range(len(states)), cmap="plasma", s=18, linewidths=0, zorder=2)
        ax.plot(0, 0, "+", color=colors.EXACT, ms=11, mew=2.5)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
        ax.set_title(f"η = {lr}", loc="center")
    fig.suptitle(title)

# %% [markdown] exercise={"name": "both_at_once", "difficulty": 1, "importance": 4, "minutes": 8}
# ## Exercise 1 · Both at once
#
# Two players share the state $w = (x, y)$. The first wants $f$ small, the second wants it large. In simultaneous
# gradient descent-ascent both move from the old state:
#
# $$ x' = x - \eta\, \frac{\partial f}{\partial x}(x, y), \qquad y' = y + \eta\, \frac{\partial f}{\partial y}(x, y) . $$
#
# Predict before you run: on $f = xy$, do they come closer to the equilibrium?
#
# <details><summary>Hint 1: what slope gives</summary>
#
# `slope(w)` returns both partial derivatives, `(2,)`.
#
# </details>
# <details><summary>Hint 2: two signs</summary>
#
# Multiply by `torch.tensor([-1.0, 1.0])`, or write both lines and `torch.stack` them.
#
# </details>

# %%
def both_at_once(slope, w: Tensor, lr: float) -> Tensor:
    """One move of both.

    slope: (d,) -> (d,), the partial derivatives of f; w: (d,) -> (d,), with d = 2.
    """
    ### BEGIN SOLUTION
    fx, fy = slope(w)
    return torch.stack([w[0] - lr * fx, w[1] + lr * fy])
    ### END SOLUTION

# %% tags=["check"]
check.both_at_once(both_at_once, show=lambda move: three_paths(move, "Both at once: outward"))

# %% [markdown] exercise={"name": "by_turns", "difficulty": 1, "importance": 4, "minutes": 8}
# ## Exercise 2 · By turns
#
# In the alternating version $x$ moves first, and $y$ answers at the new $x$:
#
# $$ x' = x - \eta\, \frac{\partial f}{\partial x}(x, y), \qquad y' = y + \eta\, \frac{\partial f}{\partial y}(x', y) . $$
#
# Predict before you run: what shape has the path on $f = xy$?
#
# <details><summary>Hint 1: two looks</summary>
#
# Compute the slope twice: at $(x, y)$ and at $(x', y)$.
#
# </details>
# <details><summary>Hint 2: a new pair</summary>
#
# `torch.stack([new_x, w[1]])` is the state for the second slope.
#
# </details>

# %%
def by_turns(slope, w: Tensor, lr: float) -> Tensor:
    """One move of x, then one of y, who sees it.

    slope: (d,) -> (d,), the partial derivatives of f; w: (d,) -> (d,), with d = 2.
    """
    ### BEGIN SOLUTION
    x = w[0] - lr * slope(w)[0]
    y = w[1] + lr * slope(torch.stack([x, w[1]]))[1]
    return torch.stack([x, y])
    ### END SOLUTION

# %% tags=["check"]
check.by_turns(by_turns, show=lambda move: three_paths(move, "By turns: round and round"))

# %% [markdown] exercise={"name": "look_ahead", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 3 · Look ahead
#
# Extragradient (Korpelevich, 1976) takes a trial step, and then moves the *old* $w$ by the pull found *there*. With
# $v = (-f_x, f_y)$:
#
# $$ \bar w = w + \eta\, v(w), \qquad w' = w + \eta\, v(\bar w) . $$
#
# <details><summary>Hint 1: use what there is</summary>
#
# The look ahead is one simultaneous step.
#
# </details>
# <details><summary>Hint 2: where the move starts</summary>
#
# Only the slope is taken at $\bar w$. The step begins at $w$.
#
# </details>

# %%
def look_ahead(slope, w: Tensor, lr: float) -> Tensor:
    """One step of extragradient.

    slope: (d,) -> (d,), the partial derivatives of f; w: (d,) -> (d,), with d = 2.
    """
    ### BEGIN SOLUTION
    signs = torch.tensor([-1.0, 1.0]).to(w)
    ahead = w + lr * signs * slope(w)
    return w + lr * signs * slope(ahead)
    ### END SOLUTION

# %% tags=["check"]
check.look_ahead(look_ahead, show=lambda move: three_paths(move, "With a look ahead: they arrive"))

# %% [markdown] exercise={"name": "growth", "difficulty": 2, "importance": 5, "minutes": 12}
# ## Exercise 4 · One number that predicts it
#
# On $f = xy$ each of these steps is linear, $w' = M w$. In the long run the distance grows by the **spectral radius** of $M$,
#
# $$ \rho = \max_k |\lambda_k|, \qquad \lambda_k \text{ the eigenvalues of } M . $$
#
# You get the step as a function and have to find $M$ yourself. A radius below 1 means that the players converge.
#
# <details><summary>Hint 1: the matrix of a linear map</summary>
#
# Its columns are what the map does to $(1, 0)$ and to $(0, 1)$.
#
# </details>
# <details><summary>Hint 2: complex eigenvalues</summary>
#
# `torch.linalg.eigvals` gives complex numbers; `.abs()` of one is its length.
#
# </details>

# %%
def growth(step) -> Tensor:
    """Spectral radius of a linear step.

    step: (d,) -> (d,), with d = 2.  -> ().
    """
    ### BEGIN SOLUTION
    columns = [step(e) for e in torch.eye(2)]
    return torch.linalg.eigvals(torch.stack(columns, 1)).abs().max()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def over_step_sizes(growth):
    turn = {
        "both at once": lambda w, h: torch.stack([w[0] - h * w[1], w[1] + h * w[0]]),
        "by turns": lambda w, h: torch.stack([w[0] - h * w[1], w[1] + h * (w[0] - h * w[1])]),
        "look ahead": lambda w, h: torch.stack([w[0] - h * (w[1] + h * w[0]), w[1] + h * (w[0] - h * w[1])]),
    }
    fig, ax = plt.subplots(figsize=(8, 4))
    sizes = torch.linspace(0.02, 1.4, 60)
    ax.axhline(1, color=colors.NOISE, lw=1)
    for (name, step), shade in zip(turn.items(), colors.COMPONENTS):
        values = [float(growth(lambda w, step=step, h=h: step(torch.as_tensor(w), float(h)))) for h in sizes]
        ax.plot(sizes, values, color=shade, label=name)
    ax.legend()
    ax.set(xlabel="step size η", ylabel="growth a step", title="Below the line they arrive")

# %% tags=["check"]
check.growth(growth, show=over_step_sizes)

# %% [markdown] exercise={"name": "penalty", "difficulty": 3, "importance": 4, "minutes": 12}
# ## Exercise 5 · A penalty that calms a GAN
#
# In a GAN the critic $D$ is the second player. R1 (Mescheder, Geiger & Nowozin, 2018) makes it pay for steep slopes
# on the data:
#
# $$ R_1 = \frac{\gamma}{2} \cdot \frac1B \sum_{b=1}^B \big\lVert \nabla_x D(x_b) \big\rVert^2 . $$
#
# It is part of the critic's loss, so its own gradient must reach the critic's parameters.
#
# <details><summary>Hint 1: all slopes at once</summary>
#
# $D(x_b)$ depends on $x_b$ alone, so the gradient of `critic(x).sum()` by x has the slope of each example in its row.
#
# </details>
# <details><summary>Hint 2: a gradient of a gradient</summary>
#
# `torch.autograd.grad(..., x, create_graph=True)` keeps the way back; x needs `requires_grad_()` first.
#
# </details>

# %%
def penalty(critic, x: Tensor, gamma: float) -> Tensor:
    """R1.

    critic: (B, d) -> (B,); x: (B, d).  -> (), with a gradient by the critic's parameters.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gamma / 2 * slope.square().sum(1).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_calm_critic(penalty):
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.8))
    torch.manual_seed(0)
    real, fake = torch.randn(200, 2) * 0.4 + 1, torch.randn(200, 2) * 0.4 - 1
    for ax, gamma in zip(axes, (0.0, 0.3, 3.0)):
        torch.manual_seed(1)
        critic = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 1), nn.Flatten(0))
        optimizer = torch.optim.Adam(critic.parameters(), 0.02)
        for _ in range(200):
            optimizer.zero_grad()
            loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
            (loss + (penalty.with_gradients(critic, real, gamma) if gamma else 0)).backward()
            optimizer.step()
        plotting.field(critic, ax, (-2.5, 2.5, -2.5, 2.5), cmap=colors.DIVERGING, vmin=-8, vmax=8)
        plotting.points(real, ax, color=colors.DATA, size=5)
        plotting.points(fake, ax, color=colors.MODEL, size=5)
        ax.set(xticks=[], yticks=[], xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))
        ax.set_title(f"γ = {gamma:g}", loc="center")

# %% tags=["check"]
check.penalty(penalty, show=a_calm_critic)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A paper integrates the dynamics of a GAN with a Runge-Kutta method of order 4 in place of plain steps, and reports that training
# no longer oscillates: "accurate integration cures GANs". What would you ask?
#
# Answer in three to six sentences in the cell below. A good answer says what the **exact flow** does on $f = xy$; what an integrator of
# order 4 **adds** to it; and names a **control** that would tell both explanations apart.

# %% [markdown]
# ### BEGIN SOLUTION
# The exact flow of $f = xy$ is a rotation: it never arrives, so accuracy cannot be what makes it arrive. Plain steps stretch by
# $\sqrt{1 + \eta^2}$; Runge-Kutta of order 4 shrinks a little at each step, $1 - \eta^6/72 + \eta^8/576$ in the square, so it arrives by
# an error of its own, its damping. Control: halve the step size (the damping all but vanishes; if it still arrives, the game has damping of
# its own), or take the implicit midpoint rule, which is accurate and keeps circles closed; or look at the eigenvalues of the flow itself,
# whose real parts say whether it is the game that damps.
#
# *Rubric, one point each:* the exact flow circles · the integrator's own damping · a control (smaller steps, midpoint, eigenvalues).
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# Three ways to move, one number that predicts where they lead, and the penalty with which GANs are trained today.
#
# **References.** G. M. Korpelevich, *The extragradient method*, 1976. L. Mescheder, A. Geiger, S. Nowozin, *Which training methods for GANs
# do actually converge?*, 2018 (R1). G. Gidel et al., *A variational inequality perspective on GANs*, 2019.
