"""Games: tables, toy games, and a game whose explanation is known."""

import numpy as np
import pytest
import shapiq
from truth import assert_terms, brute_force, everything, pairs_of, random_surrogate, terms

from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import (
    EmbeddingTableGame,
    ExplanationGame,
    Game,
    TableGame,
    TwoSidedGame,
    parity,
    precision_report,
    random_embeddings,
    random_game,
    to_shapiq,
    unanimity,
)


def test_table_game_reads_player_i_as_bit_i():
    game = TableGame([0, 1, 2, 3, 4, 5, 6, 7])
    assert game(np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)).tolist() == [1, 6, 7]
    assert isinstance(game, Game) and not isinstance(game, TwoSidedGame)


def test_toy_games():
    rows, _ = everything(3, 0.5)
    assert unanimity(3, [0, 2])(rows).tolist() == [0, 0, 0, 0, 0, 1, 0, 1]
    assert parity(3)(rows).tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
    assert parity(3)(np.array([[True, True, True]])).tolist() == [1]


def test_a_game_as_shapiqs_own(tmp_path):
    """Values less the empty one, saved and read again; third order against its definition."""
    game = random_game(4, seed=2)
    theirs, (rows, _) = to_shapiq(game), everything(4, 0.5)
    assert theirs(rows) == pytest.approx(game(rows) - game.values[0])
    theirs.precompute()
    theirs.save_values(tmp_path / "values.npz")
    again = shapiq.Game(n_players=4, normalize=True, normalization_value=game.values[0])
    again.load_values(tmp_path / "values.npz", precomputed=True)
    assert again(rows) == pytest.approx(theirs(rows))
    third = shapiq.ExactComputer(theirs)("BII", order=3)[(0, 1, 2)]
    signs = (-1) ** (3 - rows[:, :3].sum(axis=1))
    assert third == pytest.approx((signs * game(rows)).sum() / 2)


def test_a_game_can_be_handed_to_shapiq():
    game = random_game(4, seed=2)
    values = shapiq.ExactComputer(game, 4)("Moebius", 4)
    assert values[()] == pytest.approx(game.values[0])
    assert values[(0,)] == pytest.approx(game.values[1] - game.values[0])


def test_embedding_table_game_is_the_inner_product_of_its_tables():
    game = random_embeddings(3, 2, d=4, seed=1)
    assert isinstance(game, TwoSidedGame)
    images, texts = everything(3, 0.5)[0], everything(2, 0.5)[0]
    expected = 2.0 * game.image_embeddings @ game.text_embeddings.T - 1.0
    assert game(pairs_of(images, texts)) == pytest.approx(expected.ravel())
    assert game.encode_images(images[[5, 1]]) == pytest.approx(game.image_embeddings[[5, 1]])


def test_calling_a_two_sided_game_encodes_equal_halves_once():
    class Counting(EmbeddingTableGame):
        rows = 0

        def encode_images(self, coalitions):
            self.rows += len(coalitions)
            return super().encode_images(coalitions)

    game = Counting(np.ones((8, 1)), np.ones((4, 1)))
    game(pairs_of(everything(3, 0.5)[0][:5], everything(2, 0.5)[0]))
    assert game.rows == 5


def test_explanation_game_predicts_as_the_explanation():
    explanation = random_surrogate(4, 3)
    rows = everything(7, 0.5)[0]
    assert ExplanationGame(explanation)(rows) == pytest.approx(explanation.predict(rows))


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_noise_of_higher_order_leaves_the_exact_explanation_alone(p):
    explanation = random_surrogate(4, 3, p)
    game = ExplanationGame(explanation, noise_order3=0.3, noise_order4=0.2, seed=4, n_terms=20)
    assert {len(i) > 0 and len(t) > 0 for i, t, _ in game.noise} == {True, False}  # within a side and across
    rows, weights = everything(7, p)
    assert_terms(brute_force(rows, game(rows), weights), terms(explanation))
    noise = game(rows) - explanation.predict(rows)
    assert weights @ noise**2 == pytest.approx(0.5 * explanation.variance(p))
    assert fixlip(game, p).meta["held_out_r2"] == pytest.approx(1 / 1.5)


def test_noise_of_a_large_game_has_the_size_asked_for():
    explanation = random_surrogate(20, 5)
    game = ExplanationGame(explanation, noise_order3=0.1, seed=1)
    assert len({(tuple(i), tuple(t)) for i, t, _ in game.noise}) == 256
    assert sum(c**2 for *_, c in game.noise) == pytest.approx(0.1 * explanation.variance(0.5))


def test_bad_games_are_refused():
    with pytest.raises(ValueError, match=r"expected \(2\*\*n,\)"):
        TableGame([1, 2, 3])
    with pytest.raises(ValueError, match="embeddings have shapes"):
        EmbeddingTableGame(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"expected \(m, 3\)"):
        random_game(3)(np.ones((2, 4), dtype=bool))
    with pytest.raises(ValueError, match="noise_order3 = -1"):
        ExplanationGame(random_surrogate(2, 2), noise_order3=-1)
    with pytest.raises(ValueError, match="noise_order4"):
        ExplanationGame(random_surrogate(2, 1), noise_order4=0.1)


def test_a_precision_report_is_the_largest_change_on_a_few_coalitions():
    exact = random_embeddings(6, 3, seed=3)
    reduced = EmbeddingTableGame(
        exact.image_embeddings.astype(np.float16), exact.text_embeddings.astype(np.float16), 2.0, -1.0
    )
    coalitions = everything(9, 0.5)[0]
    report = precision_report(reduced, exact, coalitions, share=1.0)
    assert report["coalitions"] == 512
    change = np.abs(reduced.image_embeddings - exact.image_embeddings).max()
    assert report["image"] == pytest.approx(change) and 0 < report["text"] < 1e-3
    assert report["value"] == pytest.approx(np.abs(reduced(coalitions) - exact(coalitions)).max())
    assert report["value_spread"] == pytest.approx(exact(coalitions).std())
    few = [precision_report(reduced, exact, coalitions[:m]) for m in (512, 5)]
    assert [r["coalitions"] for r in few] == [8, 5] and few[0]["value"] <= report["value"]
    assert precision_report(exact, exact, coalitions)["value"] == 0
    with pytest.raises(ValueError, match=r"\(6, 3\) and \(6, 2\)"):
        precision_report(exact, random_embeddings(6, 2), coalitions)
    with pytest.raises(ValueError, match="share = 0"):
        precision_report(exact, exact, coalitions, share=0)
