"""Scenes a second on one core: drawn from kept light, from scratch, read from PNG files; and their factors read."""

import io
import statistics
import time

import numpy as np
import torch
from PIL import Image

from gdm_core.data import scenes

ROUNDS = 7


def seconds(work) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    table = scenes.factors(torch.randperm(scenes.COUNT, generator=torch.Generator().manual_seed(0))[:1000])
    random = torch.Generator().manual_seed(1)

    def fresh(n: int) -> torch.Tensor:
        """n scenes of which no two share a geometry, with each other or with earlier ones."""
        real = torch.rand(n, 6, generator=random)
        real[:, 3], real[:, 4], real[:, 5] = 0.7 + 0.7 * real[:, 3], (4 * real[:, 4]).floor(), 60 * real[:, 5] - 30
        return real

    stored = []
    for picture in scenes.render(table[:200]):
        file = io.BytesIO()
        Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "PNG")
        stored.append(file.getvalue())

    def read() -> None:
        arrays = [np.asarray(Image.open(io.BytesIO(file))) for file in stored]
        torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float().div_(255)

    def first() -> None:
        scenes._kept.cache_clear()
        scenes.render(table)

    slider = {"floor_hue": 0.1, "wall_hue": 0.5, "object_hue": 0.9, "scale": 1.0, "shape": 2, "orientation": 5.0}

    def turned(size: int):
        return lambda: scenes.render(slider | {"orientation": float(torch.rand((), generator=random))}, size=size)

    def recolored(size: int):
        return lambda: scenes.render(slider | {"object_hue": float(torch.rand((), generator=random))}, size=size)

    rooms = scenes.load("test", 1000).x
    rough = (rooms + 0.3 * torch.randn(rooms.shape, generator=random)).clamp(0, 1)
    scenes.read(rooms[:1])  # makes its table, once
    work = {
        "1,000 scenes, first time": (first, 1000),
        "1,000 scenes, again": (lambda: scenes.render(table), 1000),
        "100 scenes, 100 new geometries": (lambda: scenes.render(fresh(100)), 100),
        "200 scenes read from PNG": (read, 200),
        "1,000 scenes, their factors read": (lambda: scenes.read(rooms), 1000),
        "1,000 under noise of .3, read": (lambda: scenes.read(rough), 1000),
        "one scene, new pose, 64 px": (turned(64), 1),
        "one scene, new color, 64 px": (recolored(64), 1),
        "one scene, new pose, 256 px": (turned(256), 1),
        "one scene, new color, 256 px": (recolored(256), 1),
    }
    times = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (call, n) in work.items():
            if n == 1:
                call()  # the rows before have filled the processor's cache with other things
            times[name].append(seconds(call) / n)
    torch.set_num_threads(threads)
    median = {name: statistics.median(t) for name, t in times.items()}
    png = median["200 scenes read from PNG"]
    print(f"{'':34}{'images/s':>10}{'ms each':>9}{'x PNG':>8}  goal")
    for name, (_, n) in work.items():
        goal = "" if "PNG" in name or "256" in name else "300 images/s" if n > 1 else "5 ms"
        goal = "2,000 images/s" if name.endswith("factors read") else "" if name.endswith("read") else goal
        print(f"{name:34}{1 / median[name]:>10,.0f}{1e3 * median[name]:>9.2f}{png / median[name]:>8.2f}  {goal}")


if __name__ == "__main__":
    main()
