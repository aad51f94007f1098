"""How a command ends on a signal: in one line, and at once where another one follows."""

import contextlib
import os
import shlex
import signal
import sys
import threading
import time

from hf_imgcls.errors import ENDING_SIGNALS, Interrupted, PushError
from hf_imgcls.store import close_terminal, reports_first
from hf_imgcls.words import one_line

_SAME = 1.0  # seconds: a launcher passes on the Ctrl-C that its processes have got from the terminal as well
_MOST = 300  # characters of a command that is shown
_RESUMED = ("train", "predict", "embed", "tune", "pack")


class Ending:
    """Within it, a signal raises Interrupted in the main thread, and a second one ends the process.

    Args:
        arguments: of a command; if None, those of the process, which then ends with it. If not, the handlers are put
            back.
    """

    def __init__(self, arguments: list[str] | None):
        self.own, self.process = arguments is None, os.getpid()
        self.arguments = sys.argv[1:] if arguments is None else arguments
        self.number = self.since = self.over = self.status = 0
        self.causes = _Causes(self)
        self._before, self._unraisable = {}, sys.unraisablehook

    def __enter__(self) -> "Ending":
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as `nohup` has it
                    self._before[number] = signal.signal(number, self._handle)
            sys.unraisablehook = self._unraised
        return self

    def __exit__(self, *error) -> None:
        self.over = 1
        if not self.own:
            sys.unraisablehook = self._unraisable
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def end(self, error: KeyboardInterrupt) -> int:
        """Print the line; returns the exit status."""
        self.over, self.status = 1, 128 + getattr(error, "number", signal.SIGINT)
        line = self.line(str(error))
        # Where another process has failed, its launcher ends the others by a signal.
        if os.environ.get("RANK", "0") == "0" and reports_first(line, cause=False):
            with contextlib.suppress(OSError):  # nobody reads it
                print(one_line(f"hf-imgcls: {line}", 3 * _MOST), file=sys.stderr, flush=True)
        return self.status

    def line(self, message: str) -> str:
        """How far the work came, and the command that goes on."""
        command, *words = self.arguments or [""]
        if command not in _RESUMED or (command == "predict" and "--output" not in " ".join(words)):
            return one_line(message or "interrupted")
        # With --start-over it would begin anew.
        shown = shlex.join(["hf-imgcls", command, *(word for word in words if word != "--start-over")])
        if "RANK" in os.environ or len(shown) > _MOST or one_line(shown, _MOST) != shown:
            shown = "without --start-over" if "--start-over" in words else ""
        resumes = f"the same command resumes{': ' if shown.startswith('hf-imgcls') else ' '}{shown}".rstrip()
        return one_line(f"{message or 'interrupted'}; {resumes}", 2 * _MOST)

    def _handle(self, number: int, frame) -> None:
        if os.getpid() != self.process:  # a fork, which its parent ends
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self.over:
            if self.own:
                os._exit(self.status)
            return
        if not self.number:
            self.number, self.since = number, time.monotonic()
            if signal.Signals(number).name == "SIGHUP":
                close_terminal()
            raise Interrupted(number)
        if "LOCAL_RANK" not in os.environ or time.monotonic() - self.since > _SAME:
            self._end_at_once()

    def _unraised(self, unraisable) -> None:
        """Where nothing can be raised, such as in a `__del__`, the first signal ends the process as a second one."""
        if isinstance(unraisable.exc_value, Interrupted):
            self._end_at_once()
        self._unraisable(unraisable)

    def _end_at_once(self) -> None:
        # Not by print, which may be what was interrupted.
        with contextlib.suppress(OSError):
            os.write(2, f"hf-imgcls: {self.line('interrupted')}\n".encode(errors="replace"))
        os._exit(128 + self.number)


class _Causes(contextlib.AbstractContextManager):
    """Within it, an error after a signal is the Interrupted that led to it: workers are gone, an import was cut off."""

    def __init__(self, ending: Ending):
        self.ending = ending

    def __exit__(self, kind, error, traceback) -> None:
        if self.ending.number and isinstance(error, Exception) and not isinstance(error, PushError):
            raise Interrupted(self.ending.number) from None
