"""The micro-kernel: matrix products on tiles of vector registers, and their few companions.

Each function here is a Numba intrinsic: it is called from kernels like any function, and emits
LLVM vector instructions in its place. Symbols: V lanes of a vector, R rows and C vectors of a
tile, k the length of a product. A tile's R*C sums stay in registers for the whole of k.

R and C are known when a kernel runs, not when it is compiled: one switch leads to straight code
for each pair. The rows of a weight panel that is C vectors wide are C*V elements apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import ForceLiteralArg
from numba.extending import intrinsic

from fastnn.engine.spec import Spec
from fastnn.engine.trace import Vec, VecSpace, formula, splat

__all__ = [
    "after",
    "append_bits",
    "at",
    "catch_up_row",
    "each",
    "is_lazy",
    "lanes",
    "most_rows",
    "nonzero_bits",
    "prefetch",
    "sum_cost",
    "tile_forward",
    "tile_update",
    "transpose",
    "widen",
]

_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
# Enough independent sums to hide the latency of a fused multiply-add (4 cycles, 2 a cycle).
_INDEPENDENT_SUMS = 8


def _spec(spec: Any) -> Spec:
    """Return the specification in a literal string; ask the caller for one if it is not literal."""
    if not isinstance(spec, types.StringLiteral):
        raise ForceLiteralArg({0})
    return Spec.decode(spec.literal_value)


def _int(value: int) -> Any:
    return ir.Constant(_I64, value)


def _element(pointer: Any) -> Any:
    return ir.FloatType() if pointer.dtype == types.float32 else ir.DoubleType()


def _vector(pointer: Any, lanes: int) -> Any:
    return ir.VectorType(_element(pointer), lanes)


def _bytes(vector: Any) -> int:
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def _load(builder: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    address = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
    return builder.load(address, align=_bytes(vector))


def _store(builder: Any, value: Any, pointer: Any, offset: Any) -> None:
    address = builder.bitcast(builder.gep(pointer, [offset]), value.type.as_pointer())
    builder.store(value, address, align=_bytes(value.type))


def _fused(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x*y + z; `fmuladd`, as `fma` is a library call on a CPU that has none."""
    vector = x.type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    function = builder.module.declare_intrinsic(
        f"llvm.fmuladd.v{vector.count}{suffix}", (), ir.FunctionType(vector, [vector] * 3)
    )
    return builder.call(function, [x, y, z])


def _switch(builder: Any, rows: Any, vectors: Any, most: tuple[int, ...], emit: Any) -> None:
    """Emit ``emit(R, C)`` for C = 1, 2, ... and R = 1 .. most[C-1], and a jump to the right one."""
    code = builder.add(builder.mul(vectors, _int(256)), rows)
    done = builder.append_basic_block("done")
    nowhere = builder.append_basic_block("nowhere")
    switch = builder.switch(code, nowhere)
    for c, most_rows in enumerate(most, 1):
        for r in range(1, most_rows + 1):
            block = builder.append_basic_block(f"tile{r}x{c}")
            switch.add_case(_int(256 * c + r), block)
            builder.position_at_end(block)
            emit(r, c)
            builder.branch(done)
    builder.position_at_end(nowhere)
    builder.unreachable()
    builder.position_at_end(done)


