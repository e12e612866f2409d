# %% [markdown]
# # 9 · Flows by hand
#
# **How does a map that never folds become a density?** You write the layers of [lecture
# 9](../lectures/09_flows.ipynb): a planar layer and what keeps it from folding, a coupling layer and its inverse, and
# the bits per dimension that one may report. Time: 60 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from gdm_core import colors, plotting
from gdm_core.checks import lab09 as check
from gdm_core.data import toy

torch.manual_seed(0)
plotting.use_style()


def sheet(ax, move, reach=2.5, lines=19):
    """A grid of the plane after a map (B, 2) -> (B, 2)."""
    along = torch.linspace(-reach, reach, 120)
    for at in torch.linspace(-reach, reach, lines):
        for one in (torch.stack([along, at.expand(120)], 1), torch.stack([at.expand(120), along], 1)):
            ax.plot(*move(one).T, color=colors.DATA, lw=0.7)
    ax.set(xticks=[], yticks=[], xlim=(-4, 4), ylim=(-4.5, 4.5), aspect="equal")

# %% [markdown] exercise={"name": "planar", "difficulty": 2, "importance": 5, "minutes": 12}
# ## Exercise 1 · A planar layer
#
# A planar layer moves every point along $u$, by an amount that depends on $w^\top x + b$ alone. That is why its
# determinant needs no matrix:
#
# $$ z = x + u \tanh(w^\top x + b), \qquad \log\Big|\det\frac{\partial z}{\partial x}\Big| = \log\big|1 + u^\top\psi(x)\big|, \qquad
# \psi(x) = \big(1 - \tanh^2(w^\top x + b)\big)\, w . $$
#
# <details><summary>Hint 1: one number for each example</summary>
#
# `x @ w + b` has shape `(B,)`; `[:, None]` puts it beside a vector.
#
# </details>
# <details><summary>Hint 2: the lemma</summary>
#
# $u^\top\psi(x)$ is the slope of tanh times $w^\top u$, again `(B,)`.
#
# </details>

# %%
def planar(x: Tensor, w: Tensor, u: Tensor, b: float) -> tuple[Tensor, Tensor]:
    """z and log|det|.  x: (B, d), w and u: (d,) -> (B, d) and (B,)."""
    ### BEGIN SOLUTION
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs(1 + (1 - h**2) * (w @ u)))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_crease(planar):
    fig, axes = plt.subplots(1, 3, figsize=(12, 4))
    w = torch.tensor([1.0, 0.5])
    for ax, along in zip(axes, (2.0, -0.8, -2.5)):
        u = along * w / (w @ w)
        sheet(ax, lambda x, u=u: torch.as_tensor(planar(x, w, u, 0.0)[0]))
        ax.set_title(f"w·u = {along}", loc="center")

# %% tags=["check"]
check.planar(planar, show=a_crease)

# %% [markdown] exercise={"name": "unfolded", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 2 · What keeps it from folding
#
# Below $w^\top u = -1$ the layer folds, and is invertible no more. Rezende & Mohamed (2015) shift $u$ along $w$, so that
# $w^\top \hat u = \log(1 + e^{w^\top u}) - 1 > -1$:
#
# $$ \hat u = u + \big(\log(1 + e^{w^\top u}) - 1 - w^\top u\big) \frac{w}{\lVert w \rVert^2} . $$
#
# Predict before you run: what happens to the part of $u$ that is orthogonal to $w$?
#
# <details><summary>Hint 1: a stable logarithm</summary>
#
# `torch.nn.functional.softplus(a)` is $\log(1 + e^a)$.
#
# </details>
# <details><summary>Hint 2: the square</summary>
#
# $w^\top w/\lVert w\rVert^2 = 1$: that is why the denominator is the squared length.
#
# </details>

# %%
def unfolded(w: Tensor, u: Tensor) -> Tensor:
    """u, moved along w.  (d,) and (d,) -> (d,)."""
    ### BEGIN SOLUTION
    along = w @ u
    return u + (nn.functional.softplus(along) - 1 - along) * w / (w @ w)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def before_and_after(unfolded):
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    w, u = torch.tensor([1.0, 0.5]), torch.tensor([-2.0, 0.3])
    for ax, (title, v) in zip(axes, {"u as it was": u, "u, moved": torch.as_tensor(unfolded(w, u)).float()}.items()):
        sheet(ax, lambda x, v=v: x + torch.tanh(x @ w)[:, None] * v)
        ax.set_title(title, loc="center")

# %% tags=["check"]
check.unfolded(unfolded, show=before_and_after)

# %% [markdown] exercise={"name": "couple", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 3 · A coupling
#
# RealNVP (Dinh et al., 2017) leaves the first half of the features unchanged, and reads from it how to scale and
# shift the second:
#
# $$ z_1 = x_1, \qquad z_2 = x_2 \odot e^{s(x_1)} + t(x_1), \qquad \log|\det| = \sum_i s_i(x_1) . $$
#
# <details><summary>Hint 1: halves</summary>
#
# `x.chunk(2, 1)` gives both; `torch.cat([a, b], 1)` joins them.
#
# </details>
# <details><summary>Hint 2: what is summed</summary>
#
# One number for each example: sum over the features.
#
# </details>

