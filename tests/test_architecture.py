"""The house stands as DESIGN has it: who imports whom, by which names, and what no file may do."""

import ast
import fnmatch
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("search_spaces", "platform", "trainables")

# What files may not import anywhere in them; ray is for one file of the trainables alone.
FORBIDDEN = {
    "search_spaces/*": ("torch", "ray", "mlflow", "pyarrow", "crossarch.platform"),
    "trainables/*": ("mlflow", "pyarrow", "crossarch.search_spaces", "crossarch.platform"),
    "trainables/config/*": ("torch",),
    "trainables/data/manifest.py": ("torch", "numpy"),
    "platform/store/*": tuple(f"crossarch.platform.{name}" for name in ("scheduling", "report", "commands", "cli")),
    "platform/scheduling/*": tuple(f"crossarch.platform.{name}" for name in ("report", "commands", "cli")),
    "platform/report/*": (
        *(f"crossarch.platform.{name}" for name in ("store", "scheduling", "commands", "cli")),
        *("ray", "mlflow", "pyarrow"),
    ),
    "platform/commands/*": ("crossarch.platform.cli",),
}
RAY_IS_FOR = "trainables/tune.py"

# What sets the variables that a library reads when it is imported, and so is imported before it.
ENVIRONMENTS = {
    "ray": "crossarch.platform.scheduling.ray_environment",
    "mlflow": "crossarch.platform.store.mlflow_environment",
}
AT_THE_TOP = ("scheduling", "store", "report", "commands")
"""Folders of the platform whose modules import nothing inside functions or for types alone."""
LATE = {
    "platform/scheduling/version_check.py: crossarch.trainables.config.identity",  # nodes may lack crossarch
    "platform/commands/run.py: crossarch.platform.commands.train",  # a complete study is answered without it, at once
}
"""The exceptions."""


