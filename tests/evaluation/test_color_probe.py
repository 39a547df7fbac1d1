import numpy as np

from tests.evaluation.fakes import KnowingEncoder, blank, disc, sample
from undiffuse.data.captions import facts, words_of
from undiffuse.data.composites import is_held_out
from undiffuse.evaluation.color_probe import colour_pairs, recoloured, shows_hue, shows_noun

RED, GREY, BROWN = (220, 40, 35), (120, 120, 120), (120, 70, 40)


def test_a_hue_is_seen_on_what_is_not_ground() -> None:
    pictures = np.concatenate([disc(RED), disc(RED, 6), disc((40, 90, 220)), blank(1)])
    assert shows_hue(pictures, ["red"] * 4).tolist() == [True, True, False, False]
    assert shows_hue(pictures, ["blue"] * 4).tolist() == [False, False, True, False]


def test_grey_and_black_are_no_hues_but_brown_is() -> None:
    mixed = disc(GREY, 24)
    mixed[..., 28:36, 20:44] = np.array(RED, np.uint8)[:, None, None]
    assert shows_hue(mixed, ["red"]).tolist() == [True]
    brown = disc(BROWN, 24)
    brown[..., 28:36, 20:44] = np.array(RED, np.uint8)[:, None, None]
    assert shows_hue(brown, ["red"]).tolist() == [False]


def test_a_speck_is_not_enough() -> None:
    speck = disc(GREY, 24)
    speck[..., 30:33, 30:33] = np.array(RED, np.uint8)[:, None, None]
    assert shows_hue(speck, ["red"]).tolist() == [False]


def test_a_thing_is_found_in_any_colour() -> None:
    names = ["red apple", "green apple", "cat"]
    vectors = np.eye(8, dtype=np.float32)
    crowd = [*names, *(f"thing {i}" for i in range(5))]
    seen = np.array([[0.1, 0.9, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    assert shows_noun(seen, crowd, vectors, ["apple", "cat"]).tolist() == [True, True]
    far = np.array([[0, 0, 0, 9, 8, 7, 6, 5.0]], np.float32)
    assert shows_noun(far, crowd, vectors, ["apple"]).tolist() == [False]


def test_pairs_are_fixed_and_the_unseen_are_in_no_caption() -> None:
    pairs = colour_pairs(sample())
    assert pairs == colour_pairs(sample())
    assert {pair.known for pair in pairs} == {True, False}
    trained = [r for r in sample().pictures.records if r["split"] == "train"]
    for pair in pairs:
        said = [
            record["name"]
            for record in trained
            if {pair.colour, *words_of(pair.noun)} <= facts(record)
        ]
        assert bool(said) == pair.known, pair
        if not pair.known:
            assert is_held_out(pair.colour, pair.noun)


def test_recoloured_real_pictures_show_the_asked_hue() -> None:
    pairs = colour_pairs(sample())
    pictures = np.stack(list(recoloured(sample(), pairs)))
    assert pictures.shape == (len(pairs), 3, 64, 64)
    assert shows_hue(pictures, [pair.colour for pair in pairs]).mean() > 0.9


def test_the_knowing_encoder_names_the_samples_things() -> None:
    encoder, material = KnowingEncoder(sample()), sample()
    rows = material.plain_rows("train")[:20]
    vectors = encoder.encode_image(material.pictures.pictures[rows])
    names = encoder.encode_text(material.names)
    asked = [name.split()[-1] if "apple" in name else name for name in material.field(rows, "name")]
    plain = [thing for thing in asked if not thing.startswith(("black ", "purple ", "white "))]
    chosen = [i for i, thing in enumerate(asked) if thing in plain]
    assert shows_noun(vectors[chosen], material.names, names, plain).all()
