import type { Binding, BindingLimits } from "@aegis/protocol/binding";
import { llmBaseUrl, llmPreset } from "./llm-presets.ts";
import type { ErrorDialect } from "./llm-presets.ts";
import { pathRule } from "./path-rule.ts";
import type { PathRule } from "./path-rule.ts";

const CONNECT_TIMEOUT_S = 10;
/** as long as the client libraries of the providers wait */
const IDLE_TIMEOUT_S = 600;
/** what a client library sends in place of the key that it has not got */
const CREDENTIALS = ["authorization", "x-api-key", "api-key"];

/** A binding with everything filled in that its preset and the defaults say. */
export interface BindingTarget {
  /** origin, and a path without a slash at its end that all requests stay below */
  upstream: URL;
  /** what the instance puts where `upstream` has its path; "" for nothing */
  prefix: string;
  /** templates by lower-case name; what the instance sends under these names is replaced */
  headers: Record<string, string>;
  /** sent when the instance sends none */
  defaults: Record<string, string>;
  /** what the instance sends under these names goes no further */
  withheld: readonly string[];
  rules: PathRule[] | null;
  methods: readonly string[] | null;
  models: readonly string[] | null;
  /** tokens are counted */
  isLlm: boolean;
  dialect: ErrorDialect;
  limits: BindingLimits;
  connectMs: number;
  idleMs: number;
}

/** @param binding one that passed `checkedBindings` */
export function bindingTarget(binding: Binding): BindingTarget {
  const { llm } = binding;
  const common = {
    methods: binding.methods ?? null,
    models: llm?.models ?? null,
    isLlm: llm !== undefined,
    limits: binding.limits ?? {},
    connectMs: (binding.connect_timeout_s ?? CONNECT_TIMEOUT_S) * 1000,
    idleMs: (binding.idle_timeout_s ?? IDLE_TIMEOUT_S) * 1000,
  };
  if (llm === undefined) {
    return {
      ...common,
      upstream: trimmed(new URL(binding.upstream ?? "")),
      prefix: "",
      headers: lowerCased(binding.headers ?? {}),
      defaults: {},
      withheld: [],
      rules: binding.paths?.map(pathRule) ?? null,
      dialect: "plain",
    };
  }
  const preset = llmPreset(llm);
  const key = llm.secret === undefined ? {} : preset.key(`\${secret:${llm.secret}}`);
  return {
    ...common,
    upstream: trimmed(llmBaseUrl(llm) ?? new URL("")),
    prefix: preset.prefix ?? "",
    // a compressed answer would hide what it says of tokens
    headers: { "accept-encoding": "identity", ...key, ...lowerCased(binding.headers ?? {}) },
    defaults: preset.defaults,
    withheld: CREDENTIALS,
    rules: (binding.paths ?? preset.paths).map(pathRule),
    dialect: preset.dialect,
  };
}

const lowerCased = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function trimmed(url: URL): URL {
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

/** The names of secrets that a template fills in. */
export const templateSecrets = (template: string): string[] =>
  [...template.matchAll(/\$\{secret:([^}]*)\}/g)].map(([, name]) => name ?? "");

/** A template with its secrets. @param reveal may throw for one that is not there */
export const fillTemplate = (template: string, reveal: (name: string) => string): string =>
  template.replace(/\$\{secret:([^}]*)\}/g, (_match, name: string) => reveal(name));
