"""From a function that looks at an answer to a verdict of one line."""

import contextlib
import io
import os
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator

from gdm_core.checks.answers import Answer

MARKS = {"right": "✓", "wrong": "✗", "not written": "·", "error": "!", "out of time": "⌛", "to read": "?"}
FOUND_NOTHING = "the checks found no mistake"
SEEDS = (0, 101, 202)  # of a grader: the notebook's own, and two that no student has seen


class Refused(Exception):
    """What a cell of nbgrader ends with; a traceback would show students the check."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Wrong(Exception):
    """An answer is wrong; the message is the hint that its author gets."""


@dataclass(frozen=True)
class Verdict:
    """What is said of one answer: `kind` is one of MARKS, `said` the rest of the line.

    Of an answer that is not right, `right` names the parts that are, and `share` says what they are worth, from 0 to 1.
    """

    exercise: str
    kind: str
    said: str
    right: tuple[str, ...] = ()
    share: float = 0.0

    def __str__(self) -> str:
        return f"{MARKS[self.kind]} {self.exercise}: {self.line}"

    @property
    def line(self) -> str:
        """What was said, and what is right already."""
        return f"{self.said} · right so far: {', '.join(self.right)}" if self.right else self.said

    @property
    def credit(self) -> float:
        """The share of the exercise's points, from 0 to 1."""
        return 1.0 if self.kind == "right" else self.share


class Exercise:
    """A check: `look(answer, numbers)` raises Wrong(hint), or an AssertionError of `compare`, or returns.

    Its name is that of the function that the student writes.  It has random numbers of its own, the same at each call.
    """

    def __init__(self, look: Callable[[Answer, Generator], None], weights: Mapping[str, float] | None = None):
        self.look, self.name, self.__doc__ = look, look.__name__, look.__doc__
        self.weights = {name.replace("_", " "): weight for name, weight in (weights or {}).items()}

    @classmethod
    def worth(cls, **weights: float) -> Callable[[Callable], "Exercise"]:
        """An exercise in parts, such as worth(form=1, values=3, far_away=1).

        The check says `answer.part(name)` where it comes to one.  A mistake ends it: what counts are the parts that it
        came to before, but for the one that the mistake is in.
        """
        return lambda look: cls(look, weights)

    def __call__(self, answer: Callable, *, show: Callable | None = None) -> None:
        """Print the verdict and, after a right answer, the picture that `show` draws of it.

        Raises:
            Refused: under nbgrader alone, for which a cell is right unless it raises; it asks as often as our grader.
        """
        if os.environ.get("NBGRADER_EXECUTION"):
            return self._for_nbgrader(answer)
        verdict = self.verdict(answer)
        print(verdict)
        if verdict.kind == "right" and show is not None:
            try:
                show(Answer(answer))
            except Exception as error:  # a picture may need other exercises; Run All goes on
                print(f"  no picture: {one_line(error)}")

    def verdict(self, answer, seed: int = 0) -> Verdict:
        """What the checks say, whatever the answer does short of ending the process or never returning.

        Args:
            answer: what the student wrote; None where there is nothing by that name.
            seed: of the check's random numbers, and of those that the answer draws.
        """
        if answer is None or answer is Ellipsis:
            return Verdict(self.name, "not written", "not written yet")
        if not callable(answer):
            return Verdict(self.name, "wrong", f"needed a function, got {type(answer).__name__}")
        asked = Answer(answer)
        try:
            with own_numbers(seed), torch.enable_grad():
                self.look(asked, torch.Generator().manual_seed(seed))
        except Wrong as wrong:
            return Verdict(self.name, "wrong", str(wrong), *self._credit(asked))
        except NotImplementedError as error:
            where = traceback.extract_tb(error.__traceback__)[-1].name
            other = where not in (self.name, getattr(answer, "__name__", self.name))
            said = f"it needs {where}, which is not written yet" if other else "not written yet"
            return Verdict(self.name, "not written", said)
        except (Exception, SystemExit) as error:
            fault = "your code" if error is asked.raised or isinstance(error, SystemExit) else "the check itself"
            return Verdict(self.name, "error", f"{fault} raised {one_line(error)}", *self._credit(asked))
        return Verdict(self.name, "right", FOUND_NOTHING)

    def repeated(self, answer, seeds: Iterable[int]) -> Verdict:
        """The first verdict that is not "right", of as many as there are seeds."""
        verdicts = (self.verdict(answer, seed) for seed in seeds)
        return next((v for v in verdicts if v.kind != "right"), Verdict(self.name, "right", FOUND_NOTHING))

    def _for_nbgrader(self, answer) -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # one warning of an answer there, and it gets no points
            verdict = self.repeated(answer, SEEDS)
        if verdict.kind != "right":
            raise Refused(str(verdict))
        print(verdict)

    def _credit(self, asked: Answer) -> tuple[tuple[str, ...], float]:
        """The parts that are right, and their share of the weights."""
        right = [name for name in self.weights if name in asked.parts[:-1] and name != asked.parts[-1]]
        share = sum(self.weights[name] for name in right) / sum(self.weights.values()) if right else 0.0
        return tuple(right), share


def exercises(lab) -> dict[str, Exercise]:
    """The exercises of a module such as `gdm_core.checks.lab01`, in its order."""
    return {name: found for name, found in vars(lab).items() if isinstance(found, Exercise)}


@contextlib.contextmanager
def own_numbers(seed: int) -> Iterator[None]:
    """What an answer draws follows from `seed`; afterwards the notebook's random numbers go on as if nothing was."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed), np.random.seed(seed % 2**32), random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0]), np.random.set_state(states[1]), random.setstate(states[2])


def one_line(error: BaseException) -> str:
    """The kind of an error, its first line, and the line of the student's code that raised it.

    That is the last line outside of this package and of installed ones, or the last of all.
    """
    message = (str(error).strip().splitlines() or [""])[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and "/gdm_core/checks/" not in _slashes(f.filename)]
    line = f" in the line `{own[-1].line}`" if own and own[-1].line else ""
    return f"{type(error).__name__}{': ' + message if message else ''}{line}"


def _slashes(path: str) -> str:
    return path.replace("\\", "/")
