# %% [markdown]
# # 10 · Autoregressive models: one pixel after the other
#
# **How can a network compute exactly how likely a picture is, and what does that cost?**
#
# After this lecture you can
#
# - write any density as a product of conditionals, and draw from it with one uniform number for each element;
# - find out from gradients which pixels a masked network sees, and detect a blind spot;
# - compare distributions for a pixel in nats;
# - complete half a picture, and say when the answer is an exact draw;
# - count the cost of sampling, and what a cache saves.
#
# You need: chapter 1's nats, chapter 5b's codes. Time: 40 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "strokes"  # or "mnist", "fashion": the large pictures of 10.7
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from gdm_core import causal, colors, data, kept, likelihoods, plotting, train
from gdm_core.course.claims import claim
from gdm_core.data import toy
from gdm_core.data.ising import Ising
from gdm_core.explorers import pixel_models
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.unit_interval import UnitInterval
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "mnist", "fashion"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)


def learn(model, x, steps, lr, decay=0.1, batch=64):
    """Trained on x by AdamW, the rate falling to zero."""
    model.to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.99), weight_decay=decay)
    train.fit(model, x, optimizer=optimizer, steps=steps, batch_size=batch, rate=train.falling, clip=100.0, seed=SEED)
    return model.requires_grad_(False)


# %% [markdown]
# ## 10.1 A product that is always true
#
# A VAE gives only a bound on $\log p(x)$. Models that write the density as a product need no bound. By the **chain
# rule** of probability,
#
# $$ p(x_1, \dots, x_d) = \prod_{i=1}^{d} p(x_i \mid x_1, \dots, x_{i-1}) . $$
#
# No assumption is needed; this holds for every density and in every order of the elements. A model that learns these
# conditionals is called **autoregressive**. To see the rule at work we take a world whose states can all be listed,
# the **Ising model** of a magnet. Each pixel of a board is black or white, and neighbors tend to be equal:
#
# $$ p(x) = \frac1Z \exp\Big(J \sum_{i \sim j} s_i s_j\Big), \qquad s_i = 2 x_i - 1 . $$
#
# A board of 2 by 2 has 16 states and $4! = 24$ orders.
#
# **Predict before you run.** Compute $p(x)$ as a product in each of the 24 orders. By how much do the results differ?

# %%
board = Ising(2, coupling=0.44)
states = board.states()  # (16, 1, 2, 2)


def by_chain(x, order):
    known, total = torch.zeros(1, 2, 2, dtype=torch.bool), 0.0
    for i in order:
        one = board.conditionals(x, known).flatten(1)[:, i]  # p(x_i = 1 | what is known)
        total = total + torch.where(x.flatten(1)[:, i] == 1, one, 1 - one).log()
        known.view(-1)[i] = True
    return total


chains = torch.stack([by_chain(states, order) for order in itertools.permutations(range(4))])  # (24, 16)
claim("24 orders and the exact log p(x): largest difference", (chains - board.log_prob(states)).abs().max(), below=1e-12)

# %% [markdown]
# Not at all, up to rounding. So all that has to be learned is one-dimensional: the distribution of one element, given
# those before it. In the plane these are $p(x_1)$ and $p(x_2 \mid x_1)$. We use a mixture of Gaussians for both; a
# network outputs its parameters.
#
# To **draw**, pass a uniform number $u_i$ through the inverse of the distribution function $F$, element by element:
#
# $$ x_i = F^{-1}(u_i \mid x_1, \dots, x_{i-1}), \qquad u_i \sim U(0, 1) . $$

# %%
moons = toy.target("moons").to(DEVICE)
torch.manual_seed(SEED)
plane = Autoregressive(2, likelihood=likelihoods.Gaussians(6), network="chain")
learn(plane, moons.sample(4000), 1500 if FULL else 500, 1e-2, decay=0.0)


def inverse(p, u, low=-9.0, high=9.0):  # of a rising function, by halving
    low, high = torch.full_like(u, low), torch.full_like(u, high)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = torch.where(p.cdf(middle) < u, middle, low), torch.where(p.cdf(middle) < u, high, middle)
    return middle


