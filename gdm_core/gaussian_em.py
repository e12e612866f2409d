r"""One EM iteration of a Gaussian mixture, as two matrix products.

A Gaussian is an exponential family (Bishop, 2006, section 2.4): with T(x) = (1, x, x x^T) and natural parameters eta_k,

    E step   log p(x_n, z = k) = eta_k . T(x_n)             one product  eta T
    M step   N_k (1, E_k[x], E_k[x x^T]) = sum_n r_nk T(x_n)     another  r T^T

taken tile by tile, so that T and r never leave the cache.  The expanded square loses digits where a component is narrow
beside the spread of the data.  Two remedies keep them: the data are whitened first, and a narrow component gets the
features T(y) of its own coordinates y = L_k^{-1} (x - mu_k), for two products each of its own.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.linalg import cholesky_ex, solve_triangular

from gdm_core import yours
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad

SMALLEST = 1e-12  # variance of a direction, as a part of the data's own, below which it counts as none
NARROW = 1e6  # squared distance to the center in units of the narrowest direction: past it ten digits would be lost
UNDERFLOW = -600.0  # exp of less costs ten times as much (subnormal numbers) and counts for nothing
TILE = 2048  # examples at a time: what fits the cache
MANY = 32  # features from which on the d^2 products of x x^T cost more than K triangular products


class Standard(NamedTuple):
    """Data in coordinates of mean 0 and covariance I: x = center + root white."""

    white: Tensor  # (d, N) float64, one column an example
    center: Tensor  # (d,)
    root: Tensor  # (d, d) lower triangular


def standardize(x: Tensor, floor: float = 0.0) -> Standard:
    """Whiten `x` (N, d), float64.

    Raises:
        ValueError: without a floor, columns that are constant or linear combinations of others; their numbers are told.
    """
    center = x.mean(0)
    away = x - center
    covariance = away.T @ away / len(x)
    remedy = f"noise on x (dequantization), or floor={_suggested(covariance)}"
    if not floor and (constant := (x == x[0]).all(0).nonzero().flatten().tolist()):
        told = f"{len(constant)} constant ones ({_listed(constant)})"
        raise bad("columns that vary", told, f"x[:, x.std(0) > 0], {remedy}")
    root, info = cholesky_ex(covariance + floor * _eye(covariance))
    dependent = root.diagonal() ** 2 <= SMALLEST * covariance.diagonal()
    if info or dependent.any():
        if len(x) <= len(center):
            raise bad(f"more than {len(center)} examples, to fill all directions", len(x), f"more of them, {remedy}")
        first = int(info) - 1 if info else int(dependent.nonzero()[0])
        told = f"column {first} as a combination of those before it"
        raise bad("linearly independent columns", told, f"dropping it, {remedy}")
    return Standard(solve_triangular(root, away.T, upper=False).contiguous(), center, root)


def seed(x: Tensor, components: int, floor: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """k-means++ seeds (Arthur & Vassilvitskii, 2007), each with the examples of `x` (N, d) nearest to it.

    Returns:
        Weights (K,) and means (K, d) of the groups, and for all of them the Cholesky factor (K, d, d) of the covariance
        within groups: no component is singular at the start, however few examples it has.

    Raises:
        ValueError: fewer distinct examples than components, or groups without volume.
    """
    from sklearn.cluster import kmeans_plusplus  # slow to load, and only a search from scratch needs it

    random_state = int(torch.randint(2**31 - 1, (), device="cpu"))  # follows torch.manual_seed
    seeds, _ = kmeans_plusplus(x.cpu().numpy(), components, random_state=random_state)
    nearest = torch.cdist(x, torch.from_numpy(seeds).to(x)).argmin(1)  # (N,)
    counts = nearest.bincount(minlength=components)
    if not counts.all():
        raise bad(f"at least {components} distinct examples", int(counts.count_nonzero()), "fewer components")
    means = x.new_zeros(components, x.shape[1]).index_add_(0, nearest, x) / counts[:, None]
    away = x - means[nearest]
    covariance = away.T @ away / len(x) + floor * _eye(x.T)
    tril, info = cholesky_ex(covariance)
    if info or (tril.diagonal() ** 2 < SMALLEST * x.var(0)).any():
        raise bad(
            f"more examples than {components} groups of one point each",
            len(x),
            f"fewer components or floor={_suggested(x.T.cov())}",
        )
    return counts / len(x), means, tril.expand(components, -1, -1)


def _by_the_book(m_step, ours, data: Standard, log_weights, means, trils, floor=0.0):
    """`step` with another M step, of raw examples (N, d) and responsibilities."""
    x = data.center + data.white.T @ data.root.T
    log_joint = log_weights + MultivariateNormal(means, scale_tril=trils).log_prob(x[:, None])  # (N, K)
    weights, centers, covariances = m_step(x, log_joint.softmax(1))
    factors, info = cholesky_ex(covariances + floor * _eye(covariances[0]))
    if info.any() or not (weights > 1e-12).all():
        return ours(data, log_weights, means, trils, floor)  # says which component was lost
    return log_joint.logsumexp(1).mean().item(), weights, centers, factors


@yours.replaceable("lab01.m_step", _by_the_book)
def step(
    data: Standard, log_weights: Tensor, means: Tensor, trils: Tensor, floor: float = 0.0
) -> tuple[float, Tensor, Tensor, Tensor]:
    """One E and one M step; the parameters in and out are those of the raw data, in float64.

    Args:
        data: from `standardize`, with the same floor.
        log_weights, means, trils: log pi (K,), mu (K, d) and the Cholesky factors of Sigma (K, d, d).
        floor: variance added to each direction.

    Returns:
        Mean log-likelihood of the parameters that came in (nats per example), and the new weights, means and factors.

    Raises:
        ValueError: a component without examples or without volume.
    """
    white, center, root = data
    d, n = white.shape
    eye = _eye(white).expand(len(means), d, d)
    means = solve_triangular(root, (means - center).T, upper=False).T  # (K, d)
    trils = solve_triangular(root, trils, upper=False)  # (K, d, d)
    inverse = solve_triangular(trils, eye, upper=False)
    log_det = trils.diagonal(dim1=1, dim2=2).log().sum(1) + root.diagonal().log().sum()
    constant = log_weights - log_det - 0.5 * d * LOG_2PI  # (K,)

    reach = means.square().sum(1) + trils.square().sum((1, 2))
    narrow = (reach * inverse.square().sum((1, 2)) > NARROW) | (d > MANY)
    total, counts, first, second = _moments(white, constant, means, inverse, narrow)

    if (counts < 1e-8).any():
        raise _lost(counts < 1e-8, "that holds no example", root)
    frame, origin = torch.where(narrow[:, None, None], trils, eye), torch.where(narrow[:, None], means, 0.0)
    first, second = first / counts[:, None], second / counts[:, None, None]
    covariance = second - first[:, :, None] * first[:, None, :]  # in the coordinates of the frame
    if floor:
        back = solve_triangular(root @ frame, eye, upper=False)
        covariance = covariance + floor * _product(back, back.mT)
    factor, info = cholesky_ex(covariance)
    trils, means = _product(frame, factor), origin + (frame @ first[..., None])[..., 0]
    flat = info > 0
    if not floor:
        flat = flat | (trils.diagonal(dim1=1, dim2=2) ** 2 < SMALLEST).any(1)
    if flat.any():
        raise _lost(flat, f"that has collapsed on {counts[flat][0]:.2g} examples", root)
    return total.item() / n, counts / n, center + means @ root.T, _product(root, trils)


def _moments(
    white: Tensor, constant: Tensor, means: Tensor, inverse: Tensor, narrow: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-likelihood of all data (), and weighted by r: counts (K,), first (K, d) and second (K, d, d) moments.

    The moments of a narrow component are those of y = L^{-1} (x - mu), of the others those of x.
    """
    d, k = len(white), len(constant)
    order = narrow.byte().argsort(stable=True)  # the wide ones first, so that both groups are slices
    w = k - int(narrow.sum())
    constant, means, inverse = constant[order], means[order], inverse[order]

    i, j = torch.triu_indices(d, d, device=white.device)  # pairs i <= j, row by row
    precision = inverse[:w].mT @ inverse[:w]
    pull = (precision @ means[:w, :, None])[..., 0]
    square = -precision[:, i, j] * torch.where(i == j, 0.5, 1.0).to(white)
    eta = torch.cat([(constant[:w] - 0.5 * (pull * means[:w]).sum(1))[:, None], pull, square], 1)  # (w, 1 + d + pairs)
    stack = inverse[w:].flatten(0, 1)  # (narrow d, d)
    offset = (inverse[w:] @ means[w:, :, None]).flatten()[:, None]

    tile = max(TILE // 4, min(TILE, 64 * TILE // max(1, (k - w) * d)))
    if white.device.type != "cpu":
        tile *= 32
    features = white.new_ones(eta.shape[1], tile) if w else None
    joint = white.new_empty(k, tile)
    total, counts, sums = white.new_zeros(()), white.new_zeros(k), torch.zeros_like(eta)
    first, second = white.new_zeros(k, d), white.new_zeros(k, d, d)
    for x in white.split(tile, 1):  # (d, T)
        r = joint[:, : x.shape[1]]
        if w:
            t = features[:, : x.shape[1]]
            t[1 : d + 1] = x
            row = d + 1
            for a in range(d):
                torch.mul(x[a:], x[a], out=t[row : row + d - a])
                row += d - a
            torch.mm(eta, t, out=r[:w])
        if w < k:
            y = _product(stack, x).sub_(offset).view(k - w, d, -1)
            r[w:] = constant[w:, None] - 0.5 * y.square().sum(1)
        top = r.amax(0)
        scale = r.sub_(top).clamp_(min=UNDERFLOW).exp_().sum(0)
        r /= scale
        total += (top + scale.log()).sum()
        counts += r.sum(1)
        if w:
            sums += r[:w] @ t.T
        if w < k:
            weighted = y * r[w:, None]
            first[w:] += weighted.sum(2)
            second[w:] += _product(weighted, y.mT)
    first[:w] = sums[:, 1 : d + 1]
    second[:w, i, j] = second[:w, j, i] = sums[:, d + 1 :]
    back = order.argsort()
    return total, counts[back], first[back], second[back]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b; many small products take numpy's BLAS two thirds of the time of torch's in float64."""
    if a.device.type != "cpu":
        return a @ b
    return torch.from_numpy(a.numpy() @ b.numpy())


def _lost(which: Tensor, how: str, root: Tensor) -> ValueError:
    told = f"component {_listed(which.nonzero().flatten().tolist())} {how}"
    remedy = f"another model.start(x), fewer components, or floor={_suggested(root @ root.T)}"
    return bad("components that keep examples and volume", told, remedy)


def _suggested(covariance: Tensor) -> str:
    return f"{1e-3 * (covariance.diagonal().mean().item() or 1.0):.1g}"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


def _eye(rows: Tensor) -> Tensor:
    return torch.diag(rows.new_ones(len(rows)))
