// The pages work without this. It adds: a theme switch, keys, a log that scrolls without end,
// a slider through time, live gauges, and a proof that is checked in the browser.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- theme ---------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
const stored = () => {
  try { return localStorage.getItem("holdfast-theme"); } catch { return null; } // storage may be off
};

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = $("[data-theme-switch]");
  button.textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[theme];
  button.setAttribute("aria-label", `Theme: ${theme}`);
  button.hidden = false;
}

let theme = THEMES.includes(stored()) ? stored() : "auto";
applyTheme(theme);
$("[data-theme-switch]").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try { localStorage.setItem("holdfast-theme", theme); } catch { /* it lasts for this page */ }
  applyTheme(theme);
});

// On a narrow screen the tabs scroll; the one that is open comes into view.
$(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// ---- pages as parts of pages ----------------------------------------------------------------

// Rows and lists are rendered by the server alone, where everything is escaped; a parsed document
// runs no scripts, and the policy of the page forbids inline ones anyway.
async function fetchPage(url, signal) {
  const answer = await fetch(url, { signal, headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// ---- the log, as far as it goes --------------------------------------------------------------

const PAGE = 100; // rows that are fetched together
const MOST_PAGES = 30;
const TALLEST = 8_000_000; // pixels; browsers cut off what is taller

class Timeline {
  constructor(box) {
    this.box = box;
    this.list = $(".rows", box);
    this.total = Number(box.dataset.total);
    this.url = box.dataset.timeline;
    this.pages = new Map(); // number -> rows, or null while they come
    this.drawn = new Map();
    box.classList.add("live");
    for (const pager of $$(".pager")) pager.hidden = true;
    this.measure();
    const marked = $('.row[aria-current="true"]', this.list);
    const start = Number(box.dataset.offset) + (marked ? $$(".row", this.list).indexOf(marked) : 0);
    this.marked = marked ? $("[data-row]", marked).getAttribute("href") : null;
    this.list.replaceChildren();
    if (start) this.show(start, marked ? 0.4 : 0);
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => { this.measure(); this.soon(); }).observe(box);
    this.draw();
  }

  measure() {
    this.row = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    this.height = Math.min(this.total * this.row, TALLEST);
    this.list.style.height = `${this.height}px`;
    this.visible = this.box.clientHeight / this.row;
  }

  // The row at the top. One pixel is more than one pixel of rows when the log is very long.
  top() {
    const scroll = this.height - this.box.clientHeight;
    if (scroll <= 0) return 0;
    return (this.box.scrollTop / scroll) * Math.max(0, this.total - this.visible);
  }

  show(place, at = 0) {
    const rows = Math.max(1, this.total - this.visible);
    const top = Math.min(rows, Math.max(0, place - at * this.visible));
    this.box.scrollTop = (top / rows) * (this.height - this.box.clientHeight);
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => { this.frame = undefined; this.draw(); });
  }

  draw() {
    const top = this.top();
    const first = Math.max(0, Math.floor(top) - 6);
    const last = Math.min(this.total, Math.ceil(top + this.visible) + 6);
    const wanted = new Map();
    let missing = false;
    for (let place = first; place < last; place++) {
      const row = this.pages.get(Math.floor(place / PAGE))?.[place % PAGE];
      if (row) wanted.set(place, row);
      else missing = true;
    }
    const kept = new Set(wanted.values());
    for (const row of this.drawn.values()) if (!kept.has(row)) row.remove();
    let next = this.list.firstChild;
    for (const [place, row] of wanted) {
      row.style.transform = `translateY(${this.box.scrollTop + (place - top) * this.row}px)`;
      if (row === next) next = next.nextSibling;
      else this.list.insertBefore(row, next);
    }
    this.drawn = wanted;
    // A fast scroll passes many rows; what is fetched is what is seen a moment later.
    if (missing) this.waiting ??= setTimeout(() => { this.waiting = undefined; this.fill(); }, this.pages.size ? 50 : 0);
  }

  fill() {
    const top = this.top();
    const first = Math.floor(Math.max(0, top - 6) / PAGE);
    const last = Math.floor(Math.min(this.total - 1, top + this.visible + 6) / PAGE);
    for (let number = first; number <= last; number++) if (!this.pages.has(number)) this.load(number);
  }

  async load(number) {
    this.pages.set(number, null);
    try {
      const page = await fetchPage(`${this.url}&offset=${number * PAGE}&count=${PAGE}`);
      const rows = $$(".timeline .row", page).map((row) => document.adoptNode(row));
      for (const row of rows) {
        if ($("[data-row]", row).getAttribute("href") === this.marked) row.setAttribute("aria-current", "true");
      }
      this.pages.set(number, rows);
      const here = Math.floor(this.top() / PAGE);
      for (const other of this.pages.keys()) {
        if (this.pages.size > MOST_PAGES && Math.abs(other - here) > 3) this.pages.delete(other);
      }
      this.soon();
    } catch {
      setTimeout(() => { this.pages.delete(number); this.soon(); }, 2000);
    }
  }

  // Move to the next or previous row, wherever it is.
  step(by) {
    const held = [...this.drawn].find(([, row]) => row.contains(document.activeElement));
    const place = Math.min(this.total - 1, Math.max(0, held ? held[0] + by : Math.ceil(this.top())));
    const top = this.top();
    if (place < top || place + 1 > top + this.visible) this.show(by > 0 ? place - this.visible + 2 : place - 1);
    this.draw();
    $("[data-row]", this.drawn.get(place) ?? this.list)?.focus({ preventScroll: true });
  }
}

let timeline = null;
const box = $('[data-virtual="yes"]');
if (box && Number(box.dataset.total) > Number(box.dataset.count)) timeline = new Timeline(box);

for (const strip of $$("[data-strip]")) {
  strip.addEventListener("click", (event) => {
    const { left, width } = strip.getBoundingClientRect();
    const seq = Math.max(1, Math.ceil(((event.clientX - left) / width) * Number(strip.dataset.last)));
    location.assign(`${strip.dataset.strip}?seq=${seq}`);
  });
}

// ---- keys ------------------------------------------------------------------------------------

function step(by) {
  if (timeline) return timeline.step(by);
  const rows = $$("[data-row]");
  if (!rows.length) return;
  const held = rows.indexOf(document.activeElement);
  const next = held < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, held + by));
  rows[next].focus();
}

