"""Who may come to the studio and how many pages they may open: a page has a kernel of its own, and runs code here."""

from gdm_core.course.memory import free
from gdm_core.validate import bad

LOCAL = ("localhost", "127.0.0.1", "::1")
PAGE_MB = 300  # a page's own, shared with no other: 230 to 350, by explorer
REST_MB = 1000  # what is left to the server and to the rest of the machine


def room() -> int:
    """How many pages the free memory of this machine has room for, at least one."""
    return max(1, int((free() - REST_MB) // PAGE_MB))


def guard(host: str, token: str | None) -> None:
    """Raises ValueError if strangers would get in: beyond localhost a token is made up, or it is one."""
    if token is not None and not token.strip() and host not in LOCAL:
        raise bad(
            f"a token for visitors from other machines (--host {host}): whoever opens a page runs code here",
            f"--token {token!r}",
            "leaving --token out: one is made up, and the link that is printed holds it",
        )
