"""The four solids that stand on the floor: where a ray meets them, and how they shade what lies around them.

Each stands upright on y = 0 with its axis on x = z = 0, and at one scale all four have one volume.  Vectors are tensors
`(3, ...)`: x, y (up), z; lengths are in units of the room; directions have length 1.

- `hit(o, d)`: distance at which the ray from o, outside, towards d meets the solid; infinite where it misses.
- `normal(p)`: outward unit normal at points of the surface.
- `gap(p, l)`: how far the ray from p towards the light passes the solid, negative where it meets it; and the distance
  to that closest approach.  Half shadows are made of both.
- `covers(p)`: cosine-weighted part of the sky that the solid hides from points of the floor.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIDE = 1.22  # of the cube at scale 1, in units of the room
INF = float("inf")
TINY = 1e-9


def first_root(a, b: Tensor, c: Tensor) -> Tensor:
    """Smaller root of a t^2 + 2 b t + c, infinite where there is none or it lies behind."""
    square = b * b - a * c
    t = -(b + square.clamp(min=0).sqrt_()) / a
    return t.masked_fill_((square <= 0) | (t <= 0), INF)


def risen(span: Tensor, clear: Tensor, height: float) -> Tensor:
    """Sky hidden by an upright body: the share of the azimuths that it spans, times its elevation seen `clear` away.

    The sky over azimuth phi up to elevation e weighs sin^2(e) dphi / 2 pi: Lambert's cosine integrated over e.
    """
    return span * (height**2 / (height**2 + clear * clear))


def around(distance: Tensor, radius: float, height: float) -> Tensor:
    """The same for a round body whose axis is `distance` away."""
    span = (radius / distance.clamp(min=radius)).asin_() / math.pi
    return risen(span, (distance - radius).clamp_(min=0), height)


def ball_gap(p: Tensor, l: Tensor, height, radius: float) -> tuple[Tensor, Tensor]:
    """Clearance of the ray p + t l from the ball around (0, height, 0), and t there."""
    rise = height - p[1]
    along = rise * l[1] - p[0] * l[0] - p[2] * l[2]
    square = p[0] * p[0] + p[2] * p[2] + rise * rise - along * along
    return square.clamp_(min=1e-12).sqrt_() - radius, along


@dataclass(frozen=True)
class Cube:
    half: float

    @classmethod
    def of_volume(cls, volume: float) -> "Cube":
        return cls(volume ** (1 / 3) / 2)

    def hit(self, o: Tensor, d: Tensor) -> Tensor:
        near = far = None
        for axis, center in enumerate((0.0, self.half, 0.0)):
            inverse = 1 / torch.where(d[axis].abs() < TINY, TINY, d[axis])  # finite for rays along a face
            middle, reach = (center - o[axis]) * inverse, self.half * inverse.abs()
            first, last = middle - reach, middle + reach  # inside the slab between these two
            near = first if near is None else torch.maximum(near, first)
            far = last if far is None else torch.minimum(far, last)
        return near.masked_fill_((near >= far) | (near <= 0), INF)

    def normal(self, p: Tensor) -> Tensor:
        x, y, z = p[0], p[1] - self.half, p[2]
        u, v, w = x.abs(), y.abs(), z.abs()
        on_y = v >= torch.maximum(u, w)
        on_x = (u >= w) & ~on_y
        return torch.stack([x.sign() * on_x, y.sign() * on_y, z.sign() * ~(on_x | on_y)])

    def gap(self, p: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:
        # max(|x|, |z|) is convex and piecewise linear along the ray: its least value is at a kink or at an end
        (x, y, z), (u, v, w) = p, l
        end = ((2 * self.half - y) / v).clamp_(min=0)
        best = along = None
        for over, under in ((x, u), (z, w), (x - z, u - w), (x + z, u + w)):
            t = torch.minimum((over / -under).nan_to_num_(0.0).clamp_(min=0), end)
            g = torch.maximum((x + t * u).abs_(), (z + t * w).abs_())
            along = t if along is None else torch.where(g < best, t, along)
            best = g if best is None else torch.minimum(best, g)
        return best - self.half, along

    def covers(self, p: Tensor) -> Tensor:
        x, z, half = p[0].abs(), p[2].abs(), self.half  # by symmetry, one quarter of the floor
        beyond_x, beyond_z = x > half, z > half
        u, v = half - x, torch.where(beyond_x, -half, half) - z  # towards the two outermost corners
        s, t = torch.where(beyond_z, -half, half) - x, half - z
        span = torch.atan2((u * t - v * s).abs_(), u * s + v * t) / (2 * math.pi)
        clear = torch.hypot((x - half).clamp_(min=0), (z - half).clamp_(min=0))
        return risen(span, clear + 0.3 * half * (beyond_x & beyond_z), 2 * half)  # the nearest edge is not the mean one


@dataclass(frozen=True)
class Cylinder:
    radius: float

    @classmethod
    def of_volume(cls, volume: float) -> "Cylinder":
        return cls((volume / (2 * math.pi)) ** (1 / 3))

    @property
    def height(self) -> float:
        return 2 * self.radius  # as high as it is wide: the same proportions as the cube and the sphere

    def hit(self, o: Tensor, d: Tensor) -> Tensor:
        r, h = self.radius, self.height
        a = (d[0] * d[0] + d[2] * d[2]).clamp_(min=TINY)
        side = first_root(a, o[0] * d[0] + o[2] * d[2], o[0] * o[0] + o[2] * o[2] - r * r)
        y = o[1] + side * d[1]
        side.masked_fill_((y < 0) | (y > h), INF)
        top = (h - o[1]) / d[1]
        x, z = o[0] + top * d[0], o[2] + top * d[2]
        top.masked_fill_((x * x + z * z > r * r) | (top <= 0), INF)
        return torch.minimum(side, top)

    def normal(self, p: Tensor) -> Tensor:
        top = p[1] > self.height * (1 - 1e-5)
        side = (~top).to(p.dtype) / self.radius
        return torch.stack([p[0] * side, top.to(p.dtype), p[2] * side])

    def gap(self, p: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:
        end = ((self.height - p[1]) / l[1]).clamp_(min=0)
        flat = (l[0] * l[0] + l[2] * l[2]).clamp_(min=TINY)
        t = torch.minimum((-(p[0] * l[0] + p[2] * l[2]) / flat).clamp_(min=0), end)
        return torch.hypot(p[0] + t * l[0], p[2] + t * l[2]) - self.radius, t

    def covers(self, p: Tensor) -> Tensor:
        return around(torch.hypot(p[0], p[2]), self.radius, self.height)


@dataclass(frozen=True)
class Sphere:
    radius: float

    @classmethod
    def of_volume(cls, volume: float) -> "Sphere":
        return cls((3 * volume / (4 * math.pi)) ** (1 / 3))

    def hit(self, o: Tensor, d: Tensor) -> Tensor:
        x, y, z = o[0], o[1] - self.radius, o[2]
        return first_root(1.0, x * d[0] + y * d[1] + z * d[2], x * x + y * y + z * z - self.radius**2)

    def normal(self, p: Tensor) -> Tensor:
        return torch.stack([p[0], p[1] - self.radius, p[2]]) / self.radius

    def gap(self, p: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:
        return ball_gap(p, l, self.radius, self.radius)

    def covers(self, p: Tensor) -> Tensor:
        square = p[0] * p[0] + p[2] * p[2] + self.radius**2
        return self.radius**3 / (square * square.sqrt())  # (r / distance)^2 times the cosine: exact


@dataclass(frozen=True)
class Capsule:
    radius: float

    STRAIGHT = 1.2  # the part between the caps, in radii

    @classmethod
    def of_volume(cls, volume: float) -> "Capsule":
        return cls((volume / ((cls.STRAIGHT + 4 / 3) * math.pi)) ** (1 / 3))

    @property
    def top(self) -> float:
        return (1 + self.STRAIGHT) * self.radius  # center of the upper cap

    def hit(self, o: Tensor, d: Tensor) -> Tensor:
        r = self.radius
        flat, level = o[0] * d[0] + o[2] * d[2], o[0] * o[0] + o[2] * o[2] - r * r
        t = first_root((d[0] * d[0] + d[2] * d[2]).clamp_(min=TINY), flat, level)
        y = o[1] + t * d[1]
        t.masked_fill_((y < r) | (y > self.top), INF)
        for center in (r, self.top):
            v = o[1] - center
            t = torch.minimum(t, first_root(1.0, flat + v * d[1], level + v * v))
        return t

    def normal(self, p: Tensor) -> Tensor:
        return torch.stack([p[0], p[1] - p[1].clamp(self.radius, self.top), p[2]]) / self.radius

    def gap(self, p: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:
        flat = (l[0] * l[0] + l[2] * l[2]).clamp_(min=TINY)
        y = p[1] - (p[0] * l[0] + p[2] * l[2]) / flat * l[1]  # height at which the ray passes the axis
        return ball_gap(p, l, y.clamp_(self.radius, self.top), self.radius)

    def covers(self, p: Tensor) -> Tensor:
        square = p[0] * p[0] + p[2] * p[2]
        low = square + self.radius**2
        foot = self.radius**3 / (low * low.sqrt())  # the lower cap as a ball
        body = around(square.sqrt() + 0.15 * self.radius, self.radius, self.top + 0.5 * self.radius)
        return torch.maximum(foot, body)


SOLIDS = {"cube": Cube, "cylinder": Cylinder, "sphere": Sphere, "capsule": Capsule}


def solid(shape: str, scale: float) -> Cube | Cylinder | Sphere | Capsule:
    """The named solid, `scale` times as long in every direction as it is at scale 1."""
    return SOLIDS[shape].of_volume((scale * SIDE) ** 3)
