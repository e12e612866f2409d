"""Words in static pictures: the face, and where lines break."""

import functools
from pathlib import Path

from PIL import ImageFont


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The face of words in static pictures, `size` pixels high: matplotlib ships it, so all machines have it."""
    import matplotlib  # slow to load, and only static pictures need it

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def broken(words: str, width: float, face) -> list[str]:
    """Lines no wider than `width` pixels."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
