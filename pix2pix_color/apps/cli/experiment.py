"""The command `experiment`: lists, runs and reports the studies of sections 4.2 and 5.3."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...config import nearest
from ...errors import StudyError, UsageError
from ...experiments.studies import SEARCH, find_studies, find_variants
from ...experiments.study import BUDGET, FOLDER, IMAGES, LAST_COMMIT, Study, Variant, base_config
from ...startup import start_tensorflow
from .values import DATASETS, positive

__all__ = ["add_arguments", "run"]


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: a whole number, 0 or more")
    return int(text)


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
        help="studies, groups of studies (generator, discriminator, hyperparameters, "
        "ablations, beyond), or all",
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=positive,
        help=f"images seen by each variant (default: {BUDGET:,}; report: every budget)",
    )
    parser.add_argument(
        "--images",
        metavar="N",
        type=positive,
        default=IMAGES,
        help=f"test images to score on (default: the first {IMAGES:,})",
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        default=Path(FOLDER),
        help=f"for results.csv and one folder per run (default: {FOLDER})",
    )
    parser.add_argument(
        "--dataset",
        metavar="DATA",
        default="cifar10",
        help=f"{DATASETS} (default: cifar10)",
    )
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=_seed,
        nargs="+",
        help="random seeds to use instead of each variant's own",
    )
    parser.add_argument(
        "--variant",
        metavar="NAME",
        action="append",
        default=[],
        dest="variants",
        help="only this variant of the study and the baseline; can be repeated",
    )
    parser.add_argument("--rescore", action="store_true", help="score again what has been trained")
    parser.add_argument(
        "--discard-generators",
        action="store_true",
        help="delete each run's SavedModel (13 MB) once it is scored",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be run and what it costs"
    )
    parser.add_argument(
        "--publish",
        metavar="FOLDER",
        type=Path,
        help="report: also copy the table and each variant's sample images there",
    )


def run(options: argparse.Namespace) -> int:
    """Lists, runs or reports, as the first word says."""
    actions = {"list": _list, "run": _run, "report": _report}
    if options.action not in actions:
        raise UsageError(
            f"unknown action {options.action!r} of experiment: {nearest(options.action, actions)}"
        )
    return actions[options.action](options)


def _chosen(options: argparse.Namespace) -> tuple[Study, ...]:
    if not options.names:
        raise UsageError(f"experiment {options.action} needs the name of a study, or all.")
    try:
        studies = find_studies(options.names)
        if options.variants and len(studies) != 1:
            raise StudyError("--variant needs the name of exactly one study.")
        if options.variants:
            studies = (find_variants(studies[0], options.variants),)
    except StudyError as error:
        raise UsageError(str(error)) from error
    return studies


def _list(options: argparse.Namespace) -> int:
    for study in find_studies(options.names or ["all"]):
        print(f"{study.name} (section {study.section}, group {study.group}): {study.title}")
        print(f"    The report: {study.claim}")
        print(f"    {study.question}")
        for variant in study.variants:
            changes = " ".join(variant.changes) or "the report's own configuration"
            print(f"      {variant.name}: {changes} ({_how(variant)})")
    return 0


def _how(variant: Variant) -> str:
    if variant.retired:
        return f"removed: published results only, commit {LAST_COMMIT} can run it"
    seeds = f"{len(variant.seeds)} seed{'s' if len(variant.seeds) > 1 else ''}"
    return f"{seeds}, equal in FLOPs" if variant.equal == "flops" else seeds


def _run(options: argparse.Namespace) -> int:
    studies = _chosen(options)
    base = base_config(options.dataset)
    start_tensorflow()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # each run builds its own graphs, which is no mistake
    from ...experiments.jobs import plan
    from ...experiments.runner import Runner
    from ...experiments.search import run_search

    budget = options.budget or BUDGET
    grid = [study for study in studies if study.name != SEARCH.name]
    jobs = plan(grid, base, budget, options.seeds)
    if options.dry_run:
        return _dry_run(jobs, SEARCH in studies, budget)
    runner = Runner(
        options.folder,
        base=base,
        images=options.images,
        keep_generators=not options.discard_generators,
        rescore=options.rescore,
    )
    if jobs:
        runner.run(jobs)
    if SEARCH in studies:
        run_search(runner, budget=budget)
    print(f"Finished: {runner.results.path}")
    return 0


def _dry_run(jobs: list, search: bool, budget: int) -> int:
    from ...experiments.cost import flops_per_image
    from ...experiments.search import TRIALS

    for job in jobs:
        gflop = flops_per_image(job.config) / 1e9
        print(
            f"{job}: {job.images:,} images, {job.config.training.steps:,} steps, "
            f"{gflop:.2f} GFLOP per image, {job.tflop:,.0f} TFLOP"
        )
    print(f"{len(jobs)} runs, {sum(job.tflop for job in jobs):,.0f} TFLOP.")
    if search:
        print(f"Also the search: up to {TRIALS} trials of {budget // 2:,} images.")
    return 0


def _report(options: argparse.Namespace) -> int:
    studies = _chosen(options)
    from ...experiments.report import open_results, publish, study_table

    results = open_results(options.folder)
    for study in studies:
        print(study_table(study, results.rows, budget=options.budget))
    if options.publish is not None:
        count = publish(options.folder, options.publish)
        print(f"Copied the table and {count} strips of sample images to {options.publish}.")
    return 0
