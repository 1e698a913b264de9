"""One run as a study of its own, for trying a recipe out."""

import dataclasses
from typing import Any

from crossarch.search_spaces.quickstart import ARMS, BASE, QUICKSTART
from crossarch.search_spaces.recipes import Arm, Changes
from crossarch.search_spaces.study import Axis, Study

EPOCHS = ("epochs", "phases", "learning_rate")
"""What is counted in epochs, or has settings that are: taken as it is given, whatever the budget."""

BUDGET = 0.02
"""Of the paper's epochs: on 10 images a class, 400 steps."""

SHARED = ("data", "precision", "engine")
"""What student and teacher have in common: changes to these reach both."""

WHOLE = ("model", "kd", "kd.teacher", "kd.teacher.model")
"""Parts that arm and network set up, which would undo a new whole: `single_run` takes their settings one by one."""


def single_run(arm: str, changes: Changes) -> Study:
    """The study `train`: one arm of quickstart on its real images, with `changes` by dotted name.

    `kd.teacher.*` names the teacher's settings; the networks are `model.architecture` and
    `kd.teacher.model.architecture`. Raises ValueError for an unknown arm or setting, and for a part of `WHOLE`.
    """
    if arm not in ARMS:
        raise ValueError(f"arm = {arm!r} is unknown; known: {', '.join(ARMS)}")
    for name in WHOLE:
        if name in changes:
            raise ValueError(f"{name} = {changes[name]!r} is a whole part: change its settings, {name}.KEY, one by one")
    own: dict[str, Any] = dict(changes)
    seed = own.pop("seed", QUICKSTART.seeds[0])
    shared = {name: own.pop(name) for name in changes if name.partition(".")[0] in SHARED}
    taught = {name.removeprefix("kd.teacher."): own.pop(name) for name in changes if name.startswith("kd.teacher.")}
    network = own.get("model.architecture", "convnet" if ARMS[arm].for_teacher else "resnet18")
    recipe = dataclasses.replace(exactly(ARMS[arm], own), for_teacher=ARMS[arm].teacher is None)
    networks = {str(network): {"model.architecture": network}}
    if recipe.teacher is not None:
        recipe = dataclasses.replace(recipe, teacher=exactly(recipe.teacher, taught))
        networks = {"teacher": {"model.architecture": taught.get("model.architecture", "convnet")}, **networks}
    elif taught:
        raise ValueError(f"kd.teacher.{next(iter(taught))} is given, but the arm {arm} has no teacher")
    return dataclasses.replace(
        QUICKSTART,
        name="train",
        question=" ".join([f"{arm} on {network}", *(f"{name}={value}" for name, value in changes.items())]),
        reference="a single run",
        base=BASE,
        arms=(recipe,),
        axes=(Axis(name="architecture", choices=networks),),
        teacher=next(iter(networks)),
        seeds=(seed,),
        budget=BUDGET,
        distils={},
        claims=(),
        overrides=shared,
    )


def exactly(arm: Arm, changes: Changes) -> Arm:
    """The arm with `changes`, those of EPOCHS not to be scaled."""
    exact = {name: value for name, value in changes.items() if name.partition(".")[0] in EPOCHS}
    others = {name: value for name, value in changes.items() if name not in exact}
    return dataclasses.replace(arm.changed(others), exact=exact)
