# %% [markdown]
# # 2 · Probabilistic PCA by hand
#
# **Can forty numbers draw a digit, and finish one that is half hidden?** You write probabilistic PCA, the model of
# [lecture 2](../lectures/02_ppca.ipynb), in which every question has an exact answer. Time: 85 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one line.
# No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.
#
# One model for the whole lab: $z \sim \mathcal N(0, I_L)$ has $L$ latents, and $x \mid z \sim \mathcal N(Wz + b,\, \sigma^2 I_d)$
# has $d$ features. `var` is $\sigma^2$, a variance.

# %% tags=["own-data"]
SEED = 0  # of the digits below; in a class everyone has others

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from gdm_core import colors, data, plotting
from gdm_core.checks import lab02 as check
from gdm_core.models.ppca import PPCA

plotting.use_style()
torch.manual_seed(0)
digits = data.load("strokes", n=4000, seed=SEED).flat().double()  # (4000, 784)

# %% [markdown] exercise={"name": "marginal", "difficulty": 1, "importance": 4, "minutes": 10}
# ## Exercise 1 · What the model says of x
#
# To learn the model we need the density of $x$ alone, without the latents. A linear map of a Gaussian plus Gaussian noise is
# Gaussian, so a mean and a covariance say it all. Compute both; the figure lays them over draws from the model.
#
# $$ x = W z + b + \sigma \epsilon, \qquad z \sim \mathcal N(0, I_L),\ \epsilon \sim \mathcal N(0, I_d)
# \qquad\Rightarrow\qquad x \sim \mathcal N\big(b,\, W W^\top + \sigma^2 I_d\big). $$
#
# <details><summary>Hint 1: shapes</summary>
#
# $W$ is `(d, L)` and the covariance is `(d, d)`. Only one of $WW^\top$ and $W^\top W$ has that shape.
#
# </details>
# <details><summary>Hint 2: the noise</summary>
#
# Each feature has noise of its own, so it stands on the diagonal: `var * torch.eye(d)`.
#
# </details>

# %%
def marginal(W: Tensor, b: Tensor, var: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of x.  W: (d, L), b: (d,) -> (d,), (d, d)."""
    ### BEGIN SOLUTION
    return b, W @ W.T + var * torch.eye(len(b)).to(W)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def sampled(var, n):
    W, b = LINE
    return torch.randn(n, 1).double() @ W.T + b + var**0.5 * torch.randn(n, 2)


LINE = torch.tensor([[1.6], [0.8]], dtype=torch.float64), torch.tensor([0.5, -0.3], dtype=torch.float64)  # W, b


def cloud(marginal):
    fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharex=True, sharey=True)
    for ax, var in zip(axes, (0.05, 0.6)):
        mean, covariance = marginal(*LINE, var)
        plotting.points(sampled(var, 700), ax, size=9)
        ends = torch.tensor([[-3.0], [3.0]], dtype=torch.float64) @ LINE[0].T + LINE[1]
        ax.plot(*ends.T, color=colors.LATENT, lw=2)
        plotting.ellipses(mean[None], covariance[None], ax, color=[colors.EXACT])
        ax.set(title=f"Noise of variance {var:g} around a line", xticks=[], yticks=[])

# %% tags=["check"]
check.marginal(marginal, show=cloud)

# %% [markdown] exercise={"name": "posterior", "difficulty": 3, "importance": 5, "minutes": 20}
# ## Exercise 2 · What x says of the latents
#
# Turn the model around: which latents could have made this $x$? The answer is again a Gaussian. Its mean depends on $x$; its
# covariance is the same for every example, so return a single one.
#
# $$ p(z \mid x) = \mathcal N\big(M^{-1} W^\top (x - b),\; \sigma^2 M^{-1}\big), \qquad M = W^\top W + \sigma^2 I_L . $$
#
# Predict before you run: with more noise, do the posterior means lie farther out, or nearer to the middle?
#
# <details><summary>Hint 1: rows</summary>
#
# Examples are rows of `x`. For one example $W^\top(x - b)$ is `W.T @ (x - b)`; for all at once it is `(x - b) @ W`, shape `(N, L)`.
#
# </details>
# <details><summary>Hint 2: the inverse</summary>
#
# $M$ is symmetric, so a row times $M^{-1}$ is `row @ torch.linalg.inv(M)`. The mean contains $\sigma^2$ only through $M$.
#
# </details>

# %%
def posterior(x: Tensor, W: Tensor, b: Tensor, var: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of p(z | x).

    x: (N, d), W: (d, L), b: (d,) -> (N, L), (L, L).
    """
    ### BEGIN SOLUTION
    inverse = torch.linalg.inv(W.T @ W + var * torch.eye(W.shape[1]).to(W))
    return (x - b) @ W @ inverse, var * inverse
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def pulled(posterior):
    W, b = LINE
    x = sampled(0.3, 30)
    fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharex=True, sharey=True)
    for ax, var in zip(axes, (0.05, 1.5)):
        guess = posterior(x, W, b, var)[0] @ W.T + b
        ax.plot(*(torch.tensor([[-3.0], [3.0]], dtype=torch.float64) @ W.T + b).T, color=colors.NOISE, lw=1)
        for start, end in zip(x, guess):
            ax.plot(*torch.stack([start, end]).T, color=colors.ACCENT, lw=1.2)
        plotting.points(x, ax, size=22)
        plotting.points(guess, ax, size=45, color=colors.LATENT, alpha=0.9, zorder=3)
        ax.plot(*b, "+", color=colors.NOISE, ms=14, mew=2.5)
        ax.set(title=f"{'Little' if var < 1 else 'Much'} noise: the guesses (blue) {'stay out' if var < 1 else 'come in'}", xticks=[], yticks=[])

