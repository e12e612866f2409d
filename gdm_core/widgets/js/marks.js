// Marks over a picture: points, lines, arrows, ellipses, bars, words; axes with ticks.  All at the screen's resolution.

/** Data coordinates -> pixels of the plot. */
function mapping([left, right, bottom, top], width, height) {
  return {
    x: (v) => ((v - left) / (right - left)) * width,
    y: (v) => ((v - top) / (bottom - top)) * height,
    back: (px, py) => [left + (px / width) * (right - left), top + (py / height) * (bottom - top)],
    sx: width / (right - left),
    sy: height / (bottom - top),
  };
}

/** Color of mark i: its own, or that of all. */
const shade = (mark, i, theme) =>
  mark.cycle
    ? theme[CYCLE[mark.cycle.data[i] % CYCLE.length]]
    : mark.rgb
      ? seen(mark.rgb.data[3 * i], mark.rgb.data[3 * i + 1], mark.rgb.data[3 * i + 2], theme.dark)
      : (theme[mark.color] ?? mark.color);

/** A color of one's own, lighter where it would be lost on a dark ground. */
function seen(r, g, b, dark) {
  const lacking = dark ? Math.max(0, (DIM - lightness(r, g, b)) / (255 - lightness(r, g, b))) : 0;
  return `rgb(${[r, g, b].map((v) => Math.round(v + lacking * (255 - v))).join(" ")})`;
}
const DIM = 125;

/** Draw with a thin rim of the ground's color, so that a mark is seen on any picture. */
function rimmed(context, theme, rim, draw) {
  if (rim) {
    context.save();
    context.strokeStyle = theme.halo;
    context.lineWidth = context.lineWidth + 2.5 * theme.grow; // a dashed line keeps its gaps
    draw();
    context.stroke();
    context.restore();
  }
  draw();
}

const DRAW = {
  points(context, mark, at, theme, rim) {
    const { data } = mark.xy,
      radius = (mark.size / 2) * theme.grow;
    for (let i = 0; i < data.length / 2; i++) {
      context.beginPath();
      context.arc(at.x(data[2 * i]), at.y(data[2 * i + 1]), radius, 0, 7);
      if (rim) {
        context.strokeStyle = theme.halo;
        context.lineWidth = 1.5;
        context.stroke();
      }
      context.fillStyle = shade(mark, i, theme);
      context.fill();
    }
  },
  lines(context, mark, at, theme, rim) {
    const { data } = mark.xy;
    let from = 0;
    mark.counts.forEach((count, k) => {
      const trace = () => {
        context.beginPath();
        let pen = false;
        for (let i = from; i < from + count; i++) {
          const x = data[2 * i],
            y = data[2 * i + 1];
          if (Number.isFinite(x) && Number.isFinite(y)) {
            context[pen ? "lineTo" : "moveTo"](at.x(x), at.y(y));
            pen = true;
          } else pen = false;
        }
      };
      context.strokeStyle = context.fillStyle = shade(mark, k, theme);
      if (mark.fill && count) {
        context.save();
        trace();
        context.lineTo(at.x(data[2 * (from + count - 1)]), at.y(0));
        context.lineTo(at.x(data[2 * from]), at.y(0));
        context.globalAlpha *= 0.18;
        context.fill();
        context.restore();
      }
      context.lineWidth = mark.width * theme.grow;
      context.setLineDash(mark.dash ? [3 * context.lineWidth, 2.5 * context.lineWidth] : []);
      rimmed(context, theme, rim, trace);
      context.stroke();
      context.setLineDash([]);
      from += count;
    });
  },
  arrows(context, mark, at, theme, rim) {
    const { data } = mark.xy;
    for (let i = 0; i < data.length / 4; i++) {
      const x0 = at.x(data[4 * i]),
        y0 = at.y(data[4 * i + 1]);
      const dx = data[4 * i + 2] * at.sx,
        dy = data[4 * i + 3] * at.sy;
      const length = Math.hypot(dx, dy);
      if (length < 0.5) continue;
      const head = Math.min((4 + 2 * mark.width) * theme.grow, 0.6 * length),
        angle = Math.atan2(dy, dx);
      context.strokeStyle = shade(mark, i, theme);
      context.lineWidth = mark.width * theme.grow;
      rimmed(context, theme, rim, () => {
        context.beginPath();
        context.moveTo(x0, y0);
        context.lineTo(x0 + dx, y0 + dy);
        for (const turn of [-0.5, 0.5]) {
          context.moveTo(x0 + dx, y0 + dy);
          context.lineTo(x0 + dx - head * Math.cos(angle + turn), y0 + dy - head * Math.sin(angle + turn));
        }
      });
      context.stroke();
    }
  },
  ellipses(context, mark, at, theme, rim) {
    const { data } = mark.xy; // x, y, and the two half axes as vectors
    for (let k = 0; k < data.length / 6; k++) {
      const [x, y, ax, ay, bx, by] = data.subarray(6 * k, 6 * k + 6);
      context.strokeStyle = shade(mark, k, theme);
      context.lineWidth = mark.width * theme.grow;
      context.setLineDash(mark.dash ? [3 * context.lineWidth, 2.5 * context.lineWidth] : []);
      for (const radius of mark.radii) {
        rimmed(context, theme, rim, () => {
          context.beginPath();
          for (let i = 0; i <= 72; i++) {
            const c = radius * Math.cos((i * Math.PI) / 36),
              s = radius * Math.sin((i * Math.PI) / 36);
            context.lineTo(at.x(x + c * ax + s * bx), at.y(y + c * ay + s * by));
          }
        });
        context.stroke();
      }
    }
    context.setLineDash([]);
  },
  bars(context, mark, at, theme) {
    const { data } = mark.xy; // x, height, base, width
    for (let i = 0; i < data.length / 4; i++) {
      const [x, height, base, width] = data.subarray(4 * i, 4 * i + 4);
      const y0 = at.y(base),
        y1 = at.y(base + height),
        x0 = at.x(x - width / 2),
        x1 = at.x(x + width / 2);
      context.fillStyle = shade(mark, i, theme);
      context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
  },
  text(context, mark, at, theme, rim) {
    const { data } = mark.xy;
    const sized = (scale) => (context.font = `600 ${scale * mark.size * theme.grow}px ${theme.font}`);
    sized(1);
    sized(fitting(context, mark, at));
    context.textAlign = { left: "left", right: "right" }[mark.anchor] ?? "center";
    context.textBaseline = { above: "bottom", below: "top" }[mark.anchor] ?? "middle";
    mark.text.forEach((word, i) => {
      const x = at.x(data[2 * i]) + ({ left: 7, right: -7 }[mark.anchor] ?? 0);
      const y = at.y(data[2 * i + 1]) + ({ above: -7, below: 7 }[mark.anchor] ?? 0);
      if (rim) {
        context.strokeStyle = theme.halo;
        context.lineWidth = 3.5;
        context.strokeText(word, x, y);
      }
      context.fillStyle = shade(mark, i, theme);
      context.fillText(word, x, y);
    });
  },
};

/** How much smaller words of one line must be, as in a table, not to run into each other: from 0.5 to 1. */
function fitting(context, { text, xy: { data } }, at) {
  const last = new Map(); // y -> where the word before it in this line stands
  let scale = 1;
  const order = text.length > 1 ? text.map((_, i) => i).sort((a, b) => at.x(data[2 * a]) - at.x(data[2 * b])) : [];
  for (const i of order) {
    const [x, y, wide] = [at.x(data[2 * i]), data[2 * i + 1], context.measureText(text[i]).width];
    const before = last.get(y);
    if (before) scale = Math.min(scale, (x - before.x) / ((wide + before.wide) / 2 + 5));
    last.set(y, { x, wide });
  }
  return Math.max(0.5, scale);
}

/** All marks of a view, clipped to its plot; a rim around each where there is a picture below. */
function drawMarks(context, marks, at, width, height, theme, rim) {
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  context.lineJoin = context.lineCap = "round";
  const crowded = marks.some((mark) => mark.mark === "points"); // words among dots need a rim as well
  for (const mark of marks) {
    context.globalAlpha = mark.alpha;
    DRAW[mark.mark](context, mark, at, theme, rim || (crowded && mark.mark === "text"));
  }
  context.restore();
}

/** Round numbers in [low, high], about `count` of them; none on a scale without length. */
function ticks(low, high, count) {
  if (low > high) [low, high] = [high, low];
  let out = [];
  for (let wanted = clamp(count || 0, 1, 50); out.length < 2 && wanted < 75; wanted *= 1.5) {
    const raw = (high - low) / wanted, // one number is no scale: more of them, until two fit
      power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5].find((m) => m * power >= raw) ?? 10);
    out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
      const v = +(k * step).toPrecision(10);
      if (v !== out.at(-1)) out.push(v);
    }
  }
  return out;
}

