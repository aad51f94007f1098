"""Launches of several processes: real ones, and the same launchers with forks in place of fresh interpreters."""

import os
import subprocess
import sys
from pathlib import Path

from fresh import ROOT, run_fresh

TWO = ["accelerate", "launch", "--quiet", "--config_file", str(ROOT / "recipes/launch/two_cpu_processes.yaml")]
TORCHRUN = ["torchrun", "--standalone", "--nproc_per_node", "2"]

# The launcher reads its options, agrees with its processes on addresses and ranks, sets their environment, and watches
# them as ever; only the start of an interpreter is replaced.
_LAUNCHER = """
import os
import signal
import sys
import hf_imgcls.api  # before it forks
import torch.distributed.run as run
from fresh import end, run_file
from hf_imgcls.reports import figures
from undrawn import Plots

def worker(file, *arguments):
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"):  # a fork has those of its launcher
        signal.signal(getattr(signal, name), getattr(signal, "default_int_handler" if name == "SIGINT" else "SIG_DFL"))
    leave, os._exit = os._exit, sys.exit  # hf_imgcls.cli leaves by it; the launcher waits for a result
    status = 0
    try:
        run_file(file, *arguments)
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        os._exit = leave
        sys.excepthook(*sys.exc_info())
        status = 1
    os._exit = leave
    if status:
        leave(status)

def forking(arguments, read=run.config_from_args):
    config, _, (_, *words) = read(arguments)
    config.start_method = "fork"
    return config, worker, words

figures.import_plots = Plots
run.config_from_args = forking
if sys.argv.pop(1) == "accelerate":
    from accelerate.commands.launch import main  # what the command `launch` of accelerate runs; the others import timm
    assert sys.argv.pop(1) == "launch"
    main()
else:
    run.main()
"""


def _environment(changes: dict[str, str]) -> dict[str, str | None]:
    return {**{name: None for name in os.environ if name.startswith("ACCELERATE_")}, "OMP_NUM_THREADS": "1", **changes}


def launch(launcher: list[str], *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Launch a script, with processes that are forks of one that has imported everything; plots have one pixel."""
    layer = "libraries" if any(name.startswith("HF_") for name in environment) else "package"
    return run_fresh(_LAUNCHER, *launcher, *words, layer=layer, environment=_environment(environment))


def launch_for_real(launcher: list[str], *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Launch a script as a user does."""
    variables = {**os.environ, **_environment(environment)}
    command = [str(Path(sys.executable).parent / launcher[0]), *launcher[1:], *words]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=300,
    )
