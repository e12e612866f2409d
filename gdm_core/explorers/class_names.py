"""Names of classes over a plane of codes: each in the middle of its own, none over another."""

import numpy as np
from torch import Tensor

from gdm_core.widgets import Text

ROOM = 0.15  # of the plane's half width that a name needs


def names(codes: Tensor, labels: Tensor, limit: float) -> Text:
    """The number of each class at the median of its codes, moved aside where names would collide.

    Args:
        codes: (N, 2).
        labels: (N,) integers.
        limit: half the width of the plane.
    """
    kinds = labels.unique()
    middles = [codes[labels == k].median(0).values.clamp(-limit, limit).tolist() for k in kinds]
    edge = limit * (1 - ROOM / 2)
    places = np.clip(apart(np.array(middles), ROOM * limit), -edge, edge)
    return Text(places, [str(k) for k in kinds.tolist()], size=19)


def apart(places: np.ndarray, least: float) -> np.ndarray:
    """Places pushed away from each other until all are `least` apart, (K, 2) -> (K, 2)."""
    turn = 2.4 * np.arange(len(places))
    places = places + 1e-3 * least * np.stack([np.cos(turn), np.sin(turn)], 1)  # what is in one place parts as well
    for _ in range(300):
        away = places[:, None] - places
        distance = np.hypot(*away.T).T
        np.fill_diagonal(distance, np.inf)
        lack = np.clip(least - distance, 0, None)
        if lack.max() < 0.01 * least:
            break
        places = places + 0.5 * (away * (lack / distance)[..., None]).sum(1)
    return places
