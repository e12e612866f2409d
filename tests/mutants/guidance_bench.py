"""Faults of the guidance bench and of the trees that it stands on."""

from mutants.plant import Mutant


def _bench(name: str, old: str, new: str, test: str, file: str = "explorers/ch14_guidance_bench.py") -> Mutant:
    return Mutant(f"guidance-bench-{name}", f"gdm_core/{file}", old, new, f"tests/test_guidance_bench.py::test_{test}")


def _tree(name: str, old: str, new: str, test: str) -> Mutant:
    return _bench(f"tree-{name}", old, new, test, "data/trees.py")


_FIELDS = "fields_are_those_of_the_label_of_none_and_of_the_copy"
_NOISY = "densities_are_those_of_their_time"
_POWER, _NORMAL = "powered_densities_are_counted_in_full", "the_normalizer_of_the_powered_density"
_INTERVAL, _ONE = "an_interval_guides_inside_alone_and_an_empty_one_never", "weight_one_draws_what_was_meant"
_CHART, _WAY = (
    "the_chart_ends_at_the_read_out_and_starts_at_nothing",
    "the_start_is_followed_and_a_press_draws_the_others_anew",
)
_GROUND, _GROWN = (
    "the_ground_is_the_density_that_its_label_names",
    "branches_grow_thinner_and_shorter_where_the_last_one_ends",
)
_MIRROR = "trees_are_mirror_images_and_their_points_know_their_class"
_EMPTIED = "guidance_drives_away_from_the_other_tree_and_empties_the_trunk"
_END = "numbers_are_of_the_end_wherever_the_timeline_stands_and_their_error_is_that_of_other_noise"

MUTANTS = [
    _bench(
        "asks-for-the-left-tree", "torch.zeros(len(x), dtype=torch.long", "torch.ones(len(x), dtype=torch.long", _FIELDS
    ),
    _bench(
        "free-is-conditional", "lambda x, t: good.denoise(x, t),", "lambda x, t: good.denoise(x, t, right(x)),", _FIELDS
    ),
    _bench(
        "copy-of-itself",
        "lambda x, t: bad.denoise(x, t, right(x))",
        "lambda x, t: good.denoise(x, t, right(x))",
        _FIELDS,
    ),
    _bench("fields-swapped", "self.exact if exact else self.learned", "self.learned if exact else self.exact", _FIELDS),
    _bench("no-interval", "weight, between=between)", "weight)", _INTERVAL),
    _bench(
        "empty-interval-guides",
        "if between[0] >= between[1]:\n            return fields",
        "if False:\n            return fields",
        _INTERVAL,
    ),
    _bench("weight-one-more", "fields[away], weight, between", "fields[away], weight + 1, between", _ONE),
    _bench("leans-the-other-way", 'guided(fields["asked"], fields[away]', 'guided(fields[away], fields["asked"]', _ONE),
    _bench("always-the-end's-density", "self.noisy[tree][k]", "self.noisy[tree][-1]", _NOISY),
    _bench("power-of-the-weaker", "+ (1 - weight) * log_weaker", "+ weight * log_weaker", _POWER),
    _bench("always-both", "return self.both if away == AWAY[0] else self.thick", "return self.both", _POWER),
    _bench("cells-without-area", "+ math.log(area)", "", _NORMAL),
    _bench("normalizer-forgotten", ".mean().item() + log_z", ".mean().item()", _NORMAL),
    _bench(
        "ground-never-powered",
        'power(k) if controls["powered"] else log_ground',
        'log_ground(bench.tree, k) if controls["powered"] else log_ground',
        _GROUND,
    ),
    _bench("upside-left", ".flip(1)\n", "\n", _GROUND),
    _bench(
        "followed-is-drawn-from-noise",
        "torch.cat([noise(presses, DOTS, 2), flat(start)])",
        "noise(presses, DOTS + 1, 2)",
        _WAY,
    ),
    _bench("same-noise-always", "noise(presses, DOTS, 2)", "noise(0, DOTS, 2)", _WAY),
    _bench("chart-at-another-step", "[[t[k], kl[k]]]", "[[t[-1], kl[-1]]]", _CHART),
    _bench(
        "shares-of-the-start",
        "trees.branches(dots, bench.tree)",
        "trees.branches(states[0, :DOTS], bench.tree)",
        _EMPTIED,
    ),
    _tree("grows-from-the-foot", "shoots += [(foot + along, way", "shoots += [(foot, way", _GROWN),
    _tree("never-thinner", "thick * THINNER)", "thick)", _GROWN),
    _tree("turns-one-way", "for turn in (ANGLE, -ANGLE)", "for turn in (ANGLE, ANGLE)", _MIRROR),
    _tree("both-to-the-right", "_tree(1), _tree(-1)", "_tree(1), _tree(1)", _MIRROR),
    _tree("classes-swapped", "torch.arange(2).repeat_interleave", "torch.arange(2).flip(0).repeat_interleave", _MIRROR),
    _tree("farthest-branch", ".argmin(1)]", ".argmax(1)]", "points_are_counted_on_the_branch_of_the_nearest_gaussian"),
    _bench("normalizer-of-another-time", "log_z = power(STEPS)", "log_z = power(k)", _END),
    _bench("error-of-256-squared", "/ math.sqrt(DOTS)", "/ DOTS", _END),
]
