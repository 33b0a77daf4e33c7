"""FIxLIP: the second-order surrogate of a game that is most faithful under P_p.

Baniecki et al., *Explaining Similarity in Vision-Language Encoders with Weighted Banzhaf Interactions*,
NeurIPS 2025: the explanation is the paper's Definition 5, ``sampling="joint"`` the model-agnostic estimator
(the paper's Definition 6), ``sampling="cross"`` the cross-modal one (the paper's Definition 7).
"""

from __future__ import annotations

import os
from numbers import Real
from time import perf_counter

import numpy as np

from fixlip_helpers.checkpoints import Checkpointed, Remembered
from fixlip_helpers.coalitions import (
    STREAMS,
    Design,
    UnderdeterminedError,
    at_least_one,
    authors_split,
    check_count,
    check_p,
    choose_design,
    default_draws,
    empty_and_full,
    n_monomials,
)
from fixlip_helpers.effort import MOST_COALITIONS, spend
from fixlip_helpers.explanation import Explanation, player_names
from fixlip_helpers.games import Game, TwoSidedGame, checked_values
from fixlip_helpers.shapley import check_identified, shapley_design, solve_enforced
from fixlip_helpers.sides import (
    assemble,
    combine,
    draw_held_out,
    encode_side,
    evaluate_once,
    fit_side,
    r_squared,
)
from fixlip_helpers.uncertainty import joint_errors
from fixlip_helpers.wls import MAX_TERMS, solve, solve_exact_text, solve_product


