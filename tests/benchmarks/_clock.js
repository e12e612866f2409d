// Put into every page before its own scripts: when a hand was heard, when pixels came, how many requests are in flight.
globalThis.clock = { heard: 0, drawn: [], flying: 0, most: 0 };

addEventListener("keydown", () => (clock.heard = performance.now()), true);

for (const draw of ["putImageData", "drawImage"]) {
  const plain = CanvasRenderingContext2D.prototype[draw];
  CanvasRenderingContext2D.prototype[draw] = function (...args) {
    plain.apply(this, args);
    if (this.canvas.matches(".picture")) clock.drawn.push(performance.now());
  };
}
document.addEventListener("load", (event) => event.target.tagName === "IMG" && clock.drawn.push(performance.now()), true);
setInterval(() => {
  const plot = document.querySelector(".js-plotly-plot:not([data-seen])");
  if (!plot?.on) return;
  plot.dataset.seen = "yes";
  plot.on("plotly_afterplot", () => clock.drawn.push(performance.now()));
}, 50);

/** Words of a message without its pixels, which would take as long to read as to draw. */
const text = (data) => (typeof data === "string" ? data : new TextDecoder().decode(data.slice(0, 4096)));
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (/"kind": ?"draw"/.test(text(data))) clock.most = Math.max(clock.most, ++clock.flying);
  return send.call(this, data);
};
const heard = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
Object.defineProperty(WebSocket.prototype, "onmessage", {
  ...heard,
  set(listener) {
    heard.set.call(this, (event) => {
      if (/"kind": ?"frame"/.test(text(event.data))) clock.flying--;
      listener.call(this, event);
    });
  },
});

const soon = () =>
  new Promise((wake) => {
    const line = new MessageChannel();
    line.port1.onmessage = wake;
    line.port2.postMessage(0);
  });

/** A hand faster than any screen: so many moves of the pad in so many seconds; then it lets go, and all gets quiet. */
clock.scribble = async (count, seconds) => {
  const layer = document.querySelector(".plain .layer"), box = layer.getBoundingClientRect();
  const at = (i) => [0.5 + 0.4 * Math.cos(i / 40), 0.5 + 0.4 * Math.sin(i / 27)];
  const fire = (type, i) => {
    const [x, y] = at(i), place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
    const held = { pointerId: 1, isPrimary: true, button: 0, buttons: type === "pointerup" ? 0 : 1, bubbles: true };
    layer.dispatchEvent(new PointerEvent(type, { ...held, ...place }));
  };
  layer.setPointerCapture = layer.releasePointerCapture = () => {};
  layer.hasPointerCapture = () => true;
  fire("pointerdown", 0);
  const began = performance.now(), before = clock.drawn.length;
  for (let i = 0; i < count; i++) {
    while (performance.now() - began < (1000 * seconds * i) / count) await soon();
    fire("pointermove", i);
  }
  const released = performance.now(), frames = clock.drawn.length - before;
  fire("pointerup", count - 1);
  await new Promise((wake) => setTimeout(wake, 1500));
  return { rate: (1000 * frames) / (released - began), settled: clock.drawn.at(-1) - released, most: clock.most };
};

/** So many frames, as fast as they come. */
clock.run = async (frames) => {
  const end = clock.drawn.length + frames, knob = document.querySelector(".plain .knob");
  for (let i = 0; clock.drawn.length < end; i++) {
    knob.dispatchEvent(new KeyboardEvent("keydown", { key: i % 80 < 40 ? "ArrowRight" : "ArrowLeft", bubbles: true }));
    await soon();
  }
};

clock.pixels = () => {
  const canvas = document.querySelector("canvas.picture:not([hidden])");
  return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 === 0);
};
