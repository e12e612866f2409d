# %% [markdown]
# # 4 · Amortized inference: the encoder
#
# **Every new picture needs an optimization of its own before the model can say anything about it. Can a network learn to
# guess the answer, and what does the guess cost?**
#
# After this lecture you can
#
# - write the variational autoencoder with an encoder, and say what the encoder replaces;
# - measure the amortization gap and the approximation gap, and tell them apart on one picture;
# - generate in the two steps of the model, and say which of the two a published "sample" shows;
# - show why a plain autoencoder cannot be sampled from;
# - translate any reduction of a loss into the beta that it hides;
# - produce posterior collapse, predict it exactly in the linear case, and cure it;
# - compare the codes of all pictures with the prior, in nats.
#
# You need: chapter 3. Time: 80 minutes to read, 40 more to play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures where there are more, finer measurements
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %%
import math

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Ellipse
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal

from gdm_core import colors, data, inference, plotting, train
from gdm_core.course.claims import claim
from gdm_core.disentanglement import active_units
from gdm_core.likelihoods import Gaussian, GrayCut
from gdm_core.models.autoencoder import Autoencoder
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
# ## 4.1 The bill of chapter 3
#
# Chapter 3 ended with a model of one digit in which each of 100 pictures had its own $\nu_n$. Nothing stops us from
# learning all ten digits in the same way: 1,000 pictures, two latents, a decoder $f(\theta, z)$ that says where on the 17
# gray levels each pixel lies and how surely, and $4 \times 1{,}000$ variational parameters.

# %%
def small(split):  # pictures of 8 x 8 pixels on 17 gray levels in [0, 1], and their labels
    many = None if DATASET == "digits" else (4000 if PROFILE == "full" else 1000)
    d = data.load(DATASET, split, n=many, seed=SEED, device=DEVICE)
    return (nn.functional.adaptive_avg_pool2d(d.x, 8) * 16).round() / 16, d.labels


train_x, train_y = small("train")
test_x, test_y = small("test")
longer = max(1, len(train_x) // 1000)  # times as many training steps: on few pictures more would only overfit


def new_vae(latents, hidden=128, **options):
    torch.manual_seed(SEED)
    return VAE((1, 8, 8), latents, hidden=(hidden,), likelihood="discretized", levels=17, **options).to(DEVICE)


searched = new_vae(2)  # its encoder stays untrained and unused
nu = inference.PerDatapoint(len(train_x), 2).to(DEVICE)
for _ in inference.fit_jointly(searched, train_x, steps=300 * longer, nu=nu, lr=0.05, decoder_lr=5e-3):
    pass

rows = []  # how many codes the decoder was given, call by call
counting = searched.decoder.register_forward_hook(lambda module, given, out: rows.append(len(out)))
new = test_x[:200]
search = [s.bound.mean().item() for s in inference.fit_per_datapoint(searched, new, steps=150, lr=0.1, samples=8)]
counting.remove()
needed = next(i for i, bound in enumerate(search) if bound > search[-1] - 1)

with torch.no_grad():
    trained_bound = inference.elbo(searched, train_x, 20, nu.q()).mean()
claim("bound of the training pictures, each with its own parameters", trained_bound, above=-110, digits=2,
      unit="nats")
claim("bound of new pictures before their search", search[0], below=search[-1] - 20, digits=2, unit="nats")
claim("bound after it", search[-1], above=-120, digits=2, unit="nats")
claim("steps until a new picture is within 1 nat of the end of its search", needed, above=20, below=150)
claim("decoder evaluations for one new picture by then", sum(rows[: needed + 1]) / len(new), above=160)

# %% [markdown]
# The model has learned, and it cannot be asked. There is no $\nu$ for a picture that it has not seen; to get one we must
# search, dozens of steps with several draws of $z$ each, and every step runs the decoder forward and backward. We would
# search anew for every visitor of a web page, every frame of a film, and every example in every epoch if the training set
# were too large to keep $\nu_n$ for all of it. And nothing that we learn in one search helps in the next, although
# two similar pictures will have similar answers.
#
# ## 4.2 A function in place of a search
#
# The best $\nu$ is a function of $x$. So learn the *function*: a network with parameters $\phi$, the **encoder**,
#
# $$ \nu = g(\phi, x) = \big(\mu(x), \log \sigma(x)\big), \qquad q_\phi(z \mid x) = \mathcal N\big(z;\, \mu(x), \operatorname{diag} \sigma^2(x)\big), $$
#
# and maximize the same bound over $\theta$ and $\phi$ together,
#
# $$ \max_{\theta, \phi} \; \frac1N \sum_n \; \mathbb E_{q_\phi(z \mid x_n)}\big[\log p_\theta(x_n \mid z)\big] - \mathrm{KL}\big(q_\phi(z\mid x_n) \,\|\, p(z)\big) . $$
#
# The cost of inference is paid once, in training, and shared by all examples: it is *amortized*. Decoder, bound and
# encoder together are the **variational autoencoder** (Kingma & Welling, 2014). Here it is in ten bare lines, with the
# simplest likelihood of gray levels, a free probability for each of the 17.

# %%
torch.manual_seed(SEED)
encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 + 2))  # g(phi, x)
decoder = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 17 * 64))  # f(theta, z)


def bare_loss(x):  # (B, 1, 8, 8) -> (), nats per picture
    mean, log_std = encoder(x.flatten(1)).chunk(2, 1)  # nu = g(phi, x)
    z = mean + log_std.exp() * torch.randn_like(mean)  # reparameterized, (B, 2)
    logits = decoder(z).unflatten(1, (17, 64))
    levels = (16 * x).round().long().flatten(1)  # (B, 64)
    reconstruction = -nn.functional.cross_entropy(logits, levels, reduction="none").sum(1)  # log p(x | z), (B,)
    kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1)  # KL(q || N(0, I)), (B,)
    return (kl - reconstruction).mean()


twin = VAE((1, 8, 8), 2, hidden=(128,), likelihood="categorical", levels=17)
twin.encoder.net.load_state_dict(encoder.state_dict())
twin.decoder.net.load_state_dict(decoder.state_dict())


def short_training(loss, parameters):
    torch.manual_seed(SEED)
    x = train_x[:128].cpu()
    optimizer, values = torch.optim.Adam(parameters, lr=3e-3), []
    for _ in range(40):
        optimizer.zero_grad()
        values.append(loss(x))
        values[-1].backward()
        optimizer.step()
    return torch.stack(values).detach()


bare = short_training(bare_loss, [*encoder.parameters(), *decoder.parameters()])
library = short_training(twin.loss, list(twin.parameters()))
claim("same weights, same seed: bare and library loss agree in all 40 steps",
      bool((bare - library).abs().max() < 0.01))
claim("and have fallen by", bare[0] - bare[-1], above=10, digits=2, unit="nats")

# %% [markdown]
# Now train the real one: the decoder of 4.1, an encoder of the same size, minibatches of 128 pictures. Then let both
# answer for the same new pictures with the same decoder: the search, and the encoder.

# %%
vae2 = new_vae(2)
history = train.fit(vae2, train_x, steps=1500 * longer, lr=3e-3, rate=train.falling)

