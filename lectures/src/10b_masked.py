# %% [markdown]
# # 10b · Masked models: any order, several at once
#
# **What does it cost to draw many pixels in one turn?**
#
# After this lecture you can
#
# - train one network that predicts any pixels from any others;
# - show that the bound of masked diffusion is the likelihood itself, whatever the schedule, if the conditionals are
#   exact;
# - compute, in nats, what is lost when several pixels are drawn in parallel, and choose turns that lose little;
# - draw pictures in a few turns, and say which part of the error is due to the turns and which to the network.
#
# You need: part a, the KL divergence. Time: 25 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "strokes"  # or "mnist", "fashion": the pictures of 10.12
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch

from gdm_core import colors, data, decoding, kept, plotting, train
from gdm_core.course.claims import claim
from gdm_core.data.ising import Ising
from gdm_core.explorers import pixel_models
from gdm_core.models.masked import Masked
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "mnist", "fashion"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)
EVENT, D = (1, 4, 4), 16
VALUES = torch.tensor([0.0, 1.0])

# %% [markdown]
# ## 10.9 Erase and guess
#
# The autoregressive model of part a has one order, built into its network, and draws one pixel at a time. That is
# slow, and to fill a hole in the middle of a picture it is the wrong order. A **masked model** answers every question
# of the form: *these pixels are known, what is this other one?* To train it, erase some pixels of a picture and ask
# for them.
#
# How many should be erased? Let a time $t$ run from 0 to 1. At time $t$ each pixel is erased with probability
# $1 - \alpha_t$, where $\alpha$ falls from 1 to 0. This is **masked diffusion**: a process that gradually destroys
# the picture, as in chapter 12, but by erasing instead of adding noise (Austin et al., 2021). It has a bound (Sahoo
# et al., 2024; Shi et al., 2024):
#
# $$ -\log p(x) \le \int_0^1 \frac{-\alpha'_t}{1 - \alpha_t}\;
#   \mathbb E_{\text{erased at } t} \Big[ \sum_{i \text{ erased}} -\log p(x_i \mid \text{what is left}) \Big] dt . $$
#
# The weight $-\alpha'_t/(1 - \alpha_t)$ matters: without it the right side is in general not a bound.
#
# To judge it we need exact values. The 4 by 4 Ising board has $2^{16}$ states, few enough to compute *every*
# conditional as a sum. We insert the exact conditionals into the bound.
#
# **Predict before you run.** How large is the gap between the bound and $-\log p(x)$ for a straight $\alpha$, and for
# a cosine?

# %%
board = Ising(4, coupling=0.44)
torch.manual_seed(SEED)
x = board.sample(6)
log_marginal = board.log_marginals(x)  # (6, 65536): log p(x_S) for every set S of known pixels

sets = torch.arange(2**D)
told = torch.zeros(6, 2**D, dtype=torch.float64)  # sum over the erased i of -log p(x_i | x_S)
for i in range(D):
    told += log_marginal - log_marginal[:, sets | 2**i]  # zero where i is known
erased = D - sum((sets >> i) & 1 for i in range(D))  # how many, for each set
by_count = torch.zeros(6, D + 1, dtype=torch.float64).index_add_(1, erased, told)  # summed over sets of one size

# %%
schedules = {  # alpha and minus its slope
    "straight": (lambda t: 1 - t, lambda t: torch.ones_like(t)),
    "cosine": (lambda t: torch.cos(math.pi / 2 * t), lambda t: math.pi / 2 * torch.sin(math.pi / 2 * t)),
    "cubic": (lambda t: (1 - t) ** 3, lambda t: 3 * (1 - t) ** 2),
}
nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(80))
t, dt = (nodes + 1) / 2, weights / 2
m = torch.arange(D + 1)
for name, (alpha, falls) in schedules.items():
    a = alpha(t)[:, None]
    chance = (1 - a) ** m * a ** (D - m)  # of one set with m erased
    bound = ((dt * falls(t) / (1 - a[:, 0]))[:, None] * chance).sum(0) @ by_count.T
    claim(f"{name}: bound and -log p(x), largest difference", (bound + board.log_prob(x)).abs().max(), below=1e-10)

# %% [markdown]
# There is no gap, and no schedule is better than another. To see why, use $u = 1 - \alpha_t$ in place of the time.
# Then $-\alpha'_t\, dt = du$, the schedule drops out, and a set with $m$ erased pixels gets the weight
#
# $$ \int_0^1 \frac{1}{u}\, u^m (1 - u)^{d - m} du = \frac{1}{m} \binom{d}{m}^{-1} . $$
#
# There are $\binom{d}{m}$ such sets. So the bound draws $m$ uniformly from 1 to $d$, then a random set of $m$ pixels,
# and takes $d/m$ times the cost of that set. Equivalently, it is the cost of drawing the pixels one by one in a
# random **order**, averaged over all orders. With exact conditionals every single order gives $-\log p(x)$ by the
# chain rule, so the average does too. Masked diffusion *is* an autoregressive model averaged over all orders (Uria et
# al., 2014; Hoogeboom et al., 2022). With a learned network a gap remains, because its conditionals need not fit
# together to one $p$.
#
# The loss of the library's `Masked` draws $m$, then a set, and multiplies by $d/m$. Here is the bare version beside
# it:

