// Elements of a page, the theme's colors, and one view: picture below, marks above, handles on top.

/** h("button", { class: "quiet", onclick }, "Save") */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const clamp = (value, low, high) => Math.min(Math.max(value, Math.min(low, high)), Math.max(low, high));
const fixed = (value, digits = 2) =>
  value
    .toFixed(digits)
    .replace("-", "−")
    .replace(/^−(0\.?0*)$/, "$1");
const SHADES = [
  "data",
  "latent",
  "model",
  "exact",
  "noise",
  "family",
  "accent",
  "encoder",
  "ink",
  "soft",
  "line",
  "ground",
  "halo",
];
const CYCLE = ["latent", "model", "exact", "family", "accent", "encoder", "data", "noise"];
const BARE = { left: 0.6, top: 0.6, right: 0.6, bottom: 0.6 }; // margins of the marks' canvas around the plot, in em
const AXES = { left: 4.1, top: 0.6, right: 0.9, bottom: 2.9 }; // as the style sheet; long numbers get more

/** The style sheet's colors as a canvas understands them, for the theme of this moment; `paper`: those over a picture,
 *  which is as bright in the dark. */
function readTheme(root, scheme = "") {
  const probe = root.appendChild(h("span", { hidden: true }));
  probe.style.colorScheme = scheme;
  const style = getComputedStyle(root),
    size = parseFloat(style.fontSize);
  const theme = { font: style.fontFamily, size, grow: size / 16, dark: false }; // marks grow with the type
  for (const name of SHADES) {
    probe.style.color = `var(--${name})`;
    theme[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  theme.dark = !scheme && lightness(...(theme.ground.match(/[\d.]+/g) ?? [255, 255, 255])) < 99; // not in the page: none yet
  if (!scheme) theme.paper = readTheme(root, "light");
  return theme;
}

/** Calls changed() when the system, JupyterLab or the page turns light or dark. Returns what stops it. */
function watchTheme(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", changed);
  const observer = new MutationObserver(changed);
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, {
      attributes: true,
      attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "data-theme"],
    });
  }
  return () => {
    system.removeEventListener("change", changed);
    observer.disconnect();
  };
}

/** How light a color is to the eye, 0 to 255. */
const lightness = (r, g, b) => 0.3 * r + 0.59 * g + 0.11 * b;

/** Whether so much of a picture is white or yellow that it glares in the dark; near the limit it stays as it `was`. */
function glares({ image: { data, shape }, palette }, was) {
  const channels = shape[2] ?? 1,
    count = data.length / channels,
    step = Math.max(1, Math.floor(count / 997));
  let bright = 0,
    seen = 0;
  for (let i = 0; i < count; i += step, seen++) {
    const [r, g, b] =
      channels === 3
        ? data.subarray(3 * i, 3 * i + 3)
        : palette
          ? palette.data.subarray(3 * data[i], 3 * data[i] + 3)
          : [data[i], data[i], data[i]];
    bright += lightness(r, g, b) > 200;
  }
  return bright / seen > (was ? 0.15 : 0.25);
}

