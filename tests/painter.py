"""Text to image with ten minutes of a graphics card: a longer training of a larger painter, and what the judge reads.

    python tests/painter.py [--device cuda] [--steps 20000] [--rooms 60000] [--checkpoint FILE] [--out FILE]

Stopped at any time it goes on from its checkpoint.  The painter is that of lecture 14b with more components, more units
and more rooms; the same pairs are left out, and the sentences that judge it are drawn as there, 1,000 of each kind.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from gdm_core import train  # noqa: E402
from gdm_core.data import scenes  # noqa: E402
from gdm_core.data.scenes import captions  # noqa: E402
from gdm_core.explorers.room_painter import SIZE, Painter, never, pace, rooms  # noqa: E402

LATENTS, WIDTH = 128, 512
PART = 250  # rooms painted, or 20 times as many rendered, at once
WAYS = (1.0, 1.0), (1.5, 1.0), (2.0, 1.0), (2.0, 0.8), (3.0, 0.8)  # weight of guidance, largest t with it


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rooms", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--sentences", type=int, default=1000, help="of each kind, for the judge")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "build" / "painter.safetensors")
    parser.add_argument("--out", type=Path, default=ROOT / "lectures" / "results" / "painter.json")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    model = trained(chosen)
    told = vars(chosen) | {"training_s": round(time.monotonic() - began, 1)} | judged(model, chosen.sentences)
    if model.components.mean.is_cuda:
        told["card"] = torch.cuda.get_device_name()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=2, default=str))
    return told


def trained(chosen: argparse.Namespace) -> Painter:
    torch.manual_seed(0)
    model = Painter(SIZE, LATENTS, WIDTH).to(chosen.device)
    table, sentences = rooms(chosen.rooms)
    x = torch.cat([scenes.render(some, size=SIZE, device=chosen.device) for some in table.split(20 * PART)])
    model.components.fit(x[: 20 * PART])
    options = {"batch_size": chosen.batch, "average": 0.995, **pace(model, 3e-3)}
    pairs = x, captions.tokens(sentences).to(chosen.device)
    chosen.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    train.fit(model, pairs, steps=chosen.steps, checkpoint=chosen.checkpoint, checkpoint_every=2000, **options)
    return model


def judged(model: Painter, count: int) -> dict:
    """Shares of rooms with all six factors right, and with the worst factor right, by guidance."""
    pool = scenes.factors(torch.randint(scenes.COUNT, (14 * count,), generator=torch.Generator().manual_seed(3)))
    told = {}
    for kind, table in (("seen", pool[~never(pool)][:count]), ("left out", pool[never(pool)][:count])):
        asked = captions.said(table, generator=torch.Generator().manual_seed(4))
        for weight, until in WAYS:
            right = []
            for i in range(0, count, PART):
                some = asked[i : i + PART]
                read = scenes.read(model.pictures(some, seed=i, weight=weight, until=until, steps=16)).factors.cpu()
                right.append(captions.fits(read, captions.meaning(some)))
            right = torch.cat(right).double()
            told[f"{kind}, w = {weight:g} for t <= {until:g}"] = {
                "all six": right.prod(1).mean().item(),
                "worst factor": right.mean(0).min().item(),
            }
    return told


if __name__ == "__main__":
    main()
