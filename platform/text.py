"""Plain text that any output may hold: durations in words, and text on one printable line."""

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def one_line(text: str) -> str:
    """`text` without colour codes, control characters and line breaks."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in _ANSI.sub("", text))
    return " ".join(text.split())
