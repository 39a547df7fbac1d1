"""The browser's own prompts and sums give what Python's give."""

from typing import Any

import numpy as np

from tests.studio.javascript import needs_node, run_module
from undiffuse.explore.expression import parse_expression
from undiffuse.layout.words import COLORS
from undiffuse.pipeline.prompt import NO_NOUN, interpolate_prompts, parse_prompt

pytestmark = needs_node
PROMPTS: list[tuple[str, str, bool]] = [
    ("cat", "noto", True), ("cat in noto style", "twemoji", True), ("", "noto", True),
    ("man + 0.8*hat - beard", "noto", False), ('"a - b" + 2*cat', "", False),
    ("flat cat", "", False), ("flat style cat", "noto", True), ("- beard + man", "", False),
    (".5 cat + x.png", "noto", True),
    ("cat in noto style - dog in noto style", "noto", False), ("Cat IN Noto STYLE", "", False),
    ("cat in noto style - dog", "noto", False), ("emojionecat", "noto", False),
    ("a Blue  banana", "noto", True), ("an orange and a pear", "noto", True),
    ("an orange in noto style", "", False), ("red and white fish", "", False),
    ("green cat + red hat", "noto", True), ("éred cat", "", False), ("red éclair", "", False),
]  # fmt: skip


def test_prompts_are_parsed_and_changed_as_in_python() -> None:
    styles = ("noto", "twemoji", "flat", "emojione")
    body = """
      const { ColorWords, parsePrompt, interpolate, expressionOf } = await load("prompt");
      const colors = new ColorWords(data);
      const { combine, norm } = await load("arrays");
      const encode = async ({ text }) => {
        const raw = Float32Array.from({ length: 8 }, (_, k) => (text.charCodeAt(k % text.length)
          * (k + 3)) % 17 - 8);
        return combine([1 / norm(raw), raw]);
      };
      const away = parsePrompt("red", { styles: data.styles, style: "noto" });
      const parsed = [];
      for (const [text, style, styleRequested] of data.prompts) {
        const one = parsePrompt(text, { styles: data.styles, style, styleRequested,
          like: text === "cat" ? ["y.png"] : [] });
        const { terms, unstyled, sentence, notes, styleRequested: asked } = one;
        const sum = one.subtract(away, 0.7);
        const late = { style: 1.5, color: 0.5, colorless: sum.colorless(colors) };
        parsed.push({ terms, unstyled, sentence, asked, style: one.style, notes: notes.length,
          text: one.text, vector: terms.length ? [...await sum.embed(encode, late)] : [],
          expression: terms.length ? expressionOf(terms) : "" });
      }
      return [parsed, await interpolate("cat", "man + 0.5*hat", 0.35, encode)];
    """
    parsed, between = run_module(body, {
        "prompts": PROMPTS, "styles": styles, "colors": sorted(COLORS), "no_nouns": sorted(NO_NOUN),
    })  # fmt: skip

    def encode(term: Any) -> Any:
        codes = [ord(term.text[k % len(term.text)]) for k in range(8)]
        raw = np.float32([(code * (k + 3)) % 17 - 8 for k, code in enumerate(codes)])
        return raw / np.linalg.norm(raw)

    away = parse_prompt("red", "noto", styles=styles)
    for (text, style, requested), found in zip(PROMPTS, parsed, strict=True):
        like = ["y.png"] if text == "cat" else []
        wanted = parse_prompt(text, style, style_requested=requested, like=like, styles=styles)
        for name in ("terms", "unstyled"):
            theirs = [(one["weight"], one["text"], one["isPicture"]) for one in found[name]]
            assert theirs == [
                (one.weight, one.text, one.is_picture) for one in getattr(wanted, name)
            ], text
        assert (found["sentence"], found["style"], found["text"]) == (
            wanted.sentence, wanted.style, wanted.text
        ), text  # fmt: skip
        assert found["asked"] == wanted.style_requested
        assert found["notes"] == len(wanted.notes)
        if wanted.terms:
            vector = wanted.subtract(away).embed(encode, 1.5, 0.5, dim=8)
            np.testing.assert_allclose(found["vector"], vector, atol=1e-5, err_msg=text)
            assert parse_expression(found["expression"]) == list(wanted.terms)
    assert between == interpolate_prompts("cat", "man + 0.5*hat", encode, 21)[7]


def test_a_sum_without_direction_and_an_unclosed_quote_are_errors() -> None:
    body = """
      const { parseExpression, weightedSum } = await load("expression");
      const caught = [];
      for (const text of data) {
        try {
          await weightedSum(parseExpression(text), async () => Float32Array.of(1, 0));
        } catch (error) { caught.push([error.kind, error.message]); }
      }
      return caught;
    """
    texts = ['"cat', "cat - dog", "cat + + dog", "9999999.0 cat"]
    caught = run_module(body, texts)
    assert [kind for kind, _ in caught] == ["refused"] * len(texts)
    words = ("unclosed quote", "no direction", "empty term", "give a smaller one")
    assert all(word in message for word, (_, message) in zip(words, caught, strict=True))
