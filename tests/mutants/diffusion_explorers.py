"""Faults of the explorers of diffusion and of paths."""

from mutants.plant import Mutant

_FILM, _RULERS = "gdm_core/explorers/ch12_diffusion_film.py", "gdm_core/explorers/rulers.py"


def _film(name: str, old: str, new: str, test: str, file: str = _FILM) -> Mutant:
    return Mutant(f"diffusion-film-{name}", file, old, new, f"tests/test_diffusion_film.py::test_{test}")


_SCHEDULES = "one_network_serves_every_schedule"
_RULER, _CHANCE = "the_ruler_measures_as_many_true_draws_do", "chance_is_what_true_draws_are_away"
_ARROWS = "arrows_are_the_two_fields_and_point_toward_the_data"
_DRAGGED = "dots_of_the_network_stay_where_they_are_when_bumps_are_dragged_and_it_is_said"

MUTANTS = [
    _film("network-sees-another-scale", "x_t / (whole[:, None] if whole.ndim else whole)", "x_t", _SCHEDULES),
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
]