search = [s.bound.mean().item() for s in inference.fit_per_datapoint(vae2, new, steps=150, lr=0.1, samples=8)]
with torch.no_grad():
    answer = inference.elbo(vae2, new, 50).mean().item()
overtakes = next(i for i, bound in enumerate(search) if bound > answer)

fig, ax = plt.subplots(figsize=(9, 4))
plotting.curve(range(8, 8 * len(search) + 1, 8), search, ax, "own search", color=colors.FAMILY, at=0.08,
               offset=(-120, 4))
ax.axhline(answer, color=colors.MODEL, ls=":", lw=1.6)
ax.plot(1, answer, "o", color=colors.MODEL, ms=12)
ax.annotate("encoder:\none evaluation", (1, answer), (12, -32), textcoords="offset points", color=colors.MODEL,
            fontweight="bold")
ax.set(xscale="log", xlabel="network evaluations per new picture", ylabel="bound, nats per picture",
       xlim=(0.8, 1700), title="The encoder answers at once; the search wins later");

# %%
claim("bound of new pictures by the encoder", answer, above=-115, digits=2, unit="nats")
claim("decoder evaluations until the search overtakes the encoder", 8 * (overtakes + 1), above=100)
claim("what the search wins in the end", search[-1] - answer, above=0.5, digits=2, unit="nats per picture")

# %% [markdown]
# Read the figure from both sides. One evaluation of a small network does the work of hundreds, and it does it for every
# picture to come. But the search ends *higher*: the encoder has to serve all pictures with one set of weights, and
# new pictures with weights that were fitted to others.
#
# ## 4.3 What the shortcut costs
#
# Let $q^*$ be the best member of the family (here: Gaussians with independent coordinates) for *this* $x$. Then
#
# $$ \underbrace{\log p(x) - \mathcal L[q_\phi]}_{\text{inference gap}} =
#    \underbrace{\log p(x) - \mathcal L[q^*]}_{\text{approximation gap}} +
#    \underbrace{\mathcal L[q^*] - \mathcal L[q_\phi]}_{\text{amortization gap}} $$
#
# (Cremer, Li & Duvenaud, 2018, eq. 3 to 5). The first two are KL divergences to the posterior, of $q_\phi$ and of $q^*$; the
# third is their difference. None is negative. With two latents we can look: the exact posterior on a grid (green; the
# shades hold 30, 60, 90 and 99 % of it), $q^*$ from an own search (purple) and $q_\phi$ from the encoder (vermilion), each as
# an ellipse of two standard deviations, in the latent plane of the same picture.

# %%
def split(model, x):
    torch.manual_seed(SEED)
    return inference.inference_gap(model, x, steps=150 * finer, samples=200 * finer)


two_test = split(vae2, test_x[:100])
shown = (two_test.log_px - two_test.amortized).argsort()[[5, 50, 85, 97]]  # a small gap, the median, two large ones
truth = inference.grid_posterior(vae2, test_x[shown], half_width=6, side=241)
nu = inference.PerDatapoint.at(vae2.encode(test_x[shown]))
*_, last = inference.fit_per_datapoint(vae2, test_x[shown], steps=200, nu=nu, lr=0.02, samples=16)
with torch.no_grad():
    answers = {"encoder": vae2.encode(test_x[shown]), "search": last.q}
    bounds = {name: inference.elbo(vae2, test_x[shown], 2000, q) for name, q in answers.items()}

fig, axes = plt.subplots(1, 4, figsize=(14, 4.7))
for i, ax in enumerate(axes):
    plotted = truth.image(i).T.cpu()
    level = plotted.flatten().sort(descending=True).values
    inside = level.cumsum(0) / level.sum()
    lines = sorted({level[(inside > m).nonzero()[0, 0]].item() for m in (0.3, 0.6, 0.9, 0.99)})
    ax.contourf(truth.axis.cpu(), truth.axis.cpu(), plotted, levels=[*lines, level[0].item() * 1.01],
                colors=["#d5efe6", "#9fdcc5", "#57c09c", "#009E73"])
    reach = [truth.mean[i].cpu()]
    for name, color in (("search", colors.FAMILY), ("encoder", colors.MODEL)):
        mean, std = answers[name].mean[i].detach().cpu(), answers[name].stddev[i].detach().cpu()
        ax.add_patch(Ellipse(mean.tolist(), *(4 * std).tolist(), fill=False, ec=color, lw=2.6))
        ax.plot(*mean, "+", color=color, ms=10, mew=2.4)
        reach += [mean - 3 * std, mean + 3 * std]
    low, high = torch.stack(reach).amin(0), torch.stack(reach).amax(0)
    middle, half = (low + high) / 2, 0.62 * (high - low).max()
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal",
           xlabel="z1")
    approximation = truth.log_px[i] - bounds["search"][i]
    amortization = bounds["search"][i] - bounds["encoder"][i]
    words = f"family {approximation.clamp(min=0):.2f}\nencoder {amortization.clamp(min=0):.2f} nats"
    ax.set_title(words, fontsize=13, y=1)
    plotting.images(test_x[shown[i]][None], ax.inset_axes((0.78, 1.02, 0.22, 0.22)))
axes[0].set_ylabel("z2")
fig.suptitle("The encoder's ellipse misses more than its shape costs", x=0.01, ha="left", fontweight="bold",
             fontsize=14)
for x, name, color in ((0.52, "posterior", colors.EXACT), (0.65, "own q", colors.FAMILY),
                       (0.74, "encoder's q", colors.MODEL)):
    fig.text(x, 0.98, name, color=color, va="top", fontweight="bold", fontsize=14)

# %%
with torch.no_grad():
    kl = truth.kl(answers["encoder"])
claim("log p(x) - ELBO over KL(encoder's q, posterior), summed over the four pictures",
      (truth.log_px - bounds["encoder"]).sum() / kl.sum(), near=1, within=0.1, digits=2)
claim("log p(x) by importance sampling against the grid, largest difference",
      (two_test.log_px[shown] - truth.log_px).abs().max(),
      below=0.2, digits=1, unit="nats")
claim("smallest approximation gap", (truth.log_px - bounds["search"]).min(), above=-0.05, digits=1, unit="nats")

# %% [markdown]
# The family is hardly to blame: an ellipse that may choose its place and its two widths covers each of these posteriors
# well. The *guess* is. On some new pictures the encoder puts its ellipse beside the posterior, and a Gaussian beside a
# narrow peak is expensive. Is that so in general, and does it happen on the pictures that the encoder was trained on?

# %%
vae16 = new_vae(16, hidden=256)
train.fit(vae16, train_x, steps=1000 * longer, lr=2e-3, rate=train.falling)
gaps = {"2 latents, training": split(vae2, train_x[:100]), "2 latents, new": two_test,
        "16 latents, training": split(vae16, train_x[:40]), "16 latents, new": split(vae16, test_x[:40])}

fig, ax = plt.subplots(figsize=(9, 3.4))
for row, gap in enumerate(reversed(gaps.values())):
    a, b = gap.approximation, gap.amortization
    ax.barh(row, a.value, color=colors.EXACT, height=0.62)
    ax.barh(row, b.value, left=a.value, color=colors.MODEL, height=0.62, xerr=b.error,
            error_kw={"ecolor": colors.DATA, "lw": 1.4})
