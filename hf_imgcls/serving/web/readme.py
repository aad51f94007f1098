"""The README of a folder for browsers."""

from pathlib import Path
from typing import Any

from hf_imgcls.scoring import REJECTION
from hf_imgcls.serving.onnx.readme import README, describe_checked
from hf_imgcls.serving.onnx.session import CONFIG
from hf_imgcls.serving.onnx.write import PREPROCESSING
from hf_imgcls.store import read_json
from hf_imgcls.words import percent

RUNTIME = "onnxruntime-web@1.30.0"  # of page.js too
_KNOWS = "transformers.js 4.3"  # which classifies images with these types
_TYPES = {
    "beit", "convnext", "convnextv2", "deit", "dinov2", "dinov2_with_registers", "efficientnet", "fastvit", "hiera",
    "ijepa", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "mobilenet_v4", "mobilevit", "mobilevitv2", "pvt",
    "resnet", "segformer", "swin", "vit", "vit_msn",
}  # fmt: skip
_SERVE = """\
```console
python -m http.server
```

in this folder, then open http://localhost:8000: drop a photo, or use the camera (which needs localhost or https). Any
static web server will do. The page classifies in the browser; images are sent nowhere."""
_OFFLINE = f"""\
The page loads {RUNTIME} from cdn.jsdelivr.net. Without a network, give it a copy in the folder `runtime`:

```console
npm pack {RUNTIME}
tar -xzf onnxruntime-web-*.tgz
mkdir runtime
cp package/dist/ort.wasm.bundle.min.mjs package/dist/ort-wasm-simd-threaded.* runtime/
```"""
_TRANSFORMERS_JS = """\
With transformers.js this folder is a model: `pipeline("image-classification", "THIS-FOLDER")`. But it resizes images
without averaging the pixels of large ones, so its probabilities differ from the model's, and some labels too. With
`pixels.js` of this folder they are the model's:

```js
import { AutoModelForImageClassification, RawImage, Tensor } from "@huggingface/transformers";
import { prepare, toScores } from "./THIS-FOLDER/pixels.js";

const model = await AutoModelForImageClassification.from_pretrained("THIS-FOLDER");
const about = await (await fetch("THIS-FOLDER/preprocessing.json")).json();
const image = (await RawImage.read("photo.jpg")).rgb();
const pixels = new Tensor("float32", prepare(image, about), [1, 3, about.height, about.width]);
const scores = toScores((await model({ pixel_values: pixels })).logits.data, about.activation); // of about.labels
```"""


def write_web_readme(folder: Path, about: dict[str, Any]) -> None:
    """Write how to serve and use the folder, and what export.json says about its check."""
    lines = [f"# {about['model']} in the browser", _SERVE, _OFFLINE, _describe_transformers_js(folder)]
    if quantized := about.get("quantized"):
        agreement = f"{percent(quantized['agreement'])} of {quantized['images']} images"
        if quantized["written"]:
            lines.append(
                '`onnx/model_quantized.onnx`, which transformers.js takes with `dtype: "q8"`, predicts as float32 does '
                f"on {agreement} (max abs. probability difference {quantized['max_difference']:.1e})."
            )
        else:
            lines.append(f"There is no quantized graph: it predicts as float32 does on {agreement} only.")
    if "checked" in about:
        lines.append(f"{describe_checked(about['checked'])} Images were prepared as in the page.")
    (folder / README).write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _describe_transformers_js(folder: Path) -> str:
    pixels, kind = read_json(folder / PREPROCESSING), read_json(folder / CONFIG)["model_type"]
    if kind not in _TYPES:
        return f"{_KNOWS} does not open models of the type {kind}; the page runs the graph with onnxruntime-web alone."
    if pixels["activation"] != "softmax":
        return f"{_KNOWS} would apply a softmax, which is not this model's score; use the page's code instead."
    unseen = (
        "\n\nIt knows nothing of the threshold of `none_of_these`, which `isNone` of `pixels.js` applies."
        if REJECTION in pixels
        else ""
    )
    return _TRANSFORMERS_JS + unseen
