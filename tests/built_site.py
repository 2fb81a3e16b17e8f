"""The built site, which SELSCAN_SITE names, and an address for it on this machine."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

SITE = Path(os.environ.get("SELSCAN_SITE", "nowhere")).absolute()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
CHROMEDRIVER = shutil.which("chromedriver")

needs_site = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="SELSCAN_SITE names no site: build the docs first"
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files of the site, without a line on stderr for each."""

    def log_message(self, *_):
        pass


def pages():
    """Paths of the pages below SITE."""
    return sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))


class Server(http.server.ThreadingHTTPServer):
    """Browsers ask for many files at once."""

    request_queue_size = 64


@contextlib.contextmanager
def served(folder):
    """The address of a folder, for as long as the context lasts."""
    handler = functools.partial(Handler, directory=folder)
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
