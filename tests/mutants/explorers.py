"""Faults in the explorers: pictures that no longer say what the model says."""

from mutants.plant import Mutant

TESTS = "tests/test_explorers.py"
EM = "gdm_core/explorers/mixture.py"
LINEAR = "gdm_core/explorers/linear.py"
ROOMS = "gdm_core/explorers/rooms.py"
POSTERIORS = "gdm_core/explorers/posteriors.py"
PAD = "gdm_core/explorers/pad.py"
KEPT = "gdm_core/explorers/trained.py"
KEEPING = "tests/test_trained.py"

MUTANTS = [
    Mutant(
        "recipe-known-without-what-it-calls",
        KEPT,
        "                follow(called)",
        "                continue",
        f"{KEEPING}::test_the_key_knows_the_functions_that_a_recipe_calls",
    ),
    Mutant(
        "explorer-bound-with-the-next-q",
        EM,
        "(self.q[:, :-1] * after).sum(-1).mean(0)",
        "(self.q[:, 1:] * after).sum(-1).mean(0)",
        f"{TESTS}::test_the_bound_is_likelihood_minus_kl_and_never_above",
    ),
    Mutant(
        "explorer-entropy-forgotten",
        EM,
        "after = joint[:, 1:] - self.q[:, :-1].log().nan_to_num(neginf=0.0)",
        "after = joint[:, 1:]",
        f"{TESTS}::test_the_bound_is_likelihood_minus_kl_and_never_above",
    ),
    Mutant(
        "explorer-e-step-with-the-m-step",
        EM,
        "before = min(half // 2, last)",
        "before = min((half + 1) // 2, last)",
        f"{TESTS}::test_the_text_tells_half_steps_apart",
    ),
    Mutant(
        "explorer-error-swallowed",
        EM,
        "self.error = str(error)",
        'self.error = ""',
        f"{TESTS}::test_a_collapsing_start_is_said_in_the_picture",
    ),
    Mutant(
        "explorer-noise-divided",
        LINEAR,
        "best.var * scale",
        "best.var / scale",
        f"{TESTS}::test_more_noise_widens_the_posterior_and_pulls_it_in",
    ),
    Mutant(
        "explorer-latents-cut-off",
        LINEAR,
        'z[:2] = torch.tensor(controls["z"])',
        'z = torch.zeros_like(z); z[:2] = torch.tensor(controls["z"])',
        f"{TESTS}::test_the_plane_decodes_as_ppca_does",
    ),
    Mutant(
        "explorer-room-from-the-other-side",
        ROOMS,
        'controls["orientation"]]])',
        '-controls["orientation"]]])',
        f"{TESTS}::test_the_room_is_the_rendered_one_and_its_caption_true",
    ),
    Mutant(
        "posterior-entropy-with-the-wrong-sign",
        POSTERIORS,
        "log_px - energy - entropy",
        "log_px - energy + entropy",
        f"{TESTS}::test_quadrature_gives_the_kl_of_two_gaussians",
    ),
    Mutant(
        "posterior-variance-for-std-in-the-quadrature",
        POSTERIORS,
        "u @ factors.mT",
        "u @ (factors @ factors.mT)",
        f"{TESTS}::test_quadrature_gives_the_kl_of_two_gaussians",
    ),
    Mutant(
        "posterior-prior-left-out",
        POSTERIORS,
        "model.decode(z).log_prob(x) + model.prior().log_prob(z)",
        "model.decode(z).log_prob(x)",
        f"{TESTS}::test_quadrature_gives_the_kl_of_two_gaussians",
    ),
    Mutant(
        "posterior-encoder-decides-what-the-family-can",
        POSTERIORS,
        "best = min(search_of(i, warm, full).gaps[-1].item() for warm in STARTS.values())",
        "best = encoder",
        f"{TESTS}::test_the_gap_of_the_encoder_is_its_kl_and_splits",
    ),
    Mutant(
        "posterior-search-starts-at-the-other-end",
        POSTERIORS,
        'STARTS = {"the prior": False, "the encoder\'s answer": True}',
        'STARTS = {"the prior": True, "the encoder\'s answer": False}',
        f"{TESTS}::test_the_search_starts_where_it_says_and_ends_above_the_encoder",
    ),
    Mutant(
        "posterior-map-upside-down",
        POSTERIORS,
        "return extent, 1 - share * (1 - GREEN)",
        "return extent, (1 - share * (1 - GREEN))[::-1].copy()",
        f"{TESTS}::test_the_green_map_is_the_posterior",
    ),
    Mutant(
        "posterior-bars-not-stacked",
        POSTERIORS,
        "base=best, width=22",
        "base=0.0, width=22",
        f"{TESTS}::test_the_green_map_is_the_posterior",
    ),
    Mutant(
        "pad-page-decodes-white-on-black",
        PAD,
        '(-weight, -bias, "sigmoid")',
        '(weight, bias, "sigmoid")',
        f"{TESTS}::test_the_pad_decodes_what_lies_under_it_here_and_in_the_page",
    ),
    Mutant(
        "pad-noise-of-the-moment",
        PAD,
        'noise(controls["new noise"], *x.shape)',
        "torch.randn_like(x)",
        f"{TESTS}::test_noise_stays_until_it_is_asked_to_change",
    ),
    Mutant(
        "pad-variance-for-std",
        PAD,
        "made.base_dist.scale * noise",
        "made.base_dist.scale**2 * noise",
        f"{TESTS}::test_noise_stays_until_it_is_asked_to_change",
    ),
    Mutant(
        "pad-codes-summed-not-averaged",
        PAD,
        "return each.logsumexp(-1) - math.log(len(self.mean))",
        "return each.logsumexp(-1)",
        f"{TESTS}::test_all_codes_together_are_a_mixture_and_holes_are_said",
    ),
    Mutant(
        "pad-holes-unsaid",
        PAD,
        "if not warning and crowd < chart.thin:",
        "if not warning and crowd < chart.thin - 100:",
        f"{TESTS}::test_all_codes_together_are_a_mixture_and_holes_are_said",
    ),
    Mutant(
        "pad-board-transposed",
        PAD,
        "x.permute(0, 2, 1, 3)",
        "x.permute(1, 2, 0, 3)",
        f"{TESTS}::test_the_board_and_the_surplus_lie_where_they_are_drawn",
    ),
    Mutant(
        "pad-deaf-while-training",
        KEPT,
        "if trainer.steps == 0 and not trainer.running:",
        "if True:",
        f"{TESTS}::test_the_pad_answers_while_the_model_trains_anew",
    ),
    Mutant(
        "pad-farthest-for-nearest",
        PAD,
        "(chart.mean - z).norm(dim=1).min(0)",
        "(chart.mean - z).norm(dim=1).max(0)",
        f"{TESTS}::test_the_pad_decodes_what_lies_under_it_here_and_in_the_page",
    ),
    Mutant(
        "explorer-hidden-by-its-file",
        "gdm_core/explorers/__init__.py",
        '"pad", "latent_pad", 4',
        '"pad", "pad", 4',
        f"{TESTS}::test_the_listing_is_in_the_order_of_the_chapters",
    ),
    Mutant(
        "trained-options-forgotten",
        KEPT,
        "json.dumps([options, seed], sort_keys=True)",
        "json.dumps(seed)",
        f"{KEEPING}::test_other_options_other_code_other_sizes_train_anew",
    ),
    Mutant(
        "trained-code-forgotten",
        KEPT,
        "        code.update(_text(file))",
        "        _text(file)",
        f"{KEEPING}::test_other_options_other_code_other_sizes_train_anew",
    ),
    Mutant(
        "trained-seed-forgotten",
        KEPT,
        "        torch.manual_seed(seed)\n",
        "",
        f"{KEEPING}::test_the_seed_alone_decides_and_the_callers_random_numbers_stay",
    ),
    Mutant(
        "trained-random-numbers-spilled",
        KEPT,
        "with _one_at_a_time, torch.random.fork_rng(_cuda()), torch.enable_grad():",
        "with _one_at_a_time, torch.enable_grad():",
        f"{KEEPING}::test_the_seed_alone_decides_and_the_callers_random_numbers_stay",
    ),
    Mutant(
        "trained-broken-file-is-fatal",
        KEPT,
        "except (OSError, safetensors.SafetensorError):",
        "except OSError:",
        f"{KEEPING}::test_a_file_that_cannot_be_read_is_replaced",
    ),
    Mutant(
        "trained-misfit-half-loaded",
        KEPT,
        "    if form(state) != form(model.state_dict()):\n        return False\n    model.load_state_dict(state)",
        "    try:\n        model.load_state_dict(state)\n    except RuntimeError:\n        return False",
        f"{KEEPING}::test_a_file_that_cannot_be_read_is_replaced",
    ),
    Mutant(
        "trained-folder-must-be-writable",
        KEPT,
        "with contextlib.suppress(OSError):",
        "with contextlib.suppress(KeyError):",
        f"{KEEPING}::test_a_home_that_cannot_be_written_is_done_without",
    ),
    Mutant(
        "trained-look-at-the-moving-model",
        KEPT,
        'look(frozen(now["model"]))',
        'look(now["model"])',
        f"{KEEPING}::test_the_learner_starts_from_zero_and_keeps_frozen_looks",
    ),
]
