from collections.abc import Sequence

import numpy as np

from tests.evaluation.fakes import ConstantEncoder, random_direction, sample, unit
from undiffuse.data.composites import wearing
from undiffuse.data.picture_set import PictureSet
from undiffuse.evaluation.analogies import (
    Gallery,
    analogies,
    analogy_figures,
    dressed,
    in_style,
    said_in_training,
)
from undiffuse.evaluation.dataset import Material
from undiffuse.evaluation.protocols import Pictures, Vectors

JOBS = (" cook", " judge", " pilot", " with red hair", " with white hair")
NAMES = [f"{who}{what}" for who in ("man", "woman") for what in ("", *JOBS)]
NAMES += [f"{colour} {thing}" for colour in ("red", "blue") for thing in ("heart", "circle")]
STYLES = ("noto", "flat")


def words_of(text: str) -> list[str]:
    return text.replace(",", "").split()


class AddingEncoder:
    """The vector of a text is the sum of its words' directions; that of a picture, of the words of
    what it shows and of its family: analogies hold by construction.
    """

    def __init__(self, material: Material) -> None:
        self.shows = {
            picture.tobytes(): f"{record['name']} {record['tone']} in {record['family']} style"
            for picture, record in zip(
                material.pictures.pictures, material.pictures.records, strict=True
            )
        } | {picture.tobytes(): label for _, label, picture in dressed(material)}

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        return unit(np.stack([sum(map(random_direction, words_of(text))) for text in texts]))

    def encode_image(self, pictures: Pictures) -> Vectors:
        return self.encode_text([self.shows[picture.tobytes()] for picture in pictures])


def small() -> Material:
    """Every name in two families that are trained on and in one that is not; noise for pictures."""
    rng = np.random.default_rng(0)
    families = (*STYLES, "other")
    records = [
        {
            "name": name, "family": family, "tone": "", "group": "people & body",
            "split": "evaluation" if family == "other" else "train",
        }
        for name in NAMES for family in families
    ]  # fmt: skip
    pictures = rng.integers(0, 256, (len(records), 3, 64, 64), np.uint8)
    keys = [str(number) for number in range(len(records))]
    return Material(PictureSet(pictures, records, keys))


def test_cases_are_of_names_that_there_are() -> None:
    kinds = analogies(NAMES, [["cat", "dog"]], STYLES)
    assert ("woman cook", "woman", "man", "man cook") in kinds["man : woman"].cases
    assert len(kinds["professions"].cases) == len(kinds["skin tones"].cases) == 5
    assert ("red heart", "blue heart", "blue circle", "red circle") in kinds["colours"].cases
    hair = ("man with red hair", "man", "woman", "woman with red hair")
    assert hair in kinds["hair"].cases
    hat = (wearing("cat", "cap"), "cat", "dog", wearing("dog", "cap"))
    assert hat in kinds["worn"].cases
    for a, b, c, d in kinds["families"].cases if "families" in kinds else []:
        assert a.split(" in ")[1] == d.split(" in ")[1] != b.split(" in ")[1]
        assert b.split(" in ")[1] == c.split(" in ")[1]
    assert "worn" not in analogies(NAMES)


def test_analogies_hold_where_vectors_add_up() -> None:
    material = small()
    found = {f.name: f for f in analogy_figures(material, AddingEncoder(material))}
    assert found["analogies@5, text"].value == 1.0
    assert found["analogies@1, pictures"].value == 1.0
    assert found["analogies@5, across"].value == 1.0
    assert found["analogies@5, across"].at_least == 0.8
    assert found["analogies@5, across, family never trained on"].value == 1.0
    assert found["analogies@1, text: man : woman"].count == 5


def test_no_analogy_is_found_where_all_is_alike() -> None:
    for figure in analogy_figures(small(), ConstantEncoder()):
        assert figure.value == 0.0, figure.name


def test_heads_are_dressed_in_the_sample() -> None:
    gallery = Gallery.of(sample(), AddingEncoder(sample()))
    labels = [label for family in gallery.rows.values() for label in family]
    assert any(label.endswith(" wearing a cap") or " wearing " in label for label in labels)
    assert gallery.find(("no", "such", "label", "here"), unseen=False) is None


def test_a_case_of_styles_is_sought_in_all_families() -> None:
    material = small()
    gallery = Gallery.of(material, AddingEncoder(material))
    case = tuple(
        in_style(name, style)
        for name, style in (("man", "noto"), ("man", "flat"), ("woman", "flat"), ("woman", "noto"))
    )
    rows, among = gallery.find(case, unseen=False)
    assert rows == [gallery.rows[s][n] for n, s in (
        ("man", "noto"), ("man", "flat"), ("woman", "flat"), ("woman", "noto")
    )]  # fmt: skip
    assert len(among) == len(NAMES) * len(STYLES)


def test_what_was_never_trained_on_is_told_apart() -> None:
    material = small()
    for record in material.pictures.records:
        if record["name"] == "man cook" or (record["name"], record["family"]) == ("man", "noto"):
            record["split"] = "held-out concept"
    assert not {"man cook", in_style("man", "noto")} & said_in_training(material)
    assert {"man", in_style("man", "flat")} <= said_in_training(material)
    encoder = AddingEncoder(material)
    gallery = Gallery.of(material, encoder)
    assert gallery.rows["noto"]["man"] not in gallery.trained
    assert gallery.rows["flat"]["man"] in gallery.trained
    figures = {f.name: f for f in analogy_figures(material, encoder)}
    apart = figures["analogies@1, text: answer never trained on"]
    asked = [d for kind in analogies(NAMES, (), STYLES).values() for *_, d in kind.cases]
    assert apart.count == sum(d == "man cook" or "skin tone" in d for d in asked) == 6
    assert apart.value == 1.0
    assert "analogies@1, across, family never trained on: answer never trained on" not in figures
