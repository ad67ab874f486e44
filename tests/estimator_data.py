"""Rows, targets and parameters for tests of the estimators."""

from __future__ import annotations

import numpy as np

RNG = np.random.default_rng(7)
N = 83  # with batches of 20 the last one has 3 rows
X = RNG.standard_normal((N, 11))
CLASSES = np.array(["ant", "bee", "cat", "dog"])[np.digitize(X[:, 0] + X[:, 1], [-1, 0, 1])]
BINARY = X[:, 2] * X[:, 3] > 0
VALUES = X[:, :2] @ np.array([[1.0, 0.5], [-0.3, 2.0]])
COUNTS = RNG.poisson(np.exp(0.5 * X[:, 0]))
WEIGHTS = RNG.random(N)
TEN = {"hidden_layer_sizes": (9, 6), "batch_size": 20, "max_iter": 10, "random_state": 5}
SGD = TEN | {"solver": "sgd", "learning_rate_init": 0.05}
