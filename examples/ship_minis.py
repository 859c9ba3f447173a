"""Make the weights that come with brainfit of the runs that `train_minis.py` left.

    python examples/ship_minis.py --runs runs/minis/plain

Writes ``model_zoo/weights/trained/<model>.safetensors`` and ``<model>.json`` for each network. The weights
are those of seed 0, whatever the accuracy of the other seeds, in 16 bits; the card states the accuracy of the
file as it is shipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import brainfit
from brainfit.contracts.task import Task
from brainfit.execution import Execution
from brainfit.registry.tasks import load_task
from brainfit.training.run import CARD
from brainfit.training.validation import validate
from model_zoo.engine.graph import GraphModel
from model_zoo.weights.file import read_info, save_weights
from model_zoo.weights.load import find_weights

SEED = 0
SHIPPED = Path(__file__).parents[1] / "model_zoo/weights/trained"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/minis/plain"), help="folder of the runs")
    runs = parser.parse_args().runs

    task = load_task("objects", image_size=64)
    SHIPPED.mkdir(exist_ok=True)
    for run in sorted(runs.glob(f"*-seed{SEED}")):
        if (run / CARD).exists():
            ship(run, task)


def ship(run: Path, task: Task) -> None:
    """Write the weights of a run in 16 bits, and their card."""
    card = json.loads((run / CARD).read_text(encoding="utf-8"))
    name, info = card["model"], read_info(find_weights(str(run)))
    if card["task_content"] != task.content:
        raise SystemExit(f"{run} was trained on another task than {task.name} at its default settings")
    network = brainfit.load_model(name, weights=str(run))
    assert isinstance(network, GraphModel)
    file = SHIPPED / f"{name}.safetensors"
    file.unlink(missing_ok=True)
    save_weights(
        network.half(),
        file,
        model=name,
        image_size=card["image_size"],
        source=info.source,
        source_sha256=info.source_sha256,
    )
    shipped = brainfit.load_model(name, weights=str(file))
    assert isinstance(shipped, GraphModel)
    accuracy = validate(shipped, task, shipped.presentation, Execution())
    card |= {
        "command": f"python examples/train_minis.py --seeds {n_seeds(run)}; python examples/ship_minis.py",
        "accuracy": accuracy.as_dict(),
        "accuracy_before_rounding": card["accuracy"]["last"],
        "precision_of_file": "float16",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "seeds_trained": n_seeds(run),
    }
    text = json.dumps(card, indent=2) + "\n"
    file.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{name}: {accuracy.by_decoder['last']:.4f}, in 32 bits {card['accuracy_before_rounding']:.4f}")


def n_seeds(run: Path) -> int:
    """Return the number of seeds with which this network was trained."""
    return len(list(run.parent.glob(f"{run.name.removesuffix(str(SEED))}*/{CARD}")))


if __name__ == "__main__":
    main()
