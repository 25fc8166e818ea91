#!/usr/bin/env bash
# Installs what reads the manual page and the completions in the tests: groff and zsh.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

wanted=()
command -v groff >/dev/null || wanted+=(groff-base)
command -v zsh >/dev/null || wanted+=(zsh)
[ "${#wanted[@]}" -eq 0 ] || install_packages "readers of the manual page and the completions" "${wanted[@]}"
