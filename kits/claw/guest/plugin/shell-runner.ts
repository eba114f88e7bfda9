import { formatWorkLine } from "../work-line.ts";
import { BROUGHT, RESULT_FOLDER } from "../work-spec.ts";

/**
 * The work runner of images without Node: a shell script that needs nothing but `sh`, `mkdir` and `sleep`. It speaks as
 * the real one does: one line when a server listens. Otherwise the exit code says how the command ended, which then is
 * not done again at the next boot.
 * @param port where the command listens; null when it is no server
 * @param bringsFiles it waits for what people have sent for it
 */
export function shellRunner(command: string, port: number | null, bringsFiles = false): string[] {
  const place = bringsFiles ? `${PLACE}\n${WAIT}` : PLACE;
  return ["sh", "-c", port === null ? `${place}\n${ONCE}` : `${place}\n${server(port)}`, "work", command];
}

const PLACE = `mkdir -p /workspace/${RESULT_FOLDER} /workspace/.claw && cd /workspace || exit 1`;
/** not every `sleep` knows fractions */
const WAIT = `until [ -e ${BROUGHT} ]; do sleep 0.1 2>/dev/null || sleep 1; done`;
/** the shell has to get signals while its command runs */
const RUN = `sh -c "$1" & pid=$!
trap 'kill -TERM $pid 2>/dev/null; wait $pid; exit 143' TERM INT`;

const ONCE = `if [ -e .claw/done ]; then
  trap 'kill $pid 2>/dev/null; exit 143' TERM INT
  sleep 3600 & pid=$!
  echo "the work was done already; it is not done again"
  while :; do wait $pid; sleep 3600 & pid=$!; done
fi
${RUN}
wait $pid; code=$?
[ $code -eq 0 ] && : > .claw/done
exit $code`;

function server(port: number): string {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const done = formatWorkLine({
    claw: "done",
    ok: true,
    text: `It listens on port ${port}.`,
    seconds: 0,
    site: true,
  });
  return `${RUN}
listens() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r $table ] && while read -r _ address _ state _; do
      case "$address $state" in *:${hex}" "0A) return 0;; esac
    done < $table
  done
  return 1
}
while kill -0 $pid 2>/dev/null; do
  if listens; then echo '${done}'; break; fi
  sleep 1 & wait $!
done
wait $pid`;
}
