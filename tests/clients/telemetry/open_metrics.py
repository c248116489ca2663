"""Reads OpenMetrics from standard input with the strict parser of prometheus_client, and prints the exemplars as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

exemplars = [
    {
        "name": sample.name,
        "labels": sample.labels,
        "exemplar": sample.exemplar.labels,
        "value": sample.exemplar.value,
        "at": sample.exemplar.timestamp,
    }
    for family in text_string_to_metric_families(sys.stdin.read())
    for sample in family.samples
    if sample.exemplar
]
json.dump(exemplars, sys.stdout, default=float)
