# %% [markdown]
# # 12b · Why it does not just memorize
#
# **The best answer to the training loss is a copying machine. Why do trained networks draw new pictures?**
#
# After this lecture you can
#
# - write down the denoiser that no network can beat on its training set, and show that it copies;
# - build a machine that sees patches only, and say what it draws in place of copies;
# - tell memory from learning by two errors, on pictures seen and on new ones, over time and over the number of pictures;
# - write a block of a diffusion transformer, and say why it starts silent;
# - judge pictures drawn for a class by a classifier of real ones.
#
# You need: part a. Time: 35 minutes to read, 20 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": longer training
DATASET = "strokes"  # or "mnist": the large digits of 12.12
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.svm import SVC
from torch.nn.functional import avg_pool2d, layer_norm, silu

from gdm_core import colors, data, ideal, kept, metrics, plotting, samplers, train
from gdm_core.course.claims import claim
from gdm_core.dit import DiT
from gdm_core.explorers.digit_denoisers import digit_denoiser, some_digits
from gdm_core.models.diffusion import Diffusion
from gdm_core.schedules import cosine, times
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "mnist"])
FULL = PROFILE == "full"
plotting.use_style()
torch.manual_seed(SEED)


def numbers():
    return torch.Generator().manual_seed(SEED)


def ink(x):
    """From −1 and 1 to 0 and 1."""
    return (x.cpu() + 1) / 2


# %% [markdown]
# ## 12.11 The best denoiser of a training set
#
# The training loss of part a is a mean over the $N$ pictures of the training set and over noise. Its minimum is known, for
# every loss of that kind: the mean of what $x$ may have been, $\mathbb E[x \mid x_t]$. If $x$ can only be one of
# $x_1 \dots x_N$, that mean is a sum (Karras et al., 2022, equation 57):
#
# $$ D(x_t, t) = \sum_n w_n\, x_n, \qquad w = \operatorname{softmax}_n \Big( -\frac{\|x_t - \alpha_t x_n\|^2}{2 \sigma_t^2} \Big) . $$
#
# No training, no network, and **no network does better on the training loss**. Take 1,000 digits and this $D$, start from
# 300 noises, and draw as in part a: denoise, put the noise back at the next level.
#
# **Predict before you run.** What will the 300 pictures look like?

# %%
digits, labels = some_digits(1000, DEVICE)  # (1000, 1, 8, 8), from −1 to 1
new = data.load("digits", "test", device=DEVICE)
unseen = 2 * new.x - 1


def D(x_t, t):
    alpha, sigma = cosine(t)
    square = (x_t[:, None] - alpha * digits).square().sum((2, 3, 4))  # (B, N)
    w = (-square / (2 * sigma**2)).softmax(1)
    return (w @ digits.flatten(1)).reshape(x_t.shape)


noise = torch.randn(300, 1, 8, 8, generator=numbers()).to(DEVICE)
x = noise
for t, s in zip(times(cosine, 20).to(x), times(cosine, 20).to(x)[1:]):
    (alpha, sigma), (alpha_s, sigma_s), mean = cosine(t), cosine(s), D(x, t)
    x = alpha_s * mean + sigma_s * (x - alpha * mean) / sigma
copies = metrics.copies(x, digits)

# %% jupyter={"source_hidden": true}
# The figure: what was drawn, and what is nearest in the training set
def drawn_and_nearest(x, found, much=12):
    _, axes = plt.subplots(2, 1, figsize=(13, 3.2))
    for ax, shown, title in ((axes[0], x, "Drawn"), (axes[1], digits[found.nearest], "Nearest training picture")):
        plotting.images(ink(shown[:much]), ax, columns=much)
        ax.set_title(title)


# %%
drawn_and_nearest(x, copies)
claim("copies among 300 pictures of the best denoiser", copies.copied.sum(), near=300, within=0)
claim("largest distance of a picture from its original", copies.distance.max(), below=1e-4)
library = ideal.training_set(digits, cosine)
t = torch.tensor(0.5, device=DEVICE)
claim("bare D and library: largest difference", (D(noise, t) - library(noise, t)).abs().max(), below=1e-4)

