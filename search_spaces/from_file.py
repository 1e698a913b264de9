"""A user's own study from a Python file. The file is run: it is trusted code, and SECURITY.md says so."""

import hashlib
import re
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from crossarch.search_spaces.study import Study

CHOSEN = "STUDY"
"""The name that decides where a file defines several studies."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Study names become names of folders, of MLflow's experiments and of LaTeX files."""

_LOADED: dict[tuple[Path, str], Study] = {}


def is_path(name: str) -> bool:
    """Whether a study is named by its file rather than by its name in the catalog."""
    return name.endswith(".py") or "/" in name


def load(path: str | Path, known: Collection[Study]) -> Study:
    """The study that the file at `path` defines: the same object each time, until the file changes.

    That is the one called `STUDY`, else the only one that is not among `known`, which a file imports to build upon.
    The file imports crossarch and what is installed; its neighbours it cannot, as `sys.path` stays as it is, and
    nothing is written beside it. Raises ValueError for a file that cannot be read or parsed, or that raises, for none
    or several studies, and for a name that is not of letters, digits, `.`, `_` and `-`, or that one of `known` has.
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
    """The study among a module's `values`. Raises ValueError, without naming the file, where there is not just one."""
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
    """The names that the file defines. Raises ValueError, without naming the file, where it does not run."""
    try:
        code = compile(source, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        raise ValueError(f"does not parse{where}: {getattr(error, 'msg', None) or error}") from error
    module = ModuleType(f"_crossarch_study_{digest[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses defined in the file look it up
    try:
        exec(code, module.__dict__)  # noqa: S102, what the user asks for
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ValueError(_what_was_raised(error, file)) from error
    return vars(module)


def _what_was_raised(error: BaseException, file: Path) -> str:
    """`raises KeyError at line 3: 'full'`; the sentence alone of what our own checks find."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    where = f" at line {lines[-1]}" if lines else ""
    return f"raises {type(error).__name__}{where}: {' '.join(str(error).split())}"


def _check_name(study: Study, known: Collection[Study]) -> None:
    given = str(study.name)  # whatever it is: types are checked elsewhere
    if not _NAME.fullmatch(given):
        raise ValueError(f"has name = {study.name!r}, which is not of letters, digits, '.', '_' and '-'")
    for name in (each.name for each in known):
        if given == name or given.startswith(f"{name}-"):
            raise ValueError(f"has name = {study.name!r}, which is {name}'s or a form of it: give it a name of its own")
