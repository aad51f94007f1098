"""The metrics of the table as those of `evaluate`; none of them needs the network."""

import numpy as np

from hf_imgcls.scoring.metrics import METRICS
from hf_imgcls.scoring.scored import Scored


def evaluate_metrics() -> list:
    """`evaluate.Metric`s, for `evaluate.combine`: `predictions` are each image's best classes, best first."""
    import datasets  # 2 s that scoring does not need
    import evaluate

    class RankedMetric(evaluate.Metric):
        key: str

        def _info(self) -> evaluate.MetricInfo:
            columns = {
                "predictions": datasets.Sequence(datasets.Value("int64")),
                "references": datasets.Value("int64"),
            }
            features = datasets.Features(columns)
            return evaluate.MetricInfo(description=METRICS[self.key].compute.__doc__, citation="", features=features)

        def _compute(self, predictions, references) -> dict[str, float]:
            ranked, unknown = np.array(predictions), np.full(len(references), np.nan)
            split = Scored(ranked, unknown, unknown, np.array(references), ranked.shape[1])
            return {self.key: METRICS[self.key].compute(split)}

    return [type(key, (RankedMetric,), {"key": key})() for key in METRICS if key != "loss"]
