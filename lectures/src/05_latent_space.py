# %% [markdown]
# # 5 · Latent space: changing one thing and leaving the rest
#
# **A VAE gives every picture a code. Can we change that code so that one thing in the picture changes and everything
# else stays as it was?**
#
# After this lecture you can
#
# - condition a VAE on a label, say what is then left for $z$ to carry, and check it against the truth;
# - interpolate between codes, and say when and why the middle of a straight line decodes badly;
# - do arithmetic with codes, and measure how much of the error it removes;
# - disentangle the direction of one attribute from that of another by orthogonal projection.
#
# You need: chapters 3 and 4. Part 5b asks which properties of a latent space belong to the data and which are
# accidents of training. Time: 50 minutes to read, 20 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures, longer training
DATASET = "strokes"  # or "digits", "mnist", "fashion": what 5.5 learns from
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, what the parameters may be, and how every model here is trained
import matplotlib.pyplot as plt
import torch
from scipy.stats import chi
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch.distributions import Normal
from torch.nn.functional import avg_pool2d, one_hot

from gdm_core import colors, data, latent, likelihoods, plotting, train
from gdm_core.course.claims import claim
from gdm_core.data import three_styles
from gdm_core.data.three_styles import STYLES
from gdm_core.meter import Meter
from gdm_core.models.vae import VAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "digits", "mnist", "fashion"])
FULL = PROFILE == "full"
REAL = "digits" if DATASET == "strokes" else DATASET  # where pictures made by people are wanted
plotting.use_style()
torch.manual_seed(SEED)


def learn(make, *tensors, steps=1000, **options):
    """A fresh model from `make()`, trained on `tensors` (x, or x and labels); the same for the same seed."""
    torch.manual_seed(SEED)
    model = make().to(DEVICE)
    options = {"batch_size": 64, "lr": 3e-3, "rate": train.falling} | options
    train.fit(model, tensors, steps=4 * steps if FULL else steps, seed=SEED, **options)
    return model.requires_grad_(False)


def small(x):  # 28 x 28 pixels become 14 x 14
    return avg_pool2d(x, 2) if x.shape[-1] == 28 else x


def noise(std):  # of a pixel, fixed: how exact a reconstruction has to be
    return likelihoods.Gaussian(std, learn=None)


def agreement(a, b):  # correlation of two lists of numbers
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]


# %% [markdown]
# ## 5.1 The same hand, another digit
#
# Somebody wrote a 3. What would *their* 7 look like? We can check an answer only if we know what their style is. So
# we start in a world where we do: digits drawn by a simulated pen whose **slant**, **thickness** and **width** we
# set. The class is the *content*, the three numbers are the *style*.

# %% jupyter={"source_hidden": true}
# The figure: ten classes a row, one style a row
def shelf(rows):
    every = torch.arange(10).repeat(len(rows))
    board = three_styles.draw(every, torch.tensor([s for s in rows.values() for _ in range(10)]))
    _, ax = plt.subplots(figsize=(11, 3.5))
    plotting.images(board, ax, columns=10)
    ax.set_title("Each row is one style, each column one class")
    ax.set_yticks([(i + 0.5) * (board.shape[-1] + 1) for i in range(len(rows))], rows)


# %%
shelf({"slanted, thin": (0.6, 1.3, 1.0), "bold, leaning back": (-0.3, 3.2, 0.8), "wide": (0.2, 2.2, 1.5)})

# %% [markdown]
# The models see such pictures at half the size, each in a random style.

# %%
def world(n, seed):
    d = three_styles.sample(n, seed, DEVICE)
    return small(d.x), d.labels, three_styles.styles(d)


def drawn(y, style):  # the truth: digits y (N,) in the styles (N, 3)
    return small(three_styles.draw(y, style))


x, y, style = world(20000 if FULL else 4000, SEED)
test_x, test_y, test_style = world(1000, SEED + 1)

# %% [markdown]
# To check a decoded picture we need to measure its style. Our **measuring device** is a small network that reads the
# three numbers off a picture, trained on drawn pictures of known style. It is tested on new ones, and it has never
# seen a VAE.

