"""predict images with any image classifier"""

import argparse
import contextlib
import sys
from pathlib import Path

TTA = "test-time augmentation, the mean over views: flip, crops or flip,crops (2, 5, 10 views; default: off)"
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
    parser.add_argument("--tta", metavar="VIEWS", default=(), help=TTA)
    parser.add_argument("--raw-csv", action="store_true", help="no ' before cells that a spreadsheet would run")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    add_limits(parser)


def add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-pixels", type=int, help="images of more are not read (default: 89,478,485)")
    parser.add_argument("--max-aspect-ratio", type=float, help="longer side / shorter side (default: 100)")


def chosen_limits(options: argparse.Namespace):
    """The limits of an image that were given, and the usual ones; an InputError where one is no limit."""
    from hf_imgcls.errors import InputError
    from hf_imgcls.images import Limits

    given = {key: getattr(options, key) for key in Limits._fields if getattr(options, key) is not None}
    for key, value in given.items():
        if not value >= 1:
            raise InputError(f"--{key.replace('_', '-')}: found {value}, expected 1 or more")
    return Limits(**given)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import describe_counts, predict_images
    from hf_imgcls.machine import on_main
    from hf_imgcls.serving import PredictOptions
    from hf_imgcls.words import clean

    device = (options.device, options.trust_remote_code, options.half)
    limits = chosen_limits(options)
    how = PredictOptions(options.top_k, options.batch_size, *device, limits, options.raw_csv, options.tta)
    counts = predict_images(options.model, options.overrides, options.output, how)
    with contextlib.suppress(OSError):  # nobody reads it: the rows are written
        on_main(lambda: print(clean(describe_counts(counts, options.output)), file=sys.stderr, flush=True))
