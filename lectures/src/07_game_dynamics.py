# %% [markdown]
# # 7 · Game dynamics: why two players circle
#
# **What happens when two players learn at the same time, each against the other?**
#
# After this lecture you can
#
# - compute by hand one step of any learning rule on the smallest game, and tell from one number whether it will
#   converge;
# - separate what a game does in continuous time from what a numerical integrator adds;
# - explain each cure by what it does to eigenvalues, and say when eigenvalues do not decide;
# - try the same rules on a small GAN, and say how far the small game predicted the outcome.
#
# You need: gradients and complex numbers. Time: 45 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more GANs, longer training
DATASET = "moons"  # or "banana", "pinwheel", "gaussian": what the GANs of 7.7 learn
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import silu, softplus

from gdm_core import colors, games, plotting, two_sample
from gdm_core.course.claims import claim
from gdm_core.data import toy
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["moons", "banana", "pinwheel", "gaussian"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)
EQUAL = 1e-10  # what "the same to rounding" means here

# %% [markdown]
# ## 7.1 One step by hand
#
# So far one model descended one loss. In a GAN (chapter 8) two networks learn at the same time, and what is good for
# one is bad for the other. Training then behaves in ways that no single loss can explain: it circles, and losses
# swing without falling. To see why, we shrink the two networks to two numbers:
#
# $$ \min_x \max_y \; f(x, y), \qquad f(x, y) = x\,y . $$
#
# One player chooses $x$ and wants $f$ small; the other chooses $y$ and wants $f$ large. At $(0, 0)$ neither can gain
# by moving alone: this is the game's **Nash equilibrium**. Anywhere else the first is pulled down its slope
# $\partial f / \partial x = y$ and the second up its slope $\partial f / \partial y = x$. If both take a step of size
# $\eta$ at once, the rule is **simultaneous gradient descent-ascent**:
#
# $$ x \leftarrow x - \eta\, y, \qquad y \leftarrow y + \eta\, x . $$
#
# From $(1, 0)$ and with $\eta = 1/2$: the first step goes to $(1, 1/2)$, the second to $(3/4, 1)$.
#
# **Predict before you run.** Will the two find the equilibrium? Where are they after forty steps of $\eta = 0.3$?

# %%
def both_at_once(x, y, lr, steps):
    states = [(x, y)]
    for _ in range(steps):
        x, y = x - lr * y, y + lr * x  # both see the old values
        states.append((x, y))
    return torch.tensor(states, dtype=torch.float64)


out = both_at_once(1.0, 0.0, 0.3, 40)

# %% jupyter={"source_hidden": true}
# The figure: the path, and f over the steps, one player's loss and minus the other's
def walk(states, ax, size=26):
    """States joined by a line, early ones dark, late ones bright."""
    x, y = states.T
    ax.plot(x, y, color=colors.NOISE, lw=0.8, alpha=0.7, zorder=1)
    ax.scatter(x, y, c=range(len(x)), cmap="plasma", s=size, zorder=2, linewidths=0)
    ax.plot(0, 0, "+", color=colors.EXACT, ms=11, mew=2.5, zorder=3)
    ax.set_aspect("equal")


def out_they_go():
    _, axes = plt.subplots(1, 2, figsize=(12, 4.4), width_ratios=[1, 1.5])
    walk(out, axes[0])
    axes[0].set(xlabel="x", ylabel="y", title="Each chases the other outward")
    axes[1].axhline(0, color=colors.NOISE, lw=1)
    plotting.curve(range(41), out.prod(1), axes[1])
    axes[1].set(xlabel="step", ylabel="f = xy", title="No loss falls")


# %%
out_they_go()
claim("distance from the equilibrium after forty steps", out[-1].norm(), near=1.09**20, within=EQUAL, digits=3)

# %% [markdown]
# They spiral away from the equilibrium (green cross; dark dots are early, bright ones late). The right panel shows
# $f$, which is the loss of the first player and minus the loss of the second. It swings around the equilibrium's
# value, ever wider, so neither loss falls, and no curve tells who is ahead. Write $w = x + iy$, and one line explains
# it:
#
# $$ w \leftarrow x - \eta y + i\,(y + \eta x) = (1 + i\eta)\, w, \qquad |1 + i \eta| = \sqrt{1 + \eta^2} > 1 . $$
#
# A step multiplies $w$ by a complex number. Its angle turns the state; its absolute value stretches it, for every
# $\eta$. In the library the same step works for any two players: `games.zero_sum` takes the function $f$ of two
# tensors or two modules, and `games.path` plays it by a rule.

# %%
x, y = torch.tensor([1.0, 0.0], dtype=torch.float64)
game = games.zero_sum(lambda x, y: x * y, x, y)
states = games.path(game, games.simultaneous(0.3), 40).states
claim("bare loop and library: largest difference", (states - out).abs().max(), below=EQUAL)

# %% [markdown]
# Near an equilibrium a step of *any* smooth rule is almost a linear map, $w \leftarrow M w$. In the long run the
# distance then grows per step by the largest $|\lambda|$ among the eigenvalues $\lambda$ of $M$, the **spectral
# radius**. Below 1 the players converge to the equilibrium; above 1 they leave it. `games.radius` measures $M$ by
# applying the rule to unit vectors.

# %%
radius = games.radius(games.simultaneous(0.3), games.linearize(game))
claim("growth a step that the eigenvalues foretell, η = 0.3", radius, near=math.sqrt(1.09), within=EQUAL, digits=4)
claim("growth a step that is measured", (out[-1].norm() / out[0].norm()) ** (1 / 40), near=radius, within=EQUAL, digits=4)

