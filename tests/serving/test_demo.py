"""The web page: it predicts as `pipeline` does, is reachable from this machine only, and connects to no other."""

import json
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from chromium import requested
from conftest import COLOURS, make_image
from finished import finished_run
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from huggingface_hub.utils import httpx
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import UNREADABLE
from hf_imgcls.serving import demo, page
from hf_imgcls.serving.demo import describe_demo, open_demo
from hf_imgcls.serving.demo_examples import _run_images, copy_examples, evenly_spaced
from hf_imgcls.serving.image_list import find_images
from hf_imgcls.serving.open import PredictOptions

_contacted: list[str] = []  # hosts that were looked up or connected to while a page is opened
_watching = False


def _watch(event: str, arguments: tuple) -> None:
    if _watching and event in ("socket.connect", "socket.getaddrinfo"):
        place = arguments[1] if event == "socket.connect" else arguments[0]
        _contacted.append(str(place[0] if isinstance(place, tuple) else place))


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def make_photos(root: Path, **splits: int) -> Path:
    for split, count in splits.items():
        for colour in COLOURS:
            (root / split / colour).mkdir(parents=True)
            for number in range(count):
                make_image(colour, number + len(split)).save(root / split / colour / f"{number}.png")
    return root


def make_run(root: Path) -> Path:
    """A finished run, with its images where its recipe says, and an accuracy."""
    run, photos = finished_run(root / "runs" / "colours"), make_photos(root / "photos", train=3, validation=2, test=4)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["data"] = {"path": str(photos)}
    recipe["model"] = {"checkpoint": "some/model"}
    (run / "recipe.json").write_text(json.dumps(recipe))
    scores = {"test": {"images": 1200, "accuracy": 0.989, "accuracy_interval_95": [0.9834, 0.9927]}}
    (run / "results.json").write_text(json.dumps({"labels": list(COLOURS), "scores": scores}))
    return run


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The page of a run, served in this process, and the pipeline of its model."""
    global _watching
    root = tmp_path_factory.mktemp("served")
    run, port = make_run(root), free_port()
    sys.addaudithook(_watch)
    _watching = True
    with open_demo(str(run), PredictOptions(top_k=2), ("127.0.0.1", port)) as url:
        _watching = False
        yield SimpleNamespace(
            root=root, run=run, url=url, port=port, client=Client(url, verbose=False),
            serve=pipeline("image-classification", model=str(run), device="cpu"),
        )  # fmt: skip


def classify(client: Client, path) -> list[dict]:
    prediction = client.predict(handle_file(str(path)), api_name="/predict")
    assert prediction["label"] == prediction["confidences"][0]["label"]
    return [{"label": each["label"], "score": each["confidence"]} for each in prediction["confidences"]]


def odd_images(folder: Path) -> dict[str, Path]:
    """Images that naive code reads differently."""
    wide = Image.new("RGB", (60, 30), "red")
    wide.paste((20, 40, 230), (0, 0, 30, 30))
    turned = Image.Exif()
    turned[274] = 6
    clear = wide.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(wide.size))
    wide.save(folder / "plain.png")
    wide.save(folder / "turned.jpg", exif=turned, quality=95)
    clear.save(folder / "clear.png")
    wide.quantize(5).save(folder / "palette.png")
    wide.convert("CMYK").save(folder / "cmyk.jpg")
    wide.save(folder / "moving.gif", save_all=True, append_images=[make_image("green", 1, (60, 30))])
    Image.linear_gradient("L").convert("I;16").save(folder / "deep.png")
    return {path.stem: path for path in sorted(folder.iterdir())}


def test_the_page_predicts_as_pipeline_does_on_every_kind_of_image(served, tmp_path):
    found = odd_images(tmp_path)
    predictions = {name: classify(served.client, path) for name, path in found.items()}
    assert len(predictions) == 7
    assert predictions == {name: served.serve(str(path), top_k=2) for name, path in found.items()}
    # Whether the image was rotated shows in its scores.
    assert abs(predictions["turned"][0]["score"] - predictions["plain"][0]["score"]) > 1e-4


def test_a_broken_image_is_an_error_in_one_line_and_the_page_continues(served, tmp_path):
    make_image("red", 1, (90, 80)).save(tmp_path / "good.png")
    good = (tmp_path / "good.png").read_bytes()
    for name, content, part in (
        ("text.png", b"no <b>image</b>", "not an image, or its header is broken"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image, or its header is broken"),
        ("half.png", good[: len(good) // 2], "image file is truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AppError) as error:
            classify(served.client, tmp_path / name)
        assert str(error.value).startswith(f"This image cannot be read: {part}"), name
        assert "\n" not in str(error.value)
        assert str(served.root) not in str(error.value)
    assert classify(served.client, tmp_path / "good.png") == served.serve(str(tmp_path / "good.png"), top_k=2)
    assert served.client.predict(None, api_name="/predict") in ({}, None)


def test_what_is_sent_is_bounded_and_errors_are_the_clients(served, tmp_path, caplog):
    place = f"{served.url}gradio_api/upload"
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        )
        client.sendall(b"Content-Length: 99999999999\r\n\r\n--b\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", served.port)) as client:  # one that goes away
        client.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        )
        client.sendall(b"Content-Length: 99\r\n\r\n--b\r\n")
    assert httpx.post(place, json={}).status_code == 400
    assert httpx.post(place, content=b"--", headers={"content-type": "multipart/form-data"}).status_code in (400, 422)
    # Beside the queue, where several would be read at once, and an error would be a 500.
    assert httpx.post(f"{served.url}gradio_api/run/predict", json={"data": [None]}).status_code == 404
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    Image.new("1", (13_000, 13_000)).save(tmp_path / "bomb.png")
    for name, part in (
        ("a.eps", "not an image, or its header is broken"),
        ("bomb.png", "13000x13000 pixels, more than"),
    ):
        with pytest.raises(AppError, match=part):
            classify(served.client, tmp_path / name)
    assert caplog.text == ""


def test_one_image_is_read_at_a_time_and_the_last_answer_goes_first(served, tmp_path, monkeypatch):
    running, most, read = [], [], page._read

    def slowly(*arguments):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return read(*arguments)

    monkeypatch.setattr(page, "_read", slowly)
    make_image("red", 1).save(tmp_path / "a.png")
    jobs = [served.client.submit(handle_file(str(tmp_path / "a.png")), api_name="/predict") for _ in range(3)]
    assert len({str(job.result()) for job in jobs}) == 1
    assert most == [1] * 3
    events = httpx.get(f"{served.url}config").json()["dependencies"]
    (number,) = [number for number, each in enumerate(events) if each["api_name"] == "predict"]
    clear, predict = events[number - 1 : number + 1]
    assert (clear["js"], clear["outputs"]) == ("() => null", predict["outputs"])
    assert predict["trigger_after"] == clear["id"]


def test_it_listens_on_localhost_only_and_contacts_no_other_machine(served):
    listening = {
        each.laddr.ip
        for each in psutil.Process().net_connections("inet")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == served.port
    }
    assert listening == {"127.0.0.1"}
    assert _contacted, "the audit hook saw nothing"
    assert set(_contacted) <= {"127.0.0.1", "localhost"}
    config = httpx.get(f"{served.url}config").json()
    assert config["analytics_enabled"] is False


def test_no_file_is_served_but_the_examples(served, tmp_path):
    make_image("red", 1).save(tmp_path / "beside.png")
    for path in (served.run / "config.json", served.root / "photos/test/red/0.png", "pyproject.toml", "/etc/passwd",
                 tmp_path / "beside.png"):  # fmt: skip
        response = httpx.get(f"{served.url}gradio_api/file={path}")
        assert response.status_code in (403, 404), path
    for unsent in (served.root / "photos/test/red/0.png", tmp_path / "beside.png"):
        call = httpx.post(f"{served.url}gradio_api/call/predict", json={"data": [{"path": str(unsent)}]}).json()
        response = httpx.get(f"{served.url}gradio_api/call/predict/{call['event_id']}").text
        assert response.startswith("event: error"), response
    shown = examples_on(served.url)
    photos = [path.read_bytes() for path in (served.root / "photos" / "test").rglob("*.png")]
    assert len(shown) == 8
    assert all(photo in photos for photo in shown)


def examples_on(url: str) -> list[bytes]:
    config = httpx.get(f"{url}config").json()
    found = [each for each in config["components"] if each["type"] == "dataset"]
    samples = found[0]["props"]["samples"] if found else []
    return [httpx.get(f"{url}gradio_api/file={sample[0]['path']}").content for sample in samples]


def test_the_title_and_a_line_describe_the_model(served):
    written = [each["props"]["value"] for each in httpx.get(f"{served.url}config").json()["components"]
               if each["type"] == "markdown"]  # fmt: skip
    assert written == [
        "# colours\nClassifies images into 3 classes: blue, green, red. Accuracy 98.9 % on 1,200 test images "
        "(95 % interval 98.3 to 99.3 %)."
    ]
    title, about = describe_demo("a*b", [f"kind {n}" for n in range(1000)], served.root)
    assert title == r"a\*b"
    assert about.startswith("Classifies images into 1,000 classes: kind 0, ")
    assert about.endswith("kind 7 and 992 more.")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"scores": {"test": {}}}', '{"scores": {"test": {"accuracy": "a"}}}']
)
def test_damaged_results_leave_the_accuracy_out(content, tmp_path, capsys):
    (tmp_path / "results.json").write_text(content)
    assert describe_demo("model", ["a", "b"], tmp_path) == ("model", "Classifies images into 2 classes: a, b.")
    assert capsys.readouterr().out.count("\n") <= 1


def test_the_command_serves_until_interrupted_and_leaves_nothing_behind(served, tmp_path, capsys, monkeypatch):
    port, seen = free_port(), {}
    shutil.copytree(served.root / "photos/test", tmp_path / "own")
    (tmp_path / "own" / "red" / "broken.png").write_bytes(b"no image")

    def stop(seconds):
        assert not seen, "the signal has not ended it"
        url = f"http://127.0.0.1:{port}/"
        seen["prediction"] = classify(Client(url, verbose=False), tmp_path / "own/red/0.png")
        seen["examples"] = examples_on(url)
        seen["places"] = {Path(path).parent for path in demo.os.environ["GRADIO_TEMP_DIR"].splitlines()}
        assert all(place.is_dir() for place in seen["places"])
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(demo, "time", SimpleNamespace(sleep=stop))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nothing listens
    words = ["demo", str(served.run), "--port", str(port), "--top-k", "1", "--examples", str(tmp_path / "own")]
    assert main(words) == 0
    assert f"the demo of {served.run} runs at http://127.0.0.1:{port}/ (stop it with Ctrl-C)" in capsys.readouterr().out
    assert seen["prediction"] == served.serve(str(tmp_path / "own/red/0.png"), top_k=1)
    assert 6 <= len(seen["examples"]) <= 8
    assert not any(place.exists() for place in seen["places"])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (
            ["--port", "{taken}"],
            "--host 127.0.0.1 --port {taken}: Address already in use; choose another --port",
        ),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid --port 7860: "),
        (["--port", "70000"], "--port: found 70000, expected 1 to 65535"),
        (["--top-k", "0"], "--top-k: found 0, expected 1 or more"),
        (["--examples", "no/such/folder"], "no/such/folder: no such file or folder"),
        (["data.path=photos"], "demo: data.path=photos is not an option"),
    ],
)
def test_an_impossible_option_is_one_line(words, part, served, capsys):
    words = [word.format(taken=served.port) for word in words]
    assert main(["demo", str(served.run), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"hf-imgcls: {part.format(taken=served.port)}")


def test_without_gradio_the_error_says_how_to_install_it(capsys, monkeypatch, tmp_path):
    from hf_imgcls import serving

    monkeypatch.delattr(serving, "page")
    monkeypatch.delitem(sys.modules, "hf_imgcls.serving.page")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(tmp_path)]) == 2
    assert capsys.readouterr().err == 'hf-imgcls: demo: gradio is not installed; pip install "hf-imgcls[demo]"\n'


def test_examples_are_of_the_evaluated_split_its_classes_in_turn(served, tmp_path, capsys):
    names = [Path(value["path"]).relative_to(served.root / "photos") for value in _run_images(served.run)]
    assert [name.parts[:2] for name in names] == [("test", colour) for _ in range(4) for colour in COLOURS][:8]
    recipe = json.loads((served.run / "recipe.json").read_text())
    for change, part in (
        ({"path": str(tmp_path / "gone")}, "gone"),
        ({"path": "gone/photos"}, "gone/photos"),
        ({**recipe["data"], "streaming": True, "label_names": list(COLOURS)}, "they are streamed"),
    ):
        (tmp_path / "recipe.json").write_text(
            json.dumps({**recipe, "data": change, "training": {**recipe["training"], "max_steps": 1}})
        )
        assert _run_images(tmp_path) == []
        line = capsys.readouterr().out
        assert line.startswith("no examples: the run's images are not available (")
        assert part in line
        assert line.endswith("); choose others with --examples\n")
    assert _run_images(tmp_path / "no run") == []
    assert capsys.readouterr().out == ""


def test_examples_are_spread_evenly_over_the_images(tmp_path):
    assert evenly_spaced(range(100), 3) == [0, 50, 99]
    assert evenly_spaced(range(2), 3) == [0, 1]
    odd = odd_images(tmp_path)
    odd["plain"].rename(tmp_path / "named.anyhow")
    Image.open(odd["deep"]).save(tmp_path / "no_browser.tiff")
    (tmp_path / "copies").mkdir()
    found = list(find_images([str(tmp_path / "*.*")]))
    copies = copy_examples(found, tmp_path, tmp_path / "copies")
    assert len(found) == 8
    assert len(copies) == 7  # all but the TIFF
    assert {Path(copy).suffix for copy in copies} == {".png", ".jpg", ".gif"}
    assert Path(copies[-1]).read_bytes() == odd["turned"].read_bytes()


def test_the_page_knows_every_error_of_a_damaged_image():
    assert set(page._UNREADABLE) >= set(UNREADABLE)  # it runs alone in a Space and cannot import the list


@pytest.mark.parametrize("error", [MemoryError, NameError])
def test_bugs_and_exhausted_memory_are_no_unreadable_images(error, tmp_path, monkeypatch):
    def fail(*arguments):
        raise error("of this machine, or of this package")

    make_image("red", 1).save(tmp_path / "a.png")
    monkeypatch.setattr(page, "load_image", fail)
    with pytest.raises(error):
        page._read(str(tmp_path / "a.png"))


def test_of_classes_with_the_same_name_the_best_is_shown():
    predictions = [{"label": "crane", "score": 0.6}, {"label": "heron", "score": 0.3}, {"label": "crane", "score": 0.1}]
    assert page._bars(predictions) == {"crane": 0.6, "heron": 0.3}
    with pytest.raises(page.gr.Error, match="not numbers"):
        page._bars([{"label": "crane", "score": float("nan")}])


def test_a_models_own_code_runs_only_if_trusted(tmp_path):
    folder = tmp_path / "model"
    tiny_model("vit").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoModelForImageClassification": "strange.Strange"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="add --trust-remote-code"):
        open_demo(str(folder), address=("127.0.0.1", free_port())).__enter__()


def test_in_a_browser_an_image_is_uploaded_and_its_label_read(served, browser, tmp_path, monkeypatch):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def wait_for(selector: str):
        shown = WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, selector))
        return shown[0]

    def upload(name: str) -> None:
        wait_for("input[type=file]").send_keys(str(tmp_path / name))

    make_image("red", 5).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no <b>image</b>")
    browser.get(served.url)
    upload("a.png")
    wait_for("[data-testid$=confidence-set]")
    assert browser.title == "colours"
    (best, *_) = served.serve(str(tmp_path / "a.png"), top_k=2)
    assert wait_for("[data-testid=label-output-value]").text == best["label"]
    bars = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "[data-testid$=confidence-set]")]
    assert bars[0].split() == [best["label"], f"{100 * best['score']:.0f}%"]
    assert len(browser.find_elements(By.CSS_SELECTOR, ".gallery-item img, .gallery button img")) == 8
    assert browser.save_screenshot(str(tmp_path / "page.png"))
    assert Image.open(tmp_path / "page.png").size[0] > 1000

    # The next image comes while one is read.
    reading, next_is_there, read = threading.Event(), threading.Event(), page._read

    def wait(*arguments):
        reading.set()
        assert next_is_there.wait(60)
        return read(*arguments)

    monkeypatch.setattr(page, "_read", wait)
    wait_for("[aria-label='Remove Image'], [aria-label='Clear']").click()
    upload("a.png")
    assert reading.wait(60)
    wait_for("[aria-label='Remove Image'], [aria-label='Clear']").click()
    upload("broken.png")
    wait_for("[aria-label='Remove Image'], [aria-label='Clear']")
    next_is_there.set()
    part = "This image cannot be read: not an image, or its header is broken"
    WebDriverWait(browser, 60).until(lambda b: part in wait_for(".toast-body").get_property("textContent"))
    assert browser.find_elements(By.CSS_SELECTOR, "[data-testid$=confidence-set]") == []

    asked = requested(browser)
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(served.url)] == []
