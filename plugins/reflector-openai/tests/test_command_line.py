"""Whole runs by the command line, with a server that fails."""

import importlib.metadata
import json
import re

import pytest
from endpoint_kit import stored
from fake_plugins import FakeEntryPoint, environments, module
from faulty_server import KINDS, FaultyServer
from reflect_reflector_openai.plugin import ANSWERS

from reflect_core import EnvironmentSpec
from reflect_core.cli import main
from reflect_core.testing.lamps import Lamps


@pytest.fixture
def reflect(monkeypatch, capsys, tmp_path):
    """Runs the lamps with the endpoint's words and ``follow``; code, output and errors."""
    spec = EnvironmentSpec(name="lamps", factory=lambda config, context: Lamps())
    lamps = FakeEntryPoint("lamps", lambda: module(reflect_environments=environments(spec)))
    real = importlib.metadata.entry_points
    wanted = {"reflector-openai", "trainer-ppo"}

    def entry_points(**asked):
        found = real(**asked)
        if asked != {"group": "reflect"}:
            return found
        return [*(point for point in found if point.name in wanted), lamps]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(words)
        return code, *capsys.readouterr()

    return call


def follow(body):
    """What a model that looks at the lamp would say."""
    text = body["messages"][-1]["content"]
    lit = re.findall(r"The (\w+) lamp is lit", text)[-1]
    return {"content": f"Its light is {lit}.\nAction: **push {lit}**"}


def words(server, *more):
    return (
        *("--env", "lamps", "--policy", "follow", "--reflector", "openai"),
        *("reflector.model=m", f"reflector.base_url={server.url}", "reflector.timeout=0.2"),
        *("reflector.backoff=0.01", "reflector.retries=20", "eval.episodes=8", *more),
    )


def test_a_run_follows_the_endpoint(reflect, tmp_path):
    with FaultyServer(KINDS, reply=follow) as server:
        code, _, errors = reflect("run", *words(server), "--out", "run")
        assert code == 0, errors
        asked = len(server.bodies)
        code, _, errors = reflect("eval", "run", "--split", "test")
        assert code == 0, errors
    rows = json.loads((tmp_path / "run" / "evaluation.json").read_text())["rows"]
    (mine,) = [row for row in rows if row["name"] == "follow" and row["decoding"] == "sampled"]
    assert all(episode["success"] for episode in mine["episodes"])
    assert len(server.bodies) == asked
    assert len(stored(tmp_path / "run" / ANSWERS)) <= asked - len(KINDS)


def test_a_users_mistakes_are_told_without_a_traceback(reflect):
    refuse = (404, {"message": "no model m"})
    with FaultyServer(refuse=refuse, reply=follow) as server:
        code, _, errors = reflect("run", *words(server))
        assert code == 2
        assert "no model m" in errors
        assert "Traceback" not in errors
        code, _, errors = reflect("run", *words(server, "reflector.base_url=localhost"))
        assert code == 2
        assert "base_url must begin with http" in errors
        code, out, errors = reflect("run", *words(server, "reflector.key_env=sk-live-1234"))
        assert code == 2
        assert "never the key itself" in errors
        assert "1234" not in out + errors
        code, _, errors = reflect("run", *words(server, "reflector.budget=100"))
        assert code == 2
        assert "budget" in errors
        assert "resume" in errors
