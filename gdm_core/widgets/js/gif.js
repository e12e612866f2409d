// Moving pictures: frames of the stage as an animated GIF (GIF89a), made in the page, with or without a kernel.

const FRAMES = 120; // at most
const WIDE = 720; // pixels

/** Play the timeline and keep each picture; without a timeline, keep what the hand does until pressed again. */
function saveGif(stage, button, say) {
  if (button.stopNow) return button.stopNow();
  const shots = [],
    delays = [];
  let before = performance.now();
  const told = stage.timeline() ? "recording the timeline" : "recording: move something, then press Stop";
  const shoot = () => {
    const full = compose(stage, 1);
    const width = shots[0]?.width ?? Math.min(WIDE, full.width);
    const canvas = h("canvas", { width, height: Math.round((full.height * width) / full.width) });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(full, 0, 0, canvas.width, canvas.height);
    shots.push(context.getImageData(0, 0, canvas.width, canvas.height));
    delays.push(performance.now() - before);
    before = performance.now();
    say(`${told}: ${shots.length} frames so far`, true);
    if (shots.length >= FRAMES) finish();
  };
  const finish = () => {
    stage.record(null);
    button.stopNow = null;
    button.textContent = "GIF";
    button.setAttribute("aria-pressed", false);
    if (!shots.length) return say("nothing moved, nothing saved");
    const fps = stage.timeline() ? stage.spec.controls.find((c) => c.name === stage.timeline()[0]).fps : 0;
    const bytes = encodeGif(level(shots), fps ? shots.map(() => 1000 / fps) : [...delays.slice(1), 600]);
    download(new Blob([bytes], { type: "image/gif" }), `${stage.spec.name}.gif`);
    say(`${shots.length} frames saved`);
  };
  button.stopNow = finish;
  button.textContent = "Stop";
  button.setAttribute("aria-pressed", true);
  const timeline = stage.timeline();
  if (!timeline) {
    say(told, true);
    return stage.record(shoot);
  }
  const [name, control] = timeline,
    start = stage.state[name],
    states = control.states(),
    count = Math.min(FRAMES, states.length);
  const next = (i) => {
    stage.record(() => {
      if (!stage.idle()) return;
      stage.record(null);
      shoot();
      if (i + 1 < count && button.stopNow) return next(i + 1);
      if (button.stopNow) finish();
      stage.move(name, start);
    });
    stage.move(name, states[Math.round((i * (states.length - 1)) / Math.max(1, count - 1))]);
  };
  next(0);
}

/** All as tall as the tallest, though words may need more lines in some: the color of the lower edge goes on. */
function level(shots) {
  const tallest = Math.max(...shots.map((shot) => shot.height));
  return shots.map((shot) => {
    if (shot.height === tallest) return shot;
    const out = new ImageData(shot.width, tallest),
      pixels = new Uint32Array(out.data.buffer);
    pixels.fill(new Uint32Array(shot.data.buffer).at(-1));
    out.data.set(shot.data);
    return out;
  });
}

