"""The same texts as Prometheus: every template is rendered by both and must come out letter for letter the same."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from alerting.rules.template import Template, TemplateData
from alerting.rules.template_functions import TemplateSample
from alerting.rules.template_lex import TemplateError
from tests.support.peers import need

VALUES = {
    "zero": "0",
    "one": "1",
    "ratio": "0.87654321",
    "tiny": "0.00001234",
    "small": "0.0567",
    "hour": "3725.75",
    "day": "200000",
    "negative": "-90.5",
    "million": "1234567",
    "big": "123456789012",
    "time": "1700000000.5",
    "huge": "1e15",
    "infinite": "+Inf",
    "minus": "-Inf",
    "hundred thousand": "100000",
    "thousand": "999.96",
    "kibi": "1024",
}

TEMPLATES = [
    "{{ $value }}",
    "{{ .Value }} of {{ .Labels.node }} and {{ $labels.node | toUpper }}",
    "{{ $value | humanize }}",
    "{{ humanize1024 $value }}B",
    "{{ humanizeDuration $value }}",
    "{{ $value | humanizePercentage }}",
    "{{ $labels.nothing }}|{{ $labels }}|{{ $externalLabels.site }}|{{ .ExternalLabels.none }}",
    '{{ printf "%.2f%%" $value }}',
    '{{ printf "%g|%v|%.3g|%e|%.0f|%d|%s" $value $value $value $value $value $value $value }}',
    '{{ printf "%8.1f|%-10.2f|%+.1f|%010.2f|% .1f|%G|%.3e" $value $value $value $value $value $value $value }}',
    '{{ printf "%d %5d|%-5d|%05d %x %X %o %b %v %t" 3 3 3 3 255 255 8 5 7 true }}',
    '{{ printf "%q %s %10s|%-10s|%.2s" "a\\"b" "c" "d" "e" "fgh" }}',
    '{{ printf "%d %s" 1 }}|{{ printf "%d" 1 2 }}|{{ printf "%f" 3 }}|{{ printf "%s" 3 }}',
    '{{ printf "%" }}|{{ printf "%d" "x" }}',
    "{{ if gt $value 10.0 }}high{{ else if lt $value 0.0 }}below{{ else }}low{{ end }}",
    "{{ if and (ge $value 1.0) (le $value 2000.0) }}in{{ else }}out{{ end }}{{ if not $labels.nothing }}!{{ end }}",
    '{{ if or (eq $labels.node "one") (ne $labels.job "a") }}yes{{ else }}no{{ end }}',
    '{{ if eq $labels.node "zero" "one" "ratio" }}some{{ end }}',
    "a  {{- 1 }} b {{ 2 -}}  c {{- /* note */ -}}  d",
    "{{ with $labels.node }}<{{ . }}>{{ end }}{{ with $labels.none }}never{{ else }}none{{ end }}",
    '{{ range query "sort(other)" }}[{{ .Labels.k }}={{ .Value }}]{{ end }}',
    '{{ range $i, $e := query "sort(other)" }}{{ $i }}:{{ $e.Labels.k }}={{ $e.Value | humanize }} {{ end }}',
    '{{ query "sort_desc(other)" | first | value }} {{ with query "sort(other)" }}{{ . | first | label "k" }}{{ end }}',
    '{{ range query "absent_metric" }}x{{ else }}empty{{ end }}',
    '{{ len (query "other") }}',
    '{{ range sortByLabel "k" (query "other") }}{{ .Labels.k }}{{ end }}',
    "{{ $x := $value }}{{ $y := $labels.node }}{{ $y }}={{ $x }}{{ $y = \"new\" }}{{ $y }}",
    '{{ "low disk on x-y z9a _b" | title }}|{{ "MiXed" | toLower }}|{{ title "" }}',
    '{{ reReplaceAll "(o)(n)?" "<$1>${2}" $labels.node }}|{{ match "^o" $labels.node }}|{{ match "x" $labels.node }}',
    '{{ stripPort "pi41:9191" }} {{ stripPort "pi41" }} {{ stripPort "[::1]:80" }} {{ stripPort "::1" }}',
    '{{ stripDomain "pi41.home.arpa:9191" }} {{ stripDomain "pi41.home" }} {{ stripDomain "10.0.0.1:80" }}',
    '{{ parseDuration "1h30m" }} {{ humanizeDuration (parseDuration "90s") }}',
    '{{ args 1 "b" 2.5 }}{{ with args 7 8 }}{{ .arg1 }}{{ end }}',
    '{{ print 1 2 "a" "b" 3 true }}|{{ println 1 "x" }}|{{ len "äb" }}|{{ index $labels "node" }}',
    '{{ urlquery "a b&c/d" }}|{{ true }}|{{ 0x1F }}|{{ 1.50 }}|{{ -3 }}|{{ \'a\' }}|{{ `raw \\n` }}|{{ "tab\\tx" }}',
    "{{ humanize \"1500\" }} {{ humanize 1500 }} {{ humanizeDuration 61 }} {{ humanizePercentage 0.5 }}",
    "{{ 1 | printf \"%d-%d\" 2 }} {{ (index $labels \"node\") | toUpper | printf \"%s!\" }}",
    '{{ $labels.node | printf "%-12s|" }}{{ printf "%6.2f" $value }}',
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    '{{ range query "sort(other)" }}{{ if gt .Value 2.0 }}{{ break }}{{ end }}'
    '{{ if eq .Labels.k "a" }}{{ continue }}{{ end }}{{ .Labels.k }}{{ end }}',
    "plain text with } and { and %",
]  # fmt: skip


def ours(template: str, node: str, text: str) -> str:
    samples = {
        "other": [TemplateSample({"__name__": "other", "k": k}, v) for k, v in (("a", 1.0), ("b", 2.0), ("c", 3000.0))],
        "absent_metric": [],
    }
    samples["sort(other)"] = samples["other"]
    samples["sort_desc(other)"] = samples["other"][::-1]
    labels = {"__name__": "x", "node": node, "job": "a"}
    data = TemplateData(labels, float(text), {"site": "home"}, "", lambda query: samples[query])
    return Template(template).render(data, "Agreement")


@pytest.mark.parametrize("number", range(len(TEMPLATES)))
def test_a_template_reads_as_promtool_reads_it(number: int, tmp_path: Path) -> None:
    promtool = need("promtool")
    template = TEMPLATES[number]
    run(promtool, tmp_path, template, VALUES)


def test_timestamps_read_as_promtool_reads_them(tmp_path: Path) -> None:
    values = {name: text for name, text in VALUES.items() if name not in ("huge", "big")}
    run(need("promtool"), tmp_path, "{{ humanizeTimestamp $value }}", values | {"before": "-1.5", "later": "4e9"})


def run(promtool: Path | str, folder: Path, template: str, values: dict[str, str]) -> None:
    rule = {"alert": "Agreement", "expr": "x", "annotations": {"text": template}}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    expected = [
        {"exp_labels": {"node": node, "job": "a"}, "exp_annotations": {"text": ours(template, node, text)}}
        for node, text in values.items()
    ]
    series = [{"series": f'x{{node="{node}",job="a"}}', "values": text} for node, text in values.items()]
    series += [{"series": f'other{{k="{k}"}}', "values": v} for k, v in (("a", "1"), ("b", "2"), ("c", "3000"))]
    case = {
        "interval": "1m",
        "input_series": series,
        "external_labels": {"site": "home"},
        "alert_rule_test": [{"eval_time": "0m", "alertname": "Agreement", "exp_alerts": expected}],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    done = subprocess.run(
        [str(promtool), "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


WORDS = [
    "{{", "}}", "{{-", " -}}", " ", "  ", "if ", "else", "else if ", "end", "range ", "with ", "$value", "$labels", ".",
    ".node", ".Labels", "$x", ":=", "=", "|", "(", ")", '"a"', "`r`", "'c'", "1", "2.5", "-3", "0x1F", "1e3",
    "humanize", "printf", '"%d"', "query", "eq ", "and ", "not ", "index ", "len ", "break", ",", "/* c */", "text",
    "args ", "first", "nil", "true", "print ", "$", "value", "$labels.node",
]  # fmt: skip


def test_every_template_that_loads_here_loads_in_prometheus(tmp_path: Path) -> None:
    chance = random.Random(20)
    accepted: set[str] = set()
    for _ in range(20_000):
        words = [chance.choice(WORDS) for _ in range(chance.randint(1, 9))]
        shape = chance.choice(["{{ %s }}", "{{%s}}", "a {{- %s -}} b", "%s"])
        text = shape % (" " if chance.random() < 0.5 else "").join(words)
        try:
            Template(text)
        except TemplateError:
            continue
        accepted.add(text)
    assert len(accepted) > 500
    rule = {"alert": "A", "expr": "x", "annotations": {f"a{number}": text for number, text in enumerate(accepted)}}
    (tmp_path / "r.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    command = [need("promtool"), "check", "rules", str(tmp_path / "r.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
