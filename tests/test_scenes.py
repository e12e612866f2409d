"""Scenes as data: the grid against numpy's mixed radix, colors against colorsys, captions, splits, bad input."""

import colorsys
import math
import re

import numpy as np
import pytest
import torch

from gdm_core.data import scenes
from gdm_core.data.scenes import grid, palette

SHAPES = ("cube", "cylinder", "sphere", "capsule")
LOW = torch.tensor([0, 0, 0, 0, 0, 0])


def some(n, seed=0):
    """n scenes from the whole grid."""
    return scenes.factors(torch.randint(scenes.COUNT, (n,), generator=torch.Generator().manual_seed(seed)))


# ---- the grid


def test_index_is_numpys_mixed_radix_over_all_scenes():
    every = np.arange(480_000)
    truth = np.stack(np.unravel_index(every, (10, 10, 10, 8, 4, 15)), 1)
    table = scenes.factors(torch.from_numpy(every))
    assert np.array_equal(table.numpy(), truth)
    assert np.array_equal(scenes.index(table).numpy(), every)
    assert list(scenes.FACTORS) == ["floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"]


def test_values_are_evenly_spaced():
    ends = scenes.values([[0, 0, 0, 0, 0, 0], [9, 9, 9, 7, 3, 14]])
    assert torch.allclose(ends, torch.tensor([[0, 0, 0, 0.7, 0, -30], [0.9, 0.9, 0.9, 1.4, 3, 30]]))
    for column, name in enumerate(scenes.FACTORS):
        steps = scenes.values(scenes.sweep(name, LOW[None]))[:, column].diff()
        assert steps[0] > 0 and torch.allclose(steps, steps[0], rtol=1e-5)
    assert torch.equal(scenes.values(ends), ends)


def test_grid_and_values_and_names_draw_the_same():
    table = some(3)
    by_name = dict(zip(scenes.FACTORS, table.unbind(1)))
    picture = scenes.render(table)
    assert torch.equal(scenes.render(scenes.values(table)), picture)
    assert torch.equal(scenes.render(by_name), picture)
    assert torch.equal(scenes.index(by_name), scenes.index(table))
    one = dict(zip(scenes.FACTORS, scenes.values(table)[0].tolist()))
    assert torch.equal(scenes.render(one), picture[:1])


# ---- color


