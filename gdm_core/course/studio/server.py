"""The studio's server: Voila with our pages, a kernel ready ahead for each, and nothing from outside.

Also the extension that puts the start page into JupyterLab's own server, where Voila renders the same notebooks.
"""

import asyncio
import logging
import os
import shutil
import signal
from pathlib import Path

import tornado.httpserver
import tornado.netutil
from jupyter_core.utils import run_sync
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.utils import url_path_join
from tornado import web
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from gdm_core.course import chapters
from gdm_core.course.nodelay import NoDelayConnection
from gdm_core.course.studio import pages

LOCAL, EVERYWHERE = ("localhost", "127.0.0.1", "::1"), ("", "0.0.0.0", "::", "*")
IDLE, LOOK = 300, 30  # seconds after which a kernel without a page ends; seconds between two looks for such
OWN = "'self' 'unsafe-inline' data: blob:"


class Ours:
    """Rules for our pages: whatever a page needs comes from this server."""

    @property
    def content_security_policy(self) -> str:
        return f"{super().content_security_policy}; default-src {OWN}; connect-src 'self' ws: wss:"


class Page(Ours, JupyterHandler):
    def initialize(self, home: Path, render: str) -> None:
        self.home, self.render_at = home, render


class Start(Page):
    @web.authenticated
    def get(self):
        self.xsrf_token  # noqa: B018  sets the cookie with which a page ends its kernel when it closes
        self.set_header("Cache-Control", "no-store")
        self.finish(pages.start_page(self.home, self.base_url, self.render_at))


class ToStart(web.RedirectHandler):
    """From the root to the start page, with the token that came along."""

    def initialize(self, url: str) -> None:
        super().initialize(url, permanent=False)


class Picture(Page):
    @web.authenticated
    def get(self, name):
        payload = pages.picture(name, self.home) if name in pages.explorers() else None
        self.set_header("Cache-Control", "no-cache")
        if payload is None:
            self.set_status(204)  # not drawn yet
        else:
            self.set_header("Content-Type", "image/png")
            self.write(payload)
        self.finish()


class Reading(Page):
    """A chapter to read: what `gdm export` wrote of this very source, else the built notebook."""

    @web.authenticated
    async def get(self, name):
        from gdm_core.course import export

        found = [c for c in chapters.chapters(home=self.home) if c.name == name]
        if not found:
            raise web.HTTPError(404, f"There is no chapter {name}.")
        start = url_path_join(self.base_url, "studio/")
        reading = await asyncio.to_thread(export.reading, found[0], start, self.render_at)
        self.set_header("Cache-Control", "no-cache")
        self.finish(reading)


class Explorer(Ours, TornadoVoilaHandler):
    """Voila's handler for one explorer."""

    async def get(self, path=None):
        self.xsrf_token  # noqa: B018  sets the cookie with which a page ends its kernel when it closes
        await super().get(path)


def handlers(base: str, home: Path, render: str) -> list[tuple]:
    """What answers under `studio/`; `render` is where Voila answers for the notebooks."""
    settings = {"home": home, "render": url_path_join(base, render) + "/"}
    places = [(r"studio/?", Start), (r"studio/pictures/([\w-]+)\.png", Picture), (r"studio/chapters/([\w-]+)", Reading)]
    return [(url_path_join(base, place), handler, settings) for place, handler in places]


class Kernels(AsyncMappingKernelManager):
    """What kernels print besides their pages goes to a file, not into the terminal of the studio."""

    log_to: Path | None = None

    async def _async_start_kernel(self, **kwargs):
        if self.log_to is None:
            return await super()._async_start_kernel(**kwargs)
        self.log_to.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_to, "ab") as log:
            return await super()._async_start_kernel(**kwargs, stdout=log, stderr=log)

    start_kernel = _async_start_kernel


