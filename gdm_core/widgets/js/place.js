// Where the pictures of a stage lie and how tall they are: one sees them and what is said of them at once.

const TALLEST = 0.62; // of the window's height, a picture; SMALLEST is where scrolling is better than shrinking further
const SMALLEST = 0.25;
const LONG = 0.4; // when one has to scroll anyway
const NARROW = 560; // pixels: on a phone one scrolls, and the pictures that answer stay in sight
const KEPT = 3; // so many at the most: smaller ones show nothing

/** root: the stage; row, reading, tools: its pictures, their read-out and the buttons below; views by name; whole: a page
 *  of its own; growing(): whether longer words may come; held(): whether a hand is on a control. */
function placing({ root, row, reading, tools, views, whole, growing, held }) {
  const inSight = h("div", { class: "kept" }); // what stays on the screen of a phone
  let width = 0,
    leveled = "",
    measured = "",
    layout = "";

  const arrange = () => {
    const now = JSON.stringify([...views.values()].map((view) => [view.name, view.figure.hidden, view.placed]));
    if (now === layout) return;
    layout = now;
    const shown = [...views.values()].filter((view) => !view.figure.hidden),
      [size, ...rest] = shown.map((view) => view.content.size);
    row.style.setProperty("--share", shown.length === 3 ? "15cqi" : "22cqi");
    row.style.setProperty("--rest", rest.length);
    row.classList.toggle("lead", rest.length > 1 && size >= 2 * Math.max(...rest) && shown[0].content.aspect < 2);
    for (const view of views.values()) view.figure.classList.toggle("first", view === shown[0]);
    keepInSight(shown);
    measured = "";
    fit();
  };

  /** On a phone one hand works below while the eye stays with what answers: the first picture that no control lies on
   *  (a chart with axes only if it is the first of all), and the small ones after it. */
  const keepInSight = (shown) => {
    const start = shown.findIndex((view, i) => !view.worked && (!i || !view.content.axes)),
      [first, ...after] = shown.slice(Math.max(0, start));
    if (!first) return;
    const small = ({ figure }) => figure.matches(".small:not(.axes, .plain)");
    const end = first.worked || first.content.axes ? 0 : after.findIndex((view) => view.worked || !small(view));
    const figures = [first, ...(end < 0 ? after : after.slice(0, end)).slice(0, KEPT - 1)].map((view) => view.figure);
    inSight.classList.toggle("alone", figures.length === 1 && small(first));
    if (figures.length === inSight.children.length && figures.every((figure, i) => figure === inSight.children[i])) return;
    if (figures[0].parentElement !== inSight) figures[0].before(inSight);
    inSight.after(...[...inSight.children].filter((figure) => !figures.includes(figure)));
    inSight.append(...figures);
  };

  /** The tallest pictures with which one sees them and their read-out at once, on a page of its own the tools as well.
   *  Longer words later on do not make them smaller: nothing jumps. */
  const fit = () => {
    const measure = () => [root.clientWidth, innerHeight].join();
    if (growing() && root.clientWidth === width) reading.style.minHeight = `${reading.offsetHeight}px`; // only grows
    if (!root.clientWidth || measure() === measured || held()) return; // nothing moves under a hand
    reading.style.minHeight = "";
    views.forEach(({ figure }) => (figure.style.maxWidth = ""));
    width = root.clientWidth;
    const last = whole ? tools : reading;
    const bottom = (part) => part.getBoundingClientRect().bottom - root.getBoundingClientRect().top;
    const above = whole ? root.getBoundingClientRect().top + scrollY + 8 : 0.1 * innerHeight;
    let tall = TALLEST * innerHeight;
    const put = () => row.style.setProperty("--tall", `${Math.round(tall)}px`);
    put();
    const hidden = (part) => width > NARROW && bottom(part) > innerHeight - above;
    while (hidden(last) && tall > SMALLEST * innerHeight) {
      tall *= 0.96;
      put();
    }
    if (hidden(last)) {
      tall = LONG * innerHeight;
      put();
    }
    alike();
    const strip = root.querySelector(".training");
    strip?.classList.remove("ahead");
    strip?.classList.toggle("ahead", hidden(strip)); // nobody would find what the caption asks to press
    measured = measure();
  };

  /** Pictures of one size and shape are to be compared: those that wrapped into a row of their own grow no larger. */
  const alike = () => {
    const pictures = [...views.values()].filter(({ figure }) => !figure.hidden && !figure.matches(".axes, .strip"));
    for (const group of Map.groupBy(pictures, ({ content }) => `${content?.size} ${content?.aspect}`).values()) {
      const wide = group.map(({ figure }) => figure.clientWidth);
      if (width > NARROW && Math.max(...wide) - Math.min(...wide) > 1)
        group.forEach(({ figure }) => (figure.style.maxWidth = `${Math.min(...wide)}px`));
    }
  };

  const layOut = () =>
    requestAnimationFrame(() => {
      const now = `${root.clientWidth} ${layout}`;
      levelCaptions([...views.values()], now !== leveled);
      leveled = now;
      fit();
      levelCaptions([...views.values()], false); // rows may be others now
    });

  return {
    arrange,
    /** The first picture has come: whatever was measured before it says nothing. */
    anew() {
      measured = leveled = "";
      layOut();
    },
    /** Keep up with the window; returns what ends that. */
    follow() {
      const room = new ResizeObserver(layOut);
      [root, reading].forEach((part) => room.observe(part));
      addEventListener("resize", fit);
      return () => removeEventListener("resize", fit);
    },
  };
}
