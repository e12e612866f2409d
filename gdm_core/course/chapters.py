"""Where the course lies on disk, and what its chapters are.

A chapter is a source `lectures/src/NN_name.py` and the notebook `lectures/NN_name.ipynb` built from it; a lab is the
same under `labs`.  One that takes two sittings has a second part, `NNb_name.py`.  Nothing else lists the chapters.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gdm_core.validate import bad, choice


@dataclass(frozen=True)
class Chapter:
    """One source file.  Title, question and minutes are read from its first cell, which is Markdown."""

    source: Path

    @property
    def name(self) -> str:
        """Such as "01_mixtures"."""
        return self.source.stem

    @property
    def number(self) -> str:
        """Such as "04", or "04b" of a second part."""
        return self.name.split("_")[0]

    @property
    def spoken(self) -> str:
        """The number without zeros: "4", "4b"."""
        return self.number.lstrip("0")

    @property
    def whole(self) -> int:
        """The number of the chapter that this is a part of: 4 for "04b"."""
        return int(self.number[:2])

    @property
    def notebook(self) -> Path:
        """What `gdm build` writes."""
        return self.source.parent.parent / f"{self.name}.ipynb"

    @property
    def is_lab(self) -> bool:
        """Whether this is a lab."""
        return self.source.parent.parent.name == "labs"

    @property
    def opening(self) -> str:
        """The first cell, without the marks of comments and emphasis."""
        return self._opening.replace("*", "")

    @cached_property
    def _opening(self) -> str:
        lines = []
        for line in self.source.read_text(encoding="utf-8").split("# %% [markdown]", 1)[-1].splitlines()[1:]:
            if line.startswith("# %%") or not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").removeprefix(" "))
        return "\n".join(lines)

    @property
    def title(self) -> str:
        """The heading, without its number."""
        heading = re.search(r"^# +(?:\d+[a-z]?\s*[.:·–-]\s*|\d+[a-z]? +)?(.+)$", self.opening, re.MULTILINE)
        return heading[1].strip() if heading else self.name

    @property
    def question(self) -> str:
        """What stands in bold and ends in a question mark, or the first sentence that does, or nothing."""
        if bold := re.search(r"\*\*([^*]+\?)\*\*", self._opening):
            return " ".join(bold[1].split())
        body = re.sub(r"^#.*$", "", self.opening, flags=re.MULTILINE)
        sentences = [
            s for part in re.split(r"\n\s*\n", body) for s in re.split(r"(?<=[.!?:])\s+", " ".join(part.split()))
        ]
        return next((s for s in sentences if s.endswith("?")), "")

    @property
    def minutes(self) -> int | None:
        """How long a reader needs, where the opening says so."""
        found = re.search(r"(\d+)\s*min(?:utes?)?(?![\w-])", self.opening)
        return int(found[1]) if found else None


def root() -> Path:
    """The folder of the course: the one above that has a `pyproject.toml` of gdm-core, else the clone of the package.

    Raises:
        ValueError: the package was installed without the course around it.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "gdm-core"' in project.read_text(encoding="utf-8"):
            return folder
    raise bad("the folder of the course", str(here), "running gdm inside a clone of the course")


def chapters(folder: str = "lectures", home: Path | None = None) -> list[Chapter]:
    """All chapters (or, with folder="labs", all labs) in order."""
    sources = ((home or root()) / folder / "src").glob("[0-9][0-9]*_*.py")
    return sorted((Chapter(s) for s in sources if re.match(r"\d\d[a-z]?_", s.name)), key=lambda c: c.number)


def choose(names: list[str], among: list[Chapter]) -> list[Chapter]:
    """The chapters called `names`; all of them when there are no names.

    A name is "04_name" or its number: "4" or "04" is the first part of a chapter, "4b" or "04b" the second.

    Raises:
        ValueError: an unknown name; the error lists what there is.
    """
    if not among:
        raise bad("at least one chapter", "none", "adding lectures/src/01_name.py")
    picked = []
    for name in names:
        called = [c for c in among if name.lstrip("0") == c.spoken or c.name == Path(name).stem]
        if not called:
            listed = [c.number if re.fullmatch(r"\d+[a-z]?", name) else c.name for c in among]
            choice("chapter", Path(name).stem, dict.fromkeys(listed))  # refuses it, and names the nearest
        picked += called
    return list(dict.fromkeys(picked)) or among
