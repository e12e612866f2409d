"""Faults in what explorers say and color: words, shades, legends, dots at the wrong end."""

from mutants.plant import Mutant

SAY, LEARNED = "tests/test_explorers_say.py", "tests/test_posterior_explorer.py"
EM, SCENES, PPCA, PAD, POSTERIOR, TRAVERSAL = (
    f"gdm_core/explorers/{name}.py"
    for name in ("ch01_mixtures", "ch02_scenes", "ch02_ppca", "ch04_latent_pad", "ch04_posterior", "ch05_traversal")
)
READ_OUTS, ROOM_VAES, COLORS = (
    "gdm_core/explorers/read_outs.py",
    "gdm_core/explorers/room_vaes.py",
    "gdm_core/colors.py",
)
NOW, SLICE = f"{SAY}::test_em_says_and_shows_where_it_is", f"{SAY}::test_the_slice_lies_between_the_states_and"
SLICE += "_its_dots_are_where_the_text_says"
PLANE = f"{SAY}::test_the_plane_of_digits_against_scikit_learn"
CLASSES = f"{SAY}::test_every_class_of_the_pad_has_its_color_and_its_name_in_its_middle"
NEAREST, GROUNDS = (
    f"{SAY}::test_the_pad_says_whose_code_is_nearest",
    f"{SAY}::test_the_grounds_of_the_pad_are_what_their",
)
GROUNDS += "_names_say"
NAMES, PART = "gdm_core/explorers/class_names.py", f"{SAY}::test_names_part_no_further_than_they_must"
TABLE = f"{SAY}::test_the_table_of_effects_says_its_rows_columns_and_colors"
PARTS = f"{LEARNED}::test_the_parts_of_the_gap_add_up_as_they_are_printed"
BOTH = f"{LEARNED}::test_both_answers_are_shown_in_their_colors_and_decoded"

