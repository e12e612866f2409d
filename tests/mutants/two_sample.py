"""Faults of two-sample tests and of the metrics beside them."""

from mutants.plant import Mutant

_STATISTICS, _EXCHANGES = "gdm_core/two_sample/statistics.py", "gdm_core/two_sample/permutation.py"
_LEARNED, _SURE, _METRICS = "gdm_core/two_sample/learned.py", "gdm_core/two_sample/sure.py", "gdm_core/metrics/near.py"
_TESTS = {_EXCHANGES: "two_sample_exchanges", _SURE: "two_sample_exchanges", _LEARNED: "two_sample_learned"}
_GAUSSIANS, _LINES = "gdm_core/metrics/gaussians.py", "gdm_core/metrics/lines.py"


def _fault(name: str, file: str, old: str, new: str, tests: str) -> Mutant:
    where = _TESTS.get(file, "metrics" if "metrics" in file else "two_sample")
    return Mutant(name, file, old, new, " ".join(f"tests/test_{where}.py::{t}" for t in tests.split()))


MUTANTS = [
    # Statistics
    _fault(
        "biased-mmd-called-unbiased",
        _STATISTICS,
        "within / (n * (n - 1)) + others / (m * (m - 1))",
        "within / (n * n) + others / (m * m)",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "half-of-the-distances-missing",
        _STATISTICS,
        "both[i:, i : i + rows] = both[i : i + rows, i:].mT",
        "pass",
        "test_distances_of_many_long_points_are_those_of_scipy_and_have_a_gradient",
    ),
    _fault(
        "diagonal-kept",
        _STATISTICS,
        "kernel.triu(1)",
        "kernel.triu()",
        "test_mmd_and_energy_estimate_what_they_say_of_two_gaussians",
    ),
    _fault(
        "one-strip-of-many",
        _STATISTICS,
        "range(0, len(each), STRIP)",
        "range(0, STRIP, STRIP)",
        "test_many_points_are_no_other_statistic",
    ),
    _fault(
        "each-pair-once-where-both-ways-count",
        _STATISTICS,
        "within = 2 * sum(strips)",
        "within = sum(strips)",
        "test_many_points_are_no_other_statistic",
    ),
    _fault(
        "across-counted-once",
        _STATISTICS,
        "- 2 * across / (n * m)",
        "- across / (n * m)",
        "test_energy_is_scipys_but_for_the_pairs_of_an_example_with_itself",
    ),
    _fault(
        "others-miss-half-of-across",
        _STATISTICS,
        "others = total - 2 * across - within",
        "others = total - across - within",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "bandwidth-without-its-square",
        _STATISTICS,
        "square * (-0.5 / h**2)",
        "square * (-0.5 / h)",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "kernels-summed-not-averaged",
        _STATISTICS,
        "sum(others, first) / len(scales)",
        "sum(others, first)",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "bandwidths-always-relative",
        _STATISTICS,
        "unit = median(distance) if relative else 1.0",
        "unit = median(distance)",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "median-with-zeros",
        _STATISTICS,
        "some[(some > 0).triu()]",
        "some[(some >= 0).triu()]",
        "test_mmd_is_that_of_its_definition",
    ),
    _fault(
        "energy-sign",
        _STATISTICS,
        "quadratic(-distances(z))",
        "quadratic(distances(z))",
        "test_energy_is_scipys_but_for_the_pairs_of_an_example_with_itself",
    ),
    _fault("ks-that-splits-ties", _STATISTICS, "[:, last].abs()", ".abs()", "test_ks_is_scipys"),
    _fault("ks-one-sided", _STATISTICS, ".cumsum(1)[:, last].abs()", ".cumsum(1)[:, last]", "test_ks_is_scipys"),
    _fault(
        "witness-sign",
        _STATISTICS,
        "return kernel[:, :n].mean(1) - kernel[:, n:].mean(1)",
        "return kernel[:, n:].mean(1) - kernel[:, :n].mean(1)",
        "test_witness_is_positive_where_x_is_and_sums_to_the_biased_mmd",
    ),
    _fault(
        "contrast-of-equal-samples-only",
        _STATISTICS,
        "(1 - first) / (first.shape[1] - n)",
        "(1 - first) / n",
        "test_means_of_three_and_two",
    ),
    _fault(
        "samples-of-other-shapes-pooled",
        _STATISTICS,
        "if x.shape[1:] != y.shape[1:]:",
        "if x.ndim != y.ndim:",
        "test_samples_that_are_none_are_refused",
    ),
    _fault(
        "one-example-is-enough",
        _STATISTICS,
        "batch(sample, event, name=name, minimum=2)",
        "batch(sample, event, name=name)",
        "test_samples_that_are_none_are_refused",
    ),
    # Permutations
    _fault(
        "p-zero-possible",
        _EXCHANGES,
        "(1 + as_large) / (1 + count))",
        "as_large / count)",
        "test_p_is_never_zero",
    ),
    _fault(
        "p-that-leaves-itself-out",
        _EXCHANGES,
        "(1 + as_large) / (1 + count))",
        "as_large / (1 + count))",
        "test_p_is_the_share_of_all_exchanges_that_are_as_large",
    ),
    _fault(
        "small-values-against",
        _EXCHANGES,
        "(null >= value - tie).sum()",
        "(null <= value + tie).sum()",
        "test_p_is_never_zero",
    ),
    _fault(
        "ties-count-as-smaller",
        _EXCHANGES,
        "(null >= value - tie).sum()",
        "(null > value + tie).sum()",
        "test_points_that_are_all_one_differ_in_nothing",
    ),
    _fault(
        "permutation-that-pairs",
        _EXCHANGES,
        "keys = torch.rand(count, n + m, generator=generator, dtype=torch.float64)\n",
        "keys = torch.rand(count, n + m, generator=generator, dtype=torch.float64)\n"
        "    k = min(n, m)\n    keys[:, n : n + k] = 1 - keys[:, :k]\n",
        "test_labelings_are_uniform_and_pair_nobody",
    ),
    _fault(
        "with-replacement",
        _EXCHANGES,
        "return keys <= keys.kthvalue(n, dim=1, keepdim=True).values",
        "return keys < n / (n + m)",
        "test_labelings_are_uniform_and_pair_nobody",
    ),
    _fault(
        "blocks-of-sorted-data",
        _EXCHANGES,
        "order = lambda k: torch.randperm(k, generator=generator).to(z.device)",
        "order = lambda k: torch.arange(k)",
        "test_size_of_blocks_is_kept_and_sorted_data_are_shuffled",
    ),
    _fault(
        "null-of-the-first-block",
        _EXCHANGES,
        "null[start:stop] += of(labels(start, stop).to(z)) / len(pieces)",
        "null[start:stop] = of(labels(start, stop).to(z))",
        "test_a_hundred_thousand_points_fit",
    ),
    _fault(
        "all-pairs-of-everything",
        _EXCHANGES,
        "if not statistic.pairs or (block is None and len(z) <= AT_ONCE):",
        "if True:",
        "test_size_of_blocks_is_kept_and_sorted_data_are_shuffled",
    ),
    _fault(
        "generator-not-used",
        _EXCHANGES,
        "torch.rand(count, n + m, generator=generator, dtype",
        "torch.rand(count, n + m, dtype",
        "test_a_generator_repeats_a_test",
    ),
    # Learned statistics
    _fault(
        "tested-on-the-training-half",
        _LEARNED,
        "return test(x_test, y_test, learn(x_learn, y_learn)",
        "return test(x_learn, y_learn, learn(x_learn, y_learn)",
        "test_what_was_learned_is_tested_on_the_other_half",
    ),
    _fault(
        "learned-from-everything",
        _LEARNED,
        "learn(x_learn, y_learn), permutations",
        "learn(x, y), permutations",
        "test_what_was_learned_is_tested_on_the_other_half",
    ),
    _fault(
        "halves-as-they-come",
        _LEARNED,
        "order = lambda s: torch.randperm(len(s), generator=generator).to(s.device)",
        "order = lambda s: torch.arange(len(s))",
        "test_either_half_is_a_half",
    ),
    _fault(
        "classes-swapped",
        _LEARNED,
        "is_x = (torch.arange(len(z), device=z.device) < len(x)).to(z)",
        "is_x = (torch.arange(len(z), device=z.device) >= len(x)).to(z)",
        "test_a_classifier_nears_the_best_accuracy_and_the_log_ratio",
    ),
    _fault(
        "larger-sample-weighs-more",
        _LEARNED,
        "torch.where(is_x > 0, len(z) / (2 * len(x)), len(z) / (2 * len(y)))",
        "torch.ones_like(is_x)",
        "test_a_classifier_nears_the_best_accuracy_and_the_log_ratio",
    ),
    _fault(
        "accuracy-of-one-class",
        _LEARNED,
        "_linear((self(z) > 0).to(z), 0.5, 0.5)",
        "_linear((self(z) > 0).to(z), 1.0, 0.0)",
        "test_accuracy_is_that_of_the_guesses",
    ),
    _fault(
        "kernel-that-hides-the-difference",
        _LEARNED,
        "return -(h.sum() - h.trace())",
        "return (h.sum() - h.trace())",
        "test_loss_of_the_kernel_is_mmd_over_its_deviation",
    ),
    _fault(
        "variance-without-the-mean",
        _LEARNED,
        "h.mean(1).square().mean() - h.mean().square()",
        "h.mean(1).square().mean()",
        "test_loss_of_the_kernel_is_mmd_over_its_deviation",
    ),
    # How sure
    _fault(
        "jackknife-as-a-plain-variance",
        _SURE,
        "((groups - 1) * without.var(correction=0)).sqrt()",
        "without.var().sqrt()",
        "test_intervals_hold_the_truth_as_often_as_they_say",
    ),
    _fault(
        "groups-of-one-sample-alone",
        _SURE,
        "statistic(x[group(x) != g], y[group(y) != g])",
        "statistic(x[group(x) != g], y)",
        "test_intervals_hold_the_truth_as_often_as_they_say",
    ),
    _fault(
        "power-counts-the-blind",
        _SURE,
        "p_value(*draw(n)) <= level",
        "p_value(*draw(n)) > level",
        "test_power_is_that_of_the_normal_test",
    ),
    # Metrics
    _fault(
        "frechet-without-the-cross-term",
        _GAUSSIANS,
        "other_cov.trace() - 2 * cross",
        "other_cov.trace()",
        "test_frechet_is_its_formula_with_scipys_root",
    ),
    _fault(
        "root-of-one-covariance",
        _GAUSSIANS,
        "torch.linalg.eigvalsh(half.mT @ other_cov @ half)",
        "torch.linalg.eigvalsh(cov @ other_cov @ cov)",
        "test_frechet_is_its_formula_with_scipys_root",
    ),
    _fault(
        "sliced-without-a-matching",
        _LINES,
        "ascending(lines[:, :n]) - ascending(lines[:, n:])",
        "lines[:, :n] - lines[:, n:]",
        "test_sliced_is_the_best_matching_along_each_line",
    ),
    _fault(
        "sliced-along-lines-that-are-no-unit",
        _LINES,
        "return draws / draws.norm(dim=1, keepdim=True)",
        "return draws",
        "test_sliced_of_a_shift_in_the_plane_and_in_space",
    ),
    _fault(
        "sliced-along-half-of-the-turn",
        _LINES,
        "turn = math.pi * torch",
        "turn = math.pi / 2 * torch",
        "test_sliced_of_a_shift_in_the_plane_and_in_space",
    ),
    _fault(
        "oneself-among-the-neighbors",
        _METRICS,
        "kthvalue(k + 1, dim=1)",
        "kthvalue(k, dim=1)",
        "test_coverage_and_density_of_equal_distributions[40-40-3]",
    ),
    _fault(
        "recall-is-coverage",
        _METRICS,
        "recall=(across <= reach(y)).any(1)",
        "recall=inside.any(1)",
        "test_neighbors_are_those_of_scikit_learn",
    ),
    _fault(
        "density-over-the-real",
        _METRICS,
        "inside.sum() / (k * len(y))",
        "inside.sum() / (k * len(x))",
        "test_neighbors_are_those_of_scikit_learn",
    ),
    _fault(
        "coverage-formula-off-by-one",
        _METRICS,
        'for i in range(1, integer("k", k) + 1))',
        'for i in range(integer("k", k)))',
        "test_coverage_of_three_points",
    ),
    _fault(
        "modes-from-one-sample-on",
        _METRICS,
        '(counts >= positive("least", least, 0.1) * len(y) / len(means))',
        "(counts >= 1)",
        "test_modes_are_counted_where_a_loop_counts_them",
    ),
    _fault(
        "modes-of-samples-between",
        _METRICS,
        "bincount(which[near],",
        "bincount(which,",
        "test_modes_are_counted_where_a_loop_counts_them",
    ),
    _fault(
        "near-within-one-deviation",
        _METRICS,
        "near = far <= 3 * positive",
        "near = far <= positive",
        "test_modes_are_counted_where_a_loop_counts_them",
    ),
    # The bench
    # What a reader who had not written it planted, and no test noticed
    _fault(
        "median-of-x-alone",
        _STATISTICS,
        "some = distance.detach()[::step, ::step]",
        "some = distance.detach()[:SOME, :SOME]",
        "test_the_median_is_of_pairs_of_both_samples",
    ),
    _fault(
        "interval-of-one-side", _SURE, "t.ppf(0.5 + level / 2,", "t.ppf(level,", "test_an_interval_is_the_jackknifes"
    ),
    _fault(
        "bandwidth-that-cannot-learn",
        _LEARNED,
        "self.log_feature_bandwidth = nn.Parameter(z.new_tensor(0.0))",
        "self.log_feature_bandwidth = z.new_tensor(0.0)",
        "test_a_learned_kernel_is_its_formula_and_all_of_it_learns",
    ),
    _fault(
        "classifier-that-sees-units",
        _LEARNED,
        "(x.reshape(len(x), -1).to(self.mean) - self.mean) / self.std",
        "x.reshape(len(x), -1).to(self.mean) - self.mean",
        "test_a_classifier_does_not_see_units",
    ),
    _fault(
        "single-precision",
        _EXCHANGES,
        "pool(x, y).double(), len(x)",
        "pool(x, y), len(x)",
        "test_single_precision_is_tested_in_double",
    ),
    *(
        Mutant(f"bench-{name}", "gdm_core/explorers/ch06_bench.py", old, new, f"tests/test_explorers_bench.py::{test}")
        for name, old, new, test in (
            (
                "density-without-the-scale",
                "return self.ring.log_prob(u) + 2 * np.log(self.unit)",
                "return self.ring.log_prob(u)",
                "test_a_cloud_has_its_moments_and_its_density",
            ),
            (
                "ring-of-other-moments",
                "self.unit = (4.5 + 0.3**2) ** 0.5",
                "self.unit = 3.0",
                "test_a_cloud_has_its_moments_and_its_density",
            ),
            (
                "best-guess-of-the-other",
                "zip((1, -1), drawn(2000))])",
                "zip((-1, 1), drawn(2000))])",
                "test_what_it_says_of_two_gaussians",
            ),
            (
                "map-upside-down",
                "return torch.cdist(t, y).mean(1) - torch.cdist(t, x).mean(1)",
                "return torch.cdist(t, x).mean(1) - torch.cdist(t, y).mean(1)",
                "test_the_map_is_positive_where_there_are_more_x",
            ),
            (
                "limit-in-the-middle",
                "int(0.95 * len(null))",
                "int(0.5 * len(null))",
                "test_what_it_draws_is_what_two_sample_says",
            ),
            (
                "map-of-another-width",
                "witness(x, y, h)(t)",
                "witness(x, y)(t)",
                "test_what_it_draws_is_what_two_sample_says",
            ),
            (
                "y-has-the-noise-of-x",
                "draw(normal[i].double()",
                "draw(normal[0].double()",
                "test_x_and_y_are_drawn_apart_and_buttons_place_the_clouds",
            ),
        )
    ),
    _fault(
        "width-of-the-first-points",
        _STATISTICS,
        "return median(distances(z[:: -(-len(z) // SOME)]))",
        "return median(distances(z[:SOME]))",
        "test_the_width_of_a_witness_is_the_median_of_both_samples",
    ),
    _fault(
        "block-without-a-pair",
        _EXCHANGES,
        "n // 2, m // 2))",
        "n // 2))",
        "test_size_of_blocks_is_kept_and_sorted_data_are_shuffled",
    ),
    _fault(
        "ties-of-unit-size",
        _EXCHANGES,
        "tie = 1e-12 * torch.cat([null, value[None]]).abs().max()",
        "tie = 1e-12",
        "test_what_is_equal_but_for_rounding_is_as_large",
    ),
    Mutant(
        "words-out-of-the-picture",
        "gdm_core/explorers/ch06_bench.py",
        'side = "right" if',
        'side = "left" if',
        "tests/test_explorers_bench.py::test_the_number_in_the_picture_is_of_the_statistic_that_was_chosen[energy]",
    ),
]
