"""A network as an ONNX file, and that file in int8."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from hf_imgcls.errors import InputError
from hf_imgcls.models import as_input_error
from hf_imgcls.serving.onnx.session import INPUT, OUTPUT, import_onnxruntime

# The newest that torch's exporter writes directly; for newer ones it runs a version converter on the result.
OPSET = 23
# Dense layers. Convolutions become ConvInteger, which took 1.5 to 10 times the time of float32 wherever it was
# measured, and dynamic quantization supports attention only as an older operator.
_QUANTIZED = ["MatMul", "Gemm"]


class _Logits(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=pixel_values).logits


def import_exporter() -> None:
    """
    Raises:
        InputError: a package that exporting needs is not installed.
    """
    import_onnxruntime()
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise InputError(f'export: {package} is not installed; pip install "hf-imgcls[onnx]"') from None


def write_onnx(network: nn.Module, size: tuple[int, int], file: Path) -> None:
    """Write a network for any batch size; weights of more than 2 GB go into `<file>.data`.

    Args:
        network: of transformers' kind, in eval mode, float32, its weights contiguous.
        size: height and width of its input.

    Raises:
        InputError: torch cannot translate it.
    """
    try:
        with silenced(), torch.no_grad():
            torch.onnx.export(
                _Logits(network).eval(),
                (torch.zeros(2, 3, *size),),
                str(file),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: "batch"}},
            )
    except torch.onnx.OnnxExporterError as error:  # whatever torch.export and the translation met is its cause
        cause = _cause(error)
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)):
            raise
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        reason = f"{type(cause).__name__}: {lines[0] if lines else ''}"[:300]
        raise InputError(f"export: torch cannot turn {type(network).__name__} into ONNX: {reason}") from None


def quantize(file: Path, target: Path) -> None:
    """Dynamic quantization: int8 weights of dense layers, with a scale per output channel."""
    with silenced(), as_input_error("export: --quantize"):
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        model = onnx.load(file)
        # torch has recorded the shapes of the dense layers before they are transposed.
        del model.graph.value_info[:]
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            reduce_range=True,  # to 7 bits: 8 overflow on CPUs without int8 dot products
            use_external_data_format=file.with_name(f"{file.name}.data").exists(),
        )


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress what libraries print, warn and log."""
    handlers, disabled = logging.root.handlers[:], logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers  # the quantizer's logging adds one


def _cause(error: BaseException) -> BaseException:
    """The innermost cause: the exporter's own message fills a page."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