/** ImageData of one size, milliseconds each -> Uint8Array. */
function encodeGif(shots, delays) {
  const { width, height } = shots[0],
    out = [];
  const word = (v) => out.push(v & 255, v >> 8);
  const palette = medianCut(shots),
    nearest = new Map();
  out.push(..."GIF89a".split("").map((c) => c.charCodeAt(0)));
  word(width);
  word(height);
  out.push(0xf7, 0, 0); // 256 colors for all frames
  for (let i = 0; i < 256; i++) out.push(...(palette[i] ?? [0, 0, 0]));
  out.push(0x21, 0xff, 11, ..."NETSCAPE2.0".split("").map((c) => c.charCodeAt(0)), 3, 1, 0, 0, 0); // for ever
  shots.forEach(({ data }, k) => {
    out.push(0x21, 0xf9, 4, 0);
    word(Math.max(2, Math.round(delays[k] / 10)));
    out.push(0, 0, 0x2c, 0, 0, 0, 0);
    word(width);
    word(height);
    out.push(0, 8);
    const indices = new Uint8Array(width * height);
    for (let i = 0; i < indices.length; i++) {
      const color = ((data[4 * i] >> 2) << 12) | ((data[4 * i + 1] >> 2) << 6) | (data[4 * i + 2] >> 2);
      let index = nearest.get(color);
      if (index === undefined)
        nearest.set(color, (index = closest(palette, data[4 * i], data[4 * i + 1], data[4 * i + 2])));
      indices[i] = index;
    }
    const packed = lzw(indices);
    for (let i = 0; i < packed.length; i += 255) {
      const block = packed.slice(i, i + 255);
      out.push(block.length);
      for (const byte of block) out.push(byte);
    }
    out.push(0);
  });
  out.push(0x3b);
  return Uint8Array.from(out);
}

function closest(palette, r, g, b) {
  let best = 0,
    least = Infinity;
  palette.forEach(([pr, pg, pb], i) => {
    const far = (pr - r) ** 2 + (pg - g) ** 2 + (pb - b) ** 2;
    if (far < least) [best, least] = [i, far];
  });
  return best;
}

/** Up to 256 colors: split the box of colors with the longest side in its middle, again and again (after Heckbert, 1982). */
function medianCut(shots) {
  const counts = new Map(),
    stride = Math.max(1, Math.floor(shots.length / 8));
  for (let k = 0; k < shots.length; k += stride) {
    const { data } = shots[k];
    for (let i = 0; i < data.length; i += 4) {
      const key = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const pixels = [...counts].map(([key, count]) => [key >> 16, (key >> 8) & 255, key & 255, count]);
  const measured = (box) => {
    const spans = [0, 1, 2].map((c) => {
      let low = 255,
        high = 0;
      for (const p of box) [low, high] = [Math.min(low, p[c]), Math.max(high, p[c])];
      return high - low;
    });
    const axis = spans.indexOf(Math.max(...spans));
    return { box, axis, span: spans[axis] };
  };
  const boxes = [measured(pixels)];
  while (boxes.length < 256) {
    boxes.sort((a, b) => a.span - b.span);
    const { box, axis, span } = boxes.pop();
    if (span === 0) {
      boxes.push({ box, axis, span });
      break;
    }
    box.sort((a, b) => a[axis] - b[axis]);
    let cut = box.findIndex((p) => p[axis] > (box[0][axis] + box[box.length - 1][axis]) / 2);
    cut = clamp(cut, 1, box.length - 1);
    boxes.push(measured(box.slice(0, cut)), measured(box.slice(cut)));
  }
  return boxes.map(({ box }) => {
    const total = box.reduce((sum, p) => sum + p[3], 0);
    return [0, 1, 2].map((c) => Math.round(box.reduce((sum, p) => sum + p[c] * p[3], 0) / total));
  });
}

/** Lempel-Ziv-Welch with growing codes, as GIF wants it: 8-bit symbols, at most 12-bit codes. */
function lzw(indices) {
  const CLEAR = 256,
    END = 257,
    out = [];
  let bits = 0,
    held = 0,
    size = 9,
    next = 258,
    table = new Map();
  const put = (code) => {
    held |= code << bits;
    for (bits += size; bits >= 8; bits -= 8) {
      out.push(held & 255);
      held >>>= 8;
    }
  };
  put(CLEAR);
  let prefix = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const key = (prefix << 8) | indices[i],
      known = table.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    put(prefix);
    if (next === 4096) {
      put(CLEAR);
      [size, next, table] = [9, 258, new Map()];
    } else {
      table.set(key, next);
      if (next++ === 1 << size) size++;
    }
    prefix = indices[i];
  }
  put(prefix);
  put(END);
  if (bits > 0) out.push(held & 255);
  return out;
}
