// Pages without a kernel: a model that answers like the kernel's, from sampled frames or a small decoder's weights.

/** Show every exported stage of this page that is not shown yet. */
function openExports() {
  for (const place of document.querySelectorAll(".gdm-export:not([data-open])")) {
    place.dataset.open = "true";
    const data = JSON.parse(document.getElementById(place.dataset.from).textContent);
    place.replaceChildren();
    render({ model: noKernel(data), el: place });
  }
}

function noKernel(data) {
  const values = { spec: data.spec, state: data.spec.initial },
    listeners = new Map();
  const emit = (name, ...args) => (listeners.get(name) ?? []).forEach((listener) => listener(...args));
  const ready = inflate(data.blob).then((all) => {
    const end = all.length - 4,
      size = new DataView(all.buffer).getUint32(end, true);
    const told = JSON.parse(new TextDecoder().decode(all.subarray(end - size, end)));
    return (told.decoder ? decoderFrames : sampledFrames)(told, all);
  });
  return {
    get: (name) => values[name],
    set: (name, value) => (values[name] = value),
    save_changes() {},
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    off: (name, listener) =>
      listeners.set(
        name,
        (listeners.get(name) ?? []).filter((known) => known !== listener),
      ),
    async send({ view, n, state }) {
      let reply = { view, n, ms: 0 },
        buffers = [];
      try {
        const began = performance.now();
        const answer = (await ready)(state);
        buffers = answer.buffers;
        reply = { ...reply, kind: "frame", frame: answer.frame, set: answer.frame.set, ms: performance.now() - began };
      } catch (error) {
        reply = { ...reply, kind: "error", text: `This page could not draw the picture: ${error.message}` };
      }
      emit("msg:custom", reply, buffers);
    },
  };
}

async function inflate(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Arrays of a frame, as the kernel would send them. */
function withBuffers(frame, arrays, bytes) {
  const used = {},
    buffers = [];
  const walk = (node) => {
    if (Array.isArray(node)) node.forEach(walk);
    else if (node && typeof node === "object") {
      if ("array" in node) {
        const { at, size, type, shape } = arrays[node.array];
        used[node.array] = { buffer: buffers.length, type, shape };
        buffers.push(new DataView(bytes.buffer, at, size));
      } else Object.values(node).forEach(walk);
    }
  };
  walk(frame);
  return { frame: { ...frame, arrays: used }, buffers };
}

/** Sampled: the frame whose controls are nearest; with `blend`, pixels in between are mixed from the neighbors. */
function sampledFrames({ axes, frames, arrays, blend }, bytes) {
  const coordinate = (state, { name, part }) => (part === null ? state[name] : state[name][part]);
  const locate = (value, values) => {
    if (typeof value !== "number") return [values.indexOf(value), values.indexOf(value), 0];
    let above = values.findIndex((v) => v >= value);
    if (above === -1) above = values.length - 1;
    const below = Math.max(0, values[above] === value ? above : above - 1);
    const share = above === below ? 0 : clamp((value - values[below]) / (values[above] - values[below]), 0, 1);
    return [below, above, share];
  };
  return (state) => {
    const found = axes.map((axis) => {
      const value = coordinate(state, axis);
      return axis.cycle ? [value % axis.values.length, value % axis.values.length, 0] : locate(value, axis.values);
    });
    const index = (picks) => axes.reduce((sum, axis, i) => sum * axis.values.length + picks[i], 0);
    const nearest = withBuffers(
      frames[index(found.map(([below, above, share]) => (share < 0.5 ? below : above)))],
      arrays,
      bytes,
    );
    if (!blend) return nearest;
    let corners = [[[], 1]];
    for (const [below, above, share] of found) {
      corners = corners.flatMap(([picks, weight]) =>
        share === 0
          ? [[[...picks, below], weight]]
          : [
              [[...picks, below], weight * (1 - share)],
              [[...picks, above], weight * share],
            ],
      );
    }
    if (corners.length > 1) {
      const where = axes.map((axis, i) => axis.values[found[i][2] < 0.5 ? found[i][0] : found[i][1]]).join(", ");
      nearest.frame.text = `pictures: the mean of the samples around here; in words the nearest, at ${where}: ${nearest.frame.text}`;
    }
    const mixed = corners.map(([picks, weight]) => [frames[index(picks)], weight]);
    nearest.frame.views.forEach((view, v) => {
      if (!view.image || view.palette) return;
      const { buffer, shape } = nearest.frame.arrays[view.image.array],
        size = shape.reduce((a, b) => a * b);
      const sum = new Float32Array(size);
      for (const [frame, weight] of mixed) {
        const { at } = arrays[frame.views[v].image.array];
        for (let i = 0; i < size; i++) sum[i] += weight * bytes[at + i];
      }
      const key = `mix ${found.join()} ${v}`;
      nearest.frame.arrays[key] = { ...nearest.frame.arrays[view.image.array], buffer: nearest.buffers.length };
      nearest.buffers.push(new DataView(Uint8Array.from(sum, Math.round).buffer));
      nearest.frame = {
        ...nearest.frame,
        views: nearest.frame.views.map((w, j) => (j === v ? { ...w, image: { array: key } } : w)),
      };
    });
    return nearest;
  };
}

const ACTIVATE = {
  identity: (v) => v,
  relu: (v) => (v > 0 ? v : 0),
  leaky_relu: (v) => (v > 0 ? v : 0.01 * v),
  tanh: Math.tanh,
  sigmoid: (v) => 1 / (1 + Math.exp(-v)),
  silu: (v) => v / (1 + Math.exp(-v)),
  softplus: (v) => (v > 30 ? v : Math.log1p(Math.exp(v))),
  elu: (v) => (v > 0 ? v : Math.expm1(v)),
  gelu: (v) => 0.5 * v * (1 + erf(v / Math.SQRT2)),
};

/** Error function to 1.2e-7 (Numerical Recipes, 1992, 6.2). */
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const series = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
    -1.26551223,
  ];
  const tail = t * Math.exp(-x * x + series.reduce((sum, c) => sum * t + c, 0));
  return x >= 0 ? 1 - tail : tail - 1;
}

