"""A file from the first mirror that really has it.

A mirror may be gone, silent, slow, cut off, or answer with a page of its own; what counts is the SHA-256 of what came.
Bytes are kept in memory until it agrees: a failure or Ctrl-C leaves nothing on the disk.  All mirrors hold the same
bytes, so the next one is asked only for what is missing (RFC 9110, section 14.2).
"""

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from tqdm.auto import tqdm

CHUNK = 1 << 16  # bytes
LARGEST = 1 << 26  # bytes; no file of the course comes near, an endless answer would
SLOWEST = 1000  # bytes per second
ROUNDS = 10  # through all mirrors, as long as each brings more bytes


class DataUnavailable(OSError):
    """A data set is neither on this machine nor to be had; the message says why and what to do.

    Attributes:
        causes: what went wrong, by address; empty where no mirror was asked.
    """

    def __init__(self, message: str, causes: dict[str, str] | None = None):
        super().__init__(message)
        self.causes = causes or {}


def fetch(urls: Sequence[str], sha256: str, *, stall: float = 5.0, progress: bool | None = None) -> bytes:
    """The content of the first of `urls` whose SHA-256 agrees.

    Args:
        urls: addresses of the same file, the preferred one first.
        sha256: of the file, in hexadecimal.
        stall: seconds without a byte, or with fewer than 1,000 bytes per second, after which a mirror is given up.
        progress: show a bar on stderr; None shows one unless the environment says `GDM_QUIET`.

    Raises:
        DataUnavailable: no mirror had it; lists each with its cause.
    """
    if progress is None:
        progress = not os.environ.get("GDM_QUIET")
    causes: dict[str, str] = {}
    got = bytearray()
    label = urls[0].rsplit("/", 1)[-1] if urls else ""
    with tqdm(desc=label, disable=not progress, unit="B", unit_scale=True, file=sys.stderr, leave=False) as bar:
        for _ in range(ROUNDS):
            before = len(got)
            for url in urls:
                if _attempt(url, got, sha256, stall, bar, causes):
                    return bytes(got)
            if len(got) <= before:  # ask again only to complete what was cut off
                break
    listed = "".join(f"\n  {url}: {cause}" for url, cause in causes.items())
    raise DataUnavailable(f"no mirror has {label}:{listed}", causes)


def _attempt(url: str, got: bytearray, sha256: str, stall: float, bar: tqdm, causes: dict[str, str]) -> bool:
    """Complete `got` from `url`.  A wrong sum may be the fault of earlier bytes, so then once more from the first."""
    for _ in range(2):
        resumed = len(got) > 0
        try:
            _receive(url, got, stall, bar)
        except urllib.error.HTTPError as error:
            causes[url] = f"HTTP {error.code} {error.reason}"
            if error.code != 416:  # "range not satisfiable": there is no such byte, so what we hold is something else
                return False
        except (OSError, http.client.HTTPException) as error:
            causes[url] = _words(error, stall)
            return False
        else:
            if hashlib.sha256(got).hexdigest() == sha256:
                return True
            causes[url] = _wrong(got, sha256)
        got.clear()
        if not resumed:
            break
    return False


def _receive(url: str, got: bytearray, stall: float, bar: tqdm) -> None:
    """Append to `got` what it lacks; start over if the server does not do ranges."""
    headers = {"User-Agent": "gdm-core", "Accept-Encoding": "identity"}
    if got:
        headers["Range"] = f"bytes={len(got)}-"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=stall) as response:
        if got and not response.headers.get("Content-Range", "").startswith(f"bytes {len(got)}-"):
            got.clear()
        length = response.headers.get("Content-Length", "")
        whole = len(got) + int(length) if length.isdecimal() else None
        bar.total = whole
        since, before = time.monotonic(), len(got)
        while chunk := response.read1(CHUNK):
            got += chunk
            bar.update(len(got) - bar.n)
            if len(got) > LARGEST:
                got.clear()
                raise OSError(f"sent more than {LARGEST:,} bytes")
            elapsed = time.monotonic() - since
            if elapsed > stall:
                if len(got) - before < SLOWEST * elapsed:
                    raise TimeoutError
                since, before = time.monotonic(), len(got)
        if whole is not None and len(got) < whole:
            raise OSError(f"cut off after {len(got):,} of {whole:,} bytes")


def _words(error: Exception, stall: float) -> str:
    reason = getattr(error, "reason", error)  # URLError wraps what happened
    if isinstance(reason, TimeoutError):
        return f"silent or too slow for {stall:g} seconds"
    if isinstance(reason, http.client.IncompleteRead):
        return "cut off"
    return str(reason) or type(reason).__name__


def _wrong(got: bytearray, sha256: str) -> str:
    if got[:2] != b"\x1f\x8b":
        return f"sent no gzip file but {bytes(got[:40])!r} (a log-in or error page?)"
    return f"sent another or a damaged file (SHA-256 {hashlib.sha256(got).hexdigest()[:12]}..., not {sha256[:12]}...)"
