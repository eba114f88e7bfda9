import { AegisError } from "@aegis/protocol/errors";
import { bindingTarget, templateSecrets } from "./binding-target.ts";
import type { InstanceSpec } from "./instance-record.ts";
import type { Secrets } from "./secrets.ts";

/** The names of secrets that `selectors` (`name`, `ENV=name`, `*`) pick, by the environment variable they go to. */
export function secretNames(selectors: readonly string[], secrets: Pick<Secrets, "names">): Map<string, string> {
  const picked = new Map<string, string>();
  for (const selector of selectors) {
    if (selector === "*") for (const name of secrets.names()) picked.set(name, name);
    else {
      const split = selector.indexOf("=");
      picked.set(split === -1 ? selector : selector.slice(0, split), selector.slice(split + 1));
    }
  }
  return picked;
}

/** @throws AegisError `secret_not_found`, `invalid_request` for a name that cannot be an environment variable */
export function secretEnv(selectors: readonly string[], secrets: Secrets): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [variable, name] of secretNames(selectors, secrets)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
      throw new AegisError(
        "invalid_request",
        `The secret ${name} cannot become the environment variable ${variable}. Rename it there: "NAME=${name}".`,
      );
    }
    env[variable] = secrets.reveal(name);
  }
  return env;
}

/** The names of secrets that bindings of its own put into headers. */
const bindingSecrets = (spec: InstanceSpec): string[] =>
  spec.bindings
    .filter(({ inherited }) => inherited !== true)
    .flatMap((binding) => Object.values(bindingTarget(binding).headers).flatMap(templateSecrets));

/** @throws AegisError `secret_not_found` for a secret that the spec names and that there is not */
export function checkSecrets(spec: InstanceSpec, secrets: Pick<Secrets, "names">): void {
  const known = new Set(secrets.names());
  const wanted = [...secretNames(spec.secrets, secrets).values(), ...bindingSecrets(spec)];
  const missing = wanted.find((name) => !known.has(name));
  if (missing !== undefined)
    throw new AegisError("secret_not_found", `There is no secret ${missing}. Set it with: aegis secret set ${missing}`);
}
