"""A web server on this machine that has every fault a mirror can have: `url/<manner>/<folder>/<file>`."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><body>Please log in to the guest network</body></html>"


class Mirrors(ThreadingHTTPServer):
    """Serves `files` (path -> bytes) and keeps what was asked for.

    The first part of the path is the manner: good, plain (no ranges), vague (no Content-Length), missing, busy, page,
    corrupt, cut (half a file), torn (a third of the file at the most, with ranges), rotten (cut, and its first byte is
    wrong), longer (another file, cut after the length of the right one), stall, mute, trickle, interrupt.
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.over = files, [], threading.Event()
        self.interrupt = lambda: None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def manners(self):
        """What was asked for: (manner, file, Range header)."""
        return [(path.split("/")[1], path.rsplit("/", 1)[-1], span) for path, span in self.asked]

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what these tests are about


@contextlib.contextmanager
def serving(files):
    server = Mirrors(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        span = self.headers.get("Range")
        self.server.asked.append((self.path, span))
        _, manner, file = self.path.split("/", 2)
        whole = self.server.files.get(file)
        if manner in ("missing", "busy") or whole is None:
            return self.send_error(503 if manner == "busy" else 404)
        if manner == "page":
            return self.answer(200, PAGE, kind="text/html")
        if manner == "mute":
            self.server.over.wait(5)
            return None
        if manner == "corrupt":
            return self.answer(200, whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        if manner == "rotten":
            return self.answer(200, b"?" + whole[1 : len(whole) // 2], announced=len(whole))
        if manner == "longer":
            return self.answer(200, b"\x1f\x8b" + bytes(len(whole)), announced=2 * len(whole))
        if manner in ("cut", "stall", "interrupt"):
            return self.answer(200, whole[: len(whole) // 2], announced=len(whole), then=manner)
        if manner == "trickle":
            return self.answer(200, whole, then=manner)
        if manner == "vague":
            return self.answer(200, whole, announced=None)
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and manner in ("good", "torn") else 0
        if start >= len(whole):
            return self.send_error(416)
        rest = whole[start:]
        sent = rest[: -(-len(whole) // 3)] if manner == "torn" else rest
        return self.answer(206 if start else 200, sent, announced=len(rest), start=start)

    def answer(self, code, body, announced=-1, then="", start=0, kind="application/gzip"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if announced is not None:
            self.send_header("Content-Length", str(len(body) if announced < 0 else announced))
        if code == 206:
            end = start + announced
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.end_headers()
        if then == "trickle":  # for two seconds, then it hangs up: whoever bears it waits no longer
            for byte in body[:200]:
                self.wfile.write(bytes([byte]))
                if self.server.over.wait(0.01):
                    break
            return
        self.wfile.write(body)
        self.wfile.flush()
        if then == "interrupt":
            self.server.interrupt()
        if then in ("stall", "interrupt"):
            self.server.over.wait(5)
