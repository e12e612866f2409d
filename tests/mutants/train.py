"""Faults in the training loop, its checkpoints, its files and its argument checks."""

from mutants.plant import Mutant

TRAIN, CHECKPOINT = "gdm_core/train.py", "gdm_core/checkpoint.py"
AVERAGE, TURNS, UNDO = "gdm_core/average.py", "gdm_core/turns.py", "gdm_core/undo.py"
DENORMALS = "gdm_core/denormals.py"
SLOW = "numbers_that_slow_a_processor_count_as_zero_while_weights_move_and_then_alone"
FILES, VALIDATE = "gdm_core/files.py", "gdm_core/validate.py"


def train(*names: str) -> str:
    return " ".join(f"tests/test_train.py::test_{name}" for name in names)


def games(*names: str) -> str:
    return " ".join(f"tests/test_games.py::test_{name}" for name in names)


def undone(*names: str) -> str:
    return " ".join(f"tests/test_undo.py::test_{name}" for name in names)


def kept(*names: str) -> str:
    return " ".join(f"tests/test_checkpoint.py::test_{name}" for name in names)


def resume(what: str) -> str:
    return f"tests/test_checkpoint.py::test_a_stopped_run_resumes_bit_for_bit[{what}]"


def files(*names: str) -> str:
    return " ".join(f"tests/test_files.py::test_{name}" for name in names)


def validate(*names: str) -> str:
    return " ".join(f"tests/test_validate.py::test_{name}" for name in names)


CTRL_C = "tests/test_checkpoint.py::test_ctrl_c_leaves_a_whole_checkpoint"

