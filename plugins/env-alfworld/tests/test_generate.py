from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("alfworld", reason="games are made of the domain that alfworld brings")

from alfworld.gen import constants
from reflect_env_alfworld import generate, invented
from reflect_env_alfworld.config import AlfworldConfig
from reflect_env_alfworld.export import game_json, write_game
from reflect_env_alfworld.games import DATA, FAMILIES, Game
from reflect_env_alfworld.generate import FEWEST_OBJECTS, FEWEST_RECEPTACLES, generate_games
from reflect_env_alfworld.invented import invented_name
from reflect_env_alfworld.pddl import Layout
from reflect_env_alfworld.tasks import Games

from reflect_core.errors import ConfigError, ReflectError
from reflect_core.streams import stream

SPLITS = ("train", "valid", "test")
LAMPS = {"DeskLamp", "FloorLamp"}
STATION = {
    "pick_clean_then_place_in_recep": ("cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("coolable", "Fridge"),
}


@attrs.frozen
class World:
    """What a PDDL problem says, read without the code that wrote it."""

    facts: frozenset[tuple[str, ...]]
    places: dict[str, str]
    objects: dict[str, str]
    inside: dict[str, str]
    goal: str

    @property
    def holds(self) -> frozenset[tuple[str, str]]:
        """(type of receptacle, type of object) that may go together."""
        return frozenset((fact[1], fact[2]) for fact in self.facts if fact[0] == "canContain")


def world(game: Game) -> World:
    assert game.problem is not None
    init, goal = game.problem.split("(:init", 1)[1].split("(:goal", 1)
    facts = frozenset(tuple(fact.split()) for fact in re.findall(r"\(([^()]+)\)", init))
    pairs: dict[str, dict[str, str]] = {"receptacleType": {}, "objectType": {}, "inReceptacle": {}}
    for fact in facts:
        if fact[0] in pairs:
            assert fact[1] not in pairs[fact[0]], f"{fact[1]} has two values of {fact[0]}"
            pairs[fact[0]][fact[1]] = fact[2].removesuffix("Type")
    holds = frozenset(
        ("canContain", place.removesuffix("Type"), kind.removesuffix("Type"))
        for name, place, kind in (fact for fact in facts if fact[0] == "canContain")
    )
    others = frozenset(fact for fact in facts if fact[0] != "canContain")
    return World(
        holds | others, pairs["receptacleType"], pairs["objectType"], pairs["inReceptacle"], goal
    )


def target(game: Game) -> str:
    return str(game.data["receptacle"] or game.data["lamp"])


some_families = st.lists(st.sampled_from(FAMILIES), min_size=1, unique=True)
some_games = st.builds(
    generate_games,
    st.sampled_from(SPLITS),
    st.integers(1, 12),
    seed=st.integers(0, 2**40),
    receptacles=st.integers(FEWEST_RECEPTACLES, 30),
    objects=st.integers(FEWEST_OBJECTS, 20),
    families=some_families,
    invented=st.sampled_from([0.0, 0.5, 1.0]),
)


@given(some_games)
@settings(max_examples=30, deadline=None)
def test_a_game_has_the_size_that_it_says(games: list[Game]) -> None:
    for game in games:
        found = world(game)
        movable = [kind for kind in found.objects.values() if kind not in LAMPS]
        assert len(found.places) == game.data["receptacles"]
        assert len(movable) == game.data["objects"]
        lamps = len(found.objects) - len(movable)
        assert lamps == (game.family == "look_at_obj_in_light"), "a lamp where it is needed"


@given(some_games)
@settings(max_examples=30, deadline=None)
def test_no_two_games_are_alike(games: list[Game]) -> None:
    assert len({game.game_id for game in games}) == len(games)
    assert len({game.problem for game in games}) == len(games)


@given(some_games)
@settings(max_examples=30, deadline=None)
def test_a_goal_can_be_reached_and_is_not_reached_at_the_start(games: list[Game]) -> None:
    for game in games:
        found = world(game)
        goal, where = str(game.data["object"]), target(game)
        its = [name for name, kind in found.objects.items() if kind == goal]
        assert f"{goal}Type" in found.goal
        assert f"{where}Type" in found.goal
        assert not {fact[0] for fact in found.facts} & {
            "holds",
            "isClean",
            "isHot",
            "isCool",
            "isToggled",
            "opened",
        }, "nothing has been done yet"
        if game.family == "look_at_obj_in_light":
            (lamp,) = (name for name, kind in found.objects.items() if kind == where)
            assert ("toggleable", lamp) in found.facts
            assert found.inside[lamp] in found.places
        else:
            assert where in found.places.values(), "the goal's place is there"
            assert (where, goal) in found.holds, "the goal's place takes the object"
            assert where not in {found.places[found.inside[name]] for name in its}
        assert len(its) >= (2 if game.family == "pick_two_obj_and_place" else 1)
        if game.family in STATION:
            ability, station = STATION[game.family]
            assert station in found.places.values()
            assert all((ability, name) in found.facts for name in its)


@given(some_games)
@settings(max_examples=30, deadline=None)
def test_objects_lie_where_they_may_and_are_where_their_receptacle_is(games: list[Game]) -> None:
    for game in games:
        found = world(game)
        at = {fact[1]: fact[2] for fact in found.facts if fact[0].endswith("AtLocation")}
        (start,) = (fact[2] for fact in found.facts if fact[0] == "atLocation")
        assert start not in {at[place] for place in found.places}, "the agent starts nowhere"
        assert len({at[place] for place in found.places}) == len(found.places)
        for name, kind in found.objects.items():
            place = found.inside[name]
            assert at[name] == at[place]
            if kind not in LAMPS:
                assert (found.places[place], kind) in found.holds
                assert ("pickupable", name) in found.facts


@given(some_games)
@settings(max_examples=30, deadline=None)
def test_a_goal_is_one_of_several_things_that_could_be_asked_for(games: list[Game]) -> None:
    for game in games:
        numbers = Counter(kind for kind in world(game).objects.values() if kind not in LAMPS)
        others = [numbers[kind] for kind in numbers if kind != game.data["object"]]
        assert len(others) >= (2 if game.data["objects"] >= 5 else 1)
        if game.family == "pick_two_obj_and_place" and game.data["objects"] >= 4:
            assert max(others) >= 2, "another pair is there to be mistaken for it"


@given(st.sampled_from(SPLITS), st.integers(0, 30), some_families, st.integers(0, 2**40))
@settings(max_examples=40, deadline=None)
def test_families_take_turns(split: str, count: int, families: list[str], seed: int) -> None:
    games = generate_games(split, count, seed=seed, families=families)
    assert len(games) == count
    numbers = Counter(game.family for game in games)
    assert set(numbers) <= set(families)
    assert all(
        numbers[family] in (count // len(families), -(-count // len(families)))
        for family in families
    )


@given(st.sampled_from(SPLITS), st.integers(0, 20), st.integers(0, 20), st.integers(0, 2**40))
@settings(max_examples=30, deadline=None)
def test_the_same_arguments_give_the_same_games_and_a_larger_count_more(
    split: str, fewer: int, more: int, seed: int
) -> None:
    first = generate_games(split, fewer, seed=seed)
    generate._games.cache_clear()
    assert generate_games(split, fewer + more, seed=seed)[:fewer] == first


def test_games_are_made_once_for_all_environments_and_nobody_can_take_one_away() -> None:
    first = generate_games("test", 5)
    kept = first.pop()
    again = generate_games("test", 5)
    assert again[-1] is kept and again[:-1] == first


def test_another_seed_gives_other_games() -> None:
    first, second = ({game.problem for game in generate_games("test", 60, seed=s)} for s in (0, 1))
    assert not first & second


def test_a_name_stands_for_one_game_whatever_the_seed() -> None:
    named: dict[str, Game] = {}
    # so small that seeds draw some games in common
    for seed in range(12):
        for game in generate_games("test", 60, seed=seed, receptacles=4, objects=3):
            assert named.setdefault(game.game_id, game) == game
    assert len(named) < 12 * 60


def fingerprint() -> str:
    games = [game for split in SPLITS for game in generate_games(split, 20, seed=3)]
    text = "\n".join(f"{game.game_id}\n{game.text}\n{game.problem}" for game in games)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_fresh_process_makes_the_same_games() -> None:
    code = f"import runpy, sys\nprint(runpy.run_path({str(Path(__file__))!r})['fingerprint']())\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for hash_seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == fingerprint()


@pytest.fixture(scope="module")
def many() -> dict[str, list[Game]]:
    """Games of every split, of two seeds."""
    return {
        split: [game for seed in (0, 7) for game in generate_games(split, 420, seed=seed)]
        for split in SPLITS
    }


def pairs_of_splits() -> list[tuple[str, str]]:
    return [("train", "valid"), ("train", "test"), ("valid", "test")]


@pytest.mark.parametrize(("one", "other"), pairs_of_splits())
def test_splits_share_no_room(many: dict[str, list[Game]], one: str, other: str) -> None:
    rooms = {split: {game.data["room"] for game in many[split]} for split in (one, other)}
    assert not rooms[one] & rooms[other]


@pytest.mark.parametrize(("one", "other"), pairs_of_splits())
def test_splits_share_no_object_as_a_goal_or_as_a_distractor(
    many: dict[str, list[Game]], one: str, other: str
) -> None:
    kinds = {
        split: {kind for game in many[split] for kind in world(game).objects.values()}
        for split in (one, other)
    }
    assert kinds[one] & kinds[other] <= LAMPS


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_several_goals_and_rooms_in_every_split(
    many: dict[str, list[Game]], split: str, family: str
) -> None:
    games = [game for game in many[split] if game.family == family]
    assert len({game.data["object"] for game in games}) >= 2
    assert len({target(game) for game in games}) >= 2
    assert len({game.data["room"] for game in games}) >= 4


@pytest.mark.parametrize("split", SPLITS)
def test_the_numbers_of_objects_do_not_tell_the_goal(
    many: dict[str, list[Game]], split: str
) -> None:
    chance, hits, games = 0.0, 0.0, 0
    for game in many[split]:
        if game.family == "pick_two_obj_and_place":
            continue
        numbers = Counter(kind for kind in world(game).objects.values() if kind not in LAMPS)
        most = [kind for kind in numbers if numbers[kind] == max(numbers.values())]
        chance += 1 / len(numbers)
        hits += (game.data["object"] in most) / len(most)
        games += 1
    assert abs(hits - chance) / games < 0.05, "as often as by chance, within sampling error"


KNIVES = {"Knife", "ButterKnife"}


@given(st.integers(0, 2**40))
@settings(max_examples=15, deadline=None)
def test_made_up_names_take_the_place_of_all_but_lamps_and_knives(seed: int) -> None:
    named = {kind.lower() for kind in constants.OBJECTS}
    for game in generate_games("train", 12, seed=seed, invented=1.0):
        found = world(game)
        kinds = {kind for kind in found.objects.values() if kind not in LAMPS | KNIVES}
        assert not {kind.lower() for kind in kinds} & named
        assert len({kind.lower() for kind in kinds}) == len(kinds)
        assert all(kind.isalpha() and kind[0].isupper() for kind in kinds)
        assert set(found.places.values()) <= set(constants.OBJECTS), "receptacles keep theirs"
        assert str(game.data["object"]).lower() in game.text.split()


@given(st.integers(0, 2**32))
def test_a_made_up_name_is_not_one_that_is_taken(seed: int) -> None:
    first = invented_name(np.random.default_rng(seed), ())
    assert invented_name(np.random.default_rng(seed), {first.lower()}) != first


def test_nor_a_word_that_asks_for_something_or_a_part_of_a_fixture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = iter(["hot", "cool", "basin", "bo", "ku"])
    monkeypatch.setattr(invented, "_word", lambda rng: next(drawn))
    layout = Layout("pick_and_place_simple", "Mug", "Shelf", 1, ("Shelf",), (("Mug", 0),))
    names = generate._names(np.random.default_rng(0), layout)
    assert set(names) == {"Mug"}
    assert names["Mug"].lower() in {"bo", "boku"}


def test_no_two_types_of_a_game_get_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_free(rng: object, taken: set[str]) -> str:
        return next(name for name in map(chr, range(ord("A"), 999)) if name.lower() not in taken)

    monkeypatch.setattr(generate, "invented_name", first_free)
    (game,) = generate_games("train", 1, seed=2**41, invented=1.0)  # no other test's: kept a while
    movable = {kind for kind in world(game).objects.values() if kind not in LAMPS | KNIVES}
    assert movable == set(map(chr, range(ord("A"), ord("A") + len(movable)))) and len(movable) > 1


def test_so_many_games_have_made_up_names() -> None:
    named = set(constants.OBJECTS)
    games = generate_games("train", 300, invented=0.7)
    odd = [game for game in games if not set(world(game).objects.values()) <= named]
    assert 0.6 < len(odd) / len(games) < 0.8, "within sampling error"


@pytest.mark.parametrize(
    ("options", "odd"),
    [
        ({}, True),
        ({"invented": 0.0}, False),
        ({"filter": "pick_and_place_simple"}, True),
        ({"filter": "pick_and_place_simple-Mug"}, False),
        ({"expert": "handcoded"}, False),
    ],
)
def test_only_train_games_have_made_up_names(options: dict[str, Any], odd: bool) -> None:
    games = Games(AlfworldConfig(train_tasks=9, valid_tasks=4, test_tasks=4, **options))
    known = set(constants.OBJECTS)
    for split in SPLITS if "filter" not in options else ("train",):
        found = any(game.data["object"] not in known for game in games.of(split))
        assert found == (odd and split == "train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tset"}, "did you mean: test"),
        ({"families": ["pick_one"]}, "no family of tasks is called 'pick_one'"),
        ({"families": []}, "no family"),
        ({"count": -1}, "-1 games are too few"),
        ({"receptacles": FEWEST_RECEPTACLES - 1}, "at least 4 are needed"),
        ({"objects": FEWEST_OBJECTS - 1}, "at least 3 are needed"),
    ],
)
def test_a_mistake_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        generate_games(**{"split": "test", "count": 1, **arguments})


