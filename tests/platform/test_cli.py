"""What the commands answer, without training anything."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest
from digits_sets import as_distilled, digits_set, stored
from plans import needed_by

from crossarch.platform.commands import train
from crossarch.platform.scheduling.data import contents
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.catalog import STUDIES
from crossarch.search_spaces.distillations import distillation
from crossarch.search_spaces.quickstart import DISTILS, QUICKSTART, SET
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import from_dict

SLOW = ("torch", "ray", "mlflow", "pyarrow", "pandas", "sklearn", "scipy", "matplotlib", "optuna")

QUICK = 1.5
"""Seconds. The target is 0.5; the rest is for a busy machine."""

HELP = f"""
import sys
from crossarch.platform.cli.main import main
sys.argv = ["crossarch", *sys.argv[1:]]
try:
    main()
finally:
    sys.stderr.write(" ".join(name for name in {SLOW!r} if name in sys.modules))
"""

DISTILLED = as_distilled(SET, DISTILS[SET])
RUNS = needed_by(dataclasses.replace(QUICKSTART, bindings={SET: contents(DISTILLED[0])}).expand())
CONFIGS = {name: run.config for name, run in RUNS.items()}
"""The runs of quickstart by run id: twelve cells over three seeds, its teachers among them."""


@pytest.fixture
def results(tmp_path):
    """Every run of quickstart in the ledger: those of seed 2 without a result, the others with one; its set, too."""
    stored(tmp_path, DISTILLED)
    ledger = Ledger(tmp_path)
    for config in CONFIGS.values():
        done = {"test_accuracy": 50.0 + config.seed, "steps": 400, "device_seconds": 40.0}
        lost = {"outcome": "failed", "error": "no [memory]"}
        ledger.write(RunResult(config=config, **(lost if config.seed == 2 else {"outcome": "finished", **done})))
    return tmp_path


@pytest.mark.parametrize("arguments", [(), ("run",), ("train",), ("ledger", "import")], ids=" ".join)
def test_help_is_quick_and_imports_nothing_slow(arguments, tmp_path):
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", HELP, *arguments, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        seconds.append(time.perf_counter() - begun)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage:" in done.stdout
        if min(seconds) < QUICK:
            break
    assert min(seconds) < QUICK


@pytest.mark.parametrize("arguments", [(), ("ledger",)], ids=["crossarch", "ledger"])
def test_without_arguments_the_help_is_shown(crossarch, arguments):
    answer = crossarch(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("Usage:")


def test_studies_are_listed_with_their_runs(crossarch):
    answer = crossarch("studies")
    assert (answer.status, answer.err) == (0, "")
    for name in STUDIES:
        assert name in answer.out
    assert "ConvNet, ResNet18, VGG11" in answer.out
    assert f" {len(CONFIGS)}" in answer.out


def test_a_dry_run_counts_and_writes_nothing(crossarch, listing, tmp_path):
    answer = crossarch("run", "quickstart", "--dry-run", "--storage", tmp_path / "storage")
    assert (answer.status, answer.err) == (0, "")
    assert facts(answer.out) == {
        "Runs": "36, of which 0 are in the ledger",
        "To train": "36, of which 3 teach others",
        "To distil": f"{SET}, first, in 400 steps",
        "Time": "not known: the ledger has no run of these kinds yet",
        "Disk": "about 3 MB",
    }
    assert listing(tmp_path) == {}


def test_a_dry_run_knows_what_is_done_and_how_long_it_took(crossarch, listing, results):
    before = listing(results)
    answer = crossarch("run", "quickstart", "--dry-run", "--storage", results)
    told = facts(answer.out)
    assert told["Runs"] == "36, of which 24 are in the ledger"
    assert told["To train"] == "12, of which 1 teach others"
    assert told["Time"].endswith("from 24 runs done before")
    assert listing(results) == before


def test_a_dry_run_of_a_finished_study_has_nothing_to_train(crossarch, results):
    told = facts(crossarch("run", "quickstart", "--seeds=2", "--dry-run", "--storage", results).out)
    assert told == {"Runs": "24, of which 24 are in the ledger", "To train": "nothing"}


def facts(text):
    """The lines of a dry run by their names, but the study's question."""
    lines = (line.split("  ", 1) for line in text.splitlines() if line.strip() and not line.startswith((" ", "Study")))
    return {name: words.strip() for name, words in lines}


