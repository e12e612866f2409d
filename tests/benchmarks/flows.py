"""Flows in the plane: KL to the exact density after 5,000 steps of 512, and speed beside zuko, nflows and normflows.

Peers that are not installed are said to be so: `pip install zuko nflows normflows`.
"""

import contextlib
import os

import torch

from gdm_core import train
from gdm_core.data import toy
from gdm_core.models import flow
from tests.benchmarks._race import race, table

GOALS = {  # nats
    "affine": {"moons": 0.012, "eight_gaussians": 0.067, "checkerboard": 0.127, "two_spirals": 0.404},
    "spline": {"moons": 0.0035, "eight_gaussians": 0.008, "checkerboard": 0.06, "two_spirals": 0.05},
}
MAKE = {
    "affine": (lambda: flow.realnvp(2, 8), 5e-3),
    "spline": (lambda: flow.spline(2, 6, bins=16), 5e-3),
}


def lost(kind: str, name: str, steps: int = 5000) -> float:
    """KL(exact || model), nats, by 100,000 fresh draws."""
    torch.manual_seed(0)
    target, (make, lr) = toy.target(name), MAKE[kind]
    model = make()
    train.fit(model, target.sample, steps=steps, batch_size=512, lr=lr, rate=train.falling, clip=5.0, progress=False)
    x = target.sample(100_000)
    with torch.no_grad():
        return (target.log_prob(x) - model.log_prob(x)).mean().item()


def quality() -> None:
    steps = int(os.environ.get("GDM_BENCH_STEPS", 5000))
    rows = [
        (f"{kind} couplings, {name}", lost(kind, name, steps), f"<= {goal:g}")
        for kind, goals in GOALS.items()
        for name, goal in goals.items()
    ]
    table((f"KL to the exact density after {steps:,} steps of 512", "nats", "goal"), *rows)


def peers(features: int) -> dict:
    """name -> (loss of a batch, parameters) of RealNVPs with eight couplings of two layers of 64 units."""
    out = {}
    with contextlib.suppress(ImportError):
        import zuko

        made = zuko.flows.NICE(features, transforms=8, hidden_features=(64, 64), activation=torch.nn.ReLU)
        out["zuko"] = (lambda x: -made().log_prob(x).mean()), list(made.parameters())
    with contextlib.suppress(ImportError):
        from nflows.flows.realnvp import SimpleRealNVP

        theirs = SimpleRealNVP(features, 64, 8, 2)
        out["nflows"] = (lambda x: -theirs.log_prob(x).mean()), list(theirs.parameters())
    with contextlib.suppress(ImportError):
        import normflows

        half = features // 2
        layers = []
        for _ in range(8):
            net = normflows.nets.MLP([half, 64, 64, 2 * half], init_zeros=True)
            layers += [normflows.flows.AffineCouplingBlock(net), normflows.flows.Permute(features, mode="swap")]
        base = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(features), layers)
        out["normflows"] = base.forward_kld, list(base.parameters())
    return out


def speed(features: int, batch: int) -> None:
    torch.manual_seed(0)
    ours = flow.realnvp(features, 8)
    all_of = {"ours": (ours.loss, list(ours.parameters()))} | peers(features)
    x, many = torch.randn(batch, features), torch.randn(10_000, features)

    def step(loss, optimizer):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()

    optimizers = {n: torch.optim.Adam(p, 1e-4, fused=n == "ours") for n, (_, p) in all_of.items()}
    steps = race({n: (lambda n=n: step(all_of[n][0], optimizers[n])) for n in all_of}, rounds=25, warm=5)
    with torch.no_grad():
        looks = {n: (lambda loss=loss: loss(many)) for n, (loss, _) in all_of.items()}
        looks["ours"] = lambda: ours.log_prob(many)
        densities = race(looks, rounds=7, warm=2) if features == 2 else {}
    best = lambda ms: min((t for n, t in ms.items() if n != "ours"), default=float("nan"))
    for what, ms in ((f"training step of {batch}", steps), ("log_prob of 10,000 points", densities)):
        if ms:
            rows = [
                (
                    n,
                    sum(p.numel() for p in all_of[n][1]),
                    t,
                    best(ms) / ms["ours"] if n == "ours" else "",
                    ">= 2" if n == "ours" else "",
                )
                for n, t in ms.items()
            ]
            absent = [(n, "", "not installed", "", "") for n in ("zuko", "nflows", "normflows") if n not in ms]
            table(
                (f"RealNVP, {features}-D, {what}, CPU ms", "weights", "ms", "fastest peer / ours", "goal"),
                *rows,
                *absent,
            )


def main() -> None:
    torch.set_num_threads(1)
    speed(2, 256)
    speed(784, 128)
    quality()
