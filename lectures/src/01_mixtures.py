# %% [markdown]
# # 1 · Latent variables and Gaussian mixtures
#
# **How do simple pieces make a complicated distribution, and how do we find the pieces when nobody tells us which
# example belongs to which?**
#
# After this lecture you can
#
# - say what a generative model is and judge one by its likelihood on examples that it has not seen;
# - write a distribution as a sum over a *latent variable*, sample from it, and turn it around with Bayes' rule;
# - derive EM from a lower bound, say why it never goes down, and show two ways in which it goes wrong;
# - choose the number of components, fit a mixture to real handwritten digits, and say what it cannot do.
#
# You need: probability densities, Bayes' rule, a little torch. Time: 60 minutes to read, 30 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more starts, more components
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %%
import matplotlib.pyplot as plt
import torch
from torch.distributions import Categorical, MultivariateNormal, Normal

from gdm_core import colors, data, plotting, train
from gdm_core.course.claims import claim
from gdm_core.models.gmm import GMM
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED)
KINDS = [colors.LATENT, colors.MODEL, colors.EXACT, colors.FAMILY, colors.ACCENT, colors.ENCODER]  # one a component

# %% [markdown]
# ## 1.1 One bump is not enough
#
# A *generative model* is a distribution $p_\theta(x)$, learned from samples of an unknown $p_\text{data}(x)$, that we
# can put to work: **generate** new $x$; give the **density** of an $x$, high for the usual and low for the odd; find a
# shorter **representation** of $x$; and answer a question that has **several right answers**. The last is why a
# predictor is not enough. Ask one for the color of a gray car: it has seen red cars and blue cars, and the answer that
# minimizes its squared error is the average, a muddy purple that no car has.
#
# Here is the smallest version of that failure. The data come from a distribution with three bumps, which we know
# exactly (green). We fit the one-bump model whose likelihood is highest: a Gaussian with the mean and the standard
# deviation of the data (red).

# %%
weights = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)  # p(z = k)
means = torch.tensor([-3.0, 0.5, 3.2], dtype=torch.float64)
stds = torch.tensor([0.7, 0.5, 0.6], dtype=torch.float64)

z = Categorical(weights).sample((2000,))  # which bump
x = Normal(means[z], stds[z]).sample()  # where in it
one_bump = Normal(x.mean(), x.std())

line = torch.linspace(-8, 8, 4001, dtype=torch.float64)
step = line[1] - line[0]


def log_truth(x):  # (B,) -> (B,) nats
    return (weights.log() + Normal(means, stds).log_prob(x[:, None])).logsumexp(1)


fig, ax = plt.subplots()
plotting.histogram(x, ax)
plotting.curve(line, log_truth(line).exp(), ax, "where the data come from", color=colors.EXACT, at=0.545, offset=(12, 8))
plotting.curve(line, one_bump.log_prob(line).exp(), ax, "best single Gaussian", color=colors.MODEL, at=0.26, offset=(-190, 14))
ax.set(xlabel="x", xlim=(-8, 8), title="One Gaussian is likeliest where there are few data");

# %%
p = log_truth(line).exp()
kl = (p * (log_truth(line) - one_bump.log_prob(line))).sum() * step
claim("the true density integrates to 1", p.sum() * step, near=1, within=1e-6, digits=6)
claim("one Gaussian loses, per example", kl, above=0.1, digits=2, unit="nats")
claim("density at the Gaussian's peak, as a share of the highest true density",
      log_truth(one_bump.mean[None])[0].exp() / p.max(), below=0.7)

# %% [markdown] tags=["read-out"]
# The Gaussian puts its highest density between the bumps, and it loses 0.37 nats on every example. The loss is a
# Kullback-Leibler divergence, $\mathrm{KL}(p \| q) = \mathbb{E}_p[\log p(x) - \log q(x)]$: the part of the log-likelihood
# that a better model could still win. We measure in *nats*, natural logarithms, per example, in the whole course.

