"""What a model is worth: figures with intervals, beside what the same measure says of real pictures.

Pictures and sentences are judged through two protocols (`Encoder`, `Painter`), in NumPy alone. The
judge is never the CLIP that steers.
"""
