// A chapter to read: code that can be put aside, signs that more stands beside, plotly's figures in the page's colors.
(() => {
  const root = document.documentElement, button = document.querySelector("[data-code-button]");
  button.onclick = () => {
    const hidden = root.classList.toggle("no-code");
    button.textContent = hidden ? "Show code" : "Hide code";
    button.setAttribute("aria-pressed", !hidden);
  };

  // What is wider than its place fades out where it goes on: a phone shows no scrollbar.
  const cut = (box) => {
    box.classList.toggle("cut-start", box.scrollLeft > 1);
    box.classList.toggle("cut-end", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  };
  const boxes = document.querySelectorAll(".display, .code, .prose table, .page > figure:has(> img, > a > img)");
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => cut(target)));
  for (const box of boxes) {
    sizes.observe(box);
    box.addEventListener("scroll", () => cut(box), { passive: true });
  }
  document.fonts.ready.then(() => boxes.forEach(cut));

  const store = document.getElementById("plotly");
  if (!store) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themed = () => {
    const style = getComputedStyle(document.body), line = style.getPropertyValue("--line");
    const probe = document.body.appendChild(Object.assign(document.createElement("i"), { hidden: true }));
    probe.style.color = line;
    const faint = getComputedStyle(probe).color, axis = { gridcolor: faint, zerolinecolor: faint, color: style.color, linecolor: style.color };
    probe.remove();
    return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: style.color, family: style.fontFamily }, axis };
  };
  /** The traces, a dark color in them lighter where it would be lost on a dark page. */
  const seen = (data) => {
    const probe = document.body.appendChild(Object.assign(document.createElement("i"), { hidden: true }));
    const light = (color) => {
      probe.style.color = "";
      probe.style.color = color;
      const [r, g, b, a = 1] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number), bright = 0.3 * r + 0.59 * g + 0.11 * b;
      const lacking = Math.max(0, (125 - bright) / (255 - bright));
      return `rgba(${[r, g, b].map((v) => Math.round(v + lacking * (255 - v))).join()},${a})`;
    };
    const part = (trace, name) => typeof trace[name]?.color === "string" && { [name]: { ...trace[name], color: light(trace[name].color) } };
    const dim = parseFloat(getComputedStyle(root).getPropertyValue("--dimmed")) < 1; // in the dark
    const out = data.map((trace) => (dim ? { ...trace, ...part(trace, "marker"), ...part(trace, "line") } : trace));
    probe.remove();
    return out;
  };
  const named = (layout, name) => Object.keys(layout).filter((key) => new RegExp(`^${name}\\d*$`).test(key));
  const layoutOf = (layout) => {
    const { axis, ...colors } = themed(), out = { ...layout, ...colors, autosize: true, width: undefined };
    if (layout.sliders) { // its words stand below and beside it
      out.margin = { ...layout.margin, l: 14, r: 14 };
      out.sliders = layout.sliders.map((slider) => ({ ...slider, pad: { t: 20, ...slider.pad, b: 14 } }));
    }
    for (const name of new Set([...named(out, "[xy]axis"), "xaxis", "yaxis"])) out[name] = { ...layout?.[name], ...axis };
    for (const name of named(out, "scene")) {
      out[name] = { ...layout[name] };
      for (const side of ["xaxis", "yaxis", "zaxis"]) out[name][side] = { ...layout[name][side], ...axis };
    }
    return out;
  };
  /** Two panels side by side go below each other where the page is narrow. */
  const stacked = (out) => {
    const half = ([from, to]) => to - from < 0.7, tall = ([from]) => (from < 0.4 ? [0.55, 1] : [0, 0.45]), boxes = [];
    for (const name of named(out, "scene")) boxes.push([out[name].domain?.x, (y) => (out[name].domain = { x: [0, 1], y })]);
    for (const name of named(out, "xaxis")) boxes.push([out[name].domain, (y) => {
      out[name].domain = [0, 1];
      out[name.replace("x", "y")].domain = y;
    }]);
    const side = boxes.filter(([x]) => x && half(x));
    if (!side.length) return out;
    for (const [x, move] of side) move(tall(x));
    const title = (a) => (a.yref === "paper" && a.y === 1 ? { ...a, x: 0.5, y: tall([a.x - 0.1])[1] } : a);
    return { ...out, annotations: out.annotations?.map(title), height: 1.8 * (out.height ?? 450) };
  };
  const figures = [...document.querySelectorAll("[data-figure]")].map((script) => {
    const { data, layout } = JSON.parse(script.textContent), place = document.createElement("div");
    script.after(place);
    return { data, layout, place };
  });
  const fitted = (layout, place) => {
    if (place.clientWidth >= 560) return layout;
    const title = layout.title && { ...layout.title, font: { ...layout.title.font, size: 13 } };
    const out = { ...stacked(layout), ...(title && { title }), legend: { ...layout.legend, orientation: "h" } };
    for (const name of named(out, "scene")) { // from farther away: nothing is cut off at the sides
      const { x, y, z } = out[name].camera?.eye ?? { x: 1.25, y: 1.25, z: 1.25 }, away = Math.max(1.3, 3.25 / Math.hypot(x, y, z));
      out[name].camera = { ...out[name].camera, eye: { x: away * x, y: away * y, z: away * z } };
      for (const side of ["xaxis", "yaxis", "zaxis"]) { // small names: long ones would run into each other
        const title = out[name][side]?.title;
        if (title) out[name][side] = { ...out[name][side], title: { text: title.text ?? title, font: { ...title.font, size: 11 } } };
      }
    }
    return out;
  };
  const draw = () => figures.forEach(({ data, layout, place }) => Plotly.react(place, seen(data), fitted(layoutOf(layout), place), {
    responsive: true, displaylogo: false, ...(place.clientWidth < 560 && { displayModeBar: false }), // it covers a title
  }));
  const load = async () => {
    const bytes = Uint8Array.from(atob(store.dataset.plotly), (char) => char.charCodeAt(0));
    const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).blob();
    const script = Object.assign(document.createElement("script"), { src: URL.createObjectURL(text.slice(0, text.size, "text/javascript")) });
    script.onload = () => {
      draw();
      dark.addEventListener("change", draw);
      new MutationObserver(draw).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
    };
    document.head.append(script);
  };
  load();
})();
