"""Throwaway courses: a folder with `lectures/src`, chapters of a few cells."""

from pathlib import Path

from gdm_core.course.chapters import Chapter, chapters

OPENING = """\
# %% [markdown]
# # {number} · Title of {number}
# **Question.** What is seen here? Time: 5 minutes to read.

# %% tags=["parameters"]
PROFILE = "fast"
DATASET = "digits"  # "digits" or "mnist"
DEVICE = "cpu"
SEED = 0
"""


def make(home: Path, kind: str = "lectures", **bodies: str) -> list[Chapter]:
    """Write the chapters `_01_name="body"` of a course in `home`; a body is py:percent, put after an opening."""
    source = home / kind / "src"
    source.mkdir(parents=True, exist_ok=True)
    (home / "pyproject.toml").write_text('name = "gdm-core"\n')
    for key, body in bodies.items():
        name = key.lstrip("_")
        opening = OPENING.format(number=name.split("_")[0].lstrip("0"))
        (source / f"{name}.py").write_text(f"{opening}\n{body}", encoding="utf-8")
    return chapters(kind, home)
