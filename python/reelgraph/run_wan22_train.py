"""Train a Wan2.2 LoRA by hand on a folder that wan22-package made; run it again to resume.

\b
Example: python -m reelgraph.run_wan22_train --training-data-dir package --output-dir run --wan22-model Wan2.2-TI2V-5B

Each clip and caption is encoded once, the run is planned and then trained segment by segment. What is done already
under --output-dir is kept: a run that was killed goes on from its last finished segment and ends in the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reelgraph.determinism import restart_in_fixed_environment, stop_clock
from reelgraph.errors import StageError
from reelgraph.train.by_hand import Choices, dry_run

VARIANTS = ("ti2v-5b", "t2v-a14b", "i2v-a14b")
_COUNT = click.IntRange(1)


@click.command(help=__doc__)
@click.option(
    "--training-data-dir", type=click.Path(path_type=Path), required=True, help="Folder made by wan22-package."
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Where everything is written; run again to resume.",
)
@click.option(
    "--diffsynth-path",
    type=click.Path(path_type=Path),
    help="A checkout of DiffSynth-Studio instead of the locked package.",
)
@click.option("--wan22-model", type=click.Path(path_type=Path), help="Folder of the model; --dry-run needs none.")
@click.option("--model-variant", type=click.Choice(VARIANTS), default="ti2v-5b", show_default=True)
@click.option("--lora-rank", type=_COUNT, default=32, show_default=True)
@click.option("--epochs", type=_COUNT, default=5, show_default=True)
@click.option(
    "--dataset-repeat", type=_COUNT, default=100, show_default=True, help="Times that each clip is seen in an epoch."
)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=1e-4, show_default=True)
@click.option(
    "--num-frames", type=_COUNT, default=81, show_default=True, help="Clips with more frames are left out, with a line."
)
@click.option("--height", type=_COUNT, default=480, show_default=True, help="Larger clips are left out, with a line.")
@click.option("--width", type=_COUNT, default=832, show_default=True, help="Larger clips are left out, with a line.")
@click.option("--gradient-accumulation-steps", type=_COUNT, default=1, show_default=True)
@click.option("--device", default="cuda", show_default=True, help="cuda, or cpu for toy models.")
@click.option(
    "--processes", type=_COUNT, default=1, show_default=True, help="GPUs of this machine; the result is the same."
)
@click.option(
    "--dry-run", "only_plan", is_flag=True, help="Check data; print plan, memory and time; needs no GPU, no weights."
)
def main(diffsynth_path: Path | None, only_plan: bool, **options: object) -> None:
    """Run as a command; see ``--help``."""
    choices = Choices(**options)
    try:
        if only_plan:
            print("\n".join(dry_run(choices)))
            return
        if diffsynth_path is not None:
            if not (diffsynth_path / "diffsynth").is_dir():
                raise StageError(
                    f"--diffsynth-path {diffsynth_path}: has no folder diffsynth; give a checkout's root", 2
                )
            sys.path.insert(0, str(diffsynth_path))
        # Loads torch and diffsynth, which a dry run does without.
        from reelgraph.train.by_hand_stages import train_all

        print(train_all(choices))
    except StageError as error:
        print(f"run_wan22_train: {error}", file=sys.stderr, flush=True)
        raise SystemExit(error.status) from error


if __name__ == "__main__":
    restart_in_fixed_environment()
    stop_clock()
    main(prog_name="run_wan22_train")
