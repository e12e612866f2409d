r"""What critic and generator pay: losses of logits on data and on samples, and penalties on the critic's slope.

D(x) is the critic's logit at an example of the data, D(G(z)) that at a sample, s the logistic function.  Both players
go down what they pay.

                     critic                                     generator
    minimax          -log s(D(x)) - log(1 - s(D(G(z))))         log(1 - s(D(G(z))))     (Goodfellow et al., 2014)
    non-saturating   the same                                   -log s(D(G(z)))         (the same, section 3)
    Wasserstein      D(G(z)) - D(x)                             -D(G(z))                (Arjovsky et al., 2017)
    least squares    ((D(x) - 1)^2 + D(G(z))^2) / 2             (D(G(z)) - 1)^2 / 2     (Mao et al., 2017)
    hinge            max(0, 1 - D(x)) + max(0, 1 + D(G(z)))     -D(G(z))                (Lim & Ye, 2017)
    relativistic     -log s(D(x) - D(G(z)))                     -log s(D(G(z)) - D(x))  (Jolicoeur-Martineau, 2019)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


class Loss(NamedTuple):
    """Both take logits on data and on samples, (B,) each, and give what each pair costs, (B,)."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    differences: bool = False  # whether a constant added to all logits changes nothing
    pairs: bool = False  # whether the generator's depends on the data


LOSSES = {
    "minimax": Loss(lambda x, g: softplus(-x) + softplus(g), lambda x, g: -softplus(g)),
    "non-saturating": Loss(lambda x, g: softplus(-x) + softplus(g), lambda x, g: softplus(-g)),
    "Wasserstein": Loss(lambda x, g: g - x, lambda x, g: -g, differences=True),
    "least squares": Loss(lambda x, g: ((x - 1) ** 2 + g**2) / 2, lambda x, g: (g - 1) ** 2 / 2),
    "hinge": Loss(lambda x, g: relu(1 - x) + relu(1 + g), lambda x, g: -g),
    "relativistic": Loss(lambda x, g: softplus(g - x), lambda x, g: softplus(x - g), differences=True, pairs=True),
}


def slopes(logits: Tensor, x: Tensor) -> Tensor:
    """|dD / dx| at each example, (B,), itself with a gradient.

    Args:
        logits: (B,), each computed from its own row of x alone.
        x: (B, *event), with requires_grad.
    """
    (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return torch.linalg.vector_norm(grad.flatten(1), dim=1)
