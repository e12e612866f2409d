"""Faults in what a stage does before it has a size, and in ticks of an axis."""

from mutants.plant import Mutant

PAGE, MARKS, BRUSH = (f"gdm_core/widgets/js/{name}.js" for name in ("page", "marks", "brush"))
FIRST = "tests/test_stage_size.py::test_a_stage_that_could_not_be_seen_at_first_looks_the_same_later"
TICKS = "tests/test_stage_size.py::test_ticks_end_whatever_they_are_asked_for"

MUTANTS = [
    Mutant(
        "colors-of-the-first-moment-stay",
        PAGE,
        "    look.measure();\n    view.shades();",
        "    view.shades();",
        f"{FIRST}[not-in-the-page]",
    ),
    Mutant(
        "a-plot-is-not-drawn-when-it-gets-a-size",
        PAGE,
        "    view.shades();\n    view.moved();",
        "    view.moved();",
        f"{FIRST}[not-displayed]",
    ),
    Mutant(
        "knobs-stay-in-the-corner",
        PAGE,
        "    view.moved();\n  }).observe",
        "  }).observe",
        f"{FIRST}[without-width]",
    ),
    Mutant(
        "legend-without-colors",
        PAGE,
        "    view.shades();\n    view.moved();",
        "    view.draw();\n    view.moved();",
        f"{FIRST}[not-in-the-page]",
    ),
    Mutant("paint-needs-a-color", BRUSH, " ?? [0, 0, 0]", "", f"{FIRST}[not-in-the-page]"),
    Mutant("ticks-of-no-number", MARKS, "clamp(count || 0, 1, 50)", "count || 1", TICKS),
    Mutant("one-number-twice", MARKS, "if (v !== out.at(-1)) out.push(v)", "out.push(v)", TICKS),
    Mutant("one-number-is-a-scale", MARKS, "out.length < 2 && wanted", "!out.length && wanted", TICKS),
]
