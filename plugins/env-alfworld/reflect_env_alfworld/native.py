"""The compiled part of TextWorld's PDDL engine: what can be done in a state, and doing it.

The library keeps one state in variables of its own, so each game that is being played has a
copy of it to itself. A copy cannot be unloaded (the interpreter would crash at its end), so
copies that are given back are lent again.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any

import attrs
import fast_downward
from fast_downward.interface import DOWNWARD_LIB_PATH

_free: list[Any] = []  # loaded copies that nobody uses
_lending = threading.Lock()


@attrs.frozen
class Operator:
    """Something that can be done.

    Args:
        number: Its number in the translation that was loaded.
        name: The action and what it is done with, in words separated by blanks.
        effects: How many facts it makes true or false.
    """

    number: int
    name: str
    effects: int


class Downward:
    """One game's state in a copy of the library.

    The methods may not be called before :meth:`load`, nor after :meth:`close`.
    """

    def __init__(self) -> None:
        """Borrow a copy, or load one more."""
        with _lending:
            self._library = _free.pop() if _free else _load_copy()
        self._open = True

    def load(self, translation: bytes) -> None:
        """Go to the initial state of a translated problem."""
        self._library.load_sas(translation)

    def operators(self) -> list[int]:
        """Numbers of all operators that apply now; :meth:`describe` tells which they are."""
        count = self._library.get_applicable_operators_count()
        self._applicable = (fast_downward.Operator * count)()
        self._library.get_applicable_operators(self._applicable)
        return [operator.id for operator in self._applicable]

    def describe(self, place: int) -> Operator:
        """The operator at a place of the list that :meth:`operators` gave last."""
        found = self._applicable[place]
        return Operator(found.id, found.name, found.nb_effect_atoms)

    def apply(self, operator: Operator) -> list[str]:
        """Do it; returns the atoms that became true (``Atom``) and false (``NegatedAtom``)."""
        effects = (fast_downward.Atom * operator.effects)()
        self._library.apply_operator(operator.number, effects)
        return [atom.name for atom in effects]

    def atoms(self) -> list[str]:
        """All atoms of the state, negated ones too."""
        atoms = (fast_downward.Atom * self._library.get_state_size())()
        self._library.get_state(atoms)
        return [atom.name for atom in atoms]

    def at_goal(self) -> bool:
        """Whether the goal is reached."""
        return bool(self._library.check_goal())

    def plan(self, translation: bytes) -> list[str] | None:
        """Names of operators that lead from here to the goal; None where there is no way.

        Args:
            translation: Of the same problem, made for searching.
        """
        self._library.load_sas_replan(translation)
        if not self._library.replan(False):
            return None
        operators = (fast_downward.Operator * self._library.get_last_plan_length())()
        self._library.get_last_plan(operators)
        return [operator.name for operator in operators]

    def close(self) -> None:
        """Give the copy back; may be called twice."""
        if self._open:
            self._open = False
            with _lending:
                _free.append(self._library)


def _load_copy() -> Any:
    """A copy of the library that shares nothing with others, without a file left behind."""
    with tempfile.TemporaryDirectory(prefix="reflect-alfworld-") as folder:
        # what is loaded from one path is shared, so each copy has a path of its own
        path = Path(folder, "libdownward.so")
        path.write_bytes(_content())
        library = ctypes.CDLL(str(path))
        path.unlink()  # it stays in memory
        return _declared(library)


@functools.cache
def _content() -> bytes:
    """The library without what only debuggers read, a thirtieth of its size.

    What the system loads is told by the program headers of the file; all after that can go.
    """
    content = Path(DOWNWARD_LIB_PATH).read_bytes()
    if not content.startswith(b"\x7fELF\x02\x01"):  # another system's format, or 32 bits
        return content
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    end = 0
    for place in range(start, start + size * count, size):
        offset, _, _, length = struct.unpack_from("<QQQQ", content, place + 8)
        end = max(end, offset + length)
    header = bytearray(content[:end])
    struct.pack_into("<Q", header, 40, 0)  # where the table of sections was,
    struct.pack_into("<HHH", header, 58, 0, 0, 0)  # and what was in it
    return bytes(header)


def _declared(library: Any) -> Any:
    """The library with the types of what is used of it."""
    atoms = ctypes.POINTER(fast_downward.Atom)
    operators = ctypes.POINTER(fast_downward.Operator)
    for name, arguments, result in (
        ("load_sas", [ctypes.c_char_p], None),
        ("load_sas_replan", [ctypes.c_char_p], None),
        ("get_applicable_operators_count", [], ctypes.c_int),
        ("get_applicable_operators", [operators], None),
        ("apply_operator", [ctypes.c_int, atoms], ctypes.c_int),
        ("get_state_size", [], ctypes.c_int),
        ("get_state", [atoms], None),
        ("check_goal", [], ctypes.c_bool),
        ("replan", [ctypes.c_bool], ctypes.c_bool),
        ("get_last_plan_length", [], ctypes.c_int),
        ("get_last_plan", [operators], None),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library
