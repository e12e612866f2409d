# %% [markdown]
# # 4 · Amortized inference: the encoder
#
# **In chapter 3 every new picture needed an optimization of its own. Can a network learn to guess the result, and
# what does the guess cost?**
#
# After this lecture you can
#
# - write down the variational autoencoder, and say what its encoder replaces;
# - measure the amortization gap and the approximation gap, and tell them apart on one picture;
# - generate in the two steps of the model, and say after which of them a published "sample" may have stopped;
# - explain why a plain autoencoder cannot be sampled from;
# - build the same model from convolutions, for color pictures.
#
# You need: chapter 3. Part 4b measures, in nats, what such a model has learned. Time: 40 minutes to read, 10 more to
# play.

# %% tags=["parameters"]
PROFILE = "fast"  # "full": more pictures where there are more, longer training, finer measurements
DATASET = "digits"  # or "strokes", "mnist", "fashion": any data set of gray pictures
DEVICE = "cpu"
SEED = 0

# %% jupyter={"source_hidden": true}
# Imports, and what the parameters may be
import math

import matplotlib.pyplot as plt
import torch
from plotly.subplots import make_subplots
from scipy.stats import chi
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from gdm_core import colors, data, explorers, inference, networks, plotting, train
from gdm_core.course.claims import claim
from gdm_core.models.autoencoder import Autoencoder
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
# Chapter 3 ended with a model of one digit in which each picture had its own $\nu_n$, the means and standard
# deviations of its $q$. We can learn all ten digits in the same way, from 1,000 pictures: two latents, a decoder
# $f(\theta, z)$ that gives each pixel a distribution over the 17 gray levels, and $4 \times 1{,}000$ variational
# parameters, two means and two standard deviations for every picture.

# %%
def small(split):  # pictures of 8 x 8 pixels on 17 gray levels in [0, 1]
    many = None if DATASET == "digits" else (4000 if PROFILE == "full" else 1000)
    x = data.load(DATASET, split, n=many, seed=SEED, device=DEVICE).x
    return (nn.functional.adaptive_avg_pool2d(x, 8) * 16).round() / 16