# %% [markdown]
# All of them are training pictures. (We call a picture a **copy** if it is three times nearer to one training picture
# than to any other; Yoon et al., 2023.) Nothing is wrong: 1,000 pictures were all that the loss knew.
#
# What that costs shows on pictures that it has *not* seen. Add noise to both kinds and denoise:

# %%
def errors(denoise, *sets, t=0.2):
    """Mean square error a pixel on each set, always with the same noise."""
    t, found = torch.tensor(t, device=DEVICE), []
    for x, *y in sets:
        alpha, sigma = cosine(t)
        x_t = alpha * x + sigma * torch.randn(x.shape, generator=numbers()).to(DEVICE)
        found.append((denoise(x_t, t, *y) - x).square().mean().item())
    return found


seen_error, new_error = errors(library, (digits,), (unseen,))
line_seen, line_new = errors(ideal.gaussian(digits.mean(0), torch.cov(digits.flatten(1).T), cosine), (digits,), (unseen,))
claim("error of D on the digits it knows, t = 0.2", seen_error, below=0.002, digits=1)
claim("error of D on new digits", new_error, near=0.097, within=0.015, digits=2)
claim("error of the best straight-line denoiser on known digits", line_seen, near=0.045, within=0.01, digits=2)
claim("error of the best straight-line denoiser on new digits", line_new, near=0.045, within=0.01, digits=2)

# %% [markdown]
# On new digits the champion of the training loss loses to a *straight line*, the exact denoiser of one Gaussian with the
# digits' mean and covariance. So whatever a good network does, it is not the minimum of its own loss. What keeps it away?
# Two suspects: what a network can **see**, and how far it is **trained**.
#
# ## 12.12 A machine that sees a patch
#
# A convolution looks at a few pixels. Suppose that each pixel had to be denoised from the $k \times k$ patch around it
# alone. The best machine of that kind is the same sum, with distances over the patch $P_i$ around pixel $i$
# (Kamb & Ganguli, 2024):
#
# $$ D_i(x_t, t) = \sum_n w_{n,i}\; x_{n,i}, \qquad
#   w_{\cdot,i} = \operatorname{softmax}_n \Big( -\frac{\|x_t - \alpha_t x_n\|^2_{P_i}}{2 \sigma_t^2} \Big) . $$
#
# Each pixel may follow another training picture. We write it for one pixel and compare with the library.
#
# **Predict.** From which patch on do the copies end?

# %%
def one_pixel(x_t, t, i, j, reach):
    alpha, sigma = cosine(t)
    patch = (..., slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1))
    square = (x_t[patch][:, None] - alpha * digits[patch]).square().sum((2, 3, 4))  # (B, N)
    return (-square / (2 * sigma**2)).softmax(1) @ digits[:, 0, i, j]


five = ideal.patches(digits, 5, cosine)(noise, t)
claim("one pixel bare and library: largest difference", (one_pixel(noise, t, 3, 6, 2) - five[:, 0, 3, 6]).abs().max(), below=1e-4)
whole = ideal.patches(digits.double(), 15, cosine)(noise.double(), t.double())
same = ideal.training_set(digits.double(), cosine)(noise.double(), t.double())
claim("a patch as large as the picture gives D: difference", (whole - same).abs().max(), below=1e-9)

# %%
SIDES = (15, 9, 7, 5, 3)
machines = {15: library} | {k: ideal.patches(digits, k, cosine) for k in SIDES[1:]}
drawn = {k: samplers.last(samplers.ddim(machines[k], cosine, noise, times(cosine, 10))) for k in SIDES}
share = {k: metrics.copies(x, digits).copied.double().mean().item() for k, x in drawn.items()}

# %% jupyter={"source_hidden": true}
# The figure: the same noises, patch by patch, and how many end as copies
def patch_by_patch(much=8):
    fig = plt.figure(figsize=(14, 4.6))
    left, right = fig.subfigures(1, 2, width_ratios=[1.5, 1])
    for ax, k in zip(left.subplots(len(SIDES), 1), SIDES):
        plotting.images(ink(drawn[k][:much]), ax, columns=much)
        ax.set_ylabel(f"{k} × {k}", rotation=0, ha="right", va="center", fontsize=13)
    ax = right.subplots()
    p = np.array([share[k] for k in SIDES])
    ax.errorbar(SIDES, 100 * p, 200 * np.sqrt(p * (1 - p) / 300), color=colors.EXACT, marker="o", ms=8, lw=2, capsize=4)
    ax.set(xlabel="side of the patch", ylabel="copies, %", xticks=SIDES, title="Who sees less copies less")


