# %% [markdown]
# # 11 · Energy and score by hand
#
# **How do we learn a density, and sample from it, without the number that makes it integrate to 1?** You write the
# pieces of [lecture 11](../lectures/11_energy_and_score.ipynb): the partition function where it can be computed, the
# gradient that does without it, Langevin's step, its Metropolis correction, and the loss that learns a score from
# noise. Time: 60 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from gdm_core import colors, plotting
from gdm_core.checks import lab11 as check
from gdm_core.data.targets import Mixture, grid

torch.manual_seed(0)
plotting.use_style()
BUMPS = Mixture([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], std=0.5, weights=[0.5, 0.3, 0.2])


def egg_box(x):
    """An energy, (B, 2) -> (B,)."""
    x = torch.as_tensor(x)
    return (x**2).sum(1) / 3 + 2 * torch.cos(2 * x[:, 0]) * torch.cos(2 * x[:, 1])


def egg_score(x):
    x = torch.as_tensor(x)
    a, b = 2 * x[:, 0], 2 * x[:, 1]
    return -2 * x / 3 + 4 * torch.stack([a.sin() * b.cos(), a.cos() * b.sin()], 1)


def framed(ax, title, reach=4.0):
    ax.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(title, loc="center")

# %% [markdown] exercise={"name": "log_z", "difficulty": 1, "importance": 4, "minutes": 8}
# ## Exercise 1 · The constant, where it can be computed
#
# An energy $e$ defines the density $p(x) = e^{-e(x)}/Z$. In the plane $Z$ is a sum over cells with centers $x_m$ and
# volumes $v_m$:
#
# $$ \log Z = \log \sum_m v_m\, e^{-e(x_m)} . $$
#
# Energies may be large, and $e^{-2000}$ is 0 in floating point: stay with logarithms.
#
# <details><summary>Hint 1: a volume is a factor</summary>
#
# $v\, e^{-e} = e^{\log v - e}$.
#
# </details>
# <details><summary>Hint 2: a sum of exponentials</summary>
#
# `torch.logsumexp(a, 0)` is $\log \sum_m e^{a_m}$ for any size of $a$.
#
# </details>

# %%
def log_z(energy, points: Tensor, volumes: Tensor) -> Tensor:
    """log Z by quadrature.

    energy: (M, 2) -> (M,); points: (M, 2); volumes: (M,).  -> ().
    """
    ### BEGIN SOLUTION
    return (volumes.log() - energy(points)).logsumexp(0)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_density(log_z):
    points, volumes = grid([-6.0] * 2, [6.0] * 2, 0.1)
    constant = float(log_z(egg_box, points, volumes))
    _, ax = plt.subplots(figsize=(5, 4.4))
    plotting.field(lambda x: (-egg_box(x) - constant).exp(), ax, (-4, 4, -4, 4))
    framed(ax, f"a density: log Z = {constant:.3f}")

# %% tags=["check"]
check.log_z(log_z, show=a_density)

# %% [markdown] exercise={"name": "slope", "difficulty": 2, "importance": 5, "minutes": 12}
# ## Exercise 2 · Data term minus model term
#
# The gradient of the mean of $-\log p$ over data needs no derivative of $Z$:
#
# $$ \nabla_\theta = \frac1N \sum_n \nabla_\theta\, e(x_n) - \sum_m p_m \nabla_\theta\, e(x_m), \qquad p_m = \frac{e^{-e(x_m)}}{Z} . $$
#
# Here the world has $M$ states, few enough to be listed. You get the slopes $\nabla_\theta\, e$ of the data and of
# all states.
#
# <details><summary>Hint 1: the probabilities</summary>
#
# $p$ is a softmax, of what?
#
# </details>
# <details><summary>Hint 2: a mean with weights</summary>
#
# `p @ slopes` is $\sum_m p_m \nabla_\theta\, e(x_m)$ for `p` (M,) and `slopes` (M, P).
#
# </details>

