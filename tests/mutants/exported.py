"""Faults of what a page carries away from the kernel: samples, starts, weights, words; and of what controls say."""

from mutants.plant import Mutant

_EXPORT, _DECODER = "gdm_core/widgets/export.py", "gdm_core/widgets/decoder.py"
_CONTROLS, _HONEST, _VIEW = (f"gdm_core/widgets/{name}.py" for name in ("controls", "honest", "view"))
_FRAMES = "tests/test_sampled.py::test_a_page_holds_the_frame_of_every_sampled_state"
_START = "tests/test_sampled.py::test_a_page_opens_at_the_nearest_samples_unless_it_mixes"
_SAID = "tests/test_controls.py::test_each_control_says_its_state"
_ACTIVATIONS = "tests/test_decoder.py::test_each_activation_is_torchs"
_PERIOD = "tests/test_export.py::test_no_line_starts_with_the_period_behind_a_formula"
_SWIPED = "tests/test_export_turns.py::test_a_row_of_panels_is_swiped_on_a_phone"

_ASKS = "tests/test_stage_pages.py::test_a_caption_asks_only_for_what_a_hand_can_do_here"
_STYLE, _SCRIPT = (f"gdm_core/course/export/page.{kind}" for kind in ("css", "js"))
_FADES = "tests/test_export_turns.py::test_a_formula_that_goes_on_beyond_the_page_fades_there"
_SEEN = "tests/test_export.py::test_a_page_has_everything_in_it"
_PALE = "tests/test_export_turns.py::test_a_white_figure_does_not_glare_on_a_dark_page"

