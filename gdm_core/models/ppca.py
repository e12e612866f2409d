r"""Probabilistic PCA (Tipping & Bishop, 1999).

    z ~ N(0, I_q),   x | z ~ N(W z + b, var I_d)      so      x ~ N(b, C),   C = W W^T + var I_d

With M = W^T W + var I_q and m = M^{-1} W^T (x - b), the posterior mean, nothing larger than d x q is ever needed:

    (x - b)^T C^{-1} (x - b) = |x - b - W m|^2 / var + |m|^2       log|C| = log|M| + (d - q) log var
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from gdm_core import yours
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer, known

TILE = 4096  # examples at a time: what fits the cache


def _encode_by(posterior, ours, self, x):
    x = batch(x, self.event_shape, like=self.W)
    if not self.latents:
        return ours(self, x)
    mean, covariance = posterior(x, self.W, self.b, self.var)
    return MultivariateNormal(mean, (covariance + covariance.mT) / 2)  # which float32 leaves uneven by a hair


def _solve_by(maximum, ours, self, x):
    """Their W in the basis that `PPCA.solve` promises."""
    ours(self, x)  # for its errors
    with torch.no_grad():
        W, b, var = maximum(x.double(), self.latents) if self.latents else (self.W, self.b, self.var)
        U, size, _ = torch.linalg.svd(W, full_matrices=False)
        self._write(_peaks_up(U) * size, b, var)
    return self


class PPCA(nn.Module):
    """Linear-Gaussian latent variable model, learned in closed form (`solve`), by EM (`em`) or by gradient (`loss`).

    W is known up to a rotation of the latents: `rotated(R)` is the same density.  `solve` returns orthogonal columns,
    those of the largest variance first, each with its largest entry positive.

    Args:
        features: d, the size of one example.
        latents: q, from 0 (a sphere) to d - 1.

    >>> model = PPCA(5, 2).solve(torch.randn(100, 5))
    >>> model.encode(torch.randn(3, 5)).mean.shape
    torch.Size([3, 2])
    """

    def __init__(self, features: int, latents: int):
        super().__init__()
        self.features = integer("features", features)
        self.latents = integer("latents", latents, 0, features - 1)
        self.event_shape = Size([features])
        self.W = nn.Parameter(torch.randn(features, latents))
        self.b = nn.Parameter(torch.zeros(features))
        self.log_var = nn.Parameter(torch.zeros(()))

    @property
    def var(self) -> Tensor:
        """Variance of the noise, ()."""
        return self.log_var.exp()

    def prior(self) -> Independent:
        """p(z) = N(0, I) over (q,)."""
        zeros = self.W.new_zeros(self.latents)
        return Independent(Normal(zeros, zeros + 1), 1)

    def decode(self, z: Tensor) -> Independent:
        """p(x | z).  z: (..., q) -> Normal over (d,)."""
        if not isinstance(z, Tensor) or z.ndim == 0 or z.shape[-1] != self.latents:
            raise bad(f"z of shape (..., {self.latents})", tuple(getattr(z, "shape", ())), "prior().sample((n,))")
        return Independent(Normal(z @ self.W.T + self.b, (0.5 * self.log_var).exp()), 1)

    @yours.replaceable("lab02.posterior", _encode_by)
    def encode(self, x: Tensor) -> MultivariateNormal | Independent:
        """Exact posterior p(z | x) = N(m, var M^{-1}), Tipping & Bishop appendix A.  x: (B, d) -> over (B, q)."""
        x = batch(x, self.event_shape, like=self.W)
        mean, tril = _posterior_mean(x - self.b, self.W, self.var)
        if not self.latents:  # torch's MultivariateNormal needs a dimension
            return Independent(Normal(mean, mean + 1), 1)
        return MultivariateNormal(mean, precision_matrix=tril @ tril.T / self.var)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, eq. 4-6.  x: (B, d) -> (B,).  ValueError: wrong shape, dtype or device, NaN."""
        return _log_prob(batch(x, self.event_shape, like=self.W), self.W, self.b, self.log_var)

    def loss(self, x: Tensor) -> Tensor:
        """Mean of -log p(x), nats per example.  x: (B, d) -> ()."""
        return -self.log_prob(x).mean()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Ancestral sampling: a latent, then a point given it.  -> (n, d)."""
        return self.decode(self.prior().sample((integer("n", n),))).sample()

    @torch.no_grad()
    def set(self, W: Tensor, b: Tensor, var: Tensor | float) -> "PPCA":
        """Write known parameters: W (d, q), b (d,), var > 0.  ValueError: other shapes, NaN, var <= 0."""
        W = known("W", W, (self.features, self.latents), self.W)
        b, var = known("b", b, (self.features,), self.W), known("var", var, (), self.W)
        if var <= 0:
            raise bad("a positive noise variance", var.item(), "var=0.1")
        self._write(W, b, var)
        return self

    def rotated(self, R: Tensor) -> "PPCA":
        """The model with W R: another basis of the latents, the same p(x).  R: (q, q) orthogonal."""
        R = known("R", R, (self.latents, self.latents), self.W)
        if not torch.allclose(R @ R.T, _eye(R), atol=1e-5):
            raise bad("an orthogonal R", "R @ R.T far from I", "torch.linalg.qr(R).Q")
        other = copy.deepcopy(self)
        with torch.no_grad():
            other.W.copy_(self.W.double() @ R)
        return other

    @yours.replaceable("lab02.maximum", _solve_by)
    @torch.no_grad()
    def solve(self, x: Tensor) -> "PPCA":
        """Maximum likelihood in closed form, eq. 7-8, computed in float64.

        With lambda_1 >= lambda_2 ... the eigenvalues of the covariance of x (1/N, not 1/(N-1)) and U its eigenvectors:
        var is the mean of the d - q smallest, and W = U_q (Lambda_q - var I)^{1/2}.

        Args:
            x: (N, d), N >= q + 2.

        Raises:
            ValueError: fewer than q + 2 examples, NaN, or data that fill no more than q dimensions, so that var = 0.
        """
        x, q = self._data(x, finite=False), self.latents
        mean, values, U = _principal(x, q)
        var = values[q:].clamp(min=0).sum() / (self.features - q)
        if not var > 1e-12 * values[0]:
            raise _no_noise(q)
        self._write(U * (values[:q] - var).clamp(min=0).sqrt(), mean, var)
        return self

    def em(self, x: Tensor, iterations: int) -> Iterator[float]:
        """Expectation maximization, eq. 27-28, in float64 and with products of d x q only.

        A generator: after each `next` the parameters are those of one more iteration.

        Args:
            x: (N, d), N >= q + 2.
            iterations: how many; stop earlier by leaving the loop.

        Yields:
            Mean log-likelihood before the iteration, nats per example; it never falls.

        Raises:
            ValueError: as `solve`.
        """
        x = self._data(x).double()
        mean = x.mean(0)
        away = x - mean
        return (self._iterate(away, mean) for _ in range(integer("iterations", iterations, low=0)))

    @torch.no_grad()
    def _iterate(self, away: Tensor, mean: Tensor) -> float:
        W, b, log_var = self.W.double(), self.b.double(), self.log_var.double()
        value = _log_prob(away, W, b - mean, log_var).mean().item()
        SW = away.T @ (away @ W) / len(away)  # covariance S times W, (d, q)
        M = W.T @ W + log_var.exp() * _eye(W.T)
        new = torch.linalg.solve(log_var.exp() * _eye(W.T) + torch.linalg.solve(M, W.T @ SW), SW, left=False)
        power = away.square().sum() / len(away)  # tr S
        var = (power - (SW * torch.linalg.solve(M, new.T).T).sum()) / self.features
        if not var > 1e-12 * power / self.features:
            raise _no_noise(self.latents)
        self._write(new, mean, var)
        return value

    def _data(self, x: Tensor, finite: bool = True) -> Tensor:
        x = batch(x, self.event_shape, like=self.W, minimum=2, finite=finite)
        if len(x) < self.latents + 2:
            raise bad(f"at least {self.latents + 2} examples for {self.latents} latents", len(x), "fewer latents")
        return x

    def _write(self, W: Tensor, b: Tensor, var: Tensor) -> None:
        self.W.copy_(W)
        self.b.copy_(b)
        self.log_var.copy_(var.log())


def _posterior_mean(away: Tensor, W: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """m = M^{-1} W^T (x - b) from away = x - b: (B, q), and the Cholesky factor of M (q, q)."""
    tril = torch.linalg.cholesky(W.T @ W + var * _eye(W.T))
    return torch.cholesky_solve((away @ W).T, tril).T, tril


def _log_prob(x: Tensor, W: Tensor, b: Tensor, log_var: Tensor) -> Tensor:
    away, (d, q) = x - b, W.shape
    mean, tril = _posterior_mean(away, W, log_var.exp())
    misfit = away - mean @ W.T  # (B, d)
    square = misfit.square().sum(1) / log_var.exp() + mean.square().sum(1)  # a sum of squares: nothing cancels
    log_det = 2 * tril.diagonal().log().sum() + (d - q) * log_var
    return -0.5 * (d * LOG_2PI + log_det + square)


def _principal(x: Tensor, q: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (d,), eigenvalues of the covariance, largest first, and the first q eigenvectors (d, q), in float64."""
    n, d = x.shape
    if n > d:
        # One pass: a shift near the mean costs no digits, and the tile is squared while it is in the cache.
        shift = x[:TILE].double().mean(0)
        total, gram = torch.zeros_like(shift), shift.new_zeros(d, d)
        for tile in x.split(TILE):
            tile = tile.double() - shift
            total += tile.sum(0)
            gram += _gram(tile)
        mean = total / n
        values, U = _eigh(gram / n - torch.outer(mean, mean), x)
        mean, values, U = mean + shift, values.flip(0), U.flip(1)[:, :q]
    else:
        # The N x N matrix of inner products has the same eigenvalues, and the missing ones are 0.
        mean = x.double().mean(0)
        away = x.double() - mean
        values, V = _eigh(_gram(away.T) / n, x)
        values = values.flip(0)
        U = away.T @ V.flip(1)[:, :q] / (n * values[:q]).sqrt()  # `solve` refuses what is 0 here
    return mean, values, _peaks_up(U)


