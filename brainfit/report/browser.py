"""Print a page of HTML to PDF with an installed Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from brainfit.errors import PluginError
from brainfit.support.messages import printable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
LONGEST_S = 120
FLAGS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-pdf-header-footer")


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome; None if there is none."""
    return next(filter(None, map(shutil.which, (*NAMES, MAC))), None)


def print_pdf(page: str) -> bytes:
    """Print a page of HTML that loads nothing.

    Raises
    ------
    PluginError
        If no Chromium is installed, or it fails to print.
    """
    browser = find_browser()
    if browser is None:
        raise PluginError(
            "a PDF is printed by Chromium or Chrome, and neither is installed: install one (Debian: apt-get "
            "install chromium), or write --format html and print report.html from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="brainfit-print-") as name:
        folder = Path(name)
        source, printed = folder / "page.html", folder / "page.pdf"
        source.write_text(page, encoding="utf-8", errors="backslashreplace")
        command = [
            browser,
            *FLAGS,
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses its sandbox to root
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={printed}",
            source.as_uri(),
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=LONGEST_S, check=False)
            lines = done.stderr.decode(errors="replace").split("\n")
            problem = next((line for line in reversed(lines) if line.strip()), f"exit code {done.returncode}")
        except subprocess.TimeoutExpired:
            problem = f"it did not finish in {LONGEST_S} s"
        except OSError as error:
            problem = str(error)
        if not printed.is_file():
            raise PluginError(
                f"{browser} printed no PDF ({printable(problem, longest=200)}); write --format html and "
                "print report.html from any browser"
            )
        return printed.read_bytes()
