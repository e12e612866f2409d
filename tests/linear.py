"""A linear-Gaussian latent variable model whose every quantity is known in closed form, and a curved one on a grid."""

import numpy as np
import scipy.stats
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal


class Linear(nn.Module):
    """x = W z + b + std * epsilon with a posterior that is right (`skew=0`) or shifted and too wide."""

    def __init__(self, features=3, latents=2, std=0.6, skew=0.0, seed=0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.W = nn.Parameter(torch.randn(features, latents, generator=g, dtype=torch.float64))
        self.b = nn.Parameter(torch.randn(features, generator=g, dtype=torch.float64))
        self.std, self.skew, self.event_shape = std, skew, (features,)
        self.largest = 0

    def prior(self):
        zero = torch.zeros(self.W.shape[1], dtype=torch.float64)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def decode(self, z):
        self.largest = max(self.largest, z[..., 0].numel())
        return Independent(Normal(z @ self.W.T + self.b, self.std), 1)

    def encode(self, x):
        precision = torch.eye(self.W.shape[1], dtype=torch.float64) + self.W.T @ self.W / self.std**2
        covariance = torch.linalg.inv(precision)
        mean = (x - self.b) @ self.W @ covariance / self.std**2
        return MultivariateNormal(mean + self.skew, covariance * (1 + self.skew))

    def data(self, n=6, seed=1):
        torch.manual_seed(seed)
        with torch.no_grad():
            return self.decode(torch.randn(n, self.W.shape[1], dtype=torch.float64)).sample()

    def log_prob(self, x):
        W, b = self.W.detach().numpy(), self.b.detach().numpy()
        truth = scipy.stats.multivariate_normal(b, W @ W.T + self.std**2 * np.eye(len(b)))
        return torch.tensor(np.atleast_1d(truth.logpdf(x.numpy())))


class MeanField(Linear):
    """Its encoder gives the best factorized q there is: the posterior's mean, and the precisions' diagonal."""

    def encode(self, x):
        exact = super().encode(x)
        return factorized(exact.mean, exact.precision_matrix.diagonal(dim1=-2, dim2=-1) ** -0.5)


def ring(std=0.15):
    """One or two latents on a circle: a curved, bimodal posterior."""

    class Ring(Linear):
        def decode(self, z):
            r = z.norm(dim=-1, keepdim=True)
            return Independent(Normal(torch.cat([r, 0.2 * z[..., :1], 0 * r], -1), std), 1)

    return Ring()


class Drawn:
    """A q whose draws are made beforehand, so that a bound taken in pieces can be held against all of them at once."""

    has_rsample = True

    def __init__(self, q, count):
        self.z, self.used, self.batch_shape, self.log_prob = q.sample((count,)), 0, q.batch_shape, q.log_prob

    def rsample(self, shape):
        self.used += shape[0]
        return self.z[self.used - shape[0] : self.used]


def factorized(mean, std):
    return Independent(Normal(mean, std), 1)
