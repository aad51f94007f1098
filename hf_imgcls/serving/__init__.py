"""Weights to predictions: opening any model, predicting, the parity check, the demo, ONNX."""

from hf_imgcls.serving.classifier import Classifier, score_function
from hf_imgcls.serving.demo import PAGE, TOP_K, describe_demo, serve_demo
from hf_imgcls.serving.image_list import Listed, find_images, read_list, write_list
from hf_imgcls.serving.inference import predict_rows
from hf_imgcls.serving.onnx.check import Images, check_export, cost_of_int8, evaluation_images
from hf_imgcls.serving.onnx.folder import INT8, check_target, draft_of, finish, write_export, write_int8
from hf_imgcls.serving.onnx.graph import OPSET, import_exporter, quiet
from hf_imgcls.serving.onnx.session import MODEL, is_exported, open_exported
from hf_imgcls.serving.open import PredictOptions, open_classifier
from hf_imgcls.serving.output import Earlier, RowWriter, check_same, columns, merge_parts, read_earlier
from hf_imgcls.serving.parity import TOLERANCE, check_serving, describe_parity
from hf_imgcls.serving.terminal import TerminalTable