# %% [markdown]
# ## 7.2 Taking turns
#
# Most training code updates one player first, and the other then reacts to the updated value. This is **alternating**
# gradient descent-ascent. In the loop only one word changes.
#
# **Predict.** Do they still leave?

# %%
def by_turns(x, y, lr, steps):
    states = [(x, y)]
    for _ in range(steps):
        x = x - lr * y
        y = y + lr * x  # the new x
        states.append((x, y))
    return torch.tensor(states, dtype=torch.float64)


eta = 0.9
closed = by_turns(1.0, 0.0, eta, 100_000)

# %% jupyter={"source_hidden": true}
# The figure: the orbit on its ellipse, and the averages of the states
def a_closed_orbit(shown=120):
    _, axes = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=[1, 1.5])
    turn = torch.linspace(0, 2 * math.pi, 200)
    long, short = 1 / math.sqrt(1 - eta / 2), 1 / math.sqrt(1 + eta / 2)  # half axes of x^2 + y^2 - eta x y = 1
    u, v = long * turn.cos() / math.sqrt(2), short * turn.sin() / math.sqrt(2)
    axes[0].plot(u - v, u + v, color=colors.EXACT, lw=6, alpha=0.35)
    walk(closed[:shown], axes[0])
    axes[0].set(xlabel="x", ylabel="y", title="The orbit is an ellipse")
    means = closed.cumsum(0) / torch.arange(1, len(closed) + 1)[:, None]
    T = torch.logspace(0, 5, 200).long().unique()
    axes[1].loglog(T, means[T - 1].norm(dim=1), color=colors.MODEL)
    axes[1].loglog(T, 3 / (eta * T), color=colors.NOISE, ls="--", lw=1.5)
    axes[1].text(700, 0.02, "falls as 1 / T", color=colors.NOISE)
    axes[1].set(xlabel="steps T that are averaged", ylabel="distance of the average", title="The average arrives")


# %%
a_closed_orbit()
a, b = closed.T
kept = a**2 + b**2 - eta * a * b
claim("x² + y² − η x y over 100,000 steps: largest change", (kept - kept[0]).abs().max(), below=1e-8)

# %% [markdown]
# They neither leave nor arrive. The orbit stays on an ellipse (left; dots of 120 steps, and the exact ellipse in
# green). A step is now $x \leftarrow x - \eta y$, then $y \leftarrow y + \eta (x - \eta y)$, so
#
# $$ M = \begin{pmatrix} 1 & -\eta \\ \eta & 1 - \eta^2 \end{pmatrix}, \qquad \det M = 1, \quad
# |\lambda| = 1 \text{ for } \eta < 2 . $$
#
# With $|\lambda| = 1$ the state keeps turning. The quantity $x^2 + y^2 - \eta x y$ never changes: insert the step,
# and everything else cancels. On this ellipse the largest squared distance is $(1 + \eta/2)/(1 - \eta/2)$ times the
# smallest. With a step size for each player, $\eta_1$ and $\eta_2$, the orbit stays on an ellipse as long as
# $\eta_1 \eta_2 < 4$.
#
# The last state never converges, but the **average** of all states does (right). Each step adds $-\eta y$ to $x$, so
# the mean of $y$ over $T$ steps is $(x_0 - x_T)/(\eta T)$; since $x_T$ stays bounded, it falls as $1/T$. This is one
# reason to draw the samples of a GAN with a running average of its weights (Yazıcı et al., 2019).

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: the ellipse, the mean, two step sizes
far = closed.square().sum(1)
claim("largest over smallest squared distance, η = 0.9", far.max() / far.min(), near=1.45 / 0.55, within=1e-3, digits=3)
claim("radius of taking turns, η = 0.9", games.radius(games.alternating(eta), games.bilinear()), near=1, within=EQUAL)
T = 1000
claim("mean of y over 1000 steps and its formula: difference", b[:T].mean() - (a[0] - a[T]) / (eta * T), near=0, within=EQUAL)
claim("100,000 steps by powers of M and by the loop: difference",
      (games.orbit(games.alternating(eta), games.bilinear(), 100_000) - closed).abs().max(), below=1e-8)
for second, grows in ((3.9, False), (4.1, True)):
    unequal = games.radius(games.alternating((1.0, second)), games.bilinear())
    claim(f"radius of taking turns with step sizes 1 and {second}", unequal, **({"above": 1.1} if grows else {"near": 1, "within": EQUAL}))

# %% [markdown]
# ## 7.3 The rotation underneath
#
# Is the circling a fault of the rule, or does it belong to the game? Let the step size go to zero. What remains is a
# differential equation, and its solution is a rotation:
#
# $$ \frac{dw}{dt} = v(w) = i\,w \quad\Longrightarrow\quad w(t) = e^{it} w(0) . $$
#
# The game itself neither brings the players together nor drives them apart. Any growth or decay comes from the way in
# which time is cut into steps. Simultaneous play *is* Euler's method for this equation. So let us try better
# integrators: Heun's method (order 2), the classic Runge-Kutta method (order 4), and the implicit midpoint rule.
#
# **Predict.** Which of the four will stay on the circle?

# %%
cuts = {"Euler": games.simultaneous, "Heun": games.heun, "Runge-Kutta": games.runge_kutta, "midpoint": games.midpoint}
w = 1j  # times eta: what v multiplies by
factors = {  # of one step, from Taylor's series of exp(i eta) as far as each goes
    "Euler": lambda h: 1 + w * h,
    "Heun": lambda h: 1 + w * h + (w * h) ** 2 / 2,
    "Runge-Kutta": lambda h: sum((w * h) ** k / math.factorial(k) for k in range(5)),
    "midpoint": lambda h: (1 + w * h / 2) / (1 - w * h / 2),
}
kept_after = {name: games.orbit(rule(1.0), games.bilinear(), 60).norm(dim=1) for name, rule in cuts.items()}

