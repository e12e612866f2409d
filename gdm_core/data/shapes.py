r"""More exact targets: curved, bent, cut out.

    rings         p(x) = sum_j w_j / (2 pi s^2) exp(-(|x| - R_j)^2 / 2 s^2) I0e(|x| R_j / s^2)
    pinwheel      p(x) = mean_k N(T_k(x); (radius, 0), diag(std^2)),  T_k a rotation by an angle that grows with |x|
    banana        x_1 ~ N(0, s^2),  x_2 | x_1 ~ N(b (x_1^2 - s^2), c^2)      (after Haario et al., 1999)
    funnel        x_1 ~ N(0, s^2),  x_2 | x_1 ~ N(0, c^2 exp(x_1))           (Neal, 2003, section 8)
    checkerboard  uniform on every other square

Bending is a map of determinant 1, so undoing it gives the density.
"""

import math

import torch
from torch import Tensor

from gdm_core.data.targets import Target, grid, tiled
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, integer, positive


class Rings(Target):
    """Circles around the origin, blurred by round Gaussian noise.

    Averaging N(x; R u, s^2 I) over directions u gives a Bessel function of |x| R / s^2.

    Args:
        radii: R, (J,).
        std: s.
        weights: (J,), up to a factor; by default as the radii, which gives all rings the same brightness.
    """

    def __init__(self, radii, std: float, weights=None):
        super().__init__()
        radii = torch.as_tensor(radii, dtype=torch.float32)
        if radii.ndim != 1 or not (radii > 0).all():
            raise bad("positive radii (J,)", radii.tolist(), "radii=[1.0, 2.0]")
        weights = radii if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        self.register_buffer("radii", radii)
        self.register_buffer("std", torch.tensor(positive("std", std, 0.1)))
        self.register_buffer("weights", weights / weights.sum())

    def _log_joint(self, r: Tensor) -> Tensor:
        """log w_j + log p(x | ring j) at |x| = r, (B, 1) -> (B, J).  I0e(t) = exp(-t) I0(t) does not overflow."""
        radii, var, log_weights = self.radii.to(r), self.std.to(r) ** 2, self.weights.to(r).log().log_softmax(0)
        bessel = torch.special.i0e(r * radii / var).log()
        return log_weights - LOG_2PI - var.log() - 0.5 * (r - radii) ** 2 / var + bessel

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        return self._log_joint(torch.linalg.vector_norm(x, dim=1, keepdim=True)).logsumexp(1)

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (B, 2), along x; d/dt log I0(t) = I1(t) / I0(t)."""
        r = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        radii, var = self.radii.to(x), self.std.to(x) ** 2
        t = r * radii / var
        slope = (radii * torch.special.i1e(t) / torch.special.i0e(t) - r) / var  # (B, J)
        along = (self._log_joint(r).softmax(1) * slope).sum(1, keepdim=True)
        return along * x / r.clamp_min(torch.finfo(x.dtype).tiny)

    def draw(self, n, generator=None):
        j = self._choose(self.weights, n, generator)
        direction = self._normal(n, 2, generator=generator)
        direction = direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        return self.radii[j, None] * direction + self.std * self._normal(n, 2, generator=generator), j

    def quadrature(self):
        reach = self.radii.max().item() + 8 * self.std.item()
        return grid([-reach] * 2, [reach] * 2, self.std.item() / 2)


class Pinwheel(Target):
    """Arms thrown outwards and bent by a rotation whose angle grows with the distance (after Johnson et al., 2016).

    The rotation keeps |x| and areas, so undoing it gives the density: arm k is N((radius, 0), diag(std^2)) there.

    Args:
        arms: K, equally likely.
        radius: where the middle of an arm is.
        std: (along, across) an arm before bending.
        twist: radians by unit of distance.
    """

    def __init__(self, arms: int, radius: float, std: tuple[float, float], twist: float):
        super().__init__()
        self.register_buffer("angles", torch.arange(integer("arms", arms)) * (2 * math.pi / arms))
        self.register_buffer("std", _two(std))
        self.radius, self.twist = radius, twist

    def _unbend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates along and across each arm, (B, K) both, and |x|, (B, 1)."""
        r = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        angle = self.angles.to(x) + self.twist * r  # (B, K)
        cos, sin = angle.cos(), angle.sin()
        return cos * x[:, :1] + sin * x[:, 1:], cos * x[:, 1:] - sin * x[:, :1], r

    def _log_joint(self, along: Tensor, across: Tensor) -> Tensor:
        std = self.std.to(along)
        square = ((along - self.radius) / std[0]) ** 2 + (across / std[1]) ** 2
        return -0.5 * square - std.log().sum() - LOG_2PI - math.log(len(self.angles))  # (B, K)

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        return self._log_joint(*self._unbend(x)[:2]).logsumexp(1)

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (B, 2): each arm's score, turned back, and what the bending adds along x."""
        along, across, r = self._unbend(x)
        weight = self._log_joint(along, across).softmax(1)  # p(k | x)
        std = self.std.to(x)
        g, h = -(along - self.radius) / std[0] ** 2, -across / std[1] ** 2  # (B, K)
        angle = self.angles.to(x) + self.twist * r
        cos, sin = angle.cos(), angle.sin()
        turned = torch.stack([cos * g - sin * h, sin * g + cos * h], -1)  # (B, K, 2)
        bending = self.twist * (g * across - h * along)  # d(along)/dr = twist across, d(across)/dr = -twist along
        outwards = x / r.clamp_min(torch.finfo(x.dtype).tiny)
        return (weight[..., None] * (turned + bending[..., None] * outwards[:, None])).sum(1)

    def draw(self, n, generator=None):
        arm = self._choose(torch.ones_like(self.angles), n, generator)
        flat = self._normal(n, 2, generator=generator) * self.std
        flat[:, 0] += self.radius
        angle = self.angles[arm] + self.twist * torch.linalg.vector_norm(flat, dim=1)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * flat[:, 0] - sin * flat[:, 1], sin * flat[:, 0] + cos * flat[:, 1]], 1), arm

    def quadrature(self):
        reach = math.hypot(self.radius + 8 * self.std[0].item(), 8 * self.std[1].item())
        return grid([-reach] * 2, [reach] * 2, self.std.min().item() / 4)


