"""The translation of formulas into vector instructions.

A formula of `activations`, `costs`, `penalties` or `optimizers` is plain Python over ``xp``. It is
called once, while a kernel is compiled, with `Vec` objects whose arithmetic emits LLVM
instructions. What remains in the kernel is straight-line vector code, without calls or branches.

exp, expm1 and tanh are within 4 ulp of the true value if that is a normal number; the error of
`log` and `logaddexp` is at most 4 ulp of the larger of their value and 1. exp and expm1 are
infinite above 88.37 in float32 and 709.4 in float64; exp is at least about the smallest normal
number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from fastnn.engine.conditions import Condition, refuse_truth
from fastnn.engine.plain_numbers import numpys_of_numbers

__all__ = ["Vec", "VecSpace", "splat"]

_I32 = ir.IntType(32)

# What numpy calls the functions of Python's operators.
_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}


def splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    """Return a vector with `scalar` in every lane."""
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    lanes = ir.Constant(ir.VectorType(_I32, vector_type.count), [0] * vector_type.count)
    return builder.shuffle_vector(first, undefined, lanes)


class Vec:
    """One vector register; arithmetic on it emits instructions."""

    __hash__ = None  # type: ignore[assignment] # since it redefines ==

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __array_ufunc__(self, function: Any, method: str, *operands: Any, **_: Any) -> Any:
        """Compute an operator whose left operand is a number of numpy's; refuse all else."""
        operation = _OPERATORS.get(function.__name__)
        if operation is None or method != "__call__":
            raise TypeError(
                f"a formula is compiled with vectors, which np.{function.__name__} does not take: "
                f"use its argument xp, as in xp.{function.__name__}"
            )
        return operation(*(x if isinstance(x, Vec) else float(x) for x in operands))

    def lift(self, other: Any) -> Any:
        """Return `other`, a `Vec` or a number, as an LLVM vector."""
        if isinstance(other, Vec):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def _emit(self, instruction: str, left: Any, right: Any) -> Vec:
        emit = getattr(self.builder, instruction)
        return Vec(self.builder, emit(self.lift(left), self.lift(right), flags=("contract",)))

    def __add__(self, other: Any) -> Vec:
        return self._emit("fadd", self, other)

    def __radd__(self, other: Any) -> Vec:
        return self._emit("fadd", other, self)

    def __sub__(self, other: Any) -> Vec:
        if isinstance(other, Signed) and other.of is self:
            return other.taken_from_own()
        return self._emit("fsub", self, other)

    def __rsub__(self, other: Any) -> Vec:
        return self._emit("fsub", other, self)

    def __mul__(self, other: Any) -> Vec:
        if isinstance(other, Sign):
            return other.times(self)
        return self._emit("fmul", self, other)

    def __rmul__(self, other: Any) -> Vec:
        return self._emit("fmul", other, self)

    def __truediv__(self, other: Any) -> Vec:
        return self._emit("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Vec:
        return self._emit("fdiv", other, self)

    def __pow__(self, exponent: Any) -> Vec:
        raise TypeError("a formula cannot use **, which kernels lack: write products, or xp.exp")

    def __neg__(self) -> Vec:
        return Vec(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Vec:
        return self._call("fabs", self)

    def _compared(self, how: str, other: Any) -> Condition:
        """Compare as numpy does: NaN is != everything, and all other comparisons are false."""
        compare = self.builder.fcmp_unordered if how == "!=" else self.builder.fcmp_ordered
        return Condition(self, compare(how, self.value, self.lift(other)))

    def __gt__(self, other: Any) -> Condition:
        return self._compared(">", other)

    def __lt__(self, other: Any) -> Condition:
        return self._compared("<", other)

    def __ge__(self, other: Any) -> Condition:
        return self._compared(">=", other)

    def __le__(self, other: Any) -> Condition:
        return self._compared("<=", other)

    def __eq__(self, other: object) -> Any:
        return self._compared("==", other)

    def __ne__(self, other: object) -> Any:
        return self._compared("!=", other)

    def __bool__(self) -> bool:
        refuse_truth()

    def _call(self, name: str, *arguments: Any) -> Vec:
        """Call LLVM's intrinsic `name` on vectors of this type."""
        vector = self.value.type
        suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
        function = self.builder.module.declare_intrinsic(
            f"llvm.{name}.v{vector.count}{suffix}",
            (),
            ir.FunctionType(vector, [vector] * len(arguments)),
        )
        return Vec(self.builder, self.builder.call(function, [self.lift(a) for a in arguments]))


class Sign(Vec):
    """The sign of a vector: -1, 0, 1 or NaN.

    Multiplying by it only changes sign bits. That needs none of the CPU's multipliers, which the
    surrounding products keep busy.
    """

    def __init__(self, x: Vec) -> None:
        nonzero = x.builder.fcmp_ordered("!=", x.value, x.lift(0.0))  # false for NaN, which stays
        self.of, self.nonzero = x, nonzero
        one = x._call("copysign", 1.0, x)
        super().__init__(x.builder, x.builder.select(nonzero, one.value, x.value))

    def times(self, factor: Any) -> Vec:
        """Return this sign times `factor`, a finite number or vector."""
        return Signed(self, factor)

    def __mul__(self, other: Any) -> Vec:
        return self.times(other)

    def __rmul__(self, other: Any) -> Vec:
        return self.times(other)


class Signed(Vec):
    """A factor times the sign of a vector: 0 where the vector is 0, and NaN where it is NaN."""

    def __init__(self, sign: Sign, factor: Any) -> None:
        self.of, self._nonzero, builder = sign.of, sign.nonzero, sign.builder
        vector = self.of.value.type
        bits = 32 if isinstance(vector.element, ir.FloatType) else 64
        integers = ir.VectorType(ir.IntType(bits), vector.count)
        sign_bit = ir.Constant(integers, [1 << (bits - 1)] * vector.count)
        signs = builder.and_(builder.bitcast(self.of.value, integers), sign_bit)
        self._turned = builder.xor(builder.bitcast(self.of.lift(factor), integers), signs)
        turned = builder.bitcast(self._turned, vector)
        super().__init__(builder, builder.select(sign.nonzero, turned, self.of.value))

    def taken_from_own(self) -> Vec:
        """Return the vector whose sign this has, minus this; where it is 0 or NaN, minus 0.

        A bitwise and replaces the select. On a CPU with mask registers it still becomes a masked
        subtraction; on others LLVM would turn a select into a masked store, lane by lane.
        """
        builder, kind = self.builder, self._turned.type
        taken = builder.and_(self._turned, builder.sext(self._nonzero, kind))
        return self.of._emit(
            "fsub", self.of, Vec(builder, builder.bitcast(taken, self.of.value.type))
        )


@numpys_of_numbers(Vec, Condition)
class VecSpace:
    """The functions a formula may use, with numpy's names and numpy's treatment of NaN."""

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(one for one in vars(VecSpace) if not one.startswith("_"))
        raise AttributeError(f"a formula cannot use xp.{name}, which kernels lack: xp has {known}")

    def sign(self, x: Vec) -> Sign:
        return Sign(x)

    def where(self, condition: Condition, x: Any, y: Any) -> Vec:
        lift, builder = condition.of.lift, condition.of.builder
        return Vec(builder, builder.select(condition.value, lift(x), lift(y)))

    def maximum(self, x: Vec, y: Any) -> Vec:
        return self._chosen(x < y, x, y)

    def minimum(self, x: Vec, y: Any) -> Vec:
        return self._chosen(x > y, x, y)

    def _chosen(self, beyond: Any, x: Vec, y: Any) -> Vec:
        """Return y where `beyond` is true or y is NaN, else x, which may be NaN."""
        chosen = self.where(beyond, y, x)
        if not isinstance(y, Vec):
            return chosen
        return self.where(y != y, y, chosen)

    def copysign(self, x: Any, y: Any) -> Vec:
        if not isinstance(y, Vec):
            size: Vec = abs(x)
            return size * math.copysign(1.0, y)
        return y._call("copysign", x, y)

    def floor(self, x: Vec) -> Vec:
        return x._call("floor", x)

    def sqrt(self, x: Vec) -> Vec:
        return x._call("sqrt", x)

    def exp(self, x: Vec) -> Vec:
        power, fraction = self._exp_parts(x)
        return self.where(x > self._largest(x), math.inf, fraction * power + power)

    def expm1(self, x: Vec) -> Vec:
        return self.where(x > self._largest(x), math.inf, self._finite_expm1(x))

    def tanh(self, x: Vec) -> Vec:
        """Return (exp(2x)-1)/(exp(2x)+1); beyond 20 it is 1 in either precision."""
        size = abs(x)
        grown = self._finite_expm1(self.where(size > 20.0, 20.0, size) * 2.0)
        return self.copysign(grown / (grown + 2.0), x)

    def logaddexp(self, x: Vec, y: Any) -> Vec:
        """Return max(x,y) + log(1+u), where u = exp(-|x-y|)."""
        u = self.exp(-abs(x - y))
        return self.maximum(x, y) + self._twice_atanh(u / (u + 2.0))

    def log1p(self, x: Vec) -> Vec:
        """Return log(1+x) for x >= 0, to the precision of 1+x."""
        return self.log(x + 1.0)

    def log(self, x: Vec) -> Vec:
        """Return n*log(2) + log(f), where x = f * 2**n and sqrt(1/2) <= f < sqrt(2).

        x must be a positive normal number.
        """
        builder, single = x.builder, self._is_single(x)
        mantissa, bits = (23, 32) if single else (52, 64)
        integers = ir.VectorType(ir.IntType(bits), x.value.type.count)

        def constant(value: int) -> Any:
            return ir.Constant(integers, [value] * integers.count)

        pattern = builder.bitcast(x.value, integers)
        half = 0x3F3504F3 if single else 0x3FE6A09E667F3BCD  # sqrt(1/2)
        power = builder.ashr(builder.sub(pattern, constant(half)), constant(mantissa))
        fraction = builder.sub(pattern, builder.shl(power, constant(mantissa)))
        f = Vec(builder, builder.bitcast(fraction, x.value.type))
        n = Vec(builder, builder.sitofp(power, x.value.type))
        result = n * math.log(2.0) + self._twice_atanh((f - 1.0) / (f + 1.0))
        return self.where(x > 0.0, result, x * math.nan)

    def _twice_atanh(self, s: Vec) -> Vec:
        """Return 2*atanh(s) by its series, abs(s) <= 1/3: it is log(v) where s = (v-1)/(v+1)."""
        square, terms = s * s, 8 if self._is_single(s) else 17
        series = square * (2.0 / (2 * terms + 1)) + 2.0 / (2 * terms - 1)
        for k in range(terms - 2, -1, -1):
            series = series * square + 2.0 / (2 * k + 1)
        return s * series

    def _finite_expm1(self, x: Vec) -> Vec:
        power, fraction = self._exp_parts(x)
        return fraction * power + (power - 1.0)

    def _exp_parts(self, x: Vec) -> tuple[Vec, Vec]:
        """Return 2**n and exp(r)-1, where x = n*log(2) + r; x is cut to where both are finite.

        Adding 1.5 * 2**(bits of the mantissa) leaves n in the low bits. This avoids a conversion to
        an integer, which LLVM leaves undefined for NaN.
        """
        builder, single = x.builder, self._is_single(x)
        largest, smallest = self._largest(x), -87.0 if single else -708.0
        x = self.where(x > largest, largest, x)
        x = self.where(x < smallest, smallest, x)
        mantissa, bits = (23, 32) if single else (52, 64)
        magic = 1.5 * 2.0**mantissa
        shifted = x * 1.4426950408889634 + magic
        n = shifted - magic
        # log(2) in two parts (Cody and Waite): n times the first part is exact.
        high, low = (
            (0.693359375, -2.12194440e-4)
            if single
            else (
                6.93147180369123816490e-01,
                1.90821492927058770002e-10,
            )
        )
        r = n * -low + (n * -high + x)
        degree = 7 if single else 13
        series = r * (1.0 / math.factorial(degree)) + 1.0 / math.factorial(degree - 1)
        for k in range(degree - 2, 0, -1):
            series = series * r + 1.0 / math.factorial(k)
        integers = ir.VectorType(ir.IntType(bits), x.value.type.count)

        def constant(value: int) -> Any:
            return ir.Constant(integers, [value] * integers.count)

        exponent = builder.add(
            builder.bitcast(shifted.value, integers), constant(2 ** (bits - mantissa - 2) - 1)
        )
        power = builder.bitcast(builder.shl(exponent, constant(mantissa)), x.value.type)
        return Vec(builder, power), series * r

    def _largest(self, x: Vec) -> float:
        """Return a number just below log(2)*(the largest exponent + 1/2)."""
        return 88.37 if self._is_single(x) else 709.4

    @staticmethod
    def _is_single(x: Vec) -> bool:
        return isinstance(x.value.type.element, ir.FloatType)