def fixlip(
    game: Game | TwoSidedGame,
    p: float = 0.5,
    budget: int | str = "auto",
    *,
    index: str = "FWBII",
    sampling: str | None = None,
    design: str | Design | tuple[str | Design, str | Design] | None = None,
    solver: str = "sides",
    n_image_coalitions: int | None = None,
    n_text_coalitions: int | None = None,
    seed: int = 0,
    n_held_out: int = 256,
    errors: bool = False,
    tolerance: float | None = None,
    seconds: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    order: int | None = None,
) -> Explanation:
    """Explain a game by FIxLIP-p.

    Parameters
    ----------
    game : Game or TwoSidedGame
        ``sampling="cross"`` needs a two-sided one.
    p : float
        Every player is visible with probability ``p``, ``0 < p < 1``.
    budget : int or "auto"
        "auto": the sizes of :func:`~fixlip_helpers.coalitions.choose_design`. A number: that many values of
        the game; with cross-modal sampling these are the pairs of the image and text coalitions that the
        authors' rule (:func:`~fixlip_helpers.coalitions.authors_split`) makes of it.
    index : str
        ``"FWBII"``, the faithful weighted Banzhaf interaction index, or ``"FSII"``, the faithful Shapley
        interaction index (:mod:`~fixlip_helpers.shapley`; FIxLIP-SI in the paper), in which ``p`` has no part
        but for the coalitions on which it is judged.
    sampling : str, optional
        ``"cross"``: image and text coalitions are drawn and encoded by themselves, and all pairs are used;
        the default for FWBII.
        ``"joint"``: coalitions of all players are drawn, for any game; always solved by least squares. The
        default and the only choice for FSII, whose weights are no product of one for the image and one for the
        text.
    design : str, Design or pair of them, optional
        How coalitions are drawn (see ``choose_design``): for the image, for all players where sampling is
        joint, or, as a pair, for image and text. A ready Design brings its own size.
    solver : str
        ``"sides"``: each tower is regressed by itself (:mod:`~fixlip_helpers.sides`). ``"wls"``: the
        paper's weighted least squares on all pairs, without forming them
        (:func:`~fixlip_helpers.wls.solve_product`). Above some 200 players neither forms a Gram matrix
        (:mod:`~fixlip_helpers.matrix_free`); ``meta["solved_by"]`` says what ran.
    n_image_coalitions, n_text_coalitions : int, optional
        Sizes of the two designs, in place of the budget's.
    seed : int
        Chooses every random bit.
    n_held_out : int
        Image (or whole) coalitions that are evaluated besides and never fitted, with a quarter as many
        text coalitions: ``meta["held_out_r2"]`` is the share of the game's variance under ``P_p`` that
        the explanation gets right on all their pairs. A side that was enumerated is judged on all its
        coalitions.
    errors : bool
        Add standard errors of every number (``explanation.errors``, see :mod:`~fixlip_helpers.uncertainty`).
        "auto" then draws independently where it does not enumerate, and no penalty is used. For FWBII by side
        fits, or by joint sampling.
    tolerance : float, optional
        Spend passes until no cross-modal interaction has a standard error above this, in the game's unit, or the
        budget is gone ("auto": :data:`~fixlip_helpers.effort.MOST_COALITIONS` of a side); ``meta["tolerance"]`` says
        which. Implies ``errors``; draws are independent and grow, so that no coalition is encoded twice. For
        cross-modal sampling.
    seconds : float, optional
        Spend about that long on encoding and solving, in place of a budget: the encoder's speed is measured in its
        first passes, which are kept (:func:`~fixlip_helpers.effort.spend`). ``meta["time"]`` holds what was asked and
        what it took. How many coalitions there are then depends on the machine: the result is not reproducible to the
        bit. For cross-modal sampling by side fits.
    checkpoint : path, optional
        A folder that keeps every embedding of a two-sided game as soon as it is there
        (:class:`~fixlip_helpers.checkpoints.Checkpointed`): a run that was interrupted, or one with a larger budget,
        encodes only what the folder lacks.
    order : int, optional
        Of the image's side: 1 leaves pairs within the picture out, which a few passes do not tell apart; 2 keeps them
        whatever the penalty. Without it, held-out draws decide (:func:`~fixlip_helpers.sides.fit_side`). For
        cross-modal sampling by side fits, without errors.

    Returns
    -------
    Explanation
        In the unit of the game. ``meta`` holds design, solver, passes, seconds, held_out_r2, full_value
        and more.

    Raises
    ------
    UnderdeterminedError
        (a ValueError) If the budget does not identify the explanation; the message says what would.
    ValueError
        If an argument is not one of those listed.
    TypeError
        If the game is not a game, or not two-sided though sampling is cross-modal.

    Examples
    --------
    >>> from fixlip_helpers import VisionLanguageGame, load_model, scenes
    >>> hero = scenes.examples()["hero"]
    >>> game = VisionLanguageGame(load_model("mini-clip"), hero.image, hero.caption, image_players=(4, 4))
    >>> explanation = fixlip(game, p=0.5, n_image_coalitions=512)
    >>> explanation.n_image, explanation.n_text
    (16, 8)
    >>> explanation.meta["held_out_r2"] > 0.9
    True
    """
    p = check_p(p)
    for name, given, allowed in (
        ("index", index, ("FWBII", "FSII")),
        ("sampling", sampling or "joint", ("cross", "joint")),
        ("solver", solver, ("sides", "wls")),
    ):
        if given not in allowed:
            raise ValueError(f"{name} = {given!r}; expected {' or '.join(map(repr, allowed))}")
    if not (isinstance(budget, str) and budget == "auto"):
        try:
            budget = at_least_one("budget", budget)
        except ValueError:
            raise ValueError(
                f"budget = {budget!r}; expected 'auto' or a whole number of at least 1"
            ) from None
    seed, n_held_out = check_count("seed", seed), check_count("n_held_out", n_held_out)
    if n_held_out < 8:
        raise ValueError(f"n_held_out = {n_held_out}; expected at least 8")
    if tolerance is not None and (
        isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < tolerance < np.inf
    ):
        raise ValueError(f"tolerance = {tolerance!r}; expected a number above 0, in the game's unit, or None")
    check_seconds(seconds)
    if seconds is not None:
        seconds = float(seconds)
        taken = {
            "budget": budget != "auto", "tolerance": tolerance is not None, "design": design is not None,
            "the sizes of the sides": n_image_coalitions or n_text_coalitions,
            "sampling='joint'": sampling == "joint", "index='FSII'": index == "FSII",
            "solver='wls'": solver == "wls",
        }  # fmt: skip
        if given := [name for name, is_given in taken.items() if is_given]:
            raise ValueError(f"seconds chooses the coalitions itself: leave {', '.join(given)} out")
    tolerance = None if tolerance is None else float(tolerance)
    errors = bool(errors) or tolerance is not None
    if errors and (index == "FSII" or (solver == "wls" and sampling != "joint")):
        raise ValueError("errors and tolerance are for index='FWBII' by solver='sides' or sampling='joint'")
    if tolerance is not None and (design is not None or n_image_coalitions or n_text_coalitions):
        raise ValueError("tolerance chooses the designs itself: leave design and the sizes of the sides out")
    if tolerance is not None and sampling == "joint":
        raise ValueError(
            "tolerance is for cross-modal sampling; joint sampling takes a budget and errors=True"
        )
    if order is not None and (
        errors or index == "FSII" or solver == "wls" or sampling == "joint" or seconds is not None
    ):
        raise ValueError(
            "order is for cross-modal sampling by solver='sides', without errors, tolerance or seconds"
        )
    if index == "FSII" and (sampling == "cross" or design is not None):
        raise ValueError(
            "index = 'FSII' draws whole coalitions with Shapley weights: it takes sampling='joint' and no design"
        )
    sampling = sampling or ("joint" if index == "FSII" else "cross")
    sizes = tuple(
        None if size is None else check_count(name, size)
        for name, size in (
            ("n_image_coalitions", n_image_coalitions),
            ("n_text_coalitions", n_text_coalitions),
        )
    )
    if checkpoint is not None:
        if not isinstance(game, TwoSidedGame):
            raise TypeError(f"checkpoint is for two-sided games; {type(game).__name__} is none")
        game = Checkpointed(game, checkpoint)
    if sampling == "joint":
        if not isinstance(game, Game):
            raise TypeError(f"{type(game).__name__} is no game: it needs n_players and a call on coalitions")
        if sizes != (None, None) or isinstance(design, tuple):
            raise ValueError(
                "joint sampling draws whole coalitions: it takes one design and a budget, no sizes of sides"
            )
        n, m = game.n_players, None if budget == "auto" else budget
        if index == "FSII":
            design = shapley_design(n, m or default_draws("joint", n), seed)
        else:
            design = choose_design("joint", n, p, design or "auto", m, seed, independently=errors)
        explanation = _joint(game, p, design, index, seed, n_held_out, errors)
    else:
        if not isinstance(game, TwoSidedGame):
            raise TypeError(
                f"{type(game).__name__} is no two-sided game (see TwoSidedGame); use sampling='joint'"
            )
        designs = design if isinstance(design, tuple) else (design or "auto", "auto")
        if len(designs) != 2:
            raise ValueError(f"design is a tuple of {len(designs)}; expected a pair, for image and text")
        if budget != "auto":
            split = authors_split(budget, game.n_image, game.n_text)
            sizes = tuple(m if own is None else own for own, m in zip(sizes, split, strict=True))
        try:
            if seconds is not None:
                explanation = _within(game, p, seconds, seed, errors)
            elif tolerance is not None:
                explanation = _until(game, p, tolerance, sizes, seed, n_held_out)
            elif solver == "sides":
                explanation = _sides(game, p, designs, sizes, seed, n_held_out, errors, order)
            else:
                explanation = _product(game, p, designs, sizes, seed, n_held_out)
        except UnderdeterminedError as error:
            if budget == "auto":
                raise
            raise UnderdeterminedError(
                f"budget = {budget} gives {sizes[0]} image and {sizes[1]} text coalitions, too few: {error}. A "
                f"budget of {enough_budget(game.n_image, game.n_text)} is enough; 'auto' chooses one"
            ) from None
    explanation.meta |= {"budget": budget, "seed": seed}
    return explanation


