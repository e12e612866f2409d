"""Exported pages: formulas against TeX's rules, one self-contained file, nothing half written."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from random import Random

import nbformat
import numpy as np
import pytest
import tiny_course
from fontTools.ttLib import TTFont

from gdm_core.course import chapters, export, notebooks
from gdm_core.course.export import fonts, page
from gdm_core.course.export.latex import mathml
from gdm_core.widgets import Slider, Stage


def tree(source, display=True):
    return ET.fromstring(mathml(source, display))


def shape(element):
    """Tags and words, without attributes: ("msup", "x", "2")."""
    return (element.tag, *([element.text] if element.text else []), *map(shape, element))


def only(source):
    """The one thing that a formula is, without the `math` around it."""
    (inner,) = tree(source)
    return shape(inner)


X, TWO = ("mi", "x"), ("mn", "2")


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("x^2", ("msup", X, TWO)),
        ("x_i^2", ("msubsup", X, ("mi", "i"), TWO)),
        ("x^2_i", ("msubsup", X, ("mi", "i"), TWO)),
        ("x^10", ("mrow", ("msup", X, ("mn", "1")), ("mn", "0"))),  # TeX takes one digit
        ("x^{10}", ("msup", X, ("mn", "10"))),
        ("3.14", ("mn", "3.14")),
        ("f'", ("msup", ("mi", "f"), ("mo", "′"))),
        ("f'^2", ("msup", ("mi", "f"), ("mrow", ("mo", "′"), TWO))),
        (r"\frac12", ("mfrac", ("mn", "1"), TWO)),
        (r"\sqrt[3]{x}", ("mroot", X, ("mn", "3"))),
        (r"\sum_i^n", ("munderover", ("mo", "∑"), ("mi", "i"), ("mi", "n"))),
        (r"\int_0^1", ("msubsup", ("mo", "∫"), ("mn", "0"), ("mn", "1"))),
        (r"\sum\nolimits_i", ("msub", ("mo", "∑"), ("mi", "i"))),
        (r"\operatorname*{arg\,max}_x", ("munder", ("mo", "arg\u2006max"), X)),
        (r"\log_2", ("msub", ("mi", "log"), TWO)),
        (r"\mathbb{E}_x", ("msub", ("mi", "𝔼"), X)),
        (r"\mathcal N", ("mi", "𝒩")),
        (r"\mathbb R^2", ("msup", ("mi", "ℝ"), TWO)),
        (r"\boldsymbol\mu", ("mi", "𝝁")),
        (r"\mathrm{KL}", ("mi", "KL")),
        (r"\hat x", ("mover", X, ("mo", "ˆ"))),
        (r"\underbrace{x}_{\text{a b}}", ("munder", ("munder", X, ("mo", "⏟")), ("mtext", "a b"))),
        (r"\text{if $x$ then}", ("mrow", ("mtext", "if\xa0"), X, ("mtext", "\xa0then"))),
        (r"\binom n2", ("mrow", ("mo", "("), ("mfrac", ("mi", "n"), TWO), ("mo", ")"))),
        (r"\left(\frac1x\right)", ("mrow", ("mo", "("), ("mfrac", ("mn", "1"), X), ("mo", ")"))),
        (r"\left.x\right|", ("mrow", X, ("mo", "|"))),
        (r"\overset{d}{=}", ("mover", ("mo", "="), ("mi", "d"))),
        (r"\begin{pmatrix}x&2\\2&x\end{pmatrix}", None),
    ],
)
def test_formulas_become_the_tree_that_tex_would_build(source, wanted):
    if wanted is None:
        cell = lambda inner: ("mtd", inner)
        table = ("mtable", ("mtr", cell(X), cell(TWO)), ("mtr", cell(TWO), cell(X)))
        wanted = ("mrow", ("mo", "("), table, ("mo", ")"))
    assert only(source) == wanted


def texts(source, tag="mo", **attributes):
    return [e.text for e in tree(source).iter(tag) if all(e.get(k) == v for k, v in attributes.items())]


def test_a_minus_is_a_sign_or_an_operation_by_what_stands_before():
    signs = dict(form="prefix", lspace="0")
    for source, count in {
        "-x": 1,
        "(-1)": 1,
        "x=-1": 1,
        "a,-b": 1,
        r"\log-x": 1,
        "a-b": 0,
        "2-x": 0,
        "|a|-b": 0,
        r"a\,-b": 0,
    }.items():
        assert len(texts(source, **signs)) == count, source
    cells = tree(r"\begin{aligned} a &= b \\ &- c \end{aligned}").findall(".//mtd")
    assert cells[3].find(".//mo").get("form") == "infix"  # the line goes on after the mark


def test_functions_keep_their_distance_from_letters_but_not_from_brackets():
    spaces = lambda source: len(tree(source).findall(".//mspace"))
    for source, count in {
        r"\log x": 1,
        r"a\log x": 2,
        r"\log(x)": 0,
        r"\log\exp x": 2,
        r"(a)\log(x)": 1,
        r"2\max_q f": 2,
    }.items():
        assert spaces(source) == count, source


def test_aligned_lines_and_cases_have_their_sides():
    sides = lambda source: [[c.get("class") for c in r] for r in tree(source).iter("mtr")]
    assert sides(r"\begin{align*} a &= b & c &= d \\ e &= f \end{align*}") == [["r", "l", "r", "l"], ["r", "l"]]
    assert sides(r"\begin{cases} 1 & x>0 \\ 0 \end{cases}") == [["l", "l"], ["l"]]
    assert sides(r"\begin{array}{lr} 1 & 2 \end{array}") == [["l", "r"]]
    assert sides(r"\begin{aligned} a &= b \\[2mm] c &= d \\ \end{aligned}") == [["r", "l"], ["r", "l"]]


def test_brackets_have_the_size_that_was_asked_for():
    sizes = [(e.text, e.get("minsize"), e.get("form")) for e in tree(r"\big( \Big] \bigg\| \Biggl\{").iter("mo")]
    wanted = [("(", "1.2em", "prefix"), ("]", "1.8em", "postfix"), ("‖", "2.4em", "infix"), ("{", "3.0em", "prefix")]
    assert sizes == wanted
    assert all(e.get("stretchy") == "false" for e in tree("(x]").iter("mo"))


def test_a_long_formula_in_the_text_may_break_after_its_relations_only():
    inline = mathml(r"\ell(\theta) = \sum_n \log p(x_n, z), \quad a - b")
    assert inline.count("<math>") == 3 and inline.count("<wbr>") == 2  # after = and after the comma outside brackets
    assert "<wbr>" not in mathml(r"a = b, c", display=True) and "<wbr>" not in mathml("a - b")
    assert 'aria-label="a &lt; b"' in mathml("a < b")


@pytest.mark.parametrize(
    "source, words",
    [
        (r"\foo x", r"not \\foo"),
        ("{x", "needed }"),
        ("x}", "partner"),
        (r"\left( x", "right"),
        ("x^2^3", r"one \^"),
        (r"\frac1", "one thing more"),
        (r"\begin{aligned} x", "end"),
        (r"\begin{weird} x \end{weird}", "not weird"),
        (r"\begin{cases} x \end{matrix}", "cases"),
        (r"\left< x \right>", "a bracket"),
        ("x & y", "partner of &"),
        ("x @ y", "character"),
    ],
)
def test_what_is_not_known_is_refused_and_quoted(source, words):
    with pytest.raises(ValueError, match=words) as refused:
        mathml(source)
    assert f"${source}$" in str(refused.value) and "; try " in str(refused.value)


ATOMS = ["x", "2", r"\theta", r"\mathcal L", r"\sum", r"\log", "-", "=", r"\frac{a}{b}", "(", ")", ",", r"\text{so}"]
LETTERS = {"x": "x", r"\theta": "θ", r"\mathcal L": "ℒ", r"\sum": "∑", r"\text{so}": "so", r"\frac{a}{b}": "a"}


@pytest.mark.parametrize("display", [True, False])
def test_whatever_is_written_is_well_formed_and_loses_no_letter(display):
    random = Random(0)
    for _ in range(300):
        things = random.choices(ATOMS, k=random.randint(1, 12))
        words = "".join(
            e.text or "" for e in ET.fromstring(mathml(" ".join(things), display).replace("<wbr>", "")).iter()
        )
        for thing, char in LETTERS.items():
            assert words.count(char) == things.count(thing), things


def test_every_formula_of_the_course_can_be_drawn():
    """All lectures and labs; an unknown command is told with its formula."""
    listed = chapters.chapters() + chapters.chapters("labs")
    assert listed
    count = 0
    for chapter in listed:
        reader = page._Markdown(chapter.notebook.parent)
        markdown = page.MarkdownWithMath(renderer=reader)
        for cell in notebooks.read_source(chapter.source).cells:
            if cell.cell_type == "markdown":
                count += markdown.render(cell.source).count("<math")
    assert count > 50


def test_the_font_has_the_glyphs_of_the_page_and_few_others():
    html = mathml(r"\sqrt{x^2} + \mathcal N(\theta) \sum_k \left(\frac{a}{b}\right)")
    rule = fonts.face(html)
    font = TTFont(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", rule)[1])))
    glyphs = font.getBestCmap()
    for char in "√𝑥𝜃𝒩∑𝑎𝑏()+2":  # lone letters are drawn italic
        assert ord(char) in glyphs, char
    assert len(glyphs) < 120 and "MATH" in font and len(rule) < 150_000
    assert fonts.face("<p>no formula</p>") == "" and fonts.face(html) == rule


# Pages


def cell(kind, source, *outputs, tags=()):
    new = nbformat.v4.new_markdown_cell(source) if kind == "md" else nbformat.v4.new_code_cell(source)
    new.metadata["tags"] = list(tags)
    if kind != "md":
        new.outputs = [nbformat.from_dict(o) for o in outputs]
    return new


def data(**kinds):
    bundle = {name.replace("_", "/", 1): value for name, value in kinds.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


@pytest.fixture
def chapter(tmp_path):
    return tiny_course.make(tmp_path, _01_first="# %%\n1\n")[0]


def rendered(chapter, *cells, **options):
    return page.render(nbformat.v4.new_notebook(cells=list(cells)), chapter, **options)


def test_a_page_has_everything_in_it(chapter, tmp_path):
    (tmp_path / "lectures" / "pic.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    text = rendered(
        chapter,
        cell("md", "# 1 · Title\n\n![drawn](pic.svg) and $x<y$, see [there](https://example.org)."),
        cell("py", 'PROFILE = "fast"', tags=["parameters"]),
        cell(
            "py", "a < b", {"output_type": "stream", "name": "stdout", "text": "✓ fine: 1 (needed = 1)\n≤ 1e-07 <b>\n"}
        ),
        cell("py", "figure", data(image_png="AAAA", text_plain="<Figure size 1x1>")),
        cell(
            "md",
            "<details><summary>Answer</summary>\n\nBecause $z$.\n</details>\n\n## 1.1 Play\n\n## 1.1 Play\n\n## Last",
        ),
    )
    assert (
        '<span class="claim">✓ fine: 1 (needed = 1)</span>' in text
        and '<span class="glued">1e-07</span> &lt;b&gt;' in text
    )
    assert "<summary>Parameters of this chapter</summary>" in text and "<summary>Answer</summary>" in text
    assert 'src="data:image/png;base64,AAAA"' in text and 'src="data:image/svg+xml;base64,' in text
    assert re.findall(r'<h2 id="([^"]+)"', text) == ["1-1-play", "1-1-play-2", "last"]
    assert 'href="#1-1-play-2"' in text and "default-src 'none'" in text
    assert "<Figure" not in text and "&lt;Figure" not in text
    # Links may point out, content may not.
    assert not re.findall(r"""(?:src|data-src)=["']?(?!data:)[^"' >]+["']""", text)
    assert not re.findall(r'url\((?!"data:|data:)', text) and "@import" not in text
    with pytest.raises(ValueError, match="needed pictures that lie beside the notebook, got none.png; try"):
        rendered(chapter, cell("md", "![x](none.png)"))


def test_no_line_starts_with_the_period_behind_a_formula(chapter):
    text = rendered(chapter, cell("md", "It is $x$. Or $a = b$, (not $c$) so.\n\n- any $y$.\n- $z$ alone"))
    glued = re.findall(r'<span class="glued"><math[^>]*>((?:(?!<math).)*)</math>([^<]*)</span>', text)
    assert [(re.sub("<[^>]+>", "", formula), end) for formula, end in glued] == [
        ("x", "."),
        ("b", ","),
        ("c", ")"),
        ("y", "."),
    ]
    # The last piece alone: the rest may break.
    assert re.search(r"<wbr><span class=.glued.>.*?,</span></span> \(not", text)
    assert ".glued { white-space: nowrap" in text


def test_the_richest_output_is_shown_and_only_that(chapter):
    both = data(text_html="<p>rich</p>", image_png="AAAA", text_plain="poor")
    text = rendered(chapter, cell("py", "x", both), cell("py", "y", data(text_plain="<i>words</i>")))
    assert "<p>rich</p>" in text and "AAAA" not in text and "poor" not in text and "&lt;i&gt;words&lt;/i&gt;" in text


def test_the_script_of_explorers_comes_once(chapter):
    stage = Stage(lambda c: np.full((2, 2), c["a"], np.uint8), [Slider("a", 0, 3, step=1)], sampled={"a": 4})
    again = Stage(lambda c: np.full((2, 2), 9 * c["a"], np.uint8), [Slider("a", 0, 3, step=1)], sampled={"a": 4})
    cells = [cell("py", "s", data(text_html=s.to_html())) for s in (stage, again)]
    text = rendered(chapter, *cells)
    assert text.count("openExports();") == 1 and text.count('class="gdm-export"') == 2
    assert len(text) < len(stage.to_html()) + len(again.to_html(script=False)) + 60_000


def test_what_the_notebook_folds_away_is_folded_on_the_page(chapter):
    claims = {"output_type": "stream", "name": "stdout", "text": "✓ one: 1\n✓ two: 2\n"}
    drawn = cell("py", "# How it is drawn.\ndraw()", data(image_png="AAAA"))
    checks = cell("py", "claim(...)", claims)
    drawn["metadata"]["jupyter"] = {"source_hidden": True}
    checks["metadata"]["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    text = rendered(chapter, drawn, checks, cell("py", "seen", claims))
    how, more = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", text, re.DOTALL)
    assert how[0] == "How it is drawn" and "draw" in how[1] and "AAAA" not in how[1] and "AAAA" in text
    assert more[0] == "2 more claims, checked by this run" and more[1].count('class="claim"') == 2
    assert text.count('class="claim"') == 4 and text.count("<summary>") == 2


def test_plotly_comes_compressed_and_only_where_it_is_needed(chapter):
    figure = data()
    figure["data"] = {"application/vnd.plotly.v1+json": {"data": [{"y": [1, 2]}], "layout": {"title": "</script>"}}}
    with_it, without = rendered(chapter, cell("py", "f", figure)), rendered(chapter, cell("py", "f"))
    assert 'id="plotly"' in with_it and 'id="plotly"' not in without
    assert len(without) < 100_000 < 1_000_000 < len(with_it) < 3_000_000
    assert '</script>"' not in with_it


def test_a_page_beyond_the_limit_is_refused_with_what_is_large(chapter):
    big = data(image_png="A" * 900_000)
    with pytest.raises(
        ValueError, match=r"needed a page of at most 0.5 MB, got 0.9 MB \(figures 0.9 MB\); try .*--limit 2"
    ):
        rendered(chapter, cell("py", "x", big), limit=500_000)


# The command


def test_a_failed_chapter_leaves_its_old_page_and_the_others_go_on(tmp_path, capsys):
    listed = tiny_course.make(
        tmp_path,
        _01_broken="# %%\n1 / 0\n",
        _02_strange="# %% [markdown]\n# $\\strange$\n",
        _03_fine="# %%\nprint(6 * 7)\n",
    )
    out = tmp_path / "pages"
    out.mkdir()
    (out / "01_broken.html").write_text("the old page")
    assert export.export(listed, out) == 1
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err and r"\strange" in said.err and "No page was written" in said.err
    assert (out / "01_broken.html").read_text() == "the old page"
    assert not (out / "02_strange.html").exists()
    assert ">42" in (out / "03_fine.html").read_text() and "0 explorers moving" in said.out
    assert sorted(p.name for p in out.iterdir()) == ["01_broken.html", "03_fine.html"]  # nothing half written


def test_the_studio_reads_the_page_of_this_very_source(tmp_path, chapter):
    assert export.default_folder(tmp_path) == tmp_path / "build" / "export"
    nb = notebooks.read_source(chapter.source)
    nb.cells.append(cell("py", "explorers.mixtures()", data(image_png="AAAA", text_plain="words")))
    notebooks.write(nb, chapter.notebook)
    reading = export.reading(chapter, "/studio/", "/voila/render/")
    assert 'href="/studio/">All explorers</a>' in reading and "Open it live" in reading
    assert 'href="/voila/render/mixtures.ipynb"' in reading and "Content-Security-Policy" not in reading
    fingerprint = notebooks.fingerprint(notebooks.read_source(chapter.source))
    exported = export.default_folder(tmp_path) / f"{chapter.name}.html"
    exported.parent.mkdir(parents=True)
    for source, shown in ((fingerprint, True), ("0" * 16, False)):
        exported.write_text(rendered(chapter, cell("md", "EXPORTED"), source=source))
        assert ("EXPORTED" in export.reading(chapter, "/studio/", "/voila/render/")) == shown
