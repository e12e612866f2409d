r"""Lab 02, probabilistic PCA (Tipping & Bishop, 1999): z ~ N(0, I_q), x | z ~ N(W z + b, var I_d).

Truths come from the joint Gaussian of (x, z) and its Schur complement, from scikit-learn's PCA and scipy's Procrustes.
"""

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, same, tensor
from gdm_core.checks.exercise import Exercise, Wrong


@Exercise.worth(mean=1, covariance=3)
def marginal(answer: Answer, numbers: Generator) -> None:
    """Mean and covariance of x: b and W W^T + var I."""
    for d, q, var in ((4, 2, 0.3), (3, 3, 2.0)):
        W, b = _normal(numbers, d, q), _normal(numbers, d) + 1
        mean, covariance = parts(answer(W, b, var), "mean", "covariance")
        answer.part("mean")
        equal(tensor(mean, (d,), "(d,)", "mean"), b, {
            "E[z] = 0, so the mean of x is b": torch.zeros(d),
            "z has mean 0: W z adds nothing to the mean": b + W.sum(1),
        }, "mean")  # fmt: skip
        answer.part("covariance")
        if isinstance(covariance, Tensor) and tuple(covariance.shape) == (q, q) != (d, d):
            raise Wrong("x has d features, so its covariance is (d, d): W Wᵀ, not Wᵀ W")
        factors, eye = torch.einsum("ik,jk->ij", W, W), torch.eye(d)
        truth = factors + var * eye
        equal(tensor(covariance, (d, d), "(d, d)", "covariance"), truth, {
            "W Wᵀ, not Wᵀ W: rows of W belong to features": W.T @ W + var * eye if q == d else None,
            "the noise is missing: each feature has a variance of its own, var": factors,
            "var is a variance already: it was squared": factors + var**2 * eye,
            "var is a variance already: its root was taken": factors + var**0.5 * eye,
            "the noise of two features is independent: var stands on the diagonal alone": factors + var,
            "the noise has variance var, not 1": factors + eye,
            "var belongs to the noise alone, and scales W Wᵀ as well": var * factors + var * eye,
        }, "covariance", f"for var = {var}")  # fmt: skip


@Exercise.worth(mean=2, covariance=2)
def posterior(answer: Answer, numbers: Generator) -> None:
    """Mean of p(z | x) for each example, and its covariance, which is the same for all."""
    for n, d, q, var in ((5, 4, 2, 0.6), (3, 5, 3, 1.7)):
        W, b, x = _normal(numbers, d, q), _normal(numbers, d) + 1, _normal(numbers, n, d)
        mean, covariance = parts(answer(x, W, b, var), "mean", "covariance")
        truth = _given_all(x, W, b, var)
        inverse = lambda more: torch.linalg.inv(W.T @ W + more * torch.eye(q))
        away, M = x - b, W.T @ W + var * torch.eye(q)
        answer.part("mean")
        equal(tensor(mean, (n, q), "(N, L)", "mean"), truth[0], {
            "b was not subtracted: z explains what differs from b": x @ W @ inverse(var),
            "this is least squares, which forgets the prior: var I is missing in M": away @ W @ inverse(0),
            "M has var on its diagonal, not 1": away @ W @ inverse(1),
            "Wᵀ(x - b) must be multiplied with the inverse of M": away @ W,
            "Wᵀ(x - b) was multiplied with M, not with its inverse": away @ W @ M,
            "one var too many: it stands in M alone": away @ W @ inverse(var) / var,
            "the mean was multiplied by var, a factor that belongs to the covariance": away @ W @ inverse(var) * var,
            "var is a variance already: it was squared": away @ W @ inverse(var**2),
            "the sign: x - b, not b - x": -truth[0],
        }, "mean", f"for var = {var}")  # fmt: skip
        answer.part("covariance")
        if isinstance(covariance, Tensor) and tuple(covariance.shape) == (n, q, q):
            raise Wrong("the covariance does not depend on x: one (L, L) for all examples")
        equal(tensor(covariance, (q, q), "(L, L)", "covariance"), truth[1], {
            "the covariance is var times the inverse of M: var is missing": inverse(var),
            "this is M: its inverse is wanted, times var": M,
            "var times M: the inverse is wanted": var * M,
            "the covariance without a prior: var I is missing in M": var * inverse(0),
            "M has var on its diagonal, not 1": var * inverse(1),
            "divided by var, which wants a product": inverse(var) / var,
            "that is the prior's: seeing x makes it smaller": torch.eye(q),
        }, "covariance", f"for var = {var}")  # fmt: skip


