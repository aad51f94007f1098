"""hf-imgcls demo"""

import argparse

from hf_imgcls.errors import InputError

HELP = "a page in the browser: drop an image, see its labels"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: for others too (default: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--top-k", type=int, default=5, help="labels per image (default: 5)")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator, where there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that a model brings")
    parser.add_argument(
        "--examples", metavar="FOLDER", help="images to offer (default: of a run, some it was scored on)"
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.serving import PredictOptions, serve_demo

    if options.overrides:
        raise InputError(f"demo: {options.overrides[0]} is no option; see hf-imgcls demo --help")
    how = PredictOptions(options.top_k, device=options.device, trust_remote_code=options.trust_remote_code)
    serve_demo(options.model, how, (options.host, options.port), options.examples)
