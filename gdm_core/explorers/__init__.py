"""Live explorers: plain functions that wire a model to the stage, used by the lectures and the studio alike.

One file an explorer: `chNN_name.py` holds the function `name` of chapter NN.  The first line of its docstring is the
title of its page, the sentence that ends in a question mark what one can find out by playing.  `EXPLORERS` has all that
lie in this folder, in the order of the chapters; `explorers.mixtures()` and its like build one.  No file is imported
before its explorer is asked for: a page about mixtures should not wait for the renderer.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gdm_core import yours
from gdm_core.explorers.headers import read
from gdm_core.reachable import reachable
from gdm_core.widgets import Stage


@dataclass(frozen=True)
class Explorer:
    """One explorer as the studio lists it.

    Attributes:
        file: that holds its function and says its title and question.
        chapter: of the lecture that uses it first.
        name: of the function.
    """

    file: Path
    chapter: int
    name: str

    @functools.cached_property
    def header(self) -> dict[str, str]:
        return read(self.file)

    @property
    def title(self) -> str:
        """Headline of its page."""
        return self.header["title"]

    @property
    def question(self) -> str:
        """What one can find out by playing, one sentence."""
        return self.header["question"]

    @property
    def function(self) -> Callable[..., Stage]:
        """Builds the stage; all its arguments have defaults."""
        ours = getattr(importlib.import_module(f"gdm_core.explorers.{self.file.stem}"), self.name)
        return _told(ours) if yours.files() else ours


def _told(function: Callable[..., Stage]) -> Callable[..., Stage]:
    """A page whose caption says which answers to labs it runs on."""
    own = yours.in_code(reachable(function))
    if not own:
        return function
    note = f"Runs on your {', '.join(e.partition('.')[2] for e in own)}; {yours.UNDO}."

    @functools.wraps(function)
    def build(*args, **options) -> Stage:
        stage = function(*args, **options)
        stage.caption = f"{stage.caption} {note}".strip()
        stage.spec = {**stage.spec, "caption": stage.caption}
        return stage

    return build


def found(folder: Path) -> dict[str, Explorer]:
    """The explorers whose files lie in a folder, by name."""
    files = sorted(folder.glob("ch[0-9][0-9]_*.py"))
    return {
        name: Explorer(file, int(chapter[2:]), name) for file in files for chapter, name in [file.stem.split("_", 1)]
    }


EXPLORERS = found(Path(__file__).parent)
__all__ = ["EXPLORERS", "Explorer", *EXPLORERS]


def __getattr__(name: str) -> Callable[..., Stage]:
    if name not in EXPLORERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return EXPLORERS[name].function


def __dir__() -> list[str]:
    return sorted([*globals(), *EXPLORERS])
