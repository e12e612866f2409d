"""A notebook with its outputs as one HTML file: everything is in it, and it asks nothing of the network.

The content security policy in its head makes the browser see to that.
"""

import base64
import html
import json
import mimetypes
import re
import struct
import zlib
from functools import cache
from pathlib import Path

import jinja2
from mistune import HTMLRenderer
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from gdm_core.course.chapters import Chapter
from gdm_core.course.claims import MARK
from gdm_core.course.export import fonts
from gdm_core.course.export.latex import mathml
from gdm_core.course.look import TEMPLATE
from gdm_core.course.notebooks import PLOTLY
from gdm_core.course.sitting import folded
from gdm_core.validate import bad

HERE = Path(__file__).parent
LIMIT = 12_000_000  # bytes of a page
HOME = "<!--home-->"  # where the studio puts its link into a page that was exported before
# The end of a formula, and what follows.
END = re.compile(r"(<math\b(?:(?!<math\b).)*</math>)(</span>)?([.,;:!?)]+)", re.DOTALL)
POWER = re.compile(r"[\d.]+e[-−]\d+")  # 1e-07: a line may break at the minus
CALL = re.compile(r"\bexplorers\.(\w+)\(")


def _glued(text: str) -> str:
    """No line starts with the period behind a formula: around `<math>` Chromium breaks even at a word joiner."""
    return END.sub(r'<span class="glued">\1\3</span>\2', text)


class _Markdown(HTMLRenderer):
    """Markdown of the lectures: formulas become MathML, headings get names, pictures are put in."""

    def __init__(self, folder: Path):
        super().__init__(escape=False, allow_harmful_protocols=True)
        self.folder, self.headings = folder, []

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def paragraph(self, text: str) -> str:
        return super().paragraph(_glued(text))

    def block_text(self, text: str) -> str:  # of an item in a list
        return super().block_text(_glued(text))

    def block_math(self, body: str) -> str:
        return f'<div class="display" tabindex="0">{mathml(body, display=True)}</div>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def heading(self, text: str, level: int, **attributes) -> str:
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        name = re.sub(r"[^\w]+", "-", plain.lower()).strip("-") or "section"
        taken = [known for _, known, _ in self.headings]
        name = next(n for i in range(len(taken) + 1) if (n := f"{name}-{i + 1}" if i else name) not in taken)
        self.headings.append((level, name, plain))
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        return colored(code, (info or "text").split()[0])

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if not url.startswith("data:"):
            path = self.folder / url
            if not path.is_file():
                raise bad("pictures that lie beside the notebook", url, f"a file {path}")
            kind = mimetypes.guess_type(path.name)[0] or "image/png"
            url = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        return super().image(text, url, title)


def render(
    nb: NotebookNode,
    chapter: Chapter,
    *,
    source: str = "",
    live: str = "",
    limit: int = LIMIT,
) -> str:
    """The page of a chapter.

    Args:
        nb: the notebook, with outputs.
        chapter: whose title and folder count.
        source: fingerprint of the source that was run, so that a stale page is known.
        live: address of the explorers' live pages, to which their pictures link; none unless given.
        limit: size of the page in bytes.

    Raises:
        ValueError: a formula that cannot be drawn, a picture that is not there, a page larger than `limit`.
    """
    markdown = _Markdown(chapter.notebook.parent)
    reader = MarkdownWithMath(renderer=markdown)
    body, sizes, module = [], {"explorers": 0, "figures": 0, "text": 0}, ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            tags = " ".join(cell.metadata.get("tags", []))
            body.append(f'<section class="prose {html.escape(tags)}">{reader.render(cell.source)}</section>')
        elif cell.cell_type == "code" and cell.source.strip():
            pieces = []
            for output in cell.outputs:
                piece, kind, brought = _output(output, cell, reader, live)
                pieces.append(piece)
                sizes[kind] += len(piece)
                module = brought or module
            body += _folded(cell, colored(cell.source, "python"), pieces)
    sections = [(name, text) for level, name, text in markdown.headings if level == 2]
    content = "\n".join(body)
    plotly = f'data-plotly="{_plotly()}"' if "data-figure=" in content else ""
    page = _template().render(
        title=chapter.title,
        source=source,
        sections=sections,
        content=content,
        font=fonts.face(content),
        module=module,
        plotly=plotly,
        style=(HERE / "page.css").read_text("utf-8"),
        script=(HERE / "page.js").read_text("utf-8"),
        home=HOME,
    )
    size = len(page.encode())
    if size > limit:
        largest = ", ".join(f"{kind} {n / 1e6:.1f} MB" for kind, n in sizes.items() if n > 100_000) or "text"
        raise bad(
            f"a page of at most {limit / 1e6:.1f} MB",
            f"{size / 1e6:.1f} MB ({largest})",
            f"fewer samples in its explorers, or --limit {size / 1e6 + 1:.0f}",
        )
    return page


