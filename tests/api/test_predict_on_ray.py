"""`predict --on ray` without a cluster: what each actor does with a block of images, and the folder that it writes."""

import contextlib
import platform
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import make_image
from tiny import tiny_model

from hf_imgcls.api import predict_images, predict_on_ray
from hf_imgcls.api.blocks_on_ray import share_out
from hf_imgcls.cli import main
from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.machine import Cluster
from hf_imgcls.serving import BlockPredictor, PredictOptions, open_classifier, read_outcome
from hf_imgcls.serving.part_files import write_part
from hf_imgcls.store import Lock, lock_beside

BLOCKS = "hf_imgcls.api.blocks_on_ray"
BY_TWO = PredictOptions(batch_size=2)


class Killed(BaseException):
    """What ends an actor."""


class ActorsHere:
    """The actors of a cluster in this process, of which `kills` end at a block; a test may change what they get."""

    def __init__(self):
        self.opened, self.changes, self.kills = 0, {}, {}

    def open(self, *arguments):
        self.opened += 1
        return open_classifier(*arguments)

    def write(self, folder, block, rows, columns):
        if self.kills.get(block.number):
            self.kills[block.number] -= 1
            raise Killed
        write_part(folder, block, rows, columns)

    def predict(self, work, blocks, count, resources):
        actors = [BlockPredictor(work._replace(**self.changes)) for _ in range(count)]
        for block in blocks:
            while True:  # as Ray does
                try:
                    columns = actors[0]({name: [value] for name, value in block._asdict().items()})
                    break
                except Killed:
                    actors[0] = BlockPredictor(work)
            yield read_outcome({name: values[0] for name, values in columns.items()})
            actors.append(actors.pop(0))


@pytest.fixture
def actors(monkeypatch, make_folder, tmp_path):
    """Two machines of two CPUs; the current folder has 15 photos and a file that is none."""
    monkeypatch.chdir(tmp_path)
    make_folder(5)
    Path("photos/red/torn.jpg").write_bytes(b"no image")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")  # which an actor sets
    here = ActorsHere()
    monkeypatch.setattr("hf_imgcls.api.on_ray.import_ray", lambda: None)
    monkeypatch.setattr(f"{BLOCKS}.open_cluster", lambda address: contextlib.nullcontext(Cluster(2, 4, 2)))
    monkeypatch.setattr(f"{BLOCKS}._outcomes", here.predict)
    monkeypatch.setattr("hf_imgcls.serving.actor.open_classifier", here.open)
    monkeypatch.setattr("hf_imgcls.serving.actor.write_part", here.write)
    return here


def rows_of(folder: str = "rows") -> list[dict]:
    assert all(file.name.startswith("part-") for file in Path(folder).iterdir())
    return pq.read_table(folder).to_pylist()


def test_the_rows_are_those_of_one_machine_and_the_same_command_predicts_what_is_left(model, actors, down, capsys):
    down.add("photos/green/003.png")
    assert predict_images(model, ["photos"], Path("alone.parquet"), BY_TWO) == (16, 2, 0)
    alone = pq.read_table("alone.parquet").to_pylist()
    assert predict_on_ray(model, ["photos"], "rows", BY_TWO) == (16, 2, 0)
    assert rows_of() == alone
    assert actors.opened == 2, "once an actor"
    assert "1 image could not be read for now" in capsys.readouterr().err
    down.clear()
    make_image("red", 77).save("photos/new.png")
    assert predict_on_ray(model, ["photos"], "rows", BY_TWO) == (2, 0, 15)
    assert predict_images(model, ["photos"], Path("alone.parquet"), BY_TWO) == (2, 0, 15)
    after = pq.read_table("alone.parquet").to_pylist()
    assert sorted(map(str, rows_of())) == sorted(map(str, after))
    before = {file.name: file.read_bytes() for file in Path("rows").iterdir()}
    assert predict_on_ray(model, ["photos"], "rows", BY_TWO) == (0, 0, 17)
    assert {file.name: file.read_bytes() for file in Path("rows").iterdir()} == before
    assert actors.opened == 3, "one block was left, and then none"


def test_a_block_whose_actor_is_killed_is_predicted_again_but_not_for_ever(model, actors, capsys):
    assert predict_on_ray(model, ["photos"], "whole", BY_TWO) == (16, 1, 0)
    actors.opened = 0
    actors.kills = {1: 1, 4: 2}
    assert predict_on_ray(model, ["photos"], "rows", BY_TWO) == (16, 1, 0)
    assert rows_of() == rows_of("whole")
    assert actors.opened == 2 + 3
    actors.kills = {2: 99}
    with pytest.raises(MachineError, match=r"^block 2 of 2 images ended its process 3 times, .*lower --batch-size"):
        predict_on_ray(model, ["photos"], "some", BY_TWO)
    assert rows_of("some") == rows_of("whole")[:4]
    actors.kills = {}
    assert predict_on_ray(model, ["photos"], "some", BY_TWO) == (12, 1, 4)
    assert sorted(map(str, rows_of("some"))) == sorted(map(str, rows_of("whole")))


