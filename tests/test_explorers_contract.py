"""What holds for every explorer, also for one that is written tomorrow: all that the folder holds are walked."""

import contextlib
import functools
import inspect
import json
import pickle
import re

import pytest
import second_device
import torch
from walk_explorers import alike, ends, far, moved, shown, stage_of

from gdm_core import colors, explorers
from gdm_core.course.chapters import chapters
from gdm_core.explorers import EXPLORERS, found

pytestmark = [pytest.mark.xdist_group("explorers that train"), pytest.mark.slow]
every = pytest.mark.parametrize("name", EXPLORERS)
second = pytest.fixture(second_device.install)


@every
def test_it_is_found_by_its_file_and_says_what_it_is(name):
    explorer, stage = EXPLORERS[name], stage_of(name)
    assert explorer.file.stem == f"ch{explorer.chapter:02}_{name}" and explorer.question.endswith("?")
    assert explorer.title == stage.title and stage.key == name and stage.caption
    assert getattr(explorers, name) is explorer.function and explorer.function.__name__ == name
    assert name in dir(explorers)


@every
def test_every_control_can_be_moved_to_its_ends_and_is_seen_to_move(name):
    stage = stage_of(name)
    bases, looked = (stage.clean({}), far(stage)), {}

    def look(state) -> tuple:
        if (key := pickle.dumps(state)) not in looked:
            looked[key] = shown(stage, state)
        return looked[key]

    for control in stage.controls.values():
        looks = [[look(moved(stage, control, end, base)) for end in ends(control)] for base in bases]
        for _, text in looks[0] + looks[1]:
            assert text and not re.search(r"\b(nan|inf)\b", text, re.I), (control.name, text)
        seen = any(len({look(base), *others}) > 1 for base, others in zip(bases, looks))
        if getattr(control, "trainer", None) is None:  # before a training there is one checkpoint
            assert seen or steers(stage, control), f"nothing shows that {control.name} was moved"


def steers(stage, control) -> bool:
    """Whether what some button does depends on where the control stands."""
    states = [moved(stage, control, end, stage.clean({})) for end in ends(control)]
    acts = [c.press for c in stage.controls.values() if c.kind == "button" and c.press]
    done = [[stage.clean(press(stage.values(state)) or {}) for state in states] for press in acts]
    return any(one != first for first, *rest in done for one in rest)


@every
def test_the_same_state_shows_the_same_from_a_new_stage_its_code_cell_and_its_words(name, monkeypatch):
    monkeypatch.setenv(colors.DRAFT, "1")  # pictures at half their size
    first, again = stage_of(name), EXPLORERS[name].function()
    bundle, other = (s._repr_mimebundle_()[0] for s in (first, again))
    assert bundle["image/png"] == other["image/png"] and bundle["text/plain"] == other["text/plain"]
    state = far(first)
    again.set(state)
    assert again.state == state and first.png(0.5) != again.png(0.5)
    names = {}
    *lines, last = again.code().splitlines()
    exec("\n".join(lines), names)
    rebuilt = eval(last, names)
    assert rebuilt.words() == again.words() and rebuilt.png(0.5) == again.png(0.5)
    assert again.words().startswith(first.title) and first.frame().encode()["text"] in first.words()


@every
def test_its_page_without_a_kernel_moves(name, monkeypatch):
    stage = stage_of(name)
    assert set(stage.sampled) <= set(stage.controls) and stage.sampled
    monkeypatch.setattr(stage, "sampled", dict.fromkeys(stage.sampled, 2))
    page = stage.to_html()
    assert ("decoded in this page" if stage.decoder else "sampled pictures") in page and json.dumps(stage.exported)[
        1:-1
    ] in page


HANDS = {"drag": "pad", "click": "tiles", "paint": "brush", "play": "timeline"}  # what a caption asks a hand to do


@every
def test_its_words_on_a_page_without_a_kernel_ask_for_nothing_that_stands_still_there(name):
    stage = stage_of(name)
    moving = [*stage.sampled, *(stage.decoder.inputs if stage.decoder else [])]
    kinds = {stage.controls[control].kind for control in moving}
    asked = {kind for verb, kind in HANDS.items() if re.search(rf"\b{verb}\b", stage.exported, re.I)}
    assert asked <= kinds, (stage.exported, moving)


