"""Loader of the native CPU kernels: the C++ sources in kernels/, compiled once per machine and called through ctypes.

`find_kernel` is the only way to a kernel. It returns None wherever a kernel cannot be used (no C++ compiler, failed
compilation, several threads, unsupported tensors), and the caller then uses torch's operations. The compiled library is
cached in the user's cache directory, under a hash of the sources, the flags, the compiler and the processor.
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
"""Compilers that are looked for, in this order, after the one in the environment variable CXX."""
FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC")
"""Without -ffast-math, which assumes that there are no NaNs: a diverged run is detected by its NaNs."""
TUNING = ("-march=native", "-mcpu=native")
"""Alternatives, of which the first that the compiler accepts is used: some compilers for ARM reject -march=native."""
COMPILE_TIMEOUT = 120
"""Seconds after which the compiler is stopped."""

KERNELS = {
    "lion": "pppndddd",
    "conv_norm_relu_pool_forward": "pppppppppnnnnnnndd",
    "conv_norm_relu_pool_backward": "ppppppppppnnnnnnn",
    "winograd_forward": "ppppnnnnnn",
    "winograd_backward": "pppppnnnnnn",
}
"""Argument types of each kernel: p is a pointer to a tensor's data, n an int64, d a double. All kernels return void.

Every kernel is exported twice, with the suffix `_float` and `_double`."""

_ARGUMENT_TYPES = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "d": ctypes.c_double}
_SUFFIXES = {torch.float32: "float", torch.float64: "double"}
_PLAIN = (Tensor, nn.Parameter)
"""Tensor classes whose `data_ptr` is the memory of their values; subclasses, such as FakeTensor, may have none."""
_log = logging.getLogger(__name__)

Kernel = Callable[..., None]


def find_kernel(name: str, *tensors: Tensor) -> Kernel | None:
    """The kernel for tensors of this type, or None where torch's operations have to be used.

    The memory layout of the tensors is not checked.

    Args:
        name: A key of KERNELS.
        tensors: The tensors that the kernel is to read and write, at least one.

    Returns:
        The C function, or None if there is no library, torch uses more than one thread, or the tensors are not plain
        CPU tensors of one type, float32 or float64.
    """
    dtype = tensors[0].dtype
    if dtype not in _SUFFIXES or torch.get_num_threads() != 1:
        return None
    if not all(tensor.dtype == dtype and tensor.is_cpu and type(tensor) in _PLAIN for tensor in tensors):
        return None
    loaded = library()
    return None if loaded is None else getattr(loaded, f"{name}_{_SUFFIXES[dtype]}")


def require_kernel(name: str, *tensors: Tensor) -> Kernel:
    """`find_kernel`, but raises RuntimeError where it returns None."""
    kernel = find_kernel(name, *tensors)
    if kernel is None:
        threads = torch.get_num_threads()
        raise RuntimeError(f"no native kernel {name} for {tensors[0].dtype} on {tensors[0].device}, {threads} threads")
    return kernel


def pointers(*tensors: Tensor | None) -> list[int | None]:
    """The address of each tensor's data; None, a null pointer, for None."""
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, compiled or loaded from the cache on the first call.

    Returns:
        The library with the argument types of all kernels declared, or None if there is no compiler or anything fails:
        the reason is logged in one line, and training continues with torch's operations.
    """
    compiler = find_compiler()
    if compiler is None:
        _log.info("no C++ compiler found: torch's operations are used instead of native kernels")
        return None
    try:
        return _declare(_load(compiler))
    except Exception as error:  # whatever it is, training can go on without native kernels
        reason = str(getattr(error, "stderr", None) or error)
        _log.warning("torch's operations are used instead of native kernels: %s", " / ".join(reason.splitlines()[:3]))
        return None


def find_compiler() -> str | None:
    """The path of the compiler named by CXX, else of the first of COMPILERS that is installed; None without any."""
    for name in (os.environ.get("CXX"), *COMPILERS):
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    return None


def _load(compiler: str) -> ctypes.CDLL:
    """Loads the library from the cache, after compiling it if it is missing or damaged.

    Raises OSError or subprocess.SubprocessError.
    """
    path = library_folder() / f"{cache_key(compiler)}.so"
    if path.exists():
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            _log.info("%s is damaged and compiled again: %s", path, error)
    write_atomically(path, lambda temporary: compile_to(temporary, compiler))
    return ctypes.CDLL(str(path))


def library_folder() -> Path:
    """The cache folder of compiled libraries, created if necessary.

    Raises PermissionError if the folder belongs to another user or others can write to it, as its content is executed.
    """
    path = cache_folder() / "native"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} belongs to another user, or others may write to it")
    return path


def cache_key(compiler: str) -> str:
    """The first 16 hexadecimal digits of SHA-256 over sources, flags, compiler and processor."""
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, timeout=COMPILE_TIMEOUT, check=True
    )
    sources = [path.read_text() for path in sorted(SOURCES.iterdir())]
    parts = [*sources, *FLAGS, *TUNING, compiler, version.stdout, processor(Path("/proc/cpuinfo"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def processor(cpuinfo: Path) -> str:
    """What code compiled with TUNING depends on: the processor's name and instruction sets.

    Args:
        cpuinfo: Linux's /proc/cpuinfo. Where there is none, the name that Python knows is all.
    """
    fields = ("cpu family", "model", "flags", "Features", "CPU implementer", "CPU part")
    lines: set[str] = set()
    if cpuinfo.exists():
        lines = {line for line in cpuinfo.read_text().splitlines() if line.startswith(fields)}
    return "\n".join([platform.machine(), platform.processor(), *sorted(lines)])


def compile_to(path: Path, compiler: str) -> None:
    """Compiles all sources into one shared library at `path`.

    Raises subprocess.CalledProcessError, with the compiler's messages, or subprocess.TimeoutExpired.
    """
    sources = [str(source) for source in sorted(SOURCES.glob("*.cpp"))]
    for tuning in TUNING:
        command = [compiler, *FLAGS, tuning, "-o", str(path), *sources]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT, check=False)
        if done.returncode == 0:
            return
    done.check_returncode()


def _declare(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """Declares the argument and return types of all kernels. Raises AttributeError for one that is missing."""
    for name, arguments in KERNELS.items():
        for suffix in _SUFFIXES.values():
            function = getattr(loaded, f"{name}_{suffix}")
            function.argtypes = [_ARGUMENT_TYPES[argument] for argument in arguments]
            function.restype = None
    return loaded