def _sides(
    game: TwoSidedGame,
    p: float,
    designs: tuple,
    sizes: tuple,
    seed: int,
    n_held_out: int,
    errors: bool,
    order: int | None = None,
) -> Explanation:
    """The cross-modal estimator by side fits (the factorisation theorem)."""
    image = fit_side(
        game, "image", p, designs[0], sizes[0], seed, n_held_out=n_held_out, errors=errors, order=order
    )
    text = fit_side(game, "text", p, designs[1], sizes[1], seed, n_held_out=n_held_out // 4, errors=errors)
    return combine(image, text, errors)


def check_seconds(seconds: float | None) -> None:
    """ValueError for a time that is neither None nor a number above 0."""
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, Real) or not 0 < seconds < np.inf:
        raise ValueError(f"seconds = {seconds!r}; expected a number above 0")


def _within(game: TwoSidedGame, p: float, seconds: float, seed: int, errors: bool) -> Explanation:
    """Side fits on as many coalitions as a time allows."""
    start = perf_counter()
    game = game if isinstance(game, Remembered) else Remembered(game)
    spent = spend(game, p, seconds, seed, errors)
    image, text = (
        fit_side(game, side, p, design, seed=seed, n_held_out=n_held_out, errors=errors)
        for side, design, n_held_out in zip(
            ("image", "text"), (spent.image, spent.text), spent.n_held_out, strict=True
        )
    )
    explanation = combine(image, text, errors)
    explanation.meta["time"] = {
        "asked": seconds, "taken": perf_counter() - start, "stopped": spent.stopped
    }  # fmt: skip
    return explanation


def _until(
    game: TwoSidedGame, p: float, tolerance: float, most: tuple, seed: int, n_held_out: int
) -> Explanation:
    """Side fits on growing designs until the cross-modal interactions are known to a tolerance."""
    game = game if isinstance(game, Remembered) else Remembered(game)
    n = game.n_image, game.n_text
    most = [
        size if size is not None else min(2 ** min(side, 20), MOST_COALITIONS)
        for side, size in zip(n, most, strict=True)
    ]
    sizes = [min(2 * n_monomials(side), limit) for side, limit in zip(n, most, strict=True)]
    while True:
        explanation = _sides(game, p, ("auto", "auto"), tuple(sizes), seed, n_held_out, True)
        reached = explanation.largest_error()
        if reached <= tolerance or sizes == most:
            break
        # errors fall with the square root of the passes; a tenth more, as they are estimates themselves
        growth = min(4.0, max(1.3, 1.1 * (reached / tolerance) ** 2))
        sizes = [min(limit, int(np.ceil(growth * size))) for size, limit in zip(sizes, most, strict=True)]
    explanation.meta["tolerance"] = {
        "asked": tolerance,
        "reached": reached,
        "stopped": "tolerance" if reached <= tolerance else "budget",
    }
    return explanation


