"""Tracker process that the VOT toolkit starts, as listed in trackers.ini: python -m lib.test.vot.serve."""

import sys
import traceback
from pathlib import Path

import numpy as np

from external.alpharefine.refiner import THRESHOLD, AlphaRefine
from external.alpharefine.weights import WeightsError, load_alpharefine
from lib.errors import TrackingError
from lib.registry import make_tracker
from lib.test.vot.session import VotSession, serve
from lib.test.vot.settings import VotSettings
from lib.utils.device import choose_device
from lib.utils.files import looks_like, make_folder, read_bytes
from lib.utils.image import Levels, levels_of, read_image
from lib.utils.logs import set_up_logging


def make_session(settings: VotSettings) -> VotSession:
    """Build the tracker and its mask refiner. Raises TrackingError if AlphaRefine's weights cannot be read."""
    refiner = None
    if settings.mask == "alpha_refine":
        if not settings.alpha_refine:
            raise TrackingError("masks need AlphaRefine's weights: --alpha_refine FILE, or choose --mask box")
        file = Path(settings.alpha_refine)
        if file.is_file() and (other := looks_like(file)):
            raise TrackingError(f"{file}: not a weights file; {other}")
        try:
            refiner = AlphaRefine(load_alpharefine(settings.alpha_refine), choose_device(settings.device))
        except WeightsError as error:
            raise TrackingError(str(error)) from error
    tracker = make_tracker(
        settings.script,
        settings.config,
        checkpoint=settings.checkpoint,
        save_dir=settings.save_dir,
        overrides=settings.overrides,
        device=settings.device,
        backend=settings.backend,
    )
    return VotSession(tracker, refiner, THRESHOLD, masks=settings.mask != "none")


class FrameReader:
    """Reads frames by path. All 16-bit frames are converted to 8 bits with the levels of the first one."""

    levels: Levels | None = None

    def __call__(self, path: str) -> np.ndarray:
        """Read a frame (H, W, 3) uint8 RGB."""
        return read_image(path, lambda: self._levels_at(path))

    def _levels_at(self, path: str) -> Levels:
        if self.levels is None:
            self.levels = levels_of(read_bytes(path), path)
        return self.levels


def main() -> int:
    """Serve until the toolkit quits. Any failure is appended to the settings' log file and gives exit code 1."""
    set_up_logging()
    settings = VotSettings.read()
    # The toolkit reads trax messages from stdout: output that a tracker prints must not mix with them
    sys.stdout = sys.stderr
    try:
        serve(make_session(settings), FrameReader(), f"{settings.script}_{settings.config}")
    except Exception:  # noqa: BLE001 - any failure is logged, printed and ends the process
        log = Path(settings.log)
        make_folder(log.parent)
        with log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc() + "\n")
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
