"""Memory of this process and what is left for it, as a container limits it too."""

import contextlib
import ctypes
import gc
import re
import sys
import threading
import time
from pathlib import Path

import psutil
import torch
from accelerate.utils.memory import clear_device_cache

from hf_imgcls.errors import InputError

_EVERY = 0.002  # seconds between two looks: what a step keeps for its gradients lasts longer
# Limit, use, and what the use has of files that can be dropped: of control groups, version 2 and version 1.
_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process can still take: of the machine, and of its container where that has less."""
    free = psutil.virtual_memory().available
    for limit, use, droppable in _GROUPS:
        with contextlib.suppress(OSError, ValueError):  # there is no such group, or its limit is "max"
            stat = ((groups / limit).parent / "memory.stat").read_text()
            files = re.search(rf"^{droppable} (\d+)$", stat, re.MULTILINE)
            taken = int((groups / use).read_text()) - (int(files[1]) if files else 0)
            free = min(free, int((groups / limit).read_text()) - taken)
    return max(0, free)


def release_device(device: torch.device) -> None:
    """Give back what earlier trainings have left on a GPU: a trainer is one of a circle, which ends as garbage alone.

    torch frees what it keeps before it runs out of memory, but does not look for garbage.
    """
    if device.type != "cpu":
        clear_device_cache(garbage_collection=True)


def begin_peak() -> None:
    """From here on `device_peak` counts."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def device_peak() -> int:
    """Bytes of the GPU that tensors of this process have taken at most, since `begin_peak`; 0 without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


class PeakMemory:
    """Within it, the largest resident memory of this process is noted; `grown` are its bytes above the beginning.

    Raises:
        InputError: on a system other than Linux with glibc, which cannot give back what earlier work has left in the
            heap: in that, a step would find its memory without growing.
    """

    def __enter__(self) -> "PeakMemory":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        if trim is None:
            raise InputError(
                "find-batch-size: on this system the memory that a step on the CPU takes cannot be measured"
            )
        gc.collect()
        trim(0)
        self._process, self._ended = psutil.Process(), threading.Event()
        self._begun = self._most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._most = max(self._most, self._process.memory_info().rss)
            time.sleep(_EVERY)

    @property
    def grown(self) -> int:
        return self._most - self._begun
