"""Memory that is kept is not asked for again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from crossarch.trainables.cpu.memory import keep_memory, return_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytearray(b"x") * (40 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for change in (return_memory, keep_memory, return_memory):
    change()
    faults()
    print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_pages_are_cleared_anew_only_where_memory_was_returned() -> None:
    """40 MiB are at least 20 huge pages, ten times over; kept, none is new."""
    printed = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, kept, after = map(int, printed.split())

    assert kept < 20
    assert min(before, after) >= 200
