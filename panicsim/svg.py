"""The small SVG in which a page shows a figure: its ink follows the page, and its text stays text.

Matplotlib is the only renderer of the book; this is its backend. Coordinates are whole tenths of a pixel,
relative to the point before, so that frames of one figure differ in few places.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox, Transform
from PIL import Image

from panicsim._static import is_static
from panicsim.palette import BY_COLOUR, GROUND, HUES, INK, house

_LETTER = {int(Path.MOVETO): "m", int(Path.LINETO): "l", int(Path.CURVE3): "q", int(Path.CURVE4): "c"}
_ANCHOR = {"left": "", "center": ' text-anchor="middle"', "right": ' text-anchor="end"'}
_PHONE = 1.4  # a narrow page enlarges text by this factor


def _paint(rgba: Any, word: bool = False) -> str:
    """Return the CSS colour: the page's for ink, ground and palette, else the colour itself."""
    colour = to_hex(rgba[:3])
    if colour in (INK, "#000000"):
        return "currentColor"
    if colour == GROUND:
        return f"var(--ps-ground,{GROUND})"
    hue = BY_COLOUR.get(colour)
    if hue is None:
        return colour
    return f"var(--ps-{hue.name}-word,{hue.word})" if word else f"var(--ps-{hue.name},{hue.line})"


def _numbers(values: Sequence[int]) -> str:
    """Join whole numbers with the fewest characters that a path allows: ``5 -3 2`` is ``5-3 2``."""
    return re.sub(r" -", "-", " ".join(map(str, values)))


def _outline(path: Path, transform: Transform, **clean: Any) -> str:
    """Write a path in whole units, the first point absolute and the others relative to the point before."""
    words: list[str] = []
    pen_at, start, last = [0, 0], [0, 0], ""
    for points, raw in path.iter_segments(transform, **clean):
        code = int(raw)
        if code == Path.CLOSEPOLY:
            words.append("z")
            pen_at, last = start, "z"
            continue
        whole = [round(value) for value in points]
        steps = [value - pen_at[i % 2] for i, value in enumerate(whole)]
        pen_at = whole[-2:]
        if code == Path.MOVETO:
            start = pen_at
        elif code == Path.LINETO and last == "l" and not any(steps):
            continue
        letter = _LETTER[code] if words else "M"
        text = _numbers(steps)
        joint = letter if letter != last or letter == "m" else ("" if text.startswith("-") else " ")
        words.append(joint + text)
        last = letter
    return "".join(words)


