# %% [markdown]
# # 5b · Axes, maps and discrete codes: what a latent space owes to the data
#
# **What in a latent space belongs to the data, and what is an accident of training?**
#
# After this lecture you can
#
# - explain why no likelihood prefers one set of axes to another, and what a larger $\beta$ can and cannot do about
#   it;
# - compute disentanglement scores, and read them with the caution that they need;
# - carry codes from one trained model into another with a few dozen matched examples;
# - replace the Gaussian code by a grid of discrete codes (VQ-VAE), and say what is then missing.
#
# You need: chapters 3 and 4; part 5 helps. Time: 35 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures, longer training, more seeds
DATASET = "strokes"  # or "digits", "mnist", "fashion": what 5b.4 and 5b.5 learn from
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, what the parameters may be, and how every model here is trained
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.functional import avg_pool2d

from gdm_core import colors, data, disentanglement, latent, likelihoods, networks, plotting, train
from gdm_core.course.claims import claim
from gdm_core.data import four_factors
from gdm_core.data.four_factors import ARC, CIRCLE, FACTORS
from gdm_core.models.autoencoder import Autoencoder
from gdm_core.models.vae import VAE
from gdm_core.models.vqvae import VQVAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["strokes", "digits", "mnist", "fashion"])
FULL = PROFILE == "full"
REAL = "digits" if DATASET == "strokes" else DATASET  # where pictures made by people are wanted
plotting.use_style()
torch.manual_seed(SEED)


def learn(make, x, steps=600, seed=SEED, **options):
    """A fresh model from `make()`, trained on x; the same for the same seed."""
    torch.manual_seed(seed)
    model = make().to(DEVICE)
    options = {"batch_size": 64, "lr": 3e-3, "rate": train.falling} | options
    train.fit(model, x, steps=4 * steps if FULL else steps, seed=seed, **options)
    return model.requires_grad_(False)


def small(x):  # 28 x 28 pixels become 14 x 14
    return avg_pool2d(x, 2) if x.shape[-1] == 28 else x


def noise(std):  # of a pixel, fixed: how exact a reconstruction has to be
    return likelihoods.Gaussian(std, learn=None)


# %% [markdown]
# ## 5b.1 Whose axes?
#
# People like to name latent axes: this one is "smile", that one is "age". When may we do so? We test it in a world
# with four **factors of variation**: the hues of a floor and a wall, the size of a sphere, and the direction from
# which we look. We drew it, so we know each picture's factors. A VAE with six latents sees only the pictures.
# **Predict:** will each latent have found one factor?

# %%
def room_vae(x, beta=1, std=0.1):
    decoder = nn.Sequential(networks.MLPDecoder(6, x.shape[1:], 1, (128,)), nn.Sigmoid())
    return VAE(x.shape[1:], 6, hidden=(128,), likelihood=noise(std), decoder=decoder, beta=beta)


slowly = {"lr": 1e-2, "batch_size": 16}
large = four_factors.sample(20000 if FULL else 2500, SEED, ARC, 24)[0].to(DEVICE)
seen = learn(lambda: room_vae(large, std=0.3), large, **slowly)
codes = seen.encode(large).mean
used = codes.var(0).argsort(descending=True)[:4]  # the four latents that are used most

# %% jupyter={"source_hidden": true}
# The figure: one factor a row as drawn, one latent a row as learned
def rows_of_rooms():
    steps = torch.linspace(0, 1, 7)
    truth, z = torch.full((4, 7, 4), 0.5), torch.zeros(4, 7, 6, device=DEVICE)
    for k in range(4):
        truth[k, :, k], z[k, :, used[k]] = steps, 4 * steps.to(DEVICE) - 2
    _, axes = plt.subplots(1, 2, figsize=(14, 4.3))
    plotting.images(four_factors.draw(truth.flatten(0, 1), ARC, 64), axes[0], columns=7, pad=3)
    plotting.images(seen.decode(z.flatten(0, 1)).mean, axes[1], columns=7, pad=2)
    for ax, names, side in zip(axes, (FACTORS, [f"z{j + 1}" for j in used.tolist()]), (67, 26)):
        ax.set_yticks([(i + 0.5) * side for i in range(4)], names)
        ax.spines[:].set_visible(False)
    axes[0].set_title("One factor a row, as drawn")
    axes[1].set_title("One latent a row, from −2 to 2, as learned")


# %%
rows_of_rooms()

# %% [markdown]
# No. In the rows at the left one factor changes at a time; in the rows at the right, where one latent changes at a
# time, several factors change together. Nothing in the loss asked for more: rotate $z$, and rotate it back at the
# entrance of the decoder. Since the prior is round, $p(x)$ is the same as before for every picture.

# %%
turn, _ = torch.linalg.qr(torch.randn(6, 6, device=DEVICE))
change = (seen.prior().log_prob(codes @ turn) - seen.prior().log_prob(codes)).abs().max()
claim("log p(z) after a random rotation of the codes, largest change", change, below=1e-4, digits=1, unit="nats")

