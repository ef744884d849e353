"""What a tracker in a VOT workspace is: a JSON file beside trackers.ini, named by the environment."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lib.errors import TrackingError
from lib.utils.files import write_atomically
from lib.utils.parsing import parse_json

VARIABLE = "SDTRACK_VOT"  # of the environment: the file
MaskKind = Literal["alpha_refine", "box", "none"]


@dataclass(frozen=True)
class VotSettings:
    """mask: alpha_refine (its weights in `alpha_refine`), box: the box filled, none: rectangles instead of masks."""

    script: str
    config: str
    save_dir: str  # below which the weights are looked for
    log: str  # file that a traceback goes to
    mask: MaskKind
    checkpoint: str | None = None
    alpha_refine: str | None = None
    device: str | None = None
    backend: str = "auto"
    overrides: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the file."""
        write_atomically(path, lambda temporary: temporary.write_text(json.dumps(asdict(self), indent=2)))

    @classmethod
    def read(cls) -> "VotSettings":
        """The settings that the environment names. Raises TrackingError."""
        file = os.environ.get(VARIABLE)
        if not file:
            raise TrackingError(f"{VARIABLE} is not set; tracking/create_vot_workspace.py writes it to trackers.ini")
        try:
            content = parse_json(Path(file).read_bytes())
            return cls(**{**content, "overrides": tuple(content.get("overrides", ()))})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrackingError(
                f"{file}: not the settings of a VOT tracker ({error}); make the workspace anew"
            ) from error
