import type { EventLog } from "./event-log.ts";
import type { InstanceRecord, Observation } from "./instance-record.ts";
import type { Logs } from "./logs.ts";
import type { Store, StoredInstance } from "./store.ts";

export interface JournalDeps {
  store: Store;
  events: EventLog;
  logs: Logs;
}

/** What is written down about one instance: what is wanted, what was seen, and the lines that tell a person why. */
export class InstanceJournal {
  readonly record: InstanceRecord;
  readonly #deps: JournalDeps;
  #seen: Observation;

  constructor(stored: StoredInstance, deps: JournalDeps) {
    this.record = stored.record;
    this.#seen = stored.observation;
    this.#deps = deps;
  }

  get seen(): Readonly<Observation> {
    return this.#seen;
  }

  /** A change of state, with what caused it. */
  transition(patch: Partial<Observation>, reason: string): void {
    this.note(patch);
    const { id: instance_id, handle } = this.record;
    this.#deps.events.emit({ type: "instance.state", instance_id, handle, state: this.#seen.state, reason });
  }

  /** A detail that is no change of state. */
  note(patch: Partial<Observation>): void {
    this.#seen = { ...this.#seen, ...patch };
    this.#deps.store.updateObservation(this.record.id, this.#seen);
  }

  progress(message: string): void {
    const { id: instance_id, handle } = this.record;
    this.#deps.events.emit({ type: "instance.boot_progress", instance_id, handle, message });
  }

  setEnabled(enabled: boolean): void {
    if (this.record.enabled === enabled) return;
    this.record.enabled = enabled;
    this.#deps.store.updateRecord(this.record);
  }

  setSecrets(secrets: string[]): void {
    this.record.spec.secrets = secrets;
    this.#deps.store.updateRecord(this.record);
  }

  /** A line of the instance's logs that comes from the daemon. */
  say(line: string): void {
    this.#deps.logs.append(this.record.id, { ts: new Date().toISOString(), stream: "stdout", source: "system", line });
  }
}
