"""The error that ended a run, kept in its folder until it goes on: an interruption is none."""

import contextlib
import os
from pathlib import Path

from hf_imgcls.errors import UserError
from hf_imgcls.store.files import write_json
from hf_imgcls.words import one_line

FAILED = "failed.json"


class FailureKept(contextlib.AbstractContextManager):
    """Within it, an error is written into the folder of a run, by the first of its processes."""

    def __init__(self, folder: Path):
        self.file = folder / FAILED

    def __enter__(self) -> None:
        self.file.unlink(missing_ok=True)

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Exception) and os.environ.get("RANK", "0") == "0":  # not where a signal ends it
            line = str(error) if isinstance(error, UserError) else f"{kind.__name__}: {error}"
            with contextlib.suppress(OSError):  # a full disk may have been the error
                write_json(self.file, {"error": one_line(line)})
