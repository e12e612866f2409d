"""The font of the formulas (STIX Two Math, SIL Open Font License), cut down to the glyphs of one page and put into it.

Without a font that has a MATH table, brackets and roots do not grow, and many machines have none.
"""

import base64
import importlib.util
import io
import re
from functools import lru_cache
from pathlib import Path

# Where a lone letter goes.
ITALIC = ((0x1D434, "A", "Z"), (0x1D44E, "a", "z"), (0x1D6E2, "Α", "Ω"), (0x1D6FC, "α", "ω"))


def face(html: str) -> str:
    """An `@font-face` rule named "Page Math" for the formulas in `html`; empty when there are none."""
    used = set("".join(re.findall(r"<math.*?</math>", html, re.DOTALL)))
    return _face("".join(sorted(used))) if used else ""


@lru_cache(maxsize=16)
def _face(used: str) -> str:
    from fontTools import subset
    from fontTools.ttLib import TTFont

    wanted = {ord(char) for char in used} | {0x210E, 0x221A, 0x0338}  # italic h, the root, the slash of a negation
    for there, first, last in ITALIC:
        wanted |= {there + ord(char) - ord(first) for char in used if first <= char <= last}
    wanted |= {0x1D715 + i for i in range(7)}  # italic partial, epsilon, phi … in the forms of TeX
    options = subset.Options()
    options.flavor, options.layout_features, options.notdef_outline = "woff", ["ssty", "dtls", "kern", "ccmp"], True
    options.hinting = False
    options.drop_tables += ["DSIG", "FFTM"]
    (package,) = importlib.util.find_spec("ziamath").submodule_search_locations  # found without being imported
    path = Path(package) / "fonts" / "STIXTwoMath-Regular.ttf"
    with TTFont(path, recalcTimestamp=False, lazy=True) as font:
        cut = subset.Subsetter(options)
        cut.populate(unicodes=wanted)
        cut.subset(font)
        _adapt(font)
        font.flavor = "woff"
        out = io.BytesIO()
        font.save(out)
    data = base64.b64encode(out.getvalue()).decode()
    return f'@font-face {{ font-family: "Page Math"; src: url("data:font/woff;base64,{data}") format("woff"); }}'


def _adapt(font) -> None:
    """As in TeX, scripts stand at one height under letters with a descender and without.

    And all roots are made as wide as the smallest: Chromium leaves room for the widest after every root.
    """
    constants, variants = font["MATH"].table.MathConstants, font["MATH"].table.MathVariants
    constants.SubscriptBaselineDropMin.Value = 0
    constants.SuperscriptBaselineDropMax.Value = 400
    root = font.getBestCmap()[0x221A]
    built = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(root)]
    larger = [v.VariantGlyph for v in built.MathGlyphVariantRecord] + [p.glyph for p in built.GlyphAssembly.PartRecords]
    width, _ = font["hmtx"][root]
    for name in set(larger) - {root}:
        advance, bearing = font["hmtx"][name]
        glyph = font["glyf"][name]
        glyph.coordinates.scale((width / advance, 1))
        glyph.coordinates.toInt()
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = width, glyph.xMin