# %% tags=["check"]
check.posterior(posterior, show=pulled)

# %% [markdown] exercise={"name": "maximum", "difficulty": 4, "importance": 5, "minutes": 20}
# ## Exercise 3 · Learning without a loop
#
# Most models of this course are trained by gradient descent. This one is not: its likelihood has a maximum in closed form
# (Tipping & Bishop, 1999, eq. 7 and 8). Let $\Sigma$ be the covariance of the data, divided by
# $N$, with eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$ and eigenvectors in the columns of $U$. Then
#
# $$ \sigma^2 = \frac1{d-L} \sum_{j > L} \lambda_j, \qquad W = U_L \big(\Lambda_L - \sigma^2 I\big)^{1/2}, \qquad b = \bar x . $$
#
# $U_L$ holds the first $L$ columns of $U$, and $\Lambda_L$ is the diagonal matrix of the $L$ largest eigenvalues. The variance of
# the noise is the mean variance of the directions that the latents leave out. The columns of $W$ may have either sign, and any
# rotation of the latents is as good, so the checks compare $WW^\top$. The picture learns from 4,000 digits, then draws new ones.
#
# <details><summary>Hint 1: the order</summary>
#
# `torch.linalg.eigh(covariance)` returns the *smallest* eigenvalue first. `.flip(0)` and `.flip(1)` turn values and columns around.
#
# </details>
# <details><summary>Hint 2: scaling columns</summary>
#
# `U[:, :L] * scale` with `scale` of shape `(L,)` scales each column. Here `scale = (values[:L] - var).sqrt()`.
#
# </details>

