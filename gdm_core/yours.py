"""Answers to labs in place of the library's own code: `gdm labs use` keeps them, one file an exercise.

    @yours.replaceable("lab05.without", lambda theirs, ours, v, *others: unit(theirs(v, torch.stack(others))))
    def remove(direction, *others): ...

Without such a file `remove` is what it says.  With one, the student's function is asked in its place; `theirs` is that
function, `ours` the one below the mark, for cases that the exercise does not cover.  A file is read at the first call:
an open kernel keeps what it began with.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from gdm_core.files import yours_home

PLACES: dict[str, list[str]] = {}  # exercise -> the functions of the library that it can replace, of imported modules
UNDO = "gdm labs use --none takes it out"


def replaceable(exercise: str, adapted: Callable) -> Callable:
    """Mark a function that the answer to `exercise`, such as "lab05.without", can replace.

    Args:
        exercise: a lab and a name, separated by a dot.
        adapted: called as adapted(theirs, ours, *arguments); returns what the marked function would.
    """

    def mark(ours: Callable) -> Callable:
        place = f"{ours.__module__.removeprefix('gdm_core.')}.{ours.__qualname__}"
        PLACES.setdefault(exercise, []).append(place)

        @functools.wraps(ours)
        def either(*args, **options):
            theirs = answer(exercise, place)
            if theirs is None:
                return ours(*args, **options)
            try:
                return adapted(theirs, ours, *args, **options)
            except Exception as error:
                error.add_note(f"Here {place} runs on your own {exercise}; {UNDO}.")
                raise

        return either

    return mark


def files() -> dict[str, Path]:
    """Exercise -> the file with the answer that is in use."""
    return {path.stem: path for path in sorted(yours_home().glob("lab*.*.py"))}


def in_code(code: Mapping[str, str]) -> dict[str, str]:
    """Of the answers in use those that some code can reach, each with a hash of it.  code: see `reachable`."""
    text = {exercise: path.read_bytes() for exercise, path in files().items()}
    reached = {e: t for e, t in text.items() if any(f"replaceable('{e}'" in source for source in code.values())}
    return {exercise: hashlib.blake2b(source, digest_size=6).hexdigest() for exercise, source in reached.items()}


def answer(exercise: str, place: str) -> Callable | None:
    """The student's function, said once in each process and place; None where ours is used."""
    theirs = _read(exercise)
    if theirs is not None:
        _say(exercise, place)
    return theirs


@functools.cache
def _read(exercise: str) -> Callable | None:
    path = yours_home() / f"{exercise}.py"
    if not path.is_file():
        return None
    names = {"__name__": f"yours.{exercise}"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names[exercise.partition(".")[2]]


@functools.cache
def _say(exercise: str, place: str) -> None:
    print(f"Yours: {place} runs on your {exercise.partition('.')[2]} of {exercise.partition('.')[0]}; {UNDO}.")


def forget() -> None:
    """Look for the files anew."""
    _read.cache_clear(), _say.cache_clear()
