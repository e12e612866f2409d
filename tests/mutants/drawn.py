"""Faults that a public tool drew and nobody had thought of: edges of what is taken, defaults, ends that do not meet."""

from mutants.plant import Mutant

_VALIDATE = "gdm_core/validate.py"
_LEAST = "tests/test_limits.py::test_what_an_error_offers_is_the_least_that_is_taken"
_ARC = "tests/test_latent.py::test_spherical_path_between_near_and_opposite_codes"
_PLAIN = "tests/test_per_datapoint.py::test_states_are_snapshots_and_the_model_stays"
_OWN = "gdm_core/inference/per_datapoint.py"
_BOARD = "gdm_core/explorers/ch05_style_board.py"
_PEN = "tests/test_explorers_style.py::test_below_the_board_is_the_pen_in_the_style_of_the_codes_around"
_NEAREST = "tests/test_explorers_style.py::test_of_a_real_set_the_nearest_of_each_class_is_shown"
_SEARCH = "gdm_core/explorers/ch04_posterior.py"
_STILL, _TRAINER = "gdm_core/widgets/still.py", "gdm_core/widgets/trainer.py"
_MOST = "tests/test_limits.py::test_the_most_that_an_error_names_is_taken"


def _tests(home: str, name: str) -> str:
    return f"tests/test_{home}.py::test_{name}"


def _least(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"gdm_core/{file}.py", old, new, _LEAST)


