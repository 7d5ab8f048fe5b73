"""The experiments of report sections 4.2.1, 4.2.2, 4.2.4 and 5.3: many runs, one table.

    run_studies(find_studies(["ablations"]))
    print(study_table(find_studies(["ablations"])[0], open_results(FOLDER).rows))

A study is data (`study`, `studies`). Its runs (`jobs`, with their `cost`) are trained
and scored one after another (`runs`, `runner`) into one results table (`table`), where each is
compared with the report's own run and shown (`comparison`, `report`). `search` is the automatic
search, on the same runner.
"""

import lazy_loader

# Listing the studies needs no NumPy, and showing results needs no TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cost": ["flops_per_image"],
        "report": [
            "PUBLISHED",
            "open_results",
            "publish",
            "rows_of",
            "sample_sheet",
            "study_panels",
            "study_table",
        ],
        "runner": ["Runner", "run_studies"],
        "search": ["run_search"],
        "studies": ["DIRECTIONS", "SEARCH", "STUDIES", "find_studies"],
        "study": ["BUDGET", "FOLDER", "IMAGES", "REPORT", "Study", "Variant", "base_config"],
        "table": ["Results"],
    },
)
