from __future__ import annotations

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import SeriesData
from alerting.remote.wire import encode
from tests.alerting.remote.received import decode


def test_a_series_own_label_counts_before_an_external_one() -> None:
    labels = Labels.of({"__name__": "up", "site": "mine", "z": "1"})
    series = SeriesData(labels, np.array([1]), np.array([1.0]))
    external = Labels.of({"site": "home", "rack": "r", "zone": "z"})
    assert list(decode(encode([series], external))) == [labels.merged({"rack": "r", "zone": "z"})]
    assert list(decode(encode([series]))) == [labels]
