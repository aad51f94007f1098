"""Signals that ask a training to end: it goes on to the end of a step, the same one in every process."""

import os
import signal
import sys
import threading
import time
from multiprocessing import parent_process

import torch

from hf_imgcls.errors import ENDING_SIGNALS, Interrupted, UserError
from hf_imgcls.store import close_terminal

_SAME = 1.0  # seconds: a launcher passes on the Ctrl-C that its processes have got from the terminal as well


class StopRequest:
    """Within it, the first signal is only noted in `number`; a second one does what it did before.

    The handlers are set in the main thread alone, and put back. What is ignored (as `nohup` has it) stays ignored.
    """

    def __init__(self):
        self.number, self._since, self._process = 0, 0.0, os.getpid()
        self._before = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # A signal to all processes also ends those that this one works with, and their end is an error here.
        if self.number and isinstance(error, RuntimeError) and not isinstance(error, UserError):
            raise Interrupted(self.number) from None

    def _handle(self, number: int, frame) -> None:
        if os.getpid() == self._process:
            if not self.number:
                self.number, self._since = number, time.monotonic()
                if signal.Signals(number).name == "SIGHUP":
                    close_terminal()
                if os.isatty(2) and os.environ.get("LOCAL_RANK", "0") == "0":
                    os.write(2, b"\nsaving a checkpoint after this step; once more: end at once\n")
                return
            if "LOCAL_RANK" in os.environ and time.monotonic() - self._since < _SAME:
                return
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            os.kill(os.getpid(), number)


class Agreement:
    """The largest number that any process has, in all of them alike.

    On a GPU it is that of the call before, which has been computed meanwhile: no step waits for it.
    """

    def __init__(self, device: torch.device):
        self.device, self._before = device, None

    def largest(self, number: int) -> int:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return number
        shared = torch.full((), number, device=self.device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        if self.device.type != "cuda":
            return int(shared)
        before, copy, ready = self._before, torch.empty_like(shared, device="cpu", pin_memory=True), torch.cuda.Event()
        copy.copy_(shared, non_blocking=True)
        ready.record()
        self._before = copy, ready
        if before is None:
            return 0
        before[1].synchronize()
        return int(before[0])


def shield_worker() -> None:
    """In a process that reads images for another one: that one says when it ends, not a signal to the whole group.

    The other process ends it by SIGTERM, which is told from anybody else's by its sender.
    """
    for number in ENDING_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    sys.excepthook = _report_unless_cut_off
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_asked, args=(parent_process().pid,), daemon=True).start()


def _report_unless_cut_off(kind, error, trace) -> None:
    """What Python does with an error of a thread, but for the lost connection to a worker that was killed.

    The process that they work for says that one was.
    """
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _end_when_asked(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
