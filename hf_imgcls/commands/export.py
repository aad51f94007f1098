"""write a classifier for other engines, checked against it"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument("overrides", nargs="*", default=(), metavar="data.key=value", help="data.label_column=kind ...")
    parser.add_argument("--format", default="onnx", help="onnx (default), openvino, triton or web")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="a new folder (default: MODEL-FORMAT)")
    parser.add_argument("--quantize", action="store_true", help="write an int8 version too, and measure its accuracy")
    parser.add_argument("--data", help="dataset to check it on, as data.path (default: the run's own)")
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import ExportOptions, export_model

    export_options = ExportOptions(
        options.quantize, options.trust_remote_code, options.data, options.split, options.overrides, options.format
    )
    export_model(options.model, options.output, export_options)