def _product(
    game: TwoSidedGame, p: float, designs: tuple, sizes: tuple, seed: int, n_held_out: int
) -> Explanation:
    """The cross-modal estimator by weighted least squares on all pairs."""
    start = perf_counter()
    designs = [
        choose_design(side, n, p, d, m, seed)
        for side, n, d, m in zip(("image", "text"), (game.n_image, game.n_text), designs, sizes, strict=True)
    ]
    for side, d in zip(("image", "text"), designs, strict=True):
        if len(d) < n_monomials(d.n):
            raise UnderdeterminedError(
                f"{len(d)} distinct {side} coalitions do not identify the {n_monomials(d.n)} terms of {d.n} "
                f"{side} players. Least squares needs at least {n_monomials(game.n_image)} image and "
                f"{n_monomials(game.n_text)} text passes"
            )
    drawing = perf_counter() - start
    image = encode_side(game, "image", designs[0], seed, 0, n_held_out)
    text = encode_side(game, "text", designs[1], seed, 0, n_held_out // 4)
    start = perf_counter() - drawing
    large = n_monomials(game.n_image + game.n_text) > MAX_TERMS
    split = large and designs[1].orthonormal  # then no matrix of all terms is needed
    solver, method = (solve_exact_text, "exact text") if split else (solve_product, "product")
    terms = solver(image.embeddings, text.embeddings, *designs, image.scale, image.bias)
    return assemble(terms, image, text, {"solver": "wls", "solved_by": {"pairs": method}}, start)


def enough_budget(n_image: int, n_text: int) -> int:
    """The smallest power of two that the authors' rule splits into enough passes of both sides."""
    budget = 1
    while any(
        m < n_monomials(n)
        for m, n in zip(authors_split(budget, n_image, n_text), (n_image, n_text), strict=True)
    ):
        budget *= 2
    return budget


def _joint(
    game: Game, p: float, design: Design, index: str, seed: int, n_held_out: int, errors: bool
) -> Explanation:
    """The model-agnostic estimator: whole coalitions, weighted least squares; judged under ``P_p``."""
    start = perf_counter()
    n = game.n_players
    if index == "FSII":
        check_identified(design)
    elif len(design) < n_monomials(n):
        raise UnderdeterminedError(
            f"{len(design)} distinct coalitions do not identify the {n_monomials(n)} terms of {n} players: "
            f"at least {n_monomials(n)} passes are needed, and {4 * n_monomials(n)} are advised"
        )
    held_out = draw_held_out(design, p, n_held_out, seed, STREAMS["joint"] + STREAMS["held_out"])
    parts = [design.coalitions, held_out.coalitions, empty_and_full(n)]
    (fitted, judged, ends), passes, evaluating = evaluate_once(
        lambda coalitions: checked_values(game, coalitions, game(coalitions)), parts
    )
    if index == "FSII":
        terms, method = solve_enforced(design.coalitions, fitted, design.weights, ends), "dense"
    else:
        terms, method, _ = solve(design.coalitions, fitted, design.weights, p)
    n_image, n_text = getattr(game, "n_image", n), getattr(game, "n_text", 0)
    players = list(getattr(game, "players", None) or player_names(n_image, n_text))
    meta = {
        **getattr(game, "meta", {}),
        "method": "FIxLIP" if index == "FWBII" else "FIxLIP-SI",
        "sampling": "joint",
        "solver": "wls",
        "solved_by": {"joint": method},
        "design": {"joint": {"name": design.name, "coalitions": len(design), "seed": design.seed}},
        "passes": {"joint": passes},
        "full_value": float(ends[1]),
        "held_out_p": p,
    }
    own_p = p if index == "FWBII" else None
    explanation = Explanation(
        terms[0], float(ends[0]), terms[1], terms[2], index, own_p, players, n_image, n_text, meta
    )
    explanation.picture = getattr(game, "picture", None)
    if errors:
        explanation.errors = joint_errors(explanation, design, fitted)
    meta["held_out_r2"] = r_squared(judged, explanation.predict(held_out.coalitions), held_out.weights)
    meta["seconds"] = {"encoder": evaluating, "outside": perf_counter() - start - evaluating}
    return explanation
