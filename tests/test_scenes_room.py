"""Rooms against geometry done another way: numpy distance fields, a marching ray, a pinhole camera."""

import math

import numpy as np
import pytest
import torch

from gdm_core.data import scenes
from gdm_core.data.scenes import room, solids

SHAPES = ("cube", "cylinder", "sphere", "capsule")
WALL, DISTANCE, HEIGHT, TARGET = room.WALL, room.DISTANCE, room.HEIGHT, room.TARGET
HALF_VIEW = math.tan(math.radians(room.VIEW / 2))


# ---- solids against signed distance fields


def distance(shape, scale, p):
    """Signed distance (…,) from points (…, 3) to the solid, written with the sizes that its volume prescribes."""
    volume = (scale * solids.SIDE) ** 3
    x, y, z = np.moveaxis(p, -1, 0)
    axis = np.hypot(x, z)
    if shape == "sphere":
        r = (3 * volume / (4 * math.pi)) ** (1 / 3)
        return np.sqrt(axis**2 + (y - r) ** 2) - r
    if shape == "capsule":
        straight = solids.Capsule.STRAIGHT
        r = (volume / (math.pi * (straight + 4 / 3))) ** (1 / 3)
        return np.hypot(axis, y - np.clip(y, r, (1 + straight) * r)) - r
    if shape == "cylinder":
        r = (volume / (2 * math.pi)) ** (1 / 3)
        q = np.stack([axis - r, np.abs(y - r) - r])
    else:
        half = volume ** (1 / 3) / 2
        q = np.stack([np.abs(x) - half, np.abs(y - half) - half, np.abs(z) - half])
    return np.linalg.norm(np.maximum(q, 0), axis=0) + np.minimum(q.max(0), 0)


def march(shape, scale, o, d, far=20.0):
    """Distance (S,) to the solid along rays o + t d by stepping as far as the field allows; inf where it is missed."""
    t = np.zeros(len(d))
    for _ in range(400):
        t = np.minimum(t + distance(shape, scale, o + t[:, None] * d), far)
    return np.where(t < far, t, np.inf)


def scattered(n, seed):
    """Origins around the solid and directions roughly towards it."""
    rng = np.random.default_rng(seed)
    o = rng.normal(size=(n, 3))
    o = o / np.linalg.norm(o, axis=1, keepdims=True) * rng.uniform(3.5, 7, size=(n, 1))
    o[:, 1] = np.abs(o[:, 1])  # nobody looks from under the floor
    d = rng.uniform([-1.2, -0.6, -1.2], [1.2, 2.4, 1.2], size=(n, 3)) - o
    return o, d / np.linalg.norm(d, axis=1, keepdims=True)


def columns(a):
    return torch.from_numpy(np.ascontiguousarray(a.T))


@pytest.mark.parametrize("shape", SHAPES)
def test_rays_meet_solids_where_the_distance_field_vanishes(shape):
    body = solids.solid(shape, 1.1)
    o, d = scattered(3000, 1)
    t, truth = body.hit(columns(o), columns(d)).numpy(), march(shape, 1.1, o, d)
    met = np.isfinite(truth)
    assert 0.2 < met.mean() < 0.9
    grazing = np.isfinite(t) != met  # the march may stop short of a miss by a hair
    assert grazing.mean() < 0.005
    both = met & ~grazing
    both[both] &= np.abs(distance(shape, 1.1, (o + truth[:, None] * d)[both])) < 1e-9  # still creeping along a face
    assert both.sum() > 0.95 * met.sum()
    assert np.abs(t[both] - truth[both]).max() < 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_are_gradients_of_the_distance(shape):
    body = solids.solid(shape, 0.9)
    o, d = scattered(800, 2)
    t = body.hit(columns(o), columns(d)).numpy()
    p = (o + t[:, None] * d)[np.isfinite(t)]
    n = body.normal(columns(p)).numpy().T
    step = 1e-5 * np.eye(3)
    slope = np.stack([distance(shape, 0.9, p + e) - distance(shape, 0.9, p - e) for e in step], 1) / 2e-5
    smooth = np.abs(np.linalg.norm(slope, axis=1) - 1) < 1e-3  # an edge has no normal
    assert smooth.mean() > 0.98
    assert np.abs(n - slope)[smooth].max() < 1e-3


