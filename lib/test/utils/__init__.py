"""Container for the parameters of a tracker."""

from typing import Any


class TrackerParams:
    """Parameters as attributes: cfg, template_factor, template_size, search_factor, search_size, checkpoint, ..."""

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute, or the default if it is not set."""
        return getattr(self, name, default)

    def has(self, name: str) -> bool:
        """Whether the attribute is set."""
        return hasattr(self, name)
