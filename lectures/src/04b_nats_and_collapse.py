# %% [markdown]
# # 4b · What a VAE has learned: nats, blur, collapse
#
# **A VAE may train without any error message and still draw blurry pictures, ignore its latents, or report a loss
# that means nothing. How do we find out which of these has happened?**
#
# After this lecture you can
#
# - compare a VAE with other models in nats, and say how much of its lead is due to the likelihood;
# - find the $\beta$ that is hidden in a loss which averages over pixels;
# - say which part of the blur no network could avoid;
# - produce posterior collapse, predict it exactly in the linear case, and cure it;
# - measure how well the codes of all pictures together match the prior;
# - test whether a model has found the manifold on which the pictures lie.
#
# You need: part 4. Time: 50 minutes to read, 10 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures where there are more, finer measurements
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import plotly.graph_objects as go
import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal

from gdm_core import colors, data, explorers, inference, networks, plotting, train
from gdm_core.course.claims import claim
from gdm_core.disentanglement import active_units
from gdm_core.likelihoods import Gaussian, GrayCut
from gdm_core.models.gmm import GMM
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE
from gdm_core.validate import choice

choice("PROFILE", PROFILE, ["fast", "full"])
choice("DATASET", DATASET, ["digits", "strokes", "mnist", "fashion"])
plotting.use_style()
torch.manual_seed(SEED)
finer = 4 if PROFILE == "full" else 1  # times as many steps and draws where something is measured

# %% [markdown]
# ## 4b.1 All digits, in nats
#
# First the simplest question: is our VAE a better model of digits than those of chapters 1 and 2? We train the two
# VAEs of part 4 again, with 2 latents and with 16, on 1,000 pictures of 8 x 8 pixels.

# %%
def small(split):  # pictures of 8 x 8 pixels on 17 gray levels in [0, 1], and their labels
    many = None if DATASET == "digits" else (4000 if PROFILE == "full" else 1000)
    d = data.load(DATASET, split, n=many, seed=SEED, device=DEVICE)
    return (nn.functional.adaptive_avg_pool2d(d.x, 8) * 16).round() / 16, d.labels


