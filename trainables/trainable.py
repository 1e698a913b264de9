"""One run, or one distillation, as a Ray Tune trial: the only module of this room that knows Ray."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ray import tune

from crossarch.trainables.config import from_dict
from crossarch.trainables.distillers import run as distillation
from crossarch.trainables.distillers.config import from_dict as distill_from_dict
from crossarch.trainables.environment import describe
from crossarch.trainables.run import Workplace, execute, failure, now
from crossarch.trainables.working_copy import Files


def trainable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: trains the run of `spec` and reports `point`s, and at the end its `result`.

    `spec` holds `config` (a run), `root` (folder of checkpoints, weights and data), `data_root` (where data sets
    already lie, or None), `checkpoint_seconds` and `keep_weights`; `origin` is the storage elsewhere of which `root` is
    a working copy. An exception in a run is its outcome: trying it
    again would raise it again. A worker that dies is another matter: Tune starts the trial anew, and it goes on from
    its last checkpoint.
    """
    torch.set_num_threads(1)
    config = from_dict(spec["config"])
    workplace = Workplace(
        root=Path(spec["root"]),
        checkpoint_seconds=spec["checkpoint_seconds"],
        data_root=Path(spec["data_root"]) if spec["data_root"] else None,
        origin=origin,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = now()
    try:
        result = execute(
            config,
            workplace,
            device=device,
            keep_weights=spec["keep_weights"],
            on_report=lambda point: tune.report({"point": asdict(point)}),
        )
    except Exception as error:  # whatever it is, the study goes on and the ledger tells
        result = failure(config, error, started, describe(device))
    tune.report({"result": result.to_dict()})


def distillable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: distils the set of `spec` and reports `point`s, at the end `stored` or `failed`.

    `spec` holds `config` (a distillation), `name` (of the set), `root`, `data_root` and `checkpoint_seconds`. After a
    worker's death it goes on from its last checkpoint, as a run does.
    """
    torch.set_num_threads(1)
    workplace = Workplace(
        root=Path(spec["root"]),
        checkpoint_seconds=spec["checkpoint_seconds"],
        data_root=Path(spec["data_root"]) if spec["data_root"] else None,
        origin=origin,
    )
    try:
        manifest = distillation.execute(
            distill_from_dict(spec["config"]),
            workplace,
            spec["name"],
            device="cuda" if torch.cuda.is_available() else "cpu",
            on_report=lambda point: tune.report({"point": asdict(point)}),
        )
    except Exception as error:  # whatever it is, trying again would raise it again
        tune.report({"failed": f"{type(error).__name__}: {error}"})
    else:
        tune.report({"stored": manifest.name})
