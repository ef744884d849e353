"""Settings of a tracker in a VOT workspace: a JSON file beside trackers.ini, named by an environment variable."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lib.errors import TrackingError
from lib.utils.files import write_atomically
from lib.utils.parsing import parse_json

VARIABLE = "SDTRACK_VOT"  # environment variable with the path of the settings file
MaskKind = Literal["alpha_refine", "box", "none"]


@dataclass(frozen=True)
class VotSettings:
    """How the VOT server builds a tracker.

    mask: "alpha_refine" predicts masks with the weights in `alpha_refine`, "box" answers the filled box as a mask,
    "none" answers rectangles instead of masks.
    """

    script: str
    config: str
    save_dir: str  # folder below which checkpoints are searched
    log: str  # file that tracebacks are appended to
    mask: MaskKind
    checkpoint: str | None = None
    alpha_refine: str | None = None
    device: str | None = None
    backend: str = "auto"
    overrides: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the settings to a JSON file."""
        write_atomically(path, lambda temporary: temporary.write_text(json.dumps(asdict(self), indent=2)))

    @classmethod
    def read(cls) -> "VotSettings":
        """Read the settings file that VARIABLE names. Raises TrackingError if it is unset or the file is broken."""
        file = os.environ.get(VARIABLE)
        if not file:
            raise TrackingError(f"{VARIABLE} is not set; tracking/create_vot_workspace.py writes it to trackers.ini")
        try:
            content = parse_json(Path(file).read_bytes())
            return cls(**{**content, "overrides": tuple(content.get("overrides", ()))})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrackingError(
                f"{file}: not the settings of a VOT tracker ({error}); create the workspace again"
            ) from error
