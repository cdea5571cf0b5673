"""optuna's NSGA-II alone: the same populations and distributions, with an objective that costs nothing."""

from typing import Any

import optuna


def search(distributions: dict[str, Any], population: int, generations: int, seed: int) -> int:
    """So many trials by ask and tell, generation by generation."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    told = 0
    for _ in range(generations):
        asked = [study.ask(distributions) for _ in range(population)]
        for trial in asked:
            numbers = list(trial.params.values())
            study.tell(trial, (numbers[0] - numbers[-1], numbers[-1]))
        told += population
    return told