const help = $("#keys");
const helpButton = $("[data-help]");
helpButton.hidden = false;
helpButton.addEventListener("click", () => help.showModal());

let going = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.target.closest("input:not([type=range]), select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (Date.now() - going < 1500) {
    going = 0;
    const tab = $$("[data-go]").find((link) => link.dataset.go === event.key);
    if (tab) { event.preventDefault(); tab.click(); }
    return;
  }
  const search = $("[data-search]");
  if (event.key === "/" && search) { search.focus(); search.select(); }
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "?") help.showModal();
  else if (event.key === "g") going = Date.now();
  else return;
  event.preventDefault();
});

// ---- through time ----------------------------------------------------------------------------

const slider = $("[data-slider]");
if (slider) {
  const form = $("[data-swap]");
  const first = Number(slider.dataset.first), last = Number(slider.dataset.last);
  const output = $("[data-slider-output]");
  let waiting, under = null;
  slider.hidden = false;
  const moment = () => (slider.value === slider.max ? null
    : Math.ceil(first + (slider.value / slider.max) * (last - first)));
  const text = (at) => new Date(at * 1000).toISOString().slice(0, 19);
  const say = () => {
    const at = moment();
    output.textContent = at === null ? "now" : text(at).replace("T", " ");
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  say();
  slider.addEventListener("input", () => {
    say();
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const at = moment();
      form.elements.as_of.value = at === null ? "" : text(at);
      const given = [...new FormData(form)].filter(([, value]) => value !== "");
      const url = `${form.getAttribute("action")}?${new URLSearchParams(given)}`;
      under?.abort();
      under = new AbortController();
      try {
        const page = await fetchPage(url, under.signal);
        $(form.dataset.swap).replaceWith(document.adoptNode($(form.dataset.swap, page)));
        history.replaceState(null, "", url);
      } catch (error) {
        if (error.name !== "AbortError") output.textContent = "cannot be reached";
      }
    }, 120);
  });
}

