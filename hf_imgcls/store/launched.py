"""What the processes of a launch (torchrun, accelerate launch) tell each other and their launcher when one fails.

The launcher gives each process the path of a file for its error, in one folder for all of a machine, and ends the
others when one has ended: `torch.distributed.elastic.multiprocessing.errors` has the form of the file.
"""

import json
import os
import time
from pathlib import Path

from hf_imgcls.errors import ProcessError, UserError
from hf_imgcls.store.os_errors import error_causes

_LOST = (
    "another process of this launch has failed, was killed or does not answer: its own line, or the launcher's report, "
    "says why; the same command goes on"
)
_SECONDS = 3  # after which the launcher has noticed which process failed first


def is_launched() -> bool:
    """Whether this is one of several processes."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def reports_first(line: str, cause: bool = True) -> bool:
    """Whether this process is to print an error: the first one of a machine that meets any.

    The launcher's own report gets the line too, if it is the cause. Without a launcher that gives the processes a
    folder, those behind the first one wait: they mostly meet the same error, and what started them ends them with it.
    """
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not file:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(_SECONDS)
        return True
    try:
        if cause:
            details = {"py_callstack": line, "timestamp": str(int(time.time()))}
            Path(file).write_text(json.dumps({"message": {"message": line, "extraInfo": details}}))
        (Path(file).parents[1] / "reported").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # a full disk, perhaps the very error: better twice than never
        pass
    return True


class as_process_error:
    """Inside, what the loss of another process raises here becomes a ProcessError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if is_launched() and not isinstance(error, UserError) and any(map(_is_of_group, error_causes(error))):
            lost = ProcessError(_LOST)
            lost.reported = False
            raise lost from error


def _is_of_group(error: BaseException) -> bool:
    """gloo's errors have no class of their own; those of NCCL and of the store have one in torch."""
    return "/gloo/" in str(error) or any(each.__name__ == "DistError" for each in type(error).__mro__)


def let_others_end() -> None:
    """Let another process, which has failed, print its error, and the launcher notice that it was the first."""
    time.sleep(_SECONDS)
