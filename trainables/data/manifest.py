"""Manifests of distilled sets, stored in the headers of their files, which are read without torch."""

import dataclasses
import json
import math
import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crossarch.trainables.config.run import DistilledData

FORMAT = "crossarch distilled set 1"
"""Under the key `format` in every header: a later, different manifest has another number."""
HEADER_BYTES = 2**20
"""Maximum bytes of a header."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Pattern of a set's name: not a path, and no two names are equal on case-insensitive file systems."""

CHOICES = {
    "label_form": ("hard", "probabilities", "centred", "logits"),
    "channel_order": ("NCHW",),
    "source_channel_order": ("NCHW", "NHWC"),
}
SUFFIX = ".safetensors"
"""Suffix of a set's file."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MACHINE_PATH = re.compile(r"(?:^|[\s'\"(=])(?:/|~|file:|\\\\|[A-Za-z]:\\)")
_BYTES = {"F32": 4, "I64": 8}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Origin of a distilled set, and what is needed to train on it and to test networks trained on it."""

    name: str
    dataset: str
    """By its name in the catalog."""
    distiller: str
    images_per_class: int
    whitening: str
    """The space the images are in: the test images must be put into the same one."""
    label_form: str
    """hard, probabilities, centred or logits."""
    label_temperature: float | None = None
    """Temperature by which labels are divided before a softmax; None if they are used unchanged."""
    channel_order: str = "NCHW"
    """Of this file: always NCHW."""
    source_channel_order: str = "NCHW"
    """Of the source."""
    source: str
    """Where it is from; no path on any machine."""
    source_sha256: str
    """Of the bytes it was read from (`archives.files_digest`)."""
    sha256: str
    """Of its contents (`distilled.content_digest`)."""
    licence: str = "unknown"
    form: str
    """The published form it was read from, or that it was distilled here."""
    created_at: str
    """When this file was first written: ISO 8601 with a time zone."""
    facts: str = "{}"
    """More, as a JSON object: the learned learning rate, for one."""
    verified: str = ""
    """What verification found, as a JSON object, or nothing."""

    def __post_init__(self) -> None:
        """Raises ValueError, in one sentence, for a value that is not allowed."""
        check_name(self.name)
        for key in ("dataset", "distiller", "whitening", "source", "licence", "form"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} = {getattr(self, key)!r} is empty")
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                raise ValueError(f"{key} = {getattr(self, key)!r} is not one of {', '.join(choices)}")
        for key in ("source_sha256", "sha256"):
            if not _DIGEST.fullmatch(getattr(self, key)):
                raise ValueError(f"{key} = {getattr(self, key)!r} is not a SHA-256 of 64 hexadecimal digits")
        if _MACHINE_PATH.search(self.source):
            raise ValueError(f"source = {self.source!r} has a path of a machine in it: give the file's name alone")
        if self.images_per_class < 1:
            raise ValueError(f"images_per_class = {self.images_per_class} is not 1 or more")
        temperature = self.label_temperature
        if temperature is not None and not 0 < temperature < math.inf:
            raise ValueError(f"label_temperature = {temperature} is not a number above 0")
        _check_time(self.created_at)
        _check_json("facts", self.facts)
        _check_json("verified", self.verified or "{}")


FIELDS = {field.name: field for field in dataclasses.fields(Manifest)}


def check_name(name: str) -> str:
    """Returns the name. Raises ValueError if it is not a valid name of a set."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"name = {name!r} is not 1 to 64 of a-z, 0-9, '.', '_' and '-', the first of them a letter or digit"
        )
    return name


def to_metadata(manifest: Manifest) -> dict[str, str]:
    """The manifest as the text that a header holds; an absent temperature is an empty text."""
    values = dataclasses.asdict(manifest)
    return {"format": FORMAT} | {key: "" if value is None else str(value) for key, value in values.items()}


def from_metadata(metadata: Any) -> Manifest:
    """The inverse of `to_metadata`. Raises ValueError for missing or unknown keys and values that are not allowed."""
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its manifest is not of texts")
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format = {metadata.get('format')!r} is not {FORMAT!r}")
    given = {key: value for key, value in metadata.items() if key != "format"}
    missing, unknown = sorted(set(FIELDS) - set(given)), sorted(set(given) - set(FIELDS))
    if missing or unknown:
        wrong = "lacks " + ", ".join(missing) if missing else "has unknown keys: " + ", ".join(unknown)[:80]
        raise ValueError(f"its manifest {wrong}")
    values: dict[str, Any] = dict(given)
    values["images_per_class"] = _number(int, "images_per_class", given["images_per_class"])
    temperature = given["label_temperature"]
    values["label_temperature"] = _number(float, "label_temperature", temperature) if temperature else None
    return Manifest(**values)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a distilled set's file. Only the header is read.

    Raises ValueError if the file is not a distilled set, is damaged, or does not have the length that its header says.
    """
    return read_header(path)[0]