MUTANTS = [
    _least("least-that-is-refused", "validate", "or value < low or", "or value <= low or"),
    _least(
        "another-number-offered", "validate", '{name}={low}")\n    return int', '{name}={low + 1}")\n    return int'
    ),
    Mutant("most-that-is-refused", _VALIDATE, "value > high)", "value >= high)", _MOST),
    _least("two-codes-refused", "models/vqvae", 'integer("codes", codes, 2)', 'integer("codes", codes, 3)'),
    _least("one-latent-refused", "models/vae", 'integer("latents", latents)', 'integer("latents", latents, 2)'),
    _least("one-example-refused", "data/toy", 'integer("n", n)', 'integer("n", n, 2)'),
    _least("one-draw-refused", "inference/gradients", "2 if baseline else 1", "2"),
    _least("one-draw-beside-itself", "inference/gradients", "2 if baseline else 1", "1"),
    _least("no-codes-between", "latent", 'integer("t", t, 2)', 'integer("t", t, 3)'),
    _least("few-points-taken", "explorers/ch01_mixtures", "points, low=10", "points, low=9"),
    Mutant(
        "sixth-of-five-folds",
        "gdm_core/latent.py",
        "cv=5",
        "cv=6",
        _tests("latent", "attributes_must_come_in_two_kinds"),
    ),
    # Where and how it is called
    Mutant(
        "zeros-of-all-codes-make-them-zero",
        "gdm_core/latent.py",
        "length = a.norm(dim=-1,",
        "length = a.norm(dim=0,",
        _ARC,
    ),
    Mutant("first-code-may-be-zero", "gdm_core/latent.py", "length = a.norm(dim=-1, keepdim=True) *", "length =", _ARC),
    Mutant(
        "full-covariance-unasked",
        _OWN,
        "full: bool = False,\n    samples: int = 8",
        "full: bool = True,\n    samples: int = 8",
        _PLAIN,
    ),
    Mutant(
        "full-covariance-of-both-unasked",
        _OWN,
        "full: bool = False,\n    samples: int = 1",
        "full: bool = True,\n    samples: int = 1",
        _PLAIN,
    ),
    Mutant(
        "gradients-forbidden-by-the-caller",
        "gdm_core/inference/gradients.py",
        "@torch.enable_grad()\n",
        "",
        _tests("inference", "each_draw_is_measured_against_the_others_alone"),
    ),
    # What is seen
    Mutant(
        "head-longer-than-its-arrow",
        "gdm_core/widgets/marks.py",
        "0.6 * length",
        "1.6 * length",
        _tests("marks", "the_head_of_a_short_arrow_is_no_longer_than_the_arrow"),
    ),
    Mutant(
        "darker-than-black-is-bright",
        "gdm_core/widgets/view.py",
        "np.clip(images, 0, 1)",
        "np.clip(images, -1, 1)",
        _tests("view", "tile_puts_every_image_in_its_place"),
    ),
    Mutant(
        "options-of-any-kind",
        "gdm_core/widgets/controls.py",
        "if not self.options or not all(",
        "if not self.options and not all(",
        _tests("controls", "other_controls_clean_what_comes_from_a_page"),
    ),
    Mutant("pen-of-a-real-set", _BOARD, "PEN if drawn else CODES),", "PEN),", _NEAREST),
    Mutant("frame-around-another-row", _BOARD, "corners + [0, 2 * high]", "corners + [0, 3 * high]", _PEN),
    Mutant(
        "road-cut-within-the-picture",
        _SEARCH,
        "1.5 * top)], 1)",
        "0.5 * top)], 1)",
        _tests("posterior_explorer", "the_gap_drawn_is_the_gap_said"),
    ),
    Mutant(
        "names-over-the-pictures",
        "gdm_core/explorers/ch05_traversal.py",
        "column(MARGIN / 2, NAMES)",
        "column(MARGIN + 2, NAMES)",
        _tests("explorers_rooms", "a_row_of_the_board_is_a_latent_beside_its_main_factor"),
    ),
    Mutant(
        "middles-in-the-color-of-the-first",
        _STILL,
        "knob(x, y, cycle[k % len(cycle)], control.labels[k])",
        "knob(x, y, cycle[k // len(cycle)], control.labels[k])",
        _tests("still", "each_gaussian_has_the_color_of_its_component"),
    ),
    Mutant(
        "lines-of-a-warning-over-one-another",
        _STILL,
        "y + 10 + 18 * i",
        "y + 10 + 8 * i",
        _tests("marks", "a_warning_in_two_lines_stays_in_its_box_and_none_lies_over_another"),
    ),
    Mutant(
        "step-that-is-not-seen",
        _TRAINER,
        "value, seen = None, None, 0",
        "value, seen = None, None, 1",
        _tests("trainer", "a_single_step_is_seen_though_no_snapshot_was_due"),
    ),
    Mutant(
        "two-checkpoints-before-one",
        _TRAINER,
        "max(1, len(self._snapshots))",
        "max(2, len(self._snapshots))",
        _tests("trainer", "a_single_step_is_seen_though_no_snapshot_was_due"),
    ),
    Mutant(
        "first-two-bins-in-one",
        "gdm_core/disentanglement.py",
        "np.arange(1, bins) / bins",
        "np.arange(2, bins) / bins",
        _tests("latent", "mutual_information_is_scikit_learns_on_discrete_codes"),
    ),
    Mutant(
        "pieces-cut-at-the-other-sample",
        "gdm_core/two_sample/permutation.py",
        "len(pair[0])) for pair",
        "len(pair[1])) for pair",
        _tests("two_sample_exchanges", "size_of_blocks_is_kept_and_sorted_data_are_shuffled"),
    ),
    Mutant(
        "as-many-values-as-bins-are-cut",
        "gdm_core/disentanglement.py",
        "<= bins for column",
        "< bins for column",
        _tests("latent", "mutual_information_is_scikit_learns_on_discrete_codes"),
    ),
    Mutant(
        "large-sheet-refused",
        "gdm_core/widgets/handles.py",
        "len(raw) != size",
        "len(raw) is not size",
        _tests("controls", "handles_tiles_and_brush"),
    ),
    Mutant(
        "circle-of-the-prior-left-open",
        "gdm_core/explorers/ch02_ppca.py",
        "np.linspace(0, 2 * np.pi, 90)",
        "np.linspace(0, 2 + np.pi, 90)",
        _tests("explorers_say", "the_plane_of_digits_against_scikit_learn"),
    ),
]
