"""What names are made of: common words, syllables, labels, and names that must never occur."""

from __future__ import annotations

import functools
import os
import re
import sys
import sysconfig
from pathlib import Path

LABELS = tuple(f"<|{number:02d}|>" for number in range(100))
ROOMS = frozenset({"kitchen", "bathroom", "bedroom", "livingroom", "living"})
EXTENSIONS = (".py", ".txt", ".md", ".c", ".h", ".js", ".go", ".rs", ".png", ".cfg", ".dat", ".sh")
_ONSETS = (
    "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr pl pr qu sc sh sk sl "
    "sn sp st str sw th tr tw"
)
_NUCLEI = "a e i o u a e i o u ai ea ee oo ou ia y"
_CODAS = (
    " , , , , ,b,d,g,k,l,m,n,p,r,s,t,x,ck,ct,ft,ld,ll,mp,nd,ng,nk,nt,rd,rk,rm,rn,rt,sh,ss,st,th"
)
_ENDINGS = "er or ing tion ize al ic ment ness able ist ous ive ade ent ant ure age ia us"
ONSETS, NUCLEI, ENDINGS = _ONSETS.split(), _NUCLEI.split(), _ENDINGS.split()
CODAS = [coda.strip() for coda in _CODAS.split(",")]


@functools.cache
def load_words() -> dict[str, tuple[str, ...]]:
    """Read ``words.txt`` as a mapping from kind (noun, verb, ...) to its words."""
    kinds: dict[str, dict[str, None]] = {}
    kind = ""
    for row in Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines():
        if row.startswith("["):
            kind = row.strip("[]")
            kinds.setdefault(kind, {})
        elif row and not row.startswith("#"):
            kinds[kind].update(dict.fromkeys(row.split()))
    return {name: tuple(words) for name, words in kinds.items()}


@functools.cache
def reserved_names() -> frozenset[str]:
    """Names that must never occur: modules of the standard library and certain rooms.

    Keeping them out leaves them unseen, so that file trees of real packages and household
    rooms remain a fair test of what was learnt.
    """
    names = {name.lower() for name in sys.stdlib_module_names} | ROOMS
    top = sysconfig.get_paths()["stdlib"]
    for folder, below, files in os.walk(top):
        below[:] = [d for d in below if d not in ("site-packages", "__pycache__", "test", "tests")]
        below[:] = [d for d in below if not d.startswith("config-")]
        stems = [file[:-3] for file in files if file.endswith(".py")]
        names.update(name.lower() for name in (*below, *stems))
        if folder == top:
            names.discard("site-packages")
    return frozenset(names)


def reserved_in(text: str) -> set[str]:
    """The reserved names that occur in ``text`` as words, whatever their case."""
    text = text.lower()
    found = set(re.findall(r"[a-z]+", text))
    found.update(re.findall(r"[a-z_][a-z_0-9]*", text))
    return found & reserved_names()
