"""Import of published distilled sets: reading their file forms, checking them, and making their manifests."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS, Dataset, check_choice
from crossarch.trainables.data.archives import LIMIT, files_digest, load_npy, load_npz, refuse_links_out, regular_file
from crossarch.trainables.data.distilled_sets import content_digest
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.data.pickles import is_torch, load_torch

NCHW, NHWC = "NCHW", "NHWC"
CHANNELS = (1, 3)
"""Possible numbers of channels, by which the order of axes is recognised."""

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK"
KEYS = (("image", "label"), ("images", "labels"))
"""Keys of images and labels in an .npz file: FRePo's, KIP's."""
SUFFIXES = (".pt", ".pth", ".npz", ".npy")
UNWHITENED = "images_zca"
"""Beginning of the names of MTT's files whose images have their whitening undone, for viewing."""
KNOWN = (
    "images*.pt with labels*.pt, a .pt dictionary of DC, DSA or DM, an .npz with image(s) and label(s), "
    "or images.npy with labels.npy"
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A distilled set as it was published."""

    images: Tensor
    """(N, C, H, W), float32, contiguous, on the CPU, in whatever whitening it was published."""
    labels: Tensor
    """(N,) in int64, or (N, classes) in float32."""
    form: str
    """`pt files`, `dc dictionary`, `npz` or `npy files`."""
    channel_order: str
    """The file's order of axes: NCHW or NHWC."""
    files: tuple[Path, ...]
    """All files that were read."""
    runs: int = 1
    """Number of distillations in the file."""
    facts: dict[str, Any] = field(default_factory=dict)
    """`learning_rate` if published, `run` if there are several, `uint8` if 0 to 255 was converted to 0 to 1."""


def read_published(path: Path, *, run: int | None = None, channel_order: str | None = None) -> Published:
    """Reads the distilled set in a file or a folder; its form is recognised from the contents.

    Args:
        path: The file, or a folder with the files of one set. No file or tensor may have more than LIMIT bytes.
        run: Number of the run (from 0) in a file with several; by default the last.
        channel_order: NCHW or NHWC, if the images' shape is ambiguous or misleading.

    Raises:
        ValueError: The set is damaged, unsafe, too large, ambiguous or of an unknown form. Raised before its contents
            are used.
    """
    if channel_order not in (None, NCHW, NHWC):
        raise ValueError(f"channel_order = {channel_order!r} is not one of {NCHW}, {NHWC}")
    file = _choose(path) if path.is_dir() else path
    if file.name.startswith(UNWHITENED):
        raise ValueError(f"{file.name} has its whitening undone (MTT, for the eye): networks train on the other images")
    if path.is_dir():
        refuse_links_out(file, path)
    raw = _reader(file)(file, run)
    if raw.runs == 1 and run not in (None, 0):
        raise ValueError(f"run = {run}, but {file.name} holds one run, number 0")
    order = channel_order or raw.channel_order
    images, more = _images(raw.images, file.name, order, channel_order is not None)
    labels = _labels(raw.labels, raw.files[-1].name)
    if len(images) != len(labels):
        raise ValueError(f"{file.name} has {len(images)} images, but {len(labels)} labels")
    return replace(raw, images=images, labels=labels, channel_order=order, facts=raw.facts | more)


def _choose(folder: Path) -> Path:
    """The file of images in a folder: the only one, or the only one whose name ends in `_best`."""
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.is_dir())
    named = [path for path in files if path.name.startswith("image")]
    named = named or [path for path in files if not re.match(r"labels?|lr", path.name)]
    usable = [path for path in named if not path.name.startswith(UNWHITENED)]
    if named and not usable:
        return named[0]
    best = [path for path in usable if path.stem.endswith("_best")]
    for candidates in (usable, best):
        if len(candidates) == 1:
            return candidates[0]
    if usable:
        names = ", ".join(path.name for path in (best or usable)[:5])
        raise ValueError(f"{folder.name} holds {len(best or usable)} sets ({names}): give the file of one of them")
    raise ValueError(f"{folder.name} holds no distilled set: known are {KNOWN}")


def _reader(file: Path) -> Callable[[Path, int | None], Published]:
    """The function that reads a file of this form. Its results are not checked yet, not even their types."""
    regular_file(file)
    with file.open("rb") as stream:
        head = stream.read(len(NPY_MAGIC))
    if head == NPY_MAGIC:
        return _read_npy
    if is_torch(file):
        return _read_pt
    if head.startswith(ZIP_MAGIC):
        return _read_npz
    raise ValueError(f"{file.name} is of an unknown form (it begins with {head!r}): known are {KNOWN}")


