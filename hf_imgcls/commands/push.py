"""put a finished run on the Hub, and read it back"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="its output_dir")
    parser.add_argument("--repo-id", metavar="OWNER/NAME", help="default: training.hub_model_id, or the name of RUN")
    parser.add_argument("--private", action="store_true", default=None, help="a new repository is private")
    extras = {
        "demo": "publish its demo too, as the Space OWNER/NAME-demo",
        "web": "publish a page that classifies in the browser too, as the static Space OWNER/NAME-web",
        "handler": "add handler.py, with which Inference Endpoints serve it with its thresholds and its own code",
    }
    for name, what in extras.items():
        parser.add_argument(f"--with-{name}", action="append_const", dest="extras", const=name, default=[], help=what)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import push_model

    push_model(options.folder, options.repo_id, options.private, options.extras)
