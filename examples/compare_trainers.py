"""Compare trainers: the same warm-up, the same tasks, paired differences.

    python examples/compare_trainers.py --env filesys
    python examples/compare_trainers.py --env taxi --trainers grpo,ppo --seeds 0 train.iterations=20

Every trainer begins with the same players, warmed up once for each seed, and is judged on the same
held-out episodes. The last one named is what the others are compared with. Stopped, the same
command goes on. In the folder ``--out`` are the runs, ``seed-0/grpo`` and so on (``reflect-rl`` is
the last one), and the table, ``ablation.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reflect_core import ReflectError, config, files, plugins
from reflect_core.ablation import table
from reflect_core.ablation.arms import REFERENCE, Arm
from reflect_core.ablation.study import Study
from reflect_core.progress import make_progress


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--env", required=True, help="Environment to learn.")
@click.option("--trainers", default="reinforce,grpo,ppo", show_default=True, help="Two or more.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Of the runs.")
@click.option("--jobs", default=1, show_default=True, help="Runs side by side.")
@click.option("--out", type=Path, default=Path("runs/trainers"), show_default=True, help="Folder.")
def main(
    overrides: tuple[str, ...], env: str, trainers: str, seeds: str, jobs: int, out: Path
) -> None:
    """Train with each of TRAINERS and compare them; KEY=VALUE holds for all."""
    registry = plugins.load()
    base = config.resolve(registry, overrides=overrides, flags={"env": env})
    *others, last = trainers.split(",")
    arms = [Arm(name, name, (f"trainer={name}",), "trained") for name in others]
    arms.append(Arm(REFERENCE, last, (f"trainer={last}",), "trained"))
    keep(out, config.dump(base))
    with files.lock(out):
        study = Study(out, registry, base, arms, [int(seed) for seed in seeds.split(",")], jobs)
        study.run(make_progress())
        result = table.gather(arms, study.runs())
        table.write(result, out)
    click.echo(result.markdown())


def keep(folder: Path, settings: str) -> None:
    """Note what is compared; other settings need another folder, or old runs would be mixed in.

    Raises:
        ReflectError: The folder holds a comparison with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "settings.toml"
    if not note.exists():
        files.write_atomic(note, settings)
    elif note.read_text(encoding="utf-8") != settings:
        raise ReflectError(f"{folder} has runs with other settings", then="choose another --out")


if __name__ == "__main__":
    try:
        main()
    except ReflectError as error:
        sys.exit(f"Error: {error}")
