"""The README says what is there."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def map_rows(text):
    section = text.partition("## Paper map")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


ROWS = map_rows(README)


def target_fault(row):
    """What is wrong with a row of the map, or None."""
    _, file, symbols, test, status = row
    if status == "planned":
        return None if not (file or symbols or test) else "a planned item has no targets yet"
    if status != "done":
        return f"the status {status!r} is neither done nor planned"
    if not (ROOT / test).is_file():
        return f"{test} is missing"
    if not (ROOT / file).is_file():
        return f"{file} is missing"
    source = (ROOT / file).read_text()
    names = re.findall(r"`(\w+)`", symbols)
    lost = [name for name in names if not re.search(rf"^(def {name}\b|class {name}\b|{name}\b.*=)", source, re.M)]
    return f"{file} lacks {', '.join(lost)}" if lost or not names else None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_target_of_the_paper_map_exists(row):
    assert target_fault(row) is None


def test_the_map_is_there_and_its_check_can_fail():
    assert len(ROWS) > 10
    item, file, symbol, test, status = ROWS[0]
    assert target_fault([item, file, "`no_such_symbol`", test, status])
    assert target_fault([item, "trainables/none.py", symbol, test, status])
    assert target_fault([item, file, symbol, "tests/none.py", status])
    assert target_fault([item, file, symbol, test, "finished"])
    assert target_fault([item, file, symbol, test, "planned"])


@pytest.mark.parametrize("comment", ["the main job", "the tests"])
def test_each_command_is_one_line_that_begins_with_nothing_installed(comment):
    (command,) = re.findall(rf"^# {comment}\n(.+)$", README, re.M)
    assert command.startswith("python3 -m venv .venv && ")
    assert "-c constraints.txt" in command


def test_every_command_of_the_table_exists():
    from typer.main import get_command

    from crossarch.platform.cli.main import app

    named = set(re.findall(r"^\| `crossarch (\w+)", README, re.M))
    assert named == set(get_command(app).commands)


def test_every_arm_it_names_can_be_trained():
    from crossarch.search_spaces.single import ARMS

    (named,) = re.findall(r"any\s+arm of Table 1 by `--arm`:\s(.+?)\. `", README, re.S)
    assert re.findall(r"`(\w+)`", named) == list(ARMS)


def test_its_example_of_any_network_is_a_run():
    from crossarch.platform.commands.settings import parse_changes
    from crossarch.platform.validation import validate
    from crossarch.search_spaces.single import single_run

    (command,) = re.findall(r"^crossarch train (--arm .+)$", README, re.M)
    _, arm, *settings = shlex.split(command)
    (plan,) = single_run(arm, parse_changes(settings)).expand()
    config = validate(plan.config.to_dict())
    assert config.keep_rate is not None
    assert config.model.drop_path_blocks == ("network.features.2", "network.features.3")
    assert config.kd is not None


def test_its_example_of_a_loop_of_ones_own_drops_paths():
    from crossarch.trainables.methods.drop_path import drops

    (example,) = [code for code in re.findall(r"^```python\n(.+?)^```", README, re.M | re.S) if "set_keep_rate" in code]
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102, our own
    assert [module.keep_rate for module in drops(names["model"])] == [0.5, 0.5]


def test_quickstarts_runs_are_as_many_as_it_says():
    from crossarch.search_spaces.quickstart import QUICKSTART

    (told,) = re.findall(r"three seeds each, (\d+) runs", README)
    planned = list(QUICKSTART.expand())
    runs = {plan.config for plan in planned} | {plan.teacher.config for plan in planned if plan.teacher}
    assert len(runs) == int(told)


def test_pins_are_exact_and_name_no_registry():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 100
    assert all(re.match(r"^[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; .+)?$", line) for line in lines)
