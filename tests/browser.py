"""Headless Chromium for the tests that drive a page, and a page with nothing in it but a stage.

A test module says `pytestmark = browser.needed` and `chromium_running, tab = browser.chromium_running, browser.tab`;
its tests ask for `tab`, a fresh tab that collects what goes wrong in it.  `on_stage(tab, stage)` shows a stage of this
process there, wired to it as a kernel would be.
"""

import base64
import contextlib
import json
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from gdm_core.course.doctor import chromium
from gdm_core.widgets import assets

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOME = {"localhost", "127.0.0.1", "[::1]", "::1", ""}


needed = pytest.mark.browser  # skipped, with what to install, where there is no Chromium


@dataclass
class Trouble:
    """What a page should not do: script errors, and requests that leave this machine."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def watch(self, page) -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        told = lambda said: self.errors.append(f"{said.text} {said.location.get('url', '')}".strip())
        page.on("console", lambda said: told(said) if said.type == "error" else None)
        page.on("request", lambda request: self.outside.append(request.url) if not at_home(request.url) else None)

    def none(self) -> bool:
        assert not self.errors, self.errors
        assert not self.outside, self.outside
        return True


def at_home(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "file", "about", "chrome", "attachment") or parts.hostname in HOME


@contextlib.contextmanager
def launched():
    """A running Chromium with nothing of the user's in it; `new_context(**options)` gives an empty profile."""
    with sync_playwright() as play:
        opened = _launch(play)
        try:
            yield opened
        finally:
            opened.close()


def _launch(play):
    return play.chromium.launch(executable_path=chromium(), headless=True, args=list(FLAGS))


@pytest.fixture(scope="module")  # playwright's loop must be gone before another module's test starts one of its own
def chromium_running():
    if _faulty():
        yield _staying()
        return
    with launched() as opened:
        yield opened


def patience() -> float:
    """Milliseconds: what never comes under a fault is not waited for as long as what comes late on a busy machine."""
    return 3_000 if _faulty() else 30_000


def _faulty() -> bool:
    """Whether this process plants one fault of pages after the other."""
    return "GDM_TEST_STAYS" in os.environ


def _staying(known=[]):  # noqa: B006 - it outlives its call: the Chromium of this process, until that ends
    if not known:
        known += [sync_playwright().start(), None]
    if known[1] is None or not known[1].is_connected():
        known[1] = _launch(known[0])
    return known[1]


@pytest.fixture
def tab(chromium_running):
    """A tab in a profile of its own; `tab.trouble` holds what went wrong, and the test fails when there is any."""
    profile = chromium_running.new_context(
        viewport={"width": 800, "height": 900}, has_touch=True, accept_downloads=True
    )
    profile.set_default_timeout(patience())
    page = profile.new_page()
    page.trouble = Trouble()
    page.trouble.watch(page)
    yield page
    profile.close()
    page.trouble.none()


# Places are found in a frame or two after what they depend on: sizes, words, a picture.
STILL = """() => document.fonts.ready.then(() => new Promise((still) => {
  let last = "", alike = 0;
  const look = () => {
    const boxes = [...document.querySelectorAll("main, main *")].map((part) => part.getBoundingClientRect());
    const now = boxes.map((box) => [box.x, box.y, box.width, box.height].join()).join(";");
    alike = now === last ? alike + 1 : 0;
    last = now;
    alike < 4 ? requestAnimationFrame(look) : still();
  };
  look();
}))"""


def still(page) -> None:
    """Wait until nothing on the page's stage has moved for five frames."""
    page.evaluate(STILL)


# A page's bytes as text: playwright hands numbers over one by one, a picture's in seconds.
TEXT = "((bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join('')))"


def rgba(height: float, width: float, text: str) -> np.ndarray:
    """What `TEXT` made of `getImageData`, (height, width, 4)."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(int(height), int(width), 4)


BARE = """<!doctype html><meta charset="utf-8"><title>stage</title>
<style>body { margin: 12px; background: Canvas } :root { color-scheme: light dark }</style><main></main>"""

# A model as anywidget gives it to render; what the stage sends waits in __sent, __reply answers it.
MODEL = """
globalThis.__listeners = {};
globalThis.__sent = [];
globalThis.__saved = [];
globalThis.__model = (values) => ({
  values,
  get: (name) => values[name],
  set: (name, value) => (values[name] = value),
  save_changes: () => __saved.push(structuredClone(values.state)),
  on: (name, f) => (__listeners[name] ??= []).push(f),
  off: (name, f) => (__listeners[name] = (__listeners[name] ?? []).filter((g) => g !== f)),
  send: (message) => {
    __sent.push(structuredClone(message));
    if (globalThis.__kernel) __kernel(JSON.stringify(message)).then((replies) => replies.forEach((r) => __reply(...r)));
  },
});
globalThis.__emit = (name, ...args) => (__listeners[name] ?? []).slice().forEach((f) => f(...args));
globalThis.__answered = 0;  // the number of the last request that was answered
globalThis.__reply = (message, buffers = []) => {
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  __emit("msg:custom", message, buffers.map(bytes));
  __answered = Math.max(__answered, message.n ?? 0);
};
globalThis.__open = async (esm, css, values) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  globalThis.__module = (await import(url)).default;
  globalThis.__values = values;
  globalThis.__m = __model(values);
  globalThis.__close = __module.render({ model: __m, el: document.querySelector("main") });
};
null;  // a last value that is a function would be called
"""


def open_stage(page, spec: dict, state: dict | None = None, html: str = BARE) -> None:
    """The module alone in a bare page with a model that answers nothing by itself."""
    page.set_content(html)
    page.evaluate(MODEL)
    values = {"spec": spec, "state": state or spec["initial"]}
    page.evaluate("([esm, css, values]) => __open(esm, css, values)", [assets.script(), assets.style(), values])


def on_stage(page, stage, html: str = BARE) -> None:
    """A stage of this process in a bare page: requests go to its handler and what it sends comes back."""
    sent = []

    def send(content, buffers=None):
        sent.append([content, [base64.b64encode(b).decode() for b in buffers or ()]])

    def kernel(message):
        sent.clear()
        stage._handle_custom_msg(json.loads(message), [])
        return list(sent)

    stage.send = send
    page.expose_function("__kernel", kernel)
    open_stage(page, dict(stage.spec), dict(stage.state), html)
