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

# Playwright's own Chromium, whether it is downloaded or not.
playwright_chromium() {
  .venv/bin/python -c 'from playwright.sync_api import sync_playwright
with sync_playwright() as driver: print(driver.chromium.executable_path)'
}

# A browser that is not on the PATH becomes the command chromium of .venv, where tests look first.
call_it_chromium() {
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$1" >.venv/bin/chromium
  chmod +x .venv/bin/chromium
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
    present chromium chromium-browser google-chrome google-chrome-stable .venv/bin/chromium && exit 0
    # Ubuntu has Chromium as a snap only, which does not run everywhere; Playwright's own build does.
    if command -v apt-get >/dev/null && grep -q '^ID=ubuntu' /etc/os-release; then
      echo "Installing Chromium with Playwright"
      playwright install --with-deps chromium
      call_it_chromium "$(playwright_chromium)"
    elif command -v apt-get >/dev/null; then apt_install chromium
    elif command -v brew >/dev/null; then
      chrome="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
      if [ ! -x "$chrome" ]; then echo "Installing Chrome with Homebrew"; brew install --quiet --cask google-chrome; fi
      call_it_chromium "$chrome"
    else missing Chromium; fi ;;
  venv)
    version=$("$2" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    command -v apt-get >/dev/null || missing "$version with its venv module"
    apt_install "$version-venv" ;;
  *) echo "usage: system.sh beanstalkd | chromium | venv PYTHON" >&2; exit 2 ;;
esac