ax.text(gaps["16 latents, training"].approximation.value / 2, 1, "family", color="white", ha="center", va="center",
        fontweight="bold")
ax.text(gaps["2 latents, new"].total.value / 2, 2, "encoder", color="white", ha="center", va="center",
        fontweight="bold")
ax.set(yticks=range(4), yticklabels=list(reversed(gaps)), xlabel="nats per picture below log p(x)",
       title="New pictures pay for the encoder, not for the family");

# %%
for name, gap in gaps.items():
    claim(f"{name}: approximation gap", gap.approximation.value, above=0, digits=1, unit="nats")
    claim(f"{name}: amortization gap", gap.amortization.value, above=0.1, digits=2, unit="nats")
    claim("standard error of that", gap.amortization.error, below=1, digits=1, unit="nats")
claim("2 latents: new pictures pay so many times the amortization gap of training pictures",
      gaps["2 latents, new"].amortization.value / gaps["2 latents, training"].amortization.value, above=1.2,
      digits=2)

# %% [markdown] tags=["read-out"]
# On new pictures the encoder of two latents loses two to three nats, on those that it was trained on hardly one: most of
# the gap is a failure to generalize. What the family itself loses is 0.09 nats in two dimensions. With 16 latents both grow, for there
# are more coordinates to guess, and correlations between them that a factorized $q$ cannot follow. (There no grid
# checks us. $\log p(x)$ is itself an importance bound, so the sum of the two gaps is at least this; and where the search for
# $q^*$ stopped short, the family is blamed for a part of what the encoder loses.)

# %% [markdown]
# **Predict before you run.** Let $q$ have a full covariance: the encoder of 16 latents then says 152 numbers for each
# picture in place of 32. Which gap should shrink? What may the other do?
#
# <details><summary>Answer</summary>
#
# For a fixed decoder the approximation gap cannot grow, for the larger family contains the smaller one. Here the decoder
# is trained anew, so even that is no theorem, only what we see. The amortization gap may go either way: there is more to
# guess, but a guess that can lean with the posterior is punished less. And do not compare the models by their gaps alone:
# a decoder is trained together with its family, and this one ends lower.
# </details>

# %%
torch.manual_seed(SEED)
leaning = VAE((1, 8, 8), 16, hidden=(256,), likelihood="discretized", levels=17, posterior="full").to(DEVICE)
train.fit(leaning, train_x, steps=1000 * longer, lr=2e-3, rate=train.falling)
full, diagonal = split(leaning, test_x[:40]), gaps["16 latents, new"]
claim("full covariance, 16 latents, new: approximation gap", full.approximation.value,
      below=0.5 * diagonal.approximation.value, digits=1, unit="nats")
claim("amortization gap", full.amortization.value, above=0.5, digits=2, unit="nats")
claim("what the leaning model loses in log p(x) on these pictures", (diagonal.log_px - full.log_px).mean(),
      above=0.2, digits=1, unit="nats")

# %% [markdown]
# Choose a picture below and walk along its search. *Before you do:* where does $q$ start, which arrives first, its place
# or its width? Then find a picture whose posterior an ellipse does not fit.
#
# <details><summary>Answer</summary>
#
# It starts at the prior, wide and in the middle. Both move from the first step, and the place arrives first: a wide $q$
# feels the slope from afar, but being narrow pays only at the right place. After 20 steps most of the way is done, and $q$ is
# still about twice too wide. A posterior that no ellipse fits has a large *approximation* in the line of numbers.
# </details>

# %%
from gdm_core import explorers

