"""Errors that the platform raises for bad input and for failures, each one sentence for the user."""

from collections.abc import Iterator
from contextlib import contextmanager


class BadInputError(Exception):
    """Something a user gave is not allowed; the message names key, value and what is."""


class FailedError(Exception):
    """Something failed that the user's input is not to blame for; one sentence, after which a command exits with 1."""


class OtherVersionError(BadInputError, ValueError):
    """A file follows another schema than this version reads; one sentence that names the file and both."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turns the ValueErrors of code that checks users' input into BadInputError."""
    try:
        yield
    except ValueError as error:
        raise BadInputError(str(error)) from error
    except OverflowError as error:
        raise BadInputError(f"a number is too large: {error}") from error
