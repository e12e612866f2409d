// Frames: a header whose arrays come once as raw bytes and are named by their hash; pixels to a canvas.

/** Put the arrays back into the header; null when one was never received. `kept` holds those of the last frame. */
function unpack(header, buffers, kept) {
  const arrays = new Map();
  for (const [key, { buffer, type, shape }] of Object.entries(header.arrays)) {
    const part = buffers[buffer];
    const view =
      part instanceof ArrayBuffer
        ? new Uint8Array(part)
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    const data = type === "u1" ? view : new Float32Array(view.slice().buffer); // a slice is aligned to four bytes
    arrays.set(key, { data, shape });
  }
  const used = new Map();
  let complete = true;
  const walk = (node) => {
    if (Array.isArray(node)) return node.map(walk);
    if (node === null || typeof node !== "object") return node;
    if ("array" in node) {
      const found = arrays.get(node.array) ?? kept.get(node.array);
      if (found) used.set(node.array, found);
      else complete = false;
      return found;
    }
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, walk(value)]));
  };
  const frame = walk({ views: header.views, text: header.text, more: header.more ?? "" });
  if (!complete) return null;
  kept.clear();
  used.forEach((value, key) => kept.set(key, value));
  return frame;
}

/** Gray, indexed or RGB bytes -> canvas of the same number of pixels. */
function paint(canvas, { data, shape }, palette) {
  const [height, width, channels = 1] = shape;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const out = new Uint32Array(pixels.data.buffer); // little-endian everywhere a browser runs: A B G R
  if (channels === 3) {
    for (let i = 0, j = 0; i < out.length; i++, j += 3)
      out[i] = 0xff000000 | (data[j + 2] << 16) | (data[j + 1] << 8) | data[j];
  } else {
    const levels = new Uint32Array(256);
    for (let v = 0; v < 256; v++) {
      const [r, g, b] = palette ? palette.data.subarray(3 * v, 3 * v + 3) : [v, v, v];
      levels[v] = 0xff000000 | (b << 16) | (g << 8) | r;
    }
    for (let i = 0; i < out.length; i++) out[i] = levels[data[i]];
  }
  context.putImageData(pixels, 0, 0);
}
