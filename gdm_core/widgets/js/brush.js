// A mask or a target to paint, on a view or on a canvas of its own.

/** Base64 of bytes <-> Uint8Array. */
const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const toBase64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

ON_VIEW.brush = function brush(spec, stage, view, layer) {
  const { width, height } = spec;
  const sheet = h("canvas", { class: "sheet", width, height });
  const cursor = h("div", {
    class: "cursor",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "brush",
    "data-control": spec.name,
  });
  const erase = h("input", { type: "checkbox", role: "switch" });
  const clear = h(
    "button",
    { type: "button", class: "push quiet", onclick: () => commit(new Uint8Array(width * height)) },
    "Clear",
  );
  const tools = h(
    "span",
    { class: "key brush-tools" },
    h("label", { class: "toggle" }, erase, h("span", {}, "Erase")),
    clear,
  );
  let bytes = fromBase64(stage.state[spec.name]),
    at = [width >> 1, height >> 1],
    last = null;
  layer.append(sheet, cursor);
  if (!spec.frozen) view.figure.append(tools); // in a page of samples nothing would follow

  const commit = (fresh) => {
    bytes = fresh;
    stage.move(spec.name, toBase64(bytes));
  };
  /** A round dab at (x, y), pixels of the grid, soft unless the brush is hard. */
  const dab = (x, y, remove) => {
    const r = spec.radius;
    for (let j = Math.max(0, Math.floor(y - r)); j < Math.min(height, y + r + 1); j++) {
      for (let i = Math.max(0, Math.floor(x - r)); i < Math.min(width, x + r + 1); i++) {
        const reach = r - Math.hypot(i + 0.5 - x, j + 0.5 - y),
          cover = spec.hard ? 255 * (reach >= 0) : clamp(reach + 0.5, 0, 1) * 255;
        const k = j * width + i;
        bytes[k] = remove ? Math.min(bytes[k], 255 - cover) : Math.max(bytes[k], cover);
      }
    }
  };
  const stroke = (x, y) => {
    const from = last ?? [x, y],
      count = Math.max(1, Math.ceil(2 * Math.hypot(x - from[0], y - from[1])));
    bytes = bytes.slice();
    for (let s = 1; s <= count; s++)
      dab(from[0] + ((x - from[0]) * s) / count, from[1] + ((y - from[1]) * s) / count, erase.checked);
    last = [x, y];
    at = [clamp(Math.floor(x), 0, width - 1), clamp(Math.floor(y), 0, height - 1)];
    commit(bytes);
  };
  layer.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    layer.setPointerCapture(event.pointerId);
    stage.held += 1;
    last = null;
    cursor.focus({ preventScroll: true });
    stroke(...grid(event));
    event.preventDefault();
  });
  layer.addEventListener("pointermove", (event) => {
    if (!layer.hasPointerCapture(event.pointerId)) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) stroke(...grid(part));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    layer.addEventListener(end, (event) => {
      if (!layer.hasPointerCapture(event.pointerId)) return;
      layer.releasePointerCapture(event.pointerId);
      stage.held -= 1;
    });
  }
  const grid = (event) => {
    const box = layer.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  cursor.addEventListener("keydown", (event) => {
    const times = event.shiftKey ? 4 : 1;
    const move = { ArrowRight: [times, 0], ArrowLeft: [-times, 0], ArrowUp: [0, -times], ArrowDown: [0, times] }[
      event.key
    ];
    if (move) at = [clamp(at[0] + move[0], 0, width - 1), clamp(at[1] + move[1], 0, height - 1)];
    else if (event.key === "Home") at[0] = 0;
    else if (event.key === "End") at[0] = width - 1;
    else if (event.key === "PageUp") at[1] = 0;
    else if (event.key === "PageDown") at[1] = height - 1;
    else if (event.key === " " || event.key === "Enter") {
      last = null;
      stroke(at[0] + 0.5, at[1] + 0.5);
    } else if (event.key === "e") erase.checked = !erase.checked;
    else if (event.key === "Delete" || event.key === "Backspace") commit(new Uint8Array(width * height));
    else return;
    event.preventDefault();
    event.stopPropagation();
    place();
  });
  const place = () => {
    Object.assign(cursor.style, {
      left: `${(100 * at[0]) / width}%`,
      top: `${(100 * at[1]) / height}%`,
      width: `${100 / width}%`,
      height: `${100 / height}%`,
    });
    const painted = bytes.reduce((sum, v) => sum + v, 0) / 2.55 / bytes.length;
    cursor.setAttribute(
      "aria-label",
      `${spec.label}: arrow keys move, space paints, E switches to erasing, Delete clears. ` +
        `Column ${at[0] + 1}, row ${at[1] + 1}, ${painted.toFixed(0)} percent painted`,
    );
  };
  return {
    show(value) {
      if (stage.held === 0) bytes = fromBase64(value);
      const context = sheet.getContext("2d"),
        pixels = context.createImageData(width, height);
      const [r, g, b] = look(stage.theme.accent);
      bytes.forEach((v, i) => pixels.data.set([r, g, b, 0.75 * v], 4 * i));
      context.putImageData(pixels, 0, 0);
      place();
    },
  };
  function look(color) {
    return (color.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number); // no color before it is in the page
  }
};