# %% jupyter={"source_hidden": true}
# The figure: distance over time for a coarse step, and growth a step over the step size
def what_a_cut_adds():
    _, axes = plt.subplots(1, 2, figsize=(12.5, 4.4))
    h = np.linspace(0.02, 3.2, 300)
    for (name, far), shade in zip(kept_after.items(), colors.COMPONENTS):
        axes[0].semilogy(far, color=shade)
        axes[1].plot(h, [abs(factors[name](s)) for s in h], color=shade, label=name)
    axes[0].set(xlabel="step of η = 1", ylabel="|w|", ylim=(0.05, 200), title="Only one integrator circles")
    axes[1].axhline(1, color=colors.NOISE, lw=1)
    axes[1].set(ylim=(0.6, 1.6), xlabel="step size η", ylabel="growth a step", title="Each adds its own growth")
    axes[1].legend(loc="lower left")


# %%
what_a_cut_adds()

# %% jupyter={"source_hidden": true}
# Claims: growth a step of each integrator
for (name, rule), h in itertools.product(cuts.items(), (0.3, 1.0)):
    claim(f"{name}, η = {h:g}: growth a step", games.radius(rule(h), games.bilinear()), near=abs(factors[name](h)), within=EQUAL, digits=6)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: formulas of Heun and Runge-Kutta, and where Runge-Kutta stops
for h in (0.3, 1.0):
    four = games.radius(games.runge_kutta(h), games.bilinear()) ** 2
    claim(f"Runge-Kutta, η = {h:g}: squared radius against its formula", four - (1 - h**6 / 72 + h**8 / 576), near=0, within=EQUAL)
    two = games.radius(games.heun(h), games.bilinear()) ** 2
    claim(f"Heun, η = {h:g}: squared radius against its formula", two - (1 + h**4 / 4), near=0, within=EQUAL)
limit = 2 * math.sqrt(2)
claim("Runge-Kutta just below 2√2: radius", games.radius(games.runge_kutta(0.999 * limit), games.bilinear()), below=1)
claim("Runge-Kutta just above 2√2: radius", games.radius(games.runge_kutta(1.001 * limit), games.bilinear()), above=1)

# %% [markdown]
# Left: the distance $|w|$ over 60 coarse steps. Right: growth per step; above 1 the players leave. Only the midpoint
# rule keeps the distance. The squared radius of Heun's method is $1 + \eta^4/4$, so its players leave, slowly. That
# of Runge-Kutta is $1 - \eta^6/72 + \eta^8/576$, so its players converge for every $\eta < 2\sqrt 2$. They do so not
# because the equilibrium attracts them, but because the integrator loses a little distance at each step. Keep this in
# mind when a paper says that a better ODE solver cures a GAN.
#
# ## 7.4 Cures
#
# To converge, a rule has to add damping on purpose. Each rule below does. On $f = xy$ each is summed up by one
# complex factor on $w$, or by the roots of a polynomial if the rule remembers earlier steps. We write $v(w) = iw$ for
# the pull on both players and $\gamma$ for the weight of a penalty; $\alpha$ and $\beta$ are the rules' own
# parameters.
#
# | rule | one step | factor on $w$ |
# |:--|:--|:--|
# | extragradient (Korpelevich, 1976) | take a trial step, then move by the pull found there | $1 + i\eta - \eta^2$ |
# | optimistic (Popov, 1980) | $w + \eta\,(2 v_t - v_{t-1})$ | roots of $\lambda^2 - (1 + 2i\eta)\lambda + i\eta$ |
# | proximal point (Rockafellar, 1976) | $w' = w + \eta\, v(w')$, solved for $w'$ | $1/(1 - i\eta)$ |
# | competitive (Schäfer & Anandkumar, 2019) | both play the equilibrium of a local game | $1/(1 - i\eta)$ |
# | consensus (Mescheder et al., 2017) | descend $\gamma \lVert v \rVert^2/2$ as well | $1 - \gamma\eta + i\eta$ |
# | lookahead (Zhang et al., 2019) | take $k$ steps, then go back to a share $\alpha$ of the way | $1 - \alpha + \alpha(1 + i\eta)^k$ |
# | negative momentum (Gidel et al., 2019) | alternating, with momentum $\beta < 0$ | roots of $(\lambda - 1)^2(\lambda - \beta)^2 + \eta^2\lambda^3$ |
#
# Here is extragradient as a bare loop, beside the library.

# %%
def look_ahead(x, y, lr, steps):
    states = [(x, y)]
    for _ in range(steps):
        ahead_x, ahead_y = x - lr * y, y + lr * x
        x, y = x - lr * ahead_y, y + lr * ahead_x  # from the old place, with the pull from ahead
        states.append((x, y))
    return torch.tensor(states, dtype=torch.float64)


ours = games.path(games.bilinear(), games.extragradient(0.3), 40).states
claim("extragradient, bare and library: largest difference", (look_ahead(1.0, 0.0, 0.3, 40) - ours).abs().max(), below=EQUAL)