# %% [markdown]
# This is the rotation ambiguity of PPCA (2.3) again. The axes that training picks are largely an accident. Only the
# diagonal covariance of $q$ has a preference, for axes along which the decoder's effects are orthogonal (Rolínek,
# Zietlow and Martius, 2019).
#
# ## 5b.2 Can a loss ask for axes that mean something?
#
# A representation in which each latent stands for one factor is called **disentangled**. Higgins et al. (2017) hoped
# to get it by multiplying the KL by $\beta > 1$: under this pressure each latent should specialize in one factor.
# First a warning about $\beta$ itself. With a Gaussian likelihood of fixed $\sigma$,
#
# $$ \beta\,\mathrm{KL} + \frac{\|x - f\|^2}{2\sigma^2} \;=\; \beta \Big( \mathrm{KL} + \frac{\|x - f\|^2}{2\,\beta\sigma^2} \Big) , $$
#
# so up to a factor on the whole loss, a larger $\beta$ is the same as a larger noise variance $\beta\sigma^2$. Only
# the product counts, and "β = 4" without $\sigma$ says nothing.

# %%
def pull(beta, std):  # gradient of the loss at the start of training
    torch.manual_seed(SEED)
    model = VAE(large.shape[1:], 6, hidden=(128,), likelihood=noise(std), beta=beta).to(DEVICE)
    model.loss(large[:64]).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


one, other = pull(1, 0.1), pull(16, 0.1 / 4) / 16  # the same product of beta and variance
claim("β = 1 and β = 16 at one product: gradients differ, relative to their size, by at most",
      (one - other).abs().max() / one.abs().max(), below=1e-4, digits=1)

# %% [markdown]
# To see whether $\beta$ helps we need a score. Two are in wide use. The *mutual information gap*, **MIG**, asks of
# each factor $v_k$ how much more the best latent tells about it than the second best: it is the mean of
# $\big(I(z_{(1)}; v_k) - I(z_{(2)}; v_k)\big) / H(v_k)$ (Chen et al., 2018). **DCI**, for disentanglement,
# completeness and informativeness (Eastwood and Williams, 2018), predicts each factor from the codes with a random
# forest. The forest gives a table $R_{jk}$: how much splits on latent $j$ reduce the squared error of factor $k$.
# Divide row $j$ by its sum to see how latent $j$ spreads over the $F$ factors. *Disentanglement* is 1 minus the
# entropy of the row over $\log F$, averaged over the latents, weighted by how much they matter. It is 1 if each
# latent serves a single factor and 0 if it serves all equally. *Completeness* asks the same of the columns: does each
# factor rest on a single latent? *Informativeness* is the share of a factor that the forest explains on new examples.
#
# We compute all scores from **draws** from $q$, not from its means. Forests and MIG look only at the order of values,
# so with means an idle latent, whose mean moves by a thousandth, would count as much as an active one.
#
# A score alone says little, so we add two yardsticks. The lower one is the same codes after a **random rotation** of
# the latents in use, the score of axes that nobody chose. The upper one is codes in **perfect order**: one noisy
# latent for each factor, which tells as much about it as the model's codes do. This upper yardstick is below 1: a
# factor that no code knows spreads its importance over the latents at random, so even perfect order scores low where
# little is known. **Predict:** where between the two will the trained axes lie, and does a larger $\beta$ raise them?

# %% jupyter={"source_hidden": true}
# Scores of draws from q, of the same draws turned, and of perfect order that knows as much
SIDE = 12  # pixels: many models, small pictures


def score(codes, factors):
    return disentanglement.dci(codes, factors, trees=10, seed=SEED)


@torch.no_grad()
def scores(model, x, factors):
    """Scores of draws from q, and the disentanglement of the same draws, turned among the latents in use."""
    q = model.encode(x)
    torch.manual_seed(SEED)
    z, used = q.sample().cpu(), disentanglement.active_units(q.mean).cpu()
    own, turned = score(z, factors), []
    for _ in range(3):
        turn = torch.eye(6)
        turn[torch.outer(used, used)] = torch.linalg.qr(torch.randn(used.sum(), used.sum()))[0].flatten()
        turned.append(score(z @ turn, factors).disentanglement)
    return {"MIG": disentanglement.mig(z, factors), "order": own.disentanglement, "complete": own.completeness,
            "known": own.known, "turned": turned}


def perfect(known, factors):
    """Disentanglement of one latent a factor, with as much noise as leaves it knowing as much, the rest noise."""
    torch.manual_seed(SEED)
    z = torch.randn(len(next(iter(factors.values()))), 6)
    for k, (v, share) in enumerate(zip(factors.values(), known.clamp(1e-3, 1))):
        z[:, k] = (v - v.mean()) / v.std() + (1 / share - 1).sqrt() * z[:, k]
    return score(z, factors).disentanglement


def rooms_of(hues):  # to learn from; to judge on, and their factors
    test, factors = four_factors.sample(1500, SEED + 1, hues, SIDE)
    return four_factors.sample(20000 if FULL else 2500, SEED, hues, SIDE)[0].to(DEVICE), test.to(DEVICE), factors


