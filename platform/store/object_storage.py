"""Storage on S3 or Google Cloud Storage, through pyarrow. Credentials come from the environment or the machine's role.

Neither has renames, and pyarrow 25 has no conditional writes. So an object is written whole, under a name that depends
on its content, and no two writers write different contents to one name.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs
from pyarrow.fs import FileSelector, FileSystem, FileType

from crossarch.platform.errors import BadInputError
from crossarch.trainables.working_copy import Stamp, StorageUnreachableError

SCHEMES = ("s3", "gs")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables that name an S3 server other than Amazon's; the first that is set counts."""
CONNECT, REQUEST = 5.0, 60.0
"""Timeouts in seconds, of connecting and of a request."""
_SILENT = r"NETWORK_CONNECTION|REQUEST_TIMEOUT|curlCode|UNAVAILABLE|DEADLINE|retry policy"
_REFUSED = r"ACCESS|FORBIDDEN|SIGNATURE|CREDENTIAL|TOKEN|PERMISSION|UNAUTHENTICATED|HTTP status 40[13]"
ATTEMPTS = 4
"""Attempts at every request, with growing pauses between."""


class Address(NamedTuple):
    """The address of remote storage."""

    scheme: str
    bucket: str
    prefix: str
    """Without `/` at its ends; may be empty."""

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(filter(None, (self.bucket, self.prefix)))}"


def parse(text: str) -> Address:
    """The address of a URI `s3://bucket/prefix`. Raises BadInputError for any other text; secrets are not repeated."""
    scheme, _, rest = text.partition("://")
    shown = f"storage = {f'{scheme}://{_without_secrets(rest)}'!r}"
    if "@" in rest.partition("/")[0] or "?" in rest or "#" in rest:
        raise BadInputError(
            f"{shown} was given with credentials or parameters: they come from the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL) or the machine's role"
        )
    if scheme not in SCHEMES:
        raise BadInputError(f"{shown} is neither a folder nor s3://bucket/prefix nor gs://bucket/prefix")
    bucket, _, prefix = rest.partition("/")
    parts = [part for part in prefix.split("/") if part]
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket) or {".", ".."} & set(parts):
        raise BadInputError(f"{shown} names no bucket: give {scheme}://bucket/prefix")
    return Address(scheme, bucket, "/".join(parts))


def _without_secrets(rest: str) -> str:
    """`rest`, what follows `://`, without user names, passwords and parameters, which may be secret."""
    return re.split(r"[?#]", rest)[0].rpartition("@")[2]


class ObjectFiles:
    """Files below a bucket's prefix: `trainables.working_copy.Files`."""

    def __init__(self, address: Address) -> None:
        """Raises BadInputError if the environment names an endpoint that is not a URL, or has credentials in it."""
        self.address = address
        self._system = _system(address.scheme)

    def check(self) -> None:
        """Raises BadInputError if the storage does not answer, denies reading, or has no such bucket."""
        try:
            with self._asking():
                found = self._system.get_file_info(self.address.bucket).type != FileType.NotFound
                self.stamps("ledger/.none")
        except StorageUnreachableError as error:
            raise BadInputError(str(error)) from error
        if not found:
            raise BadInputError(f"storage = {str(self.address)!r}: there is no bucket {self.address.bucket!r}")

    def check_writable(self) -> None:
        """Raises BadInputError if nothing can be written. Leaves the object `.crossarch` there."""
        content = b"Results of crossarch.\n"
        try:
            with self._asking(), self._system.open_output_stream(self._path(".crossarch")) as stream:
                stream.write(content)
            kept = self.stamps(".crossarch")[".crossarch"].size
        except StorageUnreachableError as error:
            raise BadInputError(f"{error}; it has to be writable") from error
        if kept != len(content):
            raise BadInputError(
                f"storage = {str(self.address)!r} does not keep what is sent: it takes no checksums that trail it, so "
                "AWS_REQUEST_CHECKSUM_CALCULATION has to be when_required"
            )

    def stamps(self, name: str) -> dict[str, Stamp]:
        """As `Files` says."""
        path = self._path(name.rstrip("/"))
        wanted = FileSelector(path, recursive=True, allow_not_found=True) if name.endswith("/") else [path]
        with self._asking():
            found = self._system.get_file_info(wanted)
        start = len(self._path(""))
        return {
            each.path[start:]: Stamp(each.size, each.mtime_ns // 10**9) for each in found if each.type == FileType.File
        }

    def fetch(self, name: str, path: Path) -> None:
        """As `Files` says."""
        with (
            self._asking(),
            self._system.open_input_stream(self._path(name)) as source,
            path.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 2**22)

    def send(self, path: Path, name: str) -> None:
        """As `Files` says: an upload that is interrupted never becomes visible."""
        content = pa.memory_map(str(path)).read_buffer() if path.stat().st_size else b""
        with self._asking(), self._system.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """As `Files` says."""
        with self._asking():
            try:
                self._system.delete_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return "/".join(filter(None, (self.address.bucket, self.address.prefix))) + "/" + name

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns every OSError of pyarrow but FileNotFoundError into StorageUnreachableError."""
        try:
            yield
        except (FileNotFoundError, StorageUnreachableError):
            raise
        except OSError as error:
            raise StorageUnreachableError(f"storage = {str(self.address)!r} {complaint(str(error))}") from None


def complaint(message: str) -> str:
    """pyarrow's message in few words that end a sentence, without anything that may identify an account."""
    found = re.search(r"AWS Error (\w+).* during (\w+) operation", message)
    told = message[found.start() :] if found else message
    if re.search(_SILENT, told, re.IGNORECASE):
        return "does not answer"
    if re.search(_REFUSED, told, re.IGNORECASE):
        return "refuses access: credentials come from the environment or the machine's role"
    return f"fails: {found[1]} in {found[2]}" if found else f"fails: {message.partition(chr(10))[0][:200]}"


@lru_cache(maxsize=8)
def open_files(uri: str) -> ObjectFiles:
    """The files of a URI, through one client per process. Raises BadInputError as `parse` and ObjectFiles do."""
    return ObjectFiles(parse(uri))


def _system(scheme: str) -> FileSystem:
    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=REQUEST))
    options: dict[str, Any] = {
        "connect_timeout": CONNECT,
        "request_timeout": REQUEST,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        "allow_delayed_open": True,  # one request for a small object, instead of three
        "background_writes": False,
    }
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    return fs.S3FileSystem(**options, **_endpoint())


def _endpoint() -> dict[str, str]:
    """The S3 server that the environment names, as options of pyarrow; empty for Amazon's.

    Raises BadInputError if it is not a URL of http or https, or has credentials in it.
    """
    name = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if name is None:
        return {}
    parts = urlsplit(os.environ[name])
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc or parts.path.strip("/"):
        raise BadInputError(f"{name} is not of the form http://host:port or https://host:port, without credentials")
    return {"scheme": parts.scheme, "endpoint_override": parts.netloc}
