"""The stage: a callback on this side, pictures and controls on the page's side.

The page asks for one picture at a time (two when the kernel is fast), always with the newest state of the controls;
the answer is the acknowledgment.  So nothing queues up, whatever the hand does.  Everything here may be called from any
thread: JupyterLab answers on a subshell's thread, Voila on the main one, trainers report from theirs.
"""

import base64
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

import anywidget
import traitlets

from gdm_core import colors
from gdm_core.validate import bad, choice
from gdm_core.widgets import assets, export, still
from gdm_core.widgets.frames import pack
from gdm_core.widgets.trainer import Trainer, drawing
from gdm_core.widgets.view import Frame, frame_of

ROOM = ("name", "label", "extent", "aspect", "axes", "size", "smooth", "warns")  # of a view: its place is kept free
SWIFT = 25.0  # steps a second
BESIDE = 0.03  # seconds of messages that count as a picture's, at most: a cell that runs between two is not its fault
SAYS_AGAIN = 1.0  # seconds after which an unanswered call to look again is repeated


class Stage(anywidget.AnyWidget):
    """Controls and the pictures that follow them.

    Args:
        draw: `draw(controls) -> picture(s)`: array, `View`, dict of views, or `Frame`; `controls` maps each control's
            name to its value.  It must not use pyplot, and should draw its noise from a `Noise`.
        controls: `Slider`, `Pad`, `Choice`, `Toggle`, `Button`, `Timeline`, `Handles`, `Gaussians`, `Tiles`, `Brush`.
        title: headline, also of saved files.
        caption: one sentence that says what to try.
        exported: the same for a page without a kernel, where nothing trains and not every control moves.
        describe: `describe(controls) -> str`, a read-out for callbacks that return none.
        trainer: shows start, pause, step and reset, and redraws as training goes on.
        source: Python expression that builds this stage, import lines first; `code` appends the state to it.
        sampled: for pages without a kernel, {control name: how many samples}: which controls still move there; (nx, ny)
            for a pad, True for the usual number.  With the environment's `GDM_EXPORT` set, outputs carry such a page.
        decoder: a `BrowserDecoder`, for pages without a kernel that decode by themselves.
        name: key of this stage in links; made from the title unless given.
        link: restore the state from the page's address on load, and offer links.
        lag: show milliseconds and frames a second from the start.

    Raises:
        ValueError: two controls of one name, a callback that does not return pictures, a control on a view that the
            first picture does not show or that takes its name without lying on it.
    """

    _esm = traitlets.Unicode(assets.script()).tag(sync=True)
    _css = traitlets.Unicode(assets.style()).tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        draw: Callable[[dict], object],
        controls: Sequence = (),
        *,
        title: str = "",
        caption: str = "",
        exported: str | None = None,
        describe: Callable[[dict], str] | None = None,
        trainer: Trainer | None = None,
        source: str = "",
        sampled: Mapping[str, int | tuple | bool] | None = None,
        decoder=None,
        name: str = "",
        link: bool | None = None,
        lag: bool = False,
    ):
        if not callable(draw):
            raise bad("a function draw(controls)", type(draw).__name__, "Stage(lambda c: image, [...])")
        self.draw, self.describe, self.trainer, self.source = draw, describe, trainer, source
        self.title, self.caption, self.decoder = title, caption, decoder
        self.exported = caption if exported is None else exported
        self.sampled = dict(sampled or {})
        self.controls = {}
        if not isinstance(controls, Iterable):
            raise bad("a list of controls", type(controls).__name__, "Stage(draw, [Slider(...)])")
        for control in controls:
            if not hasattr(control, "spec"):
                raise bad("controls such as Slider or Pad", type(control).__name__, "Stage(draw, [Slider(...)])")
            if control.name in self.controls:
                raise bad("one control a name", f"two called {control.name!r}", "another name")
            self.controls[control.name] = control
            if trainer is not None and getattr(control, "length", None) == trainer.count:
                control.trainer = trainer
        for control in self.sampled:
            choice("sampled control", control, self.controls)
        self.key = name or "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split()) or "stage"
        self._lock = threading.RLock()  # one picture of this stage at a time
        self._wire = threading.Lock()  # what was sent and what the page knows stay in step
        self._known: set[str] = set()
        self._said = -SAYS_AGAIN
        self._left = 0, 0.0  # thread, and what it had computed when the last picture of a running training left
        if link is None:
            link = bool(os.environ.get("GDM_STAGE_LINKS"))
        spec = {"title": title, "caption": caption, "name": self.key, "source": source, "link": link, "lag": lag}
        spec |= {"controls": [c.spec() for c in self.controls.values()], "trainer": trainer is not None}
        state = {name: c.value for name, c in self.controls.items()}
        first = self.frame(state).encode()  # a callback that cannot draw hears it here, not in the page
        names = [view["name"] for view in first["views"]]
        for control in self.controls.values():
            if (when := getattr(control, "when", None)) is not None:
                other = choice(f"the control that {control.name!r} waits for", when[0], self.controls)
                self.controls[other].clean(when[1])
            elif getattr(control, "on", None) is not None:
                choice(f"the view under {control.name!r}", control.on, names)
            elif hasattr(control, "on") and control.name in names:  # its own plane would take that place
                what = f"another name for {control.kind} {control.name!r} than that of a view"
                raise bad(what, names, f"on={control.name!r} to lie over that view")
        spec |= {"initial": state, "views": [{k: view[k] for k in ROOM} for view in first["views"]]}
        super().__init__(spec=spec, state=state)
        self.on_msg(self._receive)
        if trainer is not None:
            trainer.listen(self.refresh)

    # Pictures.

    def frame(self, state: Mapping | None = None) -> Frame:
        """The frame of a state, or of a part of one; the present one unless given: what pages, files and tests show."""
        state = self.clean(state or {})
        values = self.values(state)
        with self._lock, drawing():
            frame = frame_of(self.draw(values))
            if self.describe is not None and not frame.text:
                frame = Frame(frame.views, str(self.describe(values)), frame.controls)
            return frame

    def values(self, state: Mapping | None = None) -> dict:
        """What the callback receives for a state."""
        state = self.clean(state or {})
        return {name: control.value_of(state[name]) for name, control in self.controls.items()}

    def set(self, values: Mapping | None = None, /, **named) -> "Stage":
        """Move controls: `stage.set(z=(0.5, -1.0), noise=0.1)`, or a dict; open pages follow.  Returns the stage."""
        self.state = self.clean({**(values or {}), **named})
        return self

    def press(self, button: str, times: int = 1) -> "Stage":
        """Press a button, or the chosen tile of a gallery, as a hand would, and do what it does.  Returns the stage."""
        counted = self.controls[choice("button", button, self._buttons())].kind == "button"
        state = {button: self.state[button] + times} if counted else {}
        self.state = self._act({"state": state, "presses": {button: times}})[0]
        return self

    def refresh(self) -> None:
        """Say that the same controls now give another picture (a model trained on).

        Cheap, from any thread, as often as one likes: an open page hears it once and asks when it is ready and visible.
        """
        now = time.monotonic()
        with self._wire:
            if now - self._said < SAYS_AGAIN:
                return
            self._said = now
        self.send({"kind": "stale"})

    # Messages.

    @traitlets.observe("comm")
    def _answer_while_cells_run(self, change) -> None:
        """Questions stay on the thread on which JupyterLab asks them.

        ipykernel 7.4 sends them to the thread that spoke last instead: at first the one of the cells, so that explorers
        were silent until Run All had ended.
        """
        if hasattr(change["new"], "_reply_subshell_for"):
            change["new"]._reply_subshell_for = lambda data, asked_on: asked_on

    def _receive(self, _widget, message, _buffers) -> None:
        """Answer one request of a page; whatever goes wrong is an answer too."""
        if not isinstance(message, dict) or message.get("kind") != "draw":
            return
        began, spent = time.perf_counter(), time.thread_time()
        here, (there, before) = threading.get_ident(), self._left
        beside = min(spent - before, BESIDE) if there == here else 0.0
        reply, frame = {"view": message.get("view"), "n": message.get("n")}, None
        swift = self._swift()
        # What changes from here on is news, unless the page asks again by itself.
        self._said = time.monotonic() if swift else -SAYS_AGAIN
        try:
            state, moved = self._act(message)
            with drawing():
                frame = self.frame(state)
                encoded = frame.encode()
            if frame.controls:
                state, moved = self.clean(frame.controls, state), [*moved, *frame.controls]
            reply |= {"kind": "frame", "set": {name: state[name] for name in sorted(moved)}}
        except Exception as error:
            reply |= {"kind": "error", "text": in_words(error)}
            self.log.debug("drawing failed", exc_info=True)
        reply["lengths"] = {c.name: c.grown() for c in self.controls.values() if c.kind == "timeline"}
        if self.trainer is not None:
            reply["trainer"] = self.trainer.status()
        if swift:
            reply["again"] = True
        with self._wire:
            buffers = []
            if reply["kind"] == "frame":
                known = frozenset() if message.get("fresh") else self._known
                reply["frame"], buffers, self._known = pack(encoded, known)
            reply["ms"] = round(1e3 * (time.perf_counter() - began), 3)
            self._left = 0, 0.0
            if self.trainer is not None and self.trainer.running:  # what it loses, without what waited for its step
                self._left = here, time.thread_time()
                reply["cost"] = round(1e3 * (self._left[1] - spent + beside), 3)
            self.send(reply, buffers)

    def _swift(self) -> bool:
        """Whether a training is so fast that there is news whenever the page may ask: then nobody need tell it."""
        return self.trainer is not None and self.trainer.status()["rate"] > SWIFT

    def _act(self, message: Mapping) -> tuple[dict, list[str]]:
        """Take the state of a request, do what was pressed, and say which controls are not where the page has them."""
        sent = message.get("state") or {}
        state = self.clean(sent)
        before = {**state, **sent}
        for name, times in dict(message.get("presses") or {}).items():
            button = self.controls[choice("button", name, self._buttons())]
            for _ in range(min(int(times), 100) if button.press else 0):
                state = self.clean(button.press(self.values(state)) or {}, state)
        for wish in message.get("train") or []:
            choice("trainer command", wish, ("start", "pause", "step", "reset"))
            if self.trainer is not None:
                getattr(self.trainer, wish)()
        return state, [name for name in state if state[name] != before[name]]

    def _buttons(self) -> list[str]:
        acts = lambda control: control.kind == "button" or getattr(control, "press", None)
        return [name for name, control in self.controls.items() if acts(control)]

    def clean(self, values: Mapping, base: Mapping | None = None) -> dict:
        """A whole valid state: `values` over `base` (the present state unless given)."""
        if not isinstance(values, Mapping):
            raise bad("a dict of control values", type(values).__name__, "stage.set(name=value)")
        for name in values:
            choice("control", name, self.controls)
        base = (self.state or {n: c.value for n, c in self.controls.items()}) if base is None else base
        return {n: c.clean(values[n]) if n in values else base[n] for n, c in self.controls.items()}

    @traitlets.validate("state")
    def _valid_state(self, proposal):
        return self.clean(proposal["value"])

    # Without a kernel.

    def code(self) -> str:
        """A code cell that builds this stage and moves its controls to where they are now; without its training."""
        live = [n for n, c in self.controls.items() if getattr(c, "trainer", None) is not None]
        moved = {n: v for n, v in self.state.items() if v != self.controls[n].value and n not in live}
        if all(n.isidentifier() for n in moved):
            inside = ", ".join(f"{n}={literal(v)}" for n, v in moved.items())
        else:
            inside = "{" + ", ".join(f"{n!r}: {literal(v)}" for n, v in moved.items()) + "}"
        return (self.source or "stage") + (f".set({inside})" if moved else "")

    def words(self) -> str:
        """Title, controls and read-out in one line; the same in every run."""
        return still.words(self, self.frame())

    def png(self, scale: float = 2.0) -> bytes:
        """The static picture: views, marks, labels and read-out; the same bytes for the same state."""
        return still.png(self, self.frame(), scale)

    def gif(self, control: str | None = None, width: int = 720) -> bytes:
        """The stage along a timeline (the first unless named) as a moving picture; at most 120 frames."""
        return still.gif(self, control, width)

    def to_html(self, backend: str | None = None, **options) -> str:
        """A fragment of a page that moves without kernel and network; see `export.to_html`."""
        return export.to_html(self, backend, **options)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        frame = self.frame()
        scale = 0.5 if colors.DRAFT in os.environ else still.SHARP
        image = still.png(self, frame, scale)
        data = {**data, "text/plain": still.words(self, frame), "image/png": base64.b64encode(image).decode()}
        width, height = still.size(image)
        if os.environ.get("GDM_EXPORT"):
            data["text/html"] = self.to_html()
        return data, {
            **metadata,
            "image/png": {"width": round(width / scale), "height": round(height / scale)},
        }


def in_words(error: BaseException) -> str:
    """An error for the reader of a page: what happened and what to do."""
    kind, said = type(error).__name__, str(error).strip().split("\n")[0]
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "out of memory" in said.lower():
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        return f"Out of memory while drawing ({kind}: {said[:120]}). Try fewer or smaller pictures, or DEVICE='cpu'."
    if isinstance(error, ValueError):
        return said
    return f"{kind}: {said}"


def literal(value) -> str:
    """State as Python source, as the page writes it too; four decimals are what a hand can mean.

    >>> literal([0.5, -1.0, 0.123456, True, "a"])
    "[0.5, -1, 0.1235, True, 'a']"
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float) and not value.is_integer():
        digits = Decimal(1).scaleb(min(-4, math.floor(math.log10(abs(value))) - 3))
        value = float(Decimal(value).quantize(digits, ROUND_HALF_UP))
    if isinstance(value, int | float):
        return re.sub(r"e([+-])0+", r"e\1", f"{value:.10g}")
    return repr(value)
