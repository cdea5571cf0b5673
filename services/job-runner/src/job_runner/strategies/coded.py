"""A strategy that this process can run: what it announces of it, and where its code is.

Role: what crosses into worker processes with each order, as plain frozen values; the far side makes it ready to run.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, assert_never

import numpy as np
from pydantic import ValidationError

from autonomy.errors import BadInput
from autonomy.events import StrategyFault, StrategyOffered
from autonomy.strategies import Value, check_parameters, number, warm_up
from autonomy.strategy import Strategy, declaration_of
from job_runner.engine.code_path import OWN, CodePath, behind
from job_runner.engine.code_path import installed as installed_source
from job_runner.engine.compiled import FloatArray
from job_runner.engine.plans import ExitRules
from job_runner.engine.programs import Axis, Program, StepProgram, compiled
from job_runner.strategies.arrays import ArrayProgram, Here, There
from job_runner.strategies.guest import LOAD_BESIDE_S, LOAD_S

GROUP: Final = "autonomy.strategies"
"""Entry points of this group are strategy classes."""
DRIVERS: Final = ("job_runner.engine.running", "job_runner.strategies.coded")
"""What decides and fills: over all bars, and bar by bar."""
DOCUMENTS: Final = ("autonomy.events", "autonomy.events.offers", "autonomy.events.document")
"""The shapes in which offers are said: they carry what a strategy declares, and decide nothing."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A class of an installed package, trusted like this one: `package.module` and the class's name."""

    module: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A class of somebody's file, run in a process of its own: the folder with a copy of all its code, its module and name there.

    Args:
        folder, module, class_name: where it is.
        program: the other program that it was written for, with its version; empty for none.
    """

    folder: str
    module: str
    class_name: str
    program: str = ""

    @property
    def load_s(self) -> float:
        """How long loading it may take, seconds."""
        return LOAD_BESIDE_S if self.program else LOAD_S


@dataclass(frozen=True, slots=True)
class CodedStrategy:
    """A strategy that this process can run.

    Args:
        offer: as announced.
        code: where it is.
    """

    offer: StrategyOffered
    code: Installed | Kept

    @property
    def name(self) -> str:
        """Wire name."""
        return self.offer.name

    def check(self, parameters: Mapping[str, object]) -> dict[str, Value]:
        """A complete parameter document; raises BadInput, which names the field and the limit."""
        return check_parameters(self.offer, parameters)

    def look_back(self, checked: Mapping[str, Value]) -> int:
        """Bars before its first decision other than flat."""
        return warm_up(self.offer, checked)

    def program(self, parameters: Mapping[str, object], axis: Axis) -> Program:
        """Ready to run.

        Raises:
            BadInput: a parameter outside its limits.
            StrategyFailed: its code cannot be loaded any more.
        """
        checked = self.check(parameters)
        match self.code:
            case Installed(module, class_name):
                strategy = class_of(module, class_name)
                if strategy.step is None:
                    return ArrayProgram(self.name, checked, self.look_back(checked), rules_of(self.offer), axis, Here(strategy))
                return self._stepping(strategy, checked, axis)
            case Kept():
                there = There(self.code.folder, self.code.module, self.code.class_name, load_s=self.code.load_s)
                return ArrayProgram(self.name, checked, self.look_back(checked), rules_of(self.offer), axis, there)
            case _:
                assert_never(self.code)

    def _stepping(self, strategy: type[Strategy], checked: Mapping[str, Value], axis: Axis) -> StepProgram:
        params = self.vector(checked)
        if strategy.step is None:
            raise BadInput("strategy", "one that has a step", self.name)
        loop, one = compiled(strategy.step, self.offer.code_hash, strategy.steps)
        size = 0 if strategy.state_size is None else strategy.state_size(params)
        return StepProgram(self.name, params, size, self.look_back(checked), loop, one, axis.times)

    def vector(self, checked: Mapping[str, Value]) -> FloatArray:
        """Checked parameters as the array a step reads: the numbers in order, then the place of each chosen word."""
        numbers = [float(number(checked, each.name)) for each in self.offer.numbers]
        words = [float(each.allowed.index(str(checked[each.name]))) for each in self.offer.choices]
        return np.array([*numbers, *words])


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: strategies by name, and what should be one and cannot be used."""

    strategies: Mapping[str, CodedStrategy]
    faults: tuple[StrategyFault, ...]