class Banana(Target):
    """x_1 ~ N(0, s^2), x_2 | x_1 ~ N(b (x_1^2 - s^2), c^2).

    Args:
        std: (s, c).
        bend: b.
    """

    def __init__(self, std: tuple[float, float], bend: float):
        super().__init__()
        self.register_buffer("std", _two(std))
        self.bend = bend

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        std = self.std.to(x)
        rest = x[:, 1] - self.bend * (x[:, 0] ** 2 - std[0] ** 2)
        return -0.5 * ((x[:, 0] / std[0]) ** 2 + (rest / std[1]) ** 2) - std.log().sum() - LOG_2PI

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (B, 2)."""
        std = self.std.to(x)
        rest = (x[:, 1] - self.bend * (x[:, 0] ** 2 - std[0] ** 2)) / std[1] ** 2
        return torch.stack([-x[:, 0] / std[0] ** 2 + 2 * self.bend * x[:, 0] * rest, -rest], 1)

    def _bent(self, noise: Tensor) -> Tensor:
        flat = noise * self.std.to(noise)
        return torch.stack([flat[:, 0], flat[:, 1] + self.bend * (flat[:, 0] ** 2 - self.std[0].to(noise) ** 2)], 1)

    def draw(self, n, generator=None):
        return self._bent(self._normal(integer("n", n), 2, generator=generator)), None

    def quadrature(self):
        noise, weights = grid([-8.0] * 2, [8.0] * 2, 0.25)
        return self._bent(noise), weights * self.std.cpu().double().prod()

    def entropy(self) -> float:
        """That of the Gaussian before bending: log(2 pi e s c), nats."""
        return 1 + LOG_2PI + self.std.cpu().double().log().sum().item()


class Funnel(Target):
    """Neal's funnel: x_1 ~ N(0, s^2), x_2 | x_1 ~ N(0, c^2 exp(x_1)).

    Args:
        std: (s, c).
    """

    def __init__(self, std: tuple[float, float]):
        super().__init__()
        self.register_buffer("std", _two(std))

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        std, v = self.std.to(x), x[:, 0]
        return -0.5 * ((v / std[0]) ** 2 + (x[:, 1] / std[1]) ** 2 * (-v).exp() + v) - std.log().sum() - LOG_2PI

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (B, 2)."""
        std, v = self.std.to(x), x[:, 0]
        narrow = (-v).exp() / std[1] ** 2
        return torch.stack([-v / std[0] ** 2 - 0.5 + 0.5 * x[:, 1] ** 2 * narrow, -x[:, 1] * narrow], 1)

    def _widened(self, noise: Tensor) -> Tensor:
        flat = noise * self.std.to(noise)
        return torch.stack([flat[:, 0], flat[:, 1] * (0.5 * flat[:, 0]).exp()], 1)

    def draw(self, n, generator=None):
        return self._widened(self._normal(integer("n", n), 2, generator=generator)), None

    def quadrature(self):
        noise, weights = grid([-8.0] * 2, [8.0] * 2, 0.25)
        points = self._widened(noise)
        return points, weights * self.std.cpu().double().prod() * (0.5 * points[:, 0]).exp()

    def entropy(self) -> float:
        """log(2 pi e s c): E[x_1] = 0, so the funnel's mean log-width is that of its middle; nats."""
        return 1 + LOG_2PI + self.std.cpu().double().log().sum().item()


class Checkerboard(Target):
    """Uniform on every other square of a board around the origin, the one at its lower left corner included.

    It has no `score`: the density is flat inside and jumps at the borders.

    Args:
        squares: number of squares along a side, even.
        width: of a square.
    """

    def __init__(self, squares: int, width: float):
        super().__init__()
        if integer("squares", squares, low=2) % 2:
            raise bad("an even number of squares", squares, f"squares={squares + 1}")
        self.squares = squares
        self.register_buffer("width", torch.tensor(positive("width", width)))

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats; -inf off the squares."""
        column = torch.floor(x / self.width.to(x)) + self.squares // 2  # (B, 2), whole numbers
        inside = ((column >= 0) & (column < self.squares)).all(1) & (column.sum(1) % 2 == 0)
        return torch.full_like(x[:, 0], -self.entropy()).masked_fill(~inside, -math.inf)

    def draw(self, n, generator=None):
        half = self.squares // 2
        k = self._choose(torch.ones(self.squares * half, device=self.width.device), n, generator)
        row = k // half
        column = 2 * (k % half) + row % 2
        corner = torch.stack([column, row], 1) - half
        # Twenty bits keep corner + offset exact in float32; torch.rand could be rounded up into the next square.
        offset = torch.randint(2**20, (n, 2), generator=generator, device=k.device).to(self.width)
        return (corner + (offset + 0.5) / 2**20) * self.width, k

    def quadrature(self):
        reach = self.squares // 2 * self.width.item()
        return grid([-reach] * 2, [reach] * 2, self.width.item() / 16)

    def entropy(self) -> float:
        """log of the area, nats."""
        return math.log(self.squares**2 / 2 * self.width.item() ** 2)


def _two(std) -> Tensor:
    return torch.tensor([positive("std", s) for s in std])
