import type { BindingView } from "@aegis/protocol/binding";
import { heldBinding } from "./held-binding.ts";
import type { HeldBinding } from "./held-binding.ts";
import type { InstanceRecord } from "./instance-record.ts";
import { noUsage } from "./usage-ledger.ts";
import type { UsageLedger } from "./usage-ledger.ts";

type Find = (id: string) => Readonly<InstanceRecord> | undefined;

/** Who holds which binding, and what was used of it. */
export class BindingBook {
  readonly usage: UsageLedger;
  readonly #find: Find;

  constructor(usage: UsageLedger, find: Find) {
    this.usage = usage;
    // a handle may look like the id of another instance
    this.#find = (id) => {
      const found = find(id);
      return found?.id === id ? found : undefined;
    };
  }

  /** @returns null when the instance is gone or has no such binding */
  held(instanceId: string, name: string): HeldBinding | null {
    const holder = this.#find(instanceId);
    return holder === undefined ? null : heldBinding(holder, name, this.#find);
  }

  views({ id, spec }: Readonly<InstanceRecord>): BindingView[] {
    return spec.bindings.map(({ name, port, inherited = false }) => {
      const row = this.usage.find(id, name);
      return {
        name,
        port,
        inherited,
        usage: { ...(row?.own ?? noUsage()) },
        tree_usage: { ...(row?.tree ?? noUsage()) },
        limits: this.held(id, name)?.binding.limits ?? {},
      };
    });
  }
}
