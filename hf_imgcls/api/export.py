"""Exporting: any image classifier as a folder that onnxruntime answers from, checked against the model.

load the network -> find real images -> write ONNX and what belongs to it -> ask both -> put it in its place
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hf_imgcls.errors import InputError
from hf_imgcls.machine import limit_progress_bars, say
from hf_imgcls.models import load_network
from hf_imgcls.serving import (
    INT8,
    MODEL,
    OPSET,
    Classifier,
    Images,
    check_export,
    check_target,
    cost_of_int8,
    draft_of,
    evaluation_images,
    finish,
    import_exporter,
    is_exported,
    open_exported,
    quiet,
    score_function,
    write_export,
    write_int8,
)
from hf_imgcls.words import megabytes


class ExportOptions(NamedTuple):
    """What to export besides the model, whether its code is trusted, and the images to check it on.

    Attributes:
        quantize: write it in eight bits as well.
        data: whatever `data.path` may be; of a run its own if not given.
        split: a split or slice of it.
        overrides: `data.key=value`.
    """

    quantize: bool = False
    trust_remote_code: bool = False
    data: str | None = None
    split: str | None = None
    overrides: Sequence[str] = ()


_USUAL = ExportOptions()


def export_model(model: str, output: Path | None = None, what: ExportOptions = _USUAL) -> Path:
    """Export a model as ONNX with all that is needed to ask it, and check it on real images.

    Weights of half precision are exported, and compared, in float32.

    Args:
        model: a folder or a Hub id, of any origin.
        output: a new folder, or an earlier export, which is replaced when this one has passed; `<model>-onnx` if not
            given. With `quantize`, the folder `int8` in it is an export of its own.

    Returns:
        The folder.

    Raises:
        InputError: the model cannot be opened or exported, the folder is taken, or images are missing that
            `quantize` needs. What was there is untouched.
        ParityError: the export does not answer as the model does. What was there is untouched.
    """
    limit_progress_bars()
    import_exporter()
    if is_exported(model):
        raise InputError(f"export: {model} is an export already; name the model that it was made of")
    folder = Path(model).expanduser()
    name = folder.resolve().name
    target = output or (folder.parent if folder.is_dir() else Path()) / f"{name}-onnx"
    check_target(target)
    with quiet():
        network, processor = load_network(model, dtype="auto", trust_remote_code=what.trust_remote_code)
    labels = [network.config.id2label[i] for i in range(network.config.num_labels)]
    images = evaluation_images(model, labels, (what.data, what.split, what.overrides))
    if what.quantize and images.labels is None:
        raise InputError(f"export: --quantize needs images with labels ({images.why}); name some with --data")
    weights, cost = str(network.dtype).removeprefix("torch."), None
    with draft_of(target) as draft:
        write_export(draft, network.float(), processor, {"model": name, "weights": weights})
        del network  # the model itself is asked, opened anew
        exported = open_exported(str(draft))
        checked = check_export(_open_exact(model, what.trust_remote_code), exported, images)
        if what.quantize:
            write_int8(draft)
            cost = cost_of_int8(exported, open_exported(str(draft / INT8)), images)
        finish(draft, checked, cost)
    said = "" if weights == "float32" else f"; its weights are {weights}, and were taken as float32"
    say(f"exported: {target}, opset {OPSET}, {_size(target)}{said}")
    say(describe_check(checked, images))
    if cost:
        say(_describe_cost(cost, target))
    return target


def _open_exact(model: str, trust_remote_code: bool) -> Classifier:
    """The model in float32, as torch computes it on the CPU."""
    with quiet():
        network, processor = load_network(model, trust_remote_code=trust_remote_code)

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(pixel_values=pixels).logits

    labels = [network.config.id2label[i] for i in range(network.config.num_labels)]
    return Classifier(model, labels, processor, logits, score_function(network.config))


def describe_check(checked: dict[str, Any], images: Images) -> str:
    """What was checked, in a line."""
    count = f"{checked['images']} of {checked['of']}" if checked["images"] < checked["of"] else checked["of"]
    kind = (
        f"{checked['split']} images" if checked["split"] else f"made-up images, --data names real ones ({images.why})"
    )
    sizes = checked["batch_sizes"]
    return (
        f"checked: onnxruntime answers as the model on {count} {kind}, in batches of {sizes[0]} to {sizes[-1]}: top-1 "
        f"agreement {checked['top1_agreement']:.4f}, largest difference of a logit "
        f"{checked['largest_logit_difference']:.1e}, of a score {checked['largest_score_difference']:.1e}"
    )


def _describe_cost(cost: dict[str, Any], target: Path) -> str:
    shares = {
        precision: f"{share:.4f} (95 % interval {low:.4f} to {high:.4f})"
        for (precision, share), (low, high) in zip(
            cost["accuracy"].items(), cost["accuracy_interval_95"].values(), strict=True
        )
    }
    large = cost["bytes"][INT8] > cost["bytes"]["float32"] / 2
    kept = "; its convolutions stay float32, in which they are faster" if large else ""
    return (
        f"int8: {target / INT8}, {_size(target / INT8)}{kept}; accuracy {shares['int8']}, in float32 "
        f"{shares['float32']}, on {cost['images']} {cost['split']} images, of which it answers "
        f"{cost['answered_differently']} differently"
    )


def _size(folder: Path) -> str:
    return megabytes(sum(file.stat().st_size for file in folder.expanduser().glob(f"{MODEL}*")))
