"""`crossarch ui` in a real browser: its address opens on the study's runs, with the columns that matter."""

import asyncio
import socket
import time

import pytest
from browser import CHROMIUM, browser
from processes import Command, is_healthy, wait_for

from crossarch.platform.store.tracking import View

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

PATIENCE = 240.0
"""Seconds: MLflow starts several processes, each of which imports all of it."""

MLFLOWS_OWN = ("AG Grid", "Failed to load resource", "NO_COLOR", "deprecat", "Warning: ")
"""What MLflow's own page writes to the console, whatever it shows."""


@pytest.fixture
def address(tracking_uri, tmp_path, configs, result_of, invocation_of, by_id):
    """What `crossarch ui` says of a study of nine runs, once the server answers."""
    results = by_id(*(result_of(config) for config in configs))
    View(tracking_uri).sync("quickstart", "Does it close the gap?", [invocation_of()], results)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Command("ui", "--storage", tmp_path, "--port", port, folder=tmp_path / "ui")
    try:
        wait_for(lambda: is_healthy(port), PATIENCE, pause=0.5)
        (line,) = [line for line in command.out.splitlines() if line.startswith("quickstart: ")]
        yield line.removeprefix("quickstart: ")
    finally:
        command.end()


async def seen(tab, expression):
    """The first value of the expression that is not empty."""
    end = time.monotonic() + PATIENCE
    while not (value := await tab.evaluate(expression)):
        assert time.monotonic() < end, expression
        await asyncio.sleep(0.5)
    return value


HEADERS = "[...document.querySelectorAll('.ag-header-cell')].map((cell) => cell.textContent.trim()).filter(Boolean)"
COLUMNS = f"(({HEADERS}).includes('arm')) ? {HEADERS} : null"
RUNS = "[...document.querySelectorAll('.ag-row a')].map((link) => link.textContent.trim()).filter(Boolean)"
SECTIONS = "document.body.innerText.match(/Parallel Coordinates|Comparison|Curves/g)"


def test_it_opens_on_the_runs_and_compares_them(address, tmp_path):
    async def go():
        async with browser(tmp_path / "profile") as tab:
            await tab.show_as(width=2000)
            await tab.open(address)
            columns, runs = await seen(tab, COLUMNS), await seen(tab, f"({RUNS}).length ? {RUNS} : null")
            text = await tab.evaluate("document.body.innerText")
            await tab.open("about:blank")
            await tab.open(f"{address}&compareRunsMode=CHART")
            return columns, runs, text, await seen(tab, SECTIONS), tab

    columns, runs, text, charts, tab = asyncio.run(go())
    assert {"test_accuracy", "arm", "model.architecture", "seed"} <= set(columns)
    assert "batch_size" not in columns, "what is the same everywhere is left out"
    assert sorted(set(runs))[0].startswith("Baseline · ConvNet · seed ")
    assert runs[0].endswith("seed 2"), "the most accurate comes first"
    assert "Does it close the gap?" in text
    assert {"Comparison", "Curves"} <= set(charts)
    assert [error for error in tab.errors if not any(known in error for known in MLFLOWS_OWN)] == []
    server = address.partition("/#")[0]
    assert {url for url in tab.requests if not url.startswith((server, "data:", "blob:", "about:"))} == set()