# %% jupyter={"source_hidden": true}
# Claims: each radius, to ten digits
roots = lambda *coefficients: max(abs(np.roots(coefficients)))
turns = lambda h, beta: roots(*np.polyadd(np.poly([1, 1, beta, beta]), [h**2, 0, 0, 0]))
BY_HAND = {
    "simultaneous": lambda h: math.sqrt(1 + h**2),
    "alternating": lambda h: 1.0,
    "extragradient": lambda h: math.sqrt(1 - h**2 + h**4),
    "optimistic": lambda h: roots(1, -1 - 2j * h, 1j * h),
    "consensus": lambda h: math.hypot(1 - h, h),
    "proximal": lambda h: 1 / math.sqrt(1 + h**2),
    "competitive": lambda h: 1 / math.sqrt(1 + h**2),
    "momentum": lambda h: turns(h, 0.5),
    "negative momentum": lambda h: turns(h, -0.5),
    "lookahead": lambda h: abs(0.5 + 0.5 * (1 + 1j * h) ** 5),
}
for name, truth in BY_HAND.items():
    claim(f"{name}, η = 0.3: growth a step", games.radius(games.RULES[name](0.3), games.bilinear()), near=truth(0.3), within=EQUAL, digits=4)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: best and last step sizes, twins
best = 1 / math.sqrt(2)
claim("extragradient at 1/√2: radius", games.radius(games.extragradient(best), games.bilinear()), near=math.sqrt(3) / 2, within=EQUAL)
claim("optimistic at 1/2: radius", games.radius(games.optimistic(0.5), games.bilinear()), near=best, within=1e-6, digits=4)
claim("optimistic just below 1/√3: radius", games.radius(games.optimistic(0.577), games.bilinear()), below=1)
claim("optimistic just above 1/√3: radius", games.radius(games.optimistic(0.578), games.bilinear()), above=1, digits=4)
both = games.step_matrix(games.competitive(0.4), games.bilinear()) - games.step_matrix(games.proximal(0.4), games.bilinear())
claim("competitive and proximal: largest difference of their matrices", both.abs().max(), below=EQUAL)
ahead = games.radius(games.lookahead(games.simultaneous(0.3), 6, 0.5), games.bilinear())
claim("lookahead with 6 steps of 0.3: radius", ahead, near=0.7448, within=1e-4, digits=4)

# %% [markdown]
# **Predict.** The next figure shows sixty steps of ten rules, each with its eigenvalues and the unit circle in the
# corner. Which of the ten will have all eigenvalues inside the circle, and so converge?

# %% jupyter={"source_hidden": true}
# The figure: sixty steps of each rule from one start, its eigenvalues in the unit circle
def ten_rules(h=0.3, steps=60):
    fig, axes = plt.subplots(2, 5, figsize=(15, 7))
    turn = np.linspace(0, 2 * math.pi, 200)
    for ax, (name, truth) in zip(axes.flat, BY_HAND.items()):
        walk(games.orbit(games.RULES[name](h), games.bilinear((1.0, 0.6)), steps), ax, size=20)
        ax.set(xlim=(-2.2, 3.2), ylim=(-2.2, 3.2), xticks=[], yticks=[])
        ax.set_title(f"{name}\n{truth(h):.3f} a step", loc="center", fontsize=13)
        small = ax.inset_axes([0.66, 0.66, 0.34, 0.34])
        small.fill(np.cos(turn), np.sin(turn), color="#eef1f4")
        small.plot(np.cos(turn), np.sin(turn), color=colors.NOISE, lw=1)
        values = games.eigenvalues(games.RULES[name](h), games.bilinear())
        inside = truth(h) < 1 - 1e-9
        small.plot(values.real, values.imag, "o", color=colors.LATENT if inside else colors.MODEL, ms=5)
        small.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[], aspect="equal")


# %%
ten_rules()

# %% [markdown]
# Blue eigenvalues belong to rules that converge, vermilion ones to rules that do not. Seven of the ten converge. The
# corners also show what a rule costs: optimistic play has twice as many eigenvalues, because it remembers the
# previous pull; in return it needs one gradient per step where extragradient needs two. Positive momentum, which
# speeds up a single player in a valley, drives two players apart.
#
# The next figure, which you can turn, shows the landscape on which they move.

# %% jupyter={"source_hidden": true}
# The figure: three orbits on the surface f = xy
def on_the_saddle():
    import plotly.graph_objects as go

    grid = np.linspace(-2, 2, 41)
    X, Y = np.meshgrid(grid, grid)
    shades = {"simultaneous": (colors.MODEL, 16), "alternating": (colors.ACCENT, 45), "extragradient": (colors.LATENT, 60)}
    shown = go.Figure(go.Surface(x=grid, y=grid, z=X * Y, colorscale="Greys", showscale=False, opacity=0.55))
    twin = plt.figure(figsize=(9, 6))
    ax = twin.add_subplot(projection="3d", computed_zorder=False)
    ax.plot_surface(X, Y, X * Y, cmap="Greys", alpha=0.45, linewidth=0)
    for name, (shade, steps) in shades.items():
        x, y = games.orbit(games.RULES[name](0.3), games.bilinear((1.0, 0.0)), steps).T
        line = {"color": shade, "width": 5}
        numbers = {"x": x.numpy().round(4), "y": y.numpy().round(4), "z": (x * y).numpy().round(4)}
        shown.add_scatter3d(**numbers, mode="lines+markers", name=name, line=line, marker={"size": 3, "color": shade})
        ax.plot(x, y, x * y, "o-", color=shade, lw=2, ms=4, label=name, zorder=3)
    ax.set(xlabel="x", ylabel="y", zlabel="f", title="A saddle has no bottom to roll to")
    ax.view_init(32, -55)
    ax.set_box_aspect((1, 1, 0.6), zoom=1.05)
    ax.legend(loc="upper right")
    shown.update_layout(height=520, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend={"x": 0.75, "y": 0.95})
    shown.update_scenes(xaxis_title="x", yaxis_title="y", zaxis_title="f", aspectratio={"x": 1, "y": 1, "z": 0.6})
    plotting.turn(shown, twin)


