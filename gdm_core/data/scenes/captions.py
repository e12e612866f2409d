"""Sentences about scenes: said in many ways, and understood.

A sentence leaves factors open ("a red cube" says nothing of the floor), names them with other words ("a ball on scarlet
ground"), in another order ("the floor is blue and the cube is red") or denies them ("a cube that is not red").  What it
means is which places on the grid it allows, for each factor.  Colors and sizes belong to the noun that follows, or to
the one before if "is" stands between; so the same words in another order are another scene.
"""

import difflib
import re
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from gdm_core.data.scenes import words
from gdm_core.data.scenes.grid import ANGLES, FACTORS, SHAPES, Factors, table_of
from gdm_core.data.scenes.palette import WORDS as COLORS
from gdm_core.validate import bad

LONGEST = 32  # words of a caption that a model is told

_COLORS = {word: {i} for i, word in enumerate(COLORS)} | {"scarlet": {0}, "turquoise": {5}, "violet": {8}, "rose": {9}}
_SIZES = {word: {i} for i, word in enumerate(words.SIZES)} | {"little": {0, 1, 2, 3}, "big": {4, 5, 6, 7}}
_SHAPES = {word: {i} for i, word in enumerate(SHAPES)}
_SHAPES |= {"box": {0}, "block": {0}, "drum": {1}, "ball": {2}, "globe": {2}, "pill": {3}}
_SHAPES |= dict.fromkeys(("object", "thing", "solid"), {0, 1, 2, 3})
_SURFACES = {"floor": "floor_hue", "ground": "floor_hue", "wall": "wall_hue", "walls": "wall_hue"}
_STEP = (ANGLES[1] - ANGLES[0]) / (FACTORS["orientation"] - 1)
_DEGREES = [round(ANGLES[0] + _STEP * i, 6) for i in range(FACTORS["orientation"])]
_views = lambda is_one: {i for i, d in enumerate(_DEGREES) if is_one(d)}
_SIDES = {"left": _views(lambda d: d < 0), "right": _views(lambda d: d > 0)}
_SIDES |= dict.fromkeys(("front", "head-on"), _views(lambda d: d == 0))
_HOW_FAR = {"slightly": _views(lambda d: abs(d) < 11), "far": _views(lambda d: abs(d) >= 20)}
_NUMBERS = {str(round(abs(d))): _views(lambda e, d=d: abs(e) == abs(d)) for d in _DEGREES}
_LINKS = {"is", "are"}  # what follows belongs to the noun before
_FILLERS = set("a an the on in with and of that which it between before against stands seen viewed from at".split())
_FILLERS |= {"degree", "degrees"}

_KNOWN = [_COLORS, _SIZES, _SHAPES, _SURFACES, _SIDES, _HOW_FAR, _NUMBERS, _LINKS, _FILLERS, {"not"}]
VOCABULARY = ("", *sorted({word for kind in _KNOWN for entry in kind for word in entry.split()}))
_PLACE = {word: i for i, word in enumerate(VOCABULARY)}


def tokens(captions: Sequence[str]) -> Tensor:
    """Places of the words in `VOCABULARY`, (N, 32) long; 0 where a caption has ended.

    Raises:
        ValueError: an unknown word, which is named beside the nearest known one; no words; more than 32.
    """
    rows = torch.zeros(len(captions), LONGEST, dtype=torch.long)
    for row, caption in zip(rows, captions):
        found = _words(caption)
        if len(found) > LONGEST:
            raise bad(f"a caption of at most {LONGEST} words", len(found), "a shorter sentence")
        row[: len(found)] = torch.tensor([_PLACE[word] for word in found])
    return rows


def meaning(captions: Sequence[str]) -> Tensor:
    """Which places each caption allows: (N, 6, 15) bool, factors in their order, False beyond a factor's last place.

    Raises:
        ValueError: as `tokens`; a word that belongs to no noun; a caption that no scene fits.

    >>> allowed = meaning(["a ball on ground that is not red"])[0]
    >>> allowed.sum(1).tolist()  # nine floors, one shape
    [9, 10, 10, 8, 1, 15]
    """
    return torch.stack([_understood(caption) for caption in captions])


def fits(factors: Factors, allowed: Tensor) -> Tensor:
    """Which factors of scenes on the grid are as their captions allow: (N, 6) bool."""
    table = table_of(factors)
    return allowed.gather(2, table[:, :, None].to(allowed.device))[:, :, 0]


def said(factors: Factors, *, generator: Generator | None = None, leave: float = 0.0, deny: float = 0.0) -> list[str]:
    """A sentence for each scene on the grid, in words, order and form that are drawn.

    Args:
        factors: places on the grid, (N, 6) or by name.
        generator: of the wording.
        leave: probability with which a color, the size or the view is left open.
        deny: probability with which a color that is told is told by what it is not.

    >>> said([[7, 2, 0, 5, 3, 10]], generator=torch.Generator().manual_seed(1))
    ['between yellow walls, on a blue floor, a big capsule that is scarlet, seen from the right']
    """
    for name, share in (("leave", leave), ("deny", deny)):
        if not 0 <= share <= 1:
            raise bad(f"{name} as a probability, 0 to 1", share, f"{name}=0.3")
    return [_sentence(scene, generator, leave, deny) for scene in table_of(factors).tolist()]


