"""The card's code: from an image to a label, with transformers alone."""

from pathlib import Path
from typing import Any

from hf_imgcls.reports.card.sets import example_of_sets
from hf_imgcls.store import own_code

_EXAMPLE = """\
```python
from transformers import pipeline

classifier = pipeline("image-classification", model={})
for prediction in classifier("photo.jpg", top_k=3):
    print(f"{{prediction['score']:.3f}} {{prediction['label']}}")
```"""
_REJECTING = """\
```python
import torch
from transformers import pipeline

classifier = pipeline("image-classification", model={name})
rejection = classifier.model.config.none_of_these  # pipeline itself gives every image a class
best = classifier("photo.jpg", top_k={classes}, function_to_apply="none")
logits = torch.tensor([prediction["score"] for prediction in best])
confidence = {confidence}
label = best[0]["label"] if confidence >= rejection["threshold"] else "none of these"
print(label, logits.softmax(0)[0].item(), best[0]["label"])
```"""
_BY_DISTANCE = """\
```python
import torch
from safetensors.torch import load_file
from transformers import pipeline
from transformers.utils import cached_file

classifier = pipeline("image-classification", model={name})
rejection = classifier.model.config.none_of_these  # pipeline itself gives every image a class
known, features = load_file(cached_file(classifier.model.name_or_path, "none_of_these.safetensors")), []
head = classifier.model.get_submodule(rejection["head"])
head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].flatten(1).float().cpu()))
best = classifier("photo.jpg")
standardized = (features.pop() - known["centre"]) / known["scale"]
confidence = torch.cosine_similarity(standardized, known["means"]).max()
label = best[0]["label"] if confidence >= rejection["threshold"] else "none of these"
print(label, best[0]["score"], best[0]["label"])
```"""
_CONFIDENCE = {"score": "logits.softmax(0).max()", "energy": "logits.logsumexp(0)"}


def use_section(folder: Path, name: str, results: dict[str, Any]) -> list[str]:
    code = own_code(folder)
    trust = ", trust_remote_code=True" if code else ""
    model, rejection = f'"{name}"{trust}', results.get("rejection")
    several = any("map" in values for values in results["scores"].values()) or results.get("multi_label")
    text = ["## Use", example_of_sets(model, results.get("thresholds")) if several else _EXAMPLE.format(model)]
    if rejection:
        own = {"confidence": _CONFIDENCE.get(rejection["by"]), "classes": len(results["labels"])}
        example = _BY_DISTANCE if rejection["by"] == "distance" else _REJECTING
        text += ["With `none of these`:", example.format(name=model, **own)]
    if code:
        text.append(
            f"The architecture is not part of transformers: its code comes with the model, in "
            f"`{code.partition('.')[0]}.py`, and runs only with `trust_remote_code=True`. Read it first."
        )
    return text
