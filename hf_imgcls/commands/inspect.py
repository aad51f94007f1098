"""say what a dataset holds and what is wrong with it"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a recipe, a folder of images, or anything else that data.path can be")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="data.label_column=kind ..."
    )
    parser.add_argument("--output", type=Path, help="a new .json or .csv file, or a new folder, with plots")
    parser.add_argument("--labels", action="store_true", help="rank labels by how probably they are wrong")
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        action="extend",
        metavar="NAME",
        default=[],
        help="networks for --labels, and --labels",
    )
    parser.add_argument("--strict", action="store_true", help="exit status 1 where anything is wrong")
    parser.add_argument(
        "--allow", nargs="+", action="extend", metavar="KIND", default=[], help="findings that --strict does not count"
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import InspectOptions, inspect_data

    look_at = (options.labels, tuple(options.checkpoint))
    how = InspectOptions(options.output, *look_at, options.strict, tuple(options.allow))
    inspect_data(options.source, options.overrides, how)
