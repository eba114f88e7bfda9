import type { Capabilities } from "@aegis/protocol/capability";
import type { ReclaimedMemory } from "./driver.ts";
import type { EventLog } from "./event-log.ts";
import type { InstanceRecord, InstanceSpec, Observation } from "./instance-record.ts";
import type { Logs } from "./logs.ts";
import { PowerHistory } from "./power-history.ts";
import type { Store, StoredInstance } from "./store.ts";

export interface JournalDeps {
  store: Store;
  events: EventLog;
  logs: Logs;
  warn: (message: string) => void;
}

/** What is written down about one instance: what is wanted, what was seen, and the lines that tell a person why. */
export class InstanceJournal {
  readonly record: InstanceRecord;
  readonly power: PowerHistory;
  readonly #deps: JournalDeps;
  #seen: Observation;
  /** the disk did not take the newest observation */
  #unsaved = false;

  constructor(stored: StoredInstance, deps: JournalDeps) {
    this.record = stored.record;
    this.power = new PowerHistory(stored.record.id, stored.power, deps);
    this.#seen = stored.observation;
    this.#deps = deps;
  }

  get seen(): Readonly<Observation> {
    return this.#seen;
  }

  /** A change of state, with what caused it. */
  transition(patch: Partial<Observation>, reason: string): void {
    this.#atOnce(() => {
      this.note(patch);
      this.power.add({ state: this.#seen.state, reason });
      this.#deps.events.emit({ type: "instance.state", ...this.#names, state: this.#seen.state, reason });
    });
  }

  /** One commit takes a third of the time of three. */
  #atOnce(body: () => void): void {
    try {
      this.#deps.store.transaction(body);
    } catch (error) {
      this.#notSaved(error);
    }
  }

  #notSaved(error: unknown): void {
    if (!this.#unsaved) this.#deps.warn(`the state of ${this.record.id} could not be saved: ${String(error)}`);
    this.#unsaved = true;
  }

  /** The workload was asked before a pause and said no. */
  pausePostponed(reason: string): void {
    this.power.repeat("pause postponed: ", { state: this.#seen.state, reason });
    this.#deps.events.emit({ type: "instance.pause_postponed", ...this.#names, reason });
  }

  /** Changes what is wanted. @throws AegisError `disk_full`, and then nothing is changed */
  update(patch: Partial<InstanceSpec>): void {
    const spec = { ...this.record.spec, ...patch };
    this.#deps.store.updateRecord({ ...this.record, spec });
    this.record.spec = spec;
    this.#deps.events.emit({ type: "instance.updated", ...this.#names, fields: Object.keys(patch) });
  }

  /**
   * A detail that is no change of state. What was seen is true also when the disk cannot take it: then it is written
   * with the next {@link save}, and a machine that runs goes on.
   */
  note(patch: Partial<Observation>): void {
    this.#seen = { ...this.#seen, ...patch };
    try {
      this.#deps.store.updateObservation(this.record.id, this.#seen);
      this.#unsaved = false;
    } catch (error) {
      this.#notSaved(error);
    }
  }

  /** Each boot takes the image of the one before; another one only where that is gone. */
  bootsFrom(digest: string): void {
    const { imageDigest } = this.#seen;
    if (imageDigest === digest) return;
    if (imageDigest !== null)
      this.say(
        `its image ${imageDigest} is gone: it boots from ${this.record.spec.image_ref} as that is now, ${digest}`,
      );
    this.note({ imageDigest: digest });
  }

  /** What must be on disk before anything comes of it. @throws AegisError `disk_full` */
  commit(patch: Partial<Observation>): void {
    const next = { ...this.#seen, ...patch };
    this.#deps.store.updateObservation(this.record.id, next);
    this.#seen = next;
  }

  /** Writes down when the instance was active last, if that has changed, and what the disk did not take before. */
  save(lastActiveAt: string): void {
    if (this.#unsaved || lastActiveAt !== this.#seen.lastActiveAt) this.note({ lastActiveAt });
  }

  progress(message: string): void {
    this.#deps.events.emit({ type: "instance.boot_progress", ...this.#names, message });
  }

  reclaimed({ beforeBytes: before_bytes, afterBytes: after_bytes, tookMs: took_ms }: ReclaimedMemory): void {
    this.#deps.events.emit({ type: "instance.memory", ...this.#names, before_bytes, after_bytes, took_ms });
  }

  /** Puts another spec and grant in the place of what was wanted. @throws AegisError `disk_full`, and then nothing is changed */
  replace(spec: InstanceSpec, grant: Capabilities): void {
    this.#deps.store.updateRecord({ ...this.record, spec, grant });
    Object.assign(this.record, { spec, grant });
    this.#deps.events.emit({ type: "instance.updated", ...this.#names, fields: Object.keys(spec) });
  }

  /** @throws AegisError `disk_full`, and then nothing is changed */
  setGrant(grant: Capabilities): void {
    this.#deps.store.updateRecord({ ...this.record, grant });
    this.record.grant = grant;
    this.#deps.events.emit({ type: "instance.updated", ...this.#names, fields: ["capabilities"] });
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

  /** as events name it */
  get #names(): { instance_id: string; handle: string } {
    return { instance_id: this.record.id, handle: this.record.handle };
  }

  /** A line of the instance's logs that comes from the daemon. */
  say(line: string): void {
    this.#deps.logs.append(this.record.id, { ts: new Date().toISOString(), stream: "stdout", source: "system", line });
  }
}
