"""Drive a headless Chromium over a pipe by its DevTools protocol, without adding scripts to the page."""

import itertools
import json
import os
import subprocess
import threading
from collections import deque

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE_S = 60


class Browser:
    """A browser with one page; `events` holds all that the page has reported."""

    def __init__(self, executable, profile):
        read_by_it, self._commands = os.pipe()
        answers, written_by_it = os.pipe()
        # Chromium reads and writes the protocol on file descriptors 3 and 4.
        command = f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "-", executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_by_it, written_by_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        self.events = []
        self._answers = os.fdopen(answers, "rb")
        self._numbers = itertools.count(1)
        self._told = deque()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _read(self):
        left = b""
        while some := self._answers.raw.read(1 << 20):
            *messages, left = (left + some).split(b"\0")
            with self._news:
                for message in map(json.loads, messages):
                    (self._told if "id" in message else self.events).append(message)
                self._news.notify_all()

    def call(self, method, **params):
        """Send a command and return the browser's answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        found = []
        with self._news:
            assert self._news.wait_for(
                lambda: found.extend(m for m in self._told if m["id"] == number) or found, PATIENCE_S
            ), f"no answer to {method}"
        assert "error" not in found[0], found[0]
        return found[0]["result"]

    def open(self, url):
        """Clear `events`, load a page and wait until it is complete."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        with self._news:
            assert self._news.wait_for(lambda: self.seen("Page.loadEventFired"), PATIENCE_S), url

    def seen(self, *methods):
        """Return the parameters of all events of these kinds."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def ask(self, expression):
        """Evaluate an expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def show(self, *, width, scheme="light", media="screen"):
        """Set the width of the window, the colour scheme, and the medium (screen or print)."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def close(self):
        """End the browser and wait for it."""
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._commands)
            self._reader.join(PATIENCE_S)
            self._answers.close()