def _palette_png(pixels: np.ndarray) -> str:
    """Encode RGBA pixels as base64 PNG, with a palette when there are few colours."""
    colours, index = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), "P")
        image.putpalette(colours.astype(np.uint8).tobytes(), "RGBA")
    out = io.BytesIO()
    image.save(out, "png", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


class _Renderer(RendererBase):
    """Collects a figure as SVG elements in tenths of a pixel: text as text, colours of the page, few ids.

    Clipping is a nested ``<svg>``, which needs no id; so figures on one page cannot steal each other's clips.
    """

    def __init__(self, figure: Figure, uid: str = "ps") -> None:
        super().__init__()
        self.width, self.height = figure.bbox.width, figure.bbox.height
        self.flip = Affine2D().scale(10, -10).translate(0, 10 * self.height)
        self.uid = uid
        self.parts: list[str] = []
        self._hatches: dict[str, str] = {}
        self._clip = ""
        self._style = ""
        self._merge = False

    def result(self) -> str:
        """Return everything drawn so far."""
        self._clip_to("")
        patterns = "".join(self._hatches.values())
        return (f"<defs>{patterns}</defs>" if patterns else "") + "".join(self.parts)

    # What matplotlib asks for

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: Any = None
    ) -> None:
        style = self.style(gc, rgbFace)
        if not style:
            return
        simplify = bool(path.should_simplify and rgbFace is None)
        margin = (-100, -100, 10 * self.width + 100, 10 * self.height + 100)
        clean = {"clip": margin if rgbFace is None else None, "simplify": simplify}
        to_page = transform + self.flip
        d = _outline(path, to_page, **clean)
        if not d:
            return
        changed = self._clip_to(self._needed_clip(gc, path.get_extents(to_page)))
        opaque = "opacity" not in style and (self._merge or "fill" not in style)
        if opaque and style == self._style and not changed:  # one element for many equal marks
            self.parts[-1] = self.parts[-1][:-3] + d + '"/>'
        else:
            self.parts.append(f'<path{style} d="{d}"/>')
        self._style = style

    def draw_markers(self, *args: Any, **kwargs: Any) -> None:
        with self._merging():
            super().draw_markers(*args, **kwargs)

    def draw_path_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._merging():
            super().draw_path_collection(*args, **kwargs)

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: Any, angle: float,
        ismath: Any = False, mtext: Text | None = None,
    ) -> None:  # fmt: skip
        self._clip_to("")
        anchor = "left"
        if mtext is not None and angle == 0:  # let the page's font find its own width
            anchor = mtext.get_horizontalalignment()
            x = mtext.get_transform().transform(mtext.get_unitless_position())[0]
        size = prop.get_size_in_points()
        heavy = prop.get_weight() not in ("normal", "regular", 400)
        fits = self._fits(s, prop, x, anchor)
        attributes = [f' x="{round(10 * x)}" y="{round(10 * y)}"', _ANCHOR[anchor]]
        if angle:
            attributes.append(f' transform="rotate({-angle:g} {round(10 * x)} {round(10 * y)})"')
        if size != 12 or not fits:
            attributes.append(f' font-size="{size / 12:.4g}em"' if fits else f' font-size="{10 * size:g}"')
        if heavy:
            attributes.append(' font-weight="600"')
        rgba = gc.get_rgb()
        attributes.append(f' fill="{_paint(rgba, word=True)}"{_opacity("fill", self._alpha(gc, rgba))}')
        self._append(f"<text{''.join(attributes)}>{html.escape(s, quote=False)}</text>")

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None) -> None:
        rows, columns = im.shape[:2]
        if not rows or not columns:
            return
        # Without a transform the image is resampled already: one of its pixels is one of the figure's.
        unit = Affine2D().scale(columns, rows) if transform is None else Affine2D(transform.get_matrix())
        (x0, y0), (x1, y1) = (unit + Affine2D().translate(x, y) + self.flip).transform([(0, 0), (1, 1)])
        # Row 0 of the array is the lowest row of the figure; an SVG image begins with its highest.
        pixels = im[:: -1 if y1 < y0 else 1, :: -1 if x1 < x0 else 1]
        left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        self._clip_to(self._needed_clip(gc, Bbox([[left, top], [right, bottom]])))
        self._append(
            f'<image x="{round(left)}" y="{round(top)}" width="{round(right - left)}" '
            f'height="{round(bottom - top)}" preserveAspectRatio="none" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{_palette_png(np.ascontiguousarray(pixels))}"/>'
        )

    def draw_gouraud_triangles(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("shading='gouraud' has no compact SVG: draw the field with imshow and CIVIDIS")

    def option_image_nocomposite(self) -> bool:
        return True

    def option_scale_image(self) -> bool:
        return True

    def flipy(self) -> bool:
        return True

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        return points  # the figure is drawn at 72 dots an inch

    # Styles

    def style(self, gc: GraphicsContextBase, face: Any) -> str:
        """Return the attributes of one shape, or an empty string when nothing of it would be seen."""
        return self._fill(gc, face) + self._stroke(gc)

    def _fill(self, gc: GraphicsContextBase, face: Any) -> str:
        alpha = 0.0 if face is None else self._alpha(gc, face)
        if not alpha:
            return ""
        paint = f"url(#{self._hatch(gc, face)})" if gc.get_hatch() else _paint(face)
        return f' fill="{paint}"{_opacity("fill", alpha)}'

    def _stroke(self, gc: GraphicsContextBase) -> str:
        rgba, width = gc.get_rgb(), gc.get_linewidth()
        alpha = self._alpha(gc, rgba)
        if not width or not alpha:
            return ""
        cap = gc.get_capstyle()
        ends = "" if cap == "butt" else f' stroke-linecap="{"square" if cap == "projecting" else cap}"'
        return (
            f' stroke="{_paint(rgba)}" stroke-width="{round(10 * width)}"'
            f"{_dashes(gc)}{ends}{_opacity('stroke', alpha)}"
        )

    def _hatch(self, gc: GraphicsContextBase, face: Any) -> str:
        """Define a hatch once and return its id."""
        mark = _paint(to_rgba(gc.get_hatch_color()))
        kind = f"{gc.get_hatch()} {_paint(face)} {mark}"
        known = list(self._hatches)
        name = f"{self.uid}-{known.index(kind) if kind in known else len(known)}"
        hatch = gc.get_hatch_path(density=2.0)
        if kind not in known and hatch is not None:
            lines = _outline(hatch, Affine2D().scale(240, -240).translate(0, 240), simplify=False)
            self._hatches[kind] = (
                f'<pattern id="{name}" width="240" height="240" patternUnits="userSpaceOnUse">'
                f'<path fill="{_paint(face)}" d="M0 0h240v240h-240z"/>'
                f'<path fill="{mark}" stroke="{mark}" stroke-width="{round(10 * gc.get_hatch_linewidth())}" '
                f'd="{lines}"/></pattern>'
            )
        return name

    @staticmethod
    def _alpha(gc: GraphicsContextBase, rgba: Sequence[float]) -> float:
        return gc.get_alpha() if gc.get_forced_alpha() else (rgba[3] if len(rgba) > 3 else 1.0)

    # Helpers

    def _append(self, element: str) -> None:
        self.parts.append(element)
        self._style = ""

    @contextmanager
    def _merging(self) -> Iterator[None]:
        self._merge, self._style = True, ""
        yield
        self._merge, self._style = False, ""

    def _needed_clip(self, gc: GraphicsContextBase, extent: Bbox) -> str:
        """Return the clip as the attributes of a nested svg; empty if nothing would be cut."""
        box: Any = gc.get_clip_rectangle()
        path: Any
        path, transform = gc.get_clip_path()
        if box is None and path is None:
            return ""
        box = path.get_extents(transform) if box is None else box
        page = Bbox(self.flip.transform(box.get_points()))
        # A line that runs along the frame keeps its full width.
        x, y = round(page.xmin - 12), round(page.ymin - 12)
        right, top = round(page.xmax + 12), round(page.ymax + 12)
        if x <= extent.xmin and extent.xmax <= right and y <= extent.ymin and extent.ymax <= top:
            return ""
        size = f"{right - x} {top - y}"
        width, height = size.split()
        return f'x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{x} {y} {size}"'

    def _clip_to(self, clip: str) -> bool:
        """Open or close the nested svg, and tell whether anything changed."""
        if clip == self._clip:
            return False
        if self._clip:
            self._append("</svg>")
        if clip:
            self._append(f"<svg {clip}>")
        self._clip = clip
        return True

    def _fits(self, s: str, prop: Any, x: float, anchor: str) -> bool:
        """Tell whether a text stays on the page, whose margin is 16 pixels, when a phone enlarges it."""
        wide = _PHONE * self.get_text_width_height_descent(s, prop, False)[0]
        left = x - wide * {"left": 0, "center": 0.5, "right": 1}[anchor]
        return left >= -8 and left + wide <= self.width + 8


class _Ghost(_Renderer):
    """Draws only outlines, in grey: what the default looked like."""

    def style(self, gc: GraphicsContextBase, face: Any) -> str:
        if not (super()._fill(gc, face) or self._stroke(gc)):
            return ""
        return f' stroke="var(--ps-ghost,#a9afb9)" stroke-width="18"{_dashes(gc)}'

    def _hatch(self, gc: GraphicsContextBase, face: Any) -> str:
        return "none"


def _opacity(what: str, alpha: float) -> str:
    return "" if math.isclose(alpha, 1.0) else f' {what}-opacity="{alpha:.3g}"'


def _dashes(gc: GraphicsContextBase) -> str:
    dashes: Any = gc.get_dashes()[1]
    return f' stroke-dasharray="{_numbers([round(10 * d) for d in dashes])}"' if dashes else ""


@contextmanager
def _for_page(figure: Figure) -> Iterator[None]:
    """Draw at 72 dots an inch and without paper."""
    dpi, paper = figure.get_dpi(), figure.patch.get_visible()
    figure.set_dpi(72)
    figure.patch.set_visible(False)
    try:
        with house():
            yield
    finally:
        figure.set_dpi(dpi)
        figure.patch.set_visible(paper)


def drawing(figure: Figure, uid: str = "ps") -> str:
    """Draw a figure as the elements inside an SVG."""
    with _for_page(figure):
        renderer = _Renderer(figure, uid)
        figure.draw(renderer)
        return renderer.result()


def ghost(figure: Figure) -> str:
    """Draw the lines and shapes of a figure that was drawn before as thin grey outlines."""
    with _for_page(figure):
        renderer = _Ghost(figure)
        for ax in figure.axes:
            for artist in (*ax.collections, *ax.patches, *ax.lines):
                artist.draw(renderer)
        return renderer.result()


def svg_element(figure: Figure, inside: str, alt: str) -> str:
    """Wrap drawn elements in the SVG of a figure's size."""
    width, height = (round(720 * inches) for inches in figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(alt)}" font-size="120" fill="none" stroke-linejoin="round">{inside}</svg>'
    )


