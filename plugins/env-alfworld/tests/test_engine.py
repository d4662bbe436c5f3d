"""The engine says what ALFWorld's own says, and works nothing out twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("alfworld", reason="the engine comes with alfworld")

import fast_downward
from reflect_env_alfworld import engine as engines
from reflect_env_alfworld import games, native
from reflect_env_alfworld.engine import NOTHING, Engine, GameError, GameText, Shown, read_game
from reflect_env_alfworld.facts import Facts, Types, parse_query
from reflect_env_alfworld.generate import generate_games
from reflect_env_alfworld.grammar import parse
from reflect_env_alfworld.pddl import domain, grammar
from reflect_env_alfworld.stock import StockEngine
from reflect_env_alfworld.translation import key, translate

from reflect_core.errors import ReflectError
from reflect_core.streams import stream

FAMILIES = 6


def generated(number: int = 0, receptacles: int = 6) -> GameText:
    game = generate_games("train", number + 1, receptacles=receptacles, objects=4)[number]
    assert game.problem is not None
    return GameText(domain(), grammar(game.text), game.problem)


@pytest.fixture(scope="module")
def stock() -> StockEngine:
    return StockEngine()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def pick(shown: Shown, seed: int, turn: int) -> str:
    """A random command; every other turn one that does something."""
    rng = stream(seed, "walk", turn)
    busy = [c for c in shown.commands if not c.startswith(("go to", "examine", "look", "help"))]
    commands = busy if turn % 2 and busy else shown.commands
    return commands[int(rng.integers(len(commands)))]


def compare(engine: Engine, stock: StockEngine, text: GameText, seed: int, turns: int) -> None:
    """Play both with the same commands; everything that is shown must be the same."""
    engine.load(text)
    stock.load(text)
    ours, theirs = engine.reset(), stock.reset()
    for turn in range(turns):
        assert ours == theirs, f"turn {turn}"
        command = "eat the room" if turn == 3 else pick(theirs, seed, turn)
        ours, theirs = engine.step(command), stock.step(command)
    assert ours == theirs


@pytest.mark.parametrize("number", range(FAMILIES))
def test_traces_of_generated_games_are_the_stock_engines(
    engine: Engine, stock: StockEngine, number: int
) -> None:
    compare(engine, stock, generated(number), number, 10)


@pytest.mark.parametrize("family", games.FAMILIES)
def test_traces_of_real_games_are_the_stock_engines(
    engine: Engine, stock: StockEngine, compact: Callable[[str], list[Any]], family: str
) -> None:
    number = games.FAMILIES.index(family)
    split = ("valid_seen", "valid_train", "train")[number % 3]
    row = next(row for row in compact(split) if row["task_type"] == family)
    text = GameText(domain(), grammar(row["task"]), row["pddl_problem"])
    compare(engine, stock, text, number, 8)


def test_a_win_is_seen_when_the_stock_engine_sees_it(engine: Engine, stock: StockEngine) -> None:
    text = generated(0)
    engine.load(text)
    engine.reset()
    plan = native_plan(engine)
    stock.load(text)
    stock.reset()
    engine.reset()
    wins = [(engine.step(command).won, stock.step(command).won) for command in plan]
    assert wins == [(False, False)] * (len(plan) - 1) + [(True, True)]


def native_plan(engine: Engine) -> list[str]:
    riddle = engine.riddle()
    downward = native.Downward()
    downward.load(riddle.sas.encode())
    found = downward.plan(riddle.search_sas.encode())
    downward.close()
    assert found
    return [engine.command_named(name) for name in found]


def test_what_cannot_be_done_changes_nothing(engine: Engine) -> None:
    engine.load(generated())
    before, facts = engine.reset(), sorted(engine.facts())
    after = engine.step("take the sun")
    assert after == Shown(NOTHING, before.commands, False)
    assert sorted(engine.facts()) == facts


def test_a_second_reset_begins_the_same_game(engine: Engine) -> None:
    engine.load(generated())
    first = engine.reset()
    facts = sorted(engine.facts())
    for turn in range(8):
        first_again = engine.step(pick(first, 1, turn))
        assert first_again.feedback
    assert (engine.reset(), sorted(engine.facts())) == (first, facts)


def test_two_games_side_by_side_do_not_meet(engine: Engine) -> None:
    other = Engine()
    try:
        traces = []
        for together in (False, True):
            engine.load(generated(0))
            other.load(generated(3))
            shown, trace = engine.reset(), []
            beside = other.reset()
            for turn in range(10):
                shown = engine.step(pick(shown, 5, turn))
                trace.append(shown)
                if together:
                    beside = other.step(pick(beside, 6, turn))
            traces.append(trace)
        assert traces[0] == traces[1]
    finally:
        other.close()


@pytest.fixture
def translations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """What the translator is asked, call by call."""
    calls: list[bool] = []
    real = fast_downward.pddl2sas

    def counted(*arguments: Any, optimize: bool, **named: Any) -> Any:
        calls.append(optimize)
        return real(*arguments, optimize=optimize, **named)

    monkeypatch.setattr(fast_downward, "pddl2sas", counted)
    engines._load.cache_clear()
    yield calls
    engines._load.cache_clear()


def test_a_game_is_translated_once(engine: Engine, translations: list[bool]) -> None:
    for number in (0, 1, 0, 1):
        engine.load(generated(number))
        engine.reset()
        engine.reset()
    assert translations == [False, False]


def test_translations_are_kept_on_disk(tmp_path: Path, translations: list[bool]) -> None:
    text = generated()
    first = translate(text.domain, text.problem, tmp_path)
    assert translate(text.domain, text.problem, tmp_path) == first
    assert translations == [False]
    (kept,) = tmp_path.iterdir()
    assert kept.stem.startswith(key(text.domain, text.problem))


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_translation_is_made_anew(
    tmp_path: Path, translations: list[bool], content: bytes | None
) -> None:
    text = generated()
    first = translate(text.domain, text.problem, tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert translate(text.domain, text.problem, tmp_path) == first
    assert kept.read_bytes() == whole
    assert translations == [False, False]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = generated()
    with pytest.raises(ReflectError, match="cannot keep translations"):
        translate(text.domain, text.problem, tmp_path / "file" / "below")


def test_grammars_that_differ_in_the_task_are_parsed_once() -> None:
    one, other = parse(grammar("put a cup on desk")), parse(grammar("put a mug on bed"))
    assert one.rules is other.rules
    assert (one.task, other.task) == ("put a cup on desk", "put a mug on bed")


@pytest.mark.parametrize("task", ["take it {now}", "cook [rice]", "50% #1", "this; that"])
def test_a_task_with_marks_of_the_grammar_is_read_as_textworld_reads_it(task: str) -> None:
    def outcome(read: Callable[[str], Any]) -> Any:
        try:
            return read(grammar(task))
        except Exception as error:  # noqa: BLE001, whatever TextWorld's parsers raise
            return type(error)

    assert outcome(parse) == outcome(engines.grammars._parse)


def test_the_translator_leaves_arguments_and_output_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, output = sys.argv, sys.stdout
    text = generated(2)
    translate(text.domain, text.problem)
    assert (sys.argv, sys.stdout) == (arguments, output)
    assert capsys.readouterr().out == ""


def test_copies_of_the_library_are_used_again() -> None:
    first = Engine()
    library = first._downward._library
    first.close()
    first.close()
    assert native._free.count(library) == 1
    second = Engine()
    assert second._downward._library is library
    second.close()


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    code = (
        "from reflect_env_alfworld import library; library.load()\n"
        "from reflect_env_alfworld.engine import Engine\n"
        "engines = [Engine() for _ in range(3)]\n"
        "assert len({id(each._downward._library) for each in engines}) == 3"
    )
    names = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **names})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_game_is_told(tmp_path: Path) -> None:
    for content in (b"", b"[]", b'{"grammar": 1}', b"\xff"):
        path = tmp_path / "game.tw-pddl"
        path.write_bytes(content)
        with pytest.raises(GameError, match="not a game"):
            read_game(path)
    with pytest.raises(GameError, match="cannot be read"):
        read_game(tmp_path / "none")


names = st.sampled_from(["a1", "a2", "b1", "b2", "b3"])
facts = st.lists(
    st.one_of(st.tuples(st.just("near"), names, names), st.tuples(st.just("warm"), names)),
    max_size=12,
)
TYPES = [("object", ()), ("a", ("object",)), ("b", ("object",))]
OBJECTS = {name: name[0] for name in ("a1", "a2", "b1", "b2", "b3")}
QUERIES = (
    "near(x:object, y:object)",
    "near(x:a, y:b) & warm(y:b)",
    "warm(x:object) & near(x:object, y:object) & near(y:object, z:object)",
    "near(x:b, x:b)",
)


@given(facts, st.lists(st.integers(0, 11), max_size=6), st.sampled_from(QUERIES))
@settings(max_examples=150, deadline=None)
def test_queries_are_answered_as_textworld_answers(
    known: list[tuple[str, ...]], dropped: list[int], query: str
) -> None:
    import textworld.logic as logic

    game = logic.GameLogic()
    for name, parents in TYPES:
        game.types.add(logic.Type(name, parents))
    theirs, ours = logic.State(game), Facts(Types(TYPES), OBJECTS)

    def proposition(fact: tuple[str, ...]) -> Any:
        return logic.Proposition(fact[0], [logic.Variable(n, OBJECTS[n]) for n in fact[1:]])

    for fact in known:
        theirs.add_fact(proposition(fact))
        ours.add(fact)
    for place in dropped:
        if place < len(known) and theirs.is_fact(proposition(known[place])):
            theirs._facts[proposition(known[place]).signature].discard(proposition(known[place]))
            ours.remove(known[place])
    rule = logic.Rule.parse_conjunctive_query(query)
    expected = [
        {(slot.name, slot.type): variable.name for slot, variable in found.items()}
        for found in theirs.all_assignments(rule)
    ]
    assert [dict(found) for found in ours.answers(parse_query(query), {})] == expected