explorers.posterior(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 4.4 All digits, in nats
#
# How good is the model? The ELBO is a lower bound on $\log p(x)$; the importance-weighted bound with $S$ draws from the
# encoder,
#
# $$ \log p(x) \ge \mathbb E\Big[\log \frac1S \sum_{s=1}^S \frac{p(x, z_s)}{q_\phi(z_s \mid x)}\Big], \qquad z_s \sim q_\phi(z\mid x), $$
#
# is a tighter one (Burda, Grosse & Salakhutdinov, 2016, eq. 8), and repairs most of what the encoder's guess loses. The
# rivals are old friends: the pixels alone, each with a free histogram; the mixture of chapter 1; PPCA of chapter 2. They
# see the same training pictures and are asked for the probability of the same new ones.

# %%
levels_train, levels_test = (16 * train_x).flatten(1).double().cpu(), (16 * test_x).flatten(1).double().cpu()
histogram = torch.stack([(levels_train == level).double().mean(0) for level in range(17)])  # (17, 64)
histogram = (histogram * len(levels_train) + 0.1) / (len(levels_train) + 1.7)
nats = {"pixels alone": -histogram.log()[levels_test.long(), torch.arange(64)].sum(1)}

mixture = GMM(5, 64).double()
mixture.start(levels_train + torch.rand_like(levels_train), floor=0.2)
for _ in range(30):
    next(mixture.em(levels_train + torch.rand_like(levels_train), 1, floor=0.2))
linear = PPCA(64, 51).double()
linear.solve(levels_train + torch.rand_like(levels_train))
with torch.no_grad():
    noisy = levels_test + torch.rand_like(levels_test)  # dequantized: a bound, as in 1.9
    nats |= {"PPCA, 51 latents": -linear.log_prob(noisy), "mixture of 5": -mixture.log_prob(noisy)}
    for name, model in (("VAE, 2 latents", vae2), ("VAE, 16 latents", vae16)):
        nats[name] = -inference.iwae_bound(model, test_x, 300).double().cpu()
    elbo16 = -inference.elbo(vae16, test_x, 20).double().cpu()

fig, ax = plt.subplots(figsize=(9, 3.2))
for row, (name, values) in enumerate(sorted(nats.items(), key=lambda item: -item[1].mean())):
    color = colors.MODEL if "VAE" in name else colors.NOISE
    ax.barh(row, values.mean(), color=color, height=0.7)
    ax.text(values.mean() - 1, row, f"{values.mean():.0f}", color="white", va="center", ha="right",
            fontweight="bold")
ax.set(yticks=range(5), yticklabels=sorted(nats, key=lambda name: -nats[name].mean()),
       xlabel="nats per new picture (less is better)",
       title="The first model that beats the pixels alone", xlim=(0, None));

# %%
alone = nats["pixels alone"].mean().item()
claim("pixels alone: -log p, where equal gray levels cost 64 log 17", alone, below=64 * math.log(17), unit="nats")
for name, values in list(nats.items())[1:]:
    against = {"below": alone} if "VAE" in name else {"above": alone}
    claim(f"{name}: minus the bound", values.mean(), **against, digits=2 if "VAE" in name else 3, unit="nats")
lead = nats["pixels alone"] - nats["VAE, 16 latents"]
claim("16 latents lead the pixels alone by", lead.mean(), above=5 * lead.std().item() / len(lead) ** 0.5, digits=2,
      unit="nats")
claim("importance weighting improves the bound of 16 latents by", (elbo16 - nats["VAE, 16 latents"]).mean(),
      above=0.5, digits=2, unit="nats")

# %% [markdown] tags=["read-out"]
# Two latents and a bent decoder are enough to beat the 106 nats of the pixels alone, which neither PPCA with its 51 latents nor the
# mixture could do. A part of the credit is the likelihood's: it is made for gray levels and lets every pixel say how
# sure it is, where PPCA had one variance for all. What the likelihood alone is worth, section 4.9 shows: with silent latents the
# network costs 110 nats: better than PPCA, no better than the pixels alone. The rest, down to 87, is what the latents know.

# %% [markdown]
# ## 4.5 Generating, and what a "sample" is
#
# The model says how to make a picture, in two steps: draw $z \sim p(z)$, then draw $x \sim p_\theta(x \mid z)$. No
# encoder takes part. Most papers stop halfway and show the *mean* of $p_\theta(x\mid z)$.

# %%
torch.manual_seed(SEED)
with torch.no_grad():
    z = vae16.prior().sample((24,))
    halfway = vae16.decode(z)
    drawn = halfway.sample()

fig, axes = plt.subplots(1, 3, figsize=(13, 3.2))
for ax, x, title in [(axes[0], test_x[:18], "new pictures"),
                     (axes[1], halfway.mean[:18], "mean given z: too smooth"),
                     (axes[2], drawn[:18], "drawn given the same z: too rough")]:
    plotting.images(x, ax, columns=6)
    ax.set_title(title)

# %%
with torch.no_grad():
    z = vae16.prior().sample((4000,))
    made = vae16.decode(z)
    total = train_x.flatten(1).var(0).sum()
    kept = made.mean.flatten(1).var(0).sum() / total
    noise = made.variance.flatten(1).mean(0).sum() / total
    both = made.sample().flatten(1).var(0).sum() / total
claim("variance of the means, as a share of the data's", kept, below=0.9, digits=2)
claim("average variance of the noise around them, as a share", noise, above=0.05, digits=2)
claim("variance of the draws", both, above=kept.item(), digits=2)
claim("which is the sum of the other two (law of total variance), up to chance",
      bool((both - kept - noise).abs() < 0.02))

# %% [markdown]
# Neither is right. The means have lost a good part of the variance of real pictures: they are smooth, and look alike. The
# draws have most of it back, but as noise that knows nothing of its neighbors, because the likelihood is independent over
# pixels *given* $z$. Whatever the latents do not carry, the decoder can only treat as independent noise.
#
# ## 4.6 Blur: the average of all right answers
#
# Why is the mean smooth? Fix the encoder and ask for the best decoder under a squared error. For each $z$ it is the
# average of the training pictures, weighted by how likely their codes are at this place:
#
# $$ f^*(z) = \mathbb E[x \mid z] = \frac{\sum_n q_\phi(z\mid x_n)\, x_n}{\sum_n q_\phi(z \mid x_n)} . $$
#
# (Set the derivative of $\sum_n \mathbb E_{q_\phi(z\mid x_n)}\|x_n - f(z)\|^2$ with respect to the picture $f(z)$ to zero.)
# We know all the terms, so we can look at the average that the network was trained to say, and at who takes part in it.

# %%
torch.manual_seed(SEED + 2)
with torch.no_grad():
    codes = vae2.encode(train_x)
    at = codes.sample()
    weight = codes.log_prob(at[:, None]).softmax(1)  # (N, N): who shares the place of picture n's draw
    average = (weight @ train_x.flatten(1)).reshape(train_x.shape)
    said = vae2.decode(at).mean
    sharing = 1 / weight.square().sum(1)  # effective number of pictures
    spread = lambda x: x.flatten(1).square().sum(1).mean()
    explained = 1 - spread(said - average) / spread(said - train_x.mean(0))

chosen = sharing.argsort()[[60, 500, 940]]
fig, axes = plt.subplots(3, 1, figsize=(10, 3.9))
for ax, i in zip(axes, chosen):
    best = weight[i].argsort(descending=True)[:8]
    plotting.images(torch.cat([said[i][None], average[i][None], train_x[best]]), ax, columns=10)
    ax.set_ylabel(f"{sharing[i]:.0f} share\nthis z", rotation=0, ha="right", va="center", fontweight="bold")
    ax.spines[:].set_visible(False)
axes[0].text(4, -1.2, "decoder", ha="center", color=colors.MODEL, fontweight="bold")
axes[0].text(13, -1.2, "average", ha="center", color=colors.EXACT, fontweight="bold")
axes[0].text(53, -1.2, "the training pictures that weigh most in it", ha="center", color=colors.DATA,
             fontweight="bold");

# %%
claim("share of the decoder's variation that the formula explains", explained, above=0.6, digits=2)
claim("training pictures that share one place of the plane, median", sharing.median(), above=2, digits=1)

# %% [markdown] tags=["read-out"]
# The formula explains 0.85 of what the decoder says, with a likelihood that is not quite Gaussian and a network that is not
# quite free. At a place that about 10 pictures share, the decoder draws their average. Blur is no weakness of the
# network: it is the answer that the loss asks for wherever several pictures have one code, the purple car of section 1.1. It
# is called the *variance loss*, for the average has less variance than what it averages.

# %% [markdown]
# ## 4.7 Why not just an autoencoder?
#
# Leave out the noise and the KL: an encoder, a decoder, a squared error, no prior. The reconstructions are *better*, for
# nothing holds the codes back. Then why all this? Ask it for a new picture. We must choose $z$, and nothing has ever
# said how the codes are distributed. Two guesses: the prior that the VAE uses, and a Gaussian fitted to the codes. Same
# networks, same number of latents, the same plots for both models.

# %%
torch.manual_seed(SEED)
plain = Autoencoder((1, 8, 8), 16, hidden=(256,)).to(DEVICE)
train.fit(plain, train_x, steps=1000 * longer, lr=2e-3, rate=train.falling)


def nearest(x):  # root of the squared distance to the nearest training picture, gray values in [0, 1], (B,)
    return torch.cdist(x.flatten(1), train_x.flatten(1)).min(1).values


with torch.no_grad():
    prior = vae16.prior().sample((500,))
    codes = {"autoencoder": plain.encode(train_x), "VAE": vae16.encode(train_x).sample()}
    decode = {"autoencoder": plain.decode, "VAE": lambda z: vae16.decode(z).mean}
    pictures, away = {}, {}
    for name, z in codes.items():
        fitted = MultivariateNormal(z.mean(0), z.T.cov()).sample((500,))
        pictures[name] = decode[name](prior), decode[name](fitted)
        away[name] = [nearest(x).mean().item() for x in pictures[name]]
    new_codes = plain.encode(test_x), vae16.encode(test_x).mean
    rebuilt = {"autoencoder": plain.error(test_x).mean(),
               "VAE": (decode["VAE"](new_codes[1]) - test_x).square().flatten(1).sum(1).mean()}

circle = torch.linspace(0, 2 * math.pi, 200)
fig, axes = plt.subplots(2, 3, figsize=(12, 7.4), width_ratios=[1, 1.25, 1.25])
for row, name in zip(axes, codes):
    z = codes[name]
    u, v = z.var(0).argsort(descending=True)[:2]  # the two widest of 16
    row[0].plot(2.45 * circle.cos(), 2.45 * circle.sin(), color=colors.EXACT, lw=2)
    plotting.points(z[:, [u, v]], row[0], color=colors.LATENT, size=5, alpha=0.5)
    row[0].set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), xticks=[-2, 0, 2], yticks=[-2, 0, 2], title=f"{name}: codes")
    row[0].text(0, -3.15, "95 % of the prior", color=colors.EXACT, ha="center", fontweight="bold", fontsize=11)
    for ax, x, title in zip(row[1:], pictures[name],
                            ("decoded from the prior", "from a Gaussian fitted to the codes")):
        plotting.images(x[:24], ax, columns=6)
        ax.set_title(title)

