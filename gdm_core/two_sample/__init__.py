r"""Are two samples of one distribution?  H0: p = q, asked of x ~ p, (N, *event), and y ~ q, (M, *event).

    means, energy, ks, mmd(...)            statistics: 0 or about 0 under H0, large where p and q differ
    witness                                where they differ
    learn_classifier, learn_kernel         statistics that are learned, on one half of the data
    test, test_held_out                    a p-value by permutations, valid for every N and M
    interval, power                        how sure one is of the statistic; how often the test sees a difference

>>> import torch
>>> from gdm_core import two_sample
>>> _ = torch.manual_seed(0)
>>> x, y = torch.randn(200, 2), torch.randn(200, 2) + torch.tensor([0.5, 0.0])
>>> two_sample.test(x, y, two_sample.mmd()).p <= 0.01
True
"""

from gdm_core.two_sample.learned import Classifier, DeepKernel, learn_classifier, learn_kernel, test_held_out
from gdm_core.two_sample.permutation import Outcome, labelings, test
from gdm_core.two_sample.statistics import Statistic, energy, ks, means, mmd, witness
from gdm_core.two_sample.sure import Power, interval, power

__all__ = [
    "Classifier",
    "DeepKernel",
    "Outcome",
    "Power",
    "Statistic",
    "energy",
    "interval",
    "ks",
    "labelings",
    "learn_classifier",
    "learn_kernel",
    "means",
    "mmd",
    "power",
    "test",
    "test_held_out",
    "witness",
]
