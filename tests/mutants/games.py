"""Faults of games: signs, whose turn it is, what is reused, what is looked at."""

from mutants.plant import Mutant

_GAME, _RULES = "gdm_core/games/game.py", "gdm_core/games/dynamics.py"
_LINEAR, _PLAY, _CLASSIC = "gdm_core/games/linear.py", "gdm_core/games/play.py", "gdm_core/games/classic.py"
_OTHERS = "tests/test_dynamics_curved.py::"
_MOVES, _RADIUS = "test_a_step_looks_at_one_batch_a_move", "test_radius_of_each_rule_on_xy"
_ONE, _LEAVES = "test_three_ways_to_play_are_one", "test_a_game_that_leaves_says_where"
_CURVED = f"{_OTHERS}test_rules_on_a_curved_game_against_their_equations"
_MEMORY = f"{_OTHERS}test_rules_with_a_memory_against_loops"
_FIELD = f"{_OTHERS}test_field_and_its_products_against_differences"
_DIRAC, _PULLS = f"{_OTHERS}test_eigenvalues_of_the_dirac_gan", f"{_OTHERS}test_pulls_of_the_dirac_gan"
_R1 = f"{_OTHERS}test_r1_is_the_mean_squared_slope_and_reaches_the_critic"
_TRAINS, _NETWORKS = (
    f"{_OTHERS}test_a_gan_plays_here_as_it_trains_there",
    f"{_OTHERS}test_one_object_plays_two_networks",
)


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    ids = (t if "::" in t else f"tests/test_dynamics.py::{t}" for t in tests)
    return Mutant(f"games-{name}", file, old, new, " ".join(ids))


