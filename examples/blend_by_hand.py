"""The film's 20-step blend, written out: predict the picture, mix it with less noise, repeat.

python examples/blend_by_hand.py "a red apple" apple.png
"""

import sys

from PIL import Image

import undiffuse
from undiffuse.diffusion.noise import noise

STEPS, GUIDANCE_SCALE, SEED = 20, 4.0, 0


def main(prompt: str, path: str) -> None:
    model = undiffuse.load()
    denoiser, shape = model.denoiser, model.denoiser.shape
    cond = model.clip.encode_text([f"{prompt} in twemoji style"])  # (1, 512), unit length
    x_t = noise(SEED, 0, 0, shape)[None]  # t = 1: noise and nothing else
    for step in range(1, STEPS + 1):
        t, s = 1 - (step - 1) / STEPS, 1 - step / STEPS
        uncond = denoiser(x_t, t, None)
        x0 = uncond + GUIDANCE_SCALE * (denoiser(x_t, t, cond) - uncond)  # the predicted picture
        fresh = noise(SEED, 0, step, shape)[None]
        x_t = ((1 - s) * x0 + s * fresh).astype("float32")
        print(f"step {step}: {1 - s:.0%} predicted picture + {s:.0%} noise")
    Image.fromarray(model.decode(x_t)[0]).save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