# %%
on_the_saddle()

# %% [markdown]
# ## 7.5 One batch or two?
#
# Real players never see $f$; they see noisy batches. Model a batch by $f = \xi\, x y$, where $\xi$ is 0 or 2 by the
# toss of a coin, so that it is right on average. Extragradient evaluates the pull twice per step. Should the second
# evaluation use the same batch as the first, or a fresh one? **Predict** before you read on: a fresh batch seems the
# more honest choice. The mean square of the state after one step is
#
# $$ \mathbb E\,|w'|^2 = \mathbb E\,\big|1 + i\eta\,\xi_2 - \eta^2 \xi_1 \xi_2\big|^2\, |w|^2 =
# \begin{cases} (1 + 4\eta^4)\,|w|^2 & \xi_1, \xi_2 \text{ independent} \\
# (1 - 2\eta^2 + 8\eta^4)\,|w|^2 & \xi_1 = \xi_2 \end{cases} $$

# %%
def mean_square(fresh, lr, runs=20_000, steps=40):
    toss = lambda: (2.0 * torch.randint(2, (runs,)).double(),)
    start = torch.tensor([1.0, 0.0]).double().expand(runs, 2)
    states = games.path(games.bilinear(start, draw=toss), games.extragradient(lr, fresh=fresh), steps).states
    return states.square().sum(2).mean(1)  # (steps + 1,)


torch.manual_seed(SEED)
looks = {"two batches": mean_square(True, 0.3), "one batch": mean_square(False, 0.3)}
foretold = {"two batches": 1 + 4 * 0.3**4, "one batch": 1 - 2 * 0.3**2 + 8 * 0.3**4}

# %% jupyter={"source_hidden": true}
# The figure: mean squared distance of 20,000 games, and what was foretold
def one_or_two():
    _, ax = plt.subplots(figsize=(9, 4))
    for (name, seen), shade in zip(looks.items(), (colors.MODEL, colors.LATENT)):
        ax.semilogy(foretold[name] ** np.arange(41), color=colors.EXACT, lw=6, alpha=0.35)
        plotting.curve(range(41), seen, ax, name, color=shade, at=0.7, offset=(0, 16))
    ax.set(xlabel="step", ylabel="mean of |w|²", title="A second batch undoes the cure")


# %%
one_or_two()
for name, seen in looks.items():
    claim(f"{name}: growth of the mean square a step, η = 0.3", (seen[10] / seen[0]) ** 0.1, near=foretold[name], within=0.01, digits=3)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: the mean square by enumeration
for h, (fresh, name) in itertools.product((0.3, 0.49, 0.51), ((True, "two"), (False, "one"))):
    pairs = list(itertools.product((0, 2), (0, 2))) if fresh else [(0, 0), (2, 2)]
    exact = np.mean([abs(1 + 1j * h * second - h**2 * first * second) ** 2 for first, second in pairs])
    formula = 1 + 4 * h**4 if fresh else 1 - 2 * h**2 + 8 * h**4
    claim(f"{name}, η = {h}: formula and enumeration differ by", exact - formula, near=0, within=EQUAL)
    arrives = not fresh and h < 0.5
    claim(f"{name}, η = {h}: growth", exact, **({"below": 1} if arrives else {"above": 1}))
    typical = np.mean([2 * math.log(abs(1 + 1j * h * second - h**2 * first * second)) for first, second in pairs])
    claim(f"{name}, η = {h}: mean logarithm of the growth", typical, **({"below": 0} if arrives else {"above": 0}))
    if fresh:
        claim(f"two, η = {h}: that mean less its formula", typical - math.log(1 + 64 * h**6) / 4, near=0, within=EQUAL)

# %% [markdown]
# Thin lines: 20,000 simulated games; broad green lines: the formula. With two batches the players leave for *every*
# step size; with one they converge for $\eta < 1/2$. Are a few unlucky games to blame for that mean? No: the typical
# game goes the same way, since the mean of $\log |w'|^2/|w|^2$ is $\log(1 + 64\eta^6)/4 > 0$ with two batches, and
# negative for $\eta < 1/2$ with one. The trial step has to see the very pull that it corrects (Gidel et al., 2019;
# Mishchenko et al., 2020). Therefore `extragradient` uses one batch unless told otherwise.
#
# **Play.** Drag the start; choose a rule, a step size, noise, and a penalty $\gamma y^2/2$ on the second player.
# *Before you drag:* at which step size is extragradient fastest? And what does optimistic play do above $1/\sqrt 3$?
#
# <details><summary>Answer</summary>
#
# At $1/\sqrt 2$, where its radius is $\sqrt 3/2$. Above $1/\sqrt 3$ an eigenvalue of optimistic play leaves the unit
# circle, and the players with it.

# %%
from gdm_core import explorers

