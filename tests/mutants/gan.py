"""Faults of adversarial losses, penalties and cures: most were made by somebody, somewhere."""

from mutants.plant import Mutant

_GAN, _LOSSES, _NETWORKS = "gdm_core/models/gan.py", "gdm_core/adversarial.py", "gdm_core/networks.py"

_PENALTIES = "test_penalties_stand_where_they_should"
_PAYS = "test_what_the_generator_pays"
_TOLD = "test_both_players_are_told_the_label"
_LAYER = "test_a_layer_divided_by_its_norm"
_BEST = "test_the_best_critic_where_the_densities_are_p_and_q"
_REACHES = "tests/test_contracts.py::test_each_parameter_is_one_players_and_its_loss_reaches_it"
_FOLLOWS = "test_a_sample_that_follows_its_pull_costs_the_generator_less[{}]"
_ALONE = "test_who_goes_on_alone_is_the_one_that_was_asked"
_MIRRORS = "test_the_generator_mirrors_the_critic_whose_last_bias_goes_where_it_would_learn_nothing"
_PAYS_ALONE, _FIELD = "test_alone_it_pays_as_the_controls_say", "test_the_field_is_the_critic_at_the_place_of_the_pixel"
_DOTS = "test_dots_and_words_are_of_samples_and_of_data_as_the_hand_put_them"
_LIVE = "test_a_cure_changes_what_is_paid_while_one_trains"
_NOISE = "tests/test_contracts.py::test_samples_are_noise_under_the_map[gan-plane]"
_LEAVES = "tests/test_contracts.py::test_the_critics_loss_leaves_the_others_alone[gan-plane]"


def _gan(name: str, old: str, new: str, tests: str, file: str = _GAN) -> Mutant:
    return Mutant(name, file, old, new, " ".join(t if "/" in t else f"tests/test_gan.py::{t}" for t in tests.split()))


_INK = "test_a_drawing_is_drawn_from_by_its_ink_where_it_was_painted"
_MET, _EMPTY = "test_of_a_drawing_ink_is_counted_and_no_modes", "test_an_empty_sheet_is_refused_in_words"
_WIPED = "test_who_wipes_the_sheet_while_it_trains_keeps_the_last_data"
_ANEW = "test_another_drawing_moves_another_copy"
_SHEET = "test_a_button_that_places_modes_takes_the_sheet_away"


