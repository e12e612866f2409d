# %% [markdown]
# # 12b · Why it does not just memorize
#
# **The best answer to the training loss is a copying machine. Why do trained networks draw new pictures?**
#
# After this lecture you can
#
# - write down the denoiser that no network can beat on its training set, and show that it copies;
# - build a denoiser that sees only patches, and say what it draws instead of copies;
# - tell memorizing from learning by two errors, on pictures seen in training and on new ones;
# - write a block of a diffusion transformer (DiT), and say why it starts out doing nothing;
# - judge pictures drawn for a class by a classifier of real ones.
#
# You need: part a. Time: 40 minutes to read, 20 more to play.

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
# At the end of 12.5 an exact denoiser of 2,000 digits drew nothing but copies. Was that bad luck? Look at the training
# loss. It is an average over the $N$ pictures of the training set and over noise, and the minimum of such a squared
# error is known: the conditional mean $\mathbb E[x \mid x_t]$. If $x$ can only be one of $x_1, \dots, x_N$, this mean
# is a finite sum, the **ideal denoiser** of the training set (Karras et al., 2022, equation 57):
#
# $$ D(x_t, t) = \sum_n w_n\, x_n, \qquad w = \operatorname{softmax}_n \Big( -\frac{\|x_t - \alpha_t x_n\|^2}{2 \sigma_t^2} \Big) . $$
#
# There is no training and no network in it, and **no network can do better on the training loss**. We take 1,000 digits
# and their $D$, start from 300 draws of noise, and sample with DDIM.
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
# All 300 are training pictures. (We call a picture a **copy** if it is three times nearer to one training picture than
# to any other; Yoon et al., 2023.) Nothing went wrong: 1,000 pictures are all that this loss knows about the world.
#
# What is lost shows on pictures that $D$ has *not* seen. We add noise to known and to new digits, denoise both, and
# compare with a much simpler denoiser: the exact one of a single Gaussian with the digits' mean and covariance, which
# is a linear function of $x_t$.

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
# $D$ is nearly perfect on the digits that it knows, with an error of 0.0001, and bad on new ones, 0.096. The linear
# denoiser makes the same error on both, and on new digits it beats the champion of the training loss. So a network that
# is good on new pictures *cannot* be at the minimum of its own training loss. Something must keep it away from there.
# There are two suspects: how much of the picture it can **see** (12.12), and how long it is **trained** and on how many
# pictures (12.13 and 12.14).
#
# ## 12.12 A denoiser that sees only a patch
#
# A convolution looks at a few neighboring pixels. Suppose that each pixel had to be denoised from the $k \times k$
# patch around it alone. The best denoiser of that kind is the same sum, with distances measured over the patch $P_i$
# around pixel $i$. Kamb & Ganguli (2024) call it a **local score machine**:
#
# $$ D_i(x_t, t) = \sum_n w_{n,i}\; x_{n,i}, \qquad
#   w_{\cdot,i} = \operatorname{softmax}_n \Big( -\frac{\|x_t - \alpha_t x_n\|^2_{P_i}}{2 \sigma_t^2} \Big) . $$
#
# Now each pixel may follow a different training picture. We write it for one pixel and compare with the library.
#
# **Predict before you run.** The digits are 8 × 8 pixels large, and a patch of 15 × 15 around any pixel covers the
# whole digit. How small must the patch be before the copies end?

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
    ax.set(xlabel="side of the patch", ylabel="copies, %", xticks=SIDES, title="Smaller patches, fewer copies")


# %%
patch_by_patch()
for k, low, high in ((15, 0.97, 1), (9, 0.45, 0.9), (7, 0.06, 0.4), (5, 0, 0.06), (3, 0, 0.02)):
    claim(f"copies of the machine that sees {k} × {k}", 100 * share[k], above=100 * low, below=100 * high, digits=2, unit="%")

# %% [markdown]
# Compare the rows on the left: every column starts from the same noise. The share of copies falls from 100% to 15% with
# patches of 7 × 7, and is near zero below that. Yet this machine has the same 1,000 pictures as $D$, no parameters and
# no training. It assembles pieces of many pictures, a stroke from one and a loop from another. In larger pictures one
# can see the seams:

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
# Look at the third row. Each piece of floor, wall or object is right for its place, and neighbors agree, but distant
# parts do not: a wall changes its color where no patch spans the change. With larger patches (last row) the rooms
# become more consistent. **A small field of view makes pictures that are new, and inconsistent.**
#
# **Play.** Set how many pictures the machine knows and how far each pixel sees. The noise stays the same, and colors
# show which training picture each pixel follows. *Before you drag:* with two training pictures and patches of 3 × 3,
# can there be more than two different results?
#
# <details><summary>Answer</summary>
#
# Yes: each pixel may follow either picture. Only a patch that spans the whole picture must decide once and for all.
# </details>

# %%
from gdm_core import explorers