# %% [markdown]
# ## 1.2 A latent variable
#
# We built the three bumps in two simple steps: draw a hidden number $z$, then draw $x$ given $z$.
#
# $$ p(z=k) = \pi_k, \qquad p(x \mid z=k) = \mathcal N(x;\, \mu_k, \sigma_k^2) $$
#
# Nobody writes $z$ down, so $x$ alone has the *marginal* distribution, the sum over what $z$ may have been:
#
# $$ p(x) = \sum_k p(z=k)\, p(x \mid z=k) \qquad\text{or, for a continuous } z,\qquad p(x) = \int p(x \mid z)\, p(z)\, dz . $$
#
# The prior is three numbers, each likelihood has one bump, and yet the marginal has three. Every model from here to
# chapter 5 is made this way; only $p(x\mid z)$ gets richer. Sampling in the order of the arrows, first $z$, then $x$, is
# called *ancestral sampling*. It is the two lines above.

# %%
fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=[1, 1.5, 2])
axes[0].bar([1, 2, 3], weights, color=KINDS[:3], width=0.6)
axes[0].set(title="prior p(z)", xticks=[1, 2, 3], xlabel="z", ylim=(0, 0.62))
for bar, w in zip([1, 2, 3], weights):
    axes[0].text(bar, w + 0.015, f"{w:.1f}", ha="center")
total = torch.zeros_like(line)
for k in range(3):
    likelihood = Normal(means[k], stds[k]).log_prob(line).exp()
    plotting.curve(line, likelihood, axes[1], color=KINDS[k])
    joint = weights[k] * likelihood
    axes[2].fill_between(line, total, total + joint, color=KINDS[k], alpha=0.45, lw=0)
    total = total + joint
plotting.histogram(x, axes[2])
plotting.curve(line, total, axes[2], color=colors.EXACT)
axes[1].set(title="likelihood p(x | z)", xlabel="x", yticks=[], xlim=(-6, 6))
axes[2].set(title="marginal p(x) = Σ p(z) p(x | z), and samples", xlabel="x", xlim=(-6, 6));

# %%
cdf = (weights * Normal(means, stds).cdf(x.sort().values[:, None])).sum(1)  # exact distribution function at the samples
rank = torch.arange(1, len(x) + 1) / len(x)
claim("ancestral samples against the exact marginal, Kolmogorov-Smirnov distance", (cdf - rank).abs().max(),
      below=2.23 / len(x) ** 0.5)  # exceeded by chance once in ten thousand

# %% [markdown]
# ## 1.3 Turning it around: responsibilities
#
# Given $x$, which component made it? Bayes' rule answers with probabilities, the **responsibilities**
#
# $$ r_k(x) = p(z=k \mid x) = \frac{\pi_k\, p(x\mid z=k)}{\sum_j \pi_j\, p(x \mid z=j)} . $$
#
# In code it is a softmax over the log of the joint. We stay in logarithms: far from every bump all the densities
# underflow to zero, and $0/0$ is no probability.

# %%
def log_joint(x, weights, means, stds):  # (B,) -> (B, K): log p(x, z = k)
    return weights.log() + Normal(means, stds).log_prob(x[:, None])


r = log_joint(line, weights, means, stds).softmax(1)  # (B, K)

fig, ax = plt.subplots(figsize=(8, 3))
for k, (at, name) in enumerate([(0.1, "p(z=1 | x)"), (0.53, "p(z=2 | x)"), (0.87, "p(z=3 | x)")]):
    plotting.curve(line, r[:, k], ax, color=KINDS[k])
    ax.text(line[int(at * len(line))], 1.06, name, color=KINDS[k], ha="center", fontweight="bold")
ax.set(xlabel="x", yticks=[0, 0.5, 1], ylim=(0, 1.18), xlim=(-8, 8));

# %%
average = (r * p[:, None]).sum(0) * step  # E_p(x)[ p(z | x) ]
claim("averaged over the data the responsibilities are the prior, largest difference", (average - weights).abs().max(),
      below=1e-6)
