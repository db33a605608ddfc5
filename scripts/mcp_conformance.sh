#!/usr/bin/env bash
# Runs the Model Context Protocol's own conformance suite against the MCP server, for both revisions
# that it has requirements of. Needs npm; the suite and the Node.js it wants are put in build/.
#
#   scripts/mcp_conformance.sh             both revisions, then the server as users get it
#   PYTHON=.venv/bin/python PORT=8765      what else may be said
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
PORT=${PORT:-8765}
SUITE=@modelcontextprotocol/conformance@0.2.0-alpha.12
TOOLS=build/mcp-conformance
# Scenarios that need no fixtures: what can be asked of the server as it is.
BARE=(server-initialize ping tools-list resources-list prompts-list dns-rebinding-protection)
BARE_NEW=(tools-list resources-list prompts-list caching sep-2164-resource-not-found
  dns-rebinding-protection input-required-result-unsupported-methods)

if [ ! -f "$TOOLS/.installed" ] || [ "$(cat "$TOOLS/.installed")" != "$SUITE" ]; then
  mkdir -p "$TOOLS"
  (cd "$TOOLS" && { [ -f package.json ] || npm init -y >/dev/null; } &&
    npm install --silent --no-fund --no-audit node@22 "$SUITE")
  echo "$SUITE" >"$TOOLS/.installed"
fi
PATH=$PWD/$TOOLS/node_modules/.bin:$PATH

server=
stop() { [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }; server=; }
trap stop EXIT
start() {
  "$PYTHON" tests/mcp/conformance_server.py "$PORT" "$@" &
  server=$!
  for _ in $(seq 150); do
    (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && return
    kill -0 "$server" 2>/dev/null || { echo "error: the server did not start" >&2; exit 1; }
    sleep 0.2
  done
  echo "error: the server does not answer on port $PORT" >&2
  exit 1
}

failed=0
url=http://127.0.0.1:$PORT/mcp
start
for revision in 2025-11-25 2026-07-28; do
  echo "== $revision, with fixtures"
  conformance server --url "$url" --requirements "$revision" -o "$TOOLS/results-$revision" || failed=1
done
stop
start --bare
for scenario in "${BARE[@]}"; do
  echo "== 2025-11-25, as it is: $scenario"
  conformance server --url "$url" --scenario "$scenario" --spec-version 2025-11-25 || failed=1
done
for scenario in "${BARE_NEW[@]}"; do
  echo "== 2026-07-28, as it is: $scenario"
  conformance server --url "$url" --scenario "$scenario" --spec-version 2026-07-28 || failed=1
done
exit "$failed"
