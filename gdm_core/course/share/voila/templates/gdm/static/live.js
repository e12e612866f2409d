// The line from a page to its kernel: of Jupyter's protocol just what an anywidget needs, so that a page is there at
// once, on a phone too.  Reconnects by itself; when the kernel is gone for good it starts again where the hand was.

const PROTOCOL = "v1.kernel.websocket.jupyter.org"; // offsets, channel, header, parent, metadata, content, buffers
const WAITS = [250, 500, 1000, 2000, 4000, 8000]; // milliseconds before each try to connect again
const YOUNG = 10000; // a page that lost its kernel sooner than this does not reload by itself, or it would do so forever
const { base, kernel } = JSON.parse(document.getElementById("line").textContent);
const session = crypto.randomUUID?.() ?? String(Math.random()).slice(2); // http pages beyond localhost have no UUID
const born = performance.now(), kept = `gdm-state ${location.pathname}`;
const models = new Map(); // comm id -> model
let socket = null, tries = 0, number = 0, leaving = false, control = "";

const encoder = new TextEncoder(), decoder = new TextDecoder();

function pack(channel, type, content, metadata = {}) {
  const header = { msg_id: `${session}-${++number}`, msg_type: type, session, username: "studio", version: "5.3", date: new Date().toISOString() };
  const parts = [channel, ...[header, {}, metadata, content].map((part) => JSON.stringify(part))].map((part) => encoder.encode(part));
  const count = parts.length + 1, bytes = new Uint8Array(8 * (count + 1) + parts.reduce((sum, part) => sum + part.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 8 * (count + 1);
  view.setUint32(0, count, true);
  parts.forEach((part, i) => {
    view.setUint32(8 * (i + 1), at, true);
    bytes.set(part, at);
    at += part.length;
  });
  view.setUint32(8 * count, at, true);
  return bytes;
}

function unpack(buffer) {
  const view = new DataView(buffer), count = view.getUint32(0, true);
  const offsets = Array.from({ length: count }, (_, i) => view.getUint32(8 * (i + 1), true));
  const part = (i) => new Uint8Array(buffer, offsets[i], offsets[i + 1] - offsets[i]);
  const read = (i) => JSON.parse(decoder.decode(part(i)));
  const buffers = offsets.slice(5, -1).map((at, i) => new DataView(buffer, at, offsets[i + 6] - at));
  return { channel: decoder.decode(part(0)), header: () => read(1), content: () => read(4), buffers };
}

const open = () => socket?.readyState === WebSocket.OPEN;
const send = (comm, data) => open() && socket.send(pack("shell", "comm_msg", { comm_id: comm, data }));

/** What anywidget gives to `render`. */
function makeModel(id, values) {
  const listeners = new Map(), changed = new Set();
  const model = {
    values,
    last: null, // a request without an answer so far: it may be lost with the connection
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      changed.add(name);
    },
    save_changes() {
      const state = Object.fromEntries([...changed].map((name) => [name, values[name]]));
      if (changed.size && send(id, { method: "update", state, buffer_paths: [] }) !== false) changed.clear();
    },
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    off: (name, listener) => listeners.set(name, (listeners.get(name) ?? []).filter((known) => known !== listener)),
    emit: (name, ...args) => (listeners.get(name) ?? []).forEach((listener) => listener(...args)),
    send(content) {
      model.last = content;
      send(id, { method: "custom", content });
    },
    receive({ method, content, state }, buffers) {
      if (method === "custom") {
        if (content.n === model.last?.n) model.last = null;
        model.emit("msg:custom", content, buffers);
      }
      if (method === "update") {
        Object.assign(values, state);
        for (const name of Object.keys(state)) model.emit(`change:${name}`);
      }
    },
  };
  return model;
}

function connect() {
  const address = new URL(`${base}api/kernels/${kernel}/channels?session_id=${session}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address, [PROTOCOL]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    tries = 0;
    say("");
    if (models.size) {
      for (const model of models.values()) {
        if (model.last) model.send(model.last);
        else model.emit("msg:custom", { kind: "stale" }, []); // who knows what changed meanwhile
      }
      return;
    }
    control = `${session}-control`;
    socket.send(pack("shell", "comm_open", { comm_id: control, target_name: "jupyter.widget.control", data: {} }, { version: "1.0.0" }));
    send(control, { method: "request_states" });
  };
  socket.onmessage = ({ data }) => {
    const message = unpack(data);
    if (message.channel !== "iopub") return;
    const type = message.header().msg_type;
    if (type === "status" && /dead|restarting/.test(message.content().execution_state)) return gone(); // its variables are lost
    if (type !== "comm_msg") return;
    const content = message.content();
    if (content.comm_id === control && content.data.method === "update_states") return start(content.data.states);
    models.get(content.comm_id)?.receive(content.data, message.buffers);
  };
  socket.onclose = () => !leaving && again();
}

/** The connection is lost: ask whether the kernel still lives, and try again or say that it is over. */
async function again() {
  if (tries > 1) say("The connection to the studio is lost. The picture stays; it moves again as soon as the connection is back.");
  await new Promise((wake) => setTimeout(wake, WAITS[Math.min(tries++, WAITS.length - 1)]));
  let status = 0;
  try {
    status = (await fetch(`${base}api/kernels/${kernel}`, { cache: "no-store" })).status;
  } catch {
    return again(); // the server is away: a sleeping laptop, a changed network, a studio that was stopped
  }
  if (status === 404) gone();
  else if (status === 403) say("The studio was started anew and asks for its token: open it with the link that it printed.");
  else connect();
}

function gone() {
  leaving = true;
  socket?.close();
  for (const model of models.values()) model.emit("msg:custom", { kind: "gone" }, []);
  const states = Object.fromEntries([...models].map(([, model]) => [model.values.spec?.name, model.values.state]));
  try {
    if (models.size) sessionStorage.setItem(kept, JSON.stringify(states));
  } catch {}
  if (performance.now() - born > YOUNG && !document.hidden) return location.reload();
  say("The kernel of this page has ended.", true);
  document.addEventListener("visibilitychange", () => !document.hidden && performance.now() - born > YOUNG && location.reload());
}

function say(words, offer = false) {
  const place = document.querySelector(".gone");
  place.hidden = !words;
  place.firstElementChild.textContent = words;
  place.lastElementChild.hidden = !offer;
}

/** The kernel has told the state of all its widgets: show those that the page has a place for. */
async function start(states) {
  let before = {};
  try {
    before = JSON.parse(sessionStorage.getItem(kept) ?? "{}");
    sessionStorage.removeItem(kept);
  } catch {}
  for (const place of document.querySelectorAll(".live")) {
    const id = place.dataset.model, values = states[id]?.state;
    if (!values || models.has(id)) continue;
    values.spec = { ...values.spec, link: true, whole: true }; // the page is the stage's, and so is its address
    if (before[values.spec?.name]) values.state = { ...values.state, ...before[values.spec.name] };
    const model = makeModel(id, values);
    models.set(id, model);
    document.head.append(Object.assign(document.createElement("style"), { textContent: values._css }));
    const url = URL.createObjectURL(new Blob([values._esm], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    URL.revokeObjectURL(url);
    const el = document.createElement("div");
    place.append(el);
    await widget.initialize?.({ model });
    await widget.render({ model, el });
    settle(place, el);
  }
}

/** The static picture stays until the live one is painted, so that nothing flickers. */
function settle(place, el) {
  const painted = () => [...el.querySelectorAll("canvas.picture, canvas.marks")].some((canvas) => canvas.width > 1);
  el.classList.add("waiting");
  const show = () => {
    place.querySelector(".still")?.remove();
    el.classList.remove("waiting");
  };
  const until = performance.now() + 4000;
  const look = () => (painted() || performance.now() > until ? requestAnimationFrame(show) : requestAnimationFrame(look));
  look();
}

document.querySelector(".gone button").onclick = () => location.reload();
addEventListener("pagehide", () => {
  leaving = true;
  const form = new FormData();
  form.append("_xsrf", document.cookie.match(/\b_xsrf=([^;]*)/)?.[1] ?? "");
  navigator.sendBeacon(`${base}voila/api/shutdown/${kernel}`, form);
});
addEventListener("pageshow", (event) => event.persisted && location.reload()); // its kernel ended when one left it
if (kernel) connect();
