"""What lies in an exported folder, and how it comes to its place: whole, or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.machine import package_versions
from hf_imgcls.serving.classifier import activation
from hf_imgcls.serving.onnx.graph import OPSET, quantize, quiet, write_onnx
from hf_imgcls.serving.onnx.pixels import describe_pixels, usage
from hf_imgcls.serving.onnx.session import CONFIG, EXPORT, INPUT, MODEL, OUTPUT, digest, is_exported
from hf_imgcls.store import read_json, write_json

INT8, PREPROCESSING, CARD = "int8", "preprocessing.json", "README.md"
_OF_A_PLACE = ("_name_or_path", "auto_map")  # the network's code is in the graph


def check_target(target: Path) -> None:
    """
    Raises:
        InputError: the folder holds what would be lost: anything but an earlier export as it was written.
    """
    place = target.expanduser()
    if place.exists() and not place.is_dir():
        raise InputError(f"--output: {target} is a file")
    if not place.exists() or not any(place.iterdir()):
        return
    if not is_exported(str(place)):
        raise InputError(f"--output: {target} holds files that are no export; name another folder")
    foreign = _foreign(place)
    if foreign:
        raise InputError(f"--output: {foreign} is not of the export that lies there; move it, or name another folder")


def _foreign(folder: Path) -> Path | None:
    """What in the folder of an export, or of the one in it, is not as it was written."""
    try:
        known = {name: each["sha256"] for name, each in read_json(folder / EXPORT)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return folder / EXPORT
    for path in sorted(folder.iterdir()):
        if path.name == INT8 and is_exported(str(path)):
            foreign = _foreign(path)
            if foreign:
                return foreign
        elif path.name != EXPORT and (not path.is_file() or known.get(path.name) != digest(path)):
            return path
    return None


@contextlib.contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end; if anything goes wrong, nothing of it is left.

    Raises:
        InputError: it cannot be written, or the target has been taken meanwhile.
    """
    place = Path(os.path.realpath(target.expanduser()))
    draft = place.with_name(f".{place.name}.part-{os.getpid()}")
    made = [parent for parent in place.parents if not parent.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
        check_target(target)
        _put(draft, place)
        made = []
    except OSError as error:
        raise InputError(f"export: {target}: {' '.join(str(error).split())}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()


def _put(draft: Path, place: Path) -> None:
    aside = draft.with_name(f"{draft.name}.old")
    if place.exists():
        place.rename(aside)
    try:
        draft.rename(place)
    except BaseException:
        if aside.exists():
            aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def write_export(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write a network in float32 with its preprocessing; what is missing afterwards is `finish`.

    Args:
        about: goes into export.json.

    Raises:
        InputError: torch cannot translate the network, or its images have no fixed size.
    """
    size, config = input_size(processor), network.config
    write_onnx(network, size, folder / MODEL)
    settings = json.loads(config.to_json_string(use_diff=False))
    settings |= {"id2label": config.id2label, "label2id": config.label2id, "dtype": "float32"}  # timm leaves them out
    write_json(folder / CONFIG, {key: value for key, value in settings.items() if key not in _OF_A_PLACE})
    with quiet():  # timm's says that it is in config.json
        processor.save_pretrained(folder)
    pixels = describe_pixels(processor)
    write_json(
        folder / PREPROCESSING,
        {
            "input": INPUT, "layout": "NCHW", "dtype": "float32",
            "image": "first frame, turned as its EXIF orientation says, converted to RGB", **pixels,
            "output": OUTPUT, "activation": activation(config),
            "labels": [config.id2label[i] for i in range(config.num_labels)],
        },
    )  # fmt: skip
    _seal(folder, {**about, "precision": "float32", "opset": OPSET, "versions": _versions()})


def _versions() -> dict[str, str]:
    return package_versions() | {
        package: metadata.version(package) for package in ("onnx", "onnxscript", "onnxruntime")
    }


def write_int8(folder: Path) -> None:
    """Write the folder `int8` in that of an export: its dense layers in eight bits, all else the same."""
    small = folder / INT8
    small.mkdir()
    quantize(folder / MODEL, small / MODEL)
    about = read_json(folder / EXPORT)
    for name in about["files"]:
        if not name.startswith(MODEL):
            shutil.copy(folder / name, small / name)
    _seal(small, {**about, "precision": INT8})


def finish(folder: Path, checked: dict[str, Any], cost: dict[str, Any] | None) -> None:
    """Write down what was measured, and how to use the folder."""
    if cost:
        cost["bytes"] = {
            precision: sum(file.stat().st_size for file in place.glob(f"{MODEL}*"))
            for precision, place in (("float32", folder), (INT8, folder / INT8))
        }
    found = {"checked": checked, **({"cost_of_int8": cost} if cost else {})}
    for place in [folder, *([folder / INT8] if cost else [])]:
        about = read_json(place / EXPORT)
        about |= found if place == folder else {"cost_of_int8": cost}
        pixels = read_json(place / PREPROCESSING)
        (place / CARD).write_text(_card(about, pixels), encoding="utf-8")
        _seal(place, about)


def _card(about: dict[str, Any], pixels: dict[str, Any]) -> str:
    kind = "in float32" if about["precision"] == "float32" else "with dense layers in eight bits (dynamic)"
    lines = [
        f"# {about['model']} as ONNX",
        f"Opset {about['opset']}, {kind}; `{INPUT}` (any number of images, 3, {pixels['height']}, "
        f"{pixels['width']}) to `{OUTPUT}`, whose scores are "
        + {"none": "the logits themselves", "sigmoid": "their sigmoids"}.get(pixels["activation"], "their softmax")
        + ".",
        "In this folder, by onnxruntime alone:" if pixels["resize"] else "In this folder:",
        f"```python\n{usage(pixels)}\n```",
        "`hf-imgcls predict` takes this folder for a model. `preprocessing.json` says what happens to an image, "
        "`export.json` what was checked and with which versions.",
    ]
    if "checked" in about:
        checked = about["checked"]
        kind = checked["split"] or "made-up"
        lines.append(
            f"Checked with onnxruntime against the model on {checked['images']} {kind} images: top-1 agreement "
            f"{checked['top1_agreement']:.4f}, largest difference of a score {checked['largest_score_difference']:.1e}."
        )
    if "cost_of_int8" in about:
        cost = about["cost_of_int8"]
        shares = [
            f"{precision} {share:.4f} (95 % interval {low:.4f} to {high:.4f})"
            for (precision, share), (low, high) in zip(
                cost["accuracy"].items(), cost["accuracy_interval_95"].values(), strict=True
            )
        ]
        lines.append(f"Accuracy on {cost['images']} {cost['split']} images: {', '.join(shares)}.")
    return "\n\n".join(lines) + "\n"


def _seal(folder: Path, about: dict[str, Any]) -> None:
    """Write export.json, with the digests of the other files."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != EXPORT
    }
    write_json(folder / EXPORT, {**about, "files": files})