@cache
def installed() -> Found:
    """The strategies of installed packages, by their entry points; read once per process: what changes later is not the code that runs."""
    found: dict[str, CodedStrategy] = {}
    faults: list[StrategyFault] = []
    for point in sorted(entry_points(group=GROUP), key=_ours_first):
        try:
            coded = _of_package(point)
            if coded.name in found:
                raise BadInput("name", "one that no other strategy has", coded.name)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 (somebody's package: its fault is its own)
            faults.append(StrategyFault(file=f"{GROUP}: {point.name}"[:500], line=None, reason=f"{type(fault).__name__}: {fault}"[:500]))
        else:
            found[coded.name] = coded
    return Found(found, tuple(faults))


def _ours_first(point: EntryPoint) -> tuple[bool, str, str]:
    """Nobody's package takes the name of a strategy that came along."""
    own = point.value.split(":")[0].split(".")[0] in OWN
    return not own, point.name, point.value


def by_name(name: str) -> CodedStrategy:
    """An installed strategy.

    Raises:
        BadInput: there is none of this name.
    """
    found = installed().strategies.get(name)
    if found is None:
        raise BadInput("strategy", "one that is installed here", name)
    return found


def class_of(module: str, class_name: str) -> type[Strategy]:
    """The class, as it was imported.

    Raises:
        BadInput: it is not there, or no strategy.
    """
    found = getattr(importlib.import_module(module), class_name, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise BadInput("strategy", "a subclass of autonomy.strategy.Strategy", f"{module}:{class_name}")
    return found


def _of_package(point: EntryPoint) -> CodedStrategy:
    module, class_name = point.value.split(":")
    strategy = class_of(module, class_name)
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an installed package"
    return CodedStrategy(
        offer_of(declaration_of(strategy), decision_path(module, strategy.name).hash(), package, jailed=False),
        Installed(module, class_name),
    )


def offer_of(declaration: Mapping[str, object], code_hash: str, origin: str, *, jailed: bool) -> StrategyOffered:
    """What is announced of a strategy.

    Args:
        declaration: what its class says of itself (`declaration_of`).
        code_hash: over all code on the path of its decisions and fills.
        origin: where it comes from.
        jailed: whether it runs in a process of its own.

    Raises:
        BadInput: names the field and the limit.
    """
    try:
        offer = StrategyOffered.model_validate({**declaration, "codeHash": code_hash, "origin": origin[:500], "jailed": jailed})
    except ValidationError as refusal:
        fault = refusal.errors(include_url=False, include_input=False)[0]
        raise BadInput(".".join(str(part) for part in fault["loc"]) or "strategy", fault["msg"]) from refusal
    else:
        rules_of(offer)
        return offer


def rules_of(offer: StrategyOffered) -> ExitRules:
    """What hangs on the fills of a strategy, as it announces it.

    Raises:
        BadInput: out of limits; names the field.
    """
    exits = offer.exits
    if exits is None:
        return ExitRules()
    return ExitRules(
        stop_loss=exits.stop_loss, take_profit_after={row.minutes: row.gain for row in exits.take_profit_after}, trailing=exits.trailing,
        trailing_offset=exits.trailing_offset, reentry=exits.reentry, rebalance=exits.rebalance,
    )  # fmt: skip


def decision_path(module: str, name: str, source_of: Callable[[str, tuple[str, ...]], Path | None] = installed_source) -> CodePath:
    """All code behind the decisions and fills of a strategy in an installed package."""
    own = (*OWN, module.split(".", 1)[0])
    path = behind([*DRIVERS, module], DOCUMENTS, lambda name: source_of(name, own))
    # Two strategies may share a module: the name tells their hashes apart.
    return CodePath(path.sources, (("strategy", name), *path.packages))
