"""Distilled sets in this project's own form: one safetensors file, with its manifest in the header."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossarch.trainables.data.manifest import Manifest, check_shapes, read_header, to_metadata
from crossarch.trainables.files import write_atomically


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
