"""score a saved folder or Hub model on a dataset"""

import argparse
from pathlib import Path

from hf_imgcls.commands.predict import TTA


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("data", help="anything that data.path can be")
    parser.add_argument(
        "overrides",
        nargs="*",
        default=(),
        metavar="section.key=value",
        help="data.label_column=kind ..., with --set-thresholds rejection.by=score ...",
    )
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--tta", metavar="VIEWS", default=(), help=TTA)
    parser.add_argument(
        "--set-thresholds",
        action="store_true",
        help="set them on this split (default: validation) and save them in the model's folder",
    )
    parser.add_argument("--output", type=Path, help="a .json file for all of it, or a folder for plots and report too")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import evaluate_classifier

    how = (options.split, options.overrides, options.batch_size)
    more = {"tta": options.tta, "output": options.output, "set_thresholds": options.set_thresholds}
    evaluate_classifier(options.model, options.data, *how, **more)
