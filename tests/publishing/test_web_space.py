"""The page that runs in the browser as a static Space: exported before anything is pushed, up behind its model."""

from pathlib import Path

import pytest
import test_push
from huggingface_hub import SpaceCard
from local_hub import WRITER
from test_push import fails, pushed

from hf_imgcls.api import push as api_push
from hf_imgcls.errors import InputError

hub, run, unopened = test_push.hub, test_push.run, test_push.unopened
SPACE = "someone/colours-web"
PAGE = {"index.html": "<p>", "page.js": "run()", "onnx/model.onnx": "graph", "README.md": "how to serve it"}


@pytest.fixture
def exports(monkeypatch):
    """The folders that were exported, in place of an export, which has its own tests."""
    made = []

    def export_model(model: str, output: Path, options, tell) -> None:
        made.append((model, output, options.format))
        for name, content in PAGE.items():
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / name).write_text(content)
        tell(f"exported: {output}")
        tell("parity check passed")

    monkeypatch.setattr(api_push, "export_model", export_model)
    return made


def test_the_page_is_a_static_space_behind_its_model(run, hub, unopened, exports, capsys):
    (run / "README.md").write_text("---\nlicense: apache-2.0\n---\nmine\n")
    before = test_push.but_the_card(run)
    printed = pushed(capsys, run, "--with-web").splitlines()
    assert printed[0] == "web: parity check passed"
    assert printed[-1] == f"web page: {hub.url}/spaces/{SPACE}, 4 files verified"
    there = {path: content for path, content in hub.files(SPACE, "spaces").items() if path != ".gitattributes"}
    card = SpaceCard(there.pop("README.md").decode())
    assert there == {name: content.encode() for name, content in PAGE.items() if name != "README.md"}
    assert card.data.to_dict() == {
        "title": "colours web page", "license": "apache-2.0", "sdk": "static", "app_file": "index.html",
        "models": ["someone/colours"],
    }  # fmt: skip
    assert f"[someone/colours]({hub.url}/someone/colours)" in card.text
    assert WRITER not in card.content
    ((model, folder, kind),) = exports
    assert (model, kind) == (str(run), "web")
    assert not folder.exists()
    assert test_push.but_the_card(run) == before


def test_a_page_that_is_refused_pushes_nothing(run, hub, unopened, monkeypatch, capsys):
    def refuse(*arguments):
        raise InputError("export: its weights are too large")

    monkeypatch.setattr(api_push, "export_model", refuse)
    line = fails(capsys, 2, "push", run, "--with-web")
    assert "push: --with-web: export: its weights are too large; or push without it" in line
    assert hub.repositories == {}


def test_a_run_that_is_not_finished_is_not_exported(run, hub, unopened, exports, capsys):
    (run / "results.json").unlink()
    assert f"push: the run in {run} is not finished" in fails(capsys, 2, "push", run, "--with-web")
    assert exports == []


def test_the_page_of_a_private_model_is_private_and_a_fault_names_the_command(run, hub, unopened, exports, capsys):
    hub.fail("POST /api/spaces/.*/commit/", 503)
    line = fails(capsys, 3, "push", run, "--private", "--with-web")
    assert "push: someone/colours is on the Hub, its web page is not: 503" in line
    command = line.partition("to finish the push: hf-imgcls ")[2].split()
    assert command == ["push", str(run), "--repo-id", "colours", "--private", "--with-web"]
    hub.heal()
    pushed(capsys, *command[1:])
    assert hub.repositories["spaces", SPACE].private


def test_a_graph_that_the_page_does_not_have_any_more_goes(run, hub, unopened, exports, monkeypatch, capsys):
    monkeypatch.setitem(PAGE, "onnx/model_quantized.onnx", "of the model before")
    pushed(capsys, run, "--with-web")
    hub.commit("spaces", SPACE, "main", {"photo.txt": b"mine", "model.onnx": b"mine too"})
    monkeypatch.delitem(PAGE, "onnx/model_quantized.onnx")
    pushed(capsys, run, "--with-web")
    assert hub.files(SPACE, "spaces").keys() - {".gitattributes"} == {*PAGE, "photo.txt", "model.onnx"}
