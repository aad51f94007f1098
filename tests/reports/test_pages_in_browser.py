"""The pages for people in a real Chromium, as wide as a phone and a desktop: they fit, load nothing, work by keys."""

from pathlib import Path

import numpy as np
import pytest
from chromium import requested
from scored_run import drawn, scored_run
from test_report_page import subject_of

from hf_imgcls import compare_runs
from hf_imgcls.reports.report.write import write_report
from hf_imgcls.reports.similar import Neighbours, save_neighbours
from hf_imgcls.scoring.scored import add_features

LONG = "아주긴이름의반려동물_" * 6
NAMES = ["고양이", "鸟", LONG, "the_name_of_a_class_without_a_space_in_it", *[f"{n}번" for n in range(28)]]
ANSWERS = {"test": [(n, (n + (n % 3 == 0)) % len(NAMES)) for n in range(len(NAMES))] * 2}
FACTS = """
const images = [...document.images], seen = each => each.alt.trim() && each.naturalWidth && each.clientWidth;
return {
  needed: document.documentElement.scrollWidth,
  given: document.documentElement.clientWidth,
  images: images.length,
  unseen: images.filter(each => !seen(each)).map(each => each.outerHTML.slice(0, 200)),
  loaded: performance.getEntriesByType("resource").map(each => each.name).filter(each => !each.startsWith("data:")),
  text: document.body.innerText,
};
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    subject = subject_of(root, NAMES, ANSWERS, title=LONG)
    count = len(ANSWERS["test"])
    features = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    scored = {"test": add_features(subject.outputs["test"], (np.arange(count), features))}
    write_report(root, subject._replace(outputs=scored))
    files = sorted((root / "test").iterdir())
    found = [Neighbours(str(files[0]), [(str(file), 0.9) for file in files[1:6]], None)]
    save_neighbours(root / "similar.html", found, "embeddings.parquet")
    labels = np.arange(count) % 7
    given = {"files": [file.name for file in files], "recipe": {"data": {"path": str(root / "test")}}}
    runs = [scored_run(root / f"{seed}{LONG}", drawn(seed, labels, 1.0), labels, **given) for seed in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_imgcls.scoring.comparison._DRAWS", 50)
        compare_runs(runs, output=root / "comparison.html")
    return {
        "report": root / "report/report.html",
        **{name: root / f"{name}.html" for name in ("similar", "comparison")},
    }


def show(browser, page: Path, width: int) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("report", ("고양이", "鸟", LONG, "사진 <0>.png")),
        ("comparison", ("고양이", "鸟", LONG)),
        ("similar", ("사진 <0>.png",)),
    ],
)
def test_a_page_fits_shows_its_images_and_loads_nothing(name, words, pages, browser):
    for width in (390, 1280):
        show(browser, pages[name], width)
        found = browser.execute_script(FACTS)
        assert found["needed"] == found["given"]
        assert 0 <= width - found["given"] < 20, "but for a scroll bar"
        assert found["images"] > 5
        assert found["unseen"] == []
        assert found["loaded"] == []
        assert [each for each in words if each not in found["text"]] == []
    assert requested(browser) == set()
    assert browser.get_log("browser") == []


def test_the_report_is_read_by_keys_alone(pages, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def press(*keys: str) -> None:
        ActionChains(browser, duration=0).send_keys(*keys).perform()

    def ask(expression: str):
        return browser.execute_script(f"return {expression}")

    show(browser, pages["report"], 390)
    ask("window.reached = [], addEventListener('focusin', event => reached.push(event.target))")
    keyed = "[...document.querySelectorAll('a, summary, [tabindex]')].filter(each => each.checkVisibility())"
    count = ask(f"{keyed}.length")
    assert count > 12
    press(Keys.TAB)
    assert ask("document.activeElement.textContent") == "Skip to the scores"
    assert ask("document.activeElement.getBoundingClientRect().left") > 0, "seen where it has the focus"
    press(Keys.TAB * (count - 1))
    assert ask(f"{keyed}.every((each, place) => each == reached[place])")

    for href in ("#scores", "#mistakes"):
        ask(f"[...document.querySelectorAll('a')].find(each => each.hash == '{href}').focus()")
        press(Keys.ENTER)
        assert ask("location.hash") == href
        assert -1 < ask("document.querySelector(location.hash).getBoundingClientRect().top") < 844

    ask("document.querySelector('summary').focus()")
    press(Keys.ENTER, Keys.TAB)
    assert ask("document.querySelector('details').open")
    assert ask("document.activeElement.closest('details') != null"), "the table in it"
    ask("document.querySelector('.scroll:has(.matrix)').focus()")
    press(Keys.ARROW_RIGHT)
    WebDriverWait(browser, 5).until(lambda _: ask("document.activeElement.scrollLeft") > 0)
