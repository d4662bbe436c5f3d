"""The part as the core sees it: reflections, advice, alarms and errors."""

import attrs
import pytest
from endpoint_kit import ACTIONS, context, draws, reflector, room, stored
from faulty_server import FaultyServer, echo
from reflect_reflector_openai.config import OPENAI_URL, OpenAIConfig, openais_own
from reflect_reflector_openai.plugin import ANSWERS, make_reflector, reflect_reflectors

from reflect_core import ReflectError, Reflector
from reflect_core.errors import ConfigError
from reflect_core.options import check, options
from reflect_core.protocols import Teacher
from reflect_core.records import Advice, Question

KEY = "sk-secret-0123456789"


@pytest.fixture
def part(tmp_path):
    """Makes parts, of which each has its alarms in ``part.context.alarms``."""
    made = []
    where = context(tmp_path)

    def make(server, **more):
        made.append(reflector(server, where, **more))
        return made[-1]

    make.context = where
    yield make
    for one in made:
        one.close()


def saying(*contents, **more):
    """A reply that says one thing after another."""
    said = iter(contents)
    return lambda body: {"content": next(said), **more}


def ask(one, numbers, **more):
    more = {"greedy": False, **more}
    return one.reflect([room(n) for n in numbers], [draws(n) for n in numbers], **more)


def advise(one, **more):
    return one.advise([Question(room(0), **more)], [draws(0)])[0]


def test_the_runs_of_a_study_share_answers(tmp_path):
    arms = [tmp_path / "seed-0" / name for name in ("one", "other")]
    with FaultyServer() as server:
        for arm in arms:
            where = attrs.evolve(context(arm), shared_folder=tmp_path)
            one = reflector(server, where)
            ask(one, [0])
            one.close()
    assert len(server.bodies) == 1
    assert len(stored(tmp_path / ANSWERS)) == 1
    assert not any(arm.exists() for arm in arms)


def test_it_is_both_a_reflector_and_a_teacher(part):
    (spec,) = reflect_reflectors()
    assert spec.teaches
    assert not spec.trainable
    with FaultyServer() as server:
        one = part(server)
        assert isinstance(one, Reflector)
        assert isinstance(one, Teacher)
        assert ask(one, []) == []
        assert one.advise([], []) == []
    assert not server.bodies


def test_one_reflection_per_state_whatever_stands_beside_it(part):
    with FaultyServer() as server:
        one = part(server)
        said = ask(one, range(9))
        assert said == [f"This is room {n}. go north" for n in range(9)]
        assert ask(one, range(8, -1, -1)) == said[::-1]
        assert [ask(one, [n])[0] for n in range(9)] == said
    assert len(server.bodies) == 9


def test_a_draw_has_an_answer_of_its_own_and_greedy_needs_none(part):
    with FaultyServer(reply=saying(*"abcdef")) as server:
        one = part(server)
        states = [room(0)] * 3
        said = one.reflect(states, [draws(1), draws(2), draws(1)], greedy=False)
        assert said[0] == said[2] != said[1]
        other = one.reflect(states[:1], [draws(1, seed=5)], greedy=False)
        assert other[0] not in said
        greedy = one.reflect(states, [draws(n) for n in range(3)], greedy=True)
        assert len(set(greedy)) == 1
    assert len(server.bodies) == 4
    assert [body["temperature"] for body in server.bodies] == [1.0, 1.0, 1.0, 0.0]


def test_where_zero_is_refused_greedy_answers_are_asked_for_as_the_others(part):
    with FaultyServer(reply=saying(*"abc")) as server:
        one = part(server, greedy_temperature=None)
        one.reflect([room(0)] * 2, [draws(1), draws(2)], greedy=False)
        greedy = one.reflect([room(0)] * 2, [draws(1), draws(2)], greedy=True)
    assert len(set(greedy)) == 1, "all draws share one"
    assert [body["temperature"] for body in server.bodies] == [1.0] * 3


