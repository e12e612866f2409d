# %% [markdown]
# # 2 · From probabilistic PCA to latent spaces
#
# **A picture has thousands of pixels, but often only a few things can change in it. Can a model find the few numbers
# behind a picture, and rebuild its pixels from them?**
#
# After this lecture you can
#
# - read a latent variable as a short description of a picture, and say what a decoder is;
# - write down probabilistic PCA (PPCA), its marginal, its posterior and its maximum likelihood solution, all in
#   closed form, and show why that solution is the maximum;
# - say how PPCA differs from PCA and from factor analysis, and what the rotation ambiguity means for "meaningful"
#   latents;
# - fill in missing pixels, and choose the number of latents by held-out likelihood;
# - show on digits what a *linear* decoder cannot do, which is the reason for the next chapter.
#
# You need: chapter 1, eigenvectors, multivariate Gaussians. Time: 45 minutes to read, 20 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures, more latents
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
from itertools import combinations

import matplotlib.pyplot as plt
import plotly.graph_objects as go
import torch
from matplotlib.patheffects import withStroke
from sklearn.decomposition import FactorAnalysis
from torch.distributions import MultivariateNormal

from gdm_core import colors, data, plotting
from gdm_core.course.claims import claim
from gdm_core.data import scenes, strokes
from gdm_core.models.ppca import PPCA
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED);

# %% [markdown]
# ## 2.1 Six numbers describe this picture
#
# The rooms below are 64 x 64 pixels of three colors: $64 \cdot 64 \cdot 3 = 12288$ numbers. They were rendered from
# **six**: the hues of floor, wall and object, the object's size and shape, and the direction we look in. If two
# people have the same renderer, one can send the other six numbers instead of the picture. The six numbers are a
# *latent variable* $z$ and the renderer is a *decoder*. A *prior* over $z$ says how often each setting occurs;
# decoder and prior together define a distribution of pictures.

# %%
middle = torch.tensor([6, 1, 0, 5, 0, 4])  # a place on the grid of 480,000
sweeps = {}
for i, (name, places) in enumerate(scenes.FACTORS.items()):
    sweep = middle.repeat(min(8, places), 1)
    sweep[:, i] = torch.linspace(0, places - 1, len(sweep)).round().long()  # one factor moves, five stay
    sweeps[name] = scenes.render(sweep)

print(scenes.caption(middle[None])[0])

# %% jupyter={"source_hidden": true}
# The figure: six factors, one a row
def one_factor_a_row(sweeps):
    fig, axes = plt.subplots(6, 1, figsize=(10, 8.6))
    for ax, (name, pictures) in zip(axes, sweeps.items()):
        plotting.images(pictures, ax, columns=8)
        ax.set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontweight="bold")
        ax.spines[:].set_visible(False)
    axes[0].set_title("One number moves, the others stay")


# %%
one_factor_a_row(sweeps)

# %% [markdown]
# In each row one factor moves and five stay. Usually nobody gives us the renderer. Can we find a few numbers and a
# decoder from pictures alone? The simplest decoder is **linear**: a picture is the mean picture plus a weighted sum
# of a few basis pictures. The best basis in the sense of squared error is found by *principal component analysis*
# (PCA). **Predict:** how many basis pictures does a world with six factors need?

# %%
rooms = data.load("scenes", n=4000 if PROFILE == "full" else 1500, seed=SEED)
small = torch.nn.functional.avg_pool2d(rooms.x, 4).flatten(1).double()  # (N, 768): 16 x 16 pixels are enough to count
spectrum = torch.linalg.eigvalsh(small.T.cov()).flip(0)
kept = spectrum.cumsum(0) / spectrum.sum()

needed = int((kept < 0.99).sum()) + 1
claim("variance of the rooms that six basis pictures keep", 100 * kept[5], below=95, digits=2, unit="%")
claim("basis pictures needed to keep 99 % of it", needed, above=12)

# %% jupyter={"source_hidden": true}
# The figure: variance that is missed, by number of basis pictures
def variance_missed(kept, needed):
    fig, ax = plt.subplots(figsize=(9, 3.4))
    plotting.curve(range(1, 41), 100 * (1 - kept[:40]), ax, color=colors.MODEL, marker="o", ms=4)
    ax.axvline(6, color=colors.ACCENT)
    ax.axhline(1, color=colors.DATA, lw=1, ls=":")
    ax.plot(needed, 100 * (1 - kept[needed - 1]), "o", color=colors.ACCENT, ms=10)
    ax.text(6.4, 55, "six: what the world needs", color=colors.DATA)
    ax.text(needed + 0.6, 1.15, f"{needed} keep 99%", color=colors.DATA)
    ax.set(yscale="log", xlabel="basis pictures", ylabel="variance missed", yticks=[1, 10, 100], yticklabels=["1%", "10%", "100%"],
           ylim=(0.4, 110), title="Six numbers, but not six directions")


