#!/usr/bin/env bash
# Brings Prometheus and promtool for the tests of the rules and of the dashboard: Debian's package,
# unpacked into target/prometheus (or PROMETHEUS). Nothing is installed, and nothing is started.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

destination="${PROMETHEUS:-$repository/target/prometheus}"
mkdir -p "$(dirname "$destination")"
RECEIVERS="$(cd "$(dirname "$destination")" && pwd)" \
    "$repository/deploy/setup/unpack.sh" "$(basename "$destination")" prometheus

for program in prometheus promtool; do
    version="$("$destination/usr/bin/$program" --version 2>&1 | head -n 1)" \
        || stop "$program does not run: $version"
    say "$version"
done
