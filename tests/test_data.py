"""The front door, `data.load`, and what a `Dataset` can do."""

import pytest
import torch

from gdm_core import data


@pytest.mark.parametrize("name", [name for name in data.NAMES if name not in ("mnist", "fashion")])
def test_every_offline_set_loads(name):
    parts = [data.load(name, split, n=6) for split in data.SPLITS]
    for part in parts:
        assert part.name == name and len(part) == 6 and part.x.shape == (6, *part.event_shape)
        assert part.x.dtype == torch.float32 and torch.isfinite(part.x).all()
        assert part.flat().shape == (6, part.event_shape.numel())
        assert part.labels is None or part.labels.shape == (6,)
        assert all(len(factor) == 6 for factor in part.factors.values())
    assert not torch.equal(parts[0].x, parts[1].x) and not torch.equal(parts[1].x, parts[2].x)
    assert torch.equal(data.load(name, "train", n=6).x, parts[0].x)


def test_a_part_keeps_what_is_known():
    digits = data.load("digits", n=200)
    threes = digits[digits.labels == 3]
    assert (threes.labels == 3).all() and 0 < len(threes) < 200 and threes.levels == 17
    assert torch.equal(digits[[5, 2]].x, digits.x[[5, 2]])
    strokes = data.load("strokes", n=8)
    for factor, values in strokes[2:5].factors.items():
        assert torch.equal(values, strokes.factors[factor][2:5])
    moons = data.load("moons", n=10)[:4]
    assert torch.isfinite(moons.density.log_prob(moons.x)).all() and len(moons.labels) == 4


@pytest.mark.parametrize("name", ["strokes", "digits", "moons"])
def test_a_set_moves_as_a_whole_and_its_original_stays(name):
    here = data.load(name, n=4)
    there = here.to("meta")
    for part, device in ((here, "cpu"), (there, "meta")):
        tensors = [part.x, part.labels, *part.factors.values()]
        tensors += [] if part.density is None else [*part.density.buffers()]
        assert {t.device.type for t in tensors} == {device}
    assert there.factors.keys() == here.factors.keys() and there.levels == here.levels


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "mnsit"}, "try 'mnist'"),
        ({"name": None}, "needed data set to be one of"),
        ({"name": "moons", "split": "tests"}, "try 'test'"),
        ({"name": "moons", "n": 0}, "integer n >= 1, got 0"),
        ({"name": "digits", "n": 1001}, "integer n from 1 to 1000"),
        ({"name": "digits", "n": "all"}, "integer n"),
        ({"name": "moons", "seed": -1}, "integer seed >= 0"),
        ({"name": "strokes", "seed": 0.5}, "integer seed >= 0"),
        ({"name": "moons", "device": "gpu"}, "a device of this machine, got 'gpu'"),
        ({"name": "moons", "device": "cuda:99"}, "a device of this machine, got 'cuda:99'"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        data.load(**arguments)