@Exercise.worth(b=1, var=2, W=3)
def maximum(answer: Answer, numbers: Generator) -> None:
    """Maximum likelihood in closed form.  W is compared through W W^T: no rotation of the latents is refused."""
    for n, d, q in ((9, 5, 2), (8, 4, 1)):
        x = _normal(numbers, n, d) * torch.tensor([2.0, 1.5, 1.0, 0.7, 0.5][:d]) @ _turn(numbers, d) + 1
        W, b, var = parts(answer(x, q), "W", "b", "var")
        answer.part("b")
        equal(tensor(b, (d,), "(d,)", "b"), x.mean(0), {"b is the mean of the data, not 0": torch.zeros(d)}, "b")
        peer, share = PCA(q).fit(x.numpy()), (n - 1) / n  # scikit-learn divides by N - 1
        answer.part("var")
        values, U = _spectrum(x - x.mean(0), n)
        truth = torch.tensor(share * peer.noise_variance_, dtype=torch.float64)
        equal(tensor(var, (), "()", "var"), truth, {
            "the covariance was divided by N - 1: maximum likelihood divides by N": truth / share,
            "the covariance was not divided by N": truth * n,
            "var averages the d - L smallest eigenvalues: it got their sum": truth * (d - q),
            "var averages the eigenvalues that are left out, not the L largest": values[:q].mean(),
            "the sum of what is left out is divided by d - L, not by d": truth * (d - q) / d,
            "var averages all that is left out, not the smallest alone": values[-1] if q < d - 1 else None,
            "var averages all that is left out, not the largest of it alone": values[q] if q < d - 1 else None,
            "the eigenvalues come smallest first: the L largest were taken for noise": values[: d - q].mean(),
            "the mean was not subtracted before the covariance": _spectrum(x, n)[0][q:].mean(),
            "that is a standard deviation: var is its square": truth.sqrt(),
            "singular values are no eigenvalues: square them, then divide by N": (n * values[q:]).sqrt().mean(),
            "singular values were divided by √N and not squared: an eigenvalue is a variance": values[q:].sqrt().mean(),
        }, "var")  # fmt: skip
        answer.part("W")
        W = tensor(W, (d, q), "(d, L)", "W")
        got, wanted = W @ W.T, share * torch.as_tensor(peer.get_covariance()) - truth * torch.eye(d)
        rows = torch.linalg.eigh(_covariance(x - x.mean(0), n))[1].T  # who takes rows for columns
        built = lambda scale, V=U: V[:, :q] * scale @ (V[:, :q] * scale).T
        equal(got, wanted, {
            "the noise was not taken off: λ - var, not λ, stands under the root": built(values[:q].sqrt()),
            "the square root of λ - var is missing": built(values[:q] - truth),
            "W has columns of length one: each wants a length of its own": built(torch.ones(q)),
            "the eigenvalues come smallest first: W got the directions that vary least":
                built((values[:q] - truth).sqrt(), U.flip(1)),
            "the root of a difference is not the difference of the roots": built(values[:q].sqrt() - truth.sqrt()),
            "eigenvectors are columns, and rows were taken": built((values[:q] - truth).sqrt(), rows.flip(1)),
            "the covariance was divided by N - 1: maximum likelihood divides by N": wanted / share,
            "the noise was added: λ - var stands under the root": built((values[:q] + truth).sqrt()),
        }, "W Wᵀ")  # fmt: skip