def _words(caption: str) -> list[str]:
    found = re.findall(r"[a-z]+(?:-[a-z]+)*|\d+", caption.lower())
    if not found:
        raise bad("a caption", repr(caption), repr("a red cube on a blue floor"))
    for word in found:
        if word not in _PLACE:
            near = difflib.get_close_matches(word, VOCABULARY[1:], n=1, cutoff=0)
            raise bad("words of the vocabulary", repr(word), f"{near[0]!r}, or another of {', '.join(VOCABULARY[1:])}")
    return found


def _understood(caption: str) -> Tensor:
    allowed = {name: set(range(n)) for name, n in FACTORS.items()}
    pending: list[tuple[str, set, str]] = []  # colors and sizes whose noun comes later
    noun, linked, denied, far = None, False, False, None

    def narrow(name: str, places: set, word: str) -> None:
        allowed[name] &= places
        if not allowed[name]:
            raise bad(f"a caption that some scene fits; {word!r} leaves no {name}", repr(caption), "one object")

    def attach(kind: str, places: set, word: str) -> None:
        if kind == "scale" and noun != "object_hue":
            raise bad("sizes of the object only", f"{word!r} of {noun or 'nothing'}", "'a small cube on a red floor'")
        narrow(noun if kind == "hue" else kind, places, word)

    found = iter(_words(caption))
    for word in found:
        word = f"very {next(found, '')}" if word == "very" else word
        kind = "hue" if word in _COLORS else "scale" if word in _SIZES else None
        if word == "not":
            denied = True
        elif kind:
            places = (_COLORS | _SIZES)[word]
            places = set(range(10 if kind == "hue" else FACTORS["scale"])) - places if denied else places
            denied = False
            if linked:
                attach(kind, places, word)
            else:
                pending.append((kind, places, word))
        elif word in _SHAPES or word in _SURFACES:
            linked = False
            if word in _SHAPES:
                narrow("shape", {0, 1, 2, 3} - _SHAPES[word] if denied else _SHAPES[word], word)
            noun, denied = _SURFACES.get(word, "object_hue"), False
            while pending:
                attach(*pending.pop())
        elif word in _SIDES or word in _NUMBERS:
            views = _NUMBERS[word] if word in _NUMBERS else _SIDES[word]
            views = views & _HOW_FAR[far] if far else views
            narrow("orientation", _views(lambda d: True) - views if denied else views, word)
            denied, far = False, None
        elif word in _HOW_FAR:
            far = word
        elif word in _LINKS:
            if noun is None:
                raise bad(f"a noun before {word!r}", repr(caption), "'the floor is red'")
            linked = True
        elif word in _FILLERS:
            linked = linked and word == "and"
        else:
            raise bad("'small' or 'large' after 'very'", repr(word), "'a very small cube'")
    if pending or denied or far:
        open_word = pending[0][2] if pending else "not" if denied else far
        raise bad(f"something that {open_word!r} belongs to", repr(caption), "'a red cube', 'not red', 'from far left'")
    rows = torch.zeros(len(FACTORS), max(FACTORS.values()), dtype=torch.bool)
    for row, places in zip(rows, allowed.values()):
        row[list(places)] = True
    return rows


def _sentence(scene: list[int], generator: Generator | None, leave: float, deny: float) -> str:
    draw = lambda n: int(torch.randint(n, (), generator=generator))
    chance = lambda p: float(torch.rand((), generator=generator)) < p
    floor, wall, thing, size, shape, view = scene
    kin = lambda kind, place: [word for word, places in kind.items() if places == {place}]
    one = lambda options: options[draw(len(options))]

    def phrase(noun: str, place: int, *, size: str = "", open_: bool = False, article: bool = True) -> str:
        """The noun with its color before or behind it, or with one that it has not."""
        front, behind, link = [size] if size else [], "", "is" if article else "are"
        shown, other = one(kin(_COLORS, place)), one(kin(_COLORS, (place + 1 + draw(9)) % 10))
        if not open_ and chance(deny):
            behind = f" that {link} not {other}"
        elif not open_ and chance(0.5):
            front.append(shown)
        elif not open_:
            behind = f" that {link} {shown}"
        told = " ".join([*front, noun]) + behind
        return f"{'an' if told[0] in 'aeiou' else 'a'} {told}" if article else told

    measure = "" if chance(leave) else one([*3 * kin(_SIZES, size), "little" if size < 4 else "big"])
    body = phrase(one(kin(_SHAPES, shape)), thing, size=measure, open_=chance(leave))
    around = []
    if not chance(leave):
        around.append(f"on {phrase(one(['floor', 'ground']), floor)}")
    if not chance(leave):
        around.append(one([f"between {phrase('walls', wall, article=False)}", f"against {phrase('wall', wall)}"]))
    if chance(0.5):
        around.reverse()
    parts = [body, *around] if chance(0.7) else [*around, body]
    if not chance(leave):
        parts.append("seen " + words.pose(_DEGREES[view]).split(" (")[0])
    return ", ".join(parts)
