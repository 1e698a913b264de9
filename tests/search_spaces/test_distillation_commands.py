"""The command that is told for a distillation makes that very one."""

import shlex

import pytest

from crossarch.platform.commands.settings import parse_changes
from crossarch.search_spaces.distillations import command, distillation
from crossarch.search_spaces.quickstart import DISTILS

CONFIGS = {
    **DISTILS,
    "changed": distillation(
        "frepo", "digits", {"images_per_class": 10, "learn_labels": False, "whitening": "channel", "seed": 3}
    ),
    "colour": distillation("frepo", "cifar10", {"images_per_class": 1, "mirror": True}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_read_back_it_is_the_same_distillation(name):
    program, verb, distiller, *words = shlex.split(command(CONFIGS[name], name))
    assert (program, verb) == ("crossarch", "distill")
    first = next(place for place, word in enumerate(words) if word.startswith("--"))
    options = dict(zip(words[first::2], words[first + 1 :: 2], strict=True))
    assert options.pop("--name") == name
    dataset = options.pop("--dataset")
    given = {"images_per_class": "--ipc", "steps": "--steps", "seed": "--seed"}
    numbers = {key: int(options.pop(option)) for key, option in given.items()}
    assert not options
    assert distillation(distiller, dataset, parse_changes(words[:first]) | numbers) == CONFIGS[name]


def test_what_is_usual_is_left_out():
    assert "=" not in command(distillation("frepo", "digits", {"images_per_class": 1}), "mine")