def test_views_and_labels_go_to_every_actor(model, actors, capsys):
    assert main(["predict", model, "photos", "--on", "ray", "--output", "rows", "--tta", "flip", "--top-k", "2"]) == 0
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "ray: 2 actors with 2 CPUs each, on 2 machines"
    assert printed[1].startswith("tta: scores are the mean over")
    assert "of 15 images" in printed[1]
    assert printed[2] == "16 images predicted, 1 of them unreadable (see the column error); in rows"
    assert main(["predict", model, "photos", "--output", "alone.parquet", "--tta", "flip", "--top-k", "2"]) == 0
    assert rows_of() == pq.read_table("alone.parquet").to_pylist()


NOT_HERE = {
    "another model": ({"name": "model@0123456789ab"}, "and model@0123456789ab on the first machine"),
    "another version": ({"version": "0.0.1"}, "is installed, not 0.0.1; install the same everywhere"),
    "no images": ({"probe": "/nowhere/1.png"}, "/nowhere/1.png: no such file, which is there on the first machine"),
    "another disk": ({"images": "_hf_imgcls_images_0"}, "is not the folder of the first machine; name one on a drive"),
    "no model": ({"model": "./gone"}, "no such folder"),
}


@pytest.mark.parametrize("case", NOT_HERE)
def test_a_machine_that_has_not_what_the_first_one_has_is_named(case, model, actors, capsys):
    actors.changes, line = NOT_HERE[case]
    assert main(["predict", model, "photos", "--on", "ray", "--output", "rows"]) == 2
    printed = capsys.readouterr().err.splitlines()[-1]
    assert line in printed
    assert printed.endswith(f" (on {platform.node()})")
    assert list(Path("rows").iterdir()) == []


REFUSED = {
    "--output rows.csv": "--output: rows.csv: --on ray writes a folder of Parquet files; name a folder",
    "--output photos/rows": "--output: photos/rows is in photos, whose images are predicted; name a folder outside",
    "--output model": "has other files (config.json); name a new folder",
    "--output photos/new.png": "--output: photos/new.png is a file; --on ray writes a folder of Parquet files",
    "--output nothing://rows": "nothing://rows: no such kind of address",
    "": "--on ray: needs --output",
    "--output rows --actors 5": "--actors: found 5, but the cluster has 4 CPUs",
    "--output rows --actors 0": "--actors: found 0, expected 1 or more",
    "--output rows --top-k 0": "--top-k: found 0, expected 1 or more",
    "--output rows --device cuda:1": "--device cuda:1: with --on ray each process has a GPU of its own",
    "--output rows --device cuda": "--device cuda: the cluster has no GPU; leave it out",
    "--output rows --half": "--half: is for a GPU, and none of the cluster predicts; leave it out",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_in_one_line(words, model, actors, capsys):
    make_image("red", 77).save("photos/new.png")
    assert main(["predict", model, "photos", "--on", "ray", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert REFUSED[words] in line
    assert Path("photos/new.png").exists()


def test_options_of_a_cluster_are_for_a_cluster(model, actors, capsys):
    for words in (["--ray-address", "auto"], ["--actors", "2"], ["--output", "s3://bucket/rows"]):
        assert main(["predict", model, "photos", *words]) == 2
        assert "for --on ray" in capsys.readouterr().err


def test_another_model_and_a_run_that_goes_on_are_refused(model, actors):
    predict_on_ray(model, ["photos/red"], "rows", BY_TWO)
    tiny_model("vit", ["x", "y", "z"]).save_pretrained(model)
    with pytest.raises(InputError, match=r"rows has predictions of another model \(model@"):
        predict_on_ray(model, ["photos"], "rows", BY_TWO)
    with Lock() as lock:
        lock.take(lock_beside(Path("rows").absolute()), "rows", "wait")
        with pytest.raises(InputError, match=r"--output: rows is being written by process"):
            predict_on_ray(model, ["photos"], "rows", BY_TWO)


@pytest.mark.parametrize(
    ("cluster", "options", "actors", "share"),
    [
        (Cluster(1, 8, 8), {}, None, (1, {"num_cpus": 8}, 1)),
        (Cluster(3, 20, 4), {}, None, (3, {"num_cpus": 4}, 1)),
        (Cluster(3, 20, 4), {}, 4, (4, {"num_cpus": 2}, 2)),
        (Cluster(1, 3, 3), {}, 2, (2, {"num_cpus": 1}, 2)),
        (Cluster(3, 130, 2, 16, 8), {"half": True}, None, (16, {"num_cpus": 1, "num_gpus": 1}, 8)),
        (Cluster(3, 130, 2, 16, 8), {"device": "cpu"}, None, (3, {"num_cpus": 2}, 1)),
    ],
)
def test_what_each_actor_has_of_a_cluster(cluster, options, actors, share):
    assert share_out(cluster, actors, PredictOptions(**options)) == share


def test_without_ray_the_line_says_how_to_install_it(model, make_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(make_folder(1).parent)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["predict", model, "photos", "--on", "ray", "--output", "rows"]) == 2
    assert capsys.readouterr().err == ('hf-imgcls: --on ray: ray is not installed; pip install "hf-imgcls[ray]"\n')
    assert not Path("rows").exists()
