"""config.pbtxt of Triton Inference Server: written for a graph, and compared with it.

https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

import re
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.serving.onnx.session import INPUT, OUTPUT

CONFIG, LABELS = "config.pbtxt", "labels.txt"
MAX_BATCH = 16  # the largest batch that an export is checked in
_TYPES = {"TYPE_FP32": "tensor(float)"}  # of Triton, of onnxruntime
_CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}
input [
  {{
    name: "{input}"
    data_type: TYPE_FP32
    dims: [ 3, {height}, {width} ]
  }}
]
output [
  {{
    name: "{output}"
    data_type: TYPE_FP32
    dims: [ {labels} ]
    label_filename: "{label_file}"
  }}
]
dynamic_batching {{
  max_queue_delay_microseconds: 1000
}}
"""


def config_text(name: str, size: tuple[int, int], labels: int) -> str:
    """The content of config.pbtxt.

    Args:
        size: height and width of the input.
    """
    words = {"name": name, "batch": MAX_BATCH, "labels": labels, "label_file": LABELS}
    return _CONFIG.format(height=size[0], width=size[1], input=INPUT, output=OUTPUT, **words)


def check_config(folder: Path, session) -> None:
    """Compare config.pbtxt and the labels of a model's folder with the graph in it; it may have been edited by hand.

    Args:
        session: of onnxruntime, with the graph.

    Raises:
        InputError: a name, type, dimension, the batch size or the number of labels is not the graph's.
    """
    file = folder / CONFIG
    text = re.sub(r"#.*", "", file.read_text(encoding="utf-8"))
    batch = re.search(r"\bmax_batch_size\s*:\s*(\d+)", text)
    if not batch or int(batch[1]) < 1:
        raise InputError(f"{file}: max_batch_size must be 1 or more, since the graph takes batches; export again")
    if (name := _value(text, "name")) != folder.name:
        raise InputError(f"{file}: found the name {name!r}, but Triton wants that of its folder, {folder.name!r}")
    for kind, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
        stated = re.search(rf"\b{kind}\s*\[?\s*\{{(.*?)\}}", text, re.DOTALL)
        found = _tensor(stated[1]) if stated else "nothing"
        graph = [f"{each.name} {each.type} {each.shape[1:]}" for each in tensors if isinstance(each.shape[0], str)]
        if [found] != graph:
            raise InputError(f"{file}: {kind} is {found}, in the graph {' and '.join(graph)}; export the model again")
    lines = (folder / LABELS).read_text(encoding="utf-8").splitlines()
    if len(lines) != session.get_outputs()[0].shape[1]:
        raise InputError(f"{folder / LABELS}: {len(lines)} labels, in the graph {session.get_outputs()[0].shape[1]}")


def _tensor(text: str) -> str:
    """A tensor of config.pbtxt, written as those of a graph are."""
    dims = re.search(r"\bdims\s*:\s*\[([\d,\s]*)\]", text)
    kind = re.search(r"\bdata_type\s*:\s*(\w+)", text)
    sizes = [int(size) for size in re.findall(r"\d+", dims[1])] if dims else []
    return f"{_value(text, 'name')} {_TYPES.get(kind[1], kind[1]) if kind else None} {sizes}"


def _value(text: str, key: str) -> str | None:
    found = re.search(rf'\b{key}\s*:\s*"([^"]*)"', text)
    return found[1] if found else None
