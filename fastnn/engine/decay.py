"""Weight decay of the first layer as one factor, kept next to panels that a step does not touch.

The panels hold v, with w = decay * v. A step that multiplies every w by 1-kappa multiplies only
`decay`; the gradient, divided by `decay`, is added to v. So it costs nothing for any column, used
or not (Shalev-Shwartz, Singer and Srebro, "Pegasos", 2007, section 2.3). Outside a call of the
kernel the panels hold the weights themselves.
"""

from __future__ import annotations

from fastnn.engine.constants import by_layout, lanes
from fastnn.engine.jit import jit_outlined
from fastnn.engine.pointers import after, layer_of
from fastnn.engine.rows import multiply, sum_sizes
from fastnn.engine.team import meet_all, share

__all__ = ["LEAST", "fold_factor", "sizes_of"]

# Below this the factor is multiplied into the panels, whose numbers would become too large.
LEAST = 2.0**-20


@by_layout
@jit_outlined
def fold_factor(spec, net, decay):
    """Multiply the first layer's panels by their factor `decay`."""
    here, below = layer_of(net, 1), layer_of(net, 0)
    begin, end = share(net, here.vectors * below.vectors * lanes(spec))
    multiply(spec, here.w, begin, end, decay)
    meet_all(net)


@by_layout
@jit_outlined
def sizes_of(spec, net, decay):
    """Return the sums of abs(w) and of w**2 of all weights, the first layer's times `decay`."""
    here, below = layer_of(net, 1), layer_of(net, 0)
    first = below.vectors * lanes(spec) * here.vectors * lanes(spec)
    sizes, squares = sum_sizes(spec, here.w, first)
    others = sum_sizes(spec, after(here.w, first), net.weight_count - first)
    return sizes * decay + others[0], squares * decay * decay + others[1]