# %%
meter = learn(lambda: Meter(x.shape[1:], style.mean(0), style.std(0), labels=10), x, style, y, steps=1200)
wrong = (meter(test_x, test_y) - test_style).square()  # (N, styles)
for name, share in zip(STYLES, 1 - wrong.mean(0) / test_style.var(0)):
    claim(f"of the {name}'s variance the device explains a share of", share, above=0.75, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the width without the 1
has_width = test_y != 1
width_alone = 1 - wrong[has_width, 2].mean() / test_style[has_width, 2].var()
claim("without the 1, of the width's variance it explains a share of", width_alone, above=0.9, digits=2)

# %% [markdown]
# Width is the hardest to read, at a share of 0.87, because a 1 has none; without the 1 the device explains nearly all
# of it.
#
# **First try.** Train the VAE of chapter 4 and find the mean code of each class. To turn a 3 into a 7, add to its
# code the difference of the two means. **Predict:** which survives this best, slant, thickness or width?

# %%
plain = learn(lambda: VAE(x.shape[1:], 8, hidden=(256, 256), likelihood=noise(0.2)), x)
codes, test_codes = plain.encode(x).mean, plain.encode(test_x).mean
centers = torch.stack([codes[y == k].mean(0) for k in range(10)])


def moved(z, y, new_y):
    return plain.decode(z - centers[y] + centers[new_y]).mean


# %% jupyter={"source_hidden": true}
# The figure: the given picture and ten made ones a row; beside them the pen's
shown = torch.stack([(test_y == k).nonzero()[i, 0] for i, k in enumerate((3, 5, 8, 2))])
every = torch.arange(10, device=DEVICE).repeat(len(shown))
one = shown.repeat_interleave(10)


def two_boards(made, title):
    rows = torch.cat([test_x[shown][:, None], made.unflatten(0, (-1, 10))], 1)
    _, axes = plt.subplots(1, 2, figsize=(14, 3.2), width_ratios=[11, 10])
    plotting.images(rows.flatten(0, 1), axes[0], columns=11)
    plotting.images(drawn(every, test_style[one]), axes[1], columns=10)
    axes[0].axvline(made.shape[-1], color=colors.ACCENT, lw=3)
    axes[0].set_title(f"Given | {title}")
    axes[1].set_title("What the pen draws")


# %%
two_boards(moved(test_codes[one], test_y[one], every), "moved by the difference of class means")

# %%
others = (test_y + torch.arange(1, 10, device=DEVICE)[:, None]) % 10  # (9, B): each picture as the nine other classes


def as_others(decode):  # styles of what decode(classes) makes, (9, B, 3)
    return torch.stack([meter(decode(k), k) for k in others])


def kept_by(styles):  # correlation with the given picture's style, for each of the three
    return [agreement(s, t.expand(9, -1)) for s, t in zip(styles.movedim(2, 0), test_style.T)]


kept_plain = kept_by(as_others(lambda k: moved(test_codes, test_y, k)))
for name, r, most in zip(STYLES, kept_plain, (0.97, 0.6, 0.85)):
    claim(f"moved to another class, the {name} correlates with the given one by", r, below=most, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the class can be read off z
known = LogisticRegression(max_iter=2000).fit(codes.cpu(), y.cpu()).score(test_codes.cpu(), test_y.cpu())
claim("share of test digits whose class a linear classifier reads off z", known, above=0.9, digits=2)

# %% [markdown]
# The slant survives best, with a correlation of 0.89. Width reaches 0.63 and thickness only 0.39, and many results
# (left) are no digit at all. Class and style share one space here: a linear classifier reads the class off $z$ for a
# share of 0.99. So each class has a region of its own, and nothing forces the regions to have the same layout. A
# direction that means "bolder" in one region may mean something else in the next.
#
# ## 5.2 Tell encoder and decoder the label
#
# We would like $z$ to carry the style alone. During training the class is known, so no latent has to carry it: give
# the label $y$ to encoder and decoder. This is the **conditional VAE** (Kingma et al., 2014; Sohn, Lee and Yan,
# 2015). The bound of chapter 3 holds for every class separately:
#
# $$ \log p(x \mid y) \;\ge\; \mathbb E_{q(z\mid x, y)}\big[\log p(x \mid z, y)\big] - \mathrm{KL}\big(q(z \mid x, y)\,\|\,p(z)\big) . $$
#
# The prior does *not* depend on the label. Averaged over the data, the KL term can be split as in chapter 4b, with
# $I$ for mutual information:
#
# $$ \mathbb E\,\mathrm{KL}\big(q(z\mid x, y)\,\|\,p(z)\big) = I(z; x\mid y) + I(z; y) + \mathrm{KL}\big(q(z)\,\|\,p(z)\big) . $$
#
# The middle term is the cost of storing the class in $z$. It buys nothing, because the decoder is told $y$ anyway. So
# training drives it down, and $z$ keeps what the label does not tell: the style.

# %%
conditional = learn(lambda: VAE(x.shape[1:], 3, hidden=(256, 256), likelihood=noise(0.3), labels=10), x, y)


def bare_bound(x, y):
    label = one_hot(y, 10).float()
    mean, log_std = conditional.encoder.net(torch.cat([x.flatten(1), label], 1)).chunk(2, 1)  # (B, 3) each
    z = mean + log_std.exp() * torch.randn_like(mean)
    picture = conditional.decoder.net(torch.cat([z, label], 1)).view_as(x)
    log_px = Normal(picture, 0.3).log_prob(x).sum((1, 2, 3))
    kl = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)
    return log_px - kl  # (B,) nats


torch.manual_seed(SEED)
bare = bare_bound(test_x, test_y)
torch.manual_seed(SEED)
gap = (bare - conditional.elbo(test_x, test_y)).abs().max()
claim("bare and library bound, largest difference", gap, below=0.01, digits=1, unit="nats")

# %%
q = conditional.encode(test_x, test_y)
test_z, draws = q.mean, [conditional.encode(x, y).sample().cpu(), q.sample().cpu()]
forest = RandomForestClassifier(100, random_state=SEED).fit(draws[0], y.cpu())
left = forest.score(draws[1], test_y.cpu())
claim("share of test digits whose class a random forest reads off a draw of z now", left, below=0.3, digits=2)

# %% [markdown]
# A share of 0.15, hardly more than the one in ten of pure guessing: little of the class is left in $z$.
#
# ## 5.3 Analogies, checked
#
# Now we can ask the opening question again. Encode the given digit with its label, keep $z$, and decode with the nine
# other labels: *this is to 3 as what is to 7?*

# %%
two_boards(conditional.decode(test_z[one], every).mean, "z of the given picture, another label")

# %%
as_style = as_others(lambda k: conditional.decode(test_z, k).mean)
kept = kept_by(as_style)
for name, r, least in zip(STYLES, kept, (0.85, 0.65, 0.5)):
    claim(f"decoded as another class, the {name} correlates with the given one by", r, above=least, digits=2)

# %% [markdown]
# All three correlations are higher than before, and the rows at the left resemble what the pen draws. Is the label
# the reason? This model also has fewer latents and more noise than the plain one, so as a control we train another
# one with the plain model's values. The measuring device may err, so it also reads the pen's pictures. And a 1 has no
# width to keep, so we also look without it.

# %%
fair = learn(lambda: VAE(x.shape[1:], 8, hidden=(256, 256), likelihood=noise(0.2), labels=10), x, y)
fair_z = fair.encode(test_x, test_y).mean
kept_fair = kept_by(as_others(lambda k: fair.decode(fair_z, k).mean))
claim("thickness: what the label alone adds to the correlation", kept_fair[1] - kept_plain[1], above=0.2, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: three other reasons that there might be
same = meter(conditional.decode(test_z, test_y).mean, test_y)
kept_drawn = kept_by(as_others(lambda k: drawn(k, test_style)))
no_one = (others != 1) & (test_y != 1)
for i, (name, least) in enumerate(zip(STYLES, (0.85, 0.65, 0.5))):
    told = test_style[:, i].expand(9, -1)[no_one]
    back = agreement(same[:, i], test_style[:, i])
    claim(f"{name}: the given class, encoded and decoded", back, above=max(0.8, kept[i].item()), digits=2)
    level = kept_plain[i].item() - 0.03
    claim(f"{name}: label, and the plain model's latents and noise", kept_fair[i], above=level, digits=2)
    claim(f"{name}: drawn by the pen, read by the device", kept_drawn[i], above=0.9, digits=2)
    claim(f"{name}: without the 1", agreement(as_style[..., i][no_one], told), above=least + 0.05, digits=2)

# %% [markdown]
# The label is what helps: with the plain model's latents and noise it still brings the thickness from 0.39 to 0.84
# and the width from 0.63 to 0.78. None of the three survives perfectly. Part of that is due to the 1: without it the
# thickness reaches 0.92 and the width 0.86. The device contributes little; on the pen's own pictures its width
# correlates at 0.95. For the rest, look at the bound again. **Nothing in it says that $z_1 = 1$ must mean the same
# for a 3 and for a 7.** The decoder could use a different map for every class and reach the same bound. In our
# network the classes share most of the decoder's weights, but the model does not promise that they agree.
#
# **Predict.** Would the agreement become perfect with a hundred times more data?
#
# <details><summary>Answer</summary>
#
# Not necessarily. Swap two axes of $z$, or flip one, in some classes and not in others, in encoder and decoder alike:
# prior, likelihood and bound stay exactly as they are, and the analogies become nonsense. More data cannot tell these
# models apart. Only pairs of pictures known to share a style could, or an architecture that cannot express the swaps.
# </details>
#
# Here is the same for digits that people wrote, where nobody knows the truth. Each row keeps the $z$ of its first
# picture.

# %%
few = None if REAL == "digits" else 4000
real, real_test = (data.load(REAL, split, n=few, device=DEVICE) for split in ("train", "test"))
real_x, fresh_x, labels = small(real.x), small(real_test.x), real_test.labels
hand = learn(lambda: VAE(real_x.shape[1:], 6, hidden=(256,), likelihood=noise(0.2), labels=10), real_x, real.labels)
hand_z = hand.encode(fresh_x, labels).mean

# %% jupyter={"source_hidden": true}
# The figure: one real picture a row, and its z with ten labels
def by_hand(classes):
    given = torch.stack([(labels == k).nonzero()[3, 0] for k in classes])
    many = torch.arange(10, device=DEVICE).repeat(len(given))
    made = hand.decode(hand_z[given].repeat_interleave(10, 0), many).mean.unflatten(0, (-1, 10))
    _, ax = plt.subplots(figsize=(9, 4.4))
    plotting.images(torch.cat([fresh_x[given][:, None], made], 1).flatten(0, 1), ax, columns=11)
    ax.axvline(real_x.shape[-1], color=colors.ACCENT, lw=3)
    ax.set_title("Given | the same z with each label")


# %%
by_hand((2, 3, 5, 6, 9))

# %% [markdown]
# One thing can be measured without knowing any style: whoever writes a heavy digit should write the other nine
# heavier than usual too.

# %%
ink_of = lambda p: p.clamp(0, 1).sum((-3, -2, -1))
usual = torch.stack([ink_of(real_x[real.labels == k]).mean() for k in range(10)])
next_to = [(labels + d) % 10 for d in range(1, 10)]
heavier = torch.stack([ink_of(hand.decode(hand_z, k).mean) - usual[k] for k in next_to])
own = (ink_of(fresh_x) - usual[labels]).expand(9, -1)
claim("ink beyond the class's usual, given and nine others: correlation", agreement(heavier, own), above=0.1, digits=2)

# %% [markdown]
# In the decoded pictures this holds only weakly: the correlation is 0.27.
#
# **Play.** Class by style, live: along a row the label varies at one $z$, down a column $z$ varies at one label.
# *Before you drag:* which of the ten classes will follow the others least? Train it again and watch when the columns
# begin to agree.
#
# <details><summary>Answer</summary>
#
# The 1. It has no width and little ink, so most of $z$ says nothing about it, and the decoder has learned the least
# there: at many codes its column fades while the others only change.
# </details>

# %%
from gdm_core import explorers

explorers.style_board(DATASET, seed=SEED, device=DEVICE)

# %% [markdown]
# ## 5.4 Two latents, the class held
#
# Three latents, three styles. **Predict:** is $z_1$ the slant? Hold $y$, run two latents over a grid, and measure how
# far a step in each latent moves each style.

# %%
def effect_of(j):  # of a step of 1 in latent j on each style, in standard deviations: rms, and mean
    step = torch.zeros(3, device=DEVICE)
    step[j] = 0.5
    ahead, behind = (meter(conditional.decode(test_z + s * step, test_y).mean, test_y) for s in (1, -1))
    moves = (ahead - behind) / test_style.std(0)
    return moves.square().mean(0).sqrt(), moves.mean(0)


size, way = (torch.stack(both) for both in zip(*(effect_of(j) for j in range(3))))  # (latents, styles)
first, second = test_z.var(0).argsort(descending=True).tolist()[:2]  # the two latents that are used most
grid = latent.traverse(torch.zeros(3, device=DEVICE), first, second, torch.linspace(-2, 2, 7))  # (7, 7, 3)

# %% jupyter={"source_hidden": true}
# The figure: the same codes decoded as two classes, and what a step in each latent moves
def boards(classes):
    _, axes = plt.subplots(1, 3, figsize=(13.5, 4.5))
    for ax, k in zip(axes, classes):
        label = torch.full((49,), k, device=DEVICE)
        plotting.images(conditional.decode(grid.flatten(0, 1), label).mean, ax, columns=7)
        ax.set(title=f"Codes decoded as {k}", xlabel=f"z{second + 1}: −2 … 2 →", ylabel=f"← z{first + 1}: 2 … −2")
    axes[2].imshow(way.cpu(), cmap=colors.DIVERGING, vmin=-1.2, vmax=1.2)
    for j in range(3):
        for i in range(3):
            axes[2].text(i, j, f"{size[j, i]:.1f}", ha="center", va="center", fontweight="bold", color=colors.DATA)
    axes[2].set_xticks(range(3), STYLES)
    axes[2].set_yticks(range(3), ["z1", "z2", "z3"])
    axes[2].set_title("A step of 1 moves …")


# %%
boards((4, 7))

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: how many latents move a second style
second_most = (size.sort(1).values[:, 1] > 0.5 * size.max(1).values).sum()
claim("latents, of three, that move a second style at least half as far as the first", second_most, above=1)

# %% [markdown]
# Left and middle: styles change smoothly, and the same code gives related styles in both classes. Right: each number
# says how far a step moves a style, in standard deviations. The color gives the direction; pale means up for some
# pictures and down for others. So no, $z_1$ is not the slant: two of the three latents clearly move more than one
# style. Nothing in the loss asked for more, since rotating $z$ and rotating it back at the entrance of the decoder
# changes nothing observable. Whether a loss can ask for more is the subject of 5b.
#
# ## 5.5 Between two pictures
#
# Average two photographs of a bar, one upright and one leaning, and you get two faint bars, not one that leans half
# as much. Are codes better to average than pixels? In our world we know the truth halfway: the same digit with the
# slant in the middle.

# %%
n = 400
some_y = torch.arange(n, device=DEVICE) % 10
low, high = test_style[:n].clone(), test_style[:n].clone()
low[:, 0], high[:, 0] = -0.1, 0.5
a, b, middle = (drawn(some_y, s) for s in (low, high, (low + high) / 2))
za, zb, z_truth = (conditional.encode(p, some_y).mean for p in (a, b, middle))
cross_fade = (a + b) / 2
halfway, floor = (conditional.decode(z, some_y).mean for z in ((za + zb) / 2, z_truth))

# %% jupyter={"source_hidden": true}
# The figure: pictures of each kind, side by side
def row_of_panels(panels, pick):
    _, axes = plt.subplots(1, len(panels), figsize=(14, 2.6))
    for ax, (words, p) in zip(axes, panels.items()):
        plotting.images(p[pick], ax, columns=len(pick))
        ax.set_title(words)


# %%
row_of_panels({"one end": a, "halfway in pixels": cross_fade, "halfway in z": halfway,
               "the truth": middle, "the other end": b}, [4, 7])

# %%
error = lambda p: (p - middle).square().sum((1, 2, 3)).mean().item()
least, most = error(floor), error(cross_fade)
claim("squared error halfway: the average of the pixels", most, above=2 * error(halfway), digits=2)
claim("squared error halfway: the average of the codes, decoded", error(halfway), above=least, below=most / 2, digits=2)
claim("squared error halfway: the truth itself, encoded and decoded", least, below=0.7 * error(halfway), digits=2)

# %% [markdown]
# Halfway in pixels the digits have two legs; halfway in $z$ they have nearly one, with a shadow. The squared error
# falls from 4 to 1.5. Of that, 0.69 remains even if the truth itself is encoded and decoded.
#
# ### Straight or round?
#
# Now walk between two *draws from the prior*. The density $\mathcal N(z; 0, I)$ is highest at the origin, but hardly
# any draw falls there: with $L$ latents the volume at radius $r$ grows like $r^{L-1}$, and the product of both has
# its peak on a **shell** of radius about $\sqrt L$. Halfway between two independent draws a straight line has a
# radius of only about $\sqrt{L/2}$. *Spherical linear interpolation*, or **slerp** (Shoemake, 1985; for generative
# models White, 2016), turns from one to the other instead, by the angle $\omega$ between them:
#
# $$ z(t) = \frac{\sin((1-t)\,\omega)}{\sin\omega}\, a + \frac{\sin(t\,\omega)}{\sin\omega}\, b, \qquad \cos\omega = \frac{a^\top b}{\|a\|\|b\|} . $$

# %%
def bare_sphere(a, b, t):
    angle = torch.arccos((a @ b) / (a.norm() * b.norm()))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


ends = torch.randn(2, 16, dtype=torch.float64)
t = torch.linspace(0, 1, 9, dtype=torch.float64)
path, bare = latent.interpolate(*ends, 9, spherical=True), torch.stack([bare_sphere(*ends, s) for s in t])
claim("bare and library path, largest difference", (path - bare).abs().max(), below=1e-12)
claim("distance of the path's ends from a and b", (path[[0, -1]] - ends).abs().max(), below=0.0)

# %% [markdown]
# Does it matter for pictures? We train a VAE on drawn digits at full size, decode both kinds of paths between draws
# from the prior, and measure the ink. **Predict:** which path fades?

# %%
few = None if DATASET == "digits" else 20000 if FULL else 4000
px, unseen = (data.load(DATASET, split, n=few, seed=SEED, device=DEVICE).x for split in ("train", "test"))
walk = learn(lambda: VAE(px.shape[1:], 8, hidden=(256,), likelihood=noise(0.4)), px)
draws, along = torch.randn(2, 500, 8, device=DEVICE), torch.linspace(0, 1, 9)
paths = {kind: latent.interpolate(*draws, along, spherical=kind == "spherical") for kind in ("straight", "spherical")}
ink = {kind: ink_of(walk.decode(z).mean).mean(1) for kind, z in paths.items()}  # (9,) each

# %% jupyter={"source_hidden": true}
# The figure: radius along paths between draws; ink along decoded paths
KINDS = {"straight": colors.ACCENT, "spherical": colors.LATENT}


def shells(*many):
    _, axes = plt.subplots(1, 3, figsize=(13.5, 3.6))
    t = torch.linspace(0, 1, 21)
    for ax, L in zip(axes, many):
        ax.axhspan(*(chi.ppf(p, L) / L**0.5 for p in (0.05, 0.95)), color=colors.NOISE, alpha=0.25, lw=0)
        pairs = torch.randn(2, 2000, L)
        for kind, color in KINDS.items():
            radius = latent.interpolate(*pairs, t, spherical=kind == "spherical").norm(dim=2) / L**0.5
            ax.plot(t, radius[:, :6], color=color, lw=1, alpha=0.5)
            ax.plot(t, radius.median(1).values, color=color, lw=4)
        ax.set(title=f"{L} latents: the radius", xlabel="from a to b", ylabel="radius / √L", ylim=(0, 2))
    for words, at, color in (("90 % of the prior", 1.25, colors.NOISE), ("straight", 0.5, KINDS["straight"])):
        axes[1].text(0.5, at, words, color=color, ha="center", fontweight="bold")
    for kind, color in KINDS.items():
        share, up = (ink[kind] / ink[kind][0]).cpu(), 14 if kind == "spherical" else -14
        plotting.curve(along, share, axes[2], kind, color=color, at=0.5, offset=(-28, up))
    axes[2].set(title="Straight lines fade: the ink", xlabel="from a to b", ylabel="share of the ends", ylim=(0, 1.25))


# %%
shells(8, 128)

# %%
fade = {kind: (1 - v[4] / v[0]).item() for kind, v in ink.items()}
claim("straight paths: share of the ink that is gone halfway", fade["straight"], above=0.1, digits=2)
claim("spherical paths: share of the ink that is gone or gained", abs(fade["spherical"]), below=0.1, digits=1)
inner, outer = paths["straight"][4], paths["spherical"][4]  # halfway
pulled = outer * (inner.norm(dim=1) / outer.norm(dim=1))[:, None]
gone = 1 - ink_of(walk.decode(pulled).mean).mean() / ink["spherical"][0]
claim("spherical, pulled in to the straight line's radius: share gone", gone, above=fade["straight"] - 0.1, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: who lies further in, and the ink at the origin
for L, pairs in ((8, draws.cpu()), (128, torch.randn(2, 500, 128))):
    exact, share = chi.cdf((L / 2) ** 0.5, L), (pairs.norm(dim=2) < (L / 2) ** 0.5).float().mean()
    error_bar = (exact * (1 - exact) / 1000) ** 0.5  # of a share of 1,000 draws
    claim(f"{L} latents: share of draws inside √(L/2)", share, near=exact, within=4 * error_bar + 1e-3, digits=2)
center = ink_of(walk.decode(torch.zeros(1, 8, device=DEVICE)).mean).mean() / ink_of(px).mean()
claim("ink at the origin, share of the average picture's", center, below=0.7, digits=2)

# %% [markdown]
# The first two panels show the radius along such paths. Halfway, a straight line (orange) is closer to the origin
# than most draws from the prior (gray): with 8 latents a share of 0.15 lies further in, with 128 hardly any. There
# the decoder was seldom trained. Straight paths lose 0.31 of their ink halfway (third panel); spherical paths lose
# almost none. If spherical codes are pulled in to the straight line's radius, they fade just like straight ones, so
# the radius is the reason.
#
# Is what we meet on the way a digit? A rough test: how far is a picture from the *nearest* training picture, and is
# that further than for a new digit? For comparison we train a sharper model, with twice the latents and a quarter of
# the noise.

# %%
sharp = learn(lambda: VAE(px.shape[1:], 16, hidden=(256,), likelihood=noise(0.1)), px)


def nearest(p):  # distance of each picture to the nearest training picture
    return torch.cdist(p.flatten(1), px.flatten(1)).min(1).values


def away(p):
    return nearest(p).mean().item()


z = walk.encode(unseen[:400]).mean.unflatten(0, (2, -1))
stops = torch.stack([nearest(walk.decode(latent.interpolate(*z, float(s) * torch.ones(1))[0]).mean) for s in along])
kept = (stops.max(0).values < nearest(unseen[:400]).quantile(0.9)).float().mean()  # of 200 walks
drawn_by = {m: away(m.decode(torch.randn(500, m.latents, device=DEVICE)).mean) for m in (walk, sharp)}
new, fades = away(unseen[:400]), away((unseen[:200] + unseen[200:400]) / 2)
claim("distance to the nearest training picture: new digits", new, below=fades)
claim("distance to it: stops between codes of new digits, at most", stops.mean(1).max(), below=new)
claim("share of walks whose every stop is nearer to it than a tenth of the new digits", kept, above=0.9, digits=1)
claim("distance to it: draws from the prior, decoded", drawn_by[walk], below=1.1 * new)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the sharper model, averaged pixels, and the average picture
claim("distance to it: draws of the sharper model, decoded", drawn_by[sharp], above=1.2 * new)
claim("distance to it: pixels of two new digits, averaged", fades, above=1.05 * stops.mean(1).max().item())
claim("distance to it: the average picture", away(px.mean(0, keepdim=True)), above=0.9 * new)
missed = lambda m: (m.decode(m.encode(unseen).mean).mean - unseen).square().sum((1, 2, 3)).mean().item()
claim("squared error of new pictures, decoded by the sharper model", missed(sharp), below=missed(walk), digits=2)
claim("squared error of new pictures, decoded by the model of the walk", missed(walk), above=missed(sharp), digits=2)
between = 1 - ink_of(walk.decode(z.mean(0)).mean).mean() / ink_of(walk.decode(z.flatten(0, 1)).mean).mean()
claim("straight, between codes of new pictures: share of the ink that is gone", between, above=0, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: walks between codes of new pictures, then between two draws from the prior
def walks(pairs):
    code = walk.encode(unseen[:100]).mean
    rows = [walk.decode(latent.interpolate(code[i], code[j], 9)).mean for i, j in pairs]
    rows += [walk.decode(paths[kind][:, 10]).mean for kind in KINDS]
    _, ax = plt.subplots(figsize=(11, 1.2 * len(rows) + 0.6))
    plotting.images(torch.cat(rows), ax, columns=9)
    names = ["between\ncodes"] * len(pairs) + ["draws,\nstraight", "draws,\nspherical"]
    ax.set_yticks([(i + 0.5) * (px.shape[-1] + 1) for i in range(len(rows))], names)
    ax.set_title("Three walks between codes meet digits only; the fourth passes a blot")


# %%
walks([(0, 1), (5, 3), (14, 9), (6, 7)])

# %% [markdown]
# In three walks every stop is a digit, and on average no stop is farther from the training set than new digits are
# (4.84). Draws from the prior are about as far as new digits, while those of the sharper model, which reconstructs
# better, are 7.2 away. Closeness is not quality, since a blurred picture is close to many. But blur alone is not enough: averaging
# the pixels of two new digits gives 5.33.
#
# Two cautions. Straight walks between codes of new pictures lose ink too, 0.28 of it halfway. And do not say that the
# *code* halfway is unlikely: its density $p(z)$ is higher than at both ends. There is only so little volume near the
# origin that a draw seldom falls there.
#
# ## 5.6 Arithmetic
#
# *King − man + woman ≈ queen* was found in vectors that stand for words (Mikolov et al., 2013), and has an analog for
# pictures (Radford, Metz & Chintala, 2016): add to $c$ what distinguishes $a$ from $b$. Take a leaning 4, subtract
# the same 4 upright, and add an upright 7. The truth is the same 7, leaning, and the pen can draw it. We compare with
# doing the same in pixels, and with leaving $c$ as it is. **Predict:** which sum works better, that of slants or that
# of thicknesses?

# %%
n = 400
ya = torch.randint(10, (n,), device=DEVICE)
yc = (ya + torch.randint(1, 10, (n,), device=DEVICE)) % 10
sa, sc = test_style[:n], test_style[-n:]


def quadruple(attribute, low, high):  # a: with, b: without, c: without, and the truth: c's class and style, with
    def at(s, value):
        return torch.where(torch.arange(3, device=DEVICE) == STYLES.index(attribute), value, s)

    return drawn(ya, at(sa, high)), drawn(ya, at(sa, low)), drawn(yc, at(sc, low)), drawn(yc, at(sc, high))


def answers(a, b, c, truth):
    ca, cb, cc, ct = (conditional.encode(p, k).mean for p, k in ((a, ya), (b, ya), (c, yc), (truth, yc)))
    sums = {"conditional": latent.arithmetic(ca, cb, cc), "averaged step": cc + (ca - cb).mean(0), "truth, encoded": ct}
    return {
        "c as it is": c,
        "pixels": (a - b + c).clamp(0, 1),
        "averaged, pixels": (c + (a - b).mean(0)).clamp(0, 1),
        "plain": plain.decode(latent.arithmetic(*(plain.encode(p).mean for p in (a, b, c)))).mean,
    } | {words: conditional.decode(z, yc).mean for words, z in sums.items()}


# %%
four = {"slant": quadruple("slant", -0.2, 0.5), "thickness": quadruple("thickness", 1.5, 3.2)}
made = {name: answers(*pictures) for name, pictures in four.items()}
wrong = {name: {words: (p - four[name][3]).square().sum((1, 2, 3)).mean().item() for words, p in several.items()}
         for name, several in made.items()}

# %% jupyter={"source_hidden": true}
# The figure: three sums as pictures, and the error that each way of adding leaves
SHADES = [colors.DATA] * 3 + [colors.LATENT, colors.MODEL, colors.MODEL, colors.ENCODER]


def sums(attribute):
    pick = sorted(range(n), key=lambda i: (int(ya[i]) != 4) + (int(yc[i]) != 7))[:3]  # from a 4 to a 7
    a, b, c, truth = four[attribute]
    ways = [made[attribute][k] for k in ("pixels", "plain", "conditional")]
    _, axes = plt.subplots(1, 3, figsize=(15, 3.6), width_ratios=[1.9, 1, 1])
    strip = torch.stack([a, b, c, *ways, truth], 1)[pick].flatten(0, 1)
    plotting.images(strip, axes[0], columns=7, titles=["a", "− b", "+ c", "pixels", "plain", "cond.", "truth"])
    for ax, (name, table) in zip(axes[1:], wrong.items()):
        ax.barh(list(table)[::-1], list(table.values())[::-1], color=SHADES[::-1])
        ax.set(title=f"Error of a {name} sum", xlabel="squared error, pixels")
    axes[2].set_yticks([])


# %%
sums("slant")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: every way of adding, for both styles
left = {name: {k: v / table["c as it is"] for k, v in table.items()} for name, table in wrong.items()}
for name, e in left.items():
    once, average = e["conditional"], e["averaged step"]
    claim(f"{name}: error of a - b + c in z, as a share of leaving c alone", once, below=0.9, digits=2)
    claim(f"{name}: in z of the plain VAE", e["plain"], above=1.2 * once, digits=2)
    claim(f"{name}: in pixels", e["pixels"], above=0.7, digits=2)
    claim(f"{name}: with one step averaged over all pairs, in z", average, below=0.8 * once, digits=2)
    claim(f"{name}: the averaged step, in pixels", e["averaged, pixels"], below=0.9, digits=2)
    claim(f"{name}: averaged in z, times the truth encoded", average / e["truth, encoded"], above=2, digits=1)

# %%
claim("slant: the averaged step leaves of the error, in z", left["slant"]["averaged step"], below=0.4, digits=2)
claim("slant: the averaged step leaves of the error, in pixels", left["slant"]["averaged, pixels"], above=0.4, digits=2)

# %% [markdown]
# In pixels one pair is worth nothing: the ghost of $a$ stays. In the codes of the conditional model the slant works
# best; 0.33 of the error is left, against 0.79 for the thickness. In the plain model it is 0.77 for the slant and 1.2
# for the thickness, which is worse than doing nothing. A step averaged over many pairs works better everywhere,
# because whatever else distinguishes the two pictures of a pair is averaged away. For the slant it leaves 0.2 in $z$
# and 0.67 in pixels. For the thickness it leaves 0.43 and 0.48, hardly a difference: on small pictures, bolder is
# nearly the same as darker, which pixels can add as well. So codes help most where things *move*. And arithmetic is
# no law: the error stays several times above what the model reaches when it encodes the answer itself. Codes add up
# only as far as the map from style to code is linear and the same for both classes.
#
# **Play.** Choose $a$, $b$ and $c$ and see the sum decoded. The line of numbers says how far the result is from the
# nearest code of a real example, and warns when it is far from all of them. *Try to find* a sum that ends in
# nonsense.

# %%
explorers.arithmetic(DATASET, seed=SEED, device=DEVICE)

# %% [markdown]
# ## 5.7 Editing one attribute when two go together
#
# In real data, attributes rarely vary independently. We build such a case on purpose: writers who press hard also
# lean, so that slant and thickness are correlated. We train a VAE with four latents on their threes and look for the
# direction "bolder" as one does in large models: it is the normal of a linear classifier between thin and bold codes
# (Shen et al., 2020). **Predict:** what else changes along it?

# %%
RHO = 0.8


def together(n, seed):  # threes; slant and thickness with correlation RHO, width fixed
    first, other = torch.randn(2, n, generator=torch.Generator().manual_seed(seed)).clamp(-2.4, 2.4).to(DEVICE)
    second = RHO * first + (1 - RHO**2) ** 0.5 * other
    return torch.stack([0.15 + 0.22 * first, 2.6 + 0.6 * second, torch.ones_like(first)], 1)


def threes(s):
    return drawn(torch.full((len(s),), 3, device=DEVICE), s)


t_style, edit_style = together(20000 if FULL else 3000, SEED + 5), together(500, SEED + 6)
tx, edit_x = threes(t_style), threes(edit_style)
press = learn(lambda: VAE(tx.shape[1:], 4, hidden=(256, 256), likelihood=noise(0.2)), tx)
tz, edit_z = press.encode(tx).mean, press.encode(edit_x).mean

# %%
more = (t_style > t_style.median(0).values).T  # (3, N): leaning, bold, wide
direction = {name: latent.attribute_direction(tz, has) for name, has in zip(STYLES[:2], more)}
slant, bold = (direction[name].vector for name in ("slant", "thickness"))
worst = min(found.accuracy for found in direction.values())
claim("accuracy of the linear classifiers, the worse of the two", worst, above=0.85, digits=2)
claim("cosine of the two directions", slant @ bold, near=RHO, within=0.25 if FULL else 0.15, digits=2)

# %% [markdown]
# The cosine of the two directions is 0.78, far from orthogonal, and rightly so. The prior makes the cloud of codes
# *round*, and in a round cloud the scores $n_1^\top z$ and $n_2^\top z$ of two unit directions have the correlation
# $n_1^\top n_2$. So attributes with correlation $\rho$ get directions with cosine $\rho$: whoever walks along one
# climbs the other too. The cure is one line. Walk along what is left of $n_1$ after its component along $n_2$ is
# removed,
#
# $$ n_1 - (n_1^\top n_2)\, n_2 , $$
#
# scaled to unit length. Along it the score of the second attribute does not change at all.

# %%
bare_free = bold - (bold @ slant) * slant
bare_free = bare_free / bare_free.norm()
free = latent.remove(bold, slant)
claim("bare and library projection, largest difference", (bare_free - free).abs().max(), below=1e-5, digits=1)
change = ((edit_z + free) @ slant - edit_z @ slant).abs().max()
claim("slant score after a step along it, largest change", change, below=1e-5, digits=1)


def effect(step):  # what a step does to (slant, thickness), in standard deviations of the world
    label = torch.full((len(edit_z),), 3, device=DEVICE)
    there, back = (meter(press.decode(edit_z + s * step).mean, label)[:, :2] for s in (0.7, -0.7))
    return ((there - back) / t_style[:, :2].std(0)).mean(0)


moves = {"bolder": effect(bold), "bolder, slant removed": effect(free), "more slant": effect(slant),
         "more slant, bold removed": effect(latent.remove(slant, bold))}

# %% jupyter={"source_hidden": true}
# The figure: walks from four threes along each direction, and what a step moves
def edited(directions):
    pick = edit_z.norm(dim=1).argsort()[[20, 120, 200, 260]]
    steps = torch.linspace(-1.5, 1.5, 7, device=DEVICE)
    _, axes = plt.subplots(1, 3, figsize=(14.5, 3.5), width_ratios=[1.75, 1.75, 1])
    for ax, (words, d), color in zip(axes, directions.items(), (colors.MODEL, colors.ACCENT)):
        walked = (edit_z[pick][:, None] + steps[:, None] * d).flatten(0, 1)
        plotting.images(press.decode(walked).mean, ax, columns=7)
        ax.set_title(words.capitalize() + " →", color=color)
        s, t = moves[words].tolist()
        axes[2].annotate("", (s, t), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 3})
    axes[2].set(xlim=(-0.4, 1.6), ylim=(0, 2), title="What a step of 1.4 does", box_aspect=1)
    axes[2].set(xlabel="slant moves (std)", ylabel="thickness moves (std)")


# %%
edited({"bolder": bold, "bolder, slant removed": free})

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: what each direction moves besides
for words, (s, t) in moves.items():
    besides = s / t if words.startswith("bolder") else t / s
    needed = {"near": 0, "within": 0.25} if "removed" in words else {"above": 0.5}
    digits = 1 if "removed" in words else 2
    claim(f"{words}: the other attribute moves, per unit of the wanted one", besides, **needed, digits=digits)
strength, straight = moves["bolder, slant removed"][1] / moves["bolder"][1], (1 - (slant @ bold) ** 2).sqrt().item()
claim("boldness that a step of equal length keeps", strength, near=straight, within=0.15, digits=2)

# %%
before, after = (s / t for s, t in (moves["bolder"], moves["bolder, slant removed"]))
claim("slant that comes with one of boldness, before the projection", before, above=0.5, digits=2)
claim("slant that comes with one of boldness, after the projection", after, near=0, within=0.25, digits=1)

# %% [markdown]
# Left: a bolder three also leans over, by 0.81 standard deviations for each one of boldness. Middle: after the
# projection it hardly leans. The price shows in the arrows at the right: a step of equal length keeps 0.67 of its
# boldness, near the $\sqrt{1 - (n_1^\top n_2)^2}$ that a linear map would keep. Only the *linear score* is guaranteed
# not to change; the decoded picture follows as far as the map is nearly linear, which it is here.
#
# The first direction was not wrong; it answers another question. It shows what bold threes look like in *this* world,
# where those who press also lean. The second shows what the pen would do if only the pressure changed. *Finding* a
# writer who presses and *making* a writer press are two different things, observation and intervention, and a
# classifier knows only the first.
#
# **Predict.** With $\rho = 0.99$, what happens to the projected direction?
#
# <details><summary>Answer</summary>
#
# Almost nothing is left of it: $\sqrt{1-\rho^2}$ of its length, about a seventh. Scaled up to unit length it is
# mostly the error of the two classifiers. Two attributes that never come apart in the data cannot be separated in the
# code.
# </details>
#
# ## 5.8 What to keep, and what is not settled
#
# - What is known during training need not be coded: give it to both networks (conditional VAE), and $z$ is free for
#   the rest.
# - That $z$ means the same in every class is a habit of networks, not a consequence of the bound. Measure it.
# - Draws from a Gaussian prior in many dimensions lie on a shell: interpolate between them with slerp.
# - Arithmetic with codes works as far as the map from style to code is linear. Average the step over many pairs.
# - A step along one of two directions with cosine $\rho$ moves the score of the other by $\rho$; orthogonal
#   projection removes that.
#
# Honest limits. We knew the truth because we drew it: three styles and a simulated pen. The measuring device is a
# network too, tested on clean pictures and used on decoded ones, which are blurrier. Small pictures are kind to
# straight lines: a thicker stroke is nearly a darker one. The noise $\sigma$ of each model was chosen after a look at
# several values; another value gives other correlations and other distances. "Style" of real handwriting includes
# much that no number here describes.
#
# **References.** D. Kingma, D. Rezende, S. Mohamed, M. Welling, *Semi-supervised learning with deep generative
# models*, 2014, eq. 2 and 6. K. Sohn, H. Lee, X. Yan, *Learning structured output representation using deep
# conditional generative models*, 2015, eq. 4. K. Shoemake, *Animating rotation with quaternion curves*, 1985. T.
# White, *Sampling generative networks*, 2016. T. Mikolov, W. Yih, G. Zweig, *Linguistic regularities in continuous
# space word representations*, 2013. A. Radford, L. Metz, S. Chintala, *Unsupervised representation learning with deep
# convolutional generative adversarial networks*, 2016, section 6.3. Y. Shen, J. Gu, X. Tang, B. Zhou, *Interpreting
# the latent space of GANs for semantic face editing*, 2020, section 3.2.