MUTANTS = [
    Mutant("em-colors-exchanged", EM, "colors.COMPONENTS[:3])", "colors.COMPONENTS[2::-1])", NOW),
    Mutant("em-shade-of-the-next-q", EM, "run.q[e].T @ palette", "run.q[m].T @ palette", NOW),
    Mutant("em-ellipses-of-the-e-step", EM, "*_present(run.means[m],", "*_present(run.means[min(e, run.last)],", NOW),
    Mutant("em-truth-of-the-fit", EM, "truth {said(ceiling, 3)}", "truth {said(run.likelihood[-1].item(), 3)}", NOW),
    Mutant("em-gap-upside-down", EM, "said(likelihood - bound, 4)", "said(bound - likelihood, 4)", NOW),
    Mutant("em-bound-of-the-next-step", EM, "run.bound[m + e].item()", "run.bound[m + e - 1].item()", NOW),
    Mutant(
        "em-above-and-below-exchanged",
        EM,
        "low = likelihood < ceiling",
        "low = likelihood > ceiling",
        f"{SAY}::test_where_em_beats_the_truth_on_its_own_examples_that_is_said",
    ),
    Mutant(
        "em-colors-of-the-road-exchanged",
        EM,
        '"latent", width=2, label="bound")',
        '"model", width=2, label="bound")',
        NOW,
    ),
    Mutant("em-dots-exchanged", EM, 'Points([[x, bound]], "latent"', 'Points([[x, likelihood]], "latent"', NOW),
    Mutant("em-slice-with-its-dot-at-the-wrong-end", EM, "float(m > start)", "float(m <= start)", SLICE),
    Mutant("em-slice-with-an-older-q", EM, "lower(joint, run.q[e])", "lower(joint, run.q[max(e - 1, 0)])", SLICE),
    Mutant("em-slice-of-another-step", EM, "target, here = min(start + 1", "target, here = min(start + 2", SLICE),
    Mutant(
        "em-gap-seen-from-afar",
        EM,
        "span = min(span, 6 * gap)",
        "span = max(span, 6 * gap)",
        f"{SAY}::test_the_gap_before_an_e_step_is_seen",
    ),
    Mutant(
        "em-copies-apart",
        EM,
        "COPIES = [[0.2, 0.3]] * 3",
        "COPIES = [[0.2, 0.3], [0.2, 0.4], [0.2, 0.3]]",
        f"{SAY}::test_the_starts_are_what_their_buttons_say",
    ),
    Mutant(
        "em-same-seeds-at-each-press",
        EM,
        'own_draws(seed + controls["k-means++"], device)',
        "own_draws(seed, device)",
        f"{SAY}::test_the_starts_are_what_their_buttons_say",
    ),
    Mutant(
        "scenes-sizes-exchanged",
        SCENES,
        "for s in (size, 64))",
        "for s in (64, size))",
        f"{SAY}::test_both_sizes_show_the_same_room_and_say_their_size",
    ),
    Mutant("plane-classes-exchanged", PPCA, "Points(cloud[same]", "Points(cloud[~same][: same.sum()]", PLANE),
    Mutant(
        "plane-class-of-another-digit",
        PPCA,
        "label = int(digits.labels[gallery[",
        "label = int(digits.labels[([0] + gallery)[",
        PLANE,
    ),
    Mutant(
        "plane-variance-for-std", PPCA, "covariance.diagonal().sqrt().tolist()", "covariance.diagonal().tolist()", PLANE
    ),
    Mutant("plane-ellipse-of-the-prior", PPCA, "covariance[None],", "torch.eye(2)[None],", PLANE),
    Mutant("plane-circle-of-the-mode", PPCA, "circle = shell(2)[2]", "circle = shell(2)[1]", PLANE),
    Mutant("plane-turned-the-other-way", PPCA, "[[c, -s], [s, c]]", "[[c, s], [-s, c]]", PLANE),
    Mutant("plane-noise-of-the-variance", PPCA, "model.var.sqrt() * noise(", "model.var * noise(", PLANE),
    Mutant(
        "plane-go-to-another-digit",
        PPCA,
        'cloud[gallery[controls["digit"]]].tolist()',
        'cloud[controls["digit"]].tolist()',
        PLANE,
    ),
    Mutant(
        "pad-class-names-shifted-by-one",
        NAMES,
        "[str(k) for k in kinds.tolist()]",
        "[str(k + 1) for k in kinds.tolist()]",
        CLASSES,
    ),
    Mutant(
        "pad-class-names-at-other-classes",
        NAMES,
        ".tolist() for k in kinds]",
        ".tolist() for k in kinds.flip(0)]",
        PART,
    ),
    Mutant("pad-class-names-collide", NAMES, "lack = np.clip(least - distance, 0, None)", "lack = 0 * distance", PART),
    Mutant("pad-class-names-flee", NAMES, "least - distance, 0, None)", "9 * least - distance, 0, None)", PART),
    Mutant("pad-class-names-over-the-edge", NAMES, "-edge, edge)", "-9, 9)", PART),
    Mutant(
        "pad-colors-shifted-by-one",
        PAD,
        "labels[inside].cpu().numpy() % 10]",
        "(labels[inside].cpu().numpy() + 1) % 10]",
        CLASSES,
    ),
    Mutant("pad-two-classes-of-one-color", COLORS, '"#F0E442", "#8C510A")', '"#F0E442", "#F0E442")', CLASSES),
    Mutant("pad-nearest-said-by-its-number", PAD, 'f"a {labels[nearest]}"', 'f"a {nearest % 10}"', NEAREST),
    Mutant("pad-picture-of-another-code", PAD, "View(ink(shown.x[nearest])", "View(ink(shown.x[nearest - 1])", NEAREST),
    Mutant(
        "pad-draw-in-the-place-of-the-mean",
        PAD,
        "View(ink(x), label=",
        'View(ink(x + 0.1 * (controls["beside"] == DRAW)), label=',
        NEAREST,
    ),
    Mutant("pad-ends-of-the-scale-exchanged", PAD, '"limits": (-4, 4)', '"limits": (4, -4)', GROUNDS),
    Mutant("pad-board-upside-down", PAD, "image, look = chart.board, ", "image, look = chart.board.flip(0), ", GROUNDS),
    Mutant(
        "gap-parts-rounded-apart",
        READ_OUTS,
        "said(whole - part, digits)",
        "said(whole - part + 0.6 * 10**-digits, digits)",
        PARTS,
    ),
    Mutant("gap-parts-exchanged", POSTERIOR, "parted(encoder, best)", "parted(encoder, encoder - best)", BOTH),
    Mutant("gap-colors-exchanged", POSTERIOR, '_ellipse(guess, 0, "encoder"', '_ellipse(guess, 0, "family"', BOTH),
    Mutant(
        "gap-decoded-in-the-other-order",
        POSTERIOR,
        "[search.means[step], guess.means[0]]",
        "[guess.means[0], search.means[step]]",
        BOTH,
    ),
    Mutant("gap-way-to-its-end", POSTERIOR, "search.means[: step + 1]", "search.means", BOTH),
    Mutant("gap-bar-of-the-rest", POSTERIOR, "Bars([last + 18], [best]", "Bars([last + 18], [encoder - best]", BOTH),
    Mutant(
        "table-columns-shifted-by-one",
        TRAVERSAL,
        "Text([[column(j), n + FOOT / 2] for j in range(k)], WORDS)",
        "Text([[column(j), n + FOOT / 2] for j in range(k)], [*WORDS[1:], WORDS[0]])",
        TABLE,
    ),
    Mutant("table-ends-of-the-scale-exchanged", TRAVERSAL, "limits=(-1.5, 1.5)", "limits=(1.5, -1.5)", TABLE),
    Mutant(
        "table-gray-where-it-can-be-trusted",
        TRAVERSAL,
        '"noise" if strange else "data"',
        '"data" if strange else "noise"',
        TABLE,
    ),
    Mutant(
        "meter-judged-on-what-it-learned-from",
        ROOM_VAES,
        "(400, 1) if fresh else (2500, 0)",
        "(400, 0) if fresh else (2500, 0)",
        f"{SAY}::test_the_error_of_the_measurement_is_that_of_the_worst_factor",
    ),
    Mutant(
        "meter-error-in-other-units",
        TRAVERSAL,
        ".item() / four_factors.STD",
        ".item() * four_factors.STD",
        f"{SAY}::test_the_error_of_the_measurement_is_that_of_the_worst_factor",
    ),
]