far = torch.tensor([60.0], dtype=torch.float64)
claim("in plain probabilities x = 60 gives 0/0", (weights * Normal(means, stds).log_prob(far[:, None]).exp()).sum() == 0)
claim("in logarithms the responsibilities there still sum to one",
      log_joint(far, weights, means, stds).softmax(1).sum(), near=1, within=1e-12)

# %% [markdown]
# The library says the same in one line: a `GMM` has full covariance matrices, any number of features, and the same words
# as every model of this course: `sample`, `log_prob`, `prior`, `decode` for $p(x\mid z)$, `encode` for $p(z\mid x)$.

# %%
twin = GMM(3, 1).double()
twin.set(weights, means[:, None], stds[:, None, None] ** 2)
claim("library and bare code agree on log p(x)", (twin.log_prob(line[:, None]) - log_truth(line)).abs().max(), below=1e-10)
claim("and on p(z | x)", (twin.responsibilities(line[:, None]) - r).abs().max(), below=1e-10)

# %% [markdown]
# ## 1.4 Learning without labels: EM
#
# Now only $x_1, \dots, x_N$ are given. We want the parameters $\theta = (\pi, \mu, \Sigma)$ with the highest
# log-likelihood, $\ell(\theta) = \frac1N \sum_n \log \sum_k \pi_k\, \mathcal N(x_n; \mu_k, \Sigma_k)$. Were the $z_n$
# known, this would be counting and averaging. They are not, and the sum inside the logarithm couples all parameters.
#
# **Expectation maximization** guesses and counts in turn:
#
# - **E**: with the parameters fixed, compute the responsibilities $r_{nk} = p(z_n = k \mid x_n)$;
# - **M**: with the responsibilities fixed, count and average, each example counting for component $k$ with weight $r_{nk}$.

# %%
def em_step(x, weights, means, covariances):
    log_joint = weights.log() + MultivariateNormal(means, covariances).log_prob(x[:, None])  # (N, K)
    r = log_joint.softmax(1)  # E step
    counts = r.sum(0)  # (K,)
    means = r.T @ x / counts[:, None]  # M step
    centered = x[:, None] - means  # (N, K, d)
    covariances = torch.einsum("nk,nki,nkj->kij", r, centered, centered) / counts[:, None, None]
    return (counts / len(x), means, covariances), log_joint.logsumexp(1).mean()


truth = GMM(3, 2).double()  # a world that we know: three tilted blobs
truth.set(
    torch.tensor([0.5, 0.3, 0.2]),
    torch.tensor([[-1.0, 0.6], [1.4, 1.2], [0.8, -1.6]]),
    torch.tensor([[[0.7, 0.45], [0.45, 0.5]], [[0.5, -0.35], [-0.35, 0.4]], [[0.9, 0.1], [0.1, 0.12]]]),
)
with torch.no_grad():
    blobs, unseen = truth.sample(1500), truth.sample(20000)

model = GMM(3, 2).double()
model.set(torch.full((3,), 1 / 3), torch.tensor([[-2.0, 2.0], [-1.5, 1.5], [-1.0, 2.0]]), 0.5 * torch.eye(2).expand(3, 2, 2))
bare = (model.weights.detach(), model.means.detach().clone(), model.covariances.detach())

snapshots, likelihood = [], []
for i, value in enumerate(model.em(blobs, 60)):  # a generator: each turn of the loop is one iteration
    bare, bare_value = em_step(blobs, *bare)
    likelihood.append(value)
    if i + 1 in (1, 4, 10, 60):
        snapshots.append((i + 1, model.means.detach().clone(), model.covariances.detach(), model.responsibilities(blobs)))

claim("after 60 iterations library and bare EM agree, largest difference in the means",
      (model.means - bare[1]).abs().max(), below=1e-8)
