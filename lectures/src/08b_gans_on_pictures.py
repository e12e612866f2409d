# %% [markdown]
# # 8b · GANs on pictures
#
# **A generator turns noise into pictures. How do we ask it for the picture that we want, and what can it learn
# without being told?**
#
# After this lecture you can
#
# - condition a GAN on a class, and edit its pictures with the tools of chapter 5;
# - let a GAN find classes on its own, and say what makes it find the ones that we mean;
# - explain why squared error blurs and an adversarial loss does not, and what each of them gets wrong;
# - translate between two domains without pairs, and say what the losses cannot know;
# - train a generator without a critic, by drifting.
#
# You need: chapters 5, 6 and 8. Time: 40 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures, longer training
DATASET = "digits"  # or "mnist", "fashion": what 8b.3 finds classes in
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, what the parameters may be, and how every model here is trained
import matplotlib.pyplot as plt
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy, softplus

from gdm_core import colors, data, explorers, latent, likelihoods, networks, plotting, train, two_sample
from gdm_core.adversarial import slopes
from gdm_core.course.claims import claim
from gdm_core.data import scenes, three_styles
from gdm_core.models.cyclegan import CycleGAN
from gdm_core.models.drifting import Drifting, drift, shift
from gdm_core.models.gan import GAN
from gdm_core.models.infogan import InfoGAN
from gdm_core.models.vae import VAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "mnist", "fashion"])
FULL = PROFILE == "full"
plotting.use_style()


def learn(make, tensors, steps, **options):
    """A fresh model from `make()`, trained; the same for the same seed."""
    torch.manual_seed(SEED)
    model = make().to(DEVICE)
    options = {"batch_size": 64, "lr": 5e-3, "rate": train.falling, "average": 0.99} | options
    train.fit(model, tensors, steps=4 * steps if FULL else steps, seed=SEED, **options)
    return model.requires_grad_(False)


class Classifier(nn.Module):
    """Reads the class of a picture; trained on data alone."""

    def __init__(self, shape):
        super().__init__()
        self.net = networks.MLPEncoder(shape, 10, (64,))

    def loss(self, x, y):
        return cross_entropy(self.net(x), y)

    def share(self, x, y):  # of the pictures (N, ...) that it reads as y (N,)
        return (self.net(x).argmax(1) == y).float().mean()


# %% [markdown]
# ## 8b.1 Tell both players the class
#
# A GAN that was trained on all digits draws *some* digit. To ask for a particular one, use a **conditional GAN**
# (Mirza and Osindero, 2014): the class $y$ is an input of the generator, and of the critic too, which then judges
# whether $x$ is a good picture *of a* $y$. The pictures are those of chapter 5: digits written by a pen whose slant,
# thickness and width vary. **Predict:** what will happen if only the generator is given the class?

# %%
pen, new = (three_styles.sample(n, seed, DEVICE) for n, seed in ((8000 if FULL else 2000, SEED), (1000, SEED + 1)))
x, new_x = avg_pool2d(pen.x, 2), avg_pool2d(new.x, 2)  # (N, 1, 14, 14)
reader = learn(lambda: Classifier(x.shape[1:]), (x, pen.labels), 400)
claim("share of new pictures whose class the classifier reads", reader.share(new_x, new.labels), above=0.95, digits=2)

# %%
R3 = {"loss": "relativistic", "r1": 0.1, "r2": 0.1, "unit": True}  # the cure of part one
gan = learn(lambda: GAN(x.shape[1:], 3, labels=10, **R3), (x, pen.labels), 1000, average=None)
every = torch.arange(10, device=DEVICE)
asked = every.repeat(100)


class Deaf(nn.Module):  # a critic that is not told y
    def __init__(self):
        super().__init__()
        self.net = networks.MLPEncoder(x.shape[1:], 1, (128, 128), activation=nn.SiLU)
        self.net.net[-1].register_parameter("bias", None)

    def forward(self, x, y):
        return self.net(x)


