"""Go's ``fmt`` for the values that templates meet: text, whole numbers, floats, booleans, maps and lists.

Rules: https://pkg.go.dev/fmt. A verb that does not fit its value is written out as Go does (``%!d(float64=1.5)``):
the mistake stays visible in the message instead of hiding it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+)?(?:\.(?P<precision>\d*))?(?P<verb>.)?", re.DOTALL)
_MAX_WIDTH = 1000  # characters; a template must not be able to fill the memory with blanks


def float_text(value: float, verb: str = "g", precision: int = -1) -> str:
    """A float as Go writes it; ``precision`` -1 means as many digits as needed to read the same number back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    kind = verb.lower()
    if kind == "f":
        text = f"{value:.{6 if precision < 0 else precision}f}"
    elif kind == "e":
        text = f"{value:.{6 if precision < 0 else precision}e}"
    elif precision >= 0:
        text = f"{value:.{max(precision, 1)}g}"
    else:
        text = _shortest(value)
    return text.upper() if verb in "EG" else text


def _shortest(value: float) -> str:
    """``%v`` of a float: exponent notation below 1e-4 and from 1e6 on is how Go decides when no precision is given."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    negative, numbers, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, numbers)).lstrip("0")
    power = len(digits) - 1 + int(exponent)
    digits = digits.rstrip("0")
    sign = "-" if negative else ""
    if power < -4 or power >= 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole = digits[: power + 1].ljust(power + 1, "0")
    return f"{sign}{whole}.{digits[power + 1 :]}" if len(digits) > power + 1 else f"{sign}{whole}"


def plain(value: object) -> str:
    """``%v``."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    if isinstance(value, Sequence):
        return f"[{' '.join(plain(item) for item in value)}]"
    return str(value)


def type_name(value: object) -> str:
    """The Go name of a value's type."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    names = ((str, "string"), (int, "int"), (float, "float64"), (Mapping, "map[string]string"), (Sequence, "list"))
    return next((name for kind, name in names if isinstance(value, kind)), "sample")


def sprint(values: Sequence[object]) -> str:
    """``fmt.Sprint``: blanks only between values that are both no text."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(plain(value))
    return "".join(parts)


def sprintf(template: str, values: Sequence[object]) -> str:
    """``fmt.Sprintf``."""
    used = 0

    def one(match: re.Match[str]) -> str:
        nonlocal used
        verb = match["verb"]
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if used >= len(values):
            return f"%!{verb}(MISSING)"
        used += 1
        precision = None if match["precision"] is None else min(int(match["precision"] or 0), _MAX_WIDTH)
        body = _formatted(verb, match["flags"], precision, values[used - 1])
        if body is None:
            value = values[used - 1]
            return f"%!{verb}({type_name(value)}={plain(value)})"
        return _padded(body, match["flags"], min(int(match["width"] or 0), _MAX_WIDTH), values[used - 1])

    text = _VERB.sub(one, template)
    if used < len(values):
        extra = ", ".join(f"{type_name(value)}={plain(value)}" for value in values[used:])
        text += f"%!(EXTRA {extra})"
    return text


def _formatted(verb: str, flags: str, precision: int | None, value: object) -> str | None:
    """The value without padding; None when the verb does not fit it."""
    if isinstance(value, bool):
        return plain(value) if verb in "tv" else None
    if isinstance(value, float):
        return _float(verb, flags, precision, value)
    if isinstance(value, int):
        return _integer(verb, flags, precision, value)
    if isinstance(value, str):
        return _text(verb, precision, value)
    return plain(value) if verb in "vs" else None


def _float(verb: str, flags: str, precision: int | None, value: float) -> str | None:
    if verb not in "eEfFgGv":
        return None
    text = float_text(value, "g" if verb == "v" else verb, -1 if precision is None else precision)
    return _signed(text, flags)


def _integer(verb: str, flags: str, precision: int | None, value: int) -> str | None:
    kind = {"d": "d", "v": "d", "x": "x", "X": "X", "o": "o", "b": "b"}.get(verb)
    if kind is None:
        return chr(value) if verb == "c" and 0 <= value < 0x110000 else None
    digits = format(abs(value), kind).rjust(precision or 0, "0")
    if "#" in flags and verb in "xXo":
        digits = {"x": "0x", "X": "0X", "o": "0"}[verb] + digits
    return _signed(f"-{digits}" if value < 0 else digits, flags)


def _text(verb: str, precision: int | None, value: str) -> str | None:
    cut = value if precision is None else value[:precision]
    if verb in "sv":
        return cut
    if verb == "q":
        return json.dumps(cut, ensure_ascii=False)
    if verb in "xX":
        return cut.encode().hex() if verb == "x" else cut.encode().hex().upper()
    return None


def _signed(text: str, flags: str) -> str:
    if text == "+Inf" and " " in flags and "+" not in flags:
        return " Inf"
    if text[0] in "+-":
        return text
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text


def _padded(text: str, flags: str, width: int, value: object) -> str:
    if "-" in flags:
        return text.ljust(width)
    number = isinstance(value, int | float) and text.lstrip("+- ")[:1].isdigit()
    if "0" in flags and number:
        sign = text[0] if text[0] in "+- " else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)