claim("smallest gain of an iteration", torch.tensor(likelihood).diff().min(), above=-1e-12, unit="nats")

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.9), sharex=True, sharey=True)
shades = torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in KINDS[:3]], dtype=torch.float64)
for ax, (i, mu, sigma, r) in zip(axes, snapshots):
    plotting.points(blobs, ax, color=(r.detach() @ shades).clamp(0, 1).numpy(), size=6)
    plotting.ellipses(mu, sigma, ax, color=KINDS[:3])
    ax.set(title=f"after {i} iteration{'s' if i > 1 else ''}", xticks=[], yticks=[])

# %% [markdown]
# The crosses start together in an empty corner. Each point is colored by its responsibilities: gray-brown mixtures of
# color are points that EM is not sure about. As the ellipses move, the colors sharpen, and the other way round.
#
# How good is the result? We know the truth here, so we can say it on 20,000 *unseen* examples, where no model can beat
# the distribution that made them, except by luck.

# %%
with torch.no_grad():
    ceiling = truth.log_prob(unseen)
    reached = model.log_prob(unseen)
gap = ceiling - reached

fig, ax = plt.subplots(figsize=(8, 3.2))
plotting.curve(range(len(likelihood)), likelihood, ax, "training data", at=0.06, offset=(22, -10), marker=".")
ax.axhline(ceiling.mean(), color=colors.EXACT, ls="--", lw=2)
ax.text(60, ceiling.mean() - 0.03, "the truth, on unseen data", color=colors.EXACT, ha="right", va="top", fontweight="bold")
ax.set(xlabel="EM iteration", ylabel="nats per example", ylim=(-3.4, -2.55), title="The log-likelihood never goes down");

# %%
claim("EM loses against the truth on unseen data", gap.mean(), below=0.03, unit="nats")
claim("standard error of that", gap.std() / len(gap) ** 0.5, below=0.005, unit="nats")

# %% [markdown]
# ## 1.5 Why it works: the bound
#
# Take *any* distribution $q(z)$ for one example. The logarithm is concave, so Jensen's inequality gives
#
# $$ \log p(x) = \log \sum_z q(z) \frac{p(x, z)}{q(z)} \;\ge\; \sum_z q(z) \log \frac{p(x, z)}{q(z)} =: \mathcal L(q, \theta), $$
#
# and what is lost is known exactly: $\log p(x) - \mathcal L(q, \theta) = \mathrm{KL}\big(q(z) \,\|\, p(z \mid x)\big) \ge 0$.
#
# So EM climbs one function by turns, along two coordinates. The **E step** maximizes $\mathcal L$ over $q$: the best
# $q$ is the posterior, the KL vanishes, the bound *touches* the log-likelihood. The **M step** maximizes $\mathcal L$
# over $\theta$ with $q$ held: the bound rises, and the log-likelihood above it must rise at least as much. This bound
# will carry us to chapter 5, where it is called the ELBO.
#
# Below is one parameter of the 1-D mixture, the mean of the left bump, with all others held at the truth. Green is the
# log-likelihood as a function of that mean; each gray curve is the bound built at the dot on it.

# %%
def average_log_likelihood(mu1, x):  # the left mean as the only unknown
    return log_joint(x, weights, torch.stack([mu1, means[1], means[2]]), stds).logsumexp(1).mean()


def bound(mu1, q, x):  # L(q, theta), with q (B, K) held
    joint = log_joint(x, weights, torch.stack([mu1, means[1], means[2]]), stds)
    return (q * (joint - q.log().nan_to_num(neginf=0.0))).sum(1).mean()


mus = torch.linspace(-6.5, 2.5, 181, dtype=torch.float64)
curve = torch.stack([average_log_likelihood(m, x) for m in mus])
mu, path = torch.tensor(2.0, dtype=torch.float64), []
for _ in range(4):
    q = log_joint(x, weights, torch.stack([mu, means[1], means[2]]), stds).softmax(1)  # E
    path.append((mu, q))
    mu = (q[:, 0] * x).sum() / q[:, 0].sum()  # M
bounds = [torch.stack([bound(m, q, x) for m in mus]) for _, q in path]

