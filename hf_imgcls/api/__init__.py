"""The Python API: each function is the complete workflow of one command, across the other layers."""

from hf_imgcls.api.average import average_models
from hf_imgcls.api.benchmark import check_measurement_file, describe_measurement, measure_recipe
from hf_imgcls.api.blocks_on_ray import RayOptions
from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.compare import compare_runs
from hf_imgcls.api.describe import describe_network
from hf_imgcls.api.embed import EmbedOptions, embed_images
from hf_imgcls.api.evaluate import evaluate_classifier
from hf_imgcls.api.explain import ExplainOptions, describe_row, explain_images
from hf_imgcls.api.export import ExportOptions, export_model
from hf_imgcls.api.find_batch import find_batch_size
from hf_imgcls.api.find_lr import find_learning_rate
from hf_imgcls.api.fit import FitOptions, fit_folder
from hf_imgcls.api.image_rows import describe_counts
from hf_imgcls.api.init import write_recipe
from hf_imgcls.api.inspect import InspectOptions, inspect_data
from hf_imgcls.api.on_ray import predict_on_ray
from hf_imgcls.api.pack import PackOptions, pack_data
from hf_imgcls.api.predict import predict_images
from hf_imgcls.api.push import push_model
from hf_imgcls.api.similar import SimilarOptions, find_similar
from hf_imgcls.api.train import train_classifier
from hf_imgcls.api.tune import TuneOptions, tune_recipe
