"""One symbol, one thing: the table of CONTRIBUTING.md against what chapters write."""

import re
from pathlib import Path

import nbformat
import pytest
import tiny_course

from gdm_core.course.chapters import chapters
from gdm_core.course.lint import lint
from gdm_core.course.symbols import GUIDE, strays, table

HOME = Path(__file__).parents[1]
TABLE = r"""
# A guide

| symbol | what |
|:--|:--|
| $\xi$ | of another table |

| symbol | chapters | what | never |
|:--|:--|:--|:--|
| $\epsilon$ | | noise | `\varepsilon` |
| $\nu$, $\Sigma$ | 3, 14 | of q | |
| $\log$ | | the logarithm | `\ln` |
| $\mid$ | | a condition | `x \| z` |
| $\mathbb E$ | | an expectation | `\mathrm E` |

| $\rho$ | 1 | below the table | |
"""


@pytest.fixture
def written(tmp_path):
    """Complaints about a chapter `number` whose cells are `texts`; a `table` of None: no guide at all."""

    def write(*texts, number="01", kind="markdown", table=TABLE):
        if table is not None:
            (tmp_path / GUIDE).write_text(table, encoding="utf-8")
        chapter = tiny_course.make(tmp_path, **{f"_{number}_good": ""})[-1]
        cell = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}[kind]
        return list(strays(nbformat.v4.new_notebook(cells=[cell("nothing"), *map(cell, texts)]), chapter))

    return write


GREEK = {
    r"with $\nu$": "nu",
    r"$$ x\,\Sigma $$": "Sigma",
    r"$\xi$": "xi",
    r"$\rho$": "rho",
    r"$a_{\varphi}$": "phi",
    "the β of it": "beta",
    "at σ=2": "sigma",
    "the φ²": "phi",
}


@pytest.mark.parametrize("text", GREEK)
def test_letter_without_a_meaning_here(written, text):
    (found,) = written(text)
    assert found.startswith(f"cell 2: needed letters that chapter 1 gives a meaning, got \\{GREEK[text]}; try ")


def test_letter_without_a_meaning_in_a_label_of_a_figure(written):
    (found,) = written('plt.xlabel("λ")', kind="code")
    assert "got \\lambda" in found


NEVER = {
    r"$\ln 2$": r"needed one spelling of the logarithm, got \ln; try $\log$",
    r"$p(x|z)$": "needed one spelling of a condition, got x | z; try $\\mid$",
    r"$p(x\,|\,z)$": "got x | z",
    r"$\mathrm{E}[x]$": r"got \mathrm E",
    r"$\mathrm E[x]$": r"got \mathrm E",
    "$$\na + \\ln b\n$$": r"got \ln",
    r"$\varepsilon$": r"got \varepsilon; try $\epsilon$",
}


@pytest.mark.parametrize("text", NEVER)
def test_spelling_that_is_ruled_out(written, text):
    (found,) = written(text)
    assert found.startswith("cell 2: needed one spelling of ") and NEVER[text] in found


RIGHT = [
    r"$\epsilon + \log x$, $\lnot a$, $\mathbb{E}[x]$, $\max$",
    "ΠGDM and Aβc are names",
    r"$\mathcal E$",
    "p(x|z) outside of math",
]


@pytest.mark.parametrize("text", RIGHT)
def test_nothing_to_complain_about(written, text):
    assert written(text) == []


def test_a_letter_has_its_meaning_in_all_parts_of_its_chapters(written):
    for number in ("03", "14", "14b"):
        assert written(r"$\nu$, $\Sigma$", number=number) == []


def test_a_letter_is_named_once(written):
    assert len(written(r"$\nu$, $\nu^2$", "ν again")) == 1


def test_without_a_table_nothing_is_asked(written):
    assert written(r"$\xi \ln 2$", table=None) == [] == written(r"$\xi \ln 2$", table="# A guide\n")


def test_lint_asks_in_lectures_and_labs(tmp_path):
    (tmp_path / GUIDE).write_text(TABLE, encoding="utf-8")
    for kind in ("lectures", "labs"):
        (chapter,) = tiny_course.make(tmp_path, kind, _01_good="")
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(r"$\xi$")])
        chapter.notebook.write_text(nbformat.writes(nb))
        assert sum("got \\xi" in complaint for complaint in lint(chapter)) == 1


def test_the_table_of_the_course():
    """It is found whole, no letter has two meanings in one chapter, and none is listed that no chapter writes."""
    rows, guide = table(HOME), (HOME / GUIDE).read_text(encoding="utf-8")
    assert len(rows) == len(re.findall(r"^\| \$.* \|.*\|.*\|.*\|$", guide, re.MULTILINE)) > 30
    assert all(row.symbols and row.what for row in rows)
    sources = {c: c.source.read_text(encoding="utf-8") for kind in ("lectures", "labs") for c in chapters(kind, HOME)}
    seen = set()
    for row in rows:
        for symbol in re.findall(r"\\[A-Za-z]+(?=\$)", row.symbols):
            assert not {(symbol, n) for n in row.chapters} & seen, f"{symbol}: two meanings"
            seen |= {(symbol, n) for n in row.chapters}
            for number in row.chapters:
                wrote = [text for chapter, text in sources.items() if chapter.whole == number]
                assert any(re.search(re.escape(symbol) + r"(?![A-Za-z])", text) for text in wrote), (symbol, number)
