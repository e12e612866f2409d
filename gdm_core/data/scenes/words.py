"""One English sentence for a scene."""

from gdm_core.data.scenes.palette import WORDS

SIZES = ("tiny", "very small", "small", "smallish", "largish", "large", "very large", "huge")


def sentence(floor: int, wall: int, thing: int, size: int, shape: str, degrees: float) -> str:
    """What a person would say who sees it.

    Args:
        floor, wall, thing: places of the colors in `WORDS`.
        size: place in `SIZES`.
        shape: of the object.
        degrees: how far the camera went to the right.

    >>> sentence(7, 2, 1, 0, "sphere", -30)
    'A tiny orange sphere on a blue floor between yellow walls, seen from far left (30 degrees).'
    """
    ground = WORDS[floor]
    article = "an" if ground[0] in "aeiou" else "a"
    return (
        f"A {SIZES[size]} {WORDS[thing]} {shape} on {article} {ground} floor between {WORDS[wall]} walls, "
        f"seen {pose(degrees)}."
    )


def pose(degrees: float) -> str:
    """Where the camera stands."""
    whole = round(abs(degrees))
    if whole == 0:
        return "head-on"
    side = "right" if degrees > 0 else "left"
    where = f"slightly {side}" if whole < 11 else f"the {side}" if whole < 20 else f"far {side}"
    return f"from {where} ({whole} degree{'s' if whole > 1 else ''})"
