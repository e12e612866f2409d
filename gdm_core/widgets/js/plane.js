// What a hand can move on a picture: the 2-D pad, points, Gaussians, tiles.  Pointer, touch and keys alike.
// Each maker gets the control's spec, `stage`, the view it lies on and a layer of its own there; it returns
// { show(value) }.  Drags, keys and knobs are in hand.js.

const ON_VIEW = {
  pad(spec, stage, view, layer) {
    const { extent, labels, step } = spec;
    const [left, right, bottom, top] = extent;
    const knob = makeKnob(
      view,
      layer,
      `${spec.label}: arrow keys move, shift for big steps, Home and End go to the edges, 0 to the start`,
      "var(--latent)",
    );
    knob.el.dataset.control = spec.name;
    knob.el.setAttribute("aria-valuemin", Math.min(left, right));
    knob.el.setAttribute("aria-valuemax", Math.max(left, right));
    const stop = (wanted, axis, now) => spec.stops[axis][stopAt(spec.stops[axis], wanted, now)];
    const go = (x, y, now = [x, y]) =>
      stage.move(
        spec.name,
        spec.stops
          ? [stop(x, 0, now[0]), stop(y, 1, now[1])]
          : [neat(clamp(x, left, right), step), neat(clamp(y, bottom, top), step)],
      );
    dragging(layer, view, layer, stage, { begin: () => knob.el.focus({ preventScroll: true }), moved: (x, y) => go(x, y) });
    knob.el.addEventListener("keydown", (event) => {
      const { move, end, home } = planeKey(event);
      const [x, y] = stage.state[spec.name];
      if (move) go(x + step * move[0] * Math.sign(right - left), y + step * move[1] * Math.sign(top - bottom), [x, y]);
      else if (end) go("x" in end ? (end.x ? right : left) : x, "y" in end ? (end.y ? top : bottom) : y);
      else if (home) go(...stage.initial[spec.name]);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return {
      show([x, y]) {
        const [tx, ty] = pair(x, y, step),
          words = `${labels[0]} ${tx}, ${labels[1]} ${ty}`;
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
      const go = (x, y) =>
        stage.move(
          spec.name,
          stage.state[spec.name].map((row, i) => (i === k ? [neat(x, size()), neat(y, size())] : row)),
        );
      draggable(knob, view, layer, stage, () => stage.state[spec.name][k], go);
      keyed(
        knob,
        view,
        stage,
        () => stage.state[spec.name][k],
        go,
        size,
        () => stage.initial[spec.name][k],
      );
      return knob;
    });
    return {
      show: (rows) =>
        rows.forEach(([x, y], k) => knobs[k].put(x, y, `x ${pair(x, y, size())[0]}, y ${pair(x, y, size())[1]}`)),
    };
  },

  gaussians(spec, stage, view, layer) {
    const { radius, smallest, colors } = spec;
    const tint = (k) => colors[k % colors.length];
    const size = () => Math.abs(view.extent[1] - view.extent[0]) / 100;
    const rows = () => stage.state[spec.name];
    const change = (k, values) =>
      stage.move(
        spec.name,
        rows().map((row, i) => (i === k ? values : row)),
      );
    const bound = (std) => Math.max(smallest, neat(std, size()));
    const all = spec.labels.map((label, k) => {
      const color = tint(k);
      const center = makeKnob(
        view,
        layer,
        `Mean of ${spec.label} ${label}: arrow keys move, shift for big steps`,
        color,
        label,
      );
      const goCenter = (x, y) => change(k, [neat(x, size()), neat(y, size()), ...rows()[k].slice(2)]);
      center.el.dataset.control = `${spec.name} ${label}`;
      draggable(center, view, layer, stage, () => rows()[k], goCenter);
      keyed(
        center,
        view,
        stage,
        () => rows()[k],
        goCenter,
        size,
        () => stage.initial[spec.name][k],
      );
      const ends = [0, 1].map((axis) => {
        const which = axis ? "Width across" : "Width along";
        const end = makeKnob(
          view,
          layer,
          `${which} the axis of ${spec.label} ${label}: up and down stretch, left and right turn`,
          color,
          "",
          true,
        );
        end.el.dataset.control = `${spec.name} ${label} axis ${axis + 1}`;
        const place = () => {
          const [x, y, along, across, angle] = rows()[k];
          const turned = angle + (axis * Math.PI) / 2,
            length = radius * (axis ? across : along);
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
      const data = new Float32Array(
        rows().flatMap(([x, y, along, across, angle]) => {
          const c = Math.cos(angle),
            s = Math.sin(angle);
          return [x, y, along * c, along * s, -across * s, across * c];
        }),
      );
      const shades = rows().map((_, k) => ({
        mark: "ellipses",
        alpha: 1,
        width: 2,
        dash: true,
        radii: [radius],
        color: tint(k),
        xy: { data: data.subarray(6 * k, 6 * k + 6) },
      }));
      return shades;
    });
    return {
      show(values) {
        values.forEach(([x, y, along, across, angle], k) => {
          const [tx, ty] = pair(x, y, size()),
            [sa, sb] = pair(along, across, size());
          all[k].center.put(x, y, `x ${tx}, y ${ty}`);
          all[k].ends.forEach((end, axis) =>
            end.put(
              ...end.place(),
              `standard deviation ${axis ? sb : sa}, turned ${((angle * 180) / Math.PI).toFixed(0)} degrees`,
            ),
          );
        });
        view.draw();
      },
    };
  },

  tiles(spec, stage, view, layer) {
    const { rows, columns, count } = spec;
    const tile = h("div", {
      class: "tile",
      tabindex: 0,
      role: "slider",
      "data-control": spec.name,
      "aria-label": `${spec.label}: arrow keys choose`,
      "aria-valuemin": 0,
      "aria-valuemax": count - 1,
    });
    Object.assign(tile.style, { width: `${100 / columns}%`, height: `${100 / rows}%` });
    layer.append(tile);
    const go = (index, now = index) =>
      stage.choose(
        spec.name,
        spec.stops ? spec.stops[stopAt(spec.stops, index, now)] : clamp(index, 0, count - 1),
        spec.acts,
      );
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
      const to = {
        ArrowRight: now + 1,
        ArrowLeft: now - 1,
        ArrowDown: now + columns,
        ArrowUp: now - columns,
        Home: 0,
        End: count - 1,
        PageDown: now + 3 * columns,
        PageUp: now - 3 * columns,
        Enter: now,
        " ": now,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      if (to >= 0 && to < count) go(to, now);
    });
    return {
      show(index) {
        const row = Math.floor(index / columns),
          column = index % columns;
        Object.assign(tile.style, { left: `${(100 * column) / columns}%`, top: `${(100 * row) / rows}%` });
        tile.setAttribute("aria-valuenow", index);
        tile.setAttribute("aria-valuetext", `${index + 1} of ${count}: row ${row + 1}, column ${column + 1}`);
      },
    };
  },
};

/** The view of a control that lies on none: a pad's cross with the names of its axes, or an empty sheet. */
function ownPlane({ name, label, labels = [], extent, width = 1, height = 1 }) {
  const [left, right, bottom, top] = extent ?? [0, width, height, 0];
  const at = (u, v) => [left + u * (right - left), bottom + v * (top - bottom)];
  const text = { mark: "text", size: 14, color: "soft", alpha: 1 };
  const cross = { mark: "lines", counts: [2, 2], color: "line", width: 1, alpha: 1, dash: false, fill: false };
  const marks = labels.length
    ? [
        { ...cross, xy: { data: [at(0, 0.5), at(1, 0.5), at(0.5, 0), at(0.5, 1)].flat() } },
        { ...text, text: [labels[0]], anchor: "right", xy: { data: at(1, 0.55) } },
        { ...text, text: [labels[1]], anchor: "left", xy: { data: at(0.5, 0.94) } },
      ]
    : [];
  const aspect = Math.abs((right - left) / (top - bottom));
  const rest = { axes: false, warning: "", size: 1, smooth: false };
  return { name, label, extent: [left, right, bottom, top], aspect, marks, ...rest };
}
