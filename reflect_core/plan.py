"""What a run would do, before it does anything: stages, sizes and tokens.

The tokens are estimated from a few episodes of the environment, played by its expert where it
has one, and counted with the model's own tokenizer where that is on this machine.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from reflect_core.baselines import ExpertPolicy, RandomPolicy, SilentReflector
from reflect_core.dropped import check_failures, concerns_all, sound_failures, told_failure
from reflect_core.errors import ReflectError
from reflect_core.hints import hint_of
from reflect_core.prompt import Menu, policy_segments, reflector_segments
from reflect_core.protocols import Expert
from reflect_core.records import PastTurn, State
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.run import STAGES
from reflect_core.session import Session

__all__ = ["describe"]

EPISODES = 16
CHARACTERS = 4
"""Of a token, where the tokenizer is not at hand."""


@attrs.frozen
class Sample:
    """Means over the turns of a few episodes.

    Args:
        turns: Of an episode.
        reflector: Tokens of a reflector's prompt.
        reflection: Tokens of a reflection.
        policy: Tokens of a policy's prompt.
    """

    turns: float
    reflector: float
    reflection: float
    policy: float


def describe(session: Session) -> list[str]:
    """Lines for people: one per stage, and the sizes.

    Args:
        session: A run whose folder may be a scratch one; nothing is written to it.

    Raises:
        ReflectError: The environment cannot be built or has nothing to evaluate on.
    """
    session.check(())
    session.check_evaluation(STAGES)
    settings = session.settings
    lines = []
    uses_model = session.policy_spec.trainable or session.reflector_spec.trainable
    asks = session.reflector_spec.remote or (_remote_teacher(session) and session.warms_up)
    count, exact = _counter(session, uses_model=uses_model)
    sample = _sample(session, count)
    if uses_model:
        lines.append(f"model: {_size(session)}")
    lines += [f"{name}: {what}" for name, what in _stages(session, sample)]
    if uses_model or asks:
        how = "the model's tokenizer" if exact else f"{CHARACTERS} characters a token"
        lines.append(
            f"tokens are estimates by {how}, from {EPISODES} episodes of "
            f"{sample.turns:.1f} turns on the mean; a turn's prompts: reflector "
            f"{sample.reflector:.0f}, policy {sample.policy:.0f} tokens"
        )
    if asks:
        lines.append(
            "requests to an endpoint cost, beside these tokens, its instructions at every turn and "
            "whatever the model thinks; stored answers cost nothing; the most that all may cost "
            "is the option budget"
        )
    if settings.policy.name != "lm" and not session.policy_spec.trainable:
        lines.append(f"the policy {settings.policy.name} does not learn: nothing is trained by RL")
    return lines


def _stages(session: Session, sample: Sample) -> list[tuple[str, str]]:
    settings = session.settings
    sft, train, evaluation = settings.sft, settings.train, settings.eval
    reflects = session.reflector_spec.trainable
    learns = session.policy_spec.trainable
    taught = session.warms_up
    remote = session.reflector_spec.remote * settings.rollout.reflect_probability
    asked = reflects * settings.rollout.reflect_probability
    turn = asked * (sample.reflector + sample.reflection) + learns * sample.policy
    found = []
    if taught:
        shown, left = len(session.divided[0]), len(session.divided[1])
        found.append(
            (
                "teach",
                f"{settings.teach.episodes} episodes by {settings.teacher.name} "
                f"over {shown} tasks, {settings.teach.negatives:g} negative examples each; "
                f"RL plays {left} tasks"
                + _requests(
                    _remote_teacher(session)
                    * settings.teach.episodes
                    * (sample.turns + settings.teach.negatives),
                    sample,
                ),
            )
        )
    if taught and reflects:
        tokens = sft.reflector_updates * sft.batch_size * (sample.reflector + sample.reflection)
        found.append(
            ("sft reflector", f"{sft.reflector_updates} updates, {_count(tokens)} tokens learnt")
        )
    if taught and learns:
        tokens = sft.policy_updates * sft.batch_size * sample.policy
        found.append(
            ("sft policy", f"{sft.policy_updates} updates, {_count(tokens)} tokens learnt")
        )
    if learns and train.iterations:
        turns = train.iterations * train.episodes * sample.turns
        # the first validation is before the first update, the last one after the last
        validations = 1 + -(-train.iterations // train.valid_every)
        played = turns + validations * train.valid_episodes * sample.turns
        epochs = getattr(settings.trainer.options, "update_epochs", 1)
        found.append(
            (
                f"train {settings.trainer.name}",
                f"{train.iterations} iterations of {train.episodes} episodes, curriculum "
                f"{settings.curriculum.name}, {validations} validations of {train.valid_episodes}, "
                f"{_count(played * turn)} tokens read, "
                f"at most {_count(turns * epochs * sample.policy)} learnt"
                + _requests(remote * played, sample),
            )
        )
    # the policy after the warm-up and after RL; others need no model
    rows = max(1, bool(taught and learns) + bool(learns and train.iterations))
    decodings = 2 if evaluation.decoding == "both" else 1
    acted = rows * decodings * evaluation.episodes * sample.turns
    found.append(
        (
            "eval",
            f"{evaluation.episodes} {evaluation.split} episodes, decoding {evaluation.decoding}, "
            f"{_count(acted * turn)} tokens read" + _requests(remote * acted, sample),
        )
    )
    return found


def _remote_teacher(session: Session) -> bool:
    name = session.settings.teacher.name
    return bool(session.registry.find("reflector", name).spec.remote)


def _requests(number: float, sample: Sample) -> str:
    """What is asked of an endpoint: the state, its menu, and an answer for each request."""
    if not number:
        return ""
    return f", {_count(number)} requests of {_count(number * sample.policy)} tokens in all"


def _needs_expert(session: Session) -> bool:
    """Whether the run asks the environment's expert, as teacher or in play."""
    settings = session.settings
    taught = settings.teacher.name == "expert" or settings.teach.spoiler
    asked = session.reflector_spec.needs_expert or session.policy_spec.needs_expert
    return asked or (session.warms_up and taught)


