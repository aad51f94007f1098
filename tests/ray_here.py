"""A Ray of this machine whose workers are forks of a process that has imported everything: each would take 12 s.

What uses it is a fresh process too, as Ray changes the standard streams and the logging of the process it is opened in.
"""

import contextlib
import importlib.util
import io
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from hf_imgcls.serving import BlockPredictor
from hf_imgcls.serving.part_files import begin_block

_ROOT = Path(__file__).parents[1]
FEW_DIGITS = [
    "recipes/digits_resnet.json", "training.num_train_epochs=1",
    *(f"data.max_samples.{split}=40" for split in ("train", "validation", "test")),
]  # fmt: skip
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


def predict_and_train(model: str, images: list[str], output: str, folder: str) -> None:
    """With two processes: images predicted, one of the actors killed once; and digits trained by the example.

    Leaves `found.json` with the counts, what was printed and the results of the training.
    """
    from hf_imgcls.api import predict_on_ray
    from hf_imgcls.api.blocks_on_ray import RayOptions
    from hf_imgcls.serving import PredictOptions

    os.chdir(folder)
    with start_ray(2):
        streams = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
            mock.patch("hf_imgcls.api.blocks_on_ray.BlockPredictor", KilledOnce),
        ):
            counts = predict_on_ray(model, images, output, PredictOptions(batch_size=2), RayOptions(actors=2))
        os.chdir(_ROOT)
        spec = importlib.util.spec_from_file_location("ray_train", _ROOT / "examples/ray_train.py")
        spec.loader.exec_module(example := importlib.util.module_from_spec(spec))
        results = example.main(*FEW_DIGITS, f"training.output_dir={folder}/ray", "--workers", "2")
    found = {"counts": counts, "printed": [stream.getvalue() for stream in streams]}
    found |= {key: results[key] for key in ("processes", "scores")}
    Path(folder, "found.json").write_text(json.dumps(found))