def test_at_temperature_zero_all_draws_share_an_answer(part):
    with FaultyServer() as server:
        one = part(server, temperature=0.0)
        one.reflect([room(0)] * 2, [draws(1), draws(2)], greedy=False)
        one.reflect([room(0)], [draws(3)], greedy=True)
    assert len(server.bodies) == 1


def test_where_no_temperature_may_be_sent_samples_still_differ(part):
    with FaultyServer(reply=saying(*"abc")) as server:
        one = part(server, temperature=None)
        one.reflect([room(0)] * 3, [draws(1), draws(2), draws(1)], greedy=False)
        one.reflect([room(0)] * 2, [draws(1), draws(2)], greedy=True)
    assert len(server.bodies) == 3
    assert not any("temperature" in body for body in server.bodies)


def test_settings_that_alter_the_answer_make_another_question(part):
    changes = [
        {},
        {"temperature": 0.5},
        {"model": "n"},
        {"max_tokens": 65},
        {"token_parameter": "max_tokens"},
        {"reasoning_effort": "low"},
        {"send_seed": True},
    ]
    with FaultyServer() as server:
        for change in changes * 2:
            ask(part(server, **change), [0])
        # these do not
        ask(part(server, concurrency=1, retries=0, timeout=9.0, max_reflection_chars=99), [0])
    assert len(server.bodies) == len(changes)


def test_two_endpoints_share_a_file_and_no_answer(part):
    with FaultyServer() as first, FaultyServer() as second:
        ask(part(first), [0])
        ask(part(second), [0])
        slash = first.url + "/"
        ask(part(first, base_url=slash), [0])
    assert len(first.bodies) == len(second.bodies) == 1


def test_the_seed_of_a_draw_is_sent_where_asked(part):
    with FaultyServer() as server:
        one = part(server, send_seed=True)
        one.reflect([room(0)] * 2, [draws(1), draws(2)], greedy=False)
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 2
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_history_is_as_long_as_the_rollouts(tmp_path):
    with FaultyServer() as server:
        for history in (0, 2):
            one = reflector(server, context(tmp_path, history=history))
            one.reflect([room(0, turns=5)], [draws(0)], greedy=False)
            one.close()
    counts = [body["messages"][1]["content"].count("in the hall") for body in server.bodies]
    assert counts == [0, 2]


def test_reflections_are_short_lines(part):
    long = "No good.\n" + "So it goes. " * 40 + "\ngo north"
    with FaultyServer(reply=saying(long)) as server:
        (said,) = ask(part(server, max_reflection_chars=60), [0])
    assert len(said) <= 60
    assert said.endswith("So it goes. go north")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"content": ""}, "empty_answer"),
        ({"content": None, "reasoning_content": "so much to think"}, "empty_answer"),
        ({"content": "<think>if only", "finish_reason": "length"}, "empty_answer"),
        ({"content": None, "refusal": "I must not"}, "refusal"),
        ({"content": "go", "finish_reason": "content_filter"}, "refusal"),
    ],
)
def test_no_answer_is_an_empty_reflection_and_an_alarm(part, message, kind):
    with FaultyServer(reply=lambda body: message) as server:
        one = part(server)
        assert ask(one, [0, 1]) == ["", ""]
        assert advise(one) is None
        assert part.context.alarms.counted() == {kind: 3}
        # paid for and stored: it is not asked again, and is counted again
        ask(one, [0, 1])
        assert part.context.alarms.counted() == {kind: 2}
    assert len(server.bodies) == 2


def test_of_an_answer_that_was_cut_the_whole_sentences_are_said_and_none_is_taught(part):
    reply = saying(*["It is wet. Go nor"] * 3, finish_reason="length")
    with FaultyServer(reply=reply) as server:
        one = part(server)
        assert ask(one, [0]) == ["It is wet."]
        assert advise(one) is None
        assert advise(one, spoiler="go north") is None
    assert part.context.alarms.counted() == {"cut_answer": 3}


