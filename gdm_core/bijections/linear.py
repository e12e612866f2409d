r"""Linear layers: a permutation, a scale for each channel, a mixture of channels.

    activation norm   z = (x - shift) exp(s)             H W sum(s)               Kingma & Dhariwal (2018, table 1)
    1x1 convolution   z = P L (U + diag(sign exp(s))) x  H W sum(s)               their eq. 10-11

L is lower triangular with ones on its diagonal, U upper with zeros; P and sign are those of a random rotation.
"""

import torch
from torch import Tensor, nn

from gdm_core.bijections.bijection import Bijection
from gdm_core.validate import bad, integer


class Permutation(Bijection):
    """Features, or channels, in another order: z[:, i] = x[:, order[i]]."""

    def __init__(self, order):
        super().__init__()
        order = torch.as_tensor(order)
        if order.ndim != 1 or not torch.equal(order.sort().values, torch.arange(len(order))):
            raise bad("each of 0 ... d-1 once", order.tolist(), "order=[1, 0]")
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    @staticmethod
    def flip(features: int) -> "Permutation":
        """The last first: what was a coupling's first half is its second."""
        return Permutation(list(range(integer("features", features)))[::-1])

    def to_latent(self, x, c=None):
        return x[:, self.order], x.new_zeros(len(x))

    def to_data(self, z, c=None):
        return z[:, self.back]


class ActNorm(Bijection):
    """A shift and a scale for each feature or channel.

    `start` sets them by data, to mean 0 and deviation 1 behind the layer; while `starting`, whatever comes by does.
    """

    starting = False

    def __init__(self, features: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(integer("features", features)))
        self.log_scale = nn.Parameter(torch.zeros(features))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """x: (B, features, ...), what arrives at this layer."""
        flat = x.transpose(0, 1).flatten(1)  # (features, B ...)
        self.shift.copy_(flat.mean(1))
        self.log_scale.copy_(-flat.std(1).clamp_min(1e-6).log())

    def to_latent(self, x, c=None):
        if self.starting:
            self.start(x)
        z = (x - planes(self.shift, x)) * planes(self.log_scale.exp(), x)
        return z, (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    def to_data(self, z, c=None):
        return z * planes(torch.exp(-self.log_scale), z) + planes(self.shift, z)


class Mix(Bijection):
    """An invertible matrix over features or channels, as an LU product: Glow's 1x1 convolution."""

    def __init__(self, features: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(integer("features", features), features)).Q
        P, L, U = torch.linalg.lu(rotation)
        diagonal = U.diagonal()
        self.register_buffer("P", P)
        self.register_buffer("sign", diagonal.sign())
        self.lower, self.upper = nn.Parameter(L.tril(-1)), nn.Parameter(U.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())

    def _factors(self) -> tuple[Tensor, Tensor]:
        L = self.lower.tril(-1) + torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        return L, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def to_latent(self, x, c=None):
        L, U = self._factors()
        z = torch.einsum("ij,bj...->bi...", self.P @ L @ U, x)
        return z, (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    def to_data(self, z, c=None):
        L, U = self._factors()
        columns = z.transpose(0, 1).flatten(1)  # (features, B ...)
        half = torch.linalg.solve_triangular(L, self.P.T @ columns, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(U, half, upper=True)
        return x.unflatten(1, (len(z), *z.shape[2:])).transpose(0, 1)


def planes(a: Tensor, x: Tensor) -> Tensor:
    """(C,) beside x (B, C, ...)."""
    return a.reshape(1, -1, *[1] * (x.ndim - 2))
