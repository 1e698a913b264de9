"""A real S3 server on the loopback interface, nanio, that checks signatures, and a user who may only read."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from processes import wait_for

READ_ONLY = """
import sys
from nanio import app
build = app.build_app
def build_app():
    inner = build()
    async def guarded(scope, receive, send):
        async def answer(status, body):
            headers = [(b"content-type", b"application/xml"), (b"etag", b'"0"')]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        reader = b"Credential=reader/" in dict(scope.get("headers", [])).get(b"authorization", b"")
        if scope["type"] == "http" and reader and scope["method"] not in ("GET", "HEAD"):
            await answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
        elif scope["type"] == "http" and scope["method"] == "PUT" and scope["path"].endswith("/"):
            await answer(200, b"")
        else:
            await inner(scope, receive, send)

    return guarded
app.build_app = build_app
from nanio.cli import main
sys.exit(main())
"""
"""nanio, and no writing for the user `reader`. Empty folders, which pyarrow leaves, are taken, but not kept."""


class S3(NamedTuple):
    """A running server."""

    environment: dict[str, str]
    """What a client needs."""
    secret: str
    folder: Path
    """Below it, a bucket is a folder."""

    def bucket(self, name: str) -> str:
        """The URI of a bucket, which is made."""
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        return f"s3://{name}"

    def objects(self, name: str) -> list[str]:
        """The keys of a bucket."""
        root = self.folder / name
        return sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.is_file() and not any(part.startswith(".nanio") for part in path.relative_to(root).parts)
        )


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[S3]:
    """A server for as long as the context lasts."""
    port, secret = free_port(), secrets.token_hex(20)
    users = "".join(f'[[users]]\naccess_key = "{user}"\nsecret_key = "{secret}"\n' for user in ("writer", "reader"))
    options, data = folder / "options.toml", folder / "data"
    data.mkdir(parents=True)
    options.write_text(f'[server]\ndata_dir = "{data}"\nhost = "127.0.0.1"\nport = {port}\n{users}')
    command = [sys.executable, "-c", READ_ONLY, "serve", "--options", str(options), "--log-level", "error"]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    try:
        wait_for(lambda: server.poll() is not None or _answers(port), 30)
        assert server.poll() is None, "the server has ended"
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "writer",
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # nanio takes no checksums that trail an upload
        }
        yield S3(environment, secret, data)
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
