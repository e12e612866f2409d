"""What a model may offer, and in which units.

`x` is a batch `(B, *event)`.  Everything called `log_prob`, `elbo` or `energy` is per example, `(B,)`, in nats, summed
over the event; `loss` is the batch mean, `()`, in the same units, lower is better, or its docstring says that it is no
likelihood.  Anything random crosses an interface as a `torch.distributions` object, `Independent` over the event.

A model is an `nn.Module` with `event_shape`, `sample` and whichever of these it can honestly offer; nobody inherits
from a protocol.  `tests/test_contracts.py` finds every file in `models/` and checks what its `demo()` claims.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torch import Size, Tensor
from torch.distributions import Distribution


@runtime_checkable
class Sampler(Protocol):
    """Draws new data."""

    event_shape: Size

    def sample(self, n: int) -> Tensor: ...  # (n, *event)


@runtime_checkable
class HasLoss(Protocol):
    """Can be trained by gradient: `train.fit` needs no more."""

    def loss(self, x: Tensor) -> Tensor: ...  # ()


@runtime_checkable
class HasDensity(Protocol):
    """Knows log p(x) exactly."""

    def log_prob(self, x: Tensor) -> Tensor: ...  # (B,) nats


@runtime_checkable
class HasLatent(Protocol):
    """p(x, z) = p(z) p(x | z), and a posterior q(z | x), exact where that is known."""

    def prior(self) -> Distribution: ...  # over z

    def decode(self, z: Tensor) -> Distribution: ...  # p(x | z)

    def encode(self, x: Tensor) -> Distribution: ...  # q(z | x)


@runtime_checkable
class HasEM(Protocol):
    """Expectation maximization as a generator: one log-likelihood (nats per example, before the step) an iteration."""

    def em(self, x: Tensor, iterations: int) -> Iterator[float]: ...


@runtime_checkable
class Adversarial(Protocol):
    """Two players, two losses; neither is a likelihood."""

    def critic_loss(self, x: Tensor) -> Tensor: ...  # ()

    def generator_loss(self, n: int) -> Tensor: ...  # ()
