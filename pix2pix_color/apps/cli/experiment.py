"""The command `experiment`: lists, runs and reports the studies of sections 4.2 and 5.3."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ...config import nearest
from ...errors import UsageError
from ...experiments.studies import find_studies
from ...experiments.study import BUDGET, FOLDER, SECTIONS, Study, base_config
from ...startup import start_tensorflow
from .values import DATASETS, positive

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `pix2pix-color experiment`."""
    parser.add_argument(
        "action",
        metavar="ACTION",
        help="list the studies; run NAME... to train and score what is not done yet; "
        "report NAME... to print the results as Markdown",
    )
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help=f"studies, groups of studies ({', '.join(SECTIONS)}), or all",
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=positive,
        help=f"images seen by each variant (default: the study's own, such as {BUDGET:,}; "
        "report: every budget)",
    )
    parser.add_argument(
        "--dataset",
        metavar="DATA",
        default="cifar10",
        help=f"{DATASETS} (default: cifar10)",
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        default=Path(FOLDER),
        help=f"for the table of results and one folder per run (default: {FOLDER})",
    )


def run(options: argparse.Namespace) -> None:
    """Lists, runs or reports, as the first word says."""
    actions = {"list": _list, "run": _run, "report": _report}
    if options.action not in actions:
        raise UsageError(
            f"unknown action {options.action!r} of experiment: {nearest(options.action, actions)}"
        )
    if not options.names and options.action != "list":
        raise UsageError(f"experiment {options.action} needs the name of a study, or all.")
    studies = find_studies(options.names or ["all"])
    base = base_config(options.dataset)
    actions[options.action](options, [dataclasses.replace(s, base=base) for s in studies])


def _list(options: argparse.Namespace, studies: list[Study]) -> None:
    for study in studies:
        section = SECTIONS[study.group]
        print(f"{study.name} (section {section}, group {study.group}): {study.title}")
        print(f"    The report: {study.claim}")
        print(f"    {study.question}")
        for variant in study.variants:
            seeds = f"{len(variant.seeds)} seed{'s' if len(variant.seeds) > 1 else ''}"
            print(f"      {variant.name}: {' '.join(variant.changes)} ({seeds})")


def _run(options: argparse.Namespace, studies: list[Study]) -> None:
    start_tensorflow()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # each run builds its own graphs, which is no mistake
    from ...experiments.runner import run_studies

    if options.budget:
        studies = [dataclasses.replace(study, budget=options.budget) for study in studies]
    results = run_studies(studies, options.folder)
    print(f"Finished: {results.path}")


def _report(options: argparse.Namespace, studies: list[Study]) -> None:
    from ...experiments.report import open_results, study_table

    rows = open_results(options.folder).rows
    for study in studies:
        print(study_table(study, rows, budget=options.budget))
