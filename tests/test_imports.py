"""A run does not import what it does not use."""

import subprocess
import sys

# Each of them takes a second or more, and is there on many machines.
UNUSED = {
    "matplotlib", "sklearn", "gradio", "onnx", "onnxruntime", "onnxscript", "tensorflow", "keras", "jax", "torchaudio",
    "timm", "peft", "IPython", "tensorboard", "cv2",
}  # fmt: skip


def test_a_run_and_a_prediction_import_nothing_that_they_do_not_use():
    script = "import sys, hf_imgcls.api; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.split())
    assert "hf_imgcls.training.trainer" in found
    assert found & UNUSED == set()
