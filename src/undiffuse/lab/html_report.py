"""The lab's page: one HTML file that holds everything and asks for nothing."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from undiffuse.evaluation.statistics import Figure
from undiffuse.lab.claims import RULE, Check, Exhibit, Finding

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 67rem; margin: 2rem auto;
       padding: 0 1rem; background: Canvas; color: CanvasText; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; }
figure { margin: 1.2rem 0; overflow-x: auto; }
figcaption { font-size: .9rem; opacity: .85; }
.row { display: flex; align-items: center; gap: .7rem; margin: 2px 0; }
.row span { flex: 0 0 12rem; font-size: .85rem; text-align: right; }
.row img { image-rendering: pixelated; max-width: none; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; margin: 1rem 0; }
.row span:empty { display: none; }
.verdict { font-weight: 600; padding: .1rem .6rem; border-radius: .8rem; border: 2px solid; }
.confirmed { color: light-dark(#17692f, #6fd08c); }
.refuted { color: light-dark(#a3211b, #ff8f87); }
.undecided { color: light-dark(#7a5b00, #e5c04d); }
"""
LONG = 24  # figures, from which on their table is folded away
OUTCOME = {True: "holds", False: "fails", None: "open"}


def page(findings: Sequence[Finding], about: Mapping[str, Any]) -> str:
    """The whole page. All text is escaped; pictures are PNG data URIs, drawings inline SVG."""
    contents = "".join(
        f'<tr><td><a href="#{escape(f.key)}">{escape(f.title)}</a></td>'
        f"<td>{_badge(f.verdict)}</td></tr>"
        for f in findings
    )
    facts = "".join(f"<li>{escape(str(k))}: {escape(str(v))}</li>" for k, v in about.items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>undiffuse: the lab</title><style>{STYLE}</style></head><body>"
        "<h1>The lab</h1><p>What the lesson claims, measured on networks that were trained for "
        f"this page. {escape(RULE)}</p><table>{contents}</table><ul>{facts}</ul>"
        + "\n".join(_section(finding) for finding in findings)
        + "</body></html>\n"
    )


def _badge(verdict: str) -> str:
    return f'<span class="verdict {verdict}">{verdict}</span>'


def _section(finding: Finding) -> str:
    note = f"<p>{escape(finding.note)}</p>" if finding.note else ""
    return (
        f'<section id="{escape(finding.key)}"><h2>{escape(finding.title)}</h2>'
        f"<p><strong>Claim.</strong> {escape(finding.claim)} {_badge(finding.verdict)}</p>"
        f"<p><strong>Done.</strong> {escape(finding.done)}</p>"
        + "".join(_exhibit(exhibit) for exhibit in finding.exhibits)
        + _tests(finding.tests)
        + _figures(finding.figures)
        + f"{note}</section>"
    )


def _exhibit(exhibit: Exhibit) -> str:
    alt = escape(exhibit.alt, quote=True)
    rows = "".join(
        f'<div class="row"><span>{escape(label)}</span><img alt="{alt}: {escape(label)}" '
        f'src="data:image/png;base64,{b64encode(file).decode()}"></div>'
        for label, file in exhibit.rows
    )
    drawing = f'<div role="img" aria-label="{alt}">{exhibit.svg}</div>' if exhibit.svg else ""
    return f"<figure>{rows}{drawing}<figcaption>{escape(exhibit.caption)}</figcaption></figure>"


def _tests(tests: Sequence[Check]) -> str:
    rows = "".join(
        f"<tr><td>{escape(test.text)}</td><td>{OUTCOME[test.holds]}</td></tr>" for test in tests
    )
    return f'<div class="scroll"><table><tr><th>test</th><th>outcome</th></tr>{rows}</table></div>'


def _figures(figures: Sequence[Figure]) -> str:
    heads = ("figure", "value", "95% interval", "of", "on real pictures", "unit")
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(
        f'<tr><td>{escape(f.name)}</td><td class="n">{_shown(f.value, f.unit)}</td>'
        f'<td class="n">{_shown(f.low, f.unit)} to {_shown(f.high, f.unit)}</td>'
        f'<td class="n">{f.count}</td>'
        f'<td class="n">{"" if f.real is None else _shown(f.real, f.unit)}</td>'
        f"<td>{escape(f.unit)}</td></tr>"
        for f in figures
    )
    folded = "" if len(figures) > LONG else " open"
    return (
        f"<details{folded}><summary>{len(figures)} figures</summary>"
        f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div></details>'
    )


def _shown(value: float, unit: str) -> str:
    return f"{100 * value:.1f}%" if unit == "share" else f"{value:.3g}"
