"""What a batch refuses: in one sentence, with exit status 2, before anything is trained or written."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from settings import PLAIN

from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.training import batch
from crossarch.trainables.training.batch import main


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "execute", lambda *arguments, **named: pytest.fail("something was trained"))


def values(config: RunConfig = PLAIN, **changes: Any) -> dict[str, Any]:
    return config.to_dict() | changes


BAD_FILES = {
    "not json": ("{", "is not JSON"),
    "binary": ("\x00\x01", "is not JSON"),
    "a number": ("3", "neither a list of runs"),
    "an object": ('{"configs": []}', "neither a list of runs"),
    "more than runs": ('{"runs": [], "seeds": 3}', "neither a list of runs"),
    "a list of numbers": ("[1]", "run 1: 1 is not a configuration"),
    "unknown key": (json.dumps([values(), values(colour=1)]), "run 2: colour is unknown"),
    "missing key": (json.dumps([{}]), "run 1: data is missing"),
    "bad value": (json.dumps([values(epochs=0)]), "epochs = 0 is outside"),
    "not a whole number": (json.dumps([values(epochs=2.5)]), "epochs = 2.5 is not a whole number"),
    "not a number": (json.dumps([values(seed="one")]), "seed = 'one' is not a whole number"),
    "not finite": (json.dumps([values(seed=float("nan"))]), "seed = nan is not a whole number"),
    "a list for a value": (json.dumps([values(epochs=[2])]), "epochs = [2] is not a whole number"),
    "a text for a list": (json.dumps([values(augmentation={"folds": 1, "pool": "flip"})]), "is not a list"),
    "a list of networks": (
        json.dumps([values(model={"architecture": ["convnet"]})]),
        "model.architecture = ['convnet'] is not one of convnet",
    ),
    "unknown data": (
        json.dumps([values(data={"kind": "real", "dataset": "cats", "images_per_class": 1})]),
        "data.dataset = 'cats' is not one of digits",
    ),
    "a value for a part": (json.dumps([values(model="convnet")]), "model = 'convnet' is not allowed"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files_are_refused_in_one_sentence_before_any_training(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text)

    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    refused(capsys, reason)
    assert not (tmp_path / "out").exists()


def refused(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    output = capsys.readouterr()
    assert reason in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


def good(folder: Path) -> str:
    path = folder / "runs.json"
    path.write_text(json.dumps([values()]))
    return str(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.json"), "--out", str(tmp_path)]) == 2
    refused(capsys, "absent.json cannot be read: No such file")


def test_an_output_that_is_no_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = good(tmp_path)

    assert main([runs, "--out", runs]) == 2
    refused(capsys, "--out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([good(tmp_path), "--out", str(tmp_path / "out"), "--device", "cuda"]) == 2
    refused(capsys, "--device = cuda")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "required"),
        (["runs.json"], "--out"),
        (["runs.json", "--out", "x", "--device", "abacus"], "'abacus'"),
        (["runs.json", "--out", "x", "--checkpoint-seconds", "-1"], "--checkpoint-seconds"),
        (["runs.json", "--out", "x", "--checkpoint-seconds", "nan"], "--checkpoint-seconds"),
        (["runs.json", "--out", "x", "--folds", "3"], "--folds"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)

    assert exited.value.code == 2
    refused(capsys, reason)
