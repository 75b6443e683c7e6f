#!/usr/bin/env bash
# Installs the front-end packages into web/node_modules, with this machine's npm or with one from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

oldest_node=18

node_is_new_enough() {
  command -v npm >/dev/null && command -v node >/dev/null &&
    node -e "process.exit(Number(process.versions.node.split('.')[0]) < $oldest_node ? 1 : 0)"
}

if ! node_is_new_enough; then
  if [ ! -x .venv/bin/npm ]; then
    echo "Installing Node.js into .venv (npm with Node.js $oldest_node or later is missing here)"
    install/packages.sh node
  fi
  PATH=$PWD/.venv/bin:$PATH
fi
echo "Installing the front-end packages"
npm ci --prefix web --silent --no-fund --no-audit
