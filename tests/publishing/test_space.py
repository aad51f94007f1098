"""The page as a Space: it goes up behind its model, runs there by itself, and says what is missing where it fails."""

import json
import runpy
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import test_push
import torch
from conftest import make_image
from finished import finished_run
from gradio_client import Client, handle_file
from huggingface_hub import ModelCard, SpaceCard
from local_hub import WRITER
from test_demo import free_port
from test_push import fails, pushed
from transformers import pipeline

from hf_imgcls.publishing.space import space_files
from hf_imgcls.serving.distance import ClassMeans

hub, run, unopened = test_push.hub, test_push.run, test_push.unopened
FILES = {"README.md", "app.py", "page.py", "requirements.txt"}
SPACE = "someone/colours-demo"


def on_hub(hub) -> dict[str, bytes]:
    return {path: content for path, content in hub.files(SPACE, "spaces").items() if path != ".gitattributes"}


def card(content: bytes) -> dict:
    return SpaceCard(content.decode()).data.to_dict()


def test_the_demo_is_pushed_after_its_model_without_images(run, hub, unopened, capsys):
    (run / "README.md").write_text("---\nlicense: apache-2.0\n---\nmine\n")
    before = test_push.but_the_card(run)
    printed = pushed(capsys, run, "--with-demo").splitlines()
    assert printed[-2].startswith(f"pushed: {hub.url}/someone/colours, ")
    assert printed[-1] == f"demo: {hub.url}/spaces/{SPACE}, 4 files verified"
    there = on_hub(hub)
    assert set(there) == FILES
    assert test_push.but_the_card(run) == before
    assert [path for path, content in there.items() if str(run.parent).encode() in content] == []
    assert WRITER.encode() not in b"".join(there.values())
    assert card(there["README.md"]) == {
        "title": "colours demo", "license": "apache-2.0", "sdk": "gradio", "sdk_version": "6.31.0",
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}", "app_file": "app.py",
        "models": ["someone/colours"],
    }  # fmt: skip
    assert there["requirements.txt"].decode().splitlines() == [
        f"{package}=={version(package).partition('+')[0]}" for package in ("torch", "torchvision", "transformers")
    ]
    assert b"trust_remote_code" not in there["app.py"]
    calls = [call for call in hub.calls if "/commit/" in call]
    assert calls == ["POST /api/models/someone/colours/commit/main", f"POST /api/spaces/{SPACE}/commit/main"]
    assert not hub.repositories["spaces", SPACE].private


def test_by_default_only_the_model_is_pushed(run, hub, unopened, capsys):
    pushed(capsys, run)
    assert list(hub.repositories) == [("models", "someone/colours")]


def test_the_app_of_a_space_runs_standalone_and_predicts_as_pipeline(run, hub, unopened, capsys, tmp_path,
                                                                       monkeypatch):  # fmt: skip
    pushed(capsys, run, "--with-demo")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "sent"))
    folder = hub.folder(SPACE, "spaces")
    monkeypatch.syspath_prepend(folder)
    app = runpy.run_path(str(folder / "app.py"))
    module = sys.modules.pop("page")
    assert Path(module.__file__) == folder / "page.py"
    assert (
        "hf_imgcls" not in (folder / "app.py").read_text().replace("hf-imgcls", "") + (folder / "page.py").read_text()
    )
    app["page"].launch(server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True,
                       **app["LAUNCH"])  # fmt: skip
    try:
        client = Client(app["page"].local_url, verbose=False)
        serve = pipeline("image-classification", model=str(run), device="cpu")
        for number, colour in enumerate(("red", "blue")):
            path = tmp_path / f"{colour}.png"
            make_image(colour, number, (50, 30)).save(path)
            answer = client.predict(handle_file(str(path)), api_name="/predict")["confidences"]
            assert [{"label": each["label"], "score": each["confidence"]} for each in answer] == serve(str(path))
        (line,) = [each["props"]["value"] for each in client.config["components"] if each["type"] == "markdown"]
        assert line == (
            f"# colours\nClassifies images into 3 classes: blue, green, red. [The model]({hub.url}/someone/colours)."
        )
    finally:
        app["page"].close(verbose=False)


