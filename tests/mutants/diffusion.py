"""Faults of schedules, samplers, the flow's density and the diffusion model."""

from mutants.plant import Mutant

_SCHEDULES, _SAMPLERS, _ODE = "gdm_core/schedules.py", "gdm_core/samplers.py", "gdm_core/ode.py"
_MODEL, _NETWORKS = "gdm_core/models/diffusion.py", "gdm_core/networks.py"


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"diffusion-{name}", file, old, new, " ".join(f"tests/test_{t}" for t in tests))


_HAND = "samplers.py::test_a_ddim_step_by_hand"
_POSTERIOR = "samplers.py::test_with_eta_1_a_step_is_the_posterior[cosine]"
_LAST = "samplers.py::test_the_last_step_draws_no_noise"
_DENSITY = "ode.py::test_the_density_of_a_gaussian_by_the_flow[cosine]"
_HUTCHINSON = "ode.py::test_hutchinsons_trace_has_the_right_mean_and_one_noise_for_a_whole_solve"
_TABLE = "schedules.py::test_the_table_is_a_product_of_its_steps"
_REFUSED = "diffusion.py::test_what_cannot_be_is_refused_in_words"
_SAME = "diffusion.py::test_whatever_it_predicts_the_denoiser_is_the_same"
_OWN = "diffusion.py::test_each_example_has_a_time_and_a_noise_of_its_own"
_NOISES = "samplers.py::test_each_step_has_a_noise_of_its_own"
_TERMS = "diffusion.py::test_the_terms_of_the_bound_are_the_kls_of_its_steps"
_TIGHT = "diffusion.py::test_the_bound_of_the_exact_denoiser_is_tight"

