"""Pictures, with matplotlib (extra ``plot``). Each function returns the Axes and takes ``ax=``."""

from __future__ import annotations

from fastnn.plots.benchmarks import benchmark_times
from fastnn.plots.classes import confusion_matrix, misclassified_digits
from fastnn.plots.profiles import epoch_phases, penalty_overhead
from fastnn.plots.sweeps import sweep_scores
from fastnn.plots.training import learning_curves
from fastnn.plots.weights import sparsity_by_layer, sparsity_path, weight_images

__all__ = [
    "benchmark_times",
    "confusion_matrix",
    "epoch_phases",
    "learning_curves",
    "misclassified_digits",
    "penalty_overhead",
    "sparsity_by_layer",
    "sparsity_path",
    "sweep_scores",
    "weight_images",
]
