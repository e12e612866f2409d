// Flow control.  The reply is the acknowledgment; of waiting inputs only the newest survives; one request is in flight,
// two when the kernel answers in less than 10 ms; a reply that never comes frees its slot; nothing is sent unseen.
// While a model trains in the kernel, pictures have a share of the time and the training has the rest.

const PATIENCE = 3000; // milliseconds until a request counts as lost
const LONGEST = 30000; // between two tries while nobody answers
const SLOW = 250; // until the page says that it waits
const FAST = 10; // milliseconds of kernel time below which a second request in flight pays
// From an answer to the next request a training has the machine: what a slow page or a busy machine adds is not taken
// from it.
const HAND = 0.5; // of the time for pictures while a model trains and a hand moves
const WATCH = 0.35; // and while one only watches
const POST = 7; // milliseconds that the kernel's other threads need for a picture: messages come and go
const LATEST = 0.25; // weight of the last picture's cost: one that is dearer now and then does not break the pace

/**
 * ask(n) sends request n with the newest state; late() hears that nobody answers; heard() that somebody does;
 * busy(true) that an answer takes long, busy(false) that the newest is there or that they come quickly again.
 */
function flow({ ask, late, heard, busy }) {
  let wanted = false,
    input = 0,
    visible = true,
    newest = 0,
    shown = 0,
    slow = 0,
    slots = 1,
    patience = PATIENCE,
    moved = false, // by a hand, since the last request
    cost = 0, // milliseconds of a training that pictures take now
    answered = 0,
    turn = 0;
  const flying = new Map(); // n -> { timer, input, began }
  const watch = () => (slow ||= cost ? 0 : setTimeout(busy, SLOW, true)); // a training's strip says what goes on

  function pump() {
    turn = clearTimeout(turn);
    if (!wanted || !visible || flying.size >= (cost ? 1 : slots)) return;
    const rest = cost ? answered + (cost + POST) * (1 / (moved ? HAND : WATCH) - 1) - performance.now() : 0;
    if (rest >= 1) return (turn = setTimeout(pump, rest));
    wanted = moved = false;
    const n = ++newest;
    flying.set(n, { input, began: performance.now(), timer: setTimeout(() => expire(n), patience) });
    watch();
    ask(n);
  }

  function expire(n) {
    flying.delete(n);
    patience = Math.min(2 * patience, LONGEST);
    late();
    if (n === newest) wanted = true; // what the hand last asked for has not been seen: ask again
    pump();
  }

  return {
    /** Another picture, for a hand that moved something or because the kernel has news. */
    want(hand = true) {
      wanted = true;
      moved ||= hand;
      input = performance.now();
      pump();
    },
    /** Reply n took the kernel ms, `lost` of them from a training; paint unless a newer picture is there already.
     *  Returns ms since the input. */
    answer(n, ms, lost, paint) {
      const flight = flying.get(n);
      if (flight) clearTimeout(flight.timer);
      flying.delete(n);
      answered = performance.now();
      slow = clearTimeout(slow);
      if ((!flying.size && !wanted) || performance.now() - flight?.began < SLOW) busy(false);
      cost = lost ? cost + (lost - cost) * (cost ? LATEST : 1) : 0;
      slots = ms < FAST ? 2 : 1;
      patience = Math.max(PATIENCE, 3 * ms);
      heard();
      try {
        if (n > shown) {
          shown = n;
          paint();
        }
      } finally {
        pump();
        if (flying.size) watch();
      }
      return flight ? performance.now() - flight.input : NaN;
    },
    look(seen) {
      visible = seen;
      pump();
    },
    idle: () => !wanted && flying.size === 0,
    close() {
      for (const { timer } of flying.values()) clearTimeout(timer);
      flying.clear();
      clearTimeout(slow);
      clearTimeout(turn);
      visible = false;
    },
  };
}

/** Calls seen(boolean) whenever the element comes into or goes out of sight. Returns what stops it. */
function watchSight(element, seen) {
  let inside = true;
  const tell = () => seen(inside && !document.hidden);
  const observer = new IntersectionObserver((entries) => {
    inside = entries[entries.length - 1].isIntersecting;
    tell();
  });
  observer.observe(element);
  document.addEventListener("visibilitychange", tell);
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", tell);
  };
}

/** Milliseconds from input to painted picture (median of the last thirty) and pictures in the last second. */
function lagMeter() {
  let lags = [],
    times = [];
  return {
    add(lag) {
      const now = performance.now();
      if (lag >= 0) lags = [...lags.slice(-29), lag];
      times = [...times.filter((t) => now - t < 1000), now];
    },
    words() {
      if (!lags.length) return "no picture yet";
      const sorted = [...lags].sort((a, b) => a - b);
      const recent = times.filter((t) => performance.now() - t < 1000).length;
      return `${sorted[sorted.length >> 1].toFixed(0)} ms · ${recent} fps`;
    },
  };
}
