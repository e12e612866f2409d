"""A room, a lamp, a camera: light that reaches each pixel, sorted by the colors that it met on its way.

A picture is linear in products of its colors.  With floor f, wall w and object o, a pixel is

    L_1 + L_f f + L_w w + L_o o + L_fw f w + L_fo f o + L_wo w o + L_ww w^2

where L_1 is light that met white only (highlights, skirting), L_f light that met the floor alone, L_fw light that met
floor and wall, and so on.  `light` finds the eight L once for a geometry; in any colors it is then eight products.

Direct light comes from a square panel and follows Lambert's law; its shadow is soft.  Light from the open side of the
room and light passed between two surfaces use closed-form form factors.  Polish grows at grazing angles
(Schlick, 1994).
"""

import math

import torch
from torch import Tensor

from gdm_core.data.scenes.solids import INF, solid

TERMS = 8
WHITE, F, W, O, FW, FO, WO, WW = range(TERMS)
PARTS = ("floor", "wall", "object", "skirting")

WALL = 2.7  # the left wall is x = -WALL, the right wall z = -WALL
SKIRTING = 0.17  # height of the white board at the foot of the walls
DISTANCE, HEIGHT = 7.0, 3.3  # of the camera, from the solid's axis and above the floor
TARGET = 0.9  # it looks at this height of the axis
VIEW = 38.0  # opening angle, degrees

LAMP = (1.1, 6.6, 5.4)  # center of the panel, which faces the foot of the solid
PANEL = 1.4  # half its side
POWER = 46.0  # irradiance at distance 1
SKY = 0.42  # irradiance under the open sky
PASSED = 0.45  # radiosity of a surface per unit of its color, where another one receives it
TILES = 3  # of the panel, on a side: one shadow ray each
KNEE = 0.8  # above it, film: colored light bends towards 1, so that no channel is cut off and no hue turns
ROOKS = ((0, 1, 2, 3, 4, 5, 6, 7), (2, 5, 0, 7, 4, 1, 6, 3))  # eight rays in a pixel, no two in one row or column


def camera(degrees: float, device) -> tuple[Tensor, Tensor]:
    """Position `(3, 1)`, and right, up and forward as the columns of a `(3, 3)`.

    At 0 degrees the corner lies straight behind the solid; for positive ones the camera has gone to the right.
    """
    azimuth, tilt = math.radians(45 + degrees), math.atan2(HEIGHT - TARGET, DISTANCE)
    s, c, ts, tc = math.sin(azimuth), math.cos(azimuth), math.sin(tilt), math.cos(tilt)
    position = [[DISTANCE * s], [HEIGHT], [DISTANCE * c]]
    axes = [[c, -ts * s, -tc * s], [0.0, tc, -ts], [-s, -ts * c, -tc * c]]
    return tuple(torch.tensor(v, dtype=torch.float32, device=device) for v in (position, axes))


def rays(u: Tensor, v: Tensor, axes: Tensor) -> Tensor:
    """Unit directions `(3, S)` through points of the picture, u to the right and v up, both from -1 to 1."""
    focal = torch.full_like(u, 1 / math.tan(math.radians(VIEW / 2)))
    d = axes @ torch.stack([u, v, focal])
    return d * dot(d, d).rsqrt_()


def dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b, dim=0)


def smooth(x: Tensor) -> Tensor:
    """0 up to 0, 1 from 1, a cubic between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def from_lamp(p: Tensor) -> tuple[Tensor, Tensor]:
    """Direction to the middle of the lamp, and its irradiance on what faces it."""
    to = p.new_tensor(LAMP)[:, None] - p
    square = dot(to, to)
    return to * square.rsqrt(), POWER / square


def panel(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lamp's axes: sideways, upwards, and where it faces."""
    x, y, z = LAMP
    flat, far = math.hypot(x, z), math.hypot(x, y, z)
    side = (z / flat, 0.0, -x / flat)
    up = (-x * y / (flat * far), flat / far, -z * y / (flat * far))
    return tuple(like.new_tensor(v) for v in (side, up, (-x / far, -y / far, -z / far)))


def lit(body, p: Tensor, l: Tensor, off: Tensor) -> Tensor:
    """Part of the lamp `(S,)` that points see past the solid: the mean over its tiles, each with an edge of its width.

    l is the direction from p to the middle of the lamp.  Where that ray passes well clear, and on the solid itself,
    where not `off`, the answer is 1.
    """
    gap, along = body.gap(p, l)
    near = ((gap < 0.1 + 0.35 * along.clamp_(min=0)) & off).nonzero().squeeze(1)
    out, p = torch.ones_like(gap), p.index_select(1, near)
    side, up, _ = panel(p)
    step = (torch.arange(TILES, dtype=p.dtype, device=p.device) * 2 - (TILES - 1)) * (PANEL / TILES)
    tiles = p.new_tensor(LAMP) + step[:, None, None] * side + step[:, None] * up  # (TILES, TILES, 3)
    to = tiles.flatten(0, 1).T[:, :, None] - p[:, None]  # (3, TILES^2, S)
    length = dot(to, to).sqrt_()
    gap, along = body.gap(p[:, None], to / length)
    along = along.clamp_(min=0)
    width = 0.02 + along / length * (1.3 * PANEL / TILES)
    seen = smooth(0.5 + 0.5 * gap / width).masked_fill_(along == 0, 1.0)
    return out.index_copy_(0, near, seen.mean(0))