explorers.memorizer(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 12.13 A network, and training time
#
# Now the second suspect. We train a real network, a **U-Net** (`unet.UNet`): convolutions at two resolutions, so that
# each pixel does see the whole picture. It is also told the time and the class. We give it only *ten* digits, one of
# each class, and look at it while it trains.
#
# **Predict before you run.** The training loss falls all the time. What happens to the errors on the ten known digits
# and on new ones?

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
    plotting.curve(LOOKS, known, ax, "the ten known digits", color=colors.MODEL, at=0.45)
    ax.axhline(new_error, color=colors.EXACT, ls="--")
    ax.text(LOOKS[0], new_error + 0.004, "D of 1,000, on new digits", color=colors.EXACT)
    ax.set(xlabel="steps of training", ylabel="error at t = 0.2", ylim=(0, None), title="First it learns, then it memorizes")


# %%
by_heart()
claim("copies after 50 steps", 100 * learned_by_heart[50], below=20, digits=2, unit="%")
claim("copies after 300 steps", 100 * learned_by_heart[300], above=60, digits=2, unit="%")
claim("error on the ten after 300 steps", past[300][1][0], below=0.02, digits=1)
claim("error on new digits after 50 steps, less than after 25", past[25][1][1] - past[50][1][1], above=0, digits=1)
claim("error of the D of these ten on new digits, over the network's", errors(ideal.training_set(ten, cosine), (unseen,))[0] / past[300][1][1], above=1.5, digits=2)
claim("error on new digits after 300 steps, over its value after 50", past[300][1][1] / past[50][1][1], above=1.2, digits=2)

# %% [markdown]
# At first the network learns what digits have in common, and both errors fall. Then the error on new digits (orange)
# turns and rises, while the error on the ten keeps falling: what it still learns is specific to these ten. The rows on
# the left show it. After 50 steps no picture is a copy, after 300 steps 99% are.
#
# So a network of this kind *can* memorize. It sees everything, and with enough steps it draws what the $D$ of these ten
# would draw. It is not identical to that $D$, however: on new digits its error is still much smaller.
#
# ## 12.14 How many pictures?
#
# With ten pictures memorizing was easy. We repeat the experiment with 100 and with 1,000 digits and the same network.
# (With 1,000 it is trained twice as long, which if anything helps it to copy.)
#
# **Predict before you run.** The network has 66,529 parameters, more than the 1,000 digits have pixels. Will it copy
# them?

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
    left.set(xscale="log", xlabel="training pictures", ylabel="copies, %", title="Ten digits are copied, a thousand are not")
    known, unknown = np.array([pair for _, pair in by_number.values()]).T
    right.plot(n, unknown, color=colors.ACCENT, marker="o", ms=9)
    right.plot(n, known, color=colors.MODEL, marker="o", ms=9)
    right.text(14, unknown[0], "new digits", color=colors.ACCENT, va="center", fontweight="bold")
    right.text(14, known[0] - 0.003, "known digits", color=colors.MODEL, va="center", fontweight="bold")
    right.set(xscale="log", xlabel="training pictures", ylabel="error at t = 0.2", ylim=(0, None))
    right.set_title("The gap closes with more pictures")


# %%
from_copies_to_new()
for n, (_, (known, unknown)) in list(by_number.items())[1:]:
    claim(f"error on known digits, {n} pictures", known, near=0.03, within=0.012, digits=2)
    claim(f"error on new digits, {n} pictures", unknown, near=0.04, within=0.015, digits=2)
claim("1,000 pictures: error on new digits over that of the best straight line", by_number[1000][1][1] / line_new, below=0.9, digits=2)
claim("error on new over known digits, 100 pictures", by_number[100][1][1] / by_number[100][1][0], above=1.2, digits=2)
gap_closes = 1.35 if FULL else 1.15  # three times as many steps see each picture 64 times, and open it a little again
claim("error on new over known digits, 1,000 pictures", by_number[1000][1][1] / by_number[1000][1][0], below=gap_closes, digits=2)
claim("copies with 1,000 pictures", 100 * shares[1000], below=2, digits=2, unit="%")

# %% [markdown]
# It does not: there are no copies at 100 digits or at 1,000 (left). With 1,000 the errors on known and on new digits
# nearly agree (right), although copying would lower the loss. The network is far from the minimum of its loss, and on
# pictures that it has *not seen* it is better than the linear denoiser and far better than $D$. What it has learned
# belongs to digits in general, not to particular ones.
#
# ## 12.15 What is it like?
#
# What does such a network compute? Perhaps it is a patch machine in disguise. To find out, we give both the same noisy
# new digits and compare their answers. The machines know the same 1,000 digits. They are told the class as well, and
# use only the pictures of that class.
#
# **Predict before you run.** Does the network agree most with machines that see much or little? Is this the same at
# every noise level?

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
        ax.plot(SEEN, [machine_errors[t, k] for k in SEEN], color=colors.EXACT, marker="o", label="machine to truth")
        ax.axhline(own[t], color=colors.MODEL, lw=2.5, label="network to truth")
        ax.plot(SEEN, [away[t, k] for k in SEEN], color=colors.ACCENT, marker="s", label="machine to network")
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
# Follow the orange curve, the distance between machine and network. At $t = 0.2$, with little noise, it is lowest for
# the smallest patches and highest for $D$: a pixel with little noise says by itself what it was. That machine and the
# network are nearer to each other than either is to the truth. With more noise larger patches come closest, and the
# machines differ less from one another.
#
# The network is not just a machine of the right size, though. At $t = 0.2$ it beats every one of them on new digits
# (the vermilion line lies below the green curve). At the two higher levels the best machines do about as well as the
# network.
#
# **Play.** Change the noise on one new digit and compare three answers: the network's, $D$'s, and a patch machine's.
# All three are told the class. *Before you drag:* at which noise level does $D$ first take your digit for another one?
#
# <details><summary>Answer</summary>
#
# The digits are new to it, so at *every* level. With little noise it answers with the nearest training picture, whoever
# wrote that one; with much noise it mixes many, and is then hard to tell from the network.
# </details>

# %%
explorers.denoise_by_hand(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 12.16 No neighborhood at all
#
# If locality prevented copies, a network without it should be in danger. The **diffusion transformer** (DiT; Peebles &
# Xie, 2023) is one. It cuts the picture into tiles, here of 2 × 2 pixels, and from the first block on attention lets
# each tile look at all others. Time and class enter as a vector $c$, which scales, shifts and gates what a block does:
#
# $$ h \leftarrow h + g \odot \text{attention}\big( (1 + a) \odot \text{norm}(h) + b \big), \qquad (a, b, g) = W c , $$
#
# and then the same again with two dense layers in place of attention. The recipe is called **adaLN-zero**, because $W$,
# like the last layer of the network, is initialized to zero.
#
# **Predict before you run.** What does a block do at the start? And what is lost if $W$ is initialized like any other
# layer?

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
    ax.set(xlabel="steps of training", ylabel="loss on new digits", title="The start at zero learns sooner")


# %%
silent = math.pi**2 / 8 * (unseen[:300].square().flatten(1).sum(1).mean().item() + 64)  # mean square of the velocity
two_starts()
claim("loss of the silent start, over that of an answer of 0", curves[True, 0][0] / silent, near=1, within=0.03, digits=2)
claim("least excess of the other start at step 0", min(curves[False, k][0] for k in range(3)) - silent, above=3, digits=1)
claim("least loss of the other start over the largest of the silent one, 50 steps", min(curves[False, k][-1] for k in range(3)) / max(curves[True, k][-1] for k in range(3)), above=1.02, digits=3)
claim("silent start: error on new over known digits", after[True][1] / after[True][0], below=1.1, digits=2)

# %% [markdown]
# With $W = 0$ every gate is closed: a block passes on its input unchanged, and the network answers 0. So its first loss
# is known exactly (dashed). With an ordinary initialization the network first answers noise, has to unlearn it, and is
# still behind after 50 steps for each of three seeds.
#
# And the danger of copying? After these few steps the error is about the same on new digits as on known ones, although
# every tile sees the whole picture. Locality cannot be the only thing that keeps a network from its minimum.
#
# ## 12.17 Draw what was asked for
#
# Not being copies is not enough; the pictures should also be *digits*. The network is told the class, so we ask it for
# fifty of each. The judge is a classifier that has only ever seen real digits, a support vector machine trained on the
# same 1,000.

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
# The judge reads 99% of the drawn digits as the class that was asked for, and 94% of real new digits correctly. Better
# than real is no triumph: a model that draws only typical digits also scores high, and chapter 15 measures diversity
# beside quality. The right panel shows the nearest training pictures: similar, and not the same.
#
# ## What to keep, and what is not settled
#
# - The minimum of the training loss is known in closed form, and its samples are copies. A model that generalizes must
#   miss this minimum.
# - Seeing only patches is one reason to miss it: it makes new pictures out of old pieces, at the price of consistency.
# - Stopping in time and having many pictures is another. Watch the errors on known *and* on new pictures; the training
#   loss alone shows nothing.
# - At low noise our network behaves like a denoiser of very small patches, and does better.
# - In a DiT with adaLN-zero each block starts as the identity.
#
# Honest limits. We used one small network, one set of pictures, and far fewer steps than is usual. When a network
# begins to copy depends on pictures, parameters and time together; Bonnaire et al. (2025) find that the time grows with
# the number of pictures. Large models do copy pictures that their data contain many times (Carlini et al., 2023).
# Patches explain a part: the theory fits convolutional networks better than those with attention (Kamb & Ganguli,
# 2024). And a judge that recognizes a digit does not say how likely it is; for that we needed the exact densities of
# part a.
#
# ## References
#
# - Bonnaire, T., et al. (2025). Why diffusion models don't memorize: the role of implicit dynamical regularization in
#   training. NeurIPS.
# - Carlini, N., et al. (2023). Extracting training data from diffusion models. USENIX Security.
# - Kamb, M., & Ganguli, S. (2024). An analytic theory of creativity in convolutional diffusion models. arXiv preprint.
# - Karras, T., et al. (2022). Elucidating the design space of diffusion-based generative models. NeurIPS, eq. 57.
# - Peebles, W., & Xie, S. (2023). Scalable diffusion models with transformers. ICCV.
# - Yoon, T., et al. (2023). Diffusion probabilistic models generalize when they fail to memorize. ICML workshop.
