# %% [markdown]
# # 5 · Latent space by hand
#
# **How do we change one thing in a picture and leave the rest?** You write the small tools of [lecture 5](../lectures/05_latent_space.ipynb)
# and [5b](../lectures/05b_axes_and_codes.ipynb): a board of styles and classes, a walk that stays where the data are, an axis without
# side effects, a map between two spaces. Time: 75 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import functools

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from gdm_core import colors, data, plotting
from gdm_core.checks import lab05 as check
from gdm_core.models.ppca import PPCA

torch.manual_seed(0)
plotting.use_style()
LATENTS = 4


@functools.cache
def written():
    """4,000 digits whose style is known."""
    return data.load("strokes", n=4000, seed=0)


@functools.cache
def trained():
    """A small conditional VAE of them: encode(x, y) -> means, decode(z, y) -> pictures."""
    torch.manual_seed(0)
    x, y = written().flat(), nn.functional.one_hot(written().labels, 10).float()
    encoder = nn.Sequential(nn.Linear(794, 160), nn.SiLU(), nn.Linear(160, 2 * LATENTS))
    decoder = nn.Sequential(nn.Linear(LATENTS + 10, 160), nn.SiLU(), nn.Linear(160, 784), nn.Sigmoid())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(900):
        i = torch.randint(len(x), (100,))
        mean, log_std = encoder(torch.cat([x[i], y[i]], 1)).chunk(2, 1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        fit = (decoder(torch.cat([z, y[i]], 1)) - x[i]).square().sum(1) / (2 * 0.25**2)
        price = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)
        optimizer.zero_grad()
        (fit + price).mean().backward()
        optimizer.step()
    hot = lambda y: nn.functional.one_hot(torch.as_tensor(y).long(), 10).float()
    encode = lambda x, y: encoder(torch.cat([x, hot(y)], 1))[:, :LATENTS].detach()
    decode = lambda z, y: decoder(torch.cat([torch.as_tensor(z).float(), hot(y)], 1)).detach()
    return encode, decode

# %% [markdown] exercise={"name": "board", "difficulty": 2, "importance": 4, "minutes": 15}
# ## Exercise 1 · Styles and classes
#
# A conditional decoder is given the class $y$ beside the latents $z$, so $z$ is free to hold the style. To see whether it does, decode
# every style in every class:
#
# $$ \text{board}_{s,c} = f(z_s,\, y = c), \qquad s = 1 \dots S,\quad c = 0 \dots C-1 . $$
#
# Rows are styles, columns are classes. `decode` wants an integer label for each row of `z`. Predict before you run: what will the
# pictures of one row have in common?
#
# <details><summary>Hint 1: one column</summary>
#
# All styles in class `c`: `decode(z, torch.full((len(z),), c))` has shape `(S, d)`.
#
# </details>
# <details><summary>Hint 2: side by side</summary>
#
# `torch.stack(columns, 1)` puts a list of `(S, d)` side by side: `(S, classes, d)`. Without the 1 it would be `(classes, S, d)`.
#
# </details>

# %%
def board(decode, z: Tensor, classes: int) -> Tensor:
    """Every style in every class.

    z: (S, L); decode: (B, L), labels (B,) -> (B, d).  -> (S, classes, d).
    """
    ### BEGIN SOLUTION
    return torch.stack([decode(z, torch.full((len(z),), c)) for c in range(classes)], 1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def styles_and_classes(board):
    encode, decode = trained()
    x, y = written().flat()[[1, 4, 5, 8, 11]], written().labels[[1, 4, 5, 8, 11]]
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), width_ratios=[1, 10])
    plotting.images(x.reshape(-1, 1, 28, 28), left, columns=1, titles=["style of"])
    pictures = board(decode, encode(x, y), 10).reshape(-1, 1, 28, 28)
    plotting.images(pictures, right, columns=10, titles=[f"as {c}" for c in range(10)])

# %% tags=["check"]
check.board(board, show=styles_and_classes)

# %% [markdown] exercise={"name": "slerp", "difficulty": 3, "importance": 3, "minutes": 15}
# ## Exercise 2 · A walk that stays outside
#
# In many dimensions nearly all draws of $\mathcal N(0, I)$ lie near a sphere, and the straight line between two of them cuts through its
# empty inside. Walk along the sphere (Shoemake, 1985), with $\omega$ the angle between $a$ and $b$:
#
# $$ z(t) = \frac{\sin\big((1-t)\,\omega\big)}{\sin \omega}\, a + \frac{\sin(t\,\omega)}{\sin \omega}\, b, \qquad
# \cos \omega = \frac{a^\top b}{\|a\|\,\|b\|} . $$
#
# Between codes of different length this keeps the end points as they are. And what if $a = b$?
#
# <details><summary>Hint 1: many t at once</summary>
#
# `t[:, None]` is `(T, 1)`, and times `a` of shape `(d,)` it becomes `(T, d)`.
#
# </details>
# <details><summary>Hint 2: zero over zero</summary>
#
# If $\omega$ is tiny, both sines are nearly zero. There a straight line, `a + t * (b - a)`, is as good. Rounding may carry the cosine
# past 1: `clamp(-1, 1)` keeps `acos` from NaN.
#
# </details>

