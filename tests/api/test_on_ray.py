"""A real Ray of two processes on this machine: one test, since it takes seconds to start."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import make_image
from launches import TWO, launch
from safetensors.torch import load_file
from test_custom import ROOT, example

from hf_imgcls.api import predict_images, predict_on_ray
from hf_imgcls.api.blocks_on_ray import RayOptions
from hf_imgcls.serving import PredictOptions
from hf_imgcls.store import SharedFolder

pytest.importorskip("ray", reason='needs ray: pip install "hf-imgcls[ray]"')


def test_two_processes_of_ray_predict_what_one_predicts_although_one_is_killed_and_train_together(
    model, make_folder, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("moto", reason="needs moto, a stand-in for S3")
    from object_store import serve_s3
    from ray_here import start_ray

    monkeypatch.chdir(tmp_path)
    make_folder(13)
    Path("photos/red/torn.jpg").write_bytes(b"no image")
    with serve_s3() as bucket:
        for number in range(3):
            image = tmp_path / f"{number}.png"
            make_image("green", 900 + number).save(image)
            SharedFolder(f"{bucket}/photos").write(image.name, image.read_bytes())
        images = ["photos", f"{bucket}/photos"]
        with start_ray(2):
            capsys.readouterr()
            check_prediction(model, images, f"{bucket}/rows", monkeypatch)
            printed = capsys.readouterr()
            assert (printed.out, printed.err) == ("", "ray: 2 actors with 1 CPU each, on 1 machine\n")
            check_training(tmp_path, monkeypatch)


def check_prediction(model: str, images: list[str], output: str, monkeypatch) -> None:
    from ray_here import KilledOnce

    options = PredictOptions(batch_size=2)
    counts = predict_images(model, images, Path("alone.parquet"), options)
    monkeypatch.setattr("hf_imgcls.api.blocks_on_ray.BlockPredictor", KilledOnce)
    assert predict_on_ray(model, images, output, options, RayOptions(actors=2)) == counts == (43, 1, 0)
    assert Path("killed").exists()
    names = SharedFolder(output).names()
    assert len(names) == 22
    assert all(name.startswith("part-") for name in names)
    Path("rows").mkdir()
    for name in names:
        Path("rows", name).write_bytes(SharedFolder(output).read(name))
    assert pq.read_table("rows").equals(pq.read_table("alone.parquet"))


def check_training(folder: Path, monkeypatch) -> None:
    """The same weights, to the bit, as two processes of accelerate give."""
    monkeypatch.chdir(ROOT)
    few = [f"data.max_samples.{split}=40" for split in ("train", "validation", "test")]
    words = ["recipes/digits_resnet.json", *few, "training.num_train_epochs=1"]
    results = example("ray_train").main(*words, f"training.output_dir={folder / 'ray'}", "--workers", "2")
    launched = launch(TWO, "hf_imgcls/train.py", *words, f"training.output_dir={folder / 'accelerate'}")
    assert launched.returncode == 0, launched.stderr
    assert results["processes"] == 2
    assert results["scores"] == json.loads((folder / "accelerate/results.json").read_text())["scores"]
    weights = [load_file(folder / run / "model.safetensors") for run in ("ray", "accelerate")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
