"""A claim is a sentence, a measured number and what the number must satisfy: the only way a number gets into prose.

The line that a claim prints is part of the committed notebook, and `gdm lint` looks every number of the prose up in
such lines; so prose and run cannot drift apart.  A reader gets the sentence, the number and its unit: what was needed
stands in the code, and behind each line where the environment has `GDM_NEEDED`, as in a replay.
"""

import math
import numbers
import os

from gdm_core.validate import bad, integer

MARK = "✓"
NEEDED = "GDM_NEEDED"
ROUNDING = 1e-4  # a criterion as fine as this asks for equality up to rounding errors


class ClaimFailed(AssertionError):
    """What the text says is not what the run measured."""

    def _render_traceback_(self, *_) -> list[str]:
        """One line in a notebook, in place of a stack of library frames."""
        return [f"✗ {self}"]


def claim(
    text: str, measured, *, below=None, above=None, near=None, within=None, digits: int = 3, unit: str = ""
) -> None:
    """Print one line if `measured` is as needed, raise otherwise.

    It returns nothing: the value at the end of a cell would be printed with digits that only one processor computes.

    Args:
        text: what is claimed, in words, on one line.
        measured: a number, a 0-dimensional tensor or array, or a bool (which needs no criterion).
        below, above: bounds, which the number may touch.
        near, within: the number lies at most `within` from `near`.
        digits: significant digits printed; three are the same on every machine, more may not be.  More are
            printed where these would seem to miss what is needed; beside a bound finer than 1e-4, only the order
            of magnitude.
        unit: printed after the number.

    Raises:
        ClaimFailed: the claim is false, the number is not finite, or a number came without a criterion.
        ValueError: `measured` is no single number, or the criterion makes no sense.

    >>> claim("EM never lowers the likelihood: smallest step", 1.234e-9, above=0, unit="nats")
    ✓ EM never lowers the likelihood: smallest step 1.23e-09 nats
    >>> claim("two ways to one number: difference", 3.1e-16, below=1e-10)
    ✓ two ways to one number: difference ≤ 1e-13
    >>> claim("the two losses agree", 0.25, near=0.3, within=0.01)
    Traceback (most recent call last):
        ...
    gdm_core.course.claims.ClaimFailed: the two losses agree: needed 0.3 ± 0.01, got 0.25
    """
    if not isinstance(text, str) or not text.strip() or "\n" in text:
        raise bad("a claim in words, on one line", repr(text), 'claim("the loss falls", first - last, above=0)')
    integer("digits", digits, 1, 15)
    value = _number(measured)
    bounds = _bounds(below=below, above=above, near=near, within=within)
    needed = _criteria(bounds)
    if isinstance(value, bool):
        if needed:
            raise bad("no criterion beside a bool", " and ".join(needed), "claiming the number itself")
        if not value:
            raise ClaimFailed(f"{text}: needed True, got False")
        print(f"{MARK} {text}")
        return

    suffix = unit if unit == "%" else f" {unit}" if unit else ""
    if not math.isfinite(value):
        raise ClaimFailed(f"{text}: needed a finite number, got {value}")
    if not needed:
        got = f"{spell(value, digits)}{suffix}"
        raise ClaimFailed(f"{text}: needed a criterion for {got}, got none; try above=, below= or near= with within=")
    wanted = " and ".join(needed)
    if not _all(needed, value):  # with as many digits as it takes to see it
        shown = next((d for d in range(digits, 17) if not _all(needed, float(spell(value, d)))), 17)
        raise ClaimFailed(f"{text}: needed {wanted}, got {spell(value, shown)}{suffix}")
    for places in range(digits, 17):  # as few as do not seem to contradict what is needed
        shown, wanted = _shown(value, bounds, places), _criteria(_rounded(bounds, max(places, 3)))
        if shown.startswith("≤") or _all(wanted, float(shown)):
            break
    needed = f" (needed {' and '.join(wanted)})" if NEEDED in os.environ else ""
    colon = "" if ":" in text and not text[-1].isdigit() else ":"  # one a line, but no number right after another
    print(f"{MARK} {text}{colon} {shown}{suffix}{needed}")


