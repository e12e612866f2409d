"""Pictures of rooms read back: against rendered scenes and against a search through all 480,000 in float64."""

import pytest
import torch
from lit import lit  # noqa: F401
from torch.nn.functional import adaptive_avg_pool2d

from gdm_core.data import scenes
from gdm_core.data.scenes import grid, palette, reading, room

pytestmark = pytest.mark.usefixtures("lit")


def some(n, seed=0):
    """n scenes from the whole grid, and their pictures."""
    table = scenes.factors(torch.randint(scenes.COUNT, (n,), generator=torch.Generator().manual_seed(seed)))
    return table, scenes.render(table)


def noisy(x, std, seed=1):
    return (x + std * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


def small(x):
    return adaptive_avg_pool2d(x.double().square(), 16)


@pytest.fixture(scope="module")
def every(lit):  # noqa: F811
    """|x - scene|^2 of all 480,000 scenes, (480000,), by the definition: one squared distance after the other."""
    shapes = [(scale, shape, turn) for scale in range(8) for shape in range(4) for turn in range(15)]
    real = grid.values([[0, 0, 0, *geometry] for geometry in shapes])[:, 3:].tolist()
    lights = [room.light(scenes.SHAPES[int(k)], round(s, 5), round(a, 4), 64, "cpu") for s, k, a in real]
    lights = adaptive_avg_pool2d(torch.stack(lights), 16).flatten(2).double()
    f, w, o = palette.rgb(torch.cartesian_prod(*[torch.arange(10)] * 3) / 10).double().square().unbind(1)
    colors = torch.stack([torch.ones_like(f), f, w, o, f * w, f * o, w * o, w * w], 2)

    def distances(picture):
        seen = small(picture[None]).flatten(2)[0]
        return torch.cat([(colors @ light - seen).square().sum((1, 2)) for light in lights])

    return distances


@pytest.mark.slow
def test_every_factor_of_rendered_scenes_is_read():
    table, x = some(600)
    found = scenes.read(x)
    assert torch.equal(found.factors, table)
    assert found.distance.max() < 0.01
    for size in (16, 32):
        assert torch.equal(scenes.read(scenes.render(table[:50], size=size)).factors, table[:50])
    levels = scenes.load("test", 100)
    assert torch.equal(scenes.index(scenes.read(levels.x).factors), scenes.index(levels.factors))


@pytest.mark.slow
def test_a_picture_that_is_no_scene_gets_the_nearest_of_all(every):
    x = some(3)[1]
    for picture in (noisy(x[:1], 0.4)[0], (x[1] + x[2]) / 2):
        away = every(picture)
        found = scenes.read(picture[None])
        scene = found.factors[0]
        color = 100 * scene[0] + 10 * scene[1] + scene[2]
        number = (60 * scene[3] + 15 * scene[4] + scene[5]) * 1000 + color
        assert away[number] <= away.min() * (1 + 1e-5)
        torch.testing.assert_close(found.distance[0].double(), (away.min() / 768).sqrt(), rtol=1e-4, atol=1e-6)


def test_the_search_goes_on_where_the_first_geometries_leave_doubt(every, monkeypatch):
    """With one geometry tried at first, most noisy pictures need more."""
    x = noisy(some(6, seed=3)[1], 0.4)
    right = scenes.read(x)
    monkeypatch.setattr(reading, "FIRST", 1)
    again = scenes.read(x)
    assert torch.equal(right.factors, again.factors)
    torch.testing.assert_close(right.distance, again.distance)


def test_noise_hides_turns_before_colors():
    """The doc's figure: noise of .2 puts a picture about .06 away; floors and walls are read through it."""
    table, x = some(200)
    right = lambda std: (scenes.read(noisy(x, std)).factors == table).float().mean(0)
    assert right(0.05).min() == 1
    rough = right(0.2)
    assert rough[:2].min() > 0.99 and 0.6 < rough[5] < 0.97
    assert 0.05 < scenes.read(noisy(x, 0.2)).distance.mean() < 0.07


def test_chunks_do_not_matter(monkeypatch):
    x = noisy(some(7)[1], 0.1)
    whole = scenes.read(x)
    monkeypatch.setattr(reading, "CHUNK", 3)
    parts = scenes.read(x)
    assert torch.equal(whole.factors, parts.factors)
    torch.testing.assert_close(whole.distance, parts.distance)


def test_what_is_out_of_range_is_cut():
    x = some(3)[1]
    bright = torch.where(x > 0.9, x + 5, x)
    assert torch.equal(scenes.read(bright).distance, scenes.read(torch.where(x > 0.9, 1.0, x)).distance)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(3, 64, 64), r"pictures of shape \(B, 3, 64, 64\)"),
        (torch.zeros(1, 3, 40, 40), "pictures of shape"),
        (torch.zeros(1, 3, 32, 64), "pictures of shape"),
        (torch.zeros(1, 3, 64, 64).long(), "floating"),
        (torch.full((1, 3, 64, 64), torch.nan), "finite pictures"),
    ],
)
def test_bad_pictures_are_explained(x, words):
    with pytest.raises(ValueError, match=words):
        scenes.read(x)
