"""Variational autoencoders: a step beside a peer's, likelihoods of real digits, bounds against the truth."""

import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdm_core import data, likelihoods, networks, train
from gdm_core.data import idx
from gdm_core.data.download import DataUnavailable
from gdm_core.disentanglement import active_units
from gdm_core.inference import elbo, grid_posterior, inference_gap, iwae_bound, mean_and_error
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE
from gdm_core.precision import fast_products
from tests.benchmarks._race import race, table

EVENT = (1, 8, 8)


def main() -> None:
    torch.set_num_threads(1)
    for part in (speed, digits, linear, grid, mnist):
        part()
        print()


# Speed


class Peer(nn.Module):
    """The usual tutorial code: two heads, a sigmoid before the cross-entropy, log-variances."""

    def __init__(self):
        super().__init__()
        self.hidden, self.mean, self.log_var = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.back, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def loss(self, x: Tensor) -> Tensor:
        h = F.relu(self.hidden(x))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        picture = torch.sigmoid(self.out(F.relu(self.back(z))))
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
        return F.binary_cross_entropy(picture, x, reduction="sum") + kl


def speed() -> None:
    torch.manual_seed(0)
    x = (torch.rand(20 * 128, 784) < 0.2).float()
    peer, model = Peer(), VAE(784, 20, hidden=(400,), likelihood="bernoulli")
    adam = torch.optim.Adam(peer.parameters(), 1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), 128, shuffle=True)

    def usual() -> None:
        total = 0.0
        for (batch,) in loader:
            adam.zero_grad()
            loss = peer.loss(batch)
            loss.backward()
            total += loss.item()
            adam.step()

    def ours() -> None:
        for _ in train.steps(model, x, steps=20, batch_size=128):
            pass

    def ours_fast() -> None:
        with fast_products():
            ours()

    ms = race({"tutorial code": usual, "ours": ours, "ours, fast products": ours_fast})
    rows = [(name, t / 20, ms["tutorial code"] / t, "> 1" if name == "ours" else "") for name, t in ms.items()]
    table(("step 784-400-20, batch 128, CPU ms, median", "", "ratio", "goal"), *rows)
    with fast_products() as taken:
        print(f"  fast products {'keep' if taken else 'would not keep, so were not taken for,'} float32's digits here")


# Digits, 17 gray levels


def shifted(x: Tensor, share: float = 0.3) -> Tensor:
    """A share of the pictures moved by up to one pixel each way."""
    window = torch.arange(8)
    corner = torch.where(torch.rand(len(x), 1) < share, torch.randint(0, 3, (len(x), 2)), 1)
    rows, columns = corner[:, :1] + window, corner[:, 1:] + window  # (B, 8)
    return F.pad(x, (1, 1, 1, 1))[torch.arange(len(x))[:, None, None], 0, rows[:, :, None], columns[:, None]][:, None]


class Shifting(nn.Module):
    """A model that is trained on shifted copies; it is judged without them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def loss(self, x: Tensor) -> Tensor:
        return self.model.loss(shifted(x) if self.training else x)


def plain() -> VAE:
    return VAE(EVENT, 16, hidden=(256,), likelihood="categorical", levels=17)


def regular() -> VAE:
    return VAE(
        EVENT,
        16,
        likelihood=likelihoods.Discretized(17, components=3),
        encoder=networks.MLPEncoder(EVENT, 32, (512,), dropout=0.2),
        decoder=networks.MLPDecoder(16, EVENT, 9, (512,), dropout=0.3),
    )


def bound(model: VAE, x: Tensor, samples: int = 1000) -> Tensor:
    """Minus the importance bound of each picture, (B,) nats."""
    torch.manual_seed(1)
    with torch.no_grad():
        return -torch.cat([iwae_bound(model, part, samples) for part in x.split(50)])


def learn(model: nn.Module, x: Tensor, steps: int, lr: float, decay: float = 0.0) -> float:
    """Train and return CPU seconds."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay, betas=(0.9, 0.99), fused=True)
    start = time.process_time()
    options = {"steps": steps, "batch_size": 100, "rate": train.falling, "clip": 200.0, "progress": False}
    train.fit(model, x, optimizer=optimizer, **options)
    return time.process_time() - start


