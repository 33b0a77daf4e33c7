#!/bin/sh
# Chromium, its driver and Firefox for the checks of the pages: installed where that may be done (Debian, root).
here() { command -v "$1" >/dev/null; }
missing=""
here chromedriver && { here chromium || here chromium-browser || here google-chrome; } || missing="chromium chromium-driver"
here firefox-esr || here firefox || missing="$missing firefox-esr"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && here apt-get; then
    echo "== Browsers: installing" $missing
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "== Browsers: checks in one that is missing will be skipped (Debian: apt-get install" $missing")"
