"""The engine: one network's arrays and one data set in, whole epochs out.

Higher floors train with `Training` and its `State`, and evaluate with `outputs`. Behind these are
two paths with the same results: the compiled kernels (`kernels`), and plain numpy (`batched`) for
user-defined costs in Python, for the outputs of a few rows, and when the JIT is off.

Where to look, from the outside in:

* The interface to either path: `training`, `problem`, `state`. The paths: `compiled`, `batched`.
  The numbers of each step: `coefficients`; its random draws: `masks`, `noise`, `draws`.
* `kernels`: the hot loop. `passes`: a batch's forward and backward pass through the layers.
* Preparing a batch: `gather`, `by_class`, `csr` (sparse rows), `dropout`; and `listing`, with
  `columns`, `sorting`, `by_key` and `radix`: the lists of used columns.
* Products, the update and the penalty in one pass: `parts` divides the work among threads,
  `products` selects the kernel; `simd` has the tiles over all columns, `listed_products` and
  `listed_tiles` those over listed columns; `transpose` serves the backward pass.
* Elementwise work: `rows` (activations, costs), `shrink`, `decay`, `groups`, `shorten` (penalties),
  `steps` (optimizers), all with formulas that `trace` turns into vector instructions; `conditions`
  and `plain_numbers`: comparisons and constants in these formulas; `formulas`: their keys.
* Memory: `layout`, `panels`, `unpacking`; `stored_rows`: the data set; `unused_columns`: columns
  that no row uses; `records` and `pointers`: how kernels address the arrays.
* Compiling kernels: `spec` and `constants`, `tiles`, `emit`, `jit`, `lowering`, `cache`, `warmup`.
  Running them: `team` (threads), `denormals`, `phases` (counters). For the numpy path: `blas`.
"""

from __future__ import annotations

from fastnn.engine.problem import Outputs
from fastnn.engine.state import State
from fastnn.engine.training import Training, outputs

__all__ = ["Outputs", "State", "Training", "outputs"]
