"""A finished run to the Hub: pushed once it is complete on disk, and read back as its users will load it."""

import os
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from accelerate import PartialState
from huggingface_hub import constants
from huggingface_hub.utils import HFValidationError, validate_repo_id
from PIL import Image
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy

from hf_imgcls.errors import InputError, PushError
from hf_imgcls.machine import on_main, say
from hf_imgcls.publishing.endpoint import handler_files
from hf_imgcls.publishing.hub import Target, as_push_error, download, make_repository, upload
from hf_imgcls.publishing.shareable import kept_adapter, shareable_files
from hf_imgcls.publishing.space import push_demo
from hf_imgcls.publishing.verify import first_images, open_pushed, synthetic_images
from hf_imgcls.publishing.web_space import push_web
from hf_imgcls.reports import CARD, prepare_card
from hf_imgcls.store import (
    PUSHED,
    RECIPE,
    RESULTS,
    Lock,
    check_weights,
    describe_if_several,
    lock_run,
    read_json,
    write_json,
)
from hf_imgcls.words import plural


def check_push(arguments: TrainingArguments) -> None:
    """Before anything is loaded: check that this machine may write the repository, and create it where there is none.

    An InputError is raised on every process, and names the override that trains without pushing.
    """
    if not arguments.push_to_hub:
        return
    if arguments.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
        raise InputError(
            f"training.hub_strategy: {arguments.hub_strategy.value} would push optimizer states; a run is pushed once, "
            "when it is complete: leave it out"
        )

    def check() -> None:
        try:
            make_repository(_target_of(arguments))
        except PushError as error:
            raise InputError(f"training.push_to_hub: {error}; or add training.push_to_hub=false") from None

    on_main(check)


def push_trained(folder: Path, arguments: TrainingArguments, data) -> None:
    """At the end of a run, if its recipe says so. The main process pushes; the others are done and do not wait."""
    if arguments.push_to_hub and PartialState().is_main_process:
        held_out = data.splits.get("validation", data.splits.get("test"))
        target = _target_of(arguments)
        if place := pushed_before(folder, target):
            say(f"pushed already: {place}")
        else:
            push_run(folder, target, first_images(held_out))


def pushed_before(folder: Path, target: Target) -> str | None:
    """Where a run has been pushed to already, if that is the target: the address and the commit."""
    try:
        record = read_json(folder / PUSHED)
    except (FileNotFoundError, ValueError):  # of a damaged one, nothing is known
        return None
    if [record.get(key) for key in ("endpoint", "revision")] != [constants.ENDPOINT, target.revision]:
        return None
    name = record["repository"]
    named = name if "/" in target.name else name.rpartition("/")[2]
    return f"{constants.ENDPOINT}/{name} has this run, commit {record['commit']}" if named == target.name else None


def _target_of(arguments: TrainingArguments) -> Target:
    name = arguments.hub_model_id or Path(arguments.output_dir).resolve().name
    return Target(name, arguments.hub_private_repo, arguments.hub_revision)


def push_saved(
    folder: Path,
    name: str | None = None,
    private: bool | None = None,
    extras: Collection[str] = (),
    make_web: Callable[[Path], object] | None = None,
) -> str:
    """Push the folder of a finished run; by default to the repository that its recipe names.

    Args:
        extras: of `push_run`; "web" needs `make_web`, which exports the run for browsers into a new folder.
    """
    if not (folder / RECIPE).is_file():
        what = describe_if_several(folder) or f"is not the folder of a run: it has no {RECIPE}"
        raise InputError(f"push: {folder} {what}")
    settings = read_json(folder / RECIPE).get("training", {})
    name = name or settings.get("hub_model_id") or folder.resolve().name
    private = private if private is not None else settings.get("hub_private_repo")
    _check_name(name)
    with Lock() as lock, tempfile.TemporaryDirectory() as place:
        if os.access(folder, os.W_OK):  # else no card is written either
            lock_run(folder, lock, "push")
        web = Path(place, "web") if make_web else None
        if make_web:  # before anything is pushed, since it may be refused
            _check_run(folder)
            make_web(web)
        return push_run(folder, Target(name, private, settings.get("hub_revision")), extras=extras, web=web)


def _check_name(name: str) -> None:
    """Refuse (InputError) what the Hub takes for no name, such as that of a run folder in Korean."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise InputError(
            f"push: {name[:60]!r} cannot name a repository: letters a to z, digits, '-', '_' and '.' can; name one "
            "with --repo-id OWNER/NAME"
        ) from None


def push_run(
    folder: Path,
    target: Target,
    images: Iterable[Image.Image] = (),
    extras: Collection[str] = (),
    web: Path | None = None,
) -> str:
    """Push a finished run in one commit, read it back and note it in `pushed.json`.

    It may be repeated: what is there already is not sent.

    Args:
        images: on which repository and folder are compared afterwards; synthetic ones if there are none.
        extras: what is pushed too. Once the model is there: its demo page as a Space ("demo"), its page that runs in
            the browser ("web", of the export in the folder `web`); with it: the files for Inference Endpoints
            ("handler").

    Returns:
        `owner/name`.

    Raises:
        PushError: what happened, and the command that finishes the job; of the folder only the card has changed.
    """
    _check_run(folder)
    if kept := kept_adapter(folder):
        say(kept)
    try:
        name = make_repository(target)
        with tempfile.TemporaryDirectory() as place:
            prepare_card(folder, name, download(name, CARD, target, Path(place)))
        files, compared = shareable_files(folder), as_push_error(lambda: list(images)) or synthetic_images()
        changed = [path for path, content in files.items() if isinstance(content, bytes)]
        if "handler" in extras:
            files |= handler_files(folder, name, target, compared)
        commit = upload(name, files, target, "Model, card and results")
        verdict = open_pushed(folder, name, commit, compared)
        without = f" ({', '.join(changed)} without paths of this machine)" if changed else ""
        say(
            f"pushed: {constants.ENDPOINT}/{name}, {plural(len(files), 'file')} verified{without}; loaded by its id it "
            f"reproduces the folder's predictions on {plural(verdict['images'], 'image')} (max abs. probability "
            f"difference {verdict['max_difference']:.1e})"
        )
        kept = {"endpoint": constants.ENDPOINT, "repository": name, "revision": target.revision, "commit": commit}
        write_json(folder / PUSHED, kept)
        if "demo" in extras:
            push_demo(folder, name, target.revision)
        if web:
            push_web(folder, name, web)
    except (PushError, KeyboardInterrupt) as error:
        what = error if isinstance(error, PushError) else "interrupted"
        flags = ["--private"] * bool(target.private) + [f"--with-{extra}" for extra in extras]
        command = shlex.join(["hf-imgcls", "push", str(folder), "--repo-id", target.name, *flags])
        raise PushError(f"push: {what}; the run is complete in {folder}; to finish the push: {command}") from None
    return name


def _check_run(folder: Path) -> None:
    if not (folder / RESULTS).is_file():
        raise InputError(f"push: the run in {folder} is not finished; the command that started it resumes it")
    check_weights(folder)
    results = read_json(folder / RESULTS)
    if "parity" not in results:
        raise InputError(
            f"push: {folder / RESULTS} was written by an earlier version; train again, or push with that one"
        )
    if (results["parity"] or {"passed": True})["passed"] is False:
        raise InputError(f"push: the model in {folder} failed the parity check (see its {RESULTS})")