MUTANTS = [
    # Losses
    _gan("minimax-sign", "lambda x, g: -softplus(g))", "lambda x, g: softplus(g))", _PAYS, _LOSSES),
    _gan("non-saturating-sign", "lambda x, g: softplus(-g))", "lambda x, g: softplus(g))", _PAYS, _LOSSES),
    _gan(
        "critic-sees-samples-alone",
        "g: softplus(-x) + softplus(g), lambda x, g: -s",
        "g: softplus(g), lambda x, g: -s",
        "test_the_critic_is_a_classifier",
        _LOSSES,
    ),
    _gan("wasserstein-turned-round", "lambda x, g: g - x", "lambda x, g: x - g", _PAYS, _LOSSES),
    _gan("least-squares-without-target", "(g - 1) ** 2 / 2)", "g**2 / 2)", _PAYS, _LOSSES),
    _gan("hinge-of-the-wrong-side", "relu(1 - x) + relu(1 + g)", "relu(1 + x) + relu(1 - g)", _BEST, _LOSSES),
    _gan("hinge-without-margin", "relu(1 - x) + relu(1 + g)", "relu(-x) + relu(g)", _BEST, _LOSSES),
    _gan("relativistic-sign", "lambda x, g: softplus(x - g)", "lambda x, g: softplus(g - x)", _PAYS, _LOSSES),
    # Players
    _gan(
        "samples-not-detached",
        "with torch.no_grad():  # a graph",
        "with torch.enable_grad():  # a graph",
        _LEAVES,
    ),
    _gan(
        "players-swapped",
        '{"critic": list(self.critic.',
        '{"critic": list(self.generator.',
        f"{_REACHES}[gan-plane]",
    ),
    _gan(
        "data-taken-for-samples",
        "self.cost.critic(seen[0][0], seen[1][0])",
        "self.cost.critic(seen[1][0], seen[0][0])",
        _PENALTIES,
    ),
    _gan(
        "generator-without-gradient",
        "fake = self.logits(self.generate(",
        "fake = self.logits(self.sample(len(x), y) + 0 * self.generate(",
        f"{_REACHES}[gan-plane]",
    ),
    _gan(
        "map-called-decode",
        "    def sample(",
        "    decode = generate\n\n    def sample(",
        "tests/test_contracts.py::test_samples_are_noise_under_the_map[gan-plane]",
    ),
    _gan(
        "samples-of-another-noise",
        "self.generate(self.prior().sample((integer",
        "self.generate(2 * self.prior().sample((integer",
        "tests/test_contracts.py::test_samples_are_noise_under_the_map[gan-plane]",
    ),
    # Penalties
    _gan("slope-without-graph", "x, create_graph=True)", "x, retain_graph=True)", _PENALTIES, _LOSSES),
    _gan("slope-of-the-mean", "grad(logits.sum()", "grad(logits.mean()", _PENALTIES, _LOSSES),
    _gan(
        "penalty-at-the-data", "u * points[0] + (1 - u) * points[1]", "u * points[0] + (1 - u) * points[0]", _PENALTIES
    ),
    _gan("one-mixture-for-all", "u = torch.rand(n, *", "u = torch.rand(1, *", _PENALTIES),
    _gan(
        "r1-at-samples",
        "((self.r1 / 2, 0.0), (self.r2 / 2, 0.0),",
        "((self.r2 / 2, 0.0), (self.r1 / 2, 0.0),",
        _PENALTIES,
    ),
    _gan("slope-of-the-first-for-all", "(seen[i][1] - wanted)", "(seen[those[0]][1] - wanted)", _PENALTIES),
    _gan("r1-without-half", "((self.r1 / 2, 0.0)", "((self.r1, 0.0)", _PENALTIES),
    _gan("one-sided-for-none", "(self.gp, 1.0)", "(self.gp, 0.0)", _PENALTIES),
    # Cures
    _gan("norm-of-the-first-rows", "weight.flatten(1)\n", "weight[:, 0].flatten(1)\n", _LAYER),
    _gan("norm-squared", ".eigenvalues[-1].sqrt()", ".eigenvalues[-1]", _LAYER),
    _gan("smallest-singular-value", ".eigenvalues[-1]", ".eigenvalues[0]", _LAYER),
    _gan(
        "generator-normalized",
        "in self.critic.modules():",
        "in self.generator.modules():",
        "test_spectral_normalization_is_of_all_layers_of_the_critic",
    ),
    _gan(
        "clipped-before-the-step",
        "register_step_post_hook",
        "register_step_pre_hook",
        "test_weights_are_clipped_after_every_move",
    ),
    _gan(
        "clipped-on-one-side",
        "p.clamp_(-most, most)",
        "p.clamp_(max=most)",
        "test_weights_are_clipped_after_every_move",
    ),
    # Labels, pictures
    _gan("labels-of-others", "y.repeat(len(those))", "y.repeat_interleave(len(those))", _PENALTIES),
    _gan(
        "one-label-for-all",
        "return y.expand(lead).reshape(-1)",
        "return y.flatten()[:1].expand(lead).reshape(-1)",
        _TOLD,
        _NETWORKS,
    ),
    _gan(
        "gray-past-white",
        "x.sigmoid() if self.unit else x",
        "x",
        "test_pictures_lie_between_black_and_white_and_codes_keep_their_shape",
    ),
    _gan(
        "bias-that-learns-nothing",
        "critic is None and self.cost.differences",
        "False",
        "tests/test_contracts.py::test_each_parameter_is_one_players_and_its_loss_reaches_it",
    ),
    _gan(
        "pair-of-two-labels",
        "like=self._zero), y) if self.cost.pairs",
        "like=self._zero), y * 0) if self.cost.pairs",
        "test_a_pair_is_of_one_label",
    ),
    _gan(
        "slope-along-one-axis",
        "vector_norm(grad.flatten(1), dim=1)",
        "vector_norm(grad, dim=1).flatten(1).sum(1)",
        _PENALTIES,
        _LOSSES,
    ),
    _gan("generator-not-mirrored", "hidden[::-1], labels", "hidden, labels", _MIRRORS),
    _gan(
        "last-bias-always-dropped",
        "if critic is None and self.cost.differences:",
        "if critic is None:",
        _MIRRORS,
    ),
    Mutant(
        "modes-of-the-near-alone",
        "gdm_core/metrics/near.py",
        "* len(y) / len(means)).sum())",
        "* near.sum() / len(means)).sum())",
        "tests/test_metrics.py::test_modes_are_counted_where_a_loop_counts_them",
    ),
    Mutant(
        "modes-of-half-a-share",
        "gdm_core/metrics/near.py",
        "std: float, least: float = 0.1) -> Modes",
        "std: float, least: float = 0.5) -> Modes",
        "tests/test_metrics.py::test_modes_are_counted_where_a_loop_counts_them",
    ),
    _gan(
        "wide-noise",
        "Normal(self._zero, torch.ones_like(self._zero))",
        "Normal(self._zero, 2 * torch.ones_like(self._zero))",
        _MIRRORS,
    ),
    # The studio
    *(
        Mutant(f"studio-{name}", "gdm_core/explorers/ch08_gan_studio.py", old, new, f"tests/test_gan_studio.py::{test}")
        for name, old, new, test in (
            ("pull-uphill", "    return -slope\n", "    return slope\n", _FOLLOWS.format("minimax")),
            (
                "pull-without-the-data",
                "(gan.logits(real), gan.logits(at))",
                "(gan.logits(at), gan.logits(at))",
                _FOLLOWS.format("R3GAN"),
            ),
            ("both-go-on", 'for _ in range(told[f"{name}_alone"])', 'for _ in range(told["critic_alone"])', _ALONE),
            ("shared-copy", "twin = copy.deepcopy(gan)", "twin = gan", _ALONE),
            (
                "deaf-to-the-loss",
                'told = told | last\n        settle(gan, told["cure"])\n',
                "told = told | last\n",
                _LIVE,
            ),
            ("deaf-to-momentum", '["betas"] = (told["momentum"]', '["betas"] = (0.5 * told["momentum"]', _LIVE),
            ("penalty-that-stays", "(options.get(name, 0.0) for", "(options.get(name, gan.r1) for", _LIVE),
            (
                "data-of-one-mode",
                "torch.randint(len(centers), (n,)",
                "torch.randint(1, (n,)",
                "test_data_are_where_the_hand_put_the_modes",
            ),
            (
                "wide-data",
                "+ STD * torch.randn(n, 2",
                "+ 2 * STD * torch.randn(n, 2",
                "test_data_are_where_the_hand_put_the_modes",
            ),
            ("alone-deaf-to-the-loss", '    settle(twin, told["cure"])\n', "", _PAYS_ALONE),
            ("alone-deaf-to-momentum", 'LR, betas=(told["momentum"], 0.99)', "LR, betas=(0.5, 0.99)", _PAYS_ALONE),
            ("alone-on-the-ring", "(examples(told, BATCH", "(examples(OPENS, BATCH", _PAYS_ALONE),
            ("ink-not-weighed", "ink[places].cumsum(0)", "(ink[places] > 0).cumsum(0)", _INK),
            ("sheet-on-its-side", "pixel // SHEET, pixel % SHEET", "pixel % SHEET, pixel // SHEET", _INK),
            ("sheet-upside-down", "LIMIT - (row + within", "(row + within", _INK),
            ("in-the-corner-of-a-pixel", "column + within[:, 0]", "column + 0.5", _INK),
            ("counted-upside-down", "histogram2d(-x[:, 1]", "histogram2d(x[:, 1]", _MET),
            (
                "ink-met-without-weight",
                "drawing[count > 0].sum() / drawing.sum()",
                "(drawing[count > 0] > 0).mean()",
                _MET,
            ),
            ("the-drawing-hidden-on-the-map", '_map(laid, centers, "modes"', '_map(laid, centers[:8], "modes"', _MET),
            ("modes-of-a-drawing", '"modes" if told["data"] == MODES else "data"', '"modes"', _MET),
            ("empty-sheet-learned", 'if not told["drawing"].any():', "if False:", _EMPTY),
            ("empty-sheet-unsaid", 'paint here{still}" if blank', 'paint here{still}" if not blank', _EMPTY),
            ("moves-alone-on-nothing", "        if blank:", "        if False:", _EMPTY),
            ("wiped-and-stopped", 'if told["data"] == MODES or told["drawing"].any():', "if True:", _WIPED),
            ("old-drawing-forever", "told = told | last", "told = last | told", _WIPED),
            (
                "last-copy-of-another-drawing",
                '"momentum", "data", "target", "drawing"]',
                '"momentum", "target"]',
                _ANEW,
            ),
            ("buttons-leave-the-sheet", '"target": TARGETS[name], "data": MODES}', '"target": TARGETS[name]}', _SHEET),
            (
                "alone-with-everybodys-noise",
                "with kept.own_draws(seed, device), torch.enable_grad():",
                "with torch.enable_grad():",
                "test_alone_it_draws_numbers_of_its_own",
            ),
            ("map-cut-off", ".clamp(-9, 9)", ".clamp(-3, 3)", "test_the_map_is_that_of_straight_lines"),
            (
                "other-pairs-pulled",
                "real[:PULLED], fake[:PULLED])",
                "real[:PULLED], fake[:PULLED].flip(0))",
                _DOTS,
            ),
            (
                "modes-mirrored",
                'Points(centers, "data"',
                'Points(centers.flip(1), "data"',
                "test_the_map_is_that_of_straight_lines",
            ),
            (
                "minimax-unasked",
                '"loss", "non-saturating")',
                '"loss", "minimax")',
                "test_each_cure_is_what_it_is_called",
            ),
            ("field-turned", "reshape(CELLS, CELLS)", "reshape(CELLS, CELLS).T", _FIELD),
            ("modes-of-the-data", "metrics.modes(fake, centers", "metrics.modes(real, centers", _DOTS),
            ("data-of-the-samples-noise", "noise(1, SAMPLES, 2)", "noise(0, SAMPLES, 2)", _DOTS),
            ("arrows-on-the-data", "Arrows(fake[:PULLED]", "Arrows(real[:PULLED]", _DOTS),
            ("field-with-a-constant", "return D - D.mean()", "return D - D.min()", f"{_FIELD}[0-0]"),
            (
                "who-did-not-move-named",
                ' for name in gan.players() if told[f"{name}_alone"]}',
                " for name in gan.players()}",
                _DOTS,
            ),
            (
                "spectral-for-good",
                'module.on = "spectral" in options',
                "module.on = module.on or 'spectral' in options",
                "test_each_cure_is_what_it_is_called",
            ),
            ("k-of-the-opening", 'lambda: ask()["k"]', 'lambda: OPENS["k"]', _LIVE),
            ("half-a-map", "[rows, rows.flip(1)]", "[rows, rows]", "test_the_map_is_that_of_straight_lines"),
        )
    ),
]
