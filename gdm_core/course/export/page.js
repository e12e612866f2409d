// A chapter to read: code that can be put aside, and plotly's figures in the colors of the page.
(() => {
  const root = document.documentElement, button = document.querySelector("[data-code-button]");
  button.onclick = () => {
    const hidden = root.classList.toggle("no-code");
    button.textContent = hidden ? "Show code" : "Hide code";
    button.setAttribute("aria-pressed", !hidden);
  };

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
  const named = (layout, name) => Object.keys(layout).filter((key) => new RegExp(`^${name}\\d*$`).test(key));
  const layoutOf = (layout) => {
    const { axis, ...colors } = themed(), out = { ...layout, ...colors, autosize: true, width: undefined };
    for (const name of new Set([...named(out, "[xy]axis"), "xaxis", "yaxis"])) out[name] = { ...layout?.[name], ...axis };
    for (const name of named(out, "scene")) {
      out[name] = { ...layout[name] };
      for (const side of ["xaxis", "yaxis", "zaxis"]) out[name][side] = { ...layout[name][side], ...axis };
    }
    return out;
  };
  const figures = [...document.querySelectorAll("[data-figure]")].map((script) => {
    const { data, layout } = JSON.parse(script.textContent), place = document.createElement("div");
    script.after(place);
    return { data, layout, place };
  });
  const draw = () => figures.forEach(({ data, layout, place }) => Plotly.react(place, data, layoutOf(layout), { responsive: true, displaylogo: false }));
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