@pytest.mark.parametrize(
    ("call", "how", "part"),
    [
        ("POST /api/spaces/.*/commit/", 503, "503 Service Unavailable"),
        ("POST /api/spaces/.*/commit/", "drop", "Error: "),
        ("POST /api/spaces/.*/preupload/", 403, "may not write there"),
        ("GET /api/spaces/.*/tree/", 500, "500 Internal Server Error"),
        ("HEAD /spaces/.*/resolve/", 502, "502 Bad Gateway"),
    ],
)
def test_a_fault_is_one_line_and_the_command_in_it_pushes_the_demo(call, how, part, run, hub, unopened, capsys):
    pushed(capsys, run)
    hub.create("spaces", SPACE)
    hub.commit("spaces", SPACE, "main", {"README.md": b"---\ntitle: t\n---\n"})
    hub.fail(call, how)
    line = fails(capsys, 3, "push", run, "--with-demo")
    assert "push: someone/colours is on the Hub, its demo is not: " in line
    assert part in line
    command = line.partition("to finish the push: hf-imgcls ")[2].split()
    assert command == ["push", str(run), "--repo-id", "colours", "--with-demo"]
    assert set(on_hub(hub)) == {"README.md"}, "half a Space"
    hub.heal()
    pushed(capsys, *command[1:])
    assert set(on_hub(hub)) == FILES


def test_a_file_that_arrived_changed_is_an_error(run, hub, unopened, capsys, monkeypatch):
    commit = hub.commit

    def spoil(kind, *arguments):
        oid = commit(kind, *arguments)
        if kind == "spaces":
            (hub.root / "spaces" / SPACE / oid / "app.py").write_bytes(b"import this")
        return oid

    pushed(capsys, run)
    hub.create("spaces", SPACE)
    monkeypatch.setattr(hub, "commit", spoil)
    assert f"app.py in {SPACE} is missing or differs" in fails(capsys, 3, "push", run, "--with-demo")


def test_the_demo_of_a_private_model_is_private_and_says_what_it_needs(run, hub, unopened, capsys):
    printed = pushed(capsys, run, "--private", "--with-demo").splitlines()
    assert hub.repositories["spaces", SPACE].private
    assert "it needs a secret HF_TOKEN with a token that may read someone/colours: " in printed[-1]
    assert printed[-1].endswith(f"/spaces/{SPACE}/settings")
    hub.repositories["spaces", SPACE].private = False
    line = fails(capsys, 3, "push", run, "--with-demo")
    assert f"its demo is not: {SPACE} exists already and is public" in line


def test_what_people_write_into_the_card_of_a_space_stays(run, hub, unopened, capsys):
    hub.create("spaces", SPACE)
    mine = b"---\ntitle: My colours\nemoji: X\nsdk: static\nmodels: [a/b]\n---\n\n# Mine\n"
    for text in (mine, mine.replace(b"# Mine", b"Check out https://huggingface.co/docs/hub/spaces-config-reference")):
        hub.commit("spaces", SPACE, "main", {"README.md": text, "photo.txt": b"mine"})
        pushed(capsys, run, "--with-demo")
        there = on_hub(hub)
        data = card(there["README.md"])
        assert (data["title"], data["emoji"], data["sdk"], data["models"]) == (
            "My colours", "X", "gradio", ["someone/colours"],
        )  # fmt: skip
        assert there["photo.txt"] == b"mine"
        assert there["README.md"].decode().endswith("---\n\n# Mine\n" if text == mine else "see its labels.\n")


def test_the_app_trusts_code_names_a_branch_and_installs_timm_only_where_needed(tmp_path):
    folder = finished_run(tmp_path / "own", "convnet")
    files = space_files(folder, "someone/own", "v2")
    assert b'model="someone/own", revision="v2", trust_remote_code=True)' in files["app.py"]
    assert b"timm" not in files["requirements.txt"]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "timm_wrapper"}))
    assert f"timm=={version('timm')}\n".encode() in space_files(folder, "someone/own", None)["requirements.txt"]
    names = ['it\'s "q"', "{braces}", "[a](http://b)", "back\\slash"]
    (folder / "results.json").write_text(json.dumps({"labels": names, "scores": {}}))
    app = space_files(folder, "someone/own", None)["app.py"].decode()
    compile(app, "app.py", "exec")
    assert "{braces}" in app
    assert "top_k=4)" in app
    ModelCard(space_files(folder, "someone/own", None)["README.md"].decode())


def test_the_means_of_a_distance_are_those_of_the_branch_that_the_space_shows(
    run, hub, unopened, capsys, tmp_path, monkeypatch
):
    ClassMeans.of(torch.rand(12, 16, generator=torch.manual_seed(0)), torch.arange(12) % 3, 3).save(run)
    rejection = {"by": "distance", "threshold": 2.0, "head": "classifier"}
    for name, change in ("config", {"none_of_these": rejection}), ("recipe", {"training": {"hub_revision": "v2"}}):
        content = json.loads((run / f"{name}.json").read_text())
        (run / f"{name}.json").write_text(json.dumps(content | change))
    pushed(capsys, run, "--with-demo")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(hub.folder(SPACE, "spaces"))
    app = runpy.run_path(str(hub.folder(SPACE, "spaces") / "app.py"))
    page = sys.modules.pop("page")
    classify = page.with_rejection(app["classifier"], 2, "v2")
    assert classify(make_image("red", 1))[0] == {"label": "none of these", "score": None}
