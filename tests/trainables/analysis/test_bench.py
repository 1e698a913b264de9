"""What takes turns in the bench really trains, and what is told of it is arithmetic that can be checked."""

import json
from pathlib import Path

import pytest
import torch
from settings import PLAIN, STUDENT
from torch import nn

from crossarch.trainables.analysis.engine_speed import (
    FIELD,
    HEADINGS,
    LOOPS,
    Bench,
    Operators,
    Rates,
    field_rotate,
    field_scale,
    main,
    measure_rates,
    roofline_seconds,
    table,
)
from crossarch.trainables.analysis.step_cost import FEWEST_REPEATS
from crossarch.trainables.methods.augmentation import apply_rotate, apply_scale
from crossarch.trainables.methods.drop_path import pop_observed


@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_trains_all_batches_drops_paths_and_learns(loop: str) -> None:
    bench = Bench(STUDENT, loop, "cpu")
    before = [parameter.clone() for parameter in bench.work.progress.model.parameters()]
    steps = bench.work.progress.steps
    bench.train(2)

    assert bench.work.progress.steps == steps + 2 * 2  # 20 images in batches of 10
    observed = pop_observed(bench.work.progress.model)
    assert observed is not None
    assert 0.3 < observed < 0.7
    after = bench.work.progress.model.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert torch.isfinite(bench.losses)


def test_grids_made_sample_by_sample_are_the_same_augmentation() -> None:
    images = torch.randn(5, 1, 8, 8)
    torch.manual_seed(3)
    factors = torch.stack([torch.rand(5), torch.rand(5)], 1) * (1.2 - 1 / 1.2) + 1 / 1.2
    torch.manual_seed(3)
    torch.testing.assert_close(field_scale(images), apply_scale(images, factors))
    torch.manual_seed(3)
    angle = (torch.rand(5) - 0.5) * 30 * torch.pi / 180
    torch.manual_seed(3)
    torch.testing.assert_close(field_rotate(images), apply_rotate(images, angle))


def test_the_roofline_of_a_matrix_product_and_of_a_sum_are_worked_by_hand() -> None:
    left, right = torch.randn(30, 40), torch.randn(40, 50)
    fast_memory, fast_arithmetic = Rates(flops=1e3, bandwidth=1e12), Rates(flops=1e12, bandwidth=1e3)

    assert roofline_seconds(lambda: left @ right, fast_memory) == pytest.approx(2 * 30 * 40 * 50 / 1e3)
    moved = 4 * (30 * 40 + 40 * 50 + 30 * 50)
    assert roofline_seconds(lambda: left @ right, fast_arithmetic) == pytest.approx(moved / 1e3)
    assert roofline_seconds(lambda: left + 1, fast_arithmetic) == pytest.approx(4 * 2 * 30 * 40 / 1e3)
    assert roofline_seconds(lambda: left.view(-1), fast_arithmetic) == 0


def test_the_backward_pass_counts_twice_the_forward_s_arithmetic() -> None:
    layer = nn.Linear(40, 50, bias=False)
    images = torch.randn(30, 40, requires_grad=True)
    with Operators() as operators:
        layer(images).sum().backward()

    assert sum(flops for flops, _ in operators.recorded) == 3 * 2 * 30 * 40 * 50


def test_rates_are_positive() -> None:
    rates = measure_rates(torch.device("cpu"), side=64, megabytes=1)

    assert rates.flops > 0
    assert rates.bandwidth > 0


@pytest.mark.filterwarnings("ignore:Memory block of unknown size")
def test_a_bare_machine_gets_document_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, out = tmp_path / "runs.json", tmp_path / "out.json"
    runs.write_text(json.dumps([{"network": "ConvNet", "arm": "Baseline", "config": PLAIN.to_dict()}]))
    arguments = [str(runs), "--out", str(out), "--device", "cpu", "--epochs", "1"]

    assert main([*arguments, "--repeats", str(FEWEST_REPEATS - 1)]) == 2
    assert main([*arguments, "--repeats", str(FEWEST_REPEATS)]) == 0
    document = json.loads(out.read_text())

    assert [each["loop"] for each in document["runs"]] == list(LOOPS)
    assert capsys.readouterr().out.splitlines()[0] == "\t".join(HEADINGS)
    assert all(len(line) == len(HEADINGS) for line in table(document))
    for each in document["runs"]:
        assert len(each["seconds"]) == FEWEST_REPEATS
        assert each["loss_is_finite"]
        assert each["peak_bytes"] > 0
        assert each["roofline_share"] > 0
        assert set(each["gain"]) == set(FIELD)
    assert document["runs"][0]["gain"][FIELD[0]] == 1
