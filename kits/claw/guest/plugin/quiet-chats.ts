/** `live`: a turn of it has been seen to go on. `busy`: OpenClaw says that it has one, to end or to take up. */
export type Activity = "live" | "busy" | "quiet";

/** looks that find a chat quiet: OpenClaw may be about to begin a turn */
const QUIET_LOOKS = 10;
/** a chat that is said to be in a turn all that time, and in which none has been seen, is not */
const STUCK_LOOKS = 300;

/** Which chats nothing goes on in, by what was found there look by look. */
export class QuietChats {
  readonly #looks = new Map<string, { quiet: number; busy: number }>();

  /** @returns whether the chat is quiet for long enough for a turn to be begun in it */
  found(session: string, activity: Activity): boolean {
    const { quiet, busy } = this.#looks.get(session) ?? { quiet: 0, busy: 0 };
    const isBusy = activity === "busy" && busy < STUCK_LOOKS;
    const isQuiet = activity !== "live" && !isBusy;
    this.#looks.set(session, { quiet: isQuiet ? quiet + 1 : 0, busy: isBusy ? busy + 1 : isQuiet ? busy : 0 });
    return isQuiet && quiet + 1 >= QUIET_LOOKS;
  }

  /** Something went on there. */
  stirred(session: string): void {
    this.#looks.delete(session);
  }
}
