"""Downloads of publishers' archives: resumed after interruptions, and verified before they are opened."""

import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from crossarch.trainables.files import TEMPORARY_SUFFIX

TIMEOUT = 30.0
"""Timeout of the connection and of each read, in seconds."""

BLOCK = 1 << 18
"""Bytes per read."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

Progress = Callable[[int, int | None], None]


def fetch(url: str, path: Path, md5: str, *, on_progress: Progress | None = None) -> None:
    """Downloads `url` to `path` and verifies its MD5. Does nothing if `path` has that MD5 already.

    After an interruption the bytes received are kept in `<path>.partial`, and the next call requests the rest (RFC
    9110, Range); if the server sends everything, the download starts over.

    Args:
        url: With https, or http on this machine.
        path: The file to write.
        md5: The expected MD5, 32 hexadecimal digits.
        on_progress: Called with the bytes received and the total, None if the server does not tell it.

    Raises:
        ValueError: Another protocol, or another MD5; then the file is deleted.
        OSError: The connection fails; in one sentence.
    """
    check_protocol(url)
    if path.is_file() and file_md5(path) == md5:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        _receive(url, partial, on_progress or (lambda done, total: None))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:  # there is nothing left to send: the file is complete, or wrong
            raise OSError(f"{url} cannot be fetched: HTTP status {error.code}") from error
    except (OSError, HTTPException) as error:
        raise OSError(f"{url} cannot be fetched: {error}; the next call goes on where this one ended") from error
    digest = file_md5(partial)
    if digest != md5:
        partial.unlink()
        raise ValueError(f"the MD5 of {url} is {digest}, not {md5}: what came has been deleted")
    partial.replace(path)


def _receive(url: str, partial: Path, on_progress: Progress) -> None:
    """Appends the missing bytes to `partial`. Raises OSError if the connection ends before the file is complete."""
    done = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310, checked
    with urllib.request.build_opener(Redirects).open(request, timeout=TIMEOUT) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status != 206:
            done = 0
        elif not content_range.startswith(f"bytes {done}-"):
            partial.unlink()
            raise OSError(f"bytes from {done} on were asked for, but the server sends {content_range!r}")
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        with partial.open("ab" if done else "wb") as out:
            while block := response.read(BLOCK):
                out.write(block)
                done += len(block)
                on_progress(done, total)
    if total is not None and done != total:
        raise OSError(f"it ended after {done} of {total} bytes")


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not to another protocol."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the new URL. Raises ValueError if its protocol is not allowed."""
        check_protocol(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_protocol(url: str) -> None:
    """Raises ValueError for a URL that is neither https nor http on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"url = {url!r} does not begin with https://")


def file_md5(path: Path) -> str:
    """MD5 of a file, 32 hexadecimal digits. It is what publishers give, and detects accidental damage only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def extract(archive: Path, folder: Path, name: str) -> None:
    """Unpacks the tar `archive`, which contains one folder `name`, to `folder`/`name`, atomically.

    Call it in one process at a time: leftovers of killed processes are removed. Raises ValueError for a member that
    would be written elsewhere or is not a plain file, and for an archive without `name`.
    """
    for stale in folder.glob(f".{name}.*{TEMPORARY_SUFFIX}"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = folder / f".{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(temporary, filter="data")
        if not (temporary / name).is_dir():
            raise ValueError(f"{archive} has no folder {name}")
        (temporary / name).replace(folder / name)
    except tarfile.TarError as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
