"""The report in Markdown, and that nothing in a name or an error can become markup."""

import dataclasses
import re

import pytest

from crossarch.platform.report.markdown import escape, render_markdown
from crossarch.platform.report.tables import build_table
from crossarch.search_spaces.recipes import BASELINE


def report(study, results):
    return render_markdown(build_table(study, study.seeds, results))


def rows(text):
    """The cells of every table row, split where GitHub splits them."""
    return [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in text.splitlines() if line.startswith("|")]


def test_the_table_reads_like_the_papers(study, results):
    assert (
        "| Arm | ConvNet | ResNet18 |\n"
        "| --- | --- | --- |\n"
        "| Baseline | 82.0 ± 2.0 | 72.0 ± 2.8 (-10.0), n = 2, 1 diverged |\n"
        "| Full | – | 85.5 (+3.5), n = 1, 1 failed, 1 missing |\n"
    ) in report(study, results)


def test_teachers_failures_and_conditions_are_told(study, results):
    text = report(study, results)
    assert "| w/o DP &amp; KD | ConvNet | 90.5 ± 0.7 (+8.5), n = 2, 1 blocked |" in text
    assert len(re.findall(r"-s2 \| Baseline \| ResNet18 \| 2 \| diverged \| it was diverged \|", text)) == 1
    for told in ("**Training:** 1 min 50 s in all", "**Hardware:** Z80, 2 cores", "**Commit:** abc123"):
        assert told in text


def test_nothing_is_said_of_what_there_is_not(study):
    text = report(study, {})
    assert "not yet run" in text
    for absent in ("What did not finish", "Hardware", "Commit", "Training", "In brackets"):
        assert absent not in text


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        ("`rm`", r"\`rm\`"),
        ("one\ntwo\r\n\tthree", "one two three"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("[x](y) ![z]", r"\[x\](y) !\[z\]"),
        ("__init__ *b* ~c~ $d$", r"\_\_init\_\_ \*b\* \~c\~ \$d\$"),
        ("\x1b[1;31mred\x1b[0m\x00", "red"),
        ("85.3 ± 1.2 (-3.4)", "85.3 ± 1.2 (-3.4)"),
    ],
)
def test_escape(raw, escaped):
    assert escape(raw) == escaped


def test_hostile_names_and_errors_keep_the_tables_whole(study, make_results):
    hostile = "a|b\n| --- |\n<img src=x> `c`"
    study = dataclasses.replace(
        study, name=hostile, question=hostile, reference=hostile, arms=(dataclasses.replace(BASELINE, label=hostile),)
    )
    failed = {("baseline", "ConvNet"): ["failed"] * 3}
    text = report(study, make_results(study, failed, error=hostile, environment={"cpu": hostile, "commit": hostile}))
    assert "<" not in text
    assert {len(row) for row in rows(text)} == {3, 6}
    assert len(rows(text)) == 3 + 5
    assert "`" not in text.replace("\\`", "")