def set_files(folder: Path) -> list[Path]:
    """The paths of a folder that have the suffix of sets, sorted."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def misplaced(path: Path) -> str:
    """Why a path cannot be the file of a set, as a sentence; empty if it can. The file is not opened."""
    if path.is_symlink():
        return f"{path.name} is a link: refused"
    if not path.is_file():
        return f"{path.name} is not a regular file: refused"
    if not NAME.fullmatch(path.name.removesuffix(SUFFIX)):
        return f"{path.name} has a name that no set may have"
    return ""


def read_header(path: Path) -> tuple[Manifest, dict[str, tuple[int, ...]]]:
    """The manifest, and the shapes of `images` and `labels`. Raises ValueError as `read_manifest` does."""
    try:
        header, values = _parse(path)
        manifest = from_metadata(header.pop("__metadata__", {}))
        return manifest, _check_tensors(header, values, manifest)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path.name} is no undamaged distilled set: {reason}") from error


def _parse(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file, and the number of bytes that follow it."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is not a regular file")
    size = facts.st_size
    with path.open("rb") as stream:
        first = stream.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(HEADER_BYTES, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        text = stream.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its header cannot be read") from error
    if not isinstance(header, dict):
        raise ValueError("its header cannot be read")
    return header, size - 8 - length


def _check_tensors(header: dict[str, Any], values: int, manifest: Manifest) -> dict[str, tuple[int, ...]]:
    if set(header) != {"images", "labels"}:
        raise ValueError(f"it holds {', '.join(sorted(header))[:80] or 'nothing'}, not images and labels")
    shapes, ends = {}, []
    for name, facts in header.items():
        try:
            shape = tuple(int(length) for length in facts["shape"])
            begin, end = (int(offset) for offset in facts["data_offsets"])
            width = _BYTES[facts["dtype"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the entry of its {name} cannot be read") from error
        if not shape or min(shape) < 1 or end - begin != math.prod(shape) * width:
            raise ValueError(f"its {name} of shape {shape} are not {end - begin} bytes")
        shapes[name] = shape
        ends.append((begin, end))
    (first, middle), (then, last) = sorted(ends)
    if (first, middle, last) != (0, then, values):
        raise ValueError(f"its header tells of {last} bytes, and {values} follow")
    hard = header["labels"]["dtype"] == "I64"
    check_shapes(shapes["images"], shapes["labels"], hard, manifest)
    return shapes


def check_shapes(images: tuple[int, ...], labels: tuple[int, ...], hard: bool, manifest: Manifest) -> None:
    """Raises ValueError if shapes, kind of labels, and manifest are inconsistent."""
    if len(images) != 4 or labels[:1] != images[:1] or len(labels) != (1 if hard else 2):
        raise ValueError(f"images of shape {images} do not fit labels of shape {labels}")
    if hard != (manifest.label_form == "hard"):
        kind = "whole numbers" if hard else "floats"
        raise ValueError(f"its labels are {kind}, but label_form = {manifest.label_form!r}")
    if images[0] % manifest.images_per_class:
        raise ValueError(f"{images[0]} images are no multiple of images_per_class = {manifest.images_per_class}")


def check_named(config: DistilledData, manifest: Manifest) -> None:
    """Raises ValueError if the set's contents, data set, size or whitening differ from the run's config."""
    for name in ("dataset", "images_per_class", "sha256", "whitening"):
        wanted, found = getattr(config, name), getattr(manifest, name)
        if wanted != found:
            raise ValueError(f"data.{name} = {wanted!r}, but the distilled set {manifest.name} has {found!r}")
    if config.label_temperature is not None and manifest.label_form == "hard":
        raise ValueError(
            f"data.label_temperature = {config.label_temperature}, but the labels of {manifest.name} are hard"
        )


def _number(kind: type, key: str, text: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"{key} = {text!r} is not a {'whole ' if kind is int else ''}number") from error


def _check_time(text: str) -> None:
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise ValueError(f"created_at = {text!r} is not a time in ISO 8601 with a time zone")


def _check_json(key: str, text: str) -> None:
    try:
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise ValueError(f"{key} = {text[:80]!r} is not a JSON object")


class Manifests:
    """The manifests of a folder of distilled sets, one file per set. Does not need torch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names of all sets, sorted, damaged ones included."""
        return sorted(path.name.removesuffix(SUFFIX) for path in set_files(self.folder) if not misplaced(path))

    def manifests(self) -> dict[str, Manifest]:
        """The manifests by name of all sets whose header is not damaged."""
        found = {}
        for name in self.names():
            with suppress(ValueError, FileNotFoundError):
                found[name] = self._manifest(name)
        return found

    def damaged(self) -> dict[str, str]:
        """Problems of files whose header cannot be read: sentences by set's name or file name."""
        problems = {path.name: misplaced(path) for path in set_files(self.folder)}
        problems = {name: problem for name, problem in problems.items() if problem}
        for name in self.names():
            try:
                self._manifest(name)
            except ValueError as error:
                problems[name] = str(error)
        return problems

    def file(self, name: str) -> Path:
        """The file of the set `name`, existing or not. Raises ValueError for an invalid name."""
        return self.folder / f"{check_name(name)}{SUFFIX}"

    def _existing(self, name: str) -> Path:
        path = self.file(name)
        if not os.path.lexists(path):
            raise FileNotFoundError(self._missing(name))
        problem = misplaced(path)
        if problem:
            raise ValueError(problem)
        return path

    def _manifest(self, name: str) -> Manifest:
        return named(name, read_manifest(self._existing(name)))

    def _missing(self, name: str) -> str:
        return f"name = {name!r} is no set of the store, which has {', '.join(self.names()) or 'none'}"


def named(name: str, manifest: Manifest) -> Manifest:
    """Returns the manifest. Raises ValueError if its name is not the file's."""
    if manifest.name != name:
        raise ValueError(f"{name}{SUFFIX} holds the set {manifest.name!r}: the file was renamed")
    return manifest
