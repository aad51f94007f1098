"""What helps against imbalanced classes: a head on cached features of photos thinned to a long tail, macro-F1 on test.

Each way trains for the same steps on the same images. Three seeds draw which images are left, the head's first weights
and the order of the images; the checkpoint is the best by macro-F1 on validation. Validation and test are not thinned.
"""

import argparse
import contextlib
import dataclasses
import io
import statistics
import tempfile

import numpy as np
import torch

from hf_imgcls.data import Data, load_data
from hf_imgcls.data.long_tail import long_tail
from hf_imgcls.images import EvalTransform
from hf_imgcls.models import build_model
from hf_imgcls.recipe import load_recipe
from hf_imgcls.training.features import HeadOnFeatures, cached_features
from hf_imgcls.training.order import epoch_order
from hf_imgcls.training.solved_head import solve_head
from hf_imgcls.training.stages import plan_stages
from hf_imgcls.training.trainer import ImageTrainer

WAYS = {
    "nothing": [],
    "class_weights balanced": ["loss.class_weights=balanced"],
    "sampling.balance 0.5": ["sampling.balance=0.5"],
    "sampling.balance 1": ["sampling.balance=1"],
    "logit_adjustment 0.5": ["loss.logit_adjustment=0.5"],
    "logit_adjustment 1": ["loss.logit_adjustment=1"],
    "focal_gamma 2": ["loss.focal_gamma=2"],
    "focal_gamma 2, logit_adjustment 1": ["loss.focal_gamma=2", "loss.logit_adjustment=1"],
}


def recipe_of(options: argparse.Namespace, solved: bool, folder: str) -> dict:
    stage = {"train": "head", "cache_features": True, "logistic_regression": solved}
    training = {
        "output_dir": folder, "metric_for_best_model": "macro_f1", "num_train_epochs": options.epochs,
        "learning_rate": 3e-3, "lr_scheduler_type": "cosine", "warmup_steps": 0.1, "weight_decay": 0.05,
        "per_device_train_batch_size": 64, "per_device_eval_batch_size": 512, "disable_tqdm": True,
    }  # fmt: skip
    return {
        "data": {"path": options.data},
        "model": {"checkpoint": options.weights},
        "stages": [stage],
        "training": training,
    }


def measure(options: argparse.Namespace, data: Data, features: dict, way: list[str], solved: bool, seed: int):
    """Macro-F1 and accuracy on test."""
    rows = long_tail(np.array(data.splits["train"]["label"][:]), options.ratio, seed)
    thin = dataclasses.replace(data, splits={**data.splits, "train": data.splits["train"].select(rows)})
    splits = {**features, "train": features["train"].select(rows).with_format("torch")}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        recipe = load_recipe(recipe_of(options, solved, folder), [*way, f"training.seed={seed}"])
        model, scoring = network(recipe, data, seed)
        (plan,) = plan_stages(recipe, thin, model, scoring)
        trainer = ImageTrainer(
            HeadOnFeatures(model, plan.images.size),
            plan.arguments,
            train_dataset=splits["train"],
            eval_dataset=splits["validation"],
            images=plan.images,
            terms=plan.terms,
            order=epoch_order(plan, splits["train"]),
        )
        solve_head(trainer, {role: splits[role] for role in ("train", "validation")}, 1) if solved else trainer.train()
        metrics = trainer.score(splits["test"], "test")[1]
    return metrics["test_macro_f1"], metrics["test_accuracy"]


def network(recipe, data: Data, seed: int):
    model, processor = build_model(recipe.model, data.labels, seed)
    return model, EvalTransform(processor, [model.config.label2id[name] for name in data.labels])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder with train, validation and test")
    parser.add_argument("--weights", required=True, help="a pretrained network")
    parser.add_argument("--ratio", type=float, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    recipe = load_recipe(recipe_of(options, False, "none"))
    data = load_data(recipe.data)
    model, scoring = network(recipe, data, 1)
    (plan,) = plan_stages(recipe, data, model, scoring)
    features = {
        role: cached_features(model, rows, scoring, data.fingerprints[role], plan.arguments)
        for role, rows in data.splits.items()
    }
    labels = np.array(data.splits["train"]["label"][:])
    counts = np.bincount(labels[long_tail(labels, options.ratio, options.seeds[0])])
    print(f"{options.ratio:g}:1, images of the classes: {sorted(counts.tolist(), reverse=True)}", flush=True)
    for solved in (False, True):
        print(f"\n{'solved' if solved else 'trained'} head: macro-F1, accuracy on test (mean and sample deviation)")
        for name, way in WAYS.items():
            if solved and ("sampling" in name or "focal" in name):
                continue
            found = [measure(options, data, features, way, solved, seed) for seed in options.seeds]
            columns = [
                f"{statistics.mean(each):.4f} ± {statistics.stdev(each):.4f}" for each in zip(*found, strict=True)
            ]
            print(f"{name:35}{'   '.join(columns)}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