# %%
def couple(s, t, x: Tensor) -> tuple[Tensor, Tensor]:
    """z and log|det|.  s, t: (B, d/2) -> (B, d/2); x: (B, d) -> (B, d) and (B,)."""
    ### BEGIN SOLUTION
    first, second = x.chunk(2, 1)
    log_scale = s(first)
    return torch.cat([first, second * log_scale.exp() + t(first)], 1), log_scale.sum(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_moons(couple, layers=6, steps=250):
    torch.manual_seed(0)
    nets = nn.ModuleList(nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 2)) for _ in range(layers))

    def log_prob(x):
        total = 0.0
        for net in nets:
            x, log_det = couple.with_gradients(lambda a, net=net: torch.tanh(net(a)[:, :1]), lambda a, net=net: net(a)[:, 1:], x)
            total, x = total + log_det, x.flip(1)
        return total - 0.5 * (x**2).sum(1) - 1.8379

    target, optimizer = toy.target("moons"), torch.optim.Adam(nets.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (-log_prob(target.sample(128)).mean()).backward()
        optimizer.step()
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    for ax, (title, density) in zip(axes, {"exact": target.log_prob, "your couplings, six of them": log_prob}.items()):
        plotting.field(lambda x, density=density: density(x).exp(), ax, (-4, 4, -3, 3))
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, loc="center")

# %% tags=["check"]
check.couple(couple, show=two_moons)

# %% [markdown] exercise={"name": "uncouple", "difficulty": 1, "importance": 5, "minutes": 8}
# ## Exercise 4 · Its inverse
#
# To invert a coupling, the functions $s$ and $t$ need not be inverted, because the first half is there to be read:
#
# $$ x_1 = z_1, \qquad x_2 = \big(z_2 - t(z_1)\big) \odot e^{-s(z_1)} . $$
#
# <details><summary>Hint 1: the last first</summary>
#
# Undo the last operation first: subtract, then divide.
#
# </details>
# <details><summary>Hint 2: a division</summary>
#
# `torch.exp(-s(first))` divides by the scale.
#
# </details>

# %%
def uncouple(s, t, z: Tensor) -> Tensor:
    """x.  s, t: (B, d/2) -> (B, d/2); z: (B, d) -> (B, d)."""
    ### BEGIN SOLUTION
    first, second = z.chunk(2, 1)
    return torch.cat([first, (second - t(first)) * torch.exp(-s(first))], 1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def bent(uncouple):
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    sheet(axes[0], lambda z: z)
    sheet(axes[1], lambda z: torch.as_tensor(uncouple(lambda a: 0.4 * torch.sin(2 * a), lambda a: torch.sin(1.5 * a), z)))
    axes[0].set_title("z", loc="center")
    axes[1].set_title("x", loc="center")

# %% tags=["check"]
check.uncouple(uncouple, show=bent)

# %% [markdown] exercise={"name": "bits", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 5 · Bits per dimension
#
# Pictures have $d$ pixels with `levels` gray levels. Uniform noise of the right width turns level $k$ into $v = (k + u)/\text{levels}$ in
# $[0, 1)^d$, and a flow says $\log p(v)$ in nats. A cell has the volume $\text{levels}^{-d}$, so the bound on the probability of the levels is
#
# $$ \mathbb E \log p(v) - d \log \text{levels}, \qquad \text{bits per dimension} = -\frac{\mathbb E \log p(v) - d \log \text{levels}}{d \log 2} . $$
#
# <details><summary>Hint 1: one number</summary>
#
# Take the mean over the examples first.
#
# </details>
# <details><summary>Hint 2: a check of your own</summary>
#
# A uniform density has $\log p = 0$: it must cost $\log_2 \text{levels}$ bits.
#
# </details>

# %%
def bits(log_p: Tensor, pixels: int, levels: int) -> Tensor:
    """Bits per dimension.  log_p: (B,) nats, the density of v -> ()."""
    ### BEGIN SOLUTION
    nats = pixels * torch.log(torch.tensor(float(levels))) - log_p.mean()
    return nats / (pixels * torch.log(torch.tensor(2.0)))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def over_levels(bits):
    fig, ax = plt.subplots(figsize=(8, 3.6))
    levels = [2, 4, 8, 16, 32, 64, 128, 256]
    for gain, shade in ((0.0, colors.NOISE), (1.0, colors.MODEL), (2.0, colors.LATENT)):
        ax.plot(levels, [float(bits(torch.full((3,), 64 * gain), 64, k)) for k in levels], "o-", color=shade, label=f"{gain:g} nats a pixel")
    ax.axhline(0, color=colors.NOISE, lw=1)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="gray levels", ylabel="bits per dimension", title="A density alone says nothing: levels count")
    ax.legend(title="log p(v)")

# %% tags=["check"]
check.bits(bits, show=over_levels)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A paper trains a flow on 8-bit pictures. It adds noise of half a gray level's width "to be gentler to the data" and reports a
# likelihood that is better than all others by almost exactly one bit per dimension. What would you ask?
#
# Answer in three to six sentences in the cell below. A good answer says what the width **changes** in the bound; how many bits it
# **hides** if that is forgotten; and names a **control**.

# %% [markdown]
# ### BEGIN SOLUTION
# Noise of width 1/2 has the density $2^d$, and a bound on the probability of gray levels subtracts the logarithm of that density:
# $\mathbb E \log p(k + u) - d \log 2$. Who reports $\mathbb E \log p(k + u)$ alone hides one bit in each dimension, which is the whole
# advantage. Control: evaluate both flows with noise of width 1, or subtract the term; or train on noise of width 1/4, which should then
# "gain" another bit.
#
# *Rubric, one point each:* the density of the noise in the bound · one bit per dimension · a control (width 1, the term, a third width).
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A layer with a cheap determinant, what keeps it invertible, a coupling and its inverse, and bits per dimension that
# can be compared.
#
# **References.** D. J. Rezende, S. Mohamed, *Variational inference with normalizing flows*, 2015. L. Dinh, J. Sohl-Dickstein, S. Bengio,
# *Density estimation using Real NVP*, 2017. L. Theis, A. van den Oord, M. Bethge, *A note on the evaluation of generative models*, 2016.
