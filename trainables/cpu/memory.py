"""Settings of glibc's allocator: whether the process keeps the memory of freed tensors or returns it to the system.

By default glibc maps every large tensor anew, and the kernel clears each of its pages at the first write, which takes
milliseconds per training step. With other C libraries than glibc nothing is changed.
"""

import ctypes
import functools
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""mallopt's parameter numbers (malloc.h)."""
MEBIBYTE = 2**20


def keep_memory() -> None:
    """Makes the process keep freed memory for its next tensors."""
    _set_options({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def return_memory() -> None:
    """Undoes `keep_memory`: restores the thresholds of a process that has freed a tensor of 32 MiB, and trims."""
    _set_options({MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * MEBIBYTE, TRIM_THRESHOLD: 64 * MEBIBYTE})
    glibc = _glibc()
    if glibc is not None:
        glibc.malloc_trim(0)


def _set_options(values: dict[int, int]) -> None:
    glibc = _glibc()
    if glibc is not None:
        for parameter, value in values.items():
            glibc.mallopt(parameter, value)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