# %% [markdown]
# All these models have the same architecture, so they can learn side by side: with their weights stacked, one step of
# all of them is a few matrix products. They see the same batches; each has its own initial weights and its own noise
# of $z$.

# %% jupyter={"source_hidden": true}
# Stacked weights: the sum of the losses, of VAEs at σ = 0.1, moves each as its own would
class SideBySide(nn.Module):
    def __init__(self, models):
        super().__init__()
        self.models = tuple(models)  # a tuple, so that the stack alone learns
        self.beta = torch.tensor([float(m.beta) for m in models], device=DEVICE)
        self.weights = nn.ParameterList(torch.stack(w).detach() for w in zip(*(m.parameters() for m in models)))

    def part(self, name, given, dims):  # of every model, (models, B, ...)
        names = [n for n, _ in self.models[0].named_parameters()]
        own = {n.removeprefix(f"{name}."): w for n, w in zip(names, self.weights) if n.startswith(name)}
        module = getattr(self.models[0], name)
        return vmap(lambda weights, x: functional_call(module, weights, x), (0, dims))(own, given)

    def loss(self, x):
        mean, log_std = self.part("encoder", x, None).chunk(2, -1)
        f = self.part("decoder", mean + log_std.exp() * torch.randn_like(mean), 0)[:, :, 0]
        kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(2)
        return (self.beta * kl.mean(1)).sum() + (x - f).square().sum() / (2 * 0.1**2 * len(x))

    def apart(self):
        for model, weights in zip(self.models, zip(*self.weights)):
            for p, w in zip(model.parameters(), weights):
                p.data = w
            model.requires_grad_(False)
        return self.models


def room_vaes(x, betas, seed=SEED):
    make = lambda: SideBySide([room_vae(x, beta).to(DEVICE) for beta in betas])
    return learn(make, x, steps=1200, seed=seed, **slowly).apart()


# %%
arc_x, arc_test, arc_factors = rooms_of(ARC)
seeds = {1: 3, 5: 3, 20: 6, 60: 3} if FULL else {1: 3, 20: 4, 60: 1}  # how many, for each beta
learned = iter(room_vaes(arc_x, [beta for beta, n in seeds.items() for _ in range(n)]))
models = {beta: [next(learned) for _ in range(n)] for beta, n in seeds.items()}
results = {beta: [scores(model, arc_test, arc_factors) for model in several] for beta, several in models.items()}
known = {beta: torch.stack([r["known"] for r in several]).mean(0) for beta, several in results.items()}  # (4,) each
best = {beta: perfect(k, arc_factors) for beta, k in known.items()}


def mean(beta, name):
    return torch.stack([torch.as_tensor(r[name]).mean() for r in results[beta]]).mean().item()


# %% jupyter={"source_hidden": true}
# The figure: order between its two yardsticks, and what is known
def order_and_knowledge():
    _, axes = plt.subplots(1, 2, figsize=(13, 4.2))
    betas, at = list(seeds), torch.arange(len(seeds))
    for i, beta in enumerate(betas):
        for r in results[beta]:
            axes[0].plot([i + 0.1] * len(r["turned"]), r["turned"], "o", color=colors.NOISE, ms=5, alpha=0.5)
            axes[0].plot(i - 0.1, r["order"], "o", color=colors.MODEL, ms=9, alpha=0.8)
    curves = {"perfect order": (0, list(best.values()), colors.EXACT),
              "as trained": (-0.1, [mean(b, "order") for b in betas], colors.MODEL),
              "turned at random": (0.1, [mean(b, "turned") for b in betas], colors.NOISE)}
    for k, (words, (aside, values, color)) in enumerate(curves.items()):
        axes[0].plot(at + aside, values, color=color)
        axes[0].text(len(at) - 0.65, 1 - 0.09 * k, words, color=color, fontweight="bold", va="center", ha="right")
    height = -1.0
    for i in sorted(range(4), key=known[betas[-1]].tolist().__getitem__):  # labels from below, none on another
        height = max(known[betas[-1]][i].item(), height + 0.09)
        axes[1].plot(at, [known[b][i] for b in betas], color=colors.COMPONENTS[i], marker="o")
        axes[1].text(len(at) - 0.9, height, FACTORS[i], color=colors.COMPONENTS[i], fontweight="bold", va="center")
    axes[0].set(title="Disentanglement, between two yardsticks", ylabel="disentanglement (DCI)")
    axes[1].set(title="What moves few pixels is forgotten", ylabel="share of a factor explained")
    for ax, wide in zip(axes, (-0.6, -0.15)):
        ax.set(xlabel="β at σ = 0.1", ylim=(-0.06, 1.05), xlim=(-0.4, len(betas) + wide))
        ax.set_xticks(at, betas)


# %%
order_and_knowledge()

