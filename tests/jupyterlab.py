"""A notebook in a real JupyterLab, opened and run as a person would."""

import contextlib

import servers
from servers import until

BEGUN = 15.0  # seconds after which a command that began nothing is given again


def open_notebook(tab, server, name: str, width: int = 1300, height: int = 900):
    """Open `name`, below the server's folder, and wait until its kernel is idle."""
    tab.set_default_timeout(60_000)
    tab.set_viewport_size({"width": width, "height": height})
    tab.goto(f"{server.url}lab/tree/{name}?reset&token={servers.TOKEN}", wait_until="commit")
    tab.locator(".jp-CodeCell .cm-content").first.click()
    kernel = tab.locator(".jp-Notebook-ExecutionIndicator").first
    until(lambda: "idle" in (kernel.get_attribute("data-status") or "").lower(), what="an idle kernel")
    return tab


def close_kernels(tab, server) -> None:
    """End all kernels of the server, so that the next notebook has the machine to itself."""
    for session in tab.request.get(f"{server.url}api/sessions?token={servers.TOKEN}").json():
        tab.request.delete(f"{server.url}api/sessions/{session['id']}?token={servers.TOKEN}")


def run_cell(tab, n: int, keys: str = "Control+Enter") -> None:
    cell = tab.locator(".jp-CodeCell").nth(n)

    def press():
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()
        tab.keyboard.press(keys)

    _until_begun(cell, press)


def run_all(tab) -> None:
    def choose():
        tab.get_by_role("menuitem", name="Run", exact=True).click()
        tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    _until_begun(tab, choose)


def _until_begun(where, command) -> None:
    """Give `command` until a number in `where` shows that a cell began: a page that still arranges itself loses it."""
    numbers = where.locator(".jp-InputPrompt")

    def begun():
        command()
        with contextlib.suppress(TimeoutError):
            return until(lambda: "".join(numbers.all_text_contents()).strip(" []:"), BEGUN)

    until(begun, what="a cell to begin")
