"""The engine: one network's arrays and one data set in, whole epochs out.

Rooms above train with `Training` and its `State`, and evaluate with `outputs`. Behind these stand
two paths with the same results: the compiled kernels (`kernels`), and plain numpy (`batched`) where
the JIT is off or where a cost is the user's own Python code.

Where to look, from the outside in:

* `training`, `problem`, `state`: what is asked of either path. `compiled`, `batched`: the two.
  `coefficients`, `masks`, `noise`, `draws`: the numbers of each step, and what is drawn for it.
* `kernels`: the hot loop, and `passes`: a batch's way through the layers and back.
* For a batch: `gather`, `by_class`; `listing`, with `columns`, `sorting` and `radix`: lists of the
  columns in use; `csr`: sparse rows; `dropout`.
* Products, the update and the penalty in one pass: `products` chooses, `simd` are the tiles of all
  columns, `listed_products` and `listed_tiles` of listed ones, `transpose` for the way back.
* Elementwise: `rows` (activations, costs), `shrink`, `decay`, `groups`, `shorten` (penalties),
  `steps` (optimizers), each by the formulas that `trace` turns into vector instructions;
  `conditions`: what is compared in these.
* In memory: `layout`, `panels`, `unpacking`; `aside`: columns that no row uses; `records` and
  `pointers`: what kernels know of it.
* How kernels are made: `spec` and `constants`, `emit`, `jit`, `lowering`, `cache`, `warmup`; and
  run: `team` (threads), `denormals`, `phases` (counters), `blas`.
"""

from __future__ import annotations

from fastnn.engine.problem import Outputs
from fastnn.engine.state import State
from fastnn.engine.training import Training, outputs

__all__ = ["Outputs", "State", "Training", "outputs"]
