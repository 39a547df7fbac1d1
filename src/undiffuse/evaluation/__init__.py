"""What a model is worth: figures with intervals, beside the same measure on real pictures.

Pictures and sentences are judged through two protocols (`Encoder`, `Painter`), in NumPy alone. The
judge is never the CLIP that steers.
"""

# To steer, each with its figures.
WAYS = ("like", "negative", "sum", "between", "start", "gradient")
