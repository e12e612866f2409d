"""Faults in claims, notebooks, lint, replay, runs, set-up and in the planting of faults."""

from mutants.plant import Mutant

COURSE = "gdm_core/course"
CLAIMS, READOUTS, NOTEBOOKS, LINT = (f"{COURSE}/{name}.py" for name in ("claims", "readouts", "notebooks", "lint"))
KERNELS, REPLAY, RUNNER, DOCTOR = (f"{COURSE}/{name}.py" for name in ("kernels", "replay", "runner", "doctor"))
CHAPTERS, CLI, ENVIRONMENT, START = (f"{COURSE}/{name}.py" for name in ("chapters", "cli", "environment", "start"))
FILES = "gdm_core/files.py"
PLANT = "tests/mutants/plant.py"


def claims(*names: str) -> str:
    return " ".join(f"tests/test_claims.py::{name}" for name in names)


def lint(kind: str, *names: str) -> str:
    return " ".join(f"tests/test_lint.py::test_fault_in_the_{kind}[{name}]" for name in names)


FALSE = claims("test_false_claims_raise_and_print_nothing")
READ_OUT = claims("test_read_out_against_claims")
BUILD, LINTS, RUN, COURSES = (f"tests/test_{name}.py::test_" for name in ("build", "lint", "run", "course"))
JUDGEMENT = "tests/test_mutants.py::test_judgement"

