"""Each rule of the lint, on a good notebook with one thing wrong."""

import json

import nbformat
import pytest
import tiny_course

from gdm_core.course import chapters as course
from gdm_core.course.lint import IGNORED_SHARE, LARGEST, lint
from gdm_core.course.notebooks import fingerprint, read_source
from gdm_core.course.sitting import CELL, FIGURES, LINES, NAME, WORDS

BODY = """
# %%
print("✓ gap: 0.123 nats")

# %%
figure

# %% [markdown]
# The gap is 0.123 nats: see [the source](src/01_good.py) and [a paper](https://example.org).

# %% tags=["nbval-ignore-output"]
# ignored: plotly differs in the last bit
plot

# %% tags=["raises-exception"]
1 / 0

# %%
last
"""


def output(kind, **content):
    return nbformat.v4.new_output(kind, **content)


def figure(sharp=True):
    data = {"image/png": "aaaa", "text/plain": "<Figure>"}
    about = {"image/png": {"width": 640, "height": 320}} if sharp else {}
    return output("display_data", data=data, metadata=about)


@pytest.fixture
def good(tmp_path):
    """A chapter and its notebook as if it had been built; `save` writes it after a change."""
    (chapter,) = tiny_course.make(tmp_path, _01_good=BODY)
    nb = read_source(chapter.source)
    nb.metadata["gdm"] = {"source": fingerprint(nb)}
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for i, cell in enumerate(code, 1):
        cell.execution_count = i
    code[1].outputs = [output("stream", name="stdout", text="✓ gap: 0.123 nats\n")]
    code[2].outputs = [figure()]
    code[4].outputs = [output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    return chapter, nb, code


def complaints(chapter, nb):
    chapter.notebook.write_text(nbformat.writes(nb))
    return lint(chapter)


def test_good_notebook_has_no_complaints(good):
    chapter, nb, _ = good
    assert complaints(chapter, nb) == []


def put(*outputs):
    """Behind something harmless, since all outputs of a cell are looked at."""
    return lambda nb, code: code[5].outputs.extend([figure(), *outputs])


def show(**content):
    return put(output("display_data", data=content))


def write_to(stream, text):
    return put(output("stream", name=stream, text=text))


def result(text):
    return put(output("execute_result", execution_count=6, data={"text/plain": text}))


def count(i, number):
    return lambda nb, code: code[i].update(execution_count=number)


FAULTS = {
    "not-run": (lambda nb, code: [c.update(execution_count=None) for c in code], "needed cells run once"),
    "one-cell-not-run": (count(3, None), "needed cells run once"),
    "out-of-order": (count(3, 7), "needed cells run once"),
    "error": (
        put(output("error", ename="KeyError", evalue="'x'", traceback=[])),
        "cell 8: needed no error, got KeyError: 'x'",
    ),
    "warning": (write_to("stderr", "UserWarning: no\n  more"), "needed nothing on stderr, got 'UserWarning: no'"),
    "html": (show(**{"text/html": "<b>"}), "needed pictures and text, got text/html"),
    "svg": (show(**{"image/svg+xml": "<svg/>", "text/plain": "x"}), "got image/svg+xml"),
    "script": (show(**{"application/javascript": "x"}), "got application/javascript"),
    "widget": (show(**{"application/vnd.jupyter.widget-view+json": {}}), "got application/vnd.jupyter.widget-view"),
    "address": (show(**{"text/plain": "[<Line2D object at 0x7f12ab34cd56>]"}), "got an address"),
    "printed-address": (write_to("stdout", "<object at 0x7f12ab34cd56>\n"), "got an address"),
    "value": (result("0.8530908913810173"), "cell 8: needed numbers that every processor prints, got 0.85309089138"),
    "single": (result("-1.1920929e-07"), "got 1.1920929e-07"),
    "values": (result("{'a': 1, 'b': [2, 31.0345678]}"), "got 31.0345678"),
    "tensor": (result("tensor([0.1000, 0.1235],\n       requires_grad=True)"), "got 0.1235"),
    "array": (result("array([0.5   , 1.2345])"), "got 1.2345"),
    "printed-value": (write_to("stdout", "✓ one: 1 (needed ≤ 2)\nloss 2.71828182\n"), "got 2.71828182"),
    "shown-value": (show(**{"text/markdown": "**2.71828182**"}), "got 2.71828182"),
    "log": (result("Model(\n" + 8 * "  layer\n" + ")"), "cell 8: needed no log, got a result of 10 lines"),
    "widget-state": (lambda nb, code: nb.metadata.update(widgets={}), "needed no stored widget state"),
    "no-stamp": (lambda nb, code: nb.metadata.pop("gdm"), "got those of no stamped build"),
    "stale": (lambda nb, code: nb.metadata.update(gdm={"source": "0" * 16}), "got those of 0000000000000000"),
    "edited": (lambda nb, code: code[5].update(source="other"), "got cells edited after the build"),
    "retagged": (lambda nb, code: code[5].metadata.update(tags=["x"]), "got cells edited after the build"),
    "large": (write_to("stdout", "a" * LARGEST), "needed at most 3.0 MB, got 3.00 MB"),
    "refolded": (
        lambda nb, code: code[3].metadata.update(jupyter={"source_hidden": True}),  # it begins with a comment
        "got cells edited after the build",
    ),
    "blurred": (put(figure(sharp=False)), "cell 8: needed a figure of 160 dots an inch, got 80"),
    "turns-alone": (
        show(**{"application/vnd.plotly.v1+json": {"data": []}}),
        "cell 8: needed a picture beside what plotly draws, got none; try plotting.turn",
    ),
    "unclaimed": (
        lambda nb, code: code[1].outputs[0].update(text="gap: 0.123\n✓ gap: 0.124 nats\n"),
        "cell 5: needed a claim that printed 0.123, got none; try the number as printed, such as 0.124",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_in_the_notebook(good, fault):
    chapter, nb, code = good
    change, complaint = FAULTS[fault]
    change(nb, code)
    found = complaints(chapter, nb)
    assert len(found) == 1 and complaint in found[0] and "; " in found[0], found


SAME_EVERYWHERE = [
    "2",
    "1797",
    "12345678901",
    "0.853",
    "12.3456",
    "1000.0",
    "2.5e-07",
    "'2.13.0+cpu'",
    "version 3.11.12345678.1",
    "tensor([0.5000, 1.0000])",
    "tensor([1, 2, 3])",
    "torch.Size([20000, 28])",
    "0x1.999999999999ap-4",
]


@pytest.mark.parametrize("text", SAME_EVERYWHERE)
def test_result_that_every_processor_prints(good, text):
    chapter, nb, code = good
    result(text)(nb, code)
    assert complaints(chapter, nb) == []


def test_digits_that_no_replay_compares(good):
    """Lines of claims may move a little, of an explorer the title is compared, and an ignored cell not at all."""
    chapter, nb, code = good
    code[1].outputs[0].text += "✓ two ways: 2.8354321\n"
    words = {"image/png": "aaaa", "text/plain": "An explorer: z = 0.123456789"}
    put(output("execute_result", execution_count=6, data=words))(nb, code)
    code[3].outputs.append(output("display_data", data={"text/plain": "0.123456789"}))
    (time,) = complaints(chapter, nb)
    assert time.endswith("try 'Time: 5 minutes to read, 10 more to play.'")  # since an explorer came


def test_lists_that_are_meant(good):
    chapter, nb, code = good
    text = chapter.source.read_text()
    listed = "# The gap:\n#\n# 1. is small\n#    (here)\n# 2. is printed\n#\n# And: 0.123 nats, by"
    chapter.source.write_text(text.replace("# The gap is 0.123 nats: see", listed))
    nb.cells[4].source = read_source(chapter.source).cells[4].source
    nb.metadata["gdm"] = {"source": fingerprint(nb)}
    assert complaints(chapter, nb) == []


def test_too_much_for_one_sitting(good):
    chapter, nb, code = good
    code[5].outputs.extend([figure() for _ in range(FIGURES)])
    figures, time = complaints(chapter, nb)
    assert figures.startswith("needed at most 10 figures in one sitting, got 11; try a second part")
    assert time.endswith("try 'Time: 15 minutes to read.'")


def test_path_of_this_machine(good, tmp_path):
    chapter, nb, code = good
    write_to("stdout", f"saved {tmp_path}/x\n")(nb, code)
    (found,) = complaints(chapter, nb)
    assert "needed no path of this machine" in found


SOURCES = {
    "nameless-fold": (
        "# %%\nlast",
        '# %% jupyter={"source_hidden": true}\nlast',
        "cell 8: needed a comment that names what is folded, got none",
    ),
    "long-name-of-a-fold": (
        "# %%\nlast",
        '# %% jupyter={"source_hidden": true}\n# ' + (NAME - 1) * "x" + "\nlast",
        "cell 8: needed a fold's name of at most 95 characters, got 96; try fewer words",
    ),
    "list-by-accident": (
        "[a paper](https://example.org).",
        "[a paper](https://example.org), ICML, eq.\n#   9.",
        "cell 5: needed a word before '9.', got an item of a list; try to break",
    ),
    "first-of-a-list-by-accident": ("see [the", "see algorithm\n# 1. See [the", "needed a word before '1. See"),
    "parameters-untagged": ('# %% tags=["parameters"]', "# %%", 'needed the tag "parameters"'),
    "parameters-second": (
        '# %% tags=["parameters"]',
        '# %%\nx = 1\n\n# %% tags=["parameters"]',
        "got it in code cells",
    ),
    "parameters-twice": ("# %%\nlast", '# %% tags=["parameters"]\nlast', "got it in code cells [1, 6]"),
    "parameter-missing": ("SEED = 0", "SED = 0", "got no SEED"),
    "parameter-computed": ("SEED = 0", "SEED = int(0)", "got no SEED"),
    "full-profile": ('PROFILE = "fast"', 'PROFILE = "full"', "needed PROFILE = \"fast\" as committed, got 'full'"),
    "on-the-card": ('DEVICE = "cpu"', 'DEVICE = "cuda"', "needed DEVICE"),
    "no-reason": ("# ignored: plotly", "# plotly", "cell 6: needed a reason to ignore its output"),
    "empty-reason": ("# ignored: plotly differs in the last bit", "# ignored:", "cell 6: needed a reason"),
    "skipped": ("# %%\nlast", '# %% tags=["nbval-skip"]\nlast', "cell 8: needed no other exemption, got nbval-skip"),
    "by-comment": ("# %%\nlast", "# %%\n# NBVAL_IGNORE_OUTPUT\nlast", "got NBVAL_IGNORE_OUTPUT"),
    "dead-link": ("src/01_good.py", "src/01_bad.py", "needed a link that leads somewhere, got src/01_bad.py"),
    "no-title": ("# # 1 · Title of 1", "# Title", "cell 1: needed a heading"),
    "no-question": ("What is seen here?", "This.", "cell 1: needed a question"),
    "no-minutes": ("Time: 5 minutes to read.", "Soon.", "cell 1: needed the time that this much takes"),
    "other-minutes": ("Time: 5 minutes", "Time: 10 minutes", "got 10 minutes to read.; try 'Time: 5 minutes to read.'"),
    "long-cell": (
        "# %%\nlast",
        "# %%\n" + "x = 1\n" * CELL + "last",
        "cell 8: needed at most 20 visible lines, got 21",
    ),
    "long-part": (
        "# %%\nlast",
        "# %%\nx = 1\ny = 1\n\n" * (LINES // 2) + "# %%\nlast",
        "needed at most 350 visible lines of code in one sitting, got 360; try a second part",
    ),
    "wordy": ("Time: 5 minutes to read.", "Time: 5 minutes to read." + " word" * WORDS, "needed at most 2,500 words"),
}


@pytest.mark.parametrize("fault", SOURCES)
def test_fault_in_the_source(good, fault):
    """The notebook follows the source: the stamp is fresh, the fault is the source's own."""
    chapter, nb, _ = good
    old, new, complaint = SOURCES[fault]
    text = chapter.source.read_text()
    assert text.count(old) == 1
    chapter.source.write_text(text.replace(old, new))
    chapter = course.Chapter(chapter.source)
    faulty = read_source(chapter.source)
    faulty.metadata["gdm"] = {"source": fingerprint(faulty)}
    outputs = {cell.source: cell.outputs for cell in nb.cells if cell.cell_type == "code"}
    for i, cell in enumerate((c for c in faulty.cells if c.cell_type == "code"), 1):
        cell.execution_count, cell.outputs = i, outputs.get(cell.source, [])
    found = complaints(chapter, faulty)
    if fault in ("long-part", "long-cell", "wordy"):
        found = [complaint for complaint in found if "the time that" not in complaint]
    assert len(found) == 1 and complaint in found[0], found


def test_source_edited_after_the_build(good):
    chapter, nb, _ = good
    chapter.source.write_text(chapter.source.read_text().replace("last", "late"))
    (found,) = complaints(chapter, nb)
    assert "needed outputs of the source as it is" in found and found.endswith("try gdm build 01")


def test_share_of_ignored_cells_is_capped(good):
    chapter, nb, code = good
    assert 1 <= IGNORED_SHARE * len(code) < 2
    code[5].update(source="# ignored: too", metadata=nbformat.from_dict({"tags": ["nbval-ignore-output"]}))
    assert any("needed at most 20% of code cells ignored, got 2 of 6" in c for c in complaints(chapter, nb))


def test_missing_and_broken_notebooks(good):
    chapter, nb, _ = good
    (found,) = lint(chapter)
    assert "got no file; try gdm build 01" in found
    for text in ("", "{}", "not json", json.dumps({"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})):
        chapter.notebook.write_text(text)
        (found,) = lint(chapter)
        assert found.startswith("needed a notebook, got") and "\n" not in found