u, drawn = torch.rand(500, 2, device=DEVICE), torch.zeros(500, 2, device=DEVICE)
for i in (0, 1):
    raw = plane.network(drawn)[:, :, i]  # of what is drawn so far
    drawn[:, i] = inverse(plane.likelihood(raw, 0).base_dist, u[:, i])
claim("bare draws and library: largest difference", (drawn - plane.sample(500, noise=u)).abs().max(), below=1e-4)

# %% jupyter={"source_hidden": true}
# The figure: the density of the chain, its draws, and one conditional against the truth
def two_conditionals(at=0.8):
    _, axes = plt.subplots(1, 3, figsize=(15, 4.4))
    extent = (-3.5, 3.5, -2.5, 2.5)
    for ax, p, title in ((axes[0], moons, "The truth"), (axes[1], plane, "Two conditionals")):
        plotting.field(lambda x, p=p: p.log_prob(x.to(DEVICE)).exp(), ax, extent)
        ax.axvline(at, color=colors.ACCENT, lw=2)
        ax.set(title=title, xlabel="x₁", ylabel="x₂")
    plotting.points(drawn, axes[1], color=colors.MODEL, size=4)
    axes[1].set(xlim=extent[:2], ylim=extent[2:])
    x2 = torch.linspace(-2.5, 2.5, 300, device=DEVICE)
    line = torch.stack([torch.full_like(x2, at), x2], 1)
    for p, color, label, place in ((moons, colors.EXACT, "exact", 0.2), (plane, colors.MODEL, "learned", 0.75)):
        density = p.log_prob(line).exp()
        plotting.curve(x2.cpu(), (density / density.sum() / (x2[1] - x2[0])).cpu(), axes[2], label, color=color, at=place, offset=(0, 12))
    axes[2].set(xlabel="x₂", title=f"p(x₂ | x₁ = {at})")


# %%
two_conditionals()
fresh = moons.sample(4000)
paid = (moons.log_prob(fresh) - plane.log_prob(fresh)).mean()
claim("KL from the truth to the chain, nats", paid, below=0.35, digits=1)

# %% [markdown]
# The two conditionals together (middle) come close to the truth (left). The cut at the right shows why a single
# Gaussian would not do: the conditional has two bumps. A distribution on a line can be made as flexible as we like
# and still integrate to 1. That is why these models have exact likelihoods.
#
# ## 10.2 All conditionals at once: masks
#
# A picture of 64 pixels has 64 conditionals, and 64 networks would be too many. One network can output them all in
# one pass if its output at pixel $i$ depends only on pixels $1, \dots, i-1$ (MADE; Germain et al., 2015). With
# convolutions this takes a **mask** over the kernel, which sets the weights below the center and to its right to
# zero. The first layer must not see the center either (mask A); later ones may (mask B), because there the center
# holds only what earlier layers were allowed to see. This is **PixelCNN** (van den Oord et al., 2016a).

# %%
def masked_conv(x, weight, kind):
    keep, k = torch.ones_like(weight), weight.shape[-1] // 2
    keep[:, :, k, k + (kind == "B") :] = 0  # this row, from the center on, or behind it
    keep[:, :, k + 1 :] = 0  # all rows below
    return conv2d(x, weight * keep, padding=k)


class Stack(nn.Module):
    """Masked layers, with positive weights that do not cancel."""

    def __init__(self, kinds):
        super().__init__()
        self.kinds, self.weights = kinds, nn.ParameterList(torch.rand(1, 1, 3, 3) for _ in kinds)

    def forward(self, x, y=None):
        for kind, weight in zip(self.kinds, self.weights):
            x = masked_conv(x, weight, kind)
        return x[:, None]  # (B, 1, 1, H, W)


# %%
SIDE, CENTER = 9, 5 * 9 + 4
networks = {
    "B in the first layer": Stack("BBBB"),
    "A, then B": Stack("ABBB"),
    "two stacks": causal.PixelCNN((1, SIDE, SIDE), 1, layers=4, width=8),
    "attention": causal.Attention((1, SIDE, SIDE), 1, width=8, heads=2),
}
fields = {name: causal.sees(network, (1, SIDE, SIDE), CENTER)[0] for name, network in networks.items()}

