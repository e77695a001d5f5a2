"""A real Chromium, to open pages in: what they ask for, what they complain of, and how they look.

It comes from the system; ``INTEGRITY_TEST_SERVERS=required`` turns skipping where it is absent into a failure.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tests.servers import absent

#: A telephone, a tablet, a desk.
WIDTHS = (320, 800, 1280)


@dataclass
class Seen:
    """What a page did.

    Attributes:
        page: Of Playwright.
        requests: Every address that it asked for, its own first.
        complaints: What it wrote to the console as a warning or an error, and errors that nobody caught.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        """The requests that left the page and the place where it lies."""
        own = ("data:", "file:", "blob:", "about:", "http://127.0.0.1:", "http://localhost:")
        return [each for each in self.requests if not each.startswith(own)]

    @property
    def is_too_wide(self) -> bool:
        """Whether a reader would have to move the whole page sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def violations(self) -> list[str]:
        """What a checker of accessibility finds."""
        script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.page.evaluate(script + ";0")
        found = self.page.evaluate("axe.run({preload: false}).then(told => told.violations)")
        return [f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def chromium() -> str:
    """Return where Chromium is, or skip."""
    where = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if where is None:
        absent("Chromium")
    return str(where)


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium without a window and without a network: not even a name is looked up."""
    where = chromium()
    from playwright.sync_api import sync_playwright

    offline = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=where, args=offline)
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def opened(
    browser: Any, address: str | Path, *, width: int = 1280, scheme: str = "light", bypass_csp: bool = False
) -> Iterator[Seen]:
    """Open a page, and write down what it does.

    Args:
        browser: That is running.
        address: Of the page, or the path of its file.
        width: In CSS pixels.
        scheme: What the reader prefers, ``light`` or ``dark``.
        bypass_csp: Let the checker in where the page itself allows no script.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=bypass_csp)
    page = context.new_page()
    seen = Seen(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.goto(address.absolute().as_uri() if isinstance(address, Path) else address, wait_until="load")
    try:
        yield seen
    finally:
        context.close()
