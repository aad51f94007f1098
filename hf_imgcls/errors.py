"""Every error that a user can cause, each with the exit status of the command that meets it."""

import difflib
import signal
from collections.abc import Iterable

# They ask a command to end: Ctrl-C, `kill`, a terminal that is closed, and what batch systems send before a time limit.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
ENDING_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))  # Windows has three of them


class UserError(Exception):
    """Shown as one line on standard error; `HF_IMGCLS_TRACEBACK=1` shows the traceback too."""

    status = 1  # the exit status of the command


class InputError(UserError, ValueError):
    """The user has to change something: the recipe, a path, an option, the data."""

    status = 2


class DivergenceError(InputError):
    """A loss, a metric or weights of a training are NaN or infinite."""


class MachineError(UserError):
    """The machine denies what a command needs: room, a right, memory, a file that was there; see store/denied.py."""


class ProcessError(UserError):
    """Another of several processes has failed, so that this one cannot go on; the cause is in that one's line."""

    reported = True  # whether the other one says so itself: one that was killed does not


class CacheError(MachineError):
    """The cache cannot be written."""


class ReadError(MachineError):
    """The machine cannot read a file at present: nothing is concluded about what is in it, and nothing is cached."""


class PushError(UserError, RuntimeError):
    """The Hub does not have what was to be pushed; nothing on this machine was changed."""

    status = 3


class ParityError(UserError, RuntimeError):
    """`pipeline` does not reproduce the evaluated predictions: no metric of the run holds for the saved model."""


class RestoreError(UserError, RuntimeError):
    """The weights in memory are not those of the checkpoint: continuing would train or score another model."""


class FindingsError(UserError):
    """`inspect --strict` found something wrong with the data."""


class Interrupted(KeyboardInterrupt):
    """A signal asked for the end; the message says how far the work came. The exit status is 128 + `number`."""

    def __init__(self, number: int = signal.SIGINT, message: str = "interrupted"):
        super().__init__(message)
        self.number = int(number)


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the nearest spelling, or nothing."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    close = [name for name in known if len(word) > 2 and name.startswith(word)] or close
    return f'; did you mean "{close[0]}"?' if close else ""
