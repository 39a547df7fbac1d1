"""Drawings of words in other languages, as a share of English's figure."""

from collections.abc import Mapping, Sequence

import numpy as np

from undiffuse.evaluation.prompt_metrics import Draw, PromptJudge, Wanted
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric
from undiffuse.evaluation.word_metrics import Case


def evaluate_languages(
    groups: Mapping[str, Sequence[Case]], judge: PromptJudge, draw: Draw, seed: int = 0
) -> list[Metric]:
    """For each language the share of words whose drawing is right by the judge, and this divided
    by the share for the English names of the same words.
    """
    metrics, all_own, all_english = [], list[np.ndarray](), list[np.ndarray]()
    english_names = sorted({min(case.things[0]) for cases in groups.values() for case in cases})
    pictures = dict(zip(english_names, draw(english_names, seed), strict=True))
    for language, cases in groups.items():
        drawn = draw([case.prompt for case in cases], seed)
        own = np.array([_is_right(judge, *pair) for pair in zip(cases, drawn, strict=True)], float)
        english = np.array([_is_right(judge, case, pictures[min(case.things[0])])
                            for case in cases], float)  # fmt: skip
        metrics += [
            mean_metric(language, own, seed, real=float(english.mean())),
            ratio_metric(f"{language}, as a share of English", own, english, seed),
        ]
        all_own.append(own)
        all_english.append(english)
    own, english = np.concatenate(all_own), np.concatenate(all_english)
    whole = ratio_metric("all languages, as a share of English", own, english, seed)
    return [*metrics, mean_metric("English", english, seed), whole]


def _is_right(judge: PromptJudge, case: Case, picture: np.ndarray) -> bool:
    vectors = judge.encoder.encode_image(picture[None])
    return judge.found(Wanted(tuple(sorted(case.things[0]))), vectors)