# %%
torch.manual_seed(SEED)
small = Masked(EVENT, 2, hidden=(32,)).double()
pictures = board.sample(4000).double()


def bare_bound(x):
    count = 1 + torch.randint(D, (len(x), 1, 1, 1))
    gone = torch.rand(len(x), D).argsort(1).argsort(1).view(-1, *EVENT) < count  # a random set of that size
    log_p = small.conditionals(x, ~gone).gather(1, x.long()[:, None])[:, 0]
    return (D / count * torch.where(gone, log_p, 0)).sum((1, 2, 3))


with torch.no_grad():
    ours, theirs = bare_bound(pictures), small.elbo(pictures)
error = ((ours.var() + theirs.var()) / 4000).sqrt()
claim("bare bound and library differ by, in standard errors", (ours.mean() - theirs.mean()).abs() / error, below=4, digits=1)

# %% [markdown]
# ## 10.10 Several at once
#
# One call of the network predicts *all* erased pixels. Why not draw them all in one turn? Because it predicts each of
# them separately: two neighbors that are drawn in the same turn do not see each other. If the pixels are drawn in
# turns $B_1, \dots, B_k$, the draws follow
#
# $$ q(x) = \prod_{s=1}^{k} \prod_{i \in B_s} p(x_i \mid x_{B_1}, \dots, x_{B_{s-1}}), $$
#
# and even with exact conditionals they do not follow $p$. The loss is
#
# $$ \mathrm{KL}(p \,\|\, q) = \sum_s \Big[ \sum_{i \in B_s} H(x_i \mid \text{before}) - H(x_{B_s} \mid \text{before}) \Big] , $$
#
# the **total correlation** of each turn given the turns before it: how much the entropies of its pixels, added one by
# one, exceed their joint entropy. It is zero if the pixels of a turn are independent given what is already drawn. On
# the board every entropy is a sum over states, so this price is exact. We compare four plans: row by row, at random,
# **spread** (pixels drawn together lie far apart), and the **checkerboard**, first all black fields, then all white
# ones.
#
# **Predict.** What does the second half of the checkerboard cost?

# %%
spread = torch.tensor([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])[None]  # Bayer (1973)
orders = {
    "row by row": decoding.raster(EVENT),
    "at random": decoding.random(1, EVENT, torch.Generator().manual_seed(SEED))[0],
    "spread": spread,
}
price = {
    name: [sum(decoding.cost(board.entropy, decoding.in_turns(order, k).turn)) for k in range(1, D + 1)]
    for name, order in orders.items()
}
first, second = decoding.cost(board.entropy, decoding.checkerboard(EVENT).turn)

# %%
torch.manual_seed(SEED)
drawn = board.sample(1000)
exact = lambda x, known: torch.stack([1 - board.conditionals(x, known), board.conditionals(x, known)], 1).log()
q = decoding.log_prob(exact, drawn, decoding.checkerboard(EVENT), VALUES).sum(0)
lost = board.log_prob(drawn) - q
claim("checkerboard: mean of log p - log q over draws, and its exact value, differ by, in standard errors",
      (lost.mean() - first - second).abs() / (lost.std() / 1000**0.5), below=4, digits=1)

# %% jupyter={"source_hidden": true}
# The figure: nats lost over the number of turns, and the plans
def what_turns_cost():
    _, axes = plt.subplots(1, 2, figsize=(14, 4.6), width_ratios=[1.6, 1])
    for (name, nats), color in zip(price.items(), colors.COMPONENTS):
        axes[0].plot(range(1, D + 1), nats, "o-", color=color, label=name, ms=4)
    axes[0].plot(2, first + second, "D", color=colors.ACCENT, ms=11, label="checkerboard")
    axes[0].legend(fontsize=13)
    axes[0].set(xlabel="turns k", ylabel="nats lost", ylim=(-0.3, None), title="Draw together what lies apart")
    axes[1].imshow(np.concatenate([np.asarray(decoding.in_turns(o, 4).turn[0]) for o in (orders["row by row"], spread)], 1), cmap="viridis", vmax=4)
    axes[1].axvline(3.5, color="white", lw=8)
    for row in range(4):
        for column in range(8):
            turn = decoding.in_turns(orders["row by row"] if column < 4 else spread, 4).turn[0][row, column % 4]
            axes[1].text(column, row, int(turn) + 1, ha="center", va="center", color="white", fontsize=15)
    axes[1].set(xticks=[1.5, 5.5], yticks=[], title="Four turns: row by row, spread")
    axes[1].set_xticklabels(["row by row", "spread"])


