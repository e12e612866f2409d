"""Faults of pictures that stand still: colors exchanged, ends and sides mixed up, handles where they are not."""

from mutants.plant import Mutant

_STILL, _MARKS, _FIGURES = "gdm_core/widgets/still.py", "gdm_core/widgets/marks.py", "gdm_core/plotting.py"


def _page(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, _STILL, old, new, f"tests/test_still.py::test_{test}")


def _mark(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, _MARKS, old, new, f"tests/test_marks.py::test_{test}")


def _lies(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, "gdm_core/widgets/arrange.py", old, new, f"tests/test_arrange.py::test_{test}")


def _figure(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, _FIGURES, old, new, f"tests/test_plotting.py::test_{test}")


_LINE, _LAID = "columns_fill_a_row_and_end_at_one_line", "pages_as_a_person_would_lay_them"
_TURNS = "a_figure_that_turns_brings_its_picture_and_is_shown_once"
_SCALE = "a_color_scale_runs_from_its_low_end_to_its_high_end"
_AXES = "numbers_stand_at_their_places_and_names_on_their_own_axes"
_UPRIGHT = "the_name_of_the_upright_axis_is_its_own_and_reads_upwards"
_GRIPS = "gaussians_have_their_grips_on_the_ellipse_that_is_drawn"
_HANDLES = "a_pad_and_handles_lie_where_they_are"
_OWN = "a_pad_of_its_own_has_a_cross_and_the_names_of_its_axes"
_WEIGHTS = "each_ellipse_has_its_center_its_color_and_the_weight_of_its_component"

