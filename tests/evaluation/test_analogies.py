from collections.abc import Sequence

import numpy as np

from tests.evaluation.fakes import ConstantEncoder, random_direction, sample, unit
from undiffuse.data.composites import wearing
from undiffuse.data.picture_set import PictureSet
from undiffuse.evaluation.analogies import (
    Gallery,
    build_analogies,
    evaluate_analogies,
    heads_with_accessories,
    name_in_style,
    training_labels,
)
from undiffuse.evaluation.dataset import EvaluationData
from undiffuse.evaluation.protocols import Pictures, Vectors

ENDINGS = (" cook", " judge", " pilot", " with red hair", " with white hair")
NAMES = [f"{who}{what}" for who in ("man", "woman") for what in ("", *ENDINGS)]
NAMES += [f"{color} {thing}" for color in ("red", "blue") for thing in ("heart", "circle")]
STYLES = ("noto", "flat")


def content_words(text: str) -> list[str]:
    return text.replace(",", "").split()


class AddingEncoder:
    """The vector of a text is the sum of its words' directions, that of a picture the sum of its
    label's and style's words. Analogies hold by construction.
    """

    def __init__(self, data: EvaluationData) -> None:
        self.shows = {
            picture.tobytes(): f"{record['name']} {record['tone']} in {record['family']} style"
            for picture, record in zip(data.pictures.pictures, data.pictures.records, strict=True)
        } | {picture.tobytes(): label for _, label, picture in heads_with_accessories(data)}

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        return unit(np.stack([sum(map(random_direction, content_words(text))) for text in texts]))

    def encode_image(self, pictures: Pictures) -> Vectors:
        return self.encode_text([self.shows[picture.tobytes()] for picture in pictures])


def small() -> EvaluationData:
    """Every name in two trained styles and in one that is never trained on; pictures of noise."""
    rng = np.random.default_rng(0)
    styles = (*STYLES, "other")
    records = [
        {
            "name": name, "family": style, "tone": "", "group": "people & body",
            "split": "evaluation" if style == "other" else "train",
        }
        for name in NAMES for style in styles
    ]  # fmt: skip
    pictures = rng.integers(0, 256, (len(records), 3, 64, 64), np.uint8)
    keys = [str(number) for number in range(len(records))]
    return EvaluationData(PictureSet(pictures, records, keys))


def test_cases_are_built_from_the_names() -> None:
    kinds = build_analogies(NAMES, [["cat", "dog"]], STYLES)
    assert ("woman cook", "woman", "man", "man cook") in kinds["man : woman"].cases
    assert len(kinds["professions"].cases) == len(kinds["skin tones"].cases) == 5
    assert ("red heart", "blue heart", "blue circle", "red circle") in kinds["colors"].cases
    hair = ("man with red hair", "man", "woman", "woman with red hair")
    assert hair in kinds["hair"].cases
    hat = (wearing("cat", "cap"), "cat", "dog", wearing("dog", "cap"))
    assert hat in kinds["worn objects"].cases
    for a, b, c, d in kinds["styles"].cases if "styles" in kinds else []:
        assert a.split(" in ")[1] == d.split(" in ")[1] != b.split(" in ")[1]
        assert b.split(" in ")[1] == c.split(" in ")[1]
    assert "worn objects" not in build_analogies(NAMES)


def test_analogies_hold_for_vectors_that_add_up() -> None:
    data = small()
    found = {f.name: f for f in evaluate_analogies(data, AddingEncoder(data))}
    assert found["analogies, text: top-5 accuracy"].value == 1.0
    assert found["analogies, pictures: top-1 accuracy"].value == 1.0
    assert found["analogies, across: top-5 accuracy"].value == 1.0
    assert found["analogies, across: top-5 accuracy"].at_least == 0.8
    assert found["analogies, across, style never trained on: top-5 accuracy"].value == 1.0
    assert found["analogies, text, man : woman: top-1 accuracy"].count == 5


def test_a_constant_encoder_finds_no_analogy() -> None:
    for figure in evaluate_analogies(small(), ConstantEncoder()):
        assert figure.value == 0.0, figure.name


def test_heads_with_accessories_are_in_the_gallery() -> None:
    gallery = Gallery.of_pictures(sample(), AddingEncoder(sample()))
    labels = [label for style in gallery.rows.values() for label in style]
    assert any(label.endswith(" wearing a cap") or " wearing " in label for label in labels)
    assert gallery.find(("no", "such", "label", "here"), unseen=False) is None


def test_the_answer_of_a_style_analogy_is_searched_in_all_styles() -> None:
    data = small()
    gallery = Gallery.of_pictures(data, AddingEncoder(data))
    case = tuple(
        name_in_style(name, style)
        for name, style in (("man", "noto"), ("man", "flat"), ("woman", "flat"), ("woman", "noto"))
    )
    rows, among = gallery.find(case, unseen=False)
    assert rows == [gallery.rows[s][n] for n, s in (
        ("man", "noto"), ("man", "flat"), ("woman", "flat"), ("woman", "noto")
    )]  # fmt: skip
    assert len(among) == len(NAMES) * len(STYLES)


def test_answers_that_are_not_trained_on_are_reported_apart() -> None:
    data = small()
    for record in data.pictures.records:
        if record["name"] == "man cook" or (record["name"], record["family"]) == ("man", "noto"):
            record["split"] = "held-out concept"
    assert not {"man cook", name_in_style("man", "noto")} & training_labels(data)
    assert {"man", name_in_style("man", "flat")} <= training_labels(data)
    encoder = AddingEncoder(data)
    gallery = Gallery.of_pictures(data, encoder)
    assert gallery.rows["noto"]["man"] not in gallery.trained
    assert gallery.rows["flat"]["man"] in gallery.trained
    figures = {f.name: f for f in evaluate_analogies(data, encoder)}
    apart = figures["analogies, text, answer never trained on: top-1 accuracy"]
    asked = [d for kind in build_analogies(NAMES, (), STYLES).values() for *_, d in kind.cases]
    assert apart.count == sum(d == "man cook" or "skin tone" in d for d in asked) == 6
    assert apart.value == 1.0
    both = "analogies, across, style never trained on, answer never trained on: top-1 accuracy"
    assert both not in figures