// ---- live ------------------------------------------------------------------------------------

function bytes(n) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (n < 1024) return unit === "B" ? `${n} B` : `${n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} GiB`;
}

// As the pages tell it: what is not all never shows as 100 %, and what is not nothing never as 0.
function share(n, all) {
  if (n === 0 || n === all) return n ? "100 %" : "0 %";
  return `${Math.min(99.9, Math.max(0.1, (100 * n) / all)).toFixed(1)} %`;
}

const live = $("[data-live]");
if (live) {
  const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const gauge = $(".gauge", live);
  const put = (name, text) => { const found = $(`[data-live-text="${name}"]`); if (found) found.textContent = text; };
  const poll = async () => {
    if (document.hidden) return;
    const answer = await fetch(live.dataset.live).catch(() => null);
    if (!answer?.ok) return;
    const now = await answer.json();
    if (!now.usage) return;
    let x = 0;
    for (const part of now.parts) {
      const width = (1000 * part.nbytes) / now.usage.budget;
      const rect = $(`[data-part="${part.name}"]`, gauge);
      rect?.setAttribute("x", x);
      rect?.setAttribute("width", width);
      const told = $(`[data-live-part="${part.name}"]`);
      if (told) told.textContent = bytes(part.nbytes);
      x += width;
    }
    for (const [name, n] of Object.entries(now.usage.events)) {
      const cell = $(`[data-live-tier="${name}"]`), part = $(`[data-live-share="${name}"]`);
      if (cell) cell.textContent = count.format(n);
      if (part) part.textContent = share(n, now.seen);
    }
    put("kept", count.format(now.kept));
    put("seen", count.format(now.seen));
    put("episodes", count.format(now.usage.episodes));
    put("verbatim", now.seen ? share(now.usage.events.verbatim, now.seen) : "–");
    put("disk", bytes(now.usage.disk));
    put("writes", count.format(now.rates.writes_per_minute));
    put("recalls", count.format(now.rates.recalls_per_minute));
  };
  setInterval(poll, 5000);
}

// ---- proofs ----------------------------------------------------------------------------------

const fromHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const toHex = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// RFC 9162, section 2.1.3.2: from a leaf up to the root.
async function rootOf(index, size, leaf, path) {
  let fn = index, sn = size - 1, hash = fromHex(leaf);
  for (const one of path) {
    if (sn === 0) return null;
    const other = fromHex(one);
    const left = fn % 2 === 1 || fn === sn;
    const pair = left ? [other, hash] : [hash, other];
    hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array([1, ...pair[0], ...pair[1]])));
    if (left) while (fn % 2 === 0 && fn !== 0) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2); }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 ? toHex(hash) : null;
}

const proof = $("[data-proof]");
if (proof && window.isSecureContext) {
  const { index, size, leaf, path, root } = proof.dataset;
  const found = await rootOf(Number(index), Number(size), leaf, path ? path.split(" ") : []);
  const holds = found === root;
  proof.className = `badge ${holds ? "good" : "bad"}`;
  proof.textContent = holds ? "checked in this browser: it holds" : "checked in this browser: it does not hold";
}

const signOut = $("[data-sign-out]");
if (signOut) {
  signOut.hidden = false;
  signOut.addEventListener("click", async () => {
    await fetch("/session", { method: "DELETE" });
    location.assign("/login");
  });
}

// ---- copying ---------------------------------------------------------------------------------

// What is shown has marks for what cannot be seen; the twin has the very text.
for (const button of $$("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await fetch(button.dataset.copy);
    await navigator.clipboard.writeText((await answer.json()).context.text);
    button.textContent = "Copied";
  });
}
