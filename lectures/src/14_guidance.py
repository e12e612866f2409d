# %% [markdown]
# # 14 · Guided generation
#
# **How do we ask a generative model for something: a class, a color, the missing half of a picture? And does it draw
# what we asked for?**
#
# After this lecture you can
#
# - guide a denoiser toward a class (classifier-free guidance), and say which density comes out, and which does not;
# - weigh what guidance gains against what it costs: exact distance and diversity;
# - turn one denoiser into a tool that fills holes, sharpens and colors, without training it again;
# - tell methods that draw from the posterior from methods that only look as if they did.
#
# You need: chapter 12's denoiser and samplers, Bayes' rule for Gaussians. Time: 50 minutes to read, 20 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "strokes"  # or "digits": what 14.4 draws
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.svm import SVC
from torch.nn.functional import avg_pool2d, interpolate

from gdm_core import colors, explorers, guidance, ideal, inverse, observations, plotting, samplers, schedules, train
from gdm_core.course.claims import claim
from gdm_core.data import load, scenes, strokes, trees
from gdm_core.models.diffusion import Diffusion
from gdm_core.schedules import cosine, times
from gdm_core.unet import UNet
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "digits"])
LONGER = 5 if PROFILE == "full" else 1
plotting.use_style()
torch.manual_seed(SEED)
settings = dict(rate=train.falling, progress=False, seed=SEED)


def ink(x):
    """From −1 and 1 to 0 and 1."""
    return ((x.cpu() + 1) / 2).clamp(0, 1)


# %% [markdown]
# ## 14.1 Classifier-free guidance
#
# A diffusion model becomes conditional simply by telling the network the label $y$. In practice that is often not
# enough: the samples obey the label only loosely. The standard remedy exaggerates. In training, a tenth of the labels
# is dropped at random, so one network learns two denoisers, with the label and without it. In sampling we ask both and
# **extrapolate from the answer without the label through the answer with it, and beyond** (Ho & Salimans, 2022):
#
# $$ D_w(x_t, t) = D(x_t, t) + w\, \big( D(x_t, t \mid y) - D(x_t, t) \big) . $$
#
# With $w = 0$ the label is ignored; with $w = 1$ this is the conditional model (in that paper weights are smaller by
# one). Almost everybody uses more. Our test case has two classes of points in the plane, a tree that grows to the right
# and one that grows to the left, and we ask for the right one.
#
# **Predict before you run.** What does the right tree become for $w = 4$: sharper, smaller, or something else?

# %%
both, right, left = (tree.to(DEVICE) for tree in trees.pair())
spread = both.sample(10_000).std().item()


def network(hidden, steps, seed):
    torch.manual_seed(seed)
    model = Diffusion(2, predicts="edm", hidden=hidden, labels=2, drop=0.1, spread=spread).to(DEVICE)
    train.fit(model, both.draw, steps=steps * LONGER, batch_size=512, lr=8e-3, **settings)
    return model.eval()


good, bad = network((48, 48), 500, SEED), network((48, 48), 125, SEED)  # the second one's turn comes in 14.3
zeros = lambda x: torch.zeros(len(x), dtype=torch.long, device=x.device)
asked = lambda x, t: good.denoise(x, t, zeros(x))  # "right"
free = lambda x, t: good.denoise(x, t)  # no label


def lean(w):
    return lambda x, t: free(x, t) + w * (asked(x, t) - free(x, t))


noise, steps = torch.randn(3000, 2, device=DEVICE), times(cosine, 32, by="angle")
drawn = {w: samplers.last(samplers.ddim(lean(w), cosine, noise, steps)) for w in (0, 1, 2, 4)}

# %% jupyter={"source_hidden": true}
# The figure: the trees, and what four weights draw
def leaning():
    _, axes = plt.subplots(1, 5, figsize=(16, 2.6), sharex=True, sharey=True)
    x, y = both.draw(2500)
    for k, color in enumerate((colors.DATA, colors.NOISE)):
        plotting.points(x[y == k], axes[0], color=color, size=3)
    axes[0].set_title("data: right, left", loc="center")
    for ax, (w, x) in zip(axes[1:], drawn.items()):
        plotting.points(right.sample(1500), ax, color=colors.DATA, size=2, alpha=0.15)
        plotting.points(x[:1500], ax, color=colors.MODEL, size=3)
        ax.set_title(f"w = {w}", loc="center")
    axes[0].set(xlim=(-3, 3.8), ylim=(-1.8, 1.8), xticks=[], yticks=[])


# %%
leaning()
t = torch.tensor(0.5, device=DEVICE)
with torch.no_grad():
    x = noise[:100]
    claim("w = 1 less the conditional denoiser, largest", (lean(1)(x, t) - asked(x, t)).abs().max(), below=1e-5)
    claim("bare formula less library, w = 4", (lean(4)(x, t) - guidance.guided(asked, free, 4.0)(x, t)).abs().max(), below=1e-5)
outside = lambda x: (right.log_prob(x) < -4).double().mean().item()
claim("share of points far off the right tree, w = 4, over that of w = 1", outside(drawn[4]) / outside(drawn[1]), above=1.2, digits=1)
claim("mean place along the horizontal, w = 4 less w = 1", (drawn[4] - drawn[1]).mean(0)[0], above=0.1, digits=1)

