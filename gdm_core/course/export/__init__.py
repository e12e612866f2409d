"""Chapters as pages: one HTML file each, in which the explorers still move with no kernel and no network.

gdm export 01 02            build/export/01_mixtures.html …
gdm export --out /tmp/pages
"""

import re
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import nbformat

from gdm_core.course import chapters, kernels, notebooks
from gdm_core.course.chapters import Chapter
from gdm_core.files import atomic_write

FLAG = "GDM_EXPORT"  # tells a stage to bring a page without a kernel along


def export(chosen: Iterable[Chapter], out: Path | None = None, *, limit: float | None = None) -> int:
    """Run chapters and write their pages; one that fails is told and leaves the page of before.

    Args:
        chosen: chapters.
        out: folder for the pages, build/export by default.
        limit: largest size of a page in MB.

    Returns:
        The exit code: 1 if a page could not be written.
    """
    from gdm_core.course.export import page

    folder = Path(out) if out else default_folder()
    failed = 0
    for chapter in chosen:
        print(f"{chapter.name} ...", flush=True)
        started = time.perf_counter()
        try:
            source = notebooks.read_source(chapter.source)
            nb = notebooks.execute(source, chapter.notebook.parent, **{FLAG: "1"})
            size = int(limit * 1e6) if limit else page.LIMIT
            text = page.render(nb, chapter, source=notebooks.fingerprint(source), limit=size)
        except (notebooks.CellFailed, kernels.KernelHung, ValueError) as error:
            if isinstance(error, ValueError) and not str(error).startswith("needed"):
                raise
            failed += 1
            print(f"✗ {chapter.name}: {error}\nNo page was written.", file=sys.stderr)
            continue
        path = atomic_write(folder / f"{chapter.name}.html", text.encode())
        moving = text.count('<div class="gdm-export"')
        what = f"{moving} explorer{'s' * (moving != 1)} moving"
        print(f"  {path}, {len(text.encode()) / 1e6:.1f} MB, {what}, {time.perf_counter() - started:.0f} s", flush=True)
    return int(failed > 0)


def default_folder(home: Path | None = None) -> Path:
    return (home or chapters.root()) / "build" / "export"


def reading(chapter: Chapter, home: str, live: str) -> str:
    """A chapter to read in the studio: its exported page if that is of the present source, else the built notebook.

    Args:
        chapter: which one.
        home: address of the studio's start page.
        live: address of the explorers' live pages, without their names.
    """
    source = notebooks.read_source(chapter.source)
    fingerprint = notebooks.fingerprint(source)
    exported = default_folder(chapter.source.parents[2]) / f"{chapter.name}.html"
    if exported.is_file():
        text = exported.read_text("utf-8")
        if f'<meta name="source" content="{fingerprint}">' in text:
            return _at_home(text, home)
    built = chapter.notebook if chapter.notebook.is_file() else None
    return _at_home(_rendered(chapter, built, built and built.stat().st_mtime_ns, fingerprint, live), home)


@lru_cache(maxsize=32)
def _rendered(chapter: Chapter, built: Path | None, _changed: int | None, _source: str, live: str) -> str:
    from gdm_core.course.export import page

    nb = nbformat.read(built, as_version=4) if built else notebooks.read_source(chapter.source)
    return page.render(nb, chapter, live=live, limit=1 << 30)


def _at_home(text: str, home: str) -> str:
    """The page with a link to the studio, and with the server's own rules about the network."""
    from gdm_core.course.export.page import HOME

    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n', "", text, count=1)
    return text.replace(HOME, f'<a class="home" href="{home}">All explorers</a>', 1)