def test_volumes_are_equal():
    line = (np.arange(-150, 150) + 0.5) / 100
    x, z = (a.ravel() for a in np.meshgrid(line, line))
    down, up = np.stack([x, 0 * x + 5, z], 1), np.stack([x, 0 * x - 5, z], 1)
    for shape in SHAPES:
        body = solids.solid(shape, 1.2)
        above = body.hit(columns(down), columns(np.tile([1e-7, -1.0, 1e-7], (len(x), 1))))
        below = body.hit(columns(up), columns(np.tile([1e-7, 1.0, 1e-7], (len(x), 1))))
        if shape == "cylinder":  # no ray of a scene comes from below, so it has no lower face
            below = torch.where(torch.isfinite(above), 5.0, math.inf)
        thick = (10 - above - below).clamp(min=0).nan_to_num(0, 0, 0)
        assert thick.sum().item() * 1e-4 == pytest.approx((1.2 * solids.SIDE) ** 3, rel=1e-2), shape


@pytest.mark.parametrize("shape", SHAPES)
def test_gap_is_negative_where_the_light_is_blocked(shape):
    body = solids.solid(shape, 1.0)
    rng = np.random.default_rng(3)
    p = rng.uniform([-WALL, 0, -WALL], [2, 2.5, 2], size=(2000, 3))
    p = p[distance(shape, 1.0, p) > 0.02]
    l = np.array(room.LAMP) + rng.uniform(-1, 1, size=p.shape) - p
    l /= np.linalg.norm(l, axis=1, keepdims=True)
    gap, along = (v.numpy() for v in body.gap(columns(p), columns(l)))
    passed = distance(shape, 1.0, p[:, None] + np.linspace(0, 5, 1001)[:, None] * l[:, None]).min(1)
    clear = np.abs(passed) > 0.01
    blocked = (gap < 0) & (along > 0)
    assert 0.02 < blocked.mean() < 0.5
    assert np.array_equal(blocked[clear], passed[clear] < 0)
    if shape in ("sphere", "capsule"):
        before = along > 0.01
        assert np.abs(gap - passed)[before & (passed > 0.01)].max() < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_hidden_sky_is_the_cosine_weighted_share_of_rays(shape):
    body = solids.solid(shape, 1.0)
    rng = np.random.default_rng(4)
    n = 20_000
    u, turn = rng.uniform(size=n), rng.uniform(0, 2 * math.pi, size=n)
    d = np.stack([np.sqrt(u) * np.cos(turn), np.sqrt(1 - u) + 1e-6, np.sqrt(u) * np.sin(turn)], 1)
    for radius, angle in ((0.75, 0.0), (0.9, 0.0), (1.0, 0.8), (1.3, 0.4), (2.0, 0.7)):
        p = np.array([radius * math.cos(angle), 1e-4, radius * math.sin(angle)])
        share = torch.isfinite(body.hit(columns(np.tile(p, (n, 1))), columns(d))).double().mean().item()
        error = 4 * math.sqrt(share * (1 - share) / n)
        tolerance = error + (0 if shape == "sphere" else 0.02)  # the ball is exact, the others are within 0.02
        assert body.covers(columns(p[None])).item() == pytest.approx(share, abs=tolerance), (radius, angle)


@pytest.mark.parametrize("shape", SHAPES)
def test_half_shadow_is_the_seen_share_of_the_lamp(shape):
    body = solids.solid(shape, 1.1)
    rng = np.random.default_rng(5)
    floor, wall = ([-2.6, 0, -2.6], [1.5, 0, 1.2]), ([-2.6, 0, -WALL], [1, 2, -WALL])
    p = np.concatenate([rng.uniform(*floor, size=(500, 3)), rng.uniform(*wall, size=(200, 3))])
    p = p[distance(shape, 1.1, p) > 0.05]
    lamp = np.array(room.LAMP)
    look = lamp / np.linalg.norm(lamp)
    side = np.cross(look, [0, 1, 0])
    side /= np.linalg.norm(side)
    a, b = rng.uniform(-room.PANEL, room.PANEL, size=(2, 256, 1))
    spots = lamp + a * side + b * np.cross(side, look)
    to = (spots[None] - p[:, None]).reshape(-1, 3)
    to /= np.linalg.norm(to, axis=1, keepdims=True)
    truth = 1 - torch.isfinite(body.hit(columns(np.repeat(p, 256, 0)), columns(to))).double().view(-1, 256).mean(1)
    q = columns(p)
    l, _ = room.from_lamp(q)
    seen = room.lit(body, q, l, torch.ones(len(p), dtype=torch.bool))
    assert (truth < 0.1).double().mean() > 0.05 and ((truth > 0.1) & (truth < 0.9)).double().mean() > 0.05
    assert (seen - truth).abs().mean() < 0.02
    assert (seen - truth).abs().max() < 0.35  # a tile's soft edge is not its true shape