MUTANTS = [
    _page(
        "drawn-whatever-is-chosen",
        "when is None or state[when[0]] == when[1]",
        "True",
        "what_waits_for_a_choice_is_drawn_while_it_is_made",
    ),
    # Marks
    _mark("ends-of-the-scale-exchanged", "sheet.text(at, y + 8, low, 13", "sheet.text(at, y + 8, high, 13", _SCALE),
    _mark("ramp-backwards", 'view["palette"][None]', 'view["palette"][None, ::-1]', _SCALE),
    _mark(
        "upside-down", "- [left, top]) * unit", "- [left, bottom]) * abs(unit)", "a_dot_has_its_center_and_its_diameter"
    ),
    _mark("radius-for-diameter", '["size"] / 2 * scale', '["size"] * scale', "a_dot_has_its_center_and_its_diameter"),
    _mark("opacity-lost", "round(a * alpha)", "a", "opacity_lies_over_what_was_there"),
    _mark(
        "what-was-there-erased",
        "layer.alpha_composite(sheet)",
        "layer.paste(sheet)",
        "opacity_lies_over_what_was_there",
    ),
    _mark(
        "one-color-for-all",
        'colors.CYCLE[mark["cycle"][i]]',
        'colors.CYCLE[mark["cycle"][0]]',
        "each_dot_has_its_own_color_or_that_of_its_number",
    ),
    _mark("curves-of-other-points", "start += count\n", "start = count\n", "curves_keep_their_own_points_and_colors"),
    _mark("dashes-begin-anew", "travelled += length", "travelled = length", "dashes_go_on_around_corners"),
    Mutant(
        "gaussians-in-the-colors-of-roles",
        _STILL,
        "cycle = colors.COMPONENTS",
        "cycle = colors.CYCLE",
        "tests/test_still.py::test_gaussians_have_their_grips_on_the_ellipse_that_is_drawn",
    ),
    _mark(
        "area-crossed",
        "[[curve[-1, 0], 0.0], [curve[0, 0], 0.0]]",
        "[[curve[0, 0], 0.0], [curve[-1, 0], 0.0]]",
        "the_area_under_a_curve_ends_at_zero",
    ),
    _mark("arrow-upside-down", "[:, 2:] * unit", "[:, 2:] * abs(unit)", "an_arrow_has_its_head_at_its_tip"),
    _mark(
        "ellipse-mirrored", "reshape(2, 2).T", "reshape(2, 2)", "an_ellipse_touches_the_box_of_its_standard_deviations"
    ),
    _mark("bars-up-to-their-height", "base + height]]", "height]]", "bars_stand_around_their_place_on_their_base"),
    _mark(
        "words-on-the-other-side",
        '"left": "lm", "right": "rm"',
        '"left": "rm", "right": "lm"',
        "words_lie_on_the_side_that_they_are_told",
    ),
    _mark("one-tick", "last <= first and count < 50", "False", "ticks_are_round_numbers_inside"),
    _mark("numbers-upside-down", "(v - top) / (bottom - top) * h", "(v - bottom) / (top - bottom) * h", _AXES),
    _mark("name-of-the-other-axis", 'view["axes"][0], 14', 'view["axes"][1], 14', _AXES),
    _mark("upright-name-downwards", "strip.rotate(90", "strip.rotate(-90", _UPRIGHT),
    # Pages
    _page(
        "palette-backwards",
        'view["palette"][view["image"]]',
        'view["palette"][255 - view["image"]]',
        "a_field_has_the_low_color_at_its_least_value_and_crisp_squares_unless_smooth",
    ),
    _page(
        "handles-upside-down",
        "(y - top) / (bottom - top) * layer.height)",
        "(y - bottom) / (top - bottom) * layer.height)",
        _HANDLES,
    ),
    _page("handles-of-one-color", "color = control.color or cycle", "color = cycle", _HANDLES),
    _page("grips-turned-back", "y + reach * np.sin(angle + turn)", "y - reach * np.sin(angle + turn)", _GRIPS),
    _page("grips-exchanged", "((0.0, along), (np.pi / 2, across))", "((0.0, across), (np.pi / 2, along))", _GRIPS),
    _page(
        "tile-by-columns", "divmod(state, control.columns)", "divmod(state, control.rows)", "the_chosen_tile_is_framed"
    ),
    _page("names-of-a-pad-exchanged", "places[:1], [control.labels[0]]", "places[:1], [control.labels[1]]", _OWN),
    _page(
        "handles-on-every-view",
        'if place_of(control) == view["name"] and',
        "if place_of(control) and",
        "a_control_lies_on_its_own_view_and_pads_of_their_own_come_first",
    ),
    _page(
        "handle-left-where-it-was",
        "state = stage.clean(frame.controls, state or stage.state)",
        "state = stage.clean({}, state or stage.state)",
        "what_the_drawing_moved_is_where_the_handle_is",
    ),
    _page(
        "words-of-another-state",
        "state={**stage.state, name: i})",
        "state=stage.state)",
        "a_gif_shows_the_state_of_each_frame_and_its_page",
    ),
    _page(
        "hairline-of-less-than-a-pixel",
        "max(left, right - 1), max(top, bottom - 1)",
        "right - 1, bottom - 1",
        "a_gif_shows_the_state_of_each_frame_and_its_page",
    ),
    _page(
        "page-lost-as-it-grows",
        "longer.paste(self.image)",
        "pass",
        "a_page_keeps_what_is_on_it_when_it_grows",
    ),
    # Where views lie
    _lies("rows-that-end-anywhere", "(height - p) / q)", "(height - a[0]) / q)", _LINE),
    _lies("numbers-take-no-room", 'around(v, left)[0] / v["aspect"] for v', '0 / v["aspect"] for v', _LINE),
    _lies(
        "plots-of-any-height",
        "height = min([height, *",
        "height = max([height, *",
        "no_plot_is_taller_than_any_may_be_nor_without_room",
    ),
    _lies("sizes-do-not-matter", "sum(size * math.log(area)", "sum(math.log(area)", _LAID),
    _lies("as-high-as-it-gets", "weight * height / (PAGE * inner)", "0", _LAID),
    # Figures
    _figure("white-ground-in-the-dark", '"showbackground": False', '"showbackground": True', _TURNS),
    _figure("contrast-of-each-sheet", "vmin=0, vmax=1, ", "", "images_are_ink_on_paper_whatever_their_contrast"),
    _figure(
        "axes-of-points-exchanged",
        "ax.scatter(x[:, 0], x[:, 1]",
        "ax.scatter(x[:, 1], x[:, 0]",
        "points_keep_their_places_and_colors",
    ),
    _figure("weight-of-the-first", "float(weights[k])", "float(weights[0])", _WEIGHTS),
    _figure("colors-of-others", "else list(color)", "else list(color)[::-1]", _WEIGHTS),
    _figure("counts-for-a-density", "density=True", "density=False", "a_histogram_is_a_density"),
    _figure(
        "titles-by-the-height",
        "ax.text(i * (width + pad)",
        "ax.text(i * (height + pad)",
        "sheets_are_about_square_with_titles_and_hairlines_between_pictures",
    ),
]
