// The stage itself: builds the page from the spec, keeps the state, asks for frames and shows them.

const SETTLED = 250; // milliseconds without a move until the state goes to the kernel's model

const GONE = "The kernel was restarted or is gone. The picture stays; run this cell again, or reload the app's page.";
const SILENT =
  "The kernel does not answer: it is busy, or it was restarted. The picture stays and follows as soon as it answers; " +
  "after a restart, run this cell again.";

function render({ model, el }) {
  const spec = structuredClone(model.get("spec"));
  const id = `stage-${Math.random().toString(36).slice(2)}`;
  const controls = new Map(),
    views = new Map(),
    waiting = new Map(), // layers that are there while some choice is made
    kept = new Map(),
    told = new Map(), // of each view, what the kernel last said of it, arrays by their names
    clean = [];
  let presses = {},
    trains = [],
    fresh = true,
    settle = 0,
    read = "",
    speak = 0,
    drawn = false, // whether the kernel has answered
    open = recall(spec.name), // whether all of the read-out is shown
    recorder = null;
  const moved = new Set(); // controls that a hand moved since the last request

  // Elements.
  const alarm = h("p", { class: "alert", role: "alert", hidden: true });
  const status = h("p", { class: "status", role: "status", hidden: true });
  const row = h("div", { class: "views" });
  const panel = h("div", { class: "controls" });
  const said = h("p", { class: "said" });
  const rest = h("p", { class: "rest", id: `${id}-rest` });
  const more = h("button", { type: "button", class: "quiet more", "aria-controls": rest.id, onclick: () => unfold(!open) });
  const reading = h("div", { class: "reading" }, said, more, rest);
  const spoken = h("p", { class: "unseen", "aria-live": "polite" });
  const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Keep this picture" });
  const badge = h("output", { class: "badge", hidden: true });
  const head = h(
    "header",
    {},
    h("h3", { hidden: !spec.title }, spec.title),
    badge,
    h("p", { class: "note", hidden: !spec.note }, spec.note),
    h("p", { class: "caption", hidden: !spec.caption }, spec.caption),
  );
  const root = h(
    "section",
    { class: "card", "aria-label": spec.title || "Stage", "data-lm-suppress-shortcuts": "true" },
    head,
    alarm,
    status,
    h("div", { class: "body" }, h("div", { class: "left" }, row, reading), panel),
    tools,
    spoken,
  );
  el.classList.add("gdm");
  el.append(root);

  const stage = {
    id,
    spec,
    root,
    views,
    initial: spec.initial,
    held: 0,
    state: { ...structuredClone(spec.initial), ...structuredClone(model.get("state")) },
    theme: readTheme(root),
    measure() {
      if (parseFloat(getComputedStyle(root).fontSize) !== stage.theme.size) stage.theme = readTheme(root);
    },
    /** A hand moved a control: ask for the picture, and show the control where it is while the request travels. */
    move(name, value) {
      stage.state[name] = value;
      moved.add(name);
      requests.want();
      show(name);
      later();
    },
    press(name) {
      presses[name] = (presses[name] ?? 0) + 1;
      stage.move(name, stage.state[name] + 1);
    },
    /** A choice that does something, again if it is made again. */
    choose(name, value, acts) {
      if (acts) presses[name] = 1;
      stage.move(name, value);
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
    timeline: () => [...controls].find(([, control]) => control.states?.().length > 1),
    trained: () => Boolean(training?.steps()),
    record: (take) => (recorder = take),
  };
  const show = (name) => {
    controls.get(name)?.show(stage.state[name]);
    for (const [layer, [other, option]] of waiting) layer.hidden = stage.state[other] !== option;
  };
  const later = () => {
    clearTimeout(settle);
    settle = setTimeout(commit, SETTLED);
  };
  const commit = () => {
    clearTimeout(settle);
    settle = 0;
    model.set("state", structuredClone(stage.state));
    model.save_changes();
  };

  const growing = () => drawn && !open; // longer words may come, and the picture stays where it is
  const layout = placing({ root, row, reading, tools, views, whole: spec.whole, growing, held: () => stage.held });

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
    late: () => complain(),
    heard: () => stage.say(""),
    busy: (on) => row.toggleAttribute("aria-busy", on) && row.setAttribute("aria-busy", "true"),
  });
  const complain = () => stage.say(el.closest(".jupyter-widgets-disconnected") ? GONE : SILENT);

  const receive = (message, buffers) => {
    if (message.kind === "stale") return requests.want(false);
    if (message.kind === "gone") return commit(); // whoever starts again begins where the hand was, though it never rested
    if (message.view !== id) return;
    const took = requests.answer(message.n, message.ms, message.cost, () =>
      message.kind === "frame" ? accept(message, buffers) : fail(message),
    );
    if (message.again) requests.want(false);
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
    frame.views.forEach((content, i) => {
      const words = JSON.stringify(header.views[i]);
      if (told.get(content.name) !== words) need(content.name).update(content); // most of a picture often stays
      told.set(content.name, words);
    });
    for (const view of views.values()) {
      const hidden = !view.own && !frame.views.some((v) => v.name === view.name);
      view.figure.hidden = hidden;
    }
    layout.arrange();
    for (const name of Object.keys(set ?? {})) show(name);
    if (said.textContent !== frame.text) said.textContent = frame.text;
    if (rest.textContent !== frame.more) rest.textContent = frame.more;
    unfold(open);
    clearTimeout(speak);
    speak = setTimeout(() => {
      spoken.textContent = [read, ...frame.views.map((v) => v.warning)].filter(Boolean).join(". ");
      frame.views.forEach((v) => views.get(v.name).describe(read));
    }, 600);
    if (!drawn) layout.anew();
    drawn = true;
    recorder?.();
  };
  const unfold = (wish) => {
    open = wish;
    more.textContent = open ? "less" : "more";
    more.setAttribute("aria-expanded", open);
    more.hidden = !rest.textContent;
    rest.hidden = !open || more.hidden;
    read = [said, rest].filter((part) => !part.hidden && part.textContent).map((part) => part.textContent).join(" · ");
    remember(spec.name, open);
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
        view.frozen = (view.frozen ?? true) && layer.inert;
        if (control.when) waiting.set(layer, control.when);
        if (!control.alone && control.kind !== "tiles") view.figure.classList.add("held");
        controls.set(control.name, ON_VIEW[control.kind](control, stage, view, layer));
        view.worked = true;
      }
    }
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
      control.on = control.name;
      control.alone = true; // no picture lies under it
      const view = need(control.name);
      view.own = true;
      view.update(ownPlane(control));
      view.figure.classList.add("plain");
    }
  }
  for (const room of spec.views) need(room.name).update({ ...room, marks: [], warning: "", blank: true });
  layout.arrange();
  clean.push(layout.follow());
  const training = spec.trainer ? trainingStrip(stage) : null;
  if (training) panel.append(training.el);
  panel.hidden = !panel.children.length;
  toolbar(stage, tools, { badge, lag });

  // Life.
  model.on("msg:custom", receive);
  const changed = () => {
    const state = model.get("state");
    if (!stage.held && !settle && JSON.stringify(state) !== JSON.stringify(stage.state)) stage.adopt(state);
  };
  model.on("change:state", changed);
  const lost = () => setTimeout(() => el.closest(".jupyter-widgets-disconnected") && complain());
  model.on("comm_live_update", lost);
  clean.push(watchSight(root, (seen) => requests.look(seen)));
  clean.push(
    watchTheme(() => {
      stage.theme = readTheme(root);
      views.forEach((view) => view.shades());
    }),
  );
  if (spec.link) {
    const follow = () => stage.adopt(stateOfLink(stage));
    Object.assign(stage.state, stateOfLink(stage));
    addEventListener("hashchange", follow);
    clean.push(() => removeEventListener("hashchange", follow));
  }
  controls.forEach((_, name) => show(name));
  requests.want();
  return () => {
    if (settle) commit();
    model.off("msg:custom", receive);
    model.off("change:state", changed);
    model.off("comm_live_update", lost);
    clean.forEach((stop) => stop());
    controls.forEach((control) => control.stop?.());
    clearTimeout(speak);
    requests.close();
  };
}

/** Whether the reader of this tab had unfolded the read-out of this stage: kept where a cell or a page is made anew. */
const RECALLED = "gdm-more ";
function recall(name) {
  try {
    return sessionStorage.getItem(RECALLED + name) === "true";
  } catch {
    return false; // a page from a file may have no storage
  }
}
function remember(name, open) {
  try {
    if (open !== recall(name)) sessionStorage.setItem(RECALLED + name, open);
  } catch {}
}

export default { render };