def sources(root, folders=ROOMS):
    """Path from the root, and syntax tree, of every Python file in `folders`."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root), ast.parse(path.read_text(), str(path))


def imported(tree):
    """Every name that a file imports, anywhere in it: `a.b` for `import a.b`, and also for `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def at_top(tree):
    """The tree less what importing the file does not run: functions, and blocks for type checkers."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

        def visit_If(self, node):
            checking = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            return node.orelse or None if checking else self.generic_visit(node)

    return Strip().visit(ast.parse(ast.unparse(tree)))


def within(name, module):
    return name == module or name.startswith(f"{module}.")


def forbidden_imports(root):
    """Each import that crosses a wall."""
    for path, tree in sources(root):
        walls = {wall for files, modules in FORBIDDEN.items() if fnmatch.fnmatch(str(path), files) for wall in modules}
        if path.parts[0] == "trainables" and str(path) != RAY_IS_FOR:
            walls.add("ray")
        yield from sorted({f"{path}: {wall}" for name in imported(tree) for wall in walls if within(name, wall)})


def bare_imports(root):
    """Each import of a room by a name of its own, or of a neighbour by a relative one.

    `import platform` is the standard library's, and has neither modules in it nor anything of ours.
    """
    ours = {path.stem for path in (root / "platform").glob("*") if not path.name.startswith("_")}
    bare = ("trainables", "search_spaces", *(f"platform.{name}" for name in ours))
    for path, tree in sources(root, (*ROOMS, "crossarch", "tests")):
        for name in imported(tree):
            if name.startswith(".") or any(within(name, room) for room in bare):
                yield f"{path}: {name}"


def import_graph(root):
    """The modules of ours that each of ours imports when it is itself imported."""
    trees = {".".join(("crossarch", *path.with_suffix("").parts)): tree for path, tree in sources(root)}
    trees["crossarch"] = ast.parse((root / "crossarch/__init__.py").read_text())
    graph = {}
    for module, tree in trees.items():
        graph[module] = {name for name in imported(at_top(tree)) if name in trees}
        graph[module] |= {"crossarch"} - {module}  # Python imports it before any module in it
    return graph


def unprepared_imports(root):
    """Each import of a library in the platform that does not come after what sets its variables."""
    for path, tree in sources(root, ["platform"]):
        names = list(imported(tree))
        for library, environment in ENVIRONMENTS.items():
            first = next((place for place, name in enumerate(names) if within(name, library)), None)
            if first is not None and not any(within(name, environment) for name in names[:first]):
                yield f"{path}: {library}"


def late_imports(root):
    """Each import inside a function or for type checkers alone, in the folders of the platform that have none."""
    for path, tree in sources(root, [f"platform/{name}" for name in AT_THE_TOP]):
        late = list(imported(tree))
        for name in imported(at_top(tree)):
            late.remove(name)
        yield from (f"{path}: {name}" for name in dict.fromkeys(late))


def crowded_commands(root):
    """Each function of the command line that imports more than the module with its work."""
    for path, tree in sources(root, ["platform/cli"]):
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if sum(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function)) > 1:
                yield f"{path}: {function.name}"


def circle(graph):
    """Modules that import each other in a circle, or None."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def mutual_folders(root):
    """Each pair of folders of a room that import each other anywhere: inside functions and for type checkers, too."""
    folders = {
        ".".join(("crossarch", *path.with_suffix("").parts)): "/".join(path.parts[:2])
        for path, _ in sources(root)
        if len(path.parts) > 2
    }
    pairs = {
        ("/".join(path.parts[:2]), folders[name])
        for path, tree in sources(root)
        if len(path.parts) > 2
        for name in set(imported(tree)) & set(folders)
    }
    yield from sorted(f"{one} <-> {other}" for one, other in pairs if one < other and (other, one) in pairs)


def unsafe_calls(root):
    """Each call that would unpickle code: of torch.load without `weights_only=True`, of numpy with pickles."""
    for path, tree in sources(root, (*ROOMS, "tests")):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            options = {each.arg: ast.unparse(each.value) for each in call.keywords}
            unsafe = options.get("weights_only", "True") != "True" or options.get("allow_pickle", "False") != "False"
            if unsafe or (ast.unparse(call.func) == "torch.load" and "weights_only" not in options):
                yield f"{path}:{call.lineno}"


def bad_links(root):
    """Each room that the front door does not reach by a relative link that resolves."""
    for room in ROOMS:
        link = root / "crossarch" / room
        if not link.is_symlink() or link.readlink() != Path("..") / room or not link.is_dir():
            yield room


@pytest.fixture
def house(tmp_path):
    """A small house in which every check passes, to which a test adds what it must find."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
    (tmp_path / "crossarch").mkdir()
    (tmp_path / "crossarch/__init__.py").write_text('"""Front door."""\n')

    def add(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return tmp_path

    return add


@pytest.mark.parametrize(
    "check",
    [forbidden_imports, bare_imports, unsafe_calls, bad_links, unprepared_imports, crowded_commands, mutual_folders],
)
def test_our_house_is_in_order(check):
    assert list(check(ROOT)) == []
    assert len(list(sources(ROOT))) > 10


def test_the_platform_imports_at_the_top():
    modules = {".".join(("crossarch", *path.with_suffix("").parts)) for path, _ in sources(ROOT)}
    late = {each for each in late_imports(ROOT) if each.partition(": ")[2] in modules or "crossarch" not in each}
    assert late == LATE


def test_a_late_import_is_found(house):
    house("platform/store/a.py", "if TYPE_CHECKING:\n    import mlflow\nimport pyarrow")
    assert list(late_imports(house("platform/report/a.py", "def f():\n    from scipy import stats"))) == [
        "platform/store/a.py: mlflow",
        "platform/report/a.py: scipy",
        "platform/report/a.py: scipy.stats",
    ]


def test_a_library_without_its_environment_is_found(house):
    ours = "import crossarch.platform.scheduling.ray_environment\n"
    house("platform/scheduling/a.py", f"{ours}from ray import tune")
    house("platform/scheduling/b.py", f"from ray import tune\n{ours}")
    found = list(unprepared_imports(house("platform/scheduling/c.py", "import ray")))
    assert found == ["platform/scheduling/b.py: ray", "platform/scheduling/c.py: ray"]


def test_a_crowded_command_is_found(house):
    one = "def f():\n    from crossarch.platform.commands import run\n"
    root = house("platform/cli/a.py", f"{one}def g():\n    import json\n    import re\n")
    assert list(crowded_commands(root)) == ["platform/cli/a.py: g"]


@pytest.mark.parametrize(
    ("path", "text", "wall"),
    [
        ("search_spaces/a.py", "import torch.nn", "torch"),
        ("search_spaces/deep/a.py", "from ray import tune", "ray"),
        ("search_spaces/a.py", "def f():\n    import mlflow", "mlflow"),
        ("search_spaces/a.py", "from crossarch import platform", "crossarch.platform"),
        ("trainables/a.py", "import pyarrow.parquet as pq", "pyarrow"),
        ("trainables/a.py", "from crossarch.search_spaces.catalog import find", "crossarch.search_spaces"),
        ("trainables/a.py", "import crossarch.platform.scheduling", "crossarch.platform"),
        ("trainables/tune_too.py", "import ray", "ray"),
        ("trainables/deep/tune.py", "import ray", "ray"),
        ("trainables/config/run.py", "import torch", "torch"),
        ("trainables/config/datasets.py", "import torch", "torch"),
        (
            "platform/report/sweep/a.py",
            "from crossarch.platform.store.ledger import Ledger",
            "crossarch.platform.store",
        ),
        ("platform/report/a.py", "def f():\n    import mlflow", "mlflow"),
        ("platform/scheduling/a.py", "import crossarch.platform.report.page", "crossarch.platform.report"),
        ("platform/commands/a.py", "from crossarch.platform import cli", "crossarch.platform.cli"),
    ],
)
def test_an_import_through_a_wall_is_found(house, path, text, wall):
    assert list(forbidden_imports(house(path, text))) == [f"{path}: {wall}"]


def test_an_import_through_a_door_is_allowed(house):
    house(
        "platform/scheduling/a.py",
        "import torch, ray, mlflow, pyarrow\nfrom crossarch.search_spaces.study import Study",
    )
    house("trainables/tune.py", "import rayon\nfrom ray import tune")
    assert list(forbidden_imports(house("trainables/training/loop.py", "import torch\nimport platform"))) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import trainables", "trainables"),
        ("import search_spaces.study", "search_spaces.study"),
        ("from platform.scheduling import runner", "platform.scheduling"),
        ("from platform import scheduling", "platform.scheduling"),
        ("import platform.scheduling.runner", "platform.scheduling.runner"),
        ("from . import runner", "."),
        ("from ..store import ledger", "..store"),
    ],
)
def test_a_bare_import_is_found(house, text, name):
    house("platform/scheduling/runner.py", text)
    assert f"platform/scheduling/runner.py: {name}" in list(bare_imports(house("tests/test_a.py", "import platform")))


def test_the_standard_librarys_platform_is_no_bare_import(house):
    house(
        "platform/scheduling/runner.py",
        "import platform\nfrom platform import machine\nimport crossarch.platform.scheduling",
    )
    assert list(bare_imports(house("trainables/a.py", "from crossarch.trainables import a"))) == []


def test_our_imports_run_in_no_circle():
    graph = import_graph(ROOT)
    assert circle(graph) is None
    assert {"crossarch.trainables.config.run", "crossarch"} <= graph["crossarch.search_spaces.study"]


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ("from crossarch.trainables.b import x", "from crossarch.trainables.a import y"),
        ("from crossarch.trainables import b", "import crossarch.trainables.a"),
        (
            "class A:\n    import crossarch.trainables.b",
            "try:\n    from crossarch.trainables import a\nfinally:\n    pass",
        ),
    ],
)
def test_a_circle_is_found(house, there, back):
    house("trainables/a.py", there)
    assert set(circle(import_graph(house("trainables/b.py", back)))) == {
        "crossarch.trainables.a",
        "crossarch.trainables.b",
    }


@pytest.mark.parametrize(
    "back",
    [
        "from crossarch.trainables.one.a import y",
        "def use():\n    from crossarch.trainables.one import a",
        "if TYPE_CHECKING:\n    import crossarch.trainables.one.a",
    ],
)
def test_folders_that_import_each_other_are_found(house, back):
    house("trainables/one/a.py", "from crossarch.trainables.other.b import x")
    assert list(mutual_folders(house("trainables/other/b.py", ""))) == []
    assert list(mutual_folders(house("trainables/other/c.py", back))) == ["trainables/one <-> trainables/other"]


def test_a_front_door_that_imports_a_room_makes_a_circle(house):
    house("trainables/a.py", "")
    assert circle(import_graph(house("crossarch/__init__.py", "from crossarch.trainables import a"))) is not None


def test_what_importing_does_not_run_makes_no_circle(house):
    house("trainables/a.py", "from crossarch.trainables import b")
    later = "if TYPE_CHECKING:\n    from crossarch.trainables import a\ndef f():\n    import crossarch.trainables.a"
    assert circle(import_graph(house("trainables/b.py", later))) is None


@pytest.mark.parametrize(
    "call",
    ["torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)", "load(f, weights_only=x)"],
)
def test_an_unsafe_call_is_found(house, call):
    assert list(unsafe_calls(house("trainables/a.py", call))) == ["trainables/a.py:1"]


def test_a_safe_call_is_allowed(house):
    safe = "torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)"
    assert list(unsafe_calls(house("trainables/a.py", safe))) == []


def test_a_link_that_leads_nowhere_is_found(house):
    root = house("tests/a.py", "")
    (root / "crossarch/platform").symlink_to("../platform")
    (root / "crossarch/trainables").symlink_to(root / "trainables")
    (root / "crossarch/search_spaces").symlink_to("../elsewhere")
    assert list(bad_links(root)) == ["search_spaces", "trainables"]
