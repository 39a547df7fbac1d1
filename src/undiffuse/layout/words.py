"""The English words that tell where things are, how many there are, and what surrounds them."""

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ARTICLES = frozenset({"a", "an", "the", "some", "my", "your", "his", "her", "its", "our", "their"})
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"
NUMBERS = {word: number for number, word in enumerate(_NUMBERS.split(), start=1)} | {
    str(number): number for number in range(1, 13)
}
SIZES = {"small": 0.6, "tiny": 0.45, "little": 0.6, "big": 1.0, "large": 1.0, "huge": 1.0,
         "giant": 1.0}  # word -> share of the place that the thing fills  # fmt: skip

# Phrase -> relation. The first thing is in that relation to the second.
RELATIONS: dict[tuple[str, ...], str] = {
    tuple(phrase.split()): relation
    for relation, phrases in {
        "left of": ("left of", "to the left of", "on the left of", "on the left side of"),
        "right of": ("right of", "to the right of", "on the right of", "on the right side of"),
        "above": ("above", "over", "high above"),
        "on": ("on", "on top of", "upon", "onto", "atop"),
        "below": ("below", "under", "beneath", "underneath"),
        "in front of": ("in front of", "before"),
        "behind": ("behind", "in back of"),
        "beside": ("beside", "next to", "near", "by", "alongside", "close to", "opposite"),
        "between": ("between", "in between"),
        "in": ("in", "inside", "inside of", "into"),
    }.items()
    for phrase in phrases
}
LONGEST_RELATION = max(map(len, RELATIONS))
ACTION, HOLDING = "with", "holding"
# A verb in -ing with an object -> relation; others are an `ACTION`.
VERBS = {"riding": "on", "holding": HOLDING, "carrying": HOLDING, "lifting": HOLDING,
         "eating": HOLDING, "drinking": HOLDING, "reading": HOLDING, "playing": HOLDING,
         "climbing": "on", "driving": "in", "chasing": "beside", "following": "beside"}  # fmt: skip
PARTICLES = frozenset({"at", "to", "with", "for", "from", "up", "down", "off", "after", "towards",
                       "toward", "around", "through", "across", "out", "of"})  # fmt: skip
# What is worn, or is a part of who has it, is drawn by the network in one picture.
WHOLE = frozenset({"wearing", "having", "being", "looking"})
POSTURES = frozenset({"is", "are", "was", "sitting", "standing", "lying", "laying", "resting",
                      "floating", "hanging", "hiding", "placed"})  # fmt: skip
