"""The report's experiments (sections 4.2.1, 4.2.2, 4.2.4) and 5.3's: many runs, one table.

    run_studies(find_studies(["ablations"]))
    print(study_table(find_studies(["ablations"])[0], open_results(FOLDER).rows))

A study is data (`study`, `studies`, `directions`). Its runs (`jobs`) are trained and scored one
after another (`runs`, `runner`), into one results table (`table`), which is compared with the
report's own run and shown (`comparison`, `report`). `search` is the automatic search on the same
runner.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .directions import DIRECTIONS
from .studies import (
    BUDGET,
    FOLDER,
    IMAGES,
    REPORT,
    SEARCH,
    STUDIES,
    Study,
    Variant,
    base_config,
    find_studies,
)
from .table import Results

_LAZY = {
    "PUBLISHED": "report",
    "Runner": "runner",
    "flops_per_image": "cost",
    "open_results": "report",
    "publish": "report",
    "rows_of": "report",
    "run_search": "search",
    "run_studies": "runner",
    "run_study": "runner",
    "sample_sheet": "report",
    "study_panels": "report",
    "study_table": "report",
}

__all__ = [
    "BUDGET",
    "DIRECTIONS",
    "FOLDER",
    "IMAGES",
    "REPORT",
    "SEARCH",
    "STUDIES",
    "Results",
    "Study",
    "Variant",
    "base_config",
    "find_studies",
    *_LAZY,
]

if TYPE_CHECKING:
    from .cost import flops_per_image
    from .report import (
        PUBLISHED,
        open_results,
        publish,
        rows_of,
        sample_sheet,
        study_panels,
        study_table,
    )
    from .runner import Runner, run_studies, run_study
    from .search import run_search


def __getattr__(name: str) -> Any:
    # The command line lists studies without NumPy, and shows results without TensorFlow.
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