# %%
patch_by_patch()
for k, low, high in ((15, 0.97, 1), (9, 0.45, 0.9), (7, 0.06, 0.4), (5, 0, 0.06), (3, 0, 0.02)):
    claim(f"copies of the machine that sees {k} × {k}", 100 * share[k], above=100 * low, below=100 * high, digits=2, unit="%")

# %% [markdown]
# The machine has the same 1,000 pictures, no parameter, no training, and with small patches it hardly ever copies. It puts
# pieces of many pictures together: a stroke from one, a loop from another. In large pictures one can see the seams.

# %%
large = {
    DATASET: 2 * data.load(DATASET, *(["test"] if DATASET == "mnist" else []), n=200, device=DEVICE).x - 1,
    "scenes": 2 * avg_pool2d(data.load("scenes", n=80, device=DEVICE).x, 2) - 1,
}
mosaics = {}
for name, k in ((DATASET, 7), (DATASET, 15), ("scenes", 7), ("scenes", 21)):
    pictures = large[name]
    start = torch.randn(8, *pictures.shape[1:], generator=numbers()).to(DEVICE)
    mosaics[name, k] = samplers.last(samplers.ddim(ideal.patches(pictures, k, cosine), cosine, start, times(cosine, 8)))

# %% jupyter={"source_hidden": true}
# The figure: pictures made of pieces
def seams():
    _, axes = plt.subplots(4, 1, figsize=(13, 7.4))
    for ax, ((_, k), x) in zip(axes, mosaics.items()):
        plotting.images(ink(x), ax, columns=8)
        ax.set_ylabel(f"{k} × {k}", rotation=0, ha="right", va="center", fontsize=13)


# %%
seams()
few = metrics.copies(mosaics["scenes", 7], large["scenes"]).copied.sum()
claim("copies among 8 rooms made of patches 7 × 7", few, below=1)

# %% [markdown]
# Every piece of floor, wall or object is right for its place, and neighbors agree; what is far apart does not. Walls
# change their color where no patch spans the change: **seeing little makes new pictures, and inconsistent ones.**
#
# **Play.** Set how many pictures the machine knows and how far each pixel sees; the noise stays the same, and colors say whom
# each pixel follows. *Before you drag:* with two pictures and patches 3 × 3, can there be more than two different results?
#
# <details><summary>Answer</summary>
#
# Yes: each pixel may follow either picture. Only a patch that spans the whole picture must decide once and for all.
# </details>

# %%
from gdm_core import explorers

explorers.memorizer(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 12.13 A network, and time
#
# Now a real network, `unet.UNet`: convolutions on two scales that see the whole picture, told time and class. Give it
# *ten* digits, one of each class, and look at it while it trains.
#
# **Predict.** The loss falls all the time. What do the errors on known and on new digits do?

# %%
LOOKS = (25, 50, 100, 200, 300)
ten, ten_labels = some_digits(10, DEVICE)
asked = torch.arange(200, device=DEVICE) % 10  # which class to draw
start = torch.randn(200, 1, 8, 8, generator=numbers()).to(DEVICE)


@torch.no_grad()
def draw(model, x=start, y=asked, steps=20):
    return samplers.last(samplers.ddim(lambda x, t: model.denoise(x, t, y), cosine, x, times(cosine, steps, by="angle")))


torch.manual_seed(SEED)
model, training = digit_denoiser(pictures=10, steps=LOOKS[-1], device=DEVICE)
past = {}
for step, _ in enumerate(training, 1):
    if step in LOOKS:
        with torch.no_grad():
            pair = errors(model.eval().denoise, (ten, ten_labels), (unseen, new.labels))
        past[step] = (draw(model), pair)
learned_by_heart = {k: metrics.copies(x, ten).copied.double().mean().item() for k, (x, _) in past.items()}

# %% jupyter={"source_hidden": true}
# The figure: ten pictures are learned by heart
def by_heart():
    fig = plt.figure(figsize=(14, 4.6))
    left, right = fig.subfigures(1, 2, width_ratios=[1.25, 1])
    rows = [(f"step {k}", past[k][0][:10]) for k in (50, 100, 300)] + [("training", ten[ten_labels.argsort()])]
    for ax, (name, x) in zip(left.subplots(len(rows), 1), rows):
        plotting.images(ink(x), ax, columns=10)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=13)
    ax = right.subplots()
    known, unknown = np.array([pair for _, pair in past.values()]).T
    plotting.curve(LOOKS, unknown, ax, "new digits", color=colors.ACCENT)
    plotting.curve(LOOKS, known, ax, "the ten it learns from", color=colors.MODEL, at=0.45)
    ax.axhline(new_error, color=colors.EXACT, ls="--")
    ax.text(LOOKS[0], new_error + 0.004, "D of 1,000, on new digits", color=colors.EXACT)
    ax.set(xlabel="steps of training", ylabel="error at t = 0.2", ylim=(0, None), title="It learns, then it learns by heart")


