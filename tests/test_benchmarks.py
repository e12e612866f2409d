"""The runner of the benchmarks finds its rows, refuses unknown ones and survives a broken one."""

import sys

from benchmarks import __main__ as benchmarks
from benchmarks._race import race, table


def folder(tmp_path, monkeypatch):
    package = tmp_path / "some_rows"
    package.mkdir()
    (package / "good.py").write_text("def main():\n    print('  42')\n")
    (package / "bad.py").write_text("def main():\n    raise RuntimeError('no data')\n")
    (package / "_helper.py").write_text("raise SystemError('not a row')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return package


def test_a_named_row_runs(tmp_path, monkeypatch, capsys):
    assert benchmarks.main(["good"], folder(tmp_path, monkeypatch), "some_rows") == 0
    assert capsys.readouterr().out == "good\n  42\n"


def test_all_rows_run_and_a_broken_one_stops_no_other(tmp_path, monkeypatch, capsys):
    assert benchmarks.main([], folder(tmp_path, monkeypatch), "some_rows") == 1
    shown = capsys.readouterr()
    assert "bad" in shown.out and "42" in shown.out
    assert "RuntimeError: no data" in shown.err and "broken: bad" in shown.err


def test_an_unknown_row_is_told_what_there_is(tmp_path, monkeypatch, capsys):
    assert benchmarks.main(["goood"], folder(tmp_path, monkeypatch), "some_rows") == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "'bad', 'good', got 'goood'; try 'good'" in shown.err


def test_the_rows_of_the_course_are_found():
    assert {"gmm", "ppca"} <= set(benchmarks.rows())
    assert not [row for row in benchmarks.rows() if row.startswith("_")]


def test_a_race_is_interleaved_and_gives_medians():
    order = []
    times = race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, warm=1)
    assert order == list("abababab")
    assert set(times) == {"a", "b"} and all(t >= 0 for t in times.values())


def test_a_race_sees_who_is_slower():
    times = race({"much": lambda: sum(range(400_000)), "little": lambda: sum(range(400))}, rounds=3)
    assert times["much"] > times["little"]


def test_a_table_is_aligned(capsys):
    table(("what", "ms"), ("short", 1.23456), ("rather long", "-"))
    assert capsys.readouterr().out == "  what           ms\n  short        1.23\n  rather long     -\n"
