"""Captions said and understood: against the scenes that they were made of, and sentences whose meaning is plain."""

import pytest
import torch

from gdm_core.data import scenes
from gdm_core.data.scenes import captions
from gdm_core.data.scenes.captions import VOCABULARY, fits, meaning, said, tokens


def some(n, seed=0):
    return scenes.factors(torch.randint(scenes.COUNT, (n,), generator=torch.Generator().manual_seed(seed)))


def allowed(caption):
    """What a caption allows, by name, of what it does not leave open."""
    rows = meaning([caption])[0]
    sets = {name: set(row.nonzero()[:, 0].tolist()) for name, row in zip(scenes.FACTORS, rows)}
    return {name: places for name, places in sets.items() if len(places) < scenes.FACTORS[name]}


@pytest.mark.parametrize(
    ("caption", "meant"),
    [
        ("a red cube on a blue floor", {"object_hue": {0}, "shape": {0}, "floor_hue": {7}}),
        ("a blue cube on a red floor", {"object_hue": {7}, "shape": {0}, "floor_hue": {0}}),
        ("On blue ground: a scarlet box!", {"object_hue": {0}, "shape": {0}, "floor_hue": {7}}),
        ("the floor is blue and the walls are green", {"floor_hue": {7}, "wall_hue": {4}}),
        ("the floor is blue, a red cube", {"floor_hue": {7}, "shape": {0}, "object_hue": {0}}),
        ("a very small ball", {"shape": {2}, "scale": {1}}),
        ("a small ball", {"shape": {2}, "scale": {2}}),
        ("a little ball", {"shape": {2}, "scale": {0, 1, 2, 3}}),
        ("a cube that is not red", {"shape": {0}, "object_hue": set(range(1, 10))}),
        ("a not red cube", {"shape": {0}, "object_hue": set(range(1, 10))}),
        ("a red thing that is not a cube", {"shape": {1, 2, 3}, "object_hue": {0}}),
        ("a ball that is not red and not blue", {"shape": {2}, "object_hue": {1, 2, 3, 4, 5, 6, 8, 9}}),
        ("a drum seen from the left", {"shape": {1}, "orientation": set(range(7))}),
        ("a drum seen from far right", {"shape": {1}, "orientation": {12, 13, 14}}),
        ("a drum seen from slightly left", {"shape": {1}, "orientation": {5, 6}}),
        ("a drum seen head-on", {"shape": {1}, "orientation": {7}}),
        ("a drum not from the left", {"shape": {1}, "orientation": set(range(7, 15))}),
        ("a pill from the right (13 degrees)", {"shape": {3}, "orientation": {10}}),
    ],
)
def test_what_a_sentence_means(caption, meant):
    assert allowed(caption) == meant


def test_the_same_words_in_another_order_are_another_scene():
    one, other = "a red cube on a blue floor", "a blue cube on a red floor"
    assert sorted(one.split()) == sorted(other.split())
    assert not torch.equal(meaning([one]), meaning([other]))
    assert tokens([one])[0].sort().values.equal(tokens([other])[0].sort().values)


def test_the_long_caption_names_one_scene():
    table = some(400)
    told = meaning(scenes.caption(table))
    assert told.sum(2).eq(1).all() and fits(table, told).all()


@pytest.mark.parametrize(("leave", "deny"), [(0, 0), (0.4, 0.3)])
def test_what_is_said_of_a_scene_is_true_of_it(leave, deny):
    table, wording = some(400, seed=1), torch.Generator().manual_seed(2)
    told = meaning(said(table, generator=wording, leave=leave, deny=deny))
    assert fits(table, told).all()
    share = told[:, :3].sum(2).eq(10).float().mean(0)  # of floors, walls and objects, whose color is left open
    error = (leave * (1 - leave) / 400) ** 0.5
    assert (share - leave).abs().max() <= 4 * error
    others = fits(some(400, seed=3), told).float().mean(0)  # and mostly false of another
    assert (others[:5] < 0.8).all() and (leave or others[:3].max() < 0.2)


def test_wordings_differ_and_follow_the_generator():
    scene = some(1).expand(50, -1)
    first = said(scene, generator=torch.Generator().manual_seed(0))
    assert first == said(scene, generator=torch.Generator().manual_seed(0))
    assert len(set(first)) > 30
    used = {word for text in said(some(600), deny=0.2) for word in captions._words(text)}
    assert set(captions._COLORS) | set(captions._SURFACES) | {"little", "big", "not", "far"} <= used


def test_tokens_name_the_words_in_their_order():
    rows = tokens(["a red cube", "cube"])
    assert rows.shape == (2, captions.LONGEST) and rows.dtype == torch.long
    assert [VOCABULARY[i] for i in rows[0, :4]] == ["a", "red", "cube", ""]
    assert rows[1, 0] == rows[0, 2] and not rows[1, 1:].any()
    assert len(set(VOCABULARY)) == len(VOCABULARY)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a crimson cube", "'crimson'; try .*scarlet"),
        ("a reed cube", "'reed'; try 'red'"),
        ("", "needed a caption"),
        ("  ?!", "needed a caption"),
        ("red", "'red' belongs to"),
        ("a cube not", "'not' belongs to"),
        ("a cube from far", "'far' belongs to"),
        ("a small floor", "'small' of floor_hue"),
        ("is red", "a noun before 'is'"),
        ("a very red cube", "after 'very'"),
        ("a cube and a ball", "'ball' leaves no shape"),
        ("a red blue cube", "leaves no object_hue"),
    ],
)
def test_captions_that_cannot_be_understood_are_explained(caption, words):
    with pytest.raises(ValueError, match=words):
        meaning([caption])


def test_long_captions_and_odd_probabilities_are_refused():
    with pytest.raises(ValueError, match="at most 32 words"):
        tokens(["a " * 33])
    with pytest.raises(ValueError, match="probability"):
        said(some(1), leave=1.5)
