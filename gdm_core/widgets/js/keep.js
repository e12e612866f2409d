// What one takes home: the picture as PNG, a moving one as GIF, the state as a link and as a code cell.

function toolbar(stage, tools, { badge, lag }) {
  let timer = 0,
    tell = 0;
  const done = h("span", { class: "done", role: "status" });
  const say = (words, stays = false) => {
    done.textContent = words;
    clearTimeout(tell);
    if (!stays) tell = setTimeout(() => (done.textContent = ""), 4000);
  };
  const add = (name, title, act) => {
    const button = h(
      "button",
      { type: "button", class: "quiet", title, "data-tool": name, onclick: () => act(button) },
      name,
    );
    tools.append(button);
    return button;
  };
  const measure = (on) => {
    badge.hidden = !on;
    clearInterval(timer);
    if (on)
      timer = setInterval(() => (badge.isConnected ? (badge.textContent = lag.words()) : clearInterval(timer)), 250);
    badge.textContent = lag.words();
    speed.setAttribute("aria-pressed", on);
  };
  add("Reset", "Move all controls back to the start", () => {
    stage.adopt(stage.initial);
    stage.settled();
  });
  add("PNG", "Save the picture", () => compose(stage, 2).toBlob((blob) => download(blob, `${fileName(stage)}.png`)));
  add(
    "GIF",
    stage.timeline() ? "Save the timeline as a moving picture" : "Record what you do now as a moving picture",
    (button) => saveGif(stage, button, say),
  );
  if (stage.spec.link) {
    add("Link", "Copy a link to this state", () => {
      const address = new URL(location.href);
      address.hash = linkOf(stage);
      history.replaceState(null, "", address);
      copy(address.href).then(
        () => say(`link copied${untold(stage)}`),
        () => say(`the link is in the address bar${untold(stage)}`),
      );
    });
  }
  if (stage.spec.source) {
    add("Code", "Copy the code cell that makes this picture", () => {
      const code = codeOf(stage);
      copy(code).then(
        () => say(`code copied${untold(stage)}`),
        () => say(code),
      );
    });
  }
  const speed = add("Speed", "Show milliseconds from hand to picture, and pictures a second", () =>
    measure(badge.hidden),
  );
  tools.append(done);
  measure(stage.spec.lag);
}

const copy = (text) =>
  navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const fileName = (stage) =>
  [stage.spec.name, ...changedOf(stage).flat(2)]
    .join("_")
    .replace(/[^\w.+-]+/g, "-")
    .slice(0, 80);

// Links: #stage=name&z=[0.5,-1.2]&noise=0.1 : one JSON value a control, only those that left their start.

const changedOf = (stage) =>
  Object.entries(stage.state)
    .filter(([name, value]) => !isLive(stage, name) && JSON.stringify(value) !== JSON.stringify(stage.initial[name]))
    .map(([name, value]) => [name, four(value)]);

/** Four decimals are what a hand can mean; numbers that came from a model have sixteen. */
const four = (value) =>
  Array.isArray(value)
    ? value.map(four)
    : typeof value !== "number" || Number.isInteger(value)
      ? value
      : +value.toFixed(clamp(3 - Math.floor(Math.log10(Math.abs(value))), 4, 20));

/** Whether a control chooses among the checkpoints of this very training: elsewhere its value would mean another. */
const isLive = (stage, name) => stage.spec.controls.some((control) => control.name === name && control.live);
const untold = (stage) => (stage.trained() ? "; the training is not in it: press Train there" : "");

function linkOf(stage) {
  const parts = new URLSearchParams({ stage: stage.spec.name });
  for (const [name, value] of changedOf(stage)) parts.set(name, JSON.stringify(value));
  return parts.toString().replaceAll("%5B", "[").replaceAll("%5D", "]").replaceAll("%2C", ",");
}

/** The state that the page's address asks for; what someone cut short or made up is left out. */
function stateOfLink(stage) {
  const parts = new URLSearchParams(location.hash.slice(1)),
    state = {};
  if (parts.get("stage") !== stage.spec.name) return state;
  for (const { name, kind, options, live } of stage.spec.controls) {
    if (live) continue;
    const first = stage.initial[name];
    try {
      const value = JSON.parse(parts.get(name));
      if (!alike(value, first) || (options && !options.includes(value))) continue;
      if (kind === "brush" && fromBase64(value).length !== fromBase64(first).length) continue;
      state[name] = value;
    } catch {
      continue;
    }
  }
  return state;
}

const alike = (a, b) =>
  Array.isArray(b)
    ? Array.isArray(a) && a.length === b.length && b.every((v, i) => alike(a[i], v))
    : typeof a === typeof b;

/** State as Python source. */
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (typeof value === "number") return String(value);
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function codeOf(stage) {
  const moved = changedOf(stage);
  if (!moved.length) return stage.spec.source;
  const plain = moved.every(([name]) => /^[A-Za-z_]\w*$/.test(name));
  const inside = plain
    ? moved.map(([name, value]) => `${name}=${literal(value)}`).join(", ")
    : `{${moved.map(([name, value]) => `${literal(name)}: ${literal(value)}`).join(", ")}}`;
  return `${stage.spec.source}.set(${inside})`;
}

