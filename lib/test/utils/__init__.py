"""What parameter files hand to trackers."""


class TrackerParams:
    """A bag of attributes: cfg, template_factor, template_size, search_factor, search_size, checkpoint, ..."""

    def get(self, name: str, default=None):
        """The attribute, or the default where it was not set."""
        return getattr(self, name, default)

    def has(self, name: str) -> bool:
        """Whether the attribute was set."""
        return hasattr(self, name)