# %%
variance_missed(kept, needed)

# %% [markdown]
# Six basis pictures keep 89% of the variance, and it takes 25 to keep all but a hundredth. The pictures lie on a
# six-dimensional surface, but the surface is *curved*: turning a hue around the color wheel, or moving an edge across
# the picture, does not follow a straight line in pixel space. We come back to this in 2.7. First we study the linear
# case, where everything can be computed exactly.

# %% [markdown]
# ## 2.2 Probabilistic PCA
#
# PCA gives directions, but it is no generative model: it has no density, and nothing to sample from. *Probabilistic
# PCA* (PPCA; Tipping and Bishop, 1999) turns it into a latent variable model with $L$ latents and $d$ features:
#
# $$ z \sim \mathcal N(0, I_L), \qquad x \mid z \sim \mathcal N(W z + b,\; \sigma^2 I_d) . $$
#
# $W$ is a $d \times L$ matrix, the decoder, and $\sigma^2$ is the variance in every direction that the $L$ latents do
# not explain. A linear function of a Gaussian plus Gaussian noise is again Gaussian, so the integral over $z$ has a
# closed form:
#
# $$ p(x) = \int \mathcal N(x; Wz + b, \sigma^2 I)\, \mathcal N(z; 0, I)\, dz = \mathcal N(x;\; b,\; W W^\top + \sigma^2 I) . $$
#
# To check it, draw many $z$, average $p(x \mid z)$ at one point $x$, and compare with the closed form.

# %%
W = torch.tensor([[1.6], [0.9]], dtype=torch.float64)  # d = 2, L = 1
b = torch.tensor([0.5, -0.2], dtype=torch.float64)
var = 0.15
eye = torch.eye(2, dtype=torch.float64)
marginal = MultivariateNormal(b, W @ W.T + var * eye)

point = torch.tensor([1.5, 1.0], dtype=torch.float64)
zs = torch.randn(200000, 1, dtype=torch.float64)  # from the prior
likelihoods = MultivariateNormal(zs @ W.T + b, var * eye).log_prob(point).exp()
error = likelihoods.std() / len(likelihoods) ** 0.5
claim("density by averaging over z, in standard errors from the closed form",
      (likelihoods.mean() - marginal.log_prob(point).exp()).abs() / error, below=4, digits=2)

twin = PPCA(2, 1).double().set(W, b, var)
x = twin.sample(1000)  # z from the prior, then x given z
claim("library and closed form agree on log p(x)", (twin.log_prob(x) - marginal.log_prob(x)).abs().max(), below=1e-10)

# %% jupyter={"source_hidden": true}
# The figure: the latent axis in the plane of the data
def latent_line(x, marginal, W, b):
    fig, ax = plt.subplots(figsize=(8, 4.8))
    plotting.points(x, ax)
    plotting.contours(lambda p: marginal.log_prob(p.double()), ax, (-6, 7, -5, 5))
    ax.plot(*(torch.tensor([[-2.5], [2.5]], dtype=torch.float64) @ W.T + b).T, color=colors.LATENT, lw=3)
    for value in (-2, -1, 0, 1, 2):
        at = value * W[:, 0] + b
        ax.plot(*at, "o", color=colors.LATENT, ms=9)
        label = ax.annotate(f"z = {value}".replace("-", "−"), at, (12, -20), textcoords="offset points", color=colors.LATENT, fontweight="bold")
        label.set_path_effects([withStroke(linewidth=4, foreground="white")])
    ax.set(xlim=(-5, 6), ylim=(-3.6, 3.4), title="Each z is a place on a line, with noise around it")


# %%
latent_line(x, marginal, W, b)

# %% [markdown]
# The decoder places the latent axis (blue) in the plane of the data (dots), and the noise widens it to an ellipse.
# Along each green line $p(x)$ is constant.

