"""Grades a class: every notebook in a folder, each in processes of its own; a run that broke off is taken up again.

What is written, into one folder:

    results/STUDENT.json    the verdicts, kept with the fingerprint of what was handed in
    grades-NN.csv           a row a student of lab NN: points, and of each exercise the verdict and its points
    feedback/STUDENT.html   what a student may see: verdicts and hints, no code of the checks
    mistakes.csv            lab, exercise, hint, how many got it
    equal.csv               answers that say the same in other words or the same ones: worth a talk, no proof

An exercise that is right gives as many points as it is important; one that is wrong those of its parts that are right
(`Exercise.worth`).  Words are graded by a person, in the override file.
"""

import ast
import csv
import hashlib
import html
import io
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch
from nbformat import NotebookNode

from gdm_core.checks.exercise import MARKS, SEEDS
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import check as checking
from gdm_core.course.labs import student as gaps
from gdm_core.course.labs.handout import seed_of, student_of
from gdm_core.files import atomic_write
from gdm_core.validate import bad

SHORT = 400  # characters of a syntax tree below which equal answers are no wonder
COLUMNS = ("student", "exercise", "points", "comment")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{who}</title><style>
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-top: 1px solid #ccd }}
</style><h1>{title}</h1><p>{who}: {points:g} of {most:g} points</p>
<table><tr><th><th>exercise<th>what the checks say<th>points{rows}</table></html>"""


def grade(
    folder: Path,
    out: Path,
    *,
    home: Path,
    jobs: int = 2,
    seconds: float = checking.SECONDS,
    override: Path | None = None,
) -> list[dict]:
    """Grade every notebook in `folder`; a student's name is the path of the notebook there.

    Args:
        folder: `STUDENT.ipynb`, or folders of them.
        out: where results go; what is there already, of the same notebook, is not computed again.
        home: of the course, for what exercises are worth.
        jobs: notebooks at a time.
        seconds: for one cell, or for the checks of one exercise.
        override: a CSV file with the columns student, exercise, points, comment; its points win.

    Returns:
        One dict a student: `student`, `lab`, `verdicts`, `points`, `most`, the `seed` of own data, a `note` where the
        notebook was handed out to somebody else, and `trouble` where it could not be run.
    """
    paths = sorted(p for p in Path(folder).rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not paths:
        raise bad("notebooks to grade", f"none in {folder}", "gdm labs grade handed_in")
    changes = _overrides(override)
    names = {path: str(path.relative_to(folder).with_suffix("")).replace("\\", "/") for path in paths}
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda path: _one(names[path], path, out, seconds), paths))
    for row in rows:
        _value(row, home, changes)
        atomic_write(out / "feedback" / f"{row['student']}.html", _feedback(row).encode())
    for lab in sorted({row["lab"] for row in rows}):
        atomic_write(out / f"grades-{lab or 'none'}.csv", _grades([row for row in rows if row["lab"] == lab]))
    atomic_write(out / "mistakes.csv", _table(("lab", "exercise", "hint", "count"), _mistakes(rows)))
    atomic_write(out / "equal.csv", _table(("lab", "exercise", "students"), _equal(names, home)))
    return rows


def _one(name: str, path: Path, out: Path, seconds: float) -> dict:
    """The verdicts of one notebook, kept beside a fingerprint of it; nothing that it does stops the others."""
    kept = out / "results" / f"{name}.json"
    try:
        about = [hashlib.sha256(path.read_bytes()).hexdigest(), torch.__version__, list(SEEDS), seconds]
        if kept.is_file() and (known := json.loads(kept.read_text(encoding="utf-8")))["about"] == about:
            return known["row"]
        nb = checking.read(path)
        to = student_of(nb)
        own = seed_of(to) if to else None
        verdicts = checking.check(path, seeds=SEEDS, seconds=seconds, limited=True, own=own)
        told = [{**asdict(v), "credit": v.credit} for v in verdicts]
        row = {"student": name, "lab": nb.metadata["gdm"]["lab"], "verdicts": told, "seed": own}
        if to and to not in Path(name).parts:
            row["note"] = f"handed out to {to}"
        atomic_write(kept, json.dumps({"about": about, "row": row}, ensure_ascii=False, indent=1).encode())
        return row
    except Exception as error:  # whatever was handed in: a row that says so
        return {"student": name, "lab": "", "verdicts": [], "trouble": (str(error).splitlines() or ["?"])[0]}


def _value(row: dict, home: Path, changes: dict) -> None:
    """Points of each verdict and of all, in place."""
    labs = {lab.number: lab for lab in chapters("labs", home)}
    worth = gaps.exercises(gaps.source(labs[row["lab"]])) if row["lab"] in labs else {}
    for verdict in row["verdicts"]:
        most = worth.get(verdict["exercise"], {}).get("importance", 1)
        own = round(most * verdict["credit"], 2)
        points, comment = changes.get((row["student"], verdict["exercise"]), (own, ""))
        verdict |= {"points": points, "most": most, "comment": comment}
    row["title"] = labs[row["lab"]].title if row["lab"] in labs else "No lab"
    row["points"] = round(sum(v["points"] for v in row["verdicts"]), 2)
    row["most"] = sum(v["most"] for v in row["verdicts"])


def _overrides(path: Path | None) -> dict[tuple[str, str], tuple[float, str]]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return {
                (row["student"], row["exercise"]): (float(row["points"]), row.get("comment") or "")
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, TypeError, ValueError) as error:
        columns = ",".join(COLUMNS)
        raise bad(
            f"a CSV file with the columns {columns}", f"{path} ({error})", f"{columns} in its first line"
        ) from None


def _feedback(row: dict) -> str:
    cells = [
        f"<tr><td>{MARKS[v['kind']]}<td>{html.escape(v['exercise'])}"
        f"<td>{html.escape(' · '.join(filter(None, (v['said'], _right(v), v['comment']))))}"
        f"<td>{v['points']:g} of {v['most']:g}"
        for v in row["verdicts"]
    ]
    if "trouble" in row:
        cells = [f"<tr><td>!<td><td>{html.escape(row['trouble'])}<td>0"]
    about = {"who": html.escape(row["student"]), "title": html.escape(row["title"])}
    return PAGE.format(**about, points=row["points"], most=row["most"], rows="\n".join(cells))


def _right(verdict: dict) -> str:
    return f"right so far: {', '.join(verdict['right'])}" if verdict["right"] else ""


def _grades(rows: list[dict]) -> bytes:
    names = list(dict.fromkeys(v["exercise"] for row in rows for v in row["verdicts"]))
    table = []
    for row in rows:
        told = {v["exercise"]: (v["kind"], v["points"]) for v in row["verdicts"]}
        each = [cell for name in names for cell in told.get(name, ("", ""))]
        about = row.get("seed"), row.get("trouble") or row.get("note")
        table.append([row["student"], row["points"], row["most"], *each, *about])
    columns = [column for name in names for column in (name, f"{name} points")]
    return _table(("student", "points", "of", *columns, "seed", "trouble"), table)


def _mistakes(rows: list[dict]) -> list[list]:
    """What was said to wrong answers, and how often."""
    wrong = lambda row: (v for v in row["verdicts"] if v["kind"] in ("wrong", "error"))
    said = Counter((row["lab"], v["exercise"], v["said"]) for row in rows for v in wrong(row))
    return [[*what, count] for what, count in said.most_common()]


def _equal(names: dict[Path, str], home: Path) -> list[list]:
    """Answers whose syntax trees are equal (comments, spaces and docstrings do not count), unless short or ours."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for path, name in names.items():
        try:
            nb = checking.read(path)
        except ValueError:
            continue
        for exercise, tree in _trees(nb).items():
            found.setdefault((nb.metadata["gdm"]["lab"], exercise, tree), []).append(name)
    ours = {(lab.number, *pair) for lab in chapters("labs", home) for pair in _trees(gaps.source(lab)).items()}
    telling = {key: who for key, who in found.items() if len(key[2]) > SHORT and key not in ours}
    return [[*key[:2], " ".join(who)] for key, who in telling.items() if len(who) > 1]


