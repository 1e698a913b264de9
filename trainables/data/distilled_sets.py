"""Distilled sets in this project's own form, one safetensors file a set, and the store that keeps them by name."""

import dataclasses
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossarch.trainables.data.manifest import (
    SUFFIX,
    Manifest,
    Manifests,
    check_shapes,
    named,
    read_header,
    to_metadata,
)
from crossarch.trainables.files import TEMPORARY_SUFFIX, write_atomically


def content_digest(images: Tensor, labels: Tensor) -> str:
    """SHA-256 over shapes, types and values of a set, whatever file it is in.

    Images are (N, C, H, W) in float32, labels (N,) in int64 or (N, classes) in float32; ValueError for other types.
    """
    digest = hashlib.sha256()
    soft, hard = torch.float32, torch.int64
    for name, tensor, allowed in (("images", images, [soft]), ("labels", labels, [soft, hard])):
        if tensor.dtype not in allowed:
            raise ValueError(f"{name} have type {tensor.dtype}, not {' or '.join(map(str, allowed))}")
        array = tensor.detach().cpu().contiguous().numpy()
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_set(path: Path, manifest: Manifest, images: Tensor, labels: Tensor) -> None:
    """Writes a set, atomically; shapes and types as in `content_digest`.

    Raises ValueError where the manifest is not of these contents, OSError where the disk refuses.
    """
    check_contents(path, manifest, images, labels)
    tensors = {"images": images.detach().cpu().contiguous(), "labels": labels.detach().cpu().contiguous()}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, to_metadata(manifest)))


def read_set(path: Path) -> tuple[Manifest, Tensor, Tensor]:
    """Manifest, images (N, C, H, W) in float32, and labels (N,) in int64 or (N, classes) in float32, on the CPU.

    Raises ValueError where the file is damaged, or its contents are not those its manifest was written for.
    """
    manifest, shapes = read_header(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} is no undamaged distilled set: safetensors cannot load it") from error
    images, labels = tensors["images"], tensors["labels"]
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise ValueError(f"{path.name} changed while it was read")
    check_contents(path, manifest, images, labels)
    return manifest, images, labels


def check_contents(path: Path, manifest: Manifest, images: Tensor, labels: Tensor) -> None:
    """Raises ValueError where images and labels are not those that the manifest, in the file `path`, is of."""
    digest = content_digest(images, labels)
    if digest != manifest.sha256:
        raise ValueError(
            f"{path.name}: its contents have changed: SHA-256 is {digest}, the manifest says {manifest.sha256}"
        )
    check_shapes(tuple(images.shape), tuple(labels.shape), not labels.is_floating_point(), manifest)


LOCK = ".lock"
TRAINED_ON = ("dataset", "distiller", "images_per_class", "whitening", "label_form", "label_temperature")
"""What two manifests of one set must agree on: beside the contents, all that changes what a run makes of it."""


class Store(Manifests):
    """Distilled sets by name. Adding, updating and removing wait for each other, across processes, too."""

    def add(self, manifest: Manifest, images: Tensor, labels: Tensor) -> Path:
        """Stores a set under its manifest's name, and returns its file; a set that is there already is left alone.

        Raises ValueError where another set has that name, what has it is damaged or a link, or the manifest is not of
        these contents; OSError where the disk refuses.
        """
        path = self.file(manifest.name)
        with self._lock():
            if not os.path.lexists(path):
                write_set(path, manifest, images, labels)
                return path
            check_contents(path, manifest, images, labels)
            there = read_set(self._existing(manifest.name))[0]
            differing = [key for key in ("sha256", *TRAINED_ON) if getattr(there, key) != getattr(manifest, key)]
            if differing:
                key = differing[0]
                raise ValueError(
                    f"name = {manifest.name!r} is taken by another set: its {key} is {getattr(there, key)}, "
                    f"not {getattr(manifest, key)}"
                )
        return path

    def damaged(self, *, contents: bool = True) -> dict[str, str]:
        """What is wrong with each file that is not as it was written: by name, or file name, a sentence.

        Every set is read whole; without `contents` only the headers are.
        """
        found = super().damaged()
        for name in self.names() if contents else ():
            try:
                self.read(name)
            except ValueError as error:
                found[name] = str(error)
        return found

    def read(self, name: str) -> tuple[Manifest, Tensor, Tensor]:
        """Manifest, images and labels as `read_set` has them.

        Raises FileNotFoundError where there is no such set, ValueError where it is damaged.
        """
        manifest, images, labels = read_set(self._existing(name))
        return named(name, manifest), images, labels

    def remove(self, name: str) -> None:
        """Removes a set, be it damaged, or a link, what it leads to being left alone.

        Raises FileNotFoundError where there is no such set.
        """
        path = self.file(name)
        with self._lock():
            if not os.path.lexists(path):
                raise FileNotFoundError(self._missing(name))
            path.unlink()

    def update(self, manifest: Manifest) -> None:
        """Replaces a set's manifest by one that differs in `verified` only.

        Raises ValueError for any other, and otherwise as `read` does.
        """
        with self._lock():
            there, images, labels = self.read(manifest.name)
            for field in dataclasses.fields(Manifest):
                old, new = getattr(there, field.name), getattr(manifest, field.name)
                if field.name != "verified" and old != new:
                    raise ValueError(f"{field.name} of {manifest.name} is {old}, and cannot become {new}")
            write_set(self.file(manifest.name), manifest, images, labels)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Held by one process at a time, and let go when it dies; what dead ones left half written is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for partial in self.folder.glob(f".*{SUFFIX}.*{TEMPORARY_SUFFIX}"):
                partial.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)