/** The views as they stand on the page, with title and read-out, on one canvas. */
function compose(stage, scale) {
  stage.root.classList.add("flat"); // what stays in sight lies over the rest, where one has scrolled
  try {
    return composed(stage, scale);
  } finally {
    stage.root.classList.remove("flat");
  }
}

function composed(stage, scale) {
  const visible = [...stage.views.values()].filter((view) => !view.figure.hidden && view.content);
  const { left, width: wide } = stage.root.querySelector(".reading").getBoundingClientRect();
  const figures = visible.map((view) => view.figure.getBoundingClientRect());
  const top = Math.min(...figures.map((box) => box.top));
  const space = { left, top, width: wide, height: Math.max(...figures.map((box) => box.bottom)) - top };
  const style = getComputedStyle(stage.root),
    size = parseFloat(style.fontSize),
    edge = 18;
  const width = Math.max(320, space.width),
    title = stage.spec.title ? 2.2 * size : 0;
  const canvas = h("canvas"),
    context = canvas.getContext("2d");
  context.font = `${size}px ${stage.theme.font}`;
  const lines = wrap(context, stage.read(), width);
  canvas.width = Math.round((width + 2 * edge) * scale);
  canvas.height = Math.round(
    (title + space.height + lines.length * 1.5 * size + 2 * edge + (lines.length ? size : 0)) * scale,
  );
  context.scale(scale, scale);
  context.fillStyle = stage.theme.ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(edge, edge);
  context.fillStyle = stage.theme.ink;
  context.textBaseline = "top";
  context.font = `650 ${1.25 * size}px ${stage.theme.font}`;
  context.fillText(stage.spec.title, 0, 0, width);
  context.translate(0, title);
  for (const view of visible) {
    const box = view.box.getBoundingClientRect(),
      x = box.left - space.left,
      y = box.top - space.top;
    const label = view.figure.querySelector("figcaption"),
      place = label.getBoundingClientRect();
    context.font = `600 ${size}px ${stage.theme.font}`;
    context.fillStyle = stage.theme.ink;
    const words = label.hidden ? [] : wrap(context, label.textContent, place.width + 1);
    words.forEach((line, i) =>
      context.fillText(line, place.left - space.left, place.bottom - space.top - (words.length - i) * 1.3 * size),
    );
    if (view.content.image) {
      context.imageSmoothingEnabled = view.content.smooth;
      context.drawImage(view.picture, x, y, box.width, box.height);
    }
    for (const sheet of view.box.querySelectorAll(".sheet")) context.drawImage(sheet, x, y, box.width, box.height);
    context.save();
    context.translate(x, y);
    context.strokeStyle = stage.theme.line;
    context.lineWidth = 1;
    context.strokeRect(0, 0, box.width, box.height);
    context.textBaseline = "alphabetic";
    view.draw(context);
    context.restore();
    copyWords(context, view.figure, space, stage.theme);
    for (const knob of view.box.querySelectorAll(".knob > span, .tile")) {
      const at = knob.getBoundingClientRect(),
        look = getComputedStyle(knob);
      if (knob.matches(".tile")) {
        context.strokeStyle = stage.theme.accent;
        context.lineWidth = 3;
        context.strokeRect(at.left - space.left, at.top - space.top, at.width, at.height);
        continue;
      }
      context.beginPath();
      context.arc(at.left + at.width / 2 - space.left, at.top + at.height / 2 - space.top, at.width / 2 - 1, 0, 7);
      context.fillStyle = look.backgroundColor;
      context.fill();
      context.strokeStyle = look.borderTopColor;
      context.lineWidth = 2;
      context.stroke();
      context.fillStyle = look.color;
      context.font = `700 13px ${stage.theme.font}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(knob.textContent, at.left + at.width / 2 - space.left, at.top + at.height / 2 - space.top);
      context.textAlign = "left";
      context.textBaseline = "top";
    }
  }
  context.font = `${size}px ${stage.theme.font}`;
  context.fillStyle = stage.theme.ink;
  lines.forEach((line, i) => context.fillText(line, 0, space.height + size + i * 1.5 * size));
  return canvas;
}

/** Legend, color scale and warning of a view, from where they stand on the page. */
function copyWords(context, figure, space, theme) {
  for (const element of figure.querySelectorAll(".chip, .ramp, .below, .below span, .warning")) {
    const style = getComputedStyle(element),
      box = element.getBoundingClientRect();
    const x = box.left - space.left,
      y = box.top - space.top;
    if (!box.width) continue;
    if (element.matches(".ramp")) {
      const stops = style.backgroundImage.match(/rgb[^)]*\)/g),
        ramp = context.createLinearGradient(x, 0, x + box.width, 0);
      stops.forEach((color, i) => ramp.addColorStop(i / (stops.length - 1), color));
      context.fillStyle = ramp;
    } else context.fillStyle = element.matches(".chip") ? style.color : style.backgroundColor;
    context.beginPath();
    context.roundRect(x, y, box.width, box.height, Math.min(parseFloat(style.borderRadius) || 0, box.height / 2));
    context.fill();
    context.fillStyle = style.color;
    context.font = `${style.fontSize} ${theme.font}`;
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const place = range.getBoundingClientRect();
      wrap(context, node.data, place.width + 2).forEach((line, i, lines) => {
        context.fillText(
          line,
          place.left - space.left,
          place.top - space.top + ((i + 0.12) * place.height) / lines.length,
        );
      });
    }
  }
}

function wrap(context, text, width) {
  const lines = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
