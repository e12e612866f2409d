# %% [markdown]
# # 15 · Which model when
#
# **Twelve families, one data set, one budget: what does each of them pay for what it gives?**
#
# After this lecture you can
#
# - sort a model by two questions: does it compress, and does it know its density;
# - read a table of models with its errors, and with what the metrics say of real data beside real data;
# - name a model that wins a metric without having learned anything;
# - say why a high likelihood does not prove that a picture belongs to the data.
#
# You need: one model of each kind from chapters 1 to 13, chapter 6's tests. Time: 40 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": ten times the budget
DATASET = "digits"  # or "strokes", "mnist", "fashion", made as small
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import copy
import math

import matplotlib.pyplot as plt
import plotly.graph_objects as go
import torch
from scipy.stats import spearmanr
from torch.nn.functional import avg_pool2d, pad

from gdm_core import colors, data, explorers, likelihoods, metrics, plotting, train, two_sample
from gdm_core.course.claims import claim
from gdm_core.data import strokes
from gdm_core.flops import Flops
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.models.diffusion import Diffusion
from gdm_core.models.drifting import Drifting
from gdm_core.models.ebm import EBM
from gdm_core.models.flow import realnvp
from gdm_core.models.flow_map import FlowMap
from gdm_core.models.gan import GAN
from gdm_core.models.gmm import GMM
from gdm_core.models.masked import Masked
from gdm_core.models.ppca import PPCA
from gdm_core.models.score import NoisyScore
from gdm_core.models.vae import VAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED)


def small(x):
    """Pictures (N, 1, 28, 28) as (N, 64) in 17 gray levels."""
    return (avg_pool2d(pad(x, (2, 2, 2, 2)), 4) * 16).round().flatten(1) / 16


# %% [markdown]
# ## 15.1 One data set, one budget
#
# Each chapter showed its family at its best, on data of its own choice. To compare families we need the same data, the
# same budget and the same measures for all. The data are 1,797 handwritten digits of $d = 64$ pixels with 17 gray
# levels. We shuffle them, so that each writer may be in both parts: 1,000 are seen in training, the others are new.
# Seconds differ from machine to machine, so the budget is counted in **operations**: the multiplications and additions
# in matrix products, forward and backward.

# %%
K, d, BUDGET = 17, 64, 24e9 * (10 if PROFILE == "full" else 1)
if DATASET == "digits":
    parts = [data.load("digits", split, device=DEVICE) for split in ("train", "validation", "test")]
    x, y = torch.cat([part.flat() for part in parts]), torch.cat([part.labels for part in parts])
else:
    parts = data.load(DATASET, n=1797, device=DEVICE)
    x, y = small(parts.x), parts.labels
order = torch.randperm(len(x)).to(x.device)
seen, new, seen_y, new_y = x[order[:1000]], x[order[1000:]], y[order[:1000]], y[order[1000:]]


