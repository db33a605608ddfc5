"""The inspector in a browser: clean, inert whatever is planted, reachable by keys, accessible."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

for _module in ("starlette", "jinja2", "pydantic", "uvicorn"):
    pytest.importorskip(_module, reason="the inspector needs the extra 'server'")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
if CHROMIUM is None:
    pytest.skip("no chromium found; install one, or name it in CHROMIUM", allow_module_level=True)

# They need what was looked for above.
from house import PAYLOADS, application  # noqa: E402
from starlette.applications import Starlette  # noqa: E402

from holdfast import Memory  # noqa: E402
from holdfast.server.app import Server  # noqa: E402
from holdfast.service.credentials import Credentials  # noqa: E402
from holdfast.service.keys import Keys  # noqa: E402
from holdfast.service.root import Root  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PAGES = {
    "memories": "/",
    "overview": "/m/ana/overview?measure=1",
    "log": "/m/ana/log",
    "event": "/m/ana/log/4208",
    "gone": "/m/ana/log/1",
    "beliefs": "/m/ana/beliefs?status=all",
    "belief": "/m/ana/beliefs/b4210.0",
    "recall": "/m/ana/recall?query=where+is+the+spare+key&limit=8&seq=4000",
    "forgetting": "/m/ana/forgetting?advise=0.9&query=kettle",
    "access": "/m/ana/access",
    "audit": "/m/ana/audit?verify=1&prove=4208",
    "login": "/login?failed=1",
    "error": "/m/nobody/log",
    "empty": "/m/empty/overview",
}
EXPECTED = ("404",)  # a page that tells of what is not there has that status
SHOTS = Path(__file__).parents[2] / "build/screenshots"


@pytest.fixture(scope="module")
def site(furnished: Path) -> Iterator[str]:
    """The address of a server whose every visitor is the owner."""
    with serving(application(furnished)) as address:
        yield address


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address of an application, served for as long as the block lasts."""
    import uvicorn

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for something; the policy of the pages keeps a browser from being asked for it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


@dataclass
class Watched:
    """A tab, and everything about it that should not be."""

    page: Any
    site: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = urlsplit(self.site).netloc
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda box: (self.wrong.append("dialog"), box.dismiss()))
        self.page.on("popup", lambda _: self.wrong.append("popup"))
        self.page.on("request", lambda request: urlsplit(request.url).netloc == host
                     or request.url.startswith("data:")
                     or self.wrong.append(f"went to {request.url}"))  # fmt: skip

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(x in message.text for x in EXPECTED):
            self.wrong.append(f"console: {message.text}")

    def visit(self, path: str) -> Any:
        self.page.goto(self.site + path)
        return self.page

    def rows(self) -> list[str]:
        """The numbers of the rows that are in view, from top to bottom."""
        found: list[str] = self.page.evaluate("""() => {
            const box = document.querySelector(".timeline").getBoundingClientRect();
            return [...document.querySelectorAll(".timeline .row")]
              .map((row) => [row.getBoundingClientRect(), row.querySelector(".seq").textContent])
              .filter(([at]) => at.bottom > box.top + 1 && at.top < box.bottom - 1)
              .sort((a, b) => a[0].top - b[0].top).map(([, seq]) => seq);
        }""")
        return found


