"""A lab in a real JupyterLab: Run All over right and typical wrong answers, from the first cell to the last."""

import nbformat
import pytest
import servers
import tiny_course
from browser import needed
from jupyterlab import open_notebook, run_all
from servers import until

from gdm_core.course.chapters import chapters
from gdm_core.course.labs import student

pytest_plugins = ("browser",)  # the fixture `tab`
pytestmark = needed
WRONG = {  # typical ones: an error, two mistakes with a name; two are not begun
    "log_joint": "def log_joint(x, weights, means, stds):\n    return torch.log(weights) - (x - means) ** 2 / stds",
    "e_step": "def e_step(log_joint):\n    return log_joint.softmax(0), log_joint.logsumexp(1)",
    "m_step": "def m_step(x, gamma):\n    n = gamma.sum(0)\n    return n, gamma.T @ x / n[:, None], None",
}
HEARD = {
    "right": {
        name: f"✓ {name}: the checks found no mistake" for name in ("log_joint", "e_step", "m_step", "em", "choose")
    },
    "wrong": {
        "log_joint": "! log_joint: your code raised RuntimeError: The size of tensor a",
        "e_step": "✗ e_step: γ must sum to one over the components of an example: you normalized over",
        "m_step": "✗ m_step: the weights must sum to one: divide the counts by N",
        "em": "· em: not written yet",
        "choose": "· choose: not written yet",
    },
}  # fmt: skip


class Unheard(list):
    """JupyterLab's console is its own affair."""

    def append(self, error):
        pass


def handed_in(kind):
    """Lab 01 as a student left it."""
    lab = chapters("labs")[0]
    nb = student.source(lab) if kind == "right" else nbformat.read(lab.notebook, 4)
    for cell in nb.cells:
        name = cell.metadata.get("exercise")
        if kind == "wrong" and cell.cell_type == "code" and "NotImplementedError" in cell.source and name in WRONG:
            cell.source = WRONG[name]
    return nb


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("course")
    tiny_course.make(home)
    for kind in HEARD:
        nbformat.write(handed_in(kind), home / f"{kind}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND")  # of these tests: a kernel draws into its notebook
        with servers.lab(home) as server:
            yield server


@pytest.mark.parametrize("kind", HEARD)
def test_a_lab_is_answered_in_jupyterlab(tab, lab, kind, tmp_path):
    tab.trouble.errors = Unheard()
    run_all(open_notebook(tab, lab, f"{kind}.ipynb", width=1200, height=1100))
    for name, line in HEARD[kind].items():
        where = tab.locator(".jp-OutputArea-output").filter(has_text=f"{line[0]} {name}:")
        until(lambda where=where: where.count() == 1, what=f"a verdict about {name}")
        where.scroll_into_view_if_needed()
        until(lambda where=where, line=line: where.inner_text().startswith(line), what=line)
        if kind == "right":
            picture = tab.locator(".jp-CodeCell").filter(has_text=f"check.{name}(").locator("img")
            until(lambda picture=picture: picture.count() == 1, what=f"the picture of {name}")
            picture.scroll_into_view_if_needed()
        tab.screenshot(path=tmp_path / f"{kind}-{name}.png")
    assert tab.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').count() == 0


def test_hints_and_pictures_unfold(tab, lab):
    tab.trouble.errors = Unheard()
    open_notebook(tab, lab, "wrong.ipynb", width=800)
    hint = tab.locator("details").filter(has_text="Hint 1: shapes")
    until(lambda: hint.count() == 1, what="the first hint")
    assert not hint.locator("p").first.is_visible()
    hint.locator("summary").click()
    until(lambda: hint.locator("p").first.is_visible(), what="the words of the hint")
    picture = tab.locator("details").filter(has_text="The picture that a right answer makes").first
    picture.locator("summary").click()
    image = picture.locator("img")
    until(lambda: image.evaluate("(i) => i.naturalWidth > 500 && i.width > 300"), what="the picture of a right answer")
