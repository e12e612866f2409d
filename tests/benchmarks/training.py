"""The explorers in the studio and in JupyterLab: how soon a picture follows the hand, how fast a model trains.

Steps are counted by the seconds of CPU that the kernel's process took, all its threads together; those of the bare loop
by the seconds of this process, while a page is dragged where nothing trains: a busy neighbor slows both.
"""

import itertools
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

import psutil
import torch

from gdm_core.explorers import EXPLORERS
from gdm_core.explorers.ch04_latent_pad import picture_vae
from gdm_core.explorers.ch05_traversal import BETAS, LIVE
from gdm_core.explorers.room_vaes import room_vae
from gdm_core.explorers.style_vaes import class_vae
from tests import tiny_course
from tests.benchmarks._race import table
from tests.benchmarks.stage import tab
from tests.browser import launched
from tests.servers import TOKEN, lab, notebook, studio

SECONDS = 2.0
BARE = {
    "latent_pad": (picture_vae, {"dataset": "strokes"}),
    "style_board": (class_vae, {"dataset": "strokes"}),
    "traversal": (room_vae, {"beta": BETAS[LIVE]}),
}
HOLDS = ".knob, .slider input, .timeline input, .tile"
# Steps done and milliseconds, at the next picture.
DONE = """() => new Promise((done) => { const bar = document.querySelector("progress"), from = bar.value,
    look = () => bar.value > from ? done([bar.value, performance.now()]) : setTimeout(look, 1); look() })"""
# A hand that never rests: the pad, or else the first slider, 120 times a second.
DRAG = """() => { const pad = document.querySelector(".layer.pad"), slider = document.querySelector(".slider input");
    let i = 0, fire = () => {
      if (!pad) {
        slider.value = +slider.min + (slider.max - slider.min) * (0.5 + 0.4 * Math.sin(i / 40));
        return slider.dispatchEvent(new Event("input"));
      }
      const box = pad.getBoundingClientRect(), held = { pointerId: 1, isPrimary: true, button: 0, bubbles: true };
      pad.setPointerCapture = pad.releasePointerCapture = () => {};
      pad.hasPointerCapture = () => true;
      const place = { clientX: box.left + box.width * (0.5 + 0.4 * Math.cos(i / 40)),
        clientY: box.top + box.height * (0.5 + 0.4 * Math.sin(i / 27)) };
      pad.dispatchEvent(new PointerEvent(i ? "pointermove" : "pointerdown", { ...held, ...place }));
    };
    globalThis.hand = setInterval(() => { fire(); i++ }, 8) }"""


def main() -> None:
    chosen = os.environ.get("EXPLORERS", " ".join(EXPLORERS)).split()
    lags, speeds = [], []
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        home = Path(folder)
        tiny_course.make(home, _01_none="# %%\n1\n")
        for name in chosen:
            about = {"title": EXPLORERS[name].title}
            notebook(home / "pages" / f"{name}.ipynb", f"from gdm_core import explorers\n\nexplorers.{name}()", **about)
        with studio(home / "pages", home) as app, lab(home) as jupyter:
            for name in chosen:
                try:
                    measured = [explorer(browser, server, name) for server in (app, jupyter)]
                except Exception as error:  # one that does not show is no reason to lose the rest
                    print(f"  {name}: {type(error).__name__}", flush=True)
                    continue
                print(f"  {name}: {', '.join(f'{lag:.0f} ms' for lag, _ in measured)}", flush=True)
                lags.append([name, *(f"{lag:.0f}" for lag, _ in measured)])
                speeds += rows(name, [speed for _, speed in measured]) if name in BARE else []
    table(["ms from key to picture, medians", "studio", "JupyterLab"], *lags)
    print("\n  steps by the second of CPU, as a share of the bare loop's; pictures a second of the clock")
    table(["", "steps/s", "share", "goal", "steps/s by the clock", "pictures/s", "dimmed"], *speeds)