# %%
def maximum(x: Tensor, L: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum likelihood.  x: (N, d), L < d latents -> W (d, L), b (d,), var ()."""
    ### BEGIN SOLUTION
    b = x.mean(0)
    values, U = torch.linalg.eigh((x - b).T @ (x - b) / len(x))
    values, U = values.flip(0), U.flip(1)
    var = values[L:].mean()
    return U[:, :L] * (values[:L] - var).sqrt(), b, var
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def new_digits(maximum):
    fig, axes = plt.subplots(3, 1, figsize=(11, 3.9))
    plotting.images(digits[:14].reshape(-1, 1, 28, 28), axes[0], columns=14)
    axes[0].set(title="Data")
    for ax, L in zip(axes[1:], (5, 40)):
        W, b, _ = maximum(digits, L)
        torch.manual_seed(1)
        plotting.images((torch.randn(14, L).double() @ W.T + b).reshape(-1, 1, 28, 28), ax, columns=14)
        ax.set(title=f"New, from {L} latents")

# %% tags=["check"]
check.maximum(maximum, show=new_digits)

# %% [markdown] exercise={"name": "align", "difficulty": 2, "importance": 3, "minutes": 10}
# ## Exercise 4 · Two fits, one space
#
# Two fits to data of the same kind have different columns of $W$. Are they different models? $WR$ with an orthogonal $R$ has the
# same $WW^\top$, so before we compare $W$ with a target $T$, the other fit, we may turn it. The orthogonal Procrustes problem asks
# for the best turn; reflections are allowed. Schönemann (1966) solved it with one singular value decomposition:
#
# $$ R = \arg\min_{R^\top R = I} \| W R - T \|^2 = U V^\top \qquad\text{where}\qquad W^\top T = U D V^\top . $$
#
# <details><summary>Hint 1: which matrix</summary>
#
# `W.T @ target` is `(L, L)`. Its singular value decomposition is `torch.linalg.svd`.
#
# </details>
# <details><summary>Hint 2: what svd returns</summary>
#
# `U, D, Vh = torch.linalg.svd(A)` already returns $V^\top$ as `Vh`, so no transpose is needed. The singular values $D$ play no part.
#
# </details>

# %%
def align(W: Tensor, target: Tensor) -> Tensor:
    """The orthogonal R for which W R is closest to the target.

    W, target: (d, L) -> (L, L).
    """
    ### BEGIN SOLUTION
    U, _, Vh = torch.linalg.svd(W.T @ target)
    return U @ Vh
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def three_rows(align):
    torch.manual_seed(2)
    first, second = (PPCA(784, 8).double().solve(half).W.detach() for half in digits.split(2000))
    second = second @ torch.linalg.qr(torch.randn(8, 8).double()).Q
    rows = {"One fit": first, "Another, of other digits": second, "The same, turned by your R": second @ align(second, first)}
    fig, axes = plt.subplots(3, 1, figsize=(11, 5))
    for ax, (title, W) in zip(axes, rows.items()):
        sheet = torch.nn.functional.pad(W.T.reshape(8, 28, 28), (1, 1)).transpose(0, 1).reshape(28, 240)
        ax.imshow(sheet, cmap=colors.DIVERGING, vmin=-0.2, vmax=0.2)
        ax.set(title=title, xticks=[], yticks=[])

# %% tags=["check"]
check.align(align, show=three_rows)

# %% [markdown] exercise={"name": "complete", "difficulty": 3, "importance": 4, "minutes": 15}
# ## Exercise 5 · Finish the picture
#
# Suppose that some features are hidden. The seen ones, $x_s$, still say something about $z$, and $z$ says something about the hidden
# ones, $x_h$. To leave features out of a Gaussian, keep only the rows of $W$ and $b$ that belong to the seen ones:
#
# $$ \mathbb E[x_h \mid x_s] = W_h\, \mathbb E[z \mid x_s] + b_h, \qquad
# \mathbb E[z \mid x_s] = \big(W_s^\top W_s + \sigma^2 I\big)^{-1} W_s^\top (x_s - b_s) . $$
#
# Return $x$ with the seen features as they are and the hidden ones replaced by this mean. Before that, the hidden entries of `x` may
# hold any numbers, and the checks put large ones there.
#
# <details><summary>Hint 1: masks</summary>
#
# `seen` is a mask of shape `(d,)`: `x[:, seen]`, `W[seen]` and `b[seen]` are the seen parts, `~seen` selects the hidden ones.
#
# </details>
# <details><summary>Hint 2: you have it already</summary>
#
# The second equation is the mean of exercise 2, for `x[:, seen]`, `W[seen]`, `b[seen]`. `torch.where(seen, x, other)` keeps what is
# seen.
#
# </details>

# %%
def complete(x: Tensor, seen: Tensor, W: Tensor, b: Tensor, var: float) -> Tensor:
    """x with its hidden features replaced by their mean given the seen ones.

    x: (N, d), of which the hidden entries mean nothing; seen: (d,) bool;
    W: (d, L), b: (d,) -> (N, d).
    """
    ### BEGIN SOLUTION
    S = W[seen]
    z = (x[:, seen] - b[seen]) @ S @ torch.linalg.inv(S.T @ S + var * torch.eye(W.shape[1]).to(W))
    return torch.where(seen, x, z @ W.T + b)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def finished(complete):
    model = PPCA(784, 40).double().solve(digits[:3000])
    W, b, var = model.W.detach(), model.b.detach(), model.var.item()
    x = digits[3000:3014]
    seen = (torch.arange(784) // 28) < 16  # the upper rows
    filled = complete(torch.where(seen, x, torch.nan).nan_to_num(0.5), seen, W, b, var)
    fig, axes = plt.subplots(3, 1, figsize=(11, 3.9))
    rows = {"Seen": torch.where(seen, x, 0.25), "Finished by 40 latents": filled, "The truth": x}
    for ax, (title, pictures) in zip(axes, rows.items()):
        plotting.images(pictures.reshape(-1, 1, 28, 28), ax, columns=14)
        ax.set(title=title)

# %% tags=["check"]
check.complete(complete, show=finished)

# %% [markdown] exercise={"name": "axes", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 6 · In your own words
#
# A colleague shows you the third column of $W$. As a picture it looks like a slant. "The model has found out," she says, "that slant
# is one of the causes of handwriting." What do the data say about a single column, and what do they determine for certain?
#
# Answer in three to six sentences in the cell below. A good answer names **what the likelihood sees** of $W$; says **what is known**
# all the same; and names an **experiment**, with the result that would contradict the colleague.

# %% [markdown]
# ### BEGIN SOLUTION
# The likelihood sees $W$ through $WW^\top + \sigma^2 I$ alone, and $WR$ has the same for every orthogonal $R$: a single column is an
# accident of the basis that the formula chose (directions of largest variance). Known for sure are $b$, $\sigma^2$ and the space
# that the columns span, with how much the data vary in each direction of it. An experiment: fit two halves of the data and turn one
# fit at random, as in exercise 4. Both have the same likelihood, and the third columns look different, so neither has found the cause;
# only after aligning do they agree.
#
# *Rubric, one point each:* only $WW^\top$ matters, so any rotation is as good · what is known: the space, $b$, $\sigma^2$ · an
# experiment with a result that would contradict the colleague.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# A model that can be sampled, inverted, learned and asked for missing pixels, all without one step of gradient descent.
# [Lecture 2](../lectures/02_ppca.ipynb) derives the maximum and shows what a linear decoder cannot do;
# `gdm labs use labs/02_ppca.ipynb` lets it run on *your* posterior and maximum.
#
# **References.** M. Tipping, C. Bishop, *Probabilistic principal component analysis*, 1999, eq. 4 to 8. P. Schönemann, *A generalized
# solution of the orthogonal Procrustes problem*, 1966.
