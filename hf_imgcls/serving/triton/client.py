"""Asks a Triton Inference Server for the labels of images; needs numpy and Pillow.

python client.py [--url http://localhost:8000] photo.jpg ...
"""

import argparse
import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hf_imgcls.serving.onnx.pixels import prepare


def classify(file: str, about: dict, url: str) -> list[tuple[str, float | None]]:
    """Labels of an image with their scores, the best first.

    Of several labels an image those that reach their thresholds; "none of these" comes first, without a score.

    Args:
        about: the content of preprocessing.json; its `triton_model` is the model's name on the server.
    """
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    pixels = np.ascontiguousarray(prepare(image, about)[None], "<f4")
    return choose(infer(pixels, about, url)[0], about)


def infer(pixels: np.ndarray, about: dict, url: str) -> np.ndarray:
    """Logits (n, classes) of pixels (n, 3, height, width): the KServe protocol with Triton's binary tensors."""
    size = {"binary_data_size": pixels.nbytes}
    tensor = {"name": about["input"], "shape": pixels.shape, "datatype": "FP32", "parameters": size}
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": about["output"]}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    address = f"{url}/v2/models/{about['triton_model']}/infer"
    with urllib.request.urlopen(urllib.request.Request(address, head + pixels.tobytes(), headers)) as response:
        (output,) = json.load(response)["outputs"]
    return np.reshape(output["data"], output["shape"])


def choose(logits: np.ndarray, about: dict) -> list[tuple[str, float | None]]:
    """Labels with their scores, of logits (classes,)."""
    if not np.isfinite(logits).all():
        raise ValueError("the model's scores are not numbers")
    powers = np.exp(logits - logits.max())
    scores = {"sigmoid": 1 / (1 + np.exp(-logits)), "none": logits}.get(about["activation"], powers / powers.sum())
    order = np.argsort(-scores, kind="stable")
    thresholds = about.get("thresholds", [-np.inf] * len(order))
    best = [(about["labels"][i], float(scores[i])) for i in order if scores[i] >= thresholds[i]]
    if rejection := about.get("none_of_these"):
        confidence = scores.max() if rejection["by"] == "score" else logits.max() + np.log(powers.sum())
        if not confidence >= rejection["threshold"]:
            best.insert(0, ("none of these", None))
    return best


def clean(text: str) -> str:
    """Text that no terminal acts on."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+")
    parser.add_argument("--url", default="http://localhost:8000")
    options = parser.parse_args()
    about = json.loads(Path(__file__).with_name("preprocessing.json").read_text(encoding="utf-8"))
    for file in options.images:
        try:
            best = classify(file, about, options.url)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{options.url}: {error} {error.read().decode(errors='replace')}") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise SystemExit(f"{file}: {error}") from None
        best = best if "thresholds" in about else best[:5]
        shown = ", ".join(label if score is None else f"{label} {score:.4f}" for label, score in best)
        print(clean(f"{file}: {shown}"))


if __name__ == "__main__":
    main()
