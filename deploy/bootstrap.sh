#!/bin/sh
# Makes what the two commands need: `deploy/bootstrap.sh demo|test`. A second run finds everything there and is instant.
#
# 1. System packages (Debian 12). As root the missing ones are installed without a prompt and without starting a server;
#    as an ordinary user each missing one is named with what its absence turns off, and the run goes on.
# 2. The environment: uv by pip into .uv/, then .venv/ with exactly what requirements.lock pins by hash, byte-compiled,
#    and the project itself in editable form. Package servers come from this machine's pip configuration or the default.
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-test}

say() { printf '%s\n' "$*" >&2; }

# --- system packages: what is looked for | Debian package | needed by | what its absence turns off -------------------
packages() {
	cat <<-'LIST'
	c:chromium|chromium|demo|the browser part of the check (use: sealgate demo --check --no-browser)
	f:/usr/share/zoneinfo/America/New_York|tzdata|demo|time zones other than UTC
	f:/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf|fonts-dejavu-core|demo|readable screenshots
	c:ps|procps|demo|the check that a process tree is gone
	l:libpangoft2-1.0.so.0|libpangoft2-1.0-0|demo|the officer's reports as PDF (the printable page stands in)
	l:libharfbuzz-subset.so.0|libharfbuzz-subset0|demo|the officer's reports as PDF (the printable page stands in)
	c:swaks|swaks|test|tests that submit mail with swaks
	p:Net::SSLeay|libnet-ssleay-perl|test|tests that submit mail with swaks over TLS
	c:curl|curl|test|tests that submit mail and download with curl
	c:strace|strace|test|the test that mail is on disk before its 250
	c:postfix|postfix|test|tests with Postfix as the smarthost
	g:/usr/lib/postgresql/*/bin/initdb|postgresql|test|tests and migrations on PostgreSQL
	c:cc|gcc|test|the test that a leaping clock loses nothing
	f:/usr/include/dlfcn.h|libc6-dev|test|the test that a leaping clock loses nothing
	c:radosgw|radosgw|test|tests of the vault on a true S3 server
	c:ceph-mon|ceph-mon|test|tests of the vault on a true S3 server
	c:ceph-osd|ceph-osd|test|tests of the vault on a true S3 server
	c:ceph|ceph-common|test|tests of the vault on a true S3 server
	c:openssl|openssl|test|tests of TLS with an independent client, and the benchmark's column of AES-GCM
	c:nginx|nginx-light|test|the benchmark's column of a web server sending the plain file
	f:/usr/lib/softhsm/libsofthsm2.so|softhsm2|test|tests of the root key in an HSM
	c:clamd|clamav-daemon|test|tests that malware is held
	c:systemd-analyze|systemd|test|the check of the systemd units
	c:mimedefang|mimedefang|test|the benchmark's column of Postfix with MIMEDefang
	p:MIME::Parser|libmime-tools-perl|test|the second reader of the made mails
	p:Net::DNS|libnet-dns-perl|test|the benchmark's column of Postfix with MIMEDefang
	LIST
}

present() {
	case $1 in
	c:*) PATH="$PATH:/usr/sbin:/sbin" command -v "${1#c:}" >/dev/null 2>&1 ;;
	f:*) [ -e "${1#f:}" ] ;;
	l:*) PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null | grep -q "${1#l:}" ;;
	p:*) perl "-M${1#p:}" -e 1 >/dev/null 2>&1 ;;
	g:*) for found in ${1#g:}; do [ -e "$found" ] && return 0; done; return 1 ;;
	esac
}

missing=""
while IFS='|' read -r look package tier without; do
	[ "$wanted" = test ] || [ "$tier" = demo ] || continue
	present "$look" && continue
	missing="$missing $package"
	[ "$(id -u)" = 0 ] || say "missing: $package (apt-get install $package); without it: no $without"
done <<LIST
$(packages)
LIST

if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	start=$(date +%s)
	say "installing system packages:$missing"
	export DEBIAN_FRONTEND=noninteractive
	guard=""
	if [ ! -e /usr/sbin/policy-rc.d ]; then # the packages' own servers are not started: tests bring up theirs
		guard=/usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod 0755 "$guard"
	fi
	case $missing in *postfix*)
		printf 'postfix postfix/main_mailer_type select No configuration\n' | debconf-set-selections 2>/dev/null || true ;;
	esac
	log=$(mktemp)
	# shellcheck disable=SC2086 # the list is meant to be split
	if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		say "system packages could not be installed; run as root: apt-get install$missing"
		exit 69
	fi
	rm -f "$log"
	[ -z "$guard" ] || { rm -f "$guard"; trap - EXIT; }
	say "system packages installed in $(($(date +%s) - start)) s"
fi

# --- the environment -------------------------------------------------------------------------------------------------
# The distribution's own build first: its security updates reach us, and it is compiled with profiles, which some builds
# found earlier in PATH are not (a third more processor time for every message).
python=""
for candidate in /usr/bin/python3.11 python3.11 python3 python3.12 python3.13; do
	if command -v "$candidate" >/dev/null 2>&1 &&
		"$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
		python=$candidate
		break
	fi
done
[ -n "$python" ] || { say "Python 3.11 or newer with venv is needed; run as root: apt-get install python3.11 python3.11-venv"; exit 69; }

stamp=$({ "$python" -VV; pwd; cat pyproject.toml requirements.lock deploy/uv.lock.txt; } | sha256sum | cut -c1-32)

# What a start would otherwise do anew each time: Python's modules, the pages, the patterns. Also where an environment
# is kept and the sources moved on, and where PYTHONDONTWRITEBYTECODE keeps programs from writing theirs.
compiled() {
	newer=$(find gateway keys web -name __pycache__ -prune -o -type f ! -name '*.code' ! -name '*.hsdb' -newer .venv/.compiled -print 2>/dev/null | head -n 1)
	[ -e .venv/.compiled ] && [ -z "$newer" ] && return 0
	touch .venv/.compiling 2>/dev/null || return 0 # somebody else's environment: used as it is
	.venv/bin/python -m compileall -q gateway keys >/dev/null || true
	.venv/bin/python -m gateway.detect.engine || true # a later start is most of a second shorter
	.venv/bin/python -m gateway.portal.kept || true # half a second
	mv .venv/.compiling .venv/.compiled
}

if [ "$(cat .venv/.made-from 2>/dev/null || true)" = "$stamp" ]; then
	compiled
	exit 0
fi
start=$(date +%s)
say "making the environment in .venv (once)"
if ! .uv/bin/uv --version >/dev/null 2>&1; then
	rm -rf .uv
	"$python" -m venv .uv
	.uv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r deploy/uv.lock.txt
fi
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ]; then
	# uv does not read pip's configuration; whoever set pip up for a mirror means us too.
	mirror=${PIP_INDEX_URL:-$(.uv/bin/python -m pip config list 2>/dev/null | sed -n "s/^global\.index.url='\(.*\)'\$/\1/p")}
	[ -z "$mirror" ] || export UV_DEFAULT_INDEX="$mirror"
fi
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
rm -f .venv/.made-from
.uv/bin/uv venv --quiet --clear --no-project --python "$(command -v "$python")" .venv
export VIRTUAL_ENV="$PWD/.venv" UV_LINK_MODE="${UV_LINK_MODE:-copy}"
# Any index may serve a file, since only the pinned bytes are taken. pip is the second way, where uv finds no server.
.uv/bin/uv pip install --quiet --require-hashes --compile-bytecode --no-deps --index-strategy unsafe-best-match -r requirements.lock ||
	.uv/bin/python -m pip --python .venv/bin/python install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
.uv/bin/uv pip install --quiet --no-deps --no-build-isolation --compile-bytecode --editable .
rm -f .venv/.compiled
compiled
printf '%s\n' "$stamp" >.venv/.made-from
say "environment made in $(($(date +%s) - start)) s"