# %%
by_heart()
claim("copies after 50 steps", 100 * learned_by_heart[50], below=20, digits=2, unit="%")
claim("copies after 300 steps", 100 * learned_by_heart[300], above=60, digits=2, unit="%")
claim("error on the ten after 300 steps", past[300][1][0], below=0.02, digits=1)
claim("error on new digits after 50 steps, less than after 25", past[25][1][1] - past[50][1][1], above=0, digits=1)
claim("error of the D of these ten on new digits, over the network's", errors(ideal.training_set(ten, cosine), (unseen,))[0] / past[300][1][1], above=1.5, digits=2)
claim("error on new digits after 300 steps, over its value after 50", past[300][1][1] / past[50][1][1], above=1.2, digits=2)

# %% [markdown]
# First the network learns what digits have in common, and both errors fall. Then the one on new digits turns and rises: what
# it still learns is these ten pictures. A network of this kind *can* copy, then: it sees everything, and with enough steps
# it draws what the $D$ of these ten draws. It is not yet that $D$: on new digits it is still far better.
#
# ## 12.14 How many pictures?
#
# The same network, and 100 or 1,000 digits in place of ten. (The thousand are trained twice as long, which helps to copy.)
#
# **Predict.** The network has more parameters than 1,000 digits have pixels. Will it copy them?

# %%
LONG = {10: 300, 100: 300, 1000: 2000 if FULL else 600}  # steps
networks = {n: kept.trained(digit_denoiser, seed=SEED, device=DEVICE, pictures=n, steps=LONG[n]) for n in (100, 1000)}
by_number = {10: past[300]}
for n, network in networks.items():
    by_number[n] = draw(network), errors(network.denoise, some_digits(n, DEVICE), (unseen, new.labels))
shares = {n: metrics.copies(x, some_digits(n, DEVICE)[0]).copied.double().mean().item() for n, (x, _) in by_number.items()}
parameters = sum(p.numel() for p in networks[1000].parameters())
claim("parameters of the network", parameters, above=64 * 1000)

# %% jupyter={"source_hidden": true}
# The figure: from copies to new pictures
def from_copies_to_new():
    _, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2))
    n = np.array(list(by_number))
    p = np.array([shares[k] for k in by_number])
    middle, half = (p + 2 / 200) / (1 + 4 / 200), 2 * np.sqrt(p * (1 - p) / 200 + 1 / 200**2) / (1 + 4 / 200)
    bars = np.abs(np.stack([middle - half - p, middle + half - p]))
    left.errorbar(n, 100 * p, 100 * bars, color=colors.MODEL, marker="o", ms=9, lw=2, capsize=5)
    left.set(xscale="log", xlabel="training pictures", ylabel="copies, %", title="Ten are copied, a thousand are not")
    known, unknown = np.array([pair for _, pair in by_number.values()]).T
    right.plot(n, unknown, color=colors.ACCENT, marker="o", ms=9)
    right.plot(n, known, color=colors.MODEL, marker="o", ms=9)
    right.text(14, unknown[0], "new digits", color=colors.ACCENT, va="center", fontweight="bold")
    right.text(14, known[0] - 0.003, "known digits", color=colors.MODEL, va="center", fontweight="bold")
    right.set(xscale="log", xlabel="training pictures", ylabel="error at t = 0.2", ylim=(0, None))
    right.set_title("Known and new are one when there are enough")


