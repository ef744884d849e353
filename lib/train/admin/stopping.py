"""Lets a run save its state before a signal ends it."""

import signal


class StopSignals:
    """Context manager that records SIGTERM and the first Ctrl-C in `received` instead of ending the process.

    A Ctrl-C after one of them raises KeyboardInterrupt.
    """

    HANDLED = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.received: int | None = None

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._note) for number in self.HANDLED}
        return self

    def __exit__(self, *_exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
        # a loader's workers may receive the signal, too: PyTorch's handler for their end would interrupt saving
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
