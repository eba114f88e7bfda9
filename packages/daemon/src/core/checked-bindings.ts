import type { Binding } from "@aegis/protocol/binding";
import { GUEST_API_PORT } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import { isHopByHop } from "./hop-by-hop.ts";
import { llmBaseUrl, llmPreset } from "./llm-presets.ts";

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** what HTTP allows in a value: no control characters, so no line break */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws AegisError `invalid_request` that names the binding and what is wrong with it */
export function checkedBindings<T extends Binding>(bindings: readonly T[]): T[] {
  const names = new Set<string>();
  const ports = new Set([GUEST_API_PORT]);
  for (const binding of bindings) {
    const wrong = (what: string) => new AegisError("invalid_request", `The binding ${binding.name}: ${what}`);
    if (names.has(binding.name)) throw wrong("there are two of that name. Give each a name of its own.");
    if (ports.has(binding.port)) throw wrong(`port ${binding.port} is taken in the instance. Choose another one.`);
    names.add(binding.name);
    ports.add(binding.port);
    const problem = upstreamProblem(binding) ?? headerProblem(binding.headers ?? {}) ?? pathProblem(binding);
    if (problem !== null) throw wrong(problem);
  }
  return [...bindings];
}

function upstreamProblem(binding: Binding): string | null {
  const { upstream, llm } = binding;
  if ((upstream === undefined) === (llm === undefined))
    return 'it needs either an upstream, as in "https://api.example.com", or llm, as in {"provider": "openai", "secret": "OPENAI_KEY"}.';
  if (llm === undefined) return urlProblem("upstream", upstream ?? "");
  const preset = llmPreset(llm);
  if (llm.base_url !== undefined) return urlProblem("llm.base_url", llm.base_url);
  if (llmBaseUrl(llm) === null) return `${llm.provider} needs llm.base_url, as in "https://openrouter.ai/api/v1".`;
  const keyless = llm.secret === undefined && Object.keys(binding.headers ?? {}).length === 0;
  return preset.needsKey && keyless
    ? `${llm.provider} needs llm.secret, the name of the secret that holds the key.`
    : null;
}

function urlProblem(field: string, text: string): string | null {
  const url = URL.parse(text);
  if (url === null) return `${field} is not a URL.`;
  if (url.username !== "" || url.password !== "")
    return `${field} may not hold a password: it is shown. Put it into a secret, and the secret into headers.`;
  if (url.search !== "" || url.hash !== "") return `${field} may not have a query or a fragment.`;
  if (/%|\/\/|\\/.test(url.pathname)) return `the path of ${field} may not hold %, \\ or //.`;
  return null;
}

function headerProblem(headers: Record<string, string>): string | null {
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name)) return `${JSON.stringify(name)} is no name for a header.`;
    if (isHopByHop(name) || name.toLowerCase() === "content-length")
      return `the header ${name} is the connection's own and cannot be set.`;
    if (!HEADER_VALUE.test(value)) return `the header ${name} holds a control character or one beyond Latin-1.`;
  }
  return null;
}

function pathProblem({ paths }: Binding): string | null {
  const bad = paths?.find((path) => /[?#%\\]|\/\/|\/\.{1,2}(\/|$)/.test(path));
  if (bad === undefined) return null;
  return `${JSON.stringify(bad)} in paths matches nothing: a path there is decoded, without query, "." and "..".`;
}
