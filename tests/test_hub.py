from types import SimpleNamespace
from typing import ClassVar

import pytest

from hf_imgcls import hub
from hf_imgcls.recipe import InputError

ARGUMENTS = SimpleNamespace(push_to_hub=True, hub_model_id=None, hub_private_repo=True, hub_revision=None)


class FakeApi:
    """Records what it is asked for; the real client against a local hub is the business of the push itself."""

    calls: ClassVar[list] = []

    def create_repo(self, name, **options):
        self.calls.append(("create_repo", name, options))
        return SimpleNamespace(repo_id=f"someone/{name}")

    def upload_folder(self, **options):
        self.calls.append(("upload_folder", options))
        return "https://hub/someone/run/commit/1"


def test_who_cannot_push_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"training\.push_to_hub: .*training\.push_to_hub=false") as caught:
        hub.check_login(ARGUMENTS)
    assert "\n" not in str(caught.value)
    hub.check_login(SimpleNamespace(push_to_hub=False))


def test_the_run_is_uploaded_once_without_its_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "HfApi", FakeApi)
    FakeApi.calls.clear()
    address = hub.push(tmp_path / "run", ARGUMENTS)
    assert address == "https://hub/someone/run/commit/1"
    (_, name, options), (_, upload) = FakeApi.calls
    assert (name, options["private"]) == ("run", True)
    assert upload["repo_id"] == "someone/run"
    assert "checkpoint-*" in upload["ignore_patterns"]


def test_a_push_that_fails_names_what_finishes_the_job(tmp_path, monkeypatch):
    class DeadHub(FakeApi):
        def upload_folder(self, **options):
            raise ConnectionError("503\nService Unavailable")

    monkeypatch.setattr(hub, "HfApi", DeadHub)
    with pytest.raises(InputError, match=r"503 Service Unavailable.*complete in .*hf upload run ") as caught:
        hub.push(tmp_path / "run", ARGUMENTS)
    assert "\n" not in str(caught.value)
