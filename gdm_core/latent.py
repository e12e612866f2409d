r"""What one does in a latent space.

    interpolate, arithmetic, traverse            walk
    attribute_direction, remove                  find the direction of an attribute, free it from another's
    fit_map                                      carry codes from one model's space into another's

Codes are `(..., latents)`, one row an example.  Models stay outside: these are functions of codes.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.inference import Mean, mean_and_error
from gdm_core.validate import bad, choice, integer

# Walks


def _walk_by(slerp, ours, a, b, t=9, *, spherical=False):
    """Theirs is of two codes (latents,); of many, pair by pair."""
    path = ours(a, b, t, spherical=spherical)
    if not spherical:
        return path
    t = t if isinstance(t, Tensor) else torch.linspace(0, 1, t)
    pairs = zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))
    return torch.stack([slerp(*pair, t.to(a).flatten()) for pair in pairs], 1).reshape(path.shape)


@yours.replaceable("lab05.slerp", _walk_by)
def interpolate(a: Tensor, b: Tensor, t: Tensor | int = 9, *, spherical: bool = False) -> Tensor:
    """Path from `a` to `b`, both ends included exactly.

    Args:
        a, b: (..., latents).
        t: (T,) positions, 0 is `a` and 1 is `b`; or how many, equally spaced.
        spherical: turn at constant angular speed (Shoemake, 1985): in many dimensions a normal prior lives near a
            sphere of radius sqrt(latents), and a straight line between two draws cuts through its empty inside.

    Returns:
        (T, ..., latents).

    Raises:
        ValueError: opposite vectors in spherical mode, where no shortest arc is singled out; a zero vector.
    """
    if a.shape != b.shape:
        raise bad("two codes of one shape", (tuple(a.shape), tuple(b.shape)), "one code each, (latents,)")
    if not isinstance(t, Tensor):
        t = torch.linspace(0, 1, integer("t", t, 2), dtype=a.dtype, device=a.device)
    t = t.to(a).reshape(-1, *[1] * a.ndim)
    if not spherical:
        return (1 - t) * a + t * b
    length = a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True)
    if (length == 0).any():
        raise bad("non-zero codes for a spherical path", "a zero vector", "spherical=False")
    # atan2 keeps the angle accurate near 0 and pi, where acos of the cosine loses half the digits
    u, v = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    if (angle > math.pi - torch.finfo(angle.dtype).eps ** 0.5).any():
        raise bad("codes that are not opposite", "an angle of pi", "a third code between them, or spherical=False")
    sine, flat = angle.sin(), angle < 1e-4
    safe = torch.where(flat, torch.ones_like(sine), sine)
    first = torch.where(flat, 1 - t, torch.sin((1 - t) * angle) / safe)
    second = torch.where(flat, t, torch.sin(t * angle) / safe)
    return first * a + second * b


def arithmetic(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a - b + c: what sets `a` apart from `b`, applied to `c` (Radford, Metz & Chintala, 2016, section 6.3).

    Average several codes of a kind first; one alone carries its own style along.
    """
    return a - b + c


def traverse(z: Tensor, first: int, second: int, values: Tensor) -> Tensor:
    """A board of codes: latent `first` runs down the rows, `second` along the columns, the rest stays as in `z`.

    Args:
        z: (latents,).
        values: (V,).

    Returns:
        (V, V, latents).
    """
    if z.ndim != 1:
        raise bad("one code (latents,)", tuple(z.shape), "z[0]")
    for name, i in (("first", first), ("second", second)):
        integer(name, i, 0, len(z) - 1)
    if first == second:
        raise bad("two different latents", (first, second), "second=first + 1")
    board = z.expand(len(values), len(values), -1).clone()
    board[..., first] = values.to(z)[:, None]
    board[..., second] = values.to(z)[None, :]
    return board


# Directions


@dataclass(frozen=True, eq=False)
class Direction:
    """A hyperplane that separates codes with an attribute from those without.

    Attributes:
        vector: (latents,), unit length, points to "with".
        offset: signed distance of the hyperplane from the origin along `vector`.
        accuracy: of the classifier on examples it was not fitted to, mean of five folds.
    """

    vector: Tensor
    offset: float
    accuracy: float

    def distance(self, z: Tensor) -> Tensor:
        """Signed distance from the hyperplane, (..., latents) -> (...)."""
        return z @ self.vector - self.offset

    def move(self, z: Tensor, by: float | Tensor) -> Tensor:
        """`z` moved along the direction; `by` in units of z."""
        return z + torch.as_tensor(by, dtype=z.dtype, device=z.device)[..., None] * self.vector


