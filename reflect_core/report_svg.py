"""The pictures of a report as SVG: success with intervals, and the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflect_core.report import Point, Row

__all__ = ["curve_svg", "success_svg"]

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 16, 40
NAMES, ROW = 364, 26
"""Width of the players' names, and height of a player's line, in the picture of success."""

# within each picture, so that it looks the same alone (in a README) and in the page
_STYLE = """<style>
.picture text { font: 12px system-ui, sans-serif; fill: #6b6b6b; }
.picture text.name { fill: #1c1c1c; font-size: 13px; }
.picture .grid { stroke: #d9d9d9; }
.picture .train { stroke: #2563a8; fill: none; stroke-width: 2; }
.picture .valid { stroke: #b4530a; fill: none; stroke-width: 2; }
.picture circle, .picture circle.argmax { fill: #b4530a; }
.picture circle.sampled { fill: #2563a8; }
.picture text.train { fill: #2563a8; stroke: none; }
.picture text.valid { fill: #b4530a; stroke: none; }
@media (prefers-color-scheme: dark) {
.picture text { fill: #a0a0a0; } .picture text.name { fill: #e8e8e8; }
.picture .grid { stroke: #3a3a3a; }
.picture .train { stroke: #7db3ea; } .picture .valid { stroke: #f0a35e; }
.picture circle, .picture circle.argmax { fill: #f0a35e; }
.picture circle.sampled { fill: #7db3ea; }
.picture text.train { fill: #7db3ea; } .picture text.valid { fill: #f0a35e; } }
</style>"""
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def success_svg(rows: Sequence[Row]) -> str:
    """Each row's success as a dot on its 95% interval, in the order of the table."""
    height = TOP + ROW * len(rows) + BOTTOM

    def at(share: float) -> str:
        return f"{NAMES + share * (WIDTH - NAMES - 2 * RIGHT):.1f}"

    parts = [_open(height, "Share of held-out tasks solved by each player, with 95% intervals")]
    foot = height - BOTTOM
    for share in _SHARES:
        parts.append(f'<line class="grid" x1="{at(share)}" x2="{at(share)}" y1="0" y2="{foot}"/>')
        parts.append(
            f'<text x="{at(share)}" y="{foot + 18}" text-anchor="middle">{share:.0%}</text>'
        )
    for place, row in enumerate(rows):
        y = TOP + ROW * (place + 0.5)
        how = "" if row.decoding == "-" else f", {row.decoding}"
        colour = "valid" if row.decoding == "argmax" else "train"
        low, high, middle = at(row.success.low), at(row.success.high), at(row.success.estimate)
        parts.append(
            f'<text class="name" x="{NAMES - 12}" y="{y + 4}" text-anchor="end">'
            f"{escape(row.title + how)}</text>"
            f'<line class="{colour}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
            f'<circle class="{row.decoding if how else "sampled"}" cx="{middle}" cy="{y}" r="4.5">'
            f"<title>{row.success.estimate:.1%}</title></circle>"
        )
    return "\n".join([*parts, "</svg>"])


def curve_svg(points: Sequence[Point]) -> str:
    """Success over iterations: a line for train, dots for valid."""
    first, last = points[0].iteration, points[-1].iteration

    def at(updates: int, success: float) -> str:
        x = LEFT + (updates - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - success * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts = [_open(HEIGHT, "Share of tasks solved, by iterations learnt from")]
    for share in _SHARES:
        y = at(first, share).partition(",")[2]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{share:.0%}</text>')
    for updates in sorted({first, (first + last) // 2, last}):
        x = at(updates, 0).partition(",")[0]
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{updates}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">iterations</text>')
    train = [at(p.iteration, p.success) for p in points if p.success is not None]
    parts.append(_line("train", train))
    valid = [(p.iteration, p.valid) for p in points if p.valid is not None]
    parts.append(_line("valid", [at(updates, share) for updates, share in valid]))
    for updates, share in valid:
        x, _, y = at(updates, share).partition(",")
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="4">'
            f"<title>after {updates} iterations: {share:.0%} on valid</title></circle>"
        )
    base = HEIGHT - BOTTOM - 10
    parts.append(f'<text class="train" x="{LEFT + 12}" y="{base - 18}">train, sampled</text>')
    if valid:
        parts.append(f'<text class="valid" x="{LEFT + 12}" y="{base}">valid</text>')
    return "\n".join([*parts, "</svg>"])


def _open(height: int, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{label}">{_STYLE}'
    )


def _line(name: str, corners: Sequence[str]) -> str:
    return f'<polyline class="{name}" points="{" ".join(corners)}"/>'