# %%
def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points between a (t = 0) and b (t = 1), in equal steps of the angle.

    a, b: (d,), t: (T,) -> (T, d).
    """
    ### BEGIN SOLUTION
    omega = torch.acos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if omega < 1e-4:
        return a + t[:, None] * (b - a)
    return (((1 - t) * omega).sin()[:, None] * a + (t * omega).sin()[:, None] * b) / omega.sin()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_walks(slerp):
    torch.manual_seed(1)
    t = torch.linspace(0, 1, 101)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    for d, at, shade in zip((2, 20, 200), (0.5, 0.75, 0.25), colors.COMPONENTS):
        a, b = torch.randn(d), torch.randn(d)
        line = (a + t[:, None] * (b - a)).norm(dim=1) / d**0.5
        plotting.curve(t, line, left, color=shade, ls="--")
        plotting.curve(t, slerp(a, b, t).norm(dim=1) / d**0.5, left, f"d = {d}", color=shade, at=at, offset=(0, 10))
    left.set(title="Length on the way: arc (solid), line (dashed)", xlabel="t", ylabel="|z| / √d", ylim=(0, 1.25))
    a, b = torch.tensor([1.0, 0.1]), torch.tensor([-0.7, 0.75])
    steps = torch.linspace(0, 1, 9)
    circle = torch.linspace(0, 2 * torch.pi, 200)
    right.plot(circle.cos(), circle.sin(), color=colors.NOISE, lw=1)
    plotting.points(slerp(a, b, steps), right, color=colors.LATENT, size=60, alpha=1)
    plotting.points(a + steps[:, None] * (b - a), right, color=colors.ACCENT, size=60, alpha=1)
    right.set(title="Nine steps of each", xticks=[], yticks=[], ylim=(-0.2, 1.15))

# %% tags=["check"]
check.slerp(slerp, show=two_walks)

# %% [markdown] exercise={"name": "without", "difficulty": 3, "importance": 5, "minutes": 20}
# ## Exercise 3 · An axis without side effects
#
# A step along the direction $v$ makes digits bolder, but it also slants them. The directions $u_1, \dots, u_m$ of the other attributes
# are known; they are the rows of $U$. Remove from $v$ all that lies along them, as Shen et al. (2020) do for faces:
#
# $$ v' = v - U^\top \big(U U^\top\big)^{-1} U\, v, \qquad\text{so that}\qquad u_i^\top v' = 0 \text{ for all } i . $$
#
# Beware: the $u_i$ may have any length, and they are *not* orthogonal to each other. Leave the length of $v'$ as it comes out.
#
# <details><summary>Hint 1: one direction</summary>
#
# For a single $u$ the part of $v$ along it is $\frac{v^\top u}{u^\top u}\, u$. For several, doing this one after the other is not enough.
#
# </details>
# <details><summary>Hint 2: a solver</summary>
#
# `torch.linalg.solve(U @ U.T, U @ v)` gives the coefficients, shape `(m,)`; times `U` they are the part to remove.
#
# </details>

# %%
def without(v: Tensor, others: Tensor) -> Tensor:
    """The part of v that is orthogonal to all others.

    v: (L,), others: (m, L) -> (L,).
    """
    ### BEGIN SOLUTION
    return v - torch.linalg.solve(others @ others.T, others @ v) @ others
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def bolder(without):
    encode, decode = trained()
    d = written()
    z = encode(d.flat(), d.labels).double()
    known = torch.stack([d.factors[name].double() for name in ("thickness", "slant", "width")], 1)
    white = (known - known.mean(0)) / known.std(0)
    axes_of = torch.linalg.lstsq(z - z.mean(0), white).solution.T  # reads each factor from the latents
    moves = torch.linalg.lstsq(white, z - z.mean(0)).solution  # how the latents follow each factor
    v = moves[0] + 0.3 * moves[1]  # as where the bold ones happen to lean
    rows = {"Bolder, and it leans": v, "Bolder, without what reads as another factor": without(v, axes_of[1:])}
    fig, axes = plt.subplots(2, 1, figsize=(10, 2.9))
    start = z[d.labels == 3].mean(0)
    for ax, (title, way) in zip(axes, rows.items()):
        steps = torch.linspace(-0.7, 1.0, 11, dtype=torch.float64)[:, None] * way / (way @ axes_of[0])
        plotting.images(decode(start + steps, torch.full((11,), 3)).reshape(-1, 1, 28, 28), ax, columns=11)
        side = (steps[-1] - steps[0]) @ axes_of[1]
        ax.set(title=f"{title}: slant moves by {abs(side):.2f}")

# %% tags=["check"]
check.without(without, show=bolder)

# %% [markdown] exercise={"name": "join", "difficulty": 2, "importance": 4, "minutes": 15}
# ## Exercise 4 · Two spaces, one map
#
# Two models of the same data have different latent spaces. Can we still encode with one and decode with the other? Asperti & Tonelli
# (2022) join the spaces by a linear map, learned by least squares from a few *support* pairs: the codes $a_n$ and $b_n$ that the two
# models give to the same picture.
#
# $$ M, c = \arg\min_{M, c} \sum_n \big\| b_n - (a_n M + c) \big\|^2 . $$
#
# Codes are rows, so $M$ is `(p, q)`. Predict before you run: how many pairs does a map from 20 latents to 20 need at least?
#
# <details><summary>Hint 1: the offset</summary>
#
# Append a column of ones to `a`; then $c$ is the last row of one larger matrix.
#
# </details>
# <details><summary>Hint 2: the solver</summary>
#
# `torch.linalg.lstsq(A, b).solution` minimizes $\|A X - b\|^2$.
#
# </details>

# %%
def join(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The best affine map from codes a to codes b.

    a: (N, p), b: (N, q) -> M (p, q), c (q,).
    """
    ### BEGIN SOLUTION
    ones = torch.cat([a, torch.ones(len(a), 1).to(a)], 1)
    solution = torch.linalg.lstsq(ones, b).solution
    return solution[:-1], solution[-1]
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def across(join):
    x = written().flat().double()
    one, two = PPCA(784, 20).double().solve(x[:1500]), PPCA(784, 20).double().solve(x[1500:3000])
    torch.manual_seed(0)
    two = two.rotated(torch.linalg.qr(torch.randn(20, 20).double()).Q)
    codes = [model.encode(x[3000:]).mean.detach() for model in (one, two)]
    fig, axes = plt.subplots(4, 1, figsize=(11, 5))
    plotting.images(x[3986:].reshape(-1, 1, 28, 28), axes[0], columns=14)
    axes[0].set(title="Data")
    for ax, pairs in zip(axes[1:], (10, 30, 900)):
        M, c = join(codes[0][:pairs], codes[1][:pairs])
        pictures = two.decode(codes[0][986:] @ M + c).mean.detach()
        plotting.images(pictures.reshape(-1, 1, 28, 28), ax, columns=14)
        ax.set(title=f"Encoded by one model, decoded by the other: joined by {pairs} pairs")

