"""Weight decay of the first layer as one factor, beside panels that it never touches.

With w = kept * v, a step that multiplies every w by 1-kappa multiplies `kept`; the gradient is then
added to v divided by it. So a batch costs nothing for the columns that it does not use, and nothing
for those that it uses (Shalev-Shwartz, Singer and Srebro, "Pegasos", 2007, section 2.3). Outside a
call of the kernel the panels have the weights themselves.
"""

from __future__ import annotations

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.jit import jit_apart
from fastnn.engine.pointers import after, layer_of
from fastnn.engine.rows import multiply, sum_sizes
from fastnn.engine.team import meet_all, share

__all__ = ["LEAST", "bring_in", "sizes_of"]

# Below this the factor is brought into the panels, whose numbers would get too large without it.
LEAST = 2.0**-20


@by_layout
@jit_apart
def bring_in(spec, net, kept):
    """Multiply the first layer's panels by their factor."""
    here, below = layer_of(net, 1), layer_of(net, 0)
    begin, end = share(net, here.vectors * below.vectors * lanes(spec))
    multiply(spec, here.w, begin, end, kept)
    meet_all(net)


@by_layout
@jit_apart
def sizes_of(spec, net, kept):
    """Return the sums of abs(w) and of w**2 of all weights; the first layer's are times `kept`."""
    here, below = layer_of(net, 1), layer_of(net, 0)
    first = below.vectors * lanes(spec) * here.vectors * lanes(spec)
    sizes, squares = sum_sizes(spec, here.w, first)
    others = sum_sizes(spec, after(here.w, first), net.weight_count - first)
    return sizes * kept + others[0], squares * kept * kept + others[1]
