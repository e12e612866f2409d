# %% [markdown]
# # 10 · One pixel after the other, by hand
#
# **How is a picture drawn from conditionals, and what does it cost to draw several pixels at once?** You write the
# pieces of lectures [10](../lectures/10_autoregressive.ipynb) and [10b](../lectures/10b_masked.ipynb): the mask, a
# sample from one uniform number, the distribution of a pixel, the bound of a masked model, and the price of drawing
# in parallel. Time: 57 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from gdm_core import colors, plotting
from gdm_core.checks import lab10 as check
from gdm_core.data.ising import Ising

torch.manual_seed(0)
plotting.use_style()

# %% [markdown] exercise={"name": "mask", "difficulty": 1, "importance": 4, "minutes": 10}
# ## Exercise 1 · The mask
#
# A PixelCNN computes all conditionals at once, so no pixel may see itself or what comes later. In raster order it may
# see all rows above, and in its own row what lies to the left. Take a kernel of `size` by `size` taps (odd), centered
# on a pixel. In the *first* layer the center is masked too (mask A); in later layers it is not (mask B), because
# there it holds only what earlier layers were allowed to see. With the center at $(k, k)$:
#
# $$ M_{rc} = 1 \text{ if } r < k, \text{ or } r = k \text{ and } c < k; \qquad M_{kk} = 0 \text{ (A) or } 1 \text{ (B)}; \qquad \text{else } 0 . $$
#
# <details><summary>Hint 1: three parts</summary>
#
# Rows above the center: all ones. The center's row: ones up to the center. Rows below: zeros.
#
# </details>
# <details><summary>Hint 2: the one tap that differs</summary>
#
# With `k = size // 2`, the tap `[k, k]` is 0 for the first layer and 1 for the others.
#
# </details>

# %%
def mask(size: int, first: bool) -> Tensor:
    """Ones where the kernel may look, zeros elsewhere: (size, size)."""
    ### BEGIN SOLUTION
    k, keep = size // 2, torch.ones(size, size)
    keep[k, k + (not first) :] = 0
    keep[k + 1 :] = 0
    return keep
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_masks(mask):
    fig, axes = plt.subplots(1, 2, figsize=(7, 3.4))
    for ax, first in zip(axes, (True, False)):
        ax.imshow(mask(5, first), cmap="Greys", vmin=0, vmax=1.4)
        ax.add_patch(plt.Rectangle((1.5, 1.5), 1, 1, fill=False, ec=colors.ACCENT, lw=3))
        ax.set(xticks=[], yticks=[])
        ax.set_title("A, the first layer" if first else "B, later layers", loc="center")

# %% tags=["check"]
check.mask(mask, show=two_masks)

# %% [markdown] exercise={"name": "from_noise", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 2 · A sample is a function of noise
#
# Sampling turns noise into values, one element at a time. Each of $B$ elements has $K$ possible values with
# log-probabilities `log_p`. Put a uniform number $u$ through the inverse of the distribution function: the sample is
# the smallest $k$ (from 0) with
#
# $$ P(X \le k) \ge u . $$
#
# <details><summary>Hint 1: the distribution function</summary>
#
# `log_p.exp().cumsum(1)` is $P(X \le k)$, `(B, K)`.
#
# </details>
# <details><summary>Hint 2: counting</summary>
#
# How many entries of a row lie below $u$? That number is $k$.
#
# </details>

