"""Ending a run on request, with its state saved."""

import signal


class StopSignals:
    """While it is active, SIGTERM and the first Ctrl-C are noted instead of ending the process; the second ends it."""

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
        # a loader's workers may have got it as well: their end must not interrupt what is saved
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