# %%
from_copies_to_new()
for n, (_, (known, unknown)) in list(by_number.items())[1:]:
    claim(f"error on known digits, {n} pictures", known, near=0.03, within=0.012, digits=2)
    claim(f"error on new digits, {n} pictures", unknown, near=0.04, within=0.015, digits=2)
claim("1,000 pictures: error on new digits over that of the best straight line", by_number[1000][1][1] / line_new, below=0.9, digits=2)
claim("error on new over known digits, 100 pictures", by_number[100][1][1] / by_number[100][1][0], above=1.2, digits=2)
claim("error on new over known digits, 1,000 pictures", by_number[1000][1][1] / by_number[1000][1][0], below=1.15, digits=2)
claim("copies with 1,000 pictures", 100 * shares[1000], below=2, digits=2, unit="%")

# %% [markdown]
# With 1,000 digits the errors on known and on new ones nearly agree, though the loss would still reward copying: the
# network is far from its minimum. It lies below the straight-line denoiser, and far below $D$, *on pictures that it has
# not seen*. What it learned is not in any one picture.
#
# ## 12.15 Whom does it resemble?
#
# Is the network a patch machine in disguise? Give both the same noisy, new digits and compare answers. The machines
# know the 1,000 digits as well, and are told the class too: they use only its pictures.
#
# **Predict.** Does the network agree with machines that see much or little? Is it the same at every level?

# %%
LEVELS, SEEN = (0.2, 0.5, 0.8), (1, 3, 5, 7, 9, 15)
away, machine_errors, own = {}, {}, {}
for t in torch.tensor(LEVELS, device=DEVICE):
    alpha, sigma = cosine(t)
    x_t = alpha * unseen + sigma * torch.randn(unseen.shape, generator=numbers()).to(DEVICE)
    with torch.no_grad():
        answer = networks[1000].denoise(x_t, t, new.labels)
    own[t.item()] = (answer - unseen).square().mean().item()
    for k in SEEN:
        told = torch.empty_like(x_t)
        for c in range(10):
            told[new.labels == c] = ideal.patches(digits[labels == c], k, cosine)(x_t[new.labels == c], t)
        away[t.item(), k] = (told - answer).square().mean().item()
        machine_errors[t.item(), k] = (told - unseen).square().mean().item()

# %% jupyter={"source_hidden": true}
# The figure: network and patch machines on new digits
def resemblance():
    _, axes = plt.subplots(1, 3, figsize=(15, 4.2))
    for ax, t in zip(axes, own):
        ax.plot(SEEN, [machine_errors[t, k] for k in SEEN], color=colors.EXACT, marker="o", label="machine, from the truth")
        ax.axhline(own[t], color=colors.MODEL, lw=2.5, label="network, from the truth")
        ax.plot(SEEN, [away[t, k] for k in SEEN], color=colors.ACCENT, marker="s", label="machine, from the network")
        ax.set(xlabel="side of the patch", xticks=SEEN, ylim=(0, None), title=f"t = {t:.1f}")
    axes[0].set_ylabel("mean square difference")
    axes[2].legend(loc="center")


