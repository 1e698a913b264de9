"""Starting Python beside or with our packages: `platform` stays the standard library's, and start is quick."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("torch", "ray", "mlflow", "pyarrow", "pandas", "sklearn", "matplotlib")


def python(code, folder):
    """What a fresh Python in `folder` prints."""
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def packages(root):
    """Each file that would make `platform` a package, which hides the standard library's module of that name."""
    return [str(path.relative_to(root)) for path in (root / "platform").rglob("__init__.py")]


def imported_platform(folder):
    """The file that `import platform` finds from `folder`."""
    return Path(python("import platform; print(platform.__file__)", folder))


def loaded(modules, watched, folder):
    """Those of `watched` that importing `modules` imports too."""
    return python(
        f"import sys, {', '.join(modules)}; print(*[w for w in {watched!r} if w in sys.modules])", folder
    ).split()


def test_platform_is_no_package_and_hides_nothing():
    assert packages(ROOT) == []
    assert imported_platform(ROOT) == imported_platform("/")


def test_a_platform_package_is_found(tmp_path):
    (tmp_path / "platform").mkdir()
    assert imported_platform(tmp_path) == imported_platform("/")
    (tmp_path / "platform/__init__.py").touch()
    assert packages(tmp_path) == ["platform/__init__.py"]
    assert imported_platform(tmp_path) == tmp_path / "platform/__init__.py"


@pytest.mark.parametrize(
    "modules",
    [
        ("crossarch.platform.cli.main",),
        ("crossarch.platform.report.terminal", "crossarch.platform.report.markdown"),
        ("crossarch.search_spaces.catalog", "crossarch.trainables.config.result"),
    ],
)
def test_what_must_start_quickly_imports_nothing_slow(modules, tmp_path):
    if "crossarch.platform.cli.main" in modules and not (ROOT / "platform/cli/main.py").exists():
        pytest.skip("platform/cli/main.py is not written yet")
    assert loaded(modules, SLOW, tmp_path) == []


def test_a_slow_import_is_found(tmp_path):
    assert loaded(("json.decoder",), ("json", "torch"), tmp_path) == ["json"]
