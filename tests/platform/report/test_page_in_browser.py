"""The page in a real browser: no errors, no requests, and tables that sort."""

import asyncio

import pytest
from browser import CHROMIUM, browser
from made_up import with_curves

from crossarch.platform.commands.publish import write_report
from crossarch.platform.store.ledger import Ledger

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed"),
]

COLUMN = """
(() => {
  const table = document.querySelector("#results details table");
  return [...table.tBodies[0].rows].map((row) => row.cells[2].textContent);
})()
"""
"""The mean of each cell, as it stands there."""

HEADER = 'document.querySelector("#results details thead th:nth-child(3)")'


@pytest.fixture
def page(study, results, tmp_path):
    for result in with_curves(results).values():
        Ledger(tmp_path).write(result)
    write_report(study, study.seeds, tmp_path, tmp_path / "out")
    return tmp_path / "out" / "index.html"


def visited(page, folder, visit):
    """What `visit` makes of a tab that shows the page."""

    async def go():
        async with browser(folder) as tab:
            await tab.open(page.as_uri())
            return await visit(tab), tab

    return asyncio.run(go())


def test_it_loads_without_errors_or_requests_and_sorts(page, tmp_path):
    async def visit(tab):
        seen = [await tab.evaluate(COLUMN)]
        for _ in range(2):
            await tab.evaluate(f'{HEADER}.querySelector("button").click()')
            seen.append((await tab.evaluate(f'{HEADER}.getAttribute("aria-sort")'), await tab.evaluate(COLUMN)))
        await tab.evaluate("new Promise((done) => setTimeout(done, 200))")
        return seen

    (before, upwards, downwards), tab = visited(page, tmp_path / "profile", visit)
    assert before == ["82.0", "72.0", "85.5", "90.5"]
    assert upwards == ("ascending", ["72.0", "82.0", "85.5", "90.5"])
    assert downwards == ("descending", ["90.5", "85.5", "82.0", "72.0"])
    assert tab.errors == []
    assert [address for address in tab.requests if not address.startswith("data:")] == [page.as_uri()]


def test_on_a_phone_nothing_is_wider_than_the_screen(page, tmp_path):
    async def visit(tab):
        found = {}
        for width in (1200, 390):
            await tab.show_as(width=width)
            found[width] = await tab.evaluate("document.documentElement.scrollWidth")
        return found

    widths, _ = visited(page, tmp_path / "profile", visit)
    assert widths == {1200: 1200, 390: 390}


def test_text_is_readable_in_light_and_dark(page, tmp_path):
    """WCAG AA: 4.5 between text and ground, 3 between an arm's colour and the ground."""
    script = """
    (() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const [r, g, b] = style.getPropertyValue(name).trim().slice(1).match(/../g).map((pair) => {
          const part = parseInt(pair, 16) / 255;
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const contrast = (name) => Math.max(light(name), light("--ground")) / Math.min(light(name), light("--ground"));
      const arms = [0, 1, 2, 3, 4, 5, 6].map((place) => `--arm-${place}`);
      return [Math.min(...["--ink", "--quiet", "--link"].map(contrast)), Math.min(...arms.map(contrast))];
    })()
    """

    async def visit(tab):
        found = []
        for scheme in ("light", "dark"):
            await tab.show_as(scheme=scheme)
            found.append(
                (await tab.evaluate("getComputedStyle(document.body).backgroundColor"), await tab.evaluate(script))
            )
        return found

    ((light, light_contrasts), (dark, dark_contrasts)), _ = visited(page, tmp_path / "profile", visit)
    assert light != dark
    for text, arms in (light_contrasts, dark_contrasts):
        assert text >= 4.5
        assert arms >= 3
