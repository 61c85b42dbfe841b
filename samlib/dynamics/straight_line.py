"""A function as a straight-line program: arithmetic on single numbers, one step after another.

What torch does with small tensors is mostly to find out what to do. Here its operations are
written out, number by number. A tensor becomes a tensor of the same shape that holds the *names*
of its entries, integers; then what only moves entries about (select, reshape, cat, the padding in
their derivatives) is torch's own operation on the names, and only arithmetic has to be known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Operation(IntEnum):
    """What an instruction does; up to WHERE with several numbers, after it with one."""

    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    DIVIDE = 3
    POWER = 4
    MAXIMUM = 5
    MINIMUM = 6
    LESS = 7
    LESS_OR_EQUAL = 8
    EQUAL = 9
    WHERE = 10
    SQRT = 11
    EXP = 12
    EXPM1 = 13
    LOG = 14
    LOG1P = 15
    SIN = 16
    COS = 17
    TAN = 18
    ATAN = 19
    SINH = 20
    COSH = 21
    TANH = 22
    ERF = 23


@dataclass(frozen=True)
class StraightLine:
    """A program. Its registers hold the constants, then the inputs, then results.

    Attributes
    ----------
    constants
        [constants].
    code
        [instructions, 5]: an :class:`Operation`, the register of its result, and three of what it
        takes; those that it does not need are 0.
    outputs
        The registers of the outputs.
    registers
        How many there are.
    """

    constants: NDArray[np.float64]
    code: NDArray[np.int64]
    outputs: NDArray[np.int64]
    registers: int

    def encoded(self) -> NDArray[np.float64]:
        """All in one array: integers by their bits, constants as they are."""
        sizes = np.array([len(self.code), self.registers, len(self.constants)])
        integers = sizes, self.code.reshape(-1), self.outputs
        head, code, outputs = (part.astype(np.int64).view(np.float64) for part in integers)
        return np.concatenate([head, self.constants, code, outputs])


class TooLongError(Exception):
    """A program would be longer than it may be."""


Instruction = tuple[Operation, int, int, int]


class Builder:
    """Writes a program, no instruction of it twice.

    Each number has a name, an integer ≥ 0. The constant 0 has the name 0, because 0 is what torch
    pads with.

    Parameters
    ----------
    inputs
        How many numbers the program takes.
    most
        How many names there may be before the program is too long.

    Attributes
    ----------
    inputs
        Their names.
    """

    def __init__(self, inputs: int, *, most: int) -> None:
        self._most = most
        self._meanings: list[float | Instruction | None] = []  # None: an input
        self._names: dict[object, int] = {}
        self._zero = self.constant(0.0)
        self._one = self.constant(1.0)
        self.inputs = [self._name(f"input {i}", None) for i in range(inputs)]

    def constant(self, value: float) -> int:
        """The name of a constant."""
        return self._name(value.hex(), value)  # which tells −0 from 0, and knows NaN

    def result(self, operation: Operation, a: int, b: int = 0, c: int = 0) -> int:
        """The name of what an operation makes of numbers with names; those not needed are 0."""
        if operation == Operation.ADD and self._zero in (a, b):
            return a or b
        if operation == Operation.MULTIPLY and self._one in (a, b):
            return b if a == self._one else a
        instruction = operation, a, b, c
        return self._name(instruction, instruction)

    def _name(self, key: object, meaning: float | Instruction | None) -> int:
        if key not in self._names:
            if len(self._meanings) >= self._most:
                raise TooLongError
            self._names[key] = len(self._meanings)
            self._meanings.append(meaning)
        return self._names[key]

    def program(self, outputs: list[int]) -> StraightLine:
        """The program of these numbers, without what they do not need."""
        needed, waiting = {self._zero}, list(outputs)
        while waiting:
            if (name := waiting.pop()) not in needed:
                needed.add(name)
                waiting += self._operands(name)
        constants = [n for n in sorted(needed) if isinstance(self._meanings[n], float)]
        instructions = [n for n in sorted(needed) if isinstance(self._meanings[n], tuple)]
        register = {name: k for k, name in enumerate([*constants, *self.inputs])}
        registers = self._allocate(register, instructions, outputs)
        code = [
            [meaning[0], register[n], *(register[m] for m in self._operands(n))]
            for n in instructions
            if isinstance(meaning := self._meanings[n], tuple)
        ]
        return StraightLine(
            np.array([self._meanings[n] for n in constants], dtype=np.float64),
            np.array(code, dtype=np.int64).reshape(-1, 5),
            np.array([register[n] for n in outputs], dtype=np.int64),
            registers,
        )

    def _operands(self, name: int) -> tuple[int, ...]:
        meaning = self._meanings[name]
        return meaning[1:] if isinstance(meaning, tuple) else ()

    def _allocate(
        self, register: dict[int, int], instructions: list[int], outputs: list[int]
    ) -> int:
        """Choose registers for results, and give the number of all.

        A register is free again after the last instruction that reads it, so that few are needed.
        None is read and written by one instruction, which would keep it from vector instructions.
        """
        last = {m: n for n in instructions for m in self._operands(n)}
        kept = {*register, *outputs}
        free: list[int] = []
        registers = len(register)
        for name in instructions:
            if not free:
                free.append(registers)
                registers += 1
            register[name] = free.pop()
            done = {m for m in self._operands(name) if last[m] == name and m not in kept}
            free += [register[m] for m in done]
        return registers
