"""Loads a user's study from a Python file, which is executed as trusted code (see SECURITY.md)."""

import hashlib
import re
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from crossarch.search_spaces.study import Study

CHOSEN = "STUDY"
"""Variable that selects the study in a file that defines several."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Allowed study names: they become names of folders, MLflow experiments and LaTeX files."""

_LOADED: dict[tuple[Path, str], Study] = {}


def is_path(name: str) -> bool:
    """Whether `name` is a file rather than a name in the catalog."""
    return name.endswith(".py") or "/" in name


def load(path: str | Path, known: Collection[Study]) -> Study:
    """Loads the study defined in a file. The result is cached until the file changes.

    The study is the variable `STUDY`, or else the only study that is not in `known`. The file may import crossarch and
    installed packages but not files beside it, as `sys.path` is not changed. No bytecode is written.

    Args:
        path: The Python file.
        known: Studies of the catalog, which the file may import.

    Raises:
        ValueError: The file cannot be read or parsed or raises an exception, defines no or several studies, or its
            study's name is invalid, or is that of a study in `known` or of one of its forms.
    """
    told = f"study = {str(path)!r}"
    file = Path(path).expanduser().resolve()
    try:
        source = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{told} cannot be read: {error.strerror or error}") from error
    key = file, hashlib.sha256(source).hexdigest()
    if key not in _LOADED:
        try:
            study = the_study(_executed(source, file, key[1]), known)
            _check_name(study, known)
        except ValueError as error:
            raise ValueError(f"{told} {error}") from error
        _LOADED[key] = study
    return _LOADED[key]


def the_study(values: dict[str, object], known: Collection[Study]) -> Study:
    """The study among a module's variables. Raises ValueError, without the file's name, if there is not exactly one."""
    if isinstance(chosen := values.get(CHOSEN), Study):
        return chosen
    imported = {id(each) for each in known}
    studies = {name: value for name, value in values.items() if isinstance(value, Study) and id(value) not in imported}
    found = {id(study): name for name, study in studies.items()}
    if not found:
        raise ValueError("defines no Study at its top level")
    if len(found) > 1:
        raise ValueError(f"defines {len(found)} studies, {', '.join(found.values())}: call the one to run {CHOSEN}")
    return next(iter(studies.values()))


def _executed(source: bytes, file: Path, digest: str) -> dict[str, object]:
    """Executes the file and returns its variables. Raises ValueError, without the file's name, if it fails."""
    try:
        code = compile(source, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        raise ValueError(f"does not parse{where}: {getattr(error, 'msg', None) or error}") from error
    module = ModuleType(f"_crossarch_study_{digest[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # needed by dataclasses defined in the file
    try:
        exec(code, module.__dict__)  # noqa: S102, requested by the user
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ValueError(_what_was_raised(error, file)) from error
    return vars(module)


def _what_was_raised(error: BaseException, file: Path) -> str:
    """Describes an exception raised by the file: `raises KeyError at line 3: 'full'`."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    where = f" at line {lines[-1]}" if lines else ""
    return f"raises {type(error).__name__}{where}: {' '.join(str(error).split())}"


def _check_name(study: Study, known: Collection[Study]) -> None:
    given = str(study.name)  # of any type: types are checked elsewhere
    if not _NAME.fullmatch(given):
        raise ValueError(f"has name = {study.name!r}, which is not of letters, digits, '.', '_' and '-'")
    for name in (each.name for each in known):
        if given == name or given.startswith(f"{name}-"):
            raise ValueError(f"has name = {study.name!r}, which is {name}'s or a form of it: give it a name of its own")