def _peaks_up(U: Tensor) -> Tensor:
    """Columns whose largest entries are positive."""
    return U * U.gather(0, U.abs().argmax(0, keepdim=True)).sign()


def _gram(x: Tensor) -> Tensor:
    """x^T x; numpy's BLAS takes half the time of torch's in float64."""
    if x.device.type != "cpu":
        return x.T @ x
    with np.errstate(over="ignore", invalid="ignore"):  # `_eigh` says it better
        return torch.from_numpy(x.numpy().T @ x.numpy())


def _eigh(covariance: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    if not torch.isfinite(covariance.sum()):
        batch(x, x.shape[1:])  # for its error
        raise bad("x whose squares are finite", f"values up to {x.abs().max().item():.1e}", "x / x.std(0)")
    return torch.linalg.eigh(covariance)


def _no_noise(q: int) -> ValueError:
    return bad(
        f"data that vary in more than {q} directions",
        "none beyond them: constant or dependent columns leave the noise a variance of 0",
        "fewer latents, or noise on x (dequantization)",
    )


def _eye(rows: Tensor) -> Tensor:
    return torch.diag(rows.new_ones(len(rows)))


def demos() -> dict[str, PPCA]:
    """One latent in the plane, and a sphere without one."""
    return {"plane": PPCA(2, 1), "sphere": PPCA(2, 0)}
