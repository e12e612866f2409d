r"""The smallest games that go round: f(x, y) = x y, and a GAN of two numbers.

Dirac-GAN (Mescheder, Geiger & Nowozin, 2018): the data are 0, the generator's samples are theta, D(x) = psi x.

    critic, up      log s(D(0)) + log(1 - s(D(theta))) = -log 2 - softplus(psi theta)
    generator       down -softplus(psi theta) (minimax), or down softplus(-psi theta) (non-saturating)
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.adversarial import LOSSES, slopes
from gdm_core.games.game import Game, nothing, two_losses
from gdm_core.games.linear import Linear
from gdm_core.validate import bad, choice

KINDS = ("minimax", "non-saturating", "Wasserstein", "hinge")


def bilinear(start=(1.0, 0.0), gamma: float = 0.0, draw: Callable[[], tuple] = nothing) -> Linear:
    """min over x, max over y of x y - gamma y^2 / 2, whose pull is v = (-y, x - gamma y), in float64.

    Args:
        start: (x, y), or many, (..., 2); the game is on their device.
        gamma: the penalty that R1 is in this game.
        draw: a batch (xi,), a factor on v; in `bilinear` without gamma that is f = xi x y.
    """
    start = torch.as_tensor(start, dtype=torch.float64)
    return Linear(start.new_tensor([[0.0, -1.0], [1.0, -_gamma(gamma)]]), (1, 1), start, draw)


def dirac(kind: str = "minimax", start=(1.0, 1.0), gamma: float = 0.0, target: float = 0.0, noise: float = 0.0) -> Game:
    """The Dirac-GAN, w = (theta, psi), in float64; the generator moves first.

    Args:
        kind: of the losses, one of `KINDS`.
        start: (theta, psi).
        gamma, target: the critic pays gamma (|dD/dx| - target)^2 / 2: R1 (Mescheder et al., 2018) with target 0, the
            gradient penalty of Gulrajani et al. (2017) with target 1.
        noise: standard deviation of Gaussian noise on data and samples (Soenderby et al., 2017), by quadrature.
    """
    choice("kind", kind, KINDS)
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(40))
    e, p = (noise * nodes, weights / weights.sum()) if noise else (torch.zeros(1).double(), torch.ones(1).double())
    cost = LOSSES[kind]
    gamma = _gamma(gamma)

    def critic_loss(theta: Tensor, psi: Tensor) -> Tensor:
        told = (p * cost.critic(psi * e, psi * (theta + e))).sum()
        return told + gamma / 2 * (psi**2 - 2 * target * psi.abs() + target**2)

    def generator_loss(theta: Tensor, psi: Tensor) -> Tensor:
        return (p * cost.generator(psi * e, psi * (theta + e))).sum()

    theta, psi = torch.as_tensor(start, dtype=torch.float64)
    return two_losses(generator_loss, critic_loss, theta, psi)


def _r1_by(penalty, ours, critic, x, gamma):
    """Theirs is of flat examples and one number each."""
    x, gamma = x.detach(), _gamma(gamma)
    return penalty(lambda flat: critic(flat.reshape(x.shape)).flatten(), x.flatten(1), gamma)


@yours.replaceable("lab07.penalty", _r1_by)
def r1(critic: Callable[[Tensor], Tensor], x: Tensor, gamma: float) -> Tensor:
    """gamma / 2 times the mean of |grad D(x)|^2 over data x (Mescheder, Geiger & Nowozin, 2018, eq. 9), ().

    Args:
        critic: (B, *event) -> (B,) or (B, 1), each row from its own example alone.
        x: (B, *event), data; samples make it R2.
        gamma: zero or more.
    """
    x = x.detach().requires_grad_()
    return _gamma(gamma) / 2 * slopes(critic(x), x).square().mean()


def _gamma(gamma: float) -> float:
    if not isinstance(gamma, int | float) or not 0 <= gamma < math.inf:
        raise bad("gamma >= 0", gamma, "gamma=1.0")
    return float(gamma)
