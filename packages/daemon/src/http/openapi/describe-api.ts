import type { TSchema } from "typebox";
import type { App } from "../app.ts";
import { callWords } from "./call-words.ts";
import { openApiDocument } from "./openapi-document.ts";

/** A route as it was registered; the schemas are the ones that check requests. */
export interface DescribedRoute {
  method: string;
  /** as in `/v1/instances/:id` */
  url: string;
  params?: TSchema;
  body?: TSchema;
}

/**
 * Serves `GET /openapi.json`, made from the routes when somebody asks: nothing is kept for it. To be called before the
 * routes are registered.
 * @param upgrades calls that are no routes, because they go on as another protocol
 */
export function describeApi(
  app: App,
  title: string,
  upgrades: DescribedRoute[],
  warn: (message: string) => void,
): void {
  const routes: DescribedRoute[] = [...upgrades];
  app.addHook("onRoute", ({ method, url, schema }) => {
    for (const name of [method].flat()) {
      if (name === "HEAD") continue;
      if (callWords[`${name} ${url}`] === undefined) warn(`${name} ${url} has no description (openapi/call-words.ts)`);
      routes.push({ method: name, url, ...(schema as Pick<DescribedRoute, "params" | "body">) });
    }
  });
  app.get("/openapi.json", () => openApiDocument(title, routes));
}