# %% [markdown]
# Does the mask work? `causal.sees` computes the gradient of one output with respect to all inputs. Where it is zero,
# the output does not depend on the input.
#
# **Predict.** Four layers of 3 by 3 kernels, A first: which of the pixels above does the marked pixel *not* see?

# %% jupyter={"source_hidden": true}
# The figure: what the marked pixel hears, for four networks
def what_it_sees():
    _, axes = plt.subplots(1, 4, figsize=(15, 4.2))
    earlier = (torch.arange(SIDE**2) < CENTER).reshape(SIDE, SIDE)
    for ax, (name, field) in zip(axes, fields.items()):
        shade = np.ones((SIDE, SIDE, 3))
        shade[earlier.numpy()] = np.array([0.88, 0.89, 0.91])  # what it may see
        shade[(field > 0).numpy()] = colors.rgb(colors.MODEL)
        ax.imshow(shade)
        ax.add_patch(plt.Rectangle((3.5, 4.5), 1, 1, fill=False, ec=colors.ACCENT, lw=4))
        ax.set_xticks(np.arange(-0.5, SIDE), [])
        ax.set_yticks(np.arange(-0.5, SIDE), [])
        ax.grid(color="white", lw=1)
        ax.tick_params(length=0)
        ax.set_title(name, loc="center", fontsize=15)


