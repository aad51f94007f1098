"""Who writes a run at this moment, asked without touching its lock."""

import platform
import time
from pathlib import Path

import psutil

from hf_imgcls.store.files import read_json


def writer_of(lock: Path) -> str:
    """The process that a lock's file names, if it still runs; empty otherwise. On another machine it may have ended."""
    try:
        facts = read_json(lock)
        pid, host, since = int(facts["pid"]), facts["host"], time.strptime(facts["since"], "%Y-%m-%d %H:%M:%S")
        if host != platform.node():
            return f"process {pid} on {host}, if that has not ended"
        began = psutil.Process(pid).create_time()
    except (psutil.Error, OSError, KeyError, TypeError, ValueError, OverflowError):
        return ""
    return f"process {pid}" if began < time.mktime(since) + 1 else ""  # else another process has its number now
