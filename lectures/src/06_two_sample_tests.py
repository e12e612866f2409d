# %% [markdown]
# # 6 · Two-sample tests: telling distributions apart by their samples
#
# **How do we tell a good model from a bad one, or from the data, when all we have are samples?**
#
# After this lecture you can
#
# - explain why a model with a high likelihood may still draw noise;
# - run a permutation test on two samples, and say what a p-value is and what it is not;
# - choose a statistic or learn one, and read a trained classifier as a ratio of two densities;
# - name three ways in which a Fréchet distance, as papers print it, can mislead.
#
# You need: chapter 1. Time: 40 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more repetitions, longer training
DATASET = "strokes"  # or "digits", "mnist", "fashion": the pictures of 6.1, 6.2 and 6.8
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import avg_pool2d, logsigmoid

from gdm_core import colors, data, explorers, metrics, networks, plotting, train, two_sample
from gdm_core.course.claims import claim
from gdm_core.data.targets import Gaussian, grid
from gdm_core.models.ppca import PPCA
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "digits", "mnist", "fashion"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)
REPEATS = 1000 if FULL else 200
few = 1000 if DATASET == "digits" else 4000  # pictures
pictures = data.load(DATASET, n=few, device=DEVICE)

# %% [markdown]
# ## 6.1 A likelihood may mislead
#
# In chapters 1 to 5 a model was good if it gave new data a high log-likelihood. Section 1.9 already had a warning: of
# two models of digits, the one with the better likelihood drew dust. Here is the same warning in its purest form.
# Take a perfect model $p$ and spoil it: 99 times out of 100 the spoiled model $q$ shows noise, and only once does it
# draw from $p$.
#
# $$ q(x) = \tfrac{99}{100}\,\text{noise}(x) + \tfrac{1}{100}\,p(x) \;\ge\; \tfrac{1}{100}\,p(x) $$
#
# **Predict:** how many nats per example can $q$ lose against $p$? (The example is that of Theis, van den Oord and
# Bethge, 2016.)

