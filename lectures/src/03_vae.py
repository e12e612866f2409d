# %% [markdown]
# # 3 · Variational autoencoders, one datapoint at a time
#
# **A bent decoder describes real pictures, but its integral has no closed form. How do we learn a model whose likelihood
# we cannot compute?**
#
# After this lecture you can
#
# - read a neural likelihood as an infinite mixture, and say why its marginal and its posterior are out of reach;
# - derive the evidence lower bound (ELBO), name its two terms and measure exactly what it loses;
# - take gradients through random draws, and say what the reparameterization buys;
# - fit a model of real digits in which *every example has its own variational parameters*, and say what that costs;
# - set variational inference beside EM where both can be checked.
#
# The encoder comes in chapter 4. Leaving it out for one lecture shows what it is: a shortcut for an optimization.
#
# You need: chapters 1 and 2. Time: 75 minutes to read, 30 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer optimization
DATASET = "digits"  # or "strokes", "mnist", "fashion"
DEVICE = "cpu"
SEED = 0

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.distributions import Independent, Normal

from gdm_core import colors, data, inference, plotting, train
from gdm_core.course.claims import claim
from gdm_core.likelihoods import Gaussian
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED)
fine_side = 1001 if PROFILE == "full" else 401  # points along each axis: a longer training has sharper posteriors

# %% [markdown]
# ## 3.1 An infinite mixture
#
# Keep PPCA's prior and noise, and let the decoder bend:
#
# $$ z \sim \mathcal N(0, I), \qquad x \mid z \sim \mathcal N\big(f(\theta, z),\, \sigma^2 I\big), \qquad
#    p(x) = \int \mathcal N\big(x;\, f(\theta, z), \sigma^2 I\big)\, \mathcal N(z; 0, I)\, dz . $$
#
# For each $z$ there is one Gaussian, so $p(x)$ is a mixture of infinitely many, whose centers $f(\theta, z)$ lie on a
# curve or surface. To see everything we take a world with one latent and two features, a decoder written by hand, and a
# grid of latents fine enough to be called exact.

# %%
class Bend:
    """One latent, two features: x = (1.6 z, z^2 - 1) + noise.  The words are those of every model in the course."""

    event_shape = torch.Size([2])

    def __init__(self, std=0.35):
        self.std = std

    def prior(self):
        return Independent(Normal(torch.zeros(1), torch.ones(1)), 1)

    def decode(self, z):  # (..., 1) -> distribution over (..., 2)
        return Independent(Normal(torch.cat([1.6 * z, z**2 - 1], -1), self.std), 1)


world = Bend()
extent = (-5, 5, -2.6, 5.4)


def log_mixture(points, z):  # log of the average of p(x | z) over given z: points (B, 2), z (S, 1) -> (B,)
    return world.decode(z).log_prob(points[:, None]).logsumexp(1) - torch.tensor(float(len(z))).log()


