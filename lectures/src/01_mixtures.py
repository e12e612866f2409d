# %% [markdown]
# # 1 · Latent variables and Gaussian mixtures
#
# **How do simple pieces make a complicated distribution, and how do we find the pieces when nobody tells us which
# example belongs to which?**
#
# After this lecture you can
#
# - say what a generative model is and judge one by its likelihood on examples that it has not seen;
# - write a distribution as a sum over a *latent variable*, sample from it, and infer the latent with Bayes' rule;
# - derive the EM algorithm from a lower bound, prove that the likelihood never goes down, and name two ways in which
#   EM goes wrong;
# - choose the number of components, fit a mixture to real handwritten digits, and say what it cannot do.
#
# You need: probability densities, Bayes' rule, a little torch. Time: 55 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more starts, more components
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from sklearn.cluster import KMeans
from torch.distributions import Categorical, MultivariateNormal, Normal

from gdm_core import colors, data, plotting, train
from gdm_core.course.claims import claim
from gdm_core.data import scenes
from gdm_core.models.gmm import GMM
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED);

# %% [markdown]
# ## 1.1 One bump is not enough
#
# A *generative model* is a distribution $p_\theta(x)$, learned from samples of an unknown $p_\text{data}(x)$. We can
# use it to **generate** new $x$; give the **density** of an $x$, high for usual examples and low for odd ones; find a
# shorter **representation** of $x$; and answer a question that has **several right answers**.
#
# That last task is where an ordinary predictor fails. Ask it to color a gray photograph of a car: it has seen red
# cars and blue cars, and the answer with the smallest squared error is their average, a muddy purple that no car has.
#
# Here is that failure in a world where we know every right answer. The question is a caption, "a large cube on an
# azure floor between orange walls", which leaves the color of the cube open. **Predict:** which single picture has
# the smallest squared error, averaged over the ten answers?

# %%
answers = scenes.render(torch.tensor([[6, 1, hue, 5, 0, 4] for hue in range(10)]))  # (10, 3, 64, 64)
average = answers.mean(0)


def error(picture):  # squared, summed over the pixels, averaged over the right answers
    return (answers - picture).square().sum((1, 2, 3)).mean()


claim("squared error of the average", error(average), below=min(error(a) for a in answers))
claim("squared error of the best of the ten right answers", min(error(a) for a in answers), above=error(average))

# %% jupyter={"source_hidden": true}
# The figure: ten right answers and their average
def ten_answers(answers, average):
    fig, axes = plt.subplots(1, 2, figsize=(13, 1.6), width_ratios=[10, 1.02])
    plotting.images(answers, axes[0], columns=10)
    plotting.images(average[None], axes[1])
    axes[0].set_title("Ten right answers, and the guess whose squared error is smallest")
    axes[1].add_patch(Rectangle((-0.5, -0.5), 64, 64, fill=False, ec=colors.ACCENT, lw=5))


# %%
ten_answers(answers, average)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: how gray the average cube is
tint = lambda picture: (picture[:, 30:32, 28:30].amax(0) - picture[:, 30:32, 28:30].amin(0)).mean()  # on the cube
claim("color of the palest right cube, strongest minus weakest channel", min(tint(a) for a in answers), above=0.3)
claim("color of the average cube", tint(average), below=0.15)

# %% [markdown]
# The framed picture is the average of the ten, and its cube is gray. It has the smallest squared error, and it is
# never right. A generative model must do something else: give each of the ten answers a share of the probability.
#
# Now the same with one number instead of a picture. The data (gray histogram) come from a distribution with three
# bumps, which we know exactly (green). Of all Gaussians, the one with the highest likelihood has the mean and the
# standard deviation of the data (vermilion). **Predict:** where will it peak?

# %%
weights = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64)  # p(z = k)
means = torch.tensor([-3.2, 1.4, 3.2], dtype=torch.float64)
stds = torch.tensor([0.7, 0.6, 0.6], dtype=torch.float64)

z = Categorical(weights).sample((2000,))  # which bump
x = Normal(means[z], stds[z]).sample()  # where in it
one_bump = Normal(x.mean(), x.std())


def log_truth(x):  # (B,) -> (B,) nats
    return (weights.log() + Normal(means, stds).log_prob(x[:, None])).logsumexp(1)


# %% jupyter={"source_hidden": true}
# The figure: the data and the best single Gaussian
line = torch.linspace(-9, 9, 4001, dtype=torch.float64)
step = line[1] - line[0]


def one_gaussian(x, line, truth, gaussian):
    fig, ax = plt.subplots(figsize=(11, 3.6))
    plotting.histogram(x, ax)
    plotting.curve(line, truth, ax, color=colors.EXACT)
    plotting.curve(line, gaussian, ax, color=colors.MODEL)
    ax.text(4.2, 0.15, "where the data come from", color=colors.EXACT, fontweight="bold")
    ax.text(-5.1, 0.05, "best single Gaussian", color=colors.MODEL, ha="right", fontweight="bold")
    ax.set(xlabel="x", xlim=(-9, 9), title="The best Gaussian peaks where hardly any data lie")


# %%
one_gaussian(x, line, log_truth(line).exp(), one_bump.log_prob(line).exp())