def spell(number: float, digits: int = 3) -> str:
    """`number` to `digits` significant digits, without an exponent from 0.0001 to a million; integers in full.

    >>> spell(1234.5), spell(0.00012345), spell(2.5e-7), spell(1797), spell(-0.0)
    ('1230', '0.000123', '2.5e-07', '1797', '0')
    """
    if isinstance(number, numbers.Integral):
        return str(int(number))
    text = f"{number + 0.0:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text and abs(number) < 1e6 else text


def _number(measured):
    shape = tuple(getattr(measured, "shape", ()))
    if shape:
        raise bad(
            "one number to claim", f"a {type(measured).__name__} of shape {shape}", "its .mean(), .min() or .max()"
        )
    value = measured.item() if hasattr(measured, "item") else measured
    if not isinstance(value, numbers.Real):
        raise bad("a real number or a bool to claim", repr(value), "float(...)")
    return value if isinstance(value, (bool, int)) else float(value)


def _bounds(**given) -> dict[str, float]:
    """What was given of below, above, near and within, as finite numbers."""
    if (given["near"] is None) != (given["within"] is None):
        raise bad(
            "near and within together", f"near={given['near']}, within={given['within']}", "near=0.5, within=0.01"
        )
    bounds = {name: _number(bound) for name, bound in given.items() if bound is not None}
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not math.isfinite(bound) or (name == "within" and bound < 0):
            raise bad(f"a finite {name}" + (" >= 0" if name == "within" else ""), bound, f"{name}=0.01")
    return bounds


def _criteria(bounds: dict[str, float]) -> dict:
    """The criteria as words, each with its predicate."""
    needed = {}
    if "above" in bounds:
        needed[f"≥ {_threshold(bounds['above'])}"] = lambda v: v >= bounds["above"]
    if "below" in bounds:
        needed[f"≤ {_threshold(bounds['below'])}"] = lambda v: v <= bounds["below"]
    if "near" in bounds:
        words = f"{_threshold(bounds['near'])} ± {_threshold(bounds['within'])}" if bounds["within"] else ""
        needed[words or f"= {_threshold(bounds['near'])}"] = lambda v: abs(v - bounds["near"]) <= bounds["within"]
    return needed


def _shown(value: float, bounds: dict[str, float], digits: int) -> str:
    """`value` as it is printed: without digits that are rounding errors, for these differ from machine to machine."""
    if not isinstance(value, float):
        return spell(value, digits)
    if within := bounds.get("within"):
        decimals = -math.floor(math.log10(within)) + (2 if within > ROUNDING else 0)
        return spell(round(value, decimals), digits)
    ((name, bound), *others) = bounds.items()
    if not others and 0 < abs(bound) <= ROUNDING and abs(value) <= abs(bound):
        if name == "below" and bound > 0:  # the next power of ten, three below the bound at the lowest
            power = math.floor(math.log10(bound)) - 3
            power = max(power, math.ceil(math.log10(abs(value)))) if value else power
            return f"≤ {spell(min(10.0**power, bound))}"
        if name == "above" and bound < 0:
            return "0"
    return spell(value, digits)


def _rounded(bounds: dict[str, float], digits: int) -> dict[str, float]:
    """Bounds to `digits` digits where they were measured, as written where somebody wrote them."""
    short = lambda bound: bound if float(f"{bound:.6g}") == bound else float(spell(bound, digits))
    rounded = {name: short(bound) for name, bound in bounds.items()}
    if within := bounds.get("within"):  # the number before a ± goes one decimal further than the one behind it
        rounded["near"] = round(bounds["near"], 1 - math.floor(math.log10(within)))
    return rounded


def _all(needed: dict, value: float) -> bool:
    return all(holds(value) for holds in needed.values())


def _threshold(bound) -> str:
    return spell(bound, 12)
