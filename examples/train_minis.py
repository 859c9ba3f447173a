"""Train the small networks of the catalogue with several seeds, and gather their accuracies in one table.

    python examples/train_minis.py --out runs/minis                # naming objects: all five networks
    python examples/train_minis.py --out runs/minis --task hard    # clutter, occlusion and noise: three

One run follows another: every network with one seed before the next seed, so that what is finished when it
stops is balanced. The same command continues where it stopped. A run is the folder
``<out>/<task>/<model>-seed<k>`` that `brainfit train` would leave; ``<out>/<task>.csv`` has a row for each
that is finished.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

from brainfit.execution import Execution
from brainfit.training.run import CARD, train_model

MODELS = ("ff_mini", "ff_wide_mini", "basenet_mini", "median_convrnn_minimal_mini", "median_convrnn_mini")
TASKS = {
    "plain": (MODELS, {}),
    "hard": (
        ("ff_wide_mini", "median_convrnn_mini", "median_convrnn_minimal_mini"),
        {"clutter": 2, "occlusion": 0.5, "noise": 0.1},
    ),
}
"""For each task its networks, and the arguments of `data_loaders.tasks.objects.Objects`."""
COLUMNS = ("task", "model", "seed", "parameters", "images", "accuracy", "low", "high", "n_val", "chance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/minis"), help="folder of all runs")
    parser.add_argument("--task", choices=list(TASKS), default="plain")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--epochs", type=float, default=2.0, help="epochs of 51,200 images")
    given = parser.parse_args()

    models, options = TASKS[given.task]
    cards = []
    for seed in range(given.seeds):
        for model in models:
            folder = given.out / given.task / f"{model}-seed{seed}"
            print(folder, flush=True)
            if not (folder / CARD).exists():
                run = train_model(
                    model,
                    out=folder,
                    recipe="mini",
                    changes={"seed": seed, "epochs": given.epochs},
                    task_options=options,
                    execution=Execution(progress=sys.stderr.isatty()),
                )
                if run.trained.interrupted_by:
                    sys.exit(f"stopped by {run.trained.interrupted_by}; run the same command to continue")
            cards.append(json.loads((folder / CARD).read_text(encoding="utf-8")))
            write_table(given.out / f"{given.task}.csv", given.task, cards)


def write_table(path: Path, task: str, cards: list[dict]) -> None:
    """Write a row for each model card."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for card in cards:
            accuracy = card["accuracy"]
            rows.writerow(
                [
                    task,
                    card["model"],
                    card["recipe"]["seed"],
                    card["parameters"],
                    card["images_seen"],
                    f"{accuracy['last']:.4f}",
                    *(f"{end:.4f}" for end in accuracy["interval"]),
                    accuracy["n_images"],
                    f"{card['chance']:.4f}",
                ]
            )


if __name__ == "__main__":
    main()