# %% [markdown]
# The samples move *away from the other tree*. Follow the panels from $w = 1$ to $w = 4$: the trunk, where both trees
# overlap, empties; the crown becomes crowded, and points appear beyond it, where there are no data. Is the network to
# blame? To see what guidance means we need a case that can be computed.
#
# ## 14.2 Not the density that it seems to be
#
# The usual story goes like this. The score that belongs to $D_w$ is the gradient of
# $\log \big[ p_t(x \mid y)^w\, p_t(x)^{1-w} \big]$, so we sample from the **powered density** (also called tilted or
# sharpened) $p(x \mid y)^w\, p(x)^{1-w}$. The first half is true at each $t$. But adding noise and taking powers do not
# commute: the powered *noisy* densities are not noisy versions of the powered density. A sampler passes through all
# $t$, so it need not end there.
#
# We compute where it ends. Take $p(x \mid y) = \mathcal N(0, 1)$, $p(x) = \mathcal N(0, 2)$, and a schedule with
# $\alpha_t = 1$. Everything is linear, so variances can be followed through every step. With $v = \sigma_t^2$ the flow
# obeys
#
# $$ \frac{dx}{dv} = \frac x2 \left( \frac{w}{1 + v} + \frac{1 - w}{2 + v} \right)
# \quad\Longrightarrow\quad \operatorname{Var} x_0 = 2^{1-w} . $$
#
# **Predict before you run.** A sampler with fresh noise (DDPM) uses the same denoiser. Does it end with the same
# variance?

# %%
wide = schedules.exploding(300.0, 0.01)
alpha, sigma = wide(times(wide, 800).double())


def variance(w, eta):
    shrink = lambda v: w / (1 + v) + (1 - w) * 2 / (2 + v)  # D_w(x) = shrink x
    now = sigma[0] ** 2
    for k, (of_mean, of_state, of_noise) in enumerate(zip(*samplers.parts(alpha, sigma, eta))):
        now = (of_state + of_mean * shrink(sigma[k] ** 2)) ** 2 * now + of_noise**2
    return now.item()


weights = np.linspace(1, 5, 9)
flow, chain = ([variance(w, eta) for w in weights] for eta in (0.0, 1.0))
powered = 2 / (weights + 1)

# %% jupyter={"source_hidden": true}
# The figure: three variances over the weight, and three densities at w = 3
def three_answers():
    _, (ax, side) = plt.subplots(1, 2, figsize=(13, 4.2))
    w = np.linspace(1, 5, 100)
    rows = (
        ("powered density", colors.EXACT, powered, 2 / (w + 1)),
        ("DDPM", colors.ACCENT, chain, (2 - 2 ** (2 - 2 * w)) / (2 * w - 1)),
        ("flow (DDIM)", colors.MODEL, flow, 2 ** (1 - w)),
    )
    x = np.linspace(-2.5, 2.5, 300)
    for k, (name, color, measured, curve) in enumerate(rows):
        ax.plot(w, curve, color=color, lw=5, alpha=0.35)
        ax.plot(weights, measured, "o", color=color)
        ax.text(3.1, (0.62, 0.76, 0.9)[2 - k], name, color=color, fontweight="bold")
        v = np.interp(3, w, curve)
        side.plot(x, np.exp(-(x**2) / 2 / v) / np.sqrt(2 * np.pi * v), color=color)
    side.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=colors.NOISE, ls="--")
    side.text(1.35, 0.2, "$p(x \\mid y)$", color=colors.NOISE)
    ax.set(xlabel="weight w", ylabel="variance", ylim=(0, 1.05), title="Three answers to one question")
    side.set(xlabel="x", yticks=[], title="w = 3")


# %%
three_answers()
claim("w = 3: variance of the flow", variance(3, 0.0), near=0.25, within=0.01, digits=2)
claim("w = 3: variance of DDPM", variance(3, 1.0), near=0.3875, within=0.01, digits=2)
claim("w = 3: variance of the powered density", 2 / (3 + 1), near=0.5, within=1e-9, digits=2)
apart = max(abs(variance(w, eta) - p) for w, p in ((0, 2), (1, 1)) for eta in (0.0, 1.0))
claim("w = 0 and w = 1: variance of both samplers less that of the density, largest", apart, below=0.05)

# %% [markdown]
# No: one denoiser, three answers. At $w = 3$ the powered density has variance 0.5, DDPM gives 0.38, and the flow 0.25
# (dots: step by step; bands: formulas). They agree only at $w = 0$ and $w = 1$, where $D_w$ is the denoiser of an
# actual density. For other weights **the sampler is part of the model**. To know what is drawn, one has to look at what
# the sampler does.
#
# ## 14.3 An exact score for guidance
#
# That can be done. A step of DDIM is a map of the plane, and a map divides densities by the determinant of its
# Jacobian. So `guidance.traced` returns each sample *and its exact log-density* $\log q$. The distance from what we
# asked for then needs no density estimate:
#
# $$ \mathrm{KL}(q \,\Vert\, p(\cdot \mid y)) = \mathbb E_q \big[ \log q(x) - \log p(x \mid y) \big] . $$
#
# We compare four ways of sampling:
#
# - no guidance, $w = 1$;
# - classifier-free guidance with $w = 2$;
# - the same, but only at middle noise levels (a **guidance interval**: Kynkäänniemi et al., 2024);
# - **autoguidance** (Karras et al., 2024): extrapolate away from a worse copy of the network instead, here the same
#   network after a quarter of the training.
#
# The first three we also run with the exact denoisers of the trees, which have no error to repair.
#
# **Predict before you run.** Which of them is nearest to the right tree?