train_x, test_x = small("train"), small("test")
longer = max(1, len(train_x) // 1000)  # times as many training steps: on few pictures more would only overfit


def new_vae(latents, hidden=128, **options):
    torch.manual_seed(SEED)
    return VAE((1, 8, 8), latents, hidden=(hidden,), likelihood="discretized", levels=17, **options).to(DEVICE)


# %%
searched = new_vae(2)  # its encoder stays untrained and unused
nu = inference.PerDatapoint(len(train_x), 2).to(DEVICE)
for _ in inference.fit_jointly(searched, train_x, steps=300 * longer, nu=nu, lr=0.05, decoder_lr=5e-3):
    pass

# %% [markdown]
# The decoder is trained. Now a *new* picture arrives. **Predict:** how often must the decoder run before we know the
# code of that picture?

# %%
new, rows = test_x[:200], []  # rows: how many codes the decoder was given, call by call
counting = searched.decoder.register_forward_hook(lambda module, given, out: rows.append(len(out)))
road = list(inference.fit_per_datapoint(searched, new, steps=150, lr=0.1, samples=8))
counting.remove()
bound = [state.bound.mean().item() for state in road]
near = next(step for step, value in enumerate(bound) if value > bound[-1] - 1)
claim("runs of the decoder for one new picture until its bound is within 1 nat of the end of the search",
      sum(rows[: near + 1]) / len(new), above=100)

# %% jupyter={"source_hidden": true}
# The figure: what the decoder makes of q's mean during the search
def film(x, stops=(0, 5, 10, 20, 40, 150)):
    with torch.no_grad():
        frames = [x, *(searched.decode(road[stop].q.mean[: len(x)]).mean for stop in stops)]
    fig, ax = plt.subplots(figsize=(9, 4.6))
    titles = ["the picture", "step 0", *map(str, stops[1:])]
    plotting.images(torch.stack(frames, 1).flatten(0, 1), ax, columns=len(frames), titles=titles)
    ax.set_title("A new picture is found step by step", pad=24)


# %%
film(new[:4])

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the bound of old and new pictures
with torch.no_grad():
    trained_bound = inference.elbo(searched, train_x, 20, nu.q()).mean()
claim("bound of the training pictures, each with its own parameters", trained_bound, above=-110, digits=2, unit="nats")
claim("bound of new pictures before their search", bound[0], below=bound[-1] - 20, digits=2, unit="nats")
claim("bound of new pictures after it", bound[-1], above=-120, digits=2, unit="nats")
claim("steps until a new picture is within 1 nat of the end of its search", near, above=10, below=150)

# %% [markdown]
# Each row shows one search: at step 0 the code sits in the middle of the prior, and by step 40 most pictures are
# recognizable. It takes 352 runs of the decoder, forward and backward, until the bound is within 1 nat of its final
# value. A web service would have to search for every visitor, and a training set too large to keep all its $\nu_n$
# would need a search for every example in every epoch. Worse, nothing learned in one search helps with the next,
# although similar pictures have similar codes.
#
# ## 4.2 A function instead of a search
#
# The best $\nu$ depends on nothing but $x$, once the decoder is fixed. So let us learn that *function*: a network
# with parameters $\phi$, the **encoder**, outputs the mean and the standard deviation of each latent,
#
# $$ \nu = g(\phi, x) = \big(\mu(x), \log s(x)\big), \qquad q_\phi(z \mid x) = \mathcal N\big(z;\, \mu(x), \operatorname{diag} s^2(x)\big), $$
#
# and maximize the same bound over $\theta$ and $\phi$ together,
#
# $$ \max_{\theta, \phi} \; \frac1N \sum_n \; \mathbb E_{q_\phi(z \mid x_n)}\big[\log p_\theta(x_n \mid z)\big] - \mathrm{KL}\big(q_\phi(z\mid x_n) \,\|\, p(z)\big) . $$
#
# The cost of inference is paid once, in training, and shared by all examples: it is *amortized* (Gershman and
# Goodman, 2014). Decoder, bound and encoder together are the **variational autoencoder** (VAE; Kingma and Welling,
# 2014; Rezende et al., 2014). Here is the bare version, with the simplest likelihood for gray levels, a softmax over
# the 17.

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


# %% [markdown]
# In the library this is `VAE`. Starting from the same weights and using the same noise, both must have the same loss
# at every step.

# %%
twin = VAE((1, 8, 8), 2, hidden=(128,), likelihood="categorical", levels=17)
twin.encoder.net.load_state_dict(encoder.state_dict())
twin.decoder.net.load_state_dict(decoder.state_dict())


def short_training(loss, parameters):
    torch.manual_seed(SEED)
    x, optimizer, values = train_x[:128].cpu(), torch.optim.Adam(parameters, lr=3e-3), []
    for _ in range(40):
        optimizer.zero_grad()
        values.append(loss(x))
        values[-1].backward()
        optimizer.step()
    return torch.stack(values).detach()


bare = short_training(bare_loss, [*encoder.parameters(), *decoder.parameters()])
library = short_training(twin.loss, list(twin.parameters()))
claim("same weights, same noise: bare and library loss agree in all 40 steps",
      bool((bare - library).abs().max() < 0.01))
claim("and both have fallen by", bare[0] - bare[-1], above=10, digits=2, unit="nats")

# %% [markdown]
# Now we train a VAE with the decoder architecture of 4.1 and an encoder of the same size, on minibatches of 128
# pictures. With this one decoder, two methods compete on new pictures: a search as in 4.1, and the encoder.
# **Predict:** which of the two ends with the higher bound?

# %%
vae2 = new_vae(2)
train.fit(vae2, train_x, steps=1100 * longer, lr=3e-3, rate=train.falling)
search = [s.bound.mean().item() for s in inference.fit_per_datapoint(vae2, new, steps=150, lr=0.1, samples=8)]
with torch.no_grad():
    answer = inference.elbo(vae2, new, 50).mean().item()
overtakes = next(step for step, value in enumerate(search) if value > answer)

# %% jupyter={"source_hidden": true}
# The figure: one evaluation of the encoder against the road of a search
def guess_against_search():
    fig, ax = plt.subplots(figsize=(9, 4))
    evaluations = range(8, 8 * len(search) + 1, 8)
    plotting.curve(evaluations, search, ax, "search", color=colors.FAMILY, at=0.08, offset=(-70, 4))
    ax.axhline(answer, color=colors.ENCODER, ls=":", lw=1.6)
    ax.plot(1, answer, "o", color=colors.ENCODER, ms=12)
    ax.annotate("encoder:\none evaluation", (1, answer), (12, -36), textcoords="offset points", color=colors.ENCODER,
                fontweight="bold")
    ax.set(xscale="log", xlabel="evaluations of a network per new picture", ylabel="bound, nats per picture",
           xlim=(0.8, 1250), title="The encoder answers at once; the search wins later")


# %%
guess_against_search()

# %%
claim("bound of new pictures by the encoder", answer, above=-115, digits=2, unit="nats")
claim("runs of the decoder until the search overtakes the encoder", 8 * (overtakes + 1), above=60)
claim("what the search has won in the end, per picture", search[-1] - answer, above=0.5, digits=2, unit="nats")

# %% [markdown]
# The blue dot is the encoder's bound after one evaluation; the search (pink) needs 272 runs of the decoder to reach
# it. So the encoder does at once what takes a search hundreds of evaluations. But the search ends *higher*, by 2.1
# nats: it fits each picture separately, while the encoder must serve all pictures with one set of weights, which were
# fitted to other pictures.
#
# ## 4.3 What the shortcut costs
#
# A loss of a few nats may have two causes. The encoder may guess badly, or no Gaussian may fit the posterior well. To
# separate them, let $q^*$ be the best member of the family (here: Gaussians with independent coordinates) for *this*
# $x$, and $\mathcal L[q]$ the bound. Then
#
# $$ \underbrace{\log p(x) - \mathcal L[q_\phi]}_{\text{inference gap}} =
#    \underbrace{\log p(x) - \mathcal L[q^*]}_{\text{approximation gap}} +
#    \underbrace{\mathcal L[q^*] - \mathcal L[q_\phi]}_{\text{amortization gap}} $$
#
# (Cremer, Li and Duvenaud, 2018). By 3.3 the inference gap is $\mathrm{KL}(q_\phi \,\|\, p(z \mid x))$ and the
# approximation gap is $\mathrm{KL}(q^* \,\|\, p(z \mid x))$; since $q^*$ is the best of the family, no term is
# negative. To measure the amortization gap we need both answers for the same pictures. We also mix them, taking the
# *mean* from one and the *widths* (standard deviations) from the other, to see in which of the two the encoder errs.

# %%
x = test_x[:100]
with torch.no_grad():
    guess = vae2.encode(x)
own = inference.PerDatapoint.at(guess)  # the search starts where the encoder points
*_, last = inference.fit_per_datapoint(vae2, x, steps=250 * finer, nu=own, lr=0.02, samples=16)
best = last.q


def bound_of(mean, std):  # of the same pictures, (100,) nats
    torch.manual_seed(SEED)  # the same noise for all, which leaves their differences
    with torch.no_grad():
        return inference.elbo(vae2, x, 500 * finer, Independent(Normal(mean, std), 1))


highest = bound_of(best.mean, best.stddev)
lost = highest - bound_of(guess.mean, guess.stddev)  # by the encoder's answer
lost_by_widths = highest - bound_of(best.mean, guess.stddev)  # when the search has corrected the place
lost_by_place = highest - bound_of(guess.mean, best.stddev)  # when the search has corrected the widths

# %%
claim("what the encoder loses against the search on new pictures", lost.mean(), above=0.5, digits=2, unit="nats")
claim("what is still lost with the search's place and the encoder's widths", lost_by_widths.mean(),
      below=0.5 * lost.mean().item(), digits=1, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the other mix, and the widths
claim("with the encoder's place and the search's widths", lost_by_place.mean(), above=0.5 * lost.mean().item(),
      digits=2, unit="nats")
claim("logarithm of the encoder's widths over the search's, on average", (guess.stddev / best.stddev).log().mean(),
      near=0, within=0.5, digits=1)

# %% [markdown]
# The encoder loses 2.2 nats. With the searched mean and the encoder's widths only 0.1 are lost, so it errs in the
# mean. With two latents we can look at this: the exact posterior on a grid, and $q^*$ and $q_\phi$ as ellipses of two
# standard deviations.

# %%
shown = lost.argsort()[[5, 50, 85, 97]]  # a small loss, the median, two large ones
exact = inference.grid_posterior(vae2, x[shown], half_width=6, side=241)

# %% jupyter={"source_hidden": true}
# The figure: exact posterior and two guesses in the latent plane, for each of some pictures
def posterior_and_two_guesses(x, exact, guesses, words):
    fig, axes = plt.subplots(2, len(x), figsize=(14, 5.5), height_ratios=[1, 4])
    for i, (top, ax) in enumerate(axes.T):
        plotting.images(x[i : i + 1], top)
        top.set_anchor("W")
        top.text(1.15, 0.5, words[i], transform=top.transAxes, va="center", fontsize=12).set_in_layout(False)
        density = exact.image(i).T.cpu()
        level = density.flatten().sort(descending=True).values
        inside = level.cumsum(0) / level.sum()
        lines = sorted({level[(inside > mass).nonzero()[0, 0]].item() for mass in (0.3, 0.6, 0.9, 0.99)})
        axis = exact.axis.cpu()
        ax.contourf(axis, axis, density, levels=[*lines, level[0].item() * 1.01],
                    colors=["#d5efe6", "#9fdcc5", "#57c09c", colors.EXACT])
        reach = []
        for q, color in guesses.values():
            mean, std = q.mean[shown[i]].cpu(), q.stddev[shown[i]].cpu()
            plotting.ellipses(mean[None], std.square().diag()[None], ax, color=color)
            reach += [mean - 3 * std, mean + 3 * std]
        low, high = torch.stack(reach).amin(0), torch.stack(reach).amax(0)
        middle, half = (low + high) / 2, 0.6 * (high - low).max()
        ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal",
               xlabel="$z_1$")
        ax.locator_params(nbins=3)
    axes[1, 0].set_ylabel("$z_2$")
    marks = {"exact posterior": colors.EXACT, **{name: color for name, (_, color) in guesses.items()}}
    fig.legend([plt.Line2D([], [], color=color, lw=5) for color in marks.values()], list(marks), ncols=3,
               loc="outside lower center")
    fig.suptitle("The encoder errs in where it puts the ellipse, not in its shape", x=0.01, ha="left",
                 fontweight="bold", fontsize=15)


# %%
family = (exact.log_px - highest[shown]).clamp(min=0)
posterior_and_two_guesses(
    x[shown], exact, {"best $q$, by a search": (best, colors.FAMILY), "the encoder's $q$": (guess, colors.ENCODER)},
    [f"family: {a:.1f} nats\nencoder: {b:.1f} nats" for a, b in zip(family, lost[shown])])

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the gap is the KL divergence
with torch.no_grad():
    four = vae2.encode(x[shown])
    divergence = exact.kl(four)
    gap = exact.log_px - inference.elbo(vae2, x[shown], 2000, four)
claim("four pictures: log p(x) minus the bound, over KL(encoder's q, exact posterior),", gap.sum() / divergence.sum(),
      near=1, within=0.1, digits=2)
claim("smallest approximation gap of the four", (exact.log_px - highest[shown]).min(), above=-0.1, digits=1,
      unit="nats")

# %% [markdown]
# From left to right the encoder's loss grows. The pink ellipse fits all four posteriors (green) well, so the family
# is hardly to blame. The *guess* is: in the two panels at the right the blue ellipse lies beside the posterior. Is
# that so in general, and does it also happen on pictures that the encoder was trained on? The library's
# `inference_gap` repeats the measurement, with an estimate of $\log p(x)$ by importance sampling (Part 4b explains
# it) in place of the grid.

# %%
def split(model, x):
    torch.manual_seed(SEED)
    return inference.inference_gap(model, x, steps=150 * finer, samples=200 * finer)


two_test = split(vae2, x)
claim("the bare amortization gap and the library's differ by", (lost.mean() - two_test.amortization.value).abs(),
      below=0.4, digits=1, unit="nats")
claim("log p(x) by importance sampling against the grid: largest difference",
      (two_test.log_px[shown] - exact.log_px).abs().max(), below=0.2, digits=1, unit="nats")

# %%
vae16 = new_vae(16, hidden=256)
train.fit(vae16, train_x, steps=1000 * longer, lr=2e-3, rate=train.falling)
gaps = {"2 latents, training": split(vae2, train_x[:100]), "2 latents, new": two_test,
        "16 latents, training": split(vae16, train_x[:40]), "16 latents, new": split(vae16, test_x[:40])}

# %% jupyter={"source_hidden": true}
# The figure: both gaps, with standard errors, as one bar each
def two_gaps(gaps):
    fig, ax = plt.subplots(figsize=(9, 3.4))
    for row, gap in enumerate(reversed(gaps.values())):
        a, b = gap.approximation, gap.amortization
        ax.barh(row, a.value, color=colors.FAMILY, height=0.62)
        ax.barh(row, b.value, left=a.value, color=colors.ENCODER, height=0.62, xerr=b.error,
                error_kw={"ecolor": colors.DATA, "lw": 1.4})
    last = list(gaps.values())[-1]
    for start, part, name in ((0, last.approximation, "family"), (last.approximation.value, last.amortization, "encoder")):
        ax.text(start + part.value / 2, 0, name, color="white", ha="center", va="center", fontweight="bold")
    ax.set(yticks=range(4), yticklabels=list(reversed(gaps)), xlabel="nats per picture below log p(x)",
           title="The encoder costs more than the family")


# %%
two_gaps(gaps)

# %%
ratio = gaps["2 latents, new"].amortization.value / gaps["2 latents, training"].amortization.value
claim("2 latents: amortization gap of new pictures over that of training pictures", ratio, above=1.2, digits=2)
claim("2 latents, new pictures: approximation gap", gaps["2 latents, new"].approximation.value, above=-0.02, below=0.5,
      digits=1, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: both gaps, one by one
for name, gap in gaps.items():
    claim(f"{name}: approximation gap", gap.approximation.value, above=-0.02, digits=1, unit="nats")
    claim(f"{name}: amortization gap", gap.amortization.value, above=0.1, digits=2, unit="nats")
    claim(f"{name}: standard error of that", gap.amortization.error, below=1, digits=1, unit="nats")
claim("16 latents, new pictures: amortization gap minus approximation gap",
      gaps["16 latents, new"].amortization.value - gaps["16 latents, new"].approximation.value, above=0.5, digits=2,
      unit="nats")

# %% [markdown]
# Each bar is a whole inference gap. With two latents the encoder's part (blue) is 2.2 times as large on new pictures
# as on training pictures: more than half of it is a failure to generalize. The family's part (pink) is less than a
# tenth of a nat. With 16 latents both are larger: there are more coordinates to guess, and a $q$ with independent
# coordinates cannot follow correlations between them. (With 16 latents no grid can check us. The estimate of
# $\log p(x)$ lies below it on average, so the gaps together are at least as large as shown. And if the search stops
# before it reaches $q^*$, part of the encoder's loss is counted as the family's.)
#
# Are correlations to blame for the family's part? We can test that. **Predict before you run.** Let $q$ have a full
# covariance. Which gap should shrink? What may the other do?
#
# <details><summary>Answer</summary>
#
# For a fixed decoder the approximation gap cannot grow, because the larger family contains the smaller one. Here the
# decoder is trained anew, so even that is an observation and no theorem: the gap falls from 0.9 to 0.2 nats. The
# amortization gap may go either way. There is more to guess, but a guess that can tilt with the posterior is punished
# less. And do not compare the models by their gaps alone: a decoder is trained together with its family, and this one
# ends 3 nats lower in $\log p(x)$.
# </details>

# %%
leaning = new_vae(16, hidden=256, posterior="full")
train.fit(leaning, train_x, steps=1000 * longer, lr=2e-3, rate=train.falling)
full, diagonal = split(leaning, test_x[:40]), gaps["16 latents, new"]
claim("numbers that the encoder says: full covariance", 16 + 16 * 17 // 2, near=152, within=0)
claim("full covariance, 16 latents, new pictures: approximation gap", full.approximation.value,
      below=0.6 * diagonal.approximation.value, digits=1, unit="nats")
claim("what the model with full covariance loses in log p(x) on these pictures",
      (diagonal.log_px - full.log_px).mean(), above=0.2, digits=1, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Check: the other gap
claim("full covariance, 16 latents, new pictures: amortization gap", full.amortization.value, above=0.5, digits=2,
      unit="nats")

# %% [markdown]
# Choose a picture below and walk along its search. *Before you do:* where does $q$ start, and which settles first,
# its mean or its width? Then find a picture whose posterior no ellipse fits.
#
# <details><summary>Answer</summary>
#
# It starts at the prior, wide and in the middle. Both move from the first step, and the mean settles first: a wide
# $q$ feels the slope from afar, but being narrow pays only at the right place. After 20 steps most of the way is
# done, and $q$ is still too wide. If no ellipse fits, the *approximation* in the line of numbers is large.
# </details>

# %%
explorers.posterior(seed=SEED, device=DEVICE)

# %% [markdown]
# ## 4.4 Generating, and what a "sample" is
#
# To generate we need no encoder: draw $z \sim p(z)$, then draw $x \sim p_\theta(x \mid z)$. Many papers stop halfway
# and show the *mean* of $p_\theta(x\mid z)$. **Predict:** how will a mean and a draw differ, and which of the two has
# the variance of real pictures?

# %%
torch.manual_seed(SEED)
with torch.no_grad():
    z = vae16.prior().sample((4000,))
    halfway = vae16.decode(z)
    drawn = halfway.sample()

# %% jupyter={"source_hidden": true}
# The figure: real pictures, means and draws
def halfway_and_drawn():
    fig, axes = plt.subplots(1, 3, figsize=(13, 2.6))
    for ax, x, title in zip(axes, (test_x, halfway.mean, drawn),
                            ("new pictures", "mean given $z$: too smooth", "drawn given the same $z$: too rough")):
        plotting.images(x[:18], ax, columns=6)
        ax.set_title(title)


# %%
halfway_and_drawn()

# %%
variance = lambda x: x.flatten(1).var(0).sum() / train_x.flatten(1).var(0).sum()  # as a share of the data's
noise = halfway.variance.flatten(1).mean(0).sum() / train_x.flatten(1).var(0).sum()
claim("variance of the means, as a share of the data's", variance(halfway.mean), below=0.9, digits=2)
claim("variance of the draws", variance(drawn), above=variance(halfway.mean).item(), digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the law of total variance
claim("average variance of the noise around the means, as a share", noise, above=0.05, digits=2)
claim("the variance of the draws is the sum of the other two (law of total variance), up to chance",
      bool((variance(drawn) - variance(halfway.mean) - noise).abs() < 0.02))

# %% [markdown]
# Neither has it. The means have a share of 0.6 of the variance of real pictures and look too smooth. The draws come
# back to 0.82, but what they add is noise in every pixel on its own, because the likelihood is independent over
# pixels *given* $z$. Whatever the latents do not carry, this decoder can only treat as independent noise.
#
# ## 4.5 Why not just an autoencoder?
#
# Leave out the noise and the KL, and what remains is an **autoencoder**: an encoder, a decoder, a squared error, no
# prior. It reconstructs *better*: its squared error on new pictures is 0.61, that of the VAE 1. So what is the rest
# good for? Ask the autoencoder for a new picture. We must choose a $z$, but nothing tells us how its codes are
# distributed. We try two guesses, the prior of the VAE and a Gaussian fitted to the codes. Network sizes and number
# of latents are those of the VAE. **Predict:** what will the decoder draw from each?

# %%
torch.manual_seed(SEED)
plain = Autoencoder((1, 8, 8), 16, hidden=(256,)).to(DEVICE)
train.fit(plain, train_x, steps=700 * longer, lr=2e-3, rate=train.falling)

with torch.no_grad():
    codes = {"autoencoder": plain.encode(train_x), "VAE": vae16.encode(train_x).sample()}
    decode = {"autoencoder": plain.decode, "VAE": lambda z: vae16.decode(z).mean}
    prior, pictures = vae16.prior().sample((500,)), {}
    for name, z in codes.items():
        fitted = MultivariateNormal(z.mean(0), z.T.cov()).sample((500,))
        pictures[name] = decode[name](prior), decode[name](fitted)

# %% jupyter={"source_hidden": true}
# The figures: both clouds of codes, in space and in the plane; what is decoded between them
def widest(z, n):  # the coordinates of largest variance
    return z[:, z.var(0).argsort(descending=True)[:n]].cpu()


def clouds(codes):
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.9))
    circle, radius = torch.linspace(0, 2 * math.pi, 200), chi(2).ppf(0.95)
    for ax, (name, z) in zip(axes, codes.items()):
        plotting.points(widest(z, 2), ax, color=colors.LATENT, size=9, alpha=0.5)
        ax.plot(radius * circle.cos(), radius * circle.sin(), color=colors.NOISE, lw=2)
        ax.text(0, -3.25, "95 % of the prior", color=colors.NOISE, ha="center", fontweight="bold", fontsize=12)
        ax.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), xticks=[-2, 0, 2], yticks=[-2, 0, 2], title=f"{name}: codes")
    return fig


def clouds_to_turn(codes):
    fig = make_subplots(1, 2, specs=[[{"type": "scene"}] * 2], horizontal_spacing=0.02,
                        subplot_titles=[f"{name}: codes, and 95 % of the prior" for name in codes])
    t, radius = torch.linspace(0, 2 * math.pi, 60), chi(3).ppf(0.95)
    rings = [radius * torch.stack(ring, 1) for ring in ((t.cos(), t.sin(), 0 * t), (t.cos(), 0 * t, t.sin()),
                                                       (0 * t, t.cos(), t.sin()))]
    for column, z in enumerate(codes.values(), 1):
        space = lambda x: dict(zip("xyz", [[round(v, 2) for v in row] for row in x.T.tolist()]))
        fig.add_scatter3d(**space(widest(z, 3)[:600]), mode="markers", hoverinfo="skip", row=1, col=column,
                          marker={"size": 2.2, "color": colors.LATENT, "opacity": 0.7})
        for ring in rings:
            fig.add_scatter3d(**space(ring), mode="lines", hoverinfo="skip", row=1, col=column,
                              line={"color": colors.NOISE, "width": 3})
    axis = {"range": [-3.4, 3.4], "title": "", "tickvals": [-2, 0, 2]}
    fig.update_scenes(xaxis=axis, yaxis=axis, zaxis=axis, aspectmode="cube")
    return fig.update_layout(showlegend=False, height=430, template="simple_white", margin={"l": 0, "r": 0, "t": 30, "b": 0})


def decoded(pictures):
    fig, axes = plt.subplots(2, 2, figsize=(12, 5.2))
    for row, (name, both) in zip(axes, pictures.items()):
        for ax, x, source in zip(row, both, ("the prior", "a fitted Gaussian")):
            plotting.images(x[:24], ax, columns=8)
            ax.set_title(f"{name}, codes from {source}")


# %%
plotting.turn(clouds_to_turn(codes), clouds(codes))
decoded(pictures)

# %%
def away(x):  # mean distance to the nearest training picture, root of a sum of squares
    return torch.cdist(x.flatten(1), train_x.flatten(1)).min(1).values.mean()


real = away(test_x).item()
claim("distance of a real new picture to the nearest training picture", real, above=0.4, below=2, digits=2)
claim("of one that the autoencoder decodes from the prior", away(pictures["autoencoder"][0]), above=1.5 * real,
      digits=2)
claim("of one that the VAE decodes from the prior", away(pictures["VAE"][0]), below=1.3 * real, digits=2)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: who rebuilds better, and the dust of the fitted Gaussian
with torch.no_grad():
    rebuilt = {"autoencoder": plain.error(test_x).mean(),
               "VAE": (decode["VAE"](vae16.encode(test_x).mean) - test_x).square().flatten(1).sum(1).mean()}
claim("squared error of rebuilt new pictures: autoencoder", rebuilt["autoencoder"], below=rebuilt["VAE"].item(),
      digits=2)
claim("squared error of rebuilt new pictures: VAE", rebuilt["VAE"], above=rebuilt["autoencoder"].item(), digits=2)
claim("distance of a picture that the autoencoder decodes from the fitted Gaussian", away(pictures["autoencoder"][1]),
      above=away(pictures["VAE"][1]).item(), digits=2)

# %% [markdown]
# Nothing told the autoencoder where to put its codes (turn the cloud, where your page can). From the prior, most $z$
# fall where its decoder was never trained, and it draws dust: its pictures lie 3.4 from the nearest training picture,
# real new ones 1.2. The fitted Gaussian has the mean and covariance of the cloud but not its shape, so some draws
# fall between the codes and become blots. The VAE's draws from the prior lie at 1.3. It rebuilds less exactly and
# gets two things in return. The *noise* of $q$ trains the decoder on neighborhoods instead of single points, so that
# nearby codes decode alike. And the *KL* pulls all codes toward one known distribution, from which we can draw. Its
# formula,
#
# $$ \mathrm{KL}\big(q_\phi(z\mid x) \,\|\, p(z)\big) = \tfrac12 \sum_j \big(\mu_j^2 + s_j^2 - 1 - \log s_j^2\big) $$
#
# pulls each mean $\mu_j$ toward 0 and each standard deviation $s_j$ toward 1.
#
# ## 4.6 Larger pictures: convolution and color
#
# The bound does not care what the networks are made of. For color pictures with more pixels, a dense layer, which
# connects every input with every output, needs a great many weights, and what it learns in one corner does not help
# it in another. A **convolution** (LeCun et al., 1998) looks at small patches, here 4 x 4 pixels, and uses the same
# weights for every patch. With a stride of two pixels each layer halves the sides of the picture; in the decoder,
# transposed convolutions double them again.

# %%
A, B, C = (24, 48, 96) if PROFILE == "full" else (12, 24, 48)  # features at each place, for sides of 16, 8 and 4
halve = lambda a, b: nn.Conv2d(a, b, 4, stride=2, padding=1)
double = lambda a, b: nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
torch.manual_seed(SEED)
encoder = nn.Sequential(
    halve(3, A), nn.ELU(), halve(A, B), nn.ELU(), halve(B, C), nn.ELU(),  # 32 -> 16 -> 8 -> 4
    nn.Flatten(), nn.Linear(16 * C, 128), nn.ELU(), nn.Linear(128, 2 * 16),  # (B, 32): 16 means, 16 log stds
)
decoder = nn.Sequential(
    nn.Linear(16, 128), nn.ELU(), nn.Linear(128, 16 * C), nn.ELU(), nn.Unflatten(1, (C, 4, 4)),
    double(C, B), nn.ELU(), double(B, A), nn.ELU(), double(A, 2 * 3),  # 4 -> 8 -> 16 -> 32
    nn.Unflatten(1, (2, 3)),  # (B, 2, 3, 32, 32): place and width of each color's distribution
)
rooms = VAE((3, 32, 32), 16, encoder=encoder, decoder=decoder, likelihood="discretized", levels=33).to(DEVICE)

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: weights, layers, and what a convolution does with a moved picture
count = lambda model: sum(p.numel() for p in model.parameters())
dense = VAE((3, 32, 32), 16, hidden=(256,), likelihood="discretized", levels=33)
claim("weights of a dense VAE with 256 hidden units, over those of the convolutional one", count(dense) / count(rooms),
      above=1, digits=2)
library = networks.ConvEncoder((3, 32, 32), 32, width=A, hidden=128)
claim("the library's ConvEncoder has the same layers, shape by shape",
      [p.shape for p in library.parameters()] == [p.shape for p in encoder.parameters()])
with torch.no_grad():
    picture = torch.rand(1, 3, 32, 32, device=DEVICE)
    there, here = rooms.encoder[0](torch.roll(picture, 2, 3)), rooms.encoder[0](picture)
    claim("a picture moved by two pixels moves the first layer's features by one: largest difference inside",
          (there[..., 2:-1] - here[..., 1:-2]).abs().max(), below=1e-5)

# %% [markdown]
# Our color pictures are computer-drawn rooms. The hues of floor, wall and object, the object's shape and size, and
# the viewpoint are chosen at random from a grid of 480,000 combinations, and nothing else is random. That gives an
# exact number to compare with: the true distribution gives each room the same probability. **Predict:** what is
# $-\log p$ of a room, in nats, under the truth, and what under our model?

# %%
def small_rooms(split, n):  # (n, 3, 32, 32) on 33 levels a color
    x = data.load("scenes", split, n=n, seed=SEED, device=DEVICE).x
    return (nn.functional.avg_pool2d(x, 2) * 32).round() / 32


train_rooms, new_rooms = small_rooms("train", 3000 * finer), small_rooms("test", 200)
train.fit(rooms, train_rooms, steps=550 * finer, lr=4e-3, batch_size=48, rate=train.falling)
with torch.no_grad():
    q = rooms.encode(new_rooms)
    rebuilt = rooms.decode(q.mean).mean
    torch.manual_seed(SEED)
    sampled = rooms.decode(rooms.prior().sample((24,))).mean

# %% jupyter={"source_hidden": true}
# The figure: new rooms beside their reconstructions; rooms from the prior
def rooms_rebuilt_and_sampled():
    fig, axes = plt.subplots(1, 2, figsize=(14, 5.2))
    plotting.images(torch.stack([new_rooms[:12], rebuilt[:12]], 1).flatten(0, 1), axes[0], columns=6)
    plotting.images(sampled, axes[1], columns=6)
    axes[0].set_title("new rooms, each beside its reconstruction")
    axes[1].set_title("rooms that the model made up: means, given $z$ from the prior")


# %%
rooms_rebuilt_and_sampled()

# %%
with torch.no_grad():
    pays = -inference.elbo(rooms, new_rooms, 4).mean()
claim("what a model that knew the 480,000 rooms would pay for one", math.log(480_000), above=0, digits=3, unit="nats")
claim("what ours pays for a new room, at most", pays, above=1000, below=12_000, digits=2, unit="nats")
claim("of these, what the code costs", inference.kl(q, rooms.prior()).mean(), above=13.1, digits=2, unit="nats")

# %% jupyter={"source_hidden": true, "outputs_hidden": true}
# Checks: the number of rooms, and what reconstructions miss
claim("rooms that the data set holds", sum(data.scenes.SPLITS.values()), near=480_000, within=0)
spread = (new_rooms - train_rooms.mean(0)).square().flatten(1).sum(1).mean()
claim("squared error of reconstructions, as a share of the rooms' variance",
      (rebuilt - new_rooms).square().flatten(1).sum(1).mean() / spread, below=0.3, digits=1)

# %% [markdown]
# Left: reconstructions have the right colors and layout, but the shapes are blurred. Right: rooms from the prior are
# muddier. Do draws from the prior fall where the codes of real rooms lie? Part 4b asks that of the digits. The exact
# number is sobering. Under the truth a room has 13.1 nats. Our model needs at most 4,200: 70 for the code, and the
# rest for pixels, each of which has some noise of its own in this model. A likelihood of pictures mostly measures how
# well a model predicts every pixel.
#
# ## 4.7 What to keep, and what is not settled
#
# - An encoder is a function that guesses the result of an optimization. It is fast and shares what it learned among
#   all examples. What it loses against a search is the *amortization gap*, which was larger on new data than on
#   training data.
# - The *approximation gap* is what the best $q$ of the family loses; no encoder removes it.
# - The model consists of prior and decoder. It generates without the encoder; its samples are draws, not means.
# - An autoencoder without prior and noise reconstructs better, but there is no distribution of codes to draw from.
# - The networks can be exchanged. Convolutions save weights where the same thing may appear anywhere in a picture.
#
# Honest limits. A thousand small pictures overfit quickly; with more of them one expects a smaller difference between
# old and new pictures. One seed trained everything here; the claims, not the digits, were run with others. Distance
# to the nearest training picture rewards a model that copies: it was used to catch dust, not to rank good models
# (chapter 6 asks how samples can be compared). That convolutions are *better* on the rooms was not shown: a room's
# walls never move. And two latents are for looking; nobody models pictures with two.
#
# **References.** D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2014, eq. 3, 9 and 10. D. Rezende, S.
# Mohamed, D. Wierstra, *Stochastic backpropagation*, 2014. S. Gershman, N. Goodman, *Amortized inference in
# probabilistic reasoning*, 2014. C. Cremer, X. Li, D. Duvenaud, *Inference suboptimality in variational
# autoencoders*, 2018. Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-based learning applied to document
# recognition*, 1998.
