"""Description of the environment of a run: hardware, versions and commit, as far as they can be determined."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

KEYS = ("device", "cpu", "cores", "system", "python", "torch", "cuda", "torchvision", "lion-pytorch", "ray", "commit")


@functools.cache
def describe(device: str) -> Mapping[str, str]:
    """The environment by KEYS; unknown values are empty. `device` is a torch device."""
    import torch  # slow, and not needed for KEYS

    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count() or ""),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "" if device.startswith("cuda") else "",
        **{name: _version(name) for name in ("torchvision", "lion-pytorch", "ray")},
        "commit": commit(),
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@functools.cache
def commit() -> str:
    """The git commit of this file's source tree, with `+changes` if it has uncommitted changes; empty without one.

    An installed package is not part of a source tree, even if its environment is inside one.
    """
    here = Path(__file__).resolve()
    git = ["git", "-C", str(here.parent)]
    try:
        _output([*git, "ls-files", "--error-unmatch", here.name])
        return _output([*git, "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+changes"])
    except (OSError, subprocess.SubprocessError):
        return ""


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
