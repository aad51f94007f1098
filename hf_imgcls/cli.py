"""The command `hf-imgcls`: each command imports what it needs when it runs, so that --help is instant."""

import atexit
import contextlib
import os
import sys
import traceback

from hf_imgcls.commands import COMMANDS, Ending, parse
from hf_imgcls.errors import ProcessError, PushError, UserError
from hf_imgcls.store import (
    as_machine_error,
    as_process_error,
    flush_streams,
    is_launched,
    let_others_end,
    open_streams,
    reports_first,
)
from hf_imgcls.words import one_line


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status.

    That is 0, or that of the error, which is one line on standard error (2: user error, 1: verification failed,
    3: complete on this machine but not on the Hub, 141: the reader of standard output is gone, 128 + the number of a
    signal that ended it: 130 by Ctrl-C).
    """
    open_streams()
    if is_launched():
        sys.excepthook = _report_bug
    with Ending(arguments) as ending:
        try:
            ending.status = _run(arguments, ending)
        finally:
            flush_streams()
    _leave(ending.status)
    return ending.status


def _run(arguments: list[str] | None, ending: Ending) -> int:
    try:
        with as_process_error(), as_machine_error(), ending.causes:
            options = parse(sys.argv[1:] if arguments is None else arguments, COMMANDS)
            options.run(options)
            sys.stdout.flush()
    except UserError as error:
        if os.environ.get("HF_IMGCLS_TRACEBACK") == "1":
            traceback.print_exc()
        # From a DataLoader worker the error comes with that process's traceback before it.
        line = str(error).rpartition(f"{type(error).__module__}.{type(error).__name__}: ")[2]
        return _fail(line, error.status, error if isinstance(error, ProcessError) else None)
    except BrokenPipeError:
        return 128 + 13  # as of other tools, which SIGPIPE ends
    except KeyboardInterrupt as error:
        return ending.end(error)
    return 0


def _fail(line: str, status: int, other: ProcessError | None = None) -> int:
    """Report an error, which several processes may meet at once, in a line; returns its status."""
    most = 2000 if status == PushError.status else 380  # the former ends with a command
    if other and other.reported:
        let_others_end()
    if reports_first(one_line(line, most), cause=other is None):
        with contextlib.suppress(OSError):  # nobody reads it
            print(f"hf-imgcls: {one_line(line, most)}", file=sys.stderr, flush=True)
    if other and not other.reported:
        let_others_end()
    return status


def _report_bug(kind, error, trace) -> None:
    """What Python does with an unexpected error, by the first of several processes; torch names it in front."""
    if reports_first(one_line(f"{kind.__name__}: {error}", 380)):
        sys.__excepthook__(kind, error, trace)


def _leave(status: int) -> None:
    """Exit without the interpreter's teardown, if this is one of several processes.

    Otherwise about one launch in 50 (of torch alone) aborts while the threads of its connections are taken down; the
    launcher then kills the other processes, and a complete run counts as failed.
    """
    torch = sys.modules.get("torch")
    if torch and torch.distributed.is_available() and torch.distributed.is_initialized():
        atexit._run_exitfuncs()  # what others have to finish, such as a tracker of experiments
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
