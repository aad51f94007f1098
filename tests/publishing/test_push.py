"""Pushing a run: which files, one-line errors, and what others load from the Hub."""

import ast
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from conftest import COLOURS, make_image
from finished import content_of, finished_run
from fresh import run_fresh
from huggingface_hub import HfApi
from local_hub import WRITER, LocalHub
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls import train_classifier
from hf_imgcls.cli import main
from hf_imgcls.machine import network
from hf_imgcls.publishing import hub as hub_module
from hf_imgcls.publishing import push, readback, verify
from hf_imgcls.publishing.shareable import shareable_files

TRAINING = {"max_steps": 2, "per_device_train_batch_size": 4, "disable_tqdm": True, "push_to_hub": True}
SERVED = {"images": 8, "max_difference": 0.0}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and no waiting: neither ours nor the client's."""
    monkeypatch.setattr(hub_module, "_PAUSES", (0, 0))
    monkeypatch.setattr(network, "_given_up", False)
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    with LocalHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        yield hub


@pytest.fixture
def unopened(monkeypatch):
    """Leave the last step out, a fresh process that opens the model: it takes as long as everything else."""
    monkeypatch.setattr(push, "open_pushed", lambda *arguments: SERVED)


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run, with everything that may lie in one."""
    return finished_run(tmp_path / "runs" / "colours")


def but_the_card(folder) -> dict[str, bytes]:
    return {path: content for path, content in content_of(folder).items() if path not in ("README.md", "pushed.json")}


def pushed(capsys, *arguments) -> str:
    assert main(["push", *map(str, arguments)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def fails(capsys, status: int, *arguments) -> str:
    capsys.readouterr()
    assert main([*map(str, arguments)]) == status
    printed = capsys.readouterr()
    line = printed.err.splitlines()[-1]
    assert line.startswith("hf-imgcls: ")
    assert WRITER not in printed.out + printed.err
    assert "Traceback" not in printed.err
    return line


@pytest.mark.parametrize("base", ["/scratch/weights/deit", "facebook/deit-tiny-patch16-224"])
def test_an_adapter_is_pushed_where_others_have_what_it_is_of(base, run, hub, unopened, capsys):
    (run / "adapter").mkdir()
    config = json.dumps({"base_model_name_or_path": base, "target_modules": r"vit\.layers\.0"})
    (run / "adapter/adapter_config.json").write_text(config)
    (run / "adapter/adapter_model.safetensors").write_bytes(b"updates")
    line, there = pushed(capsys, run), hub.files("someone/colours")
    assert ("adapter/adapter_model.safetensors" in there) == ("/scratch" not in base)
    kept = f"adapter/ is not pushed: it is of {base}, a folder of this machine; the model that is pushed is whole\n"
    assert (kept in line) == ("/scratch" in base)
    assert there.get("adapter/adapter_config.json", config.encode()) == config.encode()


@pytest.mark.parametrize("words", [[], ["--repo-id", "me/my model"]])
def test_a_name_that_the_hub_does_not_take_is_one_line(words, tmp_path, capsys):
    line = fails(capsys, 2, "push", finished_run(tmp_path / "한글 런"), *words)
    assert f"push: {(words or ['', '한글 런'])[1]!r} cannot name a repository: letters a to z" in line


def test_only_what_a_user_of_the_model_needs_is_pushed(run, hub, unopened, capsys):
    before = but_the_card(run)
    line = pushed(capsys, run)
    there = hub.files("someone/colours")
    assert set(there) - {".gitattributes"} == {
        "README.md", "config.json", "model.safetensors", "preprocessor_config.json", "recipe.json", "results.json",
        "splits.json", "history.json", "plots/curves.png",
    }  # fmt: skip
    changed = {path for path in before if path in there and there[path] != before[path]}
    assert changed == {"recipe.json", "results.json"}
    assert "9 files verified (recipe.json, results.json without paths of this machine)" in line
    assert there["README.md"] == (run / "README.md").read_bytes()
    assert but_the_card(run) == before
    for path, content in there.items():
        assert WRITER.encode() not in content, path
        assert not re.search(rb"/scratch|/tmp|%s" % str(run.parent).encode(), content), path
    assert json.loads(there["recipe.json"])["data"] == {"path": "my photos", "label_names": list(COLOURS)}
    assert json.loads(there["results.json"])["command"] == "hf-imgcls train recipe.json data.path=images"


def test_a_run_without_local_paths_is_pushed_unchanged(run, hub, unopened, capsys):
    (run / "recipe.json").write_text('{"data": {"path": "photos"}, "training": {"hub_model_id": "someone/other"}}')
    (run / "results.json").write_text('{"labels": ["red"], "parity": null, "command": "train x.json"}')
    (run / "README.md").write_text('model="someone/other"')
    assert "8 files verified;" in pushed(capsys, run)  # the plot is not in the card
    there = hub.files("someone/other")
    assert {path: content for path, content in content_of(run).items() if path in there} == {
        path: content for path, content in there.items() if path != ".gitattributes"
    }


FAULTS = {
    "create 503": ("POST /api/repos/create", 503, "503 Service Unavailable to POST /api/repos/create"),
    "list 500": ("GET .*/tree/main", 500, "500 Internal Server Error"),
    "preupload 502": ("POST .*/preupload/", 502, "502 Bad Gateway"),
    "batch 503": ("POST .*/objects/batch", 503, "503 Service Unavailable"),
    "upload 503": ("PUT /objects/", 503, "to the Hub. 503 Service Unavailable to PUT /objects/"),
    "upload dropped": ("PUT /objects/", "drop", "Error while uploading "),
    "verify 500": ("POST /objects/verify", 500, "500 Internal Server Error"),
    "card 502": ("HEAD /someone/colours/resolve/main/README.md", 502, "502 Bad Gateway to HEAD"),
    "card 503": ("POST /api/validate-yaml", 503, "503 Service Unavailable"),
    "card garbage": ("POST /api/validate-yaml", "garbage", "the response is not the Hub's"),
    "commit 503": ("POST .*/commit/", 503, "503 Service Unavailable"),
    "commit dropped": ("POST .*/commit/", "drop", "Error: "),
    "401": ("POST .*/commit/", 401, "the token is unknown or has expired"),
    "403": ("POST .*/commit/", 403, "may not write there"),
    "412": ("POST .*/commit/", 412, "somebody else is changing this repository"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_the_command_in_it_finishes_the_push(fault, run, hub, unopened, capsys):
    call, how, part = FAULTS[fault]
    before = but_the_card(run)
    hub.fail(call, how)
    line = fails(capsys, 3, "push", run, "--repo-id", "someone/colours", "--private")
    assert part in line
    assert f"the run is complete in {run}; to finish the push: " in line
    assert but_the_card(run) == before
    there = hub.files("someone/colours") if hub.repositories else {}
    assert set(there) <= {".gitattributes"}, "half a push"
    hub.heal()
    command = line.partition("to finish the push: hf-imgcls ")[2].split()
    assert command == ["push", str(run), "--repo-id", "someone/colours", "--private"]
    pushed(capsys, *command[1:])
    assert len(hub.files("someone/colours")) == 10
    assert hub.repositories["models", "someone/colours"].private


def test_an_unreachable_server_that_comes_back(run, hub, unopened, capsys):
    port = hub.server.server_port
    hub.stop()
    assert f"{hub.url} cannot be reached from here" in fails(capsys, 3, "push", run)
    hub.start(port)
    pushed(capsys, run)


def test_a_file_that_arrived_changed_is_an_error(run, hub, unopened, capsys, monkeypatch):
    commit = hub.commit

    def spoil(*arguments):
        oid = commit(*arguments)
        (hub.root / "models" / "someone/colours" / oid / "config.json").write_bytes(b"{}")
        return oid

    hub.create("models", "someone/colours")
    monkeypatch.setattr(hub, "commit", spoil)
    assert "config.json in someone/colours is missing or differs" in fails(capsys, 3, "push", run)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"recipe.json": None}, "is not the folder of a run: it has no recipe.json"),
        ({"results.json": None}, "is not finished; the command that started it resumes it"),
        ({"results.json": '{"labels": [], "parity": {"passed": false}}'}, "failed the parity check"),
        (
            {"results.json": '{"labels": [], "served_as_scored": {"passed": false}}'},
            "was written by an earlier version",
        ),
    ],
)
def test_an_unfinished_or_failed_run_is_not_pushed(content, part, run, hub, capsys):
    for name, text in content.items():
        (run / name).unlink() if text is None else (run / name).write_text(text)
    assert part in fails(capsys, 2, "push", run)
    assert hub.calls == []
    assert "is not an option" in fails(capsys, 2, "push", run, "training.hub_private_repo=true")


def test_an_interrupted_push_names_the_command_to_finish_it(run, hub, unopened, capsys, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(push, "upload", stop)
    assert "push: interrupted; the run is complete in" in fails(capsys, 3, "push", run)


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    content = {
        "data": {"path": str(make_folder(train=4, validation=3))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "training": {"output_dir": str(tmp_path / "out" / "colours"), **TRAINING},
    }
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(content))
    return file


OWN_NETWORK = {"architecture": "convnet", "from_scratch": True, "image_size": 16, "config": {"filters": [4, 6]}}


def test_a_pushed_run_is_loaded_by_its_id_in_a_fresh_home(recipe, run, hub, tmp_path, capfd):
    """The longest test: a run opens what it has pushed, and so do we, each in a process of its own."""
    assert main(["train", str(recipe), f"model={json.dumps(OWN_NETWORK)}", "training.hub_model_id=someone/own"]) == 0
    printed = "".join(capfd.readouterr())
    out, there = tmp_path / "out" / "colours", hub.files("someone/own")
    assert f"pushed: {hub.url}/someone/own, {len(there) - 1} files verified" in printed
    assert re.search(
        r"reproduces the folder's predictions on 8 images \(max abs\. probability difference 0\.0e\+00\)", printed
    )
    assert sum("/commit/" in call for call in hub.calls) == 1
    assert {"convnet.py", "model.safetensors", "README.md"} <= set(there)
    for place in (tmp_path / "out", hub.root):
        assert [path for path, content in content_of(place).items() if WRITER.encode() in content] == []
    assert [path for path, content in there.items() if str(tmp_path).encode() in content] == []
    assert WRITER not in printed

    hub.create("models", "someone/colours", private=True)
    hub.commit("models", "someone/colours", "main", shareable_files(run))
    asked = str(tmp_path / "photos" / "validation" / "red" / "001.png")
    answers = open_in_a_fresh_home(hub, tmp_path / "home", asked)
    assert answers["colours"] == pipeline("image-classification", model=str(run))(asked, top_k=3)
    assert answers["own"] == pipeline("image-classification", model=str(out))(asked, top_k=3)
    assert "trust_remote_code" in answers["own, untrusted"]


def open_in_a_fresh_home(hub, home, image: str) -> dict:
    script = f"""
