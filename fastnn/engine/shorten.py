"""Penalties of group norms where an optimizer's step size differs from weight to weight.

A group v becomes the w that minimises sum((w-v)**2 / (2*s)) + strength*norm(w), with the step sizes
s and strength = kappa*sqrt(size): w = v*t/(t + strength*s), where t = norm(w) is found by Newton's
method, as in `fastnn.penalties.groups.shortened`. Each thread processes one group at a time, in two
rows of its own.
"""

from __future__ import annotations

import math

from fastnn.engine.constants import lanes
from fastnn.engine.jit import jit, jit_outlined
from fastnn.engine.parts import panel_at
from fastnn.engine.pointers import after, get, layer_of, put
from fastnn.engine.team import share

__all__ = ["shorten_layers"]

# Newton's method ends when the sum that should be 1 exceeds it by at most CLOSE, or after
# NEWTON_STEPS. `penalties.groups` has the same constants; they are repeated here since the cache of
# kernels notices changes in the engine's sources only.
CLOSE, NEWTON_STEPS = 1e-13, 100

# Replaces a product of strength and step size that has underflowed.
TINY = 1e-300


@jit_outlined
def shorten_layers(spec, net, numbers):
    """Shorten the groups of each layer that has a `norm_at`, after a step of the optimizer."""
    for layer in range(1, net.layers + 1):
        if layer_of(net, layer).norm_at:
            shorten_groups(spec, net, layer, numbers)


@jit
def shorten_groups(spec, net, layer, numbers):
    """Shorten this thread's share of a layer's groups."""
    here, below = layer_of(net, layer), layer_of(net, layer - 1)
    by_inputs, groups, size = here.by_inputs == 1, here.units, below.units
    if by_inputs:
        groups, size = below.units, here.units
    strength = get(numbers, here.norm_at) * math.sqrt(size)
    v, most = net.members, after(net.members, net.member_room)
    begin, end = share(net, groups)
    for group in range(begin, end):
        copy_group(spec, net, layer, by_inputs, group, v, here.w, False)
        copy_group(spec, net, layer, by_inputs, group, most, here.step_sizes, False)
        for k in range(size):
            put(most, k, get(most, k) * strength)
        t = shortened_norm(v, most, size)
        for k in range(size):
            put(v, k, get(v, k) * (t / (t + get(most, k)) if t > 0 else 0.0))
        copy_group(spec, net, layer, by_inputs, group, v, here.w, True)


@jit
def shortened_norm(v, most, size):
    """Return the norm that a group is shortened to; `most` is the strength times each step size."""
    beyond = squares = largest = 0.0
    for k in range(size):
        x, m = float(get(v, k)), float(get(most, k))
        beyond += (x / max(m, TINY)) * (x / max(m, TINY))
        squares += x * x
        largest = max(largest, m)
    if beyond <= 1.0:
        return 0.0
    t = max(0.0, math.sqrt(squares) - largest)
    for _ in range(NEWTON_STEPS):
        f = slope = 0.0
        for k in range(size):
            x, kept = float(get(v, k)), t + get(most, k)
            share_of = (x / kept) * (x / kept)
            f += share_of
            slope += share_of / kept
        if f <= 1.0 + CLOSE:
            break
        t += f * (math.sqrt(f) - 1.0) / slope
    return t


@jit
def copy_group(spec, net, layer, by_inputs, group, row, panels, back):
    """Copy a group's elements from a layer's panels into a row or, if `back` is true, back."""
    here, below, v = layer_of(net, layer), layer_of(net, layer - 1), lanes(spec)
    done = 0
    for first in range(0, here.vectors, here.panel):
        vectors, place = panel_at(spec, net, layer, first)
        width, panel = vectors * v, after(panels, place)
        if by_inputs:
            at, apart, count = group * width, 1, min(width, here.units - first * v)
        else:
            at, apart, count = group - first * v, width, below.units
            if at < 0 or at >= width:
                continue
        for k in range(count):
            if back:
                put(panel, at + k * apart, get(row, done + k))
            else:
                put(row, done + k, get(panel, at + k * apart))
        done += count