fig, ax = plt.subplots(figsize=(9, 4))
plotting.curve(mus, curve, ax, "log-likelihood", color=colors.EXACT, at=0.75, offset=(14, 8))
for t, ((m, _), b) in enumerate(zip(path, bounds)):
    ax.plot(mus, b, color=colors.NOISE, lw=1.6)
    ax.plot(m, average_log_likelihood(m, x), "o", color=colors.ACCENT, ms=9)
    ax.annotate(str(t), (m, average_log_likelihood(m, x)), (0, 10), textcoords="offset points", ha="center", color=colors.DATA)
ax.set(xlabel="mean of the left component", ylabel="nats per example", ylim=(curve.min() - 0.6, curve.max() + 0.7), title="Each bound touches at its dot and is never above");

# %%
touch = max(abs(bound(m, q, x) - average_log_likelihood(m, x)).item() for m, q in path)
above = max((b - curve).max().item() for b in bounds)
m, q = path[0]
other = torch.tensor(-1.0, dtype=torch.float64)
posterior = log_joint(x, weights, torch.stack([other, means[1], means[2]]), stds).log_softmax(1)
kl = (q * (q.log() - posterior)).nan_to_num().sum(1).mean()
claim("distance between bound and log-likelihood at the dots", touch, below=1e-12, unit="nats")
claim("bound minus log-likelihood, largest anywhere", above, below=1e-12, unit="nats")
claim("gap at mean -1 under the first q, minus KL(q, posterior) there",
      average_log_likelihood(other, x) - bound(other, q, x) - kl, near=0, within=1e-10, unit="nats")

# %% [markdown]
# **Predict before you run.** If you start the left mean at exactly $+0.5$, on top of the middle component, does EM ever
# get away? And if all three components start as exact copies of each other?
#
# <details><summary>Answer</summary>
#
# The components have different weights and widths, so their responsibilities differ and the mean moves. Three exact
# copies share every example equally forever: each M step gives all of them the same parameters. The symmetry must be
# broken by the start, which is why nobody starts EM with copies.
# </details>

# %%
q = log_joint(x, weights, torch.stack([means[1], means[1], means[2]]), stds).softmax(1)
moved = (q[:, 0] * x).sum() / q[:, 0].sum()
copies = GMM(3, 1).double()
copies.set(torch.full((3,), 1 / 3), x.mean().expand(3, 1), torch.full((3, 1, 1), 4.0))
list(copies.em(x[:, None], 20))
claim("started on top of the middle bump, the left mean moves in one step by", moved - means[1], below=-0.1)
claim("three exact copies after 20 iterations, largest difference of their means",
      copies.means.max() - copies.means.min(), below=1e-9)

# %% [markdown]
# ## 1.6 Two ways to go wrong
#
# **Local optima.** The log-likelihood has many peaks, and EM climbs the one on whose slope it starts. Eight Gaussians
# on a ring, eight components: good starts find all of them, a bad start lets two components share one bump while
# another must cover two.

# %%
ring = data.load("eight_gaussians", n=2000, seed=SEED)
starts = 30 if PROFILE == "full" else 12
runs = {"random examples": [], "k-means++": []}
for s in range(starts):
    for method in runs:
        torch.manual_seed(SEED + s)
        model = GMM(8, 2).double()
        x8 = ring.x.double()
        if method == "k-means++":
            model.start(x8)
        else:
            chosen = x8[torch.randperm(len(x8))[:8]]
            model.set(torch.full((8,), 1 / 8), chosen, x8.T.cov().expand(8, 2, 2))
        final = list(model.em(x8, 100, floor=1e-4))[-1]  # a random start may collapse: see below
        runs[method].append((final, model))

best = max(v for method in runs.values() for v, _ in method)
worst_value, worst = min(runs["random examples"], key=lambda run: run[0])
_, good = max(runs["k-means++"], key=lambda run: run[0])