def _trees(nb: NotebookNode) -> dict[str, str]:
    """Exercise -> the syntax tree of the function of its name, without its docstring."""
    found = {}
    for cell in nb.cells:
        if cell.cell_type == "code" and isinstance(cell.metadata.get("exercise"), str):
            try:
                body = ast.parse(cell.source).body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            for node in body:
                if isinstance(node, ast.FunctionDef) and node.name == cell.metadata.exercise:
                    if ast.get_docstring(node) is not None:
                        node.body = node.body[1:]
                    found[node.name] = ast.dump(node)
    return found


def _table(columns: Iterable[str], rows: Iterable[Iterable]) -> bytes:
    """CSV; a cell that a spreadsheet would take for a formula is text."""
    text = io.StringIO()
    safe = lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t")) else cell
    csv.writer(text, lineterminator="\n").writerows([list(columns), *([safe(c) for c in row] for row in rows)])
    return text.getvalue().encode()


def summary(rows: list[dict]) -> str:
    """A line a student."""
    wide = max(len(row["student"]) for row in rows)
    marks = lambda row: row.get("trouble") or " ".join(MARKS[v["kind"]] for v in row["verdicts"])
    return "\n".join(f"  {r['student']:<{wide}}  {r['points']:>4g} of {r['most']:<4g} {marks(r)}" for r in rows)