# %%
worse = lambda x, t: bad.denoise(x, t, zeros(x))
true, whole = (ideal.mixture(p.means, p.std, p.weights, cosine) for p in (right, both))
ways = {
    "w = 1": asked,
    "w = 2": guidance.guided(asked, free, 2.0),
    "w = 2, interval": guidance.guided(asked, free, 2.0, between=(0.15, 0.5)),
    "autoguidance": guidance.guided(asked, worse, 1.5),
    "exact, w = 1": true,
    "exact, w = 2": guidance.guided(true, whole, 2.0),
    "exact, interval": guidance.guided(true, whole, 2.0, between=(0.15, 0.5)),
}
scores, ends = {}, {}
for name, denoise in ways.items():
    *_, (ends[name], log_q) = guidance.traced(denoise, cosine, noise[:2000], steps)
    scores[name] = (log_q - right.log_prob(ends[name])).double()
kl = {name: score.mean().item() for name, score in scores.items()}

# %% jupyter={"source_hidden": true}
# The figure: exact KL of each way with two standard errors, and where its points are
def scoreboard():
    fig = plt.figure(figsize=(15, 5))
    left_side, clouds = fig.subfigures(1, 2, width_ratios=[1, 1.15])
    ax = left_side.subplots()
    for k, (name, score) in enumerate(scores.items()):
        color = colors.EXACT if "exact" in name else colors.MODEL
        ax.barh(-k, kl[name], xerr=2 * score.std().item() / math.sqrt(len(score)), color=color, alpha=0.85)
    ax.set(yticks=-np.arange(len(kl)), yticklabels=list(kl), xlabel="KL to the right tree, nats", title="Exact distance")
    for ax, name in zip(clouds.subplots(2, 2).flat, list(kl)[:4]):
        plotting.points(right.sample(1500), ax, color=colors.DATA, size=2, alpha=0.15)
        plotting.points(ends[name], ax, color=colors.MODEL, size=2)
        ax.set(xlim=(-0.6, 3.4), ylim=(-1.6, 1.6), xticks=[], yticks=[])
        ax.set_title(name, loc="center")


# %%
scoreboard()
claim("exact denoiser, w = 1: KL", kl["exact, w = 1"], below=0.05, digits=1, unit="nats")
claim("exact denoisers, w = 2: KL", kl["exact, w = 2"], above=0.15, digits=1, unit="nats")
claim("learned, w = 2: KL over its value at w = 1", kl["w = 2"] / kl["w = 1"], above=1.3, digits=1)
claim("learned, interval: KL over that of w = 2 all the way", kl["w = 2, interval"] / kl["w = 2"], below=0.8, digits=1)
claim("autoguidance: KL over that of w = 1", kl["autoguidance"] / kl["w = 1"], below=1.1, digits=1)
claim("autoguidance: points far off the tree, over those of w = 1", outside(ends["autoguidance"]) / outside(ends["w = 1"]), below=0.95, digits=1)

# %% [markdown]
# With the exact denoisers, not guiding is nearest; guidance with $w = 2$ can only do harm, and costs 0.4 nats. With the
# learned ones, $w = 2$ about doubles the distance. The interval and autoguidance end about as near as no guidance at
# all.
#
# And the powered density of 14.2? On a grid it is exact as well:

# %%
points, cell = both.quadrature()
log_power = 2 * right.log_prob(points) - both.log_prob(points)
log_z = (log_power + cell.log()).logsumexp(0)
p = (log_power - log_z + cell.log()).exp()  # of each cell
x = ends["exact, w = 2"]
from_power = (scores["exact, w = 2"] - right.log_prob(x) + both.log_prob(x)).mean() + log_z
claim("powered density, w = 2: KL to the right tree", (p * (log_power - log_z - right.log_prob(points))).sum(), below=0.1, digits=1, unit="nats")
claim("exact denoisers, w = 2: KL of what is drawn to the powered density", from_power, above=0.15, digits=1, unit="nats")

# %% [markdown]
# The powered density lies within 0.004 nats of the right tree, because the label is certain almost everywhere on the
# tree. What guidance draws is 0.4 nats away from *both*. So the deserted trunk is neither an error of the network nor a
# property of the powered density. It comes from following the extrapolation through all noise levels, and restricting
# it to an interval avoids most of the damage.
#
# Autoguidance pursues another goal. Its authors argue that where the two copies disagree, the better one errs too, in
# the same direction. Here it leaves fewer points between the branches than no guidance, while the distance does not
# grow.
#
# ## 14.4 What it costs
#
# Why does almost everybody use guidance, then? Because samples are *judged one by one*. Here are digits from a small
# network that was not trained for long. Which of the rows looks best?

# %%
if DATASET == "strokes":
    source = strokes.load(n=4000, seed=SEED, device=DEVICE)
    pictures, labels = 2 * avg_pool2d(source.x, 2) - 1, source.labels  # (4000, 1, 14, 14)
else:
    source = load("digits", device=DEVICE)
    pictures, labels = 2 * source.x - 1, source.labels
torch.manual_seed(SEED)
unet = UNet(pictures.shape[1:], widths=(16, 32), labels=10)
painter = Diffusion(pictures.shape[1:], network=unet, labels=10, drop=0.15).to(DEVICE)
train.fit(painter, (pictures, labels), steps=400 * LONGER, batch_size=32, lr=4e-3, average=0.99, **settings)
painter.eval()

