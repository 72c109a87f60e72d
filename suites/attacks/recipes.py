"""TextAttack attacks put together from parts that work without a download, and those that do not.

- ``deepwordbug``: Gao et al. 2018 (arXiv 1801.04354): one edit a word, the words that matter most first, at
  most 30 edits a text.
- ``pruthi``: Pruthi et al. 2019 (arXiv 1905.11268): the worst single typo inside one word of four letters or
  more.
- ``word_swap``: words replaced by neighbours in GloVe, greedily, at most a quarter of them; what TextFooler
  (Jin et al. 2020) is without its counter-fitted vectors and its sentence encoder.
- ``pwws``: Ren et al. 2019 (ACL P19-1103): synonyms of WordNet, weighted by saliency; without named entities.

Where we depart from TextAttack's recipes: our own stop words; letters in lower case, which is all the models
read; a saliency mask that is one unknown word; Pruthi's typos are tried in random order, so that a small
budget is not spent on the alphabetically first ones.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from suites.attacks.textattack_home import stopwords

LONGEST_EDIT = 30
LARGEST_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An attack: `family` says what it changes; `words` whether it takes replacements from a table.

    `build(textattack, goal, mask, replacements)` answers TextAttack's `Attack`.
    """

    name: str
    family: str
    words: bool
    build: Callable[[Any, Any, str, Mapping[str, tuple[str, ...]]], Any]


def _untouched(textattack: Any) -> list[Any]:
    before = textattack.constraints.pre_transformation
    return [before.RepeatModification(), before.StopwordModification(stopwords=stopwords())]


def _deepwordbug(textattack: Any, goal: Any, mask: str, _: Mapping[str, tuple[str, ...]]) -> Any:
    swaps = textattack.transformations
    letters = {"letters_to_insert": string.ascii_lowercase}
    edits = swaps.CompositeTransformation(
        [
            swaps.WordSwapNeighboringCharacterSwap(),
            swaps.WordSwapRandomCharacterSubstitution(**letters),
            swaps.WordSwapRandomCharacterDeletion(),
            swaps.WordSwapRandomCharacterInsertion(**letters),
        ]
    )
    kept = [*_untouched(textattack), textattack.constraints.overlap.LevenshteinEditDistance(LONGEST_EDIT)]
    search = textattack.search_methods.GreedyWordSwapWIR("unk", unk_token=mask)
    return textattack.Attack(goal, kept, edits, search)


def _pruthi(textattack: Any, goal: Any, _: str, __: Mapping[str, tuple[str, ...]]) -> Any:
    swaps = textattack.transformations
    inside = {"random_one": False, "skip_first_char": True, "skip_last_char": True}
    typos = swaps.CompositeTransformation(
        [
            swaps.WordSwapNeighboringCharacterSwap(**inside),
            swaps.WordSwapRandomCharacterDeletion(**inside),
            swaps.WordSwapRandomCharacterInsertion(**inside, letters_to_insert=string.ascii_lowercase),
            swaps.WordSwapQWERTY(**inside),
        ]
    )
    kept = [
        *_untouched(textattack),
        textattack.constraints.pre_transformation.MinWordLength(min_length=4),
        # TextAttack's recipe says it by a constraint that lets it make all second typos, and then drops them.
        textattack.constraints.pre_transformation.MaxNumWordsModified(max_num_words=1),
    ]
    attack = textattack.Attack(goal, kept, typos, textattack.search_methods.GreedySearch())
    candidates = attack.search_method.get_transformations

    def in_random_order(*arguments: Any, **options: Any) -> list[Any]:
        found = candidates(*arguments, **options)
        return random.sample(found, len(found))

    attack.search_method.get_transformations = in_random_order
    return attack


def _from_table(textattack: Any, replacements: Mapping[str, tuple[str, ...]]) -> Any:
    # TextAttack's own ways to a table ask for a matrix of neighbours as wide everywhere, or download.
    swap = textattack.transformations.WordSwap()
    swap._get_replacement_words = lambda word: list(replacements.get(word, ()))
    return swap


def _word_swap(textattack: Any, goal: Any, mask: str, replacements: Mapping[str, tuple[str, ...]]) -> Any:
    few = textattack.constraints.overlap.MaxWordsPerturbed(max_percent=LARGEST_SHARE)
    search = textattack.search_methods.GreedyWordSwapWIR("unk", unk_token=mask)
    swap = _from_table(textattack, replacements)
    return textattack.Attack(goal, [*_untouched(textattack), few], swap, search)


def _pwws(textattack: Any, goal: Any, mask: str, replacements: Mapping[str, tuple[str, ...]]) -> Any:
    search = textattack.search_methods.GreedyWordSwapWIR("weighted-saliency", unk_token=mask)
    return textattack.Attack(goal, _untouched(textattack), _from_table(textattack, replacements), search)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        name: Recipe(name=name, family=family, words=family == "word", build=build)
        for name, family, build in (
            ("deepwordbug", "character", _deepwordbug),
            ("pruthi", "character", _pruthi),
            ("word_swap", "word", _word_swap),
            ("pwws", "word", _pwws),
        )
    }
)

_DOWNLOADS = "its {} comes by download only, from a server that no package registry mirrors"

# Rows of a report: attacks of TextAttack 0.3.11 that an adopter may look for.
UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "textfooler": _DOWNLOADS.format("sentence encoder and its counter-fitted vectors")
        + "; see word_swap",
        "textbugger": "TextAttack's wheel lacks its table of look-alike letters; its encoder is a download",
        "bae": _DOWNLOADS.format("masked language model (BERT)"),
        "bert_attack": _DOWNLOADS.format("masked language model (BERT)"),
        "clare": _DOWNLOADS.format("masked language model (DistilRoBERTa)"),
        "a2t": _DOWNLOADS.format("sentence encoder and its counter-fitted vectors"),
        "genetic": _DOWNLOADS.format("counter-fitted vectors and language model (Alzantot et al. 2018)"),
        "particle_swarm": _DOWNLOADS.format("table of sememes (HowNet)"),
        "hotflip": "TextAttack takes gradients of words from its own LSTM only; see pgd_embedding",
    }
)
