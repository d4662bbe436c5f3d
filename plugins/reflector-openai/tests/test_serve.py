"""A real server with a real, small model: `transformers serve` on the `tiny` of the package."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from endpoint_kit import ACTIONS, context, draws, reflector, room, stored
from reflect_reflector_openai.plugin import ANSWERS
from reflect_reflector_openai.store import Store

import reflect_core
from reflect_core import ReflectError
from reflect_core.records import Question

pytestmark = pytest.mark.slow

TINY = Path(reflect_core.__file__).parent / "lm" / "tiny"
TEMPLATE = "{% for m in messages if m.role == 'user' %}{{ m.content }}\n{% endfor %}Reflection:"
SERVE = "from transformers.cli.transformers import main; main()"


class Served:
    """A server's address and its process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.model, self.root = str(folder), f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"
        words = ["serve", self.model, "--device", "cpu", "--host", "127.0.0.1"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, *words, "--port", str(port)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.root}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail(self.log.read_text(errors="replace"))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def served(tmp_path, monkeypatch):
    for name in ("fastapi", "uvicorn"):
        pytest.importorskip(name, reason="transformers serve needs transformers[serving]")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = shutil.copytree(TINY, tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text(TEMPLATE)  # the package's has none
    server = Served(folder)
    try:
        server.wait()
        yield server
    finally:
        server.end()


def test_a_local_model_reflects_and_advises(served, tmp_path):
    where = context(tmp_path)
    options = {"model": served.model, "max_tokens": 24, "timeout": 60.0, "send_seed": True}
    one = reflector(served, where, **options, budget=200_000)
    states, names = [room(n) for n in range(6)], [draws(n) for n in range(6)]
    said = one.reflect(states, names, greedy=False)
    assert len(said) == 6
    assert any(said)
    assert all("\n" not in text for text in said)
    taught = one.advise([Question(state, spoiler="go north") for state in states], names)
    assert all(advice is None or advice.action is None for advice in taught)
    found = one.advise([Question(state) for state in states], names)
    assert all(advice is None or advice.action in ACTIONS for advice in found)
    assert len(stored(tmp_path / ANSWERS)) == 12  # what reflect asked, advise need not
    tokens = [json.loads(answer)["tokens"] for answer in stored(tmp_path / ANSWERS).values()]
    # the model counted every request, and never more than had been reserved for it
    assert all(0 < each < 2000 for each in tokens)
    store = Store(tmp_path / ANSWERS)
    assert store.tokens == sum(tokens)
    store.close()

    served.end()
    assert one.reflect(states, names, greedy=False) == said
    impatient = reflector(served, where, **{**options, "retries": 1})
    with pytest.raises(ReflectError, match="no answer after 2 tries"):
        impatient.reflect([room(9)], [draws(9)], greedy=False)
    for each in (one, impatient):
        each.close()
