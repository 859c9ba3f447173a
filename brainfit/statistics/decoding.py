"""Decode the object of each image from a population with a linear decoder: the image-level d'."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from brainfit.errors import ContractError
from brainfit.statistics.correlation import CONSTANT
from brainfit.statistics.groups import number_groups
from brainfit.statistics.splits import image_folds
from brainfit.support.arguments import whole_number
from brainfit.support.threads import one_thread

CAP = 5.0
"""d' is kept within -CAP and CAP: the habit of this field since Rajalingham et al. (2018)."""

PENALTIES = np.logspace(-2, 3, 6)
"""Inverse penalties to choose from, sklearn's C, for features whose squares add up to 1 on average."""

_INNER_FOLDS = 5
_NEVER = 1e-9  # no rate is nearer to 0 or 1, so that no z is infinite


def image_dprime(probabilities: np.ndarray, objects: np.ndarray) -> np.ndarray:
    r"""Compute how well each image's object is distinguished from all others: the one-versus-rest d', I1.

    With :math:`p_o(i)` the probability that the decoder gives object o for image i, asked to choose
    between two objects it chooses :math:`c_{o|d}(i) = p_o(i) / (p_o(i) + p_d(i))`. For an image i of object o

    .. math:: d'(i) = z(\mathrm{hit}_i) - z(\mathrm{false\ alarm}_o),

    where the hit rate is the mean of :math:`c_{o|d}(i)` over all other objects d, the false alarm rate that
    of :math:`c_{o|o(j)}(j)` over all images j of other objects, and z the inverse of the standard normal
    distribution function. Rates are kept 1e-9 away from 0 and 1, and d' within -5 and 5.

    Parameters
    ----------
    probabilities
        Shape (image, object), not negative, the objects sorted by name.
    objects
        Name of the object in each image, shape (image,).

    Returns
    -------
    array, shape (image,)
        In [-5, 5]; 0 is chance. Never NaN for finite probabilities.

    References
    ----------
    Rajalingham et al. (2018), J. Neurosci. 38:7255, the metric B.I1; Kar et al. (2019), Nat. Neurosci.
    22:974, Methods, who take it over for decoders of IT.

    Examples
    --------
    >>> image_dprime(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array(["bear", "car"])).round(3)
    array([2.123, 2.123])
    """
    names, code = np.unique(np.asarray(objects).astype(str), return_inverse=True)
    probabilities = np.maximum(probabilities, np.finfo(float).tiny)  # two that vanish are a tie
    own = np.take_along_axis(probabilities, code[:, None], axis=1)
    mistaken = probabilities / (probabilities + own)
    other = code[:, None] != np.arange(len(names))
    hit = 1 - np.mean(mistaken, axis=1, where=other)
    false_alarm = np.mean(mistaken, axis=0, where=other)[code]
    z_hit, z_false_alarm = (ndtri(np.clip(rate, _NEVER, 1 - _NEVER)) for rate in (hit, false_alarm))
    return np.clip(z_hit - z_false_alarm, -CAP, CAP)


def decode_dprime(
    features: np.ndarray,
    objects: np.ndarray,
    *,
    n_folds: int = 10,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Decode objects from features, bin by bin, and return the d' of each image.

    In each bin a softmax regression is fitted to the other folds' images, so that no image is decoded by a
    decoder that saw it or any bin of it. Features are standardised on these images; the penalty is the one
    that gives a fifth of them the greatest likelihood when the decoder is fitted to the rest of them.

    Parameters
    ----------
    features
        Shape (image, time_bin, feature), finite.
    objects
        Name of the object in each image, shape (image,): two or more, three images or more of each.
    n_folds
        Folds of the images, 3 or more, balanced within object.
    seed
        Seed of the folds.
    groups
        Images with the same label show the same picture, shape (image,), and are in the same fold; by default
        all are different.

    Returns
    -------
    array, shape (image, time_bin)
        `image_dprime`, in [-5, 5]; exactly 0 in a bin whose features are the same for all images.

    Raises
    ------
    ContractError
        If the arrays do not have this form, or there are too few images.

    References
    ----------
    Kar et al. (2019), Nat. Neurosci. 22:974, and Nayebi et al. (2022), Neural Computation 34:1652, Fig. 3b,
    whose decoders are linear support vector machines; Kubilius et al. (2019), NeurIPS, use a softmax
    regression.
    """
    features, objects = np.asarray(features), np.asarray(objects).astype(str)
    n_folds = whole_number("n_folds", n_folds, least=3)
    if features.ndim != 3 or len(objects) != len(features) or not np.isfinite(features).all():
        raise ContractError(
            f"features have shape {features.shape}, objects {objects.shape}; "
            "wanted (image, time_bin, feature), finite, and the object of each image"
        )
    names, counts = np.unique(objects, return_counts=True)
    if len(names) < 2 or min(counts) < 3:
        raise ContractError(
            f"decoding takes 2 objects with 3 images of each, got {len(names)} objects with "
            f"{min(counts, default=0)} images or more; give more images"
        )
    _, group = number_groups(groups, len(objects))
    folds = image_folds(objects, n_folds, seed=seed, groups=group)
    dprime = np.zeros(features.shape[:2])
    for t in range(features.shape[1]):
        values = features[:, t].astype(float)
        varies = np.ptp(values, axis=0) > CONSTANT * np.abs(values).max(axis=0)  # the others are rounding
        if varies.any():
            with one_thread():
                probabilities = _decode(values[:, varies], objects, folds, group, seed)
            dprime[:, t] = image_dprime(probabilities, objects)
    return dprime


def _decode(
    features: np.ndarray, objects: np.ndarray, folds: np.ndarray, groups: np.ndarray, seed: int
) -> np.ndarray:
    """Return the probability of each object, (image, object), from the decoder that did not see the image."""
    probabilities = np.empty((len(features), len(np.unique(objects))))
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        scaler = StandardScaler().fit(features[train])
        x_train, x_test = (
            scaler.transform(features[part]) / features.shape[1] ** 0.5 for part in (train, test)
        )
        if features.shape[1] > len(train):  # a rotation, which changes nothing but the size of the problem
            rotation = PCA(svd_solver="full").fit(x_train)
            x_train, x_test = rotation.transform(x_train), rotation.transform(x_test)
        inner = image_folds(objects[train], _INNER_FOLDS, seed=seed, groups=groups[train]) == 0
        likelihood = []
        for c in PENALTIES:
            decoder = LogisticRegression(C=c, max_iter=1000).fit(x_train[~inner], objects[train][~inner])
            column = np.searchsorted(decoder.classes_, objects[train][inner])
            with np.errstate(divide="ignore"):  # what is sure and wrong has no likelihood at all
                found = decoder.predict_log_proba(x_train[inner])
            likelihood.append(found[np.arange(len(column)), column].mean())
        best = PENALTIES[int(np.argmax(likelihood))]
        decoder = LogisticRegression(C=best, max_iter=1000).fit(x_train, objects[train])
        probabilities[test] = decoder.predict_proba(x_test)
    return probabilities
