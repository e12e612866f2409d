"""Faults that give a wrong number without an error: what broadcasts, depends on itself, or lies between two points."""

from mutants.plant import Mutant

_INFERENCE, _MODELS = "gdm_core/inference", "gdm_core/models"
_BOUNDS, _GRID, _GAP = (f"{_INFERENCE}/{name}.py" for name in ("bounds", "grid", "gap"))
_OWN, _VAE, _VQ = f"{_INFERENCE}/per_datapoint.py", f"{_MODELS}/vae.py", f"{_MODELS}/vqvae.py"
_LATENT, _SCORES = "gdm_core/latent.py", "gdm_core/disentanglement.py"
_LIKELIHOODS, _NETWORKS = "gdm_core/likelihoods.py", "gdm_core/networks.py"


def _tests(home: str, *names: str) -> str:
    return " ".join(f"tests/test_{home}.py::test_{name}" for name in names)


_PIECES = _tests("inference", "bounds_without_a_gradient_decode_piece_by_piece_and_say_the_same")
_LIMITS = _tests("grid", "grid_refuses_a_posterior_midway_between_two_points")
_BORDERS = _tests("grid", "grid_has_the_first_latent_along_its_first_axis_and_two_borders")
_CLASS = _tests("vae", "a_class_is_drawn_as_that_class")
_REVIVED = _tests("vqvae", "revived_codes_go_to_different_features")
_BUILT = _tests("vqvae", "building_leaves_statistics_and_modes_alone")
_OPTIONS = _tests("vae", "options_without_effect_or_sense_are_refused")

