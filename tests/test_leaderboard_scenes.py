"""The leaderboard of rooms: painters are scored by a judge that never sees a caption, and cheaters have no rank."""

import csv
import functools
import itertools
import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from gdm_core.course import cli, leaderboard
from gdm_core.course.leaderboard import scenes as board
from gdm_core.data import scenes

ASKED, LOOKED_AT = 120, 80  # fewer than the least that are asked for outside of tests: what is checked is the same


def rows_of(folder):
    with open(folder / "leaderboard.csv", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def noisy(table, size=16):
    """What a painter with a blunt brush makes of rooms: right, and no picture of the renderer."""
    x = scenes.render(table, size=size)
    return (x + 0.03 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


@functools.cache
def painted():
    """The rooms that were asked for, the same with errors, and training rooms: places, (ASKED, 6) each."""
    meant = scenes.factors(scenes.chosen("test", ASKED, 3))
    erring = meant.clone()
    erring[::4, 1] = (erring[::4, 1] + 5) % 10  # every fourth wall has another color
    trained = scenes.factors(scenes.chosen("train", board.TRAINED_ON)[-20:])
    return meant, erring, trained.repeat(ASKED // 20, 1)


def known(x):
    """The nearest of the few rooms that are painted here: what `scenes.read` finds among 480,000, without its table."""
    rooms = torch.cat(painted()).unique(dim=0)
    flat = lambda pictures: adaptive_avg_pool2d(pictures, 16).flatten(1)
    return scenes.reading.Reading(rooms[torch.cdist(flat(x), flat(scenes.render(rooms, size=16))).argmin(1)], None)


@contextmanager
def small():
    """Fewer rooms, read among those that are painted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board, "LOOKED_AT", LOOKED_AT)
        patch.setattr(scenes, "read", known)
        yield


@pytest.fixture
def few():
    with small():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("rooms")
    with small():
        assert cli.main(["leaderboard", str(at), "--dataset", "scenes", "--ask", str(ASKED), "--seed", "3"]) == 0
    return at


@pytest.fixture(scope="module")
def rows(folder):
    """Three painters, of whom one errs and one knows one room alone; three cheaters."""
    meant, erring, trained = painted()
    heaps = {
        "ada": noisy(meant),
        "bob": noisy(erring),
        "one room": noisy(meant[:1].expand(ASKED, -1), 32),
        "retriever": noisy(trained),
        "renderer": scenes.render(meant, size=16).mul(255).round() / 255,
        "parrot": torch.cat([noisy(meant)[:60], noisy(meant)[:1].expand(60, -1, -1, -1)]),
    }
    for name, x in heaps.items():
        np.savez(folder / f"{name}.npz", samples=x.numpy())
    with small():
        assert cli.main(["leaderboard", str(folder), "--dataset", "scenes", "--seed", "5"]) == 0
    return rows_of(folder)


@pytest.mark.slow
def test_rooms_are_read_here_as_the_reading_reads_them():
    for table in painted():
        x = noisy(table)
        assert torch.equal(scenes.read(x).factors, known(x).factors) and torch.equal(known(x).factors, table)


def test_captions_are_of_hidden_rooms_and_say_what_the_rooms_are(folder):
    asked = (folder / "captions.txt").read_text(encoding="utf-8").splitlines()
    meant = scenes.chosen("test", ASKED, 3)
    assert len(asked) == ASKED and scenes.captions.fits(scenes.factors(meant), scenes.captions.meaning(asked)).all()
    known = {i for split in ("train", "validation") for i in scenes.chosen(split, scenes.SPLITS[split]).tolist()}
    assert not known & set(meant.tolist()) and len(set(asked)) == ASKED


def test_who_keeps_the_captions_is_first_and_the_error_is_binomial(folder, rows):
    assert [rows[name]["rank"] for name in ("ada", "bob")] == ["1", "2"]
    assert (rows["ada"]["captions kept"], rows["ada"]["error"]) == ("1.000", "0.000")
    lines = (folder / "captions.txt").read_text().splitlines()[::4]
    told = sum("wall" in line for line in lines)
    denied = len(re.findall(r"walls? that (?:is|are) not", " ".join(lines)))  # most of these the wrong walls keep
    kept = float(rows["bob"]["captions kept"])
    assert denied > 3 and 1 - told / ASKED < kept and kept == pytest.approx(1 - (told - denied) / ASKED, abs=0.006)
    assert float(rows["bob"]["error"]) == pytest.approx((kept * (1 - kept) / ASKED) ** 0.5, abs=6e-4)
    assert rows["bob"]["least often"] == f"wall {kept:.2f}"


def test_one_room_for_all_covers_little_and_is_told_from_hidden_rooms(rows):
    cells = [a * b for a, b in itertools.combinations(scenes.FACTORS.values(), 2)]
    expected = sum(n * (1 - (1 - 1 / n) ** LOOKED_AT) for n in cells) / sum(cells)  # rooms drawn at random
    assert float(rows["one room"]["coverage"]) < 0.05 < 0.5 < float(rows["ada"]["coverage"])
    assert float(rows["ada"]["coverage"]) == pytest.approx(expected, abs=0.03)
    assert float(rows["one room"]["p"]) == 0.001 < 0.05 < float(rows["ada"]["p"])
    assert float(rows["one room"]["captions kept"]) < 0.02


@pytest.mark.parametrize(
    "name, note, least",
    [
        ("retriever", "shows the training rooms", 0.99),
        ("renderer", "is drawn by the renderer", 0.99),
        ("parrot", "repeats itself", 0.4),
    ],
)
def test_cheaters_are_caught_and_have_no_rank(rows, name, note, least):
    assert (rows[name]["rank"], rows[name]["note"]) == ("", note)
    assert float(rows[name]["copies"]) >= least
    assert float(rows["ada"]["copies"]) == 0


def test_hidden_rooms_are_no_training_rooms_and_follow_the_seed(few, folder):
    one, other = board.Judge(5, folder), board.Judge(6, folder)
    assert not torch.isin(scenes.index(one.hidden), scenes.chosen("train", scenes.SPLITS["train"])).any()
    assert not torch.equal(one.hidden, other.hidden)
    assert torch.equal(one.trained[:50], scenes.index(scenes.load("train", 50).factors))


def test_pairs_met_are_those_of_a_count_by_hand():
    table = scenes.factors(torch.arange(0, scenes.COUNT, 7001))
    sizes, met, total = tuple(scenes.FACTORS.values()), 0, 0
    for i in range(6):
        for j in range(i + 1, 6):
            met += len({(row[i], row[j]) for row in table.tolist()})
            total += sizes[i] * sizes[j]
    assert board.pairs_met(table) == met / total


WRONG = {
    "digits": (np.zeros((ASKED, 8, 8), "float32"), "shape (N, 3, S, S)"),
    "oblong": (np.zeros((ASKED, 3, 32, 16), "float32"), "shape (N, 3, S, S)"),
    "odd": (np.zeros((ASKED, 3, 20, 20), "float32"), "S = 16, 32, 48 or 64"),
    "few": (np.zeros((ASKED - 1, 3, 16, 16), "float32"), f"needed {ASKED} samples, got {ASKED - 1}"),
    "bytes": (np.zeros((ASKED, 3, 16, 16), "uint8"), "dtype uint8"),
    "bright": (np.full((ASKED, 3, 16, 16), 255.0, "float32"), "numbers from 0 to 1"),
    "dark": (np.full((ASKED, 3, 16, 16), -1.0, "float32"), "numbers from 0 to 1"),
    "no number": (np.full((ASKED, 3, 16, 16), np.nan, "float32"), "NaN or infinite"),
}


def test_what_are_no_rooms_is_refused_in_words(few, folder, tmp_path, capsys):
    (tmp_path / "captions.txt").write_text((folder / "captions.txt").read_text())
    for name, (x, _) in WRONG.items():
        np.save(tmp_path / f"{name}.npy", x)
    assert leaderboard.main(tmp_path, 0, "scenes") == 1
    refused = capsys.readouterr().err
    for name, (_, words) in WRONG.items():
        (line,) = [line for line in refused.splitlines() if f" {name}.npy:" in line]
        assert words in line and "; try " in line


def test_missing_and_broken_captions_and_other_data_sets_are_said(tmp_path, capsys):
    run = lambda *more: cli.main(["leaderboard", str(tmp_path), *more])
    np.save(tmp_path / "a.npy", np.zeros((400, 3, 16, 16), "float32"))
    for text in (None, "a red cube\n", "a red cube\n" * 399 + "a red dog\n"):
        if text:
            (tmp_path / "captions.txt").write_text(text)
        assert run("--dataset", "scenes") == 2
    assert run("--dataset", "rooms") == run("--ask", "400") == run("--dataset", "scenes", "--ask", "20") == 2
    said = capsys.readouterr().err
    for words in ("needed captions in", "at least 300 captions", "'dog'", "dataset to be one of 'digits', 'scenes'"):
        assert words in said
    assert "a data set that asks, got digits" in said and "an integer count from 300" in said
    assert "--ask 400" in said