def svg(figure: Figure, alt: str = "") -> str:
    """Draw any matplotlib figure as an SVG whose ink and palette follow the page.

    Parameters
    ----------
    figure : Figure
    alt : str
        Text for readers who do not see the picture.

    Returns
    -------
    str
        One ``<svg>`` element in tenths of a pixel, the same bytes from any process.
    """
    uid = "ps" + hashlib.sha256(drawing(figure).encode()).hexdigest()[:8]
    return svg_element(figure, drawing(figure, uid), alt)


def png(figure: Figure, note: str = "", dpi: float = 200) -> bytes:
    """Draw a figure as PNG on white, for print.

    Parameters
    ----------
    figure : Figure
    note : str
        A line of text under the picture (the key number).
    dpi : float
        Dots an inch.
    """
    width, height = figure.get_size_inches()
    foot = 0.36 if note else 0.0
    out = io.BytesIO()
    with house():
        line = figure.text(0.02, -0.2 / height, note, fontsize=13, fontweight="bold", va="center", color=INK)
        line.set_in_layout(False)
        area_shown = Bbox([[0, -foot], [width, height]])
        figure.savefig(
            out, format="png", dpi=dpi, facecolor="white", bbox_inches=area_shown, metadata={"Software": None}
        )
        line.remove()
    return out.getvalue()


