"""The report as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflect_core.report import Point, Report

__all__ = ["curve_svg", "render"]

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 16, 40

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #6b6b6b; --line: #d9d9d9;
  --train: #2563a8; --valid: #b4530a; --paper: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0;
  --line: #3a3a3a; --train: #7db3ea; --valid: #f0a35e; --paper: #161616; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
td:first-child, th:last-child { white-space: normal; }
th { color: var(--soft); font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
.grid { stroke: var(--line); } .train { stroke: var(--train); fill: none; stroke-width: 2; }
.valid { stroke: var(--valid); fill: none; stroke-width: 2; }
circle { fill: var(--valid); }
svg text.train { fill: var(--train); stroke: none; }
svg text.valid { fill: var(--valid); stroke: none; }
"""


def render(report: Report) -> str:
    """The page for a report."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in report.headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"
        for cells in report.cells
    )
    curve = f"<h2>Success while training</h2>\n{curve_svg(report.curve)}\n" if report.curve else ""
    return f"""<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>{escape(report.caption)}</title>
<style>{_STYLE}</style>
<h1>{escape(report.caption)}</h1>
<div class=scroll><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody></table></div>
<p>{escape(report.footnote)}</p>
{curve}</html>
"""


def curve_svg(points: Sequence[Point]) -> str:
    """Success over iterations as an SVG picture: a line for train, dots for valid."""
    first, last = points[0].iteration, points[-1].iteration

    def at(iteration: int, success: float) -> str:
        x = LEFT + (iteration - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - success * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Share of tasks solved, by iteration of training">'
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = at(first, share).partition(",")[2]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{share:.0%}</text>')
    for iteration in sorted({first, (first + last) // 2, last}):
        x = at(iteration, 0).partition(",")[0]
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{iteration}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">iteration</text>')
    parts.append(_line("train", [at(point.iteration, point.success) for point in points]))
    valid = [(p.iteration, p.valid) for p in points if p.valid is not None]
    parts.append(_line("valid", [at(iteration, share) for iteration, share in valid]))
    for iteration, share in valid:
        x, _, y = at(iteration, share).partition(",")
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="4">'
            f"<title>iteration {iteration}: {share:.0%} on valid</title></circle>"
        )
    base = HEIGHT - BOTTOM - 10
    parts.append(f'<text class="train" x="{LEFT + 12}" y="{base - 18}">train, sampled</text>')
    if valid:
        parts.append(f'<text class="valid" x="{LEFT + 12}" y="{base}">valid</text>')
    return "\n".join([*parts, "</svg>"])


def _line(name: str, corners: Sequence[str]) -> str:
    return f'<polyline class="{name}" points="{" ".join(corners)}"/>'
