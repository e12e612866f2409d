// How a hand moves something on a view: drags, keys, and the knob that both take hold of.

/** With as many digits as a hand can mean. */
const neat = (value, step) => +value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(step) || 1))));

/** Arrow, page and end keys -> a move in units of the step: [dx, dy], or where to go: { x, y } in [0, 1]. */
function planeKey(event) {
  const times = event.shiftKey ? 10 : 1;
  const moves = {
    ArrowRight: [times, 0],
    ArrowLeft: [-times, 0],
    ArrowUp: [0, times],
    ArrowDown: [0, -times],
    PageUp: [0, 10],
    PageDown: [0, -10],
  };
  const ends = event.shiftKey ? { Home: { y: 0 }, End: { y: 1 } } : { Home: { x: 0 }, End: { x: 1 } };
  return { move: moves[event.key], end: ends[event.key], home: event.key === "0" };
}

/** Report drags that begin on `target` as (x, y) in the view's data coordinates. */
function dragging(target, view, layer, stage, { begin = () => true, moved, ended = () => {} }) {
  let offset = [0, 0];
  const place = (event) => {
    const box = layer.getBoundingClientRect();
    return view.at().back(event.clientX - box.left - offset[0], event.clientY - box.top - offset[1]);
  };
  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    offset = begin(event) ?? [0, 0];
    target.setPointerCapture(event.pointerId);
    stage.held += 1;
    event.preventDefault();
    event.stopPropagation();
    moved(...place(event));
  });
  target.addEventListener("pointermove", (event) => {
    if (target.hasPointerCapture(event.pointerId)) moved(...place(event));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    target.addEventListener(end, (event) => {
      if (!target.hasPointerCapture(event.pointerId)) return;
      if (end === "pointerup") moved(...place(event));
      target.releasePointerCapture(event.pointerId);
      stage.held -= 1;
      ended();
    });
  }
}

/** A knob with its own focus; put(x, y) in data coordinates. */
function makeKnob(view, layer, label, color, text = "", small = false) {
  const knob = h(
    "div",
    {
      class: `knob${small ? " small" : ""}`,
      tabindex: 0,
      role: "slider",
      "aria-roledescription": "2-D slider",
      "aria-label": label,
    },
    h("span", {}, h("b", {}, text)),
  );
  knob.style.setProperty("--mine", color);
  layer.append(knob);
  return {
    el: knob,
    put(x, y, words) {
      const at = view.at();
      knob.style.left = `${at.x(x)}px`;
      knob.style.top = `${at.y(y)}px`;
      knob.setAttribute("aria-valuenow", x);
      knob.setAttribute("aria-valuetext", words);
    },
  };
}

/** Coordinates with as many digits as the step deserves. */
const pair = (x, y, step) => {
  const digits = decimals(step);
  return [fixed(x, digits), fixed(y, digits)];
};

/** Drag a knob from where it is grabbed, so that it does not jump under the finger. */
function draggable(knob, view, layer, stage, place, go) {
  dragging(knob.el, view, layer, stage, {
    begin(event) {
      knob.el.focus({ preventScroll: true });
      const box = layer.getBoundingClientRect(),
        at = view.at(),
        [x, y] = place();
      return [event.clientX - box.left - at.x(x), event.clientY - box.top - at.y(y)];
    },
    moved: go,
  });
}

function keyed(knob, view, stage, place, go, size, initial) {
  knob.el.addEventListener("keydown", (event) => {
    const { move, end, home } = planeKey(event);
    const [x, y] = place(),
      [left, right, bottom, top] = view.extent,
      step = size();
    if (move) go(x + step * move[0] * Math.sign(right - left), y + step * move[1] * Math.sign(top - bottom));
    else if (end) go("x" in end ? (end.x ? right : left) : x, "y" in end ? (end.y ? top : bottom) : y);
    else if (home) go(...initial().slice(0, 2));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
