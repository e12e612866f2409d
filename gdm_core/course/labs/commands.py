"""`gdm labs`: build, check, next, use, hand, grade."""

import argparse
from collections.abc import Callable
from pathlib import Path

from gdm_core.course import chapters, start
from gdm_core.course.doctor import cpus
from gdm_core.course.labs import build as building
from gdm_core.course.labs import check as checking
from gdm_core.course.labs import grade as grading
from gdm_core.course.labs import handout
from gdm_core.course.labs import use as using
from gdm_core.course.labs.key import write_key
from gdm_core.course.notebooks import all_built


def build(chosen: argparse.Namespace) -> int:
    """Write the students' notebooks; solutions and the key go to build/."""
    home = chapters.root()
    listed, solved = chapters.choose(chosen.names, chapters.chapters("labs", home)), home / "build" / "labs"
    failed = all_built(listed, lambda lab: building.build(lab, solved), ValueError)
    start.write_page(home)
    print(f"solutions: {solved}\nkey: {write_key(home)}")
    return int(failed > 0)


def check(chosen: argparse.Namespace) -> int:
    """Run notebooks and say of each exercise: right, wrong with a hint, not written, an error, or out of time."""
    fine = True
    for path in chosen.files:
        print(path, flush=True)
        verdicts = checking.check(path, seeds=(chosen.seed,), seconds=chosen.seconds)
        print(checking.table(verdicts), flush=True)
        fine &= all(v.kind in ("right", "to read") for v in verdicts)
    return int(not fine)


def hand(chosen: argparse.Namespace) -> int:
    """Write a notebook for every student of a class, with data of their own where a lab asks for them."""
    labs = chapters.choose(chosen.labs, chapters.chapters("labs", chapters.root()))
    names = [line.strip() for line in chosen.names.read_text(encoding="utf-8").splitlines() if line.strip()]
    written = handout.hand_out(labs, names, chosen.out)
    print(f"{len(written)} notebooks in {chosen.out}")
    return 0


def grade(chosen: argparse.Namespace) -> int:
    """Grade a folder of notebooks: tables, one page of feedback a student, how often each mistake was made."""
    home = chapters.root()
    out = chosen.out or home / "build" / "grades"
    options = {"jobs": chosen.jobs, "seconds": chosen.seconds, "override": chosen.override}
    rows = grading.grade(chosen.folder, out, home=home, **options)
    print(f"{grading.summary(rows)}\nTables and feedback: {out}")
    return 0


def use(chosen: argparse.Namespace) -> int:
    """Let lectures and explorers run on what you wrote in a lab, where our code has the same form; --none: on ours."""
    if chosen.none:
        gone = using.drop()
        print(f"All is ours again{': no longer yours ' * bool(gone)}{', '.join(gone)}.")
        return 0
    for path in chosen.files:
        rows = using.use(path, chosen.seconds)
        wide = max(len(name) for name, *_ in rows)
        print(path, *(f"  {'✓' if place else '·'} {name:<{wide}}  {place or 'stays ours: '}{why}"
                      for name, place, why in rows), sep="\n", flush=True)  # fmt: skip
    print(f"In use: {', '.join(using.yours.files()) or 'nothing of yours'}. An open kernel keeps what it began with.")
    print("`gdm labs use --none` makes all ours again.")
    return 0


def next_(chosen: argparse.Namespace) -> int:
    """Open the first lab with something left to do."""
    home = chapters.root()
    for lab in chapters.choose([], chapters.chapters("labs", home)):
        verdicts = checking.check(lab.notebook)
        left = [v.exercise for v in verdicts if v.kind not in ("right", "to read")]
        print(f"{lab.name}: {'left to do: ' * bool(left)}{', '.join(left) or 'done'}", flush=True)
        if left:
            return chosen.open([f"--LabApp.default_url=/lab/tree/labs/{lab.notebook.name}", *chosen.options])
    print("Nothing is left to do in the labs that there are.")
    return 0


def main(arguments: list[str], open_: Callable[[list[str]], int]) -> int:
    """`gdm labs`.  open_: starts JupyterLab with these options."""
    parser = argparse.ArgumentParser(
        prog="gdm labs", description="Exercises with gaps, and checks that say what is wrong."
    )
    kinds = parser.add_subparsers(required=True, metavar="build | check | next | use | hand | grade")
    made = kinds.add_parser("build", help=build.__doc__, description=build.__doc__)
    made.add_argument("names", nargs="*", metavar="NN", help="numbers or names of labs; all by default")
    made.set_defaults(run=build)
    asked = kinds.add_parser("check", help=check.__doc__, description=check.__doc__)
    asked.add_argument("files", nargs="+", metavar="FILE", type=Path, help="notebooks of labs")
    asked.add_argument(
        "--seconds", type=float, default=checking.SECONDS, help="for a cell or an exercise (%(default)s)"
    )
    asked.add_argument("--seed", type=int, default=0, help="of the checks' random numbers; 0 is the notebook's own")
    asked.set_defaults(run=check)
    handed = kinds.add_parser("hand", help=hand.__doc__, description=hand.__doc__)
    handed.add_argument("names", type=Path, metavar="NAMES", help="a text file, one name a line")
    handed.add_argument("labs", nargs="*", metavar="NN", help="numbers or names of labs; all by default")
    handed.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets NAME/NN_name.ipynb")
    handed.set_defaults(run=hand)
    graded = kinds.add_parser("grade", help=grade.__doc__, description=grade.__doc__)
    graded.add_argument("folder", type=Path, metavar="FOLDER", help="STUDENT.ipynb, or folders of them")
    graded.add_argument("--out", type=Path, help="build/grades by default")
    graded.add_argument("--jobs", type=int, default=cpus(), help="notebooks at a time (%(default)s)")
    graded.add_argument(
        "--seconds", type=float, default=checking.SECONDS, help="for a cell or an exercise (%(default)s)"
    )
    graded.add_argument("--override", type=Path, metavar="CSV", help=f"points that win: {','.join(grading.COLUMNS)}")
    graded.set_defaults(run=grade)
    taken = kinds.add_parser("use", help=use.__doc__, description=use.__doc__)
    taken.add_argument(
        "files", nargs="*", metavar="FILE", type=Path, help="notebooks of labs; without one: what is used"
    )
    taken.add_argument("--none", action="store_true", help="use no answers: all is ours again")
    taken.add_argument(
        "--seconds", type=float, default=checking.SECONDS, help="for a cell or an exercise (%(default)s)"
    )
    taken.set_defaults(run=use)
    opened = kinds.add_parser("next", help=next_.__doc__, description=next_.__doc__)
    opened.add_argument("options", nargs="*", help="passed on to JupyterLab, after --")
    opened.set_defaults(run=next_, open=open_)
    chosen = parser.parse_args(arguments)
    return chosen.run(chosen)
