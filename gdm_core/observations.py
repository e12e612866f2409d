r"""What is seen of a picture through a linear map: y = A x + std noise, and the exact p(x | y) where there is one.

    Gaussian       x ~ N(m, S):   N(m + G (y - A m),  S - G A S),   G = S A^T (A S A^T + std^2 I)^-1
    mixture        the same in each component, and  p(k | y) ~ w_k N(y; A m_k, A S_k A^T + std^2 I)
    finite set     p(n | y) ~ exp(-|y - A x_n|^2 / (2 std^2))

The first is equation 2.116 of Bishop (2006).  PPCA is the Gaussian with S = W W^T + var I.  x is (B, *event), and y is
(*seen) for all of them or (B, *seen) for each.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Size, Tensor

from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer


@dataclass(frozen=True, eq=False)
class Sight:
    """A linear map A from pictures to what is seen of them.

    Attributes:
        event_shape: of x.
        seen: shape of what is seen of one x.
        apply: A, (B, *event) -> (B, *seen).
        gram: A A^T: one number g for g I, or a matrix (m, m) over flattened `seen`.
        kept: (*event) booleans where A only leaves entries out (`mask`), else None.
    """

    event_shape: Size
    seen: Size
    apply: Callable[[Tensor], Tensor]
    gram: Tensor
    kept: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """A x."""
        return self.apply(batch(x, self.event_shape))

    def matrix(self) -> Tensor:
        """A as (m, d), float64: for small events."""
        d = self.event_shape.numel()
        return self.apply(torch.eye(d, dtype=torch.float64).reshape(d, *self.event_shape)).flatten(1).T

    def measure(self, x: Tensor, std: float = 0.0, noise: Tensor | None = None) -> Tensor:
        """y of each x, with noise (B, *seen) that follows `torch.manual_seed` unless given."""
        y = self(x)
        return y + std * (torch.randn_like(y) if noise is None else noise) if std else y


def mask(kept: Tensor) -> Sight:
    """Only the entries where `kept` (*event), booleans, is True: y (B, m)."""
    if not isinstance(kept, Tensor) or kept.dtype != torch.bool or not kept.any() or kept.all():
        got = f"{kept.dtype}, {int(kept.bool().sum())} of {kept.numel()}" if isinstance(kept, Tensor) else kept
        raise bad("a mask of booleans, some True (seen) and some False (hole)", got, "kept = torch.rand(8, 8) < 0.5")
    places = kept.flatten().nonzero().flatten()
    look = lambda x: x.flatten(1)[:, places.to(x.device)]
    return Sight(kept.shape, Size([len(places)]), look, torch.ones(()), kept)


def pooled(event_shape: Iterable[int], side: int) -> Sight:
    """Means of `side` x `side` pixels: (C, H, W) -> (C, H / side, W / side)."""
    event = _picture(event_shape)
    c, h, w = event
    if h % integer("side", side) or w % side:
        raise bad(f"a side that divides {h} and {w}", side, "side=2")
    small = Size([c, h // side, w // side])
    look = lambda x: torch.nn.functional.avg_pool2d(x, side)
    return Sight(event, small, look, torch.tensor(1 / side**2))


def gray(event_shape: Iterable[int], weights: Iterable[float] = (0.299, 0.587, 0.114)) -> Sight:
    """One number in place of red, green and blue: (3, H, W) -> (1, H, W); weights of Rec. 601 unless given."""
    event, w = _picture(event_shape), torch.tensor(list(weights))
    if event[0] != 3 or w.shape != (3,):
        raise bad("pictures (3, H, W) and three weights", (tuple(event), tuple(w.shape)), "event_shape=(3, 64, 64)")
    look = lambda x: (x * w.to(x)[:, None, None]).sum(1, keepdim=True)
    return Sight(event, Size([1, *event[1:]]), look, w.square().sum())


def linear(A: Tensor) -> Sight:
    """Any A (m, d), of events (d,)."""
    if not isinstance(A, Tensor) or A.ndim != 2:
        raise bad("A (m, d)", tuple(getattr(A, "shape", ())), "torch.eye(2)[:1]")
    return Sight(Size([A.shape[1]]), Size([A.shape[0]]), lambda x: x @ A.to(x).T, A @ A.T)


@dataclass(frozen=True, eq=False)
class Observation:
    """y = A x + std noise as it was seen.

    Attributes:
        sight: A.
        y: (*seen), or (B, *seen) for a picture each.
        std: of the noise, >= 0; what divides by it wants more.

    Raises:
        ValueError: y of another shape than A makes, a std below 0.
    """

    sight: Sight
    y: Tensor
    std: float = 0.0

    def __post_init__(self):
        seen, y = self.sight.seen, self.y
        shape = tuple(getattr(y, "shape", ()))
        if not isinstance(y, Tensor) or shape[len(shape) - len(seen) :] != tuple(seen) or len(shape) > len(seen) + 1:
            wanted = ", ".join(map(str, seen))
            raise bad(f"y of shape ({wanted}) or (B, {wanted})", shape or type(y).__name__, "sight(x)")
        if not 0 <= self.std < math.inf:
            raise bad("a std >= 0 of the observation's noise", self.std, "std=0.1")

    def missed(self, x: Tensor) -> Tensor:
        """y - A x, (B, *seen)."""
        seen = self.sight(x)
        if self.y.ndim == seen.ndim and len(self.y) != len(x):
            raise bad(f"y for {len(x)} pictures", len(self.y), "y.repeat_interleave(draws, 0)")
        return self.y.to(x) - seen

    def log_prob(self, x: Tensor, spread: Tensor | float = 0.0) -> Tensor:
        """log N(y; A x, spread A A^T + std^2 I), (B,) nats: of y, were x the mean of a round cloud of that variance.

        Args:
            x: (B, *event).
            spread: r^2, () or (B,).
        """
        away, gram = self.missed(x).flatten(1), self.sight.gram.to(x)
        r2, m = torch.as_tensor(spread).to(x), away.shape[1]
        if gram.ndim == 0:
            var = r2 * gram + self.std**2
            _some(var)
            return -(away.square().sum(1) / var + m * (var.log() + LOG_2PI)) / 2
        inner = r2.reshape(-1, 1, 1) * gram + self.std**2 * torch.eye(m).to(x)  # (1, m, m) or (B, m, m)
        tril, info = torch.linalg.cholesky_ex(inner)
        _some(1 - info)
        white = torch.linalg.solve_triangular(tril, away[..., None], upper=False)[..., 0]
        log_det = tril.diagonal(dim1=1, dim2=2).log().sum(1)
        return -(white.square().sum(1) + m * LOG_2PI) / 2 - log_det


def gaussian(mean: Tensor, covariance: Tensor, seen: Observation) -> tuple[Tensor, Tensor]:
    """p(x | y) of x ~ N(mean, covariance).

    Args:
        mean: (*event).
        covariance: (d, d).
        seen: with y (*seen) or (B, *seen).

    Returns:
        mean (*event) or (B, *event), and covariance (d, d), float64.
    """
    m, S = mean.double().flatten(), covariance.double()
    A = seen.sight.matrix().to(m)
    if S.shape != (len(m), len(m)) or A.shape[1] != len(m):
        raise bad(f"mean and covariance of {A.shape[1]} entries", (tuple(mean.shape), tuple(S.shape)), "torch.cov(x.T)")
    gain, _ = _gain(A, S, seen.std)
    y = seen.y.to(m).flatten(-len(seen.sight.seen))
    told = m + (y - A @ m) @ gain.T
    return told.reshape(*y.shape[:-1], *mean.shape), S - gain @ A @ S


def mixture(means: Tensor, covariances: Tensor, weights: Tensor, seen: Observation) -> tuple[Tensor, Tensor, Tensor]:
    """p(x | y) of x ~ sum_k w_k N(m_k, S_k), for one y.

    Args:
        means: (K, *event).
        covariances: (K, d, d), or (K,) variances v_k for v_k I.
        weights: (K,), up to a factor.
        seen: with y (*seen).

    Returns:
        means (K, *event), covariances (K, d, d) and weights (K,), float64.
    """
    centers = means.double().flatten(1)
    A, y, one = (t.to(centers) for t in (seen.sight.matrix(), seen.y.flatten(), torch.eye(centers.shape[1])))
    log_w, told, spread = [], [], []
    for m, S, w in zip(centers, covariances.double(), weights.to(centers)):
        S = S * one if S.ndim == 0 else S
        gain, tril = _gain(A, S, seen.std)
        white = torch.linalg.solve_triangular(tril, (y - A @ m)[:, None], upper=False)
        log_w.append(w.log() - white.square().sum() / 2 - tril.diagonal().log().sum())
        told.append(m + gain @ (y - A @ m))
        spread.append(S - gain @ A @ S)
    return torch.stack(told).reshape(means.shape), torch.stack(spread), torch.stack(log_w).softmax(0)


def shares(x: Tensor, seen: Observation) -> Tensor:
    """p(n | y), (N,), of the finite set x (N, *event), each as likely as the others, for one y and a std above 0."""
    return seen.log_prob(x).softmax(0)


def _gain(A: Tensor, S: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """S A^T (A S A^T + std^2 I)^-1 and the Cholesky factor of what is inverted."""
    tril = torch.linalg.cholesky(A @ S @ A.T + std**2 * torch.eye(len(A)).to(S))
    return torch.cholesky_solve(A @ S, tril).T, tril


def _some(variance: Tensor) -> None:
    if not (variance > 0).all():
        raise bad("an observation with noise", "std 0", "Observation(sight, y, std=0.1)")


def _picture(event_shape: Iterable[int]) -> Size:
    event = Size(event_shape)
    if len(event) != 3:
        raise bad("pictures (C, H, W)", tuple(event), "event_shape=(1, 28, 28)")
    return event
