"""The main job on the embedded default: train on synthetic scenes, track unseen ones, score, draw."""

from pathlib import Path

import torch

from lib.config.loader import load_config
from lib.errors import ConfigError, TrackingError
from lib.models.sdtrack import build_sdtrack
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import SequenceScores
from lib.test.analysis.plots.curves import plot_curve
from lib.test.analysis.tables import overall_table, render
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import read_result
from lib.test.evaluation.runner import make_tracker
from lib.test.evaluation.running import run_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.train.admin.checkpoints import save_checkpoint
from lib.train.run_training import run_training
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths
from lib.utils.video import VideoWriter
from lib.vis.drawing import GREEN, ORANGE, draw_box

CONFIG = "demo"
TRAINED, UNTRAINED, STATIC = "SDTrack, trained", "SDTrack, untrained", "box that never moves"


def run_demo(save_dir: str | None = None, overrides: list[str] | None = None, num_sequences: int | None = None) -> None:
    """Everything that the demo does, in the order in which it prints it.

    A training that was interrupted goes on from its newest checkpoint. num_sequences: how many test sequences.
    """
    if num_sequences is not None and num_sequences < 1:
        raise ConfigError(f"--num_sequences {num_sequences}: at least one sequence has to be tracked")
    cfg = load_config("sdtrack", CONFIG, overrides or [])
    folder = make_folder(local_paths(save_dir=save_dir).save_dir)
    print(f"1. Training sdtrack/{CONFIG} on synthetic scenes: {cfg.TRAIN.EPOCH} epochs on the CPU or GPU", flush=True)
    trainer = run_training("sdtrack", CONFIG, cfg, save_dir=str(folder), resume="auto")
    if trainer.exit_code:
        raise SystemExit(trainer.exit_code)
    untrained = folder / "demo" / "untrained.pth.tar"
    torch.manual_seed(cfg.TRAIN.SEED)
    save_checkpoint(untrained, {"net": build_sdtrack(cfg, training=False).state_dict(), "config": cfg.to_dict()})

    sequences = synthetic_sequences()[:num_sequences]
    print(f"2. Tracking {len(sequences)} unseen sequences, three times", flush=True)
    results = folder / "demo" / "results"
    makers = {
        TRAINED: lambda _device: make_tracker("sdtrack", CONFIG, save_dir=folder, overrides=overrides or []),
        UNTRAINED: lambda _device: make_tracker("sdtrack", CONFIG, checkpoint=untrained, overrides=overrides or []),
        STATIC: lambda _device: make_tracker("static", "box"),
    }
    convention = get_convention("ostrack", "synthetic")
    scores: dict[str, list[SequenceScores]] = {}
    for label, make in makers.items():
        summary = run_sequences(make, sequences, results / label, overwrite=True)
        print(summary)
        if summary.failed:
            raise TrackingError(f"{label}: {summary}")
        scores[label] = score_results(results / label, sequences, convention)

    print("3. Scores on the unseen sequences, percent\n" + render(overall_table(scores, convention), "table"))
    plot = folder / "demo" / "success.png"
    plot_curve("success", scores, convention, "unseen synthetic sequences").savefig(plot, dpi=150)
    video = folder / "demo" / f"{sequences[0].name}.mp4"
    write_video(sequences[0], results / TRAINED, video)
    print("4. Where to look")
    print(f"   success plot      {plot}")
    print(f"   annotated video   {video} (truth green, tracker orange)")
    print(f"   result files      {results}")
    print(f"   checkpoint        {trainer.settings.checkpoint_dir}")
    print(f"   training log      {trainer.settings.log_dir} (tensorboard --logdir ...)")


def write_video(sequence: Sequence, results: Path, path: Path, fps: float = 15) -> None:
    """The sequence with its truth and the boxes of a result folder drawn in."""
    boxes = read_result(results, sequence.name, len(sequence))
    with VideoWriter(path, fps) as writer:
        for index in range(len(sequence)):
            frame, truth = sequence.video.frames[index].copy(), sequence.video.truth[index]
            if truth[2] > 0:
                draw_box(frame, truth, GREEN)
            draw_box(frame, boxes[index], ORANGE)
            writer.write(frame)