const spell = (v) => String(v).replace("-", "−");
const sideTicks = ([, , bottom, top], height, theme) => ticks(bottom, top, height / (2.8 * theme.size));

/** Room in em that the numbers and the label at the left of a plot need; in halves, so that it seldom changes. */
function leftRoom(context, extent, axes, height, theme) {
  context.font = `${0.82 * theme.size}px ${theme.font}`;
  const widest = Math.max(...sideTicks(extent, height, theme).map((v) => context.measureText(spell(v)).width), 0);
  return Math.max(AXES.left, Math.ceil(2 * ((widest + 12) / theme.size + 1.2 * Array.isArray(axes))) / 2);
}

/** Ticks and labels around a plot with `room` em at its left. */
function drawAxes(context, extent, axes, at, width, height, theme, room) {
  const [left, right] = extent;
  context.font = `${0.82 * theme.size}px ${theme.font}`;
  context.lineWidth = 1;
  context.strokeStyle = theme.line;
  context.fillStyle = theme.soft;
  const inside = (v, limit) => v > -0.5 && v < limit + 0.5;
  context.textAlign = "center";
  context.textBaseline = "top";
  const across = ticks(left, right, width / (3.5 * theme.size));
  const widest = Math.max(...across.map((v) => context.measureText(spell(v)).width), 0);
  for (const v of ticks(left, right, width / Math.max(3.5 * theme.size, widest + 14))) {
    const x = at.x(v);
    if (!inside(x, width)) continue;
    context.strokeRect(x, height, 0, 5);
    context.fillText(spell(v), x, height + 8);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const v of sideTicks(extent, height, theme)) {
    const y = at.y(v);
    if (!inside(y, height)) continue;
    context.strokeRect(-5, y, 5, 0);
    context.fillText(spell(v), -8, y);
  }
  if (Array.isArray(axes)) {
    context.fillStyle = theme.ink;
    context.font = `${0.88 * theme.size}px ${theme.font}`;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(axes[0], width / 2, height + AXES.bottom * theme.size - 1);
    context.save();
    context.translate(-room * theme.size + 1, height / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "top";
    context.fillText(axes[1], 0, 0, height + 1.2 * theme.size);
    context.restore();
  }
}