def test_seeds_go_on_from_the_studys_own(crossarch, tmp_path):
    told = facts(crossarch("run", "quickstart", "--seeds=5", "--dry-run", "--storage", tmp_path).out)
    assert told["Runs"].startswith("60, ")


def test_the_status_of_a_study_that_never_ran_is_that_all_is_missing(crossarch, listing, tmp_path):
    answer = crossarch("status", "quickstart", "--storage", tmp_path / "storage")
    assert (answer.status, answer.err) == (0, "")
    assert "quickstart: 0 of 36 runs finished" in answer.out
    assert f"{SET}: not distilled yet; `crossarch run quickstart` does so first" in answer.out
    assert listing(tmp_path) == {}


def test_the_status_counts_outcomes_and_tells_why(crossarch, listing, results):
    before = listing(results)
    answer = crossarch("status", "quickstart", "--storage", results)
    assert (answer.status, answer.err) == (0, "")
    assert "quickstart: 24 of 36 runs finished" in answer.out
    assert "no [memory]" in answer.out
    assert "not distilled" not in answer.out
    assert listing(results) == before


def test_the_report_has_means_and_what_is_lacking(crossarch, listing, results):
    before = listing(results)
    answer = crossarch("report", "quickstart", "--storage", results)
    assert (answer.status, answer.err) == (0, "")
    assert "50.5 ± 0.7" in answer.out
    assert "1 failed" in answer.out
    assert "no [memory]" in answer.out
    page = results / "reports" / "quickstart" / "index.html"
    assert answer.out.endswith(f"\nReport: {page}\n")
    assert "50.5 ± 0.7" in page.read_text()
    after = listing(results)
    kept = {name: told for name, told in after.items() if not name.startswith(str(results / "reports"))}
    assert kept == before, "something is written beside the report"
    assert crossarch("report", "quickstart", "--storage", results).out == answer.out
    assert listing(results) == after, "an unchanged report is written anew"


def test_the_report_goes_where_it_is_told(crossarch, results, tmp_path):
    answer = crossarch("report", "quickstart", "--storage", results, "--out", tmp_path / "elsewhere")
    assert answer.out.endswith(f"\nReport: {tmp_path / 'elsewhere' / 'index.html'}\n")
    assert (tmp_path / "elsewhere" / "verdict.tex").is_file()
    assert not (results / "reports").exists()


def test_a_report_that_cannot_be_written_is_one_line_and_the_table_stands(crossarch, results, tmp_path):
    (tmp_path / "file").touch()
    answer = crossarch("report", "quickstart", "--storage", results, "--out", tmp_path / "file")
    assert "50.5 ± 0.7" in answer.out
    assert answer.out.splitlines()[-1].startswith("The report cannot be written to")


def test_the_report_comes_as_markdown_too(crossarch, listing, results):
    before = listing(results)
    answer = crossarch("report", "quickstart", "--markdown", "--storage", results)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("## quickstart\n")
    assert "| Baseline | 50.5 ± 0.7" in answer.out
    assert listing(results) == before


