"""Faults of energies and scores: signs, square roots, levels, chains that stand still."""

from mutants.plant import Mutant

_MCMC, _MATCHING = "gdm_core/mcmc.py", "gdm_core/score_matching.py"
_EBM, _SCORE, _TARGETS = "gdm_core/models/ebm.py", "gdm_core/models/score.py", "gdm_core/data/targets.py"
_HAND, _WIDE = "mcmc::a_move_by_hand", "mcmc::langevin_ends_as_wide_as_its_step_says"
_TAKEN, _ANNEALED = "mcmc::a_move_is_taken_or_refused_as_a_whole", "mcmc::annealed_moves_are_as_large_as_their_level"
_REFUSED = "mcmc::settings_that_cannot_be_are_refused_at_the_call"
_IMPLICIT, _SLICED = (
    "score_matching::implicit_is_explicit_less_a_constant",
    "score_matching::sliced_along_all_axes_is_implicit",
)
_DENOISING = "score_matching::denoising_is_explicit_for_the_blurred_density"
_EACH = "score_matching::denoising_with_a_level_each_and_pictures"
_BEGIN, _MOVES = "ebm::where_the_chains_begin", "ebm::a_step_moves_as_many_kept_chains_as_it_has_examples"
_BOWL, _FALLS = "ebm::before_training_it_is_a_gaussian", "ebm::the_loss_falls_where_energy_of_data_falls"
_LEVEL, _ASKS = "score::the_score_at_a_level_is_that_of_its_denoiser", "score::every_level_asks_the_same_of_the_network"
_NORMAL, _NOISY = (
    "score::what_the_network_adds_to_the_blurred_normal",
    "score::a_mixture_with_noise_is_the_mixture_of_noisy_data",
)


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    ids = [t if t.startswith("tests/") else "tests/test_{}.py::test_{}".format(*t.split("::")) for t in tests]
    return Mutant(f"energy-{name}", file, old, new, " ".join(ids))


def _contract(name: str, demo: str) -> str:
    return f"tests/test_contracts.py::test_{name}[{demo}]"


