"""average the weights of runs, or of a run's checkpoints"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folders of runs of one network, or checkpoints of a run"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="a new folder (default: <first run>-average)")
    parser.add_argument("--greedy", action="store_true", help="leave out what makes it worse on validation")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import average_models

    average_models(options.runs, options.output, options.greedy)
