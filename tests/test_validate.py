"""Each check passes what is good, unchanged, and says of what is not: needed, got, try."""

import numpy as np
import pytest
import torch

from gdm_core import validate

LIKE = torch.zeros(1, dtype=torch.float64)


def says(*words):
    return pytest.raises(ValueError, match="needed .*" + ".*".join(words))


def test_an_error_has_three_parts():
    assert str(validate.bad("a", 1, "b")) == "needed a, got 1; try b"
    assert isinstance(validate.bad("a", 1, "b"), ValueError)


def test_choice_suggests_the_nearest():
    assert validate.choice("set", "moons", ["moons", "rings"]) == "moons"
    with says("set to be one of 'moons', 'rings', got 'mons'; try 'moons'"):
        validate.choice("set", "mons", ["moons", "rings"])
    with says("got 'xyz'; try 'moons'"):
        validate.choice("set", "xyz", iter(["moons", "rings"]))
    with says("got 3; try"):
        validate.choice("set", 3, ["moons", "rings"])


@pytest.mark.parametrize("value", [1, 3, np.int64(2), np.uint8(1)])
def test_integers_pass(value):
    result = validate.integer("n", value, 1, 3)
    assert result == value and type(result) is int


@pytest.mark.parametrize("value", [0, 4, -1, 1.0, "2", None, True, float("nan"), torch.tensor(2), np.float64(2), [1]])
def test_what_is_no_integer_in_the_range(value):
    with says("integer n from 1 to 3, got", "; try n=1"):
        validate.integer("n", value, 1, 3)


def test_an_open_range_and_zero():
    assert validate.integer("n", 0, 0) == 0 and validate.integer("n", 10**12) == 10**12
    with says("integer n >= 0, got -1; try n=0"):
        validate.integer("n", -1, 0)


@pytest.mark.parametrize("value", [1e-300, 2, "3.5", np.float32(1), torch.tensor(0.5)])
def test_positive_numbers_pass(value):
    result = validate.positive("lr", value)
    assert result == float(value) and type(result) is float


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan"), None, "fast", [1.0], torch.zeros(2)])
def test_what_is_not_positive(value):
    with says("positive.* lr, got", "; try lr=0.001"):
        validate.positive("lr", value, 1e-3)


@pytest.mark.parametrize("event", [(), (3,), (1, 8, 8)])
def test_a_good_batch_passes_untouched(event):
    x = torch.randn(5, *event, dtype=torch.float64)
    assert validate.batch(x, event, like=LIKE) is x
    large = torch.full((2, 3), 1e308, dtype=torch.float64)  # the sum overflows, the data do not
    assert validate.batch(large, (3,)) is large


@pytest.mark.parametrize(
    "x, words",
    [
        ([[1.0, 2.0, 3.0]], [r"x as a torch.Tensor \(B, 3\), got list; try torch.as_tensor\(x\)"]),
        (np.zeros((4, 3)), ["got ndarray"]),
        (torch.zeros(3).double(), [r"shape \(B, 3\), got \(3,\); try x\[None\] for one example"]),
        (torch.zeros(4, 2).double(), [r"got \(4, 2\); try x.reshape\(-1, 3\)"]),
        (torch.zeros(4, 1, 3).double(), [r"got \(4, 1, 3\)"]),
        (torch.tensor(1.0).double(), [r"got \(\)"]),
        (torch.zeros(0, 3).double(), ["at least 1 example, got 0"]),
        (torch.zeros(4, 3).long(), [r"floating dtype, got torch.int64; try x.float\(\)"]),
        (torch.zeros(4, 3), ["model's dtype torch.float64, got torch.float32; try x.to"]),
        (torch.zeros(4, 3).double().to("meta"), ["model's device cpu, got meta; try x.to\\('cpu'\\)"]),
        (torch.tensor([[0.0, float("nan"), float("inf")]]).double(), ["finite x, got 2 NaN or infinite entries; try"]),
        (torch.tensor([[float("inf"), -float("inf"), 0]]).double(), ["got 2 NaN or infinite"]),
        (torch.tensor([[0.0, float("inf"), 0.0]]).double(), ["got 1 NaN or infinite"]),
    ],
)
def test_a_bad_batch_is_named(x, words):
    with says(*words):
        validate.batch(x, (3,), like=LIKE)


def test_the_names_and_the_minimum_are_the_callers():
    with says("codes with at least 2 examples, got 1"):
        validate.batch(torch.zeros(1, 3), (3,), name="codes", minimum=2)
    assert len(validate.batch(torch.zeros(0, 3), (3,), minimum=0)) == 0
    assert len(validate.batch(torch.full((2, 3), float("nan")), (3,), finite=False)) == 2


def test_the_remedy_for_nan_works():
    x = torch.randn(5, 2, 2)
    x[1, 0, 1] = float("nan")
    with pytest.raises(ValueError) as error:
        validate.batch(x, (2, 2))
    kept = eval(str(error.value).split("; try ")[1], {"torch": torch, "x": x})
    assert validate.batch(kept, (2, 2)) is kept and len(kept) == 4


def test_devices():
    assert validate.device("cpu") == torch.device("cpu") == validate.device(torch.device("cpu"))
    for wrong in ("gpu", "cuda:99", None, 3.5):
        with says("a device of this machine, got", "try device='cpu'"):
            validate.device(wrong)


def test_known_parameters_become_float64():
    for value in ([1, 2], (0.1, 0.2), np.ones(2), torch.ones(2), torch.ones(2, requires_grad=True)):
        result = validate.known("b", value, (2,), LIKE)
        assert result.dtype == torch.float64 and result.shape == (2,)
    assert validate.known("var", 0.1, (), LIKE).item() == 0.1
    for wrong, words in (
        ([1.0], r"finite b of shape \(2,\), got \(1,\); try b.reshape\(2\)"),
        ([1.0, float("nan")], "finite b, got 1 NaN"),
        ("ab", "b as numbers"),
        (None, "b as numbers"),
        ([[1.0], [1.0, 2.0]], "b as numbers"),
    ):
        with says(words):
            validate.known("b", wrong, (2,), LIKE)


def test_labels_are_one_integer_for_each():
    y = torch.tensor([0, 2, 1], dtype=torch.uint8)
    assert torch.equal(validate.labels(y, 3, 3), y.long())
    for wrong in (None, 1, y[:2], y[:, None], y.float(), y > 0, y.long() - 1, y.long() + 1):
        with says("labels", "; try"):
            validate.labels(wrong, 3, 3)


def test_symbols_are_among_their_values():
    x, values = torch.tensor([[0, 2], [5, 2]]), torch.tensor([0, 2, 5])
    assert validate.batch(x, (2,), values=values) is x
    assert validate.batch(x.float(), (2,), values=values.float()).dtype == torch.float32
    with says("x among 0, 2, 5, got other values"):
        validate.batch(x + 1, (2,), values=values)
    with says("in the model's dtype torch.int64, got torch.float32"):
        validate.batch(x.float(), (2,), values=values)