def _folded(cell: NotebookNode, code: str, outputs: list[str]) -> list[str]:
    """Code and outputs, what the notebook folds away behind a line to click: its first comment, or what it holds."""
    hides = cell.metadata.get("jupyter", {})
    if "parameters" in cell.metadata.get("tags", []):
        summary = "Parameters of this chapter"
    elif folded(cell):
        claims = sum(piece.count('class="claim"') for piece in outputs)
        comment = re.match(r"# *(.+)", cell.source)
        more = f"{claims} more claim{'s' * (claims != 1)}, checked by this run"
        held = more if claims and hides.get("outputs_hidden") else "Code"
        summary = comment[1].rstrip(".:") if comment else held
    else:
        return [code, *outputs]
    inside = outputs if hides.get("outputs_hidden") else []
    fold = f"<details><summary>{html.escape(summary)}</summary>{code}{''.join(inside)}</details>"
    return [fold, *(() if inside else outputs)]


def colored(code: str, language: str) -> str:
    """Code in colors, that scrolls by itself when it is wide."""
    lexer = get_lexer_by_name(language if language in ("python", "bash", "text", "console") else "text")
    return f'<div class="code" tabindex="0"><pre>{highlight(code, lexer, HtmlFormatter(nowrap=True))}</pre></div>'


def _output(output: NotebookNode, cell: NotebookNode, reader, live) -> tuple[str, str, str]:
    """One output: its HTML, what it counts as, and the script of the explorers when it brings that along."""
    if output.output_type == "stream":
        return _stream(output.text, output.name), "text", ""
    if output.output_type == "error":
        return f'<pre class="out error">{ansi2html(chr(10).join(output.traceback))}</pre>', "text", ""
    data = output.data
    if "text/html" in data:
        inside, module = _without_module(data["text/html"])
        return f'<figure class="wide">{inside}</figure>', "explorers", module
    if PLOTLY in data:
        figure = json.dumps({key: data[PLOTLY].get(key) for key in ("data", "layout")}).replace("</", "<\\/")
        return (
            f'<figure class="wide plotly"><script type="application/json" data-figure="">{figure}</script></figure>',
            "figures",
            "",
        )
    for kind in ("image/png", "image/jpeg", "image/svg+xml"):
        if kind in data:
            return _picture(output, kind, cell, live), "figures", ""
    if "text/markdown" in data:
        return f'<section class="prose">{reader.render(data["text/markdown"])}</section>', "text", ""
    return f'<pre class="out">{html.escape(data.get("text/plain", ""))}</pre>', "text", ""


def _picture(output: NotebookNode, kind: str, cell: NotebookNode, live) -> str:
    payload = output.data[kind]
    encoded = base64.b64encode(payload.encode()).decode() if kind == "image/svg+xml" else payload.replace("\n", "")
    words = html.escape(output.data.get("text/plain", ""), quote=True)
    words = "" if words.startswith("&lt;Figure") else words
    width = output.metadata.get(kind, {}).get("width")
    sized = f' width="{int(width)}"' if width else ""
    if kind == "image/png" and len(header := base64.b64decode(encoded[:32])) == 24:
        across, down = struct.unpack(">II", header[16:])
        wide = f"; --wide: {int(width)}px" if width else ""
        sized += f' style="--ratio: {across / max(down, 1):.2f}{wide}"'
    image = f'<img alt="{words}"{sized} src="data:{kind};base64,{encoded}">'
    called = CALL.search(cell.source)
    if live and called:
        link = f'<a href="{html.escape(f"{live}{called[1]}.ipynb", quote=True)}"'
        image = f"{link}>{image}</a><figcaption>{link} class='button'>Open it live</a></figcaption>"
    return f'<figure class="wide">{image}</figure>'


def _stream(text: str, name: str) -> str:
    """What a cell printed; the claims in it one by one."""
    text = POWER.sub(r'<span class="glued">\g<0></span>', ansi2html(text))
    lines = [f'<span class="claim">{line}</span>' if line.startswith(MARK) else line for line in text.split("\n")]
    return f'<pre class="out {name}">{chr(10).join(lines).rstrip()}</pre>'


def _without_module(fragment: str) -> tuple[str, str]:
    """A fragment of an explorer without the script and the style sheet, which a page needs once only."""
    found = re.search(r"<style>.*?</style>\s*<script type=\"module\">.*?</script>", fragment, re.DOTALL)
    if not found or 'class="gdm-export"' not in fragment:
        return fragment, ""
    return fragment.replace(found[0], ""), found[0]


@cache
def _plotly() -> str:
    """plotly.js, deflated, in base64: a third of its size."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(zlib.compress(get_plotlyjs().encode(), 9)).decode()


@cache
def _template() -> jinja2.Template:
    loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(HERE), jinja2.FileSystemLoader(TEMPLATE / "static")])
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("page.html")
