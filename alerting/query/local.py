"""Asking a data folder: our own engine over one moment of the store."""

from __future__ import annotations

import json
from pathlib import Path

from alerting.query.answer import Answer, AskError, Question
from alerting.transfer.folder import SAMPLES


def ask(question: Question, data: Path, now_ms: int) -> Answer:
    """Raises AskError."""
    from alerting.api.values import result_json
    from alerting.promql.engine import Engine
    from alerting.promql.errors import QueryError
    from alerting.promql.parse import parse
    from alerting.storage.ports import StorageError
    from alerting.storage.snapshot import Snapshot

    try:
        expr = parse(question.expr)
        with Snapshot.open(data / SAMPLES, now_ms) as snapshot:
            engine = Engine(snapshot)
            if question.step_ms is None:
                result = engine.instant(expr, question.start_ms)
            else:
                result = engine.range(expr, question.start_ms, question.end_ms, question.step_ms)
            whole = json.loads(result_json(result))
    except QueryError as error:
        raise AskError(error.message, error.position) from error
    except StorageError as error:
        raise AskError(str(error)) from error
    return Answer(whole["data"], (*whole.get("warnings", ()), *whole.get("infos", ())))