# %% [markdown]
# ## 2.3 Maximum likelihood in closed form
#
# How do we find $W$, $b$ and $\sigma^2$? For a mixture we needed EM; here there is a formula. Let $\Sigma$ be the
# covariance of the data (dividing by $N$), $\lambda_1 \ge \dots \ge \lambda_d$ its eigenvalues and $U_L$ the first
# $L$ eigenvectors. Then the maximum of the likelihood is
#
# $$ \hat b = \bar x, \qquad \hat\sigma^2 = \frac{1}{d-L} \sum_{i>L} \lambda_i, \qquad
#    \hat W = U_L (\Lambda_L - \hat\sigma^2 I)^{1/2} R $$
#
# where $\Lambda_L$ is the diagonal matrix of the first $L$ eigenvalues and $R$ is *any* rotation. So the latent plane
# is PCA's, and $\hat\sigma^2$ is the average variance of the directions that were dropped. Each column of $U_L$ is
# stretched by $\sqrt{\lambda_j - \hat\sigma^2}$, a little less than the standard deviation of the data in that
# direction, because part of that spread is noise.
#
# **Why is this the maximum?** With $C = W W^\top + \sigma^2 I$ the log-likelihood per example is
#
# $$ \ell = -\tfrac12 \big[ d \log 2\pi + \log |C| + \operatorname{tr}(C^{-1} \Sigma) \big] . $$
#
# Three steps:
#
# 1. Its derivative in $W$ vanishes when $\Sigma\, C^{-1} W = W$.
# 2. Let $W = U D V^\top$ be a singular value decomposition. Then $C u_j = (D_j^2 + \sigma^2) u_j$, and step 1 reads
#    $\Sigma u_j = (D_j^2 + \sigma^2) u_j$ wherever $D_j \ne 0$: each column of $U$ is an eigenvector of $\Sigma$, and
#    $D_j^2 = \lambda_j - \sigma^2$. The derivative in $\sigma^2$ makes it the mean of the eigenvalues that were
#    dropped.
# 3. Which eigenvalues should be dropped? Insert all this into $-2\ell$. Apart from constants, the result depends only
#    on the dropped eigenvalues: it is $(d - L)$ times the log of their mean, minus the sum of their logs. By Jensen's
#    inequality this is zero if they are all equal and positive otherwise, so the dropped ones should be close
#    together. And every eigenvalue that is kept must be larger than their mean, or $D_j^2$ would be negative. The one
#    choice that satisfies both best is to drop the smallest (Tipping and Bishop, 1999, appendix A).
#
# Every choice of eigenvectors in step 2, including fewer than $L$, gives a stationary point, where all derivatives
# vanish. One of them is the maximum. With few features we can visit them all.

# %%
def keep(x, chosen, L):  # the stationary point that keeps these eigenvectors, largest first; other columns of W are 0
    values, vectors = (t.flip(-1) for t in torch.linalg.eigh(x.T.cov(correction=0)))
    var = values[[i for i in range(len(values)) if i not in chosen]].mean()
    W = torch.zeros(len(values), L, dtype=x.dtype)
    W[:, : len(chosen)] = vectors[:, chosen] * (values[chosen] - var).sqrt()
    return W, x.mean(0), var


mixing = torch.randn(8, 3, dtype=torch.float64)  # a world with d = 8 and three latents
world = MultivariateNormal(torch.zeros(8, dtype=torch.float64), mixing @ mixing.T + 0.3 * torch.eye(8, dtype=torch.float64))
x = world.sample((500,))

bare_W, bare_b, bare_var = keep(x, [0, 1, 2], 3)
model = PPCA(8, 3).double().solve(x)
best = model.log_prob(x).mean().item()
claim("library and bare code agree on W W'", (model.W @ model.W.T - bare_W @ bare_W.T).abs().max(), below=1e-10)
claim("and on the noise variance", model.var - bare_var, near=0, within=1e-12)

# %%
visited = {}
for size in range(4):
    for chosen in map(list, combinations(range(8), size)):
        point = keep(x, chosen, 3)
        if not point[0].isnan().any():  # a kept eigenvalue below the mean of the dropped has no real D_j
            other = PPCA(8, 3).double().set(*point)
            slopes = torch.autograd.grad(other.loss(x), other.parameters())
            visited[tuple(chosen)] = -other.loss(x).item(), max(s.abs().max().item() for s in slopes)