untold = learn(lambda: GAN(x.shape[1:], 3, labels=10, critic=Deaf(), **R3), (x, pen.labels), 1000, average=None)


# %% jupyter={"source_hidden": true}
# The figure: one z a row, one class a column; the critic was told, and was not
def boards(rows=5):
    z = torch.randn(rows, 1, 3, device=DEVICE).expand(rows, 10, 3)
    _, axes = plt.subplots(1, 2, figsize=(13, 3.4))
    for ax, model, title in zip(axes, (gan, untold), ("Both are told the class", "The critic is not told")):
        plotting.images(model.generate(z, every).flatten(0, 1), ax, columns=10)
        ax.set_title(title)


# %%
boards()
claim(
    "share of samples read as the class that was asked for",
    reader.share(gan.sample(1000, asked), asked),
    above=0.5,
    digits=2,
)
claim("the same where the critic is not told", reader.share(untold.sample(1000, asked), asked), below=0.5, digits=2)

# %% [markdown]
# Each row has one $z$, each column one class. If the critic does not know the class, it cannot object to a perfect 3
# where a 7 was asked for. Nothing then makes the generator use $y$, and the share of obedient samples is 0.12, hardly
# better than chance among ten classes. With a critic that knows, it is 0.86. (Take such shares with caution: they
# come from a classifier that was trained on clean pictures only, and samples are not clean.)
#
# **Play.** Choose a class and drag $z$. Does one $z$ mean one handwriting in all ten classes? *Try to find* a $z$ at
# which a class is read as another one.