def _read_pt(file: Path, run: int | None) -> Published:
    found = load_torch(file)
    if isinstance(found, dict) and "data" in found:
        return _dc_dictionary(file, found["data"], run)
    if not isinstance(found, Tensor):
        keys = f" with {', '.join(map(str, found))[:80]}" if isinstance(found, dict) else ""
        raise ValueError(f"{file.name} holds a {type(found).__name__}{keys}, an unknown form: known are {KNOWN}")
    if found.ndim < 3:
        raise ValueError(f"{file.name} holds {tuple(found.shape)} values, not images: give the file of the images")
    beside = _beside(file)
    labels = load_torch(beside)
    rate, files = _learning_rate(file)
    return Published(
        images=found, labels=labels, form="pt files", channel_order=NCHW, files=(file, *files, beside), facts=rate
    )


def _dc_dictionary(file: Path, data: Any, run: int | None) -> Published:
    """The set of one run of a dictionary of DC, DSA or DM; `data` is a list of (images, labels), one per run."""
    if not isinstance(data, list | tuple) or not data:
        raise ValueError(f"{file.name} has no list of runs under 'data'")
    chosen = len(data) - 1 if run is None else run
    if not 0 <= chosen < len(data):
        raise ValueError(f"run = {run} is not one of 0 to {len(data) - 1}, which {file.name} holds")
    pair = data[chosen]
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f"{file.name} has under 'data', run {chosen}, no pair of images and labels")
    facts = {"run": chosen} if len(data) > 1 else {}
    images, labels = pair
    return Published(
        images=images,
        labels=labels,
        form="dc dictionary",
        channel_order=NCHW,
        files=(file,),
        runs=len(data),
        facts=facts,
    )


def _read_npz(file: Path, _: int | None) -> Published:
    arrays = load_npz(file)
    pairs = [pair for pair in KEYS if set(pair) <= set(arrays)]
    if len(pairs) != 1:
        keys = ", ".join(sorted(arrays))[:80] or "nothing"
        raise ValueError(f"{file.name} holds {keys}, and not either image and label or images and labels")
    images, labels = (arrays[key] for key in pairs[0])
    return Published(images=images, labels=labels, form="npz", channel_order=NHWC, files=(file,))


def _read_npy(file: Path, _: int | None) -> Published:
    images, beside = load_npy(file), _beside(file)
    return Published(images=images, labels=load_npy(beside), form="npy files", channel_order=NHWC, files=(file, beside))


def _beside(file: Path) -> Path:
    """The file of labels that belongs to a file of images."""
    for images, labels in KEYS[::-1]:
        beside = file.with_name(file.name.replace(images, labels, 1))
        if beside != file and beside.is_file():
            refuse_links_out(beside, file.parent)
            return beside
    wanted = file.name.replace("image", "label", 1)
    missing = f"no {wanted} lies beside it" if wanted != file.name else "its name does not begin with images"
    raise ValueError(f"{file.name} holds images without labels, and {missing}")


