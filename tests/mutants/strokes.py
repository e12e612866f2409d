"""Faults in the drawn digits: splines, factors, frame, ink, random numbers, splits."""

from mutants.plant import Mutant

INIT, PATHS = "gdm_core/data/strokes/__init__.py", "gdm_core/data/strokes/paths.py"
STYLE, RENDER = "gdm_core/data/strokes/style.py", "gdm_core/data/strokes/render.py"
CHANCE = "gdm_core/data/strokes/chance.py"


def tests(*names: str) -> str:
    return " ".join(f"tests/test_strokes.py::test_{name}" for name in names)


def paths(*names: str) -> str:
    return " ".join(f"tests/test_strokes_paths.py::test_{name}" for name in names)


SPLINE = paths("spline_meets_its_points_and_is_evenly_spaced")
INK = tests("ink_is_the_distance_to_the_line_through_a_soft_edge")
FRAME = tests("frame_is_that_of_mnist")
JITTER = tests("jitter_is_a_standard_deviation_in_digit_heights")
CURL = tests("curl_bends_a_straight_line_as_its_formula_says")
HASH = paths("hash_loses_no_word_and_flips_half_the_bits")
UNIFORM = tests("factors_are_uniform_and_independent")
SPLITS = tests("splits_and_seeds_share_no_picture")
ALONE = tests("one_factor_changes_alone")
BATCH = tests("draw_repeats_the_set_alone_and_in_any_batch")
ERRORS = tests("bad_input_is_named")

