#!/usr/bin/env bash
# Brings the real receivers of the tests and benches, rsyslog and syslog-ng, unpacked and not
# installed (they exclude each other, and neither may start as this machine's syslog), and openssl.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

if ! command -v openssl >/dev/null; then
    install_packages "certificates of the TLS tests" openssl
fi
"$repository/deploy/setup/unpack.sh" rsyslog rsyslog rsyslog-gnutls rsyslog-openssl rsyslog-relp
"$repository/deploy/setup/unpack.sh" syslog-ng syslog-ng-core

for receiver in rsyslog syslog-ng; do
    version="$("$repository/tests/receivers/$receiver" --version 2>&1 | head -n 1)" \
        || stop "$receiver does not run: $version"
    say "$version"
done
