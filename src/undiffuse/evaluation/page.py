"""Self-contained HTML pages and SVG charts: no network access, and the same bytes each time."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

COLORS = ("#3b82c4", "#d9652b", "#2e9d6a", "#b04fb5", "#b8901c", "#d0436b", "#7a7f87")
# No random ids and no date: the same plot gives the same file.
SVG: Any = {"svg.hashsalt": "undiffuse", "svg.fonttype": "none", "font.size": 9}


def render_page(template: Path, **values: Any) -> str:
    """The page of a Jinja template. All text is escaped; `base64` makes data URIs of bytes."""
    from jinja2 import Template

    page = Template(
        template.read_text(encoding="utf-8"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return page.render(base64=lambda data: b64encode(data).decode(), **values)


def to_svg(figure: Any) -> bytes:
    """A matplotlib figure as an SVG file."""
    import matplotlib

    file = BytesIO()
    with matplotlib.rc_context(SVG):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
