import Type, { type Static } from "typebox";
import { Capabilities } from "./capability.ts";
import { BindingView } from "./binding.ts";
import { Endpoint, InstanceState, InstanceStats } from "./instance.ts";

/** `GET /v1/self` of the Guest API. */
export const GuestSelf = Type.Object({
  id: Type.String(),
  handle: Type.String(),
  state: InstanceState,
  image: Type.String(),
  parent_id: Type.Union([Type.String(), Type.Null()]),
  endpoints: Type.Array(Endpoint),
  memory_mb: Type.Integer(),
  stats: Type.Union([InstanceStats, Type.Null()]),
  /** with what was used of them */
  bindings: Type.Array(BindingView),
  /** the grant, with what is left of its budgets */
  capabilities: Type.Object({
    ...Capabilities.properties,
    children_left: Type.Integer(),
    tree_left: Capabilities.properties.tree,
  }),
});
export type GuestSelf = Static<typeof GuestSelf>;