def steps_for(budget, model, learn, options):
    with Flops() as count:
        next(train.steps(copy.deepcopy(model), learn, steps=2, **options))
    return int(budget // count.total)


with Flops() as count:
    torch.ones(3, 5) @ torch.ones(5, 7)
claim("operations of a product of 3 × 5 and 5 × 7 numbers", count.total, near=2 * 3 * 5 * 7, within=0)

# %% [markdown]
# There is one more obstacle to a fair comparison. Some families assign probabilities to the gray levels themselves,
# $k = 0 \ldots 16$; others have a density of real numbers. To these we give $v = (k + u)/17$ with $u$ uniform in
# $[0, 1)$ (**dequantization**), and read a sample's level back as the cell in which it lies. Their nats then bound
# those of the levels (Theis et al., 2016):
#
# $$ -\log P(k) \;\le\; \mathbb E_u\big[-\log p(v)\big] + d \log 17 . $$
#
# So all of them speak of the same thing in the same unit. The families and their settings, one setting for each, are
# folded away below. PPCA is solved in closed form, and the mixture is fitted by 30 rounds of EM. (The counter sees EM's
# products, not its factorizations.)

# %% jupyter={"source_hidden": true}
# The families: a model, what it learns from, its settings
SEES = {"levels": lambda x: x, "cells": lambda x: metrics.spread(x, K), "wide": lambda x: 4 * metrics.spread(x, K) - 2}
BACK = {"levels": lambda s: s, "cells": lambda s: metrics.levels_of(s, K), "wide": lambda s: metrics.levels_of((s + 2) / 4, K)}
CELL = {"levels": 0.0, "cells": d * math.log(K), "wide": d * math.log(K / 4)}  # volume of a cell, -log
STRAIGHT = {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "unit": True}
FAMILIES = {
    "VAE": (lambda: VAE(d, 16, hidden=(256, 256), likelihood="discretized", levels=K), "levels", {"lr": 2e-3}),
    "GAN": (lambda: GAN(d, 16, hidden=(128, 128), **STRAIGHT), "cells", {"lr": 2e-3, "average": 0.99}),
    "drifting": (lambda: Drifting(d, 16, h=4.0, hidden=(256, 256)), "wide", {"lr": 2e-3}),
    "flow": (lambda: realnvp(d, 6, hidden=(128, 128)), "wide", {"lr": 1e-3, "clip": 10.0}),
    "autoregressive": (lambda: Autoregressive(d, likelihood=likelihoods.Discretized(K, components=3), network="chain",
                                              hidden=(256, 256)), "levels", {"lr": 3e-3}),
    "masked": (lambda: Masked(d, K, hidden=(256,)), "levels", {"lr": 3e-3}),
    "energy": (lambda: EBM(d, hidden=(128, 128), width=1.5, size=0.02), "wide", {"lr": 1e-3}),
    "score": (lambda: NoisyScore(d, hidden=(256, 256)), "wide", {"lr": 2e-3}),
    "diffusion": (lambda: Diffusion(d, hidden=(256, 256, 256), spread=1.2), "wide", {"lr": 3e-3, "average": 0.99}),
    "flow map": (lambda: FlowMap(d, hidden=(256, 256)), "wide", {"lr": 2e-3, "average": 0.99}),
}


def learned(name, seed=SEED):
    make, scale, options = FAMILIES[name]
    learn = lambda n: SEES[scale](seen[torch.randint(len(seen), (n,)).to(seen.device)])
    options = {"batch_size": 64, "rate": train.falling, "seed": seed, **options}
    torch.manual_seed(seed)
    model = make().to(DEVICE)
    train.fit(model, learn, steps=steps_for(BUDGET, model, learn, options), progress=False, **options)
    return model.eval()


# %%
cells = SEES["cells"](seen)
mixture = GMM(10, d).to(DEVICE).start(cells, floor=0.005)
with Flops() as count:
    for _ in mixture.em(cells, 30, floor=0.005):
        pass
claim("operations of EM that are counted, of the budget", count.total / BUDGET, below=0.5, digits=1)
models = {"PPCA": PPCA(d, 16).to(DEVICE).solve(cells), "mixture": mixture}  # chapters 1 and 2 need no gradient
models |= {name: learned(name) for name in FAMILIES}
scales = {"PPCA": "cells", "mixture": "cells"} | {name: FAMILIES[name][1] for name in FAMILIES}

# %%
n, drawn, cost = 398, {}, {}  # as many samples as half of the new digits
for name, model in models.items():
    torch.manual_seed(SEED)
    with Flops() as count:
        drawn[name] = BACK[scales[name]](model.sample(n))
    cost[name] = count.total / n  # operations a picture
copied = seen[torch.randint(len(seen), (n,)).to(seen.device)]

model = models["PPCA"]  # a bound by hand and by the library
torch.manual_seed(SEED)
bare = d * math.log(K) - model.log_prob(metrics.spread(new, K)).mean()
torch.manual_seed(SEED)
claim("bare bound and library: difference", abs(bare - metrics.nats(model, new, levels=K).nats).detach(), below=1e-3, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: what each of them draws
def gallery(columns=20):
    names = ["new digits", *drawn]
    fig, axes = plt.subplots(len(names), 1, figsize=(11, 0.6 * len(names)))
    axes[0].set_title("Twenty pictures of each, as they came")
    for ax, name in zip(axes, names):
        s = drawn.get(name, new)[:columns]
        plotting.images(s.reshape(-1, 1, 8, 8), ax, columns=columns)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=12)
        ax.spines[:].set_visible(False)


# %% [markdown]
# **Predict before you look at any number.** Which three families would you choose from the pictures alone?

# %%
gallery()

# %% [markdown]
# ## 15.2 The table
#
# Chapter 6 taught us to distrust metrics: each is a number with an error, and not even real data score a perfect 0. So
# the three metrics of samples have a **band**, which is what they say of *new digits beside other new digits*, drawn
# twenty times. No model can show that it is better than that. Error bars are standard errors: over the new digits for
# nats, and by a jackknife over the pictures for the rest.
#
# - **nats**: $-\log P$ of the new digits, exact, as an upper bound, or not available.
# - **kernel distance** in the features of a classifier, known as KID (Bińkowski et al., 2018). We train the classifier
#   on the seen digits. It must know the classes, or its features mean nothing.
# - **precision**: the share of samples that lie near new digits, in pixels; **coverage**: the share of new digits with
#   a sample nearby (Naeem et al., 2020).
# - **copies**: the share of samples that are three times nearer to one seen digit than to any other (Yoon et al.,
#   2023).
# - **p**: the p-value of a two-sample test, samples against new digits.
# - **operations** to draw one picture.
#
# One row is a cheat: the **memorizer** hands out the seen digits.

# %%
features = metrics.learn_features(seen, seen_y, seed=SEED)
claim("digits that the features' classifier knows, of the new ones", features.accuracy(new, new_y), above=0.85, digits=2)
half, other = new[:n], new[n : 2 * n]
METRICS = {
    "kernel distance": lambda x, s: metrics.kernel(features(x.to(new)), features(s.to(new))),
    "precision": lambda x, s: metrics.neighbors(x, s).precision,
    "coverage": lambda x, s: metrics.neighbors(x, s).coverage,
}
heaps = {**drawn, "memorizer": copied, "new digits": other}
table = {metric: {name: metrics.estimate(f, half, s, groups=10) for name, s in heaps.items()} for metric, f in METRICS.items()}
bands = {metric: metrics.band(f, new, n, n) for metric, f in METRICS.items()}
copies = {name: metrics.copies(s, seen).copied.double().mean().item() for name, s in heaps.items()}
p = {name: two_sample.test(half, s, two_sample.mmd(), permutations=199).p for name, s in heaps.items()}

# %%
def bare_kernel(a, b):
    k = lambda s, t: (s @ t.T / s.shape[1] + 1) ** 3
    apart = lambda k: (k.sum() - k.trace()) / (len(k) * (len(k) - 1))
    return apart(k(a, a)) + apart(k(b, b)) - 2 * k(a, b).mean()


f, g = features(half).double(), features(drawn["PPCA"]).double()
claim("bare and library kernel distance: difference", abs(bare_kernel(f, g) - metrics.kernel(f, g)), below=1e-9)
known = {}
for name, model in models.items():
    by = "elbo" if name == "diffusion" else ""
    known[name] = metrics.nats(model, SEES[scales[name]](new), by=by, draws=4 if name == "masked" else 1)
nats = {name: known[name].nats + CELL[scales[name]] for name in models}
kind = {name: "bound" if known[name].kind == "exact" and scales[name] != "levels" else known[name].kind for name in models}

# %% jupyter={"source_hidden": true}
# The figure: the table, a dot for each number
def show_table():
    names = [*sorted(drawn, key=lambda name: table["kernel distance"][name].value), "memorizer", "new digits"]
    rows = range(len(names))
    fig, axes = plt.subplots(1, 7, figsize=(14, 5.4), sharey=True, gridspec_kw={"wspace": 0.12})
    marks = {"exact": ("o", colors.MODEL), "bound": ("<", "white")}
    for i, name in enumerate(names[:-2]):
        if kind[name] != "none":
            shape, face = marks[kind[name]]
            axes[0].errorbar(nats[name], i, xerr=known[name].error, fmt=shape, color=colors.MODEL, mfc=face, ms=7)
        else:
            axes[0].text(0.5, i, "none", transform=axes[0].get_yaxis_transform(), ha="center", va="center", fontsize=10)
    axes[0].set_title("nats: ● exact,\n◁ at most", fontsize=12)
    for ax, metric in zip(axes[1:4], METRICS):
        ax.axvspan(bands[metric].low, bands[metric].high, color=colors.DATA, alpha=0.15, lw=0)
        for i, name in enumerate(names):
            e, color = table[metric][name], colors.MODEL if name in drawn else colors.ACCENT if name == "memorizer" else colors.DATA
            ax.errorbar(e.value, i, xerr=e.error, fmt="o", color=color, ms=6)
        ax.set_title(metric.replace(" ", "\n"), fontsize=12)
        if metric != "kernel distance":
            ax.set_xlim(-0.07, 1.12)
    axes[1].set_xscale("symlog", linthresh=0.05)
    axes[1].set_xlim(right=2)
    axes[1].set_xticks([0, 0.05, 0.5], ["0", "0.05", "0.5"])
    axes[1].minorticks_off()
    axes[4].plot([copies[name] for name in names], rows, "o", color=colors.DATA, ms=6)
    axes[4].set_title("copies", fontsize=12)
    axes[4].set_xlim(-0.07, 1.12)
    axes[5].plot([p[name] for name in names], rows, "o", color=colors.DATA, ms=6)
    axes[5].axvline(0.05, color=colors.NOISE, ls="--")
    axes[5].set_xscale("log")
    axes[5].set_title("p of the\ntwo-sample test", fontsize=12)
    axes[6].plot([max(cost[name], 1) / 1e6 for name in names[:-2]], rows[:-2], "o", color=colors.MODEL, ms=6)
    axes[6].set_xscale("log")
    axes[6].set_title("million operations\na picture", fontsize=12)
    axes[0].set_yticks(rows, names)
    axes[0].invert_yaxis()
    for ax in axes:
        ax.grid(axis="y", alpha=0.25)


# %%
show_table()
claim("kernel distance of the memorizer less the upper end of the band", table["kernel distance"]["memorizer"].value
      - bands["kernel distance"].high, below=0.03, digits=1)
claim("share of copies: memorizer", copies["memorizer"], above=0.99, digits=2)
claim("share of copies: the most of any honest family", max(copies[name] for name in drawn), below=0.05, digits=1)
claim("families of 12 that the two-sample test tells from new digits", sum(p[name] <= 0.05 for name in drawn), above=8)

# %% [markdown]
# Read the table by columns. Rows are sorted by kernel distance, and gray bands are what real data reach.
#
# - The memorizer is within or near every band, and the test does not catch it. Only *copies* does.
# - The GAN has a precision as high as real data and a low coverage: good-looking pictures, but few kinds.
# - The autoregressive model is best in nats and far from best in samples. Diffusion has the worst nats, and is second
#   by kernel distance.
# - The test tells all 12 families from new digits. With this budget nobody has learned the distribution.
#
# ## 15.3 Three wishes
#
# We would like good samples, from all of the data, quickly. Xiao et al. (2022) call this the **generative learning
# trilemma**: each family of its day granted two of the three wishes. In the figure, which can be turned, good samples
# are measured by precision, "all of the data" by coverage, speed by operations. Is there a model in the corner of all
# three?

# %% jupyter={"source_hidden": true}
# The figure to turn, and its twin
def wishes():
    names = list(drawn)
    work = [max(cost[name], 1) / 1e6 for name in names]
    good, cover = ([table[metric][name].value for name in names] for metric in ("precision", "coverage"))
    hover = [f"{name}<br>{w:.2g} million operations<br>precision {a:.2f}, coverage {b:.2f}"
             for name, w, a, b in zip(names, work, good, cover)]
    below = ["bottom center" if name in ("energy", "flow map") else "top center" for name in names]
    shown = go.Scatter3d(x=work, y=good, z=cover, text=names, hovertext=hover, hoverinfo="text", mode="markers+text",
                         textposition=below, marker={"size": 5, "color": colors.MODEL})
    turned = go.Figure(shown).update_layout(height=520, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    axes = {"xaxis": {"type": "log", "title": "million operations"}, "yaxis_title": "precision", "zaxis_title": "coverage"}
    turned.update_scenes(**axes, camera_eye={"x": -1.5, "y": -1.6, "z": 0.7})
    twin, pair = plt.subplots(1, 2, figsize=(12, 4), sharex=True)
    for ax, values, metric in zip(pair, (good, cover), ("precision", "coverage")):
        ax.plot(work, values, "o", color=colors.MODEL, ms=8)
        ax.axhspan(bands[metric].low, bands[metric].high, color=colors.DATA, alpha=0.15, lw=0)
        for i, (w, name, value) in enumerate(sorted(zip(work, names, values))):
            on_left = name in ("energy", "flow map")  # another one lies to their right
            place = {"ha": "right" if on_left else "left", "xytext": (-6 if on_left else 6, 5 if i % 2 else -13)}
            ax.annotate(name, (w, value), textcoords="offset points", fontsize=10, **place)
        ax.set(xscale="log", ylim=(-0.08, 1.1), xlim=(None, 1000), xlabel="million operations a picture", title=f"{metric.capitalize()} and its price")
    plotting.turn(turned, twin)


# %%
wishes()

# %% [markdown]
# At this size the corner is nearly taken, and by a mixture of ten Gaussians. The trilemma is an observation about large
# pictures, for which such a mixture is no candidate. It is not a law.
#
# **Play.** Eight families and one target in the plane, eight commas on a circle, where all scores are exact. All but
# the mixture were trained with the same number of operations, and the clock counts the operations needed for drawing.
# *Before you let it run:* who will be done first? And will those that work longest come nearest?
#
# <details><summary>Answer</summary>
#
# The mixture is done before the clock starts. Then come the families that need one pass, the autoregressive model with
# two passes and the flow with six layers. Diffusion and the energy's Langevin chain take tens and hundreds of times as
# long, and it does not give them the lead: in the plane the autoregressive model loses the fewest nats and puts the
# most points on a comma. Now change the score. By the sliced distance diffusion is as near as true draws may be, and
# yet many of its points lie beside the commas.
#
# </details>

# %%
explorers.family_race(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 15.4 Does it compress?
#
# Families also differ in what they give besides samples. PPCA, VAE, GAN and drifting draw 16 numbers and turn them into
# 64: they are **compressive**. Flow and flow map move 64 numbers to 64 places, and so do score and diffusion: they are
# **dimension-preserving**. The singular values of the Jacobian show the difference.
#
# **Predict before you run.** Move the noise a little, in each direction. In how many directions does the picture move?

# %%
def stretch(make, z):
    """Singular values of dx/dz, largest first, mean over z."""
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda z: make(z[None])[0], point) for point in z])
    return torch.linalg.svdvals(jacobians.double()).mean(0)


