"""The kernels in C++ beside this file, compiled once for a machine by the compiler that is there.

They are of one thread. Without a compiler, or where anything goes wrong, torch's own operations go on being used.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from crossarch.trainables.files import cache_folder, write_atomically

SOURCES = Path(__file__).parent / "kernels"
COMPILERS = ("c++", "g++", "clang++")
"""Looked for in this order, after what the environment's CXX names."""
FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC")
"""Not -ffast-math: that a run has diverged is seen by its NaNs."""
TUNING = ("-march=native", "-mcpu=native")
"""The first that the compiler takes: some for ARM refuse the first."""
SECONDS = 120
"""After which a compiler is stopped."""

KERNELS = {
    "lion": "pppndddd",
    "block_forward": "pppppppppnnnnnnndd",
    "block_backward": "ppppppppppnnnnnnn",
    "winograd_forward": "ppppnnnnnnn",
    "winograd_backward": "pppppnnnnnnn",
}
"""Each kernel's arguments: p a tensor's memory, n a whole number, d a double. It has a form `_float` and one `_double`.

All return nothing."""

_ARGUMENTS = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "d": ctypes.c_double}
_TYPES = {torch.float32: "float", torch.float64: "double"}
_PLAIN = (Tensor, nn.Parameter)
_log = logging.getLogger(__name__)


def kernel(name: str, *tensors: Tensor) -> Callable[..., None] | None:
    """The kernel for tensors of that type; None where there is no library, or where tensors or threads do not suit.

    All tensors must be on the CPU and of one type, float32 or float64. How they lie in memory the caller looks after.
    """
    kind = tensors[0].dtype
    if kind not in _TYPES or torch.get_num_threads() != 1:
        return None
    if not all(each.dtype == kind and each.is_cpu and type(each) in _PLAIN for each in tensors):
        return None
    loaded = library()
    return None if loaded is None else getattr(loaded, f"{name}_{_TYPES[kind]}")


def required(name: str, *tensors: Tensor) -> Callable[..., None]:
    """`kernel`. Raises RuntimeError where there is none."""
    if (found := kernel(name, *tensors)) is None:
        raise RuntimeError(f"there is no {name} for {tensors[0].dtype} on {tensors[0].device} here")
    return found


def pointers(*tensors: Tensor | None) -> list[int | None]:
    """Where each tensor's memory begins; None for what is not there."""
    return [None if each is None else each.data_ptr() for each in tensors]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, with the types of their arguments; None, and one line in the log, where they fail."""
    compiler = find_compiler()
    if compiler is None:
        _log.info("no C++ compiler is here: torch's own operations are used")
        return None
    try:
        return _declared(_load(compiler))
    except Exception as error:  # whatever it is, training can go on without
        reason = str(getattr(error, "stderr", None) or error)
        _log.warning("torch's own operations are used, not native kernels: %s", " / ".join(reason.splitlines()[:3]))
        return None


def find_compiler() -> str | None:
    """The path of the environment's CXX, or of the first of COMPILERS that is there."""
    names = (os.environ.get("CXX"), *COMPILERS)
    return next((path for name in names if name and (path := shutil.which(name))), None)


def _load(compiler: str) -> ctypes.CDLL:
    """The library from the cache, compiled first where it is not there, or damaged. Raises OSError, SubprocessError."""
    path = folder() / f"{key(compiler)}.so"
    if path.exists():
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            _log.info("%s is compiled anew: %s", path, error)
    write_atomically(path, lambda temporary: compile_to(temporary, compiler))
    return ctypes.CDLL(str(path))


def folder() -> Path:
    """Where compiled kernels lie, made if need be. Raises OSError where others than this user could write there."""
    path = cache_folder() / "native"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} belongs to another user, or others may write to it")
    return path


def key(compiler: str) -> str:
    """16 hexadecimal digits of SHA-256 over sources, flags, compiler and processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True)
    sources = [path.read_text() for path in sorted(SOURCES.iterdir())]
    parts = [*sources, *FLAGS, *TUNING, compiler, version.stdout, processor(Path("/proc/cpuinfo"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def processor(info: Path) -> str:
    """What code for "native" depends on: names and abilities of Linux's file, or the name that Python knows."""
    told = ("cpu family", "model", "flags", "Features", "CPU implementer", "CPU part")
    lines = {line for line in info.read_text().splitlines() if line.startswith(told)} if info.exists() else ()
    return "\n".join([platform.machine(), platform.processor(), *sorted(lines)])


def compile_to(path: Path, compiler: str) -> None:
    """Compiles all sources into one library. Raises CalledProcessError, TimeoutExpired."""
    sources = [str(source) for source in sorted(SOURCES.glob("*.cpp"))]
    for tuning in TUNING:
        command = [compiler, *FLAGS, tuning, "-o", str(path), *sources]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode == 0:
            return
    done.check_returncode()


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in KERNELS.items():
        for kind in _TYPES.values():
            function = getattr(loaded, f"{name}_{kind}")
            function.argtypes, function.restype = [_ARGUMENTS[each] for each in arguments], None
    return loaded
