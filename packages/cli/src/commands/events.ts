import type { AegisEvent } from "@aegis/protocol/event";
import type { Register } from "../command-table.ts";
import { diskText } from "../render/disk-text.ts";
import { humanSize } from "../render/human-size.ts";
import { wholeNumber } from "../options/counts.ts";
import { interruptible } from "../terminal/interruptible.ts";

export const register: Register = (command, cli) => {
  command
    .option("--since <seq>", "events after this number, 0 for all there are", wholeNumber)
    .action((options: { since?: number }) =>
      interruptible(cli.context.signals, async (signal) => {
        const query = options.since === undefined ? {} : { sinceSeq: options.since };
        for await (const event of cli.client.events({ ...query, signal }))
          cli.answer(event, () => `${cli.palette.dim(`${event.ts}  ${event.seq}`)}  ${eventText(event)}`);
      }),
    );
};

function eventText(event: AegisEvent): string {
  switch (event.type) {
    case "instance.created":
      return `${event.handle} created${event.parent_id === null ? "" : ` by ${event.parent_id}`}`;
    case "instance.state":
      return `${event.handle} ${event.state}${event.reason === "" ? "" : ` (${event.reason})`}`;
    case "instance.deleted":
      return `${event.handle} deleted`;
    case "instance.updated":
      return `${event.handle} has other settings: ${event.fields.join(", ")}`;
    case "instance.pause_postponed":
      return `${event.handle} is not paused: ${event.reason}`;
    case "instance.memory":
      return `${event.handle} is paused and gave memory back: ${humanSize(event.before_bytes)}, now ${humanSize(event.after_bytes)}`;
    case "instance.boot_progress":
      return `${event.handle} ${event.message}`;
    case "endpoint.opened":
      return `port ${event.public_port} opened for ${event.instance_id}:${event.guest_port}`;
    case "endpoint.closed":
      return `port ${event.public_port} closed for ${event.instance_id}:${event.guest_port}`;
    case "lease.acquired":
      return `${event.instance_id} holds a lease (${event.reason})`;
    case "lease.released":
      return `${event.instance_id} holds lease ${event.lease_id} no more (${event.why})`;
    case "network.refused":
      return event.more === 0
        ? `${event.handle} may not reach ${event.destination} (${event.protocol}): ${event.reason}`
        : `${event.handle}: ${event.reason}`;
    case "capability.refused":
      return `${event.instance_id} was refused ${event.what}: ${event.reason}`;
    case "disk.low":
      return `the disk of ${event.path} is low, ${diskText(event)}: ${event.advice}`;
    case "disk.ok":
      return `the disk of ${event.path} has room again, ${diskText(event)}`;
    case "secret.changed":
      return `secret ${event.name} ${event.action}`;
  }
}
