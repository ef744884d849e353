"""SIGKILL at random moments, of which benchmarks/kill_moments.py tries more."""

import random
import signal
import time

import pytest
from command import TRAIN, evaluation, kill_evaluation, kill_training, results, run, start, trained, wait_until
from doubles import same

from lib.synthetic.writer import write_clip

MOMENTS = 3


def test_a_training_that_is_killed_again_and_again_is_the_same_run(tmp_path):
    code, text = run(*TRAIN, "--save_dir", tmp_path / "whole")
    assert code == 0, text
    generator = random.Random(0)
    kill_training(tmp_path / "killed", [generator.uniform(0, 1) for _ in range(MOMENTS)])
    whole, killed = trained(tmp_path / "whole"), trained(tmp_path / "killed")
    for key in ("net", "net_raw", "optimizer", "epoch", "step", "rng", "statistics"):
        assert same(whole[key], killed[key]), key


def test_an_evaluation_that_is_killed_again_and_again_has_the_same_results(tmp_path, tiny_checkpoint):
    code, text = run(*evaluation(tiny_checkpoint, tmp_path / "whole"))
    assert code == 0, text
    generator = random.Random(0)
    kill_evaluation(tiny_checkpoint, tmp_path / "killed", [generator.uniform(0, 1) for _ in range(MOMENTS)], 60)
    assert results(tmp_path / "whole") == results(tmp_path / "killed") != {}
    assert not list((tmp_path / "killed").rglob("*.tmp"))


def test_what_a_killed_evaluation_left_half_written_is_removed_by_the_next(tmp_path, tiny_checkpoint):
    folder = tmp_path / "results" / "sdtrack" / "demo" / "synthetic"
    folder.mkdir(parents=True)
    (folder / ".synthetic-005_score.txt.19551.tmp").write_text("0.5")
    code, text = run(*evaluation(tiny_checkpoint, tmp_path))
    assert code == 0, text
    assert not list(tmp_path.rglob("*.tmp")) and len(list(folder.glob("synthetic-*.txt"))) > 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_video_that_is_told_to_stop_keeps_its_boxes(tmp_path, tiny_checkpoint, number):
    write_clip(tmp_path / "clip.mp4", length=1500, size=(120, 160))
    process = start(
        "tracking/video_demo.py", "sdtrack", "demo", tmp_path / "clip.mp4", "--checkpoint", tiny_checkpoint,
        "--optional_box", 40, 40, 30, 30, "--save_dir", tmp_path, "--save_results", tmp_path / "tracked.mp4",
    )  # fmt: skip
    tracked = tmp_path / "tracked.mp4"
    wait_until(lambda: tracked.is_file() and tracked.stat().st_size > 1000, process)
    process.send_signal(number)
    text = process.communicate(timeout=60)[0]
    assert (process.returncode, "Traceback" in text) == (128 + number, False), text
    boxes = (tmp_path / "results" / "sdtrack" / "demo" / "video" / "clip.txt").read_text().splitlines()
    assert 0 < len(boxes) < 1500 and f"boxes of {len(boxes)} frames" in text
    assert f"stopped at frame {len(boxes)} of 1500" in text


def test_an_evaluation_that_is_told_to_stop_keeps_what_is_done(tmp_path, tiny_checkpoint):
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / str(number)
        process = start(*evaluation(tiny_checkpoint, folder))
        wait_until(lambda folder=folder: len(results(folder)) > 2, process)
        process.send_signal(number)
        started = time.monotonic()
        text = process.communicate(timeout=60)[0]
        assert (process.returncode, "interrupted" in text, "Traceback" in text) == (128 + number, True, False), text
        assert time.monotonic() - started < 30
        assert {len(rows.splitlines()) for rows in results(folder).values()} == {60}
        assert not list(folder.rglob("*.tmp"))
