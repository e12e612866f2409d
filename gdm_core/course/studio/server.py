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
from voila.utils import ENV_VARIABLE

from gdm_core.course import chapters
from gdm_core.course.look import TEMPLATE
from gdm_core.course.nodelay import NoDelayConnection
from gdm_core.course.studio import pages
from gdm_core.course.studio.limits import LOCAL, PAGE_MB

EVERYWHERE = ("", "0.0.0.0", "::", "*")
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
    """At most `pages` kernels, those that stand ready ahead included; who opens a page goes before these.

    What kernels print besides their pages goes to a file, not into the terminal of the studio.
    """

    pages: int | None = None
    log_to: Path | None = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._one_at_a_time = asyncio.Lock()

    async def _async_start_kernel(self, **kwargs):
        async with self._one_at_a_time:  # else two pages would take the last place
            if kwargs["env"].get(ENV_VARIABLE.VOILA_PREHEAT) != "True":
                await self._make_room()
            self.log_to.parent.mkdir(parents=True, exist_ok=True)
            with open(self.log_to, "ab") as log:
                return await super()._async_start_kernel(**kwargs, stdout=log, stderr=log)

    start_kernel = _async_start_kernel

    def ahead(self) -> list[tuple[list, asyncio.Task]]:
        """Kernels that no page has yet, some still to be started, and in which of Voila's pools each one is."""
        return [(pool, task) for pool in getattr(self, "_pools", {}).values() for task in pool]

    def room(self) -> int:
        """How many more kernels may be started."""
        return self.pages - len(self) - sum(not task.done() for _, task in self.ahead())

    async def _make_room(self) -> None:
        """For one more page: end a kernel that nobody waits for.

        Raises:
            HTTPError: every kernel has its page.
        """
        if self.room() > 0:
            return
        if not (ahead := self.ahead()):
            n = "page is" if self.pages == 1 else "pages are"
            raise web.HTTPError(
                503,
                f"{self.pages} {n} open, and each holds about {PAGE_MB} MB of the machine that runs the studio. Close "
                "one that you do not need: this page opens by itself when there is room. Who started the studio can "
                "allow more with --pages.",
                reason="The studio is full",
            )
        pool, task = next((one for one in ahead if not one[1].done()), ahead[0])
        pool.remove(task)
        if not task.cancel():  # it is there already; and while we hold the lock none is just being started
            await self.shutdown_kernel(task.result()["kernel_id"], now=True)


class Studio(Voila):
    """Voila for one folder of notebooks.

    It holds its port before it starts a kernel, heats pages one after the other (several at once would keep each other
    and the first visitor waiting), and ends with all its kernels.
    """

    config_file_paths = []  # of this user's Voila: the studio is the same everywhere

    def setup(
        self, sockets: list, pages_at: Path, home: Path, *, ip: str, base: str, token: str | None, ahead: int, most: int
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
            most: kernels at once, those included.
        """
        self.sockets, self.home, self.ahead = sockets, home, ahead
        self.root_dir, self.ip, self.port, self.base_url = str(pages_at), ip, sockets[0].getsockname()[1], base
        self.log_level, self.open_browser = logging.ERROR, False
        self.token, self.auto_token = token, token is None and ip not in LOCAL
        self.kernel_websocket_connection_class = NoDelayConnection
        Kernels.pages, Kernels.log_to = most, pages.folder(home) / "kernels.log"
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
        settings["jinja2_env"].loader.searchpath.insert(0, str(TEMPLATE))  # our page that asks for the token
        settings["allow_remote_access"] = self.ip not in LOCAL  # else only this machine's own names are answered
        settings["local_hostnames"] = ["localhost"]
        settings["ws_ping_interval"] = settings["ws_ping_timeout"] = 30_000  # milliseconds
        return settings

    async def heat(self) -> None:
        """Have `ahead` kernels stand ready for each page where there is room, again whenever pages were closed; keep
        the pictures that they draw for the start page."""
        manager = self.kernel_manager
        order = {f"{name}.ipynb": i for i, name in enumerate(pages.explorers())}
        names = [path.name for path in Path(self.root_dir).glob("*.ipynb")]
        names.sort(key=lambda name: (order.get(name, len(order)), name))
        fill, known = manager.fill_if_needed, set()

        def fill_where_there_is_room(**options) -> None:  # Voila calls it when a page takes a kernel
            if manager.room() >= self.ahead:
                fill(**options)

        manager.fill_if_needed = fill_where_there_is_room
        manager.kernel_pools_config = {name: {"pool_size": self.ahead} for name in names}
        while True:
            for name in names:
                manager.fill_if_needed(delay=0, notebook_name=name)
                for kernel in [task for task in manager._pools.get(name, ()) if task not in known]:
                    known.add(kernel)
                    await asyncio.wait([kernel])
                    if kernel.cancelled():  # its place was needed
                        continue
                    try:
                        rendered, _ = await (await kernel)["task"]
                        pages.keep_picture(Path(name).stem, "".join(rendered), self.home)
                    except Exception:  # the page itself shows what is wrong with it
                        self.log.debug("heating %s", name, exc_info=True)
            known &= {task for _, task in manager.ahead()}
            await asyncio.sleep(LOOK)

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
