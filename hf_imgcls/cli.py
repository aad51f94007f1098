"""The command `hf-imgcls`: each subcommand imports what it needs when it runs, so that --help is instant."""

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0, 2 for something the user can mend (one line on standard error), 1 for a run whose result
        cannot be trusted.
    """
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    overrides = [word for word in left if "=" in word and not word.startswith("-")]
    if len(overrides) < len(left):
        parser.error(f"unknown option: {next(word for word in left if word not in overrides)}")
    options.overrides += overrides  # those behind an option, which argparse does not put with the others
    from hf_imgcls.recipe import InputError

    try:
        options.run(options)
    except InputError as error:
        # Out of a DataLoader's worker the error comes with that process's traceback before it.
        return _fail(str(error).strip().splitlines()[-1].removeprefix("hf_imgcls.recipe.InputError: "), 2)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on from the last checkpoint", 130)
    except RuntimeError as error:
        from hf_imgcls.models import RestoreError
        from hf_imgcls.parity import ParityError

        if not isinstance(error, RestoreError | ParityError):
            raise
        return _fail(str(error), 1)
    return 0


def _fail(line: str, status: int) -> int:
    # What the user can mend every process finds, and one says; anything else may have happened to this one alone.
    if status != 2 or os.environ.get("RANK", "0") == "0":
        print(f"hf-imgcls: {line}", file=sys.stderr, flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hf-imgcls", description="One recipe trains, scores, saves and serves an image classifier."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train, save, score and check the classifier of a recipe")
    train.add_argument("recipe", type=Path, help="a JSON file; recipes/ has examples")
    train.add_argument("overrides", nargs="*", metavar="section.key=value", help="training.learning_rate=1e-4 ...")
    train.add_argument("--start-over", action="store_true", help="move a run in the same folder aside, begin anew")
    train.set_defaults(run=_train)

    check = commands.add_parser("check", help="say whether a recipe is sound, without loading data or weights")
    check.add_argument("recipe", type=Path)
    check.add_argument("overrides", nargs="*", metavar="section.key=value")
    check.set_defaults(run=_check)

    evaluate = commands.add_parser("evaluate", help="score a saved folder or Hub model on a data set")
    evaluate.add_argument("model", help="a folder or a Hub id")
    evaluate.add_argument("data", help="whatever data.path may be")
    evaluate.add_argument("overrides", nargs="*", metavar="data.key=value", help="data.label_column=kind ...")
    evaluate.add_argument("--split", help="a split or slice (default: test)")
    evaluate.add_argument("--batch-size", type=int, default=32, help="pictures a step (default: 32)")
    evaluate.add_argument("--output", type=Path, help="write the figures to this JSON file")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _train(options: argparse.Namespace) -> None:
    from hf_imgcls.train import train_classifier

    train_classifier(options.recipe, options.overrides, options.start_over)


def _check(options: argparse.Namespace) -> None:
    from hf_imgcls.mixing import Mixing
    from hf_imgcls.models.configure import check_model
    from hf_imgcls.recipe import load_recipe
    from hf_imgcls.recipe_schema import stages_of
    from hf_imgcls.sources import check_path
    from hf_imgcls.stages import check_features, located
    from hf_imgcls.transforms import build_transforms

    recipe = load_recipe(options.recipe, options.overrides)
    check_path(recipe.data)
    check_model(recipe.model)
    side = recipe.model.image_size or 224
    for stage in stages_of(recipe):
        with located(stage):
            build_transforms(stage.augmentation.train, (side, side))
            Mixing(stage.augmentation.mix, 2)
            check_features(stage, (side, side))
    print(f"{options.recipe}: sound")


def _evaluate(options: argparse.Namespace) -> None:
    from hf_imgcls.processes import say
    from hf_imgcls.report import describe_scores
    from hf_imgcls.runs import write_json
    from hf_imgcls.score import evaluate_classifier

    result = evaluate_classifier(options.model, options.data, options.split, options.overrides, options.batch_size)
    for line in [*result["notes"], *describe_scores({result["split"]: result["scores"]})]:
        say(line)
    if options.output:
        write_json(options.output, result)


if __name__ == "__main__":
    sys.exit(main())
