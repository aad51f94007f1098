"""write the features of images to a Parquet file"""

import argparse
import contextlib
import sys
from pathlib import Path

from hf_imgcls.commands.predict import add_limits, chosen_limits

ANY_WORD = True  # words after an option are images, not overrides


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    # Named `overrides` because command_line.py adds the words after an option to it.
    parser.add_argument(
        "overrides", nargs="+", metavar="IMAGE", help="files, folders, 'patterns*', URLs; -: a list on standard input"
    )
    parser.add_argument("--output", type=Path, required=True, help="a .parquet file; images in it are skipped")
    parser.add_argument("--batch-size", type=int, help="default: 4 on a CPU, else 64")
    parser.add_argument("--half", action="store_true", help="in half precision, on a GPU")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import EmbedOptions, describe_counts, embed_images
    from hf_imgcls.machine import on_main
    from hf_imgcls.words import clean

    device = (options.device, options.trust_remote_code, options.half)
    how = EmbedOptions(options.batch_size, *device, chosen_limits(options))
    counts = embed_images(options.model, options.overrides, options.output, how)
    line = describe_counts(counts, options.output, "embedded")
    with contextlib.suppress(OSError):  # nobody reads it: the rows are written
        on_main(lambda: print(clean(line), file=sys.stderr, flush=True))
