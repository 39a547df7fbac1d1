"""What a model is worth: figures with intervals, beside the same measure on real pictures.

Pictures and sentences are judged through two protocols (`Encoder`, `Painter`), in NumPy alone. The
judge is never the CLIP that steers.
"""

WAYS = ("like", "negative", "sum", "start", "gradient")  # to steer, each with its figures
