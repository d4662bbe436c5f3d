from __future__ import annotations

import io
import re

import pytest

from reflect_core.progress import PlainProgress, QuietProgress, RichProgress, make_progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[PlainProgress, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return PlainProgress(stream, clock), stream, clock


def test_a_stage_says_every_tenth_and_its_end() -> None:
    progress, stream, clock = plain()
    with progress.stage("teach", 40) as stage:
        for _ in range(40):
            clock.now += 1
            stage.advance(success_rate=0.5, loss=0.123456)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "teach: 4/40 | success rate 50%  loss 0.123 | 36 s left"
    assert len(lines) == 11
    assert lines[-1] == "teach: 40/40 | success rate 50%  loss 0.123 | done in 40 s"


def test_a_fast_stage_says_only_its_end() -> None:
    progress, stream, clock = plain()
    with progress.stage("sft", 1000) as stage:
        for _ in range(1000):
            clock.now += 0.001
            stage.advance()
    assert stream.getvalue() == "sft: 1000/1000 | done in 1 s\n"


def test_a_slow_stage_says_something_every_half_minute() -> None:
    progress, stream, clock = plain()
    with progress.stage("train", 10_000) as stage:
        for _ in range(5):
            clock.now += 15
            stage.advance()
    assert len(stream.getvalue().splitlines()) == 3


def test_a_resumed_stage_counts_from_where_it_was() -> None:
    progress, stream, clock = plain()
    with progress.stage("train", 60, done=40) as stage:
        for _ in range(10):
            clock.now += 6
            stage.advance()
    assert stream.getvalue().splitlines()[0] == "train: 45/60 | 1 min 30 s left"


def test_a_stage_of_unknown_length() -> None:
    progress, stream, _ = plain()
    with progress.stage("eval") as stage:
        stage.advance(7)
    assert stream.getvalue() == "eval: 7 | done in 0 s\n"


def test_a_stage_that_fails_says_so() -> None:
    progress, stream, _ = plain()
    with pytest.raises(KeyboardInterrupt), progress.stage("train", 60) as stage:
        stage.advance()
        raise KeyboardInterrupt
    assert stream.getvalue() == "train: 1/60 | stopped in 0 s\n"


def test_notes_and_warnings() -> None:
    progress, stream, _ = plain()
    progress.note("a note")
    progress.warn("look out")
    assert stream.getvalue() == "a note\nWarning: look out\n"
    quiet = QuietProgress()
    quiet.note("a note")
    quiet.warn("look out")
    with quiet.stage("teach", 3) as stage:
        stage.advance(loss=1.0)
    assert (quiet.notes, quiet.warnings) == (["a note"], ["look out"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    progress = make_progress(terminal)
    assert isinstance(progress, RichProgress)
    with progress.stage("train", 4) as stage:
        stage.advance(2, success_rate=0.75)
        progress.note("[not] markup")
    assert "train" in terminal.getvalue()
    assert "2/4" in terminal.getvalue()
    assert "75%" in terminal.getvalue()
    assert "[not] markup" in terminal.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_a_live_line_with_many_figures_keeps_the_time_left(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    with RichProgress(terminal).stage("eval", 1400) as stage:
        for name in ("random", "filesys-unseen-name", "filesys-shared-characters", "warmup"):
            stage.advance(300, **{f"{name}_success": 0.25})
            stage.advance(10, **{f"{name}_success": 0.5})
    plain_text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", plain_text)
    (last,) = [line for line in shown.splitlines() if "1240/1400" in line][-1:]
    assert last.startswith("eval")
    assert re.search(r"1240/1400 \d:\d\d:\d\d \d\d:\d\d warmup", last)
    assert len(last) <= columns
    if columns >= 80:
        assert "warmup success 50%" in last


def test_no_live_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_progress(io.StringIO()), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(Terminal()), PlainProgress)
