"""Cross-architecture studies of distilled datasets.

`search_spaces` declares studies, `platform` drives them, `trainables` trains each run. The names below are the
public ones; each is imported when it is first used, so that `import crossarch` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossarch.platform.commands.frame import load_results
    from crossarch.platform.store.ledger import Ledger
    from crossarch.search_spaces.recipes import Arm
    from crossarch.search_spaces.study import Axis, Smoke, Study
    from crossarch.trainables.config.result import RunResult
    from crossarch.trainables.config.run import RunConfig

__all__ = ["Arm", "Axis", "Ledger", "RunConfig", "RunResult", "Smoke", "Study", "load_results"]

_HOMES = {
    "Arm": "crossarch.search_spaces.recipes",
    "Axis": "crossarch.search_spaces.study",
    "Ledger": "crossarch.platform.store.ledger",
    "RunConfig": "crossarch.trainables.config.run",
    "RunResult": "crossarch.trainables.config.result",
    "Smoke": "crossarch.search_spaces.study",
    "Study": "crossarch.search_spaces.study",
    "load_results": "crossarch.platform.commands.frame",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'crossarch' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
