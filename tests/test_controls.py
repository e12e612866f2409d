"""Controls: what they keep of what a page sends, and what they refuse."""

import base64
import math

import numpy as np
import pytest

from gdm_core import widgets as w
from gdm_core.widgets.controls import extent4, nearest, spread


def test_slider_clamps_rounds_and_refuses():
    whole, real = w.Slider("a", 0, 10, step=2), w.Slider("b", 0.0, 1.0)
    assert [whole.clean(v) for v in (-3, 99, 4.6)] == [0, 10, 5]
    assert isinstance(whole.clean(4.6), int)
    assert real.clean("0.25") == 0.25 and real.value == 0.5
    assert w.Slider("c", 1e-4, 1.0, log=True).value == pytest.approx(1e-2)  # the middle of a ratio
    counts = w.Slider("c", 2, 50, log=True)
    assert counts.value == counts.clean(9.7) == 10 and isinstance(counts.clean(9.7), int) and counts.spec()["whole"]
    for wrong in (math.nan, math.inf, None, "x", [1]):
        with pytest.raises(ValueError, match="needed a finite number for b"):
            real.clean(wrong)
    with pytest.raises(ValueError, match="low < high"):
        w.Slider("d", 1.0, 1.0)
    with pytest.raises(ValueError, match="low > 0"):
        w.Slider("d", 0.0, 1.0, log=True)
    with pytest.raises(ValueError, match="a step > 0 for slider 'd'"):
        w.Slider("d", 0.0, 1.0, step=0)


def test_other_controls_clean_what_comes_from_a_page():
    pad = w.Pad("z", limit=(-1, 3, 10, 0))  # an axis may point down
    assert pad.value == [1.0, 5.0] and pad.clean([9, -4]) == [3.0, 0.0] and pad.value_of([1.0, 2.0]) == (1.0, 2.0)
    with pytest.raises(ValueError, match="two numbers"):
        pad.clean([1.0])
    choice = w.Choice("digit", np.arange(3))
    assert choice.clean(np.int64(2)) == 2 and choice.spec()["options"] == [0, 1, 2]
    for wrong in ([], [("a", "b")], ["a", None]):
        with pytest.raises(ValueError, match="strings or numbers as options of 'digit'"):
            w.Choice("digit", wrong)
    with pytest.raises(ValueError, match="try 'moons'"):
        w.Choice("data", ["moons", "rings"]).clean("mons")
    with pytest.raises(ValueError, match="True or False"):
        w.Toggle("exact").clean(1)
    with pytest.raises(ValueError, match="integer"):
        w.Button("go").clean(-1)
    with pytest.raises(ValueError, match="two axes"):
        w.Pad("z", labels="xy")
    with pytest.raises(ValueError, match="fps > 0"):
        w.Timeline("t", 5, fps=0)
    line = w.Timeline("t", 5)
    assert [line.clean(v) for v in (-1, 3, 77)] == [4, 3, 4]


def test_timeline_that_follows_stays_on_the_newest():
    length = [3]
    line = w.Timeline("t", lambda: length[0], value=-1, follow=True)
    assert line.value == -1 and line.value_of(-1) == 2
    length[0] = 9
    assert line.value_of(6) == 6
    length[0] = 4
    assert line.value_of(6) == 3  # thrown away by a restart
    length[0] = 9
    assert line.value_of(line.clean(-1)) == 8 and line.clean(8) == -1 and line.clean(4) == 4


def test_gaussians_keep_means_and_covariances():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 2, 2))
    means, covs = rng.normal(size=(5, 2)), root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)
    control = w.Gaussians("g", means, covs, on="map")
    back = control.value_of(control.value)
    np.testing.assert_allclose(back.means, means, rtol=1e-14)
    np.testing.assert_allclose(back.covs, covs, rtol=1e-12)
    again = control.clean(back)  # what a press returns
    np.testing.assert_allclose(control.value_of(again).covs, covs, rtol=1e-12)
    row = control.clean([[0, 0, 0.0, 3.0, 7.0]] + control.value[1:])[0]
    assert row[2] == control.smallest and row[4] == pytest.approx(7.0 - math.tau)
    turned = w.Gaussians("g", [(0, 0)], [np.eye(2)], on="m").value_of([[0, 0, 2.0, 1.0, math.pi / 6]]).covs[0]
    axis = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    assert axis @ turned @ axis == pytest.approx(4.0)  # the first axis carries the first standard deviation
    for wrong, words in (([[1, 2], [0, 1]], "symmetric"), ([[1, 2], [2, 1]], "positive definite")):
        with pytest.raises(ValueError, match=words):
            w.Gaussians("g", [(0, 0)], [wrong], on="m")