# %%
real = nearest(test_x).mean().item()
claim("squared error of rebuilt new pictures, autoencoder", rebuilt["autoencoder"], below=rebuilt["VAE"].item(),
      digits=2)
claim("squared error of rebuilt new pictures, VAE", rebuilt["VAE"], above=rebuilt["autoencoder"].item(), digits=2)
claim("distance of real new pictures to the nearest training picture", real, above=0.4, below=1.6, digits=2)
claim("autoencoder: of pictures decoded from the prior", away["autoencoder"][0], above=1.5 * real, digits=2)
claim("autoencoder: from the fitted Gaussian", away["autoencoder"][1], above=away["VAE"][1], digits=2)
claim("VAE: of pictures decoded from the prior", away["VAE"][0], below=1.3 * real, digits=2)

# %% [markdown]
# The autoencoder's codes lie where they please: a small, crooked cloud beside the middle. What the decoder does elsewhere,
# nobody has ever asked for, and it is dust. The fitted Gaussian finds the cloud and not its shape: between and around the
# codes are holes, and the pictures there are blots. The VAE pays for its codes with a worse reconstruction and buys two
# things: the *noise* of $q$ makes neighboring codes decode alike, which closes the holes; the *KL* pulls all codes
# together under one known distribution, from which we can draw. That is the effect of the second term of the bound,
# $\tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)$: $\mu$ toward 0, $\sigma$ toward 1.
#
# ## 4.8 The units ledger
#
# The two terms of the bound are in nats, and nothing needs to be weighed. Yet nearly every implementation contains a
# weight, often without knowing. The general form is
#
# $$ \text{loss} = -\,\mathbb E_q[\log p(x\mid z)] + \beta\, \mathrm{KL}(q\|p), $$
#
# and $\beta = 1$ is minus the bound (Higgins et al., 2017, studied the others). A scale on the whole loss changes nothing but
# the step size; a scale on *one term* changes $\beta$. The usual way to do it by accident is a mean where the sum belongs:

# %%
def gradient(weigh):  # the direction in which a loss moves all weights of the VAE
    vae16.zero_grad()
    q = vae16.encode(train_x[:100])
    torch.manual_seed(SEED)
    log_px = vae16.decode(q.rsample()).base_dist.log_prob(train_x[:100])  # (100, 1, 8, 8): pixel by pixel
    kl = inference.kl(q.base_dist, vae16.prior().base_dist)  # (100, 16): latent by latent
    weigh(log_px, kl).backward()
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in vae16.parameters()])


terms = torch.stack([gradient(lambda log_px, kl: -log_px.sum((1, 2, 3)).mean()),
                     gradient(lambda log_px, kl: kl.sum(1).mean())])
ledger = {  # what one finds in code
    "sum over pixels, sum over latents": lambda log_px, kl: -log_px.sum((1, 2, 3)).mean() + kl.sum(1).mean(),
    "sums over everything, pictures too": lambda log_px, kl: -log_px.sum() + kl.sum(),
    "mean over pixels, sum over latents": lambda log_px, kl: -log_px.mean() + kl.sum(1).mean(),
    "mean over pixels, mean over latents": lambda log_px, kl: -log_px.mean() + kl.mean(),
    "mean over pixels, 0.001 times the sum over latents":
        lambda log_px, kl: -log_px.mean() + 0.001 * kl.sum(1).mean(),
}
meant = dict(zip(ledger, (1, 1, 64, 64 / 16, 64 / 1000)))
for words, weigh in ledger.items():  # gradient = a (that of the first term + beta that of the KL): solve for both
    a, a_beta = torch.linalg.lstsq(terms.T, gradient(weigh)[:, None]).solution.squeeze()
    claim(f"{words}: beta", a_beta / a, near=meant[words], within=0.01 * meant[words], digits=2)
vae16.zero_grad()

# %% [markdown] tags=["read-out"]
# Each line is measured: the gradient of the loss as written is a multiple of that of the first term plus $\beta$ times that
# of the KL, and the printed number solves for $\beta$. "Mean over pixels" with a weight of 1 is $\beta = 64$ here; for
# pictures of 28 x 28 pixels it would be $784$. A weight of 0.001 that looks tiny is 0.064. And a squared error hides one more: $\|x - f\|^2$ without
# $1/2\sigma^2$ says $\sigma^2 = 1/2$, a standard deviation of most of the gray scale; whoever then turns $\beta$ to get sharp
# pictures is choosing $\sigma$. Better say so: a likelihood with a learned scale needs no such knob (Rybkin, Daniilidis &
# Levine, 2021).

# %% [markdown]
# ## 4.9 Posterior collapse, exactly
#
# What does too much weight on the KL do? The linear model with noise $\sigma^2$ can say it without training. Divide its loss by
# $\beta$: up to a constant it is minus the bound of a PPCA whose noise is $\beta\sigma^2$. With the noise held there the
# solution of 2.3 is $W = U(\Lambda - \beta\sigma^2 I)^{1/2}$ for the $\lambda_j$ above it and 0 for the others: *latents die one by
# one*, when $\beta\sigma^2$ passes their $\lambda_j$ (Dai et al., 2018; Lucas et al., 2019). A living latent has the posterior
# variance $\sigma_j^2 = \beta\sigma^2/\lambda_j$. Averaged over the data $\mathbb E[\mu_j^2] + \sigma_j^2 = 1$, so only
# $-\tfrac12\log\sigma_j^2$ is left of the KL:
#
# $$ \mathrm{KL}(\beta) = \tfrac12 \sum_j \max\Big(0,\; \log \frac{\lambda_j}{\beta \sigma^2}\Big) . $$
#
# We train linear VAEs with three values of $\beta$, and set networks with 16 latents and the same values beside them (they
# have another likelihood and a short training, so compare only the trend). A latent is called *active* when its code
# responds to the picture: $\mathrm{Var}_x\, \mathbb E_q[z_j] > 0.01$ (Burda et al., 2016).

# %%
flat = train_x.flatten(1)
eigenvalues = torch.linalg.eigvalsh((flat - flat.mean(0)).double().T.cov(correction=0)).flip(0)[:16]
var = 0.02
betas = torch.logspace(0, 2, 201, dtype=torch.float64)
predicted = 0.5 * (eigenvalues / (betas[:, None] * var)).log().clamp(min=0).sum(1)
at_one = inference.kl(vae16.encode(train_x), vae16.prior()).mean().item()
carried, alive = {"linear": {}, "network": {1.0: at_one}}, {}
for beta in (4.0, 16.0, 64.0):
    torch.manual_seed(SEED)
    straight = VAE(64, 16, hidden=(), likelihood=Gaussian(var**0.5, learn=None), beta=beta).to(DEVICE)
    train.fit(straight, flat, steps=500, lr=0.03, batch_size=len(flat), rate=train.falling)
    bent = new_vae(16, hidden=256, beta=beta)
    train.fit(bent, train_x, steps=500, lr=3e-3, rate=train.falling)
    with torch.no_grad():
        silent = -inference.elbo(bent, test_x, 20).mean()
        carried["linear"][beta] = inference.kl(straight.encode(flat), straight.prior()).mean().item()
        carried["network"][beta] = inference.kl(bent.encode(train_x), bent.prior()).mean().item()
        alive[beta] = int(active_units(bent.encode(train_x).mean).sum())

