"""What a committed notebook must be before its outputs are worth comparing.

A cell without execution count and output is compared with nothing, so a stripped notebook would pass every replay.
Each rule is a function from notebook to complaints; a complaint says needed, got, try.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter
from gdm_core.course.claims import MARK
from gdm_core.course.labs import lint as labs
from gdm_core.course.notebooks import PICTURES, PLOTLY, fingerprint, read_source
from gdm_core.course.readouts import unclaimed
from gdm_core.course.sitting import CELL, FIGURES, LINES, NAME, WORDS, folded, sitting, visible
from gdm_core.course.symbols import strays

PARAMETERS = ("PROFILE", "DATASET", "DEVICE", "SEED")
LARGEST = 3_000_000
IGNORED = "nbval-ignore-output"
IGNORED_SHARE = 0.2
# A number with a decimal point: three digits are the same on every processor, what Python and torch print are more.
DECIMAL = re.compile(r"(?<![\w.])(\d*\.\d+)(?:[eE][-+]?\d+)?(?!\w|\.\d)")
WRITTEN, OF_A_TENSOR = 6, 3  # significant digits that a person may have chosen to print; that the repr of a tensor may
MIMES = {"text/plain", "text/markdown", "text/latex", *PICTURES}


def lint(chapter: Chapter) -> list[str]:
    """Complaints about `chapter.notebook`, each on one line; none when it is fit to be committed."""
    path = chapter.notebook
    build = f"try gdm {'labs ' * chapter.is_lab}build {chapter.number}"
    if not path.is_file():
        return [f"needed {path.name} built from {chapter.source.name}, got no file; {build}"]
    try:
        nb = nbformat.read(path, 4)
        nbformat.validate(nb)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        return [f"needed a notebook, got {type(error).__name__}: {str(error).splitlines()[0]}; {build}"]
    always = [*_small(path), *_links(nb, path), *_lists(nb), *_opening(chapter), *strays(nb, chapter)]
    if chapter.is_lab:
        return [*always, *labs.complaints(chapter, nb)]
    return [
        *_fresh(nb, read_source(chapter.source), build),
        *always,
        *_parameters(nb),
        *_counts(nb, build),
        *_outputs(nb, str(path.resolve().parent.parent)),
        *_digits(nb),
        *_ignored(nb),
        *_readouts(nb, chapter),
        *_one_sitting(nb),
        *_figures(nb),
    ]


def _fresh(nb: NotebookNode, source: NotebookNode, build: str) -> Iterator[str]:
    """The notebook was built from the source as it is, and not edited since."""
    stamp, now = nb.metadata.get("gdm", {}).get("source"), fingerprint(source)
    if stamp != now:
        yield f"needed outputs of the source as it is ({now}), got those of {stamp or 'no stamped build'}; {build}"
    elif fingerprint(nb) != now:
        yield f"needed the cells of the source, got cells edited after the build; edit the source and {build}"


def _small(path: Path) -> Iterator[str]:
    size = path.stat().st_size
    if size > LARGEST:
        yield f"needed at most {LARGEST / 1e6} MB, got {size / 1e6:.2f} MB; try fewer or smaller figures"


def _links(nb: NotebookNode, path: Path) -> Iterator[str]:
    """Every relative link leads to a file."""
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", cell.source, flags=re.DOTALL)
            for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose):
                if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                    yield f"cell {number}: needed a link that leads somewhere, got {target}; try the file's name"


def _lists(nb: NotebookNode) -> Iterator[str]:
    """No line of a paragraph begins with a number and a point, which would make it an item of a list."""
    for number, cell in enumerate(nb.cells, 1):
        lines = cell.source.splitlines() if cell.cell_type == "markdown" else []
        for i, line in enumerate(lines):
            if item := re.match(r"(\s*)(\d+)[.)](\s|$)", line):
                last = re.compile(rf"{item[1]}{int(item[2]) - 1}[.)]\s")
                meant = any(map(last.match, lines[:i])) if int(item[2]) > 1 else i == 0 or not lines[i - 1].strip()
                if not meant:
                    where = f"cell {number}: needed a word before {line.strip()[:20]!r}"
                    yield f"{where}, got an item of a list; try to break the line elsewhere"


def _opening(chapter: Chapter) -> Iterator[str]:
    """The start page takes title and question from the first cell."""
    found = {
        "a heading `# N Title`": chapter.title != chapter.name,
        "a question that ends in `?`": chapter.question,
    }
    for what, there in found.items():
        if not there:
            yield f"cell 1: needed {what}, got none; try adding it to the first Markdown cell"


def _parameters(nb: NotebookNode) -> Iterator[str]:
    """The first code cell is tagged, sets the four parameters to literals, and is committed as the fast profile."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    tagged = [i for i, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", ())]
    if tagged != [0]:
        where = f"in code cells {[i + 1 for i in tagged]}" if tagged else "nowhere"
        yield f'needed the tag "parameters" on the first code cell alone, got it {where}; try # %% tags=["parameters"]'
        return
    values = {}
    for line in ast.parse(code[0].source).body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            values |= {target.id: line.value.value for target in line.targets if isinstance(target, ast.Name)}
    missing = [name for name in PARAMETERS if name not in values]
    if missing:
        yield f"parameters: needed {', '.join(PARAMETERS)} set to literals, got no {', '.join(missing)}; try SEED = 0"
    if values.get("PROFILE", "fast") != "fast":
        yield f'parameters: needed PROFILE = "fast" as committed, got {values["PROFILE"]!r}; try gdm run --profile full'
    if values.get("DEVICE", "cpu") != "cpu":
        yield f'parameters: needed DEVICE = "cpu" as committed, got {values["DEVICE"]!r}; try gdm run --device cuda'


