"""The Slurm script: a process for each task, and back into the queue when the time is over, with stubs for Slurm."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "recipes" / "launch" / "slurm.sh"
_STUBS = {
    "scontrol": 'echo "$*" >> calls\n[ "$1" != show ] || printf "node1\\nnode2\\n"',
    "srun": """
while [ "${1#--}" != "$1" ]; do shift; done
status=0
for task in 0 1; do SLURM_PROCID=$task SLURM_LOCALID=0 SLURM_NTASKS=2 SLURM_NNODES=2 "$@" || status=$?; done
exit $status""",
    "hf-imgcls": 'echo "$* $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT"\nexit $STATUS',
}


@pytest.mark.parametrize(("status", "requeued"), [(138, True), (0, False), (2, False), (143, False)])
def test_a_run_that_was_signalled_goes_back_into_the_queue(status, requeued, tmp_path):
    for name, content in _STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{content}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STATUS": str(status), "SLURM_JOB_ID": "70007"}
    environment["SLURM_JOB_NODELIST"] = "node[1-2]"
    words = ["bash", str(SCRIPT), "a recipe.json", "training.seed=3"]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.splitlines() == [
        f"train a recipe.json training.seed=3 {rank} 0 2 1 node1 30007" for rank in (0, 1)
    ]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["show hostnames node[1-2]", *(["requeue 70007"] * requeued)]