# %%
peak = one_bump.mean
kl = (log_truth(line).exp() * (log_truth(line) - one_bump.log_prob(line))).sum() * step
claim("examples within 0.5 of the Gaussian's peak", 100 * ((x - peak).abs() < 0.5).double().mean(), below=5, digits=2, unit="%")
claim("what the Gaussian expects there", 100 * (one_bump.cdf(peak + 0.5) - one_bump.cdf(peak - 0.5)), above=10, digits=2, unit="%")
claim("one Gaussian loses, per example", kl, above=0.3, digits=2, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks of the densities
claim("the true density integrates to 1", log_truth(line).exp().sum() * step, near=1, within=1e-6, digits=6)
claim("density at the Gaussian's peak, as a share of the lowest bump's",
      (log_truth(peak[None])[0] - log_truth(means).min()).exp(), below=0.2)

# %% [markdown]
# The Gaussian peaks in the valley between the bumps: within 0.5 of its peak it expects 14% of the examples, and only
# 2% are there. Compared with the true density it loses 0.49 nats of log-likelihood per example. On average over all
# data this loss is a **Kullback-Leibler divergence**,
# $\mathrm{KL}(p_\text{data} \| p_\theta) = \mathbb E_{p_\text{data}}[\log p_\text{data}(x) - \log p_\theta(x)]$. It
# is never negative, and it is what a better model could still gain. Throughout the course we use natural logarithms,
# whose unit is the *nat*, and report nats per example.

# %% [markdown]
# ## 1.2 A latent variable
#
# How can a model have several bumps? The code above drew the data in two simple steps: first a hidden number $z$,
# which says which bump, then $x$ given $z$.
#
# $$ p(z=k) = \pi_k, \qquad p(x \mid z=k) = \mathcal N(x;\, \mu_k, \sigma_k^2) $$
#
# This is a **Gaussian mixture**, and $z$ is its **latent variable**: it takes part in making $x$ but is not observed.
# So the distribution of $x$ alone, the *marginal*, sums over all that $z$ may have been (or integrates, if $z$ is
# continuous):
#
# $$ p(x) = \sum_k p(z=k)\, p(x \mid z=k) \qquad\text{or}\qquad p(x) = \int p(x \mid z)\, p(z)\, dz . $$
#
# The prior $p(z)$ is three numbers and each $p(x \mid z)$ has a single bump, yet the marginal has three. Every model
# up to chapter 5 is built this way; only $p(x\mid z)$ gets richer. Drawing first $z$ and then $x$ is called
# *ancestral sampling*. Does it really draw from $p(x)$? To check, compare the share of samples below each $x$ with
# the exact distribution function:

# %%
cdf = (weights * Normal(means, stds).cdf(x.sort().values[:, None])).sum(1)  # exact, at the samples
share = torch.arange(1, len(x) + 1) / len(x)
claim("ancestral samples against the exact marginal, largest difference of shares", (cdf - share).abs().max(),
      below=2.23 / len(x) ** 0.5)  # by chance above that once in ten thousand (Kolmogorov, Smirnov)

# %% [markdown]
# ## 1.3 From x back to z: responsibilities
#
# Sampling goes from $z$ to $x$. Now we see $x$ and ask which component it came from. Bayes' rule answers with
# probabilities, the **responsibilities**
#
# $$ \gamma_k(x) = p(z=k \mid x) = \frac{\pi_k\, p(x\mid z=k)}{\sum_j \pi_j\, p(x \mid z=j)} . $$
#
# In code this is a softmax over $k$ of the log joint, $\log \pi_k + \log p(x \mid z=k)$. We compute with logarithms
# because far from every bump all the densities underflow to zero, and Bayes' rule would return $0/0$.

# %%
def log_joint(x, weights, means, stds):  # (B,) -> (B, K): log p(x, z = k)
    return weights.log() + Normal(means, stds).log_prob(x[:, None])


gamma = log_joint(line, weights, means, stds).softmax(1)  # (B, K)

# %% jupyter={"source_hidden": true}
# The figure: prior, likelihood, marginal and posterior
def four_distributions(line, weights, joint, gamma, x):
    fig, axes = plt.subplots(1, 4, figsize=(14, 3.4))
    axes[0].bar([1, 2, 3], weights, color=colors.COMPONENTS[:3], width=0.6)
    axes[0].set(title="prior p(z)", xticks=[1, 2, 3], xlabel="z", ylim=(0, 0.5))
    total = torch.zeros_like(line)
    plotting.histogram(x, axes[2])
    for k in range(3):
        axes[0].text(k + 1, weights[k] + 0.012, f"{weights[k]:.2f}", ha="center")
        plotting.curve(line, joint[:, k] / weights[k], axes[1], color=colors.COMPONENTS[k])
        axes[2].fill_between(line, total, total + joint[:, k], color=colors.COMPONENTS[k], alpha=0.45, lw=0)
        total = total + joint[:, k]
        plotting.curve(line, gamma[:, k], axes[3], color=colors.COMPONENTS[k])
    plotting.curve(line, total, axes[2], color=colors.EXACT)
    axes[1].set(title="likelihood p(x | z)", yticks=[])
    axes[2].set(title="marginal p(x), samples")
    axes[3].set(title="posterior p(z | x)", yticks=[0, 0.5, 1])
    for ax in axes[1:]:
        ax.set(xlabel="x", xlim=(-6, 6), ylim=(0, None), xticks=[-4, 0, 4])


# %%
four_distributions(line, weights, log_joint(line, weights, means, stds).exp(), gamma, x)

# %% [markdown]
# The first two panels define the model; the third shows what can be observed. The last is the posterior: almost
# everywhere a single component is responsible, and only where two bumps overlap is the responsibility shared.
#
# The library's `GMM` has full covariance matrices, any number of features, and the methods of every model of this
# course: `sample`, `log_prob`, `prior`, `decode` for $p(x\mid z)$, `encode` for $p(z\mid x)$.

# %%
twin = GMM(3, 1).double()
twin.set(weights, means[:, None], stds[:, None, None] ** 2)
claim("library and bare code agree on log p(x)", (twin.log_prob(line[:, None]) - log_truth(line)).abs().max(), below=1e-10)
claim("and on p(z | x)", (twin.responsibilities(line[:, None]) - gamma).abs().max(), below=1e-10)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the average of the responsibilities, and a point far from every bump
prior_again = (gamma * log_truth(line).exp()[:, None]).sum(0) * step  # E_p(x)[ p(z | x) ]
claim("averaged over the data the responsibilities are the prior, largest difference", (prior_again - weights).abs().max(),
      below=1e-6)
far = torch.tensor([60.0], dtype=torch.float64)
claim("in plain probabilities x = 60 gives 0/0", (weights * Normal(means, stds).log_prob(far[:, None]).exp()).sum() == 0)
claim("in logarithms the responsibilities there still sum to one",
      log_joint(far, weights, means, stds).softmax(1).sum(), near=1, within=1e-12)

# %% [markdown]
# ## 1.4 Learning without labels: EM
#
# Now only $x_1, \dots, x_N$ are given. We want the parameters $\theta = (\pi, \mu, \Sigma)$ with the highest
# log-likelihood, $\ell(\theta) = \frac1N \sum_n \log \sum_k \pi_k\, \mathcal N(x_n; \mu_k, \Sigma_k)$. If we knew the
# $z_n$, this would be a matter of counting and averaging. We do not, and the sum inside the logarithm couples all the
# parameters.
#
# **Expectation maximization** (EM; Dempster, Laird and Rubin, 1977) alternates between guessing the $z_n$ and
# counting:
#
# - **E**: with the parameters fixed, compute the responsibilities $\gamma_{nk} = p(z_n = k \mid x_n)$;
# - **M**: with the responsibilities fixed, maximize the log-likelihood of the guessed pairs $(x_n, z_n)$, in which
#   each example counts for component $k$ with weight $\gamma_{nk}$,
#
# $$ Q(\theta) = \sum_n \sum_k \gamma_{nk} \big[ \log \pi_k + \log \mathcal N(x_n; \mu_k, \Sigma_k) \big] . $$
#
# Here the logarithm acts on one Gaussian at a time, so the maximum has a formula. Write $N_k = \sum_n \gamma_{nk}$
# and set the derivatives to zero, for $\pi$ with a multiplier $\lambda$ because the weights must sum to 1:
#
# $$ \begin{aligned}
# \textstyle\sum_n \gamma_{nk}\, \Sigma_k^{-1} (x_n - \mu_k) = 0 \;&\Rightarrow\; \mu_k = \tfrac{1}{N_k} \textstyle\sum_n \gamma_{nk}\, x_n , \\
# \tfrac12 \textstyle\sum_n \gamma_{nk} \big[ \Sigma_k - (x_n - \mu_k)(x_n - \mu_k)^\top \big] = 0 \;&\Rightarrow\; \Sigma_k = \tfrac{1}{N_k} \textstyle\sum_n \gamma_{nk} (x_n - \mu_k)(x_n - \mu_k)^\top , \\
# N_k / \pi_k = \lambda ,\quad \textstyle\sum_k \pi_k = 1 \;&\Rightarrow\; \pi_k = N_k / N .
# \end{aligned} $$
#
# (The second line is the derivative with respect to $\Sigma_k^{-1}$.) Counting and averaging after all, with
# fractions of examples:

# %%
def em_step(x, weights, means, covariances):
    joint = weights.log() + MultivariateNormal(means, covariances).log_prob(x[:, None])  # (N, K)
    gamma = joint.softmax(1)  # E step
    counts = gamma.sum(0)  # (K,)
    means = gamma.T @ x / counts[:, None]  # M step
    centered = x[:, None] - means  # (N, K, d)
    covariances = torch.einsum("nk,nki,nkj->kij", gamma, centered, centered) / counts[:, None, None]
    return (counts / len(x), means, covariances), joint.logsumexp(1).mean()


# %% [markdown]
# Let us try it where we know the truth: three tilted blobs in the plane. We start all three components in the empty
# upper left corner and run the bare loop side by side with the library's `em`, a generator that yields after every
# iteration. **Predict:** which blob will be found first, and which last?

# %%
truth = GMM(3, 2).double()
truth.set(
    torch.tensor([0.5, 0.3, 0.2]),
    torch.tensor([[-1.0, 0.6], [1.4, 1.2], [0.8, -1.6]]),
    torch.tensor([[[0.7, 0.45], [0.45, 0.5]], [[0.5, -0.35], [-0.35, 0.4]], [[0.9, 0.1], [0.1, 0.12]]]),
)
blobs, unseen = truth.sample(1500), truth.sample(20000)
model = GMM(3, 2).double()
model.set(torch.full((3,), 1 / 3), torch.tensor([[-2.0, 2.0], [-1.5, 1.5], [-1.0, 2.0]]), 0.5 * torch.eye(2).expand(3, 2, 2));

# %%
bare = (model.weights.detach(), model.means.detach().clone(), model.covariances.detach())
snapshots, likelihood = [], []
for i, value in enumerate(model.em(blobs, 60), 1):
    bare, _ = em_step(blobs, *bare)
    likelihood.append(value)
    if i in (1, 4, 10, 60):
        snapshots.append((i, model.means.detach().clone(), model.covariances.detach(), model.responsibilities(blobs).detach()))

claim("after 60 iterations library and bare EM agree, largest difference in the means",
      (model.means - bare[1]).abs().max(), below=1e-8)
claim("smallest gain of an iteration", torch.tensor(likelihood).diff().min(), above=-1e-12, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: four moments of EM, and the log-likelihood along its road
def em_road(x, snapshots, likelihood, ceiling):
    fig = plt.figure(figsize=(14, 6.4))
    grid = fig.add_gridspec(2, 4, height_ratios=[1.25, 1])
    shades = torch.from_numpy(colors.rgb(*colors.COMPONENTS[:3]))
    below = fig.add_subplot(grid[1, :])
    plotting.curve(range(len(likelihood)), likelihood, below, marker=".")
    for column, (i, mu, sigma, gamma) in enumerate(snapshots):
        ax = fig.add_subplot(grid[0, column])
        plotting.points(x, ax, color=(gamma @ shades).clamp(0, 1).numpy(), size=6)
        plotting.ellipses(mu, sigma, ax, color=colors.COMPONENTS[:3])
        ax.set(title=f"after {i} iteration{'s' if i > 1 else ''}", xticks=[], yticks=[], xlim=(-3.6, 3.6), ylim=(-2.9, 3.2))
        if i < len(likelihood):
            below.plot(i, likelihood[i], "o", color=colors.ACCENT, ms=10)
    below.axhline(ceiling, color=colors.EXACT, ls="--", lw=2)
    below.text(60, ceiling + 0.03, "the truth, on unseen data", color=colors.EXACT, ha="right", va="bottom", fontweight="bold")
    below.text(60, ceiling - 0.05, "EM, on its training data", color=colors.MODEL, ha="right", va="top", fontweight="bold")
    below.set(xlabel="EM iteration", ylabel="nats per example", ylim=(-3.4, -2.4), title="The log-likelihood never goes down")


# %%
em_road(blobs, snapshots, likelihood, truth.log_prob(unseen).mean().item())

# %% [markdown]
# Points are colored by their responsibilities; mixed colors mark points that EM is unsure about. Purple settles
# first, on the largest blob, which is also the nearest to the corner. Gold at first covers nearly everything and
# finds the small lower blob last.
#
# How good is the result? On 20,000 *unseen* examples no model can beat the distribution that made them, except by
# luck. And did the formulas find the maximum of $Q$? There the derivatives, by autograd, must be zero for the means
# and covariances; for the weights they must all equal the multiplier $\lambda = N$.

# %%
gap = (truth.log_prob(unseen) - model.log_prob(unseen)).detach()
claim("EM loses against the truth on unseen data", gap.mean(), below=0.03, unit="nats")

gamma = model.responsibilities(blobs).detach()
new = [t.detach().requires_grad_() for t in em_step(blobs, model.weights, model.means, model.covariances)[0]]
Q = (gamma * (new[0].log() + MultivariateNormal(*new[1:]).log_prob(blobs[:, None]))).sum() / len(blobs)
slopes = torch.autograd.grad(Q, new)
claim("largest derivative of Q in a mean or a covariance at the M step's answer", max(s.abs().max() for s in slopes[1:]), below=1e-9)
claim("derivatives in the weights, as shares of the multiplier: largest difference from 1", (slopes[0] - 1).abs().max(), below=1e-9)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: how sure that loss is
claim("standard error of that loss", gap.std() / len(gap) ** 0.5, below=0.005, unit="nats")

# %% [markdown]
# ## 1.5 Why it works: the bound
#
# Why does maximizing $Q$ raise $\ell$? Take *any* distribution $q(z)$ for one example. The logarithm is concave, so
# Jensen's inequality gives
#
# $$ \log p(x) = \log \sum_z q(z) \frac{p(x, z)}{q(z)} \;\ge\; \sum_z q(z) \log \frac{p(x, z)}{q(z)} =: \mathcal L(q, \theta) . $$
#
# How much this inequality gives away is known exactly. Factor the joint the other way,
# $p(x, z) = p(z \mid x)\, p(x)$:
#
# $$ \mathcal L(q, \theta) = \sum_z q(z) \log \frac{p(z \mid x)\, p(x)}{q(z)} = \log p(x) - \mathrm{KL}\big(q(z) \,\|\, p(z \mid x)\big) . $$
#
# So EM is coordinate ascent on a single function $\mathcal L$ (Neal and Hinton, 1998). The **E step** maximizes
# $\mathcal L$ over $q$: the best $q$ is the posterior, the KL vanishes, and the bound *touches* the log-likelihood.
# The **M step** maximizes $\mathcal L$ over $\theta$ with $q$ held; in $\theta$, $\mathcal L$ differs from $Q$ by a
# constant. The bound rises, and the log-likelihood, which it touched before the step and cannot exceed after it,
# rises at least as much. Under the name *evidence lower bound* (ELBO) it will carry us through chapters 3 to 5.
#
# With two overlapping bumps we can watch this. Weights and widths are known; first one mean is unknown, then both.
# Green is the log-likelihood; each orange curve is a bound, which touches it at a dot. **Predict:** where does the
# next dot lie? And where does EM go when both means start at the same place?

# %%
pi, mu = torch.tensor([0.3, 0.7], dtype=torch.float64), torch.tensor([-1.5, 1.5], dtype=torch.float64)
y = Normal(mu[Categorical(pi).sample((1000,))], 1.0).sample()


def log_likelihood(m):  # m: the two means
    return log_joint(y, pi, m, torch.ones_like(m)).logsumexp(1).mean()


def bound(m, q):  # L(q, theta), with q (B, K) held
    return (q * log_joint(y, pi, m, torch.ones_like(m)) - torch.xlogy(q, q)).sum(1).mean()


def climb(m, free, steps):  # EM on the means that are free
    path, m = [], torch.tensor(m, dtype=torch.float64)
    for _ in range(steps):
        q = log_joint(y, pi, m, torch.ones_like(m)).softmax(1)  # E
        path.append((m, q))
        m = torch.where(torch.tensor(free), q.T @ y / q.sum(0), m)  # M
    return path


one = climb([4.0, 1.5], [True, False], 6)
left, right, middle = (climb(start, [True, True], 10) for start in ([-4.0, -3.0], [3.0, -3.5], [3.0, 3.0]))

# %% jupyter={"source_hidden": true}
# The figure: slices with their bounds, and EM's roads over both means, flat or to turn
from plotly.subplots import make_subplots

side, axis = torch.linspace(-5, 5, 101, dtype=torch.float64), torch.linspace(-4, 4, 41, dtype=torch.float64)
sweep = lambda f: torch.stack([f(m) for m in torch.cartesian_prod(axis, axis)]).reshape(41, 41)
surface, touching = sweep(log_likelihood), sweep(lambda m: bound(m, right[0][1]))
roads = [torch.stack([m for m, _ in path]) for path in (left, right, middle)]


def slices_and_map(paths):
    fig, axes = plt.subplots(1, 2, figsize=(14, 4.8), width_ratios=[1.4, 1])
    for t, (m, q) in enumerate(one):
        axes[0].plot(side, [bound(torch.stack([s, m[1]]), q) for s in side], color=colors.ACCENT, lw=1.6)
        axes[0].plot(m[0], log_likelihood(m), "o", color=colors.DATA, ms=8)
        axes[0].annotate(str(t), (m[0], log_likelihood(m)), (4, 8), textcoords="offset points", color=colors.DATA)
    plotting.curve(side, [log_likelihood(torch.stack([s, mu[1]])) for s in side], axes[0], color=colors.EXACT)
    axes[0].text(-4.9, -1.95, "log-likelihood", color=colors.EXACT, fontweight="bold")
    axes[0].text(-4.9, -3.3, "bounds", color=colors.ACCENT, fontweight="bold")
    axes[0].set(xlabel="first mean", ylabel="nats per example", ylim=(-3.6, -1.7), title="The top of each bound is the next dot")
    levels = (surface.max() - torch.tensor([6, 4, 2.5, 1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.05])).tolist()
    axes[1].contour(axis, axis, surface.T, levels=levels, colors=[colors.EXACT], linewidths=1.2, linestyles="solid")
    for road in paths:
        axes[1].plot(*road.T, "o-", color=colors.DATA, ms=5, lw=1.5)
    axes[1].set(xlabel="first mean", ylabel="second mean", title="Three starts, three ends", aspect="equal")
    return fig


def slices_and_surface(paths):
    fig = make_subplots(1, 2, specs=[[{"type": "xy"}, {"type": "scene"}]], horizontal_spacing=0.03,
                        subplot_titles=["The top of each bound is the next dot", "Three starts, three ends"])
    heights = lambda f: [round(f(torch.stack([s, mu[1]])).item(), 3) for s in side]
    curves = [(lambda m, q=q: bound(m, q), colors.ACCENT, "bound") for _, q in one] + [(log_likelihood, colors.EXACT, "log-likelihood")]
    for f, color, name in curves:
        fig.add_scatter(x=side.tolist(), y=heights(f), mode="lines", line_color=color, name=name, hoverinfo="name", row=1, col=1)
    fig.add_scatter(x=[m[0].item() for m, _ in one], y=[log_likelihood(m).item() for m, _ in one], mode="markers+text", hoverinfo="skip",
        text=[str(t) for t in range(len(one))], textposition="top right", marker={"size": 9, "color": colors.NOISE}, row=1, col=1)
    flat = lambda z: [[round(v, 2) if v > -6 else None for v in row] for row in z.T.tolist()]  # cut off far below
    for z, color, name, alpha in ((surface, colors.EXACT, "log-likelihood", 0.9), (touching, colors.ACCENT, "bound", 0.6)):
        fig.add_surface(x=axis.tolist(), y=axis.tolist(), z=flat(z), name=name, opacity=alpha, showscale=False,
            colorscale=[[0, color], [1, color]], hovertemplate=name + " %{z:.2f} nats", row=1, col=2)
    for road in paths:
        height = [round(log_likelihood(m).item() + 0.05, 2) for m in road]
        fig.add_scatter3d(x=road[:, 0].tolist(), y=road[:, 1].tolist(), z=height, mode="lines+markers", row=1, col=2,
            line={"color": colors.DATA, "width": 5}, marker={"size": 4, "color": colors.DATA}, hovertemplate="%{z:.2f} nats")
    fig.update_xaxes(title="first mean").update_yaxes(title="nats per example", range=[-3.6, -1.7])
    fig.update_scenes(xaxis_title="first mean", yaxis_title="second mean", zaxis_title="", zaxis_range=[-6, -1.5],
                      camera_eye={"x": 1.8, "y": 1.8, "z": 1.1})
    return fig.update_layout(height=460, showlegend=False, margin={"l": 0, "r": 0, "t": 40, "b": 0})


# %%
plotting.turn(slices_and_surface(roads), slices_and_map(roads))

# %%
m, q = one[0]
elsewhere = mu.clone()
posterior = log_joint(y, pi, elsewhere, torch.ones_like(mu)).softmax(1)
kl = (torch.xlogy(q, q) - torch.xlogy(q, posterior)).sum(1).mean()
claim("under the first q, the bound at the true means lies below the log-likelihood by",
      log_likelihood(elsewhere) - bound(elsewhere, q), above=0.1, unit="nats")
claim("that minus KL(q, posterior)", log_likelihood(elsewhere) - bound(elsewhere, q) - kl, near=0, within=1e-10, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks of the bounds, and the library's
claim("distance between bound and log-likelihood at the dots", max(abs(bound(m, q) - log_likelihood(m)) for m, q in one),
      below=1e-12, unit="nats")
claim("bound minus log-likelihood, largest anywhere", (touching - surface).max(), below=1e-12, unit="nats")
twin = GMM(2, 1).double().set(pi, mu[:, None], torch.ones(2, 1, 1))
claim("library and bare code agree on the bound", twin.bound(y[:, None], q).mean() - bound(mu, q), near=0, within=1e-10)

# %% [markdown]
# The next dot lies below the top of the current bound. Far from the data the log-likelihood is flat and the steps are
# short; then EM finds the slope. With two free means the surface has two peaks (turn it), because the components may
# trade places. With unequal weights one peak is lower, here by 0.2 nats, and EM climbs the one on whose slope it
# starts. Two means that start at the same place stay together: equal widths make the components share every example
# in the same proportion, so both means move alike, and EM ends on the saddle between the peaks. This is why nobody
# starts EM with identical components.

# %%
best, worse, stuck = (log_likelihood(path[-1][0]) for path in (left, right, middle))
claim("what the lower top loses", best - worse, above=0.1, digits=1, unit="nats")
claim("what the pass loses", best - stuck, above=0.3, digits=2, unit="nats")
claim("distance of the two means that started as one", (middle[-1][0][0] - middle[-1][0][1]).abs(), below=1e-6)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: what parts components that started as one, and what does not
q = log_joint(x, weights, means[[1, 1, 2]], stds).softmax(1)
claim("other widths part them: from the top of the middle bump of 1.1 the left mean moves in one step by",
      (q[:, 0] @ x / q[:, 0].sum() - means[1]).abs(), above=0.1)
copies = GMM(3, 1).double()
copies.set(torch.full((3,), 1 / 3), x.mean().expand(3, 1), torch.full((3, 1, 1), 4.0))
list(copies.em(x[:, None], 20))
claim("three exact copies after 20 iterations, largest difference of their means",
      copies.means.max() - copies.means.min(), below=1e-9)

# %% [markdown]
# ## 1.6 Two ways to go wrong
#
# **Local optima.** The log-likelihood has many peaks. Fit eight components to eight Gaussians on a ring: after a bad
# start two components share one bump, and another has to cover two. The library's `start` uses k-means++ (Arthur and
# Vassilvitskii, 2007): it picks centers among the examples, each with a probability that grows with its distance from
# the centers picked before. **Predict:** how often does EM reach the best peak from there, and how often from eight
# random examples?

# %%
ring = data.load("eight_gaussians", n=2000, seed=SEED)
x8 = ring.x.double()


def final(method, seed):  # -> (nats per example, model)
    torch.manual_seed(SEED + seed)
    model = GMM(8, 2).double()
    if method == "k-means++":
        model.start(x8)
    else:
        model.set(torch.full((8,), 1 / 8), x8[torch.randperm(len(x8))[:8]], x8.T.cov().expand(8, 2, 2))
    return list(model.em(x8, 100, floor=1e-4))[-1], model  # without the floor a random start may collapse: see below


starts = 30 if PROFILE == "full" else 12
runs = {method: [final(method, s) for s in range(starts)] for method in ("random examples", "k-means++")}

# %% jupyter={"source_hidden": true}
# The figure: a bad start, a good one, and where each of many ends
def optima(x, runs):
    fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), width_ratios=[1, 1, 1.35])
    worst, good = min(runs["random examples"], key=lambda r: r[0])[1], max(runs["k-means++"], key=lambda r: r[0])[1]
    for ax, m, title in [(axes[0], worst, "A bad start"), (axes[1], good, "A good start")]:
        plotting.points(x, ax, size=3, alpha=0.3)
        plotting.ellipses(m.means, m.covariances, ax)
        ax.set(title=title, xticks=[], yticks=[])
    for row, (method, results) in enumerate(runs.items()):
        spread = torch.linspace(-0.12, 0.12, len(results))
        axes[2].scatter([value for value, _ in results], row + spread, s=50, alpha=0.7, color=colors.MODEL, linewidths=0)
        axes[2].text(0.02, row + 0.24, method, transform=axes[2].get_yaxis_transform(), color=colors.DATA, fontweight="bold")
    axes[2].set(yticks=[], xlabel="nats per example", ylim=(-0.4, 1.5), title="Where each start ends")


# %%
optima(ring.x, runs)

# %%
best = max(value for results in runs.values() for value, _ in results)
share = {method: sum(value > best - 0.02 for value, _ in results) / starts for method, results in runs.items()}
claim("share of k-means++ starts that reach the best top", share["k-means++"], above=share["random examples"], digits=2)
claim("what the worst start loses", best - min(value for value, _ in runs["random examples"]), above=0.05, digits=2, unit="nats")

# %% [markdown]
# From k-means++ all 12 starts end at the right edge of the third panel, at the best value; of the random starts
# several end lower, the worst by 0.33 nats.
#
# **Singularities.** Center one component exactly on one example and let its variance go to zero. The density of that
# example grows without limit, that of all others stays finite. So the likelihood of a Gaussian mixture *has no
# maximum*, and what we look for is a good local one. Here a broad Gaussian and a component on the first of ten
# examples have half of the weight each. **Predict:** what happens to the log-likelihood when that component becomes
# narrower and narrower?

# %%
ten = x[:10]


def spiked(s):  # log-likelihood of a component of width s on the first example
    broad, spike = Normal(ten.mean(), ten.std()).log_prob(ten), Normal(ten[0], s).log_prob(ten)
    return (torch.logaddexp(broad, spike) - torch.tensor(2.0).log()).sum()


def log_prior(s, nu=4.0, s0=0.5):
    return -nu * (s.log() + s0**2 / (2 * s**2))


gain = spiked(torch.tensor(1e-9, dtype=torch.float64)) - spiked(torch.tensor(1e-8, dtype=torch.float64))
claim("what a tenth of the width wins", gain, near=torch.tensor(10.0).log(), within=0.02, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: the log-likelihood while a component shrinks
def no_maximum():
    fig, ax = plt.subplots(figsize=(9, 3.6))
    widths = torch.logspace(1, -12, 261, dtype=torch.float64)
    plain = torch.stack([spiked(s) for s in widths])
    plotting.curve(widths, plain, ax, color=colors.MODEL)
    plotting.curve(widths, plain + log_prior(widths), ax, color=colors.ACCENT)
    ax.text(1e-6, -21, "log-likelihood", color=colors.MODEL, fontweight="bold")
    ax.text(0.06, -44, "with a prior on the width", color=colors.ACCENT, fontweight="bold")
    ax.set(xscale="log", xlim=(10, 1e-12), ylim=(-50, 5), xlabel="width of a component that sits on one example of ten",
           ylabel="nats", title="The likelihood has no maximum; with a prior there is one")


# %%
no_maximum()

# %% [markdown]
# Once the component is narrow, the vermilion line rises forever: each time the width shrinks tenfold, the
# log-likelihood gains $\log 10$, or 2.3 nats. The library's EM stops when a component collapses like this, and the
# error message says what to do. The principled cure is a **prior** on each variance, here
# $p(\sigma_k^2) \propto \sigma_k^{-a} \exp(-a\, s_0^2 / 2\sigma_k^2)$ (an inverse gamma distribution; Fraley and
# Raftery, 2007). EM then climbs to a maximum of the *posterior* of $\theta$ (MAP), and in its M step only the
# variance changes: $a$ phantom examples at distance $s_0$ from the mean are averaged in,
#
# $$ \sigma_k^2 = \frac{a\, s_0^2 + \sum_n \gamma_{nk} (x_n - \mu_k)^2}{a + N_k} . $$

# %%
stuck = GMM(2, 1).double()
stuck.set(torch.tensor([0.5, 0.5]), torch.stack([x[:1], x.mean()[None]]), torch.tensor([[[1e-10]], [[4.0]]]))
try:
    list(stuck.em(x[:, None], 50))
except ValueError as error:
    print("ValueError:", error)


def map_step(x, weights, means, var, nu=4.0, s0=0.5):
    gamma = log_joint(x, weights, means, var.sqrt()).softmax(1)
    counts = gamma.sum(0)
    means = gamma.T @ x / counts
    var = (nu * s0**2 + (gamma * (x[:, None] - means).square()).sum(0)) / (nu + counts)
    return counts / len(x), means, var


cured = (stuck.weights.detach(), stuck.means.detach().flatten(), stuck.covariances.detach().flatten())
for _ in range(50):
    cured = map_step(x, *cured)
claim("from the same start MAP goes on; its narrower component ends with a standard deviation of", cured[2].min().sqrt(),
      above=0.1, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: MAP never goes down
worth = []  # log-likelihood plus log prior of all variances, along the road of MAP
road = (stuck.weights.detach(), stuck.means.detach().flatten(), torch.tensor([1e-2, 4.0], dtype=torch.float64))
for _ in range(50):
    worth.append(log_joint(x, road[0], road[1], road[2].sqrt()).logsumexp(1).sum() + log_prior(road[2].sqrt()).sum())
    road = map_step(x, *road)
claim("smallest gain of a MAP iteration", torch.stack(worth).diff().min(), above=-1e-8, unit="nats")

# %% [markdown]
# From the start that stopped EM, MAP goes on, and its narrower component ends with a standard deviation of 0.7.
#
# ## 1.7 How many components?
#
# The training likelihood cannot tell, because it grows with every component that we add. The likelihood of
# **held-out** examples can: a component that fits a quirk of the training set is of no use on new data. We keep the
# training set small on purpose, 300 examples from the ring of eight. **Predict:** which of the two curves turns down,
# and where?

# %%
few, held_out = ring.x[:300].double(), data.load("eight_gaussians", "validation", n=5000, seed=SEED).x.double()
counts, training, scores = [1, 2, 4, 6, 7, 8, 9, 10, 12, 16, 20, 24], [], []
for k in counts:
    fits = []
    for s in range(5 if PROFILE == "full" else 3):
        torch.manual_seed(SEED + s)
        m = GMM(k, 2).double().start(few)
        fits.append((list(m.em(few, 80, floor=1e-3))[-1], m))
    value, m = max(fits, key=lambda fit: fit[0])
    training.append(value)
    scores.append(m.log_prob(held_out).detach())

validation = [s.mean().item() for s in scores]
chosen = counts[max(range(len(counts)), key=lambda i: validation[i])]
claim("number of components with the highest held-out likelihood", chosen, near=8, within=0)

# %% jupyter={"source_hidden": true}
# The figure: training and held-out likelihood by number of components
def training_and_held_out(counts, training, validation, exact, chosen):
    fig, ax = plt.subplots(figsize=(9, 4))
    plotting.curve(counts, training, ax, color=colors.DATA, marker="o")
    plotting.curve(counts, validation, ax, color=colors.MODEL, marker="o")
    ax.axhline(exact, color=colors.EXACT, ls="--", lw=2)
    ax.axvline(chosen, color=colors.ACCENT, lw=1.5, zorder=0)
    ax.text(24, training[-1] + 0.06, "training", color=colors.DATA, ha="right", fontweight="bold")
    ax.text(24, validation[-1] - 0.06, "held out", color=colors.MODEL, ha="right", va="top", fontweight="bold")
    ax.text(1, exact + 0.03, "the exact density", color=colors.EXACT, va="bottom", fontweight="bold")
    ax.set(xlabel="components", ylabel="nats per example", ylim=(min(validation) - 0.15, max(training) + 0.2),
           title="Training goes up and up, held-out likelihood turns")


# %%
training_and_held_out(counts, training, validation, ring.density.log_prob(held_out).mean().item(), chosen)

# %%
eight = counts.index(8)
lost = scores[eight] - scores[-1]
claim("from 8 to 24 components training gains", training[-1] - training[eight], above=0, digits=2, unit="nats")
claim("and held-out data lose", lost.mean(), above=3 * lost.std().item() / len(lost) ** 0.5, digits=2, unit="nats")

# %% [markdown]
# The held-out curve turns at 8 components, the number in the ring. From there to 24 the training data gain 0.27 nats
# per example and new data lose 0.42: the model **overfits**.
#
# ## 1.8 The same model by gradient
#
# EM needs closed-form M steps, and neural networks have none. But $\ell(\theta)$ is differentiable, so gradient
# ascent on it works too, through the same object: `model.loss` is the mean of $-\log p(x)$, and `train.fit` minimizes
# it as it will minimize the loss of every model to come. Weights must stay positive and covariances positive
# definite; the library stores logits and a Cholesky factor, so that every gradient step keeps them so. **Predict:**
# from the same start, will gradient ascent and EM end at the same value?

# %%
by_em, by_gradient = GMM(3, 2).double().start(blobs), GMM(3, 2).double()
by_gradient.load_state_dict(by_em.state_dict())
em_values = torch.tensor(list(by_em.em(blobs, 60)))
history = train.fit(by_gradient, blobs, steps=400, batch_size=len(blobs), lr=0.05, rate=train.falling)

top = em_values[-1]
passes = lambda values: int((values < top - 0.001).sum()) + 1  # until a thousandth of a nat is missing
claim("where gradient ascent ends, minus where EM ends", -history.loss[-1] - top, near=0, within=2e-3, unit="nats")
claim("gradient ascent (Adam) needs more passes over the data", passes(-torch.tensor(history.loss)) > passes(em_values))

# %% [markdown]
# They do, and EM needs fewer passes over the data and no step size. That is what a closed form is worth.

# %% [markdown]
# ## 1.9 Real digits
#
# So far we knew the truth. Now we fit about a thousand scans of handwritten digits, of 8 x 8 pixels with 17 gray
# levels each; the test set was written by *other* people. Gray levels come in steps, and a density could cheat by
# putting infinitely thin spikes on them, as in 1.6. The standard cure is *dequantization*: add uniform noise as wide
# as one step. The average log-density is then a lower bound on the log-probability of the discrete picture (Theis,
# van den Oord and Bethge, 2016),
#
# $$ \log P(\text{picture}) \;\ge\; \mathbb E_{u}\big[\log p(\text{picture} + u)\big], \qquad u \sim \text{Uniform}[0, 1)^{64}, $$
#
# with pixels counted in gray levels, 0 to 16. Larger pictures are first shrunk to 8 x 8, so that a full 64 x 64
# covariance matrix per component can be estimated.

# %% jupyter={"source_hidden": true}
# Digits of 8 x 8 pixels on 17 gray levels
def small_levels(split):  # (N, 64) gray levels 0 ... 16
    x = data.load(DATASET, split, n=None if DATASET == "digits" else 2000, seed=SEED, device=DEVICE).x
    return (torch.nn.functional.adaptive_avg_pool2d(x, 8) * 16).round().flatten(1).double()


# %%
def dequantized(levels):
    return levels + torch.rand_like(levels)


train_levels, valid_levels, test_levels = (small_levels(s) for s in ["train", "validation", "test"])
torch.manual_seed(SEED)
table = []
for floor in (0.2, 1.0):  # variance added to every direction, in squared gray levels
    for k in [1, 5, 10, 20] + ([40, 80] if PROFILE == "full" else []):
        m = GMM(k, 64).double().to(DEVICE)
        m.start(dequantized(train_levels), floor=floor)
        for _ in range(30):  # fresh noise each time: one EM iteration on each dequantized copy
            next(m.em(dequantized(train_levels), 1, floor=floor))
        table.append((m.log_prob(dequantized(valid_levels)).mean().item(), k, floor, m))
_, k, floor, digits = max(table, key=lambda row: row[0])

# %% [markdown]
# The mixture gets a rival that ignores how pixels go together: each pixel has a histogram of its own, and the
# probability of a picture is the product. **Predict:** whose samples look better? And whose likelihood is higher?

# %%
histogram = torch.stack([(train_levels == level).double().mean(0) for level in range(17)])  # (17, 64)
histogram = (histogram * len(train_levels) + 0.1) / (len(train_levels) + 1.7)  # no level is impossible
alone = histogram.log()[test_levels.long(), torch.arange(64)]  # (N, 64), one term a pixel

noisy = dequantized(test_levels)
mixture = digits.log_prob(noisy).detach()
lead = alone.sum(1) - mixture
claim("mixture, nats per test digit: -log p is at most", -mixture.mean(), below=200, unit="nats")
claim("pixels alone, -log p on the same digits", -alone.sum(1).mean(), below=200, unit="nats")
claim("pixels alone lead by", lead.mean(), above=5 * lead.std().item() / len(lead) ** 0.5, digits=2, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: real digits beside samples of both models
def two_models_of_digits():
    twenty = next(m for _, k_, floor_, m in table if (k_, floor_) == (20, 1.0))
    fig, axes = plt.subplots(1, 4, figsize=(14, 3.4))
    for ax, pictures, title in [
        (axes[0], train_levels[:20], "Data"),
        (axes[1], twenty.means.detach(), "Means of 20 components"),
        (axes[2], digits.sample(20), f"Samples of the mixture ({k})"),
        (axes[3], Categorical(histogram.T).sample((20,)).double(), "Samples of pixels alone"),
    ]:
        plotting.images(pictures.reshape(-1, 1, 8, 8) / 16, ax, columns=5)
        ax.set_title(title)


# %%
two_models_of_digits()

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the mixture that was chosen
claim("components chosen on the validation set", k, above=2)
claim("standard error of the mixture's nats", mixture.std() / len(mixture) ** 0.5, below=5, unit="nats")

# %% [markdown]
# Look first, then read the numbers. The mixture's samples (third panel) are rough digits: it knows which pixels go
# together. The rival's samples are dust. Yet the rival has the *better* likelihood: $-\log p$ is 106 nats against
# 130, and less is better. So a better likelihood need not mean better samples, or vice versa. Remember 106: a model
# of these digits has learned something if it beats that number.
#
# What does the rival have that a mixture lacks? Gray levels pile up at the ends of the scale, white paper and full
# ink. A histogram can put a spike there; a Gaussian cannot. As a control, replace each pixel's histogram by a
# Gaussian.

# %%
levels = dequantized(train_levels)
loss = alone - Normal(levels.mean(0), levels.std(0)).log_prob(noisy)  # (N, 64) nats that a Gaussian loses, pixel by pixel
ends = (test_levels == 0) | (test_levels == 16)
quiet = (train_levels == 0).double().mean(0) > 0.9  # pixels that are nearly always paper

part = lambda m: (m.weights.log() + MultivariateNormal(m.means[:, quiet], m.covariances[:, quiet][:, :, quiet])
                  .log_prob(noisy[:, None, quiet])).logsumexp(1).detach()  # the mixture's marginal on the quiet pixels
claim("a Gaussian instead of each histogram loses", loss.sum(1).mean(), above=0, digits=2, unit="nats")
claim("of these at gray level 0 or 16", (loss * ends).sum(1).mean(), above=loss.sum(1).mean() / 2, digits=2, unit="nats")
claim("pixels that are 0 in more than 90 % of pictures", int(quiet.sum()), above=0)
explained = (alone[:, quiet].sum(1) - part(digits)).mean()
claim("nats of the mixture's gap that come from these", explained, below=lead.mean(), digits=2, unit="nats")
claim("and from all others", lead.mean() - explained, above=0, digits=2, unit="nats")

# %% [markdown]
# The Gaussians lose 43 nats: 45 at the two ends of the scale, less a little won back in between. So the ends alone
# can explain a gap of 24 nats. Of the mixture's 24, 8 come from the 16 pixels that are nearly always white.
#
# The samples also show what a mixture cannot do. Each is one of five blurred prototypes plus Gaussian noise. All that
# varies *within* a prototype, slant or width or a loop, must be described by one covariance matrix.
#
# **Larger pictures, and k-means.** At 28 x 28 pixels a full covariance matrix has 784 x 784 entries, too many to
# estimate. If all components have the same round covariance $\sigma^2 I$, only distances count:
# $\gamma_{nk} \propto \pi_k \exp(-\|x_n - \mu_k\|^2 / 2\sigma^2)$. As $\sigma \to 0$ the nearest center takes the
# whole example, and EM becomes **k-means**: assign each example to its nearest center, move each center to the
# average of its examples. We fit 40 components to 4,000 digits drawn by a program. **Predict:** with the $\sigma$
# that EM learns, how soft are the responsibilities?

# %%
def round_step(x, weights, means, var):  # EM with covariance var I for all components
    gamma = (weights.log() - torch.cdist(x, means).square() / (2 * var)).softmax(1)
    counts = gamma.sum(0)
    means = gamma.T @ x / counts[:, None]
    var = (gamma * torch.cdist(x, means).square()).sum() / x.numel()
    return (counts / len(x), means, var), gamma


drawn = data.load("strokes", n=4000, seed=SEED).flat().double()  # (N, 784) in [0, 1]
even, seeds = torch.full((40,), 1 / 40, dtype=torch.float64), drawn[:40]
(_, hard, _), _ = round_step(drawn, even, seeds, 1e-6)
kmeans = KMeans(40, init=seeds.numpy(), n_init=1, max_iter=1).fit(drawn.numpy())
claim("at a tiny variance one EM step is one step of scikit-learn's k-means, largest difference",
      (hard - torch.from_numpy(kmeans.cluster_centers_)).abs().max(), below=1e-9)

fitted = (even, seeds, drawn.var(0).mean())
for _ in range(30):
    fitted, gamma = round_step(drawn, *fitted)
claim("pictures that one component takes for more than 99 %", 100 * (gamma.amax(1) > 0.99).double().mean(), above=90, digits=2, unit="%")

# %% jupyter={"source_hidden": true}
# The figure: drawn digits beside the centers of the components
def centers(x, means):
    fig, axes = plt.subplots(1, 2, figsize=(14, 4.5))
    for ax, pictures, title in [(axes[0], x[:40], "Each center starts on a picture ..."), (axes[1], means, "... and ends as the average of many")]:
        plotting.images(pictures.reshape(-1, 1, 28, 28), ax, columns=8)
        ax.set_title(title)


# %%
centers(drawn, fitted[1])

# %% [markdown]
# Hardly soft at all: 99% of the pictures belong almost entirely to one component, so here EM is k-means in all but
# name. And each center is blurred where its pictures differ, like the gray cube of 1.1.

# %% [markdown]
# ## 1.10 Play
#
# Drag the means and the ellipses, step EM, and watch responsibilities, bound and likelihood. *Before you press step:*
# where will each ellipse go? Then choose a start that leads to a bad optimum and see whether you can rescue it by dragging
# one mean.

# %%
from gdm_core import explorers

explorers.mixtures(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 1.11 What to keep, and what is not settled
#
# - A latent variable turns simple pieces into a rich marginal; Bayes' rule gives its posterior, the responsibilities.
# - EM is coordinate ascent on $\mathcal L(q,\theta)$: it never goes down, but promises only a local optimum. With
#   round, narrow components it is k-means.
# - The likelihood of a Gaussian mixture is unbounded; a prior on the variances (MAP) bounds it. Held-out likelihood
#   chooses the number of components.
# - A better likelihood need not mean better samples.
# - $\log p(x) = \mathcal L(q,\theta) + \mathrm{KL}(q\|p(z\mid x))$ holds for every model with a latent variable.
#   Chapter 3 is built on it.
#
# Honest limits. Held-out likelihood chose eight components in an experiment built from eight components; real data
# have no true number. A mixture's components are interchangeable: relabel them and nothing changes, so "component 3"
# means nothing by itself. And a picture varies in many ways at once, while one discrete $z$ needs a component for
# every combination of them. The next chapter makes $z$ continuous.
#
# **References.** A. Dempster, N. Laird, D. Rubin, *Maximum likelihood from incomplete data via the EM algorithm*,
# 1977, eq. 2.17. R. Neal, G. Hinton, *A view of the EM algorithm that justifies incremental, sparse, and other
# variants*, 1998, eq. 7 (the bound). C. Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 9.2 to 9.4
# (eq. 9.23 to 9.28; k-means as a limit of EM: section 9.3.2). D. Arthur, S. Vassilvitskii, *k-means++*, 2007. C.
# Fraley, A. Raftery, *Bayesian regularization for normal mixture estimation and model-based clustering*, 2007. B.
# Uria, I. Murray, H. Larochelle, *RNADE*, 2013 (dequantization); L. Theis, A. van den Oord, M. Bethge, *A note on the
# evaluation of generative models*, 2016, eq. 3 to 6.
