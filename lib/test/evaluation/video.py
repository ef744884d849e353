"""Track one target through a video of somebody's own."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.test.evaluation.results import write_result
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import ORANGE, draw_box


def track_video(tracker, source: FrameSource, box: Sequence[float], video_out: Path | None, folder: Path, name: str):
    """Track from the first frame's box [x, y, w, h] to the end of the source.

    Writes folder/<name>.txt and <name>_time.txt, and with video_out the frames with the box drawn in.
    Returns boxes (T, 4) xywh and seconds a frame (T,).
    """
    boxes, times = [], []
    with VideoWriter(video_out or folder / f"{name}.mp4", source.fps) as writer:
        for index, frame in enumerate(tqdm(source, total=source.length, unit="frame")):
            started = time.perf_counter()
            answer = tracker.track(frame) if index else tracker.initialize(frame, {"init_bbox": list(box)})
            times.append(time.perf_counter() - started)
            boxes.append(answer["target_bbox"])
            if video_out is not None:
                picture = np.ascontiguousarray(frame).copy()
                score = answer.get("best_score")
                draw_box(picture, boxes[-1], ORANGE, "" if score is None else f"{score:.2f}")
                writer.write(picture)
    write_result(folder, name, np.array(boxes), np.array(times))
    return np.array(boxes), np.array(times)
