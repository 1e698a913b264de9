"""Strings that break a careless page, and results with curves."""

import dataclasses

from crossarch.trainables.config.result import Point

HOSTILE = "=1+1</script><script>alert('x')</script> & \"q\" 50%_a {b} $c$\n<img src=x onerror=alert(1)>|`d`"


def with_curves(results, points=4):
    """The finished results with a curve of so many points, of which the last two have an accuracy."""
    return {
        name: dataclasses.replace(
            each,
            curve=tuple(
                Point(
                    epoch=number + 1,
                    train_loss=2.0 / (number + 1) + each.config.seed,
                    learning_rate=1e-3,
                    keep_rate=1.0,
                    validation_accuracy=50.0 + number + each.config.seed if number >= points - 2 else None,
                )
                for number in range(points)
            ),
        )
        if each.outcome == "finished"
        else each
        for name, each in results.items()
    }


def hostile(study):
    """The study with hostile labels of its arms and networks, question, reference and name."""
    arms = tuple(dataclasses.replace(arm, label=f"{HOSTILE} {place}") for place, arm in enumerate(study.arms))
    axes = tuple(
        dataclasses.replace(
            axis,
            choices={f"{name}{HOSTILE}": changes for name, changes in axis.choices.items()},
            by_architecture={f"{name}{HOSTILE}": changes for name, changes in axis.by_architecture.items()},
        )
        for axis in study.axes
    )
    text = {"name": HOSTILE, "question": HOSTILE, "reference": HOSTILE, "teacher": f"{study.teacher}{HOSTILE}"}
    return dataclasses.replace(study, arms=arms, axes=axes, **text)