doubled = {name: copy.deepcopy(models[name]).double() for name in ("GAN", "drifting", "flow", "flow map")}
t = torch.tensor([1.0, 0.0], dtype=torch.float64, device=DEVICE)
maps = {"GAN": (doubled["GAN"].generate, 16), "drifting": (doubled["drifting"].generate, 16),
        "flow": (doubled["flow"].to_data, 64), "flow map": (lambda z: doubled["flow map"].jump(z, *t), 64)}
values = {name: stretch(make, torch.randn(10, size).to(t)) for name, (make, size) in maps.items()}

# %% jupyter={"source_hidden": true}
# The figure: stretch by direction
def directions():
    fig, ax = plt.subplots(figsize=(8, 3.6))
    for (name, v), color in zip(values.items(), colors.COMPONENTS):
        ax.semilogy(range(1, len(v) + 1), v.cpu() / v[0].cpu(), "o-", ms=3.5, color=color, label=name)
    ax.set(xlabel="direction", ylabel="stretch, of the largest", ylim=(2e-3, 2), title="Sixteen directions, or all of them")
    ax.legend()


# %%
directions()
rank = {name: int((v > 1e-9 * v[0]).sum()) for name, v in values.items()}
claim("directions in which drifting's picture moves", rank["drifting"], near=16, within=0)
claim("directions in which the flow's picture moves", rank["flow"], near=64, within=0)
z = torch.randn(100, d).to(t)
returned = doubled["flow"].to_latent(doubled["flow"].to_data(z))[0]
claim("flow: noise to picture and back, median difference", (returned - z).abs().median().detach(), below=1e-6)
grain = lambda x: (x.reshape(-1, 8, 8)[:, 1:] - x.reshape(-1, 8, 8)[:, :-1]).square().mean().item()  # between neighbors
told = {name: models[name].decode(torch.randn(n, 16).to(new)).mean.detach() for name in ("PPCA", "VAE")}
claim("samples of PPCA and VAE are grainier than the same before noise", all(grain(drawn[name]) > 1.05 * grain(x) for name, x in told.items()))

