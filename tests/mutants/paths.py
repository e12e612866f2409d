"""Faults of couplings and flow maps: lost marginals, derivatives that miss a term, goals that move, times not told."""

from mutants.plant import Mutant

_COUPLINGS, _MAP = "gdm_core/couplings.py", "gdm_core/models/flow_map.py"
_LOSS = "a_loss_is_the_squared_distance_to_a_goal_that_holds_still"
_EXACT, _SAMPLES = "the_exact_map_satisfies_all_four_identities", "samples_are_jumps_from_noise_to_data"
_FLOOR = "without_jumps_it_is_flow_matching_with_its_floor"
_ONCE, _BEST = "every_row_is_used_once", "optimal_is_the_best_of_all_permutations"
_TOLD = "a_jump_of_no_length_stays_and_both_times_are_told"
_KEEP = "entropic_pairs_keep_both_marginals"
_KERNEL = "entropic_pairs_have_a_density_of_products_times_a_gaussian_kernel"


def _ids(home: str, tests: tuple[str, ...]) -> str:
    return " ".join(f"tests/test_{home}.py::test_{t}" for t in tests)


def _couple(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"paths-{name}", _COUPLINGS, old, new, _ids("couplings", tests))


def _map(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"paths-{name}", _MAP, old, new, _ids("flow_map", tests))


