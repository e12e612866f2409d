"""The studio: the course's explorers as pages for the classroom, one live page each.

gdm app                         on this machine, at the next free port from 8866 on
gdm app --host 0.0.0.0          for everyone in the room who has the link with its token
"""

import argparse
import contextlib
import errno
import os
import socket
import sys
import webbrowser
from pathlib import Path

from gdm_core.course.studio import limits
from gdm_core.files import put_first
from gdm_core.validate import bad, integer

PORT, TRIES = 8866, 50


def main(*arguments: str) -> int:
    """Open the studio; the arguments of `gdm app`.

    Raises:
        ValueError: the port that was asked for is taken or not allowed, the host is not of this machine, no token for
            visitors from others, a device that torch cannot use here.
    """
    from gdm_core.course import chapters, runner
    from gdm_core.course.studio import pages

    parser = argparse.ArgumentParser(prog="gdm app", description="Open the studio: one live page an explorer.")
    parser.add_argument("--port", type=int, help=f"the first free one from {PORT} on unless given")
    parser.add_argument("--host", default="localhost", help="0.0.0.0 lets other machines in, with a token")
    parser.add_argument("--token", help="what visitors must bring; made up beyond localhost unless given")
    parser.add_argument("--base-url", default="/", help="path under which a proxy shows the studio")
    parser.add_argument(
        "--pages",
        type=int,
        help=f"how many may be open at once, {limits.PAGE_MB} MB each; as many as memory has room for unless given",
    )
    parser.add_argument(
        "--ahead",
        type=int,
        default=1,
        help="kernels started ahead for each page, so that it opens at once; 0 saves memory",
    )
    parser.add_argument("--device", help="where the explorers compute: cpu, cuda, cuda:1, mps, or auto")
    parser.add_argument("--no-browser", action="store_true", help="only print the link")
    chosen = parser.parse_args(arguments)
    runner.explorers_on(chosen.device)
    home = chapters.root()
    return serve(
        pages.write_pages(home),
        home,
        port=chosen.port,
        host=chosen.host,
        token=chosen.token,
        base="/" + f"{chosen.base_url.strip('/')}/".lstrip("/"),
        ahead=chosen.ahead,
        most=chosen.pages,
        browser=not chosen.no_browser,
    )


def serve(
    pages_at: Path,
    home: Path,
    *,
    port: int | None = None,
    host: str = "localhost",
    token: str | None = None,
    base: str = "/",
    ahead: int = 1,
    most: int | None = None,
    browser: bool = False,
) -> int:
    """Serve a folder of notebooks until Ctrl-C; returns the exit code."""
    limits.guard(host, token)
    integer("--ahead", ahead, 0)
    most = integer("--pages", most, 1) if most is not None else limits.room()
    sockets = listening(host, port)
    from gdm_core.course.look import SHARE

    put_first("JUPYTER_PATH", SHARE)
    for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GDM_QUIET": "1"}.items():
        os.environ.setdefault(name, value)
    from gdm_core.course.studio.server import EVERYWHERE, Studio

    class Announced(Studio):
        def announce(self):
            print(f"The studio: {self.address}", flush=True)
            if host in EVERYWHERE:
                for other in addresses():
                    print(f"for others: {self.address.replace('localhost', other, 1)}", flush=True)
            print(f"Room for {most} page{'s' * (most != 1)} at once (--pages). Ctrl-C ends it.", flush=True)
            if browser:
                self.ioloop.run_in_executor(None, webbrowser.open, self.address)

    with contextlib.suppress(KeyboardInterrupt):
        Announced().setup(sockets, pages_at, home, ip=host, base=base, token=token, ahead=ahead, most=most).start()
    print("\nThe studio is closed.", flush=True)
    return 0


def listening(host: str, port: int | None) -> list[socket.socket]:
    """Sockets that listen on `port`, or, unless one is given, on the first free port from 8866 on (and says which).

    Raises:
        ValueError: no such port to be had.
    """
    from tornado.netutil import bind_sockets

    if port is not None:
        integer("port", port, 0, 65535)
    name = "" if host == "*" else host
    for number in [port] if port is not None else range(PORT, PORT + TRIES):
        try:
            sockets = bind_sockets(number, name)
        except PermissionError:
            raise bad(f"a port that this user may listen on, on {host}", number, "--port 8866") from None
        except socket.gaierror:
            raise bad(
                "a host name or address of this machine", repr(host), "--host localhost or --host 0.0.0.0"
            ) from None
        except OSError as error:
            if port is not None:
                why = "in use" if getattr(error, "errno", 0) == errno.EADDRINUSE else error
                raise bad(
                    f"a free port on {host}", f"{number} ({why})", "another --port, or none: the next free one"
                ) from None
            continue
        if port is None and number != PORT:
            print(f"Port {PORT} is taken: is a studio open already? This one is at {number}.", file=sys.stderr)
        return sockets
    raise bad(f"a free port on {host} from {PORT} to {PORT + TRIES - 1}", "none", "--port 9000")


def addresses() -> list[str]:
    """Under what other machines may reach this one: its address in the local network, and its name."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; the system only chooses the way it would take
        found.append(probe.getsockname()[0])
    return [*found, socket.gethostname()]