# %% [markdown]
# The curves of GAN and drifting stop after 16 directions, those of flow and flow map go on to 64. So the samples of a
# GAN fill a 16-dimensional sheet in a space of 64 dimensions. A sheet has no volume, and there is no density to ask
# for: the model is **implicit**. PPCA and the VAE compress as well, and buy a density by adding noise around the sheet;
# this noise makes their pictures grainy, as the last claim shows. A flow keeps every direction, including those that
# only hold noise, and knows its density exactly: it is **explicit**.
#
# | density of a picture | compresses | keeps all dimensions |
# |:--|:--|:--|
# | **exact** | PPCA | mixture, flow, autoregressive |
# | **bounded** | VAE | masked, diffusion |
# | **none, or up to a constant** | GAN, drifting | energy, score, flow map |
#
# (For probabilities of *gray levels*, PPCA, mixture and flow have only a bound as well, because of 15.1.)
#
# ## 15.5 Metrics caught in the act
#
# A good metric should not be easy to win. Here are two models that nobody wants. The **spoiled** model asks the
# autoregressive model once in a hundred draws, and otherwise shows uniform noise (Theis et al., 2016). The **parrot**
# repeats seen digits, with noise far below one gray level added.
#
# **Predict before you run.** Where will they stand in nats, and where in samples?

