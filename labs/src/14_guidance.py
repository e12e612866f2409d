# %% [markdown]
# # 14 · Guidance and holes by hand
#
# **How do we get from a denoiser the picture that we ask for?** You write the pieces of [lecture
# 14](../lectures/14_guidance.ipynb): dropped labels, guidance, what is pasted into a hole, the exact posterior of a
# Gaussian, the pull toward what was seen, and an honest interval for a judge. Time: 78 minutes.
#
# Each exercise has a gap, two hints that unfold, and a cell that asks the checks: they call your function and print one
# line. No exercise needs the ones before it. A check that finds no mistake is no proof: look at your picture too.

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from gdm_core import colors, data, ideal, plotting, samplers, schedules
from gdm_core.checks import lab14 as check
from gdm_core.data import toy

torch.manual_seed(0)
plotting.use_style()
RING = toy.target("eight_gaussians")


def framed(ax, title, reach=4.0):
    ax.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(title, loc="center")

# %% [markdown] exercise={"name": "drop_labels", "difficulty": 1, "importance": 4, "minutes": 6}
# ## Exercise 1 · Dropped labels
#
# Classifier-free guidance needs two denoisers, one with the label and one without. One network can learn both if, for a
# share $p$ of the examples, the label is replaced by an extra index that stands for "no label". With classes
# $0 \dots C - 1$ this index is $C$. Each example has its own random number $u_b$, uniform on $[0, 1)$:
#
# $$ y'_b = C \;\text{ where } u_b < p, \qquad y'_b = y_b \;\text{ elsewhere.} $$
#
# <details><summary>Hint 1: a choice for each entry</summary>
#
# `torch.where(condition, a, b)` takes a where the condition holds.
#
# </details>
# <details><summary>Hint 2: the index</summary>
#
# The last class has the index $C - 1$. "No label" is not a class.
#
# </details>

# %%
def drop_labels(y: Tensor, classes: int, p: float, u: Tensor) -> Tensor:
    """Labels for the network.  y: (B,) integers, u: (B,).  -> (B,) integers."""
    ### BEGIN SOLUTION
    return torch.where(u < p, classes, y)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def a_batch(drop_labels):
    torch.manual_seed(0)
    x = data.load("strokes", n=12, seed=2)
    told = torch.as_tensor(drop_labels(x.labels, 10, 0.3, torch.rand(12))).tolist()
    _, ax = plt.subplots(figsize=(11, 1.7))
    plotting.images(x.x, ax, columns=12, titles=["none" if k == 10 else str(int(k)) for k in told])

# %% tags=["check"]
check.drop_labels(drop_labels, show=a_batch)

# %% [markdown] exercise={"name": "guided", "difficulty": 2, "importance": 5, "minutes": 10}
# ## Exercise 2 · Guidance
#
# The network predicts the mean of the data behind $x_t$: $D$ with a label, $V$ without one. Between the times $\ell$
# and $h$, both included, guidance extrapolates from $V$ through $D$; at other times $D$ is used as it is:
#
# $$ \hat x = V + w\,(D - V) \;\text{ for } \ell \le t \le h, \qquad \hat x = D \;\text{ elsewhere.} $$
#
# Predict before you run: for which $w$ is this simply the network with its label?
#
# <details><summary>Hint 1: two calls</summary>
#
# `net(x, t, y)` is $D$ and `net(x, t, None)` is $V$.
#
# </details>
# <details><summary>Hint 2: outside</summary>
#
# Outside of the interval the network is still given the label.
#
# </details>

# %%
def guided(net, x: Tensor, t: float, y: Tensor, w: float, low: float, high: float) -> Tensor:
    """The mean to go to.  net: (B, d), t, (B,) or None -> (B, d); x: (B, d); y: (B,).  -> (B, d)."""
    ### BEGIN SOLUTION
    wanted = net(x, t, y)
    if not low <= t <= high:
        return wanted
    plain = net(x, t, None)
    return plain + w * (wanted - plain)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_of_eight(guided):
    every = torch.full((8,), RING.std[0].item())
    plain = ideal.mixture(RING.means, every, torch.ones(8), schedules.cosine)
    two = ideal.mixture(RING.means[:2], every[:2], torch.ones(2), schedules.cosine)
    net = lambda x, t, y: (plain if y is None else two)(torch.as_tensor(x).float(), torch.tensor(float(t)))
    _, axes = plt.subplots(1, 4, figsize=(14, 3.8))
    for ax, (w, low, high) in zip(axes, ((0, 0, 1), (1, 0, 1), (4, 0, 1), (4, 0.2, 0.6))):
        torch.manual_seed(0)
        go = lambda x, t, w=w, low=low, high=high: torch.as_tensor(guided(net, x, t.item(), torch.zeros(len(x)), w, low, high)).float()
        x = samplers.last(samplers.ddim(go, schedules.cosine, torch.randn(400, 2), schedules.times(schedules.cosine, 50)))
        plotting.points(RING.means, ax, color=colors.EXACT, size=60)
        plotting.points(x, ax, color=colors.MODEL, size=6)
        framed(ax, f"w = {w}, t from {low} to {high}")

