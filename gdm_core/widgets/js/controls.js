// Controls beside the pictures.  Each maker gets the control's spec and `stage` and returns { el, show(value) }.
// stage.move(name, value) changes the state and asks for a picture; stage.state[name] is the present value.

const number = (value) => (Number.isInteger(value) ? String(value) : String(+value.toPrecision(3))).replace("-", "−");

/** A labeled range input that also takes shift for steps of ten; convert maps its position to the value and back. */
function rangeInput(spec, { low, high, step, words, toValue = (v) => v, toPosition = (v) => v, moved }) {
  const input = h("input", {
    type: "range",
    min: low,
    max: high,
    step,
    "aria-label": spec.label,
    "data-control": spec.name,
  });
  const said = h("output", { class: "number" });
  const fill = () =>
    input.style.setProperty("--done", `${(100 * (input.value - input.min)) / (input.max - input.min || 1)}%`);
  input.addEventListener("input", () => moved(toValue(+input.value)));
  input.addEventListener("keydown", (event) => {
    const big = 10 * step;
    const by =
      { PageUp: big, PageDown: -big }[event.key] ??
      (event.shiftKey ? { ArrowUp: big, ArrowRight: big, ArrowDown: -big, ArrowLeft: -big }[event.key] : undefined);
    if (by === undefined) return;
    event.preventDefault();
    input.value = +input.value + by;
    moved(toValue(+input.value));
  });
  const show = (value) => {
    input.value = toPosition(value);
    said.textContent = words(value);
    input.setAttribute("aria-valuetext", words(value));
    fill();
  };
  return { input, said, show, fill };
}

