"""score a saved folder or Hub model on a dataset"""

import argparse
from pathlib import Path

from hf_imgcls.commands.predict import TTA


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("data", help="anything that data.path can be")
    parser.add_argument("overrides", nargs="*", default=(), metavar="data.key=value", help="data.label_column=kind ...")
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--tta", metavar="VIEWS", default=(), help=TTA)
    parser.add_argument("--output", type=Path, help="write all of it to a .json file, or to a folder, with plots")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import check_output, evaluate_classifier, save_evaluation
    from hf_imgcls.machine import on_main

    if options.output:
        check_output(options.output)
    how = (options.split, options.overrides, options.batch_size)
    result = evaluate_classifier(options.model, options.data, *how, tta=options.tta)
    if options.output:
        on_main(lambda: save_evaluation(result, options.output))
