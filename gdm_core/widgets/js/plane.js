// What a hand can move on a picture: the 2-D pad, points, Gaussians, tiles.  Pointer, touch and keys alike.
// Each maker gets the control's spec, `stage`, the view it lies on and a layer of its own there; returns { show(value) }.

const neat = (value, step) => +value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(step) || 1)))); // digits that a hand can mean

/** Arrow, page and end keys -> a move in units of the step: [dx, dy], or where to go: { x, y } in [0, 1]. */
function planeKey(event) {
  const times = event.shiftKey ? 10 : 1;
  const moves = { ArrowRight: [times, 0], ArrowLeft: [-times, 0], ArrowUp: [0, times], ArrowDown: [0, -times], PageUp: [0, 10], PageDown: [0, -10] };
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
  const knob = h("div", { class: `knob${small ? " small" : ""}`, tabindex: 0, role: "slider", "aria-roledescription": "2-D slider", "aria-label": label }, h("span", {}, h("b", {}, text)));
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
  const digits = clamp(-Math.floor(Math.log10(Math.abs(step))), 0, 6);
  return [fixed(x, digits), fixed(y, digits)];
};

const ON_VIEW = {
  pad(spec, stage, view, layer) {
    const { extent, labels, step } = spec;
    const [left, right, bottom, top] = extent;
    const knob = makeKnob(view, layer, `${spec.label}: arrow keys move, shift for big steps, Home and End go to the edges, 0 to the start`, "var(--latent)");
    knob.el.dataset.control = spec.name;
    knob.el.setAttribute("aria-valuemin", Math.min(left, right));
    knob.el.setAttribute("aria-valuemax", Math.max(left, right));
    const go = (x, y) => stage.move(spec.name, [neat(clamp(x, left, right), step), neat(clamp(y, bottom, top), step)]);
    dragging(layer, view, layer, stage, {
      begin: () => knob.el.focus({ preventScroll: true }),
      moved: go,
    });
    knob.el.addEventListener("keydown", (event) => {
      const { move, end, home } = planeKey(event);
      const [x, y] = stage.state[spec.name];
      if (move) go(x + step * move[0] * Math.sign(right - left), y + step * move[1] * Math.sign(top - bottom));
      else if (end) go("x" in end ? (end.x ? right : left) : x, "y" in end ? (end.y ? top : bottom) : y);
      else if (home) go(...stage.initial[spec.name]);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return {
      show([x, y]) {
        const [tx, ty] = pair(x, y, step), words = `${labels[0]} ${tx}, ${labels[1]} ${ty}`;
        knob.put(x, y, words);
        if (view.own) view.note(words);
      },
    };
  },

  handles(spec, stage, view, layer) {
    const size = () => spec.step ?? Math.abs(view.extent[1] - view.extent[0]) / 100;
    const knobs = spec.labels.map((label, k) => {
      const color = spec.color ? `var(--${spec.color}, ${spec.color})` : `var(--${CYCLE[k % CYCLE.length]})`;
      const knob = makeKnob(view, layer, `${spec.label} ${label}: arrow keys move, shift for big steps`, color, label);
      knob.el.dataset.control = `${spec.name} ${label}`;
      const go = (x, y) => stage.move(spec.name, stage.state[spec.name].map((row, i) => (i === k ? [neat(x, size()), neat(y, size())] : row)));
      draggable(knob, view, layer, stage, () => stage.state[spec.name][k], go);
      keyed(knob, view, stage, () => stage.state[spec.name][k], go, size, () => stage.initial[spec.name][k]);
      return knob;
    });
    return { show: (rows) => rows.forEach(([x, y], k) => knobs[k].put(x, y, `x ${pair(x, y, size())[0]}, y ${pair(x, y, size())[1]}`)) };
  },

  gaussians(spec, stage, view, layer) {
    const { radius, smallest } = spec;
    const size = () => Math.abs(view.extent[1] - view.extent[0]) / 100;
    const rows = () => stage.state[spec.name];
    const change = (k, values) => stage.move(spec.name, rows().map((row, i) => (i === k ? values : row)));
    const bound = (std) => Math.max(smallest, neat(std, size()));
    const all = spec.labels.map((label, k) => {
      const color = `var(--${CYCLE[k % CYCLE.length]})`;
      const center = makeKnob(view, layer, `Mean of ${spec.label} ${label}: arrow keys move, shift for big steps`, color, label);
      const goCenter = (x, y) => change(k, [neat(x, size()), neat(y, size()), ...rows()[k].slice(2)]);
      center.el.dataset.control = `${spec.name} ${label}`;
      draggable(center, view, layer, stage, () => rows()[k], goCenter);
      keyed(center, view, stage, () => rows()[k], goCenter, size, () => stage.initial[spec.name][k]);
      const ends = [0, 1].map((axis) => {
        const which = axis ? "Width across" : "Width along";
        const end = makeKnob(view, layer, `${which} the axis of ${spec.label} ${label}: up and down stretch, left and right turn`, color, "", true);
        end.el.dataset.control = `${spec.name} ${label} axis ${axis + 1}`;
        const place = () => {
          const [x, y, along, across, angle] = rows()[k];
          const turned = angle + (axis * Math.PI) / 2, length = radius * (axis ? across : along);
          return [x + length * Math.cos(turned), y + length * Math.sin(turned)];
        };
        draggable(end, view, layer, stage, place, (px, py) => {
          const [x, y, ...stds] = rows()[k];
          const angle = Math.atan2(py - y, px - x) - (axis * Math.PI) / 2;
          stds[axis] = bound(Math.hypot(px - x, py - y) / radius);
          change(k, [x, y, stds[0], stds[1], +angle.toFixed(4)]);
        });
        end.el.addEventListener("keydown", (event) => {
          const { move } = planeKey(event);
          if (!move) return;
          const row = [...rows()[k]];
          row[2 + axis] = bound(row[2 + axis] + move[1] * size());
          row[4] = +(row[4] - (move[0] * Math.PI) / 180).toFixed(4);
          change(k, row);
          event.preventDefault();
          event.stopPropagation();
        });
        return { ...end, place };
      });
      return { center, ends };
    });
    view.extras.push(() => {
      const data = new Float32Array(rows().flatMap(([x, y, along, across, angle]) => {
        const c = Math.cos(angle), s = Math.sin(angle);
        return [x, y, along * c, along * s, -across * s, across * c];
      }));
      const shades = rows().map((_, k) => ({ mark: "ellipses", alpha: 1, width: 2.5, radii: [radius], color: CYCLE[k % CYCLE.length], xy: { data: data.subarray(6 * k, 6 * k + 6) } }));
      return shades;
    });
    return {
      show(values) {
        values.forEach(([x, y, along, across, angle], k) => {
          const [tx, ty] = pair(x, y, size()), [sa, sb] = pair(along, across, size());
          all[k].center.put(x, y, `x ${tx}, y ${ty}`);
          all[k].ends.forEach((end, axis) => end.put(...end.place(), `standard deviation ${axis ? sb : sa}, turned ${((angle * 180) / Math.PI).toFixed(0)} degrees`));
        });
        view.draw();
      },
    };
  },

  tiles(spec, stage, view, layer) {
    const { rows, columns, count } = spec;
    const tile = h("div", { class: "tile", tabindex: 0, role: "slider", "data-control": spec.name, "aria-label": `${spec.label}: arrow keys choose`, "aria-valuemin": 0, "aria-valuemax": count - 1 });
    Object.assign(tile.style, { width: `${100 / columns}%`, height: `${100 / rows}%` });
    layer.append(tile);
    const go = (index) => stage.move(spec.name, clamp(index, 0, count - 1));
    const pick = (event) => {
      const box = layer.getBoundingClientRect();
      const column = clamp(Math.floor(((event.clientX - box.left) / box.width) * columns), 0, columns - 1);
      go(column + columns * clamp(Math.floor(((event.clientY - box.top) / box.height) * rows), 0, rows - 1));
    };
    layer.addEventListener("pointerdown", (event) => {
      pick(event);
      tile.focus({ preventScroll: true });
      event.preventDefault();
    });
    tile.addEventListener("keydown", (event) => {
      const now = stage.state[spec.name];
      const to = { ArrowRight: now + 1, ArrowLeft: now - 1, ArrowDown: now + columns, ArrowUp: now - columns, Home: 0, End: count - 1, PageDown: now + 3 * columns, PageUp: now - 3 * columns }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      if (to >= 0 && to < count) go(to);
    });
    return {
      show(index) {
        const row = Math.floor(index / columns), column = index % columns;
        Object.assign(tile.style, { left: `${(100 * column) / columns}%`, top: `${(100 * row) / rows}%` });
        tile.setAttribute("aria-valuenow", index);
        tile.setAttribute("aria-valuetext", `${index + 1} of ${count}: row ${row + 1}, column ${column + 1}`);
      },
    };
  },
};

/** Drag a knob from where it is grabbed, so that it does not jump under the finger. */
function draggable(knob, view, layer, stage, place, go) {
  dragging(knob.el, view, layer, stage, {
    begin(event) {
      knob.el.focus({ preventScroll: true });
      const box = layer.getBoundingClientRect(), at = view.at(), [x, y] = place();
      return [event.clientX - box.left - at.x(x), event.clientY - box.top - at.y(y)];
    },
    moved: go,
  });
}

function keyed(knob, view, stage, place, go, size, initial) {
  knob.el.addEventListener("keydown", (event) => {
    const { move, end, home } = planeKey(event);
    const [x, y] = place(), [left, right, bottom, top] = view.extent, step = size();
    if (move) go(x + step * move[0] * Math.sign(right - left), y + step * move[1] * Math.sign(top - bottom));
    else if (end) go("x" in end ? (end.x ? right : left) : x, "y" in end ? (end.y ? top : bottom) : y);
    else if (home) go(...initial().slice(0, 2));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
