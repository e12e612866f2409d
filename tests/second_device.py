"""A second device for a machine that has none: it computes on the CPU, and refuses to mix with it.

torch takes a backend written in Python.  A tensor on "second" is a shell around one of the CPU; every operation sees
the shells first and lets the CPU do the work, but tensors of both devices in one operation are an error, as on a
graphics card, numbers alone (0-d) and copies aside.  So what was made without a device is found where it first meets
the rest.  NumPy and matplotlib, who read memory, are refused, and so are draws by a generator of the CPU's.  Its random
numbers are those of the CPU, and its results are the CPU's to the last bit.
"""

import functools
import threading

import torch
from torch import Tensor
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

CPU, NAME = torch.device("cpu"), "second"
aten = torch.ops.aten
MAY_MIX = {aten.copy_.default, aten._to_copy.default}
JOINS = {aten.cat.default, aten.stack.default}  # where a card refuses numbers of the CPU as well
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}  # where it takes indices of the CPU
RESIZING = ("arange", "eye", "linspace", "logspace", "randperm")  # fill a tensor that was empty: a shell cannot grow


def refuse(words: str, kind: type[Exception] = RuntimeError) -> None:
    """Say no; who puts a listener in its place (`lectures_there`) hears all that a run mixes, not the first alone."""
    raise kind(words)


class Second(Tensor):
    """A tensor on the second device."""

    @staticmethod
    def __new__(cls, inner: Tensor):
        form = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        shell = Tensor._make_wrapper_subclass(cls, inner.size(), device=torch.device(NAME, 0), **form)
        shell.inner = inner
        return shell

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return _run(op, *args, **(kwargs or {}))

    def __repr__(self, **_):
        return f"{NAME}({self.inner})"

    def __format__(self, spec):
        return format(self.item(), spec) if self.ndim == 0 else repr(self)

    def tolist(self):  # torch refuses it for shells alone
        return self.cpu().tolist()

    def numpy(self, **options):
        refuse(f"can't convert {NAME} device type tensor to numpy. Use Tensor.cpu() first.", TypeError)
        return self.cpu().numpy(**options)

    def __array__(self, dtype=None, **_):
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, other):  # torch would change the shell alone
        self.inner = other.inner

    def __getitem__(self, index):
        return super().__getitem__(_there(index))

    def __setitem__(self, index, value):
        super().__setitem__(_there(index), value)

    def new_tensor(self, data, **options):
        return torch.tensor(data, **{"dtype": self.dtype, **options}).to(self.device)


def _there(index):
    """Lists as index tensors of this device: torch makes them behind the shells' back, and sends them to the data's."""
    if isinstance(index, tuple):
        return tuple(map(_there, index))
    return torch.tensor(index).to(NAME) if isinstance(index, list | range) else index


done = 0  # operations so far


def _each(function, thing):
    """`function` of all that lies in lists, tuples and dicts of `thing`, in their place; torch's own takes ten times as
    long, half of what a test on this device takes."""
    if isinstance(thing, list):
        return [_each(function, part) for part in thing]
    if isinstance(thing, tuple):
        return tuple([_each(function, part) for part in thing])
    return {key: _each(function, part) for key, part in thing.items()} if isinstance(thing, dict) else function(thing)


def _run(op, *args, **kwargs):
    global done
    done += 1
    met = []  # tensors

    def plain(t):
        if isinstance(t, Tensor):
            met.append(t)
        return t.inner if isinstance(t, Second) else t

    bare, named = _each(plain, args), _each(plain, kwargs)
    if op in INDEXED and isinstance(args[0], Second):
        met = [t for t in (args[0], *args[2:]) if isinstance(t, Tensor)]
    shells = {id(t.inner): t for t in met if isinstance(t, Second)}
    others = [t for t in met if not isinstance(t, Second) and (t.ndim or op in JOINS)]
    if shells and others and op not in MAY_MIX:
        refuse(f"{op}: a tensor on {NAME} and one on the CPU, of shape {tuple(others[0].shape)}")
    there = bool(shells) if op is not aten.copy_.default else isinstance(args[0], Second)
    if (device := kwargs.get("device")) is not None:
        there, named["device"] = torch.device(device).type == NAME, CPU
    if there and kwargs.get("generator") is not None:  # all generators are the CPU's: torch makes none for this device
        refuse(f"{op}: needed a generator on {NAME}, found one on the CPU")
    out = op(*bare, **named)
    wrap = lambda t: shells.get(id(t)) if id(t) in shells else Second(t) if there else t
    return _each(lambda t: wrap(t) if isinstance(t, Tensor) and not isinstance(t, Second) else t, out)


def _sent(make):
    """`torch.tensor` and its like fill their memory directly, which a shell has not."""

    def made(data, *, device=None, **options):
        data = _numbers(data)
        if device is None or torch.device(device).type != NAME:
            return make(data, device=device, **options)
        return make(data, **options).to(device)

    return made


def _numbers(data):
    """Lists of numbers there (0-d) as numbers: torch asks each of them, shells it would look into."""
    if isinstance(data, list | tuple):
        return [_numbers(value) for value in data]
    return data.item() if isinstance(data, Second) and data.ndim == 0 else data


_once, _library = threading.Lock(), []


def install() -> str:
    """Register the device for this process; its name."""
    with _once:
        if not _library:
            _setup_privateuseone_for_python_backend(NAME)
            _library.extend([torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")])
            _library[0].fallback(_run, "PrivateUse1")
            for name in RESIZING:
                for overload in getattr(aten, name).overloads():
                    if not overload.endswith("out"):
                        op = getattr(getattr(aten, name), overload)
                        _library[1].impl(op, functools.partial(_run, op), "PrivateUse1")
            torch.tensor, torch.as_tensor = _sent(torch.tensor), _sent(torch.as_tensor)
    return NAME


install()  # as tests are collected: autograd counts the devices once, at the first backward pass of a process