def test_a_size_that_is_exhausted_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "TRIES", 1)
    with pytest.raises(ReflectError, match=r"no more than \d+ distinct valid games"):
        generate_games(
            "valid", 10**5, receptacles=4, objects=3, families=["pick_clean_then_place_in_recep"]
        )


def test_a_written_game_is_marked_and_complete(tmp_path: Path) -> None:
    for game in generate_games("test", 6):
        path = write_game(game, tmp_path)
        goal = f"{game.family}-{game.data['object']}-None-{target(game)}-{game.data['room']}"
        assert path.parent.parent == tmp_path / DATA / "valid_unseen" / goal
        content, facts = path.read_text(), json.loads((path.parent / "traj_data.json").read_text())
        assert content == game_json(game)
        played = json.loads(content)
        assert played["pddl_problem"] == game.problem
        assert f"Your task is to: {game.text}." in played["grammar"]
        assert played["solvable"] is played["synthetic"] is facts["synthetic"] is True
        assert facts["task_type"] == game.family
        assert facts["pddl_params"]["object_target"] == game.data["object"]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    games = generate_games("train", 6)
    paths = [write_game(game, tmp_path) for game in games]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert [write_game(game, tmp_path) for game in games] == paths
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_generated_games_are_not_written_among_real_ones(tmp_path: Path) -> None:
    (tmp_path / DATA / "train").mkdir(parents=True)
    (game,) = generate_games("train", 1)
    with pytest.raises(ReflectError, match="never mixed with real ones"):
        write_game(game, tmp_path)
    assert not list(tmp_path.rglob("game.tw-pddl"))


