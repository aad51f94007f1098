"""`hf-imgcls fit` beside AutoGluon, fastai and the Hugging Face guide: the same photos, weights, threads and minutes.

    python benchmarks/fit/beside_others.py --data photos/clothing --weights weights/deit-tiny-patch16-224 \\
        --autogluon-python autogluon/bin/python --fastai-python fastai/bin/python

The folder has train, validation and test with class folders. One peer after the other, each a process of its own with
its own defaults, in an environment of its own: nothing is added to that of the project, which needs timm here. The
budget is wall time and covers imports and training; scoring the test images comes after it. Where the budget ends in
the middle, the weights of that moment are scored, or what the peer itself keeps. Each peer prints one line of JSON:

    accuracy, macro_f1                on test, by scikit-learn
    seconds, cpu_seconds              of the whole process, test included
    images, images_per_second         trained on, each as often as it was seen, in `fit_seconds`

On a machine that does other work compare the CPU seconds too: a peer that got less of a core had less time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = ("autogluon", "fastai", "guide", "ours")
_INSTALL = {
    "autogluon": "pip install autogluon.multimodal==1.6.3",
    "fastai": "pip install fastai timm scikit-learn",
}
_HERE = Path(__file__).parent


def run(peer: str, python: str, weights: Path, options: argparse.Namespace) -> dict:
    """The line of JSON of a peer, with its seconds; its own output goes to standard error."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as cache:
        environment |= {"HF_HOME": cache, "HF_DATASETS_CACHE": f"{cache}/datasets"}  # no features of earlier runs
        command = [python, str(_HERE / f"peer_{peer}.py"), str(options.data), str(weights), str(options.minutes), work]
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stderr.write(done.stdout)
    if done.returncode:
        raise SystemExit(f"{peer}: ended with status {done.returncode}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"peer": peer, "seconds": seconds, "cpu_seconds": cpu, **json.loads(done.stdout.splitlines()[-1])}


def show(results: list[dict]) -> None:
    print("\n| peer | wall s | CPU s | test accuracy | macro-F1 | images trained | per second | what |")
    print("|---|---|---|---|---|---|---|---|")
    for found in results:
        rate = found["images_per_second"]
        print(
            f"| {found['peer']} | {found['seconds']:.0f} | {found['cpu_seconds']:.0f} | {found['accuracy']:.4f} | "
            f"{found['macro_f1']:.4f} | {found['images']:,} | {f'{rate:.1f}' if rate else ''} | {found['note']} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, validation and test")
    parser.add_argument("--weights", type=Path, required=True, help="DeiT-tiny in the layout of transformers")
    parser.add_argument("--minutes", type=float, default=10, help="wall time of each peer (default: 10)")
    parser.add_argument("--threads", type=int, default=1, help="OMP_NUM_THREADS (default: 1)")
    parser.add_argument("--autogluon-python", metavar="PYTHON", help="an interpreter that has autogluon.multimodal")
    parser.add_argument("--fastai-python", metavar="PYTHON", help="an interpreter that has fastai, timm, scikit-learn")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="which, in which order")
    options = parser.parse_args()
    own = {"guide": sys.executable, "ours": sys.executable}
    pythons = {"autogluon": options.autogluon_python, "fastai": options.fastai_python, **own}
    results = []
    with tempfile.TemporaryDirectory() as timms:
        if any(pythons[peer] and peer not in own for peer in options.peers):
            subprocess.run([sys.executable, _HERE / "deit_for_timm.py", options.weights, timms], check=True)
        for peer in options.peers:
            if not pythons[peer]:
                print(f"{peer}: skipped; {_INSTALL[peer]} in an environment of its own, --{peer}-python names it")
                continue
            found = run(peer, pythons[peer], options.weights if peer in own else Path(timms), options)
            print(json.dumps(found), flush=True)
            results.append(found)
    show(results)


if __name__ == "__main__":
    main()