def _learning_rate(file: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The learned learning rate (MTT, DATM) beside a file of images, and its file; both empty without one."""
    tag = re.sub("^images?", "", file.name)
    for beside in (file.with_name(f"lr{tag}"), file.with_name("lr.pt")):
        if beside != file and beside.is_file():
            refuse_links_out(beside, file.parent)
            rate = load_torch(beside)
            if isinstance(rate, Tensor) and rate.numel() == 1:
                rate = rate.item()
            if isinstance(rate, bool) or not isinstance(rate, int | float):
                raise ValueError(f"{beside.name} holds no single number, the learning rate")
            return {"learning_rate": float(rate)}, (beside,)
    return {}, ()


def _images(found: Any, name: str, order: str, stated: bool) -> tuple[Tensor, dict[str, Any]]:
    """Images in the form of `Published`, and facts; uint8 is converted to [0, 1], as by torchvision's ToTensor."""
    tensor = _tensor(found, name, "images")
    if tensor.ndim != 4:
        raise ValueError(f"{name} has images of shape {tuple(tensor.shape)}, not of four axes")
    if not (tensor.is_floating_point() or tensor.dtype == torch.uint8):
        raise ValueError(f"{name} has images of type {tensor.dtype}, neither floats nor uint8")
    if not stated:
        _check_order(tuple(tensor.shape), name, order)
    if order == NHWC:
        tensor = tensor.permute(0, 3, 1, 2)
    images = tensor.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    if tensor.dtype == torch.uint8:
        return images.div_(255), {"uint8": True}
    return images, {}


def _check_order(shape: tuple[int, ...], name: str, order: str) -> None:
    fits = {NCHW: shape[1] in CHANNELS, NHWC: shape[3] in CHANNELS}
    if fits[order]:
        return
    other = NHWC if order == NCHW else NCHW
    if fits[other]:
        raise ValueError(
            f"{name} has images of shape {shape}, which looks like {other} where {order} is usual: "
            f'channel_order="{other}" states it'
        )
    raise ValueError(
        f"{name} has images of shape {shape}, with 1 or 3 channels in neither order: "
        f'channel_order="{NCHW}" or "{NHWC}" states which it is'
    )


def _labels(found: Any, name: str) -> Tensor:
    """Labels in the form of `Published`. Integers of any type are classes; a single column is squeezed."""
    tensor = _tensor(found, name, "labels")
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.ndim == 2:
        return tensor.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    if tensor.ndim != 1:
        raise ValueError(f"{name} has labels of shape {tuple(tensor.shape)}, neither (N,) nor (N, classes)")
    labels = tensor.to(torch.int64, copy=True)
    if not torch.equal(labels.to(tensor.dtype), tensor):
        raise ValueError(f"{name} has labels of shape {tuple(tensor.shape)} that are not whole numbers")
    return labels


def _tensor(found: Any, name: str, what: str) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"{name} has {what} in a {type(found).__name__}, not in a tensor")
    if found.numel() == 0 or found.numel() * 4 > LIMIT:
        raise ValueError(f"{name} has {what} of shape {tuple(found.shape)}, none or over {LIMIT} bytes: refused")
    return found.detach()


SUM_TOLERANCE = 1e-3
"""Maximum deviation from 1 of the sum of a row of probabilities."""
CENTRED_TOLERANCE = 0.01
"""Maximum deviation from 0 of a centred row's sum, relative to its absolute values; FRePo's labels have 0.003."""


def label_form(labels: Tensor) -> str:
    """The form of labels: `hard` for classes (N,); `probabilities`, `centred` or `logits` for (N, classes).

    Probabilities are not negative and every row sums to 1; rows of centred labels sum to 0; all others are logits, such
    as FRePo's learned labels at 10 images per class, which sum to about 1 but have negative values. Raises ValueError
    for any other shape, and for values that are not finite.
    """
    if labels.ndim == 1 and not labels.is_floating_point():
        return "hard"
    if labels.ndim != 2 or not labels.is_floating_point():
        raise ValueError(f"labels of shape {tuple(labels.shape)} and type {labels.dtype} are neither hard nor soft")
    _check_finite(labels, "labels", "row")
    sums, scale = labels.double().sum(1), labels.double().abs().sum(1)
    if bool((labels >= 0).all()) and bool(((sums - 1).abs() <= SUM_TOLERANCE).all()):
        return "probabilities"
    if bool((sums.abs() <= CENTRED_TOLERANCE * scale).all()):
        return "centred"
    return "logits"


def check_set(images: Tensor, labels: Tensor, facts: Dataset, images_per_class: int | None = None) -> int:
    """Checks images (N, C, H, W) with labels (N,) or (N, classes) against the data set `facts`.

    Returns the images per class. Raises ValueError if shapes or numbers do not match the data set, a value is not
    finite, an image is constant, or hard labels are out of range, incomplete, or not balanced.
    """
    classes, shape = facts.classes, (facts.channels, facts.resolution, facts.resolution)
    if images.ndim != 4 or tuple(images.shape[1:]) != shape:
        raise ValueError(f"images have shape {tuple(images.shape)}, but each of the data set's has {shape}")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"the set has {len(images)} images and {len(labels)} labels")
    _check_finite(images, "images", "image")
    _check_varied(images)
    if label_form(labels) == "hard":
        _check_classes(labels, classes)
    elif labels.shape[1] != classes:
        raise ValueError(f"labels have {labels.shape[1]} columns, but the data set has {classes} classes")
    if images_per_class is not None and len(images) != classes * images_per_class:
        raise ValueError(f"the set has {len(images)} images, not {images_per_class} for each of {classes} classes")
    if len(images) % classes:
        raise ValueError(f"the set's {len(images)} images do not fall into {classes} classes of equal size")
    return len(images) // classes


