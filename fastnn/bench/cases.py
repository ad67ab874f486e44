"""The cases of the benchmark: what is trained or evaluated, on what, and the goal set for it.

A goal is a ratio: the time of the best peer divided by that of fastnn, both from the same run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

__all__ = ["BETA1", "BETA2", "CASES", "EPSILON", "Case", "chosen"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as its paper has them

TRAINING_PEERS = ("numpy", "torch", "torch-by-hand", "jax", "jax-by-hand", "scikit-learn")


@dataclass(frozen=True)
class Case:
    """One case of the benchmark.

    Attributes
    ----------
    name : str
        The name on the command line and in the benchmarks.
    sizes : tuple of int
        Units of each layer, inputs first.
    batch_size : int
    goal : float or None
        The ratio to reach; for `work` "penalty", the ratio not to exceed.
    dtype : {"float32", "float64"}
    threads : int
        The number of CPUs that everything in the case is pinned to.
    hidden : {"sigmoid", "tanh", "relu"}
        The hidden layers' activation.
    output : {"sigmoid", "softmax"}
        The output's activation; it determines `cost`.
    penalty : {"none", "l1", "l2", "elasticnet"}
    n : int
        The number of rows.
    data : {"mnist", "dense"}
        Digits, four fifths zeros; or normal random numbers, with any number of columns.
    learning_rate, lmbda : float
    optimizer : {"sgd", "adam"}
        Plain descent; or Adam with the paper's other parameters, and then no penalty.
    work : {"train", "book", "evaluate", "penalty"}
        What is timed: an epoch; `epochs` epochs of ``fastnn.nielsen.network2`` on the book's lists,
        including conversion; the accuracy on the rows; an epoch without and with each penalty.
    epochs : int
        Epochs per call, for `work` "book".
    peers : tuple of str
        The peers that fastnn is compared with.
    """

    name: str
    sizes: tuple[int, ...]
    batch_size: int
    goal: float | None = None
    dtype: str = "float32"
    threads: int = 1
    hidden: str = "sigmoid"
    output: str = "sigmoid"
    penalty: str = "l1"
    n: int = 50_000
    data: str = "mnist"
    learning_rate: float = 0.5
    lmbda: float = 5.0
    optimizer: str = "sgd"
    work: str = "train"
    epochs: int = 1
    peers: tuple[str, ...] = TRAINING_PEERS

    @property
    def cost(self) -> str:
        """The cost that belongs to the output; for both outputs, its delta is a - y."""
        return {"sigmoid": "cross_entropy", "softmax": "log_likelihood"}[self.output]

    @property
    def activations(self) -> list[str]:
        """The activation of each layer after the input."""
        return [self.hidden] * (len(self.sizes) - 2) + [self.output]

    @property
    def title(self) -> str:
        """The case in words, on one line."""
        rule = self.penalty if self.is_plain else self.optimizer
        what = {
            "train": f"m={self.batch_size}, {rule}",
            "book": f"m={self.batch_size}, {self.penalty}, network2 on lists, {self.epochs} epochs",
            "evaluate": "accuracy",
            "penalty": f"m={self.batch_size}, each penalty",
        }[self.work]
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        sizes = ",".join(map(str, self.sizes))
        return (
            f"[{sizes}] {self.hidden} {self.output}, {what}; "
            f"{self.n:,} rows, {self.dtype}, {threads}"
        )

    @property
    def is_plain(self) -> bool:
        """Whether the optimizer is plain descent."""
        return self.optimizer == "sgd"

    def shrinks(self) -> tuple[float, float]:
        """Return (kappa1, kappa2): a step changes w to w - kappa2*w - kappa1*sign(w).

        The elastic net has equal parts of both, like `fastnn.penalties.ElasticNet` by default.
        """
        kappa = self.learning_rate * self.lmbda / self.n
        share = {"none": (0.0, 0.0), "l1": (1.0, 0.0), "l2": (0.0, 1.0), "elasticnet": (0.5, 0.5)}
        l1, l2 = share[self.penalty]
        return l1 * kappa, l2 * kappa

    def with_rows(self, n: int) -> Case:
        """Return the case with `n` rows and the same shrinking in each step."""
        return replace(self, n=n, lmbda=self.lmbda * n / self.n)

    def encode(self) -> str:
        """Return the case as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Case:
        """Read what `encode` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"sizes": tuple(fields["sizes"]), "peers": tuple(fields["peers"])})


CASES = (
    Case("h30-m10", (784, 30, 10), 10, goal=6.0),
    Case("h100-m10", (784, 100, 10), 10, goal=3.5),
    Case("h30-m100", (784, 30, 10), 100, goal=2.8),
    Case("h100-m100", (784, 100, 10), 100, goal=1.5),
    Case("h100-m100-2threads", (784, 100, 10), 100, goal=1.8, threads=2),
    Case(
        "h512-512-m128-2threads",
        (784, 512, 512, 10),
        128,
        goal=1.25,
        threads=2,
        hidden="relu",
        output="softmax",
        learning_rate=0.1,
    ),
    Case(
        "h30-m10-float64",
        (784, 30, 10),
        10,
        goal=5.0,
        dtype="float64",
        peers=(*TRAINING_PEERS, "per-sample"),
    ),
    Case(
        "h30-m10-network2",
        (784, 30, 10),
        10,
        goal=30.0,
        dtype="float64",
        work="book",
        epochs=10,
        peers=("per-sample",),
    ),
    # With single samples, a rate of 0.5 is unstable: the last bit of a weight decides the outcome.
    Case("h30-m1", (784, 30, 10), 1, goal=8.0, learning_rate=0.05),
    Case(
        "tiny",
        (4, 32, 16, 4),
        32,
        goal=10.0,
        hidden="tanh",
        output="softmax",
        n=10_000,
        data="dense",
        learning_rate=0.1,
        lmbda=1.0,
    ),
    # Without backprop by hand in PyTorch; scikit-learn's Adam adds epsilon before it corrects bias.
    Case(
        "adam",
        (784, 128, 10),
        32,
        goal=2.0,
        hidden="relu",
        output="softmax",
        penalty="none",
        learning_rate=0.001,
        optimizer="adam",
        peers=("numpy", "torch", "jax", "jax-by-hand"),
    ),
    Case(
        "evaluation",
        (784, 30, 10),
        10_000,
        goal=3.0,
        n=10_000,
        work="evaluate",
        penalty="none",
        peers=("numpy", "torch", "jax"),
    ),
    Case("penalties", (784, 30, 10), 10, goal=1.03, penalty="none", work="penalty", peers=()),
)


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases called `names`, or all if none is given; an unknown name raises."""
    from fastnn.checks import one_named

    return [one_named("case", name, CASES) for name in names] or list(CASES)
