"""Whatever a user mistypes is refused before anything is done: one sentence, exit status 2, nothing written."""

import re
import subprocess
import sys

import pyarrow as pa
import pytest

from crossarch.platform.store.parquet import write_table
from crossarch.search_spaces.catalog import STUDIES
from crossarch.search_spaces.quickstart import SMOKE_SET


@pytest.fixture
def refused(crossarch, listing, tmp_path, monkeypatch):
    """The sentence with which `crossarch` refuses these arguments."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        before = listing(tmp_path)
        answer = crossarch(*arguments)
        assert answer.status == 2, answer
        assert answer.out == ""
        assert listing(tmp_path) == before, "something was written"
        return only_sentence(answer.err)

    return call


def only_sentence(text):
    assert "Traceback" not in text
    (line,) = text.splitlines()
    assert line.startswith("crossarch: ")
    return line.removeprefix("crossarch: ")


@pytest.mark.parametrize("command", ["run", "status", "report"])
def test_an_unknown_study_is_named_with_those_there_are(refused, command):
    assert refused(command, "table99") == f"study = 'table99' is unknown; known: {', '.join(STUDIES)}"


OF_A_LEDGER = [
    ("run", "quickstart", "--dry-run"),
    ("status", "quickstart"),
    ("report", "quickstart"),
    ("compare", "quickstart", "table2"),
]


@pytest.mark.parametrize("arguments", OF_A_LEDGER)
@pytest.mark.parametrize(("version", "hint"), [(0, ": `crossarch ledger migrate`"), (99, "")])
def test_a_ledger_of_another_schema_is_refused(refused, tmp_path, arguments, version, hint):
    runs = tmp_path / "crossarch-results" / "ledger" / "runs"
    runs.mkdir(parents=True)
    write_table(runs / "odd-s0.parquet", pa.table({"run_id": ["odd-s0"]}), version)
    sentence = rf"odd-s0\.parquet has schema version {version}, but this version of crossarch reads \d+{hint}$"
    assert re.search(sentence, refused(*arguments))


TRAIN = {
    "epoch=3": "epoch is unknown; known here: augmentation, batch_size, ",
    "kd.tau=1.5": "kd.tau is unknown; known here: alpha, teacher, teacher_weights, temperature",
    "kd.teacher.epoch=3": "kd.teacher.epoch is unknown",
    "optimiser.name=lion": "optimiser is unknown; known here: augmentation, batch_size, data",
    "model.architecture=vit": "model.architecture = 'vit' is not one of convnet, resnet18",
    "model.architecture=11": "model.architecture = 11 is not one of convnet, resnet18",
    'model.architecture=["vgg11"]': "model.architecture = ['vgg11'] is not one of convnet, resnet18",
    "data.dataset=mnist": "data.dataset = 'mnist' is not one of digits",
    "data.images_per_class=90": "data.images_per_class = 90 is more than the 89 that every class of digits has",
    "kd.alpha=1.01": "kd.alpha = 1.01 is outside [0, 1]",
    "kd.alpha=-0.01": "kd.alpha = -0.01 is outside [0, 1]",
    "kd.alpha=much": "kd.alpha = 'much' is not a number in [0, 1]",
    "kd.alpha=null": "kd.alpha = None, but a run needs it",
    "kd.temperature=0": "kd.temperature = 0 is outside (0, inf)",
    "kd.temperature=-1.5": "kd.temperature = -1.5 is outside (0, inf)",
    "kd.temperature=Infinity": "kd.temperature = inf is outside (0, inf)",
    "keep_rate.minimum=0": "keep_rate.minimum = 0 is outside (0, 1]",
    "keep_rate.minimum=1.5": "keep_rate.minimum = 1.5 is outside (0, 1]",
    "keep_rate.final=-0.8": "keep_rate.final = -0.8 is outside (0, 1]",
    "keep_rate.final=NaN": "keep_rate.final = nan is outside (0, 1]",
    "augmentation.folds=7": "augmentation.folds = 7 is outside [0, 6]",
    "augmentation.folds=6": "augmentation.folds = 6 is more than the 5 operations of the pool",
    "augmentation.folds=-1": "augmentation.folds = -1 is outside [0, 6]",
    "augmentation.folds=true": "augmentation.folds = True is not a whole number in [0, 6]",
    "phases.stabilization=10": "phases.stabilization = 10 must come after warmup = 10 (S > W in Alg. 1)",
    "phases.warmup=9000": "phases.stabilization = 60 must come after warmup = 9000 (S > W in Alg. 1)",
    "epochs=121": "epochs = 121 is more than twice phases.stabilization = 60",
    "epochs=0": "epochs = 0 is outside [1, inf)",
    "epochs=-4000": "epochs = -4000 is outside [1, inf)",
    "epochs=ten": "epochs = 'ten' is not a whole number in [1, inf)",
    "epochs=1.5": "epochs = 1.5 is not a whole number",
    f"epochs=1{'0' * 400}": "epochs = 1000",
    f"epochs=1{'0' * 5000}": "",
    "learning_rate.maximum=-1e-4": "learning_rate.maximum = -0.0001 is outside (0, 10]",
    "optimizer.weight_decay=-1": "optimizer.weight_decay = -1 is outside [0, 10]",
    "batch_size=0": "batch_size = 0 is outside [1, inf)",
    "seed=-1": "seed = -1 is outside [0, 2147483647]",
    "seed=first": "seed = 'first' is not a whole number in [0, 2147483647]",
    "kd.teacher.epochs=0": "kd.teacher.epochs = 0 is outside [1, inf)",
    'model={"width":1}': "model = {'width': 1} is a whole part: change its settings, model.KEY, one by one",
    "kd=null": "kd = None is a whole part: change its settings, kd.KEY, one by one",
    "epochs": "'epochs' is not of the form key=value",
}


@pytest.mark.parametrize(("assignment", "sentence"), TRAIN.items(), ids=[key[:40] for key in TRAIN])
def test_a_setting_that_is_not_allowed_is_named_with_its_value_and_what_is(refused, assignment, sentence):
    assert refused("train", "--arm", "full", assignment).startswith(sentence)


def test_an_unknown_arm_is_named_with_those_there_are(refused):
    assert (
        refused("train", "--arm", "best")
        == "arm = 'best' is unknown; known: baseline, without_dp_kd, without_dp, without_kd, full"
    )


def test_a_teacher_is_only_for_an_arm_that_has_one(refused):
    assert refused("train", "kd.teacher.epochs=10") == "kd.teacher.epochs is given, but the arm baseline has no teacher"


@pytest.mark.parametrize(
    "command", [("run", "quickstart"), ("status", "quickstart"), ("report", "quickstart"), ("sync",)]
)
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "ftp://bucket/x",
            "storage = 'ftp://bucket/x' is neither a folder nor s3://bucket/prefix nor gs://bucket/prefix",
        ),
        ("s3://", "storage = 's3://' names no bucket: give s3://bucket/prefix"),
        (
            "s3://key:secret@bucket/x",
            "storage = 's3://bucket/x' was given with credentials or parameters: they come from",
        ),
    ],
)
def test_a_storage_elsewhere_is_a_bucket_without_credentials(refused, command, place, sentence):
    found = refused(*command, "--storage", place)
    assert found.startswith(sentence)
    assert "secret@" not in found


def test_a_setting_is_given_once(refused):
    assert refused("train", "epochs=1", "epochs=2") == "epochs is given twice"


@pytest.mark.parametrize("command", [("run", "quickstart"), ("status", "quickstart"), ("train",)])
@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "-inf", "1e308", "half", ""])
def test_a_budget_is_a_positive_number(refused, command, budget):
    sentence = refused(*command, f"--budget={budget}")
    assert "budget" in sentence or "too large" in sentence
    assert "too large" in sentence or (budget or "''") in sentence


@pytest.mark.parametrize("command", [("run",), ("status",), ("report",), ("ledger", "export")])
def test_an_engine_is_one_that_there_is(refused, command):
    file = ("runs.json",) if command[0] == "ledger" else ()
    sentence = refused(*command, "quickstart", *file, "--engine=quick")
    assert sentence == "engine = 'quick' is not one of reference, fast, fast_bfloat16"


@pytest.mark.parametrize("seeds", ["0", "-3", "1001", "1.5", "two"])
def test_there_are_from_one_to_a_thousand_seeds(refused, seeds):
    sentence = refused("run", "quickstart", f"--seeds={seeds}")
    assert "seeds" in sentence
    assert seeds in sentence
    assert sentence.endswith(("is outside [1, 1000]", "is not a whole number"))


COMMANDS = [
    ("run", "quickstart"),
    ("run", "quickstart", "--dry-run"),
    ("train",),
    ("sync",),
    ("clean",),
    ("ui",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", ["file", "file/below/it", "/proc/crossarch", "/proc/self/below/it", "x" * 300])
def test_a_storage_that_cannot_be_written_is_refused(refused, tmp_path, command, place):
    """Also by root, to whom permissions are nothing."""
    (tmp_path / "file").touch()
    sentence = refused(*command, "--storage", place)
    assert sentence.startswith(f"storage = '{place}' ")
    assert "is not a folder: " in sentence or "cannot be written to: " in sentence


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "does not answer as a Ray cluster does: Connection refused"),
        ("nowhere.invalid:6379", "does not answer as a Ray cluster does: "),
        ("127.0.0.1:99999", "does not answer as a Ray cluster does: "),
        ("nowhere", "is neither auto nor host:port"),
        ("http://127.0.0.1:9/x", "is neither auto nor host:port"),
    ],
)
@pytest.mark.filterwarnings("default")  # importing Ray
def test_a_cluster_that_does_not_answer_is_refused_at_once(refused, address, sentence):
    assert refused("run", "quickstart", "--address", address).startswith(f"address = '{address}' {sentence}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rnu", "quickstart"), "No such command 'rnu'. Did you mean 'run'?"),
        (("run",), "Missing argument 'STUDY...'."),
        (("run", "table2", "table3", "table2"), "study = 'table2' is given twice"),
        (("run", "quickstart", "--smok"), "No such option: --smok (Possible options: --smoke)"),
        (("status", "quickstart", "table2"), "Got unexpected extra argument(s) (table2)"),
        (("run", "quickstart", "--budget"), "Option '--budget' requires an argument."),
        (("run", "quickstart", "--budget", "x"), "Invalid value for '--budget': 'x' is not a number"),
        (("ui", "--port", "0"), "port = 0 is outside [1, 65535]"),
        (("ui", "--port", "http"), "Invalid value for '--port': 'http' is not a whole number"),
        (
            ("ledger", "import", "nowhere"),
            "folder = 'nowhere' has no results/*.json: give what `--out` of the batch was",
        ),
        (("ledger", "export", "quickstart", "."), "file = '.' is a folder, not a file to write"),
    ],
)
def test_a_slip_on_the_command_line_is_one_sentence_too(refused, arguments, sentence):
    assert refused(*arguments) == sentence


@pytest.mark.parametrize(
    "command", [("run", "quickstart"), ("train",), ("distill", "frepo")], ids=lambda given: given[0]
)
@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--gpus-per-run", "0.3", "gpus_per_run = 0.3 is neither 0 nor 1/k of a GPU: 1, 0.5, 0.25, 0.2 ... 0.0156"),
        ("--resources", "GPU=1", "resources = 'GPU=1': a run has one CPU, and its part of a GPU is --gpus-per-run"),
        ("--labels", "zone", "labels = 'zone' is not of the form name=value"),
        ("--grows-to", "0", "grows_to = 0 is outside [1, inf)"),
    ],
)
def test_what_no_node_can_be_asked_for_is_refused_alike(refused, command, option, value, sentence):
    assert refused(*command, option, value) == sentence


def test_a_cohort_without_runs_is_refused(refused):
    assert refused("run", "quickstart", "--cohort", "0") == "cohort = 0 is outside [1, inf)"


def test_a_storage_that_ends_with_the_job_is_refused(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    sentence = f"storage = '{tmp_path / 'here'}' lies in the job's working directory, which Ray removes"
    assert refused("run", "quickstart", "--storage", "here") == sentence


def test_a_report_without_results_is_refused(refused):
    sentence = f"study = 'quickstart-smoke' has no results in 'here', and {SMOKE_SET} is not distilled yet"
    sentence += ": `crossarch run quickstart` first"
    assert refused("report", "quickstart", "--smoke", "--storage", "here") == sentence


def test_the_real_command_refuses_alike(tmp_path, listing):
    command = [sys.executable, "-c", "from crossarch.platform.cli.main import main; main()"]
    command += ["train", "--arm=full", "kd.alpha=2", "--storage=here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert only_sentence(done.stderr) == "kd.alpha = 2 is outside [0, 1]"
    assert listing(tmp_path) == {}