# ---- pictures against a pinhole camera


def eye(degrees):
    """Position and right, up, forward of a camera that looks at the axis, by cross products."""
    turn = math.radians(45 + degrees)
    o = np.array([DISTANCE * math.sin(turn), HEIGHT, DISTANCE * math.cos(turn)])
    forward = np.array([0, TARGET, 0]) - o
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    return o, right, np.cross(right, forward), forward


def project(p, degrees, size):
    """Column and row, in pixels from the upper left corner, of points (…, 3)."""
    o, right, up, forward = eye(degrees)
    depth = (p - o) @ forward * HALF_VIEW
    return ((p - o) @ right / depth + 1) * size / 2, (1 - (p - o) @ up / depth) * size / 2


def outline(shape, scale, degrees, size):
    """Which pixel centers see the solid, by marching, (size, size)."""
    o, right, up, forward = eye(degrees)
    line = ((np.arange(size) + 0.5) / size * 2 - 1) * HALF_VIEW
    d = forward + line[None, :, None] * right - line[:, None, None] * up
    d = (d / np.linalg.norm(d, axis=-1, keepdims=True)).reshape(-1, 3)
    return np.isfinite(march(shape, scale, o, d, far=12.0)).reshape(size, size)


@pytest.mark.parametrize(
    "shape, scale, degrees", [(0, 1.3, -30.0), (0, 0.8, 11.0), (1, 1.1, 20.0), (2, 1.4, 0.0), (3, 0.9, -7.5)]
)
def test_silhouette_is_the_marched_one(shape, scale, degrees):
    scene = torch.tensor([[0.7, 0.2, 0.0, scale, shape, degrees], [0.7, 0.2, 0.4, scale, shape, degrees]])
    truth = outline(SHAPES[shape], scale, degrees, 96).reshape(24, 4, 24, 4).mean((1, 3))
    whole = scenes.parts(scene[:1], size=24)[0, 2].numpy()
    assert np.abs(whole - truth).max() <= 2 / 16 and np.abs(whole - truth).mean() < 5e-4
    sure = (truth == 0) | (truth == 1)
    # and in the picture: red against green changes the solid, and little else
    a, b = scenes.render(scene, size=24)
    changed = ((a - b).abs().amax(0) > 0.2).numpy()
    assert np.array_equal(changed[sure], truth[sure] == 1)


@pytest.mark.parametrize("degrees", [-30.0, -12.9, 0.0, 8.6, 30.0])
def test_corner_moves_as_a_pinhole_camera_sees_it(degrees):
    size = 128
    picture = scenes.render(torch.tensor([[0.7, 0.2, 0.0, 0.7, 2, degrees]]), size=size)[0]
    heights = np.linspace(0.5, 6, 2000)
    edge = np.stack([0 * heights - WALL, heights, 0 * heights - WALL], 1)
    column, row = project(edge, degrees, size)
    truth = np.interp(4.5, row[::-1], column[::-1])
    jump = picture[:, 4].sum(0).diff().abs()
    assert jump.argmax().item() + 1 == pytest.approx(truth, abs=1.0)
    # the walls' foot: one point of the floor's edge on each side of the corner
    seen = scenes.parts(torch.tensor([[0.7, 0.2, 0.0, 0.7, 2, degrees]]), size=size)[0]
    for p in ([-WALL, 0, 0.2], [0.2, 0, -WALL]):
        c, r = project(np.array(p), degrees, size)
        assert seen[0, : int(r), int(c)].sum() < 1 < seen[0, int(r) + 1 : int(r) + 6, int(c)].sum()