@functools.cache
def stills() -> list[tuple[str, str, str]]:
    """Chapter, code and words of each still in the lectures, which are large to read."""
    found = []
    for chapter in chapters():
        cells = json.loads(chapter.notebook.read_text("utf-8"))["cells"] if chapter.notebook.exists() else []
        for cell in (c for c in cells if c["cell_type"] == "code" and "explorers." in "".join(c["source"])):
            words = [o["data"]["text/plain"] for o in cell["outputs"] if "image/png" in o.get("data", {})]
            found += [(chapter.name, "".join(cell["source"]), "".join(still)) for still in words]
    return found


@every
def test_its_still_in_a_lecture_says_what_it_says_now(name):
    """But for numbers, which another processor may round otherwise."""
    plain = lambda words: re.sub(r"[\d.,]+", "#", words)
    call = re.compile(rf"^explorers\.{name}\((DATASET, )?(seed=SEED)?(, )?(device=DEVICE)?\)$", re.M)
    for chapter, source, still in stills():
        if call.search(source):
            assert plain(still) == plain(stage_of(name).words()), chapter


@every
def test_its_seed_is_in_its_code_and_a_bad_one_is_refused(name):
    function = EXPLORERS[name].function
    arguments = inspect.signature(function).parameters
    assert all(p.default is not p.empty for p in arguments.values())
    assert arguments["device"].default == "auto"
    if "seed" in arguments:
        assert "seed=0" in stage_of(name).source
        with pytest.raises(ValueError, match="seed"):
            function(seed=-1)


@every
def test_on_another_device_nothing_is_left_behind_and_all_looks_the_same(name, second):
    """It computes there what the CPU would have; a tensor of the CPU among its own is an error."""
    here, there = stage_of(name), EXPLORERS[name].function(device=second)
    states = [here.clean({}), far(here)]
    for control in here.controls.values():
        if control.kind in ("choice", "button"):
            states += [moved(here, control, end, states[0]) for end in ends(control)]
            assert states[-1] == moved(there, control, ends(control)[-1], states[0])
    before = second_device.done
    for state in {pickle.dumps(state): state for state in states}.values():
        assert alike(here.frame(state).encode(), there.frame(state).encode()), state
    assert second_device.done > before, "nothing was drawn there"
    if there.trainer is not None:
        assert alike(young(there), young(EXPLORERS[name].function(device="cpu")))


def young(stage) -> dict:
    """The frame after two steps of training."""
    try:
        stage.trainer.step(2).wait()
        return stage.frame().encode()
    finally:
        stage.trainer.stop().wait()


@pytest.mark.parametrize("planted", [False, True])
def test_a_tensor_that_was_made_without_a_device_is_noticed(planted, second):
    x, more = torch.ones(3, device=second), torch.zeros(3) if planted else torch.zeros(3, device=second)
    with pytest.raises(RuntimeError, match="on second and one on the CPU") if planted else contextlib.nullcontext():
        assert ((x + more) * torch.tensor(2.0)).tolist() == [2.0, 2.0, 2.0]


def test_a_file_that_says_nothing_of_itself_is_refused_in_words(tmp_path):
    (tmp_path / "ch07_game.py").write_text(
        '"""Two players.\n\nEach moves; who wins?"""\nraise SystemExit("not imported")'
    )
    (tmp_path / "notes.py").write_text("")
    (tmp_path / "ch01_coin.py").write_text('"""Heads.\n\nOr tails: how often?  A coin."""')
    listed = found(tmp_path)
    assert [(e.name, e.title, e.chapter, e.question) for e in listed.values()] == [
        ("coin", "Heads", 1, "Or tails: how often?"),
        ("game", "Two players", 7, "Each moves; who wins?"),
    ]
    (tmp_path / "ch08_mute.py").write_text('"""A title, and no more."""')
    with pytest.raises(ValueError, match="question in the docstring of ch08_mute.py"):
        _ = found(tmp_path)["mute"].title
