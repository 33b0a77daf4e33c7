"""Self-checks of chapter 08, explanations of first order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones


@answered
def ch08_game(patch_1: float, patch_2: float) -> Verdict:
    """Exercise "GAME by hand"."""
    mistakes = {
        (-1.2, 1.0): "a relu is missing: no number of GAME is negative.",
        (1.2, 1.0): "relu cuts off what is negative; it does not turn its sign.",
        (0.0, 5.0): "the gradient is multiplied with the attention.",
        (0.3, 0.2): "that is the attention alone.",
        (1.0, 2.0): "the identity adds 1 on the diagonal only; a patch's entry in the row of CLS is off it.",
    }
    for (one, two), hint in mistakes.items():
        if abs(patch_1 - one) < 1e-6 and abs(patch_2 - two) < 1e-6:
            return Verdict(False, hint)
    if abs(patch_1) < 1e-6 and abs(patch_2 - 1) < 1e-6:
        return Verdict(True)
    return Verdict(False, "gradient times attention, then relu, for each patch.")


@answered
def ch08_relevance(function: Callable[[list[np.ndarray]], np.ndarray]) -> Verdict:
    """Exercise "More layers": R ← R + Ā R."""
    layers = list(np.random.default_rng(8).uniform(size=(3, 4, 4)))
    answer = function([layer.copy() for layer in layers])
    if answer is None:
        return Verdict(False, "the function returns nothing yet.")
    answer, one = np.asarray(answer, dtype=float), np.eye(4)
    if answer.shape != (4, 4):
        return Verdict(False, f"shape {answer.shape}; R is as large as each Ā.")
    a, b, c = layers
    mistakes = (
        ((one + a) @ (one + b) @ (one + c), "the order is turned round: later layers stand on the left."),
        (c @ b @ a, "the identity is missing: each layer adds to what is there."),
        (one + a + b + c, "that adds the layers; each is to be multiplied with what came before it."),
        (one + c, "only the last layer counts there; all of the list should."),
    )
    return compared(answer, (one + c) @ (one + b) @ (one + a), mistakes, "not the R of the definition.")


@answered
def ch08_silence(main: float, with_first: float, with_second: float) -> Verdict:
    """Exercise "Silence that is not indifference"."""
    value = main + 0.5 * (with_first + with_second)
    if abs(value) > 1e-9:
        twice = abs(main + with_first + with_second) < 1e-9
        return Verdict(
            False,
            "each pair counts with p = ½ in the value, not whole."
            if twice
            else "the patch's value is not 0.",
        )
    beside_first = (
        main + with_first
    )  # beside the second word alone it is the negative of this, as the value is 0
    if abs(beside_first) <= 1e-9:
        return Verdict(False, "this patch does nothing beside either word alone.")
    if beside_first < 0:
        return Verdict(False, "the two words are exchanged.")
    return Verdict(True)


@answered
def ch08_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 08."""
    return wrong_ones(wrong, "acdf", "abcdef")
