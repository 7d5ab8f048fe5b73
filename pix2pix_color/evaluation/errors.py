"""What the evaluation refuses."""


class EvaluationError(ValueError):
    """A model, a data set or two evaluations that cannot be scored or compared as asked."""
