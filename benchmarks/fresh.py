"""A side of a benchmark in a process of its own: nothing imported yet, a cache of its own, no network."""

import os
import subprocess
import sys
from pathlib import Path


def run(code: str, *arguments: object, cache: Path) -> str:
    """What a script prints, which finds the arguments in `sys.argv[1:]`.

    Raises:
        RuntimeError: it failed; says what it wrote about it.
    """
    environment = {
        **os.environ,
        "HF_HOME": str(cache),
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