MUTANTS = [
    # Bounds
    Mutant(
        "q-that-broadcasts",
        _BOUNDS,
        "if q.batch_shape != x.shape[:1]:",
        "if False:",
        _tests("inference", "a_q_that_is_not_over_the_examples_is_refused"),
    ),
    Mutant(
        "labels-of-others",
        _BOUNDS,
        "if y is not None and y.shape != x.shape[:1]:",
        "if False:",
        _tests("inference", "labels_for_other_examples_are_refused"),
    ),
    Mutant("channels-take-no-memory", _BOUNDS, '"channels", 1) * x[0]', '"channels", 1) * 0 + x[0]', _PIECES),
    Mutant("pieces-with-the-first-labels", _BOUNDS, "y[part])", "y[: len(x[part])])", _PIECES),
    Mutant("gradient-of-pieces-lost", _BOUNDS, "if torch.is_grad_enabled() or ", "if ", _PIECES),
    # Grids
    Mutant(
        "one-coarse-grid",
        _GRID,
        "for start in itertools.product(range(3), repeat=latents):",
        "for start in [(0,) * latents]:",
        _LIMITS,
    ),
    Mutant(
        "coarse-grid-forgiven",
        _GRID,
        "if not change < 0.7:",
        "if not change < 30:",
        _tests("grid", "what_a_grid_accepts_is_right"),
    ),
    Mutant("fine-grid-refused", _GRID, "change < 0.7", "change < 1e-6", _tests("grid", "what_a_grid_accepts_is_right")),
    Mutant(
        "picture-of-the-other-axis",
        _GRID,
        "* self.points.shape[1])\n\n    def kl",
        "* self.points.shape[1]).T\n\n    def kl",
        _BORDERS,
    ),
    Mutant("left-border-unwatched", _GRID, "(points.abs() >= axis[-1])", "(points >= axis[-1])", _BORDERS),
    # The gap
    Mutant(
        "family-of-the-gap-ignored",
        _GAP,
        "PerDatapoint.at(q_phi, full)",
        "PerDatapoint.at(q_phi)",
        _tests("gap", "gap_takes_the_family_that_it_is_told"),
    ),
    Mutant(
        "reference-not-widened",
        _GAP,
        "wide.log_std += math.log(1.1)",
        "pass",
        _tests("gap", "reference_of_the_gap_is_wider_than_the_posterior"),
    ),
    Mutant(
        "noise-of-its-own",
        _GAP,
        'with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):',
        "if True:",
        _tests("gap", "gap_of_a_conditional_model_and_its_random_numbers"),
    ),
    Mutant(
        "labels-lost-in-the-gap",
        _GAP,
        "iwae_bound(model, x, samples, wide.q(detach=True), y)",
        "iwae_bound(model, x, samples, wide.q(detach=True))",
        _tests("gap", "gap_of_a_conditional_model_and_its_random_numbers"),
    ),
    # Models
    Mutant(
        "always-class-zero",
        _VAE,
        "y = torch.as_tensor(y, device=self._zero.device)",
        "y = 0 * torch.as_tensor(y)",
        _CLASS,
    ),
    Mutant(
        "labels-as-masks",
        "gdm_core/validate.py",
        "y.dtype != torch.bool",
        "True",
        _tests("vae", "labels_that_do_not_fit_are_refused_in_words"),
    ),
    Mutant("units-without-effect", _VAE, 'if hidden is not None and network == "conv":', "if False:", _OPTIONS),
    Mutant(
        "q-no-narrower-than-a-tenth",
        _VAE,
        "LOG_STD = (-10.0, 10.0)",
        "LOG_STD = (-2.0, 10.0)",
        _tests("vae", "a_posterior_may_be_narrow_and_hidden_layers_are_mirrored"),
    ),
    Mutant(
        "decoder-not-mirrored",
        _VAE,
        "tuple(hidden)[::-1]",
        "tuple(hidden)",
        _tests("vae", "a_posterior_may_be_narrow_and_hidden_layers_are_mirrored"),
    ),
    Mutant(
        "rectified-pictures",
        _NETWORKS,
        "self.net = nn.Sequential(*layers[:-1])",
        "self.net = nn.Sequential(*layers)",
        _tests("networks", "pictures_of_a_convolutional_decoder_have_both_signs"),
    ),
    Mutant(
        "all-codes-revived-on-one", _VQ, "torch.randperm(len(features)", "0 * torch.randperm(len(features)", _REVIVED
    ),
    Mutant(
        "revived-with-replacement",
        _VQ,
        "order = torch.randperm(len(features), device=features.device)",
        "order = torch.randint(len(features), (len(features),), device=features.device)",
        _REVIVED,
    ),
    Mutant("probe-that-trains", _VQ, "    model.encoder.eval()\n", "", _BUILT),
    Mutant(
        "probe-that-leaves-no-training",
        _VQ,
        "        module.training = training\n    return grid",
        "        pass\n    return grid",
        _BUILT,
    ),
    Mutant(
        "codes-as-masks",
        _VQ,
        "self._entries(codes.long())",
        "self._entries(codes)",
        _tests("vqvae", "codes_of_any_integer_type_and_the_fixed_noise"),
    ),
    Mutant(
        "codebook-as-wide-as-its-entries",
        _VQ,
        "/ width**0.5",
        "* width**0.5",
        _tests("vqvae", "entries_start_about_as_long_as_one_whatever_their_width"),
    ),
    Mutant(
        "labels-one-too-few-offered",
        _NETWORKS,
        "labels={int(y.max()) + 1} when the model",
        "labels={int(y.max())} when the model",
        _tests("vae", "labels_reach_encoder_and_decoder"),
    ),
    # Likelihoods
    Mutant(
        "std-replaced-in-silence",
        _LIKELIHOODS,
        'if not 1e-3 <= positive("std", std) <= 1e3:',
        'if not positive("std", std):',
        _tests("likelihoods", "a_std_that_would_be_replaced_is_refused"),
    ),
    Mutant(
        "bins-of-rounded-width",
        _LIKELIHOODS,
        "width = 2 * half * rate",
        "width = b - a",
        _tests("likelihoods", "logistic_bins_keep_their_width_in_float32"),
    ),
    Mutant(
        "start-ten-times-as-wide",
        _LIKELIHOODS,
        "start = math.log(0.1)",
        "start = math.log(1.0)",
        _tests("likelihoods", "discretized_starts_at_a_tenth_of_the_range"),
    ),
    # Directions, maps, scores
    Mutant(
        "rank-taken-on-trust",
        _LATENT,
        "basis = U[:, size > size.max()",
        "basis = U[:, size > -size.max()",
        _tests("latent", "what_is_removed_may_depend_on_itself"),
    ),
    Mutant(
        "attribute-cut-at-one",
        _LATENT,
        "or not np.isin(values, (0, 1)).all()",
        "",
        _tests("latent", "attributes_that_are_not_two_classes_are_refused"),
    ),
    Mutant(
        "accuracy-of-what-was-fitted",
        _LATENT,
        "accuracy = cross_val_score(classifier, codes, labels, cv=5).mean()",
        "accuracy = classifier.fit(codes, labels).score(codes, labels)",
        _tests("latent", "accuracy_is_of_codes_that_were_not_fitted"),
    ),
    Mutant(
        "scale-of-the-source",
        _LATENT,
        "spread = (a @ turn).square().sum()",
        "spread = a.square().sum()",
        _tests("latent", "no_other_scale_suits_procrustes_better"),
    ),
    Mutant(
        "not-a-number-scored",
        _SCORES,
        "if not torch.isfinite(values).all():",
        "if False:",
        _tests("latent", "scores_refuse_what_is_not_finite_or_does_not_vary"),
    ),
    Mutant(
        "held-out-from-the-start",
        _SCORES,
        "np.random.default_rng(seed).permutation(len(z))",
        "np.arange(len(z))",
        _tests("latent", "held_out_examples_are_drawn_from_all"),
    ),
    # Training
    Mutant(
        "validation-may-be-anything",
        "gdm_core/train.py",
        '                finite("validation loss", held_out, held_out, step - 1, optimizer, rates)\n',
        "",
        _tests("train", "a_validation_loss_that_is_not_finite_ends_the_run"),
    ),
]
