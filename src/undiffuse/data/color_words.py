"""Words of ten languages for the colors, which Unicode's names of emoji hardly have."""

from collections.abc import Iterator

from undiffuse.clip.lexicon import COLOR, Candidate

# Language -> the endings of its adjectives, and the words: color:word,word. `-` stands for each
# ending, `?` marks a word that is also a thing, which comes first: "una rosa" is a flower.
COLOR_WORDS = {
    "de": (" e er es en em", "red:rot- orange:orangefarben- yellow:gelb- green:grün- blue:blau- "
           "purple:lila,violett- pink:rosa,rosafarben- brown:braun- black:schwarz- "
           "white:weiß-,weiss- grey:grau-"),
    "fr": (" s e es", "red:rouge,rouges orange:orange? yellow:jaune,jaunes green:vert- blue:bleu- "
           "purple:violet,violets,violette?,violettes?,mauve,mauves pink:rose?,roses? "
           "brown:marron,marrons?,brun- black:noir- white:blanc,blancs,blanche,blanches "
           "grey:gris,grise,grises"),
    "es": ("o a os as", "red:roj- orange:naranja?,anaranjad- yellow:amarill- green:verde,verdes "
           "blue:azul,azules purple:morad-,púrpura pink:rosa?,rosad- brown:marrón,marrones "
           "black:negr- white:blanc- grey:gris,grises"),
    "it": ("o a i e", "red:ross- orange:arancione,arancioni yellow:giall- green:verde,verdi "
           "blue:blu,azzurr- purple:viola pink:rosa? brown:marrone,marroni black:ner- "
           "white:bianco,bianca,bianchi,bianche grey:grigio,grigia,grigi,grigie"),
    "pt": ("o a os as", "red:vermelh- orange:laranja? yellow:amarel- green:verde,verdes "
           "blue:azul,azuis purple:rox- pink:rosa?,cor-de-rosa brown:marrom,marrons,castanh- "
           "black:pret- white:branc- grey:cinza,cinzent-"),
    "nl": (" e", "red:rood,rode orange:oranje yellow:geel,gele green:groen- blue:blauw- "
           "purple:paars- pink:roze brown:bruin- black:zwart- white:wit,witte grey:grijs,grijze"),
    "pl": ("y a e ego ej ym ą", "red:czerwon- orange:pomarańczow- yellow:żółt- green:zielon- "
           "blue:niebieski,niebieska,niebieskie,niebieskiego,niebieskiej,niebieską "
           "purple:fioletow- pink:różow- brown:brązow- black:czarn- white:biał- grey:szar-"),
    "ru": ("ый ая ое ые ого ой ую", "red:красн- orange:оранжев- yellow:жёлт-,желт- "
           "green:зелён-,зелен- blue:синий,синяя,синее,синие,синего,синей,синюю,голуб- "
           "purple:фиолетов- pink:розов- brown:коричнев- black:чёрн-,черн- white:бел- "
           "grey:сер-"),
    "zh": ("", "red:红,红色 orange:橙色 yellow:黄,黄色 green:绿,绿色 blue:蓝,蓝色 purple:紫,紫色 "
           "pink:粉色,粉红色 brown:棕色,褐色 black:黑,黑色 white:白,白色 grey:灰,灰色"),
    "ja": ("", "red:赤,赤い,赤色 yellow:黄色,黄色い green:緑,緑色 blue:青,青い,青色 purple:紫,紫色 "
           "pink:ピンク,ピンク色 brown:茶色,茶色い black:黒,黒い white:白,白い grey:灰色"),
}  # fmt: skip


def color_words() -> Iterator[tuple[str, str, Candidate, bool]]:
    """(language, word, candidate, whether the word is a thing as well) of `COLOR_WORDS`."""
    for language, (endings, listed) in COLOR_WORDS.items():
        for item in listed.split():
            color, _, words = item.partition(":")
            for word in words.split(","):
                is_thing, word = word.endswith("?"), word.removesuffix("?")
                stem, forms = word.removesuffix("-"), [""]
                if word.endswith("-"):
                    forms = endings.split(" ")
                for form in forms:
                    yield language, stem + form, Candidate(color, COLOR, language), is_thing
