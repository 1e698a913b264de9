"""Whether a process keeps the memory that tensors leave, or gives it back to the system and asks for it again.

glibc maps every large tensor anew, and the system clears each of its pages when it is first written: milliseconds of a
training step. Elsewhere than with glibc nothing is changed.
"""

import ctypes
import functools
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""mallopt's names for its parameters (malloc.h)."""
MEBIBYTE = 2**20


def keep_memory() -> None:
    """From now on freed memory stays with the process, for its next tensors."""
    _set({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def return_memory() -> None:
    """As glibc has it by itself once a tensor of 32 MiB was freed; what was kept is given back."""
    _set({MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * MEBIBYTE, TRIM_THRESHOLD: 64 * MEBIBYTE})
    if library := _glibc():
        library.malloc_trim(0)


def _set(values: dict[int, int]) -> None:
    if library := _glibc():
        for name, value in values.items():
            library.mallopt(name, value)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