# %% tags=["check"]
check.guided(guided, show=two_of_eight)

# %% [markdown] exercise={"name": "paste", "difficulty": 2, "importance": 5, "minutes": 12}
# ## Exercise 3 · A hole in the picture
#
# Some entries of a picture are seen, $y$; the others are the hole. Replacement works in three moves. In the seen part,
# $x_t$ is replaced by what $y$ would look like at this noise level; the network guesses the whole picture from that;
# and in the seen part its guess is replaced by $y$.
#
# $$ x'_t = \begin{cases} \alpha\, y + \sigma\, \epsilon & \text{seen} \\ x_t & \text{hole} \end{cases} \qquad
# \hat x = \begin{cases} y & \text{seen} \\ D(x'_t) & \text{hole} \end{cases} $$
#
# <details><summary>Hint 1: the mask</summary>
#
# `kept` is True where the picture is seen. It has no batch dimension; `torch.where` broadcasts it over all rows.
#
# </details>
# <details><summary>Hint 2: two replacements</summary>
#
# One before the network is called, with noise, and one after it, without.
#
# </details>

# %%
def paste(net, x_t: Tensor, y: Tensor, kept: Tensor, alpha: float, sigma: float, noise: Tensor) -> Tensor:
    """The guess.  net: (B, d) -> (B, d); x_t, noise: (B, d); y: (d,), of use where kept, (d,) booleans.  -> (B, d)."""
    ### BEGIN SOLUTION
    asked = torch.where(kept, alpha * y + sigma * noise, x_t)
    return torch.where(kept, y, net(asked))
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def below_the_line(paste):
    torch.manual_seed(0)
    known = (3 * data.load("strokes", n=1500, seed=1).x - 0.5).flatten(1)
    denoise = ideal.training_set(known, schedules.cosine)
    x = (3 * data.load("strokes", "test", n=1, seed=9).x - 0.5).flatten()
    kept = (torch.arange(784) // 28) < 12

    def go(x_t, t):
        alpha, sigma = (a.item() for a in schedules.cosine(t))
        net = lambda z: denoise(torch.as_tensor(z).float(), t)
        return torch.as_tensor(paste(net, x_t, x, kept, alpha, sigma, torch.randn_like(x_t))).float()

    times = schedules.times(schedules.cosine, 60)
    filled = samplers.last(samplers.ddim(go, schedules.cosine, torch.randn(10, 784), times, eta=1.0))
    seen = torch.where(kept, x, torch.full_like(x, 0.5))
    sheet = torch.cat([x[None], seen[None], filled])
    _, ax = plt.subplots(figsize=(11, 1.7))
    plotting.images(((sheet + 0.5) / 3).clamp(0, 1).reshape(-1, 1, 28, 28), ax, columns=12, titles=["picture", "seen", *10 * [""]])

# %% tags=["check"]
check.paste(paste, show=below_the_line)

# %% [markdown] exercise={"name": "posterior", "difficulty": 3, "importance": 5, "minutes": 14}
# ## Exercise 4 · What the hole should hold, exactly
#
# To know whether replacement is right, we need a case with a known answer. Let $x \sim \mathcal N(m, \Sigma)$, and let
# the entries where `kept` is True be seen with noise, $y = x_{\text{seen}} + \tau\, \epsilon$. Write $\Sigma_y$ for the block
# of $\Sigma$ that belongs to the seen entries, and $C$ for its columns of seen entries, with all rows. The whole $x$
# given $y$ is Gaussian; compute its mean and covariance,
#
# $$ m + C\, (\Sigma_y + \tau^2 I)^{-1} (y - m_{\text{seen}}), \qquad \Sigma - C\, (\Sigma_y + \tau^2 I)^{-1} C^\top . $$
#
# <details><summary>Hint 1: blocks</summary>
#
# `covariance[:, kept]` is $C$, of shape `(d, m)`; `covariance[kept][:, kept]` is $\Sigma_y$.
#
# </details>
# <details><summary>Hint 2: one solution for both</summary>
#
# `torch.linalg.solve(a, b)` is $a^{-1} b$. With $b = C^\top$ it gives the transposed gain.
#
# </details>

# %%
def posterior(mean: Tensor, covariance: Tensor, kept: Tensor, y: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of x given y.  mean: (d,); covariance: (d, d); kept: (d,) booleans; y: (m,)."""
    ### BEGIN SOLUTION
    C = covariance[:, kept]
    noisy = covariance[kept][:, kept] + std**2 * torch.eye(len(y), dtype=mean.dtype)
    gain = torch.linalg.solve(noisy, C.T).T
    return mean + gain @ (y - mean[kept]), covariance - gain @ C.T
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def one_class_of_digits(posterior):
    digits = data.load("digits")
    own, kept = digits.flat()[digits.labels == 3].double(), torch.arange(64) < 32
    covariance = torch.cov(own.T) + 0.003 * torch.eye(64).double()
    x = own[5]
    mean, spread = (torch.as_tensor(a).double() for a in posterior(own.mean(0), covariance, kept, x[kept], 0.1))
    spread = (spread + spread.T) / 2 + 1e-6 * torch.eye(64).double()
    torch.manual_seed(0)
    draws = mean + torch.randn(8, 64).double() @ torch.linalg.cholesky(spread).T
    sheet = torch.cat([x[None], (x * kept + 0.5 * ~kept)[None], mean[None], 2 * spread.diagonal().sqrt()[None], draws])
    _, ax = plt.subplots(figsize=(11, 1.7))
    titles = ["picture", "seen", "mean", "2 std", *8 * ["draw"]]
    plotting.images(sheet.clamp(0, 1).reshape(-1, 1, 8, 8), ax, columns=12, titles=titles)

# %% tags=["check"]
check.posterior(posterior, show=one_class_of_digits)

# %% [markdown] exercise={"name": "pull", "difficulty": 3, "importance": 5, "minutes": 16}
# ## Exercise 5 · The pull toward what was seen
#
# Instead of pasting, one can add the slope of the likelihood. Suppose that $x$ given $x_t$ is a round cloud,
# $\mathcal N(D(x_t),\, r^2 I)$. Then observations with noise of variance $\tau^2$ pull the guess:
#
# $$ \hat x = D + \frac{\sigma^2}{\alpha}\, \nabla_{x_t} \log \mathcal N\big( y;\; D(x_t)_{\text{seen}},\; (r^2 + \tau^2)\, I \big) . $$
#
# With $r = 0$ this is DPS, which takes the guess for the truth; with $r^2 = \sigma^2 / (\alpha^2 + \sigma^2)$ it is
# pseudo-inverse guidance. Let torch differentiate *through* the network.
#
# <details><summary>Hint 1: a leaf</summary>
#
# Make x_t a leaf that requires gradients, evaluate the network there, and compute the sum of the log-densities. Then
# `torch.autograd.grad(value, leaf)[0]` holds the slope of each row.
#
# </details>
# <details><summary>Hint 2: the log-density</summary>
#
# Up to terms that do not depend on $x_t$ it is $-\lVert y - D_{\text{seen}} \rVert^2 / (2\, (r^2 + \tau^2))$.
# `net(x)[:, kept]` is the seen part.
#
# </details>

# %%
def pull(net, x_t: Tensor, y: Tensor, kept: Tensor, alpha: float, sigma: float, std: float, r2: float) -> Tensor:
    """The guess, pulled.  net: (B, d) -> (B, d), differentiable; x_t: (B, d); y: (m,); kept: (d,).  -> (B, d)."""
    ### BEGIN SOLUTION
    x = x_t.detach().requires_grad_()
    guess = net(x)
    value = -(y - guess[:, kept]).square().sum() / (2 * (r2 + std**2))
    slope = torch.autograd.grad(value, x)[0]
    return (guess + sigma**2 / alpha * slope).detach()
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def two_pulls(pull, rho=0.9, std=0.1):
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]])
    schedule, kept = schedules.exploding(20.0), torch.tensor([True, False])
    denoise = ideal.gaussian(torch.zeros(2), covariance, schedule)
    _, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    for ax, name in zip(axes, ("r = 0", "a round cloud")):
        torch.manual_seed(0)

        def go(x_t, t, name=name):
            alpha, sigma = (a.item() for a in schedule(t))
            r2 = 0.0 if name == "r = 0" else sigma**2 / (alpha**2 + sigma**2)
            net = lambda z: denoise(z, t)
            with torch.enable_grad():  # the sampler has none
                return pull.with_gradients(net, x_t, torch.tensor([1.0]), kept, alpha, sigma, std, r2).detach()

        times = schedules.times(schedule, 300, by="angle")
        x = samplers.last(samplers.ddim(go, schedule, 20 * torch.randn(300, 2), times, eta=1.0))
        plotting.points(torch.randn(600, 2) @ torch.linalg.cholesky(covariance).T, ax, color=colors.NOISE, size=4)
        plotting.points(x, ax, color=colors.MODEL, size=6)
        ax.plot([1], [rho / (1 + std**2)], "o", color=colors.EXACT, ms=13, mfc="none", mew=3)
        framed(ax, f"{name}: mean {x[:, 1].mean():.2f}, exact {rho / (1 + std**2):.2f}", 3)

# %% tags=["check"]
check.pull(pull, show=two_pulls)

# %% [markdown] exercise={"name": "wilson", "difficulty": 2, "importance": 4, "minutes": 10}
# ## Exercise 6 · How sure can we be of a score?
#
# A judge finds that $k_f$ of $n$ pictures are as asked in factor $f$ (color, shape, ...). What does this say about the
# true share $p$? Wilson's interval holds all $p$ that are within $z$ standard deviations of $\hat p = k_f/n$, where the
# standard deviation is that of $p$ itself, $\sqrt{p (1 - p)/n}$. Its ends are
#
# $$ \frac{ \hat p + \frac{z^2}{2n} \pm z \sqrt{ \frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2} } }{ 1 + \frac{z^2}{n} } . $$
#
# Predict before you run: what is the interval when all of 20 pictures are right?
#
# <details><summary>Hint 1: three pieces</summary>
#
# Compute the center, the half width and the divisor one by one.
#
# </details>
# <details><summary>Hint 2: what is divided</summary>
#
# The divisor $1 + z^2/n$ applies to both, the center and the half width.
#
# </details>

# %%
def wilson(k: Tensor, n: int, z: float) -> Tensor:
    """Lower and upper end for each factor.  k: (F,) counts.  -> (F, 2)."""
    ### BEGIN SOLUTION
    p = k / n
    center = p + z**2 / (2 * n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt()
    return torch.stack([center - half, center + half], 1) / (1 + z**2 / n)
    ### END SOLUTION

# %% jupyter={"source_hidden": true}
def covered(wilson, n=30, z=1.96):
    p = torch.linspace(0.01, 0.99, 393, dtype=torch.float64)
    chances = torch.distributions.Binomial(n, p[:, None]).log_prob(torch.arange(n + 1)).exp()
    k = torch.arange(n + 1).double()
    half = z * (k / n * (1 - k / n) / n).sqrt()
    naive = torch.stack([k / n - half, k / n + half], 1)
    _, ax = plt.subplots(figsize=(9, 3.8))
    for name, ends, color in (("p̂ ± z std", naive, colors.NOISE), ("Wilson", wilson(k, n, z), colors.MODEL)):
        ends = torch.as_tensor(ends).double()
        share = (chances * ((ends[:, 0] <= p[:, None]) & (p[:, None] <= ends[:, 1]))).sum(1)
        plotting.curve(p, share, ax, color=color)
        ax.text(0.5, 0.55 if name == "Wilson" else 0.62, name, color=color, fontweight="bold", ha="center")
    ax.axhline(0.95, color=colors.EXACT, ls="--")
    ax.set(xlabel="true share p", ylabel="held by the interval", ylim=(0.5, 1.01), title="Near 0 and 1 the naive interval is wrong")

# %% tags=["check"]
check.wilson(wilson, show=covered)

# %% [markdown] exercise={"name": "in_words", "difficulty": 3, "importance": 5, "minutes": 10}
# ## Exercise 7 · In your own words
#
# A colleague fills holes in portraits. Every result looks like a portrait, and the seen part is kept to the pixel. "So
# these are draws from the posterior", the colleague says. What is wrong with this argument, and how would you test it?
#
# Answer in three to six sentences in the cell below. A good answer names **what the two observations do not show**; a
# **test** for which the truth is known; and **what one would see** there if the method is replacement, or if it is DPS.

# %% [markdown]
# ### BEGIN SOLUTION
# That each result looks right and fits the seen part says nothing of how often each possible filling comes: a method may always choose one,
# or choose rare ones too often. I would run it on a prior whose posterior is known, such as a Gaussian or a mixture of PPCAs of small digits,
# and compare the mean and the standard deviation of each hidden pixel, and the shares of the classes, with the exact ones, beside what as many
# true draws are off by chance. Replacement decides on the hole while what it pastes is still drowned in noise, so its draws agree too little
# with what is seen: the slope is too small and the spread too large. DPS takes a guess for the truth, so it believes what is seen too much: it
# overshoots and its spread is too small.
#
# *Rubric, one point each:* how often is not whether · a prior with a known posterior, moments or class shares compared · what replacement or
# DPS would show.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# Guidance in one line, three ways into a hole and a truth to compare them with, and an interval that is honest near 1.
#
# **References.** J. Ho, T. Salimans, *Classifier-free diffusion guidance*, 2022. T. Kynkäänniemi et al., *Applying
# guidance in a limited interval*, 2024. H. Chung et al., *Diffusion posterior sampling*, 2023. J. Song et al.,
# *Pseudoinverse-guided diffusion models*, 2023. E. B. Wilson, *Probable inference*, 1927.