def digits() -> None:
    sets = {split: data.load("digits", split).x for split in data.SPLITS}
    rows = []
    for name, build, moved, recipe, goal in (
        ("plain MLP, categorical", plain, False, {"steps": 900, "lr": 2e-3}, ""),
        ("mixture of 3, dropout", regular, False, {"steps": 1500, "lr": 3e-3, "decay": 0.1}, ""),
        ("and shifted copies", regular, True, {"steps": 1500, "lr": 3e-3, "decay": 0.1}, "<= 92, <= 20 s"),
    ):
        torch.manual_seed(0)
        model = build()
        seconds = learn(Shifting(model) if moved else model, sets["train"], **recipe)
        nats = [mean_and_error(bound(model, sets[split])) for split in data.SPLITS]
        units = int(active_units(model.encode(sets["test"]).mean).sum())
        rows.append((name, f"{seconds:.1f}", *(f"{m.value:.2f} +- {m.error:.2f}" for m in nats), f"{units}/16", goal))
    table(("digits 8x8, nats, 1000 samples", "train s", *data.SPLITS, "units", "goal for test"), *rows)


# What is known exactly


def linear() -> None:
    x = data.load("digits").flat().double()
    best = PPCA(64, 10).double().solve(x).log_prob(x).mean().item()
    torch.manual_seed(0)
    model = VAE(64, 10, hidden=(), posterior="full", likelihood=likelihoods.Gaussian(0.3)).double()
    start = time.process_time()
    train.fit(model, x, steps=6000, batch_size=250, lr=0.02, rate=train.falling, progress=False)
    seconds = time.process_time() - start
    with torch.no_grad():
        W, b, std = model.decoder.net[0].weight, model.decoder.net[0].bias, model.likelihood.log_std.exp()
        covariance = W @ W.T + std**2 * torch.eye(64, dtype=torch.float64)
        exact = torch.distributions.MultivariateNormal(b, covariance).log_prob(x).mean().item()
        torch.manual_seed(1)
        reached = elbo(model, x, 100).mean().item()
    rows = [("PPCA, closed form", f"{best:.4f}", "", "")]
    for name, value in (("its log p(x)", exact), ("its bound", reached)):
        rows.append((name, f"{value:.4f}", f"{best - value:.4f}", "<= 0.1"))
    table((f"linear VAE, 10 latents ({seconds:.0f} s)", "nats", "below PPCA", "goal"), *rows)


def grid() -> None:
    torch.manual_seed(0)
    model = VAE(EVENT, 2, hidden=(128,), likelihood="categorical", levels=17)
    learn(model, data.load("digits").x, 800, 3e-3)
    x = data.load("digits", "test").x[:100]
    truth = grid_posterior(model, x, half_width=8, side=200)
    torch.manual_seed(1)
    with torch.no_grad():
        bounds = torch.stack([iwae_bound(model, x, 1000) for _ in range(10)])
    mean = mean_and_error(bounds.mean(0) - truth.log_px)
    worst = ((bounds.mean(0) - truth.log_px) / (bounds.std(0) / 10**0.5)).max().item()
    gap = inference_gap(model, x, log_px=truth.log_px)
    rows = [
        ("bound of 1000 samples - exact", f"{mean.value:.4f} +- {mean.error:.4f}", "<= 0"),
        ("the same, worst of 100 images, in s.e.", f"{worst:.2f}", "<= 3"),
        ("approximation gap", f"{gap.approximation.value:.3f} +- {gap.approximation.error:.3f}", ""),
        ("amortization gap", f"{gap.amortization.value:.3f} +- {gap.amortization.error:.3f}", ""),
    ]
    table(("two latents, exact log p(x) on a grid, nats", "", "goal"), *rows)


# Real MNIST


def mnist() -> None:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    before = os.environ.get("GDM_DATA")
    if before is None and beside.is_dir():
        os.environ["GDM_DATA"] = str(beside)
    try:
        x = idx.mnist("test", mirrors=()).x
    except DataUnavailable as error:
        print(f"  real MNIST skipped: {error}")
        return
    finally:
        if before is None:
            os.environ.pop("GDM_DATA", None)
    x = (x > 0.5).float()
    model = VAE((1, 28, 28), 20, hidden=(400,), likelihood="bernoulli")
    seconds = learn(model, x[:9000], 2000, 2e-3)
    held = x[9000:]
    tight, loose = mean_and_error(bound(model, held)), mean_and_error(bound(model, held, 1))
    units = int(active_units(model.encode(held).mean).sum())
    nats = [f"{m.value:.2f} +- {m.error:.2f}" for m in (loose, tight)]
    row = ("784-400-20, 9,000 images", f"{seconds:.0f}", *nats, f"{units}/20")
    table(("MNIST test set cut at 0.5, last 1,000, nats", "train s", "1 sample", "1000 samples", "units"), row)


if __name__ == "__main__":
    main()
