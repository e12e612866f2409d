// The stage itself: builds the page from the spec, keeps the state, asks for frames and shows them.

const SETTLED = 250; // milliseconds without a move until the state goes to the kernel's model

function render({ model, el }) {
  const spec = model.get("spec");
  const id = `stage-${Math.random().toString(36).slice(2)}`;
  const controls = new Map(), views = new Map(), kept = new Map(), clean = [];
  let presses = {}, trains = [], fresh = true, settle = 0, read = "", speak = 0, recorder = null;
  const moved = new Set(); // controls that a hand moved since the last request

  // Elements.
  const alarm = h("p", { class: "alert", role: "alert", hidden: true });
  const status = h("p", { class: "status", role: "status", hidden: true });
  const row = h("div", { class: "views" });
  const panel = h("div", { class: "controls" });
  const said = h("p", { class: "said" });
  const spoken = h("p", { class: "unseen", "aria-live": "polite" });
  const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Keep this picture" });
  const badge = h("output", { class: "badge", hidden: true });
  const head = h("header", {}, h("h3", { hidden: !spec.title }, spec.title), badge, h("p", { class: "caption", hidden: !spec.caption }, spec.caption));
  const root = h("section", { class: "card", "aria-label": spec.title || "Stage", "data-lm-suppress-shortcuts": "true" }, head, alarm, status, h("div", { class: "body" }, h("div", { class: "left" }, row, said), panel), tools, spoken);
  el.classList.add("gdm");
  el.append(root);

  const stage = {
    id, spec, root, views, initial: spec.initial, held: 0,
    state: { ...structuredClone(spec.initial), ...structuredClone(model.get("state")) },
    theme: readTheme(root),
    measure() {
      if (parseFloat(getComputedStyle(root).fontSize) !== stage.theme.size) stage.theme = readTheme(root);
    },
    /** A hand moved a control: show it at once, ask for the picture. */
    move(name, value) {
      stage.state[name] = value;
      moved.add(name);
      show(name);
      later();
      requests.want();
    },
    press(name) {
      presses[name] = (presses[name] ?? 0) + 1;
      stage.move(name, stage.state[name] + 1);
    },
    train(wish) {
      trains.push(wish);
      requests.want();
    },
    /** Take over a state: from the kernel, a link, a reset. */
    adopt(state) {
      for (const name of Object.keys(stage.state)) if (name in state) stage.state[name] = structuredClone(state[name]);
      controls.forEach((_, name) => show(name));
      requests.want();
    },
    settled: () => later(),
    idle: () => requests.idle(),
    say: (words) => {
      status.textContent = words;
      status.hidden = !words;
    },
    read: () => read,
    timeline: () => [...controls].find(([, control]) => control.length),
    record: (take) => (recorder = take),
  };
  const show = (name) => controls.get(name)?.show(stage.state[name]);
  const later = () => {
    clearTimeout(settle);
    settle = setTimeout(() => {
      settle = 0;
      model.set("state", structuredClone(stage.state));
      model.save_changes();
    }, SETTLED);
  };

  // Requests and replies.
  const lag = lagMeter();
  const requests = flow({
    ask(n) {
      const message = { kind: "draw", view: id, n, state: stage.state, presses, train: trains };
      if (fresh) message.fresh = true;
      [presses, trains, fresh] = [{}, [], false];
      moved.clear();
      try {
        model.send(message);
      } catch (error) {
        stage.say(`The message did not leave this page (${error.message}). The picture stays.`);
      }
    },
    late: () => stage.say(GONE()),
    heard: () => stage.say(""),
  });
  const GONE = () =>
    el.closest(".jupyter-widgets-disconnected")
      ? "The kernel was restarted or is gone. The picture stays; run this cell again, or reload the app's page."
      : "The kernel does not answer: it is busy, or it was restarted. The picture stays and follows as soon as it answers; after a restart, run this cell again.";

  const receive = (message, buffers) => {
    if (message.kind === "stale") return requests.want();
    if (message.view !== id) return;
    const took = requests.answer(message.n, message.ms, () => (message.kind === "frame" ? accept(message, buffers) : fail(message)));
    if (message.trainer) training?.show(message.trainer);
    for (const [name, length] of Object.entries(message.lengths ?? {})) controls.get(name)?.grow?.(length);
    if (message.kind === "frame") lag.add(took);
  };
  const fail = ({ text }) => {
    alarm.textContent = text;
    alarm.hidden = false;
  };
  const accept = ({ frame: header, set }, buffers) => {
    const frame = unpack(header, buffers, kept);
    if (!frame) {
      fresh = true;
      return requests.want();
    }
    alarm.hidden = true;
    for (const [name, value] of Object.entries(set ?? {})) {
      if (moved.has(name)) continue; // the hand is already further on
      stage.state[name] = value;
      later();
    }
    for (const content of frame.views) need(content.name).update(content);
    for (const [name, view] of views) if (!view.own && !frame.views.some((v) => v.name === name)) view.figure.hidden = true;
    for (const name of Object.keys(set ?? {})) show(name);
    read = frame.text;
    if (said.textContent !== read) said.textContent = read;
    clearTimeout(speak);
    speak = setTimeout(() => {
      spoken.textContent = [read, ...frame.views.map((v) => v.warning)].filter(Boolean).join(". ");
      frame.views.forEach((v) => views.get(v.name).describe(read));
    }, 600);
    recorder?.();
  };

  /** The view of that name; made, with the controls that lie on it, when it is first named. */
  const need = (name) => {
    let view = views.get(name);
    if (!view) {
      view = makeView(name, stage);
      views.set(name, view);
      row.append(view.figure);
      view.moved = () => on.forEach((control) => view.extent && show(control));
      const on = spec.controls.filter((c) => c.on === name).map((c) => c.name);
      for (const control of spec.controls.filter((c) => c.on === name)) {
        view.extent ??= control.extent ?? [0, 1, 0, 1];
        const layer = view.addLayer(["pad", "tiles", "brush"].includes(control.kind));
        layer.inert = Boolean(control.frozen);
        if (control.on !== control.name && control.kind !== "tiles") view.figure.classList.add("held");
        controls.set(control.name, ON_VIEW[control.kind](control, stage, view, layer));
      }
    }
    view.figure.hidden = false;
    const count = [...views.values()].filter((other) => !other.figure.hidden).length;
    row.style.setProperty("--rows", count > 3 ? 2 : 1);
    row.style.setProperty("--share", count === 3 ? "15cqi" : "22cqi");
    return view;
  };

  // Controls: those beside the pictures now, those on a view together with it.
  for (const control of spec.controls) {
    if (MAKE[control.kind]) {
      controls.set(control.name, MAKE[control.kind](control, stage));
      let place = panel;
      if (control.kind === "button") {
        if (!panel.lastElementChild?.matches(".presses")) panel.append(h("div", { class: "presses" }));
        place = panel.lastElementChild; // buttons that follow each other share a row
      }
      place.append(controls.get(control.name).el);
    } else if (!control.on) {
      const [width, height] = [control.width ?? 1, control.height ?? 1];
      control.on = control.name; // a plane of its own
      const view = need(control.name);
      view.own = true;
      const extent = control.extent ?? [0, width, height, 0];
      const aspect = Math.abs((extent[1] - extent[0]) / (extent[3] - extent[2]));
      const across = (share) => extent[0] + share * (extent[1] - extent[0]), up = (share) => extent[2] + share * (extent[3] - extent[2]);
      const cross = [[0, 0.5], [1, 0.5], [0.5, 0], [0.5, 1]].flatMap(([u, v]) => [across(u), up(v)]);
      const axes = { mark: "lines", counts: [2, 2], xy: { data: cross }, color: "line", alpha: 1, width: 1, dash: false, fill: false };
      const marks = (control.labels ?? []).map((text, i) => ({
        mark: "text", text: [text], size: 14, anchor: i ? "left" : "right", color: "soft", alpha: 1,
        xy: { data: i ? [across(0.5), up(0.94)] : [across(1), up(0.55)] },
      }));
      if (control.labels) marks.unshift(axes);
      view.update({ name: control.name, label: control.label, extent, aspect, axes: false, marks, warning: "", size: 1, smooth: false });
      view.figure.classList.add("plain");
    }
  }
  for (const room of spec.views) need(room.name).update({ ...room, marks: [], warning: "", blank: true });
  new ResizeObserver(() => levelCaptions([...views.values()])).observe(row);
  const training = spec.trainer ? trainingStrip(stage) : null;
  if (training) panel.append(training.el);
  panel.hidden = !panel.children.length;
  toolbar(stage, tools, { badge, lag });
  if (spec.note) tools.append(h("span", { class: "done" }, spec.note));

  // Life.
  model.on("msg:custom", receive);
  const changed = () => {
    const state = model.get("state");
    if (!stage.held && !settle && JSON.stringify(state) !== JSON.stringify(stage.state)) stage.adopt(state);
  };
  model.on("change:state", changed);
  const lost = () => setTimeout(() => el.closest(".jupyter-widgets-disconnected") && stage.say(GONE()));
  model.on("comm_live_update", lost);
  clean.push(watchSight(root, (seen) => requests.look(seen)));
  clean.push(watchTheme(() => {
    stage.theme = readTheme(root);
    views.forEach((view) => view.content && (legend(view.figure.querySelector(".below"), view.content, stage.theme), view.draw()));
  }));
  if (spec.link) {
    const follow = () => stage.adopt(stateOfLink(stage));
    Object.assign(stage.state, stateOfLink(stage));
    addEventListener("hashchange", follow);
    clean.push(() => removeEventListener("hashchange", follow));
  }
  controls.forEach((_, name) => show(name));
  requests.want();
  return () => {
    model.off("msg:custom", receive);
    model.off("change:state", changed);
    model.off("comm_live_update", lost);
    clean.forEach((stop) => stop());
    controls.forEach((control) => control.stop?.());
    clearTimeout(settle);
    clearTimeout(speak);
    requests.close();
  };
}

export default { render };
