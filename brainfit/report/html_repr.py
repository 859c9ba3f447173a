"""What a notebook shows of a score or a recording: a small table, in the notebook's own colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

if TYPE_CHECKING:
    from brainfit.contracts.recording import Recording
    from brainfit.report.tables import Table
    from brainfit.scoring.result import Score

# No colour but the notebook's own: it may be dark.
_TEMPLATE = """\
{% macro grid(table) %}
<table style="border-collapse: collapse; font-size: 0.9em; color: inherit">
{% if table.heads %}
<thead><tr>
{% for head in table.heads %}
<th scope="col" style="{{ cell_style }}">{{ head }}</th>
{% endfor %}
</tr></thead>
{% endif %}
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
{% if loop.first %}<th scope="row" style="{{ cell_style }}; font-weight: normal">{{ cell }}</th>
{% else %}<td style="{{ cell_style }}">{{ cell }}</td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}
{% set cell_style = "text-align: left; padding: 0.2em 0.8em 0.2em 0; overflow-wrap: anywhere" %}
<div style="border: 1px solid; border-radius: 6px; padding: 0.6em 0.9em; max-width: 60em; overflow-x: auto">
<div><strong>{{ kind }}</strong> {{ name }}
{% for badge in badges %}
<span style="border: 1px solid; border-radius: 1em; padding: 0 0.6em; font-size: 0.85em">⚠ {{ badge }}</span>
{% endfor %}
</div>
{% if text %}
<div style="margin: 0.4em 0">{{ text }}</div>
{% endif %}
{{ grid(table) }}
{% for title, more in details %}
<details><summary style="cursor: pointer">{{ title }}</summary>
{{ grid(more) }}
</details>
{% endfor %}
</div>
"""


def score_html(score: Score) -> str:
    """Write a score: its headline, what it is not, its windows, and all settings folded away."""
    from brainfit.report.sentences import headline, is_static, notices
    from brainfit.report.tables import one_bin_table, ranks_table, settings_table, windows_table

    return _write(
        kind="brainfit.Score",
        name=f"{score.info['model']} · {score.info['region']} · {score.info['recording']}",
        badges=[title for title, _ in notices(score)],
        text=headline(score),
        table=one_bin_table(score) if is_static(score) else windows_table(score),
        details=[
            *([] if is_static(score) else [("With ranks (Spearman)", ranks_table(score))]),
            ("Settings, versions and hashes", settings_table(score)),
        ],
    )


def recording_html(recording: Recording) -> str:
    """Write a recording: what was shown and recorded, without reading a response."""
    from brainfit.report.tables import Table, plain_rows

    responses, stimuli = recording.responses, recording.stimuli
    start, end = (float(responses[f"time_bin_{edge}"].values[at]) for edge, at in (("start", 0), ("end", -1)))
    sizes = dict(responses.sizes)
    rows = [
        ["images", f"{sizes['image']:,}, {stimuli.sizes['height']} × {stimuli.sizes['width']} pixels"],
        [
            "objects",
            f"{len(_kinds(responses['object_name']))} in categories: {_counted(responses['category_name'])}",
        ],
        ["trials", f"up to {sizes['trial']}" if recording.has_trials else "averaged"],
        ["units", f"{sizes['unit']:,}: {_counted(responses['region'])}"],
        ["animals", _counted(responses["animal"])],
        ["time bins", f"{sizes['time_bin']}, from {start:g} to {end:g} ms"],
    ]
    origin = [list(row) for row in plain_rows(recording.provenance)]
    return _write(
        kind="brainfit.Recording",
        name=recording.name,
        badges=["Simulated recording"] if recording.simulated else [],
        text="",
        table=Table("", [], rows),
        details=[("Where it came from", Table("", [], origin))] if origin else [],
    )


def _kinds(labels: Any) -> Counter[str]:
    return Counter(np.asarray(labels.values).astype(str).tolist())


def _counted(labels: Any) -> str:
    return ", ".join(f"{name} {n}" for name, n in _kinds(labels).items())


def _write(
    *,
    kind: str,
    name: str,
    badges: Sequence[str],
    text: str,
    table: Table,
    details: Sequence[tuple[str, Table]],
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined
    )  # names come from files
    return environment.from_string(_TEMPLATE).render(
        kind=kind, name=name, badges=badges, text=text, table=table, details=details
    )
