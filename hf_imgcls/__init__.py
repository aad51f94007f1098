"""One recipe trains, scores, saves and serves an image classifier.

    from hf_imgcls import train_classifier
    results = train_classifier("recipes/digits_resnet.json", ["training.num_train_epochs=5"])

Names are imported on first use: `import hf_imgcls` is quick and has no side effects.
"""

import importlib

__version__ = "0.2.0"
_HOMES = {
    "InputError": "errors",
    "load_recipe": "recipe",
    "load_data": "data",
    "build_model": "models",
    "train_classifier": "api",
    "evaluate_classifier": "api",
    "average_models": "api",
    "compare_runs": "api",
    "predict_images": "api",
    "predict_on_ray": "api",
    "ImageClassifier": "serving",
    "embed_images": "api",
    "find_similar": "api",
    "explain_images": "api",
    "measure_recipe": "api",
    "export_model": "api",
    "describe_network": "api",
    "fit_folder": "api",
    "find_learning_rate": "api",
    "find_batch_size": "api",
    "tune_recipe": "api",
    "inspect_data": "api",
    "pack_data": "api",
}
_FORMER = {"predict_pictures": "predict_images"}  # names of earlier versions
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    name = _FORMER.get(name, name)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
