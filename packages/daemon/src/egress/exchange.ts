import type http from "node:http";
import type { BindingUsage } from "@aegis/protocol/binding";
import type { BindingTarget } from "../core/binding-target.ts";

/** One request over a binding: what it may do, and where it is counted. */
export interface Exchange {
  /** the binding's name, for messages */
  name: string;
  target: BindingTarget;
  method: string;
  /** at the upstream, with the query */
  path: string;
  headers: http.OutgoingHttpHeaders;
  agent: http.Agent;
  /** notes what was used; for bytes that are about to be sent on. @throws Refused when a budget does not allow them */
  count(used: Partial<BindingUsage>): void;
}
