"""The command `hf-imgcls`: each subcommand imports what it needs when it runs, so that --help is instant."""

import argparse
import atexit
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0, 2 for something the user can mend (one line on standard error), 1 for a run whose result
        cannot be trusted, 3 for a run that is complete on this machine but not on the Hub.
    """
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    wanted = [word for word in left if "=" in word or options.any_word]
    overrides = [word for word in wanted if word == "-" or not word.startswith("-")]
    if len(overrides) < len(left):
        parser.error(f"unknown option: {next(word for word in left if word not in overrides)}")
    options.overrides += overrides  # those behind an option, which argparse does not put with the others
    status = _run(options)
    _leave(status)
    return status


def _run(options: argparse.Namespace) -> int:
    from hf_imgcls.recipe import InputError

    try:
        options.run(options)
    except InputError as error:
        # Out of a DataLoader's worker the error comes with that process's traceback before it.
        return _fail(str(error).strip().splitlines()[-1].removeprefix("hf_imgcls.recipe.InputError: "), 2)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on where it was, as far as it had saved", 130)
    except RuntimeError as error:
        from hf_imgcls.hub import PushError
        from hf_imgcls.models import RestoreError
        from hf_imgcls.parity import ParityError

        if not isinstance(error, RestoreError | ParityError | PushError):
            raise
        return _fail(str(error), 3 if isinstance(error, PushError) else 1)
    return 0


def _leave(status: int) -> None:
    """End this process here and now, if it is one of several.

    Now and then one aborts otherwise (once in 50 launches of torch alone), when the threads of its connections are
    taken down with the interpreter; the launcher then kills the others, and a run that is complete counts as failed.
    """
    torch = sys.modules.get("torch")
    if torch and torch.distributed.is_available() and torch.distributed.is_initialized():
        atexit._run_exitfuncs()  # what others have to finish, such as a tracker of experiments
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _fail(line: str, status: int) -> int:
    # What the user can mend every process finds, and one says; anything else may have happened to this one alone.
    if status != 2 or os.environ.get("RANK", "0") == "0":
        print(f"hf-imgcls: {line}", file=sys.stderr, flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hf-imgcls", description="One recipe trains, scores, saves and serves an image classifier."
    )
    parser.set_defaults(any_word=False, overrides=[])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train, save, score and check the classifier of a recipe"))
    _add_check(commands.add_parser("check", help="say whether a recipe is sound, without loading data or weights"))
    _add_benchmark(commands.add_parser("benchmark", help="measure a recipe's data path, its model, and both"))
    _add_evaluate(commands.add_parser("evaluate", help="score a saved folder or Hub model on a data set"))
    _add_push(commands.add_parser("push", help="put a finished run on the Hub, and read it back"))
    _add_predict(commands.add_parser("predict", help="predict pictures with any image classifier"))
    _add_demo(commands.add_parser("demo", help="a page in the browser: drop a picture, see its labels"))
    _add_export(commands.add_parser("export", help="write any image classifier as ONNX, checked against the model"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a JSON file; recipes/ has examples")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="training.learning_rate=1e-4 ...")
    parser.add_argument("--start-over", action="store_true", help="move a run in the same folder aside, begin anew")
    parser.set_defaults(run=_train)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.set_defaults(run=_check)


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--steps", type=int, default=30, help="steps that each is measured over (default: 30)")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.set_defaults(run=_benchmark)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("data", help="whatever data.path may be")
    parser.add_argument("overrides", nargs="*", metavar="data.key=value", help="data.label_column=kind ...")
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures a step (default: 32)")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.set_defaults(run=_evaluate)


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="its output_dir")
    parser.add_argument("--repo-id", metavar="OWNER/NAME", help="default: training.hub_model_id, or the name of RUN")
    parser.add_argument("--private", action="store_true", default=None, help="a new repository is private")
    parser.add_argument("--with-demo", action="store_true", help="put its page up too, as the Space OWNER/NAME-demo")
    parser.set_defaults(run=_push)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    # Named as what else may stand behind an option.
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="PICTURE",
        help="files, folders, 'patterns*', http(s) addresses; - is a list of them on standard input",
    )
    parser.add_argument(
        "--output", type=Path, help="a .csv, .jsonl or .parquet file; what it has already is not done again"
    )
    parser.add_argument("--top-k", type=int, default=5, help="labels a picture (default: 5)")
    parser.add_argument("--batch-size", type=int, help="pictures a step (default: 4 on a CPU, else 64)")
    parser.add_argument("--half", action="store_true", help="in half precision, on a GPU")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator, where there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that a model brings")
    parser.set_defaults(run=_predict, any_word=True)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: for others too (default: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--top-k", type=int, default=5, help="labels a picture (default: 5)")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator, where there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that a model brings")
    parser.add_argument(
        "--examples", metavar="FOLDER", help="pictures to offer (default: of a run, some it was scored on)"
    )
    parser.set_defaults(run=_demo)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument("overrides", nargs="*", metavar="data.key=value", help="data.label_column=kind ...")
    parser.add_argument("--format", choices=["onnx"], default="onnx", help="default: onnx")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="a new folder (default: MODEL-onnx)")
    parser.add_argument("--quantize", action="store_true", help="in int8 as well, with the accuracy that it costs")
    parser.add_argument("--data", help="check it on this, whatever data.path may be (default: a run's own)")
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that a model brings")
    parser.set_defaults(run=_export)


def _train(options: argparse.Namespace) -> None:
    from hf_imgcls.train import train_classifier

    train_classifier(options.recipe, options.overrides, options.start_over)


def _check(options: argparse.Namespace) -> None:
    from hf_imgcls.augmentation import build_transforms
    from hf_imgcls.mixing import Mixing
    from hf_imgcls.models.configure import check_model
    from hf_imgcls.recipe import load_recipe
    from hf_imgcls.recipe_schema import stages_of
    from hf_imgcls.sources import check_path
    from hf_imgcls.stages import check_features, naming_stage

    recipe = load_recipe(options.recipe, options.overrides)
    check_path(recipe.data)
    check_model(recipe.model)
    side = recipe.model.image_size or 224
    for stage in stages_of(recipe):
        with naming_stage(stage):
            build_transforms(stage.augmentation.train, (side, side))
            Mixing(stage.augmentation.mix, 2)
            check_features(stage, (side, side))
    print(f"{options.recipe}: sound")


def _benchmark(options: argparse.Namespace) -> None:
    from hf_imgcls.benchmark import describe_measurement, measure_recipe
    from hf_imgcls.processes import on_main, say
    from hf_imgcls.runs import write_json

    found = measure_recipe(options.recipe, options.overrides, options.steps)
    for line in describe_measurement(found):
        say(line)
    if options.output:
        on_main(lambda: write_json(options.output, found))


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


def _push(options: argparse.Namespace) -> None:
    from hf_imgcls.push import push_saved
    from hf_imgcls.recipe import InputError

    if options.overrides:
        raise InputError(f"push: {options.overrides[0]} is no option: a finished run is pushed as it is")
    push_saved(options.folder, options.repo_id, options.private, options.with_demo)


def _predict(options: argparse.Namespace) -> None:
    from hf_imgcls.predict import PredictOptions, describe_counts, predict_images
    from hf_imgcls.processes import on_main

    how = PredictOptions(options.top_k, options.batch_size, options.device, options.trust_remote_code, options.half)
    counts = predict_images(options.model, options.overrides, options.output, how)
    on_main(lambda: print(describe_counts(counts, options.output), file=sys.stderr))


def _demo(options: argparse.Namespace) -> None:
    from hf_imgcls.demo import serve_demo
    from hf_imgcls.predict import PredictOptions
    from hf_imgcls.recipe import InputError

    if options.overrides:
        raise InputError(f"demo: {options.overrides[0]} is no option; see hf-imgcls demo --help")
    how = PredictOptions(options.top_k, device=options.device, trust_remote_code=options.trust_remote_code)
    serve_demo(options.model, how, (options.host, options.port), options.examples)


def _export(options: argparse.Namespace) -> None:
    from hf_imgcls.export import ExportOptions, export_model

    what = ExportOptions(options.quantize, options.trust_remote_code, options.data, options.split, options.overrides)
    export_model(options.model, options.output, what)


if __name__ == "__main__":
    sys.exit(main())
