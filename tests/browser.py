"""Opens a page in a real browser and measures its plots."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
_TIMEOUT_SECONDS = 400

_MEASURE = """
<script>
const plots = [...document.querySelectorAll("svg")].map(plot => {
  const box = plot.getBoundingClientRect();
  const drawn = [...plot.querySelectorAll("path, use")].filter(part => {
    const shape = part.getBoundingClientRect();
    return shape.width > 0 || shape.height > 0;
  });
  const ink = [...plot.querySelectorAll("path")].map(part => getComputedStyle(part));
  return {
    label: plot.getAttribute("aria-label"),
    width: box.width,
    height: box.height,
    drawn: drawn.length,
    coloured: ink.some(style => /^rgb/.test(style.fill) || /^rgb/.test(style.stroke)),
  };
});
const page = document.documentElement;
const overflow = page.scrollWidth - page.clientWidth;
const output = document.createElement("pre");
output.id = "measured";
output.textContent = JSON.stringify({plots, overflow});
document.body.append(output);
</script>
"""

needs_browser = pytest.mark.skipif(
    _BROWSER is None, reason="neither chromium nor google-chrome is on the PATH"
)


def measure_page(page: Path, width: int, profile: Path) -> dict[str, Any]:
    """Opens a page in a window of some pixels' width.

    Returns:
      `plots`: label, size and what is drawn of each; `overflow`: pixels that the page is too wide.

    Raises:
      AssertionError: if the browser's console has an error.
    """
    page.write_text(page.read_text().replace("</body>", _MEASURE + "</body>"))
    dom, log = _open(page, width, profile)
    assert "CONSOLE" not in log, log
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found
    return json.loads(unescape(found[1]))


def check_plots(measured: dict[str, Any]) -> None:
    """Asserts that every plot is there to be seen."""
    for plot in measured["plots"]:
        assert plot["width"] > 200, plot
        assert plot["height"] > 60, plot
        assert plot["drawn"] > 2, plot
        assert plot["coloured"], plot


def _open(page: Path, width: int, profile: Path) -> tuple[str, str]:
    """The document after it has run, and the browser's log."""
    done = subprocess.run(
        [
            str(_BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={profile}", f"--window-size={width},1000", "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr
