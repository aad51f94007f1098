"""find and train the best classifier for a folder of images"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="class folders, a table, an archive or a Hub dataset, as data.path of a recipe")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="data.label_column=kind ..."
    )
    parser.add_argument("--checkpoint", nargs="+", action="extend", metavar="NAME", help="networks to compare")
    parser.add_argument("--preset", default="default", help="fast, default or best: which networks, and how far")
    parser.add_argument("--minutes", type=float, help="begin nothing that would take longer than this")
    parser.add_argument("--output", type=Path, help="run folder (default: runs/<name of the folder>)")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import FitOptions, fit_folder

    how = FitOptions(options.checkpoint or (), options.preset, options.minutes, options.output)
    fit_folder(options.folder, how, options.overrides)