# %%
ar_nats = -models["autoregressive"].log_prob(new).detach()
spoiled_nats = -torch.logaddexp(math.log(0.01) - ar_nats, torch.full_like(ar_nats, math.log(0.99) - d * math.log(K)))
asked = torch.rand(n, device=DEVICE) < 0.01
noise = torch.randint(K, (n, d), device=DEVICE) / (K - 1)
spoiled = torch.where(asked[:, None], drawn["autoregressive"], noise)

tiny, centers = 0.005, (seen * (K - 1) + 0.5) / K  # in units of v, of which a cell is 1/17 wide
apart = torch.cdist(metrics.spread(new, K).double(), centers.double())
log_p = torch.logsumexp(-0.5 * (apart / tiny) ** 2, 1) - math.log(len(seen)) - d * math.log(tiny * math.sqrt(2 * math.pi))
parrot_nats = d * math.log(K) - log_p

# %%
claim("nats that spoiling costs", spoiled_nats.mean() - ar_nats.mean(), below=4.61, above=0, digits=3, unit="nats")
spoiled_kernel = METRICS["kernel distance"](half, spoiled).item()
better = [name for name in nats if nats[name] > spoiled_nats.mean() and table["kernel distance"][name].value < spoiled_kernel]
claim("honest models with more nats and better samples than the spoiled one", len(better), above=2)
claim("nats of the parrot", parrot_nats.mean(), above=10_000, digits=1, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: nats and samples
def nats_and_samples():
    spots = {name: (nats[name], table["kernel distance"][name].value, colors.MODEL) for name in nats if math.isfinite(nats[name])}
    spots["spoiled"] = spoiled_nats.mean().item(), spoiled_kernel, colors.ACCENT
    spots["parrot"] = parrot_nats.mean().item(), table["kernel distance"]["memorizer"].value, colors.ACCENT
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, width_ratios=[5, 1], gridspec_kw={"wspace": 0.05})
    for i, (name, (a, b, color)) in enumerate(sorted(spots.items(), key=lambda spot: spot[1][1])):
        ax = right if name == "parrot" else left
        ax.plot(a, b, "s" if color == colors.ACCENT else "o", color=color, ms=9)
        side = {"ha": "center", "xytext": (0, 10)} if name == "parrot" else {"ha": ("left", "right")[i % 2], "xytext": ((9, -9)[i % 2], -4)}
        ax.annotate(name, (a, b), textcoords="offset points", fontsize=11, color=color, **side)
    left.set(xlim=(70, 175), xlabel="nats of new digits: lower is better", ylabel="kernel distance of samples",
             title="Neither axis says what the other does")
    left.set_yscale("symlog", linthresh=0.05)
    left.set_yticks([0, 0.05, 0.5, 5], ["0", "0.05", "0.5", "5"])
    left.minorticks_off()
    left.set_ylim(-0.03, 9)
    right.set_xticks([spots["parrot"][0]], ["over 10,000"])
    for ax in (left, right):
        ax.axhspan(bands["kernel distance"].low, bands["kernel distance"].high, color=colors.DATA, alpha=0.15, lw=0)

