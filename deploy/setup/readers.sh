#!/usr/bin/env bash
# Installs what reads the manual page and the completions in the tests, groff and zsh, and the time
# zones that templates show times in.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

wanted=()
command -v groff >/dev/null || wanted+=(groff-base)
command -v zsh >/dev/null || wanted+=(zsh)
[ -e /usr/share/zoneinfo/America/New_York ] || wanted+=(tzdata)
[ "${#wanted[@]}" -eq 0 ] || install_packages "readers of the manual page and the completions, and time zones" "${wanted[@]}"
