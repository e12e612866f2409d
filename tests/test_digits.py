"""The 8x8 digits against scikit-learn's own arrays."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from gdm_core.data import digits


@pytest.mark.parametrize(
    ("split", "start", "stop"), [("train", 0, 1000), ("validation", 1000, 1350), ("test", 1350, 1797)]
)
def test_rows_of_the_split(split, start, stop):
    source = load_digits()
    data = digits.load(split)
    assert data.name == "digits" and data.levels == 17 and data.density is None
    assert data.x.shape == (stop - start, 1, 8, 8) and data.x.dtype == torch.float32
    np.testing.assert_array_equal(data.x[:, 0].numpy() * 16, source.images[start:stop])
    np.testing.assert_array_equal(data.labels.numpy(), source.target[start:stop])
    assert data.labels.dtype == torch.int64
    assert data.x.min() == 0 and data.x.max() == 1


def test_first_n_whatever_the_seed():
    whole = digits.load("test")
    part = digits.load("test", n=7, seed=5)
    assert torch.equal(part.x, whole.x[:7]) and torch.equal(part.labels, whole.labels[:7])
    assert len(digits.load("test", n=447)) == 447


def test_sets_are_independent():
    first = digits.load("train", n=2)
    first.x.zero_()
    assert digits.load("train", n=2).x.sum() > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "valid"}, "try 'validation'"),
        ({"split": "validation", "n": 351}, "integer n from 1 to 350, got 351"),
        ({"n": 0}, "integer n from 1 to 1000, got 0"),
        ({"n": 3.0}, "integer n"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        digits.load(**arguments)
