"""The studio without a browser: its pages, its port, its token, and a kernel spoken to as a page does."""

import asyncio
import html
import http.cookiejar
import json
import os
import re
import signal
import socket
import struct
import urllib.error
import urllib.request
from types import SimpleNamespace

import nbformat
import numpy as np
import psutil
import pytest
import servers
import tiny_course
from servers import until
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

from gdm_core.course import cli, look, memory, studio
from gdm_core.course.studio import lab, limits, pages
from gdm_core.course.studio import server as serving
from gdm_core.explorers import EXPLORERS

PICTURE = """\
import numpy as np
from gdm_core.widgets import Slider, Stage
Stage(lambda c: np.full((4, 6), c["level"], np.uint8), [Slider("level", 0, 255, step=1, value=7)], title="Level")"""
TITLED = '# %%\nfrom gdm_core import explorers\n\n# %%\nprint("x")\n'


@pytest.fixture
def home(tmp_path):
    tiny_course.make(tmp_path, _01_first=TITLED, _02_second=TITLED)
    return tmp_path


# Pages


def test_every_explorer_has_a_page_and_only_they(home):
    there = pages.folder(home)
    servers.notebook(there / "gone.ipynb", "1")
    assert pages.write_pages(home) == there
    assert sorted(p.stem for p in there.glob("*.ipynb")) == sorted(EXPLORERS)
    for name, explorer in EXPLORERS.items():
        nb = json.loads((there / f"{name}.ipynb").read_text())
        assert "".join(nb["cells"][0]["source"]).endswith(f"explorers.{name}()")
        assert nb["metadata"]["voila"]["template"] == "gdm"
        about = nb["metadata"]["gdm"]
        assert (about["title"], about["question"]) == (explorer.title, explorer.question)
        known = {1: "01_first", 2: "02_second"}
        assert about.get("chapter") == known.get(explorer.chapter)  # a chapter that is not there is not linked
    stamps = {p: p.stat().st_mtime_ns for p in there.iterdir()}
    pages.write_pages(home)
    assert {p: p.stat().st_mtime_ns for p in there.iterdir()} == stamps  # nothing is written twice


def test_the_start_page_links_all_and_asks_nothing_of_the_network(home):
    page = pages.start_page(home, "/base/", "/base/voila/render/")
    for name, explorer in EXPLORERS.items():
        assert f'href="/base/voila/render/{name}.ipynb"' in page and explorer.question in html.unescape(page)
        assert f'src="/base/studio/pictures/{name}.png"' in page
    assert page.count('href="/base/studio/chapters/02_second"') >= 1
    assert "Title of 2" in page and "What is seen here?" in page and "5 min" in page
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert not re.findall(r"url\((?!data:|\"data:)", page)


def test_pictures_come_from_the_last_page_else_from_the_lecture(home):
    assert pages.picture("mixtures", home) is None
    png = {"output_type": "display_data", "data": {"image/png": "AAAA"}, "metadata": {}}
    nb = nbformat.v4.new_notebook()
    for source, outputs in (
        ("explorers.mixtures_of_all(1)", [dict(png, data={"image/png": "BBBB"})]),
        ("explorers.mixtures(seed=0)", [png]),
    ):
        nb.cells.append(nbformat.v4.new_code_cell(source, outputs=[nbformat.from_dict(o) for o in outputs]))
    nbformat.write(nb, home / "lectures" / "01_first.ipynb")
    assert pages.picture("mixtures", home) == b"\0\0\0"
    assert pages.keep_picture(
        "mixtures", '<div><img class="still" alt="a > b" src="data:image/png;base64,/w=="></div>', home
    )
    assert pages.picture("mixtures", home) == b"\xff"
    assert not pages.keep_picture("mixtures", "<p class='failed'>no picture</p>", home)
    assert pages.picture("mixtures", home) == b"\xff"


# Ports and hosts


def test_a_taken_port_is_said_and_the_next_one_used(capsys, monkeypatch):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"needed a free port on 127.0.0.1, got {port} \(in use\); try another --port"
        ):
            studio.listening("127.0.0.1", port)
        monkeypatch.setattr(studio, "PORT", port)
        (found,) = studio.listening("127.0.0.1", None)
    with found:
        assert found.getsockname()[1] > port
    assert f"Port {port} is taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "host, port, words",
    [
        ("no.such.host.invalid", 0, "needed a host name or address of this machine"),
        ("localhost", 70000, "needed an integer port"),
    ],
)
def test_what_cannot_be_listened_on_is_said_in_words(host, port, words):
    with pytest.raises(ValueError, match=words + ".*; try "):
        studio.listening(host, port)


