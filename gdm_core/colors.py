"""One color for one thing in the whole course (Okabe & Ito, 2008: safe for color-blind readers)."""

import numpy as np

DATA = "#3c4654"  # slate: what is observed
LATENT = "#0072B2"  # blue: z
MODEL = "#D55E00"  # vermilion: what was learned
EXACT = "#009E73"  # green: the truth
NOISE = "#8a8f98"  # gray: epsilon
FAMILY = "#CC79A7"  # pink: the best q of a family, found by a search for one example
ACCENT = "#E69F00"  # orange: what to look at
ENCODER = "#56B4E9"  # sky blue: what an encoder answers

CYCLE = (LATENT, MODEL, EXACT, FAMILY, ACCENT, ENCODER, DATA, NOISE)
COMPONENTS = ("#7B4FA3", "#C79A00", "#2A9DAF", "#8C564B", "#B5B5D8", "#5C6B3C")  # of a mixture: none has a role above
FIELD = "cividis"  # densities and other scalar fields
DIVERGING = "PuOr"  # signed fields

# Where the environment has it, as in a replay, pictures are drawn small: nobody sees any.
DRAFT = "GDM_DRAFT"


def rgb(*names: str) -> np.ndarray:
    """Colors "#rrggbb" as red, green and blue in [0, 1], (N, 3).

    >>> rgb("#ff0000", "#000000").tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return np.array([[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in names])


CLASSES = rgb(*CYCLE, "#F0E442", "#8C510A")  # (10, 3), one color a class
