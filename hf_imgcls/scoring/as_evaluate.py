"""The metrics of the table as metrics of `evaluate`, for those who score with it; runs score without it."""

import numpy as np

from hf_imgcls.scoring.metrics import METRICS
from hf_imgcls.scoring.scored import Scored
from hf_imgcls.scoring.sets import ScoredSets


def evaluate_metrics(multi_label: bool = False) -> list:
    """`evaluate.Metric`s, for `evaluate.combine`: `predictions` are each image's best classes, best first.

    With `multi_label` they are each image's logits, and `references` whether it has each label.
    """
    import datasets  # 2 s that scoring does not need
    import evaluate

    kind = datasets.Value("float32" if multi_label else "int64")
    references = datasets.Sequence(datasets.Value("bool")) if multi_label else kind

    class RunMetric(evaluate.Metric):
        key: str

        def _info(self) -> evaluate.MetricInfo:
            features = datasets.Features({"predictions": datasets.Sequence(kind), "references": references})
            about = (METRICS[self.key].of_sets if multi_label else METRICS[self.key].compute).__doc__
            return evaluate.MetricInfo(description=about, citation="", features=features)

        def _compute(self, predictions, references) -> dict[str, float]:
            if multi_label:
                sets = ScoredSets(np.array(predictions, np.float32), np.array(references, bool))
                return {self.key: METRICS[self.key].of_sets(sets)}
            ranked, unknown = np.array(predictions), np.full(len(references), np.nan)
            split = Scored(ranked, unknown, unknown, np.array(references), ranked.shape[1])
            return {self.key: METRICS[self.key].compute(split)}

    keys = [key for key, metric in METRICS.items() if (metric.of_sets if multi_label else metric.compute)]
    return [type(key, (RunMetric,), {"key": key})() for key in keys if multi_label or key != "loss"]
