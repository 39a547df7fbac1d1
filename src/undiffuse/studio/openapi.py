"""The description of the API, OpenAPI 3.1. Limits and choices are those of the loaded model."""

from typing import Any

from undiffuse import __version__
from undiffuse.studio.openapi_schemas import (
    draw_schemas,
    images_schemas,
    shared_schemas,
    tour_schemas,
)

Json = dict[str, Any]
_ERRORS = {
    "400": "A setting is wrong; the message names it.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from another site.",
    "404": "There is nothing of this name.",
    "408": "The body arrived too slowly.",
    "413": "The body is too large.",
    "415": "The body has another type than the endpoint takes.",
    "429": "Too many drawings are waiting; Retry-After has the seconds to wait.",
}
_EVENTS = (
    "Server-sent events, each with JSON in data: queued {position}, step {picture, step, of, "
    "t, picture_share, noise_share, x_t, x0}, picture {picture, file, png, notes, record, "
    "settings, command, python}, and at the end done or error {message}. Pictures are data "
    "URIs. Closing the connection ends the drawing."
)


def openapi_document(model: Json) -> Json:
    """The document for a model, as `model_description` describes it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "undiffuse studio",
            "version": __version__,
            "summary": "Draws pictures from text.",
            "description": (
                f"The model draws {model['size']}x{model['size']} pixels. The same prompt, "
                "settings, seed and index give the same pixels as `undiffuse draw`."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"cookie": []}],
        "paths": _studio_paths() | _tour_paths() | _picture_paths() | _openai_paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "undiffuse_token"},
            },
            "schemas": shared_schemas()
            | draw_schemas(model)
            | tour_schemas()
            | images_schemas(model),
        },
    }


def _studio_paths() -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {"type": "object", "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}}}  # fmt: skip
    token = {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}
    upload = {"image/png": binary, "image/jpeg": binary, "image/webp": binary,
              "multipart/form-data": {"schema": form}}  # fmt: skip
    return {
        "/api/model": {"get": _operation("getModel", "The model's size, styles and limits",
                                         {"200": _json("Model")})},
        "/api/session": {"post": _operation(
            "postSession", "Exchange the token for a cookie", {"204": _empty("The cookie is set")},
            ("400", "401", "403", "408", "413"), body={"application/json": {"schema": token}})},
        "/api/draw": {"post": _operation(
            "postDraw", "Draw, and stream the steps", {"200": _stream(_EVENTS)},
            ("400", "401", "403", "404", "408", "413", "429"), body=_ref("Settings"))},
        "/api/upload": {"post": _operation(
            "postUpload", "Send a picture to draw like, begin with, or use as a mask",
            {"201": _json("Upload")}, ("400", "401", "403", "408", "413", "415"), body=upload)},
        "/api/uploads/{name}": {"get": _operation(
            "getUpload", "An upload as a PNG file", {"200": _files("image/png")},
            ("401", "403", "404"),
            parameters=[_parameter("name", "path", "Name of the file, as 0123456789abcdef.png")])},
        "/api/gallery": {"get": _operation(
            "getGallery", "Pictures, newest first, or nearest to words by CLIP",
            {"200": _json("Gallery")}, ("400", "401", "403"), parameters=[
                _parameter("search", "query", "Words or a sum: man + hat"),
                _parameter("before", "query", "Only pictures older than the one of this name"),
                _parameter("count", "query", "At most so many", kind="integer"),
            ])},
    }  # fmt: skip


def _tour_paths() -> Json:
    errors = ("400", "401", "403", "404", "408", "413", "429")
    streams = {
        "compare": ("Draw up to four settings side by side, in step", "CompareRequest",
                    _EVENTS + " Events have the number of their run."),
        "noise": ("Draw, and add noise to the drawing", "Settings",
                  "Server-sent events: step, as those of /api/draw, at noise levels 0 to 1."),
        "similarities": ("CLIP's cosines of words and pictures", "SimilaritiesRequest",
                         "Server-sent events: word_picture {index, name, png} for each picture "
                         "that is drawn, then matrix {cosines}, a row for each word."),
    }  # fmt: skip
    answers = {
        "nearest": ("The words nearest to a text or a sum", "NearestRequest", "Nearest"),
        "between": ("A prompt between two", "BetweenRequest", "Between"),
        "map": ("A map of words, pictures and prompts", "MapRequest", "Map"),
    }
    return {
        f"/api/{name}": {"post": _operation(
            f"post{name.capitalize()}", summary, {"200": reply}, errors, body=_ref(body))}
        for name, (summary, body, reply) in (
            *((key, (text, body, _stream(reply))) for key, (text, body, reply) in streams.items()),
            *((key, (text, body, _json(reply))) for key, (text, body, reply) in answers.items()),
        )
    }  # fmt: skip


def _picture_paths() -> Json:
    name = _parameter("name", "path", "Name of a picture, as 20261125-101530-0123abcd")
    files = ("image/png", "image/webp", "image/gif", "image/svg+xml")
    return {
        "/api/pictures/{name}": {
            "get": _operation("getPicture", "Record, settings, command line and Python",
                              {"200": _json("Picture")}, ("400", "401", "403", "404"),
                              parameters=[name]),
            "delete": _operation("deletePicture", "Delete a picture",
                                 {"204": _empty("The picture is deleted")},
                                 ("401", "403", "404"), parameters=[name]),
        },
        "/api/pictures/{name}.{suffix}": {"get": _operation(
            "getPictureFile", "A picture as PNG with its record, WebP, SVG, or a GIF of its steps",
            {"200": _files(*files)}, ("400", "401", "403", "404", "429"), parameters=[
                name,
                _parameter("suffix", "path", "The format", choices=["png", "webp", "gif", "svg"]),
                _parameter("signature", "query", "Stands for the token; part of `url` replies"),
            ])},
        "/api/pictures/{name}/replay": {"post": _operation(
            "postReplay", "Draw a picture again and compare the pixels",
            {"200": _stream(_EVENTS + " The picture event also has same and changes.")},
            ("400", "401", "403", "404", "429"), parameters=[name])},
    }  # fmt: skip


def _openai_paths() -> Json:
    streamed = (
        "With `stream`: events `image_generation.partial_image` and `image_generation.completed`."
    )
    reply = {"description": "The pictures. " + streamed, "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Images"}},
        "text/event-stream": {"schema": {"type": "string"}}}}  # fmt: skip
    return {
        "/v1/images/generations": {"post": _operation(
            "postImagesGenerations", "Draw pictures, in the form of OpenAI's API", {"200": reply},
            ("400", "401", "403", "408", "413", "429"), body=_ref("ImagesRequest"))},
        "/v1/models": {"get": _operation("getModels", "The one model", {"200": _json("Models")})},
        "/v1/models/{name}": {"get": _operation(
            "getOneModel", "The one model, under any name", {"200": _json("OneModel")},
            parameters=[_parameter("name", "path", "Any name")])},
        "/openapi.json": {"get": _operation("getOpenapi", "This document", {
            "200": {"description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}}}}, ())},
    }  # fmt: skip


def _operation(
    name: str, summary: str, replies: Json, errors: tuple[str, ...] = ("401", "403"),
    body: Json | None = None, parameters: list[Json] | None = None,
) -> Json:  # fmt: skip
    failed = {
        status: {"description": _ERRORS[status], "content": _ref("Error")} for status in errors
    }
    operation: Json = {"operationId": name, "summary": summary, "responses": replies | failed}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _parameter(
    name: str, place: str, text: str, kind: str = "string", choices: list[str] | None = None
) -> Json:
    schema: Json = {"type": kind} | ({"enum": choices} if choices else {})
    return {"name": name, "in": place, "required": place == "path", "description": text,
            "schema": schema}  # fmt: skip


def _ref(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _json(schema: str) -> Json:
    return {"description": schema, "content": _ref(schema)}


def _stream(text: str) -> Json:
    return {"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}}


def _files(*kinds: str) -> Json:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"description": "The file", "content": dict.fromkeys(kinds, schema)}


def _empty(text: str) -> Json:
    return {"description": text}
