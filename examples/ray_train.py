"""Train a recipe on a Ray cluster, or on this machine: a process for each worker, by Ray Train's TorchTrainer.

python examples/ray_train.py recipes/digits_resnet.json --workers 2 training.output_dir=/shared/runs/digits
"""

import argparse
import os
import sys

from hf_imgcls import InputError
from hf_imgcls.api import check_recipe


def train(config: dict) -> dict:
    """In each worker: Ray has joined their processes already, and the training takes them as it finds them."""
    from hf_imgcls import train_classifier

    os.chdir(config["folder"])  # of relative paths; Ray starts elsewhere
    results = train_classifier(config["recipe"], config["overrides"])
    return {"processes": results["processes"], "scores": results["scores"]}


def main(*words: str) -> dict:
    """Train; the number of processes and the scores.

    When a worker is lost, all begin again and resume from the last checkpoint in training.output_dir, on a drive that
    all machines share.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gpu", action="store_true", help="a GPU for each worker")
    parser.add_argument("--restarts", type=int, default=2, help="after a worker was lost (default: 2)")
    options = parser.parse_intermixed_args(words)
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_TRAIN_ENABLE_PRINT_PATCH="0")  # which prints each line twice
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    output = os.path.abspath(check_recipe(options.recipe, options.overrides).training.output_dir)
    trainer = TorchTrainer(
        train,
        train_loop_config={"recipe": options.recipe, "overrides": options.overrides, "folder": os.getcwd()},
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=options.gpu),
        run_config=RunConfig(
            storage_path=f"{os.path.dirname(output)}/.ray",  # of Ray's own records
            name=os.path.basename(output),
            failure_config=FailureConfig(max_failures=options.restarts),
        ),
    )
    return trainer.fit().return_value


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:]))
    except InputError as error:
        sys.exit(str(error))