MUTANTS = [
    # Claims
    Mutant(
        "bound-not-to-be-touched",
        CLAIMS,
        'lambda v: v <= bounds["below"]',
        'lambda v: v < bounds["below"]',
        claims("test_bounds_may_be_touched"),
    ),
    Mutant("above-is-below", CLAIMS, 'lambda v: v >= bounds["above"]', 'lambda v: v <= bounds["above"]', FALSE),
    Mutant("near-from-one-side", CLAIMS, 'abs(v - bounds["near"])', '(v - bounds["near"])', FALSE),
    Mutant("sign-not-claimed", CLAIMS, 'abs(v - bounds["near"])', 'abs(abs(v) - abs(bounds["near"]))', FALSE),
    Mutant("claim-is-echoed", CLAIMS, "(needed {' and '.join(wanted)})\")\n",
           "(needed {' and '.join(wanted)})\")\n    return value\n", claims("test_line")),
    Mutant("truth-is-echoed", CLAIMS, "        return\n", "        return value\n", claims("test_kinds_of_truth")),
    Mutant("any-criterion-will-do", CLAIMS, "return all(holds", "return any(holds", FALSE),
    Mutant("nan-is-a-number", CLAIMS, "if not math.isfinite(value):", "if math.isinf(value):", FALSE),
    Mutant("claim-without-criterion", CLAIMS, "    if not needed:\n", "    if needed is None:\n", FALSE),
    Mutant("false-is-claimed", CLAIMS, "if not value:\n", "if value is None:\n", FALSE),
    Mutant("failure-shown-in-forty-lines", CLAIMS, "def _render_traceback_", "def _render_trace_", FALSE),
    Mutant("decimals-for-digits", CLAIMS, ":.{digits}g}", ":.{digits}f}", claims("test_spelling")),
    Mutant(
        "tensor-of-three-claimed", CLAIMS, "if shape:", "if len(shape) > 1:",
        claims("test_senseless_claims_are_refused_in_words"),
    ),
    Mutant("rounding-errors-printed", CLAIMS, "spell(round(value, decimals), digits)", "spell(value, digits)",
           claims("test_rounding_errors_are_left_out")),
    Mutant("large-negative-is-tiny", CLAIMS, "and abs(value) <= abs(bound):", "and value <= abs(bound):",
           claims("test_rounding_errors_are_left_out")),
    Mutant("criterion-that-looks-missed", CLAIMS, 'or _all(wanted, float(shown)):', "or True:",
           claims("test_what_is_needed_is_said_in_few_digits_and_never_seems_contradicted")),
    Mutant("bound-in-full", CLAIMS, "else float(spell(bound, digits))", "else bound",
           claims("test_what_is_needed_is_said_in_few_digits_and_never_seems_contradicted")),
    # Read-outs
    Mutant("every-printed-line-is-a-claim", READOUTS, "if line.startswith(MARK) for", "for", READ_OUT),
    Mutant("every-cell-is-a-read-out", READOUTS, 'and TAG in cell.metadata.get("tags", ())', "", READ_OUT),
    Mutant(
        "prose-may-round-again", READOUTS, "if value not in printed:",
        "if not any(abs(p - value) < Decimal('0.01') for p in printed):", READ_OUT,
    ),
    Mutant(
        "exponent-lost", READOUTS, 'number["e"] or number["ten"] or 0', "0", READ_OUT,
    ),
    Mutant(
        "whole-numbers-need-no-claim", READOUTS, "whole_numbers and _value(number) >= 10", "False",
        claims("test_numbers_that_prose_must_have_from_a_run"),
    ),
    # Notebooks
    Mutant("tags-change-nothing", NOTEBOOKS, 'sorted(c.metadata.get("tags", []))', "0",
           f"{BUILD}fingerprint_follows_what_the_source_says"),
    Mutant("order-changes-nothing", NOTEBOOKS, "repr(said)", "repr(sorted(said))",
           f"{BUILD}fingerprint_follows_what_the_source_says"),
    Mutant("version-in-the-picture", NOTEBOOKS, 'b"tEXt", ', "", f"{BUILD}normalize_takes_out_what_is_chance"),
    Mutant("errors-joined-to-output", NOTEBOOKS, " and last.name == output.name", "",
           f"{BUILD}normalize_takes_out_what_is_chance"),
    Mutant("model-ids-kept", NOTEBOOKS, "output.data.pop(WIDGET_VIEW, None)", "pass",
           f"{BUILD}normalize_takes_out_what_is_chance"),
    Mutant("cells-named-by-position", NOTEBOOKS, 'f"{cell.cell_type}\\n{cell.source}"', 'f"{len(seen)}"',
           f"{BUILD}inserted_cell_renames_no_other"),
    Mutant("solution-left-in", NOTEBOOKS, "SOLUTION.sub(GAP, cell.source)",
           "SOLUTION.sub(GAP, cell.source, 0) and cell.source", f"{BUILD}solutions_are_cut_out_at_their_indent"),
    Mutant("first-solution-to-last", NOTEBOOKS, r"### BEGIN SOLUTION\n.*?### END", r"### BEGIN SOLUTION\n.*### END",
           f"{BUILD}solutions_are_cut_out_at_their_indent"),
    Mutant("gap-without-indent", NOTEBOOKS, r"\n\1raise", r"\nraise", f"{BUILD}solutions_are_cut_out_at_their_indent"),
    # Kernels
    Mutant("settings-of-the-user-win", KERNELS, "{**machine, **settings(), **own,",
           "{**settings(), **own, **machine,",
           f"{BUILD}second_build_changes_no_byte_whatever_the_user_set"),
    Mutant("environment-of-the-user", KERNELS, 'if not k.startswith("GDM_") or k in DATA', "",
           f"{BUILD}environment_of_a_kernel_is_the_courses_own"),
    Mutant("setting-without-effect", KERNELS, '"PATH": path, **extra}', '"PATH": path}',
           f"{BUILD}environment_of_a_kernel_is_the_courses_own"),
    Mutant("hung-kernel-fails-at-once", KERNELS, "            raise\n        return attempt()",
           "            raise\n        raise", f"{BUILD}hung_kernel_gets_one_more_chance"),
    Mutant("every-failure-tried-again", KERNELS, "            raise\n        return attempt()",
           "            pass\n        return attempt()", f"{BUILD}hung_kernel_gets_one_more_chance"),
    # Lint
    Mutant("unrun-cells-overlooked", LINT,
           "for cell in nb.cells if cell.cell_type == \"code\" and cell.source.strip()]",
           "for cell in nb.cells if cell.get(\"execution_count\")]", lint("notebook", "one-cell-not-run", "not-run")),
    Mutant("warnings-let-through", LINT, 'output.name == "stderr"', 'output.name == "err"',
           lint("notebook", "warning")),
    Mutant("html-let-through", LINT, 'MIMES = {', 'MIMES = {"text/html", ', lint("notebook", "html")),
    Mutant("first-output-alone", LINT, 'for output in cell.get("outputs", ()):',
           'for output in cell.get("outputs", ())[:1]:',
           lint("notebook", "error", "warning", "html", "address")),
    Mutant("digits-of-the-first-output-alone", LINT, 'map(_compared, cell.get("outputs", ())))',
           'map(_compared, cell.get("outputs", ())[:1]))', lint("notebook", "value")),
    Mutant("digits-let-through", LINT, "WRITTEN, OF_A_TENSOR = 6, 3", "WRITTEN, OF_A_TENSOR = 16, 3",
           lint("notebook", "value", "single")),
    Mutant("tensors-let-through", LINT, "WRITTEN, OF_A_TENSOR = 6, 3", "WRITTEN, OF_A_TENSOR = 6, 6",
           lint("notebook", "tensor", "array")),
    Mutant("zeros-are-digits", LINT, '.strip("0")', "", f"{LINTS}result_that_every_processor_prints"),
    Mutant("digits-of-claims-refused", LINT, "if not line.startswith(MARK))", ")",
           f"{LINTS}digits_that_no_replay_compares"),
    Mutant("digits-of-explorers-refused", LINT, 'and "image/png" in data:', 'and "image/svg" in data:',
           f"{LINTS}digits_that_no_replay_compares"),
    Mutant("addresses-let-through", LINT, "[0-9a-f]{6,}", "[0-9A-F]{6,}", lint("notebook", "address")),
    Mutant("stale-outputs", LINT, "if stamp != now:", "if not stamp:", f"{LINTS}source_edited_after_the_build"),
    Mutant("edited-by-hand", LINT, "fingerprint(nb) != now", "stamp != now", lint("notebook", "edited")),
    Mutant("no-reason-needed", LINT, "if not re.search(r\"^# ignored", "if re.search(r\"^# ignored now",
           lint("source", "no-reason")),
    Mutant("all-ignored", LINT, "IGNORED_SHARE = 0.2", "IGNORED_SHARE = 0.9",
           f"{LINTS}share_of_ignored_cells_is_capped"),
    Mutant("full-profile-committed", LINT, '!= "fast":', '== "":', lint("source", "full-profile")),
    Mutant("parameters-anywhere", LINT, "if tagged != [0]:", "if not tagged:", lint("source", "parameters-second")),
    Mutant("dead-links", LINT, "and not (path.parent / target).exists()", "and not target",
           lint("source", "dead-link")),
    Mutant("huge-notebook", LINT, "if size > LARGEST:", "if size > 10 * LARGEST:", lint("notebook", "large")),
    # Replay
    Mutant("any-number-in-a-claim", REPLAY, "rel_tol=1 / 3, abs_tol=slack", "rel_tol=9, abs_tol=slack",
           "tests/test_replay.py::test_numbers_of_claims_may_move_a_little_and_nothing_else"),
    Mutant("one-line-stands-for-two-claims", REPLAY, "        lines.remove(committed)\n", "",
           "tests/test_replay.py::test_numbers_of_claims_may_move_a_little_and_nothing_else"),
    Mutant("any-explorer-for-another", REPLAY, 'data.get("text/plain", ""))[0]', 'data.get("text/plain", ""))[1:0]',
           "tests/test_replay.py::test_of_an_explorer_the_title_is_compared"),
    Mutant("pictures-not-compared", REPLAY, "if key not in PICTURES]", "]",
           "tests/test_replay.py::test_pictures_are_compared_by_their_presence"),
    Mutant("picture-bytes-compared", REPLAY, '"a picture" if mime in PICTURES else value', "value",
           "tests/test_replay.py::test_pictures_are_compared_by_their_presence"),
    Mutant("reply-to-another-message", REPLAY, 'if reply["parent_header"].get("msg_id") == msg_id:', "if reply:",
           "tests/test_replay.py::test_waiting_for_a_reply"),
    Mutant("dead-kernel-waited-for", REPLAY, "if not kernel.is_alive():", "if kernel is None:",
           "tests/test_replay.py::test_waiting_for_a_reply"),
    Mutant("hung-kernel-kept", REPLAY, "            kernel.stop()\n", "",
           "tests/test_replay.py::test_kernel_that_hangs_at_its_start_is_replaced"),
    # Runs
    Mutant("unknown-parameter-ignored", RUNNER, "        if name not in declared:\n",
           "        if name not in declared:\n            continue\n        if False:\n",
           f"{RUN}refused_before_anything_runs"),
    Mutant("any-profile", RUNNER, 'if name == "PROFILE":\n', 'if name == "PROFILES":\n',
           f"{RUN}refused_before_anything_runs"),
    Mutant("type-not-checked", RUNNER, "type(value) is not type(default) and not", "False and not",
           f"{RUN}refused_before_anything_runs"),
    Mutant("truth-is-a-number", RUNNER, "(type(value) is int and type(default) is float)",
           "(isinstance(value, int) and type(default) is float)", f"{RUN}refused_before_anything_runs"),
    Mutant("seed-below-zero", RUNNER, "integer(name, value, 0, LAST_SEED)", "integer(name, value, -9, LAST_SEED)",
           f"{RUN}refused_before_anything_runs"),
    Mutant("rate-without-end", RUNNER, "and not math.isfinite(value)", "and math.isnan(value)",
           f"{RUN}refused_before_anything_runs"),
    Mutant("device-set-but-not-checked", CLI, 'isinstance(parameters.get("DEVICE"), str)', "chosen.device",
           f"{RUN}auto_is_a_device_before_it_reaches_a_chapter"),
    Mutant("card-number-off-by-one", RUNNER, "< torch.cuda.device_count()", "<= torch.cuda.device_count()",
           f"{RUN}devices"),
    Mutant("checked-while-running", RUNNER,
           "    for chapter in picked:\n        check(chapter, parameters)\n    try:\n        folder.mkdir",
           "    try:\n        folder.mkdir",
           f"{RUN}refused_before_anything_runs"),
    # Chapters and start page
    Mutant("chapter-twice", CHAPTERS, "list(dict.fromkeys(picked))", "picked", f"{COURSES}choose"),
    Mutant("minima-are-minutes", CHAPTERS, "min(?:utes?)?(?![\\w-])", "min", f"{COURSES}opening"),
    Mutant("question-from-a-later-cell", CHAPTERS, 'if line.startswith("# %%") or not', "if not", f"{COURSES}opening"),
    Mutant("start-page-paired", START, ', jupytext={"formats": "ipynb"}', "", f"{COURSES}start_page"),
    Mutant("labs-beside-lectures", START, '"../labs/"', '""', f"{COURSES}start_page"),
    # Command line and doctor
    Mutant("failed-build-exits-0", CLI, "failed += 1", "failed += 0", f"{COURSES}build_and_lint_say_what_happened"),
    Mutant("one-complaint-exits-0", CLI, "return int(found > 0)", "return int(found > 1)",
           f"{COURSES}build_and_lint_say_what_happened"),
    Mutant("our-faults-hidden", CLI, "            raise  # a fault of ours", "            pass  # a fault of ours",
           f"{COURSES}faults_of_ours_are_not_hidden"),
    Mutant("characters-of-one-terminal", CLI, 'reconfigure(errors="replace")', 'reconfigure(errors="strict")',
           f"{COURSES}a_terminal_without_our_characters_shows_others"),
    Mutant("home-that-nobody-may-write", FILES, 'os.environ["HOME"] = str(other)', "pass",
           "tests/test_files.py::test_a_home_that_cannot_be_written_is_stood_in_for"),
    Mutant("home-kept-in-vain", FILES, "and os.access(home, os.W_OK)", "",
           "tests/test_files.py::test_a_home_that_cannot_be_written_is_stood_in_for"),
    Mutant("home-behind-a-link", FILES, "or not stat.S_ISDIR(about.st_mode)", "",
           "tests/test_files.py::test_nobody_elses_folder_becomes_the_home"),
    Mutant("frames-wait", CLI, "nodelay.NoDelayConnection", "nodelay.Connection",
           f"{COURSES}lab_opens_the_start_page"),
    Mutant("missing-package-overlooked", DOCTOR, "missing.append(need.name)", "pass",
           f"{COURSES}doctor_finds_missing_and_strange_packages"),
    Mutant("old-package-overlooked", DOCTOR, "if not need.specifier.contains(version, prereleases=True):",
           "if not version:", f"{COURSES}doctor_finds_missing_and_strange_packages"),
    Mutant("full-disk-is-fine", DOCTOR, "fine = free >= FREE_GB", "fine = free > 0",
           f"{COURSES}doctor_speaks_of_disk_browser_chapters_and_card"),
    # environment.yml
    Mutant("cuda-for-everyone", ENVIRONMENT, "and not CUDA_ONLY.match(pin.name)", "",
           "tests/test_setup.py::test_pins_follow_the_markers"),
    Mutant("windows-packages-everywhere", ENVIRONMENT, "None if all(there)", "None if any(there)",
           "tests/test_setup.py::test_pins_follow_the_markers"),
    # The planting of faults
    Mutant("survival-is-a-kill", PLANT, 'return Verdict("survived",', 'return Verdict("killed",', JUDGEMENT),
    Mutant("collection-error-is-a-kill", PLANT,
           'if answer["code"] not in (0, 1):\n        return Verdict("broken", _trouble',
           'if answer["code"] == 0 and False:\n        return Verdict("broken", _trouble', JUDGEMENT),
    Mutant("typo-is-a-kill", PLANT, '("NameError", "UnboundLocalError",', "(", JUDGEMENT),
    Mutant("import-error-is-a-kill", PLANT, 'if answer["import_error"]:', 'if answer["import_error"] == "":',
           JUDGEMENT),
    Mutant("unread-file-is-a-kill", PLANT, 'if not answer["loaded"]:', 'if answer["loaded"] is None:', JUDGEMENT),
    Mutant("slowness-is-a-kill", PLANT, '"killed" if mutant.hang else "broken"', '"killed"', JUDGEMENT),
]  # fmt: skip
