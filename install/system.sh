#!/usr/bin/env bash
# Installs programs that do not come from PyPI, where they are missing:  system.sh beanstalkd | chromium | venv PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else
    echo "Zooscope needs to install a system package. Run as root, install sudo, or run: $*" >&2
    exit 1
  fi
}

# The package lists are fetched only when the package is not known yet, or its file is gone from the mirror.
apt_install() {
  echo "Installing $* with apt-get"
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  as_root "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
  as_root "${get[@]}" update >/dev/null
  as_root "${get[@]}" install -y --no-install-recommends "$@" >/dev/null
}

present() {
  for name in "$@"; do
    if command -v "$name" >/dev/null; then return 0; fi
  done
  return 1
}

playwright() { .venv/bin/python -m playwright "$@"; }

# Playwright's own Chromium, if it was downloaded before.
playwright_chromium() {
  .venv/bin/python -c 'from pathlib import Path; from playwright.sync_api import sync_playwright
with sync_playwright() as driver: raise SystemExit(not Path(driver.chromium.executable_path).is_file())'
}

missing() {
  echo "Zooscope needs $1, and neither apt-get nor Homebrew is here to install it. Install it and try again." >&2
  exit 1
}

case ${1:-} in
  beanstalkd)
    present "${ZOOSCOPE_BEANSTALKD_BINARY:-beanstalkd}" && exit 0
    if command -v apt-get >/dev/null; then apt_install beanstalkd
    elif command -v brew >/dev/null; then echo "Installing beanstalkd with Homebrew"; brew install --quiet beanstalkd
    else missing beanstalkd; fi ;;
  chromium)
    # Playwright's driver needs libatomic, which a bare Debian lacks.
    if command -v apt-get >/dev/null && ! playwright --version >/dev/null 2>&1; then apt_install libatomic1; fi
    if present chromium google-chrome chromium-browser || [ -d "/Applications/Google Chrome.app" ] || playwright_chromium
    then exit 0; fi
    # Ubuntu has Chromium as a snap only, which does not run everywhere; Playwright's own build does.
    if command -v apt-get >/dev/null && grep -q '^ID=ubuntu' /etc/os-release; then
      echo "Installing Chromium with Playwright"
      playwright install --with-deps chromium
    elif command -v apt-get >/dev/null; then apt_install chromium
    elif command -v brew >/dev/null; then echo "Installing Chrome with Homebrew"; brew install --quiet --cask google-chrome
    else missing Chromium; fi ;;
  venv)
    version=$("$2" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    command -v apt-get >/dev/null || missing "$version with its venv module"
    apt_install "$version-venv" ;;
  *) echo "usage: system.sh beanstalkd | chromium | venv PYTHON" >&2; exit 2 ;;
esac
