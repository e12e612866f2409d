# %% [markdown]
# # 2 · From probabilistic PCA to latent spaces
#
# **A picture has thousands of pixels, but only a few things can change in it. Can a model find the few numbers behind a
# picture, and a way back from them to its pixels?**
#
# After this lecture you can
#
# - read a latent variable as the address of a picture, and say what a decoder is;
# - write probabilistic PCA, its marginal, its posterior and its maximum of likelihood, all in closed form;
# - say how it differs from PCA, and what the rotation ambiguity means for "meaningful" latents;
# - choose the number of latents by held-out likelihood;
# - show on real digits what a *linear* decoder cannot do, which is the reason for the next chapter.
#
# You need: chapter 1, eigenvectors, multivariate Gaussians. Time: 60 minutes to read, 30 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures, more latents
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %%
import matplotlib.pyplot as plt
import torch
from matplotlib.patheffects import withStroke
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
# The rooms below are 64 x 64 pixels of three colors: 12,288 numbers. They were rendered from **six**: the hues of floor,
# wall and object, the object's size and shape, and the direction we look in. Whoever knows the renderer can send six
# numbers in place of the picture. The six numbers are a *latent variable* $z$, the renderer is a *decoder*, and the
# pictures are what the decoder makes of the prior.

# %%
middle = torch.tensor([6, 1, 0, 5, 0, 4])  # a place on the grid of 480,000
names = list(scenes.FACTORS)
fig, axes = plt.subplots(6, 1, figsize=(10, 8.6))
for i, (ax, name) in enumerate(zip(axes, names)):
    cardinality = scenes.FACTORS[name]
    sweep = middle.repeat(min(8, cardinality), 1)
    sweep[:, i] = torch.linspace(0, cardinality - 1, len(sweep)).round().long()
    plotting.images(scenes.render(sweep), ax, columns=8)
    ax.set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontweight="bold")
    ax.spines[:].set_visible(False)

print(scenes.caption(middle[None])[0])

# %% [markdown]
# Nobody gives us the renderer. From pictures alone, can we find a few numbers and a way back? The simplest way back is a
# **linear** one: a picture is the mean picture plus a weighted sum of a few basis pictures. That is principal component
# analysis. How many basis pictures does a six-number world need?

# %%
rooms = data.load("scenes", n=4000 if PROFILE == "full" else 1500, seed=SEED)
small = torch.nn.functional.avg_pool2d(rooms.x, 4).flatten(1).double()  # (N, 768): 16 x 16 pixels are enough to count
spectrum = torch.linalg.eigvalsh(small.T.cov()).flip(0)
kept = spectrum.cumsum(0) / spectrum.sum()

fig, ax = plt.subplots(figsize=(8, 3.4))
plotting.curve(range(1, 61), kept[:60], ax, color=colors.MODEL)
ax.axvline(6, color=colors.ACCENT)
ax.text(6.8, 0.3, "six: what the world needs", color=colors.DATA)
ax.set(xlabel="basis pictures", ylabel="variance kept", ylim=(0, 1.03), title="Six numbers, but not six directions")

needed = int((kept < 0.99).sum()) + 1
claim("variance of the rooms that six basis pictures keep", kept[5], below=0.95)
claim("basis pictures needed to keep 99 % of it", needed, above=6)

# %% [markdown]
# The pictures lie on a six-dimensional surface, and the surface is *curved*: turning hue around the color wheel or
# moving an edge across the picture is no straight line in pixel space. Keep that for 2.7. First the linear case, where
# everything can be known exactly.

# %% [markdown]
# ## 2.2 Probabilistic PCA
#
# PCA gives directions, but no density and no way to sample. Write it as a latent variable model (Tipping & Bishop, 1999):
#
# $$ z \sim \mathcal N(0, I_q), \qquad x \mid z \sim \mathcal N(W z + b,\; \sigma^2 I_d) . $$
#
# $W$ is the decoder, $d \times q$; $\sigma^2$ is the variance that $q$ numbers cannot explain. A linear function of a Gaussian
# plus Gaussian noise is Gaussian, so the integral over $z$ is known:
#
# $$ p(x) = \int \mathcal N(x; Wz + b, \sigma^2 I)\, \mathcal N(z; 0, I)\, dz = \mathcal N(x;\; b,\; W W^\top + \sigma^2 I) . $$
#
# Check it with ten lines: draw $z$, then $x$, and compare with the closed form.

