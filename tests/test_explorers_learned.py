"""The explorers of chapter 5 with the models that students see: trained here once, some seconds each."""

import numpy as np
import pytest
from stand_ins import numbers
from walk_explorers import stage_of

from gdm_core.explorers import ch05_traversal as traverse

pytestmark = [pytest.mark.xdist_group("explorers that train"), pytest.mark.slow]


def test_trained_the_classes_share_a_style_better_than_averages_do():
    stage, told = stage_of("style_board"), []
    for tile in range(20):
        state = stage.controls["given"].press({**stage.values(), "given": tile})
        text = stage.frame(state).text
        told.append([numbers(text, "at z")[0], numbers(text, "classes")[0]])
    own, average = np.array(told).T
    assert own.mean() < 0.6 * average.mean() and (own < average).mean() >= 0.8


def test_trained_codes_that_are_told_the_class_add_up():
    stage, told = stage_of("arithmetic"), []
    for c in (0, 4, 11, 13):  # another class, leaning or bolder by as much as a is than b
        for a, b in ((7, 2), (12, 2)):
            text = stage.frame({"a": a, "b": b, "c": c}).text
            if text.startswith("squared error"):
                told.append(numbers(text, "codes")[:3])
    codes_wrong, pixels_wrong, alone = np.array(told).T
    assert len(told) >= 6 and codes_wrong.mean() < 0.6 * min(pixels_wrong.mean(), alone.mean())


def test_trained_under_pressure_latents_fall_idle_and_the_rest_specialize():
    stage = stage_of("traversal")
    idle = {
        name: stage.frame({"beta": name}).text.split("idle latents: ")[1].split(" ·")[0].count("z")
        for name in traverse.BETAS
    }
    assert idle["β = 1"] == 0 and idle["β = 20"] >= 3
    for name in traverse.BETAS:  # an idle latent moves nothing, neither on the board nor in the table
        views = stage.frame({**stage.controls["again"].press({**stage.values(), "beta": name}), "beta": name}).views
        rulers, told = views["boards"].overlay[1].text, views["effects"].overlay[0].text
        assert sum(r == "–" for r in rulers) >= idle[name]
        assert sum(all(t in ("0", "+0.1", "−0.1") for t in told[4 * j : 4 * j + 4]) for j in range(6)) >= idle[name]
    assert numbers(stage.frame().text, "on new rooms")[0] < 0.12
    told = stage.controls["again"].press({**stage.values(), "beta": "β = 20", "another": 0})
    table = stage.frame({**told, "beta": "β = 20"}).views["effects"].overlay[0].text
    moved = np.abs([float(t.replace("−", "-")) for t in table]).reshape(6, 4)
    busy = moved[moved.max(1) > 0.3]
    assert 1 <= len(busy) <= 3 and (busy.max(1) / busy.sum(1) > 0.6).all()  # each moves one factor, mostly
    state = stage.controls["again"].press({**stage.values(), "another": 2})
    assert stage.frame({**state, "another": 2}).views["pictures"].warning == ""
