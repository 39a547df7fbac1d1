"""A few words in the form of WordNet."""

from undiffuse.data.wordnet import WordNet

# Synset -> words, lexicographer file, gloss, its hypernym
SYNSETS = {
    "n1": (["dog", "domestic dog"], "05", "a domesticated mammal", "n2"),
    "n2": (["mammal"], "05", "a warm-blooded animal", ""),
    "n3": (["sword", "blade"], "06", "a cutting weapon with a long blade", "n4"),
    "n4": (["weapon"], "06", "any instrument used in fighting", ""),
    "n5": (["hot dog", "hotdog"], "13", "a frankfurter in a bun", ""),
    "n6": (["apple"], "13", "fruit with red or green skin", ""),
    "n7": (["setting"], "06", "an arrangement of scenery", ""),
    "n8": (["idea"], "09", "the content of thinking", ""),
    "n9": (["cub"], "05", "the young of animals", ""),
    "n10": (["cube"], "06", "a block with six sides", ""),
    "n11": (["house"], "06", "a dwelling", ""),
    "n12": (["chad"], "15", "a country in Africa", "n13"),
    "n13": (["country"], "15", "an area", ""),
    "n14": (["seal"], "06", "a device to close letters", ""),
    "n15": (["seal"], "05", "a marine mammal", "n2"),
    "n16": (["feather"], "05", "the covering of birds", ""),
    "n17": (["cat"], "05", "a feline mammal", "n2"),
    "n18": (["sofa", "couch"], "06", "an upholstered seat", ""),
}  # fmt: skip


def tiny_wordnet() -> WordNet:
    """The database of `SYNSETS`; Chad is an instance, and "mice" an irregular plural."""
    net = WordNet()
    for synset, (words, file, gloss, above) in SYNSETS.items():
        net.words[synset], net.files[synset], net.glosses[synset] = words, file, gloss
        net.links[synset] = [("@i" if words == ["chad"] else "@", above)] if above else []
        for word in words:
            net.senses.setdefault(word, []).append(synset)
    return net
