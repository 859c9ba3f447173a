"""X1: ridge at default settings against dense ridge in float64, over spectra on which iterative solvers fail.

    python perf/exactness.py --json perf/exactness.json          # the whole table
    python perf/exactness.py --before OTHER/CHECKOUT --only bins # and the time that another version takes

Every problem is solved twice: by `Ridge()` as a score uses it, and by a singular value decomposition in
float64 with the same grouped folds and penalties. A line gives the worst difference of r over units on
held-out images, the share of units whose penalty is the dense one, and whether the fit calls itself
converged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from ridge_oracle import N_FOLDS, SPECTRA, Problem, correlations, make_problem, solve_dense

SHAPES = {  # training images, time bins, features, units
    "static": [(480, 1, 256, 1), (480, 1, 256, 600), (480, 1, 2000, 1), (480, 1, 2000, 100)],
    "bins": [(120, 10, 400, 100), (120, 10, 1500, 1), (120, 10, 1500, 600)],
}
LIMIT, SHARE = 0.005, 0.99
TIMED = """
import sys, time, numpy as np
from brainfit.mappings.ridge import Ridge
data = np.load(sys.argv[1])
start = time.perf_counter()
Ridge().fit(data["features"], data["responses"])
print(time.perf_counter() - start)
"""


def measure(spectrum: str, shape: tuple[int, int, int, int], before: str | None) -> dict[str, Any]:
    """Solve one problem both ways and compare; also time the version in the folder `before`, if given."""
    from brainfit.mappings.ridge import Ridge

    problem = make_problem(spectrum, *shape)
    n, ridge = problem.n_train, Ridge()
    seconds = harness.seconds(lambda: ridge.fit(problem.features[:n], problem.responses[:n], N_FOLDS))
    predicted = ridge.predict(torch.from_numpy(problem.features[n:]))
    dense = solve_dense(problem)
    r = correlations(predicted.swapaxes(1, 2).reshape(-1, predicted.shape[1]), problem)
    exact = correlations(dense.predicted, problem)
    solution = ridge.solution_
    summary = ridge.summary()
    return {
        "spectrum": spectrum,
        "images": n,
        "bins": shape[1],
        "features": shape[2],
        "units": shape[3],
        "solver": summary["solver"],
        "converged": summary["converged"],
        "r": float(np.median(exact)),
        "worst_difference": float(np.abs(r - exact).max()),
        "equal_penalties": float(dense.agrees(solution.relative_alphas, solution.chosen).mean()),
        "seconds": seconds,
        **(timed_before(problem, before) if before else {}),
    }


def timed_before(problem: Problem, before: str) -> dict[str, float]:
    """Time both versions in fresh processes, one after the other."""
    n, found = problem.n_train, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "problem.npz")
        np.savez(path, features=problem.features[:n], responses=problem.responses[:n])
        for name, tree in (("seconds_before", before), ("seconds_now", str(Path(__file__).parents[1]))):
            command = [sys.executable, "-c", TIMED, str(path)]
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
            found[name] = float(done.stdout)
    return found


def show(row: dict[str, Any]) -> str:
    """Return one line of the table."""
    before = (
        f"  {row['seconds_before']:7.2f} -> {row['seconds_now']:.2f} s" if "seconds_before" in row else ""
    )
    return (
        f"{row['spectrum']:<41}{row['images']:>5}{row['bins']:>4}{row['features']:>6}{row['units']:>5}  "
        f"{row['solver']:<7}{row['converged']!s:<6}r {row['r']:.3f}  worst {row['worst_difference']:.1e}  "
        f"equal {row['equal_penalties']:.3f}  {row['seconds']:.2f} s{before}"
    )


def main() -> int:
    """Print the table; return 1 if a converged fit is farther from the dense one than the limits allow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=SHAPES, help="static recordings, or recordings with time bins")
    parser.add_argument("--before", help="folder of another version, to time as well")
    parser.add_argument("--json", type=Path, help="file to write the table to")
    options = parser.parse_args()
    rows = []
    for name in [options.only] if options.only else SHAPES:
        for shape in SHAPES[name]:
            for spectrum in SPECTRA:
                rows.append(measure(spectrum, shape, options.before))
                print(show(rows[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    units = np.array([row["units"] for row in rows])
    equal = float(np.average([row["equal_penalties"] for row in rows], weights=units))
    worst = max(row["worst_difference"] for row in rows if row["converged"])
    print(f"X1: {len(rows)} problems, worst difference of r {worst:.1e}, equal penalties {equal:.4f}")
    return 0 if worst <= LIMIT and equal >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