const MAKE = {
  slider(spec, stage) {
    const { low, high, log, whole, unit } = spec;
    const span = log ? Math.log(high / low) : 0;
    const range = rangeInput(spec, {
      low: log ? 0 : low,
      high: log ? 1 : high,
      step: spec.step,
      words: (value) => number(value) + (unit ? ` ${unit}` : ""),
      toValue: (position) =>
        log
          ? +(low * Math.exp(position * span)).toPrecision(4)
          : whole
            ? Math.round(position)
            : +position.toPrecision(10),
      toPosition: (value) => (log ? Math.log(value / low) / span : value),
      moved: (value) => stage.move(spec.name, value),
    });
    return {
      el: h("label", { class: `control slider${spec.label.length > 3 ? "" : " brief"}` }, h("span", { class: "name" }, spec.label), range.said, range.input),
      show: range.show,
    };
  },

  choice(spec, stage) {
    const few = spec.options.length <= 10 && spec.options.join("").length <= 36;
    if (!few) {
      const select = h("select", {
        "aria-label": spec.label,
        "data-control": spec.name,
        onchange: () => stage.move(spec.name, spec.options[select.selectedIndex]),
      });
      select.append(...spec.options.map((option) => h("option", {}, String(option))));
      const show = (value) => (select.selectedIndex = spec.options.indexOf(value));
      return { el: h("label", { class: "control" }, h("span", { class: "name" }, spec.label), select), show };
    }
    const group = `${stage.id}-${spec.name}`;
    const inputs = spec.options.map((option) =>
      h("input", { type: "radio", name: group, onchange: () => stage.move(spec.name, option) }),
    );
    const options = spec.options.map((option, i) => h("label", {}, inputs[i], h("span", {}, String(option))));
    const segments = h("div", { class: "segments" }, ...options);
    const widest = 1.1 + 0.6 * Math.max(2, ...spec.options.map((option) => String(option).length)); // em
    new ResizeObserver(() => {
      const fit = Math.max(1, Math.floor(segments.clientWidth / (widest * stage.theme.size + 4)));
      const rows = Math.ceil(options.length / fit); // as few rows as fit, all of one length
      segments.style.gridTemplateColumns = `repeat(${Math.ceil(options.length / rows)}, 1fr)`;
    }).observe(segments);
    const el = h(
      "fieldset",
      { class: "control choice", "data-control": spec.name },
      h("legend", { class: "name" }, spec.label),
      segments,
    );
    return { el, show: (value) => inputs.forEach((input, i) => (input.checked = spec.options[i] === value)) };
  },

  toggle(spec, stage) {
    const input = h("input", {
      type: "checkbox",
      role: "switch",
      "data-control": spec.name,
      onchange: () => stage.move(spec.name, input.checked),
    });
    return {
      el: h("label", { class: "control toggle" }, input, h("span", { class: "name" }, spec.label)),
      show: (value) => (input.checked = value),
    };
  },

  button(spec, stage) {
    const button = h(
      "button",
      { type: "button", class: "push plain", "data-control": spec.name, onclick: () => stage.press(spec.name) },
      spec.label,
    );
    return { el: h("div", { class: "control press" }, button), show: () => {} };
  },

  timeline(spec, stage) {
    let length = spec.length,
      timer = 0;
    const last = () => length - 1;
    const index = () => (stage.state[spec.name] === -1 ? last() : stage.state[spec.name]);
    const go = (value) => stage.move(spec.name, spec.follow && value >= last() ? -1 : value);
    const range = rangeInput(spec, {
      low: 0,
      high: last(),
      step: 1,
      words: (value) => `${value === -1 ? last() : value} / ${last()}`,
      toPosition: (value) => (value === -1 ? last() : value),
      moved: (value) => {
        stop();
        go(value);
      },
    });
    const play = h("button", {
      type: "button",
      class: "play",
      "data-control": `${spec.name} play`,
      onclick: () => (timer ? stop() : start()),
    });
    const look = () => {
      play.textContent = timer ? "❚❚" : "▶";
      play.setAttribute("aria-label", timer ? `Pause ${spec.label}` : `Play ${spec.label}`);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      look();
    };
    const start = () => {
      if (index() >= last()) go(0);
      timer = setInterval(() => {
        if (!stage.idle()) return; // as fast as the pictures come, and no state left out
        if (index() < last()) go(index() + 1);
        else if (spec.loop) go(0);
        else stop();
      }, 1000 / spec.fps);
      look();
    };
    look();
    return {
      el: h(
        "div",
        { class: "control timeline" },
        h("span", { class: "name" }, spec.label),
        range.said,
        play,
        range.input,
      ),
      show: range.show,
      grow(now) {
        if (now === length) return;
        length = now;
        range.input.max = last();
        range.show(stage.state[spec.name]);
      },
      length: () => length,
      stop,
    };
  },
};

/** Start, pause, step and reset of a background training, with its progress. */
function trainingStrip(stage) {
  const start = h(
    "button",
    {
      type: "button",
      class: "push",
      "data-control": "train start",
      onclick: () => stage.train(running ? "pause" : "start"),
    },
    "Train",
  );
  const step = h(
    "button",
    { type: "button", class: "push quiet", "data-control": "train step", onclick: () => stage.train("step") },
    "Step",
  );
  const reset = h(
    "button",
    { type: "button", class: "push quiet", "data-control": "train reset", onclick: () => stage.train("reset") },
    "Restart",
  );
  const bar = h("progress", { "aria-label": "Training progress" });
  const said = h("output", { class: "number" });
  const alarm = h("p", { class: "alert", role: "alert", hidden: true });
  let running = false;
  return {
    el: h(
      "div",
      { class: "control training" },
      h("div", { class: "row" }, start, step, reset),
      h("div", { class: "row" }, bar, said),
      alarm,
    ),
    show(status) {
      running = status.running;
      start.textContent = running ? "Pause" : status.done ? "Again" : status.steps ? "Go on" : "Train";
      bar.hidden = !status.total;
      if (status.total) {
        bar.max = status.total;
        bar.value = status.steps;
      }
      const rate = running && status.rate ? ` · ${number(status.rate)} steps/s` : status.done ? " · done" : "";
      said.textContent = `step ${status.steps}${status.total ? ` of ${status.total}` : ""}${rate}`;
      alarm.textContent = status.error;
      alarm.hidden = !status.error;
    },
  };
}
