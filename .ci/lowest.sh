#!/usr/bin/env bash
# Run a part of the tests, from every folder, with the lowest versions that pyproject.toml allows.
# Usage: lowest.sh PYTHON FOLDER, where FOLDER gets the environment, apart from that of `make`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 env=$2/lowest

"$python" .ci/lowest.py >"$2/lowest.txt"
"$python" -m venv "$env"
"$env/bin/python" -m pip install --quiet -c "$2/lowest.txt" ".[test]"
# Old packages warn about new ones, so warnings are no errors here.
OMP_NUM_THREADS=1 "$env/bin/python" -m pytest -q -n auto -W default -p no:cacheprovider -m "not slow" \
    tests/brainfit/contracts \
    tests/brainfit/execution \
    tests/brainfit/registry/test_lookup.py \
    tests/brainfit/statistics/test_correlation.py \
    tests/brainfit/statistics/test_reliability.py \
    tests/brainfit/mappings/test_regressor.py \
    tests/brainfit/features/test_store.py \
    tests/brainfit/report/test_run_folder.py \
    tests/brainfit/storage/test_atomic_files.py \
    tests/brainfit/support/test_arguments.py \
    tests/brainfit/cli/test_help.py \
    tests/model_zoo/test_catalog.py \
    tests/data_loaders/test_arrays.py
