"""The report as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from reflect_core.report_svg import curve_svg, success_svg

if TYPE_CHECKING:
    from reflect_core.report import Report

__all__ = ["render"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #6b6b6b; --line: #d9d9d9;
  --paper: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0;
  --line: #3a3a3a; --paper: #161616; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
td:first-child, th:last-child { white-space: normal; }
th { color: var(--soft); font-weight: 600; }
svg { width: 100%; height: auto; }
"""


def render(report: Report) -> str:
    """The page for a report."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in report.headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"
        for cells in report.cells
    )
    about = "".join(f"<p>{escape(line)}</p>\n" for line in report.about)
    curve = f"<h2>Success while training</h2>\n{curve_svg(report.curve)}\n" if report.curve else ""
    return f"""<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>{escape(report.caption)}</title>
<style>{_STYLE}</style>
<h1>{escape(report.caption)}</h1>
{about}<div class=scroll><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody></table></div>
<p>{escape(report.footnote)}</p>
{success_svg(report.rows)}
{curve}</html>
"""
