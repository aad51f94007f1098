"""Exporting: any image classifier as a folder that runs without it, checked against the model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls import serving
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.machine import limit_progress_bars, say
from hf_imgcls.models import load_network
from hf_imgcls.scoring import NONE_OF_THESE, read_rejection
from hf_imgcls.serving import EXPORT, FORMATS, INT8, CheckImages, ExportFormat
from hf_imgcls.store import cache_in_use, read_json, try_place
from hf_imgcls.words import megabytes


class ExportOptions(NamedTuple):
    """How to export, and the images to check the export on."""

    quantize: bool = False  # write int8 as well
    trust_remote_code: bool = False  # whether code that comes with the model may be run
    data: str | None = None  # anything `data.path` may be; None: a run's own
    split: str | None = None  # a split or slice of it
    overrides: Sequence[str] = ()  # data.key=value
    format: str = "onnx"  # of the table FORMATS


_DEFAULTS = ExportOptions()


@cache_in_use()
def export_model(
    model: str, output: Path | None = None, options: ExportOptions = _DEFAULTS, tell: Callable[[str], None] = say
) -> Path:
    """Export a model with all that is needed to run it, and compare both on real images.

    Weights of half precision are exported, and compared, in float32. After an error the output is unchanged.

    Args:
        output: a new folder; `<model>-<format>` if None. With `quantize`, the folder `int8` in it is an export of its
            own.
        tell: is called with the lines about the export, of which the first names it.

    Raises:
        ParityError: the export does not reproduce the model's predictions.
    """
    limit_progress_bars()
    export_format, target = _format_and_target(model, output, options)
    with serving.silenced():
        network, processor = load_network(model, dtype="auto", trust_remote_code=options.trust_remote_code)
    images, calibration = _images(model, network.config, export_format, options)
    weights, int8 = str(network.dtype).removeprefix("torch."), None
    with serving.new_folder(target) as draft:
        about = {"format": options.format, "model": Path(model).expanduser().resolve().name, "weights": weights}
        export_format.write(draft, network.float(), processor, about)
        if (rejection := read_rejection(network.config.to_dict())) and rejection.by == "distance":
            say(f"export: it has no {NONE_OF_THESE}: a distance needs features, of which an export gives out none")
        del network
        with serving.silenced():  # the comparison loads the model anew, unchanged by the export
            network, processor = load_network(model, trust_remote_code=options.trust_remote_code)
        original = serving.as_classifier(model, network, processor)
        exported = export_format.open(str(draft), "cpu")
        checked = serving.check_export(original, exported, images, own_pixels=export_format.own_pixels)
        smaller = export_format.smaller(draft, exported, images) if export_format.smaller else None
        if options.quantize:
            export_format.quantize(draft, calibration)
            int8 = serving.measure_int8(exported, export_format.open(str(draft / INT8), "cpu"), images)
            int8["bytes"] = {"float32": _size(draft, export_format), INT8: _size(draft / INT8, export_format)}
        _record(draft, export_format, checked, int8)
    note = "" if weights == "float32" else f" (converted from {weights} to float32)"
    opset = read_json(target.expanduser() / EXPORT).get("opset")
    tell(f"exported: {target}, {f'opset {opset}, ' if opset else ''}{megabytes(_size(target, export_format))}{note}")
    tell(describe_check(checked, images))
    if smaller:
        tell(smaller)
    if int8:
        tell(_describe_int8(int8, target, kept=not export_format.calibrates))
    return target


def _format_and_target(model: str, output: Path | None, options: ExportOptions) -> tuple[ExportFormat, Path]:
    """The format, whose packages are there, and the folder to write, which can be made."""
    if options.format not in FORMATS:
        close = nearest(options.format, FORMATS)
        raise InputError(f"--format: found {options.format!r}, expected {' or '.join(FORMATS)}{close}")
    export_format = FORMATS[options.format]
    export_format.require()
    if serving.is_exported(model):
        raise InputError(f"export: {model} is an export already; name the model that it was made from")
    folder = Path(model).expanduser()
    target = output or (folder.parent if folder.is_dir() else Path()) / f"{folder.resolve().name}-{options.format}"
    serving.check_target(target)
    try_place(target.absolute().parent, "--output")
    return export_format, target


def _images(model: str, config, export_format: ExportFormat, options: ExportOptions) -> tuple[CheckImages, Any]:
    """The images that the export is checked on, and those that its int8 is calibrated on, or None."""
    source = (options.data, options.split, options.overrides)
    images = serving.evaluation_images(model, [config.id2label[i] for i in range(config.num_labels)], source)
    if not options.quantize:
        return images, None
    if export_format.quantize is None:
        raise InputError(f"export: --quantize is not available for {options.format}; leave it out")
    if images.labels is None:
        raise InputError(f"export: --quantize needs images with labels ({images.reason}); name some with --data")
    if images.labels.ndim == 2:
        raise InputError("export: --quantize measures what int8 costs with one label an image; leave it out")
    return images, serving.calibration_images(model, images, source) if export_format.calibrates else None


def _record(folder: Path, export_format: ExportFormat, checked: dict[str, Any], int8: dict[str, Any] | None) -> None:
    """Add what was measured to export.json and to the README, of the quantized export too."""
    found = {"cost_of_int8": int8} if int8 else {}
    for place in [folder, *([folder / INT8] if int8 else [])]:
        about = read_json(place / EXPORT) | found | ({"checked": checked} if place == folder else {})
        export_format.write_readme(place, about)
        serving.write_manifest(place, about)


def describe_check(checked: dict[str, Any], images: CheckImages) -> str:
    """The check in a line."""
    count = f"{checked['images']} of {checked['of']}" if checked["images"] < checked["of"] else checked["of"]
    kind = f"{checked['split']} images" if checked["split"] else f"synthetic images ({images.reason}; see --data)"
    sizes = checked["batch_sizes"]
    return (
        f"parity check passed: the export reproduces the model's predictions on {count} {kind}, in batches of "
        f"{sizes[0]} to {sizes[-1]} (top-1 agreement {checked['top1_agreement']:.4f}, max abs. logit difference "
        f"{checked['max_logit_difference']:.1e}, probability difference {checked['max_difference']:.1e})"
    )


def _describe_int8(int8: dict[str, Any], target: Path, kept: bool) -> str:
    """The cost of int8 in a line; `kept`: convolutions stay in float32."""
    accuracy = serving.describe_accuracy(int8)
    large = kept and int8["bytes"][INT8] > int8["bytes"]["float32"] / 2
    note = "; its convolutions stay in float32, which is faster" if large else ""
    return (
        f"int8: {target / INT8}, {megabytes(int8['bytes'][INT8])}{note}; accuracy {accuracy['int8']}, in float32 "
        f"{accuracy['float32']}, on {int8['images']} {int8['split']} images, "
        f"{int8['different_predictions']} of which it predicts differently"
    )


def _size(folder: Path, export_format: ExportFormat) -> int:
    return sum(file.stat().st_size for file in folder.expanduser().glob(export_format.files))