def attribute_direction(z: Tensor, attribute: Tensor) -> Direction:
    """Normal of a logistic-regression classifier (Shen et al., 2020, section 3.1, with a linear SVM).

    The classifier has scikit-learn's penalty (C = 1); for codes of about unit size and hundreds of examples it matters
    little.

    Args:
        z: (N, latents).
        attribute: (N,) bool, or 0 and 1.

    Raises:
        ValueError: other shapes or values, or fewer than 5 examples on a side.
    """
    from sklearn.linear_model import LogisticRegression  # which most who need this module do not
    from sklearn.model_selection import cross_val_score

    codes, values = z.detach().cpu().numpy(), attribute.detach().cpu().numpy()
    if values.shape != (len(codes),) or not np.isin(values, (0, 1)).all():
        found = f"shape {values.shape}, values such as {np.unique(values)[:3]}"
        raise bad(f"({len(codes)},) attributes of 0 or 1", found, "factor > factor.median()")
    labels = values.astype(int)
    if np.bincount(labels, minlength=2).min() < 5:
        raise bad(
            "at least 5 examples with and 5 without", np.bincount(labels, minlength=2), "a threshold at the median"
        )
    classifier = LogisticRegression(max_iter=1000)
    accuracy = cross_val_score(classifier, codes, labels, cv=5).mean()
    classifier.fit(codes, labels)
    weight, size = classifier.coef_[0], np.linalg.norm(classifier.coef_[0])
    vector = torch.as_tensor(weight / size, dtype=z.dtype, device=z.device)
    return Direction(vector, float(-classifier.intercept_[0] / size), float(accuracy))


def _remove_by(without, ours, direction, *others):
    ours(direction, *others)  # for its errors
    rest = without(direction, torch.stack(others))
    return rest / rest.norm()


@yours.replaceable("lab05.without", _remove_by)
def remove(direction: Tensor, *others: Tensor) -> Tensor:
    """`direction` projected on the orthogonal complement of `others`, unit length: (latents,).

    Moving along it leaves `z @ other` as it was, for each of the others (Shen et al., 2020, section 3.2).

    Raises:
        ValueError: no others, or nothing is left of the direction.
    """
    if not others:
        raise bad("a direction to be free of", "none", "remove(direction, other)")
    U, size, _ = torch.linalg.svd(torch.stack(others, 1), full_matrices=False)  # others may depend on each other
    basis = U[:, size > size.max() * max(U.shape) * torch.finfo(size.dtype).eps]
    rest = direction - basis @ (basis.T @ direction)
    if rest.norm() < 1e-4 * direction.norm():
        raise bad("a direction outside the span of the others", "one inside it", "fewer directions to remove")
    return rest / rest.norm()


# Two spaces


@dataclass(frozen=True, eq=False)
class LinearMap:
    """z -> weight z + bias.  weight: (targets, sources), bias: (targets,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """(..., sources) -> (..., targets)."""
        return z @ self.weight.T + self.bias

    def error(self, source: Tensor, target: Tensor) -> Mean:
        """Squared distance to `target`, as a fraction of the target's spread: 0 is perfect, 1 is no better than the
        mean.  Judge it on points that were not in the support set.  source: (N, sources), target: (N, targets)."""
        spread = (target - target.mean(0)).square().sum(1).mean()
        return mean_and_error((self(source) - target).square().sum(1) / spread)


def fit_map(source: Tensor, target: Tensor, kind: str = "ridge", penalty: float | None = None) -> LinearMap:
    """Fit target = weight source + bias on a support set of matched codes.

    Args:
        source: (n, sources), codes of n examples in one model.
        target: (n, targets), codes of the same examples in the other.
        kind: "ridge"; or "procrustes", which allows rotation, reflection, one scale and a shift (Schonemann & Carroll,
            1970), and needs fewer points.
        penalty: of the ridge; None picks it by leave-one-out, 0 is least squares.
    """
    choice("kind", kind, ("ridge", "procrustes"))
    if len(source) != len(target) or len(source) < 2:
        raise bad(
            "matched codes of at least 2 examples", (len(source), len(target)), "the same examples in both models"
        )
    center, middle = source.mean(0), target.mean(0)
    a, b = source - center, target - middle
    if kind == "procrustes":
        U, size, Vh = torch.linalg.svd(a.T @ b, full_matrices=False)
        turn = U @ Vh  # (sources, targets)
        spread = (a @ turn).square().sum()  # less than that of a where the target has fewer dimensions
        if spread == 0:
            raise bad("support codes that differ", "all alike", "other examples")
        weight = turn.T * size.sum() / spread
    else:
        U, size, Vh = torch.linalg.svd(a, full_matrices=False)
        if penalty is None:
            penalty = min(
                (10.0**k * (size**2).mean().item() for k in range(-8, 3)), key=lambda p: _left_out(U, size, b, p)
            )
        shrunk = size / (size**2 + penalty) if penalty else torch.linalg.pinv(torch.diag(size)).diagonal()
        weight = (Vh.T @ (shrunk[:, None] * (U.T @ b))).T
    return LinearMap(weight, middle - weight @ center)


def _left_out(U: Tensor, size: Tensor, b: Tensor, penalty: float) -> float:
    """Leave-one-out squared error of ridge regression with an intercept, from one decomposition."""
    hat = U @ ((size**2 / (size**2 + penalty))[:, None] * U.T) + 1 / len(b)
    residual = (b - hat @ b) / (1 - hat.diagonal()).clamp(min=1e-6)[:, None]
    return residual.square().sum().item()
