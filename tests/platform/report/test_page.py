"""The page: self-contained, accessible, and deaf to what names and errors try."""

import base64
import csv
import dataclasses
import io
import itertools
import re
from html.parser import HTMLParser

import pytest
from made_up import HOSTILE, hostile, with_curves

from crossarch.platform.report.content import make_report
from crossarch.platform.report.digest import digest_of
from crossarch.platform.report.page import HERE, files, policy, render_page
from crossarch.platform.report.tables import build_table

VOID = {"meta", "img", "br", "path", "link"}


class Page(HTMLParser):
    """Elements in order, and the text outside of scripts and styles."""

    def __init__(self, markup):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def report(study, results):
    return make_report(study, study.seeds, with_curves(results), recorded=["crossarch run small --storage /x"])


@pytest.fixture(scope="module")
def markup(report):
    return render_page(report)


@pytest.fixture(scope="module")
def page(markup):
    return Page(markup)


def test_it_has_every_part(page):
    for told in (
        "do deeper networks lose",
        "Sec. 4.2",
        "72.0 ± 2.8",
        "gap -10.0",
        "n = 2",
        "Z80, 2 cores",
        "torch 2.13.0",
        "abc123",
        "12 planned: 8 finished",
        "it was diverged",
        "10 real images a class of digits",
        "crossarch run small",
    ):
        assert told in page.text
    assert "Gap: points above or below Baseline, ConvNet." in page.text
    assert "In brackets:" not in page.text, "that is how the terminal writes gaps"
    assert "--storage" not in page.text, "a path of this machine"


def test_nothing_is_fetched(page, markup):
    addresses = [
        each[key] for _, each in page.elements for key in ("href", "src", "xlink:href", "srcset") if key in each
    ]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not page.all("link", "iframe", "object", "embed", "base", "form")
    style = markup[markup.index("<style>") : markup.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_admits_our_script_alone(page, markup):
    (policies,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    script = markup[markup.index("<script>") + 8 : markup.index("</script>")]
    assert policies == policy(script)
    assert policy(script + " ") != policies
    assert "default-src 'none'" in policies
    assert "'unsafe-inline'" not in policies.partition("script-src")[2].partition(";")[0]
    assert len(page.all("script")) == 1
    assert not [key for _, each in page.elements for key in each if key.startswith("on")]


def test_headings_go_down_one_step_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


def test_ids_are_there_once_and_links_within_the_page_lead_somewhere(page):
    ids = [each["id"] for _, each in page.elements if "id" in each]
    assert len(set(ids)) == len(ids)
    inner = [each["href"][1:] for each in page.all("a") if each["href"].startswith("#")]
    assert inner
    assert set(inner) <= set(ids)
    assert {each["aria-labelledby"] for each in page.all("section")} <= set(ids)


def test_tables_and_figures_are_named(page, markup):
    assert all(each.get("scope") in ("row", "col") for each in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) >= 6
    pictures = [each for each in page.all("svg") if each.get("class") != "swatch"]
    assert len(pictures) == 1 + 2 + 2
    assert all(each["role"] == "img" and each["aria-label"] for each in pictures)
    assert len(re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>", markup)) == len(
        pictures
    )
    scrolled = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)


def test_each_figures_data_can_be_had_from_the_page(page):
    links = {each["download"]: each["href"] for each in page.all("a") if "download" in each}
    raw = base64.b64decode(links["small-training-loss.csv"].partition("base64,")[2]).decode()
    rows = list(csv.DictReader(io.StringIO(raw)))
    assert [float(row["Mean"]) for row in rows if row["Architecture"] == "ConvNet"][:2] == [3.0, 2.0]
    for name in ("accuracy.svg", "accuracy.png", "verdict.tex", "verdict.md", "failures.csv", "runs.csv"):
        assert f"small-{name}" in links


def test_the_same_results_make_the_same_page(study, results, report, markup, tmp_path):
    again = make_report(study, study.seeds, with_curves(results), recorded=["crossarch run small --storage /x"])
    assert render_page(again) == markup
    (tmp_path / "index.html").write_text(markup)
    assert digest_of(tmp_path / "index.html") == report.digest


def test_another_result_makes_another_digest(study, results, report):
    name = next(name for name in results if results[name].outcome == "finished")
    changed = results | {name: dataclasses.replace(results[name], finished_at="2027")}
    assert (
        make_report(study, study.seeds, changed, recorded=["crossarch run small --storage /x"]).digest != report.digest
    )


@pytest.mark.parametrize("content", [None, "", "<html>", '<meta name="crossarch-digest" content="x">'])
def test_a_page_of_someone_else_has_no_digest(tmp_path, content):
    if content is not None:
        (tmp_path / "index.html").write_text(content)
    assert digest_of(tmp_path / "index.html") is None


def test_hostile_text_is_shown_and_nothing_else(study, make_results):
    study = hostile(study)
    names = study.networks
    told = {("baseline", names[0]): [1.0, 2.0, "failed"], ("full", names[1]): [1.0, "diverged", None]}
    results = make_results(
        study, told, error=HOSTILE, environment={"cpu": HOSTILE, "torch": HOSTILE, "commit": HOSTILE}
    )
    report = make_report(study, study.seeds, with_curves(results), recorded=[HOSTILE])
    markup = render_page(report)
    page = Page(markup)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not [key for _, each in page.elements for key in each if key.startswith("on")]
    assert "</script><script>alert('x')</script>" in page.text
    script = (HERE / "page.js").read_text().strip()
    assert markup.count("<script") == 1
    assert f"<script>{script}</script>" in markup
    for name, content in files(report):
        assert "/" not in name
        if name.endswith(".csv"):
            assert not re.search(r'(^|,)"?\s*[=@]', content, re.M), name


def test_of_a_study_without_curves_or_failures_there_is_only_what_there_is(study, make_results):
    results = make_results(study, {("baseline", "ConvNet"): [1.0, 2.0, 3.0]})
    page = Page(render_page(make_report(study, study.seeds, results)))
    assert "What did not finish" not in page.text
    assert "over epochs" not in page.text
    assert "No command is recorded" in page.text


def test_files_beside_the_page_hold_each_figure_and_table(report):
    names = [name for name, _ in files(report)]
    assert names[-1] == "index.html"
    for stem in ("accuracy", "validation-accuracy", "training-loss"):
        assert {f"{stem}.svg", f"{stem}.png"} <= set(names)
    for stem in ("verdict", "numbers", "runs", "machines", "failures", "training-loss"):
        assert {f"{stem}.csv", f"{stem}.tex", f"{stem}.md"} <= set(names)
    assert len(set(names)) == len(names)


def test_what_the_page_says_is_what_the_table_has(study, results, page):
    table = build_table(study, study.seeds, results)
    for row in table.rows:
        for cell in row.cells:
            if cell and cell.accuracy:
                assert f"{cell.accuracy.mean:.1f}" in page.text


def test_long_data_of_a_figure_are_in_the_page_as_csv_alone(study, results, monkeypatch):
    monkeypatch.setattr("crossarch.platform.report.page.MOST_ROWS", 5)
    page = Page(render_page(make_report(study, study.seeds, with_curves(results))))
    links = [each["download"] for each in page.all("a") if "download" in each]
    assert "small-training-loss.csv" in links
    assert "small-training-loss.tex" not in links
    assert "12 rows:" in page.text
