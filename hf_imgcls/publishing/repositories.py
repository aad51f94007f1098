"""Repositories on the Hub: created before anything is trained, written in one commit, and verified."""

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RemoteEntryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from hf_imgcls.errors import PushError
from hf_imgcls.machine import reach_hub
from hf_imgcls.publishing.hub import as_push_error, with_retries

Files = Mapping[str, Path | bytes]


class Target(NamedTuple):
    """A repository: `name` or `owner/name`; whether a new one is private (None: the owner's default); its branch."""

    name: str
    private: bool | None = None
    revision: str | None = None


def make_repository(target: Target, kind: str = "model", **settings) -> str:
    """Create a repository where there is none, and check that this machine may write to it.

    Args:
        kind: "model", or "space", which needs `space_sdk`.
        settings: of a new repository, for `HfApi.create_repo`.

    Returns:
        `owner/name`.

    Raises:
        PushError: no network, no token, a bad one, one that may not write there, or a public repository where a
            private one is wanted.
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
    """Put files into a repository in one commit: all of them or none.

    Weights of an earlier push that have another name now are deleted in the same commit, since `from_pretrained` could
    prefer them. Nothing else in the repository is touched.

    Args:
        files: by their path in the repository, a file or its content.

    Returns:
        The commit's id.

    Raises:
        PushError: says what happened.
    """
    api, where = HfApi(), {"repo_type": kind, "revision": target.revision}
    added = [CommitOperationAdd(path, content) for path, content in files.items()]
    there = with_retries(lambda: api.list_repo_files(name, **where))
    stale = [path for path in there if fnmatch(path, "model*.safetensors*") and "/" not in path and path not in files]
    # The client tries every call of the upload six times by itself, but the commit once.
    as_push_error(lambda: api.preupload_lfs_files(name, added, free_memory=False, **where))
    operations = [*added, *(CommitOperationDelete(path) for path in stale)]
    return with_retries(lambda: api.create_commit(name, operations, commit_message=message, **where)).oid


def download(name: str, path: str, target: Target, folder: Path, kind: str = "model") -> Path | None:
    """A file of a repository, written under `folder`; None where the repository has none.

    Raises:
        PushError: says what happened.
    """

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
    """List a commit's files; returns the paths that are missing in it or have another hash.

    Raises:
        PushError: says what happened.
    """
    entries = with_retries(lambda: list(HfApi().list_repo_tree(name, recursive=True, revision=commit, repo_type=kind)))
    there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    return [path for path, content in files.items() if path not in there or not _same(content, there[path])]


def _same(content: Path | bytes, entry: RepoFile) -> bool:
    """The Hub knows what it stores as a large file by its sha256, the others by git's own hash."""
    with CommitOperationAdd("content", content).as_file() as file:
        return sha_fileobj(file).hex() == entry.lfs.sha256 if entry.lfs else git_hash(file.read()) == entry.blob_id
