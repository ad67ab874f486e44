"""Optimizer steps: a pass over a layer's weights and their memories, one vector at a time.

The gradient is in an array laid out like the weights. An array of the same layout follows it for
each number that the optimizer keeps per weight.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.constants import lanes
from fastnn.engine.emit import int64, load, read_spec, store, switch, vector_of
from fastnn.engine.formulas import formula
from fastnn.engine.jit import jit_outlined
from fastnn.engine.pointers import after, layer_of
from fastnn.engine.products import acting
from fastnn.engine.shrink import shrunk, spread
from fastnn.engine.spec import Rule, Stepper
from fastnn.engine.team import share
from fastnn.engine.trace import Vec, VecSpace

__all__ = ["step_layer"]


@jit_outlined
def step_layer(spec, net, number, numbers, of_stepper):
    """Apply the optimizer's step to this thread's part of a layer, and set the gradient to 0.

    `numbers` are the coefficients of this step: `of_stepper` of the optimizer's for weights, as
    many for biases, then the penalties'.
    """
    here, below = layer_of(net, number), layer_of(net, number - 1)
    of_penalty = after(numbers, here.numbers)
    rule = acting(here, numbers)
    begin, end = share(net, below.vectors * lanes(spec) * here.vectors)
    step_vectors(
        spec, rule, begin, end, of_penalty, numbers, here.w, here.g, net.weight_count, here.q
    )
    if here.norm_at:
        keep_step_sizes(spec, begin, end, numbers, here.g, net.weight_count, here.step_sizes)
    if net.thread == 0:
        rule = rule if here.on_biases else 0
        step_vectors(
            spec, rule, 0, here.vectors, of_penalty, after(numbers, of_stepper), here.b,
            here.bias_g, net.bias_count, here.bias_q,
        )  # fmt: skip


@intrinsic(prefer_literal=True)
def step_vectors(
    typing: Any,
    spec: Any,
    number: Any,
    begin: Any,
    end: Any,
    of_penalty: Any,
    numbers: Any,
    w: Any,
    g: Any,
    apart: Any,
    q: Any,
) -> Any:
    """Step the vectors from `begin` to `end`, with the penalty numbered `number`; set g to 0.

    The optimizer's memories follow g, each `apart` elements after the one before.
    """
    signature = types.void(
        spec, types.int64, types.int64, types.int64, of_penalty, numbers, w, g, types.int64, q
    )
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        stepper = kernel.stepper
        if stepper is None:
            return context.get_dummy_value()
        _, chosen, begin, end, of_penalty, numbers, w, g, apart, q = arguments
        own = spread(builder, stepper.numbers, numbers, vector)
        memories = _places(builder, g, apart, stepper)

        def run(number: int) -> None:
            rule = kernel.rules[number - 1] if number else None
            of_rule = spread(builder, rule.numbers, of_penalty, vector) if rule else []
            with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
                index = builder.add(begin, loop.index)
                place = builder.mul(index, int64(vector.count))
                old = [Vec(builder, load(builder, p, place, vector)) for p in (w, *memories)]
                weight, *new = _stepped(stepper, rule, old, own, of_rule)
                if rule is not None and rule.after_gradient:
                    step_size = _step_size_of(stepper, new, own)
                    scaled = [n * step_size for n in of_rule] if step_size is not None else of_rule
                    (value,) = shrunk(builder, rule, [weight.value], q, [place], scaled)
                    weight = Vec(builder, value)
                store(builder, ir.Constant(vector, [0.0] * vector.count), g, place)
                for pointer, value in zip((w, *memories[1:]), (weight, *new), strict=True):
                    store(builder, value.value, pointer, place)

        cases = [(0,), *((n,) for n, rule in enumerate(kernel.rules, 1) if rule.shrink)]
        switch(builder, (chosen,), cases, run)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def keep_step_sizes(
    typing: Any, spec: Any, begin: Any, end: Any, numbers: Any, g: Any, apart: Any, step_sizes: Any
) -> Any:
    """Write each weight's step size to ``step_sizes``, computed from the memories that follow g."""
    signature = types.void(spec, types.int64, types.int64, numbers, g, types.int64, step_sizes)
    kernel = read_spec(spec)
    vector = vector_of(g, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        stepper = kernel.stepper
        if stepper is None or not kernel.shortens:
            return context.get_dummy_value()
        _, begin, end, numbers, g, apart, step_sizes = arguments
        own = spread(builder, stepper.numbers, numbers, vector)
        memories = _places(builder, g, apart, stepper)
        with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
            place = builder.mul(builder.add(begin, loop.index), int64(vector.count))
            now = [Vec(builder, load(builder, p, place, vector)) for p in memories[1:]]
            step_size = _step_size_of(stepper, now, own)
            if step_size is not None:
                store(builder, step_size.value, step_sizes, place)
        return context.get_dummy_value()

    return signature, generate


def _places(builder: Any, g: Any, apart: Any, stepper: Stepper) -> list[Any]:
    """Return pointers to the gradient and to the optimizer's memories, which lie `apart`."""
    places = [g]
    for _ in range(stepper.memories):
        places.append(builder.gep(places[-1], [apart]))
    return places


def _stepped(
    stepper: Stepper, rule: Rule | None, old: list[Vec], own: list[Vec], of_rule: list[Vec]
) -> tuple[Vec, ...]:
    """Return the weight and the memories after a step; a penalty's slope joins the gradient."""
    weight, gradient, *memories = old
    if rule is not None and rule.slope:
        gradient = gradient + formula(rule.slope)(VecSpace(), weight, *of_rule)
    stepped: tuple[Vec, ...] = formula(stepper.step)(VecSpace(), weight, gradient, *memories, *own)
    return stepped


def _step_size_of(stepper: Stepper, memories: list[Vec], own: list[Vec]) -> Vec | None:
    """Return each weight's step size, in steps of plain descent; None without `step_size`."""
    if not stepper.step_size:
        return None
    step_size: Vec = formula(stepper.step_size)(VecSpace(), *memories, *own)
    return step_size