fig, axes = plt.subplots(1, 4, figsize=(14, 3.4))
for ax, s in zip(axes, [5, 25, 400]):
    z = world.prior().sample((s,))
    plotting.field(lambda p: log_mixture(p, z).exp(), ax, extent)
    plotting.points(world.decode(z).mean, ax, color="white", size=6, alpha=0.9)
    ax.set(title=f"{s} draws of z", xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
exact = lambda p: inference.grid_posterior(world, p, half_width=5, side=201).log_px
plotting.field(lambda p: exact(p).exp(), axes[3], extent, side=80)
axes[3].set(title="the integral", xticks=[], yticks=[]);

# %%
axis = torch.linspace(-9, 9, 73), torch.linspace(-4, 17, 85)
points = torch.cartesian_prod(*axis)
cell = (axis[0][1] - axis[0][0]) * (axis[1][1] - axis[1][0])
claim("the bent density integrates to 1", exact(points).exp().sum() * cell, near=1, within=1e-3)

fine = plotting.grid((-4, 4, -2, 4), 60)
away = [inference.grid_posterior(Bend(std), fine, half_width=5, side=501).log_px for std in (0.7, 0.35, 0.2)]
claim("median of log p(x) over the picture, at noise 0.7", away[0].median(), above=away[1].median().item(),
      unit="nats")
claim("at noise 0.2", away[2].median(), below=away[1].median().item(), unit="nats")

# %% [markdown]
# The noise is no decoration. Without it the model would put all its mass on a curve, the density would be zero almost
# everywhere, and no real example would ever lie on the curve exactly.
#
# ## 3.2 Why not just compute the integral?
#
# With one latent we can, on a grid. A grid with 200 points a side has $200^L$ cells for $L$ latents: 40,000 for two, and
# for 22 more than there are atoms in the earth. The other plain idea is to average over draws from the prior,
# $p(x) \approx \frac1S \sum_s p(x \mid z_s)$. It is unbiased, and wasteful: hardly any draw explains *this* $x$. The
# *effective sample size* $(\sum w)^2 / \sum w^2$ with $w_s = p(x\mid z_s)$ counts the draws that do.

# %%
fig, ax = plt.subplots(figsize=(8, 3.4))
draws = 20000
counted = {}
for i, std in enumerate((0.35, 0.1, 0.03)):
    model = Bend(std)
    shares = []
    for features in (2, 4, 8, 16, 32, 64):  # the same two features seen again and again with fresh noise
        z0 = torch.tensor([[0.8]])
        x = model.decode(z0).mean.repeat(1, features // 2) + std * torch.randn(1, features)
        z = model.prior().sample((draws,))
        log_w = Normal(model.decode(z).mean.repeat(1, features // 2), std).log_prob(x).sum(1)
        w = (log_w - log_w.max()).exp()
        shares.append((w.sum() ** 2 / w.square().sum()).item())
    counted[std] = shares
    plotting.curve((2, 4, 8, 16, 32, 64), shares, ax, f"noise {std}", color=("#a3abb5", "#727b88", colors.DATA)[i],
                   marker="o")
ax.set(xscale="log", yscale="log", xlim=(1.8, 130), xlabel="features of x", ylabel="draws that count",
       title=f"Of {draws:,} draws from the prior, few explain this x")
ax.set_xticks([2, 4, 8, 16, 32, 64], [2, 4, 8, 16, 32, 64])
ax.minorticks_off()

claim("draws that count with 2 features and noise 0.35", counted[0.35][0], above=500)
claim("draws that count with 64 features and noise 0.03", counted[0.03][-1], below=200)
claim("share kept by twenty latents, each of which keeps as much as with 2 features and noise 0.35",
      (counted[0.35][0] / draws) ** 20, below=1e-10, digits=1)

# %% [markdown]
# One latent, and already most of the work is wasted. With independent latents the shares multiply: where one keeps a fifth
# of the draws, twenty keep $0.2^{20} \approx 10^{-14}$.
#
# ## 3.3 The bound
#
# Bring in a distribution $q(z)$ that puts its draws where they count, and apply Jensen's inequality as in 1.5:
#
# $$ \log p(x) = \log \mathbb E_{q}\Big[\frac{p(x, z)}{q(z)}\Big] \;\ge\; \mathbb E_{q}\big[\log p(x\mid z) + \log p(z) - \log q(z)\big]
#  = \underbrace{\mathbb E_q[\log p(x\mid z)]}_{\text{reconstruction}} - \underbrace{\mathrm{KL}\big(q(z)\,\|\,p(z)\big)}_{\text{price of } q} =: \mathcal L(q, \theta; x) . $$
#
# This is the **evidence lower bound**, the ELBO. For a Gaussian likelihood the first term is
# $-\frac{1}{2\sigma^2}\mathbb E_q\|x - f(\theta, z)\|^2$ and a constant: a squared error, in a unit that $\sigma$ sets.
# The second term pulls $q$ toward the prior. What is lost is again known. Write $p(x, z) = p(z \mid x)\,p(x)$ inside the
# expectation, and $\log p(x)$, which no $z$ moves, comes out of it; nothing is estimated on the way:
#
# $$ \mathcal L(q, \theta; x) = \log p(x) - \mathbb E_q[\log q(z) - \log p(z \mid x)] = \log p(x) - \mathrm{KL}\big(q(z)\,\|\,p(z \mid x)\big) . $$
#
# With one latent all three can be computed, so we need not believe it.

# %%
def bare_elbo(x, mean, std, samples):  # x: (2,) -> (samples,) values whose mean is the ELBO
    z = mean + std * torch.randn(samples, 1)
    log_p_x_given_z = world.decode(z).log_prob(x)
    log_p_z = world.prior().log_prob(z)
    log_q_z = Normal(mean, std).log_prob(z).squeeze(1)
    return log_p_x_given_z + log_p_z - log_q_z


x = torch.tensor([0.55, -0.55])  # near the bottom of the bend
truth = inference.grid_posterior(world, x[None], half_width=5, side=1001)
candidates = {"too wide": (0.0, 1.0), "shifted": (0.9, 0.2), "close": (0.375, 0.206)}

fig, axes = plt.subplots(1, 3, figsize=(13, 3.3), sharey=True)
lines = []
for ax, (name, (m, s)) in zip(axes, candidates.items()):
    values = bare_elbo(x, torch.tensor([m]), torch.tensor([s]), 100000)
    q = Independent(Normal(torch.tensor([[m]]), torch.tensor([[s]])), 1)
    gap = truth.kl(q)[0]
    error = values.std() / len(values) ** 0.5
    library = inference.elbo(world, x[None], samples=100000, q=q)[0]
    lines.append((name, truth.log_px[0] - values.mean() - gap, error, values.mean(), library))
    plotting.curve(truth.axis, truth.image(0), ax, color=colors.EXACT)
    plotting.curve(truth.axis, Normal(m, s).log_prob(truth.axis).exp(), ax, color=colors.FAMILY)
    ax.set(title=f"{name}: gap {gap:.2f} nats", xlabel="z", yticks=[], xlim=(-2.5, 2.5))
axes[0].text(0.75, 1.5, "posterior", color=colors.EXACT, fontweight="bold")
axes[0].text(-2.3, 0.35, "q", color=colors.FAMILY, fontweight="bold");

# %%
by_draws = log_mixture(x[None], world.prior().sample((200000,)))[0].item()
claim("log p(x), by the grid, against 200,000 draws from the prior", truth.log_px[0], near=by_draws, within=0.02,
      unit="nats")
for name, difference, error, bare, library in lines:
    claim(f"{name}: log p(x) - ELBO - KL(q, posterior)", difference, near=0, within=5 * error.item(), digits=1,
          unit="nats")
    claim(f"{name}: bare and library ELBO differ by, in standard errors", (bare - library).abs() / (2**0.5 * error),
          below=4, digits=2)

# %% [markdown]
# ## 3.4 Gradients through chance
#
# To climb the bound we need its gradient with respect to the parameters $\nu = (\mu, \log s)$ of $q$, and these sit in
# the distribution that we average over. Two unbiased answers:
#
# - the **score function** (REINFORCE): $\nabla_\nu \mathbb E_q[h] = \mathbb E_q[h(z)\, \nabla_\nu \log q(z;\nu)]$. It needs
#   only values of $h = \log p(x, z) - \log q(z)$: try, and make the good tries likelier ($h$ contains $\log q$ and so
#   depends on $\nu$ itself, but that term is $-\mathbb E_q[\nabla_\nu \log q] = 0$);
# - **reparameterization**: write the draw as $z = \mu + s\,\epsilon$ with $\epsilon \sim \mathcal N(0, 1)$, which no
#   longer depends on $\nu$, and differentiate $h(\mu + s\,\epsilon)$. It uses the slope of $h$.
#
# Same mean. Here are 2,000 single-draw gradients of each, for the mean of the shifted $q$ above.

# %%
m, s = torch.tensor([[0.9]]), torch.tensor([[0.2]])
q = Independent(Normal(m, s), 1)
pathwise, score = inference.gradient_samples(world, x[None], q, samples=2000)
pathwise, score = pathwise[:, 0, 0], score[:, 0, 0]  # with respect to the mean

beside = lambda h: Independent(Normal(m + h, s), 1)
# the grid knows the slope of the bound: it is minus that of the KL to the posterior
exact_slope = ((truth.kl(beside(-0.01)) - truth.kl(beside(0.01)))[0] / 0.02).item()

mu = m.clone().requires_grad_()  # three bare lines: the reparameterized gradient of one long average
z = mu + s * torch.randn(200000, 1)
(world.decode(z).log_prob(x) + world.prior().log_prob(z) - Normal(mu, s).log_prob(z).squeeze(1)).mean().backward()

fig, ax = plt.subplots(figsize=(8.5, 3.3))
bins = torch.linspace(-150, 100, 101)
ax.hist(score.clamp(-150, 100), bins=bins, color=colors.NOISE, alpha=0.7)
ax.hist(pathwise.clamp(-150, 100), bins=bins, color=colors.FAMILY, alpha=0.8)
ax.axvline(exact_slope, color=colors.EXACT, lw=2)
top = ax.get_ylim()[1]
ax.text(exact_slope - 2, 0.9 * top, "true gradient", color=colors.EXACT, fontweight="bold", ha="right")
ax.text(-100, 0.12 * top, "score function", color=colors.NOISE, fontweight="bold", ha="center")
ax.text(-150, 0.16 * top, "≤ −150", color=colors.NOISE)
ax.text(16, 0.5 * top, "reparameterized", color=colors.FAMILY, fontweight="bold")
ax.set(xlim=(-155, 80), xlabel="gradient from one draw", yticks=[], title="Same mean, another spread");

# %%
claim("true gradient, by the grid", exact_slope, near=mu.grad.item(),
      within=5 * pathwise.std().item() / 200000**0.5)
for name, values in (("reparameterized", pathwise), ("score function", score)):
    claim(f"{name}: average minus the true gradient, in standard errors",
          (values.mean() - exact_slope).abs() / (values.std() / 2000**0.5), below=4, digits=2)
claim("variance of the score function over that of the reparameterized gradient", score.var() / pathwise.var(),
      above=8, digits=2)

# %% [markdown]
# **Predict before you run.** Make the noise of the world four times smaller and leave $q$. Which of the two estimators
# suffers more?
#
# <details><summary>Answer</summary>
#
# Neither, as long as $q$ stays: both gradients grow with $1/\sigma^2$. What matters is how far $q$ is from the posterior.
# There $h = \log p(x)$ for every $z$; subtract the mean of the other draws (a *baseline*, which leaves the average
# alone) and the score function has hardly any noise left. Far from it the slope says where to go, and the score must try.
# </details>

# %%
def spread(noise, mean, std, baseline=False):  # variance of the score function over the reparameterized gradient's
    torch.manual_seed(SEED)
    q = Independent(Normal(torch.tensor([[mean]]), torch.tensor([[std]])), 1)
    path, score = inference.gradient_samples(Bend(noise), x[None], q, samples=20000, baseline=baseline)
    return (score[:, 0, 0].var() / path[:, 0, 0].var()).item()


claim("the ratio of the variances at a quarter of the noise, over the ratio before",
      spread(0.35 / 4, *candidates["shifted"]) / spread(0.35, *candidates["shifted"]), near=1, within=0.3)
claim("with a baseline, shifted q: ratio of the variances", spread(0.35, *candidates["shifted"], True), above=3,
      digits=2)
claim("with a baseline, close q: now the score function is quieter", spread(0.35, *candidates["close"], True),
      below=0.4, digits=1)

# %% [markdown]
# ## 3.5 One example, its own parameters
#
# Now we have all that it takes. Hold the decoder, take one $x$, give it its own $\nu = (\mu, \log s)$, and climb the bound.
# The bare loop below is the whole of variational inference.

# %%
def bare_inference(x, steps=400, lr=0.03, samples=16):
    mean, log_std = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_std], lr=lr)
    for _ in range(steps):
        z = mean + log_std.exp() * torch.randn(samples, 1)  # reparameterized
        log_q = Normal(mean, log_std.exp()).log_prob(z).squeeze(1)
        h = world.decode(z).log_prob(x) + world.prior().log_prob(z) - log_q
        optimizer.zero_grad()
        (-h.mean()).backward()
        optimizer.step()
    return mean.detach(), log_std.exp().detach()


three = torch.tensor([[0.55, -0.55], [-2.6, 1.9], [0.0, 1.9]])  # the last one lies above the bottom of the bend
posterior = inference.grid_posterior(world, three, half_width=5, side=1001)
states = list(inference.fit_per_datapoint(world, three, steps=600, lr=0.1, samples=16))
final = states[-1].q
gaps = posterior.kl(final)
bare_mean, bare_std = bare_inference(three[1])

fig, axes = plt.subplots(1, 3, figsize=(13, 3.6))
for i, ax in enumerate(axes):
    plotting.curve(posterior.axis, posterior.image(i), ax, color=colors.EXACT)
    for t in (0, 5, 20, 600):
        q = states[t].q
        density = Normal(q.mean[i], q.stddev[i]).log_prob(posterior.axis).exp()
        plotting.curve(posterior.axis, density, ax, color=colors.FAMILY, alpha=0.5 + 0.5 * t / 600,
                       lw=1.6 + t / 400)
        if i == 1:
            place = q.mean[i] + {0: 1.0, 5: -0.1, 20: -0.75, 600: 0.2}[t]  # beside its curve
            height = density[(posterior.axis - place).abs().argmin()] if t < 20 else 0.93 * density.max()
            ax.text(place, height + 0.04, t or "0 steps", color=colors.FAMILY, fontsize=12)
    ax.set(title=f"x = ({three[i, 0]:.2f}, {three[i, 1]:.2f}): gap {gaps[i]:.2f} nats", xlabel="z", yticks=[],
           xlim=(-3.2, 3.2))
axes[0].text(-3, 0.8 * axes[0].get_ylim()[1], "posterior", color=colors.EXACT, fontweight="bold")
axes[0].text(-3, 0.58 * axes[0].get_ylim()[1], "own q,\nstep by step", color=colors.FAMILY, fontweight="bold");

# %%
claim("bare and library q agree on the mean for the second x", bare_mean[0] - final.mean[1, 0], near=0, within=0.08,
      digits=1)
claim("and on the standard deviation", bare_std[0] - final.stddev[1, 0], near=0, within=0.08, digits=1)
claim("gap left for the second x, where the posterior is nearly Gaussian", gaps[1], below=0.02, unit="nats")
claim("gap left for the third x, whose posterior has two bumps", gaps[2], near=math.log(2), within=0.1,
      digits=1, unit="nats")

# %% [markdown] tags=["read-out"]
# The third example could come from either arm of the bend. Its posterior has two bumps; a Gaussian has one. The fit covers
# *one* bump and leaves the other: $\mathrm{KL}(q\,\|\,p)$ punishes $q$ for being where the posterior is not, and hardly for
# missing a part of it. The gap that stays is the price of the *family* of $q$; no optimizer will remove it. For two equal
# Gaussian bumps that do not touch it is exactly $\log 2$, one lost bit, and the run measures 0.7 nats.

# %% [markdown]
# ## 3.6 Learning the decoder too
#
# So far the decoder was given. Now real pictures: a hundred scans of one digit, 8 x 8 pixels of 17 gray levels. The decoder is a
# small network with parameters $\theta$, **shared** by all examples; each example $x_n$ has its **own** $\nu_n$. Two latents,
# so that the grid still tells us the exact $\log p(x_n)$ at every moment.
#
# $$ \max_{\theta,\; \nu_1, \dots, \nu_N} \;\; \frac1N \sum_n \mathcal L(q(z; \nu_n), \theta; x_n) $$
#
# The likelihood is a *discretized logistic*: a bump over the 17 gray levels whose place and width the decoder says for each
# pixel. So the bound speaks of probabilities of pictures, in nats, and no noise needs to be added.

# %%
def gray(split, label):  # one class, at most 8 x 8 pixels, on 17 levels in [0, 1]
    d = data.load(DATASET, split, n=None if DATASET == "digits" else 3000, seed=SEED, device=DEVICE)
    x = (nn.functional.adaptive_avg_pool2d(d.x, 8) * 16).round() / 16
    return x[d.labels == label]


threes = gray("train", 3)[:100]


def new_decoder():
    torch.manual_seed(SEED)
    return VAE((1, 8, 8), 2, hidden=(64,), likelihood="discretized", levels=17).to(DEVICE)


steps = 3000 if PROFILE == "full" else 800
plans = {"both in each step": None, "20 steps of ν, then 20 of θ": (20, 20), "200 and 200": (200, 200)}
runs = {}
for name, alternate in plans.items():
    model, bounds = new_decoder(), []
    nu = inference.PerDatapoint(len(threes), 2).to(DEVICE)
    passes = steps if alternate is None else 2 * steps  # so θ and ν are updated as often under each plan
    for state in inference.fit_jointly(model, threes, passes, nu=nu, lr=0.05, decoder_lr=5e-3, alternate=alternate):
        bounds.append((state.bound.mean().item(), state.moved))
    runs[name] = model, nu, bounds

fig, ax = plt.subplots(figsize=(9, 3.8))
for (name, (_, _, bounds)), color, lift in zip(runs.items(), [colors.MODEL, colors.ACCENT, colors.ENCODER],
                                               (8, -8, -8)):
    smooth = torch.tensor([b for b, _ in bounds]).unfold(0, 20, 1).mean(1)
    updates = torch.arange(20, len(smooth) + 20) / (1 if plans[name] is None else 2)
    plotting.curve(updates, smooth, ax, name, color=color, at=1.0, offset=(6, lift))
ax.set(xlabel="updates of θ, and of ν", ylabel="bound, nats per picture", xlim=(0, steps * 1.45),
       ylim=(bounds[-1][0] - 45, bounds[-1][0] + 20),
       xticks=range(0, steps + 1, steps // 4), title="As many updates, in another order: long turns lose");

# %%
model, nu, bounds = runs["both in each step"]
with torch.no_grad():
    q = nu.q()
    some = Independent(Normal(q.mean[:12], q.stddev[:12]), 1)  # the grid is costly: twelve pictures
    grid = inference.grid_posterior(model, threes[:12], half_width=5, side=fine_side)
    bound = inference.elbo(model, threes[:12], samples=500, q=some)
    picture = model.decode(grid.mean).mean
    torch.manual_seed(SEED)
    z = model.prior().sample((12,))
    sampled, ideal = model.decode(z).sample(), model.decode(z).mean
end = {name: sum(b for b, _ in run[2][-100:]) / 100 for name, run in runs.items()}

fig, axes = plt.subplots(1, 4, figsize=(14, 3.2))
for ax, x, title in [(axes[0], threes[:12], "data"), (axes[1], picture, "decoded posterior mean"),
                     (axes[2], ideal, "mean given random z"), (axes[3], sampled, "draws given the same z")]:
    plotting.images(x, ax, columns=4)
    ax.set_title(title)

# %%
claim("log p(x) of twelve training threes, by the grid", grid.log_px.mean(), above=-90, digits=2,
      unit="nats per picture")
claim("their bound with own parameters", bound.mean(), below=grid.log_px.mean().item(), digits=2,
      unit="nats per picture")
claim("gap, the average KL(q, posterior)", (grid.log_px - bound).mean(), above=0.02, below=1.5, digits=1,
      unit="nats per picture")
claim("what turns of 20 change against moving both, after as many updates",
      end["both in each step"] - end["20 steps of ν, then 20 of θ"], near=0, within=2.5, digits=1,
      unit="nats per picture")
claim("what turns of 200 lose", end["both in each step"] - end["200 and 200"], above=3, digits=1,
      unit="nats per picture")

# %% [markdown]
# The pictures tell the two ways to "generate": the *mean* of $p(x\mid z)$ is smooth and blurry, a *draw* from it is sharp
# and noisy. Papers show the first and call it a sample. The model's samples are the second.
#
# **Why does the order matter?** $\theta$ and $\nu$ are coupled. The best decoder depends on where the codes are, the best codes
# depend on the decoder. Short turns cost little beyond the second pass over the data; long ones cost much: each of the two
# settles on a target that is already stale, and the curve climbs in stairs. EM could afford whole turns, since each of its
# half-steps was solved exactly in one go. Here nothing is, and small steps of both are the practical answer. It stays a
# climb without guarantee.
#
# ## 3.7 EM and variational inference where both are exact
#
# Is this really the same idea as EM? On PPCA we can check. A VAE whose decoder is **linear**, with one learned noise and a
# full Gaussian $q$ for each example, *is* PPCA, and the best $q$ is the exact posterior, so at the optimum the bound has no
# gap. Three roads to the same place, from the same start: EM in closed form; variational inference with an own $\nu_n$ for
# each example, both moved by gradient; and, as a preview, an encoder that is linear too.

# %%
torch.manual_seed(SEED)
W = torch.randn(8, 3)
blob = torch.randn(300, 3) @ W.T + 0.6 * torch.randn(300, 8)
best = PPCA(8, 3).solve(blob)
optimum = best.log_prob(blob).mean().item()
eigenvalues = torch.linalg.eigvalsh(blob.double().T.cov(correction=0)).flip(0)
eigenvalues[3:] = eigenvalues[3:].mean()  # the noise, 2.3
closed_form = -0.5 * (8 * math.log(2 * math.pi) + eigenvalues.log().sum() + 8)


def linear_vae():
    torch.manual_seed(SEED + 1)
    return VAE(8, 3, hidden=(), likelihood=Gaussian(1.0, learn="shared"), posterior="full")


def as_ppca(vae):  # the same W, b and noise: now log p(x) is known exactly
    layer = vae.decoder.net[0]
    return PPCA(8, 3).set(layer.weight.detach(), layer.bias.detach(), (2 * vae.likelihood.log_std).exp().detach())


em = as_ppca(linear_vae())
em_values = list(em.em(blob, 300))

passes = 3000 if PROFILE == "full" else 1500
own, own_values = linear_vae(), []
for state in inference.fit_jointly(own, blob, steps=passes, full=True, samples=4, lr=0.02, decoder_lr=0.02):
    if state.step % 5 == 0:
        own_values.append((state.step + 1, as_ppca(own).log_prob(blob).mean().item()))

encoded, encoded_values = linear_vae(), []
for history in train.steps(encoded, blob, steps=passes, batch_size=300, lr=0.02, rate=train.falling):
    if len(history) % 5 == 0:
        encoded_values.append((len(history), as_ppca(encoded).log_prob(blob).mean().item()))

fig, ax = plt.subplots(figsize=(9, 3.8))
for pairs, name, color in [(list(enumerate(em_values, 1)), "EM", colors.EXACT),
                           (own_values, "own ν for each x", colors.FAMILY),
                           (encoded_values, "encoder", colors.MODEL)]:
    t, v = zip(*pairs)
    plotting.curve(t, [max(optimum - value, 1e-5) for value in v], ax, name, color=color,
                   at=0.05 if name == "EM" else 1.0,
                   offset=(10, 10) if name == "EM" else (6, 0))
ax.set(xscale="log", yscale="log", xlim=(1, passes * 8), ylim=(2e-5, 30), xlabel="passes over the data",
       ylabel="nats below the maximum", title="Three roads to the maximum of one likelihood");

# %%
claim("maximum of PPCA's log-likelihood, against its closed form", optimum, near=closed_form.item(), within=1e-3,
      digits=4, unit="nats per example")
claim("EM ends this far from it", abs(optimum - em_values[-1]), below=1e-4, digits=1, unit="nats")
claim("variational inference with own parameters loses", optimum - own_values[-1][1], below=0.1, digits=1,
      unit="nats")
claim("the linear VAE with an encoder loses", optimum - encoded_values[-1][1], below=0.1, digits=1, unit="nats")
claim("and its bound lies below its own log p(x) by",
      (as_ppca(encoded).log_prob(blob) - inference.elbo(encoded, blob, samples=500).detach()).mean(),
      below=0.1, digits=1, unit="nats")

# %% [markdown]
# All three arrive. EM needs tens of passes, gradient ascent hundreds: a closed form is worth having. But only the second and
# third road stay open when the decoder bends.
#
# ## 3.8 A new picture arrives
#
# The threes of the training set have their $\nu_n$. A three from the test set has none, and the decoder alone does not tell
# where its code is. We must climb again, for each new picture.

# %%
model, _, _ = runs["both in each step"]
fresh = gray("test", 3)[:12]
rows = []  # how many codes the decoder was given, call by call
counting = model.decoder.register_forward_hook(lambda module, given, out: rows.append(len(out)))
climb = [(state.step, state.bound.mean().item())
         for state in inference.fit_per_datapoint(model, fresh, steps=150, samples=8, lr=0.1)]
counting.remove()
with torch.no_grad():
    ceiling = inference.grid_posterior(model, fresh, half_width=5, side=fine_side).log_px.mean().item()

fig, ax = plt.subplots(figsize=(8, 3.4))
plotting.curve(*zip(*climb), ax, "bound", color=colors.FAMILY, at=0.25, offset=(0, -18))
ax.axhline(ceiling, color=colors.EXACT, ls="--", lw=2)
ax.text(150, ceiling + 2, "log p(x), by the grid", color=colors.EXACT, ha="right", va="bottom", fontweight="bold")
ax.set(xlabel="gradient steps for each new picture", ylabel="nats per picture", ylim=(ceiling - 60, ceiling + 12),
       title="Inference from zero, for every picture")

late = sum(b for _, b in climb[-20:]) / 20
claim("decoder evaluations for one new picture", sum(rows) / len(fresh), above=1000, below=1500, digits=2)
claim("after 10 of 150 steps the bound still misses, of what it reaches", late - climb[10][1], above=1, digits=2,
      unit="nats")
claim("at the end it misses log p(x) by", ceiling - late, above=0.3, digits=2, unit="nats")
claim("a new three costs more than a training three by", grid.log_px.mean() - ceiling, above=10, digits=2,
      unit="nats")

# %% [markdown] tags=["read-out"]
# Every new picture takes 1200 runs of the decoder. After ten steps 14 nats are missing, at the end nearly three still:
# more than the training threes miss, whose $\nu_n$ moved together with the decoder from the start.

# %% [markdown]
# ## 3.9 Play
#
# Choose a picture; see its exact posterior, and its own $q$ climbing toward it, step by step. *Predict:* for which pictures
# is the posterior far from Gaussian? (The encoder's answer is shown too: that is chapter 4.)
#
# <details><summary>Answer</summary>
#
# For few: 64 pixels say much about two numbers. Many posteriors lean, and a full covariance can follow them. Far from
# Gaussian are those of pictures that two regions of the plane can explain: they have an arm, or a second bump.
# </details>

# %%
from gdm_core import explorers

explorers.posterior(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 3.10 What to keep, and what is not settled
#
# - A neural likelihood is an infinite mixture. Its marginal and posterior have no closed form; with one or two latents a
#   grid gives both exactly, and that is how we check everything else.
# - $\log p(x) = \mathcal L(q, \theta; x) + \mathrm{KL}(q \,\|\, p(z\mid x))$: the bound's loss is known, and it is never negative.
# - Reparameterize: same mean, less noise while $q$ is far off. It needs a slope: for a discrete $z$ (5.10) there is none.
# - $\theta$ is shared, $\nu_n$ belongs to one example. Both are climbed together; nothing guarantees the top.
# - A VAE is a generative model with inference. Apart from the preview in 3.7, nothing in this lecture was an autoencoder.
#
# Honest limits. We used two latents so that we could check. A hundred threes of 64 pixels are a small world, and the
# decoder has learned many of them by heart: new threes cost tens of nats more. A higher bound may come from a better model
# or from a tighter $q$; without the exact value the two cannot be told apart.
#
# **References.** D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2014, eq. 1 to 3 and section 2.4. D. Rezende, S.
# Mohamed, D. Wierstra, *Stochastic backpropagation and approximate inference in deep generative models*, 2014, eq. 6 to 8.
# R. Williams, *Simple statistical gradient-following algorithms*, 1992. M. Jordan, Z. Ghahramani, T. Jaakkola, L. Saul, *An
# introduction to variational methods for graphical models*, 1999. J. Lucas, G. Tucker, R. Grosse, M. Norouzi, *Don't blame
# the ELBO*, 2019 (the linear VAE). T. Salimans, A. Karpathy, X. Chen, D. Kingma, *PixelCNN++*, 2017, eq. 2 (discretized
# logistic). S. Prince, *Understanding Deep Learning*, 2023, chapter 17.