# %%
def from_noise(log_p: Tensor, u: Tensor) -> Tensor:
    """Which value each u becomes.  log_p: (B, K) nats, u: (B,) in (0, 1) -> (B,)."""
    ### BEGIN SOLUTION
    return (log_p.exp().cumsum(1) < u[:, None]).sum(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def draws_beside_probabilities(from_noise):
    p = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    drawn = torch.as_tensor(from_noise(p.log().expand(5000, -1), torch.rand(5000))).long()
    fig, ax = plt.subplots(figsize=(6, 3.4))
    ax.bar(range(5), torch.bincount(drawn, minlength=5)[:5] / 5000, color=colors.MODEL, width=0.5)
    ax.plot(range(5), p, "D", color=colors.EXACT, ms=9)
    ax.set(xlabel="value k", ylabel="share", title="5,000 draws, and the truth")

# %% tags=["check"]
check.from_noise(from_noise, show=draws_beside_probabilities)

# %% [markdown] exercise={"name": "logistic_mass", "difficulty": 2, "importance": 4, "minutes": 12}
# ## Exercise 3 · A discretized logistic
#
# Gray levels have an order, which a softmax ignores. The discretized logistic respects it. For levels
# $0, 1, \dots, L - 1$, give level $k$ the mass of a logistic distribution between the midpoints to its neighbors; the
# outermost levels get everything that is left on their side:
#
# $$ P(k) = F\Big(\frac{k + \frac12 - \mu}{s}\Big) - F\Big(\frac{k - \frac12 - \mu}{s}\Big), \qquad F(a) = \frac{1}{1 + e^{-a}} , $$
#
# where the first term is 1 for $k = L - 1$, and the second is 0 for $k = 0$ (Salimans et al., 2017).
#
# <details><summary>Hint 1: edges</summary>
#
# There are $L - 1$ inner edges: `torch.arange(levels - 1) + 0.5`. $F$ there is `(B, L - 1)`.
#
# </details>
# <details><summary>Hint 2: open ends</summary>
#
# Put a column of zeros before and a column of ones behind, and take differences: `torch.diff`.
#
# </details>

# %%
def logistic_mass(mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Probability of each gray level.  mean, scale: (B,) in levels -> (B, levels)."""
    ### BEGIN SOLUTION
    edges = torch.arange(levels - 1).to(mean) + 0.5
    F = torch.sigmoid((edges - mean[:, None]) / scale[:, None])
    ends = torch.zeros_like(mean[:, None])
    return torch.cat([ends, F, ends + 1], 1).diff(dim=1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def three_pixels(logistic_mass):
    fig, ax = plt.subplots(figsize=(7, 3.4))
    mass = torch.as_tensor(logistic_mass(torch.tensor([8.0, 15.0, -1.0]), torch.tensor([1.0, 1.5, 2.0]), 17))
    for row, color in zip(mass, colors.COMPONENTS):
        ax.plot(range(17), row, "o-", color=color)
    ax.set(xlabel="gray level", ylabel="probability", title="Open ends make spikes")

# %% tags=["check"]
check.logistic_mass(logistic_mass, show=three_pixels)

# %% [markdown] exercise={"name": "erased_bound", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 4 · The bound of a masked model
#
# A masked model predicts erased elements from the others. To train it, draw $m$ uniformly from $1, \dots, d$, and
# erase a random set of $m$ of the $d$ elements. The network returns $\log p(x_i \mid \text{what is left})$ for every
# element. An unbiased estimate of the bound on $\log p(x)$ is
#
# $$ \frac{d}{m} \sum_{i \text{ erased}} \log p(x_i \mid \text{what is left}) . $$
#
# <details><summary>Hint 1: who counts</summary>
#
# `torch.where(erased, told, 0)` leaves the erased ones; sum over the elements of an example.
#
# </details>
# <details><summary>Hint 2: a weight an example</summary>
#
# $m$ differs between examples: `erased.sum(1)`, `(B,)`.
#
# </details>

# %%
def erased_bound(told: Tensor, erased: Tensor) -> Tensor:
    """The estimate of each example.  told: (B, d) nats, erased: (B, d) bool -> (B,) nats."""
    ### BEGIN SOLUTION
    return told.shape[1] / erased.sum(1) * torch.where(erased, told, 0).sum(1)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def estimates_of_a_board(erased_bound):
    board = Ising(3, 0.6)
    x = board.sample(1)
    told, erased = [], []
    for _ in range(300):
        gone = torch.rand(9).argsort().argsort() < torch.randint(1, 10, ())
        one = board.conditionals(x, ~gone.view(1, 3, 3)).flatten()
        told.append(torch.where(x.flatten() == 1, one, 1 - one).log().float())
        erased.append(gone)
    bound = torch.as_tensor(erased_bound(torch.stack(told), torch.stack(erased)))
    fig, ax = plt.subplots(figsize=(7, 3.4))
    ax.plot(bound.cumsum(0) / torch.arange(1, 301), color=colors.MODEL)
    ax.axhline(board.log_prob(x).item(), color=colors.EXACT, ls="--")
    ax.set(xlabel="random sets", ylabel="nats", title="Their mean is log p(x), if the conditionals are exact")

# %% tags=["check"]
check.erased_bound(erased_bound, show=estimates_of_a_board)

# %% [markdown] exercise={"name": "together", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 5 · What two at once cost
#
# Elements that are drawn in one turn do not see each other. Two elements with the joint probabilities `joint[a, b]`
# then follow $q(a, b) = p(a)\, p(b)$. What is lost is their *mutual information*,
#
# $$ \mathrm{KL}(p \,\|\, q) = \sum_{a, b} p(a, b) \log \frac{p(a, b)}{p(a)\, p(b)}, \qquad 0 \log 0 = 0 . $$
#
# <details><summary>Hint 1: by entropies</summary>
#
# It is $H(a) + H(b) - H(a, b)$; `torch.special.entr(p)` is $-p \log p$, and 0 at 0.
#
# </details>
# <details><summary>Hint 2: marginals</summary>
#
# `joint.sum(1)` and `joint.sum(0)`.
#
# </details>

# %%
def together(joint: Tensor) -> Tensor:
    """Nats lost.  joint: (K, L), sums to 1 -> ()."""
    ### BEGIN SOLUTION
    entropy = lambda p: torch.special.entr(p).sum()
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def near_and_far(together):
    board = Ising(4, 0.44)
    p, states = board.log_p.exp(), board.states().flatten(1)
    lost = torch.zeros(16)
    for i in range(1, 16):
        joint = torch.stack([p[(states[:, 0] == a) & (states[:, i] == b)].sum() for a in (0, 1) for b in (0, 1)])
        lost[i] = float(together(joint.view(2, 2)))
    fig, ax = plt.subplots(figsize=(4.6, 3.8))
    picture = ax.imshow(lost.view(4, 4), cmap="magma")
    ax.plot(0, 0, "s", color=colors.ACCENT, ms=26)
    ax.set(xticks=[], yticks=[], title="With the corner in one turn")
    plt.colorbar(picture, ax=ax, label="nats lost")

# %% tags=["check"]
check.together(together, show=near_and_far)

# %% [markdown] exercise={"name": "half_a_face", "difficulty": 3, "importance": 5, "minutes": 5}
# ## Exercise 6 · In your own words
#
# "Our PixelCNN completes faces: we give it the right half and draw the missing left half pixel by pixel. Each drawn pixel has high
# probability under the model, so the answers are draws of $p(\text{left} \mid \text{right})$." What is wrong, and what would you use?
#
# Answer in three to six sentences in the cell below. A good answer says **what each drawn pixel was conditioned on**; why the product of
# these **is not** the wanted conditional; and names **a model or an order** for which it is.

# %% [markdown]
# ### BEGIN SOLUTION
# In raster order a pixel of the left half is drawn given the pixels before it: all rows above, and its own row to the left. The right half
# of its own row and of all rows below has no say. The product of these conditionals is not $p(\text{left} \mid \text{right})$: that would
# weigh each left half by how well the given right half follows from it, which is only seen later. High probability of each draw says
# nothing about that. It is right if what is known comes first: a chain that goes column by column from the right, or a masked model, which
# tells each pixel given any set of others.
#
# *Rubric, one point each:* conditioned on what comes before alone · later known pixels have no say, so not the conditional · an order with
# the known part first, or an any-order model.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# The pieces of every autoregressive model, and the price of taking fewer turns than there are elements.
#
# **References.** A. van den Oord et al., *Pixel recurrent neural networks*, 2016. T. Salimans et al., *PixelCNN++*, 2017. B. Uria, I. Murray,
# H. Larochelle, *A deep and tractable density estimator*, 2014. J. Austin et al., *Structured denoising diffusion models*, 2021.
