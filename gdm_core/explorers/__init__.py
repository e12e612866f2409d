"""Live explorers: plain functions that wire a model to the stage, used by the lectures and the studio alike.

`EXPLORERS` lists them in the order of the chapters; `explorers.mixtures()` and its like build one.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from gdm_core.widgets import Stage


@dataclass(frozen=True)
class Explorer:
    """One explorer as the studio lists it.

    Attributes:
        function: builds the stage; all its arguments have defaults.
        title: headline of its page.
        chapter: of the lecture that uses it.
        question: what one can find out by playing, one sentence.
    """

    function: Callable[..., Stage]
    title: str
    chapter: int
    question: str


def _late(module: str, name: str) -> Callable[..., Stage]:
    """The function, imported when it is first called: a page about mixtures should not wait for the renderer."""

    def function(*args, **kwargs) -> Stage:
        return getattr(importlib.import_module(f"gdm_core.explorers.{module}"), name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    return function


def _explorer(module: str, name: str, chapter: int, title: str, question: str) -> Explorer:
    """The file must not be called as the function: once imported it would hide it."""
    return Explorer(_late(module, name), title, chapter, question)


EXPLORERS = {
    "mixtures": _explorer(
        "mixture", "mixtures", 1, "EM by hand", "Which starts lead EM to a good optimum, and which to a bad one?"
    ),
    "scenes": _explorer("rooms", "scenes", 2, "Six numbers, one picture", "What does each factor of a room change?"),
    "ppca": _explorer(
        "linear", "ppca", 2, "A linear latent space", "What do two latents say about a digit, and how surely?"
    ),
    "posterior": _explorer(
        "posteriors", "posterior", 4, "Guess or search", "What does the encoder's guess lose against a search?"
    ),
    "latent_pad": _explorer(
        "pad", "latent_pad", 4, "The latent pad", "What lies between the digits, and what outside of them?"
    ),
    "style_board": _explorer(
        "styles", "style_board", 5, "Class by style", "Does one code mean the same style in every class?"
    ),
    "arithmetic": _explorer(
        "sums", "arithmetic", 5, "a − b + c", "When do codes add up, and when do they leave the crowd?"
    ),
    "traversal": _explorer(
        "traverse",
        "traversal",
        5,
        "Six latents, four factors",
        "Does a latent move one factor of a room, several, or none?",
    ),
}

globals().update({name: explorer.function for name, explorer in EXPLORERS.items()})
__all__ = ["EXPLORERS", "Explorer", *EXPLORERS]
