"""A real Ray of two processes on this machine: one test, since it takes seconds to start."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import make_image
from fresh import ROOT, run_fresh
from launches import TWO, launch
from ray_here import FEW_DIGITS
from safetensors.torch import load_file

from hf_imgcls.api import predict_images
from hf_imgcls.serving import PredictOptions
from hf_imgcls.store import SharedFolder

pytest.importorskip("ray", reason='needs ray: pip install "hf-imgcls[ray]"')

SCRIPT = f"""
import json, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from ray_here import predict_and_train
predict_and_train(*json.loads(sys.argv[1]))
"""


def test_two_processes_of_ray_predict_what_one_predicts_although_one_is_killed_and_train_together(
    model, make_folder, tmp_path, monkeypatch
):
    pytest.importorskip("moto", reason="needs moto, a stand-in for S3")
    from object_store import serve_s3

    monkeypatch.chdir(tmp_path)
    make_folder(13)
    Path("photos/red/torn.jpg").write_bytes(b"no image")
    with serve_s3() as bucket:
        for number in range(3):
            image = tmp_path / f"{number}.png"
            make_image("green", 900 + number).save(image)
            SharedFolder(f"{bucket}/photos").write(image.name, image.read_bytes())
        images = ["photos", f"{bucket}/photos"]
        asked = json.dumps([model, images, f"{bucket}/rows", str(tmp_path)])
        done = run_fresh(SCRIPT, asked, layer="package", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        counts = predict_images(model, images, Path("alone.parquet"), PredictOptions(batch_size=2))
        names = SharedFolder(f"{bucket}/rows").names()
        Path("rows").mkdir()
        for name in names:
            Path("rows", name).write_bytes(SharedFolder(f"{bucket}/rows").read(name))
    found = json.loads(Path("found.json").read_text())
    assert found["counts"] == list(counts) == [43, 1, 0]
    assert found["printed"] == ["", "ray: 2 actors with 1 CPU each, on 1 machine\n"]
    assert Path("killed").exists()
    assert len(names) == 22
    assert all(name.startswith("part-") for name in names)
    assert pq.read_table("rows").equals(pq.read_table("alone.parquet"))
    check_training(found, tmp_path)


def check_training(found: dict, folder: Path) -> None:
    """The same weights, to the bit, as two processes of accelerate give."""
    launched = launch(TWO, "hf_imgcls/train.py", *FEW_DIGITS, f"training.output_dir={folder / 'accelerate'}")
    assert launched.returncode == 0, launched.stderr
    assert found["processes"] == 2
    assert found["scores"] == json.loads((folder / "accelerate/results.json").read_text())["scores"]
    weights = [load_file(folder / run / "model.safetensors") for run in ("ray", "accelerate")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
