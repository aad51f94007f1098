"""Several processes: printing, work for the main process alone, and whether as many run as were requested."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import TypeVar

import datasets
import psutil
import torch
import transformers
from accelerate import PartialState
from accelerate.utils import DistributedType, broadcast_object_list

from hf_imgcls.errors import InputError, ProcessError, UserError
from hf_imgcls.machine.hardware import cores_per_process
from hf_imgcls.recipe import shipped_folder
from hf_imgcls.store import as_machine_error, close_output
from hf_imgcls.words import clean

T = TypeVar("T")
_CONFIGURATION = f"accelerate launch --config_file {shipped_folder() / 'launch' / 'two_cpu_processes.yaml'}"


def say(line: str) -> None:
    """Print a line once, without control characters; a run goes on when nobody reads it any more."""
    if PartialState().is_main_process:
        try:
            print(clean(line), flush=True)
        except OSError:  # its results are files
            close_output(sys.stdout)


def on_main(function: Callable[[], T]) -> T:
    """Run a function on the main process alone; every process gets its result, or its UserError.

    Any other error of it is a ProcessError to the others, which would wait for it.
    """
    state, outcome = PartialState(), [None, None]
    if state.is_main_process:
        try:
            with as_machine_error():
                outcome[0] = function()
        except UserError as error:
            outcome[1] = error
        except Exception as error:
            if state.num_processes > 1:
                broadcast_object_list([None, ProcessError(f"the first process failed ({type(error).__name__})")])
            raise
    if state.num_processes > 1:
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def prepare_launch() -> None:
    """Before TrainingArguments: processes that were launched on a machine without an accelerator use its CPU together.

    Without this, accelerate lets each of them believe that it is alone, and launchers give each of them one thread,
    whatever the machine has.
    """
    limit_progress_bars()
    if torch.accelerator.is_available():
        return
    if "LOCAL_RANK" in os.environ:
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    if not _user_set_threads():
        torch.set_num_threads(cores_per_process(physical=True))


def _user_set_threads() -> bool:
    """Whether the user, not the launcher, has set the number of threads."""
    environment = os.environ
    if {"ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"} & os.environ.keys():
        with contextlib.suppress(psutil.Error):
            environment = psutil.Process(os.getppid()).environ()  # as the launcher found it
    set_by_user = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & environment.keys()
    return bool(set_by_user) or requested("num_cpu_threads_per_process") is not None


def show_progress() -> bool:
    """Whether progress bars are drawn: on a terminal, never into a log file, and by one process of a machine."""
    return sys.stderr.isatty() and os.environ.get("LOCAL_RANK", "0") == "0"


def limit_progress_bars() -> None:
    """No bars of weights and shards; those of `datasets` as `show_progress` says."""
    transformers.logging.disable_progress_bar()
    if not show_progress():
        datasets.disable_progress_bars()


def check_launch() -> str | None:
    """A line to print if a launcher was asked for several processes and silently started one.

    Raises:
        InputError: several processes that know nothing of each other would all train the whole model into one folder.
    """
    state, started = PartialState(), int(os.environ.get("WORLD_SIZE", "1"))
    if started > 1 and (state.num_processes == 1 or state.distributed_type == DistributedType.NO):
        raise InputError(
            f"launch: {started} processes were started, but they do not train together; on a CPU set "
            f"ACCELERATE_USE_CPU=true, or use {_CONFIGURATION}"
        )
    # For a single process the launcher passes the number on in no variable, and on a CPU it may start one for several.
    asked = requested("num_processes")
    if asked and asked > 1 and state.num_processes == 1:
        return f"launch: {asked} processes were asked for, but this is a single one; on a CPU use {_CONFIGURATION}"
    return None


def requested_precision() -> str | None:
    """The precision that the `accelerate launch` above was asked for: "no", "fp16", ...; None if it was not."""
    passed_on = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # "no" also stands for silence
    return requested("mixed_precision") if passed_on == "no" else passed_on


@functools.cache
def requested(option: str):
    """An option of the `accelerate launch` above this one, from its command line or the file it names; None if unknown.

    Read with accelerate's own parser.
    """
    if "ACCELERATE_MIXED_PRECISION" not in os.environ:  # every accelerate launch sets it
        return None
    with contextlib.suppress(Exception, SystemExit):
        from accelerate.commands.config.config_args import default_config_file, load_config_from_file
        from accelerate.commands.launch import launch_command_parser

        for parent in psutil.Process().parents()[:3]:
            words = parent.cmdline()
            names = [os.path.basename(word).removesuffix(".exe") for word in words[:4]]
            start = next((i for i, n in enumerate(names) if n in ("launch", "accelerate.commands.launch")), None)
            if start is None:
                continue
            asked, _ = launch_command_parser().parse_known_args(words[start + 1 :])
            file = os.path.join(parent.cwd(), asked.config_file or default_config_file)
            if getattr(asked, option) is not None or not os.path.isfile(file):
                return getattr(asked, option)
            return getattr(load_config_from_file(file), option)
    return None