which = torch.arange(100, device=DEVICE) % 10
start, LEANS = torch.randn(100, *pictures.shape[1:], device=DEVICE), (1, 2, 4)
to_class, to_any = lambda x, t: painter.denoise(x, t, which), lambda x, t: painter.denoise(x, t)
rows = {w: samplers.last(samplers.ddim(guidance.guided(to_class, to_any, w), cosine, start, times(cosine, 16, by="angle"))) for w in LEANS}

# %%
half = len(pictures) // 2
judge = SVC(C=10).fit(pictures.flatten(1).cpu()[:half], labels.cpu()[:half])
known = judge.score(pictures.flatten(1).cpu()[half:], labels.cpu()[half:])  # of the half that it has not seen
as_asked = {w: np.mean(judge.predict(x.flatten(1).cpu()) == which.cpu().numpy()) for w, x in rows.items()}

entropy = lambda share: -torch.xlogy(share, share).sum().item()
free_factor = {}  # which of seven branches? The label says nothing about it
for w in (1, 1.5, 2, 3, 4):
    end = samplers.last(samplers.ddim(guidance.guided(true, whole, w), cosine, noise, steps))
    free_factor[w] = entropy(trees.branches(end, right))

# %% jupyter={"source_hidden": true}
# The figure: three rows of digits, and the entropy of the branch
def price(much=10):
    fig = plt.figure(figsize=(15, 3.6))
    pics, side = fig.subfigures(1, 2, width_ratios=[2, 1])
    for ax, (w, x) in zip(pics.subplots(len(rows), 1), rows.items()):
        plotting.images(ink(x[:much]), ax, columns=much)
        ax.set_ylabel(f"w = {w}", rotation=0, ha="right", va="center", fontsize=13)
    ax = side.subplots()
    ax.plot(list(free_factor), list(free_factor.values()), "o-", color=colors.EXACT)
    ax.axhline(entropy(trees.branches(right.sample(20_000), right)), color=colors.DATA, ls="--")
    ax.set(xlabel="weight w", ylabel="nats", ylim=(0, 2.1), title="Entropy of the branch")


# %%
price()
claim("new data that the classifier reads as labeled", 100 * known, above=85, digits=2, unit="%")
claim("w = 1: digits that a classifier reads as asked", 100 * as_asked[1], below=90, digits=1, unit="%")
claim("w = 2: digits that a classifier reads as asked", 100 * as_asked[2], above=100 * as_asked[1] + 5, digits=1, unit="%")
claim("w = 1: entropy of the branch", free_factor[1], near=1.85, within=0.1, digits=2, unit="nats")
claim("w = 4: entropy of the branch", free_factor[4], below=free_factor[1] - 0.1, digits=2, unit="nats")

# %% [markdown]
# The lower rows do. A classifier reads 30% of the digits as the class that was asked for at $w = 1$, and 70% at
# $w = 2$. (It reads 92% of new real digits correctly.) Guidance pushes the samples of a weak model toward what is
# typical of the class.
#
# The price is **diversity** in everything that was not asked for. On the tree the label does not say which branch a
# point is on, and we know the entropy of the branch (dashed line). It falls from 1.9 nats to 1.3. So whoever reports
# how well samples obey a label should also report how much they differ from each other.
#
# ## 14.5 A classifier guides as well
#
# Before classifier-free guidance there was **classifier guidance**: train a classifier on noisy data, and climb its
# slope while sampling (Dhariwal & Nichol, 2021):
#
# $$ D(x_t, t) + w\, \frac{\sigma_t^2}{\alpha_t}\, \nabla \log p(y \mid x_t) . $$
#
# By Bayes' rule $\log p(y \mid x_t) = \log p(x_t \mid y) - \log p(x_t) + \text{const}$. **Predict before you run.** If
# the classifier is exact, how far is this from the formula of 14.1?

# %%
def classifier(x_t, t):
    a, s = (v.item() for v in cosine(t))
    return right.noisy(s, a).log_prob(x_t) - both.noisy(s, a).log_prob(x_t)


by_slope = guidance.by_classifier(whole, classifier, cosine, 3.0)(noise[:200], t)
by_labels = guidance.guided(true, whole, 3.0)(noise[:200], t)
claim("classifier guidance less classifier-free guidance, exact, w = 3", (by_slope - by_labels).abs().max(), below=1e-3)

# %% [markdown]
# It is the same thing, up to rounding. In practice the classifier is a second network with errors of its own, and
# dropping labels is simpler.
#
# **Play.** You hold the weight, the interval and the bad copy, and see what is drawn beside what was meant. *Before you
# drag:* which part of the tree does a growing weight empty first?
#
# <details><summary>Answer</summary>
#
# The trunk, where both trees start: there the label is least certain, and guidance leaves it first. An interval brings
# most of it back.
#
# </details>

