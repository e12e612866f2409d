"""The explorer of text to image, with a painter that learned nothing: what is said, read, colored and kept apart."""

import pytest
import torch
from lit import lit  # noqa: F401

from gdm_core import kept
from gdm_core.data import scenes
from gdm_core.data.scenes import captions
from gdm_core.explorers import ch14_text_to_image as explorer
from gdm_core.explorers import room_painter

pytestmark = pytest.mark.usefixtures("lit")

SCENE = torch.tensor([[7, 2, 0, 5, 0, 11]])
SAID = "a large red cube on a blue floor, between yellow walls, seen from the right"


@pytest.fixture(scope="module")
def stage():
    torch.manual_seed(0)
    painter = room_painter.Painter().eval()
    torch.nn.init.normal_(painter.diffusion.network.leave.weight, std=0.1)
    painter.components.fit(scenes.render(room_painter.rooms(100)[0], size=room_painter.SIZE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", lambda *_, **__: painter)
        yield explorer.text_to_image()


def room(frame):
    return frame.views["room"].image


def spoken(view):
    """Words and their colors, row by row."""
    return {tuple(mark.text): mark.color for mark in view.overlay if hasattr(mark, "text")}


def test_what_was_said_stands_beside_what_is_read():
    allowed = captions.meaning([SAID])[0]
    right = captions.fits(SCENE, allowed[None])[0]
    rows = spoken(explorer._judge(allowed, SCENE[0], right))
    for name, said, read in (
        ("floor", "blue", "blue"),
        ("wall", "yellow", "yellow"),
        ("object", "red", "red"),
        ("size", "large", "large"),
        ("shape", "cube", "cube"),
        ("view", "right", "17° right"),
    ):
        assert (name, said) in rows and rows[read,] == "exact"
    other = SCENE[0].clone()
    other[4] = 2
    assert spoken(explorer._judge(allowed, other, captions.fits(other[None], allowed[None])[0]))["sphere",] == "accent"
    free = captions.meaning(["a ball on ground that is not red"])[0]
    rows = spoken(explorer._judge(free, SCENE[0], torch.ones(6, dtype=torch.bool)))
    assert ("floor", "not red") in rows and ("wall", "open") in rows and rows["yellow",] == "noise"
    for sentence, said in (("a cube seen from the left", "left"), ("a cube seen from 30 degrees", "2 views")):
        assert ("view", said) in spoken(explorer._judge(captions.meaning([sentence])[0], other, right))
    assert ("size", "tiny to smallish") in spoken(explorer._judge(captions.meaning(["a little cube"])[0], other, right))


def test_own_words_count_when_they_are_chosen(stage):
    as_ready = room(stage.frame({"sentence": explorer.READY[1]}))
    assert (room(stage.frame({"sentence": explorer.READY[1], "own": "a ball"})) == as_ready).all()
    own = {"sentence": explorer.OWN, "own": explorer.READY[1]}
    assert (room(stage.frame(own)) == as_ready).all()
    assert (room(stage.frame(own | {"own": explorer.READY[4]})) != as_ready).any()


@pytest.mark.parametrize(
    "own, said", [("a crimson cube", "got 'crimson'; try .*scarlet"), ("", "a caption"), ("a cube that is", "")]
)
def test_what_it_cannot_read_is_said(stage, own, said):
    state = {"sentence": explorer.OWN, "own": own}
    if not said:
        assert stage.frame(state)  # nothing hangs loose in it
        return
    with pytest.raises(ValueError, match=f"needed .*{said}"):
        stage.frame(state)


def test_the_film_begins_with_noise_and_guidance_moves_its_end(stage):
    start = room(stage.frame({"step": 0}))
    assert (room(stage.frame({"step": 0, "guidance": 5.0})) == start).all()
    assert (room(stage.frame({"step": 0, "new noise": 1})) != start).any()
    ends = [room(stage.frame({"guidance": w})) for w in (0.0, 2.0)]
    assert (ends[0] != ends[1]).any()
    without = room(stage.frame({"guidance": 0.0, "sentence": explorer.READY[1]}))
    assert (abs(without - ends[0]) < 1e-5).all()


def test_frames_around_the_others_say_whether_all_is_right(stage):
    views = stage.frame().views
    frames = [mark.color for mark in views["others"].overlay]
    assert len(frames) == explorer.OTHERS
    right = torch.tensor([True, False, True])
    pictures = torch.rand(3, 32, 32, 3).numpy()
    colors = [mark.color for mark in explorer._others(pictures, right).overlay]
    assert colors == ["exact", "accent", "exact"]


def test_the_judge_sees_the_picture_alone(stage):
    """What it reads of one picture is that of `scenes.read`, whatever was said."""
    for sentence in explorer.READY[:2]:
        frame = stage.frame({"sentence": sentence, "step": 0})
        seen = scenes.read(torch.as_tensor(room(frame)).permute(2, 0, 1)[None]).factors[0]
        rows = spoken(frame.views["judge"])
        for place in seen[:3]:
            assert (scenes.COLORS[place],) in rows
        fits = captions.fits(seen[None], captions.meaning([sentence]))[0]
        assert f"read as said: {int(fits.sum())} of 6" in frame.text


def test_what_is_counted_is_what_is_said_and_each_frame_is_of_its_room(stage, monkeypatch):
    shown = []
    framed = lambda pictures, right: shown.append((pictures, right)) or drawn(pictures, right)
    drawn = explorer._others
    monkeypatch.setattr(explorer, "_others", framed)
    told = {"sentence": explorer.OWN, "own": "a ball that is not red, seen from the left"}
    frame = stage.frame(told)
    (pictures, right), allowed = shown[0], captions.meaning([told["own"]])
    x = torch.as_tensor(pictures).permute(0, 3, 1, 2)
    x = torch.cat([torch.as_tensor(room(frame)).permute(2, 0, 1)[None], x])
    found = scenes.read(x)
    fits = captions.fits(found.factors, allowed.expand(len(x), -1, -1))
    named = [2, 4, 5]  # color, shape and view; of the others nothing was said
    assert f"read as said: {int(fits[0, named].sum())} of 3 factors" in frame.text
    assert f"all of them in {int(fits.all(1).sum())} of 7 rooms" in frame.text
    assert f"true room {found.distance[0].item():.3f}" in frame.text
    assert right.tolist() == fits[1:].all(1).tolist()
    free = stage.frame({"sentence": explorer.OWN, "own": "a thing"}).text
    assert "0 of 0 factors" in free and "in 7 of 7 rooms" in free


def test_equal_seeds_repeat(stage):
    assert (room(stage.frame({"new noise": 3})) == room(stage.frame({"new noise": 3}))).all()