/** Half-precision bytes -> Float32Array. */
function fromHalf(bytes) {
  const halves = new Uint16Array(bytes.slice().buffer);
  return Float32Array.from(halves, (half) => {
    const sign = half >> 15 ? -1 : 1,
      exponent = (half >> 10) & 31,
      fraction = half & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

/** Decoder: layers of weights run here; everything else in the frame stays as the kernel drew it. */
function decoderFrames({ decoder, frames, arrays }, bytes) {
  const { at, size, half, inputs, layers, shape, view, latent } = decoder;
  const part = bytes.subarray(at, at + size),
    weights = half ? fromHalf(part) : new Float32Array(part.slice().buffer);
  let from = 0;
  const steps = layers.map(({ inside, outside, activation }) => {
    const matrix = weights.subarray(from, from + inside * outside),
      bias = weights.subarray(from + inside * outside, from + (inside + 1) * outside);
    from += (inside + 1) * outside;
    return { inside, outside, matrix, bias, activate: ACTIVATE[activation] };
  });
  const forward = (x) => {
    for (const { inside, outside, matrix, bias, activate } of steps) {
      const y = new Float32Array(outside);
      for (let j = 0, w = 0; j < outside; j++) {
        let sum = bias[j];
        for (let i = 0; i < inside; i++, w++) sum += matrix[w] * x[i];
        y[j] = activate(sum);
      }
      x = y;
    }
    return x;
  };
  return (state) => {
    const x = inputs.flatMap(({ name, options }) => (options ? options.map((o) => +(o === state[name])) : state[name]));
    const pixels = new Uint8Array(forward(x).map((v) => Math.round(255 * clamp(v, 0, 1))));
    const { frame, buffers } = withBuffers(frames[0], arrays, bytes);
    const key = `decoded ${x.join()}`;
    frame.arrays[key] = { buffer: buffers.length, type: "u1", shape };
    buffers.push(new DataView(pixels.buffer));
    const drawn = frame.views.map((v) =>
      v.name === view ? { ...v, image: { array: key }, warning: latent ? far(latent, state) : v.warning } : v,
    );
    return { frame: { ...frame, views: drawn, ...(latent && whereIs(latent, state)) }, buffers };
  };
}

const squared = (state, name) => [state[name]].flat().reduce((sum, v) => sum + v * v, 0);

/** Log density, radius and typical radius under a standard normal prior, in the words of the kernel. */
function whereIs({ name, low, high, percent }, state) {
  const square = squared(state, name),
    dimensions = [state[name]].flat().length;
  const logp = -0.5 * (square + dimensions * Math.log(2 * Math.PI));
  const prior = `${percent}\u00a0% of the prior lies between ${low} and ${high}`;
  return { text: `log p(${name}) = ${fixed(logp)} nats · radius ${Math.sqrt(square).toFixed(2)}`, more: prior };
}

const far = ({ name, edge, warning }, state) => (Math.sqrt(squared(state, name)) > edge ? warning : "");
