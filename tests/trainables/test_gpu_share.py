"""A run's share of its GPU, with torch's own functions looked at and not called: most machines have none."""

import pytest
import torch

from crossarch.trainables.tune import claim_device


@pytest.fixture
def told(monkeypatch):
    shares = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    return shares


def test_a_run_takes_its_share_of_the_memory(told, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert claim_device(0.25) == "cuda"
    assert claim_device(1.0) == "cuda", "the next run in the same process may have all of it again"
    assert told == [0.25, 1.0]


def test_without_a_gpu_nothing_is_capped(told, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert claim_device(0.25) == "cpu"
    assert told == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_more_than_its_share_is_out_of_memory():
    device = claim_device(0.01)
    whole = torch.cuda.get_device_properties(0).total_memory
    try:
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(whole // 50, dtype=torch.uint8, device=device)
    finally:
        claim_device(1.0)
