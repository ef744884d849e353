"""SDTrack without PyTorch. Frames are BGR uint8 (H, W, 3), as OpenCV reads them; boxes are x, y, w, h in their pixels.

Tracker follows one target, MultiTracker(Tracker()) several; both answer with Results.
"""

from sdtrack_runtime.errors import ConfigError, SDTrackError, TrackingError
from sdtrack_runtime.multi import MultiTracker, Result
from sdtrack_runtime.tracker import Tracker

__all__ = ["ConfigError", "MultiTracker", "Result", "SDTrackError", "Tracker", "TrackingError"]
