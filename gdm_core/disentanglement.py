r"""Does each latent stand for one factor, and each factor for one latent?

    MIG = 1/K sum_k (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k)     Chen et al. (2018, eq. 6), j1 and j2 the best two latents
    D_j = 1 - H(R_j. / sum R_j.) / log K                       Eastwood & Williams (2018, section 2): disentanglement
    C_k = 1 - H(R_.k / sum R_.k) / log L                       completeness; R: importance of latent j for factor k

All of it needs the true factors, which `strokes` and `scenes` know and photographs do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.validate import bad, integer


def mutual_information(codes: Tensor, factors: Mapping[str, Tensor], bins: int = 20) -> tuple[Tensor, Tensor]:
    """I(z_j; v_k) by counting, and H(v_k), in nats.

    Codes, and factors of more than `bins` values, are cut into bins of equal counts, so that no monotone change of a
    code matters.  Counting adds about (bins - 1)(values - 1) / 2N nats to every entry; differences between latents
    lose it.

    Args:
        codes: (N, latents).
        factors: name -> (N,).

    Returns:
        (latents, K) and (K,).

    Raises:
        ValueError: shapes that do not match, NaN or infinity, a factor that does not vary.
    """
    values = _factors(codes, factors)
    z = _cut(codes.detach().cpu().double().numpy(), integer("bins", bins, 2))
    few = [len(np.unique(column)) <= bins for column in values.T]
    v = np.where(few, values, _cut(values, bins))
    information = np.array([[_information(a, b) for b in v.T] for a in z.T])
    entropy = np.array([_entropy(np.unique(b, return_counts=True)[1]) for b in v.T])
    return torch.from_numpy(information), torch.from_numpy(entropy)


def mig(codes: Tensor, factors: Mapping[str, Tensor], bins: int = 20) -> float:
    """Mutual information gap: 1 if each factor is known from one latent alone, near 0 if two know it equally well.

    Args:
        codes: (N, latents), one draw from q(z|x) for each example, as in the paper.  Not posterior means: their order
            alone is looked at, so an idle latent whose mean wiggles by a thousandth would count in full.
        factors: name -> (N,).
        bins: as for `mutual_information`; some 100 examples a bin are needed.
    """
    information, entropy = mutual_information(codes, factors, bins)
    ranked = information.sort(0, descending=True).values
    second = ranked[1] if len(ranked) > 1 else torch.zeros_like(entropy)
    return ((ranked[0] - second) / entropy).mean().item()


@dataclass(frozen=True, eq=False)
class DCI:
    """Scores from 0 to 1.

    Attributes:
        disentanglement: one factor a latent, mean weighted by the latents' importance.
        completeness: one latent a factor.
        informativeness: how well codes predict factors on held-out examples: share of the variance explained, or of the
            mistakes of always guessing the commonest class that are avoided; below 0, or without a mistake, it is 0.
        known: (K,), informativeness factor by factor.
        importance: (latents, K), columns sum to 1; even where no tree finds a split, so that no latent stands out.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    known: Tensor
    importance: Tensor


def dci(codes: Tensor, factors: Mapping[str, Tensor], *, trees: int = 20, seed: int = 0) -> DCI:
    """Disentanglement, completeness, informativeness by random forests, as in the paper's section 4.3.

    Integer factors are classified, others regressed; a third of the examples is held out.

    Args:
        codes: (N, latents), at least two latents.
        factors: name -> (N,), at least two.

    Raises:
        ValueError: as for `mutual_information`, fewer than two latents, factors or held-out examples.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # `active_units` needs none

    values = _factors(codes, factors)
    z = codes.detach().cpu().double().numpy()
    if z.shape[1] < 2 or len(factors) < 2:
        raise bad("at least 2 latents and 2 factors", (z.shape[1], len(factors)), "mig, which can judge one")
    if len(z) < 15:
        raise bad("at least 15 examples, five of them held out and two leaves of five", len(z), "some thousands")
    order = np.random.default_rng(seed).permutation(len(z))
    held, kept = order[: len(z) // 3], order[len(z) // 3 :]
    L, columns, informed = z.shape[1], [], []
    for v, factor in zip(values.T, factors.values()):
        kind = RandomForestRegressor if factor.is_floating_point() else RandomForestClassifier
        forest = kind(trees, max_features=None, min_samples_leaf=5, random_state=seed).fit(z[kept], v[kept])
        columns.append(forest.feature_importances_ if forest.feature_importances_.any() else np.full(L, 1 / L))
        score = forest.score(z[held], v[held])  # R^2, or accuracy
        if not factor.is_floating_point():
            chance = np.unique(v[held], return_counts=True)[1].max() / len(held)
            score = (score - chance) / (1 - chance) if chance < 1 else 0.0  # of a rare class none may be held out
        informed.append(max(score, 0.0))
    R = np.stack(columns, 1)  # (latents, K)
    weight = R.sum(1) / R.sum()
    latent_entropy = np.array([_entropy(row) / np.log(R.shape[1]) if row.sum() else 1.0 for row in R])
    factor_entropy = np.array([_entropy(column) / np.log(R.shape[0]) for column in R.T])
    return DCI(
        disentanglement=float(weight @ (1 - latent_entropy)),
        completeness=float((1 - factor_entropy).mean()),
        informativeness=float(np.mean(informed)),
        known=torch.tensor(informed, dtype=torch.float64),
        importance=torch.from_numpy(R),
    )


@yours.replaceable("lab04.active_units", lambda theirs, ours, means, threshold=0.01: theirs(means, threshold))
def active_units(means: Tensor, threshold: float = 0.01) -> Tensor:
    """Which latents respond to the data: var_x E_q[z_j | x] > threshold.

    Burda, Grosse & Salakhutdinov (2016, section 5.2).

    Args:
        means: (N, latents) posterior means, `model.encode(x).mean`.

    Returns:
        (latents,) bool; `.sum()` counts them.
    """
    if means.ndim != 2 or len(means) < 2:
        raise bad("posterior means (N, latents) of at least 2 examples", tuple(means.shape), "model.encode(x).mean")
    return means.var(0) > threshold


def _factors(codes: Tensor, factors: Mapping[str, Tensor]) -> np.ndarray:
    if codes.ndim != 2 or not factors or any(v.shape != codes.shape[:1] for v in factors.values()):
        shapes = {k: tuple(v.shape) for k, v in factors.items()}
        raise bad("codes (N, latents) and factors (N,)", f"{tuple(codes.shape)} and {shapes}", "dataset.factors")
    for name, values in (("codes", codes), *factors.items()):
        if not torch.isfinite(values).all():
            raise bad("finite codes and factors", f"NaN or infinity in {name!r}", "leaving these examples out")
        if name in factors and (values == values[0]).all():
            raise bad("factors that vary", f"constant {name!r}", "leaving it out")
    return np.stack([v.detach().cpu().double().numpy() for v in factors.values()], 1)


def _cut(columns: np.ndarray, bins: int) -> np.ndarray:
    """Each column as the number of its bin; ties stay together."""
    out = np.empty(columns.shape, dtype=int)
    for j, column in enumerate(columns.T):
        out[:, j] = np.searchsorted(np.quantile(column, np.arange(1, bins) / bins), column, side="right")
    return out


def _entropy(weights: np.ndarray) -> float:
    p = weights / weights.sum()
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """I = H(a) + H(b) - H(a, b)."""
    table = np.zeros((a.max() + 1, len(np.unique(b))))
    np.add.at(table, (a, np.unique(b, return_inverse=True)[1]), 1)
    return _entropy(table.sum(1)) + _entropy(table.sum(0)) - _entropy(table.ravel())
