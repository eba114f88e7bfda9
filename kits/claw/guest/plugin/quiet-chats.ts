/** `live`: a turn of it has been seen to go on. `busy`: OpenClaw says that it has one, to end or to take up. */
type Activity = "live" | "busy" | "quiet";

/** looks that find a chat quiet: OpenClaw may be about to begin a turn */
const QUIET_LOOKS = 10;
/** a chat that is said to be in a turn, or about to be, all that time, and in which none has been seen, is not */
const STUCK_LOOKS = 300;

/** Which chats a turn can be begun in, by the turns that were seen there and by what is found look by look. */
export class QuietChats {
  readonly #isRunning: (session: string) => boolean;
  /** the chat of each run of the agent that goes on */
  readonly #runs = new Map<string, string>();
  /** chats in which a turn was asked for that has not begun yet */
  readonly #asked = new Set<string>();
  readonly #looks = new Map<string, { quiet: number; busy: number }>();

  /** @param isRunning whether OpenClaw has a turn of that chat to end, or to take up after a restart */
  constructor(isRunning: (session: string) => boolean) {
    this.#isRunning = isRunning;
  }

  /** @returns the chat of a run that goes on */
  sessionOf(run: string): string | undefined {
    return this.#runs.get(run);
  }

  began(run: string, session: string): void {
    this.#runs.set(run, session);
    this.#asked.delete(session);
  }

  ended(run: string): void {
    this.#runs.delete(run);
  }

  asked(session: string): void {
    this.#asked.add(session);
  }

  /** The turn that was asked for does not begin. */
  refused(session: string): void {
    this.#asked.delete(session);
  }

  /** Something went on there. */
  stirred(session: string): void {
    this.#looks.delete(session);
  }

  isQuiet(session: string): boolean {
    return this.#activityOf(session) === "quiet";
  }

  /**
   * To be called once in each look.
   * @param isExpected whether a turn is about to begin there: on a slow machine it takes its time, and OpenClaw tells of none
   * before. Another one that is begun meanwhile takes its message out of the transcript: it fails, and those behind it.
   * @returns whether the chat is quiet for long enough for a turn to be begun in it
   */
  found(session: string, isExpected: boolean): boolean {
    const seen = this.#activityOf(session);
    const activity = seen === "quiet" && (isExpected || this.#asked.has(session)) ? "busy" : seen;
    const { quiet, busy } = this.#looks.get(session) ?? { quiet: 0, busy: 0 };
    const isBusy = activity === "busy" && busy < STUCK_LOOKS;
    const isQuiet = activity !== "live" && !isBusy;
    this.#looks.set(session, { quiet: isQuiet ? quiet + 1 : 0, busy: isBusy ? busy + 1 : isQuiet ? busy : 0 });
    return isQuiet && quiet + 1 >= QUIET_LOOKS;
  }

  #activityOf(session: string): Activity {
    if ([...this.#runs.values()].includes(session)) return "live";
    return this.#isRunning(session) ? "busy" : "quiet";
  }
}
