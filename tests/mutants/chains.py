"""Faults of chains of pixels and of Langevin's chains that no fast test noticed, until one was written."""

from mutants.plant import Mutant


def _plants(file: str, *faults: tuple[str, str, str, str]) -> list[Mutant]:
    """Of each fault its name, old, new and test, as file::function without what all share."""
    path = lambda t: "tests/test_{}.py::test_{}".format(*t.split("::"))
    return [Mutant(f"unseen-{name}", f"gdm_core/{file}", old, new, path(test)) for name, old, new, test in faults]


MUTANTS = [
    *_plants(
        "models/autoregressive.py",
        (
            "known-to-one-known-to-all",
            "known.flatten(1).all(0).tolist()",
            "known.flatten(1).any(0).tolist()",
            "autoregressive::completion_leaves_what_it_was_given_and_takes_any_layout",
        ),
    ),
    *_plants(
        "explorers/ch10_pixels.py",
        (
            "surest-all-at-once",
            "decoding.Confident(steps)",
            "decoding.Confident(1)",
            "pixels::surest_first_takes_as_many_turns_as_asked",
        ),
        (
            "hears-what-has-no-path",
            "(chain_sees(pixel) > 0)",
            "(chain_sees(pixel) >= 0)",
            "pixels::the_first_pixel_hears_nothing",
        ),
    ),
    *_plants(
        "causal/__init__.py",
        ("slopes-cancel", ".abs().mean(0)", ".mean(0).abs()", "causal::what_pulls_both_ways_is_heard"),
        (
            "label-of-nobody",
            "torch.full((n,), y, device=like.device)",
            "torch.zeros(n, dtype=torch.long, device=like.device)",
            "causal::what_pulls_both_ways_is_heard",
        ),
    ),
    *_plants(
        "causal/attention.py",
        (
            "dense-layer-in-place-of-what-comes-in",
            "return h + self.dense(self.dense_norm(h))",
            "return self.dense(self.dense_norm(h))",
            "causal::a_block_whose_layers_say_nothing_changes_nothing",
        ),
        (
            "one-block-for-all-layers",
            'nn.ModuleList(Block(width, heads) for _ in range(integer("layers", layers)))',
            'nn.ModuleList([Block(width, heads)] * integer("layers", layers))',
            "causal::each_layer_has_weights_of_its_own[Attention]",
        ),
    ),
    *_plants(
        "causal/convolution.py",
        ("reach-grows-by-one", "2**level", "level + 1", "causal::a_convolution_doubles_its_reach_with_each_layer[3]"),
    ),
    *_plants(
        "causal/inputs.py",
        ("names-rounded-down", ".round().long()", ".long()", "causal::every_name_keeps_its_place"),
    ),
    *_plants(
        "causal/pixels.py",
        (
            "symbols-of-other-colors",
            "// max(inputs.symbols, 1)",
            "% colors",
            "causal::a_color_hears_the_colors_before_it[4]",
        ),
        (
            "dropout-left-out",
            "self.out(self.drop(glu(to_h, 1)))",
            "self.out(glu(to_h, 1))",
            "causal::dropout_is_for_training",
        ),
        (
            "walk-with-gradients",
            "    @torch.no_grad()\n    def walk",
            "    def walk",
            "causal::a_wide_kernel_keeps_all_the_rows_that_it_reaches",
        ),
    ),
    *_plants(
        "decoding.py",
        (
            "order-without-its-generator",
            "generator=generator, device=device)",
            "device=device)",
            "masked::random_orders_follow_a_generator",
        ),
        (
            "decoding-past-the-last-value",
            ".sum(1).clamp_max(len(values) - 1)",
            ".sum(1)",
            "masked::u_of_one_is_the_last_value",
        ),
        (
            "known-pixels-paid-for",
            "known = torch.zeros_like(x, dtype=torch.bool) if known is None else known.expand_as(x).clone()",
            "known = torch.zeros_like(x, dtype=torch.bool)",
            "masked::what_was_there_before_is_not_paid_for",
        ),
    ),
    *_plants(
        "explorers/ch10_pixels.py",
        (
            "last-turn-never-shown",
            'controls["turn"] / (TURNS - 1)',
            'controls["turn"] / TURNS',
            "pixels::answers_fill_in_and_are_whole_at_the_last_turn",
        ),
        (
            "warning-always",
            'hide != "lower half" and hide != "all"',
            'hide != "lower half" or hide != "all"',
            "pixels::a_warning_where_the_chain_overlooks_what_is_known",
        ),
        (
            "known-pixels-on-the-bill",
            "chain.elementwise(x)[0][~known]",
            "chain.elementwise(x)[0][known]",
            "pixels::the_nats_are_those_of_the_true_rest",
        ),
        (
            "answers-in-negative",
            "torch.where(there, 1 - answers, _hidden(answers))",
            "torch.where(there, answers, _hidden(answers))",
            "pixels::answers_fill_in_and_are_whole_at_the_last_turn",
        ),
        (
            "normal-noise-as-uniform",
            "torch.special.ndtr(noise(press, ANSWERS, 1, SIDE, SIDE)).clamp",
            "noise(press, ANSWERS, 1, SIDE, SIDE).clamp",
            "pixels::answers_are_drawn_with_uniform_noise",
        ),
        (
            "one-by-one-is-together",
            "alone = bill.sum(), paid(digit, hide, order, count).sum()",
            "alone = bill.sum(), paid(digit, hide, order, steps).sum()",
            "pixels::the_nats_are_those_of_the_true_rest",
        ),
        (
            "frame-transposed",
            "row, column = divmod(pixel, SIDE)",
            "column, row = divmod(pixel, SIDE)",
            "pixels::the_frame_is_around_the_pixel_that_was_clicked",
        ),
    ),
    *_plants(
        "explorers/ch11_energy_landscape.py",
        (
            "walkers-gone-twice",
            ".abs() > LIMIT).any(1)",
            ".abs() > LIMIT).all(1)",
            "energy_explorers::walkers_outside_the_picture_are_counted_and_not_drawn",
        ),
    ),
    *_plants(
        "explorers/ch11_score_field.py",
        (
            "exact-arrows-as-learned",
            '("learned", "model", 1.8, lambda x: model.score_at(x, sigma)),',
            '("learned", "model", 1.8, noisy.score),',
            "energy_explorers::learned_arrows_point_as_the_network_says",
        ),
    ),
    *_plants(
        "explorers/pixel_models.py",
        ("codes-begin-anew-late", "<= 200", ">= 200", "pixels::codes_in_no_use_begin_anew_five_times_and_no_more"),
        (
            "any-order-learns-test-digits",
            '    digits = data.load("digits", device=device)\n    model = Masked',
            '    digits = data.load("digits", "test", device=device)\n    model = Masked',
            "pixels::models_learn_from_training_digits_alone[any_order]",
        ),
        (
            "chain-learns-test-digits",
            '    digits = data.load("digits", device=device)\n    family',
            '    digits = data.load("digits", "test", device=device)\n    family',
            "pixels::models_learn_from_training_digits_alone[pixel_chain]",
        ),
    ),
    *_plants(
        "mcmc.py",
        (
            "langevin-keeps-the-graph",
            "size * score(state).detach()",
            "size * score(state)",
            "mcmc::no_state_holds_on_to_the_network_behind_its_score",
        ),
    ),
    *_plants(
        "models/autoregressive.py",
        (
            "completion-in-the-callers-tensor",
            "self._fill(torch.where(known, x, 0), known",
            "self._fill(x, known",
            "autoregressive::completion_leaves_what_it_was_given_and_takes_any_layout",
        ),
        (
            "completion-of-a-copy",
            "x = x.contiguous()",
            "x = x + 0",
            "autoregressive::completion_leaves_what_it_was_given_and_takes_any_layout",
        ),
    ),
    *_plants(
        "models/ebm.py",
        (
            "chains-begin-narrow",
            "Chains(self.width * torch.randn",
            "Chains(torch.randn",
            "ebm::kept_chains_begin_as_wide_as_the_bowl",
        ),
    ),
    *_plants(
        "models/masked.py",
        (
            "unknown-names-looked-up",
            "self.inputs(torch.where(known, x, 0)[..., None])",
            "self.inputs(x[..., None])",
            "masked::what_is_unknown_may_hold_anything[True]",
        ),
        (
            "numbers-of-masks-by-chance",
            "(torch.randperm(n, device=x.device) + torch.rand(n, device=x.device)) / n",
            "torch.rand(n, device=x.device)",
            "masked::every_number_of_masked_elements_is_as_frequent",
        ),
        (
            "steps-ignored",
            "device=x.device), steps)",
            "device=x.device))",
            "masked::samples_take_as_many_turns_as_asked_and_the_noise_given",
        ),
        (
            "noise-ignored",
            "torch.rand_like(x) if noise is None else noise",
            "torch.rand_like(x)",
            "masked::samples_take_as_many_turns_as_asked_and_the_noise_given",
        ),
    ),
    *_plants(
        "models/score.py",
        (
            "sample-with-its-last-noise",
            "return self.denoise(x, t)\n\n\nclass",
            "return x\n\n\nclass",
            "score::a_sample_by_hand",
        ),
        (
            "levels-end-too-high",
            'max(integer("levels", levels) - 1, 1)',
            'integer("levels", levels)',
            "score::a_sample_by_hand",
        ),
        ("samples-begin-narrow", "x = self.largest * torch.randn", "x = torch.randn", "score::a_sample_by_hand"),
    ),
    *_plants(
        "quantiles.py",
        (
            "quantile-past-the-last-value",
            ".clamp_max(len(values) - 1)",
            "",
            "autoregressive::u_of_one_is_the_last_value",
        ),
    ),
    *_plants(
        "score_matching.py",
        (
            "directions-with-a-mean",
            "v = torch.randn_like(x) if v",
            "v = torch.rand_like(x) if v",
            "score_matching::directions_are_drawn_with_mean_zero_and_unit_covariance",
        ),
    ),
    *_plants(
        "unit_interval.py",
        (
            "tails-on-the-wrong-side",
            "mirror = a + b > 0",
            "mirror = a + b < 0",
            "autoregressive::cells_far_out_in_the_tails",
        ),
    ),
]
