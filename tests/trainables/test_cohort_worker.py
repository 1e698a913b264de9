"""What a worker reports of a cohort, by injected errors: no GPU is needed to raise what CUDA raises."""

import pytest
import torch
from ray import tune
from settings import PLAIN

from crossarch.trainables import tune as trainable
from crossarch.trainables.config.result import RunResult

SEEDS = [PLAIN.replace({"seed": seed}) for seed in range(3)]

CUDA = "CUDA error: an illegal memory access was encountered"
MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.fixture
def work(monkeypatch, tmp_path):
    """Trains the cohort SEEDS, of which the second raises `error`, with that share of a GPU; all that is reported."""
    told = []
    monkeypatch.setattr(tune, "report", told.append)
    monkeypatch.setattr(trainable, "claim_device", lambda share: "cpu")

    def call(error=None, gpu_share=1.0):
        def execute(config, workplace, **options):
            if config.seed == 1 and error is not None:
                raise error
            return RunResult(config=config, outcome="finished")

        monkeypatch.setattr(trainable, "execute", execute)
        runs = [{"config": config.to_dict(), "steps": 1, "keep_weights": False} for config in SEEDS]
        common = {"root": str(tmp_path), "data_root": None, "checkpoint_seconds": 1.0, "gpu_share": gpu_share}
        trainable.trainable({**common, "runs": runs})

    call.told = told
    return call


def outcomes(told):
    return [each["result"]["outcome"] if "result" in each else [*each] for each in told]


def test_all_are_trained_in_their_order(work):
    work()
    assert [each["result"]["config"]["seed"] for each in work.told] == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("shapes"), FileNotFoundError("weights")])
def test_an_exception_is_one_runs_alone(work, error):
    work(error)
    assert outcomes(work.told) == ["finished", "failed", "finished"]
    assert str(error) in work.told[1]["result"]["error"]
    assert not any("quits" in each for each in work.told)


@pytest.mark.parametrize("error", [torch.AcceleratorError(CUDA), RuntimeError(CUDA)])
def test_after_an_error_of_cudas_nothing_more_is_trained_in_that_process(work, error):
    with pytest.raises(RuntimeError, match="CUDA has failed in this process"):
        work(error)
    assert outcomes(work.told) == ["finished", "failed"]
    assert [each.get("quits") for each in work.told] == [None, True]
    assert CUDA in work.told[1]["result"]["error"]


def test_out_of_memory_on_a_shared_gpu_is_no_result_yet(work):
    work(torch.OutOfMemoryError(MEMORY), gpu_share=0.25)
    assert outcomes(work.told) == ["finished", ["out_of_memory"], "finished"]
    assert MEMORY in work.told[1]["out_of_memory"]


def test_out_of_memory_on_a_gpu_of_its_own_is_a_failure(work):
    work(torch.OutOfMemoryError(MEMORY))
    assert outcomes(work.told) == ["finished", "failed", "finished"]
    assert MEMORY in work.told[1]["result"]["error"]


def test_memory_that_others_have_taken_is_both(work):
    """CUDA itself found no memory, so it is to be tried elsewhere, and in a fresh process."""
    with pytest.raises(RuntimeError, match="CUDA has failed"):
        work(torch.AcceleratorError("CUDA error: out of memory"), gpu_share=0.5)
    assert [*work.told[1]] == ["out_of_memory", "quits"]
