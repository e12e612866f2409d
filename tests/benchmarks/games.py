"""A bilinear game of 100,000 steps: powers of a step's matrix beside loops, to the same last state."""

import numpy as np
import torch

from gdm_core import games
from tests.benchmarks._race import race, table

STEPS, LR = 100_000, 0.3


def plain() -> list[tuple[float, float]]:
    """The usual loop over two Python numbers, the fastest of loops."""
    x, y = 1.0, 0.0
    states = [(x, y)]
    for _ in range(STEPS):
        x = x - LR * y
        y = y + LR * x
        states.append((x, y))
    return states


def arrays(steps: int = STEPS // 100) -> np.ndarray:
    """The same with a matrix and numpy, for a hundredth of the steps."""
    M, w = np.array([[1.0, -LR], [LR, 1.0 - LR**2]]), np.array([1.0, 0.0])
    states = [w]
    for _ in range(steps):
        w = M @ w
        states.append(w)
    return np.stack(states)


RULE, GAME = games.alternating(LR), games.bilinear()


def powers() -> torch.Tensor:
    return games.orbit(RULE, GAME, STEPS)


def ten() -> None:
    """As warm as the loop is after its first thousand steps."""
    for _ in range(10):
        powers()


def main() -> None:
    torch.set_num_threads(1)
    error = np.abs(powers().numpy() - np.array(plain())).max()
    ms = race({"loop, Python numbers": plain, "loop, numpy": arrays, "games.orbit": ten}, rounds=15, warm=3)
    ms["loop, numpy"] *= 100
    ms["games.orbit"] /= 10
    rows = [
        (name, t, ms["loop, Python numbers"] / t, ">= 50" if name == "games.orbit" else "") for name, t in ms.items()
    ]
    table((f"{STEPS:,} steps of f = xy, CPU ms, median", "", "ratio", "goal"), *rows)
    print(f"  largest difference of a state: {error:.1e}")


if __name__ == "__main__":
    main()
