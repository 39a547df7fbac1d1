"""Directions in CLIP's space: "man wearing a hat" - "man" points at "hat".

python examples/clip_directions.py
"""

import undiffuse
from undiffuse.explore.space import Space, default_cache_folder

EXPRESSIONS = (
    "man wearing turban - man",
    "woman police officer - woman + man",
    "green apple - green + red",
)


def main() -> None:
    model = undiffuse.load()
    space = Space(model.clip, default_cache_folder())
    for expression in EXPRESSIONS:
        vector = space.vector(expression)  # (512,), unit length
        words = ", ".join(f"{w.text} {w.cosine:.2f}" for w in space.nearest_words(vector, 5))
        print(f"{expression}  ->  {words}")
    hat = space.vector("man wearing turban - man")
    print("similarity with 'turban':", round(float(hat @ space.vector("turban")), 2))
    model.generate("woman police officer - woman + man")[0].save("officer.png", scale=4)


if __name__ == "__main__":
    main()