def _sample(session: Session, count: Callable[[str], int]) -> Sample:
    """What a few episodes of the expert tell, or of chance where there is none.

    Some engines have an expert for some games only, which is told as an error where one is needed.
    """
    if not isinstance(session.environment, Expert):
        return _played(session, count, expert=False)
    try:
        return _played(session, count, expert=True)
    except ReflectError:
        if _needs_expert(session):
            raise
        return _played(session, count, expert=False)


def _played(session: Session, count: Callable[[str], int], *, expert: bool) -> Sample:
    collector = Collector(
        session.make_environment,
        SilentReflector(),
        ExpertPolicy() if expert else RandomPolicy(),
        seed=session.settings.seed,
        num_envs=EPISODES,
        needs_expert=expert,
    )
    split = session.settings.eval.split
    episodes = evaluation_episodes(
        session.tasks(split), EPISODES, seed=0, stage=session.env_spec.stages[-1]
    )
    with contextlib.closing(collector):
        outcome = collector.play(episodes, greedy=False)
    _heed(outcome.failures, outcome.episodes, session)
    played = outcome.trajectories
    history = session.settings.rollout.history
    reading, acting = [], []
    for trajectory in played:
        past: list[PastTurn] = []
        for turn in trajectory.transitions:
            state = State(trajectory.task, turn.observation, tuple(past))
            past.append(PastTurn(turn.observation.text, turn.action))
            menu = Menu(*(tuple(range(len(turn.observation.legal_actions))),) * 2)
            reading.append(_tokens(reflector_segments(state, history=history), count))
            acting.append(_tokens(policy_segments(state, "", menu, history=history), count))
    said = _reflection(session, count, expert=expert)
    # what does not fit is cut before a model reads it
    limit = float(session.settings.model.context)
    reading, acting = ([min(each, limit) for each in group] for group in (reading, acting))
    return Sample(
        turns=_mean([float(trajectory.turns) for trajectory in played]),
        reflector=_mean(reading),
        reflection=said,
        policy=_mean(acting) + said,
    )


def _reflection(session: Session, count: Callable[[str], int], *, expert: bool) -> float:
    """Length of a reflection: the expert's, or half of the longest."""
    environment = session.environment
    if not expert or not isinstance(environment, Expert):
        return session.settings.rollout.max_reflection_tokens / 2
    lengths, failures = [], []
    for task in session.tasks("train")[:EPISODES]:
        try:
            observation = environment.reset(task, seed=0, stage=session.env_spec.stages[-1])
            lengths.append(float(count(hint_of(environment, observation).reflection) + 1))
        except Exception as error:  # any fault of a plugin; counted
            if concerns_all(error):
                raise
            failures.append(told_failure(task, error))
    _heed(failures, len(lengths) + len(failures), session)
    return _mean(lengths)


def _heed(failures: Sequence[str], total: int, session: Session) -> None:
    """Stop where all episodes fail: so few tell no share, which a run judges by all it plays."""
    check_failures(failures, total, 1 - 1 / EPISODES)
    sound_failures(failures, session.alarms)


def _counter(session: Session, *, uses_model: bool) -> tuple[Callable[[str], int], bool]:
    """Counts the tokens of a text, and whether it does so exactly."""
    from reflect_core.lm.size import local_tokenizer

    tokenizer = local_tokenizer(session.settings.model) if uses_model else None
    if tokenizer is None:
        return (lambda text: -(-len(text) // CHARACTERS)), False
    return (lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])), True


def _tokens(segments: Sequence[Any], count: Callable[[str], int]) -> float:
    labels = sum(segment.kind == "label" for segment in segments)
    text = "".join(segment.text for segment in segments if segment.kind != "label")
    return float(count(text) + labels)


def _size(session: Session) -> str:
    from reflect_core.lm.size import parameters

    model = session.settings.model
    found = parameters(model)
    if found is None:
        return f"{model.name}, {model.dtype}; its size is not known: it is not on this machine yet"
    base, trained = found
    how = "all" if trained == base else f"{trained:,} (LoRA of rank {model.lora_r})"
    return f"{model.name}, {base:,} parameters, {how} trained per player, {model.dtype}"


def _mean(values: Sequence[float]) -> float:
    return statistics.mean(values) if values else 0.0


def _count(tokens: float) -> str:
    """A number as people say it: 1.2 M, 34 k.

    >>> _count(1_234_567), _count(34_400), _count(12)
    ('1.2 M', '34 k', '12')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= unit:
            digits = 1 if tokens < 10 * unit else 0
            return f"{tokens / unit:.{digits}f} {name}"
    return f"{tokens:.0f}"
