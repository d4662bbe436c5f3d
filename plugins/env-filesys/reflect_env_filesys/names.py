"""How names and contents are written so that any of them is unambiguous, printable text."""

from __future__ import annotations

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", " ": "\\ "}


def shown_name(name: str) -> str:
    r"""A file's name as the observation writes it: one word, printable, no two alike.

    Blanks and backslashes are escaped by a backslash; bytes that are not UTF-8 (which Python
    keeps as lone surrogates) as ``\xNN``; whatever else cannot be printed as ``\u{NNNN}``.

    >>> print(shown_name("my file.py"), shown_name("a\nb"), shown_name("\udcff"))
    my\ file.py a\nb \xff
    """
    if name.isalnum() or (name.isascii() and name.isprintable() and not set(name) & {" ", "\\"}):
        return name
    return "".join(_shown(char) for char in name)


def _shown(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char if char.isprintable() else f"\\u{{{code:x}}}"


def printable(text: str) -> str:
    r"""``text``, with lone surrogates, which no file can hold, written as ``\udcNN``.

    >>> print(printable("my repo"), printable("r\udcff"))
    my repo r\udcff
    """
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str, length: int) -> str:
    r"""``text`` on one line with single blanks, at most ``length`` characters and an ellipsis.

    >>> one_line("  two\n words ", 5)
    'two w...'
    """
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= length else line[:length].rstrip() + "..."
