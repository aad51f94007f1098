"""Commands in forked children of one process that has imported everything: a run starts in no time and can be killed.

Each child leads its own process group and has its own folder and caches; what it prints goes into `out.txt` there.
"""

import argparse
import atexit
import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TOKENIZERS_PARALLELISM": "false",
}
_POLL = 0.003  # seconds


def work_folder(description: str, *options: tuple[str, dict]) -> argparse.Namespace:
    """The options of a script, with `work`: a new folder for all that it writes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, help="where runs and caches are written (default: a temporary folder)")
    parser.add_argument("--only", default="", help="the trials whose names contain this")
    for name, settings in options:
        parser.add_argument(name, **settings)
    chosen = parser.parse_args()
    os.environ.update(SETTINGS)
    chosen.work = Path(tempfile.mkdtemp(dir=chosen.work)).resolve()
    os.environ["HF_HOME"] = str(chosen.work / "home")
    return chosen


def make_images(folder: Path, classes: int = 4, each: int = 80, side: int = 24) -> Path:
    """Noisy PNGs in class folders, learnt in a few epochs and not at once."""
    noise = np.random.default_rng(0)
    for label in range(classes):
        pattern = np.random.default_rng(100 + label).integers(0, 255, (side, side, 3))
        place = folder / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = np.clip(pattern + noise.normal(0, 70, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number:04d}.png")
    return folder


def import_all(arguments: Sequence[str], folder: Path) -> None:
    """Import what a command imports, which a child that runs it once finds out."""
    listed = folder / "modules.json"

    def note() -> None:
        atexit.register(lambda: listed.write_text(json.dumps(list(sys.modules))))

    folder.mkdir()
    pid = start(arguments, folder, before=note)
    if status := wait(pid):
        raise SystemExit(f"{' '.join(arguments)}: exit status {status}\n{printed(folder)}")
    for name in json.loads(listed.read_text()):
        if not name.startswith("transformers_modules"):
            with contextlib.suppress(ImportError, AttributeError):
                importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)


def start(
    arguments: Sequence[str],
    folder: Path,
    cache: Path | None = None,
    before: Callable[[], None] = lambda: None,
    environment: dict[str, str] | None = None,
) -> int:
    """Fork a child that runs a command in a folder; returns its process id.

    Args:
        cache: of datasets and of models' code (default: `cache` in the folder).
        before: what the child does first.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return pid
    status = 70
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(folder / "out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        os.chdir(folder)
        os.environ.update(environment or {})
        _use_cache(cache or folder / "cache")
        before()
        sys.argv = ["hf-imgcls", *arguments]
        status = importlib.import_module("hf_imgcls.cli").main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
            atexit._run_exitfuncs()
        os._exit(status)


def _use_cache(cache: Path) -> None:
    for name, module in list(sys.modules.items()):
        if name in ("datasets", "datasets.config"):
            place = getattr(module, "config", module)
            place.HF_DATASETS_CACHE, place.HF_CACHE_HOME = cache / "datasets", str(cache)
        elif name.startswith("transformers.") and "HF_MODULES_CACHE" in vars(module):
            module.HF_MODULES_CACHE = str(cache / "modules")
    os.environ.update(
        HF_HOME=str(cache), HF_DATASETS_CACHE=str(cache / "datasets"), HF_MODULES_CACHE=str(cache / "modules")
    )


def finished(pid: int) -> int | None:
    """A child's exit status (negative: the signal that ended it), or None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def wait(pid: int, seconds: float = 300) -> int | str:
    """A child's exit status, or "hangs" after so long; it is killed then."""
    return watch(pid, lambda: False, seconds)


def watch(pid: int, moment: Callable[[], bool], seconds: float = 300) -> int | str:
    """A child's exit status, or "killed" when the moment has come, or "hangs" after so long."""
    end = time.monotonic() + seconds
    while (status := finished(pid)) is None:
        late = time.monotonic() > end
        if late or moment():
            kill(pid)
            return "hangs" if late else "killed"
        time.sleep(_POLL)
    return status


def kill(pid: int) -> None:
    """SIGKILL a child and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def printed(folder: Path) -> str:
    file = folder / "out.txt"
    return file.read_text(errors="replace").replace("\r", "\n") if file.exists() else ""


def last_line(folder: Path) -> str:
    lines = [line for line in printed(folder).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def has_traceback(folder: Path) -> bool:
    return "Traceback (most recent call last)" in printed(folder)
