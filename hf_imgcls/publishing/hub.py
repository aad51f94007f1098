"""Repositories on the Hub: created before anything is trained, written in one commit, and verified.

Each call of the Hub's client is repeated where that may help, and its errors become a PushError of one line.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError, RemoteEntryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import LocalTokenNotFoundError
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from hf_imgcls.errors import PushError
from hf_imgcls.machine import reach_hub, say

T = TypeVar("T")
_PAUSES = (1, 2, 4, 8)  # seconds before another attempt
_TRANSIENT = {408, 412, 429, 500, 502, 503, 504}  # may succeed at the next attempt; 412: someone else committed
# Of a model at its root; of a Space in the folder of a page's graphs.
_WEIGHTS = {"model": r"model[^/]*\.safetensors[^/]*", "space": r"onnx/model[^/]*\.onnx[^/]*"}
_TIMEOUT = 100  # seconds without a response; the client by itself waits for ever
_WHAT_TO_DO = {
    401: "; the token is unknown or has expired: set HF_TOKEN or run `hf auth login`",
    403: "; the token of HF_TOKEN or `hf auth login` may not write there",
    412: "; somebody else is changing this repository",
}
Files = Mapping[str, Path | bytes]  # by their path in the repository, a file or its content


class Target(NamedTuple):
    """A repository: `name` or `owner/name`; whether a new one is private (None: the owner's default); its branch."""

    name: str
    private: bool | None = None
    revision: str | None = None


def make_repository(target: Target, kind: str = "model", **settings) -> str:
    """Create a repository where there is none, and check that this machine may write to it.

    Args:
        settings: of a new repository, for `HfApi.create_repo`; a Space needs `space_sdk`.

    Returns:
        `owner/name`.
    """
    reach_hub()
    api = HfApi()
    owner = with_retries(api.whoami)["name"]  # also where the owner is named: it says best what is wrong with a token
    name = target.name if "/" in target.name else f"{owner}/{target.name}"
    new = with_retries(lambda: _created(api, name, target.private, kind, settings))
    if target.private and not (new or with_retries(lambda: api.repo_info(name, repo_type=kind)).private):
        raise PushError(f"{name} exists already and is public; make it private on its page, or name another")
    if target.revision and not target.revision.startswith("refs/"):
        with_retries(lambda: api.create_branch(name, branch=target.revision, repo_type=kind, exist_ok=True))
    return name


def _created(api: HfApi, name: str, private: bool | None, kind: str, settings: dict) -> bool:
    """Whether the repository is new; `exist_ok` would also accept one that exists and is not ours."""
    try:
        api.create_repo(name, private=private, repo_type=kind, **settings)
        return True
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status not in (401, 402, 403, 409):
            raise
        try:
            api.auth_check(name, repo_type=kind, write=True)
        except HfHubHTTPError as refusal:
            # A token for this one repository cannot create it, and may write it all the same: 403, then no refusal.
            if status != 409:
                raise error from None
            if refusal.response.status_code in (401, 403):
                raise
        return False


def upload(name: str, files: Files, target: Target, message: str, kind: str = "model") -> str:
    """Put files into a repository in one commit, all of them or none, and verify it; returns the commit's id.

    Weights of an earlier push that have another name now, or are not there any more, are deleted in the same commit,
    since `from_pretrained` and transformers.js could prefer them. Nothing else in the repository is touched.
    """
    api, where = HfApi(), {"repo_type": kind, "revision": target.revision}
    added = [CommitOperationAdd(path, content) for path, content in files.items()]
    there = with_retries(lambda: api.list_repo_files(name, **where))
    weights = _WEIGHTS[kind]
    stale = [path for path in there if re.fullmatch(weights, path) and path not in files]
    # The client tries every call of the upload six times by itself, but the commit once.
    as_push_error(lambda: api.preupload_lfs_files(name, added, free_memory=False, **where))
    operations = [*added, *(CommitOperationDelete(path) for path in stale)]
    commit = with_retries(lambda: api.create_commit(name, operations, commit_message=message, **where)).oid
    wrong = compare(name, files, commit, kind)
    if wrong:
        raise PushError(f"{wrong[0]} in {name} is missing or differs from the one that was pushed")
    return commit


def download(name: str, path: str, target: Target, folder: Path, kind: str = "model") -> Path | None:
    """A file of a repository, written under `folder`; None where the repository has none."""

    def get() -> str | None:
        try:
            return HfApi().hf_hub_download(name, path, repo_type=kind, revision=target.revision, local_dir=folder)
        except RemoteEntryNotFoundError:
            return None
        except LocalEntryNotFoundError as error:  # the Hub could not be reached, and it is not in the cache
            raise error.__cause__ or error from None

    found = with_retries(get)
    return Path(found) if found else None


def compare(name: str, files: Files, commit: str, kind: str = "model") -> list[str]:
    """The paths of files that are missing in a commit or have another hash there."""
    entries = with_retries(lambda: list(HfApi().list_repo_tree(name, recursive=True, revision=commit, repo_type=kind)))
    there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    return [path for path, content in files.items() if path not in there or not _same(content, there[path])]


def _same(content: Path | bytes, entry: RepoFile) -> bool:
    """The Hub knows what it stores as a large file by its sha256, the others by git's own hash."""
    with CommitOperationAdd("content", content).as_file() as file:
        return sha_fileobj(file).hex() == entry.lfs.sha256 if entry.lfs else git_hash(file.read()) == entry.blob_id


def with_retries(call: Callable[[], T]) -> T:
    """Call, and call again after a while where that may help."""
    for pause in _PAUSES:
        try:
            return as_push_error(call)
        except PushError as error:
            if not _is_transient(error.__cause__):
                raise
            say(f"push: {error}; trying again in {pause} s")
            time.sleep(pause)
    return as_push_error(call)


def as_push_error(call: Callable[[], T]) -> T:
    """Turn what the client raises into a PushError of one line, with the client's error as its cause."""
    get_session().timeout = _TIMEOUT
    try:
        return call()
    except PushError:
        raise
    # The client's own, those of its HTTP library, its checks of names and cards, and those of its upload threads.
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise PushError(describe_error(error)) from error


def _is_transient(error: BaseException | None) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, HTTPError | json.JSONDecodeError)


def describe_error(error: BaseException) -> str:
    """An error of the client in one line, without addresses that carry a signature and without the token."""
    if isinstance(error, LocalTokenNotFoundError):
        line = "there is no token; set HF_TOKEN or run `hf auth login`"
    elif isinstance(error, HfHubHTTPError):
        status, request = error.response.status_code, error.response.request
        message = f": {error.server_message}" if error.server_message else ""
        phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
        line = f"{status} {phrase} to {request.method} {request.url.path}{message}"[:300] + _WHAT_TO_DO.get(status, "")
    elif isinstance(error, RuntimeError) and error.__cause__:  # of an upload thread: which file, and why
        line = f"{error} {describe_error(error.__cause__)}"
    elif isinstance(error, json.JSONDecodeError):
        line = "the response is not the Hub's"
    else:
        line = f"{type(error).__name__}: {error}"[:300]
    token = get_token()
    return " ".join((line.replace(token, "***") if token else line).split())
