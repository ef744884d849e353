"""The demo (bash install.sh demo): it runs the shipped weights, or, with --train, trains a network first."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Collection
from pathlib import Path

import torch

from lib.config.loader import load_config
from lib.errors import TrackingError
from lib.models.sdtrack import build_sdtrack
from lib.registry import DEFAULT_CONFIG, make_tracker
from lib.synthetic.writer import write_clip
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.plots.curves import plot_curve
from lib.test.analysis.tables import overall_table, render
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.utils.network_parameters import shipped_weights
from lib.train.admin.checkpoints import save_checkpoint
from lib.train.run_training import run_training
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths
from lib.utils.video import FrameSource
from lib.vis.tracked_video import track_video, write_video

TRAINED_CONFIG = "demo"
SHIPPED, TRAINED, UNTRAINED = "SDTrack, as shipped", "SDTrack, trained", "SDTrack, untrained"
STATIC = "static box"


def run_demo(save_dir: str | None = None, overrides: Collection[str] = (), num_sequences: int | None = None) -> None:
    """Track a generated video and unseen synthetic sequences with the shipped weights; score, plot and write videos.

    num_sequences: track only this many sequences. Raises TrackingError if a sequence fails.
    """
    sequences = synthetic_sequences()[:num_sequences]
    folder = make_folder(local_paths(save_dir=save_dir).save_dir / "demo")
    options = {"checkpoint": shipped_weights(DEFAULT_CONFIG), "overrides": overrides}
    clip, tracked = folder / "clip.mp4", folder / "clip_tracked.mp4"
    print("1. Generating a video of 640 x 360 pixels and tracking it with the shipped weights", flush=True)
    box = write_clip(clip)
    tracker = make_tracker("sdtrack", DEFAULT_CONFIG, **options)
    times = track_video(tracker, FrameSource(str(clip)), box, tracked).times
    print(f"   {len(times) / times.sum():.1f} frames/s in the tracker")
    makers = {
        SHIPPED: lambda _device: make_tracker("sdtrack", DEFAULT_CONFIG, **options),
        STATIC: lambda _device: make_tracker("static", "box"),
    }
    _track_and_score(makers, sequences, folder)
    video = folder / f"{sequences[0].name}.mp4"
    write_video(sequences[0], folder / "results" / SHIPPED, video)
    _print_outputs(
        {
            "video, video with boxes": f"{clip}, {tracked}",
            "a test sequence": f"{video} (ground truth green, tracker orange)",
            "success plot": folder / "success.png",
            "result files": folder / "results",
            "about the weights": "weights/CARD.md",
        }
    )


def run_training_demo(
    save_dir: str | None = None, overrides: Collection[str] = (), num_sequences: int | None = None
) -> None:
    """Train the demo config on synthetic scenes, track unseen synthetic sequences, score, plot and write a video.

    An interrupted training continues from its newest checkpoint. num_sequences: track only this many test sequences.
    Raises TrackingError if a sequence fails.
    """
    sequences = synthetic_sequences()[:num_sequences]
    cfg = load_config("sdtrack", TRAINED_CONFIG, overrides)
    root = make_folder(local_paths(save_dir=save_dir).save_dir)
    folder = root / "training_demo"
    epochs = f"{cfg.TRAIN.EPOCH} epochs on the CPU or GPU"
    print(f"1. Training sdtrack/{TRAINED_CONFIG} on synthetic scenes: {epochs}", flush=True)
    trainer = run_training("sdtrack", TRAINED_CONFIG, cfg, save_dir=str(root), resume="auto")
    if trainer.exit_code:
        raise SystemExit(trainer.exit_code)
    untrained = folder / "untrained.pth.tar"
    torch.manual_seed(cfg.TRAIN.SEED)
    save_checkpoint(untrained, {"net": build_sdtrack(cfg, training=False).state_dict(), "config": cfg.to_dict()})
    makers = {
        TRAINED: lambda _device: make_tracker("sdtrack", TRAINED_CONFIG, save_dir=root, overrides=overrides),
        UNTRAINED: lambda _device: make_tracker("sdtrack", TRAINED_CONFIG, checkpoint=untrained, overrides=overrides),
        STATIC: lambda _device: make_tracker("static", "box"),
    }
    _track_and_score(makers, sequences, folder)
    video = folder / f"{sequences[0].name}.mp4"
    write_video(sequences[0], folder / "results" / TRAINED, video)
    _print_outputs(
        {
            "success plot": folder / "success.png",
            "annotated video": f"{video} (ground truth green, tracker orange)",
            "result files": folder / "results",
            "checkpoint": trainer.settings.checkpoint_dir,
            "training log": f"{trainer.settings.log_dir} (tensorboard --logdir ...)",
        }
    )


def _track_and_score(
    makers: Mapping[str, Callable[[str | None], object]], sequences: Collection[Sequence], folder: Path
) -> None:
    """Track the sequences with every tracker, print a table of scores and write folder/success.png.

    makers: label -> function that makes the tracker on a device. Raises TrackingError if a sequence fails.
    """
    print(f"2. Tracking {len(sequences)} unseen synthetic sequences with {len(makers)} trackers", flush=True)
    convention = get_convention("ostrack", "synthetic")
    scores = {}
    for label, make in makers.items():
        summary = run_sequences(make, sequences, folder / "results" / label, overwrite=True)
        print(summary)
        if summary.failed:
            raise TrackingError(f"{label}: {summary}")
        scores[label] = score_results(folder / "results" / label, sequences, convention)
    print("3. Scores, percent\n" + render(overall_table(scores, convention), "table"))
    plot_curve("success", scores, convention, "unseen synthetic sequences").savefig(folder / "success.png", dpi=150)


def _print_outputs(places: Mapping[str, object]) -> None:
    print("4. Output files")
    width = max(map(len, places)) + 3
    for what, place in places.items():
        print(f"   {what:<{width}}{place}")