def test_every_pixel_is_shared_out():
    share = scenes.parts(scenes.factors([0, 123_456, 222_222, 314_159, 400_000, 479_999]), size=32)
    assert share.shape == (6, 4, 32, 32) and torch.equal(share.sum(1), torch.ones(6, 32, 32))
    assert (share.flatten(2).sum(2) > 1).all()


@pytest.mark.parametrize("shape", range(4))
def test_area_grows_with_scale(shape):
    for orientation in (0, 9):
        scene = torch.tensor([[7, 2, 0, 0, shape, orientation]])
        area = scenes.parts(scenes.sweep("scale", scene))[:, 2].sum((1, 2))
        other = scene.clone()
        other[0, 2] = 4
        change = scenes.render(scenes.sweep("scale", scene)) - scenes.render(scenes.sweep("scale", other))
        visible = (change.abs().amax(1) > 0.2).sum((1, 2))
        assert (area.diff() > 8).all() and (visible.diff() > 4).all()
        # at equal distance area grows as the square; the camera is a little nearer to a larger solid
        assert 1.9 < (area[-1] / area[0]).log() / math.log(2) < 2.7


def test_shadow_lies_away_from_the_lamp():
    away = -np.array(room.LAMP)[[0, 2]]
    x, z = away / np.linalg.norm(away)
    compared = 0
    for shape in range(4):
        for degrees in (-30.0, 0.0, 15.0, 30.0):
            scene = torch.tensor([[0.2, 0.2, 0.2, 0.8, shape, degrees]])
            picture, floor = scenes.render(scene)[0].mean(0), scenes.parts(scene)[0, 0] == 1
            behind, beside = (project(1.1 * np.array(p), degrees, 64) for p in ([x, 0, z], [-x, 0, -z]))
            (c, r), (d, q) = ((int(v) for v in point) for point in (behind, beside))
            if floor[r, c] and floor[q, d]:
                compared += 1
                assert picture[r, c] < 0.85 * picture[q, d]
    assert compared >= 8


# ---- light


def test_walls_are_lit_by_lamberts_law():
    """Far from the solid, direct light on the left and on the right wall is in the ratio of cosine over distance^2."""
    body = solids.solid("cube", 0.7)
    lamp = np.array(room.LAMP)
    for height in (1.5, 2.5):
        spots = np.array([[-WALL, height, 1.5], [1.5, height, -WALL]])
        to = lamp - spots
        far = np.linalg.norm(to, axis=1)
        direct = room.POWER * np.array([to[0, 0], to[1, 2]]) / far**3
        p = columns(spots)
        l, power = room.from_lamp(p)
        found = room.wall_light(body, p, l, l, power)
        sky = room.wall_light(body, p, l, l, 0 * power)
        assert np.allclose((found - sky)[room.W].numpy(), direct, rtol=1e-9)


def test_a_wall_colors_the_floor_at_its_foot():
    """The floor's share of wall light is the form factor of both walls, by shooting rays from the floor."""
    body = solids.solid("sphere", 0.5)
    rng = np.random.default_rng(6)
    n, high = 100_000, 4.0
    u, turn = rng.uniform(size=n), rng.uniform(0, 2 * math.pi, size=n)
    d = np.stack([np.sqrt(u) * np.cos(turn), np.sqrt(1 - u), np.sqrt(u) * np.sin(turn)])
    for near in (0.3, 1.0):
        spot = np.array([near - WALL, 0.0, 30.0])  # far along the left wall, the right one is out of sight
        reached = d[1] / np.maximum(-d[0], 1e-12) * near < high
        share = (reached & (d[0] < 0)).mean()
        p = columns(spot[None])
        l, power = room.from_lamp(p)
        across = room.beside(p[2] + WALL, high).item()
        down = torch.tensor([[0.6], [-0.8], [0.0]], dtype=torch.float64)
        found = room.floor_light(body, p, down, l, power)[room.FW].item() / room.PASSED
        assert found - across == pytest.approx(share, abs=4 * math.sqrt(share / n) + 1e-3)