MUTANTS = [
    Mutant(
        "memory-given-back",
        "gdm_core/allocator.py",
        "mallopt(TRIM, KEPT), mallopt(MMAP, OWN_PAGES)",
        "mallopt(TRIM, KEPT), True",
        "tests/test_allocator.py::test_a_step_takes_the_memory_of_the_last_one",
    ),
    # The loop
    Mutant(
        "gradients-add-up",
        TRAIN,
        "for p in every:",
        "for p in ():",
        train("steps_are_those_of_adam_by_hand[8]"),
    ),
    Mutant(
        "gradients-outside-the-optimizer-add-up",
        TRAIN,
        "list({*learning, *model.parameters()})",
        "list({*learning})",
        train("parameters_left_alone_do_not_count_in_the_norm"),
    ),
    Mutant(
        "clip-forgotten",
        TRAIN,
        "if clip < math.inf:",
        "if False:",
        train("clip_bounds_the_norm_of_the_gradient"),
    ),
    Mutant(
        "denormals-kept",
        TRAIN,
        "with flushed():",
        "if True:",
        train(SLOW),
    ),
    Mutant(
        "denormals-flushed-for-good",
        DENORMALS,
        "torch.set_flush_denormal(before)",
        "pass",
        train(SLOW),
    ),
    Mutant(
        "denormals-flushed-by-others-no-more",
        DENORMALS,
        "torch.set_flush_denormal(before)",
        "torch.set_flush_denormal(False)",
        train(SLOW),
    ),
    Mutant(
        "denormals-flushed-after-a-failure",
        DENORMALS,
        "    try:\n        yield\n    finally:\n        torch.set_flush_denormal(before)",
        "    yield\n    torch.set_flush_denormal(before)",
        train(SLOW),
    ),
    Mutant(
        "schedule-never-ends",
        TRAIN,
        "rate(step / max(steps - 1, 1))",
        "rate(step / steps)",
        train("schedule_scales_the_rate_of_each_group_and_gives_it_back"),
    ),
    Mutant(
        "schedule-compounds",
        TRAIN,
        "_set_rates(optimizer, rates, rate(",
        '_set_rates(optimizer, [g["lr"] for g in optimizer.param_groups], rate(',
        train("schedule_scales_the_rate_of_each_group_and_gives_it_back"),
    ),
    Mutant(
        "schedule-leaves-a-rate-of-zero",
        TRAIN,
        "finally:\n            mean.show(True)\n            _set_rates(optimizer, rates, 1.0 if rate else None)",
        "finally:\n            mean.show(True)",
        train("schedule_scales_the_rate_of_each_group_and_gives_it_back"),
    ),
    Mutant(
        "draws-with-replacement",
        CHECKPOINT,
        "torch.randperm(self.n, generator=self.generator)",
        "torch.randint(self.n, (self.n,), generator=self.generator)",
        train("each_epoch_sees_each_example_once"),
    ),
    Mutant(
        "same-order-each-epoch",
        CHECKPOINT,
        "torch.randperm(self.n, generator=self.generator)",
        "torch.randperm(self.n, generator=self.generator.manual_seed(0))",
        train("each_epoch_sees_each_example_once"),
    ),
    Mutant(
        "labels-not-shuffled-along",
        CHECKPOINT,
        "return tuple(d[index] for d in self.data)",
        "return tuple([self.data[0][index], *(d[: len(index)] for d in self.data[1:])])",
        train("tuples_are_indexed_together"),
    ),
    Mutant(
        "stays-in-evaluation-mode",
        TRAIN,
        "if not all(part.training for part in parts):",
        "if False:",
        train("a_look_in_between_does_not_leave_evaluation_mode"),
    ),
    Mutant(
        "ends-in-training-mode",
        TRAIN,
        "run.close()\n        model.eval()",
        "run.close()",
        train("training_reaches_the_known_optimum"),
    ),
    # Validation
    Mutant(
        "validation-disturbs-the-draws",
        TRAIN,
        "checkpoints.set_rng_state(draws, device)\n        for module",
        "for module",
        train("validation_does_not_disturb_the_draws"),
    ),
    Mutant(
        "validation-with-dropout",
        TRAIN,
        "model.eval()\n    try:\n        checkpoints",
        "model.train()\n    try:\n        checkpoints",
        train("evaluation_uses_evaluation_mode_and_puts_each_mode_back"),
    ),
    Mutant(
        "validation-flips-frozen-parts",
        TRAIN,
        "module.training = training",
        "module.train(modes[0][1])",
        train("evaluation_uses_evaluation_mode_and_puts_each_mode_back"),
    ),
    Mutant(
        "validation-averages-batches-alike",
        TRAIN,
        "model.loss(*part).item() * len(part[0])",
        "model.loss(*part).item() * batch_size",
        train("validation_is_the_mean_over_all_held_out_examples"),
    ),
    Mutant(
        "validation-missing-at-the-end",
        TRAIN,
        "(step % validate_every == 0 or step == steps)",
        "step % validate_every == 0",
        train("validation_is_the_mean_over_all_held_out_examples"),
    ),
    # Divergence
    Mutant(
        "nan-loss-goes-on",
        TURNS,
        "if not math.isfinite(number):",
        "if number == math.inf:",
        train("a_loss_that_is_not_finite_stops_with_step_loss_and_rate"),
    ),
    Mutant(
        "nan-gradient-goes-on",
        TURNS,
        'for what, number in (("loss", value), ("gradient norm", norm)):',
        'for what, number in (("loss", value),):',
        train("a_gradient_that_is_not_finite_stops_before_the_step"),
    ),
    Mutant(
        "failed-step-leaves-its-averages",
        UNDO,
        "tensor.copy_(copy)",
        "pass",
        train("a_diverged_step_leaves_no_trace_in_averages_draws_or_file"),
    ),
    Mutant(
        "failed-step-leaves-its-batch",
        UNDO,
        "run.order.load(self.order)",
        "pass",
        train("a_diverged_step_leaves_no_trace_in_averages_draws_or_file"),
    ),
    Mutant(
        "failed-step-leaves-its-draws",
        UNDO,
        "set_rng_state(self.draws, run.device)",
        "pass",
        train("a_diverged_step_leaves_no_trace_in_averages_draws_or_file"),
    ),
    # Resuming
    Mutant(
        "resume-without-the-order",
        CHECKPOINT,
        'order.load(parts["order"])',
        "pass",
        resume("8-adam"),
    ),
    Mutant(
        "resume-without-the-noise",
        TRAIN,
        "if draws is not None:",
        "if False:",
        resume("8-adam"),
    ),
    Mutant(
        "resume-without-the-optimizer",
        CHECKPOINT,
        'optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})',
        "pass",
        resume("8-adam"),
    ),
    Mutant(
        "resume-without-the-history",
        CHECKPOINT,
        "vars(run.history).update(past(meta))",
        "pass",
        resume("8-adam"),
    ),
    Mutant(
        "resume-with-the-schedule-applied-twice",
        TRAIN,
        "_set_rates(optimizer, rates, 1.0 if rate else None)\n                    checkpoints.save",
        "checkpoints.save",
        kept("a_killed_run_resumes_bit_for_bit_from_its_last_save"),
    ),
    Mutant(
        "resume-skips-a-validation",
        TRAIN,
        "validate()  # a run",
        "pass  # a run",
        f"{CTRL_C}[7-validation]",
    ),
    Mutant(
        "complete-checkpoint-is-rewritten",
        TRAIN,
        "len(history) > saved and not whole.torn",
        "not whole.torn",
        kept("a_complete_checkpoint_is_loaded_and_left_alone"),
    ),
    Mutant(
        "checkpoint-of-another-model",
        CHECKPOINT,
        "if have != came:",
        "if False:",
        kept("a_checkpoint_of_something_else_is_refused_and_changes_nothing"),
    ),
    Mutant(
        "checkpoint-of-other-data",
        CHECKPOINT,
        'if order.n != meta["examples"]:',
        "if False:",
        kept("a_checkpoint_of_something_else_is_refused_and_changes_nothing"),
    ),
    # Ctrl-C and files
    Mutant(
        "ctrl-c-cuts-a-step",
        UNDO,
        "self.holds = threading.current_thread()",
        "self.holds = False and threading.current_thread()",
        f"{CTRL_C}[7-optimizer]",
    ),
    Mutant(
        "ctrl-c-is-lost",
        UNDO,
        "if self.pressed and not self.told:",
        "if False:",
        f"{CTRL_C}[7-loss]",
    ),
    Mutant(
        "half-a-step-is-saved",
        TRAIN,
        " and not whole.torn",
        "",
        kept("an_optimizer_that_breaks_off_keeps_the_last_whole_file"),
    ),
    Mutant(
        "written-in-place",
        FILES,
        "os.replace(temporary, path)",
        "path.write_bytes(payload), os.unlink(temporary)",
        files("the_name_is_taken_by_the_whole_file_at_once"),
    ),
    Mutant(
        "renamed-across-disks",
        FILES,
        "tempfile.mkstemp(dir=path.parent, ",
        "tempfile.mkstemp(",
        files("the_name_is_taken_by_the_whole_file_at_once"),
    ),
    Mutant(
        "litter-after-ctrl-c",
        FILES,
        "except BaseException:",
        "except Exception:",
        files("an_interruption_leaves_the_old_file_and_no_litter"),
    ),
    Mutant(
        "private-file",
        FILES,
        "os.chmod(temporary, 0o644)",
        "pass",
        files("writes_and_overwrites_and_makes_folders"),
    ),
    Mutant(
        "ctrl-c-cuts-a-move",
        UNDO,
        "self.pressed > 1 and not self.moving",
        "self.pressed > 1",
        kept("no_ctrl_c_cuts_the_move_itself"),
    ),
    # Games
    Mutant(
        "every-loss-moves-everybody",
        TRAIN,
        "loss.backward(inputs=player.parameters)",
        "loss.backward()",
        games("a_game_is_that_of_a_loop_by_hand"),
    ),
    Mutant(
        "every-move-on-one-batch",
        TRAIN,
        "loss = player.loss(*order.next())",
        "loss = player.loss(*(order.next() if not told else (order.data[0][: order.size],)))",
        games("a_game_is_that_of_a_loop_by_hand"),
    ),
    Mutant(
        "every-player-moves-once",
        TURNS,
        'for _ in range(integer(f"moves of the {p.name}", many))]',
        "for _ in range(1)]",
        games("a_game_is_that_of_a_loop_by_hand"),
    ),
    Mutant(
        "one-rate-for-all-players",
        TURNS,
        '"lr": positive("lr", rates[p.name], 1e-3)',
        '"lr": positive("lr", max(rates.values()), 1e-3)',
        games("a_game_is_that_of_a_loop_by_hand"),
    ),
    Mutant(
        "another-player-is-blamed",
        TRAIN,
        "look(told, len(history), optimizer, rates)  # an",
        "pass  # an",
        games("what_an_earlier_move_broke_is_not_blamed_on_a_later_one"),
    ),
    Mutant(
        "waits-for-every-move",
        TRAIN,
        "loss, norm = gradient(player)\n",
        "loss, norm = gradient(player)\n                        loss.item()\n",
        games("a_step_waits_for_the_device_once"),
    ),
    Mutant(
        "critic-keeps-its-moves-of-a-failed-step",
        UNDO,
        'for p in group["params"]] + run.average.mean',
        'for p in group["params"]][:0] + run.average.mean',
        games("a_step_that_fails_takes_back_all_of_it"),
    ),
    Mutant(
        "optimizer-keeps-its-moves-of-a-failed-step",
        UNDO,
        "run.optimizer.state.update(self.states)",
        "pass",
        games("a_step_that_fails_takes_back_all_of_it"),
    ),
    Mutant(
        "first-moments-of-a-failed-step-stay",
        UNDO,
        "run.optimizer.state.clear()",
        "pass",
        games("a_first_step_that_fails_leaves_what_there_was"),
    ),
    Mutant(
        "average-of-a-failed-step-stays",
        UNDO,
        " + run.average.mean",
        "",
        undone("an_average_taken_in_a_step_that_fails_goes_back"),
    ),
    # The average
    Mutant(
        "average-remembers-the-first-weights",
        AVERAGE,
        "(1 - self.decay) / (1 - self.decay**step)",
        "1 - self.decay",
        games("whoever_looks_between_two_steps_sees_the_average"),
    ),
    Mutant(
        "average-learns-on",
        TRAIN,
        "mean.show(False)\n",
        "pass\n",
        games("whoever_looks_between_two_steps_sees_the_average"),
    ),
    Mutant(
        "average-is-not-shown",
        TRAIN,
        "mean.show(True)\n                validate()",
        "validate()",
        games("whoever_looks_between_two_steps_sees_the_average"),
    ),
    Mutant(
        "resume-without-what-learns",
        CHECKPOINT,
        'learning.copy_(parts["learning"][str(i)])',
        "pass",
        games("a_stopped_game_resumes_bit_for_bit"),
    ),
    Mutant(
        "bfloat16-unasked",
        TRAIN,
        "if bf16 else contextlib.nullcontext()",
        "",
        games("bfloat16_is_where_it_was_asked_for_alone"),
    ),
    Mutant(
        "drawn-data-unseen",
        CHECKPOINT,
        'return tensors(self.data(self.size), "what data(n) draws", self.device)',
        "return (self.data(self.size),)",
        games("what_a_function_draws_is_looked_at"),
    ),
    # Buffers
    Mutant(
        "replaced-buffers-stay",
        UNDO,
        "buffers[name] = b\n",
        "pass\n",
        undone("buffers_are_those_before_the_step"),
    ),
    Mutant(
        "small-buffers-trusted-to-say-when-they-change",
        UNDO,
        "b.numel() > LARGE and",
        "",
        undone("buffers_are_those_before_the_step"),
    ),
    Mutant(
        "large-buffers-copied-at-every-step",
        UNDO,
        "b.numel() > LARGE and",
        "False and",
        undone("a_large_buffer_is_copied_only_after_it_changed"),
    ),
    Mutant(
        "large-buffers-copied-once",
        UNDO,
        "[2] == b._version",
        "[2] >= 0",
        undone("buffers_are_those_before_the_step"),
    ),
    Mutant(
        "chains-copied-anyway",
        UNDO,
        "self.others = [m for m in run.model.modules() if not isinstance(m, HasSavepoint)]",
        "self.others = list(run.model.modules())",
        undone("a_step_that_fails_takes_its_chains_back_and_copies_few"),
    ),
    Mutant(
        "chains-not-put-back",
        UNDO,
        "put_back()",
        "pass",
        undone("a_step_that_fails_takes_its_chains_back_and_copies_few"),
    ),
    # Argument checks
    Mutant(
        "infinity-passes",
        VALIDATE,
        "not torch.isfinite(x.sum()) and",
        "torch.isnan(x.sum()) and",
        validate("a_bad_batch_is_named"),
    ),
    Mutant(
        "large-numbers-refused",
        VALIDATE,
        " and not torch.isfinite(x).all():\n        count",
        ":\n        count",
        validate("a_good_batch_passes_untouched"),
    ),
    Mutant(
        "true-is-a-number",
        VALIDATE,
        "if isinstance(value, bool) or not whole",
        "if not whole",
        validate("what_is_no_integer_in_the_range"),
    ),
    Mutant(
        "nan-is-positive",
        VALIDATE,
        'if not 0 < number < float("inf"):',
        'if number <= 0 or number == float("inf"):',
        validate("what_is_not_positive"),
    ),
    Mutant(
        "no-example-passes",
        VALIDATE,
        "if len(x) < minimum:",
        "if len(x) < minimum - 1:",
        validate("a_bad_batch_is_named"),
    ),
]