def test_handles_tiles_and_brush():
    handles = w.Handles("h", [(0, 1), (2, 3)], on="map")
    np.testing.assert_array_equal(handles.value_of(handles.clean(((5, 6), (7, 8)))), [[5, 6], [7, 8]])
    with pytest.raises(ValueError, match="2 rows of 2"):
        handles.clean([[0, 1]])
    with pytest.raises(ValueError, match="2 labels"):
        w.Handles("h", [(0, 1), (2, 3)], on="map", labels=["a"])
    assert w.Tiles("x", on="all", rows=2, columns=3, count=5).clean(9) == 4
    large = w.Brush("m", 28, 28, value=np.eye(28))
    np.testing.assert_array_equal(large.value_of(large.clean(large.value)), np.eye(28))
    mask = np.random.default_rng(1).random((3, 5))
    brush = w.Brush("m", 3, 5, value=mask)
    np.testing.assert_allclose(brush.value_of(brush.value), mask, atol=0.5 / 255 + 1e-12)
    for wrong in ("", "????", base64.b64encode(bytes(14)).decode(), "A" * 10**6):
        with pytest.raises(ValueError, match="15 painted pixels"):
            brush.clean(wrong)
    assert brush.value_of(brush.clean(np.full((3, 5), 1.7))).max() == 1.0
    assert brush.value_of(brush.clean(np.full((3, 5), -0.3))).min() == 0.0
    assert w.Tiles("x", on="all", rows=2, columns=3).clean(9) == 5 and handles.labels == ["1", "2"]


@pytest.mark.parametrize(
    "control, state, said",
    [
        (w.Slider("rate", 0.0, 1.0, unit="nats"), 0.25, "rate 0.25 nats"),
        (w.Slider("count", 0, 9, step=1, label="how many"), 3, "how many 3"),
        (w.Pad("z"), [1.0, -2.345], "z = (1.00, -2.35)"),
        (w.Toggle("exact"), True, "exact on"),
        (w.Toggle("exact"), False, "exact off"),
        (w.Choice("kind", ["a", "b"]), "b", "kind b"),
        (w.Sentence("said", label="in words"), "a red cube", "in words a red cube"),
        (w.Sentence("said"), "", ""),
        (w.Button("go"), 0, ""),
        (w.Button("go"), 1, "go pressed"),
        (w.Button("go"), 2, "go pressed 2 times"),
        (w.Timeline("step", 5), 3, "step 3"),
        (w.Timeline("step", 5, follow=True), -1, "step latest"),
        (w.Handles("h", [(0, 1), (2, 3)], on="m"), [[0, 1], [2, 3]], "h (0.00, 1.00), (2.00, 3.00)"),
        (w.Gaussians("g", [(0, 1)], [np.diag([4.0, 1.0])], on="m"), [[0, 1, 2, 1, 0]], "g (0.00, 1.00) ± (2.00, 1.00)"),
        (w.Tiles("t", on="m", rows=1, columns=3), 2, "t 2"),
        (w.Brush("b", 1, 4), base64.b64encode(bytes([0, 0, 0, 255])).decode(), "b 25 % painted"),
    ],
)
def test_each_control_says_its_state(control, state, said):
    assert control.words(state) == said


def test_extents_steps_and_lengths():
    assert extent4("limit", 2) == (-2, 2, -2, 2) and extent4("limit", (0, 1, 5, 2)) == (0, 1, 5, 2)
    assert w.Pad("z", limit=(0, 12, 0, 1)).step == pytest.approx(0.1)  # of the width
    assert w.Timeline("t", lambda: 0).now() == 1 and w.Timeline("t", lambda: 0).value == 0


@pytest.mark.parametrize("states", [[0, 10, 30], [5], list(range(7)), [0, 1, 100]])
def test_the_nearest_state_is_that_of_least_distance_and_the_later_of_two(states):
    for wanted in np.arange(-3, 105, 0.5):
        found = nearest(states, wanted)
        least = min(abs(s - wanted) for s in states)
        assert found == max(i for i, s in enumerate(states) if abs(s - wanted) == least)


@pytest.mark.parametrize("total, count", [(1, 5), (5, 5), (400, 120), (11, 3), (7, 100)])
def test_samples_over_states_have_both_ends_and_even_steps(total, count):
    found = spread(total, count)
    assert found[0] == 0 and found[-1] == total - 1 and len(found) == min(total, count)
    assert len(found) < 2 or max(np.diff(found)) - min(np.diff(found)) <= 1


def test_words_are_one_line_of_limited_length():
    words = w.Sentence("said", "a red cube", most=12)
    assert words.clean("ein Würfel") == "ein Würfel" and words.clean("") == ""
    for wrong in (3, None, "a\nb", "13 characters"):
        with pytest.raises(ValueError, match="a line of at most 12 characters for said"):
            words.clean(wrong)
    with pytest.raises(ValueError, match="characters of 'said'"):
        w.Sentence("said", most=0)
