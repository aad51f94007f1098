"""What people write into a card survives the next run, a run that is started over, and a push."""

import os

import pytest
import yaml
from huggingface_hub import ModelCard
from made_run import TWO, made_results, two_classes, write

from hf_imgcls.reports.card.edits import by_hand, read_card
from hf_imgcls.reports.card.write import prepare_card

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


@pytest.mark.parametrize("damage", [('{"block"', '{"block'), ('{"block"', ""), ("end of the generated part", "end")])
def test_a_damaged_marker_counts_as_an_edit(damage, tmp_path):
    run = tmp_path / "run"
    write(run)
    edit(run, damage)
    around(run, below="## Mine")
    text = write(run, better())
    assert text.count("## Mine") == text.count("## Limits") == 1
    assert OLD in text
    assert NEW in content(run, "README.generated.md")
    assert text == write(run, better())


def test_a_card_that_cannot_be_read_stays_and_the_new_one_is_beside_it(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for broken in (b"---\ntags: [\n---\nmy words", b"caf\xe9", b"---\n- a list\n---\n"):
        (run / "README.md").write_bytes(broken)
        write(run)
        assert (run / "README.md").read_bytes() == broken
        assert "## Results" in content(run, "README.generated.md")
        line = capsys.readouterr().out
        assert line.startswith(f"card: {run / 'README.md'} cannot be read (")
        assert line.endswith(f"stays as it is; the new one is {run / 'README.generated.md'}\n")
    run.rename(tmp_path / "run.1")
    assert "## Results" in write(run)
    assert (tmp_path / "run.1" / "README.md").read_bytes() == broken


def pushed(run, hub) -> str:
    """Prepare the folder's card for a push, and put it onto the Hub."""
    prepare_card(run, "someone/food", hub / "README.md" if hub.exists() else None)
    hub.mkdir(exist_ok=True)
    (hub / "README.md").write_bytes((run / "README.md").read_bytes())
    return content(run)


def test_a_push_names_the_repository_and_takes_what_was_written_on_the_hub(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    text = pushed(run, hub)
    assert 'model="someone/food")' in text
    assert ModelCard(text).data.model_name == "food"
    assert by_hand(read_card(text)) == NOTHING
    around(hub, below="Written there.")
    edit(hub, ("\nlibrary", "\nlicense: mit\nlibrary"))
    write(run, better())
    around(run, above="Written here.")
    text = pushed(run, hub)
    assert ("Written here." in text, "Written there." in text, NEW in text) == (True, True, True)
    assert (ModelCard(text).data.model_name, ModelCard(text).data.license) == ("food", "mit")
    assert pushed(run, hub) == text, "a second push changes nothing"
    assert "card:" not in capsys.readouterr().out


def test_changes_to_other_keys_on_the_hub_and_in_the_folder_both_stay(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    around(run, below="Words of mine.")
    pushed(run, hub)
    edit(run, ("\nlibrary", "\nlicense: mit\nlibrary"), ("datasets:\n- ethz/food101\n", ""))
    edit(hub, ("\nlibrary", "\nlanguage: ko\nlibrary"), ("base_model: google", "base_model: me"))
    write(run, better())
    text = pushed(run, hub)
    found = ModelCard(text).data.to_dict()
    assert (found["license"], found["language"]) == ("mit", "ko")
    assert found["base_model"] == "me/vit-base-patch16-224-in21k"
    assert "datasets" not in found
    assert text.count("Words of mine.") == 1
    assert not (run / "README.hub.md").exists()
    assert "card:" not in capsys.readouterr().out
    # Another run, which knows nothing of that text, must not take it for deleted.
    write(tmp_path / "other")
    assert "Words of mine." in pushed(tmp_path / "other", hub)


def test_results_that_others_added_on_the_hub_stay(tmp_path):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    for value in (0.5, 0.6):  # the folder's card has the first one when the second one is added
        index = ModelCard(pushed(run, hub)).data.to_dict()["model-index"]
        task, dataset = {"type": "image-classification"}, {"type": "own", "name": "Street photos"}
        index[0]["results"].append(
            {"task": task, "dataset": dataset, "metrics": [{"type": "accuracy", "value": value}]}
        )
        text = content(hub)
        start, end = text.index("model-index:"), text.index("\n---", 5)
        (hub / "README.md").write_text(text[:start] + yaml.safe_dump({"model-index": index}).strip() + text[end:])
        write(run, better())
    found = ModelCard(pushed(run, hub)).data.eval_results
    assert [each.metric_value for each in found if each.dataset_type == "own"] == [0.5, 0.6]
    assert len(found) == 8
    values = {each.metric_value for each in found if each.dataset_split == "test" and each.metric_type == "accuracy"}
    assert values == {1.0}


def test_a_block_that_was_edited_on_the_hub_stays_there(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    pushed(run, hub)
    edit(hub, ("# run\n", "# Our model\n"))
    write(run, better())
    text = pushed(run, hub)
    assert "# Our model\n" in text
    assert OLD in text
    new = content(run, "README.generated.md")
    assert NEW in new
    assert 'model="someone/food")' in new
    assert f"the new one is in {run / 'README.generated.md'}" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["metadata", "block"])
def test_where_both_were_edited_the_folder_s_wins_and_the_hub_s_is_saved(place, tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    for folder, license_ in ((run, "mit"), (hub, "apache-2.0")):
        write(folder)
        around(folder, below=f"By {license_}.")
        edit(folder, ("\nlibrary", f"\nlicense: {license_ if place == 'metadata' else 'mit'}\nlibrary"))
        edit(folder, ("# ", f"# {license_ if place == 'block' else 'mit'} "))
    theirs = content(hub)
    text = pushed(run, hub)
    assert ModelCard(text).data.license == "mit"
    assert "By mit.\n\nBy apache-2.0.\n" in text
    assert "# mit " in text
    assert content(run, "README.hub.md") == theirs
    assert f"which is saved as {run / 'README.hub.md'}" in capsys.readouterr().out


def test_a_card_on_the_hub_that_cannot_be_read_is_saved(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    hub.mkdir()
    (hub / "README.md").write_bytes(b"caf\xe9")
    assert "## Results" in pushed(run, hub)
    assert (run / "README.hub.md").read_bytes() == b"caf\xe9"
    assert "which is saved as" in capsys.readouterr().out


@pytest.mark.parametrize("own", [b"# My own card\n", b"caf\xe9", None])
def test_a_card_that_no_run_wrote_goes_up_as_it_is(own, tmp_path):
    if own is not None:
        (tmp_path / "README.md").write_bytes(own)
    prepare_card(tmp_path, "someone/food")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if own is None else [own])