explorers.game_bench(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 7.6 A GAN of two numbers
#
# The step from $f = xy$ to a GAN is shorter than it seems. The smallest GAN there is, the **Dirac-GAN** (Mescheder,
# Geiger & Nowozin, 2018), still has two numbers. All data are 0. The generator produces a single point $\theta$. The
# critic, which tries to tell data from samples, is the linear logit $D(x) = \psi x$. With
# $\sigma(u) = 1/(1 + e^{-u})$ for the probability of "data", the critic is pulled along
# $-\sigma(\psi\theta)\,\theta$. For the generator there are three common losses:
#
# - **minimax**: descend $\log(1 - \sigma(D(\theta)))$; the pull on $\theta$ is $\sigma(\psi\theta)\,\psi$;
# - **non-saturating**: descend $-\log \sigma(D(\theta))$; the pull is $\sigma(-\psi\theta)\,\psi$;
# - **Wasserstein**: descend $-D(\theta)$; the pull is $\psi$ (and the critic's is $-\theta$: up to a sign, $f = xy$
#   again).
#
# At the equilibrium $\theta = \psi = 0$ the first two have the same Jacobian, with eigenvalues $\pm i/2$: a pure
# rotation, as in $f = xy$. **Predict.** Do they therefore behave the same in continuous time?

# %%
sigmoid = lambda u: 1 / (1 + math.exp(-u))
pulls = {
    "minimax": lambda p, q: (sigmoid(p * q) * q, -sigmoid(p * q) * p),
    "non-saturating": lambda p, q: (sigmoid(-p * q) * q, -sigmoid(p * q) * p),
}


def flow(pull, p, q, time, dt=0.1):  # Runge-Kutta in steps so fine that its own damping does not show
    for _ in range(round(time / dt)):
        k1 = pull(p, q)
        k2 = pull(p + dt / 2 * k1[0], q + dt / 2 * k1[1])
        k3 = pull(p + dt / 2 * k2[0], q + dt / 2 * k2[1])
        k4 = pull(p + dt * k3[0], q + dt * k3[1])
        p, q = (s + dt / 6 * (a + 2 * b + 2 * c + d) for s, a, b, c, d in zip((p, q), k1, k2, k3, k4))
    return p, q


for name, pull in pulls.items():
    drawn = games.dirac(name).field(torch.tensor([0.7, -1.2], dtype=torch.float64)).tolist()
    claim(f"{name}: bare pull and library differ by", max(abs(a - b) for a, b in zip(drawn, pull(0.7, -1.2))), below=EQUAL)

# %%
at, seen = {}, (1.0, 1.0)
for before, time in ((0, 100), (100, 1000), (1000, 10_000)):
    seen = flow(pulls["non-saturating"], *seen, time - before)
    at[time] = sum(s**2 for s in seen) * time
    claim(f"non-saturating: squared distance times t at t = {time}", at[time], near=8, within=0.7, digits=4)
saturating = flow(pulls["minimax"], 1.0, 1.0, 1000)
claim("minimax: squared distance at t = 1000", sum(s**2 for s in saturating), near=2, within=1e-3, digits=3)

# %% [markdown]
# They do not. The minimax flow keeps $\theta^2 + \psi^2$ forever. The non-saturating flow converges, which its
# eigenvalues do not show: with $u = \theta\psi$ it satisfies $\frac{d}{dt}(\theta^2 + \psi^2) = -2u \tanh(u/2)$,
# which is about $-u^2$ for small $u$. Averaged over a turn, $u^2$ is $r^4/8$, so $\frac{d}{dt} r^2 \approx -r^4/8$
# and $r^2 t \to 8$. **If eigenvalues lie on the imaginary axis, the linearization does not decide.** Still, a
# distance that falls as $1/\sqrt t$ falls slowly. What helps in practice is a term that moves the eigenvalues to the
# left of the axis. Three terms were proposed for it:
#
# - **R1** (Mescheder et al., 2018): the critic pays $\frac{\gamma}{2} \lVert \nabla_x D \rVert^2$ on the data, here
#   $\gamma\psi^2/2$. The eigenvalues become $\big({-\gamma} \pm \sqrt{\gamma^2 - 1}\big)/2$, and convergence is
#   fastest at $\gamma = 1$.
# - **Instance noise** (Sønderby et al., 2017): data and samples both get noise of variance $s^2$. Near the
#   equilibrium this acts as R1 with $\gamma = s^2/2$, so it is best at $s^2 = 2$.
# - **Gradient penalty** (Gulrajani et al., 2017): it asks for $\lVert \nabla_x D \rVert = 1$, not 0. But at the
#   equilibrium the critic should be flat, and the penalty forbids that.
#
# **Predict.** The next figure plays eight variants from the same start. Which of them end at the cross?

# %%
zero = torch.zeros(2, dtype=torch.float64)
eigenvalues = lambda **options: torch.linalg.eigvals(games.linearize(games.dirac(**options), zero).J)
for gamma in (0.5, 1.0, 2.0):
    truth = max((-gamma + s * np.emath.sqrt(gamma**2 - 1)).real / 2 for s in (1, -1))
    claim(f"R1, γ = {gamma:g}: largest real part", eigenvalues(gamma=gamma).real.max(), near=truth, within=1e-6, digits=3)
claim("instance noise of variance 2: largest real part", eigenvalues(noise=math.sqrt(2)).real.max(), near=-0.5, within=1e-6, digits=3)
psi = torch.tensor(0.8, dtype=torch.float64)
claim("R1 of D(x) = 0.8 x and its formula differ by", games.r1(lambda x: psi * x, torch.zeros(5, 1).double(), 3.0) - 1.5 * psi**2, near=0, within=EQUAL)

# %% jupyter={"source_hidden": true}
# The figure: paths of eight variants from one start, over the pull
def eight_games(steps=400):
    plain, step = games.alternating(0.1), games.alternating(0.1)
    variants = {
        "minimax": ({}, plain), "non-saturating": ({"kind": "non-saturating"}, plain),
        "Wasserstein": ({"kind": "Wasserstein"}, plain),
        "Wasserstein, clipped": ({"kind": "Wasserstein"}, games.clipped(step, 1.0)),
        "gradient penalty": ({"kind": "Wasserstein", "gamma": 1.0, "target": 1.0}, plain),
        "R1": ({"kind": "non-saturating", "gamma": 0.5}, plain),
        "instance noise": ({"kind": "non-saturating", "noise": 1.0}, plain),
        "minimax, extragradient": ({}, games.extragradient(0.3)),
    }  # fmt: skip
    fig, axes = plt.subplots(2, 4, figsize=(15, 7.6), sharex=True, sharey=True)
    grid = torch.cartesian_prod(*[torch.linspace(-2, 2, 13).double()] * 2)
    for ax, (name, (options, rule)) in zip(axes.flat, variants.items()):
        field = torch.stack([games.dirac(**options).field(w) for w in grid])
        ax.quiver(*grid.T, *(field / field.norm(dim=1, keepdim=True).clamp_min(1e-9)).T, color="#c9ced5", scale=20, width=0.006)
        states = games.path(games.dirac(start=(1.2, 1.2), **options), rule, steps).states
        walk(states, ax, size=7)
        ax.set_title(name, loc="center", fontsize=14)
        ax.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), xticks=[], yticks=[])
    for ax in axes[1]:
        ax.set_xlabel("θ, the sample")
    for ax in axes[:, 0]:
        ax.set_ylabel("ψ, the critic")


