r"""Numbers that papers print beside pictures, and which can all be fooled (lectures 6 and 15 show how).

frechet, kernel, sliced          how far two samples are apart, in pixels or in `learn_features`
neighbors, modes                 who lies near whom: precision, recall, density, coverage; known modes
copies                           who is a copy of a training example
nats, bits                       what a model says of held-out data: exactly, as a bound, or not at all
estimate, band                   the standard error of any of them; what it says of data beside data
"""

from gdm_core.metrics.error import Band, Estimate, band, estimate
from gdm_core.metrics.features import Features, learn_features
from gdm_core.metrics.gaussians import frechet, frechet_of_moments, kernel
from gdm_core.metrics.likelihood import Nats, bits, levels_of, nats, spread
from gdm_core.metrics.lines import ascending, sliced, spread_directions
from gdm_core.metrics.near import Copies, Modes, Neighbors, copies, coverage_if_equal, modes, neighbors

__all__ = [
    "Band",
    "Copies",
    "Estimate",
    "Features",
    "Modes",
    "Nats",
    "Neighbors",
    "ascending",
    "band",
    "bits",
    "copies",
    "coverage_if_equal",
    "estimate",
    "frechet",
    "frechet_of_moments",
    "kernel",
    "learn_features",
    "levels_of",
    "modes",
    "nats",
    "neighbors",
    "sliced",
    "spread",
    "spread_directions",
]
