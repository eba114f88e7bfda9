import { HARNESS_DIR } from "@aegis/protocol/control";
import { DEFAULT_PATH } from "./command-path.ts";
import { homeOf, readAccounts } from "./guest-user.ts";

/** Environment of the workload and of every exec: the image's, HOME as login would set it, then what the host gave. */
export function guestEnv(given: Record<string, string>, guestApiPort: number | null): Record<string, string> {
  const env: Record<string, string> = { HOME: homeOf(process.getuid?.() ?? 0, readAccounts()) };
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  Object.assign(env, given);
  // last, so that nothing of the image is ever meant less
  env["PATH"] = `${env["PATH"] || DEFAULT_PATH}:${HARNESS_DIR}/bin`;
  if (guestApiPort !== null) env["AEGIS_GUEST_API"] = `http://127.0.0.1:${guestApiPort}`;
  return env;
}