fig, axes = plt.subplots(1, 3, figsize=(13, 4), width_ratios=[1, 1, 1.25])
for ax, m, title in [(axes[0], worst, "a bad start"), (axes[1], good, "a good start")]:
    plotting.points(ring.x, ax, size=3, alpha=0.3)
    plotting.ellipses(m.means, m.covariances, ax)
    ax.set(title=title, xticks=[], yticks=[])
for row, results in enumerate(runs.values()):
    values = torch.tensor([v for v, _ in results])
    spread = torch.linspace(-0.12, 0.12, len(values))
    axes[2].scatter(values, row + spread, s=50, alpha=0.7, color=[colors.MODEL, colors.EXACT][row], linewidths=0)
axes[2].set(yticks=[0, 1], yticklabels=list(runs), xlabel="nats per example", ylim=(-0.6, 1.6), title="final log-likelihood");

# %%
share = {m: sum(v > best - 0.02 for v, _ in r) / len(r) for m, r in runs.items()}
claim("share of k-means++ starts that reach the best optimum", share["k-means++"], above=share["random examples"], digits=2)
claim("what the worst start loses", best - worst_value, above=0.05, unit="nats")

# %% [markdown]
# **Singularities.** Put one component exactly on one example and let its variance go to zero: the density of that
# example goes to infinity, that of all others stays finite, and the likelihood grows without limit. The maximum of the
# likelihood of a Gaussian mixture *does not exist*; what we look for is a good local maximum.

# %%
ten = x[:10]
small = torch.logspace(0, -20, 21, dtype=torch.float64)  # standard deviation of the component on the first example
spiked = [torch.logaddexp(Normal(ten.mean(), ten.std()).log_prob(ten), Normal(ten[0], s).log_prob(ten)).mean()
          - torch.tensor(2.0).log() for s in small]
fig, ax = plt.subplots(figsize=(8, 3))
plotting.curve(small, torch.stack(spiked), ax, marker="o")
ax.set(xscale="log", xlabel="standard deviation of a component that sits on one example of ten", ylabel="nats per example",
       title="The likelihood has no maximum")
ax.invert_xaxis();

# %%
gain = (spiked[-1] - spiked[-2]) * len(ten)
claim("each factor of ten in that width wins the one example", gain, near=torch.tensor(10.0).log(), within=0.02, unit="nats")
try:
    stuck = GMM(2, 1).double()
    stuck.set(torch.tensor([0.5, 0.5]), torch.stack([x[:1], x.mean()[None]]), torch.tensor([[[1e-10]], [[4.0]]]))
    list(stuck.em(x[:, None], 50))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown] tags=["read-out"]
# The gain per factor of ten is $\log 10 = 2.3$ nats for that one example, forever. The library refuses to go on and
# says what to do. A floor under the variances, fewer components, or a prior on the covariance are the usual cures.

# %% [markdown]
# ## 1.7 How many components?
#
# The training likelihood cannot tell: it grows with every component that we add. The likelihood of **held-out**
# examples can, since a component that serves one accident of the training set does nothing for new examples. We keep
# the training set small on purpose, 300 examples from the ring of eight.

# %%
few, held_out = ring.x[:300].double(), data.load("eight_gaussians", "validation", n=5000, seed=SEED).x.double()
counts = [1, 2, 4, 6, 7, 8, 9, 10, 12, 16, 20, 24]
training, validation, error = [], [], []
for k in counts:
    fits = []
    for s in range(5 if PROFILE == "full" else 3):
        m = GMM(k, 2).double()
        torch.manual_seed(SEED + s)
        m.start(few)
        fits.append((list(m.em(few, 80, floor=1e-3))[-1], m))
    value, m = max(fits, key=lambda fit: fit[0])
    with torch.no_grad():
        score = m.log_prob(held_out)
    training.append(value)
    validation.append(score.mean().item())
    error.append((score.std() / len(score) ** 0.5).item())
chosen = counts[max(range(len(counts)), key=lambda i: validation[i])]
exact = -ring.density.log_prob(held_out).mean()