/** A view in the page. `look.theme` is read at every drawing; `handles` are laid over the plot by the controls. */
function makeView(name, look) {
  const picture = h("canvas", { class: "picture", width: 1, height: 1 });
  const marks = h("canvas", { class: "marks", "aria-hidden": "true" });
  const plot = h("div", { class: "plot", role: "img" }, picture, marks);
  const box = h("div", { class: "box" }, plot);
  const label = h("figcaption");
  const warning = h("p", { class: "warning", role: "status" });
  const below = h("div", { class: "below" });
  const figure = h(
    "figure",
    { class: "view", "data-view": name },
    label,
    h("div", { class: "room" }, box),
    h("div", { class: "told" }, warning),
    below,
  );
  const view = {
    name,
    figure,
    picture,
    box,
    extent: null,
    content: null,
    room: AXES.left,
    extras: [], // functions that give more marks: the ellipses of draggable Gaussians
    width: () => box.clientWidth,
    height: () => box.clientHeight,
    at: () => mapping(view.extent, box.clientWidth, box.clientHeight),
    /** A layer for a control: what answers everywhere (a pad, a sheet) lies below what answers at its knobs. */
    addLayer(everywhere) {
      const layer = h("div", { class: everywhere ? "layer pad" : "layer" });
      if (everywhere) plot.after(layer);
      else box.append(layer);
      return layer;
    },
    /** Its caption: what a hand may do here takes the place of what is seen, where it can be done. */
    words: () => (!view.frozen && view.content?.asks) || (view.content?.label ?? ""),
    moved: () => {}, // told when size or coordinates change, so that handles find their places

    /** New content from the kernel. */
    update(content) {
      const first = view.content === null;
      view.content = content;
      const placed = JSON.stringify([content.extent, content.aspect, content.axes]);
      if (content.image) {
        paint(picture, content.image, content.palette);
        picture.classList.toggle("smooth", content.smooth);
      }
      picture.hidden = !content.image;
      figure.classList.toggle("paper", Boolean(content.image));
      figure.classList.toggle("bright", Boolean(content.image) && glares(content, figure.matches(".bright")));
      figure.classList.toggle("axes", Boolean(content.axes));
      figure.classList.toggle("chart", !content.image && !content.blank);
      if (placed !== view.placed) {
        view.placed = placed;
        view.extent = content.extent;
        figure.style.setProperty("--aspect", content.aspect);
        figure.style.setProperty("--size", content.size);
        figure.classList.toggle("strip", content.aspect >= 2.5);
        figure.classList.toggle("small", content.aspect < 1.5 && content.size < 1.6);
      }
      if (label.textContent !== view.words()) label.textContent = view.words();
      label.hidden = !label.textContent;
      warning.textContent = content.warning;
      figure.classList.toggle("warned", Boolean(content.warning));
      if (content.warns) figure.classList.add("warns");
      view.shades();
      if (first || placed !== view.told) view.moved();
      view.told = placed;
    },

    /** Marks and axes again; `context` of a file unless that of the screen. */
    draw(context = null) {
      // A widget may be made before its element is in the page: without a size nothing can be laid out yet, and the
      // observer below draws as soon as there is one.
      if (!view.content || !(box.clientWidth && box.clientHeight && look.theme.size)) return;
      const content = view.content;
      if (content.axes) {
        const needed = leftRoom(marks.getContext("2d"), content.extent, content.axes, box.clientHeight, look.theme);
        if (needed > view.room) figure.style.setProperty("--left", `${(view.room = needed)}em`);
      }
      const width = box.clientWidth,
        height = box.clientHeight;
      const em = content.axes ? { ...AXES, left: view.room } : BARE,
        ratio = devicePixelRatio || 1;
      const margin = Object.fromEntries(Object.entries(em).map(([side, v]) => [side, Math.round(v * look.theme.size)]));
      if (!context) {
        const [w, hh] = [margin.left + width + margin.right, margin.top + height + margin.bottom];
        if (marks.width !== Math.round(w * ratio) || marks.height !== Math.round(hh * ratio)) {
          marks.width = Math.round(w * ratio);
          marks.height = Math.round(hh * ratio);
          Object.assign(marks.style, {
            width: `${w}px`,
            height: `${hh}px`,
            left: `${-margin.left}px`,
            top: `${-margin.top}px`,
          });
        }
        context = marks.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, marks.width, marks.height);
        context.setTransform(ratio, 0, 0, ratio, margin.left * ratio, margin.top * ratio);
      }
      const at = view.at(),
        all = [...content.marks, ...view.extras.flatMap((extra) => extra())];
      drawMarks(context, all, at, width, height, over(content, look.theme), Boolean(content.image));
      if (content.axes) drawAxes(context, content.extent, content.axes, at, width, height, look.theme, view.room);
    },

    /** All that has a color or a size of type: for a theme that changed, or that is known only now. */
    shades() {
      if (view.content && !view.own) legend(below, view.content, look.theme);
      view.draw();
    },

    note: (words) => (below.textContent = words),

    describe(words) {
      plot.setAttribute("aria-label", [content_label(view), words].filter(Boolean).join(": "));
    },
  };
  new ResizeObserver(() => {
    if (!box.isConnected) return; // JupyterLab takes cells out of sight off the page, and puts them back
    look.measure();
    view.shades();
    view.moved();
  }).observe(box);
  return view;
}

/** Pictures side by side begin at one height, though one caption may need two lines; unless `anew`, captions keep the
 *  lines that they once needed, so that no picture rises when a caption gets shorter. */
function levelCaptions(views, anew) {
  const captions = views.filter((view) => !view.figure.hidden).map((view) => view.figure.querySelector("figcaption"));
  if (anew) captions.forEach((caption) => (caption.style.minHeight = ""));
  const rows = Map.groupBy(
    captions.map((caption) => [Math.round(caption.getBoundingClientRect().top), caption, caption.getBoundingClientRect().height]),
    ([top]) => top,
  );
  for (const row of rows.values()) {
    const tallest = Math.max(...row.map(([, , height]) => height));
    if (tallest) row.forEach(([, caption]) => (caption.style.minHeight = `${tallest}px`));
  }
}

const content_label = (view) => view.words() || view.name;

/** The shades of what lies over this content: a picture does not turn dark with the page. */
const over = (content, theme) => (content.image ? theme.paper : theme);

/** Labels of the marks with their colors, and the ends of the color scale. */
function legend(below, content, page) {
  const theme = over(content, page);
  const named = content.marks.filter((mark) => mark.label);
  const key = JSON.stringify([
    named.map((mark) => [mark.label, mark.mark, shade(mark, 0, theme)]),
    content.scale ?? null,
    content.palette ? [...content.palette.data.subarray(300, 306)] : null,
  ]);
  if (below.dataset.key === key) return;
  below.dataset.key = key;
  below.replaceChildren();
  if (content.scale) {
    const stops = [0, 64, 128, 192, 255].map(
      (v) => `rgb(${content.palette.data.subarray(3 * v, 3 * v + 3).join(" ")})`,
    );
    const ramp = h("span", { class: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const { low, high, label } = content.scale;
    below.append(h("span", { class: "scale" }, h("span", {}, low), ramp, h("span", {}, `${high} ${label}`)));
  }
  for (const mark of named) {
    const chip = h("span", { class: `chip ${mark.mark}${mark.dash ? " dash" : ""}` });
    chip.style.color = shade(mark, 0, theme);
    below.append(h("span", { class: "key" }, chip, mark.label));
  }
}
