"""Where the base and the prompted model put training examples (the paper's figure 1), and how separable they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearnbench.cell.cell import Scenario
from unlearnbench.cell.trainer import Trainer
from unlearnbench.contract.task import Example
from unlearnbench.data.sampling import stratified_sample
from unlearnbench.engine.model import LanguageModel

POINTS_PER_SET = 500
FOLDS = 5
States = NDArray[np.float64]


@dataclass(frozen=True)
class Embedding:
    """A model's last-layer states at the position that predicts the answer.

    Attributes:
        states: ``[points, hidden]``.
        forget: ``[points]``, whether each is a forget example.
        labels: the right answers.
    """

    title: str
    states: States
    forget: NDArray[np.bool_]
    labels: Sequence[str]


@dataclass(frozen=True)
class Separability:
    """How far forget and retain examples lie apart in the states themselves, not in the picture.

    Attributes:
        silhouette: mean silhouette of the two sets, from -1 to 1; 0 means that they overlap.
        probe: accuracy of a logistic regression that tells them apart, in five-fold cross-validation, each class
            weighted alike; 0.5 is chance.
        label_silhouette: silhouette of the labels among the retain examples.
    """

    silhouette: float
    probe: float
    label_silhouette: float


def sample_points(scenario: Scenario) -> tuple[list[Example], NDArray[np.bool_]]:
    """Training examples of both sets, at most `POINTS_PER_SET` of each, and which of them are to be forgotten."""
    splits, seed = scenario.data.splits, scenario.config.split_seed
    forget = stratified_sample(splits.train_forget, POINTS_PER_SET, seed)
    retain = stratified_sample(splits.train_retain, POINTS_PER_SET, seed)
    return [*forget, *retain], np.arange(len(forget) + len(retain)) < len(forget)


def embed(title: str, trainer: Trainer, model: LanguageModel) -> Embedding:
    """The states of the scenario's sample."""
    examples, forget = sample_points(trainer.scenario)
    states = model.states(trainer.encoder.encode(examples, room=model.room())).double().numpy()
    return Embedding(title, states, forget, [example.answer for example in examples])


def separability(embedding: Embedding) -> Separability:
    """Numbers beside the picture."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import silhouette_score
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    states, forget = embedding.states, embedding.forget
    folds = StratifiedKFold(min(FOLDS, int(forget.sum()), int((~forget).sum())), shuffle=True, random_state=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    accuracy = cross_val_score(probe, states, forget, cv=folds, scoring="balanced_accuracy").mean()
    kept = [label for label, forgotten in zip(embedding.labels, forget, strict=True) if not forgotten]
    labels = float(silhouette_score(states[~forget], kept)) if len(set(kept)) > 1 else float("nan")
    return Separability(float(silhouette_score(states, forget)), float(accuracy), labels)


def project(embedding: Embedding) -> States:
    """t-SNE to two dimensions, ``[points, 2]``, with a fixed seed."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(embedding.states) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=0)
    found: States = tsne.fit_transform(embedding.states)
    return found