@Exercise.worth(form=1, values=3)
def align(answer: Answer, numbers: Generator) -> None:
    """The orthogonal R that brings W R closest to a target, reflections allowed."""
    for d, q, noise in ((6, 3, 0.1), (5, 2, 0.1), (7, 3, 0.8)):
        W, R = _normal(numbers, d, q), _turn(numbers, q)
        R[:, 0] *= -torch.linalg.det(R).sign()  # a reflection: who insists on a rotation is not closest
        target = W @ R + noise * _normal(numbers, d, q)
        truth = torch.as_tensor(orthogonal_procrustes(W.numpy(), target.numpy())[0])
        answer.part("form")
        got = tensor(answer(W, target), (q, q), "(L, L)", "R")
        answer.part("values")
        U, S, Vh = torch.linalg.svd(W.T @ target)
        proper = torch.ones(q, dtype=torch.float64)
        proper[-1] = torch.linalg.det(U @ Vh).sign()
        equal(got, truth, {
            "R turns the target into W: W comes first, Wᵀ target": truth.T,
            "svd returns Vᵀ, not V: it was transposed once too often": U @ Vh.T,
            "U was transposed: svd returns U itself": U.T @ Vh,
            "the singular values belong to stretching: leave them out": U @ torch.diag(S) @ Vh,
            "this R stretches: least squares finds no orthogonal R": torch.linalg.lstsq(W, target).solution,
            "this is Wᵀ target: take its singular vectors": W.T @ target,
            "reflections are allowed: R may have determinant -1": U @ torch.diag(proper) @ Vh,
            "nothing was turned: R is the identity": torch.eye(q),
        }, "R")  # fmt: skip


@Exercise.worth(form=1, values=4)
def complete(answer: Answer, numbers: Generator) -> None:
    """Unseen features replaced by their mean given those seen."""
    for n, d, q, var in ((4, 6, 2, 0.4), (3, 5, 2, 1.2)):
        W, b, x = _normal(numbers, d, q), _normal(numbers, d) + 1, _normal(numbers, n, d)
        seen = torch.arange(d) % 3 != 1
        hidden = x.clone()
        hidden[:, ~seen] = 50.0  # whoever looks there is found out
        answer.part("form")
        got = tensor(answer(hidden, seen, W, b, var), (n, d), "(N, d)")
        answer.part("values")
        m = _given_all(x[:, seen], W[seen], b[seen], var)[0]
        truth = x.clone()
        truth[:, ~seen] = m @ W[~seen].T + b[~seen]
        filled = lambda unseen: torch.where(seen, x, unseen)
        everywhere = _given_all(hidden, W, b, var)[0] @ W.T + b
        least = (x[:, seen] - b[seen]) @ torch.linalg.pinv(W[seen]).T
        zeros = torch.where(seen, x, 0.0)
        equal(got, truth, {
            "the unseen features were looked at: z must come from the seen rows of W alone": filled(everywhere),
            "the unseen features were looked at, and the seen ones replaced": everywhere,
            "what was seen is kept as it is: only the rest is filled in": m @ W.T + b,
            "b is missing in what was filled in": filled(m @ W.T),
            "the unseen features are b: what was seen says more": filled(b.expand(n, d)),
            "the unseen features are 0: the model knows better": zeros,
            "nothing was filled in": hidden,
            "the prior of z was forgotten: use your posterior, with var": filled(least @ W.T + b),
            "unseen features are not 0: leave their rows of W out of the posterior":
                filled(_given_all(zeros, W, b, var)[0] @ W.T + b),
            "unseen features are not b: leave their rows of W out of the posterior":
                filled(_given_all(filled(b.expand(n, d)), W, b, var)[0] @ W.T + b),
            "these are the seen ones filled in and the unseen ones kept: turn the mask around":
                torch.where(seen, m @ W.T + b, hidden),
        }, "x")  # fmt: skip
        require(same(got[:, seen], truth[:, seen]), "what was seen is kept as it is")


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=numbers, dtype=torch.float64)


def _turn(numbers: Generator, d: int) -> Tensor:
    return torch.linalg.qr(_normal(numbers, d, d)).Q


def _covariance(away: Tensor, n: int) -> Tensor:
    return away.T @ away / n


def _spectrum(away: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the covariance, the largest first, and their vectors in columns."""
    values, U = torch.linalg.eigh(_covariance(away, n))
    return values.flip(0), U.flip(1)


def _given_all(x: Tensor, W: Tensor, b: Tensor, var: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of z given x, from the joint Gaussian of both: no M here."""
    W = W.numpy()
    inverse = np.linalg.inv(W @ W.T + var * np.eye(len(W)))  # of the covariance of x
    mean = (x - b).numpy() @ inverse @ W
    return torch.as_tensor(mean), torch.as_tensor(np.eye(W.shape[1]) - W.T @ inverse @ W)
