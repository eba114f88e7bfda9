import type { AegisEvent } from "@aegis/protocol/event";
import type { EventLog } from "./event-log.ts";
import type { Instance } from "./instance.ts";
import type { Instances } from "./instances.ts";

/** What happens to an instance's own children, and to nobody else; `seq` is the daemon's, so it has gaps. */
export async function* childEvents(
  events: EventLog,
  instances: Pick<Instances, "childrenOf">,
  parent: Instance,
  { since, follow }: { since: number; follow: boolean },
  signal: AbortSignal,
): AsyncGenerator<AegisEvent> {
  const children = new Set(instances.childrenOf(parent).map(({ id }) => id));
  for await (const event of events.follow(since, signal, follow)) {
    if (event.type === "instance.created" && event.parent_id === parent.id) children.add(event.instance_id);
    if ("instance_id" in event && children.has(event.instance_id)) yield event;
  }
}