# %%
W = torch.tensor([[1.6], [0.9]], dtype=torch.float64)  # d = 2, q = 1
b = torch.tensor([0.5, -0.2], dtype=torch.float64)
var = 0.15

z = torch.randn(1000, 1, dtype=torch.float64)  # z from the prior
x = z @ W.T + b + var**0.5 * torch.randn(1000, 2, dtype=torch.float64)  # then x given z
marginal = MultivariateNormal(b, W @ W.T + var * torch.eye(2, dtype=torch.float64))

# the integral by brute force at one point: average p(x | z) over many z
point = torch.tensor([1.5, 1.0], dtype=torch.float64)
zs = torch.randn(200000, 1, dtype=torch.float64)
likelihoods = MultivariateNormal(zs @ W.T + b, var * torch.eye(2, dtype=torch.float64)).log_prob(point).exp()
error = likelihoods.std() / len(likelihoods) ** 0.5

twin = PPCA(2, 1).double()
twin.set(W, b, var)
claim("density by averaging over z, in standard errors from the closed form",
      (likelihoods.mean() - marginal.log_prob(point).exp()).abs() / error, below=4, digits=2)
claim("library and closed form agree on log p(x)", (twin.log_prob(x) - marginal.log_prob(x)).abs().max(), below=1e-10)

# %%
fig, ax = plt.subplots(figsize=(7, 5))
plotting.points(x, ax)
plotting.contours(lambda p: marginal.log_prob(p.double()), ax, (-6, 7, -5, 5))
line = torch.linspace(-2.5, 2.5, 2, dtype=torch.float64)[:, None] @ W.T + b
ax.plot(*line.T, color=colors.LATENT, lw=3)
for value in (-2, -1, 0, 1, 2):
    at = value * W[:, 0] + b
    ax.plot(*at, "o", color=colors.LATENT, ms=9)
    label = ax.annotate(f"z = {value}", at, (12, -20), textcoords="offset points", color=colors.LATENT, fontweight="bold")
    label.set_path_effects([withStroke(linewidth=4, foreground="white")])
ax.set(xlim=(-5, 6), ylim=(-3.6, 3.4), title="The latent line z → Wz + b, the noise around it");

# %% [markdown]
# ## 2.3 Maximum likelihood in closed form
#
# Let $S$ be the covariance of the data (dividing by $N$), $\lambda_1 \ge \dots \ge \lambda_d$ its eigenvalues and $U_q$ the
# first $q$ eigenvectors. Then the maximum of the likelihood is
#
# $$ \hat b = \bar x, \qquad \hat\sigma^2 = \frac{1}{d-q} \sum_{i>q} \lambda_i, \qquad
#    \hat W = U_q (\Lambda_q - \hat\sigma^2 I)^{1/2} R $$
#
# with *any* rotation $R$. So the best latent plane is PCA's, the noise is the average variance of the directions that we
# dropped, and the columns of $W$ are a little shorter than the data are wide, since a part of that width is noise.

# %%
def solve(x, q):
    values, vectors = torch.linalg.eigh(x.T.cov(correction=0))  # ascending
    var = values[:-q].mean()
    return vectors[:, -q:] * (values[-q:] - var).sqrt(), x.mean(0), var


mixing = torch.randn(8, 3, dtype=torch.float64)  # a world with d = 8 and three latents
world = MultivariateNormal(torch.zeros(8, dtype=torch.float64), mixing @ mixing.T + 0.3 * torch.eye(8, dtype=torch.float64))
x = world.sample((500,))

