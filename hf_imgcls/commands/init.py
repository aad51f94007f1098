"""write a starting recipe for a folder of images, and why"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="class folders, a table, an archive or a Hub dataset, as data.path of a recipe")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="data.label_column=kind ..."
    )
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="where to write it (default: <name of the folder>.json)"
    )
    parser.add_argument("--checkpoint", metavar="NAME", help="the network, a Hub id or a folder")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import write_recipe

    write_recipe(options.folder, options.recipe, options.checkpoint, options.overrides)