# %%
nats_and_samples()

# %% [markdown]
# Compare the two orange squares. The spoiled model shows noise nearly always, yet this costs it at most $\log 100$
# nats, 4.61, which is less than the differences between honest families. The parrot is the opposite: no eye would find
# fault with its pictures, and its likelihood is a catastrophe. Neither number is wrong. They answer different
# questions, and a model can do well in one and badly in the other. The parrot's pictures are those of the memorizer,
# whose kernel distance was that of new digits; only the column of copies exposes it.
#
# **Do the columns agree?** If two metrics measured the same thing, "quality", they would rank the families alike. We
# compute the rank correlation of seven of them, among them the Fréchet distance (FID if the features are Inception's;
# Heusel et al., 2017) with three kinds of features.

# %%
torch.manual_seed(SEED)
untrained = metrics.Features((d,), 10).to(DEVICE).requires_grad_(False)
RANKED = {
    "kernel": lambda s: table["kernel distance"][s].value,
    "Fréchet": lambda s: metrics.frechet(features(half), features(drawn[s])).item(),
    "Fréchet, untrained": lambda s: metrics.frechet(untrained(half), untrained(drawn[s])).item(),
    "Fréchet, pixels": lambda s: metrics.frechet(half, drawn[s]).item(),
    "sliced": lambda s: metrics.sliced(half, drawn[s]).item(),
    "precision": lambda s: -table["precision"][s].value,
    "coverage": lambda s: -table["coverage"][s].value,
}
ranked = torch.tensor([[f(name) for name in drawn] for f in RANKED.values()])
agree = torch.tensor(spearmanr(ranked.numpy(), axis=1).statistic)