# --- Showing in a page ---

_DARK_PAGES = "html[data-theme=dark],body[data-jp-theme-light=false],body.vscode-dark"
_PLAIN_PAGE = "html:not([data-theme]) body:not([data-jp-theme-light],[class*=vscode])"


def _variables(dark: bool) -> str:
    lines = {hue.name: hue.line_dark if dark else hue.line for hue in HUES}
    words = {f"{hue.name}-word": hue.word_dark if dark else hue.word for hue in HUES}
    others = {"ground": "#121212", "ghost": "#5b626d"} if dark else {"ground": GROUND, "ghost": "#b3b9c2"}
    scheme = "color-scheme:dark;" if dark else "color-scheme:light;"
    return scheme + "".join(f"--ps-{name}:{value};" for name, value in {**lines, **words, **others}.items())


PICTURE_CSS = f"""
.panicsim {{ {_variables(dark=False)} }}
:is({_DARK_PAGES}) .panicsim {{ {_variables(dark=True)} }}
@media (prefers-color-scheme:dark) {{
  {_PLAIN_PAGE} .panicsim {{ {_variables(dark=True)} background:var(--ps-ground); color:#e6e6e6 }}
}}
figure.panicsim {{
  container-type:inline-size; box-sizing:border-box; width:100%; max-width:640px; margin:1rem auto; padding:0;
  border:0; text-align:start; line-height:1.45
}}
.panicsim .ps-picture>svg {{
  display:block; overflow:visible; width:100%; height:auto; font-size:120px; font-family:inherit
}}
@container (max-width:430px) {{ .panicsim .ps-picture>svg {{ font-size:{120 * _PHONE:g}px }} }}
html[data-theme=dark] .bd-content div.cell_output .text_html:has(>.panicsim):not(:has(table.dataframe)) {{
  background:none; color:inherit; padding:0
}}
"""
"""Colours and size of the picture alone; figures with knobs add their own rules."""


def squeeze(css: str) -> str:
    """Take comments and needless blanks out of a style sheet: it stands in every figure."""
    css = re.sub(r"/\*.*?\*/|\s*\n\s*", lambda m: "" if m[0].startswith("/*") else " ", css, flags=re.S)
    return re.sub(r" ?([{};]) ?", r"\1", re.sub(r" +", " ", css)).replace(";}", "}").strip()


def picture_page(element: str) -> str:
    """Return a drawn SVG as a self-contained piece of page."""
    style = f"<style>{squeeze(PICTURE_CSS)}</style>"
    return f'<figure class="panicsim">{style}<div class="ps-picture">{element}</div></figure>'


def bundle(page: str, alt: str, figure: Figure, note: str = "") -> dict[str, str]:
    """Return what a notebook stores of a figure: the page, and in a build the picture for print."""
    shown = {"text/html": page, "text/plain": alt}
    if is_static():
        shown["image/png"] = base64.b64encode(png(figure, note)).decode()
    return shown