fig, ax = plt.subplots(figsize=(9, 4))
plotting.curve(betas, predicted, ax, "exact, linear model", color=colors.EXACT, at=0.12, offset=(12, 6))
ax.plot(eigenvalues / var, 0 * eigenvalues, "|", color=colors.EXACT, ms=16, mew=2, clip_on=False)
ax.text(15, 0.15 * predicted[0], "each tick: one dies", color=colors.EXACT, fontweight="bold")
ax.plot(list(carried["linear"]), list(carried["linear"].values()), "o", color=colors.LATENT, ms=12, mfc="none",
        mew=2.4, zorder=5)
ax.plot(list(carried["network"]), list(carried["network"].values()), "s--", color=colors.MODEL, ms=7, lw=1.4)
ax.text(4.3, carried["linear"][4.0] + 0.6, "trained linear VAEs", color=colors.LATENT, fontweight="bold")
ax.text(1.9, 0.35 * carried["network"][1.0], "the network", color=colors.MODEL, fontweight="bold", ha="right")
ax.axvline(64, color=colors.ACCENT, lw=1.5, zorder=0)
ax.text(61, 0.9 * predicted[0], "mean over\n64 pixels", color=colors.ACCENT, ha="right", va="top",
        fontweight="bold")
ax.set(xscale="log", xlabel="beta", ylabel="KL(q, p), nats per picture",
       title="As beta grows, latents die one by one")
ax.set_xticks([1, 4, 16, 64], [1, 4, 16, 64])
ax.minorticks_off()

# %%
exact = lambda beta: 0.5 * (eigenvalues / (beta * var)).log().clamp(min=0).sum().item()
for beta in (4.0, 16.0):
    claim(f"linear VAE, beta {beta:.0f}: nats carried, near what the formula says", carried["linear"][beta],
          near=exact(beta), within=0.12 * exact(beta) + 0.05, digits=2, unit="nats")
claim("linear VAE, beta 64: less than 0.1 nats, where the formula says 0",
      carried["linear"][64.0] < 0.1 + exact(64.0))
claim("active latents of the network, of 16, at beta 1", int(active_units(vae16.encode(train_x).mean).sum()),
      above=12)
claim("at beta 4", alive[4.0], above=9 if DATASET == "digits" else 5)
claim("at beta 64", alive[64.0], below=1)
claim("nats that its latents carry at beta 4", carried["network"][4.0], below=3, digits=1, unit="nats")
claim("at beta 64 less than 0.1 nats", carried["network"][64.0] < 0.1)
claim("and what a new picture costs then, in nats", silent, above=nats["VAE, 16 latents"].mean().item() + 10,
      digits=2)

# %% [markdown]
# At $\beta = 4$ most latents still respond, but in a whisper: counting active units says less than counting nats. At
# $\beta = 64$ the code carries nothing: $q_\phi(z \mid x) = p(z)$ for every $x$, the decoder has stopped listening, and what
# remains is a model of pixels alone. That is **posterior collapse**. Once there, hardly any gradient leads out: the decoder ignores
# $z$, so the encoder is not asked for anything, so $z$ is noise, so the decoder does well to ignore it. (In the linear model
# this is a saddle, slow but no trap: Lucas et al., 2019.)
#
# ## 4.10 Collapse without beta, and two cures
#
# It also happens at $\beta = 1$, when the decoder is *strong enough to do without* $z$. Let each pixel see the pixels before
# it, in reading order, besides $z$ (chapter 10 is about such models):
#
# $$ p_\theta(x \mid z) = \prod_i p_\theta(x_i \mid x_1, \dots, x_{i-1}, z) . $$
#
# At the start of the training $z$ is noise, and what the earlier pixels say is useful at once. By the time the decoder
# might need $z$, the encoder has given up (Bowman et al., 2016). Two cures are popular, and both are one line:
#
# - **KL annealing**: let $\beta$ grow from 0 to 1 during training, so that codes come into use while they are cheap.
#   `train.steps` is a generator: between two steps we may change what we like;
# - **free bits** (Kingma et al., 2016): let every latent carry $\lambda$ nats for nothing, $\sum_j \max(\lambda, \mathrm{KL}_j)$
#   with $\mathrm{KL}_j$ the mean over the batch. Below $\lambda$ nothing pushes it down.

# %%
class Reader(nn.Module):
    """A likelihood in which each pixel is told z and the pixels before it: one hidden layer with masked weights."""

    channels = 2  # place and log width of each pixel's logistic, from z

    def __init__(self, hidden=512):
        super().__init__()
        pixel, unit = torch.arange(64), torch.arange(hidden) % 63  # unit u sees pixels 0 ... u
        self.register_buffer("mask_in", (pixel[None, :] <= unit[:, None]).float())
        self.register_buffer("mask_out", (unit[None, :] < pixel[:, None]).float().repeat(2, 1))
        self.first, self.second = nn.Linear(64, hidden), nn.Linear(hidden, 2 * 64)

    def seen(self, x):  # (..., 1, 8, 8) -> (..., 2, 1, 8, 8): what pixel i gets from pixels before i
        h = nn.functional.linear(x.flatten(-3), self.first.weight * self.mask_in, self.first.bias).relu()
        return nn.functional.linear(h, self.second.weight * self.mask_out,
                                    self.second.bias).unflatten(-1, (2, 1, 8, 8))

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


def trained_reader(anneal=False, **options):
    torch.manual_seed(SEED)
    model = VAE((1, 8, 8), 8, hidden=(128,), likelihood=Reader(), **options).to(DEVICE)
    total, carried = 600 * longer, []
    for history in train.steps(model, train_x, steps=total, lr=3e-3, rate=train.falling):
        if anneal:
            model.beta = min(1.0, 2 * len(history) / total)
        if len(history) % 20 == 0:
            with torch.no_grad():
                carried.append(inference.kl(model.encode(train_x), model.prior()).mean().item())
    model.eval()
    with torch.no_grad():
        seen, new = (inference.elbo(model, x, 20).mean().item() for x in (train_x, test_x))
        return carried, -new, -inference.iwae_bound(model, test_x, 200).mean().item(), -seen


eyes = Reader()
slope = torch.autograd.functional.jacobian(lambda v: eyes.seen(v.reshape(1, 8, 8)).reshape(2, 64), torch.rand(64))
claim("slope of a pixel's distribution in itself and in later pixels", slope.triu().abs().max(), below=0)

runs = {"as it is": trained_reader(), "β from 0 to 1": trained_reader(anneal=True),
        "1 free nat a latent": trained_reader(free_bits=1.0)}