def beside(distance: Tensor, reach: float) -> Tensor:
    """Form factor of a long wall, `reach` high, from a point of the floor: (1 - cosine of its elevation) / 2."""
    return 0.5 - 0.5 * distance * (distance * distance + reach * reach).rsqrt()


def floor_light(body, p: Tensor, d: Tensor, l: Tensor, direct: Tensor) -> Tensor:
    out = p.new_zeros(TERMS, p.shape[1])
    left, right, hidden = beside(p[0] + WALL, 4.0), beside(p[2] + WALL, 4.0), body.covers(p)
    clear, walls = 1 - hidden, left + right
    out[F] = 0.84 * (direct * l[1] + SKY * (1 - left) * (1 - right) * clear)  # or the solid's top would melt into it
    out[FW] = PASSED * walls * clear
    out[FO] = PASSED * hidden
    shine = 0.04 + 0.4 * (1 + d[1]) ** 4
    mirror = torch.stack([d[0], -d[1], d[2]])
    t = body.hit(p, mirror)
    out[W] = 0.3 * shine * (t == INF)
    met = (t < INF).nonzero().squeeze(1)
    q = p.index_select(1, met) + t[met] * mirror.index_select(1, met)
    l, power = from_lamp(q)
    seen = power * dot(body.normal(q), l).clamp_(min=0) + 0.5 * SKY
    out[O].index_copy_(0, met, shine[met] * torch.exp(-1.5 * q[1]) * seen)  # polish, no mirror: it blurs with height
    return out


def wall_light(body, p: Tensor, d: Tensor, l: Tensor, direct: Tensor) -> Tensor:
    out = p.new_zeros(TERMS, p.shape[1])
    right = p[2] < p[0]  # else the left one
    facing, corner = torch.where(right, l[2], l[0]).clamp_(min=0), torch.maximum(p[0], p[2]) + WALL
    floor, other = beside(p[1], 7.0), beside(corner, 4.0)
    board = (p[1] < SKIRTING).to(p.dtype)
    paint, white = 1 - board, 0.85 * board
    own = direct * facing + SKY * (1 - floor) * (1 - other)
    floor, other = PASSED * floor, PASSED * other
    out[WHITE], out[W], out[F] = own * white, own * paint + other * white, floor * white
    out[FW], out[WW] = floor * paint, other * paint
    return out


def object_light(body, p: Tensor, d: Tensor, l: Tensor, direct: Tensor) -> Tensor:
    out = p.new_zeros(TERMS, p.shape[1])
    n = body.normal(p)
    facing = dot(n, l)
    facing = smooth(facing / 0.3 + 0.5) * facing.clamp_(min=0)  # a broad lamp sets gently
    up, clear = 0.5 + 0.5 * n[1], p[1] / (p[1] + 0.25)  # near its foot the floor is dark
    back = (0.5 - (n[0] + n[2]) * math.sqrt(0.125)) * (1 - n[1].abs())
    out[O] = direct * facing + SKY * (0.25 + 0.75 * up)
    out[FO] = PASSED * (1 - up) * clear
    out[WO] = 0.5 * PASSED * back
    cosine = -dot(n, d)
    mirror = d + 2 * cosine * n
    shine = 0.04 + 0.6 * (1 - cosine.clamp(0, 1)) ** 5
    above = smooth(0.5 + 2 * mirror[1])
    out[WHITE] = shine * (10.0 * lamp_seen(p, mirror))
    out[W] = 0.5 * shine * above
    out[F] = 0.5 * shine * (1 - above) * clear
    return out


def lamp_seen(p: Tensor, r: Tensor) -> Tensor:
    """How much of the lamp stands in the mirror direction r."""
    side, up, look = panel(p)
    facing = -(look @ r)
    away = p - p.new_tensor(LAMP)[:, None]
    q = away + (look @ away) / facing.clamp(min=1e-3) * r
    out = torch.maximum((side @ q).abs_(), (up @ q).abs_())
    return smooth((PANEL - out) / 0.5 + 0.5) * (facing > 0)


