"""Numbers that a chapter's prose takes from its cells.

A chapter never types a number that a cell has computed: the cell glues it under a name, and the prose shows it
by ``{glue:text}`name```. The output has the form that MyST-NB reads, so that a chapter needs no book builder
when it runs in Colab; other notebook front ends show nothing.
"""

from __future__ import annotations

from numbers import Real

from IPython.display import publish_display_data


def glue(name: str, value: object, form: str = "") -> None:
    """Store a value under a name for the prose of the chapter.

    Parameters
    ----------
    name : str
        Name, unique in the book: begin it with the chapter's number, ``"ch10_r2"``.
    value : object
        What to show: a number, or text.
    form : str
        Format specification, as in ``format(value, form)``: ``".2f"``, ``"+.2f"``, ``",d"``; prose has a minus sign
        for a hyphen, and a space that does not break for a comma between thousands.

    Raises
    ------
    ValueError
        If the specification does not fit the value.

    Examples
    --------
    >>> glue("ch10_r2", 0.95132, ".2f")  # doctest: +SKIP
    """
    shown = format(value, form)
    if isinstance(value, Real):
        shown = shown.replace("-", "\N{MINUS SIGN}").replace(",", "\N{NO-BREAK SPACE}")  # prose, not code
    publish_display_data(
        {"application/papermill.record/text/plain": f"'{shown}'"},
        {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}},
    )
