"""The classifier has scikit-learn's manners."""

import numpy as np
import pytest

import vitrum

LABELS = ["bicycle", "octopus", "strawberry"]


@pytest.fixture(scope="module")
def pictures(demo):
    return [demo / f"images/{label}-3d.png" for label in LABELS]


def test_predictions(clip, pictures):
    classifier = vitrum.ZeroShotClassifier(clip, LABELS)
    probabilities = classifier.predict_proba(pictures)
    assert probabilities.shape == (3, 3) and np.allclose(probabilities.sum(axis=1), 1)
    for path, row in zip(pictures, probabilities):
        assert np.allclose(row, clip.classify(path, LABELS), atol=1e-5)
    predicted = classifier.predict(pictures)
    assert predicted.tolist() == [LABELS[i] for i in probabilities.argmax(axis=1)]
    assert classifier.classes_.tolist() == LABELS
    assert classifier.score(pictures, predicted) == 1


def test_several_templates_are_averaged(clip, pictures):
    templates = ["a photo of a {}", "{}", "a drawing of the {}"]
    classifier = vitrum.ZeroShotClassifier(clip, LABELS, templates)
    texts = np.stack(
        [clip.encode_texts([it.replace("{}", label) for it in templates]).mean(axis=0) for label in LABELS]
    )
    expected = clip.similarity(clip.encode_images(pictures), texts)
    assert np.allclose(classifier.decision_function(pictures), expected, atol=1e-4)


def test_with_scikit_learn(clip, pictures):
    base = pytest.importorskip("sklearn.base")
    metrics = pytest.importorskip("sklearn.metrics")
    classifier = base.clone(vitrum.ZeroShotClassifier(clip, LABELS).fit())
    assert classifier.clip is clip and classifier._weights is None
    predicted = classifier.fit(pictures, LABELS).predict(pictures)
    assert metrics.accuracy_score(LABELS, predicted) == classifier.score(pictures, LABELS)
    assert metrics.log_loss(LABELS, classifier.predict_proba(pictures), labels=LABELS) > 0
    classifier.set_params(labels=["cat", "dog"])
    assert classifier.predict_proba(pictures).shape == (3, 2)
    with pytest.raises(ValueError, match="depth"):
        classifier.set_params(depth=3)


@pytest.mark.parametrize(
    ("labels", "template", "message"),
    [([], "{}", "labels"), ("cat", "{}", "labels"), (["cat", ""], "{}", "labels"), (["cat"], "a", "template")],
)
def test_what_is_refused(clip, labels, template, message):
    with pytest.raises(ValueError, match=message):
        vitrum.ZeroShotClassifier(clip, labels, template).fit()