fig, ax = plt.subplots(figsize=(9, 4))
plotting.curve(counts, training, ax, "training", color=colors.DATA, marker="o")
plotting.curve(counts, validation, ax, "held out", color=colors.MODEL, marker="o")
ax.axhline(-exact, color=colors.EXACT, ls="--", lw=2)
ax.text(24.4, -exact, "the exact density", color=colors.EXACT, va="center", fontweight="bold", backgroundcolor="white")
ax.axvline(chosen, color=colors.ACCENT, lw=1.5, zorder=0)
ax.set(xlabel="components", ylabel="nats per example", xlim=(0, 30), ylim=(min(validation) - 0.15, max(training) + 0.15),
       title="Training goes up and up, held-out likelihood turns");

# %%
claim("number of components with the highest held-out likelihood", chosen, near=8, within=0)
claim("with 24 components training gains over 8", training[-1] - training[counts.index(8)], above=0, unit="nats")
claim("and held-out data lose", validation[counts.index(8)] - validation[-1], above=3 * error[-1], unit="nats")

# %% [markdown]
# ## 1.8 The same model by gradient
#
# EM needs closed-form M steps, and neural networks have none. But $\ell(\theta)$ is differentiable, so gradient ascent on
# it works too, through the same object: `model.loss` is the mean of $-\log p(x)$, and `train.fit` minimizes it as it will
# minimize the loss of every model to come. Positive weights, positive-definite covariances: the library keeps them so by
# storing logits and a Cholesky factor.

# %%
by_em, by_gradient = GMM(3, 2).double(), GMM(3, 2).double()
by_em.start(blobs)
by_gradient.load_state_dict(by_em.state_dict())
em_values = list(by_em.em(blobs, 60))
history = train.fit(by_gradient, blobs, steps=400, batch_size=len(blobs), lr=0.05, rate=train.falling)

fig, ax = plt.subplots(figsize=(8, 3.4))
plotting.curve(range(1, 61), em_values, ax, "EM", color=colors.EXACT, at=0.05, offset=(-32, 0))
plotting.curve(range(1, 401), [-v for v in history.loss], ax, "gradient (Adam)", color=colors.MODEL, at=0.03, offset=(12, 0))
ax.set(xscale="log", xlabel="passes over the data", ylabel="nats per example", title="Same start, same top, another road")

claim("where gradient ascent ends, minus where EM ends", -history.loss[-1] - em_values[-1], near=0, within=2e-3, unit="nats")

# %% [markdown]
# ## 1.9 Real digits
#
# So far the truth was known. Now 1,000 scans of handwritten digits, 8 by 8 pixels of 17 gray levels, written by people;
# the test set was written by *other* people. A density on numbers that come in 17 steps could cheat by putting
# infinitely thin spikes on them, as in 1.6. The standard cure is *dequantization*: add uniform noise as wide as one
# step, so that the density becomes a fair bound on the probability of the discrete picture,
#
# $$ \log P(\text{picture}) \;\ge\; \mathbb{E}_{u}\big[\log p(\text{picture} + u)\big], \qquad u \sim \text{Uniform}[0, 1)^{64}, $$
#
# with pixels counted in gray levels, 0 to 16. Larger pictures are first shrunk to 8 by 8, so that a full 64 x 64
# covariance matrix per component can be estimated.

# %%
def small_levels(split):  # (N, 64) gray levels 0 ... 16
    x = data.load(DATASET, split, n=None if DATASET == "digits" else 2000, seed=SEED, device=DEVICE).x
    return (torch.nn.functional.adaptive_avg_pool2d(x, 8) * 16).round().flatten(1).double()


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
        with torch.no_grad():
            table.append((m.log_prob(dequantized(valid_levels)).mean().item(), k, floor, m))
_, k, floor, digits = max(table, key=lambda row: row[0])
with torch.no_grad():
    test = digits.log_prob(dequantized(test_levels))
    drawn = digits.sample(30)

