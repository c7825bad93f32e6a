"""Reads both formats of the endpoint with Prometheus' own client library, and holds them against each other."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

TIMED = "mailwarden_command_duration_seconds"


def key(sample):
    # The two formats write the bounds of buckets in two ways.
    labels = {name: float(value) if name == "le" else value for name, value in sample.labels.items()}
    return sample.name, tuple(sorted(labels.items()))


def samples(families):
    return {key(sample): sample for family in families for sample in family.samples}


new = list(openmetrics(open(sys.argv[1]).read()))
old = list(classic(open(sys.argv[2]).read()))
assert samples(new).keys() == samples(old).keys(), list(samples(new).keys() ^ samples(old).keys())[:10]
for family in new:
    assert family.documentation and family.type in ("counter", "gauge", "histogram", "info"), family
    ending = family.name.rsplit("_", 1)[1]
    assert family.unit == (ending if ending in ("seconds", "bytes") else ""), family
shown = [sample.exemplar for family in new for sample in family.samples if sample.exemplar]
assert all(family.name == TIMED for family in new if any(sample.exemplar for sample in family.samples))
for exemplar in shown:
    assert len(exemplar.labels["trace_id"]) == 32 and exemplar.value > 0 and float(exemplar.timestamp) > 1.6e9, exemplar
print(len(new), len(samples(new)), *sorted({exemplar.labels["trace_id"] for exemplar in shown}))
