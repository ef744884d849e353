"""Saves figures as png, pdf, or TikZ for LaTeX."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.axis import Tick
from matplotlib.figure import Figure
from matplotlib.text import Text

from lib.utils.extras import require
from lib.utils.files import make_folder, write_atomically

SPECIAL = {letter: f"\\{letter}" for letter in "#$&%_{}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\^{}",
    "~": r"\~{}",
}  # character -> TeX
FIGURE_FORMATS = ("png", "pdf", "tex")


def save_figure(figure: Figure, stem: Path, formats: Collection[str] = ("png",)) -> list[Path]:
    """Write stem.<format> for each of `formats` (see FIGURE_FORMATS) and return the files.

    A .tex file holds a tikzpicture, to be included by a document with \\usepackage{pgfplots}. A $ in a text is printed
    as it is, not as the start of a formula. Raises ConfigError for tex if matplot2tikz is
    not installed.
    """
    make_folder(stem.parent)
    ticks = {text for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
    for text in set(figure.findobj(Text)) - ticks:  # logarithmic axes write tick labels as formulas
        text.set_parse_math(False)
    files = [stem.with_name(f"{stem.name}.{form}") for form in formats]
    for file, form in zip(files, formats):
        if form == "tex":
            code = _tikz(figure, file)
            write_atomically(file, lambda path, code=code: path.write_text(code, encoding="utf-8"))
        else:
            write_atomically(file, lambda path, form=form: figure.savefig(path, dpi=150, format=form))
    return files


def _tikz(figure: Figure, file: Path) -> str:
    require("report", "matplot2tikz", f"{file}: TikZ")
    from matplot2tikz import get_tikz_code

    equal = all(axes.get_aspect() == 1 for axes in figure.axes)
    with _escaped(figure):
        code = get_tikz_code(
            figure=figure,
            filepath=str(file),
            axis_width=r"1.1\linewidth" if equal else r"0.9\linewidth",
            axis_height=r"1.1\linewidth" if equal else r"0.65\linewidth",
            extra_axis_parameters={"axis equal image", "clip=false"} if equal else None,
        )
    # the exporter's scale makes texts too small
    return re.sub(r"\bscale=0\.\d+", lambda _match: r"font=\scriptsize, align=center", code)


@contextmanager
def _escaped(figure: Figure) -> Iterator[None]:
    """Escape the figure's texts for TeX, and restore them at the end. A context manager.

    The exporters escape &, % and _ in titles and axis labels, but nothing in legends and free texts. A line break needs
    a blank after it.
    """
    raw = {text for axes in figure.axes for text in axes.texts}
    raw |= {text for axes in figure.axes if axes.get_legend() for text in axes.get_legend().findobj(Text)}
    before = [(text, text.get_text()) for text in figure.findobj(Text)]
    for text, words in before:
        marks = SPECIAL if text in raw else {key: SPECIAL[key] for key in "#$^~"}
        words = "".join(marks.get(letter, letter) for letter in words)
        text.set_text(words.replace("\n", "\n ") if text in raw else words)
    try:
        yield
    finally:
        for text, words in before:
            text.set_text(words)
