"""The page of a report: whole, self-contained, escaped, with words for what is shown."""

import html.parser
import json

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import make_image
from made_run import made_results, outputs

from hf_imgcls.reports.report.content import Subject
from hf_imgcls.reports.report.write import write_report
from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.sets import ScoredSets

NAMES = ["고양이", '<b>개</b> & "犬"', "새"]
ANSWERS = {"validation": [(0, 0), (1, 1), (2, 2), (2, 1)], "test": [(0, 0), (0, 1), (0, 1), (1, 1), (1, 0), (2, 2)]}
COLUMNS = {"image": datasets.Image(decode=False), "name": datasets.Value("string"), "row": datasets.Value("int64")}
HISTORY = [{"step": n, "epoch": n / 2, "loss": 1 / n, "learning_rate": 1e-4 / n} for n in (1, 2, 3)]
HISTORY += [{"step": 2, "epoch": 1.0, "eval_loss": 0.7, "eval_accuracy": 0.5}]


class Page(html.parser.HTMLParser):
    """What a page holds: elements with their attributes, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def rows_of(answers, folder, names=NAMES):
    folder.mkdir(exist_ok=True)
    files = []
    for number, _ in enumerate(answers):
        files.append(folder / f"사진 <{number}>.png")
        make_image("red", number).save(files[-1])
    images = [{"bytes": None, "path": str(file)} for file in files]
    columns = {"image": images, "name": [f"<i>/{file.name}" for file in files], "row": list(range(len(files)))}
    features = datasets.Features({**COLUMNS, "label": datasets.ClassLabel(names=names)})
    return datasets.Dataset.from_dict({**columns, "label": [label for label, _ in answers]}, features=features)


def subject_of(tmp_path, names=NAMES, answers=ANSWERS, **changes) -> Subject:
    results = {**made_results(names, answers), "cautions": {"test": ["1 image is <also> in train"]}, "duplicates": []}
    given = {split: outputs(pairs, len(names)) for split, pairs in answers.items()}
    splits = {split: rows_of(pairs, tmp_path / split, names) for split, pairs in answers.items()}
    stages = [{"stage": 1, "best_step": 2, "history": HISTORY}]
    return Subject("run <1>", results, given, splits, stages, names)._replace(**changes)


def page_of(folder, subject) -> Page:
    write_report(folder, subject)
    return Page((folder / "report/report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    folder = tmp_path_factory.mktemp("report")
    return page_of(folder, subject_of(folder))


def test_nothing_is_loaded_from_elsewhere(page):
    links = [a[key] for _, a in page.elements for key in ("src", "href", "xlink:href") if key in a]
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.elements)
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert all(link[1:] in ids for link in links if link.startswith("#"))


def test_names_are_shown_as_they_are_and_never_as_markup(page):
    assert {"b", "i", "also"} & {tag for tag, attributes in page.elements if attributes} == set()
    for words in (*NAMES, "run <1>", "<i>/사진 <1>.png", "test: 1 image is <also> in train"):
        assert words in page.words
    assert "i" not in {tag for tag, _ in page.elements}


def test_what_is_shown_is_told_in_words_and_reached_by_keys(page):
    images = page.all("img")
    assert images[0]["alt"].startswith("<i>/사진 <")
    assert all("labelled" in each["alt"] and "predicted" in each["alt"] for each in images)
    drawn = [each for each in page.all("svg") if "aria-hidden" not in each]
    assert all(each["role"] == "img" and len(each["aria-label"]) > 20 for each in drawn)
    regions = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in regions)
    assert page.all("html")[0]["lang"] == "en"


def test_the_headline_has_what_must_be_read_with_it(page):
    assert "50.0 % of 6 test images are right (95 % interval 18.8 % to 81.2 %)" in page.words
    assert "Always predicting the most frequent class: 50.0 %" in page.words
    head = page.words.index("test: 1 image is <also> in train")
    assert head < page.words.index("Scores by split")
    assert "best: epoch 1" in page.words


def test_files_for_programs_have_every_scored_image(tmp_path):
    subject = subject_of(tmp_path)
    write_report(tmp_path, subject)
    rows = pq.read_table(tmp_path / "report/predictions.parquet")
    assert json.loads(rows.schema.metadata[b"labels"]) == NAMES
    found = rows.to_pydict()
    assert found["split"] == ["validation"] * 4 + ["test"] * 6
    assert found["label"] == [NAMES[label] for pairs in ANSWERS.values() for label, _ in pairs]
    assert found["prediction"] == [NAMES[given] for pairs in ANSWERS.values() for _, given in pairs]
    scores = np.array(found["scores"])
    np.testing.assert_allclose(scores.max(1), found["score"], rtol=1e-6)
    np.testing.assert_allclose(-np.log(found["label_score"]), found["loss"], rtol=1e-5)
    assert found["file"][4] == "<i>/사진 <0>.png"
    listed = pq.read_table(tmp_path / "report/splits.parquet").to_pydict()
    assert (listed["split"], listed["file"]) == (found["split"], found["file"])
    content = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert content["splits"]["test"]["confused"][0]["images"] == 2
    assert [each["file"] for each in content["splits"]["validation"]["worst_mistakes"]] == ["<i>/사진 <3>.png"]
    losses = [found["loss"][4 + each["place"]] for each in content["splits"]["test"]["worst_mistakes"]]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 3


def test_a_stream_an_image_that_is_gone_and_one_without_scores_are_told(tmp_path):
    subject = subject_of(tmp_path)
    stream = subject.splits["test"].to_iterable_dataset()
    results = {**subject.results, "duplicates": None}
    shown = page_of(tmp_path / "stream", subject._replace(splits={"test": stream}, results=results))
    assert shown.all("img") == []
    assert "The images of a stream are not kept" in shown.words
    assert pq.read_table(tmp_path / "stream/report/predictions.parquet")["file"].null_count == 10
    assert not (tmp_path / "stream/report/splits.parquet").exists()

    for file in (tmp_path / "test").iterdir():
        file.unlink()
    subject.outputs["test"].ranked[0] = -1
    shown = page_of(tmp_path / "gone", subject)
    assert "cannot be read" in shown.words
    assert pq.read_table(tmp_path / "gone/report/predictions.parquet")["prediction"].null_count == 1


def test_several_labels_an_image_have_a_page_of_their_own(tmp_path):
    generator = np.random.default_rng(0)
    has = generator.random((6, 3)) < 0.5
    has[:2] = [[True, True, False], [False, False, False]]
    logits = np.where(has, 1.5, -1.5) + generator.normal(0, 0.5, has.shape)
    logits[1, 2], logits[2] = 3.0, np.nan
    split = ScoredSets(logits.astype(np.float32), has, thresholds=np.array([0.5, 0.6, 0.4]))
    scores = {"images": 6, "map": 0.8, "macro_f1": 0.7, "loss": 0.4, "map_interval_95": [0.6, 0.9], "map_baseline": 0.4}
    results = {
        "labels": NAMES,
        "scores": {"test": scores},
        "breakdown": break_down({"test": split}, {"test": scores}, NAMES),
    }
    rows = rows_of(ANSWERS["test"], tmp_path / "test")
    subject = Subject("run", {**results, "cautions": {}, "duplicates": []}, {"test": split}, {"test": rows}, (), NAMES)
    shown = page_of(tmp_path, subject)
    assert "0.8000 mean average precision (mAP) on 6 test images (95 % interval 0.6000 to 0.9000" in shown.words
    assert "average precision" in shown.words
    assert "Confusions" not in shown.words
    content = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))["splits"]["test"]
    worst = content["worst_mistakes"][0]
    assert (worst["place"], worst["label"], worst["prediction"]) == (1, "no label", NAMES[2])
    assert 2 not in [each["place"] for each in content["worst_mistakes"] + content["least_certain"]]
    assert sum(each["images"] for each in content["calibration"]["bins"]) == 15
    found = pq.read_table(tmp_path / "report/predictions.parquet").to_pydict()
    assert found["labels"][:2] == [NAMES[:2], []]
    assert found["predictions"][1] == [NAMES[2]]


def test_without_a_scored_split_the_report_says_so(tmp_path):
    subject = subject_of(tmp_path)
    results = {**subject.results, "scores": {}, "breakdown": {}}
    shown = page_of(tmp_path, subject._replace(outputs={}, results=results))
    assert "neither a validation nor a test split" in shown.words
    assert "Learning rate" in shown.words
    assert not (tmp_path / "report/predictions.parquet").exists()