import json
from transformers import pipeline
found = {{
    "colours": pipeline("image-classification", model="someone/colours")({image!r}, top_k=3),
    "own": pipeline("image-classification", model="someone/own", trust_remote_code=True)({image!r}, top_k=3),
}}
try:
    pipeline("image-classification", model="someone/own", trust_remote_code=False)
except ValueError as error:
    found["own, untrusted"] = str(error)
print(json.dumps(found))
"""
    done = run_fresh(script, environment={**hub.environment(), "HF_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_readback_compares_folder_and_repository(run, tmp_path, capsys):
    other = finished_run(tmp_path / "other" / "colours")
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps({**settings, "image_mean": [0.1, 0.5, 0.9]}))
    (tmp_path / "images").mkdir()
    for number, each in enumerate(verify.synthetic_images()):
        each.save(tmp_path / "images" / f"{number}.png")
    for repository, differs in ((run, False), (other, True)):
        readback.main(str(run), str(repository), "main", str(tmp_path / "images"))
        verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert verdict["images"] == 8
        assert (verdict["max_difference"] > 1e-3) is differs


def test_readback_runs_where_the_package_is_not_installed():
    tree = ast.parse(Path(readback.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"json", "sys", "pathlib", "PIL", "transformers"}


@pytest.mark.parametrize(
    ("status", "out", "err", "part"),
    [
        (1, "", "Traceback\nOSError: no such model", "could not be loaded from there (OSError: no such model)"),
        (-9, "", "", "could not be loaded from there (no reason given)"),
        (
            0,
            '{"images": 8, "max_difference": 0.2}',
            "",
            "does not reproduce the folder's predictions (max abs. probability difference 2.0e-01",
        ),
        (0, '{"images": 8, "max_difference": NaN}', "", "does not reproduce the folder's predictions"),
    ],
)
def test_a_repository_that_cannot_be_loaded_or_predicts_otherwise_is_an_error(
    status, out, err, part, run, hub, capsys, monkeypatch
):
    done = subprocess.CompletedProcess([], status, out, err)
    monkeypatch.setattr(verify, "subprocess", SimpleNamespace(run=lambda *arguments, **settings: done))
    line = fails(capsys, 3, "push", run)
    assert f"someone/colours is on the Hub, but {part}" in line
    assert "to finish the push" in line


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda hub: hub.tokens.clear(), "the token is unknown or has expired"),
        (lambda hub: hub.tokens.update({WRITER: ("stranger", "write")}), "403 Forbidden"),
        (lambda hub: hub.stop(), "cannot be reached"),
    ],
    ids=["bad token", "foreign namespace", "dead server"],
)
def test_missing_permission_is_reported_before_anything_is_loaded(change, part, recipe, hub, tmp_path, capsys):
    change(hub)
    line = fails(capsys, 2, "train", recipe, "data.path=someone/photos", "training.hub_model_id=someone/colours")
    assert line.startswith("hf-imgcls: training.push_to_hub: ")
    assert part in line
    assert line.endswith("; or add training.push_to_hub=false")
    assert not (tmp_path / "out").exists()


def test_a_strategy_that_pushes_optimizer_states_is_refused(recipe, hub, capsys):
    line = fails(capsys, 2, "train", recipe, "training.hub_strategy=checkpoint")
    assert "training.hub_strategy: checkpoint would push optimizer states" in line
    assert hub.calls == []


def test_a_run_whose_push_fails_is_complete(recipe, hub, unopened, tmp_path, capsys):
    hub.fail("POST .*/commit/", 503)
    line = fails(capsys, 3, "train", recipe)
    out = tmp_path / "out" / "colours"
    assert json.loads((out / "results.json").read_text())["parity"]["passed"]
    assert f"the run is complete in {out}; to finish the push: hf-imgcls push {out} --repo-id colours" in line
    hub.heal()
    assert main(["train", str(recipe)]) == 0  # the same command again
    assert "finished already" in capsys.readouterr().out
    assert hub.files("someone/colours")["model.safetensors"] == (out / "model.safetensors").read_bytes()
    calls = len(hub.calls)
    assert main(["train", str(recipe)]) == 0
    assert f"pushed already: {hub.url}/someone/colours has this run, commit " in capsys.readouterr().out
    assert len(hub.calls) == calls
    assert main(["train", str(recipe), "training.hub_model_id=someone/other"]) == 0
    assert "model.safetensors" in hub.files("someone/other")


def rows_as_parquet(hub) -> None:
    values = {
        "image": [make_image(c, n) for c in COLOURS for n in range(6)],
        "label": [i for i in range(3) for _ in range(6)],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(COLOURS))})
    datasets.Dataset.from_dict(values, features).push_to_hub("someone/photos", token=WRITER)


def rows_as_folder(hub, folder) -> None:
    HfApi().create_repo("someone/photos", repo_type="dataset")
    HfApi().upload_folder(repo_id="someone/photos", folder_path=folder, repo_type="dataset")


@pytest.mark.parametrize("streaming", [False, True], ids=["at once", "streaming"])
@pytest.mark.parametrize("kind", ["parquet", "folder"])
@pytest.mark.usefixtures("undrawn")
def test_a_hub_dataset_is_loaded_by_its_name(kind, streaming, recipe, make_folder, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1)  # 5 s, for each look at a stream
    if kind == "parquet":
        rows_as_parquet(hub)
    else:
        rows_as_folder(hub, make_folder(train=6, validation=2, name="more"))
    said = ["data.path=someone/photos", "training.push_to_hub=false"]
    if streaming:
        said += ["data.streaming=true", 'data.label_names=["blue","green","red"]', "training.max_steps=2"]
    results = train_classifier(recipe, said)
    assert results["labels"] == list(COLOURS)
    assert any("/datasets/someone/photos/resolve/" in call for call in hub.calls)
    if not streaming:
        assert results["images"]["train"] == {"parquet": 16, "folder": 18}[kind]
