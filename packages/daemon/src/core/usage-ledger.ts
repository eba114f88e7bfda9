import type { BindingUsage } from "@aegis/protocol/binding";

/** What one instance used of one binding. */
export interface UsageRow {
  instanceId: string;
  binding: string;
  own: BindingUsage;
  /** with that of the instances that it was handed down to, also of those that are no more */
  tree: BindingUsage;
  /** the running period of a budget: when it began (ms since the epoch), and `tree` at that time */
  window: { startedAt: number; base: BindingUsage } | null;
}

export interface UsageStore {
  load(): UsageRow[];
  /** Writes all of them or none; those of instances that are deleted are left out. @throws AegisError `disk_full` */
  save(rows: readonly UsageRow[]): void;
}

/** How far what a next daemon finds may be behind after a crash, in ms. */
const SAVE_MS = 2000;

export const noUsage = (): BindingUsage => ({
  requests: 0,
  errors: 0,
  refused: 0,
  request_bytes: 0,
  response_bytes: 0,
  input_tokens: 0,
  output_tokens: 0,
});

const fields = Object.keys(noUsage()) as (keyof BindingUsage)[];

function add(total: BindingUsage, more: Partial<BindingUsage>): void {
  for (const field of fields) total[field] += more[field] ?? 0;
}

/** What is used of bindings. In memory, and on disk a little later. */
export class UsageLedger {
  readonly #store: UsageStore;
  readonly #warn: (message: string) => void;
  readonly #rows = new Map<string, UsageRow>();
  readonly #dirty = new Set<UsageRow>();
  #saving: NodeJS.Timeout | undefined;

  constructor(store: UsageStore, warn: (message: string) => void) {
    this.#store = store;
    this.#warn = warn;
    for (const row of store.load()) this.#rows.set(keyOf(row.instanceId, row.binding), row);
  }

  find(instanceId: string, binding: string): UsageRow | undefined {
    return this.#rows.get(keyOf(instanceId, binding));
  }

  /** The row of a binding, made when there is none. */
  row(instanceId: string, binding: string): UsageRow {
    const known = this.find(instanceId, binding);
    if (known !== undefined) return known;
    const row = { instanceId, binding, own: noUsage(), tree: noUsage(), window: null };
    this.#rows.set(keyOf(instanceId, binding), row);
    return row;
  }

  /** @param holders who used it, first of all, and who it was handed down by */
  add([user, ...others]: readonly [string, ...string[]], binding: string, used: Partial<BindingUsage>): void {
    const row = this.row(user, binding);
    add(row.own, used);
    add(row.tree, used);
    this.touched(row);
    for (const id of others) {
      const above = this.row(id, binding);
      add(above.tree, used);
      this.touched(above);
    }
  }

  /** A row has changed and is to be written down. */
  touched(row: UsageRow): void {
    this.#dirty.add(row);
    this.#saving ??= setTimeout(() => this.save(), SAVE_MS).unref();
  }

  /** An instance is no more. */
  forget(instanceId: string): void {
    for (const row of this.#rows.values()) {
      if (row.instanceId !== instanceId) continue;
      this.#rows.delete(keyOf(instanceId, row.binding));
      this.#dirty.delete(row);
    }
  }

  save(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    const rows = [...this.#dirty];
    if (rows.length === 0) return;
    this.#dirty.clear();
    try {
      this.#store.save(rows);
    } catch (error) {
      this.#warn(`what was used of bindings could not be written down: ${String(error)}`);
      for (const row of rows) this.touched(row);
    }
  }
}

const keyOf = (instanceId: string, binding: string): string => `${instanceId}/${binding}`;
