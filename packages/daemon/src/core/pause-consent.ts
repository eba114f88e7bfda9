import { setTimeout as delay } from "node:timers/promises";
import type { BootSession } from "./boot-session.ts";
import type { Harness } from "./harness.ts";
import { callHook } from "./hook-call.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { notWoken } from "./instance-record.ts";
import { SerialQueue } from "./serial-queue.ts";
import { wakeRequest } from "./wake-request.ts";

const TELL_ATTEMPTS = 3;
const TELL_AGAIN_MS = 1000;

/**
 * Asks the workload of one instance whether it may be paused, and tells it when the pause is over. That it has agreed is
 * written down, so that it is told also when another daemon wakes it.
 */
export class PauseConsent {
  readonly #journal: InstanceJournal;
  readonly #harness: Harness;
  readonly #queue = new SerialQueue();
  #asking = 0;
  #cut = new AbortController();

  constructor(journal: InstanceJournal, harness: Harness) {
    this.#journal = journal;
    this.#harness = harness;
  }

  /** True when the workload wants to be asked. */
  get needed(): boolean {
    return this.#journal.record.spec.pause_hook !== null;
  }

  /** While it is asked, what goes on inside is no reason to stay awake: it may well be the answer. */
  get asking(): boolean {
    return this.#asking > 0;
  }

  /** The machine was paused: what it is being asked or told right now gets no answer. */
  cut(): void {
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  /** @returns null when it may be paused, else why not */
  ask(session: BootSession): Promise<string | null> {
    this.#asking += 1;
    return this.#queue.run(async () => {
      try {
        const hook = this.#journal.record.spec.pause_hook;
        if (hook === null) return null;
        const answer = await callHook(this.#harness, session.machine, hook, null, this.#cut.signal);
        if (!answer.yes) return answer.reason;
        const wake = wakeRequest(answer.wake, Date.now());
        const refused = "refused" in wake;
        this.#journal.note({ agreed: { token: answer.token }, ...(refused ? notWoken : wake) });
        if (!refused) return null;
        // it did agree, and waits for the end of the pause
        void this.#queue.run(() => this.#tell(session, () => true));
        return wake.refused;
      } finally {
        this.#asking -= 1;
      }
    });
  }

  /**
   * Tells the workload, behind everything else, that it goes on; nothing to tell when it was not asked.
   * @param current false once that boot is over or paused again
   */
  tellResumed(session: BootSession, current: () => boolean): void {
    if (this.#journal.seen.wakeAt !== null) this.#journal.note(notWoken);
    if (this.#journal.seen.agreed === null) return;
    void this.#queue.run(() => this.#tell(session, current));
  }

  async #tell(session: BootSession, current: () => boolean): Promise<void> {
    for (let attempt = 1; current(); attempt++) {
      const { agreed } = this.#journal.seen;
      const call = this.#journal.record.spec.pause_hook?.resume;
      if (agreed === null) return;
      if (call === undefined) return this.#journal.note({ agreed: null });
      const answer = await callHook(this.#harness, session.machine, call, agreed.token, this.#cut.signal);
      if (!current()) return;
      if (answer.yes || attempt === TELL_ATTEMPTS) {
        this.#journal.note({ agreed: null });
        if (!answer.yes) this.#journal.say(`its resume hook failed: ${answer.reason}`);
        return;
      }
      await delay(TELL_AGAIN_MS, undefined, { ref: false });
    }
  }
}
