"""Colours that words are written in can be read on both of Grafana's themes."""

from __future__ import annotations

import pytest

from dashboards import look

# What Grafana 13 makes of the names on its light and its dark theme (@grafana/data, createVisualizationColors), and the
# themes' own backgrounds of a panel.
NAMED = {
    "green": ("#56A64B", "#73BF69"),
    "dark-orange": ("#E55400", "#FA6400"),
    "red": ("#E02F44", "#F2495C"),
    "blue": ("#3274D9", "#5794F2"),
}
PANELS = ("#FFFFFF", "#181B1F")
# WCAG 2.2, 1.4.11: large words and what carries a meaning.
LEAST = 3.0


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_what_it_is_said_to_be() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#F2CC0C", "#FFFFFF") == pytest.approx(1.57, abs=0.01)  # Grafana's yellow


@pytest.mark.parametrize("colour", [look.GREEN, look.YELLOW, look.ORANGE, look.RED, look.BLUE, look.GREY])
def test_words_can_be_read_on_both_themes(colour: str) -> None:
    for shown, panel in zip(NAMED.get(colour, (colour, colour)), PANELS, strict=True):
        assert contrast(shown, panel) >= LEAST
