"""A run does not import what it does not use."""

from fresh import run_fresh

# Each of them takes a second or more, and is there on many machines. (peft too: transformers' Trainer imports it.)
UNUSED = {
    "matplotlib", "sklearn", "gradio", "onnx", "onnxruntime", "onnxscript", "tensorflow", "keras", "jax", "torchaudio",
    "timm", "IPython", "tensorboard", "cv2", "ray",
}  # fmt: skip


def test_a_run_and_a_prediction_import_nothing_that_they_do_not_use():
    done = run_fresh("import sys, hf_imgcls.api; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.split())
    assert "hf_imgcls.training.trainer" in found
    assert found & UNUSED == set()