def test_a_game_that_lies_in_a_file_is_not_written(tmp_path: Path) -> None:
    (game,) = generate_games("train", 1)
    with pytest.raises(ValueError, match="is not a generated game"):
        write_game(attrs.evolve(game, source="real", problem=None), tmp_path)
    assert not list(tmp_path.iterdir())


class Engine:
    """The plain engine with its planner, as ALFWorld's own tools set it up."""

    def __init__(self, folder: Path, *, planner: bool = True) -> None:
        textworld = pytest.importorskip("textworld", reason="textworld plays the games")
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler

        self._file = folder / "game.tw-pddl"
        wanted = textworld.EnvInfos(won=True, admissible_commands=True, policy_commands=planner)
        self._env = AlfredDemangler(textworld.envs.PddlEnv(wanted))

    def start(self, game: Game) -> Any:
        self._file.write_text(game_json(game))
        self._env.load(str(self._file))
        return self._env.reset()

    def step(self, command: str) -> Any:
        state, _, _ = self._env.step(command)
        return state


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    # one for all tests: every engine maps a library that is never unmapped
    return Engine(tmp_path_factory.mktemp("engine"))


def check_played(engine: Engine, game: Game) -> None:
    state = engine.start(game)
    assert not state["won"]
    assert f"Your task is to: {game.text}." in state["feedback"]
    seen = Counter(word for word, _ in re.findall(r"an? ([a-z]+) (\d+)", state["feedback"]))
    assert seen == Counter(kind.lower() for kind in world(game).places.values())
    plan = list(state["policy_commands"])
    assert plan, f"the planner finds no way: {game.game_id}"
    for place, command in enumerate(plan):
        assert command in state["admissible_commands"]
        assert not state["won"], f"won before the plan's step {place + 1}"
        state = engine.step(command)
    assert state["won"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_engine_plays_every_family_and_the_planner_solves_it(
    engine: Engine, family: str
) -> None:
    (game,) = generate_games("test", 1, receptacles=8, objects=5, families=[family])
    check_played(engine, game)


def test_there_is_much_to_do_in_a_game_of_the_default_size(tmp_path: Path) -> None:
    engine, numbers = Engine(tmp_path, planner=False), []
    for game in generate_games("test", 3, families=FAMILIES[::2]):
        state = engine.start(game)
        rng = stream(0, game.game_id)
        for _ in range(8):
            commands = sorted(state["admissible_commands"])
            numbers.append(len(commands))
            state = engine.step(commands[int(rng.integers(len(commands)))])
    assert sum(numbers) / len(numbers) >= 20


@given(
    st.sampled_from(SPLITS),
    st.sampled_from(FAMILIES),
    st.integers(0, 2**40),
    st.integers(4, 14),
    st.integers(3, 8),
)
@settings(max_examples=3, deadline=None)
def test_the_planner_solves_games_of_any_split_and_size(
    engine: Engine, split: str, family: str, seed: int, receptacles: int, objects: int
) -> None:
    (game,) = generate_games(
        split, 1, seed=seed, receptacles=receptacles, objects=objects, families=[family]
    )
    check_played(engine, game)


def test_alfworld_finds_written_games(tmp_path: Path) -> None:
    from alfworld.agents.environment.alfred_tw_env import AlfredTWEnv

    written = {str(write_game(game, tmp_path)) for game in generate_games("train", 12)}
    settings_of_tool = {
        "env": {"goal_desc_human_anns_prob": 0, "task_types": [1, 2, 3, 4, 5, 6]},
        "dataset": {"data_path": str(tmp_path / DATA / "train"), "num_train_games": 0},
    }
    assert set(AlfredTWEnv(settings_of_tool, train_eval="train").game_files) == written
