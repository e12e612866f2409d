"""Which faults were noticed before: a fault is planted again when its file, its tests or what these need has changed.

A stamp is an empty file under build/faults whose name is a hash of the fault and of all those texts, so that it says
the truth on any branch and after any edit.  What tests read elsewhere (lectures, say) is not looked at; without stamps,
and with --all-faults, every fault is planted.
"""

import hashlib
import sys
from functools import cache
from pathlib import Path

from mutants.imports import Imports


class Stamps:
    """The stamps of a working copy.

    Args:
        root: folder of the course.
    """

    def __init__(self, root: Path):
        self.root, self.folder = root, root / "build" / "faults"
        self.imports = Imports(root)
        self._texts = cache(self._texts)

    def noticed(self, mutant) -> bool:
        """Whether this very fault was noticed by these very tests."""
        return self._at(mutant).is_file()

    def keep(self, mutant) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._at(mutant).touch()
        except OSError:
            pass  # where nothing can be written the fault is planted again next time

    def _at(self, mutant) -> Path:
        files = {self.root / mutant.file, *(self.root / i.partition("::")[0] for i in mutant.ids)}
        return self.folder / _hash(repr(mutant), *sorted(self._texts(f) for f in files))

    def _texts(self, file: Path) -> str:
        """A hash of `file` and of all that it needs."""
        needed = {*self.imports.needs(file), self.root / "constraints.txt"}
        return _hash(sys.version, *(f"{f}\n{self._text(f)}" for f in sorted(needed)))

    def _text(self, file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
