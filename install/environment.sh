#!/usr/bin/env bash
# Makes .venv with a Python that the locked packages support, and puts uv into it.
set -euo pipefail
cd "$(dirname "$0")/.."

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

python=
for candidate in python3 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c "$supported"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "Zooscope needs Python 3.11, 3.12 or 3.13, and $(python3 --version 2>/dev/null || echo 'no Python') is what python3 is here. Install one of them and try again." >&2
  exit 1
fi

# A moved or half-made environment is made anew; a good one is kept. uv wants pip once, to be fetched by it.
if ! .venv/bin/python -c "$supported" 2>/dev/null || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  # Debian and Ubuntu ship venv apart from Python.
  "$python" -c 'import ensurepip, venv' 2>/dev/null || install/system.sh venv "$python"
  echo "Making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r install/uv.lock
