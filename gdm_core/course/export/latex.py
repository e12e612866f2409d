r"""LaTeX formulas as MathML (W3C, MathML Core), which browsers draw by themselves, without a script or a network.

The subset is that of lectures: fractions, roots, scripts, accents, braces over and under, fences of all sizes, several
alphabets, aligned equations, cases and matrices.  What it does not know it refuses: no page shows a wrong formula.
"""

import re
from html import escape

from gdm_core.course.export import symbols as known
from gdm_core.course.export.commands import COMMANDS, mo, row_of
from gdm_core.validate import bad

TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:\.\d+)?|[^\s]", re.DOTALL)
RAW = re.compile(r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}")  # an argument that is text, not a formula
ENDS = ("}", "&", r"\\", r"\right", r"\end")
SCALES = {r"\displaystyle": "true", r"\textstyle": "false"}
THIN = '<mspace width="0.1667em"></mspace>'


def mathml(source: str, display: bool = False) -> str:
    r"""A formula of its own line, or one in the text, which may break after a relation or a comma.

    Raises:
        ValueError: a command that is not known here, a brace or a fence without its partner.

    >>> mathml(r"\frac{1}{2}")
    '<math alttext="\\frac{1}{2}"><mfrac><mn>1</mn><mn>2</mn></mfrac></math>'
    """
    reader = Reader(source)
    pieces: list[list[str]] = [[]]
    depth = 0
    for part, kind in reader.parts():
        pieces[-1].append(part)
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if kind in ("relation", "mark") and depth == 0 and not display:
            pieces.append([])
    if reader.peek():
        raise reader.wrong(f"a partner of {reader.peek()}")
    pieces = [piece for piece in pieces if piece] or [[]]
    words = escape(" ".join(source.split()))
    if len(pieces) == 1:
        block = ' display="block"' if display else ""
        return f'<math{block} alttext="{words}">{row_of(pieces[0])}</math>'
    broken = "<wbr>".join(f"<math>{row_of(piece)}</math>" for piece in pieces)
    return f'<span class="formula" role="math" aria-label="{words}">{broken}</span>'