MUTANTS = [
    Mutant("asks-for-what-cannot-be-done", "gdm_core/widgets/js/page.js", "(!view.frozen && ", "(", _ASKS),
    Mutant("asks-for-nothing", "gdm_core/widgets/js/page.js", "!view.frozen && view.content?.asks", "false", _ASKS),
    Mutant("figures-glare-in-the-dark", _STYLE, "filter: brightness(var(--dimmed, 1));", "", _PALE),
    Mutant("figures-dim-on-a-page-turned-light", _STYLE, ':root:not([data-theme="light"])', ":root", _PALE),
    Mutant("cut-without-a-sign", _STYLE, "mask-image: linear-gradient(to right, var(--in), var(--out));", "", _FADES),
    Mutant("formulas-cut-without-a-sign", _SCRIPT, '(".display, .code', '(".code', _FADES),
    Mutant("faded-at-its-own-end", _SCRIPT, "- box.scrollLeft > 1)", "> 1)", _SWIPED),
    Mutant(
        "faded-as-when-it-came", _SCRIPT, 'box.addEventListener("scroll"', 'box.addEventListener("scrolled"', _SWIPED
    ),
    Mutant(
        "what-moves-here-unsaid",
        "gdm_core/widgets/js/stage.js",
        "hidden: !spec.note }, spec.note)",
        "hidden: true })",
        "tests/test_stage_pages.py::test_sampled_page_moves_from_disk_with_the_network_off",
    ),
    Mutant("numbers-broken-at-a-minus", "gdm_core/course/export/page.py", "text = POWER.sub(", "POWER.sub(", _SEEN),
    Mutant(
        "words-of-a-slider-cut",
        _SCRIPT,
        "b: 14 }",
        "b: 0 }",
        "tests/test_export_turns.py::test_a_figure_to_turn_has_the_colors_of_the_page_and_room_on_a_phone",
    ),
    Mutant("two-rows-squeezed-on-a-phone", _STYLE, "0.62 * var(--wide, 0px)", "0px", _SWIPED),
    Mutant(
        "opens-between-samples", _EXPORT, "else _sampled_start(stage.state, axes)", "else dict(stage.state)", _START
    ),
    Mutant("opens-at-the-first", _EXPORT, "min(values, key=lambda v: abs(v - now))", "values[0]", _START),
    Mutant("newest-forgotten", _EXPORT, 'values[-1] if axis["last"] and now == -1 else ', "", _START),
    Mutant("pressed-once", _EXPORT, "for _ in range(times):", "for _ in range(min(times, 1)):", _FRAMES),
    Mutant("arrays-at-odd-places", _EXPORT, "bytes(-len(data) % 4)", "b''", _FRAMES),
    Mutant("chosen-option-left-out", _EXPORT, "[*values[:-1], stage.state[control.name]]", "values", _FRAMES),
    Mutant(
        "pad-sampled-the-other-way",
        _EXPORT,
        "(left, right, nx), (bottom, top, ny)",
        "(left, right, ny), (bottom, top, nx)",
        _FRAMES,
    ),
    Mutant(
        "ratios-for-steps",
        _EXPORT,
        "np.geomspace if control.log",
        "np.linspace if control.log",
        "tests/test_sampled.py::test_samples_of_a_logarithmic_slider_are_equal_ratios",
    ),
    Mutant(
        "moved-by-the-frame-and-not-told",
        _EXPORT,
        "states.append(stage.clean(frame.controls, state))",
        "states.append(state)",
        "tests/test_sampled.py::test_what_a_frame_moved_by_itself_is_told_with_it",
    ),
    Mutant(
        "title-that-ends-the-script",
        _EXPORT,
        'data.replace("</", "<" + chr(92) + "/")',
        "data",
        "tests/test_sampled.py::test_words_of_a_stage_cannot_break_out_of_the_page",
    ),
    Mutant(
        "biases-before-weights",
        _DECODER,
        "for part in (weight, bias)",
        "for part in (bias, weight)",
        "tests/test_decoder.py::test_weights_are_written_row_by_row_each_with_its_biases_after_it",
    ),
    Mutant("another-leak", _DECODER, "0.01 * v)", "0.1 * v)", _ACTIVATIONS),
    Mutant("gelu-by-tanh", _DECODER, "erf(v / np.sqrt(2))", "np.tanh(0.8 * v)", _ACTIVATIONS),
    Mutant("softplus-of-the-positive", _DECODER, "np.logaddexp(0, v)", "np.log1p(np.exp(v.clip(0)))", _ACTIVATIONS),
    # What is said
    Mutant("on-for-off", _CONTROLS, "'on' if state else 'off'", "'off' if state else 'on'", _SAID),
    Mutant("unit-unsaid", _CONTROLS, "{self.unit and ' ' + self.unit}", "", _SAID),
    Mutant(
        "nearest-from-above",
        _CONTROLS,
        "return at - 1 if at and states[at] - wanted > wanted - states[at - 1] else at",
        "return at",
        "tests/test_controls.py::test_the_nearest_state_is_that_of_least_distance_and_the_later_of_two",
    ),
    Mutant(
        "last-sample-left-out",
        _CONTROLS,
        "min(total, count))})",
        "min(total, count), endpoint=False)})",
        "tests/test_controls.py::test_samples_over_states_have_both_ends_and_even_steps",
    ),
    Mutant(
        "both-tails-for-one",
        _HONEST,
        "{50 * (1 - mass):.2g} % of the prior's draws lie beyond",
        "{100 * (1 - mass):.2g} % of the prior's draws lie beyond",
        "tests/test_honest.py::test_leaving_the_data_is_said",
    ),
    Mutant(
        "same-noise-for-uniform",
        _HONEST,
        "[self.seed, press, int(uniform), *shape]",
        "[self.seed, press, *shape]",
        "tests/test_honest.py::test_noise_stays_until_it_is_pressed",
    ),
    Mutant(
        "low-end-said-high",
        _VIEW,
        '"low": end(limits[0], limits)',
        '"low": end(limits[1], limits)',
        "tests/test_view.py::test_a_view_says_the_ends_of_its_colors_in_order",
    ),
    Mutant(
        "zero-in-every-scale",
        _VIEW,
        "(float(image[fine].min()),",
        "(min(0.0, float(image[fine].min())),",
        "tests/test_view.py::test_a_view_says_the_ends_of_its_colors_in_order",
    ),
    Mutant(
        "channels-counted-for-pixels",
        _VIEW,
        "(fine if image.ndim == 2 else fine.all(-1))",
        "fine",
        "tests/test_view.py::test_lost_pixels_are_counted_once_and_painted_as_the_low_end",
    ),
    Mutant(
        "rows-of-panels-as-high-as-wide",
        "gdm_core/course/export/page.py",
        "across / max(down, 1)",
        "down / max(across, 1)",
        _SWIPED,
    ),
    Mutant(
        "periods-alone-in-lists",
        "gdm_core/course/export/page.py",
        "super().block_text(_glued(text))",
        "super().block_text(text)",
        _PERIOD,
    ),
    Mutant("formulas-that-never-break", "gdm_core/course/export/page.py", "(?:(?!<math\\b).)*", ".*", _PERIOD),
]
