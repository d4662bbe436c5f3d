"""What the models read, as ordered segments of plain text.

Both players read the same state. The reflector's prompt ends with ``Reflection:`` and it
goes on from there. The policy's prompt has the menu after the state, then the reflection, and
the next token is the label of an action. All legal actions stand in that one prompt
(single-prompt action enumeration), so one forward pass chooses.

The menu stands before the reflection, and each label behind its action: a reflection that
ends by naming a command stands where the menu had that command, and what came next there is
its label. Finding it is one step for an induction head. With the reflection first, the label
is found in two steps, which a small model learns later.

    Task: Find hmac.py
    / : json/ re/ hmac.py       past turns, oldest first: what was shown
    > cd json                   and what was done
    /json: decoder.py ...       the present observation
    Actions:
    cd json<label>
    id hmac.py<label>
    Reflection: hmac.py is here. id hmac.py<label>

Segments are tokenised one by one and never merged, so that a prefix stays a prefix and a
label has the same token wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from reflect_core.grounding import named_action
from reflect_core.records import Draws, State

UNGROUNDED = " (not possible)"
"""What follows a reflection that names no legal action, where that is checked."""


@attrs.frozen
class Segment:
    """A piece of a prompt.

    Args:
        kind: ``task``, ``history``, ``observation``, ``cue``, ``reflection``, ``action``
            or ``label``.
        text: The text; for a label, the decimal rank of the label among the model's labels.
    """

    kind: str
    text: str


@attrs.frozen
class Menu:
    """How the legal actions of one turn are laid out.

    Args:
        order: Positions into ``legal_actions``, in the order in which they stand.
        labels: Label rank of each legal action, by its position in ``legal_actions``.
    """

    order: tuple[int, ...]
    labels: tuple[int, ...]


def draw_menu(actions: int, labels: int, draws: Draws) -> Menu:
    """Draw the order of the actions and which of the ``labels`` labels they get.

    Drawn anew at every turn, so that the policy must read the menu and cannot learn that
    one place or one label is good. Evaluation names its draws by task and turn, which
    makes its menus the same for every policy.
    """
    generator = draws.stream("menu")
    order = generator.permutation(actions)
    ranks = generator.permutation(labels)[:actions]
    return Menu(tuple(int(i) for i in order), tuple(int(i) for i in ranks))


def _line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def state_segments(state: State, *, history: int) -> list[Segment]:
    """Task, past turns and present observation; ``history`` past turns at most, -1 for all."""
    past = state.history
    if history >= 0:
        past = past[-history:] if history else ()
    segments = [Segment("task", _line(f"Task: {state.task.text}"))]
    for turn in past:
        segments.append(Segment("history", _line(turn.observation)))
        segments.append(Segment("history", f"> {turn.action}\n"))
    return [*segments, Segment("observation", _line(state.observation.text))]


def reflector_segments(state: State, *, history: int) -> list[Segment]:
    """The reflector's prompt; its completion is a space and the reflection."""
    return [*state_segments(state, history=history), Segment("cue", "Reflection:")]


def policy_segments(
    state: State, reflection: str, menu: Menu, *, history: int, check: bool = False
) -> list[Segment]:
    """The policy's prompt; its completion is the label of the chosen action.

    Without a reflection the prompt ends with ``Action:`` instead. After one that names no
    legal action, and with ``check``, it ends with a word about that: what a reflection asks
    for cannot be copied then, and the policy learns by reinforcement what to do instead.
    """
    segments = state_segments(state, history=history)
    segments.append(Segment("cue", "Actions:\n"))
    for position in menu.order:
        segments.append(Segment("action", state.observation.legal_actions[position]))
        segments.append(Segment("label", str(menu.labels[position])))
        segments.append(Segment("cue", "\n"))
    if not reflection:
        return [*segments, Segment("cue", "Action:")]
    segments += [Segment("cue", "Reflection:"), Segment("reflection", f" {reflection}")]
    if check and named_action(reflection, state.observation.legal_actions) is None:
        segments.append(Segment("cue", UNGROUNDED))
    return segments


def drop_oldest_half(segments: Sequence[Segment]) -> list[Segment]:
    """The segments without the older half of the history, in one block.

    One block rather than turn by turn, so that a cached prefix survives several turns.
    """
    places = [i for i, segment in enumerate(segments) if segment.kind == "history"]
    # a past turn is two segments, what was shown and what was done; they go together
    turns = len(places) // 2
    dropped = set(places[: 2 * ((turns + 1) // 2)])
    return [segment for i, segment in enumerate(segments) if i not in dropped]
