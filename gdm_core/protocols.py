"""What a model may offer, and in which units.

`x` is a batch `(B, *event)`, `y` its labels `(B,)` where the model is conditional, always the last argument.
Everything called `log_prob`, `elbo` or `energy` is per example, `(B,)`, in nats, summed over the event; `loss` is the
batch mean, `()`, in the same units, lower is better, or its docstring says that it is no likelihood.  Anything random
crosses an interface as a `torch.distributions` object, `Independent` over the event.

A model is an `nn.Module` with `event_shape`, `sample` and whichever of these it can honestly offer; nobody inherits
from a protocol.  Two attributes say more: `labels`, the number of classes of a conditional model (0 for none), and
`values` `(K,)`, the numbers that an entry of x may be where events are discrete, whose probabilities then sum to 1
(None where they are not).

`tests/test_contracts.py` finds every file in `models/` and checks what its `demos()` claim: name -> small model, one
for each variant.  A frozen copy, whose parameters need no gradient, offers the same.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from torch import Size, Tensor, nn
from torch.distributions import Distribution


@runtime_checkable
class HasSamples(Protocol):
    """Draws new data."""

    event_shape: Size

    def sample(self, n: int) -> Tensor: ...  # (n, *event); sample(n, y) of a conditional model


@runtime_checkable
class HasLoss(Protocol):
    """Can be trained by gradient: `train.fit` needs no more."""

    def loss(self, x: Tensor) -> Tensor: ...  # ()


@runtime_checkable
class HasPlayers(Protocol):
    """A game: each player moves its own parameters down its own loss, `{name}_loss(*batch) -> ()`, no likelihood.

    `train.fit` lets them move in the order of `players()`.  Those of a GAN are the "critic", whose loss leaves the
    generator alone (its samples are detached), and the "generator", which takes from the batch how many to draw and y.
    """

    def players(self) -> dict[str, Iterable[nn.Parameter]]: ...  # each trainable parameter belongs to one


@runtime_checkable
class HasMap(Protocol):
    """x = G(z): a map from noise without a density around it, so it is not called `decode`."""

    def prior(self) -> Distribution: ...  # over z

    def generate(self, z: Tensor) -> Tensor: ...  # (..., *z) -> (..., *event); generate(z, y)


@runtime_checkable
class HasDensity(Protocol):
    """Knows log p(x) exactly."""

    def log_prob(self, x: Tensor) -> Tensor: ...  # (B,) nats


@runtime_checkable
class HasEnergy(Protocol):
    """Knows log p(x) = -energy(x) - log Z up to the constant."""

    def energy(self, x: Tensor) -> Tensor: ...  # (B,) nats


@runtime_checkable
class HasScore(Protocol):
    """Knows the gradient of log p(x) of the data: there is no time in it."""

    def score(self, x: Tensor) -> Tensor: ...  # (B, *event) nats a unit of x


@runtime_checkable
class HasDenoiser(Protocol):
    """Knows the mean of the data behind x_t = alpha_t x + sigma_t noise, t from 0 (data) to 1 (noise).

    Noise, score and velocity follow from it: `gdm_core.denoising`.
    """

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]: ...  # alpha_t, sigma_t of the shape of t

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor: ...  # E[x | x_t], (B, *event), t: (B,); denoise(x_t, t, y)


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
class HasSavepoint(Protocol):
    """A part of a model with buffers too large to be copied at every training step, of which each changes a few rows.

    `savepoint` is called as a step begins; the function that it returns is called if the step fails, and puts back what
    changed since.  The module's own buffers (not those of its parts) are then left to it.
    """

    def savepoint(self) -> Callable[[], None]: ...