shades = [colors.ACCENT, colors.MODEL, colors.ENCODER]
fig, (left, right) = plt.subplots(1, 2, figsize=(13, 3.8), width_ratios=[1.35, 1])
for (name, (nats_carried, *_)), color, lift in zip(runs.items(), shades, (12, 10, -26)):
    plotting.curve(range(20, 20 * len(nats_carried) + 1, 20), nats_carried, left, color=color)
    left.annotate(name, (20 * len(nats_carried), nats_carried[-1]), (0, lift), textcoords="offset points",
                  color=color, ha="right", fontweight="bold")
left.set(xlabel="training steps", ylabel="KL(q, p), nats", ylim=(0, None), title="What the code carries")
for row, ((_, bound, tight, _), color) in enumerate(zip(runs.values(), shades)):
    right.plot([tight, bound], [-row, -row], color=color, lw=2)
    right.plot(bound, -row, "o", mfc="white", mec=color, ms=11, mew=2.4)
    right.plot(tight, -row, "o", color=color, ms=11)
low, high = min(r[2] for r in runs.values()), max(r[1] for r in runs.values())
right.text(runs["β from 0 to 1"][1], -0.62, "−ELBO", ha="center", color=colors.DATA)
right.text(runs["β from 0 to 1"][2], -0.62, "importance\nbound", ha="center", color=colors.DATA)
right.set(yticks=[0, -1, -2], yticklabels=list(runs), xlim=(low - 0.6, high + 0.6), ylim=(-2.5, 0.5),
          xlabel="nats per new picture (less is better)",
          title="The ELBO does not see the difference");

# %%
for name, (nats_carried, *_) in runs.items():
    claim(f"{name}: nats carried by 8 latents", nats_carried[-1],
          **({"below": 2} if name == "as it is" else {"above": 2}), digits=1)
collapsed, annealed, free = runs.values()
claim("the ELBO of the annealed and of the collapsed model differ by less than 1 nat",
      abs(annealed[1] - collapsed[1]) < 1)
claim("on the training pictures the annealed one is ahead by", collapsed[3] - annealed[3], above=0, below=2,
      digits=1, unit="nats")
claim("annealing improves the importance bound by", collapsed[2] - annealed[2], above=0.3, digits=2, unit="nats")
claim("free bits improve it by", collapsed[2] - free[2], above=0.3, digits=2, unit="nats")

# %% [markdown]
# On new pictures the ELBO is level between a model that uses its code and one that does not: what the code wins in
# $\log p(x)$, the gap of its posterior takes away again. On the training pictures, which the training follows, the code
# is ahead by about one nat in eighty: little to win, and at the start nothing points that way. The importance bound, which
# is nearer to $\log p(x)$, sees that the codes are worth something. Whether you *want* them is another question: if
# likelihood is all you need, a strong decoder without $z$ may do; if you need a representation, a collapsed model has none.
#
# ## 4.11 All the codes together
#
# The KL compares each $q_\phi(z \mid x_n)$ with the prior. Generation needs something else: that all of them *together*, the
# **marginal** (or aggregated) posterior, match it,
#
# $$ q(z) = \frac1N \sum_n q_\phi(z \mid x_n) \;\overset{?}{\approx}\; p(z) . $$
#
# The two are linked by an exact identity (Hoffman & Johnson, 2016): the average KL has two parts,
#
# $$ \frac1N \sum_n \mathrm{KL}\big(q_\phi(z\mid x_n) \,\|\, p(z)\big) = \underbrace{I(n; z)}_{\text{what a code says about its picture}} +
#    \underbrace{\mathrm{KL}\big(q(z) \,\|\, p(z)\big)}_{\text{mismatch with the prior}} . $$
#
# The first part is what we want from a code; only the second hurts when we sample. Both can be estimated with draws from
# $q(z)$, which is a mixture of $N$ known Gaussians.

# %%
def log_marginal(q, z):  # log q(z) of the mixture of all posteriors: (S, latents) -> (S,)
    each = torch.cat([q.log_prob(part[:, None]) for part in z.split(100)])  # (S, N)
    return each.logsumexp(1) - math.log(each.shape[1])


def surgery(model):
    torch.manual_seed(SEED)
    with torch.no_grad():
        q = model.encode(train_x)
        z = q.sample()  # one draw for each picture: draws from q(z)
        own, together, prior = q.log_prob(z), log_marginal(q, z), model.prior().log_prob(z)
        says, mismatch = inference.mean_and_error(own - together), inference.mean_and_error(together - prior)
        return inference.kl(q, model.prior()).mean(), says, mismatch


with torch.no_grad():
    q2 = vae2.encode(train_x)
    extent = (-4, 4, -4, 4)
    density = lambda z: log_marginal(q2, z.to(DEVICE))
    surplus = lambda z: (density(z) - vae2.prior().log_prob(z.to(DEVICE))).clamp(-4, 4)
    fig, axes = plt.subplots(1, 3, figsize=(14, 4.4))
    plotting.points(q2.mean, axes[0], color=colors.CLASSES[train_y.cpu().numpy()], size=7)
    plotting.field(lambda z: density(z).exp(), axes[1], extent, side=100)
    plotting.field(surplus, axes[2], extent, side=100, cmap=colors.DIVERGING, vmin=-4, vmax=4)
for digit in range(10):
    where = q2.mean[train_y == digit].median(0).values.cpu()
    axes[0].text(*where, str(digit), fontsize=15, fontweight="bold", ha="center", va="center",
                 bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})
