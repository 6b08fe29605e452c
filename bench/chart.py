"""The chart: horizontal bars as SVG, readable on a light and on a dark page."""

from dataclasses import dataclass
from html import escape

WIDTH = 760
LABEL = 270  # where bars begin
BAR, STEP = 16, 26
MARGIN = 20

STYLE = """
svg { color-scheme: light dark }
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
.page { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e }
.bar { fill: #8c959f } .ours { fill: #0969da } .mark { stroke: #59636e }
.value { paint-order: stroke; stroke-width: 4px; stroke: #ffffff }
.head { font-weight: 600; font-size: 15px }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } .ink { fill: #f0f6fc } .faint { fill: #9198a1 }
  .value { stroke: #0d1117 }
  .bar { fill: #656c76 } .ours { fill: #4493f8 } .mark { stroke: #9198a1 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One bar. ``shown`` is the value in words; ``ours`` makes it stand out."""

    label: str
    value: float
    shown: str
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """Bars from the same zero, with a line at ``mark`` where there is something to compare with."""

    head: str
    note: str
    bars: list[Bar]
    mark: float | None = None


def draw(title: str, panels: list[Panel]) -> str:
    """The whole picture."""
    panels = [panel for panel in panels if panel.bars]
    parts, y = [], MARGIN
    for panel in panels:
        drawn, y = draw_panel(panel, y)
        parts += drawn
    described = "; ".join(
        f"{panel.head}: " + ", ".join(f"{bar.label} {bar.shown}" for bar in panel.bars)
        for panel in panels
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-labelledby="title desc">'
    )
    return "\n".join(
        [
            head,
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(described)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{y}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def draw_panel(panel: Panel, y: int) -> tuple[list[str], int]:
    """The panel's elements from ``y`` down, and where the next one may begin."""
    parts = [
        text(MARGIN, y + 14, panel.head, "ink head"),
        text(MARGIN, y + 34, panel.note, "faint"),
    ]
    top = y + 50
    longest = max(bar.value for bar in panel.bars)
    # Room for the value at the end of the longest bar.
    scale = (WIDTH - LABEL - MARGIN - 80) / max(longest, panel.mark or 0)
    tops = range(top, top + len(panel.bars) * STEP, STEP)
    parts += [draw_bar(bar, y, scale) for bar, y in zip(panel.bars, tops, strict=True)]
    bottom = top + len(panel.bars) * STEP
    if panel.mark is not None:
        x = LABEL + panel.mark * scale
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{bottom - 4}" '
            'stroke-dasharray="3 3"/>'
        )
    for bar, y in zip(panel.bars, tops, strict=True):
        parts += [
            text(LABEL - 10, y + 12, bar.label, "ink", "end"),
            text(LABEL + bar.value * scale + 8, y + 12, bar.shown, "ink value"),
        ]
    return parts, bottom + MARGIN


def draw_bar(bar: Bar, y: int, scale: float) -> str:
    width = max(bar.value * scale, 1)
    style = "ours" if bar.ours else "bar"
    return f'<rect class="{style}" x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>'


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
    )
