"""The built site: links and anchors, nothing from elsewhere, no sideways scrolling.

    python -m sphinx -W -b html docs docs/_build
    SELSCAN_SITE=docs/_build pytest tests/test_site.py

A headless Chromium, such as Debian's, looks at every page at two widths; it needs no driver.
"""

import html.parser
import json
import re
import shutil
import subprocess
import urllib.parse

import pytest
from built_site import CHROMIUM, SITE, needs_site, pages, served

WIDTHS = (390, 1280)
JOBS = {
    "Speed up a Mamba model": "drop-in.html",
    "Scan arrays": "quickstart.html",
    "Scan images": "paths.html",
    "Take a vision model": "models.html",
    "Write a kernel": "write-a-kernel.html",
}
# Loads every page in a frame of each width and writes what it found into its own document.
WRAPPER = """<!doctype html><meta charset="utf-8"><body><pre id="found"></pre><script>
async function look(page, width) {{
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${{width}}px; height: 900px; border: 0`;
  frame.src = page;
  const loaded = new Promise(done => frame.onload = done);
  document.body.append(frame);
  await loaded;
  const root = frame.contentDocument.documentElement;
  const wide = [...frame.contentDocument.querySelectorAll("img")].filter(
    x => x.naturalWidth === 0 && x.checkVisibility()).map(x => x.getAttribute("src"));
  const asked = frame.contentWindow.performance.getEntriesByType("resource").map(x => x.name);
  const found = {{page, width, scroll: root.scrollWidth, broken: wide, asked}};
  frame.remove();
  return found;
}}
(async () => {{
  const found = [];
  for (const page of {pages}) for (const width of {widths}) found.push(await look(page, width));
  document.getElementById("found").textContent = JSON.stringify(found);
}})();
</script>"""

pytestmark = needs_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the site, with the wrapper in it, on this machine."""
    copy = tmp_path_factory.mktemp("site") / "html"
    shutil.copytree(SITE, copy)
    text = WRAPPER.format(pages=json.dumps(pages()), widths=json.dumps(WIDTHS))
    (copy / "wrapper.html").write_text(text, encoding="utf-8")
    with served(copy) as address:
        yield address


@pytest.fixture(scope="module")
def looked_at(site, tmp_path_factory):
    """What Chromium says of each page at each width."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
    command += [
        "--virtual-time-budget=300000",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    done = subprocess.run(
        [*command, f"{site}/wrapper.html"], capture_output=True, text=True, timeout=300, check=False
    )
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


class Links(html.parser.HTMLParser):
    """Addresses that a page loads, those that its links lead to, and its own anchors."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.add(found.get("id") or "")
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif tag == "link" and found.get("rel") not in (
            "canonical",
            "index",
            "search",
            "next",
            "prev",
        ):
            self.loaded.append(found.get("href") or "")
        elif tag != "link":
            self.loaded.append(found.get("src") or found.get("srcset") or "")


@pytest.mark.parametrize("target", JOBS.values(), ids=list(JOBS))
def test_the_home_page_leads_to_each_job(target):
    assert target in Links(SITE / "index.html").links


def test_every_link_inside_leads_to_a_file_and_an_anchor_in_it():
    found = {page: Links(SITE / page) for page in pages()}
    anchors = {(SITE / page).resolve(): links.anchors for page, links in found.items()}
    broken = []
    for page, links in found.items():
        for link in links.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = ((SITE / page).parent / parts.path).resolve() if parts.path else SITE / page
            anchor = urllib.parse.unquote(parts.fragment)
            if not file.exists() or anchor not in anchors.get(file, {""}):
                broken.append((page, link))

    assert sum("#" in x for links in found.values() for x in links.links) > 100
    assert broken == []


def test_no_page_loads_anything_from_elsewhere():
    elsewhere = re.compile(r"^(https?:)?//")
    found = [(p, x) for p in pages() for x in Links(SITE / p).loaded if elsewhere.match(x)]
    styles = [(p.name, x) for p in SITE.rglob("*.css") for x in imported(p) if elsewhere.match(x)]

    assert found + styles == []


def imported(sheet):
    """What a style sheet loads."""
    text = sheet.read_text(encoding="utf-8")
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", text)


def test_formulas_are_formulas():
    api, maths = ((SITE / f"{name}.html").read_text(encoding="utf-8") for name in ("api", "maths"))

    assert api.count('<div class="formula"><math') >= 7
    assert "\\delta" not in maths
    assert not [x for x in Links(SITE / "maths.html").loaded if "mathjax" in x.lower()]


def test_no_page_scrolls_sideways(looked_at):
    assert {x["page"] for x in looked_at} == set(pages())
    wide = [(x["page"], x["width"], x["scroll"]) for x in looked_at if x["scroll"] > x["width"]]

    assert wide == []


def test_no_picture_is_missing(looked_at):
    assert [(x["page"], x["broken"]) for x in looked_at if x["broken"]] == []


def test_no_request_leaves_the_machine(looked_at, site):
    asked = {address for x in looked_at for address in x["asked"]}

    assert asked
    assert {x for x in asked if not x.startswith((site, "data:"))} == set()