def balance_note(labels: Tensor, classes: int) -> str:
    """A sentence if the largest entries of soft labels (N, classes) are not equally distributed over classes, else "".

    Learned labels need not be balanced, so this is not an error.
    """
    if labels.ndim == 1:
        return ""
    counts = torch.bincount(labels.argmax(1), minlength=classes)
    if bool((counts == counts[0]).all()):
        return ""
    least, most = int(counts.argmin()), int(counts.argmax())
    return (
        f"the soft labels are not balanced: class {least} is the largest entry of {int(counts[least])} labels, "
        f"class {most} of {int(counts[most])}"
    )


def _check_finite(values: Tensor, what: str, row: str) -> None:
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        first = int(bad.flatten(1).any(1).nonzero()[0])
        raise ValueError(f"{what} have {int(bad.sum())} values that are not finite, the first in {row} {first}")


def _check_varied(images: Tensor) -> None:
    flat = images.flatten(1)
    constant = (flat == flat[:, :1]).all(1).nonzero().flatten()
    if len(constant):
        raise ValueError(f"{len(constant)} images are constant, the first of them image {int(constant[0])}")


def _check_classes(labels: Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels run from {low} to {high}, but the data set's are 0 to {classes - 1}")
    counts = torch.bincount(labels, minlength=classes)
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        names = ", ".join(map(str, missing[:5]))
        raise ValueError(f"{len(missing)} of {classes} classes have no image, the first of them {names}")
    if bool((counts != counts[0]).any()):
        least, most = int(counts.argmin()), int(counts.argmax())
        raise ValueError(
            f"the classes are not balanced: class {least} has {int(counts[least])} images, "
            f"class {most} has {int(counts[most])}"
        )


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Facts that the files do not contain and the user has to declare."""

    dataset: str
    distiller: str
    whitening: str
    name: str | None = None
    """None: `<dataset>-<distiller>-ipc<images per class>`."""
    label_temperature: float | None = None
    source: str | None = None
    """None: the base name of the given path."""
    licence: str = "unknown"

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown data set or whitening."""
        check_choice(self.dataset)
        known = DATASETS[self.dataset].whitenings
        if self.whitening not in known:
            raise ValueError(f"whitening = {self.whitening!r} is not one of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A set ready for the store."""

    manifest: Manifest
    images: Tensor
    labels: Tensor
    notes: tuple[str, ...]
    """Warnings, one sentence each."""


def take_in(path: Path, declared: Declared, *, run: int | None = None, channel_order: str | None = None) -> Candidate:
    """Reads and checks the published set at `path`. Raises ValueError, in one sentence, if it is refused."""
    found = read_published(path, run=run, channel_order=channel_order)
    facts = DATASETS[declared.dataset]
    images_per_class = check_set(found.images, found.labels, facts)
    form = label_form(found.labels)
    if form in ("centred", "logits") and declared.label_temperature is None:
        raise ValueError(
            f"label_temperature = None, but the labels are {form}: networks train against softmax(y / t), "
            "with t = 0.3 for FRePo's sets of CIFAR-10, 0.04 of CIFAR-100, 0.02 of Tiny-ImageNet"
        )
    if form == "hard" and declared.label_temperature is not None:
        raise ValueError(f"label_temperature = {declared.label_temperature}, but the labels are hard: leave it out")
    manifest = Manifest(
        name=declared.name or f"{declared.dataset}-{declared.distiller}-ipc{images_per_class}",
        dataset=declared.dataset,
        distiller=declared.distiller,
        images_per_class=images_per_class,
        whitening=declared.whitening,
        label_form=form,
        label_temperature=declared.label_temperature,
        source_channel_order=found.channel_order,
        source=declared.source or path.resolve().name,
        source_sha256=files_digest(found.files),
        sha256=content_digest(found.images, found.labels),
        licence=declared.licence,
        form=found.form,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=json.dumps(found.facts),
    )
    notes = []
    if found.runs > 1:
        notes.append(f"the file holds {found.runs} runs: number {found.facts.get('run')} was taken")
    unbalanced = balance_note(found.labels, facts.classes)
    if unbalanced:
        notes.append(unbalanced)
    return Candidate(manifest=manifest, images=found.images, labels=found.labels, notes=tuple(notes))
