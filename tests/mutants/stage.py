"""Faults in the stage: what a page sends and shows, what a kernel answers, what is kept."""

from mutants.plant import Mutant

HERE = "gdm_core/widgets"
FLOW, PAGE, STAGE_JS = f"{HERE}/js/flow.js", f"{HERE}/js/page.js", f"{HERE}/js/stage.js"
PLANE, FRAMES_JS, MARKS_JS = f"{HERE}/js/plane.js", f"{HERE}/js/frames.js", f"{HERE}/js/marks.js"
STAGE, CONTROLS, HANDLES = f"{HERE}/stage.py", f"{HERE}/controls.py", f"{HERE}/handles.py"
VIEW, FRAMES, TRAINER, HONEST = f"{HERE}/view.py", f"{HERE}/frames.py", f"{HERE}/trainer.py", f"{HERE}/honest.py"


def js(*names: str) -> str:
    return " ".join(f"tests/test_stage_js.py::test_{name}" for name in names)


def py(*names: str) -> str:
    return " ".join(f"tests/test_stage.py::test_{name}" for name in names)


HUNDRED = js("a_hundred_moves_send_one_message_and_the_reply_releases_the_newest")
LOST = js("a_lost_answer_frees_its_slot_and_is_said_in_words")

MUTANTS = [
    # The page.
    Mutant("sends-without-waiting-for-the-reply", FLOW, "flying.size >= slots", "flying.size > 1000", HUNDRED),
    Mutant("sends-for-ever", FLOW, "    wanted = false;\n    const n", "    const n", HUNDRED),
    Mutant(
        "two-in-flight-whatever-the-kernel-needs",
        FLOW,
        "slots = ms < FAST ? 2 : 1;",
        "slots = 2;",
        js("two_in_flight_only_when_the_kernel_is_fast"),
    ),
    Mutant(
        "late-answer-wins",
        FLOW,
        "if (n > shown) {",
        "if (n) {",
        js("an_older_answer_does_not_replace_a_newer_picture"),
    ),
    Mutant("no-time-out", FLOW, "setTimeout(() => expire(n), patience)", "0", LOST),
    Mutant(
        "lost-input-is-never-asked-again", FLOW, "if (n === newest) wanted = true;", "if (n !== n) wanted = true;", LOST
    ),
    Mutant("retries-without-patience", FLOW, "Math.min(2 * patience, LONGEST)", "PATIENCE", LOST),
    Mutant(
        "slow-kernel-taken-for-a-dead-one",
        FLOW,
        "Math.max(PATIENCE, 3 * ms)",
        "PATIENCE",
        js("a_slow_answer_is_not_taken_for_a_lost_one_twice"),
    ),
    Mutant("sends-unseen", FLOW, "!wanted || !visible ||", "!wanted ||", js("silent_while_not_visible")),
    Mutant(
        "error-clears-the-picture",
        STAGE_JS,
        "    alarm.textContent = text;",
        "    alarm.textContent = text;\n    views.forEach((view) => (view.picture.width = 2));",
        js("an_error_is_an_alert_and_the_picture_stays"),
    ),
    Mutant(
        "old-error-stays",
        STAGE_JS,
        "    alarm.hidden = true;\n    for",
        "    for",
        js("an_error_is_an_alert_and_the_picture_stays"),
    ),
    Mutant(
        "listeners-stay-after-the-page-closed",
        STAGE_JS,
        'model.off("msg:custom", receive);',
        'model.off("msg", receive);',
        js("closing_leaves_nothing_behind"),
    ),
    Mutant(
        "shift-moves-no-farther",
        f"{HERE}/js/hand.js",
        "const times = event.shiftKey ? 10 : 1;",
        "const times = 1;",
        js("keys_move_the_pad_and_are_told_to_a_screen_reader"),
    ),
    Mutant(
        "red-and-blue-swapped",
        FRAMES_JS,
        "(data[j + 2] << 16) | (data[j + 1] << 8) | data[j];",
        "(data[j] << 16) | (data[j + 1] << 8) | data[j + 2];",
        js("colormaps_and_colors_arrive_as_they_were"),
    ),
    Mutant(
        "y-axis-upside-down",
        MARKS_JS,
        "y: (v) => ((v - top) / (bottom - top)) * height,",
        "y: (v) => ((v - bottom) / (top - bottom)) * height,",
        js("marks_lie_where_their_coordinates_say"),
    ),
    Mutant(
        "second-standard-deviation-dragged-without-the-radius",
        PLANE,
        "bound(Math.hypot(px - x, py - y) / radius)",
        "bound(Math.hypot(px - x, py - y))",
        js("handles_and_gaussians_are_dragged_in_data_coordinates"),
    ),
    Mutant(
        "timeline-skips-states-while-pictures-are-made",
        f"{HERE}/js/controls.js",
        "if (!stage.idle()) return;",
        "",
        js("timeline_plays_every_state_scrubs_and_follows"),
    ),
    Mutant(
        "decoder-without-its-bias",
        f"{HERE}/js/nokernel.js",
        "let sum = bias[j];",
        "let sum = 0;",
        js("decoder_runs_in_the_page_as_torch_runs_it"),
    ),
    Mutant(
        "sample-below-in-place-of-the-nearest",
        f"{HERE}/js/nokernel.js",
        "share < 0.5 ? below : above",
        "share < 1 ? below : above",
        js("sampled_page_moves_from_disk_with_the_network_off"),
    ),
    Mutant(
        "gif-codes-grow-one-too-early",
        f"{HERE}/js/gif.js",
        "if (next++ === 1 << size) size++;",
        "if (++next === 1 << size) size++;",
        js("png_gif_link_and_code"),
    ),
    Mutant(
        "link-of-another-stage-taken",
        f"{HERE}/js/keep.js",
        'parts.get("stage") !== stage.spec.name',
        "!parts",
        js("a_link_restores_the_state_and_rubbish_is_left_out"),
    ),
    Mutant(
        "axis-label-over-the-numbers-in-the-page",
        f"{HERE}/js/page.js",
        "if (needed > view.room)",
        "if (needed < 0)",
        js("numbers_and_label_of_an_axis_stand_apart"),
    ),
    # The kernel.
    Mutant(
        "controls-not-clamped",
        CONTROLS,
        "return min(max(value, low), high)",
        "return value",
        py("slider_clamps_rounds_and_refuses", "state_follows_python_and_page_and_stays_valid"),
    ),
    Mutant(
        "nan-let-through",
        CONTROLS,
        "if not math.isfinite(value):",
        "if value is None:",
        py("slider_clamps_rounds_and_refuses"),
    ),
    Mutant(
        "log-slider-starts-at-the-arithmetic-middle",
        CONTROLS,
        "math.sqrt(self.low * self.high) if self.log",
        "(self.low + self.high) / 2 if self.log",
        py("slider_clamps_rounds_and_refuses"),
    ),
    Mutant(
        "timeline-does-not-follow",
        CONTROLS,
        "return -1 if index == last else index",
        "return index",
        py("timeline_that_follows_stays_on_the_newest"),
    ),
    Mutant(
        "standard-deviation-taken-for-variance",
        HANDLES,
        "rows[:, None, 2:4] ** 2",
        "rows[:, None, 2:4]",
        py("gaussians_keep_means_and_covariances"),
    ),
    Mutant(
        "gaussian-turned-the-other-way",
        HANDLES,
        "np.stack([cos, -sin], -1), np.stack([sin, cos], -1)",
        "np.stack([cos, sin], -1), np.stack([-sin, cos], -1)",
        py("gaussians_keep_means_and_covariances"),
    ),
    Mutant(
        "field-clipped-to-zero-and-one",
        VIEW,
        "if limits is None and colormap:",
        "if limits is None and not colormap:",
        py("picture_takes_what_models_give"),
    ),
    Mutant(
        "tiles-column-by-column",
        VIEW,
        "out = out.reshape(rows, columns, *out.shape[1:]).swapaxes(1, 2)",
        "out = out.reshape(columns, rows, *out.shape[1:]).swapaxes(0, 1).swapaxes(1, 2)",
        py("tile_puts_every_image_in_its_place"),
    ),
    Mutant(
        "field-evaluated-at-the-corners",
        VIEW,
        "(np.arange(width) + 0.5) / width",
        "np.arange(width) / (width - 1)",
        py("plane_is_the_center_of_each_pixel_with_the_top_first"),
    ),
    Mutant(
        "bottom-row-first",
        VIEW,
        "y = top + (bottom - top)",
        "y = bottom + (top - bottom)",
        py("plane_is_the_center_of_each_pixel_with_the_top_first"),
    ),
    Mutant(
        "one-key-for-two-shapes",
        FRAMES,
        "salt=str(data.shape).encode()[:16]",
        'salt=b""',
        py("pack_sends_each_array_once"),
    ),
    Mutant(
        "known-arrays-sent-again",
        FRAMES,
        "if key not in known and key not in keys:",
        "if key not in keys:",
        py("pack_sends_each_array_once", "arrays_that_the_page_holds_are_not_sent_again"),
    ),
    Mutant(
        "reloaded-page-gets-no-arrays",
        STAGE,
        'frozenset() if message.get("fresh") else self._known',
        "self._known",
        py("arrays_that_the_page_holds_are_not_sent_again"),
    ),
    Mutant(
        "refresh-while-drawing-lost",
        STAGE,
        "            self.send(reply, buffers)\n",
        "            self.send(reply, buffers)\n            self._said = time.monotonic()\n",
        py("refresh_is_said_once_until_the_page_asked"),
    ),
    Mutant(
        "refresh-floods-the-page",
        STAGE,
        "if now - self._said < SAYS_AGAIN:",
        "if now < self._said:",
        py("refresh_is_said_once_until_the_page_asked"),
    ),
    Mutant(
        "pictures-drawn-in-two-threads-at-once",
        STAGE,
        "with self._lock, drawing():",
        "with drawing():",
        py("requests_from_many_threads_get_their_own_pictures_one_at_a_time"),
    ),
    Mutant(
        "links-press-buttons",
        STAGE,
        'dict(message.get("presses") or {}).items()',
        '{n: state[n] for n, c in self.controls.items() if c.kind == "button"}.items()',
        py("presses_are_transitions_of_the_state"),
    ),
    Mutant(
        "pressed-once-for-many",
        STAGE,
        "for _ in range(min(int(times), 100) if button.press else 0):",
        "if button.press:",
        py("presses_are_transitions_of_the_state"),
    ),
    Mutant(
        "moved-controls-not-told",
        STAGE,
        '"set": {name: state[name] for name in sorted(moved)}',
        '"set": {}',
        py("presses_are_transitions_of_the_state", "a_frame_may_move_controls"),
    ),
    Mutant(
        "drawn-from-the-model-in-training",
        TRAINER,
        "twin = copy.deepcopy(model)",
        "twin = model",
        py("snapshots_do_not_change_when_training_goes_on"),
    ),
    Mutant(
        "snapshot-left-in-training-mode",
        TRAINER,
        "return twin.eval().requires_grad_(False)",
        "return twin.requires_grad_(False)",
        py("snapshots_do_not_change_when_training_goes_on"),
    ),
    Mutant(
        "checkpoints-without-end",
        TRAINER,
        "if len(self._kept) >= self.keep:",
        "if len(self._kept) >= 10**9:",
        py("checkpoints_span_the_run_and_stay_few"),
    ),
    Mutant(
        "checkpoints-crowd-at-the-end",
        TRAINER,
        "self._stride *= 2",
        "self._stride *= 1",
        py("checkpoints_span_the_run_and_stay_few"),
    ),
    Mutant(
        "pause-shows-an-older-step",
        TRAINER,
        "if seen < self.steps:  # whoever",
        "if seen > self.steps:  # whoever",
        py("pause_shows_the_very_last_step"),
    ),
    Mutant(
        "error-of-the-training-vanishes",
        TRAINER,
        "            self.error = error\n",
        "            self.done = True\n",
        py("an_error_ends_the_run_is_shown_and_can_be_tried_again"),
    ),
    Mutant(
        "generator-left-open",
        TRAINER,
        "                    generator.close()",
        "                    pass",
        py("stop_closes_the_generator"),
    ),
    Mutant(
        "training-holds-up-the-hand",
        TRAINER,
        "_drawing.wait_for(lambda: _draws == 0, PATIENCE)",
        "pass",
        py("training_lets_the_hand_go_first"),
    ),
    Mutant(
        "a-page-starves-the-training",
        TRAINER,
        "_drawing.wait_for(lambda: _draws == 0, PATIENCE)",
        "_drawing.wait_for(lambda: _draws == 0)",
        py("training_lets_the_hand_go_first"),
    ),
    Mutant(
        "trainer-keeps-closed-stages",
        TRAINER,
        "weakref.WeakMethod(method)",
        "lambda: method",
        py("a_trainer_does_not_keep_a_closed_stage"),
    ),
    Mutant(
        "noise-drawn-anew-in-every-frame",
        HONEST,
        "private = torch.Generator().manual_seed(seed)",
        "private = torch.default_generator",
        py("noise_stays_until_it_is_pressed"),
    ),
    Mutant(
        "pressing-changes-no-noise",
        HONEST,
        "words = [self.seed, press, int(uniform), *shape]",
        "words = [self.seed, int(uniform), *shape]",
        py("noise_stays_until_it_is_pressed"),
    ),
    Mutant(
        "density-without-2pi",
        HONEST,
        "z @ z + len(z) * math.log(2 * math.pi)",
        "z @ z",
        py("density_and_shell_of_a_latent"),
    ),
    Mutant(
        "shell-of-the-square",
        HONEST,
        "stats.chi.ppf",
        "stats.chi2.ppf",
        py("density_and_shell_of_a_latent"),
    ),
    Mutant(
        "picture-of-the-page-not-of-the-state",
        f"{HERE}/still.py",
        "states = sorted({round(v) for v in np.linspace(0, line.now() - 1, min(line.now(), 120))})",
        "states = [0] * line.now()",
        py("gif_has_a_frame_for_every_state"),
    ),
    Mutant(
        "ellipse-of-the-variance",
        f"{HERE}/overlay.py",
        "vectors * np.sqrt(np.clip(values, 0, None))[:, None, :]",
        "vectors * values[:, None, :]",
        py("ellipse_is_the_level_set_of_the_density"),
    ),
    Mutant(
        "activation-between-two-layers-lost",
        f"{HERE}/decoder.py",
        "        layers[-1][2] = kind\n",
        "        pass\n",
        py("decoder_computes_what_torch_computes"),
    ),
    Mutant(
        "control-taken-for-a-plane-of-its-own-by-its-name",
        f"{HERE}/still.py",
        "if place_of(c) and not c.on]",
        "if place_of(c) == c.name]",
        py("a_control_may_have_the_name_of_the_view_it_lies_on"),
    ),
    Mutant(
        "two-views-of-one-name",
        STAGE,
        'hasattr(control, "on") and control.name in names',
        'hasattr(control, "on") and not names',
        py("a_callback_that_returns_no_picture_is_told_at_once"),
    ),
    Mutant(
        "axis-label-over-the-numbers",
        f"{HERE}/still.py",
        "left = max(left_of(sheet, view, wide) for view, wide in zip(row, widths))",
        "left = AXES[0]",
        py("numbers_and_label_of_an_axis_stand_apart"),
    ),
]
