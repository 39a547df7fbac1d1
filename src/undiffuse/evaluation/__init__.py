"""Evaluation metrics with bootstrap confidence intervals, beside the values of real pictures.

Everything here works on arrays and on two interfaces, `Encoder` and `ImageGenerator`. The encoder
that judges a model is never the CLIP that steers it.
"""

# Ways to steer that `evaluate steering` measures.
STEERING_METHODS = ("like", "negative", "sum", "between", "start", "gradient")
