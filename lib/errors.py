"""The errors of this project. Each message says where the problem is, what is wrong, and how to fix it.

Commands catch :class:`SDTrackError`, print its message and end with exit code 1. Any other exception is a defect and is
shown with its traceback.
"""


class SDTrackError(Exception):
    """Base class of all errors that a user can fix. Invisible characters in a message, such as a byte order mark in a
    line of a file, are escaped: \\ufeff."""

    def __str__(self) -> str:
        return "".join(
            char if char.isprintable() or char == "\n" else char.encode("unicode_escape", "surrogatepass").decode()
            for char in super().__str__()
        )


class ConfigError(SDTrackError):
    """An experiment file, a key or a value is invalid."""


class DataError(SDTrackError):
    """A data set, an image, a video or an annotation is missing or broken."""


class CheckpointError(SDTrackError):
    """A weights file is missing, broken, or made for another network."""


class TrackingError(SDTrackError):
    """A tracker cannot do what is asked, for example track a target of zero size."""


class ResultError(SDTrackError):
    """Result files are missing, incomplete or malformed."""


class TrainingError(SDTrackError):
    """Training cannot continue, for example because the loss is NaN or Inf."""