bare_W, bare_b, bare_var = solve(x, 3)
model = PPCA(8, 3).double()
model.solve(x)
claim("library and bare code agree on W W'", (model.W @ model.W.T - bare_W @ bare_W.T).abs().max(), below=1e-10)
claim("and on the noise variance", model.var - bare_var, near=0, within=1e-12)

best = model.log_prob(x).mean().item()
tries = []
for _ in range(200):  # is it a maximum? walk away from it in 200 random directions
    other = PPCA(8, 3).double()
    other.set(bare_W + 0.03 * torch.randn_like(bare_W), bare_b + 0.03 * torch.randn_like(bare_b),
              bare_var * torch.exp(0.03 * torch.randn((), dtype=torch.float64)))
    tries.append(other.log_prob(x).mean().item())
claim("best of 200 neighbors, compared with the closed form", max(tries) - best, below=0, unit="nats")

# %% [markdown]
# **The rotation ambiguity.** Replace $W$ by $WR$ and $z$ by $R^\top z$: the prior is round, so nothing that we can observe
# changes. The *plane* of the latents is determined; the *axes* in it are not. No amount of data will tell "slant" from
# "thickness" in this model. Remember it when somebody names a latent axis.

# %%
R, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
turned = PPCA(8, 3).double()
turned.set(bare_W @ R, bare_b, bare_var)
claim("after a random rotation of the latents W changes by", (turned.W - model.W).abs().max(), above=0.1, digits=2)
claim("and log p(x) by", (turned.log_prob(x) - model.log_prob(x)).abs().max(), below=1e-10, unit="nats")

# %% [markdown]
# ## 2.4 The posterior: which latents made this x?
#
# Bayes' rule for Gaussians is in closed form as well:
#
# $$ p(z \mid x) = \mathcal N\big(z;\; M^{-1} W^\top (x - b),\; \sigma^2 M^{-1}\big), \qquad M = W^\top W + \sigma^2 I_q . $$
#
# Its mean is not the orthogonal projection of PCA. It is pulled toward the origin, because the prior says that small
# $z$ are likelier: part of an unusual $x$ is explained as noise. And its covariance is the same for every $x$.

# %%
flat = PPCA(2, 1).double()
flat.set(W, b, torch.tensor(0.6, dtype=torch.float64))  # noisier, so that the pull can be seen
few = flat.sample(14).detach()
posterior = flat.encode(few)
pulled = flat.decode(posterior.mean).mean.detach()
unit = W[:, 0] / W.norm()
projected = ((few - b) @ unit)[:, None] * unit + b

fig, axes = plt.subplots(1, 2, figsize=(13, 4.6), width_ratios=[1.3, 1])
ax = axes[0]
line = torch.linspace(-2.4, 2.4, 2, dtype=torch.float64)[:, None] @ W.T + b
ax.plot(*line.T, color=colors.LATENT, lw=2)
for i in range(len(few)):
    ax.plot(*torch.stack([few[i], projected[i]]).T, color=colors.NOISE, lw=1.2, ls=":")
    ax.annotate("", pulled[i], few[i], arrowprops={"arrowstyle": "-|>", "color": colors.MODEL, "lw": 1.6})
plotting.points(few, ax, size=40, alpha=1)
ax.set(title="Dotted: PCA. Red: the posterior mean, pulled in")

xi = few[few.norm(dim=1).argmax()]  # one x: exact posterior against brute force on a grid
zs = torch.linspace(-4, 4, 2001, dtype=torch.float64)[:, None]
log_joint = flat.prior().log_prob(zs) + flat.decode(zs).log_prob(xi)
on_grid = (log_joint - log_joint.logsumexp(0)).exp().detach() / (zs[1, 0] - zs[0, 0])
exact = flat.encode(xi[None]).log_prob(zs[:, None]).exp().detach().squeeze()
plotting.curve(zs[:, 0], flat.prior().log_prob(zs).exp(), axes[1], "prior p(z)", color=colors.NOISE, at=0.3, offset=(-80, 6))
plotting.curve(zs[:, 0], exact, axes[1], "posterior p(z | x)", color=colors.EXACT, at=float(exact.argmax()) / 2000, offset=(-160, 0))
ml = ((xi - b) @ unit) / W.norm()
axes[1].axvline(ml, color=colors.NOISE, ls=":")
axes[1].text(ml, 0.02, " projection", color=colors.DATA)
axes[1].set(xlabel="z", yticks=[], xlim=(-4, 4), ylim=(0, exact.max() * 1.2), title="one x, seen from the latent side");

