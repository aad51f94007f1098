"""How long `hf-imgcls check` takes to report a misspelt key, against importing Trainer.

    python benchmarks/check_start.py --rounds 5

All in turn, each in a process of its own; seconds of the clock, and of the CPU (which other work on the machine does
not change). The first round, which fills the cache and the page cache, is shown apart.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

SIDES = {
    "a misspelt key": [
        sys.executable,
        "-m",
        "hf_imgcls",
        "check",
        "recipes/digits_resnet.json",
        "training.learning_rat=1",
    ],
    "from transformers import Trainer": [sys.executable, "-c", "from transformers import Trainer"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Of the clock and of the CPU."""
    begun, used = time.perf_counter(), sum(os.times()[2:4])
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begun, sum(os.times()[2:4]) - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    took: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(options.rounds + 1):
            for side, command in SIDES.items():
                clock, cpu = seconds(command, {**os.environ, "HF_DATASETS_CACHE": cache})
                print(f"round {number}, {side}: {clock:.2f} s, {cpu:.2f} s of the CPU", flush=True)
                if number:
                    took[side].append((clock, cpu))
    print(f"\nmedians of rounds 1 to {options.rounds}")
    for side, each in took.items():
        clock, cpu = (statistics.median(times) for times in zip(*each, strict=True))
        print(f"{side}: {clock:.3f} s, {cpu:.3f} s of the CPU")


if __name__ == "__main__":
    main()