def rows(name: str, places: list[dict]) -> list[list]:
    out = []
    for place, found in zip(("studio", "JupyterLab"), places):
        bare = found["bare"]
        out.append([f"{name}, bare loop", bare, "", "", "", "", ""])
        for what, goal in (("alone", "0.7"), ("dragging", "0.4")):
            steps, clock, pictures, dimmed = found[what]
            out.append([f"  {place}, {what}", steps, f"{steps / bare:.2f}", goal, clock, pictures, dimmed])
    return out


def loop(name: str, steps: int = 100) -> float:
    """Steps of the bare loop by the second of CPU."""
    torch.set_num_threads(1)
    recipe, options = BARE[name]
    _, generator = recipe(**options)
    for _ in itertools.islice(generator, 20):
        pass
    began = time.process_time()
    for _ in itertools.islice(generator, steps):
        pass
    return steps / (time.process_time() - began)


def explorer(browser, server, name: str) -> tuple[float, dict]:
    """Median milliseconds from a key to its picture; what `training` found, alone and dragging, if one can train."""
    before = set(server.kernels())
    page = tab(browser)
    page.set_viewport_size({"width": 1300, "height": 900})
    if "The studio" not in server.said():
        page.goto(f"{server.url}lab/workspaces/w{name}/tree/pages/{name}.ipynb?token={TOKEN}")
        page.locator(".jp-CodeCell .cm-content").first.click()
        idle = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
        page.wait_for_function(idle, polling=100)
        page.keyboard.press("Shift+Enter")
    else:
        page.goto(f"{server.url}voila/render/{name}.ipynb")
    shows = "document.querySelector('.said')?.textContent.length > 5"
    page.wait_for_function(shows, polling=100, timeout=300_000)  # at its first use a model is trained
    page.wait_for_timeout(1500)
    page.locator('[data-tool="Speed"]').click()
    page.locator(HOLDS).first.focus()
    for i in range(34):
        page.keyboard.press("ArrowRight" if i % 8 < 4 else "ArrowLeft")
        page.wait_for_timeout(60)
    page.wait_for_timeout(300)
    lag = float(re.match(r"([\d.]+) ms", page.locator(".badge").inner_text())[1])
    found = {}
    if name in BARE:
        kernel = psutil.Process((set(server.kernels()) - before).pop())
        page.evaluate(DRAG)
        found["bare"] = statistics.median(loop(name) for _ in range(3))
        page.evaluate("clearInterval(globalThis.hand)")
        page.wait_for_timeout(400)
        for what in ("alone", "dragging"):
            found[what] = training(page, kernel, what == "dragging")
    page.context.close()
    return lag, found


def training(page, kernel: psutil.Process, dragging: bool) -> tuple[float, float, float, str]:
    """Steps by the second of CPU and of the clock, pictures a second, share of the samples that were dimmed."""
    page.locator('[data-control="train start"]').click()
    page.wait_for_function("document.querySelector('.training output').textContent.includes('steps/s')", polling=20)
    if dragging:
        page.evaluate(DRAG)
    page.wait_for_timeout(300)
    used = lambda: sum(kernel.cpu_times()[:2])
    (first, began), cpu, dims = page.evaluate(DONE), used(), []
    until_then = time.monotonic() + SECONDS
    while time.monotonic() < until_then:
        dims.append(page.locator(".views[aria-busy]").count())
        page.wait_for_timeout(50)
    pictures = float(re.search(r"([\d.]+) fps", page.locator(".badge").inner_text())[1])
    (last, ended), cpu = page.evaluate(DONE), used() - cpu
    page.evaluate("clearInterval(globalThis.hand)")
    page.locator('[data-control="train reset"]').click()
    page.wait_for_timeout(400)
    steps = last - first
    return steps / cpu, 1e3 * steps / (ended - began), pictures, f"{sum(dims) / len(dims):.0%}"
