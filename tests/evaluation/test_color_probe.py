import numpy as np

from tests.evaluation.fakes import KnowingEncoder, blank, disc, sample
from undiffuse.data.captions import content_words, record_words
from undiffuse.data.composites import is_held_out_pair
from undiffuse.evaluation.color_probe import color_prompts, has_hue, has_object, recolored_pictures

RED, GRAY, BROWN = (220, 40, 35), (120, 120, 120), (120, 70, 40)


def test_the_hue_is_measured_outside_the_background() -> None:
    pictures = np.concatenate([disc(RED), disc(RED, 6), disc((40, 90, 220)), blank(1)])
    assert has_hue(pictures, ["red"] * 4).tolist() == [True, True, False, False]
    assert has_hue(pictures, ["blue"] * 4).tolist() == [False, False, True, False]


def test_gray_is_no_hue_but_brown_is() -> None:
    mixed = disc(GRAY, 24)
    mixed[..., 28:36, 20:44] = np.array(RED, np.uint8)[:, None, None]
    assert has_hue(mixed, ["red"]).tolist() == [True]
    brown = disc(BROWN, 24)
    brown[..., 28:36, 20:44] = np.array(RED, np.uint8)[:, None, None]
    assert has_hue(brown, ["red"]).tolist() == [False]


def test_a_speck_of_the_color_is_not_enough() -> None:
    speck = disc(GRAY, 24)
    speck[..., 30:33, 30:33] = np.array(RED, np.uint8)[:, None, None]
    assert has_hue(speck, ["red"]).tolist() == [False]


def test_an_object_is_found_in_any_color() -> None:
    names = ["red apple", "green apple", "cat"]
    vectors = np.eye(8, dtype=np.float32)
    crowd = [*names, *(f"thing {i}" for i in range(5))]
    seen = np.array([[0.1, 0.9, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    assert has_object(seen, crowd, vectors, ["apple", "cat"]).tolist() == [True, True]
    far = np.array([[0, 0, 0, 9, 8, 7, 6, 5.0]], np.float32)
    assert has_object(far, crowd, vectors, ["apple"]).tolist() == [False]


def test_prompts_are_reproducible_and_unknown_ones_are_in_no_caption() -> None:
    pairs = color_prompts(sample())
    assert pairs == color_prompts(sample())
    assert {pair.known for pair in pairs} == {True, False}
    trained = [r for r in sample().pictures.records if r["split"] == "train"]
    for pair in pairs:
        said = [
            record["name"]
            for record in trained
            if {pair.color, *content_words(pair.noun)} <= record_words(record)
        ]
        assert bool(said) == pair.known, pair
        if not pair.known:
            assert is_held_out_pair(pair.color, pair.noun)


def test_recolored_real_pictures_have_the_requested_hue() -> None:
    pairs = color_prompts(sample())
    pictures = np.stack(list(recolored_pictures(sample(), pairs)))
    assert pictures.shape == (len(pairs), 3, 64, 64)
    assert has_hue(pictures, [pair.color for pair in pairs]).mean() > 0.9


def test_real_pictures_have_their_object() -> None:
    encoder, data = KnowingEncoder(sample()), sample()
    rows = data.plain_rows("train")[:20]
    vectors = encoder.encode_image(data.pictures.pictures[rows])
    names = encoder.encode_text(data.names)
    asked = [name.split()[-1] if "apple" in name else name for name in data.column(rows, "name")]
    plain = [thing for thing in asked if not thing.startswith(("black ", "purple ", "white "))]
    chosen = [i for i, thing in enumerate(asked) if thing in plain]
    assert has_object(vectors[chosen], data.names, names, plain).all()