MUTANTS = [
    Mutant("spline-wrong-weight", PATHS, "2 - 5 * t**2", "2 - 4 * t**2", SPLINE),
    Mutant(
        "spline-end-wrong-sign",
        PATHS,
        "2 * p[:1] - p[1:2]",
        "2 * p[:1] + p[1:2]",
        SPLINE,
    ),
    Mutant(
        "spline-rounds-corners",
        PATHS,
        "ends = [], [0, *(i for i, c in enumerate(corner) if c), len(index) - 1]",
        "ends = [], [0, len(index) - 1]",
        paths("corners_stay_corners"),
    ),
    Mutant("spline-bunches-points", PATHS, "(1 - w) * B[right - 1] + w * B[right]", "B[right - 1]", SPLINE),
    Mutant(
        "closed-4-left-open",
        PATHS,
        '"46,0 22,32 0,62*',
        '"26,0 12,32 0,62*',
        paths("paths_have_the_holes_of_their_names"),
    ),
    Mutant("curl-linear", PATHS, "sign * u**3", "sign * u", CURL),
    Mutant(
        "curl-by-the-ends-of-pieces",
        PATHS,
        "torch.linspace(-1, 1, 2 * n - 1)[1::2]",
        "torch.linspace(-1, 1, n - 1)",
        CURL,
    ),
    Mutant(
        "curl-moves-strokes-apart",
        STYLE,
        "rolled + way.gather(1, at) - rolled.gather(1, at)",
        "rolled + way[:, :1]",
        paths("curl_keeps_the_middles_and_the_lengths_of_strokes"),
    ),
    Mutant("curl-to-the-other-side", STYLE, "curl[:, None] * pen.roll[path]", "-curl[:, None] * pen.roll[path]", CURL),
    Mutant(
        "slant-leans-left",
        STYLE,
        "x - slant[:, None] * y",
        "x + slant[:, None] * y",
        tests("slant_moves_the_moments_by_itself"),
    ),
    Mutant(
        "slant-as-an-angle",
        STYLE,
        "x - slant[:, None] * y",
        "x - slant.sin()[:, None] * y",
        tests("slant_moves_the_moments_by_itself"),
    ),
    Mutant(
        "rotation-clockwise",
        STYLE,
        "cos * x + sin * y, cos * y - sin * x",
        "cos * x - sin * y, cos * y + sin * x",
        tests("rotation_turns_the_main_axis_counterclockwise"),
    ),
    Mutant("width-inverted", STYLE, "x * width[:, None]", "x / width[:, None]", tests("width_scales_the_box")),
    Mutant("jitter-as-variance", STYLE, "jitter[:, None, None] *", "jitter.sqrt()[:, None, None] *", JITTER),
    Mutant("jitter-smoothed-to-another-variance", STYLE, "2**0.5 * alone", "2 * alone", JITTER),
    Mutant(
        "jitter-draws-used-twice",
        STYLE,
        "_POINTS, _STROKES, _BENDS = 0, 100, 200",
        "_POINTS, _STROKES, _BENDS = 0, 0, 0",
        JITTER,
    ),
    Mutant(
        "jitter-from-the-global-stream",
        STYLE,
        "chance.normal(noise, _POINTS, 2 * (C + 2))",
        "torch.randn(n, 2 * (C + 2))",
        f"{BATCH} {ALONE}",
    ),
    Mutant("frame-forgets-the-pen", RENDER, "BOX * size - thickness", "BOX * size", FRAME),
    Mutant(
        "frame-forgets-the-size",
        RENDER,
        "BOX * size - thickness",
        "BOX - thickness",
        tests("size_scales_the_longer_side"),
    ),
    Mutant("frame-fits-the-shorter-side", RENDER, "(high - low).amax(1)", "(high - low)[:, 1]", FRAME),
    Mutant(
        "frame-centers-the-box", RENDER, "way - mass[:, None] + CENTER", "way - way.amax(1, True) / 2 + CENTER", FRAME
    ),
    Mutant("frame-off-by-half-a-pixel", RENDER, "CENTER = 14.0", "CENTER = 13.5", FRAME),
    Mutant(
        "thickness-as-radius",
        RENDER,
        "(thickness[:, None] / 2 - d)",
        "(thickness[:, None] - d)",
        tests("thickness_is_the_width_of_the_line_in_pixels"),
    ),
    Mutant("ink-linear-edge", RENDER, "(edge * edge * (3 - 2 * edge))", "edge", INK),
    Mutant("ink-where-the-pen-is-up", RENDER, "way.diff(dim=1) * down[..., None]", "way.diff(dim=1)", INK),
    Mutant("ink-window-too-small", RENDER, "- 0.5) + 2)", "- 0.5) - 1)", INK),
    Mutant(
        "ink-lines-without-ends",
        RENDER,
        "[:, :, None, :] + (y * (dy / length2)[..., None])[..., None]).clamp_(0, 1)",
        "[:, :, None, :] + (y * (dy / length2)[..., None])[..., None])",
        INK,
    ),
    Mutant("ink-of-the-farthest-piece", RENDER, '"amin")', '"amax", include_self=False)', INK),
    Mutant("ink-rows-for-columns", RENDER, "at[..., 1] * SIDE + at[..., 0] +", "at[..., 0] * SIDE + at[..., 1] +", INK),
    Mutant("hash-merges-words", CHANCE, "0x21F0AAAD", "0x21F0AAAC", HASH),
    Mutant(
        "hash-without-a-round",
        CHANCE,
        "mix(mix((mix((low + draw) & _WORD) ^ high) & _WORD) ^ (draw & _WORD))",
        "(low * 0x9E3779B9 + high + draw) & _WORD",
        HASH,
    ),
    Mutant("normal-of-half-the-variance", CHANCE, "(-2 * u[:, ::2].log())", "(-u[:, ::2].log())", UNIFORM),
    Mutant("splits-share-their-numbers", INIT, "STREAMS.index(stream)", "0", SPLITS),
    Mutant("numbers-ignore-the-stream", CHANCE, " ^ high) & _WORD)", ") & _WORD)", SPLITS),
    Mutant(
        "seeds-ignored",
        INIT,
        "chance.keys(n, seed,",
        "chance.keys(n, 0,",
        f"{SPLITS} {tests('same_seed_same_set_and_the_first_ones_stay_the_first')}",
    ),
    Mutant(
        "variants-of-the-shortest-list",
        INIT,
        "pens(str(key.device)).count[labels]).long()",
        "3).long()",
        paths("every_variant_is_drawn_and_differs"),
    ),
    Mutant("factors-from-one-draw", INIT, "unit[:, i]", "unit[:, 0]", UNIFORM),
    Mutant("factors-beyond-their-ends", INIT, "low + (high - low) * unit", "low + high * unit", UNIFORM),
    Mutant(
        "labels-never-9", INIT, "(pick[:, 0] * 10)", "(pick[:, 0] * 9)", paths("every_variant_is_drawn_and_differs")
    ),
    Mutant(
        "gray-levels-not-rounded",
        INIT,
        "x.mul_(255).round_().div_(255)",
        "x",
        tests("pixels_are_256_gray_levels_with_gray_edges"),
    ),
    Mutant("fixed-factor-ignored", INIT, "if k in FACTORS}, n, key", "if k in ()}, n, key", ALONE),
    Mutant("last-pictures-left-empty", INIT, "range(0, n, chunk)", "range(0, n - chunk + 1, chunk)", BATCH),
    Mutant("first-path-of-the-chunk", INIT, "pen.down[path[part]]", "pen.down[path[:chunk]][: len(path[part])]", BATCH),
    Mutant(
        "zero-thickness-drawn",
        INIT,
        '_POSITIVE = ("thickness", "width", "size")',
        '_POSITIVE = ("width", "size")',
        ERRORS,
    ),
    Mutant(
        "infinite-slant-drawn",
        INIT,
        "if not torch.isfinite(value).all() or (value < low).any()",
        "if (value < low).any()",
        ERRORS,
    ),
    Mutant(
        "variant-wraps-around",
        INIT,
        "(variant < 0) | (variant >= pen.count[labels])",
        "variant >= pen.count[labels]",
        ERRORS,
    ),
]
