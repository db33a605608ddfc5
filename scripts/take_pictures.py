"""Take the pictures of the inspector that the documentation shows, from the stream of the demo.

    python scripts/take_pictures.py         needs Chromium, and the tools for development

The server is the real one, on a free port of this machine; pictures go to ``docs/pictures``.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from holdfast import Memory
from holdfast.demo.data import stream
from holdfast.server.app import Server
from holdfast.server.run import listen, made
from holdfast.service.credentials import Credentials
from holdfast.service.keys import Keys
from holdfast.service.root import Root

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
PAGES = {
    "overview": "/m/assistant/overview?measure=1",
    "log": "/m/assistant/log",
    "recall": "/m/assistant/recall?query=which+degree+did+I+graduate+with%3F&tokens=1000",
    "belief": "/m/assistant/beliefs/b2539.0",
    "forgetting": "/m/assistant/forgetting",
}
SIZE = {"width": 1200, "height": 1040}


def furnish(folder: Path) -> None:
    """The stream of the demo, in less room than it needs, and a few beliefs beside it."""
    with Memory.open(folder / "assistant.holdfast", "656 KiB", durability="off") as memory:
        memory.observe_many(stream())
        for town, since in (("Lisbon", "2023-01-10"), ("Porto", "2023-05-01")):
            memory.believe("user", "lives_in", town, valid_from=since, by="user")
        memory.believe("user", "likes", "green tea", kind="preference", by="user")
        memory.believe("user", "decided", "to plant figs", kind="decision", by="user")


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        server = Server(Root(folder), Credentials(Keys(folder), open=True))
        runner = made(server)
        with listen(server, "127.0.0.1", 0) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                take(address)
            finally:
                runner.should_exit = True
                thread.join()


def take(address: str) -> None:
    """One picture of each page, as it looks before anybody scrolls."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        for name, path in PAGES.items():
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=PICTURES / f"inspector-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