claim("largest derivative at all these places", max(slope for _, slope in visited.values()), below=1e-9)
claim("the highest of them keeps the three largest eigenvalues", max(visited, key=visited.get) == (0, 1, 2))
second = sorted(value for value, _ in visited.values())[-2]
claim("what the second highest loses", best - second, above=0.01, digits=2, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: how many places, and a walk away from the best
claim("places visited", len(visited), above=4)
tries = []
for _ in range(200):  # is it a maximum? walk away from it in 200 random directions
    other = PPCA(8, 3).double()
    other.set(bare_W + 0.03 * torch.randn_like(bare_W), bare_b + 0.03 * torch.randn_like(bare_b),
              bare_var * torch.exp(0.03 * torch.randn((), dtype=torch.float64)))
    tries.append(other.log_prob(x).mean().item())
claim("best of 200 neighbors, compared with the closed form", max(tries) - best, below=0, unit="nats")

# %% [markdown]
# At all these points the derivatives are zero, and the highest of them keeps the largest eigenvalues, as the formula
# says.
#
# **The rotation ambiguity.** Replace $W$ by $WR$ and $z$ by $R^\top z$. The prior is round, so nothing that we can
# observe changes. The *plane* of the latents is determined by the data; the *axes* in it are not. If one axis were
# "slant" and another "thickness", a rotated model that mixes the two would fit equally well, however many data we
# have. Remember this when somebody gives a latent axis a name.

# %%
R, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
turned = PPCA(8, 3).double().set(bare_W @ R, bare_b, bare_var)
claim("after a random rotation of the latents W changes by", (turned.W - model.W).abs().max(), above=0.1, digits=2)
claim("and log p(x) by", (turned.log_prob(x) - model.log_prob(x)).abs().max(), below=1e-10, unit="nats")

# %% [markdown]
# ## 2.4 The posterior: which latents made this x?
#
# So far we went from $z$ to $x$. To use the model as a short description of a given picture, we need the other
# direction, and for Gaussians Bayes' rule has a closed form as well:
#
# $$ p(z \mid x) = \mathcal N\big(z;\; M^{-1} W^\top (x - b),\; \sigma^2 M^{-1}\big), \qquad M = W^\top W + \sigma^2 I_L . $$
#
# The mean is not PCA's orthogonal projection. It lies closer to the origin, where the prior is higher, because part
# of an unusual $x$ is explained as noise; statisticians call this *shrinkage*. And the covariance is the same for
# every $x$. Look for both in the figure.

# %%
noisy = PPCA(2, 1).double().set(W, b, 0.6)  # more noise, so that the pull can be seen
few = noisy.sample(14)
posterior = noisy.encode(few)
unit = W[:, 0] / W.norm()
projected = (few - b) @ unit / W.norm()  # PCA's z
claim("posterior mean, as a share of PCA's projection", (posterior.mean.detach().squeeze() / projected).mean(),
      near=(W.T @ W / (W.T @ W + 0.6)).item(), within=1e-3, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: one posterior in full; the posterior mean beside the projection
which = (projected.abs() - 1).abs().argmin()  # one x: exact posterior against brute force on a grid
xi, zi = few[which], projected[which]
zs = torch.linspace(-6, 6, 3001, dtype=torch.float64)[:, None]
log_joint = noisy.prior().log_prob(zs) + noisy.decode(zs).log_prob(xi)
on_grid = (log_joint - log_joint.logsumexp(0)).exp().detach() / (zs[1, 0] - zs[0, 0])
exact = noisy.encode(xi[None]).log_prob(zs[:, None]).exp().detach().squeeze()


def pulled_in(few, projected, pulled, exact):
    fig, (left, right) = plt.subplots(1, 2, figsize=(14, 4.6), width_ratios=[1.3, 1])
    left.plot(*(torch.tensor([[-2.4], [2.4]], dtype=torch.float64) @ W.T + b).T, color=colors.LATENT, lw=2)
    for x, z, at in zip(few, projected, pulled):
        left.plot(*torch.stack([x, z * W[:, 0] + b]).T, color=colors.NOISE, lw=1.4, ls=":")
        left.annotate("", at, x, arrowprops={"arrowstyle": "-|>", "color": colors.MODEL, "lw": 1.6})
    plotting.points(few, left, size=40, alpha=1)
    left.set(title="Dotted: PCA. Arrows: the posterior mean, pulled in")
    z, top = zs[:, 0], float(exact.max())
    plotting.curve(z, noisy.prior().log_prob(zs).exp(), right, color=colors.NOISE)
    plotting.curve(z, exact, right, color=colors.EXACT)
    side = 1 if zi < 0 else -1  # write where there is room
    right.text(side * 1.2, 0.34, "prior p(z)", color=colors.NOISE, fontweight="bold", ha="left" if side > 0 else "right")
    right.text(z[exact.argmax()] + side * 0.75, 0.8 * top, "posterior p(z | x)", color=colors.EXACT, fontweight="bold", ha="left" if side > 0 else "right")
    right.axvline(zi, color=colors.NOISE, ls=":")
    right.text(zi, 1.14 * top, "  projection  ", color=colors.DATA, ha="right" if side > 0 else "left")
    right.set(xlabel="z", yticks=[], xlim=(-4, 4), ylim=(0, 1.25 * top), title="One x, seen from the latent side")


# %%
pulled_in(few, projected, noisy.decode(posterior.mean).mean.detach(), exact)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the posterior against a grid
claim("exact posterior against the grid, largest difference of density", (exact - on_grid).abs().max(), below=1e-5)

# %% [markdown]
# In the left panel the arrows end closer to the center than the dotted projections: here the posterior mean is 0.849
# times the projection. In the right panel one posterior is seen from the latent side; it is much narrower than the
# prior.
#
# **Missing pixels.** Bayes' rule does not need all of $x$. If some features are missing, the distribution of the
# others is again a PPCA. So delete the rows of $W$ and $b$ that belong to hidden pixels, infer $z$ from the rest, and
# let the full decoder fill in the picture. Here is a model of drawn digits, 28 x 28 pixels, and test digits of which
# four pixels in five are hidden. **Predict:** will you recognize what it fills in?

# %%
drawn = data.load("strokes", n=4000, seed=SEED)
linear = PPCA(784, 40).double().solve(drawn.flat().double())
whole = data.load("strokes", "test", n=500, seed=SEED).flat().double()


def complete(x, seen):  # seen: (784,) bool
    part = PPCA(int(seen.sum()), 40).double().set(linear.W[seen], linear.b[seen], linear.var)
    return torch.where(seen, x, linear.decode(part.encode(x[:, seen]).mean).mean).detach()


def share(seen):  # of the squared error that the mean picture makes
    error = lambda guess: (guess - whole)[:, ~seen].square().sum()
    return error(complete(whole, seen)) / error(linear.b.detach().expand_as(whole))


scattered, upper = torch.rand(784) < 0.2, torch.arange(784) < 392
claim("scattered pixels hidden: squared error there, as a share of the mean picture's", share(scattered), below=0.75, digits=2)
claim("the lower half hidden: that share", share(upper), above=0.85, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: whole, hidden and filled-in pictures
def completed(whole, seen, filled):
    fig, axes = plt.subplots(3, 1, figsize=(14, 4))
    rows = {"seen": torch.where(seen, whole, 0.25), "completed": filled, "truth": whole}
    for ax, (name, pictures) in zip(axes, rows.items()):
        plotting.images(pictures[:12].reshape(-1, 1, 28, 28), ax, columns=12)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
    axes[0].set_title("The posterior fills in what it does not see (gray)")


# %%
completed(whole, scattered, complete(whole, scattered))

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the completion against the big Gaussian's conditional mean
with torch.no_grad():
    C, s = linear.W @ linear.W.T + linear.var * torch.eye(784, dtype=torch.float64), scattered
    regression = linear.b[~s] + (whole[:, s] - linear.b[s]) @ torch.linalg.solve(C[s][:, s], C[s][:, ~s])
claim("completion against the conditional mean of the big Gaussian, largest difference",
      (complete(whole, s)[:, ~s] - regression).abs().max(), below=1e-8)

# %% [markdown]
# Most of them you will: with one pixel in five to see, the model leaves a share of 0.55 of the error that the mean
# picture makes on the hidden pixels. But do not trust it too far. With the whole lower half hidden that share is 1.1:
# the model is slightly worse than the mean picture.

# %% [markdown]
# ## 2.5 The same maximum by EM
#
# In the next chapter the closed form will be lost, and we will have to climb step by step. So let us practice where
# the answer is known, and watch how close EM comes to it. The E step is the posterior of 2.4. The M step is a linear
# regression of $x$ on $z$ in which the posterior means of $z$ and $zz^\top$ stand for the unknown values (Tipping and
# Bishop, 1999, eq. 27 and 28; Roweis, 1998).

# %%
def em_step(x, W, b, var):
    d, L = W.shape
    M = W.T @ W + var * torch.eye(L, dtype=W.dtype)
    Ez = (x - b) @ torch.linalg.solve(M, W.T).T  # E: posterior means (N, L)
    Ezz = len(x) * var * torch.linalg.inv(M) + Ez.T @ Ez  # summed second moments (L, L)
    W_new = torch.linalg.solve(Ezz, Ez.T @ (x - b)).T  # M: regression
    residual = (x - b).square().sum() - 2 * (Ez * ((x - b) @ W_new)).sum() + (Ezz * (W_new.T @ W_new)).sum()
    return W_new, b, residual / (len(x) * d)


bare = (torch.randn(8, 3, dtype=torch.float64), x.mean(0), torch.tensor(1.0, dtype=torch.float64))
learner = PPCA(8, 3).double().set(*bare)
values = []
for value in learner.em(x, 400):
    bare = em_step(x, *bare)
    values.append(value)

claim("library and bare EM agree on W W'", (learner.W @ learner.W.T - bare[0] @ bare[0].T).abs().max(), below=1e-8)
claim("EM against the closed form after 400 iterations", best - learner.log_prob(x).mean(), below=1e-6, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: how far EM is below the maximum
def em_below_the_maximum(missing):
    fig, ax = plt.subplots(figsize=(9, 3.2))
    plotting.curve(range(len(missing)), missing.clamp(min=1e-13), ax)
    ax.set(yscale="log", xlabel="EM iteration", ylabel="nats below the maximum", ylim=(1e-12, 20),
           title="In the end EM converges at a constant rate")


# %%
em_below_the_maximum(best - torch.tensor(values, dtype=torch.float64))

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: EM never goes down, and ends at a rotated W
claim("smallest gain of an iteration", torch.tensor(values, dtype=torch.float64).diff().min(), above=-1e-10, unit="nats")
claim("the two W differ, by a rotation of the latents", (learner.W - model.W).abs().max(), above=0.1, digits=2)

# %% [markdown]
# EM comes as close as we like. In the end each step shrinks what is missing by a constant factor, a straight line on
# this logarithmic scale.
#
# ## 2.6 How many latents? Real digits
#
# Back to the scanned digits of chapter 1, with the same uniform noise on their gray levels, the same unit (nats per
# picture) and a test set by other writers. Border pixels hardly ever change and call for a tiny $\sigma$, but PPCA
# has one $\sigma$ for all pixels. Does that matter? As a control we fit **factor analysis**, the same model with a
# variance for each pixel,
#
# $$ x \mid z \sim \mathcal N\big(W z + b,\; \operatorname{diag}(\sigma_1^2, \dots, \sigma_d^2)\big) . $$
#
# Its maximum has no closed form; scikit-learn finds it by EM. **Predict:** which of the two needs more latents, and
# which ends with the higher held-out likelihood?

# %% jupyter={"source_hidden": true}
# Digits of 8 x 8 pixels on 17 gray levels
def small_levels(split):  # (N, 64) gray levels 0 ... 16
    x = data.load(DATASET, split, n=None if DATASET == "digits" else 2000, seed=SEED).x
    return (torch.nn.functional.adaptive_avg_pool2d(x, 8) * 16).round().flatten(1).double()


# %%
torch.manual_seed(SEED)
train_x, valid_x, test_x = (x + torch.rand_like(x) for x in map(small_levels, ["train", "validation", "test"]))
latents = list(range(0, 64, 1 if PROFILE == "full" else 3))
ppca = [PPCA(64, L).double().solve(train_x) for L in latents]
training, held_out = ([m.log_prob(x).mean().item() for m in ppca] for x in (train_x, valid_x))
chosen = max(range(len(latents)), key=lambda i: held_out[i])

some = [3, 6, 12, 18, 24, 30, 39, 51]
factors = [FactorAnalysis(L, svd_method="lapack", tol=2.0).fit(train_x.numpy()) for L in some]
factors_held_out = [m.score(valid_x.numpy()) for m in factors]

# %% jupyter={"source_hidden": true}
# The figure: held-out likelihood by number of latents
def how_many(full):
    fig, ax = plt.subplots(figsize=(10, 4.2))
    plotting.curve(latents, training, ax, color=colors.DATA)
    plotting.curve(latents, held_out, ax, color=colors.MODEL)
    plotting.curve(some, factors_held_out, ax, color=colors.MODEL, marker="o", ls="--")
    ax.plot(latents[chosen], held_out[chosen], "o", color=colors.ACCENT, ms=11)
    ax.axhline(full, color=colors.DATA, lw=1, ls=":")
    low = min(held_out)
    ax.text(63, full - 0.04 * (full - low), "any covariance", color=colors.DATA, ha="right", va="top", fontsize=11)
    ax.text(63, max(training) + 0.03 * (full - low), "PPCA, training", color=colors.DATA, ha="right", va="bottom", fontweight="bold")
    ax.text(34, held_out[latents.index(33)] - 0.06 * (full - low), "PPCA, held out", color=colors.MODEL, va="top", fontweight="bold")
    ax.text(1, full + 0.04 * (full - low), "factor analysis, held out", color=colors.MODEL, fontweight="bold")
    ax.set(xlabel="latents L", ylabel="nats per picture", title="Factor analysis needs fewer latents to do as well")


best_gaussian = MultivariateNormal(train_x.mean(0), train_x.T.cov(correction=0))

# %%
how_many(best_gaussian.log_prob(valid_x).mean().item())

# %%
def nats(model):  # (N,) log-likelihoods of the test pictures
    return torch.as_tensor(model.score_samples(test_x.numpy())) if isinstance(model, FactorAnalysis) else model.log_prob(test_x).detach()


test, pixels, same = nats(ppca[chosen]), nats(factors[some.index(24)]), nats(ppca[latents.index(24)])
claim("latents that PPCA chooses by held-out likelihood, of 64 dimensions", latents[chosen], above=24)
claim("with 24 latents factor analysis leads PPCA, per test picture, by", (pixels - same).mean(), above=2, digits=2, unit="nats")
claim("PPCA with its own choice of latents: -log p is at most", -test.mean(), below=400, unit="nats")
claim("a Gaussian with any covariance", -best_gaussian.log_prob(test_x).mean(), near=-test.mean().item(), within=3, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: how flat factor analysis is, and how sure the differences are
gain = factors_held_out[some.index(51)] - factors_held_out[some.index(24)]
claim("held out, factor analysis gains from 24 latents to 51", gain, below=4, digits=1, unit="nats")
behind = test - pixels
claim("PPCA with its choice against factor analysis with 24", behind.mean().abs(), below=4, digits=1, unit="nats")
claim("standard error of that difference", behind.std() / len(behind) ** 0.5, below=1, digits=1, unit="nats")
claim("standard error of PPCA's nats", test.std() / len(test) ** 0.5, below=10, unit="nats")
claim("noise that PPCA leaves, standard deviation", ppca[chosen].var.sqrt(), near=12**-0.5, within=0.05, unit="gray levels")

# %% [markdown]
# With few latents the single $\sigma^2$ hurts: at 24, factor analysis (dashed) leads by 19 nats. PPCA catches up only
# at 51 of 64 latents, which is hardly a short description. By then its noise is down to a standard deviation of 0.311
# gray levels, little more than the $1/\sqrt{12}$ of the uniform noise that we added. But that both end at the same
# height is not due to $\sigma^2$: factor analysis gains only 0.5 nats from 24 latents to 51, and a Gaussian with
# *any* covariance needs the same 132 nats. This is the price of being Gaussian. PPCA does about as well as the
# mixture of chapter 1, and both lose to independent pixels with free histograms (1.9).

# %% [markdown]
# ## 2.7 What a linear decoder cannot do
#
# What do the pictures of such a model look like? Draw $z$ from the prior and show the mean picture $Wz + b$. Three
# experiments show the same weakness. They use the model of drawn digits from 2.4, and a second one with only two
# latents. **Predict:** what lies halfway between a 3 and an 8?

# %%
torch.manual_seed(SEED)
two = PPCA(784, 2).double().solve(drawn.flat().double())
random_pictures = linear.decode(linear.prior().sample((25,))).mean
axis = torch.linspace(-2, 2, 5, dtype=torch.float64)
board = two.decode(torch.cartesian_prod(axis.flip(0), axis).flip(1)).mean

steps = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
walks = []
for digits in [[3, 8], [0, 1], [7, 4], [6, 9], [2, 5]]:
    start, end = linear.encode(strokes.draw(digits).flatten(1).double()).mean
    walks.append(linear.decode((1 - steps) * start + steps * end).mean)

average = (walks[0][0] + walks[0][-1]) / 2
claim("the picture halfway from the 3 to the 8 is the average of both, largest difference", (walks[0][2] - average).abs().max(),
      below=1e-9)

# %% jupyter={"source_hidden": true}
# The figure: random pictures, a map of two latents, and walks
def three_sheets(*sheets):
    fig, axes = plt.subplots(1, 3, figsize=(14, 5))
    titles = ["Pictures of random z", "A map of two latents", "Walks: one digit fades into another"]
    for ax, pictures, title in zip(axes, sheets, titles):
        plotting.images(pictures.reshape(-1, 1, 28, 28), ax, columns=5)
        ax.set_title(title)


# %%
three_sheets(random_pictures, board, torch.cat(walks))

# %% [markdown]
# The random pictures (left) are smudges in which several digits overlap, and so are those on the map of two latents.
# The walk from one digit to another (right) is a **cross-fade**: one fades out while the other fades in. Halfway lies
# *exactly* the average of the two pictures, because a linear decoder can do nothing else. It is the gray cube of 1.1
# again.
#
# A further experiment is the sharpest. Take one drawn digit and change **one** number, its slant. This world has one
# latent and no noise, and still no linear decoder with one latent can describe it.

# %%
slants = torch.linspace(-0.6, 0.6, 121)
family = strokes.draw(torch.full((121,), 7), slant=slants).flatten(1).double()  # (121, 784)
centered = family - family.mean(0)
_, scales, V = torch.linalg.svd(centered, full_matrices=False)
share = scales.square().cumsum(0) / scales.square().sum()
coordinates = centered @ V[:3].T  # along the first three basis pictures
rebuilt = coordinates[:, :1] @ V[:1] + family.mean(0)  # what one latent can say
claim("variance that one basis picture keeps of a one-factor family", 100 * share[0], below=90, unit="%")
claim("basis pictures that keep 99 % of it", int((share < 0.99).sum()) + 1, above=3)

# %% jupyter={"source_hidden": true}
# The figures: a family of slants, flat and to turn
def horseshoe():
    fig, axes = plt.subplots(1, 3, figsize=(14, 4.4), width_ratios=[0.5, 1, 1])
    pairs = torch.stack([family[::40], rebuilt[::40]], 1)
    plotting.images(pairs.reshape(-1, 1, 28, 28), axes[0], columns=2, titles=["truth", "model"])
    axes[1].scatter(coordinates[:, 0], coordinates[:, 1], c=slants, cmap=colors.FIELD, s=25)
    axes[1].plot([coordinates[:, 0].min(), coordinates[:, 0].max()], [0, 0], color=colors.MODEL, lw=2)
    axes[1].set(title="The family is a curve, the model a line", xlabel="first direction", ylabel="second direction", xticks=[], yticks=[])
    plotting.curve(range(1, 16), 100 * share[:15], axes[2], marker="o")
    axes[2].axhline(99, color=colors.DATA, lw=1, ls=":")
    axes[2].set(xlabel="basis pictures", ylabel="variance kept, %", ylim=(0, 105), title="One number, many directions")


def horseshoe_in_space():
    fig = plt.figure(figsize=(9, 4.6), layout="none")
    ax = fig.add_axes([0.1, 0, 0.8, 0.92], projection="3d")
    ax.scatter(*coordinates.T, c=slants, cmap=colors.FIELD, s=14, depthshade=False)
    ax.plot([coordinates[:, 0].min(), coordinates[:, 0].max()], [0, 0], [0, 0], color=colors.MODEL, lw=2)
    ax.set(xlabel="first", ylabel="second", zlabel="third", xticklabels=[], yticklabels=[], zticklabels=[])
    ax.set_box_aspect((coordinates.max(0).values - coordinates.min(0).values).tolist(), zoom=1.15)
    fig.suptitle("One number draws a curve through three directions", fontweight="bold")
    return fig


def horseshoe_to_turn():
    x, y, z = ([round(v, 2) for v in column] for column in coordinates.T.tolist())
    told = [f"slant {s:+.2f}" for s in slants]
    fig = go.Figure(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker={"size": 4, "color": [round(s, 2) for s in slants.tolist()], "colorscale": "Cividis",
        "colorbar": {"title": {"text": "slant", "side": "right"}, "thickness": 12}}, text=told, hoverinfo="text", showlegend=False))
    fig.add_scatter3d(x=[min(x), max(x)], y=[0, 0], z=[0, 0], mode="lines", line={"color": colors.MODEL, "width": 6}, name="one latent",
        hoverinfo="name", showlegend=False)
    fig.update_layout(height=480, margin={"l": 0, "r": 0, "t": 40, "b": 0}, title="One number draws a curve through three directions",
        scene={"xaxis_title": "first", "yaxis_title": "second", "zaxis_title": "third", "aspectmode": "data",
               "camera_eye": {"x": 1.6, "y": 1.6, "z": 1.0}})
    return fig


# %%
horseshoe()

# %%
plotting.turn(horseshoe_to_turn(), horseshoe_in_space())

# %% [markdown]
# One basis picture keeps 47.9% of the variance of a family that *one* number describes, and it takes 9 of them to
# keep 99 % of it. In the plane of the first two directions the family is a horseshoe, and in three it rises out of
# the plane (turn it). A line cannot follow it, so the model's pictures are smears. A nonlinear decoder could follow
# it with one latent. In chapter 3 we will use a neural network, and pay for it: the integral
# $\int p(x\mid z)\,p(z)\,dz$ and the posterior lose their closed forms.

# %% [markdown]
# ## 2.8 Play
#
# First the world: six sliders and one picture, rendered live. *Predict:* which factor changes the most pixels? The
# line below the picture counts them.

# %%
from gdm_core import explorers

explorers.scenes(device=DEVICE)

# %% [markdown]
# Then the linear model of real digits. Drag $z$ and watch the decoded picture; choose a digit and see its posterior,
# an ellipse in the plane of the latents. *Predict:* what happens to the ellipse when you raise the noise? Does the
# ellipse of a 1 differ in shape from that of an 8?
#
# <details><summary>Answer</summary>
#
# More noise makes the ellipse larger and moves its center toward the origin: the picture says less, and the prior
# counts for more. Every digit has the same ellipse, since the covariance $\sigma^2 M^{-1}$ does not depend on $x$.
# </details>

# %%
explorers.ppca(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 2.9 What to keep, and what is not settled
#
# - Prior, decoder and noise define $p(x) = \int p(x\mid z)\,p(z)\,dz$. With a linear decoder and Gaussians everything
#   has a closed form: marginal, posterior, maximum likelihood, and the completion of missing pixels.
# - PPCA has PCA's plane. It adds a density, a posterior that shrinks toward the prior, and a held-out likelihood by
#   which to choose $L$. Factor analysis adds a variance for each pixel and loses the closed-form maximum.
# - Latent axes are determined only up to rotation.
# - Halfway between two codes a linear decoder draws the average of two pictures. Real variation is curved, so the
#   decoder must be nonlinear. Then the marginal has no closed form, and that is where chapter 3 starts.
#
# Honest limits. With uniform noise the likelihood is only a *bound* for the discrete pictures, and a Gaussian wastes
# probability on gray levels below 0 and above 16. And the likelihood says little about how samples look.
#
# **References.** M. Tipping, C. Bishop, *Probabilistic principal component analysis*, 1999, eq. 6 to 9, 27, 28,
# appendix A (the stationary points). S. Roweis, *EM algorithms for PCA and SPCA*, 1998. D. Rubin, D. Thayer, *EM
# algorithms for ML factor analysis*, 1982. C. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 12.2
# (eq. 12.42 to 12.46, 12.56, 12.57; factor analysis: section 12.2.4). C. Burgess, H. Kim, *3D Shapes*, 2018 (the
# factors of the rooms).
