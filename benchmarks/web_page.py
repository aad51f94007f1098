"""Whether the page of an export for browsers predicts as the model does, in Chromium with the real onnxruntime-web.

    hf-imgcls export RUN --format web --output FOLDER
    npm pack onnxruntime-web@1.30.0 && tar -xzf onnxruntime-web-*.tgz
    python benchmarks/web_page.py FOLDER RUN PHOTOS --runtime package/dist --screenshot page.png

Every photo is chosen in the page as a user would. Prints on how many the best label is the model's, the largest
difference of a shown probability, and the seconds a photo takes; needs Chromium with its driver, and selenium.
"""

import argparse
import functools
import http.server
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from chromium import open_chromium
from web import serve

from hf_imgcls.images import read_image
from hf_imgcls.serving import find_images, open_classifier

ROWS = """return [...document.querySelectorAll("#results li")].map((row) => [
  row.querySelector(".label").textContent, Number(row.dataset.score)])"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def main(options: argparse.Namespace) -> None:
    model = open_classifier(options.run, trust_remote_code=True)
    files = list(find_images([options.photos]))[:: options.every]
    agreed, largest, seconds = 0, 0.0, []
    with tempfile.TemporaryDirectory() as place:
        page = shutil.copytree(options.folder, Path(place, "page"))
        shutil.copytree(options.runtime, page / "runtime", ignore=shutil.ignore_patterns("*.map", "*webgpu*", "*jsep*"))
        handler = functools.partial(Quiet, directory=str(page))
        with serve(handler) as url, open_chromium(Path(place, "profile")) as browser:
            browser.get(url)
            wait(browser, lambda status: status == "Ready.")
            for file in files:
                start = time.perf_counter()
                browser.execute_script("document.getElementById('status').textContent = '?'")
                browser.find_element("id", "file").send_keys(str(Path(file).resolve()))
                wait(browser, lambda status: status != "?" and "classifying" not in status)
                seconds.append(time.perf_counter() - start)
                scores = model.scores([model.process(read_image({"bytes": None, "path": file}))])[0]
                shown, wanted = browser.execute_script(ROWS), dict(model.top(scores, len(scores)))
                agreed += shown[0][0] == next(iter(wanted))
                largest = max(largest, *(abs(wanted[label] - score) for label, score in shown))
            browser.save_screenshot(options.screenshot)
    print(
        f"{options.folder}: the model's label on {agreed} of {len(files)} images; largest difference of a probability "
        f"{largest:.1e}; {np.median(seconds):.2f} s a photo (median)"
    )


def wait(browser, done) -> None:
    end = time.monotonic() + 60
    while not done(browser.find_element("id", "status").text):
        if time.monotonic() > end:
            sys.exit(browser.find_element("id", "status").text)
        time.sleep(0.02)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the export")
    parser.add_argument("run", help="the model that it was made from")
    parser.add_argument("photos")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo")
    parser.add_argument("--runtime", required=True, help="the folder dist of onnxruntime-web")
    parser.add_argument("--screenshot", default="page.png")
    main(parser.parse_args())
