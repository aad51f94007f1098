"""A repository loaded as its users will load it: by its id, in a fresh process with an empty cache.

python readback.py FOLDER REPOSITORY COMMIT IMAGES [--trust-remote-code]

Imports nothing of the package: what runs here must run where the package is not installed. Prints as JSON, in its last
line, the number of images and the largest difference of a probability between folder and repository.
"""

import json
import sys
from pathlib import Path

from PIL import Image
from transformers import pipeline


def main(folder: str, repository: str, commit: str, images: str, *trust: str) -> None:
    # On the CPU, whatever the machine has: the same arithmetic for both, and a training may still hold the GPU.
    code = {"trust_remote_code": True} if trust else {}
    here = pipeline("image-classification", model=folder, device="cpu", **code)
    there = pipeline("image-classification", model=repository, revision=commit, device="cpu", **code)
    files = sorted(Path(images).iterdir())
    largest = max(_difference(_scores(here, file), _scores(there, file)) for file in files)
    print(json.dumps({"images": len(files), "max_difference": largest}))


def _scores(classifier, file: Path) -> dict[str, float]:
    with Image.open(file) as image:
        return {
            prediction["label"]: prediction["score"]
            for prediction in classifier(image, top_k=len(classifier.model.config.id2label))
        }


def _difference(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[label] - other[label]) for label in one) if one.keys() == other.keys() else 1.0


if __name__ == "__main__":
    main(*sys.argv[1:])
