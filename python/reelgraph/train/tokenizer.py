"""A small real tokenizer in umT5's manner, made from a word list instead of a corpus."""

from __future__ import annotations

import string

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

COMMON_WORDS = (
    "a about above across after all an and another animated are around as at away back background beside big bird "
    "black blue branch bright brown bunny butterfly camera character close down eyes face falls field flower for "
    "forest frame from front grass gray green ground hand he head her his holds hole in into is it its large left "
    "light long looks medium moves near of off on one open orange out over path purple rabbit red right rock runs "
    "scene shot side sits sky small smile soft squirrel stands sun sunny that the their then they through to toward "
    "tree trees turns two under up view walks while white wide with wooden yellow young"
)


def small_tokenizer(length: int) -> PreTrainedTokenizerFast:
    """Return a Unigram tokenizer for texts of at most ``length`` tokens: words, letters, bytes for the rest."""
    words = COMMON_WORDS.split()
    pieces = [f"▁{word}" for word in (*words, *(word.capitalize() for word in words))]
    pieces += ["▁", *string.ascii_letters, *string.digits, *string.punctuation]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    # A longer piece is the more likely one, so that words win over their letters, and letters over bytes.
    vocabulary += [(piece, -5.0 - 1.0 / len(piece)) for piece in dict.fromkeys(pieces)]
    vocabulary += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length
    )