(train_x, train_y), (test_x, _) = small("train"), small("test")
longer = max(1, len(train_x) // 1000)  # times as many training steps: on few pictures more would only overfit


def new_vae(latents, hidden, steps, lr, **options):
    torch.manual_seed(SEED)
    model = VAE((1, 8, 8), latents, hidden=(hidden,), likelihood="discretized", levels=17, **options).to(DEVICE)
    train.fit(model, train_x, steps=steps * longer, lr=lr, rate=train.falling)
    return model


vae2, vae16 = new_vae(2, 128, 1100, 3e-3), new_vae(16, 256, 1000, 2e-3)

# %% [markdown]
# The likelihood is the discretized logistic of 3.6: for each pixel the decoder outputs a location $m_i$ and a width
# $w_i$, and a gray level gets the mass between the midpoints to its neighbors,
#
# $$ p\big(x_i = \tfrac{k}{16} \,\big|\, z\big) = F\Big(\frac{\frac{k}{16} + \frac1{32} - m_i}{w_i}\Big) - F\Big(\frac{\frac{k}{16} - \frac1{32} - m_i}{w_i}\Big), \qquad F(t) = \frac{1}{1 + e^{-t}} ; $$
#
# the two outermost levels also get all that lies beyond them (Salimans et al., 2017, eq. 2). To compare models we
# want $\log p(x)$ itself, and the ELBO may lie well below it when the encoder guesses badly. The
# **importance-weighted bound** averages $S$ draws from the encoder inside the logarithm (Burda, Grosse and
# Salakhutdinov, 2016, eq. 8),
#
# $$ \log p(x) \ge \mathbb E\Big[\log \frac1S \sum_{s=1}^S \frac{p(x, z_s)}{q_\phi(z_s \mid x)}\Big], \qquad z_s \sim q_\phi(z\mid x) . $$
#
# With $S = 1$ it is the ELBO, and it becomes tighter as $S$ grows: the weights $p(x, z_s)/q_\phi(z_s \mid x)$ correct
# for a bad guess. The competitors are the models of chapters 1 and 2: independent pixels, each with a free histogram;
# the Gaussian mixture; and PPCA. All see the same training pictures and are tested on the same new ones.

# %%
levels = lambda x: (16 * x).flatten(1).long().cpu()  # (B, 64), whole numbers from 0 to 16
counts = torch.stack([(levels(train_x) == level).double().sum(0) for level in range(17)])  # (17, 64)
histogram = (counts + 0.1) / (len(train_x) + 17 * 0.1)


def alone(x):  # -log p(x) of a model in which the pixels know nothing of each other, (B,) nats
    return -histogram.log()[levels(x), torch.arange(64)].sum(1)


noisy = lambda x: levels(x) + torch.rand(len(x), 64, dtype=torch.float64)  # dequantized: a bound, as in 1.9
mixture, ppca = GMM(5, 64).double(), PPCA(64, 51).double()
mixture.start(noisy(train_x), floor=0.2)
for _ in range(30):
    next(mixture.em(noisy(train_x), 1, floor=0.2))
ppca.solve(noisy(train_x));

# %% [markdown]
# PPCA and our VAEs differ in *two* respects: the nonlinear decoder and the likelihood. To separate them we need a
# model in between, with a linear decoder and the discretized logistic likelihood. **Predict:** which of the two
# differences is worth more?

# %%
straight = lambda latents: networks.MLPDecoder(latents, (1, 8, 8), channels=2, hidden=())
linear2 = new_vae(2, 128, 1500, 3e-2, decoder=straight(2))
linear16 = new_vae(16, 128, 2200, 1e-2, decoder=straight(16))
torch.manual_seed(SEED)
with torch.no_grad():
    nats = {"PPCA, 51 latents": -ppca.log_prob(noisy(test_x)), "mixture of 5": -mixture.log_prob(noisy(test_x)),
            "pixels alone": alone(test_x)}
    for name, model in {"linear decoder, 2 latents": linear2, "VAE, 2 latents": vae2,
                        "linear decoder, 16 latents": linear16, "VAE, 16 latents": vae16}.items():
        nats[name] = -inference.iwae_bound(model, test_x, 300 * finer).double().cpu()

# %% jupyter={"source_hidden": true}
# The figure: what a new picture costs each model
def bars(nats):
    fig, ax = plt.subplots(figsize=(9.5, 3.9))
    for row, (name, values) in enumerate(sorted(nats.items(), key=lambda item: -item[1].mean())):
        color = colors.MODEL if "VAE" in name else colors.ACCENT if "linear" in name else colors.NOISE
        ax.barh(row, values.mean(), color=color, height=0.72)
        ax.text(values.mean() - 1, row, f"{values.mean():.0f}", color="white", va="center", ha="right",
                fontweight="bold")
    ax.set(yticks=range(len(nats)), yticklabels=sorted(nats, key=lambda name: -nats[name].mean()), xlim=(0, None),
           xlabel="nats per new picture (less is better)", title="Most of the lead comes from the likelihood")


# %%
bars(nats)

# %%
bend = {n: nats[f"linear decoder, {n} latents"] - nats[f"VAE, {n} latents"] for n in (2, 16)}
error = lambda differences: differences.std().item() / len(differences) ** 0.5  # of their mean
claim("16 latents: with the discretized likelihood a linear decoder costs less than PPCA by",
      (nats["PPCA, 51 latents"] - nats["linear decoder, 16 latents"]).mean(), above=25, digits=2, unit="nats")
claim("16 latents: the linear decoder costs more than the bent one by", bend[16].mean(), above=1, digits=1, unit="nats")
claim("2 latents: the linear decoder costs more than the bent one by", bend[2].mean(), above=3, digits=1, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: what each model costs, and how sure the differences are
cost = {name: values.mean().item() for name, values in nats.items()}
claim("pixels alone, where equal gray levels would cost 64 log 17: cost", cost["pixels alone"], below=64 * math.log(17),
      unit="nats")
for name in ("PPCA, 51 latents", "mixture of 5"):
    claim(f"{name}: cost", cost[name], above=cost["pixels alone"], unit="nats")
for name in ("VAE, 2 latents", "VAE, 16 latents", "linear decoder, 16 latents"):
    claim(f"{name}: cost", cost[name], below=cost["pixels alone"], digits=2, unit="nats")
claim("linear decoder, 2 latents: cost, over that of the pixels alone",
      cost["linear decoder, 2 latents"] / cost["pixels alone"], near=1, within=0.1)
for n, differences in bend.items():
    claim(f"{n} latents: standard error of what the bend is worth", error(differences),
          below=differences.mean().item() / 3, digits=1, unit="nats")
with torch.no_grad():
    loose = -inference.elbo(vae16, test_x, 20).double().cpu() - nats["VAE, 16 latents"]
claim("importance weighting improves the bound of 16 latents by", loose.mean(), above=0.5, digits=2, unit="nats")

# %% [markdown]
# The VAE with 16 latents needs 88 nats and beats independent pixels (106), which neither PPCA nor the mixture could
# do. But most of the credit does not go to the network: a linear decoder with the same likelihood already beats PPCA
# by 41 nats. This likelihood is made for gray levels and gives every pixel a width of its own, where PPCA has one
# variance for all. With 16 latents the nonlinear decoder adds 3 nats. With two latents it adds 6, and there a linear
# decoder is hardly better than no latents at all.
#
# ## 4b.2 The units ledger
#
# Both terms of the bound are in nats, so they can be added without any weight. Yet many implementations contain a
# weight, often without saying so. The general form is that of the $\beta$-VAE (Higgins et al., 2017),
#
# $$ \text{loss} = -\,\mathbb E_q[\log p(x\mid z)] + \beta\, \mathrm{KL}(q\|p), $$
#
# and $\beta = 1$ is minus the bound. A factor on the whole loss changes nothing but the step size; a factor on *one
# term* changes $\beta$. The usual accident is a mean where a sum belongs. Here are five losses as one finds them in
# code. **Predict** the $\beta$ of each.

# %%
ledger = {
    "sum over pixels, sum over latents": lambda log_px, kl: -log_px.sum((1, 2, 3)).mean() + kl.sum(1).mean(),
    "sums over everything, pictures too": lambda log_px, kl: -log_px.sum() + kl.sum(),
    "mean over pixels, sum over latents": lambda log_px, kl: -log_px.mean() + kl.sum(1).mean(),
    "mean over pixels, mean over latents": lambda log_px, kl: -log_px.mean() + kl.mean(),
    "mean over pixels, 0.001 times the sum over latents":
        lambda log_px, kl: -log_px.mean() + 0.001 * kl.sum(1).mean(),
}


def gradient(loss):  # the direction in which a loss moves all weights of the VAE
    vae16.zero_grad()
    q = vae16.encode(train_x[:100])
    torch.manual_seed(SEED)
    log_px = vae16.decode(q.rsample()).base_dist.log_prob(train_x[:100])  # (100, 1, 8, 8): pixel by pixel
    kl = inference.kl(q.base_dist, vae16.prior().base_dist)  # (100, 16): latent by latent
    loss(log_px, kl).backward()
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in vae16.parameters()])


# %% [markdown]
# To find it, note that the gradient of each loss is a combination of two gradients,
# $a\,(\nabla\text{first term} + \beta\, \nabla \mathrm{KL})$. A least-squares fit gives $a$ and $\beta$.

# %%
terms = torch.stack([gradient(lambda log_px, kl: -log_px.sum((1, 2, 3)).mean()),
                     gradient(lambda log_px, kl: kl.sum(1).mean())])
meant = dict(zip(ledger, (1, 1, 64, 64 / 16, 64 / 1000)))
for words, loss in ledger.items():
    scale, scale_beta = torch.linalg.lstsq(terms.T, gradient(loss)[:, None]).solution.squeeze()
    claim(f"{words}: beta", scale_beta / scale, near=meant[words], within=0.01 * meant[words], digits=2)
vae16.zero_grad()

