"""Models and their image processors, from a checkpoint or from an architecture alone."""

from hf_imgcls.models.build import build_model, load_saved
from hf_imgcls.models.restore import RestoreError, check_restored, restore

__all__ = ["RestoreError", "build_model", "check_restored", "load_saved", "restore"]
