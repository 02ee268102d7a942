"""Templates where promtool is no judge: what is refused, and that nothing ever breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.rules.gofmt import float_text, sprintf
from alerting.rules.template import MAX_OUTPUT, Template, TemplateData
from alerting.rules.template_functions import TemplateSample
from alerting.rules.template_lex import MAX_LENGTH, TemplateError

DATA = TemplateData({"node": "pi", "port": "80"}, 12.5, {"site": "home"}, "http://hub:9190/x/")


def render(text: str, data: TemplateData = DATA) -> str:
    return Template(text).render(data, "A")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "an action is not closed: expected }}"),
        ("{{ }}", "missing value for command: nothing between {{ and }}"),
        ("{{ end }}", "unexpected {{ end }}"),
        ("{{ else }}", "unexpected {{ else }}"),
        ("{{ if }}x{{ end }}", "missing value for command"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "expected {{ end }} for {{ if }}, got else"),
        ('{{ "open }}', 'a quoted text is not closed: "open }}'),
        (r'{{ "\q" }}', r'unknown escape \q in "\q"'),
        ("{{/* open }}", "a comment is not closed: expected */}}"),
        ("{{ /* blanks */ }}", 'unexpected "/" in {{ /* blanks */ }}'),
        ("{{ ($value }}", "a bracket is not closed: expected )"),
        ("{{ $value ) }}", 'unexpected ")" in {{ $value ) }}'),
        ("{{ $value | }}", "missing value for command"),
        ("{{ $value | 5 }}", "only a function can stand after |"),
        ("{{ $value 5 }}", "can't give arguments to something that is no function"),
        ("{{ # }}", 'unexpected "#" in {{ # }}'),
        ("{{ break }}", "{{ break }} outside of range"),
        ("{{ $x }}", 'undefined variable "$x"; known: $externalLabels, $externalURL, $labels, $value'),
        ("{{ $x = 1 }}", 'undefined variable "$x"; known: $externalLabels, $externalURL, $labels, $value'),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", 'undefined variable "$x"; known: $externalLabels'),
        ("{{ $a, $b := $labels }}", "too many declarations: only range takes two variables"),
        ("{{ 1x }}", 'unexpected "x": expected a blank before it'),
        ("{{ len }}", "wrong number of arguments for len: want 1, got 0"),
        ("{{ printf }}", "wrong number of arguments for printf: want at least 1, got 0"),
        ("{{ $value | lt }}", "wrong number of arguments for lt: want 2, got 1"),
        ("{{ template \"x\" }}", '"template" is not supported: a rule\'s texts stand alone'),
        ("{{ if eq .Value 1 }}{{ end }}", "eq compares $value, a float, with 1"),
        ("{{ $.Nothing }}", 'no field ".Nothing"'),
        ("x" * (MAX_LENGTH + 1) + "{{ 1 }}", f"longer than {MAX_LENGTH} characters"),
        ("{{ " + "(" * 60 + "1" + ")" * 60 + " }}", "brackets are nested more than 50 deep"),
        ("{{ if true }}" * 60 + "{{ end }}" * 60, "blocks are nested more than 50 deep"),
    ],
)  # fmt: skip
def test_mistakes_have_words(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text)
    assert str(caught.value).startswith(message)


def failing(text: str) -> Sequence[TemplateSample]:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{{ query "x" | first | value }}', "error calling query: no such thing"),
        ("{{ humanize $labels.node }}", 'error calling humanize: strconv.ParseFloat: parsing "pi": invalid syntax'),
        ("{{ gt $labels.port 5 }}", "error calling gt: incompatible types for comparison"),
        ("{{ $value | toUpper }}", "error calling toUpper: wrong type for value; expected string; got float64"),
        ("{{ $value.x }}", "can't evaluate field x in type float64"),
        ("{{ range $value }}{{ end }}", "range can't iterate over 12.5"),
        ('{{ match "(" "x" }}', "error calling match: error parsing regexp"),
        ('{{ match "(a+)+!" "aaaa" }}', "error calling match: a repetition inside another"),
        ("{{ index $labels 1 }}", "error calling index: value has type int; should be string"),
    ],
)
def test_what_goes_wrong_while_rendering_is_written_into_the_text(text: str, message: str) -> None:
    data = TemplateData({"node": "pi", "port": "80"}, 12.5, query=failing)
    rendered = render("before " + text, data)
    assert rendered.startswith(f"<error expanding template: error executing template __alert_A: {message}")


def test_the_external_url() -> None:
    assert render("{{ externalURL }} {{ $externalURL }} {{ .ExternalURL }} {{ pathPrefix }}") == (
        "http://hub:9190/x/ http://hub:9190/x/ http://hub:9190/x/ /x"
    )


def test_texts_and_work_are_bounded() -> None:
    many = [TemplateSample({"a": "b" * 100}, 1.0)] * 1000
    data = TemplateData({}, 1.0, query=lambda _: many)
    rendered = render('{{ range query "x" }}{{ .Labels.a }}{{ end }}', data)
    assert rendered.endswith(f"the text is longer than {MAX_OUTPUT} characters>")
    nested = '{{ range query "x" }}{{ range query "x" }}{{ with 1 }}{{ end }}{{ end }}{{ end }}'
    assert "stopped after" in render(nested, data)
    assert len(render('{{ printf "%99999999d" 1 }}')) == 1000


def test_queries_that_are_written_out_are_known() -> None:
    text = '{{ range query "up" }}{{ if true }}{{ (query "a" | first).Value }}{{ end }}{{ end }}{{ query $labels.q }}'
    assert sorted(Template(text).queries()) == ["a", "up"]


PIECES = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", "if ", "else", "end", "range ", "with ", "$value", "$labels", ".", ".node", "$x",
     ":=", "=", "|", "(", ")", '"a"', "`", '"', "'c'", "1", "2.5", "humanize", "printf", '"%d %s %q"', "query", "eq ",
     "and ", "not ", "index ", "len ", "break", ",", "/*", "*/", "text", "args ", "first", "label", "nil", "true"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_text_breaks_anything(text: str) -> None:
    check_harmless(text)


@given(st.lists(PIECES, max_size=10).map(lambda parts: "{{ " + " ".join(parts) + " }}"))
def test_no_action_breaks_anything(text: str) -> None:
    check_harmless(text)


def check_harmless(text: str) -> None:
    try:
        template = Template(text)
    except TemplateError:
        return
    rendered = template.render(DATA, "A")
    assert isinstance(rendered, str)
    assert "Error(" not in rendered


@given(st.floats())
def test_a_float_reads_back_as_it_was(value: float) -> None:
    back = float(float_text(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


VALUES = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.booleans())


@given(st.text(alphabet="%abcdefgqsvxX0123456789.+-# é", max_size=20), st.lists(VALUES, max_size=4))
def test_sprintf_takes_anything(template: str, values: list[object]) -> None:
    assert isinstance(sprintf(template, values), str)
