"""What a file of an explorer says of itself in its docstring: a title and a question."""

import ast
import re
from pathlib import Path

from gdm_core.validate import bad


def title(doc: str) -> str:
    """The first line, without its full stop.

    >>> title('''EM by hand.
    ...
    ... Drag a start.  Which starts lead EM to a good optimum?
    ... ''')
    'EM by hand'
    """
    return doc.strip().split("\n")[0].removesuffix(".")


def question(doc: str) -> str:
    """The first sentence that ends in a question mark, "" where there is none.

    >>> question("EM by hand.\\n\\nDrag a start.  Which starts lead EM to a good\\noptimum?  The bound touches.")
    'Which starts lead EM to a good optimum?'
    """
    text = " ".join(doc.strip().partition("\n")[2].split())
    return next((s for s in re.split(r"(?<=[.?!])\s+", text) if s.endswith("?")), "")


def read(file: Path) -> dict[str, str]:
    """Title and question of an explorer's file, which is not imported.

    Raises:
        ValueError: no docstring, or none with a question.
    """
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    if not title(doc) or not question(doc):
        got = repr(title(doc)) if doc else "no docstring"
        needed = f"a title and a question in the docstring of {file.name}"
        raise bad(needed, got, "first lines such as: EM by hand. Which starts lead to a good optimum?")
    return {"title": title(doc), "question": question(doc)}
