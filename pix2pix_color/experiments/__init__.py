"""The studies of report sections 4.2.1, 4.2.2, 4.2.4 and 5.3: many runs, one table.

    results = run_studies(find_studies(["ablations"]))
    print(study_table(find_studies(["ablations"])[0], results.rows))

A study is a list of named configurations (`study`, `studies`). Their runs (`jobs`, with their
`cost`) are trained one after another and scored alike (`runner`) into one results table (`table`),
where each is compared with the report's own run (`comparison`) and shown (`report`).
"""

import lazy_loader

# Listing the studies needs no NumPy, and showing results needs no TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cost": ["flops_per_image"],
        "report": ["PUBLISHED", "open_results", "sample_sheet", "study_panels", "study_table"],
        "runner": ["run_studies"],
        "studies": ["DIRECTIONS", "STUDIES", "find_studies"],
        "study": ["BUDGET", "FOLDER", "IMAGES", "REPORT", "Study", "Variant", "base_config"],
    },
)