# %%
explorers.guidance_bench(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 14.6 One thumbnail, many rooms
#
# So far we asked for a class. Now we ask for more, for *this picture*, of which we have only a bad copy,
# $y = A x + \text{noise}$ with a known matrix $A$. Many tasks are of this kind and are called **inverse problems**. If
# $A$ averages blocks of pixels, the task is super-resolution; if it averages red, green and blue, colorization; if it
# drops pixels, inpainting. They have one thing in common: **many right answers**.
#
# In our world of rooms we can list them all: ten colors each for floor, wall and object, four shapes, one viewpoint.
# From a noisy gray thumbnail, Bayes' rule over all rooms gives the exact posterior.
#
# **Predict before you run.** A network trained on mean squared error learns $\mathbb E[x \mid y]$. What color does it
# give an object that may be red, green or violet?

# %%
hue, one = torch.arange(10), torch.tensor([0])
places = torch.cartesian_prod(hue, hue, hue, one + 5, torch.arange(4), one + 9)
rooms = 2 * scenes.render(places, size=32, device=DEVICE) - 1  # (4000, 3, 32, 32)
in_gray = observations.gray(rooms.shape[1:])
thumbnail = observations.Sight(rooms.shape[1:], torch.Size([1, 8, 8]), lambda x: avg_pool2d(in_gray(x), 4), in_gray.gram / 16)

generator = torch.Generator().manual_seed(SEED)
chosen = torch.tensor([7242 // 2, 1105, 2830, 369])  # four rooms
std, told = 0.15, []
for n in chosen:
    e = torch.randn(1, 1, 8, 8, generator=generator).to(DEVICE)
    y = thumbnail.measure(rooms[n][None], std, e)[0]
    p = observations.shares(rooms, observations.Observation(thumbnail, y, std))  # p(room | y)
    told.append((rooms[n], y, p, (p @ rooms.flatten(1)).reshape(3, 32, 32), torch.multinomial(p.cpu(), 8, True, generator=generator)))

# %% jupyter={"source_hidden": true}
# The figure: each thumbnail, the mean of its posterior and eight draws
def many_rooms():
    _, axes = plt.subplots(len(told), 1, figsize=(13, 5.6))
    for ax, (x, y, _, mean, draws) in zip(axes, told):
        large = interpolate(y[None], size=32).expand(1, 3, 32, 32)
        plotting.images(ink(torch.cat([x[None], large, mean[None], rooms[draws]])), ax, columns=11)
    for k, name in enumerate(("the room", "seen", "mean", "draws from the posterior")):
        axes[0].text(33 * k + 1, -4, name, ha="left", va="bottom", fontsize=13)


# %%
many_rooms()
effective = [math.exp(entropy(p)) for _, _, p, _, _ in told]
nearest = [(rooms - mean).flatten(1).square().mean(1).min().sqrt().item() for _, _, _, mean, _ in told]
claim("rooms that a thumbnail leaves open, mean of exp(entropy)", np.mean(effective), above=3, digits=1)
claim("mean answer: distance a pixel from the nearest of all rooms, largest of four", max(nearest), above=0.02, digits=1)

# %% [markdown]
# Look at the third column: grayish, a color that no room has, and where the shape is uncertain, a ghost of two shapes.
# The mean has the smallest expected squared error, and it is not a room. (This is the gray cube of 1.1.) The draws on
# the right are rooms, each appearing as often as it should; a thumbnail leaves about 20 rooms open. **When there are
# several right answers, one wants draws.** For data that cannot be listed, the draws have to come from a denoiser.
#
# ## 14.7 Inpainting, compared with Bayes
#
# Can a denoiser that was trained without any knowledge of $y$ draw from $p(x \mid y)$? Several popular methods promise
# it. We test them where the answer is known. Take two numbers with correlation $\rho = 0.9$. We see the first, $y = 1$,
# and want the second. If $y$ had no noise, the posterior would have mean $\rho$ and variance $1 - \rho^2$; our small
# noise, $\tau = 0.1$, hardly changes that. The first two methods:
#
# - **Replacement** (Song et al., 2021): before each step, paste the known part in, with as much noise as the rest has.
#   It treats $y$ as if it were $x$.
# - **Diffusion posterior sampling**, DPS (Chung et al., 2023): add the slope of the likelihood,
#   $D + \frac{\sigma_t^2}{\alpha_t} \nabla_{x_t} \log \mathcal N(y;\, A D,\, \tau^2 I)$, as if $x$ were exactly its
#   expected value $D$.
#
# **Predict before you run.** Both produce plausible points. Is the mean of what they draw $0.9$?

# %%
rho, tau = 0.9, 0.1  # correlation; noise of what is seen
covariance = torch.tensor([[1, rho], [rho, 1]], dtype=torch.float64)
pair, wider = ideal.gaussian(torch.zeros(2).double(), covariance, wide := schedules.exploding(50.0, 0.01)), times(wide, 300, by="angle")
first = observations.mask(torch.tensor([True, False]))
seen = observations.Observation(first, torch.ones(1).double(), tau)


def paste(x, t):
    x = torch.stack([1 + wide(t)[1] * torch.randn_like(x[:, 0]), x[:, 1]], 1)
    return torch.stack([torch.ones_like(x[:, 0]), pair(x, t)[:, 1]], 1)


def pull(x, t):
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        mean = pair(x, t)
        log_y = -((1 - mean[:, 0]) ** 2).sum() / (2 * tau**2)
        slope = torch.autograd.grad(log_y, x)[0]
    return mean.detach() + wide(t)[1] ** 2 * slope


# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Both agree with the library
x, t = torch.randn(50, 2).double(), torch.tensor(0.6).double()
claim("bare DPS less library, largest", (pull(x, t) - inverse.dps(pair, seen, wide)(x, t)).abs().max(), below=1e-8)
e = torch.randn_like(x)
torch.manual_seed(SEED)
bare = paste(x, t)
torch.manual_seed(SEED)
e = torch.stack([torch.randn_like(x[:, 0]), x[:, 1]], 1)
twin = inverse.replacement(pair, seen, wide, lambda _: e)(x, t)
claim("bare replacement less library, largest", (bare - twin).abs().max(), below=1e-8)

# %% [markdown]
# Two further methods repair one mistake each. **Pseudo-inverse guidance**, ΠGDM (Song et al., 2023), admits that $x$ is
# uncertain, and puts a cloud around $D$: a round one in the original. With the true covariance of $x$ given $x_t$,
# which follows from the Jacobian of $D$ (Boys et al., 2023), the step becomes exact where $x$ is Gaussian, as here.
# **Twisted particles** (Wu et al., 2023), a form of sequential Monte Carlo, use the cloud only as a proposal and
# correct it by weights.

# %%
torch.manual_seed(SEED)
begin = wide(wider[0])[1] * torch.randn(6000, 2).double()
pulled = {
    "replacement": inverse.replacement(pair, seen, wide),
    "DPS": inverse.dps(pair, seen, wide),
    "round cloud": inverse.pseudo_inverse(pair, seen, wide),
    "true covariance": inverse.projected(pair, seen, wide),
}
filled = {name: samplers.last(samplers.ddim(d, wide, begin, wider, eta=1.0)) for name, d in pulled.items()}
*_, (particles, log_w) = inverse.twisted(pair, seen, wide, begin, wider)
filled["particles"] = particles[torch.multinomial(log_w.exp(), 6000, True)]
exact_mean, exact_cov = observations.gaussian(torch.zeros(2), covariance, seen)
moments = {name: (x[:, 1].mean().item(), x[:, 1].var().item()) for name, x in filled.items()}

# %% jupyter={"source_hidden": true}
# The figure: each method's cloud beside the exact posterior
def clouds():
    _, axes = plt.subplots(1, 5, figsize=(16, 4), sharex=True, sharey=True)
    for ax, (name, x) in zip(axes, filled.items()):
        plotting.points(torch.randn(1000, 2) @ torch.linalg.cholesky(covariance).float().T, ax, color=colors.NOISE, size=2, alpha=0.3)
        plotting.points(x[:800], ax, color=colors.MODEL, size=4, alpha=0.4)
        for place, (mean, var), color in ((1.55, (exact_mean[1], exact_cov[1, 1]), colors.EXACT), (1.8, moments[name], colors.MODEL)):
            ax.errorbar(place, mean, 2 * math.sqrt(var), color=color, marker="o", ms=8, lw=4)
        ax.set(xlim=(-0.5, 2.1), ylim=(-1.2, 2.6), xlabel="$x_1$, seen")
        ax.set_title(name, loc="center")
    axes[0].set_ylabel("$x_2$, hidden")


# %%
clouds()
short, narrow = (1 - math.sqrt(1 - rho**2)) / rho, (1 - rho**2) * math.atanh(rho) / rho
claim("replacement: mean of what is hidden", moments["replacement"][0], near=short, within=0.04, digits=2)
claim("replacement: variance of what is hidden", moments["replacement"][1], near=narrow, within=0.03, digits=2)
claim("posterior: mean of what is hidden", exact_mean[1], near=0.891, within=0.001, digits=3)
claim("posterior: variance of what is hidden", exact_cov[1, 1], near=0.198, within=0.001, digits=2)
claim("DPS: mean of what is hidden", moments["DPS"][0], near=0.994, within=0.04, digits=2)
claim("DPS: variance of what is hidden", moments["DPS"][1], below=exact_cov[1, 1].item() - 0.02, digits=2)
claim("round cloud: mean of what is hidden", moments["round cloud"][0], below=exact_mean[1].item() - 0.01, digits=2)
for name in ("true covariance", "particles"):
    claim(f"{name}: mean of what is hidden", moments[name][0], near=0.891, within=0.04, digits=2)
    claim(f"{name}: variance of what is hidden", moments[name][1], near=0.198, within=0.03, digits=2)

# %% [markdown]
# Compare the two bars in each panel, the exact posterior (green) and the method (vermilion).
#
# - Replacement falls short: its mean is 0.62 instead of 0.891, and its variance is too large. While there is noise, the
#   hidden number listens to a *noisy* copy of the known one, drawn anew in each step; by the time that the copy is
#   clean, the hidden number has settled. (In the limit of many steps the mean is $(1 - \sqrt{1 - \rho^2})/\rho$.)
# - DPS overshoots, with a mean of 0.99, and its variance is too small: it trusts $D$ while $D$ is still vague.
# - The round cloud is too cautious in turn, with 0.85.
# - The true covariance and the particles agree with Bayes.
#
# ## 14.8 Half a digit
#
# Does this matter for pictures? We need a world of digits whose posterior can still be computed. Let each class be one
# Gaussian, with the mean and covariance of drawn digits. The exact denoiser of ten Gaussians is a weighted sum of ten
# linear maps. The upper half of a digit is seen through noise, and the lower half is to be drawn. We choose halves that
# leave the class open, and compare which classes the completions belong to.
#
# **Predict before you run.** Which method will be the most certain, and will it be right?

# %%
source = strokes.load(n=6000, seed=SEED, device=DEVICE)
small = 2 * avg_pool2d(source.x, 2) - 1  # (6000, 1, 14, 14)
groups = [small[source.labels == k] for k in range(10)]
means = torch.stack([x.mean(0) for x in groups])
covs = torch.stack([torch.cov(x.flatten(1).T) for x in groups]) + 1e-3 * torch.eye(196, device=DEVICE)
S, Q = (a.float() for a in torch.linalg.eigh(covs.double()))


def classes(x, alpha, sigma):  # log N of each class up to a constant, and x in each class's axes
    away = torch.einsum("bkd,kde->kbe", x.flatten(1)[:, None] - alpha * means.flatten(1), Q)
    var = (alpha**2 * S + sigma**2)[:, None]
    return -(away**2 / var + var.log()).sum(2) / 2, away / var


def ten(x, t):
    alpha, sigma = cosine(t)
    log_p, inside = classes(x, alpha, sigma)
    each = means.flatten(1)[:, None] + torch.einsum("kbe,kde->kbd", alpha * S[:, None] * inside, Q)
    return (log_p.softmax(0)[..., None] * each).sum(0).reshape(x.shape)


x, t = torch.randn(20, 1, 14, 14, device=DEVICE), torch.tensor(0.5, device=DEVICE)
library = ideal.gaussians(means, covs, torch.ones(10, device=DEVICE), cosine)(x, t)
claim("bare denoiser of ten Gaussians less library, largest", (ten(x, t) - library).abs().max(), below=1e-2)

# %%
upper = torch.zeros(1, 14, 14, dtype=torch.bool, device=DEVICE)
upper[:, :7] = True
sight, blur = observations.mask(upper), 0.6
torch.manual_seed(SEED)
k = torch.arange(300, device=DEVICE) % 10
them = means[k] + (torch.linalg.cholesky(covs)[k] @ torch.randn(300, 196, 1, device=DEVICE)).reshape(300, 1, 14, 14)
halves = sight.measure(them, blur)
exact = [observations.mixture(means, covs, torch.ones(10), observations.Observation(sight, y, blur)) for y in halves[:40]]
unsure = sorted(range(40), key=lambda n: -entropy(exact[n][2]))[:3]  # three halves that leave the class open

down, B = times(cosine, 30, by="angle"), 300
methods = {
    "replacement": lambda seen, z: (samplers.last(samplers.ddim(inverse.replacement(ten, seen, cosine), cosine, z, down, eta=1.0)), None),
    "resampled": lambda seen, z: (samplers.last(inverse.resampled(ten, seen, cosine, z, down[::3], repeats=10)), None),
    "DPS": lambda seen, z: (samplers.last(samplers.ddim(inverse.dps(ten, seen, cosine), cosine, z, down, eta=1.0)), None),
    "particles": lambda seen, z: list(inverse.twisted(ten, seen, cosine, z, down))[-1],
}

# %%
made, off = {}, {name: [] for name in methods}
for n in unsure:
    seen = observations.Observation(sight, halves[n], blur)
    for name, method in methods.items():
        x, log_w = method(seen, torch.randn(B, 1, 14, 14, device=DEVICE))
        weight = torch.full((B,), 1 / B) if log_w is None else log_w.exp().cpu()
        read = classes(x, 1.0, 0.1)[0].argmax(0).cpu()
        share = torch.bincount(read, weights=weight, minlength=10).double()
        off[name].append((share - exact[n][2].cpu()).abs().sum().item() / 2)  # total variation
        made[n, name] = x[torch.multinomial(weight, 8)], share

# %% jupyter={"source_hidden": true}
# The figure: completions of one half by each method, and the shares of classes
def completions():
    n = unsure[0]
    mean, cov, share = (part.cpu() for part in exact[n])
    k = torch.multinomial(share, 8, True)
    draws = mean[k] + (torch.linalg.cholesky(cov + 1e-9 * torch.eye(196))[k] @ torch.randn(8, 196, 1).double()).reshape(8, 1, 14, 14)
    half = torch.zeros(196)
    half[:98] = halves[n].cpu()
    rows = {"posterior": (draws.float(), share), **{name: made[n, name] for name in methods}}
    fig = plt.figure(figsize=(14, 6))
    pics, side = fig.subfigures(1, 2, width_ratios=[1.5, 1])
    bars = side.subplots(len(rows), 1, sharex=True, sharey=True)
    for ax, bar, (name, (x, p)) in zip(pics.subplots(len(rows), 1), bars, rows.items()):
        plotting.images(ink(torch.cat([half.reshape(1, 1, 14, 14), x.cpu()])), ax, columns=9)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=13)
        bar.bar(range(10), p, color=colors.EXACT if name == "posterior" else colors.MODEL)
        bar.set(ylim=(0, 1), xticks=range(10), yticks=[0, 1])
    bars[0].set_title("share of each class")


# %%
completions()
limits = {"replacement": {"above": 0.4}, "resampled": {"above": 0.4}, "DPS": {"below": 0.4}, "particles": {"below": 0.3}}
for name, found in off.items():
    claim(f"{name}: shares of classes, mean total variation from the posterior", np.mean(found), **limits[name], digits=1)

# %% [markdown]
# Look at the bars. The exact posterior (top) allows several classes. Replacement is certain, and wrong: it keeps the
# noise in the known half as if it were ink, and its pictures are read as the class that this noise fits best. Pasting,
# stepping back and pasting again (**RePaint**, "resampled": Lugmayr et al., 2022) makes both halves agree with each
# other, but they agree on the noise as well. DPS and the particles are told how noisy $y$ is, and come much closer. In
# numbers: the total variation, the share of draws that would have to change class, is 0.9 for the first two methods and
# 0.2 for the others.
#
# **Play.** Real digits, again with one Gaussian for each class. Paint a hole, choose how to fill it, and compare the
# classes of the completions with the exact ones. *Before you paint:* which methods agree with the posterior when the
# lower half of a 3 is hidden?
#
# <details><summary>Answer</summary>
#
# The posterior's own denoiser, which nobody has in practice, and the weighted particles. The others draw fine digits,
# and too many of some classes.
#
# </details>

# %%
explorers.hole_in_the_picture(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 14.9 Start from a sketch
#
# One can also ask with a sketch. Add noise to it up to a time $t$, and let the denoiser take it back from there
# (**SDEdit**: Meng et al., 2022). Noise hides fine details first. So the large forms of the sketch survive, and the
# details are made anew. We try it with the rooms.
#
# **Predict before you run.** What does a small $t$ keep of the sketch, and what a large one?

# %%
sketch = torch.zeros(3, 32, 32, device=DEVICE)
paint = lambda rows, columns, rgb: sketch[:, rows, columns].copy_(torch.tensor(rgb, device=DEVICE)[:, None, None].expand_as(sketch[:, rows, columns]))
paint(slice(0, 32), slice(0, 32), (0.95, 0.8, 0.3))
paint(slice(19, 32), slice(0, 32), (0.2, 0.35, 0.8))
paint(slice(11, 23), slice(12, 21), (0.85, 0.2, 0.2))
sketch = 2 * sketch[None] - 1

five = torch.tensor([0, 2, 4, 7, 8])  # red, yellow, green, blue, violet
known = ideal.training_set(rooms[torch.isin(places[:, :3], five).all(1).to(DEVICE)], cosine)  # 500 rooms
ladder = times(cosine, 20, by="angle")
torch.manual_seed(SEED)
repainted = {i: samplers.last(inverse.edited(known, cosine, sketch.expand(3, -1, -1, -1), ladder[i:])) for i in (12, 4, 3, 2, 1)}

# %% jupyter={"source_hidden": true}
# The figure: the sketch, and three rooms from each time
def repaint():
    _, ax = plt.subplots(figsize=(14, 3))
    plotting.images(ink(torch.cat([sketch, *repainted.values()])), ax, columns=16)
    for j, i in enumerate(repainted):
        ax.text(33 * (3 * j + 1) + 49, -2, f"from t = {ladder[i]:.2f}", ha="center", va="bottom", fontsize=13)
    ax.text(16, -2, "sketch", ha="center", va="bottom", fontsize=13)


# %%
repaint()
far = {i: (x - sketch).square().mean().sqrt().item() for i, x in repainted.items()}
claim("distance a pixel from the sketch, smallest t", far[12], below=0.5, digits=2)
claim("distance a pixel from the sketch, largest t", far[1], above=far[12] + 0.02, digits=2)

# %% [markdown]
# From small $t$ every answer is the room that was meant, with the colors of the sketch. From the largest, the rooms
# begin to differ from it and from each other, in shape or in a color. There is no right $t$: it says how much you trust
# your hand.
#
# ## What to keep, and what is not settled
#
# - Classifier-free guidance extrapolates from the unconditional to the conditional denoiser. For $w$ other than 0 and 1
#   it does not sample from the powered density, and the result depends on the sampler.
# - Guidance improves single samples of a weak model and costs diversity; with an exact denoiser it only takes samples
#   away from $p(x \mid y)$.
# - Inverse problems have many right answers. The mean is usually none of them.
# - Replacement, RePaint and DPS give plausible pictures and a wrong posterior; with the right covariance, or with
#   weighted particles, the posterior comes out right where we can check it.
#
# Honest limits. All posteriors here are exact because the data are listed or Gaussian. A learned denoiser adds its own
# error to each method, and then the posterior is unknown. Chapter 6's tests cannot help: they need a second sample, and
# for one $y$ there is none.
#
# Here we asked with a class, a color or half a picture. Part 14b asks in words.
#
# ## References
#
# - Boys, B., et al. (2023). Tweedie moment projected diffusions for inverse problems.
# - Chung, H., et al. (2023). Diffusion posterior sampling for general noisy inverse problems. ICLR, eq. 16.
# - Dhariwal, P., & Nichol, A. (2021). Diffusion models beat GANs on image synthesis. NeurIPS, eq. 10.
# - Ho, J., & Salimans, T. (2022). Classifier-free diffusion guidance, eq. 6.
# - Karras, T., et al. (2024). Guiding a diffusion model with a bad version of itself. NeurIPS, eq. 3.
# - Kynkäänniemi, T., et al. (2024). Applying guidance in a limited interval improves sample and distribution quality.
#   NeurIPS, eq. 5.
# - Lugmayr, A., et al. (2022). RePaint: inpainting using denoising diffusion probabilistic models. CVPR, algorithm 1.
# - Meng, C., et al. (2022). SDEdit: guided image synthesis and editing with stochastic differential equations. ICLR.
# - Song, J., et al. (2023). Pseudoinverse-guided diffusion models for inverse problems. ICLR, eq. 7.
# - Song, Y., et al. (2021). Score-based generative modeling through stochastic differential equations. ICLR, appendix
#   I.
# - Wu, L., et al. (2023). Practical and asymptotically exact conditional sampling in diffusion models. NeurIPS,
#   algorithm 1.
