"""Writing in pictures, read by RapidOCR: where it stands, how large it is, what it says."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from rapidocr import EngineType, RapidOCR

SURE = 0.9  # on pictures without writing it invents single characters below this
LETTERS = 3


@cache
def reader() -> RapidOCR:
    """Return the reader, in one thread, so that its sums are the same on every machine."""
    engine = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Det.engine_type": EngineType.ONNXRUNTIME,
            "Rec.engine_type": EngineType.ONNXRUNTIME,
            **{f"EngineConfig.onnxruntime.{name}": value for name, value in engine.items()},
        }
    )


def read_texts(picture: np.ndarray) -> list[dict[str, Any]]:
    """Return the lines in a BGR picture [height, width, 3], from top to bottom, with places in shares of its size."""
    found = reader()(picture)
    if found.boxes is None or found.txts is None:
        return []
    height, width = picture.shape[:2]
    lines = []
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        if score < SURE or sum(letter.isalpha() for letter in text) < LETTERS:
            continue
        (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
        lines.append(
            {
                "text": text.strip(),
                "score": round(float(score), 2),
                "x": round(float(left) / width, 3),
                "y": round(float(top) / height, 3),
                "width": round(float(right - left) / width, 3),
                "height": round(float(bottom - top) / height, 3),
            }
        )
    return sorted(lines, key=lambda line: (line["y"], line["x"]))
