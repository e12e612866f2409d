r"""Gaussian mixture (Dempster, Laird & Rubin, 1977; Bishop, 2006, section 9.2).

p(z = k) = pi_k,   x | z = k ~ N(mu_k, Sigma_k)      so      p(x) = sum_k pi_k N(x; mu_k, Sigma_k)

E step   r_nk = p(z = k | x_n)                                                              Bishop 9.23
M step   N_k = sum_n r_nk,   pi_k = N_k / N,   mu_k = sum_n r_nk x_n / N_k,                 9.24, 9.26
         Sigma_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)^T / N_k                              9.25
"""

from collections.abc import Iterator

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, MultivariateNormal
from torch.linalg import cholesky_ex, solve_triangular

from gdm_core import gaussian_em, yours
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer, known, positive


class GMM(nn.Module):
    """Mixture of Gaussians with full covariances, learned by EM (`start`, then `em`) or by gradient (`loss`).

    The covariances are L L^T with L lower triangular; log diag(L) and what lies below it are free real numbers, so that
    every value a gradient step can reach is a mixture.

    Args:
        components: K.
        features: d, the size of one example.

    >>> x = torch.randn(500, 2) + 5 * torch.randint(2, (500, 1))
    >>> model = GMM(2, 2).start(x)
    >>> likelihood = list(model.em(x, 20))  # nats per example, rising
    """

    def __init__(self, components: int, features: int):
        super().__init__()
        self.components, self.features = integer("components", components), integer("features", features)
        self.event_shape = Size([features])
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, features))
        self.log_scales = nn.Parameter(torch.zeros(components, features))  # log diag(L)
        self.lower = nn.Parameter(torch.zeros(components, features * (features - 1) // 2))  # L below its diagonal

    @property
    def weights(self) -> Tensor:
        """pi, (K,)."""
        return self.logits.softmax(0)

    @property
    def scale_tril(self) -> Tensor:
        """L, (K, d, d)."""
        tril = torch.diag_embed(self.log_scales.exp())
        i, j = torch.tril_indices(self.features, self.features, -1, device=tril.device)
        return tril.index_put((torch.arange(self.components, device=tril.device)[:, None], i, j), self.lower)

    @property
    def covariances(self) -> Tensor:
        """Sigma = L L^T, (K, d, d)."""
        return self.scale_tril @ self.scale_tril.mT

    def prior(self) -> Categorical:
        """p(z), over components."""
        return Categorical(logits=self.logits)

    def decode(self, z: Tensor) -> MultivariateNormal:
        """p(x | z).  z: integers of any shape -> distribution of that batch shape over (d,)."""
        if not isinstance(z, Tensor) or z.is_floating_point():
            raise bad("z as a tensor of component numbers", getattr(z, "dtype", type(z).__name__), "z.long()")
        if z.numel() and not 0 <= int(z.min()) <= int(z.max()) < self.components:
            raise bad(f"z from 0 to {self.components - 1}", f"{int(z.min())} to {int(z.max())}", "prior().sample()")
        return MultivariateNormal(self.means[z], scale_tril=self.scale_tril[z])

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z = k) in nats.  x: (B, d) -> (B, K)."""
        x = batch(x, self.event_shape, like=self.means)
        away = (x - self.means[:, None]).mT  # (K, d, B)
        white = solve_triangular(self.scale_tril, away, upper=False)  # (K, d, B), so Mahalanobis = |white|^2
        log_normal = -0.5 * (white.square().sum(1) + self.features * LOG_2PI) - self.log_scales.sum(1)[:, None]
        return (self.logits.log_softmax(0)[:, None] + log_normal).T

    @yours.replaceable("lab01.e_step", lambda theirs, ours, self, x: theirs(self.log_joint(x))[1])
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats.  x: (B, d) -> (B,).  ValueError: wrong shape, dtype or device, NaN."""
        return self.log_joint(x).logsumexp(1)

    def loss(self, x: Tensor) -> Tensor:
        """Mean of -log p(x), nats per example.  x: (B, d) -> ()."""
        return -self.log_prob(x).mean()

    @yours.replaceable("lab01.e_step", lambda theirs, ours, self, x: theirs(self.log_joint(x))[0])
    def responsibilities(self, x: Tensor) -> Tensor:
        """p(z = k | x), Bishop 9.13.  x: (B, d) -> (B, K)."""
        return self.log_joint(x).softmax(1)

    def encode(self, x: Tensor) -> Categorical:
        """The exact posterior p(z | x).  x: (B, d) -> Categorical of batch shape (B,)."""
        return Categorical(logits=self.log_joint(x))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Ancestral sampling: a component, then a point of it.  -> (n, d)."""
        return self.decode(self.prior().sample((integer("n", n),))).sample()

    def bound(self, x: Tensor, responsibilities: Tensor) -> Tensor:
        """E_q log p(x, z) - E_q log q(z) = log p(x) - KL(q || p(z | x)) for any q, Bishop 9.70-9.72.

        The E step maximizes its mean over q, the M step over the parameters: EM is coordinate ascent.

        Args:
            x: (B, d).
            responsibilities: q, (B, K), rows that sum to 1.

        Returns:
            (B,), nats.
        """
        log_joint = self.log_joint(x)
        q = batch(responsibilities, (self.components,), name="responsibilities", like=self.means)
        if len(q) != len(x):
            raise bad(f"responsibilities of {len(x)} examples", len(q), "model.responsibilities(x)")
        if (q < 0).any() or not torch.allclose(q.sum(1), torch.ones_like(q[:, 0]), atol=1e-4):
            raise bad("rows of responsibilities that are >= 0 and sum to 1", "others", "weights.softmax(1)")
        return (q * log_joint - torch.xlogy(q, q)).sum(1)

    @torch.no_grad()
    def start(self, x: Tensor, *, floor: float = 0.0) -> "GMM":
        """Begin anew from k-means++ seeds: weights and means of the points nearest to each, one covariance for all.

        The seeds follow `torch.manual_seed`.

        Args:
            x: (N, d), N > K distinct examples.
            floor: variance added to each direction, as in `em`.

        Raises:
            ValueError: fewer distinct examples than components, constant or dependent columns, NaN.
        """
        x = self._data(x, floor)
        gaussian_em.standardize(x, floor)  # for its errors
        self._write(*gaussian_em.seed(x, self.components, floor))
        return self

    @torch.no_grad()
    def set(self, weights: Tensor, means: Tensor, covariances: Tensor) -> "GMM":
        """Write known parameters: pi (K,), mu (K, d), Sigma (K, d, d).

        Raises:
            ValueError: other shapes, weights that are not positive or do not sum to 1, a Sigma that is not positive
                definite.
        """
        k, d = self.components, self.features
        weights = known("weights", weights, (k,), self.means)
        means = known("means", means, (k, d), self.means)
        covariances = known("covariances", covariances, (k, d, d), self.means)
        if (weights <= 0).any() or abs(weights.sum() - 1) > 1e-6:
            raise bad("positive weights that sum to 1", weights.tolist(), "weights / weights.sum()")
        tril, info = cholesky_ex(covariances)
        if info.any() or not torch.allclose(covariances, covariances.mT, rtol=1e-5):
            which = int(info.nonzero()[0]) if info.any() else "one"
            raise bad(
                "symmetric, positive definite covariances", f"component {which} that is not", "A @ A.mT + 0.1 * I"
            )
        self._write(weights, means, tril)
        return self

    def em(self, x: Tensor, iterations: int, *, floor: float = 0.0) -> Iterator[float]:
        """Expectation maximization, in log space and in float64 whatever the model's dtype.

        A generator: after each `next` the parameters are those of one more iteration.

        Args:
            x: (N, d), N >= K.
            iterations: how many; stop earlier by leaving the loop.
            floor: variance added to each direction of each covariance (scikit-learn's `reg_covar`).  0 is maximum
                likelihood, which rises with every iteration; a floor may cost it a hair.

        Yields:
            Mean log-likelihood before the iteration, nats per example.

        Raises:
            ValueError: more components than examples, constant or dependent columns, NaN; during the run, a component
                that collapses onto too few points.  The parameters stay those before that iteration.
        """
        x, iterations = self._data(x, floor), integer("iterations", iterations, low=0)
        data = gaussian_em.standardize(x, floor)
        return (self._iterate(data, floor) for _ in range(iterations))

    @torch.no_grad()
    def _iterate(self, data: gaussian_em.Standard, floor: float) -> float:
        log_weights = self.logits.double().log_softmax(0)
        value, *new = gaussian_em.step(data, log_weights, self.means.double(), self.scale_tril.double(), floor)
        self._write(*new)
        return value

    def _write(self, weights: Tensor, means: Tensor, tril: Tensor) -> None:
        i, j = torch.tril_indices(self.features, self.features, -1, device=tril.device)
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.log_scales.copy_(tril.diagonal(dim1=1, dim2=2).log())
        self.lower.copy_(tril[:, i, j])

    def _data(self, x: Tensor, floor: float) -> Tensor:
        if floor:
            positive("floor", floor, 1e-3)
        x = batch(x, self.event_shape, like=self.means)
        if len(x) < self.components:
            raise bad(f"at least as many examples as components, {self.components}", len(x), "fewer components")
        return x.double()


def demos() -> dict[str, GMM]:
    """Three components in the plane."""
    return {"plane": GMM(3, 2)}