def _bench(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(
        f"games-{name}", "gdm_core/explorers/ch07_game_bench.py", old, new, f"tests/test_game_bench.py::{test}"
    )


MUTANTS = [
    # Rules
    _plant(
        _RULES,
        "extragradient-that-reuses-the-old-gradient",
        "game.field(ahead, game.draw() if fresh else batch), None",
        "game.field(w, game.draw() if fresh else batch), None",
        _RADIUS,
        _CURVED,
    ),
    _plant(
        _RULES,
        "extragradient-that-goes-on-from-ahead",
        "return w + rates(game, lr, w) * game.field(ahead,",
        "return ahead + rates(game, lr, w) * game.field(ahead,",
        _RADIUS,
    ),
    _plant(
        _RULES,
        "second-batch-never-drawn",
        "game.field(ahead, game.draw() if fresh else batch)",
        "game.field(ahead, batch)",
        "test_one_batch_or_two_in_extragradient",
    ),
    _plant(
        _RULES,
        "second-batch-always-drawn",
        "game.field(ahead, game.draw() if fresh else batch)",
        "game.field(ahead, game.draw())",
        "test_one_batch_or_two_in_extragradient",
    ),
    _plant(
        _RULES,
        "alternating-that-is-simultaneous",
        "for i in turns:\n            v = game.field(w,",
        "start = w\n        for i in turns:\n            v = game.field(start,",
        _RADIUS,
        _CURVED,
    ),
    _plant(
        _RULES,
        "first-player-moves-twice",
        "for i in (0, 1) for _ in range(integer(",
        "for i in (0, 0) for _ in range(integer(",
        _CURVED,
    ),
    _plant(_RULES, "turns-the-other-way-round", "for i in (0, 1) for _", "for i in (1, 0) for _", _CURVED, _TRAINS),
    _plant(
        _RULES,
        "moves-of-the-other-player",
        'integer("moves", moves[i])',
        'integer("moves", moves[1 - i])',
        _CURVED,
        _TRAINS,
    ),
    _plant(
        _RULES,
        "momentum-sign",
        "m = v if memory is None else beta * memory + v",
        "m = v if memory is None else v - beta * memory",
        _MEMORY,
        "test_thresholds_and_optima",
    ),
    _plant(_RULES, "momentum-sign-in-turns", "mine * (beta * m + v)", "mine * (v - beta * m)", _RADIUS),
    _plant(_RULES, "momentum-of-both-in-one-turn", "(1 - mine) * m + mine * (beta * m + v)", "beta * m + v", _RADIUS),
    _plant(_RULES, "optimism-backwards", "(2 * v - before), v", "(2 * before - v), v", _RADIUS, _MEMORY),
    _plant(_RULES, "optimism-without-memory", "(2 * v - before), v", "(2 * v - before), before", _RADIUS, _MEMORY),
    _plant(_RULES, "consensus-without-its-gradient", "(v - gamma * game.vjp(w, v, batch))", "v", _RADIUS, _CURVED),
    _plant(
        _RULES,
        "consensus-climbs",
        "(v - gamma * game.vjp(w, v, batch))",
        "(v + gamma * game.vjp(w, v, batch))",
        _RADIUS,
        _CURVED,
    ),
    _plant(
        _RULES,
        "consensus-by-the-jacobian-itself",
        "gamma * game.vjp(w, v, batch)",
        "gamma * game.jvp(w, v, batch)",
        _RADIUS,
    ),
    _plant(
        _RULES,
        "proximal-sign",
        "missing = w + rate * game.field(new, batch) - new",
        "missing = w - rate * game.field(new, batch) - new",
        _CURVED,
    ),
    _plant(
        _RULES,
        "proximal-after-one-try",
        "for _ in range(30):",
        "for _ in range(1):",
        _CURVED,
    ),
    _plant(
        _RULES,
        "newton-that-never-says-so",
        '    raise bad("a step that Newton\'s method finds",',
        '    return new\n    raise bad("a step that Newton\'s method finds",',
        "test_newton_that_does_not_settle_says_so",
    ),
    _plant(
        _RULES,
        "midpoint-that-stops-half-way",
        "return lambda game, w, memory: (2 * _implicit(",
        "return lambda game, w, memory: (w + _implicit(",
        _RADIUS,
    ),
    _plant(_RULES, "competitive-that-sees-all-of-J", "batch, across=True), None", "batch), None", _CURVED),
    _plant(
        _RULES,
        "lookahead-that-keeps-the-fast-weights",
        "return w + alpha * (fast - w), memory",
        "return fast, memory",
        _RADIUS,
        _MEMORY,
    ),
    _plant(_RULES, "lookahead-that-restarts-its-memory", "rule(game, fast, memory)", "rule(game, fast, None)", _MEMORY),
    _plant(
        _RULES, "heun-that-is-euler", "(v + game.field(w + rate * v, batch)), None", "(v + v), None", _RADIUS, _CURVED
    ),
    _plant(_RULES, "runge-kutta-weights", "(a + 2 * b + 2 * c + d)", "(a + b + c + 3 * d)", _RADIUS, _CURVED),
    _plant(
        _RULES,
        "clip-of-the-first-player",
        "torch.where(second, w.clamp",
        "torch.where(~second, w.clamp",
        _PULLS,
        _CURVED,
    ),
    # Games
    _plant(
        _GAME,
        "ascent-sign",
        "return two_losses(f, lambda *inputs: -f(*inputs), x, y, draw)",
        "return two_losses(f, lambda *inputs: f(*inputs), x, y, draw)",
        _FIELD,
        _ONE,
    ),
    _plant(
        _GAME,
        "descent-sign",
        "            return [-g for g in grads]",
        "            return list(grads)",
        _FIELD,
        _NETWORKS,
    ),
    _plant(
        _GAME,
        "step-sizes-in-float32",
        "return w.new_full((sum(game.sizes),), lr)",
        "return torch.full((sum(game.sizes),), lr).to(w)",
        _RADIUS,
    ),
    _plant(
        _GAME,
        "step-sizes-exchanged",
        "for n, rate in zip(game.sizes, lr)",
        "for n, rate in zip(game.sizes, lr[::-1])",
        _CURVED,
        _NETWORKS,
    ),
    _plant(
        _GAME,
        "jacobian-blind-to-detached-samples",
        "with Attached() if graph else contextlib.nullcontext():",
        "with contextlib.nullcontext():",
        f"{_OTHERS}test_the_jacobian_sees_through_detached_samples",
    ),
    _plant(
        _GAME,
        "state-with-a-graph",
        "torch.cat([p.detach().flatten() for p in self.parameters])",
        "torch.cat([p.flatten() for p in self.parameters])",
        f"{_OTHERS}test_every_rule_moves_a_gan",
    ),
    _plant(
        _GAME,
        "noise-anew-at-every-look",
        "                torch.manual_seed(seed)\n",
        "                torch.seed()\n",
        f"{_OTHERS}test_one_batch_is_one_draw_of_the_noise_inside_the_losses",
    ),
    _plant(
        _GAME,
        "noise-that-moves-everybodys",
        "with torch.random.fork_rng(devices=set(cards)):",
        "with contextlib.nullcontext():",
        f"{_OTHERS}test_one_batch_is_one_draw_of_the_noise_inside_the_losses",
    ),
    _plant(
        _GAME,
        "across-that-is-own",
        "of, move = (self.players[1 - i], moves[1 - i])",
        "of, move = (self.players[i], moves[i])",
        _FIELD,
        _CURVED,
    ),
    _plant(_GAME, "both-answer-for-one", "if i in who else", "if True else", _FIELD),
    _plant(
        _GAME,
        "frozen-parameters-move",
        "[p for p in own if p.requires_grad] for own in players",
        "list(own) for own in players",
        _NETWORKS,
        "test_bad_input_is_refused_in_words",
    ),
    _plant(_GAME, "solver-that-stops-at-once", "or H[k + 1, k] <= 10 * eps:", "or True:", _FIELD),
    _plant(
        _GAME,
        "shared-parameters-taken",
        "if len({id(p) for p in self.parameters}) < len(self.parameters):",
        "if False:",
        "test_bad_input_is_refused_in_words",
    ),
    # Linear games, eigenvalues
    _plant(
        _LINEAR,
        "eigenvalues-of-the-other-sign",
        "return torch.linalg.eigvals(step_matrix(rule, game))",
        "return torch.linalg.eigvals(2 * torch.eye(len(step_matrix(rule, game))).to(game.J) - step_matrix(rule, game))",
        _RADIUS,
    ),
    _plant(
        _LINEAR, "field-transposed", "v = self._times(w, self.J, batch)", "v = self._times(w, self.J.mT, batch)", _ONE
    ),
    _plant(
        _LINEAR,
        "jacobian-transposed",
        "return Linear(torch.stack(columns, 1), game.sizes)",
        "return Linear(torch.stack(columns, 0), game.sizes)",
        _FIELD,
    ),
    _plant(
        _LINEAR,
        "memory-left-out-of-the-matrix",
        "memory = rule(still, none, None)[1] is not None",
        "memory = False",
        _RADIUS,
    ),
    _plant(_LINEAR, "smallest-eigenvalue", ".abs().max().item()", ".abs().min().item()", _RADIUS),
    _plant(_LINEAR, "powers-not-squared", "known + new, M @ M", "known + new, M", _ONE),
    _plant(
        _LINEAR,
        "linearize-that-moves-the-game",
        "        game.put(now)\n    return",
        "        pass\n    return",
        _FIELD,
    ),
    _plant(
        _LINEAR,
        "noise-forgotten-in-a-solve",
        "J = torch.as_tensor(xi).to(J)[..., None, None] * J",
        "pass",
        "test_one_batch_or_two_in_extragradient",
    ),
    # Playing
    _plant(
        _PLAY,
        "left-one-step-late",
        "return Path(torch.stack(states or [w]), len(states))",
        "return Path(torch.stack(states or [w]), len(states) + 1)",
        _LEAVES,
    ),
    _plant(_PLAY, "state-that-is-not-finite", "if not torch.isfinite(new).all():", "if False:", _LEAVES),
    _plant(
        _PLAY,
        "stopped-half-way",
        "            finally:\n                game.put(w)\n",
        "            finally:\n                pass\n",
        "test_a_stopped_game_is_at_the_last_state",
    ),
    # The Dirac-GAN, R1
    _plant(
        _CLASSIC,
        "critic-that-calls-samples-real",
        "cost.critic(psi * e, psi * (theta + e))",
        "cost.critic(psi * (theta + e), psi * e)",
        _PULLS,
        _DIRAC,
    ),
    _plant(_CLASSIC, "noise-on-samples-alone", "cost.critic(psi * e,", "cost.critic(0 * psi * e,", _DIRAC),
    _plant(_CLASSIC, "target-of-the-penalty", "2 * target * psi.abs()", "target * psi.abs()", _PULLS),
    _plant(_CLASSIC, "penalty-of-the-slope-not-squared", "slopes(critic(x), x).square()", "slopes(critic(x), x)", _R1),
    _plant(
        _CLASSIC, "penalty-that-feeds", "[1.0, -_gamma(gamma)]", "[1.0, _gamma(gamma)]", "test_thresholds_and_optima"
    ),
    # The bench
    _bench(
        "growth-that-is-the-smallest",
        "foretold = float(np.abs(values).max())",
        "foretold = float(np.abs(values).min())",
        "test_growth_predicted_and_measured",
    ),
    _bench(
        "growth-of-one-step-less",
        "** (1 / step) if step",
        "** (1 / (step + 1)) if step",
        "test_growth_predicted_and_measured",
    ),
    _bench(
        "noise-of-half-the-size",
        "1 + spread * noise(",
        "1 + 0.5 * spread * noise(",
        "test_noise_multiplies_the_pull_by_one_more_or_less",
    ),
    _bench(
        "circle-of-another-radius",
        "np.abs(values) < 1 - 1e-9",
        "np.abs(values) < 1.1",
        "test_eigenvalues_that_leave_look_other_than_those_that_arrive",
    ),
    _bench(
        "penalty-forgotten",
        'still = games.bilinear(torch.zeros(2, device=device), controls["gamma"])',
        "still = games.bilinear(torch.zeros(2, device=device))",
        "test_growth_predicted_and_measured",
    ),
    # What a reader who had not written it planted, and no test noticed
    _plant(
        _RULES,
        "heun-on-a-fresh-batch",
        "game.field(w + rate * v, batch))",
        "game.field(w + rate * v, game.draw()))",
        _MOVES,
    ),
    _plant(
        _RULES,
        "lookahead-forgets",
        "return w + alpha * (fast - w), memory",
        "return w + alpha * (fast - w), None",
        _MEMORY,
    ),
    _plant(
        _LINEAR,
        "step-size-of-the-other",
        "- rate[:, None] * J",
        "- rate[None, :] * J",
        "test_two_step_sizes_in_closed_form",
    ),
    _plant(
        _LINEAR,
        "noise-in-what-is-foretold",
        "return game if game.draw is nothing else Linear(game.J, game.sizes, game.start)",
        "return game",
        "test_what_is_foretold_has_no_noise",
    ),
    _plant(_PLAY, "many-that-stand-hide-one-that-leaves", "w.norm(dim=-1).max()", "w.norm(dim=-1).mean()", _LEAVES),
    _bench(
        "real-for-imaginary",
        "[values.real, values.imag], 1)",
        "[values.imag, values.real], 1)",
        "test_eigenvalues_that_leave_look_other_than_those_that_arrive",
    ),
    _bench(
        "road-in-nats",
        "seen = np.clip(np.log10(",
        "seen = np.clip(np.log(",
        "test_the_road_is_the_logarithm_of_the_distance",
    ),
    _bench(
        "noise-without-penalty",
        "games.bilinear(start, gamma, lambda",
        "games.bilinear(start, 0.0, lambda",
        "test_noise_is_as_large_as_it_says_and_leaves_the_penalty",
    ),
    _bench(
        "marker-where-it-was-foretold",
        "[[step, seen[step]]]",
        "[[step, line[step]]]",
        "test_the_road_is_the_logarithm_of_the_distance",
    ),
    _plant(
        _LINEAR,
        "transpose-without-the-batch",
        "return self._times(u, self.J.mT, batch)",
        "return self._times(u, self.J.mT, ())",
        "test_consensus_goes_down_the_pull_of_its_batch",
    ),
    _plant(
        _LINEAR,
        "noise-in-the-first-step-of-an-orbit",
        "rule(_still(game), together, None)",
        "rule(game, together, None)",
        "test_an_orbit_leaves_noise_out",
    ),
    _plant(_PLAY, "steps-counted-from-none", "before step {step + 1};", "before step {step};", _LEAVES),
    _bench(
        "slow-ones-stay",
        '" if abs(foretold - 1) < 1e-9',
        '" if abs(foretold - 1) < 1e-2',
        "test_growth_predicted_and_measured",
    ),
]
