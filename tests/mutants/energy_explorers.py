"""Faults of the score field, the energy landscape and the Ising board."""

from mutants.plant import Mutant


def _explorer(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    ids = " ".join(f"tests/test_energy_explorers.py::test_{t}" for t in tests)
    return Mutant(f"energy-{name}", f"gdm_core/explorers/ch11_{file}.py", old, new, ids)


MUTANTS = [
    _explorer(
        "energy_landscape",
        "start-pushes-on",  # the noise of the start is that of the first step
        "0.15 * normal[-1]",
        "0.15 * normal[0]",
        "where_a_walker_begins_does_not_tell_where_it_is_pushed",
    ),
    _explorer(
        "ising_board",
        "rare-board-in-full",
        "if rarity < math.log(1e7)",
        "if rarity < math.log(1e300)",
        "a_very_rare_board_is_told_by_a_power_of_ten",
    ),
    _explorer(
        "ising_board",
        "power-of-e",
        "{rarity / math.log(10):.1f}",
        "{rarity:.1f}",
        "a_very_rare_board_is_told_by_a_power_of_ten",
    ),
    _explorer(
        "score_field",
        "field-without-noise",
        "noisy, off = target.noisy(sigma), missed(sigma)",
        "noisy, off = target.noisy(0.0), missed(sigma)",
        "exact_arrows_point_along_the_score_of_that_level",
        "the_green_point_is_the_mean_of_the_data_behind_x",
    ),
    _explorer(
        "score_field",
        "mean-one-sigma-away",
        "mean = point + sigma**2 * noisy",
        "mean = point + sigma * noisy",
        "the_green_point_is_the_mean_of_the_data_behind_x",
    ),
    _explorer(
        "score_field",
        "error-on-clean-data",
        "        noisy = target.noisy(sigma)\n        k = component",
        "        noisy = target.noisy(0.0)\n        k = component",
        "the_error_is_that_of_the_network_where_noisy_data_lie",
    ),
    _explorer(
        "score_field",
        "error-not-rooted",
        "exact.square().sum()).sqrt().item()",
        "exact.square().sum()).item()",
        "the_error_is_that_of_the_network_where_noisy_data_lie",
    ),
    _explorer(
        "score_field",
        "learned-point-uphill",
        "guess = point + sigma**2",
        "guess = point - sigma**2",
        "the_red_point_is_what_the_network_denoises",
    ),
    _explorer(
        "energy_landscape",
        "exact-energy-at-one-temperature",
        "(weights.log() - energy / heat)",
        "(weights.log() - energy)",
        "the_exact_mean_energy_is_by_quadrature_at_that_temperature",
    ),
    _explorer(
        "energy_landscape",
        "walkers-without-heat",
        '{"temperature": heat, "noise"',
        '{"temperature": 1.0, "noise"',
        "in_one_bump_they_end_as_warm_as_they_should",
    ),
    _explorer(
        "energy_landscape",
        "walkers-start-elsewhere",
        "device=device) + 0.15 * normal[-1]",
        "device=device) * 0 + 0.15 * normal[-1]",
        "walkers_begin_where_they_are_dropped_and_move_down",
    ),
    _explorer(
        "energy_landscape",
        "correction-that-does-not",
        "if corrected:\n            energy",
        "if False:\n            energy",
        "steps_too_long_leave_unless_they_are_corrected",
    ),
    _explorer(
        "energy_landscape",
        "refused-counted-as-accepted",
        "(states[1 : step + 1] != states[:step])",
        "(states[1 : step + 1] == states[:step])",
        "the_share_of_accepted_moves",
    ),
    _explorer(
        "ising_board",
        "chance-of-half-the-coupling",
        "torch.sigmoid(2 * coupling",
        "torch.sigmoid(coupling",
        "chances_and_rarity_are_those_of_the_list",
    ),
    _explorer(
        "ising_board",
        "boards-that-wrap-around",
        "(places[:, None] // SIDE - places // SIDE).abs() + (",
        "0 * places + (",
        "chances_and_rarity_are_those_of_the_list",
    ),
    _explorer(
        "ising_board",
        "another-pixel-flips",
        '^ (1 << controls["pixel"])',
        '^ (1 << (controls["pixel"] + 1))',
        "a_pressed_pixel_flips_and_no_other",
    ),
    _explorer(
        "ising_board",
        "samples-that-start-white",
        "x.expand(CHAINS, d)",
        "0 * x.expand(CHAINS, d)",
        "samples_start_at_the_board_and_end_at_the_exact_energies",
    ),
    _explorer(
        "score_field",
        "arrows-not-in-units-of-the-noise",
        "way = (sigma * score)",
        "way = (score)",
        "exact_arrows_point_along_the_score_of_that_level",
    ),
    _explorer(
        "score_field",
        "dot-at-sigma-not-its-logarithm",
        "Points([[np.log10(sigma), min",
        "Points([[sigma, min",
        "the_dot_of_the_error_is_at_its_level",
    ),
    _explorer(
        "energy_landscape",
        "dark-is-high",
        "fields = {name: -target.log_prob",
        "fields = {name: target.log_prob",
        "dark_is_low",
    ),
    _explorer(
        "energy_landscape",
        "trails-in-no-legend",
        '["last 12 steps of 12 walkers"] + 11 * [""]',
        '12 * [""]',
        "the_trail_of_a_walker_ends_where_it_stands",
    ),
    _explorer(
        "energy_landscape",
        "trail-of-the-end",
        "states[max(step - 12, 0) : step + 1, :12]",
        "states[-12:, :12]",
        "the_trail_of_a_walker_ends_where_it_stands",
    ),
    _explorer(
        "energy_landscape",
        "one-toss-for-all-moves",
        "lambda i: uniform[i]",
        "lambda i: uniform[0]",
        "each_move_has_a_toss_of_its_own",
    ),
    _explorer(
        "ising_board",
        "exact-line-of-the-samples",
        "Lines(np.stack([levels, p], 1)",
        "Lines(np.stack([levels, share], 1)",
        "the_line_is_exact_and_the_dot_this_board",
    ),
    _explorer(
        "ising_board",
        "dot-mirrored",
        "Points([[pairs, 0.0]]",
        "Points([[-pairs, 0.0]]",
        "the_line_is_exact_and_the_dot_this_board",
    ),
    Mutant(
        "energy-words-that-no-still-has",
        "gdm_core/explorers/ch11_ising_board.py",
        'f"mean energy / J of the samples',
        'f"energy / J of the samples',
        "tests/test_explorers_contract.py::test_its_still_in_a_lecture_says_what_it_says_now[ising_board]",
    ),
]
