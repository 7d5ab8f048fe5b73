"""An automatic search around the report's hyperparameters, with Optuna, on the same runner.

It maximizes the true PSNR on the last images of the *train* split, on which its trials are not
trained; the test split is never used. PSNR needs no other model, so it can be computed while a
trial runs, and every other study reports it first. It rewards caution, however: gray rather than
a wrong color. The weight of the L1 loss, which decides just that, is therefore not searched.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import ImageDataset
from ..errors import StudyError
from ..training import Trainer
from .jobs import Job, make_job
from .runner import Runner, interruptible
from .runs import Scorer, train
from .studies import SEARCH
from .study import BUDGET, Variant
from .table import Results

if TYPE_CHECKING:
    import optuna

__all__ = ["HELD_OUT", "TRIALS", "run_search", "split_off", "suggest"]

TRIALS = 16
HELD_OUT = 2_000
"""Images at the end of the train split that score the trials, at most a fifth of the split."""
_REPORTS = 5  # parts of a trial; the pruner decides on the score after each
_STORAGE = "search.db"


def suggest(trial: optuna.Trial) -> tuple[str, ...]:
    """Returns a point of the search space around the report's, as changes."""
    rate = trial.suggest_float("generator_learning_rate", 2e-5, 2e-3, log=True)
    ratio = trial.suggest_float("learning_rate_ratio", 1 / 32, 1.0, log=True)
    values = {
        "training.generator_learning_rate": f"{rate:.3g}",
        "training.discriminator_learning_rate": f"{rate * ratio:.3g}",
        "training.batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128, 256]),
        "training.real_label": f"{trial.suggest_float('real_label', 0.8, 1.0):.3g}",
        "generator.dropout": f"{trial.suggest_float('dropout', 0.0, 0.5):.3g}",
        "training.weight_decay": f"{trial.suggest_float('weight_decay', 1e-3, 1.0, log=True):.3g}",
    }
    return tuple(f"{name}={value}" for name, value in values.items())


_REPORTS_POINT = {
    "generator_learning_rate": 2e-4,
    "learning_rate_ratio": 1 / 8,
    "batch_size": 64,
    "real_label": 0.9,
    "dropout": 0.0,
    "weight_decay": 1e-3,  # the smallest searched, without effect in so few steps
}


def split_off(dataset: ImageDataset) -> tuple[ImageDataset, ImageDataset]:
    """Returns the train split without its last images, and those, held out."""
    held = min(HELD_OUT, dataset.count // 5)
    kept = dataset.count - held
    first, last = (None, None) if dataset.labels is None else np.split(dataset.labels, [kept])
    return (
        dataclasses.replace(dataset, images=dataset.images.take(kept), count=kept, labels=first),
        dataclasses.replace(
            dataset,
            images=dataset.images.skip(kept).cache(),
            count=held,
            labels=last,
            split="train, held out",
        ),
    )


def _open_study(folder: Path) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise StudyError(
            f"The search needs Optuna ({error}): pip install pix2pix_color[experiments]"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=SEARCH.name,
        storage=f"sqlite:///{folder / _STORAGE}",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )
    states = optuna.trial.TrialState
    if not study.trials:
        study.enqueue_trial(_REPORTS_POINT)
    for trial in study.get_trials(states=(states.RUNNING,)):
        # The trial was killed: try the same point again; its run folder has a checkpoint.
        study.tell(trial.number, state=states.FAIL)
        study.enqueue_trial(trial.params)
    return study


def run_search(
    runner: Runner, *, budget: int = BUDGET, trials: int = TRIALS, seed: int = 0
) -> Results:
    """Runs the trials that are not done yet; each is a row of the results table.

    A trial sees half the budget. Hopeless ones are pruned by Optuna's median rule, on the scores
    computed while they run. If the search is stopped at any moment, the same call resumes it.

    Args:
        runner: as for the grid studies.
        budget: images seen by each variant of a grid study.
        trials: how many, including pruned ones.
        seed: of the sampler and of every trial's run.

    Raises:
        StudyError: Optuna is not installed.
        Interrupted: Ctrl-C or SIGTERM; the trial in progress was saved.
    """
    name = f"search-{budget // 2}-seed{seed}"
    with runner.claim(name) as mine:
        if mine:
            _search(runner, _open_study(runner.folder / name), budget, trials, seed)
        else:
            runner.say("Another runner has the search.")
    return runner.results


def _search(runner: Runner, study: optuna.Study, budget: int, trials: int, seed: int) -> None:
    import optuna

    train_set, held_out = split_off(runner.data.train(runner.base))
    scorer = Scorer(held_out, held_out.count)
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    with interruptible() as check:
        while (number := len(study.get_trials(deepcopy=False, states=over))) < trials:
            check()
            # Seeded by the number of finished trials, so that a search that was interrupted
            # draws what an uninterrupted one would.
            study.sampler = optuna.samplers.TPESampler(seed=1_000 * seed + number)
            trial = study.ask()
            job = make_job(
                SEARCH.name,
                Variant(f"trial {number}", suggest(trial)),
                seed,
                runner.base,
                budget // 2,
                split=held_out.split,
            )
            runner.say(f"[{number + 1}/{trials}] {job}: {' '.join(job.changes)}")
            _run_trial(runner, study, trial, job, train_set, scorer)


def _run_trial(
    runner: Runner,
    study: optuna.Study,
    trial: optuna.Trial,
    job: Job,
    train_set: ImageDataset,
    scorer: Scorer,
) -> None:
    """Trains in parts, scores after each part, and tells Optuna the outcome."""
    import optuna

    steps = job.config.training.steps

    def work(trainer: Trainer) -> str:
        for part in range(1, _REPORTS + 1):
            end = max(1, round(steps * part / _REPORTS))
            if trainer.current_step >= end:
                continue
            train(trainer, train_set, steps=end, verbose=runner.verbose)
            if part < _REPORTS:
                _, scores = scorer(trainer.inference_generator())
                trial.report(scores["psnr"], part)
                if trial.should_prune():
                    return f"pruned at step {trainer.current_step}"
        return "done"

    row: dict[str, Any] = runner.done(job) or runner.perform(job, scorer, work)
    states = optuna.trial.TrialState
    if row["status"] == "done" and np.isfinite(row["psnr"]):
        study.tell(trial, row["psnr"])
    else:  # diverged and failed trials count as pruned
        study.tell(trial, state=states.PRUNED)
