"""From source to notebook: nothing of the machine in it, nothing written when a cell fails."""

import base64
import contextlib
import io
import os
import time
from pathlib import Path
from unittest.mock import Mock

import nbformat
import numpy as np
import pytest
import tiny_course
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gdm_core.course import kernels, notebooks
from gdm_core.course.notebooks import CellFailed, fingerprint, read_source

BODY = """
# %%
import os, sys
import matplotlib.pyplot as plt
import ipywidgets
import torch
print(os.path.basename(os.getcwd()), torch.get_num_threads(), hash("text"), os.environ["GDM_QUIET"])
plt.plot([1, 2])
plt.show()
print("below")
sys.stdout.flush()
print("the figure")
plt.plot([2, 1]);

# %%
from IPython.display import display
import plotly.graph_objects as go
display(ipywidgets.IntSlider())
display(go.Figure(go.Scatter(y=[1, 2])))

# %% [markdown] tags=["kept"] jupyter={"source_hidden": true}
# Text.

# %%
{"answer": 42}
"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    (chapter,) = tiny_course.make(tmp_path_factory.mktemp("course"), _01_all=BODY)
    assert notebooks.build(chapter)
    return chapter


def outputs(chapter):
    nb = nbformat.read(chapter.notebook, 4)
    return [cell.outputs for cell in nb.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_outputs(chapter):
    _, first, second, third = outputs(chapter)
    assert [o.output_type for o in first] == ["stream", "display_data", "stream", "display_data"]
    folder, threads, text_hash, quiet = first[0].text.split()
    assert (folder, threads, quiet) == ("lectures", "1", "1")
    assert first[2].text == "below\nthe figure\n"
    assert [set(o.data) for o in second] == [{"text/plain"}, {"application/vnd.plotly.v1+json"}]
    assert third[0].data == {"text/plain": "{'answer': 42}"} and third[0].execution_count == 4


@pytest.mark.slow
def test_picture_is_whole_and_names_no_version(chapter):
    raw = base64.b64decode(outputs(chapter)[1][1].data["image/png"])
    assert Image.open(io.BytesIO(raw)).convert("L").getextrema() == (0, 255)
    assert b"matplotlib" not in raw.lower()


def test_metadata_is_fixed(chapter):
    nb = nbformat.read(chapter.notebook, 4)
    assert nb.metadata == {
        "gdm": {"source": fingerprint(read_source(chapter.source))},
        "kernelspec": kernels.SPEC,
        "language_info": {"name": "python"},
    }
    assert [cell.metadata for cell in nb.cells if cell.metadata] == [
        {"tags": ["parameters"]},
        {"tags": ["kept"], "jupyter": {"source_hidden": True}},
    ]
    assert fingerprint(nb) == nb.metadata.gdm.source


@pytest.mark.slow
def test_second_build_changes_no_byte_whatever_the_user_set(chapter, tmp_path, monkeypatch):
    before = chapter.notebook.read_bytes(), chapter.notebook.stat().st_mtime_ns
    (tmp_path / "matplotlibrc").write_text("figure.figsize: 2, 2\naxes.facecolor: red\n")
    (tmp_path / "profile_default" / "startup").mkdir(parents=True)
    (tmp_path / "profile_default" / "startup" / "a.py").write_text("print('started')\n")
    strange = {"MATPLOTLIBRC": str(tmp_path), "MPLBACKEND": "svg", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    for name, value in {**strange, "IPYTHONDIR": str(tmp_path), "PLOTLY_RENDERER": "notebook"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert not notebooks.build(chapter)
    assert (chapter.notebook.read_bytes(), chapter.notebook.stat().st_mtime_ns) == before


def test_environment_of_a_kernel_is_the_courses_own(monkeypatch):
    others = "MATPLOTLIBRC", "MPLBACKEND", "IPYTHONDIR", "PLOTLY_RENDERER", "OMP_NUM_THREADS", "HOME"
    for name in ("GDM_EXPORT", "GDM_MODELS", "GDM_YOURS", "GDM_STAGE_LINKS", "GDM_DATA", *others):
        monkeypatch.setenv(name, "the user's")
    with kernels.clean() as env:
        kept = {name for name, value in env.items() if value == "the user's"}
        assert kept == {"GDM_DATA", "HOME"} and env["OMP_NUM_THREADS"] == "1"
        assert not os.path.exists(env["GDM_MODELS"]) and not os.path.exists(env["GDM_YOURS"])
    with kernels.clean(OMP_NUM_THREADS="2", GDM_EXPORT="1", MATPLOTLIBRC="mine") as env:
        assert (env["OMP_NUM_THREADS"], env["GDM_EXPORT"], env["MATPLOTLIBRC"]) == ("2", "1", "mine")


FAILURES = {
    "raise ValueError('no luck')": "ValueError: no luck",
    "from gdm_core.course.claims import claim\nclaim('the gap', 2.0, below=1)": "✗ the gap: needed ≤ 1, got 2",
    "import os\nos._exit(1)": "the kernel died",
    "import time\ntime.sleep(60)": "it took more than 2 s",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", FAILURES)
def test_failing_cell_is_shown_and_nothing_is_written(tmp_path, code):
    (chapter,) = tiny_course.make(tmp_path, _01_bad=f"# %%\nx = 1\n\n# %% [markdown]\n# text\n\n# %%\n{code}\n")
    chapter.notebook.write_text("as it was")
    started = time.monotonic()
    with pytest.raises(CellFailed) as failure:
        notebooks.build(chapter, cell_seconds=2 if "sleep" in code else 100)
    assert time.monotonic() - started < 40
    assert failure.value.cell == 3 and failure.value.source == code
    assert FAILURES[code] in str(failure.value) and "\x1b" not in str(failure.value)
    assert chapter.notebook.read_text() == "as it was"
    assert sorted(os.listdir(tmp_path / "lectures")) == ["01_bad.ipynb", "src"]


def png(pixels, **text: str) -> str:
    """A PNG of (H, W, 4) bytes, base64; `text` as chunks beside it."""
    about, buffer = PngInfo(), io.BytesIO()
    for name, value in text.items():
        about.add_text(name, value)
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=about, dpi=(160, 160))
    return base64.b64encode(buffer.getvalue()).decode()


def pixels(encoded: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")).astype(int)


def test_pictures_are_small_and_look_the_same():
    """Few colors stay as they are, thousands are 256, those of rendered scenes stay; what is transparent is paper."""
    plain = np.random.default_rng(0).choice([0, 90, 255], size=(30, 40, 4)).astype(np.uint8)
    plain[..., 3] = 255
    np.testing.assert_array_equal(pixels(notebooks.plain_png(png(plain))), plain[..., :3])
    scene = np.stack(np.broadcast_arrays(np.arange(256)[None], np.arange(200)[:, None], 128, 255), -1).astype(np.uint8)
    np.testing.assert_array_equal(pixels(notebooks.plain_png(png(scene))), scene[..., :3])
    ramp = scene[:, :45]  # 9,000 colors
    small = notebooks.plain_png(png(ramp))
    assert len({tuple(p) for p in pixels(small).reshape(-1, 3)}) <= 256
    assert abs(pixels(small) - ramp[..., :3]).mean() < 8
    ramp[..., 3] = 0
    assert (pixels(notebooks.plain_png(png(ramp))) == 255).all()


def test_normalize_takes_out_what_is_chance():
    cell = nbformat.v4.new_code_cell(
        "x", execution_count=1, metadata={"execution": {"iopub.status.busy": "now"}, "tags": ["t"], "id": 3}
    )
    gray = np.full((2, 3, 4), 200, np.uint8)
    picture = png(gray, Software="matplotlib")
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "7f3a"}}
    size = {"image/png": {"width": 3, "height": 2, "alt": "?"}, "isolated": True}
    new = nbformat.v4.new_output
    cell.outputs = [
        new("stream", name="stdout", text="a"),
        new("stream", name="stdout", text="b\n"),
        new("stream", name="stderr", text="c"),
        new("display_data", data=view),
        new("display_data", data={**view, "text/plain": "slider"}),
        new("display_data", data={"image/png": picture}, metadata=size),
        new("stream", name="stdout", text="d"),
    ]
    nb = nbformat.v4.new_notebook(
        cells=[cell], metadata={"widgets": {}, "language_info": {"name": "p", "version": "9"}}
    )
    notebooks.normalize(nb)
    assert nb.metadata == {"kernelspec": kernels.SPEC, "language_info": {"name": "python"}}
    assert cell.metadata == {"tags": ["t"]}
    assert [o.get("text") for o in cell.outputs] == ["ab\n", "c", None, None, "d"]
    assert cell.outputs[2].data == {"text/plain": "slider"}
    plain = base64.b64decode(cell.outputs[3].data["image/png"])
    assert b"matplotlib" in base64.b64decode(picture) and b"matplotlib" not in plain and b"pHYs" not in plain
    assert cell.outputs[3].data["image/png"] == notebooks.plain_png(png(gray, Software="another"))
    assert cell.outputs[3].metadata == {"image/png": {"width": 3, "height": 2}}


def said(tmp_path, text: str):
    (tmp_path / "01_a.py").write_text(text)
    return fingerprint(read_source(tmp_path / "01_a.py"))


def test_fingerprint_follows_what_the_source_says(tmp_path):
    base = said(tmp_path, "# %% [markdown]\n# text\n\n# %%\nx = 1\n")
    header = "# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n\n"
    assert said(tmp_path, header + "# %% [markdown]\n# text\n\n# %%\nx = 1\n") == base
    for other in (
        "# %% [markdown]\n# text!\n\n# %%\nx = 1\n",
        "# %% [markdown]\n# text\n\n# %%\nx = 2\n",
        '# %% [markdown]\n# text\n\n# %% tags=["a"]\nx = 1\n',
        '# %% [markdown]\n# text\n\n# %% jupyter={"source_hidden": true}\nx = 1\n',
        "# %%\nx = 1\n\n# %% [markdown]\n# text\n",
        "# %%\n# text\n\n# %%\nx = 1\n",
    ):
        assert said(tmp_path, other) != base


def test_inserted_cell_renames_no_other(tmp_path):
    def ids(text):
        (tmp_path / "01_a.py").write_text(text)
        return [cell.id for cell in read_source(tmp_path / "01_a.py").cells]

    before = ids("# %%\nx = 1\n\n# %%\ny = 1\n\n# %%\nx = 1\n")
    after = ids("# %%\nx = 1\n\n# %%\nz = 1\n\n# %%\ny = 1\n\n# %%\nx = 1\n")
    assert len(set(before)) == 3 and [after[i] for i in (0, 2, 3)] == before
    assert before == ids("# %%\nx = 1\n\n# %%\ny = 1\n\n# %%\nx = 1\n")


@pytest.mark.parametrize("name", ["01_gone.py", "01_a.ipynb", "src"])
def test_what_is_no_source_is_refused_in_words(tmp_path, name):
    (tmp_path / "src").mkdir()
    (tmp_path / "01_a.ipynb").touch()
    with pytest.raises(ValueError, match="needed a py:percent source, got .*; try lectures/src"):
        read_source(tmp_path / name)
    (tmp_path / "02_empty.py").touch()
    with pytest.raises(ValueError, match="needed cells in 02_empty.py"):
        read_source(tmp_path / "02_empty.py")


HUNG, SLOW = kernels.KernelHung("needed"), RuntimeError("Kernel didn't respond in 60 seconds")


@pytest.mark.parametrize(
    "errors, calls, raised",
    [
        ([], 1, False),
        ([HUNG], 2, False),
        ([SLOW], 2, False),
        ([HUNG, HUNG], 2, True),
        ([SLOW, HUNG], 2, True),
        ([RuntimeError("other")], 1, True),
    ],
)
def test_hung_kernel_gets_one_more_chance(errors, calls, raised):
    attempt = Mock(side_effect=[*errors, "done"])
    if raised:
        with pytest.raises(RuntimeError, match=str(errors[-1])):
            kernels.twice(attempt)
    else:
        assert kernels.twice(attempt) == "done"
    assert attempt.call_count == calls


@pytest.mark.slow
def test_kernel_that_never_answers_is_hung_and_ended(tmp_path, monkeypatch):
    """A real kernel whose start-up file lets it sleep before its first answer."""
    (tmp_path / "01_a.py").write_text("# %%\nx = 1\n")
    pids = tmp_path / "pids"
    sleep = f"""
import os, time
open({str(pids)!r}, "a").write(f"{{os.getpid()}} ")
get_ipython().events.register("pre_execute", lambda: time.sleep(60))
"""

    @contextlib.contextmanager
    def sleepy(**_):
        with kernels.clean() as env:
            startup = Path(env["IPYTHONDIR"]) / "profile_default" / "startup"
            startup.mkdir(parents=True)
            (startup / "a.py").write_text(sleep)
            yield env

    monkeypatch.setattr(notebooks, "clean", sleepy)
    monkeypatch.setattr(kernels, "START_SECONDS", 2)
    with pytest.raises(kernels.KernelHung, match="needed a kernel that answers"):
        notebooks.execute(read_source(tmp_path / "01_a.py"), tmp_path)
    started = pids.read_text().split()
    assert len(started) == 2
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