def _sum_products(
    builder: Any, sums: list[Any], rows: int, k: Any, operands: Callable[[Any], Any]
) -> list[Any]:
    """Add the outer products of ``operands(i)``, i < k, to the tile `sums`, row by row.

    ``operands(i)`` gives the R scalars and the C vectors of step i. A tile of few sums takes
    several steps at a time, each with sums of its own.
    """
    vector, columns = sums[0].type, len(sums) // rows
    steps = max(1, _INDEPENDENT_SUMS // len(sums))
    zeros = [ir.Constant(vector, [0.0] * vector.count)] * (len(sums) * (steps - 1))
    whole = builder.mul(builder.sdiv(k, _int(steps)), _int(steps))
    parts = _loop(builder, _int(0), whole, steps, sums + zeros, rows, columns, operands)
    while len(parts) > len(sums):
        half = len(parts) // 2
        parts = [builder.fadd(x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
    if steps == 1:
        return parts
    return _loop(builder, whole, k, 1, parts, rows, columns, operands)


def _loop(
    builder: Any,
    start: Any,
    stop: Any,
    steps: int,
    sums: list[Any],
    rows: int,
    columns: int,
    operands: Callable[[Any], Any],
) -> list[Any]:
    """Emit ``for i in range(start, stop, steps)`` around the products; return the sums after it."""
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_I64)
    i.add_incoming(start, before)
    carried = [builder.phi(value.type) for value in sums]
    for phi, value in zip(carried, sums, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), body, after)
    builder.position_at_end(body)
    new = list(carried)
    for step in range(steps):
        scalars, vectors = operands(builder.add(i, _int(step)))
        for r, scalar in enumerate(scalars):
            spread = splat(builder, scalar, sums[0].type)
            for c, row in enumerate(vectors):
                place = (step * rows + r) * columns + c
                new[place] = _fused(builder, spread, row, new[place])
    i.add_incoming(builder.add(i, _int(steps)), builder.block)
    for phi, value in zip(carried, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return carried


@intrinsic(prefer_literal=True)
def tile_forward(
    typing: Any,
    spec: Any,
    rows: Any,
    vectors: Any,
    start: Any,
    a: Any,
    a_row: Any,
    used: Any,
    b: Any,
    out: Any,
    out_row: Any,
    k: Any,
) -> Any:
    """out[r] = start + sum over i < k of a[r, used[i]] * b[used[i]], for r < rows.

    ``a`` has rows `a_row` apart, ``out`` rows `out_row` apart; ``b`` is a panel of `vectors`
    vectors; ``used`` holds int32 numbers.
    """
    signature = types.void(spec, rows, vectors, start, a, a_row, used, b, out, out_row, k)
    kernel = _spec(spec)
    vector = _vector(out, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, rows, vectors, start, a, a_row, used, b, out, out_row, k = arguments

        def tile(r_count: int, c_count: int) -> None:
            places = [_int(c * vector.count) for c in range(c_count)]
            a_rows = [builder.mul(a_row, _int(r)) for r in range(r_count)]

            def operands(i: Any) -> Any:
                column = builder.sext(builder.load(builder.gep(used, [i])), _I64)
                row = builder.mul(column, _int(c_count * vector.count))
                panel = [_load(builder, b, builder.add(row, p), vector) for p in places]
                at_column = builder.gep(a, [column])
                return [builder.load(builder.gep(at_column, [r])) for r in a_rows], panel

            first = [_load(builder, start, p, vector) for p in places]
            sums = _sum_products(builder, first * r_count, r_count, k, operands)
            for r in range(r_count):
                row = builder.mul(out_row, _int(r))
                for p, value in zip(places, sums[r * c_count :], strict=False):
                    _store(builder, value, out, builder.add(row, p))

        _switch(builder, rows, vectors, kernel.forward_rows, tile)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def tile_update(
    typing: Any,
    spec: Any,
    shrinks: Any,
    rows: Any,
    vectors: Any,
    coefficients: Any,
    a: Any,
    a_k: Any,
    used: Any,
    b: Any,
    b_k: Any,
    w: Any,
    k: Any,
) -> Any:
    """w[j] = shrink(w[j], *coefficients) + sum over i < k of a[i, j] * b[i], for j in used[:rows].

    ``w`` is a panel of `vectors` vectors; ``a`` and ``b`` have rows `a_k` and `b_k` apart. Without
    a penalty, or with `shrinks` a literal 0, w[j] is left as it is before the sum.
    """
    signature = types.void(
        spec, shrinks, rows, vectors, coefficients, a, a_k, used, b, b_k, w, k
    )
    kernel = _spec(spec)
    vector, key = _vector(w, kernel.lanes), kernel.shrink if shrinks.literal_value else ""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, _, rows, vectors, coefficients, a, a_k, used, b, b_k, w, k = arguments

        def tile(r_count: int, c_count: int) -> None:
            width = c_count * vector.count
            numbers = [
                builder.sext(builder.load(builder.gep(used, [_int(r)])), _I64)
                for r in range(r_count)
            ]
            places = [
                builder.add(builder.mul(j, _int(width)), _int(c * vector.count))
                for j in numbers
                for c in range(c_count)
            ]
            a_columns = [builder.gep(a, [j]) for j in numbers]

            def operands(i: Any) -> Any:
                row, a_row = builder.mul(i, b_k), builder.mul(i, a_k)
                offsets = [builder.add(row, _int(c * vector.count)) for c in range(c_count)]
                return (
                    [builder.load(builder.gep(column, [a_row])) for column in a_columns],
                    [_load(builder, b, offset, vector) for offset in offsets],
                )

            first = [_load(builder, w, p, vector) for p in places]
            if key:
                spread = _coefficients(builder, key, coefficients, vector)
                first = [formula(key)(VecSpace(), Vec(builder, v), *spread).value for v in first]
            sums = _sum_products(builder, first, r_count, k, operands)
            for p, value in zip(places, sums, strict=True):
                _store(builder, value, w, p)

        _switch(builder, rows, vectors, kernel.update_rows, tile)
        return context.get_dummy_value()

    return signature, generate


def _coefficients(builder: Any, key: str, pointer: Any, vector: Any) -> list[Vec]:
    """Return the formula's coefficients, spread over vectors; xp and w come before them."""
    count = formula(key).__code__.co_argcount - 2
    scalars = [builder.load(builder.gep(pointer, [_int(c)])) for c in range(count)]
    return [Vec(builder, splat(builder, scalar, vector)) for scalar in scalars]


@intrinsic(prefer_literal=True)
def each(
    typing: Any, spec: Any, field: Any, choice: Any, out: Any, inputs: Any, scalar: Any, n: Any
) -> Any:
    """out[:n] = scalar * formula(inputs...), V elements at a time; n is a multiple of V.

    `field` names the specification's formulas; `choice` picks one of them while the kernel runs;
    `scalar` is a float64.
    """
    signature = types.void(spec, field, choice, out, inputs, scalar, n)
    kernel = _spec(spec)
    vector, names = _vector(out, kernel.lanes), getattr(kernel, field.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, choice, out, inputs, scalar, n = arguments
        pointers = cgutils.unpack_tuple(builder, inputs)
        if scalar.type != vector.element:
            scalar = builder.fptrunc(scalar, vector.element)
        factor = Vec(builder, splat(builder, scalar, vector))
        done = builder.append_basic_block("done")
        nowhere = builder.append_basic_block("nowhere")
        switch = builder.switch(choice, nowhere)
        for number, name in enumerate(names):
            block = builder.append_basic_block("formula")
            switch.add_case(ir.Constant(choice.type, number), block)
            builder.position_at_end(block)
            with cgutils.for_range(builder, builder.sdiv(n, _int(vector.count))) as loop:
                place = builder.mul(loop.index, _int(vector.count))
                values = [Vec(builder, _load(builder, p, place, vector)) for p in pointers]
                result = formula(name)(VecSpace(), *values) * factor
                _store(builder, result.value, out, place)
            builder.branch(done)
        builder.position_at_end(nowhere)
        builder.unreachable()
        builder.position_at_end(done)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def sum_cost(typing: Any, spec: Any, inputs: Any, n: Any) -> Any:
    """Return the sum of the cost's formula(inputs...) over n elements; 0 if it is not tracked."""
    signature = types.float64(spec, inputs, n)
    kernel = _spec(spec)
    vector = _vector(inputs[0], kernel.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not kernel.cost:
            return ir.Constant(ir.DoubleType(), 0.0)
        _, inputs, n = arguments
        pointers = cgutils.unpack_tuple(builder, inputs)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * vector.count))
        with cgutils.for_range(builder, builder.sdiv(n, _int(vector.count))) as loop:
            place = builder.mul(loop.index, _int(vector.count))
            values = [Vec(builder, _load(builder, p, place, vector)) for p in pointers]
            value = formula(kernel.cost)(VecSpace(), *values).value
            builder.store(builder.fadd(builder.load(total), value), total)
        result = ir.Constant(ir.DoubleType(), 0.0)
        for lane in range(vector.count):
            part = builder.extract_element(builder.load(total), ir.Constant(_I32, lane))
            if isinstance(vector.element, ir.FloatType):
                part = builder.fpext(part, ir.DoubleType())
            result = builder.fadd(result, part)
        return result

    return signature, generate


@intrinsic(prefer_literal=True)
def transpose(
    typing: Any, spec: Any, source: Any, source_row: Any, out: Any, out_row: Any
) -> Any:
    """out[j, i] = source[i, j] for a block of V by V, by exchanging ever larger halves."""
    signature = types.void(spec, source, source_row, out, out_row)
    count = _spec(spec).lanes
    vector = _vector(out, count)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _, source, source_row, out, out_row = arguments
        rows = [
            _load(builder, source, builder.mul(source_row, _int(i)), vector) for i in range(count)
        ]
        span = 1
        while span < count:
            mixed = list(rows)
            for i in range(count):
                if i & span:
                    continue
                low = [j if not j & span else count + j - span for j in range(count)]
                high = [j + span if not j & span else count + j for j in range(count)]
                for place, lanes_taken in ((i, low), (i + span, high)):
                    mask = ir.Constant(ir.VectorType(_I32, count), lanes_taken)
                    mixed[place] = builder.shuffle_vector(rows[i], rows[i + span], mask)
            rows, span = mixed, 2 * span
        for j, row in enumerate(rows):
            _store(builder, row, out, builder.mul(out_row, _int(j)))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def at(typing: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to element `offset` of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), generate


@intrinsic
def after(typing: Any, pointer: Any, offset: Any) -> Any:
    """Return a pointer to the element `offset` places after `pointer`'s."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic(prefer_literal=True)
def lanes(typing: Any, spec: Any) -> Any:
    """Return V."""
    value = _spec(spec).lanes

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return _int(value)

    return types.int64(spec), generate


@intrinsic(prefer_literal=True)
def most_rows(typing: Any, spec: Any, field: Any, vectors: Any) -> Any:
    """Return the most rows of a tile `vectors` wide; `field` is forward_rows or update_rows."""
    narrow, wide = getattr(_spec(spec), field.literal_value)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.select(
            builder.icmp_signed("==", arguments[2], _int(1)), _int(narrow), _int(wide)
        )

    return types.int64(spec, field, types.int64), generate


@intrinsic
def prefetch(typing: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line of element `offset` to be brought into the second-level cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _I8.as_pointer())
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32]),
            "llvm.prefetch.p0",
        )
        read, second_level, data_cache = (ir.Constant(_I32, value) for value in (0, 2, 1))
        builder.call(function, [address, read, second_level, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic(prefer_literal=True)
def widen(typing: Any, spec: Any, row: Any, x: Any, scale: Any) -> Any:
    """x[:V] = row[:V] * scale, from uint8 or either float type."""
    signature = types.void(spec, row, x, scale)
    vector = _vector(x, _spec(spec).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, row, x, scale = arguments
        stored = ir.VectorType(context.get_value_type(signature.args[1].dtype), vector.count)
        values = builder.load(builder.bitcast(row, stored.as_pointer()), align=1)
        if isinstance(stored.element, ir.IntType):
            values = builder.uitofp(values, vector)
        elif stored != vector:
            convert = builder.fpext if _bytes(vector) == 8 else builder.fptrunc
            values = convert(values, vector)
        _store(builder, builder.fmul(values, splat(builder, scale, vector)), x, _int(0))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def nonzero_bits(typing: Any, matrix: Any, rows: Any, m: Any, columns: Any, first: Any) -> Any:
    """Return 64 bits: which of the columns `first` to first+63 of matrix[rows[:m]] have a nonzero.

    ``matrix`` points to rows of `columns` numbers.
    """
    signature = types.uint64(matrix, rows, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, rows, m, columns, first = arguments
        bits = signature.args[0].dtype.bitwidth
        block = ir.VectorType(ir.IntType(bits), 64)
        zero = ir.Constant(block, [0] * 64)
        before = builder.block
        head, body, after_ = (builder.append_basic_block(n) for n in ("head", "body", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        i, seen = builder.phi(_I64), builder.phi(block)
        i.add_incoming(_int(0), before)
        seen.add_incoming(zero, before)
        builder.cbranch(builder.icmp_signed("<", i, m), body, after_)
        builder.position_at_end(body)
        row = builder.mul(builder.load(builder.gep(rows, [i])), columns)
        here = builder.gep(matrix, [builder.add(row, first)])
        values = builder.load(builder.bitcast(here, block.as_pointer()), align=1)
        i.add_incoming(builder.add(i, _int(1)), body)
        seen.add_incoming(builder.or_(seen, values), body)
        builder.branch(head)
        builder.position_at_end(after_)
        return builder.bitcast(builder.icmp_unsigned("!=", seen, zero), _I64)

    return signature, generate


@intrinsic(prefer_literal=True)
def append_bits(typing: Any, spec: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Write first + the number of each bit that is set to out[count:]; return the new count.

    ``out`` has room for 16 numbers more than it gets.
    """
    signature = types.int64(spec, out, types.int64, types.int64, types.uint64)
    append = _append_compressed if _spec(spec).compresses else _append_one_by_one

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return append(builder, *arguments[1:])

    return signature, generate


def _append_compressed(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append 16 numbers at a time with AVX-512's compressing store."""
    numbers, sixteen = ir.VectorType(_I32, 16), ir.IntType(16)
    compress = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [numbers, _I32.as_pointer(), ir.VectorType(_I1, 16)]),
        "llvm.masked.compressstore.v16i32",
    )
    ones = builder.module.declare_intrinsic("llvm.ctpop", [sixteen])
    base = splat(builder, builder.trunc(first, _I32), numbers)
    for part in range(4):
        some = builder.trunc(builder.lshr(bits, _int(16 * part)), sixteen)
        where = builder.add(base, ir.Constant(numbers, [16 * part + i for i in range(16)]))
        mask = builder.bitcast(some, ir.VectorType(_I1, 16))
        builder.call(compress, [where, builder.gep(out, [count]), mask])
        count = builder.add(count, builder.zext(builder.call(ones, [some]), _I64))
    return count


def _append_one_by_one(builder: Any, out: Any, count: Any, first: Any, bits: Any) -> Any:
    """Append one number after another, each found by counting trailing zeros."""
    trailing = builder.module.declare_intrinsic(
        "llvm.cttz", [_I64], ir.FunctionType(_I64, [_I64, _I1])
    )
    before = builder.block
    head, body, after_ = (builder.append_basic_block(n) for n in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    rest, place = builder.phi(_I64), builder.phi(_I64)
    rest.add_incoming(bits, before)
    place.add_incoming(count, before)
    builder.cbranch(builder.icmp_unsigned("!=", rest, _int(0)), body, after_)
    builder.position_at_end(body)
    number = builder.add(first, builder.call(trailing, [rest, ir.Constant(_I1, 1)]))
    builder.store(builder.trunc(number, _I32), builder.gep(out, [place]))
    rest.add_incoming(builder.and_(rest, builder.sub(rest, _int(1))), body)
    place.add_incoming(builder.add(place, _int(1)), body)
    builder.branch(head)
    builder.position_at_end(after_)
    return place


@intrinsic(prefer_literal=True)
def catch_up_row(
    typing: Any, spec: Any, w: Any, vectors: Any, steps: Any, coefficients: Any
) -> Any:
    """Give one row of a weight panel the `steps` steps of the penalty that it missed."""
    signature = types.void(spec, w, types.int64, types.int64, coefficients)
    kernel = _spec(spec)
    vector = _vector(w, kernel.lanes)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if not kernel.caught_up:
            return context.get_dummy_value()
        _, w, vectors, steps, coefficients = arguments
        steps = Vec(builder, splat(builder, builder.sitofp(steps, vector.element), vector))
        numbers = _coefficients(builder, kernel.shrink, coefficients, vector)
        with cgutils.for_range(builder, vectors) as loop:
            place = builder.mul(loop.index, _int(vector.count))
            value = Vec(builder, _load(builder, w, place, vector))
            result = formula(kernel.caught_up)(VecSpace(), value, steps, *numbers)
            _store(builder, result.value, w, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def is_lazy(typing: Any, spec: Any) -> Any:
    """Return whether the penalty of columns that a batch does not use waits until they are."""
    lazy = bool(_spec(spec).caught_up)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return ir.Constant(_I1, int(lazy))

    return types.boolean(spec), generate
