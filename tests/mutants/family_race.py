"""Faults of the family race: of what its families draw, of its clock and of its scores."""

from mutants.plant import Mutant


def _plant(name: str, old: str, new: str, test: str, file: str = "racers") -> Mutant:
    path = f"gdm_core/explorers/{file}.py"
    return Mutant(f"family-race-{name}", path, old, new, f"tests/test_family_race.py::test_{test}")


def _page(name: str, old: str, new: str, test: str) -> Mutant:
    return _plant(name, old, new, test, "ch15_family_race")


_HAND, _BACK = "samples_follow_from_the_noise_by_hand", "the_flow_and_the_chain_give_their_noise_back"
_TICK, _WORK, _BUDGET = (
    "a_tick_shows_the_last_state_that_is_paid_for",
    "work_is_counted_from_the_layers",
    "one_budget_for_all",
)
_COMMAS, _ONE, _BOUND = "commas_are_counted_as_numpy_counts_them", "densities_add_up_to_one", "the_bound_of_the_vae_is"
_BOUND += "_below_its_density_and_near"
_READ, _NATS = "the_read_out_names_the_nearest_with_its_error", "nats_lost_are_the_divergence"
_MODES = "the_read_out_of_the_commas"

MUTANTS = [
    _page("names-over-the-edge", "LIMIT - 0.7]], words[:1]", "LIMIT - 0.5]], words[:1]",
          "names_and_scores_lie_inside_their_panels_on_a_phone"),
    _plant("mixture-of-one", "component(model.weights, uniform[:, 0])", "0 * component(model.weights, uniform[:, 0])",
           f"{_HAND}[mixture]"),
    _plant("mixture-squared-spread", "(model.scale_tril[k] @", "(model.covariances[k] @", f"{_HAND}[mixture]"),
    _plant("vae-without-noise", "told.mean + told.stddev * more[0]", "told.mean", f"{_HAND}[VAE]"),
    _plant("vae-draws-too-wide", "q.mean + q.stddev * normal", "q.mean + q.variance * normal", _BOUND),
    _plant("energy-starts-narrow", "model.width * normal, model.size", "normal, model.size", f"{_HAND}[energy]"),
    _plant("energy-same-shake", "noise=lambda i: more[i]", "noise=lambda i: more[0]", f"{_HAND}[energy]"),
    _plant("diffusion-fewer-steps", "schedules.times(schedules.line, 16)", "schedules.times(schedules.line, 8)",
           "sixteen_steps_of_heun_are_31_calls"),
    _plant("map-jumps-back", "model.jump(normal, one, 0 * one)", "model.jump(normal, 0 * one, one)",
           f"{_HAND}[flow-map]"),
    _plant("chain-one-noise", "uniform[:, i])", "uniform[:, 0])", _BACK),
    _plant("chain-one-state", "            yield x.clone()", "            yield x", _BACK),
    _plant("work-of-a-step", "total += count.total", "total = count.total", f"{_WORK}[flow]"),
    _plant("work-of-a-cloud", "yield total / len(state), state", "yield total, state", f"{_WORK}[GAN]"),
    _plant("budget-doubled", "hidden=WIDE), 670,", "hidden=WIDE), 1340,", _BUDGET),
    _plant("commas-near-is-all", "masked_fill(away.values > 3, MODES)",
           "masked_fill(away.values > 300, MODES)", _COMMAS),
    _plant("commas-not-by-width", "(torch.cdist(x, truth.means) / truth.std)", "(torch.cdist(x, truth.means) / 0.18)",
           _COMMAS),
    _plant("commas-from-one-point", ">= 0.1 * x.shape[-2] / MODES", ">= 1", _COMMAS),
    _plant("grid-cell-forgotten", " + 2 * math.log(0.1)", "", f"{_ONE}[energy]"),
    _plant("guesses-not-averaged", " - math.log(len(normal))", "", _BOUND),
    _plant("bound-without-prior", "model.prior().log_prob(z) + ", "", _BOUND),
    _plant("bound-of-the-mean", "z = q.mean + q.stddev * normal", "z = q.mean + 0 * normal", _BOUND),
    _page("clock-late", "clock(at) < work", "clock(at) <= work / 2", _TICK),
    _page("clock-shows-the-next", "            shown.append(before)\n            which",
          "            shown.append(state)\n            which", _TICK),
    _page("done-too-early", "if clock(tick) >= run[2]", "if clock(tick) >= run[2] / 30", _READ),
    _page("farthest-is-nearest", "name = min(far, key", "name = max(far, key", _READ),
    _page("error-of-one-cloud", "far[name].std(ddof=1) / GROUPS**0.5", "far[name].std(ddof=1)", _READ),
    _page("error-by-four", "far[name].std(ddof=1)", "far[name].std(ddof=0)",
          "an_error_is_that_of_the_mean_of_four_clouds"),
    _page("band-of-the-mean", "np.log10([chance.min(), chance.max()])", "np.log10([chance.mean(), chance.max()])",
          "the_chart_has_the_band_of_true_draws_that_is_told[distance]"),
    _page("clock-of-no-digits", "math.log10(work)) - 1)", "math.log10(work)) + 1)", "the_clock_in_words"),
    _page("seven-commas-are-all", "now[name][1][0] == MODES for name", "now[name][1][0] >= MODES - 1 for name",
          "who_has_reached_all_commas_is_counted_among_those_that_are_done"),
    _page("nats-the-wrong-way", "truth.log_prob(x) - log_density(", "log_density(", _NATS),
    _page("error-of-the-spread", "(a.std() / JUDGED**0.5)", "a.std()", _NATS),
    _page("fewest-on-a-comma", "name = max(done, key", "name = min(done, key", _MODES),
    _page("error-of-a-point", "(share * (1 - share) / (GROUPS * DOTS)) ** 0.5", "(share * (1 - share)) ** 0.5", _MODES),
    _page("commas-of-all", "now[name][1][0] == MODES for name in done",
          "now[name][1][0] >= 0 for name in done", _MODES),
    _page("press-without-a-draw", 'race = films(controls["new noise"])', "race = films(0)",
          "a_press_draws_other_points_and_time_keeps_them"),
]  # fmt: skip
