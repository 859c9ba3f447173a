"""The works that a report cites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A work: its citation, its entry in a list of references, and its address."""

    cited: str
    text: str
    link: str = ""


_ALL = (
    Reference(
        "Brown, 1910",
        "Brown, W. (1910). Some experimental results in the correlation of mental abilities. British "
        "Journal of Psychology 3, 296–322.",
        "https://doi.org/10.1111/j.2044-8295.1910.tb00207.x",
    ),
    Reference(
        "Hoerl and Kennard, 1970",
        "Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal "
        "problems. Technometrics 12, 55–67.",
        "https://doi.org/10.1080/00401706.1970.10488634",
    ),
    Reference(
        "Holm, 1979",
        "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
        "Statistics 6, 65–70.",
    ),
    Reference(
        "Kingma and Ba, 2015",
        "Kingma, D. P. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.",
        "https://arxiv.org/abs/1412.6980",
    ),
    Reference(
        "Klindt et al., 2017",
        "Klindt, D. A., Ecker, A. S., Euler, T. and Bethge, M. (2017). Neural system identification for "
        "large populations separating “what” and “where”. NeurIPS.",
        "https://arxiv.org/abs/1711.02653",
    ),
    Reference(
        "Li et al., 2006",
        "Li, P., Hastie, T. J. and Church, K. W. (2006). Very sparse random projections. KDD.",
        "https://doi.org/10.1145/1150402.1150436",
    ),
    Reference(
        "Majaj et al., 2015",
        "Majaj, N. J., Hong, H., Solomon, E. A. and DiCarlo, J. J. (2015). Simple learned weighted sums of "
        "inferior temporal neuronal firing rates accurately predict human core object recognition "
        "performance. Journal of Neuroscience 35, 13402–13418.",
        "https://doi.org/10.1523/JNEUROSCI.5181-14.2015",
    ),
    Reference(
        "Nayebi et al., 2018",
        "Nayebi, A., Bear, D., Kubilius, J. et al. (2018). Task-driven convolutional recurrent models of the "
        "visual system. NeurIPS.",
        "https://arxiv.org/abs/1807.00053",
    ),
    Reference(
        "Owen, 2007",
        "Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1, 386–411.",
        "https://doi.org/10.1214/07-AOAS122",
    ),
    Reference(
        "Spearman, 1910",
        "Spearman, C. (1910). Correlation calculated from faulty data. British Journal of Psychology 3, "
        "271–295.",
        "https://doi.org/10.1111/j.2044-8295.1910.tb00206.x",
    ),
    Reference(
        "Wold et al., 2001",
        "Wold, S., Sjöström, M. and Eriksson, L. (2001). PLS-regression: a basic tool of chemometrics. "
        "Chemometrics and Intelligent Laboratory Systems 58, 109–130.",
        "https://doi.org/10.1016/S0169-7439(01)00155-1",
    ),
)


def cited(paragraphs: Iterable[str]) -> list[Reference]:
    """Return the works that paragraphs cite, sorted by author."""
    text = " ".join(paragraphs)
    return [reference for reference in _ALL if reference.cited in text]
