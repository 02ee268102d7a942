"""Names that must lead somewhere, and what is said when they do not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(name: str, noun: str, known: Iterable[str], where: str = "") -> str:
    """``no node "AGXO"; did you mean "AGX0"?``"""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(names) or 'none'}"
    return f'no {noun} "{name}"{where}; {hint}'
