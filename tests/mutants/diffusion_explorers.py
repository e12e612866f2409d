"""Faults of the explorers of diffusion and of paths."""

from mutants.plant import Mutant

_FILM, _RULERS = "gdm_core/explorers/ch12_diffusion_film.py", "gdm_core/explorers/rulers.py"


def _film(name: str, old: str, new: str, test: str, file: str = _FILM) -> Mutant:
    return Mutant(f"diffusion-film-{name}", file, old, new, f"tests/test_diffusion_film.py::test_{test}")


def _paths(name: str, old: str, new: str, test: str, file: str = "gdm_core/explorers/ch13_paths.py") -> Mutant:
    return Mutant(f"paths-{name}", file, old, new, f"tests/test_paths_explorer.py::test_{test}")


def _few(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(
        f"few-steps-{name}", "gdm_core/explorers/ch13_few_steps.py", old, new, f"tests/test_few_steps.py::test_{test}"
    )


_PAIRED, _BATCHES = "gdm_core/explorers/paired.py", "velocity_and_variance_are_those_of_simulated_batches"
_FLOW, _TRAINED = "the_flow_goes_along_the_velocity_and_keeps_shares", "what_is_trained_on_are_these_pairs"
_FAN = "lines_join_the_pairs_and_the_fan_goes_through_the_point_on_the_flow"
_SCHEDULES = "one_network_serves_every_schedule"
_RULER, _CHANCE = "the_ruler_measures_as_many_true_draws_do", "chance_is_what_true_draws_are_away"
_ARROWS = "arrows_are_the_two_fields_and_point_toward_the_data"
_DRAGGED = "dots_of_the_network_stay_where_they_are_when_bumps_are_dragged_and_it_is_said"

MUTANTS = [
    _film("network-sees-another-scale", "x_t / denoising.beside(whole, x_t)", "x_t", _SCHEDULES),
    _film("network-told-another-time", "(sigma / whole).clamp(max=1)", "t", _SCHEDULES),
    _film("network-told-a-time-past-noise", "(sigma / whole).clamp(max=1)", "sigma / whole", _SCHEDULES),
    _film(
        "variance-for-a-deviation",
        "((alpha * self.std) ** 2 + sigma**2).sqrt()",
        "((alpha * self.std) ** 2 + sigma**2)",
        "density_on_the_way_is_that_of_noisy_bumps",
    ),
    _film(
        "error-as-a-share-of-the-learned",
        "/ mean_square(exact)",
        "/ mean_square(other)",
        "the_share_that_a_field_misses",
    ),
    _film(
        "starts-from-unit-noise",
        "law(times[0])[1].item() * e",
        "1.0 * e",
        "whatever_is_changed_the_start_noise_stays",
    ),
    _film(
        "eta-not-handed-on",
        'options["eta"] = eta',
        'options["eta"] = 0.0',
        "eta_is_that_of_ddim_alone_and_its_noise_is_that_of_the_step",
    ),
    _film(
        "noise-of-another-step",
        "noise[i * TICKS // steps]",
        "noise[TICKS - 1 - i * TICKS // steps]",
        "eta_is_that_of_ddim_alone_and_its_noise_is_that_of_the_step",
    ),
    _film("velocity-toward-the-noise", 'if field == "score" else -way', 'if field == "score" else way', _ARROWS),
    _film(
        "arrows-of-one-field-twice",
        '("learned", "model", 1.8, told)',
        '("learned", "model", 1.8, law.denoise)',
        _ARROWS,
    ),
    _film("dots-in-the-other-field", 'not controls["exact"]', 'controls["exact"]', _DRAGGED),
    _film("silent-about-other-bumps", "moved = not np.allclose(points, seen)", "moved = False", _DRAGGED),
    _film("last-step-of-heun-paid-twice", "2 * k - (t == 0)", "2 * k", "it_stops_where_the_solver_does"),
    _film("way-of-another-dot", "Lines(states[:, -1]", "Lines(states[:, 0]", "the_followed_noise_goes_its_way"),
    _film(
        "chance-of-the-nearest-cloud",
        "chance.max(1)",
        "chance.min(1)",
        "by_chance_up_to_is_said_for_the_time_that_is_shown",
    ),
    _film("ruler-of-the-lower-ends", "torch.arange(n).to(means) + 0.5", "torch.arange(n).to(means)", _RULER, _RULERS),
    _film(
        "ruler-along-half-of-the-lines", "spread_directions(2, DIRECTIONS)", "spread_directions(2, 1)", _RULER, _RULERS
    ),
    _film("chance-of-one-bump", "self.means[:, k]", "self.means[:, 0 * k]", _CHANCE, _RULERS),
    _film("chance-without-a-spread", "self.std[:, k, None] * normal", "0 * normal", _CHANCE, _RULERS),
    # Paths
    _paths("chance-of-half-a-pair", "self.q, place) * (-0.5 * e**2).exp()", "self.q, place)", _BATCHES, _PAIRED),
    _paths("batch-of-one-less", "Binomial(batch - 1", "Binomial(batch - 2", _BATCHES + "[4]", _PAIRED),
    _paths("late-lines-without-their-stretch", "(y[1] - y[0]).item() / t", "(y[1] - y[0]).item()", _BATCHES, _PAIRED),
    _paths("second-moment-for-variance", "(slope - v[:, None]) ** 2", "slope**2", _BATCHES, _PAIRED),
    _paths("slope-the-other-way-round", "return e - y, weight", "return y - e, weight", _BATCHES, _PAIRED),
    _paths("reflow-against-the-clock", "here - self.data(here)", "self.data(here) - here", _FLOW, _PAIRED),
    _paths("shares-from-above", "p.cumsum(1) - 0.5 * p", "p.flip(1).cumsum(1).flip(1) - 0.5 * p", _FLOW),
    _paths(
        "shares-of-the-other-times",
        "for share in self.share]\n        return torch.stack([score",
        "for share in self.share.flip(0)]\n        return torch.stack([score",
        _FLOW,
    ),
    _paths(
        "fan-of-unlikely-paths",
        "(weight.cumsum(0) - 0.5 * weight) / weight.sum()",
        "torch.linspace(0, 1, len(weight))",
        _BATCHES,
    ),
    _paths("only-noise-is-sorted", "joined(self.batch, x, noise)", "joined(self.batch, noise, noise)", _TRAINED),
    _paths("trained-on-independent-pairs", "if self.batch:\n", "if self.batch == -1:\n", _TRAINED + "[16]"),
    _paths("target-reversed", "self.regression(x, noise, t)", "self.regression(noise, x, t)", _TRAINED),
    _paths(
        "loss-without-its-floor",
        "loss = exact.floor + exact",
        "loss = exact",
        "the_loss_is_that_of_the_network_on_these_pairs",
    ),
    _paths("pairs-shown-unpaired", "pairs = joined(batch, ", "pairs = joined(1, ", _FAN),
    _paths("fan-beside-the-point", "x + (1 - now) * slopes", "x + now * slopes", _FAN),
    _paths(
        "handles-left-where-they-are",
        "if not np.allclose(controls[name], rows)",
        "if False",
        "other_data_are_said_and_handles_stay_on_their_sides",
    ),
    # Few steps
    _few(
        "heun-in-the-place-of-euler",
        'samplers.heun if method == "Heun"',
        'samplers.heun if method != "Heun"',
        "euler_and_heun_go_by_the_velocity",
    ),
    _few(
        "exact-field-that-is-learned",
        "law.denoise if exact",
        "learned.denoise if exact",
        "euler_and_heun_go_by_the_velocity",
    ),
    _few(
        "jumps-of-the-whole-way",
        "z = jump(average, z, t, r)\n",
        "z = jump(average, z, t, 0 * r)\n",
        "meanflow_jumps_and_the_reflowed_takes_its_own_network",
    ),
    _few(
        "reflowed-without-a-reflow",
        "z, t, r: straight.velocity(z, t)",
        "z, t, r: learned.velocity(z, t)",
        "meanflow_jumps_and_the_reflowed_takes_its_own_network",
    ),
    _few(
        "distance-of-the-first-state",
        "z)[-1] for steps",
        "z)[0] for steps",
        "distances_are_those_of_the_samples_and_true_draws_are_near",
    ),
    _few(
        "chance-of-fewer-draws",
        "ruler = Ruler(*still, law.weights, DOTS)",
        "ruler = Ruler(2 * still[0], still[1], law.weights, DOTS)",
        "distances_are_those_of_the_samples_and_true_draws_are_near",
    ),
    _few(
        "heun-at-half-of-its-price",
        "2 * steps - 1 if",
        "steps if",
        "calls_of_the_network_and_distances_in_powers_of_two",
    ),
    _few(
        "noise-that-stays-when-pressed",
        "z = noise(press, DOTS, 2)",
        "z = noise(0, DOTS, 2)",
        "a_press_draws_other_noise_and_steps_keep_it",
    ),
    _few(
        "pairs-in-another-order",
        "heun(law.denoise, schedules.line, noise, times))",
        "heun(law.denoise, schedules.line, noise.flip(0), times))",
        "pairs_are_noise_and_where_the_exact_flow_takes_it",
    ),
    _few(
        "pairs-the-other-way-round", "noise, data = x.unbind(1)", "data, noise = x.unbind(1)", "the_loss_of_given_pairs"
    ),
    _few("few-pairs", "torch.randint(PAIRS, (n,)", "torch.randint(64, (n,)", "the_reflowed_learns_from_many_pairs"),
    _few(
        "title-of-most-steps",
        "else ''}: {said(float(far[method][i]))}",
        "else ''}: {said(float(far[method][-1]))}",
        "calls_of_the_network_and_distances_in_powers_of_two",
    ),
    _paths(
        "followed-by-euler",
        "step * (here + there) / 2)",
        "step * here)",
        "the_learned_flow_is_followed_to_second_order",
    ),
    Mutant(
        "digits-learn-nothing",
        "gdm_core/explorers/digit_denoisers.py",
        '"lr": 4e-3',
        '"lr": 4e-9',
        "tests/test_digit_explorers.py::test_a_network_denoises_new_digits_soon",
    ),
    Mutant(
        "digits-of-the-next-class",
        "gdm_core/explorers/digit_denoisers.py",
        "y.repeat(often))",
        "y.repeat(often).roll(1))",
        "tests/test_digit_explorers.py::test_each_picture_is_trained_on_with_its_class",
    ),
    _film(
        "always-late",
        "if move is samplers.sde and law(times[0])[0] < 1e-3:",
        "if move is samplers.sde:",
        "whatever_is_changed_the_start_noise_stays",
    ),
    _few(
        "noise-out-of-its-panel",
        'np.clip(controls["start"] - CENTERS[0], -LIMIT, LIMIT)',
        'controls["start"] - CENTERS[0]',
        "noise_stays_in_its_panel",
    ),
]
