import pytest
import transformers

from hf_imgcls.models.dropout import describe_dropout
from hf_imgcls.recipe.sections import HeadSection, ModelSection


@pytest.mark.parametrize(
    ("config", "override"),
    [
        (transformers.MobileNetV2Config(), "model.config.classifier_dropout_prob=0.2"),
        (transformers.MobileNetV1Config(), "model.config.classifier_dropout_prob=0.2"),
        (transformers.EfficientNetConfig(dropout_rate=0.9), "model.config.dropout_rate=0.2"),
        (transformers.TimmWrapperConfig(model_args={"drop_rate": 0.8}), "model.config.model_args.drop_rate=0.2"),
        (transformers.ViTConfig(), None),
        (transformers.EfficientNetConfig(), None),
    ],
)
def test_a_strong_dropout_is_said_with_its_override(config, override):
    line = describe_dropout(config, ModelSection(checkpoint="photos/net"))
    assert line is None if override is None else override in line


def test_nothing_is_said_of_what_the_recipe_chose():
    config = transformers.MobileNetV2Config()
    for section in (
        ModelSection(checkpoint="net", config={"classifier_dropout_prob": 0.9}),
        ModelSection(checkpoint="net", from_scratch=True),
        ModelSection(checkpoint="net", head=HeadSection()),
    ):
        assert describe_dropout(config, section) is None