class Studio(Voila):
    """Voila for one folder of notebooks.

    It holds its port before it starts a kernel, heats pages one after the other (several at once would keep each other
    and the first visitor waiting), and ends with all its kernels.
    """

    config_file_paths = []  # of this user's Voila: the studio is the same everywhere

    def setup(
        self, sockets: list, pages_at: Path, home: Path, *, ip: str, base: str, token: str | None, ahead: int
    ) -> "Studio":
        """All that Voila would read from its command line and its files.

        Args:
            sockets: bound and listening.
            pages_at: folder of the notebooks.
            home: folder of the course.
            ip: address that the sockets listen on.
            base: address of the server's root, such as "/".
            token: what a visitor must bring; made up beyond localhost when it is None.
            ahead: kernels that stand ready for each page.
        """
        self.sockets, self.home, self.ahead = sockets, home, ahead
        self.root_dir, self.ip, self.port, self.base_url = str(pages_at), ip, sockets[0].getsockname()[1], base
        self.log_level, self.open_browser = logging.ERROR, False
        self.token, self.auto_token = token, token is None and ip not in LOCAL
        self.kernel_websocket_connection_class = NoDelayConnection
        Kernels.log_to = pages.folder(home) / "kernels.log"
        Kernels.log_to.unlink(missing_ok=True)
        own = {
            "multi_kernel_manager_class": Kernels,
            "template": "gdm",
            "preheat_kernel": ahead > 0,
            "default_pool_size": 0,
            "file_allowlist": [],
        }
        culling = {"cull_idle_timeout": IDLE, "cull_interval": LOOK, "cull_connected": False}
        transport = {"transport": "ipc"} if os.name == "posix" else {}  # no other user of this machine can listen
        self.update_config(
            Config(
                VoilaConfiguration=own | {"show_tracebacks": True},
                MappingKernelManager=culling,
                KernelManager=transport,
            )
        )
        self.initialize([])
        return self

    @property
    def address(self) -> str:
        """Of the start page, for this machine."""
        token = self.identity_provider.token
        host = "localhost" if self.ip in (*LOCAL, *EVERYWHERE) else f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"http://{host}:{self.port}{self.base_url}" + (f"?token={token}" if token else "")

    def init_handlers(self) -> list:
        listed = [
            (at, Explorer if what is TornadoVoilaHandler else what, *rest)
            for at, what, *rest in super().init_handlers()
        ]
        ours = handlers(self.base_url, self.home, "voila/render")
        ours.append((self.base_url, ToStart, {"url": url_path_join(self.base_url, "studio/")}))
        # Voila puts the page that asks for the token at the root, whatever the base is.
        ours += [(url_path_join(self.base_url, at), what) for at, what in self.identity_provider.get_handlers()]
        return [*ours, *listed]

    def init_settings(self) -> dict:
        settings = super().init_settings()
        settings["jinja2_env"].loader.searchpath.insert(0, str(pages.TEMPLATE))  # our page that asks for the token
        settings["allow_remote_access"] = self.ip not in LOCAL  # else only this machine's own names are answered
        settings["local_hostnames"] = ["localhost"]
        settings["ws_ping_interval"] = settings["ws_ping_timeout"] = 30_000  # milliseconds
        return settings

    async def heat(self) -> None:
        """Have `ahead` kernels stand ready for each page, and keep the pictures that they draw for the start page."""
        manager = self.kernel_manager
        order = {f"{name}.ipynb": i for i, name in enumerate(pages.explorers())}
        names = [path.name for path in Path(self.root_dir).glob("*.ipynb")]
        for name in sorted(names, key=lambda name: (order.get(name, len(order)), name)):
            manager.kernel_pools_config = {**manager.kernel_pools_config, name: {"pool_size": self.ahead}}
            manager.fill_if_needed(delay=0, notebook_name=name)
            for kernel in list(manager._pools[name]):
                try:
                    rendered, _ = await (await kernel)["task"]
                    pages.keep_picture(Path(name).stem, "".join(rendered), self.home)
                except Exception:  # the page itself shows what is wrong with it
                    self.log.debug("heating %s", name, exc_info=True)

    def listen(self) -> None:
        tornado.httpserver.HTTPServer(self.app).add_sockets(self.sockets)
        self.ioloop = tornado.ioloop.IOLoop.current()
        signal.signal(signal.SIGINT, self._handle_signal_stop)
        # The terminal was closed; under nohup that is ignored, and is to stay so.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle_signal_stop)
        heating = self.ioloop.asyncio_loop.create_task(self.heat()) if self.ahead else None
        self.announce()
        try:
            self.ioloop.start()
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # who is in a hurry presses it once more
            if heating:
                heating.cancel()
            self.stop()

    def stop(self) -> None:
        """End all kernels at once: there is nothing in them to be saved."""
        shutil.rmtree(self.connection_dir, ignore_errors=True)
        run_sync(self.kernel_manager.shutdown_all)(now=True)

    def announce(self) -> None:
        """What is said and done as soon as the studio answers."""
