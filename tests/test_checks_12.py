"""The self-checks of chapter 12: each accepts right answers and names the mistake of wrong ones."""

import pytest

from fixlip_helpers import checks

TERMS = 1 + 216 + 216 * 215 // 2


@pytest.mark.parametrize("answer, hint", [
    ((TERMS, 8 * TERMS**2 / 1e9), None),
    ((TERMS, 4.4), None),
    ((1 + 216 + 216 * 215, 17), "counted twice"),
    ((TERMS - 1, 4.4), "a constant"),
    ((TERMS + 216, 4.4), "a constant"),
    ((216, 4.4), "not the number"),
    ((TERMS, 8 * TERMS**2 / 2**30), "gibibytes"),
    ((TERMS, 2.2), "8 bytes here"),
    ((TERMS, 100), "square"),
    ((..., ...), "no answer"),
])  # fmt: skip
def test_bill(answer, hint):
    verdict = checks.ch12_bill(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def joined(weights, scale=1.0):
    def join(first, second):
        m = first[2] + second[2]
        a, b = weights(first[2], second[2])
        return scale * (a * first[0] + b * second[0]), scale * (a * first[1] + b * second[1]), m

    return join


@pytest.mark.parametrize("function, hint", [
    (joined(lambda a, b: (a / (a + b), b / (a + b))), None),
    (joined(lambda a, b: (0.5, 0.5)), "plain mean"),
    (joined(lambda a, b: (1, 1)), "means do not add"),
    (joined(lambda a, b: (a, b)), "that is the sum"),
    (joined(lambda a, b: (b / (a + b), a / (a + b))), "not the averages"),
    (lambda first, second: (first[0] * 0.75 + second[0] * 0.25, first[1], 40), "right-hand side is not"),
    (lambda first, second: first, "that of both"),
    (lambda first, second: None, "nothing yet"),
    (lambda first: first, "could not use"),
])  # fmt: skip
def test_join(function, hint):
    verdict = checks.ch12_join(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("plan, hint", [
    ((2048, 256, 64), None),
    ((1226, 82, 1), None),
    ((2048, 512, 64), "no more than 256"),
    ((1225, 256, 64), "image side"),
    ((2048, 36, 64), "text side"),
    ((1300, 40, 64), "fewer than 100 000"),
    ((2900, 256, 64), "more than 3 000"),
    ((2048, 256, 107), "64 MB"),
    ((2048, 256, 0.5), "whole numbers"),
    ((2048, 256, None), "no answer"),
])  # fmt: skip
def test_plan(plan, hint):
    verdict = checks.ch12_plan(*plan)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch12_reading({"A", "b", "d ", "e", "f"})
    for other in ({"a", "b"}, {"a", "b", "c", "d", "e", "f"}, {"x"}, None):
        assert not checks.ch12_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "abdef" not in repr(checks.ch12_reading({"c"})).replace(",", "").replace(" ", "")