# %%
share = 0.01
loss = -math.log(share)
claim("nats that the spoiled model loses at the most, per example", loss, below=5, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: what the perfect and the spoiled model show
def two_heaps_of_pictures(count=36):
    perfect = pictures.x[:count]
    asked = torch.arange(count, device=perfect.device) == 14  # even this one is more than its share
    spoiled = torch.where(asked[:, None, None, None], perfect, torch.rand_like(perfect))
    _, axes = plt.subplots(1, 2, figsize=(10, 3.1))
    for ax, x, title in zip(axes, (perfect, spoiled), ("A perfect model", "A few nats worse")):
        plotting.images(x, ax, columns=12)
        ax.set_title(title)


# %%
two_heaps_of_pictures()

# %% [markdown]
# Since $q(x) \ge p(x)/100$, we have $\log q(x) \ge \log p(x) - \log 100$ for every $x$: the loss is at most 4.61
# nats, whatever the pictures. In 1.9 two models of digits lay further apart than that. So the likelihood hardly
# registers what we see at a glance. And some models have no likelihood to compute: the generators of chapter 8 draw
# samples, but nobody can evaluate their $p(x)$. For them, what remains is to compare **samples with samples**.
#
# ## 6.2 Two heaps
#
# Here are two samples: pictures $x_1, \dots, x_n$ from $p$ and pictures $y_1, \dots, y_n$ from $q$. All the $x$ are
# threes, and one third of the $y$ are eights. You will see that at once. **Predict:** could a single number see it
# too, computed from pixels alone, without any idea of what a digit is?

# %%
threes, eights = (pictures.x[pictures.labels == k] for k in (3, 8))
n = min(100, len(threes) // 2)
mixed_in = n // 3
x, y = threes[:n], torch.cat([threes[n : 2 * n - mixed_in], eights[:mixed_in]])[torch.randperm(n)]

# %% jupyter={"source_hidden": true}
# The figure: the two samples
def heaps():
    _, axes = plt.subplots(1, 2, figsize=(11, 3.2))
    for ax, sample, title in zip(axes, (x, y), ("x: from p", "y: from q")):
        plotting.images(sample[:40], ax, columns=10)
        ax.set_title(title)


# %%
heaps()

# %% [markdown]
# The **null hypothesis** $H_0$ says $p = q$. A **statistic** $T(x, y)$ is a number that is large when the two samples
# differ; ours is the distance between the two mean pictures. But how large is large? If $H_0$ holds, it is a matter
# of chance which picture landed in which sample. So we imitate that chance: pool all the pictures, deal them out
# again at random, and compute $T_b$ for deals $b = 1, \dots, B$. This is the **permutation test** (Fisher, 1935). The
# values $T_b$ form the **permutation distribution**, and the **p-value** is the share of deals that look at least as
# extreme as the data did:
#
# $$ p = \frac{1 + \#\{b : T_b \ge T\}}{1 + B} $$

# %%
def distance_of_means(x, y):
    return (x.mean(0) - y.mean(0)).square().sum().sqrt()


B = 999
T = distance_of_means(x, y)
z, deals = torch.cat([x, y]), two_sample.labelings(B, n, n)  # (B, 2n): who plays x
null = torch.stack([distance_of_means(z[deal], z[~deal]) for deal in deals.to(z.device)])
p_value = (1 + (null >= T).sum()) / (1 + B)

# %%
test = two_sample.test(x, y, two_sample.means, permutations=deals)
claim("bare loop and library: p-values differ by", abs(test.p - p_value), below=0.0021, digits=1)
claim("p-value of the two heaps of pictures", test.p, below=0.05, digits=1)

# %% jupyter={"source_hidden": true}
# The figure: the statistic of exchanged labels, and of those that came
def show_null(test, title, ax=None):
    ax = plt.subplots(figsize=(8, 3))[1] if ax is None else ax
    plotting.histogram(test.null, ax, bins=40, color=colors.NOISE)
    ax.axvline(test.value, color=colors.ACCENT)
    ax.set(xlabel="T", title=title)
    right = test.value > ax.get_xlim()[0] + 0.75 * (ax.get_xlim()[1] - ax.get_xlim()[0])
    ax.annotate(f"T, p = {test.p:.3g}", (test.value, 0.9), (-6 if right else 6, 0), color=colors.ACCENT,
                xycoords=("data", "axes fraction"), textcoords="offset points", ha="right" if right else "left",
                fontweight="bold")


# %%
show_null(test, "Few random deals are as extreme as the data")

# %% [markdown]
# Gray: the statistic of 999 random deals. Orange: the statistic of the data, far out in the tail. So yes, one number
# sees the eights. The 1 in the formula counts the original deal, which is one of the possible deals too; therefore
# $p$ is never 0. A p-value is *not* the probability that $H_0$ holds. And a large one does not show that $p = q$; it
# says only that *this* statistic, with *this many* pictures, sees no difference.
#
# ## 6.3 What a test promises
#
# A test can err in two ways. It can see a difference where there is none: if $H_0$ holds, $p \le 0.05$ happens in at
# most one test out of twenty. This share is the **level** of the test, and it holds for any distribution and any
# number of examples, because all ranks of $T$ among the $T_b$ are then equally likely. Or it can miss a difference
# that is there: if $H_0$ fails, the share of tests that notice is called the **power**. **Predict:** one of the two
# you may set before you see any data. Which one?

# %%
def p_of(shift, n=30):
    return two_sample.test(torch.randn(n), torch.randn(n) + shift, two_sample.means, permutations=99).p


null_p = torch.tensor([p_of(0.0) for _ in range(REPEATS)])
seen = {shift: [p_of(shift) <= 0.05 for _ in range(REPEATS)] for shift in (0.25, 0.5, 1.0)}
power = {shift: sum(hits) / REPEATS for shift, hits in seen.items()}

# %% jupyter={"source_hidden": true}
# The figure: p-values where p = q, and how often shifts are seen
def null_and_power():
    _, axes = plt.subplots(1, 2, figsize=(12, 3.4))
    axes[0].hist(null_p, bins=torch.linspace(0, 1, 11).numpy() + 0.005, color=colors.NOISE, alpha=0.5)
    axes[0].axhline(REPEATS / 10, color=colors.EXACT, ls="--")
    axes[0].set(xlabel="p-value", ylabel="tests", title="p = q: p-values are uniform")
    shifts = torch.linspace(0, 1.2, 60)
    rate = torch.distributions.Normal(0, 1).cdf
    plotting.curve(shifts, rate(shifts * math.sqrt(15) - 1.96) + rate(-shifts * math.sqrt(15) - 1.96), axes[1],
                   "z-test", color=colors.EXACT, at=0.75, offset=(-62, 6))
    axes[1].plot([0, *power], [(null_p <= 0.05).double().mean(), *power.values()], "o", color=colors.MODEL, ms=9)
    axes[1].set(xlabel="shift of N(0, 1)", ylabel="share p ≤ 0.05", ylim=(0, 1.05), title="p ≠ q: power grows")


# %%
null_and_power()
claim("share of tests with p ≤ 0.05 where p = q", (null_p <= 0.05).double().mean(), near=0.05, within=0.05, digits=1)
claim("power at a shift of one standard deviation, 30 and 30 examples", power[1.0], above=0.8, digits=2)

# %% [markdown]
# Left: where $p = q$, every p-value is about equally frequent, so a threshold of 0.05 is crossed as rarely as
# promised. You choose the level. The power (right) then follows from the size of the difference, the statistic, and
# the number of examples. The green curve is the classical z-test, which is told that both variances are 1; no other
# unbiased test of a shift, up or down, has more power (Lehmann and Romano, 2005). The permutation test is told
# nothing, and its points lie close to the curve.
#
# ## 6.4 Means that agree
#
# A statistic sees only what it measures. Take a ring of eight Gaussians, and the one Gaussian with the same mean and
# the same covariance. We know both densities exactly, and will come back to this pair through the whole lecture. The
# difference of means is blind to it by construction. The remedy is to look at *pairs* of points. Let $k(s, t)$ be a
# **kernel**, a similarity that is 1 for equal points and falls with their distance; ours is
# $k(s, t) = \exp(-\lVert s - t\rVert^2 / 2h^2)$ with a width $h$. Primes mark independent copies.
#
# $$ \mathrm{MMD}^2 = \mathbb E\,k(x, x') + \mathbb E\,k(y, y') - 2\,\mathbb E\,k(x, y) , \qquad
# f(t) = \mathbb E\,k(t, x) - \mathbb E\,k(t, y) . $$
#
# This is the **maximum mean discrepancy**: among all functions of a certain smoothness, it finds the one whose means
# under $p$ and $q$ differ most, and reports that difference (Gretton et al., 2012). Up to a factor, the function is
# the **witness** $f$, which is positive where $x$ has more points and negative where $y$ has. The width $h$ sets how
# fine a difference is looked for; a common choice is the median distance between two points. The **energy distance**
# (Székely and Rizzo, 2013) is the same formula with $-\lVert s - t\rVert$ in place of $k$.
#
# The code pits four statistics against our pair, 100 points against 100. **Predict:** which of them will notice?

# %%
p = data.load("eight_gaussians", n=2).density
spread = p.means.T @ p.means / 8 + p.std[0] ** 2 * torch.eye(2)  # (2, 2)
q = Gaussian(p.means.mean(0), torch.linalg.cholesky(spread))
x, y = p.sample(300), q.sample(300)
statistics = {"means": two_sample.means, "energy": two_sample.energy, "MMD, h = median": two_sample.mmd(),
              "MMD, h = median/4": two_sample.mmd((0.25,))}
p_value = lambda x, y, s: two_sample.test(x, y, s, permutations=79).p
noticed = {name: two_sample.power(lambda n: (p.sample(n), q.sample(n)), lambda x, y, s=s: p_value(x, y, s), [100],
                                  repeats=60)[0].share for name, s in statistics.items()}

# %% [markdown]
# Bare, MMD takes four lines. The averages leave out pairs of a point with itself; with those included, the estimate
# would be too large.
#

# %%
def bare_mmd(x, y, h):
    k = lambda s, t: torch.exp(-torch.cdist(s, t) ** 2 / (2 * h**2))
    apart = lambda K: (K.sum() - K.trace()) / (len(K) * (len(K) - 1))
    return apart(k(x, x)) + apart(k(y, y)) - 2 * k(x, y).mean()


difference = bare_mmd(x.double(), y.double(), 0.8) - two_sample.mmd((0.8,), relative=False)(x.double(), y.double())
claim("bare and library MMD: difference", abs(difference), below=1e-9)

# %% jupyter={"source_hidden": true}
# The figure: the pair, and the witness with a narrow and a wide kernel
def witness_figure():
    extent = (-5.5, 5.5, -5.5, 5.5)
    _, axes = plt.subplots(1, 3, figsize=(14, 4.3))
    plotting.points(y, axes[0], color=colors.MODEL)
    plotting.points(x, axes[0], color=colors.DATA)
    axes[0].set(xlim=extent[:2], ylim=extent[2:], title="x (dark): ring, y: Gaussian")
    for ax, h, words in zip(axes[1:], (0.8, 3.5), ("narrow kernel", "wide kernel")):
        f = two_sample.witness(x, y, h)
        size = f(plotting.grid(extent)).abs().max().item()
        plotting.field(f, ax, extent, cmap=colors.DIVERGING, vmin=-size, vmax=size)
        ax.set_title(f"Witness of a {words}")


# %%
witness_figure()
for name, bounds in zip(statistics, ({"below": 0.25}, {"below": 0.9}, {"below": 0.5}, {"above": 0.9})):
    claim(f"share of tests that tell 100 points of the ring from 100 of the Gaussian: {name}", noticed[name], **bounds, digits=1)

# %% [markdown]
# Left: the ring (dark) and the Gaussian (orange). Middle and right: the witness, violet where it sees more of the
# ring, orange where it sees more of the Gaussian. The narrow kernel finds the eight bumps and the hole, and here its
# test never missed. The energy distance noticed about every second time. MMD with the median width and the difference
# of means hardly did better than chance, which notices in one test out of twenty. A wide kernel averages over bumps
# and hole alike, and what survives is mostly accident: for twelve new pairs of samples, the maps of the narrow kernel
# have a mean correlation of 0.9, those of the wide one 0.4.
#
# In the explorer you move the clouds yourself. **Predict** where the witness will be largest, before you look.

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: how alike witnesses of new samples are
places = torch.cartesian_prod(*[torch.linspace(-5.5, 5.5, 23)] * 2)
for h, bounds in ((0.8, {"above": 0.8}), (3.5, {"below": 0.7})):
    maps = torch.stack([two_sample.witness(p.sample(300), q.sample(300), h)(places) for _ in range(12)])
    alike = torch.corrcoef(maps)[*torch.triu_indices(12, 12, 1)].mean()
    claim(f"mean correlation of the witnesses of twelve pairs of samples, h = {h}", alike, **bounds, digits=1)

# %%
explorers.bench(seed=SEED)

# %% [markdown]
# ## 6.5 High dimension
#
# Pictures have hundreds of dimensions, and a difference may live in few of them. Shift one of $d$ numbers by one
# standard deviation and leave the others as pure noise, the same on both sides. **Predict:** with 50 examples of
# each, at which $d$ is the shift lost?

# %%
def shifted(d, n=50):
    y = torch.randn(n, d)
    y[:, 0] += 1
    return torch.randn(n, d), y


dimensions, repeats = [1, 4, 16, 64, 256], 200 if FULL else 60
tests = {"means": two_sample.means, "energy": two_sample.energy, "MMD": two_sample.mmd()}
lost = {name: two_sample.power(shifted, lambda x, y, s=s: two_sample.test(x, y, s, permutations=79).p,
                               dimensions, repeats=repeats) for name, s in tests.items()}

# %% jupyter={"source_hidden": true}
# The figure: power over the number of dimensions
def power_and_dimension():
    _, ax = plt.subplots(figsize=(8, 3.6))
    looks = zip(lost.items(), (colors.NOISE, colors.LATENT, colors.MODEL), (0.94, 1.0, 1.06))
    for (name, curve), color, aside in looks:
        at, share = [d * aside for d in dimensions], torch.tensor([c.share for c in curve])
        error = torch.tensor([[c.share - c.low, c.high - c.share] for c in curve]).clamp_min(0).T
        ax.errorbar(at, share, error, color=color, marker="o", label=name)
    ax.set(xscale="log", xlabel="dimensions", ylabel="power", ylim=(0, 1.05), title="Noise in other dimensions hides a shift")
    ax.set_xticks(dimensions, dimensions)
    ax.minorticks_off()
    ax.legend()


# %%
power_and_dimension()
for d, c in ((dimensions[0], lost["MMD"][0]), (dimensions[-1], lost["MMD"][-1])):
    claim(f"power of MMD with {d} dimension{'s' * (d > 1)}", c.share, **({"above": 0.9} if d == 1 else {"below": 0.6}), digits=1)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: more examples, and the one number alone that is shifted
for words, n, keep in (("200 examples of each", 200, 256), ("50 examples, the shifted number alone", 50, 1)):
    found = two_sample.power(lambda n, keep=keep: [s[:, :keep] for s in shifted(256, n)],
                             lambda x, y: two_sample.test(x, y, two_sample.mmd(), permutations=79).p, [n], repeats=20)
    claim(f"power of MMD in 256 dimensions: {words}", found[0].share, above=0.7, digits=1)

# %% [markdown]
# In one dimension MMD always sees the shift; in 256 its power is down to 0.3. The difference is still in the data:
# with 200 examples, or with 50 and a look at the right number alone, MMD sees it again. But a distance adds up all
# dimensions, and here all but one contribute noise. So we need more examples, or a statistic that knows where to
# look. Could such a statistic be *learned*?
#
# ## 6.6 A classifier is a learned statistic
#
# Toss a coin; draw a point $t$ from $p$ if it shows heads, from $q$ if tails. A **classifier** $D(t)$ sees only $t$
# and states the probability of heads. By Bayes' rule the best answer is $D^*$ below. Guessing the likelier side is
# then right with probability $\frac12 \int \max(p, q)$, which gives the second formula. Inserting $D^*$ into the
# log-likelihood of the coin gives the third (Goodfellow et al., 2014).
#
# $$ \begin{gathered}
# D^*(t) = \frac{p(t)}{p(t) + q(t)} , \qquad \text{accuracy} \le \tfrac12 + \tfrac12 \mathrm{TV}(p, q) , \\
# \mathbb E_p \log D + \mathbb E_q \log (1 - D) \le 2\,\mathrm{JS}(p, q) - \log 4 .
# \end{gathered} $$
#
# TV, the **total variation distance**, is half the area between the two densities. JS is the **Jensen-Shannon
# divergence** $\frac12 \mathrm{KL}(p \,\|\, m) + \frac12 \mathrm{KL}(q \,\|\, m)$ with $m = \frac12(p + q)$; $\log 4$
# appears because $D^*$ compares with $p + q = 2m$. For our pair both are integrals over the plane, so we know the
# best possible score before we train anything.

# %%
points, cells = grid([-12.0] * 2, [12.0] * 2, 0.15)
P, Q = p.log_prob(points).exp(), q.log_prob(points).exp()
TV = 0.5 * (cells * (P - Q).abs()).sum()
KL = lambda a, b: (cells * (torch.xlogy(a, a) - torch.xlogy(a, b))).sum()
JS = KL(P, (P + Q) / 2) / 2 + KL(Q, (P + Q) / 2) / 2
best = 0.5 + TV / 2
D_best = P / (P + Q)
claim("D* is right in so many of all cases: 1/2 + TV/2", (cells * torch.maximum(P, Q)).sum() / 2, near=best.item(),
      within=1e-6)
value = (cells * (torch.xlogy(P, D_best) + torch.xlogy(Q, 1 - D_best))).sum()
claim("value of D* less (2 JS − log 4)", abs(value - (2 * JS - math.log(4))), below=1e-6)

# %%
D = two_sample.learn_classifier(p.sample(4000), q.sample(4000), steps=3000 if FULL else 1000, seed=SEED)
new_x, new_y = p.sample(20000), q.sample(20000)
claim("accuracy of the learned D on new examples", D.accuracy(new_x, new_y), below=best.item() + 0.01, above=0.85)
learned_value = logsigmoid(D(new_x)).mean() + logsigmoid(-D(new_y)).mean()
claim("value of the learned D on new examples", learned_value, below=value.item() + 0.02, above=value.item() - 0.15)

# %% jupyter={"source_hidden": true}
# The figure: the best classifier and a learned one
def learned_and_exact():
    extent = (-5.5, 5.5, -5.5, 5.5)
    fields = {"D*: the best classifier": lambda t: torch.sigmoid(p.log_prob(t) - q.log_prob(t)),
              "D: a learned classifier": lambda t: torch.sigmoid(D(t))}
    _, axes = plt.subplots(1, 2, figsize=(9.5, 4.3))
    for ax, (title, f) in zip(axes, fields.items()):
        plotting.field(f, ax, extent, cmap=colors.DIVERGING, vmin=0, vmax=1)
        ax.set_title(title)


# %%
learned_and_exact()

# %% [markdown]
# Violet: surely from the ring; brown: surely from the Gaussian. The learned $D$ has joined neighboring bumps where
# examples are few, and its score stays just below the best possible one.
#
# So a classifier is a statistic. One may take its accuracy (the *classifier two-sample test*; Lopez-Paz and Oquab,
# 2017), or the mean of $\log D - \log (1 - D)$ over $x$ minus the mean over $y$. That expression, the classifier's
# logit, approximates $\log p - \log q$: a density ratio, learned without either density. There is one rule: **test it
# on examples that it has not seen**. To see why, let $x$ and $y$ both come from $\mathcal N(0, I_{32})$, so that
# there is nothing to find.

# %%
both = torch.randn(200, 32), torch.randn(200, 32)
halves = [s[:100] for s in both], [s[100:] for s in both]
keen = two_sample.learn_classifier(*halves[0], steps=200, seed=SEED)
for words, half, bounds in (("the half that it learned from", halves[0], {"above": 0.8}),
                            ("the other half", halves[1], {"near": 0.5, "within": 0.15})):
    claim(f"accuracy where p = q, on {words}", keen.accuracy(*half), **bounds, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the held-out test where p = q
found = two_sample.test_held_out(*both, lambda x, y: two_sample.learn_classifier(x, y, steps=200).logit, permutations=99)
claim("p-value where p = q, held-out half", found.p, above=0.0099, digits=1)

# %% [markdown]
# On the examples that it learned from, the classifier is always right about a difference that does not exist. On the
# others it does no better than a coin.
#
# ## 6.7 Train a generator to make a statistic small
#
# So far the samples were given and we judged them. Now turn this around. A smooth statistic has a gradient with
# respect to the samples, so a network $G$ that maps noise to points can be trained with nothing else: draw a batch,
# compare it with a batch of data, step downhill. With MMD this is a *generative moment matching network* (Li, Swersky
# and Zemel, 2015). **Predict** what $G$ will draw if the statistic is the distance of the means.

# %%
def generator(statistic, steps=1500 if FULL else 500, batch=128):
    torch.manual_seed(SEED)
    G = networks.mlp(2, (64, 64), 2)
    adam = torch.optim.Adam(G.parameters(), 5e-3)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 5e-3 * train.falling(step / steps)
        loss = statistic(p.sample(batch), G(torch.randn(batch, 2)))
        adam.zero_grad()
        loss.backward()
        adam.step()
    return G(torch.randn(2000, 2)).detach()


drawn = {"means": generator(two_sample.means), "MMD": generator(two_sample.mmd((0.1, 0.25, 1.0)))}

# %% jupyter={"source_hidden": true}
# The figure: data, and what two generators draw
def what_they_draw():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.4))
    titles = "Data", "G that matches means", "G that makes MMD small"
    for ax, s, title, color in zip(axes, (p.sample(2000), *drawn.values()), titles, (colors.DATA, *[colors.MODEL] * 2)):
        plotting.points(s, ax, color=color, size=5)
        ax.set(xlim=(-5, 5), ylim=(-5, 5), title=title)


# %%
what_they_draw()

# %%
fresh = p.sample(2000)
for words, s in drawn.items():
    learn = two_sample.learn_classifier(fresh[:1000], s[:1000], seed=SEED)
    accuracy = learn.accuracy(fresh[1000:], s[1000:])
    claim(f"{words}: distance of the means", two_sample.means(fresh, s), below=0.5, digits=1)
    claim(f"{words}: accuracy of a classifier, new examples", accuracy, **({"above": 0.9} if words == "means" else {"above": 0.45 if FULL else 0.53, "below": 0.85}), digits=2)

# %% [markdown]
# Each generator did what it was asked to do. The first matches the mean and has shrunk to a dot. The second has
# spread along the ring, but without separate bumps, and a classifier can still tell it from the data. A fixed
# statistic is blind to something, and a generator that is trained on it has no reason to get that right. What if the
# classifier itself were the statistic, and were trained anew after each step of $G$? Then both sides move, and
# training becomes a game. Chapter 7 studies such games; chapter 8 plays this one.
#
# ## 6.8 Making metrics fail
#
# Papers print one number beside their pictures, most often the **Fréchet distance** between two Gaussians that have
# the means $m_p, m_q$ and covariances $C_p, C_q$ of the two samples,
#
# $$ \mathrm{FD} = \lVert m_p - m_q \rVert^2 + \operatorname{tr}\big( C_p + C_q - 2\,(C_p C_q)^{1/2} \big) . $$
#
# Computed from features of an Inception network it is the *Fréchet inception distance*, FID (Heusel et al., 2017).
# Three questions should be put to any metric. First: *what can it not see?*

# %%
mean, moments = p.means.double().mean(0), spread.double()
exact_fd = metrics.frechet_of_moments(mean, moments, q.mean.double(), (q.scale_tril @ q.scale_tril.T).double())
claim("Fréchet distance of the ring and the Gaussian, from exact moments", exact_fd.abs(), below=1e-5)
claim("a classifier tells them apart, accuracy at best", best, above=0.8)

# %% [markdown]
# Not our pair: the Fréchet distance reads means and covariances only, which agree exactly, so it is zero for two
# distributions that a classifier separates with an accuracy of 0.889.
#
# Second: *what does it say when the distributions are equal?* For two samples of $N$ from one $\mathcal N(0, I_d)$
# the Fréchet distance is on average not 0 but about $c/N$ with $c = 2d + d(d+1)/2$. A model judged with fewer
# examples looks worse. Nor is a perfect score what one would guess for **coverage**, the share of the $N$ real
# examples that have one of the $M$ generated ones closer than their own $k$-th real neighbor (Naeem et al., 2020).
# For $p = q$ it is on average
#
# $$ 1 - \prod_{i=1}^{k} \frac{N - i}{M + N - i} , $$
#
# and not 1.

# %%
d, sizes = 16, (64, 128, 256, 512)
biased = {N: sum(N * metrics.frechet(torch.randn(N, d), torch.randn(N, d)) for _ in range(10)) / 10 for N in sizes}
c = 2 * d + d * (d + 1) / 2
covered = [metrics.neighbors(torch.randn(200, 2), torch.randn(100, 2), 3).coverage for _ in range(60)]
for N in sizes[-2:]:
    claim(f"N × Fréchet distance of equal distributions, over c, N = {N}", biased[N] / c, near=1, within=0.12, digits=2)
claim("coverage where p = q, mean over samples, less its formula",
      abs(sum(covered) / len(covered) - metrics.coverage_if_equal(200, 100, 3)), below=0.04, digits=1)

# %% [markdown]
# Third: *who wins it?* We let two models of the pictures compete: PPCA, which has learned something, and a
# **memorizer**, which only repeats training pictures.

# %%
flat = (avg_pool2d(pictures.x, 2) if pictures.x.shape[-1] == 28 else pictures.x).flatten(1).cpu()
seen_x, unseen = flat[: len(flat) // 2], flat[len(flat) // 2 :][:600]
models = {"PPCA": PPCA(flat.shape[1], 20).solve(seen_x).sample(len(unseen)),
          "memorizer": seen_x[torch.randint(len(seen_x), (len(unseen),))]}
fd = {name: metrics.frechet(unseen, s).item() for name, s in models.items()}
near = {name: metrics.neighbors(unseen, s) for name, s in models.items()}

# %% jupyter={"source_hidden": true}
# The figure: new data, PPCA, the memorizer
def honest_and_copied(count=27):
    side = math.isqrt(flat.shape[1])
    _, axes = plt.subplots(1, 3, figsize=(13, 2.4))
    names = {"new data": unseen, **models}
    for ax, (name, s) in zip(axes, names.items()):
        plotting.images(s[:count].reshape(-1, 1, side, side), ax, columns=9)
        ax.set_title(f"{name}: FD {fd[name]:.2f}" if name in fd else name)


# %%
honest_and_copied()

# %%
claim("Fréchet distance to new data: PPCA over memorizer", fd["PPCA"] / fd["memorizer"], above=1.05, digits=1)
wins = {name: getattr(near["memorizer"], name) - getattr(near["PPCA"], name) for name in vars(near["PPCA"])}
claim("memorizer less PPCA, the least of precision, recall, density, coverage", min(wins.values()), above=0.03, digits=1)
to_seen = lambda s: torch.cdist(s, seen_x).amin(1)[:200]  # how far to the nearest training picture?
caught = two_sample.test(to_seen(models["memorizer"]), to_seen(unseen), two_sample.ks)
claim("p-value, memorizer: distances to the nearest training picture against those of new data", caught.p, below=0.002, digits=1)

# %% [markdown]
# The memorizer wins the Fréchet distance, by a factor of 4, and also precision, recall, density and coverage, which
# papers print beside it (Kynkäänniemi et al., 2019; Naeem et al., 2020). Yet it has learned nothing. A two-sample
# test catches it as soon as it is asked the right question: not whether the pictures look like data, but whether they
# lie *closer to the training set* than new data do.
#
# ## 6.9 What to keep, and what is not settled
#
# - A permutation test needs nothing but samples. Its level is exact for any statistic; its power depends on the
#   statistic, the number of examples and the difference.
# - With few examples no statistic sees everything. A large p-value proves nothing.
# - MMD and energy distance compare pairs of points; the witness shows where the two samples differ.
# - A classifier is a learned statistic: its logit approximates $\log p - \log q$. Test it on examples that it has not
#   seen.
# - A generator can be trained to make a statistic small. It will satisfy that statistic, and no more.
# - Ask of each metric what it cannot see, what it says of equal distributions, and whether a memorizer wins it.
#
# Honest limits. We chose the pair in the plane so that its means agree. Our pictures were compared pixel by pixel; in
# the features of a network, distances mean what that network has learned to see. And with very many examples a test
# rejects every model, since none is perfect: then ask how large the difference is, not whether there is one.
#
# **References.** R. Fisher, *The design of experiments*, 1935. L. Theis, A. van den Oord, M. Bethge, *A note on the
# evaluation of generative models*, 2016, section 3.2. E. Lehmann, J. Romano, *Testing statistical hypotheses*, 2005.
# A. Gretton et al., *A kernel two-sample test*, 2012, eq. 3. G. Székely, M. Rizzo, *Energy statistics*, 2013. B.
# Phipson, G. Smyth, *Permutation p-values should never be zero*, 2010. D. Lopez-Paz, M. Oquab, *Revisiting classifier
# two-sample tests*, 2017. I. Goodfellow et al., *Generative adversarial nets*, 2014, eq. 2 and 6. Y. Li, K. Swersky,
# R. Zemel, *Generative moment matching networks*, 2015. M. Heusel et al., *GANs trained by a two time-scale update
# rule*, 2017, eq. 6. T. Kynkäänniemi et al., *Improved precision and recall metric*, 2019. M. Naeem et al., *Reliable
# fidelity and diversity metrics for generative models*, 2020, eq. 3 and 4.