def _counts(nb: NotebookNode, build: str) -> Iterator[str]:
    counts = [cell.execution_count for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        yield f"needed cells run once, from top to bottom, got counts {counts}; {build}"


def _outputs(nb: NotebookNode, home: str) -> Iterator[str]:
    """No errors and warnings, nothing that GitHub does not show or that differs at the next run."""
    for number, cell in enumerate(nb.cells, 1):
        for output in cell.get("outputs", ()):
            where = f"cell {number}: "
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", ()):
                yield where + f"needed no error, got {output.ename}: {output.evalue}; try the tag raises-exception"
            if output.output_type == "stream" and output.name == "stderr":
                first = output.text.strip().splitlines()[0] if output.text.strip() else "an empty line"
                yield where + f"needed nothing on stderr, got {first!r}; try mending what warns"
            strange = sorted(set(output.get("data", {})) - MIMES)
            if strange:
                yield where + f"needed pictures and text, got {', '.join(strange)}; try matplotlib, or display text"
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            if re.search(r" at 0x[0-9a-f]{6,}", text):
                yield (
                    where + "needed the same text at each run, got an address (at 0x…); try ending the line with `;`"
                )
            lines = len(text.splitlines())
            if output.output_type == "execute_result" and set(output.data) == {"text/plain"} and lines > 9:
                yield where + f"needed no log, got a result of {lines} lines; try ending the line with `;`"
            if home in text:
                yield where + f"needed no path of this machine, got {home}; try printing the file's name"
    if "widgets" in nb.metadata:
        yield "needed no stored widget state, got some; try gdm build"


def _digits(nb: NotebookNode) -> Iterator[str]:
    """No number in more digits than two processors agree on, where the replay compares text to the letter."""
    for number, cell in enumerate(nb.cells, 1):
        if IGNORED not in cell.metadata.get("tags", ()):
            for text in filter(None, map(_compared, cell.get("outputs", ()))):
                kept = OF_A_TENSOR if re.search(r"\b(?:tensor|array)\(", text) else WRITTEN
                long = [m[0] for m in DECIMAL.finditer(text) if len(m[1].replace(".", "").strip("0")) > kept]
                if long:
                    yield (
                        f"cell {number}: needed numbers that every processor prints, got {long[0]}; "
                        "try claim(...), fewer digits, or ending the line with `;`"
                    )


def _compared(output: NotebookNode) -> str:
    """What a replay compares to the letter: not the lines of claims, nor the words of an explorer."""
    if output.output_type == "stream":
        return "\n".join(line for line in output.text.splitlines() if not line.startswith(MARK))
    data = output.get("data", {})
    if output.output_type == "execute_result" and "image/png" in data:
        return ""
    return "\n".join(str(text) for mime, text in data.items() if mime.startswith("text/"))


def _ignored(nb: NotebookNode) -> Iterator[str]:
    """Few cells escape the comparison, each for a stated reason."""
    code = [(number, cell) for number, cell in enumerate(nb.cells, 1) if cell.cell_type == "code"]
    ignored = [(number, cell) for number, cell in code if IGNORED in cell.metadata.get("tags", ())]
    for number, cell in ignored:
        if not re.search(r"^# ignored: \S", cell.source, re.MULTILINE):
            yield f"cell {number}: needed a reason to ignore its output, got none; try a line `# ignored: why`"
    if len(ignored) > IGNORED_SHARE * len(code):
        yield f"needed at most {IGNORED_SHARE:.0%} of code cells ignored, got {len(ignored)} of {len(code)}; try claims"
    for number, cell in code:
        hidden = [tag for tag in cell.metadata.get("tags", ()) if tag in ("nbval-skip", "nbval-check-output")]
        hidden += re.findall(r"^\s*#+\s*((?:PYTEST_VALIDATE|NBVAL)_[A-Z_]+)\s*$", cell.source, re.MULTILINE)
        if hidden:
            yield f"cell {number}: needed no other exemption, got {hidden[0]}; try the tag {IGNORED} with a reason"


def _readouts(nb: NotebookNode, chapter: Chapter) -> Iterator[str]:
    sources = (path.read_text(encoding="utf-8") for path in chapter.source.parent.glob("*.py"))
    sections = {number for text in sources for number in re.findall(r"^# ##+ (\d+[a-z]?\.\d+)\b", text, re.MULTILINE)}
    for index, written, near in unclaimed(nb, sections):
        hint = f"the number as printed, such as {near}" if near is not None else "claim(...) in a cell above"
        yield f"cell {index + 1}: needed a claim that printed {written}, got none; try {hint}"


def _one_sitting(nb: NotebookNode) -> Iterator[str]:
    """A part is read in one sitting, its code without scrolling, and it says how long it takes."""
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "code" and (lines := visible(cell)) > CELL:
            yield (
                f"cell {number}: needed at most {CELL} visible lines, got {lines}; "
                'try a function in a cell with jupyter={"source_hidden": true}'
            )
        if cell.cell_type == "code" and folded(cell) and not cell.source.startswith("# "):
            yield f"cell {number}: needed a comment that names what is folded, got none; try `# The figure: …` above it"
        if cell.cell_type == "code" and folded(cell) and (long := len(cell.source.partition("\n")[0])) > NAME:
            yield f"cell {number}: needed a fold's name of at most {NAME} characters, got {long}; try fewer words"
    held = sitting(nb)
    for what, most, got in (
        ("words", WORDS, held.words),
        ("visible lines of code", LINES, held.lines),
        ("figures", FIGURES, held.figures),
    ):
        if got > most:
            yield f"needed at most {most:,} {what} in one sitting, got {got:,}; try a second part, NNb_name.py"
    play = f", {held.play} more to play" if held.play else ""
    stated = " ".join(nb.cells[0].source.replace("*", "").split()) if nb.cells else ""
    if (right := f"Time: {held.minutes} minutes to read{play}.") not in stated:
        got = re.search(r"\d+ min[^.]*\.", stated)
        yield f"cell 1: needed the time that this much takes ({held}), got {got[0] if got else 'none'}; try {right!r}"


def _figures(nb: NotebookNode) -> Iterator[str]:
    """A figure is sharp on a projector, and where plotly draws, GitHub has a picture as well."""
    for number, cell in enumerate(nb.cells, 1):
        for drawn in cell.get("outputs", ()):
            data = drawn.get("data", {})
            if PLOTLY in data and "image/jpeg" not in data:
                yield f"cell {number}: needed a picture beside what plotly draws, got none; try plotting.turn"
            shown = drawn.get("metadata", {}).get("image/png", {}).get("width")
            if drawn.output_type == "display_data" and "image/png" in data and not shown:
                yield f"cell {number}: needed a figure of 160 dots an inch, got 80; try plotting.use_style() at the top"