# %%
claim("exact posterior against the grid, largest difference of density", (exact - on_grid).abs().max(), below=1e-6)
claim("posterior mean, as a share of PCA's projection",
      (posterior.mean.squeeze() / (((few - b) @ unit) / W.norm())).mean(),
      near=(W.T @ W / (W.T @ W + 0.6)).item(), within=1e-9)

# %% [markdown]
# ## 2.5 The same maximum by EM
#
# Nobody needs EM here, and that is why we use it: both answers are exact, so EM can be watched against the truth. The E
# step is the posterior of 2.4, the M step a linear regression of $x$ on $z$ with the posterior's moments
# (Tipping & Bishop, eq. 27 and 28). In the next chapter the closed form is lost and this second road is what remains.

# %%
def em_step(x, W, b, var):
    d, q = W.shape
    M = W.T @ W + var * torch.eye(q, dtype=W.dtype)
    Ez = (x - b) @ torch.linalg.solve(M, W.T).T  # E: posterior means (N, q)
    Ezz = len(x) * var * torch.linalg.inv(M) + Ez.T @ Ez  # summed second moments (q, q)
    W_new = torch.linalg.solve(Ezz, Ez.T @ (x - b)).T  # M: regression
    residual = (x - b).square().sum() - 2 * (Ez * ((x - b) @ W_new)).sum() + (Ezz * (W_new.T @ W_new)).sum()
    return W_new, b, residual / (len(x) * d)


start = torch.randn(8, 3, dtype=torch.float64)
learner = PPCA(8, 3).double()
learner.set(start, x.mean(0), torch.tensor(1.0, dtype=torch.float64))
bare = (start, x.mean(0), torch.tensor(1.0, dtype=torch.float64))
values = []
for value in learner.em(x, 400):
    bare = em_step(x, *bare)
    values.append(value)

fig, ax = plt.subplots(figsize=(8, 3.2))
plotting.curve(range(400), [best - v for v in values], ax)
ax.set(yscale="log", xlabel="EM iteration", ylabel="nats below the maximum", title="EM reaches the closed form, a constant factor a step")

claim("library and bare EM agree on W W'", (learner.W @ learner.W.T - bare[0] @ bare[0].T).abs().max(), below=1e-8)
claim("EM against the closed form after 400 iterations", best - learner.log_prob(x).mean(), below=1e-6, unit="nats")
claim("smallest gain of an iteration", torch.tensor(values).diff().min(), above=-1e-10, unit="nats")
claim("the two W differ, by a rotation of the latents", (learner.W - model.W).abs().max(), above=0.1, digits=2)

# %% [markdown]
# ## 2.6 How many latents? Real digits
#
# Back to the scanned digits of chapter 1, with the same uniform noise that makes 17 gray levels continuous, the same
# units (nats per picture) and other people's handwriting in the test set.

# %%
def small_levels(split):  # (N, 64) gray levels 0 ... 16
    x = data.load(DATASET, split, n=None if DATASET == "digits" else 2000, seed=SEED, device=DEVICE).x
    return (torch.nn.functional.adaptive_avg_pool2d(x, 8) * 16).round().flatten(1).double()


torch.manual_seed(SEED)
train_x, valid_x, test_x = (x + torch.rand_like(x) for x in map(small_levels, ["train", "validation", "test"]))
latents = list(range(0, 64, 1 if PROFILE == "full" else 3))
fits, scores = [], {"training": [], "held out": []}
for q in latents:
    m = PPCA(64, q).double().to(DEVICE)
    m.solve(train_x)
    fits.append(m)
    scores["training"].append(m.log_prob(train_x).mean().item())
    scores["held out"].append(m.log_prob(valid_x).mean().item())