# %% tags=["check"]
check.join(join, show=across)

# %% [markdown] exercise={"name": "by_accident", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 5 · In your own words
#
# A linear map joins two latent spaces that were trained separately. A headline says: "All models learn the same representation." What has
# been shown, and what has not?
#
# Answer in three to six sentences in the cell below. A good answer says what the **map has learned** and from what; what both models
# **share beforehand**; and names a **control** in which the headline would have to fail.

# %% [markdown]
# ### BEGIN SOLUTION
# Shown is that, on these data, the codes of one model are predicted well by a linear function of the other's, whose numbers came from pairs:
# the map knows both models. Both share the data, and here even the kind of model: two PPCA fits span nearly the same space, so a linear map
# must exist, whatever basis each has. The axes are not the same, as the random rotation shows. A control: a model of other data (rooms
# instead of digits), or one whose encoder is bent; if as many pairs join these as well, on pictures that the map has not seen, the headline
# has a point; if not, it was the shared data and the shared family.
#
# *Rubric, one point each:* the map is fitted from pairs, and judged on others · shared data and family make it likely · a control in which
# it should fail.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# Four tools that work with any model that has a latent space, later ones of this course included.
# [Lecture 5b](../lectures/05b_axes_and_codes.ipynb) asks of whose making the axes are, and how few pairs a map needs.
# `gdm labs use labs/05_latent_space.ipynb` lets both lectures run on *your* slerp and *your* axis.
#
# **References.** K. Shoemake, *Animating rotation with quaternion curves*, 1985. T. White, *Sampling generative networks*, 2016. Y. Shen,
# J. Gu, X. Tang, B. Zhou, *Interpreting the latent space of GANs for semantic face editing*, 2020, section 3 (projection of directions).
# A. Asperti, V. Tonelli, *Comparing the latent space of generative models*, 2022 (support sets).