MUTANTS = [
    # Couplings
    _couple(
        "nearest-in-place-of-a-permutation",
        "rows, columns = linear_sum_assignment(cost.cpu().numpy())",
        "columns = cost.argmin(1).numpy()",
        f"{_ONCE}[event0-optimal]",
    ),
    _couple(
        "examples-drawn-again",
        "    return x, noise[torch.from_numpy(columns).to(noise.device)]",
        "    return x[torch.from_numpy(columns)], noise[torch.from_numpy(columns)]",
        f"{_ONCE}[event0-optimal]",
    ),
    _couple(
        "order-the-wrong-way-round",
        "noise[torch.from_numpy(columns)",
        "noise[torch.from_numpy(columns).argsort()",
        _BEST,
    ),
    _couple("distance-not-squared", ".double()).square()", ".double())", _BEST),
    _couple(
        "worst-pairs",
        "linear_sum_assignment(cost.cpu().numpy())",
        "linear_sum_assignment(cost.cpu().numpy(), maximize=True)",
        _BEST,
    ),
    _couple(
        "reflow-keeps-the-data",
        "return _pairs(generate(noise), noise)",
        "generate(noise); return x, noise",
        "reflow_takes_noise_where_the_model_does_without_a_gradient",
    ),
    _couple(
        "reflow-with-a-gradient",
        "        with torch.no_grad():\n            return _pairs(generate",
        "        with torch.enable_grad():\n            return _pairs(generate",
        "reflow_takes_noise_where_the_model_does_without_a_gradient",
    ),
    _couple("bridge-with-sigma-squared-once", "sigma**4 * eye", "sigma**2 * eye", f"{_KERNEL}[4.0]"),
    _couple("bridge-loses-a-factor", "root(4 * half @ other", "root(2 * half @ other", f"{_KERNEL}[1.0]"),
    _couple("bridge-forgets-to-subtract", "left=False) - sigma**2 * eye) / 2", "left=False)) / 2", f"{_KERNEL}[1.0]"),
    _couple(
        "entropic-noise-too-wide",
        "rest = root(torch.eye(d, dtype=cov.dtype, device=cov.device) - gain @ cross)",
        "rest = root(torch.eye(d, dtype=cov.dtype, device=cov.device))",
        f"{_KEEP}[0.7]",
    ),
    _couple("entropic-off-center", "(x - mean.to(x)) @ gain", "x @ gain", f"{_KEEP}[0.7]"),
    _couple("floor-of-one-time", "weight * ((density", "((density", "floors_and_costs"),
    _couple(
        "floor-with-the-mean-squared-wrongly", "(mean**2 / np.maximum(mass, 1e-300))", "(mean**2)", "floors_and_costs"
    ),
    _couple(
        "ranks-from-zero", "special.betaln(k, pairs - k + 1)", "special.betaln(k, pairs - k + 2)", "floors_and_costs"
    ),
    _couple(
        "cost-of-unlike-widths", '1 + positive("s", s) ** 2 - 2 * s', '1 + positive("s", s) - 2 * s', "floors_and_costs"
    ),
    # Flow maps
    _map(
        "flow-matching-of-the-opposite-velocity",
        "return u(z, t, r) - v\n        if self.learns",
        "return u(z, t, r) + v\n        if self.learns",
        "without_jumps_it_is_flow_matching_with_its_floor",
    ),
    _map(
        "derivative-without-v-d-z",
        "return jvp(f, (z, t), (v, torch.ones_like(t)))",
        "return jvp(f, (z, t), (0 * v, torch.ones_like(t)))",
        _EXACT,
        f"{_LOSS}[meanflow]",
    ),
    _map(
        "derivative-without-d-t",
        "return jvp(f, (z, t), (v, torch.ones_like(t)))",
        "return jvp(f, (z, t), (v, torch.zeros_like(t)))",
        _EXACT,
        f"{_LOSS}[meanflow]",
    ),
    _map("meanflow-sign", "return v - beside(t - r, z) * along", "return v + beside(t - r, z) * along", _EXACT),
    _map(
        "stop-gradient-missing",
        "return average - (v - beside(t - r, z) * slope).detach()",
        "return average - (v - beside(t - r, z) * slope)",
        f"{_LOSS}[meanflow]",
    ),
    _map(
        "gradient-stopped-everywhere",
        "return average - (v - beside(t - r, z) * slope).detach()",
        "return average.detach() - (v - beside(t - r, z) * slope).detach()",
        f"{_LOSS}[meanflow]",
    ),
    _map(
        "shortcut-goal-moves",
        "with torch.no_grad():\n                goal = torch.where(same, v, shortcut",
        "with torch.enable_grad():\n                goal = torch.where(same, v, shortcut",
        f"{_LOSS}[shortcut]",
    ),
    _map(
        "shortcut-starts-again",
        "return (first + u(z - beside(t - q, z) * first, q, r)) / 2",
        "return (first + u(z, q, r)) / 2",
        _EXACT,
    ),
    _map(
        "shortcut-of-two-whole-steps",
        "return (first + u(z - beside(t - q, z) * first, q, r)) / 2",
        "return (first + u(z - beside(t - r, z) * first, q, r)) / 2",
        _EXACT,
    ),
    _map(
        "lagrangian-goal-where-it-was",
        "u(there, r, r) if self.teacher is None",
        "u(z, r, r) if self.teacher is None",
        f"{_LOSS}[lagrangian]",
    ),
    _map(
        "lagrangian-without-its-slope",
        "return average - beside(t - r, z) * slope - goal",
        "return average - goal",
        f"{_LOSS}[lagrangian]",
    ),
    _map(
        "consistency-to-any-time",
        'r = torch.zeros_like(t) if self.learns == "consistency" else',
        'r = torch.minimum(a, b) if self.learns == "consistency" else',
        f"{_LOSS}[consistency]",
    ),
    _map("times-exchanged", "t = torch.maximum(a, b)", "t = torch.minimum(a, b)", f"{_LOSS}[meanflow]"),
    _map("velocity-turned", "v = noise - x if self.teacher", "v = x - noise if self.teacher", f"{_FLOOR}[meanflow]"),
    _map(
        "pairs-drawn-anew",
        "x, noise = self.coupling(x, torch.randn_like(x))",
        "(x, _), noise = self.coupling(x, torch.randn_like(x)), torch.randn_like(x)",
        "the_pairs_are_those_of_the_coupling",
    ),
    _map(
        "time-not-told",
        "t.to(like).expand(len(z)), r.to(like)",
        "(t - r).to(like).expand(len(z)), 0 * r.to(like)",
        _TOLD,
    ),
    _map("end-not-told", ", r.to(like).expand(len(z)), y)", ", 0 * r.to(like).expand(len(z)), y)", _TOLD),
    _map(
        "only-one-example-trained",
        "return error.square().flatten(1).sum(1).mean()",
        "return error.square().flatten(1).sum(1)[0]",
        f"{_LOSS}[meanflow]",
    ),
    _map(
        "mean-over-features",
        "return error.square().flatten(1).sum(1).mean()",
        "return error.square().flatten(1).mean(1).mean()",
        f"{_LOSS}[meanflow]",
    ),
    _map("samples-from-data-to-noise", "times = torch.linspace(1, 0,", "times = torch.linspace(0, 1,", _SAMPLES),
    _map("sample-by-euler", "z = self.jump(z, t, r, y)", "z = z - (t - r) * self.velocity(z, t, y)", _SAMPLES),
    _map(
        "jump-the-wrong-way",
        "return z - beside(t - r, z) * u(z, t, r)",
        "return z + beside(t - r, z) * u(z, t, r)",
        _EXACT,
    ),
    _map(
        "drawn-with-r-after-t",
        "return torch.where(same, a, t), torch.where(same, a, r)",
        "return torch.where(same, a, r), torch.where(same, a, t)",
        f"{_LOSS}[meanflow]",
    ),
    _map("noise-and-data-exchanged", "return 1 - t, t\n", "return t, 1 - t\n", f"{_FLOOR}[meanflow]"),
    _map("shortcut-starts-with-the-whole-step", "first = u(z, t, q)", "first = u(z, t, r)", _EXACT),
    _map(
        "teacher-asked-where-it-was",
        "else self.teacher(there, r))",
        "else self.teacher(z, r))",
        "a_lagrangian_pupil_asks_its_teacher_where_it_lands",
    ),
    _map(
        "lagrangian-goal-moves",
        "with torch.no_grad():\n            there = z -",
        "with torch.enable_grad():\n            there = z -",
        "no_gradient_goes_to_the_teacher[lagrangian]",
    ),
    _map(
        "consistency-learns-the-lagrangian",
        'if self.learns in ("meanflow", "consistency"):',
        'if self.learns in ("meanflow",):',
        f"{_LOSS}[consistency]",
    ),
    _map("everything-is-flow-matching", "same = toss < self.share", "same = toss < 1", f"{_LOSS}[meanflow]"),
    _map(
        "teacher-becomes-a-part",
        'self.__dict__["teacher"] = teacher',
        "self.teacher = teacher",
        "a_teacher_is_no_part_of_its_pupil",
    ),
    _map(
        "teacher-asked-where-the-jump-began",
        "else self.teacher(there, r)",
        "else self.teacher(z, r)",
        "a_teacher_says_where_the_jump_goes_on_from",
    ),
    _map(
        "length-not-told-in-waves",
        "for s in (t, t - r)",
        "for s in (t, t)",
        "the_layers_are_told_waves_of_t_and_of_the_length",
    ),
    Mutant(
        "map-samples-of-class-0",
        "gdm_core/models/flow_map.py",
        "z = self.jump(z, t, r, y)",
        "z = self.jump(z, t, r, y if y is None else 0 * y)",
        "tests/test_flow_map.py::test_samples_are_of_the_class_that_was_asked_for",
    ),
]
