"""What keeps an explorer honest: noise that stays until it is asked to change, and how likely the latent is.

A slider that redraws the noise confounds cause and chance.  `Noise` gives the same numbers to every frame, so what
moves in the picture moves because of the hand (common random numbers).
"""

import re
import threading
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, integer


class Noise:
    """Standard normal or uniform draws that depend on a seed and a press count alone.

    `noise(controls["new noise"], 16, 2)` with `Button("new noise")` is the same tensor in every frame until the button
    is pressed, in every thread, in the saved link and in the code cell.  Different shapes at one press are independent.

    Args:
        seed: of the whole series.
        device: where the draws are given; their numbers are the same everywhere.

    >>> noise = Noise(0)
    >>> bool((noise(0, 3) == noise(0, 3)).all()), bool((noise(0, 3) == noise(1, 3)).any())
    (True, False)
    """

    def __init__(self, seed: int = 0, device: str | torch.device = "cpu"):
        self.seed, self.device = integer("seed", seed, low=0), device
        self._kept: OrderedDict = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, press: int, *shape: int, uniform: bool = False, dtype=torch.float32) -> Tensor:
        """Draws of `shape` for this press: N(0, 1), or uniform on [0, 1).  Treat the tensor as read-only."""
        key = (integer("press", press, low=0), *shape, uniform, dtype)
        with self._lock:
            if key not in self._kept:
                words = [self.seed, press, int(uniform), *shape]
                seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
                private = torch.Generator().manual_seed(seed)
                draw = torch.rand if uniform else torch.randn
                self._kept[key] = draw(*shape, generator=private, dtype=dtype).to(self.device)
                if len(self._kept) > 32:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def log_normal(z) -> float:
    """log N(z; 0, I) in nats; z: any number of coordinates.

    >>> round(log_normal([0.0, 0.0]), 4)
    -1.8379
    """
    z = _flat(z)
    return float(-0.5 * (z @ z + len(z) * LOG_2PI))


def shell(dimensions: int, mass: float = 0.9) -> tuple[float, float, float]:
    """(low, median, high) radius of a standard normal: the central interval of the chi law that holds `mass` of it.

    In many dimensions the shell is thin and far from the origin, though the density is highest there.

    >>> [round(r, 2) for r in shell(2)], [round(r, 1) for r in shell(100)]
    ([0.32, 1.18, 2.45], [8.8, 10.0, 11.2])
    """
    from scipy.special import gammaincinv  # each page would wait for its import, and longer for that of scipy.stats

    integer("dimensions", dimensions)
    if not 0 < mass < 1:
        raise bad("a mass between 0 and 1", mass, "mass=0.9")
    low, median, high = np.sqrt(2 * gammaincinv(dimensions / 2, [(1 - mass) / 2, 0.5, (1 + mass) / 2]))
    return float(low), float(median), float(high)


def where_is(z, mass: float = 0.9, name: str = "z") -> str:
    """Read-out of a latent under a standard normal prior: log density, radius, and the typical radius.

    >>> where_is([3.0, 0.0])
    'log p(z) = −6.34 nats · radius 3.00 · 90\xa0% of the prior lies between 0.32 and 2.45'
    """
    z = _flat(z)
    low, _, high = shell(len(z), mass)
    radius = float(np.linalg.norm(z))
    prior = f"{100 * mass:.3g}\u00a0% of the prior lies between {low:.2f} and {high:.2f}"
    return f"log p({name}) = {minus(f'{log_normal(z):.2f}')} nats · radius {radius:.2f} · {prior}"


def minus(words: str) -> str:
    """Words in which negative numbers carry a minus sign, as the sliders write them, not a hyphen.

    >>> minus("from -2.5 to 3-4, two-sample, 1e-05, N(-1, 2)")
    'from −2.5 to 3-4, two-sample, 1e-05, N(−1, 2)'
    """
    return re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "−", words)


def atypical(z, mass: float = 0.99) -> str:
    """A warning when z lies outside the shell that holds `mass` of the prior, else ""."""
    z = _flat(z)
    low, _, high = shell(len(z), mass)
    radius = float(np.linalg.norm(z))
    if radius > high:
        return f"far out: only {50 * (1 - mass):.2g} % of the prior's draws lie beyond radius {high:.1f}"
    if radius < low and len(z) > 2:  # in a plane the middle is where the data is
        return f"too central: only {50 * (1 - mass):.2g} % of the prior's draws lie within radius {low:.1f}"
    return ""


def _flat(z) -> np.ndarray:
    z = z.detach().cpu().numpy() if hasattr(z, "detach") else z
    z = np.asarray(z, dtype=float).reshape(-1)
    if len(z) == 0 or not np.isfinite(z).all():
        raise bad("a finite latent", z, "z=(0.0, 0.0)")
    return z
