"""Faults in figures: pictures that look right and are not."""

from mutants.plant import Mutant

FILE, TESTS = "gdm_core/plotting.py", "tests/test_plotting.py"

MUTANTS = [
    Mutant(
        "small-figures-in-every-notebook",
        FILE,
        "if colors.DRAFT in os.environ:",
        "if True:",
        f"{TESTS}::test_figures_of_a_notebook_are_sharp_and_those_of_a_replay_small",
    ),
    Mutant(
        "stills-of-replays-as-large-as-others",
        "gdm_core/widgets/stage.py",
        "scale = 0.5 if",
        "scale = still.SHARP if",
        "tests/test_still.py::test_the_still_of_a_replay_is_small_and_says_the_same",
    ),
    Mutant(
        "all-the-buttons",
        FILE,
        ", modebar=buttons)",
        ")",
        f"{TESTS}::test_a_figure_that_turns_brings_its_picture_and_is_shown_once",
    ),
    Mutant(
        "titles-run-into-each-other",
        FILE,
        '"<br>".join(textwrap.wrap(title.text.replace("<br>", " "), 24))',
        "title.text",
        f"{TESTS}::test_what_plotly_writes_fits_a_narrow_cell",
    ),
    Mutant(
        "lines-of-titles-broken-again",
        FILE,
        'title.text.replace("<br>", " ")',
        "title.text",
        f"{TESTS}::test_what_plotly_writes_fits_a_narrow_cell",
    ),
    Mutant(
        "no-room-for-a-second-line",
        FILE,
        "max(plotly.layout.margin.t or 0, 44)",
        "plotly.layout.margin.t or 0",
        f"{TESTS}::test_what_plotly_writes_fits_a_narrow_cell",
    ),
    Mutant(
        "names-of-steps-cut",
        FILE,
        'pad={"t": 10, "b": 10}',
        'pad={"t": 20, "b": 0}',
        f"{TESTS}::test_what_plotly_writes_fits_a_narrow_cell",
    ),
    Mutant(
        "a-tick-on-every-number",
        FILE,
        ', "nticks": 5',
        "",
        f"{TESTS}::test_a_figure_that_turns_brings_its_picture_and_is_shown_once",
    ),
    Mutant(
        "guide-without-a-color",
        "gdm_core/colors.py",
        'ACCENT = "#E69F00"',
        'ACCENT = GLOW = "#E69F00"',
        "tests/test_recipes.py::test_the_guide_names_every_color",
    ),
    Mutant(
        "ellipse-axes-swapped",
        FILE,
        "width, height = 2 * radius * values.flip(0).sqrt()",
        "width, height = 2 * radius * values.sqrt()",
        f"{TESTS}::test_ellipses_have_the_axes_of_the_covariance",
    ),
    Mutant(
        "ellipse-of-variances",
        FILE,
        "values.flip(0).sqrt()",
        "values.flip(0)",
        f"{TESTS}::test_ellipses_have_the_axes_of_the_covariance",
    ),
    Mutant(
        "contour-at-a-share-of-the-peak",
        FILE,
        "levels = sorted({float(ordered[np.searchsorted(inside, m)]) for m in mass})",
        "levels = sorted({float(ordered[0] * (1 - m)) + 1e-9 for m in mass})[:2]",
        f"{TESTS}::test_contours_of_a_mixture_enclose_that_share_of_its_samples",
    ),
    Mutant(
        "field-upside-down",
        FILE,
        '"origin": "lower"',
        '"origin": "upper"',
        f"{TESTS}::test_field_is_the_right_way_up",
    ),
    Mutant(
        "pictures-column-by-column",
        FILE,
        "top, left = i // columns * (height + pad), i % columns * (width + pad)",
        "top, left = i % rows * (height + pad), i // rows * (width + pad)",
        f"{TESTS}::test_images_puts_every_pixel_in_its_place",
    ),
    Mutant(
        "contours-on-the-cpu-alone",
        FILE,
        "p = _array(log_prob(grid(extent, side)).exp().double().reshape(side, side))",
        "p = log_prob(grid(extent, side)).exp().double().reshape(side, side).numpy()",
        f"{TESTS}::test_tensors_of_a_card_are_drawn_like_those_of_the_cpu",
    ),
    Mutant(
        "pictures-of-a-field-on-the-cpu-alone",
        FILE,
        "ax.imshow(_array(z), cmap",
        "ax.imshow(z.numpy(), cmap",
        f"{TESTS}::test_tensors_of_a_card_are_drawn_like_those_of_the_cpu",
    ),
    Mutant(
        "curves-of-numbers-on-the-cpu-alone",
        FILE,
        "if isinstance(x, list | tuple):",
        "if False:",
        f"{TESTS}::test_tensors_of_a_card_are_drawn_like_those_of_the_cpu",
    ),
]