# %%
def slope(of_data: Tensor, of_states: Tensor, energies: Tensor) -> Tensor:
    """Gradient of the mean of -log p by P parameters.

    of_data: (N, P), slopes of the energy at the data; of_states: (M, P), at all states; energies: (M,).  -> (P,).
    """
    ### BEGIN SOLUTION
    return of_data.mean(0) - (-energies).softmax(0) @ of_states
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def an_energy_learns(slope):
    cells, _ = grid([-4.0] * 2, [4.0] * 2, 0.2)
    centers = torch.cartesian_prod(*[torch.linspace(-4, 4, 9).double()] * 2)
    hills = lambda x: torch.exp(-torch.cdist(x, centers) ** 2)  # (B, 81): e = hills @ theta
    data, theta = BUMPS.sample(2000).double(), torch.zeros(81).double()
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    plotting.points(data[:400], axes[0], size=6)
    framed(axes[0], "data")
    steps = 0
    for ax, until in zip(axes[1:], (10, 100, 600)):
        while steps < until:
            theta = theta - 2 * torch.as_tensor(slope(hills(data), hills(cells), hills(cells) @ theta)).double()
            steps += 1
        p = (-hills(cells) @ theta).softmax(0).reshape(40, 40)
        ax.imshow(p.T.numpy(), origin="lower", extent=(-4, 4, -4, 4), cmap=colors.FIELD)
        framed(ax, f"{steps} steps")

# %% tags=["check"]
check.slope(slope, show=an_energy_learns)

# %% [markdown] exercise={"name": "langevin", "difficulty": 1, "importance": 5, "minutes": 8}
# ## Exercise 3 · A step of Langevin dynamics
#
# A walker steps uphill along the score $s = \nabla \log p$ and is shaken by standard normal noise $\epsilon$:
#
# $$ x' = x + h\, s(x) + \sqrt{2h}\; \epsilon . $$
#
# Predict before you run: how wide will the cloud be if the square root is forgotten?
#
# <details><summary>Hint 1: three terms</summary>
#
# The old place, a step along the score, noise.
#
# </details>
# <details><summary>Hint 2: the root</summary>
#
# It is over $2h$: variances add over time, standard deviations do not.
#
# </details>