def hue_apart(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("name, part", [("floor_hue", 0), ("wall_hue", 1), ("object_hue", 2)])
def test_hue_can_be_read_off_the_picture(name, part):
    column = list(scenes.FACTORS).index(name)
    for start in some(4, seed=7):
        table = scenes.sweep(name, start[None])
        pictures, share = scenes.render(table), scenes.parts(table)[:, part] == 1
        for k, (picture, inside) in enumerate(zip(pictures, share)):
            pixels = picture[:, inside].T
            bright = pixels.amax(1)
            pixels = pixels[(bright > bright.quantile(0.3)) & (bright < bright.quantile(0.95))]
            hue, saturation, _ = colorsys.rgb_to_hsv(*pixels.median(0).values.tolist())
            gaps = [hue_apart(360 * hue, degrees) for _, degrees, _, _ in palette.PALETTE]
            assert int(np.argmin(gaps)) == k == table[k, column], (start, scenes.COLORS[k], hue * 360)
            assert gaps[k] < 10 and saturation > 0.4


def test_a_floor_in_full_light_shows_its_color():
    """In front, far from walls and solid, a pixel is close to one gray times the color that was asked for."""
    scene = torch.tensor([[0.75, 0.2, 0.2, 0.7, 2, 0.0], [0.55, 0.2, 0.2, 0.7, 2, 0.0]])
    purple, azure = scenes.render(scene)[:, :, -3, 3]
    want = palette.rgb(scene[:, 0])
    for found, color in ((purple, want[0]), (azure, want[1])):
        gray = found / color
        assert gray.min() > 0.8 and gray.max() < 1.15


def test_palette_is_what_its_words_say():
    ranges = {"red": (-15, 15), "orange": (18, 40), "yellow": (45, 65), "lime": (70, 100), "green": (105, 150)}
    ranges |= {"teal": (160, 185), "azure": (195, 215), "blue": (218, 245), "purple": (260, 290), "pink": (310, 345)}
    colors = palette.rgb(torch.arange(10) / 10)
    for word, color, row in zip(scenes.COLORS, colors, palette.PALETTE):
        assert torch.allclose(color, torch.tensor(colorsys.hsv_to_rgb(row[1] / 360 % 1, *row[2:])), atol=2e-6)
        low, high = ranges[word]
        assert low <= (colorsys.rgb_to_hsv(*color.tolist())[0] * 360 + 20) % 360 - 20 <= high
    around = palette.rgb(torch.linspace(0, 1, 2001)[:-1])
    assert (around - around.roll(1, 0)).abs().max() < 0.02  # once around without a seam
    turn = torch.tensor([colorsys.rgb_to_hsv(*c)[0] for c in around.tolist()])
    assert int((turn.diff() < 0).sum()) == 1  # and always forwards


# ---- batches, types, devices


def test_a_batch_is_its_pictures_one_by_one():
    table = some(40, seed=3)
    table[10:30, 3:] = table[0, 3:]  # many of one geometry
    together = scenes.render(table)
    scenes._kept.cache_clear()
    alone = torch.cat([scenes.render(row[None]) for row in table.flip(0)]).flip(0)
    assert torch.equal(together, alone)
    assert together.shape == (40, 3, 64, 64) and together.dtype == torch.float32
    shares = scenes.parts(table[[3, 0, 12, 7]], size=32)
    assert all(torch.equal(scenes.parts(table[i][None], size=32)[0], shares[k]) for k, i in enumerate((3, 0, 12, 7)))
    large = scenes.render(table[10:30], size=128)  # sixteen at a time
    for i in (0, 15, 16, 19):
        assert torch.equal(scenes.render(table[10 + i][None], size=128)[0], large[i])
    assert together.min() >= 0 and together.max() <= 1


def test_a_turn_of_a_tenth_of_a_degree_is_seen():
    scene = torch.tensor([[0.1, 0.5, 0.9, 1.0, 0, 3.0], [0.1, 0.5, 0.9, 1.0, 0, 3.1], [0.1, 0.5, 0.9, 1.001, 0, 3.0]])
    first, turned, grown = scenes.render(scene)
    assert (first - turned).abs().max() > 0.01 and (first - grown).abs().max() > 0.002


def test_other_settings_of_torch_do_not_matter():
    table = some(2, seed=11)
    plain = scenes.render(table)
    scenes._kept.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            assert torch.equal(scenes.render(table), plain)
            assert torch.equal(scenes.render(scenes.values(table)), plain)
    finally:
        torch.set_default_dtype(torch.float32)
    again = scenes.render(scenes.values(table).requires_grad_())
    assert torch.equal(again, plain) and not again.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_draws_the_same():
    table = some(64)
    there = scenes.render(table, device="cuda")
    assert there.is_cuda and (there.cpu() - scenes.render(table)).abs().max() < 0.02


# ---- words


def test_captions_are_unique_and_true():
    every = torch.randperm(scenes.COUNT, generator=torch.Generator().manual_seed(1))[:40_000]
    lines = scenes.caption(scenes.factors(every))
    assert len(set(lines)) == len(every)
    for name, levels in scenes.FACTORS.items():
        assert len(set(scenes.caption(scenes.sweep(name, LOW[None])))) == levels
    form = re.compile(r"A (.+) (\w+) (\w+) on an? (\w+) floor between (\w+) walls, seen (.+)\.")
    sizes = ["tiny", "very small", "small", "smallish", "largish", "large", "very large", "huge"]
    colors = ["red", "orange", "yellow", "lime", "green", "teal", "azure", "blue", "purple", "pink"]
    for i, line in zip(every[:400].tolist(), lines):
        size, thing, shape, floor, wall, pose = form.fullmatch(line).groups()
        f, w, o, s, k, a = np.unravel_index(i, (10, 10, 10, 8, 4, 15))
        assert (colors[f], colors[w], colors[o], sizes[s], SHAPES[k]) == (floor, wall, thing, size, shape)
        degrees = -30 + 60 * a / 14
        said = re.search(r"(\d+) degree", pose)
        assert (int(said[1]) if said else 0) == round(abs(degrees))
        assert ("left" in pose, "right" in pose) == (a < 7, a > 7)
    assert "on an orange" in scenes.caption([[1, 0, 0, 0, 0, 0]])[0]
    assert "on a teal" in scenes.caption([[5, 0, 0, 0, 0, 0]])[0]


def test_captions_of_real_values_take_the_nearest_words():
    line = scenes.caption(torch.tensor([[0.96, 0.24, 0.71, 1.19, 1.0, 1.2]]))
    assert line == ["A large blue cylinder on a red floor between yellow walls, seen from slightly right (1 degree)."]


# ---- the data set


def test_hash_is_splitmix64():
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert scenes._splitmix64(np.arange(1, 4)).tolist() == published


def test_splits_are_disjoint_complete_and_mixed():
    order = scenes._order()
    assert {k: len(v) for k, v in order.items()} == {"train": 400_000, "validation": 40_000, "test": 40_000}
    assert torch.equal(torch.cat(list(order.values())).sort().values, torch.arange(scenes.COUNT))
    for members in order.values():
        table = scenes.factors(members)
        for column, levels in enumerate(scenes.FACTORS.values()):
            counts = table[:, column].bincount(minlength=levels).double()
            expected = len(members) / levels
            assert ((counts - expected) ** 2 / expected).sum() < levels + 5 * math.sqrt(2 * levels)  # chi-square


def test_load():
    train = scenes.load("train", 30, seed=3)
    assert train.name == "scenes" and train.x.shape == (30, 3, 64, 64) and train.levels == 256
    table = torch.stack([train.factors[name] for name in scenes.FACTORS], 1)
    assert torch.equal(train.labels, table[:, 4]) and train.labels.dtype == torch.long
    exact = scenes.render(train.factors)
    assert (train.x - exact).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(train.x, (train.x * 255).round() / 255)
    indices = scenes.index(train.factors)
    assert len(indices.unique()) == 30 and torch.isin(indices, scenes._order()["train"]).all()
    test = scenes.index(scenes.load("test", 30, seed=3).factors)
    assert torch.isin(test, scenes._order()["test"]).all()
    assert torch.equal(scenes.load("train", 10, seed=3).x, train.x[:10])
    assert not torch.equal(scenes.index(scenes.load("train", 30, seed=4).factors), indices)


# ---- bad input


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: scenes.factors([480_000]), "indices from 0 to 479999, got 480000"),
        (lambda: scenes.factors([-1]), "got -1"),
        (lambda: scenes.factors([0.5]), "whole-number indices"),
        (lambda: scenes.factors(7), r"shape \(N,\)"),
        (lambda: scenes.factors([]), "N >= 1"),
        (lambda: scenes.render(LOW), r"factors\[None\]"),
        (lambda: scenes.render(torch.zeros(3, 5).long()), r"\(N, 6\) with N >= 1, got \(3, 5\)"),
        (lambda: scenes.render(torch.zeros(0, 6)), r"got \(0, 6\)"),
        (lambda: scenes.render([[0, 0, 0, 8, 0, 0]]), "scale from 0 to 7 on the grid, got 8"),
        (lambda: scenes.render([[0, 0, -1, 0, 0, 0]]), "object_hue from 0 to 9"),
        (lambda: scenes.render([[1.0, 0, 0, 1, 0, 0]]), r"floor_hue in \[0, 1\), got 1.0"),
        (lambda: scenes.render([[0.1, 0, 0, 2.0, 0, 0]]), "scale from 0.5 to 1.6, got 2.0; try factors.long"),
        (lambda: scenes.render([[0.1, 0, 0, 1.0, 0.5, 0]]), "whole shape from 0 to 3"),
        (lambda: scenes.render([[0.1, 0, 0, 1.0, 0, math.nan]]), "orientation from -45 to 45, got nan"),
        (lambda: scenes.render(some(1) == 0), "integer or floating factors, got torch.bool"),
        (lambda: scenes.render([[0, 0], [1]]), "equally long rows"),
        (lambda: scenes.render("cube"), "factors as numbers"),
        (lambda: scenes.render(LOW[None], size=4), "size from 8 to 1024"),
        (lambda: scenes.render(LOW[None], device="gpu"), "device of this machine"),
        (lambda: scenes.parts(LOW[None], size=0), "size from 8"),
        (lambda: scenes.index(torch.zeros(1, 6) + 0.6), "factors.long()"),
        (lambda: scenes.caption([[0, 0, 0, 0, 4, 0]]), "shape from 0 to 3"),
        (lambda: scenes.render({"floor": 1}), "factor to be one of 'floor_hue'"),
        (lambda: scenes.render({"floor_hue": 1}), "none for wall_hue"),
        (lambda: scenes.sweep("size", LOW[None]), "factor to be one of"),
        (lambda: scenes.sweep("scale", some(2)), "one scene"),
        (lambda: scenes.load("trian"), "try 'train'"),
        (lambda: scenes.load("test", 40_001), "from 1 to 40000"),
        (lambda: scenes.load("test", 0), "got 0"),
        (lambda: scenes.load("test", 1, seed=-1), "seed"),
    ],
)
def test_bad_input_is_explained(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    assert re.match(r"(?s)needed .*, got .*; try .*", str(error.value))


def test_names_of_unequal_length_are_refused():
    table = dict(zip(scenes.FACTORS, some(4).unbind(1)))
    with pytest.raises(ValueError, match="of one length"):
        scenes.render(table | {"scale": torch.zeros(3).long()})
    assert grid.table_of(table | {"scale": 2})[:, 3].tolist() == [2, 2, 2, 2]
