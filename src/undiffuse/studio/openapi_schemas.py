"""The schemas of the API's bodies, JSON Schema 2020-12."""

from typing import Any

from undiffuse.imaging.png import MAX_SCALE

Json = dict[str, Any]


def draw_schemas(model: Json) -> Json:
    """`Settings`, with the limits of a model as `model_description` describes it."""

    def number(name: str, text: str, kind: str = "number") -> Json:
        low, high = model["limits"][name]
        field: Json = {"type": [kind, "null"], "description": text, "minimum": low, "maximum": high}
        return field | ({"default": default[name]} if name in default else {})

    default, upload = (
        model["defaults"],
        {"type": "string", "pattern": r"^uploads/[0-9a-f]{16}\.png$"},
    )
    longest = model["limits"]["prompt"]
    properties: Json = {
        "prompt": {"type": "string", "maxLength": longest, "description":
                   "A text or a sum, as man + 0.8 hat; empty for a random picture"},
        "negative": {"type": "string", "maxLength": longest, "description": "To steer away from"},
        "style": {"type": ["string", "null"], "enum": [*model["styles"], "", None],
                  "description": f"null for the default, {default['style']}; empty for none"},
        "style_strength": number("style_strength", "How much more style the last steps get"),
        "color_strength": number("color_strength", "How much more color the last steps get"),
        "seed": number("seed", "The seed", "integer"),
        "index": number("index", "Index of the first picture of the seed", "integer"),
        "count": number("count", "Pictures, with successive indices", "integer"),
        "steps": number("steps", "Denoising steps", "integer"),
        "sampler": {"type": ["string", "null"], "enum": [*model["samplers"], None]},
        "guidance": number("guidance", "Scale of classifier-free guidance; 1 is off"),
        "freshness": number("freshness", "Share of new noise at each step; of "
                            + " and ".join(model["freshness"])),
        "size": {"type": ["integer", "null"], "enum": [*model["sizes"], None],
                 "description": "Side in pixels"},
        "like": {"type": "array", "items": upload, "maxItems": model["limits"]["like"],
                 "description": "Uploads whose CLIP vectors are added to the prompt's"},
        "init": {**upload, "type": ["string", "null"], "description": "Upload to begin with"},
        "strength": number("strength", "Share of init that noise replaces"),
        "mask": {**upload, "type": ["string", "null"],
                 "description": "Upload: white parts of init are drawn"},
        "compose": {"type": ["boolean", "null"], "description":
                    "Draw several things of a prompt apart and compose them; null: if possible"},
        "fast": {"type": ["boolean", "null"], "description":
                 "Draw in few steps without guidance; null: if nothing else is asked for"},
        "candidates": number("candidates", "Drawings of each picture, of which CLIP keeps one",
                             "integer"),
        "keep": {"type": "boolean", "default": True, "description": "Keep it in the gallery"},
    }  # fmt: skip
    return {"Settings": {"type": "object", "properties": properties, "additionalProperties": False}}


def images_schemas(model: Json) -> Json:
    """The bodies of /v1, as OpenAI's clients send and expect them."""
    side = model["size"]
    sides = [side * scale for scale in range(1, MAX_SCALE + 1) if side * scale <= 1024]
    properties: Json = {
        "prompt": {"type": "string", "maxLength": model["limits"]["prompt"]},
        "model": {"type": "string", "description": "Any name: there is one model"},
        "n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
        "size": {"type": "string", "enum": ["auto", *(f"{one}x{one}" for one in sides)]},
        "response_format": {"type": "string", "enum": ["b64_json", "url"], "default": "b64_json"},
        "output_format": {"type": "string", "enum": ["png", "webp", "jpeg"], "default": "png"},
        "stream": {"type": "boolean", "default": False},
        "partial_images": {"type": "integer", "minimum": 0, "maximum": 3, "default": 0},
        "user": {"type": "string", "description": "Names who takes turns with others"},
        "seed": {"type": "integer", "minimum": 0, "description": "Random if it is missing"},
        **{name: {"$ref": f"#/components/schemas/Settings/properties/{name}"}
           for name in ("negative", "steps", "sampler", "guidance", "freshness", "style_strength",
                        "color_strength")},
    }  # fmt: skip
    image = {"type": "object", "properties": {
        "b64_json": {"type": "string"}, "url": {"type": "string", "format": "uri"}}}  # fmt: skip
    one_model = {"type": "object", "properties": {
        name: {"type": "integer" if name == "created" else "string"}
        for name in ("id", "object", "created", "owned_by")}}  # fmt: skip
    return {
        "ImagesRequest": {"type": "object", "required": ["prompt"], "properties": properties},
        "Images": _object(created="integer", data=image, usage="object", output_format="string",
                          background="string"),
        "OneModel": one_model,
        "Models": _object(object="string", data={"$ref": "#/components/schemas/OneModel"}),
    }  # fmt: skip


def tour_schemas() -> Json:
    """The bodies of the guided tour's endpoints."""
    row = {"type": "array", "description": "x, y in [-1, 1], and a word or a picture's name"}
    return {
        "CompareRequest": _object(runs={"$ref": "#/components/schemas/Settings"}),
        "SimilaritiesRequest": _object(
            words={"type": "string"},
            pictures={"type": ["string", "null"], "description": "null draws the word"}),
        "NearestRequest": _object(prompt="string"),
        "Nearest": _object(words=_object(text="string", cosine="number")),
        "BetweenRequest": _object(one="string", other="string", share="number"),
        "Between": _object(prompt="string"),
        "MapRequest": _object(prompts={"type": "string"}),
        "Map": _object(words=row, pictures=row, prompts={"type": "object"}),
    }  # fmt: skip


def shared_schemas() -> Json:
    """The other bodies."""
    row = _object(name="string", url="string", prompt="string")
    row["properties"]["cosine"] = {"type": "number"}
    error = _object(message="string", type="string")
    error["properties"] |= {"param": {"type": ["string", "null"]},
                            "code": {"type": ["string", "null"]}}  # fmt: skip
    return {
        "Error": {"type": "object", "required": ["error"], "properties": {"error": error}},
        "Upload": _object(name="string", url="string"),
        "Gallery": _object(pictures=row),
        "Picture": _object(name="string", record="object", settings="object", command="string",
                           python="string"),
        "Model": _object(
            name="string", hash="string", size="integer", channels="integer", scale="integer",
            composes="boolean", fast="boolean", styles={"type": "string"},
            samplers={"type": "string"}, files={"type": "string"},
            schedule="string", defaults="object", limits="object", freshness="object",
            sizes={"type": "integer"}),
    }  # fmt: skip


def _object(**properties: str | Json) -> Json:
    """An object with required properties: a type's name, or the schema of a list's items."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": {
            name: {"type": kind} if isinstance(kind, str) else {"type": "array", "items": kind}
            for name, kind in properties.items()
        },
    }
