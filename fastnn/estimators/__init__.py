"""scikit-learn's `MLPClassifier` and `MLPRegressor` on fastnn's engine (extra ``sklearn``).

They are subclasses of scikit-learn's own estimators, which provide parameters, attributes, checks
of input and labels, scores, and what `fit` does around its training loop. The loop, the predictions
and the additions are fastnn's. `private` has every non-public name of scikit-learn that is used
here.
"""

from __future__ import annotations

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
