"""a page in the browser: drop an image, see its labels"""

import argparse

from hf_imgcls.commands.predict import add_limits, chosen_limits


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: for other machines too (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--top-k", type=int, default=5, help="labels per image (default: 5)")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    parser.add_argument("--examples", metavar="FOLDER", help="example images (default: a run's validation images)")
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.serving import PredictOptions, serve_demo

    how = PredictOptions(
        options.top_k,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        limits=chosen_limits(options),
    )
    serve_demo(options.model, how, (options.host, options.port), options.examples)
