"""Metrics: does an explanation predict the game, order the players, point at the right place, and deserve trust?

* :mod:`~fixlip_helpers.metrics.prediction`: p-faithfulness, as a whole and for each block;
* :mod:`~fixlip_helpers.metrics.subsets`: best subsets of a quadratic set function;
* :mod:`~fixlip_helpers.metrics.curves`: insertion and deletion curves, AID;
* :mod:`~fixlip_helpers.metrics.pointing`: the pointing game;
* :mod:`~fixlip_helpers.metrics.controls`: explanations that a method must beat;
* :mod:`~fixlip_helpers.metrics.sanity`: other weights must change an explanation, other draws must not;
* :mod:`~fixlip_helpers.metrics.statistics`: correlations and bootstrap intervals.
"""

from fixlip_helpers.metrics.controls import (
    counts_only,
    oracle_explanation,
    random_explanation,
    shuffled_patches,
    words_only,
)
from fixlip_helpers.metrics.curves import InsertionDeletion, has_aid, insertion_deletion
from fixlip_helpers.metrics.pointing import pointing_game, quarter_cells
from fixlip_helpers.metrics.prediction import (
    BlockFaithfulness,
    BlockScore,
    Faithfulness,
    block_faithfulness,
    faithfulness,
    shapley_faithfulness,
)
from fixlip_helpers.metrics.sanity import (
    Agreement,
    randomised_weights,
    seed_agreement,
)
from fixlip_helpers.metrics.statistics import bootstrap_interval, pearson_correlation, ranks
from fixlip_helpers.metrics.subsets import BestSubsets, best_subsets, greedy_chains

__all__ = [
    "Agreement",
    "BestSubsets",
    "BlockFaithfulness",
    "BlockScore",
    "Faithfulness",
    "InsertionDeletion",
    "best_subsets",
    "block_faithfulness",
    "bootstrap_interval",
    "counts_only",
    "faithfulness",
    "greedy_chains",
    "has_aid",
    "insertion_deletion",
    "oracle_explanation",
    "pearson_correlation",
    "pointing_game",
    "quarter_cells",
    "random_explanation",
    "randomised_weights",
    "ranks",
    "seed_agreement",
    "shapley_faithfulness",
    "shuffled_patches",
    "words_only",
]