# %% [markdown]
# A mean over the pixels with a weight of 1 on the KL is $\beta = 64$ here; for pictures of 28 x 28 pixels it would be
# $28^2 = 784$. A weight of 0.001 looks tiny and is 0.064. A squared error hides one more number: $\|x - f\|^2$
# without the factor $1/2\sigma^2$ means $\sigma^2 = 1/2$, a standard deviation of most of the gray scale. Whoever
# then tunes $\beta$ to get sharp pictures is really choosing $\sigma$. It is better to do so openly; a likelihood
# with a learned scale needs no $\beta$ at all (Rybkin, Daniilidis and Levine, 2021).
#
# ## 4b.3 Blur: the average of all right answers
#
# VAEs are known for blurry pictures. Is the network too small, or is something else the reason? Fix the encoder and
# ask for the best possible decoder under a squared error, that is, under a Gaussian likelihood of fixed width. For
# each $z$ it is the average of the training pictures, weighted by how likely each has its code at this point:
#
# $$ f^*(z) = \mathbb E[x \mid z] = \frac{\sum_n q_\phi(z\mid x_n)\, x_n}{\sum_n q_\phi(z \mid x_n)} . $$
#
# (Set the derivative of $\sum_n \mathbb E_{q_\phi(z\mid x_n)}\|x_n - f(z)\|^2$ with respect to the picture $f(z)$ to
# zero.) All the terms are known. So we can look at this average, at the pictures that enter it, and at its error,
# which is a lower limit: *no* decoder can do better on these pictures with this encoder. We take digits of 28 x 28
# pixels and two latents. **Predict:** how much of the network's error could a perfect decoder avoid?

# %%
large = "strokes" if DATASET == "digits" else DATASET
one_hand = {"variant": 0, "slant": 0.15, "thickness": 3.2}  # of the strokes; two latents are few
big = data.strokes.sample(1000, seed=SEED, device=DEVICE, **one_hand).x if large == "strokes" else \
    data.load(large, n=1000, device=DEVICE).x
torch.manual_seed(SEED)
drawing = VAE((1, 28, 28), 2, hidden=(128, 128), likelihood=Gaussian(0.5, learn=None)).to(DEVICE)
train.fit(drawing, big, steps=1000 * finer, lr=3e-3, batch_size=64, rate=train.falling)

with torch.no_grad():
    codes = drawing.encode(big)
    at = codes.sample()  # a place for each picture
    weight = torch.cat([codes.log_prob(part[:, None]) for part in at.split(100)]).softmax(1)  # (N, N): who is there too
    average = (weight @ big.flatten(1)).reshape(big.shape)  # f*(at)
    said = drawing.decode(at).mean
sharing = 1 / weight.square().sum(1)  # effective number of pictures at each place

# %% jupyter={"source_hidden": true}
# The figure: decoder, best possible decoder (optimum), and the pictures that share the place
def who_takes_part(chosen):
    fig, axes = plt.subplots(len(chosen), 1, figsize=(13, 4.5))
    fig.suptitle("The decoder draws the average of the pictures that share a code", x=0.01, ha="left", fontweight="bold",
                 fontsize=15)
    for ax, i in zip(axes, chosen):
        most = weight[i].argsort(descending=True)[:10]
        plotting.images(torch.cat([said[i][None], average[i][None], big[most]]), ax, columns=12)
        ax.set_ylabel(f"{sharing[i]:.0f} share\nthis $z$", rotation=0, ha="right", va="center", fontweight="bold")
        ax.spines[:].set_visible(False)
    for place, name, color in ((14, "decoder", colors.MODEL), (44, "optimum", colors.EXACT),
                               (202, "the training pictures that weigh most in it", colors.DATA)):
        axes[0].text(place, -3, name, ha="center", color=color, fontweight="bold", fontsize=12)