@pytest.fixture
def tab(browser: Any, site: str) -> Iterator[Watched]:
    """A tab that must stay clean."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    watched = Watched(context.new_page(), site)
    yield watched
    assert watched.wrong == []
    context.close()


AXE = """async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations.flatMap(
      (v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`));
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_clean_fits_and_is_accessible(
    browser: Any, site: str, theme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_core_python", reason="pip install axe-core-python")
    script = files(axe).joinpath("axe.min.js").read_text()
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    tab = Watched(context.new_page(), site)
    for name, path in PAGES.items():
        page = tab.visit(path)
        if name == "log":
            page.wait_for_selector(".timeline.live .row")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.screenshot(path=SHOTS / f"{name}-{theme}-{width}.png", full_page=True)
        page.evaluate(script)
        assert page.evaluate(AXE) == [], name
    assert tab.wrong == []
    context.close()


@pytest.mark.parametrize("path", [
    "/m/attacked/overview", "/m/attacked/log?count=200", "/m/attacked/log",
    "/m/attacked/beliefs?status=all&limit=1000", "/m/attacked/access", "/m/attacked/audit",
    "/m/attacked/recall?query=window+script+img+alert&limit=200&tokens=20000",
])  # fmt: skip
def test_what_is_planted_stays_text(tab: Watched, path: str) -> None:
    page = tab.visit(path)
    page.wait_for_timeout(150)
    for element in page.query_selector_all("main details summary"):
        element.click()
    assert page.evaluate("window.__pwned") is None
    assert (
        page.evaluate("document.querySelectorAll('main script, main iframe, main img').length") == 0
    )


def test_planted_events_and_beliefs_stay_text_on_their_own_pages(tab: Watched) -> None:
    page = tab.visit("/m/attacked/log?count=200")
    links = page.eval_on_selector_all(
        ".rows [data-row]", "all => all.map((one) => one.getAttribute('href'))"
    )
    page = tab.visit("/m/attacked/beliefs?status=all&limit=1000")
    links += page.eval_on_selector_all(
        ".belief > [data-row]", "all => all.slice(0, 12).map((one) => one.getAttribute('href'))"
    )
    assert len(links) > 40
    for link in links:
        page = tab.visit(link)
        assert page.evaluate("window.__pwned") is None
    page = tab.visit(f"/m/attacked/log?order=oldest&kind=message&contains={quote(PAYLOADS[0])}")
    assert page.text_content(".row .say").strip() == PAYLOADS[0]


def test_what_is_asked_stays_text(tab: Watched) -> None:
    for nth, payload in enumerate(one for one in PAYLOADS if one.isprintable()):
        name, field = (("log", "contains"), ("recall", "query"), ("beliefs", "query"))[nth % 3]
        page = tab.visit(f"/m/empty/{name}?{field}={quote(payload)}&scope={quote(payload)}")
        assert page.evaluate("window.__pwned") is None
        assert page.input_value(f"[name={field}]") == payload


def test_the_log_scrolls_without_a_gap(tab: Watched) -> None:
    page = tab.visit("/m/ana/log")
    page.wait_for_selector(".timeline.live .row")
    total = int(page.get_attribute(".timeline", "data-total"))
    assert page.locator(".timeline .row").count() < 60
    assert tab.rows()[0] == "4221"
    for share in (0.25, 0.5, 0.75, 1.0):
        page.evaluate(
            "(to) => { const box = document.querySelector('.timeline'); "
            "box.scrollTop = to * box.scrollHeight; }",
            share,
        )
        until(lambda: len(tab.rows()) > 15)
        page.wait_for_timeout(100)
        rows = [int(one) for one in tab.rows()]
        assert rows == sorted(rows, reverse=True)
    assert total > 3000
    page = tab.visit("/m/ana/log?order=oldest")
    until(lambda: len(tab.rows()) > 15)
    assert rows[-1] == int(tab.rows()[0])


def test_a_link_to_an_event_shows_it_marked(tab: Watched) -> None:
    page = tab.visit("/m/ana/log?seq=2500")
    page.wait_for_selector(".timeline.live .row[aria-current]")
    assert page.text_content(".row[aria-current] .seq") == "2500"
    assert "2500" in tab.rows()


def test_keys_go_everywhere(tab: Watched) -> None:
    page = tab.visit("/m/ana/overview")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    for key, name in ("lr", "log"), ("b", "beliefs"), ("r", "recall"), ("l", "log"):
        page.keyboard.press("g")
        page.keyboard.press(key[0])
        page.wait_for_url(f"**/m/ana/{name}")
    page.wait_for_selector(".timeline.live .row")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "contains"
    page.keyboard.press("Escape")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    held = page.evaluate("document.activeElement.querySelector('.seq').textContent")
    assert held == tab.rows()[1]
    for _ in range(40):
        page.keyboard.press("j")
    further = page.evaluate("document.activeElement.querySelector('.seq').textContent")
    assert int(further) == int(held) - 40 or int(further) < int(held) - 38
    assert further in tab.rows()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/m/ana/log/{further}")


def test_the_slider_travels_through_time(tab: Watched) -> None:
    page = tab.visit("/m/ana/beliefs?subject=Bo&predicate=works_on")
    now = page.text_content(".belief .value")
    page.evaluate("""() => {
        const slider = document.querySelector("[data-slider]");
        slider.value = 200;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    page.wait_for_url("**as_of=**")
    then = page.text_content(".belief .value")
    assert then != now
    page.reload()  # the address has all of the state
    assert page.text_content(".belief .value") == then
    assert page.text_content("[data-slider-output]").startswith("2026-01-")


def test_the_theme_is_kept(tab: Watched) -> None:
    page = tab.visit("/m/ana/overview")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-theme-switch]")
    page.click("[data-theme-switch]")
    assert page.get_attribute("html", "data-theme") == "dark"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page = tab.visit("/m/ana/log")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_a_proof_is_checked_in_the_browser(tab: Watched) -> None:
    page = tab.visit("/m/ana/audit?prove=4208")
    page.wait_for_selector("[data-proof].good")
    forged = page.evaluate("""async () => {
        const proof = document.querySelector("[data-proof]");
        proof.dataset.leaf = "00" + proof.dataset.leaf.slice(2);
        await import(document.querySelector("script[src]").src + "?again");
        await new Promise((resume) => setTimeout(resume, 300));
        return proof.textContent;
    }""")
    assert forged == "checked in this browser: it does not hold"


def test_gauges_are_live(tab: Watched) -> None:
    page = tab.visit("/m/ana/overview")
    counts = "[data-live-text=kept], [data-live-text=seen], [data-live-text=verbatim], "
    counts += "[data-live-text=episodes], [data-live-tier], [data-live-share]"
    live = "[data-live-text], [data-live-part], [data-live-tier], [data-live-share]"
    texts = "all => all.map((one) => one.textContent)"
    before = page.eval_on_selector_all(counts, texts)
    assert before[1] == "4,221"
    assert int(before[0].replace(",", "")) > 3000
    page.eval_on_selector_all(live, "all => all.forEach((one) => { one.textContent = 'stale'; })")
    until(lambda: "stale" not in page.eval_on_selector_all(live, texts))
    assert page.eval_on_selector_all(counts, texts) == before
    assert page.text_content("[data-live-text=disk]").endswith("iB")


def test_who_has_a_key_signs_in_and_out(browser: Any, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "ana.holdfast", "1 MiB") as memory:
        memory.observe("The spare key is under the blue pot.", speaker="Ana")
    keys = Keys(tmp_path)
    _, secret = keys.create(may="read")
    server = Server(Root(tmp_path), Credentials(keys))
    context = browser.new_context()
    with serving(server.app()) as address:
        page = context.new_page()
        page.goto(address + "/m/ana/log?speaker=Ana")
        assert urlsplit(page.url).path == "/login"
        page.fill("[name=key]", "wrong")
        page.click("button.primary")
        page.wait_for_selector("[role=alert]")
        page.fill("[name=key]", secret)
        page.click("button.primary")
        assert page.url == address + "/m/ana/log?speaker=Ana"
        assert "under the blue pot" in page.text_content(".row .say")
        page.click("[data-sign-out]")
        page.wait_for_url("**/login")
        page.goto(address + "/m/ana/log")
        assert urlsplit(page.url).path == "/login"
    context.close()


def test_all_of_it_works_without_scripts(browser: Any, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + "/m/ana/log")
    assert page.locator(".row").count() == 50
    page.click("a[rel=next]")
    assert page.locator(".row").count() == 50
    page.fill("[name=contains]", "spare key")
    page.press("[name=contains]", "Enter")
    assert page.locator(".row").count() == 1
    page.click(".row a")
    assert "under the blue pot" in page.text_content("pre")
    page.click("nav >> text=Recall")
    page.fill("[name=query]", "where is the spare key")
    page.click("button:has-text('Recall')")
    assert "under the blue pot" in page.text_content("#context-text")
    context.close()