class Reader:
    """Reads from left to right; a thing is a piece of MathML and its kind, which decides about spaces and scripts."""

    def __init__(self, source: str):
        self.source, self.at = source, 0

    def wrong(self, needed: str) -> ValueError:
        near = self.source[max(0, self.at - 12) : self.at + 12].strip()
        return bad(needed, f"{near!r} in ${' '.join(self.source.split())}$", "another way to write it")

    def peek(self) -> str:
        """The next token, or nothing."""
        while self.at < len(self.source) and self.source[self.at].isspace():
            self.at += 1
        found = TOKEN.match(self.source, self.at)
        return found[0] if found else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise self.wrong(wanted or "one thing more")
        self.at += len(token)
        return token

    def raw(self) -> str:
        """The text of a braced argument."""
        found = RAW.match(self.source, self.at)
        if not found:
            raise self.wrong("an argument in braces")
        self.at = found.end()
        return found[1]

    def row(self, *stops: str, infix: bool = False) -> str:
        """All up to a stop, which stays; `infix` for a cell that goes on after an alignment mark."""
        return row_of([part for part, _ in self.parts(*stops, infix=infix)])

    def parts(self, *stops: str, infix: bool = False) -> list[tuple[str, str]]:
        """The things of a row, with the spaces that depend on neighbors."""
        parts: list[tuple[str, str]] = []
        before = ""
        while (token := self.peek()) and token not in stops and token not in ENDS:
            if token in SCALES:
                self.take()
                inner = f'<mstyle displaystyle="{SCALES[token]}">{self.row(*stops)}</mstyle>'
                return [*parts, (inner, "ordinary")]
            part, kind = self.thing()
            if kind == "binary" and before in ("", "open", "relation", "binary", "mark", "function"):  # a sign
                form = 'form="infix"' if infix and not before else 'form="prefix" lspace="0" rspace="0"'
                part, kind = part.replace("<mo>", f"<mo {form}>"), "ordinary" if "prefix" in form else kind
            elif kind == "relation":
                part = (
                    part.replace("<mo", '<mo form="infix"', 1) if part.startswith("<mo") and part[3] in " >" else part
                )
                if before == "relation":  # =: is one sign
                    part = part.replace("<mo", '<mo lspace="0"', 1)
                    parts[-1] = parts[-1][0].replace("<mo", '<mo rspace="0"', 1), "ordinary"
            if "function" in (kind, before) and {kind, before} <= {"function", "ordinary", "close"} and kind != "close":
                parts.append((THIN, "space"))
            parts.append((part, kind))
            before = before if kind == "space" else kind
        return parts

    def thing(self) -> tuple[str, str]:
        """One thing with its scripts."""
        base, kind = self.bare()
        under = over = ""
        primes, below = 0, kind in ("large", "limits", "brace")
        while (token := self.peek()) in ("_", "^", "'", r"\limits", r"\nolimits"):
            self.take()
            if token == "'":
                primes += 1
            elif token[0] == "\\":
                below = token == r"\limits"
            elif under if token == "_" else over:
                raise self.wrong(f"one {token} at a thing")
            elif token == "_":
                under = self.argument()
            else:
                over = self.argument()
        if primes:
            over = row_of([mo("′" * primes), over] if over else [mo("′" * primes)])
        kind = {"limits": "function", "brace": "ordinary"}.get(kind, kind)
        if not under and not over:
            return base, kind
        tags = ("munder", "mover", "munderover") if below else ("msub", "msup", "msubsup")
        tag = tags[2 if under and over else 1 if over else 0]
        return f"<{tag}>{base}{under}{over}</{tag}>", "ordinary" if kind in ("open", "relation", "binary") else kind

    def argument(self) -> str:
        """A braced group, or the next single thing."""
        token = self.peek()
        if token == "{":
            self.take()
            inner = self.row()
            self.take("}")
            return inner
        if token[:1].isdigit():  # x^10 is x to the 1, then 0
            self.at += 1
            return f"<mn>{token[0]}</mn>"
        return self.bare()[0]

    def optional(self) -> str:
        """The formula in brackets after a command, or nothing."""
        if self.peek() != "[":
            return ""
        self.take()
        inner = self.row("]")
        self.take("]")
        return inner

    def bare(self) -> tuple[str, str]:
        """One thing without scripts."""
        token = self.take()
        if token[0] == "\\" and len(token) > 1:
            return self.command(token[1:])
        if token == "{":
            self.at -= 1
            inner = self.argument()
            if re.fullmatch(r"<mo[^>]*>[^<]*</mo>", inner):  # {,} and {=}: no space around
                inner = re.sub(r"<mo[^>]*>", '<mo lspace="0" rspace="0">', inner)
            return inner, "ordinary"
        if token[0].isdigit():
            return f"<mn>{token}</mn>", "ordinary"
        if token.isalpha():
            return f"<mi>{token}</mi>", "ordinary"
        if token in "([":
            return mo(token, stretchy="false"), "open"
        if token in ")]":
            return mo(token, stretchy="false"), "close"
        if token in "|/.!?":
            return mo(token, stretchy="false", lspace="0", rspace="0"), "close" if token in "!?" else "ordinary"
        if token in ",;":
            return mo(token, separator="true"), "mark"
        if token == "~":
            return '<mspace width="0.25em"></mspace>', "space"
        if token in "+-*":
            return mo({"-": "−", "*": "∗"}.get(token, token)), "binary"
        if token == ":":
            return mo(token, lspace="0.2778em", rspace="0.2778em"), "relation"
        if token in "=<>":
            return mo(token), "relation"
        raise self.wrong("a character that formulas know")

    def command(self, name: str) -> tuple[str, str]:
        """The thing that a command, given without its backslash, stands for."""
        if name in known.GREEK:
            normal = ' mathvariant="normal"' if name[0].isupper() else ""
            return f"<mi{normal}>{known.GREEK[name]}</mi>", "ordinary"
        if name in known.ORDINARY:
            return f'<mi mathvariant="normal">{escape(known.ORDINARY[name])}</mi>', "ordinary"
        if name in known.BINARY:
            return mo(known.BINARY[name]), "binary"
        if name in known.RELATION:
            return mo(known.RELATION[name], stretchy="false"), "relation"
        if name in known.LARGE:
            return mo(known.LARGE[name], movablelimits="true"), "large"
        if name in known.INTEGRAL:
            return mo(known.INTEGRAL[name]), "integral"
        if name in known.FUNCTIONS:
            return f"<mi>{name}</mi>", "function"
        if name in known.LIMITS:
            return mo(known.LIMITS[name].replace(" ", "\u2006"), movablelimits="true", lspace="0", rspace="0"), "limits"
        if name in known.SPACES:
            return f'<mspace width="{known.SPACES[name] / 18:.4f}em"></mspace>', "space"
        if name in ("{", "}", "|") or (name in known.FENCES and name.isalpha()):
            text = "‖" if name == "|" else known.FENCES[name]
            kind = "open" if text in known.OPENING else "close" if text in known.CLOSING else "ordinary"
            return mo(text, stretchy="false", lspace="0", rspace="0"), kind
        if name in known.ALPHABETS:
            inner = self.argument().replace(' mathvariant="normal"', "")
            change = lambda m: m[1] + "".join(known.letter(char, name) for char in m[2])
            return re.sub(r"(<m[in]>)([^<]+)", change, inner), "ordinary"
        if name in known.ACCENTS:
            mark = mo(known.ACCENTS[name], stretchy=str(name in known.WIDE).lower())
            return f'<mover accent="true">{self.argument()}{mark}</mover>', "ordinary"
        if sized := re.fullmatch(r"(big|Big|bigg|Bigg)([lrm]?)", name):
            return self.sized(f"{known.SIZES[sized[1]]}em", sized[2])
        if name.rstrip("*") in COMMANDS:
            return COMMANDS[name.rstrip("*")](self, name.endswith("*"))
        raise self.wrong(f"a LaTeX command that the pages know, not \\{name}")

    def fence(self) -> str:
        """The bracket after \\left, \\right, \\big; empty for a dot."""
        token = self.take()
        name = token[1:] if token[0] == "\\" else token
        if token == r"\|":
            return "‖"
        if name not in known.FENCES or token in "{}":
            raise self.wrong("a bracket")
        return known.FENCES[name]

    def sized(self, size: str, side: str) -> tuple[str, str]:
        """A bracket of a given size; its side is l, r or m, or follows from its shape."""
        text = self.fence()
        side = side or ("r" if text in known.CLOSING else "l" if text in known.OPENING else "m")
        form = {"l": "prefix", "r": "postfix", "m": "infix"}[side]
        looks = {"stretchy": "true", "symmetric": "true", "form": form, "minsize": size, "maxsize": size}
        kind = {"l": "open", "r": "close", "m": "ordinary"}[side]
        return f"<mrow>{mo(text, **looks, lspace='0', rspace='0')}</mrow>", kind