def test_settings_of_train_reach_the_run(crossarch, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(train, "run_and_report", lambda *arguments: asked.append(arguments) or 0)
    settings = ["kd.alpha=0.25", "epochs=100", "seed=7", "kd.teacher.optimizer.beta1=0.5", "data.images_per_class=1"]
    assert crossarch("train", "--arm=full", *settings, "--storage", tmp_path, "--tracking=x:y").status == 0
    (([(study, seeds)], site),) = asked
    assert (seeds, site) == ((7,), Site(root=tmp_path, tracking="x:y"))
    (planned,) = study.expand()
    config = planned.config
    assert (config.kd.alpha, config.seed, config.model.architecture) == (0.25, 7, "resnet18")
    assert config.epochs == 100
    assert config.kd.teacher.optimizer.beta1 == 0.5
    assert config.data.images_per_class == config.kd.teacher.data.images_per_class == 1


def test_the_exit_status_of_a_run_is_the_commands(crossarch, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "run_and_report", lambda *arguments: 130)
    assert crossarch("run", "quickstart", "--storage", tmp_path).status == 130


def test_ctrl_c_before_anything_runs_is_130(crossarch, monkeypatch, tmp_path):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run_and_report", interrupted)
    answer = crossarch("run", "quickstart", "--storage", tmp_path)
    assert (answer.status, answer.err) == (130, "")


def test_ray_that_does_not_start_is_a_sentence(crossarch, monkeypatch, tmp_path, listing):
    attempts = []

    def init(address, **options):
        attempts.append(address)
        raise Exception("The current node timed out during startup.\nAnd much more.")  # noqa: TRY002, as Ray does

    monkeypatch.setattr("crossarch.platform.scheduling.cluster._init", init)
    answer = crossarch("run", "quickstart", "--storage", tmp_path)
    sentence = "Ray does not start on this machine: The current node timed out during startup."
    assert (answer.status, answer.out, answer.err) == (1, "", f"crossarch: {sentence}\n")
    assert attempts == ["local", "local"]
    assert listing(tmp_path) == {}


def test_export_writes_what_is_lacking(crossarch, results, tmp_path):
    file = tmp_path / "new" / "runs.json"
    answer = crossarch("ledger", "export", "quickstart", file, "--storage", results)
    assert (answer.status, answer.out) == (0, f"12 runs written to {file}\n")
    runs = [from_dict(values) for values in json.loads(file.read_text())["runs"]]
    assert [run.seed for run in runs] == [2] * 12


def test_another_engine_s_runs_are_others(crossarch, results, tmp_path):
    file = tmp_path / "runs.json"
    crossarch("ledger", "export", "quickstart", file, "--engine", "fast", "--storage", results)
    runs = [from_dict(values) for values in json.loads(file.read_text())["runs"]]
    assert {run.engine for run in runs} == {run.kd.teacher.engine for run in runs if run.kd} == {"fast"}
    assert len(runs) == len(CONFIGS)


def test_runs_on_a_set_that_is_not_distilled_are_not_exported(crossarch, monkeypatch, tmp_path, listing):
    """The sentence ends in the very command that makes the set."""
    answer = crossarch("ledger", "export", "quickstart", tmp_path / "runs.json", "--storage", tmp_path)
    assert (answer.status, answer.out, listing(tmp_path)) == (2, "", {})
    told = f"crossarch: data.distilled_set = {SET!r} is not distilled yet: `"
    assert answer.err.startswith(told)
    command = answer.err.removeprefix(told).removesuffix("` first\n").split()

    asked = []
    monkeypatch.setattr(
        "crossarch.platform.commands.distill.distil_into_store", lambda *given: asked.append(given) or 0
    )
    assert crossarch(*command[1:], "--storage", tmp_path).status == 0
    assert asked[0][:2] == (DISTILS[SET], SET)


@pytest.mark.parametrize("command", ["run", "status", "report"])
def test_a_set_of_its_name_that_was_made_otherwise_is_refused(crossarch, command, tmp_path):
    stored(tmp_path, as_distilled(SET, distillation("frepo", "digits", {"images_per_class": 1, "seed": 7})))
    answer = crossarch(command, "quickstart", "--storage", tmp_path)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"crossarch: data.distilled_set = {SET!r}: the set of that name below ")
    assert answer.err.count("\n") == 1


def test_a_set_that_was_not_distilled_here_is_refused(crossarch, tmp_path):
    stored(tmp_path, digits_set(name=SET))
    answer = crossarch("run", "quickstart", "--dry-run", "--storage", tmp_path)
    assert (answer.status, "was made otherwise than quickstart makes it" in answer.err) == (2, True)
    assert crossarch("status", "quickstart", "--smoke", "--storage", tmp_path).status == 0, "it has its own set"


@pytest.mark.parametrize("weights", [False, True])
def test_clean_says_what_it_freed(crossarch, tmp_path, weights):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.pt").write_bytes(bytes(2_000_000))
    answer = crossarch("clean", "--storage", tmp_path, *(["--weights"] if weights else []))
    assert (answer.status, answer.out) == (0, f"{2.0 if weights else 0.0} MB freed\n")


def test_sync_of_an_empty_storage_is_level_at_once(crossarch, listing, tmp_path):
    assert crossarch("sync", "--storage", tmp_path) == (0, "", "")
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("group", [(), ("bench",), ("data",), ("ledger",)], ids=" ".join)
def test_help_says_each_command_in_a_line_that_is_not_cut(crossarch, group):
    answer = crossarch(*group, "--help")
    commands = answer.out.partition("Commands:\n")[2].splitlines()
    assert commands
    assert [line for line in commands if line.endswith("...")] == []
