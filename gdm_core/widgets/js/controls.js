// Controls beside the pictures.  Each maker gets the control's spec and `stage` and returns { el, show(value) }.
// stage.move(name, value) changes the state and asks for a picture; stage.state[name] is the present value.

const minus = (value) => String(value + 0).replace("-", "−"); // and no minus before a zero
const number = (value) => minus(Number.isInteger(value) ? value : +value.toPrecision(3));

/** Index of the stop nearest to `wanted`, the later of two; when that is where one is, the next on the way. */
function stopAt(stops, wanted, now) {
  let at = 0;
  stops.forEach((stop, i) => Math.abs(stop - wanted) <= Math.abs(stops[at] - wanted) && (at = i));
  if (stops[at] === now && wanted !== now) at += Math.sign(wanted - now);
  return clamp(at, 0, stops.length - 1);
}

/** How many decimals a step deserves. */
const decimals = (step) => clamp(-Math.floor(Math.log10(Math.abs(step)) + 1e-9), 0, 6);

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

/** Positions of a range input that only stops at some values. */
const atStops = (stops) => ({
  low: 0,
  high: stops.length - 1,
  step: 1,
  toValue: (position) => stops[position],
  toPosition: (value) => stopAt(stops, value, value),
});

const MAKE = {
  slider(spec, stage) {
    const { low, high, log, whole, unit } = spec;
    const span = log ? Math.log(high / low) : 0;
    const range = rangeInput(spec, {
      low: log ? 0 : low,
      high: log ? 1 : high,
      step: spec.step,
      words: (value) => (log ? number(value) : minus(+value.toFixed(decimals(spec.step)))) + (unit ? ` ${unit}` : ""),
      toValue: (position) =>
        whole
          ? Math.round(log ? low * Math.exp(position * span) : position)
          : log
            ? +(low * Math.exp(position * span)).toPrecision(4)
            : +position.toPrecision(10),
      toPosition: (value) => (log ? Math.log(value / low) / span : value),
      moved: (value) => stage.move(spec.name, value),
      ...(spec.stops && atStops(spec.stops)),
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
      const size = parseFloat(getComputedStyle(segments).fontSize);
      if (!size) return; // not in the page
      const fit = Math.max(1, Math.floor(segments.clientWidth / (widest * size + 4)));
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

  words(spec, stage) {
    const input = h("input", {
      type: "text",
      maxlength: spec.most,
      spellcheck: false,
      autocomplete: "off",
      autocapitalize: "off",
      "aria-label": spec.label,
      "data-control": spec.name,
      onchange: () => stage.move(spec.name, input.value), // Enter, or when one leaves it
      onkeydown: (event) => event.stopPropagation(), // a notebook's shortcuts are letters too
    });
    const el = h("label", { class: "control" }, h("span", { class: "name" }, spec.label), input);
    return { el, show: (value) => document.activeElement !== input && (input.value = value) };
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
    return {
      el: h("div", { class: "control press" }, button),
      show: (times) => (button.disabled = times >= spec.most), // a page of samples knows so many presses
    };
  },

  timeline(spec, stage) {
    let states = statesOf(spec.stops ?? spec.length),
      told = JSON.stringify(spec.stops ?? spec.length),
      timer = 0;
    const last = () => states.length - 1;
    const place = (value) => (value === -1 ? last() : stopAt(states, value, value));
    const index = () => place(stage.state[spec.name]);
    const go = (at) => stage.move(spec.name, spec.follow && at >= last() ? -1 : states[at]);
    const range = rangeInput(spec, {
      low: 0,
      high: last(),
      step: 1,
      words: (value) =>
        spec.live
          ? `step ${count(states[place(value)])}${spec.total ? ` of ${count(spec.total)}` : ""}`
          : `${states[place(value)]} / ${states[last()]}`,
      toPosition: place,
      moved: (at) => {
        stop();
        go(at);
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
    const el = h(
      "div",
      { class: "control timeline", hidden: last() < 1 },
      h("span", { class: "name" }, spec.label),
      range.said,
      play,
      range.input,
    );
    return {
      el,
      show: range.show,
      grow(now) {
        if (JSON.stringify(now) === told) return;
        told = JSON.stringify(now);
        states = statesOf(now);
        el.hidden = last() < 1; // one state is no line
        range.input.max = last();
        range.show(stage.state[spec.name]);
      },
      states: () => states,
      stop,
    };
  },
};

/** A number of states, or their numbers. */
const statesOf = (told) => (Array.isArray(told) ? told : Array.from({ length: told }, (_, i) => i));
const count = (value) => value.toLocaleString("en-US");

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
  let running = false,
    steps = 0;
  return {
    el: h(
      "div",
      { class: "control training" },
      h("div", { class: "row" }, start, step, reset),
      h("div", { class: "row" }, bar, said),
      alarm,
    ),
    steps: () => steps,
    show(status) {
      running = status.running;
      steps = status.steps;
      start.textContent = running ? "Pause" : status.done ? "Again" : status.steps ? "Resume" : "Train";
      if (status.total) {
        bar.max = status.total;
        bar.value = status.steps;
      }
      bar.hidden = !status.total || !(status.steps || running);
      reset.disabled = !(status.steps || running);
      const rate = running && status.rate ? ` · ${number(status.rate)} steps/s` : status.done ? " · done" : "";
      const all = status.total ? count(status.total) : "";
      said.textContent =
        status.steps || running
          ? `step ${count(status.steps)}${all && ` of ${all}`}${rate}`
          : `Train starts from scratch${all && `: ${all} steps`}`;
      alarm.textContent = status.error;
      alarm.hidden = !status.error;
    },
  };
}
