"""The weights that a part holds, wherever they lie in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from reflect_core.testing.laws import Broken, Skipped

DEPTH = 3
"""How deep to look: a part, its players, their models."""


def digests(part: Any) -> dict[str, str]:
    """A digest of every parameter and buffer of the torch modules that a part holds."""
    import torch

    found: dict[str, str] = {}
    seen: set[int] = set()

    def visit(thing: Any, name: str, depth: int) -> None:
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, torch.nn.Module):
            for key, tensor in thing.state_dict().items():
                data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
                found[f"{name}.{key}"] = hashlib.sha256(data.numpy().tobytes()).hexdigest()
        elif depth and isinstance(thing, list | tuple):
            for place, each in enumerate(thing):
                visit(each, f"{name}[{place}]", depth - 1)
        elif depth and isinstance(thing, dict):
            for key, each in thing.items():
                visit(each, f"{name}[{key!r}]", depth - 1)
        elif depth and hasattr(thing, "__dict__"):
            for key, each in vars(thing).items():
                visit(each, f"{name}.{key}" if name else key, depth - 1)

    visit(part, "", DEPTH)
    return found


def unchanged_by(player: object, play: Callable[[], object]) -> None:
    """See that playing changes none of a player's weights.

    Raises:
        Skipped: It has none.
        Broken: One has changed.
    """
    before = digests(player)
    if not before:
        raise Skipped("it has no weights")
    play()
    after = digests(player)
    if changed := [name for name, digest in after.items() if before.get(name) != digest]:
        raise Broken(f"{len(changed)} tensors have changed, first {changed[0]}")
