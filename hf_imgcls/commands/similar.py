"""find the nearest images by their features"""

import argparse
import contextlib
import sys
from pathlib import Path

from hf_imgcls.commands.predict import add_limits, chosen_limits

ANY_WORD = True  # words after an option are images, not overrides


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("embeddings", type=Path, help="a .parquet file that hf-imgcls embed has written")
    # Named `overrides` because command_line.py adds the words after an option to it.
    parser.add_argument(
        "overrides", nargs="+", metavar="IMAGE", help="names of images in that file; others, folders, 'patterns*', URLs"
    )
    parser.add_argument("--top-k", type=int, default=5, help="images for each one (default: 5)")
    parser.add_argument("--output", type=Path, help="a new .csv, .json or .html file, the last with the images")
    parser.add_argument("--model", help="where the model of the features is now (default: where it was)")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import SimilarOptions, find_similar
    from hf_imgcls.reports import describe_neighbours, neighbour_csv
    from hf_imgcls.words import clean

    device = (options.device, options.trust_remote_code)
    how = SimilarOptions(options.top_k, options.model, *device, chosen_limits(options))
    found = find_similar(options.embeddings, options.overrides, options.output, how)
    lines = describe_neighbours(found) if sys.stdout.isatty() else neighbour_csv(found).splitlines()
    for line in lines:
        print(clean(line))
    if options.output:
        with contextlib.suppress(OSError):  # nobody reads it: it is written
            print(clean(f"similar: in {options.output}"), file=sys.stderr)
