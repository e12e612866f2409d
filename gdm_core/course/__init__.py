"""What makes notebooks out of sources and keeps them honest: claims, build, lint, replay, run; the command `gdm`."""

import sys


def start_fast() -> None:
    """For a process of the course's own, before it imports nbformat.

    jsonschema, and with it nbformat, compiles a grammar of international web addresses as it is imported, where one is
    installed: a second of every command, for a check that none of our schemas asks for.  A process that belongs to a
    user, such as a kernel, keeps it.
    """
    sys.modules.setdefault("rfc3987_syntax", None)
