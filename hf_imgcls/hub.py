"""The Hub: whether it can be reached, who is pushing, and pushing a finished run."""

import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import datasets
from huggingface_hub import HfApi, constants
from transformers import TrainingArguments

from hf_imgcls.recipe import InputError

_STAYS_HERE = ["checkpoint-*", "stage-*", "*.part"]


def use_hub() -> bool:
    """Whether the Hub can be reached; where it cannot, what its cache holds is used at once.

    Without this, every file is asked for five times with growing pauses before the cache, or an error, comes.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():  # a proxy reaches what this machine cannot
        return True
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=10).close()
    except OSError:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        return False
    return True


def check_login(arguments: TrainingArguments) -> None:
    """Before anything is loaded: whether this machine may push at all.

    Raises:
        InputError: no network, no token, or a bad one; names the override that trains without pushing.
    """
    if not arguments.push_to_hub:
        return
    if not use_hub():
        raise InputError(
            f"training.push_to_hub: {constants.ENDPOINT} cannot be reached from here; add training.push_to_hub=false"
        )
    try:
        HfApi().whoami()
    except Exception as error:  # the client's own errors and those of its HTTP library
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"training.push_to_hub: the Hub does not know who is pushing ({reason}); set HF_TOKEN or run "
            "`hf auth login`, or add training.push_to_hub=false"
        ) from None


def push(folder: Path, arguments: TrainingArguments) -> str:
    """Upload a run without its checkpoints; returns the address of the commit.

    Raises:
        InputError: what the Hub answered, and the command that finishes the job; the run itself is complete on disk.
    """
    name = arguments.hub_model_id or folder.resolve().name
    try:
        repository = HfApi().create_repo(name, private=arguments.hub_private_repo, exist_ok=True).repo_id
        return HfApi().upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=arguments.hub_revision,
            commit_message="Model, card and results",
            ignore_patterns=_STAYS_HERE,
        )
    except Exception as error:  # the client's own errors and those of its HTTP library
        reason = " ".join(str(error).split())[:200]
        left_out = " ".join(f"--exclude '{pattern}'" for pattern in _STAYS_HERE)
        raise InputError(
            f"push: {name} is not on the Hub ({reason}); the run is complete in {folder}, this uploads it: "
            f"hf upload {name} {folder} . {left_out}"
        ) from None