# %%
explorers.digit_board(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 8b.2 A space without an encoder
#
# A GAN has no encoder, so a given picture has no code. (BiGAN trains an encoder beside the GAN: Donahue et al., 2017,
# `gdm_core/models/bigan.py`.) The tools of chapter 5 still work, because every *sample* comes with the $z$ that made
# it. Draw many $z$, measure their pictures, and fit the direction in which an attribute grows. Our attribute is
# slant, which can be computed from a picture's second moments.


# %%
def slant(p):  # covariance of across and up, over the variance of up: how far ink moves aside, per pixel of height
    side = torch.arange(p.shape[-1], device=p.device).float()
    weight = p[:, 0] / p[:, 0].sum((1, 2), keepdim=True)
    across, up = side.expand_as(weight), -side[:, None].expand_as(weight)
    mean = lambda a: (weight * a).sum((1, 2), keepdim=True)
    across, up = across - mean(across), up - mean(up)
    return (mean(across * up) / mean(up**2)).flatten()


torch.manual_seed(SEED)
z, y = torch.randn(2000, 3, device=DEVICE), every.repeat(200)
leans = slant(gan.generate(z, y))
leans = leans - torch.stack([leans[y == k].mean() for k in every])[y]  # beyond the usual of the class
leaning = latent.attribute_direction(z, leans > leans.median())
claim("accuracy of the linear classifier of slant", leaning.accuracy, above=0.6, digits=2)

# %%
start = torch.randn(400, 3, device=DEVICE)
walked = torch.stack([slant(gan.generate(leaning.move(start, by), every.repeat(40))) for by in (-1.5, 0.0, 1.5)])
claim(
    "a step of 1.5 along the direction: share of samples that lean more",
    (walked[2] > walked[1]).float().mean(),
    above=0.6,
    digits=2,
)

# %% [markdown]
# The direction works: a step along it makes almost every sample lean further.
#
# Now compare this space with that of a VAE of the same pictures. Chapter 5b joined the spaces of two VAEs by a linear
# map. The same can be done here, because the VAE can encode what the GAN draws, which gives matched codes. Both
# models are told the class, so each class gets a map of its own. It is fitted to half of the codes and tested on the
# rest. **Predict:** how much of the VAE's code does a linear map of $z$ predict?

# %%
noise = likelihoods.Gaussian(0.3, learn=None)
vae = learn(lambda: VAE(x.shape[1:], 3, hidden=(128, 128), likelihood=noise, labels=10), (x, pen.labels), 600, lr=3e-3)
codes = vae.encode(gan.generate(z, y), y).mean
joined, missed, mixed = [], [], []
for k in range(10):
    (fitted, tested), (of, against) = z[y == k].chunk(2), codes[y == k].chunk(2)
    joined.append(latent.fit_map(fitted, of))
    missed.append(joined[k].error(tested, against).value)
    mixed.append(latent.fit_map(fitted, of.flip(0)).error(tested, against).value)  # pairs that do not belong together
claim("from the GAN's space to the VAE's by a linear map: share of the spread that it misses", sum(missed) / 10, near=0.25, within=0.5, digits=1)
claim("the same, fitted to wrong pairs", sum(mixed) / 10, above=0.8, digits=1)


# %% jupyter={"source_hidden": true}
# The figure: walks along slant, and what the map makes of the same z in the VAE
def walks(classes=(3, 7)):
    label = torch.tensor(classes, device=DEVICE).repeat_interleave(7)
    at = torch.linspace(-2, 2, 7, device=DEVICE).repeat(len(classes))
    path = leaning.move(torch.zeros(len(at), 3, device=DEVICE), at)
    some, kinds = z[-7:], y[-7:]
    mapped = torch.cat([joined[k](at[None]) for at, k in zip(some, kinds)])
    pairs = torch.cat([gan.generate(some, kinds), vae.decode(mapped, kinds).mean])
    _, axes = plt.subplots(1, 2, figsize=(13, 2.4))
    plotting.images(gan.generate(path, label), axes[0], columns=7)
    plotting.images(pairs, axes[1], columns=7)
    axes[0].set_title("GAN: walks along slant")
    axes[1].set(title="The same z, by a linear map")
    axes[1].set_yticks([7, 22], ["GAN", "VAE"])


# %%
walks()

# %% [markdown]
# Left: walks along the direction of slant. Right: the same $z$, drawn by the GAN and, after the linear map, by the
# VAE's decoder. The map misses a share of only 0.2 of the spread of the VAE's codes; fitted to pairs that do not
# belong together, it misses all of it. So two spaces that were trained with different losses, one of them without an
# encoder, agree up to a linear map to a large extent.
#
# ## 8b.3 Classes without labels
#
# What if there are no labels? **InfoGAN** (Chen et al., 2016) gives the generator a random class $c$ beside its noise
# $e$, and trains a **reader** $Q$ to guess $c$ from the sample. Generator and reader both pay
# $-\log Q(c \mid G(e, c))$: the generator has to make its classes legible. What they maximize is a lower bound on the
# *mutual information* of $c$ and $x$, how many nats $x$ tells about $c$:
#
# $$ I(c; x) = H(c) - H(c \mid x) \;\ge\; \log K + \mathbb E \log Q(c \mid x) $$
#
# No label is used. But *every* partition of the pictures into ten equal parts could be made legible, so why should
# $c$ become the digit? **Predict:** will it?
#
# We train the same model twice. The first time we make reading hard: $Q$ sees the sample through **fog**, Gaussian
# noise with a standard deviation of `0.4` in each pixel. A class must then be written large to be read.

# %%
few = None if DATASET == "digits" else 4000
hand, hand_test = (data.load(DATASET, split, n=few, device=DEVICE) for split in ("train", "test"))
shrink = lambda p: avg_pool2d(p, 2) if p.shape[-1] == 28 else p
hand_x, hand_new = shrink(hand.x), shrink(hand_test.x)
found = {
    fog: learn(lambda: InfoGAN(hand_x.shape[1:], 4, 10, r1=0.3, fog=fog, unit=True), hand_x, 1400, lr=4e-3)
    for fog in (0.4, 0.0)
}


def matched(model, x, y):  # share of pictures whose class is the label, classes matched to labels at best
    table = torch.zeros(10, 10).index_put_((model.read(x).probs.argmax(1).cpu(), y.cpu()), torch.ones(()), True)
    return table[linear_sum_assignment(-table)].sum() / len(y)


# %%
torch.manual_seed(SEED)
infogan, some = found[0.4], hand_x[:64]
paid = infogan.generator_loss(some)
torch.manual_seed(SEED)
code = infogan.prior().sample((64,))  # four of noise, ten for the class
drawn = infogan.generator(code)[:, 0].sigmoid()
log_q = infogan.reader(drawn + 0.4 * torch.randn_like(drawn)).log_softmax(1)
bare = softplus(-infogan.critic(drawn)).mean() - (log_q * code[:, 4:]).sum(1).mean()
claim("bare and library loss of generator and reader: difference", abs(paid - bare), below=1e-5)


# %% jupyter={"source_hidden": true}
# The figure: one class a row, without and with fog
def shelves(columns=12):
    _, axes = plt.subplots(1, 2, figsize=(13, 5))
    e = torch.randn(10, columns, 4, device=DEVICE)
    for ax, fog, title in zip(axes, found, ("Through fog: many rows are one digit", "Without fog: any cut will do")):
        plotting.images(found[fog].generate(found[fog].code(e, every[:, None])).flatten(0, 1), ax, columns=columns)
        ax.set(title=title, ylabel="c, one a row")


# %%
shelves()
share = {fog: matched(model, hand_new, hand_test.labels) for fog, model in found.items()}
claim("new pictures whose class, matched, is the label: through fog", share[0.4], above=0.3, digits=2)
claim("the same without fog", share[0.0], below=0.65 if FULL else 0.45, digits=2)
if DATASET == "digits":
    claim("fog adds", share[0.4] - share[0.0], above=0.02, digits=1)

# %% [markdown]
# Each row is one $c$, each picture another $e$. Match the ten classes to the ten digits in the best possible way, and
# they agree for a share of 0.44 of new pictures with fog, and 0.25 without. Nothing in the bound prefers digits. Fog
# does, because what survives it are differences in many pixels, and in these pictures those often belong to the
# digit. The fog was our choice; any answer to the question "which classes?" needs one. It has a price as well: with
# fog, the pictures within a row hardly differ. (These are the numbers of one seed; `make bench ROW=gan_kin` trains
# longer and prints several.)
#
# ## 8b.4 Averages leave the manifold
#
# Often the condition is itself a picture, and many answers are right. That was the failure with which chapter 1
# began. Take a digit and keep only four numbers, the mean of each quarter; enlarging it back is an extreme case of
# **super-resolution**. Many digits share the same four numbers. **Predict:** what will a network draw that was
# trained by squared error to recover the picture?
#
# Theory knows its best answer: $\mathbb E[x \mid \text{small}]$, the average of all pictures that fit (Ledig et al.,
# 2017, show this for photographs). For comparison we train the same generator adversarially: it gets noise beside the
# small picture, and a critic that sees pairs of a small picture and a large one. `train.fit` takes any module that
# has players and their losses.

# %%
small = lambda p: avg_pool2d(p, 7).flatten(1)  # (B, 1, 14, 14) -> (B, 4)


class Zoom(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = networks.mlp(4 + 4, (128, 128), 196, nn.SiLU)
        self.critic = networks.mlp(4 + 196, (128, 128), 1, nn.SiLU)
        self.critic[-1].register_parameter("bias", None)

    def players(self):
        return {name: list(getattr(self, name).parameters()) for name in ("critic", "generator")}

    def up(self, low):  # (B, 4) -> a picture that fits
        seen = torch.cat([5 * low, torch.randn_like(low)], 1)
        return self.generator(seen).sigmoid().view(-1, 1, 14, 14)


# %%
class Adversarial(Zoom):  # the relativistic loss of part one, of pairs (small, picture)
    def pairs(self, x):
        low = small(x)
        return [torch.cat([5 * low, p.flatten(1)], 1) for p in (x, self.up(low))]

    def critic_loss(self, x):
        pairs = [p.detach().requires_grad_() for p in self.pairs(x)]
        real, fake = (self.critic(p) for p in pairs)
        steep = slopes(real, pairs[0]) ** 2 + slopes(fake, pairs[1]) ** 2
        return softplus(fake - real).mean() + 0.05 * steep.mean()

    def generator_loss(self, x):
        real, fake = (self.critic(p) for p in self.pairs(x))
        return softplus(real - fake).mean()


# %%
class Squared(Adversarial):  # the same generator, no critic
    def players(self):
        return {"generator": list(self.generator.parameters())}

    def generator_loss(self, x):
        return (self.up(small(x)) - x).square().sum((1, 2, 3)).mean()


zoom = {"squared error": learn(Squared, x, 500), "adversarial": learn(Adversarial, x, 1000, lr=3e-3)}
made = {name: model.up(small(new_x)) for name, model in zoom.items()}


# %% jupyter={"source_hidden": true}
# The figure: the small picture, what both make of it, and the truth
def zoomed(count=14):
    rows = [
        avg_pool2d(new_x[:count], 7).repeat_interleave(7, 2).repeat_interleave(7, 3),
        *(p[:count] for p in made.values()),
        new_x[:count],
    ]
    _, ax = plt.subplots(figsize=(12, 3.8))
    plotting.images(torch.cat(rows), ax, columns=count)
    ax.set_yticks([7 + 15 * i for i in range(4)], ["four numbers", *made, "truth"])
    ax.set_title("The average fits all answers and is none of them")


# %%
zoomed()
gray = lambda p: ((p > 0.25) & (p < 0.75)).float().mean()
judge = lambda p: zoom["adversarial"].critic(torch.cat([5 * small(new_x), p.flatten(1)], 1))
wrong = {name: (p - new_x).square().sum((1, 2, 3)).mean() for name, p in made.items()}
claim(
    "squared error: adversarial over squared error", wrong["adversarial"] / wrong["squared error"], above=1.1, digits=2
)
blurred = gray(made["squared error"])
claim("pixels that are neither ink nor paper: squared error over truth", blurred / gray(new_x), above=1.3, digits=2)
claim("the same: adversarial over squared error", gray(made["adversarial"]) / blurred, below=0.9, digits=2)
refused = (judge(new_x) > judge(made["squared error"])).float().mean()
claim("share of the blurred pictures that the critic ranks below the truth", refused, above=0.8, digits=2)
right = reader.share(made["adversarial"], new.labels)
claim("adversarial pictures that are read as what was there", right, below=0.5, digits=1)

# %% [markdown]
# From top to bottom: what both networks are given, what they make of it, and the truth. By squared error the blurred
# pictures win, as they must: they are the average, which fits all answers and is none of them. The critic ranks every
# one of them below the truth, since no data look like that. The adversarial pictures are sharper, but some are no
# digit, and most are not the digit that was there. A picture that looks right is not evidence.
#
# ## 8b.5 Two domains without pairs
#
# Sometimes we know what pictures should look like before and after, but have no pairs. Here are rooms in warm colors
# and rooms in cold ones, hundreds of each, and no room appears in both. (We render the rooms, so we know the true
# pairs; the model does not.) **CycleGAN** (Zhu et al., 2017) learns a map in each direction, $A$ and $B$, with a
# critic in each domain, and asks that going there and back returns the picture. This last demand is called *cycle
# consistency*. The maps minimize
#
# $$ \text{adversarial costs} + \lambda\,\big(\mathbb E\,\|B(A(x)) - x\|_1 + \mathbb E\,\|A(B(y)) - y\|_1\big) , $$
#
# with $\|\cdot\|_1$ as a mean over pixels and $\lambda = 10$.
#
# **Predict:** is that enough to find the true pairs? Four out of five rooms have floors of a common kind, the others
# of a rarer one.


# %% jupyter={"source_hidden": true}
# The two domains
def rooms(n, seed, size=32):  # the same rooms in warm and in cold colors; four of five have floors of the first kind
    u = torch.rand(4, n, generator=torch.Generator().manual_seed(seed))
    kind = u[0] < 0.8
    place = {"scale": 0.75 + 0.5 * u[1], "orientation": 60 * u[2] - 30, "shape": (4 * u[3]).floor()}
    hues = {"warm": ((0.1, 0.3), 0.15, 0.0), "cold": ((0.6, 0.8), 0.55, 0.85)}
    return [
        scenes.render(
            {
                "floor_hue": torch.where(kind, *map(torch.tensor, floor)),
                "wall_hue": torch.full((n,), wall),
                "object_hue": torch.full((n,), thing),
                **place,
            },
            size,
            DEVICE,
        )
        for floor, wall, thing in hues.values()
    ]


# %%
(warm, _), (_, cold) = rooms(400, SEED + 3), rooms(400, SEED + 4)  # no room is in both
test_warm, test_cold = rooms(100, SEED + 5)
turned = learn(
    lambda: CycleGAN((3, 32, 32), r1=0.1, width=16),
    torch.stack([warm, cold], 1),
    120,
    lr=2e-3,
    batch_size=8,
    average=None,
)

# %%
both = torch.stack([warm[:8], cold[:8]], 1)
there, back = turned.there(warm[:8]), turned.back(cold[:8])
cycle = (turned.back(there) - warm[:8]).abs().mean() + (turned.there(back) - cold[:8]).abs().mean()
fooled = [((critic(p) - 1) ** 2 / 2).mean() for critic, p in zip(turned.critics, (back, there))]
bare = sum(fooled) + 10 * cycle
claim("bare and library loss of the maps: difference", abs(turned.generator_loss(both) - bare), below=1e-4)
off = lambda p: (p - test_cold).square().mean()
ratio = off(turned.there(test_warm)) / off(test_warm)
claim("held-out squared error against the true pairs, over that of no translation", ratio, below=0.333, digits=2)
floor = test_warm[:, 1:2] > test_warm[:, :1]  # the rarer kind is green
off = lambda p: ((p - test_cold).square() * floor).mean()
rare = off(turned.there(test_warm)) / off(test_warm)
claim("the same on floors of the rarer kind", rare, above=0.5, digits=1)
claim("times as much of the error is left there", rare / ratio, above=2, digits=1)


# %% jupyter={"source_hidden": true}
# The figure: warm rooms, their translations, and the truth
def translated(count=8):
    rows = torch.cat([test_warm[:count], turned.there(test_warm[:count]), test_cold[:count]])
    _, ax = plt.subplots(figsize=(11, 4.4))
    plotting.images(rows, ax, columns=count)
    ax.set_yticks([16 + 33 * i for i in range(3)], ["given", "translated", "truth"])
    ax.set_title("Learned from rooms that were never seen in both colors")


# %%
translated()

# %% [markdown]
# Held-out rooms, their translations, and the truth. Translation removes most of the squared error: a share of 0.12 is
# left. But this average hides what the picture shows. It is made mostly of walls and common floors. On floors of the
# rarer kind (green, to become violet) most of the error is still there, and in this run the objects have a wrong
# color too.
#
# Is that for lack of training, or can the losses not know better? Take a smaller world with two kinds of example in
# each domain, $\pm 1$, equally frequent. The true map is $x \mapsto x$. Compare its losses with those of the map that
# swaps the kinds, $x \mapsto -x$. **Predict:** which one has the lower loss?


# %%
class Times(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x):
        return self.by * x


ends = torch.tensor([[-1.0], [1.0]]).repeat(50, 1)
critics = tuple(networks.mlp(1, (8,), 1) for _ in range(2))
true, swapped = (CycleGAN((1,), maps=(Times(by), Times(by)), critics=critics) for by in (1.0, -1.0))
pairs = torch.stack([ends, ends], 1)
for player in ("critic_loss", "generator_loss"):
    difference = getattr(true, player)(pairs) - getattr(swapped, player)(pairs)
    claim(f"{player} of the true map less that of the swapped one", abs(difference), below=1e-5)

# %% [markdown]
# Both losses are equal, for these critics and for any others, although the second map translates every example
# wrongly. Each map turns one marginal distribution into the other, and each can be undone; that is all the losses ask
# for. Without true pairs nobody sees the difference, and a cycle that closes does not show it.
#
# ## 8b.6 A generator without a critic
#
# The adversarial generators above had to be taught by a second network. In 6.7 a fixed statistic, MMD, could do the
# teaching. **Drifting** (Deng et al., 2026) is a new idea of this kind: each sample $t$ is pulled toward the data
# near it and pushed away from the other samples near it. With a kernel $k$ as in 6.4, its **drift** is
#
# $$ V(t) = \frac{\mathbb E\,k(t, x)(x - t)}{\mathbb E\,k(t, x)} - \frac{\mathbb E\,k(t, y)(y - t)}{\mathbb E\,k(t, y)} , $$
#
# with $x$ from the data and $y$ from the generator. The generator is trained to put its samples where they drift,
# $\min \mathbb E \|G(z) - \operatorname{stop}(G(z) + V)\|^2$; "stop" means that no gradient flows through the target. Why
# should this lead to the data? With a Gaussian kernel of width $h$, let $p_h$ and $q_h$ be the two distributions
# blurred by $h$. Each half of $V$ is then a *mean shift*, which is $h^2$ times the gradient of a log-density:
#
# $$ V = h^2\,\nabla \log\frac{p_h}{q_h} , \qquad \nabla f \propto p_h\,V_p - q_h\,V_q . $$
#
# So three ideas of this course meet. By the first equation, drift is the gradient of the best critic's logit between
# the blurred distributions (8.2), and also a difference of two **scores**, gradients of log-densities, which chapter
# 11 is about. By the second, the slope of MMD's witness $f$ is made of the same two pulls, $V_p$ and $V_q$, but
# weights them by the densities. We check all of this by differentiation.

# %%
torch.manual_seed(SEED)
ring = data.load("eight_gaussians", n=2).density.to(DEVICE)
p, q, h = ring.sample(200).double().cpu(), torch.randn(200, 2).double(), 0.8
t = (2 * torch.randn(50, 2)).double().requires_grad_()
log_density = lambda s: (-(torch.cdist(t, s) ** 2) / (2 * h**2)).logsumexp(1)  # up to a constant
(score,) = torch.autograd.grad((log_density(p) - log_density(q)).sum(), t, retain_graph=True)
V, back = drift(t, p, q, h), drift(t, q, p, h)
claim("drift less h² times the difference of scores, largest", (V - h**2 * score).abs().max(), below=1e-9)
claim("drift plus the drift with p and q exchanged, largest", (V + back).abs().max(), below=1e-9)
(slope,) = torch.autograd.grad(two_sample.witness(p, q, h)(t).sum(), t)
weighed = [log_density(s).exp()[:, None] / len(s) * shift(t, s, h) for s in (p, q)]
claim(
    "slope of MMD's witness less the weighed pulls, largest",
    (slope - (weighed[0] - weighed[1]) / h**2).abs().max(),
    below=1e-9,
)

# %% [markdown]
# Where $p = q$, no drift is left. Now start from the worst place, a **collapsed** generator, all of whose samples sit
# at one point of the ring. **Predict:** will they come apart, and does the width $h$ matter?


# %%
def collapsed(h):
    model = Drifting(2, 2, h=h)
    with torch.no_grad():
        model.generator.net[-1].weight.mul_(1e-2)
        model.generator.net[-1].bias.copy_(ring.means[0])
    return model


widths = (0.15, 0.8)
drifted = {h: learn(lambda: collapsed(h), lambda n: (ring.sample(n),), 400, lr=3e-3, batch_size=256) for h in widths}
near = lambda s: torch.cdist(s, ring.means).amin(1) < 1.0
modes = {h: len(torch.cdist(s := m.sample(2000), ring.means)[near(s)].argmin(1).unique()) for h, m in drifted.items()}


# %% jupyter={"source_hidden": true}
# The figure: the drift as training begins, and where the samples are at its end
def drifts():
    _, axes = plt.subplots(1, 3, figsize=(14, 4.6))
    torch.manual_seed(SEED)
    first = collapsed(0.8).to(DEVICE).sample(300)
    where = plotting.grid((-5, 5, -5, 5), 15).to(DEVICE)
    V = drift(where, ring.sample(1000), first, 0.8)
    axes[0].quiver(*where.T.cpu(), *V.T.cpu(), color=colors.LATENT, alpha=0.7, angles="xy")
    titles = ("Collapsed, and the drift, h = 0.8", "After training, h = 0.15", "After training, h = 0.8")
    for ax, s, title in zip(axes, (first, *(m.sample(1000) for m in drifted.values())), titles):
        plotting.points(ring.sample(1000), ax, color=colors.DATA, alpha=0.3)
        plotting.points(s, ax, color=colors.MODEL)
        ax.set(xlim=(-5, 5), ylim=(-5, 5), title=title)


# %%
drifts()
claim("modes that samples reach from a collapsed start, narrow kernel", modes[0.15], below=3)
claim("modes that samples reach from a collapsed start, wide kernel", modes[0.8], above=6)

# %% [markdown]
# They come apart, since each sample pushes the others away. The width decides how far they get. The left panel shows
# the drift at the start. For a sample at the starting bump, a kernel much narrower than the gap gives nearly all
# weight to the data of that same bump, and the samples settle there (middle). The wide kernel lets the next bump
# pull, and from there the one after it, until all eight are reached (right).
#
# ## 8b.7 What to keep, and what is not settled
#
# - A conditional GAN needs the class in both players, or the generator need not listen.
# - Samples have codes, so a GAN's space can be measured, walked through, and joined to another space.
# - InfoGAN finds *some* legible partition. Which one is decided by what the reader is allowed to use.
# - Squared error asks for the average answer; a critic asks for an answer that looks like data. Neither asks for the
#   truth.
# - Without pairs, CycleGAN's losses cannot tell the true map from another that respects both marginals.
# - For blurred distributions, drift, the gradient of the best critic's logit, and the difference of two scores are
#   one and the same field.
#
# Honest limits. Everything here is small: digits of 14 × 14 pixels, rooms of two kinds, minutes of training. Except
# in CycleGAN, the networks are fully connected; convolutions, as in DCGAN (Radford, Metz and Chintala, 2016), pay off
# on larger pictures. The classifier that scores samples was trained on clean pictures only. And among large pictures
# all neighbors are far away, so the paper on drifting computes its drift in the features of a network, not in pixels.
#
# **References.** M. Mirza, S. Osindero, *Conditional generative adversarial nets*, 2014. X. Chen et al., *InfoGAN*,
# 2016, eq. 5 and 6. A. Radford, L. Metz, S. Chintala, *Unsupervised representation learning with deep convolutional
# generative adversarial networks*, 2016. J. Donahue, P. Krähenbühl, T. Darrell, *Adversarial feature learning*, 2017.
# J.-Y. Zhu et al., *Unpaired image-to-image translation using cycle-consistent adversarial networks*, 2017, eq. 3. C.
# Ledig et al., *Photo-realistic single image super-resolution using a generative adversarial network*, 2017. Y. Huang
# et al., *The GAN is dead; long live the GAN!*, 2024. M. Deng et al., *Generative modeling via drifting*, 2026.
