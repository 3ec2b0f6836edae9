"""A real browser for the check: headless Chromium driven by playwright, which comes with the test extra.

Promises: only the system's Chromium is started, with a throwaway profile and nothing of its own talking to the network;
it has ended when a function here returns.
"""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any
from urllib.parse import urlsplit

from gateway.demo.story import Broken

FLAGS = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-default-apps", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)  # fmt: skip
MOST_PAGES = 8
PAGE_SECONDS = 60
NAVIGATION_SECONDS = 10
PRESSABLE = "a, button, input[type=submit], [role=button], [onclick]"


def find() -> tuple[str | None, str]:
    """The path of Chromium, or None and what is missing with the line that helps."""
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        return None, "no Chromium on this machine (apt-get install chromium)"
    try:
        importlib.import_module("playwright.sync_api")
    except ImportError:
        return None, "playwright is not installed (pip install playwright)"
    return path, ""


def press_everything(path: str, link: str) -> tuple[int, int]:
    """Open the link, run its scripts, press every button and link there and on the pages behind it.

    Each press starts from a fresh visit to its page. Gives how many things were pressed, and on how many pages.
    Raises Broken when a page does not load.
    """
    sync: Any = importlib.import_module("playwright.sync_api")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=path, args=[*FLAGS, *sandbox], headless=True)
        try:
            page = chromium.new_context().new_page()
            page.set_default_timeout(PAGE_SECONDS * 1000)
            return _press(page, link, sync.TimeoutError)
        except sync.Error as error:
            raise Broken(f"the browser: {str(error).splitlines()[0]}") from error
        finally:
            chromium.close()


def _press(page: Any, link: str, too_late: type[Exception]) -> tuple[int, int]:
    origin = urlsplit(link)[:2]
    seen, waiting, pressed = {link}, [link], 0
    while waiting:
        start = waiting.pop(0)
        page.goto(start)
        for number in range(page.locator(PRESSABLE).count()):
            page.goto(start)
            one = page.locator(PRESSABLE).nth(number)
            if (one.get_attribute("href") or "").startswith(("tel:", "mailto:")):
                continue
            try:
                with page.expect_navigation(timeout=NAVIGATION_SECONDS * 1000):
                    one.evaluate("element => element.click()")  # as a script does it: hidden things as well
            except too_late:
                pass  # something that stays on its page
            pressed += 1
            here = page.url.split("?")[0].split("#")[0]
            if urlsplit(here)[:2] == origin and "/m/" in here and here not in seen and len(seen) < MOST_PAGES:
                seen.add(here)
                waiting.append(here)
    return pressed, len(seen)
