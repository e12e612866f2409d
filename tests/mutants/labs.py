"""Faults in labs: in the checks' machinery, in what students get, in what runs their notebooks."""

from mutants.plant import Mutant

CHECKS, LABS = "gdm_core/checks", "gdm_core/course/labs"
EXERCISE, ANSWERS, COMPARE = (f"{CHECKS}/{name}.py" for name in ("exercise", "answers", "compare"))
STUDENT, LINT = f"{LABS}/student.py", f"{LABS}/lint.py"


def verdicts(name: str) -> str:
    return f"tests/test_labs_verdicts.py::test_{name}"


def labs(name: str) -> str:
    return f"tests/test_labs.py::test_{name}"


def answer(kind: str, name: str) -> str:
    how = "wrong_answer_is_refused_with_its_own_hint" if kind == "wrong" else "right_answer_is_accepted"
    return f"tests/test_labs_checks.py::test_a_{how}[{name}]"


ANY = verdicts("answers_of_any_design_give_float64")
CUT = labs("solutions_are_cut_out_at_their_indent")

USE, KEPT = "tests/test_labs_use.py::test_", "kept_models_are_not_mixed_with_ours"

MUTANTS = [
    # Answers in place of ours
    Mutant("kept-for-anybodys-answers", "gdm_core/kept.py", "[options, seed, own] if own", "[options, seed] if own",
           f"{USE}{KEPT}"),
    Mutant("answers-known-by-name-alone", "gdm_core/yours.py", "blake2b(source,", "blake2b(exercise.encode(),",
           f"{USE}{KEPT}"),
    Mutant("built-on-a-students-answers", "gdm_core/course/kernels.py", 'for name in ("models", "yours")',
           'for name in ("models",)', "tests/test_build.py::test_environment_of_a_kernel_is_the_courses_own"),
    Mutant("replaced-in-silence", "gdm_core/yours.py", "        _say(exercise, place)\n", "        pass\n",
           f"{USE}an_answer_is_asked_in_place_of_ours_and_says_so_once"),
    Mutant("page-silent-about-answers", "gdm_core/explorers/__init__.py", "return _told(ours) if", "return ours if",
           f"{USE}an_explorer_says_what_it_runs_on"),
    Mutant("cut-out-with-everything", f"{LABS}/use.py", "if i not in kept and needed & set(bound(s))",
           "if i not in kept", f"{USE}an_answer_is_cut_out_with_what_it_reads_alone"),
    Mutant("gradients-not-asked-for", f"{LABS}/trials.py", "if ours.requires_grad and", "if False and",
           f"{USE}what_would_harm_a_lecture_stays_out[no-gradients]"),
    Mutant("wrong-answers-in-use", f"{LABS}/use.py", 'if not line.startswith("right:")', "if not line",
           f"{USE}what_the_checks_call_wrong_stays_out"),
    # Checks
    Mutant("wrong-is-right", EXERCISE, 'return Verdict(self.name, "wrong", str(wrong), *',
           'return Verdict(self.name, "right", str(wrong), *', verdicts("kinds_of_verdicts[named]")),
    Mutant("student-blamed-for-the-check", EXERCISE, "if error is asked.raised or", "if True or",
           verdicts("a_fault_of_the_check_is_not_blamed_on_the_student")),
    Mutant("check-moves-the-notebooks-chance", EXERCISE, "torch.set_rng_state(states[0]), ", "",
           verdicts("random_numbers_of_the_notebook_go_on_as_if_nothing_was")),
    Mutant("seed-without-effect", EXERCISE, "torch.Generator().manual_seed(seed)", "torch.Generator().manual_seed(0)",
           verdicts("random_numbers_of_the_notebook_go_on_as_if_nothing_was")),
    Mutant("picture-of-a-wrong-answer", EXERCISE, 'if verdict.kind == "right" and show', 'if verdict.kind and show',
           verdicts("a_picture_follows_a_right_answer_alone")),
    Mutant("picture-stops-run-all", EXERCISE, "except Exception as error:  # a picture",
           "except ZeroDivisionError as error:  # a picture", verdicts("a_picture_that_fails_says_so_in_one_line")),
    Mutant("numpy-refused", ANSWERS, "WAYS = (_torch64, _torch32, _numpy)", "WAYS = (_torch64, _torch32)", ANY),
    Mutant("float32-refused", ANSWERS, "WAYS = (_torch64, _torch32, _numpy)", "WAYS = (_torch64, _numpy)", ANY),
    Mutant("inputs-shared", ANSWERS, "return x.detach().clone()\n\n\ndef _torch32", "return x\n\n\ndef _torch32",
           verdicts("answers_get_copies_and_functions_in_their_own_form")),
    Mutant("hints-forgotten", COMPARE, "for hint, wrong in mistakes.items():", "for hint, wrong in ():",
           verdicts("kinds_of_verdicts[named]")),
    Mutant("everything-is-the-same", COMPARE, "TOLERANCE = 1e-4", "TOLERANCE = 10.0", verdicts("comparisons")),
    Mutant("nan-passes", COMPARE, "bool(((got - wanted).abs() <= tolerance * (1 + wanted.abs())).all())",
           "not bool(((got - wanted).abs() > tolerance * (1 + wanted.abs())).any())", verdicts("comparisons")),
    Mutant("any-shape", COMPARE, "    if tuple(result.shape) != shape:", "    if result.numel() != 3:",
           verdicts("kinds_of_verdicts[shape]")),
    Mutant("underflow-not-looked-for", f"{CHECKS}/lab01.py", "require(bool(torch.isfinite(got).all()) and",
           "require(True or",
           answer("wrong", "lab01-log_joint-log_of_density")),
    Mutant("one-rotation-alone", f"{CHECKS}/lab02.py", "got, wanted = W @ W.T,",
           "got, wanted = W * W.T[0, 0],",
           answer("right", "lab02-maximum-by_svd_and_turned")),
    Mutant("map-from-b-to-a-called-transposed", f"{CHECKS}/lab05.py", "require(not same(M.to(back), back),",
           "require(True or", answer("wrong", "lab05-join-backwards_map")),
    Mutant("number-taken-for-labels", f"{CHECKS}/lab05.py", 'getattr(y, "ndim", 0) > 0', "True",
           answer("wrong", "lab05-board-label_as_a_number")),
    Mutant("role-of-x-and-y-not-told-apart", f"{CHECKS}/lab15.py", "_share(across.min(0) <= of_y)", "truth",
           answer("wrong", "lab15-coverage-samples_covered")),
    Mutant("credit-for-the-mistake", EXERCISE, " and name != asked.parts[-1]", "",
           verdicts("the_part_that_a_mistake_is_in_does_not_count")),
    Mutant("parts-weigh-the-same", EXERCISE, "sum(self.weights[name] for name in right) / sum(self.weights.values())",
           "len(right) / len(self.weights)", verdicts("the_part_that_a_mistake_is_in_does_not_count")),
    Mutant("part-never-looked-at", f"{CHECKS}/lab01.py", '    answer.part("far below zero")\n', "",
           "tests/test_labs_checks.py::test_a_check_comes_to_all_of_its_parts[lab01]"),
    Mutant("detach-not-looked-for", f"{CHECKS}/lab08.py", "require(not game.leaked,", "require(True or",
           answer("wrong", "lab08-turn-no_detach")),
    Mutant("one-label-in-place-is-enough", f"{CHECKS}/lab08.py", "right = lambda labels: all(",
           "right = lambda labels: any(", answer("wrong", "lab08-told-of_samples_not_told")),
    Mutant("moving-goal-passes", f"{CHECKS}/lab13.py", "require(not result.requires_grad,", "require(True or",
           answer("wrong", "lab13-goal-not_held")),
    Mutant("any-order-of-noise", f"{CHECKS}/lab13.py", "int(cost.argmin())", "int(cost.argmax())",
           answer("right", "lab13-optimal_pairs-by_ranks")),
    Mutant("one-jump-is-enough", f"{CHECKS}/lab13.py", "for K in (3, 1):", "for K in (1,):",
           answer("wrong", "lab13-jumps-one_jump")),
    Mutant("second-turn-never-played", f"{CHECKS}/lab08.py", "by_hand(turns=2)[0], known", "_numbers(game.D), known",
           answer("wrong", "lab08-turn-cleared_afterwards")),
    # Data of one's own, and nbgrader
    Mutant("everyone-has-the-same-data", f"{LABS}/handout.py", "blake2b(student.encode()", "blake2b(b''",
           "tests/test_labs_handout.py::test_seeds_follow_from_names_alone"),
    Mutant("handed-out-over-answers", f"{LABS}/handout.py", "if path.exists():", "if not path:",
           "tests/test_labs_handout.py::test_a_class_gets_notebooks_and_keeps_what_it_wrote"),
    Mutant("grader-trusts-the-cell", f"{LABS}/grade.py", "own = seed_of(to) if to else None", "own = None",
           "tests/test_labs_handout.py::test_the_grader_asks_for_the_seed_of_whom_it_was_handed_to"),
    Mutant("nbgrader-pays-for-writing", STUDENT, 'not about["checked"], "solution"', 'True, "solution"',
           "tests/test_labs_nbgrader.py::test_cells_are_those_of_an_assignment[01_mixtures-source]"),
    Mutant("nbgrader-shows-the-check", EXERCISE, "def _render_traceback_", "def _render_traceback",
           "tests/test_labs_nbgrader.py::test_a_cell_raises_under_nbgrader_alone"),
    # What students get
    Mutant("solution-left-in", STUDENT, "SOLUTION.sub(GAP if", "SOLUTION.sub(lambda m: m[0] if",
           labs("lint_sees_a_fault_in_the_source[hints]")),
    Mutant("first-solution-to-last", STUDENT, r"### BEGIN SOLUTION\n.*?### END", r"### BEGIN SOLUTION\n.*### END", CUT),
    Mutant("gap-without-indent", STUDENT, r"\n\1raise", r"\nraise", CUT),
    Mutant("formulas-in-tables", f"{LABS}/grade.py", 'startswith(("=",', 'startswith(("?",',
           "tests/test_labs_grade.py::test_no_cell_of_a_table_is_a_formula"),
    Mutant("ours-is-copied", f"{LABS}/grade.py", "and key not in ours}", "}",
           "tests/test_labs_grade.py::test_right_answers_are_not_counted_as_equal_where_they_are_ours"),
    Mutant("changes-overlooked", LINT, "!= list(map(plain, wanted.cells))", "== []",
           labs("lint_sees_what_was_changed_after_the_build")),
    Mutant("pictures-overlooked", LINT, "if name not in student.folded(nb):", "if not student.folded(nb):",
           labs("lint_sees_what_was_changed_after_the_build")),
]  # fmt: skip