for ax, color, title in zip(axes, (colors.EXACT, "white", colors.DATA),
                            ("codes, and 95 % of the prior", "marginal posterior q(z)",
                             "log q(z) / p(z), -4 to 4 nats")):
    ax.plot(2.45 * circle.cos(), 2.45 * circle.sin(), color=color, lw=2)
    ax.set(xlim=extent[:2], ylim=extent[2:], title=title, xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")
axes[2].text(-3.8, 3.45, "brown: too few codes", color="white", fontweight="bold")
axes[2].text(-3.8, -3.75, "purple: too many", color="white", fontweight="bold");

# %%
for model, name in ((vae2, "2 latents"), (vae16, "16 latents")):
    average, says, mismatch = surgery(model)
    claim(f"{name}: average KL to the prior", average, above=1, digits=2, unit="nats")
    claim("of these, what a code says about its picture", says.value, below=math.log(len(train_x)) + 3 * says.error,
          digits=2, unit="nats")
    claim("and mismatch of all codes together", mismatch.value, above=-3 * mismatch.error, digits=2, unit="nats")
    claim("average minus the two parts, in standard errors",
          (average - says.value - mismatch.value).abs() / (says.error + mismatch.error), below=4, digits=1)
claim("no code can say more than the number of its picture", math.log(len(train_x)), above=0, digits=2, unit="nats")


class WithPrior:  # a trained VAE that draws its codes from another distribution
    def __init__(self, model, prior):
        self.event_shape, self.encode, self.decode = model.event_shape, model.encode, model.decode
        self.prior = lambda: prior


for model, name in ((vae2, "2 latents"), (vae16, "16 latents")):
    torch.manual_seed(SEED)
    with torch.no_grad():
        z = model.encode(train_x).sample((3,)).flatten(0, 1)
        cloud = GMM(10, model.latents).to(DEVICE)
        cloud.start(z)
        list(cloud.em(z, 30, floor=1e-3))
        prior = MixtureSameFamily(Categorical(cloud.weights), MultivariateNormal(cloud.means, cloud.covariances))
        torch.manual_seed(SEED)
        gained = inference.iwae_bound(WithPrior(model, prior), test_x, 200)
        torch.manual_seed(SEED)
        gained = gained - inference.iwae_bound(model, test_x, 200)
    verb, needed = ("changes", {"near": 0, "within": 0.5})
    if model is vae16:
        verb, needed = ("improves", {"above": 3 * gained.std().item() / len(gained) ** 0.5})
    claim(f"{name}: a mixture of 10 as the prior {verb} the bound of new pictures by", gained.mean(), **needed,
          digits=1, unit="nats")

# %% [markdown] tags=["read-out"]
# With two latents the codes fit the prior well, up to holes and crowds that cost 0.43 nats. With 16 the mismatch is 6 nats.
# Part of that is the small training set's fault: a code cannot say more about its picture than which one of the training
# set it is, 6.9 nats, and 6.7 are said already; whatever else the KL pays for counts as mismatch. How large that part is
# we cannot say. But some of it is real: put a mixture of 10 Gaussians in the place of the prior, without touching the
# networks, and *new* pictures gain about 1 nat. A spherical Gaussian is the easiest prior, not the right one (Tomczak &
# Welling, 2018).

# %% [markdown]
# ## 4.12 The manifold hypothesis
#
# Behind all this stands a guess about the world: real pictures fill only a thin, curved sheet in the space of all
# pictures, and the decoder is a map of the sheet. A model that has found it must be surprised as soon as a picture
# leaves it. We take new pictures off it in three ways, with an own search for each picture: the encoder is off its ground
# here, and its mistake would pass for surprise.

# %%
torch.manual_seed(SEED)
with torch.no_grad():
    partner = test_x[torch.randperm(len(test_x))]
    sets = {
        "new pictures": test_x,
        "moved by a pixel": torch.roll(test_x, 1, 3),  # what leaves on the right comes in on the left
        "average of two": ((test_x + partner) * 8).round() / 16,
        "pixels drawn alone": Categorical(histogram.T).sample((len(test_x),)).reshape(-1, 1, 8, 8).to(test_x) / 16,
    }
surprise = {name: -split(vae16, x[:100]).log_px.cpu() for name, x in sets.items()}
everything = torch.cat(list(surprise.values()))

fig, axes = plt.subplots(4, 2, figsize=(11, 5.4), width_ratios=[1, 1.5], sharex="col")
for (left, right), (name, x) in zip(axes, sets.items()):
    plotting.images(x[:8], left, columns=8)
    left.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
    left.spines[:].set_visible(False)
    right.hist(surprise[name], bins=torch.linspace(everything.min(), everything.max(), 43),
               color=colors.EXACT if x is test_x else colors.MODEL, alpha=0.8)
    right.axvline(surprise[name].mean(), color=colors.DATA, lw=2)
    right.set(yticks=[])
    right.spines["left"].set_visible(False)
axes[3, 1].set_xlabel("-log p(x), nats per picture")
axes[0, 1].set_title("Off the sheet, the model is surprised");

# %%
for name, values in surprise.items():
    claim(f"{name}: -log p, by an own search", values.mean(),
          **({"below": 150} if name == "new pictures" else {"above": surprise["new pictures"].mean().item() + 3}),
          digits=2, unit="nats")

# %% [markdown] tags=["read-out"]
# The average of two digits lies halfway between two points of the sheet, and off it: PPCA of chapter 2 drew such pictures
# gladly. But look at the second row. A digit moved by one pixel is as good a digit as before, for you. The model has
# never seen one, and there its sheet ends. "The manifold of digits" is the manifold of *these* digits.

# %% [markdown]
# ## 4.13 Play
#
# A VAE with two latents on drawn digits of 28 x 28 pixels. Drag $z$ and the picture follows. *Predict before you drag:*
# what lies between the cloud of the 1s and that of the 7s? What happens outside the circles? Where is the model least
# sure? Then train it anew and keep dragging while the map unfolds.
#
# <details><summary>Answer</summary>
#
# Between them hardly any code lies, and the decoder draws a 1 that grows a bar: it fills in what it never saw. Outside
# the circles it goes on as before, a 6 stays a 6, until far out the strokes break. Its noise is the same everywhere, so it cannot
# *say* that it is unsure; but in the crowd of the 3, 5 and 8 the mean turns gray, for there many pictures share a code (4.6).
# </details>

# %%
explorers.latent_pad("strokes" if DATASET == "digits" else DATASET, seed=SEED, device=DEVICE)

# %% [markdown]
# ## 4.14 What to keep, and what is not settled
#
# - An encoder is a function that guesses the answer of an optimization. It is fast, it shares what it learned among
#   examples, and it loses against the search: the *amortization gap*, larger on new data than on old. The
#   *approximation gap* is the family's, and no encoder removes it.
# - The model is prior and decoder. It generates without the encoder; its samples are draws, not means.
# - Blur is the average of all pictures that share a code; holes are what a code without a prior has.
# - Sums belong to sums: a mean over pixels is a beta as large as the picture.
# - Collapse under $\beta = 1$ is a choice between nearly equal ELBOs; under a large $\beta$ the linear case says exactly when
#   each latent dies.
# - What matters for sampling is that all codes together match the prior, and they never do completely.
#
# Honest limits. The nats of 4.4 are upper bounds of the cost with a few hundred draws; the true likelihoods are a little
# better. 1,000 small pictures overfit quickly, and the gap between old and new pictures would shrink with more of them.
# One seed trained everything here: differences of a few tenths of a nat between two networks are luck. Distance to the
# nearest training picture rewards a model that copies; it was used to catch dust, not to rank good models (chapter 6 asks
# how samples can be compared). And two latents are for looking; nobody models pictures with two.
#
# **References.** D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2014, eq. 3, 9 and 10. D. Rezende, S. Mohamed,
# D. Wierstra, *Stochastic backpropagation*, 2014. S. Gershman, N. Goodman, *Amortized inference in probabilistic
# reasoning*, 2014. C. Cremer, X. Li, D. Duvenaud, *Inference suboptimality in variational autoencoders*, 2018, eq. 3 to 5.
# Y. Burda, R. Grosse, R. Salakhutdinov, *Importance weighted autoencoders*, 2016, eq. 8; active units in section 5.2. I. Higgins et al., *beta-VAE*,
# 2017, eq. 4. O. Rybkin, K. Daniilidis, S. Levine, *Simple and effective VAE training with calibrated decoders*, 2021.
# J. Lucas, G. Tucker, R. Grosse, M. Norouzi, *Don't blame the ELBO*, 2019. B. Dai et al., *Connections with robust PCA
# and the role of emergent sparsity in variational autoencoder models*, 2018. S. Bowman et al., *Generating sentences from a continuous space*, 2016. D. Kingma et al., *Improved
# variational inference with inverse autoregressive flow*, 2016, eq. 15 (free bits). M. Hoffman, M. Johnson, *ELBO surgery*,
# 2016. J. Tomczak, M. Welling, *VAE with a VampPrior*, 2018.