# %%
resemblance()
levels = list(own)
nearest = {t: min(SEEN, key=lambda k: away[t, k]) for t in levels}
claim("t = 0.2: the machine most like the network sees a side of at most", nearest[levels[0]], below=3)
claim("t = 0.2: D is further from the network than that machine, times", away[levels[0], 15] / min(away[levels[0], k] for k in SEEN), above=3, digits=2)
claim("t = 0.2: best machine's error on new digits over the network's", min(machine_errors[levels[0], k] for k in SEEN) / own[levels[0]], above=1.1, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Near each other, not just near the truth; and what more noise changes
claim("t = 0.2: that machine's distance from the network, over that from the truth", min(away[levels[0], k] for k in SEEN) / machine_errors[levels[0], nearest[levels[0]]], below=0.6, digits=2)
claim("t = 0.5: the machine most like the network sees a side of at least", nearest[levels[1]], above=2)
apart = {t: max(machine_errors[t, k] for k in SEEN) / min(machine_errors[t, k] for k in SEEN) for t in levels}
claim("worst over best machine, t = 0.2", apart[levels[0]], above=1.8, digits=2)
claim("worst over best machine, t = 0.8", apart[levels[2]], below=1.3, digits=2)

# %% [markdown]
# Where there is little noise, the network answers like a machine that sees next to nothing, and least of all like $D$: a
# noisy pixel then tells by itself what it was. The two are nearer to each other than either is to the truth. With more noise
# the best patch widens, and all machines come closer together. Yet the network beats *each* of them on new digits at $t = 0.2$:
# it has a patch machine's habits, and knows more than patches.
#
# **Play.** Move the noise on one new digit and compare three answers: the network's, $D$'s, and a patch machine's; all are told
# its class. *Before you drag:* at which level does $D$ first take your digit for another one?
#
# <details><summary>Answer</summary>
#
# The digits are new to it, so at *every* level. With little noise it names the nearest training picture, whoever wrote that;
# with much noise it mixes many, and is then hard to tell from the network.
# </details>

# %%
explorers.denoise_by_hand(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 12.16 No neighborhood at all
#
# A U-Net hears its neighbors first. A **diffusion transformer** cuts the picture into tiles of 2 × 2 pixels, and each of
# them may look at all others from the first block on. Time and class, in $c$, scale, shift and gate what a block does
# (Peebles & Xie, 2023):
#
# $$ h \leftarrow h + g \odot \text{attention}\big( (1 + a) \odot \text{norm}(h) + b \big), \qquad (a, b, g) = W c , $$
#
# then the same with two layers in place of attention. Its name is adaLN-zero: $W$ starts at 0, and so does the last layer.
#
# **Predict.** What does a block do at the start? And what is lost if $W$ starts like any other layer?

# %%
def bare_block(block, h, c, heads=4):
    a, b, gate, a_alone, b_alone, gate_alone = block.modulation(silu(c))[:, None].chunk(6, 2)
    q, k, v = block.qkv((1 + a) * layer_norm(h, h.shape[2:]) + b).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    looks = (q @ k.mT / q.shape[3] ** 0.5).softmax(3)  # (B, heads, tiles, tiles): who looks at whom
    h = h + gate * block.out((looks @ v).transpose(1, 2).flatten(2))
    return h + gate_alone * block.alone((1 + a_alone) * layer_norm(h, h.shape[2:]) + b_alone)


def transformer(zero, seed):
    torch.manual_seed(SEED + seed)
    network = DiT((1, 8, 8), width=32, depth=6, labels=10).to(DEVICE)
    for layer in [] if zero else [network.last, network.modulation, *(block.modulation for block in network.blocks)]:
        layer.reset_parameters()
    return network


h, c = torch.randn(4, 16, 32, device=DEVICE), torch.randn(4, 32, device=DEVICE)
with torch.no_grad():
    (first, *_), (same, *_) = transformer(False, 0).blocks, transformer(True, 0).blocks
    claim("bare block and library, W not 0: largest difference", (bare_block(first, h, c) - first(h, c)).abs().max(), below=1e-5)
    claim("what a block changes where W is 0", (same(h, c) - h).abs().max(), below=1e-9)

# %%
@torch.no_grad()
def loss_on_new(model):
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        return model.loss(unseen[:300], new.labels[:300]).item()


curves, after = {}, {}  # after: of the last seed
for zero in (True, False):
    for seed in range(3):
        model = Diffusion((1, 8, 8), network=transformer(zero, seed), labels=10)
        found = curves[zero, seed] = [loss_on_new(model)]
        torch.manual_seed(SEED + seed)
        run = train.steps(model, (digits, labels), steps=50, batch_size=16, lr=6e-3, rate=train.falling)
        for step, _ in enumerate(run, 1):
            if step % 10 == 0:
                found.append(loss_on_new(model))
    with torch.no_grad():
        after[zero] = errors(model.denoise, (digits, labels), (unseen, new.labels))

# %% jupyter={"source_hidden": true}
# The figure: both starts, three seeds each
def two_starts():
    _, ax = plt.subplots(figsize=(8, 4))
    for (zero, _), found in curves.items():
        ax.plot(range(0, 60, 10), found, color=colors.MODEL if zero else colors.NOISE, marker="o", ms=5)
    ax.axhline(silent, color=colors.EXACT, ls="--")
    ax.text(50, silent + 1, "an answer of 0", color=colors.EXACT, ha="right", va="bottom")
    ax.text(11, curves[False, 0][0], "W as in any layer", color=colors.NOISE, va="center", fontweight="bold")
    ax.text(1, 0.7 * silent, "W starts at 0", color=colors.MODEL, fontweight="bold")
    ax.set(xlabel="steps of training", ylabel="loss on new digits", title="Who starts silent learns sooner")


# %%
silent = math.pi**2 / 8 * (unseen[:300].square().flatten(1).sum(1).mean().item() + 64)  # mean square of the velocity
two_starts()
claim("loss of the silent start, over that of an answer of 0", curves[True, 0][0] / silent, near=1, within=0.03, digits=2)
claim("least excess of the other start at step 0", min(curves[False, k][0] for k in range(3)) - silent, above=3, digits=1)
claim("least loss of the other start over the largest of the silent one, 50 steps", min(curves[False, k][-1] for k in range(3)) / max(curves[True, k][-1] for k in range(3)), above=1.02, digits=3)
claim("silent start: error on new over known digits", after[True][1] / after[True][0], below=1.1, digits=2)

# %% [markdown]
# At the start a block passes on what it gets, and the network answers 0: the loss is that of an empty answer, exactly known.
# An ordinary start first answers noise, has that to unlearn, and is still behind after 50 steps, for every seed. And though
# each tile sees the whole picture, what these few steps teach holds for new digits as well as for known ones.
#
# ## 12.17 Draw what was asked for
#
# New pictures are worth something if they are *digits*. The network is told the class, so ask it for fifty of each, and let
# a classifier decide that has only ever seen real digits: a support vector machine on the same 1,000.

# %%
judge = SVC().fit(digits.flatten(1).cpu().numpy(), labels.cpu().numpy())
fifty = torch.arange(500, device=DEVICE) % 10
pictures = draw(networks[1000], torch.randn(500, 1, 8, 8, generator=numbers()).to(DEVICE), fifty).clamp(-1, 1)
score = lambda x, y: judge.score(x.flatten(1).cpu().numpy(), y.cpu().numpy())
found = metrics.copies(pictures, digits)

# %% jupyter={"source_hidden": true}
# The figure: five of each class, and their nearest training pictures
def as_asked(much=5):
    _, axes = plt.subplots(1, 2, figsize=(13, 6.6))
    first = torch.cat([(fifty == c).nonzero()[:much, 0] for c in range(10)])
    order = first.reshape(10, much).T.flatten()
    for ax, x, title in ((axes[0], pictures, "Drawn for a class"), (axes[1], digits[found.nearest], "Nearest training picture")):
        plotting.images(ink(x[order]), ax, columns=10)
        ax.set_title(title)


# %%
as_asked()
claim("real new digits that the judge reads right", 100 * score(unseen, new.labels), near=94, within=2, digits=2, unit="%")
claim("drawn digits that it reads as the class asked for", 100 * score(pictures, fifty), above=90, digits=2, unit="%")
claim("copies among them", 100 * found.copied.double().mean(), below=2, digits=2, unit="%")

# %% [markdown]
# The judge reads the drawn digits as asked at least as often as it reads real ones right, and copies are rare.
#
# **Limits.** One small network and one set of pictures, far fewer steps than people spend: trained on and on, it would learn
# 1,000 by heart too, and large models do copy pictures that their data repeat (Carlini et al., 2023). Ours turned at ten
# pictures within 300 steps; when a network turns depends on pictures, parameters and time together. Patches explain a
# part: attention sees all at once and does not merely copy either (Kamb & Ganguli, 2024). And a judge that reads a digit does not
# say that it is likely: that took the exact density of part a.
#
# ## References
#
# - Carlini, N., et al. (2023). Extracting training data from diffusion models. USENIX Security.
# - Kamb, M., & Ganguli, S. (2024). An analytic theory of creativity in convolutional diffusion models. arXiv preprint.
# - Karras, T., et al. (2022). Elucidating the design space of diffusion-based generative models. NeurIPS, eq. 57.
# - Peebles, W., & Xie, S. (2023). Scalable diffusion models with transformers. ICCV.
# - Yoon, T., et al. (2023). Diffusion probabilistic models generalize when they fail to memorize. ICML workshop.
