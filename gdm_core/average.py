r"""An average of the weights, which a model wears between two steps.

    mean_n = sum_k decay^(n - k) w_k / sum_k decay^(n - k),     k = 1 ... n                   w_k: weights after step k

The weights of the last 1 / (1 - decay) steps, about; none before the first step count.  Averages smooth what a game or
a noisy loss does to the last of them (Polyak & Juditsky, 1992; Yazici et al., 2019).
"""

import torch
from torch import nn

from gdm_core.validate import bad


class Average:
    """Whoever looks at the model between two steps sees the average; the weights that learn come back for the step.

    What is written into the weights between two steps goes to the average alone, and fades.

    Args:
        model: its trainable parameters are averaged, not its buffers.
        decay: in (0, 1); None for no average, and then nothing here does anything.

    Attributes:
        mean, learning: the two sets of weights, one tensor each for every parameter; [] without an average.
    """

    def __init__(self, model: nn.Module, decay: float | None):
        if decay is not None and not 0 < decay < 1:
            raise bad("average between 0 and 1", decay, "average=0.999")
        self.decay = decay
        self.parameters = [] if decay is None else [p for p in model.parameters() if p.requires_grad]
        self.mean = [p.detach() for p in self.parameters]
        self.learning = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Count the weights after `step`, from 1 on."""
        if self.mean:
            share = (1 - self.decay) / (1 - self.decay**step)
            torch._foreach_lerp_(self.mean, self.learning, share)

    def show(self, mean: bool) -> None:
        """Put the average, or the weights that learn, into the model; nothing is copied."""
        for p, value in zip(self.parameters, self.mean if mean else self.learning):
            p.data = value
