"""Right and wrong answers to the labs' exercises, one file a lab: what students really write.

    @wrong("log_joint", "the weights are missing")
    def prior_forgotten(x, weights, means, stds): ...

The name says the mistake; the second argument stands in the hint that it must get, and in that of no other mistake.
A comment such as `# owner/name#12` names a thread of a public repository on GitHub in which the mistake comes up.
"""

import importlib
from collections.abc import Callable


def wrong(exercise: str, hint: str) -> Callable:
    """Marks an answer that its exercise must refuse, with `hint`."""
    return _marked(exercise, hint)


def right(exercise: str) -> Callable:
    """Marks an answer that its exercise must accept."""
    return _marked(exercise, "")


def of(lab: str) -> list[Callable]:
    """The answers in `tests/answers/LAB.py`; each has `exercise` and `hint`, which is empty for a right one."""
    module = importlib.import_module(f"answers.{lab}")
    return [found for found in vars(module).values() if hasattr(found, "hint")]


def _marked(exercise: str, hint: str) -> Callable:
    def mark(answer: Callable) -> Callable:
        answer.exercise, answer.hint = exercise, hint
        return answer

    return mark