def test_the_teacher_finds_an_action(part):
    with FaultyServer(reply=saying("It is bright there.\nAction: Go North.")) as server:
        expected = Advice("It is bright there. go north", "go north")
        assert advise(part(server)) == expected


def test_a_teacher_that_names_no_action_is_not_heard(part):
    with FaultyServer(reply=saying("Fly away.", "Fly.")) as server:
        one = part(server)
        assert advise(one) is None
        assert advise(one, wrong_action="go south") is None
    assert part.context.alarms.counted() == {"no_action": 2}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("It is bright.\ngo north", Advice("It is bright. go north")),
        ("It is bright.", Advice("It is bright.")),
        ("It is bright.\ngo south", None),
    ],
)
@pytest.mark.parametrize("wrong", [None, "go south"])
def test_a_teacher_that_was_told_must_not_end_with_something_else(part, content, expected, wrong):
    with FaultyServer(reply=saying(content)) as server:
        assert advise(part(server), spoiler="go north", wrong_action=wrong) == expected
        assert "go north\nArgue" in server.bodies[0]["messages"][1]["content"]
    counted = part.context.alarms.counted()
    assert counted == ({} if expected else {"other_action": 1})


def test_when_the_budget_is_spent_the_run_stops(part):
    with FaultyServer() as server:
        one = part(server, budget=5000)
        with pytest.raises(ReflectError, match="budget") as told:
            ask(one, range(30))
        assert server.tokens <= 5000
        assert "5,000" in told.value.why
        kept = len(stored(part.context.folder / ANSWERS))
        assert 0 < kept < 30
        # resumed with more, it asks for what is missing
        assert all(ask(part(server, budget=10**6), range(30)))
    assert len(server.bodies) == 30


def test_or_goes_on_without_answers(part):
    with FaultyServer() as server:
        one = part(server, budget=5000, when_spent="go-on")
        said = ask(one, range(30))
        lacking = said.count("")
        assert 0 < lacking < 30
        assert part.context.alarms.counted() == {"budget": lacking}
        assert one.advise([Question(room(99))], [draws(0)]) == [None]
        assert ask(one, range(30)) == said


def test_with_a_budget_of_nothing_stored_answers_are_used(part):
    with FaultyServer() as server:
        said = ask(part(server), [0])
        assert ask(part(server, budget=0), [0]) == said
        with pytest.raises(ReflectError, match="budget"):
            ask(part(server, budget=0), [1])
    assert len(server.bodies) == 1


def test_answers_lie_in_the_runs_folder_or_where_they_are_wanted(part, tmp_path):
    with FaultyServer() as server:
        ask(part(server), [0])
        assert len(stored(tmp_path / ANSWERS)) == 1
        elsewhere = tmp_path / "shared" / "a.sqlite"
        ask(part(server, cache=str(elsewhere)), [0])
        assert len(stored(elsewhere)) == 1
        one = reflector(server, context(None))
        ask(one, [0])
        one.close()


def test_the_key_is_sent_and_written_nowhere(part, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    caplog.set_level("DEBUG")
    with FaultyServer(["error", "busy"], key=KEY) as server:
        one = part(server, key_env="MY_KEY")
        ask(one, range(3))
        server.refuse = (403, {"message": f"{KEY} may not"})
        with pytest.raises(ReflectError) as told:
            ask(one, range(4))
        one.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert KEY not in caplog.text
    assert KEY not in f"{told.value}{told.getrepr()}{one.config!r}"


@pytest.mark.parametrize(
    "key",
    [
        "gsk_9f8aB7c6D5e4F3a2B1c0d9e8f7a6b5c4",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "a3f09c1b7d2e4f5a6b7c8d9e0f1a2b3c",
        "AKIA0123456789ABCDEF",
    ],
)
def test_a_key_in_the_place_of_its_variable_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match="never the key itself") as told:
        OpenAIConfig(model="m", key_env=key)
    assert key not in str(told.value)