# %%
who_takes_part(sharing.argsort()[[len(big) // 10, len(big) // 2, len(big) * 9 // 10]])

# %%
squared = lambda x: x.flatten(1).square().sum(1).mean()
claim("pictures that share one place of the plane, median", sharing.median(), above=2, digits=1)
claim("squared error of the best possible decoder, as a share of the network's", squared(big - average) / squared(big - said),
      above=0.5, below=1, digits=1)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: decoder against formula, and the variance that is lost
claim("share of the decoder's variation that the formula explains",
      1 - squared(said - average) / squared(said - big.mean(0)), above=0.3, digits=1)
variance = lambda x: x.flatten(1).var(0).sum() / big.flatten(1).var(0).sum()
claim("variance of the best possible pictures, as a share of the real ones'", variance(average), below=0.9, digits=2)
claim("variance of the decoder's pictures, as a share of the real ones'", variance(said), below=variance(average).item(),
      digits=2)

# %% [markdown]
# Compare the first two columns. Where several pictures share a code, even the best possible decoder (green) draws
# their average, and its error is already a share of 0.8 of the network's. Only the rest is the network's own fault.
# So most of the blur is what the loss asks for: the best answer to several right answers is their average, like the
# gray cube of chapter 1. It is also called *variance loss* (Asperti, 2020), because an average varies less than what
# it averages.
#
# ## 4b.4 Posterior collapse, exactly
#
# What happens when $\beta$ is large, by accident or on purpose? For the linear model with noise $\sigma^2$ we can
# work it out without training. Divide its loss by $\beta$. Up to a constant, the result is minus the bound of a PPCA
# whose noise is $\beta\sigma^2$. With the noise held at that value, the solution of 2.3 has a column of length
# $(\lambda_j - \beta\sigma^2)^{1/2}$ for every $\lambda_j$ above that value, and zeros for the others: *latents die
# one by one*, each when $\beta\sigma^2$ passes its $\lambda_j$ (Dai et al., 2018; Lucas et al., 2019). A latent that
# is still alive has the posterior variance $s_j^2 = \beta\sigma^2/\lambda_j$. Averaged over the data,
# $\mathbb E[\mu_j^2] + s_j^2 = 1$, so of the KL only $-\tfrac12\log s_j^2$ remains:
#
# $$ \mathrm{KL}(\beta) = \tfrac12 \sum_j \max\Big(0,\; \log \frac{\lambda_j}{\beta \sigma^2}\Big) . $$
#
# We train linear VAEs with three values of $\beta$. Beside them we train networks with 16 latents (with another
# likelihood and briefly, so compare only the trend). A latent is called *active* if its code responds to the picture:
# $\operatorname{Var}_x\, \mathbb E_q[z_j] > 0.01$ (Burda et al., 2016).

# %%
flat, var = train_x.flatten(1), 0.02  # var: sigma^2
eigenvalues = torch.linalg.eigvalsh((flat - flat.mean(0)).double().T.cov(correction=0)).flip(0)[:16].cpu()
exact = lambda beta: 0.5 * (eigenvalues / (beta * var)).log().clamp(min=0).sum().item()
at_one = inference.kl(vae16.encode(train_x), vae16.prior()).mean().item()
carried, bent = {"linear": {}, "network": {1.0: at_one}}, {}
for beta in (4.0, 16.0, 64.0):
    torch.manual_seed(SEED)
    line = VAE(64, 16, hidden=(), likelihood=Gaussian(var**0.5, learn=None), beta=beta).to(DEVICE)
    train.fit(line, flat, steps=350, lr=0.03, batch_size=len(flat), rate=train.falling)
    bent[beta] = new_vae(16, 256, 400, 3e-3, beta=beta)
    with torch.no_grad():
        carried["linear"][beta] = inference.kl(line.encode(flat), line.prior()).mean().item()
        carried["network"][beta] = inference.kl(bent[beta].encode(train_x), vae16.prior()).mean().item()

# %% jupyter={"source_hidden": true}
# The figure: nats carried against beta, exact and trained
def dying():
    fig, ax = plt.subplots(figsize=(9.5, 4))
    betas = torch.logspace(0, 2, 201)
    plotting.curve(betas, [exact(b) for b in betas], ax, "exact, linear model", color=colors.EXACT, at=0.12,
                   offset=(12, 6))
    ax.plot(eigenvalues / var, 0 * eigenvalues, "|", color=colors.EXACT, ms=16, mew=2, clip_on=False)
    ax.text(15, 0.15 * exact(1), "each tick: one dies", color=colors.EXACT, fontweight="bold")
    ax.plot(list(carried["linear"]), list(carried["linear"].values()), "o", color=colors.MODEL, ms=12, mfc="none",
            mew=2.4, zorder=5)
    ax.plot(list(carried["network"]), list(carried["network"].values()), "s--", color=colors.MODEL, ms=7, lw=1.4)
    ax.text(4.4, carried["linear"][4.0] + 0.8, "trained linear VAEs", color=colors.MODEL, fontweight="bold")
    ax.text(1.9, 0.35 * carried["network"][1.0], "the network", color=colors.MODEL, fontweight="bold", ha="right")
    ax.axvline(64, color=colors.ACCENT, lw=1.5, zorder=0)
    ax.text(61, 0.9 * exact(1), "mean over\n64 pixels", color=colors.ACCENT, ha="right", va="top", fontweight="bold")
    ax.set(xscale="log", xlabel="β", ylabel="KL(q, p), nats per picture", title="As β grows, latents die one by one")
    ax.set_xticks([1, 4, 16, 64], [1, 4, 16, 64])
    ax.minorticks_off()


# %%
dying()

# %%
claim("linear VAE, beta 4: nats carried, near what the formula says", carried["linear"][4.0], near=exact(4.0),
      within=0.15 * exact(4.0), digits=2, unit="nats")
claim("the network at beta 64: active latents among 16", int(active_units(bent[64.0].encode(train_x).mean).sum()),
      below=1)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the other betas, active latents, and the price without a code
claim("linear VAE, beta 16: nats carried, near what the formula says", carried["linear"][16.0], near=exact(16.0),
      within=0.15 * exact(16.0) + 0.05, digits=2, unit="nats")
claim("linear VAE, beta 64: less than 0.1 nats, where the formula says 0",
      carried["linear"][64.0] < 0.1 + exact(64.0))
claim("the network at beta 1: active latents", int(active_units(vae16.encode(train_x).mean).sum()), above=12)
claim("the network at beta 4: active latents", int(active_units(bent[4.0].encode(train_x).mean).sum()), above=9 if DATASET == "digits" else 5)
claim("the network at beta 4: nats that its latents carry", carried["network"][4.0], below=3, digits=1, unit="nats")
claim("the network at beta 64: less than 0.1 nats", carried["network"][64.0] < 0.1)
with torch.no_grad():
    silent = -inference.elbo(bent[64.0], test_x, 20).mean()
claim("what a new picture costs then, over the cost of the pixels alone", silent / cost["pixels alone"], near=1,
      within=0.1)

# %% [markdown]
# The trained linear VAEs (circles) lie near the exact curve. In the network at $\beta = 4$, 15 of 16 latents still
# respond, but together they carry only 0.8 nats: counting active units tells less than counting nats. At $\beta = 64$
# the code carries nothing: $q_\phi(z \mid x) = p(z)$ for every $x$, and what remains is a model of independent
# pixels, with about their cost. This is **posterior collapse**. There hardly any gradient leads out: the decoder
# ignores $z$, so the encoder has no reason to code anything, so $z$ is noise, and ignoring it is right. (In the
# linear model this is a saddle, slow but no trap: Lucas et al., 2019.)
#
# ## 4b.5 Collapse without beta, and two cures
#
# Collapse also happens at $\beta = 1$, if the decoder is *strong enough to do without* $z$. Let each pixel depend on
# $z$ and on the pixels before it, in reading order (chapter 10 is about such **autoregressive** models):
#
# $$ p_\theta(x \mid z) = \prod_i p_\theta(x_i \mid x_1, \dots, x_{i-1}, z) . $$
#
# At the start of training $z$ is noise, while the earlier pixels are useful at once. By the time the decoder might
# need $z$, the KL has pushed the encoder to the prior (Bowman et al., 2016). Two cures are popular, and each is one
# line of code:
#
# - **KL annealing** (Bowman et al., 2016): let $\beta$ grow from 0 to 1 during training, so that codes come into use
#   while they cost little. `train.steps` is a generator, so between two steps we may change what we like;
# - **free bits** (Kingma et al., 2016): let every latent carry $\tau$ nats free of charge,
#   $\sum_j \max(\tau, \mathrm{KL}_j)$ with $\mathrm{KL}_j$ the mean over the batch. Below $\tau$ nothing pushes it
#   down.

# %% jupyter={"source_hidden": true}
# A likelihood in which each pixel is told z and the pixels before it
class Reader(nn.Module):
    """One hidden layer with masked weights: unit u sees pixels 0 ... u, and pixel i the units below i."""

    channels = 2  # place and log width of each pixel's logistic, from z

    def __init__(self, hidden=512):
        super().__init__()
        pixel, unit = torch.arange(64), torch.arange(hidden) % 63
        self.register_buffer("mask_in", (pixel[None, :] <= unit[:, None]).float())
        self.register_buffer("mask_out", (unit[None, :] < pixel[:, None]).float().repeat(2, 1))
        self.inner, self.outer = nn.Linear(64, hidden), nn.Linear(hidden, 2 * 64)

    def seen(self, x):  # (..., 1, 8, 8) -> (..., 2, 1, 8, 8): what pixel i gets from pixels before i
        h = nn.functional.linear(x.flatten(-3), self.inner.weight * self.mask_in, self.inner.bias).relu()
        out = nn.functional.linear(h, self.outer.weight * self.mask_out, self.outer.bias)
        return out.unflatten(-1, (2, 1, 8, 8))

    def forward(self, raw, dims):
        return Ordered(raw, self.seen)


class Ordered(Distribution):
    arg_constraints = {}

    def __init__(self, raw, seen):
        self.raw, self.seen = raw, seen
        super().__init__(raw.shape[:-4], raw.shape[-3:], validate_args=False)

    def log_prob(self, x):
        place, log_width = (self.raw + self.seen(x)).unbind(-4)
        return Independent(GrayCut(0.5 + place, math.log(0.1) + log_width, 17), 3).log_prob(x)


eyes = Reader()
slope = torch.autograd.functional.jacobian(lambda v: eyes.seen(v.reshape(1, 8, 8)).reshape(2, 64), torch.rand(64))
claim("slope of a pixel's distribution in itself and in later pixels", slope.triu().abs().max(), below=0)

# %%
def trained_reader(anneal=False, **options):  # its history of nats carried, and itself
    torch.manual_seed(SEED)
    model = VAE((1, 8, 8), 8, hidden=(128,), likelihood=Reader(), **options).to(DEVICE)
    total, nats_carried = 450 * longer, []
    for history in train.steps(model, train_x, steps=total, lr=3e-3, rate=train.falling):
        if anneal:
            model.beta = min(1.0, 2 * len(history) / total)
        if len(history) % 20 == 0:
            with torch.no_grad():
                nats_carried.append(inference.kl(model.encode(train_x), model.prior()).mean().item())
    return nats_carried, model.eval()


runs = {"as it is": trained_reader(), "β from 0 to 1": trained_reader(anneal=True),
        "1 free nat a latent": trained_reader(free_bits=1.0)}
with torch.no_grad():
    loose = {name: -inference.elbo(model, test_x, 20) for name, (_, model) in runs.items()}  # -ELBO, new pictures
    tight = {name: -inference.iwae_bound(model, test_x, 200) for name, (_, model) in runs.items()}

# %% jupyter={"source_hidden": true}
# The figure: nats carried during training; both bounds at its end
def with_and_without_codes():
    fig, (left, right) = plt.subplots(1, 2, figsize=(13, 4), width_ratios=[1.35, 1])
    for (name, (nats_carried, _)), style, lift in zip(runs.items(), ("-", "--", ":"), (12, 12, -24)):
        steps = [20 * (i + 1) for i in range(len(nats_carried))]
        plotting.curve(steps, nats_carried, left, color=colors.MODEL, ls=style)
        left.annotate(name, (steps[-1], nats_carried[-1]), (0, lift), textcoords="offset points", color=colors.MODEL,
                      ha="right", fontweight="bold")
    left.set(xlabel="training steps", ylabel="KL(q, p), nats", ylim=(0, None), title="What the code carries")
    low, high = min(v.mean() for v in tight.values()), max(v.mean() for v in loose.values())
    for row, name in enumerate(runs):
        a, b = tight[name].mean(), loose[name].mean()
        right.plot([a, b], [-row, -row], color=colors.MODEL, lw=2)
        right.plot(b, -row, "o", mfc="white", mec=colors.MODEL, ms=11, mew=2.4)
        right.plot(a, -row, "o", color=colors.MODEL, ms=11)
    right.text(loose["β from 0 to 1"].mean(), -0.68, "−ELBO", ha="center", color=colors.DATA)
    right.text(tight["β from 0 to 1"].mean(), -0.68, "importance bound", ha="center", color=colors.DATA)
    right.set(yticks=[0, -1, -2], yticklabels=list(runs), xlim=(low - 0.8, high + 0.6), ylim=(-2.5, 0.5),
              xlabel="nats per new picture (less is better)", title="Close in ELBO, apart in the importance bound")


# %%
with_and_without_codes()

# %%
for name, (nats_carried, _) in runs.items():
    claim(f"{name}: nats carried by 8 latents", nats_carried[-1],
          **({"below": 2} if name == "as it is" else {"above": 2}), digits=1)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: both bounds, with standard errors
collapsed, annealed, free = runs
claim("the ELBO of the annealed and of the collapsed model differ by less than 1.5 nats on new pictures",
      (loose[annealed].mean() - loose[collapsed].mean()).abs().item() < 1.5)
with torch.no_grad():
    ahead = [-inference.elbo(runs[name][1], train_x, 20) for name in (collapsed, annealed)]
claim("on the training pictures the annealed one is ahead by", (ahead[0] - ahead[1]).mean(), above=0, below=3,
      digits=1, unit="nats")
claim("standard error of that", error(ahead[0] - ahead[1]), below=0.3, digits=1, unit="nats")
for name, words in ((annealed, "annealing"), (free, "free bits")):
    gained = tight[collapsed] - tight[name]
    claim(f"{words}: gain in the importance bound", gained.mean(), above=3 * error(gained), digits=1, unit="nats")
    claim("standard error of that", error(gained), below=0.5, digits=1, unit="nats")

# %% [markdown]
# Left: as it is, the code carries 0.4 nats; with annealing it carries 7, with free bits 9. Right: on new pictures all
# three have about the same ELBO (open circles). What the code gains in $\log p(x)$ is lost again in the gap of its
# posterior, and even on the training pictures annealing is worth only 1 nat. The importance-weighted bound (dots),
# which is closer to $\log p(x)$, shows that the codes are worth 2 nats, by many standard errors. Whether you *want*
# them is another question. If likelihood is all you need, a strong decoder without $z$ may do; if you need a
# representation, a collapsed model has none.
#
# ## 4b.6 All the codes together
#
# Collapse is one failure; its opposite are codes that say much but do not fill the prior. The KL compares each
# $q_\phi(z \mid x_n)$ with the prior. To generate we need something else: the average of all of them, the
# **aggregated posterior** (or marginal posterior), should match it,
#
# $$ q(z) = \frac1N \sum_n q_\phi(z \mid x_n) \;\overset{?}{\approx}\; p(z) . $$
#
# Here are the codes of the VAE with two latents, as the pictures that they belong to. **Predict:** where will the
# prior draw codes that no picture ever had?

# %% jupyter={"source_hidden": true}
# The figure: codes as pictures; to hover over, points that show their picture in blocks
extent, circle = (-3.6, 3.6, -3.6, 3.6), torch.linspace(0, 2 * math.pi, 100)
inks = colors.CLASSES * [[0.85]]  # a little darker: lines of ink are thin


def the_prior(ax, color, title):
    ax.plot(2.45 * circle.cos(), 2.45 * circle.sin(), color=color, lw=2)
    ax.set(xlim=extent[:2], ylim=extent[2:], title=title, xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal",
           xlabel="$z_1$", ylabel="$z_2$")


def codes_as_pictures(means, x, y, apart=0.32):
    fig, ax = plt.subplots(figsize=(8, 8))
    taken = torch.empty(0, 2)
    for place, picture, digit in zip(means.cpu(), x.cpu(), y.tolist()):
        if len(taken) and (taken - place).norm(dim=1).min() < apart:
            continue
        taken = torch.cat([taken, place[None]])
        ink = torch.tensor(inks[digit % 10]).expand(8, 8, 3)
        a, b = (place - apart / 2).tolist(), (place + apart / 2).tolist()
        ax.imshow(torch.cat([ink, picture[0, :, :, None]], 2), extent=(a[0], b[0], a[1], b[1]), zorder=2,
                  interpolation="nearest")
    the_prior(ax, colors.NOISE, "Codes of the training pictures, and 95 % of the prior")
    return fig


def codes_to_hover(means, x, y):
    fig = go.Figure()
    shades = "\u00a0░▒▓█"
    blocks = lambda picture: "<br>".join("".join(2 * shades[v] for v in row) for row in (4 * picture).round().int().tolist())
    for digit in range(10):
        mine = (y == digit).nonzero()[:80, 0]
        spots = means[mine].cpu().round(decimals=2).tolist()
        fig.add_scatter(x=[round(a, 2) for a, _ in spots], y=[round(b, 2) for _, b in spots], mode="markers",
                        name=str(digit), text=[blocks(x[i, 0]) for i in mine], hovertemplate="%{text}<extra></extra>",
                        marker={"size": 7, "color": "rgb" + str(tuple((255 * inks[digit]).astype(int).tolist())),
                                "line": {"width": 0.7, "color": colors.NOISE}})
    fig.add_scatter(x=(2.45 * circle.cos()).tolist(), y=(2.45 * circle.sin()).tolist(), mode="lines",
                    name="95 % of the prior", line={"color": colors.NOISE}, hoverinfo="skip")
    fig.update_xaxes(range=extent[:2], title="z<sub>1</sub>", constrain="domain")
    fig.update_yaxes(range=extent[2:], title="z<sub>2</sub>", scaleanchor="x", constrain="domain")
    label = {"font": {"family": "monospace", "size": 11, "color": "#000000"}, "bgcolor": "#ffffff"}
    return fig.update_layout(height=620, hoverlabel=label, margin={"t": 50, "b": 50}, hovermode="closest",
                             template="simple_white", title="Codes of the training pictures: hover to see one")


# %%
with torch.no_grad():
    q2 = vae2.encode(train_x)
plotting.turn(codes_to_hover(q2.mean, train_x, train_y), codes_as_pictures(q2.mean, train_x, train_y))

# %% [markdown]
# Neighbors look alike (hover, where your page can), most digits have a region of their own, and some have two. How
# well does all this match the prior? An exact identity splits the average KL into two parts (Hoffman and Johnson,
# 2016),
#
# $$ \frac1N \sum_n \mathrm{KL}\big(q_\phi(z\mid x_n) \,\|\, p(z)\big) = \underbrace{I(n; z)}_{\text{what a code says about its picture}} +
#    \underbrace{\mathrm{KL}\big(q(z) \,\|\, p(z)\big)}_{\text{mismatch with the prior}} . $$
#
# The first part is what we want from a code; only the second hurts when we sample. Both can be estimated with draws
# from $q(z)$, which is a mixture of $N$ known Gaussians.

# %%
def log_marginal(q, z):  # log q(z) of the mixture of all posteriors: (S, L) -> (S,)
    each = torch.cat([q.log_prob(part[:, None]) for part in z.split(100)])  # (S, N)
    return each.logsumexp(1) - math.log(each.shape[1])


def surgery(model):  # the average KL and its two parts, nats
    torch.manual_seed(SEED)
    with torch.no_grad():
        q = model.encode(train_x)
        z = q.sample()  # one draw for each picture: draws from q(z)
        own, together, prior = q.log_prob(z), log_marginal(q, z), model.prior().log_prob(z)
        says, mismatch = inference.mean_and_error(own - together), inference.mean_and_error(together - prior)
        return inference.kl(q, model.prior()).mean(), says, mismatch


# %% jupyter={"source_hidden": true}
# The figure: the marginal, and its surplus over the prior
def marginal_and_surplus(q, prior):
    with torch.no_grad():
        density = lambda z: log_marginal(q, z.to(DEVICE))
        surplus = lambda z: (density(z) - prior.log_prob(z.to(DEVICE))).clamp(-4, 4)
        fig, axes = plt.subplots(1, 2, figsize=(11.5, 5.4))
        plotting.field(lambda z: density(z).exp(), axes[0], extent, side=100)
        plotting.field(surplus, axes[1], extent, side=100, cmap=colors.DIVERGING, vmin=-4, vmax=4)
    the_prior(axes[0], "white", "The marginal posterior $q(z)$")
    the_prior(axes[1], colors.DATA, "Its surplus, $\\log q(z)/p(z)$ from −4 to 4 nats")
    ground = {"facecolor": colors.DATA, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
    for words, height in (("brown: too few codes", 3.2), ("purple: too many", -3.35)):
        axes[1].text(3.4, height, words, color="white", fontweight="bold", ha="right", bbox=ground)


# %%
marginal_and_surplus(q2, vae2.prior())

# %%
parts = {"2 latents": surgery(vae2), "16 latents": surgery(vae16)}
for name, (_, says, mismatch) in parts.items():
    claim(f"{name}: what a code says about its picture", says.value, below=math.log(len(train_x)) + 3 * says.error,
          digits=2, unit="nats")
    claim(f"{name}: mismatch of all codes together", mismatch.value, above=-3 * mismatch.error, digits=1, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the two parts add up
for name, (average_kl, says, mismatch) in parts.items():
    claim(f"{name}: average KL to the prior", average_kl, above=1, digits=2, unit="nats")
    claim(f"{name}: average minus the two parts, in standard errors",
          (average_kl - says.value - mismatch.value).abs() / (says.error + mismatch.error), below=4, digits=1)
claim("no code can say more than the number of its picture", math.log(len(train_x)), above=0, digits=2, unit="nats")

# %% [markdown]
# Inside the circle, the brown spots at the right are places where the prior draws codes but hardly any picture has
# one. Does this mismatch hurt? Without touching the networks, replace the prior by a mixture of 10 Gaussians fitted
# to draws from $q(z)$, and look at the bound of *new* pictures.

# %% jupyter={"source_hidden": true}
# A trained VAE that draws its codes from another distribution
class WithPrior:
    def __init__(self, model, prior):
        self.event_shape, self.encode, self.decode = model.event_shape, model.encode, model.decode
        self.prior = lambda: prior


# %%
def gain_of_a_mixture(model):  # of the importance bound of new pictures, (B,) nats
    torch.manual_seed(SEED)
    with torch.no_grad():
        z = model.encode(train_x).sample((3,)).flatten(0, 1)
        cloud = GMM(10, model.latents).to(DEVICE)
        cloud.start(z)
        list(cloud.em(z, 30, floor=1e-3))
        prior = MixtureSameFamily(Categorical(cloud.weights), MultivariateNormal(cloud.means, cloud.covariances))
        torch.manual_seed(SEED)
        better = inference.iwae_bound(WithPrior(model, prior), test_x, 200)
        torch.manual_seed(SEED)
        return better - inference.iwae_bound(model, test_x, 200)


gain2, gain16 = gain_of_a_mixture(vae2), gain_of_a_mixture(vae16)
claim("2 latents: a mixture of 10 as the prior changes the bound of new pictures by", gain2.mean(), near=0, within=0.6,
      digits=1, unit="nats")
claim("16 latents: it improves the bound of new pictures by", gain16.mean(), above=3 * error(gain16), digits=1,
      unit="nats")
claim("16 latents: standard error of that", error(gain16), below=0.3, digits=1, unit="nats")

# %% [markdown]
# With two latents the codes fit the prior up to holes and crowds that cost 0.4 nats. With 16 the mismatch is 6 nats.
# Part of this is an artifact of the small training set. A code can at most identify its picture among 1,000, which is
# worth $\log 1000$ or 6.9 nats, and it nearly does so with 6.7; the rest of the average KL counts as mismatch. But
# some of it is real: with a prior that fits, new pictures gain about a nat. A spherical Gaussian is the easiest
# prior, not the best one (Tomczak and Welling, 2018).
#
# ## 4b.7 The manifold hypothesis
#
# Few latents suffice only if a guess about the world is right, the **manifold hypothesis**: real pictures fill only a
# thin, curved sheet in the space of all pictures, and the decoder maps $z$ onto it. A model that has found the sheet
# should be surprised (give a low likelihood) as soon as a picture leaves it. We move new pictures off it in four
# ways. On such pictures the encoder is unreliable, and its errors would look like surprise, so each picture gets a
# search of its own.
#
# Surprise needs a control. A model of independent pixels knows no sheet, but it too is surprised by ink where there
# never was any. Only the surprise of the VAE *beyond* that tells us about a sheet. **Predict:** for which of the four
# will it be largest?

# %%
torch.manual_seed(SEED)
partner = test_x[torch.randperm(len(test_x))]
sets = {
    "new pictures": test_x,
    "moved to the right": torch.roll(test_x, 1, 3),  # by a pixel; what leaves on one side comes in on the other
    "moved down": torch.roll(test_x, 1, 2),
    "average of two": ((test_x + partner) * 8).round() / 16,
    "pixels drawn alone": Categorical(histogram.T).sample((len(test_x),)).reshape(-1, 1, 8, 8).to(test_x) / 16,
}


def searched(x):  # -log p(x) of the VAE, (B,) nats
    torch.manual_seed(SEED)
    with torch.no_grad():
        nu = inference.PerDatapoint.at(vae16.encode(x), full=True)
    *_, last = inference.fit_per_datapoint(vae16, x, steps=100 * finer, nu=nu, lr=0.05, samples=8)
    with torch.no_grad():
        return -inference.iwae_bound(vae16, x, 200 * finer, last.q).double().cpu()


costs = {name: (searched(x[:80]), alone(x[:80])) for name, x in sets.items()}
usual = [c.mean() for c in costs["new pictures"]]
surprise = {name: [(c - u) for c, u in zip(both, usual)] for name, both in costs.items() if name != "new pictures"}
excess = {name: both[0] - both[1] for name, both in surprise.items()}  # (80,) nats beyond the pixels' surprise

# %% jupyter={"source_hidden": true}
# The figure: the five sets, and the surprise of both models
def off_the_sheet():
    fig = plt.figure(figsize=(14, 5.6))
    rows = fig.add_gridspec(len(sets), 2, width_ratios=[1.25, 1])
    for i, (name, x) in enumerate(sets.items()):
        left = fig.add_subplot(rows[i, 0])
        plotting.images(x[:7], left, columns=7)
        left.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
        left.spines[:].set_visible(False)
    right = fig.add_subplot(rows[:, 1])
    for row, both in enumerate(surprise.values(), 1):
        a, b = (v.mean() for v in both)
        right.plot([b, a], [-row, -row], color=colors.ACCENT, lw=5, solid_capstyle="butt", zorder=1)
        right.plot(b, -row, "o", color=colors.NOISE, ms=12)
        right.plot(a, -row, "o", color=colors.MODEL, ms=12)
        right.text((a + b) / 2, -row + 0.2, f"{a - b:.0f}", color=colors.ACCENT, ha="center", fontweight="bold")
    right.axvline(0, color=colors.DATA, lw=1)
    right.set(yticks=[], ylim=(-len(sets) + 0.5, 0.5), xlabel="nats more than for a new picture",
              title="Surprise, single pixels and beyond")
    right.spines["left"].set_visible(False)
    for y, words, color in ((0.25, "gray: pixels alone", colors.NOISE), (-0.05, "vermilion: the VAE", colors.MODEL),
                            (-0.35, "between them: missed by single pixels", colors.ACCENT)):
        right.text(6, y, words, color=color, fontweight="bold")


# %%
off_the_sheet()

# %%
for name in ("moved down", "average of two"):
    claim(f"{name}: surprise of the pixels alone", surprise[name][1].mean(), above=0, digits=2, unit="nats")
    claim(f"{name}: surprise of the VAE beyond that", excess[name].mean(), above=2 * error(excess[name]), digits=2,
          unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the other two sets, and how sure the differences are
for name in ("moved to the right", "pixels drawn alone"):
    claim(f"{name}: surprise of the pixels alone", surprise[name][1].mean(), above=-5, digits=2, unit="nats")
    claim(f"{name}: surprise of the VAE beyond that", excess[name].mean(), above=10, digits=2, unit="nats")
claim("average of two: share of the VAE's surprise that the pixels alone have as well",
      surprise["average of two"][1].mean() / surprise["average of two"][0].mean(), above=0.5, below=1, digits=1)
claim("moved down: surprise beyond the pixels' over that of an average of two",
      excess["moved down"].mean() / excess["average of two"].mean(), above=2, digits=1)
for name, values in excess.items():
    claim(f"{name}: standard error", error(values), below=5, digits=1, unit="nats")

# %% [markdown]
# It is largest, 48 nats (orange bars), for pictures whose pixels were drawn independently: each pixel is usual, the
# whole is not. An average of two digits is the opposite. Most of the surprise is about its single pixels, and only
# 5.6 nats go beyond. A digit moved down by one pixel is interesting: single pixels are almost as usual, and still the
# model is surprised by 29 nats beyond them. To you it is as good a digit as before, but the model has never seen one
# there, and its sheet does not reach so far. "The manifold of digits" is the manifold of *these* digits.
#
# ## 4b.8 Play
#
# A VAE with two latents on drawn digits of 28 x 28 pixels. Drag $z$ and the picture follows. *Predict before you
# drag:* what lies between the cloud of the 1s and that of the 7s? What happens outside the circles? Where is the
# model least sure? Then train it anew and keep dragging while the map unfolds.
#
# <details><summary>Answer</summary>
#
# Hardly any code lies between them, and the decoder draws a 1 that grows a bar: it interpolates where it has seen
# nothing. Outside the circles it goes on as before, a 6 stays a 6, until far out the strokes break. Its noise is the
# same everywhere, so it cannot *say* that it is unsure; but in the crowd of the 3, 5 and 8 the mean turns gray,
# because there many pictures share a code (4b.3).
# </details>

# %%
explorers.latent_pad("strokes" if DATASET == "digits" else DATASET, seed=SEED, device=DEVICE)

# %% [markdown]
# ## 4b.9 What to keep, and what is not settled
#
# - Nats compare models of the same data with the same gray levels. Ask how much of a lead is due to the likelihood.
# - Sum both terms of the loss: averaging one over the pixels multiplies $\beta$ by their number.
# - Blur is the average of all pictures that share a code, and here most of it no decoder could avoid.
# - In the linear model each latent dies exactly when $\beta\sigma^2$ passes its eigenvalue. At $\beta = 1$ a strong
#   decoder may collapse too, since the ELBO is nearly equal with and without codes; KL annealing and free bits help.
# - For sampling, the aggregated posterior has to match the prior. The average KL is mutual information plus this
#   mismatch.
# - Surprise at strange pictures tells us about a manifold only beyond the surprise of independent pixels.
#
# Honest limits. The nats are upper bounds of the cost with a few hundred draws; the true likelihoods are a little
# better. The linear decoders were trained until more steps won little, the bent ones stopped before they overfit. One
# seed trained everything here, so differences of a few tenths of a nat between two networks are luck; the claims hold
# for other seeds, the digits change. And "surprise" mixes what the model knows with what its likelihood can say.
#
# **References.** T. Salimans, A. Karpathy, X. Chen, D. Kingma, *PixelCNN++*, 2017, eq. 2. Y. Burda, R. Grosse, R.
# Salakhutdinov, *Importance weighted autoencoders*, 2016, eq. 8; active units in section 5.2. I. Higgins et al.,
# *beta-VAE*, 2017, eq. 4. O. Rybkin, K. Daniilidis, S. Levine, *Simple and effective VAE training with calibrated
# decoders*, 2021. A. Asperti, *Variance loss in variational autoencoders*, 2020. J. Lucas, G. Tucker, R. Grosse, M.
# Norouzi, *Don't blame the ELBO*, 2019. B. Dai et al., *Connections with robust PCA and the role of emergent sparsity
# in variational autoencoder models*, 2018. S. Bowman et al., *Generating sentences from a continuous space*, 2016. D.
# Kingma et al., *Improved variational inference with inverse autoregressive flow*, 2016. M. Hoffman, M. Johnson,
# *ELBO surgery*, 2016. J. Tomczak, M. Welling, *VAE with a VampPrior*, 2018.
