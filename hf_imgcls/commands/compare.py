"""compare scored runs on the same images"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folders of runs or of evaluate --output; each is compared with the first",
    )
    parser.add_argument("--split", help="a split that all have scored (default: test, else validation)")
    parser.add_argument("--common", action="store_true", help="compare the images that all have, where some have more")
    parser.add_argument("--output", type=Path, help="a new .json, .csv or .html file, or a new folder with all three")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import compare_runs

    compare_runs(options.runs, options.split, options.output, common=options.common)
