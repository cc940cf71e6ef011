"""A small SVG writer: elements as text, escaped, coordinates rounded."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def number(value: float) -> str:
    """A coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"


class Canvas:
    """Collects elements; `text()` is the SVG document."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self._title = title
        self._parts: list[str] = []

    def rect(
        self, x: float, y: float, w: float, h: float, css: str, tip: str = "", radius: float = 0
    ) -> None:
        """A rectangle, at least half a pixel wide so that nothing disappears."""
        shape = (
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(w, 0.5))}" '
            f'height="{number(h)}" class="{css}"' + (f' rx="{number(radius)}"' if radius else "")
        )
        self._parts.append(f"{shape}><title>{escape(tip)}</title></rect>" if tip else f"{shape}/>")

    def circle(self, x: float, y: float, radius: float, css: str) -> None:
        self._parts.append(
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="{css}"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self._parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
            f'class="{css}"/>'
        )

    def path(self, points: Iterable[tuple[float, float]], css: str, close_at: float | None = None
             ) -> None:  # fmt: skip
        """A polyline; with `close_at` an area down to that y."""
        made = list(points)
        if len(made) < 2:
            return
        data = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in made)
        if close_at is not None:
            data += f"L{number(made[-1][0])} {number(close_at)}L{number(made[0][0])} "
            data += f"{number(close_at)}Z"
        self._parts.append(f'<path d="{data}" class="{css}"/>')

    def label(self, x: float, y: float, text: str, css: str = "label", anchor: str = "start"
              ) -> None:  # fmt: skip
        self._parts.append(
            f'<text x="{number(x)}" y="{number(y)}" class="{css}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def bolt(self, x: float, y: float, tip: str = "", size: float = 1.0) -> None:
        """The mark of a brown-out: a lightning bolt whose point is at (x, y)."""
        shape = ((1, -15), (-5, -6), (-1, -6), (-2.5, 0), (4.5, -9), (0.5, -9))
        points = ((x + dx * size, y + dy * size) for dx, dy in shape)
        data = "M" + "L".join(f"{number(px)} {number(py)}" for px, py in points)
        self._parts.append(f'<path d="{data}Z" class="bolt"><title>{escape(tip)}</title></path>')

    def text(self, style: str) -> str:
        """The document, with its style inside."""
        size = f'viewBox="0 0 {number(self.width)} {number(self.height)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} width="{number(self.width)}" '
            f'role="img" class="relume"><title>{escape(self._title)}</title>'
            f"<style>{style}</style>" + "".join(self._parts) + "</svg>"
        )
