"""The page's half of the stage: plain files of JavaScript, one idea each, joined into one module without a build step.

The order does not matter to the language (functions are hoisted); it is the order in which to read them.
"""

import functools
from pathlib import Path

HERE = Path(__file__).parent
PARTS = "flow frames marks page controls hand plane brush keep gif nokernel place stage".split()


@functools.cache
def script() -> str:
    """The ES module that anywidget imports: `export default { render }`."""
    return "\n".join((HERE / "js" / f"{part}.js").read_text("utf-8") for part in PARTS)


@functools.cache
def style() -> str:
    """The style sheet, light and dark."""
    return (HERE / "stage.css").read_text("utf-8")
