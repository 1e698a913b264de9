"""Study of a single run, for trying out a recipe."""

import dataclasses
from typing import Any

from crossarch.search_spaces.quickstart import ARMS, BASE, QUICKSTART
from crossarch.search_spaces.recipes import Arm, Changes
from crossarch.search_spaces.study import Axis, Smoke, Study
from crossarch.trainables.config.run import TORCHVISION

EPOCHS = ("epochs", "phases", "learning_rate")
"""Settings and parts measured in epochs: given values are used as they are, not scaled by the budget."""

BUDGET = 0.02
"""Factor on the paper's epochs: 400 steps at 10 images per class."""

SHARED = ("data", "precision", "engine")
"""Settings and parts shared by student and teacher: changes apply to both."""

WIDTH = "model.width"

WHOLE = ("model", "kd", "kd.teacher", "kd.teacher.model")
"""Parts set by arm and network, which cannot be replaced as a whole: `single_run` accepts their settings only."""


def single_run(arm: str, changes: Changes) -> Study:
    """Study `train`: one arm of quickstart on its real images.

    Args:
        arm: Name of the arm.
        changes: Changes by dotted name, `kd.teacher.*` for the teacher. `model.architecture` and
            `kd.teacher.model.architecture` choose the networks.

    Raises:
        ValueError: The arm is unknown, a part of WHOLE is changed, or a teacher's setting is given for an arm without
            one.
    """
    if arm not in ARMS:
        raise ValueError(f"arm = {arm!r} is unknown; known: {', '.join(ARMS)}")
    for name in WHOLE:
        if name in changes:
            raise ValueError(f"{name} = {changes[name]!r} is a whole part: change its settings, {name}.KEY, one by one")
    own: dict[str, Any] = dict(changes)
    seed = own.pop("seed", QUICKSTART.seeds[0])
    shared = {name: own.pop(name) for name in changes if name.partition(".")[0] in SHARED}
    if "data.distilled_set" in shared:  # implies distilled data
        known = {f"data.{name}": value for name, value in BASE["data"].items()}
        shared = {**known, "data.kind": "distilled", **shared}
    taught = {name.removeprefix("kd.teacher."): own.pop(name) for name in changes if name.startswith("kd.teacher.")}
    network = own.pop("model.architecture", "convnet" if ARMS[arm].for_teacher else "resnet18")
    teaches = taught.pop("model.architecture", "convnet")
    recipe = dataclasses.replace(exactly(ARMS[arm], own), for_teacher=ARMS[arm].teacher is None)
    networks = {str(network): network_changes(network)}
    if recipe.teacher is not None:
        recipe = dataclasses.replace(recipe, teacher=exactly(recipe.teacher, taught))
        networks = {"teacher": network_changes(teaches), **networks}
    elif taught:
        raise ValueError(f"kd.teacher.{next(iter(taught))} is given, but the arm {arm} has no teacher")
    return dataclasses.replace(
        QUICKSTART,
        name="train",
        question=" ".join([f"{arm} on {network}", *(f"{name}={value}" for name, value in changes.items())]),
        reference="a single run",
        base={name: value for name, value in BASE.items() if name != WIDTH},
        arms=(recipe,),
        axes=(Axis(name="architecture", choices=networks),),
        teacher=next(iter(networks)),
        seeds=(seed,),
        budget=BUDGET,
        distils={},
        claims=(),
        smoke_form=Smoke(budget=0.04, changes={}),
        overrides=shared,
    )


def network_changes(architecture: Any) -> Changes:
    """Changes for a network of quickstart's width; torchvision's networks keep their own."""
    narrow = {} if str(architecture).startswith(TORCHVISION) else {WIDTH: BASE[WIDTH]}
    return {"model.architecture": architecture, **narrow}


def exactly(arm: Arm, changes: Changes) -> Arm:
    """The arm with `changes`; those of EPOCHS are not scaled by the budget."""
    exact = {name: value for name, value in changes.items() if name.partition(".")[0] in EPOCHS}
    others = {name: value for name, value in changes.items() if name not in exact}
    return dataclasses.replace(arm.changed(others), exact=exact)
