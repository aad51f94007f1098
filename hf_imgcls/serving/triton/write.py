"""Writing a model as a folder that Triton Inference Server serves, and opening it to check it and to predict."""

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.serving.export.folder import write_manifest
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.onnx.pixels import code_of_prepare
from hf_imgcls.serving.onnx.readme import README, describe_checked
from hf_imgcls.serving.onnx.session import MODEL, open_onnx
from hf_imgcls.serving.onnx.write import PREPROCESSING, exporter_versions, write_onnx, write_settings
from hf_imgcls.serving.triton import client
from hf_imgcls.serving.triton.config import CONFIG, LABELS, MAX_BATCH, check_config, config_text
from hf_imgcls.store import read_json, write_json
from hf_imgcls.words import escaped

OPSET = 18  # torch's own; Triton's onnxruntime is older than the one of this package, and has no Attention of opset 23
VERSION = "1"  # the folder of a model's version
_CONTAINER = "nvcr.io/nvidia/tritonserver:25.12-py3"
_IMPORT = "from hf_imgcls.serving.onnx.pixels import prepare\n"
_WITH_PROCESSOR = '''\
def prepare(image: Image.Image, about: dict) -> np.ndarray:
    """Pixels of an RGB image by the model's own image processor, shape (3, height, width)."""
    return PROCESSOR(image, return_tensors="pt")["pixel_values"][0].numpy()


PROCESSOR = AutoImageProcessor.from_pretrained(Path(__file__).parent)
'''
_README = """\
# {model} for Triton Inference Server

This folder is a model repository with one model, `{name}`: ONNX, opset {opset}, in float32, for onnxruntime 1.18 or
later (Triton 24.05 or later). In it, on a machine with Docker:

```console
docker run --rm -p 8000:8000 -v "$PWD:/models:ro" {container} tritonserver --model-repository=/models
python client.py photo.jpg
```

`--gpus all` before the name of the container gives it the GPUs. `client.py` needs {packages}; it does what
`preprocessing.json` says to an image, and turns the logits into labels and scores as `hf-imgcls predict` does.

Requests that come at the same time are computed together, up to {batch} images (`max_batch_size` and
`dynamic_batching` in `{name}/config.pbtxt`; the graph takes any number). `hf-imgcls predict` accepts this folder as a
model, and checks `config.pbtxt` against the graph each time that it opens it.
"""


def write_triton(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write a network in float32 as a model repository of one model; `write_triton_readme` completes the folder.

    Args:
        about: goes into export.json.
    """
    size, config = input_size(processor), network.config
    name = served_name(about["model"])
    place = folder / name
    (place / VERSION).mkdir(parents=True)
    write_onnx(network, size, place / VERSION / MODEL, OPSET)
    (place / CONFIG).write_text(config_text(name, size, config.num_labels), encoding="utf-8")
    lines = [escaped(config.id2label[i]) for i in range(config.num_labels)]
    (place / LABELS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_settings(folder, config, processor)
    pixels = read_json(folder / PREPROCESSING) | {"triton_model": name}
    write_json(folder / PREPROCESSING, pixels)
    (folder / "client.py").write_text(client_code(pixels), encoding="utf-8")
    write_manifest(folder, {**about, "precision": "float32", "opset": OPSET, "versions": exporter_versions()})


def served_name(model: str) -> str:
    """A model's name on the server, as it may stand in an address."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", model).strip("._-") or "model"


def client_code(about: dict[str, Any]) -> str:
    """The code of the client without this package."""
    code = inspect.getsource(client)
    if about["resize"]:
        return code.replace(f"\n{_IMPORT}", f"\n\n{code_of_prepare()}")
    return code.replace(_IMPORT, f"from transformers import AutoImageProcessor\n\n\n{_WITH_PROCESSOR}")


def write_triton_readme(folder: Path, about: dict[str, Any]) -> None:
    """Write how to start the server, and what export.json says about the check."""
    pixels = read_json(folder / PREPROCESSING)
    packages = "numpy and Pillow alone" if pixels["resize"] else "numpy, Pillow, torch and transformers"
    words = {"model": about["model"], "name": pixels["triton_model"], "opset": about["opset"], "packages": packages}
    text = _README.format(**words, container=_CONTAINER, batch=MAX_BATCH)
    checked = f"\n{describe_checked(about['checked'])}\n" if "checked" in about else ""
    (folder / README).write_text(text + checked, encoding="utf-8")


def open_triton(name: str, device: torch.device | str = "cpu") -> Classifier:
    """Open an exported model repository with onnxruntime, once its config.pbtxt is found to fit its graph."""
    places = sorted(Path(name).expanduser().glob(f"*/{CONFIG}"))
    if len(places) != 1:
        raise InputError(f"model {name!r}: {len(places)} folders with a {CONFIG}, expected one; export the model again")
    place = places[0].parent
    return open_onnx(name, device, f"{place.name}/{VERSION}/{MODEL}", partial(check_config, place))
