"""A study by its path goes wherever a name goes; and what is wrong with it is one sentence, exit status 2."""

import dataclasses
import json
import pickle
import re
from pathlib import Path

import pytest
from digits_sets import as_distilled, stored

from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.catalog import find, without_places
from crossarch.search_spaces.quickstart import DISTILS, SMOKE_SET
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import from_dict

README = (Path(__file__).parents[2] / "README.md").read_text()
(EXAMPLE,) = (code for code in re.findall(r"^```python\n(.+?)^```", README, re.M | re.S) if "STUDY = " in code)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the README's example lies as `taus.py`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taus.py").write_text(EXAMPLE)
    return tmp_path


def test_the_readmes_example_is_a_study_of_15_lines(folder):
    assert len(EXAMPLE.splitlines()) <= 15
    study = find("./taus.py")
    distilling = [plan.config for plan in study.expand() if plan.config.kd]
    assert {config.kd.temperature for config in distilling} == {0.5, 1.5, 5.0}
    assert {config.kd.teacher.model.architecture for config in distilling} == {"convnet"}
    assert len(list(study.smoke().expand())) == len(list(study.expand((0,))))


def test_every_command_that_takes_a_study_takes_its_file(crossarch, folder):
    stored(folder / "results", as_distilled(SMOKE_SET, DISTILS[SMOKE_SET]))
    storage = ("--smoke", "--storage", "results")
    assert "10, of which 0 are in the ledger" in crossarch("run", "./taus.py", "--dry-run", *storage).out
    assert "taus-smoke: 0 of 10 runs finished" in crossarch("status", "taus.py", *storage).out
    assert crossarch("ledger", "export", folder / "taus.py", "runs.json", *storage).out.startswith("10 runs written")
    runs = json.loads((folder / "runs.json").read_text())["runs"]
    for config in map(from_dict, runs[:4]):
        Ledger(folder / "results").write(RunResult(config=config, outcome="finished", test_accuracy=50.0))
    for arguments in (("report", "./taus.py", "--markdown"), ("compare", "./taus.py", "./taus.py")):
        answer = crossarch(*arguments, *storage)
        assert (answer.status, answer.err) == (0, ""), arguments
        assert "tau 0.5" in answer.out


def test_what_workers_get_needs_no_file(folder):
    """Else a study file would have to lie on every node."""
    from crossarch.platform.scheduling.site import Site
    from crossarch.platform.scheduling.tune import Interrupt, QueueSearcher
    from crossarch.platform.scheduling.workers import Cohorts, Packing

    plan = make_plan(find("./taus.py").smoke().expand(), {}, folder / "weights")
    site = Site(root=Path("elsewhere"), tracking="", address=None, data_root=None)
    cohorts = Cohorts(ReadyQueue([plan]), [], Packing(site.demand), most=3)
    spec = QueueSearcher(cohorts, site, Interrupt()).suggest("1")
    assert len({run["run_id"] for run in spec["runs"]} & set(plan.runs)) == 3
    assert b"taus" not in pickle.dumps(spec)
    assert b"crossarch." not in pickle.dumps(spec), "an object of ours, not plain values"


def test_a_page_tells_the_files_name_and_not_where_it_lay():
    assert without_places("crossarch run /home/me/taus.py --storage /x --smoke") == "crossarch run taus.py --smoke"


MINE = "import dataclasses\nfrom crossarch.search_spaces.quickstart import ARMS, QUICKSTART\n"
FIELDS = {
    "seeds=[0, 1]": "study = 'bad.py': seeds = [0, 1]: input should be a valid tuple",
    "budget='1'": "study = 'bad.py': budget = '1': input should be a valid number",
    "question=None": "study = 'bad.py': question = None: input should be a valid string",
    "metric='accuracy'": "study = 'bad.py': metric = 'accuracy': input should be 'test_accuracy' or ",
    "most_runs=35": "study = 'bad.py': study bad with 3 seeds expands past its most_runs = 35: leave some out",
    "arms=(dataclasses.replace(ARMS['full'], changes={'kd.tau': 3}),)": "study = 'bad.py': kd.tau is unknown",
    "arms=(dataclasses.replace(ARMS['full'], label=3),)": "study = 'bad.py': arm full: label = 3: input should be",
    "arms=(dataclasses.replace(ARMS['full'], changes={'epochs': object()}),)": "study = 'bad.py'",
    "name=7": "study = 'bad.py': name = 7: input should be a valid string",
}


@pytest.mark.parametrize(("field", "sentence"), FIELDS.items(), ids=[key[:30] for key in FIELDS])
@pytest.mark.parametrize("command", ["run", "report"])
def test_a_field_that_is_not_allowed_is_named(crossarch, tmp_path, monkeypatch, command, field, sentence):
    monkeypatch.chdir(tmp_path)
    values = field if field.startswith("name") else f"name='bad', {field}"
    Path("bad.py").write_text(f"{MINE}STUDY = dataclasses.replace(QUICKSTART, claims=(), {values})\n")
    answer = crossarch(command, "bad.py")
    assert (answer.status, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert line.startswith(f"crossarch: {sentence}")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.py"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("run", "./taus.py", "--seeds", "1000", "--dry-run"),
            "study taus with 1000 seeds expands past its most_runs = 10,000",
        ),
        (
            ("report", "./taus.py"),
            "study = 'taus' has no results in 'crossarch-results', and quickstart-frepo-ipc1 is not distilled",
        ),
        (("report", "./none.py"), "study = './none.py' cannot be read: No such file or directory"),
        (("sweep", "taus.py", "--arm", "fuller"), "arm = 'fuller' of taus is not one of "),
        (("compare", "taus.py", "taus.py"), "study = 'taus.py' has no results in 'crossarch-results': "),
        (("compare", "taus.py", "table99"), "study = 'table99' is unknown; known: "),
        (
            ("compare", "taus.py@abcd", "taus.py"),
            "commit = 'abcd' trained no run below 'crossarch-results': there are none",
        ),
        (("compare", "taus.py", "taus.py", "--by", "arm,arm"), "by = 'arm,arm' names a key twice"),
        (
            ("compare", "taus.py", "taus.py", "--by", "shape"),
            "by = 'shape' is not arm, an axis of taus (tau, architecture)",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(crossarch, folder, arguments, sentence):
    answer = crossarch(*arguments)
    assert (answer.status, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert line.startswith(f"crossarch: {sentence}")
    assert [path.name for path in folder.iterdir()] == ["taus.py"]


def test_a_file_may_raise_its_own_limit(folder):
    study = find("./taus.py")
    many = tuple(range(2000))
    with pytest.raises(ValueError, match="most_runs"):
        study.check_size(many)
    dataclasses.replace(study, most_runs=10**6).check_size(many)
