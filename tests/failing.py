"""Train under `torchrun --max_restarts N`, where a process of each attempt fails: FAILING names how, one an attempt.

`rank:place:nth:how` fails in the nth call of a place; attempts behind the first write the folder `$RUN`.
"""

import errno
import os
import signal
import sys

from hf_imgcls import cli
from hf_imgcls.api import run, train
from hf_imgcls.errors import InputError
from hf_imgcls.training import stages

PLACES = {
    "data": (train, "load_data"),
    "step": (stages.ImageTrainer, "compute_loss"),
    "results": (run, "finish"),
    "end": (run, "push_trained"),
}


def fail(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {
        "input": InputError(f"data.path: what process {os.environ['RANK']} alone has found"),
        "disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/results"),
        "bug": ZeroDivisionError("what no one expected"),
    }[how]


def replace(place: str, nth: int, how: str) -> None:
    owner, name = PLACES[place]
    real, calls = getattr(owner, name), iter(range(1, 10**6))

    def failing(*args, **kwargs):
        return fail(how) if next(calls) == nth else real(*args, **kwargs)

    setattr(owner, name, failing)


if __name__ == "__main__":
    attempts, attempt = os.environ["FAILING"].split(","), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    words = sys.argv[1:]
    if attempt:
        words.append(f"training.output_dir={os.environ['RUN']}")
    if attempt < len(attempts):
        rank, place, nth, how = attempts[attempt].split(":")
        if place == "launch":  # in both processes
            os.environ["ACCELERATE_USE_CPU"] = "false"
        elif rank == os.environ["RANK"]:
            replace(place, int(nth), how)
    sys.exit(cli.main(words))