best_i = max(range(len(latents)), key=lambda i: scores["held out"][i])
linear = fits[best_i]
test = linear.log_prob(test_x).detach()

fig, ax = plt.subplots(figsize=(9, 3.8))
plotting.curve(latents, scores["training"], ax, "training", color=colors.DATA, at=0.9, offset=(-30, 14))
plotting.curve(latents, scores["held out"], ax, "held out", color=colors.MODEL, at=0.9, offset=(-10, 14))
ax.axvline(latents[best_i], color=colors.ACCENT, lw=1.5, zorder=0)
ax.set(xlabel="latents q", ylabel="nats per picture", title=f"Held-out likelihood is highest at q = {latents[best_i]}");

# %%
claim("latents chosen by held-out likelihood, of 64 dimensions", latents[best_i], above=0)
claim("noise that is left, standard deviation", linear.var.sqrt(), near=12**-0.5, within=0.05, unit="gray levels")
claim("PPCA, nats per test picture: -log p is at most", -test.mean(), below=400, unit="nats")
claim("standard error", test.std() / len(test) ** 0.5, below=10, unit="nats")

# %% [markdown] tags=["read-out"]
# The held-out likelihood asks for 51 of 64 latents: no short description at all. The reason is the single $\sigma^2$ for all
# pixels. Border pixels never change, so they want a tiny noise; the only way to have it is to give every direction that
# varies a latent of its own. What is left is a standard deviation of 0.311 gray levels, hardly more than the $1/\sqrt{12}$
# of the uniform noise that we added. With 132 nats on the test digits PPCA is level with the mixture of chapter 1, and both lose to pixels
# that are modeled alone with free histograms.

# %% [markdown]
# ## 2.7 What a linear decoder cannot do
#
# Sampling is easy now: $z$ from the prior, then the mean picture $Wz + b$. Three tests of the same fault.

# %%
two = PPCA(64, 2).double()
two.solve(train_x)
torch.manual_seed(SEED)
drawn = linear.decode(linear.prior().sample((20,))).mean.detach()
i, j = 3, 8
labels = data.load(DATASET, "train", n=None if DATASET == "digits" else 2000, seed=SEED).labels
pair = train_x[torch.stack([(labels == i).nonzero()[0, 0], (labels == j).nonzero()[0, 0]])]
ends = linear.encode(pair).mean.detach()
steps = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]
path = linear.decode((1 - steps) * ends[0] + steps * ends[1]).mean.detach()
axis = torch.linspace(-3, 3, 7, dtype=torch.float64)
board = two.decode(torch.cartesian_prod(axis.flip(0), axis).flip(1)).mean.detach()

fig, axes = plt.subplots(1, 3, figsize=(13, 4.8))
for ax, pictures, columns, title in [
    (axes[0], drawn, 5, "mean pictures of random z"),
    (axes[1], board, 7, "a map of two latents"),
    (axes[2], path, 4, f"from a {i} to a {j}: a cross-fade"),
]:
    plotting.images(pictures.reshape(-1, 1, 8, 8) / 16, ax, columns=columns)
    ax.set_title(title)

# %%
halfway = linear.decode(ends.mean(0, keepdim=True)).mean
average = linear.decode(ends).mean.mean(0)
claim("the picture halfway is the average of the two end pictures, largest difference", (halfway - average).abs().max(),
      below=1e-9, unit="gray levels")

# %% [markdown]
# The random pictures are gray clouds with ghosts of several digits at once, and the way from one digit to another is a
# **cross-fade**: one fades out while the other fades in, and the picture halfway is *exactly* the average, for a linear
# decoder can do nothing else. It is the purple car of 1.1 again.
#
# The third test is the sharpest. Take one drawn digit and change **one** number, its slant. This is a one-latent world,
# without noise, and still no linear decoder with one latent can hold it.

