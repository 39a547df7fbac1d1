"""Emoji names: from Unicode's labels to readable names and to the names in the icon sets."""

from hypothesis import given
from hypothesis import strategies as st

from undiffuse.data.emoji_names import (
    TONES,
    icon_names,
    normalize_code,
    read_emojibase,
    readable_name,
    slugify,
)


def test_labels_become_readable_names() -> None:
    cases = {
        "red apple": "red apple",
        "man: curly hair": "man with curly hair",
        "man: beard": "man with beard",
        "woman: light skin tone, red hair": "woman with light skin tone, red hair",
        "flag: Åland Islands": "flag of åland islands",
        "Japanese “bargain” button": 'japanese "bargain" button',
        "woman’s hat": "woman's hat",
        "keycap: #": "keycap #",
        "cook: dark skin tone": "cook dark skin tone",
    }
    for label, text in cases.items():
        assert readable_name(label) == text


def test_labels_become_slugs_of_the_icon_sets() -> None:
    cases = {
        "red apple": "red-apple",
        "piñata": "pinata",
        "flag: St. Kitts & Nevis": "flag-st-kitts-and-nevis",
        "flag: Côte d’Ivoire": "flag-cote-divoire",
        "twelve o’clock": "twelve-oclock",
        "A button (blood type)": "a-button-blood-type",
        "man: light skin tone, curly hair": "man-light-skin-tone-curly-hair",
    }
    for label, name in cases.items():
        assert slugify(label) == name


@given(st.text())
def test_a_slug_is_a_file_name(label: str) -> None:
    name = slugify(label)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name == name.strip("-")
    assert "--" not in name


def test_icon_names_hold_the_spelling_of_every_icon_set() -> None:
    cases = {
        "red apple": "red-apple",
        "cook: dark skin tone": "cook-dark",
        "woman: blond hair": "blond-haired-woman",
        "person: dark skin tone, blond hair": "blond-haired-person-blond-hair",
        "man: blond hair": "man-blonde-hair",
        "flag: Greenland": "flag-for-greenland",
        "deaf man: medium skin tone": "man-deaf-medium-skin-tone",
        "deaf woman": "woman-deaf",
        "men with bunny ears": "man-with-bunny-ears",
        "women wrestling": "woman-wrestling",
        "bullseye": "direct-hit",
        "bear": "bear-face",
        "A button (blood type)": "a-button",
        "curly hair": "person-curly-hair",
    }
    for label, spelling in cases.items():
        names = list(icon_names(label))
        assert names[0] == slugify(label)  # the most common first
        assert spelling in names


def test_codes_lose_their_variation_selectors() -> None:
    cases = {
        "1F34E": "1f34e",
        "2764-FE0F": "2764",
        "1F468-200D-2764-FE0F-200D-1F468": "1f468-200d-2764-200d-1f468",
        "0023-FE0F-20E3": "0023-20e3",
    }
    for code, normal in cases.items():
        assert normalize_code(code) == normal


def test_every_skin_tone_is_a_row_and_couples_are_left_out() -> None:
    entries = [
        {"hexcode": "1F1E6", "label": "regional indicator A"},
        {
            "hexcode": "1F9D4-FE0F", "label": "person: beard", "group": 1, "subgroup": 2,
            "tags": ["bearded"],
            "skins": [
                {"hexcode": "1F9D4-1F3FB", "label": "person: light skin tone, beard", "tone": 1},
                {"hexcode": "1F9D4-1F3FF", "label": "person: dark skin tone, beard", "tone": 5},
            ],
        },
        {
            "hexcode": "1F46D", "label": "women holding hands", "group": 1, "subgroup": 2,
            "skins": [{"hexcode": "1F46D-X", "label": "two tones", "tone": [1, 5]}],
        },
    ]  # fmt: skip
    messages = {
        "groups": [{"order": 1, "message": "people & body"}],
        "subgroups": [{"order": 2, "message": "person"}],
    }
    rows = read_emojibase(entries, messages)
    assert [row.code for row in rows] == ["1f9d4", "1f9d4-1f3fb", "1f9d4-1f3ff", "1f46d"]
    assert [TONES[row.tone] for row in rows] == ["", "light skin tone", "dark skin tone", ""]
    assert {row.concept for row in rows[:3]} == {"1f9d4"}
    assert {row.name for row in rows[:3]} == {"person with beard"}  # without the tone
    assert rows[2].label == "person: dark skin tone, beard"
    assert (rows[0].group, rows[0].subgroup) == ("people & body", "person")
    assert (rows[0].keywords, rows[3].keywords) == (("bearded",), ())
