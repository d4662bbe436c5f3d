"""Options of the rollout that decide which reflections the policy reads, in play and warm-up."""

import attrs
import pytest
import toy

from reflect_core.baselines import RandomPolicy
from reflect_core.grounding import named_action
from reflect_core.progress import QuietProgress
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.teach import read_examples
from reflect_core.testing.lamps import Lamps


class Chatty:
    """Names the first legal action, and counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def reflect(self, states, draws, *, greedy):
        self.asked += len(states)
        return [f"Well: {state.observation.legal_actions[0]} now" for state in states]


def play(**options):
    reflector = Chatty()
    collector = Collector(Lamps, reflector, RandomPolicy(), seed=0, num_envs=8, **options)
    episodes = evaluation_episodes(Lamps().tasks("test"), 64, seed=0, stage="full")
    played = collector.play(episodes, greedy=False)
    turns = [turn for each in played.trajectories for turn in each.transitions]
    return reflector, turns


def test_reflections_that_may_not_name_actions_name_none():
    _, turns = play(name_actions=False)
    assert {turn.reflection for turn in turns} == {"Well: now"}
    _, turns = play()
    assert {turn.reflection for turn in turns} == {"Well: push red now"}


def test_what_is_taught_names_no_action_either(model_folder, tmp_path):
    for name_actions in (True, False):
        made = toy.settings(model_folder("lfm2"), rollout={"name_actions": name_actions})
        folder = tmp_path / str(name_actions)
        execute(folder, made, ["teach"], toy.lamps_registry(), QuietProgress())
        examples = read_examples(RunFolder(folder).examples)
        named = [
            named_action(e.reflection, e.state.observation.legal_actions) is not None
            for e in examples
        ]
        assert set(named) == {name_actions}


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_the_reflector_is_asked_as_often_as_is_wanted(probability, share):
    reflector, turns = play(reflect_probability=probability)
    assert reflector.asked == sum(bool(turn.reflection) for turn in turns)
    assert reflector.asked / len(turns) == pytest.approx(share, abs=0.15 if share == 0.5 else 0)


def test_the_policy_is_warmed_up_on_as_many_prompts_without_reflections(model_folder):
    for probability, share in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        player = toy.policy(model_folder("lfm2"))
        seen = []
        encode = player.encode

        def watch(state, reflection, draws, encode=encode, seen=seen):
            seen.append(bool(reflection))
            return encode(state, reflection, draws)

        player.encode = watch
        examples = [e for e in toy.examples(12) if e.reflection]
        sft = attrs.evolve(player.settings.sft, policy_updates=12, batch_size=16)
        player.settings = attrs.evolve(player.settings, sft=sft)
        player.fit(examples, reflect=probability, progress=lambda step, loss: None)
        assert sum(seen) / len(seen) == pytest.approx(share, abs=0.15 if share == 0.5 else 0)