# %%
what_turns_cost()
claim("all in one turn loses, nats", price["spread"][0], near=3.0313, within=1e-3, digits=4)
claim("checkerboard: first half loses, nats", first, near=0.8111, within=1e-3, digits=3)
claim("checkerboard: second half loses, nats", abs(second), below=1e-10)
claim("four turns, row by row: nats lost", price["row by row"][3], near=0.9565, within=1e-3, digits=3)
claim("four turns, spread: nats lost", price["spread"][3], near=0.2293, within=1e-3, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Claims: one at a time loses nothing, and the KL is what an enumeration gives
for name, nats in price.items():
    claim(f"{name}, sixteen turns: nats lost", abs(nats[-1]), below=1e-10)
little = Ising(2, 0.7)
plan = decoding.in_turns(decoding.raster((1, 2, 2)), 2)
tiny = lambda x, known: torch.stack([1 - little.conditionals(x, known), little.conditionals(x, known)], 1).log()
listed = decoding.log_prob(tiny, little.states(), plan, VALUES).sum(0)
kl = (little.log_p.exp() * (little.log_p - listed)).sum()
claim("2 by 2 board: KL by enumeration and by entropies differ by", kl - sum(decoding.cost(little.entropy, plan.turn)), near=0, within=1e-10)

# %% [markdown]
# Left: the price falls with the number of turns, from 3.031 nats for a single turn to zero for sixteen. The second
# half of the checkerboard is free: all neighbors of a white field are black, so given the black fields the white ones
# are independent. With four turns (plans at the right) the spread plan loses 0.23 nats and row by row 0.957. So it
# matters not only how many turns one takes, but also which pixels share a turn.
#
# ## 10.11 Learned beside exact
#
# So far the conditionals were exact. Now a network learns them from draws. Its loss has two parts: the price of the
# turns, which we know, and the rest, which is the network's own error. **Predict:** does the network's own error grow
# when there are fewer turns?

# %%
torch.manual_seed(SEED)
learned = Masked(EVENT, 2, hidden=(256, 256)).to(DEVICE)
train.fit(learned, lambda n: board.sample(n).to(DEVICE), steps=6000 if FULL else 800, batch_size=256, lr=3e-3, rate=train.falling, clip=50.0)
learned.requires_grad_(False)

judged = board.sample(4000)
truth = board.log_prob(judged)
turns = (1, 2, 4, 8, 16)
paid = {}
for k in turns:
    plan = decoding.in_turns(spread.to(DEVICE), k)
    paid[k] = truth - decoding.log_prob(learned.conditionals, judged.to(DEVICE), plan, VALUES.to(DEVICE)).sum(0).cpu()  # (4000,), mean: KL(p || q)

# %% jupyter={"source_hidden": true}
# The figure: KL of the learned model over turns, beside the exact price; boards
def learned_beside_exact():
    _, axes = plt.subplots(1, 3, figsize=(15, 4.4), width_ratios=[1.5, 1, 1])
    axes[0].plot(range(1, D + 1), price["spread"], color=colors.EXACT, lw=6, alpha=0.4, label="exact conditionals")
    mean = [paid[k].mean().item() for k in turns]
    axes[0].errorbar(turns, mean, yerr=[2 * paid[k].std().item() / 4000**0.5 for k in turns], fmt="o-", color=colors.MODEL, label="learned")
    axes[0].set(xlabel="turns k", ylabel="KL, nats", title="The price of turns, and the rest")
    axes[0].legend(fontsize=12)
    torch.manual_seed(SEED)
    for ax, boards, title in ((axes[1], board.sample(25), "Drawn exactly"), (axes[2], learned.sample(25), "Learned, one by one")):
        plotting.images(boards, ax, columns=5)
        ax.set_title(title)


# %%
learned_beside_exact()
rest = paid[16].mean()
claim("learned, one by one: KL from the truth, nats", rest, above=-0.02, below=0.4, digits=1)
claim("its standard error, nats", paid[16].std() / 4000**0.5, below=0.05, digits=1)
claim("learned, all at once: KL minus the exact price, nats", paid[1].mean() - price["spread"][0], above=-0.25, below=0.4, digits=1)

# %% [markdown]
# Hardly. The learned curve lies a little above the exact one, by 0.09 nats one by one and by 0.07 all at once: the
# errors of turns and network add up. The learned boards at the right look like the exact ones. `make bench` trains
# longer and prints what then remains.
#
# **Play.** The explorer of part a has both models of digits. Hide a half, choose an order and a number of turns, and
# read what the hidden true half costs. *Before you press:* which order is cheapest in four turns?
#
# <details><summary>Answer</summary>
#
# For most digits it is the spread order, as on the board; row by row is expensive.
# </details>

# %%
from gdm_core import explorers

explorers.pixels(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 10.12 Pictures in a few turns
#
# Real pictures have more pixels than a board. MaskGIT (Chang et al., 2022) puts everything together: a VQ-VAE (5b.5)
# turns pictures into a grid of codes, a masked model learns the codes, and a few turns fill the grid. In each turn it
# draws the codes of which the network is **surest**. These are chosen before any of them is drawn, so the choice does
# not depend on the draws of that turn, and $\log q(x)$ can still be computed. **Predict:** how many turns will the 49
# codes need?

# %%
large = data.load(DATASET, n=20_000 if FULL else 2000, device=DEVICE).x
size = {"dataset": DATASET, "pictures": len(large), "steps": 3000 if FULL else 350}
vq = kept.trained(pixel_models.picture_codes, seed=SEED, device=DEVICE, **size)  # once, for both parts
K = vq.codes  # 32
torch.manual_seed(SEED)
codes = torch.cat([vq.encode_codes(part) for part in large.split(500)])[:, None] / (K - 1)  # (N, 1, 7, 7)
model = Masked(codes.shape[1:], K, network="conv", width=32, blocks=2, symbols=True).to(DEVICE)
train.fit(model, codes, steps=8000 if FULL else 500, batch_size=32, lr=6e-3, rate=train.falling, clip=100.0, seed=SEED)
model.requires_grad_(False);

# %%
n, P = 24, codes[0].numel()
nothing = torch.zeros(n, *codes.shape[1:], dtype=torch.bool, device=DEVICE)
torch.manual_seed(SEED)
noise = torch.rand(n, *codes.shape[1:], device=DEVICE)  # the same for all
filled = {}
for k in (1, 4, 12, P):
    *_, (filled[k], _) = decoding.decode(model.conditionals, codes[:n], nothing, decoding.Confident(k), model.values, noise)

# %% jupyter={"source_hidden": true}
# The figure: pictures in 1, 4, 12 and 49 turns, surest first
def pictures_in_turns():
    _, axes = plt.subplots(1, 4, figsize=(16, 6.2))
    for ax, (k, drawn) in zip(axes, filled.items()):
        shown = vq.decode_codes((drawn[:, 0] * (K - 1)).round().long()).mean
        plotting.images(shown.clamp(0, 1).cpu(), ax, columns=4)
        ax.set_title("1 turn" if k == 1 else f"{k} turns", loc="center")


# %%
pictures_in_turns()
fresh = vq.encode_codes(data.load(DATASET, "test", n=150, device=DEVICE).x)[:, None] / (K - 1)
cost = {k: -decoding.log_prob(model.conditionals, fresh, decoding.Confident(k), model.values).sum(0) for k in (1, 4, 12, P)}
for k, nats in cost.items():
    claim(f"nats that a new picture's codes cost in {k} turns", nats.mean(), below=P * math.log(K), digits=2)
claim("one turn costs more than four, nats", cost[1].mean() - cost[4].mean(), above=2, digits=1)
claim("and four more than one at a time, nats", cost[4].mean() - cost[P].mean(), above=-1, digits=1)

# %% [markdown]
# In one turn each code is likely at its place, but together they form no digit; with twelve turns most strokes are
# whole. The nats agree: the codes of a new picture cost 110 nats in one turn, 76 in four, 70 in twelve and 68 one at
# a time. Most is gained by the first few turns. Here nobody knows the exact price, so the differences mix the cost of
# turns with how well the network answers each kind of question.
#
# **What to keep.**
#
# - A masked model learns all conditionals with one network. Its bound is the cost of a random order, and the schedule
#   drops out.
# - Drawing several pixels in one turn costs their total correlation given what is known. Draw together what is nearly
#   independent.
# - The error of a learned model is the price of the turns plus the error of its conditionals.
#
# **Limits.** We used one small board, one set of pictures and short training. Where dependence is long-ranged, no
# plan can spread it away. A network that must answer all questions may answer each a little worse than one trained
# for a single order. And masked models, like autoregressive ones, have no latent space.
#
# ## References
#
# - Austin, J., et al. (2021). Structured denoising diffusion models in discrete state-spaces. NeurIPS.
# - Chang, H., et al. (2022). MaskGIT: masked generative image transformer. CVPR.
# - Hoogeboom, E., et al. (2022). Autoregressive diffusion models. ICLR.
# - Sahoo, S., et al. (2024). Simple and effective masked diffusion language models. NeurIPS, eq. 10.
# - Shi, J., et al. (2024). Simplified and generalized masked diffusion for discrete data. NeurIPS.
# - Uria, B., Murray, I., & Larochelle, H. (2014). A deep and tractable density estimator. ICML.
