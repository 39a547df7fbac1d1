"""A small lexicon for tests."""

import json
from pathlib import Path

from safetensors.numpy import save

from undiffuse.clip.lexicon import FORMAT, Candidate, pack_lexicon

KNOWN = ["a", "the", "on", "and", "in", "horse", "dog", "cat", "red", "house", "bear", "elephant",
         "strawberry", "bicycle", "butterfly", "cream", "ice", "hat", "riding", "two", "black",
         "polar", "tea"]  # fmt: skip
NAMES = ["horse", "dog", "cat", "house", "polar bear", "elephant", "strawberry", "bicycle",
         "butterfly", "ice cream", "black cat"]  # fmt: skip
ENGLISH: dict[str, list[Candidate]] = {
    **{name: [Candidate(name, "name")] for name in NAMES},
    "steed": [Candidate("horse", "kind of"), Candidate("dog", "related")],
    "poodle": [Candidate("dog", "kind of")],
    "paws": [Candidate("dog", "keyword")],
    "nanook": [Candidate("polar bear", "synonym")],
    "white bear": [Candidate("polar bear", "synonym")],
    "sitting": [],
    "mariposa": [Candidate("strawberry", "related")],
    "gift": [],
}


RARE = ["mariposa", "gift"]


def words(language: str, **table: str) -> dict[str, dict[str, list[Candidate]]]:
    return {
        word: {language: [Candidate(text.removeprefix("!"), "function word" if text[:1] == "!"
                                    else "name", language)]}
        for word, text in table.items()
    }  # fmt: skip


LANGUAGES: dict[str, dict[str, list[Candidate]]] = (
    words("de", gift="bicycle", hund="dog", katze="cat", rotes="red", haus="house", ein="!",
          und="!and", auf="!on", zwei="!two")
    | words("fr", chat="cat", un="!", et="!and", **{"chauve-souris": "elephant"})
    | words("es", mariposa="butterfly")
    | words("id", teh="tea") | words("ja", 猫="cat", 犬="dog", と="!and")
    | {"chat noir": {"fr": [Candidate("black cat", "name", "fr")]},
       "noir": {"fr": [Candidate("black", "color", "fr")]},
       "rouge": {"fr": [Candidate("red", "color", "fr")]},
       "rose": {"fr": [Candidate("strawberry", "name", "fr"), Candidate("pink", "color", "fr")]}}
)  # fmt: skip


def write_lexicon(path: Path) -> Path:
    """The lexicon as a file."""
    tensors = pack_lexicon([*KNOWN, "chat"], NAMES, ["steed", "poodle"], ENGLISH, LANGUAGES, RARE)
    names = {"de": "German", "fr": "French", "es": "Spanish", "ja": "Japanese", "id": "Indonesian"}
    meta = {"format": FORMAT, "languages": names}
    path.write_bytes(save(tensors, metadata={"undiffuse": json.dumps(meta)}))
    return path
