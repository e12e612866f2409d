"""The studio inside JupyterLab's own server: `gdm lab` adds this extension, and Voila's renders the same notebooks.

JupyterLab keeps the kernels of its notebooks for as long as it runs, so nothing is culled here; a page still ends its
own kernel when it closes.
"""

from pathlib import Path

from gdm_core.course.look import SHARE
from gdm_core.course.studio import pages
from gdm_core.files import put_first

STYLE = Path(__file__).parents[1] / "jupyter" / "custom"  # loads before JupyterLab, which serves what it finds there


def options(home: Path) -> list[str]:
    """What JupyterLab's command line needs for it; writes the notebooks of the pages."""
    pages.write_pages(home)
    put_first("JUPYTER_PATH", SHARE)
    return [
        f"--ServerApp.jpserver_extensions={{'{__name__}': True}}",
        "--LabApp.custom_css=True",
        "--VoilaConfiguration.show_tracebacks=True",
    ]


def _jupyter_server_extension_points() -> list[dict]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(app) -> None:
    from gdm_core.course.studio.server import handlers

    app.web_app.settings["static_custom_path"].insert(1, str(STYLE))  # behind a custom.css of the user's
    home = Path(app.root_dir)
    render = f"voila/render/{pages.folder(home).relative_to(home).as_posix()}"
    app.web_app.add_handlers(".*$", handlers(app.web_app.settings["base_url"], home, render))