@pytest.mark.parametrize("token", ["", "  "])
def test_beyond_localhost_the_studio_has_a_token(home, monkeypatch, token):
    monkeypatch.chdir(home)
    monkeypatch.setattr(studio, "listening", lambda *_: pytest.fail("it would have been served"))
    for host in ("0.0.0.0", "", "192.0.2.1"):
        with pytest.raises(
            ValueError, match=f"needed a token .*{re.escape(host)}.*runs code here, .* try leaving --token"
        ):
            studio.main("--host", host, "--token", token, "--no-browser")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "localhost"])
def test_a_token_is_made_up_for_all_but_this_machine(home, monkeypatch, host):
    monkeypatch.chdir(home)
    monkeypatch.setenv("JUPYTER_PATH", str(look.SHARE))
    asked = {}
    monkeypatch.setattr(studio, "serve", lambda *_, **options: asked.update(options) or 0)
    assert studio.main("--host", host) == 0
    sockets = studio.listening("localhost", 0)
    options = {"base": "/", "token": asked["token"], "ahead": 0, "most": 1}
    monkeypatch.setattr(serving.Studio, "initialize", lambda *_: None)  # it takes over signals
    running = serving.Studio().setup(sockets, pages.folder(home), home, ip=host, **options)
    [one.close() for one in sockets]
    assert running.token is None and running.auto_token == (host != "localhost")


class Counted(serving.Kernels):
    """Kernels without processes, in pools as Voila has them."""

    def __init__(self, pages, log_to):
        super().__init__()
        self.pages, self.log_to, self.alive, self._pools = pages, log_to, [], {"a": [], "b": []}

    def __len__(self):
        return len(self.alive)

    async def shutdown_kernel(self, kernel_id, now):
        self.alive.remove(kernel_id)

    async def heat(self, pool, name, delay=0.0):
        """What Voila does ahead of a page, after a while."""

        async def start():
            await asyncio.sleep(delay)
            return {"kernel_id": await self.start_kernel(name=name, env={"VOILA_PREHEAT": "True"})}

        self._pools[pool].append(asyncio.create_task(start()))
        await asyncio.sleep(0.01)


def test_who_opens_a_page_goes_before_kernels_ahead_and_never_exceeds_the_pages(monkeypatch, tmp_path):
    async def start(self, *, name, **_):
        await asyncio.sleep(0)
        self.alive.append(name)
        return name

    monkeypatch.setattr(serving.AsyncMappingKernelManager, "_async_start_kernel", start)
    opened = lambda kernels, name: kernels.start_kernel(name=name, env={"VOILA_PREHEAT": "False"})

    async def play():
        kernels = Counted(3, tmp_path / "log")
        await kernels.heat("a", "ready")
        await kernels.heat("b", "later", delay=60)
        assert kernels.alive == ["ready"] and kernels.room() == 1  # the one that will start has its place too
        await opened(kernels, "page 1")
        assert kernels.alive == ["ready", "page 1"] and kernels.room() == 0
        await opened(kernels, "page 2")
        assert kernels.alive == ["ready", "page 1", "page 2"] and not kernels._pools["b"]  # it need not start
        both = await asyncio.gather(opened(kernels, "page 3"), opened(kernels, "page 4"), return_exceptions=True)
        assert kernels.alive == ["page 1", "page 2", "page 3"] and not kernels._pools["a"]
        assert both[0] == "page 3" and both[1].status_code == 503 and "3 pages are open" in both[1].log_message

    asyncio.run(play())


