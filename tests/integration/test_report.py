"""The report in a real browser."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tfrec.data.prepared import PreparedData
from tfrec.stages.artifact import Artifact
from tfrec.stages.report import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
TIMEOUT_SECONDS = 120

MEASURE = """
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


@pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on the PATH")
@pytest.mark.parametrize("width", [1200, 500])
def test_page_shows_every_plot_without_an_error(
    width: int, prepared: PreparedData, tmp_path: Path
) -> None:
    page = report(Artifact(prepared.path), tmp_path / "report.html")
    page.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))

    dom, log = _open(page, width, tmp_path / "profile")

    assert "CONSOLE" not in log, log
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found
    measured = json.loads(unescape(found[1]))
    assert len(measured["plots"]) >= 6
    for plot in measured["plots"]:
        assert plot["width"] > 200, plot
        assert plot["height"] > 60, plot
        assert plot["drawn"] > 2, plot
        assert plot["coloured"], plot
    assert measured["overflow"] <= 0


def _open(page: Path, width: int, profile: Path) -> tuple[str, str]:
    """The document after it has run, and the browser's log."""
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={profile}", f"--window-size={width},1000", "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr
