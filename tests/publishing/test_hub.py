"""Reaching the Hub, permissions, and retries: the real client on a local hub."""

import pytest
from huggingface_hub import HfApi, constants
from local_hub import READER, STRANGER, WRITER, LocalHub

from hf_imgcls.errors import PushError
from hf_imgcls.machine import network
from hf_imgcls.machine.network import reach_hub, use_hub
from hf_imgcls.publishing import hub as hub_module
from hf_imgcls.publishing.hub import Target, compare, make_repository, upload, with_retries


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "_PAUSES", (0, 0))
    monkeypatch.setattr(network, "_given_up", False)
    with LocalHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        yield hub


def refused(*arguments, **settings) -> str:
    with pytest.raises(PushError) as caught:
        make_repository(Target(*arguments), **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_repository_is_created_once(hub):
    assert make_repository(Target("model", private=True)) == "someone/model"
    assert make_repository(Target("someone/model", private=True)) == "someone/model"
    assert make_repository(Target("model", revision="second")) == "someone/model"
    assert list(hub.repositories) == [("models", "someone/model")]
    assert hub.repositories["models", "someone/model"].private
    assert set(hub.repositories["models", "someone/model"].branches) == {"main", "second"}


def test_a_space_is_created_the_same_way(hub):
    assert make_repository(Target("page"), "space", space_sdk="gradio") == "someone/page"
    assert list(hub.repositories) == [("spaces", "someone/page")]


@pytest.mark.parametrize(
    ("token", "part"),
    [
        (None, "there is no token; set HF_TOKEN or run `hf auth login`"),
        ("hf_nobody", "401 Unauthorized to GET /api/whoami-v2; the token is unknown or has expired"),
        (READER, "403 Forbidden to POST /api/repos/create: You don't have the rights to create a model"),
        (STRANGER, "403 Forbidden to POST /api/repos/create: You don't have the rights to create a model under the "),
    ],
)  # fmt: skip
def test_missing_write_permission_is_reported_without_retries(token, part, hub, monkeypatch):
    hub.use(monkeypatch, token)
    line = refused("someone/model")
    assert part in line
    assert token is None or token not in line
    assert len(hub.calls) <= 3, "asked again, which cannot help"


@pytest.mark.parametrize("token", [READER, STRANGER])
def test_an_existing_repository_is_not_taken_for_writable(token, hub, monkeypatch):
    hub.create("models", "someone/model")
    hub.use(monkeypatch, token)
    assert "403 Forbidden" in refused("someone/model")


def test_a_token_for_one_repository_may_write_it(hub):
    hub.create("models", "someone/model")
    hub.fail("POST /api/repos/create", 403)
    assert make_repository(Target("someone/model")) == "someone/model"
    assert "fault 403" in refused("someone/other")


def test_a_public_repository_is_not_used_where_a_private_one_is_wanted(hub):
    hub.create("models", "someone/model")
    assert "someone/model exists already and is public" in refused("model", True)


def test_an_invalid_name_is_refused(hub):
    assert "my model" in refused("someone/my model")


def test_a_dead_server_is_given_up_at_once_and_tried_again_later(hub, monkeypatch):
    port = hub.server.server_port
    hub.stop()
    assert use_hub() is False
    assert constants.HF_HUB_OFFLINE
    assert f"{hub.url} cannot be reached from here" in refused("model")
    hub.start(port)
    assert use_hub() is False, "for good, where the cache can serve"
    assert make_repository(Target("model")) == "someone/model"
    assert use_hub() is True


def test_offline_mode_is_reported(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PushError, match="HF_HUB_OFFLINE is set"):
        reach_hub()
    assert hub.calls == []


@pytest.mark.parametrize("how", [503, 500, 429, 408, "drop", "garbage"])
@pytest.mark.parametrize("call", ["GET /api/whoami", "POST /api/repos/create", "POST /api/validate", "POST .*/commit/"])
def test_transient_faults_are_retried(call, how, hub):
    hub.fail(call, how, times=2)
    name = make_repository(Target("model"))
    commit = upload(name, {"README.md": b"---\ntags: [a]\n---\n"}, Target("model"), "all of it")
    assert hub.files(name)["README.md"] == b"---\ntags: [a]\n---\n"
    assert compare(name, {"README.md": b"---\ntags: [a]\n---\n"}, commit) == []


def test_a_lost_response_leaves_the_repository_as_it_should_be(hub):
    hub.fail("POST .*/repos/create|POST .*/commit/", "drop after", times=1)
    files = {"README.md": b"card", "model.safetensors": b"weights"}
    name = make_repository(Target("model"))
    assert compare(name, files, upload(name, files, Target("model"), "all of it")) == []


def test_the_token_is_never_printed(hub, capsys):
    def shout():
        raise RuntimeError(f"Authorization: Bearer {WRITER}")

    with pytest.raises(PushError, match=r"Bearer \*\*\*"):
        with_retries(shout)
    hub.fail("whoami", "drop")
    refused("model")
    printed = capsys.readouterr()
    assert "trying again in 0 s" in printed.out
    assert WRITER not in printed.out + printed.err


@pytest.mark.parametrize("bug", [TypeError, KeyError, MemoryError])
def test_a_bug_is_no_push_error(bug):
    def call():
        raise bug("here")

    with pytest.raises(bug):
        with_retries(call)


def test_one_commit_replaces_what_was_there_of_the_model_and_nothing_else(hub, tmp_path):
    make_repository(Target("model"))
    old = {
        "model-00001-of-00002.safetensors": b"a", "model-00002-of-00002.safetensors": b"b",
        "model.safetensors.index.json": b"{}", "a/model.safetensors": b"c", "by_hand.txt": b"mine", "README.md": b"1",
    }  # fmt: skip
    upload("someone/model", old, Target("model"), "first")
    (tmp_path / "weights").write_bytes(b"new")
    new = {"model.safetensors": tmp_path / "weights", "README.md": b"2"}
    hub.calls.clear()
    commit = upload("someone/model", new, Target("model"), "second")
    assert sum("/commit/" in call for call in hub.calls) == 1
    assert hub.files("someone/model") == {
        ".gitattributes": b"*.safetensors filter=lfs\n", "README.md": b"2", "model.safetensors": b"new",
        "a/model.safetensors": b"c", "by_hand.txt": b"mine",
    }  # fmt: skip
    assert compare("someone/model", new, commit) == []
    assert upload("someone/model", new, Target("model"), "third") == commit, "nothing to do"


@pytest.mark.parametrize("spoilt", ["README.md", "model.safetensors"])
@pytest.mark.parametrize("how", ["changed", "lost"])
def test_uploaded_files_are_compared_by_hash(spoilt, how, hub):
    files = {"README.md": b"card", "model.safetensors": b"weights"}
    make_repository(Target("model"))
    commit = upload("someone/model", files, Target("model"), "all of it")
    file = hub.folder("someone/model") / spoilt
    file.write_bytes(b"other") if how == "changed" else file.unlink()
    assert compare("someone/model", files, commit) == [spoilt]


def test_a_branch_is_written_alone(hub):
    target = Target("model", revision="second")
    make_repository(target)
    upload("someone/model", {"README.md": b"card"}, target, "all of it")
    assert "README.md" in hub.files("someone/model", revision="second")
    assert "README.md" not in hub.files("someone/model")


def test_the_client_does_not_yet_wait_for_a_commit_by_itself(hub):
    """When this fails, the client has learned it and `upload` may do less."""
    make_repository(Target("model"))
    hub.calls.clear()
    hub.fail("POST .*/commit/", 503)
    with pytest.raises(OSError, match="503"):
        HfApi().upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id="someone/model")
    assert sum("/commit/" in call for call in hub.calls) == 1
