"""Optimizer steps: a pass over a panel's weights and their memories, one vector at a time.

The numbers that the optimizer keeps are in arrays laid out like the weights, one after the other.
The gradient is that of one panel, laid out like it, so that it stays in the cache.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.engine.constants import lanes, stepper_numbers
from fastnn.engine.emit import int64, load, read_spec, store, switch, vector_of
from fastnn.engine.formulas import formula
from fastnn.engine.jit import jit_outlined
from fastnn.engine.parts import acting, panel_at
from fastnn.engine.pointers import after, layer_of
from fastnn.engine.shrink import shrunk, spread
from fastnn.engine.spec import Rule, Stepper
from fastnn.engine.trace import Vec, VecSpace

__all__ = ["step_panel"]


@jit_outlined
def step_panel(spec, net, layer, first, low, high, numbers):
    """Apply the optimizer's step to a panel, once its gradient is known; set the gradient to 0.

    The panel begins at vector `first` of a layer; its inputs `low` to `high` are changed, and the
    biases if `low` is 0. `numbers` are the coefficients of this step: the optimizer's for
    weights, as many for biases, then the penalties'.
    """
    here, (vectors, place) = layer_of(net, layer), panel_at(spec, net, layer, first)
    of_penalty, rule = after(numbers, here.numbers), acting(here, numbers)
    memory, begin, end = after(here.memory, place), low * vectors, high * vectors
    step_vectors(
        spec, rule, begin, end, of_penalty, numbers, after(here.w, place), net.gradient, memory,
        net.weight_count, after(here.q, place),
    )  # fmt: skip
    if here.norm_at:
        step_sizes = after(here.step_sizes, place)
        keep_step_sizes(spec, begin, end, numbers, memory, net.weight_count, step_sizes)
    if low == 0:
        rule, column = rule if here.on_biases else 0, first * lanes(spec)
        step_vectors(
            spec, rule, 0, vectors, of_penalty, after(numbers, stepper_numbers(spec)),
            after(here.b, column), net.bias_gradient, after(here.bias_memory, column),
            net.bias_count, after(here.bias_q, column),
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
    memory: Any,
    apart: Any,
    q: Any,
) -> Any:
    """Step the vectors from `begin` to `end`, with the penalty numbered `number`; set g to 0.

    The first of the optimizer's memories is at ``memory``, each other one `apart` elements later.
    """
    signature = types.void(
        spec, types.int64, types.int64, types.int64, of_penalty, numbers, w, g, memory, types.int64,
        q,
    )  # fmt: skip
    kernel = read_spec(spec)
    vector = vector_of(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        stepper = kernel.stepper
        if stepper is None:
            return context.get_dummy_value()
        _, chosen, begin, end, of_penalty, numbers, w, g, memory, apart, q = arguments
        own = spread(builder, stepper.numbers, numbers, vector)
        memories = _places(builder, memory, apart, stepper)

        def run(number: int) -> None:
            rule = kernel.rules[number - 1] if number else None
            of_rule = spread(builder, rule.numbers, of_penalty, vector) if rule else []
            with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
                index = builder.add(begin, loop.index)
                place = builder.mul(index, int64(vector.count))
                old = [Vec(builder, load(builder, p, place, vector)) for p in (w, g, *memories)]
                weight, *new = _stepped(stepper, rule, old, own, of_rule)
                if rule is not None and rule.after_gradient:
                    step_size = _step_size_of(stepper, new, own)
                    scaled = [n * step_size for n in of_rule] if step_size is not None else of_rule
                    (value,) = shrunk(builder, rule, [weight.value], q, [place], scaled)
                    weight = Vec(builder, value)
                store(builder, ir.Constant(vector, [0.0] * vector.count), g, place)
                for pointer, value in zip((w, *memories), (weight, *new), strict=True):
                    store(builder, value.value, pointer, place)

        cases = [(0,), *((n,) for n, rule in enumerate(kernel.rules, 1) if rule.shrink)]
        switch(builder, (chosen,), cases, run)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def keep_step_sizes(
    typing: Any, spec: Any, begin: Any, end: Any, numbers: Any, memory: Any, apart: Any,
    step_sizes: Any,
) -> Any:  # fmt: skip
    """Write each weight's step size to ``step_sizes``, computed from the optimizer's memories."""
    signature = types.void(spec, types.int64, types.int64, numbers, memory, types.int64, step_sizes)
    kernel = read_spec(spec)
    vector = vector_of(memory, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        stepper = kernel.stepper
        if stepper is None or not kernel.shortens:
            return context.get_dummy_value()
        _, begin, end, numbers, memory, apart, step_sizes = arguments
        own = spread(builder, stepper.numbers, numbers, vector)
        memories = _places(builder, memory, apart, stepper)
        with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
            place = builder.mul(builder.add(begin, loop.index), int64(vector.count))
            now = [Vec(builder, load(builder, p, place, vector)) for p in memories]
            step_size = _step_size_of(stepper, now, own)
            if step_size is not None:
                store(builder, step_size.value, step_sizes, place)
        return context.get_dummy_value()

    return signature, generate


def _places(builder: Any, memory: Any, apart: Any, stepper: Stepper) -> list[Any]:
    """Return pointers to the optimizer's memories, which lie `apart`."""
    return [
        builder.gep(memory, [builder.mul(apart, int64(number))])
        for number in range(stepper.memories)
    ]


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
