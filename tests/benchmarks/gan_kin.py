"""What GANs learn that nobody told them: InfoGAN's classes, CycleGAN's pairs.  About a minute and a half."""

import torch
from scipy.optimize import linear_sum_assignment

from gdm_core import data, train
from gdm_core.data import scenes
from gdm_core.models.cyclegan import CycleGAN
from gdm_core.models.infogan import InfoGAN

from ._race import table

SEEDS = (0, 1, 2)


def agreement(seed: int) -> tuple[float, float]:
    """Share of training and of test digits whose class, matched at best, is the label."""
    torch.manual_seed(seed)
    digits, new = data.load("digits"), data.load("digits", "test")
    model = InfoGAN(digits.x.shape[1:], 4, 10, r1=0.3, info=0.2, fog=0.4, unit=True)
    train.fit(model, digits.x, steps=4000, batch_size=64, lr=3e-3, rate=train.falling, seed=seed)
    shares = []
    for d in (digits, new):
        found = torch.zeros(10, 10).index_put_((model.read(d.x).probs.argmax(1), d.labels), torch.ones(()), True)
        shares.append(found[linear_sum_assignment(-found)].sum().item() / len(d))
    return tuple(shares)


def rooms(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same rooms in warm and in cold colors, four of five with floors of the first kind."""
    u = torch.rand(4, n, generator=torch.Generator().manual_seed(seed))
    pick = lambda first, second: torch.where(u[0] < 0.8, first, second)
    place = {"scale": 0.75 + 0.5 * u[1], "orientation": 60 * u[2] - 30, "shape": (4 * u[3]).floor()}
    draw = lambda floor, wall, thing: scenes.render(
        {"floor_hue": floor, "wall_hue": torch.full((n,), wall), "object_hue": torch.full((n,), thing), **place}, 32
    )
    return draw(pick(0.1, 0.3), 0.15, 0.0), draw(pick(0.6, 0.8), 0.55, 0.85)


def left(seed: int) -> float:
    """Held-out squared error against the true pairs, over that of no translation."""
    (warm, _), (_, cold), (given, truth) = rooms(400, 3), rooms(400, 4), rooms(100, 5)
    torch.manual_seed(seed)
    model = CycleGAN((3, 32, 32), r1=0.1, width=16)
    options = {"steps": 200, "batch_size": 8, "lr": 2e-3, "rate": train.falling, "seed": seed}
    train.fit(model, torch.stack([warm, cold], 1), **options)
    with torch.no_grad():
        return ((model.there(given) - truth).square().mean() / (given - truth).square().mean()).item()


def main() -> None:
    classes, pairs = [agreement(s) for s in SEEDS], [left(s) for s in SEEDS]
    table(
        ("seed", *map(str, SEEDS)),
        ("InfoGAN, digits: classes that agree, training", *(f"{a:.2f}" for a, _ in classes)),
        ("InfoGAN, digits: classes that agree, new", *(f"{b:.2f}" for _, b in classes)),
        ("CycleGAN, rooms: held-out error / no translation", *(f"{r:.2f}" for r in pairs)),
    )
