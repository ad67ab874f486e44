"""scikit-learn's `MLPClassifier` and `MLPRegressor` on fastnn's engine (extra ``sklearn``).

They are subclasses of scikit-learn's own estimators: parameters, attributes, checks of input and
labels, scores and what `fit` does around its training loop are theirs. The loop, the predictions
and the additions are fastnn's. `private` has every name of scikit-learn used here that is not
public.
"""

from __future__ import annotations

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