# %%
slants = torch.linspace(-0.6, 0.6, 121)
family = strokes.draw(torch.full((121,), 7), slant=slants)  # (121, 1, 28, 28)
flat_family = family.flatten(1).double()
values = torch.linalg.eigvalsh(flat_family.T.cov(correction=0)).flip(0).clamp(min=0)
share = values.cumsum(0) / values.sum()
one = PPCA(784, 1).double()
centered = flat_family - flat_family.mean(0)
_, _, V = torch.linalg.svd(centered, full_matrices=False)
coordinates = centered @ V[:3].T

fig = plt.figure(figsize=(13, 4.2))
left, middle_, right = fig.subfigures(1, 3, width_ratios=[1.3, 1, 1])
ax = left.subplots()
rebuilt = (centered @ V[:1].T @ V[:1] + flat_family.mean(0)).reshape(-1, 1, 28, 28)
plotting.images(torch.cat([family[::24], rebuilt[::24]]), ax, columns=6)
ax.set_title("one factor: true, and by one basis picture")
ax = middle_.subplots()
ax.scatter(coordinates[:, 0], coordinates[:, 1], c=slants, cmap=colors.FIELD, s=25)
ax.plot([coordinates[:, 0].min(), coordinates[:, 0].max()], [0, 0], color=colors.MODEL, lw=2)
ax.set(title="the family is a curve", xlabel="first direction", ylabel="second", xticks=[], yticks=[])
ax = right.subplots()
plotting.curve(range(1, 31), share[:30], ax, marker="o")
ax.set(xlabel="basis pictures", ylabel="variance kept", ylim=(0, 1.05), title="one number, many directions");

# %%
claim("variance that one basis picture keeps of a one-factor family", 100 * share[0], below=90, unit="%")
claim("basis pictures that keep 99% of it", int((share < 0.99).sum()) + 1, above=3)

# %% [markdown] tags=["read-out"]
# One basis picture keeps 47.9% of the variance of a family that *one* number describes, and it takes 9 of them to keep 99% of
# it. In the plane of the first two directions the family is a horseshoe: a line cannot follow it, and the pictures of the
# line are smears. A decoder that bends could follow it with one latent. We will use a neural network, and pay for it: the
# integral $\int p(x\mid z)\,p(z)\,dz$ and the posterior lose their closed forms.

# %% [markdown]
# ## 2.8 Play
#
# First the world: six sliders, one picture, rendered live. *Predict:* which factors move the most pixels? Which two look
# alike from afar?

# %%
from gdm_core import explorers

explorers.scenes(device=DEVICE)

# %% [markdown]
# Then the linear model of real digits. Drag $z$ and watch the decoded picture; choose a digit and see its posterior, an
# ellipse in the plane of the latents. *Predict:* what happens to the ellipse when you raise the noise? When you add
# latents? Does the ellipse of a 1 differ in shape from that of an 8?

# %%
explorers.ppca(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 2.9 What to keep, and what is not settled
#
# - Prior, decoder, noise: $p(x) = \int p(x\mid z)\,p(z)\,dz$. With a linear decoder and Gaussians everything is in closed
#   form: marginal, posterior, maximum of the likelihood.
# - PPCA's plane is PCA's plane; what it adds is a density, a posterior that shrinks toward the prior, and a held-out
#   likelihood that chooses $q$.
# - Latent axes are determined up to rotation only.
# - A linear decoder's pictures halfway are averages. Real variation is curved: the decoder must bend. A bent decoder has
#   no closed-form marginal, and that is where chapter 3 starts.
#
# Honest limits. The uniform noise makes a *bound* for discrete pictures, and a density in gray levels that a Gaussian,
# with its tails over impossible values, cannot use well. The likelihood says little about how the samples look.
#
# **References.** M. Tipping, C. Bishop, *Probabilistic principal component analysis*, 1999, eq. 6 to 9, 27, 28. S. Roweis,
# *EM algorithms for PCA and SPCA*, 1998. C. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 12.2 (eq.
# 12.42 to 12.46, 12.56, 12.57). C. Burgess, H. Kim, *3D Shapes*, 2018 (the factors of the rooms).
