"""Faults in how a stage fills a screen: what is on it, what jumps, what is said, what glares."""

from mutants.plant import Mutant

STAGE, PAGE, PLACING = (f"gdm_core/widgets/js/{part}.js" for part in ("stage", "page", "place"))
CSS, VIEW = "gdm_core/widgets/stage.css", "gdm_core/widgets/view.py"


def here(name: str) -> str:
    return f"tests/test_stage_screen.py::test_{name}"


FIRST = here("in_the_studio_everything_is_on_the_first_screen")
CELL = here("in_a_cell_of_a_notebook_what_one_drags_and_what_it_moves_share_a_screen")
JUMPS = here("nothing_jumps_when_a_warning_a_line_or_a_caption_comes_and_goes")
PLACE = here("a_second_line_of_a_read_out_and_a_warning_have_their_place_before_they_come")
REST = here("the_rest_of_a_read_out_is_asked_for_by_key_and_stays")
SHORT = here("a_short_read_out_has_nothing_to_unfold_and_still_and_export_split_it_too")
GLARE = here("white_paper_does_not_glare_in_the_dark")
FOLDED = "tests/test_view.py::test_a_read_out_is_folded_where_a_fourth_number_begins"
LOW = here("on_a_low_screen_train_comes_before_what_does_not_fit")
LIGHTER = here("a_dark_color_of_a_mark_is_lighter_on_a_dark_ground_alone")

WAITS = "tests/test_stage_hands.py::test_what_waits_for_a_choice_is_there_while_it_is_made"

MUTANTS = [
    Mutant(
        "there-while-another-is-chosen", STAGE, "stage.state[other] !== option", "stage.state[other] === option", WAITS
    ),
    Mutant("there-whatever-is-chosen", STAGE, "if (control.when) waiting", "if (!control) waiting", WAITS),
    Mutant(
        "waits-for-what-is-not-there",
        "gdm_core/widgets/stage.py",
        "self.controls[other].clean(when[1])",
        "pass",
        "tests/test_stage.py::test_a_callback_that_returns_no_picture_is_told_at_once",
    ),
    Mutant("tools-below-the-screen", PLACING, "const last = whole ? tools : reading;", "const last = reading;", FIRST),
    Mutant("strips-under-each-other-in-a-cell", CSS, "max(0.6 * var(--tallest)", "max(1.2 * var(--tallest)", CELL),
    Mutant(
        "a-result-alone-in-its-row-is-larger",
        PLACING,
        "Math.max(...wide) - Math.min(...wide) > 1)",
        "false)",
        here("results_of_one_kind_have_one_size"),
    ),
    Mutant("pictures-rise-when-a-caption-gets-shorter", PAGE, "if (tallest) row.forEach", "[].forEach", JUMPS),
    Mutant("read-out-shrinks", PLACING, "if (growing() && root", "if (0 && root", JUMPS),
    Mutant("second-line-without-a-place", CSS, "margin-top: 0.6em; min-height: 2.9em;", "margin-top: 0.6em;", PLACE),
    Mutant("warning-without-a-place", CSS, "margin-top: 0.3em; min-height: 3em;", "margin-top: 0.3em;", PLACE),
    Mutant("warning-loses-its-place-as-on-a-phone", CSS, "@container stage (max-width", "@container (max-width", PLACE),
    Mutant("wall-of-numbers", VIEW, "if seen > most and i:", "if seen > 9 and i:", REST),
    Mutant("first-part-hidden", VIEW, "if seen > most and i:", "if seen > most:", FOLDED),
    Mutant("names-counted-as-numbers", VIEW, r"(?<![\w.,])\d", r"\d", FOLDED),
    Mutant("unfolded-and-forgotten", STAGE, "    unfold(open);\n", "    unfold(false);\n", REST),
    Mutant("unfolded-unheard", STAGE, "[said, rest].filter((part) =>", "[said].filter((part) =>", REST),
    Mutant("nothing-to-unfold", STAGE, "more.hidden = !rest.textContent;", "more.hidden = false;", SHORT),
    Mutant("exported-without-its-rest", "gdm_core/widgets/js/frames.js", 'more: header.more ?? ""', 'more: ""', SHORT),
    Mutant("train-below-the-window", PLACING, "hidden(strip));", "false);", LOW),
    Mutant("train-always-first", PLACING, "hidden(strip));", "true);", LOW),
    Mutant(
        "white-between-rooms",
        "gdm_core/explorers/ch05_traversal.py",
        "4, ground=0.5)",
        "4)",
        "tests/test_explorers_rooms.py::test_a_room_its_twin_and_what_is_left_between_them",
    ),
    Mutant("paper-glares", CSS, "--veil: light-dark(transparent, rgb(13 17 22 / 32%));", "--veil: transparent;", GLARE),
    Mutant("rooms-behind-a-veil", PAGE, "> (was ? 0.15 : 0.25)", "> (was ? 0.01 : 0.02)", GLARE),
    Mutant("half-a-board-glares", PAGE, "> (was ? 0.15 : 0.25)", "> (was ? 0.7 : 0.8)", GLARE),
    Mutant("yellow-glares", PAGE, "lightness(r, g, b) > 200", "Math.min(r, g, b) > 200", GLARE),
    Mutant("slate-lost-in-the-dark", PAGE, "theme.dark = !scheme && ", "theme.dark = false && ", LIGHTER),
    Mutant("slate-lightened-by-day", PAGE, "theme.dark = !scheme && ", "theme.dark = true || ", LIGHTER),
]
