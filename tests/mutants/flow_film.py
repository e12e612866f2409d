"""Faults of the flow film, and of the checks of the lab of flows."""

from mutants.plant import Mutant

_FILM_PICTURE = "the_picture_is_the_density_at_the_place_of_the_pixel"
_FILM_LOST = "what_is_lost_is_measured_against_the_bumps_of_the_hand"
_FILM_MARKS = "cloud_way_and_bumps_are_those_of_the_layer_and_of_the_hand"

_HAND_DENSITY = "the_density_in_the_hand_is_that_of_the_library"
_HAND_FOLD = "what_is_turned_over_has_a_negative_determinant_by_autograd"
_HAND_INTEGRAL = "the_integral_counts_how_many_points_share_a_z"
_HAND_LOST = "what_is_lost_is_the_mean_over_draws"
_HAND_SEARCH = "a_search_ends_where_scipy_ends"
_HAND_MARKS = "vectors_crease_and_data_are_those_of_the_hand"
_HAND_PICTURE = "the_picture_is_the_density_at_the_place_of_the_pixel"

MUTANTS = [
    Mutant(
        "flows-fold-in-the-middle",  # wherever b puts the crease
        "gdm_core/explorers/ch09_planar.py",
        "over = (hand.stretch(flat @ hand.w + hand.b) < 0)",
        "over = (hand.stretch(flat @ hand.w) < 0)",
        "tests/test_planar_explorer.py::test_what_is_folded_is_where_the_determinant_is_negative",
    ),
    Mutant(
        "flows-cells-too-large",
        "gdm_core/explorers/ch09_planar.py",
        "(2 * FAR / 180) ** 2",
        "(2 * FAR / 179) ** 2",
        "tests/test_planar_explorer.py::test_the_integral_counts_how_many_points_share_a_z",
    ),
    Mutant(
        "flows-film-of-the-first-layers",
        "gdm_core/explorers/ch09_flow_film.py",
        "layers[LAYERS - k :]",
        "layers[:k]",
        "tests/test_flow_film.py::test_density_after_each_layer_is_that_of_the_cloud_there",
    ),
    Mutant(
        "flows-film-with-its-terms-the-other-way-round",
        "gdm_core/explorers/ch09_flow_film.py",
        "*log_dets[::-1]",
        "*log_dets",
        "tests/test_flow_film.py::test_terms_add_up_to_log_p_in_the_order_of_the_film",
    ),
    *(
        Mutant(
            f"flows-film-{name}",
            "gdm_core/explorers/ch09_flow_film.py",
            old,
            new,
            f"tests/test_flow_film.py::test_{test}",
        )
        for name, old, new, test in (
            ("upside-down", ".reshape(100, 100)", ".reshape(100, 100).flip(0)", _FILM_PICTURE),
            ("turned", ".reshape(100, 100)", ".reshape(100, 100).T", _FILM_PICTURE),
            (
                "gains-what-it-loses",
                "(target.log_prob(fresh) - film.flow.",
                "(-target.log_prob(fresh) + film.flow.",
                _FILM_LOST,
            ),
            ("against-old-bumps", "Mixture(points.tolist(), STD)", "Mixture(START, STD)", _FILM_LOST),
            ("cloud-at-its-end", "Points(film.cloud[k]", "Points(film.cloud[-1]", _FILM_MARKS),
            ("way-from-the-data", "for x, _ in states)]).flip(0)", "for x, _ in states)])", _FILM_MARKS),
            (
                "grid-of-one-way",
                "across, across.flip(-1)",
                "across, across",
                "the_grid_of_the_noise_has_lines_both_ways",
            ),
            ("wide-bumps", "torch.eye(2) * STD**2", "torch.eye(2) * STD", _FILM_MARKS),
        )
    ),
    *(
        Mutant(
            f"flows-lab-{name}",
            "gdm_core/checks/lab09.py",
            old,
            new,
            f"tests/test_labs_checks.py::test_a_wrong_answer_is_refused_with_its_own_hint[lab09-{test}]",
        )
        for name, old, new, test in (
            (
                "asks-for-one-size",
                "for n, d in ((3, 2), (4, 6)):",
                "for n, d in ((3, 2),):",
                "uncouple-one_feature_for_a_half",
            ),
            ("asks-where-it-folds-alone", ", ((0.3, 0.4), (1.0, 0.5))", "", "unfolded-only_where_it_folds"),
        )
    ),
    Mutant(
        "flows-lab-takes-any-sign",
        "gdm_core/checks/lab09.py",
        '"(B,)", "log_det"), truth, {',
        '"(B,)", "log_det").abs(), truth.abs(), {',
        "tests/test_labs_checks.py::test_a_wrong_answer_is_refused_with_its_own_hint[lab09-planar-minus]",
    ),
    *(
        Mutant(
            f"flows-hand-{name}",
            "gdm_core/explorers/ch09_planar.py",
            old,
            new,
            f"tests/test_planar_explorer.py::test_{test}",
        )
        for name, old, new, test in (
            ("constraint-always-off", "bi.unfolded(w, u) if safe else u", "u", _HAND_DENSITY),
            ("determinant-of-h", "1 - torch.tanh(s).square()", "torch.tanh(s)", _HAND_FOLD),
            ("density-without-its-stretch", "self.stretch(x @ self.w + self.b).abs()", "x.sum(1).abs()", _HAND_DENSITY),
            ("one-point-for-each-z", "self.b).abs().clamp_min", "self.b).clamp_min", _HAND_INTEGRAL),
            ("integral-of-what-is-shown", "sum() * (2 * FAR", "sum() * (2 * REACH", _HAND_INTEGRAL),
            ("folds-in-silence", "if wu < -1 else", "if wu < -9 else", _HAND_INTEGRAL),
            (
                "divergence-the-other-way",
                "(log_p.softmax(0) * (log_p - log_q))",
                "(log_p.softmax(0) * (log_q - log_p))",
                _HAND_LOST,
            ),
            ("bumps-of-the-start", 'Mixture(controls["data"].tolist()', "Mixture(BUMPS", _HAND_LOST),
            (
                "search-uphill",
                "lost(log_p, Hand(*found, safe=True).log_prob(at)).b",
                "(-lost(log_p, Hand(*found, safe=True).log_prob(at))).b",
                _HAND_SEARCH,
            ),
            ("search-leaves-the-constraint-off", '"safe": True}', '"safe": False}', _HAND_SEARCH),
            ("arrow-as-the-hand-holds-it", "torch.stack([w, hand.u])", "torch.stack([w, w])", _HAND_MARKS),
            ("crease-mirrored", "foot, side = -hand.b", "foot, side = hand.b", _HAND_MARKS),
            ("data-as-wide-as-noise", "data.means[:, None] + STD * noise", "data.means[:, None] + noise", _HAND_MARKS),
            ("data-not-carried", "Points(hand.to_latent(dots)", "Points(dots", _HAND_MARKS),
            ("right-side-turned-over", "@ hand.w + hand.b) < 0", "@ hand.w + hand.b) > 0", _HAND_MARKS),
            ("picture-turned", ".reshape(100, 100), hand", ".reshape(100, 100).T, hand", _HAND_PICTURE),
        )
    ),
]