@pytest.mark.parametrize("name", ["my_own_server_key_2", "OPENROUTERINTERNATIONAL_KEY", "_K"])
def test_names_of_variables_are_taken(name):
    assert OpenAIConfig(model="m", key_env=name).key_env == name


def test_a_variable_that_is_named_must_be_set_for_any_server(tmp_path):
    config = OpenAIConfig(model="m", key_env="MY_KEY", base_url="http://localhost:1/v1")
    with pytest.raises(ReflectError, match="there is no key") as told:
        make_reflector(config, context(tmp_path))
    assert "MY_KEY is not set" in told.value.why
    assert not list(tmp_path.iterdir())


def test_openais_own_endpoint_needs_a_key(tmp_path):
    for key_env in ("MY_KEY", None):
        config = OpenAIConfig(model="m", key_env=key_env)
        with pytest.raises(ReflectError, match="no key") as told:
            make_reflector(config, context(tmp_path))
        assert (key_env or "OPENAI_API_KEY") in told.value.why
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("own", "key_env", "sent"),
    [
        (True, None, KEY),
        (True, "MY_KEY", "mine"),
        (False, None, None),
        (False, "MY_KEY", "mine"),
    ],
)
def test_the_key_for_openai_goes_to_openai_alone(tmp_path, monkeypatch, own, key_env, sent):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_KEY", "mine")
    for module in ("client", "plugin"):
        monkeypatch.setattr(f"reflect_reflector_openai.{module}.openais_own", lambda url: own)
    with FaultyServer() as server:
        given = {"base_url": server.url, "model": "m"} | ({"key_env": key_env} if key_env else {})
        one = make_reflector(OpenAIConfig(**given), context(tmp_path))
        ask(one, [0])
        one.close()
    (key,) = server.keys
    assert key == f"Bearer {sent}" if sent else KEY not in str(server.headers)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (OPENAI_URL, True),
        ("https://API.openai.com/v1/", True),
        ("https://api.openai.com:443/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com:8443/v1", False),
        ("https://api.openai.com.example.org/v1", False),
        ("https://notapi.openai.com/v1", False),
        ("https://example.org/api.openai.com", False),
        ("http://localhost:8000/v1", False),
    ],
)
def test_which_addresses_are_openais_own(url, own):
    assert openais_own(url) is own


def test_a_key_that_cannot_be_sent_is_told_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "\u201cquoted\u201d")
    config = OpenAIConfig(model="m", key_env="MY_KEY")
    with pytest.raises(ReflectError, match="MY_KEY") as told:
        make_reflector(config, context(tmp_path))
    assert "quoted" not in str(told.value)


def test_a_model_must_be_named(tmp_path):
    with pytest.raises(ReflectError, match="no model") as told:
        make_reflector(OpenAIConfig(base_url="http://127.0.0.1:1/v1"), context(tmp_path))
    assert "teacher.model=" in told.value.then


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://a/v1",
        "http://",
        "http://a:b/v1",
        "http://[a/v1",
        "http://me:word@a/v1",
        "https://a/v1?key=x",
    ],
)
def test_addresses_that_are_none_or_hold_a_secret_are_refused(url):
    with pytest.raises(ValueError, match=r"base_url|Port|IPv6"):
        OpenAIConfig(base_url=url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -1.0), ("max_tokens", 0), ("when_spent", "wait"), ("budget", -1)],
)
def test_options_are_checked_when_a_run_is_configured(name, value):
    key = {each.option: each for each in options(OpenAIConfig, "teacher")}[name]
    with pytest.raises(ConfigError):
        check(key, value, "here")


def test_every_option_says_what_it_does():
    for field in attrs.fields(OpenAIConfig):
        assert field.metadata["help"].endswith(".")


def test_the_menu_decides_what_is_an_action(part):
    def first(body):
        return {"content": echo(body)["content"] + " or not"}

    with FaultyServer(reply=first) as server:
        made = advise(part(server))
    assert made is not None
    assert made.action == ACTIONS[0]