# %%
what_it_sees()
unheard = lambda name: int((fields[name].flatten()[:CENTER] == 0).sum())
itself = lambda name: bool(fields[name].flatten()[CENTER] > 0)
claim("pixels heard that must not be, B in the first layer", int(itself("B in the first layer")), near=1, within=0)
claim("pixels before it that A, then B leaves unheard", unheard("A, then B"), above=unheard("two stacks"), digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: none sees what comes later, and a shift is mask A
for name in ("A, then B", "two stacks", "attention"):
    claim(f"{name}: pixels heard from the marked one on", int((fields[name].flatten()[CENTER:] > 0).sum()), near=0, within=0)
claim("attention: pixels before it that are unheard", unheard("attention"), near=0, within=0)
above_right = fields["two stacks"][1:5, 4:9] > 0
claim("two stacks: share of the pixels above and to the right, four rows up, that are heard", above_right.double().mean(), near=1, within=0)
x, weight = torch.randn(1, 1, 1, 9), torch.randn(1, 1, 1, 3)
by_mask = conv2d(x, weight * torch.tensor([1.0, 0, 0]), padding=(0, 1))
by_shift = pad(x, (1, 0))[..., :-1] * weight[..., :1]
claim("mask A of a row and a shift by one: largest difference", (by_mask - by_shift).abs().max(), below=1e-6)

# %% [markdown]
# The colored pixels are those that the marked one sees. With B in the first layer it sees itself: training would
# reach a loss of nearly zero, and sampling would fail, because the pixel does not exist yet. With A first, then B, a
# wedge above and to the right is never seen, no matter how many layers there are: the **blind spot**. Each layer can
# look one pixel further to the right only by going up one row.
#
# Gated PixelCNN (van den Oord et al., 2016b) therefore has two stacks. The vertical stack sees the rows above, left
# and right alike; the horizontal stack sees its own row to the left and gets the output of the vertical one. In
# `gdm_core.causal` no weight needs a mask: the kernels have no weights for later pixels, and the picture enters one
# row down and one pixel to the right. A layer is
#
# $$ a = A * v, \quad v \leftarrow v + \operatorname{glu}(a), \qquad
# h \leftarrow h + W \operatorname{glu}(B * h + V a), \qquad \operatorname{glu}(a, b) = a \odot \sigma(b) . $$
#
# **Attention** sees every earlier pixel in one layer; its mask is a triangle over pairs of pixels. The price is a
# table of $d^2$ pairs where a convolution has a few taps.
#
# ## 10.3 What is one pixel's distribution?
#
# The network decides what a pixel may depend on. We still have to choose the form of its distribution. The digits
# have 17 gray levels, and each conditional could be
#
# - a **softmax**: one free number a level, which does not know that 7 lies next to 8;
# - a **discretized logistic** (Salimans et al., 2017): mass $F(\text{right edge}) - F(\text{left edge})$, the
#   outermost cells open, or a **mixture** of three;
# - a density on $[0, 1]$, cut into 17 cells: the **Kumaraswamy** (1980), $F(x) = 1 - (1 - x^a)^b$, which looks like a
#   Beta but has a closed $F$, or the **logit-normal**, $F(x) = \Phi((\operatorname{logit} x - m)/s)$.
#
# To compare the shapes alone we leave the network out: every pixel gets a distribution of its own, independent of all
# others, fitted to the counts of its levels in the training digits, with a twentieth of a count added to each level.
#
# **Predict.** A digit costs about a hundred nats. How many of them depend on the shape?

# %%
digits = {split: data.load("digits", split, device=DEVICE).x for split in data.SPLITS}
LEVELS = 17
values = torch.linspace(0, 1, LEVELS, device=DEVICE).reshape(-1, 1, 1, 1)
counts = torch.stack([(digits["train"] * 16 == k).float().sum(0) for k in range(LEVELS)]) + 0.05  # (17, 1, 8, 8)
families = {
    "softmax": likelihoods.Categorical(LEVELS),
    "logistic": likelihoods.Discretized(LEVELS),
    "three logistics": likelihoods.Discretized(LEVELS, components=3),
    "Kumaraswamy": UnitInterval(LEVELS, "kumaraswamy"),
    "logit-normal": UnitInterval(LEVELS, "logit-normal"),
}

# %%
def fit_pixels(family):
    raw = nn.Parameter(0.01 * torch.randn(family.channels, 1, 8, 8, device=DEVICE))
    optimizer = torch.optim.Adam([raw], 0.1)
    for _ in range(300):
        loss = -(counts * family(raw, 3).base_dist.log_prob(values.expand_as(counts))).sum() / len(digits["train"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return family(raw.detach(), 3)


alone = {name: fit_pixels(family) for name, family in families.items()}
nats = {name: -p.log_prob(digits["test"]) for name, p in alone.items()}  # (447,) each

# %% jupyter={"source_hidden": true}
# The figure: one pixel's counts with all fits, and nats of new digits
def shapes_of_a_pixel(row=3, column=2):
    _, axes = plt.subplots(1, 2, figsize=(14, 4.6), width_ratios=[1.7, 1])
    share = counts[:, 0, row, column].cpu() / counts[:, 0, row, column].sum().cpu()
    axes[0].bar(range(LEVELS), share, color="#c9ced5", width=0.9)
    for (name, p), color in zip(alone.items(), colors.COMPONENTS):
        mass = p.base_dist.log_prob(values.expand_as(counts)).exp()[:, 0, row, column].cpu()
        axes[0].plot(range(LEVELS), mass, "o-", color=color, label=name, lw=1.5, ms=5)
    axes[0].set(xlabel="gray level", ylabel="probability", xticks=range(0, 17, 4), title="One pixel of a thousand digits, and five fits")
    axes[0].legend(fontsize=12)
    for place, paid in enumerate(nats.values()):
        mean, error = paid.mean().item(), paid.std().item() / len(paid) ** 0.5
        axes[1].errorbar(mean, -place, xerr=2 * error, fmt="o", color=colors.COMPONENTS[place], ms=9)
    axes[1].set_yticks(range(0, -len(nats), -1), list(nats))
    axes[1].set(xlabel="nats a new digit, ± 2 s.e.", title="Shape decides little")


# %%
shapes_of_a_pixel()
for name, paid in nats.items():
    claim(f"independent pixels, {name}: nats a new digit", paid.mean(), above=80, below=250, digits=3)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: apart by how much, picture by picture
apart = {other: nats[other] - nats["softmax"] for other in families if other != "softmax"}
far = max(d.mean().item() for d in apart.values())
claim("worst and best on new digits: apart by, nats", far, above=0.3, below=3, digits=1)
claim("standard error of such a difference, at most, nats", max(d.std().item() for d in apart.values()) / 447**0.5, below=1, digits=1)
own = {name: -p.log_prob(digits["train"]).mean().item() for name, p in alone.items()}
claim("softmax on its own training digits: best by at least, nats", min(own.values()) - own["softmax"], near=0, within=0.05)

# %% [markdown]
# Few: on new digits (right) a nat or two separate the best from the worst. The left panel shows why. A typical pixel
# has a spike at each end of the scale and little between, and each family can make spikes, by open outer cells or by
# a density that climbs at the ends. On the training digits the softmax must win, because it can match any counts. On
# new digits the others come close or draw level: they have built in that neighboring levels are alike. For codes,
# which are names and not quantities, that would be wrong. All five can be compared in nats because each is a
# distribution over the same 17 levels; a *density* on $[0, 1]$ could not.
#
# ## 10.4 A PixelCNN of digits
#
# Now we put both together: a network with two stacks, and for each pixel a distribution given the pixels before it.
# **Predict:** independent pixels cost 106 nats. How many will be left?

# %%
torch.manual_seed(SEED)
pixelcnn = Autoregressive(
    (1, 8, 8), likelihood=likelihoods.Discretized(LEVELS, components=5), network="pixelcnn", layers=3, dropout=0.2
)
learn(pixelcnn, digits["train"], 3000 if FULL else 300, 5e-3, batch=64 if FULL else 32)
by_pixel = -pixelcnn.elementwise(digits["test"])  # (447, 1, 8, 8) nats
total = by_pixel.flatten(1).sum(1)
torch.manual_seed(SEED)
drawn_digits = pixelcnn.sample(40)

# %% jupyter={"source_hidden": true}
# The figure: draws, new digits, and where the nats are paid
def draws_and_nats():
    _, axes = plt.subplots(1, 3, figsize=(15, 4.4), width_ratios=[1.6, 1.6, 1])
    plotting.images(drawn_digits.cpu(), axes[0], columns=8)
    plotting.images(digits["test"][:40].cpu(), axes[1], columns=8)
    axes[0].set_title("Drawn, pixel by pixel")
    axes[1].set_title("Real digits")
    picture = axes[2].imshow(by_pixel.mean(0)[0].cpu(), cmap="magma", vmin=0)
    axes[2].set(title="Nats per pixel", xticks=[], yticks=[])
    plt.colorbar(picture, ax=axes[2], fraction=0.046)


# %%
draws_and_nats()
error = total.std() / len(total) ** 0.5
rows, columns = by_pixel.mean(0)[0].sum(1), by_pixel.mean(0)[0].sum(0)
claim("PixelCNN: nats a new digit", total.mean(), below=86, digits=2)
claim("standard error of that mean, nats", error, below=1.5, digits=1)
claim("outermost columns: their share of the nats", (columns[0] + columns[-1]) / total.mean(), below=0.12, digits=1)
claim("cheapest row: its share of the nats, where all alike would pay 1/8", rows.min() / total.mean(), above=0.07, digits=1)
claim("independent pixels, three logistics each, pay more, nats", nats["three logistics"].mean() - total.mean(), above=15, digits=2)

# %% [markdown]
# There are 83: knowing the pixels before it saves 23 nats, and the draws (left) look much like digits that people
# wrote (middle). The map at the right shows where the model pays. The outermost columns are nearly always empty and
# cost almost nothing. Between them every row costs something, from the first to the last, so even the last row is not
# determined by those above it. We train with dropout and weight decay because a thousand digits are few, and a
# network can learn them by heart.
#
# **Where does a transformer look?** Attention is a mean over what came before, and its weights can be seen:
#
# $$ a_i = \sum_{j \le i} w_{ij}\, v_j, \qquad w_{ij} = \operatorname{softmax}_j \big( q_i^\top k_j / \sqrt{n} \big) , $$
#
# where $q_i$, $k_i$ and $v_i$, of $n$ numbers each, are linear in what token $i$ holds. Here token $i$ holds the pixel *before* place
# $i$, and the first token none. A small transformer learns the same digits, with two heads in each of two layers.
#
# **Predict.** Does a head look at all earlier pixels a little, or at a few of them?

# %%
torch.manual_seed(SEED)
logistics = likelihoods.Discretized(LEVELS, components=3)
looker = Autoregressive((1, 8, 8), likelihood=logistics, network="attention", heads=2, layers=2)
learn(looker, digits["train"], 3000 if FULL else 300, 2e-2, batch=16)
PLACES = (4 * 8 + 4, 6 * 8 + 3)  # rows 4 and 6
seen = {place: looker.network.weights(digits["test"], place) for place in PLACES}
reach = {place: causal.sees(pixelcnn.network, (1, 8, 8), place)[0].cpu() for place in PLACES}


# %% jupyter={"source_hidden": true}
# The figure: where four heads look from two pixels, what PixelCNN's answer depends on
def where_it_looks(example=5):
    _, axes = plt.subplots(2, 5, figsize=(15, 6.6), layout="constrained")
    ink, red = digits["test"][example, 0].cpu().numpy()[..., None], np.array(colors.rgb(colors.MODEL))
    for row, place in zip(axes, PLACES):
        heads = seen[place][0][:, example, :, 0].flatten(0, 1).cpu()  # (4, 8, 8)
        names = [f"layer {1 + k // 2}, head {1 + k % 2}: up to {head.max():.0%}" for k, head in enumerate(heads)]
        for ax, shade, name in zip(row, [*heads, reach[place]], [*names, "PixelCNN, by gradient"]):
            share = (shade / shade.max()).numpy()[..., None]
            ax.imshow((1 - share) * (1 - 0.3 * ink) + share * red)
            ax.add_patch(plt.Rectangle((place % 8 - 0.5, place // 8 - 0.5), 1, 1, fill=False, ec=colors.ACCENT, lw=4))
            ax.set_xticks(np.arange(-0.5, 8), [])
            ax.set_yticks(np.arange(-0.5, 8), [])
            ax.grid(color="#e3e6ea", lw=0.8)
            ax.tick_params(length=0)
            ax.set_title(name, loc="center", fontsize=13)


# %%
where_it_looks()
of_pixels = {place: w[:, :, :, 0].flatten(3) for place, (w, _) in seen.items()}  # (layers, B, heads, 64)
whole = torch.stack([of_pixels[place].sum(-1) + seen[place][1] for place in PLACES])
claim(
    "weights of a head and that of the first token sum to 1: largest difference",
    (whole - 1).abs().max(),
    below=1e-5,
    digits=1,
)
ahead = max(of_pixels[place][..., place:].abs().max().item() for place in PLACES)
claim("largest weight on the pixel itself or a later one", ahead, near=0, within=0)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: heads read few pixels, not all; the transformer has learned something
largest = torch.stack([of_pixels[place].mean(1).amax(-1).flatten() * place for place in PLACES])  # 1: as an even look
claim("the sharpest head puts on one pixel many times what an even look would", bool(largest.max() > 8))
claim("every head puts on some pixel more than twice what an even look would", bool(largest.min() > 2))
claim("transformer, shortly trained: nats a new digit", looker.loss(digits["test"]), near=93, within=6, digits=1)

# %% [markdown]
# Each head looks at a few places: some sharply at one pixel, often a neighbor in the row above, others along a stretch. The
# network was given each pixel's row and column, but nobody told it which of them matter. The PixelCNN's field at the right
# comes with its architecture: it is largest beside the pixel and ends where the kernels end. Two cautions. A weight says where
# a head *reads*, and not what the answer makes of it, whereas the gradient says how much the answer moves. And from
# the second layer on, a token holds what it has gathered, so a weight on it is no weight on its pixel alone.
#
# ## 10.5 Half a digit
#
# In 2.4 we filled in missing pixels with a linear model. Here it is even simpler, if what is known comes *first* in
# the order: keep the known pixels and go on drawing. Each answer is an exact draw from the model's
# $p(\text{rest} \mid \text{known})$.
#
# **Predict.** For which upper halves will the answers disagree most?

# %%
upper = (torch.arange(8) < 4).reshape(1, 8, 1).expand(1, 8, 8).to(DEVICE)
half_seen = torch.stack([digits["test"][i] for i in (2, 5, 7, 9, 13, 18)])
torch.manual_seed(SEED)
answers = torch.stack([pixelcnn.complete(half_seen, upper) for _ in range(6)], 1)  # (6, 6, 1, 8, 8)

# %% jupyter={"source_hidden": true}
# The figure: a digit, its upper half, six answers
def six_answers():
    _, axes = plt.subplots(1, 2, figsize=(9, 6), width_ratios=[2, 6])
    shown = torch.stack([half_seen, torch.where(upper, half_seen, 0.25)], 1)
    plotting.images(shown.flatten(0, 1).cpu(), axes[0], columns=2)
    plotting.images(answers.flatten(0, 1).cpu(), axes[1], columns=6)
    axes[0].set_title("A digit, half seen")
    axes[1].set_title("Six answers each")


# %%
six_answers()
change = torch.where(upper, answers - half_seen[:, None], 0).abs().max()
claim("largest change of a pixel that was seen", change, near=0, within=0)
claim("pixels that differ between two answers, on average", (answers[:, 0] != answers[:, 1]).float().sum((1, 2, 3)).mean(), above=3, digits=1)

# %% [markdown]
# Where the upper half could begin several digits, as in the last row, the answers differ most; where it leaves little
# choice, as for the 0, they agree. A model that minimizes squared error would give one gray average; this one gives
# several sharp answers. But hide the *left* half, and hidden pixels of a row would be drawn without looking at the
# right half: the order is built into the network. Part b removes this limit.
#
# **Play.** Click a pixel: what does it see? Hide a part of a digit and complete it, in several orders and numbers of
# turns. *Before you click:* what does the first pixel of the last row see?
#
# <details><summary>Answer</summary>
#
# In the rows above, everything within reach of the layers; in its own row, nothing.
# </details>

# %%
from gdm_core import explorers

explorers.pixels(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 10.6 What drawing costs
#
# To *evaluate* the likelihood of a picture takes one pass through the network. To *draw* a picture takes one turn for
# each pixel, since every pixel needs those before it. The naive loop runs the whole network in each turn and uses
# only one of its $d$ outputs, so $d^2$ pixels are computed for $d$. A **cache** keeps what cannot change any more: in
# the vertical stack the rows that kernels still reach, in the horizontal stack the pixels to the left, in attention
# the keys and values. Then each pixel is computed only once.

# %%
exact = Autoregressive((1, 8, 8), levels=LEVELS, width=16, layers=3).double().requires_grad_(False)
torch.manual_seed(SEED)
noise = torch.rand(4, 1, 8, 8, dtype=torch.float64)
naive = torch.zeros(4, 1, 8, 8, dtype=torch.float64)
for i in range(64):
    p = exact.network(naive)[:, :, 0].flatten(2)[:, :, i].softmax(1)  # of 64 answers one is used
    naive.view(4, -1)[:, i] = (p.cumsum(1) < noise.view(4, -1)[:, i, None]).sum(1).clamp_max(16) / 16
claim("naive loop and cache, same noise: pixels that differ", (naive != exact.sample(4, noise=noise)).sum(), near=0, within=0)
claim("pixels computed by the naive loop, for each that the cache computes", 64 * 64 / 64, near=64, within=0)

# %% [markdown]
# The draws agree in every pixel, and the naive loop computes 64 times as many; `make bench` shows the times for
# larger pictures. But the number of turns is still the number of pixels. Part b is about drawing several at once.
#
# ## 10.7 A chain over codes
#
# Another way to need fewer turns is to have fewer elements. The VQ-VAE of chapter 5b turns a picture into a small
# grid of codes. It left one thing open: its prior over codes was uniform, and its samples were no pictures. Codes
# form a grid just like pixels, so the same class can learn their distribution (van den Oord et al., 2017): elements
# $k/(K-1)$, a softmax over $K$, and `symbols=K`, because code 6 is no quantity between 5 and 7. **Predict:** what
# will decoded draws look like?

# %%
large = data.load(DATASET, n=20_000 if FULL else 2000, device=DEVICE).x
size = {"dataset": DATASET, "pictures": len(large), "steps": 3000 if FULL else 350}
vq = kept.trained(pixel_models.picture_codes, seed=SEED, device=DEVICE, **size)  # once, for both parts
K = vq.codes  # 32
torch.manual_seed(SEED)
codes = torch.cat([vq.encode_codes(part) for part in large.split(500)])[:, None] / (K - 1)  # (N, 1, 7, 7)
prior = Autoregressive(codes.shape[1:], levels=K, symbols=K, layers=3, dropout=0.1)
learn(prior, codes, 4000 if FULL else 400, 5e-3, batch=64 if FULL else 24);

# %% jupyter={"source_hidden": true}
# The figure: pictures, uniform codes decoded, and codes of the learned prior decoded
def pictures_from_codes(n=40):
    _, axes = plt.subplots(1, 3, figsize=(16, 4.6))
    torch.manual_seed(SEED)
    drawn = (prior.sample(n)[:, 0] * (K - 1)).round().long()
    uniform = torch.randint(K, drawn.shape, device=DEVICE)
    shown = (large[:n], vq.decode_codes(uniform).mean, vq.decode_codes(drawn).mean)
    for ax, x, title in zip(axes, shown, ("Pictures", "Uniform codes", "Codes of the chain")):
        plotting.images(x.clamp(0, 1).cpu(), ax, columns=8)
        ax.set_title(title)


# %%
pictures_from_codes()
fresh_codes = vq.encode_codes(data.load(DATASET, "test", n=500, device=DEVICE).x)[:, None] / (K - 1)
price = prior.loss(fresh_codes)
uniform_price = codes[0].numel() * math.log(K)
claim("price of a new picture's codes under a uniform prior: M log K", uniform_price, above=price.item(), digits=3, unit="nats")
claim("price under the learned chain", price, below=0.7 * uniform_price, digits=2, unit="nats")

# %% [markdown]
# Uniform codes (middle) decode to specks; codes of the learned prior (right), with the same decoder, become strokes,
# many of them digits. The codes of a new picture cost 170 nats under the uniform prior and 64 under the learned one.
# The difference goes straight into the bound of chapter 5b, which rises by as much. And each turn now draws a code
# instead of a pixel.
#
# ## 10.8 Exact likelihood, and what is missing
#
# What to keep:
#
# - An autoregressive model is a product of one-dimensional conditionals. Its loss is $-\log p(x)$ itself: no bound as
#   in a VAE, no second player as in a GAN, no invertibility as in a flow.
# - One network outputs all conditionals if masks or shifts keep it from seeing what comes later. Gradients show what
#   it sees.
# - Drawing takes one turn for each element. A cache makes a turn cheaper, a VQ-VAE makes the elements fewer.
# - Completion is exact if what is known comes first in the order.
#
# What is missing? There is **no latent space**: nothing to traverse, no code for a picture. **One turn for each
# element** makes drawing slow. And **the order is fixed**: any question other than "what comes next?" needs another
# network. Finally, a good likelihood is no promise of good pictures (Theis et al., 2016).
#
# **Limits.** We used small networks, short training and one order. That the shapes come so close in 10.3 holds for 17
# levels and a thousand small pictures. The model of the codes is judged by its nats and by eye; how good the decoded
# pictures are is another question, for which chapter 6 has the tests.
#
# ## References
#
# - Bengio, Y., & Bengio, S. (2000). Modeling high-dimensional discrete data with multi-layer neural networks.
#   NeurIPS.
# - Germain, M., et al. (2015). MADE: masked autoencoder for distribution estimation. ICML.
# - van den Oord, A., et al. (2016a). Pixel recurrent neural networks. ICML.
# - van den Oord, A., et al. (2016b). Conditional image generation with PixelCNN decoders. NeurIPS, eq. 2
#   and figure 2.
# - van den Oord, A., et al. (2017). Neural discrete representation learning. NeurIPS.
# - Parmar, N., et al. (2018). Image transformer. ICML.
# - Salimans, T., et al. (2017). PixelCNN++. ICLR, eq. 2.
# - Theis, L., van den Oord, A., & Bethge, M. (2016). A note on the evaluation of generative models. ICLR.
# - Kumaraswamy, P. (1980). A generalized probability density function for double-bounded random processes. J.
#   Hydrology.
