"""Put the project's root first in sys.path, so that the commands run from any folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
