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
}
RAY_IS_FOR = "trainables/tune.py"


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


def circle(graph):
    """Modules that import each other in a circle, or None."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


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


@pytest.mark.parametrize("check", [forbidden_imports, bare_imports, unsafe_calls, bad_links])
def test_our_house_is_in_order(check):
    assert list(check(ROOT)) == []
    assert len(list(sources(ROOT))) > 10


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