# %%
def langevin(score, x: Tensor, h: float, noise: Tensor) -> Tensor:
    """One step.

    score: (B, d) -> (B, d); x, noise: (B, d).  -> (B, d).
    """
    ### BEGIN SOLUTION
    return x + h * score(x) + math.sqrt(2 * h) * noise
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_walk(langevin):
    torch.manual_seed(0)
    x = torch.full((300, 2), 3.0)
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    steps = 0
    for ax, until in zip(axes, (0, 10, 60, 500)):
        while steps < until:
            x = torch.as_tensor(langevin(egg_score, x, 0.02, torch.randn_like(x))).float()
            steps += 1
        plotting.field(lambda x: (-egg_box(x)).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
        plotting.points(x, ax, color=colors.MODEL, size=7)
        framed(ax, f"{steps} steps")

# %% tags=["check"]
check.langevin(langevin, show=a_walk)

# %% [markdown] exercise={"name": "accept", "difficulty": 3, "importance": 4, "minutes": 12}
# ## Exercise 4 · The Metropolis correction
#
# Long steps make the cloud of walkers too wide. The Metropolis correction refuses some of them: it takes the step
# from $x$ to $x'$ with probability
#
# $$ \min\Big(1,\; \frac{p(x')\; q(x \mid x')}{p(x)\; q(x' \mid x)}\Big), \qquad
# q(b \mid a) = \mathcal N\big(b;\; a + h\, s(a),\; 2h I\big) . $$
#
# $Z$ cancels, and so do the constants of the two Gaussians.
#
# <details><summary>Hint 1: logarithms</summary>
#
# $\log p(x') - \log p(x) = e(x) - e(x')$, and $\log q(b \mid a) = -\lVert b - a - h\, s(a) \rVert^2 / (4h)$ up to a constant.
#
# </details>
# <details><summary>Hint 2: the way back</summary>
#
# $q(x \mid x')$ starts at $x'$, so it asks for the score there.
#
# </details>

# %%
def accept(energy, score, x: Tensor, new: Tensor, h: float) -> Tensor:
    """Probability that the step is taken.

    energy: (B, d) -> (B,); score: (B, d) -> (B, d); x, new: (B, d).  -> (B,).
    """
    ### BEGIN SOLUTION
    log_q = lambda b, a: -(b - a - h * score(a)).square().sum(1) / (4 * h)
    return (energy(x) - energy(new) + log_q(x, new) - log_q(new, x)).exp().clamp(max=1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_clouds(accept, h=0.25):
    _, axes = plt.subplots(1, 2, figsize=(9, 4.4))
    for ax, refuses in zip(axes, (False, True)):
        torch.manual_seed(0)
        x = torch.randn(600, 2)
        for _ in range(150):
            new = x + h * egg_score(x) + math.sqrt(2 * h) * torch.randn_like(x)
            if refuses:
                taken = torch.rand(600) < torch.as_tensor(accept(egg_box, egg_score, x, new, h)).float()
                new = torch.where(taken[:, None], new, x)
            x = new
        plotting.field(lambda x: (-egg_box(x)).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
        plotting.points(x, ax, color=colors.MODEL, size=6)
        framed(ax, f"h = {h}: corrected" if refuses else f"h = {h}: plain")

# %% tags=["check"]
check.accept(accept, show=two_clouds)

# %% [markdown] exercise={"name": "denoising_loss", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 5 · Learn a score from noise
#
# Denoising score matching (Vincent, 2011) adds noise to the data and regresses on that noise:
#
# $$ \frac1B \sum_b \tfrac12\, \Big\lVert s(x_b + \sigma \epsilon_b) + \frac{\epsilon_b}{\sigma} \Big\rVert^2 . $$
#
# <details><summary>Hint 1: where the score is asked</summary>
#
# At the noisy example. It points back to the data, against the noise, so the two terms nearly cancel.
#
# </details>
# <details><summary>Hint 2: sum, then mean</summary>
#
# A squared length sums over the features; the mean is over examples.
#
# </details>

# %%
def denoising_loss(score, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """Mean over the batch.

    score: (B, d) -> (B, d); x, noise: (B, d).  -> ().
    """
    ### BEGIN SOLUTION
    return 0.5 * (score(x + sigma * noise) + noise / sigma).square().sum(1).mean()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def learned_field(denoising_loss, sigma=0.5):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(600):
        x = BUMPS.sample(256)
        optimizer.zero_grad()
        denoising_loss.with_gradients(net, x, sigma, torch.randn_like(x)).backward()
        optimizer.step()
    _, ax = plt.subplots(figsize=(5.6, 5.2))
    noisy, at = BUMPS.noisy(sigma), plotting.grid((-3.6, 3.6, -3.6, 3.6), 12)
    plotting.field(lambda x: noisy.log_prob(x).exp(), ax, (-4, 4, -4, 4), cmap="Greys")
    with torch.no_grad():
        for s, color, width in ((noisy.score(at), colors.EXACT, 0.014), (net(at), colors.MODEL, 0.006)):
            way = s / s.norm(dim=1, keepdim=True) * 0.5 * torch.tanh(0.5 * s.norm(dim=1, keepdim=True))
            ax.quiver(*at.T.numpy(), *way.T.numpy(), color=color, width=width, angles="xy", scale_units="xy", scale=1, headwidth=2.6, headlength=3, headaxislength=3)
    framed(ax, "exact (green) and learned")

# %% tags=["check"]
check.denoising_loss(denoising_loss, show=learned_field)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A colleague trains an energy model with chains of 30 steps from noise. Samples from 30 steps look perfect, so she ranks new pictures by
# their energy and calls the result a likelihood. What would you tell her?
#
# Answer in three to six sentences in the cell below. A good answer says what the loss has **seen** of the model; names a **test** that
# costs little; and says what would have to be **different** for the energy to be trusted.

# %% [markdown]
# ### BEGIN SOLUTION
# The loss compared data with where 30 steps from noise lead, so it made of the energy a map that leads there, and never asked where the
# chains would go later: samples can be right while $e^{-e}/Z$ puts its mass elsewhere. Test: let the same chains walk ten or a hundred times
# as long, or start them at data, and see whether they stay; if the pictures change, the energy is no density of the data. To trust the energy
# the model term must come from its own density: kept chains that move between modes, corrected steps, a comparison with quadrature in two
# dimensions, or a loss without chains (noise-contrastive, score matching). Even then an energy lacks $\log Z$, so it ranks pictures of one
# model, and does not compare models.
#
# *Rubric, one point each:* the loss saw short chains only · longer chains or chains from data as a test · what would have to be different.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A density without its constant, a way to learn it, a way to sample from it, and the loss with which diffusion models
# are trained.
#
# **References.** P. Vincent, *A connection between score matching and denoising autoencoders*, 2011. Y. Song, S. Ermon, *Generative modeling
# by estimating gradients of the data distribution*, 2019. E. Nijkamp et al., *Learning non-convergent non-persistent short-run MCMC toward
# energy-based model*, 2019. G. Roberts, R. Tweedie, *Exponential convergence of Langevin distributions*, 1996.
