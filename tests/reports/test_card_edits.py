"""What people write into a card survives the next run, a run that is started over, and a push."""

import os

import pytest
import yaml
from huggingface_hub import ModelCard
from made_run import TWO, made_results, two_classes, write

from hf_imgcls.reports.card.edits import by_hand, read_card

NOTHING = by_hand(read_card(""))
BETTER = {"validation": TWO["validation"], "test": [(0, 0)] * 20 + [(1, 1)] * 10}
OLD, NEW = "**90.0 %**", "**100.0 %**"  # test accuracy of the first run, and of the better one


def better() -> dict:
    """Another run of the same recipe, with every test image right."""
    return made_results(["cat", "dog"], BETTER)


def edit(folder, *changes: tuple[str, str]) -> None:
    file = folder / "README.md"
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")


def around(folder, above: str = "", below: str = "") -> None:
    """Write above and below the generated block."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    start = text.index("<!-- hf-imgcls: generated")
    (folder / "README.md").write_text(f"{text[:start]}{above}\n\n{text[start:]}\n{below}\n", encoding="utf-8")


def content(folder, name: str = "README.md") -> str:
    return (folder / name).read_text(encoding="utf-8")


def test_a_card_without_edits_is_renewed_as_a_whole(tmp_path, capsys):
    for number, results in enumerate((two_classes(), better(), two_classes())):
        text = write(tmp_path / "run", results)
        assert text == write(tmp_path / f"fresh-{number}" / "run", results)
        assert by_hand(read_card(text)) == NOTHING
    assert "card:" not in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "run").iterdir() if "README" in path.name] == ["README.md"]


def test_text_around_the_block_stays_and_the_block_is_renewed(tmp_path):
    run = tmp_path / "run"
    write(run)
    around(run, "# Our cats\n\nA line  \nbroken.", "## Intended use\n\n```\n---\n## no heading\n```")
    text = write(run, better())
    assert NEW in text
    assert OLD not in text
    order = ["---\n\n# Our cats\n\nA line  \nbroken.\n\n<!-- hf-imgcls", "# run\n", NEW,
             "end of the generated part -->", "## Intended use\n\n```\n---\n## no heading\n```\n"]  # fmt: skip
    assert sorted(order, key=text.index) == order
    assert text == write(run, better()), "not stable"


@pytest.mark.parametrize(
    "change",
    [("# run\n", "# Our model\n"), ("## Limits\n\n- Every", "- Every"), ("## Limits\n", "## Limits\n\nNo birds.\n")],
    ids=["changed", "deleted", "added"],
)
def test_an_edited_block_stays_whole_and_the_new_one_is_beside_it(change, tmp_path, capsys):
    run = tmp_path / "run"
    write(run)
    edit(run, change, ("\nlibrary", "\nlicense: mit\nlibrary"))
    edited = read_card(content(run)).block
    for _ in range(2):
        capsys.readouterr()
        text = write(run, better())
        assert read_card(text).block == edited
        assert capsys.readouterr().out == (
            f"card: the generated part was edited by hand and stays as it is; the new one is in "
            f"{run / 'README.generated.md'}\n"
        )
        new = content(run, "README.generated.md")
        assert NEW in new
        assert ModelCard(new).data.license == "mit"
    values = {r.metric_value for r in ModelCard(text).data.eval_results if r.dataset_split == "test"}
    assert 1.0 in values, "the metadata is renewed all the same"
    # Taking the new one is a copy; then the block is the run's again.
    (run / "README.generated.md").replace(run / "README.md")
    assert OLD in write(run)
    assert "card:" not in capsys.readouterr().out


def test_metadata_of_a_person_survives(tmp_path):
    run = tmp_path / "run"
    write(run)
    edit(
        run,
        ("library_name", "# ours\nlanguage:\n- no  # not false\nlicense: mit\nlibrary_name"),
        ("- vision\n", "- vision\n# the house's own\n- cats\n"),
        ("base_model: google", "base_model: facebook"),
        ("datasets:\n- ethz/food101\n", ""),
    )
    text = write(run, better(), model={"checkpoint": "google/another"})
    found = ModelCard(text).data.to_dict()
    assert found["license"] == "mit"
    assert found["tags"] == ["image-classification", "vision", "cats", "hf-imgcls"]
    assert found["base_model"].startswith("facebook/")
    assert "datasets" not in found, "what was deleted does not come back"
    assert "\n# ours\nlanguage:\n- no  # not false\n" in text
    assert "\n# the house's own\n" in text
    assert next(r for r in ModelCard(text).data.eval_results if r.dataset_split == "test").metric_value == 1.0
    assert text == write(run, better(), model={"checkpoint": "google/another"})


def test_results_that_a_person_has_added_stay_and_those_of_the_run_are_renewed(tmp_path):
    run = tmp_path / "run"
    text = write(run)
    index = ModelCard(text).data.to_dict()["model-index"]
    index[0]["results"].append(
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "own", "name": "Street photos"},
            "metrics": [{"type": "accuracy", "value": 0.5}],
        }
    )
    start, end = text.index("model-index:"), text.index("\n---", 5)
    (run / "README.md").write_text(text[:start] + yaml.safe_dump({"model-index": index}).strip() + text[end:])
    for results in (better(), two_classes()):
        write(run, results)
        found = ModelCard.load(run / "README.md").data.eval_results
        values = [(r.dataset_name, r.dataset_split, r.metric_type, r.metric_value) for r in found]
        assert ("Street photos", None, "accuracy", 0.5) in values
        assert ("ethz/food101", "test", "accuracy", results["scores"]["test"]["accuracy"]) in values
        assert len(values) == 7


@pytest.mark.parametrize("index", ["model-index: none", "model-index:\n- results: 3", "model-index:"])
def test_an_index_that_is_none_stays(index, tmp_path):
    run = tmp_path / "run"
    text = write(run)
    start, end = text.index("model-index:"), text.index("\n---", 5)
    (run / "README.md").write_text(text[:start] + index + text[end:])
    text = write(run, better())
    assert index in text
    assert text.count("model-index") == 1


def test_what_editors_do_to_a_file_is_no_edit(tmp_path, capsys):
    run = tmp_path / "run"
    text = write(run).replace("\n", "  \r\n").rstrip()
    (run / "README.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert write(run, better()) == write(tmp_path / "fresh" / "run", better())
    assert "card:" not in capsys.readouterr().out


def test_a_run_that_is_started_over_takes_what_was_written_along(tmp_path, capsys):
    for number in (1, 2, 7):
        write(tmp_path / "run")
        around(tmp_path / "run", below=f"## Number {number}")
        os.utime(tmp_path / "run" / "README.md", (1000 - number, 1000 - number))  # the first is the newest
        (tmp_path / "run").rename(tmp_path / f"run.{number}")
    write(tmp_path / "run.8")  # a run of its own, which happens to be called so
    around(tmp_path / "run.8", below="## Number 8")
    before = content(tmp_path / "run.1")
    text = write(tmp_path / "run", better())
    assert text.endswith("-->\n\n## Number 1\n")
    assert NEW in text
    assert content(tmp_path / "run.1") == before
    # An edited block comes along too.
    edit(tmp_path / "run", ("# run\n", "# Our model\n"))
    (tmp_path / "run").rename(tmp_path / "run.9")
    assert "# Our model\n" in write(tmp_path / "run")
    assert f"the new one is in {tmp_path / 'run' / 'README.generated.md'}" in capsys.readouterr().out


def test_a_card_that_no_run_wrote_stays_and_the_block_is_appended(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    own = "---\nlicense: mit\n---\n# My model\n\nAll about it.\n"
    (run / "README.md").write_text(own)
    text = write(run)
    assert "---\n\n# My model\n\nAll about it.\n\n<!-- hf-imgcls: generated" in text
    assert ModelCard(text).data.license == "mit"
    assert ModelCard(text).data.library_name == "transformers"
    assert OLD in text
    text = write(run, better())
    assert "All about it." in text
    assert text.count("## Limits") == 1