# %% jupyter={"source_hidden": true}
# The figure: rank correlations of the metrics over the families
def agreement():
    fig, ax = plt.subplots(figsize=(6.4, 4.8))
    ax.imshow(agree, cmap=colors.DIVERGING, vmin=-1, vmax=1)
    for i in range(len(agree)):
        for j in range(len(agree)):
            color = "white" if agree[i, j] > 0.45 else colors.DATA
            ax.text(j, i, f"{agree[i, j] + 0:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=11, color=color)
    ax.set_xticks(range(len(agree)), RANKED, rotation=40, ha="right")
    ax.set_yticks(range(len(agree)), RANKED)
    ax.set_title("How alike two metrics rank the families")
    ax.spines[:].set_visible(False)


# %%
agreement()
claim("least rank correlation of two metrics", agree.min(), near=-0.2, within=0.7, digits=1)
claim("the seven metrics have more than one winner", len(set(ranked.argmin(1).tolist())) > 1)

# %% [markdown]
# Some pairs agree almost perfectly, others not at all or even negatively, and the winner changes with the metric. Note
# that an untrained network yields a Fréchet distance as readily as a trained one, and whether the two rank alike can be
# known only afterward. A paper that does not say which features it used has printed a number without a unit.
#
# ## 15.6 Probable does not mean familiar
#
# Out-of-distribution detection seems to be the ideal use of a density: if an input has a low likelihood, raise an
# alarm. Let us test this on the autoregressive model, which has seen nothing but digits.
#
# **Predict before you run.** Which of these does it find most probable: new digits, digits upside down, digits with
# black and white exchanged, noise, or a blank page?

# %%
pen = small(strokes.sample(300, seed=SEED).x).to(new)
strange = {
    "new digits": new[:300],
    "a pen's digits": pen,
    "upside down": new[:300].reshape(-1, 8, 8).flip(1).flatten(1),
    "gray turned round": 1 - new[:300],
    "noise": torch.randint(K, (300, d)).to(new) / (K - 1),
    "a blank page": torch.zeros_like(new[:1]),
    "the mean digit": (seen.mean(0, keepdim=True) * (K - 1)).round() / (K - 1),
}
speaks = {name: -models["autoregressive"].log_prob(s).detach() for name, s in strange.items()}

# %% jupyter={"source_hidden": true}
# The figure: five pictures of each kind, and their nats
def strangers():
    names = list(strange)
    fig = plt.figure(figsize=(12, 4.6))
    grid = fig.add_gridspec(len(names), 2, width_ratios=[1, 2], wspace=0.04, hspace=0.12)
    for i, name in enumerate(names):
        ax = fig.add_subplot(grid[i, 0])
        plotting.images(strange[name][:6].expand(6, -1).reshape(-1, 1, 8, 8), ax, columns=6)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=12)
        ax.spines[:].set_visible(False)
    ax = fig.add_subplot(grid[:, 1])
    for i, name in enumerate(names):
        v = speaks[name].cpu()
        color = colors.DATA if i == 0 else colors.ACCENT
        ax.plot(v, i + 0.5 * (torch.rand(len(v)) - 0.5) if len(v) > 1 else [i], ".", ms=4 if len(v) > 1 else 13, color=color, alpha=0.6)
    ax.axvline(speaks["a blank page"].item(), color=colors.ACCENT, ls="--", lw=1)
    ax.set(ylim=(len(names) - 0.5, -0.5), yticks=[], xscale="log", xlabel="nats: further left is more probable", title="A blank page is as probable as a digit")
    ax.set_xticks([50, 100, 200, 400], ["50", "100", "200", "400"])
    ax.minorticks_off()


# %%
strangers()
less = lambda name: (speaks["new digits"] > speaks[name]).double().mean()
claim("share of new digits that are less probable than a blank page", less("a blank page"), above=0.2, digits=2)
claim("median nats of noise less those of new digits", speaks["noise"].median() - speaks["new digits"].median(), above=50, unit="nats")

# %% [markdown]
# Noise and exchanged grays are detected. Digits upside down are hardly less probable than upright ones, and the blank
# page is *more* probable than a share of 0.7 of the new digits. Nobody draws a blank page. But each of its pixels is
# easy to predict, for there is paper around every digit. In many dimensions the most probable point need not be where
# samples lie; the region where they do lie is called the **typical set** (Nalisnick et al., 2019). One Gaussian, fitted
# to rooms, shows this in color.

