"""Send signals to a run anywhere, once or more often, start it again, and compare with a run that got none.

    python benchmarks/reliability/signals.py --kind stages --workers 2 --trials 30

The moments are spread over the time of a run; each trial takes another signal, number of them and target: the process
alone, or its whole group with the workers, as a terminal and a batch system have it. Every trial must end with a status
of 128 + the signal, with a single line and no traceback, and its second run with the same result as the run without.
"""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import warm
from kills import begin, finish, set_up, trial
from outcome import differences, outcome

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def send(pids: list[int], number: int, group: bool) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(pid, number)


def signalled(folder: Path, recipe: Path, processes: int, after: float, gaps: list[float], how: tuple) -> list:
    """Exit statuses of a run that gets a signal after so many seconds, and more after the gaps."""
    number, group = how
    folder.mkdir()
    pids, begun = begin(folder, recipe, processes), time.monotonic()
    statuses = [None] * len(pids)
    for wait in [after, *gaps]:
        end = begun + after if wait is after else time.monotonic() + wait
        while time.monotonic() < end and None in statuses:
            statuses = [warm.finished(p) if s is None else s for p, s in zip(pids, statuses, strict=True)]
            time.sleep(0.002)
        send([p for p, s in zip(pids, statuses, strict=True) if s is None], number, group)
    return [warm.wait(p, 60) if s is None else s for p, s in zip(pids, statuses, strict=True)]


def main() -> None:
    options, recipe, processes = set_up(__doc__, "--trials")
    work = options.work
    begun = time.monotonic()
    trial(work / "whole", recipe, processes, lambda: False, 0)
    seconds, whole = time.monotonic() - begun, outcome(work / "whole" / "run")
    chance, bad = random.Random(1), 0
    for count in range(options.trials):
        number, group = _SIGNALS[count % len(_SIGNALS)], bool(count // 4 % 2)
        gaps = [chance.choice([0.0, 0.003, 0.05, 0.3]) for _ in range(count // 3 % 3)]
        after = seconds * (count + chance.random()) / options.trials
        folder = work / f"trial{count}"
        statuses = signalled(folder, recipe, processes, after, gaps, (number, group))
        lines = [line for line in warm.printed(folder).splitlines() if line.startswith("hf-imgcls: ")]
        faults = ["traceback"] if warm.has_traceback(folder) else []
        if any(statuses):
            faults += [f"statuses {statuses}"] if {*statuses} != {128 + number} else []
            faults += [f"{len(lines)} lines"] if len(lines) != 1 else []
        again = finish(begin(folder, recipe, processes)) if not (folder / "run/results.json").exists() else [0]
        faults += [f"second run {again}: {warm.last_line(folder)}"] if any(again) else []
        if not any(again):
            found = differences(whole, outcome(folder / "run"))
            faults += [f"other {part}" for part in found if not part.startswith("files")]
        bad += bool(faults)
        how = f"{number.name} x{1 + len(gaps)}{' to the group' if group else ''} after {after:.1f} s"
        print(f"{count}: {how}: {'; '.join(faults) or 'right'} | {lines[0][:150] if lines else ''}", flush=True)
    print(f"{options.trials} trials over {seconds:.1f} s, {bad} not right")


if __name__ == "__main__":
    main()
