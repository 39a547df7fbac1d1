"""Words by which icons' names are judged."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Endings that name a variant of the drawing and not the thing.
VARIANTS = _words("""
    outline outlined fill filled solid regular bold light thin duo duotone line linear twotone alt
    alternate icon symbol one two three four five six seven eight glyph sharp rounded flat color
    colored rtl ltr 3d
""")
# Of user interfaces, brands, money, flags: a name with one of them is left out.
CLUTTER = _words("""
    arrow arrows chevron chevrons caret carets setting settings cog cogs off plus minus check
    checked checkmark remove delete add edit cancel close closed sync refresh upload download
    export import share shared save search zoom undo redo menu align alignment layout text font
    file files folder folders document documents doc docs letter letters number numbers brand logo
    flag flags coin coins currency dollar dollars euro yen pound ruble rupee bitcoin cent ethereum
    crypto nft usb wifi bluetooth signal toggle slider sliders cursor pointer filter filters sort
    row column cell chart charts graph pie analytics dashboard widget ui ux api app apps web www
    url http html css javascript json xml pdf jpg png gif svg mp3 csv zip sql code coding git
    github gitlab terminal console server database data binary variable login logout user users
    account accounts profile avatar password notification notifications badge tag tags label
    labels bookmark bookmarks archive inbox outbox send reply forward backward rewind play pause
    stop record eject shuffle repeat loop mute unmute volume left right up down top bottom center
    middle horizontal vertical corner corners direction directions circle square rectangle
    triangle hexagon pentagon octagon rhombus ellipse polygon shape shapes crop resize expand
    compress collapse rotate flip blur opacity transparency contrast brightness exposure gradient
    vector layer layers pixel alert warning error info help question exclamation cross xmark
    loading loader spinner progress more less equal equals hash hashtag at percent percentage
    divide multiply plugin extension ai chatgpt openai copilot gemini claude bot google facebook
    twitter instagram youtube tiktok linkedin whatsapp telegram slack discord android ios macos
    linux ubuntu debian windows microsoft amazon aws azure docker kubernetes firefox chrome safari
    edge opera java python ruby php rust swift kotlin golang node react angular vue svelte
    bootstrap tailwind figma sketch adobe photoshop illustrator paypal stripe visa mastercard
    yahoo blogger reddit pinterest snapchat spotify netflix disney pokemon pokeball nintendo
    playstation xbox steam lego ikea tesla uber airbnb ipod ipad iphone imac macbook airpods
    kindle nike adidas starbucks superman batman deadpool darth vader stormtrooper minion mickey
    simpson homer spiderman ironman hulk avengers yoda r2d2 nra usa america africa asia europe
    australia belgium maine texas aries taurus virgo libra scorpio sagittarius capricorn aquarius
    pisces zodiac mars venus male female transgender gender gay lesbian nazi swastika reich porn
    sex sexual anus
""")
# Concrete in WordNet's most common sense, but not in that of icons.
NOT_ALONE = _words("""
    mouse
    table track exit entrance frame window tab bar bars screen picture image photo panel strip
    surface field area zone system device post feed bin wash dry drag tip hold back front body
    head board block container segment diagram joint structure section border more neutral invalid
    open round small vip ok light color colors can die fax tube terminal target button counter
    widget route stream exchange center dot dots point points pin marker link chip delta node
    branch commit merge pull request line grab view lap lead launch landing draw drawing duplicate
    remote upgrade unknown origin north south east west combine browser pressure position shrink
    swap crack it me or io il lin mp sd id lan midi gps uv cpu card cards print stack stacks base
    mode access auto custom basic single double half full empty new old big large long short high
    low good bad live lift turn run jump clone trace object objects thing things item items kit
    set collection group part parts piece pieces side edge end start begin finish medium
""")
# The head noun of a name stands before them.
PREPOSITIONS = _words("""
    in on with without of and at under over above below beside near by from to for into onto
    wearing holding carrying behind between inside around through against facing
""")