# %%
eight_games()

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: who arrives
end = lambda rule, **options: games.path(games.dirac(start=(1.2, 1.2), **options), rule, 400).states[-50:].norm(dim=1).mean()
slow = games.alternating(0.1)
claim("last distances: R1", end(slow, kind="non-saturating", gamma=0.5), below=0.01, digits=1)
claim("last distances: instance noise", end(slow, kind="non-saturating", noise=1.0), below=0.05, digits=1)
claim("last distances: extragradient on minimax", end(games.extragradient(0.3), kind="minimax"), below=0.2, digits=1)
claim("last distances: minimax by turns", end(slow, kind="minimax"), above=1, digits=2)
claim("last distances: gradient penalty", end(slow, kind="Wasserstein", gamma=1.0, target=1.0), above=0.5, digits=1)
claim("last distances: clipped Wasserstein", end(games.clipped(slow, 1.0), kind="Wasserstein"), above=0.5, digits=1)

# %% [markdown]
# R1, instance noise and extragradient reach the equilibrium. The plain non-saturating game is on its slow way. The
# gradient penalty and the clipped Wasserstein critic end in circles: the penalty forbids a flat critic, and clipping
# bounds $\psi$ but leaves the rotation inside the bound as it was.
#
# ## 7.7 The same rules on a real GAN
#
# How much of this survives when the two numbers become two networks? The objects stay the same: two losses, two
# modules, and a rule. Since luck plays a part, we train six GANs side by side, each with its own weights, data and
# noise, and beside them the same six with R1. Their losses are added up, so none affects another.

# %%
S, STEPS, LR, GAMMA = (16, 4000, 0.1, 0.3) if FULL else (6, 700, 0.1, 0.3)
target = toy.target(DATASET).to(DEVICE)
gamma = torch.tensor([0.0] * S + [GAMMA] * S, device=DEVICE)  # the first S without R1, the other S with it


class Nets(nn.Module):
    """2 S small networks side by side, (2 S, B, in) -> (2 S, B, out); the second half starts as the first does."""

    def __init__(self, *sizes):
        super().__init__()
        uniform = lambda n, *shape: torch.cat([(2 * torch.rand(S, *shape) - 1) / n**0.5] * 2)
        self.W = nn.ParameterList([uniform(m, m, n) for m, n in itertools.pairwise(sizes)])
        self.b = nn.ParameterList([uniform(m, 1, n) for m, n in itertools.pairwise(sizes)])

    def forward(self, x):
        for k, (W, b) in enumerate(zip(self.W, self.b)):
            x = torch.baddbmm(b, silu(x) if k else x, W)
        return x


# %%
def draw(n=64):  # both halves get the same
    x, z = target.sample(S * n).view(S, n, 2) / 2, torch.randn(S, n, 2, device=DEVICE)
    return torch.cat([x, x]), torch.cat([z, z])


def generator_loss(G, D, x, z):  # non-saturating
    return softplus(-D(G(z))).mean((1, 2)).sum()


