/** As much of JSON Schema as the APIs' own descriptions use. */
export interface Schema {
  type?: string;
  anyOf?: Schema[];
  enum?: string[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  patternProperties?: Record<string, Schema>;
  items?: Schema;
  minItems?: number;
  minimum?: number;
  maximum?: number;
}

/** One call of an API. */
export interface ApiCall {
  method: string;
  /** with `{names}` */
  path: string;
  queries: string[];
  /** null: it takes none, or bytes */
  body: Schema | null;
}

interface Description {
  paths: Record<string, Record<string, Operation>>;
}
interface Operation {
  parameters: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
}

/** Not asked for, and each with tests of its own: what ends the daemon, what writes all secrets and tokens anew, what cuts the lanes. */
const LEFT_OUT = ["/v1/shutdown", "/v1/secrets/rotate-key", "/v1/self/restart"];
/** Nobody's, and those of the other API. */
const STRANGE: ApiCall[] = ["GET /{x}", "POST /v1/{x}", "PUT /v1/secrets/{x}", "GET /v1/self", "GET /v1/audit"].map(
  (call) => {
    const [method = "", path = ""] = call.split(" ");
    return { method, path, queries: [], body: null };
  },
);

/** All calls of an API, from what it says of itself. */
export function apiCalls(description: unknown): [ApiCall, ...ApiCall[]] {
  const calls = Object.entries((description as Description).paths)
    .filter(([path]) => !LEFT_OUT.includes(path))
    .flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { parameters, requestBody }]) => ({
        method: method.toUpperCase(),
        path,
        queries: parameters.filter((one) => one.in === "query").map(({ name }) => name),
        body: requestBody?.content["application/json"]?.schema ?? null,
      })),
    );
  const [first, ...others] = calls;
  if (first === undefined) throw new Error("an API without calls");
  return [first, ...others, ...STRANGE];
}