def test_a_solid_takes_light_of_the_walls_from_the_floor_and_gives_its_own():
    """By as much as it hides of the sky, which another test measures with rays."""
    body = solids.solid("sphere", 1.0)
    p = torch.tensor([[0.4, 0.9, 2.0], [0.0, 0.0, 0.0], [0.3, 0.5, 1.5]], dtype=torch.float64)
    l, power = room.from_lamp(p)
    down = torch.tensor([[0.6], [-0.8], [0.0]], dtype=torch.float64).expand(3, 3)
    hidden = body.covers(p)
    near = room.floor_light(body, p, down, l, power)
    tiny = room.floor_light(solids.solid("sphere", 1e-3), p, down, l, power)
    assert hidden[0] > 0.2 > 5 * hidden[2]
    torch.testing.assert_close(near[room.FW], tiny[room.FW] * (1 - hidden), rtol=1e-4, atol=0)
    torch.testing.assert_close(near[room.FO], room.PASSED * hidden)


def test_the_lamp_is_mirrored_where_the_normal_halves_the_way_to_it():
    body = solids.solid("sphere", 1.0)
    o, _ = room.camera(20.0, "cpu")
    normal = torch.nn.functional.normalize(torch.randn(3, 40_000, generator=torch.Generator().manual_seed(0)), dim=0)
    p = body.radius * (normal + torch.tensor([[0.0], [1.0], [0.0]]))
    d = torch.nn.functional.normalize(p - o, dim=0)
    seen = (normal * d).sum(0) < 0
    l, power = room.from_lamp(p)
    glint = room.object_light(body, p, d, l, power)[room.WHITE] * seen
    half = torch.nn.functional.normalize(l - d, dim=0)
    facing = (half * normal).sum(0)
    assert facing[glint > 0.5 * glint.max()].min() > 0.97 and glint[(facing > 0.999) & seen].min() > 0.2 * glint.max()


def test_every_geometry_keeps_its_colors_from_clipping():
    white = torch.tensor([[9, 2, 6, 7, shape, o] for shape in range(4) for o in (0, 7, 14)])
    pictures, share = scenes.render(white), scenes.parts(white)
    flat = torch.cat([p[:, (s[0] == 1) | (s[1] == 1)].T for p, s in zip(pictures, share)])
    assert (flat.amax(1) == 1).double().mean() < 1e-3
    assert flat.amax(1).quantile(0.9) > 0.85 and flat.amax(1).min() > 0.25  # bright, and nowhere black


@pytest.mark.parametrize("size", [8, 65])
def test_the_ends_of_every_range_can_be_drawn(size):
    ends = [[0.999, 0.0, 0.5, scale, s, turn] for scale in (0.5, 1.6) for s in range(4) for turn in (-45.0, 0.0, 45.0)]
    for pictures in (scenes.render(torch.tensor(ends), size=size), scenes.parts(torch.tensor(ends), size=size)):
        assert torch.isfinite(pictures).all() and pictures.min() >= 0 and pictures.max() <= 1


def test_factors_move_the_picture_continuously():
    start = torch.tensor([[0.33, 0.61, 0.12, 1.03, 0.0, 12.0]])
    base = scenes.render(start)
    for column, step in ((0, 1e-3), (1, 1e-3), (2, 1e-3), (3, 1e-3), (5, 0.05)):
        moved = start.clone()
        moved[0, column] += step
        change = (scenes.render(moved) - base).abs()
        assert 1e-6 < change.mean() < 4e-3 and change.max() < 0.2, column
    wrapped = start.clone()
    wrapped[0, :3] = 0.99999
    zero = start.clone()
    zero[0, :3] = 0
    assert (scenes.render(wrapped) - scenes.render(zero)).abs().max() < 1e-3


def test_edges_are_as_smooth_as_an_average_of_many_rays():
    scene = torch.tensor([[0.7, 0.2, 0.0, 1.2, 0, 13.0]])
    coarse = scenes.render(scene, size=32).square()
    fine = scenes.render(scene, size=512).square()
    average = torch.nn.functional.avg_pool2d(fine, 16)  # of light, not of what is sent to the screen
    error = (coarse - average).abs()
    assert error.mean() < 3e-3 and error.max() < 0.12