# %%
rooms = avg_pool2d(data.load("scenes", n=900, seed=SEED, device=DEVICE).x, 2)  # (900, 3, 32, 32)
gaussian = PPCA(3072, 60).to(DEVICE).solve(rooms[:700].flatten(1))
of = lambda x: -gaussian.log_prob(x.flatten(1)).detach()
mean_room = rooms[:700].mean(0, keepdim=True)
claim("nats from the mean room to the most probable of 200 new rooms", of(rooms[700:]).min() - of(mean_room)[0], above=50, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: rooms, and the most probable of all
def show_rooms():
    flat = rooms[700:].mean((2, 3), keepdim=True).expand(-1, -1, 32, 32)
    by = of(rooms[700:]).argsort()
    rows = [mean_room, rooms[700:][by[:3]], rooms[700:][by[98:101]], flat[:2], rooms[700:702].flip(2)]
    x = torch.cat(rows)
    fig, ax = plt.subplots(figsize=(12, 2.2))
    plotting.images(x, ax, columns=len(x), titles=[f"{v / 1000:.1f}" for v in of(x).tolist()])
    ax.set_title("−log p in thousands of nats: the mean room, new rooms, plain walls, rooms upside down", pad=24)
    ax.spines[:].set_visible(False)


# %%
show_rooms()

# %% [markdown]
# The first picture, the mean room, is more probable than any of the new rooms, and none of them looks like it. So a
# threshold on the likelihood is not an alarm. There are alternatives that ask other questions: is the picture as
# probable as data *usually* are (a two-sided test)? Which of two models finds it more probable? And if examples of the
# strange are at hand, a classifier can learn to tell them.
#
# ## 15.7 Another seed
#
# The error bars so far come from the sample of pictures, of *one* trained model. But training is random too.
#
# **Predict before you run.** We train the GAN and drifting again from two more seeds. Which moves further, and does
# either of them leave its error bar?

# %%
again = {name: [] for name in ("GAN", "drifting")}
for name, found in again.items():
    for seed in (SEED + 1, SEED + 2):
        model = learned(name, seed)
        s = BACK[scales[name]](model.sample(n))
        found.append([METRICS[metric](half, s) for metric in ("kernel distance", "coverage")])
spread = {}
for name, found in again.items():
    runs = torch.tensor([[table[m][name].value for m in ("kernel distance", "coverage")], *found])
    spread[name] = runs.std(0) / torch.tensor([table[m][name].error for m in ("kernel distance", "coverage")])

# %% jupyter={"source_hidden": true}
# The figure: three seeds
def three_seeds():
    fig, axes = plt.subplots(1, 2, figsize=(11, 2.6), sharey=True)
    for column, (ax, metric) in enumerate(zip(axes, ("kernel distance", "coverage"))):
        ax.axvspan(bands[metric].low, bands[metric].high, color=colors.DATA, alpha=0.15, lw=0)
        for i, name in enumerate(again):
            e = table[metric][name]
            ax.errorbar(e.value, i, xerr=e.error, fmt="o", color=colors.MODEL, ms=7)
            ax.plot([float(f[column]) for f in again[name]], [i + 0.2] * 2, "o", color=colors.MODEL, mfc="white", ms=7)
        ax.set(title=metric.capitalize(), ylim=(1.6, -0.5))
    axes[0].set_yticks(range(2), again)
    fig.suptitle("Filled: the table's run and its error bar. Open: two more seeds", y=1.12, fontsize=13, fontweight="bold")


# %%
three_seeds()
claim("largest spread of three seeds, in error bars of one", max(r.max() for r in spread.values()), above=0.5, below=100, digits=1)

# %% [markdown]
# The GAN does: its other runs (open) lie far outside the bar of the first (filled). Error bars that come from pictures
# say nothing about seeds. Where seeds differ by more than the bar, a table of single runs ranks seeds, not families.
#
# ## 15.8 Which model when
#
# Here is what our table supports, for small pictures and a small budget, with the reason for each line:
#
# | if you need | then | because |
# |:--|:--|:--|
# | an exact density | PPCA, mixture, flow, autoregressive | 15.4; of gray levels only the last: 15.2 |
# | a short code of each picture | PPCA, VAE | 15.4: those with an encoder to fewer numbers |
# | a sample at once | one pass: VAE, GAN, drifting, flow, flow map | 15.2: the column of operations |
# | all kinds of data | look at coverage, not at pictures | 15.2: precision does not see what is missing |
# | any missing part filled in | masked, diffusion, mixture | chapters 10 and 14 |
# | a small problem solved by noon | a mixture | 15.3 |
# | an alarm for strangers | none of them by likelihood alone | 15.6 |
#
# It supports nothing about large pictures or large budgets. There the order may be different, since our networks had
# only begun to learn. Each family had one setting, and a better one may move its row. So choose by the column that your
# task needs, and then make *your own* table, with bands, seeds and a memorizer in it. The project in lab 15 starts
# there.
#
# **References.** L. Theis, A. van den Oord, M. Bethge, *A note on the evaluation of generative models*, 2016. M. Heusel
# et al., *GANs trained by a two time-scale update rule*, 2017. M. Bińkowski et al., *Demystifying MMD GANs*, 2018. M.
# Naeem et al., *Reliable fidelity and diversity metrics for generative models*, 2020. E. Nalisnick et al., *Do deep
# generative models know what they don't know?*, 2019. Z. Xiao, K. Kreis, A. Vahdat, *Tackling the generative learning
# trilemma*, 2022. T. Yoon et al., *Diffusion probabilistic models generalize when they fail to memorize*, 2023.
