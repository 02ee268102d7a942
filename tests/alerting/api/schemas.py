"""What each answer must look like, as JSON schemas: nothing missing, nothing else.

After https://prometheus.io/docs/prometheus/latest/querying/api/ and what Grafana's client insists on.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
}
LABELS: Schema = {"type": "object", "additionalProperties": STRING}
# What Go's ParseFloat takes.
VALUE: Schema = {"type": "string", "pattern": r"^(NaN|[+-]Inf|-?[0-9]+(\.[0-9]+)?(e[+-][0-9]{2,3})?)$"}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def obj(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def const(value: str) -> Schema:
    return {"const": value}


def success(data: Schema) -> Schema:
    notes = {"warnings": array(STRING), "infos": array(STRING)}
    return obj({"status": const("success"), "data": data}, notes)


ERROR = obj(
    {
        "status": const("error"),
        "errorType": {"enum": ["bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found"]},
        "error": STRING,
    }
)

POINT: Schema = {"type": "array", "prefixItems": [NUMBER, VALUE], "items": False, "minItems": 2}
TEXT_POINT: Schema = {"type": "array", "prefixItems": [NUMBER, STRING], "items": False, "minItems": 2}
VECTOR = obj({"resultType": const("vector"), "result": array(obj({"metric": LABELS, "value": POINT}))})
MATRIX = obj(
    {"resultType": const("matrix"), "result": array(obj({"metric": LABELS, "values": {**array(POINT), "minItems": 1}}))}
)
SCALAR = obj({"resultType": const("scalar"), "result": POINT})
TEXT = obj({"resultType": const("string"), "result": TEXT_POINT})
QUERY = success({"oneOf": [VECTOR, MATRIX, SCALAR, TEXT]})
RANGE = success(MATRIX)
EXEMPLARS = success({"type": "array", "maxItems": 0})
STRINGS = success(array(STRING))
SERIES = success(array(LABELS))
METADATA = success(
    {
        "type": "object",
        "additionalProperties": {**array(obj({"type": STRING, "help": STRING, "unit": STRING})), "minItems": 1},
    }
)
ALERT = obj(
    {
        "labels": {**LABELS, "required": ["alertname"]},
        "annotations": LABELS,
        "state": {"enum": ["pending", "firing"]},
        "activeAt": TIME,
        "value": VALUE,
    },
    {"keepFiringSince": TIME},
)
_RULE: dict[str, Schema] = {
    "name": STRING,
    "query": STRING,
    "health": {"enum": ["ok", "err", "unknown"]},
    "evaluationTime": NUMBER,
    "lastEvaluation": TIME,
}
ALERTING_RULE = obj(
    {
        **_RULE,
        "type": const("alerting"),
        "state": {"enum": ["inactive", "pending", "firing"]},
        "duration": NUMBER,
        "keepFiringFor": NUMBER,
        "labels": LABELS,
        "annotations": LABELS,
        "alerts": array(ALERT),
    },
    {"lastError": STRING},
)
RECORDING_RULE = obj({**_RULE, "labels": LABELS, "type": const("recording")}, {"lastError": STRING})
GROUP = obj(
    {
        "name": STRING,
        "file": STRING,
        "rules": array({"oneOf": [ALERTING_RULE, RECORDING_RULE]}),
        "interval": NUMBER,
        "limit": {"type": "integer"},
        "evaluationTime": NUMBER,
        "lastEvaluation": TIME,
    }
)
RULES = success(obj({"groups": array(GROUP)}, {"groupNextToken": STRING}))
ALERTS = success(obj({"alerts": array(ALERT)}))
TARGET = obj(
    {
        "discoveredLabels": LABELS,
        "labels": LABELS,
        "scrapePool": STRING,
        "scrapeUrl": STRING,
        "globalUrl": STRING,
        "lastError": STRING,
        "lastScrape": TIME,
        "lastScrapeDuration": NUMBER,
        "health": {"enum": ["up", "down", "unknown"]},
        "scrapeInterval": STRING,
        "scrapeTimeout": STRING,
    }
)
TARGETS = success(
    obj(
        {
            "activeTargets": array(TARGET),
            "droppedTargets": {"type": "array", "maxItems": 0},
            "droppedTargetCounts": {"type": "object", "additionalProperties": {"const": 0}},
        }
    )
)
BUILDINFO = success(
    obj(dict.fromkeys(("version", "revision", "branch", "buildUser", "buildDate", "goVersion"), STRING))
)
RUNTIMEINFO = success(
    obj(
        {
            "startTime": TIME,
            "CWD": STRING,
            "hostname": STRING,
            "serverTime": TIME,
            "reloadConfigSuccess": BOOLEAN,
            "lastConfigTime": TIME,
            "corruptionCount": NUMBER,
            "goroutineCount": NUMBER,
            "GOMAXPROCS": NUMBER,
            "GOMEMLIMIT": NUMBER,
            "GOGC": STRING,
            "GODEBUG": STRING,
            "storageRetention": STRING,
        }
    )
)
CONFIG = success(obj({"yaml": STRING}))
STRING_DATA = success(STRING)