NO_VERBS = _set(
    "king ring wing string thing sling swing spring ceiling building earring wedding dumpling "
    "duckling pudding painting evening morning viking lightning clothing railing"
)
# "in" puts a thing into these; "a man in a suit" and "a bird in the sky" are drawn whole.
CONTAINERS = _set(
    "box basket cup mug glass bowl pot vase cage bag bucket jar tub bathtub bed boat canoe "
    "ship car bus truck train rocket airplane helicopter nest house shoe boot hat chair "
    "armchair sofa couch cart stroller wheelbarrow mailbox saucer ufo taxi van tractor sled crib "
    "cradle envelope tent pan"
)
PRONOUNS = frozenset({"it", "him", "her", "them", "itself", "us", "me", "you"})
# "with" stands between one of these and a thing of its own, "a rabbit with a carrot". What others
# have is a part of them, "a tree with apples".
OWNERS = _set(
    "man woman boy girl child kid baby person lady guy lad friend teacher doctor nurse cook chef "
    "farmer pirate wizard witch mage king queen prince princess knight soldier guard police "
    "firefighter astronaut clown dancer artist painter scientist student judge pilot mechanic "
    "singer detective ninja elf fairy vampire zombie genie mermaid santa angel devil monster robot "
    "alien ghost snowman dog puppy cat kitten kitty horse pony donkey cow ox bull goat sheep lamb "
    "ram pig piglet mouse rat hamster rabbit bunny squirrel hedgehog bat bear panda koala tiger "
    "lion leopard wolf fox raccoon monkey ape gorilla orangutan elephant rhino hippo giraffe zebra "
    "camel llama kangaroo badger beaver otter skunk sloth deer moose bison boar unicorn dragon "
    "dinosaur chicken hen rooster chick duck goose swan eagle owl parrot penguin peacock flamingo "
    "dodo turkey bird crow pigeon frog toad turtle lizard snake crocodile whale dolphin seal fish "
    "shark octopus crab lobster snail bee ant beetle ladybug spider scorpion butterfly caterpillar"
)
# What they wear or are made of, and what is no thing beside them.
WORN = _set(
    "hat cap crown helmet hood mask glasses sunglasses goggles monocle beard mustache moustache "
    "hair mane braid wig scarf tie bow ribbon collar shirt dress coat jacket suit pants jeans "
    "skirt sweater vest cape robe apron glove gloves sock socks shoe shoes boot boots belt watch "
    "ring earring earrings necklace jewelry makeup tattoo face head eye eyes ear ears nose mouth "
    "lip lips tooth teeth tongue horn horns antler antlers wing wings tail paw paws claw claws leg "
    "uniform tuxedo costume pajamas kimono sari "
    "legs arm arms hand hands feather feathers fur skin stripe stripes spot spots dot dots tear "
    "tears smile grin halo shell trunk beak fin fins scales spikes color colors "
    "laughter joy love anger fear background backdrop ground"
)
# Places without an outline: what is on or in them is drawn whole, "a boat on the water".
PLACES = _set(
    "water sea ocean lake river ice ground floor road street wall air sky space land world "
    "background"
)
# What begins to say more of a thing that was named before: "a penguin | that can't swim".
FURTHER = _set(
    "in on at from for during after before under over above below near beside behind by into onto "
    "through across against along around inside outside towards toward until since beneath within "
    "that which who whose where when while made lost built kept left seen"
)
COLORS = _set(
    "red orange yellow green blue purple pink brown black white grey gray gold golden silver "
    "turquoise cyan magenta violet beige"
)
NO_THING = (  # words that name none
    ARTICLES | NUMBERS.keys() | SIZES.keys() | POSTURES | WHOLE | PARTICLES | VERBS.keys()
    | {word for phrase in RELATIONS for word in phrase}
    | {"and", "or", "not", "no", "with", "without", "very", "it", "this", "that", "side"} | COLORS
    | {"light", "medium-light", "medium", "medium-dark", "dark", "skin", "tone"}
)  # fmt: skip

# Ground -> how it is said, at the end of a prompt or at its beginning.
_THE = r"(?:the |a |an )?"
GROUND_PATTERNS = {
    ground: re.compile(
        rf"(?:(?:{said})\b,? +(?P<after>.+)|(?P<before>.+?),? +(?:{said}))", re.I | re.S
    )
    for ground, said in {
        "snow": rf"(?:in|on) {_THE}snow",
        "grass": rf"(?:in|on) {_THE}(?:green )?(?:grass|meadow|lawn|field)",
        "beach": rf"(?:on|at) {_THE}beach",
        "night": rf"(?:at|by|in the) night|under (?:the )?stars|under {_THE}(?:starry|night) sky",
        "hill": rf"on (?:top of )?{_THE}(?:green )?hill",
        "desert": rf"in {_THE}desert",
        "rain": r"in (?:the )?rain|on a rainy day",
        "sunset": rf"(?:at|in) {_THE}(?:sunset|dusk)",
    }.items()
}

IRREGULAR = {
    "mice": "mouse", "geese": "goose", "teeth": "tooth", "feet": "foot", "men": "man",
    "women": "woman", "children": "child", "people": "person", "oxen": "ox", "leaves": "leaf",
    "loaves": "loaf", "knives": "knife", "wolves": "wolf", "shelves": "shelf", "calves": "calf",
    "fish": "fish", "sheep": "sheep", "deer": "deer", "cacti": "cactus", "scarves": "scarf",
    "potatoes": "potato", "tomatoes": "tomato", "halves": "half", "lives": "life",
}  # fmt: skip
_ENDINGS = (("ies", "y"), ("s", ""), ("es", ""))


def singular(word: str, known: frozenset[str]) -> str:
    """The singular of a noun: the stem that is known, otherwise the regular one."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if not word.endswith("s") or word.endswith("ss") or len(word) < 4:
        return word
    stems = [word.removesuffix(ending) + new for ending, new in _ENDINGS if word.endswith(ending)]
    return next((stem for stem in stems if stem in known), word if word in known else stems[-1])
