"""A Ray of this machine whose workers are forks of a process that has imported everything: each would take 12 s."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from hf_imgcls.serving import BlockPredictor
from hf_imgcls.serving.part_files import begin_block

# What Ray runs for each worker, in place of its own setup_worker.py. Ray itself is imported by the fork, since it reads
# the environment then.
_SETUP = """
import json
import os
import sys
sys.path.insert(0, {tests!r})
from fresh import _ask
words, environment = [], dict(os.environ)
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    if name == "--serialized-runtime-env-context":
        environment.update(json.loads(value).get("env_vars") or {{}})
    elif name != "--language":
        words.append(word)
sys.exit(_ask("package", {worker!r}, ["-c", *words], environment, os.getcwd(), [0, 1, 2]))
"""
_WORKER = """
import sys
from fresh import run_file
from hf_imgcls.reports import figures
from undrawn import Plots
figures.import_plots = Plots
run_file(*sys.argv[1:])
"""


@contextlib.contextmanager
def start_ray(processes: int) -> Iterator[None]:
    """Ray for so many processes while inside; in this process it is open."""
    from hf_imgcls.machine import import_ray

    ray = import_ray()
    with tempfile.TemporaryDirectory() as place:
        setup = Path(place, "setup.py")
        setup.write_text(_SETUP.format(tests=str(Path(__file__).parent), worker=_WORKER))
        handler = signal.getsignal(signal.SIGTERM)
        with mock.patch("ray._private.ray_constants.SETUP_WORKER_FILENAME", str(setup)):
            ray.init(
                "local", num_cpus=processes, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False,
                logging_level="ERROR",
            )  # fmt: skip
        try:
            yield
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)


class KilledOnce(BlockPredictor):
    """The process that is the first to predict the second block is killed, as a system does that is out of memory."""

    def _predict(self, block):
        once = Path(self.work.current, "killed")
        if block.number == 1 and not once.exists():
            begin_block(self.work.folder, block)
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._predict(block)
