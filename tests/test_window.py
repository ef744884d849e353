"""The window of --show, on a display without a screen (Xvfb): its keys, targets that join, and what is written."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from doubles import PROJECT

from lib.synthetic.writer import write_clip

XVFB = shutil.which("Xvfb")
RUN = """
import runpy, sys
import cv2
sys.path.insert(0, "tracking")
keys = iter(sys.argv.pop(1).split(","))
cv2.waitKey = lambda _time, real=cv2.waitKey: (real(1), ord(next(keys, "-")))[1]
cv2.selectROI = lambda title, image, showCrosshair: (image.shape[1] // 4, image.shape[0] // 4, 40, 30)
sys.argv[0] = "tracking/video_demo.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def display():
    if not XVFB:
        pytest.skip("XVFB NOT FOUND: the window was not opened (Debian: xvfb)")
    end, write = os.pipe()
    server = subprocess.Popen([XVFB, "-displayfd", str(write), "-nolisten", "tcp"], pass_fds=[write],
                              stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(write)
    with os.fdopen(end) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait()


def track(checkpoint, clip, box, out, *more, start=("tracking/video_demo.py",), display=""):
    """Run the command; returns the run and its boxes by file."""
    command = [
        *(sys.executable, *start, "sdtrack", "demo", clip, "--checkpoint", checkpoint, "--save_dir", out),
        *("--device", "cpu", "--optional_box", *map(str, box), *more),
    ]
    environment = {**os.environ, "DISPLAY": display}
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, env=environment)
    files = sorted((out / "results" / "sdtrack" / "demo" / "video").glob("clip*.txt"))
    return run, {path.name: np.loadtxt(path) for path in files if path.stem[-1] in "p23"}


def show(tmp_path, checkpoint, display, keys, *more):
    clip = tmp_path / "clip.mp4"
    box = write_clip(clip, 0, 10, (120, 160))
    start = "-c", RUN, ",".join(keys)
    return track(checkpoint, clip, box, tmp_path / "out", "--show", *more, start=start, display=display)


def test_targets_join_and_a_key_ends_it(tmp_path, tiny_checkpoint, display):
    tracks = tmp_path / "tracks.csv"
    keys = ["-", "-", "a", "-", " ", "-", " ", "a", "-", "q"]  # the pause takes three keys, and no frame
    run, boxes = show(tmp_path, tiny_checkpoint, display, keys, "--tracks", tracks, "--tracks_format", "csv")
    assert run.returncode == 0, run.stderr
    names = ["clip.txt", "clip_2.txt", "clip_3.txt"]
    assert {name: value.shape for name, value in boxes.items()} == dict.fromkeys(names, (8, 4))
    joined = [int(np.isnan(boxes[name]).any(axis=1).sum()) for name in names]
    assert joined == [0, 2, 5], "rows before a target joins have no box"
    np.testing.assert_allclose(boxes["clip_2.txt"][2], [40, 30, 40, 30])
    frames = [line.split(",")[:2] for line in tracks.read_text().splitlines()[1:]]
    assert len(frames) == 8 + 6 + 3


def test_without_keys_it_runs_to_the_end_and_the_boxes_are_those_without_a_window(tmp_path, tiny_checkpoint, display):
    run, boxes = show(tmp_path, tiny_checkpoint, display, ["-"])
    assert run.returncode == 0, run.stderr
    assert [*boxes] == ["clip.txt"] and boxes["clip.txt"].shape == (10, 4)
    _, others = track(tiny_checkpoint, tmp_path / "clip.mp4", boxes["clip.txt"][0], tmp_path / "plain")
    np.testing.assert_allclose(boxes["clip.txt"], others["clip.txt"], atol=0.02)


def test_without_a_display_that_is_said(tmp_path, tiny_checkpoint):
    run, _ = show(tmp_path, tiny_checkpoint, "", ["-"])
    assert run.returncode == 2 and "--show: there is no display" in run.stderr
