"""Manifests say only what is allowed, in full, and are read without torch."""

import dataclasses
import json
import os
import struct
import subprocess
import sys

import pytest
from distilled_sets import hard, images, manifest, soft

from crossarch.trainables.data.distilled_sets import Store, write_set
from crossarch.trainables.data.manifest import FIELDS, from_metadata, read_manifest, to_metadata

MANIFEST = manifest(images(), soft())


@pytest.mark.parametrize(
    "changes",
    [{}, {"label_temperature": 0.1 + 0.2}, {"facts": '{"learning_rate": 0.02}', "verified": '{"accuracy": 44.3}'}],
)
def test_a_manifest_survives_its_text(changes):
    written = dataclasses.replace(MANIFEST, **changes)
    metadata = to_metadata(written)
    assert all(isinstance(value, str) for value in metadata.values())
    assert from_metadata(metadata) == written


@pytest.mark.parametrize("key", FIELDS)
def test_a_missing_key(key):
    metadata = to_metadata(MANIFEST)
    del metadata[key]
    with pytest.raises(ValueError, match=f"its manifest lacks {key}$"):
        from_metadata(metadata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "blue"}, "its manifest has unknown keys: colour"),
        ({"format": "crossarch distilled set 2"}, "format = 'crossarch distilled set 2' is not"),
        ({"images_per_class": "ten"}, "images_per_class = 'ten' is not a whole number"),
        ({"images_per_class": "0"}, "images_per_class = 0 is not 1 or more"),
        ({"label_temperature": "warm"}, "label_temperature = 'warm' is not a number"),
        ({"label_temperature": "nan"}, "label_temperature = nan is not a number above 0"),
        ({"label_temperature": "0"}, "not a number above 0"),
        ({"label_form": "soft"}, "label_form = 'soft' is not one of hard, probabilities, centred, logits"),
        ({"channel_order": "NHWC"}, "channel_order = 'NHWC' is not one of NCHW"),
        ({"source_channel_order": ""}, "source_channel_order = '' is not one of NCHW, NHWC"),
        ({"sha256": "abc"}, "sha256 = 'abc' is not a SHA-256"),
        ({"source_sha256": "g" * 64}, "source_sha256 = 'g+' is not a SHA-256"),
        ({"created_at": "yesterday"}, "created_at = 'yesterday' is not a time"),
        ({"created_at": "2026-11-21T12:00:00"}, "with a time zone"),
        ({"facts": "[]"}, r"facts = '\[\]' is not a JSON object"),
        ({"facts": "[" * 10**5}, "is not a JSON object"),
        ({"verified": "yes"}, "verified = 'yes' is not a JSON object"),
        ({"whitening": " "}, "whitening = ' ' is empty"),
        ({"source": "/data/someone/images.pt"}, "has a path of a machine in it"),
        ({"source": "copied from ~/images.pt"}, "has a path of a machine in it"),
        ({"source": "C:\\sets\\images.pt"}, "has a path of a machine in it"),
    ],
)
def test_what_a_manifest_may_not_say(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_metadata(to_metadata(MANIFEST) | changes)
    assert "\n" not in str(caught.value)


def test_a_source_may_be_an_address():
    dataclasses.replace(MANIFEST, source="https://example.org/sets/images_best.pt, and/or its mirror")


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "-a", "A", "a b", "a\n", "ä", "a" * 65, "a\0"])
def test_names_that_no_set_may_have(name):
    with pytest.raises(ValueError, match=r"name = .* is not 1 to 64 of"):
        dataclasses.replace(MANIFEST, name=name)


def test_names_that_a_set_may_have():
    for name in ("a", "0", "frepo-cifar10_ipc1.v2", "a" * 64):
        assert dataclasses.replace(MANIFEST, name=name).name == name


def changed(path, change):
    """Rewrites the header of a set's file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.pop("__metadata__"), "format = None is not 'crossarch distilled set 1'"),
        (lambda header: header.update(__metadata__={"name": 1}), "not of texts"),
        (lambda header: header.pop("labels"), "it holds images, not images and labels"),
        (lambda header: header["images"].update(shape=[2**40, 3, 8, 8]), r"are not 6144 bytes"),
        (lambda header: header["images"].update(data_offsets=[0, 2**50], shape=[2**48]), "header tells of"),
        (lambda header: header["images"].update(dtype="F16"), "the entry of its images cannot be read"),
        (lambda header: header["images"].update(shape=[192, 8]), r"images of shape \(192, 8\) do not fit labels"),
        (lambda header: header["images"].update(shape=[3, 8, 8, 8]), "do not fit labels"),
        (lambda header: header["__metadata__"].update(label_form="hard"), "labels are floats, but label_form = 'hard'"),
        (lambda header: header["__metadata__"].update(images_per_class="3"), "8 images are no multiple of"),
    ],
)
def test_a_header_that_does_not_fit(tmp_path, change, message):
    path = tmp_path / "small.safetensors"
    write_set(path, MANIFEST, images(), soft())
    assert read_manifest(path) == MANIFEST
    changed(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith("small.safetensors is no undamaged distilled set: ")


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\xff" * 100, struct.pack("<Q", 4) + b"[]  ", b"\x04" + b"\0" * 20])
def test_what_is_no_set(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.safetensors is no undamaged distilled set"):
        read_manifest(tmp_path / "a.safetensors")
    assert Store(tmp_path).manifests() == {}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="not a regular file"):
        read_manifest(tmp_path / "a.safetensors")


def test_manifests_are_read_without_torch_and_numpy(tmp_path):
    write_set(tmp_path / "small.safetensors", manifest(images(), hard()), images(), hard())
    code = (
        "import sys; from pathlib import Path; from crossarch.trainables.data.manifest import Manifests;"
        "assert list(Manifests(Path(sys.argv[1])).manifests()) == ['small'];"
        "print(*{'torch', 'numpy', 'safetensors'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == ""
