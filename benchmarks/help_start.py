"""How long `hf-imgcls --help` takes, against importing Trainer and against starting Python.

    python benchmarks/help_start.py --rounds 5

All three in turn, each in a process of its own; the clock runs around the process.
"""

import argparse
import statistics
import subprocess
import sys
import time

SIDES = {
    "hf-imgcls --help": [sys.executable, "-m", "hf_imgcls", "--help"],
    "from transformers import Trainer": [sys.executable, "-c", "from transformers import Trainer"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    took: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(options.rounds + 1):
        for side, command in SIDES.items():
            elapsed = seconds(command)
            if number:  # the first round fills the page cache
                took[side].append(elapsed)
                print(f"round {number}, {side}: {elapsed:.2f} s", flush=True)
    medians = [statistics.median(took[side]) for side in SIDES]
    print(f"\nmedians of {options.rounds} rounds")
    print(", ".join(f"{side} {median:.3f} s" for side, median in zip(SIDES, medians, strict=True)))
    print(f"importing Trainer takes {medians[1] / medians[0]:.0f} times as long as the help")


if __name__ == "__main__":
    main()