def meet(body, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Distance along each ray to what it meets, and what that is: the number of a part, `(S,)` each."""
    floor = (-o[1] / d[1]).masked_fill_(d[1] >= 0, INF)
    left = ((-WALL - o[0]) / d[0]).masked_fill_(d[0] >= 0, INF)
    right = ((-WALL - o[2]) / d[2]).masked_fill_(d[2] >= 0, INF)
    wall, on_body = torch.minimum(left, right), body.hit(o, d)
    t = torch.minimum(torch.minimum(floor, wall), on_body)
    part = 1 + 2 * (o[1] + t * d[1] < SKIRTING).to(t.dtype)
    return t, part.masked_fill_(floor <= t, 0.0).masked_fill_(on_body <= t, 2.0)


def shade(body, o: Tensor, d: Tensor) -> Tensor:
    """Light `(8, S)` along each ray."""
    t, part = meet(body, o, d)
    p = o + t * d
    l, power = from_lamp(p)
    known = torch.cat([p, d, l, (power * lit(body, p, l, part != 2))[None]])
    out = d.new_zeros(TERMS, d.shape[1])
    for where, model in ((part == 0, floor_light), (part % 2 == 1, wall_light), (part == 2, object_light)):
        chosen = where.nonzero().squeeze(1)
        p, d, l, direct = known.index_select(1, chosen).split((3, 3, 3, 1))
        out.index_copy_(1, chosen, model(body, p, d, l, direct[0]))
    total = out[F : O + 1].sum(0) + 0.6 * out[FW:].sum(0)
    out[F:] *= torch.where(total > KNEE, KNEE + (1 - KNEE) * ((total - KNEE) / (1 - KNEE)).tanh_(), total) / total
    return out


def faces(body, o: Tensor, d: Tensor) -> Tensor:
    """A number `(S,)` that jumps by 1 or more from one part, wall or face of the solid, or highlight, to the next."""
    t, part = meet(body, o, d)
    p = o + t * d
    n = body.normal(p)
    half = from_lamp(p)[0] - d  # a mirror that faces this way shows the lamp
    glint = dot(n, half) > 0.99 * dot(half, half).sqrt_()
    return 10 * part + torch.where(part == 2, 2 * n[1] + n[0] + 4 * glint, 3.0 * (p[0] < p[2]))


def edges(key: Tensor) -> Tensor:
    """Pixels `(size, size)` in a 2 x 2 block over which `key` `(size, size)` changes by nearly 1."""
    high, low = torch.maximum(key[1:], key[:-1]), torch.minimum(key[1:], key[:-1])
    high, low = torch.maximum(high[:, 1:], high[:, :-1]), torch.minimum(low[:, 1:], low[:, :-1])
    block = high - low > 0.9
    out = torch.zeros_like(key, dtype=torch.bool)
    for i in (slice(1, None), slice(None, -1)):
        for j in (slice(1, None), slice(None, -1)):
            out[i, j] |= block
    return out


def mixed(floor: Tensor, wall: Tensor, thing: Tensor) -> Tensor:
    """What the eight kinds of light are multiplied with: colors of three parts, `(..., 3)`, to `(..., 3, 8)`."""
    terms = [torch.ones_like(floor), floor, wall, thing, floor * wall, floor * thing, wall * thing, wall * wall]
    return torch.stack(terms, -1)


def light(shape: str, scale: float, degrees: float, size: int, device) -> Tensor:
    """The eight factors of light, `(8, size, size)`: one ray a pixel, eight where an edge crosses it."""
    out = torch.empty(TERMS, size * size, dtype=torch.float32, device=device)
    with torch.inference_mode():
        body = solid(shape, scale)
        o, axes = camera(degrees, device)
        line = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) * (2 / size) - 1
        u, v = line.repeat(size), -line.repeat_interleave(size)
        d = rays(u, v, axes)
        edge = edges(faces(body, o, d).view(size, size)).flatten()
        plain, edge = (~edge).nonzero().squeeze(1), edge.nonzero().squeeze(1)
        du, dv = (2 / size) * (torch.tensor(ROOKS, dtype=torch.float32, device=device) - 3.5).view(2, 1, -1) / 8
        fine = rays((u[edge, None] + du).flatten(), (v[edge, None] + dv).flatten(), axes)
        found = shade(body, o, torch.cat([d.index_select(1, plain), fine], 1))
        out.index_copy_(1, plain, found[:, : len(plain)])
        out.index_copy_(1, edge, found[:, len(plain) :].view(TERMS, len(edge), -1).mean(-1))
    return out.view(TERMS, size, size)


@torch.no_grad()
def coverage(shape: str, scale: float, degrees: float, size: int, device) -> Tensor:
    """Share of each part in each pixel, `(4, size, size)`, from 4 x 4 rays."""
    fine = 4 * size
    line = (torch.arange(fine, dtype=torch.float32, device=device) + 0.5) * (2 / fine) - 1
    o, axes = camera(degrees, device)
    _, part = meet(solid(shape, scale), o, rays(line.repeat(fine), -line.repeat_interleave(fine), axes))
    each = part == torch.arange(len(PARTS), device=device)[:, None]
    return each.float().view(len(PARTS), size, 4, size, 4).mean((2, 4))