# %%
before = lambda r: r["order"] - sum(r["turned"]) / len(r["turned"])
lead = {beta: torch.tensor([before(r) for r in several]) for beta, several in results.items()}
claim("β = 20: trained axes before turned ones, mean of the models", lead[20].mean(), near=0.05, within=0.25, digits=1)
claim("β = 20: standard error of that mean", lead[20].std() / len(lead[20]) ** 0.5, below=0.15, digits=1)
orders = [r["order"] for r in results[20]]
claim("β = 20: disentanglement of the best seed", max(orders), above=mean(20, "order"), digits=2)
claim("β = 20: disentanglement of the worst seed", min(orders), below=mean(20, "order"), digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: order and knowledge, beta by beta
first, last = list(seeds)[0], list(seeds)[-1]
for beta in (1, 20):
    claim(f"β = {beta}: trained axes", mean(beta, "order"), above=0.15, digits=2)
    claim(f"β = {beta}: turned", mean(beta, "turned"), above=0.1, digits=2)
    claim(f"β = {beta}: perfect order, knowing as much", best[beta], above=mean(beta, "order"), digits=2)
claim("β = 1: trained axes before turned ones, mean of the models", lead[1].mean(), near=0, within=0.3, digits=1)
claim("share of the factors that the codes explain, smallest β", known[first].mean(), above=0.6, digits=2)
claim("share that they explain, largest β", known[last].mean(), below=0.7 * known[first].mean().item(), digits=2)
claim("share of scale and orientation that the codes explain, largest β", known[last][2:].mean(), below=0.4, digits=1)
claim("best MIG of all runs, of 1", max(r["MIG"] for several in results.values() for r in several), below=0.7, digits=2)

# %% [markdown]
# Read this figure slowly; it is easy to see in it what one was hoping for. Left: at $\beta = 1$ the trained axes
# (vermilion) score 0.31 and randomly turned ones (gray) 0.34, while perfect order would score 0.82. So the axes are
# no better than arbitrary ones. At $\beta = 20$ it is 0.36 for both: here pressure did not help on average, up to a
# standard error of 0.08. The random start mattered more, 0.51 with one seed and 0.23 with another, and without labels
# you could not tell which one you have. Right: a larger $\beta$ also costs information. What changes the fewest
# pixels is lost first, and at the largest $\beta$ little is left to put in order.
#
# Locatello et al. (2019) trained more than 12,000 models and came to the same conclusion: without labels the
# well-ordered ones could not be picked out, and seed and settings mattered more than the method. They also proved
# that without further assumptions disentanglement cannot be learned from pictures alone. In our runs batch, steps and
# learning rate were always the same.
#
# ## 5b.3 A circle does not fit on a line
#
# One latent for each factor may even be impossible. Above, each hue ran along an arc; now let it run around the whole
# color circle. A circle cannot be mapped to a line continuously without two different hues getting the same code.
# This is a matter of **topology**, and no $\beta$ can change it: such a hue needs at least two latents. We let the
# floor run once around the circle, hold the rest, and look at the codes. **Predict:** what curve will they form?

# %%
circle_x, circle_test, circle_factors = rooms_of(CIRCLE)
turning = room_vaes(circle_x, [1] * seeds[1])


def road(model, hues, n=61):  # codes of rooms whose floor alone changes, along their three main directions
    u = torch.full((n, 4), 0.5)
    u[:, 0] = torch.linspace(0, 1, n)
    x = four_factors.draw(u, hues, SIDE).to(DEVICE)
    z = model.encode(x).mean
    z = z - z.mean(0)
    _, s, V = torch.linalg.svd(z, full_matrices=False)
    floor = x[:, :, -1, SIDE // 2].clamp(0, 1)  # (n, 3): the color of the floor
    return (z @ V[:3].T).cpu(), floor.cpu(), (s[0] ** 2 / (s**2).sum()).item()


# %% jupyter={"source_hidden": true}
# The figures: codes of rooms, floors around the circle or on an arc, in the floor's color
def once_around():
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    worlds = {"Around the color circle": road(turning[0], CIRCLE), "Along an arc": road(models[1][0], ARC)}
    both = make_subplots(1, 2, specs=[[{"type": "scene"}] * 2], subplot_titles=list(worlds))
    twin = plt.figure(figsize=(11, 3.6))
    for i, (title, (z, floor, _)) in enumerate(worlds.items()):
        shade = [f"rgb({r},{g},{b})" for r, g, b in (255 * floor).int().tolist()]
        x, y, h = z.numpy().round(3).T.tolist()
        marker, line = {"color": shade, "size": 6}, {"color": colors.NOISE, "width": 3}
        both.add_trace(go.Scatter3d(x=x, y=y, z=h, mode="lines+markers", marker=marker, line=line), 1, i + 1)
        ax = twin.add_subplot(1, 2, i + 1, projection="3d")
        ax.plot(*z.T, color=colors.NOISE, lw=1.5)
        ax.scatter(*z.T, c=floor.numpy(), s=40, depthshade=False)
        ax.set(xticklabels=[], yticklabels=[], zticklabels=[])
        ax.set_box_aspect((z.max(0).values - z.min(0).values).tolist(), zoom=1.25)
        ax.set_title(title)
    names = {f"{axis}axis": {"title": f"direction {k + 1}", "showticklabels": False} for k, axis in enumerate("xyz")}
    both.update_scenes(**names, camera_eye={"x": 2.8, "y": 2.8, "z": 1.9}, aspectmode="data")
    both.update_layout(showlegend=False, height=420, margin={"l": 0, "r": 0, "t": 40, "b": 0})
    plotting.turn(both, twin)


# %%
once_around()

# %%
claim("share of these codes' variance along one direction: arc", road(models[1][0], ARC)[2], above=0.7, digits=2)
around_it = sum(road(m, CIRCLE)[2] for m in turning) / len(turning)
claim("share of these codes' variance along one direction: circle", around_it, below=0.7, digits=2)

# %% [markdown]
# The codes of an arc have two ends; those of the circle form a closed loop, which does not fit on one axis. So scores
# that ask for one latent per factor, MIG and completeness, cannot reach 1 here. (Disentanglement can, because two
# latents that both serve one hue alone count as perfect.)

# %%
u = list(circle_factors.values())  # floor, wall, scale, orientation
two_each = torch.stack([f(2 * torch.pi * v) for v in u[:2] for f in (torch.sin, torch.cos)] + u[2:], 1)
claim("sine and cosine of each hue, without any error: completeness", score(two_each, circle_factors).completeness,
      below=0.9, digits=2)
claim("sine and cosine of each hue: MIG", disentanglement.mig(two_each, circle_factors), below=0.5, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: models of circles against models of arcs
around = [scores(m, circle_test, circle_factors) for m in turning]
circle = {name: sum(a[name] for a in around) / len(around) for name in ("complete", "known")}
claim("completeness of trained models at β = 1, arcs", mean(1, "complete"), above=0.15, digits=2)
claim("completeness of trained models at β = 1, circles", circle["complete"], below=0.9 * mean(1, "complete"), digits=2)
on_arcs, on_circles = known[1][2:].mean().item(), circle["known"][2:].mean()
claim("share explained of scale and orientation, arcs", on_arcs, above=0.35, digits=2)
claim("share explained of scale and orientation, circles", on_circles, below=on_arcs, digits=2)

# %% [markdown]
# Even the sine and cosine of each hue, without any error, reach a completeness of only 0.85. In trained models it
# falls from 0.3 on the arcs to 0.13. But the models of circles also know less about the rest: of scale and
# orientation they explain 0.36 instead of 0.66. So two effects are at work, and the score does not tell them apart.
#
# **Play.** Six latents of a room, one slider each; the table says which true factors move under your hand, and the
# rendered room beside the decoded one has the factors that were measured. Compare a small and a large $\beta$. (The
# models have other pictures and another $\sigma$ than those above, so their $\beta$ are other numbers, too.) *Before
# you drag:* how many of the sliders do nothing at all when $\beta$ is large, and what is gone from the picture?
#
# <details><summary>Answer</summary>
#
# Count the latents that the table calls idle. What changes the fewest pixels is gone: first the orientation, then the
# size of the sphere.
# </details>

# %%
from gdm_core import explorers

explorers.traversal(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 5b.4 Two models, one map
#
# If the axes are an accident, is the whole space one? Train a second model with another seed, another architecture,
# or another objective. Its codes look nothing like the first one's, but both describe the same pictures. How
# different are the two spaces really? Take a few dozen pictures (the **support set**), encode them in both models,
# fit $z' \approx A z + b$ by ridge regression, and test on pictures that were not used. Lenc and Vedaldi (2015) did
# this for classifiers; Asperti and Tonelli (2022) did it for deep generative models of faces, where one matrix was
# enough. **Predict:** will it be enough here?

# %%
few = None if DATASET == "digits" else 20000 if FULL else 4000
px, unseen_x = (small(data.load(DATASET, split, n=few, seed=SEED, device=DEVICE).x) for split in ("train", "test"))
shape = px.shape[1:]
vae = lambda: VAE(shape, 16, hidden=(256,), likelihood=noise(0.1))
deeper = lambda: VAE(shape, 10, hidden=(256, 128), likelihood=noise(0.15))
begin = learn(vae, px)
second_models = {
    "a VAE, another seed": learn(vae, px, seed=SEED + 1),
    "a deeper VAE, 10 latents": learn(deeper, px, seed=SEED + 2),
    "a plain autoencoder": learn(lambda: Autoencoder(shape, 10), px, seed=SEED + 3),
}


def code(model, x):
    z = model.encode(x)
    return z if isinstance(z, torch.Tensor) else z.mean


# %%
def bare_map(a, b, penalty):  # ridge regression with an intercept
    u, v = a - a.mean(0), b - b.mean(0)
    A = torch.linalg.solve(u.T @ u + penalty * torch.eye(a.shape[1]), u.T @ v).T
    return A, b.mean(0) - A @ a.mean(0)


za, za_new = code(begin, px).cpu(), code(begin, unseen_x).cpu()
zb, zb_new = ({name: code(model, x).cpu() for name, model in second_models.items()} for x in (px, unseen_x))
twin = "a VAE, another seed"
A, _ = bare_map(za[:80], zb[twin][:80], 1.0)
library = latent.fit_map(za[:80], zb[twin][:80], penalty=1.0)
claim("bare and library map, largest difference", (A - library.weight).abs().max(), below=1e-3, digits=1)

# %%
counts = [5, 10, 20, 40, 80, 160, 500]
held_out = {name: {n: latent.fit_map(za[:n], zb[name][:n]).error(za_new, zb_new[name]).value for n in counts}
            for name in second_models}

# %% jupyter={"source_hidden": true}
# The figure: held-out error of the maps
def errors_of_maps():
    _, ax = plt.subplots(figsize=(9, 4))
    for (name, errors), dash in zip(held_out.items(), ("-", "--", ":")):
        ax.plot(counts, list(errors.values()), color=colors.MODEL, marker="o", ls=dash, label=f"… {name}")
    ax.axhline(1, color=colors.NOISE, ls="--")
    ax.text(500, 1.03, "always the mean code", color=colors.NOISE, ha="right", va="bottom")
    ax.legend(title="From a VAE to …", loc="upper right", bbox_to_anchor=(1, 0.8))
    ax.set(xscale="log", xlim=(4.5, 560), ylim=(0, 1.25), xlabel="support pictures")
    ax.set(ylabel="error, share of the spread", title="About eighty pictures suffice for a map")
    ax.set_xticks(counts, counts)
    ax.minorticks_off()


# %%
errors_of_maps()

# %%
for name in second_models:
    claim(f"{name}: held-out error with 80 support pictures", held_out[name][80], below=0.35, digits=2)
wrong_pairs = latent.fit_map(za[:80], zb[twin][:80].flip(0)).error(za_new, zb_new[twin]).value
claim(f"{twin}: with 80 wrong pairs", wrong_pairs, above=0.8, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: three rivals of the map, and more pictures
spread = (zb_new[twin] - zb_new[twin].mean(0)).square().sum(1).mean()
nearest = torch.cdist(za_new, za[:80]).argmin(1)
rivals = {
    "rotation and scale alone": latent.fit_map(za[:80], zb[twin][:80], "procrustes").error(za_new, zb_new[twin]).value,
    "the code of the nearest support picture": (zb[twin][:80][nearest] - zb_new[twin]).square().sum(1).mean() / spread,
    "no map": (za_new - zb_new[twin]).square().sum(1).mean() / spread,
}
for words, value in rivals.items():
    claim(f"{twin}: {words}", value, above=held_out[twin][80], digits=2)
claim(f"{twin}: 500 pictures in place of 80 leave, of the error", held_out[twin][500] / held_out[twin][80],
      above=0.5, digits=2)

# %% jupyter={"source_hidden": true}
# The figure: new pictures through the first model's codes and a map, and through own codes
def picture(model, z):
    x = model.decode(z.to(DEVICE))
    return x if isinstance(x, torch.Tensor) else x.mean


def carried_over(n=8):
    rows = unseen_x[:n]
    maps = {name: latent.fit_map(za[:80], zb[name][:80]) for name in second_models}
    carried = [rows, *(picture(m, maps[name](za_new[:n])) for name, m in second_models.items())]
    own = [picture(begin, za_new[:n]), *(picture(m, zb_new[name][:n]) for name, m in second_models.items())]
    _, axes = plt.subplots(1, 2, figsize=(15, 4))
    titles = "Carried over from the first model", "Each model's own"
    names = ["new pictures", *(f"→ {name}" for name in second_models)], ["the first model", "", "", ""]
    for ax, sheet, title, labels in zip(axes, (carried, own), titles, names):
        plotting.images(torch.cat(sheet), ax, columns=n)
        ax.set_title(title)
        ax.set_yticks([(i + 0.5) * (px.shape[-1] + 1) for i in range(4)], labels)


# %%
carried_over()

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: what carried codes miss
missed = lambda p: (p - unseen_x).square().sum((1, 2, 3)).mean().item()  # squared pixels
alone, through = (missed(picture(second_models[twin], z)) for z in (zb_new[twin], library(za_new)))
blank = missed(px.mean(0))
claim(f"squared error of new pictures, {twin}, own codes", alone, below=0.4 * blank, digits=2)
claim("squared error of new pictures, codes carried over from the first model", through, above=alone, digits=2)
claim("squared error of the average picture", blank, above=2 * through, digits=2)

# %% [markdown]
# Yes, and eighty pictures suffice to find it: between two VAEs of one kind the error is 0.078 of the spread, and five
# hundred pictures still leave 0.85 of that. Decoded, the carried codes miss new pictures by a squared error of 2.6,
# the model's own codes by 2.2, the average picture by 9.3. As a control, with wrongly matched pairs the map is worth
# nothing.
#
# Should that surprise us? **Predict** first: how well does a matrix do that starts from the *pixels*, without any
# first model?

# %%
flat, flat_new = px.flatten(1).cpu(), unseen_x.flatten(1).cpu()
for name in second_models:
    straight_on = latent.fit_map(flat[:80], zb[name][:80]).error(flat_new, zb_new[name]).value
    claim(f"{name}: from the pixels, 80 pictures", straight_on, below=2 * held_out[name][80], digits=2)

# %% [markdown]
# Better still: the error is 0.024. So there is no mystery. On these small pictures the encoders are nearly linear,
# and two spaces that are each one matrix away from the pixels are one matrix away from each other. The axes are an
# accident, but the space that they span belongs to the data, as in PCA. Whether the pixels are such a shortcut for
# the deep models of faces as well, we do not know. Before admiring a map between two latent spaces, check how well a
# map straight from the pixels does. Chapter 8 will do the same with a GAN, which never had an encoder.
#
# ## 5b.5 A grid of discrete codes
#
# All latents so far were points in $\mathbb R^L$ with a Gaussian prior, which fits the codes only roughly (4b.6). If
# a picture were a sentence instead, any model of sentences could be its prior, and there are strong ones (chapter
# 10). The **vector-quantized VAE** (VQ-VAE; van den Oord, Vinyals and Kavukcuoglu, 2017) turns a picture into a small
# grid of *words* from a learned codebook $e_1, \dots, e_K$. At each of $M$ places the encoder outputs a feature
# $g_m(x)$, which is replaced by the nearest code:
#
# $$ \begin{aligned}
# k_m(x) &= \arg\min_j \| g_m(x) - e_j \| , \\
# \text{loss} &= -\log p(x\mid e_{k_1}, \dots, e_{k_M}) \\
# &\quad + \sum_m \big\| \operatorname{stop}[g_m(x)] - e_{k_m}\big\|^2
# + \tfrac14 \sum_m \big\|g_m(x) - \operatorname{stop}[e_{k_m}]\big\|^2 ,
# \end{aligned} $$
#
# where $\operatorname{stop}$ (*stop-gradient*) treats its argument as a constant. Where is the KL? Here $q$ puts all its mass on one
# word at each place; against a uniform prior that costs $M \log K$ for every picture, and a constant has no gradient.
# The last two terms are not part of any bound. They are needed because the $\arg\min$ has no gradient: the second
# moves codes toward features, the third (the *commitment loss*) features toward codes. The gradient of the first term
# is copied from $e_{k_m}$ to $g_m(x)$ unchanged, as if the choice were not there; this is the *straight-through*
# estimator. Only the code nearest to a feature moves. A code that is never the nearest never learns: **dead codes**
# are this model's form of collapse.

# %%
WORDS = 128
few = None if REAL == "digits" else 4000
real_x, fresh_x = (small(data.load(REAL, split, n=few, device=DEVICE).x) for split in ("train", "test"))


def vq(revive):
    torch.manual_seed(SEED)
    model = VQVAE(real_x.shape[1:], codes=WORDS, width=8, halvings=1).to(DEVICE)
    steps, road = 2000 if FULL else 400, []
    for history in train.steps(model, real_x, steps=steps, batch_size=64, lr=2e-3, rate=train.falling, seed=SEED):
        if revive and len(history) % 50 == 0 and len(history) <= steps // 2:
            model.revive(real_x[:500])  # a code without a picture moves onto a feature of one
        if len(history) % 20 == 0:
            road.append((len(history), model.perplexity(fresh_x)))
    return model.eval().requires_grad_(False), road


dead, revived = vq(False), vq(True)
features = revived[0].encoder(fresh_x[:50]).movedim(1, -1)  # (50, *grid, 8)
bare_codes = (features[..., None, :] - revived[0].codebook).square().sum(-1).argmin(-1)
differ = (bare_codes != revived[0].encode_codes(fresh_x[:50])).sum()
claim("codes on which bare code and library differ", differ, near=0, within=0)

# %% jupyter={"source_hidden": true}
# The figure: codes in use while training, and how often each is used at the end
def use_of_codes():
    _, axes = plt.subplots(1, 2, figsize=(13, 3.6))
    looks = ((dead, colors.ACCENT, "as it comes", -16), (revived, colors.MODEL, "dead codes revived", 14))
    for (model, road), color, words, up in looks:
        plotting.curve(*zip(*road), axes[0], words, color=color, at=0.6, offset=(0, up))
        share = model.usage(fresh_x).sort(descending=True).values.cpu()
        axes[1].plot(range(1, WORDS + 1), 100 * share, color=color)
    axes[0].set(xlabel="step", ylabel="codes in use", ylim=(0, None), title="Perplexity of the codes on new pictures")
    axes[1].set(xlabel="codes, by use", ylabel="% of all places", title="How often each code is used", xlim=(0, WORDS))


# %%
use_of_codes()

# %%
uses = {words: model.perplexity(fresh_x) for words, (model, _) in {"as it comes": dead, "revived": revived}.items()}
claim(f"perplexity: codes of {WORDS} in use, as it comes", uses["as it comes"], below=uses["revived"], digits=2)
claim(f"perplexity: codes of {WORDS} in use, dead codes revived", uses["revived"], above=uses["as it comes"], digits=2)

# %%
@torch.no_grad()
def bill(model):
    """How often each code stands at each place, (WORDS, M); nats for the codes of a new picture; log p(x | codes)."""
    seen, new = model.encode_codes(real_x), model.encode_codes(fresh_x)
    frequency = torch.stack([(seen.flatten(1) == k).double().mean(0) for k in range(WORDS)])
    frequency = (frequency * len(seen) + 0.1) / (len(seen) + 0.1 * WORDS)  # no code is impossible
    price = -frequency.log().T.gather(1, new.flatten(1).T).sum(0)
    return frequency, price.mean().item(), model.decode_codes(new).log_prob(fresh_x).mean().item()


(_, dead_price, dead_fit), (frequency, price, fit) = bill(dead[0]), bill(revived[0])
uniform = revived[0].grid.numel() * torch.tensor(float(WORDS)).log()
claim("price of a picture's codes if all are alike: M log K", uniform, above=price, unit="nats")
claim("price by the frequencies of each place", price, below=uniform.item(), digits=2, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: unused codes, and what reviving is worth
unused = [(model.usage(fresh_x) == 0).sum() for model, _ in (dead, revived)]
claim("codes that answer to no new picture, as it comes", unused[0], above=3)
claim("codes that answer to no new picture, with dead codes revived", unused[1], below=unused[0].item() - 1)
claim("price by the frequencies of each place, as it comes", dead_price, below=uniform.item(), digits=2, unit="nats")
won = fit - price - (dead_fit - dead_price)
claim("log p(x | codes) minus price: what reviving wins or loses", abs(won), below=12, digits=1, unit="nats")

# %% jupyter={"source_hidden": true}
# The figure: new pictures decoded, two halves glued, codes at random
def grids(n=6):
    new = revived[0].encode_codes(fresh_x)
    decode = lambda codes: revived[0].decode_codes(codes).mean
    left, right, half = fresh_x[10:10 + n], fresh_x[20:20 + n], new.shape[1] // 2
    glued = torch.cat([revived[0].encode_codes(left)[:, :half], revived[0].encode_codes(right)[:, half:]], 1)
    random = torch.randint(WORDS, (3 * n, *new.shape[1:]), device=DEVICE)
    alone = torch.multinomial(frequency.T, 3 * n, replacement=True).T.reshape(3 * n, *new.shape[1:])
    rebuilt = decode(new[:n])
    sheets = {"new, decoded, error": torch.cat([fresh_x[:n], rebuilt, (rebuilt - fresh_x[:n]).abs()]),
              "upper + lower = both": torch.cat([left, right, decode(glued)]),
              "codes at random": decode(random), "each place by itself": decode(alone)}
    _, axes = plt.subplots(2, 2, figsize=(11, 6))
    for ax, (title, p) in zip(axes.flat, sheets.items()):
        plotting.images(p, ax, columns=n)
        ax.set_title(title)


# %%
grids()

# %% [markdown]
# How many of the 128 codes are in use is measured by the perplexity, the exponential of the entropy of their
# frequencies. Now and then moving dead codes onto features of pictures raises it from 28 to 71. But more words need
# not say more: $\log p(x \mid \text{codes})$ minus the price of the codes changes by 4 nats in this one pair of runs,
# little beside the 46 that the codes cost.
#
# The codes are local: upper codes of one digit with lower codes of another decode to both halves, glued together. But
# a codebook is no prior. Codes drawn at random give a pattern of parts; codes drawn by their frequency at each place
# give a smudge, because what stands at one place depends on its neighbors. A VQ-VAE without a model of its codes is a
# compressor, not a generative model. What a prior is worth can be measured in nats. If all codes are taken to be
# equally likely, the codes of one picture cost 77.6 nats; their frequencies at each place bring it down to 46. A
# model that knows how places depend on one another should pay less still. That is the subject of chapter 10, and
# these codes will be its sentences.
#
# ## 5b.6 What to keep, and what is not settled
#
# - Latent axes are largely an accident: the likelihood does not change when $z$ is rotated. No $\beta$ promises
#   disentangled axes without supervision.
# - Read MIG and DCI between two yardsticks: randomly turned axes, and perfect order that knows as much.
# - A factor that runs around a circle needs at least two latents.
# - Two spaces of the same data may be one matrix apart. Compare with a matrix straight from the pixels.
# - A VQ-VAE replaces Gaussian codes by a grid of words. Without a model of the words it has no useful prior.
#
# Honest limits. The truth was known because we rendered it: four factors, small rooms. Each number comes from one to
# five seeds in the fast profile, and how the rooms' models are trained, batch and steps, moves their scores as well.
#
# **References.** I. Higgins et al., *beta-VAE*, 2017, eq. 4. R. Chen et al., *Isolating sources of disentanglement*,
# 2018, eq. 6 (MIG). C. Eastwood, C. Williams, *A framework for the quantitative evaluation of disentangled
# representations*, 2018, section 2 (DCI). F. Locatello et al., *Challenging common assumptions in the unsupervised
# learning of disentangled representations*, 2019, theorem 1. M. Rolínek, D. Zietlow, G. Martius, *Variational
# autoencoders pursue PCA directions (by accident)*, 2019. K. Lenc, A. Vedaldi, *Understanding image representations
# by measuring their equivariance and equivalence*, 2015. A. Asperti, V. Tonelli, *Comparing the latent space of
# generative models*, 2022. A. van den Oord, O. Vinyals, K. Kavukcuoglu, *Neural discrete representation learning*,
# 2017, eq. 1 to 3.