def critic_loss(G, D, x, z):
    x = x.detach().requires_grad_()
    real, fake = D(x), D(G(z))
    (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    told = (softplus(-real) + softplus(fake)).mean((1, 2))
    return (told + gamma / 2 * slope.square().sum(2).mean(1)).sum()  # R1 of each


# %%
def learn(rule):
    torch.manual_seed(SEED)
    G, D = Nets(2, 32, 32, 2).to(DEVICE), Nets(2, 32, 32, 1).to(DEVICE)
    game = games.two_losses(generator_loss, critic_loss, G, D, draw)
    for _ in games.play(game, rule, STEPS):
        pass
    return G


rules = {"simultaneous": games.simultaneous(LR), "alternating": games.alternating(LR),
         "extragradient": games.extragradient(LR), "optimistic": games.optimistic(LR)}
learned = {name: learn(rule) for name, rule in rules.items()}

# %% [markdown]
# How far are the samples from the data? We measure by the energy distance of 6.4,
# $2\,\mathbb E\lVert x - \hat x\rVert - \mathbb E\lVert x - x'\rVert - \mathbb E\lVert \hat x - \hat x'\rVert$, which
# is zero only if the distributions are equal (Székely & Rizzo, 2013).
#
# **Predict.** The small game says: simultaneous play diverges, alternating play circles, the other two converge, and
# R1 damps all four. How much of that will the networks show?

# %%
torch.manual_seed(SEED + 1)
fresh, z = draw(500)
with torch.no_grad():
    samples = {(name, g): x for name, G in learned.items() for g, x in zip((0, GAMMA), G(z).split(S))}
distance = {key: torch.stack([two_sample.energy(*pair) for pair in zip(x, fresh)]).cpu() for key, x in samples.items()}

# %% jupyter={"source_hidden": true}
# The figure: for each rule the middle GAN's samples, without and with R1; all distances
def four_rules_two_games():
    fig, axes = plt.subplots(2, 5, figsize=(16, 6.6), width_ratios=[1, 1, 1, 1, 1.25])
    for row, gamma in zip(axes, (0, GAMMA)):
        for ax, name in zip(row, rules):
            order = distance[name, gamma].argsort()
            plotting.points(fresh[0, :400], ax, size=5, alpha=0.35)
            plotting.points(samples[name, gamma][order[S // 2]], ax, color=colors.MODEL, size=7, alpha=0.7)
            ax.set(xlim=(-2.6, 2.6), ylim=(-2.2, 2.2), xticks=[], yticks=[])
            ax.set_title(name if gamma == 0 else "", loc="center", fontsize=14)
        row[0].set_ylabel("with R1" if gamma else "without R1")
        for k, name in enumerate(rules):
            row[-1].plot([k] * S, distance[name, gamma].clamp_min(1e-3), "o", color=colors.MODEL, ms=8, alpha=0.6)
            row[-1].plot([k - 0.25, k + 0.25], [distance[name, gamma].median()] * 2, color=colors.DATA)
        row[-1].set(yscale="log", ylim=(3e-3, 5), xlim=(-0.5, 3.5), ylabel="energy distance")
        row[-1].set_xticks(range(4), ["sim.", "alt.", "extra.", "opt."])


# %%
four_rules_two_games()

# %%
middle = {key: d.median().item() for key, d in distance.items()}
claim("without R1: smallest median of the four rules", min(middle[name, 0] for name in rules), below=0.4, digits=1)
claim("with R1: largest median of the four rules", max(middle[name, GAMMA] for name in rules), below=0.2, digits=1)

# %% [markdown]
# Each panel shows the GAN in the middle of its six; the column at the right shows all six distances. In this run
# simultaneous play comes out worst without R1, as the small game predicted, and with R1 all four rules do about
# equally well. But six GANs are few, and training was short: with another `SEED` simultaneous play may do as well as
# the rest, for luck has a larger say than the rule. So this experiment neither confirms nor refutes the small game.
# What two numbers predict holds near an equilibrium; to show it on a real GAN takes more runs than these. GANs of
# today are trained with plain alternating steps and a penalty (Karras et al., 2020; Huang et al., 2024).
#
# ## 7.8 What to keep, and what is not settled
#
# - Two players who follow their own gradients rotate about the equilibrium. In continuous time $f = xy$ gives a pure
#   rotation; an integrator adds growth or decay.
# - The spectral radius of one step decides near an equilibrium: below 1 the rule converges, above 1 it diverges. At
#   exactly 1, nonlinear terms decide.
# - Simultaneous steps spiral out, alternating steps circle, and their average converges.
# - Extragradient, optimism, proximal and consensus steps, lookahead and negative momentum add damping to the rule. R1
#   and instance noise add it to the game.
# - With noisy batches extragradient must use the same batch twice.
#
# Honest limits. One data set in the plane, one step size and short trainings without Adam establish no law. On
# $f = xy$ the equilibrium is known, and so is its Jacobian. A real GAN starts far from any equilibrium, where the
# linearization says nothing; for its networks an equilibrium may not even exist; and modes can be lost on the way.
# The next chapter is about that.
#
# ## References
#
# - Chavdarova, T., et al. (2021). Taming GANs with lookahead-minmax. ICLR.
# - Daskalakis, C., et al. (2018). Training GANs with optimism. ICLR.
# - Gidel, G., et al. (2019). A variational inequality perspective on GANs. ICLR; Negative momentum for improved game
#   dynamics. AISTATS.
# - Gulrajani, I., et al. (2017). Improved training of Wasserstein GANs. NeurIPS.
# - Huang, N., et al. (2024). The GAN is dead; long live the GAN! NeurIPS.
# - Karras, T., et al. (2020). Analyzing and improving the image quality of StyleGAN. CVPR.
# - Korpelevich, G. (1976). The extragradient method for finding saddle points and other problems. Matecon.
# - Mescheder, L., Geiger, A., & Nowozin, S. (2018). Which training methods for GANs do actually converge? ICML,
#   eq. 9.
# - Mescheder, L., Nowozin, S., & Geiger, A. (2017). The numerics of GANs. NeurIPS.
# - Mishchenko, K., et al. (2020). Revisiting stochastic extragradient. AISTATS.
# - Popov, L. (1980). A modification of the Arrow-Hurwicz method for search of saddle points. Mathematical Notes.
# - Rockafellar, R. (1976). Monotone operators and the proximal point algorithm. SIAM Journal on Control and
#   Optimization.
# - Schäfer, F., & Anandkumar, A. (2019). Competitive gradient descent. NeurIPS, eq. 4.
# - Sønderby, C., et al. (2017). Amortised MAP inference for image super-resolution. ICLR.
# - Yazıcı, Y., et al. (2019). The unusual effectiveness of averaging in GAN training. ICLR.
# - Zhang, M., et al. (2019). Lookahead optimizer: k steps forward, 1 step back. NeurIPS.
