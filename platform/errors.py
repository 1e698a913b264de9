"""Errors that the platform raises for bad input and for failures, each one sentence for the user."""

from collections.abc import Iterator
from contextlib import contextmanager


class BadInputError(Exception):
    """A value that the user gave is not allowed; the message names key, value and what is allowed."""


class FailedError(Exception):
    """A failure that is not caused by the user's input; one sentence, after which a command exits with 1."""


class OtherVersionError(BadInputError, ValueError):
    """A file has another schema version than this one reads; one sentence that names the file and both versions."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turns the ValueErrors of code that checks users' input into BadInputError."""
    try:
        yield
    except ValueError as error:
        raise BadInputError(str(error)) from error
    except OverflowError as error:
        raise BadInputError(f"a number is too large: {error}") from error
