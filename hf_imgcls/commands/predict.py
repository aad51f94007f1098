"""predict images with any image classifier"""

import argparse
import sys
from pathlib import Path

ANY_WORD = True  # words after an option are images, not overrides


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    # Named `overrides` because cli.py adds the words after an option to it.
    parser.add_argument(
        "overrides", nargs="+", metavar="IMAGE", help="files, folders, 'patterns*', URLs; -: a list on standard input"
    )
    parser.add_argument("--output", type=Path, help="a .csv, .jsonl or .parquet file; images in it are skipped")
    parser.add_argument("--top-k", type=int, default=5, help="labels per image (default: 5)")
    parser.add_argument("--batch-size", type=int, help="default: 4 on a CPU, else 64")
    parser.add_argument("--half", action="store_true", help="in half precision, on a GPU")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import describe_counts, predict_images
    from hf_imgcls.machine import on_main
    from hf_imgcls.serving import PredictOptions

    how = PredictOptions(options.top_k, options.batch_size, options.device, options.trust_remote_code, options.half)
    counts = predict_images(options.model, options.overrides, options.output, how)
    on_main(lambda: print(describe_counts(counts, options.output), file=sys.stderr))