# The rival: every pixel has a free histogram of its own and knows nothing of the others.
histogram = torch.stack([(train_levels == level).double().mean(0) for level in range(17)])  # (17, 64)
histogram = (histogram * len(train_levels) + 0.1) / (len(train_levels) + 1.7)  # no level is impossible
independent = histogram.log()[test_levels.long(), torch.arange(64)].sum(1)
alone = Categorical(histogram.T).sample((30,)).double()

twenty = next(m for _, k_, floor_, m in table if (k_, floor_) == (20, 1.0))
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6))
for ax, pictures, title in [
    (axes[0], train_levels[:30], "data"),
    (axes[1], twenty.means.detach(), "means of 20 components"),
    (axes[2], drawn, f"samples, {k} components"),
    (axes[3], alone, "samples, pixels alone"),
]:
    plotting.images(pictures.reshape(-1, 1, 8, 8) / 16, ax, columns=6 if len(pictures) == 30 else 5)
    ax.set_title(title)

# %%
lead = independent - test
claim("components chosen on the validation set", k, above=2)
claim("mixture, nats per test digit: -log p is at most", -test.mean(), below=200, unit="nats")
claim("standard error", test.std() / len(test) ** 0.5, below=5, unit="nats")
claim("pixels alone, -log p on the same digits", -independent.mean(), below=200, unit="nats")
claim("pixels alone lead by", lead.mean(), above=5 * lead.std().item() / len(lead) ** 0.5, digits=2, unit="nats")

# %% [markdown] tags=["read-out"]
# Look first, then read the numbers. The mixture's samples are rough digits: it knows which pixels go together. The samples
# of the rival are dust. And yet the rival has the *better* likelihood, 106 nats against 130: most pixels at the edge are
# nearly always exactly 0, a histogram says so almost for free, and a Gaussian, even a narrow one, cannot. So a better
# likelihood need not mean better samples, nor the other way round. We will meet the rival again: a model of digits has
# learned something when it beats 106.
#
# The samples also show what the mixture cannot do. Each is one of five blurred prototypes plus Gaussian noise; what
# varies *within* a digit, slant or width or a loop, is a direction of one big covariance matrix and nothing more.

# %% [markdown]
# ## 1.10 Play
#
# Drag the means and the ellipses, step EM, and watch responsibilities, bound and likelihood. *Before you press step:*
# where will each ellipse go? Then start it into a bad optimum on purpose and see whether you can rescue it by dragging
# one mean.

# %%
from gdm_core import explorers

explorers.mixtures(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 1.11 What to keep, and what is not settled
#
# - A latent variable turns simple pieces into a rich marginal; the posterior over it is Bayes' rule.
# - EM is coordinate ascent on $\mathcal L(q,\theta)$: it never goes down, and it promises only a local optimum.
# - The likelihood of a Gaussian mixture is unbounded; held-out likelihood chooses the size, not the training likelihood.
# - The bound $\log p(x) = \mathcal L(q,\theta) + \mathrm{KL}(q\|p(z\mid x))$ outlives mixtures: it is chapter 3.
#
# Honest limits. Held-out likelihood chose eight components in an experiment built from eight components; real data have
# no true number. A mixture's components are interchangeable: relabel them and nothing changes, so "component 3" means
# nothing by itself. And one discrete $z$ must spend a component on every combination of style and shape, where a picture
# varies in many ways at once. The next chapter makes $z$ continuous.
#
# **References.** A. Dempster, N. Laird, D. Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, 1977,
# eq. 2.17. R. Neal, G. Hinton, *A view of the EM algorithm that justifies incremental, sparse, and other variants*, 1998,
# eq. 7 (the bound). C. Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 9.2 to 9.4 (eq. 9.23 to 9.28).
# D. Arthur, S. Vassilvitskii, *k-means++*, 2007. B. Uria, I. Murray, H. Larochelle, *RNADE*, 2013 (dequantization);
# L. Theis, A. van den Oord, M. Bethge, *A note on the evaluation of generative models*, 2016, eq. 3 to 6.
