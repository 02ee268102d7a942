"""``tierwatch query``: an expression in, a table, JSON or a graph out."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from alerting.clock import SystemClock
from alerting.query import local, remote
from alerting.query.answer import Answer, AskError, Question
from alerting.query.graph import graph, natural_step
from alerting.query.table import table
from alerting.query.terminal import Terminal, harmless
from alerting.query.times import parse_moment, parse_step
from config.load import CLUSTER_FILE, load_cluster
from config.problems import ConfigError

DEFAULT_URL = "http://127.0.0.1:9190"
SYSTEM_CONFIG = Path("/etc/tierwatch")
PORT = 9190
MOST_POINTS = 11_000
_HELP = """\
TIME is now, now-1h30m, RFC 3339 (2026-01-31T12:00:00Z) or seconds since 1970; S is 15s, 1m30s or seconds.

Without --url and --data the address is TIERWATCH_URL, else the hub's in the configuration (TIERWATCH_CONFIG or
/etc/tierwatch), else http://127.0.0.1:9190. --data works beside a running aggregator and without one; the samples of
the last ten seconds may not be on disk yet.

  tierwatch query 'up == 0'
  tierwatch query --range now-6h now 'max by (node) (node_hwmon_temp_celsius)'
  tierwatch query --range now-1d now --step 5m --format json 'sum(rate(node_network_receive_bytes_total[5m]))'
"""


def main(argv: Sequence[str]) -> int:
    """Exit status 0 for an answer, also an empty one; 1 for none; 2 for options that make no sense."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(sys.stdout)
    now_ms = SystemClock().now_ms() // 1000 * 1000
    try:
        question = _question(arguments, now_ms, terminal)
    except ValueError as error:
        parser.error(str(error))
    try:
        if arguments.data is not None:
            answer = local.ask(question, arguments.data, now_ms)
        else:
            answer = remote.ask(question, arguments.url or default_url(os.environ))
        text = _shown(answer, question, arguments.format, terminal)
    except AskError as error:
        sys.stderr.write(complaint(error, question.expr))
        return 1
    for note in answer.notes:
        sys.stderr.write(f"{harmless(note)}\n")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label may hold what the terminal's encoding does not
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # its reader has gone: the rest goes nowhere
        return 1
    if not text:
        sys.stderr.write("no series\n")
    return 0


def default_url(environment: Mapping[str, str]) -> str:
    """Where the aggregator of this machine's configuration listens."""
    if named := environment.get("TIERWATCH_URL"):
        return named
    directory = Path(environment.get("TIERWATCH_CONFIG") or SYSTEM_CONFIG)
    if not (directory / CLUSTER_FILE).exists():
        return DEFAULT_URL
    try:
        cluster = load_cluster(directory)
    except ConfigError:
        return DEFAULT_URL
    hub = cluster.hub()
    if hub is None:
        return DEFAULT_URL
    node = cluster.nodes[hub]
    ports = [service.port for service in node.services.values() if service.kind == "tierwatch" and service.port]
    return f"http://{node.address}:{ports[0] if ports else PORT}"


def complaint(error: AskError, expr: str) -> str:
    """What is wrong, and where in the expression."""
    lines = [f"tierwatch query: {harmless(error.message)}"]
    if error.position is not None:
        row, column = error.position
        rows = expr.split("\n")
        if 1 <= row <= len(rows):
            text = rows[row - 1].replace("\t", " ")
            lines += [f"  {harmless(text)}", "  " + " " * (min(column, len(text) + 1) - 1) + "^"]
    if error.advice:
        lines.append(error.advice)
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tierwatch query",
        description="Ask an aggregator, or its data folder, with PromQL.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("expr", metavar="EXPR")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--at", metavar="TIME", help="default: now")
    when.add_argument("--range", nargs=2, metavar=("START", "END"), help="values over a time")
    parser.add_argument("--step", metavar="S", help="between two values of a range; default: what suits the width")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="an aggregator, or anything with Prometheus' API")
    where.add_argument("--data", type=Path, metavar="DIR", help="a data folder")
    parser.add_argument(
        "--format",
        choices=("table", "json", "graph"),
        help="default: a table, a graph for a range; json is the API's data",
    )
    return parser


def _question(arguments: argparse.Namespace, now_ms: int, terminal: Terminal) -> Question:
    """Raises ValueError."""
    if arguments.range is None:
        if arguments.step is not None:
            raise ValueError("--step goes with --range")
        at_ms = parse_moment(arguments.at or "now", now_ms)
        return Question(arguments.expr, at_ms, at_ms)
    start_ms, end_ms = (parse_moment(text, now_ms) for text in arguments.range)
    if end_ms < start_ms:
        raise ValueError("--range: the end lies before the start")
    try:
        step_ms = parse_step(arguments.step) if arguments.step else natural_step(start_ms, end_ms, terminal)
    except ValueError as error:
        raise ValueError(f"--step: {error}") from error
    if (end_ms - start_ms) // step_ms >= MOST_POINTS:
        raise ValueError(f"--step: more than {MOST_POINTS:,} values; take a longer step")
    return Question(arguments.expr, start_ms, end_ms, step_ms)


def _shown(answer: Answer, question: Question, form: str | None, terminal: Terminal) -> str:
    if form == "json":
        return json.dumps(answer.data, ensure_ascii=not terminal.unicode, separators=(",", ":")) + "\n"
    if form == "table" or (form is None and question.step_ms is None):
        return table(answer, terminal)
    if answer.kind != "matrix":
        raise AskError("a graph needs values over a time", advice="add --range START END, such as --range now-1h now")
    lines = answer.lines
    if not lines:
        return ""
    if question.step_ms is None:
        start_ms = min(line.times[0] for line in lines)
        return graph(lines, start_ms, max(question.end_ms, start_ms), None, terminal)
    return graph(lines, question.start_ms, question.end_ms, question.step_ms, terminal)
