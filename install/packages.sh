#!/usr/bin/env bash
# Installs locked Python packages into .venv:  packages.sh service | tests | referee | gradio | node | accelerator
set -euo pipefail
cd "$(dirname "$0")/.."

# uv does not read pip's settings: an index that this machine's pip was told to use holds for uv too.
index=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX=$index; fi
export VIRTUAL_ENV=$PWD/.venv UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180}
install() { .venv/bin/uv pip install --quiet --require-hashes --compile-bytecode "$@"; }

case ${1:-} in
  service)
    echo "Installing the Python packages (nearly 3 GB with TensorFlow; minutes, the first time)"
    install -r requirements.lock
    # The build tool of pyproject.toml is in the lock, so nothing unlocked is fetched to install ourselves.
    .venv/bin/uv pip install --quiet --no-deps --no-build-isolation -e . ;;
  tests)
    echo "Installing the Python packages of the tests"
    install -r requirements-dev.lock ;;
  referee)
    echo "Installing bioimageio.core, the tests' referee, into .venv/referee"
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python .venv/referee
    if ! VIRTUAL_ENV=$PWD/.venv/referee .venv/bin/uv pip install --quiet --require-hashes -r install/referee.lock; then
      rm -rf .venv/referee
      echo "Skipped the referee: its packages could not be installed." >&2
      exit 1
    fi ;;
  gradio)
    echo "Installing Gradio, which benchmarks/queue_gradio.py measures, into .venv/gradio"
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python .venv/gradio
    VIRTUAL_ENV=$PWD/.venv/gradio install -r install/gradio.lock ;;
  node)
    install -r install/node.lock ;;
  accelerator)
    if [ "$(uname -sm)" != "Linux x86_64" ] || ! nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
      echo "Skipped GPU support: no NVIDIA GPU here. Previews are computed on the CPU."
    else
      echo "Installing the CUDA libraries"
      install -r install/gpu.lock || echo "Skipped GPU support: its packages could not be installed." >&2
    fi ;;
  *) echo "usage: packages.sh service|tests|referee|gradio|node|accelerator" >&2; exit 2 ;;
esac
