"""Drawn digits: how fast, and how well a network that saw nothing else reads the digits of real people.

The network learns from 20,000 strokes, twice over, with no augmentation, and is tested on MNIST's 10,000 test images.
It never learns from one of them, and no weight, epoch or seed is chosen by them.  But the strokes were: which human
variants were missing was seen in the confusion matrix and in the misread pictures of the first 5,000, and the ranges of
the factors were compared by the accuracy there.  The last 5,000 were not looked at while the paths were made: theirs is
the honest figure.  The two halves are of different people (LeCun et al., 1998), so they may differ either way.
"""

import os
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from gdm_core.data import DataUnavailable, idx, strokes
from gdm_core.data.strokes import render, style
from gdm_core.data.strokes.paths import pens

ROUNDS, SEEDS = 5, (0, 1, 2)


def everywhere(data) -> None:
    """The same pictures with the distance of every pixel to every piece of line, 64 pictures at a time."""
    grid = torch.stack(torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="xy"), 2).view(1, 1, 784, 2)
    pen = pens()
    for i in range(0, len(data), 64):
        part = data[i : i + 64]
        f = dict(part.factors)
        path, thickness, size = pen.first[part.labels] + f.pop("variant"), f.pop("thickness"), f.pop("size")
        way = render.frame(style.pen_way(pen, path, **f), thickness, size, pen.down[path])
        start, step = way[:, :-1, None], way.diff(dim=1)[:, :, None]
        t = ((grid - start) * step).sum(3, keepdim=True) / (step * step).sum(3, keepdim=True).clamp_min(1e-12)
        (grid - start - t.clamp(0, 1) * step).square().sum(3).amin(1).sqrt()


def reader(data, seed: int, epochs: int = 2, batch: int = 64) -> nn.Module:
    """A network of 42,000 weights trained on `data` alone."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 49, 10)),
    )
    total = epochs * (len(data) // batch)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=total)
    for _ in range(epochs):
        for index in torch.randperm(len(data))[: len(data) // batch * batch].view(-1, batch):
            loss = F.cross_entropy(net(data.x[index]), data.labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    return net.eval()


@torch.no_grad()
def right(net: nn.Module, data) -> torch.Tensor:
    """(N,) whether each picture is read right."""
    guess = torch.cat([net(x).argmax(1) for x in data.x.split(1000)])
    return guess == data.labels


def real():
    """MNIST's test set from `$GDM_DATA` or the folder beside the course, or None."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not os.environ.get("GDM_DATA") and beside.is_dir():
        os.environ["GDM_DATA"] = str(beside)
    try:
        return idx.mnist("test", mirrors=())
    except DataUnavailable as error:
        print(f"accuracy not measured: {error}")
        return None


def seconds(work) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def speed() -> None:
    data, times = strokes.load(n=10_000), ([], [])
    for _ in range(ROUNDS):
        times[0].append(seconds(lambda: strokes.load(n=10_000)))
        times[1].append(10 * seconds(lambda: everywhere(data[:1000])))
    ours, peer = (statistics.median(t) for t in times)
    print(f"{'':34}{'ours':>8}{'peer':>8}{'ratio':>8}  goal    peer")
    row = f"{ours:>8.2f}{peer:>8.2f}{peer / ours:>8.1f}  < 5     distance of every pixel to every piece"
    print(f"{'seconds for 10,000 pictures':34}{row}")


def accuracy(test) -> None:
    shares = []
    for seed in SEEDS:
        data = strokes.load(n=20_000, seed=seed)
        shares.append(right(reader(data, seed), test).double())
    stiff = {name: default for name, (_, _, default) in strokes.FACTORS.items()}
    one_hand = strokes.sample(20_000, seed=0, **stiff)
    alone = right(reader(one_hand, 0), test).double()
    parts = {
        "all 10,000": slice(None),
        "first 5,000 (looked at)": slice(5000),
        "last 5,000 (never seen)": slice(5000, None),
    }
    for name, part in parts.items():
        each = [100 * share[part].mean().item() for share in shares]
        mean, peer = statistics.mean(each), 100 * alone[part].mean().item()
        goal = ">= 85 " if part == slice(None) else "      "
        note = f"all factors at their defaults; seeds {', '.join(f'{e:.1f}' for e in each)}"
        print(f"{'% right, ' + name:34}{mean:>8.1f}{peer:>8.1f}{mean / peer:>8.2f}  {goal}  {note}", flush=True)


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        speed()
        test = real()
        if test is not None:
            accuracy(test)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
