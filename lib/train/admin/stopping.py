"""Lets a run save its state before a signal ends it."""

import signal


class StopSignals:
    """Context manager that records SIGTERM, SIGHUP and the first Ctrl-C in `received` instead of ending the process.

    A Ctrl-C after one of them raises KeyboardInterrupt. An ignored SIGHUP stays ignored, so that nohup works.
    """

    HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self):
        self.received: int | None = None

    def __enter__(self) -> "StopSignals":
        without = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
        self._before = {number: signal.signal(number, self._note) for number in self.HANDLED if number not in without}
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
