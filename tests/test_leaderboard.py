"""The leaderboard: honest models have ranks, cheaters have none, files that are no samples are refused in words."""

import csv
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gdm_core import data
from gdm_core.course import cli, leaderboard
from gdm_core.course.leaderboard import digits
from gdm_core.models.ppca import PPCA


@pytest.fixture(scope="module", autouse=True)
def rough_features():
    """Ranks and copies do not depend on well-learned features: learned briefly, and once."""
    learn, kept = digits.metrics.learn_features, {}

    def briefly(x, y, steps):
        assert steps == 300
        if len(x) not in kept:
            kept[len(x)] = learn(x, y, steps=60)
        return kept[len(x)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits.metrics, "learn_features", briefly)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two honest models, one of them bad; four cheaters."""
    torch.manual_seed(0)
    at, seen = tmp_path_factory.mktemp("submissions"), data.load("digits").x
    hidden = data.load("digits", "test").x
    ppca = PPCA(64, 16).solve(seen.flatten(1)).sample(400).clamp(0, 1)
    some = lambda x: x[torch.randint(len(x), (400,))]
    heaps = {
        "ada": ppca.reshape(-1, 1, 8, 8),
        "bob": torch.rand(400, 64),
        "copycat": some(seen),
        "nearly": (some(seen) + 0.03 * torch.randn(400, 1, 8, 8)).clamp(0, 1),
        "insider": some(hidden)[:, 0],
        "parrot": torch.cat([ppca[:200], ppca[:1].expand(200, -1)]),
    }
    for name, x in heaps.items():
        np.savez(at / f"{name}.npz", samples=x.numpy())
    return at


@pytest.fixture(scope="module")
def rows(folder):
    assert cli.main(["leaderboard", str(folder), "--seed", "5"]) == 0
    with open(folder / "leaderboard.csv", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_the_better_of_two_honest_models_is_first(rows):
    assert [rows[name]["rank"] for name in ("ada", "bob")] == ["1", "2"]
    assert float(rows["ada"]["kernel distance"]) < 0.1 < float(rows["bob"]["kernel distance"])
    assert float(rows["ada"]["copies"]) == float(rows["bob"]["copies"]) == 0
    assert not rows["ada"]["note"] and float(rows["bob"]["coverage"]) < 0.1 < float(rows["ada"]["coverage"])
    assert float(rows["bob"]["p"]) == 0.001


@pytest.mark.parametrize(
    "name, note",
    [
        ("copycat", "copies the training digits"),
        ("nearly", "copies the training digits"),
        ("insider", "copies the hidden digits"),
        ("parrot", "repeats itself"),
    ],
)
def test_cheaters_are_caught_and_have_no_rank(rows, name, note):
    assert (rows[name]["rank"], rows[name]["note"]) == ("", note)
    assert float(rows[name]["copies"]) > 0.4
    assert list(rows).index(name) > 1  # whatever their distance is


def test_every_hidden_digit_is_looked_for_and_the_band_is_of_hidden_digits_alone(rows, monkeypatch):
    assert float(rows["insider"]["copies"]) > 0.95 and float(rows["copycat"]["copies"]) > 0.95
    compared = []
    monkeypatch.setattr(digits.metrics, "learn_features", lambda x, y, **_: lambda s: s)
    monkeypatch.setattr(digits.metrics, "band", lambda metric, real, *_, **__: compared.append(real))
    digits.Judge(5)
    hidden = torch.cat([data.load("digits", split).flat() for split in ("validation", "test")])
    assert torch.equal(compared[0].unique(dim=0), hidden.unique(dim=0))


def test_each_number_stands_in_its_column(folder, monkeypatch, tmp_path):
    shutil.copy(folder / "ada.npz", tmp_path)
    monkeypatch.setattr(digits.metrics, "neighbors", lambda *_: digits.metrics.Neighbors(0.5, 0.1, 0.2, 0.75))
    monkeypatch.setattr(digits.metrics, "estimate", lambda *_, **__: digits.metrics.Estimate(0.125, 0.25))
    monkeypatch.setattr(digits.two_sample, "test", lambda *_, **__: SimpleNamespace(p=0.625))
    leaderboard.main(tmp_path, 5)
    with open(tmp_path / "leaderboard.csv", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    wanted = {"rank": 1, "kernel distance": 0.125, "error": 0.25, "precision": 0.5, "coverage": 0.75, "p": 0.625}
    assert {name: float(row[name]) for name in wanted} == wanted and float(row["copies"]) == 0


def test_a_copy_scores_as_real_digits_do_where_nobody_asks_for_copies(rows):
    assert float(rows["copycat"]["kernel distance"]) < float(rows["ada"]["kernel distance"])


def test_a_seed_repeats_and_another_looks_at_others(folder, rows, capsys, tmp_path):
    shutil.copy(folder / "bob.npz", tmp_path)
    found = []
    for options in (["--seed", "5"], ["--seed", "6"], []):
        assert cli.main(["leaderboard", str(tmp_path), *options]) == 0
        lines = (tmp_path / "leaderboard.csv").read_text().splitlines()
        found.append(lines[1].split(",")[2])
        assert lines[-1].split(",")[0] == "seed"
    seed = lines[-1].split(",")[1]
    assert found[0] == rows["bob"]["kernel distance"] != found[1]  # alone or among others
    assert f"Seed {seed}." in capsys.readouterr().out
    assert int(seed) not in (5, 6)


WRONG = {
    "another shape": (np.zeros((400, 7, 7)), "shape (N, 1, 8, 8)"),
    "two pictures": (np.zeros((2, 8, 8)), "from 300 to 10,000 samples"),
    "whole numbers": (np.zeros((400, 64), dtype=int), "dtype int64"),
    "gray levels": (np.full((400, 64), 16.0), "numbers from 0 to 1"),
    "below": (np.full((400, 64), -0.1), "numbers from 0 to 1"),
    "not numbers": (np.full((400, 64), np.nan), "25600 that are NaN or infinite"),
    "words": (np.array(["8"] * 400), "dtype <U1"),
}


def test_what_are_no_samples_is_refused_in_words(tmp_path, capsys):
    for name, (x, _) in WRONG.items():
        np.save(tmp_path / f"{name}.npy", x)
    for save in (np.save, lambda path, x: np.savez(path.with_suffix(".npz"), samples=x)):
        save(tmp_path / "twice.npy", np.full((300, 64), 0.5))
    np.savez(tmp_path / "unnamed.npz", x=np.zeros((400, 64)))
    (tmp_path / "text.npy").write_text("eight")
    (tmp_path / "text.npz").write_text("eight")
    np.save(tmp_path / "objects.npy", np.array([{}] * 400, dtype=object), allow_pickle=True)
    assert cli.main(["leaderboard", str(tmp_path), "--seed", "0"]) == 1
    refused = capsys.readouterr().err
    expected = {f"{name}.npy": words for name, (_, words) in WRONG.items()} | {
        "unnamed.npz": "an array `samples`",
        "twice.npz": "one file a name",
        "text.npy": "cannot be read",
        "text.npz": "cannot be read",
        "objects.npy": "cannot be read",
    }
    for name, words in expected.items():
        (line,) = [line for line in refused.splitlines() if f" {name}:" in line]
        assert words in line and "try" in line
    assert "another shape.npy" in (tmp_path / "leaderboard.csv").read_text()


def test_no_folder_and_no_files_are_said(tmp_path, capsys):
    assert cli.main(["leaderboard", str(tmp_path / "nowhere")]) == 2
    assert cli.main(["leaderboard", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "needed a folder of submissions" in said and "needed files NAME.npz or NAME.npy" in said


def test_shapes_and_suffixes_that_are_meant(tmp_path):
    x = torch.rand(300, 1, 8, 8)
    for shape in ((300, 1, 8, 8), (300, 8, 8), (300, 64)):
        np.save(tmp_path / "a.npy", x.reshape(shape).double().numpy())
        assert torch.equal(digits.Judge.read(tmp_path / "a.npy"), (x.flatten(1) * 16).round() / 16)