MUTANTS = [
    # Schedules
    _plant(
        _SCHEDULES,
        "alpha-for-alpha-bar",
        "torch.log1p(-self.betas.double()).cumsum(0)",
        "torch.log1p(-self.betas.double())",
        _TABLE,
    ),
    _plant(_SCHEDULES, "sigma-without-root", "(-torch.expm1(log_alpha2)).sqrt()", "-torch.expm1(log_alpha2)", _TABLE),
    _plant(
        _SCHEDULES,
        "alpha-squared-for-alpha",
        "return (log_alpha2 / 2).exp(),",
        "return log_alpha2.exp(),",
        _TABLE,
        "schedules.py::test_the_numbers_of_the_papers",
    ),
    _plant(
        _SCHEDULES,
        "line-turned",
        "return 1 - t, t",
        "return t, 1 - t",
        "schedules.py::test_schedules_start_clean_and_end_in_noise[line]",
    ),
    _plant(
        _SAMPLERS,
        "times-on-the-card",
        "return *schedule(times.double()), times.to(x.dtype)",
        "return *schedule(times.double()), times.to(x)",
        "samplers.py::test_a_solver_leaves_the_card_alone_with_what_depends_on_the_time_only",
    ),
    _plant(_SCHEDULES, "start-not-looked-at", "abs(alpha[0] - 1) > CLEAN or", "False and", _REFUSED),
    _plant(_SCHEDULES, "table-without-an-end", "> own:", "> 10 * own:", _REFUSED),
    _plant(
        _SCHEDULES,
        "times-rise",
        "t = torch.linspace(1, 0, ",
        "t = torch.linspace(0, 1, ",
        "schedules.py::test_times_fall_from_noise_to_data[line]",
    ),
    _plant(
        _SCHEDULES,
        "diffusion-of-the-drift-lost",
        "grown - 2 * f * sigma",
        "grown + 2 * f * sigma",
        "schedules.py::test_the_process_has_the_marginals_of_its_schedule",
    ),
    _plant(
        _SCHEDULES,
        "diffusion-of-sigma-alone",
        "return f, grown - 2 * f * sigma.detach() ** 2",
        "return f, grown",
        "schedules.py::test_the_process_has_the_marginals_of_its_schedule",
    ),
    _plant(
        _SCHEDULES,
        "time-on-the-wrong-side",
        "below = angle(schedule, middle) < wanted",
        "below = angle(schedule, middle) < wanted / 2",
        "schedules.py::test_the_angle_walks_back_to_its_time[line]",
    ),
    # Samplers
    _plant(
        _SAMPLERS,
        "noise-on-the-last-step",
        "add_(state, alpha=of_state) if of_noise > 0 else",
        "add_(state, alpha=of_state) if i >= 0 else",
        _LAST,
    ),
    _plant(
        _SAMPLERS,
        "noise-on-the-last-step-of-the-sde",
        "quiet = (sigma[1:] > 0).to(at)",
        "quiet = (sigma[1:] > -1).to(at)",
        _LAST,
    ),
    _plant(
        _SAMPLERS,
        "corrected-at-the-data",
        "            if sigma[i + 1] > 0:\n",
        "            if sigma[i] > 0:\n",
        _LAST,
    ),
    _plant(
        _SAMPLERS,
        "direction-of-sigma-alone",
        "kept = (sigma[1:] ** 2 - new**2).clamp(min=0).sqrt() / sigma[:-1]",
        "kept = sigma[1:] / sigma[:-1]",
        _HAND,
        _POSTERIOR,
    ),
    _plant(
        _SAMPLERS,
        "noise-without-its-root",
        "sigma[:-1])) ** 2).clamp(min=0).sqrt()",
        "sigma[:-1])) ** 2).clamp(min=0)",
        _HAND,
        _POSTERIOR,
    ),
    _plant(_SAMPLERS, "eta-squared", "new = eta * sigma[1:]", "new = eta**2 * sigma[1:]", _HAND),
    _plant(_SAMPLERS, "noise-three-times", "else std * noise(i)", "else 3 * std * noise(i)", _HAND, _POSTERIOR),
    _plant(
        _SAMPLERS,
        "mean-at-the-old-level",
        "return alpha[1:] - alpha[:-1] * kept, kept, new",
        "return alpha[:-1] - alpha[1:] * kept, kept, new",
        _HAND,
    ),
    _plant(
        _SAMPLERS,
        "asked-at-the-next-time",
        "zip(told.unbind(), rows)",
        "zip(told[1:].unbind(), rows)",
        _HAND,
    ),
    _plant(
        _SAMPLERS,
        "heun-that-is-euler",
        "u = u + h / 2 * (here + velocity(u + h * here, k + 1))",
        "u = u + h * here",
        "samplers.py::test_the_order_of_each_solver[cosine-heun-2]",
    ),
    _plant(
        _SAMPLERS,
        "heun-looks-from-where-it-stood",
        "velocity(u + h * here, k + 1)",
        "velocity(u, k + 1)",
        "samplers.py::test_the_order_of_each_solver[cosine-heun-2]",
    ),
    _plant(
        _SAMPLERS,
        "multistep-ratio-turned",
        "ratio = ahead[1:] / (2 * ahead[:-1])",
        "ratio = ahead[:-1] / (2 * ahead[1:])",
        "samplers.py::test_two_steps_of_multistep_by_hand",
    ),
    _plant(
        _SAMPLERS,
        "multistep-forgets-what-was",
        "state, before = kept[i] * state + of_mean[i] * ahead, mean",
        "state, before = kept[i] * state + of_mean[i] * ahead, None",
        "samplers.py::test_the_order_of_each_solver[cosine-multistep-2]",
    ),
    _plant(
        _SAMPLERS,
        "half-of-the-score",
        "of_state = 1 - steps * (f + g2 / sigma[:-1] ** 2)",
        "of_state = 1 - steps * (f + g2 / 2 / sigma[:-1] ** 2)",
        "samplers.py::test_a_step_of_the_reverse_process_by_hand",
    ),
    _plant(
        _SAMPLERS,
        "drift-forward",
        "of_state = 1 - steps * (f + g2",
        "of_state = 1 - steps * (-f + g2",
        "samplers.py::test_a_step_of_the_reverse_process_by_hand",
    ),
    _plant(
        _SAMPLERS,
        "corrector-of-the-wrong-level",
        "state, size * s2, corrections",
        "state, size * s2**2, corrections",
        "samplers.py::test_a_corrected_step_by_hand",
    ),
    _plant(
        _SAMPLERS,
        "any-eta",
        "if not 0 <= eta <= 1:",
        "if not -9 <= eta <= 9:",
        "samplers.py::test_bad_settings_are_refused_at_the_call",
    ),
    _plant(
        _SAMPLERS,
        "any-time",
        "if times[0] > 1 or times[-1] < 0:",
        "if times[0] > 9:",
        "samplers.py::test_bad_settings_are_refused_at_the_call",
    ),
    # The flow's density
    _plant(_ODE, "likelihood-without-divergence", "return grown - 0.5 * (", "return 0 * grown - 0.5 * (", _DENSITY),
    _plant(_ODE, "divergence-of-the-other-sign", "return grown - 0.5 * (", "return -grown - 0.5 * (", _DENSITY),
    _plant(
        _ODE,
        "prior-of-unit-size",
        "s = (sigma / torch.hypot(alpha, sigma)).item()",
        "s = 0.9",
        "ode.py::test_the_density_of_a_gaussian_by_the_flow[edm]",
    ),
    _plant(
        _ODE,
        "pace-of-the-angle-lost",
        "pace, phi, told = (2 * last * s).tolist()",
        "pace, phi, told = (2 * last * s**2).tolist()",
        _DENSITY,
    ),
    _plant(
        _ODE,
        "hutchinson-draws-anew",
        "for v in probes]",
        "for v in torch.randn_like(probes).sign()]",
        _HUTCHINSON,
    ),
    _plant(_ODE, "hutchinson-without-the-second-v", "* v.flatten(1)).sum(1) for v", ").sum(1) for v", _HUTCHINSON),
    _plant(
        _ODE, "trace-of-the-whole-jacobian", "[:, i] for i in range(flat", ".sum(1) for i in range(flat", _HUTCHINSON
    ),
    _plant(
        _ODE,
        "runge-without-its-middle",
        "(a + 2 * b + 2 * c + d)",
        "(2 * a + b + c + 2 * d)",
        "ode.py::test_the_density_converges_with_order_four",
    ),
    # The model
    _plant(
        _MODEL,
        "time-not-told",
        "F = self.network(x_t / self._levels(t, x_t)[2], each, y)",
        "F = self.network(x_t / self._levels(t, x_t)[2], 0 * each, y)",
        "diffusion.py::test_time_reaches_the_network_and_labels_too",
        _OWN,
    ),
    _plant(
        _MODEL,
        "noise-sign-turned",
        "(x_t - sigma * F) / alpha if",
        "(x_t + sigma * F) / alpha if",
        f"{_SAME}[noise-preserving]",
    ),
    _plant(
        _MODEL,
        "score-by-sigma",
        "(x_t + sigma**2 * F) / alpha",
        "(x_t + sigma * F) / alpha",
        f"{_SAME}[score-preserving]",
    ),
    _plant(
        _MODEL,
        "skip-not-scaled",
        "(alpha * self.spread**2 * x_t +",
        "(alpha * self.spread * x_t +",
        f"{_SAME}[edm-edm]",
    ),
    _plant(
        _MODEL,
        "velocity-of-other-sign",
        "return d_alpha * x + d_sigma * noise",
        "return d_alpha * x - d_sigma * noise",
        f"{_SAME}[velocity-line]",
        "diffusion.py::test_the_floor_of_flow_matching[2.0]",
    ),
    _plant(
        _MODEL,
        "one-time-for-all",
        "t = (torch.arange(len(x), device=x.device) + torch.rand(len(x)",
        "t = (0 * torch.arange(len(x), device=x.device) + torch.rand(1",
        _OWN,
    ),
    _plant(
        _MODEL,
        "one-noise-for-all",
        "noise = torch.randn_like(x)\n        if self.drop:",
        "noise = torch.randn_like(x[:1]).expand_as(x)\n        if self.drop:",
        _OWN,
    ),
    _plant(
        _MODEL,
        "one-point-of-the-batch",
        "        return off.mean()",
        "        return off[0]",
        "diffusion.py::test_the_floor_of_flow_matching[2.0]",
    ),
    _plant(
        _MODEL,
        "loss-averaged-over-entries",
        ".flatten(1).sum(1)\n        if self.predicts",
        ".flatten(1).mean(1)\n        if self.predicts",
        "diffusion.py::test_losses_are_one_regression_in_other_units[noise-preserving-0]",
    ),
    _plant(
        _MODEL,
        "score-not-weighed",
        "off = off * self.schedule(t)[1] ** 2",
        "pass",
        "diffusion.py::test_losses_are_one_regression_in_other_units[score-preserving-0]",
    ),
    _plant(
        _MODEL,
        "labels-never-dropped",
        "device=x.device) < self.drop",
        "device=x.device) < 0 * self.drop",
        "diffusion.py::test_a_share_of_the_labels_is_dropped",
    ),
    _plant(
        _MODEL,
        "labels-all-dropped",
        "device=x.device) < self.drop",
        "device=x.device) < 1 - self.drop",
        "diffusion.py::test_a_share_of_the_labels_is_dropped",
    ),
    _plant(
        _MODEL,
        "starts-from-unit-noise",
        "x = self.schedule(torch.ones_like(like))[1] * torch.randn(",
        "x = torch.randn(",
        "diffusion.py::test_samples_start_at_the_noise_of_the_last_level_and_follow_the_flow",
    ),
    _plant(
        _MODEL,
        "kl-not-halved",
        "return weight / 2 * torch.cat(found)",
        "return weight * torch.cat(found)",
        _TERMS,
        _TIGHT,
    ),
    _plant(_MODEL, "snr-without-square", "gain = (ratio**-2).diff()", "gain = (ratio**-1).diff()", _TERMS),
    _plant(_MODEL, "noise-taken-out-twice", "off - part[k] * (extra", "off - part[k] * (2 * extra", _TERMS, _TIGHT),
    _plant(_MODEL, "end-without-its-scale", "(LOG_2PI / 2 + ratio[1].log())", "(LOG_2PI / 2)", _TERMS, _TIGHT),
    _plant(_MODEL, "start-kl-lost", " + 0.5 * x.square().flatten(1).sum(1) / ratio[0] ** 2", "", _TERMS),
    _plant(_MODEL, "t-not-looked-at", "if not ((t >= 0) & (t <= 1)).all():", "if not (t > -9).all():", _REFUSED),
    _plant(
        _NETWORKS,
        "layers-deaf-to-time",
        "scale, shift = told(said).chunk(2, 1)\n            further = layer(nn.functional.silu(h + h * scale + shift))",
        "scale, shift = told(said).chunk(2, 1)\n            further = layer(nn.functional.silu(h))",
        "diffusion.py::test_time_reaches_the_network_and_labels_too",
    ),
    _plant(
        _SAMPLERS,
        "heun-ends-at-the-noisy-state",
        "math.cos(phi[k]) * u - math.sin(phi[k]) * here",
        "math.cos(phi[k]) * u",
        "samplers.py::test_the_last_step_ends_at_what_the_denoiser_says",
    ),
    _plant(
        _SCHEDULES,
        "table-rounded-to-its-steps",
        "place.detach().floor()",
        "place.detach().round()",
        "schedules.py::test_a_table_between_its_steps_has_a_straight_log_signal",
    ),
    _plant(
        _MODEL,
        "none-is-a-label-to-train-on",
        "checked(y, n, self.labels + free)",
        "checked(y, n, self.labels + 1)",
        "diffusion.py::test_training_without_a_drop_knows_no_label_for_none",
    ),
    _plant(
        _SCHEDULES,
        "table-one-step-short",
        "steps) > own:",
        "steps) >= own:",
        "schedules.py::test_a_table_gives_its_own_times",
    ),
    _plant(_SCHEDULES, "noise-may-stand-still", ".diff() > 0).all() or", ".diff() >= 0).all() or", _REFUSED),
    _plant(
        _MODEL,
        "always-the-same-times",
        "+ torch.rand(len(x), dtype=x.dtype, device=x.device)) / len(x)",
        "+ 0.5) / len(x)",
        _OWN,
    ),
    _plant(
        _MODEL,
        "asked-for-no-label-that-it-never-learned",
        "len(x_t), free=self.drop > 0)",
        "len(x_t), free=True)",
        _REFUSED,
    ),
    _plant(
        _SAMPLERS, "one-noise-for-all-steps", "else std * noise(i)", "else std * noise(0)", f"{_NOISES}[ddpm-wanted0]"
    ),
    _plant(_SAMPLERS, "noises-used-twice", "noise(i * each + k)", "noise(i + k)", f"{_NOISES}[corrected-wanted2]"),
    _plant(
        _SAMPLERS,
        "ahead-at-the-data",
        "torch.where(torch.isfinite(ratio), ratio, 0.0)",
        "torch.where(torch.isfinite(ratio), ratio, 0.5)",
        "samplers.py::test_the_last_step_ends_at_what_the_denoiser_says[multistep]",
    ),
    _plant(
        _ODE, "a-stage-taken-twice", "u + h * c)", "u + h * b)", "ode.py::test_the_density_converges_with_order_four"
    ),
    Mutant(
        "denoising-little-signal-is-more",
        "gdm_core/denoising.py",
        "(x_t - sigma * noise) / alpha",
        "(x_t - sigma * noise) / alpha.clamp_min(0.05)",
        "tests/test_denoising.py::test_the_mean_of_noise_is_right_where_hardly_any_data_are_left",
    ),
    _plant(
        _MODEL,
        "labels-of-the-bound-in-another-order",
        "y.repeat(len(k), *[1] * (y.ndim - 1))",
        "y.repeat_interleave(len(k), 0)",
        "diffusion.py::test_the_bound_tells_each_example_with_its_own_label",
    ),
]