def test_pages_are_as_many_as_the_memory_holds(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CONTAINER", tmp_path)
    mb = 2**20
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=7000 * mb))
    assert limits.room() == 20
    (tmp_path / "memory.stat").write_text(f"file {9000 * mb}\nanon {500 * mb}\nanon_thp 0\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert limits.room() == 20
    (tmp_path / "memory.max").write_text(f"{4000 * mb}\n")  # of which the container uses 500
    assert limits.room() == 8
    (tmp_path / "memory.max").write_text(f"{900 * mb}\n")
    assert limits.room() == 1
    for name in ("pages", "ahead"):
        with pytest.raises(ValueError, match=f"needed an integer --{name}.*; try"):
            studio.main(f"--{name}", "-1")


def test_a_device_is_checked_before_anything_starts_and_told_to_the_kernels(home, monkeypatch):
    monkeypatch.chdir(home)
    for name in ("GDM_DEVICE", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH"):
        monkeypatch.setenv(name, "nothing yet")  # put back at the end
    became = []
    monkeypatch.setattr(cli, "_become", lambda command: became.append(command) or 0)
    monkeypatch.setattr(studio, "serve", lambda *_, **options: became.append(options) or 0)
    for open_it in (cli.app, cli.lab):
        with pytest.raises(ValueError, match="needed a device.*, got 'tpu:3'; try "):
            open_it(["--device", "tpu:3"])
        assert not became and os.environ["GDM_DEVICE"] == "nothing yet"
        assert open_it(["--no-browser"]) == 0 and os.environ["GDM_DEVICE"] == "nothing yet"
        assert open_it(["--device=cpu", "--no-browser"]) == 0 and os.environ.pop("GDM_DEVICE") == "cpu"
        monkeypatch.setenv("GDM_DEVICE", "nothing yet")
        told = became.pop()
        became.clear()
    assert told[-1] == "--no-browser"
    assert not any(word.startswith("--device") for word in told)  # JupyterLab has no such option


def test_jupyterlab_is_given_the_extension_and_the_template(home, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/elsewhere")
    given = lab.options(home)
    assert any("gdm_core.course.studio.lab" in option and "True" in option for option in given)
    assert "--LabApp.custom_css=True" in given and (lab.STYLE / "custom.css").is_file()  # figures dimmed in the dark
    assert (pages.folder(home) / "mixtures.ipynb").is_file()
    assert os.environ["JUPYTER_PATH"].split(os.pathsep) == [str(look.SHARE), "/elsewhere"]
    assert (look.SHARE / "voila" / "templates" / "gdm" / "index.html.j2").is_file()


# The server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("course")
    tiny_course.make(home, _01_first=TITLED)
    servers.notebook(home / "pages" / "level.ipynb", PICTURE, title="Level", question="How <gray> is it?")
    with servers.studio(home / "pages", home, ahead=1) as running:
        yield running


class Visitor:
    """What a browser does: keeps cookies."""

    def __init__(self, url):
        self.url, self.jar = url, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path="", data=None):
        with self.opener.open(self.url + path, data=data, timeout=servers.PATIENCE) as answer:
            self.last, self.headers = answer.geturl(), answer.headers
            return answer.read().decode("utf-8", "replace")


def message(kind, content, metadata=None):
    """A message on the shell channel, as the page's own script packs it."""
    header = {"msg_id": "1", "msg_type": kind, "session": "test", "username": "", "version": "5.3", "date": ""}
    parts = [b"shell", *(json.dumps(p).encode() for p in (header, {}, metadata or {}, content))]
    at = np.cumsum([8 * 7, *map(len, parts)])
    return struct.pack("<7Q", 6, *at.tolist()) + b"".join(parts)


def parts(answer):
    (count,) = struct.unpack_from("<Q", answer)
    at = struct.unpack_from(f"<{count}Q", answer, 8)
    pieces = [answer[a:b] for a, b in zip(at, at[1:])]
    return pieces[0].decode(), json.loads(pieces[1]), json.loads(pieces[4]), pieces[5:]


@pytest.mark.slow
def test_a_page_comes_with_its_picture_and_its_kernel_answers_and_ends(server):
    visitor = Visitor(server.url)
    page = visitor.get("voila/render/level.ipynb")
    assert "How &lt;gray&gt; is it?" in page and 'class="still"' in page
    policy = visitor.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "https:" not in policy
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    kernel = json.loads(re.search(r'<script id="line"[^>]*>(.*?)</script>', page)[1])["kernel"]
    model = re.search(r'data-model="(\w+)"', page)[1]
    mine = [pid for pid in server.kernels() if kernel in " ".join(psutil.Process(pid).cmdline())]
    assert len(mine) == 1

    async def talk():
        address = f"{server.url.replace('http', 'ws')}api/kernels/{kernel}/channels?session_id=test"
        line = await websocket_connect(address, subprotocols=["v1.kernel.websocket.jupyter.org"])
        await line.write_message(message("execute_request", {"code": "1/0"}), binary=True)  # refused
        ask = {"kind": "draw", "view": "v", "n": 3, "state": {"level": 200}, "fresh": True}
        await line.write_message(
            message("comm_msg", {"comm_id": model, "data": {"method": "custom", "content": ask}}), binary=True
        )
        while True:
            channel, header, content, buffers = parts(await line.read_message())
            assert header["msg_type"] not in ("error", "execute_input")
            if header["msg_type"] == "comm_msg" and content["data"].get("method") == "custom":
                line.close()
                return content["data"]["content"], buffers

    reply, buffers = IOLoop().run_sync(talk, timeout=60)
    assert (reply["kind"], reply["n"]) == ("frame", 3)
    assert buffers == [bytes([200] * 24)]
    token = next(c.value for c in visitor.jar if c.name == "_xsrf")
    visitor.get(f"voila/api/shutdown/{kernel}", data=f"_xsrf={token}".encode())
    until(lambda: not set(mine) & set(server.kernels()), 30, "the kernel to end")


@pytest.mark.slow
def test_what_the_studio_does_not_show(server):
    visitor = Visitor(server.url)
    visitor.get()
    assert visitor.last == server.url + "studio/"
    for path in ("studio/chapters/09_none", "voila/render/none.ipynb", "voila/files/level.ipynb", "nothing"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            visitor.get(path)
        assert refused.value.code in (403, 404), path
        assert "cdn" not in refused.value.read().decode().lower()
    request = urllib.request.Request(server.url + "studio/", headers={"Host": "evil.example:80"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)  # a name that was made to point here


@pytest.mark.slow
def test_a_full_studio_says_so_and_lets_the_next_one_in_when_a_page_closes(tmp_path):
    tiny_course.make(tmp_path, _01_first=TITLED)
    servers.notebook(tmp_path / "pages" / "level.ipynb", PICTURE)
    with servers.studio(tmp_path / "pages", tmp_path, most=1) as running:
        visitor = Visitor(running.url)
        page = visitor.get("voila/render/level.ipynb")
        kernel = json.loads(re.search(r'<script id="line"[^>]*>(.*?)</script>', page)[1])["kernel"]
        with pytest.raises(urllib.error.HTTPError, match="503: The studio is full") as refused:
            visitor.get("voila/render/level.ipynb")
        words = refused.value.read().decode()
        assert "1 page is open, and each holds about 300 MB" in words and 'http-equiv="refresh"' in words
        token = next(c.value for c in visitor.jar if c.name == "_xsrf")
        visitor.get(f"voila/api/shutdown/{kernel}", data=f"_xsrf={token}".encode())
        assert 'class="still"' in visitor.get("voila/render/level.ipynb")
        assert "Traceback" not in running.said() and "Room for 1 page at once" in running.said()


@pytest.mark.slow
def test_ctrl_c_ends_it_with_all_kernels_and_nohup_keeps_it(tmp_path, monkeypatch):
    nohup = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    monkeypatch.setattr(servers, "SERVE", nohup + servers.SERVE)
    tiny_course.make(tmp_path, _01_first=TITLED)
    servers.notebook(tmp_path / "pages" / "level.ipynb", PICTURE)
    with servers.studio(tmp_path / "pages", tmp_path, ahead=1, host="0.0.0.0", base="/deep/") as running:
        assert re.search(r"for others: http://\S+/deep/\?token=\w{20,}", running.said())
        token = re.search(r"token=(\w+)", running.url)[1]
        stranger = Visitor(re.sub(r"\?.*", "", running.url))
        assert "asks for its token" in stranger.get("studio/")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            stranger.get("api/kernels/00000000-0000-0000-0000-000000000000")
        assert "Deep generative models" in stranger.get(f"studio/?token={token}")
        kernels = until(running.kernels, 60, "a kernel ahead")
        running.process.send_signal(signal.SIGHUP)
        assert "Deep generative models" in stranger.get(f"studio/?token={token}")
        took = servers.close(running)
        assert running.process.returncode == 0 and took < 15
        assert "Traceback" not in running.said() and "The studio is closed." in running.said()
        until(lambda: not any(psutil.pid_exists(pid) for pid in kernels), 10, "the kernels to end")
