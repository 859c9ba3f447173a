"""Run a local web server that can misbehave in the ways that servers do."""

import hashlib
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Page:
    """What is served at a path, and how.

    Without `ranges` and `if_range` it heeds no such header; `announced` is a wrong length, and if it is
    `silent` it announces none. `statuses` and `cuts` are used up, one a request: the status to give instead
    of the file, and after how many bytes the connection ends. `pause` is the byte at which it waits for
    `Web.go_on`.
    """

    content: bytes
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True
    announced: int | None = None
    chunked: bool = False
    silent: bool = False
    pause: int | None = None
    redirect: str | None = None
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


class Web(ThreadingHTTPServer):
    """A server of `pages` that records in `asked` the first byte of each request."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, int]] = []
        self.came = threading.Event()
        self.go_on = threading.Event()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def serve(self, path, content, **how):
        how.setdefault("etag", f'"{hashlib.md5(content).hexdigest()}"')
        self.pages[path] = Page(content, **how)
        return self.url(path)

    def handle_error(self, request, client_address):
        """Ignore errors: tests disconnect on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def web(self):
        assert isinstance(self.server, Web)
        return self.server

    def do_GET(self):
        page = self.web.pages.get(self.path)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.web.asked.append((self.path, start))
        self.web.came.set()
        self.close_connection = True
        if page is None:
            return self.say(404)
        if page.redirect:
            return self.say(302, Location=page.redirect)
        if page.statuses and (status := page.statuses.pop(0)) != 200:
            return self.say(status)
        tags = {"ETag": page.etag, "Last-Modified": page.modified}
        changed = self.headers.get("If-Range", page.etag) not in tags.values()
        if not page.ranges or (page.if_range and changed):
            start = 0
        if start and start >= len(page.content):
            return self.say(416, **{"Content-Range": f"bytes */{len(page.content)}"})
        return self.send(page, start, {name: tag for name, tag in tags.items() if tag})

    def say(self, status, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, page, start, headers):
        announced = page.announced or len(page.content)
        if start:
            headers["Content-Range"] = f"bytes {start}-{announced - 1}/{announced}"
        if page.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif not page.silent:
            headers["Content-Length"] = str(announced - start)
        self.send_response(206 if start else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        stop = page.cuts.pop(0) if page.cuts else len(page.content)
        wait = len(page.content) if page.pause is None else page.pause
        self.write(page, page.content[start : min(wait, stop)])
        if wait < stop:
            self.web.go_on.wait(60)
            self.write(page, page.content[max(start, wait) : stop])
        if page.chunked and stop >= len(page.content):
            self.wfile.write(b"0\r\n\r\n")

    def write(self, page, body):
        if body:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) if page.chunked else body)

    def log_message(self, format, *args):
        """Log nothing."""


@contextmanager
def serving():
    """Yield a server that runs within the block, without a proxy."""
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def download_now(url, path, ready):
    """Download in a separate process, which signals when it begins."""
    from brainfit.storage.download import download

    ready.set()
    with suppress(KeyboardInterrupt):
        download(url, path, progress=False)
