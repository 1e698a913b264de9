"""Small distilled sets, and the files in which sets are published."""

import pickle
import zipfile

import numpy as np
import torch

from crossarch.trainables.data.distilled_sets import content_digest
from crossarch.trainables.data.manifest import Manifest

CLASSES = 4


def images(seed=0, per_class=2, side=8):
    return torch.randn(CLASSES * per_class, 3, side, side, generator=torch.Generator().manual_seed(seed))


def hard(per_class=2):
    return torch.arange(CLASSES).repeat_interleave(per_class)


def soft(seed=0, per_class=2):
    return torch.randn(CLASSES * per_class, CLASSES, generator=torch.Generator().manual_seed(seed))


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1).contiguous().numpy()


def manifest(of_images, of_labels, **changes):
    facts = {
        "name": "small",
        "dataset": "cifar10",
        "distiller": "frepo",
        "images_per_class": 2,
        "whitening": "zca",
        "label_form": "logits" if of_labels.is_floating_point() else "hard",
        "source": "images_best.pt, labels_best.pt",
        "source_sha256": "0" * 64,
        "sha256": content_digest(of_images, of_labels),
        "form": "pt files",
        "created_at": "2026-11-21T12:00:00+00:00",
    }
    return Manifest(**facts | changes)


def save_pair(folder, tag="_best", of_images=None, labels=None, **options):
    """Two files as MTT's and the paper's authors have them."""
    folder.mkdir(exist_ok=True)
    torch.save(images() if of_images is None else of_images, folder / f"images{tag}.pt", **options)
    torch.save(hard() if labels is None else labels, folder / f"labels{tag}.pt", **options)
    return folder


def save_dc(path, runs=3, **options):
    """A dictionary as DC, DSA and DM save it, its accuracies numbers of numpy."""
    data = [[images(run), hard()] for run in range(runs)]
    accuracies = {"ConvNet": [np.float64(0.25), np.float64(0.5)]}
    torch.save({"data": data, "accs_all_exps": accuracies}, path, **options)
    return path


class Code:
    """Unpickled by any other than a careful reader, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


class Handmade(pickle.Pickler):
    """Pickles tensors that say of themselves what is not so."""

    class Storage:
        pass

    class Tensor:
        def __init__(self, shape, stride):
            self.claims = shape, stride

        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Handmade.Storage(), 0, *self.claims, False, None)

    def persistent_id(self, found):
        return ("storage", torch.FloatStorage, "0", "cpu", 1) if isinstance(found, Handmade.Storage) else None


def rewrite_zip(path, change, compression=zipfile.ZIP_STORED):
    """Packs an archive anew, each member's name and bytes as `change` has them, more than one if it likes."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            for new, changed in change(name, data):
                archive.writestr(new, changed)
