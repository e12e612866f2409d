"""The least value that an error offers is taken, and what lies beyond it is refused in those words."""

import pytest
import torch
from linear import Linear
from torch.distributions import Independent, Normal

from gdm_core import data, disentanglement, explorers, inference, latent, likelihoods, networks, train
from gdm_core.data import digits, scenes, strokes, toy
from gdm_core.models.autoencoder import Autoencoder
from gdm_core.models.gmm import GMM
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE
from gdm_core.models.vqvae import VQVAE
from gdm_core.widgets import Noise, Trainer, honest

torch.set_num_threads(1)

X = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LINEAR = Linear()
SMALL = {"network": "mlp", "hidden": (3,)}
small = lambda: PPCA(2, 1).double()
q = lambda: Independent(Normal(X, torch.ones_like(X)), 1)
fit = lambda **options: train.fit(small(), X, **{"steps": 2, "batch_size": 4, **options})
search = lambda **options: list(inference.fit_per_datapoint(LINEAR, LINEAR.data(), **options))
jointly = lambda **options: next(inference.fit_jointly(Linear(), LINEAR.data(), **options))
spread = {"a": torch.arange(12), "b": torch.arange(12).flip(0) ** 2}

LEAST = {
    "GMM": (lambda n: GMM(n, 2), "components", 1),
    "GMM of few features": (lambda n: GMM(2, n), "features", 1),
    "EM of GMM": (lambda n: list(GMM(2, 2).double().em(X, n)), "iterations", 0),
    "PPCA": (lambda n: PPCA(n, 0), "features", 1),
    "PPCA of few latents": (lambda n: PPCA(3, n), "latents", 0),
    "EM of PPCA": (lambda n: list(small().em(X, n)), "iterations", 0),
    "VAE": (lambda n: VAE(2, n, hidden=(3,)), "latents", 1),
    "VAE of few labels": (lambda n: VAE(2, 1, hidden=(3,), labels=n), "labels", 0),
    "Autoencoder": (lambda n: Autoencoder(2, n, hidden=(3,)), "latents", 1),
    "VQVAE": (lambda n: VQVAE(2, codes=n, **SMALL), "codes", 2),
    "VQVAE of narrow codes": (lambda n: VQVAE(2, width=n, **SMALL), "width", 1),
    "VQVAE of few codes": (lambda n: VQVAE(2, positions=n, **SMALL), "positions", 1),
    "VQVAE of pictures": (lambda n: VQVAE((1, 8, 8), halvings=n), "halvings", 1),
    "no layers": (lambda n: networks.mlp(n, (), 1), "features", 1),
    "narrow layers": (lambda n: networks.mlp(1, (n,), 1), "hidden", 1),
    "little output": (lambda n: networks.mlp(1, (), n), "out", 1),
    "Categorical": (likelihoods.Categorical, "levels", 2),
    "Discretized": (likelihoods.Discretized, "levels", 2),
    "mixed Discretized": (lambda n: likelihoods.Discretized(4, components=n), "components", 1),
    "elbo": (lambda n: inference.elbo(LINEAR, LINEAR.data(), n), "samples", 1),
    "iwae_bound": (lambda n: inference.iwae_bound(LINEAR, LINEAR.data(), n), "samples", 1),
    "pieces of iwae_bound": (lambda n: inference.iwae_bound(LINEAR, LINEAR.data(), 3, chunk=n), "chunk", 1),
    "gradients": (lambda n: inference.gradient_samples(LINEAR, LINEAR.data(12), q(), n), "samples", 1),
    "gradients beside others": (
        lambda n: inference.gradient_samples(LINEAR, LINEAR.data(12), q(), n, baseline=True),
        "samples",
        2,
    ),
    "steps of a search": (lambda n: search(steps=n), "steps", 1),
    "draws of a search": (lambda n: search(steps=1, samples=n), "samples", 1),
    "steps of both": (lambda n: jointly(alternate=(1, n)), "alternate", 1),
    "q of few examples": (lambda n: inference.PerDatapoint(n, 2), "n", 1),
    "q of few latents": (lambda n: inference.PerDatapoint(2, n), "latents", 1),
    "interpolate": (lambda n: latent.interpolate(X[0], X[1], n), "t", 2),
    "traverse": (lambda n: latent.traverse(X[0], n, 1, X[:, 0]), "first", 0),
    "bins": (lambda n: disentanglement.mutual_information(X, spread, n), "bins", 2),
    "steps": (lambda n: fit(steps=n), "steps", 1),
    "batch": (lambda n: fit(batch_size=n), "batch_size", 1),
    "seed": (lambda n: fit(seed=n), "seed", 0),
    "validation": (lambda n: fit(validation=X, validate_every=n), "validate_every", 1),
    "checkpoints": (lambda n: fit(checkpoint_every=n), "checkpoint_every", 1),
    "moons": (lambda n: data.load("moons", n=n), "n", 1),
    "seed of moons": (lambda n: data.load("moons", n=2, seed=n), "seed", 0),
    "moons alone": (lambda n: toy.load("moons", "train", n=n), "n", 1),
    "digits": (lambda n: digits.load("train", n), "n", 1),
    "strokes": (lambda n: strokes.load(n=n), "n", 1),
    "scenes": (lambda n: scenes.load(n=n), "n", 1),
    "seed of scenes": (lambda n: scenes.load(n=1, seed=n), "seed", 0),
    "points of EM": (lambda n: explorers.mixtures(points=n), "points", 10),
    "Noise": (Noise, "seed", 0),
    "press": (lambda n: Noise()(n, 2), "press", 0),
    "shell": (honest.shell, "dimensions", 1),
    "total": (lambda n: Trainer(list, total=n), "total", 1),
    "keep": (lambda n: Trainer(list, keep=n), "keep", 3),
    "room": (lambda n: Trainer(list, room=n), "room", 1),
}


@pytest.mark.parametrize("call, name, least", LEAST.values(), ids=list(LEAST))
def test_what_an_error_offers_is_the_least_that_is_taken(call, name, least):
    call(least)
    with pytest.raises(ValueError, match=rf"^needed an integer {name} .*; try {name}={least}$"):
        call(least - 1)


MOST = {
    "latents of PPCA": (lambda n: PPCA(3, n), 2),
    "traverse": (lambda n: latent.traverse(X[0], 0, n, X[:, 0]), 1),
    "points of EM": (lambda n: explorers.mixtures(points=n), 2000),
    "digits": (lambda n: digits.load("test", n), len(digits.load("test"))),
}


@pytest.mark.parametrize("call, most", MOST.values(), ids=list(MOST))
def test_the_most_that_an_error_names_is_taken(call, most):
    call(most)
    with pytest.raises(ValueError, match=rf"from \d+ to {most}, got {most + 1};"):
        call(most + 1)
