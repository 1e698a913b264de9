"""Distilled sets as safetensors files, one per set, and the store that keeps them by name."""

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
    """SHA-256 over shapes, types and values of a set, independent of the file format.

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
    """Writes a set atomically; shapes and types as in `content_digest`.

    Raises ValueError if the manifest does not match the contents, OSError if the disk refuses.
    """
    check_contents(path, manifest, images, labels)
    tensors = {"images": images.detach().cpu().contiguous(), "labels": labels.detach().cpu().contiguous()}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, to_metadata(manifest)))


def read_set(path: Path) -> tuple[Manifest, Tensor, Tensor]:
    """Manifest, images (N, C, H, W) in float32, and labels (N,) in int64 or (N, classes) in float32, on the CPU.

    Raises ValueError if the file is damaged, or its contents do not match its manifest.
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
    """Raises ValueError if images and labels do not match the manifest; `path` is for the message."""
    digest = content_digest(images, labels)
    if digest != manifest.sha256:
        raise ValueError(
            f"{path.name}: its contents have changed: SHA-256 is {digest}, the manifest says {manifest.sha256}"
        )
    check_shapes(tuple(images.shape), tuple(labels.shape), not labels.is_floating_point(), manifest)


LOCK = ".lock"
TRAINED_ON = ("dataset", "distiller", "images_per_class", "whitening", "label_form", "label_temperature")
"""Fields in which two manifests of the same set must agree: those that affect training, besides the contents."""


class Store(Manifests):
    """The store of distilled sets by name. Writers exclude each other, also across processes."""

    def add(self, manifest: Manifest, images: Tensor, labels: Tensor) -> Path:
        """Stores a set under its manifest's name, and returns its file. Does nothing if the same set is stored already.

        Raises ValueError if another set has that name, the stored file is damaged or a link, or the manifest does not
        match the contents; OSError if the disk refuses.
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
        """Problems of damaged files: sentences by set's name or file name.

        Sets are read completely; without `contents` only their headers.
        """
        problems = super().damaged()
        if contents:
            for name in self.names():
                try:
                    self.read(name)
                except ValueError as error:
                    problems[name] = str(error)
        return problems

    def read(self, name: str) -> tuple[Manifest, Tensor, Tensor]:
        """Manifest, images and labels, as of `read_set`.

        Raises FileNotFoundError if there is no such set, ValueError if it is damaged.
        """
        manifest, images, labels = read_set(self._existing(name))
        return named(name, manifest), images, labels

    def remove(self, name: str) -> None:
        """Removes a set, also a damaged one; of a link only the link.

        Raises FileNotFoundError if there is no such set.
        """
        path = self.file(name)
        with self._lock():
            if not os.path.lexists(path):
                raise FileNotFoundError(self._missing(name))
            path.unlink()

    def update(self, manifest: Manifest) -> None:
        """Replaces a set's manifest by one that differs in `verified` only.

        Raises ValueError for any other manifest, and otherwise as `read` does.
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
        """Holds the store's lock, released if its holder dies, and removes temporary files of dead processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for partial in self.folder.glob(f".*{SUFFIX}.*{TEMPORARY_SUFFIX}"):
                partial.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)