MUTANTS = [
    # Chains
    _plant(
        _EBM,
        "undone-in-the-order-done",
        "for index, places in reversed(self.overwritten):",
        "for index, places in self.overwritten:",
        "ebm::a_chain_that_moved_twice_is_put_back_where_it_stood_at_first",
    ),
    _plant(
        _MCMC,
        "langevin-without-root",
        "state + size * score(state).detach() + math.sqrt(2 * size * heat) *",
        "state + size * score(state).detach() + 2 * size * heat *",
        _HAND,
        _WIDE,
    ),
    _plant(
        _MCMC,
        "langevin-with-half-the-noise",
        "state + size * score(state).detach() + math.sqrt(2 * size * heat) *",
        "state + size * score(state).detach() + math.sqrt(size * heat) *",
        _HAND,
        _WIDE,
    ),
    _plant(
        _MCMC,
        "langevin-uphill-in-energy",
        "state + size * score(state).detach()",
        "state - size * score(state).detach()",
        _HAND,
    ),
    _plant(
        _MCMC,
        "langevin-hotter-than-told",
        "score(state).detach() + math.sqrt(2 * size * heat)",
        "score(state).detach() + math.sqrt(2 * size) * heat",
        _HAND,
    ),
    _plant(
        _MCMC,
        "langevin-without-its-start",
        "        state = x.detach()\n        yield state\n        for i in turns:\n            state = _finite(",
        "        state = x.detach()\n        for i in turns:\n            state = _finite(",
        _HAND,
    ),
    _plant(
        _MCMC,
        "score-of-the-energy",
        "return -torch.autograd.grad(energy(x)",
        "return torch.autograd.grad(energy(x)",
        "mcmc::a_score_by_autograd_can_be_differentiated_again",
        _contract("the_score_is_the_gradient_of_the_log_density", "ebm-kept"),
    ),
    _plant(
        _MCMC,
        "score-with-a-dead-end",
        "create_graph=further",
        "create_graph=False",
        "mcmc::a_score_by_autograd_can_be_differentiated_again",
    ),
    _plant(_MCMC, "corrected-without-the-way-back", "+ (there - back) / (4 * size)) / heat", ") / heat", _TAKEN),
    _plant(_MCMC, "corrected-with-ways-exchanged", "(there - back)", "(back - there)", _TAKEN),
    _plant(
        _MCMC,
        "corrected-with-the-old-pull-on-the-way-back",
        "(state - moved - size * pull_there)",
        "(state - moved - size * pull)",
        _TAKEN,
    ),
    _plant(_MCMC, "corrected-takes-what-is-worse", "(level - level_there +", "(level_there - level +", _TAKEN),
    _plant(
        _MCMC,
        "corrected-forgets-its-temperature",
        "/ (4 * size)) / heat",
        "/ (4 * size))",
        "mcmc::corrected_chains_end_where_they_should_with_any_step",
    ),
    _plant(
        _MCMC,
        "corrected-keeps-a-stale-energy",
        "            level = torch.where(taken, level_there, level)\n",
        "",
        "mcmc::corrected_chains_end_where_they_should_with_any_step",
    ),
    _plant(
        _MCMC,
        "corrected-decides-for-each-pixel",
        "wide = taken.reshape(",
        "wide = torch.rand_like(x).log() < log_ratio.reshape(",
        "mcmc::pictures_are_taken_or_refused_one_by_one",
    ),
    _plant(_MCMC, "annealed-with-one-step-size", "size * sigma**2, steps", "size, steps", _ANNEALED),
    _plant(_MCMC, "annealed-with-sigma-for-its-square", "size * sigma**2, steps", "size * sigma, steps", _ANNEALED),
    _plant(
        _MCMC,
        "annealed-asks-for-the-first-level",
        "torch.tensor(sigma, dtype",
        "torch.tensor(levels[0], dtype",
        _ANNEALED,
    ),
    _plant(
        _MCMC,
        "annealed-starts-again-at-each-level",
        "chain = langevin(at, state,",
        "chain = langevin(at, x,",
        _ANNEALED,
    ),
    _plant(_MCMC, "annealed-repeats-its-noise", "noise(first + i)", "noise(i)", _ANNEALED),
    _plant(_MCMC, "levels-that-rise", "a <= b for a, b", "a < b - 1e9 for a, b", _REFUSED),
    _plant(
        _MCMC,
        "sweep-that-sees-old-places",
        "toss[:, i] < conditional(state, i)",
        "toss[:, i] < conditional(x, i)",
        "mcmc::a_sweep_sees_what_it_changed",
    ),
    _plant(
        _MCMC,
        "heat-bath-turned",
        "(toss[:, i] < conditional",
        "(toss[:, i] > conditional",
        "mcmc::a_sweep_sees_what_it_changed",
    ),
    _plant(
        _MCMC,
        "sweeps-write-over-the-last-state",
        "state = state.clone()",
        "state = state",
        "mcmc::a_sweep_sees_what_it_changed",
    ),
    # Score matching
    _plant(
        _MATCHING,
        "implicit-less-its-trace",
        "return _half_square(s) + trace",
        "return _half_square(s) - trace",
        _IMPLICIT,
    ),
    _plant(
        _MATCHING,
        "implicit-sums-the-whole-jacobian",
        ".flatten(1)[:, i] for i in",
        ".flatten(1).sum(1) for i in",
        _IMPLICIT,
    ),
    _plant(_MATCHING, "sliced-without-the-second-v", "x) * v).flatten", "x) * 1).flatten", _SLICED),
    _plant(
        _MATCHING, "sliced-less-its-slope", "return _half_square(s) + along", "return _half_square(s) - along", _SLICED
    ),
    _plant(_MATCHING, "denoising-without-one-over-sigma", "+ noise / sigma)", "+ noise)", _DENOISING, _EACH),
    _plant(_MATCHING, "denoising-over-sigma-squared", "+ noise / sigma)", "+ noise / sigma**2)", _DENOISING, _EACH),
    _plant(_MATCHING, "denoising-toward-the-noise", "+ noise / sigma)", "- noise / sigma)", _DENOISING, _EACH),
    _plant(_MATCHING, "denoising-asked-at-the-clean-data", "score(x + sigma * noise)", "score(x)", _DENOISING, _EACH),
    _plant(_MATCHING, "loss-not-halved", "sum(1) / 2", "sum(1)", _EACH, _IMPLICIT),
    _plant(
        _MATCHING,
        "explicit-forgets-the-truth",
        "score(x) - truth)",
        "score(x))",
        "score_matching::at_the_truth_the_explicit_loss_is_zero",
    ),
    # The energy model
    _plant(
        _EBM,
        "energy-of-the-chains-less-that-of-the-data",
        "return self.energy(x).mean() - self.energy(moved).mean()",
        "return self.energy(moved).mean() - self.energy(x).mean()",
        _FALLS,
        _BEGIN,
    ),
    _plant(_EBM, "chains-never-refreshed", "self.chains.write(index, moved)", "pass", _MOVES),
    _plant(
        _EBM,
        "chains-that-keep-their-start",
        "self.chains.write(index, moved)",
        "self.chains.write(index, begin)",
        _FALLS,
    ),
    _plant(
        _EBM,
        "chains-always-new",
        "begin[anew] = self._noise(int(anew.sum()))",
        "begin = self._noise(len(begin))",
        _BEGIN,
    ),
    _plant(
        _EBM,
        "same-chains-always",
        "torch.randperm(len(self.chains.places), device=x.device)[: len(x)]",
        "torch.arange(len(x), device=x.device)",
        "ebm::every_kept_chain_has_its_turn",
    ),
    _plant(_EBM, "chains-never-reborn", "begin[anew] = self._noise(int(anew.sum()))", "pass", _BEGIN),
    _plant(_EBM, "noise-starts-at-the-data", 'if self.start == "noise":', 'if self.start == "none":', _BEGIN),
    _plant(_EBM, "bowl-without-its-half", "/ (2 * self.width**2)", "/ self.width**2", _BOWL),
    _plant(_EBM, "bowl-upside-down", "return f[:, 0] + x", "return f[:, 0] - x", _BOWL),
    _plant(_EBM, "noise-of-unit-width", "return self.width * torch.randn(n,", "return torch.randn(n,", _BEGIN),
    _plant(
        _EBM,
        "a-constant-that-nothing-teaches",
        '            self.network.net[-1].register_parameter("bias", None)',
        "            pass",
        _contract("loss_is_a_scalar_that_reaches_every_parameter", "ebm-kept"),
        _BOWL,
    ),
    _plant(
        _EBM,
        "chains-forget-what-was-there",
        "in reversed(self.overwritten)",
        "in self.overwritten",
        "undo::chains_put_back_the_rows_of_a_failed_step",
    ),
    # The score at every level
    _plant(
        _SCORE,
        "score-of-the-wrong-level",
        "t = (sigma / self.largest) ** (1 / 3)\n        return",
        "t = (sigma / self.largest) ** (1 / 2)\n        return",
        _LEVEL,
    ),
    _plant(
        _SCORE,
        "level-told-by-sigma",
        "t = (sigma / self.largest) ** (1 / 3)\n        return denoising.score(self.denoise(x, t)",
        "t = (sigma / self.largest) ** (1 / 3)\n        return denoising.score(self.denoise(x, sigma)",
        _LEVEL,
        _NORMAL,
    ),
    _plant(_SCORE, "input-not-scaled-back", "return x_t / c**2 + sigma", "return x_t / c + sigma", _NORMAL),
    _plant(_SCORE, "network-heard-too-loud", "sigma / c * told", "sigma * told", _NORMAL),
    _plant(_SCORE, "levels-weighed-alike", "(sigma**2 * (1 + sigma**2) * loss)", "loss", _ASKS),
    _plant(
        _SCORE,
        "loss-of-another-level",
        "self.score_at(x_t, sigma), x, sigma)",
        "self.score_at(x_t, sigma.flip(0)), x, sigma)",
        _ASKS,
    ),
    _plant(_SCORE, "schedule-runs-straight", "self.largest * t**3", "self.largest * t", _LEVEL, _ASKS),
    # A mixture with noise
    _plant(
        _TARGETS, "noisy-adds-stds", "((alpha * self.std) ** 2 + sigma**2).sqrt()", "alpha * self.std + sigma", _NOISY
    ),
    _plant(
        _TARGETS,
        "noisy-forgets-its-noise",
        "std = ((alpha * self.std) ** 2 + sigma**2).sqrt()",
        "std = alpha * self.std",
        _NOISY,
    ),
    _plant(_TARGETS, "noisy-means-that-do-not-shrink", "Mixture(alpha * self.means", "Mixture(self.means", _NOISY),
]
