"""A network as an ONNX file, and that file in eight bits."""

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

# The newest that torch's exporter speaks by itself; onnxruntime reads newer ones, but then a converter stands between.
OPSET = 23
# Dense layers. Convolutions become ConvInteger, which took 1.5 to 10 times the time of float32 wherever it was
# measured, and dynamic quantisation knows attention only as an older operator.
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
    """Write a network whose batch may have any size; above 2 GB its weights lie beside it, in `<file>.data`.

    Args:
        network: of transformers' kind, in eval mode, float32, its weights laid out contiguously.
        size: height and width of its input.

    Raises:
        InputError: torch cannot translate it; names the network and why.
    """
    try:
        with quiet(), torch.no_grad():
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
    except OSError:
        raise
    except Exception as error:  # torch.export, the translation and the optimiser raise their own kinds
        raise InputError(f"export: torch cannot turn {type(network).__name__} into ONNX: {_reason(error)}") from None


def quantize(file: Path, target: Path) -> None:
    """Write an ONNX file's dense layers with weights of eight bits, a scale for each output.

    The scales of their inputs are drawn from the images as they come (dynamic quantisation).
    """
    with quiet(), as_input_error("export: --quantize"):
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        model = onnx.load(file)
        # The shapes that torch has written down are those before dense layers are turned over.
        del model.graph.value_info[:]
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            reduce_range=True,  # seven bits used: eight overflow on CPUs without int8 dot products
            use_external_data_format=file.with_name(f"{file.name}.data").exists(),
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing of what libraries print, warn and log."""
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
        logging.root.handlers[:] = handlers  # the quantiser logs so that one is added


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of an exporter's error, which itself is a page."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
