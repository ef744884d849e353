"""The errors of this project: each says what is wrong, where, and what to do about it.

Commands catch :class:`SDTrackError`, print its message and end with exit code 1; anything else is a defect and
shows its traceback.
"""


class SDTrackError(Exception):
    """Base of all errors that a user can mend. What cannot be seen in a message, such as a byte order mark in a line of
    a file, is spelled out: \\ufeff."""

    def __str__(self) -> str:
        return "".join(
            char if char.isprintable() or char == "\n" else char.encode("unicode_escape", "surrogatepass").decode()
            for char in super().__str__()
        )


class ConfigError(SDTrackError):
    """An experiment file, a key or a value does not fit."""


class DataError(SDTrackError):
    """A data set, an image, a video or an annotation is missing or broken."""


class CheckpointError(SDTrackError):
    """A file of weights is missing, broken, or made for another network."""


class TrackingError(SDTrackError):
    """A tracker was asked for something impossible, such as a target of no size."""


class ResultError(SDTrackError):
    """Result files are missing, incomplete or malformed."""


class TrainingError(SDTrackError):
    """Training cannot go on, for example because the loss is not a number."""
