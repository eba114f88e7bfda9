import { statusOf } from "@aegis/protocol/errors";
import Type, { type TSchema } from "typebox";
import { callWords, type CallWords } from "./call-words.ts";
import type { DescribedRoute } from "./describe-api.ts";

const VERSION = "0.1.0";
const ErrorBody = Type.Object({
  error: Type.String({ description: "what happened, why, and how to fix it" }),
  code: Type.Enum(Object.keys(statusOf)),
});

/** OpenAPI 3.1, whose schemas are JSON Schema: those that check requests go in as they are. */
export function openApiDocument(title: string, routes: readonly DescribedRoute[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = (paths[pathOf(route.url)] ??= {});
    path[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: { title, version: VERSION },
    paths,
    components: { schemas: { Error: ErrorBody } },
  };
}

const pathOf = (url: string): string => url.replaceAll(/:(\w+)/g, "{$1}").replace("*", "{ref}");

function operation({ method, url, params, body }: DescribedRoute): object {
  const words = callWords[`${method} ${url}`] ?? { summary: "", answer: null };
  return {
    summary: words.summary,
    operationId: `${method.toLowerCase()} ${url}`.replaceAll(/[^a-z0-9]+/gi, "_").replaceAll(/^_|_$/g, ""),
    parameters: [...pathParameters(url, params), ...queryParameters(words.query ?? {})],
    ...requestBody(method, url, body),
    responses: { ...goodAnswer(words), default: failure },
  };
}

function pathParameters(url: string, params: TSchema | undefined): object[] {
  const names = [...url.matchAll(/:(\w+)|(\*)/g)].map(([, name]) => name ?? "*");
  return names.map((name) => ({
    name: name === "*" ? "ref" : name,
    in: "path",
    required: true,
    description: name === "id" ? "id or handle" : name,
    schema: propertyOf(params, name),
  }));
}

function propertyOf(schema: TSchema | undefined, name: string): unknown {
  const properties = schema !== undefined && "properties" in schema ? schema.properties : {};
  return Object.entries(properties as object).find(([key]) => key === name)?.[1] ?? { type: "string" };
}

const queryParameters = (query: Record<string, string>): object[] =>
  Object.entries(query).map(([name, description]) => ({ name, in: "query", description, schema: { type: "string" } }));

function requestBody(method: string, url: string, body: TSchema | undefined): object {
  if (method === "POST" && url.endsWith("/workspace"))
    return { requestBody: { required: true, content: { "application/octet-stream": {} } } };
  return body === undefined ? {} : { requestBody: { content: { "application/json": { schema: body } } } };
}

function goodAnswer({ answer, status }: CallWords): object {
  if (answer === null) return { [status ?? 204]: { description: "done" } };
  return { [status ?? 200]: { description: "done", content: contentOf(answer) } };
}

function contentOf(answer: NonNullable<CallWords["answer"]>): object {
  if ("json" in answer) return { "application/json": { schema: answer.json } };
  if ("lines" in answer) return { "application/x-ndjson": { schema: { type: "string", description: answer.lines } } };
  if ("text" in answer) return { "text/plain": { schema: { type: "string", description: answer.text } } };
  return { "application/octet-stream": { schema: { description: answer.bytes } } };
}

const failure = {
  description: "what went wrong",
  content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
};
